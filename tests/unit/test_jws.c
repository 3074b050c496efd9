#include "support.h"

#include "core/jws.h"

static subtoken_ring ring;

static subtoken_result check_token(subtoken_text token) {
  st_jws jws;
  const subtoken_secret *secret;
  subtoken_result result = st_jws_split(token, &jws);
  if (result == SUBTOKEN_OK) result = st_jws_secret(&jws, &ring, &secret);
  return result == SUBTOKEN_OK ? st_jws_check(&jws, secret) : result;
}

static void shapes(void **state) {
  (void)state;
  static const char mac[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  static const struct {
    const char *text;
    const char *tail;
    subtoken_result want;
  } rows[] = {
      {"", "", SUBTOKEN_MALFORMED},
      {".", "", SUBTOKEN_MALFORMED},
      {"..", "", SUBTOKEN_MALFORMED},
      {"a.b", "", SUBTOKEN_MALFORMED},
      {"a", "", SUBTOKEN_MALFORMED},
      {"a.b.", mac, SUBTOKEN_OK}, /* a split looks at the dots and the MAC alone */
      {".b.", mac, SUBTOKEN_MALFORMED},
      {"a..", mac, SUBTOKEN_MALFORMED},
      {"..", mac, SUBTOKEN_MALFORMED},
      {"a.b.c.", mac, SUBTOKEN_MALFORMED},
      {"a.b..", mac, SUBTOKEN_MALFORMED},
      {".a.b.", mac, SUBTOKEN_MALFORMED},
      {"a.b.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB", SUBTOKEN_MALFORMED}, /* stray bits */
      {"a.b.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", SUBTOKEN_MALFORMED},
      {"a.b.", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA ", SUBTOKEN_MALFORMED},
      {"a.b.", "A", SUBTOKEN_MALFORMED},
      {"a.b.", "", SUBTOKEN_OK}, /* told apart later, as a wrong MAC */
      {"a.b.", "AAAA", SUBTOKEN_OK},
      {"a.b.AAAA", mac, SUBTOKEN_OK}, /* 35 bytes */
      {"a.b.A", mac, SUBTOKEN_OK},    /* 33 bytes */
      {"a.b.AA", mac, SUBTOKEN_MALFORMED},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[200];
    snprintf(text, sizeof text, "%s%s", rows[i].text, rows[i].tail);
    subtoken_text token = exact_string(text);
    st_jws jws;
    subtoken_result got = st_jws_split(token, &jws);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    if (got == SUBTOKEN_OK) {
      CHECK(jws.mac_whole == (strcmp(rows[i].tail, mac) == 0 && strlen(rows[i].text) == 4),
            "row %zu", i);
      CHECK(st_text_is(jws.header, "a") && st_text_is(jws.payload, "b") &&
                st_text_is(jws.signed_part, "a.b"),
            "row %zu", i);
    }
    release(token);
  }
}

static void length_limit(void **state) {
  (void)state;
  st_jws jws;
  for (size_t len = SUBTOKEN_TOKEN_MAX - 4; len <= SUBTOKEN_TOKEN_MAX + 4; len++) {
    subtoken_text token = repeated("a.", 'b', len - 2);
    ((char *)(uintptr_t)token.data)[len - 1] = '.';
    CHECK(
        st_jws_split(token, &jws) == (len > SUBTOKEN_TOKEN_MAX ? SUBTOKEN_TOO_LARGE : SUBTOKEN_OK),
        "%zu", len);
    release(token);
  }
  subtoken_text long_mac = repeated("a.b.", 'A', SUBTOKEN_TOKEN_MAX - 4);
  assert_int_equal(st_jws_split(long_mac, &jws), SUBTOKEN_OK);
  assert_false(jws.mac_whole);
  release(long_mac);
}

static void headers(void **state) {
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
      {"{\"alg\":\"HS256\",\"CRIT\":1}", SUBTOKEN_OK},       /* names are exact */
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
      {"\xEF\xBB\xBF{\"alg\":\"HS256\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\\u0000\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":\"\xFF\"}", SUBTOKEN_MALFORMED},
      {"{\"alg\":\"HS256\",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", SUBTOKEN_MALFORMED},
      /* Wrong in two ways: the earlier reason of the contract's order. */
      {"{\"alg\":\"none\",\"typ\":\"x\",\"kid\":\"three\",\"crit\":[]}", SUBTOKEN_ALG},
      {"{\"alg\":\"HS256\",\"typ\":\"x\",\"kid\":\"three\"}", SUBTOKEN_HEADER},
      {"{\"kid\":\"three\",\"crit\":[],\"alg\":\"HS256\"}", SUBTOKEN_HEADER},
      {"{\"kid\":1,\"alg\":\"none\",\"zip\":1", SUBTOKEN_MALFORMED},
  };
  ring_with(&ring, "", TEST_SECRET);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("two"), OTHER_SECRET, 32), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text token = signed_token(TEST_SECRET, st_text(rows[i].header), ST_TEXT("{}"));
    subtoken_result got = check_token(token);
    CHECK(got == rows[i].want, "%s: %s", rows[i].header, subtoken_result_name(got));
    release(token);
  }
}

