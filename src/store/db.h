/* db - what an implementation of the store gives to the rules in this folder: connections that run
 * the statements of statements.h, and what it answers by itself because it must be quick.
 *
 * A change runs on one connection: begin, then statements, then commit or rollback
 * (transaction.c). A question of the management runs on another, which does not wait for those who
 * write (query.c). Neither is used by two threads at once.
 *
 * Results: ST_STORE_OK; ST_STORE_NOT_FOUND: no row; ST_STORE_EXISTS: the row would break a unique
 * key; ST_STORE_FAILED: the database could not do it, and explain says
 * why.
 */
#ifndef ST_STORE_DB_H
#define ST_STORE_DB_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "domain/store.h"
#include "os/error.h"
#include "os/semaphore.h"
#include "store/statements.h"

#define ST_DB_WAIT_MS 5000     /* how long a change waits for others, unless its caller says */
#define ST_DB_WRITERS_MAX 128  /* changes that wait for their turn */
#define ST_DB_LARGE_CHANGE 500 /* rows */
#define ST_DB_CHANGE_STEP 100  /* rows */

/* ---- values and rows ---- */

/* A parameter of a statement. Text and bytes must outlive the statement. */
typedef struct st_value {
  enum { ST_VALUE_END, ST_VALUE_TEXT, ST_VALUE_BYTES, ST_VALUE_NUMBER, ST_VALUE_NULL } type;
  const void *data;
  size_t len;
  int64_t number;
} st_value;

st_value st_db_text(const char *text); /* NULL: NULL */
st_value st_db_view(subtoken_text text);
st_value st_db_bytes(const void *bytes, size_t len);
st_value st_db_number(int64_t number);
#define ST_VALUES(...) ((const st_value[]){__VA_ARGS__, {0}})
#define ST_NO_VALUES ((const st_value[]){{0}})

/* The row that a query stands at. What is read from it is copied. */
typedef struct st_row {
  const struct st_db_ops *ops; /* NULL: there is none */
  void *rows;
} st_row;

/* ---- a connection ---- */

typedef struct st_db {
  const struct st_db_ops *ops;
  st_store *store;
  int64_t sequence; /* that the change under way has taken, or 0 */
  bool ordered;     /* it may take one: no other change that may runs beside it */
  bool wants_order; /* it has to take one, and may not */
} st_db;

typedef struct st_db_ops {
  /* Waits for other processes until until_us (st_clock_monotonic_us). When that is over it answers
   * ST_STORE_FAILED, and explain answers ST_STORE_BUSY. */
  st_store_status (*begin)(st_db *db, int64_t until_us);
  /* ST_STORE_OK: what was changed is durable, and lies where the store was opened. Otherwise error
   * says why, and it may be ST_STORE_BUSY or ST_STORE_IN_DOUBT. */
  st_store_status (*commit)(st_db *db, char *error);
  /* Ends what begin began, unless it has ended. Called last in each change, also after a commit. */
  void (*rollback)(st_db *db);

  /* A statement without rows. *changed: how many rows it changed. */
  st_store_status (*run)(st_db *db, st_sql which, const st_value *values, int64_t *changed);
  /* A statement with rows, up to the first. The caller ends it with finish, whatever it answers. */
  st_store_status (*query)(st_db *db, st_sql which, const st_value *values, void **rows);
  st_store_status (*next)(void *rows);
  void (*finish)(void *rows);

  /* Columns are counted from 0. What is NULL is the number 0. */
  int64_t (*number)(void *rows, int column);
  bool (*is_null)(void *rows, int column);
  /* False when it is NULL, does not fit or holds a NUL: a name is never cut short. */
  bool (*text)(void *rows, int column, char *out, size_t size);
  /* False when it has another length. */
  bool (*bytes)(void *rows, int column, void *out, size_t len);
  /* The columns ST_COL_ID to ST_COL_TOKENS_REVOKED; false when they make no sense. */
  bool (*key)(void *rows, st_key *key);

  /* Did the database fail only because of what others did at the same time, or because the
   * connection was lost before the commit? Then the change is made again from its beginning. NULL:
   * never. */
  bool (*again)(st_db *db);

  /* What went wrong last, in a sentence: "cannot VERB NAME: ...". Without a failure of the
   * database: a row made no sense. ST_STORE_BUSY or ST_STORE_FAILED. */
  st_store_status (*explain)(st_db *db, const char *verb, char *error);
} st_db_ops;

/* ---- a store ---- */

