/* A token that is looked into (POST /v2/explain): which rule decides, what it is worth now, and
 * that nobody learns of tokens of others. And the ring, as GET /v2/ring tells of it.
 */
#include "service_fixture.h"

#define EXPLAIN "/v2/explain"

static char token[SUBTOKEN_ISSUED_MAX + 1];

static void make_token(const char *query, const char *headers) {
  char target[256];
  snprintf(target, sizeof target, "/v2/createsubtoken%s", query);
  assert_int_equal(get(target, headers), 200);
  snprintf(token, sizeof token, "%.*s", SUBTOKEN_ISSUED_MAX, member("subtoken"));
}

static int explain(const char *headers, const char *more) {
  char all[256], body[SUBTOKEN_ISSUED_MAX + 512];
  snprintf(all, sizeof all, "%s" AS_JSON, headers);
  snprintf(body, sizeof body, "{\"token\":\"%s\"%s}", token, more);
  return post(EXPLAIN, all, body);
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(says(part), "no %s in %.*s", part, (int)reply.body_len, reply.body);
}

static void the_rule_that_decides_is_named(void **state) {
  (void)state;
  static const struct {
    const char *more, *reason;
  } rows[] = {
      {"", "{\"ok\":false,\"status\":403,\"reason\":\"url\","},
      {",\"url\":\"/a/b?c=d\"", "{\"ok\":true,\"status\":200,\"reason\":null,"},
      {",\"url\":\"https://api.example.com:1/a/b\"", "{\"ok\":true,"},
      {",\"url\":\"/b\",\"method\":\"GET\"", "{\"ok\":false,\"status\":403,\"reason\":\"url\","},
      {",\"url\":\"/c\",\"method\":\"PUT\"", "{\"ok\":true,"},
      {",\"url\":\"/c\"",
       "{\"ok\":false,\"status\":403,\"reason\":\"url\","}, /* no method, none fits */
      {",\"url\":\"/c\",\"method\":\"GET\"", "{\"ok\":false,\"status\":403,\"reason\":\"url\","},
      {",\"url\":\"/a/../b\"", "{\"ok\":false,\"status\":400,\"reason\":\"bad_target\","},
      {",\"url\":null,\"method\":null", "{\"ok\":false,\"status\":403,\"reason\":\"url\","},
  };
  make_token("?permissions=guilds&urls=/a/*,PUT:/c", AS_KEY);
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(explain(AS_KEY, rows[i].more), 200);
    CHECK(says(rows[i].reason), "%zu: %.*s", i, (int)reply.body_len, reply.body);
    check_says(",\"key\":\"" KEY_ID "\",\"name\":\"operations\"");
    check_says(",\"permissions\":[\"guilds\"],\"urls\":[\"/a/*\",\"PUT:/c\"],");
  }
  assert_int_equal(explain(AS_KEY, ",\"url\":\"a\""), 400);
  assert_int_equal(explain(AS_KEY, ",\"url\":\"https://a\""), 400);
}

static void what_the_store_knows_counts(void **state) {
  (void)state;
  make_token("?permissions=account,guilds", AS_KEY);
  fixture_row *row = fixture_row_of(KEY_ID);
  assert_int_equal(explain(AS_ALICE, ""), 200); /* not hers */
  snprintf(fixture.users[0].key.permissions, 40, "account,introspect");
  snprintf(fixture_row_of(fixture.users[0].key.id)->key.permissions, 40, "account,introspect");
  row->key.disabled = true;
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"revoked\",");
  check_says("disabled");
  row->key.disabled = false;
  row->key.suspended = true;
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_says("the owner of its key is disabled");
  row->key.suspended = false;
  row->key.expires_at = NOW;
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_says("has expired");
  row->key.expires_at = NOW + 60;
  snprintf(row->key.permissions, 8, "account");
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":true,");
  check_says(",\"permissions\":[\"account\"],");
  check_says(",\"expires_at\":\"2023-11-14T22:14:20Z\"");
  row->key.tokens_revoked = 1;
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":true,");
  snprintf(fixture.revoked_tids[fixture.revoked_count++], SUBTOKEN_TID_LEN + 1, "%s",
           strrchr(token, '.') + 1);
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"revoked\",");
  check_says("it was revoked");
  row->ended = true;
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_says("has ended");
  check_says(",\"key\":null,");
}

