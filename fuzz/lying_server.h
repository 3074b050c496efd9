/* lying_server - a PostgreSQL server that lives in this process, for fuzz_postgres.c: what libpq
 * sends and receives goes through the functions of the C library that are defined here. It speaks
 * the protocol (version 3) as a server does, until the input has it lie: in how many rows there
 * are, in what they hold, with errors, warnings, notifications, silence, a closed connection, or
 * bytes that are no message. Nothing waits: where libpq or the store would, the clock goes on.
 *
 * The store has one thread of its own. It and the fuzzer's run by turns (take_turn), so that an
 * input does the same each time.
 */
#ifndef FUZZ_LYING_SERVER_H
#define FUZZ_LYING_SERVER_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lying_answers.h"

#define EXPORTED __attribute__((visibility("default")))

/* ---- messages of the client ---- */

static void take_bind(line *l, const uint8_t *at, size_t len) {
  const uint8_t *end = at + len, *name = memchr(at, 0, len);
  l->which = -1;
  l->value_len = -1;
  if (name == NULL || name + 2 >= end || name[1] != 's') return;
  l->which = atoi((const char *)name + 2);
  at = (const uint8_t *)memchr(name + 1, 0, (size_t)(end - name - 1)) + 1;
  unsigned formats = (unsigned)at[0] << 8 | at[1];
  at += 2 + 2 * formats;
  unsigned count = (unsigned)at[0] << 8 | at[1];
  if (count == 0) return;
  l->value_len =
      (int)((uint32_t)at[2] << 24 | (uint32_t)at[3] << 16 | (uint32_t)at[4] << 8 | at[5]);
  if (l->value_len > (int)sizeof l->value) l->value_len = -1;
  if (l->value_len > 0) memcpy(l->value, at + 6, (size_t)l->value_len);
}

static void note_done(const line *l) {
  commit_answered |= l->which == ST_POSTGRES_COMMIT;
  confirmed |= l->which == ST_POSTGRES_CONFIRM;
}

/* Texts of several statements, without a pipeline: the tables are brought up. */
static void take_query(line *l, const char *text) {
  char number[24];
  const char *set = strstr(text, "SET version = ");
  if (set != NULL) schema_version = atoi(set + sizeof "SET version = " - 1);
  bool asks_version = strncmp(text, "SELECT version", 14) == 0;
  bool asks = asks_version || strstr(text, "IS NOT NULL)::int") != NULL;
  l->which = -1;
  columns = 0;
  snprintf(number, sizeof number, "%d", asks_version ? schema_version : 1);
  add_text(number);
  unsigned lie = next();
  if (lie % 8 == 1) lie_about_column();
  if (lie % 8 == 2) make_any_row();
  if (lie % 8 == 3) l->closed = true;
  if (lie % 8 == 4) send_raw(l);
  l->rows_len = 0;
  if (asks) {
    send_description(l);
    put_row(l);
    memcpy(l->out + l->out_len, l->rows, l->rows_len);
    l->out_len += l->rows_len;
  }
  if (lie % 8 == 5) send_notice(l, 'E', "ERROR", "42501");
  begin_message('C');
  put_text(asks ? "SELECT 1" : "UPDATE 1");
  if (lie % 8 != 5) send_message(l);
  send_ready(l, 'I');
}

static void take_start(line *l) {
  static const char *const versions[] = {"15.4 (Debian)", "14.0", "13.9", "", "99999999999"};
  unsigned lie = next();
  l->started = true;
  begin_message('R');
  put_number(lie % 16 == 1 ? next() % 16 : 0, 4);
  send_message(l);
  send_parameter(l, "server_version", versions[lie % 16 == 2 ? next() % 5 : 0]);
  send_parameter(l, "server_encoding", lie % 16 == 3 ? "LATIN1" : "UTF8");
  send_parameter(l, "client_encoding", "UTF8");
  send_parameter(l, "in_hot_standby", lie % 16 == 8 ? "on" : "off");
  send_parameter(l, "default_transaction_read_only", "off");
  send_parameter(l, "standard_conforming_strings", "on");
  begin_message('K');
  put_number(1234, 4), put_number(5678, 4);
  send_message(l);
  if (lie % 16 == 4) send_raw(l);
  if (lie % 16 == 5) l->closed = true;
  if (lie % 16 == 6) l->silent = true;
  if (lie % 16 == 7) send_notice(l, 'E', "FATAL", "57P03");
  send_ready(l, 'I');
}

static void take_message(line *l, char type, const uint8_t *at, size_t len) {
  if (type == 'S') {
    l->failed = false;
    send_ready(l, 'I');
    return;
  }
  if (l->failed) return;
  switch (type) {
    case 'Q': take_query(l, (const char *)at); break;
    case 'P': send_plain(l, '1'); break;
    case 'B':
      take_bind(l, at, len);
      send_plain(l, '2');
      break;
    case 'D':
      l->refused = !choose_answer(l);
      if (l->refused) break;
      if (l->has_rows) send_description(l);
      if (!l->has_rows) send_plain(l, 'n');
      break;
    case 'E':
      memcpy(l->out + l->out_len, l->rows, l->rows_len);
      l->out_len += l->rows_len;
      begin_message('C');
      put_text(l->tag);
      send_message(l);
      note_done(l);
      break;
    default: break;
  }
}

