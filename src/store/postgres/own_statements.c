/* The text of the statements that this store asks by itself, whatever the rules are: db.c and
 * in_doubt.c run the first ones, then read_path.c, revocation_state.c, watch.c, confirm.c, purge.c
 * and describe.c. Those of the rules are in statements.c.
 */
#include "store/postgres/statement_parts.h"

#define OWN(which) [(which)-ST_SQL_COUNT]

#define FAST_COLUMNS                                                            \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, suspended" ROTATED_COLUMNS TOKENS_REVOKED("keys")
#define REQUEST_COLUMNS                                                         \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, " SUSPENDED("keys") ROTATED_COLUMNS TOKENS_REVOKED("keys")
#define ANY_REMAINING "EXISTS (SELECT 1 FROM remaining)"
#define SUB_REVOKED "EXISTS (SELECT 1 FROM revoked WHERE revoked.sub = keys.sub)"
/* When the statement came in, which is before the snapshot that it reads; not rounded up. */
#define CLOCK_BEFORE "floor(extract(epoch FROM statement_timestamp()))::bigint"
#define ADDRESS_OF(session) "coalesce(host(" session ".client_addr), 'local')"
#define STANDBY_NAME "coalesce(nullif(application_name, ''), 'process ' || pid)"
/* A subscriber of logical replication takes nothing over. */
#define IS_STANDBY                                      \
  "NOT EXISTS (SELECT 1 FROM pg_replication_slots AS s" \
  " WHERE s.active_pid = r.pid AND s.slot_type = 'logical')"
/* A number that is this program's: "SubP". */
#define ONE_PURGES "(SELECT pg_try_advisory_xact_lock(1400201808))"
/* Does a commit wait for a standby? */
#define SYNCHRONOUS "current_setting('synchronous_standby_names') <> ''"

