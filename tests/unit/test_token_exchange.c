/* exchange: access tokens for keys and subtokens, by RFC 8693 and by a vendor's API; the hash of a
 * string.
 */
#include "service_fixture.h"

#define OAUTH "/oauth/token"
#define VENDOR "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken"
#define HASH "/utils/hash/secure"
#define GRANT "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE "urn:ietf:params:oauth:token-type:"
#define SUBJECT(token) "&subject_token=" token "&subject_token_type=" TYPE "access_token"
#define GOOD GRANT SUBJECT(KEY)
#define GRANT_TYPES                                                       \
  "grant_type: must be urn:ietf:params:oauth:grant-type:token-exchange, " \
  "client_credentials or refresh_token"
#define NOT_GOOD "subject_token: not accepted"

/* Claims of an access token that was exchanged: no login's, and as short as it has to be. */
static const subtoken_claims *check_exchanged(const char *member_name, int64_t life) {
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  const subtoken_claims *claims = claims_of(member(member_name));
  CHECK(claims->exp == NOW + life, "%lld", (long long)(claims->exp - NOW));
  assert_int_equal(claims->sid.len, 0);
  return claims;
}

static void check_error(const char *error, const char *text) {
  static char body[1024];
  snprintf(body, sizeof body, "{\"error\":\"%s\",\"error_description\":\"%s\",\"text\":\"%s\"}",
           error, text, text);
  check_body(body);
  assert_null(reply.challenge);
  assert_false(reply.basic_challenge);
  assert_non_null(reply.event.name);
}

/* ---- RFC 8693 ---- */

static void a_key_is_exchanged_for_a_token(void **state) {
  (void)state;
  static char tail[512];
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 200);
  const subtoken_claims *claims = check_exchanged("access_token", 900);
  check_permissions(claims, KEY_PERMISSIONS);
  check_text(claims, claims->sub, fixture_row_of(KEY_ID)->key.sub);
  assert_true(claims->every_url);
  check_body_starts("{\"access_token\":\"");
  snprintf(tail, sizeof tail,
           "{\"access_token\":\"%s\",\"issued_token_type\":\"" TYPE
           "access_token\",\"token_type\":\"Bearer\",\"expires_in\":900,\"scope\":\"account guilds "
           "users keys services audit\"}",
           member("access_token"));
  check_body(tail);
  check_header("Pragma: no-cache\r\n");
  assert_string_equal(reply.event.key_id, KEY_ID);
  assert_int_equal(strlen(reply.event.credential), ST_CREDENTIAL_TAG_LEN);
  assert_null(reply.event.name);
}

static void a_scope_narrows_the_token(void **state) {
  (void)state;
  static const struct {
    const char *scope, *permissions, *granted; /* permissions NULL: invalid_scope */
  } rows[] = {
      {"&scope=", KEY_PERMISSIONS, "account guilds users keys services audit"},
      {"&scope=guilds", "guilds", "guilds"},
      {"&scope=guilds+account", "guilds,account", "guilds account"},
      {"&scope=guilds%20account+guilds", "guilds,account", "guilds account"},
      {"&scope=inventories", NULL, NULL},
      {"&scope=guilds+inventories", NULL, NULL},
      {"&scope=guilds++account", NULL, NULL},
      {"&scope=+guilds", NULL, NULL},
      {"&scope=guilds+", NULL, NULL},
      {"&scope=+", NULL, NULL},
      {"&scope=guilds,account", NULL, NULL},
      {"&scope=guilds%09account", NULL, NULL},
      {"&scope=guilds%00", NULL, NULL},
      {"&scope=%22", NULL, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[512];
    snprintf(body, sizeof body, GOOD "%s", rows[i].scope);
    int status = post(OAUTH, AS_FORM, body);
    CHECK(status == (rows[i].permissions != NULL ? 200 : 400), "%s: %d", rows[i].scope, status);
    if (status == 400) {
      check_error("invalid_scope", "scope: must not exceed that of the subject_token");
      continue;
    }
    check_permissions(check_exchanged("access_token", 900), rows[i].permissions);
    assert_string_equal(member("scope"), rows[i].granted);
  }
}

static void a_scope_has_64_names_at_most(void **state) {
  (void)state;
  static char body[1024];
  for (int count = 64; count <= 65; count++) {
    st_writer writer = st_writer_on(body, sizeof body);
    st_write_literal(&writer, GOOD "&scope=guilds");
    for (int i = 1; i < count; i++) st_write_literal(&writer, "+guilds");
    assert_true(st_writer_end(&writer));
    assert_int_equal(post(OAUTH, AS_FORM, body), count == 64 ? 200 : 400);
  }
  check_error("invalid_scope", "scope: too many entries (maximum 64)");
  /* One that has none has none to give, and says so. */
  fixture_row_of(KEY_ID)->key.permissions[0] = '\0';
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 200);
  assert_string_equal(member("scope"), "");
  assert_int_equal(post(OAUTH, AS_FORM, GOOD "&scope=guilds"), 400);
}

