/* Opens a store on SQLite: finds or makes its file, has it checked and brought up to date, opens
 * the connections and prepares their statements. The driver below names what answers which
 * question.
 */
#include "store/sqlite/open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sqlite/sqlite.h"

#define QUICK_CHECK_MAX (64 << 20) /* bytes; checking takes time linear in the size */

static void close_store(st_store *base);

static const st_driver driver = {
    .close = close_store,
    .by_digest = st_sqlite_by_digest,
    .by_sub = st_sqlite_by_sub,
    .tokens_revoked = st_sqlite_tokens_revoked,
    .ready = st_sqlite_ready,
    .interrupt = st_sqlite_interrupt,
    .issued_sequence = st_sqlite_issued_sequence,
    .revocation_state = st_sqlite_revocation_state,
    .revocation_data = st_sqlite_revocation_data,
    .revocation_changes = st_sqlite_revocation_changes,
    .wait = st_sqlite_wait_for_sequence,
    .epoch = st_sqlite_epoch,
    .describe = st_sqlite_describe,
    .backup = st_sqlite_backup,
    .change_db = st_sqlite_change_db,
    .acquire_query_db = st_sqlite_acquire_query_db,
    .release_query_db = st_sqlite_release_query_db,
    .begin_read = st_sqlite_begin_read,
    .end_read = st_sqlite_end_read,
};

/* ---- the file ---- */

/* The fill of st_sqlite_place. */
static bool build(void *unused, const char *path, char *error) {
  (void)unused;
  return st_sqlite_build(path, error) == ST_STORE_OK;
}

/* The absolute path, links resolved, of a file that exists now. Another process may make it at the
 * same time; the one put in place first is used by both.
 */
static st_store_status find_file(const char *path, bool create, char **found, char *error) {
  struct stat status;
  int64_t changes =
      st_sqlite_size_beside(path, "-wal"); /* read before the file is: it is made after it */
  bool missing = stat(path, &status) != 0 && errno == ENOENT;
  if (missing && changes > 0) {
    return st_db_fail(error, "%s is missing, but its -wal is there: restore a backup",
                      st_error_path(path));
  }
  if (missing && create && st_sqlite_place(path, build, NULL, error) == ST_STORE_FAILED) {
    return ST_STORE_FAILED;
  }
  *found = realpath(path, NULL);
  return *found != NULL ? ST_STORE_OK
                        : st_db_fail(error, "cannot open %s: %m", st_error_path(path));
}

/* Before SQLite opens it: beside a file that it cannot write it leaves others of that kind. */
static st_store_status check_access(const char *path, char *error) {
  if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0) return ST_STORE_OK;
  return st_db_fail(error, "cannot read and write %s: %m", st_error_path(path));
}

/* The file that SQLite has open is the one at the path that was checked. */
static st_store_status check_same(const st_sqlite *store, sqlite3 *db, char *error) {
  const char *path = store->base.name;
  int moved = 0;
  if (sqlite3_db_readonly(db, "main") != 0) {
    return st_db_fail(error, "cannot write %s: it is read-only", st_error_path(path));
  }
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK) {
    return st_sqlite_fail_db(error, path, db, "open");
  }
  if (moved != 0) {
    return st_db_fail(error, "%s was replaced while it was being opened", st_error_path(path));
  }
  int64_t size = 0;
  return st_sqlite_check_owner(path, store->trust_group, &size, error);
}

/* ---- the statements ---- */

