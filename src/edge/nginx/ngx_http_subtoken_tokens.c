/* The memory of subtoken_cache: tokens that a worker has authenticated under a keyring, so that the
 * same token is not hashed again with each request. Each worker has one for each keyring. What is
 * remembered of a token, and that nothing is which was decided, is in subtoken/cache.h. When it is
 * emptied is in ngx_http_subtoken_secrets.c.
 */
#include <sys/mman.h>

#include "edge/nginx/ngx_http_subtoken.h"

/* Pages of its own, because it holds credentials: kept out of core dumps and, where that is
 * allowed, out of swap. They are zeroed, which is an empty cache.
 */
void ngx_http_subtoken_tokens_create(ngx_http_subtoken_tokens_t *tokens, ngx_log_t *log) {
  if (tokens->size == 0) return;
  void *memory =
      mmap(NULL, tokens->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                  "subtoken_cache: no memory of %uz bytes; each token is verified anew",
                  tokens->size);
    return;
  }
  (void)madvise(memory, tokens->size, MADV_DONTDUMP);
  (void)mlock(memory, tokens->size);
  tokens->cache = (subtoken_cache){sizeof tokens->cache, memory, tokens->size};
}

void ngx_http_subtoken_tokens_wipe(ngx_http_subtoken_tokens_t *tokens) {
  subtoken_cache_wipe(&tokens->cache);
}

void ngx_http_subtoken_tokens_free(ngx_http_subtoken_tokens_t *tokens) {
  void *memory = tokens->cache.memory;
  if (memory == NULL) return;
  subtoken_cache_wipe(&tokens->cache);
  tokens->cache = (subtoken_cache){0};
  (void)munmap(memory, tokens->size);
}