static void token_types_are_checked(void **state) {
  (void)state;
  static char body[SUBTOKEN_ISSUED_MAX + 512];
  const char *token = subtoken_of_key("account", NULL, NOW + 5000);
  static const struct {
    const char *subject_type, *requested;
    bool key, good;
    const char *issued;
  } rows[] = {
      {TYPE "access_token", "", true, true, TYPE "access_token"},
      {TYPE "access_token", "", false, true, TYPE "access_token"},
      {TYPE "jwt", "", false, true, TYPE "access_token"},
      {TYPE "jwt", "", true, false, NULL}, /* a key is none */
      {TYPE "access_token", "&requested_token_type=" TYPE "jwt", true, true, TYPE "jwt"},
      {TYPE "jwt", "&requested_token_type=" TYPE "access_token", false, true, TYPE "access_token"},
      {TYPE "jwt", "&requested_token_type=", false, true, TYPE "access_token"},
      {TYPE "jwt", "&requested_token_type=" TYPE "refresh_token", false, false, NULL},
      {TYPE "refresh_token", "", false, false, NULL},
      {TYPE "saml2", "", false, false, NULL},
      {TYPE, "", false, false, NULL},
      {"jwt", "", false, false, NULL},
      {"", "", false, false, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(body, sizeof body, GRANT "&subject_token=%s&subject_token_type=%s%s",
             rows[i].key ? KEY : token, rows[i].subject_type, rows[i].requested);
    CHECK(post(OAUTH, AS_FORM, body) == (rows[i].good ? 200 : 400), "%zu: %d", i, reply.status);
    if (rows[i].good) {
      assert_string_equal(member("issued_token_type"), rows[i].issued);
      assert_string_equal(member("token_type"), "Bearer");
    } else {
      assert_string_equal(member("error"), "invalid_request");
    }
  }
}

static void bad_requests_have_oauth_errors(void **state) {
  (void)state;
  static const struct {
    const char *headers, *body, *error, *text;
  } rows[] = {
      {AS_JSON, "{}", "invalid_request", "Content-Type: must be application/x-www-form-urlencoded"},
      {"", GOOD, "invalid_request", "Content-Type: must be application/x-www-form-urlencoded"},
      {AS_FORM AS_FORM, GOOD, "invalid_request",
       "Content-Type: must be application/x-www-form-urlencoded"},
      {AS_FORM, "", "invalid_request", "grant_type: is missing"},
      {"", "", "invalid_request", "grant_type: is missing"},
      {AS_FORM, SUBJECT(KEY), "invalid_request", "grant_type: is missing"},
      {AS_FORM, "grant_type=" SUBJECT(KEY), "invalid_request", "grant_type: is missing"},
      {AS_FORM, "grant_type=password" SUBJECT(KEY), "unsupported_grant_type", GRANT_TYPES},
      {AS_FORM, GRANT "x" SUBJECT(KEY), "unsupported_grant_type", GRANT_TYPES},
      {AS_FORM, GOOD "&" GRANT, "invalid_request", "a parameter is given more than once"},
      {AS_FORM, GOOD "&subject_token=" KEY, "invalid_request",
       "a parameter is given more than once"},
      {AS_FORM, GOOD "&scope=account&scope=guilds", "invalid_request",
       "a parameter is given more than once"},
      {AS_FORM, GOOD "&x=%4", "invalid_request", "a % needs two hex digits behind it"},
      {AS_FORM, GOOD "&resource=https://api.test/", "invalid_target", "resource: not supported"},
      {AS_FORM, GOOD "&audience=a&audience=b", "invalid_target",
       "audience: a token is for one audience; ask for one token each"},
      {AS_FORM, GOOD "&audience=https://api.test/", "invalid_target",
       "audience: must be 1 to 32 characters A-Za-z0-9_-"},
      {AS_FORM, GOOD "&actor_token=" KEY, "invalid_request",
       "actor_token: delegation is not supported"},
      {AS_FORM, GOOD "&actor_token_type=" TYPE "jwt", "invalid_request",
       "actor_token: delegation is not supported"},
      {AS_FORM, GRANT, "invalid_request", "subject_token: is missing"},
      {AS_FORM, GRANT "&subject_token=&subject_token_type=" TYPE "jwt", "invalid_request",
       "subject_token: is missing"},
      {AS_FORM, GRANT "&subject_token=" KEY, "invalid_request",
       "subject_token_type: must be " TYPE "access_token or " TYPE "jwt"},
      {AS_FORM, GOOD "&requested_token_type=x", "invalid_request",
       "requested_token_type: must be " TYPE "access_token or " TYPE "jwt"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(post(OAUTH, rows[i].headers, rows[i].body) == 400, "%zu: %d", i, reply.status);
    check_error(rows[i].error, rows[i].text);
    check_event("bad_request");
  }
}

/* RFC 8693 section 2.1: a token for one audience, which nothing made of it can leave. */
static void an_audience_is_exchanged_for(void **state) {
  (void)state;
  static subtoken_claims claims;
  static char token[SUBTOKEN_ISSUED_MAX + 1], body[SUBTOKEN_ISSUED_MAX + 400];
  assert_int_equal(post(OAUTH, AS_FORM, GOOD "&audience=eu&scope=account"), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(token), &claims), SUBTOKEN_OK);
  assert_true(claims.aud_derived && subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  assert_int_equal(claims.via_count, 0);
  static const struct {
    const char *more;
    int status;
  } rows[] = {{"", 200}, {"&audience=eu", 200}, {"&audience=us", 400}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(body, sizeof body, GRANT "&subject_token_type=" TYPE "jwt&subject_token=%s%s", token,
             rows[i].more);
    CHECK(post(OAUTH, AS_FORM, body) == rows[i].status, "%s: %d", rows[i].more, reply.status);
    if (reply.status != 200) continue;
    assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(member("access_token")), &claims),
                     SUBTOKEN_OK);
    assert_true(claims.aud_derived && subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
    assert_int_equal(claims.via_count, 1);
  }
  check_error("invalid_target", "audience: must be that of the subject_token");
  check_event("aud");
  snprintf(fixture_row_of(KEY_ID)->key.audience, ST_AUDIENCE_MAX, "us"); /* a bound key */
  assert_int_equal(post(OAUTH, AS_FORM, GOOD "&audience=eu"), 400);
  check_error("invalid_target", "audience: must be that of the subject_token");
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(token), &claims), SUBTOKEN_OK);
  assert_true(subtoken_claims_has_audience(&claims, ST_TEXT("us")));
}

