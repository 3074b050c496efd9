/* The parts of the HAProxy module that call nothing of Lua but to log: the headers of a request,
 * files, and what an edge holds (src/edge/haproxy), also while memory and files fail.
 * tests/e2e/test_haproxy_*.py has a real HAProxy.
 */
#include "failing.h"
#include "home_fixture.h"
#include "support.h"

#include <limits.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "edge/haproxy/haproxy_edge.c"
#include "edge/haproxy/haproxy_file.c"
#include "edge/haproxy/haproxy_head.c"
#pragma GCC diagnostic pop

/* ---- what Lua has: a log, of which the last line is kept ---- */

static char said[ST_HAPROXY_ERROR_MAX + 64];
static size_t said_count;
static const st_haproxy_log log_lines = {NULL, 1};

void lua_pushvalue(lua_State *L, int at) {
  (void)L, (void)at;
}

void lua_pushinteger(lua_State *L, lua_Integer level) {
  (void)L;
  assert_in_range(level, ST_HAPROXY_ERROR, ST_HAPROXY_NOTICE);
}

const char *lua_pushstring(lua_State *L, const char *text) {
  (void)L;
  snprintf(said, sizeof said, "%s", text);
  return text;
}

void lua_callk(lua_State *L, int arguments, int results, lua_KContext c, lua_KFunction k) {
  (void)L, (void)results, (void)c, (void)k;
  assert_int_equal(arguments, 2);
  said_count++;
}

void *luaL_checkudata(lua_State *L, int at, const char *type) {
  (void)L, (void)at;
  assert_string_equal(type, ST_HAPROXY_EDGE_TYPE);
  return said;
}

/* ---- headers ---- */

static bool head_of(const char *text, st_haproxy_head *head) {
  subtoken_text copy = exact_string(text);
  bool whole = st_haproxy_head_read(copy, head);
  release(copy);
  return whole;
}

static void what_is_not_whole_is_refused(void **state) {
  (void)state;
  static const char *const rows[] = {"",
                                     "a",
                                     "a: b",
                                     "a: b\n\r\n",
                                     "\n",
                                     "a b\r\n\r\n",
                                     ": b\r\n\r\n",
                                     "a: b\r\n",
                                     "a: b\r\n\r\nc: d\r\n",
                                     "\r\n\r\n"};
  st_haproxy_head head;
  for (size_t i = 0; i < COUNT(rows); i++) CHECK(!head_of(rows[i], &head), "row %zu", i);
  assert_true(head_of("\r\n", &head));
}

