/* POST /oauth/revoke. What a revoked token ends is tested where tokens are looked at, and that the
 * server and edges refuse it, in tests/e2e/test_oauth.py. */
#include "oauth_fixture.h"

#define REVOKE "/oauth/revoke"
#define ALL_REVOKED                                                                             \
  "every token that could be made of this now has been revoked: ask again in a second, or for " \
  "one that lives longer"

static int ask_as(const char *lines, const char *token) {
  static char body[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(body, sizeof body, "token=%s&token_type_hint=access_token", token);
  return post(REVOKE, form_with(lines), body);
}

static int ask(const char *token) {
  return ask_as("", token);
}

/* Nothing came of it, and nothing is told. */
static void check_nothing(const char *token) {
  size_t before = fixture.changes + fixture.log_outs;
  CHECK(ask(token) == 200, "%s: %d", token, reply.status);
  check_body("{}");
  assert_null(reply.event.name);
  assert_int_equal(reply.headers_len, strlen("Pragma: no-cache\r\n"));
  assert_int_equal(fixture.changes + fixture.log_outs, before);
}

/* It is refused already: which snapshot tells is known without writing. */
static void check_again(const char *token) {
  size_t before = fixture.changes + fixture.log_outs;
  CHECK(ask(token) == 200, "%s: %d", token, reply.status);
  check_body("{}");
  assert_null(reply.event.name);
  check_header("Subtoken-Seq: 79\r\n");
  assert_int_equal(fixture.changes + fixture.log_outs, before);
}

static void check_revoked(const char *sequence) {
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_body("{}");
  check_event("token_revoked");
  check_header(sequence);
  assert_string_equal(fixture.who, "holder of the token");
}

/* The id of a token: the first characters of its signature. */
static void check_listed(const char *token) {
  check_revoked("Subtoken-Seq: 78\r\n");
  CHECK(memcmp(strrchr(token, '.') + 1, fixture.revoked_tid, ST_TID_LEN) == 0, "%s of %s",
        fixture.revoked_tid, token);
}

static void a_subtoken_is_listed_by_its_tid(void **state) {
  (void)state;
  const char *token = subtoken_of_key("guilds", NULL, NOW + 60);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  assert_true(fixture.revoked_exp == NOW + 60);
  assert_string_equal(reply.event.key_id, KEY_ID);
  assert_int_equal(strlen(reply.event.credential), ST_CREDENTIAL_TAG_LEN);
  /* Whatever it lists, also one that lives by the leeway alone. */
  token = subtoken_of_key("", "/v2/x,GET:/v2/y", NOW - 1);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  assert_true(fixture.revoked_exp == NOW - 1);
  assert_int_equal(fixture.changes, 2);
}

/* Within a second the same claims are the same token: one that is revoked is not given again. */
static void what_is_asked_for_again_is_another_token(void **state) {
  (void)state;
  static const char client[] =
      "grant_type=client_credentials&client_id=" KEY_ID "&client_secret=" KEY;
  static char tokens[8][SUBTOKEN_ISSUED_MAX + 1];
  for (size_t i = 0; i < COUNT(tokens); i++) {
    bool subtoken = i % 2 == 0;
    int status = subtoken ? get("/v2/createsubtoken?permissions=guilds", AS_KEY)
                          : post(TOKEN_ENDPOINT, AS_FORM, client);
    assert_int_equal(status, 200);
    snprintf(tokens[i], sizeof tokens[i], "%s", member(subtoken ? "subtoken" : "access_token"));
    int64_t life = subtoken ? settings.default_life : settings.access_life;
    assert_true(claims_of(tokens[i])->exp == NOW + life - (int64_t)(i / 2));
    for (size_t j = 0; j < i; j++) assert_string_not_equal(tokens[i], tokens[j]);
    assert_int_equal(ask(tokens[i]), 200);
    check_listed(tokens[i]);
    snprintf(fixture.revoked_tids[fixture.revoked_count++], ST_TID_LEN + 1, "%s",
             fixture.revoked_tid);
  }
  /* Where each that it could be is revoked, that is said. The second is that of NOW + 1. */
  static const char last_second[] = "/v2/createsubtoken?expire=2023-11-14T22:13:21Z";
  assert_int_equal(get(last_second, AS_KEY), 200);
  assert_true(claims_of(member("subtoken"))->exp == NOW + 1);
  snprintf(tokens[0], sizeof tokens[0], "%s", member("subtoken"));
  assert_int_equal(ask(tokens[0]), 200);
  snprintf(fixture.revoked_tids[fixture.revoked_count++], ST_TID_LEN + 1, "%s",
           fixture.revoked_tid);
  assert_int_equal(get(last_second, AS_KEY), 400);
  check_body("{\"text\":\"" ALL_REVOKED "\"}");
  /* A key of which nothing is revoked costs no question. */
  size_t asked = fixture.tids_asked;
  assert_int_equal(get("/v2/createsubtoken", AS_POOR), 200);
  assert_int_equal(fixture.tids_asked, asked);
}

/* They are tokens of the key, and nobody's session. */
static void an_access_token_of_a_key_is_listed(void **state) {
  (void)state;
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(post(TOKEN_ENDPOINT, AS_FORM,
                        "grant_type=client_credentials&client_id=" KEY_ID "&client_secret=" KEY),
                   200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(ask(token), 200);
  check_listed(token);
  assert_int_equal(
      post(TOKEN_ENDPOINT, AS_FORM,
           "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=" KEY
           "&subject_token_type=urn:ietf:params:oauth:token-type:access_token"),
      200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(ask(token), 200);
  check_listed(token);
  assert_int_equal(fixture.log_outs, 0);
}

/* Of a user, and of a key: by the access token, by the refresh token, and by one that was used. */
static void a_token_of_a_session_ends_the_session(void **state) {
  (void)state;
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  for (size_t i = 0; i < 6; i++) {
    if (i % 2 == 0) {
      assert_int_equal(
          post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"),
          200);
    } else {
      assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
    }
    fixture_row *row = &fixture.rows[fixture.row_count - 1];
    snprintf(token, sizeof token, "%s", member(i < 2 ? "access_token" : "refresh_token"));
    if (i >= 4) {
      char body[SUBTOKEN_ISSUED_MAX + 256];
      snprintf(body, sizeof body, "grant_type=refresh_token&refresh_token=%s", token);
      assert_int_equal(post(TOKEN_ENDPOINT, AS_FORM, body), 200);
    }
    assert_false(row->ended);
    assert_int_equal(ask(token), 200);
    check_revoked("Subtoken-Seq: 77\r\n");
    CHECK(row->ended, "%zu", i);
    assert_string_equal(reply.event.key_id, row->key.id);
    if (i < 2) {
      check_again(token);
    } else {
      check_nothing(token);
    }
  }
  assert_int_equal(fixture.changes, 0);
}

/* What was made from a session's token is a token of its own. */
static void a_token_exchanged_for_a_session_is_listed(void **state) {
  (void)state;
  static char token[SUBTOKEN_ISSUED_MAX + 1], body[SUBTOKEN_ISSUED_MAX + 256];
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  snprintf(body, sizeof body,
           "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=%s"
           "&subject_token_type=urn:ietf:params:oauth:token-type:access_token",
           member("access_token"));
  assert_int_equal(post(TOKEN_ENDPOINT, AS_FORM, body), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(ask(token), 200);
  check_listed(token);
  assert_int_equal(fixture.log_outs, 0);
  assert_false(fixture.rows[fixture.row_count - 1].ended);
}

static void a_whole_key_is_of_no_supported_type(void **state) {
  (void)state;
  static const char *const keys[] = {
      KEY, "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEE"};
  for (size_t i = 0; i < COUNT(keys); i++) { /* whether there is such a key is not told */
    assert_int_equal(ask(keys[i]), 400);
    check_oauth_error(400, "unsupported_token_type",
                      "token: a whole key is not revoked but deleted: DELETE /v2/keys/ID");
  }
  assert_int_equal(fixture.changes, 0);
}

static void all_else_is_answered_and_changes_nothing(void **state) {
  (void)state;
  static char changed[SUBTOKEN_ISSUED_MAX + 1];
  static const char *const rows[] = {"x",
                                     "a.b.c",
                                     "..",
                                     "%00",
                                     "a-registered-string",
                                     "0000000000000000000000000000000000000099000"};
  for (size_t i = 0; i < COUNT(rows); i++) check_nothing(rows[i]);
  snprintf(changed, sizeof changed, "%s", subtoken_of_key("guilds", NULL, NOW + 60));
  changed[strlen(changed) - 3] ^= 1;
  check_nothing(changed);
  check_nothing(subtoken_of_key("guilds", NULL, NOW - 61));
  fixture_row_of(KEY_ID)->ended = true; /* the store finds that its key has gone */
  assert_int_equal(ask(subtoken_of_key("guilds", NULL, NOW + 60)), 200);
  check_body("{}");
  assert_null(reply.event.name);
  assert_string_equal(fixture.revoked_tid, "");
}

/* A key that is disabled may be enabled again, and what was revoked meanwhile stays so. */
static void a_token_of_a_disabled_key_is_listed(void **state) {
  (void)state;
  fixture_row_of(KEY_ID)->key.disabled = true;
  const char *token = subtoken_of_key("guilds", NULL, NOW + 60);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  snprintf(fixture.revoked_tids[fixture.revoked_count++], ST_TID_LEN + 1, "%s",
           fixture.revoked_tid);
  check_again(token); /* no second time */
  fixture_row_of(KEY_ID)->key.disabled = false;
  check_again(token);
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(ask(token), 503);
  fixture.outcome = ST_STORE_OK;
  check_nothing(subtoken_of_key("guilds", NULL, NOW - 61));
}

/* What was made from one that is listed is over. */
static void what_was_made_from_it_is_no_second_one(void **state) {
  (void)state;
  static char parent[SUBTOKEN_ISSUED_MAX + 1], child[SUBTOKEN_ISSUED_MAX + 1];
  snprintf(parent, sizeof parent, "%s", subtoken_of_key("guilds", NULL, NOW + 60));
  assert_int_equal(get("/v2/createsubtoken", bearer(parent)), 200);
  snprintf(child, sizeof child, "%s", member("subtoken"));
  assert_int_equal(ask(child), 200);
  check_listed(child);
  assert_true(fixture.revoked_via_count == 1 && !fixture.revoked_derived);
  for (int disabled = 0; disabled < 2; disabled++) {
    fixture.revoked_count = 0;
    fixture_row_of(KEY_ID)->key.disabled = disabled != 0;
    assert_int_equal(ask(parent), 200);
    check_listed(parent);
    assert_int_equal(fixture.revoked_via_count, 0);
    snprintf(fixture.revoked_tids[fixture.revoked_count++], ST_TID_LEN + 1, "%s",
             fixture.revoked_tid);
    check_again(child);
    check_again(parent);
  }
}

/* Under the secret of an audience, by somebody who has seen the sub of a key. */
static const char *made_up(const char *audience) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_ring derived;
  static subtoken_claims claims;
  size_t len;
  claims = grant_of("guilds", NULL);
  claims.iat = NOW;
  claims.exp = NOW + 60;
  assert_true(st_claims_set_sub(&claims, st_text(fixture_row_of(KEY_ID)->key.sub)));
  assert_int_equal(subtoken_claims_set_aud(&claims, st_text(audience)), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&ring, st_text(audience), &derived), SUBTOKEN_OK);
  assert_int_equal(subtoken_issue(&derived, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  return token;
}

static void what_a_bound_key_has_not_made_is_not_listed(void **state) {
  (void)state;
  st_key *key = &fixture_row_of(KEY_ID)->key;
  assert_int_equal(ask(made_up("us")), 200); /* one that is not bound may have made it */
  check_listed(made_up("us"));
  assert_true(fixture.revoked_derived);
  snprintf(key->audience, sizeof key->audience, "eu");
  for (int disabled = 0; disabled < 2; disabled++) {
    key->disabled = disabled != 0;
    fixture.revoked_tid[0] = '\0';
    static char tokens[2][SUBTOKEN_ISSUED_MAX + 1];
    snprintf(tokens[0], sizeof tokens[0], "%s", made_up("us"));
    snprintf(tokens[1], sizeof tokens[1], "%s", subtoken_of_key("guilds", NULL, NOW + 60));
    for (size_t i = 0; i < 2; i++) {
      assert_int_equal(ask(tokens[i]), 200); /* the store finds that it is none of its key's */
      check_body("{}");
      assert_null(reply.event.name);
      assert_string_equal(fixture.revoked_tid, "");
    }
    assert_int_equal(ask(made_up("eu")), 200);
    check_listed(made_up("eu"));
  }
}

/* Its key is disabled, so that the token is judged by itself: by the settings of this server. */
static void a_token_that_is_not_accepted_has_to_be_a_good_one(void **state) {
  (void)state;
  static char chain[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(get("/v2/createsubtoken?permissions=guilds", AS_KEY), 200);
  for (int depth = 0; depth < SUBTOKEN_VIA_MAX; depth++) {
    snprintf(chain, sizeof chain, "%s", member("subtoken"));
    assert_int_equal(get("/v2/createsubtoken?permissions=guilds", bearer(chain)), 200);
  }
  snprintf(chain, sizeof chain, "%s", member("subtoken"));
  fixture_row_of(KEY_ID)->key.disabled = true;
  assert_int_equal(ask(chain), 200);
  check_listed(chain);
  assert_int_equal(fixture.revoked_via_count, SUBTOKEN_VIA_MAX);
  snprintf(fixture.revoked_tids[fixture.revoked_count++], ST_TID_LEN + 1, "%s",
           fixture.revoked_tid);
  check_again(chain); /* its own tid is looked for, beside those of what it was made from */
  const char *token = subtoken_of_key("guilds", "/v2/x", NOW + 60);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  settings.leeway = 200;
  token = subtoken_of_key("guilds", NULL, NOW - 199);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  check_nothing(subtoken_of_key("guilds", NULL, NOW - 200));
  settings.max_life = 1000 + 60;
  token = subtoken_of_key("guilds", NULL, NOW + 60);
  assert_int_equal(ask(token), 200);
  check_listed(token);
  check_nothing(subtoken_of_key("guilds", NULL, NOW + 61));
}

/* Where it may be used does not matter to who ends it. */
static void a_token_for_other_urls_is_of_its_key(void **state) {
  (void)state;
  assert_int_equal(ask(subtoken_of_key("guilds", "/v2/x", NOW + 60)), 200);
  check_event("token_revoked");
  assert_string_equal(reply.event.key_id, KEY_ID);
}

/* Who holds it may end it: nothing else that comes along is looked at. */
static void no_credential_is_looked_at(void **state) {
  (void)state;
  static const char *const lines[] = {AS_POOR, AS_ALICE, "Authorization: Bearer x\n",
                                      AS_POOR "X-API-Key: " KEY "\n"};
  for (size_t i = 0; i < COUNT(lines); i++) {
    assert_int_equal(ask_as(lines[i], subtoken_of_key("guilds", NULL, NOW + 60)), 200);
    check_event("token_revoked");
  }
  assert_int_equal(ask_as(basic_line("client:secret"), subtoken_of_key("", NULL, NOW + 60)), 200);
  check_event("token_revoked");
  char body[SUBTOKEN_ISSUED_MAX + 64];
  snprintf(body, sizeof body, "client_id=a&client_id=b&client_secret=c&token=%s",
           subtoken_of_key("", NULL, NOW + 60));
  assert_int_equal(post(REVOKE "?access_token=x", AS_FORM, body), 200);
  check_event("token_revoked");
  assert_int_equal(fixture.checks, 0);
  assert_string_equal(reply.event.key_id, KEY_ID);
}

static void what_is_wrong_with_the_form_is_told(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body, *text;
  } rows[] = {
      {AS_FORM, "", "token: is missing"},
      {AS_FORM, "token=&x=1", "token: is missing"},
      {AS_FORM, "token=a&token=a", "a parameter is given more than once"},
      {AS_FORM, "token=%4", "a % needs two hex digits behind it"},
      {AS_JSON, "{\"token\":\"a\"}", "Content-Type: must be application/x-www-form-urlencoded"},
      {"", "token=a", "Content-Type: must be application/x-www-form-urlencoded"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(post(REVOKE, rows[i].headers, rows[i].body) == 400, "%zu: %d", i, reply.status);
    check_oauth_error(400, "invalid_request", rows[i].text);
  }
  assert_int_equal(get(REVOKE "?token=a", ""), 405);
  assert_string_equal(reply.allow, "POST, OPTIONS");
}

/* Section 2.2.1: on a 503 the client must take it that the token lives. */
static void what_was_not_done_is_told(void **state) {
  (void)state;
  static const struct {
    st_store_status outcome;
    int status;
    const char *event, *text;
  } rows[] = {
      {ST_STORE_FULL, 429, "revoke_limit",
       "1000 tokens of this key are revoked, and no more can be at a time; revoke-subtokens (POST "
       "/v2/keys/ID/revoke-subtokens) ends all of them"},
      {ST_STORE_BUSY, 503, "store_busy",
       "the store is being written to; nothing was changed; try again later"},
      {ST_STORE_FAILED, 503, "store_error", "nothing was changed; try again later"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    fixture.outcome = rows[i].outcome;
    CHECK(ask(subtoken_of_key("guilds", NULL, NOW + 60)) == rows[i].status, "%d", reply.status);
    check_oauth_error(rows[i].status, "temporarily_unavailable", rows[i].text);
    check_event(rows[i].event);
  }
  fixture.outcome = ST_STORE_NOT_FOUND; /* by another request, meanwhile */
  assert_int_equal(ask(subtoken_of_key("guilds", NULL, NOW + 60)), 200);
  check_body("{}");
  assert_null(reply.event.name);
  fixture.broken = true;
  assert_int_equal(ask(subtoken_of_key("guilds", NULL, NOW + 60)), 503);
  assert_true(reply.retry_after > 0);
  assert_int_equal(ask("0000000000000000000000000000000000000099000"), 503);
  assert_true(reply.retry_after > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_subtoken_is_listed_by_its_tid, fixture_set_up),
      cmocka_unit_test_setup(what_is_asked_for_again_is_another_token, fixture_set_up),
      cmocka_unit_test_setup(an_access_token_of_a_key_is_listed, fixture_set_up),
      cmocka_unit_test_setup(a_token_of_a_session_ends_the_session, fixture_set_up),
      cmocka_unit_test_setup(a_token_exchanged_for_a_session_is_listed, fixture_set_up),
      cmocka_unit_test_setup(a_whole_key_is_of_no_supported_type, fixture_set_up),
      cmocka_unit_test_setup(all_else_is_answered_and_changes_nothing, fixture_set_up),
      cmocka_unit_test_setup(a_token_of_a_disabled_key_is_listed, fixture_set_up),
      cmocka_unit_test_setup(what_was_made_from_it_is_no_second_one, fixture_set_up),
      cmocka_unit_test_setup(what_a_bound_key_has_not_made_is_not_listed, fixture_set_up),
      cmocka_unit_test_setup(a_token_that_is_not_accepted_has_to_be_a_good_one, fixture_set_up),
      cmocka_unit_test_setup(a_token_for_other_urls_is_of_its_key, fixture_set_up),
      cmocka_unit_test_setup(no_credential_is_looked_at, fixture_set_up),
      cmocka_unit_test_setup(what_is_wrong_with_the_form_is_told, fixture_set_up),
      cmocka_unit_test_setup(what_was_not_done_is_told, fixture_set_up),
  };
  return cmocka_run_group_tests_name("revoke", tests, NULL, NULL);
}
