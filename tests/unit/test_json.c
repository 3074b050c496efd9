#include "support.h"

#include "base/json.h"

static bool valid(const char *text, size_t len) {
  subtoken_text copy = exact(text, len);
  bool good = st_json_valid((char *)(uintptr_t)copy.data, len);
  release(copy);
  return good;
}

/* Reads one value and what is in it as a caller does who knows the types, one call after the other.
 * Each call says whether it has failed, and the reader says the same. */
static bool read_in_pieces(st_json *json);

static bool read_members(st_json *json, bool object) {
  subtoken_text name;
  while (object ? st_json_member(json, &name) : st_json_element(json)) {
    assert_false(json->failed);
    if (!read_in_pieces(json)) return false;
  }
  return !json->failed;
}

static bool read_in_pieces(st_json *json) {
  subtoken_text value;
  bool flag, done;
  char type = st_json_peek(json);
  if (type == '{' || type == '[') {
    done = type == '{' ? st_json_object(json) : st_json_array(json);
    assert_true(done != json->failed);
    return done && read_members(json, type == '{');
  }
  done = type == '"'                  ? st_json_string(json, &value)
         : type == 't' || type == 'f' ? st_json_bool(json, &flag)
                                      : st_json_skip(json);
  assert_true(done != json->failed);
  return done;
}

static bool valid_in_pieces(const char *text, size_t len) {
  subtoken_text copy = exact(text, len);
  st_json json;
  st_json_start(&json, (char *)(uintptr_t)copy.data, len);
  bool good = read_in_pieces(&json) && st_json_end(&json);
  if (json.failed) assert_false(st_json_end(&json));
  release(copy);
  return good;
}

static void strict_json_is_read(void **state) {
  (void)state;
  static const char *const rows[] = {
      "{}",
      "[]",
      "\"\"",
      "0",
      "-0",
      "-1",
      "1.5",
      "1e5",
      "1E+5",
      "1e-5",
      "0.0",
      "0e0",
      "123456789012345678901234567890",
      "1e999",
      "true",
      "false",
      "null",
      " \t\r\n{ \"a\" : [ 1 , true , null ] , \"b\" : { } } \n",
      "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", /* 16 */
      "{\"a\":{\"a\":{\"a\":1}}}",        /* the same name in different objects */
      "[{\"a\":1},{\"a\":2}]",
      "[{},[1],{\"a\":[2,{}]},[[3],{\"b\":4},[5]]]",
      "[[{}],[[1]],{\"a\":{\"b\":[[]]},\"c\":[{}]}]",
      "{\"\":0}",
      "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
      "\"\\ud83d\\ude00\"",
      "\"\\uD83D\\uDE00\"",
      "\"\xF0\x9F\x98\x80\"",
      "\"\x7F\"",
      "\"\xEF\xBB\xBF\"",
      "{\"a\":1,\"A\":2}", /* names are told apart by case */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(valid(rows[i], strlen(rows[i])), "%s", rows[i]);
    CHECK(valid_in_pieces(rows[i], strlen(rows[i])), "%s", rows[i]);
  }
}

