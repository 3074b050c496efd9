/* log: one line a request or event, whatever they hold; what is lost is counted. The
 * log is started once in a process: these tests share it, and send it elsewhere.
 */
#include "support.h"

#include <cJSON.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "domain/key.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/file.h"
#include "os/log.h"
#include "server/access_log.h"
#include "service/service.h"

#define KEY "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"
#define WAIT_MS 10000

static char dir[] = "/tmp/subtoken-log-XXXXXX";
static char path[100], other_path[100];
static char error[ST_ERROR_MAX];
static char text[1 << 20];

static size_t read_file(const char *name) {
  FILE *file = fopen(name, "rb");
  size_t len = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file != NULL) fclose(file);
  text[len] = '\0';
  return len;
}

static size_t count_lines(size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++) count += text[i] == '\n';
  return count;
}

/* The file, once it has that many lines. */
static void wait_for_lines(const char *name, size_t lines) {
  size_t seen = 0;
  for (int waited = 0; waited < WAIT_MS; waited++) {
    seen = count_lines(read_file(name));
    if (seen >= lines) break;
    poll(NULL, 0, 1);
  }
  CHECK(seen == lines, "%s has %zu lines, not %zu:\n%s", name, seen, lines, text);
}

/* Line n of text, from 0, parsed; each is one strict JSON object. Delete it. */
static cJSON *line_at(size_t n) {
  subtoken_text line;
  st_cutter cutter = {st_text(text), false};
  for (size_t i = 0; i <= n; i++) assert_true(st_cut(&cutter, '\n', &line));
  subtoken_text copy = exact(line.data, line.len);
  bool strict = st_json_valid((char *)(uintptr_t)copy.data, copy.len);
  release(copy);
  CHECK(strict, "no strict JSON: %.*s", (int)line.len, line.data);
  for (size_t i = 0; i < line.len; i++) {
    CHECK((unsigned char)line.data[i] >= 0x20 && line.data[i] != 0x7F, "a control character: %.*s",
          (int)line.len, line.data);
  }
  cJSON *json = cJSON_ParseWithLength(line.data, line.len);
  assert_true(cJSON_IsObject(json));
  return json;
}

static const char *string_of(const cJSON *line, const char *name) {
  const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
  return value != NULL ? value : "(none)";
}

static double number_of(const cJSON *line, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, name);
  return cJSON_IsNumber(item) ? item->valuedouble : -1e9;
}

static bool reopen(const char *name) {
  int file = -1;
  if (!st_log_open(name, &file, error)) return false;
  st_log_use(file, true);
  return true;
}

/* A new, empty file for one test. */
static void start_over(void) {
  unlink(path);
  assert_true(reopen(path));
}

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

/* ---- lines ---- */

static void test_request_line(void **state) {
  (void)state;
  log_request(ST_TEXT("GET"), ST_TEXT("/v2/tokeninfo?access_token=" KEY), "192.0.2.1");
  wait_for_lines(path, 1);
  assert_string_equal(text,
                      "{\"time\":\"2023-11-14T22:13:20Z\",\"event\":\"request\","
                      "\"remote\":\"192.0.2.1\",\"method\":\"GET\",\"path\":\"/v2/tokeninfo\","
                      "\"status\":200,\"us\":123}\n");
}

static void test_all_fields(void **state) {
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
static void test_hostile(void **state) {
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

static void test_method_is_cut(void **state) {
  (void)state;
  subtoken_text method = repeated("", 'M', 8000);
  log_request(method, ST_TEXT("/"), "x");
  wait_for_lines(path, 1);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "method"), "MMMMMMMMMMMMMMMM");
  cJSON_Delete(line);
  release(method);
}

static void test_query_is_not_shown(void **state) {
  (void)state;
  static const char *const targets[] = {"/v2/tokeninfo?access_token=secret", "/?secret", "?secret",
                                        "/a?b?secret", "/a?x=/secret/"};
  for (size_t i = 0; i < COUNT(targets); i++) log_request(ST_TEXT("GET"), st_text(targets[i]), "x");
  wait_for_lines(path, COUNT(targets));
  assert_null(strstr(text, "secret"));
  cJSON *line = line_at(3);
  assert_string_equal(string_of(line, "path"), "/a");
  cJSON_Delete(line);
}

