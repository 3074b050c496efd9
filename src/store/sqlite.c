/* sqlite - the store of parent keys: see sqlite.h.
 *
 * Two connections, each under a mutex of its own. `writes` makes the changes
 * and answers the management's questions, `reads` answers the two questions of
 * the hot path, so that no request waits for an fsync.
 *
 * The file itself is looked at through SQLite's own VFS only: POSIX drops all
 * locks that a process holds on a file as soon as it closes any descriptor of
 * it, so an open() and close() of ours would unlock the file under another
 * handle of the same process.
 */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define APPLICATION_ID 0x53756254 /* "SubT", at byte 68 of the file */
#define HEADER_LEN 100            /* https://www.sqlite.org/fileformat2.html section 1.3 */
#define BUSY_MS 5000
#define RETRY_MS 20
#define SLOTS 4096                 /* keys remembered; a power of two */
#define QUICK_CHECK_MAX (64 << 20) /* bytes; checking takes time linear in the size */
#define ROOM_MIN (64 << 10)        /* bytes free on the disk, or no change can be expected to fit */
#define PATH_SHOWN 200             /* of a long path, why names the end */

/* Step N makes schema version N + 1. A step that was released is never edited. A
 * deleted key keeps its row: for the audit, and so that its digest and its sub
 * are recognised and can never be given again.
 */
static const char *const migrations[] = {
    "CREATE TABLE keys ("
    "  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),"
    "  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),"
    "  sub TEXT NOT NULL UNIQUE CHECK (length(sub) = 43),"
    "  name TEXT NOT NULL,"
    "  owner TEXT NOT NULL,"
    "  permissions TEXT NOT NULL," /* joined by commas */
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER," /* NULL: never */
    "  disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),"
    "  changed_at INTEGER NOT NULL,"
    "  deleted_at INTEGER" /* NULL: it lives */
    ") STRICT;"
    "CREATE UNIQUE INDEX keys_live ON keys (id) WHERE deleted_at IS NULL;"
    "CREATE TABLE revoked ("
    "  sub TEXT NOT NULL PRIMARY KEY CHECK (length(sub) = 43),"
    "  key_id TEXT NOT NULL REFERENCES keys (id),"
    "  revoked_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE facts ("
    "  name TEXT NOT NULL PRIMARY KEY,"
    "  value INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",
};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

#define COLUMNS "id, sub, name, owner, permissions, created_at, expires_at, disabled"
enum { ID, SUB, NAME, OWNER, PERMISSIONS, CREATED_AT, EXPIRES_AT, DISABLED, DIGEST, REFUSED };

enum { DATA_VERSION, BY_DIGEST, BY_SUB, SUB_REVOKED, READ_STATEMENTS };
static const char *const read_sql[READ_STATEMENTS] = {
    [DATA_VERSION] = "PRAGMA data_version",
    [BY_DIGEST] = "SELECT " COLUMNS ", digest, deleted_at IS NOT NULL FROM keys WHERE digest = ?1",
    [BY_SUB] = "SELECT " COLUMNS
               ", digest, deleted_at IS NOT NULL"
               " OR EXISTS (SELECT 1 FROM revoked WHERE revoked.sub = keys.sub)"
               " FROM keys WHERE sub = ?1",
    [SUB_REVOKED] = "SELECT 1 FROM revoked WHERE sub = ?1",
};

enum {
  BEGIN,
  COMMIT,
  ROLLBACK,
  INSERT,
  IS_REVOKED,
  REVOKE,
  DELETE,
  DISABLE,
  REPLACE_SUB,
  FIND,
  LIST,
  COUNT,
  REMEMBER,
  RECALL,
  WRITE_STATEMENTS
};
static const char *const write_sql[WRITE_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [INSERT] = "INSERT INTO keys (" COLUMNS
               ", digest, changed_at, deleted_at)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?6, NULL)",
    [IS_REVOKED] = "SELECT 1 FROM revoked WHERE sub = ?1",
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
};

/* A key that was read while the cache had this generation; good as long as it
 * still has. 0 is no generation.
 */
typedef struct slot {
  uint64_t generation;
  uint8_t digest[32];
  st_key key;
} slot;

struct st_store {
  char *path; /* absolute, links resolved */

  pthread_mutex_t writing; /* guards the two below */
  sqlite3 *writes;
  sqlite3_stmt *write[WRITE_STATEMENTS];

  pthread_mutex_t reading; /* guards all below */
  sqlite3 *reads;
  sqlite3_stmt *read[READ_STATEMENTS];
  slot *slots;
  uint64_t generation;
  int64_t data_version; /* of `reads`, when the generation began */
  char trouble[ST_WHY_MAX];
};

/* ---- Sentences about failure ---- */

static const char *shown(const char *path) {
  size_t len = strlen(path);
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

__attribute__((format(printf, 2, 3))) static st_stored fail(char *why, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(why, ST_WHY_MAX, format, args);
  va_end(args);
  return ST_STORE_FAILED;
}

static st_stored fail_damaged(char *why, const char *path, const char *what) {
  return fail(why, "%s is damaged (%s): move it and its -wal and -shm away and restore a backup",
              shown(path), what);
}

/* What SQLite last complained of, before another call on db makes it forget. */
static st_stored fail_sqlite(char *why, const char *path, sqlite3 *db, const char *verb) {
  int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff;
  const char *text = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return fail_damaged(why, path, text);
  }
  if (code == SQLITE_BUSY) {
    return fail(why, "cannot %s %s: something else has kept it locked for too long", verb,
                shown(path));
  }
  if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) {
    errno = sqlite3_system_errno(db);
    return fail(why, "cannot %s %s: %s (%m)", verb, shown(path), text);
  }
  return fail(why, "cannot %s %s: %s", verb, shown(path), text);
}

