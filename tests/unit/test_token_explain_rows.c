/* token_explain: whose a token is, of each kind of caller, and what is told of rows that have
 * ended. What is told of a good token is in test_token_explain.c.
 */
#include "service_fixture.h"

#define EXPLAIN "/v2/explain"
#define ALICE_ID "A11CE000-0000-0000-0000-000000000000"
#define OWN_ID "0A11CE00-0000-0000-0000-000000000001"
#define NOT_YOURS "no key or session of yours has the sub of this token"

static const char *body_with(const char *token, const char *more) {
  static char body[SUBTOKEN_ISSUED_MAX + 512];
  snprintf(body, sizeof body, "{\"token\":\"%s\"%s}", token, more);
  return body;
}

static int ask(const char *headers, const char *token, const char *more) {
  char all[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(all, sizeof all, "%s" AS_JSON, headers);
  return post(EXPLAIN, all, body_with(token, more));
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(reply.status == 200 && says(part), "%d, no %s in %.*s", reply.status, part,
        (int)reply.body_len, reply.body);
}

/* Under a sub, for an audience or for none. */
static const char *token_of(const char *sub, const char *audience, const char *urls) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims claims;
  size_t len;
  claims = grant_of("account,guilds", urls);
  claims.iat = NOW - 1000;
  claims.exp = NOW + 60;
  assert_true(st_claims_set_sub(&claims, st_text(sub)));
  if (audience != NULL) {
    assert_int_equal(subtoken_claims_set_aud(&claims, st_text(audience)), SUBTOKEN_OK);
  }
  assert_int_equal(subtoken_issue(&ring, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  return token;
}

static const char *own_token(const char *owner) {
  fixture_row *row = fixture_row_of(OWN_ID);
  if (row == NULL) row = fixture_add(ST_KIND_KEY, OWN_ID, "", owner, "account", ST_NEVER);
  snprintf(row->key.owner, sizeof row->key.owner, "%s", owner);
  return token_of(row->key.sub, NULL, NULL);
}

/* A user knows of the tokens of all own keys, in a session and by a password; nobody of others'. */
static void a_user_is_told_of_own_keys(void **state) {
  (void)state;
  char session[SUBTOKEN_ISSUED_MAX + 128];
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  snprintf(session, sizeof session, "%s", bearer(member("access_token")));
  const char *callers[] = {AS_ALICE, session};
  for (size_t i = 0; i < COUNT(callers); i++) {
    assert_int_equal(ask(callers[i], own_token("alice"), ""), 200);
    check_says("{\"ok\":true,");
    check_says("\"key\":\"" OWN_ID "\"");
    static const char *const others[] = {"bob", "al", "a", ""};
    for (size_t j = 0; j < COUNT(others); j++) {
      assert_int_equal(ask(callers[i], own_token(others[j]), ""), 200);
      check_says(NOT_YOURS);
    }
  }
  /* An owner of one character is one. */
  fixture_add_user("b", "B0B00000-0000-0000-0000-000000000000", "account");
  assert_int_equal(
      ask("Authorization: Basic Yjpjb3JyZWN0IGhvcnNlOiBiYXR0ZXJ5\n", own_token("b"), ""), 200);
  check_says("{\"ok\":true,");
  /* What has ended is nobody's any more. */
  const char *token = own_token("alice");
  fixture_row_of(OWN_ID)->ended = true;
  assert_int_equal(ask(AS_ALICE, token, ""), 200);
  check_says(NOT_YOURS);
  /* A key has its own tokens, whoever owns it. */
  assert_int_equal(ask(AS_POOR, token_of(fixture_row_of(POOR_ID)->key.sub, NULL, NULL), ""), 200);
  check_says("{\"ok\":true,");
  assert_int_equal(ask(AS_POOR, token_of(fixture_row_of(KEY_ID)->key.sub, NULL, NULL), ""), 200);
  check_says(NOT_YOURS);
}

static void what_has_ended_is_told_to_who_may_know(void **state) {
  (void)state;
  assert_int_equal(ask(AS_KEY, token_of("nobody", NULL, NULL), ""), 200);
  check_says("\"reason\":\"revoked\"");
  check_says("no key, user or session has this sub");
  check_says("\"permissions\":[\"account\",\"guilds\"]"); /* as it says itself */
  fixture_row *row = fixture_add(ST_KIND_KEY, OWN_ID, "", "alice", "account", ST_NEVER);
  assert_int_equal(ask(AS_KEY, token_of(row->key.sub, NULL, NULL), ""), 200);
  check_says("\"permissions\":[\"account\"]");
  assert_int_equal(fixture.tids_asked, 0); /* none of its tokens is revoked */
  row->ended = true;
  snprintf(row->key.audience, sizeof row->key.audience, "eu");
  assert_int_equal(ask(AS_KEY, token_of(row->key.sub, NULL, NULL), ""), 200);
  check_says("its key, user or session has ended, or has another sub by now");
  check_says("\"permissions\":[\"account\",\"guilds\"]");
  row->ended = false;
  assert_int_equal(ask(AS_KEY, token_of(row->key.sub, NULL, NULL), ""), 200);
  check_says("no key, user or session has this sub");
  snprintf(row->key.audience, sizeof row->key.audience, "e");
  assert_int_equal(ask(AS_KEY, token_of(row->key.sub, NULL, NULL), ""), 200);
  check_says("no key, user or session has this sub");
  assert_int_equal(ask(AS_KEY, token_of(row->key.sub, "e", NULL), ""), 200);
  check_says("{\"ok\":true,");
}

/* The sentence of the library comes first, and then what only this server knows. */
static void a_reason_has_two_parts(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of(KEY_ID);
  row->key.disabled = false;
  static char chain[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(get("/v2/createsubtoken?permissions=guilds", AS_KEY), 200);
  for (int depth = 0; depth < 2; depth++) {
    snprintf(chain, sizeof chain, "%s", member("subtoken"));
    assert_int_equal(get("/v2/createsubtoken?permissions=guilds", bearer(chain)), 200);
  }
  snprintf(chain, sizeof chain, "%s", member("subtoken"));
  assert_int_equal(ask(AS_KEY, chain, ""), 200);
  const char *via = memmem(reply.body, reply.body_len, "\"via\":[\"", 8);
  assert_non_null(via);
  assert_memory_equal(via + 8 + SUBTOKEN_TID_LEN, "\",\"", 3);
  snprintf(fixture.revoked_tids[fixture.revoked_count++], SUBTOKEN_TID_LEN + 1, "%.*s",
           SUBTOKEN_TID_LEN, strrchr(chain, '.') + 1);
  row->key.tokens_revoked = 1;
  assert_int_equal(ask(AS_KEY, chain, ""), 200);
  const char *text = member("text"), *more = strstr(text, ": it was revoked, or one that it was");
  CHECK(more != NULL && more > text + 10, "%s", text);
}

static void a_target_is_a_path_or_a_url(void **state) {
  (void)state;
  static const struct {
    const char *more;
    int status;
    bool good;
  } rows[] = {
      {",\"url\":\"/\"", 200, true},
      {",\"url\":\"http://h/\"", 200, true},
      {",\"url\":\"https://h/\"", 200, true},
      {",\"url\":\"https://h/x\"", 200, false},
      {",\"url\":\"https://\"", 400, false},
      {",\"url\":\"https:/\"", 400, false},
      {",\"url\":\"http://h\"", 400, false},
      {",\"url\":\"x\"", 400, false},
      {",\"url\":\"\",\"method\":\"\"", 200, false},
      {",\"url\":null,\"method\":null", 200, false},
      {",\"url\":\"/g\",\"method\":\"G\"", 200, true},
      {",\"url\":\"/g\",\"method\":\"\"", 200, false},
      {",\"url\":\"/g\"", 200, false},
      {",\"url\":\"/\",\"method\":\"\"", 200, true},
  };
  const char *sub = fixture_row_of(KEY_ID)->key.sub;
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = ask(AS_KEY, token_of(sub, NULL, "/,G:/g"), rows[i].more);
    CHECK(status == rows[i].status, "%s: %d", rows[i].more, status);
    if (status != 200) continue;
    CHECK(says("{\"ok\":true,") == rows[i].good, "%s: %.*s", rows[i].more, (int)reply.body_len,
          reply.body);
  }
}

static st_store_status fails(void *store, subtoken_text sub, st_key *key) {
  return st_text_is(sub, "unread") ? ST_STORE_FAILED : fixture_by_sub(store, sub, key);
}

/* Also to who may know of own tokens alone. */
static void a_row_that_cannot_be_read_is_not_told_of(void **state) {
  (void)state;
  service.keys.by_sub = fails;
  assert_int_equal(ask(AS_POOR, token_of("unread", NULL, NULL), ""), 503);
  check_event("store_error");
  assert_int_equal(ask(AS_KEY, token_of("unread", NULL, NULL), ""), 503);
  service.keys.by_sub = fixture_by_sub;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_user_is_told_of_own_keys, fixture_set_up),
      cmocka_unit_test_setup(what_has_ended_is_told_to_who_may_know, fixture_set_up),
      cmocka_unit_test_setup(a_reason_has_two_parts, fixture_set_up),
      cmocka_unit_test_setup(a_target_is_a_path_or_a_url, fixture_set_up),
      cmocka_unit_test_setup(a_row_that_cannot_be_read_is_not_told_of, fixture_set_up),
  };
  return cmocka_run_group_tests_name("token_explain_rows", tests, NULL, NULL);
}