/* What is no parameter of ours, and what has no value, is as if it were not there. */
static void unknown_and_empty_parameters_are_ignored(void **state) {
  (void)state;
  static const char *const more[] = {
      "&client_id=a&client_id=b&client_secret=c",
      "&scope=&scope=", "&resource=&audience=&actor_token=&actor_token_type=", "&x=1&x=2&",
      "&requested_token_type="};
  for (size_t i = 0; i < COUNT(more); i++) {
    char body[512];
    snprintf(body, sizeof body, GOOD "%s", more[i]);
    CHECK(post(OAUTH, AS_FORM, body) == 200, "%s: %d", more[i], reply.status);
  }
  assert_int_equal(
      post(OAUTH, "Content-Type: APPLICATION/x-www-form-urlencoded ; charset=utf-8\n", GOOD), 200);
}

/* Headers and the query tell of the client, never of the subject. */
static void only_the_subject_token_counts(void **state) {
  (void)state;
  static const char *const headers[] = {AS_ALICE, AS_POOR, "X-API-Key: x\n",
                                        "Authorization: Basic x\n", AS_POOR AS_KEY};
  for (size_t i = 0; i < COUNT(headers); i++) {
    char lines[512];
    snprintf(lines, sizeof lines, "%s" AS_FORM, headers[i]);
    CHECK(post(OAUTH "?access_token=x", lines, GOOD) == 200, "%s: %d", headers[i], reply.status);
    assert_string_equal(reply.event.key_id, KEY_ID);
    CHECK(post(OAUTH "?access_token=" KEY, lines, GRANT) == 400, "%s", headers[i]);
    check_error("invalid_request", "subject_token: is missing");
  }
  assert_int_equal(fixture.checks, 0);
}