/* ---- Statements ---- */

/* Step a statement that gives no rows. The code is SQLITE_OK or the failure. */
static int run(sqlite3_stmt *statement) {
  int code = sqlite3_step(statement);
  (void)sqlite3_reset(statement); /* tells the same once more */
  (void)sqlite3_clear_bindings(statement);
  return code == SQLITE_DONE ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_MISUSE : code;
}

static void finish(sqlite3_stmt *statement) {
  (void)sqlite3_reset(statement);
  (void)sqlite3_clear_bindings(statement);
}

/* The texts bound outlive the step, so SQLite need not copy them. */
static bool bind_text(sqlite3_stmt *statement, int at, const char *text) {
  return sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC) == SQLITE_OK;
}

static bool bind_integer(sqlite3_stmt *statement, int at, int64_t value) {
  return sqlite3_bind_int64(statement, at, value) == SQLITE_OK;
}

static bool prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL) != SQLITE_OK) {
      return false;
    }
  }
  return true;
}

/* One value of a query for a number. */
static bool ask_integer(sqlite3 *db, const char *sql, int64_t *value) {
  sqlite3_stmt *statement = NULL;
  bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW;
  if (ok) {
    *value = sqlite3_column_int64(statement, 0);
  }
  (void)sqlite3_finalize(statement);
  return ok;
}

/* ---- Rows ---- */

/* false when it does not fit or holds a NUL: a name is never cut short. */
static bool take_text(sqlite3_stmt *row, int column, char *out, size_t size) {
  const unsigned char *text = sqlite3_column_text(row, column);
  size_t len = (size_t)sqlite3_column_bytes(row, column);
  if (text == NULL || len >= size || memchr(text, 0, len) != NULL) {
    return false;
  }
  memcpy(out, text, len);
  out[len] = 0;
  return true;
}

static bool take_time(sqlite3_stmt *row, int column, int64_t *out) {
  *out = sqlite3_column_int64(row, column);
  return *out >= 0 && *out <= SUBTOKEN_TIME_MAX;
}

static bool take_key(sqlite3_stmt *row, st_key *key) {
  int64_t disabled = sqlite3_column_int64(row, DISABLED);
  bool never = sqlite3_column_type(row, EXPIRES_AT) == SQLITE_NULL;
  memset(key, 0, sizeof *key);
  key->disabled = disabled != 0;
  key->expires_at = ST_NEVER;
  return take_text(row, ID, key->id, sizeof key->id) && strlen(key->id) == ST_KEY_ID_LEN &&
         take_text(row, SUB, key->sub, sizeof key->sub) && strlen(key->sub) == ST_SUB_LEN &&
         take_text(row, NAME, key->name, sizeof key->name) &&
         take_text(row, OWNER, key->owner, sizeof key->owner) &&
         take_text(row, PERMISSIONS, key->permissions, sizeof key->permissions) &&
         take_time(row, CREATED_AT, &key->created_at) &&
         (never || take_time(row, EXPIRES_AT, &key->expires_at)) &&
         (disabled == 0 || disabled == 1);
}

static bool take_digest(sqlite3_stmt *row, uint8_t out[32]) {
  const void *digest = sqlite3_column_blob(row, DIGEST);
  if (digest == NULL || sqlite3_column_bytes(row, DIGEST) != 32) {
    return false;
  }
  memcpy(out, digest, 32);
  return true;
}

