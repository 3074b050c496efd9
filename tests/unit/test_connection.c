/* What stands between the sockets and civetweb, called here as civetweb calls it; and which
 * connection is closed when there are too many (connection_limit.c).
 */
#include "support.h"

#define ST_NET_PROTOTYPES_ONLY
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "civetweb_net.h"
#include "os/clock.h"
#include "os/file.h"
#include "server/connection.h"
#include "service/chunked.h"

#define HOST "Host: api.test\r\n"
#define SIMPLE "GET /v2/tokeninfo HTTP/1.1\r\n" HOST "\r\n"
#define CHUNKED "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define SETTLE_US 50000 /* between two that are to be told apart by their times */

static int listener = -1;
static struct sockaddr_in address;
static atomic_int timeouts;

static void report(const char *event) {
  if (strcmp(event, "timeout") == 0) atomic_fetch_add(&timeouts, 1);
}

/* ---- both ends of a connection ---- */

typedef struct ends {
  int client, server;
} ends;

static ends connect_ends(void) {
  ends both;
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  both.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(both.client, (struct sockaddr *)&address, sizeof address), 0);
  both.server = st_net_accept(listener, (struct sockaddr *)&peer, &len);
  assert_true(both.server >= 0);
  return both;
}

static void say(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
    assert_true(n > 0);
    text += n;
    len -= (size_t)n;
  }
}

static void say_text(int fd, const char *text) {
  say(fd, text, strlen(text));
}

/* All that comes until the end, or for half a second; -1 for a reset. */
static ssize_t hear(int fd, char *out, size_t size) {
  size_t len = 0;
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  while (len < size - 1 && poll(&waiting, 1, 500) > 0) {
    ssize_t n = recv(fd, out + len, size - 1 - len, 0);
    if (n < 0) return -1;
    if (n == 0) break;
    len += (size_t)n;
  }
  out[len] = '\0';
  return (ssize_t)len;
}

/* ---- what a worker of civetweb does ---- */

/* Waits for a request and takes the stand-in. False: the connection is at its end. */
static bool next_request(int fd) {
  static const char stand_in[] = "GET / HTTP/1.1\r\n";
  char bytes[8192];
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  errno = EAGAIN;
  assert_int_equal(st_net_poll(&waiting, 1, 1000), 1);
  assert_int_equal(waiting.revents, POLLIN);
  assert_int_equal(errno, 0);
  ssize_t n = st_net_recv(fd, bytes, sizeof bytes, 0);
  if (n == 0) return false;
  assert_true(n > 0 && memcmp(bytes, stand_in, sizeof stand_in - 1) == 0);
  assert_memory_equal(bytes + n - 4, "\r\n\r\n", 4);
  assert_int_equal(st_net_recv(fd, bytes, sizeof bytes, 0), 0); /* once */
  return true;
}

static void must_be(const char *target, const char *body) {
  st_connection_request request = st_connection_get_request();
  CHECK(request.fault.status == 0, "%s", request.fault.text);
  CHECK(st_text_is(request.head->target, target), "%.*s", (int)request.head->target.len,
        request.head->target.data);
  CHECK(st_text_is(request.body, body), "%.*s", (int)request.body.len, request.body.data);
}

static ends begin(void) {
  ends both = connect_ends();
  st_connection_open();
  return both;
}

static void end(ends both) {
  close(both.client);
  st_connection_close();
  close(both.server);
}

/* ---- one connection, in this thread ---- */

static void a_whole_request_is_handed_over(void **state) {
  (void)state;
  ends both = begin();
  say_text(both.client, "POST /a?b HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody");
  assert_true(next_request(both.server));
  must_be("/a?b", "body");
  assert_true(st_text_is(st_connection_get_request().head->method, "POST"));
  assert_int_equal(st_connection_get_request().head->header_count, 2);
  st_connection_end_request(false);
  /* The next one on the same connection; nothing is left of the first. */
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  must_be("/v2/tokeninfo", "");
  st_connection_end_request(true);
  end(both);
}