/* One answer for each reason: which it was is for the log. */
static void each_bad_subject_looks_alike(void **state) {
  (void)state;
  static char long_one[SUBTOKEN_ISSUED_MAX + 1], expired[SUBTOKEN_ISSUED_MAX + 1],
      restricted[SUBTOKEN_ISSUED_MAX + 1], other_method[SUBTOKEN_ISSUED_MAX + 1];
  static char body[SUBTOKEN_ISSUED_MAX + 512];
  snprintf(expired, sizeof expired, "%s", subtoken_of_key("account", NULL, NOW - 61));
  snprintf(restricted, sizeof restricted, "%s", subtoken_of_key("account", "/v2/x", NOW + 60));
  snprintf(other_method, sizeof other_method, "%s",
           subtoken_of_key("account", "GET:" OAUTH, NOW + 60));
  snprintf(long_one, sizeof long_one, "%s", subtoken_of_key("account", NULL, NOW + 60));
  long_one[strlen(long_one) - 1] ^= 1;
  fixture_row *row = fixture_add(ST_KIND_KEY, "D15AB1ED-0000-0000-0000-000000000000", "", "x",
                                 "account", ST_NEVER);
  static const char string[] = "a-registered-string";
  assert_true(st_key_string_hash(st_text(string), row->digest));
  const struct {
    const char *subject, *event;
  } rows[] = {
      {"01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEE", "key_unknown"},
      {"x", "malformed"},
      {"a-registered-string", "malformed"},
      {"0000000000000000000000000000000000000001000", "malformed"}, /* a refresh token */
      {"YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ==", "malformed"},
      {"alice:" PASSWORD, "malformed"},
      {expired, "expired"},
      {restricted, "url"},
      {other_method, "url"},
      {long_one, "mac"},
  };
  settings.basic_challenge = true; /* asks for Basic with a 401, which is not among these */
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(body, sizeof body, GRANT "&subject_token=%s&subject_token_type=" TYPE "access_token",
             rows[i].subject);
    CHECK(post(OAUTH, AS_FORM, body) == 400, "%zu: %d", i, reply.status);
    check_error("invalid_request", NOT_GOOD);
    if (strcmp(rows[i].event, "mac") != 0) check_event(rows[i].event);
  }
  fixture_row_of(KEY_ID)->key.disabled = true;
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 400);
  check_error("invalid_request", NOT_GOOD);
  check_event("key_disabled");
  fixture.broken = true;
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 503);
  check_error("temporarily_unavailable", "the key store cannot be read; try again later");
  assert_true(reply.retry_after > 0);
}