static void all_else_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t len; /* 0: the string's own */
  } rows[] = {
      {"", 0},
      {" ", 0},
      {"{", 0},
      {"[", 0},
      {"\"", 0},
      {"}", 0},
      {"]", 0},
      {"{]", 0},
      {"[}", 0},
      {"[1}", 0},
      {"{\"a\":1]", 0},
      {"{,}", 0},
      {"[,]", 0},
      {"[1,]", 0},
      {"[,1]", 0},
      {"[1,,2]", 0},
      {"[1 2]", 0},
      {"{\"a\"}", 0},
      {"{\"a\":}", 0},
      {"{\"a\":1,}", 0},
      {"{\"a\":1 \"b\":2}", 0},
      {"{a:1}", 0},
      {"{'a':1}", 0},
      {"{1:1}", 0},
      {"{null:1}", 0},
      {"{\"a\"=1}", 0},
      {"{} {}", 0},
      {"{}x", 0},
      {"{}\0", 3},
      {"{}\0{}", 5},
      {"\0{}", 3},
      {"1 2", 0},
      {"01", 0},
      {"00", 0},
      {"-01", 0},
      {"-", 0},
      {"+1", 0},
      {".5", 0},
      {"1.", 0},
      {"1.e5", 0},
      {"1e", 0},
      {"1e+", 0},
      {"0x10", 0},
      {"1_000", 0},
      {"1a", 0},
      {"NaN", 0},
      {"Infinity", 0},
      {"-Infinity", 0},
      {"tru", 0},
      {"True", 0},
      {"truee", 0},
      {"nul", 0},
      {"undefined", 0},
      {"//c\n1", 0},
      {"/**/1", 0},
      {"\xEF\xBB\xBF{}", 0}, /* a byte order mark */
      {"\f1", 0},
      {"\v1", 0},
      {"\xC2\xA0"
       "1",
       0},
      {"\"a", 0},
      {"\"\\\"", 0},
      {"\"\\", 0},
      {"\"\\x41\"", 0},
      {"\"\\a\"", 0},
      {"\"\\'\"", 0},
      {"\"\\U0041\"", 0},
      {"\"\\u\"", 0},
      {"\"\\u004\"", 0},
      {"\"\\u00g0\"", 0},
      {"\"\\u 041\"", 0},
      {"\"\\u41g0\"", 0},
      {"\"\\u0041\\\0\"", 10}, /* a backslash before a NUL */
      {"\"\\u+041\"", 0},
      {"\"\\u004", 0},
      {"\"\\u0041", 0},
      {"\"\\ud800\\udc0", 0},
      {"\"\\u0000\"", 0}, /* NUL in each spelling */
      {"\"a\0b\"", 5},
      {"\"\xC0\x80\"", 0},
      {"{\"\\u0000\":1}", 0},
      {"\"\\ud800\"", 0}, /* half a pair */
      {"\"\\udc00\"", 0},
      {"\"\\ud800x\"", 0},
      {"\"\\ud800\\n\"", 0},
      {"\"\\ud800\\u0041\"", 0},
      {"\"\\ud800\\ud800\"", 0},
      {"\"\\udc00\\ud800\"", 0},
      {"\"\\ud800\\ue000\"", 0},
      {"\"\\ud800\\udbff\"", 0},
      {"\"\\udbff\\ue000\"", 0},
      {"\"\\udfff\"", 0},
      {"\"\\ud800xudc00\"", 0},
      {"\"\\ud800\\xdc00\"", 0},
      {"\"\\ud800\\udc0g\"", 0},
      {"\"\\ud800\\u", 0}, /* the pair's second half is not there */
      {"\"\\ud800\\", 0},
      {"\"\\ud800\\udc00", 0},
      {"\"\\ud800\\udc0", 0},
      {"\"\\ud800", 0},
      {"\"\xED\xA0\x80\"", 0},
      {"\"\x80\"", 0}, /* no UTF-8 */
      {"\"\xFF\"", 0},
      {"\"\xC1\xBF\"", 0},
      {"\"\xE2\x82\"", 0},
      {"\"\xE2\x82", 0},
      {"\"\x01\"", 0}, /* controls in a string */
      {"\"\t\"", 0},
      {"\"\n\"", 0},
      {"\"\x1F\"", 0},
      {"{\"a\":1,\"a\":1}", 0}, /* a name twice, also when it is spelled otherwise */
      {"{\"a\":1,\"b\":2,\"a\":1}", 0},
      {"{\"a\":1,\"\\u0061\":1}", 0},
      {"{\"\":1,\"\":1}", 0},
      {"{\"x\":{\"a\":1,\"a\":1}}", 0},
      {"[[{\"a\":1,\"a\":1}]]", 0},
      {"{\"a\":{\"b\":1},\"a\":{\"b\":1}}", 0},
      {"{\"a\":[{\"q\":1},{\"q\":1}],\"a\":2}", 0},
      {"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", 0}, /* 17 */
      {"[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]", 0},
      {"[[[[[[[[[[[[[[[[{", 0},
      {"[tru]", 0}, /* in an array, where another value may follow */
      {"[nulx]", 0},
      {"[trux]", 0},
      {"[falsx]", 0},
      {"[1.]", 0},
      {"[-]", 0},
      {"[1e]", 0},
      {"[01]", 0},
      {"[09]", 0},
      {"[x]", 0},
      {"[\"\\x\"]", 0},
      {"[\"\x01\"]", 0},
      {"{\"a\":1;\"b\":2}", 0},
      {"{\"a\\x\":1}", 0},
      {"{\"a\";1}", 0},
      {"{x\":1}", 0},
      {"[1;2]", 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = rows[i].len > 0 ? rows[i].len : strlen(rows[i].text);
    CHECK(!valid(rows[i].text, len), "row %zu: %s", i, rows[i].text);
    CHECK(!valid_in_pieces(rows[i].text, len), "row %zu: %s", i, rows[i].text);
  }
}

/* No prefix of a good object is good, and none is read past its end. */
static void each_prefix_is_refused(void **state) {
  (void)state;
  static const char text[] =
      "{\"a\":[1,-2.5e+7,\"x\\u00e9\\ud83d\\ude00\\n\",true,false,null,{\"b\":{}}],\"c\":"
      "\"\xC3\xA9\"}";
  for (size_t len = 0; len < sizeof text - 1; len++) CHECK(!valid(text, len), "%zu", len);
  assert_true(valid(text, sizeof text - 1));
}

