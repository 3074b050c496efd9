/* Reads one request of a connection, whole and strictly, before civetweb hears of it, and sends the
 * answer. The functions st_net_* are what civetweb calls instead of the system's: st_net_poll reads
 * the request, st_net_recv hands over a stand-in for it. Who waits, and for whom there is room:
 * connection_limit.c. What a request may look like: service/request_head.c.
 */
#include "server/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define ST_NET_PROTOTYPES_ONLY
#include "civetweb_net.h"
#include "domain/listen.h"
#include "os/clock.h"
#include "server/connection_limit.h"
#include "service/chunked.h"

#define DEADLINE_US INT64_C(9900000) /* a request, or the first byte of one: within 10 s */
#define LINGER_US INT64_C(1000000)   /* how long a refused client may go on sending */
#define LINGER_BYTES 1048576
#define LOOK_US INT64_C(200000)
#define PAUSE_MS 50 /* when no connection can be accepted */
/* The largest head and body, and room for what frames the next chunk behind them. */
#define BUFFER (ST_HEAD_MAX + ST_REQUEST_BODY_MAX + 256)

static const char stand_in[] = "GET / HTTP/1.1\r\nHost: stand-in\r\n\r\n";

/* The connection that a worker thread serves. Other threads look at the entry alone. */
typedef struct connection {
  st_connection_entry entry;
  bool open;   /* between st_connection_open and st_connection_close */
  bool used;   /* a request has been answered */
  bool ready;  /* a request is there for begin_request */
  bool handed; /* and the stand-in has been given */
  bool linger;
  bool closing;   /* nothing is read from it any more */
  int64_t now_us; /* when it last received or stopped waiting */
  int64_t deadline_us;
  int64_t recv_idle_us; /* how long the socket's recv waits; 0: not at all */
  int64_t answer_by_us; /* ten seconds after the request was read: all that is sent, and before */
  size_t got;           /* bytes of this request as they came */
  size_t filled;        /* bytes in data: the head, the body, and what came behind it */
  size_t body_len;      /* of a whole request */
  bool continued;       /* 100 Continue has been sent */
  bool head_read;
  st_chunked chunked;
  st_request_head head;
  st_problem fault;
  int waker; /* of the thread: an eventfd, -1 until it first waits */
  char data[BUFFER];
} connection;

static _Thread_local connection *mine;

static struct {
  _Atomic int64_t idle_us;
  st_connection_report *report;
} setup = {.idle_us = DEADLINE_US};

/* The accepting thread's own, once civetweb has started. */
static struct {
  int sentinel; /* the socket that civetweb takes for the one that listens */
  size_t count, next;
  struct pollfd each[ST_LISTEN_MAX];
} listeners = {.sentinel = -1};

void st_connection_setup(int64_t threads, st_connection_report *report) {
  st_connection_limit_start(threads);
  setup.report = report;
}

void st_connection_set_idle(int64_t seconds) {
  atomic_store(&setup.idle_us, seconds * 1000000);
}

bool st_connection_thread_start(void) {
  mine = calloc(1, sizeof *mine);
  if (mine != NULL) {
    mine->waker = -1;
    st_connection_limit_count_workers(1);
  }
  return mine != NULL;
}

void st_connection_thread_end(void) {
  if (mine != NULL) {
    st_connection_limit_count_workers(-1);
    if (mine->waker >= 0) close(mine->waker);
  }
  free(mine);
  mine = NULL;
}

bool st_connection_draining(void) {
  return st_connection_limit_is_draining();
}

/* ---- one connection ---- */

void st_connection_open(void) {
  if (mine == NULL) return;
  memset(mine, 0, offsetof(connection, head));
  mine->open = true;
  mine->entry.fd = -1;
}

/* A client that is still sending when its connection is closed loses the answer
 * to a reset. Let it send for a while, and throw that away.
 */
