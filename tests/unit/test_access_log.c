/* access_log: a line for each request, whatever it holds, and no credential in it. */
#include "log_fixture.h"

#include "domain/key.h"
#include "server/access_log.h"
#include "service/service.h"

#define KEY "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"

static st_reply reply;

static void log_request(subtoken_text method, subtoken_text target, const char *remote) {
  st_request request = {.method = method, .target = target, .now = NOW};
  st_access_log_write(&request, &reply, st_text(remote), 123);
}

static int set_up(void **state) {
  (void)state;
  memset(&reply, 0, sizeof reply);
  reply.status = 200;
  start_over();
  return 0;
}

static void a_request_is_one_line(void **state) {
  (void)state;
  log_request(ST_TEXT("GET"), ST_TEXT("/v2/tokeninfo?access_token=" KEY), "192.0.2.1");
  wait_for_lines(path, 1);
  assert_string_equal(log_text,
                      "{\"time\":\"2023-11-14T22:13:20Z\",\"event\":\"request\","
                      "\"remote\":\"192.0.2.1\",\"method\":\"GET\",\"path\":\"/v2/tokeninfo\","
                      "\"status\":200,\"us\":123}\n");
}

static void what_is_known_of_a_request_is_told(void **state) {
  (void)state;
  reply.status = 401;
  reply.event.name = "expired";
  memcpy(reply.event.credential, "0011aaff", 9);
  memcpy(reply.event.key_id, KEY, ST_KEY_ID_LEN);
  reply.event.dropped = 3;
  reply.event.clamped = true;
  reply.event.delta = -61;
  log_request(ST_TEXT("POST"), ST_TEXT("/v2/createsubtoken"), "::1");
  wait_for_lines(path, 1);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "reason"), "expired");
  assert_string_equal(string_of(line, "credential"), "0011aaff");
  assert_string_equal(string_of(line, "key"), "01234567-89AB-CDEF-0123-456789ABCDEF");
  assert_true(number_of(line, "status") == 401);
  assert_true(number_of(line, "dropped") == 3);
  assert_true(number_of(line, "clamped") == 1);
  assert_true(number_of(line, "delta") == -61);
  cJSON_Delete(line);
}

/* Whatever ASCII a client can make up; the head reader lets no other byte through to
 * method and target. */
static void hostile_bytes_are_escaped(void **state) {
  (void)state;
  char all[127];
  for (size_t i = 0; i < sizeof all; i++) all[i] = (char)(i + 1);
  static const char *const rows[] = {"\"",
                                     "\\",
                                     "\\\"}\n{\"event\":\"forged\"}",
                                     "\r\n\r\n",
                                     "\x1b[31m",
                                     "a/\"/\\/\x01/\x7F",
                                     "\xC3\xAB\xE2\x80\xA8"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    log_request(st_text(rows[i]), st_text(rows[i]), rows[i]);
    reply.event.name = rows[i];
    st_log_event("event", rows[i]);
    reply.event.name = NULL;
  }
  log_request((subtoken_text){all, sizeof all}, (subtoken_text){all, sizeof all}, "x");
  log_request((subtoken_text){NULL, 0}, (subtoken_text){NULL, 0}, ""); /* after a bad head */
  size_t lines = 2 * COUNT(rows) + 2;
  wait_for_lines(path, lines);
  for (size_t i = 0; i < lines; i++) cJSON_Delete(line_at(i));
  cJSON *line = line_at(4);
  assert_string_equal(string_of(line, "event"), "request");
  assert_string_equal(string_of(line, "remote"), rows[2]);
  cJSON_Delete(line);
  line = line_at(lines - 1);
  assert_string_equal(string_of(line, "path"), "");
  cJSON_Delete(line);
}

static void a_long_method_is_cut(void **state) {
  (void)state;
  subtoken_text method = repeated("", 'M', 8000);
  log_request(method, ST_TEXT("/"), "x");
  wait_for_lines(path, 1);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "method"), "MMMMMMMMMMMMMMMM");
  cJSON_Delete(line);
  release(method);
}

static void the_query_is_never_shown(void **state) {
  (void)state;
  static const char *const targets[] = {"/v2/tokeninfo?access_token=secret", "/?secret", "?secret",
                                        "/a?b?secret", "/a?x=/secret/"};
  for (size_t i = 0; i < COUNT(targets); i++) log_request(ST_TEXT("GET"), st_text(targets[i]), "x");
  wait_for_lines(path, COUNT(targets));
  assert_null(strstr(log_text, "secret"));
  cJSON *line = line_at(3);
  assert_string_equal(string_of(line, "path"), "/a");
  cJSON_Delete(line);
}

/* A key or token that was put in the path is told by its hash alone. */
static void a_long_segment_is_replaced_by_its_hash(void **state) {
  (void)state;
  uint8_t digest[ST_HASH_LEN];
  char expected[200];
  st_sha256(KEY, ST_KEY_LEN, digest);
  snprintf(expected, sizeof expected, "/v2/[%02x%02x%02x%02x]/x", digest[0], digest[1], digest[2],
           digest[3]);
  log_request(ST_TEXT("GET"), ST_TEXT("/v2/" KEY "/x?y"), "x");
  log_request(ST_TEXT("GET"),
              ST_TEXT("/"
                      "0123456789012345678901234567890123456789"),
              "x");
  log_request(ST_TEXT("GET"),
              ST_TEXT("/"
                      "01234567890123456789012345678901234567890"),
              "x");
  wait_for_lines(path, 3);
  assert_null(strstr(log_text, KEY));
  assert_null(strstr(log_text, "01234567890123456789012345678901234567890"));
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "path"), expected);
  cJSON_Delete(line);
  line = line_at(1); /* 40 characters are shown, 41 are not */
  assert_string_equal(string_of(line, "path"), "/0123456789012345678901234567890123456789");
  cJSON_Delete(line);
}

/* The longest target there is: one line, of bounded length. */
static void a_long_path_is_cut(void **state) {
  (void)state;
  char target[SUBTOKEN_TARGET_MAX];
  for (size_t i = 0; i < sizeof target; i++) target[i] = i % 30 == 0 ? '/' : '"';
  log_request(ST_TEXT("GET"), (subtoken_text){target, sizeof target}, "x");
  memset(target, '/', sizeof target);
  log_request(ST_TEXT("GET"), (subtoken_text){target, sizeof target}, "x");
  memset(target, '\x7F', sizeof target);
  log_request(ST_TEXT("GET"), (subtoken_text){target, sizeof target}, "x");
  wait_for_lines(path, 3);
  for (size_t i = 0; i < 3; i++) {
    cJSON *line = line_at(i);
    CHECK(strlen(string_of(line, "path")) <= 300, "%s", string_of(line, "path"));
    cJSON_Delete(line);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_request_is_one_line, set_up),
      cmocka_unit_test_setup(what_is_known_of_a_request_is_told, set_up),
      cmocka_unit_test_setup(hostile_bytes_are_escaped, set_up),
      cmocka_unit_test_setup(a_long_method_is_cut, set_up),
      cmocka_unit_test_setup(the_query_is_never_shown, set_up),
      cmocka_unit_test_setup(a_long_segment_is_replaced_by_its_hash, set_up),
      cmocka_unit_test_setup(a_long_path_is_cut, set_up),
  };
  return cmocka_run_group_tests_name("access_log", tests, start, end);
}
