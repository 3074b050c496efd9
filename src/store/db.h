/* sqlite_internal - what the files of the SQLite store share, and nobody else. */
#ifndef ST_STORE_DB_H
#define ST_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/store.h"
#include "os/semaphore.h"

#define ST_SQLITE_BUSY_MS 5000    /* how long another writer is waited for, where nobody says */
#define ST_SQLITE_WRITERS_MAX 128 /* changes that wait for their turn */
#define ST_SQLITE_RETRY_MS 20
#define ST_SQLITE_READERS 4  /* connections for the hot path; a power of two */
#define ST_SQLITE_SLOTS 1024 /* keys that each of them remembers; a power of two */

enum { DATA_VERSION, BY_DIGEST, BY_SUB, SUB_REVOKED, GAVE_SEQUENCE, READ_STATEMENTS };
extern const char *const st_sqlite_read_sql[READ_STATEMENTS];

enum {
  BEGIN,
  COMMIT,
  ROLLBACK,
  INSERT,
  IS_REVOKED,
  ROW,
  FIND,
  FIND_SUB,
  LIST,
  LIST_OWNED,
  COUNT_OWNED,
  COUNT,
  RENAME,
  DISABLE,
  SUSPEND,
  REPLACE_SUB,
  GRANT,
  GRANT_LOGINS,
  EXTEND,
  CHOOSE_NONE,
  CHOOSE_ROW,
  CHOOSE_OWNED,
  CHOOSE_HOLDING,
  CHOOSE_LOGINS,
  CHOOSE_LOGINS_OF_OWNED,
  CHOOSE_RESTING,
  CHOOSE_OLDEST,
  CHOOSE_ENDED,
  DROP_AS_LISTED,
  CHOSEN,
  REVOKE_CHOSEN,
  LIST_CHOSEN,
  TOUCH_CHOSEN,
  DELETE_CHOSEN,
  AUDIT_CHOSEN,
  AUDIT_SESSIONS,
  MADE_NONE,
  MADE_BASE,
  MADE_DIRECT,
  MADE_REST,
  MADE_COUNT,
  MADE_LIST,
  CHOOSE_MADE,
  AUDIT_USERS,
  DELETE_USERS,
  LIST_REFUSED,
  UNLIST,
  SWEEP_REVOKED,
  SWEEP_REFRESH,
  SWEEP_LOGINS,
  SWEEP_USED,
  SWEEP_KEYS,
  REMEMBER,
  REMEMBER_LARGEST,
  RECALL,
  NEXT_SEQUENCE,
  SEQUENCE,
  GIVE_SEQUENCE,
  PURGE_TOUCH,
  PURGE,
  PURGE_REFRESH,
  LOG_LENGTH,
  LOG_CUT,
  LOG_FROM,
  TAKEN_NONE,
  TAKEN_ADD,
  TAKEN_DROP,
  HAS_HASH_KEY,
  LISTS_NAMELESS,
  HASH_ANEW,
  CHOOSE_TAKEN_SESSIONS,
  CHOOSE_TAKEN_KEYS,
  DISABLE_CHOSEN,
  LIST_TAKEN,
  TOUCH_TAKEN,
  ROW_OF_SUB,
  LIST_SUB,
  TOUCH_SUB,
  GIVEN_LENGTH,
  GIVEN_CUT,
  GIVEN_FROM,
  PERSON_FIND,
  PERSON_LIST,
  PERSON_DELETED,
  PERSON_INSERT,
  PERSON_UPDATE,
  PERSON_REHASH,
  PERSON_DELETE,
  LOGIN_INSERT,
  LOGIN_SEED,
  REFRESH_INSERT,
  REFRESH_FIND,
  REFRESH_USE,
  REFRESH_KNOWN,
  AUDIT_INSERT,
  AUDIT_LIST,
  USE,
  WRITE_STATEMENTS
};
extern const char *const st_sqlite_write_sql[WRITE_STATEMENTS];

/* Of the feed's own connection, so that reading ten million rows holds nobody up. */
enum { FEED_BEGIN, FEED_END, FEED_FACTS, FEED_LISTED, FEED_CHANGES, FEED_STATEMENTS };
extern const char *const st_sqlite_feed_sql[FEED_STATEMENTS];

/* The columns of a row that holds a key; what follows them on the hot path, in the management's
 * questions, and of a person.
 */
