/* Calls of MCP and JSON-RPC at the ends of what they may be: absent, out of range, read in two
 * ways. What good ones decide is in the test of each source file.
 */
#include "policy_fixture.h"

#include "base/json.h"

static const subtoken_text absent = {NULL, 0};

/* ---- JSON that is read out of place ---- */

/* Outside of any there is no element and no member, and within one the text has not ended. */
static void what_is_asked_for_out_of_place_is_not_there(void **state) {
  (void)state;
  for (int array = 0; array < 2; array++) {
    char text[] = "1,2]}";
    st_json json;
    subtoken_text name;
    int64_t number = 7;
    st_json_start(&json, text, sizeof text - 1);
    assert_false(array ? st_json_element(&json) : st_json_member(&json, &name));
    assert_true(json.failed);
    assert_false(st_json_uint(&json, &number));
    assert_int_equal(number, 7);
  }
  char text[] = "[]";
  st_json json;
  st_json_start(&json, text, sizeof text - 1);
  assert_true(st_json_array(&json));
  assert_false(st_json_end(&json));
  assert_false(st_json_element(&json));
  assert_true(st_json_end(&json));
}

/* ---- subtoken_mcp_check ---- */

typedef struct mcp_args {
  const subtoken_policy *policy;
  subtoken_decision decision;
  subtoken_request request;
  subtoken_claims claims;
  subtoken_mcp_call call;
  subtoken_mcp mcp;
  char scratch[512];
} mcp_args;

static mcp_args *mcp_args_new(void) {
  static mcp_args a;
  memset(&a, 0, sizeof a);
  a.policy = brief_policy_of(MCP_POLICY);
  a.decision.size = sizeof a.decision;
  assert_int_equal(subtoken_policy_find(a.policy, ST_TEXT("POST"), ST_TEXT("/mcp"),
                                        SUBTOKEN_POLICY_MCP, &a.decision),
                   SUBTOKEN_OK);
  a.request = (subtoken_request)SUBTOKEN_REQUEST_DEFAULT;
  a.request.method = ST_TEXT("POST");
  a.claims = grant_of("user", NULL);
  a.call = (subtoken_mcp_call)SUBTOKEN_MCP_CALL_DEFAULT;
  a.call.has_body = true;
  a.call.scratch = a.scratch;
  a.call.scratch_size = sizeof a.scratch;
  a.call.body = ST_TEXT("{\"id\":1,\"method\":\"ping\"}");
  a.mcp = (subtoken_mcp)SUBTOKEN_MCP_DEFAULT;
  return &a;
}

static subtoken_result mcp_check(mcp_args *a) {
  return subtoken_mcp_check(a->policy, &a->decision, &a->request, &a->claims, &a->call, &a->mcp);
}

