/* key_one: the secret of a key replaced over HTTP; and what a key that is bound to an audience may
 * make and manage. Everything else about keys is in test_keys.c.
 */
#include "service_fixture.h"

#define KEYS "/v2/keys"
#define ONE(id) KEYS "/" id
#define ROTATE(id) ONE(id) "/rotate"
#define ALICES "AAAAAAAA-0000-0000-0000-000000000001" /* a key of alice's */
#define BOUND_KEY "EEEEEEEE-0000-0000-0000-000000000001EEEEEEEE-0000-0000-0000-000000000002"
#define BOUND_ID "EEEEEEEE-0000-0000-0000-000000000001"
#define AS_BOUND "Authorization: Bearer " BOUND_KEY "\n"
#define OTHER_ID "EEEEEEEE-0000-0000-0000-000000000003" /* a key of the same audience */
#define SMALL "{\"name\":\"n\",\"permissions\":[\"account\"]}"

static fixture_row *add_bound(const char *id, const char *permissions) {
  fixture_row *row = fixture_add(ST_KIND_KEY, id, "", "operations", permissions, ST_NEVER);
  snprintf(row->key.audience, sizeof row->key.audience, "eu");
  return row;
}

static int set_up(void **state) {
  (void)fixture_set_up(state);
  fixture_row *row = fixture_add(ST_KIND_KEY, ALICES, "", "alice", "account", ST_NEVER);
  st_sha256(ALICES ALICES, ST_KEY_LEN, row->digest);
  row = add_bound(BOUND_ID, "account,keys,users,services,audit,revocations");
  st_sha256(BOUND_KEY, ST_KEY_LEN, row->digest);
  add_bound(OTHER_ID, "account");
  return 0;
}

