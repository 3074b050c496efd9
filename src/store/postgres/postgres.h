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

#include "os/semaphore.h"
#include "store/db.h"

#define ST_POSTGRES_WRITERS 8         /* changes at a time */
#define ST_POSTGRES_HOSTS 8           /* in a URI */
#define ST_POSTGRES_PARAMETERS 30     /* of a statement */
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
  ST_POSTGRES_NOT_MADE,             /* id: it never will be, once this is committed */
  ST_POSTGRES_MADE_OR_NOT,          /* id: which of both has; 1, or -1 */
  ST_POSTGRES_NOTIFY,               /* wakes who listens, at the commit */
  ST_POSTGRES_COMMIT,
  ST_POSTGRES_ROLLBACK,
  ST_POSTGRES_REHASH_READ_KEYS, /* after an id: id, sub */
  ST_POSTGRES_REHASH_KEYS,      /* ids, hashes */
  ST_POSTGRES_REHASH_READ_LISTED,
  ST_POSTGRES_REHASH_LISTED,

  /* Of requests (read_path.c). The columns of a key, then ST_POSTGRES_COL_... */
  ST_POSTGRES_READ_BY_DIGEST,           /* digest */
  ST_POSTGRES_READ_BY_SUB,              /* sub */
  ST_POSTGRES_READ_REMAINING_BY_DIGEST, /* the same while a large change remains */
  ST_POSTGRES_READ_REMAINING_BY_SUB,
  ST_POSTGRES_READ_BY_OLD_DIGEST, /* digest, time in seconds: one before the last rotation */
  ST_POSTGRES_READ_TOKENS,        /* hashes: hash_key_0, hash_key_1, is one of the hashes listed? */
  ST_POSTGRES_READ_REVOKED,       /* sub: a row if it was revoked */
  ST_POSTGRES_READ_SEQUENCE,      /* sequence: was it issued? a number that is not 0 */

  /* Of the revocation data (revocation_state.c). */
  ST_POSTGRES_STATE_BEGIN,  /* a transaction that reads one moment */
  ST_POSTGRES_STATE_READ,   /* sequence, hash_key_0, hash_key_1, changes_from, time in seconds, does
                               a commit wait for a standby? */
  ST_POSTGRES_STATE_HASHES, /* from a hash on, at most so many: one column of bytes, each hash that
                               is listed once, in their order */
  ST_POSTGRES_STATE_PENDING, /* two columns of bytes: hashes that a large change has not reached,
                                that it lists and that it takes off, in their order */
  ST_POSTGRES_STATE_CHANGES, /* since: one column of bytes, of each hash that changed: the hash, is
                                it listed, the sequence */

  /* Of what others write (watch.c). */
  ST_POSTGRES_LISTEN,
  ST_POSTGRES_POLL,          /* the columns below */
  ST_POSTGRES_WRITTEN_SINCE, /* a snapshot, at most so many: digest8 of each row that was written by
                                a transaction that the snapshot does not see */
  ST_POSTGRES_PURGE_WRITTEN, /* a snapshot, at most so many: how many of those before it were
                                removed */
  ST_POSTGRES_PURGE_MADE,    /* at most so many: how many of more than an hour ago were removed */
  ST_POSTGRES_STANDBYS,      /* those that are connected and not synchronous, in one text */
  ST_POSTGRES_ALL_STANDBYS,  /* name, address, state, is it synchronous? */
  ST_POSTGRES_PEERS,         /* name and address of each other process that is connected */
  ST_POSTGRES_DESCRIBE,      /* version, schema, sequence, is a commit on disk, and elsewhere? */
  ST_POSTGRES_CONFIRM,       /* a small commit, as durable as any other: time in seconds */
  ST_POSTGRES_END_CONFIRM,   /* process of the server: one that waits in vain for that commit */
  ST_POSTGRES_SERVER,        /* a number that no other server has, nor this one after a restart */

  ST_POSTGRES_SQL_COUNT
};

/* What follows the columns of a key there. */
enum {
  ST_POSTGRES_COL_DIGEST = ST_COL_KEY_END,
  ST_POSTGRES_COL_REFUSED,
  ST_POSTGRES_COL_REMAINING, /* there are large changes: what the row says is not all */
};

/* The columns of ST_POSTGRES_POLL. */
enum {
  ST_POSTGRES_COL_POLL_SNAPSHOT,    /* for WRITTEN_SINCE of the next one */
  ST_POSTGRES_COL_POLL_SEQUENCE,    /* the last */
  ST_POSTGRES_COL_POLL_SYNCHRONOUS, /* does a commit wait for a standby? */
};

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
  ST_POSTGRES_INTO_WRITTEN =
      16384, /* digests of rows, in all columns: whatever changes what a request is told of
                a row returns its digest, and the cache forgets it */
};

