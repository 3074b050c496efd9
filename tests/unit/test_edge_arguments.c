/* The functions of subtoken/edge.h with arguments that are absent, of another size or out of range,
 * and where what they ask changes between two questions: nothing passes, and nothing is written but
 * an empty result. What an edge decides about good ones is in test_edge.c.
 */
#include "edge_decision_fixture.h"

#include "core/edge_body.h"
#include "core/edge_query.h"

static const char policy_text[] =
    "{\"default\":\"deny\",\"routes\":["
    "{\"path\":\"/account\",\"needs\":[\"account\"],\"resource\":\"https://api.example/account\"},"
    "{\"path\":\"/rpc\",\"methods\":[\"POST\"],\"json_rpc\":true},"
    "{\"path\":\"/mcp\",\"mcp\":{\"*\":[\"account\"]}},"
    "{\"path\":\"/open\",\"public\":true}]}";

static int set_up(void **state) {
  (void)state;
  return edge_with(policy_text);
}

static void check_refused(int status) {
  assert_int_equal(reply.status, status);
  assert_true(claims_are_zero(&claims));
}

/* ---- arguments ---- */

/* Each makes one argument wrong. */
static void wrong_edge_size(void) {
  edge.size--;
}
static void wrong_request_size(void) {
  request.size++;
}
static void no_verifier(void) {
  edge.verifier = NULL;
}
static void absent_needs(void) {
  edge.needs_count = 1;
}
static void absent_authorization(void) {
  request.authorization = NULL;
  request.authorization_count = 1;
}
static void absent_key(void) {
  request.x_api_key_count = 1;
}
static void (*const spoilers[])(void) = {wrong_edge_size, wrong_request_size,   no_verifier,
                                         absent_needs,    absent_authorization, absent_key};

static void what_is_absent_or_of_another_size_never_passes(void **state) {
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = 200;
  answer.nonce = NONCE;
  answer.sub = ST_TEXT("parent");
  answer.permissions = ST_TEXT("account");
  for (size_t i = 0; i < COUNT(spoilers); i++) {
    assert_int_equal(set_up(state), 0);
    bring_token("account");
    assert_int_equal(subtoken_edge_decide(&edge, &request, &claims, &reply), SUBTOKEN_EDGE_ALLOW);
    spoilers[i]();
    memset(&claims, 0x55, sizeof claims);
    subtoken_edge_step step = subtoken_edge_decide(&edge, &request, &claims, &reply);
    CHECK(step == SUBTOKEN_EDGE_REFUSE && reply.status == 503, "%zu: %d", i, reply.status);
    CHECK(claims.permission_count == 0 && !claims.every_url, "%zu", i);
    step = subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, &reply);
    CHECK(step == SUBTOKEN_EDGE_REFUSE && reply.status == 503, "%zu: %d", i, reply.status);
  }
}

static void an_answer_of_another_size_never_passes(void **state) {
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  (void)state;
  answer.status = 200;
  answer.nonce = NONCE;
  answer.sub = ST_TEXT("parent");
  answer.permissions = ST_TEXT("account");
  bring("Bearer a-whole-key");
  assert_true(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
  assert_int_equal(subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, &reply),
                   SUBTOKEN_EDGE_ALLOW);
  assert_int_equal(subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, NULL, &reply),
                   SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, NULL),
                   SUBTOKEN_EDGE_REFUSE);
  assert_false(subtoken_edge_answer_usable(NULL, &request, NONCE, &answer));
  assert_false(subtoken_edge_answer_usable(&edge, &request, NONCE, NULL));
  answer.size--;
  assert_false(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
  assert_int_equal(subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, &reply),
                   SUBTOKEN_EDGE_REFUSE);
  check_refused(503);
}

