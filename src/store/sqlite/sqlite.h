/* sqlite - what the files of the SQLite store share.
 *
 * One file in WAL mode, and connections to it, each under a lock of its own: one for changes, in
 * the order in which they were asked for; four for the questions of requests (read_path.c); one for
 * those of the management; one for the revocation data. So no reader waits for a writer, in this
 * process or in another, and on the hot path seldom for another reader.
 *
 * The file itself is looked at through SQLite's own VFS only: POSIX drops all locks that a process
 * holds on a file as soon as it closes any descriptor of it, so an open() and close() of ours would
 * unlock the file under another handle of the same process.
 */
#ifndef ST_STORE_SQLITE_SQLITE_H
#define ST_STORE_SQLITE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "os/error.h"
#include "os/replace.h"
#include "os/semaphore.h"
#include "store/db.h"
#include "store/key_cache.h"

#define ST_SQLITE_APPLICATION_ID 0x53756254 /* "SubT", at byte 68 of the file */
#define ST_SQLITE_HEADER_LEN 100 /* https://www.sqlite.org/fileformat2.html section 1.3 */
#define ST_SQLITE_RETRY_MS 20
#define ST_SQLITE_READERS 4 /* connections for the hot path; a power of two */

/* ---- statements.c; own_statements.c: those behind the first table ---- */

extern const char *const st_sqlite_sql[ST_SQL_COUNT];

enum { ST_SQLITE_BEGIN, ST_SQLITE_COMMIT, ST_SQLITE_ROLLBACK, ST_SQLITE_CONTROL_COUNT };
extern const char *const st_sqlite_control_sql[ST_SQLITE_CONTROL_COUNT];

/* Of the hot path. */
enum {
  ST_SQLITE_READ_VERSION,
  ST_SQLITE_READ_WRITTEN,
  ST_SQLITE_READ_WRITTEN_LAST,
  ST_SQLITE_READ_BY_DIGEST,
  ST_SQLITE_READ_BY_OLD_DIGEST,
  ST_SQLITE_READ_TOKEN,
  ST_SQLITE_READ_BY_SUB,
  ST_SQLITE_READ_REVOKED,
  ST_SQLITE_READ_SEQUENCE,
  ST_SQLITE_READ_COUNT
};
extern const char *const st_sqlite_read_sql[ST_SQLITE_READ_COUNT];
/* What follows the columns of a key there. */
enum { ST_SQLITE_COL_DIGEST = ST_COL_KEY_END, ST_SQLITE_COL_REFUSED };

/* Of the revocation data's own connection, so that reading ten million rows holds nobody up. */
enum {
  ST_SQLITE_STATE_BEGIN,
  ST_SQLITE_STATE_END,
  ST_SQLITE_STATE_READ,
  ST_SQLITE_STATE_HASHES,
  ST_SQLITE_STATE_CHANGES,
  /* And while a change of many rows has something left to do (store/remaining.h). */
  ST_SQLITE_STATE_REMAINING, /* the last sequence of these; does one resume keys? */
  ST_SQLITE_STATE_HASHES_STAYING,
  ST_SQLITE_STATE_HASHES_ADDED,
  ST_SQLITE_STATE_CHANGES_REMAINING,
  ST_SQLITE_STATE_COUNT
};
extern const char *const st_sqlite_state_sql[ST_SQLITE_STATE_COUNT];
extern const char *const st_sqlite_watch_sql; /* the last sequence */

/* ---- the store ---- */

struct st_sqlite;

/* How long a connection that only reads waits while another has the whole file to itself, which is
 * rare: once, and until that wait is over no other question waits again.
 */
typedef struct st_sqlite_wait {
  int64_t last_us;  /* when it last had to wait */
  int64_t until_us; /* for how long */
} st_sqlite_wait;

/* A connection that runs the statements of the rules. */
typedef struct st_sqlite_db {
  st_db base; /* first */
  sqlite3 *connection;
  sqlite3_stmt *statements[ST_SQL_COUNT]; /* NULL: not on this connection */
  sqlite3_stmt *control[ST_SQLITE_CONTROL_COUNT];
} st_sqlite_db;

/* A header of the wal-index, both copies, that other threads compare while it may change. */
#define ST_SQLITE_WAL_WORDS 12
typedef struct st_sqlite_wal_header {
  _Atomic uint32_t turn;
  _Atomic uint64_t words[ST_SQLITE_WAL_WORDS];
} st_sqlite_wal_header;

/* One of the connections of the hot path. The key decides which one is asked about it, so that
 * threads rarely meet.
 */
