/* A database of its own for each test, at the cluster that SUBTOKEN_TEST_POSTGRES names, and a
 * proxy in front of it that can swallow what it carries, as a network that is cut does.
 */
#ifndef ST_TESTS_POSTGRES_FIXTURE_H
#define ST_TESTS_POSTGRES_FIXTURE_H

#include "support.h"

#include <arpa/inet.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libpq_fixture.h"

#include "domain/store.h"
#include "os/clock.h"
#include "os/error.h"

static char pg_database[64];
static char pg_location[600];      /* of the database, as a store */
static char pg_through_proxy[600]; /* the same behind the proxy */
static PGconn *pg_admin;           /* of the database */
static char error[ST_ERROR_MAX];

/* ---- SQL, beside the store ---- */

static inline PGresult *pg_run(PGconn *pg, const char *sql) {
  PGresult *result = PQexec(pg, sql);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    fail_msg("%s: %s", sql, PQresultErrorMessage(result));
  }
  return result;
}

static inline void pg_do(PGconn *pg, const char *sql) {
  PQclear(pg_run(pg, sql));
}

static inline void pg_text(const char *sql, char *out, size_t size) {
  PGresult *result = pg_run(pg_admin, sql);
  snprintf(out, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
  PQclear(result);
}

static inline long pg_number(const char *sql) {
  char text[64];
  pg_text(sql, text, sizeof text);
  return strtol(text, NULL, 10);
}

static inline PGconn *pg_connect(const char *uri) {
  PGconn *pg = PQconnectdb(uri);
  if (PQstatus(pg) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(pg));
  PQclear(PQexec(pg, "SET client_min_messages = error"));
  return pg;
}

/* The URI of the cluster with another database. */
static inline void pg_locate(const char *database, char *out, size_t size) {
  const char *uri = getenv("SUBTOKEN_TEST_POSTGRES");
  const char *path = strchr(strstr(uri, "//") + 2, '/');
  const char *query = strchr(uri, '?');
  snprintf(out, size, "%.*s/%s%s", (int)(path - uri), uri, database, query != NULL ? query : "");
}

/* ---- a proxy ---- */

enum { PROXY_CARRIES, PROXY_SWALLOWS };

static struct {
  int listener;
  int port;
  char server_port[16];
  _Atomic int mode;
  _Atomic bool stopping;
  _Atomic unsigned cut; /* how often all connections were to be cut */
  pthread_t thread;
  bool running;
} proxy;

#define PROXY_PAIRS 64

static inline int proxy_connect(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)atoi(proxy.server_port))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    close(fd);
    fd = -1;
  }
  return fd;
}

/* While it swallows, nothing is read: what either side sends stays on the way. */
static inline bool proxy_carry(int from, int to) {
  char buffer[16384];
  ssize_t n = read(from, buffer, sizeof buffer);
  for (ssize_t done = 0; done < n;) {
    ssize_t wrote = send(to, buffer + done, (size_t)(n - done), MSG_NOSIGNAL);
    if (wrote <= 0) return false;
    done += wrote;
  }
  return n > 0;
}

static inline void *proxy_run(void *unused) {
  int pairs[PROXY_PAIRS][2];
  int count = 0;
  unsigned cut = 0;
  (void)unused;
  while (!atomic_load(&proxy.stopping)) {
    struct pollfd of[1 + 2 * PROXY_PAIRS];
    bool carries = atomic_load(&proxy.mode) == PROXY_CARRIES;
    if (atomic_load(&proxy.cut) != cut) {
      cut = atomic_load(&proxy.cut);
      for (int i = 0; i < count; i++) close(pairs[i][0]), close(pairs[i][1]);
      count = 0;
    }
    of[0] = (struct pollfd){.fd = carries && count < PROXY_PAIRS ? proxy.listener : -1,
                            .events = POLLIN};
    for (int i = 0; i < 2 * count; i++) {
      of[1 + i] = (struct pollfd){.fd = carries ? pairs[i / 2][i % 2] : -1, .events = POLLIN};
    }
    int before = count;
    if (poll(of, (nfds_t)(1 + 2 * count), 10) <= 0) continue;
    if (of[0].revents != 0) {
      int client = accept(proxy.listener, NULL, NULL), server = proxy_connect();
      if (server < 0) close(client);
      if (server >= 0) pairs[count][0] = client, pairs[count++][1] = server;
    }
    for (int i = before - 1; i >= 0; i--) {
      bool ok = true;
      for (int side = 0; side < 2; side++) {
        if (of[1 + 2 * i + side].revents != 0)
          ok = ok && proxy_carry(pairs[i][side], pairs[i][1 - side]);
      }
      if (ok) continue;
      close(pairs[i][0]), close(pairs[i][1]);
      memcpy(pairs[i], pairs[--count], sizeof pairs[i]);
    }
  }
  for (int i = 0; i < count; i++) close(pairs[i][0]), close(pairs[i][1]);
  return NULL;
}

static inline void proxy_start(void) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  proxy.listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(proxy.listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(proxy.listener, 64), 0);
  assert_int_equal(getsockname(proxy.listener, (struct sockaddr *)&at, &len), 0);
  proxy.port = ntohs(at.sin_port);
  atomic_store(&proxy.mode, PROXY_CARRIES);
  atomic_store(&proxy.stopping, false);
  assert_int_equal(pthread_create(&proxy.thread, NULL, proxy_run, NULL), 0);
  proxy.running = true;
}

