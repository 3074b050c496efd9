/* earlier - a program as it was built with earlier headers (subtoken_0_3.h), run with the library
 * of today: its verdicts are right, what its structures lack has the default, and nothing is read
 * or written behind them. It prints what it saw; test_install.py knows what that has to be.
 */
#include "subtoken_0_3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700000000)

/* What follows a structure is another's. As a bool it would be true, as a count 1. */
#define GUARDED(type)         \
  struct {                    \
    type value;               \
    unsigned char behind[64]; \
  }
#define GUARD(guarded) memset((guarded).behind, 1, sizeof(guarded).behind)
#define KEPT(guarded) is_guard((guarded).behind, sizeof(guarded).behind)

static subtoken_ring ring;
static subtoken_claims parent, child, claims;
static char token[SUBTOKEN_ISSUED_MAX + 1];
static size_t token_len;

static bool is_guard(const unsigned char *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (bytes[i] != 1) return false;
  }
  return true;
}

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "earlier: %s\n", what);
  exit(1);
}

static subtoken_result known(void *context, const subtoken_text *names, size_t count) {
  require(context == &ring && count == 2 && names[0].len == 4 && names[1].len == SUBTOKEN_TID_LEN,
          "the function is asked with its context");
  return SUBTOKEN_OK;
}

static void issue(void) {
  GUARDED(subtoken_narrow_report) report = {SUBTOKEN_NARROW_REPORT_DEFAULT, {0}};
  subtoken_text sub = SUBTOKEN_TEXT("some"), wide = SUBTOKEN_TEXT("/v2/*");
  subtoken_text held = SUBTOKEN_TEXT("account"), narrow = SUBTOKEN_TEXT("/v2/account");
  subtoken_text asked[] = {SUBTOKEN_TEXT("account"), SUBTOKEN_TEXT("wallet")};
  subtoken_text other = SUBTOKEN_TEXT("/v3/account");
  subtoken_issue_request request = SUBTOKEN_ISSUE_REQUEST_DEFAULT;
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  subtoken_fault fault;
  GUARD(report);
  parent.exp = SUBTOKEN_TIME_MAX;
  require(subtoken_claims_set_sub(&parent, sub) == SUBTOKEN_OK &&
              subtoken_claims_add_permission(&parent, held) == SUBTOKEN_OK &&
              subtoken_claims_add_url(&parent, wide, &fault) == SUBTOKEN_OK,
          "a grant is made");
  request.permissions = asked;
  request.permission_count = 2;
  request.has_urls = true;
  request.urls = &other;
  request.url_count = 1;
  printf("narrow %s\n", subtoken_result_name(subtoken_narrow(&parent, &request, &limits, NOW,
                                                             &child, &report.value)));
  request.urls = &narrow;
  printf("narrow %s", subtoken_result_name(
                          subtoken_narrow(&parent, &request, &limits, NOW, &child, &report.value)));
  printf(" dropped %zu clamped %d\n", report.value.dropped, report.value.clamped);
  require(KEPT(report), "nothing is written behind a report");
  require(report.value.size == sizeof report.value, "a report keeps its size");
  printf("issue %s\n",
         subtoken_result_name(subtoken_issue(&ring, &child, token, sizeof token, &token_len)));
}

static void verify(const char *what, const subtoken_verifier *verifier, const char *target,
                   const char *need, int64_t now) {
  subtoken_text needs = {need, strlen(need)}, bearer = {token, token_len};
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  char words[SUBTOKEN_EXPLAIN_MAX];
  request.now = now;
  request.target.data = target;
  request.target.len = strlen(target);
  request.needs = &needs;
  request.needs_count = 1;
  subtoken_result result = subtoken_verify(verifier, bearer, &request, &claims);
  printf("%s %d %s", what, subtoken_result_status(result), subtoken_result_name(result));
  size_t len = subtoken_explain(verifier, bearer, &request, result, words, sizeof words);
  printf("%s\n", len > 0 ? " explained" : "");
}

static void verify_all(void) {
  GUARDED(subtoken_verifier) verifier = {SUBTOKEN_VERIFIER_DEFAULT, {0}}, zero;
  memset(&zero, 0, sizeof zero);
  GUARD(verifier); /* it is without_revocations, for who reads too far */
  verifier.value.ring = &ring;
  verify("nobody to ask:", &verifier.value, "/v2/account", "account", NOW + 60);
  verifier.value.revoked = known;
  verifier.value.revoked_context = &ring;
  verify("good:", &verifier.value, "/v2/account", "account", NOW + 60);
  verify("another url:", &verifier.value, "/v2/items", "account", NOW + 60);
  verify("another need:", &verifier.value, "/v2/account", "wallet", NOW + 60);
  verify("too late:", &verifier.value, "/v2/account", "account", NOW + 31 * 86400);
  verify("zeroed:", &zero.value, "/v2/account", "account", NOW + 60);
}

static void decide(void) {
  static const char text[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/v2/account\",\"needs\":[\"account\"]}]}";
  GUARDED(subtoken_decision) decision = {SUBTOKEN_DECISION_DEFAULT, {0}};
  subtoken_text file = {text, sizeof text - 1}, method = SUBTOKEN_TEXT("GET");
  subtoken_text target = SUBTOKEN_TEXT("/v2/account"), other = SUBTOKEN_TEXT("/v2/items");
  subtoken_text bearer = {token, token_len};
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  const subtoken_policy *policy;
  size_t size = subtoken_policy_size(file.len);
  void *memory = malloc(size);
  GUARD(decision);
  require(memory != NULL && subtoken_policy_read(memory, size, file, &policy, NULL) == SUBTOKEN_OK,
          "a policy is read");
  subtoken_result result = subtoken_policy_find(policy, method, target, 0, &decision.value);
  printf("policy %s access %d needs %.*s\n", subtoken_result_name(result),
         (int)decision.value.access, (int)decision.value.needs[0].len,
         decision.value.needs[0].data);
  verifier.ring = &ring;
  verifier.revoked = known;
  verifier.revoked_context = &ring;
  request.now = NOW + 60;
  request.method = method;
  request.target = other;
  result = subtoken_policy_verify(&verifier, policy, bearer, &request, 0, &claims, &decision.value);
  printf("policy %d %s\n", subtoken_result_status(result), subtoken_result_name(result));
  require(KEPT(decision), "nothing is written behind a decision");
  free(memory);
}

static void follow(void) {
  static subtoken_feed_file file;
  GUARDED(subtoken_feed_settings) settings = {SUBTOKEN_FEED_SETTINGS_DEFAULT, {0}};
  GUARD(settings);
  subtoken_feed_result result = subtoken_feed_file_start(&file, "/nowhere/at/all", &settings.value);
  printf("start %s\n", subtoken_feed_result_name(result));
  printf("poll %s\n", subtoken_feed_result_name(subtoken_feed_file_poll(&file, &ring, NOW, 1)));
  subtoken_feed_file_stop(&file);
}

int main(void) {
  static const char secret[] = "subtoken-tests-secret-0001-earlier";
  subtoken_text none = {NULL, 0};
  require(subtoken_version_number() >= SUBTOKEN_VERSION_NUMBER, "the library is not older");
  require(subtoken_ring_add(&ring, none, secret, sizeof secret - 1) == SUBTOKEN_OK,
          "a secret is added");
  issue();
  verify_all();
  decide();
  follow();
  subtoken_wipe(&ring, sizeof ring);
  return 0;
}
