/* The text of the statements of the rules. src/store says what they are for, where it runs them.
 * What this store asks besides is in own_statements.c, the tables of the database are in schema.c;
 * row_set, derived and snapshot are tables of the connection alone, in memory (open.c).
 */
#include "store/sqlite/search_statements.h"

const char *const st_sqlite_sql[ST_SQL_COUNT] = {
    [ST_SQL_ROW_FIND] = "SELECT " COLUMNS " FROM keys WHERE id = ?1 AND " IN_FORCE("keys"),
    [ST_SQL_ROW_FIND_SUB] = "SELECT id FROM keys WHERE sub = ?1 AND " IN_FORCE("keys"),
    [ST_SQL_ROW_DISABLE] =
        /* ?4: who; ?5: not when it is disabled already */
        "UPDATE keys SET disabled = ?3, changed_at = ?2, disabled_by ="
        " CASE WHEN ?3 = 0 THEN NULL WHEN ?5 AND disabled = 1 THEN disabled_by ELSE ?4 END"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [ST_SQL_ROW_REPLACE_SUB] =
        "UPDATE keys SET sub = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [ST_SQL_ROW_GRANT] =
        "UPDATE keys SET permissions = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [ST_SQL_ROW_EXTEND] =
        "UPDATE keys SET expires_at = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [ST_SQL_ROW_HAS_TOKEN] = "UPDATE keys SET has_token = 1, changed_at = max(changed_at, ?2)"
                             " WHERE id = ?1",
    /* Nor may it fall on a hash that is listed. */
    [ST_SQL_SUB_IS_REVOKED] =
        "SELECT 1 FROM revoked WHERE sub = ?1"
        " UNION ALL SELECT 1 FROM listed WHERE hash = " HASH_OF("?1")
        " UNION ALL SELECT 1 FROM keys WHERE sub = ?1 AND deleted_at IS NULL AND " ENDED("keys"),

    /* made_by_owner: whose row made it, unless it is another key of the same owner. */
    [ST_SQL_KEY_INSERT] =
        "INSERT INTO keys (" STORED_COLUMNS
        ", digest, changed_at, deleted_at, made_by, made_by_owner, audience)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?6, NULL, ?13,"
        " (SELECT by.owner FROM keys AS by WHERE by.id = ?13 AND by.owner <> ''"
        "  AND NOT (?9 = 0 AND by.owner = ?4)), ?14)",
    [ST_SQL_KEY_FIND] = "SELECT " LISTED_COLUMNS " FROM keys WHERE id = ?1 AND " KEY_IN_FORCE,
    [ST_SQL_KEY_FIND_SUB] = "SELECT " LISTED_COLUMNS " FROM keys WHERE sub = ?1 AND " KEY_IN_FORCE,
    [ST_SQL_KEY_LIST] = "SELECT " LISTED_COLUMNS " FROM keys WHERE id > ?1 AND " KEY_IN_FORCE
             " ORDER BY id LIMIT ?2",
    /* The first table: nothing of an owner is looked at when all has ended. */
    [ST_SQL_KEY_LIST_OWNED] =
        "SELECT " LISTED_COLUMNS
        " FROM (SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM remaining AS m"
        "  WHERE m.owner = ?3 AND m.what = 'end' AND m.permissions IS NULL)) CROSS JOIN keys"
        " WHERE owner = ?3 AND id > ?1 AND " KEY_IN_FORCE " ORDER BY id LIMIT ?2",
    [ST_SQL_KEY_COUNT] =
        "SELECT count(*), coalesce(max(id), ''), coalesce(sum(NOT ended), 0), 0 FROM"
        " (SELECT id, " ANY_REMAINING " AND " ENDED("keys") " AS ended FROM keys INDEXED BY keys_kept"
        "  WHERE id > ?1 AND " LIVING_KEY " ORDER BY id LIMIT ?2)",
    [ST_SQL_KEY_COUNT_OWNED] = "SELECT count(*) " LIVING_OF_OWNER,
    [ST_SQL_KEY_COUNT_OWNED_TO] = "SELECT count(*) FROM (SELECT 1 " LIVING_OF_OWNER " LIMIT ?2)",
    [ST_SQL_KEY_COUNT_UNOWNED_TO] =
        "SELECT count(*) FROM (SELECT 1 FROM keys WHERE made_by = ?1 AND owner = ''"
        " AND " LIVING_KEY " LIMIT ?2)",
    [ST_SQL_KEY_COUNT_EXPIRING] =
        "WITH step AS (SELECT expires_at, id, " ANY_REMAINING " AND " ENDED("keys") " AS ended"
        "  FROM keys INDEXED BY keys_expiring WHERE (expires_at, id) > (?1, ?2)"
        "  AND expires_at >= ?1 AND expires_at <= ?3 AND " LIVING_KEY
        "  ORDER BY expires_at, id LIMIT ?4)"
        " SELECT count(*), coalesce((SELECT max(id) FROM step WHERE expires_at ="
        "  (SELECT max(expires_at) FROM step)), ''), coalesce(sum(NOT ended), 0), coalesce(max(expires_at), 0) FROM step",
    /* ?3: the id of the key that ends at ?1 and was the last; ?4: at most */
    [ST_SQL_KEY_LIST_EXPIRING] =
        "SELECT " LISTED_COLUMNS " FROM keys WHERE (expires_at, id) > (?1, ?3) AND expires_at >= ?1"
        " AND expires_at <= ?2 AND " KEY_IN_FORCE " ORDER BY expires_at, id LIMIT ?4",
    [ST_SQL_KEY_RENAME] = "UPDATE keys SET name = ?3, changed_at = ?2"
                          " WHERE id = ?1 AND " LIVING_KEY,
    [ST_SQL_KEY_USED] =
        "INSERT INTO used (key_id, used_at)"
        " SELECT id, ?2 FROM keys WHERE id = ?1 AND deleted_at IS NULL"
        " ON CONFLICT (key_id) DO UPDATE SET used_at = max(used_at, excluded.used_at)",

    /* ?4: NULL: the digest before is no longer good. */
    [ST_SQL_KEY_ROTATE] =
        "UPDATE keys SET old_digest = iif(?4 IS NULL, NULL, digest), old_until = ?4, digest = ?3,"
        " rotated_at = ?2, changed_at = max(changed_at, ?2) WHERE id = ?1 AND " LIVING_KEY,
    [ST_SQL_DIGEST_REPLACE] = "INSERT INTO replaced (digest, key_id)"
                              " SELECT digest, id FROM keys WHERE id = ?1 AND " LIVING_KEY,
    [ST_SQL_DIGEST_IS_REPLACED] = "SELECT 1 FROM replaced WHERE digest = ?1",

    /* CROSS JOIN: in this order, whatever the planner thinks of the sizes. */
    [ST_SQL_USER_FIND] = "SELECT " USER_COLUMNS
                    " FROM persons CROSS JOIN keys WHERE login = ?1 AND keys.id = persons.key_id",
    [ST_SQL_USER_LIST] = "SELECT " USER_COLUMNS
                    " FROM persons CROSS JOIN keys WHERE login > ?1 AND keys.id = persons.key_id"
                    " ORDER BY login LIMIT ?2",
    [ST_SQL_USER_WAS_DELETED] =
        "SELECT 1 FROM keys WHERE kind = 1 AND owner = ?1 AND deleted_at IS NOT NULL LIMIT 1",
    [ST_SQL_USER_INSERT] =
        "INSERT INTO persons (login, key_id, password, imported, locale, source, changed_at,"
        " registered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    /* NULL leaves it as it is. */
    [ST_SQL_USER_UPDATE] =
        "UPDATE persons SET changed_at = ?2, password = coalesce(?3, password),"
        " imported = coalesce(?4, imported),"
        " own_password = iif(?3 IS NULL, own_password, ?4 IS NULL) WHERE login = ?1",
    [ST_SQL_USER_REHASH] = "UPDATE persons SET password = ?3 WHERE login = ?1 AND password = ?2",
    [ST_SQL_USER_DELETE] = "DELETE FROM persons WHERE login = ?1",

    [ST_SQL_SESSION_INSERT] = "INSERT INTO logins (key_id, seed) VALUES (?1, ?2)",
    [ST_SQL_SESSION_SEED] = "SELECT seed FROM logins WHERE key_id = ?1",
    [ST_SQL_SESSION_GRANT] =
        "UPDATE keys SET permissions = ?3, changed_at = ?2"
        " WHERE parent = ?1 AND deleted_at IS NULL",
    [ST_SQL_REFRESH_INSERT] =
        "INSERT INTO refresh (hash, key_id, expires_at, used_at) VALUES (?1, ?2, ?3, NULL)",
    [ST_SQL_REFRESH_FIND] = "SELECT key_id, expires_at, used_at FROM refresh WHERE hash = ?1",
    [ST_SQL_REFRESH_USE] = "UPDATE refresh SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL",
    /* For a reader: of which session that lives is it? What follows from it, the change finds
     * out. */
    [ST_SQL_REFRESH_SESSION] =
        "SELECT " LISTED_COLUMNS " FROM keys"
        " WHERE id = (SELECT key_id FROM refresh WHERE hash = ?1 AND expires_at > ?2)"
        " AND " IN_FORCE("keys") " AND disabled + suspended = 0"
        " AND (expires_at IS NULL OR expires_at > ?2)",

    [ST_SQL_SET_CLEAR] = "DELETE FROM temp.row_set",
    [ST_SQL_SET_ADD_ROW] = "INSERT INTO temp.row_set (id) VALUES (?1)",
    [ST_SQL_SET_ADD_OWNED] = ADD LIVING_OF_OWNER,
    [ST_SQL_SET_ADD_HOLDING] = ADD LIVING_OF_OWNER
    " AND instr(',' || permissions || ',', ',' || ?2 || ',') > 0",
    [ST_SQL_SET_ADD_SESSIONS] = ADD "FROM keys WHERE parent = ?1 AND deleted_at IS NULL",
    [ST_SQL_SET_ADD_SESSIONS_OF_OWNED] = ADD
    "FROM keys WHERE parent IN (SELECT id " LIVING_OF_OWNER ") AND deleted_at IS NULL",
    [ST_SQL_SET_ADD_DEPENDENT] = ADD
    "FROM keys WHERE parent IN (SELECT id FROM temp.row_set) AND deleted_at IS NULL",
    /* Rows are inserted with growing rowids, and keys_resting is in their order. */
    [ST_SQL_SET_ADD_OLDEST] = ADD
    "FROM keys WHERE parent = ?1 AND " IN_FORCE("keys") " AND expires_at > ?2"
    " ORDER BY rowid DESC LIMIT -1 OFFSET ?3",
    [ST_SQL_SET_ADD_ENDED] = ADD
    "FROM keys WHERE kind >= 2 AND coalesce(deleted_at, expires_at) < ?1"
    " AND owner NOT IN (SELECT owner FROM remaining) LIMIT ?2",
    [ST_SQL_SET_ADD_NOT_REACHED] = ADD
    "FROM keys WHERE (id = ?1 OR parent = ?1) AND (kind >= 2) = ?2 AND deleted_at IS NULL AND "
    NOT_REACHED("keys"),
    [ST_SQL_SET_ADD_DERIVED_NOT_REACHED] = ADD
    "FROM keys WHERE owner = ?1 AND (kind >= 2) = ?2 AND deleted_at IS NULL"
    " AND (id IN (SELECT id FROM temp.derived WHERE base = 0)"
    " OR parent IN (SELECT id FROM temp.derived WHERE base = 0)) AND " NOT_REACHED("keys"),
    [ST_SQL_SET_DROP_UNCHANGED] =
        "DELETE FROM temp.row_set WHERE EXISTS (SELECT 1 FROM keys"
        " WHERE keys.id = row_set.id AND (disabled + suspended > 0) ="
        " EXISTS (SELECT 1 FROM listed WHERE listed.sub = keys.sub))",
    [ST_SQL_SET_COUNT] =
        "SELECT count(*), coalesce(sum(kind = 0), 0), coalesce(sum(kind >= 2), 0)"
        " FROM keys WHERE " IN_SET,
    [ST_SQL_SET_REVOKE] =
        "INSERT OR IGNORE INTO revoked (sub, key_id, revoked_at)"
        " SELECT sub, id, ?1 FROM keys WHERE " IN_SET,
    /* The sub of one that is disabled is listed already, without a time. */
    [ST_SQL_SET_LIST] =
        "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
        " SELECT sub, " HASH_OF("sub") ", " LATEST_CLOCK ", " FACT("lived") " FROM keys"
        " WHERE " IN_SET
        " ON CONFLICT (sub) DO UPDATE SET revoked_at = excluded.revoked_at,"
        " lived_at = excluded.lived_at",
    [ST_SQL_SET_LOG] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?1, " HASH_OF("sub") " FROM keys WHERE " IN_SET,
    [ST_SQL_SET_LOG_TOKENS] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?1, hash FROM listed INDEXED BY listed_tokens WHERE " TOKENS_OF_SET,
    [ST_SQL_SET_UNLIST_TOKENS] =
        "DELETE FROM listed INDEXED BY listed_tokens WHERE " TOKENS_OF_SET,
    [ST_SQL_SET_DELETE] = "UPDATE keys SET deleted_at = ?1, changed_at = ?1 WHERE " IN_SET,
    /* By itself: a row whose digest is set, to whatever, costs a page of its index. */
    [ST_SQL_SET_DELETE_DIGESTS] =
        "UPDATE keys SET digest = randomblob(32) WHERE kind = 1 AND " IN_SET,
    [ST_SQL_SET_AUDIT_KEYS] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, ?4, id, ?5 || ?6 || name FROM keys"
        " WHERE kind = 0 AND " IN_SET " ORDER BY id",
    [ST_SQL_SET_AUDIT_SESSIONS] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, ?4, id, ?5 FROM keys"
        " WHERE kind >= 2 AND " IN_SET " ORDER BY rowid",
    [ST_SQL_SET_ADD_DERIVED] = ADD
    "FROM keys WHERE id IN (SELECT id FROM temp.derived WHERE base = 0) AND kind <= 1"
    " AND " IN_FORCE("keys"),
    [ST_SQL_SET_AUDIT_USERS] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, ?4, owner, ?5 FROM keys"
        " WHERE kind = 1 AND " IN_SET " ORDER BY owner",
    [ST_SQL_SET_DELETE_USERS] = "DELETE FROM persons WHERE key_" IN_SET,
    [ST_SQL_SET_SUSPEND] = "UPDATE keys SET suspended = ?1, changed_at = max(changed_at, ?2)"
                           " WHERE kind = 0 AND suspended <> ?1 AND " IN_SET,
    [ST_SQL_SET_LIST_DISABLED] =
        "INSERT OR IGNORE INTO listed (sub, hash, revoked_at)"
        " SELECT sub, " HASH_OF("sub") ", NULL FROM keys"
        " WHERE disabled + suspended > 0 AND " IN_SET,
    [ST_SQL_SET_UNLIST_ENABLED] =
        "DELETE FROM listed WHERE revoked_at IS NULL AND sub IN"
        " (SELECT sub FROM keys WHERE disabled + suspended = 0 AND " IN_SET ")",
    [ST_SQL_SET_REMOVE_REVOKED] = "DELETE FROM revoked WHERE key_" IN_SET,
    [ST_SQL_SET_REMOVE_REFRESH] = "DELETE FROM refresh WHERE key_" IN_SET,
    [ST_SQL_SET_REMOVE_SESSIONS] = "DELETE FROM logins WHERE key_" IN_SET,
    [ST_SQL_SET_REMOVE_USED] = "DELETE FROM used WHERE key_" IN_SET,
    [ST_SQL_SET_REMOVE_ROWS] = "DELETE FROM keys WHERE " IN_SET,
    [ST_SQL_SET_ADD_SNAPSHOT_SESSIONS] = ADD
    "FROM keys WHERE kind >= 2 AND deleted_at IS NULL AND (" HASH_OF("sub")
    " IN (SELECT hash FROM temp.snapshot) OR parent IN (SELECT id FROM keys WHERE kind < 2"
    " AND deleted_at IS NULL AND " HASH_OF("sub") " IN (SELECT hash FROM temp.snapshot)))",
    [ST_SQL_SET_ADD_SNAPSHOT_KEYS] = ADD "FROM keys WHERE kind < 2 AND deleted_at IS NULL AND "
    HASH_OF("sub") " IN (SELECT hash FROM temp.snapshot)",
    [ST_SQL_SET_DISABLE] = "UPDATE keys SET disabled = 1, disabled_by = NULL, changed_at = ?1"
                       " WHERE disabled = 0 AND " IN_SET,

    [ST_SQL_DERIVED_CLEAR] = "DELETE FROM temp.derived",
    /* The row itself; of a user, also those of the user's keys that have made something for others:
     * keys that live, and keys that these made for the user. ?3: at most.
     */
    [ST_SQL_DERIVED_ADD_BASE] =
        "WITH RECURSIVE maker (id) AS ("
        " SELECT min(made_by) FROM keys WHERE made_by_owner = ?2"
        " UNION ALL SELECT (SELECT min(k.made_by) FROM keys AS k"
        "  WHERE k.made_by_owner = ?2 AND k.made_by > maker.id) FROM maker"
        "  WHERE maker.id IS NOT NULL LIMIT ?3),"
        " above (id, at) AS (SELECT id, id FROM maker WHERE id IS NOT NULL"
        " UNION SELECT above.id, k.made_by FROM above CROSS JOIN keys AS k ON k.id = above.at"
        "  WHERE k.owner = ?2 AND k.kind = 0 AND k.deleted_at IS NOT NULL"
        "  AND k.made_by IS NOT NULL)"
        "INSERT OR IGNORE INTO temp.derived (id, base) SELECT ?1, 1"
        " UNION SELECT above.id, 1 FROM above CROSS JOIN keys AS k ON k.id = above.at"
        "  WHERE above.at = ?1 OR (k.owner = ?2 AND " LIVING_KEY ")",
    /* A key is made with the permission keys, a user with users. */
    [ST_SQL_DERIVED_ADD_DIRECT] =
        "INSERT OR IGNORE INTO temp.derived (id, base) SELECT k.id, 0"
        " FROM temp.derived AS m CROSS JOIN keys AS k ON k.made_by = m.id"
        " WHERE m.base = 1 AND " HOLDS_MORE("k") " LIMIT ?2",
    /* ?3: the username. Of a user's other keys none is looked at. */
    [ST_SQL_DERIVED_ADD_DIRECT_OF_USER] =
        "INSERT OR IGNORE INTO temp.derived (id, base) SELECT k.id, 0"
        " FROM temp.derived AS m CROSS JOIN keys AS k INDEXED BY keys_made_for_others"
        " ON k.made_by_owner = ?3 AND k.made_by = m.id"
        " WHERE m.base = 1 AND " HOLDS_MORE("k") " LIMIT ?2",
    [ST_SQL_DERIVED_ADD_REST] =
        "WITH RECURSIVE rest (id) AS (SELECT id FROM temp.derived WHERE base = 0"
        " UNION SELECT k.id FROM rest CROSS JOIN keys AS k ON k.made_by = rest.id"
        " UNION SELECT k.id FROM rest CROSS JOIN keys AS u ON u.id = rest.id"
        "  CROSS JOIN keys AS k ON k.owner = u.owner"
        "  WHERE u.kind = 1 AND u.deleted_at IS NULL AND k.kind = 0 AND k.deleted_at IS NULL)"
        "INSERT OR IGNORE INTO temp.derived (id, base) SELECT rest.id, 0"
        " FROM rest CROSS JOIN keys AS k ON k.id = rest.id"
        " WHERE NOT (?2 IS NOT NULL AND k.owner = ?2 AND k.kind = 0 AND k.deleted_at IS NULL)"
        " LIMIT ?1",
    [ST_SQL_DERIVED_COUNT] =
        "SELECT coalesce(sum(kind = 0), 0), coalesce(sum(kind = 1), 0),"
        " (SELECT count(*) FROM temp.derived WHERE base = 0) " VALID_DERIVED,
    [ST_SQL_DERIVED_LIST] = "SELECT kind, iif(kind = 1, owner, id) " VALID_DERIVED
                            " ORDER BY 1, 2 LIMIT ?2",

    [ST_SQL_REMAINING_INSERT] =
        "INSERT INTO remaining (owner, what, permissions, sequence, at, who, origin, because)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [ST_SQL_REMAINING_FIND] = "SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner = ?1",
    [ST_SQL_REMAINING_NEXT] = "SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner > ?1"
                    " ORDER BY owner LIMIT 1",
    [ST_SQL_REMAINING_OF_ROW] = "SELECT " REMAINING_COLUMNS
                                " FROM remaining WHERE owner = (SELECT owner FROM keys"
                                " WHERE id = ?1 AND kind <> 1 AND deleted_at IS NULL)",
    [ST_SQL_REMAINING_ENDS] = "SELECT 1 FROM remaining WHERE owner = ?1 AND what = 'end'"
                    " AND (permissions IS NULL OR permissions_meet(?2, permissions))",
    [ST_SQL_REMAINING_MOVE] = "UPDATE remaining SET keys_reached = ?2, after = ?3 WHERE owner = ?1",
    [ST_SQL_REMAINING_DELETE] = "DELETE FROM remaining WHERE owner = ?1",
    [ST_SQL_REMAINING_SESSIONS] = "SELECT id, " NOT_REACHED("keys") " FROM keys WHERE owner = ?1"
                        " AND " LIVING_SESSION " AND id > ?2 ORDER BY id LIMIT ?3",
    [ST_SQL_REMAINING_KEYS] = "SELECT id, " NOT_REACHED("keys") " FROM keys WHERE owner = ?1"
                        " AND " LIVING_KEY " AND id > ?2 ORDER BY id LIMIT ?3",
    [ST_SQL_OWNED_AT_MOST] =
        "SELECT (SELECT count(*) FROM (SELECT 1 " LIVING_OF_OWNER " LIMIT ?2)) +"
        " (SELECT count(*) FROM (SELECT 1 " SESSIONS_OF_OWNER " LIMIT ?2))",
    [ST_SQL_OWNED_CHANGED] =
        "SELECT 1 FROM audit WHERE id > ?2 AND (target = ?1"
        " OR EXISTS (SELECT 1 FROM keys WHERE keys.id = audit.target AND keys.owner = ?1)) LIMIT 1",
    [ST_SQL_OWNED_HOLDING] =
        "SELECT count(*), coalesce(max(id), ''), coalesce(sum(?4 IS NULL OR permissions_meet(permissions, ?4)), 0)"
        " FROM (SELECT id, permissions FROM keys WHERE owner = ?1 AND " LIVING_KEY
        " AND id > ?2 ORDER BY id LIMIT ?3)",
    [ST_SQL_OWNED_HOLDING_SESSIONS] =
        "SELECT count(*), coalesce(max(id), ''), coalesce(sum(?4 IS NULL OR permissions_meet(permissions, ?4)), 0)"
        " FROM (SELECT id, permissions FROM keys WHERE owner = ?1 AND " LIVING_SESSION
        " AND id > ?2 ORDER BY id LIMIT ?3)",

    [ST_SQL_AUDIT_INSERT] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [ST_SQL_AUDIT_LAST] = "SELECT coalesce(max(id), 0) FROM audit",
    [ST_SQL_AUDIT_LIST] =
        "SELECT id, at, action, who, origin, target, detail FROM audit"
        " WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    [ST_SQL_AUDIT_AFTER] =
        "SELECT id, at, action, who, origin, target, detail FROM audit"
        " WHERE id > ?1 AND id <= ?3 ORDER BY id LIMIT ?2",
    [ST_SQL_AUDIT_BOUND] = "SELECT coalesce(max(id), 0), 0, 0 FROM audit", /* one writes at a time */
    [ST_SQL_AUDIT_IS_OLD] =
        "SELECT 1 FROM audit INDEXED BY audit_at WHERE at < ?1 AND id <= ?2"
        " AND id < (SELECT max(id) FROM audit) AND action <> 'audit.cut' LIMIT 1",
    [ST_SQL_AUDIT_CUT] =
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit INDEXED BY audit_at WHERE at < ?1"
        " AND id <= ?2 AND id < (SELECT max(id) FROM audit) LIMIT ?3)",
    [ST_SQL_AUDIT_MARK] =
        "INSERT INTO facts (name, value) SELECT ?1, id FROM (SELECT max(id) AS id FROM audit)"
        " WHERE id > (SELECT coalesce(max(value), 0) FROM facts"
        " WHERE name >= 'audit_mark:' AND name < ?1) ON CONFLICT (name) DO NOTHING",
    [ST_SQL_AUDIT_MARKED] = "SELECT coalesce(max(value), 0) FROM facts"
                            " WHERE name >= 'audit_mark:' AND name <= ?1",
    [ST_SQL_AUDIT_UNMARK] =
        "DELETE FROM facts WHERE name >= 'audit_mark:' AND name < ?1 AND value < ?2",
    SEARCH_STATEMENTS,

    [ST_SQL_SETTING_SET] = "INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)",
    [ST_SQL_SETTING_RAISE] =
        "INSERT INTO facts (name, value) VALUES (?1, ?2)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value < excluded.value",
    [ST_SQL_SETTING_GET] = "SELECT value FROM facts WHERE name = ?1",
    [ST_SQL_SEQUENCE_NEXT] = "UPDATE facts SET value = max(value + 1, ?1) WHERE name = 'sequence'",
    [ST_SQL_SEQUENCE_GET] = "SELECT value FROM facts WHERE name = 'sequence'",
    [ST_SQL_SEQUENCE_RECORD] = "INSERT INTO given (sequence) VALUES (?1)",
    [ST_SQL_SEQUENCE_LENGTH] = "SELECT sequence FROM given"
                               " ORDER BY sequence DESC LIMIT 1 OFFSET ?1",
    [ST_SQL_SEQUENCE_CUT] = "DELETE FROM given WHERE sequence <= ?1",
    [ST_SQL_SEQUENCE_FROM] = "UPDATE facts SET value = max(value, ?1 + 1)"
                             " WHERE name = 'given_from'",

    [ST_SQL_LOG_LENGTH] = "SELECT sequence FROM changes ORDER BY sequence DESC LIMIT 1 OFFSET ?1",
    [ST_SQL_LOG_CUT] =
        "DELETE FROM changes WHERE (sequence, hash) IN"
        " (SELECT sequence, hash FROM changes WHERE sequence <= ?1 LIMIT ?2)",
    [ST_SQL_LOG_FROM] = "UPDATE facts SET value = max(value, ?1)"
                        " WHERE name = 'changes_from'",
    [ST_SQL_PURGE_LOG] = "INSERT OR IGNORE INTO changes (sequence, hash) VALUES (?1, ?2)",
    /* ?1: by the clock that revoked them; ?2: by uptime. */
    [ST_SQL_PURGE_LISTED] =
        "DELETE FROM listed WHERE sub IN (SELECT sub FROM listed INDEXED BY listed_at"
        " WHERE revoked_at < ?1 AND lived_at < ?2 LIMIT ?3) RETURNING hash",
    [ST_SQL_PURGE_REFRESH] =
        "DELETE FROM refresh WHERE hash IN"
        " (SELECT hash FROM refresh WHERE expires_at < ?1 LIMIT ?2)",

    [ST_SQL_SNAPSHOT_CLEAR] = "DELETE FROM temp.snapshot",
    [ST_SQL_SNAPSHOT_ADD] = "INSERT OR IGNORE INTO temp.snapshot (hash) VALUES (?1)",
    [ST_SQL_SNAPSHOT_DROP_KNOWN] =
        "DELETE FROM temp.snapshot WHERE"
        " EXISTS (SELECT 1 FROM listed WHERE listed.hash = snapshot.hash)"
        " OR hash IN (SELECT hash FROM changes WHERE sequence > ?1)",
    [ST_SQL_SNAPSHOT_LIST] = "INSERT OR IGNORE INTO listed (sub, hash, revoked_at, lived_at)"
                   " SELECT " NAMELESS_OF_SNAPSHOT("hash") ", hash, ?1, " FACT("lived") " FROM temp.snapshot",
    [ST_SQL_SNAPSHOT_LOG] = "INSERT OR IGNORE INTO changes (sequence, hash)"
                            " SELECT ?1, hash FROM temp.snapshot",
    [ST_SQL_HASH_KEY_IS] = "SELECT 1 WHERE " FACT("hash_key_0") " = ?1"
                           " AND " FACT("hash_key_1") " = ?2",
    [ST_SQL_LISTED_WITHOUT_SUB] = "SELECT 1 FROM listed WHERE sub >= '=' AND sub < '>' LIMIT 1",
    [ST_SQL_LISTED_HASH_ANEW] = "UPDATE listed SET hash = "
        HASH_OF("iif(token_of IS NULL, sub, substr(sub, 1, 16))"),
    [ST_SQL_SUB_LIST] = "INSERT INTO listed (sub, hash, revoked_at, lived_at) SELECT"
                 " iif(length(?1) = 43, ?1, " NAMELESS(HASH_OF("?1")) "), " HASH_OF("?1") ","
                 " ?2, " FACT("lived"),
    [ST_SQL_SUB_LOG] = "INSERT OR IGNORE INTO changes (sequence, hash)"
                       " VALUES (?1, " HASH_OF("?2") ")",
    [ST_SQL_ANY_ROW_WRITTEN] = "INSERT INTO written (digest8) VALUES (NULL)",

    [ST_SQL_TOKEN_IS_LISTED] = "SELECT 1 FROM listed WHERE sub = " TOKEN_NAME("?1"),
    /* ?1: the tid; ?2: the sub; ?3: until when; ?4: the row. */
    [ST_SQL_TOKEN_COUNT_OTHERS] =
        "SELECT count(*) FROM listed WHERE token_root = ?4 AND token_derived = ?5"
        " AND NOT (token_of = ?2 AND " MADE_FROM_TOKEN ")",
    [ST_SQL_TOKEN_LOG_MADE] = "INSERT OR IGNORE INTO changes (sequence, hash)"
                              " SELECT ?4, hash FROM listed WHERE token_of = ?2 AND " MADE_FROM_TOKEN,
    [ST_SQL_TOKEN_UNLIST_MADE] = "DELETE FROM listed WHERE token_of = ?2 AND " MADE_FROM_TOKEN,
    [ST_SQL_TOKEN_LIST] =
        "INSERT INTO listed (sub, hash, revoked_at, lived_at, token_of, until, token_root,"
        " token_derived, token_via) VALUES"
        " (" TOKEN_NAME("?1") ", " HASH_OF("?1") ", NULL, " FACT("lived") ", ?2, ?3, ?4, ?5, ?6)",
    [ST_SQL_TOKEN_PURGE] =
        "DELETE FROM listed WHERE sub IN (SELECT sub FROM listed INDEXED BY listed_until"
        " WHERE until < ?1 LIMIT ?2) RETURNING hash",

    [ST_SQL_COPY_BEGIN] = "BEGIN",
    [ST_SQL_COPY_END] = "COMMIT",
    [ST_SQL_COPY_IS_EMPTY] =
        "SELECT 1 WHERE " FACT("sequence") " = 1 AND NOT EXISTS (SELECT 1 FROM keys)"
        " AND NOT EXISTS (SELECT 1 FROM audit) AND NOT EXISTS (SELECT 1 FROM listed)"
        " AND NOT EXISTS (SELECT 1 FROM changes)",
    [ST_SQL_COPY_CLEAR_SETTINGS] = "DELETE FROM facts",
    [ST_SQL_COPY_CLEAR_ISSUED] = "DELETE FROM given",
    [ST_SQL_COPY_HASH_KEY] = "DELETE FROM facts WHERE 0", /* it is read each time */
    [ST_SQL_COPY_READ_SETTINGS] = "SELECT name, value FROM facts WHERE name > ?1"
                                  " ORDER BY name LIMIT ?2",
    [ST_SQL_COPY_READ_ISSUED] = "SELECT sequence FROM given WHERE sequence > ?1"
                                " ORDER BY sequence LIMIT ?2",
    [ST_SQL_COPY_READ_KEYS] = "SELECT " COPIED_OF_KEYS " FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2",
    [ST_SQL_COPY_READ_REPLACED] = "SELECT digest, key_id FROM replaced WHERE digest > ?1"
                                  " ORDER BY digest LIMIT ?2",
    [ST_SQL_COPY_READ_REVOKED] = "SELECT sub, key_id, revoked_at FROM revoked WHERE sub > ?1"
                                 " ORDER BY sub LIMIT ?2",
    [ST_SQL_COPY_READ_LISTED] = "SELECT " COPIED_OF_LISTED " FROM listed WHERE sub > ?1"
                                " ORDER BY sub LIMIT ?2",
    [ST_SQL_COPY_READ_CHANGES] = "SELECT sequence, hash FROM changes"
                                 " WHERE (sequence, hash) > (?1, ?2)"
                                 " ORDER BY sequence, hash LIMIT ?3",
    [ST_SQL_COPY_READ_USERS] = "SELECT " COPIED_OF_USERS " FROM persons WHERE login > ?1"
                               " ORDER BY login LIMIT ?2",
    [ST_SQL_COPY_READ_SESSIONS] = "SELECT key_id, seed FROM logins WHERE key_id > ?1"
                                  " ORDER BY key_id LIMIT ?2",
    [ST_SQL_COPY_READ_REFRESH] = "SELECT hash, key_id, expires_at, used_at FROM refresh"
                                 " WHERE hash > ?1 ORDER BY hash LIMIT ?2",
    [ST_SQL_COPY_READ_USED] = "SELECT key_id, used_at FROM used WHERE key_id > ?1"
                              " ORDER BY key_id LIMIT ?2",
    [ST_SQL_COPY_READ_REMAINING] = "SELECT " REMAINING_COLUMNS " FROM remaining WHERE owner > ?1"
                         " ORDER BY owner LIMIT ?2",
    [ST_SQL_COPY_READ_AUDIT] = "SELECT id, at, who, origin, action, target, detail FROM audit"
                               " WHERE id > ?1 ORDER BY id LIMIT ?2",
    [ST_SQL_COPY_WRITE_SETTINGS] = "INSERT INTO facts (name, value) VALUES (?1, ?2)",
    [ST_SQL_COPY_WRITE_ISSUED] = "INSERT INTO given (sequence) VALUES (?1)",
    [ST_SQL_COPY_WRITE_KEYS] = "INSERT INTO keys (" COPIED_OF_KEYS
                               ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                               " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)",
    [ST_SQL_COPY_WRITE_REPLACED] = "INSERT INTO replaced (digest, key_id) VALUES (?1, ?2)",
    [ST_SQL_COPY_WRITE_REVOKED] = "INSERT INTO revoked (sub, key_id, revoked_at)"
                                  " VALUES (?1, ?2, ?3)",
    [ST_SQL_COPY_WRITE_LISTED] = "INSERT INTO listed (" COPIED_OF_LISTED
                                 ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [ST_SQL_COPY_WRITE_CHANGES] = "INSERT INTO changes (sequence, hash) VALUES (?1, ?2)",
    [ST_SQL_COPY_WRITE_USERS] = "INSERT INTO persons (" COPIED_OF_USERS
                                ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [ST_SQL_COPY_WRITE_SESSIONS] = "INSERT INTO logins (key_id, seed) VALUES (?1, ?2)",
    [ST_SQL_COPY_WRITE_REFRESH] = "INSERT INTO refresh (hash, key_id, expires_at, used_at)"
                                  " VALUES (?1, ?2, ?3, ?4)",
    [ST_SQL_COPY_WRITE_USED] = "INSERT INTO used (key_id, used_at) VALUES (?1, ?2)",
    [ST_SQL_COPY_WRITE_REMAINING] = "INSERT INTO remaining (" REMAINING_COLUMNS
                                    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [ST_SQL_COPY_WRITE_AUDIT] =
        "INSERT INTO audit (id, at, who, origin, action, target, detail)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    /* Inserting a number has moved the next one on already. */
    [ST_SQL_COPY_FINISH] = "SELECT 1",
};
