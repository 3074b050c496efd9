/* params: query, form body and JSON body to one request, and every way to be refused. */
#include "support.h"

#include <cJSON.h>

#include "service/form.h"
#include "service/params.h"

#define NONE ((subtoken_text){"", 0})

/* Each text in a block of its own size; the params hold no view into them but the
 * decoded copies, which the sanitizer would show. */
static bool read_all(st_params *params, const char *query, st_body_kind kind, const char *body) {
  subtoken_text query_text = exact_string(query), body_text = exact_string(body);
  bool good = st_params_read(params, query_text, kind, body_text);
  release(query_text);
  release(body_text);
  return good;
}

static bool in_query(st_params *params, const char *query) {
  return read_all(params, query, ST_BODY_NONE, "");
}

static bool in_form(st_params *params, const char *body) {
  return read_all(params, "", ST_BODY_FORM, body);
}

static bool in_json(st_params *params, const char *body) {
  return read_all(params, "", ST_BODY_JSON, body);
}

static void check_list(const subtoken_text *list, size_t count, const char *const *expected) {
  size_t i = 0;
  for (; i < count && expected[i] != NULL; i++) {
    CHECK(st_text_is(list[i], expected[i]), "item %zu is not %s", i, expected[i]);
  }
  CHECK(i == count && expected[i] == NULL, "%zu items", count);
}

/* ---- pairs ---- */

static void pairs_are_decoded(void **state) {
  (void)state;
  static const struct {
    const char *name, *value;
    bool bad;
  } expected[] = {
      {"a", "1", false},   {"b c", "d e", false}, {"e=f", "g=h", false}, {"empty", "", false},
      {"bare", "", false}, {"", "noname", false}, {"bad", "%zz", true},  {"bad", "%4", true},
      {"bad", "%", true},  {"%g", "x", true},     {"last", "A", false},
  };
  subtoken_text raw = exact_string(
      "&&a=1&b+c=d%20e&e%3Df=g=h&empty=&bare&=noname&bad=%zz&bad=%4&bad=%&%g=x&&last=%41&");
  char *out = malloc(raw.len);
  st_cutter cutter = {raw, false};
  st_writer writer = st_writer_on(out, raw.len);
  st_pair pair;
  size_t i = 0;
  for (; st_form_next_pair(&cutter, &writer, &pair); i++) {
    CHECK(i < COUNT(expected) && st_text_is(pair.name, expected[i].name) &&
              st_text_is(pair.value, expected[i].value) && pair.bad_escape == expected[i].bad,
          "pair %zu: `%.*s` is `%.*s`", i, (int)pair.name.len, pair.name.data, (int)pair.value.len,
          pair.value.data);
  }
  assert_int_equal(i, COUNT(expected));
  assert_false(writer.overflow);
  free(out);
  release(raw);
}

/* ---- one request, three spellings ---- */

static void check_full(const st_params *params) {
  const char *const permissions[] = {"account", "progression", NULL};
  const char *const urls[] = {"/v2/tokeninfo", "/v2/characters/My%20Cool%20Character", NULL};
  assert_true(params->request.has_expire);
  assert_true(params->request.has_urls);
  assert_true(params->request.expire == INT64_C(1700000000));
  assert_ptr_equal(params->request.permissions, params->permissions);
  assert_ptr_equal(params->request.urls, params->urls);
  check_list(params->permissions, params->request.permission_count, permissions);
  check_list(params->urls, params->request.url_count, urls);
  assert_string_equal(params->error, "");
}

static void query_form_and_json_read_alike(void **state) {
  (void)state;
  static st_params params;
  static const char pairs[] =
      "expire=2023-11-14T22:13:20Z&permissions=account,progression"
      "&urls=/v2/tokeninfo,/v2/characters/My+Cool%20Character&v=2022-03-23";
  assert_true(in_query(&params, pairs));
  check_full(&params);
  assert_true(in_form(&params, pairs));
  check_full(&params);
  assert_true(in_json(&params,
                      " {\"expire\":\"2023-11-14T22:13:20Z\",\"other\":[{\"urls\":1}],"
                      "\"permissions\":[\"account\",\"progression\"],"
                      "\"urls\":[\"/v2/tokeninfo\",\"/v2/characters/My Cool Character\"]}\n"));
  check_full(&params);
  /* Spread over both: nothing of one is lost. */
  assert_true(read_all(&params, "expire=2023-11-14T22:13:20Z", ST_BODY_FORM,
                       "permissions=account%2Cprogression&"
                       "urls=%2Fv2%2Ftokeninfo%2C%2Fv2%2Fcharacters%2FMy%20Cool+Character"));
  check_full(&params);
}

