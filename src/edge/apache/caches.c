/* The caches of authenticated tokens of a process of Apache httpd: as many as there were requests
 * at the same time. The one that was used last is used first, so that few of them are warm and hit.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "edge/apache/subtoken_apache.h"

static pthread_mutex_t caches_lock = PTHREAD_MUTEX_INITIALIZER;
static subtoken_cache **caches_idle;
static size_t caches_count, caches_max, caches_size;

static subtoken_cache *caches_make(void) {
  subtoken_cache *cache = malloc(sizeof *cache);
  void *memory = aligned_alloc(64, (caches_size + 63) / 64 * 64);
  if (cache != NULL && memory != NULL &&
      subtoken_cache_init(cache, memory, caches_size) == SUBTOKEN_OK) {
    (void)madvise(memory, caches_size, MADV_DONTDUMP);
    return cache;
  }
  free(memory);
  free(cache);
  return NULL;
}

static void caches_free(subtoken_cache *cache) {
  void *memory = cache->memory;
  subtoken_cache_wipe(cache);
  free(memory);
  free(cache);
}

subtoken_cache *mod_subtoken_caches_take(void) {
  subtoken_cache *cache = NULL;
  if (caches_size == 0) return NULL;
  (void)pthread_mutex_lock(&caches_lock);
  if (caches_count > 0) cache = caches_idle[--caches_count];
  (void)pthread_mutex_unlock(&caches_lock);
  return cache != NULL ? cache : caches_make();
}

void mod_subtoken_caches_give(subtoken_cache *cache) {
  if (cache == NULL) return;
  (void)pthread_mutex_lock(&caches_lock);
  bool kept = caches_count < caches_max;
  if (kept) caches_idle[caches_count++] = cache;
  (void)pthread_mutex_unlock(&caches_lock);
  if (!kept) caches_free(cache);
}

void mod_subtoken_caches_begin(apr_pool_t *pchild, size_t max, size_t size) {
  caches_idle = apr_palloc(pchild, max * sizeof(subtoken_cache *));
  caches_max = max;
  caches_size = size;
}

void mod_subtoken_caches_end(void) {
  (void)pthread_mutex_lock(&caches_lock);
  while (caches_count > 0) caches_free(caches_idle[--caches_count]);
  caches_max = 0;
  (void)pthread_mutex_unlock(&caches_lock);
}
