/* Keys and subs that are drawn at random. */
#include "support.h"

#include "base/base64url.h"
#include "base/hmac.h"
#include "core/claims.h"
#include "operations/draw.h"

static void every_bit_of_a_key_is_random(void **state) {
  (void)state;
  enum { DRAWS = 200 };
  static char keys[DRAWS][ST_KEY_LEN + 1];
  unsigned seen[ST_KEY_LEN] = {0}; /* which hex digits, as bits */
  for (size_t i = 0; i < DRAWS; i++) {
    st_key key;
    uint8_t digest[ST_HASH_LEN], wanted[ST_HASH_LEN];
    memset(&key, 0x5A, sizeof key);
    st_draw_key(keys[i], &key, digest);
    assert_int_equal(strlen(keys[i]), ST_KEY_LEN);
    assert_true(st_key_shaped(st_text(keys[i])));
    assert_int_equal(strlen(key.id), ST_KEY_ID_LEN);
    assert_memory_equal(key.id, keys[i], ST_KEY_ID_LEN);
    st_sha256(keys[i], ST_KEY_LEN, wanted);
    assert_memory_equal(digest, wanted, sizeof digest);
    assert_int_equal(strlen(key.sub), ST_SUB_LEN);
    assert_true(subtoken_sub_valid(st_text(key.sub)));
    for (size_t j = 0; j < i; j++) assert_string_not_equal(keys[i], keys[j]);
    for (size_t j = 0; j < ST_KEY_LEN; j++) {
      if (keys[i][j] != '-') seen[j] |= 1U << st_hex_value(keys[i][j]);
    }
  }
  /* All 256 bits are drawn: each digit takes (nearly) every value in 200 draws. */
  size_t digits = 0;
  for (size_t j = 0; j < ST_KEY_LEN; j++) {
    if (seen[j] == 0) continue;
    digits++;
    CHECK(__builtin_popcount(seen[j]) >= 14, "digit %zu: %x", j, seen[j]);
  }
  assert_int_equal(digits, 64);
}

static void a_sub_is_32_random_bytes(void **state) {
  (void)state;
  char one[ST_SUB_LEN + 1], two[ST_SUB_LEN + 1];
  uint8_t bytes[32];
  size_t len;
  st_draw_sub(one);
  st_draw_sub(two);
  assert_string_not_equal(one, two);
  assert_true(st_base64url_decode(st_text(one), bytes, sizeof bytes, &len));
  assert_int_equal(len, 32);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bit_of_a_key_is_random),
      cmocka_unit_test(a_sub_is_32_random_bytes),
  };
  return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
