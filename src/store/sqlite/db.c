/* The statements of the store, and what all its files need to run them. */
#include "store/db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "domain/store.h"
#include "os/error.h"

#define PATH_SHOWN 200 /* of a long path, why names the end */

#define COLUMNS                                                                 \
  "id, sub, name, owner, permissions, created_at, expires_at, disabled, kind, " \
  "parent, suspended"
#define LISTED_COLUMNS                                                                \
  COLUMNS                                                                             \
  ", (SELECT used_at FROM used WHERE used.key_id = keys.id), coalesce(made_by, ''), " \
  "disabled_by IS NOT NULL AND EXISTS (SELECT 1 FROM persons AS p"                    \
  " WHERE p.login = keys.owner AND p.key_id = keys.disabled_by)"
#define PERSON_COLUMNS                                                         \
  LISTED_COLUMNS                                                               \
  ", password, coalesce(imported, ''), locale, source, imported IS NOT NULL, " \
  "registered, own_password"

/* Written as the partial indexes are, so that these serve. */
#define LIVING_KEY "kind = 0 AND deleted_at IS NULL"
#define LIVING_OF_OWNER "FROM keys WHERE owner = ?1 AND " LIVING_KEY
#define LIVING_OF_OWNER_2 "FROM keys WHERE owner = ?2 AND " LIVING_KEY
#define VALID_MADE                                                                \
  "FROM keys WHERE id IN (SELECT id FROM temp.made WHERE base = 0) AND kind <= 1" \
  " AND deleted_at IS NULL AND coalesce(expires_at, ?1 + 1) > ?1"
#define IN_CHOSEN "id IN (SELECT id FROM temp.chosen)"
#define CHOOSE "INSERT OR IGNORE INTO temp.chosen (id) SELECT id "

#define FACT(name) "(SELECT value FROM facts WHERE name = '" name "')"
#define HASH_OF(sub) "revocation_hash(" FACT("hash_key_0") ", " FACT("hash_key_1") ", " sub ")"

/* A token may have been signed by a clock that was ahead: the latest that is known of the row. */
#define LATEST_CLOCK                          \
  "max(?1, keys.created_at, keys.changed_at," \
  " coalesce((SELECT used_at + 60 FROM used WHERE used.key_id = keys.id), 0))"

/* What a hash is listed by whose sub is not known, or is none that fits: no sub has a `=`. */
#define NAMELESS(hash) "printf('=%016x%026d', " hash ", 0)"

const char *const st_sqlite_read_sql[READ_STATEMENTS] = {
    [DATA_VERSION] = "PRAGMA data_version",
    [BY_DIGEST] = "SELECT " COLUMNS ", digest, deleted_at IS NOT NULL FROM keys WHERE digest = ?1",
    [BY_SUB] = "SELECT " COLUMNS
               ", digest, deleted_at IS NOT NULL"
               " OR EXISTS (SELECT 1 FROM revoked WHERE revoked.sub = keys.sub)"
               " FROM keys WHERE sub = ?1",
    [SUB_REVOKED] = "SELECT 1 FROM revoked WHERE sub = ?1",
    [GAVE_SEQUENCE] = "SELECT ?1 < " FACT("given_from") " OR EXISTS"
                      " (SELECT 1 FROM given WHERE sequence = ?1)",
};

