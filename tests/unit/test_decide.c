#include "support.h"

#include "core/decide.h"

#define LEEWAY 60
#define MAX_LIFE (365 * DAY)

static subtoken_ring ring; /* which instructions to use stands in it */

static subtoken_verifier default_verifier(void) {
  subtoken_verifier made = SUBTOKEN_VERIFIER_DEFAULT;
  made.ring = &ring;
  made.without_revocations = true;
  return made;
}

static subtoken_result decide_at(int64_t iat, int64_t exp, int64_t nbf, int64_t now) {
  subtoken_claims claims = grant_of("a", NULL);
  subtoken_verifier verifier = default_verifier();
  subtoken_request request = {.size = sizeof request, .now = now};
  claims.iat = iat;
  claims.exp = exp;
  claims.nbf = nbf;
  return st_decide(&verifier, &request, NULL, &claims);
}

/* Each limit to the second. */
static void times_are_kept_to_the_second(void **state) {
  (void)state;
  static const struct {
    int64_t iat, exp, nbf, now;
    subtoken_result want;
  } rows[] = {
      {NOW, NOW + 10, 0, NOW, SUBTOKEN_OK},
      {NOW, NOW + 1, 0, NOW, SUBTOKEN_OK},
      {NOW, NOW, 0, NOW, SUBTOKEN_EXP_BEFORE_IAT},
      {NOW, NOW - 1, 0, NOW, SUBTOKEN_EXP_BEFORE_IAT},
      {0, 0, 0, NOW, SUBTOKEN_EXP_BEFORE_IAT},
      {NOW, NOW + MAX_LIFE, 0, NOW, SUBTOKEN_OK},
      {NOW, NOW + MAX_LIFE + 1, 0, NOW, SUBTOKEN_TTL},
      {0, SUBTOKEN_TIME_MAX, 0, NOW, SUBTOKEN_TTL},
      {NOW + LEEWAY, NOW + 100, 0, NOW, SUBTOKEN_OK},
      {NOW + LEEWAY + 1, NOW + 100, 0, NOW, SUBTOKEN_IAT_FUTURE},
      {NOW - 1, NOW + 100, NOW + LEEWAY, NOW, SUBTOKEN_OK},
      {NOW - 1, NOW + 100, NOW + LEEWAY + 1, NOW, SUBTOKEN_NOT_YET},
      {NOW - 1, NOW + 100, SUBTOKEN_TIME_MAX, NOW, SUBTOKEN_NOT_YET},
      {NOW - 100, NOW, 0, NOW, SUBTOKEN_OK},
      {NOW - 100, NOW - LEEWAY + 1, 0, NOW, SUBTOKEN_OK},
      {NOW - 100, NOW - LEEWAY, 0, NOW, SUBTOKEN_EXPIRED},
      {NOW - 100, NOW - LEEWAY - 1, 0, NOW, SUBTOKEN_EXPIRED},
      {0, 1, 0, NOW, SUBTOKEN_EXPIRED},
      {0, 1, 0, 60, SUBTOKEN_OK},
      {0, 1, 0, 61, SUBTOKEN_EXPIRED},
      /* No sum overflows. */
      {SUBTOKEN_TIME_MAX - 1, SUBTOKEN_TIME_MAX, 0, SUBTOKEN_TIME_MAX, SUBTOKEN_OK},
      {SUBTOKEN_TIME_MAX - 1, SUBTOKEN_TIME_MAX, SUBTOKEN_TIME_MAX, 0, SUBTOKEN_IAT_FUTURE},
      /* Wrong in two ways: the earlier reason. */
      {NOW + 1000, NOW + 999, 0, NOW, SUBTOKEN_EXP_BEFORE_IAT},
      {NOW + 1000, NOW + 1001 + MAX_LIFE, NOW + 1000, NOW, SUBTOKEN_TTL},
      {NOW + 1000, NOW + 2000, NOW + 1000, NOW, SUBTOKEN_IAT_FUTURE},
      {NOW - 1000, NOW - 900, NOW + 1000, NOW, SUBTOKEN_NOT_YET},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result got = decide_at(rows[i].iat, rows[i].exp, rows[i].nbf, rows[i].now);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
  }
}

