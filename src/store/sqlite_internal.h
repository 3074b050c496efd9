/* sqlite_internal - what the files of the SQLite store share, and nobody else. */
#ifndef ST_STORE_SQLITE_INTERNAL_H
#define ST_STORE_SQLITE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "store/sqlite.h"

#define ST_SQLITE_BUSY_MS 5000 /* how long another writer is waited for */
#define ST_SQLITE_RETRY_MS 20
#define ST_SQLITE_SLOTS 4096 /* keys remembered; a power of two */

enum { DATA_VERSION, BY_DIGEST, BY_SUB, SUB_REVOKED, READ_STATEMENTS };
extern const char *const st_sqlite_read_sql[READ_STATEMENTS];

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
  NEXT_SEQUENCE,
  SEQUENCE,
  LIST_REVOKED,
  LIST_DISABLED,
  UNLIST,
  TOUCH,
  PURGE_TOUCH,
  PURGE,
  LOG_LENGTH,
  LOG_CUT,
  LOG_FROM,
  WRITE_STATEMENTS
};
extern const char *const st_sqlite_write_sql[WRITE_STATEMENTS];

/* Of the feed's own connection, so that reading ten million rows holds nobody up. */
enum { FEED_BEGIN, FEED_END, FEED_FACTS, FEED_LISTED, FEED_CHANGES, FEED_STATEMENTS };
extern const char *const st_sqlite_feed_sql[FEED_STATEMENTS];

/* The columns of a row that holds a key. */
enum { ID, SUB, NAME, OWNER, PERMISSIONS, CREATED_AT, EXPIRES_AT, DISABLED, DIGEST, REFUSED };

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

  pthread_mutex_t feeding; /* guards the two below; opened at the first question */
  sqlite3 *feeds;
  sqlite3_stmt *feed[FEED_STATEMENTS];

  pthread_mutex_t reading; /* guards all below */
  sqlite3 *reads;
  sqlite3_stmt *read[READ_STATEMENTS];
  slot *slots;
  uint64_t generation;
  int64_t data_version; /* of `reads`, when the generation began */
  uint64_t asked;       /* how many questions */
  bool moved;           /* the file is no longer the one at path */
  char trouble[ST_WHY_MAX];
};

/* The end of a long path, for sentences. */
const char *st_sqlite_shown(const char *path);

/* ST_STORE_FAILED, with a sentence in why. */
__attribute__((format(printf, 2, 3))) st_stored st_sqlite_fail(char *why, const char *format, ...);
st_stored st_sqlite_fail_damaged(char *why, const char *path, const char *what);
st_stored st_sqlite_fail_db(char *why, const char *path, sqlite3 *db, const char *verb);

int st_sqlite_run(sqlite3_stmt *statement);
void st_sqlite_finish(sqlite3_stmt *statement);
bool st_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
bool st_sqlite_bind_integer(sqlite3_stmt *statement, int at, int64_t value);
bool st_sqlite_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t count);
bool st_sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t *value);

/* The SQL function revocation_hash(key0, key1, sub): subtoken_revocations_hash. */
bool st_sqlite_add_hash(sqlite3 *db);

/* A change of the store, in one transaction: st_sqlite_apply. */
typedef struct change {
  const st_key *key;
  const uint8_t *digest;
  const char *id;
  const char *sub;
  bool disabled;
  int64_t now;       /* seconds, or the value of a fact */
  int64_t now_us;    /* of what lists or unlists */
  int64_t *sequence; /* at which the revocation data has it; may be NULL */
} change;

/* Part of a change, in its transaction. What it leaves when it does not answer
 * ST_STORED is rolled back.
 */
typedef st_stored change_fn(st_store *store, const change *what);
st_stored st_sqlite_apply(st_store *store, change_fn *make, const change *what, char *why);

/* Within a change. The key of what->id, which has its sub still. */
st_stored st_sqlite_list_revoked(st_store *store, const change *what);
st_stored st_sqlite_list_disabled(st_store *store, const change *what);
st_stored st_sqlite_unlist(st_store *store, const change *what);

/* Is the file of this connection no longer the one at its path? */
bool st_sqlite_has_moved(sqlite3 *db);

/* A connection with the house's settings, and its journal mode. */
st_stored st_sqlite_connect(const char *path, sqlite3 **db, char *why);
st_stored st_sqlite_set_journal(const char *path, sqlite3 *db, const char *mode, char *why);

/* Put a new file at path, whole or not at all: made beside it by fill, fsynced,
 * renamed. ST_STORE_EXISTS, and nothing has changed, when there is one by then.
 */
typedef st_stored st_sqlite_fill(void *context, const char *temporary, char *why);
st_stored st_sqlite_place(const char *path, st_sqlite_fill *fill, void *context, char *why);

#endif