const char *const st_sqlite_write_sql[WRITE_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] = "INSERT INTO keys (" COLUMNS
               ", digest, changed_at, deleted_at, made_by)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?6, NULL, ?13)",
    /* Nor may it fall on a hash that is listed. */
    [IS_REVOKED] =
        "SELECT 1 FROM revoked WHERE sub = ?1"
        " UNION ALL SELECT 1 FROM listed WHERE hash = " HASH_OF("?1"),
    [ROW] = "SELECT " COLUMNS " FROM keys WHERE id = ?1 AND deleted_at IS NULL",
    [FIND] = "SELECT " LISTED_COLUMNS " FROM keys WHERE id = ?1 AND " LIVING_KEY,
    [FIND_SUB] = "SELECT " LISTED_COLUMNS " FROM keys WHERE sub = ?1 AND " LIVING_KEY,
    [LIST] = "SELECT " LISTED_COLUMNS " FROM keys WHERE id > ?1 AND " LIVING_KEY
             " ORDER BY id LIMIT ?2",
    [LIST_OWNED] = "SELECT " LISTED_COLUMNS " FROM keys WHERE owner = ?3 AND id > ?1 AND " LIVING_KEY
                   " ORDER BY id LIMIT ?2",
    [COUNT_OWNED] = "SELECT count(*) " LIVING_OF_OWNER,
    [COUNT] = "SELECT count(*) FROM keys WHERE " LIVING_KEY,
    [RENAME] = "UPDATE keys SET name = ?3, changed_at = ?2 WHERE id = ?1 AND " LIVING_KEY,
    [DISABLE] =
        /* ?4: who; ?5: not when it is disabled already */
        "UPDATE keys SET disabled = ?3, changed_at = ?2, disabled_by ="
        " CASE WHEN ?3 = 0 THEN NULL WHEN ?5 AND disabled = 1 THEN disabled_by ELSE ?4 END"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [SUSPEND] = "UPDATE keys SET suspended = ?3, changed_at = ?2 WHERE owner = ?1 AND " LIVING_KEY
                " AND suspended <> ?3",
    [REPLACE_SUB] =
        "UPDATE keys SET sub = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [GRANT] =
        "UPDATE keys SET permissions = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [GRANT_LOGINS] =
        "UPDATE keys SET permissions = ?3, changed_at = ?2"
        " WHERE parent = ?1 AND deleted_at IS NULL",
    [EXTEND] =
        "UPDATE keys SET expires_at = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",

    [CHOOSE_NONE] = "DELETE FROM temp.chosen",
    [CHOOSE_ROW] = "INSERT INTO temp.chosen (id) VALUES (?1)",
    [CHOOSE_OWNED] = CHOOSE LIVING_OF_OWNER,
    [CHOOSE_HOLDING] = CHOOSE LIVING_OF_OWNER
    " AND instr(',' || permissions || ',', ',' || ?2 || ',') > 0",
    [CHOOSE_LOGINS] = CHOOSE "FROM keys WHERE parent = ?1 AND deleted_at IS NULL",
    [CHOOSE_LOGINS_OF_OWNED] = CHOOSE
    "FROM keys WHERE parent IN (SELECT id " LIVING_OF_OWNER ") AND deleted_at IS NULL",
    [CHOOSE_RESTING] = CHOOSE
    "FROM keys WHERE parent IN (SELECT id FROM temp.chosen) AND deleted_at IS NULL",
    /* Rows are inserted with growing rowids, and keys_resting is in their order. */
    [CHOOSE_OLDEST] = CHOOSE
    "FROM keys WHERE parent = ?1 AND deleted_at IS NULL AND expires_at > ?2"
    " ORDER BY rowid DESC LIMIT -1 OFFSET ?3",
    [CHOOSE_ENDED] = CHOOSE
    "FROM keys WHERE kind >= 2 AND coalesce(deleted_at, expires_at) < ?1 LIMIT ?2",
    [DROP_AS_LISTED] =
        "DELETE FROM temp.chosen WHERE EXISTS (SELECT 1 FROM keys"
        " WHERE keys.id = chosen.id AND (disabled + suspended > 0) ="
        " EXISTS (SELECT 1 FROM listed WHERE listed.sub = keys.sub))",
    [CHOSEN] =
        "SELECT count(*), coalesce(sum(kind = 0), 0), coalesce(sum(kind >= 2), 0)"
        " FROM keys WHERE " IN_CHOSEN,
    [REVOKE_CHOSEN] =
        "INSERT OR IGNORE INTO revoked (sub, key_id, revoked_at)"
        " SELECT sub, id, ?1 FROM keys WHERE " IN_CHOSEN,
    /* The sub of one that is disabled is listed already, without a time. */
    [LIST_CHOSEN] =
        "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
        " SELECT sub, " HASH_OF("sub") ", " LATEST_CLOCK ", " FACT("lived") " FROM keys"
        " WHERE " IN_CHOSEN
        " ON CONFLICT (sub) DO UPDATE SET revoked_at = excluded.revoked_at,"
        " lived_at = excluded.lived_at",
    [TOUCH_CHOSEN] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?1, " HASH_OF("sub") " FROM keys WHERE " IN_CHOSEN,
    /* A person's digest opens nothing and is known for `*`, who may come again. */
    [DELETE_CHOSEN] =
        "UPDATE keys SET deleted_at = ?1, changed_at = ?1,"
        " digest = CASE kind WHEN 1 THEN randomblob(32) ELSE digest END"
        " WHERE " IN_CHOSEN,
    [AUDIT_CHOSEN] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, 'key.delete', id, ?4 || '; name ' || name FROM keys"
        " WHERE kind = 0 AND " IN_CHOSEN " ORDER BY id",
    [AUDIT_SESSIONS] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, 'login.end', id, ?4 FROM keys"
        " WHERE kind >= 2 AND " IN_CHOSEN " ORDER BY rowid",
    [MADE_NONE] = "DELETE FROM temp.made",
    /* The row itself; of a user, the keys that he owns, and those that he made for himself. */
    [MADE_BASE] =
        "WITH RECURSIVE base (id) AS (SELECT ?1"
        " UNION SELECT id " LIVING_OF_OWNER_2
        " UNION SELECT k.id FROM base CROSS JOIN keys AS k ON k.made_by = base.id"
        "  WHERE k.owner = ?2 AND k.kind = 0)"
        "INSERT INTO temp.made (id, base) SELECT id, 1 FROM base",
    /* A key is made with the permission keys, a user with users. */
    [MADE_DIRECT] =
        "INSERT OR IGNORE INTO temp.made (id, base) SELECT k.id, 0"
        " FROM temp.made AS m CROSS JOIN keys AS k ON k.made_by = m.id"
        " WHERE m.base = 1 AND (?1 IS NULL OR NOT permissions_within(k.permissions, ?1)"
        "  OR NOT permissions_within(iif(k.kind = 1, 'users', 'keys'), ?1)) LIMIT ?2",
    [MADE_REST] =
        "WITH RECURSIVE rest (id) AS (SELECT id FROM temp.made WHERE base = 0"
        " UNION SELECT k.id FROM rest CROSS JOIN keys AS k ON k.made_by = rest.id"
        " UNION SELECT k.id FROM rest CROSS JOIN keys AS u ON u.id = rest.id"
        "  CROSS JOIN keys AS k ON k.owner = u.owner"
        "  WHERE u.kind = 1 AND u.deleted_at IS NULL AND k.kind = 0 AND k.deleted_at IS NULL)"
        "INSERT OR IGNORE INTO temp.made (id, base) SELECT id, 0 FROM rest LIMIT ?1",
    [MADE_COUNT] =
        "SELECT coalesce(sum(kind = 0), 0), coalesce(sum(kind = 1), 0),"
        " (SELECT count(*) FROM temp.made WHERE base = 0) " VALID_MADE,
    [MADE_LIST] = "SELECT kind, iif(kind = 1, owner, id) " VALID_MADE " ORDER BY 1, 2 LIMIT ?2",
    [CHOOSE_MADE] = CHOOSE
    "FROM keys WHERE id IN (SELECT id FROM temp.made WHERE base = 0) AND kind <= 1"
    " AND deleted_at IS NULL",
    [AUDIT_USERS] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " SELECT ?1, ?2, ?3, 'user.delete', owner, ?4 FROM keys"
        " WHERE kind = 1 AND " IN_CHOSEN " ORDER BY owner",
    [DELETE_USERS] = "DELETE FROM persons WHERE key_" IN_CHOSEN,
    [LIST_REFUSED] =
        "INSERT OR IGNORE INTO listed (sub, hash, revoked_at)"
        " SELECT sub, " HASH_OF("sub") ", NULL FROM keys"
        " WHERE disabled + suspended > 0 AND " IN_CHOSEN,
    [UNLIST] =
        "DELETE FROM listed WHERE revoked_at IS NULL AND sub IN"
        " (SELECT sub FROM keys WHERE disabled + suspended = 0 AND " IN_CHOSEN ")",
    [SWEEP_REVOKED] = "DELETE FROM revoked WHERE key_id IN (SELECT id FROM temp.chosen)",
    [SWEEP_REFRESH] = "DELETE FROM refresh WHERE key_id IN (SELECT id FROM temp.chosen)",
    [SWEEP_LOGINS] = "DELETE FROM logins WHERE key_id IN (SELECT id FROM temp.chosen)",
    [SWEEP_USED] = "DELETE FROM used WHERE key_id IN (SELECT id FROM temp.chosen)",
    [SWEEP_KEYS] = "DELETE FROM keys WHERE " IN_CHOSEN,

    [REMEMBER] = "INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)",
    [REMEMBER_LARGEST] =
        "INSERT INTO facts (name, value) VALUES (?1, ?2)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value < excluded.value",
    [RECALL] = "SELECT value FROM facts WHERE name = ?1",
    [NEXT_SEQUENCE] = "UPDATE facts SET value = max(value + 1, ?1) WHERE name = 'sequence'",
    [SEQUENCE] = "SELECT value FROM facts WHERE name = 'sequence'",
    [GIVE_SEQUENCE] = "INSERT INTO given (sequence) VALUES (?1)",
    /* Of ?1 by the clock that revoked it, and of ?2 by the time that was lived. */
    [PURGE_TOUCH] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?3, hash FROM listed WHERE revoked_at < ?1 AND lived_at < ?2",
    [PURGE] = "DELETE FROM listed WHERE revoked_at < ?1 AND lived_at < ?2",
    [PURGE_REFRESH] =
        "DELETE FROM refresh WHERE hash IN"
        " (SELECT hash FROM refresh WHERE expires_at < ?1 LIMIT ?2)",
    [LOG_LENGTH] = "SELECT sequence FROM changes ORDER BY sequence DESC LIMIT 1 OFFSET ?1",
    [LOG_CUT] = "DELETE FROM changes WHERE sequence <= ?1",
    [LOG_FROM] = "UPDATE facts SET value = ?1 WHERE name = 'changes_from'",
    [TAKEN_NONE] = "DELETE FROM temp.taken",
    [TAKEN_ADD] = "INSERT OR IGNORE INTO temp.taken (hash) VALUES (?1)",
    [TAKEN_DROP] =
        "DELETE FROM temp.taken WHERE EXISTS (SELECT 1 FROM listed WHERE listed.hash = taken.hash)"
        " OR hash IN (SELECT hash FROM changes WHERE sequence > ?1)",
    [HAS_HASH_KEY] = "SELECT 1 WHERE " FACT("hash_key_0") " = ?1 AND " FACT("hash_key_1") " = ?2",
    [LISTS_NAMELESS] = "SELECT 1 FROM listed WHERE sub >= '=' AND sub < '>' LIMIT 1",
    [HASH_ANEW] = "UPDATE listed SET hash = " HASH_OF("sub"),
    [CHOOSE_TAKEN_SESSIONS] = CHOOSE
    "FROM keys WHERE kind >= 2 AND deleted_at IS NULL AND (" HASH_OF("sub")
    " IN (SELECT hash FROM temp.taken) OR parent IN (SELECT id FROM keys WHERE kind < 2"
    " AND deleted_at IS NULL AND " HASH_OF("sub") " IN (SELECT hash FROM temp.taken)))",
    [CHOOSE_TAKEN_KEYS] = CHOOSE "FROM keys WHERE kind < 2 AND deleted_at IS NULL AND "
    HASH_OF("sub") " IN (SELECT hash FROM temp.taken)",
    [DISABLE_CHOSEN] = "UPDATE keys SET disabled = 1, disabled_by = NULL, changed_at = ?1"
                       " WHERE disabled = 0 AND " IN_CHOSEN,
    [LIST_TAKEN] = "INSERT OR IGNORE INTO listed (sub, hash, revoked_at, lived_at)"
                   " SELECT " NAMELESS("hash") ", hash, ?1, " FACT("lived") " FROM temp.taken",
    [TOUCH_TAKEN] = "INSERT OR IGNORE INTO changes (sequence, hash) SELECT ?1, hash FROM temp.taken",
    [ROW_OF_SUB] = "SELECT id FROM keys WHERE sub = ?1 AND deleted_at IS NULL",
    [LIST_SUB] = "INSERT INTO listed (sub, hash, revoked_at, lived_at) SELECT"
                 " iif(length(?1) = 43, ?1, " NAMELESS(HASH_OF("?1")) "), " HASH_OF("?1") ","
                 " ?2, " FACT("lived"),
    [TOUCH_SUB] = "INSERT OR IGNORE INTO changes (sequence, hash) VALUES (?1, " HASH_OF("?2") ")",
    [GIVEN_LENGTH] = "SELECT sequence FROM given ORDER BY sequence DESC LIMIT 1 OFFSET ?1",
    [GIVEN_CUT] = "DELETE FROM given WHERE sequence <= ?1",
    [GIVEN_FROM] = "UPDATE facts SET value = max(value, ?1 + 1) WHERE name = 'given_from'",

    /* CROSS JOIN: in this order, whatever the planner thinks of the sizes. */
    [PERSON_FIND] = "SELECT " PERSON_COLUMNS
                    " FROM persons CROSS JOIN keys WHERE login = ?1 AND keys.id = persons.key_id",
    [PERSON_LIST] = "SELECT " PERSON_COLUMNS
                    " FROM persons CROSS JOIN keys WHERE login > ?1 AND keys.id = persons.key_id"
                    " ORDER BY login LIMIT ?2",
    [PERSON_DELETED] =
        "SELECT 1 FROM keys WHERE kind = 1 AND owner = ?1 AND deleted_at IS NOT NULL LIMIT 1",
    [PERSON_INSERT] =
        "INSERT INTO persons (login, key_id, password, imported, locale, source, changed_at,"
        " registered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    /* NULL leaves it as it is. */
    [PERSON_UPDATE] =
        "UPDATE persons SET changed_at = ?2, password = coalesce(?3, password),"
        " imported = coalesce(?4, imported),"
        " own_password = iif(?3 IS NULL, own_password, ?4 IS NULL) WHERE login = ?1",
    [PERSON_REHASH] = "UPDATE persons SET password = ?3 WHERE login = ?1 AND password = ?2",
    [PERSON_DELETE] = "DELETE FROM persons WHERE login = ?1",
    [LOGIN_INSERT] = "INSERT INTO logins (key_id, seed) VALUES (?1, ?2)",
    [LOGIN_SEED] = "SELECT seed FROM logins WHERE key_id = ?1",
    [REFRESH_INSERT] =
        "INSERT INTO refresh (hash, key_id, expires_at, used_at) VALUES (?1, ?2, ?3, NULL)",
    [REFRESH_FIND] = "SELECT key_id, expires_at, used_at FROM refresh WHERE hash = ?1",
    [REFRESH_USE] = "UPDATE refresh SET used_at = ?2 WHERE hash = ?1 AND used_at IS NULL",
    /* By who only reads: does it belong to a login that lives? What follows from it, the change
     * finds out. */
    [REFRESH_KNOWN] =
        "SELECT 1 FROM refresh CROSS JOIN keys WHERE hash = ?1 AND keys.id = refresh.key_id"
        " AND refresh.expires_at > ?2 AND deleted_at IS NULL AND disabled + suspended = 0"
        " AND (keys.expires_at IS NULL OR keys.expires_at > ?2)",
    [AUDIT_INSERT] =
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [AUDIT_LIST] =
        "SELECT id, at, action, who, origin, target, detail FROM audit"
        " WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    [USE] =
        "INSERT INTO used (key_id, used_at)"
        " SELECT id, ?2 FROM keys WHERE id = ?1 AND deleted_at IS NULL"
        " ON CONFLICT (key_id) DO UPDATE SET used_at = max(used_at, excluded.used_at)",
};