static void nothing_asked_is_nothing_set(void **state) {
  (void)state;
  static st_params params;
  static const struct {
    const char *text;
    bool form; /* it is one, too */
  } empty[] = {{"", true},
               {"permissions=&urls=", true},
               {"permissions&urls", true},
               {"other=%zz&permissions=&x[]=1", true},
               {"&", false},
               {"Expire=x", false},
               {"urls%20=x", false},
               {"other=%zz", false},
               {"x[]=urls[]", false}};
  for (size_t i = 0; i < COUNT(empty); i++) {
    memset(&params, 0x5A, sizeof params);
    CHECK(in_query(&params, empty[i].text), "%s: %s", empty[i].text, params.error);
    assert_false(params.request.has_expire);
    assert_false(params.request.has_urls);
    assert_int_equal(params.request.permission_count, 0);
    assert_int_equal(params.request.url_count, 0);
    CHECK(in_form(&params, empty[i].text) == empty[i].form, "%s: %s", empty[i].text, params.error);
  }
  assert_true(in_json(&params, "{}"));
  assert_false(params.request.has_urls);
  assert_true(in_json(&params, "{\"permissions\":[]}"));
  assert_int_equal(params.request.permission_count, 0);
  /* D14: null is as if it were missing, beside the same name in the query, too. */
  assert_true(in_json(&params, "{\"permissions\":null,\"urls\":null,\"expire\":null}"));
  assert_false(params.request.has_urls || params.request.has_expire);
  assert_true(read_all(&params, "urls=/a", ST_BODY_JSON, "{\"urls\":null}"));
  assert_int_equal(params.request.url_count, 1);
  assert_false(in_json(&params, "{\"urls\":null,\"urls\":[\"/a\"]}"));
}

/* D3: spaces and tabs around items are no part of them, however they are escaped. */
static void blanks_around_items_are_cut_off(void **state) {
  (void)state;
  static st_params params;
  static const char *const pairs[] = {
      "permissions=account,+inventories&urls=/a,+/b",
      "permissions=+account+,%09inventories%20&urls=%20/a%09,/b+",
      "permissions=account%2C%20inventories&urls=%2Fa%2C%20%2Fb",
  };
  static const char *const permissions[] = {"account", "inventories", NULL};
  static const char *const urls[] = {"/a", "/b", NULL};
  for (size_t i = 0; i < COUNT(pairs); i++) {
    CHECK(in_query(&params, pairs[i]), "%s: %s", pairs[i], params.error);
    check_list(params.permissions, params.request.permission_count, permissions);
    check_list(params.urls, params.request.url_count, urls);
    CHECK(in_form(&params, pairs[i]), "%s: %s", pairs[i], params.error);
    check_list(params.permissions, params.request.permission_count, permissions);
    check_list(params.urls, params.request.url_count, urls);
  }
  /* Within an item they are, and an item of a JSON list is as it is. */
  static const char *const within[] = {"a b", "c", NULL}, *const path[] = {"/a%20b", NULL};
  assert_true(in_query(&params, "permissions=a+b,c&urls=/a+b"));
  check_list(params.permissions, params.request.permission_count, within);
  check_list(params.urls, params.request.url_count, path);
  static const char *const as_is[] = {" a", NULL}, *const whole[] = {"/a,%20/b", NULL};
  assert_true(in_json(&params, "{\"permissions\":[\" a\"],\"urls\":[\"/a, /b\"]}"));
  check_list(params.permissions, params.request.permission_count, as_is);
  check_list(params.urls, params.request.url_count, whole);
  /* Two empty items, which are no permissions. */
  assert_true(in_query(&params, "permissions=,+"));
  assert_int_equal(params.request.permission_count, 2);
}