static void a_client_that_leaves_ends_the_connection(void **state) {
  (void)state;
  ends both = begin();
  shutdown(both.client, SHUT_WR);
  assert_false(next_request(both.server));
  end(both);
  both = begin();
  say_text(both.client, "GET / HT"); /* half a request is none */
  shutdown(both.client, SHUT_WR);
  assert_false(next_request(both.server));
  end(both);
  both = begin();
  say_text(both.client, SIMPLE); /* whole, and then left: answered all the same */
  shutdown(both.client, SHUT_WR);
  assert_true(next_request(both.server));
  must_be("/v2/tokeninfo", "");
  st_connection_end_request(false);
  assert_false(next_request(both.server));
  end(both);
}

static void pipelined_requests_come_one_by_one(void **state) {
  (void)state;
  static const char two[] =
      "POST /1 HTTP/1.1\r\n" HOST
      "Content-Length: 31\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a"
      "GET /2 HTTP/1.1\r\n" HOST "\r\n\r\nGET /3 HTTP/1.1\r\n" HOST "\r\nGET /4";
  ends both = begin();
  say(both.client, two, sizeof two - 1);
  assert_true(next_request(both.server));
  must_be("/1", "GET /smuggled HTTP/1.1\r\nHost: a");
  st_connection_end_request(false);
  assert_true(next_request(both.server));
  must_be("/2", "");
  st_connection_end_request(false);
  assert_true(next_request(both.server));
  must_be("/3", "");
  st_connection_end_request(false);
  say_text(both.client, " HTTP/1.1\r\n" HOST "\r\n");
  assert_true(next_request(both.server));
  must_be("/4", "");
  st_connection_end_request(false);
  end(both);
}