static const char *with(const char *a, const char *b) {
  static char both[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(both, sizeof both, "%s%s", a, b);
  return both;
}

static int rotate(const char *who, const char *id, const char *body) {
  char path[200];
  snprintf(path, sizeof path, KEYS "/%s/rotate", id);
  return post(path, body[0] != '\0' ? with(who, AS_JSON) : who, body);
}

/* ---- rotating ---- */

/* Whoever keeps an answer for as long as it says must not keep it beyond the overlap. */
static void the_old_secret_is_said_to_end_with_its_overlap(void **state) {
  (void)state;
  const char *const old = "Authorization: Bearer " ALICES ALICES "\n";
  snprintf(fixture_row_of(KEY_ID)->key.permissions, 30, "keys,introspect,account");
  for (int i = 0; i < 2; i++) {
    int64_t ends = fixture.now + (i == 0 ? 3600 : 60); /* then the key ends before the overlap */
    if (i == 1) fixture_row_of(ALICES)->key.expires_at = ends;
    if (i == 0) assert_int_equal(rotate(AS_KEY, ALICES, "{\"overlap\":\"1h\"}"), 200);
    assert_int_equal(get("/v2/whoami", old), 200);
    assert_string_equal(member("expires_at"),
                        i == 0 ? "2023-11-14T23:13:20Z" : "2023-11-14T22:14:20Z");
    assert_int_equal(get("/v2/authorize/x", old), 200);
    char line[60];
    snprintf(line, sizeof line, "X-Subtoken-Expires: %lld\r\n", (long long)ends);
    check_header(line);
    assert_int_equal(post("/oauth/introspect", with(AS_KEY, AS_FORM), "token=" ALICES ALICES), 200);
    snprintf(line, sizeof line, ",\"exp\":%lld,", (long long)ends);
    assert_non_null(memmem(reply.body, reply.body_len, line, strlen(line)));
  }
}

static void a_secret_is_replaced_with_an_overlap(void **state) {
  (void)state;
  char whole[ST_KEY_LEN + 1], expected[700];
  const st_key *key = &fixture_row_of(ALICES)->key;
  char sub[ST_SUB_LEN + 1];
  memcpy(sub, key->sub, sizeof sub);
  assert_int_equal(rotate(AS_KEY, ALICES, "{\"overlap\":\"24h\"}"), 200);
  assert_true(fixture.overlap == DAY);
  snprintf(whole, sizeof whole, "%s", member("key"));
  assert_int_equal(strncmp(whole, ALICES, ST_KEY_ID_LEN), 0);
  assert_string_equal(key->sub, sub);
  snprintf(expected, sizeof expected,
           "{\"key\":\"%s\",\"id\":\"" ALICES
           "\",\"name\":\"alice\",\"owner\":\"alice\","
           "\"permissions\":[\"account\"],\"created_at\":\"1970-01-01T00:00:00Z\","
           "\"expires_at\":null,\"disabled\":false,\"state\":\"active\",\"last_used_at\":null,"
           "\"sub\":\"%s\",\"rotated_at\":\"2023-11-14T22:13:20Z\","
           "\"old_until\":\"2023-11-15T22:13:20Z\",\"audience\":null}",
           whole, sub);
  check_body(expected);
  assert_string_equal(fixture.who, "key " KEY_ID);
  assert_int_equal(reply.headers_len, 0); /* edges are told nothing */
  /* Listings show the times, and never the key. */
  assert_int_equal(get(ONE(ALICES), AS_KEY), 200);
  assert_string_equal(member("rotated_at"), "2023-11-14T22:13:20Z");
  assert_string_equal(member("old_until"), "2023-11-15T22:13:20Z");
  assert_null(memmem(reply.body, reply.body_len, whole + ST_KEY_ID_LEN, ST_KEY_ID_LEN));
  /* Both are good; who still has the old one is in the log. */
  char line[200];
  snprintf(line, sizeof line, "Authorization: Bearer %s\n", whole);
  assert_int_equal(get("/v2/tokeninfo", line), 200);
  assert_null(reply.event.name);
  assert_int_equal(get("/v2/tokeninfo", "Authorization: Bearer " ALICES ALICES "\n"), 200);
  check_event("old_secret");
  assert_string_equal(reply.event.key_id, ALICES);
  assert_int_equal(get("/v2/createsubtoken", "Authorization: Bearer " ALICES ALICES "\n"), 200);
  check_event("old_secret");
}

static void overlaps_are_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *body;
    int64_t overlap; /* -1: refused */
  } rows[] = {{"", 0},
              {"{}", 0},
              {"{\"overlap\":null}", 0},
              {"{\"overlap\":0}", 0},
              {"{\"overlap\":\"0\"}", 0},
              {"{\"overlap\":3600}", 3600},
              {"{\"overlap\":\"3600\"}", 3600},
              {"{\"overlap\":\"30d\"}", 30 * DAY},
              {"{\"overlap\":\"31d\"}", -1},
              {"{\"overlap\":2592001}", -1},
              {"{\"overlap\":-1}", -1},
              {"{\"overlap\":1.5}", -1},
              {"{\"overlap\":\"\"}", -1},
              {"{\"overlap\":\"1y\"}", -1},
              {"{\"overlap\":true}", -1},
              {"{\"overlap\":[1]}", -1}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t changes = fixture.changes;
    int status = rotate(AS_KEY, ALICES, rows[i].body);
    CHECK(status == (rows[i].overlap < 0 ? 400 : 200), "%s: %d", rows[i].body, status);
    if (rows[i].overlap >= 0) {
      CHECK(fixture.overlap == rows[i].overlap, "%s", rows[i].body);
    } else {
      check_body_starts("{\"text\":\"overlap: must be ");
      assert_int_equal(fixture.changes, changes);
    }
  }
  assert_int_equal(post(ROTATE(ALICES), with(AS_KEY, AS_FORM), "overlap=1h"), 415);
  assert_int_equal(post(ROTATE(ALICES) "?access_token=" KEY, "", ""), 400);
  check_body_starts("{\"text\":\"access_token: must be in a header");
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 503);
  fixture.outcome = ST_STORE_BUSY;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 503);
  check_event("store_busy");
}

