/* Answers what a request asks: a key by its digest or sub, whether a token was revoked by itself,
 * and whether a sequence was issued here.
 * Each is one prepared statement on a connection that is chosen by the key. While the cache holds
 * the key (src/store/key_cache.h) there is none at all; and when nothing was committed since it was
 * last brought up to date, which wal_index.c sees in memory, no call of SQLite either, and no lock
 * but that of the key's part of the cache. Nothing here waits for a writer. The management's
 * questions are in src/store/query.c.
 *
 * What was written since is learnt of from the table `written`, in which triggers note each change
 * of what an answer rests on (schema.c). The cache is the same for all readers, and each learns for
 * itself: once one has learnt up to the moment of the database in which it reads, the cache holds
 * nothing older than that. For what another reader puts there that read an older moment had taken
 * the cache's moment before that, and so before the key was forgotten here.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "store/sqlite/sqlite.h"

#define LOOK_EVERY_MS 100   /* how long a reader may go on with a file that was replaced */
#define ROOM_MIN (64 << 10) /* bytes free on the disk, or no change can be expected to fit */

static bool take_digest(sqlite3_stmt *row, uint8_t out[32]) {
  const void *digest = sqlite3_column_blob(row, ST_SQLITE_COL_DIGEST);
  if (digest == NULL || sqlite3_column_bytes(row, ST_SQLITE_COL_DIGEST) != 32) return false;
  memcpy(out, digest, 32);
  return true;
}

/* A key by its digest of 32 bytes, or by its sub of ST_SUB_LEN. */
typedef struct question {
  const void *bytes;
  bool by_sub;
} question;

/* Digests and subs in the store are random, and nobody chooses them; only a stranger's question can
 * be anything.
 */
static st_sqlite_reader *reader_of(st_sqlite *store, const question *ask) {
  uint64_t bits = 0;
  memcpy(&bits, ask->bytes, sizeof bits);
  return &store->readers[bits * UINT64_C(0x9e3779b97f4a7c15) >> 62 & (ST_SQLITE_READERS - 1)];
}

static bool is_answer(const uint8_t digest[32], const st_key *key, const question *ask) {
  return ask->by_sub ? memcmp(key->sub, ask->bytes, ST_SUB_LEN) == 0
                     : st_equal_secret(digest, ask->bytes, 32);
}

static st_store_status read_failed(st_sqlite_reader *r, char *error) {
  (void)st_sqlite_fail_db(error, r->store->base.name, r->connection, "read");
  return ST_STORE_FAILED;
}