/* It keeps the bounds of what it is exchanged for. */
static void a_token_keeps_the_bounds_of_its_subject(void **state) {
  (void)state;
  static char body[SUBTOKEN_ISSUED_MAX + 512];
  snprintf(body, sizeof body, GRANT "&subject_token=%s&subject_token_type=" TYPE "jwt",
           subtoken_of_key("guilds,inventories", "POST:" OAUTH ",/v2/a/*", NOW + 100));
  assert_int_equal(post(OAUTH, AS_FORM, body), 200);
  const subtoken_claims *claims = check_exchanged("access_token", 100);
  check_permissions(claims, "guilds"); /* the key has not the other any more */
  assert_false(claims->every_url);
  check_list(claims, claims->urls, claims->url_count, "POST:" OAUTH ",/v2/a/*");
  assert_int_equal(post(OAUTH, AS_FORM, GRANT SUBJECT(POOR_KEY)), 200);
  check_permissions(check_exchanged("access_token", 600), "account");
  /* A path with slashes that collapse is the same path. */
  assert_int_equal(post("/oauth//token", AS_FORM, body), 200);
  /* A subject that lives by the leeway alone makes nothing. */
  snprintf(body, sizeof body, GRANT "&subject_token=%s&subject_token_type=" TYPE "jwt",
           subtoken_of_key("guilds", NULL, NOW - 1));
  assert_int_equal(post(OAUTH, AS_FORM, body), 400);
  check_error("invalid_request", "the credential has expired");
  /* No longer than any subtoken may live. */
  settings.access_life = 1000;
  settings.max_life = 500;
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 200);
  (void)check_exchanged("access_token", 500);
}

/* What is exchanged for a login's token belongs to that login, and is none itself. */
static void a_session_is_exchanged_for_its_subtoken(void **state) {
  (void)state;
  static char body[SUBTOKEN_ISSUED_MAX + 512];
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  snprintf(body, sizeof body,
           GRANT "&scope=account&subject_token=%s&subject_token_type=" TYPE "jwt",
           member("access_token"));
  assert_int_equal(post(OAUTH, AS_FORM, body), 200);
  const subtoken_claims *claims = check_exchanged("access_token", 900);
  check_permissions(claims, "account");
  check_text(claims, claims->sub, fixture.rows[fixture.row_count - 1].key.sub);
  const char *line = bearer(member("access_token"));
  assert_int_equal(post("/v1/auth/logout", line, ""), 403);
  fixture.rows[fixture.row_count - 1].ended = true;
  assert_int_equal(fixture_ask_at("GET", "/v2/tokeninfo", line, "", NOW_US), 401);
}

static void a_token_that_cannot_be_made_is_told(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  assert_int_equal(post(OAUTH, AS_FORM, GOOD), 400);
  check_error("invalid_request",
              "the access token would be longer than 4096 bytes: too many permissions and urls");
  check_event("issue_denied");
  assert_int_equal(post(VENDOR, AS_KEY, ""), 400);
  check_body(
      "{\"text\":\"the access token would be longer than 4096 bytes: too many permissions "
      "and urls\"}");
  ring.count = 0;
  assert_int_equal(post(OAUTH, AS_FORM, GRANT SUBJECT(POOR_KEY)), 503);
  check_error("temporarily_unavailable", "the access token cannot be made");
  assert_int_equal(post(VENDOR, AS_POOR, ""), 503);
}

/* ---- the vendor's API ---- */