/* In constant time: a digest stands for a key, and must not be found by timing. */
static bool same_digest(const uint8_t a[32], const uint8_t b[32]) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < 32; i++) {
    difference = (uint8_t)(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

/* ---- The hot path ---- */

/* A key by its digest (sub NULL) or by its sub of ST_SUB_LEN bytes. */
typedef struct question {
  const uint8_t *digest;
  const char *sub;
} question;

static slot *slot_of(st_store *store, const question *ask) {
  uint64_t bits = 0;
  memcpy(&bits, ask->sub != NULL ? (const void *)ask->sub : ask->digest, sizeof bits);
  return &store->slots[(bits * UINT64_C(0x9e3779b97f4a7c15)) >> 52 & (SLOTS - 1)];
}

static bool is_answer(const slot *held, const question *ask) {
  return ask->sub != NULL ? memcmp(held->key.sub, ask->sub, ST_SUB_LEN) == 0
                          : same_digest(held->digest, ask->digest);
}

static st_found trouble(st_store *store) {
  (void)fail_sqlite(store->trouble, store->path, store->reads, "read");
  return ST_FOUND_ERROR;
}

/* Notice commits since the last question: data_version changes on a connection
 * for those of every other one, `writes` and other processes alike.
 */
static bool freshen(st_store *store) {
  sqlite3_stmt *ask = store->read[DATA_VERSION];
  bool ok = sqlite3_step(ask) == SQLITE_ROW;
  int64_t version = ok ? sqlite3_column_int64(ask, 0) : 0;
  if (!ok || version != store->data_version) {
    store->data_version = version;
    store->generation++;
  }
  if (!ok) {
    (void)trouble(store);
  }
  (void)sqlite3_reset(ask);
  return ok;
}

/* The row that answers, into its slot. */
static st_found read_row(st_store *store, sqlite3_stmt *row, const question *ask, slot *held) {
  int code = sqlite3_step(row);
  if (code == SQLITE_DONE) {
    return ST_FOUND_NONE;
  }
  if (code != SQLITE_ROW) {
    return trouble(store);
  }
  if (sqlite3_column_int64(row, REFUSED) != 0) {
    return ST_FOUND_REVOKED;
  }
  held->generation = 0;
  if (!take_key(row, &held->key) || !take_digest(row, held->digest) || !is_answer(held, ask)) {
    (void)fail_damaged(store->trouble, store->path, "the row of a key is not as it was written");
    return ST_FOUND_ERROR;
  }
  held->generation = store->generation;
  return ST_FOUND;
}

static st_found read_key(st_store *store, const question *ask, slot *held) {
  sqlite3_stmt *row = store->read[ask->sub != NULL ? BY_SUB : BY_DIGEST];
  int bound = ask->sub != NULL ? sqlite3_bind_text(row, 1, ask->sub, ST_SUB_LEN, SQLITE_STATIC)
                               : sqlite3_bind_blob(row, 1, ask->digest, 32, SQLITE_STATIC);
  st_found found = bound == SQLITE_OK ? read_row(store, row, ask, held) : trouble(store);
  finish(row);
  return found;
}

/* A sub that no key has any more. */
static st_found read_revoked(st_store *store, const char *sub) {
  sqlite3_stmt *row = store->read[SUB_REVOKED];
  int code = sqlite3_bind_text(row, 1, sub, ST_SUB_LEN, SQLITE_STATIC);
  if (code == SQLITE_OK) {
    code = sqlite3_step(row);
  }
  st_found found = code == SQLITE_ROW    ? ST_FOUND_REVOKED
                   : code == SQLITE_DONE ? ST_FOUND_NONE
                                         : trouble(store);
  finish(row);
  return found;
}

static st_found look_up(st_store *store, const question *ask, st_key *key) {
  if (!freshen(store)) {
    return ST_FOUND_ERROR;
  }
  slot *held = slot_of(store, ask);
  st_found found = ST_FOUND;
  if (held->generation != store->generation || !is_answer(held, ask)) {
    found = read_key(store, ask, held);
  }
  if (found == ST_FOUND) {
    *key = held->key;
  }
  return found == ST_FOUND_NONE && ask->sub != NULL ? read_revoked(store, ask->sub) : found;
}

static st_found answer(st_store *store, const question *ask, st_key *key) {
  (void)pthread_mutex_lock(&store->reading);
  st_found found = look_up(store, ask, key);
  (void)pthread_mutex_unlock(&store->reading);
  if (found != ST_FOUND) {
    memset(key, 0, sizeof *key);
  }
  return found;
}

static st_found by_digest(void *store, const uint8_t digest[32], st_key *key) {
  question ask = {.digest = digest};
  return answer(store, &ask, key);
}

static st_found by_sub(void *store, subtoken_text sub, st_key *key) {
  if (sub.data == NULL || sub.len != ST_SUB_LEN) {
    memset(key, 0, sizeof *key);
    return ST_FOUND_NONE;
  }
  question ask = {.sub = sub.data};
  return answer(store, &ask, key);
}

st_keys st_store_keys(st_store *store) {
  st_keys keys = {.store = store, .by_digest = by_digest, .by_sub = by_sub};
  return keys;
}

void st_store_trouble(st_store *store, char *why) {
  (void)pthread_mutex_lock(&store->reading);
  memcpy(why, store->trouble, ST_WHY_MAX);
  (void)pthread_mutex_unlock(&store->reading);
}

/* Room and leave to write; SQLite needs the directory for its -wal, too. */
static bool seems_writable(const char *path) {
  struct statvfs disk;
  if (statvfs(path, &disk) != 0 || (disk.f_flag & ST_RDONLY) != 0) {
    return false;
  }
  unsigned long long blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
  return blocks * disk.f_frsize >= ROOM_MIN && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
}

bool st_store_ready(st_store *store) {
  int moved = 1;
  (void)pthread_mutex_lock(&store->reading);
  bool ok = freshen(store) &&
            sqlite3_file_control(store->reads, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK;
  (void)pthread_mutex_unlock(&store->reading);
  return ok && moved == 0 && seems_writable(store->path);
}

/* ---- Changes ---- */

typedef struct change {
  const st_key *key;
  const uint8_t *digest;
  const char *id;
  const char *sub;
  bool disabled;
  int64_t now;
} change;

/* Part of a change, in its transaction. What it leaves when it does not answer
 * ST_STORED is rolled back.
 */
typedef st_stored (*change_fn)(st_store *store, const change *what);

static st_stored commit(st_store *store) {
  return run(store->write[COMMIT]) == SQLITE_OK ? ST_STORED : ST_STORE_FAILED;
}

/* A commit that failed, and some failures before it, end the transaction by
 * themselves; the others leave it open, and must not.
 */
static void roll_back(st_store *store) {
  if (sqlite3_get_autocommit(store->writes) == 0) {
    (void)run(store->write[ROLLBACK]);
  }
}

static st_stored apply(st_store *store, change_fn make, const change *what, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  st_stored stored = ST_STORE_FAILED;
  if (run(store->write[BEGIN]) == SQLITE_OK) {
    stored = make(store, what);
  }
  if (stored == ST_STORED) {
    stored = commit(store);
  }
  if (stored == ST_STORE_FAILED) {
    (void)fail_sqlite(why, store->path, store->writes, "write");
  }
  roll_back(store);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}

/* What became of a statement that changes the one key it is about. */
static st_stored outcome(st_store *store, int code) {
  if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY) {
    return ST_STORE_EXISTS;
  }
  if (code != SQLITE_OK) {
    return ST_STORE_FAILED;
  }
  return sqlite3_changes(store->writes) == 1 ? ST_STORED : ST_STORE_NONE;
}

/* ST_STORED: the sub has never been revoked. */
static st_stored sub_is_new(st_store *store, const char *sub) {
  sqlite3_stmt *row = store->write[IS_REVOKED];
  int code = bind_text(row, 1, sub) ? sqlite3_step(row) : SQLITE_NOMEM;
  finish(row);
  return code == SQLITE_DONE ? ST_STORED : code == SQLITE_ROW ? ST_STORE_EXISTS : ST_STORE_FAILED;
}

static bool bind_key(sqlite3_stmt *insert, const st_key *key, const uint8_t digest[32]) {
  bool never = key->expires_at >= ST_NEVER;
  return bind_text(insert, ID + 1, key->id) && bind_text(insert, SUB + 1, key->sub) &&
         bind_text(insert, NAME + 1, key->name) && bind_text(insert, OWNER + 1, key->owner) &&
         bind_text(insert, PERMISSIONS + 1, key->permissions) &&
         bind_integer(insert, CREATED_AT + 1, key->created_at) &&
         (never || bind_integer(insert, EXPIRES_AT + 1, key->expires_at)) &&
         bind_integer(insert, DISABLED + 1, key->disabled) &&
         sqlite3_bind_blob(insert, DIGEST + 1, digest, 32, SQLITE_STATIC) == SQLITE_OK;
}

static st_stored make_key(st_store *store, const change *what) {
  st_stored stored = sub_is_new(store, what->key->sub);
  if (stored != ST_STORED) {
    return stored;
  }
  sqlite3_stmt *insert = store->write[INSERT];
  if (!bind_key(insert, what->key, what->digest)) {
    finish(insert);
    return ST_STORE_FAILED;
  }
  return outcome(store, run(insert));
}

/* One of the statements that say `id = ?1` and take the time as ?2. */
static st_stored change_key(st_store *store, int which, const change *what) {
  sqlite3_stmt *statement = store->write[which];
  if (!bind_text(statement, 1, what->id) || !bind_integer(statement, 2, what->now) ||
      (which == DISABLE && !bind_integer(statement, 3, what->disabled)) ||
      (which == REPLACE_SUB && !bind_text(statement, 3, what->sub))) {
    finish(statement);
    return ST_STORE_FAILED;
  }
  return outcome(store, run(statement));
}

static st_stored make_disabled(st_store *store, const change *what) {
  return change_key(store, DISABLE, what);
}

/* The sub first, while the key still has it. That nothing was inserted decides
 * nothing here: the statement that follows knows whether there is such a key.
 */
static st_stored make_deleted(st_store *store, const change *what) {
  if (change_key(store, REVOKE, what) == ST_STORE_FAILED) {
    return ST_STORE_FAILED;
  }
  return change_key(store, DELETE, what);
}

/* As make_deleted; asked after the old sub is revoked, sub_is_new refuses it. */
static st_stored make_new_sub(st_store *store, const change *what) {
  if (change_key(store, REVOKE, what) == ST_STORE_FAILED) {
    return ST_STORE_FAILED;
  }
  st_stored stored = sub_is_new(store, what->sub);
  return stored == ST_STORED ? change_key(store, REPLACE_SUB, what) : stored;
}

static bool is_time(int64_t time) {
  return time >= 0 && time <= SUBTOKEN_TIME_MAX;
}

static bool has_len(const char *text, size_t len) {
  return strnlen(text, len + 1) == len;
}

/* What could not be read back must not be written. */
static bool is_storable(const st_key *key) {
  return has_len(key->id, ST_KEY_ID_LEN) && has_len(key->sub, ST_SUB_LEN) &&
         strnlen(key->name, sizeof key->name) < sizeof key->name &&
         strnlen(key->owner, sizeof key->owner) < sizeof key->owner &&
         strnlen(key->permissions, sizeof key->permissions) < sizeof key->permissions &&
         is_time(key->created_at) && is_time(key->expires_at);
}

st_stored st_store_create(st_store *store, const st_key *key, const uint8_t digest[32], char *why) {
  if (!is_storable(key)) {
    return fail(why, "cannot write %s: not a whole key", shown(store->path));
  }
  change what = {.key = key, .digest = digest};
  return apply(store, make_key, &what, why);
}

st_stored st_store_set_disabled(st_store *store, const char *id, bool disabled, int64_t now,
                                char *why) {
  change what = {.id = id, .disabled = disabled, .now = now};
  return apply(store, make_disabled, &what, why);
}

st_stored st_store_delete(st_store *store, const char *id, int64_t now, char *why) {
  change what = {.id = id, .now = now};
  return apply(store, make_deleted, &what, why);
}

st_stored st_store_replace_sub(st_store *store, const char *id, const char *sub, int64_t now,
                               char *why) {
  if (!has_len(sub, ST_SUB_LEN)) {
    return fail(why, "cannot write %s: not a whole sub", shown(store->path));
  }
  change what = {.id = id, .sub = sub, .now = now};
  return apply(store, make_new_sub, &what, why);
}

/* ---- The management's questions ---- */

/* The next row of keys: ST_STORE_NONE after the last. */
static st_stored next_key(st_store *store, sqlite3_stmt *rows, st_key *key, char *why) {
  int code = sqlite3_step(rows);
  if (code == SQLITE_DONE) {
    return ST_STORE_NONE;
  }
  if (code != SQLITE_ROW) {
    return fail_sqlite(why, store->path, store->writes, "read");
  }
  if (!take_key(rows, key)) {
    return fail_damaged(why, store->path, "the row of a key is not as it was written");
  }
  return ST_STORED;
}

st_stored st_store_find(st_store *store, const char *id, st_key *key, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *rows = store->write[FIND];
  st_stored stored = bind_text(rows, 1, id) ? next_key(store, rows, key, why)
                                            : fail_sqlite(why, store->path, store->writes, "read");
  finish(rows);
  (void)pthread_mutex_unlock(&store->writing);
  if (stored != ST_STORED) {
    memset(key, 0, sizeof *key);
  }
  return stored;
}

static st_stored list_keys(st_store *store, sqlite3_stmt *rows, size_t limit, st_key *keys,
                           size_t *count, char *why) {
  for (size_t i = 0; i < limit; i++) {
    st_stored stored = next_key(store, rows, &keys[i], why);
    if (stored == ST_STORE_FAILED) {
      return ST_STORE_FAILED;
    }
    if (stored == ST_STORE_NONE) {
      break;
    }
    *count = i + 1;
  }
  return ST_STORED;
}

st_stored st_store_list(st_store *store, const char *after_id, size_t limit, st_key *keys,
                        size_t *count, char *why) {
  *count = 0;
  if (limit > INT32_MAX) {
    return fail(why, "cannot list %zu keys at a time", limit);
  }
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *rows = store->write[LIST];
  st_stored stored = bind_text(rows, 1, after_id) && bind_integer(rows, 2, (int64_t)limit)
                         ? list_keys(store, rows, limit, keys, count, why)
                         : fail_sqlite(why, store->path, store->writes, "read");
  finish(rows);
  (void)pthread_mutex_unlock(&store->writing);
  if (stored != ST_STORED) {
    *count = 0;
  }
  return stored;
}

st_stored st_store_count(st_store *store, int64_t *count, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *row = store->write[COUNT];
  bool ok = sqlite3_step(row) == SQLITE_ROW;
  *count = ok ? sqlite3_column_int64(row, 0) : 0;
  st_stored stored = ok ? ST_STORED : fail_sqlite(why, store->path, store->writes, "read");
  finish(row);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}

/* ---- Facts ---- */

static st_stored make_fact(st_store *store, const change *what) {
  sqlite3_stmt *insert = store->write[REMEMBER];
  if (!bind_text(insert, 1, what->id) || !bind_integer(insert, 2, what->now)) {
    finish(insert);
    return ST_STORE_FAILED;
  }
  return outcome(store, run(insert));
}

st_stored st_store_remember(st_store *store, const char *name, int64_t value, char *why) {
  return apply(store, make_fact, &(change){.id = name, .now = value}, why);
}

st_stored st_store_recall(st_store *store, const char *name, int64_t *value, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *row = store->write[RECALL];
  int code = bind_text(row, 1, name) ? sqlite3_step(row) : SQLITE_NOMEM;
  st_stored stored = code == SQLITE_DONE ? ST_STORE_NONE : ST_STORED;
  if (code == SQLITE_ROW) {
    *value = sqlite3_column_int64(row, 0);
  } else if (code != SQLITE_DONE) {
    stored = fail_sqlite(why, store->path, store->writes, "read");
  }
  finish(row);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}

/* ---- Opening: is the file ours, and in order? ---- */

/* Size of path with a suffix, 0 when it is not there. */
static int64_t size_beside(const char *path, const char *suffix) {
  char *name = NULL;
  struct stat status;
  int64_t size = 0;
  if (asprintf(&name, "%s%s", path, suffix) < 0) {
    return 0;
  }
  if (stat(name, &status) == 0) {
    size = status.st_size;
  }
  free(name);
  return size;
}

static st_stored check_owner(const char *path, int64_t *size, char *why) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return fail(why, "cannot open %s: %m", shown(path));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(why, "%s is not a regular file", shown(path));
  }
  if (status.st_uid != geteuid() && status.st_uid != 0) {
    return fail(why, "%s belongs to user %u, and this runs as user %u", shown(path), status.st_uid,
                geteuid());
  }
  if ((status.st_mode & 077) != 0) {
    return fail(why, "%s is open to others than its owner (mode %04o): chmod 600 it", shown(path),
                (unsigned)(status.st_mode & 07777));
  }
  *size = status.st_size;
  return ST_STORED;
}

