/* What the revocation data lists: purged here, changed in the transaction of the change that it
 * is about (sqlite_rows.c), so that writers are serialised and none is missed; read on a connection
 * of the feed's own.
 */
#include "store/db.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "domain/store.h"
#include "subtoken/revocations.h"

#define LOG_MAX 200000 /* changes kept, at least; who is further behind fetches all */
#define DAY 86400
#define MAX_LIFE_DEFAULT (INT64_C(365) * DAY) /* as long as no server has said its own */
/* A token ends at the revocation and its longest life, by the clock of who signed it, and is good
 * for a leeway longer at an edge whose clock may be a leeway behind.
 */
#define LEEWAYS (INT64_C(2) * SUBTOKEN_LEEWAY_MAX)
#define GIVEN_MAX 200000 /* sequences that are kept, at least */
#define CATCH_UP 4       /* how much faster than time the time of sweeping goes after a stop */
#define SWEEP_ROWS 1000  /* of each table in a transaction, and how many of these in a purge */
#define SWEEPS 20

/* ---- the hash, for SQL ---- */

static void hash_sub(sqlite3_context *context, int count, sqlite3_value **values) {
  uint8_t key[SUBTOKEN_HASH_KEY_LEN];
  (void)count;
  st_store64(key, (uint64_t)sqlite3_value_int64(values[0]));
  st_store64(key + 8, (uint64_t)sqlite3_value_int64(values[1]));
  const char *sub = (const char *)sqlite3_value_text(values[2]);
  if (sub == NULL) {
    sqlite3_result_null(context);
    return;
  }
  subtoken_text text = {sub, (size_t)sqlite3_value_bytes(values[2])};
  sqlite3_result_int64(context, (int64_t)subtoken_revocations_hash(key, text));
}

bool st_sqlite_add_hash(sqlite3 *db) {
  return sqlite3_create_function_v2(db, "revocation_hash", 3,
                                    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                    hash_sub, NULL, NULL, NULL) == SQLITE_OK;
}

static st_stored make_next(st_store *store, const change *what) {
  int64_t sequence = 0;
  return st_sqlite_take_sequence(store, what, &sequence);
}

st_stored st_store_bump_sequence(st_store *store, int64_t now_us, int64_t until_us,
                                 int64_t *sequence, char *error) {
  change what = {.now_us = now_us, .until_us = until_us, .sequence = sequence};
  return st_sqlite_apply(store, make_next, &what, error);
}

/* ---- purging ---- */

/* Within a change. */
static int64_t fact(st_store *store, const char *name, int64_t otherwise) {
  sqlite3_stmt *row = NULL;
  bool known = st_sqlite_ask(store, RECALL, VALUES(st_sqlite_text(name)), &row) == ST_STORED;
  int64_t value = known ? sqlite3_column_int64(row, 0) : otherwise;
  st_sqlite_finish(row);
  return value;
}

/* What this handle's monotonic clock says has passed since it last counted is time that was lived
 * through, if no other server has counted it already: the largest counts, never the sum. The
 * first call of a handle counts nothing, however long ago the last one before it was. *passed is by
 * how much the store's time went on.
 */
static st_stored count_lived(st_store *store, int64_t monotonic_us, int64_t *lived,
                             int64_t *passed) {
  int64_t known = fact(store, "lived", 0), mine = known, seconds = 0;
  if (store->counts && monotonic_us > store->lived_us) {
    seconds = (monotonic_us - store->lived_us) / 1000000;
    mine = store->lived + seconds;
  }
  *lived = mine > known ? mine : known;
  *passed = *lived - known;
  if (*passed > 0 &&
      st_sqlite_do(store, REMEMBER, VALUES(st_sqlite_text("lived"), st_sqlite_number(*lived))) !=
          ST_STORED) {
    return ST_STORE_FAILED;
  }
  store->lived = *lived;
  store->lived_us = store->counts ? store->lived_us + seconds * 1000000 : monotonic_us;
  store->counts = true;
  return ST_STORED;
}

/* The time by which sessions and refresh tokens are swept, which a clock that is ahead for a while
 * must not end: it follows the clock back at once, and ahead as time is lived through.
 */