static void the_vendor_route_answers(void **state) {
  (void)state;
  static char expected[SUBTOKEN_ISSUED_MAX + 128];
  static const struct {
    const char *target, *headers, *body;
    int status;
  } rows[] = {
      {VENDOR, AS_KEY, "", 200},
      {VENDOR "/", AS_KEY, "", 200},
      {"/m42Services//api/ApiToken///GenerateAccessTokenFromApiToken//", AS_KEY, "", 200},
      {VENDOR, AS_KEY AS_FORM, "", 200},
      {VENDOR, AS_KEY "Content-Type: text/plain\n", " \t\r\n", 200},
      {VENDOR, AS_KEY AS_JSON, " { } ", 200},
      {VENDOR, AS_KEY AS_JSON, "{\"x\":[1]}", 200},
      {VENDOR, "X-API-Key: " KEY "\n", "", 200},
      {VENDOR "?access_token=" KEY, "", "", 200},
      {VENDOR, AS_KEY AS_JSON, "[]", 400},
      {VENDOR, AS_KEY AS_JSON, "{}{}", 400},
      {VENDOR, AS_KEY AS_JSON, "null", 400},
      {VENDOR, AS_KEY, "{}", 415},
      {VENDOR, AS_KEY AS_FORM, "{}", 415},
      {VENDOR, AS_KEY AS_FORM, "a=b", 415},
      {VENDOR, "", "", 401},
      {VENDOR, "X-API-Key: x\n", "", 401},
      {VENDOR, AS_POOR "X-API-Key: " KEY "\n", "", 400},
      {VENDOR "/x", AS_KEY, "", 404},
      {VENDOR "x", AS_KEY, "", 404},
      {"/m42services/api/ApiToken/GenerateAccessTokenFromApiToken", AS_KEY, "", 404},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = post(rows[i].target, rows[i].headers, rows[i].body);
    CHECK(status == rows[i].status, "%zu: %d %.*s", i, status, (int)reply.body_len, reply.body);
    if (status != 200) continue;
    check_permissions(check_exchanged("RawToken", 900), KEY_PERMISSIONS);
    snprintf(expected, sizeof expected,
             "{\"RawToken\":\"%s\",\"LifeTime\":\"2023-11-14T22:28:20Z\"}", member("RawToken"));
    check_body(expected);
  }
  assert_int_equal(fixture_ask_at("GET", VENDOR, AS_KEY, "", NOW_US), 405);
  assert_int_equal(fixture_ask_at("HEAD", VENDOR "/", AS_KEY, "", NOW_US), 405);
}

static void the_vendor_route_takes_a_subtoken(void **state) {
  (void)state;
  assert_int_equal(
      post(VENDOR, bearer(subtoken_of_key("guilds", "POST:" VENDOR ",/v2/a", NOW + 100)), ""), 200);
  const subtoken_claims *claims = check_exchanged("RawToken", 100);
  check_permissions(claims, "guilds");
  check_list(claims, claims->urls, claims->url_count, "POST:" VENDOR ",/v2/a");
  assert_string_equal(member("LifeTime"), "2023-11-14T22:15:00Z");
  assert_int_equal(post(VENDOR, bearer(subtoken_of_key("guilds", "/v2/a", NOW + 100)), ""), 403);
  check_event("url");
  assert_int_equal(post(VENDOR, bearer(subtoken_of_key("guilds", NULL, NOW - 1)), ""), 400);
  check_event("issue_denied");
}

/* ---- the hash of a string ---- */

static void a_string_is_hashed(void **state) {
  (void)state;
  static const char *const names[] = {"text", "string", "value"};
  uint8_t digest[32];
  char encoded[64], expected[128], body[128];
  assert_true(st_key_string_hash(ST_TEXT("0123456789abcdef"), digest));
  st_writer writer = st_writer_on(encoded, sizeof encoded);
  st_base64url_write(&writer, digest, sizeof digest);
  assert_true(st_writer_end(&writer));
  assert_int_equal(strlen(encoded), 43);
  snprintf(expected, sizeof expected, "{\"hash\":\"%s\"}", encoded);
  for (size_t i = 0; i < COUNT(names); i++) {
    snprintf(body, sizeof body, "{\"%s\":\"0123456789abcdef\",\"x\":1}", names[i]);
    assert_int_equal(post(HASH, AS_KEY AS_JSON, body), 200);
    check_body(expected);
  }
}