/* What an implementation answers itself: see domain/store.h, where each has its comment. */
typedef struct st_driver {
  void (*close)(st_store *store);
  st_store_status (*by_digest)(st_store *store, const uint8_t digest[32], st_key *key, char *error);
  st_store_status (*by_sub)(st_store *store, subtoken_text sub, st_key *key, char *error);
  st_store_status (*tokens_revoked)(st_store *store, const subtoken_text *tids, size_t count,
                                    bool *revoked, char *error);
  bool (*ready)(st_store *store, char *error);
  void (*interrupt)(st_store *store);
  st_store_status (*issued_sequence)(st_store *store, int64_t sequence, char *error);
  st_store_status (*revocation_state)(st_store *store, st_revocation_state *state, char *error);
  st_store_status (*revocation_data)(st_store *store, st_revocation_data *data, char *error);
  st_store_status (*revocation_changes)(st_store *store, int64_t since, st_revocation_state *state,
                                        st_revocation_change **changes, uint32_t *count,
                                        char *error);
  void (*wait)(st_store *store, int64_t sequence, int64_t until_us);
  uint64_t (*epoch)(st_store *store);
  /* description is zeroed before. */
  st_store_status (*describe)(st_store *store, st_store_description *description, char *error);
  st_store_status (*backup)(st_store *store, const char *path, const volatile int *stop,
                            char *error); /* NULL: copied into a new store in a file */

  /* The connection of the change whose turn it is. */
  st_db *(*change_db)(st_store *store);
  /* One for a question, to be released; NULL, and error says why. */
  st_db *(*acquire_query_db)(st_store *store, char *error);
  void (*release_query_db)(st_db *db);
  /* One that reads one moment, however long it takes, to be ended; NULL, and error says why. */
  st_db *(*begin_read)(st_store *store, char *error);
  void (*end_read)(st_db *db);
} st_driver;

/* What every store has. An implementation's own structure begins with it. */
struct st_store {
  const st_driver *driver;
  char *name; /* in errors: where it lies */

  st_semaphore writing;         /* changes: as many at a time as the database has connections */
  st_semaphore ordering;        /* of those, who may take a sequence: one at a time */
  bool concurrent;              /* several changes run at a time */
  st_semaphore unauthenticated; /* of those, who come without a credential */
  _Atomic int64_t close_us;     /* 0, or when nothing waits any more: the process ends */

  int64_t large_change; /* rows; a change of more leaves some to later steps (remaining.h) */
  int64_t change_step;  /* rows that such a step changes at most */

  /* The uptime that this handle counted last (purge.c), by whom `ordering` lets in. */
  int64_t uptime;    /* seconds, as the store has it */
  int64_t uptime_us; /* when, by the caller's monotonic clock */
  bool counts_uptime;
};

/* The common part, for a store that is being opened; name stays the implementation's. */
void st_db_store_start(st_store *store, const st_driver *driver);

/* Opens what lies at a location without its scheme: the function of an implementation. options are
 * the caller's: copy what is needed later. */
typedef st_store_status st_db_open_fn(const char *location, bool create,
                                      const st_store_options *options, st_store **store,
                                      char *error);

/* Puts something into a store that was just made. */
typedef st_store_status st_db_fill_fn(st_store *store, void *context, char *error);
/* Makes a new store at a path, has it filled, and places it whole or not at all. ST_STORE_EXISTS:
 * there is something by then. */
typedef st_store_status st_db_place_fn(const char *path, const st_store_options *options,
                                       st_db_fill_fn *fill, void *context, char *error);

/* ---- statements ---- */

st_store_status st_db_run(st_db *db, st_sql which, const st_value *values)
    __attribute__((warn_unused_result));
st_store_status st_db_run_counted(st_db *db, st_sql which, const st_value *values, int64_t *changed)
    __attribute__((warn_unused_result));
/* The same for one that must change a row: ST_STORE_NOT_FOUND when it has not. */
st_store_status st_db_run_one(st_db *db, st_sql which, const st_value *values)
    __attribute__((warn_unused_result));

/* The first row, ST_STORE_NOT_FOUND without one. st_row_finish it, whatever the answer. */
st_store_status st_db_query(st_db *db, st_sql which, const st_value *values, st_row *row)
    __attribute__((warn_unused_result));
/* Is there a row? ST_STORE_OK, ST_STORE_NOT_FOUND. */
st_store_status st_db_exists(st_db *db, st_sql which, const st_value *values)
    __attribute__((warn_unused_result));
/* The number in the first column of the only row; ST_STORE_NOT_FOUND leaves it as it is. */
st_store_status st_db_query_number(st_db *db, st_sql which, const st_value *values, int64_t *number)
    __attribute__((warn_unused_result));

st_store_status st_row_next(st_row *row) __attribute__((warn_unused_result));
void st_row_finish(st_row *row);
int64_t st_row_number(const st_row *row, int column);
bool st_row_is_null(const st_row *row, int column);
bool st_row_text(const st_row *row, int column, char *out, size_t size)
    __attribute__((warn_unused_result));
bool st_row_time(const st_row *row, int column, int64_t *out)
    __attribute__((warn_unused_result)); /* false: out of range */
bool st_row_bytes(const st_row *row, int column, void *out, size_t len)
    __attribute__((warn_unused_result));
bool st_row_key(const st_row *row, st_key *key) __attribute__((warn_unused_result));

/* ---- errors ---- */

/* ST_STORE_FAILED, with a sentence in error. */
__attribute__((format(printf, 2, 3))) st_store_status st_db_fail(char *error, const char *format,
                                                                 ...);
/* The store's name, for errors: the end of a long one. */
const char *st_db_name(const st_store *store);

#endif