/* The largest head with the largest body, and another request behind them. */
static void the_largest_request_fits(void **state) {
  (void)state;
  static char bytes[ST_HEAD_MAX + ST_REQUEST_BODY_MAX];
  static const char front[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 8192\r\nX: ";
  memset(bytes, 'x', sizeof bytes);
  memcpy(bytes, front, sizeof front - 1);
  memcpy(bytes + ST_HEAD_MAX - 4, "\r\n\r\n", 4);
  ends both = begin();
  say(both.client, bytes, sizeof bytes);
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  st_connection_request request = st_connection_get_request();
  assert_int_equal(request.fault.status, 0);
  assert_int_equal(request.head->len, ST_HEAD_MAX);
  assert_int_equal(request.body.len, ST_REQUEST_BODY_MAX);
  assert_memory_equal(request.body.data, bytes + ST_HEAD_MAX, ST_REQUEST_BODY_MAX);
  st_connection_end_request(false);
  assert_true(next_request(both.server));
  must_be("/v2/tokeninfo", "");
  end(both);
}

/* D1: bodies without a length, and what comes behind them. */
static void chunked_bodies_are_joined(void **state) {
  (void)state;
  static const char text[] =
      CHUNKED "3\r\nGET\r\n0000000a\r\n / smuggle\r\n0\r\n\r\n" CHUNKED "0\r\n\r\n" SIMPLE;
  for (size_t most = 1; most < sizeof text; most += 7) {
    ends both = begin();
    for (size_t at = 0; at < sizeof text - 1; at += most) {
      say(both.client, text + at, sizeof text - 1 - at < most ? sizeof text - 1 - at : most);
    }
    assert_true(next_request(both.server));
    must_be("/c", "GET / smuggle");
    st_connection_end_request(false);
    assert_true(next_request(both.server));
    must_be("/c", "");
    st_connection_end_request(false);
    assert_true(next_request(both.server));
    must_be("/v2/tokeninfo", "");
    st_connection_end_request(true);
    end(both);
  }
}

/* The largest head and body, a byte a chunk, each with the longest size: more than ten times what
 * the buffer holds. Another request behind it. */
static void the_largest_chunked_body_fits(void **state) {
  (void)state;
  static char bytes[ST_HEAD_MAX + ST_CHUNKED_RAW_MAX];
  static const char front[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nX: ";
  memset(bytes, 'x', ST_HEAD_MAX);
  memcpy(bytes, front, sizeof front - 1);
  memcpy(bytes + ST_HEAD_MAX - 4, "\r\n\r\n", 4);
  for (char *at = bytes + ST_HEAD_MAX; at < bytes + sizeof bytes - 12; at += 13) {
    memcpy(at, "00000001\r\ny\r\n", 13);
  }
  memcpy(bytes + sizeof bytes - 12, "00000000\r\n\r\n", 12);
  ends both = begin();
  say(both.client, bytes, sizeof bytes);
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  st_connection_request request = st_connection_get_request();
  assert_int_equal(request.fault.status, 0);
  assert_int_equal(request.head->len, ST_HEAD_MAX);
  assert_int_equal(request.body.len, ST_REQUEST_BODY_MAX);
  for (size_t i = 0; i < request.body.len; i++) assert_int_equal(request.body.data[i], 'y');
  st_connection_end_request(false);
  assert_true(next_request(both.server));
  must_be("/v2/tokeninfo", "");
  end(both);
}

static void faults_are_told_with_their_status(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int status;
  } rows[] = {
      {"BAD\r\n\r\n", 400},
      {"\x16\x03\x01", 400}, /* a TLS client: told at its first byte */
      {SIMPLE "BAD\r\n\r\n", 0},
      {"POST / HTTP/1.1\r\n" HOST "Content-Length: 8193\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n" SIMPLE, 400},
      {CHUNKED "2001\r\n", 413}, /* before its data comes */
      {CHUNKED "5;a\r\nhello\r\n0\r\n\r\n" SIMPLE, 400},
      {CHUNKED "5\r\nhello\r\n0\r\nX: a\r\n\r\n" SIMPLE, 400},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    ends both = begin();
    say_text(both.client, rows[i].text);
    assert_true(next_request(both.server));
    CHECK(st_connection_get_request().fault.status == rows[i].status, "row %zu: %d", i,
          st_connection_get_request().fault.status);
    assert_int_equal(st_connection_get_request().body.len, 0);
    if (rows[i].status == 0) {
      st_connection_end_request(false);
      assert_true(next_request(both.server));
      assert_int_equal(st_connection_get_request().fault.status, 400);
    }
    st_connection_end_request(true);
    end(both);
  }
}

/* Not ours to look at: another descriptor, another direction, too small a buffer. */
static void other_descriptors_are_left_alone(void **state) {
  (void)state;
  char bytes[64];
  ends both = begin();
  struct pollfd writing = {.fd = both.server, .events = POLLOUT};
  errno = EAGAIN;
  assert_int_equal(st_net_poll(&writing, 1, 0), 1);
  assert_int_equal(writing.revents, POLLOUT);
  assert_int_equal(errno, 0);
  say_text(both.client, SIMPLE);
  struct pollfd reading = {.fd = both.server, .events = POLLIN};
  assert_int_equal(st_net_poll(&reading, 1, 0), 1);
  assert_int_equal(st_net_recv(both.client, bytes, sizeof bytes, 0), 0);
  assert_int_equal(st_net_recv(both.server, bytes, 4, 0), 0);
  assert_true(st_net_recv(both.server, bytes, sizeof bytes, 0) > 0);
  end(both);
  assert_int_equal(st_net_recv(both.server, bytes, sizeof bytes, 0), 0); /* closed */
}

/* ---- with a thread at the client's end ---- */

typedef struct script {
  int fd;
  const char *text;
  size_t piece;
  char heard[4096];
} script;

static void *send_in_pieces(void *argument) {
  script *s = argument;
  size_t len = strlen(s->text);
  for (size_t at = 0; at < len; at += s->piece) {
    say(s->fd, s->text + at, at + s->piece < len ? s->piece : len - at);
    usleep(300);
  }
  return NULL;
}

static void a_request_may_come_in_pieces(void **state) {
  (void)state;
  for (size_t piece = 1; piece < 40; piece += 6) {
    ends both = begin();
    script s = {.fd = both.client,
                .text = "\r\nPOST /a HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody" SIMPLE,
                .piece = piece};
    int one = 1;
    setsockopt(both.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_in_pieces, &s), 0);
    assert_true(next_request(both.server));
    must_be("/a", "body");
    st_connection_end_request(false);
    assert_true(next_request(both.server));
    must_be("/v2/tokeninfo", "");
    st_connection_end_request(false);
    pthread_join(thread, NULL);
    end(both);
  }
}