enum {
  ID,
  SUB,
  NAME,
  OWNER,
  PERMISSIONS,
  CREATED_AT,
  EXPIRES_AT,
  DISABLED,
  KIND,
  PARENT,
  SUSPENDED,
  KEY_COLUMNS,
  DIGEST = KEY_COLUMNS,
  REFUSED,
  USED_AT = KEY_COLUMNS,
  MADE_BY,
  DISABLED_BY_OWNER,
  PASSWORD,
  IMPORTED,
  LOCALE,
  SOURCE,
  BY_IMPORT,
  REGISTERED,
  OWN_PASSWORD,
};

/* A key that was read while the cache had this generation; good as long as it
 * still has. 0 is no generation.
 */
typedef struct slot {
  uint64_t generation;
  uint8_t digest[32];
  st_key key;
} slot;

/* How long a connection that only reads waits for one who has the whole file to themselves, which
 * hardly ever happens: once, and until that is over no question waits again.
 */
typedef struct st_sqlite_busy_wait {
  int64_t last_us;  /* when it last had to wait */
  int64_t until_us; /* for how long */
} st_sqlite_busy_wait;

/* The database, its -wal and its -shm, as they were when they were opened. */
#define ST_SQLITE_FILES 3
typedef struct st_sqlite_file {
  char *name;
  struct stat opened;
} st_sqlite_file;

/* One of the connections of the hot path. Which one is asked about a key follows from the key, so
 * that each is remembered once, and that threads rarely meet.
 */
typedef struct reader {
  struct st_store *store;
  pthread_mutex_t lock; /* guards all below */
  sqlite3 *db;
  sqlite3_stmt *read[READ_STATEMENTS];
  slot *slots;
  uint64_t generation;
  int64_t data_version; /* when the generation began */
  int64_t looked_ms;    /* when it was last looked whether the file is in place */
  st_sqlite_busy_wait wait;
} reader;

struct st_store {
  char *path; /* absolute, links resolved */
  st_sqlite_file files[ST_SQLITE_FILES];
  _Atomic int64_t size_seen;     /* of the database, in bytes */
  _Atomic uint32_t changes_seen; /* the counter in it */
  atomic_bool displaced;         /* they were not in place when it was last looked */

  st_semaphore writing;         /* one at a time: guards the seven below */
  st_semaphore unauthenticated; /* of those, who come without a credential */
  sqlite3 *writes;
  sqlite3_stmt *write[WRITE_STATEMENTS];
  int64_t lived;            /* the store's lived time when this handle counted it last, at: */
  int64_t lived_us;         /* by the caller's monotonic clock */
  bool counts;              /* it has done so */
  int64_t taken;            /* the sequence that the change under way has taken, or 0 */
  int64_t until_us;         /* how long the change under way may wait for another process */
  _Atomic int64_t close_us; /* 0, or when nothing waits any more: the process ends */

  pthread_mutex_t asking; /* guards the three below: the management's questions */
  sqlite3 *queries;
  sqlite3_stmt *query[WRITE_STATEMENTS]; /* those that only read; NULL: the others */
  st_sqlite_busy_wait query_wait;

  pthread_mutex_t feeding; /* guards the three below; opened at the first question */
  sqlite3 *feeds;
  sqlite3_stmt *feed[FEED_STATEMENTS];
  st_sqlite_busy_wait feed_wait;

  reader readers[ST_SQLITE_READERS];
};

/* The end of a long path, for sentences. */
const char *st_sqlite_shown(const char *path);

/* ST_STORE_FAILED, with a sentence in error. */
__attribute__((format(printf, 2, 3))) st_stored st_sqlite_fail(char *error, const char *format,
                                                               ...);
st_stored st_sqlite_fail_damaged(char *error, const char *path, const char *what);
st_stored st_sqlite_fail_db(char *error, const char *path, sqlite3 *db, const char *verb);
int st_sqlite_run(sqlite3_stmt *statement);
void st_sqlite_finish(sqlite3_stmt *statement);
bool st_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
bool st_sqlite_bind_integer(sqlite3_stmt *statement, int at, int64_t value);
bool st_sqlite_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t count);
bool st_sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t *value);

/* The SQL function revocation_hash(key0, key1, sub): subtoken_revocations_hash. */
bool st_sqlite_add_hash(sqlite3 *db);

/* Wait for others at most so long, from now on. */
bool st_sqlite_set_write_wait(st_store *store);
bool st_sqlite_set_read_wait(sqlite3 *db, st_sqlite_busy_wait *wait);

/* ---- statements of the writing connection, in its turn ---- */

