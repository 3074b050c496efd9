#include "support.h"

/* The reasons in the order of subtoken_result. */
static void reasons_in_order(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int status;
  } rows[] = {
      {"too_large", 401},  {"malformed", 401},  {"alg", 401},     {"header", 401},
      {"kid", 401},        {"mac", 401},        {"claims", 401},  {"exp_before_iat", 401},
      {"ttl", 401},        {"iat_future", 401}, {"not_yet", 401}, {"expired", 401},
      {"iss", 401},        {"aud", 401},        {"revoked", 401}, {"feed_stale", 503},
      {"bad_target", 400}, {"url", 403},        {"perm", 403},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result result = (subtoken_result)(SUBTOKEN_TOO_LARGE + i);
    assert_string_equal(subtoken_result_name(result), rows[i].name);
    assert_int_equal(subtoken_result_status(result), rows[i].status);
  }
  assert_int_equal(SUBTOKEN_TOO_LARGE + COUNT(rows) - 1, SUBTOKEN_PERM);
}

static void only_ok_is_200(void **state) {
  (void)state;
  assert_int_equal(SUBTOKEN_UNDECIDED, 0);
  assert_int_equal(SUBTOKEN_OK, 1);
  assert_string_equal(subtoken_result_name(SUBTOKEN_OK), "ok");
  for (int i = -1000; i < 1000; i++) {
    int status = subtoken_result_status((subtoken_result)i);
    assert_true((status == 200) == (i == SUBTOKEN_OK));
    bool mismatch = i == SUBTOKEN_MCP_MISMATCH; /* of a request, not of a token */
    if (i > SUBTOKEN_PERM || i <= 0) assert_int_equal(status, mismatch ? 400 : 500);
    assert_non_null(subtoken_result_name((subtoken_result)i));
    assert_non_null(subtoken_fault_name((subtoken_fault)i));
    assert_non_null(subtoken_fault_text((subtoken_fault)i));
  }
  assert_string_equal(subtoken_result_name((subtoken_result)(SUBTOKEN_MCP_MISMATCH + 1)),
                      "unknown");
  assert_string_equal(subtoken_fault_name((subtoken_fault)(SUBTOKEN_FAULT_COUNT + 1)), "unknown");
}

static void all_names_differ(void **state) {
  (void)state;
  for (int i = 0; i <= SUBTOKEN_MCP_MISMATCH; i++) {
    assert_string_not_equal(subtoken_result_name((subtoken_result)i), "unknown");
    for (int j = 0; j < i; j++) {
      assert_string_not_equal(subtoken_result_name((subtoken_result)i),
                              subtoken_result_name((subtoken_result)j));
    }
  }
  for (int i = 0; i <= SUBTOKEN_FAULT_COUNT; i++) {
    assert_string_not_equal(subtoken_fault_name((subtoken_fault)i), "unknown");
    assert_true(strlen(subtoken_fault_text((subtoken_fault)i)) > 5);
    for (int j = 0; j < i; j++) {
      assert_string_not_equal(subtoken_fault_name((subtoken_fault)i),
                              subtoken_fault_name((subtoken_fault)j));
    }
  }
}

/* RFC 6750 section 3.1: what goes with each status, and nothing with the others. */
static void each_status_has_its_challenge(void **state) {
  (void)state;
  for (int i = -1000; i < 1000; i++) {
    subtoken_result result = (subtoken_result)i;
    const char *challenge = subtoken_result_challenge(result);
    switch (subtoken_result_status(result)) {
      case 401: assert_string_equal(challenge, "Bearer error=\"invalid_token\""); break;
      case 403: assert_string_equal(challenge, "Bearer error=\"insufficient_scope\""); break;
      default: assert_null(challenge);
    }
  }
  /* Told once more, by name. */
  static const subtoken_result none[] = {SUBTOKEN_UNDECIDED,          SUBTOKEN_OK,
                                         SUBTOKEN_REVOCATION_UNKNOWN, SUBTOKEN_BAD_TARGET,
                                         SUBTOKEN_INVALID_ARGUMENT,   SUBTOKEN_URL_WIDER};
  for (size_t i = 0; i < COUNT(none); i++) assert_null(subtoken_result_challenge(none[i]));
  assert_string_equal(subtoken_result_challenge(SUBTOKEN_URL),
                      "Bearer error=\"insufficient_scope\"");
  assert_string_equal(subtoken_result_challenge(SUBTOKEN_PERM),
                      "Bearer error=\"insufficient_scope\"");
  for (int i = SUBTOKEN_TOO_LARGE; i <= SUBTOKEN_REVOKED; i++) {
    assert_string_equal(subtoken_result_challenge((subtoken_result)i),
                        "Bearer error=\"invalid_token\"");
  }
  assert_string_equal(SUBTOKEN_CHALLENGE, "Bearer");
}

static void each_fault_has_its_text(void **state) {
  (void)state;
  for (int i = SUBTOKEN_FAULT_NONE; i <= SUBTOKEN_FAULT_COUNT; i++) {
    CHECK(strcmp(subtoken_fault_text((subtoken_fault)i), "unknown") != 0, "%d", i);
  }
  assert_string_equal(subtoken_fault_text((subtoken_fault)1000), "unknown");
  assert_string_equal(subtoken_fault_text((subtoken_fault)-1), "unknown");
}

static void the_version_and_its_number_agree(void **state) {
  (void)state;
  char text[32];
  uint32_t number = subtoken_version_number();
  (void)snprintf(text, sizeof text, "%u.%u.%u", number / 1000000, number / 1000 % 1000,
                 number % 1000);
  assert_string_equal(text, SUBTOKEN_VERSION);
  assert_string_equal(subtoken_version(), SUBTOKEN_VERSION);
  assert_int_equal(number, SUBTOKEN_VERSION_NUMBER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reasons_in_order),        cmocka_unit_test(only_ok_is_200),
      cmocka_unit_test(all_names_differ),        cmocka_unit_test(each_status_has_its_challenge),
      cmocka_unit_test(each_fault_has_its_text), cmocka_unit_test(the_version_and_its_number_agree),
  };
  return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
