/* Forgets what no token can need any more, judged by two clocks: the wall clock, which may be
 * wrong, and the uptime of servers, which is counted here and never runs ahead. Also takes a
 * sequence with nothing changed. The reasoning is in subtoken_revocation(7).
 */
#include "os/clock.h"
#include "store/audit.h"
#include "store/row_set.h"
#include "store/settings.h"

#define LOG_MAX 200000 /* changes kept at least; an edge further behind fetches everything */
#define DAY 86400
#define MAX_LIFE_DEFAULT (INT64_C(365) * DAY) /* until a server has set its own */
/* A token may have been signed until the revocation, by the clock of its signer, lives for its
 * longest life, and is accepted for a leeway longer at an edge whose clock may be a leeway behind.
 */
#define LEEWAYS (INT64_C(2) * SUBTOKEN_LEEWAY_MAX)
#define SEQUENCES_MAX 200000 /* sequences kept at least */
#define CATCH_UP 4           /* after a stop, the sweep time goes so much faster than uptime */
#define SWEEP_ROWS 1000      /* of each table in a transaction, and SWEEPS of these in a purge */
#define SWEEPS 20

static st_store_status make_next(st_db *db, const st_change *change) {
  int64_t sequence = 0;
  return st_transaction_take_sequence(db, change, &sequence);
}

st_store_status st_store_bump_sequence(st_store *store, int64_t now_us, int64_t until_us,
                                       int64_t *sequence, char *error) {
  st_change change = {
      .now_us = now_us, .until_us = until_us, .sequence = sequence, .ordered = true};
  if (sequence != NULL) *sequence = 0;
  return st_transaction_run(store, make_next, &change, error);
}

/* ---- uptime ---- */

/* What has passed by this handle's monotonic clock since it last counted is uptime, unless another
 * server has counted it already: the larger figure counts, never the sum. The first call of a
 * handle counts nothing. *passed: by how much the store's uptime grew.
 */
static st_store_status count_uptime(st_db *db, int64_t monotonic_us, int64_t *uptime,
                                    int64_t *passed) {
  st_store *store = db->store;
  int64_t known = 0, seconds = 0;
  if (st_settings_read(db, ST_SETTING_UPTIME, 0, &known) != ST_STORE_OK) return ST_STORE_FAILED;
  int64_t mine = known;
  if (store->counts_uptime) {
    /* Also what was counted in a change that failed, and is not kept yet. */
    if (monotonic_us > store->uptime_us) seconds = (monotonic_us - store->uptime_us) / 1000000;
    mine = store->uptime + seconds;
  }
  *uptime = mine > known ? mine : known;
  *passed = *uptime - known;
  if (*passed > 0 && (st_settings_write(db, ST_SETTING_UPTIME, *uptime) != ST_STORE_OK ||
                      st_audit_mark(db, known, *uptime) != ST_STORE_OK)) {
    return ST_STORE_FAILED;
  }
  store->uptime = *uptime;
  store->uptime_us = store->counts_uptime ? store->uptime_us + seconds * 1000000 : monotonic_us;
  store->counts_uptime = true;
  return ST_STORE_OK;
}

static st_store_status make_counted(st_db *db, const st_change *change) {
  int64_t uptime = 0, passed = 0;
  return count_uptime(db, *(const int64_t *)change->data, &uptime, &passed);
}

st_store_status st_store_count_uptime(st_store *store, int64_t monotonic_us, char *error) {
  return st_transaction_run(store, make_counted,
                            &(st_change){.data = &monotonic_us, .ordered = true}, error);
}

/* ---- purging ---- */

/* What ended or expired before these times can go. */
typedef struct horizons {
  int64_t monotonic_us; /* of the caller */
  int64_t clock;        /* what was revoked, by the clock and by uptime */
  int64_t uptime;
  int64_t sweep_time;
  int64_t tokens;  /* by the sweep time */
  int64_t log;     /* of the log of changes: up to this sequence */
  int64_t removed; /* by the last sweep */
} horizons;

/* Sessions and refresh tokens are removed, and revoked tokens taken off, by a time of their own,
 * because a wall clock that runs ahead for a while must not do that: it follows the wall clock back
 * at once, and forward only as servers run.
 */