/* One of somebody else and one whose key has ended are the same to who may not look into all. A key
 * may look into its own.
 */
static void tokens_of_others_are_unknown(void **state) {
  (void)state;
  static char first[ST_REPLY_BODY_MAX];
  make_token("", AS_KEY);
  assert_int_equal(explain(AS_POOR, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"revoked\",");
  assert_false(says("\"sub\"") || says(KEY_ID) || says("operations"));
  snprintf(first, sizeof first, "%.*s", (int)reply.body_len, reply.body);
  fixture_row_of(KEY_ID)->ended = true;
  assert_int_equal(explain(AS_POOR, ""), 200);
  check_body(first);
  check_says("its key or session has ended or its subtokens were revoked");
  fixture_row_of(KEY_ID)->ended = false;
  make_token("", AS_POOR);
  assert_int_equal(explain(AS_POOR, ""), 200);
  check_body_starts("{\"ok\":true,");
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body(first);
  assert_int_equal(explain(AS_KEY, ""), 200); /* it has `keys` */
  check_body_starts("{\"ok\":true,");
}

static void a_users_own_are_known(void **state) {
  (void)state;
  make_token("?permissions=account", AS_ALICE);
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":true,");
  check_says(",\"owner\":\"alice\"");
}

static void what_is_no_token_of_the_ring(void **state) {
  (void)state;
  static const struct {
    const char *token, *reason;
  } rows[] = {{"a", "malformed"}, {"a.b.c", "malformed"}, {"e30.e30.e30", "alg"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char reason[64];
    snprintf(token, sizeof token, "%s", rows[i].token);
    snprintf(reason, sizeof reason, "{\"ok\":false,\"status\":401,\"reason\":\"%s\"",
             rows[i].reason);
    assert_int_equal(explain(AS_ALICE, ""), 200);
    CHECK(says(reason) && !says("\"permissions\""), "%zu: %.*s", i, (int)reply.body_len,
          reply.body);
  }
  make_token("", AS_KEY);
  size_t at = strlen(token) - 2;
  token[at] = token[at] == 'A' ? 'B' : 'A';
  assert_int_equal(explain(AS_ALICE, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"mac\"");
}

static void who_may_not_ask(void **state) {
  (void)state;
  make_token("", AS_KEY);
  assert_int_equal(explain("", ""), 401);
  char headers[SUBTOKEN_ISSUED_MAX + 64];
  snprintf(headers, sizeof headers, "Authorization: Bearer %s\n" AS_JSON, token);
  assert_int_equal(post(EXPLAIN, headers, "{\"token\":\"a\"}"), 403);
  assert_int_equal(post(EXPLAIN, AS_KEY, "{\"token\":\"a\"}"), 415);
  assert_int_equal(post(EXPLAIN, AS_KEY AS_JSON, "{}"), 400);
  assert_int_equal(post(EXPLAIN, AS_KEY AS_JSON, "{\"token\":\"" KEY "\"}"), 400);
  assert_int_equal(get(EXPLAIN, AS_KEY), 405);
  fixture.broken = true;
  assert_int_equal(explain(AS_KEY, ""), 503);
}

/* Every member, of a token for an audience that was made of another; and of one that is for all. */
static void all_that_it_is_worth_is_told(void **state) {
  (void)state;
  char want[1024], parent[SUBTOKEN_TID_LEN + 1], headers[SUBTOKEN_ISSUED_MAX + 64];
  const char *sub = fixture_row_of(KEY_ID)->key.sub;
  make_token("?permissions=account&expire=2023-11-14T23:13:20Z", AS_KEY);
  assert_int_equal(explain(AS_KEY, ",\"method\":\"\",\"url\":\"\""), 200);
  check_body_starts("{\"ok\":true,\"status\":200,\"reason\":null,\"text\":\"");
  snprintf(want, sizeof want,
           "\",\"key\":\"" KEY_ID
           "\",\"name\":\"operations\",\"owner\":\"operations\",\"sub\":\"%s\","
           "\"permissions\":[\"account\"],\"issued_at\":\"2023-11-14T22:13:20Z\","
           "\"expires_at\":\"2023-11-14T23:13:20Z\",\"audience\":null,\"tid\":\"%.*s\",\"via\":[]}",
           sub, SUBTOKEN_TID_LEN, strrchr(token, '.') + 1);
  CHECK(says(want), "%s in %.*s", want, (int)reply.body_len, reply.body);
  make_token("?permissions=account&audience=e", AS_KEY);
  snprintf(parent, sizeof parent, "%.*s", SUBTOKEN_TID_LEN, strrchr(token, '.') + 1);
  snprintf(headers, sizeof headers, "Authorization: Bearer %s\n", token);
  make_token("?permissions=account", headers);
  snprintf(want, sizeof want, ",\"audience\":\"e\",\"tid\":\"%.*s\",\"via\":[\"%s\"]}",
           SUBTOKEN_TID_LEN, strrchr(token, '.') + 1, parent);
  assert_int_equal(explain(AS_KEY, ""), 200);
  check_body_starts("{\"ok\":true,");
  CHECK(says(want), "%s in %.*s", want, (int)reply.body_len, reply.body);
}

#define BOUND_ID "EEEEEEEE-0000-0000-0000-000000000001"
#define BOUND_KEY BOUND_ID "EEEEEEEE-0000-0000-0000-000000000002"
#define AS_BOUND "Authorization: Bearer " BOUND_KEY "\n"

/* Who manages the keys of one audience looks into tokens for it alone. */
static void tokens_of_an_audience_are_its_managers(void **state) {
  (void)state;
  fixture_row *row = fixture_add(ST_KIND_KEY, BOUND_ID, "", "o", "keys", ST_NEVER);
  snprintf(row->key.audience, sizeof row->key.audience, "e");
  st_sha256(BOUND_KEY, ST_KEY_LEN, row->digest);
  make_token("", AS_KEY);
  assert_int_equal(explain(AS_BOUND, ""), 200);
  assert_true(says("\"revoked\"") && !says("\"sub\""));
  make_token("?audience=f", AS_KEY);
  assert_int_equal(explain(AS_BOUND, ""), 200);
  assert_true(says("\"revoked\"") && !says("\"sub\""));
  make_token("?audience=e", AS_KEY);
  assert_int_equal(explain(AS_BOUND, ""), 200);
  check_body_starts("{\"ok\":true,");
  row->key.permissions[0] = '\0';
  assert_int_equal(explain(AS_BOUND, ""), 200);
  assert_true(says("\"revoked\"") && !says("\"sub\""));
}

/* Its row has the sub of a token that it cannot have made. */
static void a_bound_key_has_not_made_every_token(void **state) {
  (void)state;
  static char bound[SUBTOKEN_ISSUED_MAX + 1];
  make_token("?audience=e", AS_KEY);
  memcpy(bound, token, sizeof bound);
  make_token("", AS_KEY);
  snprintf(fixture_row_of(KEY_ID)->key.audience, sizeof fixture.rows[0].key.audience, "e");
  snprintf(fixture_row_of(POOR_ID)->key.permissions, 11, "introspect");
  assert_int_equal(explain(AS_POOR, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"revoked\",");
  check_says("no key, user or session has this sub");
  check_says(",\"key\":null,\"name\":null,\"owner\":null,\"sub\":\"");
  memcpy(token, bound, sizeof token);
  assert_int_equal(explain(AS_POOR, ""), 200);
  check_body_starts("{\"ok\":true,");
}

static void the_settings_of_time_count(void **state) {
  (void)state;
  snprintf(token, sizeof token, "%s", subtoken_of_key("account", NULL, NOW - settings.leeway + 1));
  assert_int_equal(explain(AS_KEY, ""), 200);
  check_body_starts("{\"ok\":true,");
  int64_t leeway = settings.leeway, max_life = settings.max_life;
  settings.leeway = 0;
  assert_int_equal(explain(AS_KEY, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"expired\",");
  settings.leeway = leeway;
  settings.max_life = 10;
  assert_int_equal(explain(AS_KEY, ""), 200);
  check_body_starts("{\"ok\":false,\"status\":401,\"reason\":\"ttl\",");
  settings.max_life = max_life;
}

/* Where a url is asked about the policy has its say; what the key has lost, the token has lost. */
static void the_policy_has_its_say(void **state) {
  (void)state;
  static const char text[] =
      "{\"default\":\"deny\",\"preflight\":true,\"routes\":[{\"path\":\"/"
      "a\",\"needs\":[\"account\"]},"
      "{\"path\":\"/b\",\"public\":true},{\"path\":\"/c\",\"needs\":[\"bank\"]}]}";
  subtoken_text policy = {text, sizeof text - 1};
  size_t size = subtoken_policy_size(policy.len);
  void *memory = malloc(size);
  assert_non_null(memory);
  assert_int_equal(subtoken_policy_read(memory, size, policy, &service.policy, NULL), SUBTOKEN_OK);
  make_token("?permissions=account", AS_KEY);
  assert_int_equal(explain(AS_KEY, ""), 200); /* no url: no policy */
  check_body_starts("{\"ok\":true,");
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/a\",\"method\":\"GET\""), 200);
  check_body_starts("{\"ok\":true,");
  assert_false(says("no longer"));
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/c\",\"method\":\"GET\""), 200);
  check_body_starts("{\"ok\":false,\"status\":403,\"reason\":\"perm\",");
  assert_false(says("no longer"));
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/d\",\"method\":\"GET\""), 200);
  check_body_starts("{\"ok\":false,\"status\":403,");
  /* One method of many: nobody sends a token with a preflight. */
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/c\",\"method\":\"OPTIONS\""), 200);
  check_body_starts("{\"ok\":false,\"status\":403,\"reason\":\"perm\",");
  check_says(" needs ");
  assert_false(says("preflight"));
  snprintf(fixture_row_of(KEY_ID)->key.permissions, 5, "keys");
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/a\",\"method\":\"GET\""), 200);
  check_body_starts("{\"ok\":false,\"status\":403,\"reason\":\"perm\",");
  check_says(": its key no longer has what this request needs\"");
  assert_int_equal(explain(AS_KEY, ",\"url\":\"/b\",\"method\":\"GET\""), 200);
  check_body_starts("{\"ok\":true,");
  assert_false(says("no longer"));
  service.policy = NULL;
  free(memory);
}

