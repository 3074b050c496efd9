/* POST /oauth/introspect. */
#include "oauth_fixture.h"

#define INTROSPECT "/oauth/introspect"
#define ASKER "AAAAAAAA-0000-0000-0000-000000000000AAAAAAAA-0000-0000-0000-000000000000"
#define ASKER_ID "AAAAAAAA-0000-0000-0000-000000000000"
#define AS_ASKER "Authorization: Bearer " ASKER "\n"

static int set_up(void **state) {
  (void)fixture_set_up(state);
  fixture_row *row = fixture_add(ST_KIND_KEY, ASKER_ID, "", "", "introspect,account", ST_NEVER);
  st_sha256(ASKER, ST_KEY_LEN, row->digest);
  fixture_row_of(KEY_ID)->key.created_at = NOW - 5000;
  return 0;
}

static int ask_as(const char *lines, const char *token) {
  static char body[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(body, sizeof body, "token=%s&token_type_hint=refresh_token", token);
  return post(INTROSPECT, form_with(lines), body);
}

static int ask(const char *token) {
  return ask_as(AS_ASKER, token);
}

static void check_inactive(const char *token) {
  CHECK(ask(token) == 200, "%s: %d", token, reply.status);
  check_body("{\"active\":false}");
  check_header("Pragma: no-cache\r\n");
}

static void a_subtoken_is_described(void **state) {
  (void)state;
  char expected[1024];
  assert_int_equal(ask(subtoken_of_key("guilds,inventories", NULL, NOW + 60)), 200);
  snprintf(expected, sizeof expected,
           "{\"active\":true,\"scope\":\"guilds\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld,"
           "\"token_type\":\"Bearer\",\"client_id\":\"" KEY_ID "\",\"username\":\"operations\"}",
           fixture_row_of(KEY_ID)->key.sub, (long long)NOW - 1000, (long long)NOW + 60);
  check_body(expected); /* what the key has no more, the token has not */
  check_header("Pragma: no-cache\r\n");
  assert_string_equal(reply.event.key_id, ASKER_ID);
  assert_null(reply.event.name);
  assert_string_equal(fixture.used, ASKER_ID); /* to be asked about is no use */
  /* One that lists other paths alone. */
  assert_int_equal(ask(subtoken_of_key("", "/v2/x,POST:/mcp", NOW + 60)), 200);
  snprintf(expected, sizeof expected,
           "{\"active\":true,\"scope\":\"\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld,"
           "\"token_type\":\"Bearer\",\"client_id\":\"" KEY_ID
           "\",\"username\":\"operations\","
           "\"urls\":[\"/v2/x\",\"POST:/mcp\"]}",
           fixture_row_of(KEY_ID)->key.sub, (long long)NOW - 1000, (long long)NOW + 60);
  check_body(expected);
}

static void a_whole_key_is_described(void **state) {
  (void)state;
  char expected[1024];
  assert_int_equal(ask(KEY), 200);
  snprintf(expected, sizeof expected,
           "{\"active\":true,\"scope\":\"account guilds users keys services audit\",\"sub\":\"%s\","
           "\"iat\":%lld,\"token_type\":\"Bearer\",\"client_id\":\"" KEY_ID
           "\",\"username\":\"operations\"}",
           fixture_row_of(KEY_ID)->key.sub, (long long)NOW - 5000);
  check_body(expected);
  assert_int_equal(ask(ASKER), 200); /* nobody's, and never over */
  snprintf(expected, sizeof expected,
           "{\"active\":true,\"scope\":\"introspect account\",\"sub\":\"%s\",\"iat\":0,"
           "\"token_type\":\"Bearer\",\"client_id\":\"" ASKER_ID "\"}",
           fixture_row_of(ASKER_ID)->key.sub);
  check_body(expected);
  assert_int_equal(ask(POOR_KEY), 200);
  assert_non_null(memmem(reply.body, reply.body_len, "\"exp\":1700000600,", 17));
}

static void a_session_is_described(void **state) {
  (void)state;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  const char *session = fixture.rows[fixture.row_count - 1].key.id;
  assert_int_equal(ask(token), 200);
  assert_string_equal(member("username"), "alice");
  assert_string_equal(member("client_id"), session);
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(ask(token), 200);
  assert_string_equal(member("client_id"), KEY_ID); /* the key that began it */
  fixture.rows[fixture.row_count - 1].ended = true;
  check_inactive(token);
}

static void all_else_is_inactive(void **state) {
  (void)state;
  static char changed[SUBTOKEN_ISSUED_MAX + 1];
  static const char *const rows[] = {
      "x",
      "a.b.c",
      "%00",
      "alice:" PASSWORD,
      "0000000000000000000000000000000000000001000",
      "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEE"};
  for (size_t i = 0; i < COUNT(rows); i++) check_inactive(rows[i]);
  snprintf(changed, sizeof changed, "%s", subtoken_of_key("guilds", NULL, NOW + 60));
  changed[strlen(changed) - 3] ^= 1;
  check_inactive(changed);
  /* Over is over, though verifiers allow for clocks that differ. */
  check_inactive(subtoken_of_key("guilds", NULL, NOW));
  check_inactive(subtoken_of_key("guilds", NULL, NOW - 61));
  assert_int_equal(ask(subtoken_of_key("guilds", NULL, NOW + 1)), 200);
  assert_non_null(memmem(reply.body, reply.body_len, "true", 4));
  fixture_row *row = fixture_row_of(KEY_ID);
  row->key.disabled = true;
  check_inactive(KEY);
  check_inactive(subtoken_of_key("guilds", NULL, NOW + 60));
  row->key.disabled = false;
  row->ended = true;
  check_inactive(KEY);
  check_inactive(subtoken_of_key("guilds", NULL, NOW + 60));
}

/* Section 2.3: as the resource answers where a token came, as section 5.2 of RFC 6749 where a
 * client did.
 */
static void who_may_not_ask_is_told_nothing(void **state) {
  (void)state;
  assert_int_equal(ask_as("", KEY), 401);
  check_unauthorized("auth_missing");
  assert_int_equal(ask_as("Authorization: Bearer x\n", KEY), 401);
  check_unauthorized("malformed");
  assert_int_equal(ask_as(AS_KEY, KEY), 403);
  check_body("{\"text\":\"requires scope introspect\"}");
  check_event("perm");
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
  assert_int_equal(ask_as(basic_line(KEY_ID ":" KEY), KEY), 403);
  assert_int_equal(ask_as(AS_ALICE, KEY), 401); /* a person is no client */
  check_oauth_error(401, "invalid_client", CLIENT_REFUSED);
  assert_int_equal(fixture.checks, 0);
  assert_int_equal(ask_as(AS_ASKER "X-API-Key: " KEY "\n", KEY), 400);
  check_event("auth_ambiguous");
}

static void a_client_may_ask(void **state) {
  (void)state;
  assert_int_equal(ask_as(basic_line(ASKER_ID ":" ASKER), KEY), 200);
  assert_string_equal(member("client_id"), KEY_ID);
  assert_int_equal(
      post(INTROSPECT, AS_FORM, "token=" KEY "&client_id=" ASKER_ID "&client_secret=" ASKER), 200);
  assert_string_equal(member("client_id"), KEY_ID);
  assert_int_equal(ask_as("X-API-Key: " ASKER "\n", KEY), 200);
  assert_int_equal(post(INTROSPECT, AS_ASKER AS_FORM,
                        "token=" KEY "&client_id=" ASKER_ID "&client_secret=" ASKER),
                   400);
  check_oauth_error(400, "invalid_request", "client_secret: another credential came with it");
  assert_int_equal(
      post(INTROSPECT, AS_FORM, "token=" KEY "&client_id=" ASKER_ID "&client_secret=x"), 401);
  check_oauth_error(401, "invalid_client", CLIENT_REFUSED); /* RFC 7662 section 2.3 */
}

/* A resource server need not hold a whole key. */
static void a_subtoken_may_ask_where_it_lists_the_path(void **state) {
  (void)state;
  static char line[SUBTOKEN_ISSUED_MAX + 64], token[SUBTOKEN_ISSUED_MAX + 1];
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "introspect,guilds");
  static const struct {
    const char *permissions, *urls;
    int status;
  } rows[] = {{"introspect", NULL, 200},
              {"introspect", "POST:" INTROSPECT, 200},
              {"introspect", "/v2/x", 403},
              {"guilds", NULL, 403}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(token, sizeof token, "%s",
             subtoken_of_key(rows[i].permissions, rows[i].urls, NOW + 60));
    snprintf(line, sizeof line, "Authorization: Bearer %s\n", token);
    CHECK(ask_as(line, POOR_KEY) == rows[i].status, "%zu: %d", i, reply.status);
  }
}

