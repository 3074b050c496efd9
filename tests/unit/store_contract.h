/* store_contract - the promises of the store's port (domain/store.h), tested on every kind of
 * store: each test_store_*.c is a part of them, and uses the port alone. A kind of store is added
 * to store_kinds; what is true of one kind only has tests of its own (test_sqlite_*.c).
 *
 * A row is known by its number: id, sub and digest follow from it.
 */
#ifndef ST_TESTS_STORE_CONTRACT_H
#define ST_TESTS_STORE_CONTRACT_H

#include "domain/store.h"
#include "os/clock.h"
#include "os/error.h"

#include "run_tests.h"

#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libpq_fixture.h"

#define NOW INT64_C(1700000000)
#define US INT64_C(1000000)
#define DAY INT64_C(86400)

/* Who changes it, at which second. */
#define CONTEXT_AT(seconds) \
  (&(st_audit_context){.now_us = (seconds)*US, .who = "key 0", .from = "127.0.0.1"})
#define CONTEXT CONTEXT_AT(NOW)

static char location[300];                     /* of the store of this test, made anew for each */
static _Thread_local char error[ST_ERROR_MAX]; /* each thread has its own */
static st_store *store;

/* ---- kinds of stores ---- */

/* make: room for stores of one test, and the location of one that does not exist yet; locate: that
 * of another one beside it; remove: all of it. 0, or -1.
 */
typedef struct store_kind {
  const char *name;
  int (*make)(void);
  void (*locate)(unsigned n, char out[sizeof location]);
  int (*remove)(void);
} store_kind;

static char folder[256];

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static inline void locate_in_folder(unsigned n, char out[sizeof location]) {
  snprintf(out, sizeof location, "%s/subtoken-%u.db", folder, n);
}

static inline int make_folder(void) {
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/subtoken-store-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(folder) == NULL) return -1;
  locate_in_folder(0, location);
  return 0;
}

static inline int remove_folder(void) {
  return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* On PostgreSQL: databases of this process in the cluster of SUBTOKEN_TEST_POSTGRES, a libpq URI
 * (tests/e2e/postgres.py starts one). A test leaves none of its tables there.
 */
#define POSTGRES_STORES 4
static bool postgres_made[POSTGRES_STORES];

static inline void address_in_postgres(const char *database, char out[sizeof location]) {
  const char *address = getenv("SUBTOKEN_TEST_POSTGRES");
  int before = (int)strcspn(address, "?");
  for (int slashes = 0, i = 0; i < before; i++) {
    if (address[i] == '/' && ++slashes == 3) before = i;
  }
  snprintf(out, sizeof location, "%.*s/%s%s", before, address, database,
           address + strcspn(address, "?"));
}

static inline int run_in_postgres(const char *address, const char *sql) {
  PGconn *pg = PQconnectdb(address);
  PGresult *result = PQexec(pg, sql);
  int code = PQresultStatus(result) == PGRES_COMMAND_OK ? 0 : -1;
  if (code != 0) fprintf(stderr, "%s: %s", sql, PQerrorMessage(pg));
  PQclear(result);
  PQfinish(pg);
  return code;
}

static inline void name_in_postgres(unsigned n, char out[64]) {
  snprintf(out, 64, "subtoken_%d_%u", (int)getpid(), n);
}

/* The cluster listens on this port of 127.0.0.1, wherever the address leads to. */
static inline int port_of_postgres(void) {
  char *problem = NULL;
  int port = 5432;
  PQconninfoOption *options = PQconninfoParse(getenv("SUBTOKEN_TEST_POSTGRES"), &problem);
  for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
    if (strcmp(o->keyword, "port") == 0 && o->val != NULL) port = atoi(o->val);
  }
  PQfreemem(problem);
  PQconninfoFree(options);
  return port;
}

static inline void locate_in_postgres(unsigned n, char out[sizeof location]) {
  char name[64], sql[128];
  name_in_postgres(n, name);
  snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
  if (!postgres_made[n]) {
    postgres_made[n] = run_in_postgres(getenv("SUBTOKEN_TEST_POSTGRES"), sql) == 0;
  }
  address_in_postgres(name, out);
}

static inline int make_in_postgres(void) {
  if (make_folder() != 0) return -1; /* for copies in files */
  locate_in_postgres(0, location);
  return postgres_made[0] ? 0 : -1;
}

static inline int remove_in_postgres(void) {
  static const char drop[] =
      "SET client_min_messages = error; DROP SCHEMA IF EXISTS subtoken CASCADE";
  char name[64], address[sizeof location];
  int code = remove_folder();
  for (unsigned n = 0; n < POSTGRES_STORES; n++) {
    name_in_postgres(n, name);
    address_in_postgres(name, address);
    if (postgres_made[n]) code |= run_in_postgres(address, drop);
  }
  return code;
}