/* The statements that only read, on the connection of the management. */
static bool prepare_queries(st_sqlite_db *db) {
  static const st_sql which[] = {ST_SQL_KEY_FIND,           ST_SQL_KEY_FIND_SUB,
                                 ST_SQL_KEY_LIST,           ST_SQL_KEY_LIST_OWNED,
                                 ST_SQL_KEY_COUNT,          ST_SQL_SETTING_GET,
                                 ST_SQL_USER_FIND,          ST_SQL_USER_LIST,
                                 ST_SQL_AUDIT_LIST,         ST_SQL_AUDIT_AFTER,
                                 ST_SQL_AUDIT_BOUND,        ST_SQL_KEY_COUNT_EXPIRING,
                                 ST_SQL_KEY_LIST_EXPIRING,  ST_SQL_USER_WAS_DELETED,
                                 ST_SQL_REFRESH_SESSION,    ST_SQL_COPY_BEGIN,
                                 ST_SQL_COPY_END,           ST_SQL_COPY_READ_SETTINGS,
                                 ST_SQL_COPY_READ_ISSUED,   ST_SQL_COPY_READ_KEYS,
                                 ST_SQL_COPY_READ_REPLACED, ST_SQL_COPY_READ_REVOKED,
                                 ST_SQL_COPY_READ_LISTED,   ST_SQL_COPY_READ_CHANGES,
                                 ST_SQL_COPY_READ_USERS,    ST_SQL_COPY_READ_SESSIONS,
                                 ST_SQL_COPY_READ_REFRESH,  ST_SQL_COPY_READ_USED,
                                 ST_SQL_COPY_READ_AUDIT,    ST_SQL_COPY_READ_REMAINING,
                                 ST_SQL_REMAINING_NEXT,     ST_SQL_AUDIT_LAST,
                                 ST_SQL_OWNED_HOLDING,      ST_SQL_OWNED_HOLDING_SESSIONS,
                                 ST_SQL_KEY_FOUND,          ST_SQL_USER_FOUND,
                                 ST_SQL_KEY_SCAN,           ST_SQL_KEY_SCAN_OWNED,
                                 ST_SQL_KEY_SCAN_EXPIRING,  ST_SQL_USER_SCAN,
                                 ST_SQL_AUDIT_PLACE,        ST_SQL_AUDIT_SCAN,
                                 ST_SQL_AUDIT_SCAN_WHO,     ST_SQL_AUDIT_SCAN_ACTION,
                                 ST_SQL_AUDIT_SCAN_TARGET};
  bool ok = true;
  for (size_t i = 0; ok && i < sizeof which / sizeof *which; i++) {
    ok = st_sqlite_prepare(db->connection, &st_sqlite_sql[which[i]], &db->statements[which[i]], 1);
  }
  return ok;
}

static bool prepare_changes(st_sqlite_db *db) {
  /* The rows that a change is about, those that were made with it, and hashes: of this connection
   * alone, in memory.
   */
  static const char tables[] =
      "PRAGMA cache_size = -6000;" /* KiB; what a change writes, or it is written twice */
      "CREATE TEMP TABLE row_set (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;"
      "CREATE TEMP TABLE derived (id TEXT NOT NULL PRIMARY KEY, base INTEGER NOT NULL)"
      " STRICT, WITHOUT ROWID;"
      "CREATE TEMP TABLE snapshot (hash INTEGER NOT NULL PRIMARY KEY) STRICT";
  return sqlite3_exec(db->connection, tables, NULL, NULL, NULL) == SQLITE_OK &&
         st_sqlite_prepare(db->connection, st_sqlite_control_sql, db->control,
                           ST_SQLITE_CONTROL_COUNT) &&
         st_sqlite_prepare(db->connection, st_sqlite_sql, db->statements, ST_SQL_COUNT);
}

/* Preparing the statements checks that every table and column exists. */
static st_store_status prepare_all(st_sqlite *store, char *error) {
  sqlite3 *db = store->changes.connection;
  bool ok = prepare_changes(&store->changes);
  if (ok) {
    db = store->queries.connection;
    ok = prepare_queries(&store->queries);
  }
  for (size_t i = 0; ok && i < ST_SQLITE_READERS; i++) {
    db = store->readers[i].connection;
    ok = st_sqlite_prepare(db, st_sqlite_read_sql, store->readers[i].statements,
                           ST_SQLITE_READ_COUNT);
  }
  if (ok) return ST_STORE_OK;
  return sqlite3_errcode(db) == SQLITE_ERROR
             ? st_sqlite_fail_damaged(error, store->base.name, sqlite3_errmsg(db))
             : st_sqlite_fail_db(error, store->base.name, db, "open");
}

/* ---- the connections ---- */

