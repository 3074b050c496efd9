/* authorize: which request is asked about, and whether it may pass. */
#include "service_fixture.h"

#define OTHER_KEY "0EDCBA98-7654-3210-FEDC-BA98765432100EDCBA98-7654-3210-FEDC-BA9876543210"
#define SUB "0000000000000000000000000000000000000000001" /* of the fixture's first row */
#define ASK "/v2/authorize"
#define AMBIGUOUS "{\"text\":\"the request target can be read in more than one way\"}"

static st_key *const stored = &fixture.rows[0].key;

static const char policy_text[] =
    "{\"default\":\"deny\",\"preflight\":true,\"routes\":["
    "{\"path\":\"/v2/account\",\"methods\":[\"GET\"],\"needs\":[\"account\"]},"
    "{\"path\":\"/v2/bank\",\"needs\":[\"account\",\"inventories\"]},"
    "{\"path\":\"/v2/characters/*\"},"
    "{\"path\":\"/rpc\",\"methods\":[\"POST\"],\"json_rpc\":true},"
    "{\"path\":\"/mcp\",\"mcp\":{\"tools/call search\":[\"docs\"]}},"
    "{\"path\":\"/v2/items\",\"public\":true}]}";

static int set_up(void **state) {
  (void)fixture_set_up(state);
  assert_string_equal(stored->id, KEY_ID);
  assert_string_equal(stored->sub, SUB);
  snprintf(stored->owner, sizeof stored->owner, "J\xC3\xB8rn 100%%\r\nX-Subtoken-Sub: root");
  snprintf(stored->permissions, sizeof stored->permissions, "account,guilds,history_api");
  return 0;
}

static int set_up_policy(void **state) {
  static void *memory;
  subtoken_text text = {policy_text, sizeof policy_text - 1};
  size_t size = subtoken_policy_size(text.len);
  (void)set_up(state);
  free(memory);
  memory = malloc(size);
  assert_non_null(memory);
  return subtoken_policy_read(memory, size, text, &service.policy, NULL) == SUBTOKEN_OK ? 0 : -1;
}

/* ---- asking ---- */

/* A3: the five headers are in every answer, once each, in one order. */
static void check_five(void) {
  static const char *const names[] = {"X-Subtoken-Sub: ", "X-Subtoken-Key: ", "X-Subtoken-Owner: ",
                                      "X-Subtoken-Permissions: ", "X-Subtoken-Expires: "};
  reply.headers[reply.headers_len] = '\0';
  const char *line = reply.headers;
  for (size_t i = 0; i < COUNT(names); i++) {
    CHECK(strncmp(line, names[i], strlen(names[i])) == 0, "%s is not there: %s", names[i],
          reply.headers);
    line = strstr(line, "\r\n") + 2;
  }
  CHECK(*line == '\0' || strncmp(line, "X-Subtoken-Nonce: ", 18) == 0, "and also %s", line);
}

#define NOBODY                                                     \
  "X-Subtoken-Sub: \r\nX-Subtoken-Key: \r\nX-Subtoken-Owner: \r\n" \
  "X-Subtoken-Permissions: \r\nX-Subtoken-Expires: \r\n"

static bool tells_nobody(void) {
  return reply.headers_len == sizeof NOBODY - 1 &&
         memcmp(reply.headers, NOBODY, sizeof NOBODY - 1) == 0;
}

/* Without a nonce a refusal tells of nobody. */
static int ask(const char *method, const char *target, const char *headers, const char *body) {
  int status = fixture_ask(method, target, headers, body);
  assert_true((status == 200) == (reply.body_len == 0));
  if (status == 404) return status;
  check_five();
  assert_true(status == 200 || tells_nobody());
  return status;
}

/* The path form, with any credential. */
static int may(const char *method, const char *original, const char *headers) {
  char target[300];
  snprintf(target, sizeof target, ASK "%s", original);
  return ask(method, target, headers, "");
}

static void check_headers(const char *expected) {
  CHECK(reply.headers_len == strlen(expected) &&
            memcmp(reply.headers, expected, reply.headers_len) == 0,
        "the headers are %.*s", (int)reply.headers_len, reply.headers);
}