/* It has waited for others who write: the answer says what the store has. */
static void a_rotation_that_waited_tells_its_own_time(void **state) {
  (void)state;
  fixture.waited = 7;
  assert_int_equal(rotate(AS_KEY, ALICES, "{\"overlap\":\"1h\"}"), 200);
  assert_string_equal(member("rotated_at"), "2023-11-14T22:13:27Z");
  assert_string_equal(member("old_until"), "2023-11-14T23:13:27Z");
  assert_int_equal(get(ONE(ALICES), AS_KEY), 200);
  assert_string_equal(member("rotated_at"), "2023-11-14T22:13:27Z");
}

/* What the store answers to a change whose credential has ended meanwhile. */
static void a_caller_who_has_ended_changes_nothing(void **state) {
  (void)state;
  static const char ended[] =
      "{\"text\":\"the credential you used has expired, been revoked or lost a permission\"}";
  fixture.outcome = ST_STORE_DENIED;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 403);
  check_event("escalation");
  check_body(ended);
  static const char *const bodies[] = {"{\"disabled\":false}", "{\"disabled\":true}",
                                       "{\"name\":\"n\"}"};
  for (size_t i = 0; i < COUNT(bodies); i++) {
    assert_int_equal(fixture_ask("PATCH", ONE(ALICES), AS_KEY AS_JSON, bodies[i]), 403);
    check_body(ended);
    assert_int_equal(fixture_ask("PATCH", ONE(ALICES), with(AS_ALICE, AS_JSON), bodies[i]), 403);
    check_body(ended);
  }
  assert_int_equal(fixture_ask("DELETE", ONE(ALICES), AS_KEY, ""), 403);
  assert_int_equal(post(ONE(ALICES) "/revoke-subtokens", AS_KEY, ""), 403);
  fixture.outcome = ST_STORE_EXPIRED;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 400);
  check_event("bad_request");
  check_body("{\"text\":\"the key has expired: make a new one\"}");
}

/* Who rotates a key gets it: only one that is worth no more than what the caller has. */
static void a_rotation_gives_nobody_more(void **state) {
  (void)state;
  fixture_row *alices = fixture_row_of(ALICES), *key = fixture_row_of(KEY_ID);
  assert_int_equal(rotate(AS_ALICE, ALICES, ""), 200); /* a user's own */
  assert_int_equal(post(ROTATE(ALICES), with(AS_ALICE, "Origin: https://example.com\n"), ""), 400);
  check_body_starts("{\"text\":\"body: must be {} ");
  assert_int_equal(rotate(AS_ALICE, POOR_ID, ""), 404);
  assert_int_equal(rotate(AS_POOR, POOR_ID, ""), 403); /* without the permission keys */
  assert_int_equal(rotate(AS_KEY, KEY_ID, "{\"overlap\":\"1h\"}"), 200); /* itself */
  assert_int_equal(rotate(bearer(subtoken_of_key("keys,account", NULL, NOW + 60)), ALICES, ""),
                   403);
  check_event("escalation");
  size_t changes = fixture.changes;
  snprintf(alices->key.permissions, sizeof alices->key.permissions, "account,wallet");
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 403);
  check_event("escalation");
  check_body("{\"text\":\"permissions: must not exceed those of the credential\"}");
  assert_int_equal(rotate(AS_ALICE, ALICES, ""), 403);
  snprintf(alices->key.permissions, sizeof alices->key.permissions, "account");
  key->key.expires_at = NOW + 100;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 403);
  check_event("escalation");
  check_body("{\"text\":\"the key expires later than the credential you use\"}");
  assert_int_equal(fixture.changes, changes);
  alices->key.expires_at = NOW + 100;
  assert_int_equal(rotate(AS_KEY, ALICES, ""), 200);
  assert_int_equal(rotate("", ALICES, ""), 401);
  assert_int_equal(rotate(AS_KEY, "FFFFFFFF-0000-0000-0000-000000000000", ""), 404);
}