const char *const st_sqlite_feed_sql[FEED_STATEMENTS] = {
    [FEED_BEGIN] = "BEGIN",
    [FEED_END] = "COMMIT",
    [FEED_FACTS] = "SELECT " FACT("sequence") ", " FACT("hash_key_0") ", " FACT(
        "hash_key_1") ", " FACT("changes_from"),
    [FEED_LISTED] = "SELECT DISTINCT hash FROM listed",
    [FEED_CHANGES] = ("SELECT hash, EXISTS (SELECT 1 FROM listed WHERE listed.hash = changes.hash),"
                      " max(sequence) FROM changes WHERE sequence > ?1 GROUP BY hash"),
};

/* ---- Sentences about failure ---- */

const char *st_sqlite_shown(const char *path) {
  size_t len = strlen(path);
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

st_stored st_sqlite_fail(char *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(error, ST_ERROR_MAX, format, args);
  va_end(args);
  return ST_STORE_FAILED;
}

st_stored st_sqlite_fail_damaged(char *error, const char *path, const char *what) {
  return st_sqlite_fail(
      error, "%s is damaged (%s): move it and its -wal and -shm away and restore a backup",
      st_sqlite_shown(path), what);
}

/* What SQLite last complained of, before another call on db makes it forget. */
st_stored st_sqlite_fail_db(char *error, const char *path, sqlite3 *db, const char *verb) {
  int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff;
  const char *text = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return st_sqlite_fail_damaged(error, path, text);
  }
  if (code == SQLITE_BUSY) {
    return st_sqlite_fail(error, "cannot %s %s: something else has kept it locked for too long",
                          verb, st_sqlite_shown(path));
  }
  if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) {
    errno = sqlite3_system_errno(db);
    return st_sqlite_fail(error, "cannot %s %s: %s (%m)", verb, st_sqlite_shown(path), text);
  }
  return st_sqlite_fail(error, "cannot %s %s: %s", verb, st_sqlite_shown(path), text);
}