/* A header line with a subtoken of the key; urls NULL: unrestricted. */
static const char *subtoken(const char *permissions, const char *urls, const char *format) {
  static char line[SUBTOKEN_ISSUED_MAX + 200], token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims claims;
  size_t len;
  claims = grant_of(permissions, urls);
  claims.iat = NOW - 1000;
  claims.exp = NOW + 60;
  assert_true(st_claims_set_sub(&claims, ST_TEXT(SUB)));
  assert_int_equal(subtoken_issue(&ring, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  st_writer writer = st_writer_on(line, sizeof line);
  for (; *format != '\0'; format++) {
    if (*format == '@') {
      st_write_literal(&writer, token);
    } else {
      st_write_char(&writer, *format);
    }
  }
  assert_true(st_writer_end(&writer));
  return line;
}

#define BEARER "Authorization: Bearer @\n"

#define NONCE_64 "0123456789-abcdefghijklmnopqrstuvwxyz!\"#$&'()*+,./:;<=>?@[\\]^_`{"

/* ---- which request it is ---- */

#define NGINX(method, uri) "X-Original-Method: " method "\nX-Original-URI: " uri "\n"
#define TRAEFIK(method, uri) "X-Forwarded-Method: " method "\nX-Forwarded-Uri: " uri "\n"

static void the_original_request_is_found(void **state) {
  (void)state;
  static const struct {
    const char *method, *target, *headers;
    int status;
  } rows[] = {
      {"GET", ASK, NGINX("GET", "/a"), 200},
      {"POST", ASK, NGINX("GET", "/a"), 200},
      {"OPTIONS", ASK, NGINX("GET", "/a"), 200},
      {"PROPFIND", ASK, NGINX("GET", "/a"), 200},
      {"HEAD", ASK, NGINX("GET", "/a"), 200},
      {"GET", ASK, "x-original-uri: /a\nx-oRIGINAL-mETHOD: GET\n", 200},
      {"GET", ASK "?x=1", NGINX("GET", "/a"), 200},
      {"GET", ASK, TRAEFIK("GET", "/a"), 200},
      {"GET", ASK "/a", "", 200},
      {"PATCH", ASK "/a?b=c", "", 200},
      {"GET", ASK "/", "", 200},
      {"GET", ASK "/?", "", 200},
      {"GET", ASK "//a", "", 200},
      /* none, or half of one */
      {"GET", ASK, "", 400},
      {"GET", ASK "?", "", 400},
      {"GET", ASK "?/a", "", 400},
      {"GET", ASK, "X-Forwarded-Uri: /a\n", 400},
      {"GET", ASK, "X-Forwarded-Method: GET\n", 400},
      {"GET", ASK, "X-Original-Method: GET\n", 400},
      {"GET", ASK, "X-Original-URI: /a\n", 403},
      {"GET", ASK, "X-Original-URI: /a\nX-Forwarded-Method: GET\n", 403},
      {"GET", ASK, "X-Forwarded-Uri: /a\nX-Original-Method: GET\n", 400},
      {"GET", ASK, NGINX("", "/a"), 403},
      {"GET", ASK, NGINX("GET", ""), 403},
      {"GET", ASK, TRAEFIK("", "/a"), 400},
      {"GET", ASK, TRAEFIK("GET", ""), 400},
      {"GET", ASK "/a", "X-Forwarded-Uri: /a\n", 400},
      {"GET", ASK "/a", "X-Original-Method: GET\n", 400},
      /* twice, even when they agree */
      {"GET", ASK, NGINX("GET", "/a") "X-Original-URI: /a\n", 403},
      {"GET", ASK, NGINX("GET", "/a") "X-Original-Method: GET\n", 403},
      {"GET", ASK, TRAEFIK("GET", "/a") "X-Forwarded-Uri: /a\n", 400},
      {"GET", ASK, TRAEFIK("GET", "/a") "x-forwarded-method: GET\n", 400},
      /* two sources */
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("GET", "/a"), 200},
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("GET", "/b"), 403},
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("POST", "/a"), 403},
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("get", "/a"), 403},
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("GET", "/%61"), 403},
      {"GET", ASK, NGINX("GET", "/a") TRAEFIK("GET", "/a?"), 403},
      {"GET", ASK, NGINX("GET", "/a") "X-Forwarded-Method: GET\n", 403},
      {"GET", ASK "/a", NGINX("GET", "/a"), 200},
      {"GET", ASK "/a", NGINX("GET", "/a") TRAEFIK("GET", "/a"), 200},
      {"GET", ASK "/a", NGINX("GET", "/b"), 403},
      {"POST", ASK "/a", NGINX("GET", "/a"), 403},
      {"GET", ASK "/a", TRAEFIK("GET", "/a"), 200},
      {"GET", ASK "/a", TRAEFIK("GET", "/b"), 400},
      {"POST", ASK "/a", TRAEFIK("GET", "/a"), 400},
      {"GET", ASK "/a?x", TRAEFIK("GET", "/a"), 400},
      {"GET", ASK "/", TRAEFIK("GET", "/a"), 400},
      /* slashes: those of our own path may repeat, those of the original are its own */
      {"GET", "/v2//authorize", NGINX("GET", "/a"), 200},
      {"GET", "/v2//authorize/a", "", 400},
      {"GET", "/v2//authorize/a", TRAEFIK("GET", "/a"), 400},
      {"GET", "/v2/authorize%2Fa", "", 404},
      {"GET", "/v2/authorized", "", 404},
      {"GET", "//v2/authorize/a", "", 404},
      {"GET", "/V2/authorize/a", "", 404},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char headers[600];
    snprintf(headers, sizeof headers, "%s" AS_KEY, rows[i].headers);
    int status = ask(rows[i].method, rows[i].target, headers, "");
    CHECK(status == rows[i].status, "row %zu: %s %s %s is %d", i, rows[i].method, rows[i].target,
          rows[i].headers, status);
  }
  assert_int_equal(ask("HEAD", ASK "/a", AS_KEY, ""), 200);
  assert_true(reply.head);
}

/* D7: the absolute URL that ingress-nginx sends. Its host is what the caller sent as Host. */
static void an_absolute_original_url_counts(void **state) {
  (void)state;
  static const struct {
    const char *url;
    enum { SAME, OTHER, BAD } is; /* /a?b=/c, another target, or none */
  } rows[] = {
      {"http://api/a?b=/c", SAME},
      {"https://api/a?b=/c", SAME},
      {"https://api.example:8443/a?b=/c", SAME},
      {"https://[2001:db8::1]:443/a?b=/c", SAME},
      {"https://under_score-1/a?b=/c", SAME},
      {"https://API/a?b=/c", SAME},
      /* another path, or another spelling of it */
      {"https://api/a", OTHER},
      {"https://api/a?b=/c&d", OTHER},
      {"https://api//a?b=/c", OTHER},
      {"https://api/b?b=/c", OTHER},
      {"https://api/%61?b=/c", OTHER},
      {"https://api/a?b=%2Fc", OTHER},
      /* no absolute URL of http */
      {"", BAD},
      {"/a?b=/c", BAD},
      {"//api/a?b=/c", BAD},
      {"api/a?b=/c", BAD},
      {"http:/a?b=/c", BAD},
      {"http:///a?b=/c", BAD},
      {"http://", BAD},
      {"http:api/a?b=/c", BAD},
      {"HTTP://api/a?b=/c", BAD},
      {"ftp://api/a?b=/c", BAD},
      {"httpss://api/a?b=/c", BAD},
      {"http:\\\\api/a?b=/c", BAD},
      {"ht tp://api/a?b=/c", BAD},
      /* no path */
      {"http://api", BAD},
      {"http://api?b=/c", BAD},
      {"http://api?/a?b=/c", BAD},
      {"http://api#/a?b=/c", BAD},
      /* an authority that two programs may read differently */
      {"http://api@evil/a?b=/c", BAD},
      {"http://u:p@api/a?b=/c", BAD},
      {"http://api%2Fb/a?b=/c", BAD},
      {"http://api\\b/a?b=/c", BAD},
      {"http://api;b/a?b=/c", BAD},
      {"http://a pi/a?b=/c", BAD},
      {"http://a\x7Fpi/a?b=/c", BAD},
      {"http://\xC3\xA9/a?b=/c", BAD},
      {"http://api,http://api/a?b=/c", BAD},
      /* a fragment */
      {"http://api/a?b=/c#", BAD},
      {"http://api/a#?b=/c", BAD},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char headers[400];
    snprintf(headers, sizeof headers, "%sX-Original-Method: GET\nX-Original-URL: %s\n", AS_KEY,
             rows[i].url);
    /* told alone, where any path is good, and beside another that tells of /a?b=/c */
    bool alone = ask("GET", ASK, headers, "") == 200;
    int status = ask("GET", ASK "/a?b=/c", headers, "");
    CHECK(status == (rows[i].is == SAME ? 200 : 403), "row %zu: %s is %d", i, rows[i].url, status);
    CHECK(alone == (rows[i].is != BAD), "row %zu: %s alone is %d", i, rows[i].url, alone);
  }
}

