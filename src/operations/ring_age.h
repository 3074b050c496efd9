/* ring_age - since when a secret of the ring has been in use, which no file says: the store keeps
 * when a server first saw it.
 */
#ifndef ST_OPERATIONS_RING_AGE_H
#define ST_OPERATIONS_RING_AGE_H

#include "domain/store.h"

/* Seconds since 1970 when the secret at that place of the ring was first seen by a server of this
 * store, under whatever name: now when nobody has, which is kept. 0: the store does not answer.
 */
int64_t st_ring_age_first_seen(st_store *store, const subtoken_ring *ring, size_t place);

/* The same for each secret of the ring, for what is kept. */
void st_ring_age_note(st_store *store, const subtoken_ring *ring);

#endif
