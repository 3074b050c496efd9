#include "server/connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ST_NET_PROTOTYPES_ONLY
#include "civetweb_net.h"
#include "domain/listen.h"
#include "os/clock.h"
#include "service/chunked.h"

#define DEADLINE_US INT64_C(9900000) /* a request, or the first byte of one: within 10 s */
#define GRACE_US INT64_C(100000)     /* in which a new connection says its first word */
#define PATIENCE_US INT64_C(1000000) /* in which a request comes, or its answer is taken */
#define COMPARED 64                  /* of those who keep to that, as many are compared */
#define LINGER_US INT64_C(1000000)   /* how long a refused client may go on sending */
#define LINGER_BYTES 1048576
#define LOOK_US INT64_C(200000)
#define PAUSE_MS 50 /* when no connection can be accepted */
/* The largest head and body, and room for what frames the next chunk behind them. */
#define BUFFER (ST_HEAD_MAX + ST_BODY_IN_MAX + 256)

static const char stand_in[] = "GET / HTTP/1.1\r\nHost: gate\r\n\r\n";

/* Those that wait, in the order in which they began to. */
typedef struct wait_list {
  struct gate *oldest, *newest;
} wait_list;

/* The connection that a worker thread serves. Only what stands before `open`, and fd, is looked
 * at by other threads, under the lock.
 */
typedef struct gate {
  struct gate *older, *newer;
  wait_list *list;  /* NULL while it does not wait */
  int64_t since_us; /* when it was put there */
  size_t progress;  /* bytes of the request that have come */
  bool evicted;     /* closed by us while it waited */
  bool settled;     /* it is known to wait, or to have a request: see find_victim */
  bool begun;       /* bytes of a request have come */
  bool writing;     /* waits until its client reads */
  bool open;        /* between st_connection_open and st_connection_close */
  bool used;        /* a request has been answered */
  int fd;           /* -1 until civetweb first asks for it */
  bool ready;       /* a request is there for begin_request */
  bool handed;      /* and the stand-in has been given */
  bool linger;
  int64_t deadline_us;
  int64_t answer_by_us; /* ten seconds after the request was read: all that is sent, and before */
  size_t got;           /* bytes of this request as they came */
  size_t filled;        /* bytes in data: the head, the body, and what came behind it */
  size_t body_len;      /* of a whole request */
  bool continued;       /* 100 Continue has been sent */
  bool head_read;
  st_chunked chunked;
  st_request_head head;
  st_request_head_fault fault;
  char data[BUFFER];
} gate;

static _Thread_local gate *mine;

static struct {
  pthread_mutex_t lock;
  wait_list idle;  /* wait for a request */
  wait_list begun; /* in the middle of one, or of its answer */
  int64_t threads;
  int64_t workers;  /* threads that there really are */
  int64_t open;     /* accepted and not yet closed */
  int64_t evicting; /* of those, told to close */
  int64_t settled;  /* of those, held by a thread, and for how long nobody knows */
  atomic_bool draining;
  _Atomic int64_t idle_us;
  st_connection_report *report;
} all = {.lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, .idle_us = DEADLINE_US};

/* The accepting thread's own, once civetweb has started. */
static struct {
  int shown; /* what civetweb takes for the socket that listens */
  size_t count, next;
  struct pollfd each[ST_LISTEN_MAX];
} listeners = {.shown = -1};

void st_connection_setup(int64_t threads, st_connection_report *report) {
  all.threads = threads;
  all.report = report;
}

void st_connection_set_idle(int64_t seconds) {
  atomic_store(&all.idle_us, seconds * 1000000);
}

static void count_workers(int change) {
  pthread_mutex_lock(&all.lock);
  all.workers += change;
  pthread_mutex_unlock(&all.lock);
}

bool st_connection_thread_start(void) {
  mine = calloc(1, sizeof *mine);
  if (mine != NULL) count_workers(1);
  return mine != NULL;
}

void st_connection_thread_end(void) {
  if (mine != NULL) count_workers(-1);
  free(mine);
  mine = NULL;
}

bool st_connection_draining(void) {
  return atomic_load(&all.draining);
}

/* ---- the lists of connections that wait; each call holds the lock ---- */

static void unlink_waiting(gate *g) {
  wait_list *list = g->list;
  if (list == NULL) return;
  *(g->older != NULL ? &g->older->newer : &list->oldest) = g->newer;
  *(g->newer != NULL ? &g->newer->older : &list->newest) = g->older;
  g->list = NULL;
}

static void link_waiting(gate *g, wait_list *list) {
  g->older = list->newest;
  g->newer = NULL;
  *(list->newest != NULL ? &list->newest->newer : &list->oldest) = g;
  list->newest = g;
  g->list = list;
  g->since_us = st_clock_monotonic_us();
}

