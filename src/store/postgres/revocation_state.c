/* Reads what the revocation data lists and what changed in it, on a connection of its own and
 * within one moment of the database, so that ten million rows hold nobody up. src/store/row_set.c
 * and purge.c say what is listed and why.
 *
 * An issuer vouches for what it reads here, at the time that the database's clock had before it was
 * asked. With a synchronous standby a small commit comes first (confirm.c), so that nobody vouches
 * for a primary whose standby has been promoted.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/impossible.h"
#include "os/clock.h"
#include "os/condition.h"
#include "store/postgres/postgres.h"

#define STATE_US INT64_C(2000000) /* where it stands */
#define DATA_US INT64_C(60000000) /* all that is listed */
#define PART_US INT64_C(15000000) /* one question of those for it; then it will not be answered */
#define STEP_HASHES 100000

/* ---- one moment ---- */

typedef struct state_question {
  st_postgres *store;
  st_revocation_state *state;
  /* What is read besides, of the same moment, if it is not NULL; the log reaches back to from. */
  st_store_status (*read)(const struct state_question *q, int64_t from);
  void *context;
  int64_t until_us;
  char *error;
} state_question;

static int64_t state_until(const state_question *q, int64_t most_us) {
  int64_t until_us = st_clock_monotonic_us() + most_us;
  return until_us < q->until_us ? until_us : q->until_us;
}

static st_store_status state_fails(const state_question *q) {
  (void)st_postgres_fail(&q->store->revocations.connection, "read", q->error);
  return ST_STORE_FAILED;
}

/* Where it stands, and how far back the log reaches. *synchronous: a commit waits for a standby. */
static st_store_status state_take(const state_question *q, int64_t *from, bool *synchronous) {
  st_revocation_state *state = q->state;
  PGresult *row = st_postgres_ask(&q->store->revocations.connection, ST_POSTGRES_STATE_READ,
                                  ST_NO_VALUES, state_until(q, STATE_US));
  if (row == NULL) return state_fails(q);
  if (PQntuples(row) == 1) {
    state->sequence = st_postgres_number(row, 0, 0);
    st_store64(state->hash_key, (uint64_t)st_postgres_number(row, 0, 1));
    st_store64(state->hash_key + 8, (uint64_t)st_postgres_number(row, 0, 2));
    *from = st_postgres_number(row, 0, 3);
    state->time = st_postgres_number(row, 0, 4);
    *synchronous = st_postgres_number(row, 0, 5) != 0;
  }
  PQclear(row);
  if (state->sequence >= 1 && *from >= 1 && state->time >= 1 && state->time <= SUBTOKEN_TIME_MAX) {
    return ST_STORE_OK;
  }
  return st_db_fail(q->error, "%s is damaged: it has no sequence", st_db_name(&q->store->base));
}

/* ST_STORE_DENIED: it has to be confirmed first. */
static st_store_status state_read(const state_question *q, bool confirmed) {
  st_postgres_revocations *r = &q->store->revocations;
  int64_t from = 0;
  st_store_status status = state_take(q, &from, &r->synchronous);
  if (status == ST_STORE_OK && r->synchronous && !confirmed) return ST_STORE_DENIED;
  return status == ST_STORE_OK && q->read != NULL ? q->read(q, from) : status;
}

static st_store_status state_read_in_moment(const state_question *q, bool confirmed) {
  st_postgres_connection *c = &q->store->revocations.connection;
  if (q->read == NULL) return state_read(q, confirmed);
  if (!st_postgres_do(c, ST_POSTGRES_STATE_BEGIN, ST_NO_VALUES, state_until(q, STATE_US))) {
    return state_fails(q);
  }
  st_store_status status = state_read(q, confirmed);
  if (st_postgres_is_connected(c) && /* nothing was written */
      !st_postgres_do(c, ST_POSTGRES_ROLLBACK, ST_NO_VALUES, state_until(q, STATE_US))) {
    st_postgres_disconnect(c);
  }
  return status;
}

static st_store_status state_try(const state_question *q) {
  st_postgres_revocations *r = &q->store->revocations;
  bool confirmed = false;
  memset(q->state, 0, sizeof *q->state);
  if (!st_postgres_connect(&r->connection, q->until_us)) return state_fails(q);
  if (r->synchronous) {
    if (!st_postgres_confirm(&r->connection, &r->confirmer, state_until(q, PART_US)))
      return state_fails(q);
    confirmed = true;
  }
  st_store_status status = state_read_in_moment(q, confirmed);
  /* What is vouched for must not be later than when it was confirmed. */
  if (confirmed) q->state->time = r->confirmer.time;
  return status;
}

