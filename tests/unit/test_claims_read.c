/* Claims: which one is at fault, audiences of any length and damaged ones, and what may be decided
 * upon. test_claims.c has the rest.
 */
#include "support.h"

static subtoken_claims claims;

static subtoken_result read_any(const char *payload, subtoken_text *fault) {
  size_t len = strlen(payload);
  memset(&claims, 0, sizeof claims);
  if (len > sizeof claims.text) abort();
  memcpy(claims.text, payload, len);
  claims.text_len = (uint16_t)len;
  return st_claims_read_any(&claims, fault);
}

#define ALL "\"sub\":\"s\",\"iat\":1,\"exp\":2,\"permissions\":[]"

static void the_claim_at_fault_is_named(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    subtoken_result want;
    const char *fault;
  } rows[] = {
      {"{" ALL "}", SUBTOKEN_OK, "?"},
      {"{}", SUBTOKEN_CLAIMS, "sub"},
      {"{\"iat\":1,\"exp\":2,\"permissions\":[]}", SUBTOKEN_CLAIMS, "sub"},
      {"{\"sub\":\"s\",\"exp\":2,\"permissions\":[]}", SUBTOKEN_CLAIMS, "iat"},
      {"{\"sub\":\"s\",\"iat\":1,\"permissions\":[]}", SUBTOKEN_CLAIMS, "exp"},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":2}", SUBTOKEN_CLAIMS, "permissions"},
      {"{\"sub\":\"s\"}", SUBTOKEN_CLAIMS, "iat"},
      {"{" ALL ",\"nbf\":true}", SUBTOKEN_CLAIMS, "nbf"},
      {"{" ALL ",\"aud\":1}", SUBTOKEN_CLAIMS, "aud"},
      {"{" ALL ",\"aud\":[\"a\",1]}", SUBTOKEN_CLAIMS, "aud"},
      {"{" ALL ",\"iss\":1}", SUBTOKEN_CLAIMS, "iss"},
      {"{" ALL ",\"urls\":[]}", SUBTOKEN_CLAIMS, "urls"},
      {"{" ALL ",\"via\":[]}", SUBTOKEN_CLAIMS, "via"},
      {"{" ALL ",\"via\":[1]}", SUBTOKEN_CLAIMS, "via"},
      {"{" ALL ",\"sid\":[]}", SUBTOKEN_CLAIMS, "sid"},
      {"{" ALL ",\"aud\":[\"a\"", SUBTOKEN_MALFORMED, "?"},
      {"{" ALL ",\"urls\":[\"/a\"", SUBTOKEN_MALFORMED, "?"},
      {"{" ALL ",\"x\":[1", SUBTOKEN_MALFORMED, "?"},
      {"{" ALL "} x", SUBTOKEN_MALFORMED, "?"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text fault = ST_TEXT("?");
    subtoken_result got = read_any(rows[i].payload, &fault);
    CHECK(got == rows[i].want && st_text_is(fault, rows[i].fault), "row %zu: %s %.*s", i,
          subtoken_result_name(got), (int)fault.len, fault.data);
    CHECK(read_any(rows[i].payload, NULL) == rows[i].want, "row %zu", i);
  }
}

static void an_issuer_is_kept(void **state) {
  (void)state;
  assert_int_equal(read_any("{" ALL ",\"iss\":\"https://i.example/\"}", NULL), SUBTOKEN_OK);
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.iss), "https://i.example/"));
}

/* Their length is packed as two bytes. */
static void a_long_audience_is_kept(void **state) {
  (void)state;
  static const size_t lengths[] = {0, 1, 2, 255, 256, 257, 511, 512, 1024, 4000};
  for (size_t i = 0; i < COUNT(lengths); i++) {
    static char payload[6000];
    subtoken_text audience = repeated("", 'a', lengths[i]);
    snprintf(payload, sizeof payload, "{" ALL ",\"aud\":[\"b\",\"%.*s\",\"c\"]}", (int)audience.len,
             audience.data);
    assert_int_equal(read_any(payload, NULL), SUBTOKEN_OK);
    CHECK(st_claims_has_audience(&claims, audience), "%zu", lengths[i]);
    CHECK(st_claims_has_audience(&claims, ST_TEXT("c")), "%zu", lengths[i]);
    size_t at = 0;
    assert_true(st_text_is(subtoken_claims_audience(&claims, &at), "b"));
    assert_true(st_text_equal(subtoken_claims_audience(&claims, &at), audience));
    assert_true(st_text_is(subtoken_claims_audience(&claims, &at), "c"));
    subtoken_text none = subtoken_claims_audience(&claims, &at);
    assert_true(none.data == NULL && none.len == 0 && at == claims.aud.len);
    assert_true(!subtoken_claims_has_audience(&claims, (subtoken_text){NULL, 0}));
    release(audience);
  }
  /* An offset that no call has given. */
  for (size_t at = claims.aud.len + (size_t)1; at < claims.aud.len + (size_t)9; at++) {
    size_t before = at;
    assert_null(subtoken_claims_audience(&claims, &at).data);
    assert_true(at == before);
  }
  size_t far = SIZE_MAX;
  assert_null(subtoken_claims_audience(&claims, &far).data);
  subtoken_text nothing = subtoken_claims_audience(&claims, NULL);
  assert_true(nothing.data == NULL && nothing.len == 0);
}

