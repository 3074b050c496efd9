#include "support.h"

#include "subtoken/mac.h"

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
    subtoken_text name = repeated("", 'p', len);
    /* None is there twice. */
    ((char *)(uintptr_t)name.data)[0] = (char)('A' + claims->permission_count % 26);
    if (len > 1) ((char *)(uintptr_t)name.data)[1] = (char)('A' + claims->permission_count / 26);
    if (!st_claims_add_permission(claims, name)) abort();
    release(name);
  }
}

static void a_token_is_written_byte_for_byte(void **state) {
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
static void a_token_has_4096_bytes_at_most(void **state) {
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

static void claims_that_no_reader_takes_are_refused(void **state) {
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
      {NOW, NOW + 1, true, "", SUBTOKEN_CLAIMS},
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
  /* A token does not say nbf, so that one which lies ahead would be forgotten. */
  subtoken_claims claims = grant_of("a", NULL);
  claims.iat = 10;
  claims.nbf = 11;
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  claims.nbf = 10;
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_OK);
  claims.iat = claims.nbf = -1;
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  claims.iat = claims.nbf = 10;
  /* An audience that no verifier can ask for; a derived ring with too little room. */
  static const char *const audiences[] = {"eu", "e.u", ""};
  for (size_t i = 0; i < COUNT(audiences); i++) {
    subtoken_claims meant = claims;
    assert_true(st_claims_set_aud(&meant, st_text(audiences[i])));
    CHECK(subtoken_issue(&ring, &meant, out, sizeof out, &len) ==
              (i == 0 ? SUBTOKEN_OK : SUBTOKEN_CLAIMS),
          "%s", audiences[i]);
  }
  subtoken_ring derived, none = ring;
  assert_int_equal(subtoken_ring_derive(&ring, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_true(st_claims_set_aud(&claims, ST_TEXT("eu")));
  assert_int_equal(subtoken_issue(&derived, &claims, out, 20, &len), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_issue(&derived, &claims, out, sizeof out, &len), SUBTOKEN_OK);
  /* What a ring does not count it does not have. */
  none.count = 0;
  assert_int_equal(subtoken_issue(&none, &claims, out, sizeof out, &len), SUBTOKEN_NO_SECRET);
  claims.aud.len = 0;
  /* So much that the payload is cut. */
  static char url[1000];
  memset(url, 'x', sizeof url);
  subtoken_claims large = claims;
  large.every_url = false;
  for (char c = 'a'; c < 'f'; c++) {
    memcpy(url, "/", 1);
    url[1] = c;
    assert_true(st_claims_add_url(&large, (subtoken_text){url, sizeof url}));
  }
  assert_int_equal(subtoken_issue(&ring, &large, out, sizeof out, &len), SUBTOKEN_TOO_LARGE);
  /* A secret that was never set, or was wiped, is one that everybody knows. */
  subtoken_wipe(&ring.secrets[0], sizeof ring.secrets[0]);
  for (size_t count = 0; count <= 1; count++) {
    ring.count = count;
    len = 9;
    out[0] = 'x';
    assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_NO_SECRET);
    assert_true(len == 0 && out[0] == '\0');
    assert_int_equal(subtoken_jws_seal(&ring, "x", 1, out, sizeof out, &len), SUBTOKEN_NO_SECRET);
  }
}

static void an_issued_token_is_verified(void **state) {
  (void)state;
  subtoken_claims made = grant_of("a,b,c.d", "/v2/x,GET:/v2/%C3%A9/*"), back;
  made.iat = NOW;
  made.exp = NOW + 5;
  assert_int_equal(subtoken_claims_set_sid(&made, ST_TEXT("L-1")), SUBTOKEN_OK);
  size_t len;
  ring_with(&ring, "k", TEST_SECRET);
  assert_int_equal(subtoken_issue(&ring, &made, out, sizeof out, &len), SUBTOKEN_OK);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_request request = {.size = sizeof request,
                              .now = NOW,
                              .method = ST_TEXT("HEAD"),
                              .target = ST_TEXT("/v2/%c3%a9/1?q")};
  subtoken_text token = exact(out, len);
  assert_int_equal(subtoken_verify(&verifier, token, &request, &back), SUBTOKEN_OK);
  release(token);
  assert_int_equal(back.iat, NOW);
  assert_int_equal(back.exp, NOW + 5);
  assert_false(back.every_url);
  assert_int_equal(back.permission_count, 3);
  assert_int_equal(back.url_count, 2);
  assert_true(st_claims_has_permission(&back, ST_TEXT("c.d")));
  assert_true(st_claims_has_url(&back, ST_TEXT("GET:/v2/%C3%A9/*")));
  assert_true(st_text_is(subtoken_claims_text(&back, back.sub), "parent"));
  assert_true(st_text_is(subtoken_claims_text(&back, back.sid), "L-1"));
  /* What the claims held before is not taken for the token's. */
  made.sid.len = 0;
  assert_int_equal(subtoken_issue(&ring, &made, out, sizeof out, &len), SUBTOKEN_OK);
  memset(&back, 0x55, sizeof back);
  assert_int_equal(subtoken_verify(&verifier, (subtoken_text){out, len}, &request, &back),
                   SUBTOKEN_OK);
  assert_int_equal(back.sid.len, 0);
}

/* A sid is the last claim, or not there at all; and the token is no longer for it than it
 * has to be.
 */
static void a_sid_is_written(void **state) {
  (void)state;
  static const struct {
    const char *urls, *payload;
  } rows[] = {
      {NULL,
       "{\"sub\":\"parent\",\"iat\":1700000000,\"exp\":1700000060,\"permissions\":[\"a\"],"
       "\"sid\":\"L_0-z\"}"},
      {"/a",
       "{\"sub\":\"parent\",\"iat\":1700000000,\"exp\":1700000060,\"permissions\":[\"a\"],"
       "\"urls\":[\"/a\"],\"sid\":\"L_0-z\"}"},
  };
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of("a", rows[i].urls);
    claims.iat = NOW;
    claims.exp = NOW + 60;
    assert_int_equal(subtoken_claims_set_sid(&claims, ST_TEXT("L_0-z")), SUBTOKEN_OK);
    size_t len;
    assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_OK);
    subtoken_text want = good_token(rows[i].payload);
    CHECK(st_text_equal(want, (subtoken_text){out, len}), "row %zu", i);
    release(want);
  }
}