/* Clocks that differ by up to 59 s refuse nothing, those that differ by 61 s all. */
static void clocks_may_differ_by_the_leeway(void **state) {
  (void)state;
  for (int64_t apart = -70; apart <= 70; apart++) {
    /* Made by a clock that is ahead. */
    CHECK((decide_at(NOW + apart, NOW + apart + 3600, 0, NOW) == SUBTOKEN_OK) == (apart <= 60),
          "iat %lld", (long long)apart);
    /* Read by a clock that is ahead, in its last second. */
    CHECK((decide_at(NOW - 3600, NOW + 1, 0, NOW + apart) == SUBTOKEN_OK) == (apart <= 60),
          "exp %lld", (long long)apart);
  }
}

static void issuer_and_audience_must_fit(void **state) {
  (void)state;
  static const struct {
    const char *iss, *want_iss, *want_aud;
    bool named;
    subtoken_result want;
  } rows[] = {
      {NULL, NULL, NULL, false, SUBTOKEN_OK},   {"me", NULL, NULL, false, SUBTOKEN_OK},
      {"me", "me", NULL, false, SUBTOKEN_OK},   {"me", "m", NULL, false, SUBTOKEN_ISS},
      {"me", "me/", NULL, false, SUBTOKEN_ISS}, {NULL, "me", NULL, false, SUBTOKEN_ISS},
      {NULL, NULL, "api", false, SUBTOKEN_AUD}, {NULL, NULL, "api", true, SUBTOKEN_OK},
      {"me", "me", "api", false, SUBTOKEN_AUD}, {"me", "you", "api", false, SUBTOKEN_ISS},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of("a", NULL);
    subtoken_verifier verifier = default_verifier();
    subtoken_request request = {.size = sizeof request, .now = NOW};
    claims.iat = NOW;
    claims.exp = NOW + 1;
    if (rows[i].named) { /* packed, as claims.c does it */
      static const char packed[] = "\x01\0x\x03\0api";
      claims.aud = (subtoken_slice){3000, sizeof packed - 1};
      memcpy(claims.text + 3000, packed, sizeof packed - 1);
    }
    if (rows[i].iss != NULL) {
      claims.iss.at = claims.text_len;
      claims.iss.len = (uint16_t)strlen(rows[i].iss);
      memcpy(claims.text + claims.iss.at, rows[i].iss, claims.iss.len);
    }
    if (rows[i].want_iss != NULL) verifier.iss = st_text(rows[i].want_iss);
    if (rows[i].want_aud != NULL) verifier.aud = st_text(rows[i].want_aud);
    CHECK(st_decide(&verifier, &request, NULL, &claims) == rows[i].want, "row %zu", i);
    /* Who takes any audience asks for none. */
    verifier.any_audience = true;
    CHECK(st_decide(&verifier, &request, NULL, &claims) ==
              (rows[i].want == SUBTOKEN_AUD ? SUBTOKEN_OK : rows[i].want),
          "row %zu", i);
  }
}

typedef struct answer {
  subtoken_result result;
  int calls;
  char sub[16];
} answer;

static subtoken_result say(void *context, const subtoken_text *names, size_t count) {
  answer *to = context;
  subtoken_text sub = names[0];
  (void)count;
  to->calls++;
  memcpy(to->sub, sub.data, sub.len < 15 ? sub.len : 15);
  return to->result;
}

