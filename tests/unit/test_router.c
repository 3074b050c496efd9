/* service: routes, credentials, statuses and bodies, request struct in, reply out. */
#include "service_fixture.h"

#include "service/reply.h"

#define OTHER_KEY "0EDCBA98-7654-3210-FEDC-BA98765432100EDCBA98-7654-3210-FEDC-BA9876543210"
#define SUB "0000000000000000000000000000000000000000001" /* of the fixture's first row */
#define CREATE "/v2/createsubtoken"
#define INFO "/v2/tokeninfo"

static st_key *const stored = &fixture.rows[0].key;

/* ---- a feed that has one snapshot, and changes since 41 ---- */

#define REVOKED "/v2/revocations"
#define TAG "abcdefghijklmnopqrstuvwxyz-_0123456789ABCDE"
#define SNAPSHOT "the snapshot"
#define CHANGES "changes"

static st_feed_status fed;
static int held; /* payloads that nobody has released */

static void let_go(void *context) {
  assert_ptr_equal(context, &held);
  held--;
}

static char asked_for[SUBTOKEN_AUD_MAX + 1]; /* the audience of the last question */

static st_feed_status current(void *context, const st_feed_question *question,
                              st_snapshot_version *version) {
  assert_ptr_equal(context, &fed);
  assert_true(question->since >= 0);
  assert_ptr_equal(question->ring, &ring);
  assert_true(question->now == NOW);
  assert_string_equal(question->key_id, KEY_ID);
  snprintf(asked_for, sizeof asked_for, "%.*s", (int)question->audience.len,
           question->audience.data);
  if (fed != ST_FEED_READY) return fed;
  version->sequence = 42;
  snprintf(version->etag, sizeof version->etag, "%s", TAG);
  memset(version->heartbeat, 'h', SUBTOKEN_HEARTBEAT_TEXT_LEN);
  version->heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN] = '\0';
  version->snapshot = (st_payload){SNAPSHOT, strlen(SNAPSHOT), NULL, let_go, &held, NULL};
  held++;
  return ST_FEED_READY;
}

static bool changes(void *context, const st_snapshot_version *version, int64_t since,
                    st_payload *payload) {
  assert_ptr_equal(context, &fed);
  assert_true(version->sequence == 42);
  if (since != 41) return false;
  *payload = (st_payload){CHANGES, strlen(CHANGES), NULL, let_go, &held, NULL};
  held++;
  return true;
}

/* Sequences from NEVER on were given by nobody. */
#define NEVER 1000000
static st_feed_status issued(void *context, int64_t since) {
  (void)context;
  return since < NEVER ? ST_FEED_READY : ST_FEED_NEVER;
}

static st_feed_status whole(void *context, const st_feed_question *question,
                            st_snapshot_version *version) {
  assert_ptr_equal(context, &fed);
  assert_ptr_equal(question->ring, &ring);
  assert_true(version->sequence == 42 && question->since != 41);
  return ST_FEED_READY;
}

static int set_up(void **state) {
  (void)fixture_set_up(state);
  service.feed = (st_feed){&fed, current, changes, whole, issued};
  fed = ST_FEED_READY;
  held = 0;
  assert_string_equal(stored->id, KEY_ID);
  assert_string_equal(stored->sub, SUB);
  snprintf(stored->name, sizeof stored->name, "My \"key\"\n");
  snprintf(stored->permissions, sizeof stored->permissions, "account,progression,guilds");
  return 0;
}

static int ask_at(const char *method, const char *target, const char *headers, const char *body,
                  int64_t now) {
  return fixture_ask_when(method, target, headers, body, now, NOW_US);
}

/* The claims of the subtoken that was just made, verified as an edge would. */
static const subtoken_claims *made(void) {
  static subtoken_claims claims;
  static char token[SUBTOKEN_ISSUED_MAX + 1], header[SUBTOKEN_HEADER_MAX];
  static const char front[] = "{\"subtoken\":\"";
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_body_starts(front);
  size_t len = reply.body_len - (sizeof front - 1) - 2;
  memcpy(token, reply.body + sizeof front - 1, len);
  token[len] = '\0';
  assert_memory_equal(reply.body + reply.body_len - 2, "\"}", 2);
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_result result = subtoken_verify(&verifier, st_text(token), &request, &claims);
  assert_true(result == SUBTOKEN_OK || result == SUBTOKEN_URL); /* no target is named here */
  assert_int_equal(subtoken_inspect(st_text(token), header, sizeof header, &claims), SUBTOKEN_OK);
  assert_string_equal(header, HEADER);
  return &claims;
}

static const char *as_subtoken(const char *permissions, const char *urls, int64_t exp) {
  return bearer(subtoken_of_key(permissions, urls, exp));
}

/* ---- routes ---- */

