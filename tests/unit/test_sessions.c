/* sessions: registering a user, logging in with a password or a key, refreshing, logging out. */
#include "service_fixture.h"

#define USER "/v1/user"
#define TAKEN "{\"login\":\"alice\",\"password\":\"supersecret\"}"
#define LOGIN "/v1/auth/login"
#define TOKEN "/v1/auth/token"
#define REFRESH "/v1/auth/refresh"
#define LOGOUT "/v1/auth/logout"
#define BOB "{\"login\":\"bob\",\"password\":\"" PASSWORD "\"}"
#define BOB_WITH(permissions) \
  "{\"login\":\"bob\",\"password\":\"" PASSWORD "\",\"permissions\":" permissions "}"
#define ALICE "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"
#define WRONG "{\"login\":\"alice\",\"password\":\"" PASSWORD "!\"}"

/* ---- who may be somebody's login ---- */

static void usernames_have_a_form(void **state) {
  (void)state;
  subtoken_text longest = repeated("", 'x', ST_NAME_MAX), longer = repeated("x", 'x', ST_NAME_MAX);
  static const struct {
    const char *login;
    bool valid;
  } rows[] = {{"a", true},
              {"Alice Liddell", true},
              {"\xC3\xAB@example.org", true},
              {"\"\\", true},
              {"*", true}, /* a user without a password */
              {"", false},
              {"a:b", false},
              {":", false},
              {"a\n", false},
              {"\x7F", false},
              {"\xC2\x9B", false},
              {"\xE2\x80\xAE", false},
              {"\xFF", false},
              {"a\xC3", false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text login = exact_string(rows[i].login);
    CHECK(st_names_username_valid(login) == rows[i].valid, "%s", rows[i].login);
    release(login);
  }
  assert_false(st_names_username_valid((subtoken_text){"a\0b", 3}));
  assert_true(st_names_username_valid(longest));
  assert_false(st_names_username_valid(longer));
  release(longest);
  release(longer);
}

/* ---- POST /v1/user ---- */

static void a_user_is_made(void **state) {
  (void)state;
  assert_int_equal(post(USER, AS_KEY AS_JSON,
                        "{\"login\":\"b\\u00f6b\",\"password\":\"12345678\",\"locale\":\"en-GB\","
                        "\"source\":\"import\",\"permissions\":[\"guilds\",\"account\"],\"x\":1}"),
                   201);
  check_body(
      "{\"login\":\"b\xC3\xB6"
      "b\",\"permissions\":[\"guilds\",\"account\"]}");
  const st_user *user =
      fixture_user(ST_TEXT("b\xC3\xB6"
                           "b"));
  assert_non_null(user);
  assert_string_equal(user->password, "hash of 12345678");
  assert_string_equal(user->key.permissions, "guilds,account");
  assert_string_equal(user->locale, "en-GB");
  assert_string_equal(user->source, "import");
  assert_true(user->key.expires_at == ST_NEVER);
  assert_string_equal(fixture.grantor, KEY_ID);
  assert_string_equal(fixture.who, "key " KEY_ID);
  assert_int_equal(post(USER, AS_KEY AS_JSON, BOB), 201);
  check_body("{\"login\":\"bob\",\"permissions\":[]}");
  assert_int_equal(post(USER, AS_KEY AS_JSON, BOB), 409);
  check_body("{\"text\":\"login: already taken\"}");
  /* With a password, a user makes another. */
  assert_int_equal(
      post(USER, AS_ALICE AS_JSON, "{\"login\":\"carol\",\"password\":\"" PASSWORD "\"}"), 201);
  assert_string_equal(fixture.grantor, "A11CE000-0000-0000-0000-000000000000");
  assert_string_equal(fixture.who, "person alice");
}

static const char *access_of(const char *headers, const char *target, const char *body) {
  static char line[SUBTOKEN_ISSUED_MAX + 256];
  CHECK(post(target, headers, body) == 200, "%d %.*s", reply.status, (int)reply.body_len,
        reply.body);
  snprintf(line, sizeof line, "%s" AS_JSON, bearer(member("access_token")));
  return line;
}

/* No longer than the key or user at the root of it; a session's own expiry does not count. */
static void a_user_ends_with_its_grantor(void **state) {
  (void)state;
  static const char *const kinds[] = {"key", "service", "basic", "login"};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    for (int ends = 0; ends < 2; ends++) {
      int64_t end = ends ? NOW + 90 * DAY : ST_NEVER;
      fixture_set_up(NULL);
      fixture_row_of(KEY_ID)->key.expires_at = end;
      fixture_row_of("A11CE000-0000-0000-0000-000000000000")->key.expires_at = end;
      fixture.users[0].key.expires_at = end;
      const char *headers = i == 0   ? AS_KEY AS_JSON
                            : i == 1 ? access_of(AS_KEY, TOKEN, "")
                            : i == 2 ? AS_ALICE AS_JSON
                                     : access_of(AS_JSON, LOGIN, ALICE);
      CHECK(post(USER, headers, BOB) == 201, "%s: %d", kinds[i], reply.status);
      int64_t is = fixture_user(ST_TEXT("bob"))->key.expires_at;
      CHECK(is == end, "%s: %lld", kinds[i], (long long)is);
    }
  }
  /* The root cannot be found: no user is made. */
  fixture_set_up(NULL);
  const char *headers = access_of(AS_KEY, TOKEN, "");
  fixture_row_of(KEY_ID)->key.kind = ST_KIND_USER;
  assert_int_equal(post(USER, headers, BOB), 503);
  assert_int_equal(fixture.creates, 0);
}