typedef struct st_sqlite_reader {
  struct st_sqlite *store;
  const uint64_t *wal_index;   /* as SQLite maps it, while the connection is open; or NULL */
  st_sqlite_wal_header learnt; /* the cache holds nothing older than this */
  _Atomic int64_t looked_ms;   /* when the file was last checked */
  pthread_mutex_t lock;        /* guards all below, and who changes the two above */
  sqlite3 *connection;
  sqlite3_stmt *statements[ST_SQLITE_READ_COUNT];
  int64_t data_version; /* up to which it knows what was written; 0: nothing */
  int64_t written;      /* and the last row of that table which it knows */
  st_sqlite_wait wait;
} st_sqlite_reader;

/* The database, its -wal and its -shm, as they were when they were opened. */
#define ST_SQLITE_FILES 3
typedef struct st_sqlite_file {
  char *name;
  struct stat opened;
} st_sqlite_file;

/* Who waits for another sequence, and the connection that sees those of other processes. */
typedef struct st_sqlite_watch {
  pthread_mutex_t lock;   /* guards what is below but the connection, which `looking` guards */
  pthread_cond_t changed; /* on the monotonic clock */
  int64_t sequence;       /* the last that was read, or committed here */
  uint64_t learnt;        /* how often it was */
  bool looking;           /* a thread reads the database */
  int64_t look_at_us;     /* when the next one does */
  sqlite3 *connection;    /* opened when somebody waits */
  sqlite3_stmt *statement;
  st_sqlite_wait wait;
} st_sqlite_watch;

typedef struct st_sqlite {
  st_store base;    /* first; its name is the path, absolute, links resolved */
  bool trust_group; /* the group of the file is trusted as its owner is */
  st_sqlite_file files[ST_SQLITE_FILES];
  _Atomic int64_t size_seen;     /* of the database, in bytes */
  _Atomic uint32_t changes_seen; /* the counter in it */
  atomic_bool displaced;         /* at the last look they were not in place */

  st_sqlite_db changes; /* of whose turn it is to write */
  int64_t until_us;     /* how long the change under way may wait for another process */

  st_semaphore querying; /* lends the two below, first come, first served */
  st_sqlite_db queries;
  st_sqlite_wait query_wait;

  pthread_mutex_t reading_state; /* guards the three below; opened at the first question */
  sqlite3 *state;
  sqlite3_stmt *state_statements[ST_SQLITE_STATE_COUNT];
  st_sqlite_wait state_wait;

  st_sqlite_watch watch;

  st_sqlite_reader readers[ST_SQLITE_READERS];
  st_key_cache *cache;
} st_sqlite;

/* ---- connect.c: a connection ---- */

/* With the settings that durability rests on, and the functions that the statements call. */
st_store_status st_sqlite_connect(const char *path, sqlite3 **db, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_set_journal(const char *path, sqlite3 *db, const char *mode, char *error)
    __attribute__((warn_unused_result));
/* Wait for others at most so long, from now on. */
bool st_sqlite_set_write_wait(st_sqlite *store) __attribute__((warn_unused_result));
bool st_sqlite_set_read_wait(sqlite3 *db, st_sqlite_wait *wait) __attribute__((warn_unused_result));
void st_sqlite_interrupt(st_store *store);

/* functions.c: revocation_hash(key0, key1, sub), permissions_within(inner, outer) and
 * permissions_meet(one, other) */
bool st_sqlite_add_functions(sqlite3 *db) __attribute__((warn_unused_result));

/* ---- db.c: statements ---- */

extern const st_db_ops st_sqlite_db_ops;
st_db *st_sqlite_change_db(st_store *store);
st_db *st_sqlite_acquire_query_db(st_store *store, char *error);
void st_sqlite_release_query_db(st_db *db);
st_db *st_sqlite_begin_read(st_store *store, char *error);
void st_sqlite_end_read(st_db *db);

/* SQLITE_OK, or the failure. */
int st_sqlite_run(sqlite3_stmt *statement);
void st_sqlite_finish(sqlite3_stmt *statement);
/* The transaction on its connection, if there is one, with a statement that ends it. */
bool st_sqlite_end_transaction(sqlite3_stmt *end);
bool st_sqlite_prepare(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t count)
    __attribute__((warn_unused_result));
bool st_sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t *value)
    __attribute__((warn_unused_result));

/* ---- error.c: sentences about a file ---- */

/* These answer ST_STORE_FAILED. */
st_store_status st_sqlite_fail_damaged(char *error, const char *path, const char *what);
/* What SQLite last complained of, before another call on db makes it forget. */
bool st_sqlite_is_without_memory(sqlite3 *db);
st_store_status st_sqlite_fail_db(char *error, const char *path, sqlite3 *db, const char *verb);

/* ---- wal_index.c: has anything been committed? ---- */

/* The index of a connection that has read in WAL mode; valid until it is closed. NULL: not known.
 */
const uint64_t *st_sqlite_wal_index_find(sqlite3 *db) __attribute__((warn_unused_result));
/* False: it is being written, or is not known. */
bool st_sqlite_wal_index_read(const uint64_t *index, uint64_t header[ST_SQLITE_WAL_WORDS])
    __attribute__((warn_unused_result));