/* A key or token that was put in the path is told by its hash alone. */
static void test_long_segments(void **state) {
  (void)state;
  uint8_t digest[ST_HASH_LEN];
  char expected[200];
  assert_true(st_sha256(KEY, ST_KEY_LEN, digest));
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
  assert_null(strstr(text, KEY));
  assert_null(strstr(text, "01234567890123456789012345678901234567890"));
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "path"), expected);
  cJSON_Delete(line);
  line = line_at(1); /* 40 characters are shown, 41 are not */
  assert_string_equal(string_of(line, "path"), "/0123456789012345678901234567890123456789");
  cJSON_Delete(line);
}

/* The longest target there is: one line, of bounded length. */
static void test_long_paths(void **state) {
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

static void test_events(void **state) {
  (void)state;
  st_log_event("started", "on \"127.0.0.1\"\n");
  st_log_event("timeout", NULL);
  wait_for_lines(path, 2);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "event"), "started");
  assert_string_equal(string_of(line, "detail"), "on \"127.0.0.1\"\n");
  assert_int_equal(strlen(string_of(line, "time")), 20);
  cJSON_Delete(line);
  line = line_at(1);
  assert_false(cJSON_HasObjectItem(line, "detail"));
  cJSON_Delete(line);
}

/* ---- lines that are lost ---- */

static void check_dropped(const char *name, size_t at, int count) {
  wait_for_lines(name, at + 1);
  cJSON *line = line_at(at);
  assert_string_equal(string_of(line, "event"), "log_dropped");
  CHECK(number_of(line, "count") == count, "%g, not %d", number_of(line, "count"), count);
  cJSON_Delete(line);
}

/* A line that is too long for one is not cut into something that is no JSON. */
static void test_too_long(void **state) {
  (void)state;
  static char detail[2 * ST_LOG_LINE_MAX];
  memset(detail, 'x', sizeof detail - 1);
  st_log_event("event", detail);
  st_log_event("after", NULL);
  check_dropped(path, 1, 1);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "event"), "after");
  cJSON_Delete(line);
}

/* A full disk: served on, and told when there is room again. */
static void test_full_disk(void **state) {
  (void)state;
  assert_true(reopen("/dev/full"));
  for (int i = 0; i < 5; i++) st_log_event("lost", NULL);
  poll(NULL, 0, 200); /* they are tried, and fail */
  start_over();
  st_log_event("kept", NULL);
  check_dropped(path, 1, 5);
  assert_null(strstr(text, "lost"));
}

enum { SENT = 40000 };
static char fifo_text[SENT * 128];

static size_t drain(int fd, int wait_ms) {
  size_t len = 0;
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  while (poll(&waiting, 1, wait_ms) > 0) {
    ssize_t n = read(fd, fifo_text + len, sizeof fifo_text - 1 - len);
    if (n <= 0) break;
    len += (size_t)n;
  }
  fifo_text[len] = '\0';
  return len;
}

/* Lines that are there, and lines of which the log says that they are not. */
static void tally(const char *lines, size_t *came, size_t *lost) {
  static const char told[] = "\"log_dropped\",\"count\":";
  for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
    const char *count = strstr(lines, told);
    if (count != NULL && count < end) {
      *lost += strtoul(count + sizeof told - 1, NULL, 10);
    } else {
      ++*came;
    }
  }
}

