/* When `subtoken pull` asks, and which of its servers. It stays with the one that answers, and goes
 * on to the next when that fails, refuses, is of another history, or vouches for nothing newer. A
 * request is held back by the server until there is something newer (wait=), so that a change is
 * here as soon as it is made; whoever does not hold it back is not asked more often than --every.
 */
#include "cli/pull_loop.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit_code.h"
#include "cli/print.h"
#include "cli/pull_metrics.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/notify.h"
#include "os/random.h"
#include "server/metrics_listener.h"

#define WAIT_MAX INT64_C(30) /* seconds that a server may be asked to wait */
#define BACK_OFF_MS INT64_C(30000)
/* In seconds: how long a server may be silent. While there is another one to ask, less. */
#define PATIENCE INT64_C(10)
#define PATIENCE_SHORT INT64_C(3)
/* Seconds beyond twice --every after which T should have grown. */
#define STALE_AFTER INT64_C(5)
/* Between two changes, in milliseconds. Those that come faster are taken together. */
#define PAUSE_MS INT64_C(50)
#define PAUSE_MAX_MS INT64_C(500)

static const struct {
  const char *event;
  int code; /* of --once */
} pull_outcomes[] = {
    [ST_PULL_FAILED] = {"pull_failed", ST_EXIT_FAILED},
    [ST_PULL_CURRENT] = {"pulled", ST_EXIT_DONE},
    [ST_PULL_STOPPED] = {NULL, ST_EXIT_FAILED}, /* a signal came before it had them */
    [ST_PULL_REFUSED] = {"pull_refused", ST_EXIT_REFUSED},
    [ST_PULL_BEHIND] = {"feed_rollback", ST_EXIT_REFUSED},
    [ST_PULL_ROLLBACK] = {"feed_rollback", ST_EXIT_REFUSED},
    [ST_PULL_BAD] = {"feed_bad", ST_EXIT_FAILED},
};

/* What was logged last about a server that does not answer as it should; empty: it does. */
typedef struct pull_server {
  st_pull_outcome outcome;
  char error[ST_ERROR_MAX];
} pull_server;

typedef struct pull_loop {
  st_puller *p;
  const st_pull_loop_settings *settings;
  pull_server servers[ST_FETCH_URLS_MAX];
  size_t current;            /* the server that is asked first */
  bool settled;              /* it has answered the round before */
  int failures;              /* rounds without an answer, one after the other */
  int64_t time, grew_us;     /* T of the heartbeat here, and when it last grew */
  int64_t began_us, took_us; /* the last request */
  int64_t waited;            /* seconds, what it was to wait */
  int64_t pause_ms;          /* after a change */
  int64_t changed_us;        /* when that was */
  char pulled[2 * ST_ERROR_MAX];
} pull_loop;

/* ---- what is logged: a line when something has changed ---- */

static void pull_log_error(pull_loop *l, size_t at, st_pull_outcome outcome, const char *error) {
  char line[2 * ST_ERROR_MAX];
  pull_server *server = &l->servers[at];
  if (server->outcome == outcome && strcmp(server->error, error) == 0) return;
  server->outcome = outcome;
  snprintf(server->error, sizeof server->error, "%s", error);
  l->pulled[0] = '\0'; /* that it is over is told, too */
  if (l->settings->url_count == 1) {
    st_log_event(pull_outcomes[outcome].event, error);
    st_notify_status(error);
  } else {
    snprintf(line, sizeof line, "%.300s: %s", l->settings->urls[at], error);
    st_log_event(pull_outcomes[outcome].event, line);
    st_notify_status(line);
  }
}

static void pull_log_current(pull_loop *l, size_t at) {
  char line[2 * ST_ERROR_MAX];
  const st_pull_snapshot *have = &l->p->files.have;
  int len = snprintf(line, sizeof line, "sequence=%lld entries=%lu bytes=%zu",
                     (long long)have->sequence, (unsigned long)have->count, have->len);
  if (l->settings->url_count > 1) {
    snprintf(line + len, sizeof line - (size_t)len, " from=%.300s", l->settings->urls[at]);
  }
  l->servers[at].error[0] = '\0';
  if (strcmp(line, l->pulled) == 0) return;
  memcpy(l->pulled, line, sizeof line);
  st_log_event(pull_outcomes[ST_PULL_CURRENT].event, line);
  st_notify_status(line);
}

