/* A cache of authenticated tokens in memory of the caller's: a table of sets of eight slots, which
 * a hash of the token's signature chooses, and a log of entries of any length. New entries go where
 * the log was written last; what lies ahead is replaced, the oldest first, but an entry that was
 * used since then is moved to the front once. So tokens that come once pass through.
 *
 * Positions and sizes in the log are counted in units of 16 bytes. Zeroed memory is an empty cache.
 */
#include "core/cache.h"

#include "base/vector.h"

#define UNIT 16U
#define WAYS 8U
#define LOG_UNITS_MAX (UINT32_MAX / 2) /* of a log: sums of two positions fit */
#define MOVES_MAX 8                    /* entries that are moved for one that is kept */
#define TAIL 43U                       /* characters of a token that are hashed: its signature */

typedef struct cache_slot {
  uint32_t tag;   /* of the hash; bit 0: used since it was kept or moved */
  uint32_t place; /* 1 + the position of the entry, 0: none */
} cache_slot;

#define USED 1U

typedef struct cache_set {
  cache_slot slots[WAYS]; /* a cache line */
} cache_set;

/* What the memory begins with. In the log, the entries are before `write`, and from `limit` to
 * `end`; what is between `write` and `limit` is free. When limit is at the end, all behind `write`
 * is free. */
typedef struct cache_state {
  uint32_t write, limit, end;
  uint32_t ring_count;
  subtoken_secret secrets[SUBTOKEN_RING_MAX]; /* those of the ring */
} cache_state;

/* An entry: this, and behind it the token, the text of the claims, and the slices of permissions,
 * of urls and of via. Each begins with a unit, and zeros fill its last one. */
typedef struct cache_entry {
  uint64_t hash;
  uint32_t units; /* of the whole entry */
  uint32_t token_len;
  char head[offsetof(subtoken_claims, permissions)]; /* of the claims */
  char filled[8];
} cache_entry;

_Static_assert(sizeof(cache_entry) % UNIT == 0 && sizeof(((subtoken_claims *)0)->text) % UNIT == 0,
               "the pieces of an entry are whole units");

typedef struct cache_view {
  cache_state *state;
  cache_set *sets;
  unsigned shift; /* of a hash, to the number of its set */
  char *log;
  uint32_t log_units;
} cache_view;

#define ALIGN 64U
#define STATE_LEN ((sizeof(cache_state) + ALIGN - 1) / ALIGN * ALIGN)

static inline size_t rounded(size_t len) {
  return (len + UNIT - 1) & ~(size_t)(UNIT - 1);
}

typedef uint64_t unit_bytes __attribute__((vector_size(UNIT)));

static inline unit_bytes load_unit(const char *from) {
  unit_bytes unit;
  memcpy(&unit, from, UNIT);
  return unit;
}

/* Copies whole units. The lengths are short: a call of memcpy takes longer. */
static inline void copy_units(char *to, const char *from, size_t len) {
  for (size_t at = 0; at < len; at += UNIT) {
    unit_bytes unit = load_unit(from + at);
    memcpy(to + at, &unit, UNIT);
  }
}

/* st_equal_secret for at least one unit, inline and a unit at a time: this is what most of finding
 * a token takes. No step depends on the bytes. */
static inline bool equal_units(const void *a, const void *b, size_t len) {
  const char *x = a, *y = b;
  unit_bytes differ = load_unit(x + len - UNIT) ^ load_unit(y + len - UNIT);
  for (size_t at = 0; at + UNIT <= len; at += UNIT) differ |= load_unit(x + at) ^ load_unit(y + at);
  uint64_t sum = differ[0] | differ[1];
  __asm__ __volatile__("" : "+r"(sum)); /* as in st_equal_secret */
  bool equal = sum == 0;
  ST_VERDICT(equal);
  return equal;
}

/* ---- the memory ---- */

/* So many sets that an ordinary entry has three to six slots. */
static inline unsigned log_sets(size_t bytes) {
  return 63U - (unsigned)__builtin_clzll(bytes / 1024);
}