/* ---- Statements ---- */

/* Step a statement that gives no rows. The code is SQLITE_OK or the failure. */
int st_sqlite_run(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  (void)sqlite3_reset(statement); /* tells the same once more */
  (void)sqlite3_clear_bindings(statement);
  return code == SQLITE_DONE ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_MISUSE : code;
}

void st_sqlite_finish(sqlite3_stmt *statement) {
  (void)sqlite3_reset(statement);
  (void)sqlite3_clear_bindings(statement);
}

/* The texts bound outlive the step, so SQLite need not copy them. */
bool st_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text) {
  return sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC) == SQLITE_OK;
}

bool st_sqlite_bind_integer(sqlite3_stmt *statement, int at, int64_t value) {
  return sqlite3_bind_int64(statement, at, value) == SQLITE_OK;
}

parameter st_sqlite_text(const char *text) {
  static const parameter null = {.type = NULL_VALUE};
  return text == NULL ? null : st_sqlite_view(st_text(text));
}

parameter st_sqlite_view(subtoken_text text) {
  return (parameter){.type = TEXT_VALUE, .data = text.data, .len = text.len};
}

parameter st_sqlite_bytes(const void *bytes, size_t len) {
  return (parameter){.type = BYTES_VALUE, .data = bytes, .len = len};
}

