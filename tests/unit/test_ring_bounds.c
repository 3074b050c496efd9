/* Rings, and what is derived of them, that no good caller hands in. Good ones are in test_ring.c.
 */
#include "support.h"

#include "core/ring.h"

static const subtoken_text absent = {NULL, 0};

/* ---- rings ---- */

/* What is wrong with a line that is not there, or has no kid. */
static void a_line_of_a_ring_may_be_absent(void **state) {
  (void)state;
  assert_string_equal(subtoken_ring_error(absent, 1, SUBTOKEN_BAD_SECRET),
                      "is not 32 to 64 bytes, or is easy to guess");
  assert_string_equal(subtoken_ring_error(ST_TEXT(":a.b"), 1, SUBTOKEN_BAD_SECRET),
                      "is not 32 to 64 bytes, or is easy to guess");
  assert_non_null(strstr(subtoken_ring_error(ST_TEXT("a.b:c"), 1, SUBTOKEN_BAD_SECRET),
                         "as a derived secret is"));
  assert_non_null(strstr(subtoken_ring_error(ST_TEXT("a.b:c"), 2, SUBTOKEN_BAD_KID),
                         "has a kid that is not up to 64 characters A-Za-z0-9_-"));
}

/* As many as there is room for are looked at, whatever the count says. */
static void a_ring_with_too_high_a_count_is_not_left(void **state) {
  (void)state;
  subtoken_ring *ring = malloc(sizeof *ring);
  char out[256];
  size_t len;
  subtoken_claims claims;
  assert_non_null(ring);
  ring_with(ring, "other", OTHER_SECRET);
  for (size_t i = 1; i < SUBTOKEN_RING_MAX; i++) ring->secrets[i] = ring->secrets[0];
  ring->count = SUBTOKEN_RING_MAX + 1;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  assert_null(st_ring_find(ring, ST_TEXT("unknown")));
  assert_int_equal(subtoken_authenticate(ring, NULL, token, &claims), SUBTOKEN_KID);
  assert_int_equal(subtoken_jws_open(ring, token, out, sizeof out, &len), SUBTOKEN_KID);
  /* A header that is longer than its room is nobody's. */
  ring_with(ring, "", TEST_SECRET);
  ring->secrets[0].header_len = UINT8_MAX;
  assert_int_equal(subtoken_authenticate(ring, NULL, token, &claims), SUBTOKEN_OK);
  release(token);
  free(ring);
}

static void an_audience_that_is_longer_than_its_kid_is_none(void **state) {
  (void)state;
  subtoken_ring ring;
  ring_with(&ring, "a.web", TEST_SECRET);
  assert_true(st_text_is(subtoken_ring_audience(&ring), "web"));
  assert_true(st_text_is(st_ring_kid(&ring.secrets[0]), "a.web"));
  ring.secrets[0].audience_len = 6;
  assert_null(subtoken_ring_audience(&ring).data);
  ring.secrets[0].audience_len = 3;
  ring.secrets[0].kid_len = SUBTOKEN_KID_MAX + 1;
  assert_null(subtoken_ring_audience(&ring).data);
  assert_null(subtoken_ring_audience(NULL).data);
}

static void a_secret_is_derived_of_a_good_one(void **state) {
  (void)state;
  static const uint8_t zero[SUBTOKEN_MAC_LEN];
  uint8_t out[SUBTOKEN_MAC_LEN];
  subtoken_text web = ST_TEXT("web");
  const struct {
    const char *secret;
    size_t len;
    subtoken_text audience;
    subtoken_result want;
  } rows[] = {{TEST_SECRET, 32, web, SUBTOKEN_OK},
              {NULL, 32, web, SUBTOKEN_INVALID_ARGUMENT},
              {TEST_SECRET, 32, absent, SUBTOKEN_INVALID_ARGUMENT},
              {TEST_SECRET, 32, ST_TEXT("w.b"), SUBTOKEN_BAD_AUD},
              {TEST_SECRET, 31, web, SUBTOKEN_BAD_SECRET}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    memset(out, 'x', sizeof out);
    subtoken_result got =
        subtoken_secret_derive(rows[i].secret, rows[i].len, rows[i].audience, out);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    CHECK((memcmp(out, zero, sizeof out) == 0) == (got != SUBTOKEN_OK), "row %zu", i);
  }
  assert_int_equal(subtoken_secret_derive(TEST_SECRET, 32, web, NULL), SUBTOKEN_INVALID_ARGUMENT);
}

static void a_ring_is_derived_as_a_whole(void **state) {
  (void)state;
  static const subtoken_ring zero;
  char kid[SUBTOKEN_KID_MAX + 1] = {0};
  subtoken_ring ring, out;
  subtoken_text web = ST_TEXT("web");
  ring_with(&ring, "a", TEST_SECRET);
  memset(kid, 'k', SUBTOKEN_KID_MAX);
  assert_int_equal(subtoken_ring_derive(&ring, web, &ring), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(&ring, web, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(NULL, web, &out), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(&ring, absent, &out), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_derive(&ring, ST_TEXT("w.b"), &out), SUBTOKEN_BAD_AUD);
  assert_int_equal(subtoken_ring_derive(&ring, web, &out), SUBTOKEN_OK);
  assert_int_equal(out.count, 1);
  /* The first has a kid that grows too long; nothing is derived of those behind it. */
  ring_with(&ring, kid, TEST_SECRET);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("b"), OTHER_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&ring, web, &out), SUBTOKEN_BAD_KID);
  assert_memory_equal(&out, &zero, sizeof out);
  ring.secrets[0].header_len = 0;
  assert_int_equal(subtoken_ring_derive(&ring, web, &out), SUBTOKEN_NO_SECRET);
  assert_memory_equal(&out, &zero, sizeof out);
  ring.count = SUBTOKEN_RING_MAX + 1;
  assert_int_equal(subtoken_ring_derive(&ring, web, &out), SUBTOKEN_NO_SECRET);
  ring.count = 0;
  assert_int_equal(subtoken_ring_derive(&ring, web, &out), SUBTOKEN_NO_SECRET);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_of_a_ring_may_be_absent),
      cmocka_unit_test(a_ring_with_too_high_a_count_is_not_left),
      cmocka_unit_test(an_audience_that_is_longer_than_its_kid_is_none),
      cmocka_unit_test(a_secret_is_derived_of_a_good_one),
      cmocka_unit_test(a_ring_is_derived_as_a_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
