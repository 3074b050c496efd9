#include "support.h"

static const subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
static subtoken_claims child;
static subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;

/* permissions and urls are comma lists; urls NULL asks for none, "" for an empty list. */
static subtoken_result narrow(const subtoken_claims *parent, const char *permissions,
                              const char *urls, const int64_t *expire) {
  subtoken_text list[2][70], piece;
  subtoken_issue_request request = {
      .size = sizeof request, .permissions = list[0], .urls = list[1], .has_urls = urls != NULL};
  subtoken_text kept[2] = {exact_string(permissions), exact_string(urls == NULL ? "" : urls)};
  st_cutter cutter = {kept[0], permissions[0] == '\0'};
  while (st_cut(&cutter, ',', &piece)) list[0][request.permission_count++] = piece;
  cutter = (st_cutter){kept[1], kept[1].len == 0};
  while (st_cut(&cutter, ',', &piece)) list[1][request.url_count++] = piece;
  if (expire != NULL) {
    request.has_expire = true;
    request.expire = *expire;
  }
  memset(&child, 0x55, sizeof child);
  subtoken_result result = subtoken_narrow(parent, &request, &limits, NOW, &child, &report);
  if (result != SUBTOKEN_OK && !claims_are_zero(&child)) fail_msg("a refused child is not zeroed");
  release(kept[0]);
  release(kept[1]);
  return result;
}

static bool lists_are(const char *permissions, const char *urls) {
  char text[2][300] = {"", ""};
  for (size_t i = 0; i < child.permission_count; i++) {
    subtoken_text piece = subtoken_claims_text(&child, child.permissions[i]);
    snprintf(text[0] + strlen(text[0]), 80, "%s%.*s", i > 0 ? "," : "", (int)piece.len, piece.data);
  }
  for (size_t i = 0; i < child.url_count; i++) {
    subtoken_text piece = subtoken_claims_text(&child, child.urls[i]);
    snprintf(text[1] + strlen(text[1]), 80, "%s%.*s", i > 0 ? "," : "", (int)piece.len, piece.data);
  }
  return strcmp(text[0], permissions) == 0 && child.every_url == (urls == NULL) &&
         strcmp(text[1], urls == NULL ? "" : urls) == 0;
}

