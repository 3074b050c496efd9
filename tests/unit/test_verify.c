#include "support.h"

static subtoken_ring ring;
static subtoken_claims claims;

static subtoken_verifier verifier_of(void) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  return verifier;
}

static subtoken_result verify_with(const subtoken_verifier *verifier, subtoken_text token,
                                   const subtoken_request *request) {
  memset(&claims, 0x55, sizeof claims);
  bool whole = verifier != NULL && verifier->size == sizeof *verifier;
  subtoken_result result = whole ? verify_every_way(verifier, token, request, &claims)
                                 : subtoken_verify(verifier, token, request, &claims);
  if (result != SUBTOKEN_OK && !claims_are_zero(&claims)) fail_msg("refused but not zeroed");
  return result;
}

static subtoken_result refuse_all(void *context, const subtoken_text *names, size_t count) {
  (void)context;
  (void)names;
  (void)count;
  return SUBTOKEN_REVOKED;
}

/* One token that is wrong in every way at once. Mended step by step, it gives the
 * reasons in the order of subtoken_result. */
static void the_first_rule_that_fails_is_the_result(void **state) {
  (void)state;
  static const char *const steps[] = {
      /* header, payload, signed by the right secret? */
      "{\"alg\":\"none\",\"typ\":\"x\",\"kid\":\"zz\",\"crit\":[]}",
      "{\"alg\":\"HS256\",\"typ\":\"x\",\"kid\":\"zz\",\"crit\":[]}",
      "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"zz\"}",
      HEADER,
  };
  static const subtoken_result header_reasons[] = {SUBTOKEN_ALG, SUBTOKEN_HEADER, SUBTOKEN_KID,
                                                   SUBTOKEN_MAC};
  static const struct {
    const char *payload;
    subtoken_result want;
  } payloads[] = {
      {"{\"sub\":1,\"iat\":1800000000,\"exp\":1700000000,\"nbf\":1800000000,\"permissions\":[]",
       SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1800000000,\"exp\":1700000000,\"nbf\":1800000000,"
       "\"permissions\":[],\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_EXP_BEFORE_IAT},
      {"{\"sub\":\"s\",\"iat\":1800000000,\"exp\":1900000000,\"nbf\":1800000000,"
       "\"permissions\":[],\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_TTL},
      {"{\"sub\":\"s\",\"iat\":1800000000,\"exp\":1800000001,\"nbf\":1800000000,"
       "\"permissions\":[],\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_IAT_FUTURE},
      {"{\"sub\":\"s\",\"iat\":1690000000,\"exp\":1690000001,\"nbf\":1800000000,"
       "\"permissions\":[],\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_NOT_YET},
      {"{\"sub\":\"s\",\"iat\":1690000000,\"exp\":1690000001,\"permissions\":[],"
       "\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_EXPIRED},
      {"{\"sub\":\"s\",\"iat\":1690000000,\"exp\":1700000001,\"permissions\":[],"
       "\"urls\":[\"/a\"],\"iss\":\"x\"}",
       SUBTOKEN_ISS},
      {"{\"sub\":\"s\",\"iat\":1690000000,\"exp\":1700000001,\"permissions\":[],"
       "\"urls\":[\"/a\"],\"iss\":\"me\",\"aud\":\"x\"}",
       SUBTOKEN_AUD},
      {"{\"sub\":\"s\",\"iat\":1690000000,\"exp\":1700000001,\"permissions\":[],"
       "\"urls\":[\"/a\"],\"iss\":\"me\",\"aud\":\"api\"}",
       SUBTOKEN_REVOKED},
  };
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  verifier.without_revocations = false;
  verifier.revoked = refuse_all;
  verifier.iss = ST_TEXT("me");
  verifier.aud = ST_TEXT("api");
  subtoken_text needs[] = {ST_TEXT("p")};
  subtoken_request request = {.size = sizeof request,
                              .now = NOW,
                              .method = ST_TEXT("GET"),
                              .target = ST_TEXT("/../"),
                              .needs = needs,
                              .needs_count = 1};
  subtoken_text big = repeated("", '.', SUBTOKEN_TOKEN_MAX + 1);
  assert_int_equal(verify_with(&verifier, big, &request), SUBTOKEN_TOO_LARGE);
  big.len--;
  assert_int_equal(verify_with(&verifier, big, &request), SUBTOKEN_MALFORMED);
  release(big);
  for (size_t i = 0; i < COUNT(steps); i++) {
    subtoken_text token =
        signed_token(OTHER_SECRET, st_text(steps[i]), st_text(payloads[0].payload));
    subtoken_result got = verify_with(&verifier, token, &request);
    CHECK(got == header_reasons[i], "%s: %s", steps[i], subtoken_result_name(got));
    release(token);
  }
  for (size_t i = 0; i < COUNT(payloads); i++) {
    subtoken_text token = good_token(payloads[i].payload);
    subtoken_result got = verify_with(&verifier, token, &request);
    CHECK(got == payloads[i].want, "%s: %s", payloads[i].payload, subtoken_result_name(got));
    release(token);
  }
  subtoken_text token = good_token(payloads[COUNT(payloads) - 1].payload);
  verifier.revoked = NULL;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_REVOCATION_UNKNOWN);
  verifier.without_revocations = true;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_BAD_TARGET);
  request.target = ST_TEXT("/b");
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_URL);
  request.target = ST_TEXT("/a?x");
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_PERM);
  request.needs_count = 0;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_OK);
  assert_int_equal(claims.exp, 1700000001);
  release(token);
}

