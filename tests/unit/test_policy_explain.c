/* policy_explain: the sentence names the route that decided, and what it needs. */
#include "policy_fixture.h"

/* Also into blocks of each exact size: always ended, and never anything but the front. */
static const char *error(const subtoken_verifier *verifier, const subtoken_policy *policy,
                         subtoken_text token, const subtoken_request *request, unsigned flags,
                         subtoken_result result) {
  static char whole[8 * SUBTOKEN_TARGET_MAX];
  size_t len =
      subtoken_policy_explain(verifier, policy, token, request, flags, result, whole, sizeof whole);
  CHECK(len > 0 && len == strlen(whole) && is_printable(whole, len), "%s", whole);
  for (size_t size = 0; size <= len + 2; size += size < 300 ? 1 : len / 7) {
    char *out = malloc(size);
    if (out == NULL) abort();
    if (size > 0) memset(out, 'x', size);
    size_t cut =
        subtoken_policy_explain(verifier, policy, token, request, flags, result, out, size);
    CHECK(size == 0 ? cut == 0 : cut < size && out[cut] == '\0', "%zu in %zu", cut, size);
    CHECK(size == 0 || (memcmp(out, whole, cut) == 0 && is_printable(out, cut)), "%zu in %zu", cut,
          size);
    CHECK(size <= len || cut == len, "%zu in %zu", cut, size);
    free(out);
  }
  return whole;
}