static void a_bad_user_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body;
    int status;
    const char *event, *text;
  } rows[] = {
      {AS_JSON, BOB, 401, "auth_missing", "Invalid access token"},
      {"Authorization: Bearer x\n" AS_JSON, BOB, 401, "malformed", "Invalid access token"},
      {AS_KEY "X-API-Key: x\n" AS_JSON, BOB, 400, "auth_ambiguous", "more than one credential"},
      {AS_POOR AS_JSON, BOB, 403, "perm", "requires scope users"},
      {AS_KEY AS_JSON, BOB_WITH("[\"account\",\"revocations\"]"), 403, "escalation",
       "permissions: must not exceed those of the credential"},
      {AS_ALICE AS_JSON, BOB_WITH("[\"keys\"]"), 403, "escalation",
       "permissions: must not exceed those of the credential"},
      {AS_KEY, BOB, 415, "bad_request", "Content-Type: must be application/json"},
      {AS_KEY AS_FORM, "login=bob&password=12345678", 415, "bad_request",
       "Content-Type: must be application/json"},
      {AS_KEY AS_JSON, "", 400, "bad_request",
       "body: must be one JSON object without duplicate names"},
      {AS_KEY AS_JSON, "{\"login\":\"a\",\"login\":\"b\",\"password\":\"12345678\"}", 400,
       "bad_request", "body: must be one JSON object without duplicate names"},
      {AS_KEY AS_JSON, "{\"login\":null,\"password\":\"12345678\"}", 400, "bad_request",
       "login: is missing"}, /* D14 */
      {AS_KEY AS_JSON, "{\"password\":\"12345678\"}", 400, "bad_request", "login: is missing"},
      {AS_KEY AS_JSON, "{\"login\":\"bob\"}", 400, "bad_request", "password: is missing"},
      {AS_KEY AS_JSON, "{\"login\":\"*\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: * means everyone and has no password"},
      {AS_KEY AS_JSON, "{\"login\":\"\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: must be 1 to 256 bytes without a colon and without control characters, not . or .."},
      {AS_KEY AS_JSON, "{\"login\":\".\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: must be 1 to 256 bytes without a colon and without control characters, not . or .."},
      {AS_KEY AS_JSON, "{\"login\":\"..\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: must be 1 to 256 bytes without a colon and without control characters, not . or .."},
      {AS_KEY AS_JSON, "{\"login\":\"a:b\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: must be 1 to 256 bytes without a colon and without control characters, not . or .."},
      {AS_KEY AS_JSON, "{\"login\":\"a\\u001b[31m\",\"password\":\"12345678\"}", 400, "bad_request",
       "login: must be 1 to 256 bytes without a colon and without control characters, not . or .."},
      {AS_KEY AS_JSON, "{\"login\":\"bob\",\"password\":\"1234567\"}", 400, "bad_request",
       "password: must be 8 to 1024 bytes"},
      {AS_KEY AS_JSON, "{\"login\":\"bob\",\"password\":\"12345678\",\"locale\":\"en GB\"}", 400,
       "bad_request", "locale: must be a language tag such as en-GB, of at most 35 characters"},
      {AS_KEY AS_JSON,
       "{\"login\":\"bob\",\"password\":\"12345678\",\"locale\":"
       "\"aaaaaaaa-bbbbbbbb-cccccccc-dddddddd-e\"}",
       400, "bad_request",
       "locale: must be a language tag such as en-GB, of at most 35 characters"},
      {AS_KEY AS_JSON, "{\"login\":\"bob\",\"password\":\"12345678\",\"source\":\"\\u0007\"}", 400,
       "bad_request", "source: must be at most 64 bytes without control characters"},
      {AS_KEY AS_JSON, BOB_WITH("[\"a b\"]"), 400, "bad_request",
       "permissions: each must be 1 to 64 characters without space, quote, comma or backslash"},
      {AS_KEY AS_JSON, BOB_WITH("\"account\""), 400, "bad_request",
       "permissions: must be an array of strings"},
      {AS_KEY AS_JSON, "{\"login\":\"alice\",\"password\":\"12345678\"}", 409, "login_taken",
       "login: already taken"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[256];
    CHECK(post(USER, rows[i].headers, rows[i].body) == rows[i].status, "%zu: %d", i, reply.status);
    snprintf(body, sizeof body, "{\"text\":\"%s\"}", rows[i].text);
    check_body(body);
    check_event(rows[i].event);
  }
  assert_int_equal(fixture.creates, 0); /* C1: a login that is taken is found by reading */
  assert_int_equal(fixture.user_count, 1);
}

