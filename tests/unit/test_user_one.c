/* Users over HTTP: listed, shown, changed and deleted, by whom, and what that may give them. */
#include "service_fixture.h"

#define ALICE "/v1/user/alice"
#define ALICE_JSON                                                                               \
  "{\"login\":\"alice\",\"permissions\":[\"account\",\"guilds\",\"users\",\"audit\"],"           \
  "\"locale\":\"\",\"source\":\"\",\"created_at\":\"1970-01-01T00:00:00Z\",\"expires_at\":null," \
  "\"imported\":false,\"registered\":false,\"disabled\":false,\"state\":\"active\"}"
#define BOB_ID "B0B00000-0000-0000-0000-000000000000"

static int patch(const char *target, const char *headers, const char *body) {
  return fixture_ask("PATCH", target, headers, body);
}

static void a_user_is_shown(void **state) {
  (void)state;
  assert_int_equal(get(ALICE, AS_KEY), 200);
  check_body(ALICE_JSON);
  assert_int_equal(get("/v1/user/%61lice", AS_KEY), 200);
  assert_int_equal(get(ALICE, AS_ALICE), 200);
  assert_int_equal(get(ALICE, AS_POOR), 403);
  assert_int_equal(get(ALICE, ""), 401);
  assert_int_equal(post(ALICE, AS_KEY AS_JSON, "{}"), 405);
  assert_string_equal(reply.allow, "GET, HEAD, DELETE, PATCH, OPTIONS");
  static const char *const nobody[] = {"/v1/user/",         "/v1/user/bob", "/v1/user/alice/",
                                       "/v1/user/a/b",      "/v1/user/%zz", "/v1/user/a%00",
                                       "/v1/user/ali%2Fce", "/v1/user/%0A", "/v1/user/a:b"};
  for (size_t i = 0; i < COUNT(nobody); i++) {
    CHECK(get(nobody[i], AS_KEY) == 404, "%s: %d", nobody[i], reply.status);
  }
}

/* A name in a path has + for +, escapes for all else, and 256 bytes. */
static void every_name_has_a_path(void **state) {
  (void)state;
  char name[ST_NAME_MAX + 1], target[4 * ST_NAME_MAX];
  fixture_add_user("a+b c/d", BOB_ID, "");
  assert_int_equal(get("/v1/user/a+b%20c%2Fd", AS_KEY), 200);
  assert_string_equal(member("login"), "a+b c/d");
  memset(name, 0, sizeof name);
  for (size_t i = 0; i < ST_NAME_MAX; i += 2) memcpy(name + i, "\xC3\xA4", 2);
  fixture_add_user(name, "B0B10000-0000-0000-0000-000000000000", "");
  size_t len = (size_t)snprintf(target, sizeof target, "/v1/user/");
  for (size_t i = 0; i < ST_NAME_MAX; i++) {
    len += (size_t)snprintf(target + len, sizeof target - len, "%%%02X", (uint8_t)name[i]);
  }
  assert_int_equal(get(target, AS_KEY), 200);
  assert_string_equal(member("login"), name);
  snprintf(target + len, sizeof target - len, "%s", "a");
  assert_int_equal(get(target, AS_KEY), 404);
  /* A slash that is none is another user's. */
  fixture_add_user("x/y", "B0B20000-0000-0000-0000-000000000000", "");
  assert_int_equal(get("/v1/user/x%2Fy", AS_KEY), 200);
  assert_int_equal(get("/v1/user/x/y", AS_KEY), 404);
  /* With a token, whose urls have to list the target, the name is none of it. */
  assert_int_equal(
      post("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"), 200);
  const char *session = bearer(member("access_token"));
  assert_int_equal(get("/v1/user/a+b%20c%2Fd", session), 200);
}

static void permissions_are_replaced(void **state) {
  (void)state;
  assert_int_equal(patch(ALICE, AS_KEY AS_JSON, "{\"permissions\":[\"account\",\"keys\"]}"), 200);
  assert_string_equal(fixture.users[0].key.permissions, "account,keys");
  check_body_starts("{\"login\":\"alice\",\"permissions\":[\"account\",\"keys\"],");
  check_header("Subtoken-Seq: 84\r\n");
  assert_string_equal(fixture.who, "key " KEY_ID);
  assert_int_equal(patch(ALICE, AS_KEY AS_JSON, "{\"permissions\":[]}"), 200);
  assert_string_equal(fixture.users[0].key.permissions, "");
  check_body_starts("{\"login\":\"alice\",\"permissions\":[],");
  static const char *const bad[] = {"{}",
                                    "{\"permissions\":null}",
                                    "{\"permissions\":\"a\"}",
                                    "{\"permissions\":[\"a b\"]}",
                                    "{\"disabled\":1}",
                                    "{\"disabled\":true,\"permissions\":[]}",
                                    ""};
  for (size_t i = 0; i < COUNT(bad); i++) {
    CHECK(patch(ALICE, AS_KEY AS_JSON, bad[i]) == 400, "%s: %d", bad[i], reply.status);
  }
  assert_int_equal(patch(ALICE, AS_KEY, "{\"disabled\":true}"), 415);
}

/* What the user has already stays; what is added the caller must have, and have as long. */
static void nobody_gives_more_than_is_had(void **state) {
  (void)state;
  fixture_add_user("bob", BOB_ID, "bank");
  assert_int_equal(
      patch("/v1/user/bob", AS_ALICE AS_JSON, "{\"permissions\":[\"bank\",\"users\"]}"), 200);
  assert_int_equal(patch("/v1/user/bob", AS_ALICE AS_JSON, "{\"permissions\":[\"keys\"]}"), 403);
  check_event("escalation");
  assert_string_equal(fixture.users[1].key.permissions, "bank,users");
  fixture_row_of(KEY_ID)->key.expires_at = NOW + 100;
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, "{\"permissions\":[\"account\"]}"), 403);
  check_event("escalation");
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, "{\"permissions\":[\"bank\"]}"), 200);
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, "{\"permissions\":[]}"), 200);
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  assert_int_equal(get("/v1/user", AS_KEY), 403);
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, "{\"disabled\":true}"), 403);
}