static void explanations_name_the_route_and_the_need(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"preflight\":true,\"routes\":[\n"
      "{\"path\":\"/one\",\"methods\":[\"GET\"],\"needs\":[\"account\",\"guilds\"]},\n"
      "{\"path\":\"/two\",\"needs\":[\"account\",\"wallet\"]},\n"
      "{\"path\":\"/open\",\"public\":true},\n"
      "{\"path\":\"/any\"},\n"
      "{\"path\":\"/rpc\",\"json_rpc\":true},\n"
      "{\"path\":\"/both\",\"json_rpc\":true,\"needs\":[\"account\"]}]}";
  enum { GOOD, OLD, LIMITED, ABSENT, BLANK };
  static const struct {
    int token;
    const char *method; /* NULL: absent */
    const char *target;
    unsigned flags;
    subtoken_result result; /* UNDECIDED: as subtoken_policy_verify says */
    const char *words;
  } rows[] = {
      {GOOD, "GET", "/one", 0, 0,
       "good until 2023-11-14T23:13:20Z; line 2 of the policy needs [account, guilds]"},
      {GOOD, "HEAD", "/any?access_token=secret", 0, 0,
       "good until 2023-11-14T23:13:20Z; line 5 of the policy needs a good token"},
      {GOOD, "GET", "/rpc", SUBTOKEN_POLICY_BODY, 0,
       "good until 2023-11-14T23:13:20Z; line 6 of the policy needs a good token, and the APIs "
       "that the body names"},
      {GOOD, "GET", "/both", SUBTOKEN_POLICY_BODY, SUBTOKEN_PERM, /* subtoken_rpc_allowed */
       "it needs an API that the body names, the token has [account, guilds]; line 7 of the "
       "policy needs [account], and the APIs that the body names"},
      {GOOD, "GET", "/rpc", 0, 0,
       "GET /rpc: line 6 of the policy needs the APIs that the JSON-RPC body names, and no body "
       "is read here"},
      {GOOD, "GET", "/two?access_token=secret", 0, 0,
       "it needs wallet, the token has [account, guilds]; line 3 of the policy needs [account, "
       "wallet]"},
      {GOOD, "PUT", "/one?access_token=secret", 0, 0,
       "PUT /one: line 2 of the policy does not list this method"},
      {GOOD, "", "/one", 0, 0, "\"\" /one: line 2 of the policy does not list this method"},
      {GOOD, "\x1b[m", "/%C3%A9", 0, 0,
       "\\x1b[m /%C3%A9: no route of the policy has this path, and its default is deny"},
      {GOOD, NULL, "/one", 0, 0, "/one: line 2 of the policy lists methods, and none is given"},
      {GOOD, NULL, "/no", 0, 0,
       "/no: no route of the policy has this path, and its default is "
       "deny"},
      {OLD, "GET", "/one", 0, 0, "exp 2020-09-13T13:26:40Z was 1157 days ago"},
      {OLD, "GET", "/no", 0, 0, "exp 2020-09-13T13:26:40Z was 1157 days ago"},
      {LIMITED, "GET", "/any", 0, 0,
       "url GET /any is not in [/one]; line 5 of the policy needs a good token"},
      {ABSENT, "GET", "/one", 0, 0, "no token came"},
      {BLANK, "GET", "/no", 0, 0, "no token came"},
      {ABSENT, "GET", "/open", 0, 0, "public, by line 4 of the policy"},
      {OLD, "GET", "/open", 0, 0, "public, by line 4 of the policy"},
      {ABSENT, "OPTIONS", "/two", SUBTOKEN_POLICY_PREFLIGHT, 0,
       "a CORS preflight, which the policy lets pass"},
      {ABSENT, "GET", "/open/..", 0, 0,
       "target /open/.. is refused: it has a segment of only dots and spaces"},
      {OLD, "GET", "\x1b/", 0, 0, "target ... is refused: a path starts with /"},
      {GOOD, "GET", "/open?#", 0, 0, "target /open is refused: it has a #, in its query"},
      {GOOD, "GET", "", 0, 0, "target \"\" is refused: a path starts with /"},
      /* Results that these arguments did not give. */
      {ABSENT, "GET", "/one", 0, SUBTOKEN_OK, NULL},
      {GOOD, "GET", "/open", 0, SUBTOKEN_URL, NULL},
      {GOOD, "GET", "/one", 0, SUBTOKEN_URL, NULL},
      {OLD, "GET", "/no", 0, SUBTOKEN_PERM, NULL},
      {BLANK, "GET", "/no", 0, SUBTOKEN_MAC, NULL},
      {GOOD, "GET", "/no", 0, (subtoken_result)999, NULL},
  };
  subtoken_ring ring;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_text tokens[] = {
      good_token(GOOD_PAYLOAD),
      good_token("{\"sub\":\"p\",\"iat\":1600000000,\"exp\":1600003600,\"permissions\":[]}"),
      good_token("{" GOOD_CLAIMS ",\"permissions\":[\"account\"],\"urls\":[\"/one\"]}"),
      {NULL, 0},
      {"", 0}};
  const subtoken_policy *policy = policy_of(text);
  subtoken_request request = {.size = sizeof request, .now = NOW};
  for (size_t i = 0; i < COUNT(rows); i++) {
    static subtoken_claims claims;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    subtoken_text token = tokens[rows[i].token], none = {NULL, 0};
    subtoken_result result = rows[i].result;
    request.method = rows[i].method != NULL ? st_text(rows[i].method) : none;
    request.target = st_text(rows[i].target);
    if (result == SUBTOKEN_UNDECIDED) {
      result = subtoken_policy_verify(&verifier, policy, token, &request, rows[i].flags, &claims,
                                      &decision);
    }
    const char *got = error(&verifier, policy, token, &request, rows[i].flags, result);
    CHECK(rows[i].words == NULL || strcmp(got, rows[i].words) == 0, "%zu: %s", i, got);
  }
  request.target = (subtoken_text){NULL, 0};
  assert_string_equal(error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_BAD_TARGET),
                      "no target is given, and a policy goes by it");
  request.target = (subtoken_text)ST_TEXT("/one");
  request.needs_count = 1; /* and no needs */
  assert_string_equal(
      error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_INVALID_ARGUMENT),
      "invalid argument");
  (void)error(&verifier, policy, tokens[ABSENT], &request, 0, SUBTOKEN_PERM);
  static char path[SUBTOKEN_PATH_MAX]; /* each byte of it is shown as four */
  memset(path, '\x80', sizeof path);
  path[0] = '/';
  request.target = (subtoken_text){path, sizeof path};
  request.method = request.target;
  (void)error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_BAD_TARGET);
  request.target = (subtoken_text)ST_TEXT("/one");
  (void)error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_URL);
  char out[8] = "x";
  assert_int_equal(subtoken_policy_explain(NULL, policy, tokens[0], &request, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, NULL, tokens[0], &request, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, policy, tokens[0], NULL, 0, 1, out, 8), 0);
  assert_int_equal(subtoken_policy_explain(&verifier, policy, tokens[0], &request, 0, 1, NULL, 8),
                   0);
  assert_string_equal(out, "");
  drop(policy);
  /* The default, which has no line. */
  policy = policy_of("{\"default\":\"token\"}");
  request = (subtoken_request){.size = sizeof(subtoken_request),
                               .now = NOW,
                               .method = ST_TEXT("GET"),
                               .target = ST_TEXT("/one")};
  assert_string_equal(error(&verifier, policy, tokens[GOOD], &request, 0, SUBTOKEN_OK),
                      "good until 2023-11-14T23:13:20Z; the default of the policy needs a good "
                      "token");
  drop(policy);
  policy = policy_of("{\"default\":\"public\"}");
  assert_string_equal(error(&verifier, policy, tokens[ABSENT], &request, 0, SUBTOKEN_OK),
                      "public, by the default of the policy");
  drop(policy);
  for (size_t i = 0; i < 3; i++) release(tokens[i]);
}

