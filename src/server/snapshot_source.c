/* The questions that are asked of the store before anything is vouched for. Their order decides:
 * first which database it is that answers (st_store_epoch), then whether that knows what was
 * vouched for last (operations/vouched_files.c), then what it lists; and when the database was
 * another one in between, all of it again. So nothing of a database that lacks what edges were told
 * leaves this server.
 */
#include "server/snapshot_source.h"

#include <stdio.h>
#include <string.h>

#include "operations/vouched_files.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"

/* Who asks waits for this, so it waits for other writers a moment only. */
#define BUMP_WAIT_US INT64_C(500000)
#define TRIES 3 /* at a database that becomes another one while it is asked */

static struct {
  st_store *store;
  bool bumped;    /* this start has taken its sequence */
  bool checked;   /* the database of this epoch knew what was vouched for */
  uint64_t epoch; /* of the store */
} source;

static bool source_bump(int64_t until_us, char *error) {
  int64_t sequence;
  return st_store_bump_sequence(source.store, st_clock_now_us(), until_us, &sequence, error) ==
         ST_STORE_OK;
}

void st_snapshot_source_start(st_store *store) {
  char error[ST_ERROR_MAX];
  source.store = store;
  source.checked = false;
  source.bumped = source_bump(0, error);
  if (!source.bumped) st_log_event("store_error", error);
}

/* The state of a database that knows what was vouched for. */
static bool source_read_state(const subtoken_ring *ring, uint64_t epoch, st_revocation_state *state,
                              char *error) {
  bool restored = false, other = !source.checked || source.epoch != epoch;
  source.checked = false;
  if (st_store_revocation_state(source.store, state, error) != ST_STORE_OK ||
      !st_vouched_files_check(ring, state->sequence, other, &restored, error) ||
      (restored && st_store_revocation_state(source.store, state, error) != ST_STORE_OK)) {
    return false;
  }
  source.checked = true;
  source.epoch = epoch;
  return true;
}

/* Edges hold what has this sequence, or a higher one; other bytes are to have another. When that
 * cannot be written, edges that take the same sequence again are served all the same.
 */
static void source_bump_for(const st_snapshot *base, const uint8_t *signer,
                            const st_revocation_state *state) {
  char error[ST_ERROR_MAX];
  bool needed = state->sequence < base->sequence ||
                (state->sequence == base->sequence && !st_snapshot_signed_by(base, signer));
  if (needed && !source_bump(st_clock_monotonic_us() + BUMP_WAIT_US, error)) {
    st_log_event("store_error", error);
  }
}

static st_feed_status source_ask_once(const subtoken_ring *ring, const uint8_t *signer,
                                      const st_snapshot *base, uint64_t epoch,
                                      st_snapshot_source_reads *reads, st_snapshot_answer *answer,
                                      char *error) {
  st_revocation_state state;
  if (!source_read_state(ring, epoch, &state, error)) return ST_FEED_STORE_ERROR;
  answer->time = state.time;
  answer->current = base != NULL && st_snapshot_matches(base, signer, &state);
  if (answer->current) return ST_FEED_READY;
  reads();
  if (base != NULL) source_bump_for(base, signer, &state);
  bool follows = base != NULL && state.sequence >= base->sequence &&
                 memcmp(base->hash_key, state.hash_key, sizeof base->hash_key) == 0;
  st_feed_status status =
      st_snapshot_read(source.store, follows ? base : NULL, &answer->contents, error);
  answer->time = answer->contents.state.time;
  return status;
}

st_feed_status st_snapshot_source_ask(const subtoken_ring *ring, const uint8_t *signer,
                                      const st_snapshot *base, st_snapshot_source_reads *reads,
                                      st_snapshot_answer *answer, char *error) {
  *answer = (st_snapshot_answer){.current = false};
  source.bumped = source.bumped || source_bump(st_clock_monotonic_us() + BUMP_WAIT_US, error);
  if (!source.bumped) return ST_FEED_STORE_ERROR;
  for (int i = 0; i < TRIES; i++) {
    uint64_t epoch = st_store_epoch(source.store);
    st_feed_status status = source_ask_once(ring, signer, base, epoch, reads, answer, error);
    if (status != ST_FEED_READY || st_store_epoch(source.store) == epoch) return status;
    st_snapshot_contents_free(&answer->contents);
  }
  snprintf(error, ST_ERROR_MAX, "the database became another one while it was asked");
  return ST_FEED_STORE_ERROR;
}
