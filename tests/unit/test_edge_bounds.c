/* Decisions of an edge at their bounds: one need more or less, one byte, one name; and what the
 * server says of a request without a credential. test_edge.c holds an edge against the server.
 */
#include "edge_decision_fixture.h"

#include "core/edge_answer.h"
#include "core/edge_body.h"
#include "core/edge_query.h"

static const char policy_text[] =
    "{\"default\":\"deny\",\"preflight\":true,\"routes\":["
    "{\"path\":\"/account\",\"needs\":[\"account\"]},"
    "{\"path\":\"/rpc\",\"json_rpc\":true,\"resource\":\"https://api.example/rpc\"},"
    "{\"path\":\"/mcp\",\"mcp\":{\"*\":[\"account\"]}},"
    "{\"path\":\"/open\",\"public\":true}]}";

static subtoken_edge_answer answer;
static subtoken_text key, need;

static int set_up(void **state) {
  (void)state;
  answer = (subtoken_edge_answer)SUBTOKEN_EDGE_ANSWER_DEFAULT;
  answer.status = 200;
  answer.nonce = NONCE;
  need = ST_TEXT("guilds");
  return edge_with(policy_text);
}

static void bring_key(const char *permissions) {
  bring("Bearer a-whole-key");
  answer.sub = ST_TEXT("s");
  answer.permissions = st_text(permissions);
}

static subtoken_edge_step decide(void) {
  return subtoken_edge_decide(&edge, &request, &claims, &reply);
}

static subtoken_edge_step decide_answer(void) {
  memset(&reply.status, 0xA5, sizeof reply.status);
  return subtoken_edge_decide_answer(&edge, &request, NONCE, &answer, &claims, &reply);
}

/* ---- edge ---- */

static void the_needs_of_an_edge_are_met_or_not(void **state) {
  (void)state;
  edge.needs = &need;
  edge.needs_count = 1;
  bring_key("account,guilds");
  assert_int_equal(decide_answer(), SUBTOKEN_EDGE_ALLOW);
  bring_key("account");
  assert_int_equal(decide_answer(), SUBTOKEN_EDGE_REFUSE);
  assert_non_null(strstr(reply.body, "requires scope guilds"));
  /* Without a credential: one need of the route and one of the edge are two. */
  request.authorization_count = 0;
  assert_int_equal(decide(), SUBTOKEN_EDGE_ASK);
  /* Where the policy denies nobody is asked, whatever the edge needs. */
  request.target = ST_TEXT("/other");
  assert_int_equal(decide(), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 401);
  /* Needs that are absent are no needs on a public route either. */
  request.target = ST_TEXT("/open");
  assert_int_equal(decide(), SUBTOKEN_EDGE_ALLOW);
  edge.needs = NULL;
  assert_int_equal(decide(), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 503);
}

static void a_call_without_a_body_is_decided_at_once(void **state) {
  (void)state;
  bring_token("account");
  request.target = ST_TEXT("/mcp");
  assert_int_equal(decide(), SUBTOKEN_EDGE_ALLOW);
  request.has_body = true;
  assert_int_equal(decide(), SUBTOKEN_EDGE_BODY);
  request.content_length = SUBTOKEN_RPC_BODY_MAX;
  assert_int_equal(decide(), SUBTOKEN_EDGE_BODY);
  request.content_length++;
  assert_int_equal(decide(), SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 413);
  request.authorization_count = 0; /* its needs stand in the body */
  assert_int_equal(decide(), SUBTOKEN_EDGE_ASK);
}

/* A preflight has both headers, whatever else the edge can do. */
static void a_preflight_is_told_by_its_headers(void **state) {
  (void)state;
  request.method = ST_TEXT("OPTIONS");
  edge.may_ask = false;
  for (int i = 0; i < 8; i++) {
    edge.reads_bodies = (i & 1) != 0;
    request.origin = (i & 2) != 0;
    request.request_method = (i & 4) != 0;
    CHECK((decide() == SUBTOKEN_EDGE_ALLOW) == (i >= 6), "%d", i);
  }
}

static void a_public_route_has_no_claims(void **state) {
  static const subtoken_claims zero;
  (void)state;
  request.target = ST_TEXT("/open");
  assert_int_equal(decide(), SUBTOKEN_EDGE_ALLOW);
  assert_memory_equal(&claims, &zero, offsetof(subtoken_claims, permissions));
}