static void permissions_are_those_of_both(void **state) {
  (void)state;
  static const struct {
    const char *held, *asked, *got;
    size_t dropped;
  } rows[] = {
      {"a,b,c", "", "", 0},
      {"a,b,c", "a", "a", 0},
      {"a,b,c", "c,a", "c,a", 0}, /* the order is as asked */
      {"a,b,c", "a,x,b", "a,b", 1},
      {"a,b,c", "x,y", "", 2},
      {"a,b,c", "a,a,b,a", "a,b", 0},
      {"a,b,c", "A", "", 1},
      {"a,b,c", "a b,,\xC3\xA9", "", 3},
      {"", "a", "", 1},
      {"*", "a", "", 1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims parent = grant_of(rows[i].held, NULL);
    CHECK(narrow(&parent, rows[i].asked, NULL, NULL) == SUBTOKEN_OK, "row %zu", i);
    CHECK(lists_are(rows[i].got, NULL) && report.dropped == rows[i].dropped, "row %zu", i);
    CHECK(st_text_is(subtoken_claims_text(&child, child.sub), "parent"), "row %zu", i);
  }
}

static void a_child_ends_with_its_parent(void **state) {
  (void)state;
  static const struct {
    int64_t parent, request; /* request 0: none */
    subtoken_result want;
    int64_t got;
    bool clamped;
  } rows[] = {
      {SUBTOKEN_TIME_MAX, 0, SUBTOKEN_OK, NOW + 30 * DAY, false},
      {SUBTOKEN_TIME_MAX, NOW + 1, SUBTOKEN_OK, NOW + 1, false},
      {SUBTOKEN_TIME_MAX, NOW, SUBTOKEN_EXPIRE_PAST, 0, false},
      {SUBTOKEN_TIME_MAX, NOW - 1, SUBTOKEN_EXPIRE_PAST, 0, false},
      {SUBTOKEN_TIME_MAX, -INT64_C(62167305540), SUBTOKEN_EXPIRE_PAST, 0, false},
      {SUBTOKEN_TIME_MAX, INT64_MIN, SUBTOKEN_EXPIRE_PAST, 0, false},
      {SUBTOKEN_TIME_MAX, NOW + 365 * DAY, SUBTOKEN_OK, NOW + 365 * DAY, false},
      {SUBTOKEN_TIME_MAX, NOW + 365 * DAY + 1, SUBTOKEN_OK, NOW + 365 * DAY, true},
      {SUBTOKEN_TIME_MAX, INT64_MAX, SUBTOKEN_OK, NOW + 365 * DAY, true},
      {NOW + 100, 0, SUBTOKEN_OK, NOW + 100, false}, /* nothing was asked, nothing brought down */
      {NOW + 100, NOW + 100, SUBTOKEN_OK, NOW + 100, false},
      {NOW + 100, NOW + 101, SUBTOKEN_OK, NOW + 100, true},
      {NOW + 1, NOW + 101, SUBTOKEN_OK, NOW + 1, true},
      {NOW, NOW + 101, SUBTOKEN_PARENT_EXPIRED, 0, false}, /* alive on leeway alone */
      {NOW - 59, 0, SUBTOKEN_PARENT_EXPIRED, 0, false},
      {0, 0, SUBTOKEN_PARENT_EXPIRED, 0, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims parent = grant_of("a", NULL);
    parent.exp = rows[i].parent;
    subtoken_result got =
        narrow(&parent, "a", NULL, rows[i].request == 0 ? NULL : &rows[i].request);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    if (got != SUBTOKEN_OK) continue;
    CHECK(child.exp == rows[i].got && child.iat == NOW, "row %zu: %lld", i, (long long)child.exp);
    CHECK(report.clamped == rows[i].clamped, "row %zu", i);
  }
}

static void urls_must_be_allowed_to_the_parent(void **state) {
  (void)state;
  static const struct {
    const char *held, *asked;
    subtoken_result want;
    const char *got;
    size_t url;
    subtoken_fault fault;
  } rows[] = {
      {NULL, NULL, SUBTOKEN_OK, NULL, 0, 0},
      {NULL, "/a", SUBTOKEN_OK, "/a", 0, 0},
      {NULL, "/a,/a,/%61,/b", SUBTOKEN_OK, "/a,/b", 0, 0}, /* repeats dropped, canonical */
      {NULL, "/b%7e/*,GET:/%c3%a9", SUBTOKEN_OK, "/b~/*,GET:/%C3%A9", 0, 0},
      {NULL, "", SUBTOKEN_TOO_MANY_URLS, NULL, 0, 0},
      {NULL, "/a,x", SUBTOKEN_BAD_URL, NULL, 1, SUBTOKEN_FAULT_NOT_ORIGIN_FORM},
      {NULL, "/a,/b,/..", SUBTOKEN_BAD_URL, NULL, 2, SUBTOKEN_FAULT_DOT_SEGMENT},
      {"/a,/b/*", NULL, SUBTOKEN_OK, "/a,/b/*", 0, 0}, /* none asked: inherited */
      {"/a,/b/*", "/b/c", SUBTOKEN_OK, "/b/c", 0, 0},
      {"/a,/b/*", "/b/c/*,/a", SUBTOKEN_OK, "/b/c/*,/a", 0, 0},
      {"/a,/b/*", "GET:/a", SUBTOKEN_OK, "GET:/a", 0, 0},
      {"/a,/b/*", "/c", SUBTOKEN_URL_WIDER, NULL, 0, 0},
      {"/a,/b/*", "/a,/b", SUBTOKEN_URL_WIDER, NULL, 1, 0},
      {"/a,/b/*", "/b/c,/*", SUBTOKEN_URL_WIDER, NULL, 1, 0},
      {"/a,/b/*", "/a/*", SUBTOKEN_URL_WIDER, NULL, 0, 0},
      {"/a,/b/*", "", SUBTOKEN_TOO_MANY_URLS, NULL, 0, 0},
      {"GET:/a", "/a", SUBTOKEN_URL_WIDER, NULL, 0, 0},
      {"GET:/a", "HEAD:/a", SUBTOKEN_URL_WIDER, NULL, 0, 0},
      {"GET:/a", NULL, SUBTOKEN_OK, "GET:/a", 0, 0},
      {"", NULL, SUBTOKEN_TOO_MANY_URLS, NULL, 0, 0}, /* a parent that opens nothing */
      {"", "/a", SUBTOKEN_URL_WIDER, NULL, 0, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims parent = grant_of("a", rows[i].held);
    subtoken_result got = narrow(&parent, "a", rows[i].asked, NULL);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    if (got == SUBTOKEN_OK) {
      CHECK(lists_are("a", rows[i].got), "row %zu", i);
    } else if (got != SUBTOKEN_TOO_MANY_URLS) {
      CHECK(report.url == rows[i].url && report.fault == rows[i].fault, "row %zu", i);
    }
  }
}

static void at_most_64_are_asked_for(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL);
  subtoken_text many[65];
  char names[65][8];
  for (int i = 0; i < 65; i++) {
    snprintf(names[i], sizeof names[i], "/u%d", i % 100);
    many[i] = st_text(names[i]);
  }
  for (size_t count = 63; count <= 65; count++) {
    subtoken_issue_request request = {
        .size = sizeof request, .urls = many, .url_count = count, .has_urls = true};
    subtoken_result got = subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL);
    assert_int_equal(got, count <= 64 ? SUBTOKEN_OK : SUBTOKEN_TOO_MANY_URLS);
    assert_int_equal(child.url_count, count <= 64 ? count : 0);
    request = (subtoken_issue_request){
        .size = sizeof(subtoken_issue_request), .permissions = many, .permission_count = count};
    got = subtoken_narrow(&parent, &request, &limits, NOW, &child, &report);
    assert_int_equal(got, count <= 64 ? SUBTOKEN_OK : SUBTOKEN_TOO_MANY_PERMISSIONS);
    assert_int_equal(report.dropped, count <= 64 ? count : 0);
  }
  /* More than fits into any token: refused, not cut. */
  subtoken_text big = repeated("/", 'a', 1000), eight[8];
  for (size_t i = 0; i < 8; i++) {
    eight[i] = exact(big.data, big.len);
    ((char *)(uintptr_t)eight[i].data)[1] = (char)('a' + i);
  }
  subtoken_issue_request request = {
      .size = sizeof request, .urls = eight, .url_count = 8, .has_urls = true};
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, &report),
                   SUBTOKEN_TOO_LARGE);
  assert_true(claims_are_zero(&child));
  for (size_t i = 0; i < 8; i++) release(eight[i]);
  release(big);
}