static void two_original_requests_must_agree(void **state) {
  (void)state;
#define URL(method, url) "X-Original-Method: " method "\nX-Original-URL: " url "\n"
  static const struct {
    const char *method, *target, *headers;
    int status;
  } rows[] = {
      {"POST", ASK, URL("GET", "https://api/v2/a"), 200},
      {"GET", ASK, URL("POST", "https://api/v2/a"), 403},
      {"GET", ASK, URL("GET", "https://api/v2/b"), 403},
      {"GET", ASK, URL("GET", "https://api/v2//a"), 403},
      {"GET", ASK, URL("", "https://api/v2/a"), 403},
      {"GET", ASK, "X-Original-URL: https://api/v2/a\n", 403},
      {"GET", ASK, "X-Original-URL: https://api/v2/a\nX-Forwarded-Method: GET\n", 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") "X-Original-URL: https://api/v2/a\n", 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") "X-Original-Method: GET\n", 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") "X-Original-URI: /v2/a\n", 200},
      {"GET", ASK, URL("GET", "https://api/v2/b") "X-Original-URI: /v2/a\n", 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") "X-Original-URI: /v2/b\n", 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") TRAEFIK("GET", "/v2/a"), 200},
      {"GET", ASK, URL("GET", "https://api/v2/a") TRAEFIK("GET", "/v2/b"), 403},
      {"GET", ASK, URL("GET", "https://api/v2/a") TRAEFIK("POST", "/v2/a"), 403},
      {"GET", ASK "/v2/a", URL("GET", "https://api/v2/a"), 200},
      {"GET", ASK "/v2/a", URL("GET", "https://api/v2/b"), 403},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char format[400];
    snprintf(format, sizeof format, "%s" BEARER, rows[i].headers);
    int status = ask(rows[i].method, rows[i].target, subtoken("account", "GET:/v2/a", format), "");
    CHECK(status == rows[i].status, "row %zu: %s %s %s is %d", i, rows[i].method, rows[i].target,
          rows[i].headers, status);
  }
}

/* A url of a subtoken is held against the original bytes, never against our own request. */
static void urls_are_compared_with_the_original(void **state) {
  (void)state;
  static const struct {
    const char *method, *target, *headers;
    int status;
  } rows[] = {
      {"GET", ASK "/v2/a", "", 200},
      {"POST", ASK "/v2/a", "", 403},
      {"HEAD", ASK "/v2/a", "", 200},
      {"GET", ASK "/v2/a?x=/v2/b", "", 200},
      {"GET", ASK "/v2/b", "", 403},
      {"GET", ASK "/v2//a", "", 400},
      {"GET", ASK "//v2/a", "", 400},
      {"GET", ASK "/v2/x/../a", "", 400},
      {"GET", ASK "/v2%2Fa", "", 400},
      {"POST", ASK, NGINX("GET", "/v2/a"), 200},
      {"GET", ASK, NGINX("POST", "/v2/a"), 403},
      {"GET", ASK, NGINX("GET", "/v2//a"), 403},
      {"GET", ASK, TRAEFIK("GET", "/v2//a"), 400},
      {"GET", ASK, TRAEFIK("GET", "v2/a"), 400},
      {"GET", ASK, TRAEFIK("GET", "http://api/v2/a"), 400},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char format[300];
    snprintf(format, sizeof format, "%s" BEARER, rows[i].headers);
    int status = ask(rows[i].method, rows[i].target, subtoken("account", "GET:/v2/a", format), "");
    CHECK(status == rows[i].status, "row %zu: %s %s %s is %d", i, rows[i].method, rows[i].target,
          rows[i].headers, status);
  }
  /* One that lists the endpoint alone gets nowhere with it. */
  assert_int_equal(get(ASK "/v2/a", subtoken("account", "/v2/authorize/*,/v2/authorize", BEARER)),
                   403);
  check_body("{\"text\":\"this subtoken does not list this url\"}");
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
}

static void an_original_target_has_a_limit(void **state) {
  (void)state;
  static char headers[SUBTOKEN_TARGET_MAX + 300];
  for (int more = 0; more < 2; more++) {
    snprintf(headers, sizeof headers, AS_KEY "X-Forwarded-Method: GET\nX-Forwarded-Uri: /%0*d\n",
             SUBTOKEN_TARGET_MAX - 1 + more, 7);
    assert_int_equal(get(ASK, headers), more == 0 ? 200 : 400);
  }
}

/* ---- who asks ---- */

