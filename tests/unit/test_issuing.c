/* issuing: tokens made of a grant, told from those that have been revoked, and a sentence for each
 * way in which they cannot be made. What narrowing does is in test_narrow.c.
 */
#include "service_fixture.h"

#include "service/issuing.h"

static subtoken_claims grant;
static st_access_token access_token;
static st_key row;

static int set_up(void **state) {
  (void)fixture_set_up(state);
  settings.access_life = 900;
  row = fixture_row_of(KEY_ID)->key;
  return st_key_grant(&row, &grant) ? 0 : -1;
}

static void each_failure_has_a_sentence(void **state) {
  (void)state;
  static const struct {
    subtoken_result result;
    const char *error;
  } rows[] = {
      {SUBTOKEN_EXPIRE_PAST, "expire: must be in the future"},
      {SUBTOKEN_PARENT_EXPIRED, "the parent has expired and cannot make subtokens"},
      {SUBTOKEN_NOT_YET, "the parent is not valid yet and cannot make subtokens"},
      {SUBTOKEN_TOO_MANY_PERMISSIONS, "permissions: too many entries (maximum 64)"},
      {SUBTOKEN_TOO_MANY_URLS, "urls: must be 1 to 64 entries"},
      {SUBTOKEN_URL_WIDER, "urls: entry 3: the parent does not allow it"},
      {SUBTOKEN_AUD_WIDER, "audience: must be that of the parent"},
      {SUBTOKEN_BAD_KID,
       "audience: too long for the name of the signing secret: with a dot between them they have "
       "64 characters"},
      {SUBTOKEN_TOO_DEEP,
       "made from too many subtokens, one after the other (maximum 8): use the key or an earlier "
       "one"},
      {SUBTOKEN_REVOKED,
       "every token that could be made of this now has been revoked: ask again in a second, or "
       "for one that lives longer"},
      {SUBTOKEN_TOO_LARGE,
       "urls: the subtoken would be longer than 4096 bytes; ask for fewer or shorter permissions "
       "and urls"},
      {SUBTOKEN_NO_SECRET, "cannot make the subtoken: no_secret"},
      {SUBTOKEN_INVALID_ARGUMENT, "cannot make the subtoken: invalid_argument"},
  };
  subtoken_narrow_report report = {.url = 2};
  char error[ST_ISSUING_ERROR_MAX];
  for (size_t i = 0; i < COUNT(rows); i++) {
    memset(error, 'x', sizeof error);
    st_issuing_explain(rows[i].result, &report, error);
    assert_string_equal(error, rows[i].error);
    bool ours = rows[i].result == SUBTOKEN_NO_SECRET || rows[i].result == SUBTOKEN_INVALID_ARGUMENT;
    assert_int_equal(st_issuing_status(rows[i].result), ours ? 503 : 400);
  }
  st_issuing_explain(SUBTOKEN_BAD_URL, &report, error);
  assert_true(strncmp(error, "urls: entry 3: ", 15) == 0 && error[15] != '\0');
  assert_string_not_equal(error + 15, "the parent does not allow it");
}

static const st_problem *make(void) {
  memset(access_token.token, 'x', sizeof access_token.token);
  return st_issuing_access_token(&service, &row, &grant, NULL, 0, NOW, &access_token);
}

/* Refused so; no token is left that could be taken for one. */
static void check_refused(int status, const char *text) {
  const st_problem *problem = make();
  assert_non_null(problem);
  assert_int_equal(problem->status, status);
  assert_string_equal(problem->event, "issue_denied");
  assert_string_equal(problem->text, text);
  assert_string_equal(access_token.token, "");
}

static void an_access_token_has_the_grant(void **state) {
  (void)state;
  assert_null(make());
  const subtoken_claims *claims = claims_of(access_token.token);
  check_permissions(claims, KEY_PERMISSIONS);
  assert_true(claims->exp == NOW + 900);
  assert_int_equal(claims->sid.len, 0);
}

static void what_cannot_be_made_says_why(void **state) {
  (void)state;
  grant.nbf = NOW + 1;
  check_refused(400, "the credential is not valid yet");
  grant.nbf = 0;
  grant.exp = NOW;
  check_refused(400, "the credential has expired");
  grant.exp = ST_NEVER;
  snprintf(row.permissions, sizeof row.permissions, "%s", too_many());
  assert_true(st_key_grant(&row, &grant));
  check_refused(400,
                "the access token would be longer than 4096 bytes: too many permissions and urls");
  snprintf(row.permissions, sizeof row.permissions, "account");
  snprintf(row.audience, sizeof row.audience, "the-longest-audience-that-can-be");
  assert_true(st_key_grant(&row, &grant));
  ring_with(&ring, "a-secret-of-33-letters-and-hyphens", TEST_SECRET);
  check_refused(400, "audience: too long for the name of the signing secret");
  ring_with(&ring, "", TEST_SECRET);
  row.audience[0] = '\0';
  assert_true(st_key_grant(&row, &grant));
  size_t count = ring.count;
  ring.count = 0;
  check_refused(503, "the access token cannot be made");
  ring.count = count;
  assert_null(make());
}

/* Its tid is listed. */
static void revoke_made(void) {
  const char *tid = strrchr(access_token.token, '.') + 1;
  assert_true(fixture.revoked_count < COUNT(fixture.revoked_tids));
  snprintf(fixture.revoked_tids[fixture.revoked_count++], SUBTOKEN_TID_LEN + 1, "%.*s",
           SUBTOKEN_TID_LEN, tid);
}