/* Claims that somebody has written by hand: what is cut off is none. */
static void a_damaged_audience_is_none(void **state) {
  (void)state;
  for (uint16_t len = 0; len <= 8; len++) {
    memset(&claims, 0, sizeof claims);
    memcpy(claims.text, "\1\0x\3\0api", 8);
    claims.aud = (subtoken_slice){0, len};
    CHECK(st_claims_has_audience(&claims, ST_TEXT("x")) == (len >= 3), "%d", len);
    CHECK(st_claims_has_audience(&claims, ST_TEXT("api")) == (len == 8), "%d", len);
    CHECK(st_claims_only_audience(&claims, ST_TEXT("x")) == (len == 3), "%d", len);
    claims.text[0] = 2; /* one more than there is, where it is alone */
    CHECK(st_claims_has_audience(&claims, (subtoken_text){"x\3", 2}) == (len >= 4), "%d", len);
    /* At the end of the text, so that nothing behind it is read. */
    memcpy(claims.text + sizeof claims.text - 8, "\1\0x\3\0api", 8);
    claims.aud = (subtoken_slice){(uint16_t)(sizeof claims.text - len), len};
    (void)st_claims_has_audience(&claims, ST_TEXT("none"));
  }
}

static void times_up_to_the_limit_can_be_decided_upon(void **state) {
  (void)state;
  static const int64_t bad[] = {-1, INT64_MIN, SUBTOKEN_TIME_MAX + 1, INT64_MAX};
  memset(&claims, 0, sizeof claims);
  assert_true(st_claims_decidable(&claims));
  int64_t *const times[] = {&claims.iat, &claims.exp, &claims.nbf};
  for (size_t i = 0; i < COUNT(times); i++) {
    *times[i] = SUBTOKEN_TIME_MAX;
    assert_true(st_claims_decidable(&claims));
    for (size_t j = 0; j < COUNT(bad); j++) {
      *times[i] = bad[j];
      CHECK(!st_claims_decidable(&claims), "time %zu, %zu", i, j);
    }
    *times[i] = 0;
  }
  claims.iss = (subtoken_slice){sizeof claims.text - 1, 2};
  assert_false(st_claims_decidable(&claims));
  claims.iss = (subtoken_slice){0, 0};
  claims.url_count = SUBTOKEN_URLS_MAX + 1;
  assert_false(st_claims_decidable(&claims));
}

static void what_is_added_takes_its_own_length(void **state) {
  (void)state;
  subtoken_text lacking = ST_TEXT("?");
  memset(&claims, 0, sizeof claims);
  assert_int_equal(subtoken_claims_set_aud(&claims, ST_TEXT("eu")), SUBTOKEN_OK);
  assert_int_equal(claims.text_len, 4);
  assert_true(st_claims_only_audience(&claims, ST_TEXT("eu")));
  assert_int_equal(subtoken_claims_check_needs(&claims, NULL, 0, &lacking), SUBTOKEN_OK);
  assert_true(lacking.data == NULL && lacking.len == 0);
  assert_int_equal(subtoken_claims_from_identity(&claims, ST_TEXT("."), ST_TEXT("a"), 1),
                   SUBTOKEN_CLAIMS);
  assert_int_equal(subtoken_claims_from_identity(&claims, ST_TEXT("s"), ST_TEXT("a"), 1),
                   SUBTOKEN_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_claim_at_fault_is_named),
      cmocka_unit_test(an_issuer_is_kept),
      cmocka_unit_test(a_long_audience_is_kept),
      cmocka_unit_test(a_damaged_audience_is_none),
      cmocka_unit_test(times_up_to_the_limit_can_be_decided_upon),
      cmocka_unit_test(what_is_added_takes_its_own_length),
  };
  return cmocka_run_group_tests_name("claims_read", tests, NULL, NULL);
}