parameter st_sqlite_number(int64_t number) {
  return (parameter){.type = NUMBER_VALUE, .number = number};
}

static bool bind_value(sqlite3_stmt *statement, int at, const parameter *v) {
  int code = SQLITE_OK; /* what is unbound is NULL */
  switch (v->type) {
    case TEXT_VALUE:
      code = sqlite3_bind_text64(statement, at, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
      break;
    case BYTES_VALUE:
      code = sqlite3_bind_blob64(statement, at, v->data, v->len, SQLITE_STATIC);
      break;
    case NUMBER_VALUE: code = sqlite3_bind_int64(statement, at, v->number); break;
    case NULL_VALUE:
    case NO_VALUE: break;
  }
  return code == SQLITE_OK;
}

static bool bind_values(sqlite3_stmt *statement, const parameter *values) {
  for (int i = 0; values[i].type != NO_VALUE; i++) {
    if (!bind_value(statement, i + 1, &values[i])) {
      st_sqlite_finish(statement);
      return false;
    }
  }
  return true;
}

st_stored st_sqlite_do(st_store *store, int which, const parameter *values) {
  if (!bind_values(store->write[which], values)) {
    return ST_STORE_FAILED;
  }
  int code = st_sqlite_run(store->write[which]);
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
    return ST_STORE_EXISTS;
  }
  return code == SQLITE_OK ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_sqlite_do_one(st_store *store, int which, const parameter *values) {
  st_stored stored = st_sqlite_do(store, which, values);
  return stored == ST_STORED && sqlite3_changes(store->writes) != 1 ? ST_STORE_NONE : stored;
}

st_stored st_sqlite_ask_with(sqlite3_stmt *statement, const parameter *values) {
  int code = bind_values(statement, values) ? sqlite3_step(statement) : SQLITE_NOMEM;
  return code == SQLITE_ROW ? ST_STORED : code == SQLITE_DONE ? ST_STORE_NONE : ST_STORE_FAILED;
}

st_stored st_sqlite_ask(st_store *store, int which, const parameter *values, sqlite3_stmt **row) {
  *row = store->write[which];
  return st_sqlite_ask_with(*row, values);
}

bool st_sqlite_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL) != SQLITE_OK) {
      return false;
    }
  }
  return true;
}

/* One value of a query for a number. */
bool st_sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t *value) {
  sqlite3_stmt *statement = NULL;
  bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW;
  if (ok) {
    *value = sqlite3_column_int64(statement, 0);
  }
  (void)sqlite3_finalize(statement);
  return ok;
}
