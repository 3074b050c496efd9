/* Runs the rules' statements on SQLite, and begins and commits their changes. The text of the
 * statements is in statements.c; open.c opens the connections.
 */
#include <string.h>

#include "base/impossible.h"
#include "store/sqlite/sqlite.h"

#define END_TRIES 3

/* ---- any statement ---- */

/* Step a statement that gives no rows: one that did would be a failure. */
int st_sqlite_run(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  (void)sqlite3_reset(statement); /* tells the same once more */
  (void)sqlite3_clear_bindings(statement);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

void st_sqlite_finish(sqlite3_stmt *statement) {
  (void)sqlite3_reset(statement);
  (void)sqlite3_clear_bindings(statement);
}

/* Without memory even a ROLLBACK may fail. A transaction that stays open keeps the lock, or the
 * moment in which it reads: whoever is next on this connection ends it before anything else.
 */
bool st_sqlite_end_transaction(sqlite3_stmt *end) {
  sqlite3 *db = sqlite3_db_handle(end);
  for (int i = 0; i < END_TRIES && sqlite3_get_autocommit(db) == 0; i++) (void)st_sqlite_run(end);
  return sqlite3_get_autocommit(db) != 0;
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
  if (ok) *value = sqlite3_column_int64(statement, 0);
  (void)sqlite3_finalize(statement);
  return ok;
}

/* ---- values ---- */

/* The caller's values outlive the statement, so SQLite need not copy them. */
static bool bind_value(sqlite3_stmt *statement, int at, const st_value *v) {
  int code = SQLITE_OK; /* what is unbound is NULL */
  if (v->type == ST_VALUE_TEXT) {
    code = sqlite3_bind_text64(statement, at, v->data, v->len, SQLITE_STATIC, SQLITE_UTF8);
  } else if (v->type == ST_VALUE_BYTES) {
    code = sqlite3_bind_blob64(statement, at, v->data, v->len, SQLITE_STATIC);
  } else if (v->type == ST_VALUE_NUMBER) {
    code = sqlite3_bind_int64(statement, at, v->number);
  }
  return code == SQLITE_OK;
}

static bool bind_values(sqlite3_stmt *statement, const st_value *values) {
  for (int i = 0; values[i].type != ST_VALUE_END; i++) {
    if (!bind_value(statement, i + 1, &values[i])) {
      st_sqlite_finish(statement);
      return false;
    }
  }
  return true;
}

/* ---- the operations ---- */

static st_sqlite_db *sqlite_db(st_db *db) {
  return (st_sqlite_db *)db;
}

static st_sqlite *sqlite_store(const st_db *db) {
  return (st_sqlite *)db->store;
}

static st_store_status db_run(st_db *db, st_sql which, const st_value *values, int64_t *changed) {
  st_sqlite_db *d = sqlite_db(db);
  *changed = 0;
  if (!bind_values(d->statements[which], values)) return ST_STORE_FAILED;
  int code = st_sqlite_run(d->statements[which]);
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
    return ST_STORE_EXISTS;
  }
  if (code != SQLITE_OK) return ST_STORE_FAILED;
  *changed = sqlite3_changes(d->connection);
  return ST_STORE_OK;
}

static st_store_status step(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  return code == SQLITE_ROW    ? ST_STORE_OK
         : code == SQLITE_DONE ? ST_STORE_NOT_FOUND
                               : ST_STORE_FAILED;
}

static st_store_status db_query(st_db *db, st_sql which, const st_value *values, void **rows) {
  sqlite3_stmt *statement = sqlite_db(db)->statements[which];
  *rows = statement;
  return bind_values(statement, values) ? step(statement) : ST_STORE_FAILED;
}

static st_store_status rows_next(void *rows) {
  return step(rows);
}

static void rows_finish(void *rows) {
  st_sqlite_finish(rows);
}

static int64_t rows_number(void *rows, int column) {
  return sqlite3_column_int64(rows, column);
}

static bool rows_is_null(void *rows, int column) {
  return sqlite3_column_type(rows, column) == SQLITE_NULL;
}

static bool rows_text(void *rows, int column, char *out, size_t size) {
  return st_sqlite_take_text(rows, column, out, size);
}

static bool rows_bytes(void *rows, int column, void *out, size_t len) {
  const void *bytes = sqlite3_column_blob(rows, column);
  if (bytes == NULL || (size_t)sqlite3_column_bytes(rows, column) != len) return false;
  memcpy(out, bytes, len);
  return true;
}

