/* What a snapshot is under derived secrets: remembered for few audiences, made by one thread at a
 * time, and bounded for each key. The snapshots are made up: only their bytes matter.
 */
#include "support.h"

#include <pthread.h>

#include "server/audience_cache.h"

#define KEY "01234567-0123-0123-0123-0123456789AB"
#define OTHER_KEY "11234567-0123-0123-0123-0123456789AB"

static subtoken_ring ring;
static st_snapshot small, large;

/* A snapshot of so many hashes. */
static void make(st_snapshot *snapshot, uint32_t count, int64_t sequence) {
  subtoken_revocations_header header = {.sequence = sequence, .made = 1};
  uint64_t *hashes = calloc(count + (size_t)1, sizeof *hashes);
  assert_non_null(hashes);
  for (uint32_t i = 0; i < count; i++) hashes[i] = (uint64_t)i * (UINT64_MAX / (count + 1));
  snapshot->len = subtoken_revocations_size(count);
  snapshot->bytes = malloc(snapshot->len);
  assert_non_null(snapshot->bytes);
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, snapshot->bytes,
                                              snapshot->len, snapshot->digest),
                   SUBTOKEN_FEED_OK);
  free(hashes);
}

static int setup(void **state) {
  (void)state;
  ring_with(&ring, "w", TEST_SECRET);
  make(&small, 3, 7);
  make(&large, 1 << 20, 8);
  st_audience_cache_start();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  st_audience_cache_stop();
  free(small.bytes);
  free(large.bytes);
  return 0;
}

static st_feed_status find(const st_snapshot *snapshot, const char *key_id, const char *audience,
                           st_audience_version *out) {
  subtoken_ring derived;
  assert_int_equal(st_audience_cache_derive(&ring, st_text(audience), &derived), ST_FEED_READY);
  return st_audience_cache_find(&derived, snapshot, key_id, out);
}

static void both_snapshots_of_an_audience_are_remembered(void **state) {
  (void)state;
  st_audience_version first, again, other;
  st_snapshot next = {.references = 0};
  make(&next, 4, 9);
  assert_int_equal(find(&small, KEY, "eu", &first), ST_FEED_READY);
  assert_int_equal(find(&next, KEY, "eu", &other), ST_FEED_READY);
  assert_memory_not_equal(first.digest, other.digest, sizeof first.digest);
  assert_true(st_text_is((subtoken_text){(char *)first.head + ST_FEED_KID, 4}, "w.eu"));
  /* Its bytes may change meanwhile: they are not read again. */
  small.bytes[150] ^= 1;
  next.bytes[150] ^= 1;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(find(&small, KEY, "eu", &again), ST_FEED_READY);
    assert_memory_equal(&again, &first, sizeof first);
    assert_int_equal(find(&next, KEY, "eu", &again), ST_FEED_READY);
    assert_memory_equal(&again, &other, sizeof other);
  }
  free(next.bytes);
}

/* 32 bytes a microsecond flow into the bucket, which holds 256 MB. */
static void a_key_has_a_bucket(void **state) {
  (void)state;
  enum { EACH = 8000000 };
  int given = 0;
  int64_t now = 1000000000;
  while (st_audience_cache_charge(KEY, EACH, now)) given++;
  assert_int_equal(given, 31);
  assert_false(st_audience_cache_charge(KEY, EACH, now + 31));
  assert_true(st_audience_cache_charge(KEY, EACH, now + 32));
  assert_false(st_audience_cache_charge(KEY, EACH, now + 250032));
  assert_true(st_audience_cache_charge(KEY, EACH, now + 250033));
  assert_true(st_audience_cache_charge(OTHER_KEY, EACH, now));
  now += 8000000 + EACH;
  assert_true(st_audience_cache_charge(KEY, (size_t)4 << 30, now)); /* of a full one */
  assert_false(st_audience_cache_charge(KEY, 1, now));
}

/* 8 MiB each. Others ask meanwhile, and what is asked for always stays. */
static void a_key_is_stopped_that_asks_for_ever_new_ones(void **state) {
  (void)state;
  st_audience_version first, out;
  char name[16];
  int given = 0, refused = 0;
  assert_int_equal(find(&large, OTHER_KEY, "mine", &first), ST_FEED_READY);
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "a%d", i);
    st_feed_status status = find(&large, KEY, name, &out);
    assert_true(status == ST_FEED_READY || status == ST_FEED_AUDIENCES);
    status == ST_FEED_READY ? given++ : refused++;
    assert_int_equal(find(&large, OTHER_KEY, "mine", &out), ST_FEED_READY);
    assert_memory_equal(&out, &first, sizeof first);
  }
  assert_true(given >= 30 && given + refused == 200);
  assert_int_equal(find(&large, OTHER_KEY, "yours", &out), ST_FEED_READY);
  /* What is small costs so little that nobody is stopped. */
  assert_int_equal(find(&small, KEY, "eu", &out), ST_FEED_READY);
  for (int i = 0; i < 200; i++) {
    snprintf(name, sizeof name, "b%d", i);
    assert_int_equal(find(&small, OTHER_KEY, name, &out), ST_FEED_READY);
  }
}

static void *ask_often(void *unused) {
  st_audience_version out;
  char name[16];
  (void)unused;
  for (int i = 0; i < 300; i++) {
    snprintf(name, sizeof name, "c%d", i % 90);
    st_feed_status status = ST_FEED_BUSY; /* who has waited for seconds, on a slow machine */
    while (status == ST_FEED_BUSY) {
      status = find(i % 2 == 0 ? &small : &large, KEY, i % 2 == 0 ? name : "eu", &out);
    }
    if (status != ST_FEED_READY) return &ring;
  }
  return NULL;
}

static void threads_share_it(void **state) {
  (void)state;
  pthread_t threads[8];
  for (size_t i = 0; i < 8; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
  }
  for (size_t i = 0; i < 8; i++) {
    void *failed;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    assert_null(failed);
  }
}

static void what_cannot_be_derived_is_told(void **state) {
  (void)state;
  subtoken_ring derived, twice, none = {.count = 0};
  assert_int_equal(st_audience_cache_derive(&none, st_text("eu"), &derived), ST_FEED_STORE_ERROR);
  assert_int_equal(st_audience_cache_derive(&ring, st_text("eu"), &derived), ST_FEED_READY);
  assert_int_equal(derived.count, 1);
  assert_int_equal(st_audience_cache_derive(&derived, st_text("us"), &twice), ST_FEED_STORE_ERROR);
  assert_int_equal(twice.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(both_snapshots_of_an_audience_are_remembered, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(a_key_has_a_bucket, setup, teardown),
      cmocka_unit_test_setup_teardown(a_key_is_stopped_that_asks_for_ever_new_ones, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(threads_share_it, setup, teardown),
      cmocka_unit_test_setup_teardown(what_cannot_be_derived_is_told, setup, teardown),
  };
  return cmocka_run_group_tests_name("audience_cache", tests, NULL, NULL);
}