static void unsettle(gate *g) {
  all.settled -= g->settled;
  g->settled = false;
}

/* Ends a connection that waits: its thread reads what has come, then an end; one that
 * writes to a client that does not read fails.
 */
static void evict(gate *g) {
  unlink_waiting(g);
  unsettle(g);
  g->evicted = true;
  all.evicting++;
  shutdown(g->fd, g->writing ? SHUT_RDWR : SHUT_RD);
}

/* Of those that have not taken too long yet: the one that has sent least, and of these the oldest.
 * So a client that sends its request in two packets is safe from those who hold a thread for the
 * price of a byte.
 */
static gate *find_least(void) {
  gate *least = all.begun.oldest;
  gate *g = least != NULL ? least->newer : NULL;
  for (size_t i = 1; i < COMPARED && g != NULL; i++, g = g->newer) {
    if (g->progress < least->progress) least = g;
  }
  return least;
}

static bool waited(const wait_list *list, int64_t now, int64_t most) {
  return list->oldest != NULL && now - list->oldest->since_us > most;
}

/* Whom to close when there are too many: the idle one that has waited longest; without one that
 * has had its grace, the one whose request or answer has taken longest, so that nobody keeps a
 * thread by sending much, slowly. Those with a request on its way that is not late come last, and
 * only when each thread is held by one of them or by a request: a thread that comes free at this
 * moment, or has not looked at its new connection yet, is likely to find an idle one.
 */
static gate *find_victim(void) {
  int64_t now = st_clock_monotonic_us();
  int64_t most = all.threads < all.workers ? all.threads : all.workers;
  if (waited(&all.idle, now, GRACE_US)) return all.idle.oldest;
  if (waited(&all.begun, now, PATIENCE_US) && all.settled >= most) return all.begun.oldest;
  if (all.idle.oldest != NULL) return all.idle.oldest;
  return all.settled >= most ? find_least() : NULL;
}

static void make_room(void) {
  gate *victim;
  while (all.open - all.evicting > all.threads && (victim = find_victim()) != NULL) evict(victim);
}

static void settle(gate *g) {
  if (g->settled) return;
  g->settled = true;
  all.settled++;
  make_room();
}

/* Waits in the list, where others can end the wait. Held on to across several waits:
 * whoever called last takes the connection off with leave_list.
 */
static bool wait_in_list(gate *g, short events, int64_t until_us) {
  int64_t left = until_us - st_clock_monotonic_us();
  if (left <= 0) return false;
  pthread_mutex_lock(&all.lock);
  g->writing = events == POLLOUT;
  g->progress = g->writing ? SIZE_MAX : g->got;
  bool ended = g->evicted || (st_connection_draining() && !g->begun);
  if (!ended && g->list == NULL) {
    link_waiting(g, g->begun ? &all.begun : &all.idle);
    settle(g);
    make_room();
  }
  pthread_mutex_unlock(&all.lock);
  if (ended) return false;
  struct pollfd waiting = {.fd = g->fd, .events = events};
  return poll(&waiting, 1, (int)(left / 1000) + 1) >= 0 || errno == EINTR;
}

/* busy: because it has a request. */
static void leave_list(gate *g, bool busy) {
  pthread_mutex_lock(&all.lock);
  unlink_waiting(g);
  if (busy) settle(g);
  pthread_mutex_unlock(&all.lock);
}

/* Is a request on its way, in or out? Then it is let finish when the server ends, and idle ones
 * are closed before it.
 */
static void set_begun(gate *g, bool begun) {
  pthread_mutex_lock(&all.lock);
  if (g->begun != begun) unlink_waiting(g);
  g->begun = begun;
  pthread_mutex_unlock(&all.lock);
}

/* ---- one connection ---- */

void st_connection_open(void) {
  if (mine == NULL) return;
  memset(mine, 0, offsetof(gate, head));
  mine->open = true;
  mine->fd = -1;
}

/* A client that is still sending when its connection is closed loses the answer
 * to a reset. Let it send for a while, and throw that away.
 */