static void sixteen_levels_are_read(void **state) {
  (void)state;
  for (int depth = 1; depth <= 40; depth++) {
    char text[400];
    st_writer writer = st_writer_on(text, sizeof text);
    for (int i = 0; i < depth; i++) st_write_literal(&writer, i % 2 ? "[" : "{\"a\":");
    st_write_char(&writer, '1');
    for (int i = depth; i-- > 0;) st_write_char(&writer, i % 2 ? ']' : '}');
    CHECK(valid(text, writer.len) == (depth <= ST_JSON_DEPTH_MAX), "depth %d", depth);
  }
}

static void as_many_names_as_fit_are_compared(void **state) {
  (void)state;
  for (size_t count = ST_JSON_NAMES_MAX - 1; count <= ST_JSON_NAMES_MAX + 1; count++) {
    static char text[32 * (ST_JSON_NAMES_MAX + 2)];
    st_writer writer = st_writer_on(text, sizeof text);
    for (size_t i = 0; i < count; i++) {
      st_write_literal(&writer, i == 0 ? "{\"n" : ",\"n");
      st_write_int(&writer, (int64_t)i);
      st_write_literal(&writer, "\":0");
    }
    st_write_char(&writer, '}');
    CHECK(valid(text, writer.len) == (count <= ST_JSON_NAMES_MAX), "%zu names", count);
  }
  /* Names of objects that were left make room again. */
  static char text[8 * 5000];
  st_writer writer = st_writer_on(text, sizeof text);
  for (size_t i = 0; i < 4000; i++) st_write_literal(&writer, i == 0 ? "[{\"a\":0}" : ",{\"a\":0}");
  st_write_char(&writer, ']');
  assert_false(writer.overflow);
  assert_true(valid(text, writer.len));
}