static void credentials_of_the_original_count(void **state) {
  (void)state;
  static const struct {
    const char *target, *headers;
    int status;
  } rows[] = {
      {ASK "/a", "", 401},
      {ASK "/a", "Authorization: Bearer " OTHER_KEY "\n", 401},
      {ASK "/a", "X-API-Key: " KEY "\n", 200},
      {ASK "/a?access_token=" KEY, "", 200},
      {ASK "/a?x=1&access_token=" KEY, AS_KEY, 200},
      {ASK "/a?access_token=" OTHER_KEY, AS_KEY, 400},
      {ASK "/a?access_token=%GG", "", 400},
      {ASK "/a", AS_KEY AS_KEY, 400},
      /* of the original target alone */
      {ASK, NGINX("GET", "/a?access_token=" KEY), 200},
      {ASK, TRAEFIK("GET", "/a?access_token=" KEY), 200},
      {ASK, NGINX("GET", "/a?access_token=" OTHER_KEY) AS_KEY, 403},
      {ASK "?access_token=" KEY, NGINX("GET", "/a"), 401},
      {ASK "?access_token=" OTHER_KEY, NGINX("GET", "/a") AS_KEY, 200},
      /* what anybody may have written */
      {ASK "/a", "X-Forwarded-Authorization: Bearer " KEY "\n", 401},
      {ASK "/a", "X-Subtoken-Sub: " SUB "\nX-Subtoken-Key: " KEY "\n", 401},
      {ASK "/a", "X-Forwarded-User: root\nX-Original-Authorization: Bearer " KEY "\n", 401},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = get(rows[i].target, rows[i].headers);
    CHECK(status == rows[i].status, "row %zu is %d", i, status);
    if (status == 401) check_body(UNAUTHORIZED);
  }
  assert_int_equal(get(ASK "/a", ""), 401);
  assert_string_equal(reply.challenge, "Bearer");
  assert_int_equal(get(ASK, NGINX("GET", "/a") "Authorization: Bearer x\n"), 401);
  assert_string_equal(reply.challenge, "Bearer error=\"invalid_token\"");
  assert_int_equal(get(ASK "/a", AS_KEY AS_KEY), 400);
  assert_string_equal(reply.challenge, "Bearer error=\"invalid_request\"");
  assert_int_equal(get(ASK, NGINX("GET", "/a") AS_KEY AS_KEY), 403);
  assert_null(reply.challenge);
}

static void the_identity_is_told_in_headers(void **state) {
  (void)state;
  static const char front[] = "X-Subtoken-Sub: " SUB "\r\nX-Subtoken-Key: " KEY_ID "\r\n";
  static const char owner[] =
      "X-Subtoken-Owner: J%C3%B8rn%20100%25%0D%0AX-Subtoken-Sub:%20root\r\n";
  char expected[600];
  assert_int_equal(get(ASK "/a", AS_KEY), 200);
  snprintf(expected, sizeof expected,
           "%s%sX-Subtoken-Permissions: account,guilds,history_api\r\nX-Subtoken-Expires: \r\n",
           front, owner);
  check_headers(expected);
  stored->expires_at = NOW + 5;
  stored->owner[0] = '\0';
  assert_int_equal(get(ASK "/a", AS_KEY), 200);
  snprintf(expected, sizeof expected,
           "%sX-Subtoken-Owner: \r\nX-Subtoken-Permissions: account,guilds,history_api\r\n"
           "X-Subtoken-Expires: %lld\r\n",
           front, (long long)NOW + 5);
  check_headers(expected);
  stored->expires_at = ST_NEVER;
  /* A subtoken's permissions, in its own order, less those that the key has lost. */
  assert_int_equal(get(ASK "/a", subtoken("guilds,wallet,account", NULL, BEARER)), 200);
  snprintf(expected, sizeof expected,
           "%sX-Subtoken-Owner: \r\nX-Subtoken-Permissions: guilds,account\r\n"
           "X-Subtoken-Expires: %lld\r\n",
           front, (long long)NOW + 60);
  check_headers(expected);
  assert_int_equal(get(ASK "/a", subtoken("", NULL, BEARER)), 200);
  snprintf(expected, sizeof expected,
           "%sX-Subtoken-Owner: \r\nX-Subtoken-Permissions: \r\nX-Subtoken-Expires: %lld\r\n",
           front, (long long)NOW + 60);
  check_headers(expected);
  /* A permission stands there as it is: edges compare it. */
  snprintf(stored->permissions, sizeof stored->permissions, "50%%,account,%%25");
  assert_int_equal(get(ASK "/a", AS_KEY), 200);
  snprintf(expected, sizeof expected,
           "%sX-Subtoken-Owner: \r\nX-Subtoken-Permissions: 50%%,account,%%25\r\n"
           "X-Subtoken-Expires: \r\n",
           front);
  check_headers(expected);
}

/* The longest owner and permissions that the store can hold all fit. */
static void the_longest_identity_fits(void **state) {
  (void)state;
  memset(stored->owner, '\xC3', ST_NAME_MAX);
  size_t len = 0;
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    int wrote = snprintf(stored->permissions + len, sizeof stored->permissions - len, "%s%0*d",
                         i == 0 ? "" : ",", SUBTOKEN_PERMISSION_MAX, i);
    len += (size_t)wrote;
  }
  stored->expires_at = NOW + 5;
  assert_int_equal(ask("GET", ASK "/a", AS_KEY "X-Subtoken-Nonce: " NONCE_64 "\n", ""), 200);
  assert_non_null(strstr(reply.headers, "X-Subtoken-Owner: %C3%C3"));
  assert_non_null(strstr(reply.headers, stored->permissions));
  assert_non_null(strstr(reply.headers, "X-Subtoken-Expires: 1"));
  assert_non_null(strstr(reply.headers, "X-Subtoken-Nonce: " NONCE_64 "\r\n"));
}

