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
      cmocka_unit_test_setup(the_ring_is_told, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
