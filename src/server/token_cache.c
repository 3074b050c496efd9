/* One cache for all threads, in parts: which one a token is in, its last characters say. A part is
 * used by one thread at a time, for less than a microsecond; nobody waits for it: who finds it in
 * use authenticates without. A cache for each of 512 threads would take as much memory and know
 * less, for a client's connections come and go.
 */
#include "server/token_cache.h"

#include <stdatomic.h>

#include "os/secret_memory.h"
#include "subtoken/cache.h"

#define PARTS 16
#define PART_SIZE 65536 /* about 90 tokens */
#define ENDING 8        /* characters */

typedef struct part {
  subtoken_cache cache; /* first */
  atomic_flag used;
} __attribute__((aligned(64))) part;

static struct {
  uint8_t *memory; /* of all parts */
  part parts[PARTS];
} tokens;

bool st_token_cache_start(void) {
  tokens.memory = st_secret_memory_alloc((size_t)PARTS * PART_SIZE);
  bool good = tokens.memory != NULL;
  for (size_t i = 0; good && i < PARTS; i++) {
    part *p = &tokens.parts[i];
    atomic_flag_clear(&p->used);
    good = subtoken_cache_init(&p->cache, tokens.memory + i * PART_SIZE, PART_SIZE) == SUBTOKEN_OK;
  }
  if (!good) st_token_cache_stop();
  return good;
}

void st_token_cache_stop(void) {
  if (tokens.memory != NULL) st_secret_memory_free(tokens.memory, (size_t)PARTS * PART_SIZE);
  tokens.memory = NULL;
}

static subtoken_cache *token_cache_acquire(subtoken_text token) {
  uint32_t hash = 2166136261U; /* FNV-1a */
  if (tokens.memory == NULL || token.len < ENDING) return NULL;
  for (size_t i = token.len - ENDING; i < token.len; i++) {
    hash = (hash ^ (uint8_t)token.data[i]) * 16777619U;
  }
  part *p = &tokens.parts[(hash >> 16) % PARTS];
  return atomic_flag_test_and_set_explicit(&p->used, memory_order_acquire) ? NULL : &p->cache;
}

static void token_cache_release(subtoken_cache *cache) {
  part *p = (part *)cache;
  atomic_flag_clear_explicit(&p->used, memory_order_release);
}

st_token_caches st_token_cache_get(void) {
  return (st_token_caches){token_cache_acquire, token_cache_release};
}
