/* snapshot_source - asks the store whether a snapshot is what it lists now, and reads what comes
 * after it.
 */
#ifndef ST_SERVER_SNAPSHOT_SOURCE_H
#define ST_SERVER_SNAPSHOT_SOURCE_H

#include "server/snapshot.h"

/* Takes a sequence; when that cannot be done, each question does, and fails until it is. */
void st_snapshot_source_start(st_store *store);

typedef struct st_snapshot_answer {
  bool current;                  /* base is what the store lists */
  int64_t time;                  /* when, by the clock of the store; 0: it has none */
  st_snapshot_contents contents; /* unless current; to be freed, also when it failed */
} st_snapshot_answer;

/* Is told that the store has answered, and that what it lists is being read. */
typedef void st_snapshot_source_reads(void);

/* ring, signer: what the next snapshot is to be signed with. base: the current one, or NULL. All of
 * the answer is of one database, which knows everything that was vouched for. error says what is
 * behind ST_FEED_STORE_ERROR. One thread at a time.
 */
st_feed_status st_snapshot_source_ask(const subtoken_ring *ring, const uint8_t *signer,
                                      const st_snapshot *base, st_snapshot_source_reads *reads,
                                      st_snapshot_answer *answer, char *error)
    __attribute__((warn_unused_result));

#endif