/* Set past subtoken_claims_set_sid. */
static void a_bad_sid_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {
      " ",
      "a b",
      "a\"",
      "a\",\"x\":\"",
      "a\\",
      "a.b",
      "\n",
      "\x7F",
      "\xC3\xA9",
      "aaaaaaaaaaaaaaaaaaaaaaaa.",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  size_t len;
  for (size_t i = 0; i < 2 * COUNT(bad); i++) {
    ring_with(&ring, "", TEST_SECRET);
    if (i % 2 == 1) ring.secrets[0].cpu = 0;
    subtoken_claims claims = grant_of("a", NULL);
    assert_true(st_claims_set_sid(&claims, st_text(bad[i / 2])));
    len = 9;
    out[0] = 'x';
    CHECK(subtoken_issue(&ring, &claims, out, sizeof out, &len) == SUBTOKEN_CLAIMS, "%s",
          bad[i / 2]);
    assert_true(len == 0 && out[0] == '\0');
    claims.sid.len = 0;
    CHECK(subtoken_issue(&ring, &claims, out, sizeof out, &len) == SUBTOKEN_OK, "%s", bad[i / 2]);
  }
}

/* Claims that no verifier would take: they are not signed, by the processor's
 * instructions and without. */
static void claims_that_no_verifier_accepts_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *sub, *permission, *url; /* NULL: left out */
    subtoken_result want;
  } rows[] = {
      {"s", "p", "/a", SUBTOKEN_OK},
      {"s", NULL, NULL, SUBTOKEN_OK},
      {"s", "p", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/%C3%A9%20/*", SUBTOKEN_OK},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ppppppppppppppppppppppp:pppppp",
       "GET:/a", SUBTOKEN_OK},
      {"", "p", "/a", SUBTOKEN_CLAIMS},
      {"a b", "p", "/a", SUBTOKEN_CLAIMS},
      {"a\"", "p", "/a", SUBTOKEN_CLAIMS},
      {"a\\", "p", "/a", SUBTOKEN_CLAIMS},
      {"a.b", "p", "/a", SUBTOKEN_CLAIMS},
      {"aaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaa", "p", "/a", SUBTOKEN_CLAIMS},
      {"aaaaaaaaaaaaaaaa\n", "p", "/a", SUBTOKEN_CLAIMS},
      {"\xC3\xA9", "p", "/a", SUBTOKEN_CLAIMS},
      {"s", "", "/a", SUBTOKEN_CLAIMS},
      {"s", "a,b", "/a", SUBTOKEN_CLAIMS},
      {"s", "a b", "/a", SUBTOKEN_CLAIMS},
      {"s", "a\"],\"urls\":[\"/", "/a", SUBTOKEN_CLAIMS},
      {"s", "ppppppppppppppppppppppppppppppppppp\\", "/a", SUBTOKEN_CLAIMS},
      {"s", "pppppppppppppppp\x7F", "/a", SUBTOKEN_CLAIMS},
      {"s", "p", "", SUBTOKEN_BAD_URL},
      {"s", "p", "a", SUBTOKEN_BAD_URL},
      {"s", "p", "/..", SUBTOKEN_BAD_URL},
      {"s", "p", "/a?b", SUBTOKEN_BAD_URL},
      {"s", "p", "/a*", SUBTOKEN_BAD_URL},
      {"s", "p", "/aaaaaaaaaaaaaaaaaaaaaaaaa//aaaaaaaa", SUBTOKEN_BAD_URL},
      {"s", "p", "/a\"", SUBTOKEN_BAD_URL},
      {"s", "p", "get:/a", SUBTOKEN_BAD_URL},
      {"s", "p", "/%25", SUBTOKEN_BAD_URL},
      {"", "", "", SUBTOKEN_CLAIMS}, /* the earlier reason */
  };
  for (size_t i = 0; i < 2 * COUNT(rows); i++) {
    static subtoken_claims claims, back;
    ring_with(&ring, "", TEST_SECRET);
    if (i % 2 == 1) ring.secrets[0].cpu = 0;
    memset(&claims, 0, sizeof claims);
    claims.iat = NOW;
    claims.exp = NOW + 60;
    claims.every_url = rows[i / 2].url == NULL;
    bool good = st_claims_set_sub(&claims, st_text(rows[i / 2].sub));
    if (rows[i / 2].permission != NULL) {
      good = good && st_claims_add_permission(&claims, st_text(rows[i / 2].permission));
    }
    if (rows[i / 2].url != NULL)
      good = good && st_claims_add_url(&claims, st_text(rows[i / 2].url));
    assert_true(good);
    size_t len = 9;
    memset(out, 'x', sizeof out);
    subtoken_result got = subtoken_issue(&ring, &claims, out, sizeof out, &len);
    CHECK(got == rows[i / 2].want, "row %zu: %s", i / 2, subtoken_result_name(got));
    CHECK(got == SUBTOKEN_OK || (len == 0 && out[0] == '\0'), "row %zu", i / 2);
    if (got != SUBTOKEN_OK) continue;
    char header[100];
    CHECK(subtoken_inspect((subtoken_text){out, len}, header, sizeof header, &back) == SUBTOKEN_OK,
          "row %zu", i / 2);
  }
}