bool st_cache_valid(const subtoken_cache *cache) {
  return cache != NULL && cache->size == sizeof *cache && cache->memory != NULL &&
         cache->memory_size >= SUBTOKEN_CACHE_MIN;
}

static inline cache_view view_of(const subtoken_cache *cache) {
  size_t skip = -(uintptr_t)cache->memory & (ALIGN - 1);
  char *memory = (char *)cache->memory + skip;
  size_t size = cache->memory_size - skip - STATE_LEN;
  unsigned sets = log_sets(size);
  cache_view view = {.state = (cache_state *)(void *)memory,
                     .sets = (cache_set *)(void *)(memory + STATE_LEN),
                     .shift = 64 - sets};
  size_t table = sizeof(cache_set) << sets;
  size_t units = (size - table) / UNIT;
  view.log = memory + STATE_LEN + table;
  view.log_units = units < LOG_UNITS_MAX ? (uint32_t)units : LOG_UNITS_MAX;
  return view;
}

size_t subtoken_cache_size(size_t tokens) {
  /* An entry of 45 units, the slots for it, and what is left over at the end of the log. */
  const size_t each = (size_t)45 * UNIT + 2 * sizeof(cache_set), more = STATE_LEN + 4096;
  if (tokens > (SIZE_MAX - more) / each) return 0;
  size_t size = tokens * each + more;
  return size < SUBTOKEN_CACHE_MIN ? SUBTOKEN_CACHE_MIN : size;
}