static void an_unclear_answer_is_unknown(void **state) {
  (void)state;
  /* Anything but a clear yes or no is "cannot be known". */
  static const struct {
    subtoken_result answer, want;
  } rows[] = {
      {SUBTOKEN_OK, SUBTOKEN_OK},
      {SUBTOKEN_REVOKED, SUBTOKEN_REVOKED},
      {SUBTOKEN_REVOCATION_UNKNOWN, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_UNDECIDED, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_EXPIRED, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_MAC, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_PERM, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_INVALID_ARGUMENT, SUBTOKEN_REVOCATION_UNKNOWN},
      {SUBTOKEN_URL_WIDER, SUBTOKEN_REVOCATION_UNKNOWN},
      {(subtoken_result)-1, SUBTOKEN_REVOCATION_UNKNOWN},
      {(subtoken_result)255, SUBTOKEN_REVOCATION_UNKNOWN},
      {(subtoken_result)1000000, SUBTOKEN_REVOCATION_UNKNOWN},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    answer to = {.result = rows[i].answer};
    subtoken_claims claims = grant_of("a", NULL);
    subtoken_verifier verifier = default_verifier();
    subtoken_request request = {.size = sizeof request, .now = NOW};
    claims.iat = NOW;
    claims.exp = NOW + 1;
    verifier.without_revocations = false;
    verifier.revoked = say;
    verifier.revoked_context = &to;
    CHECK(st_decide(&verifier, &request, NULL, &claims) == rows[i].want, "row %zu", i);
    assert_int_equal(to.calls, 1);
    assert_string_equal(to.sub, "parent");
    /* Not asked about tokens that are refused anyhow. */
    claims.exp = NOW - 60;
    claims.iat = NOW - 61;
    assert_int_equal(st_decide(&verifier, &request, NULL, &claims), SUBTOKEN_EXPIRED);
    assert_int_equal(to.calls, 1);
  }
  /* Nobody to ask, and no leave to go on without. */
  subtoken_claims claims = grant_of("a", NULL);
  subtoken_verifier verifier = default_verifier();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  verifier.without_revocations = false;
  claims.iat = NOW;
  claims.exp = NOW + 1;
  assert_int_equal(st_decide(&verifier, &request, NULL, &claims), SUBTOKEN_REVOCATION_UNKNOWN);
}