static void a_row_that_nobody_wrote_is_an_error(void **state) {
  (void)state;
  make_token("", AS_KEY);
  snprintf(fixture_row_of(POOR_ID)->key.permissions, 11, "introspect");
  snprintf(fixture_row_of(KEY_ID)->key.permissions, sizeof fixture.rows[0].key.permissions,
           "%s,a,b", too_many());
  assert_int_equal(explain(AS_POOR, ""), 503);
  check_event("store_error");
}

/* ---- the ring ---- */

static int64_t first_seen(void *store, const subtoken_ring *of, size_t i) {
  assert_ptr_equal(store, &fixture);
  assert_ptr_equal(of, &ring);
  return i == 0 ? NOW - 90 : 0;
}

static void the_ring_is_told(void **state) {
  (void)state;
  service.secret_first_seen = first_seen;
  assert_int_equal(get("/v2/ring", AS_KEY), 200);
  check_body(
      "{\"secrets\":[{\"kid\":\"\",\"signs\":true,\"first_seen\":\"2023-11-14T22:11:50Z\","
      "\"age\":90}]}");
  service.secret_first_seen = NULL;
  assert_int_equal(get("/v2/ring", AS_KEY), 200);
  check_body("{\"secrets\":[{\"kid\":\"\",\"signs\":true,\"first_seen\":null,\"age\":null}]}");
  assert_int_equal(get("/v2/ring", AS_POOR), 403);
  assert_int_equal(get("/v2/ring", ""), 401);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(the_rule_that_decides_is_named, fixture_set_up),
      cmocka_unit_test_setup(what_the_store_knows_counts, fixture_set_up),
      cmocka_unit_test_setup(tokens_of_others_are_unknown, fixture_set_up),
      cmocka_unit_test_setup(a_users_own_are_known, fixture_set_up),
      cmocka_unit_test_setup(what_is_no_token_of_the_ring, fixture_set_up),
      cmocka_unit_test_setup(who_may_not_ask, fixture_set_up),
      cmocka_unit_test_setup(all_that_it_is_worth_is_told, fixture_set_up),
      cmocka_unit_test_setup(tokens_of_an_audience_are_its_managers, fixture_set_up),
      cmocka_unit_test_setup(a_bound_key_has_not_made_every_token, fixture_set_up),
      cmocka_unit_test_setup(the_settings_of_time_count, fixture_set_up),
      cmocka_unit_test_setup(the_policy_has_its_say, fixture_set_up),
      cmocka_unit_test_setup(a_row_that_nobody_wrote_is_an_error, fixture_set_up),
      cmocka_unit_test_setup(the_ring_is_told, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