subtoken_result subtoken_cache_init(subtoken_cache *cache, void *memory, size_t memory_size) {
  if (cache == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *cache = (subtoken_cache){0, NULL, 0};
  if (memory == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (memory_size < SUBTOKEN_CACHE_MIN) return SUBTOKEN_BUFFER_TOO_SMALL;
  memset(memory, 0, memory_size);
  *cache = (subtoken_cache){sizeof *cache, memory, memory_size};
  return SUBTOKEN_OK;
}

void subtoken_cache_wipe(subtoken_cache *cache) {
  if (st_cache_valid(cache)) subtoken_wipe(cache->memory, cache->memory_size);
}

/* ---- the ring ---- */

static inline bool ring_is_same(const cache_state *state, const subtoken_ring *ring) {
  return state->ring_count == ring->count && ring->count <= SUBTOKEN_RING_MAX && ring->count > 0 &&
         equal_units(state->secrets, ring->secrets, ring->count * sizeof *ring->secrets);
}

/* False when nothing can be good under the new ring. */
static __attribute__((noinline)) bool take_ring(const subtoken_cache *cache, const cache_view *view,
                                                const subtoken_ring *ring) {
  cache_state *state = view->state;
  if (state->ring_count != 0) subtoken_wipe(cache->memory, cache->memory_size);
  if (ring->count == 0 || ring->count > SUBTOKEN_RING_MAX) return false;
  memcpy(state->secrets, ring->secrets, ring->count * sizeof *ring->secrets);
  state->ring_count = (uint32_t)ring->count;
  return true;
}

/* ---- the table ---- */

/* Where a token lies shows in the time that finding it takes. So all of its signature says where:
 * the time tells whether that is right as a whole, and of one that is wrong nothing. */
static inline uint64_t hash_of(subtoken_text token) {
  const char *end = token.data + token.len;
  uint64_t words[6];
  memcpy(words, end - TAIL, 8);
  memcpy(words + 1, end - 40, 40);
  uint64_t hash = words[0] + words[1] * UINT64_C(0xBF58476D1CE4E5B9) +
                  words[2] * UINT64_C(0x94D049BB133111EB) +
                  words[3] * UINT64_C(0x9FB21C651E98DF25) +
                  words[4] * UINT64_C(0xA0761D6478BD642F) + words[5] * UINT64_C(0xE7037ED1A0B428DB);
  hash = (hash ^ hash >> 32) * UINT64_C(0x9E3779B97F4A7C15);
  hash = (hash ^ hash >> 32) * UINT64_C(0xD6E8FEB86659FD93);
  ST_VERDICT(hash);
  return hash;
}

static inline cache_set *set_of(const cache_view *view, uint64_t hash) {
  return &view->sets[hash >> view->shift];
}

static inline uint32_t tag_of(uint64_t hash) {
  return (uint32_t)hash & ~USED;
}

/* The entry at a position, or NULL when what is there cannot be one. */
static inline cache_entry *entry_at(const cache_view *view, uint32_t at) {
  if (at >= view->log_units) return NULL;
  cache_entry *entry = (cache_entry *)(void *)(view->log + (size_t)at * UNIT);
  size_t left = view->log_units - at;
  return left * UNIT >= sizeof *entry && entry->units <= left &&
                 entry->units * (size_t)UNIT >= sizeof *entry
             ? entry
             : NULL;
}

static cache_slot *slot_of(const cache_view *view, const cache_entry *entry, uint32_t at) {
  cache_set *set = set_of(view, entry->hash);
  for (size_t i = 0; i < WAYS; i++) {
    if (set->slots[i].place == at + 1) return &set->slots[i];
  }
  return NULL;
}

/* An empty slot, else one that was not used, else any; what it had is forgotten. */
static cache_slot *free_slot(const cache_view *view, uint64_t hash) {
  cache_set *set = set_of(view, hash);
  cache_slot *unused = NULL;
  for (size_t i = 0; i < WAYS; i++) {
    cache_slot *slot = &set->slots[i];
    if (slot->place == 0) return slot;
    if (unused == NULL && (slot->tag & USED) == 0) unused = slot;
  }
  if (unused != NULL) return unused;
  for (size_t i = 0; i < WAYS; i++) set->slots[i].tag &= ~USED;
  return &set->slots[hash / 2 % WAYS];
}

static inline size_t entry_len(size_t token, size_t text, size_t permissions, size_t urls,
                               size_t via) {
  return sizeof(cache_entry) + rounded(token) + rounded(text) + rounded(permissions) +
         rounded(urls) + rounded(via);
}

/* ---- finding ---- */

/* Copies the claims of an entry. False when its lengths are not those of an entry. */
static inline bool read_entry(const cache_entry *entry, subtoken_claims *claims) {
  uint16_t counts[4]; /* permissions, urls, text, via */
  memcpy(counts, entry->head + offsetof(subtoken_claims, permission_count), sizeof counts);
  size_t permissions = rounded(counts[0] * sizeof(subtoken_slice));
  size_t urls = rounded(counts[1] * sizeof(subtoken_slice)), text = rounded(counts[2]);
  size_t via = rounded(counts[3] * sizeof(subtoken_slice));
  const char *at = (const char *)(entry + 1) + rounded(entry->token_len);
  if (permissions > sizeof claims->permissions || urls > sizeof claims->urls ||
      text > sizeof claims->text || via > sizeof claims->via ||
      entry_len(entry->token_len, text, permissions, urls, via) != entry->units * (size_t)UNIT) {
    return false;
  }
  memcpy(claims, entry->head, sizeof entry->head);
  copy_units(claims->text, at, text);
  copy_units((char *)claims->permissions, at + text, permissions);
  copy_units((char *)claims->urls, at + text + permissions, urls);
  copy_units((char *)claims->via, at + text + permissions + urls, via);
  return true;
}

static inline bool entry_is(const cache_entry *entry, subtoken_text token) {
  return entry->token_len == token.len &&
         sizeof *entry + token.len <= entry->units * (size_t)UNIT &&
         equal_units(entry + 1, token.data, token.len);
}

bool st_cache_find(const subtoken_cache *cache, const subtoken_ring *ring, subtoken_text token,
                   subtoken_claims *claims) {
  cache_view view = view_of(cache);
  st_vector_clean(ring->secrets[0].cpu);
  if (!ring_is_same(view.state, ring) && !take_ring(cache, &view, ring)) return false;
  if (token.len < TAIL || token.len > SUBTOKEN_TOKEN_MAX) return false;
  uint64_t hash = hash_of(token);
  cache_set *set = set_of(&view, hash);
  for (size_t i = 0; i < WAYS; i++) {
    cache_slot *slot = &set->slots[i];
    if ((slot->tag & ~USED) != tag_of(hash) || slot->place == 0) continue;
    const cache_entry *entry = entry_at(&view, slot->place - 1);
    if (entry == NULL || !entry_is(entry, token) || !read_entry(entry, claims)) continue;
    if ((slot->tag & USED) == 0) slot->tag |= USED;
    return true;
  }
  return false;
}

/* ---- keeping ---- */

/* Moves the entry at `limit` to `write`, or forgets it. False when it is no entry. */
static bool pass_entry(const cache_view *view, unsigned *moves) {
  cache_state *state = view->state;
  const cache_entry *entry = entry_at(view, state->limit);
  if (entry == NULL || entry->units > state->end - state->limit) return false;
  uint32_t units = entry->units;
  cache_slot *slot = slot_of(view, entry, state->limit);
  if (slot != NULL && (slot->tag & USED) != 0 && *moves < MOVES_MAX) {
    (*moves)++;
    memmove(view->log + (size_t)state->write * UNIT, entry, (size_t)units * UNIT);
    *slot = (cache_slot){slot->tag & ~USED, state->write + 1};
    state->write += units;
  } else if (slot != NULL) {
    *slot = (cache_slot){0, 0};
  }
  state->limit += units;
  return true;
}

/* Makes room for an entry behind `write`. False when the memory is not what this file wrote. */
static bool make_room(const cache_view *view, uint32_t units) {
  cache_state *state = view->state;
  unsigned moves = 0;
  if (state->write > view->log_units || state->end > view->log_units) return false;
  for (;;) {
    bool last = state->limit >= state->end;
    if (!last && state->write > state->limit) return false;
    uint32_t until = last ? view->log_units : state->limit;
    if (until - state->write >= units) return true;
    if (last) {
      state->end = state->write;
      state->write = state->limit = 0;
    }
    if (!pass_entry(view, &moves)) return false;
  }
}

/* Appends a piece, whose last unit is filled with zeros. */
static char *write_piece(char *to, const void *from, size_t len) {
  size_t whole = rounded(len);
  if (len == 0) return to;
  memset(to + whole - UNIT, 0, UNIT);
  memcpy(to, from, len);
  return to + whole;
}

static void write_entry(cache_entry *entry, subtoken_text token, const subtoken_claims *claims) {
  memcpy(entry->head, claims, sizeof entry->head);
  char *at = write_piece((char *)(entry + 1), token.data, token.len);
  at = write_piece(at, claims->text, claims->text_len);
  at = write_piece(at, claims->permissions, claims->permission_count * sizeof(subtoken_slice));
  at = write_piece(at, claims->urls, claims->url_count * sizeof(subtoken_slice));
  write_piece(at, claims->via, claims->via_count * sizeof(subtoken_slice));
}

void st_cache_keep(const subtoken_cache *cache, subtoken_text token,
                   const subtoken_claims *claims) {
  cache_view view = view_of(cache);
  size_t len = entry_len(
      token.len, claims->text_len, claims->permission_count * sizeof(subtoken_slice),
      claims->url_count * sizeof(subtoken_slice), claims->via_count * sizeof(subtoken_slice));
  if (token.len < TAIL || token.len > SUBTOKEN_TOKEN_MAX || view.state->ring_count == 0) return;
  if (len / UNIT > view.log_units / 4) return;
  uint32_t units = (uint32_t)(len / UNIT);
  if (!make_room(&view, units)) {
    subtoken_wipe(cache->memory, cache->memory_size);
    return;
  }
  uint64_t hash = hash_of(token);
  uint32_t at = view.state->write;
  cache_entry *entry = (cache_entry *)(void *)(view.log + (size_t)at * UNIT);
  entry->hash = hash;
  entry->units = units;
  entry->token_len = (uint32_t)token.len;
  write_entry(entry, token, claims);
  *free_slot(&view, hash) = (cache_slot){tag_of(hash), at + 1};
  view.state->write += units;
}