/* One name of a key is looked up, and no answer but two counts. */
static void an_identity_is_revoked_or_not_or_unknown(void **state) {
  static const struct {
    subtoken_result verdict;
    int status;
    const char *name;
  } rows[] = {{SUBTOKEN_OK, 200, "ok"},
              {SUBTOKEN_REVOKED, 401, "revoked"},
              {SUBTOKEN_REVOCATION_UNKNOWN, 503, "feed_stale"},
              {SUBTOKEN_UNDECIDED, 503, "feed_stale"},
              {SUBTOKEN_EXPIRED, 503, "feed_stale"}};
  (void)state;
  bring_key("account");
  for (size_t i = 0; i < COUNT(rows); i++) {
    verdict = rows[i].verdict;
    names_asked = 9;
    (void)decide_answer();
    CHECK(reply.status == rows[i].status && strcmp(reply.name, rows[i].name) == 0, "row %zu: %d %s",
          i, reply.status, reply.name);
    CHECK(names_asked == 1, "row %zu: %zu", i, names_asked);
  }
}

static void what_the_server_says_of_nobody(void **state) {
  static const struct {
    const char *target;
    int status; /* of the answer */
    const char *sub, *permissions;
    subtoken_edge_step step;
    int want; /* the reply's status */
  } rows[] = {
      {"/account", 200, "", "account", SUBTOKEN_EDGE_ALLOW, 200},
      {"/account", 200, "", "guilds", SUBTOKEN_EDGE_REFUSE, 401},
      {"/account", 401, "", "", SUBTOKEN_EDGE_REFUSE, 401},
      {"/account", 200, "s", "account", SUBTOKEN_EDGE_REFUSE, 401},
      {"/account", 403, "", "account", SUBTOKEN_EDGE_REFUSE, 503},
      {"/account", 429, "", "account", SUBTOKEN_EDGE_REFUSE, 503},
      {"/account", 200, "", "acc ount", SUBTOKEN_EDGE_REFUSE, 503},
      {"/account", 200, "", "account,,", SUBTOKEN_EDGE_REFUSE, 503},
      {"/rpc", 200, "", "account", SUBTOKEN_EDGE_BODY, 400},
      {"/rpc", 401, "", "", SUBTOKEN_EDGE_REFUSE, 401},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(rows); i++) {
    request.target = st_text(rows[i].target);
    answer.status = rows[i].status;
    answer.sub = st_text(rows[i].sub);
    answer.permissions = st_text(rows[i].permissions);
    answer.retry_after = ST_TEXT("7");
    subtoken_edge_step step = decide_answer();
    CHECK(step == rows[i].step && reply.status == rows[i].want, "row %zu: %d %d", i, (int)step,
          reply.status);
    CHECK(step != SUBTOKEN_EDGE_REFUSE || claims_are_zero(&claims), "row %zu", i);
  }
}

/* ---- edge_credential ---- */

static void a_credential_is_one_or_ambiguous(void **state) {
  (void)state;
  edge.may_ask = false;
  /* The text of Basic is of another kind, even where it is the same. */
  bring("Basic YWxpY2U6eA==");
  key = authorization[0];
  request.x_api_key = &key;
  request.x_api_key_count = 1;
  (void)decide();
  assert_string_equal(reply.name, "auth_ambiguous");
  request.x_api_key_count = 0;
  /* A second one of the same length does not lie over the first. */
  request.authorization_count = 0;
  request.target = ST_TEXT("/account?access_token=key1&access_token=key2");
  (void)decide();
  assert_string_equal(reply.name, "auth_ambiguous");
  request.target = ST_TEXT("/account?access_token=key1&access_token=key1");
  (void)decide();
  assert_string_equal(reply.name, "malformed");
  /* Two headers are told before what cannot be read. */
  request.target = ST_TEXT("/account?access_token=%zz");
  (void)decide();
  assert_string_equal(reply.name, "bad_request");
  authorization[0] = authorization[1] = ST_TEXT("Bearer a");
  request.authorization_count = 2;
  (void)decide();
  assert_string_equal(reply.name, "auth_ambiguous");
}

static void a_key_is_of_visible_characters(void **state) {
  static const struct {
    const char *value;
    bool key;
  } rows[] = {{"Bearer ~~", true},
              {"Bearer !", true},
              {"Bearer \x7F"
               "a",
               false},
              {"Bearer \x1F"
               "a",
               false},
              {"Bearer a\x7F", false},
              {"bearer  a", true},
              {"Bearer", false},
              {"Bearers", false},
              {"B", false},
              {"", false}};
  (void)state;
  request.target = ST_TEXT("/rpc?x"); /* without a need nobody is asked about no credential */
  edge.reads_bodies = false;
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text exactly = exact_string(rows[i].value);
    authorization[0] = exactly;
    request.authorization_count = 1;
    request.target = ST_TEXT("/account");
    answer.sub = ST_TEXT("s");
    answer.permissions = ST_TEXT("account");
    bool asked = decide() == SUBTOKEN_EDGE_ASK;
    bool none = exactly.len == 0 || st_text_find(exactly, ' ') == exactly.len;
    CHECK(asked == (rows[i].key || none), "%s", rows[i].value);
    bool passes = decide_answer() == SUBTOKEN_EDGE_ALLOW;
    CHECK(passes == rows[i].key, "%s: %d", rows[i].value, reply.status);
    release(exactly);
  }
}