static st_store_status set_sweep_time(st_db *db, int64_t now, int64_t passed, int64_t *time) {
  int64_t known = 0;
  if (st_settings_read(db, ST_SETTING_SWEEP_TIME, now, &known) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  int64_t next = known + CATCH_UP * passed;
  *time = next < now ? next : now;
  return st_settings_write(db, ST_SETTING_SWEEP_TIME, *time);
}

/* Keep the newest `most` entries: find the newest that goes, and remember that the rest begins
 * behind it. *last: that one, or 0.
 */
static st_store_status shorten(st_db *db, st_sql find, st_sql remember, int64_t most,
                               int64_t *last) {
  *last = 0;
  st_store_status found = st_db_query_number(db, find, ST_VALUES(st_db_number(most)), last);
  if (found == ST_STORE_OK) return st_db_run(db, remember, ST_VALUES(st_db_number(*last)));
  return found == ST_STORE_NOT_FOUND ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status shorten_sequences(st_db *db) {
  int64_t last = 0;
  st_store_status status =
      shorten(db, ST_SQL_SEQUENCE_LENGTH, ST_SQL_SEQUENCE_FROM, SEQUENCES_MAX, &last);
  return status == ST_STORE_OK && last > 0
             ? st_db_run(db, ST_SQL_SEQUENCE_CUT, ST_VALUES(st_db_number(last)))
             : status;
}

static st_store_status make_purged(st_db *db, const st_change *change) {
  horizons *h = change->data;
  int64_t uptime = 0, passed = 0, life = 0;
  if (count_uptime(db, h->monotonic_us, &uptime, &passed) != ST_STORE_OK ||
      set_sweep_time(db, change->now, passed, &h->sweep_time) != ST_STORE_OK ||
      st_settings_read(db, ST_SETTING_MAX_LIFE, MAX_LIFE_DEFAULT, &life) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  int64_t wait = life + LEEWAYS;
  h->clock = change->now - wait;
  h->uptime = uptime - wait;
  h->tokens = h->sweep_time - wait;
  bool ok = shorten(db, ST_SQL_LOG_LENGTH, ST_SQL_LOG_FROM, LOG_MAX, &h->log) == ST_STORE_OK &&
            shorten_sequences(db) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* ---- a sweep ---- */

/* Takes off what a statement finds, and tells edges of each. *removed grows by how many it were. */
static st_store_status take_off(st_db *db, const st_change *change, st_sql which,
                                const st_value *values, int64_t *removed) {
  st_row row;
  int64_t sequence = 0;
  st_store_status status = st_db_query(db, which, values, &row);
  if (status == ST_STORE_OK) status = st_transaction_take_sequence(db, change, &sequence);
  while (status == ST_STORE_OK) {
    st_value hash = st_db_number(st_row_number(&row, 0));
    status = st_db_run(db, ST_SQL_PURGE_LOG, ST_VALUES(st_db_number(sequence), hash));
    (*removed)++;
    if (status == ST_STORE_OK) status = st_row_next(&row);
  }
  st_row_finish(&row);
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : ST_STORE_FAILED;
}

/* Of the log, which is read behind this alone, and of refresh tokens. */
static st_store_status remove_old(st_db *db, const horizons *h, int64_t *removed) {
  int64_t changes = 0, tokens = 0;
  st_value rows = st_db_number(SWEEP_ROWS);
  st_store_status status = ST_STORE_OK;
  if (h->log > 0) {
    status = st_db_run_counted(db, ST_SQL_LOG_CUT, ST_VALUES(st_db_number(h->log), rows), &changes);
  }
  if (status == ST_STORE_OK) {
    status = st_db_run_counted(db, ST_SQL_PURGE_REFRESH,
                               ST_VALUES(st_db_number(h->sweep_time), rows), &tokens);
  }
  *removed += changes + tokens;
  return status;
}

static st_store_status make_swept(st_db *db, const st_change *change) {
  horizons *h = change->data;
  int64_t removed = 0, sessions = 0;
  st_value rows = st_db_number(SWEEP_ROWS);
  bool ok = take_off(db, change, ST_SQL_PURGE_LISTED,
                     ST_VALUES(st_db_number(h->clock), st_db_number(h->uptime), rows),
                     &removed) == ST_STORE_OK &&
            take_off(db, change, ST_SQL_TOKEN_PURGE, ST_VALUES(st_db_number(h->sweep_time), rows),
                     &removed) == ST_STORE_OK &&
            remove_old(db, h, &removed) == ST_STORE_OK &&
            st_row_set_sweep_sessions(db, h->tokens, SWEEP_ROWS, &sessions) == ST_STORE_OK;
  h->removed = removed + sessions;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* All of it goes in small transactions, so that nobody waits long for the lock: a year after a
 * change of a user with many keys as many are taken off at once.
 */
st_store_status st_store_purge(st_store *store, int64_t now_us, int64_t monotonic_us, bool *left,
                               char *error) {
  horizons h = {.monotonic_us = monotonic_us, .removed = 1};
  st_change change = {.now = now_us / 1000000, .now_us = now_us, .data = &h, .ordered = true};
  st_store_status status = st_transaction_run(store, make_purged, &change, error);
  for (int i = 0; i < SWEEPS && status == ST_STORE_OK && h.removed > 0; i++) {
    int64_t begun_us = st_clock_monotonic_us();
    status = st_transaction_run(store, make_swept, &change, error);
    if (h.removed > 0) st_transaction_pause(st_clock_monotonic_us() - begun_us);
  }
  if (left != NULL) *left = status == ST_STORE_OK && h.removed > 0;
  return status;
}
