/* A connection that breaks in the middle of a change, at any byte in either direction: what is
 * answered is true. A proxy between the store and PostgreSQL breaks it. A change that was made and
 * taken for one that was not would be made twice here, and say so: the key is there already, or
 * gone.
 */
#include "store_contract.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "store/postgres/postgres.h"

/* ---- the proxy ---- */

#define LINKS 64

typedef struct link_pair {
  int client, server;
  int port; /* of the client */
} link_pair;

enum { NO_CUT, TO_SERVER, TO_CLIENT };

static struct {
  pthread_mutex_t lock;
  pthread_t thread;
  int listener, port, server_port;
  link_pair links[LINKS];
  size_t count;
  bool ends, refuses;
  int cut_port, cut; /* which link breaks, in which direction */
  size_t left;       /* bytes until then */
  size_t carried[3]; /* by that link */
} proxy = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int connect_to(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static void close_link(size_t at) {
  (void)close(proxy.links[at].client);
  (void)close(proxy.links[at].server);
  proxy.links[at] = proxy.links[--proxy.count];
}

static void take_link(void) {
  struct sockaddr_in from;
  socklen_t len = sizeof from;
  int client = accept(proxy.listener, (struct sockaddr *)&from, &len);
  if (client < 0) return;
  if (proxy.refuses || proxy.count == LINKS) {
    (void)close(client);
    return;
  }
  proxy.links[proxy.count++] =
      (link_pair){client, connect_to(proxy.server_port), ntohs(from.sin_port)};
}

/* False: the link has ended. */
static bool carry(const link_pair *l, int direction) {
  char bytes[4096];
  bool counted = l->port == proxy.cut_port;
  bool cuts = counted && proxy.cut == direction;
  size_t most = cuts && proxy.left < sizeof bytes ? proxy.left : sizeof bytes;
  ssize_t got = most > 0 ? read(direction == TO_SERVER ? l->client : l->server, bytes, most) : 0;
  if (got <= 0) return false;
  if (write(direction == TO_SERVER ? l->server : l->client, bytes, (size_t)got) != got) {
    return false;
  }
  if (counted) proxy.carried[direction] += (size_t)got;
  if (cuts) proxy.left -= (size_t)got;
  return !cuts || proxy.left > 0;
}

static void *run_proxy(void *unused) {
  (void)unused;
  (void)pthread_mutex_lock(&proxy.lock);
  while (!proxy.ends) {
    struct pollfd at[2 * LINKS + 1] = {{.fd = proxy.listener, .events = POLLIN}};
    size_t count = proxy.count;
    for (size_t i = 0; i < count; i++) {
      at[2 * i + 1] = (struct pollfd){.fd = proxy.links[i].client, .events = POLLIN};
      at[2 * i + 2] = (struct pollfd){.fd = proxy.links[i].server, .events = POLLIN};
    }
    (void)pthread_mutex_unlock(&proxy.lock);
    (void)poll(at, 2 * count + 1, 20);
    (void)pthread_mutex_lock(&proxy.lock);
    for (size_t i = count; i-- > 0;) {
      if ((at[2 * i + 1].revents != 0 && !carry(&proxy.links[i], TO_SERVER)) ||
          (at[2 * i + 2].revents != 0 && !carry(&proxy.links[i], TO_CLIENT))) {
        close_link(i);
      }
    }
    if (at[0].revents != 0) take_link();
  }
  while (proxy.count > 0) close_link(0);
  (void)pthread_mutex_unlock(&proxy.lock);
  return NULL;
}

static void start_proxy(void) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  proxy.listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(proxy.listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(proxy.listener, 16), 0);
  assert_int_equal(getsockname(proxy.listener, (struct sockaddr *)&at, &len), 0);
  proxy.port = ntohs(at.sin_port);
  proxy.ends = proxy.refuses = false;
  proxy.count = 0;
  assert_int_equal(pthread_create(&proxy.thread, NULL, run_proxy, NULL), 0);
}

static void end_proxy(void) {
  (void)pthread_mutex_lock(&proxy.lock);
  proxy.ends = true;
  (void)pthread_mutex_unlock(&proxy.lock);
  assert_int_equal(pthread_join(proxy.thread, NULL), 0);
  (void)close(proxy.listener);
}

/* The link of the connection that the next change gets, from now on. */
static void arm(int cut, size_t left, bool refuses) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  PGconn *pg = ((st_postgres *)store)->changes[0].connection.pg;
  (void)pthread_mutex_lock(&proxy.lock);
  proxy.cut_port = 0;
  if (pg != NULL && getsockname(PQsocket(pg), (struct sockaddr *)&at, &len) == 0) {
    proxy.cut_port = ntohs(at.sin_port);
  }
  proxy.cut = cut;
  proxy.left = left;
  proxy.refuses = refuses;
  memset(proxy.carried, 0, sizeof proxy.carried);
  (void)pthread_mutex_unlock(&proxy.lock);
}

/* ---- each test: the store behind the proxy, and another handle that sees the truth ---- */

static st_store *truth;

static int setup_behind(void **state) {
  if (setup(state) != 0) return -1;
  truth = store;
  char behind[sizeof location], name[64];
  name_in_postgres(0, name);
  proxy.server_port = port_of_postgres();
  start_proxy();
  snprintf(behind, sizeof behind, "postgresql://postgres@127.0.0.1:%d/%s", proxy.port, name);
  return st_store_open(behind, false, &store, error) == ST_STORE_OK ? 0 : -1;
}

