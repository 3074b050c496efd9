/* The functions that core.js calls (src/edge/wasm), in a build of this machine: what they return
 * through `io`, and what happens without memory. tests/wasm calls them as WebAssembly, where no
 * sanitizer looks.
 */
#include "failing.h"
#include "revocations_fixture.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include "edge/wasm/subtoken_wasm.c"
#pragma GCC diagnostic pop

static const char *const policy_text =
    "{\"default\":\"deny\",\"routes\":[{\"path\":\"/v2/account\",\"needs\":[\"account\"]},"
    "{\"path\":\"/rpc\",\"json_rpc\":true},{\"path\":\"/open\",\"public\":true},"
    "{\"path\":\"/mcp\",\"needs\":[\"account\"],\"mcp\":{\"tools/call *\":[\"admin\"]},"
    "\"resource\":\"https://api.example/mcp\"}]}";

/* As core.js: a string into io.token or io.target; its length. */
static int put_token(const char *text) {
  memcpy(io.token, text, strlen(text));
  return (int)strlen(text);
}

static int put_target(const char *text) {
  memcpy(io.target, text, strlen(text));
  return (int)strlen(text);
}

/* Text number n of those that the last call returned, until the next call of this. */
static const char *out_text(int n) {
  static char copy[OUT + 1];
  size_t from = 0;
  for (int i = 0; i < n; i++) from += io.lengths[i];
  memcpy(copy, io.out + from, io.lengths[n]);
  copy[io.lengths[n]] = '\0';
  return copy;
}

static bool io_is(const char *sub) {
  st_wasm_claims_describe();
  return st_text_is(subtoken_claims_text(&claims, claims.sub), sub);
}

/* ---- the ring, the constants, memory ---- */

static void the_layout_names_the_buffers(void **state) {
  (void)state;
  const void *const *members = st_wasm_layout();
  assert_ptr_equal(members[0], io.token);
  assert_ptr_equal(members[4], io.numbers);
  assert_ptr_equal(members[7], io.area + AREA);
  assert_ptr_equal(members[8], claims.text);
  assert_ptr_equal(members[14], claims.via);
}

static void memory_is_zeroed_and_has_a_bound(void **state) {
  (void)state;
  static const char zero[300];
  assert_null(st_wasm_allocate(SIZE_MAX));
  assert_null(st_wasm_allocate(SIZE_MAX - BEFORE + 1));
  char *block = st_wasm_allocate(sizeof zero);
  assert_non_null(block);
  assert_int_equal((uintptr_t)block % 16, 0);
  assert_memory_equal(block, zero, sizeof zero);
  memset(block, 1, sizeof zero);
  st_wasm_release(block);
  st_wasm_release(NULL);
}

static void results_are_told_until_the_last(void **state) {
  (void)state;
  unsigned r = 0;
  for (; st_wasm_result(r) == 2; r++) {
    assert_string_equal(out_text(0), subtoken_result_name((subtoken_result)r));
    assert_int_equal(io.numbers[2], subtoken_result_status((subtoken_result)r));
  }
  assert_int_equal(st_wasm_result(r), 0);
  assert_int_equal(r, SUBTOKEN_MCP_MISMATCH + 1);
  (void)st_wasm_result(SUBTOKEN_OK); /* which challenges nobody: an empty text */
  assert_string_equal(out_text(1), "");
  for (r = 0; st_wasm_feed_result(r) == 3; r++) {
    assert_string_equal(out_text(0), subtoken_feed_result_name((subtoken_feed_result)r));
  }
  assert_int_equal(r, SUBTOKEN_FEED_TOO_LARGE + 1);
  assert_int_equal(st_wasm_version(), 1);
  assert_string_equal(out_text(0), SUBTOKEN_VERSION);
  assert_true(io.numbers[1] == 1);
}

static void texts_are_cut_at_the_end_of_the_buffers(void **state) {
  (void)state;
  subtoken_text half = repeated("", 'a', OUT / 2 + 1);
  out_begin();
  out_add(half);
  out_add(half);
  assert_int_equal(out_end(), 2);
  assert_true(io.numbers[0] == OUT);
  assert_int_equal(io.lengths[1], OUT / 2 - 1);
  release(half);
  out_begin();
  for (size_t i = 0; i <= LENGTHS; i++) out_add(ST_TEXT("b"));
  assert_int_equal(out_end(), LENGTHS);
  out_begin();
  out_add(ST_TEXT("\303\244"));
  assert_int_equal(out_end(), 1);
  assert_true(io.numbers[1] == 0);
}