/* The absolute path, links resolved, of a file that is there now. mknod makes it
 * without a descriptor to close, and leaves one that is there as it is.
 */
static st_stored find_file(const char *path, bool create, char **found, char *why) {
  int64_t changes = size_beside(path, "-wal"); /* before we look for the file: it comes later */
  struct stat status;
  if (stat(path, &status) != 0 && errno == ENOENT && changes > 0) {
    return fail(why, "%s is missing, but its -wal is there: restore a backup", shown(path));
  }
  if (create && mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
    return fail(why, "cannot create %s: %m", shown(path));
  }
  *found = realpath(path, NULL);
  return *found != NULL ? ST_STORED : fail(why, "cannot open %s: %m", shown(path));
}

/* Read the start of a file through the VFS; what is missing is zeros. */
static int read_header(sqlite3_vfs *vfs, sqlite3_file *file, sqlite3_filename name,
                       uint8_t header[HEADER_LEN]) {
  int code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, NULL);
  if (code == SQLITE_OK) {
    code = file->pMethods->xRead(file, header, HEADER_LEN, 0);
  }
  if (file->pMethods != NULL) {
    (void)file->pMethods->xClose(file);
  }
  return code == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : code;
}

static st_stored peek(const char *path, uint8_t header[HEADER_LEN], char *why) {
  sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
  sqlite3_filename name = sqlite3_create_filename(path, "", "", 0, NULL);
  sqlite3_file *file = vfs == NULL ? NULL : calloc(1, (size_t)vfs->szOsFile);
  int code = SQLITE_NOMEM;
  if (name != NULL && file != NULL) {
    code = read_header(vfs, file, name, header);
  }
  sqlite3_free_filename(name);
  free(file);
  return code == SQLITE_OK ? ST_STORED
                           : fail(why, "cannot open %s: %s", shown(path), sqlite3_errstr(code));
}

