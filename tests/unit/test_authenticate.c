/* context: the one credential of a request and who it is, what may be done with it, who did it, and
 * the parameters of a query.
 */
#include "service_fixture.h"

#include "base/base64url.h"
#include "service/access.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/credential.h"
#include "service/reply.h"
#include "service/request.h"

#define INFO "/v2/tokeninfo"
#define ALICE_ID "A11CE000-0000-0000-0000-000000000000"
#define STRING "registered-0001!"
#define WRONG_KEY "0EDCBA98-7654-3210-FEDC-BA98765432100EDCBA98-7654-3210-FEDC-BA9876543210"

/* A context without a route, with the query and one header line. */
static st_context context;
static st_request request;
static st_header header;

static st_context *begin(const char *query, const char *name, const char *value) {
  memset(&context, 0x5A, sizeof context);
  memset(&reply, 0, sizeof reply);
  header = (st_header){st_text(name), st_text(value)};
  request = (st_request){.until_us = UNTIL_US,
                         .method = ST_TEXT("GET"),
                         .target = ST_TEXT(INFO),
                         .headers = &header,
                         .header_count = name[0] != '\0',
                         .remote = ST_TEXT(REMOTE),
                         .now = NOW,
                         .now_us = NOW_US};
  fixture.now = NOW;
  context.service = &service;
  context.request = &request;
  context.reply = &reply;
  context.path_len = 0;
  context.path_truncated = false;
  context.query = st_text(query);
  st_credential_clear(&context.credential);
  context.method = request.method;
  context.target = request.target;
  return &context;
}

/* Whether all was well; else the reply has the problem. */
static bool done(const st_problem *problem) {
  if (problem != NULL) st_reply_problem(&reply, problem);
  return problem == NULL;
}

/* A header line of HTTP Basic. */
static const char *basic_line(subtoken_text text) {
  static char line[4096];
  st_writer writer = st_writer_on(line, sizeof line);
  st_write_literal(&writer, "Authorization: Basic ");
  st_base64_write(&writer, ST_PADDED, text.data, text.len);
  st_write_char(&writer, '\n');
  assert_true(st_writer_end(&writer));
  return line;
}

