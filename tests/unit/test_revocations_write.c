/* revocations_write: sorting hashes, and the bytes of a snapshot. */
#include "revocations_fixture.h"

static void sorting_agrees_with_qsort(void **state) {
  (void)state;
  static uint64_t ours[70000], theirs[70000];
  uint64_t random = 7;
  /* Random; few values; one byte that differs; falling; all the same; close together. */
  for (size_t kind = 0; kind < 6; kind++) {
    for (size_t round = 0; round < 60; round++) {
      size_t count = round < 40 ? round : random_below(&random, round < 58 ? 3000 : COUNT(ours));
      for (size_t i = 0; i < count; i++) {
        uint64_t any = random_next(&random);
        ours[i] = kind == 0   ? any
                  : kind == 1 ? any % 5 << 60
                  : kind == 2 ? (any & 0xFF) << 8 * (round % 8)
                  : kind == 3 ? ~(uint64_t)i << 11
                  : kind == 4 ? UINT64_MAX
                              : (UINT64_C(77) << 50) + any % 4000;
        theirs[i] = ours[i];
      }
      qsort(theirs, count, sizeof *theirs, by_value);
      size_t kept = 0;
      for (size_t i = 0; i < count; i++) {
        if (kept == 0 || theirs[i] != theirs[kept - 1]) theirs[kept++] = theirs[i];
      }
      CHECK(subtoken_revocations_sort(ours, (uint32_t)count) == kept, "%zu %zu", kind, round);
      CHECK(memcmp(ours, theirs, kept * sizeof *ours) == 0, "%zu %zu", kind, round);
    }
  }
  assert_int_equal(subtoken_revocations_sort(NULL, 3), 0);
}

static void the_golden_snapshot_is_written(void **state) {
  (void)state;
  uint64_t hashes[COUNT(golden_subs)];
  uint8_t digest[32], alive[SUBTOKEN_HEARTBEAT_LEN];
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  subtoken_text want = from_hex(golden_snapshot);
  for (size_t i = 0; i < COUNT(hashes); i++) {
    hashes[i] = subtoken_revocations_hash(key, st_text(golden_subs[i]));
  }
  snapshot s = written(hashes, COUNT(hashes));
  assert_int_equal(s.len, want.len);
  assert_memory_equal(s.bytes, want.data, want.len);
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, hashes, COUNT(hashes), s.bytes, s.len, digest),
      SUBTOKEN_FEED_OK);
  assert_memory_equal(digest, s.bytes + s.len - 32, 32);

  subtoken_heartbeat heartbeat = {.sequence = header.sequence, .time = header.made + 60};
  memcpy(heartbeat.digest, digest, 32);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, alive), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_encode(alive, text), SUBTOKEN_FEED_OK);
  assert_string_equal(text, golden_heartbeat);

  subtoken_revocations view;
  assert_int_equal(subtoken_revocations_open(&ring, want.data, want.len, &view), SUBTOKEN_FEED_OK);
  assert_true(view.sequence == header.sequence && view.made == header.made && view.count == 4);
  assert_true(st_text_is(view.kid, "two"));
  assert_memory_equal(view.digest, digest, 32);
  for (size_t i = 0; i < COUNT(golden_subs); i++) {
    assert_int_equal(subtoken_revocations_find(&view, st_text(golden_subs[i])), SUBTOKEN_REVOKED);
  }
  assert_int_equal(subtoken_revocations_find(&view, ST_TEXT("b")), SUBTOKEN_OK);
  assert_int_equal(subtoken_revocations_find(&view, ST_TEXT("")), SUBTOKEN_OK);
  release(want);
  free(s.bytes);
}