/* Text that was read before leaves nothing behind. */
static void an_audience_is_one_name(void **state) {
  (void)state;
  static st_params params;
  static const char *const good[] = {"eu", "a", "A-b_9", "----------------",
                                     "abcdefghijklmnopqrstuvwxyz012345"};
  static const char *const bad[] = {
      "", "abcdefghijklmnopqrstuvwxyz0123456", "a.b", "a b", "a,b", "\xC3\xA9"};
  char text[200];
  for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
    bool fine = i < COUNT(good);
    const char *audience = fine ? good[i] : bad[i - COUNT(good)];
    static bool (*const readers[])(st_params *, const char *) = {in_query, in_form, in_json};
    for (size_t j = 0; j < COUNT(readers); j++) {
      bool json = readers[j] == in_json;
      snprintf(text, sizeof text, "%s%s%s", json ? "{\"audience\":\"" : "audience=", audience,
               json ? "\"}" : "");
      bool read = readers[j](&params, text);
      CHECK(read == fine, "%s: %s", text, params.error);
      if (!fine) {
        assert_string_equal(params.error, "audience: must be 1 to 32 characters A-Za-z0-9_-");
      } else {
        CHECK(st_text_is(params.request.audience, audience), "%s", text);
      }
    }
  }
  assert_true(in_query(&params, "permissions=a"));
  assert_null(params.request.audience.data);
  assert_true(in_json(&params, "{\"audience\":null}"));
  assert_null(params.request.audience.data);
  assert_false(in_json(&params, "{\"audience\":[\"eu\"]}"));
  assert_string_equal(params.error, "audience: must be a string");
  assert_false(in_query(&params, "audience=eu&audience=eu"));
  assert_string_equal(params.error, "audience: given more than once");
  assert_false(in_query(&params, "audience[]=eu"));
  assert_true(in_query(&params, "audience=%65u"));
  assert_true(st_text_is(params.request.audience, "eu"));
}

static void a_second_reading_starts_empty(void **state) {
  (void)state;
  static st_params params;
  assert_true(in_query(&params, "expire=2023-11-14T22:13:20Z&permissions=a,b&urls=/a"));
  assert_false(in_query(&params, "urls=/a&urls=/b"));
  assert_true(in_query(&params, "permissions=c"));
  assert_false(params.request.has_expire);
  assert_false(params.request.has_urls);
  assert_int_equal(params.request.permission_count, 1);
  assert_string_equal(params.error, "");
}

/* ---- expire ---- */

static void each_form_of_expire_is_read(void **state) {
  (void)state;
  static st_params params;
  static const struct {
    const char *query;
    int64_t seconds;
  } good[] = {
      {"expire=2027-11-22T00%3A41%3A48.592223424%2B00%3A00", INT64_C(1826844108)},
      {"expire=2030-01-01T12:34:56+02:00", INT64_C(1893494096)},
      {"expire=2030-01-01T12:34:56%2B02:00", INT64_C(1893494096)},
      {"expire=2030-01-01+12:34:56+02:00", INT64_C(1893494096)},
      {"expire=2030-01-01T10:34:56", INT64_C(1893494096)},
      {"expire=2030-01-01T09:34:56-01:00", INT64_C(1893494096)},
      {"expire=1969-12-31T23:59:59Z", INT64_C(-1)}, /* read; narrowing refuses the past */
  };
  for (size_t i = 0; i < COUNT(good); i++) {
    CHECK(in_query(&params, good[i].query) && params.request.has_expire &&
              params.request.expire == good[i].seconds,
          "%s: %lld, not %lld %s", good[i].query, (long long)params.request.expire,
          (long long)good[i].seconds, params.error);
    CHECK(in_form(&params, good[i].query) && params.request.expire == good[i].seconds,
          "%s as a form", good[i].query);
  }
  /* In JSON nothing is form-decoded. */
  assert_true(in_json(&params, "{\"expire\":\"2030-01-01T12:34:56+02:00\"}"));
  assert_true(params.request.expire == INT64_C(1893494096));
}

/* ---- what is refused: the text names the parameter and the reason ---- */

