/* last_signed: until when tokens of a secret may be valid, on every kind of store. */
#include "support.h"

#include "store_contract.h"

#include "operations/last_signed.h"
#include "subtoken/verify.h"

#define YEAR (INT64_C(365) * 86400)

static int64_t until(const char *kid) {
  int64_t value = -1;
  if (!st_last_signed_valid_until(store, st_text(kid), &value, error)) fail_msg("%s", error);
  return value;
}

static void what_is_not_known_may_be_valid(void **state) {
  (void)state;
  assert_true(until("winter") == ST_NEVER);
  assert_true(st_last_signed_end(store, ST_TEXT("winter"), NOW, error));
  assert_true(until("winter") == ST_NEVER); /* nothing has said that it signs */
}

static void one_that_never_signed_has_no_tokens(void **state) {
  (void)state;
  assert_true(st_last_signed_set(store, ST_TEXT("winter"), 0, error));
  assert_true(until("winter") == 0);
  assert_true(st_last_signed_end(store, ST_TEXT("winter"), NOW, error));
  assert_true(until("winter") == 0);
  assert_true(until("") == ST_NEVER); /* each for itself */
}

static void one_that_signed_has_them_for_the_longest_life(void **state) {
  (void)state;
  assert_true(st_last_signed_set(store, ST_TEXT(""), ST_NEVER, error));
  assert_true(until("") == ST_NEVER);
  assert_true(st_last_signed_end(store, ST_TEXT(""), NOW, error));
  assert_true(until("") == NOW + YEAR + 2 * SUBTOKEN_LEEWAY_MAX);
  assert_true(st_last_signed_end(store, ST_TEXT(""), NOW + 5, error)); /* it is over already */
  assert_true(until("") == NOW + YEAR + 2 * SUBTOKEN_LEEWAY_MAX);
  assert_int_equal(st_store_set_setting(store, "max_life", 3 * YEAR, error), ST_STORE_OK);
  assert_true(until("") == NOW + 3 * YEAR + 2 * SUBTOKEN_LEEWAY_MAX);
  assert_int_equal(st_store_set_setting(store, "max_life", YEAR / 2, error), ST_STORE_OK);
  assert_true(until("") == NOW + YEAR + 2 * SUBTOKEN_LEEWAY_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_is_not_known_may_be_valid),
      TEST(one_that_never_signed_has_no_tokens),
      TEST(one_that_signed_has_them_for_the_longest_life),
  };
  return RUN_ON_EVERY_STORE(tests);
}