/* Power lost in the first transaction may leave any bytes in the file, and then
 * a rollback journal that says it had 0 pages. Such a file never held a key.
 */
static bool is_half_made(const char *path) {
  static const uint8_t magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
  static const uint8_t no_pages[4] = {0};
  uint8_t header[20] = {0};
  char *name = NULL;
  if (asprintf(&name, "%s-journal", path) < 0) {
    return false;
  }
  int journal = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  ssize_t len = journal < 0 ? -1 : read(journal, header, sizeof header);
  if (journal >= 0) {
    (void)close(journal);
  }
  free(name);
  return len == (ssize_t)sizeof header && memcmp(header, magic, sizeof magic) == 0 &&
         memcmp(header + 16, no_pages, sizeof no_pages) == 0;
}

static bool is_ours(const uint8_t header[HEADER_LEN]) {
  static const uint8_t id[4] = {APPLICATION_ID >> 24 & 0xff, APPLICATION_ID >> 16 & 0xff,
                                APPLICATION_ID >> 8 & 0xff, APPLICATION_ID & 0xff};
  return memcmp(header, "SQLite format 3", 16) == 0 && memcmp(header + 68, id, sizeof id) == 0;
}

/* What can be wrong with a file of ours that SQLite would not complain of. A
 * plain file with a -wal is a backup put beside what is left of another file,
 * which SQLite would mix into it. A page that is cut off is read as zeros, and
 * is in order only where the -wal or journal has it whole.
 */
