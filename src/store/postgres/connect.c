/* Connects to the database, host by host, without ever blocking longer than was asked for. uri.c
 * reads which hosts there are; ask.c asks.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/impossible.h"
#include "os/clock.h"
#include "store/postgres/postgres.h"

#define WAKE_US INT64_C(100000) /* how often a wait looks whether it is to end */
#define VERSION_MIN 140000
#define OPTIONS_MAX 64 /* that libpq knows */

/* ---- waiting ---- */

/* A commit that was sent goes on to its own deadline. */
static int64_t wait_end(const st_postgres_connection *c, int64_t until_us) {
  int64_t close_us = atomic_load(&c->store->base.close_us);
  if (c->committing || close_us == 0 || c->grace_us == ST_WAIT_FOR_EVER) return until_us;
  return close_us + c->grace_us < until_us ? close_us + c->grace_us : until_us;
}

/* 1: ready; 0: not yet; -1: the time is over, or all was interrupted. */
static int wait_once(st_postgres_connection *c, short events, int64_t until_us,
                     uint64_t interrupts) {
  int64_t now = st_clock_monotonic_us(), end = wait_end(c, until_us);
  if (!c->committing && atomic_load(&c->store->interrupts) != interrupts) return -1;
  int64_t left = end > now ? end - now : 0;
  struct pollfd at = {.fd = PQsocket(c->pg), .events = events};
  int ready = poll(&at, 1, (int)((left < WAKE_US ? left : WAKE_US) / 1000 + (left > 0)));
  return ready > 0 ? 1 : left == 0 ? -1 : 0;
}

static bool wait_for(st_postgres_connection *c, short events, int64_t until_us) {
  uint64_t interrupts = atomic_load(&c->store->interrupts);
  int ready = 0;
  while (ready == 0) ready = wait_once(c, events, until_us, interrupts);
  return ready > 0;
}

bool st_postgres_is_over(const st_postgres_connection *c, int64_t until_us) {
  return st_clock_monotonic_us() >= wait_end(c, until_us);
}

bool st_postgres_wait_socket(st_postgres_connection *c, int64_t until_us) {
  int unsent = PQflush(c->pg);
  return unsent >= 0 && wait_for(c, (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)), until_us);
}

/* ---- errors ---- */

void st_postgres_note_failure(st_postgres_connection *c, const char *sqlstate, const char *text) {
  size_t len = strcspn(text, "\n");
  st_writer writer = st_writer_on(c->message, sizeof c->message);
  st_write_escaped(&writer, (subtoken_text){text, len < 400 ? len : 400});
  c->message[writer.len < sizeof c->message ? writer.len : sizeof c->message - 1] = '\0';
  snprintf(c->sqlstate, sizeof c->sqlstate, "%s", sqlstate != NULL ? sqlstate : "");
}

/* A failure of this process: explain tells it. */
bool st_postgres_no_memory(st_postgres_db *d) {
  st_postgres_note_failure(&d->connection, "", "no memory");
  d->failed = true;
  return false;
}

static bool connect_failed(st_postgres_connection *c, const char *text) {
  st_postgres_note_failure(c, "", text);
  st_postgres_disconnect(c);
  return false;
}

/* ---- one host ---- */

/* Nothing is printed. A warning with a commit says that the wait for a standby was given up:
 * whoever makes one, be it of a change or of confirm.c, sets this to false before.
 */
static void take_notice(void *context, const PGresult *notice) {
  st_postgres_connection *c = context;
  const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity != NULL && strcmp(severity, "WARNING") == 0) c->warned = true;
}

static PGconn *start_host(const st_postgres *store, const st_postgres_host *at) {
  const char *keywords[OPTIONS_MAX + 1] = {NULL}, *values[OPTIONS_MAX + 1] = {NULL};
  size_t count = 0;
  for (const PQconninfoOption *o = store->options; o->keyword != NULL; o++) {
    if (st_impossible(count == OPTIONS_MAX, "libpq knows fewer")) break;
    const char *value = strcmp(o->keyword, "host") == 0       ? at->host
                        : strcmp(o->keyword, "hostaddr") == 0 ? at->hostaddr
                        : strcmp(o->keyword, "port") == 0     ? at->port
                                                              : o->val;
    if (value == NULL) continue;
    keywords[count] = o->keyword;
    values[count++] = value;
  }
  return PQconnectStartParams(keywords, values, 0);
}

/* What the server said of itself when it took the connection. */
static bool is_usable(st_postgres_connection *c) {
  const char *encoding = PQparameterStatus(c->pg, "server_encoding");
  int version = PQserverVersion(c->pg);
  char text[160];
  if (version < VERSION_MIN) {
    snprintf(text, sizeof text, "the server is PostgreSQL %d: version 14 or newer is needed",
             version / 10000);
    return connect_failed(c, text);
  }
  if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
    return connect_failed(c,
                          "the encoding of the database must be UTF8: make one with "
                          "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0");
  }
  if (PQsetnonblocking(c->pg, 1) == 0 && PQenterPipelineMode(c->pg) == 1) return true;
  return connect_failed(c, PQerrorMessage(c->pg));
}

static bool connect_host(st_postgres_connection *c, const st_postgres_host *at, int64_t until_us) {
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  c->pg = start_host(c->store, at);
  if (c->pg == NULL) return connect_failed(c, "no memory");
  (void)PQsetNoticeReceiver(c->pg, take_notice, c);
  if (PQstatus(c->pg) == CONNECTION_BAD) next = PGRES_POLLING_FAILED;
  bool over = false;
  while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
    if (over || !wait_for(c, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_us)) {
      c->timed_out = true;
      return connect_failed(c, "the server did not answer in time");
    }
    over = st_postgres_is_over(c, until_us);
    next = PQconnectPoll(c->pg);
  }
  return next == PGRES_POLLING_OK ? is_usable(c) : connect_failed(c, PQerrorMessage(c->pg));
}

/* ---- all hosts ---- */

bool st_postgres_connect_any(st_postgres_connection *c, int64_t until_us) {
  st_postgres *store = c->store;
  size_t first = atomic_load(&store->host);
  st_postgres_disconnect(c);
  c->sqlstate[0] = '\0';
  c->timed_out = false;
  for (size_t i = 0; i < store->host_count; i++) {
    size_t host = (first + i) % store->host_count;
    int64_t now = st_clock_monotonic_us();
    int64_t end = now + store->connect_us < until_us ? now + store->connect_us : until_us;
    if (connect_host(c, &store->hosts[host], end)) {
      atomic_store(&store->host, host);
      c->timed_out = false;
      return true;
    }
  }
  return false;
}

void st_postgres_disconnect(st_postgres_connection *c) {
  for (size_t i = 0; i < c->sent_count; i++) {
    if (c->sent[i].keep == NULL) continue;
    PQclear(*c->sent[i].keep);
    *c->sent[i].keep = NULL;
  }
  PQfinish(c->pg);
  c->pg = NULL;
  c->sent_count = 0;
  memset(c->prepared, 0, sizeof c->prepared);
}

bool st_postgres_is_connected(const st_postgres_connection *c) {
  return c->pg != NULL && PQstatus(c->pg) == CONNECTION_OK;
}