/* header NULL: none, with which nothing is equal. One thread at a time keeps. */
void st_sqlite_wal_index_keep(st_sqlite_wal_header *kept,
                              const uint64_t header[ST_SQLITE_WAL_WORDS]);
/* Is the header that was kept the one of now? Then no commit that ended before this call began is
 * missing in it. In any thread.
 */
bool st_sqlite_wal_index_unchanged(const uint64_t *index, const st_sqlite_wal_header *kept)
    __attribute__((warn_unused_result));

/* ---- row.c ---- */

/* false when it does not fit or holds a NUL: a name is never cut short. */
bool st_sqlite_take_text(sqlite3_stmt *row, int column, char *out, size_t size)
    __attribute__((warn_unused_result));
bool st_sqlite_take_key(sqlite3_stmt *row, st_key *key) __attribute__((warn_unused_result));

/* ---- schema.c ---- */

/* An empty file becomes a database, complete and in WAL mode. */
st_store_status st_sqlite_build(const char *path, char *error) __attribute__((warn_unused_result));
/* All steps that are missing and the version, or nothing. */
st_store_status st_sqlite_update_schema(const char *path, sqlite3 *db, char *error)
    __attribute__((warn_unused_result));

/* ---- file_check.c: may the file be opened? ---- */

/* Of path with a suffix; 0 when it is not there. */
int64_t st_sqlite_size_beside(const char *path, const char *suffix);
st_store_status st_sqlite_check_owner(const char *path, bool trust_group, int64_t *size,
                                      char *error) __attribute__((warn_unused_result));
/* Before SQLite may write any of it. */
st_store_status st_sqlite_check_file(const char *path, bool trust_group, int64_t *size, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_check_pages(const char *path, sqlite3 *db, char *error)
    __attribute__((warn_unused_result));
/* Does a database of ours begin like this? header: ST_SQLITE_HEADER_LEN bytes. */
bool st_sqlite_is_ours(const uint8_t *header) __attribute__((warn_unused_result));

/* ---- identity.c: is the file that is open the one at the path? ---- */

typedef enum st_sqlite_file_state {
  ST_SQLITE_IN_PLACE,
  ST_SQLITE_REPLACED,    /* by other files, or removed */
  ST_SQLITE_OVERWRITTEN, /* what is open is the file at the path, with other bytes in it */
} st_sqlite_file_state;
/* error says what is wrong. */
st_sqlite_file_state st_sqlite_look(st_sqlite *store, sqlite3 *db, char *error);
bool st_sqlite_in_place(st_sqlite *store, sqlite3 *db, char *error)
    __attribute__((warn_unused_result));
/* Their names, from the path; and, once each connection has read, which files they are. */
bool st_sqlite_name_files(st_sqlite *store) __attribute__((warn_unused_result));
bool st_sqlite_remember_files(st_sqlite *store) __attribute__((warn_unused_result));
void st_sqlite_drop_files(st_sqlite *store);

/* ---- what the driver answers: read_path.c, revocation_state.c, describe.c, backup.c ---- */

st_store_status st_sqlite_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                    char *error) __attribute__((warn_unused_result));
st_store_status st_sqlite_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                         bool *revoked, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_issued_sequence(st_store *store, int64_t sequence, char *error)
    __attribute__((warn_unused_result));
bool st_sqlite_ready(st_store *store, char *error) __attribute__((warn_unused_result));

st_store_status st_sqlite_revocation_state(st_store *store, st_revocation_state *state, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_revocation_data(st_store *store, st_revocation_data *data, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_revocation_changes(st_store *store, int64_t since,
                                             st_revocation_state *state,
                                             st_revocation_change **changes, uint32_t *count,
                                             char *error) __attribute__((warn_unused_result));

/* watch.c: waits for another sequence. committed: this handle has made one durable. */
void st_sqlite_wait_for_sequence(st_store *store, int64_t sequence, int64_t until_us);
uint64_t st_sqlite_epoch(st_store *store);
void st_sqlite_watch_committed(st_sqlite *store, int64_t sequence);
void st_sqlite_watch_start(st_sqlite_watch *watch);
void st_sqlite_watch_end(st_sqlite_watch *watch);

st_store_status st_sqlite_describe(st_store *store, st_store_description *description, char *error)
    __attribute__((warn_unused_result));
st_store_status st_sqlite_backup(st_store *store, const char *path, const volatile int *stop,
                                 char *error) __attribute__((warn_unused_result));

/* Put a new file of SQLite at path, whole or not at all. ST_STORE_EXISTS, and nothing has changed,
 * when there is one by then.
 */
st_store_status st_sqlite_place(const char *path, st_replace_fill *fill, void *context, char *error)
    __attribute__((warn_unused_result));

#endif
