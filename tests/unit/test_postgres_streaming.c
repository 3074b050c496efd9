/* postgres/connect and ask: a server that never stops talking, in which something always lies in
 * the socket, is given up when the time is over. This one stops after some seconds all the same:
 * who waited for that is told that the connection was closed.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libpq_fixture.h"
#include "os/clock.h"
#include "store/postgres/postgres.h"
#include "support.h"

#define ENOUGH_US INT64_C(20000000) /* of talking */

#define OK_AND_READY                               \
  "R\0\0\0\10\0\0\0\0"                             \
  "S\0\0\0\26server_version\00014\0"               \
  "S\0\0\0\31server_encoding\0UTF8\0"              \
  "S\0\0\0\46default_transaction_read_only\0off\0" \
  "S\0\0\0\27in_hot_standby\0off\0"                \
  "Z\0\0\0\5I"
#define NOTICE "N\0\0\0\23SNOTICE\0Mwell\0\0"

typedef struct talker {
  pthread_t thread;
  int socket;
  bool ready; /* it lets who connects ask, and talks then */
} talker;

static void talk(int to) {
  char text[4096];
  size_t len = 0;
  while (len + sizeof NOTICE - 1 <= sizeof text) {
    memcpy(text + len, NOTICE, sizeof NOTICE - 1);
    len += sizeof NOTICE - 1;
  }
  int64_t end = st_clock_monotonic_us() + ENOUGH_US;
  while (send(to, text, len, MSG_NOSIGNAL) == (ssize_t)len && st_clock_monotonic_us() < end) {
  }
}

static void *serve(void *context) {
  talker *t = context;
  size_t len = t->ready ? sizeof OK_AND_READY - 1 : 9;
  char in[2000];
  int to = accept(t->socket, NULL, NULL);
  bool asked = recv(to, in, sizeof in, 0) > 0 && send(to, OK_AND_READY, len, 0) == (ssize_t)len &&
               (!t->ready || recv(to, in, sizeof in, 0) > 0);
  if (asked) talk(to);
  close(to);
  return NULL;
}

static void start(talker *t, st_postgres *store) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  char uri[120], error[ST_ERROR_MAX];
  t->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(t->socket, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(t->socket, 1), 0);
  assert_int_equal(getsockname(t->socket, (struct sockaddr *)&at, &len), 0);
  snprintf(uri, sizeof uri, "postgresql://a@127.0.0.1:%d/a?sslmode=disable&gssencmode=disable",
           ntohs(at.sin_port));
  assert_int_equal(st_postgres_read_uri(store, uri, error), ST_STORE_OK);
  assert_int_equal(pthread_create(&t->thread, NULL, serve, t), 0);
}

static int64_t soon(void) {
  return st_clock_monotonic_us() + 300000;
}

static void end(talker *t, st_postgres *store, st_postgres_connection *c) {
  st_postgres_disconnect(c);
  pthread_join(t->thread, NULL);
  close(t->socket);
  st_postgres_drop_uri(store);
}

static void who_connects_waits_no_longer_than_he_says(void **state) {
  (void)state;
  static st_postgres store;
  st_postgres_connection c = {.store = &store};
  talker t = {.ready = false};
  start(&t, &store);
  assert_false(st_postgres_connect_any(&c, soon()));
  assert_string_equal(c.message, "the server did not answer in time");
  assert_true(c.timed_out);
  end(&t, &store, &c);
}

static void who_asks_waits_no_longer_than_he_says(void **state) {
  (void)state;
  static st_postgres store;
  st_postgres_connection c = {.store = &store};
  talker t = {.ready = true};
  PGresult *result = NULL;
  start(&t, &store);
  if (!st_postgres_connect_any(&c, st_clock_monotonic_us() + ENOUGH_US)) {
    fprintf(stderr, "# %s\n", c.message);
    fail();
  }
  assert_int_equal(PQsendQueryParams(c.pg, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0), 1);
  assert_int_equal(PQpipelineSync(c.pg), 1);
  assert_false(st_postgres_next_result(&c, soon(), &result));
  assert_string_equal(c.message, "it did not answer in time");
  assert_true(c.timed_out);
  end(&t, &store, &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_connects_waits_no_longer_than_he_says),
      cmocka_unit_test(who_asks_waits_no_longer_than_he_says),
  };
  return cmocka_run_group_tests_name("postgres_streaming", tests, NULL, NULL);
}