typedef struct st_postgres_statement {
  const char *text; /* NULL: ST_POSTGRES_HERE */
  uint32_t flags;
  uint8_t sub; /* the parameter whose hash is added, from 1 */
} st_postgres_statement;
extern const st_postgres_statement st_postgres_rules_sql[ST_SQL_COUNT];
/* own_statements.c: those behind them. */
extern const st_postgres_statement st_postgres_own_sql[ST_POSTGRES_SQL_COUNT - ST_SQL_COUNT];

static inline const st_postgres_statement *st_postgres_statement_of(int which) {
  return which < ST_SQL_COUNT ? &st_postgres_rules_sql[which]
                              : &st_postgres_own_sql[which - ST_SQL_COUNT];
}

/* ---- a connection: connect.c, ask.c, server.c ---- */

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
  int64_t server;      /* which one it is (ST_POSTGRES_SERVER) */
  uint64_t departures; /* of the store, when it was connected */
  bool warned;         /* the server has sent a warning since this was set to false */
  bool committing;     /* a commit is under way: nothing ends the wait for it but its deadline */
  int64_t grace_us;    /* how long a wait goes on after st_store_stop_waiting */
  char sqlstate[6];    /* of the last failure; "" when it is not the server's */
  bool timed_out;      /* it was that a deadline was over */
  char message[ST_ERROR_MAX]; /* what it was, in words */
} st_postgres_connection;

