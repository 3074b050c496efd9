/* What the module takes from nginx's pools, each piece as a block of its own and of its exact size,
 * so that the address sanitizer sees a byte too many; a pool gives out pieces of one large block.
 * It is linked into the module that fuzz_nginx.c loads, in the place of nginx's functions, and into
 * that of tests/e2e/test_faults_nginx.py, where each piece may fail; that is logged as nginx logs
 * it.
 */
#include <ngx_config.h>
#include <ngx_core.h>

#include "fuzz.h"

void *__wrap_ngx_palloc(ngx_pool_t *pool, size_t size);
void *__wrap_ngx_pnalloc(ngx_pool_t *pool, size_t size);
void *__wrap_ngx_pcalloc(ngx_pool_t *pool, size_t size);

/* Behind the others: what a pool gave out is there until all of them have run. */
static void pool_move_last(ngx_pool_t *pool, ngx_pool_cleanup_t *cleanup) {
  ngx_pool_cleanup_t **last = &pool->cleanup;
  pool->cleanup = cleanup->next;
  while (*last != NULL) last = &(*last)->next;
  cleanup->next = NULL;
  *last = cleanup;
}

void *__wrap_ngx_palloc(ngx_pool_t *pool, size_t size) {
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(pool, 0);
  if (cleanup == NULL) return NULL;
  pool_move_last(pool, cleanup);
  cleanup->data = malloc(size > 0 ? size : 1);
  cleanup->handler = free;
  if (cleanup->data == NULL) ngx_log_error(NGX_LOG_EMERG, pool->log, ENOMEM, "malloc() failed");
  return cleanup->data;
}

void *__wrap_ngx_pnalloc(ngx_pool_t *pool, size_t size) {
  return __wrap_ngx_palloc(pool, size);
}

void *__wrap_ngx_pcalloc(ngx_pool_t *pool, size_t size) {
  void *made = __wrap_ngx_palloc(pool, size);
  if (made != NULL) memset(made, 0, size);
  return made;
}
