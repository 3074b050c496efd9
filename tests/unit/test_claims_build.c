/* Claims that a caller builds by hand (issue.h), and what an edge asks of them. How they are read
 * is in test_claims.c.
 */
#include "support.h"

static subtoken_claims claims;

/* ---- what a caller builds by hand: issue.h ---- */

static void only_what_a_reader_takes_is_added(void **state) {
  (void)state;
  static const struct {
    char what; /* s, i (the sid), p or u */
    const char *text;
    subtoken_result want;
    subtoken_fault fault;
  } rows[] = {
      {'s', "pk_active-1", SUBTOKEN_OK, 0},
      {'s', "", SUBTOKEN_CLAIMS, 0},
      {'s', "a b", SUBTOKEN_CLAIMS, 0},
      {'s', "a.b", SUBTOKEN_CLAIMS, 0},
      {'s', "a\"", SUBTOKEN_CLAIMS, 0},
      {'s', "\xC3\xA9", SUBTOKEN_CLAIMS, 0},
      {'i', "A-z_09", SUBTOKEN_OK, 0},
      {'i', "", SUBTOKEN_CLAIMS, 0},
      {'i', "a b", SUBTOKEN_CLAIMS, 0},
      {'i', "a.b", SUBTOKEN_CLAIMS, 0},
      {'i', "a\"", SUBTOKEN_CLAIMS, 0},
      {'i', "\xC3\xA9", SUBTOKEN_CLAIMS, 0},
      {'p', "account", SUBTOKEN_OK, 0},
      {'p', "a:b/c*", SUBTOKEN_OK, 0},
      {'p', "", SUBTOKEN_CLAIMS, 0},
      {'p', "a,b", SUBTOKEN_CLAIMS, 0},
      {'p', "a b", SUBTOKEN_CLAIMS, 0},
      {'p', "a\\", SUBTOKEN_CLAIMS, 0},
      {'p', "a\x7F", SUBTOKEN_CLAIMS, 0},
      {'p', "\xC3\xA9", SUBTOKEN_CLAIMS, 0},
      {'u', "/a", SUBTOKEN_OK, 0},
      {'u', "GET:/%c3%a9/*", SUBTOKEN_OK, 0},
      {'u', "", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {'u', "a", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {'u', "/..", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_DOT_SEGMENT},
      {'u', "/a*", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_STAR},
      {'u', "/a b", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_BAD_CHAR},
      {'u', "get:/a", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_METHOD},
      {'u', "/%2f", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_ENCODED_SLASH},
      {'u', "/a?b", SUBTOKEN_BAD_URL, SUBTOKEN_FAULT_QUERY_IN_ENTRY},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
    static subtoken_claims before;
    memset(&claims, 0, sizeof claims);
    claims.every_url = true;
    before = claims;
    subtoken_result got = rows[i].what == 's'   ? subtoken_claims_set_sub(&claims, text)
                          : rows[i].what == 'i' ? subtoken_claims_set_sid(&claims, text)
                          : rows[i].what == 'p' ? subtoken_claims_add_permission(&claims, text)
                                                : subtoken_claims_add_url(&claims, text, &fault);
    CHECK(got == rows[i].want, "%s: %s", rows[i].text, subtoken_result_name(got));
    if (rows[i].what == 'u') CHECK(fault == rows[i].fault, "%s", rows[i].text);
    if (got != SUBTOKEN_OK) CHECK(memcmp(&claims, &before, sizeof claims) == 0, "%s", rows[i].text);
    if (rows[i].what == 'u') {
      CHECK(claims.every_url == (got != SUBTOKEN_OK), "%s", rows[i].text);
      assert_int_equal(subtoken_claims_add_url(&claims, text, NULL), rows[i].want);
    }
    release(text);
  }
}

/* What is there is not added again; an entry is stored canonical; a new sub or sid takes
 * the place of the old one. */
static void nothing_is_added_twice(void **state) {
  (void)state;
  memset(&claims, 0, sizeof claims);
  claims.every_url = true;
  assert_int_equal(subtoken_claims_set_sub(&claims, ST_TEXT("one")), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_set_sub(&claims, ST_TEXT("two")), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_set_sid(&claims, ST_TEXT("three")), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_set_sid(&claims, ST_TEXT("four")), SUBTOKEN_OK);
  for (int twice = 0; twice < 2; twice++) {
    assert_int_equal(subtoken_claims_add_permission(&claims, ST_TEXT("a")), SUBTOKEN_OK);
    assert_int_equal(subtoken_claims_add_permission(&claims, ST_TEXT("A")), SUBTOKEN_OK);
    claims.every_url = true;
    assert_int_equal(subtoken_claims_add_url(&claims, ST_TEXT("/%61%c3%a9/*"), NULL), SUBTOKEN_OK);
    assert_false(claims.every_url);
    assert_int_equal(subtoken_claims_add_url(&claims, ST_TEXT("/a%C3%A9/*"), NULL), SUBTOKEN_OK);
    assert_int_equal(subtoken_claims_add_url(&claims, ST_TEXT("PUT:/a"), NULL), SUBTOKEN_OK);
  }
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.sub), "two"));
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.sid), "four"));
  assert_int_equal(claims.permission_count, 2);
  assert_int_equal(claims.url_count, 2);
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.urls[0]), "/a%C3%A9/*"));
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.urls[1]), "PUT:/a"));
  /* Out of its own text too. */
  assert_int_equal(
      subtoken_claims_set_sub(&claims, subtoken_claims_text(&claims, claims.permissions[0])),
      SUBTOKEN_OK);
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.sub), "a"));
}

