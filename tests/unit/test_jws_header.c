/* The header of a token: read strictly, whether it is written as the ring writes it or otherwise,
 * and the secret that its kid names. The rest of a token is in test_jws.c.
 */
#include "support.h"

#include "core/jws.h"
#include "subtoken/mac.h"

static subtoken_ring ring;

static subtoken_result check_token(subtoken_text token) {
  char payload[SUBTOKEN_TOKEN_MAX];
  size_t len;
  return subtoken_jws_open(&ring, token, payload, sizeof payload, &len);
}

/* A kid is read from a header of any spelling, down to one character; so is that of a secret which
 * is derived for an audience, where somebody wants to know the audience. */
static void a_kid_names_its_secret(void **state) {
  (void)state;
  static const struct {
    const char *kid, *audience; /* the latter: of the secret that signs */
    subtoken_result want, want_plain;
  } rows[] = {
      {"k", "", SUBTOKEN_OK, SUBTOKEN_OK},
      {"l", "", SUBTOKEN_KID, SUBTOKEN_KID},
      {"k.e", "e", SUBTOKEN_OK, SUBTOKEN_KID},
      {"k.eu-1", "eu-1", SUBTOKEN_OK, SUBTOKEN_KID},
      {"l.eu-1", "eu-1", SUBTOKEN_KID, SUBTOKEN_KID},
      {"k.eu-1", "", SUBTOKEN_MAC, SUBTOKEN_KID},
      {"k.eu-1", "e", SUBTOKEN_MAC, SUBTOKEN_KID},
      {"k", "e", SUBTOKEN_MAC, SUBTOKEN_MAC},
  };
  ring_with(&ring, "k", TEST_SECRET);
  for (size_t i = 0; i < COUNT(rows); i++) {
    char header[100], out[100], key[SUBTOKEN_MAC_LEN + 1] = {0};
    size_t len;
    st_jws_audience audience = {.len = 99};
    subtoken_text aud = st_text(rows[i].audience);
    uint8_t derived[SUBTOKEN_MAC_LEN];
    snprintf(header, sizeof header, "{\"kid\":\"%s\",\"alg\":\"HS256\"}", rows[i].kid);
    subtoken_text token;
    if (aud.len > 0) {
      assert_int_equal(subtoken_secret_derive(TEST_SECRET, strlen(TEST_SECRET), aud, derived),
                       SUBTOKEN_OK);
      memcpy(key, derived, sizeof derived);
      assert_int_equal(strlen(key), sizeof derived); /* without a NUL, by chance */
      token = signed_token(key, st_text(header), ST_TEXT("{}"));
    } else {
      token = signed_token(TEST_SECRET, st_text(header), ST_TEXT("{}"));
    }
    subtoken_result got = st_jws_open(&ring, token, out, sizeof out, &len, &audience);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    if (got == SUBTOKEN_OK) {
      CHECK(st_text_equal((subtoken_text){audience.text, audience.len}, aud), "row %zu", i);
    }
    CHECK(check_token(token) == rows[i].want_plain, "row %zu", i);
    release(token);
  }
  /* A secret beyond the count is none. */
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("l"), OTHER_SECRET, strlen(OTHER_SECRET)),
                   SUBTOKEN_OK);
  char token[200];
  size_t len;
  assert_int_equal(st_jws_seal(&ring.secrets[1], ST_TEXT("{}"), 200, token, 200, &len),
                   SUBTOKEN_OK);
  assert_int_equal(check_token((subtoken_text){token, len}), SUBTOKEN_OK);
  ring.count = 1;
  assert_int_equal(check_token((subtoken_text){token, len}), SUBTOKEN_KID);
  subtoken_ring *far = malloc(sizeof *far); /* a count that no ring can have is not followed */
  *far = ring;
  far->count = SUBTOKEN_RING_MAX + 1;
  char payload[10];
  assert_int_equal(
      subtoken_jws_open(far, (subtoken_text){token, len}, payload, sizeof payload, &len),
      SUBTOKEN_OK);
  far->secrets[1].header_len = far->secrets[1].kid_len = 0;
  assert_int_equal(
      subtoken_jws_open(far, (subtoken_text){token, strlen(token)}, payload, sizeof payload, &len),
      SUBTOKEN_KID);
  free(far);
  /* A derived ring has the kid as a whole. */
  subtoken_ring derived;
  char out[10];
  st_jws_audience audience = {0};
  assert_int_equal(subtoken_ring_derive(&ring, ST_TEXT("eu"), &derived), SUBTOKEN_OK);
  assert_int_equal(st_jws_seal(&derived.secrets[0], ST_TEXT("{}"), 200, token, 200, &len),
                   SUBTOKEN_OK);
  derived.secrets[0].header[0] ^= 1; /* so that it is not known by its bytes */
  assert_int_equal(
      st_jws_open(&derived, (subtoken_text){token, len}, out, sizeof out, &len, &audience),
      SUBTOKEN_OK);
  assert_true(st_text_is((subtoken_text){audience.text, audience.len}, "eu"));
}