static void a_ring_is_replaced_or_left(void **state) {
  (void)state;
  static const char good[] = "two:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE\n";
  static const char bad[] = "two:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE\none:short\n";
  subtoken_ring *made = st_wasm_allocate(st_wasm_ring_size());
  assert_int_equal(st_wasm_ring_read(made, good, sizeof good - 1), SUBTOKEN_OK);
  assert_int_equal(made->count, 1);
  assert_int_not_equal(st_wasm_ring_read(made, NULL, -1), SUBTOKEN_OK);
  assert_int_not_equal(st_wasm_ring_read(made, bad, sizeof bad - 1), SUBTOKEN_OK);
  assert_int_equal(io.numbers[2], 2);
  assert_true(io.lengths[0] > 0);
  assert_int_equal(made->count, 1);
  assert_int_equal(st_wasm_ring_audience(made), 0);
  assert_int_equal(st_wasm_ring_instructions(made, 0), 0);
  subtoken_ring derived;
  assert_int_equal(subtoken_ring_derive(made, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_int_equal(st_wasm_ring_audience(&derived), 1);
  assert_string_equal(out_text(0), "eu");
  st_wasm_ring_clear(made);
  assert_int_equal(made->count, 0);
  st_wasm_release(made);
}

static void a_policy_is_read_or_says_where_not(void **state) {
  (void)state;
  static const char bad[] = "{\"default\":\"deny\",\n \"routes\":7}";
  size_t size = st_wasm_policy_size((int)strlen(policy_text));
  void *memory = st_wasm_allocate(size);
  assert_int_equal(st_wasm_policy_read(memory, size, policy_text, (int)strlen(policy_text)),
                   SUBTOKEN_OK);
  assert_int_not_equal(st_wasm_policy_read(memory, size, bad, sizeof bad - 1), SUBTOKEN_OK);
  assert_true(io.numbers[2] == 2 && io.numbers[3] > 1);
  assert_true(io.lengths[0] > 0);
  st_wasm_release(memory);
}

/* ---- the verifier ---- */

static st_wasm_verifier *verifier_of(const subtoken_policy *policy, size_t cache) {
  return st_wasm_verifier_new(&ring, NULL, policy, -1, -1, 60, 365.0 * DAY, 1, cache);
}

static const subtoken_policy *policy_of(void **memory) {
  const subtoken_policy *policy;
  size_t size = subtoken_policy_size(strlen(policy_text));
  *memory = malloc(size);
  assert_int_equal(subtoken_policy_read(*memory, size, st_text(policy_text), &policy, NULL),
                   SUBTOKEN_OK);
  return policy;
}

static unsigned verify(st_wasm_verifier *v, const char *token, const char *target, unsigned needs) {
  return st_wasm_verify(v, token == NULL ? -1 : put_token(token), put_target(target), "GET", 3,
                        needs, 0, NOW, 1);
}

/* A token of these claims, until the next call. */
static const char *token_of(const char *payload) {
  static char copy[SUBTOKEN_TOKEN_MAX + 1];
  subtoken_text token =
      signed_token(TEST_SECRET, ST_TEXT("{\"alg\":\"HS256\",\"kid\":\"two\"}"), st_text(payload));
  memcpy(copy, token.data, token.len);
  copy[token.len] = '\0';
  release(token);
  return copy;
}

static void tokens_are_verified(void **state) {
  (void)state;
  for (size_t cache = 0; cache <= 65536; cache += 65536) {
    st_wasm_verifier *v = verifier_of(NULL, cache);
    io.table[0] = ST_TEXT("account");
    const char *token = token_of(GOOD_PAYLOAD);
    for (int twice = 0; twice < 2; twice++) {
      assert_int_equal(verify(v, token, "/v2/account", 1), SUBTOKEN_OK);
      assert_true(io_is("parent"));
      assert_true(io.numbers[5] == 2 && io.numbers[7] == 1 && io.numbers[1] == 1);
    }
    st_wasm_verifier_forget(v);
    io.table[0] = ST_TEXT("characters");
    assert_int_equal(verify(v, token, "/v2/account", 1), SUBTOKEN_PERM);
    assert_int_equal(st_wasm_explain(v, put_token(token), put_target("/v2/account"), "GET", 3, 1, 0,
                                     NOW, 1, SUBTOKEN_PERM),
                     1);
    assert_non_null(strstr(out_text(0), "characters"));
    assert_int_not_equal(verify(v, NULL, "/v2/account", 0), SUBTOKEN_OK);
    st_wasm_verifier_free(v);
  }
}

static void the_verifiers_issuer_and_audience_are_its_own(void **state) {
  (void)state;
  memcpy(io.token, "https://keys.example", 20);
  memcpy(io.target, "eu", 2);
  st_wasm_verifier *v = st_wasm_verifier_new(&ring, NULL, NULL, 20, 2, 60, 365.0 * DAY, 1, 0);
  const char *payload =
      "{" GOOD_CLAIMS ",\"iss\":\"https://keys.example\",\"aud\":\"eu\",\"permissions\":[]}";
  st_wasm_wipe_buffers();
  assert_int_equal(verify(v, token_of(payload), "/", 0), SUBTOKEN_OK);
  assert_int_equal(verify(v, token_of(GOOD_PAYLOAD), "/", 0), SUBTOKEN_ISS);
  st_wasm_verifier_free(v);
}

static void a_policy_is_asked(void **state) {
  (void)state;
  void *memory;
  st_wasm_verifier *v = verifier_of(policy_of(&memory), 0);
  assert_int_equal(verify(v, token_of(GOOD_PAYLOAD), "/v2/account", 0), SUBTOKEN_OK);
  assert_int_equal(verify(v, NULL, "/open", 0), SUBTOKEN_OK | PUBLIC);
  assert_int_equal(verify(v, token_of(GOOD_PAYLOAD), "/none", 0) & 255, SUBTOKEN_URL);
  assert_int_equal(
      st_wasm_explain(v, -1, put_target("/none"), "GET", 3, 0, 0, NOW, 1, SUBTOKEN_URL), 1);
  assert_true(io.lengths[0] > 0);
  assert_int_equal(verify(v, NULL, "/v2/account", 0) & NO_TOKEN, NO_TOKEN);
  st_wasm_verifier_free(v);
  free(memory);
}

static void without_memory_there_is_no_verifier(void **state) {
  (void)state;
  st_wasm_verifier *v = NULL;
  FAILING_EACH(FAIL_MEMORY, 1, v = verifier_of(NULL, 65536), assert_int_equal(v == NULL, failed));
  st_wasm_verifier_free(v);
}

static void all_that_a_token_says_is_described(void **state) {
  (void)state;
  static char payload[SUBTOKEN_TOKEN_MAX];
  st_writer writer = st_writer_on(payload, sizeof payload);
  st_write_literal(
      &writer, "{" GOOD_CLAIMS
               ",\"nbf\":1700000000,\"permissions\":[\"a\"],\"urls\":[\"GET:/v2\"],\"aud\":[\"\"");
  for (int i = 1; i < 1900; i++) st_write_literal(&writer, ",\"\"");
  st_write_literal(&writer, "]}");
  assert_true(st_writer_end(&writer));
  assert_int_equal(st_wasm_inspect(put_token(token_of(payload))), SUBTOKEN_OK);
  assert_non_null(strstr(out_text(0), "HS256"));
  st_wasm_claims_describe();
  assert_true(io.numbers[2] == 1700000000 && io.numbers[4] == 1700000000);
  assert_true(io.numbers[6] == 1 && io.numbers[7] == 0 && io.numbers[9] > 0);
  assert_int_equal(st_wasm_claims_audiences(), 1900); /* all of them */
  assert_int_equal(st_wasm_inspect(put_token("a.b")), SUBTOKEN_MALFORMED);
  assert_int_equal(st_wasm_inspect(put_token(
                       token_of("{" GOOD_CLAIMS ",\"aud\":\"\303\244\",\"permissions\":[]}"))),
                   SUBTOKEN_OK);
  st_wasm_claims_describe();
  assert_true(io.numbers[1] == 0); /* not ASCII */
  assert_int_equal(st_wasm_claims_audiences(), 1);
}

/* ---- paths ---- */

static void paths_and_entries(void **state) {
  (void)state;
  assert_int_equal(st_wasm_target_path(put_target("/v2/%61ccount?x")), SUBTOKEN_OK);
  assert_string_equal(out_text(0), "/v2/account");
  assert_int_equal(st_wasm_target_path(put_target("/v2/../x")), SUBTOKEN_BAD_TARGET);
  assert_true(io.lengths[0] > 0 && io.lengths[1] > 0);
  assert_int_equal(st_wasm_url_canonical(put_token("GET:/v2/%61")), SUBTOKEN_OK);
  assert_string_equal(out_text(0), "GET:/v2/a");
  assert_int_equal(st_wasm_url_canonical(put_token("v2")), SUBTOKEN_BAD_URL);
  assert_int_equal(st_wasm_url_allows(put_token("/v2/*"), "GET", 3, put_target("/v2/a")),
                   SUBTOKEN_OK);
  assert_int_equal(st_wasm_url_allows(put_token("/v2"), NULL, -1, put_target("/v2")), SUBTOKEN_OK);
  assert_int_equal(st_wasm_url_covers(put_token("/v2/*"), put_target("/v2/a")), SUBTOKEN_OK);
  assert_int_equal(st_wasm_url_covers(put_token("/v2/a"), put_target("/v2/*")), SUBTOKEN_URL_WIDER);
  assert_int_equal(st_wasm_edge_strip_query(put_target("/a?access_token=x&b=1")), SUBTOKEN_OK);
  assert_string_equal(out_text(0), "/a?b=1");
  assert_true(st_wasm_edge_is_identity_header(put_token("x_subtoken_sub")));
  assert_false(st_wasm_edge_is_identity_header(put_token("x-other")));
}

/* ---- the decision about a request ---- */

typedef struct sent {
  const char *target, *authorization;
  unsigned flags;
  double content_length;
} sent;

static subtoken_edge_step decide(st_wasm_verifier *v, const sent *s) {
  io.table[AUTHORIZATION] = st_text(s->authorization);
  io.table[ISSUER] = ST_TEXT("https://keys.example");
  st_wasm_edge_request(v, SUBTOKEN_EDGE_ANY, s->flags, put_target(s->target), "POST", 4, 0,
                       s->authorization[0] != '\0', 0, 0, 0, 0, NOW, 1, s->content_length);
  return st_wasm_edge_decide();
}

static const char *bearer(const char *token) {
  static char value[SUBTOKEN_TOKEN_MAX + 16];
  snprintf(value, sizeof value, "Bearer %s", token);
  return value;
}

static void requests_pass_or_are_refused(void **state) {
  (void)state;
  void *memory;
  st_wasm_verifier *v = verifier_of(policy_of(&memory), 65536);
  const char *good =
      bearer(token_of("{" GOOD_CLAIMS ",\"permissions\":[\"account\",\"account_api\"]}"));
  assert_int_equal(decide(v, &(sent){"/v2/account", good, 0, 0}), SUBTOKEN_EDGE_ALLOW);
  assert_true(io.numbers[2] == 200 && io.numbers[3] == SUBTOKEN_OK && io.numbers[4] == 7);
  assert_string_equal(out_text(1), "parent");
  assert_string_equal(out_text(4), "account,account_api");
  assert_int_equal(io.lengths[6], SUBTOKEN_TID_LEN);
  assert_int_equal(decide(v, &(sent){"/v2/account", "", 0, 0}), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 401 && io.numbers[4] > 2);
  assert_string_equal(out_text(0), "auth_missing");
  assert_int_equal(decide(v, &(sent){"/open", "", 0, 0}), SUBTOKEN_EDGE_ALLOW);
  assert_string_equal(out_text(0), "public");
  /* A body is read with all that the flags say of it; a length that is none is not known. */
  unsigned body = READS_BODIES | HAS_BODY;
  assert_int_equal(decide(v, &(sent){"/rpc", good, body | ORIGIN | REQUEST_METHOD, -1}),
                   SUBTOKEN_EDGE_BODY);
  assert_int_equal(current.request.content_length, 0);
  assert_int_equal(decide(v, &(sent){"/rpc", good, body | BODY_ENCODED, 10}), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 415);
  assert_int_equal(decide(v, &(sent){"/rpc", good, body, 1e6}), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 413);
  assert_int_equal(decide(v, &(sent){"/rpc", good, body, 64}), SUBTOKEN_EDGE_BODY);
  char scratch[64];
  static const char call[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"account_api.get\"}";
  (void)st_wasm_edge_decide_body("{", 1, scratch);
  assert_true(io.numbers[2] == 400);
  assert_int_equal(st_wasm_edge_decide_body(call, sizeof call - 1, scratch), SUBTOKEN_EDGE_ALLOW);
  assert_int_equal(st_wasm_edge_refuse(SUBTOKEN_EXPIRED), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 401);
  /* Where the document about the resource is. */
  (void)decide(v, &(sent){"/.well-known/oauth-protected-resource/mcp", "", 0, 0});
  assert_int_equal(st_wasm_edge_metadata(), 1);
  assert_non_null(strstr(out_text(0), "https://keys.example"));
  (void)decide(v, &(sent){"/v2/account", "", 0, 0});
  assert_int_equal(st_wasm_edge_metadata(), 0);
  /* Claims that nobody can have made are not passed on. */
  claims.permission_count = SUBTOKEN_PERMISSIONS_MAX + 1;
  assert_int_equal(edge_out(SUBTOKEN_EDGE_ALLOW), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 503);
  st_wasm_verifier_free(v);
  free(memory);
}

static void the_server_is_asked_about_keys(void **state) {
  (void)state;
  void *memory;
  st_wasm_verifier *v = verifier_of(policy_of(&memory), 0);
  const char *whole = bearer("0A1B2C3D-0000-0000-0000-000000000001-key");
  static const char *const values[] = {"nonce-1",        "parent",     "K", "ann",
                                       "account,guilds", "1700003600", NULL};
  assert_int_equal(decide(v, &(sent){"/v2/account", whole, MAY_ASK, 0}), SUBTOKEN_EDGE_ASK);
  io.table[NONCE] = ST_TEXT("nonce-1");
  int count = st_wasm_edge_question();
  assert_true(count >= 6 && count % 2 == 0);
  for (int i = 0; i < 7; i++)
    io.table[ANSWER + i] = values[i] != NULL ? st_text(values[i]) : (subtoken_text){NULL, 0};
  st_wasm_edge_answer(200, 0);
  assert_true(st_wasm_edge_answer_usable());
  assert_int_equal(st_wasm_edge_decide_answer(), SUBTOKEN_EDGE_ALLOW);
  assert_string_equal(out_text(3), "ann");
  st_wasm_edge_answer(200, 1);
  assert_false(st_wasm_edge_answer_usable());
  assert_int_equal(st_wasm_edge_decide_answer(), SUBTOKEN_EDGE_REFUSE);
  assert_true(io.numbers[2] == 503);
  st_wasm_verifier_free(v);
  free(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_layout_names_the_buffers),
      cmocka_unit_test(memory_is_zeroed_and_has_a_bound),
      cmocka_unit_test(results_are_told_until_the_last),
      cmocka_unit_test(texts_are_cut_at_the_end_of_the_buffers),
      cmocka_unit_test(a_ring_is_replaced_or_left),
      cmocka_unit_test(a_policy_is_read_or_says_where_not),
      cmocka_unit_test(tokens_are_verified),
      cmocka_unit_test(the_verifiers_issuer_and_audience_are_its_own),
      cmocka_unit_test(a_policy_is_asked),
      cmocka_unit_test(without_memory_there_is_no_verifier),
      cmocka_unit_test(all_that_a_token_says_is_described),
      cmocka_unit_test(paths_and_entries),
      cmocka_unit_test(requests_pass_or_are_refused),
      cmocka_unit_test(the_server_is_asked_about_keys),
  };
  return cmocka_run_group_tests_name("wasm", tests, setup, NULL);
}