static void passwords_have_8_to_1024_bytes(void **state) {
  (void)state;
  static char body[2048];
  for (int len = 1024; len <= 1025; len++) {
    snprintf(body, sizeof body, "{\"login\":\"bob\",\"password\":\"%0*d\"}", len, 7);
    fixture.outcome = ST_STORE_FAILED;
    assert_int_equal(post(USER, AS_KEY AS_JSON, body), len == 1024 ? 503 : 400);
  }
  snprintf(body, sizeof body, "{\"login\":\"bob\",\"password\":\"12345678\",\"source\":\"%065d\"}",
           7);
  assert_int_equal(post(USER, AS_KEY AS_JSON, body), 400);
}

/* Whatever a subtoken has, it makes nobody. */
static void a_subtoken_makes_no_user(void **state) {
  (void)state;
  char headers[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(headers, sizeof headers, "%s" AS_JSON, bearer(subtoken_of_key("users", NULL, NOW + 60)));
  assert_int_equal(post(USER, headers, BOB), 403);
  check_event("escalation");
  assert_int_equal(fixture.creates, 0);
}

static void a_user_that_is_not_stored_is_told(void **state) {
  (void)state;
  static const struct {
    st_store_status outcome;
    bool busy;
    int status;
    const char *event;
  } rows[] = {{ST_STORE_FAILED, false, 503, "store_error"},
              {ST_STORE_FAILED, true, 503, "passwords_busy"},
              {ST_STORE_BUSY, false, 503, "store_busy"}, /* C1 */
              {ST_STORE_IN_DOUBT, false, 503, "store_in_doubt"},
              {ST_STORE_EXISTS, false, 409, "login_taken"},
              {ST_STORE_DENIED, false, 403, "escalation"},
              {ST_STORE_NOT_FOUND, false, 503, "store_error"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    fixture.outcome = rows[i].outcome;
    fixture.busy = rows[i].busy;
    CHECK(post(USER, AS_KEY AS_JSON, BOB) == rows[i].status, "%zu: %d", i, reply.status);
    check_event(rows[i].event);
    bool in_doubt = rows[i].outcome == ST_STORE_IN_DOUBT;
    assert_true((reply.retry_after > 0) == (reply.status == 503 && !in_doubt));
  }
  assert_int_equal(fixture.user_count, 1);
  /* C1: one that is taken is found by reading */
  fixture.outcome = ST_STORE_OK;
  fixture.creates = 0;
  fixture.busy = true;
  assert_int_equal(post(USER, AS_KEY AS_JSON, TAKEN), 409);
  check_event("login_taken");
  assert_int_equal(fixture.creates, 0);
  fixture.broken = true;
  assert_int_equal(post(USER, AS_JSON AS_ALICE, BOB), 503);
  check_event("store_error");
}

static void who_registers_has_no_permissions(void **state) {
  (void)state;
  settings.registration_open = true;
  assert_int_equal(post(USER, AS_JSON, BOB_WITH("[\"account\"]")), 403);
  check_event("escalation");
  assert_int_equal(fixture.creates, 0);
  assert_int_equal(post(USER, AS_JSON, BOB_WITH("[]")), 201);
  check_body("{\"login\":\"bob\",\"permissions\":[]}");
  assert_string_equal(fixture.grantor, "");
  assert_string_equal(fixture.who, "nobody");
  assert_true(fixture_user(ST_TEXT("bob"))->key.expires_at == ST_NEVER);
  /* A credential counts all the same: one that is wrong is wrong. */
  assert_int_equal(post(USER, "X-API-Key: x\n" AS_JSON, BOB), 401);
  assert_int_equal(post(USER, AS_POOR AS_JSON, BOB), 403);
  assert_int_equal(post(USER "?access_token=" POOR_KEY, AS_JSON, BOB), 403);
}

/* An address registers so many, good or not; a manager as many as wanted. */
static void registrations_of_an_address_are_limited(void **state) {
  (void)state;
  settings.registration_open = true;
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post(USER, AS_JSON, i == 0 ? BOB : ALICE), i == 0 ? 201 : 409);
  }
  assert_int_equal(post(USER, AS_JSON, ALICE), 429);
  check_event("login_throttled");
  assert_true(reply.retry_after >= 1);
  size_t creates = fixture.creates;
  assert_int_equal(post(USER, AS_JSON, "{\"login\":\"carol\",\"password\":\"12345678\"}"), 429);
  assert_int_equal(fixture.creates, creates);
  assert_int_equal(post(USER, AS_KEY AS_JSON, ALICE), 409);
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200); /* others may go on */
  assert_int_equal(fixture_ask_at("POST", USER, AS_JSON, ALICE, NOW_US + ST_THROTTLE_USERNAME_US),
                   409);
}

