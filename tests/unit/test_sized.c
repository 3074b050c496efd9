/* sized: what a program passes that was built with the headers of an earlier version, in blocks of
 * exactly that size, and sizes that no version has.
 */
#include "core/sized.h"

#include "subtoken/feed.h"
#include "subtoken/policy.h"
#include "support.h"

static subtoken_ring ring;
static subtoken_claims claims;

/* The first bytes of a structure, which says that it is that long; released by the caller. */
static void *cut_to(const void *whole, size_t size) {
  void *made = malloc(size > 0 ? size : 1);
  if (made == NULL) abort();
  memcpy(made, whole, size);
  if (size >= sizeof size) memcpy(made, &size, sizeof size);
  return made;
}

static const subtoken_policy *policy_of(const char *text) {
  static union {
    uint64_t aligned;
    char bytes[70000];
  } memory;
  const subtoken_policy *policy;
  assert_int_equal(subtoken_policy_read(&memory, sizeof memory, st_text(text), &policy, NULL),
                   SUBTOKEN_OK);
  return policy;
}

static subtoken_verifier verifier_of(void) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  ring_with(&ring, "", TEST_SECRET);
  verifier.ring = &ring;
  verifier.without_revocations = true;
  return verifier;
}

static subtoken_result good(void *context, const subtoken_text *names, size_t count) {
  (void)context;
  (void)names;
  (void)count;
  return SUBTOKEN_OK;
}

static void a_shorter_verifier_has_the_defaults(void **state) {
  (void)state;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_verifier verifier = verifier_of();
  static const struct {
    size_t size;
    subtoken_result without, with; /* a .revoked that says good */
  } rows[] = {
      {sizeof(subtoken_verifier), SUBTOKEN_OK, SUBTOKEN_OK},
      {offsetof(subtoken_verifier, cache), SUBTOKEN_OK, SUBTOKEN_OK},
      {offsetof(subtoken_verifier, without_revocations), SUBTOKEN_REVOCATION_UNKNOWN, SUBTOKEN_OK},
      {offsetof(subtoken_verifier, revoked), SUBTOKEN_REVOCATION_UNKNOWN,
       SUBTOKEN_REVOCATION_UNKNOWN},
      {offsetof(subtoken_verifier, iss), SUBTOKEN_REVOCATION_UNKNOWN, SUBTOKEN_REVOCATION_UNKNOWN},
  };
  static subtoken_claims read;
  assert_int_equal(subtoken_authenticate(&ring, NULL, token, &read), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_verifier asks = verifier;
    asks.revoked = good;
    asks.without_revocations = false;
    void *first = cut_to(&verifier, rows[i].size), *second = cut_to(&asks, rows[i].size);
    CHECK(subtoken_verify(first, token, &request, &claims) == rows[i].without, "row %zu", i);
    CHECK(claims_are_zero(&claims) == (rows[i].without != SUBTOKEN_OK), "row %zu", i);
    CHECK(subtoken_verify(second, token, &request, &claims) == rows[i].with, "row %zu", i);
    CHECK(subtoken_decide(first, &request, &read) == rows[i].without, "row %zu", i);
    CHECK(subtoken_decide(second, &request, &read) == rows[i].with, "row %zu", i);
    free(first);
    free(second);
  }
  release(token);
}

static void a_shorter_request_needs_nothing(void **state) {
  (void)state;
  subtoken_text token = good_token(GOOD_PAYLOAD), needs = ST_TEXT("wallet");
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {
      .size = sizeof request, .now = NOW, .needs = &needs, .needs_count = 1};
  void *shorter = cut_to(&request, offsetof(subtoken_request, needs));
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_PERM);
  assert_int_equal(subtoken_verify(&verifier, token, shorter, &claims), SUBTOKEN_OK);
  assert_int_equal(subtoken_decide(&verifier, shorter, &claims), SUBTOKEN_OK);
  assert_int_equal(subtoken_decide(&verifier, &request, &claims), SUBTOKEN_PERM);
  char text[SUBTOKEN_EXPLAIN_MAX];
  assert_true(subtoken_explain(&verifier, token, shorter, SUBTOKEN_OK, text, sizeof text) > 0);
  free(shorter);
  release(token);
}