static void take_input(line *l) {
  size_t at = 0;
  while (!l->closed && !l->silent) {
    size_t front = l->started ? 1 : 0;
    const uint8_t *b = l->in + at;
    if (l->in_len - at < front + 4) break;
    size_t len = (size_t)b[front] << 24 | (size_t)b[front + 1] << 16 | (size_t)b[front + 2] << 8 |
                 b[front + 3];
    if (l->in_len - at < front + len) break;
    if (l->out_len > LINE_ROOM) break; /* the client is to read first */
    if (!l->started) {
      take_start(l);
    } else {
      take_message(l, (char)b[0], b + 5, len - 4);
    }
    at += front + len;
  }
  memmove(l->in, l->in + at, l->in_len - at);
  l->in_len -= at;
}

/* ---- turns of the two threads ---- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool watcher, there; /* whose turn it is; is there a watcher? */
  void *(*start)(void *);
  void *context;
} turns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static _Thread_local bool is_watcher;

static void pass_turn(bool to_watcher) {
  turns.watcher = to_watcher;
  (void)pthread_cond_broadcast(&turns.changed);
}

/* Lets the other one run until it gives the turn back. */
static void take_turn(void) {
  (void)pthread_mutex_lock(&turns.lock);
  if (turns.there) {
    pass_turn(!is_watcher);
    while (turns.there && turns.watcher != is_watcher) {
      (void)pthread_cond_wait(&turns.changed, &turns.lock);
    }
  }
  (void)pthread_mutex_unlock(&turns.lock);
}

static void *run_watcher(void *nothing) {
  is_watcher = true;
  (void)pthread_mutex_lock(&turns.lock);
  while (!turns.watcher) (void)pthread_cond_wait(&turns.changed, &turns.lock);
  (void)pthread_mutex_unlock(&turns.lock);
  (void)turns.start(turns.context);
  (void)pthread_mutex_lock(&turns.lock);
  turns.there = false;
  pass_turn(false);
  (void)pthread_mutex_unlock(&turns.lock);
  return nothing;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *context) {
  HOLD(!turns.there);
  turns.start = start;
  turns.context = context;
  turns.there = true;
  return __real_pthread_create(thread, attributes, run_watcher, NULL);
}

int __real_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result) {
  while (turns.there) take_turn();
  return __real_pthread_join(thread, result);
}

/* Whoever waits for the other one, or for a time that comes. */
void __wrap_st_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us);
void __wrap_st_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_us) {
  (void)condition;
  HOLD(++waits < 100000);
  (void)pthread_mutex_unlock(lock);
  take_turn();
  clock_us += 20000;
  if (!turns.there && until_us > clock_us && until_us != INT64_MAX) clock_us = until_us;
  (void)pthread_mutex_lock(lock);
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left) {
  (void)left;
  clock_us += time->tv_sec * 1000000 + time->tv_nsec / 1000;
  return 0;
}

/* ---- what libpq and the store call ---- */

EXPORTED int connect(int fd, const struct sockaddr *address, socklen_t len) {
  if (address->sa_family != AF_UNIX || fd >= LINES) {
    return (int)syscall(SYS_connect, fd, address, len);
  }
  line_reset(&lines[fd]);
  return 0;
}

EXPORTED ssize_t send(int fd, const void *bytes, size_t len, int flags) {
  line *l = line_of(fd);
  if (l == NULL) return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
  if (l->closed) {
    errno = EPIPE;
    return -1;
  }
  if (len > LINE_ROOM - l->in_len) len = LINE_ROOM - l->in_len;
  if (len == 0) {
    errno = EAGAIN;
    return -1;
  }
  memcpy(l->in + l->in_len, bytes, len);
  l->in_len += len;
  take_input(l);
  return (ssize_t)len;
}

EXPORTED ssize_t recv(int fd, void *bytes, size_t len, int flags) {
  line *l = line_of(fd);
  if (l == NULL) return syscall(SYS_recvfrom, fd, bytes, len, flags, NULL, NULL);
  size_t left = l->out_len - l->out_at;
  if (len > left) len = left;
  if (len > chunk) len = chunk;
  if (len == 0) {
    if (l->closed) return 0;
    errno = EAGAIN;
    return -1;
  }
  memcpy(bytes, l->out + l->out_at, len);
  l->out_at += len;
  if (l->out_at == l->out_len) l->out_at = l->out_len = 0;
  take_input(l);
  return (ssize_t)len;
}

/* The watcher rests with its second descriptor, which wakes it: the other one's turn. */
EXPORTED int poll(struct pollfd *of, nfds_t count, int timeout) {
  const line *l = count > 0 ? line_of(of[0].fd) : NULL;
  bool rests = is_watcher && (l == NULL || count == 2);
  if (l == NULL && !rests) return (int)syscall(SYS_poll, of, count, timeout);
  HOLD(++waits < 100000);
  for (nfds_t i = 0; i < count; i++) of[i].revents = 0;
  if (rests) {
    take_turn();
    if (syscall(SYS_poll, of + count - 1, 1, 0) > 0 && count == 2) return 1;
  }
  if (l != NULL) {
    bool ready = l->out_len > l->out_at || l->closed;
    of[0].revents = (short)((ready ? POLLIN : 0) | (of[0].events & POLLOUT));
    if (of[0].revents != 0) return 1;
  }
  HOLD(timeout >= 0);
  clock_us += timeout > 0 ? timeout * INT64_C(1000) : 1;
  return 0;
}

#endif