static void an_answer_with_another_nonce_is_none(void **state) {
  static char long_nonce[65];
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  (void)state;
  memset(long_nonce, 'n', sizeof long_nonce);
  answer.status = 200;
  answer.sub = ST_TEXT("parent");
  bring("Bearer a-whole-key");
  const struct {
    subtoken_text asked, told;
    bool usable;
  } rows[] = {
      {ST_TEXT("n"), ST_TEXT("n"), true},          {{long_nonce, 64}, {long_nonce, 64}, true},
      {{long_nonce, 65}, {long_nonce, 65}, false}, {ST_TEXT("n"), ST_TEXT("m"), false},
      {ST_TEXT("n"), ST_TEXT("nn"), false},        {ST_TEXT("n"), {NULL, 0}, false},
      {ST_TEXT(""), ST_TEXT(""), false},           {{NULL, 0}, ST_TEXT(""), false},
      {ST_TEXT("n.n"), ST_TEXT("n.n"), false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
    static char question[SUBTOKEN_EDGE_QUESTION_MEMORY];
    answer.nonce = rows[i].told;
    bool usable = subtoken_edge_answer_usable(&edge, &request, rows[i].asked, &answer);
    CHECK(usable == rows[i].usable, "row %zu", i);
    size_t asked =
        subtoken_edge_question(&edge, &request, rows[i].asked, question, sizeof question, headers);
    bool valid = rows[i].asked.len >= 1 && rows[i].asked.len <= 64 && i + 1 < COUNT(rows);
    CHECK((asked > 0) == valid, "row %zu: %zu headers", i, asked);
  }
}

/* ---- the question ---- */

static size_t ask(void *with, size_t size) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  return subtoken_edge_question(&edge, &request, NONCE, with, size, headers);
}

static void a_question_needs_what_it_is_made_of(void **state) {
  static char question[SUBTOKEN_EDGE_QUESTION_MEMORY];
  (void)state;
  bring("Bearer a-whole-key");
  assert_int_equal(ask(question, sizeof question), 5);
  assert_int_equal(ask(NULL, 0), 0);
  assert_int_equal(ask(question, 16), 0);
  assert_int_equal(subtoken_edge_question(&edge, &request, NONCE, question, sizeof question, NULL),
                   0);
  assert_int_equal(subtoken_edge_question(NULL, &request, NONCE, question, sizeof question, NULL),
                   0);
  /* Without a verifier it is for no audience. */
  edge.verifier = NULL;
  assert_int_equal(ask(question, sizeof question), 5);
  request.size--;
  assert_int_equal(ask(question, sizeof question), 0);
}

/* A line's end in a method would be another header of the question. */
static void a_question_has_no_value_that_no_header_can_have(void **state) {
  static char question[SUBTOKEN_EDGE_QUESTION_MEMORY];
  (void)state;
  for (int c = 0; c < 256; c++) {
    char method[3] = {'G', (char)c, 'T'};
    request.method = (subtoken_text){method, sizeof method};
    bool plain = c == '\t' || (c >= ' ' && c != 0x7F);
    CHECK((ask(question, sizeof question) > 0) == plain, "byte %d", c);
  }
}

/* A query that is too long is no credential, and the target is refused all the same. */
static void a_target_that_is_too_long_brings_nothing(void **state) {
  (void)state;
  static char target[SUBTOKEN_TARGET_MAX + 1];
  memset(target, 'a', sizeof target);
  memcpy(target, "/account?access_token=", 22);
  request.target = (subtoken_text){target, SUBTOKEN_TARGET_MAX};
  assert_int_equal(subtoken_edge_decide(&edge, &request, &claims, &reply), SUBTOKEN_EDGE_ASK);
  request.target.len++;
  assert_int_equal(subtoken_edge_decide(&edge, &request, &claims, &reply), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 400);
}

/* Neither a key nor a subtoken: no server is asked about it. */
static void what_is_not_visible_is_no_key(void **state) {
  (void)state;
  static const char *const values[] = {"Bearer a\x7F", "Bearer a\xC3\xA4", "Bearer a b",
                                       "Bearer a\tb"};
  for (size_t i = 0; i < COUNT(values); i++) {
    bring(values[i]);
    subtoken_edge_step step = subtoken_edge_decide(&edge, &request, &claims, &reply);
    CHECK(step == SUBTOKEN_EDGE_REFUSE && reply.status == 401, "%s: %d", values[i], step);
  }
}