static void check_ambiguous(void) {
  CHECK(reply.status == 400, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_event("auth_ambiguous");
  assert_string_equal(reply.challenge, "Bearer error=\"invalid_request\"");
}

/* ---- HTTP Basic ---- */

static void basic_is_a_credential(void **state) {
  (void)state;
  static const char line[] = "Authorization: bASIC   YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ==\n";
  assert_int_equal(get(INFO "?v=latest", AS_ALICE), 200);
  check_body_starts("{\"id\":\"" ALICE_ID "\",\"name\":\"alice\",\"permissions\":[\"account\",");
  assert_string_equal(reply.event.key_id, ALICE_ID);
  assert_string_equal(reply.event.credential, ""); /* 8 digits of its hash would tell of it */
  assert_string_equal(member("type"), "APIKey");
  assert_int_equal(get(INFO, line), 200);
  assert_int_equal(get(INFO "?access_token=", AS_ALICE "X-API-Key: \n"), 200);
  assert_int_equal(get(INFO, "Authorization: Basic \nX-API-Key: " KEY "\n"), 200);
  assert_string_equal(reply.event.key_id, KEY_ID);
}

static void basic_beside_another_is_refused(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {INFO, AS_ALICE "X-API-Key: " KEY "\n"},
      {INFO, "X-API-Key: " KEY "\n" AS_ALICE},
      {INFO, AS_ALICE "X-API-Key: alice:" PASSWORD "\n"}, /* the same bytes, another thing */
      {INFO, "X-API-Key: alice:" PASSWORD "\n" AS_ALICE},
      {INFO "?access_token=" KEY, AS_ALICE},
      {INFO "?access_token=alice:correct+horse:+battery", AS_ALICE},
      {INFO, AS_ALICE AS_ALICE},
      {INFO, AS_ALICE AS_KEY},
      {INFO, AS_KEY AS_ALICE},
      {INFO, "Authorization: Basic ????\nX-API-Key: " KEY "\n"},
      {INFO, "Authorization: Basic ????\nX-API-Key: ?\n"},
      {INFO, "X-API-Key: " KEY "\nX-API-Key: " POOR_KEY "\n"},
      {INFO, AS_KEY "X-API-Key: " POOR_KEY "\n"},
      {INFO "?access_token=" POOR_KEY, "X-API-Key: " KEY "\n"},
      {INFO "?access_token=" POOR_KEY "&access_token=" KEY, ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(get(rows[i][0], rows[i][1]) == 400, "row %zu: %d", i, reply.status);
    check_ambiguous();
  }
  assert_int_equal(fixture.checks, 0);
  assert_int_equal(get(INFO, "X-API-Key: " KEY "\nX-API-Key: " KEY "\n"), 200);
}

/* D23: forms that are not looked at are as if they were not there. */
static void forms_that_are_off_are_ignored(void **state) {
  (void)state;
  static const struct {
    unsigned forms;
    const char *target, *headers;
    int status;
  } rows[] = {
      {ST_FORM_BEARER, INFO, AS_KEY, 200},
      {ST_FORM_BEARER, INFO, AS_KEY AS_ALICE, 200}, /* a proxy's own auth_basic in front */
      {ST_FORM_BEARER, INFO, AS_ALICE AS_KEY, 200},
      {ST_FORM_BEARER, INFO, AS_KEY "X-API-Key: of-the-cdn\n", 200},
      {ST_FORM_BEARER, INFO "?access_token=" POOR_KEY, AS_KEY, 200},
      {ST_FORM_BEARER, INFO "?access_token=%zz", AS_KEY, 200},
      {ST_FORM_BEARER, INFO "?access_token=" KEY, "", 401},
      {ST_FORM_BEARER, INFO, "X-API-Key: " KEY "\n", 401},
      {ST_FORM_BEARER, INFO, AS_ALICE, 401},
      {ST_FORM_BEARER, INFO, AS_KEY AS_KEY, 400},
      {ST_FORM_BEARER, INFO, AS_KEY "Authorization: Digest x\n", 400}, /* of no form at all */
      {ST_FORM_API_KEY, INFO, "X-API-Key: " KEY "\n", 200},
      {ST_FORM_API_KEY, INFO, "X-API-Key: " KEY "\n" AS_POOR AS_ALICE AS_KEY, 200},
      {ST_FORM_API_KEY, INFO, "X-API-Key: " KEY "\nX-API-Key: " POOR_KEY "\n", 400},
      {ST_FORM_API_KEY, INFO, AS_KEY, 401},
      {ST_FORM_QUERY, INFO "?access_token=" KEY, AS_POOR "X-API-Key: x\n", 200},
      {ST_FORM_QUERY, INFO "?access_token=" KEY "&access_token=x", "", 400},
      {ST_FORM_QUERY, INFO, AS_KEY, 401},
      {ST_FORM_BASIC, INFO, AS_ALICE, 200},
      {ST_FORM_BASIC, INFO, AS_ALICE AS_KEY "X-API-Key: x\n", 200},
      {ST_FORM_BASIC, INFO, AS_ALICE AS_ALICE, 400},
      {ST_FORM_BASIC, INFO, AS_KEY, 401},
      {ST_FORM_BEARER | ST_FORM_BASIC, INFO, AS_KEY AS_ALICE, 400},
      {ST_FORM_BEARER | ST_FORM_QUERY, INFO "?access_token=" POOR_KEY, AS_KEY, 400},
      {0, INFO "?access_token=" KEY, AS_KEY "X-API-Key: " KEY "\n", 401}, /* zero denies */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    settings.credentials = rows[i].forms;
    CHECK(get(rows[i].target, rows[i].headers) == rows[i].status, "row %zu: %d", i, reply.status);
    if (rows[i].status == 401) assert_string_equal(reply.challenge, "Bearer");
  }
  settings.credentials = ST_FORMS_ALL;
}

/* D21. */
static void a_401_asks_for_basic_when_told(void **state) {
  (void)state;
  assert_int_equal(get(INFO, ""), 401);
  assert_false(reply.basic_challenge);
  settings.basic_challenge = true;
  assert_int_equal(get(INFO, ""), 401);
  assert_true(reply.basic_challenge);
  assert_string_equal(reply.challenge, "Bearer");
  assert_int_equal(get(INFO, "Authorization: Bearer x\n"), 401);
  assert_true(reply.basic_challenge);
  assert_int_equal(get(INFO, AS_KEY), 200);
  assert_false(reply.basic_challenge);
  assert_int_equal(get(INFO, AS_KEY AS_KEY), 400);
  assert_false(reply.basic_challenge);
  /* Another credential would not be better for a token that does not list the url. */
  assert_int_equal(get(INFO, bearer(subtoken_of_key("account", "/other", NOW + 60))), 403);
  assert_false(reply.basic_challenge);
  /* Wrong parameters of a call are not mended by a credential. */
  static const char wrong[] = "{\"login\":\"alice\",\"password\":\"not the one\"}";
  assert_int_equal(post("/v1/auth/login", AS_JSON, wrong), 401);
  assert_false(reply.basic_challenge);
  settings.basic_challenge = false;
}

/* The log has the first digits of a credential's hash: of one that is good, and of one that is not.
 */
static void a_credential_is_tagged(void **state) {
  (void)state;
  static const char *const credentials[] = {KEY, WRONG_KEY, "a.b.c", STRING};
  for (size_t i = 0; i < COUNT(credentials); i++) {
    uint8_t hash[ST_HASH_LEN];
    char tag[ST_CREDENTIAL_TAG_LEN + 1], line[200];
    st_sha256(credentials[i], strlen(credentials[i]), hash);
    snprintf(tag, sizeof tag, "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    snprintf(line, sizeof line, "X-API-Key: %s\n", credentials[i]);
    (void)get(INFO, line);
    assert_string_equal(reply.event.credential, tag);
  }
  assert_int_equal(get(INFO, ""), 401);
  assert_string_equal(reply.event.credential, "");
}

/* Issued and good until then; what the log says of the clocks. */
static void check_clocks(int64_t iat, int64_t exp, int status, const char *event, int64_t delta) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims claims;
  size_t len;
  claims = grant_of("account", NULL);
  claims.iat = iat;
  claims.exp = exp;
  assert_true(st_claims_set_sub(&claims, st_text(fixture_row_of(KEY_ID)->key.sub)));
  assert_int_equal(subtoken_issue(&ring, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  CHECK(get(INFO, bearer(token)) == status, "%d", reply.status);
  check_event(event);
  CHECK(reply.event.delta == delta, "%s: %d", event, (int)reply.event.delta);
}

/* The leeway is a minute. Where no clock is to blame nothing is said of them. */
static void clocks_that_differ_are_noted(void **state) {
  (void)state;
  int64_t leeway = settings.leeway;
  assert_true(leeway > 1);
  check_clocks(NOW, NOW + 1, 200, "none", 0);
  check_clocks(NOW + 1, NOW + 9, 200, "clock_skew", 1);
  check_clocks(NOW + leeway, NOW + leeway + 1, 200, "clock_skew", leeway);
  check_clocks(NOW + leeway + 1, NOW + leeway + 2, 401, "iat_future", leeway + 1);
  check_clocks(NOW - 1000, NOW, 200, "clock_skew", 0);
  check_clocks(NOW - 1000, NOW - leeway + 1, 200, "clock_skew", 1 - leeway);
  check_clocks(NOW - 1000, NOW - leeway, 401, "expired", -leeway);
  fixture_row_of(KEY_ID)->ended = true;
  check_clocks(NOW - 1000, NOW + 9, 401, "revoked", 0);
  fixture_row_of(KEY_ID)->ended = false;
  fixture_row_of(KEY_ID)->key.expires_at = NOW; /* of a key the time is the store's */
  assert_int_equal(get(INFO, AS_KEY), 401);
  check_event("key_expired");
  assert_int_equal(reply.event.delta, 0);
}

/* What cannot be read is a credential all the same, and one that nobody has. */
static void malformed_basic_is_unauthorized(void **state) {
  (void)state;
  static const char *const values[] = {
      "YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ", /* no padding */
      "YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ=",
      "YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeR==", /* bits that say nothing */
      "YWxpY2U6Y29ycmVjdCBob3JzZTogYmF0dGVyeQ== ==",
      "YWxpY2U6 Y29ycmVjdCBob3JzZTogYmF0dGVyeQ=",
      "YWxpY2U6Y29ycmVjdCBob3JzZTog-_0dGVyeQ==",
      "alice:correct horse: battery",
      "====",
      "=",
      "?",
      "YWxpY2U=", /* no colon */
      "Kjo=",     /* *: */
      "Kjp4eHh4eHh4eA==",
  };
  char line[200];
  for (size_t i = 0; i < COUNT(values); i++) {
    snprintf(line, sizeof line, "Authorization: Basic %s\n", values[i]);
    CHECK(get(INFO, line) == 401, "%s: %d", values[i], reply.status);
    check_unauthorized("login_failed");
    assert_string_equal(reply.challenge, "Bearer error=\"invalid_token\"");
    assert_string_equal(reply.event.credential, "");
  }
  assert_int_equal(fixture.checks, 0);
}

/* The longest login and the longest password fit together; a byte more is never read. */
static void the_longest_basic_is_read(void **state) {
  (void)state;
  char text[ST_NAME_MAX + ST_PASSWORD_MAX + 3];
  memset(text, 'x', sizeof text);
  text[ST_NAME_MAX] = ':';
  subtoken_text longest = {text, ST_NAME_MAX + 1 + ST_PASSWORD_MAX};
  subtoken_text longer = {text, sizeof text};
  assert_int_equal(get(INFO, basic_line(longest)), 401);
  assert_int_equal(fixture.checks, 1);
  text[ST_NAME_MAX] = 'x';
  text[5] = ':';
  assert_int_equal(get(INFO, basic_line(longer)), 401);
  assert_int_equal(fixture.checks, 1);
  check_event("login_failed");
}

/* The two have texts of their own. */
static void busy_and_failed_are_two_things(void **state) {
  (void)state;
  fixture.status_forced = true;
  fixture.status = ST_PASSWORD_BUSY;
  assert_int_equal(get(INFO, AS_ALICE), 503);
  check_body("{\"text\":\"too many passwords are being checked; try again later\"}");
  check_event("passwords_busy");
  assert_int_equal(reply.retry_after, 5);
  fixture.status = ST_PASSWORD_FAILED;
  assert_int_equal(get(INFO, AS_ALICE), 503);
  check_body("{\"text\":\"the key store cannot be read; try again later\"}");
  check_event("store_error");
  fixture.broken = true;
  assert_int_equal(get(INFO, AS_ALICE), 503);
  check_body("{\"text\":\"the key store cannot be read; try again later\"}");
  check_event("store_error");
  assert_null(reply.challenge);
}

/* ---- registered strings ---- */

static void a_registered_string_is_a_credential(void **state) {
  (void)state;
  static const struct {
    const char *target, *headers;
    int status;
  } rows[] = {
      {INFO, "X-API-Key: " STRING "\n", 200},
      {INFO, "x-api-key: " STRING "\nX-API-Key: " STRING "\n", 200},
      {INFO "?access_token=&x=" STRING, "Authorization: Bearer \nX-API-Key: " STRING "\n", 200},
      {INFO, "Authorization: Bearer " STRING "\n", 401},
      {INFO "?access_token=" STRING, "", 401},
      {INFO "?access_token=" STRING, "X-API-Key: " STRING "\n", 401},
      {INFO, "X-API-Key: " STRING "\nAuthorization: Bearer " STRING "\n", 401},
      {INFO, "Authorization: Bearer " STRING "\nX-API-Key: " STRING "\n", 401},
      {INFO, "X-API-Key: " STRING "x\n", 401},
      {INFO, "X-API-Key: REGISTERED-0001!\n", 401},
      {INFO, "Authorization: " STRING "\n", 401},
      {INFO, "X-API-Key: " STRING "\nX-API-Key: " KEY "\n", 400},
  };
  fixture_row *row = fixture_add(ST_KIND_KEY, "5e615e4d", "", "operations", "account", ST_NEVER);
  assert_true(st_key_string_hash(ST_TEXT(STRING), row->digest));
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = get(rows[i].target, rows[i].headers);
    CHECK(status == rows[i].status, "row %zu: %d", i, status);
    if (status == 200) assert_string_equal(reply.event.key_id, "5e615e4d");
  }
  /* A key and a token come as X-API-Key, too. */
  assert_int_equal(get(INFO, "X-API-Key: " KEY "\n"), 200);
  char line[SUBTOKEN_ISSUED_MAX + 64];
  snprintf(line, sizeof line, "X-API-Key: %s\n", subtoken_of_key("account", NULL, NOW + 60));
  assert_int_equal(get(INFO, line), 200);
}

/* ---- what was used ---- */

static const char *used_by(const char *headers) {
  fixture.used[0] = '\0';
  assert_int_equal(get(INFO, headers), 200);
  return fixture.used;
}

static void the_use_of_a_key_is_noted(void **state) {
  (void)state;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_string_equal(used_by(AS_POOR), POOR_ID);
  assert_string_equal(used_by(bearer(subtoken_of_key("account", NULL, NOW + 60))), KEY_ID);
  assert_string_equal(used_by(AS_ALICE), ""); /* a user is no key */
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  snprintf(token, sizeof token, "%s", member("access_token"));
  assert_string_equal(used_by(bearer(token)), KEY_ID); /* that the login was made with */
  fixture.used[0] = '\0';
  assert_int_equal(get(INFO, "X-API-Key: " WRONG_KEY "\n"), 401);
  assert_string_equal(fixture.used, "");
}

/* ---- what it may ---- */

static void grant_to(st_identity *identity, const char *permissions) {
  memset(identity, 0, sizeof *identity);
  identity->grant = grant_of(permissions, NULL);
}

static void a_credential_covers_its_permissions(void **state) {
  (void)state;
  static const struct {
    const char *asked;
    bool covered;
  } rows[] = {
      {"", true},        {"account", true}, {"guilds,account", true}, {"account,wallet", false},
      {"wallet", false}, {"accoun", false}, {"accounts", false},      {"account,", false},
      {",", false},      {"Account", false}};
  static st_identity identity;
  grant_to(&identity, "account,guilds");
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_context *v = begin("", "", "");
    CHECK(done(st_access_covers(v, &identity, st_text(rows[i].asked))) == rows[i].covered, "%s",
          rows[i].asked);
    CHECK(reply.status == (rows[i].covered ? 0 : 403), "%s: %d", rows[i].asked, reply.status);
    if (rows[i].covered) continue;
    check_event("escalation");
    assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
  }
  assert_true(done(st_access_requires(begin("", "", ""), &identity, "guilds")));
  assert_int_equal(reply.status, 0);
  assert_false(done(st_access_requires(begin("", "", ""), &identity, "keys")));
  assert_int_equal(reply.status, 403);
  check_body("{\"text\":\"requires scope keys\"}");
  check_event("perm");
}

/* As long as the root of it: not as the login, which is short. */
static void a_credential_ends_with_its_root(void **state) {
  (void)state;
  static st_identity identity;
  st_context *v = begin("", "", "");
  int64_t end = 5;
  assert_true(done(st_access_find_end(v, NULL, &end)));
  assert_true(end == ST_NEVER);
  identity.key = *(const st_key *)&fixture_row_of(POOR_ID)->key;
  identity.method = ST_AUTH_KEY;
  assert_true(done(st_access_find_end(v, &identity, &end)));
  assert_true(end == NOW + 600);
  identity.method = ST_AUTH_BASIC;
  assert_true(done(st_access_find_end(v, &identity, &end)));
  assert_true(end == NOW + 600);
  /* a service's login: its key */
  snprintf(identity.key.parent, sizeof identity.key.parent, "%s", POOR_ID);
  identity.key.expires_at = NOW + 5;
  identity.method = ST_AUTH_SERVICE_SESSION;
  assert_true(done(st_access_find_end(v, &identity, &end)));
  assert_true(end == NOW + 600);
  snprintf(identity.key.parent, sizeof identity.key.parent, "%s", ALICE_ID);
  assert_false(done(st_access_find_end(v, &identity, &end))); /* no key */
  /* a user's session: the user */
  identity.method = ST_AUTH_SESSION;
  snprintf(identity.key.owner, sizeof identity.key.owner, "alice");
  fixture_user(ST_TEXT("alice"))->key.expires_at = NOW + 700;
  assert_true(done(st_access_find_end(v, &identity, &end)));
  assert_true(end == NOW + 700);
  snprintf(identity.key.owner, sizeof identity.key.owner, "bob");
  assert_false(done(st_access_find_end(v, &identity, &end)));
  snprintf(identity.key.owner, sizeof identity.key.owner, "alice");
  fixture.broken = true;
  assert_false(done(st_access_find_end(v, &identity, &end)));
}

/* ---- who did it ---- */

static void the_actor_of_a_change_is_named(void **state) {
  (void)state;
  static const char hostile[] = "key \x1B[31m\r\n, from \xE2\x80\xAE\"'";
  static st_identity identity;
  static const struct {
    st_auth_method method;
    const char *who;
  } rows[] = {{ST_AUTH_KEY, "key " KEY_ID},
              {ST_AUTH_DERIVED, "key " KEY_ID},
              {ST_AUTH_SERVICE_SESSION, "key " POOR_ID},
              {ST_AUTH_SESSION, "person key \x1B[31m\r\n, from \xE2\x80\xAE\"'"},
              {ST_AUTH_BASIC, "person key \x1B[31m\r\n, from \xE2\x80\xAE\"'"}};
  st_audit_buffers buffers;
  memcpy(identity.key.id, KEY_ID, sizeof KEY_ID);
  memcpy(identity.key.parent, POOR_ID, sizeof POOR_ID);
  memcpy(identity.key.owner, hostile, sizeof hostile);
  for (size_t i = 0; i < COUNT(rows); i++) {
    identity.method = rows[i].method;
    memset(&buffers, 0x5A, sizeof buffers);
    st_audit_context audit = st_access_audit_context(begin("", "", ""), &identity, &buffers);
    assert_string_equal(audit.who, rows[i].who);
    assert_string_equal(audit.from, REMOTE);
    assert_true(audit.now_us == 0);
  }
  st_audit_context audit = st_access_audit_context(begin("", "", ""), NULL, &buffers);
  assert_string_equal(audit.who, "nobody");
  /* the longest username is whole */
  memset(identity.key.owner, 'x', ST_NAME_MAX);
  audit = st_access_audit_context(begin("", "", ""), &identity, &buffers);
  assert_int_equal(strlen(audit.who), strlen("person ") + ST_NAME_MAX);
  /* an address that does not fit is left out */
  subtoken_text far = repeated("", '1', sizeof buffers.from);
  (void)begin("", "", "");
  request.remote = far;
  audit = st_access_audit_context(&context, &identity, &buffers);
  assert_string_equal(audit.from, "");
  request.remote.len--;
  audit = st_access_audit_context(&context, &identity, &buffers);
  assert_int_equal(strlen(audit.from), sizeof buffers.from - 1);
  release(far);
}

/* ---- parameters ---- */

static void numbers_of_a_query_have_bounds(void **state) {
  (void)state;
  static const struct {
    const char *query;
    int64_t most, value; /* -1: refused */
  } rows[] = {
      {"", 100, 7},
      {"x=1", 100, 7},
      {"n=", 100, 7},
      {"n", 100, 7},
      {"n=1", 100, 1},
      {"n=100", 100, 100},
      {"n=99", 100, 99},
      {"n=0100", 100, 100},
      {"n=%31%30", 100, 10},
      {"m=5&n=2&o=6", 100, 2},
      {"n=0", 100, -1},
      {"n=00", 100, -1},
      {"n=101", 100, -1},
      {"n=110", 100, -1},
      {"n=200", 100, -1},
      {"n=999", 100, -1},
      {"n=1000", 100, -1},
      {"n=9999999999999999999999", 100, -1},
      {"n=10000000000000000000000", 100, -1},
      {"n=-1", 100, -1},
      {"n=+1", 100, -1},
      {"n=1x", 100, -1},
      {"n=x", 100, -1},
      {"n=1.0", 100, -1},
      {"n=0x1", 100, -1},
      {"n=%00", 100, -1},
      {"n=1%00", 100, -1},
      {"n=1%", 100, -1},
      {"n=1&n=1", 100, -1},
      {"n=&n=", 100, -1},
      {"n=18446744073709551617", 100, -1},
      {"n=253402300799", SUBTOKEN_TIME_MAX, INT64_C(253402300799)},
      {"n=9223372036854775807", SUBTOKEN_TIME_MAX, -1},
      {"n=9223372036854775808", SUBTOKEN_TIME_MAX, -1},
      {"n=4", 7, 4},
      {"n=8", 7, -1},
      {"n=10", 7, -1},
      {"n=17", 7, -1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int64_t value = 7;
    subtoken_text query = exact_string(rows[i].query);
    (void)begin("", "", "");
    context.query = query;
    bool read = done(st_request_query_number(&context, "n", rows[i].most, &value));
    release(query);
    CHECK(read == (rows[i].value >= 0), "%s: %d", rows[i].query, read);
    CHECK(value == (read ? rows[i].value : 7), "%s: %lld", rows[i].query, (long long)value);
    CHECK(reply.status == (read ? 0 : 400), "%s: %d", rows[i].query, reply.status);
    if (!read) check_body_starts("{\"text\":\"n: ");
  }
}

static void texts_of_a_query_are_decoded(void **state) {
  (void)state;
  static const struct {
    const char *query, *value; /* NULL: refused */
  } rows[] = {
      {"", ""},
      {"t", ""},
      {"t=", ""},
      {"&&t=&", ""},
      {"t=abcdefg", "abcdefg"},
      {"t=abcdefgh", NULL},
      {"t=%61+b", "a b"},
      {"%74=a", "a"},
      {"u=x&t=y", "y"},
      {"T=x", ""},
      {"t=a=b", "a=b"},
      {"t=%", NULL},
      {"t=%4", NULL},
      {"t=%zz", NULL},
      {"t=a%00b", NULL},
      {"t=%00", NULL},
      {"t=a&t=a", NULL},
      {"t=&t=a", NULL},
      {"t&t", NULL},
      {"t=%61%62%63%64%65%66%67", "abcdefg"},
      {"t=%61%62%63%64%65%66%67%68", NULL},
      {"t=\xC3\xAB", "\xC3\xAB"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char *out = malloc(8);
    assert_non_null(out);
    memset(out, 'Z', 8);
    subtoken_text query = exact_string(rows[i].query);
    (void)begin("", "", "");
    context.query = query;
    bool read = done(st_request_query_text(&context, "t", out, 8));
    release(query);
    CHECK(read == (rows[i].value != NULL), "%s", rows[i].query);
    if (read) {
      assert_string_equal(out, rows[i].value);
    } else {
      assert_int_equal(reply.status, 400);
      check_event("bad_request");
      check_body_starts("{\"text\":\"t: ");
    }
    free(out);
  }
}

/* ---- replies ---- */

static void header_values_are_escaped(void **state) {
  (void)state;
  (void)begin("", "", "");
  st_reply_header(&reply, "X", ST_TEXT("a\r\nY: b%\xC3 \x7F~!"));
  assert_int_equal(reply.headers_len, strlen("X: a%0D%0AY:%20b%25%C3%20%7F~!\r\n"));
  check_header("X: a%0D%0AY:%20b%25%C3%20%7F~!\r\n");
  st_reply_sequence(&reply, INT64_C(1700000000000001));
  check_header("\r\nSubtoken-Seq: 1700000000000001\r\n");
  size_t before = reply.headers_len;
  subtoken_text much = repeated("", ' ', ST_REPLY_HEADERS_MAX / 3);
  st_reply_header(&reply, "Z", much);
  assert_int_equal(reply.headers_len, before); /* left out, not cut */
  release(much);
}

static void a_header_is_there_or_not(void **state) {
  (void)state;
  st_header came[] = {{ST_TEXT("If-None-Match"), ST_TEXT("")}, {ST_TEXT("Host"), ST_TEXT("a")}};
  request = (st_request){.headers = came, .header_count = 2};
  assert_true(st_request_has_header(&request, "If-None-Match"));
  assert_true(st_request_has_header(&request, "host"));
  assert_false(st_request_has_header(&request, "Origin"));
  request.header_count = 1;
  assert_false(st_request_has_header(&request, "Host"));
  request.header_count = 0;
  assert_false(st_request_has_header(&request, "If-None-Match"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(basic_is_a_credential, fixture_set_up),
      cmocka_unit_test_setup(basic_beside_another_is_refused, fixture_set_up),
      cmocka_unit_test_setup(forms_that_are_off_are_ignored, fixture_set_up),
      cmocka_unit_test_setup(a_401_asks_for_basic_when_told, fixture_set_up),
      cmocka_unit_test_setup(a_credential_is_tagged, fixture_set_up),
      cmocka_unit_test_setup(clocks_that_differ_are_noted, fixture_set_up),
      cmocka_unit_test_setup(malformed_basic_is_unauthorized, fixture_set_up),
      cmocka_unit_test_setup(the_longest_basic_is_read, fixture_set_up),
      cmocka_unit_test_setup(busy_and_failed_are_two_things, fixture_set_up),
      cmocka_unit_test_setup(a_registered_string_is_a_credential, fixture_set_up),
      cmocka_unit_test_setup(the_use_of_a_key_is_noted, fixture_set_up),
      cmocka_unit_test_setup(a_credential_covers_its_permissions, fixture_set_up),
      cmocka_unit_test_setup(a_credential_ends_with_its_root, fixture_set_up),
      cmocka_unit_test_setup(the_actor_of_a_change_is_named, fixture_set_up),
      cmocka_unit_test_setup(numbers_of_a_query_have_bounds, fixture_set_up),
      cmocka_unit_test_setup(texts_of_a_query_are_decoded, fixture_set_up),
      cmocka_unit_test_setup(header_values_are_escaped, fixture_set_up),
      cmocka_unit_test_setup(a_header_is_there_or_not, fixture_set_up),
  };
  return cmocka_run_group_tests_name("authenticate", tests, NULL, NULL);
}