static void what_cannot_be_decided_is_503(void **state) {
  (void)state;
  fixture.broken = true;
  assert_int_equal(get(ASK "/a", AS_KEY), 503);
  assert_true(reply.retry_after > 0);
  assert_int_equal(get(ASK, subtoken("account", NULL, NGINX("GET", "/a") BEARER)), 503);
  fixture.broken = false;
  stored->disabled = true;
  assert_int_equal(get(ASK "/a", AS_KEY), 401);
  check_body(UNAUTHORIZED);
  assert_int_equal(get(ASK "/a", subtoken("account", NULL, BEARER)), 401);
  check_body(UNAUTHORIZED);
  assert_string_equal(reply.challenge, "Bearer error=\"invalid_token\"");
}

/* ---- with a policy ---- */

static void the_policy_decides(void **state) {
  (void)state;
  static const char *const none = "Accept: x\n";
  static const struct {
    const char *method, *original, *permissions, *urls; /* no permissions: no credential */
    int status;
    const char *text;
  } rows[] = {
      {"GET", "/v2/account", "account", NULL, 200, NULL},
      {"HEAD", "/v2/account", "account", NULL, 200, NULL},
      {"GET", "/v2/account", "guilds", NULL, 403, "requires scope account"},
      {"POST", "/v2/account", "account", NULL, 403, "the route policy does not allow this request"},
      {"GET", "/v2/bank", "account", NULL, 403, "requires scope inventories"},
      /* in the token, but the key has it no longer */
      {"GET", "/v2/bank", "account,inventories", NULL, 403, "requires scope inventories"},
      {"DELETE", "/v2/characters/x", "", NULL, 200, NULL},
      {"GET", "/v2/nowhere", "account", NULL, 403, "the route policy does not allow this request"},
      {"GET", "/v2/account/", "account", NULL, 403, "the route policy does not allow this request"},
      {"GET", "/v2/account", "account", "/v2/bank", 403, "this subtoken does not list this url"},
      {"GET", "/v2/account", NULL, NULL, 401, "Invalid access token"},
      {"GET", "/v2/nowhere", NULL, NULL, 401, "Invalid access token"},
      {"GET", "/v2/items", NULL, NULL, 200, NULL},
      {"PUT", "/v2/items?access_token=%GG", NULL, NULL, 200, NULL},
      {"GET", "/v2//items", NULL, NULL, 400, "the request target can be read in more than one way"},
      {"POST", "/rpc", "history_api", NULL, 403, "the route policy does not allow this request"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char expected[200];
    const char *headers =
        rows[i].permissions == NULL ? none : subtoken(rows[i].permissions, rows[i].urls, BEARER);
    int status = may(rows[i].method, rows[i].original, headers);
    CHECK(status == rows[i].status, "row %zu is %d", i, status);
    snprintf(expected, sizeof expected, "{\"text\":\"%s\"}", rows[i].text);
    if (rows[i].text != NULL) check_body(expected);
    assert_true(tells_nobody() == (status != 200 || rows[i].permissions == NULL));
  }
  assert_int_equal(may("GET", "/v2/bank", AS_KEY), 403);
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
}

/* A target that can be read in two ways goes before all else, for whole keys too. */
static void an_ambiguous_target_comes_first(void **state) {
  (void)state;
  assert_int_equal(may("GET", "/v2/x/../account", AS_KEY), 400);
  check_body(AMBIGUOUS);
  assert_int_equal(get(ASK, NGINX("GET", "/v2//account") AS_KEY), 403);
  check_body(AMBIGUOUS);
  assert_int_equal(may("GET", "/v2/x/../account", AS_KEY AS_KEY), 400);
  check_body(AMBIGUOUS);
  assert_int_equal(may("GET", "/v2/nowhere", AS_KEY AS_KEY), 400);
  check_body("{\"text\":\"more than one credential\"}");
  fixture.broken = true;
  assert_int_equal(may("GET", "/v2/nowhere", AS_KEY), 503);
  assert_int_equal(may("GET", "/v2/items", AS_KEY), 200); /* not looked at */
  assert_true(tells_nobody());
  assert_string_equal(reply.event.credential, "");
}

static void a_preflight_passes_when_the_policy_says_so(void **state) {
  (void)state;
#define CORS "Origin: https://a.example\nAccess-Control-Request-Method: PUT\n"
  assert_int_equal(may("OPTIONS", "/v2/account", CORS), 200);
  assert_true(tells_nobody());
  assert_int_equal(get(ASK, NGINX("OPTIONS", "/v2/nowhere") CORS), 200);
  assert_int_equal(get(ASK, TRAEFIK("OPTIONS", "/v2/account") CORS), 200);
  /* asked with OPTIONS about something else, or only half a preflight */
  assert_int_equal(ask("OPTIONS", ASK, TRAEFIK("GET", "/v2/account") CORS, ""), 401);
  assert_int_equal(may("GET", "/v2/account", CORS), 401);
  assert_int_equal(may("OPTIONS", "/v2/account", "Origin: https://a.example\n"), 401);
  assert_int_equal(may("OPTIONS", "/v2/account", "Access-Control-Request-Method: PUT\n"), 401);
  assert_int_equal(may("OPTIONS", "/v2//account", CORS), 400);
  service.policy = NULL;
  assert_int_equal(may("OPTIONS", "/v2/account", CORS), 401);
}

#define HISTORY "{\"method\":\"call\",\"params\":[\"history\",\"x\",[]]}"
#define DATABASE "{\"method\":\"get_objects\"}"

/* ---- asked with a nonce ---- */

#define NONCE "X-Subtoken-Nonce: n0nce\n"
#define WHO "X-Subtoken-Sub: " SUB "\r\nX-Subtoken-Key: " KEY_ID "\r\n"

/* A5: what an asker sent comes back as it was, or not at all. */
static void a_nonce_is_echoed(void **state) {
  (void)state;
  static const struct {
    const char *headers, *echoed;
  } rows[] = {
      {NONCE, "n0nce"},
      {"x-subtoken-nonce: a\n", "a"},
      {"X-Subtoken-Nonce: " NONCE_64 "\n", NONCE_64},
      {"X-Subtoken-Nonce: " NONCE_64 "a\n", NULL},
      {"X-Subtoken-Nonce: \n", NULL},
      {"X-Subtoken-Nonce: ~\n", "~"},
      {"X-Subtoken-Nonce: %a\n", NULL},
      {"X-Subtoken-Nonce: a b\n", NULL},
      {"X-Subtoken-Nonce: a%0D\n", NULL},
      {"X-Subtoken-Nonce: \xC3\xA9\n", NULL},
      {"X-Subtoken-Nonce: a\x7F\n", NULL},
      {NONCE NONCE, NULL},
      {"X_Subtoken_Nonce: a\n", NULL},
      {"", NULL},
  };
  static const struct {
    const char *original, *credential;
    int status;
  } answers[] = {
      {"/v2/account", AS_KEY, 200}, {"/v2/bank", AS_KEY, 403}, {"/v2/account", AS_KEY AS_KEY, 400},
      {"/v2/account", "", 401},     {"/v2/items", "", 200},    {"/v2//account", AS_KEY, 400}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (size_t j = 0; j < COUNT(answers); j++) {
      char headers[600], target[100];
      snprintf(headers, sizeof headers, "%s%s", rows[i].headers, answers[j].credential);
      snprintf(target, sizeof target, ASK "%s", answers[j].original);
      int status = fixture_ask("GET", target, headers, "");
      check_five();
      CHECK(status == answers[j].status || (status == 401 && answers[j].credential[0] == '\0'),
            "row %zu, %zu is %d", i, j, status);
      const char *line = strstr(reply.headers, "X-Subtoken-Nonce: ");
      CHECK((line != NULL) == (rows[i].echoed != NULL), "row %zu, %zu: %s", i, j, reply.headers);
      if (line == NULL) continue;
      line += strlen("X-Subtoken-Nonce: ");
      CHECK(strncmp(line, rows[i].echoed, strlen(rows[i].echoed)) == 0 &&
                strcmp(line + strlen(rows[i].echoed), "\r\n") == 0,
            "row %zu, %zu: %s", i, j, line);
    }
  }
}

/* ---- for which audience ---- */

#define FOR(audience) "X-Subtoken-Audience: " audience "\n"
#define FOR_NONE "x-subtoken-audience: \n"
#define BOUND_KEY "EEEEEEEE-0000-0000-0000-000000000001EEEEEEEE-0000-0000-0000-000000000002"
#define AS_BOUND "Authorization: Bearer " BOUND_KEY "\n"

/* What an edge with the whole ring would decide; but a key that is not bound is good everywhere.
 * Who says nothing is an edge without an audience: what was made for another edge does not pass it.
 */
static void an_audience_is_for_its_edge(void **state) {
  (void)state;
  static char plain[SUBTOKEN_ISSUED_MAX + 128], eu[SUBTOKEN_ISSUED_MAX + 128];
  static char eu_elsewhere[SUBTOKEN_ISSUED_MAX + 128];
  fixture_row *row = fixture_add(ST_KIND_KEY, "EEEEEEEE-0000-0000-0000-000000000001", "", "o",
                                 "account", ST_NEVER);
  snprintf(row->key.audience, sizeof row->key.audience, "e");
  st_sha256(BOUND_KEY, ST_KEY_LEN, row->digest);
  snprintf(plain, sizeof plain, "%s", subtoken("account", NULL, BEARER));
  assert_int_equal(get("/v2/createsubtoken?permissions=account&audience=e", AS_KEY), 200);
  snprintf(eu, sizeof eu, "Authorization: Bearer %.*s\n", SUBTOKEN_ISSUED_MAX, member("subtoken"));
  assert_int_equal(get("/v2/createsubtoken?permissions=account&audience=e&urls=/v2/bank", AS_KEY),
                   200);
  snprintf(eu_elsewhere, sizeof eu_elsewhere, "Authorization: Bearer %.*s\n", SUBTOKEN_ISSUED_MAX,
           member("subtoken"));
  const struct {
    const char *credential, *asker;
    int status;
  } rows[] = {
      {eu_elsewhere, "", 401}, /* for whom it is comes before where */
      {eu_elsewhere, FOR("us"), 401},
      {eu_elsewhere, FOR("e"), 403},
      {AS_KEY, "", 200},
      {AS_KEY, FOR_NONE, 200},
      {AS_KEY, FOR("e"), 200},
      {AS_BOUND, "", 401},
      {AS_BOUND, FOR_NONE, 401},
      {AS_BOUND, FOR("e"), 200},
      {AS_BOUND, FOR("us"), 401},
      {AS_BOUND, FOR("E"), 401},
      {plain, "", 200},
      {plain, FOR_NONE, 200},
      {plain, FOR("e"), 401},
      {eu, "", 401},
      {eu, FOR_NONE, 401},
      {eu, FOR("e"), 200},
      {eu, FOR("us"), 401},
      {AS_KEY, FOR("a.b"), 400},
      {AS_KEY, FOR("e") FOR("e"), 400},
      {eu, FOR("e") FOR("e"), 400},
      {eu, FOR("0123456789abcdef0123456789abcdef0"), 400},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char headers[SUBTOKEN_ISSUED_MAX + 400];
    snprintf(headers, sizeof headers, "%s%s", rows[i].asker, rows[i].credential);
    int status = may("GET", "/v2/account", headers);
    CHECK(status == rows[i].status, "row %zu: %d %s", i, status, rows[i].asker);
    if (status == 401) check_unauthorized("aud");
    if (status == 400) check_body_starts("{\"text\":\"X-Subtoken-Audience: must be given once");
    snprintf(headers, sizeof headers, "%s%s" NONCE, rows[i].asker, rows[i].credential);
    int asked = fixture_ask("GET", ASK "/v2/account", headers, "");
    CHECK(asked == rows[i].status, "row %zu: %d with a nonce", i, asked);
    bool told = strncmp(reply.headers, NOBODY, strlen(NOBODY)) != 0;
    CHECK(told == (asked == 200), "row %zu: %s", i, reply.headers);
  }
  settings.basic_challenge = true;
  assert_int_equal(may("GET", "/v2/account", AS_BOUND), 401);
  assert_true(reply.basic_challenge);
  settings.basic_challenge = false;
}

/* D18: the identity is in the answer whatever the policy says. A nonce allows nothing more. */
static void the_identity_is_told_whatever_the_policy_says(void **state) {
  (void)state;
  static const struct {
    const char *method, *original, *body;
    int without, with;
  } rows[] = {
      {"GET", "/v2/account", "", 200, 200},  {"GET", "/v2/bank", "", 403, 403},
      {"POST", "/v2/account", "", 403, 403}, {"GET", "/v2/nowhere", "", 403, 403},
      {"GET", "/v2//account", "", 400, 400}, {"POST", "/rpc", "", 403, 403},
      {"POST", "/rpc", "[]", 400, 400},      {"POST", "/rpc", DATABASE, 403, 403},
      {"GET", "/v2/items", "", 200, 200},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[100];
    snprintf(target, sizeof target, ASK "%s", rows[i].original);
    int status = ask(rows[i].method, target, AS_KEY, rows[i].body);
    CHECK(status == rows[i].without, "row %zu without is %d", i, status);
    status = fixture_ask(rows[i].method, target, AS_KEY NONCE, rows[i].body);
    check_five();
    CHECK(status == rows[i].with, "row %zu with is %d", i, status);
    CHECK(strncmp(reply.headers, WHO, strlen(WHO)) == 0, "row %zu: %s", i, reply.headers);
    /* An invalid one is named nowhere, and passes at most where it did. */
    status = fixture_ask(rows[i].method, target, "Authorization: Bearer " OTHER_KEY "\n" NONCE,
                         rows[i].body);
    CHECK(status == 401 && strncmp(reply.headers, NOBODY, strlen(NOBODY)) == 0, "row %zu: %d %s", i,
          status, reply.headers);
    status = fixture_ask(rows[i].method, target, NONCE, rows[i].body);
    bool open = rows[i].without == 200 && strcmp(rows[i].original, "/v2/items") == 0;
    CHECK(status == (open ? 200 : 401), "row %zu: nobody is %d", i, status);
  }
  assert_int_equal(fixture_ask("GET", ASK, NGINX("GET", "/v2//account") AS_KEY NONCE, ""), 403);
  assert_int_equal(strncmp(reply.headers, WHO, strlen(WHO)), 0);
  fixture.broken = true;
  assert_int_equal(fixture_ask("GET", ASK "/v2/items", AS_KEY NONCE, ""), 503);
  check_five();
}

static int rpc(const char *headers, const char *body) {
  return ask("POST", ASK "/rpc", headers, body);
}

static void json_rpc_needs_its_apis(void **state) {
  (void)state;
  assert_int_equal(rpc(AS_KEY, HISTORY), 200);
  assert_int_equal(rpc(AS_KEY, DATABASE), 403);
  check_body("{\"text\":\"requires scope database_api\"}");
  assert_int_equal(rpc(AS_KEY, "[" HISTORY "," DATABASE "]"), 403);
  assert_int_equal(rpc(AS_KEY, "[" HISTORY "," HISTORY "]"), 200);
  assert_int_equal(rpc(AS_KEY, HISTORY "x"), 400);
  assert_int_equal(rpc(AS_KEY, "[]"), 400);
  assert_int_equal(rpc(AS_KEY, "{\"method\":\"a\",\"method\":\"b\"}"), 400);
  /* no body, or not all of it; and a body that nobody may see read */
  assert_int_equal(rpc(AS_KEY, ""), 403);
  assert_int_equal(rpc(AS_KEY "X-Envoy-Auth-Partial-Body: true\n", HISTORY), 403);
  assert_int_equal(rpc(AS_KEY "X-Envoy-Auth-Partial-Body: false\n", HISTORY), 200);
  assert_int_equal(rpc(AS_KEY "Content-Type: application/json; charset=utf-7\n", HISTORY), 403);
  assert_int_equal(rpc(AS_KEY "Content-Type: a/b\nContent-Type: a/b\n", HISTORY), 403);
  assert_int_equal(rpc(AS_KEY "Content-Type: application/json; Charset=UTF-8\n", HISTORY), 200);
  assert_int_equal(rpc("Accept: x\n", "[]"), 401);
  assert_int_equal(rpc(subtoken("account", NULL, BEARER), HISTORY), 403);
  check_body("{\"text\":\"requires scope history_api\"}");
  /* in the token, but the key has it no longer */
  assert_int_equal(rpc(subtoken("history_api,database_api", NULL, BEARER), DATABASE), 403);
  /* longer than any body that is read */
  static char longer[ST_REPLY_BODY_MAX];
  snprintf(longer, sizeof longer, "%9000s", HISTORY);
  assert_int_equal(rpc(AS_KEY, longer), 400);
}

/* ---- what needs no credential ---- */

/* Without a credential, or with `headers`; what the header of permissions says. */
static int ask_as_anyone(const char *method, const char *original, const char *headers,
                         const char *body, const char *told) {
  char target[300], lines[300];
  snprintf(target, sizeof target, ASK "%s", original);
  int status = fixture_ask(method, target, headers, body);
  snprintf(lines, sizeof lines,
           "X-Subtoken-Sub: \r\nX-Subtoken-Key: \r\nX-Subtoken-Owner: \r\n"
           "X-Subtoken-Permissions: %s\r\nX-Subtoken-Expires: \r\n",
           told);
  check_headers(lines);
  return status;
}

static int set_up_anyone(void **state) {
  int result = set_up_policy(state);
  fixture_add_user(ST_ANONYMOUS, "A2EA1000-0000-0000-0000-000000000000", "history_api,account");
  fixture_row *row = &fixture.rows[fixture.row_count - 1];
  st_identity_anonymous_digest(row->digest);
  return result;
}

#define TOLD "history_api,account"

static void the_anonymous_user_may_pass(void **state) {
  (void)state;
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", TOLD), 200);
  check_event("none");
  assert_string_equal(reply.event.key_id, "");
  assert_int_equal(ask_as_anyone("GET", "/v2/bank", "", "", TOLD), 401); /* needs more */
  check_unauthorized("auth_missing");
  assert_string_equal(reply.challenge, "Bearer");
  assert_int_equal(ask_as_anyone("GET", "/v2/characters/x", "", "", TOLD), 401); /* a token */
  assert_int_equal(ask_as_anyone("POST", "/v2/account", "", "", TOLD), 401);
  assert_int_equal(ask_as_anyone("GET", "/elsewhere", "", "", TOLD), 401);
  assert_int_equal(ask_as_anyone("GET", "/v2/items", "", "", ""), 200); /* public */
  assert_int_equal(ask_as_anyone("POST", "/rpc", AS_JSON, HISTORY, TOLD), 200);
  assert_int_equal(ask_as_anyone("POST", "/rpc", AS_JSON, DATABASE, TOLD), 401);
  assert_int_equal(ask_as_anyone("POST", "/rpc", AS_JSON, "[" HISTORY "," DATABASE "]", TOLD), 401);
  assert_int_equal(ask_as_anyone("POST", "/rpc", AS_JSON, "[]", TOLD), 400);
  assert_int_equal(ask_as_anyone("POST", "/rpc", AS_JSON, "", TOLD), 401);
  /* a credential that is not good is not nobody's */
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "X-API-Key: x\n", "", ""), 401);
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "Authorization: Basic Kjo=\n", "", ""), 401);
  assert_int_equal(ask_as_anyone("GET", "/v2/account", subtoken("guilds", NULL, BEARER), "", ""),
                   403);
}

