/* config: the text of a configuration file to settings, whole or not at all. */
#include "support.h"

#include <arpa/inet.h>

#include "domain/config.h"

static st_settings settings;
static char error[ST_CONFIG_ERROR_MAX];

static bool read_config(const char *text) {
  subtoken_text exact_text = exact_string(text);
  st_config_default(&settings);
  memset(error, 'x', sizeof error);
  bool good = st_config_read(exact_text, &settings, error);
  release(exact_text);
  return good;
}

static void must_read(const char *text) {
  CHECK(read_config(text), "%s: %s", text, error);
}

/* Refused, with that text, and nothing of it taken. */
static void must_refuse(const char *text, const char *expected) {
  st_settings before;
  st_config_default(&before);
  CHECK(!read_config(text), "%s: taken", text);
  CHECK(strncmp(error, expected, strlen(expected)) == 0, "%s: %s", text, error);
  CHECK(memcmp(&settings, &before, sizeof settings) == 0, "%s: something was taken", text);
}

static void an_empty_object_is_the_defaults(void **state) {
  (void)state;
  must_read("{}");
  assert_int_equal(settings.listen_count, 1);
  assert_string_equal(settings.listen[0].text, "127.0.0.1:8080");
  assert_false(settings.behind_tls);
  assert_true(settings.threads == 512);
  assert_true(settings.leeway == 60);
  assert_true(settings.default_life == 30 * DAY);
  assert_true(settings.max_life == 365 * DAY);
  assert_true(settings.access_life == 900);
  assert_true(settings.refresh_life == 30 * DAY);
  assert_true(settings.idle_timeout == 75);
  assert_int_equal(settings.credentials, ST_FORMS_ALL);
  assert_false(settings.basic_challenge);
  assert_false(settings.data_group);
  assert_true(settings.page);
  assert_string_equal(settings.permission_texts, "");
  assert_true(settings.sessions_per_key == 100);
  assert_true(settings.keys_per_owner == 1000);
  assert_true(settings.audit_keep == 0);
  assert_true(settings.refresh_retry == 30);
  assert_false(settings.registration_open);
  assert_true(settings.rate_per_second == 0);
  assert_string_equal(settings.log, "");
  assert_int_equal(settings.proxy_count, 0);
  assert_string_equal(settings.store, "");
  assert_true(settings.store_staleness == 1);
  assert_true(settings.store_cache == 64);
  assert_true(settings.metrics);
  assert_int_equal(settings.metrics_listen.kind, ST_LISTEN_NONE);
}

static void sentences_of_permissions_are_kept_as_json(void **state) {
  (void)state;
  char text[16384];
  must_read(
      "{\"permission_texts\": {\"docs\": \"Read \\\"documents\\\" \\u00fc\", \"a:b\": \"x\"}}");
  assert_string_equal(settings.permission_texts,
                      "{\"docs\":\"Read \\\"documents\\\" \xC3\xBC\",\"a:b\":\"x\"}");
  must_read("{\"permission_texts\": {}, \"page\": false}");
  assert_string_equal(settings.permission_texts, "{}");
  assert_false(settings.page);
  int at = snprintf(text, sizeof text, "{\"permission_texts\":{\"p\":\"");
  memset(text + at, 'x', 301);
  memcpy(text + at + 300, "\"}}", 4);
  must_read(text);
  memcpy(text + at + 300, "x\"}}", 5);
  must_refuse(text, "line 1, column 2: \"permission_texts\" must be an object of sentences");
  /* Each is short enough, and all of them are too much. */
  at = snprintf(text, sizeof text, "{\"permission_texts\":{\"p\":\"x\"");
  for (int i = 0; i < 40; i++) {
    at += snprintf(text + at, sizeof text - (size_t)at, ",\"p%d\":\"%0250d\"", i, 0);
  }
  memcpy(text + at, "}}", 3);
  must_refuse(text, "line 1, column 2: \"permission_texts\" must be an object of sentences");
}

