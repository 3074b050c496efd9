/* sqlite - the store of parent keys: see sqlite.h.
 *
 * Connections, each under a lock of its own. `writes` makes the changes, in the order in which
 * they were asked for; `readers` answer the two questions of the hot path, `queries` those of the
 * management, `feeds` those of the feed: so nobody who reads waits for who writes, in this process
 * or in another, and on the hot path seldom for another reader.
 *
 * What changes it is in sqlite_change.c, sqlite_rows.c, sqlite_keys.c, sqlite_people.c,
 * sqlite_logins.c and sqlite_audit.c.
 *
 * The file itself is looked at through SQLite's own VFS only: POSIX drops all
 * locks that a process holds on a file as soon as it closes any descriptor of
 * it, so an open() and close() of ours would unlock the file under another
 * handle of the same process.
 */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/store.h"

#define LOOK_EVERY_MS 100   /* how long a reader may go on with a file that was replaced */
#define ROOM_MIN (64 << 10) /* bytes free on the disk, or no change can be expected to fit */

/* ---- Rows ---- */

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

/* Digests and subs are random, but for what a stranger asks: nobody chooses what is stored. */
static uint64_t spread(const question *ask) {
  uint64_t bits = 0;
  memcpy(&bits, ask->sub != NULL ? (const void *)ask->sub : ask->digest, sizeof bits);
  return bits * UINT64_C(0x9e3779b97f4a7c15);
}

static reader *reader_of(st_store *store, const question *ask) {
  return &store->readers[spread(ask) >> 62 & (ST_SQLITE_READERS - 1)];
}

static slot *slot_of(reader *r, const question *ask) {
  return &r->slots[spread(ask) >> 48 & (ST_SQLITE_SLOTS - 1)];
}

static bool is_answer(const slot *held, const question *ask) {
  return ask->sub != NULL ? memcmp(held->key.sub, ask->sub, ST_SUB_LEN) == 0
                          : st_equal_secret(held->digest, ask->digest, 32);
}

static st_found trouble(reader *r, char *error) {
  (void)st_sqlite_fail_db(error, r->store->path, r->db, "read");
  return ST_FOUND_ERROR;
}

static int64_t now_ms(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Looked at often enough, and at each question while it is known not to be. */
static bool in_place(reader *r, char *error) {
  int64_t now = now_ms();
  if (now - r->looked_ms < LOOK_EVERY_MS && !atomic_load(&r->store->displaced)) {
    return true;
  }
  r->looked_ms = now;
  return st_sqlite_in_place(r->store, r->db, error);
}

/* Notice commits since the last question: data_version changes on a connection
 * for those of every other one, `writes` and other processes alike. Until st_sqlite_finish of
 * that statement its read transaction goes on: what is asked meanwhile is of the same moment,
 * and takes no locks of its own.
 */
static bool freshen(reader *r, char *error) {
  sqlite3_stmt *ask = r->read[DATA_VERSION];
  if (!in_place(r, error)) {
    return false;
  }
  bool ok = sqlite3_step(ask) == SQLITE_ROW;
  int64_t version = ok ? sqlite3_column_int64(ask, 0) : 0;
  if (!ok || version != r->data_version) {
    r->data_version = version;
    r->generation++;
  }
  if (!ok) {
    (void)trouble(r, error);
  }
  return ok;
}

/* The row that answers, into its slot. */
static st_found read_row(reader *r, sqlite3_stmt *row, const question *ask, slot *held,
                         char *error) {
  int code = sqlite3_step(row);
  if (code == SQLITE_DONE) {
    return ST_FOUND_NONE;
  }
  if (code != SQLITE_ROW) {
    return trouble(r, error);
  }
  if (sqlite3_column_int64(row, REFUSED) != 0) {
    return ST_FOUND_REVOKED;
  }
  held->generation = 0;
  if (!st_sqlite_take_key(row, &held->key) || !take_digest(row, held->digest) ||
      !is_answer(held, ask)) {
    (void)st_sqlite_fail_damaged(error, r->store->path,
                                 "the row of a key is not as it was written");
    return ST_FOUND_ERROR;
  }
  held->generation = r->generation;
  return ST_FOUND;
}

static st_found read_key(reader *r, const question *ask, slot *held, char *error) {
  sqlite3_stmt *row = r->read[ask->sub != NULL ? BY_SUB : BY_DIGEST];
  int bound = ask->sub != NULL ? sqlite3_bind_text(row, 1, ask->sub, ST_SUB_LEN, SQLITE_STATIC)
                               : sqlite3_bind_blob(row, 1, ask->digest, 32, SQLITE_STATIC);
  st_found found = bound == SQLITE_OK ? read_row(r, row, ask, held, error) : trouble(r, error);
  st_sqlite_finish(row);
  return found;
}

/* A sub that no key has any more. */
static st_found read_revoked(reader *r, const char *sub, char *error) {
  sqlite3_stmt *row = r->read[SUB_REVOKED];
  int code = sqlite3_bind_text(row, 1, sub, ST_SUB_LEN, SQLITE_STATIC);
  if (code == SQLITE_OK) {
    code = sqlite3_step(row);
  }
  st_found found = code == SQLITE_ROW    ? ST_FOUND_REVOKED
                   : code == SQLITE_DONE ? ST_FOUND_NONE
                                         : trouble(r, error);
  st_sqlite_finish(row);
  return found;
}

static st_found look_up(reader *r, const question *ask, st_key *key, char *error) {
  slot *held = slot_of(r, ask);
  st_found found = ST_FOUND;
  if (held->generation != r->generation || !is_answer(held, ask)) {
    found = read_key(r, ask, held, error);
  }
  if (found == ST_FOUND) {
    *key = held->key;
  }
  return found == ST_FOUND_NONE && ask->sub != NULL ? read_revoked(r, ask->sub, error) : found;
}

static st_found answer(st_store *store, const question *ask, st_key *key, char *error) {
  reader *r = reader_of(store, ask);
  (void)pthread_mutex_lock(&r->lock);
  st_found found = freshen(r, error) ? look_up(r, ask, key, error) : ST_FOUND_ERROR;
  st_sqlite_finish(r->read[DATA_VERSION]);
  (void)pthread_mutex_unlock(&r->lock);
  if (found != ST_FOUND) {
    memset(key, 0, sizeof *key);
  }
  return found;
}

st_found st_store_by_digest(st_store *store, const uint8_t digest[32], st_key *key, char *error) {
  question ask = {.digest = digest};
  return answer(store, &ask, key, error);
}

st_found st_store_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error) {
  if (sub.data == NULL || sub.len != ST_SUB_LEN) {
    memset(key, 0, sizeof *key);
    return ST_FOUND_NONE;
  }
  question ask = {.sub = sub.data};
  return answer(store, &ask, key, error);
}

