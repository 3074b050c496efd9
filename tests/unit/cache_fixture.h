/* cache_fixture - a cache in a heap block of its exact size, which holds zeros before and after. */
#ifndef TESTS_UNIT_CACHE_FIXTURE_H
#define TESTS_UNIT_CACHE_FIXTURE_H

#include "core/cache.h"
#include "support.h"

#define MEGABYTE ((size_t)1 << 20)

static __attribute__((unused)) subtoken_ring ring;
static __attribute__((unused)) subtoken_claims claims, plain;

/* One of these a test; end_cache releases it. */
static inline subtoken_cache start_cache(size_t size) {
  subtoken_cache cache;
  void *memory = malloc(size);
  if (memory == NULL) abort();
  memset(memory, 0x55, size);
  if (subtoken_cache_init(&cache, memory, size) != SUBTOKEN_OK) abort();
  for (size_t i = 0; i < size; i++) CHECK(((char *)memory)[i] == 0, "byte %zu", i);
  return cache;
}

static inline void end_cache(subtoken_cache *cache) {
  const char *memory = cache->memory;
  subtoken_cache_wipe(cache);
  for (size_t i = 0; i < cache->memory_size; i++) CHECK(memory[i] == 0, "byte %zu", i);
  free(cache->memory);
}

/* Where the library begins in the memory. */
static inline size_t start_of(const subtoken_cache *cache) {
  return -(uintptr_t)cache->memory & 63;
}

static inline bool finds(const subtoken_cache *cache, subtoken_text token) {
  static subtoken_claims found;
  if (!st_cache_find(cache, &ring, token, &found)) return false;
  for (size_t i = found.text_len; i % 16 != 0; i++) { /* nothing of what lay there before */
    CHECK(found.text[i] == 0, "byte %zu behind %u", i, found.text_len);
  }
  return true;
}

#endif