const st_postgres_statement st_postgres_own_sql[ST_POSTGRES_SQL_COUNT - ST_SQL_COUNT] = {
    OWN(ST_POSTGRES_BEGIN) = SQL("BEGIN ISOLATION LEVEL SERIALIZABLE"),
    OWN(ST_POSTGRES_LOCK) = SQL("LOCK TABLE turn IN SHARE ROW EXCLUSIVE MODE"),
    OWN(ST_POSTGRES_HASH_KEY) = SQL("SELECT " SETTING("hash_key_0") ", " SETTING("hash_key_1")),
    OWN(ST_POSTGRES_MADE) = SQL("INSERT INTO made (id, at) VALUES ($1, " CLOCK ")"),
    OWN(ST_POSTGRES_NOT_MADE) = SQL("INSERT INTO made (id, at) VALUES ($1, -" CLOCK ")"),
    OWN(ST_POSTGRES_MADE_OR_NOT) = SQL("SELECT sign(at)::bigint FROM made WHERE id = $1"),
    OWN(ST_POSTGRES_NOTIFY) = SQL("NOTIFY subtoken"),
    OWN(ST_POSTGRES_COMMIT) = SQL("COMMIT"),
    OWN(ST_POSTGRES_ROLLBACK) = SQL("ROLLBACK"),
    OWN(ST_POSTGRES_REHASH_READ_KEYS) =
        SQL("SELECT id, sub FROM keys WHERE id > $1 ORDER BY id LIMIT 10000"),
    OWN(ST_POSTGRES_REHASH_KEYS) =
        SQL("UPDATE keys SET hash = h.hash"
            " FROM unnest($1::text[], $2::bigint[]) AS h (id, hash) WHERE keys.id = h.id"),
    OWN(ST_POSTGRES_REHASH_READ_LISTED) =
        SQL("SELECT sub, CASE WHEN token_of IS NULL THEN sub ELSE left(sub, 16) END FROM listed"
            " WHERE sub > $1 ORDER BY sub LIMIT 10000"),
    OWN(ST_POSTGRES_REHASH_LISTED) =
        SQL("UPDATE listed SET hash = h.hash"
            " FROM unnest($1::text[], $2::bigint[]) AS h (sub, hash) WHERE listed.sub = h.sub"),

    /* Large changes are rare: their rows are looked at only while there are any, because what is
     * planned for each row costs as much as the row. */
    OWN(ST_POSTGRES_READ_BY_DIGEST) =
        SQL("SELECT " FAST_COLUMNS ", digest, deleted_at IS NOT NULL, " ANY_REMAINING
            " FROM keys WHERE digest = $1"),
    OWN(ST_POSTGRES_READ_BY_SUB) =
        SQL("SELECT " FAST_COLUMNS ", digest, deleted_at IS NOT NULL OR " SUB_REVOKED
            ", " ANY_REMAINING " FROM keys WHERE sub = $1"),
    OWN(ST_POSTGRES_READ_REMAINING_BY_DIGEST) =
        SQL("SELECT " REQUEST_COLUMNS
            ", digest, deleted_at IS NOT NULL OR " ENDED("keys") ", false"
                                                                 " FROM keys WHERE digest = $1"),
    OWN(ST_POSTGRES_READ_REMAINING_BY_SUB) =
        SQL("SELECT " REQUEST_COLUMNS ", digest, deleted_at IS NOT NULL OR " ENDED(
            "keys") " OR " SUB_REVOKED ", false FROM keys WHERE sub = $1"),
    /* One that was replaced. $2: the time. */
    OWN(ST_POSTGRES_READ_BY_OLD_DIGEST) =
        SQL("SELECT " REQUEST_COLUMNS ", r.digest, deleted_at IS NOT NULL OR " ENDED(
            "keys") " OR old_digest IS DISTINCT FROM r.digest OR coalesce(old_until, 0) <= $2, "
                    "false"
                    " FROM replaced AS r JOIN keys ON keys.id = r.key_id WHERE r.digest = $1"),
    OWN(ST_POSTGRES_READ_TOKENS) = SQL("SELECT " SETTING("hash_key_0") ", " SETTING(
        "hash_key_1") ", EXISTS (SELECT 1 FROM listed WHERE hash = ANY($1::bigint[]))"),
    OWN(ST_POSTGRES_READ_REVOKED) = SQL("SELECT 1 FROM revoked WHERE sub = $1"),
    OWN(ST_POSTGRES_READ_SEQUENCE) = SQL("SELECT $1::bigint < " SETTING(
        "given_from") " OR EXISTS"
                      " (SELECT 1 FROM issued WHERE sequence = $1::bigint)"),

    OWN(ST_POSTGRES_STATE_BEGIN) = SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
    OWN(ST_POSTGRES_STATE_READ) =
        SQL("SELECT " SETTING("sequence") ", " SETTING("hash_key_0") ", " SETTING(
            "hash_key_1") ", " SETTING("changes_from") ", " CLOCK_BEFORE ", " SYNCHRONOUS),
    OWN(ST_POSTGRES_STATE_HASHES) =
        SQL("SELECT coalesce(string_agg(int8send(hash), NULL ORDER BY hash), '') FROM"
            " (SELECT DISTINCT hash FROM listed WHERE hash >= $1 ORDER BY hash LIMIT $2) AS l"),
    /* Those that become listed, and those that are no longer; of both when a hash is of two keys.
     */
    OWN(ST_POSTGRES_STATE_PENDING) = SQL(
        "SELECT coalesce(string_agg(int8send(hash), NULL ORDER BY hash) FILTER (WHERE became = 1),"
        " ''), coalesce(string_agg(int8send(hash), NULL ORDER BY hash) FILTER (WHERE became = 0),"
        " '') FROM (SELECT hash, max(became) AS became FROM (" HASHES_NOT_REACHED(
            "0") ") AS p"
                 " GROUP BY hash) AS each"),
    OWN(ST_POSTGRES_STATE_CHANGES) =
        SQL("SELECT coalesce(string_agg(int8send(hash) || int8send(coalesce(became, (EXISTS"
            " (SELECT 1 FROM listed WHERE listed.hash = c.hash))::int)::bigint) || int8send(last),"
            " NULL), '') FROM (SELECT hash, max(became) AS became, max(sequence) AS last FROM"
            " (SELECT hash, NULL::int AS became, sequence FROM changes WHERE sequence > $1"
            " UNION ALL " HASHES_NOT_REACHED("$1") ") AS each GROUP BY hash) AS c"),

    OWN(ST_POSTGRES_LISTEN) = SQL("LISTEN subtoken"),
    OWN(ST_POSTGRES_POLL) =
        SQL("SELECT pg_current_snapshot()::text, " SETTING("sequence") ", " SYNCHRONOUS),
    OWN(ST_POSTGRES_WRITTEN_SINCE) =
        SQL("SELECT digest8 FROM written WHERE xid >= pg_snapshot_xmin($1::text::pg_snapshot)"
            " AND NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot) LIMIT $2"),
    OWN(ST_POSTGRES_PURGE_WRITTEN) =
        SQL("WITH removed AS (DELETE FROM written WHERE ctid = ANY(ARRAY(SELECT ctid FROM written"
            " WHERE xid < pg_snapshot_xmin($1::text::pg_snapshot) AND " ONE_PURGES " LIMIT $2))"
            " RETURNING 1) SELECT count(*) FROM removed"),
    OWN(ST_POSTGRES_PURGE_MADE) =
        SQL("WITH removed AS (DELETE FROM made WHERE ctid = ANY(ARRAY(SELECT ctid FROM made"
            " WHERE abs(at) < " CLOCK " - 3600 AND " ONE_PURGES " LIMIT $1))"
            " RETURNING 1) SELECT count(*) FROM removed"),
    /* Who may not see the state of standbys knows at least that none is synchronous when commits
     * wait for none. */
    OWN(ST_POSTGRES_STANDBYS) =
        SQL("SELECT coalesce(string_agg(" STANDBY_NAME ", ', ' ORDER BY application_name, pid), '')"
            " FROM pg_stat_replication AS r WHERE " IS_STANDBY
            " AND ((sync_state IN ('async', 'potential') AND state = 'streaming')"
            " OR (sync_state IS NULL AND NOT " SYNCHRONOUS "))"),
    OWN(ST_POSTGRES_ALL_STANDBYS) = SQL("SELECT " STANDBY_NAME ", " ADDRESS_OF(
        "r") ", coalesce(state, ''), coalesce(sync_state, '')"
             " FROM pg_stat_replication AS r WHERE " IS_STANDBY " ORDER BY application_name, pid"),
    OWN(ST_POSTGRES_DESCRIBE) =
        SQL("SELECT current_setting('server_version'), (SELECT version FROM version), " SETTING(
            "sequence") ", current_setting('fsync') = 'on'"
                        " AND current_setting('synchronous_commit') <> 'off', " SYNCHRONOUS
                        " AND current_setting('synchronous_commit') NOT IN ('off', 'local')"),
    OWN(ST_POSTGRES_PEERS) = SQL("SELECT DISTINCT a.application_name, " ADDRESS_OF(
        "a") " FROM pg_stat_activity AS a,"
             " pg_stat_activity AS own WHERE own.pid = pg_backend_pid()"
             " AND a.datname = current_database() AND a.backend_type = 'client backend'"
             " AND (a.application_name, " ADDRESS_OF("a") ") IS DISTINCT FROM"
                                                          " (own.application_name, " ADDRESS_OF(
                                                              "own") ") ORDER BY 1, 2"),
    /* A record in the log of the database without any effect, but that of a commit. */
    OWN(ST_POSTGRES_CONFIRM) =
        SQL("SELECT " CLOCK_BEFORE " FROM pg_logical_emit_message(true, 'subtoken', '')"),
    OWN(ST_POSTGRES_END_CONFIRM) =
        SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::bigint"
            " AND usename = current_user AND wait_event = 'SyncRep'"
            " AND query LIKE '%pg_logical_emit_message(true%'"),
    OWN(ST_POSTGRES_SERVER) =
        SQL("SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"),
};
