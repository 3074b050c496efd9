/* The revocation data of a program in JavaScript (src/edge/wasm), in a build of this machine:
 * snapshots, heartbeats and changes as core.js hands them over. The rest is in test_wasm.c.
 */
#include "failing.h"
#include "revocations_fixture.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include "edge/wasm/subtoken_wasm.c"
#pragma GCC diagnostic pop

static int put_token(const char *text) {
  memcpy(io.token, text, strlen(text));
  return (int)strlen(text);
}

/* As core.js: the bytes go into memory that the feed gives. */
static subtoken_feed_result feed_read(st_wasm_feed *feed, const void *bytes, size_t len,
                                      int changes) {
  void *room = st_wasm_feed_room(feed, len);
  if (room == NULL) return SUBTOKEN_FEED_TOO_LARGE;
  memcpy(room, bytes, len);
  subtoken_feed_result result = st_wasm_feed_start(feed, &ring, changes);
  while (result == SUBTOKEN_FEED_MORE) result = st_wasm_feed_step(feed, 1000);
  return result;
}

static subtoken_feed_result feed_take_at(st_wasm_feed *feed, const snapshot *of, double now) {
  uint8_t alive[SUBTOKEN_HEARTBEAT_LEN];
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  subtoken_revocations view;
  assert_int_equal(subtoken_revocations_open(&ring, of->bytes, of->len, &view), SUBTOKEN_FEED_OK);
  subtoken_heartbeat beat = {view.sequence, NOW, {0}};
  memcpy(beat.digest, view.digest, sizeof beat.digest);
  assert_int_equal(subtoken_heartbeat_write(&ring, &beat, alive), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_encode(alive, text), SUBTOKEN_FEED_OK);
  return st_wasm_feed_take(feed, &ring, put_token(text), now, 1);
}

/* A snapshot of count hashes, of this sequence. */
static snapshot snapshot_of(uint32_t count, int64_t sequence) {
  uint64_t *hashes = malloc(count * sizeof *hashes + 1), random = 7;
  subtoken_revocations_header head = header;
  head.sequence = sequence;
  for (size_t i = 0; i < count; i++) hashes[i] = random_next(&random);
  count = subtoken_revocations_sort(hashes, count);
  snapshot s = {NULL, subtoken_revocations_size(count)};
  s.bytes = malloc(s.len);
  assert_int_equal(subtoken_revocations_write(&ring, &head, hashes, count, s.bytes, s.len, NULL),
                   SUBTOKEN_FEED_OK);
  free(hashes);
  return s;
}