/* Each of these would change what the token means, whatever its value. */
static void forbidden_members(void **state) {
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

static void header_limit(void **state) {
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

static void header_encoding(void **state) {
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

static void macs(void **state) {
  (void)state;
  ring_with(&ring, "", TEST_SECRET);
  subtoken_text good = signed_token(TEST_SECRET, st_text(HEADER), ST_TEXT("{}"));
  subtoken_text other = signed_token(OTHER_SECRET, st_text(HEADER), ST_TEXT("{}"));
  assert_int_equal(check_token(good), SUBTOKEN_OK);
  assert_int_equal(check_token(other), SUBTOKEN_MAC);
  /* Cut to a length that is still base64url, down to nothing, and made longer. */
  for (size_t cut = 1; cut <= 43; cut++) {
    subtoken_text shorter = exact(good.data, good.len - cut);
    subtoken_result got = check_token(shorter);
    CHECK(got == SUBTOKEN_MAC || got == SUBTOKEN_MALFORMED, "cut by %zu", cut);
    if (cut % 4 == 3) CHECK(got == SUBTOKEN_MAC, "cut by %zu", cut);
    release(shorter);
  }
  for (size_t more = 1; more <= 8; more++) {
    char text[300];
    memcpy(text, good.data, good.len);
    memset(text + good.len, 'A', more);
    subtoken_text longer = exact(text, good.len + more);
    CHECK(check_token(longer) != SUBTOKEN_OK, "%zu more", more);
    release(longer);
  }
  release(good);
  release(other);
}

/* Header, kid behind typ, payload and MAC, byte for byte. */
static void written(void **state) {
  (void)state;
  char out[400], want[400];
  for (int named = 0; named < 2; named++) {
    ring_with(&ring, named ? "2026_a-Z" : "", TEST_SECRET);
    subtoken_text token = signed_token(
        TEST_SECRET,
        st_text(named ? "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"2026_a-Z\"}" : HEADER),
        ST_TEXT("{\"a\":1}"));
    st_writer writer = st_writer_on(out, sizeof out);
    st_write_string(&writer, "before ");
    assert_int_equal(st_jws_write(&writer, &ring.secrets[0], ST_TEXT("{\"a\":1}")), SUBTOKEN_OK);
    assert_true(st_writer_end(&writer));
    snprintf(want, sizeof want, "before %.*s", (int)token.len, token.data);
    assert_string_equal(out, want);
    assert_int_equal(check_token(token), SUBTOKEN_OK);
    for (size_t room = 0; room < token.len; room++) {
      char *small = malloc(room);
      st_writer tight = st_writer_on(small, room);
      CHECK(
          st_jws_write(&tight, &ring.secrets[0], ST_TEXT("{\"a\":1}")) == SUBTOKEN_BUFFER_TOO_SMALL,
          "room for %zu", room);
      free(small);
    }
    char *fits = malloc(token.len);
    st_writer tight = st_writer_on(fits, token.len);
    assert_int_equal(st_jws_write(&tight, &ring.secrets[0], ST_TEXT("{\"a\":1}")), SUBTOKEN_OK);
    assert_int_equal(tight.len, token.len);
    free(fits);
    release(token);
  }
}

static void longest_kid(void **state) {
  (void)state;
  char kid[65], header[120], out[400];
  memset(kid, 'k', 64);
  kid[64] = '\0';
  ring_with(&ring, kid, TEST_SECRET);
  snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", kid);
  subtoken_text token = signed_token(TEST_SECRET, st_text(header), ST_TEXT("{}"));
  st_writer writer = st_writer_on(out, sizeof out);
  assert_int_equal(st_jws_write(&writer, &ring.secrets[0], ST_TEXT("{}")), SUBTOKEN_OK);
  assert_true(st_text_equal(token, (subtoken_text){out, writer.len}));
  assert_int_equal(check_token(token), SUBTOKEN_OK);
  release(token);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),       cmocka_unit_test(length_limit),
      cmocka_unit_test(headers),      cmocka_unit_test(forbidden_members),
      cmocka_unit_test(header_limit), cmocka_unit_test(header_encoding),
      cmocka_unit_test(macs),         cmocka_unit_test(written),
      cmocka_unit_test(longest_kid),
  };
  return cmocka_run_group_tests_name("jws", tests, NULL, NULL);
}
