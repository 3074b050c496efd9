/* explain: sentences at the ends of what they can say, and for results that others claim.
 * test_explain.c has those of subtoken_verify.
 */
#include "core/claims.h"

#include "support.h"

static subtoken_ring ring;

static const char *said_at(int64_t now, const char *header, const char *payload,
                           subtoken_result result, const subtoken_verifier *verifier) {
  static char out[2048];
  subtoken_request request = {.size = sizeof request, .now = now};
  subtoken_text token = signed_token(TEST_SECRET, st_text(header), st_text(payload));
  size_t len = subtoken_explain(verifier, token, &request, result, out, sizeof out);
  CHECK(len == strlen(out), "%s", out);
  release(token);
  return out;
}

#define TIMES(iat, exp) \
  "{\"sub\":\"s\",\"iat\":" iat ",\"exp\":" exp ",\"permissions\":[],\"iss\":\"i\"}"

static void each_end_is_explained(void **state) {
  (void)state;
  static const struct {
    int64_t now;
    const char *header, *payload;
    subtoken_result result;
    const char *words;
  } rows[] = {
      {NOW, HEADER, TIMES("1", "253402300799"), SUBTOKEN_OK, "good until 9999-12-31T23:59:59Z"},
      {NOW, HEADER, TIMES("1", "253402300800"), SUBTOKEN_OK, "good until 253402300800"},
      {0, HEADER, GOOD_PAYLOAD, SUBTOKEN_OK, "good until 2023-11-14T23:13:20Z"},
      {SUBTOKEN_TIME_MAX, HEADER, GOOD_PAYLOAD, SUBTOKEN_OK, "good until 2023-11-14T23:13:20Z"},
      {SUBTOKEN_TIME_MAX + 1, HEADER, GOOD_PAYLOAD, SUBTOKEN_OK, "invalid argument"},
      {-1, HEADER, GOOD_PAYLOAD, SUBTOKEN_OK, "invalid argument"},
      {NOW, HEADER, TIMES("1", "120"), SUBTOKEN_TTL,
       "from iat to exp it is 119 s, at most 120 s (2 min) are allowed"},
      {NOW, HEADER, TIMES("1", "121"), SUBTOKEN_TTL,
       "from iat to exp it is 120 s (2 min), at most 120 s (2 min) are allowed"},
      {NOW, HEADER, TIMES("1", "2"), SUBTOKEN_ISS, "iss is \"i\", not \"\""},
      /* claims that cannot be read say nothing, whatever is claimed of them */
      {NOW, HEADER, "{}", SUBTOKEN_EXPIRED, "this is not what the token says"},
      {NOW, HEADER, "{\"sub\":\"s\"}", SUBTOKEN_OK, "this is not what the token says"},
      {NOW, HEADER, "{}", SUBTOKEN_CLAIMS, "claim \"sub\" is missing or of the wrong form"},
      {NOW, "{\"alg\":\"HS256\",\"x\":tru}", GOOD_PAYLOAD, SUBTOKEN_MALFORMED,
       "the header is not an object in strict JSON"},
      {NOW, "{\"alg\":\"HS256\",\"kid\":\"a\"}", GOOD_PAYLOAD, SUBTOKEN_MAC,
       "the signature was not made over these bytes with the secret \"a\""},
      {NOW, "{\"alg\":\"HS256\",\"kid\":5}", GOOD_PAYLOAD, SUBTOKEN_MAC,
       "the signature was not made over these bytes with the secret (unnamed)"},
  };
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  verifier.max_life = 120;
  verifier.iss = ST_TEXT("");
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *words =
        said_at(rows[i].now, rows[i].header, rows[i].payload, rows[i].result, &verifier);
    CHECK(strcmp(words, rows[i].words) == 0, "row %zu: %s", i, words);
  }
}

static void a_header_of_the_longest_length_is_looked_at(void **state) {
  (void)state;
  static const char front[] = "{\"alg\":\"HS256\",\"x5c\":1}";
  char header[769];
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  memset(header, ' ', sizeof header);
  memcpy(header, front, sizeof front - 1);
  header[768] = '\0'; /* 1024 characters of base64url */
  assert_string_equal(said_at(NOW, header, GOOD_PAYLOAD, SUBTOKEN_HEADER, &verifier),
                      "the header has \"x5c\", which changes what a token means");
}

/* Nobody says which of its names is revoked. */
static void names_that_may_be_revoked_are_told(void **state) {
  (void)state;
  static const char plain[] = "{" GOOD_CLAIMS ",\"permissions\":[]}";
  static const char made[] = "{" GOOD_CLAIMS ",\"permissions\":[],\"via\":[\"0123456789abcdef\"]}";
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  const char *words = said_at(NOW, HEADER, plain, SUBTOKEN_REVOKED, &verifier);
  CHECK(strncmp(words, "sub parent or tid ", 18) == 0, "%s", words);
  CHECK(strstr(words, "via") == NULL, "%s", words);
  words = said_at(NOW, HEADER, made, SUBTOKEN_REVOKED, &verifier);
  CHECK(strstr(words, " or one of via [0123456789abcdef] is revoked") != NULL, "%s", words);
}

static void a_target_is_shown_up_to_its_path(void **state) {
  (void)state;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  for (size_t len = 1; len <= 260; len++) {
    char out[1024], want[1024];
    subtoken_text target = repeated("/", 'a', len - 1);
    subtoken_request request = {.size = sizeof request, .now = NOW, .target = target};
    assert_true(subtoken_explain(&verifier, token, &request, SUBTOKEN_BAD_TARGET, out, sizeof out));
    snprintf(want, sizeof want, "target %.*s%s is refused: ", (int)(len < 256 ? len : 256),
             target.data, len > 256 ? "..." : "");
    CHECK(strncmp(out, want, strlen(want)) == 0, "%zu: %s", len, out);
    release(target);
  }
  release(token);
}

static int setup(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_end_is_explained),
      cmocka_unit_test(a_header_of_the_longest_length_is_looked_at),
      cmocka_unit_test(names_that_may_be_revoked_are_told),
      cmocka_unit_test(a_target_is_shown_up_to_its_path),
  };
  return cmocka_run_group_tests_name("explain_bounds", tests, setup, NULL);
}
