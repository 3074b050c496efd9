/* The text of the statements that this store asks by itself, whatever the rules are: db.c runs the
 * first ones, then read_path.c, revocation_state.c and watch.c. Those of the rules are in
 * statements.c.
 */
#include "store/sqlite/statement_parts.h"

const char *const st_sqlite_control_sql[ST_SQLITE_CONTROL_COUNT] = {
    [ST_SQLITE_BEGIN] = "BEGIN IMMEDIATE",
    [ST_SQLITE_COMMIT] = "COMMIT",
    [ST_SQLITE_ROLLBACK] = "ROLLBACK",
};

const char *const st_sqlite_read_sql[ST_SQLITE_READ_COUNT] = {
    [ST_SQLITE_READ_VERSION] = "PRAGMA data_version",
    [ST_SQLITE_READ_WRITTEN] = "SELECT n, digest8 FROM written WHERE n >= ?1 ORDER BY n",
    [ST_SQLITE_READ_WRITTEN_LAST] = "SELECT max(n) FROM written",
    [ST_SQLITE_READ_BY_DIGEST] = "SELECT " REQUEST_COLUMNS ", digest, deleted_at IS NOT NULL"
                                 " OR " ENDED("keys") " FROM keys WHERE digest = ?1",
    /* One that was replaced. ?2: the time. */
    [ST_SQLITE_READ_BY_OLD_DIGEST] = "SELECT " REQUEST_COLUMNS
               ", r.digest, deleted_at IS NOT NULL OR " ENDED("keys")
               " OR old_digest IS NOT r.digest OR coalesce(old_until, 0) <= ?2"
               " FROM replaced AS r CROSS JOIN keys ON keys.id = r.key_id WHERE r.digest = ?1",
    [ST_SQLITE_READ_TOKEN] = "SELECT 1 FROM listed WHERE hash = " HASH_OF("?1") " LIMIT 1",
    [ST_SQLITE_READ_BY_SUB] = "SELECT " REQUEST_COLUMNS
               ", digest, deleted_at IS NOT NULL OR " ENDED("keys")
               " OR EXISTS (SELECT 1 FROM revoked WHERE revoked.sub = keys.sub)"
               " FROM keys WHERE sub = ?1",
    [ST_SQLITE_READ_REVOKED] = "SELECT 1 FROM revoked WHERE sub = ?1",
    [ST_SQLITE_READ_SEQUENCE] = "SELECT ?1 < " FACT("given_from") " OR EXISTS"
                      " (SELECT 1 FROM given WHERE sequence = ?1)",
};

const char *const st_sqlite_state_sql[ST_SQLITE_STATE_COUNT] = {
    [ST_SQLITE_STATE_BEGIN] = "BEGIN",
    [ST_SQLITE_STATE_END] = "COMMIT",
    [ST_SQLITE_STATE_READ] = "SELECT " FACT("sequence") ", " FACT("hash_key_0") ", " FACT(
        "hash_key_1") ", " FACT("changes_from"),
    [ST_SQLITE_STATE_HASHES] = "SELECT DISTINCT hash FROM listed",
    [ST_SQLITE_STATE_REMAINING] = "SELECT max(sequence), max(what = 'resume') FROM remaining",
    [ST_SQLITE_STATE_HASHES_STAYING] = HASHES_NOT_REACHED
    "SELECT DISTINCT hash FROM listed WHERE hash NOT IN"
    " (SELECT hash FROM pending WHERE listed = 0)",
    [ST_SQLITE_STATE_HASHES_ADDED] = HASHES_NOT_REACHED
    "SELECT DISTINCT hash FROM pending WHERE listed = 1 AND NOT EXISTS"
    " (SELECT 1 FROM listed WHERE listed.hash = pending.hash)",
    [ST_SQLITE_STATE_CHANGES] =
        ("SELECT hash, EXISTS (SELECT 1 FROM listed WHERE listed.hash = changes.hash),"
         " max(sequence) FROM changes WHERE sequence > ?1 GROUP BY hash"),
    [ST_SQLITE_STATE_CHANGES_REMAINING] = HASHES_NOT_REACHED
    "SELECT hash, coalesce(max(became), EXISTS (SELECT 1 FROM listed WHERE listed.hash = "
    "each.hash)),"
    " max(sequence) FROM (SELECT hash, NULL AS became, sequence FROM changes WHERE sequence > ?1"
    "  UNION ALL SELECT hash, listed, sequence FROM pending) AS each GROUP BY hash",
};

const char *const st_sqlite_watch_sql = "SELECT " FACT("sequence");