/* Over the defaults, not over what was in force before. */
static void settings_start_from_the_defaults(void **state) {
  (void)state;
  st_config_default(&settings);
  settings.leeway = 5;
  settings.threads = 7;
  assert_true(st_config_read(ST_TEXT("{\"threads\":8}"), &settings, error));
  assert_true(settings.leeway == 60);
  assert_true(settings.threads == 8);
}

/* The ends of what they may be; what is beyond is in the table of bad values. */
static void ends_of_settings_are_read(void **state) {
  (void)state;
  static const char *const rows[] = {
      "{\"max_life\":3153600000}",
      "{\"access_life\":1}",
      "{\"access_life\":3153600000}",
      "{\"refresh_life\":1}",
      "{\"idle_timeout\":1}",
      "{\"idle_timeout\":3600}",
      "{\"refresh_retry\":60}",
      "{\"sessions_per_key\":1}",
      "{\"sessions_per_key\":100000}",
      "{\"keys_per_owner\":1000000}",
      "{\"store_staleness\":1}",
      "{\"store_staleness\":60}",
      "{\"rate\":{\"per_second\":1000000,\"burst\":1000000}}",
      "{\"credentials\":[\"bearer\"],\"basic_challenge\":false}",
      "{\"metrics\":false}",
  };
  for (size_t i = 0; i < COUNT(rows); i++) must_read(rows[i]);
  assert_false(settings.metrics);
}

/* As much as the page can get, and a byte more. */
static void sentences_fill_their_room(void **state) {
  (void)state;
  static char text[2 * ST_PERMISSION_TEXTS_MAX];
  for (int more = 0; more <= 1; more++) {
    size_t left = ST_PERMISSION_TEXTS_MAX - 2 + (size_t)more; /* without the braces */
    st_writer writer = st_writer_on(text, sizeof text);
    st_write_literal(&writer, "{\"permission_texts\":{");
    for (int i = 0; left > 0; i++) {
      size_t len = left > 400 ? 200 : left > 200 ? left / 2 : left; /* of `"pNN":"…",` */
      char member[256];
      bool last = len == left;
      memset(member, 'x', sizeof member);
      memcpy(member, "\"p00\":\"", 7);
      member[2] = (char)('0' + i / 10);
      member[3] = (char)('0' + i % 10);
      member[len - (last ? 1 : 2)] = '"';
      if (!last) member[len - 1] = ',';
      st_write(&writer, member, len);
      left -= len;
    }
    st_write_literal(&writer, "}}");
    assert_true(st_writer_end(&writer));
    if (more == 0) {
      must_read(text);
      assert_int_equal(strlen(settings.permission_texts), ST_PERMISSION_TEXTS_MAX);
    } else {
      must_refuse(text, "line 1, column 2: \"permission_texts\" must be an object of sentences");
    }
  }
}

