/*
 * memory.c - the allocator of shim.c. The next one is looked up at the first call; what that lookup
 * itself allocates comes from a small arena that is never given back. A function that libc builds
 * on another (strdup on malloc) is one call here, whoever is behind.
 */
#include "shim.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static union {
  max_align_t align;
  char bytes[65536];
} arena;
static size_t arena_used;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void *(*next_memalign)(size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void (*next_free)(void *);

/* Is the allocator behind us known? Not while it is looked up, by the first thread there is. */
static int ready(void) {
  static int looking;
  if (next_free != NULL) return 1;
  if (looking) return 0;
  looking = 1;
  next_malloc = (void *(*)(size_t))shim_next("malloc");
  next_calloc = (void *(*)(size_t, size_t))shim_next("calloc");
  next_realloc = (void *(*)(void *, size_t))shim_next("realloc");
  next_memalign = (void *(*)(size_t, size_t))shim_next("memalign");
  next_aligned_alloc = (void *(*)(size_t, size_t))shim_next("aligned_alloc");
  next_posix_memalign = (int (*)(void **, size_t, size_t))shim_next("posix_memalign");
  next_free = (void (*)(void *))shim_next("free");
  return 1;
}

static void *from_arena(size_t size) {
  size_t at = (arena_used + 63) / 64 * 64;
  if (size > sizeof arena.bytes - at) abort();
  arena_used = at + size;
  return arena.bytes + at;
}

static int in_arena(const void *p) {
  return (const char *)p >= arena.bytes && (const char *)p < arena.bytes + sizeof arena.bytes;
}

static int fails(const void *caller) {
  enum fate fate = shim_fate(KIND_memory, NULL, -1, caller);
  return fate != FATE_PROCEED;
}

static void *give(size_t size, const void *caller) {
  if (!ready()) return from_arena(size);
  return fails(caller) ? NULL : next_malloc(size);
}

static void *give_again(void *p, size_t size, const void *caller) {
  if (in_arena(p)) { /* how much of it was in use is not known: as much as there is behind it */
    size_t behind = (size_t)(arena.bytes + sizeof arena.bytes - (char *)p);
    void *q = give(size, caller);
    return q == NULL ? NULL : memcpy(q, p, size < behind ? size : behind);
  }
  if (!ready()) return from_arena(size);
  return fails(caller) ? NULL : next_realloc(p, size);
}

void *malloc(size_t size) {
  return give(size, CALLER);
}

void *calloc(size_t n, size_t size) {
  if (!ready()) return from_arena(n * size);
  return fails(CALLER) ? NULL : next_calloc(n, size);
}

void *realloc(void *p, size_t size) {
  return give_again(p, size, CALLER);
}

void *reallocarray(void *p, size_t n, size_t size) {
  size_t whole;
  if (__builtin_mul_overflow(n, size, &whole)) {
    errno = ENOMEM;
    return NULL;
  }
  return give_again(p, whole, CALLER);
}

void free(void *p) {
  if (!in_arena(p) && ready()) next_free(p);
}

void *memalign(size_t align, size_t size) {
  if (!ready()) return from_arena(size);
  return fails(CALLER) ? NULL : next_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size) {
  if (!ready()) return from_arena(size);
  return fails(CALLER) ? NULL : next_aligned_alloc(align, size);
}

int posix_memalign(void **out, size_t align, size_t size) {
  int was = errno;
  if (!ready()) return ENOMEM;
  if (fails(CALLER)) {
    int error = errno;
    errno = was;
    return error;
  }
  return next_posix_memalign(out, align, size);
}

static char *copy_of(const char *text, size_t length, const void *caller) {
  char *copy = give(length + 1, caller);
  if (copy == NULL) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

char *(strdup)(const char *text) {
  return copy_of(text, strlen(text), CALLER);
}

char *__strdup(const char *text);
char *__strdup(const char *text) {
  return copy_of(text, strlen(text), CALLER);
}

char *(strndup)(const char *text, size_t most) {
  return copy_of(text, strnlen(text, most), CALLER);
}