static void claims_at_their_limits_are_built(void **state) {
  (void)state;
  char text[16];
  memset(&claims, 0, sizeof claims);
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX + 2; i++) {
    snprintf(text, sizeof text, "p%d", i);
    assert_int_equal(subtoken_claims_add_permission(&claims, st_text(text)),
                     i < SUBTOKEN_PERMISSIONS_MAX ? SUBTOKEN_OK : SUBTOKEN_TOO_MANY_PERMISSIONS);
    snprintf(text, sizeof text, "/p%d", i);
    assert_int_equal(subtoken_claims_add_url(&claims, st_text(text), NULL),
                     i < SUBTOKEN_URLS_MAX ? SUBTOKEN_OK : SUBTOKEN_TOO_MANY_URLS);
  }
  /* A full list takes what it has already. */
  assert_int_equal(subtoken_claims_add_permission(&claims, ST_TEXT("p63")), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_add_url(&claims, ST_TEXT("/p63"), NULL), SUBTOKEN_OK);
  assert_int_equal(claims.permission_count, 64);
  assert_int_equal(claims.url_count, 64);
  static const size_t most[4] = {SUBTOKEN_SUB_MAX, SUBTOKEN_PERMISSION_MAX, SUBTOKEN_URL_MAX,
                                 SUBTOKEN_SID_MAX};
  for (int which = 0; which < 4; which++) {
    for (size_t len = most[which] - 1; len <= most[which] + 2; len++) {
      subtoken_text long_text = repeated(which == 2 ? "/" : "a", 'a', len - 1);
      subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
      memset(&claims, 0, sizeof claims);
      subtoken_result got = which == 0   ? subtoken_claims_set_sub(&claims, long_text)
                            : which == 1 ? subtoken_claims_add_permission(&claims, long_text)
                            : which == 3 ? subtoken_claims_set_sid(&claims, long_text)
                                         : subtoken_claims_add_url(&claims, long_text, &fault);
      subtoken_result over = which == 2 ? SUBTOKEN_BAD_URL : SUBTOKEN_CLAIMS;
      CHECK(got == (len <= most[which] ? SUBTOKEN_OK : over), "%d: %zu", which, len);
      if (which == 2 && got != SUBTOKEN_OK) assert_int_equal(fault, SUBTOKEN_FAULT_TOO_LONG);
      release(long_text);
    }
  }
}