static st_stored sweep_time(st_store *store, int64_t now, int64_t passed, int64_t *time) {
  int64_t known = fact(store, "sweep_time", now), next = known + CATCH_UP * passed;
  *time = next < now ? next : now;
  return st_sqlite_do(store, REMEMBER,
                      VALUES(st_sqlite_text("sweep_time"), st_sqlite_number(*time)));
}

static st_stored cut_log(st_store *store) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, LOG_LENGTH, VALUES(st_sqlite_number(LOG_MAX)), &row);
  parameter last = st_sqlite_number(found == ST_STORED ? sqlite3_column_int64(row, 0) : 0);
  st_sqlite_finish(row);
  if (found != ST_STORED) {
    return found == ST_STORE_NONE ? ST_STORED : ST_STORE_FAILED;
  }
  bool ok = st_sqlite_do(store, LOG_CUT, VALUES(last)) == ST_STORED &&
            st_sqlite_do(store, LOG_FROM, VALUES(last)) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored cut_given(st_store *store) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, GIVEN_LENGTH, VALUES(st_sqlite_number(GIVEN_MAX)), &row);
  parameter last = st_sqlite_number(found == ST_STORED ? sqlite3_column_int64(row, 0) : 0);
  st_sqlite_finish(row);
  if (found != ST_STORED) {
    return found == ST_STORE_NONE ? ST_STORED : ST_STORE_FAILED;
  }
  bool ok = st_sqlite_do(store, GIVEN_CUT, VALUES(last)) == ST_STORED &&
            st_sqlite_do(store, GIVEN_FROM, VALUES(last)) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Before when something must have ended, or expired, to be of no more use. */
typedef struct horizons {
  int64_t monotonic_us; /* of the caller */
  int64_t time;         /* to sweep by */
  int64_t tokens;
  int64_t removed; /* by this sweep */
} horizons;