static int teardown_behind(void **state) {
  st_store_close(store);
  end_proxy();
  store = truth;
  return teardown(state);
}

static st_store_status create(unsigned n) {
  st_key key = row_of(n, "ann", "a");
  return st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error);
}

static st_store_status end(unsigned n) {
  return st_store_key_delete(store, CONTEXT, id_of(n), NULL, error);
}

static bool is_there(unsigned n) {
  st_key key;
  st_store_status status = st_store_key_find(truth, id_of(n), &key, error);
  assert_true(status == ST_STORE_OK || status == ST_STORE_NOT_FOUND);
  return status == ST_STORE_OK;
}

static int64_t true_lines(void) {
  st_store *behind = store;
  store = truth;
  int64_t all = lines();
  store = behind;
  return all;
}

/* A create and a delete, the connection cut so far into each; both are answered with success, and
 * are there once.
 */
static void assert_true_answers(unsigned n, int direction, size_t bytes) {
  int64_t before = true_lines();
  arm(direction, bytes, false);
  assert_ok(create(n));
  assert_true(is_there(n));
  assert_int_equal(true_lines(), before + 1);
  arm(direction, bytes, false);
  assert_ok(end(n));
  assert_false(is_there(n));
  assert_int_equal(true_lines(), before + 2);
}

/* The bytes of a whole change, once its statements are prepared; of the keys n and n + 1. */
static void measure(unsigned n, size_t carried[3]) {
  assert_ok(create(n));
  assert_ok(end(n));
  assert_ok(create(n + 1));
  arm(NO_CUT, 0, false);
  assert_ok(end(n + 1));
  memcpy(carried, proxy.carried, sizeof proxy.carried);
  assert_true(carried[TO_SERVER] > 500 && carried[TO_CLIENT] > 100);
}

#define STEPS 24

static void wherever_it_breaks_the_answer_is_true(void **state) {
  (void)state;
  size_t carried[3];
  unsigned n = 10;
  measure(1, carried);
  for (int direction = TO_SERVER; direction <= TO_CLIENT; direction++) {
    for (size_t i = 0; i <= STEPS; i++) {
      assert_true_answers(n++, direction, 1 + carried[direction] * i / STEPS);
    }
  }
}

/* The last bytes of a change are those of its commit: there each byte is tried. */
static void in_the_commit_each_byte_is_tried(void **state) {
  (void)state;
  size_t carried[3];
  unsigned n = 10;
  measure(1, carried);
  for (size_t i = 0; i < 40; i++) assert_true_answers(n++, TO_CLIENT, carried[TO_CLIENT] - i);
}

/* The commit was made, its answer was lost, and nobody can be asked any more. A notice that comes
 * in between makes the cut come too early: then the change fails, and another one is tried, on a
 * connection that has prepared its statements again.
 */
static void what_cannot_be_found_out_is_in_doubt(void **state) {
  (void)state;
  size_t carried[3];
  st_store_status status = ST_STORE_OK;
  unsigned n = 3;
  for (; n < 30 && status != ST_STORE_IN_DOUBT; n += 3) {
    measure(n + 1, carried);
    assert_ok(create(n));
    arm(TO_CLIENT, carried[TO_CLIENT] - 1, true);
    status = end(n);
    arm(NO_CUT, 0, false);
    assert_true(status == ST_STORE_IN_DOUBT || status == ST_STORE_OK || is_there(n));
    if (status == ST_STORE_IN_DOUBT) assert_non_null(strstr(error, "may have been made"));
  }
  assert_int_equal(status, ST_STORE_IN_DOUBT);
  assert_false(is_there(n - 3));
  assert_int_equal(end(n - 3), ST_STORE_NOT_FOUND); /* well again */
}

/* The answer to the question itself may be lost: the next one finds the id that the first left. */
static void what_was_not_made_stays_so_however_often_it_is_asked(void **state) {
  (void)state;
  st_postgres_db *d = &((st_postgres *)store)->changes[0];
  assert_ok(create(1));
  memset(d->id, 0xAB, sizeof d->id);
  for (int i = 0; i < 3; i++) {
    d->commit_us = st_clock_monotonic_us();
    assert_int_equal(st_postgres_resolve(d, error), ST_STORE_FAILED);
    assert_non_null(strstr(error, "before the commit"));
  }
  /* And what was made stays so. */
  assert_ok(end(1));
  for (int i = 0; i < 2; i++) {
    d->commit_us = st_clock_monotonic_us();
    assert_int_equal(st_postgres_resolve(d, error), ST_STORE_OK);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(wherever_it_breaks_the_answer_is_true, setup_behind,
                                      teardown_behind),
      cmocka_unit_test_setup_teardown(in_the_commit_each_byte_is_tried, setup_behind,
                                      teardown_behind),
      cmocka_unit_test_setup_teardown(what_cannot_be_found_out_is_in_doubt, setup_behind,
                                      teardown_behind),
      cmocka_unit_test_setup_teardown(what_was_not_made_stays_so_however_often_it_is_asked,
                                      setup_behind, teardown_behind),
  };
  return RUN_ON_POSTGRES(tests);
}
