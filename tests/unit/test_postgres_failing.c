/* The thread that hears what other issuers write (watch.c) while its connection or the memory fails
 * (failing.h): it makes them anew, and nothing that was written meanwhile is answered as it was
 * before.
 */
#include "store_contract.h"

#include "failing.h"

static bool reads(unsigned n, bool disabled) {
  st_key key;
  return st_store_by_digest(store, digest_of(n), &key, error) == ST_STORE_OK &&
         key.disabled == disabled;
}

/* Until the thread has met it. False: it makes fewer calls within its time. */
static bool meet(long nth) {
  int64_t until_us = st_clock_monotonic_us() + 10 * US;
  failing_begin(FAIL_LIBPQ | FAIL_MEMORY | FAIL_FILES, nth);
  failing_here = false;
  atomic_store(&failing.everywhere, true);
  while (atomic_load(&failing.failed) == 0 && st_clock_monotonic_us() < until_us) usleep(2000);
  return failing_end();
}

static void what_others_write_is_seen_all_the_same(void **state) {
  (void)state;
  st_store *other;
  st_store_close(store);
  st_store_set_options(&(st_store_options){.staleness_us = 80000, .cache_bytes = 1 << 20});
  assert_ok(st_store_open(location, false, &store, error));
  assert_ok(st_store_open(location, false, &other, error));
  st_store_set_options(&(st_store_options){0});
  for (unsigned n = 1; n <= 40; n += (unsigned)failing_step(3)) {
    make_key(n, "ann", "a");
    SEEN(reads(n, false)); /* and remembers it */
    assert_true(meet(n));
    assert_ok(st_store_key_set_disabled(other, CONTEXT, id_of(n), true, NULL, error));
    SEEN(reads(n, true));
    int64_t sequence = sequence_now();
    assert_ok(st_store_bump_sequence(other, NOW * US, 0, NULL, error));
    st_store_wait(store, sequence, st_clock_monotonic_us() + 60 * US);
    assert_true(sequence_now() > sequence);
  }
  st_store_close(other);
}

static void without_a_thread_nothing_is_answered(void **state) {
  (void)state;
  make_key(1, "ann", "a");
  reopen();
  failing_begin(FAIL_THREADS, 1);
  assert_false(reads(1, false));
  assert_true(failing_end());
  if (strstr(error, "thread") == NULL) fail_msg("%s", error);
  failing_begin(FAIL_THREADS, 1);
  st_store_wait(store, 1, st_clock_monotonic_us() + 60 * US); /* does not wait */
  assert_true(failing_end());
  assert_true(reads(1, false));
}

static void who_else_is_connected_is_told(void **state) {
  (void)state;
  st_store *other;
  st_store_description d;
  assert_ok(st_store_open(location, false, &other, error));
  assert_ok(st_store_describe(store, &d, error));
  assert_string_equal(d.kind, "PostgreSQL");
  assert_true(d.peers_known);
  assert_true(d.sequence >= 1 && d.schema > 1);
  assert_int_equal(d.standby_count, 0);
  assert_false(d.not_synchronous);
  st_store_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_others_write_is_seen_all_the_same),
      TEST(without_a_thread_nothing_is_answered),
      TEST(who_else_is_connected_is_told),
  };
  return RUN_ON_POSTGRES(tests);
}