static void lengths_and_codings(void **state) {
  (void)state;
  static const struct {
    const char *headers;
    bool odd, chunked;
    uint64_t length;
  } rows[] = {
      {"content-length: 12\r\n\r\n", false, false, 12},
      {"content-length:\t12 \r\n\r\n", false, false, 12},
      {"content-length: 999999999999999999\r\n\r\n", false, false, 999999999999999999},
      {"content-length: 1000000000000000000\r\n\r\n", true, true, 0},
      {"content-length: \r\n\r\n", true, true, 0},
      {"content-length: 1/\r\n\r\n", true, true, 0},
      {"content-length: 1:\r\n\r\n", true, true, 0},
      {"content-length: 1\r\ncontent-length: 1\r\n\r\n", true, true, 0},
      {"transfer-encoding: chunked\r\n\r\n", false, true, 0},
      {"transfer-encoding: \tChunked\t\r\n\r\n", false, true, 0},
      {"transfer-encoding: chunker\r\n\r\n", true, true, 0},
      {"transfer-encoding: gzip\r\n\r\n", true, true, 0},
      {"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", true, true, 0},
      {"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n", true, true, 0},
      {"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", true, true, 1},
      {"transfer-encodinG: chunked\r\ntrailer: a\r\n\r\n", false, false, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_haproxy_head head;
    CHECK(head_of(rows[i].headers, &head), "row %zu", i);
    CHECK(head.odd == rows[i].odd && head.chunked == rows[i].chunked, "row %zu", i);
    CHECK(head.content_length == rows[i].length, "row %zu", i);
  }
  st_haproxy_head head;
  subtoken_text nul = exact("a: \0\r\n\r\n", 8);
  assert_true(st_haproxy_head_read(nul, &head) && head.odd);
  release(nul);
  assert_false(st_haproxy_head_read((subtoken_text){NULL, 0}, &head));
}

static void bodies_in_another_charset_are_not_read(void **state) {
  (void)state;
  static const struct {
    const char *headers;
    bool encoded;
  } rows[] = {
      {"content-type: application/json\r\n\r\n", false},
      {"content-type: application/json; charset=utf-8\r\n\r\n", false},
      {"content-type: application/json; Charset=\"UTF-8\" \r\n\r\n", false},
      {"content-type: application/json; charset=utf-8; a=b\r\n\r\n", false},
      {"content-type: application/json; charset=utf-8; charset=utf-7\r\n\r\n", true},
      {"content-type: application/json; charset=utf-16\r\n\r\n", true},
      {"content-type: application/json; charset = utf-8\r\n\r\n", true},
      {"content-type: a/b\r\ncontent-type: a/b\r\n\r\n", true},
      {"content-encoding: gzip\r\n\r\n", true},
      {"content-encoding: Identity\r\n\r\n", false},
      {"content-languages: de\r\ncontents-type: a\r\n\r\n", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_haproxy_head head;
    CHECK(head_of(rows[i].headers, &head), "row %zu", i);
    CHECK(head.encoded == rows[i].encoded, "row %zu", i);
  }
}

static void names_are_known_whole(void **state) {
  (void)state;
  st_haproxy_head head;
  assert_true(
      head_of("authorization: a\r\nauthorizatioN: b\r\naccess-control-request-method: GET\r\n"
              "x-api-key: k\r\nx-api-kez: k\r\norigin: o\r\norigan: o\r\nmcp-method: m\r\n"
              "mcp-name: n\r\nmcp-nose: n\r\nmcp-protocol-version: v\r\nmcp-protocol-versioN: v\r\n"
              "mcp-methoD: m\r\nupgrade: websocket\r\nuser: u\r\nzero: z\r\nconnection: close\r\n"
              "connectioN: subtoken\r\naccess-control-request-methoD: x\r\n\r\n",
              &head));
  assert_int_equal(head.authorization_count, 1);
  assert_int_equal(head.x_api_key_count, 1);
  assert_int_equal(head.mcp_method_count, 1);
  assert_int_equal(head.mcp_name_count, 1);
  assert_int_equal(head.mcp_version_count, 1);
  assert_true(head.origin && head.request_method);
  assert_false(head.identity || head.upgrade || head.named || head.odd);
  assert_true(head_of(
      "upgrade: h2c\r\nx-subtoken-sub: s\r\nconnection: X-Subtoken-Sub, close\r\n\r\n", &head));
  assert_true(head.identity && head.upgrade && head.named && !head.origin);
}

static void more_values_than_are_kept_are_counted(void **state) {
  (void)state;
  static char text[64 * 40];
  st_haproxy_head head;
  st_writer writer = st_writer_on(text, sizeof text);
  for (int i = 0; i < ST_HAPROXY_VALUES_MAX + 2; i++) st_write_literal(&writer, "x-api-key: k\r\n");
  for (int i = 0; i < ST_HAPROXY_MCP_MAX + 2; i++) st_write_literal(&writer, "mcp-name: n\r\n");
  st_write_literal(&writer, "\r\n");
  assert_true(st_writer_end(&writer) && head_of(text, &head));
  assert_int_equal(head.x_api_key_count, ST_HAPROXY_VALUES_MAX + 2);
  assert_int_equal(head.mcp_name_count, ST_HAPROXY_MCP_MAX + 2);
}

static void identity_headers_are_found_one_after_the_other(void **state) {
  (void)state;
  subtoken_text text = exact_string("a: b\r\nx-subtoken-sub: s\r\nx_subtoken_key: k\r\n\r\n");
  size_t at = 0;
  assert_true(st_text_is(st_haproxy_head_identity(text, &at), "x-subtoken-sub"));
  assert_true(st_text_is(st_haproxy_head_identity(text, &at), "x_subtoken_key"));
  assert_null(st_haproxy_head_identity(text, &at).data);
  at = text.len;
  assert_null(st_haproxy_head_identity(text, &at).data);
  release(text);
  text = exact_string("broken");
  at = 0;
  assert_null(st_haproxy_head_identity(text, &at).data);
  release(text);
}

static void the_target_of_http_2_is_its_path(void **state) {
  (void)state;
  static const struct {
    const char *url, *version, *target;
  } rows[] = {
      {"https://api.example/a?b", "2.0", "/a?b"},
      {"http://api.example/a", "3.0", "/a"},
      {"https://api.example/a", "1.1", "https://api.example/a"},
      {"https://api.example/a", "", "https://api.example/a"},
      {"/a", "2.0", "/a"},
      {"", "2.0", ""},
      {"https://api.example", "2.0", "https://api.example"},
      {"https://api.example?/a", "2.0", "https://api.example?/a"},
      {"https://api.example#/a", "2.0", "https://api.example#/a"},
      {"https://u@api.example/a", "2.0", "https://u@api.example/a"},
      {"https://api\\/a", "2.0", "https://api\\/a"},
      {"ftp://api.example/a", "2.0", "ftp://api.example/a"},
      {"httpx://a/b", "2.0", "httpx://a/b"},
      {"*", "2.0", "*"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text url = exact_string(rows[i].url), version = exact_string(rows[i].version);
    CHECK(st_text_is(st_haproxy_head_target(url, version), rows[i].target), "row %zu", i);
    bool open = rows[i].version[0] == '\0' || rows[i].version[0] >= '2';
    CHECK(st_haproxy_head_is_open(version) == open, "row %zu", i);
    release(url);
    release(version);
  }
}

/* ---- what an edge holds ---- */

#define ANOTHER_LINE "three:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMiE\n"
#define RING_LINE "two:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE\n"

static st_haproxy_edge held;
static char why[ST_HAPROXY_ERROR_MAX], warned[ST_HAPROXY_ERROR_MAX];

static st_haproxy_settings settings_of_home(void) {
  static char secrets[400], policy[400], revocations[400];
  snprintf(secrets, sizeof secrets, "%s", in_home("secrets"));
  snprintf(policy, sizeof policy, "%s", in_home("policy"));
  snprintf(revocations, sizeof revocations, "%s", in_home("revoked"));
  return (st_haproxy_settings){.secrets = secrets,
                               .policy = policy,
                               .revocations = revocations,
                               .max_age = 300,
                               .leeway = 60,
                               .max_life = 365 * DAY,
                               .cache = 65536};
}

static int set_up(void **state) {
  char path[300];
  (void)state;
  if (make_home_with("x", path) != 0) return -1;
  put_in_home("secrets", RING_LINE, 0600);
  put_in_home("policy", "{\"default\":\"token\"}", 0644);
  said_count = 0;
  return 0;
}

static bool opens(const st_haproxy_settings *settings) {
  why[0] = '\0';
  bool good = st_haproxy_edge_open(&held, settings, why, warned);
  st_haproxy_edge_close(&held);
  return good;
}

static void settings_are_checked(void **state) {
  (void)state;
  static char long_path[SUBTOKEN_FEED_PATH_MAX + 2], long_issuer[SUBTOKEN_ISSUER_MAX + 2];
  static char many[2 * ST_HAPROXY_NEEDS_MAX + 2], wide[SUBTOKEN_PERMISSION_MAX + 2];
  memset(long_path, '/', sizeof long_path - 1);
  memset(long_issuer, 'a', sizeof long_issuer - 1);
  memcpy(long_issuer, "https://", 8);
  memset(wide, 'p', sizeof wide - 1);
  for (size_t i = 0; i < sizeof many - 1; i++) many[i] = i % 2 == 0 ? 'a' : ',';
  st_haproxy_settings s = settings_of_home();
  assert_true(opens(&s));
  assert_non_null(strstr(warned, "revocations")); /* there is no data yet */
#define BAD(member, value, word) \
  s = settings_of_home();        \
  s.member = value;              \
  CHECK(!opens(&s) && strstr(why, word) != NULL, "%s: %s", #member, why)
  BAD(secrets, NULL, "secrets");
  BAD(secrets, "relative", "from the root on");
  BAD(secrets, long_path, "must not exceed");
  BAD(policy, "relative", "policy");
  BAD(revocations, "relative", "revocations");
  BAD(leeway, -1, "leeway");
  BAD(leeway, SUBTOKEN_LEEWAY_MAX + 1, "leeway");
  BAD(max_age, -1, "max_age");
  BAD(max_life, 0, "max_life");
  BAD(max_size, -1, "max_size");
  BAD(audience, "", "audience");
  BAD(issuer, "http://keys.example", "issuer");
  BAD(issuer, long_issuer, "issuer");
  BAD(require, "a,,b", "1 to");
  BAD(require, wide, "1 to");
  BAD(require, many, "too many");
  BAD(cache, 1, "cache");
  BAD(cache, LONG_MAX, "no memory");
#undef BAD
  s = settings_of_home();
  s.require = "", s.audience = "eu", s.issuer = "https://keys.example", s.cache = 0;
  assert_true(opens(&s));
  s.require = "account,guilds", s.policy = s.revocations = NULL;
  assert_true(opens(&s));
}

static void files_are_checked(void **state) {
  (void)state;
  static char large[ST_HAPROXY_EDGE_SECRETS_MAX + 2];
  st_haproxy_settings s = settings_of_home();
  memset(large, '#', sizeof large - 1);
  put_in_home("secrets", RING_LINE, 0644);
  assert_true(!opens(&s) && strstr(why, "open to others") != NULL);
  put_in_home("secrets", RING_LINE, 0660);
  assert_true(!opens(&s) && strstr(why, "trust_group=on") != NULL);
  s.trust_group = true;
  assert_true(opens(&s));
  put_in_home("secrets", large, 0600);
  assert_true(!opens(&s) && strstr(why, "longer than") != NULL);
  put_in_home("secrets", "two:short\n", 0600);
  assert_true(!opens(&s) && strstr(why, "line 1") != NULL);
  put_in_home("secrets", "", 0600); /* no line of it is wrong */
  assert_true(!opens(&s) && strstr(why, "\" holds no secret") != NULL);
  put_in_home("secrets", RING_LINE, 0600);
  put_in_home("policy", "{\n\"default\":7}", 0600);
  assert_true(!opens(&s) && strstr(why, "line 2") != NULL);
  assert_int_equal(unlink(in_home("policy")), 0);
  assert_true(!opens(&s) && strstr(why, "cannot read") != NULL);
  assert_int_equal(mkdir(in_home("policy"), 0700), 0);
  assert_true(!opens(&s) && strstr(why, "not a regular file") != NULL);
  assert_int_equal(rmdir(in_home("policy")), 0);
  put_in_home("policy", "{\"default\":\"token\"}", 0644);
  put_in_home("revoked", "no snapshot", 0644);
  put_in_home("revoked.alive", "no heartbeat", 0644);
  assert_true(!opens(&s) && strstr(why, "feed_bad") != NULL);
  if (geteuid() != 0) return;
  struct stat other = {.st_uid = 12345, .st_mode = S_IFREG | 0600};
  st_haproxy_file file = {.what = "secrets", .secret = true};
  assert_int_equal(seteuid(54321), 0);
  bool good = st_haproxy_file_check(&file, 10, &other, why);
  other.st_mode |= S_IRGRP;
  bool of_group = st_haproxy_file_check(&file, 10, &other, why);
  assert_int_equal(seteuid(0), 0);
  assert_true(!good && of_group);
}

static void nothing_is_lost_when_a_call_fails(void **state) {
  (void)state;
  st_haproxy_settings s = settings_of_home();
  s.require = "account", s.audience = "eu", s.issuer = "https://keys.example";
  FAILING_EACH(FAIL_MEMORY | FAIL_FILES, 1, bool good = opens(&s),
               { CHECK(good || (failed && why[0] != '\0'), "call %ld", nth); });
  /* A read goes on where it was interrupted; to open begins anew at the next poll. */
  FAILING_EACH(FAIL_SIGNALS, 1, bool good = opens(&s),
               { CHECK(good || strstr(why, strerror(EINTR)) != NULL, "call %ld: %s", nth, why); });
}

static void changes_are_taken_up_or_told_once(void **state) {
  (void)state;
  st_haproxy_settings s = settings_of_home();
  assert_true(st_haproxy_edge_open(&held, &s, why, warned));
  assert_ptr_equal(st_haproxy_edge_check(NULL, 1), said);
  assert_false(st_haproxy_edge_poll(&held, &log_lines)); /* there is no data: told, and its age */
  size_t before = said_count;
  assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_int_equal(said_count, before);
  put_in_home("secrets", "two:short\n", 0600);
  assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_true(said_count == before + 1 && strstr(said, "stays in use") != NULL);
  assert_int_equal(held.ring->count, 1);
  assert_int_equal(unlink(in_home("policy")), 0);
  for (int i = 0; i < 3; i++) assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_true(said_count == before + 2 && strstr(said, "policy") != NULL);
  put_in_home("policy", "{\"default\":\"deny\"}", 0644);
  put_in_home("secrets", RING_LINE, 0600);
  assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_int_equal(said_count, before + 2);
  held.feed->mounted = true;
  for (int i = 0; i < 2; i++) assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_true(said_count == before + 3 && strstr(said, "mount") != NULL);
  /* Nobody has polled for a while: a request does. */
  held.polled_ms -= 2 * ST_HAPROXY_EDGE_LATE_MS;
  int64_t polled = held.polled_ms;
  assert_true(st_haproxy_edge_now(&held, &log_lines) >= held.clock.now);
  assert_true(held.polled_ms > polled);
  st_haproxy_edge_close(&held);
}

/* What was missing may be there at the next poll, while the file stays as it is. */
static void what_fails_when_a_file_has_changed_is_tried_again(void **state) {
  (void)state;
  st_haproxy_settings s = settings_of_home();
  s.revocations = NULL;
  assert_true(st_haproxy_edge_open(&held, &s, why, warned));
  assert_false(st_haproxy_edge_poll(&held, &log_lines)); /* that which looks for the root */
  bool failed = true;
  for (long nth = 1; failed; nth++) {
    const subtoken_policy *before = held.edge.policy;
    bool two = held.ring->count == 1;
    put_in_home("secrets", two ? RING_LINE ANOTHER_LINE : RING_LINE, 0600);
    put_in_home("policy", "{\"default\":\"deny\"}", 0644);
    failing_begin(FAIL_MEMORY | FAIL_FILES, nth);
    assert_false(st_haproxy_edge_poll(&held, &log_lines));
    failed = failing_end();
    assert_true(failed || nth > 4);
    assert_false(st_haproxy_edge_poll(&held, &log_lines));
    CHECK(held.edge.policy != before && (held.ring->count == 2) == two, "call %ld", nth);
  }
  st_haproxy_edge_close(&held);
}

static void what_is_outside_of_the_chroot_stays(void **state) {
  (void)state;
  st_haproxy_settings s = settings_of_home();
  assert_true(st_haproxy_edge_open(&held, &s, why, warned));
  /* As though the root had changed to a directory that is not above these files. */
  st_haproxy_file *files[] = {&held.secrets_file, &held.policy_file, &held.feed_name};
  for (size_t i = 0; i < COUNT(files); i++) memset(files[i]->above, 0, sizeof files[i]->above);
  assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_true(said_count >= 3);
  for (size_t i = 0; i < COUNT(files); i++) {
    assert_string_equal(files[i]->path, "");
    assert_false(st_haproxy_file_has_changed(files[i]));
  }
  st_haproxy_edge_close(&held);
  s.revocations = s.policy = NULL, s.cache = 0;
  assert_true(st_haproxy_edge_open(&held, &s, why, warned));
  assert_false(st_haproxy_edge_poll(&held, &log_lines));
  assert_true(st_haproxy_edge_now(&held, &log_lines) > NOW);
  st_haproxy_edge_close(&held);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_not_whole_is_refused),
      cmocka_unit_test(lengths_and_codings),
      cmocka_unit_test(bodies_in_another_charset_are_not_read),
      cmocka_unit_test(names_are_known_whole),
      cmocka_unit_test(more_values_than_are_kept_are_counted),
      cmocka_unit_test(identity_headers_are_found_one_after_the_other),
      cmocka_unit_test(the_target_of_http_2_is_its_path),
      cmocka_unit_test_setup_teardown(settings_are_checked, set_up, remove_home),
      cmocka_unit_test_setup_teardown(files_are_checked, set_up, remove_home),
      cmocka_unit_test_setup_teardown(nothing_is_lost_when_a_call_fails, set_up, remove_home),
      cmocka_unit_test_setup_teardown(changes_are_taken_up_or_told_once, set_up, remove_home),
      cmocka_unit_test_setup_teardown(what_fails_when_a_file_has_changed_is_tried_again, set_up,
                                      remove_home),
      cmocka_unit_test_setup_teardown(what_is_outside_of_the_chroot_stays, set_up, remove_home),
  };
  return cmocka_run_group_tests_name("haproxy", tests, NULL, NULL);
}