/* ---- POST /v1/auth/login ---- */

/* 200, a pair; the claims of the access token. */
static const subtoken_claims *check_pair(int64_t expires_in) {
  char tail[128], *at = memmem(reply.body, reply.body_len, "\",\"refresh_token\"", 17);
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_body_starts("{\"access_token\":\"");
  assert_int_equal(strlen(member("refresh_token")), ST_REFRESH_LEN);
  snprintf(tail, sizeof tail,
           "\",\"refresh_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%lld}",
           member("refresh_token"), (long long)expires_in);
  assert_non_null(at);
  assert_int_equal(strlen(tail), (size_t)(reply.body + reply.body_len - at));
  assert_memory_equal(at, tail, strlen(tail));
  const subtoken_claims *claims = claims_of(member("access_token"));
  assert_true(claims->exp == NOW + expires_in && claims->every_url);
  return claims;
}

static void a_session_is_a_pair_of_tokens(void **state) {
  (void)state;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
  const subtoken_claims *claims = check_pair(900);
  const st_key *row = &fixture.rows[fixture.row_count - 1].key;
  assert_int_equal(row->kind, ST_KIND_SESSION);
  check_permissions(claims, "account,guilds,users,audit");
  check_text(claims, claims->sub, row->sub);
  check_text(claims, claims->sid, row->id);
  assert_true(fixture.asked_until == NOW + 30 * DAY);
  assert_string_equal(fixture.who, "person alice");
  assert_string_equal(fixture.grantor, "A11CE000-0000-0000-0000-000000000000");
  assert_string_equal(reply.event.key_id, "A11CE000-0000-0000-0000-000000000000");
  assert_null(reply.event.name);
  /* Credentials that come along are none of it. */
  assert_int_equal(post(LOGIN "?access_token=x", AS_POOR AS_JSON, ALICE), 200);
  assert_string_equal(fixture.who, "person alice");
  /* The settings, and the expiry of the user. */
  settings.access_life = 60;
  settings.refresh_life = 3600;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
  (void)check_pair(60);
  assert_true(fixture.asked_until == NOW + 3600);
  fixture_row_of("A11CE000-0000-0000-0000-000000000000")->key.expires_at = NOW + 30;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
  (void)check_pair(30);
}

/* Nobody sees from outside which it is, and each costs a password's work. */
static void wrong_credentials_look_alike(void **state) {
  (void)state;
  static const struct {
    const char *body;
    bool nobody;
  } rows[] = {{WRONG, false},
              {"{\"login\":\"alice\",\"password\":\"\"}", false},
              {"{\"login\":\"Alice\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"mallory\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"*\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"a:b\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"a\\n\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"disabled\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"gone\",\"password\":\"" PASSWORD "\"}", true},
              {"{\"login\":\"held\",\"password\":\"" PASSWORD "\"}", true}};
  fixture_add_user("disabled", "D15AB1ED-0000-0000-0000-000000000000", "account");
  fixture.users[1].key.disabled = true;
  fixture_add_user("gone", "60000000-0000-0000-0000-000000000000", "account");
  fixture.users[2].key.expires_at = NOW;
  fixture_add_user("held", "4E1D0000-0000-0000-0000-000000000000", "account");
  fixture.users[3].key.suspended = true;
  for (size_t i = 0; i < COUNT(rows); i++) {
    (void)post(LOGIN, AS_JSON, rows[i].body);
    check_unauthorized("login_failed");
    assert_int_equal(fixture.checks, i + 1);
    CHECK(fixture.checked_nobody == rows[i].nobody, "%s", rows[i].body);
  }
  /* Even if nobody's password should be found good. */
  fixture.status_forced = true;
  fixture.status = ST_PASSWORD_OK;
  (void)post(LOGIN, AS_JSON, rows[3].body);
  check_unauthorized("login_failed");
  assert_int_equal(fixture.log_ins, 0);
}

static void a_log_in_is_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body;
    int status;
    const char *text;
  } rows[] = {
      {"", ALICE, 415, "{\"text\":\"Content-Type: must be application/json\"}"},
      {AS_FORM, "login=alice&password=x", 415,
       "{\"text\":\"Content-Type: must be application/json\"}"},
      {AS_JSON, "{}", 400, "{\"text\":\"login: is missing\"}"},
      {AS_JSON, "{\"login\":\"alice\"}", 400, "{\"text\":\"password: is missing\"}"},
      {AS_JSON, "{\"login\":\"alice\",\"password\":7}", 400,
       "{\"text\":\"password: must be a string\"}"},
      {AS_JSON, "[]", 400, "{\"text\":\"body: must be one JSON object without duplicate names\"}"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(post(LOGIN, rows[i].headers, rows[i].body) == rows[i].status, "%zu: %d", i, reply.status);
    check_body(rows[i].text);
  }
  assert_int_equal(fixture.checks, 0);
}

