/* postgres - what the files of the PostgreSQL store share. README.md says why it may be relied on.
 *
 * Connections, each used by one thread at a time: ST_POSTGRES_WRITERS for changes (pool.c), one for
 * the questions of the management, one for the revocation data, those of requests (read_path.c),
 * and one that hears what others write (watch.c).
 *
 * A connection never blocks: each wait has a deadline of st_clock_monotonic_us, and when it is over
 * the connection is closed, because nobody knows what a silent network still delivers. Statements
 * have numbers, are prepared at their first use, and take their values as parameters, in binary.
 * They are sent in libpq's pipeline mode: several travel together, up to a sync.
 */
#ifndef ST_STORE_POSTGRES_POSTGRES_H
#define ST_STORE_POSTGRES_POSTGRES_H

#include <libpq-fe.h>
#include <pthread.h>

#include "store/db.h"

#define ST_POSTGRES_WRITERS 8         /* changes at a time */
#define ST_POSTGRES_HOSTS 8           /* in a URI */
#define ST_POSTGRES_PARAMETERS 24     /* of a statement */
#define ST_POSTGRES_BATCH 16          /* statements up to a sync */
#define ST_POSTGRES_CONNECT_MS 2000   /* for one host, unless the URI has connect_timeout */
#define ST_POSTGRES_QUESTION_MS 5000  /* how long a question may take */
#define ST_POSTGRES_IN_DOUBT_MS 10000 /* to find out whether a commit happened */
#define ST_POSTGRES_IDLE_MS 5000      /* the server ends a transaction that stands still so long */
#define ST_POSTGRES_ID_LEN 16         /* random bytes that name a change */

/* ---- statements.c ---- */

/* Behind those of the rules (ST_SQL_...): what this store asks by itself. */
enum {
  ST_POSTGRES_BEGIN = ST_SQL_COUNT, /* a change */
  ST_POSTGRES_LOCK,                 /* that takes a sequence: directly after BEGIN */
  ST_POSTGRES_HASH_KEY,             /* two numbers */
  ST_POSTGRES_MADE,                 /* id: the change of that id is committed with this */
  ST_POSTGRES_NOTIFY,               /* wakes who listens, at the commit */
  ST_POSTGRES_COMMIT,
  ST_POSTGRES_ROLLBACK,
  ST_POSTGRES_REHASH_READ_KEYS, /* after an id: id, sub */
  ST_POSTGRES_REHASH_KEYS,      /* ids, hashes */
  ST_POSTGRES_REHASH_READ_LISTED,
  ST_POSTGRES_REHASH_LISTED,

  /* Of requests (read_path.c). The columns of a key, then ST_POSTGRES_COL_... */
  ST_POSTGRES_READ_BY_DIGEST, /* digest */
  ST_POSTGRES_READ_BY_SUB,    /* sub */
  ST_POSTGRES_READ_REVOKED,   /* sub: a row if it was revoked */
  ST_POSTGRES_READ_SEQUENCE,  /* sequence: was it issued? a number that is not 0 */

  /* Of the revocation data (revocation_state.c). */
  ST_POSTGRES_STATE_BEGIN,   /* a transaction that reads one moment */
  ST_POSTGRES_STATE_READ,    /* sequence, hash_key_0, hash_key_1, changes_from, time in seconds */
  ST_POSTGRES_STATE_HASHES,  /* each hash that is listed, once */
  ST_POSTGRES_STATE_CHANGES, /* since: hash, is it listed, sequence */

  /* Of what others write (watch.c). */
  ST_POSTGRES_LISTEN,
  ST_POSTGRES_WRITTEN_SINCE, /* xid: digest8 of rows that were written by it and later ones */
  ST_POSTGRES_POLL, /* xmin of a snapshot (for WRITTEN_SINCE of the next poll), last sequence, time
                       in seconds */
  ST_POSTGRES_CONFIRM, /* id of an issuer: a small commit, as durable as any other */

  ST_POSTGRES_SQL_COUNT
};

/* What follows the columns of a key there. */
enum { ST_POSTGRES_COL_DIGEST = ST_COL_KEY_END, ST_POSTGRES_COL_REFUSED };

/* What the driver adds to the values of a statement, in this order, and what it takes its rows
 * into, instead of handing them to the rules (sets.c).
 */
enum {
  ST_POSTGRES_WITH_HASH = 1,      /* of the sub that is the parameter `sub` */
  ST_POSTGRES_WITH_SET = 2,       /* the ids of the set */
  ST_POSTGRES_WITH_BASE = 4,      /* of the rows that others may have been made with */
  ST_POSTGRES_WITH_DERIVED = 8,   /* of those that were */
  ST_POSTGRES_WITH_SNAPSHOT = 16, /* hashes */
  ST_POSTGRES_WITH_CHANGE = 32,   /* the id of the change */
  ST_POSTGRES_WITH_HASH_KEY = 64, /* two numbers */
  ST_POSTGRES_INTO_SET = 128,
  ST_POSTGRES_INTO_BASE = 256,
  ST_POSTGRES_INTO_DERIVED = 512,
  ST_POSTGRES_INTO_SNAPSHOT = 1024,
  ST_POSTGRES_REPLACES = 2048, /* what is there of it, instead of adding */
  ST_POSTGRES_LATER = 4096,    /* changes one row, or the commit fails: sent with what follows */
  ST_POSTGRES_HERE = 8192,     /* no statement: done in sets.c */
  ST_POSTGRES_INTO_WRITTEN = 16384, /* digests of rows: whatever changes what a request is told of
                                       a row returns its digest, and the cache forgets it */
};

