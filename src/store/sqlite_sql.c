/* The statements of the store, and what all its files need to run them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/sqlite_internal.h"

#define PATH_SHOWN 200 /* of a long path, why names the end */

#define COLUMNS "id, sub, name, owner, permissions, created_at, expires_at, disabled"

#define FACT(name) "(SELECT value FROM facts WHERE name = '" name "')"
#define HASH_OF(sub) "revocation_hash(" FACT("hash_key_0") ", " FACT("hash_key_1") ", " sub ")"

const char *const st_sqlite_read_sql[READ_STATEMENTS] = {
    [DATA_VERSION] = "PRAGMA data_version",
    [BY_DIGEST] = "SELECT " COLUMNS ", digest, deleted_at IS NOT NULL FROM keys WHERE digest = ?1",
    [BY_SUB] = "SELECT " COLUMNS
               ", digest, deleted_at IS NOT NULL"
               " OR EXISTS (SELECT 1 FROM revoked WHERE revoked.sub = keys.sub)"
               " FROM keys WHERE sub = ?1",
    [SUB_REVOKED] = "SELECT 1 FROM revoked WHERE sub = ?1",
};

const char *const st_sqlite_write_sql[WRITE_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] = "INSERT INTO keys (" COLUMNS
               ", digest, changed_at, deleted_at)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?6, NULL)",
    /* Nor may it fall on a hash that is listed. */
    [IS_REVOKED] =
        "SELECT 1 FROM revoked WHERE sub = ?1"
        " UNION ALL SELECT 1 FROM listed WHERE hash = " HASH_OF("?1"),
    [REVOKE] =
        "INSERT OR IGNORE INTO revoked (sub, key_id, revoked_at)"
        " SELECT sub, id, ?2 FROM keys WHERE id = ?1 AND deleted_at IS NULL",
    [DELETE] =
        "UPDATE keys SET deleted_at = ?2, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [DISABLE] =
        "UPDATE keys SET disabled = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [REPLACE_SUB] =
        "UPDATE keys SET sub = ?3, changed_at = ?2"
        " WHERE id = ?1 AND deleted_at IS NULL",
    [FIND] = "SELECT " COLUMNS " FROM keys WHERE id = ?1 AND deleted_at IS NULL",
    [LIST] = "SELECT " COLUMNS
             " FROM keys WHERE id > ?1 AND deleted_at IS NULL"
             " ORDER BY id LIMIT ?2",
    [COUNT] = "SELECT count(*) FROM keys WHERE deleted_at IS NULL",
    [REMEMBER] = "INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)",
    [RECALL] = "SELECT value FROM facts WHERE name = ?1",
    [NEXT_SEQUENCE] = "UPDATE facts SET value = max(value + 1, ?1) WHERE name = 'sequence'",
    [SEQUENCE] = "SELECT value FROM facts WHERE name = 'sequence'",
    /* A disabled key's sub is listed already, without a time. */
    [LIST_REVOKED] =
        "INSERT INTO listed (sub, hash, revoked_at)"
        " SELECT sub, " HASH_OF("sub") ", ?2 FROM keys WHERE id = ?1 AND deleted_at IS NULL"
        " ON CONFLICT (sub) DO UPDATE SET revoked_at = excluded.revoked_at",
    [LIST_DISABLED] =
        "INSERT INTO listed (sub, hash, revoked_at)"
        " SELECT sub, " HASH_OF("sub") ", NULL FROM keys"
        " WHERE id = ?1 AND disabled = 1 AND deleted_at IS NULL"
        " ON CONFLICT (sub) DO NOTHING",
    [UNLIST] =
        "DELETE FROM listed WHERE revoked_at IS NULL"
        " AND sub = (SELECT sub FROM keys WHERE id = ?1 AND deleted_at IS NULL)",
    [TOUCH] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?2, " HASH_OF("sub") " FROM keys WHERE id = ?1",
    [PURGE_TOUCH] =
        "INSERT OR IGNORE INTO changes (sequence, hash)"
        " SELECT ?2, hash FROM listed WHERE revoked_at < ?1",
    [PURGE] = "DELETE FROM listed WHERE revoked_at < ?1",
    [LOG_LENGTH] = "SELECT sequence FROM changes ORDER BY sequence DESC LIMIT 1 OFFSET ?1",
    [LOG_CUT] = "DELETE FROM changes WHERE sequence <= ?1",
    [LOG_FROM] = "UPDATE facts SET value = ?1 WHERE name = 'changes_from'",
};

const char *const st_sqlite_feed_sql[FEED_STATEMENTS] = {
    [FEED_BEGIN] = "BEGIN",
    [FEED_END] = "COMMIT",
    [FEED_FACTS] = "SELECT " FACT("sequence") ", " FACT("hash_key_0") ", " FACT(
        "hash_key_1") ", " FACT("changes_from"),
    [FEED_LISTED] = "SELECT DISTINCT hash FROM listed",
    [FEED_CHANGES] =
        ("SELECT DISTINCT hash, EXISTS (SELECT 1 FROM listed WHERE listed.hash = changes.hash)"
         " FROM changes WHERE sequence > ?1"),
};

/* ---- Sentences about failure ---- */

const char *st_sqlite_shown(const char *path) {
  size_t len = strlen(path);
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

st_stored st_sqlite_fail(char *why, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(why, ST_WHY_MAX, format, args);
  va_end(args);
  return ST_STORE_FAILED;
}

st_stored st_sqlite_fail_damaged(char *why, const char *path, const char *what) {
  return st_sqlite_fail(
      why, "%s is damaged (%s): move it and its -wal and -shm away and restore a backup",
      st_sqlite_shown(path), what);
}

/* What SQLite last complained of, before another call on db makes it forget. */
st_stored st_sqlite_fail_db(char *why, const char *path, sqlite3 *db, const char *verb) {
  int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff;
  const char *text = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return st_sqlite_fail_damaged(why, path, text);
  }
  if (code == SQLITE_BUSY) {
    return st_sqlite_fail(why, "cannot %s %s: something else has kept it locked for too long", verb,
                          st_sqlite_shown(path));
  }
  if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) {
    errno = sqlite3_system_errno(db);
    return st_sqlite_fail(why, "cannot %s %s: %s (%m)", verb, st_sqlite_shown(path), text);
  }
  return st_sqlite_fail(why, "cannot %s %s: %s", verb, st_sqlite_shown(path), text);
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