/* With the same claims it would be the one that is revoked: it ends a second earlier. */
static void a_token_is_not_one_that_was_revoked(void **state) {
  (void)state;
  settings.access_life = 2;
  assert_null(make());
  assert_int_equal(fixture.tids_asked, 0); /* no row says that any is revoked */
  revoke_made();
  assert_null(make());
  assert_true(access_token.claims.exp == NOW + 2);
  row.tokens_revoked = 1;
  assert_null(make());
  assert_int_equal(fixture.tids_asked, 2);
  assert_true(access_token.claims.exp == NOW + 1);
  revoke_made();
  assert_int_equal(st_issuing_try(&service, &row, &access_token.claims), SUBTOKEN_REVOKED);
  const st_problem *problem = make();
  assert_non_null(problem);
  assert_int_equal(problem->status, 400);
  assert_true(strncmp(problem->text, "every token that could be made", 30) == 0);
  fixture.broken = true; /* who looks at the token finds out */
  assert_null(make());
  assert_true(access_token.claims.exp == NOW + 2);
  fixture.broken = false;
}

static void a_token_of_a_session_names_it(void **state) {
  (void)state;
  assert_null(st_issuing_session_token(&service, &row, NULL, 0, NOW, &access_token));
  check_text(&access_token.claims, access_token.claims.sid, KEY_ID);
  snprintf(row.audience, sizeof row.audience, "w.b"); /* a row that nobody wrote */
  assert_non_null(st_issuing_session_token(&service, &row, NULL, 0, NOW, &access_token));
}

/* As long as a token may be, and not longer. */
static void a_token_has_4096_bytes(void **state) {
  (void)state;
  char name[SUBTOKEN_PERMISSION_MAX + 1];
  size_t longest = 0, refused = 0;
  for (size_t len = 1; len <= SUBTOKEN_PERMISSION_MAX; len++) {
    memset(&grant, 0, sizeof grant);
    grant.exp = ST_NEVER;
    grant.every_url = true;
    assert_true(st_claims_set_sub(&grant, st_text(row.sub)));
    for (int i = 0; i < 43; i++) {
      snprintf(name, sizeof name, "%064d", i);
      assert_true(st_claims_add_permission(&grant, st_text(name)));
    }
    memset(name, 'p', sizeof name);
    assert_true(st_claims_add_permission(&grant, (subtoken_text){name, len}));
    const st_problem *problem = make();
    if (problem != NULL) {
      assert_int_equal(problem->status, 400);
      assert_non_null(strstr(problem->text, "longer than 4096 bytes"));
      refused++;
      continue;
    }
    assert_int_equal(refused, 0);
    size_t is = strlen(access_token.token);
    if (is > longest) longest = is;
  }
  CHECK(longest == SUBTOKEN_ISSUED_MAX && refused > 0, "%zu", longest);
}

static st_store_status unsure(void *store, const subtoken_text *tids, size_t count, bool *revoked) {
  (void)store;
  (void)tids;
  (void)count;
  *revoked = true;
  return ST_STORE_FAILED;
}

/* Whoever looks at the token finds out whether it is revoked; and what failed is not looked for. */
static void a_store_that_fails_makes_no_other_token(void **state) {
  (void)state;
  row.tokens_revoked = 1;
  service.keys.tokens_revoked = unsure;
  const st_problem *problem = make();
  assert_null(problem);
  assert_true(claims_of(access_token.token)->exp == NOW + 900);
  ring.count = 0;
  assert_non_null(make());
  service.keys.tokens_revoked = fixture_tokens_revoked;
}

/* Each refusal of a session's and of a chain's access token has its own words. */
static void an_access_token_is_refused_in_its_own_words(void **state) {
  (void)state;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  row.expires_at = NOW;
  const st_problem *problem = st_issuing_session_token(&service, &row, NULL, 0, NOW, &access_token);
  assert_non_null(problem);
  assert_int_equal(problem->status, 400);
  assert_string_equal(problem->text, "the credential has expired");
  assert_int_equal(get("/v2/createsubtoken?permissions=account", AS_KEY), 200);
  for (int depth = 0; depth < SUBTOKEN_VIA_MAX; depth++) {
    snprintf(token, sizeof token, "%s", member("subtoken"));
    assert_int_equal(get("/v2/createsubtoken?permissions=account", bearer(token)), 200);
  }
  snprintf(token, sizeof token, "%s", member("subtoken"));
  assert_int_equal(
      post("/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", bearer(token), ""), 400);
  check_body_starts("{\"text\":\"made from too many subtokens");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_failure_has_a_sentence, set_up),
      cmocka_unit_test_setup(an_access_token_has_the_grant, set_up),
      cmocka_unit_test_setup(what_cannot_be_made_says_why, set_up),
      cmocka_unit_test_setup(a_token_is_not_one_that_was_revoked, set_up),
      cmocka_unit_test_setup(a_token_of_a_session_names_it, set_up),
      cmocka_unit_test_setup(a_token_has_4096_bytes, set_up),
      cmocka_unit_test_setup(a_store_that_fails_makes_no_other_token, set_up),
      cmocka_unit_test_setup(an_access_token_is_refused_in_its_own_words, set_up),
  };
  return cmocka_run_group_tests_name("issuing", tests, NULL, NULL);
}