/* What cannot be written leaves the room as it was. */
static void bad_arguments_write_nothing(void **state) {
  (void)state;
  static const uint64_t sorted[] = {0, 5, UINT64_MAX}, twice[] = {1, 1, 2}, falling[] = {1, 3, 2};
  static const subtoken_ring empty;
  static subtoken_ring zero = {.count = 1};
  subtoken_revocations_header no_sequence = header, below = header, early = header, late = header;
  no_sequence.sequence = 0;
  below.sequence = -1;
  early.made = -1;
  late.made = SUBTOKEN_TIME_MAX + 1;
  size_t size = subtoken_revocations_size(3);
  const struct {
    const subtoken_ring *ring;
    const subtoken_revocations_header *header;
    const uint64_t *hashes;
    size_t room;
    subtoken_feed_result want;
  } rows[] = {
      {&ring, &header, sorted, size, SUBTOKEN_FEED_OK},
      {&ring, &header, twice, size, SUBTOKEN_FEED_ORDER},
      {&ring, &header, falling, size, SUBTOKEN_FEED_ORDER},
      {&ring, &header, sorted, size - 1, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, sorted, 0, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&empty, &header, sorted, size, SUBTOKEN_FEED_NO_SECRET},
      {&zero, &header, sorted, size, SUBTOKEN_FEED_NO_SECRET},
      {&ring, &no_sequence, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &below, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &early, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &late, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {NULL, &header, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, NULL, sorted, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, NULL, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint8_t *out = malloc(rows[i].room + 1), digest[32];
    memset(out, 'x', rows[i].room + 1);
    memset(digest, 'x', sizeof digest);
    subtoken_feed_result got = subtoken_revocations_write(
        rows[i].ring, rows[i].header, rows[i].hashes, 3, out, rows[i].room, digest);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(got));
    for (size_t j = 0; got != SUBTOKEN_FEED_OK && j < rows[i].room; j++) {
      CHECK(out[j] == 'x' && digest[j % 32] == 'x', "row %zu", i);
    }
    CHECK(out[rows[i].room] == 'x', "row %zu", i);
    if (got == SUBTOKEN_FEED_OK) assert_int_equal(opened(out, size, 0), SUBTOKEN_FEED_OK);
    free(out);
  }
  assert_int_equal(subtoken_revocations_write(&ring, &header, NULL, 0, NULL, 0, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  uint8_t out[400];
  assert_int_equal(subtoken_revocations_write(&ring, &header, NULL, 1, out, sizeof out, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  /* The ends of what a time may be; and a ring that counts none has none. */
  early.made = 0;
  late.made = SUBTOKEN_TIME_MAX;
  assert_int_equal(subtoken_revocations_write(&ring, &early, sorted, 3, out, sizeof out, NULL),
                   SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_revocations_write(&ring, &late, sorted, 3, out, sizeof out, NULL),
                   SUBTOKEN_FEED_OK);
  subtoken_ring none = ring;
  none.count = 0;
  assert_int_equal(subtoken_revocations_write(&none, &header, sorted, 3, out, sizeof out, NULL),
                   SUBTOKEN_FEED_NO_SECRET);
}

/* Head and MAC are those that the other secret would have written. */
static void a_snapshot_is_signed_anew(void **state) {
  (void)state;
  static const char *const kids[] = {"", "k", "a-longer-one.eu"};
  snapshot ours = small();
  for (size_t i = 0; i < COUNT(kids); i++) {
    subtoken_ring mine = ring, theirs;
    uint8_t head[ST_FEED_HEAD_LEN], mac[SUBTOKEN_MAC_LEN];
    memset(&theirs, 0, sizeof theirs);
    assert_int_equal(subtoken_ring_add(&theirs, st_text(kids[i]), OTHER_SECRET, 32), SUBTOKEN_OK);
    memset(head, 0xA5, sizeof head);
    assert_int_equal(
        st_revocations_write_resigned(&theirs.secrets[0], ours.bytes, ours.len, head, mac),
        SUBTOKEN_FEED_OK);
    ring = theirs;
    snapshot want = small();
    ring = mine;
    CHECK(memcmp(want.bytes, head, sizeof head) == 0, "%s", kids[i]);
    CHECK(memcmp(want.bytes + want.len - sizeof mac, mac, sizeof mac) == 0, "%s", kids[i]);
    /* Less than a head and a MAC is not read. */
    subtoken_text cut = exact(ours.bytes, ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN - 1);
    assert_int_equal(st_revocations_write_resigned(&theirs.secrets[0], (const uint8_t *)cut.data,
                                                   cut.len, head, mac),
                     SUBTOKEN_FEED_LENGTH);
    release(cut);
    cut = exact(ours.bytes, ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN);
    assert_int_equal(st_revocations_write_resigned(&theirs.secrets[0], (const uint8_t *)cut.data,
                                                   cut.len, head, mac),
                     SUBTOKEN_FEED_OK);
    release(cut);
    free(want.bytes);
  }
  static const subtoken_secret unset;
  uint8_t head[ST_FEED_HEAD_LEN], mac[SUBTOKEN_MAC_LEN];
  assert_int_equal(st_revocations_write_resigned(&unset, ours.bytes, ours.len, head, mac),
                   SUBTOKEN_FEED_NO_SECRET);
  free(ours.bytes);
}

/* Who has revoked nothing has no list to point to. */
static void a_list_of_none_may_be_absent(void **state) {
  (void)state;
  static const uint64_t any = 7;
  size_t size = subtoken_revocations_size(0);
  uint8_t *absent = malloc(size), *empty = malloc(size), digests[2][SUBTOKEN_MAC_LEN];
  assert_int_equal(subtoken_revocations_write(&ring, &header, NULL, 0, absent, size, digests[0]),
                   SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_revocations_write(&ring, &header, &any, 0, empty, size, digests[1]),
                   SUBTOKEN_FEED_OK);
  assert_memory_equal(absent, empty, size);
  assert_memory_equal(digests[0], digests[1], SUBTOKEN_MAC_LEN);
  assert_int_equal(opened(absent, size, 0), SUBTOKEN_FEED_OK);
  free(absent);
  free(empty);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_list_of_none_may_be_absent),
      cmocka_unit_test(sorting_agrees_with_qsort),
      cmocka_unit_test(the_golden_snapshot_is_written),
      cmocka_unit_test(bad_arguments_write_nothing),
      cmocka_unit_test(a_snapshot_is_signed_anew),
  };
  return cmocka_run_group_tests_name("revocations_write", tests, setup, NULL);
}
