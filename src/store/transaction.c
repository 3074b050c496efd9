/* Runs a change of the store: its turn to write, how long it waits for that, its transaction, and
 * the sequence at which the revocation data has it. Where several changes run at a time it is made
 * again when they disturbed each other. What the changes do is in keys.c, users.c,
 * user_import.c, sessions.c, tokens.c, purge.c and restore.c.
 */
#include "store/transaction.h"

#include <time.h>

#include "os/clock.h"

st_change st_transaction_change(const st_audit_context *context, const char *id,
                                int64_t *sequence) {
  if (sequence != NULL) *sequence = 0;
  return (st_change){.context = context,
                     .grantor = context->by,
                     .id = id,
                     .until_us = context->until_us,
                     .now = context->now_us / 1000000,
                     .now_us = context->now_us,
                     .sequence = sequence};
}

void st_transaction_allow(st_change *change, size_t count, int64_t each_us) {
  if (change->until_us != 0) return;
  change->until_us =
      st_clock_monotonic_us() + ST_DB_WAIT_MS * INT64_C(1000) + (int64_t)count * each_us;
}

/* ---- the transaction ---- */

/* Up to the commit. */
static st_store_status make_part(st_db *db, st_change_fn *make, const st_change *change,
                                 int64_t until_us, int64_t *sequence) {
  db->sequence = 0;
  db->wants_order = false;
  st_store_status status = db->ops->begin(db, until_us);
  if (status == ST_STORE_OK) status = make(db, change);
  if (status == ST_STORE_OK && change->sequence != NULL) {
    status = st_transaction_sequence(db, sequence);
  }
  return status;
}

static st_store_status make_whole(st_db *db, st_change_fn *make, const st_change *change,
                                  int64_t until_us, char *error) {
  int64_t sequence = 0;
  st_store_status status = make_part(db, make, change, until_us, &sequence);
  if (status == ST_STORE_FAILED) return db->ops->explain(db, "write", error);
  if (status == ST_STORE_OK) status = db->ops->commit(db, error);
  if (status == ST_STORE_OK && change->sequence != NULL) *change->sequence = sequence;
  return status;
}

/* For a change that was refused, not one that the database failed. */
static const char *reason(st_store_status status) {
  switch (status) {
    case ST_STORE_EXISTS: return "already exists";
    case ST_STORE_DENIED:
      return "the credential you used has expired, been revoked or lost a permission";
    case ST_STORE_DISABLED_BY_OTHER: return "somebody else disabled this key";
    case ST_STORE_EXPIRED: return "the key has expired: make a new one";
    case ST_STORE_NOT_FOUND: return "not found";
    case ST_STORE_FULL:
      return "as many tokens of this key are revoked as may be at a time: revoke-subtokens ends "
             "all "
             "of its tokens";
    default: return NULL;
  }
}

/* ---- turns ---- */

/* Who may take a sequence waits for others that may before it takes one of the connections. */
typedef struct turn {
  bool unauthenticated, ordered;
} turn;

static void end_turn(st_store *store, const turn *mine) {
  st_semaphore_leave(&store->writing);
  if (mine->ordered) st_semaphore_leave(&store->ordering);
  if (mine->unauthenticated) st_semaphore_leave(&store->unauthenticated);
}

static bool take_turn(st_store *store, const turn *mine, int64_t until_us) {
  if (mine->unauthenticated && !st_semaphore_enter(&store->unauthenticated, ST_WAIT_NOT)) {
    return false;
  }
  bool taken = !mine->ordered || st_semaphore_enter(&store->ordering, until_us);
  if (taken) {
    taken = st_semaphore_enter(&store->writing, until_us);
    if (!taken && mine->ordered) st_semaphore_leave(&store->ordering);
  }
  if (!taken && mine->unauthenticated) st_semaphore_leave(&store->unauthenticated);
  return taken;
}

/* ---- tries ---- */

/* What a try leaves: is another one to be made? */
typedef struct trial {
  bool again;       /* because of what others did at the same time */
  bool wants_order; /* because it turned out that a sequence has to be taken */
} trial;