/* Up to the last byte of the text, and no further; what did not fit left no trace. */
static void full_claims_refuse_more_and_stay(void **state) {
  (void)state;
  static subtoken_claims before;
  memset(&claims, 0, sizeof claims);
  while (claims.text_len + 1000U <= sizeof claims.text) {
    char text[1001];
    memset(text, 'a', sizeof text);
    snprintf(text, 8, "/%03u", claims.url_count);
    text[4] = 'a';
    assert_int_equal(subtoken_claims_add_url(&claims, (subtoken_text){text, 1000}, NULL),
                     SUBTOKEN_OK);
  }
  size_t left = sizeof claims.text - claims.text_len;
  assert_true(left > 130 && left < 1000);
  subtoken_text fits = repeated("/x", 'a', left - 2), over = repeated("/x", 'a', left - 1);
  before = claims;
  assert_int_equal(subtoken_claims_add_url(&claims, over, NULL), SUBTOKEN_TOO_LARGE);
  assert_memory_equal(&claims, &before, sizeof claims);
  assert_int_equal(subtoken_claims_add_url(&claims, fits, NULL), SUBTOKEN_OK);
  assert_int_equal(claims.text_len, sizeof claims.text);
  before = claims;
  assert_int_equal(subtoken_claims_set_sub(&claims, ST_TEXT("s")), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_set_sid(&claims, ST_TEXT("s")), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_add_permission(&claims, ST_TEXT("p")), SUBTOKEN_TOO_LARGE);
  assert_int_equal(subtoken_claims_add_url(&claims, ST_TEXT("/y"), NULL), SUBTOKEN_TOO_LARGE);
  assert_memory_equal(&claims, &before, sizeof claims);
  assert_int_equal(subtoken_claims_add_url(&claims, fits, NULL), SUBTOKEN_OK); /* is there */
  release(fits);
  release(over);
}