/* One character more than a verifier takes, and the same permission twice. */
static void claims_over_a_limit_are_refused(void **state) {
  (void)state;
  static subtoken_claims claims;
  static const size_t most[4] = {SUBTOKEN_SUB_MAX, SUBTOKEN_PERMISSION_MAX, SUBTOKEN_URL_MAX,
                                 SUBTOKEN_SID_MAX};
  static const subtoken_result wants[4] = {SUBTOKEN_CLAIMS, SUBTOKEN_CLAIMS, SUBTOKEN_BAD_URL,
                                           SUBTOKEN_CLAIMS};
  size_t len;
  ring_with(&ring, "", TEST_SECRET);
  for (int which = 0; which < 4; which++) {
    for (size_t n = most[which] - 1; n <= most[which] + 2; n++) {
      subtoken_text text = repeated(which == 2 ? "/" : "a", 'a', n - 1);
      memset(&claims, 0, sizeof claims);
      claims.iat = NOW;
      claims.exp = NOW + 60;
      claims.every_url = which != 2;
      assert_true(st_claims_set_sub(&claims, which == 0 ? text : ST_TEXT("s")));
      if (which == 1) assert_true(st_claims_add_permission(&claims, text));
      if (which == 2) assert_true(st_claims_add_url(&claims, text));
      if (which == 3) assert_true(st_claims_set_sid(&claims, text));
      CHECK(subtoken_issue(&ring, &claims, out, sizeof out, &len) ==
                (n <= most[which] ? SUBTOKEN_OK : wants[which]),
            "%d: %zu", which, n);
      release(text);
    }
  }
  for (int cpu = 0; cpu < 2; cpu++) {
    if (cpu == 0) ring.secrets[0].cpu = 0;
    claims = grant_of("a,b,a", NULL);
    assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_CLAIMS);
    claims = grant_of("a,b,aa", NULL);
    assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_OK);
    ring_with(&ring, "", TEST_SECRET);
  }
  /* every_url goes before the list, which is then not written. */
  claims = grant_of("a", "/..");
  claims.every_url = true;
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_OK);
  /* An empty list goes before all that may be wrong besides. */
  memset(&claims, 0, sizeof claims);
  assert_int_equal(subtoken_issue(&ring, &claims, out, sizeof out, &len), SUBTOKEN_TOO_MANY_URLS);
}

