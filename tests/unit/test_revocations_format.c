/* revocations_format: the length of a snapshot, and each field of its head. */
#include "revocations_fixture.h"

static void sizes_are_those_of_the_format(void **state) {
  (void)state;
  static const struct {
    uint32_t count;
    uint8_t bits;
  } rows[] = {{0, 1},
              {1, 1},
              {16, 1},
              {17, 2},
              {32, 2},
              {33, 3},
              {1000, 7},
              {1024, 7},
              {1025, 8},
              {1000000, 17},
              {10000000, 21},
              {UINT32_C(1) << 31, 28},
              {(UINT32_C(1) << 31) + 1, 29},
              {UINT32_MAX, 29}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint64_t want =
        128 + 4 * ((UINT64_C(1) << rows[i].bits) + 2) + UINT64_C(8) * rows[i].count + 32;
    CHECK(st_snapshot_bits(rows[i].count) == rows[i].bits, "%u", rows[i].count);
    if (want > SIZE_MAX / 2) want = 0;
    CHECK(subtoken_revocations_size(rows[i].count) == want, "%u", rows[i].count);
    if (rows[i].count >= 1000) {
      CHECK((double)want <= 9.2 * rows[i].count, "%u", rows[i].count);
    }
  }
}

static void each_field_is_checked(void **state) {
  (void)state;
  snapshot s = small();
  uint64_t len = s.len;
  const change rows[] = {
      {0, 1, 'S', SUBTOKEN_FEED_OK},
      {0, 1, 's', SUBTOKEN_FEED_MAGIC},
      {7, 1, 'K', SUBTOKEN_FEED_MAGIC},
      {0, 8, UINT64_C(0x4556494c412d5453), SUBTOKEN_FEED_MAGIC}, /* ST-ALIVE */
      {8, 4, 0, SUBTOKEN_FEED_VERSION},
      {8, 4, 2, SUBTOKEN_FEED_VERSION},
      {8, 4, 0x01000000, SUBTOKEN_FEED_VERSION},
      {8, 4, UINT32_MAX, SUBTOKEN_FEED_VERSION},
      {12, 1, 0, SUBTOKEN_FEED_FORM},
      {12, 1, 1, SUBTOKEN_FEED_FORM},
      {12, 1, 3, SUBTOKEN_FEED_FORM},
      {12, 1, 64, SUBTOKEN_FEED_FORM},
      {12, 1, 255, SUBTOKEN_FEED_FORM},
      {13, 1, 0, SUBTOKEN_FEED_FORM}, /* bytes of a kid that is not there */
      {13, 1, 2, SUBTOKEN_FEED_FORM},
      {13, 1, 4, SUBTOKEN_FEED_FORM},
      {13, 1, 64, SUBTOKEN_FEED_FORM},
      {13, 1, 65, SUBTOKEN_FEED_FORM},
      {13, 1, 255, SUBTOKEN_FEED_FORM},
      {14, 1, 1, SUBTOKEN_FEED_FORM},
      {15, 1, 128, SUBTOKEN_FEED_FORM},
      {16, 8, 0, SUBTOKEN_FEED_FORM},
      {16, 8, 1, SUBTOKEN_FEED_OK},
      {16, 8, INT64_MAX, SUBTOKEN_FEED_OK},
      {16, 8, UINT64_C(1) << 63, SUBTOKEN_FEED_FORM},
      {16, 8, UINT64_MAX, SUBTOKEN_FEED_FORM},
      {24, 8, 0, SUBTOKEN_FEED_OK},
      {24, 8, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OK},
      {24, 8, UINT64_C(1) << 53, SUBTOKEN_FEED_FORM},
      {24, 8, UINT64_MAX, SUBTOKEN_FEED_FORM},
      {32, 8, 0, SUBTOKEN_FEED_LENGTH},
      {32, 8, len - 1, SUBTOKEN_FEED_LENGTH},
      {32, 8, len + 1, SUBTOKEN_FEED_LENGTH},
      {32, 8, len - 32, SUBTOKEN_FEED_LENGTH},
      {32, 8, len + (UINT64_C(1) << 32), SUBTOKEN_FEED_LENGTH},
      {32, 8, UINT64_MAX, SUBTOKEN_FEED_LENGTH},
      {40, 4, 0, SUBTOKEN_FEED_FORM}, /* another b would go with it */
      {40, 4, SMALL - 1, SUBTOKEN_FEED_LENGTH},
      {40, 4, SMALL + 1, SUBTOKEN_FEED_LENGTH},
      {40, 4, UINT32_MAX, SUBTOKEN_FEED_FORM},
      {40, 4, 1 << 29, SUBTOKEN_FEED_FORM}, /* times 8 is 0 in 32 bits */
      {44, 1, 1, SUBTOKEN_FEED_FORM},
      {47, 1, 1, SUBTOKEN_FEED_FORM},
      {64, 1, '/', SUBTOKEN_FEED_FORM},
      {65, 1, 0, SUBTOKEN_FEED_FORM},
      {64, 1, 'T', SUBTOKEN_FEED_KID},
      {67, 1, 'o', SUBTOKEN_FEED_FORM},
      {127, 1, 1, SUBTOKEN_FEED_FORM},
      {64, 3, 'o' | 'n' << 8 | 'e' << 16, SUBTOKEN_FEED_MAC}, /* a secret of the ring, not its */
  };
  changed(&s, rows, COUNT(rows));
  /* A kid of one character has to be one that a kid may have. */
  st_feed_head head;
  memset(s.bytes + ST_FEED_KID, 0, SUBTOKEN_KID_MAX);
  s.bytes[ST_FEED_KID_LEN] = 1;
  s.bytes[ST_FEED_KID] = '.';
  assert_int_equal(st_revocations_format_read_head(&ring, ST_SNAPSHOT_MAGIC, s.bytes, &head),
                   SUBTOKEN_FEED_FORM);
  s.bytes[ST_FEED_KID] = 'k';
  assert_int_equal(st_revocations_format_read_head(&ring, ST_SNAPSHOT_MAGIC, s.bytes, &head),
                   SUBTOKEN_FEED_KID);
  free(s.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_those_of_the_format),
      cmocka_unit_test(each_field_is_checked),
  };
  return cmocka_run_group_tests_name("revocations_format", tests, setup, NULL);
}
