/* The log of a cache, against a plain model of it: where each entry lies, which are moved and which
 * are replaced, in memory of any size. What is found in it is in test_cache.c.
 */
#include "support.h"

#include "core/cache.h"

/* As core/cache.c lays it out: the state, the table, the log. */
#define STATE_LEN ((16 + sizeof(subtoken_secret) * SUBTOKEN_RING_MAX + 63) / 64 * 64)
#define ENTRY_LEN ((16 + offsetof(subtoken_claims, permissions) + 8 + 15) / 16 * 16)
#define MOVES_MAX 8
#define TOKENS 100

static _Alignas(64) char memory[1 << 15], copy[1 << 15];
static subtoken_cache cache;
static subtoken_ring ring;
static subtoken_claims claims;
static char texts[TOKENS][SUBTOKEN_TOKEN_MAX];
static subtoken_text tokens[TOKENS];

/* Each with a signature of its own: `len` characters that end in its number. */
static subtoken_text name_token(size_t which, size_t len) {
  memset(texts[which], 'a', len);
  uint64_t seed = which;
  for (size_t i = 1; i <= 43; i++) texts[which][len - i] = (char)('A' + random_below(&seed, 26));
  return tokens[which] = (subtoken_text){texts[which], len};
}

/* ---- the model ---- */

typedef struct model_entry {
  size_t token, at, units;
  bool used;
} model_entry;

static struct {
  model_entry entries[TOKENS]; /* from the oldest to the newest, of those that can be found */
  size_t count, write, limit, end, log;
} model;

static size_t model_at(size_t at) {
  for (size_t i = 0; i < model.count; i++) {
    if (model.entries[i].at == at) return i;
  }
  return TOKENS;
}

static void model_remove(size_t which) {
  model.count--;
  memmove(&model.entries[which], &model.entries[which + 1],
          (model.count - which) * sizeof model.entries[0]);
}

/* What the head of core/cache.c says: what lies ahead is replaced, the oldest first, but what was
 * used since is moved to the front once. */
static void model_keep(size_t token, size_t units) {
  size_t moved = 0;
  if (units > model.log / 4) return;
  while ((model.limit < model.end ? model.limit : model.log) - model.write < units) {
    if (model.limit >= model.end) {
      model.end = model.write;
      model.write = model.limit = 0;
    }
    size_t which = model_at(model.limit);
    assert_true(which < TOKENS);
    model_entry entry = model.entries[which];
    model_remove(which);
    model.limit += entry.units;
    if (!entry.used || moved == MOVES_MAX) continue;
    moved++;
    entry.used = false;
    entry.at = model.write;
    model.entries[model.count++] = entry;
    model.write += entry.units;
  }
  model.entries[model.count++] = (model_entry){token, model.write, units, false};
  model.write += units;
}

static void model_is_right(size_t step, size_t skip) {
  uint32_t state[4];
  memcpy(state, memory + (skip + 63) / 64 * 64, sizeof state);
  CHECK(state[0] == model.write && state[1] == model.limit && state[2] == model.end,
        "step %zu: %u %u %u, not %zu %zu %zu", step, state[0], state[1], state[2], model.write,
        model.limit, model.end);
  /* Looks without a trace: in a copy. */
  subtoken_cache looked = {sizeof looked, copy + skip, cache.memory_size};
  memcpy(copy, memory, sizeof copy);
  for (size_t i = 0; i < TOKENS && tokens[i].len > 0; i++) {
    bool want = false;
    for (size_t j = 0; j < model.count; j++) want |= model.entries[j].token == i;
    CHECK(st_cache_find(&looked, &ring, tokens[i], &claims) == want, "step %zu: %zu", step, i);
  }
}

static const subtoken_claims none;