/* Text that is not canonical base64url is malformed, whatever its MAC. */
static void what_is_malformed_is_refused_before_the_mac(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_text good = good_token(GOOD_PAYLOAD);
  assert_int_equal(verify_with(&verifier, good, &request), SUBTOKEN_OK);
  static const char bad[] = "=+/ \n%,\x80";
  for (size_t part = 0; part < 3; part++) {
    for (size_t i = 0; i < sizeof bad; i++) {
      subtoken_text token = exact(good.data, good.len);
      char *bytes = (char *)(uintptr_t)token.data;
      size_t at = 3, dots = 0;
      for (size_t j = 0; j < token.len && dots < part; j++) {
        if (bytes[j] == '.') {
          dots++;
          at = j + 4;
        }
      }
      bytes[at] = bad[i];
      CHECK(verify_with(&verifier, token, &request) == SUBTOKEN_MALFORMED, "part %zu, byte %zu",
            part, i);
      release(token);
    }
  }
  release(good);
}

/* A token whose MAC is right but whose payload is not what we write. */
static void signed_text_that_is_no_claims_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    size_t len;
  } rows[] = {{"x", 1},        {"[]", 2},       {"\0", 1}, {"{}", 2},
              {"{\"sub\"", 6}, {"\xFF\xFE", 2}, {"1", 1}};
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text token =
        signed_token(TEST_SECRET, st_text(HEADER), (subtoken_text){rows[i].payload, rows[i].len});
    subtoken_result got = verify_with(&verifier, token, &request);
    CHECK(got == SUBTOKEN_MALFORMED || got == SUBTOKEN_CLAIMS, "row %zu", i);
    release(token);
  }
}

static void the_longest_token_is_verified(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  bool accepted = false, too_large = false;
  for (size_t pad = 5900; pad < 6150; pad++) {
    static char payload[7000];
    int len = snprintf(payload, sizeof payload,
                       "{" GOOD_CLAIMS ",\"permissions\":[],\"x\":\"%*s\"}", (int)(pad - 85), "");
    subtoken_text token =
        signed_token(TEST_SECRET, st_text(HEADER), (subtoken_text){payload, (size_t)len});
    subtoken_result got = verify_with(&verifier, token, &request);
    CHECK(got == (token.len <= SUBTOKEN_TOKEN_MAX ? SUBTOKEN_OK : SUBTOKEN_TOO_LARGE), "%zu: %s",
          token.len, subtoken_result_name(got));
    accepted = accepted || token.len >= 8190;
    too_large = too_large || token.len > 8192;
    release(token);
  }
  assert_true(accepted && too_large);
}

