/* Policies, calls of JSON-RPC and MCP, resources and revocation data at the ends of what they may
 * be: arguments that are absent, out of range or of another size, hashes that collide, characters
 * at the borders of their classes. What good ones decide is in the test of each source file.
 */
#include "support.h"

#include "base/json.h"
#include "core/edge_reply.h"
#include "core/mcp_header.h"
#include "core/mcp_message.h"
#include "core/mcp_name.h"
#include "core/policy.h"
#include "core/resource.h"
#include "core/revocations_format.h"
#include "core/vouched.h"
#include "subtoken/policy.h"
#include "subtoken/revocations.h"

static const subtoken_text absent = {NULL, 0};

static const subtoken_policy *policy_of(const char *string) {
  static void *memory;
  const subtoken_policy *policy = NULL;
  subtoken_text text = st_text(string);
  size_t size = subtoken_policy_size(text.len);
  free(memory);
  memory = malloc(size);
  assert_non_null(memory);
  assert_int_equal(subtoken_policy_read(memory, size, text, &policy, NULL), SUBTOKEN_OK);
  return policy;
}

/* ---- characters ---- */

static size_t put_code(char *out, uint32_t code) {
  st_writer writer = st_writer_on(out, 8);
  if (code < 0x80) {
    st_write_char(&writer, (char)code);
  } else if (code < 0x800) {
    st_write_char(&writer, (char)(0xC0 | code >> 6));
  } else if (code < 0x10000) {
    st_write_char(&writer, (char)(0xE0 | code >> 12));
    st_write_char(&writer, (char)(0x80 | (code >> 6 & 0x3F)));
  } else {
    st_write_char(&writer, (char)(0xF0 | code >> 18));
    st_write_char(&writer, (char)(0x80 | (code >> 12 & 0x3F)));
    st_write_char(&writer, (char)(0x80 | (code >> 6 & 0x3F)));
  }
  if (code >= 0x80) st_write_char(&writer, (char)(0x80 | (code & 0x3F)));
  return writer.len;
}

static bool is_among(uint32_t code, const uint32_t (*ranges)[2], size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
  }
  return false;
}

/* Each code point of Unicode, at each end of a name. White_Space of Unicode 15, and U+FEFF, which
 * String.prototype.trim takes off. */
static void names_are_trimmed_and_clear_as_unicode_says(void **state) {
  (void)state;
  static const uint32_t spaces[][2] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},
                                       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                       {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                       {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  static const uint32_t odd[][2] = {{0, 0x1F}, {0x7F, 0x9F}, {0x2028, 0x2029}, {0xFEFF, 0xFEFF}};
  for (uint32_t code = 0; code <= 0x10FFFF; code++) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    char text[10] = "a";
    size_t len = put_code(text + 1, code);
    text[len + 1] = 'a';
    bool space = is_among(code, spaces, COUNT(spaces));
    subtoken_text first = {text + 1, len + 1}, last = {text, len + 1}, whole = {text, len + 2};
    CHECK(st_mcp_name_trimmed(first) == !space, "U+%04X first", (unsigned)code);
    CHECK(st_mcp_name_trimmed(last) == !space, "U+%04X last", (unsigned)code);
    CHECK(st_mcp_name_trimmed(whole), "U+%04X within", (unsigned)code);
    CHECK(st_mcp_name_clear(whole) == !is_among(code, odd, COUNT(odd)), "U+%04X", (unsigned)code);
    CHECK(st_mcp_name_marked(first) == (code == 0xFEFF), "U+%04X", (unsigned)code);
  }
  assert_true(st_mcp_name_trimmed(ST_TEXT("")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("\xFF")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("a\xFF")));
  assert_false(st_mcp_name_trimmed(ST_TEXT("\x80\x80")));
  assert_false(st_mcp_name_clear(ST_TEXT("a\x80")));
  assert_false(st_mcp_name_marked(ST_TEXT("")));
}

static void a_uri_has_a_scheme_in_lower_case_or_none(void **state) {
  (void)state;
  static const struct {
    const char *uri;
    bool good;
  } rows[] = {{"file:///a", true},   {"File:///a", false}, {"filE:a", false}, {"a+b-c.d1:x", true},
              {"A+b-c.d1:x", false}, {"a1B:x", false},     {"1A:x", true},    {":A", true},
              {"A", true},           {"", true},           {"A_B:x", true},   {"A/B:x", true},
              {"[A:x", true},        {"@A:x", true},       {"`A:x", true},    {"{A:x", true},
              {"a[A:x", true},       {"a;A:x", true},      {"Z:x", false},    {"z:x", true},
              {"a b", false},        {"a\x7F", false},     {"a\tb", false},   {"a\xC3\xA4", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = st_mcp_uri_problem(st_text(rows[i].uri)) == NULL;
    CHECK(good == rows[i].good, "%s", rows[i].uri);
  }
}

static void a_method_is_visible(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    char text[3] = {'a', (char)c, 'b'};
    CHECK(st_mcp_method_valid((subtoken_text){text, 3}) == (c > 0x20 && c < 0x7F), "%d", c);
  }
  assert_false(st_mcp_method_valid(ST_TEXT("")));
  subtoken_text most = repeated("", 'm', SUBTOKEN_POLICY_MCP_METHOD_MAX);
  subtoken_text more = repeated("", 'm', SUBTOKEN_POLICY_MCP_METHOD_MAX + 1);
  assert_true(st_mcp_method_valid(most));
  assert_false(st_mcp_method_valid(more));
  release(most);
  release(more);
}

