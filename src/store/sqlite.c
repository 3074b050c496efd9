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

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "store/sqlite_internal.h"

#define MOVED_EVERY 64      /* questions; looking costs a system call */
#define ROOM_MIN (64 << 10) /* bytes free on the disk, or no change can be expected to fit */

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

/* ---- The hot path ---- */

/* A key by its digest (sub NULL) or by its sub of ST_SUB_LEN bytes. */
typedef struct question {
  const uint8_t *digest;
  const char *sub;
} question;

static slot *slot_of(st_store *store, const question *ask) {
  uint64_t bits = 0;
  memcpy(&bits, ask->sub != NULL ? (const void *)ask->sub : ask->digest, sizeof bits);
  return &store->slots[(bits * UINT64_C(0x9e3779b97f4a7c15)) >> 52 & (ST_SQLITE_SLOTS - 1)];
}

static bool is_answer(const slot *held, const question *ask) {
  return ask->sub != NULL ? memcmp(held->key.sub, ask->sub, ST_SUB_LEN) == 0
                          : st_equal_secret(held->digest, ask->digest, 32);
}

static st_found trouble(st_store *store) {
  (void)st_sqlite_fail_db(store->trouble, store->path, store->reads, "read");
  return ST_FOUND_ERROR;
}

/* A backup put in its place: what is open here is a file that nobody else changes. */
bool st_sqlite_has_moved(sqlite3 *db) {
  int moved = 1;
  return sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
         moved != 0;
}

/* Notice commits since the last question: data_version changes on a connection
 * for those of every other one, `writes` and other processes alike.
 */
static bool freshen(st_store *store) {
  sqlite3_stmt *ask = store->read[DATA_VERSION];
  if (store->asked++ % MOVED_EVERY == 0) {
    store->moved = st_sqlite_has_moved(store->reads);
  }
  if (store->moved) {
    (void)st_sqlite_fail(store->trouble, "%s was replaced while it was in use: restart",
                         st_sqlite_shown(store->path));
    return false;
  }
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
    (void)st_sqlite_fail_damaged(store->trouble, store->path,
                                 "the row of a key is not as it was written");
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
  st_sqlite_finish(row);
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
  st_sqlite_finish(row);
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
  (void)pthread_mutex_lock(&store->reading);
  store->asked = 0; /* look for certain */
  bool ok = freshen(store);
  (void)pthread_mutex_unlock(&store->reading);
  return ok && seems_writable(store->path);
}

/* ---- Changes ---- */

static st_stored commit(st_store *store) {
  return st_sqlite_run(store->write[COMMIT]) == SQLITE_OK ? ST_STORED : ST_STORE_FAILED;
}

/* A commit that failed, and some failures before it, end the transaction by
 * themselves; the others leave it open, and must not.
 */
static void roll_back(st_store *store) {
  if (sqlite3_get_autocommit(store->writes) == 0) {
    (void)st_sqlite_run(store->write[ROLLBACK]);
  }
}