static void bad_arguments_are_invalid(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL);
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  static const struct {
    int64_t default_life, max_life;
    int64_t now;
  } rows[] = {
      {0, 1, NOW},         {1, 0, NOW}, {-1, 1, NOW},      {1, -1, NOW},      {INT64_MAX, 1, NOW},
      {1, INT64_MAX, NOW}, {1, 1, -1},  {1, 1, INT64_MAX}, {1, 1, INT64_MIN},
  };
  static const int64_t most = SUBTOKEN_TIME_MAX / 2;
  const struct {
    int64_t life, now;
    subtoken_result result;
  } ends[] = {
      {1, 0, SUBTOKEN_OK},
      {most, 0, SUBTOKEN_OK},
      {most + 1, 0, SUBTOKEN_INVALID_ARGUMENT},
      {1, most, SUBTOKEN_OK},
      {1, most + 1, SUBTOKEN_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(ends); i++) {
    subtoken_claims forever = grant_of("a", NULL);
    subtoken_limits at_end = {sizeof at_end, ends[i].life, ends[i].life};
    forever.exp = SUBTOKEN_TIME_MAX;
    CHECK(subtoken_narrow(&forever, &request, &at_end, ends[i].now, &child, NULL) == ends[i].result,
          "end %zu", i);
  }
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_limits wrong = {sizeof wrong, rows[i].default_life, rows[i].max_life};
    memset(&child, 0x55, sizeof child);
    CHECK(subtoken_narrow(&parent, &request, &wrong, rows[i].now, &child, &report) ==
              SUBTOKEN_INVALID_ARGUMENT,
          "row %zu", i);
    assert_true(claims_are_zero(&child));
  }
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &parent, &report),
                   SUBTOKEN_INVALID_ARGUMENT);
  const subtoken_result invalid = SUBTOKEN_INVALID_ARGUMENT;
  assert_int_equal(subtoken_narrow(&parent, NULL, &limits, NOW, &child, NULL), invalid);
  assert_int_equal(subtoken_narrow(&parent, &request, NULL, NOW, &child, NULL), invalid);
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, NULL, NULL), invalid);
  subtoken_issue_request wrong_request = request;
  wrong_request.permission_count = 1;
  assert_int_equal(subtoken_narrow(&parent, &wrong_request, &limits, NOW, &child, NULL), invalid);
  wrong_request = request;
  wrong_request.has_urls = true;
  wrong_request.url_count = 1;
  assert_int_equal(subtoken_narrow(&parent, &wrong_request, &limits, NOW, &child, NULL), invalid);
  subtoken_claims outside = parent;
  outside.sub.len = UINT16_MAX;
  assert_int_equal(subtoken_narrow(&outside, &request, &limits, NOW, &child, NULL), invalid);
  /* A caller of a version that is not known. */
  subtoken_narrow_report small = {.size = 1};
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, &small), invalid);
  assert_int_equal(small.size, 1);
  wrong_request = request;
  wrong_request.size = 1;
  assert_int_equal(subtoken_narrow(&parent, &wrong_request, &limits, NOW, &child, NULL), invalid);
  subtoken_limits wrong_limits = limits;
  wrong_limits.size = 1;
  assert_int_equal(subtoken_narrow(&parent, &request, &wrong_limits, NOW, &child, NULL), invalid);
  static subtoken_claims zero;
  assert_int_not_equal(subtoken_narrow(&zero, &request, &limits, NOW, &child, &report),
                       SUBTOKEN_OK);
  assert_true(claims_are_zero(&child));
}