static void a_call_without_its_arguments_is_not_decided(void **state) {
  (void)state;
  for (int i = 0; i < 16; i++) {
    mcp_args *a = mcp_args_new();
    subtoken_result want = i == 0 ? SUBTOKEN_OK : SUBTOKEN_INVALID_ARGUMENT;
    switch (i) {
      case 1: a->policy = NULL; break;
      case 2: a->decision.size--; break;
      case 3: a->decision.access = SUBTOKEN_ACCESS_PUBLIC; break;
      case 4: a->decision.mcp = false; break;
      case 5: a->decision.route = 0; break;
      case 6: a->decision.route = a->policy->route_count + 1; break;
      case 7: a->decision.needs_count = SUBTOKEN_POLICY_NEEDS_MAX + 1; break;
      case 8: a->request.size--; break;
      case 9: a->request.needs_count = 1; break;
      case 10: a->claims.url_count = SUBTOKEN_URLS_MAX + 1; break;
      case 11: a->call.size++; break;
      case 12: a->call.mcp_method_count = 1; break;
      case 13: a->call.mcp_name_count = 1; break;
      case 14: a->call.mcp_version_count = 1; break;
      case 15: a->mcp.size--; break;
      default: break;
    }
    CHECK(mcp_check(a) == want, "%d", i);
  }
  mcp_args *a = mcp_args_new();
  assert_int_equal(subtoken_mcp_check(a->policy, NULL, &a->request, &a->claims, &a->call, &a->mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mcp_check(a->policy, &a->decision, NULL, &a->claims, &a->call, &a->mcp),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_mcp_check(a->policy, &a->decision, &a->request, NULL, &a->call, &a->mcp),
      SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_mcp_check(a->policy, &a->decision, &a->request, &a->claims, NULL, &a->mcp),
      SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_mcp_check(a->policy, &a->decision, &a->request, &a->claims, &a->call, NULL),
      SUBTOKEN_INVALID_ARGUMENT);
}

/* What a request needs besides is lacking once, whatever else needs it; of what was no call at all
 * there is no member.
 */
static void what_is_lacking_is_told_once(void **state) {
  (void)state;
  static const subtoken_text needs[] = {SUBTOKEN_TEXT("user"), SUBTOKEN_TEXT("also"),
                                        SUBTOKEN_TEXT("user")};
  mcp_args *a = mcp_args_new();
  a->claims = grant_of("other", NULL);
  a->request.needs = needs;
  a->request.needs_count = COUNT(needs);
  assert_int_equal(mcp_check(a), SUBTOKEN_PERM);
  assert_int_equal(a->mcp.lacking_count, 2);
  assert_true(st_text_is(a->mcp.lacking[0], "user") && st_text_is(a->mcp.lacking[1], "also"));
  a->claims = grant_of("user", NULL);
  a->request.needs = needs + 1;
  a->request.needs_count = 1;
  assert_int_equal(mcp_check(a), SUBTOKEN_PERM);
  a->request.needs_count = 0;
  a->decision.needs_count = SUBTOKEN_POLICY_NEEDS_MAX;
  for (size_t i = 0; i < SUBTOKEN_POLICY_NEEDS_MAX; i++) a->decision.needs[i] = needs[0];
  assert_int_equal(mcp_check(a), SUBTOKEN_OK);

  static const char *const bodies[] = {"", "{", "{\"id\":7,\"method\":\"ping\",", "1",
                                       "{\"method\":\"other\"}"};
  for (size_t i = 0; i < COUNT(bodies); i++) {
    a = mcp_args_new();
    a->claims = grant_of("other", NULL);
    a->mcp.line = 7;
    a->mcp.member = needs[0];
    a->mcp.lacking_count = 3;
    a->call.body = i == 0 ? (subtoken_text){NULL, 5} : st_text(bodies[i]);
    subtoken_result want = i == 0 ? SUBTOKEN_URL : i == 4 ? SUBTOKEN_PERM : SUBTOKEN_MALFORMED;
    CHECK(mcp_check(a) == want, "%zu", i);
    CHECK(a->mcp.line == 0 && a->mcp.member.data == NULL && a->mcp.member.len == 0, "%zu", i);
    CHECK(a->mcp.lacking_count == (i == 4 ? 1 : 0), "%zu", i);
    CHECK(a->mcp.id_len == 4 && memcmp(a->mcp.id, "null", 5) == 0, "%zu", i);
  }
}

/* By the headers alone the member is told, too, and an error names nothing that is lacking. */
static void headers_alone_tell_the_member(void **state) {
  (void)state;
  static const subtoken_text method = SUBTOKEN_TEXT("tools/call"), name = SUBTOKEN_TEXT("search"),
                             other = SUBTOKEN_TEXT("=?"), version = SUBTOKEN_TEXT("2026-07-28");
  static const char text[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/mcp\",\"needs\":[\"user\"],"
      "\"mcp\":{\"tools/call search\":[\"docs\"]},\"mcp_headers\":\"2026-07-28\"}]}";
  for (int i = 0; i < 3; i++) {
    mcp_args *a = mcp_args_new();
    a->policy = brief_policy_of(text);
    a->decision.size = sizeof a->decision;
    assert_int_equal(subtoken_policy_find(a->policy, ST_TEXT("POST"), ST_TEXT("/mcp"),
                                          SUBTOKEN_POLICY_MCP, &a->decision),
                     SUBTOKEN_OK);
    a->claims = grant_of("other", NULL);
    a->call.body = absent;
    a->call.mcp_method = &method;
    a->call.mcp_name = i == 1 ? &other : &name;
    a->call.mcp_version = &version;
    a->call.mcp_method_count = a->call.mcp_name_count = 1;
    a->call.mcp_version_count = i == 2 ? 0 : 1;
    subtoken_result want = i == 0 ? SUBTOKEN_PERM : i == 1 ? SUBTOKEN_MCP_MISMATCH : SUBTOKEN_URL;
    CHECK(mcp_check(a) == want, "%d", i);
    CHECK(a->mcp.lacking_count == (i == 0 ? 2 : 0), "%d", i);
    CHECK((a->mcp.line == 1) == (i == 0), "%d", i);
    CHECK(st_text_is(a->mcp.member, i == 0 ? "tools/call search" : ""), "%d", i);
  }
}

/* Whatever decides about all other methods does not decide about a response. */
static void a_response_calls_nothing(void **state) {
  (void)state;
  mcp_args *a = mcp_args_new();
  a->policy = brief_policy_of(
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/mcp\",\"mcp\":{\"*\":[\"other\"]}}]}");
  a->decision.size = sizeof a->decision;
  assert_int_equal(subtoken_policy_find(a->policy, ST_TEXT("POST"), ST_TEXT("/mcp"),
                                        SUBTOKEN_POLICY_MCP, &a->decision),
                   SUBTOKEN_OK);
  assert_int_equal(mcp_check(a), SUBTOKEN_PERM);
  a->call.body = ST_TEXT("{\"id\":1,\"result\":{}}");
  assert_int_equal(mcp_check(a), SUBTOKEN_OK);
}

static void a_batch_is_good_to_its_end(void **state) {
  (void)state;
  static const struct {
    const char *body;
    subtoken_result want;
    int code;
  } rows[] = {
      {"[{\"id\":1,\"method\":\"ping\"}]", SUBTOKEN_OK, 0},
      {"[{\"id\":1,\"method\":\"ping\"}] ", SUBTOKEN_OK, 0},
      {"[{\"id\":1,\"method\":\"ping\"}]x", SUBTOKEN_MALFORMED, -32700},
      {"[{\"id\":1,\"method\":\"ping\"}", SUBTOKEN_MALFORMED, -32700},
      {"[{\"id\":1,\"method\":\"PING\"}]", SUBTOKEN_MALFORMED, -32600},
      {"[{\"id\":1,\"method\":\"ping\"},1]", SUBTOKEN_MALFORMED, -32600},
      {"[]", SUBTOKEN_MALFORMED, -32600},
      {"{\"id\":1,\"method\":\"ping\"}x", SUBTOKEN_MALFORMED, -32700},
      {"[{\"method\":\"tools/call\",\"params\":{\"name\":\"search\"}}]", SUBTOKEN_PERM, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    mcp_args *a = mcp_args_new();
    a->call.body = st_text(rows[i].body);
    subtoken_result got = mcp_check(a);
    CHECK(got == rows[i].want && a->mcp.code == rows[i].code, "row %zu: %s, %d", i,
          subtoken_result_name(got), a->mcp.code);
  }
}

static void a_reply_to_a_call_says_why(void **state) {
  (void)state;
  mcp_args *a = mcp_args_new();
  char out[SUBTOKEN_CHALLENGE_MAX];
  a->call.body = ST_TEXT("{\"method\":\"tools/call\",\"params\":{\"name\":\"search\"}}");
  assert_int_equal(mcp_check(a), SUBTOKEN_PERM);
  assert_int_equal(a->mcp.lacking_count, 2);
  const struct {
    subtoken_result result;
    const char *reply, *explained;
  } rows[] = {
      {SUBTOKEN_PERM, "{\"text\":\"requires scope docs more\"}", "lacking [docs, more]"},
      {SUBTOKEN_TOO_LARGE, "{\"text\":\"the body is longer than 262144 bytes\"}", "limit"},
      {SUBTOKEN_URL, "{\"text\":\"no body came by which this call could be allowed\"}",
       "no body came by which this call could be allowed"},
      {SUBTOKEN_UNDECIDED, "{\"text\":\"this cannot be decided now; try again later\"}", ""},
      {SUBTOKEN_MALFORMED, "{\"text\":\"this cannot be decided now; try again later\"}",
       "the body is no JSON-RPC message"},
      {SUBTOKEN_OK, "{\"text\":\"this cannot be decided now; try again later\"}",
       "member \"tools/call search\""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = subtoken_mcp_reply(rows[i].result, &a->mcp, out, sizeof out);
    CHECK(len == strlen(out) && strcmp(out, rows[i].reply) == 0, "row %zu: %s", i, out);
    len = subtoken_mcp_explain(a->policy, &a->decision, rows[i].result, &a->mcp, out, sizeof out);
    CHECK(len == strlen(out) && (i == 1 || strstr(out, rows[i].explained) != NULL), "row %zu: %s",
          i, out);
    assert_int_equal(subtoken_mcp_challenge(rows[i].result, &a->mcp, out, sizeof out) > 0, i == 0);
  }
  /* The code of another result is not that of this one. */
  a->mcp.code = -32700;
  assert_true(subtoken_mcp_reply(SUBTOKEN_PERM, &a->mcp, out, sizeof out) > 0);
  assert_string_equal(out, rows[0].reply);
  assert_true(subtoken_mcp_reply(SUBTOKEN_MALFORMED, &a->mcp, out, sizeof out) > 0);
  assert_non_null(strstr(out, "\"code\":-32700"));
  /* What is of no permission's form is not repeated. */
  a->mcp.lacking[0] = ST_TEXT("a\"b");
  assert_true(subtoken_mcp_reply(SUBTOKEN_PERM, &a->mcp, out, sizeof out) > 0);
  assert_string_equal(out, "{\"text\":\"requires scope more\"}");
  /* Without room there is none. */
  assert_int_equal(subtoken_mcp_reply(SUBTOKEN_PERM, &a->mcp, out, 10), 0);
  assert_int_equal(subtoken_mcp_challenge(SUBTOKEN_PERM, &a->mcp, out, 10), 0);
  assert_int_equal(out[0], '\0');
}

static void a_reply_needs_its_arguments(void **state) {
  (void)state;
  char out[256];
  for (int i = 0; i < 7; i++) {
    mcp_args *a = mcp_args_new();
    assert_int_equal(mcp_check(a), SUBTOKEN_OK);
    const subtoken_mcp *mcp = &a->mcp;
    char *to = out;
    size_t size = sizeof out;
    switch (i) {
      case 1: mcp = NULL; break;
      case 2: a->mcp.size++; break;
      case 3: to = NULL; break;
      case 4: size = 0; break;
      case 5: a->mcp.lacking_count = SUBTOKEN_POLICY_NEEDS_MAX + 1; break;
      case 6: a->mcp.id_len = sizeof a->mcp.id + 1; break;
      default: break;
    }
    bool good = i == 0;
    CHECK((subtoken_mcp_reply(SUBTOKEN_PERM, mcp, to, size) > 0) == good, "%d", i);
    CHECK((subtoken_mcp_challenge(SUBTOKEN_PERM, mcp, to, size) > 0) == good, "%d", i);
    CHECK((subtoken_mcp_explain(a->policy, &a->decision, SUBTOKEN_OK, mcp, to, size) > 0) == good,
          "%d", i);
    assert_int_equal(subtoken_mcp_explain(NULL, &a->decision, SUBTOKEN_OK, mcp, to, size), 0);
    assert_int_equal(subtoken_mcp_explain(a->policy, NULL, SUBTOKEN_OK, mcp, to, size), 0);
  }
}

static void a_policy_explains_what_a_call_needs(void **state) {
  (void)state;
  char out[512];
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  subtoken_ring ring;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  ring_with(&ring, "", TEST_SECRET);
  verifier.ring = &ring;
  verifier.without_revocations = true;
  request.now = NOW;
  request.method = ST_TEXT("POST");
  request.target = ST_TEXT("/mcp");
  subtoken_text token = good_token(GOOD_PAYLOAD), empty = ST_TEXT("");
  assert_true(subtoken_policy_explain(&verifier, policy, token, &request, SUBTOKEN_POLICY_MCP,
                                      SUBTOKEN_OK, out, sizeof out) > 0);
  assert_non_null(strstr(out, ", and what the call of MCP needs"));
  assert_true(subtoken_policy_explain(&verifier, policy, token, &request, 0, SUBTOKEN_URL, out,
                                      sizeof out) > 0);
  assert_non_null(strstr(out, "needs what the call of MCP names, and no call is read here"));
  assert_true(subtoken_policy_explain(&verifier, policy, empty, &request, SUBTOKEN_POLICY_MCP,
                                      SUBTOKEN_MALFORMED, out, sizeof out) > 0);
  assert_string_equal(out, "no token came");
  assert_true(subtoken_policy_explain(&verifier, policy, absent, &request, SUBTOKEN_POLICY_MCP,
                                      SUBTOKEN_MALFORMED, out, sizeof out) > 0);
  assert_string_equal(out, "no token came");
  assert_true(subtoken_policy_explain(&verifier, policy, ST_TEXT("x"), &request,
                                      SUBTOKEN_POLICY_MCP, SUBTOKEN_MALFORMED, out,
                                      sizeof out) > 0);
  assert_string_not_equal(out, "no token came");
  release(token);
}

static void a_route_without_mcp_has_no_calls(void **state) {
  (void)state;
  const subtoken_policy *policy = brief_policy_of(MCP_POLICY);
  size_t count = 9;
  assert_null(st_policy_route_calls(policy, &st_policy_routes(policy)[1], &count));
  assert_int_equal(count, 0);
  assert_non_null(st_policy_route_calls(policy, &st_policy_routes(policy)[0], &count));
  assert_int_equal(count, 2);
}

/* ---- JSON-RPC ---- */

static void a_body_names_at_most_so_many_apis(void **state) {
  (void)state;
  static char body[8192], scratch[8192];
  subtoken_rpc rpc;
  for (size_t apis = SUBTOKEN_RPC_NEEDS_MAX - 1; apis <= SUBTOKEN_RPC_NEEDS_MAX; apis++) {
    st_writer writer = st_writer_on(body, sizeof body);
    st_write_char(&writer, '[');
    for (size_t i = 0; i < apis; i++) {
      st_write_literal(&writer, "{\"method\":\"a");
      st_write_int(&writer, (int64_t)i);
      st_write_literal(&writer, "_api.x\"},");
    }
    size_t front = writer.len;
    static const char *const last[] = {"{\"method\":\"get_objects\"}]",
                                       "{\"method\":\"call\",\"params\":[0]}]"};
    for (size_t i = 0; i < COUNT(last); i++) {
      writer.len = front;
      st_write_literal(&writer, last[i]);
      assert_false(writer.overflow);
      subtoken_result got =
          subtoken_rpc_read((subtoken_text){body, writer.len}, scratch, sizeof scratch, &rpc);
      assert_int_equal(got, apis < SUBTOKEN_RPC_NEEDS_MAX ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
      subtoken_claims claims = grant_of("database_api", NULL);
      assert_int_equal(subtoken_rpc_allowed(&rpc, &claims, NULL),
                       got == SUBTOKEN_OK ? SUBTOKEN_PERM : SUBTOKEN_INVALID_ARGUMENT);
    }
  }
  assert_int_equal(
      subtoken_rpc_read(ST_TEXT("{\"method\":\"x\",\"a\":tru}"), scratch, sizeof scratch, &rpc),
      SUBTOKEN_MALFORMED);
}

static void needs_that_are_out_of_range_are_not_met(void **state) {
  (void)state;
  char scratch[64];
  subtoken_rpc rpc;
  subtoken_text lacking, call = ST_TEXT("{\"method\":\"get_objects\"}");
  subtoken_claims claims = grant_of("database_api", NULL);
  assert_int_equal(subtoken_rpc_read(call, scratch, sizeof scratch, &rpc), SUBTOKEN_OK);
  assert_int_equal(subtoken_rpc_allowed(&rpc, &claims, NULL), SUBTOKEN_OK);
  assert_int_equal(subtoken_rpc_allowed(NULL, &claims, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_rpc_allowed(&rpc, NULL, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  rpc.count = SUBTOKEN_RPC_NEEDS_MAX + 1;
  assert_int_equal(subtoken_rpc_allowed(&rpc, &claims, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  rpc.count = 0;
  assert_int_equal(subtoken_rpc_allowed(&rpc, &claims, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  rpc.count = 1;
  rpc.needs[0].at = sizeof rpc.text;
  assert_int_equal(subtoken_rpc_allowed(&rpc, &claims, &lacking), SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_asked_for_out_of_place_is_not_there),
      cmocka_unit_test(a_call_without_its_arguments_is_not_decided),
      cmocka_unit_test(what_is_lacking_is_told_once),
      cmocka_unit_test(headers_alone_tell_the_member),
      cmocka_unit_test(a_response_calls_nothing),
      cmocka_unit_test(a_batch_is_good_to_its_end),
      cmocka_unit_test(a_reply_to_a_call_says_why),
      cmocka_unit_test(a_reply_needs_its_arguments),
      cmocka_unit_test(a_policy_explains_what_a_call_needs),
      cmocka_unit_test(a_route_without_mcp_has_no_calls),
      cmocka_unit_test(a_body_names_at_most_so_many_apis),
      cmocka_unit_test(needs_that_are_out_of_range_are_not_met),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
