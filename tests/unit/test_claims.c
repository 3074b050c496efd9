/* Claims as they are read and written. What a caller builds is in test_claims_build.c.
 */
#include "support.h"

static subtoken_claims claims;

static subtoken_result read_payload(subtoken_text payload) {
  memset(&claims, 0, sizeof claims);
  if (payload.len > sizeof claims.text) abort();
  memcpy(claims.text, payload.data, payload.len);
  claims.text_len = (uint16_t)payload.len;
  return st_claims_read(0, &claims, NULL);
}

#define BASE "\"sub\":\"s\",\"iat\":1,\"exp\":2"
#define LISTS ",\"permissions\":[\"a\",\"b\"]"

static void claims_of_any_strict_json_are_read(void **state) {
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
      {"{" BASE LISTS ",\"urls\":[\"/a\"],\"sid\":\"A-z_09\"}", 0, 2, 1, false},
      {"{\"sid\":\"x\"," BASE LISTS "}", 0, 2, 0, true},
      {"{\"sub\":\"s\",\"iat\":0,\"exp\":9007199254740991,\"permissions\":[]}", 0, 0, 0, true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result got = read_payload(st_text(rows[i].payload));
    CHECK(got == SUBTOKEN_OK, "%s: %s", rows[i].payload, subtoken_result_name(got));
    CHECK(st_text_is(subtoken_claims_text(&claims, claims.sub), "s"), "row %zu", i);
    CHECK(claims.nbf == rows[i].nbf && claims.permission_count == rows[i].permissions &&
              claims.url_count == rows[i].urls && claims.every_url == rows[i].every_url &&
              !claims.aud_named,
          "row %zu", i);
  }
}

static void bad_claims_are_refused(void **state) {
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
      /* sid: not needed, but good when it is there */
      {"{" BASE LISTS ",\"sid\":\"\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":1}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":null}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":[\"a\"]}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":{}}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":\"a b\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":\"a.b\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":\"a\\n\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":\"\xC3\xA9\"}", SUBTOKEN_CLAIMS},
      {"{" BASE LISTS ",\"sid\":\"a\",\"sid\":\"a\"}", SUBTOKEN_MALFORMED},
      {"{" BASE LISTS ",\"sid\":\"a\"", SUBTOKEN_MALFORMED},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result got = read_payload(st_text(rows[i].payload));
    CHECK(got == rows[i].want, "%s: %s", rows[i].payload, subtoken_result_name(got));
  }
}

