/* A small server of HTTP/1: one thread, CLIENTS connections, requests without bodies. A request is
 * read by the same strict reader as all others (service/request_head.c), and has ten seconds; so
 * has its answer. A connection that waits for its next request, or for the rest of one, or that
 * does not take its answer, may be closed for a new one.
 */
#include "server/metrics_listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/date.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/thread.h"
#include "server/listener.h"
#include "service/accept.h"
#include "service/request_head.h"

#define CLIENTS 16
#define REQUEST_US INT64_C(10000000)
#define IDLE_US INT64_C(300000000) /* more than most wait between two scrapes */
#define STUCK_US INT64_C(1000000)  /* without a byte of its answer taken */
#define PAUSE_MS 50                /* when no connection can be accepted */
#define ANSWER_HEAD_MAX 640

typedef struct client {
  int fd; /* -1: the place is free */
  int64_t deadline_us;
  int64_t moved_us;  /* when the last byte went either way */
  bool asked_before; /* it has had an answer */
  size_t got;        /* bytes in request */
  /* Its answer, while that is sent: */
  bool answering, close;
  size_t head_len, sent;
  st_exposition body; /* text NULL: none */
  char head[ANSWER_HEAD_MAX];
  char request[ST_HEAD_MAX];
} client;

static struct {
  st_metrics_listener_fn *write;
  pthread_t thread;
  bool running;
  int fd, end; /* where it listens; an eventfd that ends the thread */
  client clients[CLIENTS];
} server = {.fd = -1};

/* ---- one client ---- */

static void client_end_answer(client *c) {
  free(c->body.text);
  c->body = (st_exposition){0};
  c->answering = false;
  c->sent = c->head_len = 0;
}

static void client_close(client *c) {
  client_end_answer(c);
  (void)close(c->fd);
  c->fd = -1;
}

static const char *client_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    default: return "Bad Request";
  }
}

static void client_write_head(client *c, int status, const char *type, size_t len) {
  st_writer head = st_writer_on(c->head, sizeof c->head);
  st_write_literal(&head, "HTTP/1.1 ");
  st_write_int(&head, status);
  st_write_char(&head, ' ');
  st_write_literal(&head, client_phrase(status));
  st_write_literal(&head, "\r\nDate: ");
  st_date_write_http(&head, st_clock_now());
  st_write_literal(&head, "\r\nContent-Type: ");
  st_write_literal(&head, type);
  st_write_literal(&head, "\r\nContent-Length: ");
  st_write_int(&head, (int64_t)len);
  st_write_literal(&head, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  if (status == 405) st_write_literal(&head, "Allow: GET, HEAD\r\n");
  if (c->close) st_write_literal(&head, "Connection: close\r\n");
  st_write_literal(&head, "\r\n");
  c->head_len = head.len;
  c->sent = 0;
  c->answering = true;
  c->deadline_us = st_clock_monotonic_us() + REQUEST_US;
}

/* A short body goes behind the head. */
static void client_refuse(client *c, int status, bool head_only, const char *text) {
  client_write_head(c, status, "text/plain; charset=utf-8", strlen(text));
  st_writer writer = st_writer_on(c->head + c->head_len, sizeof c->head - c->head_len);
  if (!head_only) st_write_literal(&writer, text);
  c->head_len += writer.len;
}

static void client_answer_metrics(client *c, const st_request_head *asked, bool head_only) {
  c->body =
      (st_exposition){.open_metrics = st_accept_open_metrics(asked->headers, asked->header_count)};
  server.write(&c->body);
  if (!st_exposition_end(&c->body)) {
    client_refuse(c, 503, head_only, "there is no memory for the metrics\n");
    return;
  }
  client_write_head(c, 200, c->body.open_metrics ? ST_METRICS_TYPE_OPEN : ST_METRICS_TYPE_TEXT,
                    c->body.len);
  if (!head_only) return;
  free(c->body.text);
  c->body.text = NULL;
}

static void client_answer(client *c, const st_request_head *asked) {
  bool head_only = st_text_is(asked->method, "HEAD");
  st_cutter target = {asked->target, false};
  subtoken_text path;
  if (asked->chunked || asked->content_length > 0) {
    c->close = true;
    client_refuse(c, 413, head_only, "a request here has no body\n");
  } else if (!st_cut(&target, '?', &path) || !st_text_is(path, "/metrics")) {
    client_refuse(c, 404, head_only, "there is only /metrics here\n");
  } else if (!head_only && !st_text_is(asked->method, "GET")) {
    client_refuse(c, 405, false, "GET and HEAD alone\n");
  } else {
    client_answer_metrics(c, asked, head_only);
  }
}

/* What has come may be a whole request by now, or one to refuse. */
static void client_read_request(client *c) {
  static st_request_head asked; /* the thread's */
  st_problem fault = {0};
  if (c->got == 0) return;
  switch (st_request_head_read((subtoken_text){c->request, c->got}, &asked, &fault)) {
    case ST_HEAD_MORE: return;
    case ST_HEAD_GOOD:
      c->close = !asked.keep_alive;
      client_answer(c, &asked);
      c->got -= asked.len;
      memmove(c->request, c->request + asked.len, c->got);
      return;
    default:
      c->close = true;
      client_refuse(c, fault.status, false, fault.text);
      c->got = 0;
  }
}

/* False: the connection is at its end. */
static bool client_receive(client *c) {
  bool idle = c->got == 0;
  if (c->got == sizeof c->request) return false;
  ssize_t n = recv(c->fd, c->request + c->got, sizeof c->request - c->got, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  if (n == 0) return false;
  c->got += (size_t)n;
  c->moved_us = st_clock_monotonic_us();
  if (idle) c->deadline_us = c->moved_us + REQUEST_US;
  client_read_request(c);
  return true;
}

static bool client_send(client *c) {
  size_t body_len = c->body.text != NULL ? c->body.len : 0;
  while (c->sent < c->head_len + body_len) {
    bool head = c->sent < c->head_len;
    const char *from = head ? c->head + c->sent : c->body.text + (c->sent - c->head_len);
    size_t len = head ? c->head_len - c->sent : c->head_len + body_len - c->sent;
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (head && body_len > 0 ? MSG_MORE : 0);
    ssize_t n = send(c->fd, from, len, flags);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    c->sent += (size_t)n;
    c->moved_us = st_clock_monotonic_us();
  }
  client_end_answer(c);
  c->asked_before = true;
  if (c->close) return false;
  c->deadline_us = st_clock_monotonic_us() + (c->got == 0 ? IDLE_US : REQUEST_US);
  client_read_request(c); /* it may be there already */
  return true;
}

/* ---- all of them ---- */

/* What is closed first when there is no place left; none while an answer is being taken. */
typedef enum { CLIENT_IDLE, CLIENT_UNFINISHED, CLIENT_STUCK, CLIENT_BUSY } client_state;

static client_state client_find_state(const client *c, int64_t now_us) {
  if (!c->answering) return c->got == 0 && c->asked_before ? CLIENT_IDLE : CLIENT_UNFINISHED;
  return now_us - c->moved_us > STUCK_US ? CLIENT_STUCK : CLIENT_BUSY;
}

/* A free place, or that of the client that has waited longest of those that are closed first; NULL:
 * all are busy. */
static client *server_find_place(void) {
  client *first = NULL;
  client_state state = CLIENT_BUSY;
  int64_t now_us = st_clock_monotonic_us();
  for (size_t i = 0; i < CLIENTS; i++) {
    client *c = &server.clients[i];
    if (c->fd < 0) return c;
    client_state its = client_find_state(c, now_us);
    if (its == CLIENT_BUSY || its > state) continue;
    if (its < state || c->deadline_us < first->deadline_us) first = c;
    state = its;
  }
  if (first != NULL) client_close(first);
  return first;
}

static void server_accept(void) {
  int fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      poll(NULL, 0, PAUSE_MS);
    }
    return;
  }
  client *c = server_find_place();
  if (c == NULL) {
    (void)close(fd);
    return;
  }
  c->fd = fd;
  c->got = 0;
  c->close = c->asked_before = false;
  c->moved_us = st_clock_monotonic_us();
  c->deadline_us = c->moved_us + REQUEST_US;
}