/* A parameter of a statement. Texts and bytes outlive the step. */
typedef struct parameter {
  enum { NO_VALUE, TEXT_VALUE, BYTES_VALUE, NUMBER_VALUE, NULL_VALUE } type;
  const void *data;
  size_t len;
  int64_t number;
} parameter;
parameter st_sqlite_text(const char *text); /* NULL: NULL */
parameter st_sqlite_view(subtoken_text text);
parameter st_sqlite_bytes(const void *bytes, size_t len);
parameter st_sqlite_number(int64_t number);
#define VALUES(...) ((const parameter[]){__VA_ARGS__, {0}})
#define NO_VALUES ((const parameter[]){{0}})

/* Run one that gives no rows: ST_STORE_EXISTS for what is there already. */
st_stored st_sqlite_do(st_store *store, int which, const parameter *values);
/* The same for one that must change a row: ST_STORE_NONE when it has not. */
st_stored st_sqlite_do_one(st_store *store, int which, const parameter *values);
/* A question: the first row, ST_STORE_NONE without one. st_sqlite_finish it, whatever the answer.
 */
st_stored st_sqlite_ask(st_store *store, int which, const parameter *values, sqlite3_stmt **row);
/* The same of any statement. */
st_stored st_sqlite_ask_with(sqlite3_stmt *statement, const parameter *values);

/* ---- rows ---- */

/* false when it does not fit or holds a NUL: a name is never cut short. */
bool st_sqlite_take_text(sqlite3_stmt *row, int column, char *out, size_t size);
bool st_sqlite_take_time(sqlite3_stmt *row, int column, int64_t *out);
bool st_sqlite_take_key(sqlite3_stmt *row, st_key *key);

/* What could not be read back must not be written. */
bool st_sqlite_has_len(const char *text, size_t len);
bool st_sqlite_is_storable(const st_key *key);

/* A page of rows for the management, on the connection that only reads: nobody waits here for who
 * writes. take reads one row, false when it is damaged.
 */
typedef bool take_fn(sqlite3_stmt *row, void *item);
typedef struct rows_into {
  void *items;
  size_t size; /* of an item */
  size_t limit;
  size_t *count;
  take_fn *take;
} rows_into;
st_stored st_sqlite_page(st_store *store, int which, const parameter *values, const rows_into *into,
                         char *error);
/* One row, zeroed when it is not there. */
st_stored st_sqlite_one(st_store *store, int which, const parameter *values, void *item,
                        size_t size, take_fn *take, char *error);
bool st_sqlite_take_listed(sqlite3_stmt *row, void *key); /* with used_at */

/* ---- changes ---- */

/* A change of the store, in one transaction: st_sqlite_apply. */
typedef struct change {
  const st_audit_context *act; /* who is named in the audit log */
  const st_grantor *maker;     /* or NULL */
  const st_key *key;
  const uint8_t *digest;
  const char *id; /* or a person's login, or the name of a fact */
  const char *sub;
  const char *text; /* a name, or permissions */
  bool disabled;
  int64_t now;          /* seconds, or the value of a fact */
  int64_t now_us;       /* of what lists or unlists */
  int64_t *sequence;    /* at which the revocation data has it; may be NULL */
  int64_t until_us;     /* as in st_audit_context */
  bool unauthenticated; /* who asks for it has shown no credential */
  void *of;             /* what this kind of change takes besides */
} change;
change st_sqlite_change_at(const st_audit_context *act, const char *id, int64_t *sequence);

/* Part of a change, in its transaction. What it leaves when it does not answer
 * ST_STORED is rolled back.
 */
typedef st_stored change_fn(st_store *store, const change *what);
st_stored st_sqlite_apply(st_store *store, change_fn *make, const change *what, char *error);

/* Within a change: ST_STORED when the sub has never been revoked. */
st_stored st_sqlite_sub_is_new(st_store *store, const char *sub);
/* made_by: the id of the row that it is made with, or NULL. */
st_stored st_sqlite_insert(st_store *store, const st_key *key, const uint8_t digest[32],
                           const char *made_by);
/* The row of what->maker: ST_STORE_REFUSED when it is not in force. */
st_stored st_sqlite_maker(st_store *store, const change *what, st_key *row);
/* It is in force and has all these permissions; or there is no maker. */
st_stored st_sqlite_may_make(st_store *store, const change *what, const char *permissions);
bool st_sqlite_permits(const char *permissions, subtoken_text permission);

/* The sequence of the change: one, however much it lists. */
st_stored st_sqlite_take_sequence(st_store *store, const change *what, int64_t *sequence);
st_stored st_sqlite_standing(st_store *store, int64_t *sequence);

