/* sub_index - for the cache of keys: from a sub to the place of its key's digest, a number of the
 * cache's. A hint: it may name a place at which the key is not, and have forgotten one at which it
 * is. Any thread may call; no lock is held afterwards.
 */
#ifndef ST_STORE_SUB_INDEX_H
#define ST_STORE_SUB_INDEX_H

#include "domain/key.h"

#define ST_SUB_INDEX_FOUND_MAX 24

typedef struct st_sub_index st_sub_index;

/* Room for about so many subs, in so many stripes that have a lock each; memory is taken from the
 * system as it is used. seed: random. NULL: no memory. */
st_sub_index *st_sub_index_new(size_t subs, uint32_t stripes, uint64_t seed)
    __attribute__((warn_unused_result));
void st_sub_index_free(st_sub_index *index);
/* The bytes of such an index. */
size_t st_sub_index_bytes(size_t subs, uint32_t stripes);

/* sub: ST_SUB_LEN characters. One that was removed, or never added, may be removed. */
void st_sub_index_add(st_sub_index *index, const char *sub, uint32_t place);
void st_sub_index_remove(st_sub_index *index, const char *sub, uint32_t place);
void st_sub_index_clear(st_sub_index *index);
/* How many places there are to look at. */
size_t st_sub_index_find(st_sub_index *index, const char *sub,
                         uint32_t places[ST_SUB_INDEX_FOUND_MAX])
    __attribute__((warn_unused_result));

/* ---- for both indexes of the cache ---- */

/* Spreads what is in some bits over all of them. */
static inline uint64_t st_sub_index_mix(uint64_t bits) {
  bits = (bits ^ bits >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  bits = (bits ^ bits >> 27) * UINT64_C(0x94D049BB133111EB);
  return bits ^ bits >> 31;
}

/* From the lower half of the bits a number below count. */
static inline uint32_t st_sub_index_below(uint64_t bits, uint32_t count) {
  return (uint32_t)((bits & UINT32_MAX) * count >> 32);
}

#endif
