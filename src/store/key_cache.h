/* key_cache - what requests need of the store, remembered: keys, users and sessions as the store
 * answered them, found by digest or by sub, in a bounded number of bytes. The same for every kind
 * of store; each tells it what was written.
 *
 * Freshness. Whoever asks the store takes the moment first (st_key_cache_moment), asks, and puts
 * the answer with that moment. An answer is dropped when its key was forgotten after the moment, so
 * that one that was read before a change is never kept after it. Whoever learns of a change forgets
 * the key after the change is visible to those who ask the store, and before anybody is told.
 *
 * Threads. Any number at a time; no call waits for the store or for memory. A find copies, and
 * allocates nothing.
 */
#ifndef ST_STORE_KEY_CACHE_H
#define ST_STORE_KEY_CACHE_H

#include "domain/key.h"

typedef struct st_key_cache st_key_cache;

/* bytes: of the whole, taken from the system as they are used; at least ST_KEY_CACHE_MIN, whatever
 * is said. NULL: no memory. */
#define ST_KEY_CACHE_MIN (256 << 10)
st_key_cache *st_key_cache_new(size_t bytes) __attribute__((warn_unused_result));
/* Nobody uses it any more. NULL: nothing happens. */
void st_key_cache_free(st_key_cache *cache);

/* How often something was forgotten so far. Taken before the store is asked. */
uint64_t st_key_cache_moment(st_key_cache *cache);

/* A key by its digest of 32 bytes, compared in constant time, or by its sub of ST_SUB_LEN
 * characters. *key is written when it is there; the members of a listing are zeroed. What was put
 * by a digest that was replaced is not found by it any more after key->old_until. */
bool st_key_cache_find(st_key_cache *cache, bool by_sub, const void *bytes, st_key *key)
    __attribute__((warn_unused_result));

/* Remembers what the store answered, unless the key was forgotten since the moment. The members of
 * a listing are not kept. Makes room by dropping what was not found lately. */
void st_key_cache_put(st_key_cache *cache, const uint8_t digest[32], const st_key *key,
                      uint64_t moment);

/* The first eight bytes of a digest as a number, the first byte the highest: what changed keys are
 * told by. */
uint64_t st_key_cache_digest8(const uint8_t first[8]);
/* The keys whose digests begin so, and what was read of them before. */
void st_key_cache_forget(st_key_cache *cache, const uint64_t *digest8, size_t count);
void st_key_cache_forget_all(st_key_cache *cache);

/* How many keys it holds now. */
size_t st_key_cache_count(st_key_cache *cache);

#endif
