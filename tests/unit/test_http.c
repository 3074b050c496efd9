/* http: the server in this process, over real sockets, with a store and ring of its own. */
#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/data_dir.h"
#include "cli/options.h"
#include "operations/draw.h"
#include "os/clock.h"
#include "os/error.h"
#include "server/http.h"
#include "server/listener.h"
#include "server/runtime_config.h"

static char dir[] = "/tmp/subtoken-http-XXXXXX";
static st_data_dir data;
static st_settings settings;
static st_store *store;
static char key[ST_KEY_LEN + 1];
static char error[ST_ERROR_MAX];

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

/* Sends, and hears until the server closes (or ten seconds have passed). */
static const char *exchange(const char *text) {
  static char answer[65536];
  size_t len = 0;
  int fd = connect_to(st_listener_port(0));
  assert_true(fd >= 0);
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  while (len < sizeof answer - 1 && poll(&waiting, 1, 10000) > 0) {
    ssize_t n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
    if (n <= 0) break;
    len += (size_t)n;
  }
  close(fd);
  answer[len] = '\0';
  return answer;
}

static void must_hold(const char *answer, const char *piece) {
  CHECK(strstr(answer, piece) != NULL, "no `%s` in\n%s", piece, answer);
}

static void must_lack(const char *answer, const char *piece) {
  CHECK(strstr(answer, piece) == NULL, "`%s` in\n%s", piece, answer);
}

static size_t count_of(const char *answer, const char *piece) {
  size_t count = 0;
  for (; (answer = strstr(answer, piece)) != NULL; answer++) count++;
  return count;
}

/* What every answer has, once. */
static void check_common(const char *answer) {
  static const char *const lines[] = {"\r\nDate: ", "\r\nCache-Control: no-store\r\n",
                                      "\r\nX-Content-Type-Options: nosniff\r\n",
                                      "\r\nAccess-Control-Allow-Origin: *\r\n"};
  assert_memory_equal(answer, "HTTP/1.1 ", 9);
  for (size_t i = 0; i < COUNT(lines); i++) {
    CHECK(count_of(answer, lines[i]) == 1, "%s in\n%s", lines[i], answer);
  }
  must_lack(answer, "Access-Control-Allow-Credentials");
}

static const char *body_of(const char *answer) {
  const char *end = strstr(answer, "\r\n\r\n");
  assert_non_null(end);
  return end + 4;
}

static const char *ask(const char *method, const char *target, const char *headers) {
  char text[1024];
  snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method,
           target, headers);
  const char *answer = exchange(text);
  check_common(answer);
  must_hold(answer, "\r\nConnection: close\r\n");
  return answer;
}

/* ---- starting ---- */

static void a_port_in_use_is_named(void **state) {
  (void)state;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(taken, 1), 0);
  assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &len), 0);
  st_settings other = settings;
  char text[40];
  snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
  assert_true(st_listen_read(st_text(text), &other.listen[0]));
  assert_false(st_http_start(&other, store, error));
  must_hold(error, text);
  must_hold(error, "another program listens there");
  close(taken);
}

static void it_listens(void **state) {
  (void)state;
  CHECK(st_http_start(&settings, store, error), "%s", error);
  assert_true(st_listener_port(0) > 0);
}

/* ---- answering ---- */