st_stored st_sqlite_apply(st_store *store, change_fn *make, const change *what, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  st_stored stored = ST_STORE_FAILED;
  if (st_sqlite_run(store->write[BEGIN]) == SQLITE_OK) {
    stored = make(store, what);
  }
  if (stored == ST_STORED) {
    stored = commit(store);
  }
  if (stored == ST_STORE_FAILED) {
    (void)st_sqlite_fail_db(why, store->path, store->writes, "write");
  } else if (stored != ST_STORED) {
    (void)st_sqlite_fail(why, "%s: %s", st_sqlite_shown(store->path),
                         stored == ST_STORE_EXISTS ? "it is there already" : "it is not there");
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
  int code = st_sqlite_bind_text(row, 1, sub) ? sqlite3_step(row) : SQLITE_NOMEM;
  st_sqlite_finish(row);
  return code == SQLITE_DONE ? ST_STORED : code == SQLITE_ROW ? ST_STORE_EXISTS : ST_STORE_FAILED;
}

static bool bind_key(sqlite3_stmt *insert, const st_key *key, const uint8_t digest[32]) {
  bool never = key->expires_at >= ST_NEVER;
  return st_sqlite_bind_text(insert, ID + 1, key->id) &&
         st_sqlite_bind_text(insert, SUB + 1, key->sub) &&
         st_sqlite_bind_text(insert, NAME + 1, key->name) &&
         st_sqlite_bind_text(insert, OWNER + 1, key->owner) &&
         st_sqlite_bind_text(insert, PERMISSIONS + 1, key->permissions) &&
         st_sqlite_bind_integer(insert, CREATED_AT + 1, key->created_at) &&
         (never || st_sqlite_bind_integer(insert, EXPIRES_AT + 1, key->expires_at)) &&
         st_sqlite_bind_integer(insert, DISABLED + 1, key->disabled) &&
         sqlite3_bind_blob(insert, DIGEST + 1, digest, 32, SQLITE_STATIC) == SQLITE_OK;
}

static st_stored make_key(st_store *store, const change *what) {
  st_stored stored = sub_is_new(store, what->key->sub);
  if (stored != ST_STORED) {
    return stored;
  }
  sqlite3_stmt *insert = store->write[INSERT];
  if (!bind_key(insert, what->key, what->digest)) {
    st_sqlite_finish(insert);
    return ST_STORE_FAILED;
  }
  return outcome(store, st_sqlite_run(insert));
}

/* One of the statements that say `id = ?1` and take the time as ?2. */
static st_stored change_key(st_store *store, int which, const change *what) {
  sqlite3_stmt *statement = store->write[which];
  if (!st_sqlite_bind_text(statement, 1, what->id) ||
      !st_sqlite_bind_integer(statement, 2, what->now) ||
      (which == DISABLE && !st_sqlite_bind_integer(statement, 3, what->disabled)) ||
      (which == REPLACE_SUB && !st_sqlite_bind_text(statement, 3, what->sub))) {
    st_sqlite_finish(statement);
    return ST_STORE_FAILED;
  }
  return outcome(store, st_sqlite_run(statement));
}

static st_stored make_disabled(st_store *store, const change *what) {
  st_stored stored = change_key(store, DISABLE, what);
  if (stored != ST_STORED) {
    return stored;
  }
  return what->disabled ? st_sqlite_list_disabled(store, what) : st_sqlite_unlist(store, what);
}

/* The sub first, while the key still has it. That nothing was inserted decides
 * nothing here: the statement that follows knows whether there is such a key.
 */
static st_stored make_deleted(st_store *store, const change *what) {
  if (change_key(store, REVOKE, what) == ST_STORE_FAILED ||
      st_sqlite_list_revoked(store, what) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  return change_key(store, DELETE, what);
}

/* As make_deleted; asked after the old sub is revoked, sub_is_new refuses it. */
static st_stored make_new_sub(st_store *store, const change *what) {
  if (change_key(store, REVOKE, what) == ST_STORE_FAILED ||
      st_sqlite_list_revoked(store, what) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  st_stored stored = sub_is_new(store, what->sub);
  if (stored == ST_STORED) {
    stored = change_key(store, REPLACE_SUB, what);
  }
  /* A key that is disabled is so with its new sub, too. */
  return stored == ST_STORED ? st_sqlite_list_disabled(store, what) : stored;
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
    return st_sqlite_fail(why, "cannot write %s: not a whole key", st_sqlite_shown(store->path));
  }
  change what = {.key = key, .digest = digest};
  return st_sqlite_apply(store, make_key, &what, why);
}

/* A change that lists or unlists. */
static change change_at(const char *id, int64_t now_us, int64_t *sequence) {
  if (sequence != NULL) {
    *sequence = 0;
  }
  return (change){.id = id, .now = now_us / 1000000, .now_us = now_us, .sequence = sequence};
}

st_stored st_store_set_disabled(st_store *store, const char *id, bool disabled, int64_t now_us,
                                int64_t *sequence, char *why) {
  change what = change_at(id, now_us, sequence);
  what.disabled = disabled;
  return st_sqlite_apply(store, make_disabled, &what, why);
}

st_stored st_store_delete(st_store *store, const char *id, int64_t now_us, int64_t *sequence,
                          char *why) {
  change what = change_at(id, now_us, sequence);
  return st_sqlite_apply(store, make_deleted, &what, why);
}

st_stored st_store_replace_sub(st_store *store, const char *id, const char *sub, int64_t now_us,
                               int64_t *sequence, char *why) {
  if (!has_len(sub, ST_SUB_LEN)) {
    return st_sqlite_fail(why, "cannot write %s: not a whole sub", st_sqlite_shown(store->path));
  }
  change what = change_at(id, now_us, sequence);
  what.sub = sub;
  return st_sqlite_apply(store, make_new_sub, &what, why);
}

/* ---- The management's questions ---- */

/* The next row of keys: ST_STORE_NONE after the last. */
static st_stored next_key(st_store *store, sqlite3_stmt *rows, st_key *key, char *why) {
  int code = sqlite3_step(rows);
  if (code == SQLITE_DONE) {
    return ST_STORE_NONE;
  }
  if (code != SQLITE_ROW) {
    return st_sqlite_fail_db(why, store->path, store->writes, "read");
  }
  if (!take_key(rows, key)) {
    return st_sqlite_fail_damaged(why, store->path, "the row of a key is not as it was written");
  }
  return ST_STORED;
}

st_stored st_store_find(st_store *store, const char *id, st_key *key, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *rows = store->write[FIND];
  st_stored stored = st_sqlite_bind_text(rows, 1, id)
                         ? next_key(store, rows, key, why)
                         : st_sqlite_fail_db(why, store->path, store->writes, "read");
  st_sqlite_finish(rows);
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
    return st_sqlite_fail(why, "cannot list %zu keys at a time", limit);
  }
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *rows = store->write[LIST];
  st_stored stored =
      st_sqlite_bind_text(rows, 1, after_id) && st_sqlite_bind_integer(rows, 2, (int64_t)limit)
          ? list_keys(store, rows, limit, keys, count, why)
          : st_sqlite_fail_db(why, store->path, store->writes, "read");
  st_sqlite_finish(rows);
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
  st_stored stored = ok ? ST_STORED : st_sqlite_fail_db(why, store->path, store->writes, "read");
  st_sqlite_finish(row);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}

/* ---- Facts ---- */

static st_stored make_fact(st_store *store, const change *what) {
  sqlite3_stmt *insert = store->write[REMEMBER];
  if (!st_sqlite_bind_text(insert, 1, what->id) || !st_sqlite_bind_integer(insert, 2, what->now)) {
    st_sqlite_finish(insert);
    return ST_STORE_FAILED;
  }
  return outcome(store, st_sqlite_run(insert));
}

st_stored st_store_remember(st_store *store, const char *name, int64_t value, char *why) {
  return st_sqlite_apply(store, make_fact, &(change){.id = name, .now = value}, why);
}

st_stored st_store_recall(st_store *store, const char *name, int64_t *value, char *why) {
  (void)pthread_mutex_lock(&store->writing);
  sqlite3_stmt *row = store->write[RECALL];
  int code = st_sqlite_bind_text(row, 1, name) ? sqlite3_step(row) : SQLITE_NOMEM;
  st_stored stored = code == SQLITE_DONE ? ST_STORE_NONE : ST_STORED;
  if (code == SQLITE_ROW) {
    *value = sqlite3_column_int64(row, 0);
  } else if (code != SQLITE_DONE) {
    stored = st_sqlite_fail_db(why, store->path, store->writes, "read");
  }
  st_sqlite_finish(row);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}