/* ---- sets of rows (sqlite_rows.c): those chosen in the transaction ---- */

typedef struct counted {
  int64_t rows, keys, logins;
} counted;

/* Choose one row alone. */
st_stored st_sqlite_choose(st_store *store, const char *id);
st_stored st_sqlite_choose_none(st_store *store);
/* End what is chosen and what rests on it; *ended tells how much that was. because: for the lines
 * of keys in the audit log; NULL: no such lines.
 */
st_stored st_sqlite_end_chosen(st_store *store, const change *what, const char *because,
                               counted *ended);
/* Those chosen are in the revocation data while they are disabled or suspended, and else not. */
st_stored st_sqlite_relist_chosen(st_store *store, const change *what);
/* The row gets a new sub; the old one is revoked. */
st_stored st_sqlite_new_sub(st_store *store, const change *what, const char *id, const char *sub);
/* End the logins that were made with it. */
st_stored st_sqlite_end_logins(st_store *store, const change *what, const char *id, counted *ended);
/* Remove logins that ended before a time, at most so many: *removed tells how many it were. */
st_stored st_sqlite_sweep_logins(st_store *store, int64_t before, int64_t limit, int64_t *removed);

/* ---- what was made with a row, for others (sqlite_made.c) ---- */

/* Before a change of the row, find it. held: the permissions that the row keeps; only what was made
 * with others is found. NULL: all of it.
 */
st_stored st_sqlite_find_made(st_store *store, const change *what, const st_key *row,
                              const char *held, st_made *made);
/* After the change: count what is still valid, end it when that is asked for, and tell. by: for the
 * audit lines of what ends.
 */
st_stored st_sqlite_settle_made(st_store *store, const change *what, const char *by, st_made *made);
void st_sqlite_detail_made(st_writer *writer, const st_made *made);
bool st_sqlite_add_within(sqlite3 *db);

/* ---- audit (sqlite_audit.c) ---- */

#define DETAIL_ROOM (2 * ST_PERMISSIONS_TEXT_MAX + 4 * ST_NAME_MAX) /* before it is cut */

/* A line in the audit log; detail is cut to fit. */
st_stored st_sqlite_audit(st_store *store, const change *what, const char *action,
                          const char *target, const char *detail);
/* One whose detail tells of a row, and before that how much has ended besides, and what was made
 * with the row; both may be NULL.
 */
st_stored st_sqlite_audit_row(st_store *store, const change *what, const char *action,
                              const st_key *row, const counted *ended, const st_made *made);
/* Pieces of a detail, with "; " between them. */
void st_sqlite_detail(st_writer *writer, const char *label, const char *text);
void st_sqlite_detail_permissions(st_writer *writer, const char *permissions);
void st_sqlite_detail_expiry(st_writer *writer, int64_t expires_at);
void st_sqlite_detail_ended(st_writer *writer, const counted *ended);

/* ---- the files (sqlite_identity.c) ---- */

typedef enum st_sqlite_file_state {
  ST_SQLITE_IN_PLACE,
  ST_SQLITE_REPLACED,    /* by other files, or removed */
  ST_SQLITE_OVERWRITTEN, /* what is open is the file at the path, with other bytes in it */
} st_sqlite_file_state;
/* Are the files that are open those at their paths? error says what is wrong. */
st_sqlite_file_state st_sqlite_look(st_store *store, sqlite3 *db, char *error);
bool st_sqlite_in_place(st_store *store, sqlite3 *db, char *error);
/* Their names, from the path; and, once each connection has read, which files they are. */
bool st_sqlite_name_files(st_store *store);
bool st_sqlite_remember_files(st_store *store);
void st_sqlite_drop_files(st_store *store);
/* Does a database of ours begin like this? header: 100 bytes. */
bool st_sqlite_is_ours(const uint8_t *header);

/* A connection with the house's settings, and its journal mode. */
st_stored st_sqlite_connect(const char *path, sqlite3 **db, char *error);
st_stored st_sqlite_set_journal(const char *path, sqlite3 *db, const char *mode, char *error);

/* Put a new file at path, whole or not at all: made beside it by fill, fsynced,
 * renamed. ST_STORE_EXISTS, and nothing has changed, when there is one by then.
 */
typedef st_stored st_sqlite_fill(void *context, const char *temporary, char *error);
st_stored st_sqlite_place(const char *path, st_sqlite_fill *fill, void *context, char *error);

#endif