#define LIST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}"

/* A call that needs no permission is not one that no permissions open. */
static void the_anonymous_user_needs_a_permission(void **state) {
  (void)state;
  st_key *row = &fixture.rows[fixture.row_count - 1].key;
  assert_int_equal(ask_as_anyone("POST", "/mcp", AS_JSON, LIST, TOLD), 200);
  snprintf(row->permissions, sizeof row->permissions, "account");
  assert_int_equal(ask_as_anyone("POST", "/mcp", AS_JSON, LIST, "account"), 200);
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", "account"), 200);
  row->permissions[0] = '\0';
  assert_int_equal(ask_as_anyone("POST", "/mcp", AS_JSON, LIST, ""), 401);
  snprintf(row->audience, sizeof row->audience, "w.b"); /* a row that nobody wrote */
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", ""), 503);
  check_event("store_error");
}

/* An edge that knows the policy asks who it is, of a target that we cannot read. */
static void the_anonymous_user_passes_no_ambiguous_target(void **state) {
  (void)state;
  assert_int_equal(fixture_ask("GET", ASK "/v2//account", NONCE, ""), 401);
  check_unauthorized("auth_missing");
  check_header("X-Subtoken-Permissions: " TOLD "\r\n");
  check_header("X-Subtoken-Sub: \r\n");
  assert_int_equal(fixture_ask("GET", ASK "/v2//account", "", ""), 400);
  assert_true(tells_nobody());
}