/* A connection that broke since it was used last says nothing of the database: another try. */
static st_store_status state_ask(const state_question *q) {
  st_postgres_revocations *r = &q->store->revocations;
  st_store_status status = ST_STORE_DENIED;
  if (!st_semaphore_enter(&r->turn, q->until_us)) {
    return st_db_fail(q->error, "cannot read %s: its revocation data is being read",
                      st_db_name(&q->store->base));
  }
  for (int tries = 0; tries < 3; tries++) {
    bool used = st_postgres_is_connected(&r->connection);
    status = state_try(q);
    bool broke = status == ST_STORE_FAILED && used && !st_postgres_is_connected(&r->connection);
    if (status != ST_STORE_DENIED && !broke) break;
  }
  st_semaphore_leave(&r->turn);
  if (st_impossible(status == ST_STORE_DENIED, "once at most, and then it is confirmed first")) {
    return st_db_fail(q->error, "cannot read %s: its standbys change", st_db_name(&q->store->base));
  }
  return status;
}

/* ---- where it stands ---- */

/* Under the lock, which is open meanwhile. */
static void state_ask_for_all(st_postgres *store) {
  st_postgres_revocations *r = &store->revocations;
  st_revocation_state state = {0};
  char error[ST_ERROR_MAX] = "";
  uint64_t number = ++r->begun;
  r->asking = true;
  (void)pthread_mutex_unlock(&r->lock);
  st_store_status status =
      state_ask(&(state_question){.store = store,
                                  .state = &state,
                                  .until_us = st_clock_monotonic_us() + STATE_US,
                                  .error = error});
  (void)pthread_mutex_lock(&r->lock);
  r->asking = false;
  r->answered = number;
  r->status = status;
  r->state = state;
  memcpy(r->error, error, sizeof r->error);
  (void)pthread_cond_broadcast(&r->changed);
}

/* Those who come while it is being asked share the next question, which begins after they came. */
st_store_status st_postgres_revocation_state(st_store *base, st_revocation_state *state,
                                             char *error) {
  st_postgres *store = (st_postgres *)base;
  st_postgres_revocations *r = &store->revocations;
  (void)pthread_mutex_lock(&r->lock);
  uint64_t before = r->begun;
  while (r->answered <= before) {
    if (r->asking) {
      st_condition_wait(&r->changed, &r->lock, INT64_MAX); /* who asks has a deadline */
    } else {
      state_ask_for_all(store);
    }
  }
  st_store_status status = r->status;
  *state = r->state;
  if (status != ST_STORE_OK) memcpy(error, r->error, sizeof r->error);
  (void)pthread_mutex_unlock(&r->lock);
  return status;
}

/* ---- what is listed, and what changed ---- */

/* Of items of one size, which grows. */
typedef struct state_items {
  void *items;
  size_t size;
  size_t count, room;
  int64_t since;
} state_items;

static st_store_status no_memory(const state_question *q) {
  return st_db_fail(q->error, "no memory for the revocation data of %s",
                    st_db_name(&q->store->base));
}

static bool state_make_room(state_items *all, size_t more) {
  if (all->count + more > UINT32_MAX) return false;
  if (all->items != NULL && all->count + more <= all->room) return true;
  size_t room = all->count + more + all->room / 2 + 1;
  void *grown = reallocarray(all->items, room, all->size);
  if (grown == NULL) return false;
  all->items = grown;
  all->room = room;
  return true;
}

/* In network order. */
static uint64_t state_number(const uint8_t *bytes) {
  uint64_t number = 0;
  memcpy(&number, bytes, sizeof number);
  return be64toh(number);
}

static st_store_status state_damaged(const state_question *q) {
  return st_db_fail(q->error, "%s is damaged: what it lists is not as it was written",
                    st_db_name(&q->store->base));
}

