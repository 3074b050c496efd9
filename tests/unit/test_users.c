/* users: the bounds of what a new user may say, and whose attempts are counted. What else POST
 * /v1/user does is in test_sessions.c.
 */
#include "service_fixture.h"

#define USER "/v1/user"
#define BOB "{\"login\":\"bob\",\"password\":\"" PASSWORD "\"}"

static int make(const char *locale, const char *source) {
  char body[512];
  snprintf(body, sizeof body,
           "{\"login\":\"bob\",\"password\":\"" PASSWORD "\",\"locale\":\"%s\",\"source\":\"%s\"}",
           locale, source);
  fixture.user_count = 1;
  return post(USER, AS_KEY AS_JSON, body);
}

static void texts_of_a_user_have_bounds(void **state) {
  (void)state;
  char locale[ST_LOCALE_MAX + 2], source[ST_SOURCE_MAX + 2];
  for (size_t i = 0; i <= 2; i++) {
    size_t locale_len = i == 0 ? 1 : ST_LOCALE_MAX + i - 1;
    size_t source_len = i == 0 ? 1 : ST_SOURCE_MAX + i - 1;
    memset(locale, 0, sizeof locale);
    memset(source, 0, sizeof source);
    memset(locale, 'e', locale_len);
    memset(source, '!', source_len);
    int status = i == 2 ? 400 : 201;
    assert_int_equal(make(locale, "s"), status);
    assert_int_equal(make("e", source), status);
    if (status == 400) continue;
    assert_int_equal(make(locale, source), 201);
    assert_string_equal(fixture.users[1].locale, locale);
    assert_string_equal(fixture.users[1].source, source);
  }
  /* A name of one character and a permission of one. */
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions, "users,x");
  assert_int_equal(post(USER, AS_KEY AS_JSON,
                        "{\"login\":\"c\",\"password\":\"" PASSWORD "\",\"permissions\":[\"x\"]}"),
                   201);
  check_body("{\"login\":\"c\",\"permissions\":[\"x\"]}");
  const st_user *user = fixture_user(ST_TEXT("c"));
  assert_non_null(user);
  assert_string_equal(user->key.permissions, "x");
  assert_string_equal(user->locale, "");
}

/* The bucket of an address is neither that of another nor that of a user who is called so. */
static void each_address_has_registrations_of_its_own(void **state) {
  (void)state;
  settings.registration_open = true;
  for (int i = 0; i < ST_THROTTLE_USERNAME_BURST; i++) {
    assert_int_equal(post(USER, AS_JSON, BOB), i == 0 ? 201 : 409);
  }
  assert_int_equal(post(USER, AS_JSON, BOB), 429);
  assert_int_equal(post("/v1/auth/login", AS_JSON, "{\"login\":\"" REMOTE "\",\"password\":\"x\"}"),
                   401);
  fixture_remote = "192.0.2.8";
  assert_int_equal(post(USER, AS_JSON, BOB), 409);
}

/* A credential that cannot be read is not none. */
static void an_unreadable_credential_registers_nobody(void **state) {
  (void)state;
  settings.registration_open = true;
  assert_int_equal(post(USER "?access_token=%", AS_JSON, BOB), 400);
  assert_int_equal(post(USER, AS_KEY AS_POOR AS_JSON, BOB), 400);
  check_event("auth_ambiguous");
  assert_int_equal(fixture.creates, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(texts_of_a_user_have_bounds, fixture_set_up),
      cmocka_unit_test_setup(each_address_has_registrations_of_its_own, fixture_set_up),
      cmocka_unit_test_setup(an_unreadable_credential_registers_nobody, fixture_set_up),
  };
  return cmocka_run_group_tests_name("users", tests, NULL, NULL);
}