/* Somebody who has more may have disabled the user because of that. To enable who is enabled, and
 * to disable, changes nothing for the worse.
 */
static void nobody_enables_more_than_is_had(void **state) {
  (void)state;
  static const char enable[] = "{\"disabled\":false}", disable[] = "{\"disabled\":true}";
  fixture_add_user("bob", BOB_ID, "account,bank");
  st_key *bob = &fixture.users[1].key, *key = &fixture_row_of(KEY_ID)->key;
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, enable), 200);
  bob->disabled = true;
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, enable), 403);
  check_event("escalation");
  check_body("{\"text\":\"disabled: the user has permissions that the credential you use lacks\"}");
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, disable), 200);
  snprintf(bob->permissions, sizeof bob->permissions, "account");
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, enable), 200);
  bob->disabled = true;
  bob->expires_at = key->expires_at = NOW + 100;
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, enable), 200);
  bob->disabled = true;
  bob->expires_at++;
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, enable), 403);
  check_event("escalation");
  check_body("{\"text\":\"disabled: the user expires later than the credential you use\"}");
  assert_true(bob->disabled);
}

static void a_user_is_disabled_and_deleted(void **state) {
  (void)state;
  fixture.derived = (st_derived){.keys = 2, .count = 0};
  fixture_add_user("bob", BOB_ID, "bank");
  assert_int_equal(patch("/v1/user/bob", AS_KEY AS_JSON, "{\"disabled\":true}"), 200);
  check_header("Subtoken-Seq: 85\r\n");
  assert_string_equal(member("state"), "disabled");
  assert_non_null(memmem(reply.body, reply.body_len, ",\"made\":{\"keys\":2,\"users\":0", 27));
  assert_int_equal(fixture_ask("DELETE", "/v1/user/bob", AS_POOR, ""), 403);
  assert_int_equal(fixture_ask("DELETE", "/v1/user/bob", AS_KEY, ""), 204);
  check_header("Subtoken-Seq: 86\r\n");
  check_header("Subtoken-Made: keys=2,users=0\r\n");
  assert_int_equal(fixture_ask("DELETE", "/v1/user/bob", AS_KEY, ""), 404);
}

static void a_change_that_fails_is_told(void **state) {
  (void)state;
  static const struct {
    st_store_status outcome;
    int status;
  } rows[] = {{ST_STORE_DENIED, 403},
              {ST_STORE_BUSY, 503},
              {ST_STORE_FAILED, 503},
              {ST_STORE_IN_DOUBT, 503}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    fixture.outcome = rows[i].outcome;
    int status = patch(ALICE, AS_KEY AS_JSON, "{\"disabled\":true}");
    CHECK(status == rows[i].status, "%zu: %d", i, status);
    status = fixture_ask("DELETE", ALICE, AS_KEY, "");
    CHECK(status == rows[i].status, "%zu: DELETE %d", i, status);
  }
}

static void users_are_listed_in_pages(void **state) {
  (void)state;
  assert_int_equal(get("/v1/user", AS_KEY), 200);
  check_body("{\"users\":[" ALICE_JSON "]}");
  fixture_add_user("bob", BOB_ID, "bank");
  fixture_add_user("BOBBY", "B0B10000-0000-0000-0000-000000000000", "");
  fixture_add_user("carl", "CA210000-0000-0000-0000-000000000000", "");
  assert_int_equal(get("/v1/user?search=BOB", AS_KEY), 200);
  assert_null(memmem(reply.body, reply.body_len, "alice", 5));
  assert_non_null(memmem(reply.body, reply.body_len, "BOBBY", 5));
  assert_null(memmem(reply.body, reply.body_len, "\"next\"", 6));
  assert_int_equal(get("/v1/user?limit=1&after=alice", AS_KEY), 200);
  check_body_starts("{\"users\":[{\"login\":\"bob\",");
  assert_string_equal(member("next"), "bob");
  assert_int_equal(get("/v1/user?limit=3", AS_KEY), 200); /* of two pages of the store */
  assert_string_equal(member("next"), "BOBBY");
  assert_int_equal(get("/v1/user", AS_POOR), 403);
  static const char *const bad[] = {"/v1/user?limit=0", "/v1/user?limit=101", "/v1/user?limit=x",
                                    "/v1/user?search=a&search=b", "/v1/user?after=%00"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    CHECK(get(bad[i], AS_KEY) == 400, "%s: %d", bad[i], reply.status);
  }
  fixture.broken = true;
  assert_int_equal(get("/v1/user", AS_KEY), 503);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_user_is_shown, fixture_set_up),
      cmocka_unit_test_setup(every_name_has_a_path, fixture_set_up),
      cmocka_unit_test_setup(permissions_are_replaced, fixture_set_up),
      cmocka_unit_test_setup(nobody_gives_more_than_is_had, fixture_set_up),
      cmocka_unit_test_setup(nobody_enables_more_than_is_had, fixture_set_up),
      cmocka_unit_test_setup(a_user_is_disabled_and_deleted, fixture_set_up),
      cmocka_unit_test_setup(a_change_that_fails_is_told, fixture_set_up),
      cmocka_unit_test_setup(users_are_listed_in_pages, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