/* ---- what changes between two questions ---- */

static unsigned times_asked;

static subtoken_result revoked_at_the_second_time(void *context, const subtoken_text *names,
                                                  size_t count) {
  (void)context, (void)names, (void)count;
  return times_asked++ == 0 ? SUBTOKEN_OK : SUBTOKEN_REVOKED;
}

/* A token that lacks a permission is verified twice: its end in between is a refusal, too. */
static void a_token_that_ends_meanwhile_is_refused(void **state) {
  (void)state;
  bring_token("guilds");
  assert_int_equal(subtoken_edge_decide(&edge, &request, &claims, &reply), SUBTOKEN_EDGE_REFUSE);
  check_refused(403);
  assert_non_null(strstr(reply.body, "requires scope account"));
  verifier.revoked = revoked_at_the_second_time;
  times_asked = 0;
  assert_int_equal(subtoken_edge_decide(&edge, &request, &claims, &reply), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(times_asked, 2);
  check_refused(403);
  assert_null(strstr(reply.body, "requires scope"));
}

static subtoken_edge_step decide_by_answer(void) {
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = 200;
  answer.nonce = NONCE;
  answer.sub = ST_TEXT("parent");
  answer.permissions = ST_TEXT("account");
  return subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, &reply);
}

static void an_identity_is_looked_up_as_the_verifier_says(void **state) {
  (void)state;
  bring("Bearer a-whole-key");
  verifier.revoked = NULL;
  assert_int_equal(decide_by_answer(), SUBTOKEN_EDGE_REFUSE);
  check_refused(503);
  verifier.without_revocations = true;
  assert_int_equal(decide_by_answer(), SUBTOKEN_EDGE_ALLOW);
  verifier.size = 3; /* of no version */
  assert_int_equal(decide_by_answer(), SUBTOKEN_EDGE_REFUSE);
  check_refused(503);
}

/* ---- the body ---- */

static int decide_body(const char *target, subtoken_text body, void *scratch, size_t size) {
  request.target = st_text(target);
  request.method = ST_TEXT("POST");
  reply.status = 0;
  subtoken_edge_step step =
      subtoken_edge_decide_body(&edge, &request, &claims, body, scratch, size, &reply);
  assert_int_equal(step == SUBTOKEN_EDGE_ALLOW, reply.status == 200);
  assert_true(step == SUBTOKEN_EDGE_ALLOW || step == SUBTOKEN_EDGE_REFUSE);
  return reply.status;
}

