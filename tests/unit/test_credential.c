/* credential: the one credential of a request, wherever it stands; two that differ are refused in
 * whichever order they come, and nothing of a password is left then. Whose it is, authenticate
 * says.
 */
#include "service_fixture.h"

#include "base/base64url.h"
#include "service/context.h"
#include "service/credential.h"

static st_context context;
static st_request request;
static st_header list[4];

/* `Name: value` lines as headers, each value in a block of its exact size, which nothing follows.
 */
static const st_problem *find(const char *const *lines, size_t count, bool client) {
  subtoken_text values[COUNT(list)];
  memset(&context, 0x5A, sizeof context);
  assert_true(count <= COUNT(list));
  for (size_t i = 0; i < count; i++) {
    const char *colon = strchr(lines[i], ':');
    assert_non_null(colon);
    values[i] = exact_string(colon + 2);
    list[i] = (st_header){{lines[i], (size_t)(colon - lines[i])}, values[i]};
  }
  request = (st_request){.headers = list, .header_count = count, .now = NOW};
  context.service = &service;
  context.request = &request;
  context.query = st_text("");
  const st_problem *problem =
      client ? st_credential_find_basic(&context) : st_credential_find(&context);
  for (size_t i = 0; i < count; i++) release(values[i]);
  return problem;
}

#define A "X-API-Key: a"
#define B "X-API-Key: b"
#define AS_A "Authorization: Bearer a"
#define AS_B "Authorization: Bearer b"
#define AS_U "Authorization: Basic dTpw" /* u:p */
#define AS_V "Authorization: Basic djpw"

static void one_credential_is_found(void **state) {
  (void)state;
  static const struct {
    const char *lines[4];
    size_t count;
    size_t len; /* of what is found; 0: nothing */
    unsigned forms;
  } rows[] = {
      {{A}, 1, 1, ST_FORM_API_KEY},
      {{AS_A}, 1, 1, ST_FORM_BEARER},
      {{"Authorization: bearer   a"}, 1, 1, ST_FORM_BEARER},
      {{AS_A, A}, 2, 1, ST_FORM_API_KEY | ST_FORM_BEARER},
      {{A, AS_A, A}, 3, 1, ST_FORM_API_KEY | ST_FORM_BEARER},
      {{AS_U}, 1, 3, ST_FORM_BASIC},
      {{"Authorization: Basic ?"}, 1, 1, ST_FORM_BASIC}, /* it cannot be decoded */
      {{"Authorization: Bearer"}, 1, 0, 0},
      {{"Authorization: Bearer   "}, 1, 0, 0},
      {{"Authorization: Basic"}, 1, 0, 0},
      {{"Authorization: Digest a"}, 1, 0, 0},
      {{"Authorization: a"}, 1, 0, 0},
      {{"Authorization: "}, 1, 0, 0},
      {{"X-API-Key: "}, 1, 0, 0},
      {{"Authorization: Digest a", A}, 2, 1, ST_FORM_API_KEY},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const st_problem *problem = find(rows[i].lines, rows[i].count, false);
    CHECK(problem == NULL, "row %zu", i);
    CHECK(context.credential.text.len == rows[i].len && context.credential.forms == rows[i].forms,
          "row %zu: %u", i, context.credential.forms);
  }
}

static void two_that_differ_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *lines[4];
    size_t count;
  } rows[] = {
      {{A, B}, 2},       {{A, AS_B}, 2},    {{AS_B, A}, 2},
      {{A, B, A}, 3},    {{A, B, AS_A}, 3}, {{AS_A, B, A}, 3},
      {{B, AS_A, B}, 3}, {{AS_A, AS_A}, 2}, {{AS_A, AS_B}, 2},
      {{AS_U, A}, 2},    {{A, AS_U}, 2},    {{AS_U, AS_U}, 2},
      {{AS_U, AS_V}, 2}, {{AS_U, AS_A}, 2}, {{AS_U, "Authorization: Digest a"}, 2},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const st_problem *problem = find(rows[i].lines, rows[i].count, false);
    CHECK(problem != NULL && problem->status == 400, "row %zu", i);
    assert_string_equal(problem->event, "auth_ambiguous");
  }
}

/* For a client that authenticates: nothing but HTTP Basic counts, and only once. */
static void only_basic_is_a_client(void **state) {
  (void)state;
  static const char *const none[][2] = {{A, A}, {AS_A, A}, {"Authorization: Digest a", A}};
  static const char *const two[][2] = {{AS_U, AS_U}, {AS_U, AS_V}, {AS_U, AS_A}, {AS_A, AS_A}};
  for (size_t i = 0; i < COUNT(none); i++) {
    CHECK(find(none[i], 2, true) == NULL, "row %zu", i);
    CHECK(context.credential.text.len == 0 && context.credential.forms == 0, "row %zu", i);
  }
  for (size_t i = 0; i < COUNT(two); i++) {
    const st_problem *problem = find(two[i], 2, true);
    CHECK(problem != NULL && problem->status == 400, "row %zu", i);
  }
  static const char *const one[] = {A, AS_U};
  assert_null(find(one, 2, true));
  assert_int_equal(context.credential.forms, ST_FORM_BASIC);
  assert_true(st_text_is(context.credential.text, "u:p"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(one_credential_is_found, fixture_set_up),
      cmocka_unit_test_setup(two_that_differ_are_refused, fixture_set_up),
      cmocka_unit_test_setup(only_basic_is_a_client, fixture_set_up),
  };
  return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
