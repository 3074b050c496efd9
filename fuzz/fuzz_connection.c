/* The reader of connections (server/connection.c): requests one behind the other, whose bytes come
 * in pieces, are the same requests as when all bytes are there at once. Heads are read as
 * request_head.c reads them (fuzz_request_head.c); bodies, and where the next request begins, are
 * found here in another way. Whatever is refused is the last.
 *
 * The first two bytes say how the pieces are cut. A byte of 1 stands for 2000 letters.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define ST_NET_PROTOTYPES_ONLY
#include "civetweb_net.h"
#include "server/connection.h"
#include "server/connection_limit.h"
#include "virtual_clock.h"
#include "whole_body.h"

/* ---- the client's end, of which nothing is a socket but the descriptor ---- */

static int server_end;
static subtoken_text left;
static unsigned cut, turn;
static bool wait_first;

ssize_t __real_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t len, int flags) {
  if (fd != server_end) return __real_recv(fd, bytes, len, flags);
  HOLD(len > 0); /* there is always room for what has to come */
  wait_first = !wait_first && (cut & 1) != 0;
  if (wait_first && (flags & MSG_DONTWAIT) != 0) {
    errno = EAGAIN;
    return -1;
  }
  size_t piece = 1 + ((cut >> 1) * (turn + 1) * 2654435761U >> 16) % (1U << (turn % 14));
  turn++;
  if (piece > left.len) piece = left.len;
  if (piece > len) piece = len;
  memcpy(bytes, left.data, piece);
  left = (subtoken_text){left.data + piece, left.len - piece};
  return (ssize_t)piece;
}

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags) {
  return fd == server_end ? (ssize_t)len : __real_send(fd, bytes, len, flags);
}

int __real_poll(struct pollfd *of, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *of, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *of, nfds_t count, int timeout) {
  if (count != 1 || of->fd != server_end) return __real_poll(of, count, timeout);
  clock_us += 10;
  of->revents = of->events;
  return 1;
}

static void report(const char *event) {
  HOLD(strcmp(event, "timeout") != 0);
}

/* ---- what must come ---- */

typedef enum expected { EXPECT_REQUEST, EXPECT_REFUSAL, EXPECT_END } expected;

static expected find_next(subtoken_text *rest, st_request_head *head, subtoken_text *body) {
  static char decoded[ST_REQUEST_BODY_MAX], scratch[ST_REQUEST_BODY_MAX];
  st_problem fault = {0};
  st_request_head_state state = st_request_head_read(*rest, head, &fault);
  if (state == ST_HEAD_BAD) return EXPECT_REFUSAL;
  if (state == ST_HEAD_MORE || rest->len == 0) return EXPECT_END;
  subtoken_text after = {rest->data + head->len, rest->len - head->len};
  size_t used = head->content_length;
  *body = (subtoken_text){after.data, used};
  if (!head->chunked && used > after.len) return EXPECT_END;
  if (head->chunked && !whole_read_chunked(after, decoded, &body->len, &used)) {
    st_chunked chunked = {0};
    (void)st_chunked_read(&chunked, after.data, after.len, scratch);
    HOLD(chunked.state != ST_CHUNKED_DONE);
    return chunked.state == ST_CHUNKED_MORE ? EXPECT_END : EXPECT_REFUSAL;
  }
  if (head->chunked) body->data = decoded;
  *rest = (subtoken_text){after.data + used, after.len - used};
  return EXPECT_REQUEST;
}

static bool same(subtoken_text a, subtoken_text b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_same(const st_connection_request *got, const st_request_head *head,
                       subtoken_text body) {
  HOLD(got->fault.status == 0 && same(got->body, body));
  HOLD(same(got->head->method, head->method) && same(got->head->target, head->target));
  HOLD(got->head->keep_alive == head->keep_alive && got->head->header_count == head->header_count);
  for (size_t i = 0; i < head->header_count; i++) {
    HOLD(same(got->head->headers[i].name, head->headers[i].name));
    HOLD(same(got->head->headers[i].value, head->headers[i].value));
  }
}

/* ---- a connection, as a worker of civetweb serves it ---- */

static bool serve(subtoken_text *rest, bool first) {
  static st_request_head head;
  char stand_in[64];
  subtoken_text body = {NULL, 0};
  expected what = find_next(rest, &head, &body);
  struct pollfd waiting = {.fd = server_end, .events = POLLIN};
  bool there = first ? st_net_poll(&waiting, 1, 1000) == 1 &&
                           st_net_recv(server_end, stand_in, sizeof stand_in, 0) > 0
                     : st_connection_next_request();
  HOLD(there == (what != EXPECT_END));
  if (!there) return false;
  st_connection_request got = st_connection_get_request();
  if (what == EXPECT_REQUEST) check_same(&got, &head, body);
  if (what == EXPECT_REFUSAL) HOLD(got.fault.status >= 400);
  bool close = what == EXPECT_REFUSAL || !head.keep_alive;
  HOLD(st_connection_send("answer", 6, NULL));
  st_connection_end_request(close);
  return !close;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool started;
  int ends[2];
  if (!started) {
    st_connection_setup(2, report);
    HOLD(st_connection_thread_start());
    HOLD(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    server_end = ends[0];
    started = true;
  }
  if (size < 2) return 0;
  cut = data[0] + 256U * data[1];
  turn = 0;
  wait_first = false;
  subtoken_text bytes = whole_expand(data + 2, size - 2), rest = bytes;
  left = bytes;
  st_connection_limit_opened();
  st_connection_open();
  bool more = serve(&rest, true);
  while (more) more = serve(&rest, false);
  HOLD(!st_connection_next_request()); /* what is behind the last is not read */
  st_connection_close();
  free((void *)(uintptr_t)bytes.data);
  return 0;
}