typedef struct st_postgres_statement {
  const char *text; /* NULL: ST_POSTGRES_HERE */
  uint32_t flags;
  uint8_t sub; /* the parameter whose hash is added, from 1 */
} st_postgres_statement;
extern const st_postgres_statement st_postgres_sql[ST_POSTGRES_SQL_COUNT];

/* ---- a connection: connect.c, ask.c ---- */

struct st_postgres;

/* A statement that was sent and not answered yet. */
typedef struct st_postgres_sent {
  int which;
  bool prepares;
  PGresult **keep; /* NULL: its rows are not wanted */
} st_postgres_sent;

typedef struct st_postgres_connection {
  struct st_postgres *store;
  PGconn *pg; /* NULL: none */
  bool was_connected;
  bool prepared[ST_POSTGRES_SQL_COUNT]; /* on it */
  st_postgres_sent sent[2 * ST_POSTGRES_BATCH];
  size_t sent_count;
  bool committing;  /* a commit is under way: nothing ends the wait for it but its deadline */
  char sqlstate[6]; /* of the last failure; "" when it is not the server's */
  bool timed_out;   /* it was that a deadline was over */
  char message[ST_ERROR_MAX]; /* what it was, in words */
} st_postgres_connection;

/* Connects unless it is connected: to the host that answered last, then to the others, by turns. A
 * new connection is another epoch of the store. False: message says why.
 */