static bool says(const char *piece) {
  return memmem(reply.body, reply.body_len, piece, strlen(piece)) != NULL;
}

/* Who is bound to an audience takes its tokens alone, and is told of no others. */
static void an_audience_is_told_and_bounds_who_asks(void **state) {
  (void)state;
  static char token[SUBTOKEN_ISSUED_MAX + 1], line[SUBTOKEN_ISSUED_MAX + 64];
  assert_int_equal(get("/v2/createsubtoken?permissions=guilds&audience=eu", AS_KEY), 200);
  snprintf(token, sizeof token, "%s", member("subtoken"));
  assert_int_equal(ask(token), 200);
  assert_true(says("\"active\":true,\"scope\":\"guilds\"") && says(",\"aud\":\"eu\"}"));
  fixture_row *asker = fixture_row_of(ASKER_ID);
  snprintf(asker->key.audience, ST_AUDIENCE_MAX, "eu");
  assert_int_equal(ask(token), 200);
  assert_true(says("\"active\":true"));
  check_inactive(KEY);
  check_inactive(subtoken_of_key("guilds", NULL, NOW + 60));
  assert_int_equal(ask(ASKER), 200); /* itself */
  assert_true(says("\"active\":true") && says(",\"aud\":\"eu\"}"));
  snprintf(asker->key.audience, ST_AUDIENCE_MAX, "us");
  check_inactive(token);
  asker->key.audience[0] = '\0';
  /* Whoever has the secret for an audience could have made up a token that may ask. */
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "introspect,guilds");
  assert_int_equal(get("/v2/createsubtoken?permissions=introspect&audience=eu", AS_KEY), 200);
  snprintf(line, sizeof line, "Authorization: Bearer %s\n", member("subtoken"));
  assert_int_equal(ask_as(line, token), 403);
}