static void a_size_of_no_version_is_an_invalid_argument(void **state) {
  (void)state;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  const subtoken_policy *policy = policy_of("{\"default\":\"public\"}");
  char text[SUBTOKEN_EXPLAIN_MAX];
  static const size_t sizes[] = {0, 1, 8, 16, 35, 41, 1000, SIZE_MAX - 7, SIZE_MAX};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    subtoken_verifier verifier = verifier_of();
    subtoken_request request = {.size = sizes[i], .now = NOW, .target = ST_TEXT("/a")};
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    memset(&claims, 0x55, sizeof claims);
    CHECK(subtoken_verify(&verifier, token, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT,
          "request of %zu", sizes[i]);
    assert_true(claims_are_zero(&claims));
    CHECK(subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, &decision) ==
              SUBTOKEN_INVALID_ARGUMENT,
          "request of %zu", sizes[i]);
    assert_int_equal(subtoken_explain(&verifier, token, &request, SUBTOKEN_OK, text, sizeof text),
                     0);
    assert_int_equal(subtoken_policy_explain(&verifier, policy, token, &request, 0, SUBTOKEN_OK,
                                             text, sizeof text),
                     0);
    request.size = sizeof request;
    verifier.size = sizes[i];
    memset(&claims, 0x55, sizeof claims);
    CHECK(subtoken_verify(&verifier, token, &request, &claims) == SUBTOKEN_INVALID_ARGUMENT,
          "verifier of %zu", sizes[i]);
    assert_true(claims_are_zero(&claims));
    CHECK(subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, &decision) ==
              SUBTOKEN_INVALID_ARGUMENT,
          "verifier of %zu", sizes[i]);
    assert_int_equal(subtoken_explain(&verifier, token, &request, SUBTOKEN_OK, text, sizeof text),
                     0);
    assert_int_equal(subtoken_policy_explain(&verifier, policy, token, &request, 0, SUBTOKEN_OK,
                                             text, sizeof text),
                     0);
  }
  release(token);
}

/* Not a byte of it is written: where it ends is not known. */
static void a_decision_of_no_version_is_not_written(void **state) {
  (void)state;
  subtoken_text token = good_token(GOOD_PAYLOAD), method = ST_TEXT("GET"), target = ST_TEXT("/a");
  const subtoken_policy *policy = policy_of("{\"default\":\"public\"}");
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = target};
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  assert_int_equal(subtoken_policy_find(policy, method, target, 0, &decision), SUBTOKEN_OK);
  assert_int_equal(decision.access, SUBTOKEN_ACCESS_PUBLIC);
  static const size_t sizes[] = {0, 8, sizeof decision - 8, sizeof decision + 8};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    size_t len = sizes[i] > sizeof decision ? sizeof decision : sizes[i];
    subtoken_decision *cut = cut_to(&decision, len < 8 ? 8 : len);
    unsigned char before[sizeof decision];
    memcpy(cut, &sizes[i], sizeof sizes[i]);
    memcpy(before, cut, len);
    CHECK(subtoken_policy_find(policy, method, target, 0, cut) == SUBTOKEN_INVALID_ARGUMENT, "%zu",
          sizes[i]);
    CHECK(subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, cut) ==
              SUBTOKEN_INVALID_ARGUMENT,
          "%zu", sizes[i]);
    CHECK(memcmp(cut, before, len) == 0, "%zu", sizes[i]);
    free(cut);
  }
  assert_int_equal(subtoken_policy_find(policy, method, ST_TEXT("/../a"), 0, &decision),
                   SUBTOKEN_BAD_TARGET);
  assert_int_equal(decision.size, sizeof decision);
  assert_int_equal(decision.access, SUBTOKEN_ACCESS_DENIED);
  release(token);
}