static void a_body_is_decided_by_the_route_that_it_is_for(void **state) {
  (void)state;
  static char scratch[SUBTOKEN_RPC_BODY_MAX + 1], big[SUBTOKEN_RPC_BODY_MAX + 1];
  subtoken_text call = ST_TEXT("{\"method\":\"get_objects\"}");
  subtoken_text tool = ST_TEXT("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
  memset(big, ' ', sizeof big);
  claims = grant_of("database_api,account", NULL);
  assert_int_equal(decide_body("/rpc", call, scratch, sizeof scratch), 200);
  assert_int_equal(decide_body("/mcp", tool, scratch, sizeof scratch), 200);
  assert_int_equal(decide_body("/rpc", (subtoken_text){big, sizeof big}, scratch, sizeof scratch),
                   413);
  assert_int_equal(decide_body("/mcp", (subtoken_text){big, sizeof big}, scratch, sizeof scratch),
                   413);
  assert_int_equal(decide_body("/rpc", ST_TEXT(""), scratch, sizeof scratch), 400);
  assert_int_equal(decide_body("/rpc", call, scratch, call.len - 1), 503);
  assert_int_equal(decide_body("/mcp", tool, scratch, tool.len - 1), 503);
  assert_int_equal(decide_body("/mcp", tool, NULL, 0), 503);
  /* Not the target of the step before. */
  assert_int_equal(decide_body("/rpc/..", call, scratch, sizeof scratch), 400);
  assert_int_equal(decide_body("/account", call, scratch, sizeof scratch), 403);
  assert_int_equal(decide_body("/open", call, scratch, sizeof scratch), 403);
  assert_int_equal(decide_body("/other", call, scratch, sizeof scratch), 403);
  /* Nor its claims. */
  claims.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
  assert_int_equal(decide_body("/rpc", call, scratch, sizeof scratch), 403);
  assert_int_equal(decide_body("/mcp", tool, scratch, sizeof scratch), 503);
  claims = grant_of("guilds", NULL);
  assert_int_equal(decide_body("/rpc", call, scratch, sizeof scratch), 403);
  assert_non_null(strstr(reply.body, "requires scope database_api"));
  assert_int_equal(decide_body("/mcp", tool, scratch, sizeof scratch), 403);
  /* Whoever brought no credential may bring one. */
  claims.sub.len = 0;
  assert_int_equal(decide_body("/rpc", call, scratch, sizeof scratch), 401);
}

static void a_body_without_its_arguments_is_refused(void **state) {
  char scratch[64];
  subtoken_text call = ST_TEXT("{\"method\":\"get_objects\"}"), need = ST_TEXT("account");
  (void)state;
  claims = grant_of("database_api,account", NULL);
  for (int i = 0; i < 6; i++) {
    assert_int_equal(set_up(state), 0);
    claims = grant_of("database_api,account", NULL);
    request.target = ST_TEXT("/rpc");
    request.method = ST_TEXT("POST");
    edge.needs = &need;
    edge.needs_count = 1;
    subtoken_claims *given = &claims;
    subtoken_edge_reply *to = &reply;
    int want = SUBTOKEN_EDGE_REFUSE;
    switch (i) {
      case 0: edge.size++; break;
      case 1: edge.policy = NULL; break;
      case 2: given = NULL; break;
      case 3: edge.needs = NULL; break;
      case 4: to = NULL; break;
      default: want = SUBTOKEN_EDGE_ALLOW;
    }
    assert_int_equal(
        subtoken_edge_decide_body(&edge, &request, given, call, scratch, sizeof scratch, to), want);
    if (to != NULL) assert_int_equal(reply.status, want == SUBTOKEN_EDGE_ALLOW ? 200 : 503);
  }
}

/* ---- replies ---- */

static void a_reply_of_another_size_is_not_written(void **state) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
  (void)state;
  assert_int_equal(subtoken_edge_refuse(SUBTOKEN_OK, &reply), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 503); /* a success is nothing to refuse with */
  assert_int_equal(reply.result, SUBTOKEN_UNDECIDED);
  assert_int_equal(subtoken_edge_reply_headers(&reply, headers), 6);
  assert_int_equal(subtoken_edge_reply_headers(&reply, NULL), 0);
  assert_int_equal(subtoken_edge_reply_headers(NULL, headers), 0);
  reply.size++;
  assert_int_equal(subtoken_edge_refuse(SUBTOKEN_EXPIRED, &reply), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 503);
  assert_int_equal(subtoken_edge_reply_headers(&reply, headers), 0);
  reply.size--;
  st_edge_reply_allow(&reply, "ok");
  assert_int_equal(subtoken_edge_reply_headers(&reply, headers), 0);
}

/* What is no answer to a call is a refusal like any other. */
static void a_call_that_was_not_checked_is_undecided(void **state) {
  subtoken_mcp mcp;
  (void)state;
  memset(&mcp, 0, sizeof mcp);
  mcp.size = sizeof mcp;
  st_edge_reply_mcp(&reply, SUBTOKEN_INVALID_ARGUMENT, &mcp);
  assert_int_equal(reply.status, 503);
  st_edge_reply_mcp(&reply, SUBTOKEN_TOO_LARGE, &mcp);
  assert_int_equal(reply.status, 413);
}