static void a_kid_chooses_its_secret_alone(void **state) {
  (void)state;
  static const char named[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"two\"}";
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_text plain_1 = signed_token(TEST_SECRET, st_text(HEADER), st_text(GOOD_PAYLOAD));
  subtoken_text plain_2 = signed_token(OTHER_SECRET, st_text(HEADER), st_text(GOOD_PAYLOAD));
  subtoken_text named_1 = signed_token(TEST_SECRET, st_text(named), st_text(GOOD_PAYLOAD));
  subtoken_text named_2 = signed_token(OTHER_SECRET, st_text(named), st_text(GOOD_PAYLOAD));
  ring_with(&ring, "", TEST_SECRET);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("two"), OTHER_SECRET, 32), SUBTOKEN_OK);
  /* Each is checked with the secret that it names, and with that alone. */
  assert_int_equal(verify_with(&verifier, plain_1, &request), SUBTOKEN_OK);
  assert_int_equal(verify_with(&verifier, plain_2, &request), SUBTOKEN_MAC);
  assert_int_equal(verify_with(&verifier, named_1, &request), SUBTOKEN_MAC);
  assert_int_equal(verify_with(&verifier, named_2, &request), SUBTOKEN_OK);
  ring_with(&ring, "two", OTHER_SECRET); /* the unnamed one is retired */
  assert_int_equal(verify_with(&verifier, plain_1, &request), SUBTOKEN_KID);
  assert_int_equal(verify_with(&verifier, named_2, &request), SUBTOKEN_OK);
  memset(&ring, 0, sizeof ring);
  assert_int_equal(verify_with(&verifier, plain_1, &request), SUBTOKEN_KID);
  release(plain_1);
  release(plain_2);
  release(named_1);
  release(named_2);
}

static void zeroed_arguments_deny(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD);
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_verifier verifier;
  memset(&verifier, 0, sizeof verifier);
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  verifier.ring = &ring;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  verifier.size = sizeof verifier;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_TTL);
  verifier.max_life = 3600;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_REVOCATION_UNKNOWN);
  verifier.without_revocations = true;
  memset(&request, 0, sizeof request);
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  request.size = sizeof request;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_IAT_FUTURE);
  release(token);
}

static void bad_arguments_are_invalid(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  assert_int_equal(verify_with(NULL, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  subtoken_verifier no_ring = verifier;
  no_ring.ring = NULL;
  assert_int_equal(verify_with(&no_ring, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(verify_with(&verifier, token, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(verify_with(&verifier, (subtoken_text){NULL, 0}, &request),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_verify(&verifier, token, &request, NULL), SUBTOKEN_INVALID_ARGUMENT);
  static const int64_t bad[] = {-1, INT64_MIN, SUBTOKEN_TIME_MAX + 1, INT64_MAX};
  for (size_t i = 0; i < COUNT(bad); i++) {
    subtoken_verifier wrong = verifier;
    wrong.leeway = bad[i];
    assert_int_equal(verify_with(&wrong, token, &request), SUBTOKEN_INVALID_ARGUMENT);
    wrong = verifier;
    wrong.max_life = bad[i];
    assert_int_equal(verify_with(&wrong, token, &request), SUBTOKEN_INVALID_ARGUMENT);
    subtoken_request when = {.size = sizeof when, .now = bad[i]};
    assert_int_equal(verify_with(&verifier, token, &when), SUBTOKEN_INVALID_ARGUMENT);
  }
  /* C13: no leeway is longer than an hour. */
  verifier.leeway = SUBTOKEN_LEEWAY_MAX + 1;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  verifier.leeway = SUBTOKEN_LEEWAY_MAX;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_OK);
  assert_true(claims.nbf == 0 && claims.sid.at == 0 && !claims.aud_named);
  verifier.max_life = SUBTOKEN_TIME_MAX;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_OK);
  subtoken_request last = {.size = sizeof last, .now = SUBTOKEN_TIME_MAX};
  assert_int_equal(verify_with(&verifier, token, &last), SUBTOKEN_EXPIRED);
  request.needs_count = 1;
  assert_int_equal(verify_with(&verifier, token, &request), SUBTOKEN_INVALID_ARGUMENT);
  release(token);
}

static void inspecting_checks_no_signature(void **state) {
  (void)state;
  char header[SUBTOKEN_HEADER_MAX];
  /* Signature, clock and alg are not looked at. */
  subtoken_text token =
      signed_token(OTHER_SECRET, ST_TEXT("{\"alg\":\"none\"}"), st_text(GOOD_PAYLOAD));
  memset(&claims, 0x55, sizeof claims);
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_OK);
  assert_string_equal(header, "{\"alg\":\"none\"}");
  assert_int_equal(claims.permission_count, 2);
  assert_true(claims.every_url);
  /* No room for the header and its NUL. */
  assert_int_not_equal(subtoken_inspect(token, header, 14, &claims), SUBTOKEN_OK);
  assert_true(claims_are_zero(&claims));
  assert_int_equal(subtoken_inspect(token, header, 15, &claims), SUBTOKEN_OK);
  assert_int_equal(subtoken_inspect(token, header, 0, &claims), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_true(claims_are_zero(&claims));
  release(token);
  static const char *const bad[] = {"",         "a",        "a.b",    "a.b.c.d",
                                    "e30.e30.", "e30.e31.", "=.e30.", "e30.W10."};
  for (size_t i = 0; i < COUNT(bad); i++) {
    token = exact_string(bad[i]);
    memset(&claims, 0x55, sizeof claims);
    CHECK(subtoken_inspect(token, header, sizeof header, &claims) != SUBTOKEN_OK, "%s", bad[i]);
    CHECK(claims_are_zero(&claims), "%s", bad[i]);
    CHECK(header[0] == '\0', "%s", bad[i]);
    release(token);
  }
}

/* Whether a verifier asked for an audience stands in the claims; the caller writes it, not the
 * token. */
static void that_an_audience_was_named_is_told(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_verifier verifier = verifier_of();
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_text token = good_token("{" GOOD_CLAIMS ",\"permissions\":[],\"aud\":\"eu\"}");
  memset(&claims, 0x55, sizeof claims);
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_OK);
  assert_false(claims.aud_named);
  verifier.aud = ST_TEXT("eu");
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_OK);
  assert_true(claims.aud_named);
  verifier.aud = ST_TEXT("us");
  verifier.any_audience = true; /* as the issuer itself: nothing is compared */
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims), SUBTOKEN_OK);
  assert_false(claims.aud_named);
  release(token);
}