static void without_an_anonymous_user_nobody_passes(void **state) {
  (void)state;
  st_key *row = &fixture.rows[fixture.row_count - 1].key;
  row->disabled = true;
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", ""), 401);
  row->disabled = false;
  row->permissions[0] = '\0';
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", ""), 401);
  fixture.broken = true;
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", ""), 503);
  check_event("store_error");
  fixture.broken = false;
  service.policy = NULL; /* the edge has one, and gets what it needs to know */
  snprintf(row->permissions, sizeof row->permissions, "account");
  assert_int_equal(ask_as_anyone("GET", "/v2/account", "", "", "account"), 401);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_original_request_is_found, set_up),
      cmocka_unit_test_setup(an_absolute_original_url_counts, set_up),
      cmocka_unit_test_setup(two_original_requests_must_agree, set_up),
      cmocka_unit_test_setup(urls_are_compared_with_the_original, set_up),
      cmocka_unit_test_setup(an_original_target_has_a_limit, set_up),
      cmocka_unit_test_setup(credentials_of_the_original_count, set_up),
      cmocka_unit_test_setup(the_identity_is_told_in_headers, set_up),
      cmocka_unit_test_setup(the_longest_identity_fits, set_up),
      cmocka_unit_test_setup(what_cannot_be_decided_is_503, set_up),
      cmocka_unit_test_setup(the_policy_decides, set_up_policy),
      cmocka_unit_test_setup(an_ambiguous_target_comes_first, set_up_policy),
      cmocka_unit_test_setup(a_preflight_passes_when_the_policy_says_so, set_up_policy),
      cmocka_unit_test_setup(a_nonce_is_echoed, set_up_policy),
      cmocka_unit_test_setup(an_audience_is_for_its_edge, set_up_policy),
      cmocka_unit_test_setup(the_identity_is_told_whatever_the_policy_says, set_up_policy),
      cmocka_unit_test_setup(json_rpc_needs_its_apis, set_up_policy),
      cmocka_unit_test_setup(the_anonymous_user_may_pass, set_up_anyone),
      cmocka_unit_test_setup(the_anonymous_user_needs_a_permission, set_up_anyone),
      cmocka_unit_test_setup(the_anonymous_user_passes_no_ambiguous_target, set_up_anyone),
      cmocka_unit_test_setup(without_an_anonymous_user_nobody_passes, set_up_anyone),
  };
  return cmocka_run_group_tests_name("authorize", tests, NULL, NULL);
}