static void every_setting_is_read(void **state) {
  (void)state;
  must_read(
      "\n{ \"listen\": \"[::1]:81\", \"behind_tls\": true,\n\"threads\": 64, \"leeway\": \"2m\","
      "\"default_life\": \"12h\", \"max_life\": 86400, \"trusted_proxies\": [\"10.0.0.0/8\", "
      "\"2001:db8::1\"], \"rate\": {\"burst\": 20, \"per_second\": 10},"
      "\"registration\": \"open\", \"access_life\": \"5m\", \"refresh_life\": \"90d\","
      "\"idle_timeout\": \"2m\", \"sessions_per_key\": 7, \"keys_per_owner\": 1000000, "
      "\"audit_keep\": \"400d\",\"refresh_retry\": 0,"
      "\"credentials\": [\"basic\", \"x-api-key\"], \"basic_challenge\": true,"
      "\"data_group\": true, \"store\": "
      "\"postgresql://u@db1,db2/d?target_session_attrs=read-write\","
      "\"store_staleness\": \"5s\", \"store_cache\": 65536,"
      "\"issuer\": \"https://auth.example:8443/a\","
      "\"log\": \"/var/log/subtoken.log\" }\n");
  assert_int_equal(settings.listen_count, 1);
  assert_string_equal(settings.listen[0].text, "[::1]:81");
  assert_true(settings.behind_tls);
  assert_true(settings.threads == 64);
  assert_true(settings.leeway == 120);
  assert_true(settings.default_life == 43200);
  assert_true(settings.max_life == 86400);
  assert_int_equal(settings.proxy_count, 2);
  assert_true(settings.rate_per_second == 10);
  assert_true(settings.rate_burst == 20);
  assert_true(settings.registration_open);
  assert_true(settings.access_life == 300);
  assert_true(settings.refresh_life == 90 * DAY);
  assert_true(settings.idle_timeout == 120);
  assert_int_equal(settings.credentials, ST_FORM_BASIC | ST_FORM_API_KEY);
  assert_true(settings.basic_challenge);
  assert_true(settings.data_group);
  assert_true(settings.sessions_per_key == 7);
  assert_true(settings.keys_per_owner == 1000000);
  assert_true(settings.audit_keep == 400 * DAY);
  assert_true(settings.refresh_retry == 0);
  assert_string_equal(settings.log, "/var/log/subtoken.log");
  assert_string_equal(settings.store, "postgresql://u@db1,db2/d?target_session_attrs=read-write");
  assert_string_equal(settings.issuer, "https://auth.example:8443/a");
  assert_true(settings.store_staleness == 5);
  assert_true(settings.store_cache == 65536);
}

static void other_forms_of_a_setting_are_read(void **state) {
  (void)state;
  must_read("{\"listen\":[\"localhost:80\",\"[::]:80\",\"unix:/run/subtoken.sock\"]}"); /* F4 */
  assert_int_equal(settings.listen_count, 3);
  assert_string_equal(settings.listen[0].text, "127.0.0.1:80");
  assert_string_equal(settings.listen[1].text, "[::]:80");
  assert_string_equal(st_listen_path(&settings.listen[2]), "/run/subtoken.sock");
  must_read("{\"rate\":\"off\",\"behind_tls\":false,\"log\":\"stderr\",\"trusted_proxies\":[]}");
  assert_true(settings.rate_per_second == 0);
  assert_string_equal(settings.log, "");
  must_read("{\"audit_keep\":\"never\",\"keys_per_owner\":1}");
  assert_true(settings.audit_keep == 0);
  must_read("{\"audit_keep\":86400}");
  assert_true(settings.audit_keep == DAY);
  must_read("{\"registration\":\"closed\"}");
  assert_false(settings.registration_open);
  must_read("{\"leeway\":0,\"default_life\":1,\"max_life\":1,\"threads\":1}");
  assert_true(settings.leeway == 0);
  must_read("{\"leeway\":3600,\"max_life\":\"36500d\",\"threads\":16384}");
  assert_true(settings.max_life == INT64_C(3153600000));
  must_read("{\"leeway\":1e1,\"threads\":20.0}"); /* whole, however it is written */
  assert_true(settings.leeway == 10);
  assert_true(settings.threads == 20);
  must_read("{\"\\u006c\\u0065eway\":\"7\"}");
  assert_true(settings.leeway == 7);
  must_read("{\"default_life\":\"2d\",\"max_life\":\"2d\"}");
}