static void *wait_for_continue(void *argument) {
  script *s = argument;
  say_text(s->fd, s->text);
  struct pollfd waiting = {.fd = s->fd, .events = POLLIN};
  if (poll(&waiting, 1, 300) > 0) {
    ssize_t n = recv(s->fd, s->heard, sizeof s->heard - 1, 0);
    if (n > 0) s->heard[n] = '\0';
  }
  say_text(s->fd, "bo");
  usleep(5000);
  say_text(s->fd, "dy");
  return NULL;
}

static void check_continue(const char *text, const char *heard) {
  ends both = begin();
  script s = {.fd = both.client, .text = text};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, wait_for_continue, &s), 0);
  assert_true(next_request(both.server));
  must_be("/", "body");
  pthread_join(thread, NULL);
  assert_string_equal(s.heard, heard);
  st_connection_end_request(false);
  char rest[100];
  shutdown(both.server, SHUT_WR);
  assert_int_equal(hear(both.client, rest, sizeof rest), 0); /* said once at most */
  end(both);
}

static void continue_is_sent_once_when_expected(void **state) {
  (void)state;
  check_continue("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
                 "HTTP/1.1 100 Continue\r\n\r\n");
  check_continue("POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n", "");
  check_continue("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", "");
}

static void *send_much(void *argument) {
  script *s = argument;
  char junk[10000];
  memset(junk, 'x', sizeof junk);
  bool sent = true;
  for (int i = 0; i < 30 && sent; i++) {
    sent = send(s->fd, junk, sizeof junk, MSG_NOSIGNAL) > 0;
    usleep(1000);
  }
  bool heard = hear(s->fd, s->heard, sizeof s->heard) >= 0;
  if (!sent || !heard) strcpy(s->heard, "reset");
  close(s->fd);
  return NULL;
}

/* A client that is refused while it still sends gets to read the answer. */
static void a_refused_sender_gets_to_read_the_answer(void **state) {
  (void)state;
  ends both = begin();
  script s = {.fd = both.client};
  pthread_t thread;
  say_text(both.client, "POST / HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n");
  assert_int_equal(pthread_create(&thread, NULL, send_much, &s), 0);
  assert_true(next_request(both.server));
  assert_int_equal(st_connection_get_request().fault.status, 413);
  say_text(both.server, "answer");
  st_connection_end_request(true);
  int64_t began = st_clock_monotonic_us();
  st_connection_close();
  close(both.server);
  assert_true(st_clock_monotonic_us() - began < 3 * INT64_C(1000000));
  pthread_join(thread, NULL);
  assert_string_equal(s.heard, "answer");
}

/* ---- answers ---- */

enum { LARGE = 8 << 20 }; /* more than the socket buffers of both sides hold */
static char large[LARGE];

static void *read_slowly(void *argument) {
  script *s = argument;
  char piece[1 << 16];
  size_t len = 0;
  usleep(SETTLE_US);
  for (ssize_t n; (n = recv(s->fd, piece, sizeof piece, 0)) > 0; len += (size_t)n) {
    if (memcmp(piece, large + len, (size_t)n) != 0) break;
  }
  s->piece = len;
  return NULL;
}