/* ---- headers of MCP ---- */

static void a_name_in_a_header_is_plain_or_encoded(void **state) {
  (void)state;
  static const struct {
    const char *value, *name; /* NULL: none */
  } rows[] = {{"search", "search"},
              {"", ""},
              {"=", "="},
              {"?=", "?="},
              {"=?base64?=", NULL},
              {"=?base64?"
               "?=",
               ""},
              {"=?base64?YQ==?=", "a"},
              {"=?base64?YQ==?", "=?base64?YQ==?"},
              {"=?base64?YQ?=", NULL},
              {"=?base64?/w==?=", NULL},
              {"=?base64?77u/YQ==?=", NULL}, /* U+FEFF in front */
              {"a\tb", "a\tb"},
              {"a\x1F", NULL},
              {"a\x7F", NULL}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char decoded[ST_MCP_HEADER_NAME_MAX];
    subtoken_text name, value = exact_string(rows[i].value);
    bool good = st_mcp_header_read_name(value, decoded, &name);
    CHECK(good == (rows[i].name != NULL), "row %zu", i);
    if (good) CHECK(st_text_is(name, rows[i].name), "row %zu", i);
    release(value);
  }
}

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

/* ---- messages of MCP ---- */

static void a_message_is_read_in_one_way_only(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool good;
    const char *id; /* as it is repeated; "" none */
  } rows[] = {
      {"{\"id\":1,\"method\":\"ping\"}", true, "1"},
      {"{\"id\":\"a\",\"method\":\"ping\"}", true, "\"a\""},
      {"{\"id\":null,\"method\":\"ping\"}", true, ""},
      {"{\"id\":[1],\"method\":\"ping\"}", true, ""},
      {"{\"id\":01,\"method\":\"ping\"}", false, ""},
      {"{\"id\":1e,\"method\":\"ping\"}", false, ""},
      {"{\"id\":\"\\x\",\"method\":\"ping\"}", false, ""},
      {"{\"id\":nul,\"method\":\"ping\"}", false, ""},
      {"{\"id\":0.000000000000000000000000000000000000000000000000000000000000000000000000000000000"
       "000000000000000000000000000000000000000000000000000000000000,\"method\":\"ping\"}",
       true, ""},
      {"{\"id\":\"0123456789012345678901234567890123456789012345678901234567890123\",\"result\":1}",
       true, "\"0123456789012345678901234567890123456789012345678901234567890123\""},
      {"{\"id\":\"01234567890123456789012345678901234567890123456789012345678901234\",\"result\":"
       "1}",
       true, ""},
      {"{\"method\":1}", false, ""},
      {"{\"method\":\"\\x\"}", false, ""},
      {"{\"method\":\"ping\",\"result\":1}", false, ""},
      {"{\"method\":\"ping\",\"error\":1}", false, ""},
      {"{\"result\":1}", true, ""},
      {"{}", false, ""},
      {"[]", false, ""},
      {"1", false, ""},
      {"{\"method\":\"ping\",\"x\":tru}", false, ""},
      {"{\"method\":\"ping\",\"x\":true}", true, ""},
      {"{\"method\":\"ping\",\"METHOD\":1}", false, ""},
      {"{\"method\":\"ping\",\"jsonRpc\":1}", false, ""},
      {"{\"method\":\"ping\",\"jsonrpc\":1}", true, ""},
      {"{\"method\":\"ping\",\"\\u017f\":1}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}", true, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"NAME\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"Uri\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"taskid\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"\\u0131\":1}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"other\":1}}", true, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"other\":tru}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"\\x\"}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":tru}}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":{\"name\":\"a\"", false, ""},
      {"{\"method\":\"tools/call\",\"params\":[]}", false, ""},
      {"{\"method\":\"tools/call\",\"params\":[}", false, ""},
      {"{\"method\":\"tools/call\"}", false, ""},
      {"{\"method\":\"tasks/get\",\"params\":{\"taskId\":\"a\"}}", true, ""},
      {"{\"method\":\"resources/read\",\"params\":{\"uri\":\"a:b\"}}", true, ""},
      {"{\"method\":\"resources/read\",\"params\":{\"uri\":\"A:b\"}}", false, ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_json json;
    st_mcp_message message;
    subtoken_text text = exact_string(rows[i].text);
    st_json_start(&json, (char *)(uintptr_t)text.data, text.len);
    bool good = st_mcp_message_read(&json, &message);
    CHECK(good == rows[i].good, "row %zu: %s", i, rows[i].text);
    if (good) {
      CHECK(st_text_is((subtoken_text){message.id, message.id_len}, rows[i].id), "row %zu", i);
    }
    release(text);
  }
}