/* Tokens of these lengths in turn, of which each `often`th is used again, in `size` bytes. */
static void follow_model(size_t skip, size_t size, const size_t *lens, size_t count, size_t often) {
  size_t sets = 1, usable = size - (63 - (skip + 63) % 64) - STATE_LEN;
  while (sets * 2 * 1024 <= usable) sets *= 2;
  memset(&model, 0, sizeof model);
  memset(tokens, 0, sizeof tokens);
  model.log = (usable - sets * 64) / 16;
  ring_with(&ring, "", TEST_SECRET);
  assert_int_equal(subtoken_cache_init(&cache, memory + skip, size), SUBTOKEN_OK);
  assert_false(st_cache_find(&cache, &ring, name_token(0, 43), &claims)); /* it takes the ring */
  for (size_t i = 0; i < TOKENS; i++) {
    subtoken_text token = name_token(i, lens[i % count]);
    st_cache_keep(&cache, token, &none);
    model_keep(i, (ENTRY_LEN + (token.len + 15) / 16 * 16) / 16);
    model_is_right(i, skip);
    for (size_t j = 0; j < model.count; j++) {
      model_entry *entry = &model.entries[j];
      if (often == 0 || (entry->token + i) % often != 0) continue;
      assert_true(st_cache_find(&cache, &ring, tokens[entry->token], &claims));
      entry->used = true;
    }
  }
}

static void entries_lie_where_a_plain_model_has_them(void **state) {
  (void)state;
  static const size_t alike[] = {1000}, different[] = {3000, 43, 1200, 44, 512, 2047, 700};
  static const size_t often[] = {0, 1, 3};
  for (size_t i = 0; i < COUNT(often); i++) {
    follow_model(0, SUBTOKEN_CACHE_MIN, alike, COUNT(alike), often[i]);
    follow_model(1, 20011, alike, COUNT(alike), often[i]);
    follow_model(1, SUBTOKEN_CACHE_MIN, different, COUNT(different), often[i]);
    follow_model(40, 20011, different, COUNT(different), often[i]);
  }
}

/* To the last unit of the memory. */
static void an_entry_may_end_where_the_log_does(void **state) {
  (void)state;
  const size_t lens[] = {1000};
  follow_model(0, SUBTOKEN_CACHE_MIN, lens, 1, 0); /* for the size of the log */
  subtoken_cache_wipe(&cache);
  assert_false(st_cache_find(&cache, &ring, tokens[0], &claims));
  const size_t head = ENTRY_LEN / 16, each = head + 63;
  size_t count = 0;
  for (; model.log - count * each >= 2 * each; count++) {
    st_cache_keep(&cache, name_token(count, 1000), &none);
  }
  subtoken_text last = name_token(count, (model.log - count * each - head) * 16);
  st_cache_keep(&cache, last, &none);
  uint32_t write;
  memcpy(&write, memory, sizeof write);
  assert_int_equal(write, model.log);
  for (size_t i = 0; i <= count; i++) {
    CHECK(st_cache_find(&cache, &ring, tokens[i], &claims), "%zu of %zu", i, count);
  }
  /* The next one begins anew; as all were used, the first eight stay. */
  st_cache_keep(&cache, name_token(count + 1, 1000), &none);
  for (size_t i = 0; i <= count + 1; i++) {
    CHECK(st_cache_find(&cache, &ring, tokens[i], &claims) == (i != MOVES_MAX), "%zu", i);
  }
  st_cache_keep(&cache, name_token(count + 2, 43), &none);
  assert_true(st_cache_find(&cache, &ring, tokens[count + 1], &claims));
  assert_true(st_cache_find(&cache, &ring, tokens[count + 2], &claims));
}

static void a_quarter_of_the_log_is_kept_and_no_more(void **state) {
  (void)state;
  const size_t lens[] = {1000};
  follow_model(0, SUBTOKEN_CACHE_MIN, lens, 1, 0); /* for the size of the log */
  size_t quarter = (model.log / 4 - ENTRY_LEN / 16) * 16;
  st_cache_keep(&cache, name_token(0, quarter), &none);
  assert_true(st_cache_find(&cache, &ring, tokens[0], &claims));
  st_cache_keep(&cache, name_token(1, quarter + 1), &none);
  assert_false(st_cache_find(&cache, &ring, tokens[1], &claims));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_lie_where_a_plain_model_has_them),
      cmocka_unit_test(an_entry_may_end_where_the_log_does),
      cmocka_unit_test(a_quarter_of_the_log_is_kept_and_no_more),
  };
  return cmocka_run_group_tests_name("cache_log", tests, NULL, NULL);
}