typedef struct refusal {
  const char *text;
  const char *error; /* how it begins */
} refusal;

static void check_refused(const st_params *params, bool good, const refusal *row) {
  CHECK(!good, "%s: taken", row->text);
  CHECK(strncmp(params->error, row->error, strlen(row->error)) == 0, "%s: %s", row->text,
        params->error);
}

static void bad_pairs_are_named(void **state) {
  (void)state;
  static st_params params;
  static const refusal rows[] = {
      {"expire=", "expire: must be a date"},
      {"expire", "expire: must be a date"},
      {"expire=undefined", "expire: must be a date"},
      {"expire=2027-11-22", "expire: must be a date"},
      {"expire=1826844108", "expire: must be a date"},
      {"expire=2027-02-29T00:00:00Z", "expire: must be a date"},
      {"expire=2027-11-22T00:41:60Z", "expire: must be a date"},
      {"expire=2027-11-22T00:41:48%00Z", "expire: must be a date"},
      {"expire=2027-11-22T00%3", "expire: a % needs two hex digits"},
      {"expire=%", "expire: a % needs two hex digits"},
      {"urls=%2Fv2%2", "urls: a % needs two hex digits"},
      {"urls=/v2/%zz", "urls: a % needs two hex digits"},
      {"permissions=a%0", "permissions: a % needs two hex digits"},
      {"urls=/a&urls=/a", "urls: given more than once"},
      {"urls=&urls=", "urls: given more than once"},
      {"urls=/a&url%73=/b", "urls: given more than once"},
      {"permissions=a&permissions=b", "permissions: given more than once"},
      {"expire=2027-11-22T00:00:00Z&expire=2027-11-22T00:00:00Z", "expire: given more than once"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    check_refused(&params, in_query(&params, rows[i].text), &rows[i]);
    check_refused(&params, in_form(&params, rows[i].text), &rows[i]);
  }
}

/* D13: who asks in a way that is not understood gets an error, and no token without the
 * limits that were asked for. */
static void an_unknown_form_is_refused(void **state) {
  (void)state;
  static st_params params;
  static const refusal forms[] = {
      {"{\"permissions\":[\"account\"],\"urls\":[\"/v2/account\"]}", "body: is JSON"},
      {" \r\n {\"urls\":[\"/a\"]}", "body: is JSON"},
      {"%7B%22urls%22%3A%5B%22%2Fa%22%5D%7D", "body: is JSON"},
      {"[\"/a\"]", "body: is JSON"},
      {"{\"urls\":[\"/a?b=c\"]}&permissions=a", "body: is JSON"},
      {"x={\"urls\":[\"/a\"]}", "body: has none of the parameters"},
      {"url=/a", "body: has none of the parameters"},
      {"access_token=x", "body: has none of the parameters"},
      {"v=1&&", "body: has none of the parameters"},
      {"permissions[]=account&permissions[]=guilds",
       "permissions: must not have [] after its name"},
      {"permissions%5B%5D=account", "permissions: must not have [] after its name"},
      {"urls[0]=/a&urls[1]=/b", "urls: must not have [] after its name"},
      {"permissions=account&urls[]=/a", "urls: must not have [] after its name"},
      {"expire[date]=x&permissions=a", "expire: must not have [] after its name"},
  };
  for (size_t i = 0; i < COUNT(forms); i++) {
    check_refused(&params, in_form(&params, forms[i].text), &forms[i]);
    assert_non_null(strstr(params.error, "Content-Type: application/json"));
  }
  /* A form that says nothing is no way out where the query says something. */
  assert_false(read_all(&params, "permissions=account", ST_BODY_FORM, "{\"urls\":[\"/a\"]}"));
  assert_false(read_all(&params, "permissions=account", ST_BODY_FORM, "url=/a"));
  static const refusal queries[] = {
      {"{\"permissions\":[\"account\"],\"urls\":[\"/v2/account\"]}", "query: is JSON"},
      {"v=1&%7B%22urls%22%3A%5B%22%2Fa%22%5D%7D", "query: is JSON"},
      {"urls[]=/a", "urls: must not have [] after its name"},
      {"permissions=account&urls%5B%5D=/a", "urls: must not have [] after its name"},
  };
  for (size_t i = 0; i < COUNT(queries); i++) {
    check_refused(&params, in_query(&params, queries[i].text), &queries[i]);
  }
  /* What is unknown beside what is known stays ignored. */
  assert_true(in_form(&params, "foo=bar&permissions=account&url=/a&x[]=1&%zz"));
  assert_int_equal(params.request.permission_count, 1);
}

static void bad_json_is_named(void **state) {
  (void)state;
  static st_params params;
  static const refusal rows[] = {
      {"", "body: must be one JSON object"},
      {"null", "body: must be one JSON object"},
      {"[]", "body: must be one JSON object"},
      {"{}{}", "body: must be one JSON object"},
      {"{} x", "body: must be one JSON object"},
      {"{\"urls\":[\"/a\"]", "body: must be one JSON object"},
      {"{\"urls\":[\"/a\",]}", "body: must be one JSON object"},
      {"{\"x\":1,\"x\":2}", "body: must be one JSON object"},
      {"{\"x\":\"\\u0000\"}", "body: must be one JSON object"},
      {"{\"urls\":[\"/\\ud800\"]}", "body: must be one JSON object"},
      {"{\"urls\":[\"/\xFF\"]}", "body: must be one JSON object"},
      {"{'urls':[]}", "body: must be one JSON object"},
      {"\xEF\xBB\xBF{}", "body: must be one JSON object"},
      {"{\"urls\":[]}", "urls: must not be empty"},
      {"{\"urls\":\"/a\"}", "urls: must be an array of strings"},
      {"{\"urls\":nul}", "body: must be one JSON object"},
      {"{\"urls\":nothing}", "body: must be one JSON object"},
      {"{\"urls\":[\"/a\",1]}", "urls: must be an array of strings"},
      {"{\"urls\":[null]}", "urls: must be an array of strings"},
      {"{\"urls\":{}}", "urls: must be an array of strings"},
      {"{\"permissions\":\"a,b\"}", "permissions: must be an array of strings"},
      {"{\"permissions\":[null]}", "permissions: must be an array of strings"},
      {"{\"permissions\":[[\"a\"]]}", "permissions: must be an array of strings"},
      {"{\"permissions\":[true]}", "permissions: must be an array of strings"},
      {"{\"expire\":false}", "expire: must be a string"},
      {"{\"expire\":1826844108}", "expire: must be a string"},
      {"{\"expire\":[\"2027-11-22T00:00:00Z\"]}", "expire: must be a string"},
      {"{\"expire\":\"\"}", "expire: must be a date"},
      {"{\"expire\":\"tomorrow\"}", "expire: must be a date"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    check_refused(&params, in_json(&params, rows[i].text), &rows[i]);
  }
  /* The same name twice is no strict JSON, or a parameter given twice: refused. */
  assert_false(in_json(&params, "{\"urls\":[\"/a\"],\"urls\":[\"/b\"]}"));
  assert_false(in_json(&params, "{\"expire\":\"2027-11-22T00:00:00Z\",\"expir\\u0065\":\"x\"}"));
  assert_true(params.error[0] != '\0');
}

static void a_parameter_comes_once(void **state) {
  (void)state;
  static st_params params;
  static const struct {
    const char *query, *body, *json, *error;
  } rows[] = {
      {"urls=/a", "urls=/a", "{\"urls\":[\"/a\"]}", "urls: given more than once"},
      {"urls=", "urls=/a", "{\"urls\":[\"/a\"]}", "urls: given more than once"},
      {"permissions=a", "permissions=", "{\"permissions\":[]}",
       "permissions: given more than once"},
      {"expire=2027-11-22T00:00:00Z", "expire=2028-11-22T00:00:00Z",
       "{\"expire\":\"2028-11-22T00:00:00Z\"}", "expire: given more than once"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_false(read_all(&params, rows[i].query, ST_BODY_FORM, rows[i].body));
    assert_string_equal(params.error, rows[i].error);
    assert_false(read_all(&params, rows[i].query, ST_BODY_JSON, rows[i].json));
    assert_string_equal(params.error, rows[i].error);
    /* A body that nobody reads takes no part. */
    assert_true(read_all(&params, rows[i].query, ST_BODY_NONE, rows[i].body));
  }
}

/* ---- the limits ---- */

/* count items behind a prefix; separators and quotes as told. Release it. */
static subtoken_text many(const char *prefix, const char *item, const char *between, size_t count,
                          const char *end) {
  size_t room = strlen(prefix) + count * (strlen(item) + strlen(between)) + strlen(end) + 1;
  char *text = malloc(room);
  st_writer writer = st_writer_on(text, room);
  st_write_literal(&writer, prefix);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) st_write_literal(&writer, between);
    st_write_literal(&writer, item);
  }
  st_write_literal(&writer, end);
  assert_false(writer.overflow);
  subtoken_text made = exact(text, writer.len);
  free(text);
  return made;
}

static void lists_have_64_entries_at_most(void **state) {
  (void)state;
  static st_params params;
  static const struct {
    st_body_kind kind;
    const char *prefix, *item, *between, *end, *error;
  } rows[] = {
      {ST_BODY_FORM, "urls=", "/a", ",", "", "urls: too many entries (maximum 64)"},
      {ST_BODY_FORM, "permissions=", "a", ",", "", "permissions: too many entries (maximum 64)"},
      {ST_BODY_FORM, "permissions=", "", "%2C", "", "permissions: too many entries (maximum 64)"},
      {ST_BODY_JSON, "{\"urls\":[", "\"/a\"", ",", "]}", "urls: too many entries (maximum 64)"},
      {ST_BODY_JSON, "{\"permissions\":[", "\"a\"", ",", "]}",
       "permissions: too many entries (maximum 64)"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text most = many(rows[i].prefix, rows[i].item, rows[i].between, 64, rows[i].end);
    subtoken_text more = many(rows[i].prefix, rows[i].item, rows[i].between, 65, rows[i].end);
    CHECK(st_params_read(&params, NONE, rows[i].kind, most), "row %zu: %s", i, params.error);
    assert_int_equal(params.request.permission_count + params.request.url_count, 64);
    CHECK(!st_params_read(&params, NONE, rows[i].kind, more), "row %zu: 65", i);
    assert_string_equal(params.error, rows[i].error);
    if (rows[i].kind == ST_BODY_FORM) {
      assert_true(st_params_read(&params, most, ST_BODY_NONE, NONE));
      assert_false(st_params_read(&params, more, ST_BODY_NONE, NONE));
      assert_string_equal(params.error, rows[i].error);
    }
    release(most);
    release(more);
  }
}

/* The longest query beside the longest body, all of it growing as much as it can:
 * read whole, none of it cut. */
static void the_longest_query_and_body_fit(void **state) {
  (void)state;
  static st_params params;
  subtoken_text query = repeated("permissions=", 'p', SUBTOKEN_TARGET_MAX - 12);
  subtoken_text body = repeated("urls=", '\xC3', ST_REQUEST_BODY_MAX - 5);
  assert_true(st_params_read(&params, query, ST_BODY_FORM, body));
  assert_int_equal(params.permissions[0].len, SUBTOKEN_TARGET_MAX - 12);
  assert_int_equal(params.request.url_count, 1);
  assert_int_equal(params.urls[0].len, 3 * (ST_REQUEST_BODY_MAX - 5));
  release(query);
  release(body);
  query = repeated("urls=", '\xC3', SUBTOKEN_TARGET_MAX - 5);
  body = repeated("permissions=", 'p', ST_REQUEST_BODY_MAX - 12);
  assert_true(st_params_read(&params, query, ST_BODY_FORM, body));
  assert_int_equal(params.urls[0].len, 3 * (SUBTOKEN_TARGET_MAX - 5));
  assert_int_equal(params.permissions[0].len, ST_REQUEST_BODY_MAX - 12);
  release(query);
  release(body);
}

static void urls_become_canonical(void **state) {
  (void)state;
  static st_params params;
  static const struct {
    const char *item, *entry;
  } rows[] = {
      {"/v2/a b", "/v2/a%20b"},
      {"/v2/Zo\xC3\xAB", "/v2/Zo%C3%AB"},
      {"/v2/a%20b", "/v2/a%20b"},
      {"/v2/a+b", "/v2/a+b"},
      {"GET:/x/*", "GET:/x/*"},
      {"\x80\xFF", "%80%FF"},
      {"", ""},
      {"\x7F\t", "\x7F\t"}, /* left for narrowing to refuse */
  };
  assert_true(in_query(&params, ""));
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_true(st_params_add_url(&params, st_text(rows[i].item)));
    CHECK(st_text_is(params.urls[i], rows[i].entry), "%s", rows[i].item);
  }
  assert_int_equal(params.request.url_count, COUNT(rows));
}

/* ---- the vectors ---- */

static cJSON *load_vectors(void) {
  const char *tests = getenv("SUBTOKEN_TESTS");
  char path[500];
  static char text[1 << 16];
  snprintf(path, sizeof path, "%s/vectors/urls-param.json", tests != NULL ? tests : "tests");
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail_msg("%s is missing", path);
  size_t len = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[len] = '\0';
  return cJSON_Parse(text);
}

static const char *string_of(const cJSON *object, const char *name) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static void check_vector(const cJSON *row, const st_params *params, bool good) {
  const char *id = string_of(row, "id"), *error = string_of(row, "error");
  const cJSON *expect = cJSON_GetObjectItemCaseSensitive(row, "expect");
  subtoken_limits limits = SUBTOKEN_LIMITS_DEFAULT;
  static subtoken_claims grant, child;
  grant = grant_of("account", NULL);
  subtoken_result result = SUBTOKEN_UNDECIDED;
  if (good) result = subtoken_narrow(&grant, &params->request, &limits, NOW, &child, NULL);
  if (cJSON_IsNull(expect)) {
    if (error == NULL) error = "urls";
    CHECK(result != SUBTOKEN_OK, "%s is taken", id);
    CHECK(good || strncmp(params->error, error, strlen(error)) == 0, "%s: %s", id, params->error);
    return;
  }
  CHECK(result == SUBTOKEN_OK, "%s: %s %s", id, params->error, subtoken_result_name(result));
  int count = cJSON_GetArraySize(expect);
  CHECK(child.every_url == (count == 0) && child.url_count == count, "%s: %d urls", id,
        child.url_count);
  for (int i = 0; i < count; i++) {
    subtoken_text url = subtoken_claims_text(&child, child.urls[i]);
    CHECK(st_text_is(url, cJSON_GetStringValue(cJSON_GetArrayItem(expect, i))), "%s: %.*s", id,
          (int)url.len, url.data);
  }
}

static void the_vectors_hold(void **state) {
  (void)state;
  static st_params params;
  char pairs[1024];
  cJSON *vectors = load_vectors();
  const cJSON *rows = cJSON_GetObjectItemCaseSensitive(vectors, "cases"), *row;
  int count = 0;
  cJSON_ArrayForEach(row, rows) {
    snprintf(pairs, sizeof pairs, "urls=%s", string_of(row, "param"));
    check_vector(row, &params, in_query(&params, pairs));
    check_vector(row, &params, in_form(&params, pairs));
    count++;
  }
  assert_int_equal(count, 24);
  cJSON_Delete(vectors);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pairs_are_decoded),
      cmocka_unit_test(query_form_and_json_read_alike),
      cmocka_unit_test(nothing_asked_is_nothing_set),
      cmocka_unit_test(blanks_around_items_are_cut_off),
      cmocka_unit_test(an_audience_is_one_name),
      cmocka_unit_test(a_second_reading_starts_empty),
      cmocka_unit_test(each_form_of_expire_is_read),
      cmocka_unit_test(bad_pairs_are_named),
      cmocka_unit_test(an_unknown_form_is_refused),
      cmocka_unit_test(bad_json_is_named),
      cmocka_unit_test(a_parameter_comes_once),
      cmocka_unit_test(lists_have_64_entries_at_most),
      cmocka_unit_test(the_longest_query_and_body_fit),
      cmocka_unit_test(urls_become_canonical),
      cmocka_unit_test(the_vectors_hold),
  };
  return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
