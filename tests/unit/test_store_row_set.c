/* What rows that end leave behind: the line of the change says how many they were, and edges are
 * told of each.
 */
#include "store_contract.h"

static void what_ends_is_counted_and_told(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  make_key(2, "ann", "a");
  make_key(3, "ann", "a");
  assert_ok(begin_session(4, grantor_of(1), NOW + DAY));
  assert_ok(begin_session(5, grantor_of(2), NOW + DAY));
  assert_ok(begin_session(6, grantor_of(2), NOW + DAY));
  int64_t before = sequence_now();
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_line("user.delete", "ann", "keys ended: 2; sessions ended: 3");
  ASSERT_CHANGED(before, true, 1, 2, 3, 4, 5, 6);
}

static void what_is_disabled_and_enabled_is_told(void **state) {
  (void)state;
  make_key(1, "", "a");
  int64_t before = sequence_now();
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  ASSERT_CHANGED(before, true, 1);
  before = sequence_now();
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  assert_int_equal(sequence_now(), before); /* it was so before */
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, NULL, error));
  ASSERT_CHANGED(before, false, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_ends_is_counted_and_told),
      TEST(what_is_disabled_and_enabled_is_told),
  };
  return RUN_ON_EVERY_STORE(tests);
}