/* A reader that does not read: what fits is kept, the rest counted, nobody waits. */
static void test_slow_reader(void **state) {
  (void)state;
  char fifo[120];
  snprintf(fifo, sizeof fifo, "%s/fifo", dir);
  assert_int_equal(mkfifo(fifo, 0600), 0);
  int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_true(reopen(fifo));
  int64_t began = st_clock_monotonic_us();
  for (int i = 0; i < SENT; i++) st_log_event("event", "0123456789012345678901234567890");
  assert_true(st_clock_monotonic_us() - began < 5 * INT64_C(1000000));
  size_t came = 0, lost = 0;
  (void)drain(fd, 500);
  tally(fifo_text, &came, &lost);
  assert_true(came > 1000 && came < SENT);
  start_over();
  st_log_event("after", NULL);
  /* While it was drained there may have been room for telling, there or only here. */
  size_t came_here = 0, lost_here = 0;
  for (int waited = 0; waited < WAIT_MS; waited++) {
    came_here = lost_here = 0;
    (void)read_file(path);
    tally(text, &came_here, &lost_here);
    if (came_here == 1 && came + lost + lost_here == SENT) break;
    poll(NULL, 0, 1);
  }
  CHECK(came_here == 1 && came + lost + lost_here == SENT,
        "%zu came and %zu were lost, then %zu and %zu", came, lost, came_here, lost_here);
  close(fd);
  unlink(fifo);
}

/* ---- reopening ---- */

static void test_reopen(void **state) {
  (void)state;
  st_log_event("first", NULL);
  wait_for_lines(path, 1);
  assert_int_equal(rename(path, other_path), 0); /* as logrotate does */
  st_log_event("second", NULL);
  wait_for_lines(other_path, 2);
  assert_true(reopen(path));
  st_log_event("third", NULL);
  wait_for_lines(path, 1);
  assert_non_null(strstr(text, "third"));
  wait_for_lines(other_path, 2);
  /* Appends: what is there is not cut. */
  assert_true(reopen(other_path));
  st_log_event("fourth", NULL);
  wait_for_lines(other_path, 3);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0640 & ~umask(0));
}

static void test_reopen_fails(void **state) {
  (void)state;
  char missing[120];
  snprintf(missing, sizeof missing, "%s/missing/log", dir);
  assert_false(reopen(missing));
  assert_non_null(strstr(error, missing));
  assert_false(reopen(dir));
  int file;
  assert_true(st_log_open(other_path, &file, error));
  st_log_use(file, false);          /* thought better of it */
  st_log_event("still here", NULL); /* in the file that was open */
  wait_for_lines(path, 1);
  assert_null(strstr(text, "missing"));
  assert_int_equal(count_lines(read_file(other_path)), 3); /* of the test before */
}

/* ---- start and stop ---- */

static int start(void **state) {
  (void)state;
  umask(022);
  if (mkdtemp(dir) == NULL) return -1;
  snprintf(path, sizeof path, "%s/log", dir);
  snprintf(other_path, sizeof other_path, "%s/log.1", dir);
  return st_log_start(path, error) ? 0 : -1;
}

/* What was logged before the end is in the file at the end. */
static void test_stop(void **state) {
  (void)state;
  for (int i = 0; i < 500; i++) st_log_event("last", NULL);
  st_log_stop();
  assert_int_equal(count_lines(read_file(path)), 500);
  st_log_stop(); /* once is enough, twice no harm */
}

static int end(void **state) {
  (void)state;
  unlink(path);
  unlink(other_path);
  return rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_request_line, set_up),
      cmocka_unit_test_setup(test_all_fields, set_up),
      cmocka_unit_test_setup(test_hostile, set_up),
      cmocka_unit_test_setup(test_method_is_cut, set_up),
      cmocka_unit_test_setup(test_query_is_not_shown, set_up),
      cmocka_unit_test_setup(test_long_segments, set_up),
      cmocka_unit_test_setup(test_long_paths, set_up),
      cmocka_unit_test_setup(test_events, set_up),
      cmocka_unit_test_setup(test_too_long, set_up),
      cmocka_unit_test_setup(test_full_disk, set_up),
      cmocka_unit_test_setup(test_slow_reader, set_up),
      cmocka_unit_test_setup(test_reopen, set_up),
      cmocka_unit_test_setup(test_reopen_fails, set_up),
      cmocka_unit_test_setup(test_stop, set_up),
  };
  return cmocka_run_group_tests_name("log", tests, start, end);
}