static int64_t now_ms(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* At intervals, and at each question while the files are known to be out of place. */
static bool look_is_due(const st_sqlite_reader *r, int64_t now) {
  return now - atomic_load(&r->looked_ms) >= LOOK_EVERY_MS || atomic_load(&r->store->displaced);
}

static bool in_place(st_sqlite_reader *r, char *error) {
  int64_t now = now_ms();
  if (!look_is_due(r, now)) return true;
  atomic_store(&r->looked_ms, now);
  return st_sqlite_in_place(r->store, r->connection, error);
}

/* ---- what was written ---- */

/* The place is not known, or rows after it are gone: anything may have changed. */
static bool learn_all(st_sqlite_reader *r) {
  sqlite3_stmt *row = r->statements[ST_SQLITE_READ_WRITTEN_LAST];
  bool ok = sqlite3_step(row) == SQLITE_ROW;
  if (ok) r->written = sqlite3_column_int64(row, 0);
  st_sqlite_finish(row);
  st_key_cache_forget_all(r->store->cache);
  return ok;
}

/* Forgets the key of a row; all of them for a row that names none. */
static void learn_row(st_sqlite_reader *r, sqlite3_stmt *row) {
  const void *bytes = sqlite3_column_blob(row, 1);
  if (bytes == NULL || sqlite3_column_bytes(row, 1) != 8) {
    st_key_cache_forget_all(r->store->cache);
  } else {
    uint64_t digest8 = st_key_cache_digest8(bytes);
    st_key_cache_forget(r->store->cache, &digest8, 1);
  }
}

/* The rows from the one at which this reader stopped on: it is there as long as none after it is
 * gone.
 */
static bool learn(st_sqlite_reader *r) {
  sqlite3_stmt *row = r->statements[ST_SQLITE_READ_WRITTEN];
  int code = sqlite3_bind_int64(row, 1, r->written);
  if (code == SQLITE_OK) code = sqlite3_step(row);
  bool complete = code == SQLITE_ROW && sqlite3_column_int64(row, 0) == r->written;
  int64_t last = r->written;
  while (complete && (code = sqlite3_step(row)) == SQLITE_ROW) {
    last = sqlite3_column_int64(row, 0);
    learn_row(r, row);
  }
  st_sqlite_finish(row);
  if (!complete && (code == SQLITE_ROW || code == SQLITE_DONE)) return learn_all(r);
  if (code == SQLITE_DONE) r->written = last;
  return code == SQLITE_DONE;
}

/* Notices commits since the last question: on a connection, data_version changes with those of
 * every other connection, here and in other processes. The read transaction of that statement goes
 * on until end_moment: what is asked meanwhile is of the same moment, and takes no locks of
 * its own. *moment: the cache's, of before that.
 *
 * The header of the wal-index that is kept is the one from before that transaction began: what it
 * stands for has been learnt then, and perhaps more.
 */
static bool freshen(st_sqlite_reader *r, uint64_t *moment, char *error) {
  sqlite3_stmt *ask = r->statements[ST_SQLITE_READ_VERSION];
  uint64_t header[ST_SQLITE_WAL_WORDS];
  if (!in_place(r, error)) {
    st_key_cache_forget_all(r->store->cache);
    return false;
  }
  *moment = st_key_cache_moment(r->store->cache);
  bool known = st_sqlite_wal_index_read(r->wal_index, header);
  bool ok = sqlite3_step(ask) == SQLITE_ROW;
  int64_t version = ok ? sqlite3_column_int64(ask, 0) : 0;
  if (ok && version != r->data_version) {
    ok = learn(r);
    if (ok) r->data_version = version;
  }
  st_sqlite_wal_index_keep(&r->learnt, ok && known ? header : NULL);
  if (!ok) (void)read_failed(r, error);
  return ok;
}

static void end_moment(st_sqlite_reader *r) {
  (void)sqlite3_reset(r->statements[ST_SQLITE_READ_VERSION]); /* nothing is bound to it */
}

/* ---- a key ---- */

/* Reads the row that answers. */
static st_store_status read_row(st_sqlite_reader *r, sqlite3_stmt *row, const question *ask,
                                uint8_t digest[32], st_key *key, char *error) {
  int code = sqlite3_step(row);
  if (code == SQLITE_DONE) return ST_STORE_NOT_FOUND;
  if (code != SQLITE_ROW) return read_failed(r, error);
  if (sqlite3_column_int64(row, ST_SQLITE_COL_REFUSED) != 0) return ST_STORE_REVOKED;
  if (!st_sqlite_take_key(row, key) || !take_digest(row, digest) || !is_answer(digest, key, ask)) {
    if (st_sqlite_is_without_memory(r->connection)) return read_failed(r, error);
    (void)st_sqlite_fail_damaged(error, r->store->base.name,
                                 "the row of a key is not as it was written");
    return ST_STORE_FAILED;
  }
  return ST_STORE_OK;
}

/* The key that answers, and its digest. */
static st_store_status read_one(st_sqlite_reader *r, int which, const question *ask,
                                uint8_t digest[32], st_key *key, char *error) {
  sqlite3_stmt *row = r->statements[which];
  int bound = ask->by_sub ? sqlite3_bind_text(row, 1, ask->bytes, ST_SUB_LEN, SQLITE_STATIC)
                          : sqlite3_bind_blob(row, 1, ask->bytes, 32, SQLITE_STATIC);
  if (bound == SQLITE_OK && which == ST_SQLITE_READ_BY_OLD_DIGEST) {
    bound = sqlite3_bind_int64(row, 2, st_clock_now_us() / 1000000);
  }
  st_store_status found =
      bound == SQLITE_OK ? read_row(r, row, ask, digest, key, error) : read_failed(r, error);
  st_sqlite_finish(row);
  return found;
}

static st_store_status read_key(st_sqlite_reader *r, const question *ask, uint64_t moment,
                                st_key *key, char *error) {
  uint8_t digest[32];
  int which = ask->by_sub ? ST_SQLITE_READ_BY_SUB : ST_SQLITE_READ_BY_DIGEST;
  st_store_status found = read_one(r, which, ask, digest, key, error);
  if (found == ST_STORE_NOT_FOUND && !ask->by_sub) {
    found = read_one(r, ST_SQLITE_READ_BY_OLD_DIGEST, ask, digest, key, error);
    key->by_old_digest = found == ST_STORE_OK;
  }
  if (found == ST_STORE_OK) st_key_cache_put(r->store->cache, digest, key, moment);
  return found;
}

/* A sub that no key has any more. */
static st_store_status read_revoked(st_sqlite_reader *r, const char *sub, char *error) {
  sqlite3_stmt *row = r->statements[ST_SQLITE_READ_REVOKED];
  int code = sqlite3_bind_text(row, 1, sub, ST_SUB_LEN, SQLITE_STATIC);
  if (code == SQLITE_OK) code = sqlite3_step(row);
  st_store_status found = code == SQLITE_ROW    ? ST_STORE_REVOKED
                          : code == SQLITE_DONE ? ST_STORE_NOT_FOUND
                                                : read_failed(r, error);
  st_sqlite_finish(row);
  return found;
}

static st_store_status look_up(st_sqlite_reader *r, const question *ask, uint64_t moment,
                               st_key *key, char *error) {
  if (st_key_cache_find(r->store->cache, ask->by_sub, ask->bytes, key)) return ST_STORE_OK;
  st_store_status found = read_key(r, ask, moment, key, error);
  return found == ST_STORE_NOT_FOUND && ask->by_sub ? read_revoked(r, ask->bytes, error) : found;
}

/* Nothing was committed that the cache has not been told of, and it holds the key. */
static bool answer_from_cache(const st_sqlite_reader *r, const question *ask, st_key *key) {
  return !look_is_due(r, now_ms()) && st_sqlite_wal_index_unchanged(r->wal_index, &r->learnt) &&
         st_key_cache_find(r->store->cache, ask->by_sub, ask->bytes, key);
}

static st_store_status answer(st_sqlite *store, const question *ask, st_key *key, char *error) {
  st_sqlite_reader *r = reader_of(store, ask);
  uint64_t moment = 0;
  if (answer_from_cache(r, ask, key)) return ST_STORE_OK;
  (void)pthread_mutex_lock(&r->lock);
  st_store_status found = ST_STORE_FAILED;
  if (freshen(r, &moment, error)) found = look_up(r, ask, moment, key, error);
  end_moment(r);
  (void)pthread_mutex_unlock(&r->lock);
  if (found != ST_STORE_OK) memset(key, 0, sizeof *key);
  return found;
}

st_store_status st_sqlite_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                    char *error) {
  question ask = {.bytes = digest};
  return answer((st_sqlite *)store, &ask, key, error);
}

