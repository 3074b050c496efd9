/* config: the text of a configuration file to settings, whole or not at all. */
#include "config_fixture.h"

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
      cmocka_unit_test(an_issuer_is_a_plain_https_url),
      cmocka_unit_test(only_listed_proxies_are_trusted),
      cmocka_unit_test(the_number_of_proxies_is_limited),
  };
  return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