static void a_bad_value_is_named(void **state) {
  (void)state;
  static const char whole[] = "must be whole seconds";
  static const char count[] = "must be a whole number";
  static const char string[] = "must be a string";
  static const char rate[] = "must be \"off\" or";
  static const char place[] = "must be ADDRESS:PORT";
  static const char forms[] = "must be an array of at least one of";
  static const char proxies[] = "must be an array";
  static const char uri[] = "must be a URI of libpq";
  static const char password[] = "must not hold a password";
  static const struct {
    const char *name, *value, *reason;
  } rows[] = {
      {"listen", "8080", place},
      {"listen", "\"\"", place},
      {"listen", "null", place},
      {"listen", "[]", place},
      {"listen", "{}", place},
      {"listen", "{\"a\":\"127.0.0.1:1\"}", place},
      {"listen", "[\"127.0.0.1:1\",2]", place},
      {"listen", "[\"127.0.0.1:1\",\"nonsense\"]", place},
      {"listen", "[[\"127.0.0.1:1\"]]", place},
      {"behind_tls", "\"true\"", "must be true or false"},
      {"behind_tls", "1", "must be true or false"},
      {"behind_tls", "null", "must be true or false"},
      {"threads", "0", count},
      {"threads", "-1", count},
      {"threads", "1.5", count},
      {"threads", "16385", count},
      {"threads", "1e300", count},
      {"threads", "\"64\"", count},
      {"threads", "null", count},
      {"leeway", "-1", whole},
      {"leeway", "3601", whole},
      {"leeway", "\"61m\"", whole},
      {"leeway", "0.5", whole},
      {"leeway", "\"\"", whole},
      {"leeway", "\"1w\"", whole},
      {"leeway", "\" 1\"", whole},
      {"leeway", "\"-1\"", whole},
      {"leeway", "true", whole},
      {"leeway", "[60]", whole},
      {"default_life", "0", whole},
      {"default_life", "\"36501d\"", whole},
      {"max_life", "0", whole},
      {"max_life", "1e18", whole},
      {"max_life", "1e999", whole},
      {"access_life", "0", whole},
      {"refresh_life", "0", whole},
      {"refresh_life", "\"x\"", whole},
      {"refresh_retry", "61", whole},
      {"sessions_per_key", "100001", count},
      {"keys_per_owner", "1000001", count},
      {"idle_timeout", "3601", whole},
      {"idle_timeout", "0", whole},
      {"credentials", "[]", forms},
      {"credentials", "\"bearer\"", forms},
      {"credentials", "[\"Bearer\"]", forms},
      {"credentials", "[\"bearer\",\"cookie\"]", forms},
      {"credentials", "[\"bearer\",\"bearer\"]", forms},
      {"credentials", "[1]", forms},
      {"credentials", "null", forms},
      {"credentials", "{\"bearer\":true}", forms},
      {"credentials", "{\"a\":\"bearer\"}", forms},
      {"basic_challenge", "\"true\"", "must be true or false"},
      {"basic_challenge", "1", "must be true or false"},
      {"data_group", "\"www-data\"", "must be true or false"},
      {"page", "\"off\"", "must be true or false"},
      {"permission_texts", "[]", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":1}", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":\"\"}", "must be an object of sentences"},
      {"permission_texts", "{\"a b\":\"x\"}", "must be an object of sentences"},
      {"permission_texts", "{\"\":\"x\"}", "must be an object of sentences"},
      {"permission_texts", "{\"docs\":\"a\\u0007\"}", "must be an object of sentences"},
      {"idle_timeout", "\"61m\"", whole},
      {"log", "1", string},
      {"log", "\"\"", string},
      {"policy", "null", string},
      {"policy", "\"\"", string},
      {"registration", "\"Open\"", "must be \"closed\" or \"open\""},
      {"registration", "\"\"", "must be \"closed\" or \"open\""},
      {"registration", "true", "must be \"closed\" or \"open\""},
      {"store", "1", string},
      {"store", "\"\"", string},
      {"store", "\"sqlite\"", uri},
      {"store", "\"var/subtoken.db\"", uri},
      {"store", "\"postgresql://a:hush@db/d\"", password},
      {"store", "\"postgresql://db/d?p%61ssword=hush\"", password},
      {"store", "\"postgresql://db/d?\\u0070assword=hush\"", password},
      {"store", "\"postgresql://db/d?requiressl=1\"", "has a parameter"},
      {"store_staleness", "0", whole},
      {"store_staleness", "0.1", whole},
      {"store_staleness", "61", whole},
      {"store_staleness", "\"100ms\"", whole},
      {"store_cache", "0", count},
      {"store_cache", "65537", count},
      {"store_cache", "\"64M\"", count},
      {"rate", "\"on\"", rate},
      {"rate", "10", rate},
      {"rate", "{}", rate},
      {"rate", "{\"per_second\":1}", rate},
      {"rate", "{\"burst\":1}", rate},
      {"rate", "{\"per_second\":0,\"burst\":1}", rate},
      {"rate", "{\"per_second\":1,\"burst\":0}", rate},
      {"rate", "{\"per_second\":1000001,\"burst\":1}", rate},
      {"rate", "{\"per_second\":1,\"burst\":1000001}", rate},
      {"rate", "{\"per_second\":1,\"burst\":1,\"more\":1}", rate},
      {"rate", "{\"per_second\":1,\"Burst\":1}", rate},
      {"rate", "[1,2]", rate},
      {"trusted_proxies", "\"10.0.0.1\"", proxies},
      {"trusted_proxies", "[1]", proxies},
      {"trusted_proxies", "[\"10.0.0.1\",\"host.example\"]", proxies},
      {"trusted_proxies", "[\"10.0.0.0/33\"]", proxies},
      {"trusted_proxies", "[\"2001:db8::/1m\"]", proxies},
      {"trusted_proxies", "{}", proxies},
      {"trusted_proxies", "[\"unix:/run/x\"]", proxies},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[200], expected[200];
    snprintf(text, sizeof text, "{\"%s\":2,\n  \"%s\":%s}",
             strcmp(rows[i].name, "threads") == 0 ? "leeway" : "threads", rows[i].name,
             rows[i].value);
    snprintf(expected, sizeof expected, "line 2, column 3: \"%s\" %s", rows[i].name,
             rows[i].reason);
    must_refuse(text, expected);
    CHECK(strstr(error, "hush") == NULL, "%s", error);
  }
}

