/* A connection whose calls of the system fail, are interrupted, or do a part: a request is handed
 * over whole or the connection ends, and no answer follows one that was cut. What else there is of
 * connections: test_connection.c.
 */
#include "failing.h"
#include "support.h"

#define ST_NET_PROTOTYPES_ONLY
#include <netinet/in.h>

#include "civetweb_net.h"
#include "os/clock.h"
#include "server/connection.h"

#define HEAD "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
#define SIMPLE "GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
enum { ANSWER = 3000 };

static char answer[ANSWER];
static int reports;

static void report(const char *event) {
  assert_string_equal(event, "accept_emfile");
  reports++;
}

/* ---- both ends ---- */

typedef struct ends {
  int client, server;
} ends;

static ends begin(void) {
  int both[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
  st_connection_open();
  return (ends){.client = both[0], .server = both[1]};
}

static void end(ends both) {
  close(both.client);
  st_connection_close();
  close(both.server);
}

static void say(int fd, const char *text) {
  size_t len = strlen(text);
  assert_int_equal(__real_send(fd, text, len, MSG_NOSIGNAL), len);
}

/* What has come to the client. */
static size_t hear(int fd) {
  char bytes[2 * ANSWER];
  size_t len = 0;
  for (ssize_t n; (n = __real_recv(fd, bytes + len, sizeof bytes - len, MSG_DONTWAIT)) > 0;) {
    len += (size_t)n;
  }
  assert_true(len <= ANSWER && memcmp(bytes, answer, len) == 0);
  return len;
}

/* As a worker of civetweb waits for a request. */
static bool next_request(int fd) {
  char bytes[1024];
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  assert_int_equal(st_net_poll(&waiting, 1, 1000), 1);
  return st_net_recv(fd, bytes, sizeof bytes, 0) > 0;
}

static void must_be(const char *target, const char *body) {
  st_connection_request request = st_connection_get_request();
  assert_int_equal(request.fault.status, 0);
  assert_true(st_text_is(request.head->target, target) && st_text_is(request.body, body));
}

/* Two requests on a connection: how many were answered whole. */
static int serve_two(ends both) {
  if (!next_request(both.server)) return 0;
  must_be("/a", "body");
  bool sent = st_connection_send_part(answer, ANSWER / 2, NULL) &&
              st_connection_send(answer + ANSWER / 2, ANSWER - ANSWER / 2, NULL);
  st_connection_end_request(!sent);
  if (!sent) return 0;
  assert_int_equal(hear(both.client), ANSWER);
  say(both.client, SIMPLE);
  if (!next_request(both.server)) return 1;
  must_be("/b", "");
  sent = st_connection_send(answer, ANSWER, NULL);
  st_connection_end_request(true);
  return sent ? 2 : 1;
}

/* ---- what fails ---- */

static void a_request_is_whole_or_none(void **state) {
  (void)state;
  int served = 0;
  FAILING_EACH(
      FAIL_SOCKETS | FAIL_FILES, 1,
      {
        ends both = begin();
        say(both.client, HEAD "body");
        served = serve_two(both);
        end(both);
      },
      CHECK(failed || served == 2, "call %ld: %d", nth, served));
  assert_int_equal(reports, 0);
}

static void a_signal_costs_nothing(void **state) {
  (void)state;
  int served = 0;
  for (failing_fill = 0; failing_fill <= 1; failing_fill++) {
    FAILING_EACH(
        FAIL_SIGNALS, 1,
        {
          ends both = begin();
          say(both.client, HEAD "body");
          served = serve_two(both);
          end(both);
        },
        CHECK(served == 2, "call %ld: %d", nth, served));
  }
  failing_fill = 0;
}

/* A refused client that goes on sending, whose connection is reset meanwhile. */
static void lingering_ends(void **state) {
  (void)state;
  FAILING_EACH(
      FAIL_SOCKETS | FAIL_FILES, 1,
      {
        ends both = begin();
        say(both.client, "BAD\r\n\r\n" SIMPLE SIMPLE);
        if (next_request(both.server)) {
          assert_int_equal(st_connection_get_request().fault.status, 400);
          (void)!st_connection_send(answer, ANSWER, NULL);
          st_connection_end_request(true);
          assert_false(st_connection_next_request());
        }
        end(both);
      },
      (void)failed);
}

static void what_is_retired_is_not_sent(void **state) {
  (void)state;
  atomic_bool retired = true;
  ends both = begin();
  say(both.client, SIMPLE);
  assert_true(next_request(both.server));
  assert_false(st_connection_send(answer, ANSWER, &retired));
  assert_int_equal(hear(both.client), 0);
  retired = false;
  assert_true(st_connection_send(answer, ANSWER, &retired));
  assert_int_equal(hear(both.client), ANSWER);
  st_connection_end_request(true);
  end(both);
}

/* ---- waiting in the middle of a request ---- */

static void a_wait_ends_by_its_waker(void **state) {
  (void)state;
  ends both = begin();
  assert_false(st_connection_client_left()); /* none is known yet */
  say(both.client, SIMPLE);
  assert_true(next_request(both.server));
  int waker = -1;
  FAILING_EACH(FAIL_FILES, 1, waker = st_connection_waker(), assert_int_equal(failed, waker < 0));
  assert_int_equal(st_connection_waker(), waker); /* the same one */
  int64_t long_us = st_clock_monotonic_us() + INT64_C(600000000);
  st_connection_wake(waker);
  assert_true(st_connection_wait(long_us));
  st_connection_end_wait();
  assert_true(st_connection_wait(st_clock_monotonic_us())); /* it is over */
  st_connection_end_wait();
  assert_false(st_connection_client_left());
  close(both.client);
  assert_true(st_connection_client_left());
  assert_false(st_connection_wait(long_us));
  st_connection_end_request(true);
  st_connection_close();
  close(both.server);
}

/* ---- accepting ---- */

static int listen_somewhere(struct sockaddr_in *at) {
  socklen_t len = sizeof *at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
  assert_int_equal(listen(fd, 8), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
  return fd;
}

static int connect_to(const struct sockaddr_in *at) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (const struct sockaddr *)at, sizeof *at), 0);
  return fd;
}