/* How long until the first deadline, in milliseconds. */
static int server_next_ms(struct pollfd fds[CLIENTS]) {
  int64_t now_us = st_clock_monotonic_us(), first_us = now_us + IDLE_US;
  for (size_t i = 0; i < CLIENTS; i++) {
    const client *c = &server.clients[i];
    fds[i] = (struct pollfd){.fd = c->fd, .events = c->answering ? POLLOUT : POLLIN};
    if (c->fd >= 0 && c->deadline_us < first_us) first_us = c->deadline_us;
  }
  return first_us <= now_us ? 0 : (int)((first_us - now_us) / 1000) + 1;
}

static void server_serve(client *c, short events) {
  bool good = st_clock_monotonic_us() < c->deadline_us;
  if (good && events != 0) good = c->answering ? client_send(c) : client_receive(c);
  /* Most answers can be sent at once. */
  if (good && events != 0 && c->answering) good = client_send(c);
  if (!good) client_close(c);
}

static void *server_run(void *unused) {
  struct pollfd fds[CLIENTS + 2];
  (void)unused;
  for (;;) {
    fds[CLIENTS] = (struct pollfd){.fd = server.end, .events = POLLIN};
    fds[CLIENTS + 1] = (struct pollfd){.fd = server.fd, .events = POLLIN};
    int wait_ms = server_next_ms(fds);
    if (poll(fds, CLIENTS + 2, wait_ms) < 0 && errno != EINTR) poll(NULL, 0, PAUSE_MS);
    if (fds[CLIENTS].revents != 0) return NULL;
    for (size_t i = 0; i < CLIENTS; i++) {
      if (server.clients[i].fd >= 0) server_serve(&server.clients[i], fds[i].revents);
    }
    if (fds[CLIENTS + 1].revents != 0) server_accept();
  }
}

bool st_metrics_listener_start(const st_listen *listen, st_metrics_listener_fn *write,
                               char *error) {
  char name[ST_LISTENER_NAME_MAX];
  for (size_t i = 0; i < CLIENTS; i++) server.clients[i].fd = -1;
  server.write = write;
  server.fd = st_listener_open_metrics(listen, name, error);
  if (server.fd < 0) return false;
  server.end = eventfd(0, EFD_CLOEXEC);
  if (server.end < 0) {
    (void)st_error_set(error, "cannot make an eventfd: %m");
  } else if (st_thread_start(&server.thread, server_run, NULL, "the metrics", error)) {
    server.running = true;
    st_log_event("metrics_listening", name);
    return true;
  } else {
    (void)close(server.end);
  }
  st_listener_close_metrics();
  return false;
}

void st_metrics_listener_stop(void) {
  if (!server.running) return;
  server.running = false;
  (void)eventfd_write(server.end, 1);
  (void)pthread_join(server.thread, NULL);
  for (size_t i = 0; i < CLIENTS; i++) {
    if (server.clients[i].fd >= 0) client_close(&server.clients[i]);
  }
  (void)close(server.end);
  st_listener_close_metrics();
}