/* The payload is refused, though what was decoded of it before its end is good, and as long as the
 * header. */
static void inspecting_reads_no_half_payload(void **state) {
  (void)state;
  char header[SUBTOKEN_HEADER_MAX], text[600], payload[] = GOOD_PAYLOAD "  ";
  size_t len = strlen(payload) / 3 * 3; /* so that nothing is left over */
  st_writer writer = st_writer_on(text, sizeof text);
  char spaces[300];
  memset(spaces, ' ', sizeof spaces);
  memcpy(spaces, "{}", 2);
  st_base64url_write(&writer, spaces, len);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, payload, len);
  size_t good_len = writer.len;
  st_write_literal(&writer, "!!!!.");
  subtoken_text token = exact(text, writer.len);
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_MALFORMED);
  assert_true(claims_are_zero(&claims));
  assert_int_equal(subtoken_inspect(token, header, 1, &claims), SUBTOKEN_BUFFER_TOO_SMALL);
  release(token);
  text[good_len] = '.';
  token = exact(text, good_len + 1);
  assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_OK);
  release(token);
  token = exact_string("no dots");
  assert_int_equal(subtoken_inspect(token, header, 1, &claims), SUBTOKEN_MALFORMED);
  release(token);
}

/* With the processor's instructions and without: the same answers and claims, for good
 * tokens of each length, for those that our reader in one pass does not read, and for
 * each with a byte changed. */
static void all_processors_give_the_same_results(void **state) {
  (void)state;
  static subtoken_ring plain_ring;
  static subtoken_claims plain;
  static char payload[700];
  uint64_t seed = 1;
  ring_with(&ring, "", TEST_SECRET);
  plain_ring = ring;
  plain_ring.secrets[0].cpu = 0;
  subtoken_verifier verifier = verifier_of(), slow = verifier_of();
  slow.ring = &plain_ring;
  size_t good = 0;
  for (size_t n = 1; n < 300; n++) {
    int len = snprintf(
        payload, sizeof payload,
        "{" GOOD_CLAIMS ",\"permissions\":[\"a%.*s\"],\"urls\":[\"/v2/%0*d\"]%s}", (int)(n % 64),
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", (int)n, 7,
        n % 5 == 0   ? ",\"nbf\":5"
        : n % 5 == 1 ? " "
                     : "");
    char target[400];
    int target_len = snprintf(target, sizeof target, "/v2/%0*d?x", (int)n, 7);
    subtoken_text at = exact(target, (size_t)target_len);
    subtoken_request request = {.size = sizeof request, .now = NOW, .target = at};
    subtoken_text token =
        signed_token(TEST_SECRET, st_text(HEADER), (subtoken_text){payload, (size_t)len});
    char *bytes = (char *)(uintptr_t)token.data;
    for (int i = 0; i < 20; i++) {
      size_t where = random_below(&seed, token.len);
      char was = bytes[where];
      if (i > 0) bytes[where] = (char)random_next(&seed);
      subtoken_result got = verify_with(&verifier, token, &request);
      memset(&plain, 0x55, sizeof plain);
      CHECK(subtoken_verify(&slow, token, &request, &plain) == got, "%zu: %s", n,
            subtoken_result_name(got));
      if (got == SUBTOKEN_OK) {
        good++;
        CHECK(plain.exp == claims.exp && plain.nbf == claims.nbf && plain.url_count == 1 &&
                  claims.url_count == 1 && plain.urls[0].at == claims.urls[0].at &&
                  plain.urls[0].len == claims.urls[0].len && plain.text_len == claims.text_len &&
                  memcmp(plain.text, claims.text, claims.text_len) == 0,
              "%zu", n);
      } else {
        CHECK(claims_are_zero(&plain), "%zu", n);
      }
      if (i == 0) CHECK(got == SUBTOKEN_OK, "%zu: %s", n, subtoken_result_name(got));
      bytes[where] = was;
    }
    release(token);
    release(at);
  }
  assert_true(good >= 299);
}