/* ---- subtoken_mcp_check ---- */

#define MCP_POLICY                                                             \
  "{\"default\":\"deny\",\"routes\":[{\"path\":\"/mcp\",\"needs\":[\"user\"]," \
  "\"mcp\":{\"tools/call search\":[\"docs\",\"more\"],\"ping\":[\"user\"]}},"  \
  "{\"path\":\"/plain\",\"needs\":[\"user\"]},{\"path\":\"/none\"}]}"

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
  a.policy = policy_of(MCP_POLICY);
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
  const subtoken_policy *policy = policy_of(MCP_POLICY);
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
  const subtoken_policy *policy = policy_of(MCP_POLICY);
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
    st_write_literal(&writer, "{\"method\":\"get_objects\"}]");
    assert_false(writer.overflow);
    subtoken_result got =
        subtoken_rpc_read((subtoken_text){body, writer.len}, scratch, sizeof scratch, &rpc);
    assert_int_equal(got, apis < SUBTOKEN_RPC_NEEDS_MAX ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
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

/* ---- the policy's arguments ---- */

static void a_policy_is_asked_with_all_that_it_needs(void **state) {
  (void)state;
  const subtoken_policy *policy = policy_of(MCP_POLICY);
  subtoken_ring ring, empty;
  static subtoken_claims claims;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  ring_with(&ring, "", TEST_SECRET);
  memset(&empty, 0, sizeof empty);
  for (int i = 0; i < 8; i++) {
    subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
    subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
    const subtoken_verifier *given = &verifier;
    const subtoken_policy *asked = policy;
    const subtoken_request *of = &request;
    subtoken_result want = SUBTOKEN_INVALID_ARGUMENT;
    verifier.ring = &ring;
    verifier.without_revocations = true;
    request.now = NOW;
    request.method = ST_TEXT("GET");
    request.target = ST_TEXT("/none");
    switch (i) {
      case 1: given = NULL; break;
      case 2: verifier.ring = NULL; break;
      case 3: asked = NULL; break;
      case 4: of = NULL; break;
      case 5: request.needs_count = 1; break;
      case 6:
        verifier.ring = &empty;
        want = SUBTOKEN_KID;
        break;
      case 7: verifier.size = 3; break;
      default: want = SUBTOKEN_OK;
    }
    memset(&claims, 0x55, sizeof claims);
    subtoken_result got = subtoken_policy_verify(given, asked, token, of, 0, &claims, NULL);
    CHECK(got == want, "%d: %s", i, subtoken_result_name(got));
    if (i > 0) CHECK(claims_are_zero(&claims), "%d", i);
  }
  release(token);
}

#define ROUTE(members) "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\"," members "}]}"
#define MCP(members) ROUTE("\"mcp\":{" members "}")

static void what_is_wrong_with_a_policy_is_told(void **state) {
  (void)state;
  static const struct {
    const char *text, *error;
  } rows[] = {
      {"{\"default\":\"deny\",\"preflight\":1}", "must be true or false"},
      {"{\"default\":\"deny\",\"routes\":[]}", "must not be empty"},
      {"{\"default\":\"deny\",}", "not strict JSON"},
      {"{\"default\":\"deny\",1:1,\"routes\":[]}", "not strict JSON"},
      {"{\"default\":\"deny\",\"default\":1}", "\"default\" is a duplicate"},
      {"{\"default\":\"deny\",\"de", "unexpected end"},
      {ROUTE("\"needs\":[]"), "must not be empty"},
      {ROUTE("\"public\":0"), "must be true or false"},
      {ROUTE("\"json_rpc\":true,\"resource\":\"https://h\",\"resource\":1"),
       "\"resource\" is a duplicate"},
      {MCP("\"a\":[\"x\"],\"b\":[\"x\"],\"b\":1"), "\"b\" is a duplicate"},
      {MCP("\"aa\":[\"x\"],\"b\":[\"x\"],\"b\":1"), "\"b\" is a duplicate"},
      {MCP("\"a\":[\"x\"],"), "not strict JSON"},
      {"{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"mcp\":{\"tools/call a\":[\"x\"],",
       "unexpected end"},
      {ROUTE("\"mcp\":{\"a\":[\"x\"]},\"mcp_headers\":\"x\""), "must be \""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const subtoken_policy *policy;
    subtoken_policy_error error;
    subtoken_text text = exact_string(rows[i].text);
    size_t size = subtoken_policy_size(text.len);
    void *memory = malloc(size);
    assert_non_null(memory);
    CHECK(subtoken_policy_read(memory, size, text, &policy, &error) == SUBTOKEN_MALFORMED,
          "row %zu", i);
    CHECK(strstr(error.text, rows[i].error) != NULL, "row %zu: %s", i, error.text);
    free(memory);
    release(text);
  }
}

/* One document of each, however often it is named. */
static void so_many_resources_are_listed(void **state) {
  (void)state;
  static char text[1 << 16];
  for (int count = 256; count <= 257; count++) {
    const subtoken_policy *policy;
    subtoken_policy_error error;
    st_writer writer = st_writer_on(text, sizeof text);
    st_write_literal(&writer, "{\"default\":\"deny\",\"routes\":[");
    for (int i = 0; i < 2 * count; i++) {
      char route[96];
      snprintf(route, sizeof route, "%s{\"path\":\"/%d\",\"resource\":\"https://h/%d\"}",
               i == 0 ? "" : ",", i, i % count);
      st_write_literal(&writer, route);
    }
    st_write_literal(&writer, "]}");
    size_t size = subtoken_policy_size(writer.len);
    void *memory = malloc(size);
    assert_non_null(memory);
    subtoken_result got =
        subtoken_policy_read(memory, size, (subtoken_text){text, writer.len}, &policy, &error);
    assert_int_equal(got, count == 256 ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
    if (count == 256) assert_int_equal(policy->resource_count, 256);
    if (count == 257) assert_non_null(strstr(error.text, "too many different resources"));
    free(memory);
  }
}

/* From 63 segments on, paths are counted alike: a star behind the end of a path is not one of its
 * segments. */
static void a_star_far_behind_is_no_part_of_a_shorter_path(void **state) {
  (void)state;
  char text[512], target[256];
  st_writer writer = st_writer_on(text, sizeof text), to = st_writer_on(target, sizeof target);
  st_write_literal(&writer, "{\"default\":\"deny\",\"routes\":[{\"path\":\"");
  for (int i = 0; i < 72; i++) st_write_literal(&writer, i == 68 ? "/*" : "/a");
  st_write_literal(&writer, "\"}]}");
  assert_true(st_writer_end(&writer));
  const subtoken_policy *policy = policy_of(text);
  for (size_t segments = 1; segments <= 74; segments++) {
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    st_write_literal(&to, "/a");
    assert_int_equal(
        subtoken_policy_find(policy, ST_TEXT("GET"), (subtoken_text){target, to.len}, 0, &decision),
        SUBTOKEN_OK);
    CHECK((decision.access == SUBTOKEN_ACCESS_TOKEN) == (segments == 72), "%zu segments", segments);
  }
}

/* GET, HEAD and DELETE of a route with mcp need what the route needs, and no call. */
static void what_calls_nothing_needs_the_route_alone(void **state) {
  (void)state;
  const subtoken_policy *policy = policy_of(MCP_POLICY);
  static const struct {
    const char *method;
    bool token;
  } rows[] = {{"GET", true},   {"HEAD", true}, {"DELETE", true},  {"POST", false},
              {"GETX", false}, {"HEA", false}, {"DELETF", false}, {"PUT", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    assert_int_equal(
        subtoken_policy_find(policy, st_text(rows[i].method), ST_TEXT("/mcp"), 0, &decision),
        SUBTOKEN_OK);
    CHECK((decision.access == SUBTOKEN_ACCESS_TOKEN) == rows[i].token, "%s", rows[i].method);
    subtoken_ring ring;
    static subtoken_claims claims;
    subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
    subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
    ring_with(&ring, "", TEST_SECRET);
    verifier.ring = &ring;
    verifier.without_revocations = true;
    request.now = NOW;
    request.method = st_text(rows[i].method);
    request.target = ST_TEXT("/mcp");
    subtoken_text token = good_token("{" GOOD_CLAIMS ",\"permissions\":[\"user\"]}");
    subtoken_result got =
        subtoken_policy_verify(&verifier, policy, token, &request, 0, &claims, NULL);
    CHECK(got == (rows[i].token ? SUBTOKEN_OK : SUBTOKEN_URL), "%s", rows[i].method);
    release(token);
  }
}

/* ---- a table in which hashes collide ---- */

typedef struct hashed {
  uint32_t hash;
  uint32_t number;
} hashed;

static int by_hash(const void *a, const void *b) {
  const hashed *x = a, *y = b;
  return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Paths of two kinds, of several lengths: /p123 exactly, and /q123 with anything behind it. */
static uint32_t hash_of_path(uint32_t number, char text[24]) {
  bool wild = number % 2 != 0;
  snprintf(text, 24, "/%c%u%.*s%s", wild ? 'q' : 'p', (unsigned)number, (int)(number / 2 % 4),
           "xxx", wild ? "/" : "");
  st_policy_sums sums;
  const subtoken_policy *policy = NULL;
  static void *memory;
  static const char plain[] =
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/as-long-as-the-longest-of-these\"}]}";
  if (memory == NULL) {
    size_t size = subtoken_policy_size(sizeof plain - 1);
    memory = malloc(size);
    assert_int_equal(subtoken_policy_read(memory, size, st_text(plain), &policy, NULL),
                     SUBTOKEN_OK);
  }
  policy = memory;
  size_t len = strlen(text) - wild;
  st_policy_sum(policy, (subtoken_text){text, len}, &sums);
  assert_true(sums.count == 1);
  return st_policy_hash_end(sums.sum[1], wild);
}

#define PATHS (1U << 19)

/* Two routes whose paths have the same hash are two routes; and a path that has the hash of a
 * route, and no other likeness, has none. */
static void paths_that_share_a_hash_are_told_apart(void **state) {
  (void)state;
  hashed *all = malloc(PATHS * sizeof *all);
  char one[24], other[24], text[256], target[32];
  unsigned pairs[2] = {0, 0}; /* of the same kind; of both kinds */
  assert_non_null(all);
  for (uint32_t i = 0; i < PATHS; i++) all[i] = (hashed){hash_of_path(i, one), i};
  qsort(all, PATHS, sizeof *all, by_hash);
  for (uint32_t i = 1; i < PATHS; i++) {
    if (all[i].hash != all[i - 1].hash) continue;
    (void)hash_of_path(all[i - 1].number, one);
    (void)hash_of_path(all[i].number, other);
    bool one_wild = all[i - 1].number % 2 != 0, other_wild = all[i].number % 2 != 0;
    pairs[one_wild != other_wild]++;
    subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
    /* One route, asked for the other's path; and the other way round. */
    snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\"}]}", other,
             other_wild ? "*" : "");
    snprintf(target, sizeof target, "%s%s", one, one_wild ? "x" : "");
    assert_int_equal(
        subtoken_policy_find(policy_of(text), ST_TEXT("GET"), st_text(target), 0, &decision),
        SUBTOKEN_OK);
    CHECK(decision.access == SUBTOKEN_ACCESS_DENIED, "%s by %s", target, text);
    snprintf(text, sizeof text, "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\"}]}", one,
             one_wild ? "*" : "");
    snprintf(target, sizeof target, "%s%s", other, other_wild ? "x" : "");
    assert_int_equal(
        subtoken_policy_find(policy_of(text), ST_TEXT("GET"), st_text(target), 0, &decision),
        SUBTOKEN_OK);
    CHECK(decision.access == SUBTOKEN_ACCESS_DENIED, "%s by %s", target, text);
    /* Both routes, each with a need of its own. */
    snprintf(text, sizeof text,
             "{\"default\":\"deny\",\"routes\":[{\"path\":\"%s%s\",\"needs\":[\"one\"]},"
             "{\"path\":\"%s%s\",\"needs\":[\"other\"]}]}",
             one, one_wild ? "*" : "", other, other_wild ? "*" : "");
    const subtoken_policy *both = policy_of(text);
    assert_int_equal(subtoken_policy_find(both, ST_TEXT("GET"), st_text(target), 0, &decision),
                     SUBTOKEN_OK);
    CHECK(decision.needs_count == 1 && st_text_is(decision.needs[0], "other"), "%s", text);
    snprintf(target, sizeof target, "%s%s", one, one_wild ? "x" : "");
    assert_int_equal(subtoken_policy_find(both, ST_TEXT("GET"), st_text(target), 0, &decision),
                     SUBTOKEN_OK);
    CHECK(decision.needs_count == 1 && st_text_is(decision.needs[0], "one"), "%s", text);
  }
  free(all);
  assert_true(pairs[0] > 0 && pairs[1] > 0);
  print_message("# %u pairs of one kind, %u of both\n", pairs[0], pairs[1]);
}

/* ---- resources ---- */

static void a_resource_is_an_https_url_without_a_query(void **state) {
  (void)state;
  static const struct {
    const char *url;
    bool good;
  } rows[] = {
      {"https://h", true},         {"https://h/", true},        {"https://h/a", true},
      {"https://", false},         {"https:///a", false},       {"http://h", false},
      {"https://h?a", false},      {"https://h#a", false},      {"https://u@h", false},
      {"https://h:1", true},       {"https://h:65535", true},   {"https://h:65536", false},
      {"https://h:99999", false},  {"https://h:123456", false}, {"https://h:", false},
      {"https://h:a", false},      {"https://h:1a", false},     {"https://:1", false},
      {"https://123", true},       {"https://12345", true},     {"https://123456", true},
      {"https://123:45678", true}, {"https://[::1]", true},     {"https://[::1]:80", true},
      {"https://[::1]x", false},   {"https://[::1", false},     {"https://[:]", false},
      {"https://[a]", false},      {"https://[::g]", false},    {"https://[::1.2.3.4]", true},
      {"https://[::1/", false},    {"https://[::1]:", false},   {"https://[::1]:65536", false},
      {"https://a.b-c_d", true},   {"https://a~b", false},      {"https://h/a//b", false},
      {"https://h/..", false},     {"https://h:/", false},      {"https://h:+1", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    bool good = st_resource_problem(st_text(rows[i].url)) == NULL;
    CHECK(good == rows[i].good, "%s", rows[i].url);
  }
}

static void a_document_is_of_a_path(void **state) {
  (void)state;
  static const struct {
    const char *one, *other;
    bool same;
  } rows[] = {{"https://h", "https://h/", true},      {"https://h/a", "https://h/a", true},
              {"https://h/a", "https://i/a", true},   {"https://h/a", "https://h/b", false},
              {"https://h/a", "https://h/aa", false}, {"http://h/a", "https://h/a", false},
              {"https://h/a", "http://h/a", false},   {"https://h/..", "https://h/..", false},
              {"https://h/a", "https://h/..", false}, {"https://h/%61", "https://h/a", true}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_resource_same_document(st_text(rows[i].one), st_text(rows[i].other)) == rows[i].same,
          "row %zu", i);
  }
}

#define ISSUER "https://issuer.example"

static void a_challenge_names_a_document_that_is_there(void **state) {
  (void)state;
  char out[512], long_issuer[SUBTOKEN_ISSUER_MAX + 2];
  memset(long_issuer, 'i', sizeof long_issuer);
  memcpy(long_issuer, "https://", 8);
  subtoken_text bearer = ST_TEXT("Bearer"), resource = ST_TEXT("https://h/a"),
                issuer = ST_TEXT(ISSUER);
  const struct {
    subtoken_text challenge, resource, issuer;
    const char *want;
  } rows[] = {
      {bearer, resource, issuer,
       "Bearer resource_metadata=\"https://h/.well-known/oauth-protected-resource/a\""},
      {bearer, ST_TEXT("https://h/"), issuer,
       "Bearer resource_metadata=\"https://h/.well-known/oauth-protected-resource\""},
      {ST_TEXT("Bearer x=\"y\""), ST_TEXT("https://h"), issuer,
       "Bearer x=\"y\", resource_metadata=\"https://h/.well-known/oauth-protected-resource\""},
      {bearer, absent, issuer, "Bearer"},
      {bearer, resource, absent, "Bearer"},
      {bearer, resource, ST_TEXT("https:///a"), "Bearer"},
      {bearer, resource, ST_TEXT("http://a"), "Bearer"},
      {bearer, resource, {long_issuer, SUBTOKEN_ISSUER_MAX + 1}, "Bearer"},
      {bearer, ST_TEXT("http://h/a"), issuer, "Bearer"},
      {absent, resource, issuer, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = subtoken_resource_challenge(rows[i].challenge, rows[i].resource, rows[i].issuer,
                                             out, sizeof out);
    CHECK(len == (rows[i].want == NULL ? 0 : strlen(rows[i].want)), "row %zu: %zu", i, len);
    if (len > 0) CHECK(strcmp(out, rows[i].want) == 0, "row %zu: %s", i, out);
  }
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, NULL, 9), 0);
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, out, 0), 0);
  assert_int_equal(subtoken_resource_challenge(bearer, resource, issuer, out, 20), 0);
}

static void a_document_is_found_by_its_target(void **state) {
  (void)state;
  char out[512];
  const subtoken_policy *policy = policy_of(
      "{\"default\":\"deny\",\"routes\":[{\"path\":\"/a\",\"resource\":\"https://h/a\"},"
      "{\"path\":\"/b\",\"resource\":\"https://h/\"},{\"path\":\"/c\"}]}");
  static const struct {
    const char *target;
    bool found;
  } rows[] = {{"/.well-known/oauth-protected-resource/a", true},
              {"/.well-known/oauth-protected-resource/a?x", true},
              {"/.well-known/oauth-protected-resource", true},
              {"/.well-known/oauth-protected-resource/", false},
              {"/.well-known/oauth-protected-resource/b", false},
              {"/.well-known/oauth-protected-resource/..", false},
              {"/.well-known/oauth-protected-resourcea", false},
              {"/.well-known/oauth-protected-resourcf/a", false},
              {"/a", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len =
        subtoken_policy_metadata(policy, st_text(rows[i].target), ST_TEXT(ISSUER), out, sizeof out);
    CHECK((len > 0) == rows[i].found, "%s", rows[i].target);
  }
  subtoken_text target = st_text(rows[0].target), issuer = ST_TEXT(ISSUER);
  assert_int_equal(subtoken_policy_metadata(NULL, target, issuer, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, absent, issuer, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, absent, out, sizeof out), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, NULL, 9), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, 0), 0);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, 20), 0);
  static const struct {
    const char *url;
    bool listed;
  } listed[] = {{"https://h/a", true},  {"https://h", true},    {"https://h/", true},
                {"https://i/a", false}, {"https://h/c", false}, {"http://h/a", false}};
  for (size_t i = 0; i < COUNT(listed); i++) {
    CHECK(st_resource_is_listed(policy, st_text(listed[i].url)) == listed[i].listed, "%s",
          listed[i].url);
  }
  policy = policy_of(MCP_POLICY);
  assert_int_equal(subtoken_policy_metadata(policy, target, issuer, out, sizeof out), 0);
}