/* It has a dot and is no subtoken: longer than any, it is a key still. */
static void a_long_key_with_a_dot_is_asked_about(void **state) {
  (void)state;
  subtoken_text value = repeated("Bearer a.", 'b', SUBTOKEN_TOKEN_MAX);
  authorization[0] = value;
  request.authorization_count = 1;
  assert_int_equal(decide(), SUBTOKEN_EDGE_ASK);
  release(value);
}

static void a_query_at_its_longest_brings_a_key(void **state) {
  (void)state;
  static const size_t lens[] = {SUBTOKEN_TARGET_MAX, SUBTOKEN_TARGET_MAX + 1,
                                4 * SUBTOKEN_TARGET_MAX};
  edge.may_ask = false;
  for (size_t i = 0; i < COUNT(lens); i++) {
    static const char front[] = "/account?access_token=";
    subtoken_text target = repeated(front, 'k', lens[i] - (sizeof front - 1));
    request.target = target;
    assert_int_equal(decide(), SUBTOKEN_EDGE_REFUSE);
    CHECK(strcmp(reply.name, i == 0 ? "malformed" : "bad_target") == 0, "%zu: %s", i, reply.name);
    release(target);
  }
}

/* ---- edge_answer ---- */

static void numbers_of_an_answer_have_so_many_digits(void **state) {
  static const struct {
    const char *text;
    uint32_t retry; /* as Retry-After, of a 429 */
    int status;     /* with it as Expires, of a 200 */
  } rows[] = {{"0", 5, 401},
              {"1", 1, 401},
              {"999999", 999999, 401},
              {"1000000", 5, 401},
              {"x", 5, 401},
              {"1/", 5, 401},
              {"1:", 5, 401},
              {"", 5, 200},
              {"0000001700000001", 5, 200},
              {"0000001700000000", 5, 401},
              {"00000001700000001", 5, 401},
              {"9", 9, 401},
              {"000019", 19, 401}};
  (void)state;
  bring_key("account");
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    answer.status = 429;
    answer.retry_after = text;
    (void)decide_answer();
    CHECK(reply.status == 429 && reply.retry_after == rows[i].retry, "%s: %u", rows[i].text,
          reply.retry_after);
    char want[16];
    subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
    size_t count = subtoken_edge_reply_headers(&reply, headers);
    snprintf(want, sizeof want, "%u", rows[i].retry);
    CHECK(count > 0 && st_text_is(headers[count - 1].value, want), "%s", rows[i].text);
    answer.status = 200;
    answer.expires = text;
    (void)decide_answer();
    int status = reply.status == 503 ? 401 : reply.status; /* unreadable: unanswered */
    CHECK(status == rows[i].status, "%s: %d", rows[i].text, reply.status);
    CHECK(reply.status == 503 || (reply.retry_len == 0 && reply.retry_after == 0), "%s",
          rows[i].text);
    release(text);
  }
}