static st_stored check_ours(const char *path, const uint8_t header[HEADER_LEN], int64_t size,
                            int64_t changes, char *why) {
  int64_t page = header[16] << 8 | header[17];
  if (changes > 0 && header[18] == 1 && header[19] == 1) {
    return fail(why, "%s is a copy, but beside it is the -wal of another: move that away",
                shown(path));
  }
  if (changes == 0 && size_beside(path, "-journal") == 0 && page > 1 && size % page != 0) {
    return fail_damaged(why, path, "it was cut short");
  }
  return ST_STORED;
}

/* Judge the bytes before SQLite may write any: what is not ours stays untouched.
 * The -wal is looked at first, because a file gets one only when it is complete.
 */
static st_stored check_file(const char *path, bool create, int64_t *size, char *why) {
  int64_t changes = size_beside(path, "-wal");
  uint8_t header[HEADER_LEN] = {0};
  if (check_owner(path, size, why) != ST_STORED || peek(path, header, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (is_ours(header)) {
    return check_ours(path, header, *size, changes, why);
  }
  if (*size != 0 && !is_half_made(path)) {
    return fail(why, "%s is not a database of subtoken, or is damaged: restore a backup",
                shown(path));
  }
  if (changes > 0) {
    return fail_damaged(why, path, "it is empty, but its -wal is not");
  }
  return create ? ST_STORED : fail(why, "%s is empty: it was never finished", shown(path));
}

/* ---- Opening: connections and schema ---- */

static st_stored connect(const char *path, sqlite3 **db, char *why) {
  static const char settings[] =
      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY";
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  if (sqlite3_open_v2(path, db, flags, NULL) != SQLITE_OK) {
    return fail_sqlite(why, path, *db, "open");
  }
  (void)sqlite3_extended_result_codes(*db, 1);
  if (sqlite3_busy_timeout(*db, BUSY_MS) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DML, 0, NULL) != SQLITE_OK ||
      sqlite3_exec(*db, settings, NULL, NULL, NULL) != SQLITE_OK) {
    return fail_sqlite(why, path, *db, "open");
  }
  return ST_STORED;
}

/* Switch the journal mode. Needs the file to itself for a moment, which SQLite
 * does not always wait for.
 */
static st_stored set_journal(const char *path, sqlite3 *db, const char *mode, char *why) {
  char sql[64];
  (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
  int code = SQLITE_BUSY;
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited <= BUSY_MS; waited += RETRY_MS) {
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
      code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), mode) != 0) {
      (void)sqlite3_finalize(statement);
      return fail(why, "cannot open %s: its journal cannot be %s there", shown(path), mode);
    }
    (void)sqlite3_finalize(statement);
    if ((code & 0xff) == SQLITE_BUSY) {
      (void)sqlite3_sleep(RETRY_MS);
    }
  }
  return code == SQLITE_ROW ? ST_STORED : fail_sqlite(why, path, db, "open");
}