/* With its read transaction, as the questions about keys. */
static st_stored read_given(reader *r, int64_t sequence, char *error) {
  sqlite3_stmt *row = r->read[GAVE_SEQUENCE];
  bool ok = st_sqlite_bind_integer(row, 1, sequence) && sqlite3_step(row) == SQLITE_ROW;
  bool gave = ok && sqlite3_column_int64(row, 0) != 0;
  st_stored stored = gave ? ST_STORED
                     : ok ? ST_STORE_NONE
                          : st_sqlite_fail_db(error, r->store->path, r->db, "read");
  st_sqlite_finish(row);
  return stored;
}

st_stored st_store_gave_sequence(st_store *store, int64_t sequence, char *error) {
  reader *r = &store->readers[0];
  (void)pthread_mutex_lock(&r->lock);
  st_stored stored = freshen(r, error) ? read_given(r, sequence, error) : ST_STORE_FAILED;
  st_sqlite_finish(r->read[DATA_VERSION]);
  (void)pthread_mutex_unlock(&r->lock);
  return stored;
}

/* Room and leave to write; SQLite needs the directory for its -wal, too. */
static bool seems_writable(const char *path, char *error) {
  struct statvfs disk;
  errno = 0;
  if (statvfs(path, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0) {
    errno = EROFS;
  } else if (errno == 0) {
    unsigned long long blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
    errno = blocks * disk.f_frsize < ROOM_MIN ? ENOSPC : 0;
  }
  if (errno == 0 && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) {
    return true;
  }
  (void)st_sqlite_fail(error, "cannot write %s: %m", st_sqlite_shown(path));
  return false;
}

static bool is_ready(reader *r, char *error) {
  (void)pthread_mutex_lock(&r->lock);
  r->looked_ms = 0; /* look for certain */
  bool ok = freshen(r, error);
  st_sqlite_finish(r->read[DATA_VERSION]);
  (void)pthread_mutex_unlock(&r->lock);
  return ok;
}

bool st_store_ready(st_store *store, char *error) {
  bool ok = true;
  for (size_t i = 0; ok && i < ST_SQLITE_READERS; i++) {
    ok = is_ready(&store->readers[i], error);
  }
  return ok && seems_writable(store->path, error);
}

/* ---- Facts ---- */

static st_stored make_fact(st_store *store, const change *what) {
  return st_sqlite_do_one(store, REMEMBER,
                          VALUES(st_sqlite_text(what->id), st_sqlite_number(what->now)));
}

st_stored st_store_set_setting(st_store *store, const char *name, int64_t value, char *error) {
  return st_sqlite_apply(store, make_fact, &(change){.id = name, .now = value}, error);
}

static st_stored make_largest(st_store *store, const change *what) {
  return st_sqlite_do(store, REMEMBER_LARGEST,
                      VALUES(st_sqlite_text(what->id), st_sqlite_number(what->now)));
}

st_stored st_store_raise_setting(st_store *store, const char *name, int64_t value, char *error) {
  return st_sqlite_apply(store, make_largest, &(change){.id = name, .now = value}, error);
}

static bool take_number(sqlite3_stmt *row, void *number) {
  *(int64_t *)number = sqlite3_column_int64(row, 0);
  return true;
}

st_stored st_store_get_setting(st_store *store, const char *name, int64_t *value, char *error) {
  int64_t found = 0;
  st_stored stored = st_sqlite_one(store, RECALL, VALUES(st_sqlite_text(name)), &found,
                                   sizeof found, take_number, error);
  if (stored == ST_STORED) {
    *value = found;
  }
  return stored;
}

st_stored st_store_count(st_store *store, int64_t *count, char *error) {
  return st_sqlite_one(store, COUNT, NO_VALUES, count, sizeof *count, take_number, error);
}