/* A default life past the greatest one is brought down as well. */
static void the_maximum_life_limits_the_default(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL);
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_limits tight = {sizeof tight, 1000, 10};
  assert_int_equal(subtoken_narrow(&parent, &request, &tight, NOW, &child, &report), SUBTOKEN_OK);
  assert_int_equal(child.exp, NOW + 10);
}

/* A parent whose nbf lies ahead is good by the leeway alone, and a child without nbf
 * would be good before it.
 */
static void a_parent_that_is_not_yet_good_makes_no_child(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL);
  parent.exp = NOW + 100;
  parent.nbf = NOW + 1;
  assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_NOT_YET);
  parent.nbf = NOW;
  assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_OK);
  assert_int_equal(child.iat, NOW);
}

/* A login is not handed on: no child of any parent has a sid. */
static void a_sid_is_not_inherited(void **state) {
  (void)state;
  static const char *const urls[] = {NULL, "/a,/b/*"};
  for (size_t i = 0; i < COUNT(urls); i++) {
    subtoken_claims parent = grant_of("a,b", urls[i]), without;
    assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_OK);
    without = child;
    assert_int_equal(subtoken_claims_set_sid(&parent, ST_TEXT("L-1")), SUBTOKEN_OK);
    assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_OK);
    assert_int_equal(child.sid.len, 0);
    assert_int_equal(child.sid.at, 0);
    /* Nor is it in the text, and nothing else is otherwise. */
    assert_memory_equal(&child, &without, offsetof(subtoken_claims, text) + child.text_len);
  }
}

/* Each of the 64 that a parent may have is looked at, and nothing behind them. */
static void no_entry_behind_the_last_is_looked_at(void **state) {
  (void)state;
  char urls[SUBTOKEN_URLS_MAX * 5 + 1];
  st_writer writer = st_writer_on(urls, sizeof urls);
  for (size_t i = 0; i < SUBTOKEN_URLS_MAX; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_char(&writer, '/');
    st_write_int(&writer, (int64_t)(10 + i));
  }
  assert_true(st_writer_end(&writer));
  subtoken_claims parent = grant_of("a", urls);
  assert_int_equal(parent.url_count, SUBTOKEN_URLS_MAX);
  assert_int_equal(narrow(&parent, "a", "/73", NULL), SUBTOKEN_OK);
  assert_int_equal(narrow(&parent, "a", "/74", NULL), SUBTOKEN_URL_WIDER);
}