/* ---- revocation data ---- */

static void revocation_data_needs_its_arguments(void **state) {
  (void)state;
  subtoken_ring ring, none;
  subtoken_heartbeat beat, good = {1, 1, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 1];
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  assert_int_equal(subtoken_heartbeat_write(NULL, &good, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&ring, NULL, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&ring, &good, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_write(&none, &good, bytes), SUBTOKEN_FEED_NO_SECRET);
  none.count = 1; /* of a secret that was never set */
  assert_int_equal(subtoken_heartbeat_write(&none, &good, bytes), SUBTOKEN_FEED_NO_SECRET);
  static const int64_t bad[][2] = {{0, 1}, {1, 0}, {1, SUBTOKEN_TIME_MAX + 1}};
  for (size_t i = 0; i < COUNT(bad); i++) {
    beat = (subtoken_heartbeat){bad[i][0], bad[i][1], {0}};
    assert_int_equal(subtoken_heartbeat_write(&ring, &beat, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  }
  assert_int_equal(subtoken_heartbeat_write(&ring, &good, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, bytes, sizeof bytes, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(NULL, bytes, sizeof bytes, &beat),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, sizeof bytes, &beat),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, 0, &beat), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_heartbeat_encode(NULL, text), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_encode(bytes, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_encode(bytes, text), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_decode(st_text(text), NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_decode((subtoken_text){NULL, 1}, bytes),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_decode(absent, bytes), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_heartbeat_decode(st_text(text), bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, bytes, sizeof bytes, &beat), SUBTOKEN_FEED_OK);
}

static void a_feed_resumes_once_and_in_range(void **state) {
  (void)state;
  static const struct {
    int64_t sequence, time;
    bool good;
  } rows[] = {{0, 0, true},
              {5, SUBTOKEN_TIME_MAX, true},
              {-1, 0, false},
              {0, -1, false},
              {0, SUBTOKEN_TIME_MAX + 1, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
    subtoken_feed_result got = subtoken_feed_resume(&feed, rows[i].sequence, rows[i].time, 1);
    CHECK((got == SUBTOKEN_FEED_OK) == rows[i].good, "row %zu", i);
  }
  assert_int_equal(subtoken_feed_resume(NULL, 1, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 0, 7, 1), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(&feed, 1, 8, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  feed = (subtoken_feed)SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 7, 0, 1), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(&feed, 8, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(feed.sequence, 7);
  assert_int_equal(subtoken_feed_age(NULL, 1, 1), SUBTOKEN_TIME_MAX);
  assert_int_equal(subtoken_feed_check(NULL, 1, 1), SUBTOKEN_FEED_ABSENT);
}

static void a_snapshot_is_written_and_opened_with_all_it_needs(void **state) {
  (void)state;
  subtoken_ring ring, none;
  subtoken_revocations_header header = {1, 1, {0}};
  uint64_t hashes[2] = {1, 2};
  uint8_t digest[SUBTOKEN_MAC_LEN], mac[SUBTOKEN_MAC_LEN], head[ST_FEED_HEAD_LEN];
  size_t size = subtoken_revocations_size(2);
  subtoken_revocations view;
  subtoken_revocations_opening opening;
  uint8_t *out = malloc(size);
  assert_non_null(out);
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  const struct {
    const subtoken_ring *ring;
    const subtoken_revocations_header *header;
    const uint64_t *hashes;
    void *out;
    size_t size;
    subtoken_feed_result want;
  } rows[] = {
      {NULL, &header, hashes, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, NULL, hashes, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, NULL, out, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&ring, &header, hashes, NULL, size, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {&none, &header, hashes, out, size, SUBTOKEN_FEED_NO_SECRET},
      {&ring, &header, hashes, out, size - 1, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, hashes, out, 0, SUBTOKEN_FEED_BUFFER_TOO_SMALL},
      {&ring, &header, hashes, out, size, SUBTOKEN_FEED_OK},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed_result got = subtoken_revocations_write(
        rows[i].ring, rows[i].header, rows[i].hashes, 2, rows[i].out, rows[i].size, digest);
    CHECK(got == rows[i].want, "row %zu: %d", i, got);
  }
  assert_int_equal(st_revocations_write_resigned(
                       &ring.secrets[0], out, ST_FEED_HEAD_LEN + SUBTOKEN_MAC_LEN - 1, head, mac),
                   SUBTOKEN_FEED_LENGTH);
  assert_int_equal(st_revocations_write_resigned(&none.secrets[0], out, size, head, mac),
                   SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(st_revocations_write_resigned(&ring.secrets[0], out, size, head, mac),
                   SUBTOKEN_FEED_OK);
  assert_memory_equal(mac, digest, sizeof mac);
  assert_int_equal(subtoken_revocations_open(&ring, out, size, NULL),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, size, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_open(&ring, NULL, 0, &view), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_revocations_start(NULL, &ring, out, size),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_start(&opening, NULL, out, size),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_step(&opening, 1, &view),
                   SUBTOKEN_FEED_INVALID_ARGUMENT); /* it was not started */
  assert_int_equal(subtoken_revocations_step(NULL, 1, &view), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_start(&opening, &ring, out, size), SUBTOKEN_FEED_MORE);
  assert_int_equal(subtoken_revocations_step(&opening, 1, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_step(&opening, size, &view), SUBTOKEN_FEED_OK);
  /* A filter, in memory that is aligned, of its size. */
  size_t filter_size = subtoken_revocations_filter_size(view.count);
  uint64_t *filter = calloc(1, filter_size + 8);
  uint32_t done = 0, beyond = 3;
  assert_non_null(filter);
  assert_int_equal(subtoken_revocations_filter_build(NULL, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, NULL, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, NULL, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &beyond, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(
      subtoken_revocations_filter_build(&view, (char *)filter + 1, filter_size, &done, 0),
      SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size - 1, &done, 0),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, 0, &done, 0),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_OK);
  view.hashes = NULL;
  assert_int_equal(subtoken_revocations_filter_build(&view, filter, filter_size, &done, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  free(filter);
  free(out);
}

/* ---- the record of what was vouched for ---- */

static void a_record_is_whole_and_in_range(void **state) {
  (void)state;
  subtoken_ring ring, none;
  uint8_t bytes[ST_VOUCHED_LEN], changed[ST_VOUCHED_LEN];
  st_vouched read;
  ring_with(&ring, "", TEST_SECRET);
  memset(&none, 0, sizeof none);
  static const struct {
    st_vouched vouched;
    bool good;
  } rows[] = {{{1, 0}, true},
              {{INT64_MAX, SUBTOKEN_TIME_MAX}, true},
              {{0, 0}, false},
              {{1, -1}, false},
              {{1, SUBTOKEN_TIME_MAX + 1}, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed_result got = st_vouched_write(&ring, &rows[i].vouched, bytes);
    CHECK(got == (rows[i].good ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_INVALID_ARGUMENT), "row %zu", i);
    if (!rows[i].good) continue;
    assert_int_equal(st_vouched_read(&ring, bytes, sizeof bytes, &read), SUBTOKEN_FEED_OK);
    CHECK(read.sequence == rows[i].vouched.sequence && read.life == rows[i].vouched.life, "row %zu",
          i);
  }
  assert_int_equal(st_vouched_write(&none, &rows[0].vouched, bytes), SUBTOKEN_FEED_NO_SECRET);
  none.count = 1;
  assert_int_equal(st_vouched_write(&none, &rows[0].vouched, bytes), SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(st_vouched_write(&ring, &rows[0].vouched, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(st_vouched_read(&ring, bytes, sizeof bytes - 1, &read), SUBTOKEN_FEED_LENGTH);
  /* Each byte of it counts; where the MAC is right for what is not of the form, it is refused. */
  for (size_t at = 0; at < sizeof bytes; at++) {
    memcpy(changed, bytes, sizeof bytes);
    changed[at] ^= 0x80;
    read.sequence = 7;
    CHECK(st_vouched_read(&ring, changed, sizeof changed, &read) != SUBTOKEN_FEED_OK, "byte %zu",
          at);
    CHECK(read.sequence == 0 && read.life == 0, "byte %zu", at);
    size_t until = sizeof changed - SUBTOKEN_MAC_LEN;
    if (at >= until) continue;
    st_hmac(&ring.secrets[0], changed, until, changed + until);
    subtoken_feed_result got = st_vouched_read(&ring, changed, sizeof changed, &read);
    bool number = (at >= ST_FEED_SEQUENCE && at < ST_FEED_SEQUENCE + 7) || (at >= 32 && at < 38);
    CHECK((got == SUBTOKEN_FEED_OK) == number, "byte %zu, signed: %d", at, got);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_trimmed_and_clear_as_unicode_says),
      cmocka_unit_test(a_uri_has_a_scheme_in_lower_case_or_none),
      cmocka_unit_test(a_method_is_visible),
      cmocka_unit_test(a_name_in_a_header_is_plain_or_encoded),
      cmocka_unit_test(what_is_asked_for_out_of_place_is_not_there),
      cmocka_unit_test(a_message_is_read_in_one_way_only),
      cmocka_unit_test(a_call_without_its_arguments_is_not_decided),
      cmocka_unit_test(a_batch_is_good_to_its_end),
      cmocka_unit_test(a_reply_to_a_call_says_why),
      cmocka_unit_test(a_reply_needs_its_arguments),
      cmocka_unit_test(a_policy_explains_what_a_call_needs),
      cmocka_unit_test(a_route_without_mcp_has_no_calls),
      cmocka_unit_test(a_body_names_at_most_so_many_apis),
      cmocka_unit_test(needs_that_are_out_of_range_are_not_met),
      cmocka_unit_test(a_policy_is_asked_with_all_that_it_needs),
      cmocka_unit_test(what_is_wrong_with_a_policy_is_told),
      cmocka_unit_test(so_many_resources_are_listed),
      cmocka_unit_test(a_star_far_behind_is_no_part_of_a_shorter_path),
      cmocka_unit_test(what_calls_nothing_needs_the_route_alone),
      cmocka_unit_test(paths_that_share_a_hash_are_told_apart),
      cmocka_unit_test(a_resource_is_an_https_url_without_a_query),
      cmocka_unit_test(a_document_is_of_a_path),
      cmocka_unit_test(a_challenge_names_a_document_that_is_there),
      cmocka_unit_test(a_document_is_found_by_its_target),
      cmocka_unit_test(revocation_data_needs_its_arguments),
      cmocka_unit_test(a_feed_resumes_once_and_in_range),
      cmocka_unit_test(a_snapshot_is_written_and_opened_with_all_it_needs),
      cmocka_unit_test(a_record_is_whole_and_in_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
