/* The small server of the metrics: what it answers, and its calls of the system failing. Beside a
 * server, and with many clients: tests/e2e/test_metrics.py.
 */
#include "failing.h"
#include "support.h"

#include <sys/un.h>

#include "home_fixture.h"
#include "server/metrics_listener.h"

static char path[300];
static st_listen where;

static void write_metrics(st_exposition *e) {
  st_exposition_one(e, "test", ST_METRIC_COUNTER, "A test.", 2);
}

static int set_up(void **state) {
  (void)state;
  char text[320];
  if (make_home_with("in", path) != 0) return -1;
  snprintf(text, sizeof text, "unix:%s", path);
  if (!st_listen_read(st_text(text), &where)) return -1;
  return st_metrics_listener_start(&where, write_metrics, error) ? 0 : -1;
}

static int tear_down(void **state) {
  st_metrics_listener_stop();
  st_metrics_listener_stop(); /* of none nothing is stopped */
  return remove_home(state);
}

static int connect_to_it(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
  int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(__real_connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  return fd;
}

static void say(int fd, const char *text) {
  (void)!__real_send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* All that comes until it closes. */
static const char *hear(int fd) {
  static char heard[65536];
  size_t len = 0;
  for (ssize_t n; (n = __real_recv(fd, heard + len, sizeof heard - 1 - len, 0)) > 0;) {
    len += (size_t)n;
  }
  heard[len] = '\0';
  close(fd);
  return heard;
}

static const char *ask(const char *text) {
  int fd = connect_to_it();
  say(fd, text);
  return hear(fd);
}

#define CLOSE "Host: a\r\nConnection: close\r\n\r\n"

static bool answers(void) {
  const char *answer = ask("GET /metrics HTTP/1.1\r\n" CLOSE);
  return strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0 && strstr(answer, "test_total 2") != NULL;
}

static void requests_are_answered_or_refused(void **state) {
  (void)state;
  static char long_target[20000], long_header[20000];
  static const struct {
    const char *text, *status, *piece;
  } rows[] = {
      {"GET /metrics HTTP/1.1\r\n" CLOSE, "200 OK", "# TYPE test"},
      {"GET /metrics?a=b HTTP/1.1\r\n" CLOSE, "200 OK", "test_total 2"},
      {"HEAD /metrics HTTP/1.1\r\n" CLOSE, "200 OK", "Content-Length: "},
      {"GET / HTTP/1.1\r\n" CLOSE, "404 Not Found", "there is only /metrics here"},
      {"HEAD / HTTP/1.1\r\n" CLOSE, "404 Not Found", "Content-Length: "},
      {"GET /metrics/ HTTP/1.1\r\n" CLOSE, "404 Not Found", "there is only /metrics here"},
      {"POST /metrics HTTP/1.1\r\n" CLOSE, "405 Method Not Allowed", "Allow: GET, HEAD\r\n"},
      {"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "413 Content Too Large",
       "has no body"},
      {"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
       "413 Content Too Large", "has no body"},
      {"BAD\r\n\r\n", "400 Bad Request", "Connection: close\r\n"},
      {long_target, "414 URI Too Long", "Connection: close\r\n"},
      {long_header, "431 Request Header Fields Too Large", "Connection: close\r\n"},
  };
  memset(long_target, 'x', sizeof long_target - 1);
  memcpy(long_target, "GET /", 5);
  memset(long_header, 'x', sizeof long_header - 1);
  memcpy(long_header, "GET / HTTP/1.1\r\nA: ", 19);
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *answer = ask(rows[i].text);
    CHECK(strncmp(answer, "HTTP/1.1 ", 9) == 0 &&
              strncmp(answer + 9, rows[i].status, strlen(rows[i].status)) == 0,
          "row %zu: %s", i, answer);
    CHECK(strstr(answer, rows[i].piece) != NULL, "row %zu: %s", i, answer);
    const char *body = strstr(answer, "\r\n\r\n");
    CHECK(body != NULL && (body[4] == '\0') == (rows[i].text[0] == 'H'), "row %zu: %s", i, answer);
  }
}

/* One behind the other, the second in two pieces. */
static void a_connection_is_kept(void **state) {
  (void)state;
  int fd = connect_to_it();
  say(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\n");
  say(fd, CLOSE "GET /never HTTP/1.1\r\n" CLOSE);
  const char *answer = hear(fd), *second = strstr(answer, "HTTP/1.1 404");
  assert_true(strncmp(answer, "HTTP/1.1 200", 12) == 0 && second != NULL);
  assert_null(strstr(second + 1, "HTTP/1.1"));
}

/* The first call of its thread is accept4, then recv, then send. */
static void what_fails_costs_one_request(void **state) {
  (void)state;
  static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED};
  for (size_t i = 0; i < COUNT(errors); i++) {
    failing_accept = errors[i];
    failing_begin(FAIL_SOCKETS, 1);
    atomic_store(&failing.everywhere, true);
    bool answered = answers(); /* it was in the queue still */
    assert_true(failing_end());
    CHECK(answered, "error %zu", i);
  }
  failing_accept = EMFILE;
  for (long nth = 2; nth <= 3; nth++) {
    failing_begin(FAIL_SOCKETS, nth);
    atomic_store(&failing.everywhere, true);
    bool answered = answers();
    CHECK(failing_end() && !answered, "call %ld", nth);
    CHECK(answers(), "behind call %ld", nth);
  }
  for (long nth = 1; nth <= 6; nth++) { /* interrupted: nothing is lost */
    failing_fill = nth > 3;
    failing_begin(FAIL_SIGNALS, nth % 3 + 1);
    atomic_store(&failing.everywhere, true);
    bool answered = answers();
    (void)failing_end();
    CHECK(answered, "signal %ld", nth);
  }
  failing_fill = 0;
}

static atomic_int interruptions;

static int interrupt(struct pollfd *of, nfds_t count, int ms) {
  if (atomic_fetch_sub(&interruptions, 1) <= 0) return __real_poll(of, count, ms);
  errno = EINTR;
  return -1;
}

/* Its wait fails, or is interrupted: it goes on. */
static void a_wait_that_fails_costs_nothing(void **state) {
  (void)state;
  failing_begin(FAIL_FILES, 1);
  atomic_store(&failing.everywhere, true);
  bool answered = answers();
  assert_true(failing_end() && answered);
  interruptions = 3;
  failing_poll = interrupt;
  answered = answers();
  failing_poll = NULL;
  assert_true(answered);
}

static void without_memory_it_says_so(void **state) {
  (void)state;
  failing_begin(FAIL_MEMORY, 1);
  atomic_store(&failing.everywhere, true);
  atomic_store(&failing.burst, 1000);
  const char *answer = ask("GET /metrics HTTP/1.1\r\n" CLOSE);
  assert_true(failing_end());
  assert_non_null(strstr(answer, "HTTP/1.1 503 Service Unavailable\r\n"));
  assert_non_null(strstr(answer, "there is no memory for the metrics"));
  assert_true(answers());
}

/* Whether it starts: the last test, for it ends the one that runs. */
static void it_begins_or_says_why(void **state) {
  (void)state;
  bool begun = false;
  st_metrics_listener_stop();
  FAILING_EACH(FAIL_MEMORY | FAIL_FILES | FAIL_SOCKETS | FAIL_THREADS, 1,
               begun = st_metrics_listener_start(&where, write_metrics, error), {
                 CHECK(begun || (failed && error[0] != '\0'), "call %ld", nth);
                 CHECK(!begun || answers(), "call %ld", nth);
                 st_metrics_listener_stop();
                 CHECK(access(path, F_OK) != 0, "call %ld: the socket is left", nth);
               });
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_answered_or_refused),
      cmocka_unit_test(a_connection_is_kept),
      cmocka_unit_test(what_fails_costs_one_request),
      cmocka_unit_test(a_wait_that_fails_costs_nothing),
      cmocka_unit_test(without_memory_it_says_so),
      cmocka_unit_test(it_begins_or_says_why),
  };
  return cmocka_run_group_tests_name("metrics_listener", tests, set_up, tear_down);
}