static void headers_are_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *header;
    subtoken_result want;
  } rows[] = {
      {HEADER, SUBTOKEN_OK},
      {"{\"alg\":\"HS256\"}", SUBTOKEN_OK},
      {"{\"typ\":\"JWT\",\"alg\":\"HS256\"}", SUBTOKEN_OK},
      {" {\r\n\t\"alg\" : \"HS256\" } ", SUBTOKEN_OK},
      {"{\"alg\":\"HS25\\u0036\"}", SUBTOKEN_OK},
      {"{\"alg\":\"HS256\",\"x\":[{\"alg\":\"none\"}],\"y\":null}", SUBTOKEN_OK},
      {"{\"alg\":\"HS256\",\"CRIT\":1}", SUBTOKEN_OK}, /* names are exact */
      {"{\"alg\":\"HS256\",\"kid\":\"t\"}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":\"two\"}", SUBTOKEN_MAC}, /* another secret's */
      {"{}", SUBTOKEN_ALG},
      {"{\"typ\":\"JWT\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"none\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"None\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"hs256\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"HS256 \"}", SUBTOKEN_ALG},
      {"{\"alg\":\"HS512\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"RS256\"}", SUBTOKEN_ALG},
      {"{\"alg\":null}", SUBTOKEN_ALG},
      {"{\"alg\":true}", SUBTOKEN_ALG},
      {"{\"alg\":256}", SUBTOKEN_ALG},
      {"{\"alg\":[\"HS256\"]}", SUBTOKEN_ALG},
      {"{\"alg\":{\"alg\":\"HS256\"}}", SUBTOKEN_ALG},
      {"{\"ALG\":\"HS256\"}", SUBTOKEN_ALG},
      {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"typ\":\"\"}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"typ\":null}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"typ\":1}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"typ\":[\"JWT\"]}", SUBTOKEN_HEADER},
      {"{\"alg\":\"HS256\",\"kid\":\"three\"}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":\"\"}", SUBTOKEN_KID}, /* not the way to name the unnamed one */
      {"{\"alg\":\"HS256\",\"kid\":null}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":0}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":[\"two\"]}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":{}}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":\"two\\n\"}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":\"../two\"}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"kid\":\"TWO\"}", SUBTOKEN_KID},
      {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":1,\"x\":1}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":{\"a\":1,\"a\":1}}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\"} x", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\"", SUBTOKEN_MALFORMED},
      {"{\"alg\":HS256}", SUBTOKEN_MALFORMED},
      {"[\"HS256\"]", SUBTOKEN_MALFORMED},
      {"\"HS256\"", SUBTOKEN_MALFORMED},
      {"null", SUBTOKEN_MALFORMED},
      {"HS256", SUBTOKEN_MALFORMED},
      {"\"alg\":\"HS256\"}", SUBTOKEN_MALFORMED},
      {"\"alg\":\"HS256\"", SUBTOKEN_MALFORMED},
      {"[\"alg\":\"HS256\"]", SUBTOKEN_MALFORMED},
      {"\xEF\xBB\xBF{\"alg\":\"HS256\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\\u0000\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\xFF\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", SUBTOKEN_MALFORMED},
      /* Wrong in two ways: the earlier reason of the contract's order. */
      {"{\"alg\":\"none\",\"typ\":\"x\",\"kid\":\"three\",\"crit\":[]}", SUBTOKEN_ALG},
      {"{\"alg\":\"HS256\",\"typ\":\"x\",\"kid\":\"three\"}", SUBTOKEN_HEADER},
      {"{\"kid\":\"three\",\"crit\":[],\"alg\":\"HS256\"}", SUBTOKEN_HEADER},
      {"{\"crit\":[],\"alg\":\"HS256\",\"x\":1}", SUBTOKEN_HEADER}, /* the last is good */
      {"{\"alg\":\"none\",\"typ\":true,\"kid\":\"two\"}", SUBTOKEN_ALG},
      {"{\"kid\":1,\"alg\":\"none\",\"zip\":1", SUBTOKEN_MALFORMED},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text token = signed_token(TEST_SECRET, st_text(rows[i].header), ST_TEXT("{}"));
    subtoken_result got = check_token(token);
    CHECK(got == rows[i].want, "%s: %s", rows[i].header, subtoken_result_name(got));
    release(token);
  }
}