static void a_rotation_has_one_method(void **state) {
  (void)state;
  static const char *const others[] = {"GET", "HEAD", "DELETE", "PATCH", "PUT"};
  for (size_t i = 0; i < COUNT(others); i++) {
    assert_int_equal(fixture_ask(others[i], ROTATE(ALICES), AS_KEY, ""), 405);
    assert_string_equal(reply.allow, "POST, OPTIONS");
  }
  assert_int_equal(fixture_ask("OPTIONS", ROTATE(ALICES), "", ""), 204);
  assert_int_equal(post(ROTATE(ALICES) "/", AS_KEY, ""), 404);
  assert_int_equal(post(ROTATE(ALICES) "s", AS_KEY, ""), 404);
  assert_int_equal(fixture.changes, 0);
}

/* ---- audiences ---- */

static int create(const char *who, const char *body) {
  return post(KEYS, with(who, AS_JSON), body);
}

static void a_key_is_bound_when_it_is_made(void **state) {
  (void)state;
  static const char eu[] = "{\"name\":\"n\",\"permissions\":[\"account\"],\"audience\":\"eu\"}";
  static const char us[] = "{\"name\":\"n\",\"permissions\":[\"account\"],\"audience\":\"us\"}";
  static const char *const wrong[] = {"\"\"", "\"a.b\"", "\"0123456789abcdef0123456789abcdef0\""};
  assert_int_equal(create(AS_KEY, eu), 201);
  assert_string_equal(member("audience"), "eu");
  assert_string_equal(fixture_row_of(member("id"))->key.audience, "eu");
  assert_int_equal(create(AS_ALICE, us), 201);
  assert_string_equal(member("audience"), "us");
  for (size_t i = 0; i < COUNT(wrong); i++) {
    char body[200];
    snprintf(body, sizeof body, "{\"name\":\"n\",\"permissions\":[],\"audience\":%s}", wrong[i]);
    assert_int_equal(create(AS_KEY, body), 400);
    check_body("{\"text\":\"audience: must be 1 to 32 characters A-Za-z0-9_-\"}");
  }
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"audience\":1}"), 400);
  /* A bound key hands its audience on, and no other. */
  assert_int_equal(create(AS_BOUND, SMALL), 201);
  assert_string_equal(member("audience"), "eu");
  assert_int_equal(create(AS_BOUND, eu), 201);
  size_t changes = fixture.changes;
  assert_int_equal(create(AS_BOUND, us), 403);
  check_event("escalation");
  check_body("{\"text\":\"audience: must be that of the key you use\"}");
  assert_int_equal(fixture.changes, changes);
}

static void what_a_bound_key_makes_is_for_its_audience(void **state) {
  (void)state;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(get("/v2/createsubtoken?permissions=account", AS_BOUND), 200);
  snprintf(token, sizeof token, "%s", member("subtoken"));
  assert_int_equal(get("/v2/createsubtoken?audience=eu&permissions=account", AS_BOUND), 200);
  assert_string_equal(member("subtoken"), token); /* the same second, the same token */
  assert_int_equal(get("/v2/tokeninfo?v=latest", bearer(token)), 200);
  assert_string_equal(member("type"), "Subtoken");
  static subtoken_claims claims;
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(token), &claims), SUBTOKEN_OK);
  assert_true(claims.aud_derived && subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  assert_int_equal(get("/v2/createsubtoken?audience=us", AS_BOUND), 400);
  check_body("{\"text\":\"audience: must be that of the parent\"}");
  check_event("issue_denied");
  /* and of that another */
  assert_int_equal(get("/v2/createsubtoken?permissions=account", bearer(token)), 200);
  snprintf(token, sizeof token, "%s", member("subtoken"));
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(token), &claims), SUBTOKEN_OK);
  assert_int_equal(claims.via_count, 1);
  assert_true(subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  assert_int_equal(get("/v2/createsubtoken?audience=us", bearer(token)), 400);
}

