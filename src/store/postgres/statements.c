/* The text of the statements of the rules. src/store says what they are for, where it runs them.
 * What this store asks besides is in own_statements.c, the tables are in schema.c. The set of rows
 * that a change is about, what was made with a row, and a snapshot are kept in this process
 * (sets.c): they come as arrays, behind the values that the rules give.
 *
 * Parameters get their types from the columns that they meet, or from a cast: numbers are bigint.
 */
#include "store/postgres/copy_statements.h"
#include "store/postgres/search_statements.h"

const st_postgres_statement st_postgres_rules_sql[ST_SQL_COUNT] = {
    [ST_SQL_ROW_FIND] = SQL("SELECT " COLUMNS " FROM keys WHERE id = $1 AND " IN_FORCE("keys")),
    [ST_SQL_ROW_FIND_SUB] = SQL("SELECT id FROM keys WHERE sub = $1 AND " IN_FORCE("keys")),
    /* $4: who; $5: not when it is disabled already */
    [ST_SQL_ROW_DISABLE] = SQL_AND(
        INTO_WRITTEN,
        "UPDATE keys SET disabled = $3::bigint, changed_at = $2, disabled_by ="
        " CASE WHEN $3::bigint = 0 THEN NULL WHEN $5::bigint <> 0 AND disabled = 1"
        " THEN disabled_by ELSE $4 END WHERE id = $1 AND deleted_at IS NULL" RETURNING_DIGESTS),
    [ST_SQL_ROW_REPLACE_SUB] =
        SQL_HASHED(3, INTO_WRITTEN,
                   "UPDATE keys SET sub = $3, hash = $4, changed_at = $2"
                   " WHERE id = $1 AND deleted_at IS NULL" RETURNING_DIGESTS),
    [ST_SQL_ROW_GRANT] = SQL_AND(INTO_WRITTEN,
                                 "UPDATE keys SET permissions = $3, changed_at = $2"
                                 " WHERE id = $1 AND deleted_at IS NULL" RETURNING_DIGESTS),
    [ST_SQL_ROW_EXTEND] = SQL_AND(INTO_WRITTEN,
                                  "UPDATE keys SET expires_at = $3, changed_at = $2"
                                  " WHERE id = $1 AND deleted_at IS NULL" RETURNING_DIGESTS),
    [ST_SQL_ROW_HAS_TOKEN] =
        SQL_AND(INTO_WRITTEN,
                "UPDATE keys SET has_token = 1, changed_at = greatest(changed_at, $2)"
                " WHERE id = $1" RETURNING_DIGESTS),
    /* Nor may it fall on a hash that is listed. */
    [ST_SQL_SUB_IS_REVOKED] = SQL_HASHED(1, 0,
                                         "SELECT 1 FROM revoked WHERE sub = $1"
                                         " UNION ALL SELECT 1 FROM listed WHERE hash = $2"
                                         " UNION ALL SELECT 1 FROM keys WHERE sub = $1"
                                         " AND deleted_at IS NULL AND " ENDED("keys")),

    [ST_SQL_KEY_INSERT] =
        SQL_HASHED(2, 0,
                   "INSERT INTO keys (" STORED_COLUMNS
                   ", digest, changed_at, deleted_at, made_by, made_by_owner, audience, hash)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bigint, $9::bigint, $10, $11::bigint,"
                   " $12, $6, NULL, $13,"
                   /* whose row made it, unless it is another key of the same owner */
                   " (SELECT by.owner FROM keys AS by WHERE by.id = $13 AND by.owner <> ''"
                   "  AND NOT ($9::bigint = 0 AND by.owner = $4)), $14, $15)"),
    [ST_SQL_KEY_FIND] = SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE id = $1 AND " KEY_IN_FORCE),
    [ST_SQL_KEY_FIND_SUB] =
        SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE sub = $1 AND " KEY_IN_FORCE),
    [ST_SQL_KEY_LIST] = SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE id > $1 AND " KEY_IN_FORCE
                            " ORDER BY id LIMIT $2"),
    /* Nothing of an owner is looked at when all has ended. */
    [ST_SQL_KEY_LIST_OWNED] =
        SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE " OWNED_BEHIND " AND " KEY_IN_FORCE
            " AND NOT (SELECT count(*) > 0 FROM remaining AS m WHERE m.owner = $3"
            "  AND m.what = 'end' AND m.permissions IS NULL) ORDER BY keys.owner, id LIMIT $2"),
    [ST_SQL_KEY_COUNT] = SQL(
        "SELECT count(*), coalesce(max(id), ''), count(*) FILTER (WHERE NOT ended), 0::bigint"
        " FROM (SELECT id, " ANY_REMAINING " AND " ENDED("keys") " AS ended FROM keys"
                                                                 "  WHERE id > $1 AND " LIVING_KEY
                                                                 " ORDER BY id LIMIT $2) AS step"),
    [ST_SQL_KEY_COUNT_OWNED] = SQL("SELECT count(*) " LIVING_OF_OWNER),
    [ST_SQL_KEY_COUNT_OWNED_TO] =
        SQL("SELECT count(*) FROM (SELECT 1 " LIVING_OF_OWNER " LIMIT $2) AS k"),
    [ST_SQL_KEY_COUNT_UNOWNED_TO] =
        SQL("SELECT count(*) FROM (SELECT 1 FROM keys WHERE made_by = $1 AND owner = ''"
            " AND " LIVING_KEY " LIMIT $2) AS k"),
    [ST_SQL_KEY_COUNT_EXPIRING] =
        SQL("WITH step AS (SELECT expires_at, id, " ANY_REMAINING " AND " ENDED(
            "keys") " AS ended"
                    "  FROM keys WHERE (expires_at, id) > ($1, $2) AND expires_at <= $3 "
                    "AND " LIVING_KEY "  ORDER BY expires_at, id LIMIT $4)"
                    " SELECT count(*), coalesce((SELECT max(id) FROM step WHERE expires_at ="
                    "  (SELECT max(expires_at) FROM step)), ''), count(*) FILTER (WHERE NOT "
                    "ended), coalesce(max(expires_at), 0)"
                    " FROM step"),
    /* $3: the id of the key that ends at $1 and was the last; $4: at most */
    [ST_SQL_KEY_LIST_EXPIRING] =
        SQL("SELECT " LISTED_COLUMNS " FROM keys WHERE (expires_at, id) > ($1, $3)"
            " AND expires_at <= $2 AND " KEY_IN_FORCE " ORDER BY expires_at, id LIMIT $4"),
    [ST_SQL_KEY_RENAME] = SQL_AND(INTO_WRITTEN,
                                  "UPDATE keys SET name = $3, changed_at = $2"
                                  " WHERE id = $1 AND " LIVING_KEY RETURNING_DIGESTS),
    [ST_SQL_KEY_USED] =
        SQL_AND(LATER,
                "INSERT INTO used (key_id, used_at)"
                " SELECT id, $2::bigint FROM keys WHERE id = $1 AND deleted_at IS NULL"
                " ON CONFLICT (key_id) DO UPDATE"
                " SET used_at = greatest(used.used_at, excluded.used_at)"),

    /* $4: NULL: the digest before is no longer good. */
    [ST_SQL_KEY_ROTATE] = SQL_AND(
        INTO_WRITTEN,
        "UPDATE keys SET old_digest = CASE WHEN $4::bigint IS NULL THEN NULL ELSE digest END,"
        " old_until = $4::bigint, digest = $3, rotated_at = $2,"
        " changed_at = greatest(changed_at, $2) WHERE id = $1 AND " LIVING_KEY RETURNING_DIGESTS),
    [ST_SQL_DIGEST_REPLACE] =
        SQL_AND(INTO_WRITTEN,
                "WITH was AS (SELECT digest, id, old_digest FROM keys WHERE id = $1 AND " LIVING_KEY
                "), noted AS (INSERT INTO replaced (digest, key_id) SELECT digest, id FROM was)"
                " SELECT digest, old_digest FROM was"),
    [ST_SQL_DIGEST_IS_REPLACED] = SQL("SELECT 1 FROM replaced WHERE digest = $1"),

    [ST_SQL_USER_FIND] =
        SQL("SELECT " USER_COLUMNS " FROM users JOIN keys ON keys.id = users.key_id"
            " WHERE users.username = $1"),
    [ST_SQL_USER_LIST] =
        SQL("SELECT " USER_COLUMNS " FROM users JOIN keys ON keys.id = users.key_id"
            " WHERE users.username > $1 ORDER BY users.username LIMIT $2"),
    [ST_SQL_USER_WAS_DELETED] =
        SQL("SELECT 1 FROM keys WHERE kind = 1 AND owner = $1 AND deleted_at IS NOT NULL LIMIT 1"),
    [ST_SQL_USER_INSERT] = SQL("INSERT INTO users (username, key_id, password, imported, locale,"
                               " source, changed_at, registered)"
                               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::bigint)"),
    /* NULL leaves it as it is. */
    [ST_SQL_USER_UPDATE] =
        SQL("UPDATE users SET changed_at = $2, password = coalesce($3::text, password),"
            " imported = coalesce($4::text, imported),"
            " own_password = CASE WHEN $3::text IS NULL THEN own_password"
            " WHEN $4::text IS NULL THEN 1 ELSE 0 END WHERE username = $1"),
    [ST_SQL_USER_REHASH] =
        SQL("UPDATE users SET password = $3 WHERE username = $1 AND password = $2"),
    [ST_SQL_USER_DELETE] = SQL("DELETE FROM users WHERE username = $1"),

    [ST_SQL_SESSION_INSERT] = SQL("INSERT INTO sessions (key_id, seed) VALUES ($1, $2)"),
    [ST_SQL_SESSION_SEED] = SQL("SELECT seed FROM sessions WHERE key_id = $1"),
    [ST_SQL_SESSION_GRANT] = SQL_AND(INTO_WRITTEN,
                                     "UPDATE keys SET permissions = $3, changed_at = $2"
                                     " WHERE " OF_PARENT "= $1" RETURNING_DIGESTS),
    [ST_SQL_REFRESH_INSERT] = SQL(
        "INSERT INTO refresh_tokens (hash, key_id, expires_at, used_at) VALUES ($1, $2, $3, NULL)"),
    [ST_SQL_REFRESH_FIND] =
        SQL("SELECT key_id, expires_at, used_at FROM refresh_tokens WHERE hash = $1"),
    [ST_SQL_REFRESH_USE] =
        SQL("UPDATE refresh_tokens SET used_at = $2 WHERE hash = $1 AND used_at IS NULL"),
    /* For a reader: of which session that lives is it? What follows from it, the change finds
     * out. */
    [ST_SQL_REFRESH_SESSION] =
        SQL("SELECT " LISTED_COLUMNS " FROM keys"
            " WHERE id = (SELECT key_id FROM refresh_tokens WHERE hash = $1 AND expires_at > $2)"
            " AND " IN_FORCE("keys") " AND disabled + suspended = 0"
                                     " AND (expires_at IS NULL OR expires_at > $2)"),

    [ST_SQL_SET_CLEAR] = HERE,
    [ST_SQL_SET_ADD_ROW] = HERE,
    [ST_SQL_SET_ADD_OWNED] = SQL_AND(INTO_SET, "SELECT id " LIVING_OF_OWNER),
    [ST_SQL_SET_ADD_HOLDING] =
        SQL_AND(INTO_SET, "SELECT id " LIVING_OF_OWNER
                          " AND $2::text = ANY(string_to_array(permissions, ','))"),
    [ST_SQL_SET_ADD_SESSIONS] = SQL_AND(INTO_SET, "SELECT id FROM keys WHERE " OF_PARENT "= $1"),
    [ST_SQL_SET_ADD_SESSIONS_OF_OWNED] =
        SQL_AND(INTO_SET,
                "SELECT s.id FROM keys AS k JOIN keys AS s ON s.parent = k.id"
                " WHERE k.owner = $1 AND k.kind = 0 AND k.deleted_at IS NULL"
                " AND s.parent IS NOT NULL AND s.deleted_at IS NULL"),
    [ST_SQL_SET_ADD_DEPENDENT] =
        SQL_AND(INTO_SET | WITH_SET, "SELECT id FROM keys WHERE " OF_PARENT "= ANY($1::text[])"),
    /* n grows with each row that is inserted. */
    [ST_SQL_SET_ADD_OLDEST] =
        SQL_AND(INTO_SET, "SELECT id FROM keys WHERE " OF_PARENT
                          "= $1 AND NOT " ENDED("keys") " AND expires_at > $2"
                                                        " ORDER BY n DESC OFFSET $3"),
    [ST_SQL_SET_ADD_ENDED] =
        SQL_AND(INTO_SET,
                "SELECT id FROM keys WHERE kind >= 2 AND coalesce(deleted_at, expires_at) < $1"
                " AND owner NOT IN (SELECT owner FROM remaining) LIMIT $2"),
    [ST_SQL_SET_ADD_NOT_REACHED] = SQL_AND(
        INTO_SET,
        "SELECT id FROM keys WHERE (id = $1 OR (parent IS NOT NULL AND parent = $1))"
        " AND deleted_at IS NULL AND (kind >= 2) = ($2::bigint <> 0) AND " NOT_REACHED("keys")),
    [ST_SQL_SET_ADD_DERIVED_NOT_REACHED] =
        SQL_AND(INTO_SET | ST_POSTGRES_WITH_DERIVED,
                "SELECT id FROM keys WHERE (" IN_SET(
                    "$3") " OR (" OF_PARENT
                          "= ANY($3::text[]))) AND owner = $1 AND (kind >= 2) = ($2::bigint <> 0)"
                          " AND deleted_at IS NULL AND " NOT_REACHED("keys")),
    [ST_SQL_SET_DROP_UNCHANGED] =
        SQL_AND(INTO_SET | WITH_SET | ST_POSTGRES_REPLACES,
                "SELECT id FROM keys WHERE " IN_SET(
                    "$1") " AND (disabled + suspended > 0) <>"
                          " EXISTS (SELECT 1 FROM listed WHERE listed.sub = keys.sub)"),
    [ST_SQL_SET_COUNT] =
        SQL_AND(WITH_SET,
                "SELECT count(*), count(*) FILTER (WHERE kind = 0),"
                " count(*) FILTER (WHERE kind >= 2) FROM keys WHERE " IN_SET("$1")),
    [ST_SQL_SET_REVOKE] = SQL_AND(
        WITH_SET | LATER,
        "INSERT INTO revoked (sub, key_id, revoked_at)"
        " SELECT sub, id, $1::bigint FROM keys WHERE " IN_SET("$2") " ON CONFLICT DO NOTHING"),
    /* The sub of one that is disabled is listed already, without a time. */
    [ST_SQL_SET_LIST] = SQL_AND(
        WITH_SET | LATER,
        "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
        " SELECT sub, hash, " LATEST_CLOCK ", " SETTING(
            "lived") " FROM keys"
                     " WHERE " IN_SET(
                         "$2") " ON CONFLICT (sub) DO UPDATE SET revoked_at = excluded.revoked_at,"
                               " lived_at = excluded.lived_at"),
    [ST_SQL_SET_LOG] =
        SQL_AND(WITH_SET | LATER,
                "INSERT INTO changes (sequence, hash)"
                " SELECT $1::bigint, hash FROM keys WHERE " IN_SET("$2") " ON CONFLICT DO NOTHING"),
    [ST_SQL_SET_LOG_TOKENS] =
        SQL_AND(WITH_SET | LATER,
                "INSERT INTO changes (sequence, hash) SELECT $1::bigint, listed.hash"
                " FROM listed, keys WHERE " TOKENS_OF_SET("$2") " ON CONFLICT DO NOTHING"),
    [ST_SQL_SET_UNLIST_TOKENS] =
        SQL_AND(WITH_SET | LATER, "DELETE FROM listed USING keys WHERE " TOKENS_OF_SET("$1")),
    [ST_SQL_SET_DELETE] = SQL_AND(WITH_SET | INTO_WRITTEN,
                                  "UPDATE keys SET deleted_at = $1, changed_at = $1"
                                  " WHERE " IN_SET("$2") RETURNING_DIGESTS),
    [ST_SQL_SET_DELETE_DIGESTS] = SQL_AND(WITH_SET | LATER, "UPDATE keys SET digest = " RANDOM_32
                                                            " WHERE kind = 1 AND " IN_SET("$1")),
    [ST_SQL_SET_AUDIT_KEYS] = SQL_AND(
        WITH_SET | WITH_CHANGE | LATER,
        "INSERT INTO audit (at, who, origin, action, target, detail, change)"
        " SELECT $1::bigint, $2::text, $3::text, $4::text, id, $5::text || $6::text || name,"
        " $8::bytea FROM keys WHERE kind = 0 AND " IN_SET("$7") " ORDER BY id"),
    [ST_SQL_SET_AUDIT_SESSIONS] = SQL_AND(
        WITH_SET | WITH_CHANGE | LATER,
        "INSERT INTO audit (at, who, origin, action, target, detail, change)"
        " SELECT $1::bigint, $2::text, $3::text, $4::text, id, $5::text, $7::bytea FROM keys"
        " WHERE kind >= 2 AND " IN_SET("$6") " ORDER BY n"),
    [ST_SQL_SET_ADD_DERIVED] =
        SQL_AND(INTO_SET | ST_POSTGRES_WITH_DERIVED,
                "SELECT id FROM keys WHERE " IN_SET("$1") " AND kind <= 1 AND " IN_FORCE("keys")),
    [ST_SQL_SET_AUDIT_USERS] =
        SQL_AND(WITH_SET | WITH_CHANGE | LATER,
                "INSERT INTO audit (at, who, origin, action, target, detail, change)"
                " SELECT $1::bigint, $2::text, $3::text, $4::text, owner, $5::text, $7::bytea"
                " FROM keys WHERE kind = 1 AND " IN_SET("$6") " ORDER BY owner"),
    [ST_SQL_SET_DELETE_USERS] = SQL_AND(WITH_SET, "DELETE FROM users WHERE key_" IN_SET("$1")),
    [ST_SQL_SET_SUSPEND] =
        SQL_AND(WITH_SET | INTO_WRITTEN,
                "UPDATE keys SET suspended = $1::bigint,"
                " changed_at = greatest(changed_at, $2::bigint)"
                " WHERE kind = 0 AND suspended <> $1::bigint AND " IN_SET("$3") RETURNING_DIGESTS),
    [ST_SQL_SET_LIST_DISABLED] =
        SQL_AND(WITH_SET | LATER,
                "INSERT INTO listed (sub, hash, revoked_at)"
                " SELECT sub, hash, NULL FROM keys"
                " WHERE disabled + suspended > 0 AND " IN_SET("$1") " ON CONFLICT DO NOTHING"),
    [ST_SQL_SET_UNLIST_ENABLED] =
        SQL_AND(WITH_SET | LATER,
                "DELETE FROM listed USING keys WHERE listed.revoked_at IS NULL"
                " AND listed.sub = keys.sub AND keys.disabled + keys.suspended = 0"
                " AND keys." IN_SET("$1")),
    [ST_SQL_SET_REMOVE_REVOKED] = SQL_AND(WITH_SET, "DELETE FROM revoked WHERE key_" IN_SET("$1")),
    [ST_SQL_SET_REMOVE_REFRESH] =
        SQL_AND(WITH_SET, "DELETE FROM refresh_tokens WHERE key_" IN_SET("$1")),
    [ST_SQL_SET_REMOVE_SESSIONS] =
        SQL_AND(WITH_SET, "DELETE FROM sessions WHERE key_" IN_SET("$1")),
    [ST_SQL_SET_REMOVE_USED] = SQL_AND(WITH_SET, "DELETE FROM used WHERE key_" IN_SET("$1")),
    [ST_SQL_SET_REMOVE_ROWS] =
        SQL_AND(WITH_SET | INTO_WRITTEN, "DELETE FROM keys WHERE " IN_SET("$1") RETURNING_DIGESTS),
    [ST_SQL_SET_ADD_SNAPSHOT_SESSIONS] = SQL_AND(
        INTO_SET | WITH_SNAPSHOT,
        "SELECT id FROM keys WHERE kind >= 2 AND deleted_at IS NULL"
        " AND (hash IN (SELECT unnest($1::bigint[])) OR parent IN (SELECT id FROM keys"
        " WHERE kind < 2 AND deleted_at IS NULL AND hash IN (SELECT unnest($1::bigint[]))))"),
    [ST_SQL_SET_ADD_SNAPSHOT_KEYS] =
        SQL_AND(INTO_SET | WITH_SNAPSHOT,
                "SELECT id FROM keys WHERE kind < 2 AND deleted_at IS NULL"
                " AND hash IN (SELECT unnest($1::bigint[]))"),
    [ST_SQL_SET_DISABLE] =
        SQL_AND(WITH_SET | INTO_WRITTEN,
                "UPDATE keys SET disabled = 1, disabled_by = NULL, changed_at = $1"
                " WHERE disabled = 0 AND " IN_SET("$2") RETURNING_DIGESTS),

    [ST_SQL_DERIVED_CLEAR] = HERE,
    /* The row itself; of a user, also those of the user's keys that have made something for others:
     * keys that live, and keys that these made for the user. $3: at most.
     */
    [ST_SQL_DERIVED_ADD_BASE] =
        SQL_AND(ST_POSTGRES_INTO_BASE,
                "WITH RECURSIVE maker (id) AS ("
                " (SELECT min(made_by) FROM keys WHERE made_by_owner = $2)"
                " UNION ALL SELECT (SELECT min(k.made_by) FROM keys AS k"
                "  WHERE k.made_by_owner = $2 AND k.made_by > maker.id) FROM maker"
                "  WHERE maker.id IS NOT NULL),"
                " above (id, at) AS ("
                " SELECT id, id FROM (SELECT id FROM maker WHERE id IS NOT NULL LIMIT $3) AS taken"
                " UNION SELECT above.id, k.made_by FROM above JOIN keys AS k ON k.id = above.at"
                "  WHERE k.owner = $2 AND k.kind = 0 AND k.deleted_at IS NOT NULL"
                "  AND k.made_by IS NOT NULL)"
                " SELECT $1::text COLLATE \"C\" UNION SELECT above.id FROM above"
                " JOIN keys AS k ON k.id = above.at WHERE above.at = $1"
                "  OR (k.owner = $2 AND k.kind = 0 AND k.deleted_at IS NULL)"),
    /* A key is made with the permission keys, a user with users. */
    [ST_SQL_DERIVED_ADD_DIRECT] =
        SQL_AND(ST_POSTGRES_WITH_BASE | ST_POSTGRES_INTO_DERIVED,
                "SELECT id FROM keys WHERE made_by IS NOT NULL AND made_by = ANY($3::text[])"
                " AND " HOLDS_MORE " LIMIT $2"),
    /* $3: the username. Of a user's other keys none is looked at. */
    [ST_SQL_DERIVED_ADD_DIRECT_OF_USER] =
        SQL_AND(ST_POSTGRES_WITH_BASE | ST_POSTGRES_INTO_DERIVED,
                "SELECT id FROM keys WHERE made_by_owner = $3 AND made_by = ANY($4::text[])"
                " AND " HOLDS_MORE " LIMIT $2"),
    [ST_SQL_DERIVED_ADD_REST] =
        SQL_AND(ST_POSTGRES_WITH_DERIVED | ST_POSTGRES_INTO_DERIVED,
                "WITH RECURSIVE rest (id) AS (SELECT unnest($3::text[]) COLLATE \"C\""
                " UNION SELECT more.id FROM rest CROSS JOIN LATERAL"
                " (SELECT k.id FROM keys AS k WHERE k.made_by IS NOT NULL AND k.made_by = rest.id"
                " UNION ALL SELECT k.id FROM keys AS u JOIN keys AS k ON k.owner = u.owner"
                " WHERE u.id = rest.id AND u.kind = 1 AND u.deleted_at IS NULL"
                " AND k.kind = 0 AND k.deleted_at IS NULL) AS more)"
                " SELECT rest.id FROM rest JOIN keys AS k ON k.id = rest.id"
                " WHERE NOT ($2::text IS NOT NULL AND k.owner = $2::text AND k.kind = 0"
                "  AND k.deleted_at IS NULL) LIMIT $1"),
    [ST_SQL_DERIVED_COUNT] =
        SQL_AND(ST_POSTGRES_WITH_DERIVED,
                "SELECT count(*) FILTER (WHERE kind = 0), count(*) FILTER (WHERE kind = 1),"
                " cardinality($2::text[]) " VALID_DERIVED("$2")),
    [ST_SQL_DERIVED_LIST] = SQL_AND(ST_POSTGRES_WITH_DERIVED,
                                    "SELECT kind, CASE kind WHEN 1 THEN owner ELSE id END"
                                    " " VALID_DERIVED("$3") " ORDER BY 1, 2 LIMIT $2"),

    [ST_SQL_REMAINING_INSERT] = SQL_AND(
        INTO_WRITTEN,
        "INSERT INTO remaining (owner, what, permissions, sequence, at, who, origin, because)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING NULL::bytea"),
    [ST_SQL_REMAINING_FIND] = SQL("SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner = $1"),
    [ST_SQL_REMAINING_NEXT] = SQL("SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner > $1"
                                  " ORDER BY owner LIMIT 1"),
    [ST_SQL_REMAINING_OF_ROW] =
        SQL("SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner = (SELECT owner FROM keys"
            " WHERE id = $1 AND kind <> 1 AND deleted_at IS NULL)"),
    [ST_SQL_REMAINING_ENDS] =
        SQL("SELECT 1 FROM remaining WHERE owner = $1 AND what = 'end'"
            " AND (permissions IS NULL OR " MEET("$2::text", "permissions") ")"),
    [ST_SQL_REMAINING_MOVE] =
        SQL("UPDATE remaining SET keys_reached = $2::bigint, after = $3 WHERE owner = $1"),
    [ST_SQL_REMAINING_DELETE] = SQL("DELETE FROM remaining WHERE owner = $1"),
    [ST_SQL_REMAINING_SESSIONS] = SQL("SELECT id, " NOT_REACHED(
        "keys") " FROM keys WHERE owner = $1"
                " AND " LIVING_SESSION " AND id > $2 ORDER BY id LIMIT $3"),
    [ST_SQL_REMAINING_KEYS] = SQL(
        "SELECT id, " NOT_REACHED("keys") " FROM keys WHERE owner = $1"
                                          " AND " LIVING_KEY " AND id > $2 ORDER BY id LIMIT $3"),
    [ST_SQL_OWNED_AT_MOST] =
        SQL("SELECT (SELECT count(*) FROM (SELECT 1 " LIVING_OF_OWNER " LIMIT $2) AS k) +"
            " (SELECT count(*) FROM (SELECT 1 " SESSIONS_OF_OWNER " LIMIT $2) AS s)"),
    [ST_SQL_OWNED_CHANGED] =
        SQL("SELECT 1 FROM audit WHERE id > $2 AND (target = $1 OR EXISTS"
            " (SELECT 1 FROM keys WHERE keys.id = audit.target AND keys.owner = $1)) LIMIT 1"),
    [ST_SQL_OWNED_HOLDING] = SQL(
        "SELECT count(*), coalesce(max(id), ''), count(*) FILTER (WHERE $4::text IS NULL OR " MEET(
            "permissions", "$4::text") ") FROM (SELECT id, permissions FROM keys"
                                       " WHERE owner = $1 AND " LIVING_KEY
                                       " AND id > $2 ORDER BY id LIMIT $3) AS p"),
    [ST_SQL_OWNED_HOLDING_SESSIONS] = SQL(
        "SELECT count(*), coalesce(max(id), ''), count(*) FILTER (WHERE $4::text IS NULL OR " MEET(
            "permissions", "$4::text") ") FROM (SELECT id, permissions FROM keys"
                                       " WHERE owner = $1 AND " LIVING_SESSION
                                       " AND id > $2 ORDER BY id LIMIT $3) AS p"),

    [ST_SQL_AUDIT_INSERT] =
        SQL_AND(WITH_CHANGE | LATER,
                "INSERT INTO audit (at, who, origin, action, target, detail, change)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7)"),
    [ST_SQL_AUDIT_LAST] = SQL("SELECT coalesce(max(id), 0) FROM audit"),
    [ST_SQL_AUDIT_LIST] = SQL("SELECT id, at, action, who, origin, target, detail FROM audit"
                              " WHERE id < $1 ORDER BY id DESC LIMIT $2"),
    [ST_SQL_AUDIT_AFTER] = SQL("SELECT id, at, action, who, origin, target, detail FROM audit"
                               " WHERE id > $1 AND id <= $3 ORDER BY id LIMIT $2"),
    [ST_SQL_AUDIT_BOUND] =
        SQL("SELECT (SELECT coalesce(max(id), 0) FROM audit), pg_snapshot_xmin(s)::text::bigint,"
            " pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() AS s"),
    [ST_SQL_AUDIT_IS_OLD] =
        SQL("SELECT 1 FROM audit WHERE at < $1 AND id <= $2"
            " AND id < (SELECT max(id) FROM audit) AND action <> 'audit.cut' LIMIT 1"),
    [ST_SQL_AUDIT_CUT] =
        SQL("DELETE FROM audit WHERE id = ANY(ARRAY(SELECT id FROM audit WHERE at < $1"
            " AND id <= $2 AND id < (SELECT max(id) FROM audit) ORDER BY at, id LIMIT $3))"),
    [ST_SQL_AUDIT_MARK] = SQL(
        "INSERT INTO settings (name, value) SELECT $1::text, id"
        " FROM (SELECT max(id) AS id FROM audit) AS last WHERE id > (SELECT"
        " coalesce(max(value), 0) FROM settings WHERE name >= 'audit_mark:' AND name < $1::text)"
        " ON CONFLICT (name) DO NOTHING"),
    [ST_SQL_AUDIT_MARKED] = SQL("SELECT coalesce(max(value), 0) FROM settings"
                                " WHERE name >= 'audit_mark:' AND name <= $1"),
    [ST_SQL_AUDIT_UNMARK] =
        SQL("DELETE FROM settings WHERE name >= 'audit_mark:' AND name < $1 AND value < $2"),
    SEARCH_STATEMENTS,

    [ST_SQL_SETTING_SET] = SQL("INSERT INTO settings (name, value) VALUES ($1, $2)"
                               " ON CONFLICT (name) DO UPDATE SET value = excluded.value"),
    [ST_SQL_SETTING_RAISE] =
        SQL("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name)"
            " DO UPDATE SET value = excluded.value WHERE settings.value < excluded.value"),
    [ST_SQL_SETTING_GET] = SQL("SELECT value FROM settings WHERE name = $1"),
    [ST_SQL_SEQUENCE_NEXT] =
        SQL("UPDATE settings SET value = greatest(value + 1, $1) WHERE name = 'sequence'"),
    [ST_SQL_SEQUENCE_GET] = SQL("SELECT value FROM settings WHERE name = 'sequence'"),
    [ST_SQL_SEQUENCE_RECORD] = SQL_AND(LATER, "INSERT INTO issued (sequence) VALUES ($1)"),
    [ST_SQL_SEQUENCE_LENGTH] =
        SQL("SELECT sequence FROM issued ORDER BY sequence DESC LIMIT 1 OFFSET $1"),
    [ST_SQL_SEQUENCE_CUT] = SQL("DELETE FROM issued WHERE sequence <= $1"),
    [ST_SQL_SEQUENCE_FROM] = SQL(
        "UPDATE settings SET value = greatest(value, $1::bigint + 1) WHERE name = 'given_from'"),

    [ST_SQL_LOG_LENGTH] =
        SQL("SELECT sequence FROM changes ORDER BY sequence DESC LIMIT 1 OFFSET $1"),
    [ST_SQL_LOG_CUT] = SQL("DELETE FROM changes WHERE ctid = ANY(ARRAY"
                           "(SELECT ctid FROM changes WHERE sequence <= $1 LIMIT $2))"),
    [ST_SQL_LOG_FROM] =
        SQL("UPDATE settings SET value = greatest(value, $1) WHERE name = 'changes_from'"),
    [ST_SQL_PURGE_LOG] = SQL_AND(
        LATER, "INSERT INTO changes (sequence, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING"),
    /* $1: by the clock that revoked them; $2: by uptime. */
    [ST_SQL_PURGE_LISTED] =
        SQL("DELETE FROM listed WHERE ctid = ANY(ARRAY(SELECT ctid FROM listed"
            " WHERE revoked_at < $1 AND lived_at < $2 LIMIT $3)) RETURNING hash"),
    [ST_SQL_PURGE_REFRESH] =
        SQL("DELETE FROM refresh_tokens WHERE hash = ANY(ARRAY"
            "(SELECT hash FROM refresh_tokens WHERE expires_at < $1 LIMIT $2))"),

    [ST_SQL_SNAPSHOT_CLEAR] = HERE,
    [ST_SQL_SNAPSHOT_ADD] = HERE,
    [ST_SQL_SNAPSHOT_DROP_KNOWN] =
        SQL_AND(WITH_SNAPSHOT | ST_POSTGRES_INTO_SNAPSHOT | ST_POSTGRES_REPLACES,
                "SELECT DISTINCT s.hash FROM unnest($2::bigint[]) AS s (hash)"
                " WHERE NOT EXISTS (SELECT 1 FROM listed WHERE listed.hash = s.hash)"
                " AND s.hash NOT IN (SELECT hash FROM changes WHERE sequence > $1)"),
    [ST_SQL_SNAPSHOT_LIST] =
        SQL_AND(WITH_SNAPSHOT,
                "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
                " SELECT " NAMELESS_OF_SNAPSHOT("hash") ", hash, $1::bigint, " SETTING(
                    "lived") " FROM unnest($2::bigint[]) AS s (hash) ON CONFLICT DO NOTHING"),
    [ST_SQL_SNAPSHOT_LOG] =
        SQL_AND(WITH_SNAPSHOT,
                "INSERT INTO changes (sequence, hash) SELECT $1::bigint, hash"
                " FROM unnest($2::bigint[]) AS s (hash) ON CONFLICT DO NOTHING"),
    [ST_SQL_HASH_KEY_IS] =
        SQL("SELECT 1 WHERE " SETTING("hash_key_0") " = $1 AND " SETTING("hash_key_1") " = $2"),
    [ST_SQL_LISTED_WITHOUT_SUB] =
        SQL("SELECT 1 FROM listed WHERE sub >= '=' AND sub < '>' LIMIT 1"),
    [ST_SQL_LISTED_HASH_ANEW] = HERE,
    [ST_SQL_SUB_LIST] = SQL_HASHED(
        1, 0,
        "INSERT INTO listed (sub, hash, revoked_at, lived_at) SELECT"
        " CASE WHEN char_length($1::text) = 43 THEN $1::text"
        " ELSE " NAMELESS("$3::bigint") " END, $3::bigint, $2::bigint, " SETTING("lived")),
    [ST_SQL_SUB_LOG] =
        SQL_HASHED(2, 0,
                   "INSERT INTO changes (sequence, hash) SELECT $1::bigint, $3::bigint"
                   " WHERE $2::text IS NOT NULL ON CONFLICT DO NOTHING"),

    [ST_SQL_ANY_ROW_WRITTEN] =
        SQL_AND(INTO_WRITTEN,
                "INSERT INTO written (xid, digest8) VALUES (pg_current_xact_id(), NULL)"
                " RETURNING NULL::bytea"),

    [ST_SQL_TOKEN_IS_LISTED] = SQL("SELECT 1 FROM listed WHERE sub = " TOKEN_NAME("$1")),
    [ST_SQL_TOKEN_COUNT_OTHERS] =
        SQL("SELECT count(*) FROM listed WHERE " TOKEN_OF_ROOT " AND NOT (" MADE_FROM_TOKEN ")"),
    [ST_SQL_TOKEN_LOG_MADE] = SQL("INSERT INTO changes (sequence, hash) SELECT $4::bigint, hash"
                                  " FROM listed WHERE " MADE_FROM_TOKEN " ON CONFLICT DO NOTHING"),
    [ST_SQL_TOKEN_UNLIST_MADE] = SQL("DELETE FROM listed WHERE " MADE_FROM_TOKEN),
    [ST_SQL_TOKEN_LIST] = SQL_HASHED(1, 0, "INSERT INTO listed (" COPIED_OF_LISTED ") " TOKEN_ROW),
    [ST_SQL_TOKEN_PURGE] = SQL("DELETE FROM listed WHERE ctid = ANY(ARRAY(SELECT ctid FROM listed"
                               " WHERE until IS NOT NULL AND until < $1 LIMIT $2)) RETURNING hash"),

    COPY_STATEMENTS,
};