/* One deadline for all waits: behind other threads, and for other processes. */
static st_store_status run_once(st_store *store, st_change_fn *make, const st_change *change,
                                const turn *mine, int64_t until_us, trial *left, char *error) {
  *left = (trial){0};
  if (!take_turn(store, mine, until_us)) {
    (void)st_db_fail(error, "cannot write %s: too many changes wait for it", st_db_name(store));
    return ST_STORE_BUSY;
  }
  st_db *db = store->driver->change_db(store);
  db->ordered = mine->ordered || !store->concurrent;
  st_store_status status = make_whole(db, make, change, until_us, error);
  if (reason(status) != NULL) (void)st_db_fail(error, "%s: %s", st_db_name(store), reason(status));
  left->wants_order = db->wants_order;
  left->again = (status == ST_STORE_FAILED || status == ST_STORE_BUSY) && db->ops->again != NULL &&
                db->ops->again(db);
  db->ops->rollback(db); /* and gives it back */
  end_turn(store, mine);
  return status;
}

/* 1, 2, 4 ... 32 ms, and another fraction of it for each thread: those who disturbed each other do
 * not meet again. False: no time is left.
 */
static bool pause_before(int tries, int64_t until_us) {
  int64_t now = st_clock_monotonic_us();
  int64_t most = INT64_C(1000) << (tries < 5 ? tries : 5);
  uint64_t draw = (uint64_t)now * 7919 + (uintptr_t)&now;
  int64_t rest = most / 4 + (int64_t)(draw % ((uint64_t)most * 3 / 4));
  if (now + rest >= until_us) return false;
  (void)nanosleep(&(struct timespec){.tv_nsec = rest * 1000}, NULL);
  return true;
}

#define PAUSE_MIN_US 12000 /* SQLite tries every 2 ms */
#define PAUSE_MAX_US 100000

void st_transaction_pause(int64_t us) {
  int64_t pause_us = us < PAUSE_MIN_US ? PAUSE_MIN_US : us > PAUSE_MAX_US ? PAUSE_MAX_US : us;
  const struct timespec time = {.tv_nsec = pause_us * 1000};
  (void)nanosleep(&time, NULL);
}

st_store_status st_transaction_run(st_store *store, st_change_fn *make, const st_change *change,
                                   char *error) {
  int64_t until_us = change->until_us;
  if (until_us == 0) until_us = st_clock_monotonic_us() + ST_DB_WAIT_MS * INT64_C(1000);
  turn mine = {.unauthenticated = change->unauthenticated,
               .ordered = store->concurrent && (change->ordered || change->sequence != NULL)};
  trial left = {0};
  st_store_status status = run_once(store, make, change, &mine, until_us, &left, error);
  for (int tries = 0; left.wants_order || left.again; tries++) {
    if (!left.wants_order && !pause_before(tries, until_us)) break;
    mine.ordered = mine.ordered || left.wants_order;
    status = run_once(store, make, change, &mine, until_us, &left, error);
  }
  return status;
}

void st_store_limit_waiting(st_store *store, int64_t threads) {
  int64_t quarter = threads / 4;
  size_t most = quarter < 1 ? 1 : quarter > ST_DB_WRITERS_MAX ? ST_DB_WRITERS_MAX : (size_t)quarter;
  st_semaphore_waiting_limit(&store->writing, most);
  st_semaphore_waiting_limit(&store->ordering, most);
  st_semaphore_limit(&store->unauthenticated, most / 8 > 0 ? most / 8 : 1);
}

void st_store_stop_waiting(st_store *store, int64_t at_us) {
  atomic_store(&store->close_us, at_us);
  st_semaphore_close(&store->writing, at_us);
  st_semaphore_close(&store->ordering, at_us);
}

/* ---- the sequence ---- */

st_store_status st_transaction_sequence(st_db *db, int64_t *sequence) {
  st_store_status found = st_db_query_number(db, ST_SQL_SEQUENCE_GET, ST_NO_VALUES, sequence);
  return found == ST_STORE_OK && *sequence > 0 ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_transaction_take_sequence(st_db *db, const st_change *change,
                                             int64_t *sequence) {
  if (!db->ordered) {
    db->wants_order = true;
    return ST_STORE_FAILED;
  }
  if (db->sequence == 0) {
    int64_t next = 0;
    bool ok = st_db_run_one(db, ST_SQL_SEQUENCE_NEXT, ST_VALUES(st_db_number(change->now_us))) ==
                  ST_STORE_OK &&
              st_transaction_sequence(db, &next) == ST_STORE_OK &&
              st_db_run(db, ST_SQL_SEQUENCE_RECORD, ST_VALUES(st_db_number(next))) == ST_STORE_OK;
    if (!ok) return ST_STORE_FAILED;
    db->sequence = next;
  }
  *sequence = db->sequence;
  return ST_STORE_OK;
}