static void any_key_makes_a_token_for_an_audience(void **state) {
  (void)state;
  static subtoken_claims claims;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(post("/v2/createsubtoken", with(AS_KEY, AS_JSON),
                        "{\"permissions\":[\"account\"],\"audience\":\"us\"}"),
                   200);
  snprintf(token, sizeof token, "%s", member("subtoken"));
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(token), &claims), SUBTOKEN_OK);
  assert_true(claims.aud_derived && subtoken_claims_has_audience(&claims, ST_TEXT("us")));
  assert_int_equal(claims.via_count, 0);
  assert_int_equal(get("/v2/createsubtoken?audience=", AS_KEY), 400);
  check_body("{\"text\":\"audience: must be 1 to 32 characters A-Za-z0-9_-\"}");
}

static void a_chain_has_nine_tokens(void **state) {
  (void)state;
  char token[SUBTOKEN_ISSUED_MAX + 1];
  assert_int_equal(get("/v2/createsubtoken?permissions=account", AS_KEY), 200);
  for (int depth = 0; depth <= SUBTOKEN_VIA_MAX; depth++) {
    snprintf(token, sizeof token, "%s", member("subtoken"));
    int status = get("/v2/createsubtoken?permissions=account", bearer(token));
    CHECK(status == (depth < SUBTOKEN_VIA_MAX ? 200 : 400), "%d: %d", depth, status);
  }
  check_event("issue_denied");
  check_body(
      "{\"text\":\"made from too many subtokens, one after the other (maximum 8): use the key or "
      "an "
      "earlier one\"}");
  assert_int_equal(
      post("/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", bearer(token), ""), 400);
  check_event("issue_denied");
}

/* The name of the secret, a dot and the audience have 64 characters. */
static void a_long_kid_leaves_little_room(void **state) {
  (void)state;
  static const char kid[] = "0123456789012345678901234567890123456789012345678901234567890";
  ring_with(&ring, kid, TEST_SECRET);
  assert_int_equal(strlen(kid), 61);
  assert_int_equal(get("/v2/createsubtoken?audience=eu", AS_KEY), 200);
  assert_int_equal(get("/v2/createsubtoken?audience=eus", AS_KEY), 400);
  check_body_starts("{\"text\":\"audience: too long for the name of the signing secret");
}

static void a_bound_key_manages_its_audience_alone(void **state) {
  (void)state;
  static const char *const seen[] = {BOUND_ID, OTHER_ID}, *const hidden[] = {ALICES, KEY_ID};
  char path[200];
  assert_int_equal(get(KEYS, AS_BOUND), 200);
  for (size_t i = 0; i < 2; i++) {
    assert_non_null(memmem(reply.body, reply.body_len, seen[i], ST_KEY_ID_LEN));
    assert_null(memmem(reply.body, reply.body_len, hidden[i], ST_KEY_ID_LEN));
  }
  assert_int_equal(get(KEYS "?limit=1", AS_BOUND), 200);
  check_body_starts("{\"keys\":[{\"id\":\"" BOUND_ID "\"");
  assert_string_equal(member("next"), BOUND_ID);
  snprintf(path, sizeof path, KEYS "?sub=%s", fixture_row_of(ALICES)->key.sub);
  assert_int_equal(get(path, AS_BOUND), 200);
  check_body("{\"keys\":[]}");
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, KEYS "/%s", hidden[i]);
    assert_int_equal(get(path, AS_BOUND), 404);
    assert_int_equal(fixture_ask("PATCH", path, with(AS_BOUND, AS_JSON), "{\"disabled\":true}"),
                     404);
    assert_int_equal(fixture_ask("DELETE", path, AS_BOUND, ""), 404);
    assert_int_equal(rotate(AS_BOUND, hidden[i], ""), 404);
    assert_int_equal(rotate(AS_BOUND, seen[i], "{\"overlap\":60}"), 200);
  }
  assert_int_equal(fixture.changes, 2);
  assert_int_equal(get(ONE(OTHER_ID), AS_KEY), 200); /* who is not bound manages all */
}

