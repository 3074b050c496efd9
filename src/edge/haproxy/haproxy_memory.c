/* Memory for Lua. HAProxy makes a coroutine and some ten tables for each request that runs Lua, and
 * most of what that costs is malloc's. Here small blocks come from one piece of memory, by their
 * size, in lists that need no search; all others come from HAProxy, and so does the piece, so that
 * tune.lua.maxmem counts it. Where a piece is not to be had, HAProxy's memory is used as before.
 */
#include <string.h>

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_MEMORY_PIECE (16u << 20) /* bytes; only what is used takes pages */
#define ST_HAPROXY_MEMORY_UNIT 16
#define ST_HAPROXY_MEMORY_CLASSES 64 /* blocks up to 1 KiB */

typedef struct st_haproxy_block {
  struct st_haproxy_block *next;
} st_haproxy_block;

/* At the start of the piece. */
typedef struct st_haproxy_memory {
  lua_Alloc other;
  void *other_context;
  char *piece, *unused;
  st_haproxy_block *freed[ST_HAPROXY_MEMORY_CLASSES + 1];
} st_haproxy_memory;

static inline size_t st_haproxy_memory_class(size_t size) {
  return (size + ST_HAPROXY_MEMORY_UNIT - 1) / ST_HAPROXY_MEMORY_UNIT;
}

static inline bool st_haproxy_memory_owns(const st_haproxy_memory *memory, const void *block) {
  return (uintptr_t)block - (uintptr_t)memory->piece < ST_HAPROXY_MEMORY_PIECE;
}

static void *st_haproxy_memory_get(st_haproxy_memory *memory, size_t old_type, size_t size) {
  size_t class = st_haproxy_memory_class(size), bytes = class * ST_HAPROXY_MEMORY_UNIT;
  if (class <= ST_HAPROXY_MEMORY_CLASSES) {
    st_haproxy_block *block = memory->freed[class];
    if (block != NULL) {
      memory->freed[class] = block->next;
      return block;
    }
    if (bytes <= (size_t)(memory->piece + ST_HAPROXY_MEMORY_PIECE - memory->unused)) {
      memory->unused += bytes;
      return memory->unused - bytes;
    }
  }
  return memory->other(memory->other_context, NULL, old_type, size);
}

static void st_haproxy_memory_put(st_haproxy_memory *memory, void *block, size_t size) {
  size_t class = st_haproxy_memory_class(size);
  st_haproxy_block *freed = block;
  freed->next = memory->freed[class];
  memory->freed[class] = freed;
}

/* A lua_Alloc. Lua says how large a block was; without a block old_size is the type of what it will
 * be. A block that shrinks must not fail: it keeps its place.
 */
static void *st_haproxy_memory_allocate(void *context, void *block, size_t old_size, size_t size) {
  st_haproxy_memory *memory = context;
  if (block == NULL) return size == 0 ? NULL : st_haproxy_memory_get(memory, old_size, size);
  if (!st_haproxy_memory_owns(memory, block)) {
    return memory->other(memory->other_context, block, old_size, size);
  }
  if (size == 0) {
    st_haproxy_memory_put(memory, block, old_size);
    return NULL;
  }
  if (st_haproxy_memory_class(size) == st_haproxy_memory_class(old_size)) return block;
  void *moved = st_haproxy_memory_get(memory, 0, size);
  if (moved == NULL) return size < old_size ? block : NULL;
  memcpy(moved, block, old_size < size ? old_size : size);
  st_haproxy_memory_put(memory, block, old_size);
  return moved;
}

bool st_haproxy_memory_use(lua_State *L) {
  void *context;
  lua_Alloc other = lua_getallocf(L, &context);
  if (other == st_haproxy_memory_allocate) return true;
  char *piece = other(context, NULL, LUA_TUSERDATA, ST_HAPROXY_MEMORY_PIECE);
  if (piece == NULL) return false;
  st_haproxy_memory *memory = (st_haproxy_memory *)(void *)piece;
  memset(memory, 0, sizeof *memory);
  memory->other = other;
  memory->other_context = context;
  memory->piece = piece;
  memory->unused = piece + st_haproxy_memory_class(sizeof *memory) * ST_HAPROXY_MEMORY_UNIT;
  lua_setallocf(L, st_haproxy_memory_allocate, memory);
  return true;
}
