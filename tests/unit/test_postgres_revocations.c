/* postgres/revocation_state: where the revocation data stands, what is listed and what changed,
 * each of one moment, and at which time of the database's clock.
 */
#include "postgres_fixture.h"

static int compare_hashes(const void *a, const void *b) {
  const uint64_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* More than goes into one part, some under two subs; the smallest and the largest hash, too. */
static void each_hash_that_is_listed_is_read_once(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_data data;
  pg_do(pg_admin,
        "INSERT INTO listed (sub, hash) SELECT lpad(i::text, 43, '0'), i * 46116860184273 FROM"
        " generate_series(-100000, 149999) AS i ON CONFLICT DO NOTHING");
  pg_do(pg_admin,
        "INSERT INTO listed (sub, hash) VALUES (repeat('a', 43), -9223372036854775808),"
        " (repeat('b', 43), 9223372036854775807), (repeat('c', 43), 0)");
  long distinct = pg_number("SELECT count(DISTINCT hash) FROM listed");
  assert_ok(st_store_revocation_data(store, &data, error));
  assert_int_equal(data.count, distinct);
  qsort(data.hashes, data.count, sizeof *data.hashes, compare_hashes);
  for (uint32_t i = 1; i < data.count; i++) assert_true(data.hashes[i - 1] < data.hashes[i]);
  assert_true(distinct > 200000);
  uint64_t smallest = (uint64_t)INT64_MIN;
  assert_non_null(bsearch(&smallest, data.hashes, data.count, 8, compare_hashes));
  free(data.hashes);
  free(data.changes);
  st_store_close(store);
}

static void an_empty_store_lists_nothing(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_data data;
  assert_ok(st_store_revocation_data(store, &data, error));
  assert_int_equal(data.count, 0);
  assert_non_null(data.hashes);
  assert_int_equal(data.change_count, 0);
  assert_int_equal(data.state.sequence, 1);
  free(data.hashes);
  free(data.changes);
  st_store_close(store);
}

static void what_changed_is_told_with_its_sequence(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state before, after;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  make_key(store, 1);
  make_key(store, 2);
  assert_ok(st_store_revocation_state(store, &before, error));
  disable_key(store, 1, true);
  disable_key(store, 2, true);
  disable_key(store, 1, false);
  assert_ok(st_store_revocation_changes(store, before.sequence, &after, &changes, &count, error));
  assert_int_equal(count, 2);
  uint64_t one = subtoken_revocations_hash(
      after.hash_key, (subtoken_text){"0000000000000000000000000000000000000000001", ST_SUB_LEN});
  for (uint32_t i = 0; i < count; i++) {
    assert_int_equal(changes[i].listed, changes[i].hash != one);
    assert_true((changes[i].sequence == after.sequence) == (changes[i].hash == one));
    assert_true(changes[i].sequence > before.sequence);
  }
  free(changes);
  assert_int_equal(
      st_store_revocation_changes(store, after.sequence + 1, &after, &changes, &count, error),
      ST_STORE_NOT_FOUND);
  assert_null(changes);
  st_store_close(store);
}

static void the_time_is_that_of_the_database(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state now;
  long before = pg_number("SELECT floor(extract(epoch FROM clock_timestamp()))");
  assert_ok(st_store_revocation_state(store, &now, error));
  long after = pg_number("SELECT floor(extract(epoch FROM clock_timestamp()))");
  assert_in_range(now.time, before, after);
  st_store_close(store);
}

/* ---- many who ask ---- */

static _Atomic int64_t reached; /* a sequence that is committed */
static _Atomic bool over;

static void *ask_where_it_stands(void *context) {
  char why[ST_ERROR_MAX];
  while (!atomic_load(&over)) {
    int64_t at_least = atomic_load(&reached);
    st_revocation_state now;
    if (st_store_revocation_state(context, &now, why) != ST_STORE_OK)
      return why[0] != 0 ? "failed" : "";
    if (now.sequence < at_least) return "older than what was there before the question";
  }
  return NULL;
}

static void what_is_answered_is_not_older_than_the_question(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  pthread_t threads[8];
  atomic_store(&reached, 0);
  atomic_store(&over, false);
  for (int i = 0; i < 8; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, ask_where_it_stands, store), 0);
  }
  for (int i = 0; i < 200; i++) {
    int64_t sequence = 0;
    assert_ok(st_store_bump_sequence(store, NOW * 1000000, 0, &sequence, error));
    atomic_store(&reached, sequence);
  }
  atomic_store(&over, true);
  for (int i = 0; i < 8; i++) {
    void *why = NULL;
    pthread_join(threads[i], &why);
    if (why != NULL) fail_msg("%s", (char *)why);
  }
  st_store_close(store);
}

/* ---- a network that is cut ---- */

static void nothing_is_vouched_for_without_an_answer(void **state) {
  (void)state;
  st_store *store = open_store(pg_through_proxy);
  st_revocation_state now;
  assert_ok(st_store_revocation_state(store, &now, error));
  proxy_cut();
  assert_ok(st_store_revocation_state(store, &now, error)); /* another connection */
  proxy_set(PROXY_SWALLOWS);
  int64_t begun_us = st_clock_monotonic_us();
  assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_FAILED);
  assert_true(st_clock_monotonic_us() - begun_us < INT64_C(30000000));
  proxy_set(PROXY_CARRIES);
  EVENTUALLY(st_store_revocation_state(store, &now, error) == ST_STORE_OK);
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PG_TEST(each_hash_that_is_listed_is_read_once),
      PG_TEST(an_empty_store_lists_nothing),
      PG_TEST(what_changed_is_told_with_its_sequence),
      PG_TEST(the_time_is_that_of_the_database),
      PG_TEST(what_is_answered_is_not_older_than_the_question),
      PG_TEST(nothing_is_vouched_for_without_an_answer),
  };
  return pg_run_tests("postgres_revocations", tests, sizeof tests / sizeof *tests);
}