static void failed_log_ins_are_limited(void **state) {
  (void)state;
  for (int i = 0; i < 3 * ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200); /* good ones cost nothing */
  }
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post(LOGIN, AS_JSON, WRONG), 401);
  }
  size_t checks = fixture.checks;
  assert_int_equal(post(LOGIN, AS_JSON, WRONG), 429);
  check_event("login_throttled");
  check_body("{\"text\":\"too many attempts; try again later\"}");
  assert_true(reply.retry_after == ST_THROTTLE_USERNAME_US / 1000000);
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 429);
  assert_int_equal(fixture.checks, checks);
  assert_int_equal(fixture_ask_at("POST", LOGIN, AS_JSON, ALICE, NOW_US + ST_THROTTLE_USERNAME_US),
                   200);
}

static void guesses_elsewhere_do_not_keep_the_owner_out(void **state) {
  (void)state;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
  fixture_remote = "198.51.100.1";
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post(LOGIN, AS_JSON, WRONG), 401);
  }
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 429);
  fixture_remote = REMOTE;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
}

/* Passwords that nobody could check are no guesses. */
static void an_unchecked_password_is_no_attempt(void **state) {
  (void)state;
  for (int i = 0; i < 2 * ST_THROTTLE_USERNAME_BURST; i++) {
    fixture.status_forced = true;
    fixture.status = i % 2 == 0 ? ST_PASSWORD_BUSY : ST_PASSWORD_FAILED;
    assert_int_equal(post(LOGIN, AS_JSON, ALICE), 503);
    check_event(i % 2 == 0 ? "passwords_busy" : "store_error");
    assert_true(reply.retry_after > 0);
  }
  fixture.status_forced = false;
  fixture.broken = true;
  for (int i = 0; i < 2 * ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(
        post(LOGIN, AS_JSON, i % 2 == 0 ? ALICE : "{\"login\":\"x\",\"password\":\"y\"}"), 503);
    check_event("store_error");
  }
  fixture.broken = false;
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
}

static void a_session_that_is_not_stored_is_told(void **state) {
  (void)state;
  static const st_store_status outcomes[] = {ST_STORE_BUSY, ST_STORE_FAILED, ST_STORE_EXISTS,
                                             ST_STORE_NOT_FOUND, ST_STORE_DENIED};
  for (size_t i = 0; i < COUNT(outcomes); i++) {
    fixture.outcome = outcomes[i];
    (void)post(LOGIN, AS_JSON, ALICE);
    if (i < 3) {
      assert_int_equal(reply.status, 503);
      check_event(i == 0 ? "store_busy" : "store_error");
      assert_true(reply.retry_after > 0);
    } else {
      check_unauthorized("key_revoked");
    }
  }
}

/* A login whose token cannot be made does not remain: nobody could end it. */
static void a_session_without_a_token_does_not_remain(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of("A11CE000-0000-0000-0000-000000000000");
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 400);
  check_body(
      "{\"text\":\"the access token would be longer than 4096 bytes: too many permissions and "
      "urls\"}");
  check_event("issue_denied");
  assert_int_equal(fixture.log_outs, 1);
  assert_true(fixture.rows[fixture.row_count - 1].ended);
  row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "services,%.3900s", too_many());
  assert_int_equal(post(TOKEN, AS_KEY, ""), 400);
  assert_true(fixture.rows[fixture.row_count - 1].ended);
  ring.count = 0;
  snprintf(row->key.permissions, sizeof row->key.permissions, "services");
  assert_int_equal(post(TOKEN, AS_KEY, ""), 503);
  check_body("{\"text\":\"the access token cannot be made\"}");
  assert_true(fixture.rows[fixture.row_count - 1].ended);
}

/* ---- POST /v1/auth/token ---- */

static void a_service_key_opens_a_session(void **state) {
  (void)state;
  assert_int_equal(post(TOKEN, AS_KEY, ""), 200);
  const subtoken_claims *claims = check_pair(900);
  const st_key *row = &fixture.rows[fixture.row_count - 1].key;
  assert_int_equal(row->kind, ST_KIND_SERVICE);
  check_permissions(claims, KEY_PERMISSIONS);
  check_text(claims, claims->sid, row->id);
  assert_string_equal(fixture.who, "key " KEY_ID);
  assert_string_equal(fixture.grantor, KEY_ID);
  assert_true(fixture.asked_until == NOW + 30 * DAY);
  assert_int_equal(post(TOKEN, "X-API-Key: " KEY "\n", ""), 200);
}