st_store_status st_sqlite_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error) {
  question ask = {.bytes = sub.data, .by_sub = true};
  return answer((st_sqlite *)store, &ask, key, error);
}

/* ---- tokens that were revoked by themselves ---- */

/* Within the read transaction of freshen. */
static st_store_status read_token(st_sqlite_reader *r, subtoken_text tid, bool *revoked,
                                  char *error) {
  sqlite3_stmt *row = r->statements[ST_SQLITE_READ_TOKEN];
  int code = sqlite3_bind_text(row, 1, tid.data, (int)tid.len, SQLITE_STATIC);
  if (code == SQLITE_OK) code = sqlite3_step(row);
  *revoked = code == SQLITE_ROW;
  bool ok = code == SQLITE_ROW || code == SQLITE_DONE;
  st_store_status status = ok ? ST_STORE_OK : read_failed(r, error);
  st_sqlite_finish(row);
  return status;
}

st_store_status st_sqlite_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                         bool *revoked, char *error) {
  question ask = {.bytes = count > 0 && tids[0].len >= 8 ? tids[0].data : "no token"};
  st_sqlite_reader *r = reader_of((st_sqlite *)store, &ask);
  uint64_t moment = 0;
  bool found = false;
  (void)pthread_mutex_lock(&r->lock);
  st_store_status status = freshen(r, &moment, error) ? ST_STORE_OK : ST_STORE_FAILED;
  for (size_t i = 0; status == ST_STORE_OK && i < count && !found; i++) {
    if (tids[i].len == ST_TID_LEN) status = read_token(r, tids[i], &found, error);
  }
  end_moment(r);
  (void)pthread_mutex_unlock(&r->lock);
  if (status == ST_STORE_OK) *revoked = found;
  return status;
}

