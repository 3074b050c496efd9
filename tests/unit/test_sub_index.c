/* The index by sub: it names the places of a sub, and seldom those of another one. */
#include "support.h"

#include "store/sub_index.h"

static const char *sub_of(uint64_t n) {
  static char sub[ST_SUB_LEN + 1];
  snprintf(sub, sizeof sub, "%043llu", (unsigned long long)n);
  return sub;
}

static bool names(st_sub_index *index, uint64_t n, uint32_t place) {
  uint32_t places[ST_SUB_INDEX_FOUND_MAX];
  size_t count = st_sub_index_find(index, sub_of(n), places);
  assert_true(count <= ST_SUB_INDEX_FOUND_MAX);
  for (size_t i = 0; i < count; i++) {
    if (places[i] == place) return true;
  }
  return false;
}

static void a_sub_is_found_until_it_is_removed(void **state) {
  (void)state;
  st_sub_index *index = st_sub_index_new(1000, 4, 1);
  assert_non_null(index);
  st_sub_index_add(index, sub_of(1), 100);
  st_sub_index_add(index, sub_of(1), 0); /* two keys that had it */
  st_sub_index_add(index, sub_of(2), UINT32_MAX);
  st_sub_index_remove(index, sub_of(3), 100);
  st_sub_index_remove(index, sub_of(1), 101);
  assert_true(names(index, 1, 100) && names(index, 1, 0) && names(index, 2, UINT32_MAX));
  assert_false(names(index, 2, 100) || names(index, 3, 0));
  st_sub_index_remove(index, sub_of(1), 100);
  assert_true(!names(index, 1, 100) && names(index, 1, 0));
  st_sub_index_clear(index);
  assert_true(!names(index, 1, 0) && !names(index, 2, UINT32_MAX));
  st_sub_index_add(index, sub_of(2), 5);
  assert_true(names(index, 2, 5));
  st_sub_index_free(index);
  st_sub_index_free(NULL);
}

static void as_many_as_it_has_room_for_are_found(void **state) {
  (void)state;
  enum { ROOM = 20000, SUBS = ROOM / 9 * 8 };
  st_sub_index *index = st_sub_index_new(ROOM, 8, 2);
  assert_non_null(index);
  size_t found = 0;
  for (uint32_t n = 0; n < SUBS; n++) st_sub_index_add(index, sub_of(n), n);
  for (uint32_t n = 0; n < SUBS; n++) found += names(index, n, n);
  CHECK(found > SUBS - SUBS / 200, "%zu", found);
  /* What is too much takes the place of others, and nothing else. */
  for (uint32_t n = SUBS; n < 3 * SUBS; n++) st_sub_index_add(index, sub_of(n), n);
  assert_true(names(index, 3 * SUBS - 1, 3 * SUBS - 1));
  for (uint32_t n = 0; n < 3 * SUBS; n++) st_sub_index_remove(index, sub_of(n), n);
  for (uint32_t n = 0; n < 3 * SUBS; n++) assert_false(names(index, n, n));
  st_sub_index_free(index);
}

static void the_bytes_are_what_is_taken(void **state) {
  (void)state;
  assert_true(st_sub_index_bytes(100000, 16) - st_sub_index_bytes(0, 16) < 100000 * 7);
  assert_true(st_sub_index_bytes(0, 16) < 16 * 192);
  /* A stripe, and a bucket of 12 subs in each, are so many bytes. */
  const size_t one = st_sub_index_bytes(0, 1);
  assert_true(one > 64);
  assert_int_equal(st_sub_index_bytes(0, 2) - one, 64);
  static const size_t buckets[] = {0, 1, 12, 13, 24, 25};
  for (size_t i = 0; i < COUNT(buckets); i++) {
    size_t each = i == 0 ? 0 : i < 3 ? 1 : i < 5 ? 2 : 3;
    assert_int_equal(st_sub_index_bytes(buckets[i], 1) - one, 64 * each);
    assert_int_equal(st_sub_index_bytes(4 * buckets[i], 4) - st_sub_index_bytes(0, 4),
                     4 * 64 * each);
  }
}

/* One bucket: the 13th takes the place that its number says. */
static void a_full_bucket_gives_up_one(void **state) {
  (void)state;
  for (uint32_t place = 12; place < 36; place++) {
    st_sub_index *index = st_sub_index_new(12, 1, 7);
    assert_non_null(index);
    for (uint32_t n = 0; n < 12; n++) st_sub_index_add(index, sub_of(n), n);
    st_sub_index_add(index, sub_of(99), place);
    assert_true(names(index, 99, place));
    for (uint32_t n = 0; n < 12; n++) assert_int_equal(names(index, n, n), n != place % 12);
    st_sub_index_free(index);
  }
}

/* Two subs at one place: what is removed is one of them. What is cleared names nobody. */
static void no_other_sub_is_removed(void **state) {
  (void)state;
  st_sub_index *index = st_sub_index_new(12, 1, 7);
  assert_non_null(index);
  st_sub_index_add(index, sub_of(1), 5);
  st_sub_index_add(index, sub_of(2), 5);
  st_sub_index_remove(index, sub_of(1), 5);
  assert_true(names(index, 2, 5) && !names(index, 1, 5));
  st_sub_index_clear(index);
  for (uint32_t n = 0; n < 3000; n++) {
    uint32_t places[ST_SUB_INDEX_FOUND_MAX];
    assert_int_equal(st_sub_index_find(index, sub_of(n), places), 0);
  }
  st_sub_index_free(index);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sub_is_found_until_it_is_removed),
      cmocka_unit_test(as_many_as_it_has_room_for_are_found),
      cmocka_unit_test(the_bytes_are_what_is_taken),
      cmocka_unit_test(a_full_bucket_gives_up_one),
      cmocka_unit_test(no_other_sub_is_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