/* ---- a round: one server after the other, until one answers ---- */

/* Nothing newer was vouched for since long: true, and the error says it. */
static bool pull_is_stale(pull_loop *l, char *error) {
  int64_t now_us = st_clock_monotonic_us();
  if (l->p->files.time != l->time || l->grew_us == 0) {
    l->time = l->p->files.time;
    l->grew_us = now_us;
  }
  int64_t most = 2 * l->settings->every + STALE_AFTER;
  if (now_us - l->grew_us < most * 1000000) return false;
  /* No number that grows: it would be a line each second. */
  snprintf(error, ST_ERROR_MAX, "the server has vouched for nothing newer for %lld s",
           (long long)most);
  return true;
}

/* *again: the server is to be asked as usual, though it gave nothing that is new. */
static st_pull_outcome pull_ask(pull_loop *l, size_t at, bool *again) {
  char error[ST_ERROR_MAX] = "";
  int64_t every = l->settings->every;
  /* When none of them answers, they may just be slow. */
  bool patient = l->settings->url_count == 1 || l->failures % 2 == 1;
  st_pull_question question = {.server = at, .patience = patient ? PATIENCE : PATIENCE_SHORT};
  if (l->settled && at == l->current) question.wait = every < WAIT_MAX ? every : WAIT_MAX;
  l->waited = question.wait;
  l->began_us = st_clock_monotonic_us();
  st_pull_outcome result = st_pull_round(l->p, &question, error);
  l->took_us = st_clock_monotonic_us() - l->began_us;
  if (result == ST_PULL_STOPPED) return result;
  bool usual = result == ST_PULL_CURRENT || result == ST_PULL_BEHIND;
  if (usual && pull_is_stale(l, error)) {
    pull_log_error(l, at, result == ST_PULL_CURRENT ? ST_PULL_FAILED : result, error);
    st_pull_metrics_note(ST_PULL_FAILED, &l->p->files);
    *again = true;
    return ST_PULL_FAILED;
  }
  st_pull_metrics_note(result, &l->p->files);
  if (result == ST_PULL_CURRENT) pull_log_current(l, at);
  if (!usual) pull_log_error(l, at, result, error);
  return usual ? ST_PULL_CURRENT : result;
}

static st_pull_outcome pull_ask_all(pull_loop *l) {
  size_t count = l->settings->url_count;
  st_pull_outcome result = ST_PULL_FAILED;
  bool again = false;
  for (size_t i = 0; i < count && result != ST_PULL_CURRENT; i++) {
    size_t at = (l->current + i) % count;
    result = pull_ask(l, at, &again);
    if (result == ST_PULL_STOPPED) return result;
    if (result == ST_PULL_CURRENT) l->current = at;
  }
  st_pull_metrics_note_server(l->current);
  l->settled = result == ST_PULL_CURRENT;
  l->failures = l->settled || again ? 0 : l->failures + 1;
  return result;
}

/* ---- when the next one begins ---- */

/* A share of a number between from and to, in thousandths. */
static int64_t pull_share_of(int64_t number, int64_t from, int64_t to) {
  uint32_t random;
  st_random_fill(&random, sizeof random);
  return number * (from + (int64_t)(random % (uint32_t)(to - from + 1))) / 1000;
}

/* Twice as long after each failure; not all edges at the same moment. */
static int64_t pull_back_off_ms(int64_t every_ms, int failures) {
  int64_t most = every_ms > BACK_OFF_MS ? every_ms : BACK_OFF_MS, wait = every_ms;
  for (int i = 1; i < failures && wait < most; i++) wait *= 2;
  return pull_share_of(wait < most ? wait : most, 500, 1000);
}

/* After changes that come fast the pause is longer, because each is a whole FILE to write, and to
 * read for an edge.
 */