static void a_string_that_looks_like_a_key_is_refused(void **state) {
  (void)state;
  static const char shape[] = "text: must not look like a key or a token";
  static const char length[] = "text: must be 16 to 255 characters";
  static const char ascii[] = "text: must have visible ASCII characters only";
  static const char once[] = "text: must be given exactly once";
  static const struct {
    const char *headers, *body;
    int status;
    const char *text;
  } rows[] = {
      {AS_KEY AS_JSON, "{\"text\":\"0123456789abcde\"}", 400, length},
      {AS_KEY AS_JSON, "{\"text\":\"\"}", 400, length},
      {AS_KEY AS_JSON, "{\"text\":\"0123456789 bcdef\"}", 400, ascii},
      {AS_KEY AS_JSON,
       "{\"text\":\"0123456789\xC3\xAB"
       "bcdef\"}",
       400, ascii},
      {AS_KEY AS_JSON, "{\"text\":\"0123456789\\u007f\\u001b\\n0123\"}", 400, ascii},
      {AS_KEY AS_JSON, "{\"text\":\"" KEY "\"}", 400, shape},
      {AS_KEY AS_JSON, "{\"text\":\"0123456.89abcdef.x\"}", 400, shape},
      {AS_KEY AS_JSON, "{}", 400, once},
      {AS_KEY AS_JSON, "{\"text\":\"0123456789abcdef\",\"value\":\"0123456789abcdef\"}", 400, once},
      {AS_KEY AS_JSON, "{\"text\":1}", 400, "text: must be a string"},
      {AS_KEY AS_FORM, "text=0123456789abcdef", 415, "Content-Type: must be application/json"},
      {AS_POOR AS_JSON, "{\"text\":\"0123456789abcdef\"}", 403, "requires scope keys"},
      {AS_JSON, "{\"text\":\"0123456789abcdef\"}", 401, "Invalid access token"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char body[128];
    CHECK(post(HASH, rows[i].headers, rows[i].body) == rows[i].status, "%zu: %d", i, reply.status);
    snprintf(body, sizeof body, "{\"text\":\"%s\"}", rows[i].text);
    check_body(body);
  }
  static char long_body[512];
  for (int len = 255; len <= 256; len++) {
    snprintf(long_body, sizeof long_body, "{\"text\":\"%0*d\"}", len, 7);
    assert_int_equal(post(HASH, AS_KEY AS_JSON, long_body), len == 255 ? 200 : 400);
  }
  char headers[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(headers, sizeof headers, "%s" AS_JSON, bearer(subtoken_of_key("keys", NULL, NOW + 60)));
  assert_int_equal(post(HASH, headers, "{\"text\":\"0123456789abcdef\"}"), 403);
  check_event("escalation");
}

static void only_post_is_answered(void **state) {
  (void)state;
  static const char *const routes[] = {OAUTH, VENDOR, VENDOR "/", HASH};
  for (size_t i = 0; i < COUNT(routes); i++) {
    assert_int_equal(fixture_ask_at("GET", routes[i], AS_KEY, "", NOW_US), 405);
    assert_string_equal(reply.allow, "POST, OPTIONS");
    assert_int_equal(fixture_ask_at("OPTIONS", routes[i], "", "", NOW_US), 204);
  }
  assert_int_equal(post(OAUTH "/", AS_FORM, GOOD), 404);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_key_is_exchanged_for_a_token, fixture_set_up),
      cmocka_unit_test_setup(a_scope_narrows_the_token, fixture_set_up),
      cmocka_unit_test_setup(a_scope_has_64_names_at_most, fixture_set_up),
      cmocka_unit_test_setup(token_types_are_checked, fixture_set_up),
      cmocka_unit_test_setup(bad_requests_have_oauth_errors, fixture_set_up),
      cmocka_unit_test_setup(an_audience_is_exchanged_for, fixture_set_up),
      cmocka_unit_test_setup(unknown_and_empty_parameters_are_ignored, fixture_set_up),
      cmocka_unit_test_setup(only_the_subject_token_counts, fixture_set_up),
      cmocka_unit_test_setup(each_bad_subject_looks_alike, fixture_set_up),
      cmocka_unit_test_setup(a_token_keeps_the_bounds_of_its_subject, fixture_set_up),
      cmocka_unit_test_setup(a_session_is_exchanged_for_its_subtoken, fixture_set_up),
      cmocka_unit_test_setup(a_token_that_cannot_be_made_is_told, fixture_set_up),
      cmocka_unit_test_setup(the_vendor_route_answers, fixture_set_up),
      cmocka_unit_test_setup(the_vendor_route_takes_a_subtoken, fixture_set_up),
      cmocka_unit_test_setup(a_string_is_hashed, fixture_set_up),
      cmocka_unit_test_setup(a_string_that_looks_like_a_key_is_refused, fixture_set_up),
      cmocka_unit_test_setup(only_post_is_answered, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