static void linger(connection *c) {
  shutdown(c->entry.fd, SHUT_WR);
  st_connection_limit_set_begun(&c->entry, false);
  int64_t until = st_clock_monotonic_us() + LINGER_US;
  for (size_t seen = 0;
       seen < LINGER_BYTES && st_connection_limit_wait(&c->entry, POLLIN, c->got, until);) {
    ssize_t n = recv(c->entry.fd, c->data, sizeof c->data, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return;
    seen += n > 0 ? (size_t)n : 0;
  }
}

void st_connection_close(void) {
  bool lingered = mine != NULL && mine->linger && mine->entry.fd >= 0;
  if (lingered) linger(mine);
  st_connection_limit_closed(mine != NULL ? &mine->entry : NULL);
  if (mine == NULL) return;
  subtoken_wipe(mine->data, lingered ? sizeof mine->data : mine->filled); /* credentials */
  mine->open = false;
  mine->entry.fd = -1;
}

st_connection_request st_connection_get_request(void) {
  st_connection_request request = {
      .head = &mine->head, .fault = mine->fault, .read_us = mine->now_us};
  if (mine->fault.status == 0) {
    request.body = (subtoken_text){mine->data + mine->head.len, mine->body_len};
  }
  return request;
}

bool st_connection_client_left(void) {
  if (mine == NULL || !mine->open || mine->entry.fd < 0) return false;
  struct pollfd client = {.fd = mine->entry.fd, .events = POLLRDHUP};
  return poll(&client, 1, 0) > 0;
}

/* ---- waiting in the middle of a request ---- */

int st_connection_waker(void) {
  if (mine == NULL || !mine->open) return -1;
  if (mine->waker < 0) mine->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return mine->waker;
}

void st_connection_wake(int waker) {
  (void)eventfd_write(waker, 1);
}

bool st_connection_wait(int64_t until_us) {
  int64_t left_us = until_us - st_clock_monotonic_us();
  struct pollfd ends[] = {{.fd = mine->entry.fd, .events = POLLRDHUP},
                          {.fd = mine->waker, .events = POLLIN}};
  if (left_us <= 0) return true;
  (void)poll(ends, 2, (int)(left_us / 1000) + 1);
  return ends[0].revents == 0;
}

void st_connection_end_wait(void) {
  eventfd_t count;
  (void)eventfd_read(mine->waker, &count); /* the next wait is another one */
  mine->answer_by_us = st_clock_monotonic_us() + DEADLINE_US;
}

/* ---- answering ---- */

/* What may be retired is looked at several times a second: its memory is wanted back. */
static int64_t next_look(int64_t until_us, const atomic_bool *retired) {
  int64_t soon = st_clock_monotonic_us() + LOOK_US;
  return retired != NULL && soon < until_us ? soon : until_us;
}

static bool connection_send(const char *data, size_t len, int flags, const atomic_bool *retired) {
  connection *c = mine;
  /* A second more for each MiB: who takes less than that is not waited for. */
  int64_t until = c->answer_by_us + (int64_t)(len >> 20) * 1000000;
  bool good = true, waited = false;
  while (good && len > 0 && (retired == NULL || !atomic_load(retired))) {
    ssize_t n = send(c->entry.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      waited = true;
      good = st_connection_limit_wait(&c->entry, POLLOUT, c->got, next_look(until, retired));
    } else {
      good = n < 0 && errno == EINTR;
    }
  }
  if (waited) st_connection_limit_leave(&c->entry, false);
  return good && len == 0;
}

bool st_connection_send(const char *data, size_t len, const atomic_bool *retired) {
  return connection_send(data, len, 0, retired);
}

bool st_connection_send_part(const char *data, size_t len, const atomic_bool *retired) {
  return connection_send(data, len, MSG_MORE, retired);
}

void st_connection_end_request(bool close) {
  size_t used = mine->fault.status == 0 ? mine->head.len + mine->body_len : mine->filled;
  mine->closing = mine->closing || close;
  mine->linger = close && (mine->fault.status != 0 || mine->filled > used);
  size_t rest = mine->filled - used;
  memmove(mine->data, mine->data + used, rest);
  subtoken_wipe(mine->data + rest, used);
  mine->filled = mine->got = rest;
  mine->used = true;
  mine->ready = mine->handed = mine->continued = mine->head_read = false;
}

/* ---- reading a request ---- */

static void send_continue(connection *c) {
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  c->continued = true;
  /* When it cannot be sent the client sends its body all the same, or leaves. */
  ssize_t sent = send(c->entry.fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)sent;
}

/* Once it is whole it is not read again, however many pieces the body comes in. */
static st_request_head_state connection_read_head(connection *c) {
  if (c->head_read) return ST_HEAD_GOOD;
  c->fault.status = 0;
  st_request_head_state state =
      st_request_head_read((subtoken_text){c->data, c->filled}, &c->head, &c->fault);
  c->head_read = state == ST_HEAD_GOOD;
  memset(&c->chunked, 0, sizeof c->chunked);
  c->body_len = c->head.content_length;
  return state;
}

/* Decoded where it lies, right behind the head: so the buffer holds any body, whatever it was cut
 * into, and what follows it is the next request.
 */
static bool decode_body(connection *c) {
  char *body = c->data + c->head.len;
  size_t from = c->head.len + c->body_len, before = c->filled;
  size_t used = st_chunked_read(&c->chunked, c->data + from, c->filled - from, body);
  size_t rest = c->filled - from - used;
  c->body_len = c->chunked.body_len;
  memmove(body + c->body_len, c->data + from + used, rest);
  c->filled = c->head.len + c->body_len + rest;
  subtoken_wipe(c->data + c->filled, before - c->filled); /* it may have been a password */
  switch (c->chunked.state) {
    case ST_CHUNKED_MORE: return false;
    case ST_CHUNKED_DONE: return true;
    case ST_CHUNKED_TOO_LONG:
      c->fault = (st_problem){
          .status = 413, .event = "limit", .text = "the body is longer than 8192 bytes"};
      return true;
    default:
      c->fault = (st_problem){.status = 400,
                              .event = "bad_framing",
                              .text =
                                  "a chunk of the body is not `SIZE CRLF data CRLF`; no extensions "
                                  "and no trailers are taken"};
      return true;
  }
}

/* Is what has come a whole request, or one to refuse? */
static bool request_is_complete(connection *c) {
  if (c->filled == 0) return false;
  switch (connection_read_head(c)) {
    case ST_HEAD_MORE: return false;
    case ST_HEAD_BAD: return true;
    default: break;
  }
  if (c->head.chunked ? decode_body(c) : c->filled >= c->head.len + c->body_len) return true;
  if (c->head.expect_continue && !c->continued) send_continue(c);
  return false;
}

typedef enum receive_result { RECEIVED_BYTES, RECEIVED_NOTHING, RECEIVED_END } receive_result;

static receive_result receive_some(connection *c, int flags) {
  ssize_t n = recv(c->entry.fd, c->data + c->filled, sizeof c->data - c->filled, flags);
  int error = errno;
  c->now_us = st_clock_monotonic_us();
  if (n > 0) {
    c->filled += (size_t)n;
    c->got += (size_t)n;
    return RECEIVED_BYTES;
  }
  bool nothing = n < 0 && (error == EAGAIN || error == EWOULDBLOCK || error == EINTR);
  return nothing ? RECEIVED_NOTHING : RECEIVED_END;
}

/* From now on recv without MSG_DONTWAIT waits, for so long. */
static bool set_recv_wait(connection *c, int64_t idle_us) {
  struct timeval time = {idle_us / 1000000, idle_us % 1000000};
  if (c->recv_idle_us == idle_us) return true;
  if (idle_us <= 0 || setsockopt(c->entry.fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) != 0 ||
      (c->recv_idle_us == 0 && fcntl(c->entry.fd, F_SETFL, 0) != 0)) {
    return false;
  }
  c->recv_idle_us = idle_us;
  return true;
}

/* The first bytes of the next request on a connection that is kept: recv itself waits for them, so
 * that there is one call of the system instead of three. RECEIVED_NOTHING: look and wait as usual.
 */
static receive_result receive_next(connection *c, int64_t idle_us) {
  if (!set_recv_wait(c, idle_us)) return RECEIVED_NOTHING;
  if (!st_connection_limit_begin_wait(&c->entry, false, c->got, c->now_us)) return RECEIVED_END;
  return receive_some(c, 0);
}

static void begin_reading(connection *c) {
  c->deadline_us = c->now_us + DEADLINE_US;
  st_connection_limit_set_begun(&c->entry, true);
}

/* Until a request is there, or the connection is at its end. */
static bool connection_read_request(connection *c) {
  bool begun = c->filled > 0, next = c->used && !begun;
  int64_t idle_us = next ? atomic_load_explicit(&setup.idle_us, memory_order_relaxed) : DEADLINE_US;
  c->now_us = st_clock_monotonic_us();
  c->deadline_us = c->now_us + idle_us;
  st_connection_limit_set_begun(&c->entry, begun);
  while (!request_is_complete(c)) {
    receive_result what = next ? receive_next(c, idle_us) : receive_some(c, MSG_DONTWAIT);
    next = false;
    if (what == RECEIVED_END) return false;
    if (what == RECEIVED_NOTHING &&
        !st_connection_limit_wait(&c->entry, POLLIN, c->got, c->deadline_us)) {
      if (begun && st_clock_monotonic_us() >= c->deadline_us) setup.report("timeout");
      return false;
    }
    if (what == RECEIVED_BYTES && !begun) {
      begun = true;
      begin_reading(c);
    }
  }
  c->answer_by_us = c->now_us + DEADLINE_US;
  return true;
}

bool st_connection_next_request(void) {
  connection *c = mine;
  if (c == NULL || !c->open || c->closing) return false;
  if (!c->ready) {
    c->ready = connection_read_request(c);
    c->closing = !c->ready;
    st_connection_limit_leave(&c->entry, c->ready);
  }
  return c->ready;
}

/* ---- what civetweb calls instead of the system ---- */

void st_connection_listen(const int *sockets, size_t count) {
  listeners.count = count < ST_LISTEN_MAX ? count : ST_LISTEN_MAX;
  for (size_t i = 0; i < listeners.count; i++) {
    listeners.each[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
  }
}

/* civetweb makes one socket and means to listen at it: neither happens. What it polls for
 * connections, and accepts them from, are the sockets of st_connection_listen.
 */
int st_net_bind(int fd, const struct sockaddr *address, socklen_t len) {
  (void)fd;
  (void)address;
  (void)len;
  return 0;
}

int st_net_listen(int fd, int backlog) {
  (void)backlog;
  listeners.sentinel = fd;
  return 0;
}

static int poll_listeners(struct pollfd *sentinel, int timeout_ms) {
  int result = poll(listeners.each, (nfds_t)listeners.count, timeout_ms);
  if (result < 0 && errno != EINTR) usleep(PAUSE_MS * 1000); /* no memory: do not spin */
  sentinel->revents = result > 0 ? POLLIN : 0;
  return result > 0 ? 1 : result;
}

/* In turns, so that a busy one does not keep the others waiting. */
static int ready_listener(void) {
  for (size_t i = 0; i < listeners.count; i++) {
    const struct pollfd *each = &listeners.each[listeners.next++ % listeners.count];
    if (each->revents != 0) return each->fd;
  }
  return listeners.sentinel;
}

int st_net_poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
  bool reading = mine != NULL && mine->open && count == 1 && (fds->events & POLLIN) != 0;
  if (!reading) {
    bool accepting = count == 1 && fds->fd == listeners.sentinel;
    int result = accepting ? poll_listeners(fds, timeout_ms) : poll(fds, count, timeout_ms);
    /* civetweb reads errno even after success and takes an old EAGAIN for a timeout. */
    if (result > 0) errno = 0;
    return result;
  }
  if (mine->entry.fd != fds->fd) mine->entry.fd = fds->fd;
  if (!st_connection_next_request()) mine->closing = true; /* st_net_recv tells the end */
  fds->revents = POLLIN;
  errno = 0;
  return 1;
}

ssize_t st_net_recv(int fd, void *buffer, size_t len, int flags) {
  (void)flags;
  bool hand_over = mine != NULL && mine->open && mine->entry.fd == fd && mine->ready &&
                   !mine->handed && len >= sizeof stand_in - 1;
  if (!hand_over) return 0; /* an end: civetweb closes without an answer */
  mine->handed = true;
  memcpy(buffer, stand_in, sizeof stand_in - 1);
  return (ssize_t)(sizeof stand_in - 1);
}

int st_net_accept(int listener, struct sockaddr *restrict address, socklen_t *restrict len) {
  if (listener == listeners.sentinel) listener = ready_listener();
  int fd = st_connection_draining() ? -1 : accept4(listener, address, len, SOCK_CLOEXEC);
  if (fd < 0) {
    /* Without descriptors or memory the connection stays in the backlog and
     * poll reports it again at once: do not spin. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      setup.report("accept_emfile");
    }
    poll(NULL, 0, PAUSE_MS);
    return -1;
  }
  st_connection_limit_opened();
  return fd;
}

/* ---- ending ---- */

void st_connection_begin_drain(void) {
  st_connection_limit_begin_drain();
  for (size_t i = 0; i < listeners.count; i++) shutdown(listeners.each[i].fd, SHUT_RDWR);
}

bool st_connection_drain(int64_t milliseconds) {
  return st_connection_limit_drain(st_clock_monotonic_us() + milliseconds * 1000);
}