/* The version of the schema; 0 and *empty for a file that has nothing in it. */
static st_stored ask_version(const char *path, sqlite3 *db, int64_t *version, bool *empty,
                             char *why) {
  int64_t id = 0, tables = 0;
  if (!ask_integer(db, "PRAGMA application_id", &id) ||
      !ask_integer(db, "PRAGMA user_version", version) ||
      !ask_integer(db, "SELECT count(*) FROM sqlite_schema", &tables)) {
    return fail_sqlite(why, path, db, "open");
  }
  *empty = id == 0 && *version == 0 && tables == 0;
  if (id != APPLICATION_ID && !*empty) {
    return fail(why, "%s is not a database of subtoken", shown(path));
  }
  if (*version < 0 || *version > VERSION) {
    return fail(why, "%s has schema %lld, and this program knows up to %d: use a newer one",
                shown(path), (long long)*version, VERSION);
  }
  return ST_STORED;
}

static st_stored migrate(const char *path, sqlite3 *db, char *why) {
  int64_t version = 0;
  bool empty = false;
  char sql[96];
  if (ask_version(path, db, &version, &empty, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  for (int64_t step = version; step < VERSION; step++) {
    if (sqlite3_exec(db, migrations[step], NULL, NULL, NULL) != SQLITE_OK) {
      return fail_sqlite(why, path, db, "bring up to date");
    }
  }
  (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 APPLICATION_ID, VERSION);
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
             ? ST_STORED
             : fail_sqlite(why, path, db, "bring up to date");
}

/* Two questions, two moments: somebody may change the file between them, so that
 * only a yes counts here.
 */
static bool is_current(sqlite3 *db) {
  int64_t version = 0, id = 0;
  return ask_integer(db, "PRAGMA user_version", &version) && version == VERSION &&
         ask_integer(db, "PRAGMA application_id", &id) && id == APPLICATION_ID;
}

/* All steps that are missing and the version, or nothing: a new file goes from
 * empty to complete in one transaction, before it is switched to WAL. Judged in
 * that transaction, because another process may be at it, too.
 */
static st_stored update_schema(const char *path, sqlite3 *db, char *why) {
  if (is_current(db)) {
    return ST_STORED;
  }
  if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
    return fail_sqlite(why, path, db, "open");
  }
  st_stored stored = migrate(path, db, why);
  if (stored == ST_STORED && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
    stored = fail_sqlite(why, path, db, "write");
  }
  if (sqlite3_get_autocommit(db) == 0) {
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  }
  return stored;
}

static st_stored check_pages(const char *path, sqlite3 *db, char *why) {
  sqlite3_stmt *statement = NULL;
  st_stored stored = ST_STORE_FAILED;
  if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW) {
    stored = fail_sqlite(why, path, db, "check");
  } else {
    const char *found = (const char *)sqlite3_column_text(statement, 0);
    bool ok = found != NULL && strcmp(found, "ok") == 0;
    stored = ok ? ST_STORED : fail_damaged(why, path, found == NULL ? "?" : found);
  }
  (void)sqlite3_finalize(statement);
  return stored;
}

/* The file that SQLite has open is the one at path that was judged. */
static st_stored check_same(const char *path, sqlite3 *db, char *why) {
  int moved = 1;
  if (sqlite3_db_readonly(db, "main") != 0) {
    return fail(why, "cannot write %s: it is read-only", shown(path));
  }
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved != 0) {
    return fail(why, "%s was replaced while it was being opened", shown(path));
  }
  int64_t size = 0;
  return check_owner(path, &size, why);
}

/* Preparing the statements finds out that every table and column is there. */
static st_stored prepare_all(st_store *store, char *why) {
  if (prepare(store->writes, write_sql, store->write, WRITE_STATEMENTS) &&
      prepare(store->reads, read_sql, store->read, READ_STATEMENTS)) {
    return ST_STORED;
  }
  sqlite3 *db = sqlite3_errcode(store->writes) != SQLITE_OK ? store->writes : store->reads;
  return sqlite3_errcode(db) == SQLITE_ERROR ? fail_damaged(why, store->path, sqlite3_errmsg(db))
                                             : fail_sqlite(why, store->path, db, "open");
}