static void linger(gate *g) {
  shutdown(g->fd, SHUT_WR);
  set_begun(g, false);
  int64_t until = st_clock_monotonic_us() + LINGER_US;
  for (size_t seen = 0; seen < LINGER_BYTES && wait_in_list(g, POLLIN, until);) {
    ssize_t n = recv(g->fd, g->data, sizeof g->data, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return;
    seen += n > 0 ? (size_t)n : 0;
  }
}

static void count_closed(gate *g) {
  pthread_mutex_lock(&all.lock);
  all.open--;
  if (g != NULL) {
    unlink_waiting(g);
    unsettle(g);
    if (g->evicted) all.evicting--;
  }
  pthread_mutex_unlock(&all.lock);
}

void st_connection_close(void) {
  bool lingered = mine != NULL && mine->linger && mine->fd >= 0;
  if (lingered) linger(mine);
  count_closed(mine);
  if (mine == NULL) return;
  subtoken_wipe(mine->data, lingered ? sizeof mine->data : mine->filled); /* credentials */
  mine->open = false;
  mine->fd = -1;
}

st_connection_request st_connection_current(void) {
  st_connection_request request = {&mine->head, {NULL, 0}, mine->fault};
  if (mine->fault.status == 0) {
    request.body = (subtoken_text){mine->data + mine->head.len, mine->body_len};
  }
  return request;
}

bool st_connection_client_left(void) {
  if (mine == NULL || !mine->open || mine->fd < 0) return false;
  struct pollfd client = {.fd = mine->fd, .events = POLLRDHUP};
  return poll(&client, 1, 0) > 0;
}

/* What may be retired is looked at several times a second: its memory is wanted back. */
static int64_t next_look(int64_t until_us, const atomic_bool *retired) {
  int64_t soon = st_clock_monotonic_us() + LOOK_US;
  return retired != NULL && soon < until_us ? soon : until_us;
}

bool st_connection_send(const char *data, size_t len, const atomic_bool *retired) {
  gate *g = mine;
  /* A second more for each MiB: who takes less than that is not waited for. */
  int64_t until = g->answer_by_us + (int64_t)(len >> 20) * 1000000;
  bool good = true, waited = false;
  while (good && len > 0 && (retired == NULL || !atomic_load(retired))) {
    ssize_t n = send(g->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      waited = true;
      good = wait_in_list(g, POLLOUT, next_look(until, retired));
    } else {
      good = n < 0 && errno == EINTR;
    }
  }
  if (waited) leave_list(g, false);
  return good && len == 0;
}

void st_connection_answered(bool close) {
  size_t used = mine->fault.status == 0 ? mine->head.len + mine->body_len : mine->filled;
  mine->linger = close && (mine->fault.status != 0 || mine->filled > used);
  size_t rest = mine->filled - used;
  memmove(mine->data, mine->data + used, rest);
  subtoken_wipe(mine->data + rest, used);
  mine->filled = mine->got = rest;
  mine->used = true;
  mine->ready = mine->handed = mine->continued = mine->head_read = false;
}

/* ---- reading a request ---- */

static void say_continue(gate *g) {
  static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
  g->continued = true;
  /* When it cannot be sent the client sends its body all the same, or leaves. */
  ssize_t sent = send(g->fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)sent;
}

/* Once it is whole it is not read again, however many pieces the body comes in. */
static st_request_head_state read_head(gate *g) {
  if (g->head_read) return ST_HEAD_GOOD;
  g->fault.status = 0;
  st_request_head_state state =
      st_request_head_read((subtoken_text){g->data, g->filled}, &g->head, &g->fault);
  g->head_read = state == ST_HEAD_GOOD;
  memset(&g->chunked, 0, sizeof g->chunked);
  g->body_len = g->head.content_length;
  return state;
}

/* Decoded where it lies, right behind the head: so the buffer holds any body, whatever it was cut
 * into, and what follows it is the next request.
 */
static bool decode_body(gate *g) {
  char *body = g->data + g->head.len;
  size_t from = g->head.len + g->body_len, before = g->filled;
  size_t used = st_chunked_read(&g->chunked, g->data + from, g->filled - from, body);
  size_t rest = g->filled - from - used;
  g->body_len = g->chunked.body_len;
  memmove(body + g->body_len, g->data + from + used, rest);
  g->filled = g->head.len + g->body_len + rest;
  subtoken_wipe(g->data + g->filled, before - g->filled); /* it may have been a password */
  switch (g->chunked.state) {
    case ST_CHUNKED_MORE: return false;
    case ST_CHUNKED_DONE: return true;
    case ST_CHUNKED_TOO_LONG:
      g->fault = (st_request_head_fault){413, "limit", "the body is longer than 8192 bytes"};
      return true;
    default:
      g->fault =
          (st_request_head_fault){400, "bad_framing",
                                  "a chunk of the body is not `SIZE CRLF data CRLF`; no extensions "
                                  "and no trailers are taken"};
      return true;
  }
}

/* Is what has come a whole request, or one to refuse? */
static bool complete(gate *g) {
  if (g->filled == 0) return false;
  switch (read_head(g)) {
    case ST_HEAD_MORE: return false;
    case ST_HEAD_BAD: return true;
    default: break;
  }
  if (g->head.chunked ? decode_body(g) : g->filled >= g->head.len + g->body_len) return true;
  if (g->head.expect_continue && !g->continued) say_continue(g);
  return false;
}

typedef enum came { CAME_BYTES, CAME_NOTHING, CAME_END } came;

static came read_some(gate *g) {
  ssize_t n = recv(g->fd, g->data + g->filled, sizeof g->data - g->filled, MSG_DONTWAIT);
  if (n > 0) {
    g->filled += (size_t)n;
    g->got += (size_t)n;
    return CAME_BYTES;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return CAME_NOTHING;
  return CAME_END;
}

/* Until a request is there, or the connection is at its end. */
static bool read_request(gate *g) {
  bool begun = g->filled > 0;
  int64_t idle_us = g->used && !begun ? atomic_load(&all.idle_us) : DEADLINE_US;
  g->deadline_us = st_clock_monotonic_us() + idle_us;
  set_begun(g, begun);
  while (!complete(g)) {
    came what = read_some(g);
    if (what == CAME_END) return false;
    if (what == CAME_NOTHING && !wait_in_list(g, POLLIN, g->deadline_us)) {
      if (begun && st_clock_monotonic_us() >= g->deadline_us) all.report("timeout");
      return false;
    }
    if (what == CAME_BYTES && !begun) {
      begun = true;
      g->deadline_us = st_clock_monotonic_us() + DEADLINE_US;
      set_begun(g, true);
    }
  }
  g->answer_by_us = st_clock_monotonic_us() + DEADLINE_US;
  return true;
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
  listeners.shown = fd;
  return 0;
}

static int poll_listeners(struct pollfd *shown, int timeout_ms) {
  int result = poll(listeners.each, (nfds_t)listeners.count, timeout_ms);
  shown->revents = result > 0 ? POLLIN : 0;
  return result > 0 ? 1 : result;
}

/* In turns, so that a busy one does not keep the others waiting. */
static int ready_listener(void) {
  for (size_t i = 0; i < listeners.count; i++) {
    const struct pollfd *each = &listeners.each[listeners.next++ % listeners.count];
    if (each->revents != 0) return each->fd;
  }
  return listeners.shown;
}

int st_net_poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
  bool reading = mine != NULL && mine->open && count == 1 && (fds->events & POLLIN) != 0;
  if (!reading) {
    bool accepting = count == 1 && fds->fd == listeners.shown;
    int result = accepting ? poll_listeners(fds, timeout_ms) : poll(fds, count, timeout_ms);
    /* civetweb reads errno even after success and takes an old EAGAIN for a timeout. */
    if (result > 0) errno = 0;
    return result;
  }
  mine->fd = fds->fd;
  if (!mine->ready) {
    mine->ready = read_request(mine);
    leave_list(mine, mine->ready);
  }
  fds->revents = POLLIN;
  errno = 0;
  return 1;
}

ssize_t st_net_recv(int fd, void *buffer, size_t len, int flags) {
  (void)flags;
  bool give = mine != NULL && mine->open && mine->fd == fd && mine->ready && !mine->handed &&
              len >= sizeof stand_in - 1;
  if (!give) return 0; /* an end: civetweb closes without an answer */
  mine->handed = true;
  memcpy(buffer, stand_in, sizeof stand_in - 1);
  return (ssize_t)(sizeof stand_in - 1);
}

int st_net_accept(int listener, struct sockaddr *restrict address, socklen_t *restrict len) {
  if (listener == listeners.shown) listener = ready_listener();
  int fd = st_connection_draining() ? -1 : accept4(listener, address, len, SOCK_CLOEXEC);
  if (fd < 0) {
    /* Without descriptors or memory the connection stays in the backlog and
     * poll reports it again at once: do not spin. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      all.report("accept_emfile");
    }
    poll(NULL, 0, PAUSE_MS);
    return -1;
  }
  pthread_mutex_lock(&all.lock);
  all.open++;
  make_room();
  pthread_mutex_unlock(&all.lock);
  return fd;
}

/* ---- ending ---- */

static bool wait_until_closed(int64_t until_us) {
  while (all.open > 0) {
    int64_t left = until_us - st_clock_monotonic_us();
    if (left <= 0) return false;
    pthread_mutex_unlock(&all.lock);
    poll(NULL, 0, 5);
    pthread_mutex_lock(&all.lock);
  }
  return true;
}

bool st_connection_drain(int64_t milliseconds) {
  int64_t until = st_clock_monotonic_us() + milliseconds * 1000;
  atomic_store(&all.draining, true);
  pthread_mutex_lock(&all.lock);
  for (size_t i = 0; i < listeners.count; i++) shutdown(listeners.each[i].fd, SHUT_RDWR);
  while (all.idle.oldest != NULL) evict(all.idle.oldest);
  bool done = wait_until_closed(until);
  while (all.idle.oldest != NULL) evict(all.idle.oldest);
  while (all.begun.oldest != NULL) evict(all.begun.oldest);
  pthread_mutex_unlock(&all.lock);
  return done;
}