static void what_is_wrong_with_the_form_is_told(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body, *text;
  } rows[] = {
      {AS_ASKER AS_FORM, "", "token: is missing"},
      {AS_ASKER AS_FORM, "token=", "token: is missing"},
      {AS_ASKER AS_FORM, "token=a&token=a", "a parameter is given more than once"},
      {AS_ASKER AS_FORM, "token=%4", "a % needs two hex digits behind it"},
      {AS_ASKER AS_JSON, "{\"token\":\"a\"}",
       "Content-Type: must be application/x-www-form-urlencoded"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(post(INTROSPECT, rows[i].headers, rows[i].body) == 400, "%zu: %d", i, reply.status);
    check_oauth_error(400, "invalid_request", rows[i].text);
  }
  assert_int_equal(get(INTROSPECT, AS_ASKER), 405);
  assert_string_equal(reply.allow, "POST, OPTIONS");
}

/* Not even of what would be inactive anyway: who asks would take it for known. */
static void a_store_that_cannot_be_read_is_told(void **state) {
  (void)state;
  char line[SUBTOKEN_ISSUED_MAX + 64];
  snprintf(line, sizeof line, "%s", AS_ASKER);
  fixture.broken = true;
  assert_int_equal(ask_as(line, KEY), 503);
  assert_true(reply.retry_after > 0);
}

/* Each parameter that counts comes once, and one credential. */
static void a_client_says_once_who_it_is(void **state) {
  (void)state;
  static const char *const twice[] = {"&client_id=" ASKER_ID, "&client_secret=" ASKER, "&token=x"};
  static const char one[] = "token=" KEY "&client_id=" ASKER_ID "&client_secret=" ASKER;
  char body[1024];
  assert_int_equal(post(INTROSPECT, AS_FORM, one), 200);
  assert_true(says("\"active\":true"));
  for (size_t i = 0; i < COUNT(twice); i++) {
    snprintf(body, sizeof body, "%s%s", one, twice[i]);
    assert_int_equal(post(INTROSPECT, AS_FORM, body), 400);
    check_oauth_error(400, "invalid_request", "a parameter is given more than once");
  }
  /* What another call looks at may come often. */
  snprintf(body, sizeof body, "%s&scope=a&scope=b&refresh_token=a&refresh_token=b", one);
  assert_int_equal(post(INTROSPECT, AS_FORM, body), 200);
  assert_int_equal(post(INTROSPECT, "Authorization: Bearer x\n" AS_FORM, one), 400);
  check_oauth_error(400, "invalid_request", "client_secret: another credential came with it");
}

/* Nothing of an answer is left when none can be given, and nobody is named who is not there. */
static void an_answer_is_whole_or_none(void **state) {
  (void)state;
  assert_int_equal(ask(ASKER), 200);
  assert_true(says("\"client_id\":\"" ASKER_ID "\"") && !says("\"username\""));
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->owner, sizeof row->owner, "b");
  assert_int_equal(ask(KEY), 200);
  assert_true(says(",\"username\":\"b\""));
  snprintf(row->audience, sizeof row->audience, "a b"); /* damaged */
  assert_int_equal(ask(KEY), 503);
  check_event("store_error");
  assert_int_equal(reply.headers_len, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_subtoken_is_described, set_up),
      cmocka_unit_test_setup(a_whole_key_is_described, set_up),
      cmocka_unit_test_setup(a_session_is_described, set_up),
      cmocka_unit_test_setup(all_else_is_inactive, set_up),
      cmocka_unit_test_setup(who_may_not_ask_is_told_nothing, set_up),
      cmocka_unit_test_setup(a_client_may_ask, set_up),
      cmocka_unit_test_setup(a_subtoken_may_ask_where_it_lists_the_path, set_up),
      cmocka_unit_test_setup(an_audience_is_told_and_bounds_who_asks, set_up),
      cmocka_unit_test_setup(a_client_says_once_who_it_is, set_up),
      cmocka_unit_test_setup(an_answer_is_whole_or_none, set_up),
      cmocka_unit_test_setup(what_is_wrong_with_the_form_is_told, set_up),
      cmocka_unit_test_setup(a_store_that_cannot_be_read_is_told, set_up),
  };
  return cmocka_run_group_tests_name("introspect", tests, NULL, NULL);
}