/* Results that another program claims, of which a route or the absent token says something else. */
static void results_that_do_not_fit_the_route_are_explained(void **state) {
  (void)state;
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[\n{\"path\":\"/open\",\"public\":true},\n"
      "{\"path\":\"/any\"},\n{\"path\":\"/mcp\",\"mcp\":{\"ping\":[\"user\"]}}]}");
  static const struct {
    bool token;
    const char *target;
    subtoken_result result;
    const char *words;
  } rows[] = {
      {true, "/open", SUBTOKEN_EXPIRED, "exp 2023-11-14T23:13:20Z was 60 min ago"},
      {true, "/open", SUBTOKEN_PERM, "the token has [account, guilds]"},
      {true, "/closed", SUBTOKEN_PERM, "the token has [account, guilds]"},
      {true, "/any", SUBTOKEN_PERM,
       "the token has [account, guilds]; line 3 of the policy needs a good token"},
      {false, "/any", SUBTOKEN_MALFORMED, "no token came"},
      {false, "/any", SUBTOKEN_TTL, "this is not what the token says"},
      {true, "/mcp", SUBTOKEN_URL,
       "POST /mcp: line 4 of the policy needs what the call of MCP names, and no call is read "
       "here"},
  };
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.without_revocations = true;
  subtoken_text token = good_token(GOOD_PAYLOAD), none = {NULL, 5};
  for (size_t i = 0; i < COUNT(rows); i++) {
    if (rows[i].result == SUBTOKEN_TTL) none = exact("", 0);
    subtoken_request request = {.size = sizeof request,
                                .now = NOW,
                                .method = ST_TEXT("POST"),
                                .target = st_text(rows[i].target)};
    const char *words =
        error(&verifier, policy, rows[i].token ? token : none, &request, 0, rows[i].result);
    CHECK(strcmp(words, rows[i].words) == 0, "row %zu: %s", i, words);
    if (rows[i].result == SUBTOKEN_TTL) release(none);
  }
  release(token);
  drop(policy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(explanations_name_the_route_and_the_need),
      cmocka_unit_test(results_that_do_not_fit_the_route_are_explained),
  };
  return cmocka_run_group_tests_name("policy_explain", tests, NULL, NULL);
}