static void strings_are_unescaped_in_place(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *want;
    size_t len;
  } rows[] = {
      {"\"\"", "", 0},
      {"\"plain\"", "plain", 5},
      {"\"\\\"\\\\\\/\"", "\"\\/", 3},
      {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t", 5},
      {"\"\\u0041\\u00e9\\u20AC\"", "A\xC3\xA9\xE2\x82\xAC", 6},
      {"\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80", 4},
      {"\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
       "\x01\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 12},
      {"\"\\ud800\\udc00\\udbff\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", 8},
      {"\"\\ud800\\udfff\\udbff\\udc00\"", "\xF0\x90\x8F\xBF\xF4\x8F\xB0\x80", 8},
      {"\"\\ud7ff\\ue000\"", "\xED\x9F\xBF\xEE\x80\x80", 6},
      {"\"a\\u0062c\xC3\xA9\\n.\"", "abc\xC3\xA9\n.", 7},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text copy = exact_string(rows[i].text), value;
    st_json json;
    st_json_start(&json, (char *)(uintptr_t)copy.data, copy.len);
    CHECK(st_json_string(&json, &value) && st_json_end(&json), "row %zu", i);
    CHECK(st_text_equal(value, (subtoken_text){rows[i].want, rows[i].len}), "row %zu", i);
    release(copy);
  }
}

static void unsigned_integers_are_read_up_to_2_53(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t value; /* -1: refused */
  } rows[] = {
      {"0", 0},
      {"1", 1},
      {" 7 ", 7},
      {"1700000000", 1700000000},
      {"9007199254740991", SUBTOKEN_TIME_MAX},
      {"9007199254740992", -1},
      {"9223372036854775807", -1},
      {"9223372036854775808", -1},
      {"18446744073709551616", -1},
      {"18446744073709551617", -1},
      {"999999999999999999999999999999999999999", -1},
      {"-0", -1},
      {"-1", -1},
      {"1.0", -1},
      {"1e0", -1},
      {"1E3", -1},
      {"01", -1},
      {"+1", -1},
      {"0x1", -1},
      {"1x", -1},
      {"\"1\"", -1},
      {"true", -1},
      {"null", -1},
      {"[1]", -1},
      {"{}", -1},
      {"", -1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text copy = exact_string(rows[i].text);
    st_json json;
    int64_t value = -7;
    st_json_start(&json, (char *)(uintptr_t)copy.data, copy.len);
    bool good = st_json_uint(&json, &value) && st_json_end(&json);
    CHECK(good == (rows[i].value >= 0), "row %zu: %s", i, rows[i].text);
    if (good) CHECK(value == rows[i].value, "row %zu: %s", i, rows[i].text);
    release(copy);
  }
}

/* JSON of another type than the caller wants is told apart from what is no JSON. */
static void another_type_is_told_from_bad_json(void **state) {
  (void)state;
  static const struct {
    const char *text;
    char want;
    bool wrong_type;
  } rows[] = {
      {"1", '"', true},     {"null", '0', true}, {"{}", '[', true},  {"[]", '{', true},
      {"\"x\"", 't', true}, {"1.5", '0', true},  {"-1", '0', true},  {"x", '"', false},
      {"", '"', false},     {"01", '0', false},  {"\"", '"', false}, {"1.", '0', false},
      {"]", '[', false},    {"'a'", '"', false}, {"00", '0', false}, {"09", '0', false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text copy = exact_string(rows[i].text), text;
    st_json json;
    int64_t number;
    bool flag;
    st_json_start(&json, (char *)(uintptr_t)copy.data, copy.len);
    bool good = rows[i].want == '"'   ? st_json_string(&json, &text)
                : rows[i].want == '0' ? st_json_uint(&json, &number)
                : rows[i].want == 't' ? st_json_bool(&json, &flag)
                : rows[i].want == '{' ? st_json_object(&json)
                                      : st_json_array(&json);
    CHECK(!good && json.failed, "row %zu", i);
    CHECK(json.wrong_type == rows[i].wrong_type, "row %zu", i);
    /* A failure sticks. */
    assert_false(st_json_string(&json, &text) || st_json_uint(&json, &number) ||
                 st_json_bool(&json, &flag) || st_json_object(&json) || st_json_array(&json) ||
                 st_json_skip(&json) || st_json_element(&json) || st_json_member(&json, &text));
    assert_false(st_json_end(&json));
    assert_int_equal(st_json_peek(&json), 0);
    CHECK(json.wrong_type == rows[i].wrong_type, "row %zu", i);
    release(copy);
  }
}

static void a_position_has_line_and_column(void **state) {
  (void)state;
  size_t line, column;
  st_json_position("ab\ncd\n\nx", 0, &line, &column);
  assert_int_equal(line * 100 + column, 101);
  st_json_position("\nb", 1, &line, &column);
  assert_int_equal(line * 100 + column, 201);
  st_json_position("ab\ncd\n\nx", 4, &line, &column);
  assert_int_equal(line * 100 + column, 202);
  st_json_position("ab\ncd\n\nx", 7, &line, &column);
  assert_int_equal(line * 100 + column, 401);
  /* After a name that stands twice, reading stands at the second. */
  char text[] = "{\"a\":1,\n \"a\":2}";
  st_json json;
  st_json_start(&json, text, sizeof text - 1);
  assert_false(st_json_skip(&json));
  st_json_position(text, json.at, &line, &column);
  assert_int_equal(line * 100 + column, 202);
}

/* What is written is read back as it was, and is plain where it can be. */
static void strings_are_written_escaped(void **state) {
  (void)state;
  char out[64];
  st_writer writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, ST_TEXT("a\"\\/\x01\x1F\x7F\n\xC3\xA9"));
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "\"a\\\"\\\\/\\u0001\\u001f\\u007f\\u000a\xC3\xA9\"");
  writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, ST_TEXT("\xC2\x80\xC2\x9F\xC2\xA0"));
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "\"\\u0080\\u009f\xC2\xA0\"");
  writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, ST_TEXT("\xC3\x80z\xE2\x82\xAC\xC2\xA0\n"));
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "\"\xC3\x80z\xE2\x82\xAC\xC2\xA0\\u000a\"");
  writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, ST_TEXT("a\xFF\xC3"));
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
  writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, ST_TEXT("\xED\xA0\x80z\xF0\x9F\x98\x80"));
  assert_true(!writer.overflow && st_json_valid(out, writer.len));
  /* Cut in a character, whose rest stands behind the text. */
  writer = st_writer_on(out, sizeof out);
  st_json_write_string(&writer, (subtoken_text){"ab\xC3\xA9", 3});
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "\"ab\xEF\xBF\xBD\"");
  for (int c = 1; c < 0x80; c++) {
    char one = (char)c;
    subtoken_text back;
    st_json json;
    writer = st_writer_on(out, sizeof out);
    st_json_write_string(&writer, (subtoken_text){&one, 1});
    st_json_start(&json, out, writer.len);
    assert_true(st_json_string(&json, &back) && st_json_end(&json));
    assert_true(back.len == 1 && back.data[0] == one);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strict_json_is_read),
      cmocka_unit_test(all_else_is_refused),
      cmocka_unit_test(each_prefix_is_refused),
      cmocka_unit_test(sixteen_levels_are_read),
      cmocka_unit_test(as_many_names_as_fit_are_compared),
      cmocka_unit_test(strings_are_unescaped_in_place),
      cmocka_unit_test(unsigned_integers_are_read_up_to_2_53),
      cmocka_unit_test(another_type_is_told_from_bad_json),
      cmocka_unit_test(a_position_has_line_and_column),
      cmocka_unit_test(strings_are_written_escaped),
  };
  return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