static void narrowing_takes_shorter_structures(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", "/v2/a"), child;
  subtoken_text asked[] = {ST_TEXT("a"), ST_TEXT("b")}, url = ST_TEXT("/v2/b");
  subtoken_issue_request request = {.size = sizeof request,
                                    .permissions = asked,
                                    .permission_count = 2,
                                    .has_urls = true,
                                    .urls = &url,
                                    .url_count = 1};
  subtoken_limits limits = {sizeof limits, 10, 20};
  subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;
  assert_int_equal(subtoken_narrow(&parent, &request, &limits, NOW, &child, &report),
                   SUBTOKEN_URL_WIDER);
  assert_int_equal(report.dropped, 1);

  /* Without urls it asks for the parent's; of the report there is only the front. */
  size_t small = offsetof(subtoken_narrow_report, url);
  void *no_urls = cut_to(&request, offsetof(subtoken_issue_request, has_urls));
  void *no_most = cut_to(&limits, offsetof(subtoken_limits, max_life));
  void *front = cut_to(&(subtoken_narrow_report){.clamped = true}, small);
  assert_int_equal(subtoken_narrow(&parent, no_urls, no_most, NOW, &child, front), SUBTOKEN_OK);
  assert_true(child.url_count == 1 && child.permission_count == 1 && child.exp == NOW + 10);
  memcpy(&report, front, small);
  assert_true(report.size == small && report.dropped == 1 && !report.clamped);
  free(no_urls);
  free(no_most);
  free(front);
}

static void narrowing_refuses_a_size_of_no_version(void **state) {
  (void)state;
  subtoken_claims parent = grant_of("a", NULL), child;
  static const size_t sizes[] = {0, 7, 8, 1000};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    for (int which = 0; which < 3; which++) {
      subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
      subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
      subtoken_narrow_report report = {sizeof report, 9, true, 9, SUBTOKEN_FAULT_STAR};
      if (which == 0) request.size = sizes[i];
      if (which == 1) limits.size = sizes[i];
      if (which == 2) report.size = sizes[i];
      memset(&child, 0x55, sizeof child);
      CHECK(subtoken_narrow(&parent, &request, &limits, NOW, &child, &report) ==
                SUBTOKEN_INVALID_ARGUMENT,
            "%zu in %d", sizes[i], which);
      assert_true(claims_are_zero(&child));
      CHECK(report.dropped == (which == 2 ? 9U : 0U), "%zu in %d", sizes[i], which);
    }
  }
}

static void shorter_settings_of_a_feed_have_the_default_size(void **state) {
  (void)state;
  subtoken_feed_settings settings = {sizeof settings, 1, 2, true, 77};
  static subtoken_feed_file file;
  assert_int_equal(subtoken_feed_file_start(&file, "/nowhere", &settings), SUBTOKEN_FEED_OK);
  assert_int_equal(file.max_size, 77);
  void *shorter = cut_to(&settings, offsetof(subtoken_feed_settings, max_size));
  assert_int_equal(subtoken_feed_file_start(&file, "/nowhere", shorter), SUBTOKEN_FEED_OK);
  assert_true(file.max_size == SUBTOKEN_FEED_SIZE_DEFAULT && file.feed.leeway == 1 &&
              file.feed.max_age == 2 && file.feed.allow_old);
  free(shorter);
  static const size_t sizes[] = {0, 8, 16, 1000};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    settings.size = sizes[i];
    CHECK(subtoken_feed_file_start(&file, "/nowhere", &settings) == SUBTOKEN_FEED_INVALID_ARGUMENT,
          "%zu", sizes[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_shorter_verifier_has_the_defaults),
      cmocka_unit_test(a_shorter_request_needs_nothing),
      cmocka_unit_test(a_size_of_no_version_is_an_invalid_argument),
      cmocka_unit_test(a_decision_of_no_version_is_not_written),
      cmocka_unit_test(narrowing_takes_shorter_structures),
      cmocka_unit_test(narrowing_refuses_a_size_of_no_version),
      cmocka_unit_test(shorter_settings_of_a_feed_have_the_default_size),
  };
  return cmocka_run_group_tests_name("sized", tests, NULL, NULL);
}