static void a_bound_key_makes_no_users(void **state) {
  (void)state;
  static const char user[] = "{\"login\":\"bob\",\"password\":\"correct horse\"}";
  assert_int_equal(post("/v1/user", with(AS_BOUND, AS_JSON), user), 403);
  check_event("escalation");
  check_body("{\"text\":\"a key that is bound to an audience manages no users\"}");
  assert_int_equal(fixture.creates, 0);
  fixture_row_of(BOUND_ID)->key.audience[0] = '\0';
  assert_int_equal(post("/v1/user", with(AS_BOUND, AS_JSON), user), 201);
}

/* An edge for the audience could have made up what a session of a bound key shows: it manages
 * nothing, and can be ended. */
static void a_session_of_a_bound_key_manages_nothing(void **state) {
  (void)state;
  char access[SUBTOKEN_ISSUED_MAX + 128];
  assert_int_equal(post("/v1/auth/token", AS_BOUND, ""), 200);
  static subtoken_claims claims;
  snprintf(access, sizeof access, "%s", member("access_token"));
  assert_int_equal(subtoken_authenticate(&ring, NULL, st_text(access), &claims), SUBTOKEN_OK);
  assert_true(claims.aud_derived && subtoken_claims_has_audience(&claims, ST_TEXT("eu")));
  snprintf(access, sizeof access, "Authorization: Bearer %s\n", member("access_token"));
  static const char *const calls[][3] = {{"GET", KEYS, ""},
                                         {"POST", KEYS, SMALL},
                                         {"DELETE", ONE(OTHER_ID), ""},
                                         {"POST", ROTATE(OTHER_ID), ""},
                                         {"GET", "/v2/audit", ""}};
  for (size_t i = 0; i < COUNT(calls); i++) {
    int status = fixture_ask(calls[i][0], calls[i][1],
                             calls[i][2][0] != '\0' ? with(access, AS_JSON) : access, calls[i][2]);
    CHECK(status == 403, "%s: %d", calls[i][1], status);
    check_event("escalation");
    check_body("{\"text\":\"this call does not take a token for an audience\"}");
  }
  assert_int_equal(get("/v2/tokeninfo", access), 200);
  assert_int_equal(post("/v1/auth/logout", access, ""), 204);
}

#define POOR "/v2/keys/" POOR_ID
#define OWN_ID "0A11CE00-0000-0000-0000-000000000001"
#define OWN "/v2/keys/" OWN_ID