/* A connection that only reads. */
static st_store_status open_to_read(st_sqlite *store, sqlite3 **db, st_sqlite_wait *wait,
                                    char *error) {
  if (st_sqlite_connect(store->base.name, db, error) != ST_STORE_OK ||
      check_same(store, *db, error) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  return st_sqlite_set_read_wait(*db, wait)
             ? ST_STORE_OK
             : st_sqlite_fail_db(error, store->base.name, *db, "open");
}

/* From here on every change checks that the files are these. */
static st_store_status settle(st_sqlite *store, char *error) {
  sqlite3 *db = store->changes.connection;
  if (!st_sqlite_set_write_wait(store)) {
    return st_sqlite_fail_db(error, store->base.name, db, "open");
  }
  if (!st_sqlite_name_files(store) || !st_sqlite_remember_files(store)) {
    return st_db_fail(error, "cannot open %s: %m", st_error_path(store->base.name));
  }
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    store->readers[i].wal_index = st_sqlite_wal_index_find(store->readers[i].connection);
  }
  return st_sqlite_in_place(store, db, error) ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status open_parts(st_sqlite *store, const char *path, bool create, char *error) {
  int64_t size = 0;
  sqlite3 **db = &store->changes.connection;
  if (find_file(path, create, &store->base.name, error) != ST_STORE_OK) return ST_STORE_FAILED;
  const char *name = store->base.name;
  if (st_sqlite_check_file(name, store->trust_group, &size, error) != ST_STORE_OK ||
      check_access(name, error) != ST_STORE_OK ||
      st_sqlite_connect(name, db, error) != ST_STORE_OK ||
      check_same(store, *db, error) != ST_STORE_OK ||
      st_sqlite_update_schema(name, *db, error) != ST_STORE_OK ||
      st_sqlite_set_journal(name, *db, "wal", error) != ST_STORE_OK ||
      (size <= QUICK_CHECK_MAX && st_sqlite_check_pages(name, *db, error) != ST_STORE_OK)) {
    return ST_STORE_FAILED;
  }
  st_store_status status =
      open_to_read(store, &store->queries.connection, &store->query_wait, error);
  for (size_t i = 0; status == ST_STORE_OK && i < ST_SQLITE_READERS; i++) {
    status = open_to_read(store, &store->readers[i].connection, &store->readers[i].wait, error);
  }
  if (status == ST_STORE_OK) status = prepare_all(store, error);
  return status == ST_STORE_OK ? settle(store, error) : status;
}

/* Without a connection yet; NULL: no memory. */
static st_sqlite *make(const st_store_options *options) {
  st_sqlite *made = calloc(1, sizeof *made);
  st_key_cache *cache = st_key_cache_new(options->cache_bytes);
  if (made == NULL || cache == NULL) {
    st_key_cache_free(cache);
    free(made);
    return NULL;
  }
  made->cache = cache;
  /* Each request holds it for microseconds: spinning a little is cheaper than sleeping. */
  pthread_mutexattr_t spin;
  (void)pthread_mutexattr_init(&spin); /* these cannot fail here */
  (void)pthread_mutexattr_settype(&spin, PTHREAD_MUTEX_ADAPTIVE_NP);
  st_db_store_start(&made->base, &driver);
  made->trust_group = options->trust_group;
  made->changes.base = (st_db){.ops = &st_sqlite_db_ops, .store = &made->base};
  made->queries.base = (st_db){.ops = &st_sqlite_db_ops, .store = &made->base};
  made->querying = (st_semaphore)ST_SEMAPHORE(1, SIZE_MAX);
  (void)pthread_mutex_init(&made->reading_state, NULL);
  st_sqlite_watch_start(&made->watch);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    st_sqlite_reader *r = &made->readers[i];
    r->store = made;
    (void)pthread_mutex_init(&r->lock, &spin);
  }
  (void)pthread_mutexattr_destroy(&spin);
  return made;
}