static void other_credentials_open_no_service_session(void **state) {
  (void)state;
  static char login[SUBTOKEN_ISSUED_MAX + 256], service_login[SUBTOKEN_ISSUED_MAX + 128];
  fixture_row *alice = fixture_row_of("A11CE000-0000-0000-0000-000000000000");
  snprintf(alice->key.permissions, sizeof alice->key.permissions, "services");
  snprintf(login, sizeof login, "%s", access_of(AS_JSON, LOGIN, ALICE));
  snprintf(service_login, sizeof service_login, "%s", access_of(AS_KEY, TOKEN, ""));
  size_t log_ins = fixture.log_ins;
  const struct {
    const char *target, *headers, *body;
    int status;
    const char *event;
  } rows[] = {
      {TOKEN, "", "", 401, "auth_missing"},
      {TOKEN, AS_POOR, "", 403, "perm"},
      {TOKEN, AS_KEY AS_JSON, "{\"a\":1}", 400, "bad_request"},
      {TOKEN, AS_KEY, "{}", 400, "bad_request"},
      {TOKEN "?access_token=" KEY, "", "", 400, "bad_request"},
      {TOKEN, login, "", 403, "escalation"},
      {TOKEN, service_login, "", 403, "escalation"},
      {TOKEN, AS_ALICE, "", 403, "escalation"},
      {TOKEN, bearer(subtoken_of_key("services", NULL, NOW + 60)), "", 403, "escalation"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(post(rows[i].target, rows[i].headers, rows[i].body) == rows[i].status, "%zu: %d", i,
          reply.status);
    check_event(rows[i].event);
  }
  assert_int_equal(fixture.log_ins, log_ins);
}

/* As createsubtoken is counted (G4): what its sessions make, too. */
static void sessions_of_a_service_key_are_rate_limited(void **state) {
  (void)state;
  char session[SUBTOKEN_ISSUED_MAX + 128];
  settings.rate_per_second = 1;
  settings.rate_burst = 3;
  snprintf(session, sizeof session, "%s", access_of(AS_KEY, TOKEN, ""));
  assert_int_equal(post(TOKEN, AS_KEY, ""), 200);
  assert_int_equal(get("/v2/createsubtoken", session), 200);
  size_t log_ins = fixture.log_ins;
  assert_int_equal(post(TOKEN, AS_KEY, ""), 429);
  check_event("rate");
  assert_true(reply.retry_after >= 1);
  assert_int_equal(get("/v2/createsubtoken", session), 429);
  assert_int_equal(get("/v2/createsubtoken", AS_KEY), 429);
  assert_int_equal(fixture.log_ins, log_ins);
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200); /* another's */
}

static void the_number_of_sessions_is_limited(void **state) {
  (void)state;
  assert_int_equal(post(TOKEN, AS_KEY, ""), 200);
  assert_int_equal(fixture.most_sessions, 100);
  settings.sessions_per_key = 7;
  assert_int_equal(post(TOKEN, AS_KEY, ""), 200);
  assert_int_equal(fixture.most_sessions, 7);
  assert_int_equal(post(LOGIN, AS_JSON, ALICE), 200);
  assert_int_equal(fixture.most_sessions, ST_SESSIONS_PER_USER);
}

/* ---- POST /v1/auth/refresh ---- */

static const char *refresh_body(const char *token) {
  static char body[128];
  snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
  return body;
}

static void a_refresh_gives_a_new_pair(void **state) {
  (void)state;
  settings.refresh_retry = 17;
  char first[ST_REFRESH_LEN + 1], second[ST_REFRESH_LEN + 1];
  (void)post(LOGIN, AS_JSON, ALICE);
  snprintf(first, sizeof first, "%s", member("refresh_token"));
  const st_key *row = &fixture.rows[fixture.row_count - 1].key;
  settings.refresh_life = 86400;
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(first)), 200);
  const subtoken_claims *claims = check_pair(900);
  snprintf(second, sizeof second, "%s", member("refresh_token"));
  assert_string_not_equal(first, second);
  check_permissions(claims, "account,guilds,users,audit");
  check_text(claims, claims->sub, row->sub);
  check_text(claims, claims->sid, row->id);
  assert_true(fixture.asked_until == NOW + 86400 && fixture.refresh_retry == 17);
  assert_string_equal(fixture.who, "nobody");
  assert_string_equal(reply.event.key_id, row->id);
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(second)), 200);
  /* One that was used ends them all. */
  (void)post(REFRESH, AS_JSON, refresh_body(first));
  check_unauthorized("refresh_reused");
  (void)post(REFRESH, AS_JSON, refresh_body(second));
  check_unauthorized("refresh_unknown");
}

