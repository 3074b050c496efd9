/* cache - what authenticating a token gave, for the same token under the same ring. Nothing here
 * knows a rule: verify.c asks before it opens a token, and tells what was good.
 */
#ifndef ST_CORE_CACHE_H
#define ST_CORE_CACHE_H

#include "base/bytes.h"
#include "subtoken/cache.h"

/* Is it one that can be used? cache may be NULL. */
bool st_cache_valid(const subtoken_cache *cache);

/* True when the token is kept: then *claims is what st_cache_keep was given with it. Else claims
 * are as they were. Empties the cache when the ring differs from that of the call before. The
 * cache must be valid. */
bool st_cache_find(const subtoken_cache *cache, const subtoken_ring *ring, subtoken_text token,
                   subtoken_claims *claims) __attribute__((warn_unused_result));

/* Keeps the token, which was good under the ring of the last st_cache_find and was not found. */
void st_cache_keep(const subtoken_cache *cache, subtoken_text token, const subtoken_claims *claims);

#endif