static void absent_arguments_are_invalid(void **state) {
  (void)state;
  const subtoken_text none = {NULL, 0};
  subtoken_fault fault = SUBTOKEN_FAULT_COUNT;
  memset(&claims, 0, sizeof claims);
  assert_int_equal(subtoken_claims_set_sub(NULL, ST_TEXT("s")), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_set_sub(&claims, none), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_set_sid(NULL, ST_TEXT("s")), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_set_sid(&claims, none), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_add_permission(NULL, ST_TEXT("p")), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_add_permission(&claims, none), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_claims_add_url(NULL, ST_TEXT("/a"), &fault), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(fault, SUBTOKEN_FAULT_NONE);
  fault = SUBTOKEN_FAULT_COUNT;
  assert_int_equal(subtoken_claims_add_url(&claims, none, &fault), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(fault, SUBTOKEN_FAULT_NONE);
  assert_int_equal(subtoken_claims_add_url(NULL, none, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&claims));
  /* Claims whose counts or slices lead outside are not followed. */
  for (int row = 0; row < 7; row++) {
    memset(&claims, 0, sizeof claims);
    if (row == 0) claims.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
    if (row == 1) claims.url_count = SUBTOKEN_URLS_MAX + 1;
    if (row == 2) claims.text_len = (uint16_t)(sizeof claims.text + 1);
    if (row == 3) claims.sub = (subtoken_slice){(uint16_t)sizeof claims.text, 1};
    if (row == 4) claims.permission_count = 1, claims.permissions[0].len = 0xFFFF;
    if (row == 5) claims.url_count = 1, claims.urls[0].at = 0xFFFF;
    if (row == 6) claims.sid = (subtoken_slice){(uint16_t)(sizeof claims.text - 1), 2};
    CHECK(subtoken_claims_set_sub(&claims, ST_TEXT("s")) == SUBTOKEN_INVALID_ARGUMENT, "%d", row);
    CHECK(subtoken_claims_set_sid(&claims, ST_TEXT("s")) == SUBTOKEN_INVALID_ARGUMENT, "%d", row);
    CHECK(subtoken_claims_add_permission(&claims, ST_TEXT("p")) == SUBTOKEN_INVALID_ARGUMENT, "%d",
          row);
    CHECK(subtoken_claims_add_url(&claims, ST_TEXT("/a"), NULL) == SUBTOKEN_INVALID_ARGUMENT, "%d",
          row);
  }
}

/* ---- what an edge asks of claims ---- */

static void claims_out_of_bounds_have_no_permission(void **state) {
  (void)state;
  subtoken_text a = ST_TEXT("a"), lacking = ST_TEXT("?");
  memset(&claims, 0, sizeof claims);
  assert_int_equal(subtoken_claims_check_needs(&claims, &a, 1, &lacking), SUBTOKEN_PERM);
  assert_false(subtoken_claims_has_permission(&claims, a));
  assert_int_equal(subtoken_claims_check_needs(&claims, NULL, 1, &lacking),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_null(lacking.data);
  assert_int_equal(subtoken_claims_check_needs(NULL, &a, 1, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  assert_false(subtoken_claims_has_permission(NULL, a));
  claims.text[0] = 'a';
  claims.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
  assert_int_equal(subtoken_claims_check_needs(&claims, &a, 1, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_false(subtoken_claims_has_permission(&claims, a));
  claims.permission_count = 1;
  claims.permissions[0] = (subtoken_slice){sizeof claims.text, 1};
  assert_int_equal(subtoken_claims_check_needs(&claims, &a, 1, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_false(subtoken_claims_has_permission(&claims, a));
  claims.permissions[0] = (subtoken_slice){0, 1};
  assert_int_equal(subtoken_claims_check_needs(&claims, &a, 1, NULL), SUBTOKEN_OK);
  assert_false(subtoken_claims_has_permission(&claims, (subtoken_text){NULL, 0}));
}

static void identities_become_claims(void **state) {
  (void)state;
  char full[65 * 4];
  size_t len = 0;
  for (int i = 0; i < 65; i++) len += (size_t)sprintf(full + len, i == 0 ? "p%02d" : ",p%02d", i);
  const struct {
    const char *sub, *permissions;
    int64_t expires;
    subtoken_result want;
    uint16_t count;
  } rows[] = {
      {"s", "a,b", 7, SUBTOKEN_OK, 2},
      {"s", "a,b,a,a", 7, SUBTOKEN_OK, 2},
      {"s", "", 7, SUBTOKEN_OK, 0},
      {"", "a", SUBTOKEN_TIME_MAX, SUBTOKEN_OK, 1},
      {"", "", 0, SUBTOKEN_OK, 0},
      {"s", full, 7, SUBTOKEN_TOO_MANY_PERMISSIONS, 0},
      {"s", full + 4, 7, SUBTOKEN_OK, 64},
      {"a.b", "a", 7, SUBTOKEN_CLAIMS, 0},
      {"s ", "a", 7, SUBTOKEN_CLAIMS, 0},
      {"s", ",", 7, SUBTOKEN_CLAIMS, 0},
      {"s", "a,", 7, SUBTOKEN_CLAIMS, 0},
      {"s", ",a", 7, SUBTOKEN_CLAIMS, 0},
      {"s", "a,,b", 7, SUBTOKEN_CLAIMS, 0},
      {"s", "a, b", 7, SUBTOKEN_CLAIMS, 0},
      {"s", "a\"b", 7, SUBTOKEN_CLAIMS, 0},
      {"s", "a", -1, SUBTOKEN_CLAIMS, 0},
      {"s", "a", SUBTOKEN_TIME_MAX + 1, SUBTOKEN_CLAIMS, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    memset(&claims, 0xA5, sizeof claims);
    subtoken_result got = subtoken_claims_from_identity(
        &claims, st_text(rows[i].sub), st_text(rows[i].permissions), rows[i].expires);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    CHECK(claims.permission_count == rows[i].count, "row %zu", i);
    if (got != SUBTOKEN_OK) {
      static const subtoken_claims zero;
      CHECK(memcmp(&claims, &zero, sizeof zero) == 0, "row %zu", i);
      continue;
    }
    CHECK(claims.every_url && claims.exp == rows[i].expires && claims.iat == 0 && claims.nbf == 0 &&
              claims.url_count == 0 && claims.sid.len == 0 &&
              st_text_is(subtoken_claims_text(&claims, claims.sub), rows[i].sub),
          "row %zu", i);
  }
  subtoken_text absent = {NULL, 0};
  assert_int_equal(subtoken_claims_from_identity(&claims, absent, absent, 1), SUBTOKEN_OK);
  assert_int_equal(subtoken_claims_from_identity(NULL, absent, absent, 1),
                   SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_what_a_reader_takes_is_added),
      cmocka_unit_test(nothing_is_added_twice),
      cmocka_unit_test(claims_at_their_limits_are_built),
      cmocka_unit_test(full_claims_refuse_more_and_stay),
      cmocka_unit_test(absent_arguments_are_invalid),
      cmocka_unit_test(claims_out_of_bounds_have_no_permission),
      cmocka_unit_test(identities_become_claims),
  };
  return cmocka_run_group_tests_name("claims_build", tests, NULL, NULL);
}