static bool rows_key(void *rows, st_key *key) {
  return st_sqlite_take_key(rows, key);
}

/* What SQLite complained of; if of nothing, a row made no sense. */
static st_store_status db_explain(st_db *db, const char *verb, char *error) {
  sqlite3 *connection = sqlite_db(db)->connection;
  int code = sqlite3_errcode(connection);
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
    return st_sqlite_fail_damaged(error, db->store->name, "a row is not as it was written");
  }
  (void)st_sqlite_fail_db(error, db->store->name, connection, verb);
  return (code & 0xff) == SQLITE_BUSY ? ST_STORE_BUSY : ST_STORE_FAILED;
}

/* ---- a change ---- */

static st_store_status db_begin(st_db *db, int64_t until_us) {
  st_sqlite_db *d = sqlite_db(db);
  sqlite_store(db)->until_us = until_us;
  return st_sqlite_end_transaction(d->control[ST_SQLITE_ROLLBACK]) &&
                 st_sqlite_run(d->control[ST_SQLITE_BEGIN]) == SQLITE_OK
             ? ST_STORE_OK
             : ST_STORE_FAILED;
}

/* What is acknowledged was in the files at the path after its commit. If they are replaced between
 * the first look and the commit, or cannot be looked at after it, nobody knows whether it is in
 * those that will be used. If they are replaced later, that is a restored backup, which may be
 * older.
 */
static st_store_status db_commit(st_db *db, char *error) {
  st_sqlite_db *d = sqlite_db(db);
  if (!st_sqlite_in_place(sqlite_store(db), d->connection, error)) return ST_STORE_FAILED;
  if (st_sqlite_run(d->control[ST_SQLITE_COMMIT]) != SQLITE_OK) {
    return db_explain(db, "write", error);
  }
  if (!st_sqlite_in_place(sqlite_store(db), d->connection, error)) return ST_STORE_IN_DOUBT;
  if (db->sequence != 0) st_sqlite_watch_committed(sqlite_store(db), db->sequence);
  return ST_STORE_OK;
}

/* A commit that failed, and some failures before it, end the transaction by themselves; the others
 * leave it open, and must not.
 */
static void db_rollback(st_db *db) {
  (void)st_sqlite_end_transaction(sqlite_db(db)->control[ST_SQLITE_ROLLBACK]);
}

const st_db_ops st_sqlite_db_ops = {
    .begin = db_begin,
    .commit = db_commit,
    .rollback = db_rollback,
    .run = db_run,
    .query = db_query,
    .next = rows_next,
    .finish = rows_finish,
    .number = rows_number,
    .is_null = rows_is_null,
    .text = rows_text,
    .bytes = rows_bytes,
    .key = rows_key,
    .explain = db_explain,
};

/* ---- which connection ---- */

st_db *st_sqlite_change_db(st_store *store) {
  return &((st_sqlite *)store)->changes.base;
}

st_db *st_sqlite_acquire_query_db(st_store *store, char *error) {
  st_sqlite *sqlite = (st_sqlite *)store;
  if (st_impossible(!st_semaphore_enter(&sqlite->querying, ST_WAIT_FOR_EVER),
                    "it is never closed")) {
    (void)st_db_fail(error, "cannot read %s: no turn", st_db_name(store));
    return NULL;
  }
  st_sqlite_db *d = &sqlite->queries;
  if (!st_sqlite_end_transaction(d->statements[ST_SQL_COPY_END])) {
    (void)db_explain(&d->base, "read", error);
  } else if (st_sqlite_in_place(sqlite, d->connection, error)) {
    return &d->base;
  }
  st_semaphore_leave(&sqlite->querying);
  return NULL;
}

void st_sqlite_release_query_db(st_db *db) {
  st_semaphore_leave(&sqlite_store(db)->querying);
}

/* Nobody who writes waits for it. */
st_db *st_sqlite_begin_read(st_store *store, char *error) {
  st_db *db = st_sqlite_acquire_query_db(store, error);
  if (db == NULL || st_db_run(db, ST_SQL_COPY_BEGIN, ST_NO_VALUES) == ST_STORE_OK) return db;
  (void)db_explain(db, "read", error);
  st_sqlite_release_query_db(db);
  return NULL;
}

void st_sqlite_end_read(st_db *db) {
  (void)st_sqlite_end_transaction(sqlite_db(db)->statements[ST_SQL_COPY_END]); /* it only read */
  st_sqlite_release_query_db(db);
}