/* Column `column` of the only row is numbers of eight bytes, one behind the other. */
static bool state_numbers(const PGresult *row, int column, const uint8_t **numbers, size_t *count) {
  if (PQntuples(row) != 1 || PQgetisnull(row, 0, column) == 1) return false;
  *numbers = (const uint8_t *)PQgetvalue(row, 0, column);
  *count = (size_t)PQgetlength(row, 0, column) / 8;
  return PQgetlength(row, 0, column) % 8 == 0;
}

/* The same of hashes, each once and in their order, none below the first. Were they not, parts
 * could go on without end.
 */
static bool state_hashes(const PGresult *row, int column, int64_t first, const uint8_t **hashes,
                         size_t *count) {
  if (!state_numbers(row, column, hashes, count)) return false;
  for (size_t i = 0; i < *count; i++) {
    int64_t hash = (int64_t)state_number(*hashes + 8 * i);
    if (hash < first || (i > 0 && hash == first)) return false;
    first = hash;
  }
  return true;
}

/* In parts of the order of the hashes, so that neither side holds all of them twice. *next: where
 * the next part begins; *more: is there one? */
static st_store_status state_read_part(const state_question *q, state_items *all, int64_t *next,
                                       bool *more) {
  const uint8_t *numbers = NULL;
  size_t count = 0;
  PGresult *row = st_postgres_ask(&q->store->revocations.connection, ST_POSTGRES_STATE_HASHES,
                                  ST_VALUES(st_db_number(*next), st_db_number(STEP_HASHES)),
                                  state_until(q, PART_US));
  if (row == NULL) return state_fails(q);
  bool read = state_hashes(row, 0, *next, &numbers, &count),
       ok = read && state_make_room(all, count);
  uint64_t *hashes = ok ? (uint64_t *)all->items + all->count : NULL;
  for (size_t i = 0; ok && i < count; i++) hashes[i] = state_number(numbers + 8 * i);
  PQclear(row);
  if (!ok) return read ? no_memory(q) : state_damaged(q);
  all->count += count;
  *more = count == STEP_HASHES && hashes[count - 1] != (uint64_t)INT64_MAX;
  if (*more) *next = (int64_t)hashes[count - 1] + 1;
  return ST_STORE_OK;
}

/* Hashes in their order, as they came. */
typedef struct state_run {
  const uint8_t *at;
  size_t left;
} state_run;

/* Passes over those below a hash. Is it there? */
static bool state_run_has(state_run *run, uint64_t hash) {
  while (run->left > 0 && (int64_t)state_number(run->at) < (int64_t)hash) {
    run->at += 8;
    run->left--;
  }
  return run->left > 0 && state_number(run->at) == hash;
}

/* What a large change lists is added, what it takes off is left out. All three are in order. */
static bool state_merge(state_items *all, state_run added, state_run dropped) {
  size_t size = all->count + added.left, count = 0;
  uint64_t *merged = calloc(size + 1, sizeof *merged);
  const uint64_t *hashes = all->items;
  if (merged == NULL) return false;
  for (size_t i = 0; i < all->count; i++) {
    for (; added.left > 0 && (int64_t)state_number(added.at) < (int64_t)hashes[i]; added.left--) {
      merged[count++] = state_number(added.at);
      added.at += 8;
    }
    if (state_run_has(&added, hashes[i])) added.at += 8, added.left--;
    if (!state_run_has(&dropped, hashes[i])) merged[count++] = hashes[i];
  }
  for (; added.left > 0; added.left--, added.at += 8) merged[count++] = state_number(added.at);
  free(all->items);
  all->items = merged;
  all->count = count;
  all->room = size + 1;
  return true;
}

static st_store_status state_read_pending(const state_question *q, state_items *all) {
  state_run added = {0}, dropped = {0};
  PGresult *row = st_postgres_ask(&q->store->revocations.connection, ST_POSTGRES_STATE_PENDING,
                                  ST_NO_VALUES, state_until(q, PART_US));
  if (row == NULL) return state_fails(q);
  bool read = state_hashes(row, 0, INT64_MIN, &added.at, &added.left) &&
              state_hashes(row, 1, INT64_MIN, &dropped.at, &dropped.left);
  bool ok = read && (added.left + dropped.left == 0 || state_merge(all, added, dropped));
  PQclear(row);
  if (ok) return ST_STORE_OK;
  return read ? no_memory(q) : state_damaged(q);
}