static void a_snapshot_is_taken_with_its_heartbeat(void **state) {
  (void)state;
  st_wasm_feed *feed = st_wasm_feed_new(60, 300, 0);
  /* Large enough for a filter that takes two steps. */
  snapshot first = snapshot_of(20000, 1), second = snapshot_of(10, 2);
  assert_int_equal(st_wasm_feed_state(feed, NOW, 1), SUBTOKEN_FEED_ABSENT);
  assert_true(io.numbers[0] > 1e300);
  assert_int_equal(st_wasm_feed_start(feed, &ring, 0), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(feed_read(feed, first.bytes, 50, 0), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(feed_read(feed, first.bytes, first.len, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &first, NOW), SUBTOKEN_FEED_OK);
  assert_int_equal(st_wasm_feed_sequence(feed), 1);
  assert_int_equal(st_wasm_feed_state(feed, NOW + 5, 6), SUBTOKEN_FEED_OK);
  assert_true(io.numbers[0] == 5 && io.numbers[1] == NOW && io.numbers[2] == 20000);
  assert_non_null(feed->filter);
  assert_ptr_equal(feed->feed.snapshot.filter, feed->filter);
  /* The heartbeat alone, and one that is for another snapshot, or cannot be read. */
  assert_int_equal(feed_take_at(feed, &first, NOW), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &second, NOW), SUBTOKEN_FEED_PAIR);
  assert_int_not_equal(st_wasm_feed_take(feed, &ring, -1, NOW, 1), SUBTOKEN_FEED_OK);
  memset(io.token, 'A', SUBTOKEN_HEARTBEAT_TEXT_LEN);
  assert_int_not_equal(st_wasm_feed_take(feed, &ring, SUBTOKEN_HEARTBEAT_TEXT_LEN, NOW, 1),
                       SUBTOKEN_FEED_OK);
  /* A snapshot whose MAC is wrong is found at its last step. */
  second.bytes[second.len - 1] ^= 1;
  assert_int_equal(feed_read(feed, second.bytes, second.len, 0), SUBTOKEN_FEED_MAC);
  assert_null(feed->fresh);
  second.bytes[second.len - 1] ^= 1;
  assert_int_equal(feed_read(feed, second.bytes, second.len, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &second, NOW), SUBTOKEN_FEED_OK);
  assert_null(feed->filter); /* of ten hashes none is worth it */
  assert_int_equal(st_wasm_feed_state(feed, NOW + 301, 302), SUBTOKEN_FEED_OLD);
  st_wasm_feed_free(feed);
  free(first.bytes);
  free(second.bytes);
}

static void times_that_are_none_never_decide(void **state) {
  (void)state;
  const double none[] = {-1, -0.5, __builtin_nan(""), __builtin_inf(), 1e300};
  for (size_t i = 0; i < COUNT(none); i++) assert_int_equal(seconds(none[i]), -1);
  assert_int_equal(seconds(0), 0);
  assert_int_equal(seconds((double)SUBTOKEN_TIME_MAX), SUBTOKEN_TIME_MAX);
}

static void changes_lead_to_the_next_snapshot(void **state) {
  (void)state;
  st_wasm_feed *feed = st_wasm_feed_new(60, 300, 1);
  snapshot first = snapshot_of(3, 2), second = snapshot_of(4, 3);
  uint64_t random = 7, fresh = 0;
  uint8_t changes[SUBTOKEN_CHANGES_LEN(0, 1)];
  size_t len;
  for (int i = 0; i < 4; i++) fresh = random_next(&random);
  assert_int_equal(subtoken_changes_write(second.bytes, second.len, 2, NULL, 0, &fresh, 1, changes,
                                          sizeof changes, &len),
                   SUBTOKEN_FEED_OK);
  /* To nothing, to what they do not begin with, and what is none. */
  assert_int_equal(feed_read(feed, changes, len, 1), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(feed_read(feed, changes, 20, 1), SUBTOKEN_FEED_FORM);
  assert_int_equal(feed_read(feed, first.bytes, first.len, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &first, NOW), SUBTOKEN_FEED_OK);
  changes[16] = 1;
  assert_int_equal(feed_read(feed, changes, len, 1), SUBTOKEN_FEED_PAIR);
  changes[16] = 2;
  assert_int_equal(feed_read(feed, changes, len, 1), SUBTOKEN_FEED_OK);
  assert_int_equal(feed->fresh_len, second.len);
  assert_memory_equal(feed->fresh, second.bytes, second.len);
  assert_int_equal(feed_take_at(feed, &second, NOW), SUBTOKEN_FEED_OK);
  assert_int_equal(st_wasm_feed_sequence(feed), 3);
  st_wasm_feed_free(feed);
  free(first.bytes);
  free(second.bytes);
}

static void without_memory_the_data_in_use_stays(void **state) {
  (void)state;
  snapshot first = snapshot_of(300, 1), second = snapshot_of(301, 2);
  uint64_t random = 7, fresh = 0;
  uint8_t changes[SUBTOKEN_CHANGES_LEN(0, 1)];
  size_t len;
  for (int i = 0; i < 301; i++) fresh = random_next(&random);
  assert_int_equal(subtoken_changes_write(second.bytes, second.len, 1, NULL, 0, &fresh, 1, changes,
                                          sizeof changes, &len),
                   SUBTOKEN_FEED_OK);
  failing_begin(FAIL_MEMORY, 1);
  assert_null(st_wasm_feed_new(60, 300, 0));
  assert_true(failing_end());
  st_wasm_feed *feed = st_wasm_feed_new(60, 300, 0);
  /* Without a filter the first is in use all the same. */
  failing_begin(FAIL_MEMORY, 2);
  assert_int_equal(feed_read(feed, first.bytes, first.len, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &first, NOW), SUBTOKEN_FEED_OK);
  assert_true(failing_end());
  assert_null(feed->feed.snapshot.filter);
  FAILING_EACH(FAIL_MEMORY, 1, (void)feed_read(feed, changes, len, 1), {
    assert_int_equal(st_wasm_feed_sequence(feed), 1);
    assert_int_equal(st_wasm_feed_state(feed, NOW, 1), SUBTOKEN_FEED_OK);
    assert_int_equal(feed->fresh == NULL, failed);
  });
  assert_int_equal(feed_take_at(feed, &second, NOW), SUBTOKEN_FEED_OK);
  st_wasm_feed_free(feed);
  free(first.bytes);
  free(second.bytes);
}

static unsigned verify(st_wasm_verifier *v) {
  subtoken_text token = signed_token(TEST_SECRET, ST_TEXT("{\"alg\":\"HS256\",\"kid\":\"two\"}"),
                                     ST_TEXT(GOOD_PAYLOAD));
  memcpy(io.token, token.data, token.len);
  memcpy(io.target, "/", 1);
  unsigned result = st_wasm_verify(v, (int)token.len, 1, "GET", 3, 0, 0, NOW, 1);
  release(token);
  return result;
}

static void revocations_and_their_age_decide(void **state) {
  (void)state;
  st_wasm_feed *feed = st_wasm_feed_new(60, 300, 0);
  snapshot none = snapshot_of(0, 1);
  st_wasm_verifier *v = st_wasm_verifier_new(&ring, feed, NULL, -1, -1, 60, 365.0 * DAY, 0, 0);
  assert_int_equal(verify(v), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(feed_read(feed, none.bytes, none.len, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(feed_take_at(feed, &none, NOW), SUBTOKEN_FEED_OK);
  assert_int_equal(verify(v), SUBTOKEN_OK);
  st_wasm_verifier_free(v);
  st_wasm_feed_free(feed);
  free(none.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_snapshot_is_taken_with_its_heartbeat),
      cmocka_unit_test(times_that_are_none_never_decide),
      cmocka_unit_test(changes_lead_to_the_next_snapshot),
      cmocka_unit_test(without_memory_the_data_in_use_stays),
      cmocka_unit_test(revocations_and_their_age_decide),
  };
  return cmocka_run_group_tests_name("wasm feed", tests, setup, NULL);
}
