/* snapshot_changes - what leads from one revocation snapshot to a later one: the log of what
 * changed, in memory, and the answers that were made of it. A long answer is made once and kept for
 * all who ask for the same; what is kept is bounded, and so is how long a slow reader keeps it.
 * Nothing here asks the store: snapshot.c fills the log.
 */
#ifndef ST_SERVER_SNAPSHOT_CHANGES_H
#define ST_SERVER_SNAPSHOT_CHANGES_H

#include "service/service.h"

/* A change of the list. sequence: of the snapshot that has it first. */
typedef struct st_snapshot_step {
  uint64_t hash;
  int64_t sequence;
  bool listed; /* or taken off */
  bool told;   /* by the store, which does not say whether it was listed before */
} st_snapshot_step;

/* The log is known from `since` on, and holds these, in any order; the list is sorted. */
void st_snapshot_changes_load(st_snapshot_step *steps, size_t count, int64_t since);
/* What leads from the last snapshot to the next. */
void st_snapshot_changes_append(st_snapshot_step *steps, size_t count);

/* Is the log known from that sequence on? Then the history of a snapshot of that sequence is that
 * of the last one: the log of a store begins anew when another history is taken over.
 */
bool st_snapshot_changes_reach(int64_t sequence) __attribute__((warn_unused_result));

/* A snapshot that changes may lead to. */
typedef struct st_snapshot_target {
  const uint8_t *bytes;
  size_t len;
  int64_t sequence;
} st_snapshot_target;

/* The changes from `since` to the target. False when they are not known, are not shorter than
 * the target, or cannot be kept beside those that others are still taking.
 */
bool st_snapshot_changes_find(const st_snapshot_target *to, int64_t since, st_payload *payload)
    __attribute__((warn_unused_result));

/* How long whoever takes so many bytes may keep them: as long as st_connection_send lets it take.
 */
static inline int64_t st_snapshot_patience_us(size_t len) {
  return INT64_C(10000000) + (int64_t)(len >> 20) * 1000000;
}

/* Forget the log and the answers; nobody takes one any more. */
void st_snapshot_changes_stop(void);

#endif