/* It is put in front of paths, and into JSON, as it is. */
static void an_issuer_is_a_plain_https_url(void **state) {
  (void)state;
  static const char *const good[] = {"https://a",       "https://auth.example",
                                     "https://A-1.b:1", "https://[::1]",
                                     "https://a:9080",  "https://[2001:db8::1]:65535",
                                     "https://a/b",     "https://a:443/b/c.d~e_f-g!$&'()+,=:@"};
  static const char *const bad[] = {"",
                                    "https",
                                    "https:",
                                    "https://",
                                    "http://a",
                                    "HTTPS://a",
                                    "https:/a",
                                    "//a",
                                    "a",
                                    "https://a/",
                                    "https://a/b/",
                                    "https://a//b",
                                    "https://a?",
                                    "https://a?b",
                                    "https://a/b?c",
                                    "https://a#",
                                    "https://a/b#",
                                    "https://:1",
                                    "https://a:",
                                    "https://a:x",
                                    "https://a:123456",
                                    "https://u@a",
                                    "https://u:p@a",
                                    "https:///a",
                                    "https://a b",
                                    "https://a/b c",
                                    "https://a/%41",
                                    "https://a/;b",
                                    "https://a/*",
                                    "https://a/.",
                                    "https://a/../b",
                                    "https://a/b/..",
                                    "https://[::1",
                                    "https://[::]",
                                    "https://[/::1]",
                                    "https://::1",
                                    "https://[]",
                                    "https://a_b",
                                    "https://a/\\\"b",
                                    "https://\\u00e9",
                                    "https://a/\\u00e9",
                                    "https://a\\\\b",
                                    "https://a/<",
                                    "https://a\\nb",
                                    " https://a",
                                    "https://a "};
  char text[512];
  for (size_t i = 0; i < COUNT(good); i++) {
    snprintf(text, sizeof text, "{\"issuer\":\"%s\"}", good[i]);
    must_read(text);
    assert_string_equal(settings.issuer, good[i]);
  }
  for (size_t i = 0; i < COUNT(bad); i++) {
    snprintf(text, sizeof text, "{\"issuer\":\"%s\"}", bad[i]);
    must_refuse(text,
                "line 1, column 2: \"issuer\" must be a URL such as https://auth.example.com");
  }
  for (int len = ST_ISSUER_MAX; len <= ST_ISSUER_MAX + 1; len++) {
    snprintf(text, sizeof text, "{\"issuer\":\"https://%0*d\"}", len - 8, 1);
    len == ST_ISSUER_MAX ? must_read(text) : must_refuse(text, "line 1, column 2: ");
  }
  must_refuse("{\"issuer\":null}", "line 1, column 2: ");
}