static void a_resource_is_added_to_a_challenge_alone(void **state) {
  (void)state;
  subtoken_text resource = ST_TEXT("https://api.example/account"), issuer = edge.issuer;
  char long_resource[SUBTOKEN_POLICY_RESOURCE_MAX + 1];
  memset(long_resource, 'a', sizeof long_resource);
  memcpy(long_resource, "https://h/", 10);
  st_edge_reply_result(&reply, SUBTOKEN_EXPIRED);
  uint32_t len = reply.challenge_len;
  st_edge_reply_add_resource(&reply, (subtoken_text){NULL, 0}, issuer);
  assert_int_equal(reply.challenge_len, len);
  st_edge_reply_add_resource(&reply, (subtoken_text){long_resource, sizeof long_resource}, issuer);
  assert_int_equal(reply.challenge_len, len);
  /* One that has no room for it stays as it is. */
  memset(reply.challenge, 'x', sizeof reply.challenge);
  reply.challenge_len = sizeof reply.challenge - 1;
  st_edge_reply_add_resource(&reply, resource, issuer);
  assert_int_equal(reply.challenge_len, sizeof reply.challenge - 1);
  st_edge_reply_result(&reply, SUBTOKEN_EXPIRED);
  st_edge_reply_add_resource(&reply, resource, issuer);
  assert_true(reply.challenge_len > len);
  st_edge_reply_result(&reply, SUBTOKEN_PERM);
  len = reply.challenge_len;
  st_edge_reply_add_resource(&reply, resource, issuer);
  assert_int_equal(reply.challenge_len, len);
  st_edge_reply_result(&reply, SUBTOKEN_EXPIRED);
  reply.challenge_len = 0;
  st_edge_reply_add_resource(&reply, resource, issuer);
  assert_int_equal(reply.challenge_len, 0);
}

/* ---- identity headers ---- */