static void endpoints_answer(void **state) {
  (void)state;
  char headers[200];
  const char *answer = ask("GET", "/healthz", "");
  must_hold(answer, "HTTP/1.1 200 OK\r\n");
  must_hold(answer, "\r\nContent-Type: application/json; charset=utf-8\r\n");
  must_hold(answer, "\r\nContent-Length: 15\r\n");
  assert_string_equal(body_of(answer), "{\"status\":\"ok\"}");
  must_hold(ask("GET", "/readyz", ""), "HTTP/1.1 200 OK\r\n");
  snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", key);
  answer = ask("GET", "/v2/createsubtoken?permissions=account", headers);
  must_hold(answer, "HTTP/1.1 200 OK\r\n");
  must_hold(body_of(answer), "{\"subtoken\":\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
  must_lack(answer, key);
  answer = ask("GET", "/v2/tokeninfo", headers);
  must_hold(body_of(answer), "\"permissions\":[\"account\",\"guilds\"]}");
  answer = ask("GET", "/v2/tokeninfo", "");
  must_hold(answer, "HTTP/1.1 401 Unauthorized\r\n");
  must_hold(answer, "\r\nWWW-Authenticate: Bearer\r\n");
  assert_string_equal(body_of(answer), "{\"text\":\"Invalid access token\"}");
  answer = ask("DELETE", "/v2/tokeninfo", headers);
  must_hold(answer, "HTTP/1.1 405 Method Not Allowed\r\n");
  must_hold(answer, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
  must_hold(ask("GET", "/nowhere", ""), "HTTP/1.1 404 Not Found\r\n");
}

static void head_and_preflight_have_no_body(void **state) {
  (void)state;
  const char *answer = ask("HEAD", "/healthz", "");
  must_hold(answer, "HTTP/1.1 200 OK\r\n");
  must_hold(answer, "\r\nContent-Length: 15\r\n");
  assert_string_equal(body_of(answer), "");
  answer = ask("OPTIONS", "/v2/createsubtoken", "Origin: https://x\r\n");
  must_hold(answer, "HTTP/1.1 204 No Content\r\n");
  must_hold(answer, "\r\nAccess-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n");
  must_hold(answer, "\r\nAccess-Control-Allow-Headers: ");
  must_lack(answer, "Content-Length");
  must_lack(answer, "Content-Type:");
  assert_string_equal(body_of(answer), "");
}

static void a_connection_serves_several_requests(void **state) {
  (void)state;
  const char *answer = exchange(
      "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      "GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
  assert_int_equal(count_of(answer, "HTTP/1.1 "), 3);
  assert_int_equal(count_of(answer, "\r\nConnection: close\r\n"), 1);
  must_hold(answer, "HTTP/1.1 200 OK\r\n");
  must_hold(answer, "HTTP/1.1 404 Not Found\r\n");
  must_hold(answer, "{\"status\":\"ready\"}");
  /* HTTP/1.0 closes unless it is asked not to. */
  must_hold(exchange("GET /healthz HTTP/1.0\r\n\r\n"), "\r\nConnection: close\r\n");
  answer = exchange(
      "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
      "GET /healthz HTTP/1.0\r\n\r\n");
  assert_int_equal(count_of(answer, "HTTP/1.1 200 OK\r\n"), 2);
  assert_int_equal(count_of(answer, "\r\nConnection: keep-alive\r\n"), 1);
}

/* Refused and closed: what follows is never a second request. */
static void bad_framing_ends_the_connection(void **state) {
  (void)state;
  static const struct {
    const char *head, *status;
  } rows[] = {
      {"BAD\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400 Bad Request\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;a\r\n\r\n",
       "HTTP/1.1 400 Bad Request\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2001\r\n",
       "HTTP/1.1 413 Content Too Large\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
       "HTTP/1.1 400 Bad Request\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n",
       "HTTP/1.1 413 Content Too Large\r\n"},
      {"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n"},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
  };
  char text[500];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(text, sizeof text, "%sGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].head);
    const char *answer = exchange(text);
    check_common(answer);
    must_hold(answer, rows[i].status);
    must_hold(answer, "\r\nConnection: close\r\n");
    CHECK(count_of(answer, "\r\nDate: ") == 1, "row %zu: a second answer\n%s", i, answer);
  }
}

/* ---- ending ---- */

static void *stop_http(void *unused) {
  (void)unused;
  st_http_stop();
  return NULL;
}

/* With connections that wait, without a word, it ends at once. */
static void stopping_ends_idle_connections_at_once(void **state) {
  (void)state;
  int idle[3], port = st_listener_port(0);
  char byte;
  for (size_t i = 0; i < COUNT(idle); i++) {
    idle[i] = connect_to(port);
    assert_true(idle[i] >= 0);
  }
  usleep(50000);
  int64_t began = st_clock_monotonic_us();
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, stop_http, NULL), 0);
  for (size_t i = 0; i < COUNT(idle); i++) {
    struct pollfd waiting = {.fd = idle[i], .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 5000), 1);
    assert_true(recv(idle[i], &byte, 1, 0) <= 0);
    close(idle[i]);
  }
  pthread_join(thread, NULL);
  assert_true(st_clock_monotonic_us() - began < 5 * INT64_C(1000000));
  int fd = connect_to(port);
  assert_true(fd < 0);
}

static int set_up(void **state) {
  (void)state;
  st_key made = {0};
  uint8_t digest[32];
  st_config_default(&settings);
  settings.threads = 8;
  assert_true(st_listen_read(ST_TEXT("127.0.0.1:0"), &settings.listen[0]));
  if (mkdtemp(dir) == NULL || st_data_dir_find(&(st_data_options){.data = dir}, &data, error) != 0)
    return -1;
  store = st_data_dir_open(&data, true, error);
  if (store == NULL || !st_runtime_config_start(data.secrets, &settings, error)) return -1;
  st_draw_key(key, &made, digest);
  snprintf(made.name, sizeof made.name, "test");
  snprintf(made.permissions, sizeof made.permissions, "account,guilds");
  made.created_at = NOW;
  made.expires_at = ST_NEVER;
  st_audit_context act = {.now_us = st_clock_now_us(), .who = "user test", .from = "command line"};
  return st_store_key_create(store, &act, NULL, &made, digest, error) == ST_STORE_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  char command[100];
  st_runtime_config_stop();
  st_store_close(store);
  snprintf(command, sizeof command, "rm -r '%s'", dir);
  return system(command);
}

/* In this order: each goes on where the last one left the server. */
int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_port_in_use_is_named),
      cmocka_unit_test(it_listens),
      cmocka_unit_test(endpoints_answer),
      cmocka_unit_test(head_and_preflight_have_no_body),
      cmocka_unit_test(a_connection_serves_several_requests),
      cmocka_unit_test(bad_framing_ends_the_connection),
      cmocka_unit_test(stopping_ends_idle_connections_at_once),
  };
  return cmocka_run_group_tests_name("http", tests, set_up, tear_down);
}