static void only_a_question_that_was_asked_has_an_answer(void **state) {
  (void)state;
  bring_key("account");
  assert_true(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
  answer.nonce = (subtoken_text){NULL, NONCE.len};
  assert_false(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
  answer.nonce = NONCE;
  assert_false(
      subtoken_edge_answer_usable(&edge, &request, (subtoken_text){NULL, NONCE.len}, &answer));
  memset(&claims, 0xA5, sizeof claims);
  assert_false(st_edge_answer_claims(&answer, ST_TEXT("another"), false, &claims));
  assert_true(claims_are_zero(&claims));
  authorization[1] = authorization[0];
  request.authorization_count = 2;
  assert_false(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
  bring_token("account");
  assert_false(subtoken_edge_answer_usable(&edge, &request, NONCE, &answer));
}

/* In memory of each size: the whole question, or none. */
static void a_question_fits_or_is_none(void **state) {
  (void)state;
  subtoken_edge_header headers[SUBTOKEN_EDGE_QUESTION_HEADERS];
  verifier.aud = ST_TEXT("eu");
  request.target = ST_TEXT("/account?access_token=k&page=0123456789012345678901234567890123456789");
  const size_t want = 2 + 54 + 8; /* the audience, the target, the credential */
  assert_int_equal(subtoken_edge_question(&edge, &request, NONCE, NULL, 100, headers), 0);
  for (size_t size = 0; size <= want + 2; size++) {
    char *room = malloc(size > 0 ? size : 1);
    if (room == NULL) abort();
    size_t count = subtoken_edge_question(&edge, &request, NONCE, room, size, headers);
    CHECK(count == (size >= want ? 5 : 0), "%zu: %zu", size, count);
    if (count > 0) {
      assert_true(st_text_is(headers[1].value, "eu"));
      assert_true(
          st_text_is(headers[3].value, "/account?page=0123456789012345678901234567890123456789"));
      assert_true(st_text_is(headers[4].value, "Bearer k"));
    }
    free(room);
  }
  char whole[SUBTOKEN_EDGE_QUESTION_MEMORY];
  request.method = ST_TEXT("\x1F");
  assert_int_equal(subtoken_edge_question(&edge, &request, NONCE, whole, sizeof whole, headers), 0);
}

/* ---- edge_body, edge_identity, edge_query ---- */

static void a_call_of_nobody_is_told_where_to_go(void **state) {
  char scratch[64];
  (void)state;
  claims = grant_of("other", NULL);
  claims.sub.len = 0;
  request.target = ST_TEXT("/rpc");
  assert_int_equal(
      subtoken_edge_decide_body(&edge, &request, &claims, ST_TEXT("{\"method\":\"x\"}"), scratch,
                                sizeof scratch, &reply),
      SUBTOKEN_EDGE_REFUSE);
  assert_int_equal(reply.status, 401);
  assert_non_null(strstr(reply.challenge, "resource_metadata="));
  assert_int_equal(reply.challenge_len, strlen(reply.challenge));
}

static void an_identity_has_its_five_headers(void **state) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  char text[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  (void)state;
  answer.key = ST_TEXT("key");
  answer.owner = ST_TEXT("owner");
  for (int i = 0; i < 2; i++) {
    claims = grant_of("account,guilds", NULL);
    assert_true(st_claims_set_sub(&claims, ST_TEXT("s")));
    claims.exp = i == 0 ? NOW : SUBTOKEN_TIME_MAX;
    assert_int_equal(subtoken_edge_identity_headers(&claims, &answer, text, sizeof text, headers),
                     SUBTOKEN_OK);
    assert_true(st_text_is(headers[0].value, "s"));
    assert_true(st_text_is(headers[1].value, "key"));
    assert_true(st_text_is(headers[2].value, "owner"));
    assert_true(st_text_is(headers[3].value, "account,guilds"));
    assert_true(st_text_is(headers[4].value, i == 0 ? "1700000000" : ""));
  }
  assert_false(subtoken_edge_is_identity_header((subtoken_text){NULL, 20}));
}

static void a_long_name_in_a_query_is_another(void **state) {
  char out[256];
  subtoken_text stripped = {out, 9};
  (void)state;
  subtoken_text target = repeated("/a?access_token", 'n', 120);
  assert_int_equal(subtoken_edge_strip_query(target, out, sizeof out, &stripped), SUBTOKEN_OK);
  assert_true(stripped.data == target.data && stripped.len == target.len);
  assert_int_equal(subtoken_edge_strip_query((subtoken_text){NULL, 0}, out, 1, &stripped),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(stripped.data == NULL && stripped.len == 0);
  release(target);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_needs_of_an_edge_are_met_or_not, set_up),
      cmocka_unit_test_setup(a_call_without_a_body_is_decided_at_once, set_up),
      cmocka_unit_test_setup(a_preflight_is_told_by_its_headers, set_up),
      cmocka_unit_test_setup(a_public_route_has_no_claims, set_up),
      cmocka_unit_test_setup(an_identity_is_revoked_or_not_or_unknown, set_up),
      cmocka_unit_test_setup(what_the_server_says_of_nobody, set_up),
      cmocka_unit_test_setup(a_credential_is_one_or_ambiguous, set_up),
      cmocka_unit_test_setup(a_key_is_of_visible_characters, set_up),
      cmocka_unit_test_setup(a_long_key_with_a_dot_is_asked_about, set_up),
      cmocka_unit_test_setup(a_query_at_its_longest_brings_a_key, set_up),
      cmocka_unit_test_setup(numbers_of_an_answer_have_so_many_digits, set_up),
      cmocka_unit_test_setup(only_a_question_that_was_asked_has_an_answer, set_up),
      cmocka_unit_test_setup(a_question_fits_or_is_none, set_up),
      cmocka_unit_test_setup(a_call_of_nobody_is_told_where_to_go, set_up),
      cmocka_unit_test_setup(an_identity_has_its_five_headers, set_up),
      cmocka_unit_test_setup(a_long_name_in_a_query_is_another, set_up),
  };
  return cmocka_run_group_tests_name("edge_bounds", tests, NULL, NULL);
}