static subtoken_result answer_with(void *context, const subtoken_text *names, size_t count) {
  (void)names;
  (void)count;
  return *(const subtoken_result *)context;
}

/* A callback that does not say yes or no cannot let anybody in. */
static void an_unclear_callback_lets_nobody_in(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text token = good_token(GOOD_PAYLOAD);
  subtoken_request request = {.size = sizeof request, .now = NOW};
  for (int i = -3; i <= 300; i++) {
    subtoken_result answer = (subtoken_result)i;
    subtoken_verifier verifier = verifier_of();
    verifier.without_revocations = false;
    verifier.revoked = answer_with;
    verifier.revoked_context = &answer;
    subtoken_result want =
        i == SUBTOKEN_OK || i == SUBTOKEN_REVOKED ? answer : SUBTOKEN_REVOCATION_UNKNOWN;
    CHECK(verify_with(&verifier, token, &request) == want, "answer %d", i);
  }
  release(token);
}

static void inspecting_bad_arguments_writes_nothing(void **state) {
  (void)state;
  char header[64];
  const subtoken_text none = {NULL, 0};
  subtoken_text token = good_token(GOOD_PAYLOAD);
  memset(&claims, 0x55, sizeof claims);
  memset(header, 'x', sizeof header);
  assert_int_equal(subtoken_inspect(none, header, sizeof header, &claims),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&claims) && header[0] == '\0');
  memset(&claims, 0x55, sizeof claims);
  assert_int_equal(subtoken_inspect(token, NULL, sizeof header, &claims),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_true(claims_are_zero(&claims));
  memset(header, 'x', sizeof header);
  assert_int_equal(subtoken_inspect(token, header, sizeof header, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(header[0], '\0');
  assert_int_equal(subtoken_inspect(none, NULL, 0, NULL), SUBTOKEN_INVALID_ARGUMENT);
  release(token);
  /* A NUL in the header would hide what stands behind it. */
  static const char *const headers[] = {"{}\0x", "\0{}x", "{}x\0"};
  for (size_t i = 0; i < COUNT(headers); i++) {
    token = signed_token(TEST_SECRET, (subtoken_text){headers[i], 4}, st_text(GOOD_PAYLOAD));
    assert_int_equal(subtoken_inspect(token, header, sizeof header, &claims), SUBTOKEN_MALFORMED);
    assert_true(claims_are_zero(&claims) && header[0] == '\0');
    release(token);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_rule_that_fails_is_the_result),
      cmocka_unit_test(what_is_malformed_is_refused_before_the_mac),
      cmocka_unit_test(signed_text_that_is_no_claims_is_refused),
      cmocka_unit_test(the_longest_token_is_verified),
      cmocka_unit_test(a_kid_chooses_its_secret_alone),
      cmocka_unit_test(zeroed_arguments_deny),
      cmocka_unit_test(bad_arguments_are_invalid),
      cmocka_unit_test(that_an_audience_was_named_is_told),
      cmocka_unit_test(inspecting_reads_no_half_payload),
      cmocka_unit_test(inspecting_checks_no_signature),
      cmocka_unit_test(inspecting_bad_arguments_writes_nothing),
      cmocka_unit_test(all_processors_give_the_same_results),
      cmocka_unit_test(an_unclear_callback_lets_nobody_in),
  };
  return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