static inline void proxy_end(void) {
  if (!proxy.running) return;
  atomic_store(&proxy.stopping, true);
  pthread_join(proxy.thread, NULL);
  close(proxy.listener);
  proxy.running = false;
}

static inline void proxy_set(int mode) {
  atomic_store(&proxy.mode, mode);
}

static inline void proxy_cut(void) {
  atomic_fetch_add(&proxy.cut, 1);
}

/* ---- each test ---- */

static inline int pg_setup(void **state) {
  static unsigned number;
  char sql[128], port[16];
  (void)state;
  snprintf(pg_database, sizeof pg_database, "unit_%ld_%u", (long)getpid(), number++);
  snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", pg_database);
  PGconn *pg = pg_connect(getenv("SUBTOKEN_TEST_POSTGRES"));
  pg_do(pg, sql);
  PQfinish(pg);
  pg_locate(pg_database, pg_location, sizeof pg_location);
  pg_admin = pg_connect(pg_location);
  pg_do(pg_admin, "SET search_path = subtoken, pg_catalog");
  pg_text("SHOW port", port, sizeof port);
  memcpy(proxy.server_port, port, sizeof port);
  proxy_start();
  snprintf(pg_through_proxy, sizeof pg_through_proxy, "postgresql://%s@127.0.0.1:%d/%s",
           PQuser(pg_admin), proxy.port, pg_database);
  return 0;
}

static inline int pg_teardown(void **state) {
  char sql[128];
  (void)state;
  proxy_end();
  PQfinish(pg_admin);
  PGconn *pg = pg_connect(getenv("SUBTOKEN_TEST_POSTGRES"));
  snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", pg_database);
  pg_do(pg, sql);
  PQfinish(pg);
  return 0;
}

#define PG_TEST(name) cmocka_unit_test_setup_teardown(name, pg_setup, pg_teardown)
/* Where PostgreSQL is installed its tests are run, or they fail. */
static inline int pg_run_tests(const char *file, const struct CMUnitTest *tests, size_t count) {
  glob_t found = {0};
  if (getenv("SUBTOKEN_TEST_POSTGRES") != NULL) return run_chosen(file, tests, count, NULL, NULL);
  bool installed = glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0;
  globfree(&found);
  fprintf(stderr, installed ? "SUBTOKEN_TEST_POSTGRES is not set: run this as "
                              "`tests/e2e/postgres.py PROGRAM`\n"
                            : "PostgreSQL is not installed: its part is passed over\n");
  return installed ? 1 : 0;
}

/* ---- stores and keys ---- */

#define NOW INT64_C(1700000000)

static inline void assert_ok(st_store_status status) {
  if (status != ST_STORE_OK) fail_msg("%d: %s", (int)status, error);
}

static inline st_store *open_store(const char *location) {
  st_store *store = NULL;
  assert_ok(st_store_open(location, true, &store, error));
  return store;
}

static inline st_audit_context context_now(void) {
  return (st_audit_context){.now_us = NOW * 1000000, .who = "key 0", .from = "127.0.0.1"};
}

static inline void id_of(unsigned n, char out[ST_KEY_ID_LEN + 1]) {
  snprintf(out, ST_KEY_ID_LEN + 1, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
}

static inline void digest_of(unsigned n, uint8_t out[32]) {
  memset(out, 0xd1, 32);
  memcpy(out, &n, sizeof n);
}

static inline void make_key(st_store *store, unsigned n) {
  st_audit_context context = context_now();
  uint8_t digest[32];
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  id_of(n, key.id);
  digest_of(n, digest);
  snprintf(key.sub, sizeof key.sub, "%043u", n);
  snprintf(key.name, sizeof key.name, "key %u", n);
  snprintf(key.owner, sizeof key.owner, "somebody");
  snprintf(key.permissions, sizeof key.permissions, "read,write");
  assert_ok(st_store_key_create(store, &context, NULL, &key, digest, error));
}

static inline void disable_key(st_store *store, unsigned n, bool disabled) {
  st_audit_context context = context_now();
  char id[ST_KEY_ID_LEN + 1];
  int64_t sequence = 0;
  id_of(n, id);
  assert_ok(st_store_key_set_disabled(store, &context, id, disabled, &sequence, error));
}

static inline st_store_status find_key(st_store *store, unsigned n, st_key *key) {
  uint8_t digest[32];
  digest_of(n, digest);
  return st_store_by_digest(store, digest, key, error);
}

static inline bool is_disabled(st_store *store, unsigned n) {
  st_key key;
  assert_ok(find_key(store, n, &key));
  return key.disabled;
}

/* Waits for what must come; a minute is more than it can take. */
#define EVENTUALLY(condition)                                                \
  do {                                                                       \
    int64_t last_us = st_clock_monotonic_us() + INT64_C(60000000);           \
    while (!(condition)) {                                                   \
      if (st_clock_monotonic_us() > last_us) fail_msg("never: " #condition); \
      usleep(2000);                                                          \
    }                                                                        \
  } while (0)

#endif