static void long_values_have_limits(void **state) {
  (void)state;
  char text[2 * ST_PATH_TEXT_MAX];
  static const struct {
    const char *name;
    int most;
  } rows[] = {{"log", ST_PATH_TEXT_MAX - 1}, {"policy", ST_PATH_TEXT_MAX - 1}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(text, sizeof text, "{\"%s\":\"%0*d\"}", rows[i].name, rows[i].most, 7);
    must_read(text);
    snprintf(text, sizeof text, "{\"%s\":\"%0*d\"}", rows[i].name, rows[i].most + 1, 7);
    must_refuse(text, "line 1, column 2: ");
  }
}

static void an_unknown_name_is_an_error(void **state) {
  (void)state;
  must_refuse("{\"listne\":\"x\"}", "line 1, column 2: \"listne\" is not a setting");
  must_refuse("{\"leeway\":1,\n \"Leeway\":1}", "line 2, column 2: \"Leeway\" is not a setting");
  must_refuse("{\r\n\r\n   \"x\":{\"leeway\":1}}", "line 3, column 4: \"x\" is not a setting");
  must_refuse("{\"\":1}", "line 1, column 2: is not a setting");
  must_refuse("{\"listen \":\"x\"}", "line 1, column 2: \"listen \" is not a setting");
  must_refuse("{\"\\u001b[31m\":1}", "line 1, column 2: \"\\u001b[31m\" is not a setting");
  /* However long or odd the name is, the place is right. */
  char text[300];
  for (int count = 1; count < 200; count++) {
    memset(text, '\x7F', sizeof text);
    memcpy(text, "{\"", 2);
    memcpy(text + 2 + count, "\":1}", 5);
    must_refuse(text, "line 1, column 2: ");
    CHECK(strstr(error, "is not a setting") != NULL, "%d: %s", count, error);
    CHECK((strstr(error, "\x7F") != NULL || strstr(error, "u007f") != NULL) == (count <= 32), "%d",
          count);
  }
}

static void errors_name_line_and_column(void **state) {
  (void)state;
  static const struct {
    const char *text, *expected;
  } rows[] = {
      {"", "line 1, column 1: "},
      {" \n\n", "line 3, column 1: "},
      {"[]", "line 1, column 1: "},
      {"null", "line 1, column 1: "},
      {"\"x\"", "line 1, column 1: "},
      {"{", "line 1, column 2: "},
      {"{}\n{}", "line 2, column 1: "},
      {"{\"leeway\":1,}", "line 1, column "},
      {"{\n\"leeway\":01}", "line 2, column "},
      {"{\n\"leeway\":.5}", "line 2, column "},
      {"{\"leeway\" 1}", "line 1, column "},
      {"{'leeway':1}", "line 1, column 2: "},
      {"{\n// no comments\n}", "line 2, column 1: "},
      {"{\"leeway\":1,\"leeway\":2}", "line 1, column "},
      {"{\"leeway\":1,\"leewa\\u0079\":1}", "line 1, column "},
      {"{\"rate\":{\"burst\":1,\"burst\":2}}", "line 1, column "},
      {"{\"log\":\"a\\u0000b\"}", "line 1, column "},
      {"{\"log\":\"\xFF\"}", "line 1, column "},
      {"\xEF\xBB\xBF{}", "line 1, column 1: "},
      {"{\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", "line 1, column "},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    must_refuse(rows[i].text, rows[i].expected);
    CHECK(strstr(error, "not valid JSON, or a duplicate name in an object") != NULL, "%s: %s",
          rows[i].text, error);
  }
}