static st_stored open_parts(st_store *store, const char *path, bool create, char *why) {
  int64_t size = 0;
  if (find_file(path, create, &store->path, why) != ST_STORED ||
      check_file(store->path, create, &size, why) != ST_STORED ||
      connect(store->path, &store->writes, why) != ST_STORED ||
      check_same(store->path, store->writes, why) != ST_STORED ||
      update_schema(store->path, store->writes, why) != ST_STORED ||
      set_journal(store->path, store->writes, "wal", why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (size <= QUICK_CHECK_MAX && check_pages(store->path, store->writes, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (connect(store->path, &store->reads, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  return prepare_all(store, why);
}

st_stored st_store_open(const char *path, bool create, st_store **store, char *why) {
  *store = NULL;
  if (sqlite3_threadsafe() == 0) {
    return fail(why, "cannot open %s: SQLite was built without threads", shown(path));
  }
  st_store *made = calloc(1, sizeof *made);
  if (made != NULL) {
    made->slots = calloc(SLOTS, sizeof *made->slots);
  }
  if (made == NULL || made->slots == NULL) {
    free(made);
    return fail(why, "cannot open %s: no memory", shown(path));
  }
  (void)pthread_mutex_init(&made->writing, NULL); /* cannot fail without attributes */
  (void)pthread_mutex_init(&made->reading, NULL);
  made->generation = 1;
  if (open_parts(made, path, create, why) != ST_STORED) {
    st_store_close(made);
    return ST_STORE_FAILED;
  }
  *store = made;
  return ST_STORED;
}

void st_store_close(st_store *store) {
  if (store == NULL) {
    return;
  }
  for (size_t i = 0; i < READ_STATEMENTS; i++) {
    (void)sqlite3_finalize(store->read[i]);
  }
  for (size_t i = 0; i < WRITE_STATEMENTS; i++) {
    (void)sqlite3_finalize(store->write[i]);
  }
  (void)sqlite3_close(store->reads);
  (void)sqlite3_close(store->writes);
  (void)pthread_mutex_destroy(&store->reading);
  (void)pthread_mutex_destroy(&store->writing);
  free(store->slots);
  free(store->path);
  free(store);
}

/* ---- Backup ---- */

/* In one step, which sees one state of the source and, in WAL, blocks nobody. */
static bool copy_pages(sqlite3 *from, sqlite3 *to) {
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
  int code = backup == NULL ? SQLITE_ERROR : SQLITE_BUSY;
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited <= BUSY_MS; waited += RETRY_MS) {
    code = sqlite3_backup_step(backup, -1);
    if ((code & 0xff) == SQLITE_BUSY) {
      (void)sqlite3_sleep(RETRY_MS);
    }
  }
  return backup != NULL && sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE;
}

/* From a connection of its own, so that nobody waits for it here either. The
 * copy is switched from WAL, so that it is one file and needs none beside it.
 */
static st_stored copy_into(st_store *store, const char *path, char *why) {
  sqlite3 *from = NULL, *to = NULL;
  st_stored stored = ST_STORE_FAILED;
  if (connect(store->path, &from, why) != ST_STORED || connect(path, &to, why) != ST_STORED) {
    goto out;
  }
  if (!copy_pages(from, to)) {
    (void)fail_sqlite(why, path, to, "write");
    goto out;
  }
  stored = set_journal(path, to, "delete", why);
out:
  if (sqlite3_close(to) != SQLITE_OK && stored == ST_STORED) {
    stored = fail(why, "cannot write %s: it cannot be closed", shown(path));
  }
  (void)sqlite3_close(from);
  return stored;
}

static bool sync_path(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) {
    return false;
  }
  bool ok = fsync(fd) == 0;
  int failure = errno;
  (void)close(fd);
  errno = failure;
  return ok;
}

static bool sync_directory_of(const char *path) {
  char *directory = strdup(path);
  if (directory == NULL) {
    return false;
  }
  char *slash = strrchr(directory, '/');
  if (slash != NULL) {
    slash[slash == directory ? 1 : 0] = 0;
  }
  bool ok = sync_path(slash != NULL ? directory : ".", O_DIRECTORY);
  free(directory);
  return ok;
}

/* Atomic, and never over a file that is there. Not every file system can do the
 * first, and not every one the second.
 */
static bool put_in_place(const char *temporary, const char *path) {
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return link(temporary, path) == 0 && unlink(temporary) == 0;
}

static void remove_temporary(const char *temporary) {
  static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", temporary, suffixes[i]) >= 0) {
      (void)unlink(name);
      free(name);
    }
  }
}

static st_stored back_up(st_store *store, const char *temporary, const char *path, char *why) {
  if (copy_into(store, temporary, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (!sync_path(temporary, 0) || !put_in_place(temporary, path)) {
    return fail(why, "cannot write %s: %m", shown(path));
  }
  if (!sync_directory_of(path)) {
    (void)fail(why, "cannot write %s: %m", shown(path));
    (void)unlink(path);
    return ST_STORE_FAILED;
  }
  return ST_STORED;
}

st_stored st_store_backup(st_store *store, const char *path, char *why) {
  struct stat status;
  if (lstat(path, &status) == 0) {
    return fail(why, "%s is there already", shown(path));
  }
  char *temporary = NULL;
  /* Never a name that SQLite reads as something else, ":memory:" or "file:". */
  if (asprintf(&temporary, "%s%s.XXXXXX", path[0] == '/' ? "" : "./", path) < 0) {
    return fail(why, "cannot write %s: no memory", shown(path));
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0) {
    (void)fail(why, "cannot write %s: %m", shown(path));
    free(temporary);
    return ST_STORE_FAILED;
  }
  (void)close(fd);
  st_stored stored = back_up(store, temporary, path, why);
  if (stored != ST_STORED) {
    remove_temporary(temporary);
  }
  free(temporary);
  return stored;
}