/* civetweb has a socket of its own, which stands for all that are listened at; each has its turn.
 */
static void each_listener_has_its_turn(void **state) {
  (void)state;
  enum { SENTINEL = 1000000 };
  struct sockaddr_in at[2];
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  int sockets[] = {listen_somewhere(&at[0]), listen_somewhere(&at[1])}, clients[4], taken[4];
  struct pollfd sentinel = {.fd = SENTINEL, .events = POLLIN};
  st_connection_listen(sockets, 2);
  assert_int_equal(st_net_bind(SENTINEL, NULL, 0), 0);
  assert_int_equal(st_net_listen(SENTINEL, 1), 0);
  assert_int_equal(st_net_poll(&sentinel, 1, 0), 0);
  assert_true(st_net_accept(SENTINEL, (struct sockaddr *)&peer, &len) < 0); /* of none */
  for (size_t i = 0; i < 4; i++) clients[i] = connect_to(&at[i / 2]);
  size_t of_first = 0;
  for (size_t i = 0; i < 4; i++) {
    errno = EAGAIN;
    assert_int_equal(st_net_poll(&sentinel, 1, 10000), 1);
    assert_true(sentinel.revents == POLLIN && errno == 0);
    len = sizeof peer;
    taken[i] = st_net_accept(SENTINEL, (struct sockaddr *)&peer, &len);
    assert_true(taken[i] >= 0);
    struct sockaddr_in own;
    socklen_t own_len = sizeof own;
    assert_int_equal(getsockname(taken[i], (struct sockaddr *)&own, &own_len), 0);
    of_first += own.sin_port == at[0].sin_port;
    CHECK(i != 1 || of_first == 1, "the first has had both turns");
  }
  assert_int_equal(of_first, 2);
  failing_begin(FAIL_FILES, 1);
  assert_true(st_net_poll(&sentinel, 1, 0) < 0 && sentinel.revents == 0);
  assert_true(failing_end());
  for (size_t i = 0; i < 4; i++) {
    close(clients[i]);
    st_connection_open();
    st_connection_close();
    close(taken[i]);
  }
  st_connection_listen(NULL, 0);
  close(sockets[0]);
  close(sockets[1]);
}

/* What the log needs to know, and what it does not. */
static void without_descriptors_it_waits_and_says_so(void **state) {
  (void)state;
  static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED};
  struct sockaddr_in at;
  int listener = listen_somewhere(&at);
  reports = 0;
  for (size_t i = 0; i < COUNT(errors); i++) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    failing_accept = errors[i];
    failing_begin(FAIL_SOCKETS, 1);
    assert_int_equal(st_net_accept(listener, (struct sockaddr *)&peer, &len), -1);
    assert_true(failing_end());
  }
  assert_int_equal(reports, 4);
  failing_accept = EMFILE;
  close(listener);
}

/* ---- threads ---- */

/* A thread that has no memory serves nobody; civetweb may call it all the same. */
static void *be_without_connection(void *unused) {
  (void)unused;
  char bytes[64];
  struct sockaddr_in at;
  struct sockaddr_storage peer;
  socklen_t len = sizeof peer;
  int listener = listen_somewhere(&at), client = connect_to(&at);
  struct pollfd waiting = {.fd = client, .events = POLLIN};
  failing_begin(FAIL_MEMORY, 1);
  bool started = st_connection_thread_start();
  bool good = failing_end() && !started;
  int fd = -1;
  for (int i = 0; i < 1000 && fd < 0; i++) {
    fd = st_net_accept(listener, (struct sockaddr *)&peer, &len);
  }
  st_connection_open();
  good = good && fd >= 0 && !st_connection_client_left() && st_connection_waker() == -1 &&
         !st_connection_next_request() && st_net_recv(fd, bytes, sizeof bytes, 0) == 0 &&
         st_net_poll(&waiting, 1, 0) == 0;
  st_connection_close();
  st_connection_thread_end();
  close(fd);
  close(client);
  close(listener);
  return good ? &reports : NULL;
}

static void a_thread_without_memory_serves_nobody(void **state) {
  (void)state;
  pthread_t thread;
  void *good = NULL;
  assert_int_equal(pthread_create(&thread, NULL, be_without_connection, NULL), 0);
  assert_int_equal(pthread_join(thread, &good), 0);
  assert_non_null(good);
}

static int set_up(void **state) {
  (void)state;
  memset(answer, 'a', sizeof answer);
  st_connection_setup(64, report);
  return st_connection_thread_start() ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  st_connection_thread_end();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_request_is_whole_or_none),
      cmocka_unit_test(a_signal_costs_nothing),
      cmocka_unit_test(lingering_ends),
      cmocka_unit_test(what_is_retired_is_not_sent),
      cmocka_unit_test(a_wait_ends_by_its_waker),
      cmocka_unit_test(each_listener_has_its_turn),
      cmocka_unit_test(without_descriptors_it_waits_and_says_so),
      cmocka_unit_test(a_thread_without_memory_serves_nobody),
  };
  return cmocka_run_group_tests_name("connection failing", tests, set_up, tear_down);
}