/* Where PostgreSQL is installed its tests are run, or they fail. */
static inline bool is_postgres_installed(void) {
  glob_t found = {0};
  bool installed = glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0;
  globfree(&found);
  return installed;
}

static inline bool is_postgres_there(void) {
  if (getenv("SUBTOKEN_TEST_POSTGRES") != NULL) return true;
  bool installed = is_postgres_installed();
  fprintf(stderr, installed ? "SUBTOKEN_TEST_POSTGRES is not set: run this as "
                              "`tests/e2e/postgres.py PROGRAM`\n"
                            : "PostgreSQL is not installed: its part is passed over\n");
  if (installed) exit(1);
  return false;
}

static const store_kind store_kinds[] = {
    {"in a file", make_folder, locate_in_folder, remove_folder},
    {"on PostgreSQL", make_in_postgres, locate_in_postgres, remove_in_postgres}};
static const store_kind *kind = store_kinds;

/* ---- each test ---- */

static inline int setup(void **state) {
  (void)state;
  if (kind->make() != 0) return -1;
  return st_store_open(location, true, &store, error) == ST_STORE_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  st_store_close(store);
  return kind->remove();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline int run_on_store(size_t of, const char *file, const struct CMUnitTest *tests,
                               size_t count) {
  kind = &store_kinds[of];
  if (kind->make == make_in_postgres && !is_postgres_there()) return 0;
  return run_chosen(file, tests, count, NULL, NULL);
}

/* The tests, on each kind of store; and of what is true on one kind alone. */
#define RUN_ON_EVERY_STORE(tests) \
  run_on_every_store(#tests, tests, sizeof(tests) / sizeof((tests)[0]))
#define RUN_ON_POSTGRES(tests) run_on_store(1, #tests, tests, sizeof(tests) / sizeof((tests)[0]))
#define RUN_ON_SQLITE(tests) run_on_store(0, #tests, tests, sizeof(tests) / sizeof((tests)[0]))
static inline int run_on_every_store(const char *file, const struct CMUnitTest *tests,
                                     size_t count) {
  int failed = 0;
  for (size_t i = 0; i < sizeof store_kinds / sizeof *store_kinds; i++) {
    failed += run_on_store(i, file, tests, count);
  }
  return failed;
}

static inline void assert_ok(st_store_status status) {
  if (status != ST_STORE_OK) fail_msg("%d: %s", (int)status, error);
}

static inline void reopen(void) {
  st_store_close(store);
  assert_ok(st_store_open(location, false, &store, error));
}

/* ---- rows ---- */

static inline const char *sub_of(unsigned n) {
  static char subs[8][ST_SUB_LEN + 1];
  static unsigned next;
  char *sub = subs[next++ % 8];
  snprintf(sub, sizeof subs[0], "%043u", n);
  return sub;
}

static inline const char *id_of(unsigned n) {
  static char ids[8][ST_KEY_ID_LEN + 1];
  static unsigned next;
  char *id = ids[next++ % 8];
  snprintf(id, sizeof ids[0], "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  return id;
}

static inline const uint8_t *digest_of(unsigned n) {
  static uint8_t digest[32];
  memset(digest, 0xd1, sizeof digest);
  memcpy(digest, &n, sizeof n);
  return digest;
}

static inline st_key row_of(unsigned n, const char *owner, const char *permissions) {
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  snprintf(key.id, sizeof key.id, "%s", id_of(n));
  snprintf(key.sub, sizeof key.sub, "%s", sub_of(n));
  snprintf(key.name, sizeof key.name, "key %u", n);
  snprintf(key.owner, sizeof key.owner, "%s", owner);
  snprintf(key.permissions, sizeof key.permissions, "%s", permissions);
  return key;
}

static inline void make_key(unsigned n, const char *owner, const char *permissions) {
  st_key key = row_of(n, owner, permissions);
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
}

static inline st_user user_of(unsigned n, const char *username, const char *permissions) {
  st_user user = {.key = row_of(n, username, permissions)};
  user.key.kind = ST_KIND_USER;
  memset(user.key.name, 0, sizeof user.key.name);
  snprintf(user.key.name, sizeof user.key.name, "%s", username);
  snprintf(user.password, sizeof user.password, "$hash$%u", n);
  snprintf(user.locale, sizeof user.locale, "de-CH");
  snprintf(user.source, sizeof user.source, "test");
  return user;
}

static inline void make_user(unsigned n, const char *username, const char *permissions) {
  st_user user = user_of(n, username, permissions);
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &user, digest_of(n), error));
}

/* The row n with the sub of its making. */
static inline const st_grantor *grantor_of(unsigned n) {
  static char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  static st_grantor grantor = {id, sub};
  snprintf(id, sizeof id, "%s", id_of(n));
  snprintf(sub, sizeof sub, "%s", sub_of(n));
  return &grantor;
}

/* A refresh token that a session begins with. */
static inline const char *refresh_of(unsigned n) {
  static char tokens[4][ST_REFRESH_LEN + 1];
  static unsigned next;
  char *token = tokens[next++ % 4];
  snprintf(token, sizeof tokens[0], "R%042u", n);
  return token;
}

static inline st_store_status begin_session(unsigned n, const st_grantor *grantor,
                                            int64_t expires_at) {
  st_key session = row_of(n, "", "");
  uint8_t seed[32];
  memset(seed, (int)n, sizeof seed);
  session.expires_at = expires_at;
  return st_store_session_begin(store, CONTEXT, grantor, 100, &session, digest_of(n), seed,
                                refresh_of(n), error);
}

static inline st_store_status row_by_sub(unsigned n, st_key *key) {
  return st_store_by_sub(store, (subtoken_text){sub_of(n), ST_SUB_LEN}, key, error);
}

/* Does the sub of its making still stand for something? */
static inline bool alive(unsigned n) {
  st_key key;
  return row_by_sub(n, &key) == ST_STORE_OK;
}

static inline uint64_t hash_of(unsigned n) {
  st_revocation_state current;
  assert_ok(st_store_revocation_state(store, &current, error));
  return subtoken_revocations_hash(current.hash_key, (subtoken_text){sub_of(n), ST_SUB_LEN});
}

/* Is a hash listed? If so once. *count: how many are. */
static inline bool lists_hash(uint64_t wanted, uint32_t *count) {
  st_revocation_data data;
  uint32_t hits = 0;
  assert_ok(st_store_revocation_data(store, &data, error));
  assert_non_null(data.hashes);
  for (uint32_t i = 0; i < data.count; i++) hits += data.hashes[i] == wanted;
  *count = data.count;
  free(data.hashes);
  free(data.changes);
  assert_true(hits <= 1);
  return hits == 1;
}

static inline bool listed(unsigned n) {
  uint32_t count = 0;
  return lists_hash(hash_of(n), &count);
}

static inline uint32_t listed_count(void) {
  uint32_t count = 0;
  (void)lists_hash(0, &count);
  return count;
}

static inline int64_t sequence_now(void) {
  st_revocation_state current;
  assert_ok(st_store_revocation_state(store, &current, error));
  return current.sequence;
}

/* What changed after a sequence is what became of these rows, and no more; all of it at the
 * sequence that stands.
 */
static inline void assert_changed(int64_t since, bool to_listed, const unsigned *rows,
                                  size_t count) {
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t all = 0, found_all = 0;
  assert_ok(st_store_revocation_changes(store, since, &current, &changes, &all, error));
  for (size_t i = 0; i < count; i++) {
    uint64_t wanted = hash_of(rows[i]);
    for (uint32_t j = 0; j < all; j++) {
      found_all += changes[j].hash == wanted && changes[j].listed == to_listed;
    }
  }
  free(changes);
  assert_int_equal(all, count);
  assert_int_equal(found_all, count);
  assert_ok(
      st_store_revocation_changes(store, current.sequence - 1, &current, &changes, &all, error));
  free(changes);
  assert_int_equal(all, count);
}
#define ASSERT_CHANGED(since, to_listed, ...)                       \
  assert_changed(since, to_listed, (const unsigned[]){__VA_ARGS__}, \
                 sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

/* In a file at once, in PostgreSQL within the staleness. */
#define SEEN(condition)                                                                \
  do {                                                                                 \
    int64_t last_us =                                                                  \
        st_clock_monotonic_us() + (kind->make == make_folder ? 0 : INT64_C(60000000)); \
    while (!(condition)) {                                                             \
      if (st_clock_monotonic_us() > last_us) fail_msg("not seen: " #condition);        \
      usleep(2000);                                                                    \
    }                                                                                  \
  } while (0)

/* The newest line of the audit log. */
static inline st_audit_line last_line(void) {
  st_audit_line line;
  size_t count = 0;
  assert_ok(st_store_audit_list(store, 0, 1, &line, &count, error));
  assert_int_equal(count, 1);
  return line;
}

static inline void assert_line(const char *action, const char *target, const char *detail) {
  st_audit_line line = last_line();
  assert_string_equal(line.action, action);
  assert_string_equal(line.target, target);
  assert_string_equal(line.detail, detail);
}

/* How many lines there are; of an action whose detail begins like this, or (NULL) of all. */
static inline int64_t count_lines(const char *action, const char *detail) {
  static st_audit_line page[50];
  int64_t lines = 0;
  size_t count = 0;
  do {
    int64_t before = count == 0 ? 0 : page[count - 1].id;
    assert_ok(st_store_audit_list(store, before, 50, page, &count, error));
    for (size_t i = 0; i < count; i++) {
      lines += action == NULL || (strcmp(page[i].action, action) == 0 &&
                                  strncmp(page[i].detail, detail, strlen(detail)) == 0);
    }
  } while (count == 50);
  return lines;
}

static inline int64_t lines(void) {
  return count_lines(NULL, NULL);
}

#endif