static void a_large_answer_waits_for_its_reader(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (size_t i = 0; i < LARGE; i += 8) {
    uint64_t next = random_next(&seed);
    memcpy(large + i, &next, sizeof next);
  }
  ends both = begin();
  script s = {.fd = both.client};
  pthread_t thread;
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  assert_int_equal(pthread_create(&thread, NULL, read_slowly, &s), 0);
  assert_true(st_connection_send("", 0, NULL));
  assert_true(st_connection_send(large, LARGE, NULL));
  shutdown(both.server, SHUT_WR);
  pthread_join(thread, NULL);
  assert_int_equal(s.piece, LARGE); /* all of it, in order */
  st_connection_end_request(true);
  end(both);
  /* A client that has left: no signal, no wait. */
  both = begin();
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  close(both.client);
  usleep(SETTLE_US);
  assert_false(st_connection_send(large, LARGE, NULL));
  st_connection_end_request(true);
  st_connection_close();
  close(both.server);
}

/* ---- workers ---- */

typedef struct worker {
  pthread_t thread;
  atomic_bool wordy; /* answers with more than its client reads */
  atomic_bool sent;
  ends both;
  atomic_int tid;
  atomic_int served;
  atomic_bool ended;
} worker;

static void *work(void *argument) {
  worker *w = argument;
  if (!st_connection_thread_start()) abort();
  st_connection_open();
  atomic_store(&w->tid, gettid());
  while (next_request(w->both.server)) {
    atomic_fetch_add(&w->served, 1);
    bool cut = atomic_load(&w->wordy) && !st_connection_send(large, LARGE, NULL);
    st_connection_end_request(cut || st_connection_draining());
    if (cut || st_connection_draining()) break;
    atomic_store(&w->sent, true);
  }
  st_connection_close();
  close(w->both.server);
  atomic_store(&w->ended, true);
  st_connection_thread_end();
  return NULL;
}

/* Has it read all that its client sent, and waits? */
static bool is_settled(worker *w) {
  char path[64], line[256] = "";
  int unread = 1, tid = atomic_load(&w->tid);
  if (atomic_load(&w->ended)) return true;
  if (tid == 0 || ioctl(w->both.server, FIONREAD, &unread) != 0 || unread > 0) return false;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return atomic_load(&w->ended);
  bool read = fgets(line, sizeof line, file) != NULL;
  fclose(file);
  const char *state = strrchr(line, ')');
  return read && state != NULL && strncmp(state, ") S", 3) == 0;
}

/* On a busy machine, too. A moment later it waits still, unless for a lock. */
static void settle(worker *w) {
  for (int i = 0, seen = 0; seen < 3 && i < 60000; i++) {
    usleep(i == 0 ? SETTLE_US : 1000);
    seen = is_settled(w) ? seen + 1 : 0;
  }
}

static void start_worker(worker *w) {
  memset(w, 0, sizeof *w);
  w->both = connect_ends();
  assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
  settle(w);
}

static void join_worker(worker *w) {
  close(w->both.client);
  pthread_join(w->thread, NULL);
}

static bool soon(atomic_bool *flag) {
  for (int i = 0; i < 2000 && !atomic_load(flag); i++) usleep(1000);
  return atomic_load(flag);
}

static bool soon_served(worker *w, int count) {
  for (int i = 0; i < 2000 && atomic_load(&w->served) < count; i++) usleep(1000);
  return atomic_load(&w->served) == count;
}

/* With room for three, the fourth closes the one that has waited longest, and so on. */
static void the_idle_connection_that_waited_longest_is_closed(void **state) {
  (void)state;
  worker workers[5];
  st_connection_setup(3, report);
  for (size_t i = 0; i < 3; i++) start_worker(&workers[i]);
  for (size_t i = 0; i < 3; i++) assert_false(atomic_load(&workers[i].ended));
  /* The first does something, so that the second has waited longest. */
  say_text(workers[0].both.client, SIMPLE);
  assert_true(soon_served(&workers[0], 1));
  settle(&workers[0]);
  start_worker(&workers[3]);
  assert_true(soon(&workers[1].ended));
  start_worker(&workers[4]);
  assert_true(soon(&workers[2].ended));
  settle(&workers[0]);
  assert_false(atomic_load(&workers[0].ended));
  assert_false(atomic_load(&workers[3].ended));
  assert_false(atomic_load(&workers[4].ended));
  /* And those that are left still work. */
  say_text(workers[0].both.client, SIMPLE);
  say_text(workers[4].both.client, SIMPLE);
  assert_true(soon_served(&workers[0], 2));
  assert_true(soon_served(&workers[4], 1));
  for (size_t i = 0; i < COUNT(workers); i++) join_worker(&workers[i]);
  st_connection_setup(64, report);
}

