/* Revocation data and the record of what was vouched for, with arguments that are absent, out of
 * range or of another size. What good ones give is in the test of each source file.
 */
#include "support.h"

#include "core/revocations_format.h"
#include "core/vouched.h"

static const subtoken_text absent = {NULL, 0};

/* ---- revocation data ---- */

static void revocation_data_needs_its_arguments(void **state) {
  (void)state;
  subtoken_ring ring, none;
  subtoken_heartbeat beat, good = {1, 1, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  assert_int_equal(subtoken_heartbeat_write(NULL, &good, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&ring, NULL, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&ring, &good, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&none, &good, bytes), SUBTOKEN_FEED_NO_SECRET);
  none.count = 1; /* of a secret that was never set */
  assert_int_equal(subtoken_heartbeat_write(&none, &good, bytes), SUBTOKEN_FEED_NO_SECRET);
  static const int64_t bad[][2] = {{0, 1}, {1, 0}, {1, SUBTOKEN_TIME_MAX + 1}};
  for (size_t i = 0; i < COUNT(bad); i++) {
    beat = (subtoken_heartbeat){bad[i][0], bad[i][1], {0}};
    assert_int_equal(subtoken_heartbeat_write(&ring, &beat, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  }
  assert_int_equal(subtoken_heartbeat_write(&ring, &good, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, bytes, sizeof bytes, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(NULL, bytes, sizeof bytes, &beat),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, sizeof bytes, &beat),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, 0, &beat), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_heartbeat_encode(NULL, text), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_encode(bytes, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_encode(bytes, text), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_decode(st_text(text), NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_decode((subtoken_text){NULL, 1}, bytes),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_decode(absent, bytes), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_heartbeat_decode(st_text(text), bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, bytes, sizeof bytes, &beat), SUBTOKEN_FEED_OK);
}

static void a_feed_resumes_once_and_in_range(void **state) {
  (void)state;
  static const struct {
    int64_t sequence, time;
    bool good;
  } rows[] = {{0, 0, true},
              {5, SUBTOKEN_TIME_MAX, true},
              {-1, 0, false},
              {0, -1, false},
              {0, SUBTOKEN_TIME_MAX + 1, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
    subtoken_feed_result got = subtoken_feed_resume(&feed, rows[i].sequence, rows[i].time, 1);
    CHECK((got == SUBTOKEN_FEED_OK) == rows[i].good, "row %zu", i);
  }
  assert_int_equal(subtoken_feed_resume(NULL, 1, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 0, 7, 1), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(&feed, 1, 8, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  feed = (subtoken_feed)SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 7, 0, 1), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(&feed, 8, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(feed.sequence, 7);
  assert_int_equal(subtoken_feed_age(NULL, 1, 1), SUBTOKEN_TIME_MAX);
  assert_int_equal(subtoken_feed_check(NULL, 1, 1), SUBTOKEN_FEED_ABSENT);
}

static void a_snapshot_is_written_and_opened_with_all_it_needs(void **state) {
  (void)state;
  subtoken_ring ring, none;
  subtoken_revocations_header header = {1, 1, {0}};
  uint64_t hashes[2] = {1, 2};
  uint8_t digest[SUBTOKEN_MAC_LEN], mac[SUBTOKEN_MAC_LEN], head[ST_FEED_HEAD_LEN];
  size_t size = subtoken_revocations_size(2);
  subtoken_revocations view;
  subtoken_revocations_opening opening;
  uint8_t *out = malloc(size);
  assert_non_null(out);
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  const struct {
    const subtoken_ring *ring;
    const subtoken_revocations_header *header;
    const uint64_t *hashes;
    void *out;
    size_t size;
    subtoken_feed_result want;
  } rows[] = {
      {NULL, &header, hashes, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, NULL, hashes, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, NULL, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, hashes, NULL, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&none, &header, hashes, out, size, SUBTOKEN_FEED_NO_SECRET},
      {&ring, &header, hashes, out, size - 1, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, hashes, out, 0, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, hashes, out, size, SUBTOKEN_FEED_OK},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed_result got = subtoken_revocations_write(
        rows[i].ring, rows[i].header, rows[i].hashes, 2, rows[i].out, rows[i].size, digest);
    CHECK(got == rows[i].want, "row %zu: %d", i, got);
  }
  assert_int_equal(st_revocations_write_resigned(
                       &ring.secrets[0], out, ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN - 1, head, mac),
                   SUBTOKEN_FEED_LENGTH);
  assert_int_equal(st_revocations_write_resigned(&none.secrets[0], out, size, head, mac),
                   SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(st_revocations_write_resigned(&ring.secrets[0], out, size, head, mac),
                   SUBTOKEN_FEED_OK);
  assert_memory_equal(mac, digest, sizeof mac);
  assert_int_equal(subtoken_revocations_open(&ring, out, size, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, size, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, 0, &view), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_revocations_start(NULL, &ring, out, size),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_start(&opening, NULL, out, size),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_step(&opening, 1, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT); /* it was not started */
  assert_int_equal(subtoken_revocations_step(NULL, 1, &view), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_start(&opening, &ring, out, size), SUBTOKEN_FEED_MORE);
  assert_int_equal(subtoken_revocations_step(&opening, 1, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_step(&opening, size, &view), SUBTOKEN_FEED_OK);
  /* A filter, in memory that is aligned, of its size. */
  size_t filter_size = subtoken_revocations_filter_size(view.count);
  uint64_t *filter = calloc(1, filter_size + 8);
  uint32_t done = 0, beyond = 3;
  assert_non_null(filter);
  assert_int_equal(subtoken_revocations_filter_build(NULL, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, NULL, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, NULL, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &beyond, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_revocations_filter_build(&view, (char *)filter + 1, filter_size, &done, 0),
      SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size - 1, &done, 0),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, 0, &done, 0),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_OK);
  view.hashes = NULL;
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  free(filter);
  free(out);
}

/* ---- the record of what was vouched for ---- */

static void a_record_is_whole_and_in_range(void **state) {
  (void)state;
  subtoken_ring ring, none;
  uint8_t bytes[ST_VOUCHED_LEN], changed[ST_VOUCHED_LEN];
  st_vouched read;
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  static const struct {
    st_vouched vouched;
    bool good;
  } rows[] = {{{1, 0}, true},
              {{INT64_MAX, SUBTOKEN_TIME_MAX}, true},
              {{0, 0}, false},
              {{1, -1}, false},
              {{1, SUBTOKEN_TIME_MAX + 1}, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed_result got = st_vouched_write(&ring, &rows[i].vouched, bytes);
    CHECK(got == (rows[i].good ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_INVALID_ARGUMENT), "row %zu", i);
    if (!rows[i].good) continue;
    assert_int_equal(st_vouched_read(&ring, bytes, sizeof bytes, &read), SUBTOKEN_FEED_OK);
    CHECK(read.sequence == rows[i].vouched.sequence && read.life == rows[i].vouched.life, "row %zu",
          i);
  }
  assert_int_equal(st_vouched_write(&none, &rows[0].vouched, bytes), SUBTOKEN_FEED_NO_SECRET);
  none.count = 1;
  assert_int_equal(st_vouched_write(&none, &rows[0].vouched, bytes), SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(st_vouched_write(&ring, &rows[0].vouched, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(st_vouched_read(&ring, bytes, sizeof bytes - 1, &read), SUBTOKEN_FEED_LENGTH);
  /* Each byte of it counts; where the MAC is right for what is not of the form, it is refused. */
  for (size_t at = 0; at < sizeof bytes; at++) {
    memcpy(changed, bytes, sizeof bytes);
    changed[at] ^= 0x80;
    read.sequence = 7;
    CHECK(st_vouched_read(&ring, changed, sizeof changed, &read) != SUBTOKEN_FEED_OK, "byte %zu",
          at);
    CHECK(read.sequence == 0 && read.life == 0, "byte %zu", at);
    size_t until = sizeof changed - SUBTOKEN_MAC_LEN;
    if (at >= until) continue;
    st_hmac(&ring.secrets[0], changed, until, changed + until);
    subtoken_feed_result got = st_vouched_read(&ring, changed, sizeof changed, &read);
    bool number = (at >= ST_FEED_SEQUENCE && at < ST_FEED_SEQUENCE + 7) || (at >= 32 && at < 38);
    CHECK((got == SUBTOKEN_FEED_OK) == number, "byte %zu, signed: %d", at, got);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(revocation_data_needs_its_arguments),
      cmocka_unit_test(a_feed_resumes_once_and_in_range),
      cmocka_unit_test(a_snapshot_is_written_and_opened_with_all_it_needs),
      cmocka_unit_test(a_record_is_whole_and_in_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