static st_store_status state_read_hashes(const state_question *q, state_items *all) {
  int64_t next = INT64_MIN;
  bool more = true;
  st_store_status status = ST_STORE_OK;
  all->count = 0;
  while (status == ST_STORE_OK && more) status = state_read_part(q, all, &next, &more);
  return status == ST_STORE_OK ? state_read_pending(q, all) : status;
}

/* Of each hash three numbers: the hash, is it listed, the sequence. */
static st_store_status state_read_changes(const state_question *q, state_items *all) {
  const uint8_t *numbers = NULL;
  size_t count = 0;
  PGresult *row = st_postgres_ask(&q->store->revocations.connection, ST_POSTGRES_STATE_CHANGES,
                                  ST_VALUES(st_db_number(all->since)), state_until(q, PART_US));
  if (row == NULL) return state_fails(q);
  all->count = 0;
  bool read = state_numbers(row, 0, &numbers, &count) && count % 3 == 0;
  bool ok = read && state_make_room(all, count / 3);
  st_revocation_change *changes = all->items;
  for (size_t i = 0; ok && i < count / 3; i++, numbers += 24) {
    changes[i] = (st_revocation_change){.hash = state_number(numbers),
                                        .listed = state_number(numbers + 8) != 0,
                                        .sequence = (int64_t)state_number(numbers + 16)};
  }
  PQclear(row);
  if (!ok) return read ? no_memory(q) : state_damaged(q);
  all->count = count / 3;
  return ST_STORE_OK;
}

static st_store_status state_read_since(const state_question *q, int64_t from) {
  state_items *all = q->context;
  if (all->since < from || all->since > q->state->sequence) return ST_STORE_NOT_FOUND;
  return state_read_changes(q, all);
}

typedef struct state_both {
  state_items hashes, changes;
} state_both;

static st_store_status state_read_both(const state_question *q, int64_t from) {
  state_both *all = q->context;
  all->changes.since = from;
  st_store_status status = state_read_hashes(q, &all->hashes);
  /* A log that begins later than the sequence has nothing yet. */
  return status == ST_STORE_OK && from <= q->state->sequence ? state_read_changes(q, &all->changes)
                                                             : status;
}

/* The items are the caller's from now on, or freed. */
static void *state_hand_over(st_store_status status, const state_items *all, uint32_t *count) {
  *count = status == ST_STORE_OK ? (uint32_t)all->count : 0;
  if (status == ST_STORE_OK) return all->items;
  free(all->items);
  return NULL;
}

st_store_status st_postgres_revocation_data(st_store *base, st_revocation_data *data, char *error) {
  state_both all = {.hashes = {.size = sizeof *data->hashes},
                    .changes = {.size = sizeof *data->changes}};
  memset(data, 0, sizeof *data);
  st_store_status status = state_ask(&(state_question){
      .store = (st_postgres *)base,
      .state = &data->state,
      .read = state_read_both,
      .context = &all,
      .until_us = st_clock_monotonic_us() + DATA_US,
      .error = error,
  });
  data->hashes = state_hand_over(status, &all.hashes, &data->count);
  data->changes = state_hand_over(status, &all.changes, &data->change_count);
  data->since = all.changes.since;
  return status;
}

st_store_status st_postgres_revocation_changes(st_store *base, int64_t since,
                                               st_revocation_state *state,
                                               st_revocation_change **changes, uint32_t *count,
                                               char *error) {
  state_items all = {.size = sizeof **changes, .since = since};
  st_store_status status = state_ask(&(state_question){
      .store = (st_postgres *)base,
      .state = state,
      .read = state_read_since,
      .context = &all,
      .until_us = st_clock_monotonic_us() + DATA_US,
      .error = error,
  });
  *changes = state_hand_over(status, &all, count);
  return status;
}

/* ---- start and end ---- */

void st_postgres_revocations_start(st_postgres *store) {
  st_postgres_revocations *r = &store->revocations;
  r->turn = (st_semaphore)ST_SEMAPHORE(1, ST_DB_WRITERS_MAX);
  r->connection.store = store;
  (void)pthread_mutex_init(&r->lock, NULL);
  st_condition_init(&r->changed);
}

void st_postgres_revocations_end(st_postgres *store) {
  st_postgres_revocations *r = &store->revocations;
  st_postgres_disconnect(&r->connection);
  (void)pthread_cond_destroy(&r->changed);
  (void)pthread_mutex_destroy(&r->lock);
}