/* Where it stands does not matter, what it is does; and its name is what is at fault. */
static void a_sid_is_kept_or_is_at_fault(void **state) {
  (void)state;
  static const struct {
    const char *payload, *sid; /* NULL: refused */
  } rows[] = {
      {"{" BASE LISTS "}", ""},
      {"{" BASE LISTS ",\"SID\":\"x y\",\"x\":{\"sid\":1}}", ""},
      {"{" BASE LISTS ",\"sid\":\"A-z_09\"}", "A-z_09"},
      {"{" BASE LISTS ",\"urls\":[\"/a\"],\"sid\":\"0\"}", "0"},
      {"{\"sid\":\"first\"," BASE LISTS "}", "first"},
      {"{" BASE LISTS ",\"sid\":\"a\",\"iss\":\"b\"}", "a"},
      {"{" BASE LISTS ",\"s\\u0069d\":\"\\u0061b\"}", "ab"},
      {"{" BASE LISTS ",\"sid\":\"\"}", NULL},
      {"{" BASE LISTS ",\"sid\":false}", NULL},
      {"{" BASE LISTS ",\"sid\":\"a/b\"}", NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text fault = {NULL, 0};
    memset(&claims, 0, sizeof claims);
    claims.text_len = (uint16_t)strlen(rows[i].payload);
    memcpy(claims.text, rows[i].payload, claims.text_len);
    subtoken_result got = st_claims_read(0, &claims, &fault);
    CHECK(got == (rows[i].sid != NULL ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "row %zu", i);
    subtoken_text sid = subtoken_claims_text(&claims, claims.sid);
    if (rows[i].sid != NULL) CHECK(st_text_is(sid, rows[i].sid), "row %zu", i);
    if (rows[i].sid == NULL) CHECK(st_text_is(fault, "sid"), "row %zu", i);
  }
  for (size_t len = 62; len <= 66; len++) {
    char payload[200];
    subtoken_text text = repeated("", 'a', len);
    snprintf(payload, sizeof payload, "{" BASE LISTS ",\"sid\":\"%.*s\"}", (int)len, text.data);
    CHECK(read_payload(st_text(payload)) == (len <= 64 ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "%zu",
          len);
    release(text);
  }
}

/* A NUL in the text itself, not in the string that this source can hold. */
static void a_nul_byte_is_refused_anywhere(void **state) {
  (void)state;
  static const char good[] = "{" BASE LISTS "}";
  for (size_t at = 0; at <= sizeof good - 1; at++) {
    char text[100];
    memcpy(text, good, at);
    text[at] = '\0';
    memcpy(text + at + 1, good + at, sizeof good - 1 - at);
    CHECK(read_payload((subtoken_text){text, sizeof good}) != SUBTOKEN_OK, "NUL at %zu", at);
  }
}

static void each_prefix_is_refused(void **state) {
  (void)state;
  static const char good[] =
      "{" BASE LISTS ",\"urls\":[\"/a\"],\"aud\":[\"x\"],\"iss\":\"y\",\"sid\":\"z\"}";
  for (size_t len = 0; len < sizeof good - 1; len++) {
    CHECK(read_payload((subtoken_text){good, len}) != SUBTOKEN_OK, "%zu", len);
  }
  assert_int_equal(read_payload(st_text(good)), SUBTOKEN_OK);
}

static void the_wanted_audience_is_found(void **state) {
  (void)state;
  static const struct {
    const char *aud;
    const char *want;
    bool named;
  } rows[] = {
      {"\"api\"", "api", true},           {"\"api\"", "ap", false},
      {"\"api\"", "API", false},          {"\"api\"", "", false},
      {"[\"x\",\"api\"]", "api", true},   {"[\"api\",\"x\"]", "api", true},
      {"[\"apis\"]", "api", false},       {"[]", "api", false},
      {"\"\\u0061pi\"", "api", true},     {"\"\"", "", true},
      {"\"api,x\"", "api", false},        {"[ \"\\n\" , \"api\" ]", "api", true},
      {"[\"\",\"\",\"api\"]", "", true},  {"[\"a\",\"pi\"]", "api", false},
      {"[\"\\u00e9\",\"z\"]", "z", true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char payload[200];
    snprintf(payload, sizeof payload, "{" BASE LISTS ",\"aud\":%s}", rows[i].aud);
    assert_int_equal(read_payload(st_text(payload)), SUBTOKEN_OK);
    CHECK(st_claims_has_audience(&claims, st_text(rows[i].want)) == rows[i].named, "row %zu", i);
    CHECK(!claims.aud_named, "row %zu", i); /* that is for the verifier to say */
  }
}

static void lists_have_64_entries_at_most(void **state) {
  (void)state;
  static char text[6000];
  for (int list = 0; list < 2; list++) {
    for (int count = 63; count <= 65; count++) {
      st_writer writer = st_writer_on(text, sizeof text);
      st_write_literal(&writer, list ? "{" BASE ",\"permissions\":[],\"urls\":["
                                     : "{" BASE ",\"permissions\":[");
      for (int i = 0; i < count; i++) {
        st_write_literal(&writer, i == 0 ? "\"" : ",\"");
        st_write_literal(&writer, list ? "/p" : "p");
        st_write_int(&writer, i);
        st_write_char(&writer, '"');
      }
      st_write_literal(&writer, "]}");
      subtoken_result got = read_payload((subtoken_text){text, writer.len});
      CHECK(got == (count <= 64 ? SUBTOKEN_OK : SUBTOKEN_CLAIMS), "%d", count);
    }
  }
}

static void names_have_their_limits(void **state) {
  (void)state;
  for (size_t len = 1; len <= 130; len++) {
    subtoken_text text = repeated("", 'a', len);
    CHECK(subtoken_permission_valid(text) == (len <= 64), "%zu", len);
    CHECK(subtoken_sub_valid(text) == (len <= 128), "%zu", len);
    CHECK(st_claims_sid_valid(text) == (len <= 64), "%zu", len);
    release(text);
  }
  assert_false(subtoken_permission_valid(ST_TEXT("")));
  assert_false(subtoken_sub_valid(ST_TEXT("")));
  assert_false(st_claims_sid_valid(ST_TEXT("")));
  /* RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E, here without the comma. */
  for (int c = 0; c < 256; c++) {
    char one = (char)c;
    bool token = (c == 0x21 || (c >= 0x23 && c <= 0x5B) || (c >= 0x5D && c <= 0x7E)) && c != ',';
    CHECK(subtoken_permission_valid((subtoken_text){&one, 1}) == token, "byte %d", c);
    bool name = c != 0 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                                 c) != NULL;
    CHECK(subtoken_sub_valid((subtoken_text){&one, 1}) == name, "byte %d", c);
    CHECK(st_claims_sid_valid((subtoken_text){&one, 1}) == name, "byte %d", c);
  }
}

/* The payload's text, byte for byte: real clients read it. */
static void claims_are_written_byte_for_byte(void **state) {
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
  assert_int_equal(read_payload((subtoken_text){out, writer.len}), SUBTOKEN_OK);
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

  /* The sid is the last, with urls and without. */
  assert_true(st_claims_set_sid(&made, ST_TEXT("L-1_a")));
  writer = st_writer_on(out, sizeof out);
  st_claims_write(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out,
                      "{\"sub\":\"parent\",\"iat\":0,\"exp\":9007199254740991,"
                      "\"permissions\":[],\"sid\":\"L-1_a\"}");
  made.every_url = false;
  assert_true(st_claims_add_url(&made, ST_TEXT("/a")));
  writer = st_writer_on(out, sizeof out);
  st_claims_write(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out,
                      "{\"sub\":\"parent\",\"iat\":0,\"exp\":9007199254740991,"
                      "\"permissions\":[],\"urls\":[\"/a\"],\"sid\":\"L-1_a\"}");
  for (size_t room = 0; room < strlen(out); room++) {
    char *small = malloc(room);
    writer = st_writer_on(small, room);
    st_claims_write(&writer, &made);
    CHECK(writer.overflow, "room for %zu", room);
    free(small);
  }
}

static void full_claims_take_no_more(void **state) {
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
  assert_false(st_claims_set_sid(&claims, ST_TEXT("s")));
  assert_int_equal(claims.sid.len, 0);
  assert_int_equal(claims.permission_count, 0);
  assert_true(st_claims_has_url(&claims, all));
  assert_false(st_claims_has_url(&claims, ST_TEXT("/")));
  assert_false(st_claims_has_permission(&claims, ST_TEXT("")));
  release(all);
  release(big);
}

/* The first that is lacking, in the order of the needs; none are always met. */
static void needs_name_the_first_that_is_lacking(void **state) {
  (void)state;
  static const struct {
    const char *needs[3];
    size_t count;
    const char *lacking; /* NULL: none */
  } rows[] = {
      {{0}, 0, NULL},
      {{"a"}, 1, NULL},
      {{"b", "a", "a"}, 3, NULL},
      {{"c"}, 1, "c"},
      {{"a", "d", "c"}, 3, "d"},
      {{"A"}, 1, "A"},
      {{"aa"}, 1, "aa"},
      {{""}, 1, ""},
  };
  assert_int_equal(read_payload(ST_TEXT("{" BASE LISTS "}")), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text needs[3], lacking = ST_TEXT("?");
    subtoken_result want = rows[i].lacking == NULL ? SUBTOKEN_OK : SUBTOKEN_PERM;
    for (size_t n = 0; n < rows[i].count; n++) {
      needs[n] = st_text(rows[i].needs[n]);
      bool has = st_text_is(needs[n], "a") || st_text_is(needs[n], "b");
      CHECK(subtoken_claims_has_permission(&claims, needs[n]) == has, "row %zu", i);
    }
    CHECK(subtoken_claims_check_needs(&claims, needs, rows[i].count, NULL) == want, "row %zu", i);
    CHECK(subtoken_claims_check_needs(&claims, needs, rows[i].count, &lacking) == want, "row %zu",
          i);
    CHECK(want == SUBTOKEN_OK ? lacking.data == NULL : st_text_is(lacking, rows[i].lacking),
          "row %zu", i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(claims_of_any_strict_json_are_read),
      cmocka_unit_test(bad_claims_are_refused),
      cmocka_unit_test(a_nul_byte_is_refused_anywhere),
      cmocka_unit_test(each_prefix_is_refused),
      cmocka_unit_test(the_wanted_audience_is_found),
      cmocka_unit_test(lists_have_64_entries_at_most),
      cmocka_unit_test(names_have_their_limits),
      cmocka_unit_test(claims_are_written_byte_for_byte),
      cmocka_unit_test(full_claims_take_no_more),
      cmocka_unit_test(a_sid_is_kept_or_is_at_fault),
      cmocka_unit_test(needs_name_the_first_that_is_lacking),
  };
  return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