static void each_route_has_its_methods(void **state) {
  (void)state;
  static const struct {
    const char *method, *target;
    int status;
    const char *allow;
  } rows[] = {
      {"GET", "/healthz", 200, NULL},
      {"GET", "/readyz", 200, NULL},
      {"GET", "/healthz?x=1", 200, NULL},
      {"GET", "/", 404, NULL},
      {"GET", "/v2", 404, NULL},
      {"GET", "/v2/", 404, NULL},
      {"GET", "/v2/tokeninf", 404, NULL},
      {"GET", "/v2/tokeninfo/", 404, NULL},
      {"GET", "/v2/tokeninfo/x", 404, NULL},
      {"GET", "/V2/tokeninfo", 404, NULL},
      {"GET", "/v2/Tokeninfo", 404, NULL},
      {"GET", "/v2%2Ftokeninfo", 404, NULL},
      {"GET", "/v2/token%69nfo", 404, NULL},
      {"GET", "/v2/./tokeninfo", 404, NULL},
      {"GET", "/x/../v2/tokeninfo", 404, NULL},
      {"GET", "/v2\\tokeninfo", 404, NULL},
      {"GET", "/v2/tokeninfo;x", 404, NULL},
      {"GET", "/healthz/", 404, NULL},
      {"POST", "/nowhere", 404, NULL},
      {"OPTIONS", "/nowhere", 404, NULL},
      {"OPTIONS", "/", 204, "GET, HEAD, POST, PATCH, DELETE, OPTIONS"}, /* D10 */
      {"OPTIONS", "*", 204, "GET, HEAD, POST, PATCH, DELETE, OPTIONS"},
      {"GET", "*", 404, NULL},
      {"DELETE", "/nowhere", 404, NULL},
      {"POST", INFO, 405, "GET, HEAD, OPTIONS"},
      {"DELETE", INFO, 405, "GET, HEAD, OPTIONS"},
      {"get", INFO, 405, "GET, HEAD, OPTIONS"},
      {"FOO", CREATE, 405, "GET, HEAD, POST, OPTIONS"},
      {"PUT", CREATE, 405, "GET, HEAD, POST, OPTIONS"},
      {"PATCH", "/healthz", 405, "GET, HEAD, OPTIONS"},
      {"POST", "/readyz", 405, "GET, HEAD, OPTIONS"},
      {"TRACE", INFO, 405, "GET, HEAD, OPTIONS"},
      {"TRACE", "/nowhere", 405, "GET, HEAD, POST, OPTIONS"},
      {"CONNECT", "/nowhere", 405, "GET, HEAD, POST, OPTIONS"},
      {"CONNECT", "api.test:443", 405, "GET, HEAD, POST, OPTIONS"},
      {"BREW", "/nowhere", 405, "GET, HEAD, POST, OPTIONS"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = fixture_ask(rows[i].method, rows[i].target, "", "");
    CHECK(status == rows[i].status, "%s %s: %d", rows[i].method, rows[i].target, status);
    CHECK((reply.allow == NULL) == (rows[i].allow == NULL), "%s: Allow", rows[i].target);
    if (rows[i].allow != NULL) assert_string_equal(reply.allow, rows[i].allow);
    if (status == 404) check_event("not_found");
    if (status == 405) check_event("bad_method");
  }
}

/* Repeated slashes collapse after the first segment, for the route and for the url
 * check; a path that starts with two is none of ours. */
static void repeated_slashes_collapse(void **state) {
  (void)state;
  assert_int_equal(get("/v2//tokeninfo", AS_KEY), 200);
  assert_int_equal(get("/v2////tokeninfo?v=latest", AS_KEY), 200);
  assert_int_equal(get("//v2/tokeninfo", AS_KEY), 404);
  assert_int_equal(get("///v2/tokeninfo", AS_KEY), 404);
  assert_int_equal(get("//", AS_KEY), 404);
  assert_int_equal(get("/v2//tokeninfo//", AS_KEY), 404);
  assert_int_equal(get("//healthz", ""), 404);
  assert_int_equal(get("/v2//tokeninfo", as_subtoken("account", INFO, NOW + 60)), 200);
  assert_int_equal(get("/v2//tokeninfo", as_subtoken("account", CREATE, NOW + 60)), 403);
  /* In the query nothing is collapsed. */
  assert_int_equal(get(CREATE "?urls=/a//b", AS_KEY), 400);
}

static void targets_have_a_limit(void **state) {
  (void)state;
  subtoken_text most = repeated(CREATE "?access_token=" KEY "&x=", 'x',
                                SUBTOKEN_TARGET_MAX - strlen(CREATE "?access_token=" KEY "&x="));
  subtoken_text more = repeated("/v2/tokeninfo?x=", 'x', SUBTOKEN_TARGET_MAX);
  subtoken_text path = repeated("/", 'x', SUBTOKEN_TARGET_MAX - 1);
  st_request request = {.method = ST_TEXT("GET"), .target = most, .now = NOW};
  st_router_answer(&service, &request, &reply);
  assert_int_equal(reply.status, 200);
  request.target = more;
  st_router_answer(&service, &request, &reply);
  assert_int_equal(reply.status, 414);
  check_event("limit");
  request.target = path;
  st_router_answer(&service, &request, &reply);
  assert_int_equal(reply.status, 404);
  release(most);
  release(more);
  release(path);
}

static void health_needs_no_credential(void **state) {
  (void)state;
  assert_int_equal(get("/healthz", ""), 200);
  check_body("{\"status\":\"ok\"}");
  assert_int_equal(get("/readyz", "Authorization: Bearer nonsense\n"), 200);
  check_body("{\"status\":\"ready\"}");
  fixture.broken = true;
  assert_int_equal(get("/healthz", ""), 200);
  assert_int_equal(get("/readyz", ""), 503);
  check_event("store_error");
  fixture.broken = false;
  ring.count = 0;
  assert_int_equal(get("/readyz", ""), 503);
}

static void head_and_options_are_answered(void **state) {
  (void)state;
  assert_int_equal(get(INFO, AS_KEY), 200);
  assert_false(reply.head);
  size_t len = reply.body_len;
  assert_int_equal(fixture_ask("HEAD", INFO, AS_KEY, ""), 200);
  assert_true(reply.head);
  assert_int_equal(reply.body_len, len); /* what GET would have sent; the shell keeps it back */
  assert_int_equal(fixture_ask("HEAD", CREATE, AS_KEY, ""), 200);
  assert_int_equal(fixture_ask("HEAD", INFO, "", ""), 401);
  assert_true(reply.head);
  assert_int_equal(fixture_ask("HEAD", "/nowhere", "", ""), 404);
  assert_true(reply.head);
  /* A browser asks without credentials; what it would send later is not looked at. */
  assert_int_equal(fixture_ask("OPTIONS", CREATE, "Origin: https://a\n", ""), 204);
  assert_true(reply.preflight);
  assert_int_equal(reply.body_len, 0);
  assert_string_equal(reply.allow, "GET, HEAD, POST, OPTIONS");
  assert_int_equal(fixture_ask("OPTIONS", INFO "?access_token=bad", "", ""), 204);
  assert_string_equal(reply.allow, "GET, HEAD, OPTIONS");
  assert_int_equal(get(INFO, AS_KEY), 200);
  assert_false(reply.preflight);
}

/* ---- credentials ---- */

static void one_credential_is_found_wherever_it_stands(void **state) {
  (void)state;
  static const struct {
    const char *target, *headers;
    int status;
    const char *challenge, *event;
  } rows[] = {
      {INFO, AS_KEY, 200, "", "none"},
      {INFO, "authorization: bEARER " KEY "\n", 200, "", "none"},
      {INFO, "Authorization: Bearer   " KEY "\n", 200, "", "none"},
      {INFO, "X-API-Key: " KEY "\n", 200, "", "none"},
      {INFO "?access_token=" KEY, "", 200, "", "none"},
      {INFO "?x=1&access%5Ftoken=%30"
            "1234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-"
            "0123-456789ABCDEF&y=2",
       "", 200, "", "none"},
      /* the same one twice is one */
      {INFO "?access_token=" KEY, AS_KEY, 200, "", "none"},
      {INFO "?access_token=" KEY "&access_token=" KEY, "X-API-Key: " KEY "\n" AS_KEY, 200, "",
       "none"},
      /* an empty one is none */
      {INFO "?access_token=", AS_KEY, 200, "", "none"},
      {INFO "?access_token", "X-API-Key: \n" AS_KEY, 200, "", "none"},
      {INFO, "Authorization: \nX-API-Key: " KEY "\n", 200, "", "none"},
      {INFO, "Authorization: Bearer\nX-API-Key: " KEY "\n", 200, "", "none"},
      {INFO, "", 401, "Bearer", "auth_missing"},
      {INFO "?access_token=", "Authorization: Bearer \nX-API-Key: \n", 401, "Bearer",
       "auth_missing"},
      {INFO, "Authorization: Digest " KEY "\n", 401, "Bearer", "auth_missing"},
      {INFO, "Authorization: Basic \n", 401, "Bearer", "auth_missing"},
      /* Basic is never asked for, but what comes as such is looked at */
      {INFO, "Authorization: Basic " KEY "\n", 401, "Bearer error=\"invalid_token\"",
       "login_failed"},
      {INFO, "Authorization: Bearer" KEY "\n", 401, "Bearer", "auth_missing"},
      {INFO, "Authorization: " KEY "\n", 401, "Bearer", "auth_missing"},
      /* two that differ */
      {INFO, AS_KEY "X-API-Key: " OTHER_KEY "\n", 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      {INFO "?access_token=" OTHER_KEY, AS_KEY, 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      {INFO "?access_token=" KEY "&access_token=x", "", 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      {INFO "?access_token=x", "X-API-Key: y\n", 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      /* two Authorization headers, whatever stands in them */
      {INFO, AS_KEY AS_KEY, 400, "Bearer error=\"invalid_request\"", "auth_ambiguous"},
      {INFO, AS_KEY "Authorization: Basic eA\n", 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      {INFO, "Authorization: \nauthorization: \n", 400, "Bearer error=\"invalid_request\"",
       "auth_ambiguous"},
      /* not good */
      {INFO, "Authorization: Bearer " OTHER_KEY "\n", 401, "Bearer error=\"invalid_token\"",
       "key_unknown"},
      {INFO, "Authorization: Bearer x\n", 401, "Bearer error=\"invalid_token\"", "malformed"},
      {INFO, "X-API-Key: a.b.c\n", 401, "Bearer error=\"invalid_token\"", "malformed"},
      /* unreadable */
      {INFO "?access_token=%zz", "", 400, "Bearer error=\"invalid_request\"", "bad_request"},
      {INFO "?access_token=%zz", AS_KEY, 400, "Bearer error=\"invalid_request\"", "bad_request"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = get(rows[i].target, rows[i].headers);
    CHECK(status == rows[i].status, "row %zu: %d %.*s", i, status, (int)reply.body_len, reply.body);
    const char *challenge = reply.challenge != NULL ? reply.challenge : "";
    CHECK(strcmp(challenge, rows[i].challenge) == 0, "row %zu: %s", i, challenge);
    check_event(rows[i].event);
    if (status == 401) check_body(UNAUTHORIZED);
  }
}

/* The log names a credential by the first 8 hex digits of its SHA-256. */
static void a_credential_is_logged_by_its_hash(void **state) {
  (void)state;
  uint8_t digest[ST_HASH_LEN];
  char tag[ST_CREDENTIAL_TAG_LEN + 1];
  st_sha256(KEY, ST_KEY_LEN, digest);
  for (size_t i = 0; i < 4; i++) snprintf(tag + 2 * i, 3, "%02x", digest[i]);
  assert_int_equal(get(INFO, AS_KEY), 200);
  assert_string_equal(reply.event.credential, tag);
  assert_string_equal(reply.event.key_id, KEY_ID);
  assert_int_equal(get(INFO, ""), 401);
  assert_string_equal(reply.event.credential, "");
  assert_string_equal(reply.event.key_id, "");
  assert_int_equal(get(INFO, "X-API-Key: x\n"), 401);
  assert_int_equal(strlen(reply.event.credential), ST_CREDENTIAL_TAG_LEN);
  assert_string_equal(reply.event.key_id, "");
}

/* None is read from a body. */
static void no_credential_is_read_from_a_body(void **state) {
  (void)state;
  assert_int_equal(fixture_ask("POST", CREATE, "Content-Type: application/x-www-form-urlencoded\n",
                               "access_token=" KEY),
                   401);
  assert_int_equal(fixture_ask("POST", CREATE, "Content-Type: application/json\n",
                               "{\"access_token\":\"" KEY "\"}"),
                   401);
  check_event("auth_missing");
}

static void a_failing_store_is_503(void **state) {
  (void)state;
  fixture.broken = true;
  static const char *const lines[] = {AS_KEY, NULL};
  for (int i = 0; i < 2; i++) {
    const char *line = lines[i] != NULL ? lines[i] : as_subtoken("account", NULL, NOW + 60);
    assert_int_equal(get(INFO, line), 503);
    check_event("store_error");
    assert_true(reply.retry_after > 0);
    assert_null(reply.challenge);
    assert_int_equal(get(CREATE, line), 503);
  }
  assert_int_equal(get(INFO, "X-API-Key: a.b.c\n"), 401); /* nobody had to ask the store */
}

static void clocks_may_differ_by_the_leeway(void **state) {
  (void)state;
  const char *line = as_subtoken("account", NULL, NOW + 100);
  assert_int_equal(ask_at("GET", INFO, line, "", NOW - 1059), 200);
  check_event("clock_skew");
  assert_int_equal(reply.event.delta, 59);
  assert_int_equal(ask_at("GET", INFO, line, "", NOW - 1061), 401);
  check_event("iat_future");
  assert_int_equal(reply.event.delta, 61);
  assert_int_equal(ask_at("GET", INFO, line, "", NOW + 100 + 59), 200);
  assert_int_equal(ask_at("GET", INFO, line, "", NOW + 100 + 61), 401);
  check_event("expired");
  assert_int_equal(reply.event.delta, -61);
  check_body(UNAUTHORIZED);
  /* A parent that lives on leeway alone makes nothing. */
  assert_int_equal(ask_at("GET", CREATE, line, "", NOW + 100), 400);
  check_body_starts("{\"text\":\"the parent has expired");
  assert_int_equal(ask_at("GET", CREATE, line, "", NOW + 99), 200);
}

/* ---- the order of errors ---- */

static void checks_come_in_one_order(void **state) {
  (void)state;
  static const char bad[] = "?urls=nonsense&expire=never";
  char line[SUBTOKEN_ISSUED_MAX + 200];
  char target[100];
  snprintf(target, sizeof target, CREATE "%s", bad);
  snprintf(line, sizeof line, "%sX-API-Key: x\n", as_subtoken("account", INFO, NOW + 60));
  assert_int_equal(get(target, line), 400); /* two credentials before all else */
  check_event("auth_ambiguous");
  assert_int_equal(get(target, "X-API-Key: x\n"), 401); /* then who it is */
  assert_int_equal(get(target, as_subtoken("account", INFO, NOW - 60)), 401);
  assert_int_equal(get(target, as_subtoken("account", INFO, NOW + 60)), 403); /* then the url */
  check_event("url");
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
  assert_int_equal(get(target, as_subtoken("account", CREATE, NOW + 60)), 400); /* then these */
  check_event("issue_denied");
  assert_int_equal(get(INFO "?v=nonsense", as_subtoken("account", CREATE, NOW + 60)), 403);
  assert_int_equal(get(INFO "?v=nonsense", ""), 401);
  /* A body of another type comes after the credential, too. */
  assert_int_equal(fixture_ask("POST", CREATE, "Content-Type: text/plain\n", "x"), 401);
  assert_int_equal(fixture_ask("POST", CREATE, AS_KEY "Content-Type: text/plain\n", "x"), 415);
  /* Method and route come before credentials. */
  assert_int_equal(get("/nowhere", AS_KEY AS_KEY), 404);
  assert_int_equal(fixture_ask("DELETE", INFO, AS_KEY AS_KEY, ""), 405);
}

/* ---- createsubtoken ---- */

static void a_subtoken_without_parameters_has_defaults(void **state) {
  (void)state;
  assert_int_equal(get(CREATE, AS_KEY), 200);
  const subtoken_claims *claims = made();
  assert_true(claims->iat == NOW);
  assert_true(claims->exp == NOW + 30 * DAY);
  assert_int_equal(claims->permission_count, 0);
  assert_true(claims->every_url);
  assert_true(st_text_is(subtoken_claims_text(claims, claims->sub), SUB));
  check_event("none");
  assert_int_equal(reply.event.dropped, 0);
  assert_false(reply.event.clamped);
}

static void a_subtoken_has_what_was_asked_for(void **state) {
  (void)state;
  assert_int_equal(get(CREATE "?expire=2023-11-20T00%3A00%3A00.592223424%2B00%3A00"
                              "&permissions=guilds,nonsense,account,guilds,inventories"
                              "&urls=%2Fv2%2Ftokeninfo%2C%2Fv2%2Fcharacters%2FMy+Cool+Character",
                       AS_KEY),
                   200);
  const subtoken_claims *claims = made();
  assert_true(claims->exp == INT64_C(1700438400));
  check_list(claims, claims->permissions, claims->permission_count, "guilds,account");
  check_list(claims, claims->urls, claims->url_count,
             "/v2/tokeninfo,/v2/characters/My%20Cool%20Character");
  assert_int_equal(reply.event.dropped, 2);
  assert_false(reply.event.clamped);
}

static void an_expiry_is_clamped(void **state) {
  (void)state;
  assert_int_equal(get(CREATE "?expire=9999-12-31T23:59:59Z", AS_KEY), 200);
  assert_true(made()->exp == NOW + 365 * DAY);
  assert_true(reply.event.clamped);
  stored->expires_at = NOW + 500;
  assert_int_equal(get(CREATE "?expire=2030-01-01T00:00:00Z", AS_KEY), 200);
  assert_true(made()->exp == NOW + 500);
  assert_int_equal(get(CREATE, AS_KEY), 200);
  assert_true(made()->exp == NOW + 500);
  settings.default_life = 60;
  assert_int_equal(get(CREATE, AS_KEY), 200);
  assert_true(made()->exp == NOW + 60);
}

/* The body is read on POST alone, and by its type. */
static void a_body_is_read_by_its_type_on_post_alone(void **state) {
  (void)state;
  static const char form[] = "permissions=account&urls=%2Fa";
  static const char json[] = "{\"permissions\":[\"account\"],\"urls\":[\"/a\"]}";
  static const struct {
    const char *method, *type, *body;
    int status;
  } rows[] = {
      {"POST", "Content-Type: application/x-www-form-urlencoded\n", form, 200},
      {"POST", "content-type: Application/X-WWW-Form-Urlencoded ; charset=utf-8\n", form, 200},
      {"POST", "Content-Type: application/json\n", json, 200},
      {"POST", "Content-Type: application/json;charset=utf-8\n", json, 200},
      {"POST", "Content-Type: application/json\n", form, 400},
      {"POST", "Content-Type: application/jsonx\n", json, 415},
      {"POST", "Content-Type: text/plain\n", form, 415},
      {"POST", "Content-Type: multipart/form-data; boundary=x\n", form, 415},
      {"POST", "Content-Type: \n", form, 415},
      {"POST", "", form, 415},
      {"POST", "Content-Type: application/json\nContent-Type: application/json\n", json, 415},
  };
  char headers[500];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(headers, sizeof headers, AS_KEY "%s", rows[i].type);
    int status = fixture_ask(rows[i].method, CREATE, headers, rows[i].body);
    CHECK(status == rows[i].status, "row %zu: %d %.*s", i, status, (int)reply.body_len, reply.body);
    if (status == 415) check_body_starts("{\"text\":\"Content-Type: ");
    if (status != 200) continue;
    const subtoken_claims *claims = made();
    check_list(claims, claims->permissions, claims->permission_count, "account");
    check_list(claims, claims->urls, claims->url_count, "/a");
  }
  /* Without a body the type does not matter; a body on GET is ignored. */
  assert_int_equal(fixture_ask("POST", CREATE, AS_KEY "Content-Type: text/plain\n", ""), 200);
  assert_int_equal(fixture_ask("GET", CREATE, AS_KEY "Content-Type: application/json\n", json),
                   200);
  assert_int_equal(made()->permission_count, 0);
  assert_true(made()->every_url);
  assert_int_equal(fixture_ask("GET", CREATE, AS_KEY "Content-Type: text/plain\n", "x"), 200);
}

static void bad_parameters_are_named(void **state) {
  (void)state;
  static const struct {
    const char *query, *text;
  } rows[] = {
      {"expire=", "{\"text\":\"expire: must be a date"},
      {"expire=2023-11-14T22:13:20Z", "{\"text\":\"expire: must be in the future\"}"},
      {"expire=1969-01-01T00:00:00Z", "{\"text\":\"expire: must be in the future\"}"},
      {"urls=/a,undefined", "{\"text\":\"urls: entry 2: "},
      {"urls=/a,,/b", "{\"text\":\"urls: entry 2: "},
      {"urls=/a/../b", "{\"text\":\"urls: entry 1: "},
      {"urls=/a%00", "{\"text\":\"urls: entry 1: "},
      {"urls=/%FF", "{\"text\":\"urls: entry 1: "},
      {"urls=get:/a", "{\"text\":\"urls: entry 1: "},
      {"urls=/a*", "{\"text\":\"urls: entry 1: "},
      {"urls=%2", "{\"text\":\"urls: a % needs two hex digits"},
      {"urls=/a&urls=/b", "{\"text\":\"urls: given more than once\"}"},
  };
  char target[200];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(target, sizeof target, CREATE "?%s", rows[i].query);
    int status = get(target, AS_KEY);
    CHECK(status == 400, "%s: %d", rows[i].query, status);
    check_body_starts(rows[i].text);
    check_event("issue_denied");
    assert_null(reply.challenge);
  }
}

/* More than fits in a token of 4,096 bytes is said, not cut. */
static void a_token_that_is_too_long_is_refused(void **state) {
  (void)state;
  char target[SUBTOKEN_TARGET_MAX];
  st_writer writer = st_writer_on(target, sizeof target);
  st_write_literal(&writer, CREATE "?urls=");
  for (int i = 0; i < 5; i++) {
    st_write_literal(&writer, i == 0 ? "/a" : ",/");
    for (int j = 0; j < 900; j++) st_write_char(&writer, (char)('a' + i));
  }
  assert_true(st_writer_end(&writer));
  assert_int_equal(get(target, AS_KEY), 400);
  check_body_starts("{\"text\":\"urls: the subtoken would be longer than 4096 bytes");
}

static void a_subtoken_makes_a_narrower_one(void **state) {
  (void)state;
  const char *line = as_subtoken("account,guilds,tradingpost", NULL, NOW + 5000);
  assert_int_equal(get(CREATE "?permissions=guilds,tradingpost,progression", line), 200);
  const subtoken_claims *claims = made();
  /* tradingpost is in the token but no longer the key's; progression the key's alone. */
  check_list(claims, claims->permissions, claims->permission_count, "guilds");
  assert_true(claims->exp == NOW + 5000);
  assert_true(claims->iat == NOW);
  assert_true(st_text_is(subtoken_claims_text(claims, claims->sub), SUB));
  assert_true(claims->every_url);
  assert_int_equal(reply.event.dropped, 2);
}

static void a_restricted_subtoken_makes_what_it_lists(void **state) {
  (void)state;
  static const char urls[] = CREATE ",/v2/characters/*,GET:/v2/account";
  const char *line = as_subtoken("account", urls, NOW + 5000);
  assert_int_equal(get(CREATE, line), 200);
  const subtoken_claims *claims = made();
  check_list(claims, claims->urls, claims->url_count, urls); /* inherited */
  assert_int_equal(get(CREATE "?urls=/v2/characters/x,GET:/v2/account", line), 200);
  claims = made();
  check_list(claims, claims->urls, claims->url_count, "/v2/characters/x,GET:/v2/account");
  static const char *const wider[] = {"/v2/account", "POST:/v2/account", "/v2/*", "/*",
                                      "/v2/characters"};
  char target[100];
  for (size_t i = 0; i < COUNT(wider); i++) {
    snprintf(target, sizeof target, CREATE "?urls=/v2/characters/x,%s", wider[i]);
    CHECK(get(target, line) == 400, "%s: %d", wider[i], reply.status);
    check_body("{\"text\":\"urls: entry 2: the parent does not allow it\"}");
  }
  /* An entry with a method opens that method alone. */
  line = as_subtoken("account", "POST:" CREATE, NOW + 5000);
  assert_int_equal(get(CREATE, line), 403);
  assert_int_equal(fixture_ask("POST", CREATE, line, ""), 200);
  line = as_subtoken("account", "GET:" CREATE, NOW + 5000);
  assert_int_equal(fixture_ask("HEAD", CREATE, line, ""), 200);
  assert_int_equal(fixture_ask("POST", CREATE, line, ""), 403);
}

static void calls_of_a_key_are_limited(void **state) {
  (void)state;
  settings.rate_per_second = 1;
  settings.rate_burst = 3;
  for (int i = 0; i < 3; i++) assert_int_equal(get(CREATE, AS_KEY), 200);
  assert_int_equal(get(CREATE, AS_KEY), 429);
  check_event("rate");
  assert_int_equal(reply.retry_after, 1);
  /* A subtoken of the key draws from the same bucket. */
  assert_int_equal(get(CREATE, as_subtoken("account", NULL, NOW + 60)), 429);
  assert_int_equal(get(INFO, AS_KEY), 200); /* reading is not throttled */
  settings.rate_per_second = 0;
  assert_int_equal(get(CREATE, AS_KEY), 200);
}

/* ---- tokeninfo ---- */

#define KEY_INFO                           \
  "{\"id\":\"" KEY_ID                      \
  "\",\"name\":\"My \\\"key\\\"\\u000a\"," \
  "\"permissions\":[\"account\",\"progression\",\"guilds\"]"

static void a_key_is_described(void **state) {
  (void)state;
  assert_int_equal(get(INFO, AS_KEY), 200);
  check_body(KEY_INFO "}");
  assert_int_equal(get(INFO "?v=latest", AS_KEY), 200);
  check_body(KEY_INFO ",\"type\":\"APIKey\"}");
  stored->permissions[0] = '\0';
  assert_int_equal(get(INFO, AS_KEY), 200);
  check_body("{\"id\":\"" KEY_ID "\",\"name\":\"My \\\"key\\\"\\u000a\",\"permissions\":[]}");
}

static void a_subtoken_is_described(void **state) {
  (void)state;
  static const char front[] =
      "{\"id\":\"" KEY_ID "\",\"name\":\"My \\\"key\\\"\\u000a\",\"permissions\":[\"guilds\"]";
  static const char times[] =
      ",\"type\":\"Subtoken\",\"expires_at\":\"2023-11-14T22:14:20.000Z\","
      "\"issued_at\":\"2023-11-14T21:56:40.000Z\"";
  char expected[1024];
  assert_int_equal(get(INFO, as_subtoken("guilds", NULL, NOW + 60)), 200);
  snprintf(expected, sizeof expected, "%s}", front);
  check_body(expected);
  assert_int_equal(get(INFO "?v=latest", as_subtoken("guilds", NULL, NOW + 60)), 200);
  snprintf(expected, sizeof expected, "%s%s}", front, times);
  check_body(expected);
  assert_int_equal(get(INFO "?v=latest", as_subtoken("guilds", INFO ",/a/*", NOW + 60)), 200);
  snprintf(expected, sizeof expected, "%s%s,\"urls\":[\"" INFO "\",\"/a/*\"]}", front, times);
  check_body(expected);
  /* The old schema says nothing of urls. */
  assert_int_equal(get(INFO, as_subtoken("guilds", INFO ",/a/*", NOW + 60)), 200);
  snprintf(expected, sizeof expected, "%s}", front);
  check_body(expected);
}

static void a_schema_version_chooses_the_members(void **state) {
  (void)state;
  static const struct {
    const char *query, *header;
    int status; /* 200: old, 201: with the type */
  } rows[] = {
      {"", "", 200},
      {"?v=2019-05-21T23:59:59.999Z", "", 200},
      {"?v=2019-05-22T00:00:00.000Z", "", 201},
      {"?v=2019-05-22T00:00:00Z", "", 201},
      {"?v=2019-05-22T02:00:00%2B02:00", "", 201},
      {"?v=2019-05-22T01:59:59%2B02:00", "", 200},
      {"?v=2019-05-22", "", 201},
      {"?v=2019-05-21", "", 200},
      {"?v=2023-11-19", "", 201},
      {"?v=9999-12-31", "", 201},
      {"?v=0000-01-01", "", 200},
      {"?v=latest", "", 201},
      {"", "X-Schema-Version: latest\n", 201},
      {"", "x-schema-version: 2022-03-23T19:00:00.000Z\n", 201},
      {"", "X-Schema-Version: 2018-01-01\n", 200},
      {"?v=2018-01-01", "X-Schema-Version: latest\n", 200}, /* the query goes first */
      {"?v=latest", "X-Schema-Version: nonsense\n", 201},
      {"?v=", "", 400},
      {"?v", "X-Schema-Version: latest\n", 400},
      {"?v=LATEST", "", 400},
      {"?v=2019-5-22", "", 400},
      {"?v=2019-02-30", "", 400},
      {"?v=1", "", 400},
      {"?v=%zz", "", 400},
      {"?v=latest&v=latest", "", 400},
      {"", "X-Schema-Version: nonsense\n", 400},
      {"", "X-Schema-Version: \n", 400},
  };
  char target[100], headers[300];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(target, sizeof target, INFO "%s", rows[i].query);
    snprintf(headers, sizeof headers, AS_KEY "%s", rows[i].header);
    int status = get(target, headers);
    if (status == 200) {
      check_body_starts(KEY_INFO);
      status += reply.body_len > strlen(KEY_INFO "}");
    }
    CHECK(status == rows[i].status, "%s %s: %d", rows[i].query, rows[i].header, status);
    if (status != 400) continue;
    check_event("bad_request");
    check_body_starts(rows[i].query[0] != '\0' ? "{\"text\":\"v: "
                                               : "{\"text\":\"X-Schema-Version: ");
  }
}

/* ---- errors ---- */

static void an_error_is_escaped_json(void **state) {
  (void)state;
  memset(&reply, 0, sizeof reply);
  static const st_problem problem = {
      .status = 400, .event = "event", .text = "a \"quote\" \\ \n \x01 \x7F \xC3\xAB"};
  st_reply_problem(&reply, &problem);
  assert_int_equal(reply.status, 400);
  assert_string_equal(reply.event.name, "event");
  static char copy[ST_REPLY_BODY_MAX];
  memcpy(copy, reply.body, reply.body_len);
  assert_true(st_json_valid(copy, reply.body_len));
  check_body("{\"text\":\"a \\\"quote\\\" \\\\ \\u000a \\u0001 \\u007f \xC3\xAB\"}");
}

static void a_disabled_key_is_refused(void **state) {
  (void)state;
  static const char *const targets[] = {INFO, CREATE};
  stored->disabled = true;
  for (size_t i = 0; i < COUNT(targets); i++) {
    assert_int_equal(get(targets[i], AS_KEY), 401);
    check_body(UNAUTHORIZED);
    check_event("key_disabled");
    assert_int_equal(get(targets[i], as_subtoken("account", NULL, NOW + 60)), 401);
    check_body(UNAUTHORIZED);
    assert_string_equal(reply.challenge, "Bearer error=\"invalid_token\"");
  }
  stored->disabled = false;
  stored->expires_at = NOW;
  assert_int_equal(get(CREATE, AS_KEY), 401);
  check_event("key_expired");
  stored->expires_at = ST_NEVER;
  stored->sub[0] = 'b'; /* revoke-subtokens: the key lives on, its old subtokens do not */
  assert_int_equal(get(INFO, AS_KEY), 200);
}

/* ---- revocations ---- */

static bool has_header(const char *line) {
  char text[ST_REPLY_HEADERS_MAX + 1];
  memcpy(text, reply.headers, reply.headers_len);
  text[reply.headers_len] = '\0';
  return strstr(text, line) != NULL;
}

static void check_payload(const char *data, const char *type) {
  assert_int_equal(reply.body_len, 0);
  assert_string_equal(reply.content_type, type);
  assert_int_equal(reply.payload.len, strlen(data));
  assert_memory_equal(reply.payload.data, data, strlen(data));
  assert_int_equal(held, 1); /* what is to be sent, and nothing else */
  reply.payload.release(reply.payload.context);
  assert_int_equal(held, 0);
}

static void check_edition(void) {
  assert_true(has_header("ETag: \"" TAG "\"\r\n"));
  assert_true(has_header("Subtoken-Seq: 42\r\n"));
  assert_true(has_header("Subtoken-Heartbeat: hhhh"));
}

static void revocation_data_needs_its_permission(void **state) {
  (void)state;
  assert_int_equal(get(REVOKED, ""), 401);
  assert_int_equal(get(REVOKED, AS_KEY), 403);
  check_body("{\"text\":\"requires scope revocations\"}");
  check_event("perm");
  assert_int_equal(reply.headers_len, 0);
  snprintf(stored->permissions, sizeof stored->permissions, "account,revocations");
  assert_int_equal(get(REVOKED "?since=x", as_subtoken("account", NULL, NOW + 60)), 403);
  assert_int_equal(get(REVOKED, as_subtoken("revocations", INFO, NOW + 60)), 403);
  assert_int_equal(get(REVOKED, as_subtoken("revocations", NULL, NOW + 60)), 200);
  check_payload(SNAPSHOT, "application/octet-stream");
  check_edition();
  assert_int_equal(fixture_ask("HEAD", REVOKED, AS_KEY, ""), 200);
  check_payload(SNAPSHOT, "application/octet-stream");
  assert_true(reply.head);
  assert_int_equal(fixture_ask("POST", REVOKED, AS_KEY, ""), 405);
  assert_string_equal(reply.allow, "GET, HEAD, OPTIONS");
  fed = ST_FEED_STORE_ERROR;
  assert_int_equal(get(REVOKED, AS_KEY), 503);
  check_event("store_error");
  fed = ST_FEED_NO_MEMORY;
  assert_int_equal(get(REVOKED, AS_KEY "If-None-Match: *\n"), 503);
  check_event("oom");
  assert_int_equal(reply.headers_len, 0); /* no heartbeat */
  fed = ST_FEED_KEY_BUSY;                 /* C3 */
  assert_int_equal(get(REVOKED, AS_KEY), 429);
  check_event("feed_busy");
  assert_true(reply.retry_after == 1 && reply.headers_len == 0);
  fed = ST_FEED_BUSY;
  assert_int_equal(get(REVOKED, AS_KEY), 503);
  check_event("feed_busy");
  assert_true(reply.retry_after == 1 && reply.headers_len == 0);
  fed = ST_FEED_CLIENT_LEFT;
  assert_int_equal(get(REVOKED, AS_KEY), 503);
  check_event("client_left");
  assert_true(reply.close);
  assert_int_equal(held, 0);
}

/* A token for an audience, of the same key. */
static const char *as_token_for(const char *audience) {
  static char token[SUBTOKEN_ISSUED_MAX + 1];
  static subtoken_claims claims;
  size_t len;
  claims = grant_of("revocations", NULL);
  claims.iat = NOW - 1000;
  claims.exp = NOW + 60;
  assert_true(st_claims_set_sub(&claims, st_text(SUB)));
  assert_int_equal(subtoken_claims_set_aud(&claims, st_text(audience)), SUBTOKEN_OK);
  assert_int_equal(subtoken_issue(&ring, &claims, token, sizeof token, &len), SUBTOKEN_OK);
  return bearer(token);
}

static void revocation_data_is_for_an_audience(void **state) {
  (void)state;
  static const char long_name[] = "abcdefghijklmnopqrstuvwxyz_-0123";
  static const char *const wrong[] = {"audience=",
                                      "audience",
                                      "audience=a.b",
                                      "audience=a%00",
                                      "audience=%C3",
                                      "audience=a%2",
                                      "audience=eu,us",
                                      "audience=eu&audience=eu",
                                      "audience=abcdefghijklmnopqrstuvwxyz_-01234"};
  char target[200];
  snprintf(stored->permissions, sizeof stored->permissions, "revocations");
  assert_int_equal(get(REVOKED "?audience=eu", AS_KEY), 200);
  assert_string_equal(asked_for, "eu");
  check_payload(SNAPSHOT, "application/octet-stream");
  assert_int_equal(get(REVOKED "?since=41&audience=%65u", AS_KEY), 200);
  assert_string_equal(asked_for, "eu");
  check_payload(CHANGES, "application/vnd.subtoken.changes");
  snprintf(target, sizeof target, REVOKED "?audience=%s", long_name);
  assert_int_equal(get(target, AS_KEY "If-None-Match: *\n"), 304);
  assert_string_equal(asked_for, long_name);
  for (size_t i = 0; i < COUNT(wrong); i++) {
    snprintf(target, sizeof target, REVOKED "?%s", wrong[i]);
    CHECK(get(target, AS_KEY) == 400, "%s: %d", target, reply.status);
    check_body_starts("{\"text\":\"audience: ");
  }
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(asked_for, "");
  check_payload(SNAPSHOT, "application/octet-stream");
  /* What is for one audience gets its data alone, also where it names none. */
  assert_int_equal(get(REVOKED, as_token_for("us")), 200);
  assert_string_equal(asked_for, "us");
  check_payload(SNAPSHOT, "application/octet-stream");
  assert_int_equal(get(REVOKED "?audience=us", as_token_for("us")), 200);
  check_payload(SNAPSHOT, "application/octet-stream");
  assert_int_equal(get(REVOKED "?audience=eu", as_token_for("us")), 403);
  check_event("escalation");
  snprintf(stored->audience, sizeof stored->audience, "us");
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(asked_for, "us");
  check_payload(SNAPSHOT, "application/octet-stream");
  assert_int_equal(get(REVOKED "?audience=eu", AS_KEY), 403);
  check_event("escalation");
  fed = ST_FEED_AUDIENCE;
  assert_int_equal(get(REVOKED "?audience=us", AS_KEY), 400);
  check_body_starts("{\"text\":\"audience: ");
  fed = ST_FEED_AUDIENCES;
  assert_int_equal(get(REVOKED "?audience=us", AS_KEY), 429);
  check_event("feed_busy");
  assert_true(reply.retry_after > 0);
  stored->audience[0] = '\0';
  assert_int_equal(held, 0);
}

static void changes_are_sent_when_they_are_known(void **state) {
  (void)state;
  static const char *const whole[] = {"?since=1", "?since=42",  "?since=40&whole=1",
                                      "?whole=1", "?since2=41", "?x=%2&y"};
  static const char *const wrong[] = {"since=0",
                                      "since=",
                                      "since",
                                      "since=-1",
                                      "since=041",
                                      "since=+41",
                                      "since=41+",
                                      "since=4%2",
                                      "since=9223372036854775808",
                                      "since=99999999999999999999",
                                      "since=41.0",
                                      "since=41&since=41",
                                      "since=41&x&since=",
                                      "since=0x29",
                                      "since=%0041"};
  char target[200];
  snprintf(stored->permissions, sizeof stored->permissions, "revocations");
  for (size_t i = 0; i < COUNT(whole); i++) {
    snprintf(target, sizeof target, REVOKED "%s", whole[i]);
    CHECK(get(target, AS_KEY) == 200, "%s: %d", target, reply.status);
    check_payload(SNAPSHOT, "application/octet-stream");
  }
  for (size_t i = 0; i < COUNT(wrong); i++) {
    snprintf(target, sizeof target, REVOKED "?%s", wrong[i]);
    CHECK(get(target, AS_KEY) == 400, "%s: %d", target, reply.status);
    check_body_starts("{\"text\":\"since: ");
    assert_int_equal(reply.headers_len, 0);
  }
  /* C8: told by another history; it is not said how far this one has come. */
  assert_int_equal(get(REVOKED "?since=1000000", AS_KEY), 409);
  check_event("store_rolled_back");
  check_body_starts("{\"text\":\"since: this server never issued that sequence");
  assert_int_equal(reply.headers_len, 0);
  assert_int_equal(get(REVOKED "?since=1000000", ""), 401);
  assert_int_equal(get(REVOKED "?a=b&since=%341", AS_KEY), 200);
  check_payload(CHANGES, "application/vnd.subtoken.changes");
  check_edition();
  assert_int_equal(get(REVOKED "?since=41", AS_KEY "If-None-Match: \"" TAG "\"\n"), 304);
  check_edition();
  assert_int_equal(held, 0);
}

static void a_known_etag_is_304(void **state) {
  (void)state;
  static const struct {
    const char *value;
    int status;
  } rows[] = {
      {"\"" TAG "\"", 304},
      {"W/\"" TAG "\"", 304},
      {"*", 304},
      {"\"x\", \"a,b\" ,W/\"\",\t\"" TAG "\"", 304},
      {",, \"" TAG "\"", 304},
      {"\"" TAG "\" and more", 304},
      {"", 200},
      {TAG, 200},
      {"\"" TAG, 200},
      {"w/\"" TAG "\"", 200},
      {"W/ \"" TAG "\"", 200},
      {"W/", 200},
      {"\"", 200},
      {"x, \"" TAG "\"", 200},
      {"\"x" TAG "\"", 200},
      {"\"x\", *", 200},
      {"\",\"" TAG "\",\"", 200}, /* what looks like it stands between two */
  };
  char headers[300];
  snprintf(stored->permissions, sizeof stored->permissions, "revocations");
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(headers, sizeof headers, AS_KEY "If-None-Match: \"y\"\nif-none-match: %s\n",
             rows[i].value);
    int status = get(REVOKED, headers);
    CHECK(status == rows[i].status, "%s: %d", rows[i].value, status);
    check_edition();
    if (status == 200) {
      check_payload(SNAPSHOT, "application/octet-stream");
    } else {
      assert_null(reply.payload.data);
    }
    assert_int_equal(reply.body_len, 0);
    assert_int_equal(held, 0);
  }
}

/* Who waits is held while nothing is newer than what it says that it has, and only once. */
static void who_waits_is_held(void **state) {
  (void)state;
  static const struct {
    const char *query, *tag;
    int64_t seconds; /* 0: answered at once, with this status */
    int status;
  } rows[] = {
      {"?wait=30&since=42", "", 30, 0},
      {"?since=42&wait=1", "", 1, 0},
      {"?wait=%310&since=42", "", 10, 0},
      {"?wait=5", "If-None-Match: \"" TAG "\"\n", 5, 0},
      {"?wait=5", "If-None-Match: *\n", 5, 0},
      {"?wait=5&since=42&whole=1", "If-None-Match: \"" TAG "\"\n", 5, 0},
      {"?wait=5&since=41", "If-None-Match: \"" TAG "\"\n", 5, 0}, /* it has what there is */
      {"?wait=5", "", 0, 200},
      {"?wait=5&since=40", "", 0, 200},
      {"?wait=5&since=42", "If-None-Match: \"x\"\n", 0, 200},
      {"?wait=5", "If-None-Match: \"x\"\n", 0, 200},
      {"?wait=5&since=42&whole=1", "", 0, 200},
      {"?wait=5&since=1000000", "", 0, 409},
      {"?wait=0&since=42", "", 0, 400},
      {"?wait=31&since=42", "", 0, 400},
      {"?wait=01&since=42", "", 0, 400},
      {"?wait=&since=42", "", 0, 400},
      {"?wait&since=42", "", 0, 400},
      {"?wait=-1&since=42", "", 0, 400},
      {"?wait=1s&since=42", "", 0, 400},
      {"?wait=1%2&since=42", "", 0, 400},
      {"?wait=9223372036854775808", "", 0, 400},
      {"?wait=1&wait=1", "", 0, 400},
  };
  char target[200], headers[300];
  snprintf(stored->permissions, sizeof stored->permissions, "revocations");
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(target, sizeof target, REVOKED "%s", rows[i].query);
    snprintf(headers, sizeof headers, AS_KEY "%s", rows[i].tag);
    int status = get(target, headers);
    CHECK(reply.hold.seconds == rows[i].seconds && status == rows[i].status, "%s %s: %d, %d s",
          rows[i].query, rows[i].tag, status, (int)reply.hold.seconds);
    if (status == 400) check_body_starts("{\"text\":\"wait: ");
    if (status == 200) check_payload(SNAPSHOT, "application/octet-stream");
    assert_int_equal(held, 0); /* no snapshot meanwhile */
    if (rows[i].seconds == 0) continue;
    assert_true(reply.hold.sequence == 42 && reply.headers_len == 0 && reply.body_len == 0);
    assert_string_equal(reply.hold.key_id, KEY_ID);
    fixture_held = true;
    status = get(target, headers);
    CHECK(reply.hold.seconds == 0 && (status == 200 || status == 304), "%s: %d", target, status);
    if (status == 200) check_payload(SNAPSHOT, "application/octet-stream");
    fixture_held = false;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(each_route_has_its_methods, set_up),
      cmocka_unit_test_setup(repeated_slashes_collapse, set_up),
      cmocka_unit_test_setup(targets_have_a_limit, set_up),
      cmocka_unit_test_setup(health_needs_no_credential, set_up),
      cmocka_unit_test_setup(head_and_options_are_answered, set_up),
      cmocka_unit_test_setup(one_credential_is_found_wherever_it_stands, set_up),
      cmocka_unit_test_setup(a_credential_is_logged_by_its_hash, set_up),
      cmocka_unit_test_setup(no_credential_is_read_from_a_body, set_up),
      cmocka_unit_test_setup(a_failing_store_is_503, set_up),
      cmocka_unit_test_setup(clocks_may_differ_by_the_leeway, set_up),
      cmocka_unit_test_setup(checks_come_in_one_order, set_up),
      cmocka_unit_test_setup(a_subtoken_without_parameters_has_defaults, set_up),
      cmocka_unit_test_setup(a_subtoken_has_what_was_asked_for, set_up),
      cmocka_unit_test_setup(an_expiry_is_clamped, set_up),
      cmocka_unit_test_setup(a_body_is_read_by_its_type_on_post_alone, set_up),
      cmocka_unit_test_setup(bad_parameters_are_named, set_up),
      cmocka_unit_test_setup(a_token_that_is_too_long_is_refused, set_up),
      cmocka_unit_test_setup(a_subtoken_makes_a_narrower_one, set_up),
      cmocka_unit_test_setup(a_restricted_subtoken_makes_what_it_lists, set_up),
      cmocka_unit_test_setup(calls_of_a_key_are_limited, set_up),
      cmocka_unit_test_setup(a_key_is_described, set_up),
      cmocka_unit_test_setup(a_subtoken_is_described, set_up),
      cmocka_unit_test_setup(a_schema_version_chooses_the_members, set_up),
      cmocka_unit_test_setup(revocation_data_needs_its_permission, set_up),
      cmocka_unit_test_setup(revocation_data_is_for_an_audience, set_up),
      cmocka_unit_test_setup(changes_are_sent_when_they_are_known, set_up),
      cmocka_unit_test_setup(a_known_etag_is_304, set_up),
      cmocka_unit_test_setup(who_waits_is_held, set_up),
      cmocka_unit_test_setup(an_error_is_escaped_json, set_up),
      cmocka_unit_test_setup(a_disabled_key_is_refused, set_up),
  };
  return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