/* Claims that a caller made up, and arguments that are not there, are refused and not
 * followed.
 */
static void claims_out_of_bounds_are_refused(void **state) {
  (void)state;
  static subtoken_claims made_up, child;
  static subtoken_ring made;
  ring_with(&made, "", TEST_SECRET);
  char token[SUBTOKEN_ISSUED_MAX + 1];
  size_t len;
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  for (int row = 0; row < 7; row++) {
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
    if (row == 6) made_up.sid = (subtoken_slice){6144, 1};
    CHECK(subtoken_issue(&made, &made_up, token, sizeof token, &len) == SUBTOKEN_INVALID_ARGUMENT,
          "row %d", row);
    CHECK(
        subtoken_narrow(&made_up, &request, &limits, 5, &child, NULL) == SUBTOKEN_INVALID_ARGUMENT,
        "row %d", row);
    CHECK(subtoken_url_match(&made_up, ST_TEXT("GET"), ST_TEXT("/")) == SUBTOKEN_INVALID_ARGUMENT,
          "row %d", row);
  }
  memset(&made_up, 0, sizeof made_up);
  memset(token, 'x', sizeof token);
  len = 9;
  assert_int_equal(subtoken_issue(NULL, &made_up, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(len == 0 && token[0] == '\0');
  assert_int_equal(subtoken_issue(&made, NULL, token, sizeof token, &len),
                   SUBTOKEN_INVALID_ARGUMENT);
  len = 9;
  assert_int_equal(subtoken_issue(&made, &made_up, NULL, 9, &len), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(len, 0);
  token[0] = 'x';
  assert_int_equal(subtoken_issue(&made, &made_up, token, sizeof token, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(token[0], '\0');
  child = grant_of("a", NULL);
  assert_int_equal(subtoken_narrow(&child, &request, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&child));
  memset(&child, 0x55, sizeof child);
  assert_int_equal(subtoken_narrow(NULL, &request, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&child));
  subtoken_issue_request nowhere = {.size = sizeof nowhere, .permission_count = 1};
  memset(&child, 0x55, sizeof child);
  assert_int_equal(subtoken_narrow(&made_up, &nowhere, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&child));
  nowhere = (subtoken_issue_request){
      .size = sizeof(subtoken_issue_request), .has_urls = true, .url_count = 1};
  assert_int_equal(subtoken_narrow(&made_up, &nowhere, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, NULL, &limits, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, &request, NULL, 5, &child, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_narrow(&made_up, &request, &limits, 5, NULL, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(NULL, ST_TEXT(""), token, 32), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_ring_add(&made, ST_TEXT(""), NULL, 32), SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(claims_out_of_bounds_are_refused),
      cmocka_unit_test(claims_that_no_verifier_accepts_are_refused),
      cmocka_unit_test(claims_over_a_limit_are_refused),
      cmocka_unit_test(a_token_is_written_byte_for_byte),
      cmocka_unit_test(a_token_has_4096_bytes_at_most),
      cmocka_unit_test(claims_that_no_reader_takes_are_refused),
      cmocka_unit_test(an_issued_token_is_verified),
      cmocka_unit_test(a_sid_is_written),
      cmocka_unit_test(a_bad_sid_is_refused),
  };
  return cmocka_run_group_tests_name("issue", tests, NULL, NULL);
}