static int set_disabled(const char *target, const char *headers, bool disabled) {
  return fixture_ask("PATCH", target, headers,
                     disabled ? "{\"disabled\":true}" : "{\"disabled\":false}");
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

/* Who disabled a key is its owner, or anybody else. */
static void who_disabled_a_key_is_told(void **state) {
  (void)state;
  static const char by_owner[] = "\"disabled_by\":\"owner\"";
  static const char by_other[] = "\"disabled_by\":\"administrator\"";
  st_key *alice = &fixture_row_of("A11CE000-0000-0000-0000-000000000000")->key;
  fixture_row *row = fixture_add(ST_KIND_KEY, OWN_ID, "", "alice", "account", ST_NEVER);
  /* A key is nobody's owner, whatever its own owner is called. */
  assert_int_equal(set_disabled(POOR, AS_KEY AS_JSON, true), 200);
  assert_true(says(by_other) && !says(by_owner));
  /* An owner who disables it once more stays who disabled it. */
  assert_int_equal(set_disabled(OWN, AS_ALICE AS_JSON, true), 200);
  assert_true(says(by_owner) && row->key.disabled_by_owner);
  assert_int_equal(set_disabled(OWN, AS_ALICE AS_JSON, true), 200);
  assert_true(says(by_owner));
  /* Of one that somebody else disabled, not. */
  row->key.disabled_by_owner = false;
  assert_int_equal(set_disabled(OWN, AS_ALICE AS_JSON, true), 200);
  assert_true(says(by_other));
  /* As somebody who manages all keys a user is the owner of the own ones, and of no others. */
  snprintf(alice->permissions, sizeof alice->permissions, "account,keys");
  assert_int_equal(set_disabled(OWN, AS_ALICE AS_JSON, true), 200);
  assert_true(says(by_owner));
  assert_int_equal(set_disabled(POOR, AS_ALICE AS_JSON, true), 200);
  assert_true(says(by_other));
}

/* What was made with it is told to who manages all keys, and when there is any. */
static void what_was_made_is_told_to_managers(void **state) {
  (void)state;
  (void)fixture_add(ST_KIND_KEY, OWN_ID, "", "alice", "account", ST_NEVER);
  assert_int_equal(set_disabled(POOR, AS_KEY AS_JSON, true), 200);
  assert_false(says("\"made\""));
  fixture.derived = (st_derived){.keys = 1, .users = 1, .count = 0};
  assert_int_equal(set_disabled(POOR, AS_KEY AS_JSON, true), 200);
  assert_true(says(",\"made\":{\"keys\":1,\"users\":1,"));
  assert_int_equal(set_disabled(OWN, AS_ALICE AS_JSON, true), 200);
  assert_false(says("\"made\""));
  assert_int_equal(fixture_ask("DELETE", OWN, AS_ALICE, ""), 204);
  assert_int_equal(reply.headers_len, strlen("Subtoken-Seq: 81\r\n"));
  assert_int_equal(fixture_ask("DELETE", POOR, AS_KEY, "x"), 204);
  check_header("Subtoken-Made: keys=1,users=1\r\n");
  fixture.derived = (st_derived){0};
  fixture_row_of(POOR_ID)->ended = false;
  assert_int_equal(fixture_ask("DELETE", POOR, AS_KEY, ""), 204);
  assert_int_equal(reply.headers_len, strlen("Subtoken-Seq: 81\r\n"));
}

/* What is no id is no key, whoever asks. */
static void a_path_without_an_id_is_none(void **state) {
  (void)state;
  static const char *const none[] = {"/v2/keys/",
                                     "/v2/keys/0",
                                     "/v2/keys/rotate",
                                     "/v2/keys/01234567/89AB-CDEF-0123-456789ABCDEF",
                                     "/v2/keys/" KEY_ID "/",
                                     "/v2/keys/" KEY_ID "0",
                                     "/v2/keys/" KEY_ID "/rotat",
                                     "/v2/keys/" KEY_ID "/rotate/"};
  for (size_t i = 0; i < COUNT(none); i++) {
    CHECK(get(none[i], "") == 404, "%s: %d", none[i], reply.status);
    check_event("not_found");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_old_secret_is_said_to_end_with_its_overlap, set_up),
      cmocka_unit_test_setup(a_secret_is_replaced_with_an_overlap, set_up),
      cmocka_unit_test_setup(overlaps_are_read_strictly, set_up),
      cmocka_unit_test_setup(a_rotation_that_waited_tells_its_own_time, set_up),
      cmocka_unit_test_setup(a_caller_who_has_ended_changes_nothing, set_up),
      cmocka_unit_test_setup(a_rotation_gives_nobody_more, set_up),
      cmocka_unit_test_setup(a_rotation_has_one_method, set_up),
      cmocka_unit_test_setup(a_key_is_bound_when_it_is_made, set_up),
      cmocka_unit_test_setup(what_a_bound_key_makes_is_for_its_audience, set_up),
      cmocka_unit_test_setup(any_key_makes_a_token_for_an_audience, set_up),
      cmocka_unit_test_setup(a_chain_has_nine_tokens, set_up),
      cmocka_unit_test_setup(a_long_kid_leaves_little_room, set_up),
      cmocka_unit_test_setup(a_bound_key_manages_its_audience_alone, set_up),
      cmocka_unit_test_setup(a_bound_key_makes_no_users, set_up),
      cmocka_unit_test_setup(a_session_of_a_bound_key_manages_nothing, set_up),
      cmocka_unit_test_setup(who_disabled_a_key_is_told, fixture_set_up),
      cmocka_unit_test_setup(what_was_made_is_told_to_managers, fixture_set_up),
      cmocka_unit_test_setup(a_path_without_an_id_is_none, fixture_set_up),
  };
  return cmocka_run_group_tests_name("key_one", tests, NULL, NULL);
}