/* C9: idle ones go first, oldest first, then what sends a request byte by byte: that does not make
 * a connection young again. */
static void a_client_that_sends_byte_by_byte_does_not_stay_young(void **state) {
  (void)state;
  worker dripper, idle, third, fourth;
  st_connection_setup(2, report);
  start_worker(&dripper);
  say_text(dripper.both.client, "G");
  settle(&dripper);
  start_worker(&idle);
  say_text(dripper.both.client, "E");
  settle(&dripper);
  start_worker(&third);
  assert_true(soon(&idle.ended));
  assert_false(atomic_load(&dripper.ended));
  say_text(third.both.client, "GET / HTTP/1.1\r\n");
  settle(&third);
  start_worker(&fourth);
  say_text(fourth.both.client, "GET / HTTP/1.1\r\n");
  assert_true(soon(&dripper.ended));
  assert_false(atomic_load(&third.ended));
  assert_int_equal(atomic_load(&dripper.served), 0);
  join_worker(&dripper);
  join_worker(&idle);
  join_worker(&third);
  join_worker(&fourth);
  st_connection_setup(64, report);
}

/* C9: of requests that have just begun, the one goes that has sent least, and of those the oldest;
 * whoever takes longer than a second goes before, however much he has sent. */
static void of_young_requests_the_shortest_is_closed(void **state) {
  (void)state;
  static const char start[] = "GET /v2/tokeninfo HTTP/1.1\r\nHost: a\r\n";
  worker honest, fifth, sly[3];
  st_connection_setup(2, report);
  start_worker(&honest);
  say_text(honest.both.client, start);
  settle(&honest);
  for (size_t i = 0; i < COUNT(sly); i++) { /* each takes the place of the one before it */
    start_worker(&sly[i]);
    say_text(sly[i].both.client, "GET");
    settle(&sly[i]);
    if (i > 0) assert_true(soon(&sly[i - 1].ended));
  }
  assert_false(atomic_load(&honest.ended));
  say_text(honest.both.client, "\r\n");
  assert_true(soon_served(&honest, 1));
  say_text(honest.both.client, start);
  usleep(1100000); /* the third is young no longer; the honest one is not either */
  start_worker(&fifth);
  say_text(fifth.both.client, "G");
  assert_true(soon(&sly[2].ended));
  assert_false(atomic_load(&fifth.ended));
  join_worker(&honest);
  join_worker(&fifth);
  for (size_t i = 0; i < COUNT(sly); i++) join_worker(&sly[i]);
  st_connection_setup(64, report);
}

/* D9: the wait for another request is as long as is set. */
static void an_idle_connection_is_closed_in_time(void **state) {
  (void)state;
  int before = atomic_load(&timeouts);
  st_connection_set_idle(1);
  ends both = begin();
  say_text(both.client, SIMPLE);
  assert_true(next_request(both.server));
  st_connection_end_request(false);
  int64_t began = st_clock_monotonic_us();
  assert_false(next_request(both.server));
  int64_t took = st_clock_monotonic_us() - began;
  assert_true(took >= 990000 && took < 5 * INT64_C(1000000));
  assert_int_equal(atomic_load(&timeouts), before); /* nothing that the log needs to know */
  end(both);
  st_connection_set_idle(75);
}

