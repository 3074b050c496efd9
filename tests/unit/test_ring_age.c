/* ring_age: since when a secret is known, on every kind of store. */
#include "support.h"

#include "store_contract.h"

#include "operations/ring_age.h"
#include "os/clock.h"

static void a_secret_is_as_old_as_when_it_was_first_seen(void **state) {
  (void)state;
  subtoken_ring ring;
  int64_t before = st_clock_now();
  ring_with(&ring, "", TEST_SECRET);
  int64_t seen = st_ring_age_first_seen(store, &ring, 0);
  assert_true(seen >= before && seen <= st_clock_now());
  reopen();
  assert_true(st_ring_age_first_seen(store, &ring, 0) == seen);
  assert_true(st_ring_age_first_seen(store, &ring, 1) == 0); /* there is none */
}

/* The secret counts, and not its name. */
static void its_name_does_not_matter(void **state) {
  (void)state;
  static const int64_t long_ago = 1000;
  subtoken_ring ring, other;
  ring_with(&ring, "a", TEST_SECRET);
  ring_with(&other, "a", OTHER_SECRET);
  int64_t seen = st_ring_age_first_seen(store, &ring, 0);
  assert_true(seen > long_ago);
  /* What another server has noted first stays, whatever is noted later. */
  st_ring_age_note(store, &other);
  ring_with(&ring, "b", TEST_SECRET);
  assert_true(st_ring_age_first_seen(store, &ring, 0) == seen);
  int64_t value = 0;
  assert_int_equal(st_store_get_setting(store, "ring_seen:", &value, error), ST_STORE_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_secret_is_as_old_as_when_it_was_first_seen),
      TEST(its_name_does_not_matter),
  };
  return RUN_ON_EVERY_STORE(tests);
}