/* Connects to the host that answered last, or to the others, by turns. False: message says why. */
bool st_postgres_connect_any(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
/* The same unless it is connected, and to the server to which a connection was made last: all that
 * one process asks is asked of one server. A new connection is another epoch of the store.
 */
bool st_postgres_connect(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
/* Closes it, because this server is silent or may be written no more: all connections go, and begin
 * with the next host. */
void st_postgres_leave(st_postgres_connection *c);
/* Is it connected to that server as far as is known here? */
bool st_postgres_is_current(const st_postgres_connection *c) __attribute__((warn_unused_result));
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
/* Waits until the socket can be read (and written, when libpq has something to send), at most until
 * then. False: the time is over, or the process ends. */
bool st_postgres_wait_socket(st_postgres_connection *c, int64_t until_us)
    __attribute__((warn_unused_result));
/* Whether the time is over. Who waits again and again asks before it reads: what lies there is read
 * once more, and in the socket of a server that never stops something always lies. */
bool st_postgres_is_over(const st_postgres_connection *c, int64_t until_us);
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

/* ---- the store ---- */

/* An array parameter as it is sent: a header, then items of one length, each behind its length. */
typedef struct st_postgres_list {
  size_t len; /* of an item: that of an id or a sub; ST_POSTGRES_NUMBER_LEN is a number */
  uint8_t *bytes;
  size_t count, room; /* items */
} st_postgres_list;
#define ST_POSTGRES_NUMBER_LEN 8

/* A connection that runs the statements of the rules. */
typedef struct st_postgres_db {
  st_db base; /* first */
  st_postgres_connection connection;
  int64_t until_us;  /* of the change under way, or of the question */
  int64_t commit_us; /* when its commit was sent */
  bool lent;         /* under the lock of the pool */
  bool changing;     /* between begin and rollback */
  bool open;         /* BEGIN was put into the pipeline, and neither COMMIT nor ROLLBACK */
  bool failed;       /* the last statement, and the connection says why */
  bool again;        /* what failed may be made again from its beginning */
  bool notifies;     /* those who listen are woken at the commit */
  uint8_t id[ST_POSTGRES_ID_LEN];
  PGresult *hash_key_row; /* until it is taken */
  uint8_t hash_key[SUBTOKEN_HASH_KEY_LEN];
  bool hash_key_known;
  st_postgres_list set, base_rows, derived; /* ids */
  st_postgres_list snapshot;                /* hashes */
  uint64_t *written;                        /* st_key_cache_digest8 of the rows that were changed */
  size_t written_count, written_room;
} st_postgres_db;

/* connect.c: says so to explain. False. */
bool st_postgres_no_memory(st_postgres_db *db);

typedef struct st_postgres_host {
  const char *host, *hostaddr, *port; /* NULL: libpq's default */
} st_postgres_host;

typedef struct st_postgres_reader st_postgres_reader;     /* read_path.c */
typedef struct st_postgres_pipeline st_postgres_pipeline; /* pipeline.c */
typedef struct st_postgres_watch st_postgres_watch;       /* watch.c */

/* Of who confirms (confirm.c). */
typedef struct st_postgres_confirmer {
  int hung;     /* the server's process that waits for the last one, or 0 */
  int64_t time; /* of the last one: the database's clock before it, in seconds */
} st_postgres_confirmer;

/* The questions for the revocation data (revocation_state.c). */
typedef struct st_postgres_revocations {
  st_semaphore turn; /* guards the next part; connected at the first question */
  st_postgres_connection connection;
  st_postgres_confirmer confirmer;
  bool synchronous; /* a commit waits for a standby */

  pthread_mutex_t lock; /* guards the next part: where it stands, asked for all who wait */
  pthread_cond_t changed;
  bool asking;
  uint64_t begun, answered; /* the number of the last question that was */
  st_store_status status;   /* of its answer */
  st_revocation_state state;
  char error[ST_ERROR_MAX];
} st_postgres_revocations;

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
  _Atomic int64_t server;      /* to which a connection was made last; 0: none yet */
  _Atomic uint64_t departures; /* how often a server was left */
  _Atomic uint64_t epoch;      /* how often one was lost and made again */
  _Atomic uint64_t interrupts; /* how often what is under way was to end */

  pthread_mutex_t pool; /* guards which of the changes are lent */
  st_postgres_db changes[ST_POSTGRES_WRITERS];

  st_semaphore querying; /* lends the one below, first come, first served */
  st_postgres_db queries;

  st_postgres_revocations revocations;
  struct st_key_cache *cache; /* of what requests ask (read_path.c); NULL: not started, or ended */
  st_postgres_reader *reader; /* NULL: not started, or ended */
  st_postgres_watch *watch;   /* the same */
} st_postgres;

/* schema.c: makes or brings up the tables, under a lock of the database; a newer schema is refused.
 */
st_store_status st_postgres_update_schema(st_postgres_connection *c, bool create, int64_t until_us,
                                          char *error) __attribute__((warn_unused_result));

/* uri.c: what the location says; error never repeats it. */
st_store_status st_postgres_read_uri(st_postgres *store, const char *uri, char *error)
    __attribute__((warn_unused_result));
void st_postgres_drop_uri(st_postgres *store);

/* db.c, pool.c, questions.c: what the rules run on. */
extern const st_db_ops st_postgres_db_ops;
st_db *st_postgres_change_db(st_store *store);
void st_postgres_give_back(st_postgres_db *db);
st_db *st_postgres_acquire_query_db(st_store *store, char *error);
void st_postgres_release_query_db(st_db *db);
st_db *st_postgres_begin_read(st_store *store, char *error);
void st_postgres_end_read(st_db *db);
void st_postgres_interrupt(st_store *store);
void st_postgres_start_db(st_postgres *store, st_postgres_db *db); /* not connected yet */
void st_postgres_end_db(st_postgres_db *db);

/* sets.c: what is kept here of the change under way. */
void st_postgres_sets_clear(st_postgres_db *db);
void st_postgres_sets_free(st_postgres_db *db);
/* A statement with ST_POSTGRES_HERE. */
bool st_postgres_sets_here(st_postgres_db *db, int which, const st_value *values)
    __attribute__((warn_unused_result));
/* The rows of a statement with ST_POSTGRES_INTO_... */
bool st_postgres_sets_take(st_postgres_db *db, uint32_t flags, const PGresult *result)
    __attribute__((warn_unused_result));
/* The cache forgets the rows that were changed. */
void st_postgres_sets_forget(st_postgres_db *db);

/* list.c. add: false without memory. array: the parameter, until the list changes. */
bool st_postgres_list_add(st_postgres_list *list, const void *item)
    __attribute__((warn_unused_result));
bool st_postgres_list_add_number(st_postgres_list *list, int64_t number)
    __attribute__((warn_unused_result));
st_value st_postgres_list_array(st_postgres_list *list);
void st_postgres_list_settle(st_postgres_list *list); /* sorted, each item once */
/* Is it in a list that is settled? */
bool st_postgres_list_holds(const st_postgres_list *list, const void *item);
void st_postgres_list_free(st_postgres_list *list);

/* hashes.c: hashes of subs under the hash key that the change under way sees. */
bool st_postgres_hash_key(st_postgres_db *db) __attribute__((warn_unused_result));
/* After the settings were written. */
bool st_postgres_hash_key_anew(st_postgres_db *db) __attribute__((warn_unused_result));
int64_t st_postgres_hash(const st_postgres_db *db, const st_value *sub);
/* ST_SQL_LISTED_HASH_ANEW, and of the keys. */
bool st_postgres_hash_anew(st_postgres_db *db) __attribute__((warn_unused_result));

/* in_doubt.c: a connection broke during a commit. Did the change happen? ST_STORE_OK: it did.
 * ST_STORE_FAILED: it did not, and will not; db->again is true. ST_STORE_IN_DOUBT: not known. */
st_store_status st_postgres_resolve(st_postgres_db *db, char *error)
    __attribute__((warn_unused_result));

/* ---- forget.c ---- */

/* A change of this process has written these, and is committed or may be: before it is answered.
 * digests8 NULL: anything may have changed.
 */
void st_postgres_forget(st_postgres *store, const uint64_t *digests8, size_t count);

/* ---- read_path.c: what requests ask, and the cache of it ---- */

/* Once the tables are there. */
bool st_postgres_reader_start(st_postgres *store, char *error) __attribute__((warn_unused_result));
void st_postgres_reader_end(st_postgres *store); /* also when it was not started */
st_store_status st_postgres_by_digest(st_store *store, const uint8_t digest[32], st_key *key,
                                      char *error) __attribute__((warn_unused_result));
st_store_status st_postgres_by_sub(st_store *store, subtoken_text sub, st_key *key, char *error)
    __attribute__((warn_unused_result));
st_store_status st_postgres_tokens_revoked(st_store *store, const subtoken_text *tids, size_t count,
                                           bool *revoked, char *error)
    __attribute__((warn_unused_result));
st_store_status st_postgres_issued_sequence(st_store *store, int64_t sequence, char *error)
    __attribute__((warn_unused_result));
bool st_postgres_ready(st_store *store, char *error) __attribute__((warn_unused_result));

/* ---- pipeline.c: the connection of requests ---- */

st_postgres_pipeline *st_postgres_pipeline_new(st_postgres *store)
    __attribute__((warn_unused_result)); /* NULL: no memory */
void st_postgres_pipeline_free(st_postgres_pipeline *pipeline);
/* A statement that only reads, and its rows, the caller's to clear: ST_STORE_OK, or ST_STORE_FAILED
 * within ST_POSTGRES_QUESTION_MS and what one answer may take. Any number of threads. */
st_store_status st_postgres_pipeline_ask(st_postgres_pipeline *pipeline, int which,
                                         const st_value *values, PGresult **result, char *error)
    __attribute__((warn_unused_result));

/* ---- confirm.c ---- */

/* Is it still the database that may be written? False: no, or it was not answered in time, and the
 * connection is closed. */
bool st_postgres_confirm(st_postgres_connection *c, st_postgres_confirmer *confirmer,
                         int64_t until_us) __attribute__((warn_unused_result));

/* ---- watch.c: what others write; when the sequence is another ---- */

bool st_postgres_watch_start(st_postgres *store, char *error) __attribute__((warn_unused_result));
void st_postgres_watch_end(st_postgres *store); /* also when it was not started */
void st_postgres_wait_for_sequence(st_store *store, int64_t sequence, int64_t until_us);
uint64_t st_postgres_epoch(st_store *store);
/* Was everything heard that others wrote, up to the staleness and the time of a failover ago?
 * False: what is remembered may be old, and error says since when. Begins to listen at the first
 * call. */
bool st_postgres_watch_is_recent(st_postgres *store, char *error)
    __attribute__((warn_unused_result));
/* How long ago all that others had written was known. */
bool st_postgres_watch_age(st_postgres *store, int64_t *age_us, char *error)
    __attribute__((warn_unused_result));
/* A change of this process took that sequence, and is committed. */
void st_postgres_watch_committed(st_postgres *store, int64_t sequence);

/* ---- purge.c ---- */

typedef struct st_postgres_purger {
  char *snapshot; /* what it does not see yet is kept; NULL: all */
  int64_t since_us;
} st_postgres_purger;

/* When it is time: snapshot is that of the last question for what was written. False: c failed. */
bool st_postgres_purge(st_postgres_connection *c, st_postgres_purger *purger, const char *snapshot,
                       int64_t now_us, int64_t until_us) __attribute__((warn_unused_result));
/* Snapshots of another server say nothing. */
void st_postgres_purge_anew(st_postgres_purger *purger);

/* ---- describe.c ---- */

st_store_status st_postgres_describe(st_store *store, st_store_description *description,
                                     char *error) __attribute__((warn_unused_result));

/* ---- revocation_state.c ---- */

void st_postgres_revocations_start(st_postgres *store);
void st_postgres_revocations_end(st_postgres *store);
st_store_status st_postgres_revocation_state(st_store *store, st_revocation_state *state,
                                             char *error) __attribute__((warn_unused_result));
st_store_status st_postgres_revocation_data(st_store *store, st_revocation_data *data, char *error)
    __attribute__((warn_unused_result));
st_store_status st_postgres_revocation_changes(st_store *store, int64_t since,
                                               st_revocation_state *state,
                                               st_revocation_change **changes, uint32_t *count,
                                               char *error) __attribute__((warn_unused_result));

#endif
