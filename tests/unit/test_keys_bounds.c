/* keys: times, owners and audiences at their bounds, and lists of what was made that do not fit an
 * answer. What else keys do is in test_keys.c.
 */
#include "service_fixture.h"

#define KEYS "/v2/keys"
#define POOR "/v2/keys/" POOR_ID

static int create(const char *headers, const char *members) {
  char body[1024], all[256];
  snprintf(body, sizeof body, "{\"name\":\"n\",\"permissions\":[]%s}", members);
  snprintf(all, sizeof all, "%s" AS_JSON, headers);
  return post(KEYS, all, body);
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void a_time_has_a_unit_and_a_bound(void **state) {
  (void)state;
  static const struct {
    const char *expires;
    int status;
  } rows[] = {{"9", 400},
              {"19", 400},
              {"s", 400},
              {"", 400},
              {"0s", 400},
              {"9s", 201},
              {"52124995687d", 201},
              {"52124995688d", 400},
              {"4503599627370496s", 400}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char members[64];
    snprintf(members, sizeof members, ",\"expires\":\"%s\"", rows[i].expires);
    CHECK(create(AS_KEY, members) == rows[i].status, "%s: %d", rows[i].expires, reply.status);
  }
}

static void an_owner_has_a_bound(void **state) {
  (void)state;
  char members[ST_NAME_MAX + 64], name[ST_NAME_MAX + 2];
  memset(name, 'o', sizeof name);
  name[ST_NAME_MAX + 1] = '\0';
  snprintf(members, sizeof members, ",\"owner\":\"%s\"", name);
  assert_int_equal(create(AS_ALICE, members), 400);
  check_body("{\"text\":\"owner: is longer than 256 bytes\"}");
  assert_int_equal(create(AS_KEY, members), 400);
  name[ST_NAME_MAX] = '\0';
  snprintf(members, sizeof members, ",\"owner\":\"%s\"", name);
  assert_int_equal(create(AS_ALICE, members), 403);
  assert_int_equal(create(AS_KEY, members), 201);
}

/* Of one character, too. */
static void a_bound_key_makes_keys_of_its_audience(void **state) {
  (void)state;
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "e");
  assert_int_equal(create(AS_KEY, ",\"audience\":\"f\""), 403);
  check_event("escalation");
  assert_int_equal(create(AS_KEY, ",\"audience\":\"e\""), 201);
  assert_true(says("\"audience\":\"e\""));
  assert_int_equal(create(AS_KEY, ""), 201);
  assert_true(says("\"audience\":\"e\""));
}

static void a_limit_is_an_owners_or_a_keys(void **state) {
  (void)state;
  fixture.outcome = ST_STORE_FULL;
  assert_int_equal(create(AS_KEY, ",\"owner\":\"o\""), 409);
  assert_true(says("an owner may have at most "));
  assert_int_equal(create(AS_KEY, ",\"owner\":\"\""), 409);
  assert_true(says("a key may make at most "));
}

/* Names that are six times as long when they are escaped: what was made is told whole or not at
 * all, and the key always.
 */
static void a_list_that_does_not_fit_is_left_out(void **state) {
  (void)state;
  size_t told = 0, longest = 0, left_out = 0;
  fixture_row *row = fixture_row_of(POOR_ID);
  memset(row->key.owner, '\x01', ST_NAME_MAX);
  fixture.derived = (st_derived){.keys = 1, .users = 9, .count = ST_DERIVED_LISTED};
  for (size_t i = 0; i < ST_DERIVED_LISTED; i++) {
    fixture.derived.items[i].user = true;
    memset(fixture.derived.items[i].name, '\x01', ST_NAME_MAX);
  }
  /* A quote has two characters in JSON: one more byte each time. */
  for (size_t bytes = 6000; bytes < 8000; bytes++) {
    memset(row->key.permissions, 0, sizeof row->key.permissions);
    memset(row->key.permissions, '"', bytes / 2);
    snprintf(row->key.name, sizeof row->key.name, "%s", bytes % 2 == 0 ? "n" : "nn");
    assert_int_equal(fixture_ask("PATCH", POOR, AS_KEY AS_JSON, "{\"disabled\":true}"), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    assert_true(says("\"audience\":null"));
    if (says(",\"made\":{")) {
      assert_int_equal(left_out, 0);
      told++;
      longest = reply.body_len;
    } else {
      left_out++;
      check_body_starts("{\"id\":\"" POOR_ID "\"");
      assert_memory_equal(reply.body + reply.body_len - 16, "\"audience\":null}", 16);
    }
  }
  CHECK(told > 0 && left_out > 0 && longest == sizeof reply.body - 1, "%zu, %zu, %zu", told,
        left_out, longest);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_time_has_a_unit_and_a_bound, fixture_set_up),
      cmocka_unit_test_setup(an_owner_has_a_bound, fixture_set_up),
      cmocka_unit_test_setup(a_bound_key_makes_keys_of_its_audience, fixture_set_up),
      cmocka_unit_test_setup(a_limit_is_an_owners_or_a_keys, fixture_set_up),
      cmocka_unit_test_setup(a_list_that_does_not_fit_is_left_out, fixture_set_up),
  };
  return cmocka_run_group_tests_name("keys_bounds", tests, NULL, NULL);
}