/* Each of these would change what the token means, whatever its value. */
static void members_that_change_the_meaning_are_refused(void **state) {
  (void)state;
  static const char *const names[] = {"crit", "b64", "zip", "enc", "cty",      "jwk", "jku",
                                      "x5u",  "x5c", "x5t", "p2s", "x5t#S256", "p2c"};
  static const char *const values[] = {"null", "false", "true", "\"\"", "[]", "{}", "1", "\"a\""};
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(names); i++) {
    for (size_t j = 0; j < COUNT(values); j++) {
      for (int before = 0; before < 2; before++) {
        char header[100];
        snprintf(header, sizeof header,
                 before ? "{\"%s\":%s,\"alg\":\"HS256\"}" : "{\"alg\":\"HS256\",\"%s\":%s}",
                 names[i], values[j]);
        subtoken_text token = signed_token(TEST_SECRET, st_text(header), ST_TEXT("{}"));
        CHECK(check_token(token) == SUBTOKEN_HEADER, "%s", header);
        release(token);
      }
    }
  }
}

static void a_header_has_1024_characters_at_most(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  /* 768 bytes are 1,024 characters. */
  for (size_t len = 766; len <= 770; len++) {
    static char header[800];
    memset(header, ' ', sizeof header);
    memcpy(header, HEADER, sizeof HEADER - 1);
    subtoken_text token = signed_token(TEST_SECRET, (subtoken_text){header, len}, ST_TEXT("{}"));
    CHECK(check_token(token) == (len <= 768 ? SUBTOKEN_OK : SUBTOKEN_HEADER), "%zu", len);
    release(token);
  }
}

static void a_header_is_strict_base64url_and_json(void **state) {
  (void)state;
  static const char *const headers[] = {"eyJhbGciOiJIUzI1NiJ9=",
                                        "eyJhbGciOiJIUzI1NiJ9\n",
                                        "eyJhbGciOiJIUzI1NiJ",
                                        " eyJhbGciOiJIUzI1NiJ9",
                                        "+",
                                        "e30=",
                                        "e31",
                                        "\x80\x80\x80\x80"};
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < COUNT(headers); i++) {
    char text[200];
    snprintf(text, sizeof text, "%s.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", headers[i]);
    subtoken_text token = exact_string(text);
    CHECK(check_token(token) == SUBTOKEN_MALFORMED, "row %zu", i);
    release(token);
  }
}

static int setup(void **state) {
  (void)state;
  ring_with_two(&ring);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(headers_are_read_strictly),
      cmocka_unit_test(a_kid_names_its_secret),
      cmocka_unit_test(members_that_change_the_meaning_are_refused),
      cmocka_unit_test(a_header_has_1024_characters_at_most),
      cmocka_unit_test(a_header_is_strict_base64url_and_json),
  };
  return cmocka_run_group_tests_name("jws_header", tests, setup, NULL);
}