static void a_bad_refresh_token_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body;
    int status;
    bool asked;
  } rows[] = {
      {AS_JSON, "{\"token\":\"0000000000000000000000000000000000000099999\"}", 401, true},
      {AS_JSON, "{\"token\":\"000000000000000000000000000000000000009999\"}", 401, false},
      {AS_JSON, "{\"token\":\"00000000000000000000000000000000000000999999\"}", 401, false},
      {AS_JSON, "{\"token\":\"\"}", 401, false},
      {AS_JSON, "{\"token\":\"00000000000000000000000000000000000000 9999\"}", 401, false},
      {AS_JSON, "{\"token\":\"" KEY "\"}", 401, false},
      {AS_KEY AS_JSON, "{\"token\":\"\"}", 401, false},
      {AS_JSON, "{\"refresh_token\":\"\"}", 400, false},
      {AS_JSON, "{\"token\":null}", 400, false},
      {AS_JSON, "", 400, false},
      {"", "{\"token\":\"0000000000000000000000000000000000000099999\"}", 415, false},
      {AS_FORM, "token=0000000000000000000000000000000000000099999", 415, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t before = fixture.refreshes;
    CHECK(post(REFRESH, rows[i].headers, rows[i].body) == rows[i].status, "%zu: %d", i,
          reply.status);
    if (reply.status == 401) check_unauthorized("refresh_unknown");
    CHECK((fixture.refreshes > before) == rows[i].asked, "%zu", i);
  }
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(post(REFRESH, AS_JSON, rows[0].body), 503);
  check_event("store_error");
  assert_true(reply.retry_after > 0);
  fixture.outcome = ST_STORE_BUSY;
  assert_int_equal(post(REFRESH, AS_JSON, rows[0].body), 503);
  check_event("store_busy");
}

/* A refresh token is good for nothing else. */
static void a_refresh_token_is_no_credential(void **state) {
  (void)state;
  char token[ST_REFRESH_LEN + 1];
  (void)post(LOGIN, AS_JSON, ALICE);
  snprintf(token, sizeof token, "%s", member("refresh_token"));
  assert_int_equal(post(LOGOUT, bearer(token), ""), 401);
  assert_int_equal(fixture_ask_at("GET", "/v2/tokeninfo", bearer(token), "", NOW_US), 401);
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(token)), 200);
}

/* It costs neither the session nor its refresh token: that is good when it can be made again. */
static void a_refresh_that_makes_no_token_changes_nothing(void **state) {
  (void)state;
  char token[ST_REFRESH_LEN + 1];
  (void)post(LOGIN, AS_JSON, ALICE);
  snprintf(token, sizeof token, "%s", member("refresh_token"));
  fixture_row *row = &fixture.rows[fixture.row_count - 1];
  st_key before = row->key;
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(token)), 400);
  check_event("issue_denied");
  assert_true(!row->ended && fixture.refreshes == 0 && fixture.log_outs == 0);
  row->key = before;
  size_t secrets = ring.count;
  ring.count = 0;
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(token)), 503);
  assert_true(!row->ended && fixture.refreshes == 0 && fixture.log_outs == 0);
  ring.count = (uint8_t)secrets;
  assert_int_equal(post(REFRESH, AS_JSON, refresh_body(token)), 200);
  assert_int_equal(fixture.refreshes, 1);
}

/* ---- POST /v1/auth/logout ---- */

static void a_log_out_ends_the_session(void **state) {
  (void)state;
  static char headers[SUBTOKEN_ISSUED_MAX + 256];
  for (int i = 0; i < 2; i++) {
    assert_int_equal(i == 0 ? post(LOGIN, AS_JSON, ALICE) : post(TOKEN, AS_KEY, ""), 200);
    snprintf(headers, sizeof headers, "%s", bearer(member("access_token")));
    fixture_row *row = &fixture.rows[fixture.row_count - 1];
    CHECK(post(LOGOUT, headers, "") == 204, "%d %.*s", reply.status, (int)reply.body_len,
          reply.body);
    assert_int_equal(reply.body_len, 0);
    check_header("Subtoken-Seq: 77\r\n");
    assert_string_equal(fixture.who, i == 0 ? "person alice" : "key " KEY_ID);
    assert_true(row->ended);
    (void)post(LOGOUT, headers, "");
    check_unauthorized("revoked");
  }
}