static void default_life_is_within_max_life(void **state) {
  (void)state;
  must_refuse("{\"default_life\":\"2d\",\"max_life\":\"1d\"}",
              "line 1, column 38: default_life is longer than max_life");
  must_refuse("{\"credentials\":[\"bearer\"],\"basic_challenge\":true}",
              "line 1, column 50: basic_challenge needs");
  must_refuse("{\"max_life\":\"29d\"}", "line 1, column 19: default_life is longer");
}

/* What comes before a mistake is not taken either. */
static void a_mistake_changes_nothing(void **state) {
  (void)state;
  must_refuse("{\"leeway\":5,\"threads\":3,\"log\":\"/x\",\"listen\":\"a:1\",\"rate\":1}",
              "line 1, column ");
}

/* ---- networks ---- */

static void address_of(const char *text, uint8_t address[16]) {
  struct in_addr four;
  memset(address, 0, 16);
  if (inet_pton(AF_INET, text, &four) == 1) {
    address[10] = address[11] = 0xFF;
    memcpy(address + 12, &four, 4);
    return;
  }
  assert_int_equal(inet_pton(AF_INET6, text, address), 1);
}

static void a_network_holds_its_addresses(void **state) {
  (void)state;
  static const struct {
    const char *network, *address;
    bool held;
  } rows[] = {
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.2", false},
      {"10.0.0.1/32", "10.0.0.1", true},
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.1.2.3/8", "10.9.9.9", true}, /* the bits behind the prefix do not count */
      {"192.0.2.128/25", "192.0.2.128", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.2/31", "192.0.2.3", true},
      {"192.0.2.2/31", "192.0.2.4", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "203.0.113.9", true},
      {"::1", "::1", true},
      {"::1", "::2", false},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::1", false},
      {"2001:DB8::/33", "2001:db8:8000::", false},
      {"8000::/1", "::1", false},
      {"8000::/1", "ffff::", true},
      /* an IPv4 address and the same one mapped are one */
      {"::ffff:10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "::ffff:10.0.0.1", true},
      {"::ffff:10.0.0.0/104", "10.200.0.1", true},
      {"::ffff:10.0.0.0/104", "11.0.0.1", false},
      {"::10.0.0.1", "10.0.0.1", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_network network;
    uint8_t address[16];
    subtoken_text text = exact_string(rows[i].network);
    CHECK(st_network_read(text, &network), "%s", rows[i].network);
    address_of(rows[i].address, address);
    CHECK(st_network_holds(&network, address) == rows[i].held, "%s and %s", rows[i].network,
          rows[i].address);
    release(text);
  }
}

static void bad_networks_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      "/",
      "/8",
      "10.0.0.1/",
      "10.0.0.1/33",
      "10.0.0/8",
      "10.0.0.1/8/8",
      "10.0.0.1/-1",
      "10.0.0.1/+1",
      "10.0.0.1/ 8",
      "10.0.0.1 ",
      " 10.0.0.1",
      "10.0.0.256",
      "010.0.0.1",
      "0x0a.0.0.1",
      "10.0.0.1:80",
      "localhost",
      "::1/129",
      "::1/1000",
      "[::1]",
      "fe80::1%eth0",
      ":::",
      "1:2:3:4:5:6:7",
      "::ffff:10.0.0.1/129",
      "2001:0db8:0000:0000:0000:0000:0000:0001:0002",
      "10.0.0.1/8x",
      "10.0.0.1/0x8",
      "10.0.0.1/8s",
      "::/1m",
      "::/2h",
      "::/0008",
      "1111:2222:3333:4444:5555:6666:255.255.255.255000000000",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_network network;
    subtoken_text text = exact_string(rows[i]);
    CHECK(!st_network_read(text, &network), "%s", rows[i]);
    release(text);
  }
}

static void only_listed_proxies_are_trusted(void **state) {
  (void)state;
  must_read("{}");
  assert_false(st_config_trusts(&settings, ST_TEXT("127.0.0.1")));
  must_read("{\"trusted_proxies\":[\"127.0.0.1\",\"10.0.0.0/8\",\"2001:db8::/32\"]}");
  assert_true(st_config_trusts(&settings, ST_TEXT("127.0.0.1")));
  assert_true(st_config_trusts(&settings, ST_TEXT("::ffff:127.0.0.1")));
  assert_true(st_config_trusts(&settings, ST_TEXT("10.3.4.5")));
  assert_true(st_config_trusts(&settings, ST_TEXT("2001:db8::5")));
  assert_false(st_config_trusts(&settings, ST_TEXT("127.0.0.2")));
  assert_false(st_config_trusts(&settings, ST_TEXT("::1")));
  assert_false(st_config_trusts(&settings, ST_TEXT("unix:")));
  assert_false(st_config_trusts(&settings, ST_TEXT("")));
  must_read("{\"trusted_proxies\":[\"fe80::/10\",\"unix:\"]}");
  assert_true(st_config_trusts(&settings, ST_TEXT("unix:")));
  assert_true(st_config_trusts(&settings, ST_TEXT("fe80::1%eth0")));
  assert_false(st_config_trusts(&settings, ST_TEXT("unknown")));
  must_read("{\"trusted_proxies\":[\"::/0\"]}"); /* every address, and nothing else */
  assert_true(st_config_trusts(&settings, ST_TEXT("192.0.2.1")));
  assert_false(st_config_trusts(&settings, ST_TEXT("unknown")));
  assert_false(st_config_trusts(&settings, ST_TEXT("unix:")));
  must_read("{\"trusted_proxies\":[\"unix:\"]}");
  assert_true(st_config_trusts(&settings, ST_TEXT("unix:")));
  assert_int_equal(settings.proxy_count, 0);
}

static void the_number_of_proxies_is_limited(void **state) {
  (void)state;
  char text[1024];
  for (int count = ST_PROXIES_MAX; count <= ST_PROXIES_MAX + 1; count++) {
    st_writer writer = st_writer_on(text, sizeof text);
    for (int i = 0; i < count; i++) {
      st_write_literal(&writer, i == 0 ? "{\"trusted_proxies\":[" : ",");
      st_write_literal(&writer, "\"10.0.0.1\"");
    }
    st_write_literal(&writer, "]}");
    assert_true(st_writer_end(&writer));
    if (count == ST_PROXIES_MAX) {
      must_read(text);
      assert_int_equal(settings.proxy_count, count);
    } else {
      must_refuse(text, "line 1, column 2: \"trusted_proxies\" must be an array of at most 32");
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_object_is_the_defaults),
      cmocka_unit_test(sentences_of_permissions_are_kept_as_json),
      cmocka_unit_test(sentences_fill_their_room),
      cmocka_unit_test(ends_of_settings_are_read),
      cmocka_unit_test(settings_start_from_the_defaults),
      cmocka_unit_test(every_setting_is_read),
      cmocka_unit_test(other_forms_of_a_setting_are_read),
      cmocka_unit_test(a_bad_value_is_named),
      cmocka_unit_test(an_issuer_is_a_plain_https_url),
      cmocka_unit_test(long_values_have_limits),
      cmocka_unit_test(an_unknown_name_is_an_error),
      cmocka_unit_test(errors_name_line_and_column),
      cmocka_unit_test(default_life_is_within_max_life),
      cmocka_unit_test(a_mistake_changes_nothing),
      cmocka_unit_test(a_network_holds_its_addresses),
      cmocka_unit_test(bad_networks_are_refused),
      cmocka_unit_test(only_listed_proxies_are_trusted),
      cmocka_unit_test(the_number_of_proxies_is_limited),
  };
  return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
