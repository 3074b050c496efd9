#include "support.h"

static subtoken_claims claims;

static subtoken_result read_payload(subtoken_text payload, const char *aud) {
  memset(&claims, 0, sizeof claims);
  if (payload.len > sizeof claims.text) abort();
  memcpy(claims.text, payload.data, payload.len);
  claims.text_len = (uint16_t)payload.len;
  return st_claims_read(0, &claims, aud == NULL ? (subtoken_text){NULL, 0} : st_text(aud), NULL);
}

#define BASE "\"sub\":\"s\",\"iat\":1,\"exp\":2"
#define LISTS ",\"permissions\":[\"a\",\"b\"]"

static void accepted(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    int64_t nbf;
    uint16_t permissions, urls;
    bool every_url;
  } rows[] = {
      {"{" BASE LISTS "}", 0, 2, 0, true},
      {" {\n\"exp\" : 2 , \"permissions\" : [ ] , \"iat\" : 1, \"sub\":\"s\" } ", 0, 0, 0, true},
      {"{" BASE LISTS ",\"urls\":[\"/a\"]}", 0, 2, 1, false},
      {"{\"urls\":[\"/a\",\"GET:/b/*\"]," BASE LISTS "}", 0, 2, 2, false},
      {"{" BASE LISTS ",\"urls\":[\"/a\",\"/a\"]}", 0, 2, 2, false},
      {"{" BASE LISTS ",\"nbf\":7}", 7, 2, 0, true},
      {"{" BASE LISTS ",\"x\":{\"sub\":\"y\",\"urls\":[]},\"URLS\":1,\"y\":null}", 0, 2, 0, true},
      {"{\"s\\u0075b\":\"\\u0073\",\"iat\":1,\"exp\":2,\"permissions\":[\"\\u0061\"]}", 0, 1, 0,
       true},
      {"{" BASE LISTS ",\"iss\":\"me\",\"aud\":\"you\"}", 0, 2, 0, true},
      {"{" BASE LISTS ",\"aud\":[]}", 0, 2, 0, true},
      {"{\"sub\":\"s\",\"iat\":0,\"exp\":9007199254740991,\"permissions\":[]}", 0, 0, 0, true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result got = read_payload(st_text(rows[i].payload), NULL);
    CHECK(got == SUBTOKEN_OK, "%s: %s", rows[i].payload, subtoken_result_name(got));
    CHECK(st_text_is(subtoken_claims_text(&claims, claims.sub), "s"), "row %zu", i);
    CHECK(claims.nbf == rows[i].nbf && claims.permission_count == rows[i].permissions &&
              claims.url_count == rows[i].urls && claims.every_url == rows[i].every_url &&
              !claims.aud_named,
          "row %zu", i);
  }
}

