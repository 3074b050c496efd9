/* token_cache - subtokens that were seen before need not be authenticated again
 * (subtoken/cache.h). What is remembered is that a token is good under the ring, and its claims;
 * the store is asked about its sub each time.
 */
#ifndef ST_SERVER_TOKEN_CACHE_H
#define ST_SERVER_TOKEN_CACHE_H

#include "service/service.h"

/* Before the first request, and after the last one. False: no memory; then there is no cache. */
bool st_token_cache_start(void) __attribute__((warn_unused_result));
void st_token_cache_stop(void);

st_token_caches st_token_cache_get(void);

#endif