static void an_identity_needs_its_arguments(void **state) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  static char text[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  (void)state;
  claims = grant_of("account,guilds", NULL);
  const struct {
    const subtoken_claims *claims;
    void *memory;
    size_t size, answer_size;
    subtoken_result want;
  } rows[] = {
      {&claims, text, sizeof text, sizeof answer, SUBTOKEN_OK},
      {NULL, text, sizeof text, sizeof answer, SUBTOKEN_INVALID_ARGUMENT},
      {&claims, NULL, 0, sizeof answer, SUBTOKEN_INVALID_ARGUMENT},
      {&claims, text, sizeof text, sizeof answer - 1, SUBTOKEN_INVALID_ARGUMENT},
      {&claims, text, 14, sizeof answer, SUBTOKEN_BUFFER_TOO_SMALL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    answer.size = rows[i].answer_size;
    memset(headers, 0x55, sizeof headers);
    subtoken_result got = subtoken_edge_identity_headers(rows[i].claims, &answer, rows[i].memory,
                                                         rows[i].size, headers);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    for (size_t k = 0; k < COUNT(headers); k++) {
      CHECK(headers[k].name.len > 10, "row %zu: a header without its name", i);
      CHECK(got == SUBTOKEN_OK || headers[k].value.len == 0, "row %zu: a value", i);
    }
  }
  assert_int_equal(subtoken_edge_identity_headers(&claims, NULL, text, sizeof text, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_edge_identity_headers(&claims, NULL, text, sizeof text, headers),
                   SUBTOKEN_OK);
}

/* ---- the query ---- */

static void a_query_is_decoded_or_refused(void **state) {
  (void)state;
  static const struct {
    const char *raw, *want; /* NULL: refused */
  } rows[] = {{"", ""},      {"a+b", "a b"}, {"%41%2b", "A+"}, {"%4", NULL},  {"%", NULL},
              {"%4g", NULL}, {"%g4", NULL},  {"%g", NULL},     {"a%00b", ""}, {"%ff", "\xFF"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char out[16];
    size_t len = 77;
    subtoken_text raw = exact_string(rows[i].raw);
    bool good = st_edge_query_decode(raw, out, &len);
    CHECK(good == (rows[i].want != NULL), "row %zu", i);
    CHECK(good || len == 77, "row %zu wrote a length", i);
    if (good && rows[i].want[0] != '\0') {
      CHECK(st_text_is((subtoken_text){out, len}, rows[i].want), "row %zu", i);
    }
    release(raw);
  }
}

/* A parameter whose name cannot be read is not access_token=, and stays. */
static void a_name_that_cannot_be_read_is_another(void **state) {
  (void)state;
  static const char *const targets[] = {"/a?%zzcess_token=secret", "/a?access_toke%6=secret",
                                        "/a?access_token%=secret", "/a?bccess_token=secret",
                                        "/a?%61%61%61%61%61%61%61%61%61%61%61%61%61=secret"};
  char out[128];
  subtoken_text stripped;
  for (size_t i = 0; i < COUNT(targets); i++) {
    subtoken_text target = st_text(targets[i]);
    assert_int_equal(subtoken_edge_strip_query(target, out, sizeof out, &stripped), SUBTOKEN_OK);
    CHECK(stripped.data == target.data && stripped.len == target.len, "%s", targets[i]);
  }
}

static void a_target_is_stripped_into_memory(void **state) {
  char out[64];
  subtoken_text stripped = {out, 5}, target = ST_TEXT("/a?access_token=x&b=c");
  (void)state;
  assert_int_equal(subtoken_edge_strip_query(target, out, sizeof out, NULL),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_edge_strip_query((subtoken_text){NULL, 0}, out, 1, &stripped),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_null(stripped.data);
  assert_int_equal(subtoken_edge_strip_query(target, NULL, 1, &stripped),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_edge_strip_query(target, NULL, 0, &stripped),
                   SUBTOKEN_BUFFER_TOO_SMALL);
  assert_null(stripped.data);
  assert_int_equal(subtoken_edge_strip_query(ST_TEXT("/a?b=c"), NULL, 0, &stripped), SUBTOKEN_OK);
  assert_int_equal(subtoken_edge_strip_query(target, out, sizeof out, &stripped), SUBTOKEN_OK);
  assert_true(st_text_is(stripped, "/a?b=c"));
}

static void a_document_needs_an_edge(void **state) {
  char out[1024];
  (void)state;
  subtoken_text target = ST_TEXT("/.well-known/oauth-protected-resource/account");
  assert_true(subtoken_edge_metadata(&edge, target, out, sizeof out) > 0);
  assert_int_equal(subtoken_edge_metadata(NULL, target, out, sizeof out), 0);
  edge.size--;
  assert_int_equal(subtoken_edge_metadata(&edge, target, out, sizeof out), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_is_absent_or_of_another_size_never_passes, set_up),
      cmocka_unit_test_setup(an_answer_of_another_size_never_passes, set_up),
      cmocka_unit_test_setup(an_answer_with_another_nonce_is_none, set_up),
      cmocka_unit_test_setup(a_question_needs_what_it_is_made_of, set_up),
      cmocka_unit_test_setup(a_question_has_no_value_that_no_header_can_have, set_up),
      cmocka_unit_test_setup(a_target_that_is_too_long_brings_nothing, set_up),
      cmocka_unit_test_setup(what_is_not_visible_is_no_key, set_up),
      cmocka_unit_test_setup(a_token_that_ends_meanwhile_is_refused, set_up),
      cmocka_unit_test_setup(an_identity_is_looked_up_as_the_verifier_says, set_up),
      cmocka_unit_test_setup(a_body_is_decided_by_the_route_that_it_is_for, set_up),
      cmocka_unit_test_setup(a_body_without_its_arguments_is_refused, set_up),
      cmocka_unit_test_setup(a_reply_of_another_size_is_not_written, set_up),
      cmocka_unit_test_setup(a_call_that_was_not_checked_is_undecided, set_up),
      cmocka_unit_test_setup(a_resource_is_added_to_a_challenge_alone, set_up),
      cmocka_unit_test_setup(an_identity_needs_its_arguments, set_up),
      cmocka_unit_test_setup(a_query_is_decoded_or_refused, set_up),
      cmocka_unit_test_setup(a_name_that_cannot_be_read_is_another, set_up),
      cmocka_unit_test_setup(a_target_is_stripped_into_memory, set_up),
      cmocka_unit_test_setup(a_document_needs_an_edge, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