/* One more than the last is the sequence if anything goes, and is not taken if nothing does. */
static st_stored purge_listed(st_store *store, const change *what, int64_t clock, int64_t lived) {
  int64_t before = fact(store, "sequence", 0);
  int64_t sequence = what->now_us > before + 1 ? what->now_us : before + 1;
  parameter by_clock = st_sqlite_number(clock), by_lived = st_sqlite_number(lived);
  if (st_sqlite_do(store, PURGE_TOUCH, VALUES(by_clock, by_lived, st_sqlite_number(sequence))) !=
          ST_STORED ||
      st_sqlite_do(store, PURGE, VALUES(by_clock, by_lived)) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  return sqlite3_changes(store->writes) > 0 ? st_sqlite_take_sequence(store, what, &sequence)
                                            : ST_STORED;
}

static st_stored make_purged(st_store *store, const change *what) {
  horizons *h = what->of;
  int64_t lived = 0, passed = 0;
  if (count_lived(store, h->monotonic_us, &lived, &passed) != ST_STORED ||
      sweep_time(store, what->now, passed, &h->time) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  int64_t wait = fact(store, "max_life", MAX_LIFE_DEFAULT) + LEEWAYS;
  h->tokens = h->time - wait;
  bool ok = purge_listed(store, what, what->now - wait, lived - wait) == ST_STORED &&
            cut_log(store) == ST_STORED && cut_given(store) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored make_swept(st_store *store, const change *what) {
  horizons *h = what->of;
  if (st_sqlite_do(store, PURGE_REFRESH,
                   VALUES(st_sqlite_number(h->time), st_sqlite_number(SWEEP_ROWS))) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  int64_t expired = sqlite3_changes(store->writes), logins = 0;
  st_stored stored = st_sqlite_sweep_logins(store, h->tokens, SWEEP_ROWS, &logins);
  h->removed = expired + logins;
  return stored;
}

static st_stored make_counted(st_store *store, const change *what) {
  const horizons *h = what->of;
  int64_t lived = 0, passed = 0;
  return count_lived(store, h->monotonic_us, &lived, &passed);
}

st_stored st_store_count_lived(st_store *store, int64_t monotonic_us, char *error) {
  horizons h = {.monotonic_us = monotonic_us};
  return st_sqlite_apply(store, make_counted, &(change){.of = &h}, error);
}

/* The rows of logins go in small transactions, so that nobody waits long for the lock; what a call
 * leaves, the next one takes.
 */
st_stored st_store_purge(st_store *store, int64_t now_us, int64_t monotonic_us, char *error) {
  horizons h = {.monotonic_us = monotonic_us};
  change what = {.now = now_us / 1000000, .now_us = now_us, .of = &h};
  st_stored stored = st_sqlite_apply(store, make_purged, &what, error);
  h.removed = 1;
  for (int i = 0; i < SWEEPS && stored == ST_STORED && h.removed > 0; i++) {
    stored = st_sqlite_apply(store, make_swept, &what, error);
  }
  return stored;
}

/* ---- the feed's questions ---- */

static st_stored trouble(st_store *store, char *error) {
  return st_sqlite_fail_db(error, store->path, store->feeds, "read");
}

/* Under the lock. */
static st_stored open_feeds(st_store *store, char *error) {
  if (store->feeds == NULL &&
      (st_sqlite_connect(store->path, &store->feeds, error) != ST_STORED ||
       !st_sqlite_set_read_wait(store->feeds, &store->feed_wait) ||
       !st_sqlite_prepare(store->feeds, st_sqlite_feed_sql, store->feed, FEED_STATEMENTS))) {
    (void)trouble(store, error);
    for (size_t i = 0; i < FEED_STATEMENTS; i++) {
      (void)sqlite3_finalize(store->feed[i]);
      store->feed[i] = NULL;
    }
    (void)sqlite3_close(store->feeds);
    store->feeds = NULL;
    return ST_STORE_FAILED;
  }
  return st_sqlite_in_place(store, store->feeds, error) ? ST_STORED : ST_STORE_FAILED;
}

static st_stored read_facts(st_store *store, st_revocation_state *listing, int64_t *from,
                            char *error) {
  sqlite3_stmt *row = store->feed[FEED_FACTS];
  bool ok = sqlite3_step(row) == SQLITE_ROW;
  if (ok) {
    listing->sequence = sqlite3_column_int64(row, 0);
    st_store64(listing->hash_key, (uint64_t)sqlite3_column_int64(row, 1));
    st_store64(listing->hash_key + 8, (uint64_t)sqlite3_column_int64(row, 2));
    *from = sqlite3_column_int64(row, 3);
  }
  st_stored stored = ok ? ST_STORED : trouble(store, error);
  st_sqlite_finish(row);
  if (ok && (listing->sequence < 1 || *from < 1)) {
    return st_sqlite_fail_damaged(error, store->path, "it has no sequence");
  }
  return stored;
}

typedef st_stored feed_fn(st_store *store, void *context, st_revocation_state *listing,
                          int64_t from, char *error);

/* Ask within one moment of the database. */
static st_stored ask(st_store *store, st_revocation_state *listing, feed_fn *read, void *context,
                     char *error) {
  int64_t from = 0;
  memset(listing, 0, sizeof *listing);
  (void)pthread_mutex_lock(&store->feeding);
  st_stored stored = open_feeds(store, error);
  if (stored == ST_STORED && st_sqlite_run(store->feed[FEED_BEGIN]) != SQLITE_OK) {
    stored = trouble(store, error);
  }
  if (stored == ST_STORED) {
    stored = read_facts(store, listing, &from, error);
    if (stored == ST_STORED && read != NULL) {
      stored = read(store, context, listing, from, error);
    }
    (void)st_sqlite_run(store->feed[FEED_END]); /* nothing was written */
  }
  (void)pthread_mutex_unlock(&store->feeding);
  return stored;
}

st_stored st_store_revocation_state(st_store *store, st_revocation_state *listing, char *error) {
  return ask(store, listing, NULL, NULL, error);
}

/* Rows of a statement into memory that grows. */
typedef struct rows {
  sqlite3_stmt *statement;
  void *items;
  size_t size; /* of an item */
  size_t count, room;
  int64_t since;
} rows;

static void *next_item(rows *all) {
  if (all->count == all->room) {
    size_t room = all->room * 2 + 1024;
    void *grown = room > SIZE_MAX / all->size ? NULL : realloc(all->items, room * all->size);
    if (grown == NULL) {
      return NULL;
    }
    all->items = grown;
    all->room = room;
  }
  return (char *)all->items + all->count++ * all->size;
}

static void take_hash(sqlite3_stmt *row, void *item) {
  uint64_t hash = (uint64_t)sqlite3_column_int64(row, 0);
  memcpy(item, &hash, sizeof hash);
}

static void take_change(sqlite3_stmt *row, void *item) {
  st_revocation_change taken = {.hash = (uint64_t)sqlite3_column_int64(row, 0),
                                .sequence = sqlite3_column_int64(row, 2),
                                .listed = sqlite3_column_int64(row, 1) != 0};
  memcpy(item, &taken, sizeof taken);
}

static st_stored read_rows(st_store *store, rows *all, void (*take)(sqlite3_stmt *, void *),
                           char *error) {
  st_stored stored = ST_STORED;
  int code = SQLITE_ROW;
  while (stored == ST_STORED && (code = sqlite3_step(all->statement)) == SQLITE_ROW) {
    void *item = all->count < UINT32_MAX ? next_item(all) : NULL;
    if (item == NULL) {
      stored = st_sqlite_fail(error, "no memory for the revocations of %s",
                              st_sqlite_shown(store->path));
    } else {
      take(all->statement, item);
    }
  }
  if (stored == ST_STORED && code != SQLITE_DONE) {
    stored = trouble(store, error);
  }
  st_sqlite_finish(all->statement);
  return stored;
}

static st_stored read_listed(st_store *store, void *context, st_revocation_state *listing,
                             int64_t from, char *error) {
  rows *all = context;
  (void)listing;
  (void)from;
  all->statement = store->feed[FEED_LISTED];
  all->items = malloc(sizeof(uint64_t)); /* never NULL for who is answered */
  all->room = all->items != NULL ? 1 : 0;
  if (all->items == NULL) {
    return st_sqlite_fail(error, "no memory for the revocations");
  }
  return read_rows(store, all, take_hash, error);
}

static st_stored read_changes(st_store *store, void *context, st_revocation_state *listing,
                              int64_t from, char *error) {
  rows *all = context;
  if (all->since < from || all->since > listing->sequence) {
    return ST_STORE_NONE;
  }
  all->statement = store->feed[FEED_CHANGES];
  if (!st_sqlite_bind_integer(all->statement, 1, all->since)) {
    return trouble(store, error);
  }
  return read_rows(store, all, take_change, error);
}

static st_stored hand_over(st_stored stored, rows *all, uint32_t *count) {
  *count = stored == ST_STORED ? (uint32_t)all->count : 0;
  if (stored != ST_STORED) {
    free(all->items);
    all->items = NULL;
  }
  return stored;
}

st_stored st_store_revoked_hashes(st_store *store, st_revocation_state *listing, uint64_t **hashes,
                                  uint32_t *count, char *error) {
  rows all = {.size = sizeof **hashes};
  st_stored stored = hand_over(ask(store, listing, read_listed, &all, error), &all, count);
  *hashes = all.items;
  return stored;
}

typedef struct both {
  rows hashes, changes;
} both;

static st_stored read_both(st_store *store, void *context, st_revocation_state *listing,
                           int64_t from, char *error) {
  both *all = context;
  all->changes.since = from;
  st_stored stored = read_listed(store, &all->hashes, listing, from, error);
  if (stored != ST_STORED) {
    return stored;
  }
  stored = read_changes(store, &all->changes, listing, from, error);
  return stored == ST_STORE_NONE ? ST_STORED : stored; /* a log that begins later has nothing yet */
}

st_stored st_store_revoked_hashes_and_changes(st_store *store, st_revoked_hashes *listed,
                                              char *error) {
  both all = {.hashes = {.size = sizeof *listed->hashes},
              .changes = {.size = sizeof *listed->changes}};
  st_stored stored = ask(store, &listed->listing, read_both, &all, error);
  stored = hand_over(stored, &all.hashes, &listed->count);
  stored = hand_over(stored, &all.changes, &listed->change_count);
  listed->hashes = all.hashes.items;
  listed->changes = all.changes.items;
  listed->since = all.changes.since;
  return stored;
}

st_stored st_store_changes(st_store *store, int64_t since, st_revocation_state *listing,
                           st_revocation_change **changes, uint32_t *count, char *error) {
  rows all = {.size = sizeof **changes, .since = since};
  st_stored stored = hand_over(ask(store, listing, read_changes, &all, error), &all, count);
  *changes = all.items;
  return stored;
}
