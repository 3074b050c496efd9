#include "support.h"

static subtoken_ring ring;
static char out[SUBTOKEN_ISSUED_MAX + 1];

/* A payload text of so many bytes, by way of permissions of 64 characters. */
static void fill(subtoken_claims *claims, size_t payload) {
  *claims = grant_of("", NULL);
  claims->iat = NOW;
  claims->exp = NOW + 60;
  for (size_t left = payload; left > 0;) {
    char text[SUBTOKEN_TOKEN_MAX];
    st_writer writer = st_writer_on(text, sizeof text);
    st_claims_write(&writer, claims);
    if (writer.len >= payload) return;
    /* The first has no comma in front. */
    size_t extra = claims->permission_count > 0 ? 3 : 2;
    left = payload - writer.len;
    size_t len = left <= 64 + extra ? left - extra : left - extra - 64 < 4 ? 40 : 64;
    subtoken_text name = repeated("", (char)('!' + 2 + claims->permission_count % 9), len);
    if (!st_claims_add_permission(claims, name)) abort();
    release(name);
  }
}

static void exact_token(void **state) {
  (void)state;
  static const struct {
    const char *kid, *header;
  } rows[] = {
      {"", HEADER},
      {"2026-11", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"2026-11\"}"},
  };
  subtoken_claims claims = grant_of("account,guilds", NULL);
  claims.iat = NOW;
  claims.exp = NOW + 3600;
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = 0;
    ring_with(&ring, rows[i].kid, TEST_SECRET);
    /* A second secret only verifies. */
    assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("z"), OTHER_SECRET, 32), SUBTOKEN_OK);
    assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_OK);
    subtoken_text want = signed_token(TEST_SECRET, st_text(rows[i].header), st_text(GOOD_PAYLOAD));
    assert_true(st_text_equal(want, (subtoken_text){out, len}));
    assert_int_equal(strlen(out), len);
    release(want);
    for (size_t room = 0; room <= len; room++) {
      char *small = malloc(room);
      size_t small_len = 9;
      CHECK(subtoken_issue(&ring, &claims, small, room, &small_len) == SUBTOKEN_BUFFER_TOO_SMALL,
            "room for %zu", room);
      CHECK(small_len == 0 && (room == 0 || small[0] == '\0'), "room for %zu", room);
      free(small);
    }
    char *fits = malloc(len + 1);
    assert_int_equal(subtoken_issue(&ring, &claims, fits, len + 1, &len), SUBTOKEN_OK);
    free(fits);
  }
}

/* 4,096 bytes and no more. */
static void size_limit(void **state) {
  (void)state;
  static subtoken_claims claims;
  size_t longest = 0, shortest_refused = 99999;
  ring_with(&ring, "", TEST_SECRET);
  for (size_t payload = 2900; payload <= 3100; payload++) {
    fill(&claims, payload);
    size_t len = 0;
    subtoken_result got = subtoken_issue(&ring, &claims, out, sizeof out, &len);
    /* header, dot, payload, dot, MAC */
    size_t whole = 36 + 1 + ST_BASE64URL_LEN(payload) + 1 + 43;
    if (whole <= SUBTOKEN_ISSUED_MAX) {
      CHECK(got == SUBTOKEN_OK && len == whole, "payload of %zu: %zu", payload, len);
      longest = whole;
    } else {
      CHECK(got == SUBTOKEN_TOO_LARGE && len == 0 && out[0] == '\0', "payload of %zu", payload);
      if (whole < shortest_refused) shortest_refused = whole;
    }
  }
  assert_true(longest >= 4093 && longest <= 4096);
  assert_true(shortest_refused <= 4099);
  fill(&claims, 4100);
  size_t len = 9;
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_TOO_LARGE);
  assert_int_equal(len, 0);
}

static void refused(void **state) {
  (void)state;
  static const struct {
    int64_t iat, exp;
    bool every_url;
    const char *sub;
    subtoken_result want;
  } rows[] = {
      {NOW, NOW + 1, true, "s", SUBTOKEN_OK},
      {0, SUBTOKEN_TIME_MAX, true, "s", SUBTOKEN_OK},
      {NOW, NOW, true, "s", SUBTOKEN_INVALID_ARGUMENT},
      {NOW, NOW - 1, true, "s", SUBTOKEN_INVALID_ARGUMENT},
      {-1, NOW, true, "s", SUBTOKEN_INVALID_ARGUMENT},
      {NOW, SUBTOKEN_TIME_MAX + 1, true, "s", SUBTOKEN_INVALID_ARGUMENT},
      {NOW, NOW + 1, true, "", SUBTOKEN_INVALID_ARGUMENT},
      {NOW, NOW + 1, false, "s", SUBTOKEN_TOO_MANY_URLS}, /* an empty list is not issued */
  };
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    memset(&claims, 0, sizeof claims);
    assert_true(st_claims_set_sub(&claims, st_text(rows[i].sub)));
    claims.iat = rows[i].iat;
    claims.exp = rows[i].exp;
    claims.every_url = rows[i].every_url;
    size_t len = 9;
    memset(out, 'x', sizeof out);
    subtoken_result got = subtoken_issue(&ring, &claims, out, sizeof out, &len);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    CHECK((len > 0) == (got == SUBTOKEN_OK) && (out[0] != '\0') == (got == SUBTOKEN_OK), "row %zu",
          i);
  }
  static subtoken_claims zero;
  size_t len = 9;
  assert_int_not_equal(subtoken_issue(&ring, &zero, out, sizeof out, &len), SUBTOKEN_OK);
  memset(&ring, 0, sizeof ring);
  subtoken_claims claims = grant_of("a", NULL);
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_NO_SECRET);
  assert_true(len == 0 && out[0] == '\0');
}

