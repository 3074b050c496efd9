/* held_requests - requests whose answer waits until the revocation data changes.
 *
 * A held request has a thread of its own, as every request has, and nothing else: no snapshot and
 * no memory. One thread asks the store for all of them. When too many are held, the oldest is
 * answered at once.
 */
#ifndef ST_SERVER_HELD_REQUESTS_H
#define ST_SERVER_HELD_REQUESTS_H

#include "domain/store.h"

/* Of so many threads a quarter are held at most, and half of these for one key. Before the first
 * request.
 */
void st_held_requests_limit(int64_t threads);

/* Before the first request; false without a thread. */
bool st_held_requests_start(st_store *store, char *error) __attribute__((warn_unused_result));
/* The process ends: all are answered now, and none is held any more. */
void st_held_requests_end(void);
/* After the last request has been answered. */
void st_held_requests_stop(void);

/* In begin_request, of a key that was told that the store's sequence is this. Returns when the
 * store has another, at until_us, when the store does not answer, when the client has left, or when
 * it is the oldest of too many.
 */
void st_held_requests_wait(const char *key_id, int64_t sequence, int64_t until_us);

/* How many are held now, and how many of a key. */
int64_t st_held_requests_count(const char *key_id, int64_t *of_key);

#endif