static void the_url_must_be_listed(void **state) {
  (void)state;
  static const struct {
    const char *urls, *method, *target;
    subtoken_result want;
  } rows[] = {
      {NULL, NULL, NULL, SUBTOKEN_OK},
      {NULL, "GET", "/x", SUBTOKEN_OK},
      {NULL, "GET", "/../x", SUBTOKEN_BAD_TARGET}, /* with or without urls */
      {NULL, NULL, "", SUBTOKEN_BAD_TARGET},
      {"/a", NULL, NULL, SUBTOKEN_URL},
      {"/a", NULL, "/a", SUBTOKEN_OK},
      {"/a", "GET", "/a?b=c", SUBTOKEN_OK},
      {"/a", "GET", "/b", SUBTOKEN_URL},
      {"/a", "GET", "/a/../a", SUBTOKEN_BAD_TARGET},
      {"/b,/a", "GET", "/a", SUBTOKEN_OK},
      {"GET:/a", NULL, "/a", SUBTOKEN_URL},
      {"GET:/a", "GET", "/a", SUBTOKEN_OK},
      {"GET:/a", "HEAD", "/a", SUBTOKEN_OK},
      {"GET:/a", "POST", "/a", SUBTOKEN_URL},
      {"GET:/a,POST:/a", "POST", "/a", SUBTOKEN_OK},
      {"/a/*", "PUT", "/a/b/c", SUBTOKEN_OK},
      {"/a/*", "PUT", "/a", SUBTOKEN_URL},
      {"", "GET", "/a", SUBTOKEN_URL}, /* an empty list allows nothing */
      {"", NULL, NULL, SUBTOKEN_URL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of("a", rows[i].urls);
    subtoken_text method = {NULL, 0}, target = {NULL, 0};
    if (rows[i].method != NULL) method = exact_string(rows[i].method);
    if (rows[i].target != NULL) target = exact_string(rows[i].target);
    subtoken_result got = subtoken_url_match(&claims, method, target);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    claims.iat = NOW;
    claims.exp = NOW + 1;
    subtoken_verifier verifier = default_verifier();
    subtoken_text needs[] = {ST_TEXT("lacking")};
    subtoken_request request = {
        .size = sizeof request, .now = NOW, .method = method, .target = target};
    CHECK(st_decide(&verifier, &request, NULL, &claims) == rows[i].want, "row %zu", i);
    st_path path; /* that somebody has read before */
    if (st_paths_read_target(target, &path) == SUBTOKEN_FAULT_NONE) {
      CHECK(st_decide(&verifier, &request, &path, &claims) == rows[i].want, "row %zu", i);
    }
    /* The url goes before the permissions. */
    request.needs = needs;
    request.needs_count = 1;
    CHECK(st_decide(&verifier, &request, NULL, &claims) ==
              (rows[i].want == SUBTOKEN_OK ? SUBTOKEN_PERM : rows[i].want),
          "row %zu", i);
    release(method);
    release(target);
  }
}

/* Entries that nobody has checked; st_decide is for those that have been. */
static void claims_with_a_bad_entry_allow_nothing(void **state) {
  (void)state;
  static char longest[SUBTOKEN_URL_MAX + 5] = "/a,/";
  memset(longest + 4, 'x', SUBTOKEN_URL_MAX); /* one character too many */
  const char *const lists[] = {longest,  "nonsense", "/a,nonsense", "/a,/..", ":/a",
                               "get:/a", "/a*",      "/a,%",        "/a,/a?"};
  for (size_t i = 0; i < COUNT(lists); i++) {
    subtoken_claims claims = grant_of("a", lists[i]);
    CHECK(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/a")) == SUBTOKEN_URL, "%s",
          lists[i]);
  }
  longest[SUBTOKEN_URL_MAX + 3] = '\0'; /* the longest, and one that is good at the second look */
  subtoken_claims claims = grant_of("a", longest);
  assert_int_equal(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/a")), SUBTOKEN_OK);
  claims = grant_of("a", "/.well-known/*");
  assert_int_equal(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/.well-known/x")),
                   SUBTOKEN_OK);
  assert_int_equal(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/a")), SUBTOKEN_URL);
  claims = grant_of("a", "/a");
  claims.urls[0].len = 0;
  assert_int_equal(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/a")), SUBTOKEN_URL);
  assert_int_equal(subtoken_url_match(NULL, ST_TEXT("GET"), ST_TEXT("/a")),
                   SUBTOKEN_INVALID_ARGUMENT);
}

static void each_need_must_be_held(void **state) {
  (void)state;
  static const struct {
    const char *held, *needs;
    subtoken_result want;
  } rows[] = {
      {"", "", SUBTOKEN_OK},         {"a,b", "", SUBTOKEN_OK},      {"a,b", "a", SUBTOKEN_OK},
      {"a,b", "b,a", SUBTOKEN_OK},   {"a,b", "a,a", SUBTOKEN_OK},   {"a,b", "c", SUBTOKEN_PERM},
      {"a,b", "a,c", SUBTOKEN_PERM}, {"a,b", "c,a", SUBTOKEN_PERM}, {"a,b", "A", SUBTOKEN_PERM},
      {"ab", "a", SUBTOKEN_PERM},    {"a", "ab", SUBTOKEN_PERM},    {"", "a", SUBTOKEN_PERM},
      {"*", "a", SUBTOKEN_PERM},     {"a*", "ab", SUBTOKEN_PERM},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of(rows[i].held, NULL);
    subtoken_text list[4], piece;
    size_t count = 0;
    st_cutter cutter = {st_text(rows[i].needs), rows[i].needs[0] == '\0'};
    while (st_cut(&cutter, ',', &piece)) list[count++] = piece;
    subtoken_verifier verifier = default_verifier();
    subtoken_request request = {
        .size = sizeof request, .now = NOW, .needs = list, .needs_count = count};
    claims.iat = NOW;
    claims.exp = NOW + 1;
    CHECK(st_decide(&verifier, &request, NULL, &claims) == rows[i].want, "row %zu", i);
  }
}

/* A path that was read before is judged as the target is, and only after all other rules. */
static void a_path_changes_no_other_rule(void **state) {
  (void)state;
  st_path path;
  subtoken_verifier verifier = default_verifier();
  subtoken_claims claims = grant_of("a", "/a");
  subtoken_request request = {.size = sizeof request, .now = NOW, .method = ST_TEXT("GET")};
  claims.iat = NOW - DAY;
  claims.exp = NOW + 1;
  assert_int_equal(st_paths_read_target(ST_TEXT("/a"), &path), SUBTOKEN_FAULT_NONE);
  assert_int_equal(st_decide(&verifier, &request, &path, &claims), SUBTOKEN_OK);
  claims.exp = NOW - LEEWAY;
  assert_int_equal(st_decide(&verifier, &request, &path, &claims), SUBTOKEN_EXPIRED);
  claims.exp = NOW + 1;
  verifier.without_revocations = false;
  assert_int_equal(st_decide(&verifier, &request, &path, &claims), SUBTOKEN_REVOCATION_UNKNOWN);
  verifier.without_revocations = true;
  assert_int_equal(st_paths_read_target(ST_TEXT("/b"), &path), SUBTOKEN_FAULT_NONE);
  assert_int_equal(st_decide(&verifier, &request, &path, &claims), SUBTOKEN_URL);
}

static void zeroed_arguments_deny(void **state) {
  (void)state;
  static subtoken_claims claims;
  subtoken_verifier verifier = default_verifier();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  assert_int_not_equal(st_decide(&verifier, &request, NULL, &claims), SUBTOKEN_OK);
  assert_int_equal(subtoken_url_match(&claims, ST_TEXT("GET"), ST_TEXT("/")), SUBTOKEN_URL);
  assert_int_equal(subtoken_url_match(&claims, (subtoken_text){NULL, 0}, (subtoken_text){NULL, 0}),
                   SUBTOKEN_URL);
  memset(&verifier, 0, sizeof verifier);
  verifier.ring = &ring;
  claims = grant_of("a", NULL);
  claims.iat = NOW;
  claims.exp = NOW + 1;
  assert_int_not_equal(st_decide(&verifier, &request, NULL, &claims), SUBTOKEN_OK);
}

static int setup(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  return 0;
}

/* What subtoken_authenticate never writes: refused, and nothing outside of it is read. */
static void claims_out_of_range_are_invalid(void **state) {
  (void)state;
  static const subtoken_slice far[] = {{6144, 1}, {6143, 2}, {1, 6144}, {65535, 65535}, {0, 65535}};
  subtoken_verifier verifier = default_verifier();
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = ST_TEXT("/a")};
  subtoken_claims good = grant_of("a,b", "/a,/b"), claims, zero;
  good.iat = NOW;
  good.exp = NOW + 60;
  memset(&zero, 0, sizeof zero);
  verifier.iss = ST_TEXT("");
  assert_int_equal(subtoken_decide(&verifier, &request, &good), SUBTOKEN_OK);
  assert_int_equal(subtoken_decide(&verifier, &request, &zero), SUBTOKEN_EXP_BEFORE_IAT);
  assert_int_equal(subtoken_decide(&verifier, &request, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_decide(NULL, &request, &good), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_decide(&verifier, NULL, &good), SUBTOKEN_INVALID_ARGUMENT);
  static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, SUBTOKEN_TIME_MAX + 1};
  for (size_t i = 0; i < COUNT(times); i++) {
    for (int which = 0; which < 3; which++) {
      claims = good;
      *(which == 0 ? &claims.iat : which == 1 ? &claims.exp : &claims.nbf) = times[i];
      CHECK(subtoken_decide(&verifier, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT,
            "time %zu of %d", i, which);
    }
  }
  for (size_t i = 0; i < COUNT(far); i++) {
    for (int which = 0; which < 6; which++) {
      claims = good;
      subtoken_slice *slices[] = {
          &claims.sub,    &claims.iss, &claims.sid, &claims.aud, &claims.permissions[1],
          &claims.urls[1]};
      *slices[which] = far[i];
      CHECK(subtoken_decide(&verifier, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT,
            "slice %zu of %d", i, which);
    }
  }
  for (int which = 0; which < 2; which++) {
    claims = good;
    *(which == 0 ? &claims.permission_count : &claims.url_count) = 65;
    CHECK(subtoken_decide(&verifier, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT, "%d", which);
  }
  static const char *const entries[] = {"",    "a",  "GET", "GET:",  "/a b",
                                        "/*a", "//", "/%2", "/a/%2f"};
  for (size_t i = 0; i < COUNT(entries); i++) {
    claims = good;
    if (!st_claims_add_url(&claims, st_text(entries[i]))) abort();
    CHECK(subtoken_decide(&verifier, &request, &claims) == SUBTOKEN_CLAIMS, "%s", entries[i]);
  }
}

/* In a block of the exact size: the address sanitizer sees a byte read too many. */
static void claims_of_any_bytes_are_read_within_them(void **state) {
  (void)state;
  uint64_t seed = 9;
  size_t decided = 0;
  subtoken_verifier verifier = default_verifier();
  subtoken_text needs[] = {ST_TEXT("account")};
  subtoken_request request = {.size = sizeof request,
                              .now = NOW,
                              .target = ST_TEXT("/v2/account"),
                              .needs = needs,
                              .needs_count = 1};
  subtoken_claims *claims = malloc(sizeof *claims);
  assert_non_null(claims);
  verifier.aud = verifier.iss = ST_TEXT("");
  for (size_t round = 0; round < 20000; round++) {
    static const char usual[] = "/*%AZ:.a\0\1";
    memset(claims, 0, sizeof *claims);
    claims->iat = NOW;
    claims->exp = NOW + 1;
    claims->text_len = (uint16_t)random_next(&seed);
    claims->permission_count = (uint16_t)random_below(&seed, 66);
    claims->url_count = (uint16_t)random_below(&seed, 66);
    for (size_t i = 0; i < sizeof claims->text; i += 1 + random_below(&seed, 16)) {
      claims->text[i] = usual[random_below(&seed, sizeof usual)];
    }
    /* Up to the end of the text, and at times beyond it. */
    subtoken_slice *slices[] = {&claims->sub, &claims->iss, &claims->sid, &claims->aud};
    for (size_t i = 0; i < 4 + 2 * 64; i++) {
      subtoken_slice *slice = i < 4    ? slices[i]
                              : i < 68 ? &claims->permissions[i - 4]
                                       : &claims->urls[i - 68];
      slice->len = (uint16_t)random_below(&seed, 12);
      slice->at = (uint16_t)(sizeof claims->text - random_below(&seed, 40) - slice->len);
      if (random_below(&seed, 2000) == 0) slice->at = (uint16_t)random_next(&seed);
    }
    if (round % 3 == 0) claims->iss.len = 0;
    if (round % 5 == 0) claims->url_count = (uint16_t)random_below(&seed, 2);
    subtoken_result result = subtoken_decide(&verifier, &request, claims);
    assert_int_not_equal(result, SUBTOKEN_UNDECIDED);
    decided += result != SUBTOKEN_INVALID_ARGUMENT;
  }
  assert_true(decided > 1000 && decided < 20000);
  free(claims);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_are_kept_to_the_second),
      cmocka_unit_test(clocks_may_differ_by_the_leeway),
      cmocka_unit_test(issuer_and_audience_must_fit),
      cmocka_unit_test(an_unclear_answer_is_unknown),
      cmocka_unit_test(the_url_must_be_listed),
      cmocka_unit_test(each_need_must_be_held),
      cmocka_unit_test(claims_with_a_bad_entry_allow_nothing),
      cmocka_unit_test_setup(a_path_changes_no_other_rule, setup),
      cmocka_unit_test(zeroed_arguments_deny),
      cmocka_unit_test(claims_out_of_range_are_invalid),
      cmocka_unit_test(claims_of_any_bytes_are_read_within_them),
  };
  return cmocka_run_group_tests_name("decide", tests, setup, NULL);
}