static void reads_back(void **state) {
  (void)state;
  subtoken_claims made = grant_of("a,b,c.d", "/v2/x,GET:/v2/%C3%A9/*"), back;
  made.iat = NOW;
  made.exp = NOW + 5;
  size_t len;
  ring_with(&ring, "k", TEST_SECRET);
  assert_int_equal(subtoken_issue(&ring, &made, out, sizeof out, &len), SUBTOKEN_OK);
  subtoken_verifier judge = SUBTOKEN_VERIFIER_DEFAULT;
  judge.ring = &ring;
  judge.without_revocations = true;
  subtoken_request request = {
      .now = NOW, .method = ST_TEXT("HEAD"), .target = ST_TEXT("/v2/%c3%a9/1?q")};
  subtoken_text token = exact(out, len);
  assert_int_equal(subtoken_verify(&judge, token, &request, &back), SUBTOKEN_OK);
  release(token);
  assert_int_equal(back.iat, NOW);
  assert_int_equal(back.exp, NOW + 5);
  assert_false(back.every_url);
  assert_int_equal(back.permission_count, 3);
  assert_int_equal(back.url_count, 2);
  assert_true(st_claims_has_permission(&back, ST_TEXT("c.d")));
  assert_true(st_claims_has_url(&back, ST_TEXT("GET:/v2/%C3%A9/*")));
  assert_true(st_text_is(subtoken_claims_text(&back, back.sub), "parent"));
}

/* Claims that a caller made up, and arguments that are not there, are refused and not
 * followed.
 */
static void refuses_what_points_outside(void **state) {
  (void)state;
  static subtoken_claims made_up, child;
  static subtoken_ring made;
  ring_with(&made, "", TEST_SECRET);
  char token[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  subtoken_ask ask = {0};
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  for (int row = 0; row < 6; row++) {
    memset(&made_up, 0, sizeof made_up);
    made_up.every_url = row != 3;
    made_up.iat = 1;
    made_up.exp = SUBTOKEN_TIME_MAX;
    made_up.sub.len = 1;
    made_up.text[0] = 'a';
    if (row == 0) made_up.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
    if (row == 1) made_up.url_count = SUBTOKEN_URLS_MAX + 1;
    if (row == 2) made_up.sub.at = 0xFFFF;
    if (row == 3) made_up.url_count = 1, made_up.urls[0].len = 0xFFFF;
    if (row == 4) made_up.permission_count = 1, made_up.permissions[0].at = 6144;
    if (row == 4) made_up.permissions[0].len = 1;
    if (row == 5) made_up.text_len = 0xFFFF;
    CHECK(subtoken_issue(&made, &made_up, token, sizeof token, &len) == SUBTOKEN_INVALID_ARGUMENT,
          "row %d", row);
    CHECK(subtoken_narrow(&made_up, &ask, &limits, 5, &child, NULL) == SUBTOKEN_INVALID_ARGUMENT,
          "row %d", row);
    CHECK(subtoken_url_match(&made_up, ST_TEXT("GET"), ST_TEXT("/")) == SUBTOKEN_INVALID_ARGUMENT,
          "row %d", row);
  }
  memset(&made_up, 0, sizeof made_up);
  assert_int_equal(subtoken_issue(NULL, &made_up, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_issue(&made, NULL, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_issue(&made, &made_up, NULL, 9, &len), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_issue(&made, &made_up, token, sizeof token, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(NULL, &ask, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, NULL, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, &ask, NULL, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, &ask, &limits, 5, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(NULL, ST_TEXT(""), token, 32), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(&made, ST_TEXT(""), NULL, 32), SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_what_points_outside),
      cmocka_unit_test(exact_token),
      cmocka_unit_test(size_limit),
      cmocka_unit_test(refused),
      cmocka_unit_test(reads_back),
  };
  return cmocka_run_group_tests_name("issue", tests, NULL, NULL);
}