static void refused(void **state) {
  (void)state;
  static const struct {
    const char *payload;
    subtoken_result want;
  } rows[] = {
      /* Not strict JSON, or no object. */
      {"", SUBTOKEN_MALFORMED},
      {"[]", SUBTOKEN_MALFORMED},
      {"null", SUBTOKEN_MALFORMED},
      {"\"x\"", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS, SUBTOKEN_MALFORMED},
      {"{" BASE LISTS "}x", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS "}{}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"sub\":\"s\"}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"ex\\u0070\":2}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":1,\"x\":1}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":{\"a\":1,\"a\":1}}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":\"\\u0000\"}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":\"\\udc00\"}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":\"\xFF\"}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":01}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":NaN}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"x\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", SUBTOKEN_MALFORMED},
      {"{" BASE ",\"permissions\":[\"a\",]}", SUBTOKEN_MALFORMED},
      /* A claim that every token has is missing. */
      {"{}", SUBTOKEN_CLAIMS},
      {"{" BASE "}", SUBTOKEN_CLAIMS},
      {"{\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"SUB\":\"s\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      /* sub */
      {"{\"sub\":\"\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":1,\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":null,\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":[\"s\"],\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"a b\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"a.b\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"a/b\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"a\\n\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"\xC3\xA9\",\"iat\":1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      /* times */
      {"{\"sub\":\"s\",\"iat\":\"1\",\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":-1,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1.0,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1e0,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":null,\"exp\":2" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":9007199254740992" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":18446744073709551618" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":true" LISTS "}", SUBTOKEN_CLAIMS},
      {"{\"sub\":\"s\",\"iat\":1,\"exp\":[2]" LISTS "}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"nbf\":\"1\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"nbf\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"nbf\":-1}", SUBTOKEN_CLAIMS},
      /* permissions */
      {"{" BASE ",\"permissions\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":\"a\"}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":{}}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[1]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[null]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[[\"a\"]]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a,b\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a b\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a\\\"\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a\\\\\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"\xC3\xA9\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a\",\"a\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE ",\"permissions\":[\"a\",\"\\u0061\"]}", SUBTOKEN_CLAIMS},
      /* urls */
      {"{" BASE LISTS ",\"urls\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":{}}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":\"/a\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[1]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"a\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"/a\",\"/..\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"/a\",\"/b?c\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"/a*\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"urls\":[\"get:/a\"]}", SUBTOKEN_CLAIMS},
      /* iss and aud */
      {"{" BASE LISTS ",\"iss\":1}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"iss\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"iss\":[\"a\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"aud\":1}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"aud\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"aud\":{}}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"aud\":[1]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"aud\":[\"a\",null]}", SUBTOKEN_CLAIMS},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result got = read_payload(st_text(rows[i].payload), NULL);
    CHECK(got == rows[i].want, "%s: %s", rows[i].payload, subtoken_result_name(got));
  }
}

/* A NUL in the text itself, not in the string that this source can hold. */
static void nul_bytes(void **state) {
  (void)state;
  static const char good[] = "{" BASE LISTS "}";
  for (size_t at = 0; at <= sizeof good - 1; at++) {
    char text[100];
    memcpy(text, good, at);
    text[at] = '\0';
    memcpy(text + at + 1, good + at, sizeof good - 1 - at);
    CHECK(read_payload((subtoken_text){text, sizeof good}, NULL) != SUBTOKEN_OK, "NUL at %zu", at);
  }
}

static void every_prefix(void **state) {
  (void)state;
  static const char good[] = "{" BASE LISTS ",\"urls\":[\"/a\"],\"aud\":[\"x\"],\"iss\":\"y\"}";
  for (size_t len = 0; len < sizeof good - 1; len++) {
    CHECK(read_payload((subtoken_text){good, len}, NULL) != SUBTOKEN_OK, "%zu", len);
  }
  assert_int_equal(read_payload(st_text(good), NULL), SUBTOKEN_OK);
}

static void audiences(void **state) {
  (void)state;
  static const struct {
    const char *aud;
    const char *want;
    bool named;
  } rows[] = {
      {"\"api\"", "api", true},         {"\"api\"", "ap", false},
      {"\"api\"", "API", false},        {"\"api\"", NULL, false},
      {"[\"x\",\"api\"]", "api", true}, {"[\"api\",\"x\"]", "api", true},
      {"[\"apis\"]", "api", false},     {"[]", "api", false},
      {"\"\\u0061pi\"", "api", true},   {"\"\"", "", true},
      {"\"api,x\"", "api", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char payload[200];
    snprintf(payload, sizeof payload, "{" BASE LISTS ",\"aud\":%s}", rows[i].aud);
    assert_int_equal(read_payload(st_text(payload), rows[i].want), SUBTOKEN_OK);
    CHECK(claims.aud_named == rows[i].named, "row %zu", i);
  }
}

static void counts(void **state) {
  (void)state;
  static char text[6000];
  for (int list = 0; list < 2; list++) {
    for (int count = 63; count <= 65; count++) {
      st_writer writer = st_writer_on(text, sizeof text);
      st_write_string(&writer, list ? "{" BASE ",\"permissions\":[],\"urls\":["
                                    : "{" BASE ",\"permissions\":[");
      for (int i = 0; i < count; i++) {
        st_write_string(&writer, i == 0 ? "\"" : ",\"");
        st_write_string(&writer, list ? "/p" : "p");
        st_write_int(&writer, i);
        st_write_char(&writer, '"');
      }
      st_write_string(&writer, "]}");
      subtoken_result got = read_payload((subtoken_text){text, writer.len}, NULL);
      CHECK(got == (count <= 64 ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "%d", count);
    }
  }
}

static void lengths(void **state) {
  (void)state;
  for (size_t len = 1; len <= 130; len++) {
    subtoken_text text = repeated("", 'a', len);
    CHECK(st_permission_valid(text) == (len <= 64), "%zu", len);
    CHECK(st_sub_valid(text) == (len <= 128), "%zu", len);
    release(text);
  }
  assert_false(st_permission_valid(ST_TEXT("")));
  assert_false(st_sub_valid(ST_TEXT("")));
  /* RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E, here without the comma. */
  for (int c = 0; c < 256; c++) {
    char one = (char)c;
    bool token = (c == 0x21 || (c >= 0x23 && c <= 0x5B) || (c >= 0x5D && c <= 0x7E)) && c != ',';
    CHECK(st_permission_valid((subtoken_text){&one, 1}) == token, "byte %d", c);
    bool name = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                                 c) != NULL;
    CHECK(st_sub_valid((subtoken_text){&one, 1}) == name, "byte %d", c);
  }
}

/* The payload's text, byte for byte: real clients read it. */
static void written(void **state) {
  (void)state;
  subtoken_claims made = grant_of("progression,account", "/v2/characters/My%20Cool,GET:/v2/a/*");
  made.iat = 1558397950;
  made.exp = 1577306096;
  char out[400];
  st_writer writer = st_writer_on(out, sizeof out);
  st_claims_write(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out,
                      "{\"sub\":\"parent\",\"iat\":1558397950,\"exp\":1577306096,"
                      "\"permissions\":[\"progression\",\"account\"],"
                      "\"urls\":[\"/v2/characters/My%20Cool\",\"GET:/v2/a/*\"]}");
  assert_int_equal(read_payload((subtoken_text){out, writer.len}, NULL), SUBTOKEN_OK);
  assert_int_equal(claims.permission_count, 2);
  assert_int_equal(claims.url_count, 2);

  made = grant_of("", NULL);
  made.iat = 0;
  made.exp = SUBTOKEN_TIME_MAX;
  writer = st_writer_on(out, sizeof out);
  st_claims_write(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out,
                      "{\"sub\":\"parent\",\"iat\":0,\"exp\":9007199254740991,\"permissions\":[]}");
}

static void adding(void **state) {
  (void)state;
  memset(&claims, 0, sizeof claims);
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    assert_true(st_claims_add_permission(&claims, ST_TEXT("p")));
    assert_true(st_claims_add_url(&claims, ST_TEXT("/u")));
  }
  assert_false(st_claims_add_permission(&claims, ST_TEXT("p")));
  assert_false(st_claims_add_url(&claims, ST_TEXT("/u")));
  assert_int_equal(claims.permission_count, 64);
  assert_int_equal(claims.url_count, 64);
  /* No room left in the text. */
  memset(&claims, 0, sizeof claims);
  subtoken_text all = repeated("/", 'a', sizeof claims.text - 1), big = repeated("/", 'a', 70000);
  assert_false(st_claims_add_url(&claims, big));
  assert_true(st_claims_add_url(&claims, all));
  assert_false(st_claims_add_permission(&claims, ST_TEXT("p")));
  assert_false(st_claims_set_sub(&claims, ST_TEXT("s")));
  assert_int_equal(claims.permission_count, 0);
  assert_true(st_claims_has_url(&claims, all));
  assert_false(st_claims_has_url(&claims, ST_TEXT("/")));
  assert_false(st_claims_has_permission(&claims, ST_TEXT("")));
  release(all);
  release(big);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepted),     cmocka_unit_test(refused),   cmocka_unit_test(nul_bytes),
      cmocka_unit_test(every_prefix), cmocka_unit_test(audiences), cmocka_unit_test(counts),
      cmocka_unit_test(lengths),      cmocka_unit_test(written),   cmocka_unit_test(adding),
  };
  return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