bool st_postgres_connect(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
void st_postgres_disconnect(st_postgres_connection *c);
/* Is it connected as far as is known here? */
bool st_postgres_is_connected(const st_postgres_connection *c) __attribute__((warn_unused_result));

/* Puts a statement into the pipeline, before it what prepares it if need be. *keep (may be NULL)
 * gets its result at the sync, the caller's to clear, or NULL. values end with ST_VALUE_END.
 * False: it cannot be sent, and the connection is closed.
 */
bool st_postgres_send(st_postgres_connection *c, int which, const st_value *values, PGresult **keep)
    __attribute__((warn_unused_result));
/* Sends a sync and waits for the answers to all that was put into the pipeline. False: one of the
 * statements failed, those behind it were not executed, and sqlstate and message are of that one;
 * or the connection is lost or the time over, and it is closed.
 */
bool st_postgres_sync(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
/* Both: one statement and its rows. NULL: it failed. */
PGresult *st_postgres_ask(st_postgres_connection *c, int which, const st_value *values,
                          int64_t until_us) __attribute__((warn_unused_result));
/* The same without rows. */
bool st_postgres_do(st_postgres_connection *c, int which, const st_value *values, int64_t until_us)
    __attribute__((warn_unused_result));
/* The next result, after as many waits as it needs; NULL: the answer to a statement is complete.
 * For what does not go through st_postgres_sync. False: the connection is lost, and closed. */
bool st_postgres_next_result(st_postgres_connection *c, int64_t until_us, PGresult **result)
    __attribute__((warn_unused_result));
/* Prepares one now, so that nothing but its executions is in the pipeline later. */
bool st_postgres_prepare(st_postgres_connection *c, int which, int64_t until_us)
    __attribute__((warn_unused_result));
/* Waits until the socket can be read (and written, when libpq has something to send), at most until
 * then. False: the time is over, or the process ends. */
bool st_postgres_wait_socket(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
/* What went wrong: the first line of a text, escaped. */
void st_postgres_note_failure(st_postgres_connection *c, const char *sqlstate, const char *text);
bool st_postgres_is_state(const st_postgres_connection *c, const char *sqlstate);
/* ST_STORE_FAILED, or ST_STORE_BUSY when the deadline was over; "cannot VERB NAME: ..." */
st_store_status st_postgres_fail(const st_postgres_connection *c, const char *verb, char *error);

/* ---- row.c: columns of a result ---- */

int64_t st_postgres_number(const PGresult *result, int row, int column); /* NULL: 0 */
bool st_postgres_text(const PGresult *result, int row, int column, char *out, size_t size)
    __attribute__((warn_unused_result));
bool st_postgres_bytes(const PGresult *result, int row, int column, void *out, size_t len)
    __attribute__((warn_unused_result));
/* The columns ST_COL_ID to ST_COL_SUSPENDED; false when they make no sense. */
bool st_postgres_take_key(const PGresult *result, int row, st_key *key)
    __attribute__((warn_unused_result));
/* The first eight bytes of a digest, as they stand in it (memcpy), of a column digest8. */
uint64_t st_postgres_digest8(const PGresult *result, int row, int column);

/* ---- the store ---- */

/* A growing array of items of one size. */
typedef struct st_postgres_list {
  char *items;
  size_t count, room;
} st_postgres_list;

/* A connection that runs the statements of the rules. */
typedef struct st_postgres_db {
  st_db base; /* first */
  st_postgres_connection connection;
  int64_t until_us; /* of the change under way, or of the question */
  bool in_change;   /* begun, and neither committed nor rolled back */
  bool begun;       /* and BEGIN was sent */
  bool again;       /* what failed may be tried again from its beginning */
  bool busy;        /* lent: under the lock of the pool */
  uint8_t id[ST_POSTGRES_ID_LEN];
  PGresult *hash_key_row;
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  bool hash_key_known;
  st_postgres_list set, base_rows, derived; /* ids, each with its NUL */
  st_postgres_list snapshot;                /* hashes, int64_t */
} st_postgres_db;

typedef struct st_postgres_host {
  const char *host, *hostaddr, *port; /* NULL: libpq's default */
} st_postgres_host;

struct st_postgres_reader; /* read_path.c */
struct st_postgres_watch;  /* watch.c */

typedef struct st_postgres {
  st_store base; /* first; its name is the URI without user and options */
  int64_t staleness_us;
  size_t cache_bytes;

  PQconninfoOption *options; /* as the URI says, and what this store adds */
  st_postgres_host hosts[ST_POSTGRES_HOSTS];
  size_t host_count;
  char *host_lists[3];         /* what the hosts point into */
  _Atomic size_t host;         /* that answered last */
  int64_t connect_us;          /* for one host */
  _Atomic uint64_t epoch;      /* how often one was lost and made again */
  _Atomic uint64_t interrupts; /* how often what is under way was to end */

  pthread_mutex_t pool; /* guards which of the changes are lent */
  st_postgres_db changes[ST_POSTGRES_WRITERS];

  pthread_mutex_t querying; /* guards the one below */
  st_postgres_db queries;

  pthread_mutex_t reading_state; /* guards the one below; connected at the first question */
  st_postgres_connection state;

  struct st_postgres_reader *reader; /* NULL: not started, or ended */
  struct st_postgres_watch *watch;
} st_postgres;

/* schema.c: makes or brings up the tables, under a lock of the database; a newer schema is refused.
 */
st_store_status st_postgres_update_schema(st_postgres_connection *c, bool create, int64_t until_us,
                                          char *error) __attribute__((warn_unused_result));

/* uri.c: what the location says; error never repeats it. */
st_store_status st_postgres_read_uri(st_postgres *store, const char *uri, char *error)
    __attribute__((warn_unused_result));
void st_postgres_drop_uri(st_postgres *store);

/* db.c, pool.c: what the rules run on. */
extern const st_db_ops st_postgres_db_ops;
st_db *st_postgres_change_db(st_store *store);
st_db *st_postgres_acquire_query_db(st_store *store, char *error);
void st_postgres_release_query_db(st_db *db);

/* ---- read_path.c: what requests ask, and the cache of it ---- */

/* Once the tables are there. */
bool st_postgres_reader_start(st_postgres *store, char *error) __attribute__((warn_unused_result));
void st_postgres_reader_end(st_postgres *store); /* also when it was not started */
st_store_status st_postgres_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                      char *error) __attribute__((warn_unused_result));
st_store_status st_postgres_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_postgres_issued_sequence(st_store *store, int64_t sequence, char *error)
    __attribute__((warn_unused_result));
bool st_postgres_ready(st_store *store, char *error) __attribute__((warn_unused_result));
/* A change of this process has written these, and is committed or may be: before it is answered.
 * digests8 NULL: anything may have changed.
 */
void st_postgres_forget(st_postgres *store, const uint64_t *digests8, size_t count);

/* ---- watch.c: what others write; when the sequence is another ---- */

bool st_postgres_watch_start(st_postgres *store, char *error) __attribute__((warn_unused_result));
void st_postgres_watch_end(st_postgres *store); /* also when it was not started */
void st_postgres_wait_for_sequence(st_store *store, int64_t sequence, int64_t until_us);
uint64_t st_postgres_epoch(st_store *store);
/* A change of this process took that sequence, and is committed. */
void st_postgres_watch_committed(st_postgres *store, int64_t sequence);

/* ---- revocation_state.c ---- */

st_store_status st_postgres_revocation_state(st_store *store, st_revocation_state *state,
                                             char *error) __attribute__((warn_unused_result));
st_store_status st_postgres_revocation_data(st_store *store, st_revocation_data *data, char *error)
    __attribute__((warn_unused_result));
st_store_status st_postgres_revocation_changes(st_store *store, int64_t since,
                                               st_revocation_state *state,
                                               st_revocation_change **changes, uint32_t *count,
                                               char *error) __attribute__((warn_unused_result));

#endif