/* The audience of a child is that of its parent, or the one that is asked for where it has none. */
static void an_audience_is_kept_or_chosen_once(void **state) {
  (void)state;
  static const struct {
    const char *held, *asked, *got; /* NULL: none */
    subtoken_result result;
  } rows[] = {
      {NULL, NULL, NULL, SUBTOKEN_OK},
      {NULL, "eu", "eu", SUBTOKEN_OK},
      {"eu", NULL, "eu", SUBTOKEN_OK},
      {"eu", "eu", "eu", SUBTOKEN_OK},
      {"eu", "us", NULL, SUBTOKEN_AUD_WIDER},
      {NULL, "not one", NULL, SUBTOKEN_BAD_AUD},
      {NULL, "", NULL, SUBTOKEN_BAD_AUD},
      {"eu", "not one", NULL, SUBTOKEN_BAD_AUD},
      {"e", "u", NULL, SUBTOKEN_AUD_WIDER},
      {"not one", NULL, NULL, SUBTOKEN_AUD_WIDER},
      {"not one", "eu", NULL, SUBTOKEN_AUD_WIDER},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims parent = grant_of("a", NULL);
    subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
    if (rows[i].held != NULL) assert_true(st_claims_set_aud(&parent, st_text(rows[i].held)));
    if (rows[i].asked != NULL) request.audience = st_text(rows[i].asked);
    memset(&child, 0x55, sizeof child);
    CHECK(subtoken_narrow(&parent, &request, &limits, NOW, &child, NULL) == rows[i].result,
          "row %zu", i);
    if (rows[i].result != SUBTOKEN_OK) {
      assert_true(claims_are_zero(&child));
    } else if (rows[i].got == NULL) {
      assert_int_equal(child.aud.len, 0);
    } else {
      CHECK(st_claims_only_audience(&child, st_text(rows[i].got)), "row %zu", i);
    }
  }
}

/* A child names the token that it was made from, and all that this one names. */
static void a_child_names_what_it_was_made_from(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL);
  assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_OK);
  assert_int_equal(child.via_count, 0);
  for (size_t depth = 0; depth < SUBTOKEN_VIA_MAX; depth++) {
    char token[ST_CLAIMS_MAC_CHARS + 1];
    snprintf(token, sizeof token, "%0*zu", ST_CLAIMS_MAC_CHARS, depth);
    memset(token, 'A' + (int)depth, SUBTOKEN_TID_LEN);
    assert_true(st_claims_set_tid(&parent, (subtoken_text){token, ST_CLAIMS_MAC_CHARS}));
    assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_OK);
    assert_int_equal(child.via_count, depth + 1);
    for (size_t i = 0; i <= depth; i++) {
      subtoken_text name = subtoken_claims_text(&child, child.via[i]);
      CHECK(name.len == SUBTOKEN_TID_LEN && name.data[0] == (char)('A' + i), "%zu of %zu", i,
            depth);
    }
    parent = child;
  }
  char last[ST_CLAIMS_MAC_CHARS];
  memset(last, 'Z', sizeof last);
  assert_true(st_claims_set_tid(&parent, (subtoken_text){last, sizeof last}));
  assert_int_equal(narrow(&parent, "a", NULL, NULL), SUBTOKEN_TOO_DEEP);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_parent_that_is_not_yet_good_makes_no_child),
      cmocka_unit_test(a_sid_is_not_inherited),
      cmocka_unit_test(no_entry_behind_the_last_is_looked_at),
      cmocka_unit_test(an_audience_is_kept_or_chosen_once),
      cmocka_unit_test(a_child_names_what_it_was_made_from),
      cmocka_unit_test(permissions_are_those_of_both),
      cmocka_unit_test(a_child_ends_with_its_parent),
      cmocka_unit_test(urls_must_be_allowed_to_the_parent),
      cmocka_unit_test(at_most_64_are_asked_for),
      cmocka_unit_test(bad_arguments_are_invalid),
      cmocka_unit_test(the_maximum_life_limits_the_default),
  };
  return cmocka_run_group_tests_name("narrow", tests, NULL, NULL);
}