/* A client that does not read its answer waits like one that does not send its request. */
static void a_client_that_does_not_read_is_closed(void **state) {
  (void)state;
  worker deaf, idle, third;
  st_connection_setup(2, report);
  start_worker(&deaf);
  atomic_store(&deaf.wordy, true); /* read by its thread only after the request below */
  say_text(deaf.both.client, SIMPLE);
  assert_true(soon_served(&deaf, 1));
  settle(&deaf);
  start_worker(&idle);
  assert_false(atomic_load(&deaf.ended));
  say_text(idle.both.client, SIMPLE);
  assert_true(soon_served(&idle, 1));
  say_text(idle.both.client, "GET /");
  usleep(1100000);
  start_worker(&third);
  assert_true(soon(&deaf.ended));
  assert_false(atomic_load(&deaf.sent));
  usleep(SETTLE_US);
  assert_false(atomic_load(&idle.ended));
  assert_false(atomic_load(&third.ended));
  join_worker(&deaf);
  join_worker(&idle);
  join_worker(&third);
  st_connection_setup(64, report);
}

static void *finish_later(void *argument) {
  worker *w = argument;
  usleep(100000);
  say_text(w->both.client, " HTTP/1.1\r\n" HOST "\r\n");
  return NULL;
}

/* The last test: a server that drains does so for good. */
static void draining_finishes_what_has_begun(void **state) {
  (void)state;
  worker idle, half, stuck;
  pthread_t finisher;
  start_worker(&idle);
  start_worker(&half);
  start_worker(&stuck);
  say_text(half.both.client, "GET /");
  say_text(stuck.both.client, "GET /");
  settle(&half);
  settle(&stuck);
  assert_false(st_connection_draining());
  assert_int_equal(pthread_create(&finisher, NULL, finish_later, &half), 0);
  int64_t began = st_clock_monotonic_us();
  st_connection_begin_drain();
  assert_false(st_connection_drain(1000)); /* one never finishes */
  int64_t took = st_clock_monotonic_us() - began;
  assert_true(took >= 990000 && took < 5 * INT64_C(1000000));
  assert_true(st_connection_draining());
  pthread_join(finisher, NULL);
  assert_true(soon(&idle.ended));
  assert_true(soon_served(&half, 1)); /* what had begun was answered */
  assert_true(soon(&stuck.ended));
  assert_int_equal(atomic_load(&idle.served), 0);
  assert_int_equal(atomic_load(&stuck.served), 0);
  join_worker(&idle);
  join_worker(&half);
  join_worker(&stuck);
  assert_true(st_connection_drain(1000)); /* now none is left */
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  assert_int_equal(st_net_accept(listener, (struct sockaddr *)&peer, &len), -1);
}

static int set_up(void **state) {
  (void)state;
  socklen_t len = sizeof address;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&address, &len) != 0) {
    return -1;
  }
  st_connection_setup(64, report);
  return st_connection_thread_start() ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  st_connection_thread_end();
  return close(listener);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_whole_request_is_handed_over),
      cmocka_unit_test(a_client_that_leaves_ends_the_connection),
      cmocka_unit_test(pipelined_requests_come_one_by_one),
      cmocka_unit_test(the_largest_request_fits),
      cmocka_unit_test(chunked_bodies_are_joined),
      cmocka_unit_test(the_largest_chunked_body_fits),
      cmocka_unit_test(faults_are_told_with_their_status),
      cmocka_unit_test(other_descriptors_are_left_alone),
      cmocka_unit_test(a_request_may_come_in_pieces),
      cmocka_unit_test(continue_is_sent_once_when_expected),
      cmocka_unit_test(a_refused_sender_gets_to_read_the_answer),
      cmocka_unit_test(a_large_answer_waits_for_its_reader),
      cmocka_unit_test(the_idle_connection_that_waited_longest_is_closed),
      cmocka_unit_test(a_client_that_sends_byte_by_byte_does_not_stay_young),
      cmocka_unit_test(of_young_requests_the_shortest_is_closed),
      cmocka_unit_test(a_client_that_does_not_read_is_closed),
      cmocka_unit_test(an_idle_connection_is_closed_in_time),
      cmocka_unit_test(draining_finishes_what_has_begun),
  };
  return cmocka_run_group_tests_name("connection", tests, set_up, tear_down);
}