static int64_t pull_pause_ms(pull_loop *l) {
  int64_t now_us = st_clock_monotonic_us();
  bool fast = now_us - l->changed_us < PAUSE_MAX_MS * 1000;
  l->pause_ms = fast && l->changed_us != 0 ? 2 * l->pause_ms : PAUSE_MS;
  if (l->pause_ms > PAUSE_MAX_MS) l->pause_ms = PAUSE_MAX_MS;
  l->changed_us = now_us;
  return l->pause_ms;
}

/* How long to pause after a round. */
static int64_t pull_next_ms(pull_loop *l) {
  int64_t every_ms = l->settings->every * 1000;
  if (l->failures > 0) return pull_back_off_ms(every_ms, l->failures);
  if (l->settled && l->p->changed) return pull_pause_ms(l);
  bool held = l->waited == 0 || l->took_us >= l->waited * 900000;
  if (l->settled && held) return pull_share_of(PAUSE_MS, 0, 1000);
  int64_t left = pull_share_of(every_ms, 900, 1100) - l->took_us / 1000;
  return left > 0 ? left : 0;
}

/* ---- what the command calls ---- */

/* The pause after a round. False: a signal came, and this is the end. */
static bool pull_pause(const pull_loop *l, int64_t ms) {
  struct pollfd stop = {.fd = l->p->stop, .events = POLLIN};
  int64_t until_us = st_clock_monotonic_us() + ms * 1000, most = st_notify_interval_us() / 1000;
  do {
    st_notify_alive();
    if (poll(&stop, 1, (int)(most > 0 && ms > most ? most : ms)) > 0) return false;
    ms = (until_us - st_clock_monotonic_us() + 999) / 1000;
  } while (ms > 0);
  return true;
}

/* After the first round whoever waits for this service starts, with the files or without: a server
 * that is down must not keep a machine from starting.
 */
static void pull_repeatedly(pull_loop *l) {
  for (bool begun = false; pull_ask_all(l) != ST_PULL_STOPPED; begun = true) {
    if (!begun) st_notify_ready();
    if (!pull_pause(l, pull_next_ms(l))) return;
  }
}

int st_pull_loop_run(st_puller *p, const st_pull_loop_settings *settings) {
  static pull_loop loop;
  char error[ST_ERROR_MAX];
  if (!st_log_start("", error)) return st_print_error(ST_EXIT_FAILED, "pull: %s", error);
  loop = (pull_loop){.p = p, .settings = settings};
  st_pull_metrics_start(&p->files);
  bool started = settings->metrics == NULL ||
                 st_metrics_listener_start(settings->metrics, st_pull_metrics_write, error);
  if (started) pull_repeatedly(&loop);
  st_metrics_listener_stop();
  st_log_stop();
  return started ? ST_EXIT_DONE : st_print_error(ST_EXIT_FAILED, "pull: %s", error);
}

/* Until one answers. What is wrong with each is printed, and the exit code is that of the first. */
int st_pull_loop_once(st_puller *p, const st_pull_loop_settings *settings, bool json) {
  int code = ST_EXIT_DONE;
  st_pull_outcome result = ST_PULL_FAILED;
  for (size_t i = 0; i < settings->url_count && result != ST_PULL_CURRENT; i++) {
    char error[ST_ERROR_MAX] = "";
    st_pull_question question = {.server = i, .patience = PATIENCE};
    result = st_pull_round(p, &question, error);
    if (result == ST_PULL_STOPPED) return ST_EXIT_FAILED;
    if (result == ST_PULL_CURRENT) break;
    const char *url = settings->url_count > 1 ? settings->urls[i] : "";
    int failed = st_print_error(pull_outcomes[result].code, "pull: %s%s%s: %s", url,
                                url[0] != '\0' ? ": " : "", pull_outcomes[result].event, error);
    if (i == 0) code = failed;
  }
  if (result != ST_PULL_CURRENT) return code;
  if (json) {
    printf("{\"sequence\":%lld,\"entries\":%lu,\"bytes\":%zu,\"vouched\":%lld}\n",
           (long long)p->files.have.sequence, (unsigned long)p->files.have.count, p->files.have.len,
           (long long)p->files.time);
  }
  return st_print_flush(ST_EXIT_DONE);
}