/* ---- the rest ---- */

/* Within the read transaction of freshen. */
static st_store_status read_given(st_sqlite_reader *r, int64_t sequence, char *error) {
  sqlite3_stmt *row = r->statements[ST_SQLITE_READ_SEQUENCE];
  bool ok = sqlite3_bind_int64(row, 1, sequence) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW;
  bool gave = ok && sqlite3_column_int64(row, 0) != 0;
  st_store_status status =
      gave ? ST_STORE_OK
      : ok ? ST_STORE_NOT_FOUND
           : st_sqlite_fail_db(error, r->store->base.name, r->connection, "read");
  st_sqlite_finish(row);
  return status;
}

st_store_status st_sqlite_issued_sequence(st_store *store, int64_t sequence, char *error) {
  st_sqlite_reader *r = &((st_sqlite *)store)->readers[0];
  (void)pthread_mutex_lock(&r->lock);
  uint64_t moment = 0;
  st_store_status status = ST_STORE_FAILED;
  if (freshen(r, &moment, error)) status = read_given(r, sequence, error);
  end_moment(r);
  (void)pthread_mutex_unlock(&r->lock);
  return status;
}

/* Is there space, and permission to write? SQLite needs the directory for its -wal, too. */
static bool seems_writable(const char *path, char *error) {
  struct statvfs disk;
  errno = 0;
  if (statvfs(path, &disk) == 0 && (disk.f_flag & ST_RDONLY) != 0) {
    errno = EROFS;
  } else if (errno == 0) {
    unsigned long long blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
    errno = blocks * disk.f_frsize < ROOM_MIN ? ENOSPC : 0;
  }
  if (errno == 0 && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) return true;
  (void)st_db_fail(error, "cannot write %s: %m", st_error_path(path));
  return false;
}

static bool is_ready(st_sqlite_reader *r, char *error) {
  (void)pthread_mutex_lock(&r->lock);
  atomic_store(&r->looked_ms, 0); /* look for certain */
  uint64_t moment = 0;
  bool ok = freshen(r, &moment, error);
  end_moment(r);
  (void)pthread_mutex_unlock(&r->lock);
  return ok;
}

bool st_sqlite_ready(st_store *store, char *error) {
  st_sqlite *sqlite = (st_sqlite *)store;
  bool ok = true;
  for (size_t i = 0; ok && i < ST_SQLITE_READERS; i++) ok = is_ready(&sqlite->readers[i], error);
  return ok && seems_writable(store->name, error);
}
