/* Keys and subs that are drawn at random. */
#include "support.h"

#include <pthread.h>
#include <sys/mman.h>

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

/* A session's first refresh token, and the password of the first user, are drawn as a sub is. In a
 * thread whose stack is memory of ours, which is searched when the thread has ended.
 */
#define STACK ((size_t)512 * 1024)
static char drawn[ST_SUB_LEN + 1];

static void *draw_below(void *unused) {
  volatile char gap[64 * 1024]; /* the thread's end takes some of the stack once more */
  gap[0] = 0;
  st_draw_sub(drawn);
  gap[sizeof gap - 1] = 0;
  return unused;
}

static void nothing_of_what_was_drawn_is_left(void **state) {
  (void)state;
  pthread_attr_t attributes;
  pthread_t thread;
  uint8_t bytes[32];
  size_t len;
  uint8_t *stack =
      mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  assert_true(stack != MAP_FAILED);
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
  assert_int_equal(pthread_create(&thread, &attributes, draw_below, NULL), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
  assert_true(st_base64url_decode(st_text(drawn), bytes, sizeof bytes, &len));
#ifdef TESTED_IS_OPTIMISED /* else the compiler keeps copies of its own */
  for (size_t at = 0; at + 16 <= sizeof bytes; at += 16) {
    assert_null(memmem(stack, STACK, bytes + at, 16));
  }
#endif
  assert_int_equal(munmap(stack, STACK), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_bit_of_a_key_is_random),
      cmocka_unit_test(a_sub_is_32_random_bytes),
      cmocka_unit_test(nothing_of_what_was_drawn_is_left),
  };
  return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