st_store_status st_sqlite_open(const char *path, bool create, const st_store_options *options,
                               st_store **store, char *error) {
  *store = NULL;
  if (sqlite3_threadsafe() == 0) {
    return st_db_fail(error, "cannot open %s: SQLite was built without threads",
                      st_error_path(path));
  }
  st_sqlite *made = make(options);
  if (made == NULL) return st_db_fail(error, "cannot open %s: no memory", st_error_path(path));
  if (open_parts(made, path, create, error) != ST_STORE_OK) {
    close_store(&made->base);
    return ST_STORE_FAILED;
  }
  *store = &made->base;
  return ST_STORE_OK;
}

/* ---- a new store ---- */

/* What is put into it. */
typedef struct filling {
  const st_store_options *options;
  st_db_fill_fn *fill;
  void *context;
} filling;

/* So that it is one file. */
static st_store_status leave_wal(const char *path, char *error) {
  sqlite3 *db = NULL;
  st_store_status status = st_sqlite_connect(path, &db, error);
  if (status == ST_STORE_OK) status = st_sqlite_set_journal(path, db, "delete", error);
  if (sqlite3_close(db) != SQLITE_OK && status == ST_STORE_OK) {
    status = st_db_fail(error, "cannot write %s: it cannot be closed", st_error_path(path));
  }
  return status;
}

/* The fill of st_sqlite_place. */
static bool fill_store(void *context, const char *path, char *error) {
  const filling *f = context;
  st_store *store = NULL;
  st_store_status status = st_sqlite_build(path, error);
  if (status == ST_STORE_OK) status = st_sqlite_open(path, false, f->options, &store, error);
  if (status == ST_STORE_OK) status = f->fill(store, f->context, error);
  if (store != NULL) close_store(store);
  if (status == ST_STORE_OK) status = leave_wal(path, error);
  return status == ST_STORE_OK;
}

st_store_status st_sqlite_place_store(const char *path, const st_store_options *options,
                                      st_db_fill_fn *fill, void *context, char *error) {
  filling f = {options, fill, context};
  return st_sqlite_place(path, fill_store, &f, error);
}

/* ---- closing ---- */

static void close_reader(st_sqlite_reader *r) {
  for (size_t i = 0; i < ST_SQLITE_READ_COUNT; i++) (void)sqlite3_finalize(r->statements[i]);
  (void)sqlite3_close(r->connection);
  (void)pthread_mutex_destroy(&r->lock);
}

static void close_db(st_sqlite_db *db) {
  for (size_t i = 0; i < ST_SQL_COUNT; i++) (void)sqlite3_finalize(db->statements[i]);
  for (size_t i = 0; i < ST_SQLITE_CONTROL_COUNT; i++) (void)sqlite3_finalize(db->control[i]);
  (void)sqlite3_close(db->connection);
}

/* The last to close writes the -wal into the database. It must not do so into a file that was
 * overwritten.
 */
static void leave_overwritten(st_sqlite *store) {
  char error[ST_ERROR_MAX];
  if (store->files[0].name == NULL || !atomic_load(&store->displaced) ||
      st_sqlite_look(store, store->changes.connection, error) != ST_SQLITE_OVERWRITTEN) {
    return;
  }
  sqlite3 *others[4] = {store->changes.connection, store->queries.connection, store->state,
                        store->watch.connection};
  for (size_t i = 0; i < 4; i++) {
    if (others[i] != NULL) {
      (void)sqlite3_db_config(others[i], SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
  }
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    (void)sqlite3_db_config(store->readers[i].connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                            NULL);
  }
}

static void close_store(st_store *base) {
  st_sqlite *store = (st_sqlite *)base;
  leave_overwritten(store);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) close_reader(&store->readers[i]);
  for (size_t i = 0; i < ST_SQLITE_STATE_COUNT; i++) {
    (void)sqlite3_finalize(store->state_statements[i]);
  }
  (void)sqlite3_close(store->state);
  st_sqlite_watch_end(&store->watch);
  close_db(&store->queries);
  close_db(&store->changes);
  (void)pthread_mutex_destroy(&store->reading_state);
  st_sqlite_drop_files(store);
  st_key_cache_free(store->cache);
  free(store->base.name);
  free(store);
}