static void only_a_session_can_log_out(void **state) {
  (void)state;
  static char login[SUBTOKEN_ISSUED_MAX + 256], query[SUBTOKEN_ISSUED_MAX + 128];
  (void)post(LOGIN, AS_JSON, ALICE);
  snprintf(login, sizeof login, "%s", bearer(member("access_token")));
  snprintf(query, sizeof query, LOGOUT "?access_token=%s", member("access_token"));
  assert_int_equal(post(LOGOUT, "", ""), 401);
  assert_int_equal(post(LOGOUT, AS_KEY, ""), 403);
  check_event("escalation");
  assert_int_equal(post(LOGOUT, AS_ALICE, ""), 403);
  assert_int_equal(post(LOGOUT, bearer(subtoken_of_key("services", NULL, NOW + 60)), ""), 403);
  assert_int_equal(post(query, "", ""), 400);
  assert_int_equal(fixture_ask_at("POST", LOGOUT, login, "{}", NOW_US), 400);
  assert_int_equal(fixture.log_outs, 0);
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(post(LOGOUT, login, ""), 503);
  fixture.outcome = ST_STORE_BUSY;
  assert_int_equal(post(LOGOUT, login, ""), 503);
  check_event("store_busy");
  fixture.outcome = ST_STORE_NOT_FOUND;
  (void)post(LOGOUT, login, "");
  check_unauthorized("revoked");
}

/* What is derived from a login's token is no login. */
static void a_subtoken_of_a_session_is_no_session(void **state) {
  (void)state;
  (void)post(LOGIN, AS_JSON, ALICE);
  assert_int_equal(
      post("/v2/createsubtoken?permissions=account,users", bearer(member("access_token")), ""),
      200);
  const char *line = bearer(member("subtoken"));
  assert_int_equal(post(LOGOUT, line, ""), 403);
  assert_int_equal(fixture.log_outs, 0);
}

static void only_post_is_answered(void **state) {
  (void)state;
  static const char *const routes[] = {LOGIN, TOKEN, REFRESH, LOGOUT};
  static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "TRACE"};
  for (size_t i = 0; i < COUNT(routes); i++) {
    for (size_t j = 0; j < COUNT(methods); j++) {
      int status = fixture_ask_at(methods[j], routes[i], AS_KEY, "", NOW_US);
      CHECK(status == 405, "%s %s: %d", methods[j], routes[i], status);
      assert_string_equal(reply.allow, "POST, OPTIONS");
    }
    assert_int_equal(fixture_ask_at("OPTIONS", routes[i], "", "", NOW_US), 204);
    assert_true(reply.preflight);
  }
  assert_int_equal(post(LOGIN "/", AS_JSON, ALICE), 404);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(usernames_have_a_form, fixture_set_up),
      cmocka_unit_test_setup(a_user_is_made, fixture_set_up),
      cmocka_unit_test_setup(a_user_ends_with_its_grantor, fixture_set_up),
      cmocka_unit_test_setup(a_bad_user_is_refused, fixture_set_up),
      cmocka_unit_test_setup(passwords_have_8_to_1024_bytes, fixture_set_up),
      cmocka_unit_test_setup(a_subtoken_makes_no_user, fixture_set_up),
      cmocka_unit_test_setup(a_user_that_is_not_stored_is_told, fixture_set_up),
      cmocka_unit_test_setup(who_registers_has_no_permissions, fixture_set_up),
      cmocka_unit_test_setup(registrations_of_an_address_are_limited, fixture_set_up),
      cmocka_unit_test_setup(a_session_is_a_pair_of_tokens, fixture_set_up),
      cmocka_unit_test_setup(wrong_credentials_look_alike, fixture_set_up),
      cmocka_unit_test_setup(a_log_in_is_read_strictly, fixture_set_up),
      cmocka_unit_test_setup(failed_log_ins_are_limited, fixture_set_up),
      cmocka_unit_test_setup(guesses_elsewhere_do_not_keep_the_owner_out, fixture_set_up),
      cmocka_unit_test_setup(an_unchecked_password_is_no_attempt, fixture_set_up),
      cmocka_unit_test_setup(a_session_that_is_not_stored_is_told, fixture_set_up),
      cmocka_unit_test_setup(a_session_without_a_token_does_not_remain, fixture_set_up),
      cmocka_unit_test_setup(a_service_key_opens_a_session, fixture_set_up),
      cmocka_unit_test_setup(other_credentials_open_no_service_session, fixture_set_up),
      cmocka_unit_test_setup(sessions_of_a_service_key_are_rate_limited, fixture_set_up),
      cmocka_unit_test_setup(the_number_of_sessions_is_limited, fixture_set_up),
      cmocka_unit_test_setup(a_refresh_gives_a_new_pair, fixture_set_up),
      cmocka_unit_test_setup(a_bad_refresh_token_is_refused, fixture_set_up),
      cmocka_unit_test_setup(a_refresh_token_is_no_credential, fixture_set_up),
      cmocka_unit_test_setup(a_refresh_that_makes_no_token_changes_nothing, fixture_set_up),
      cmocka_unit_test_setup(a_log_out_ends_the_session, fixture_set_up),
      cmocka_unit_test_setup(only_a_session_can_log_out, fixture_set_up),
      cmocka_unit_test_setup(a_subtoken_of_a_session_is_no_session, fixture_set_up),
      cmocka_unit_test_setup(only_post_is_answered, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
