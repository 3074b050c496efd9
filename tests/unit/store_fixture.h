/* What the tests of the store's persons, logins and audit log have in common. A row is known by
 * its number: id, sub and digest follow from it.
 */
#ifndef ST_TESTS_STORES_H
#define ST_TESTS_STORES_H

#include "domain/store.h"
#include "os/error.h"

#include "run_tests.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW INT64_C(1700000000)
#define US INT64_C(1000000)

/* Who changes it, at which second. */
#define AT(seconds) \
  (&(st_audit_context){.now_us = (seconds)*US, .who = "key 0", .from = "127.0.0.1"})
#define ACT AT(NOW)

static char home[256];
static char db[300];
static char error[ST_ERROR_MAX];
static st_store *store;

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static inline int setup(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-store-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(db, sizeof db, "%s/subtoken.db", home);
  return st_store_open(db, true, &store, error) == ST_STORE_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  st_store_close(store);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline void good(st_store_status stored) {
  if (stored != ST_STORE_OK) fail_msg("%d: %s", (int)stored, error);
}

static inline void reopen(void) {
  st_store_close(store);
  good(st_store_open(db, false, &store, error));
}

static inline void sql(const char *text) {
  sqlite3 *other = NULL;
  char *problem = NULL;
  assert_int_equal(sqlite3_open(db, &other), SQLITE_OK);
  if (sqlite3_exec(other, text, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s", problem);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static inline int64_t ask(const char *text) {
  sqlite3 *other = NULL;
  sqlite3_stmt *row = NULL;
  assert_int_equal(sqlite3_open(db, &other), SQLITE_OK);
  if (sqlite3_prepare_v2(other, text, -1, &row, NULL) != SQLITE_OK) {
    fail_msg("%s", sqlite3_errmsg(other));
  }
  assert_int_equal(sqlite3_step(row), SQLITE_ROW);
  int64_t value = sqlite3_column_int64(row, 0);
  (void)sqlite3_finalize(row);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  return value;
}

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
  good(st_store_key_create(store, ACT, NULL, &key, digest_of(n), error));
}

static inline st_user person_of(unsigned n, const char *login, const char *permissions) {
  st_user person = {.key = row_of(n, login, permissions)};
  person.key.kind = ST_KIND_USER;
  memset(person.key.name, 0, sizeof person.key.name);
  snprintf(person.key.name, sizeof person.key.name, "%s", login);
  snprintf(person.password, sizeof person.password, "$hash$%u", n);
  snprintf(person.locale, sizeof person.locale, "de-CH");
  snprintf(person.source, sizeof person.source, "test");
  return person;
}

static inline void make_person(unsigned n, const char *login, const char *permissions) {
  st_user person = person_of(n, login, permissions);
  good(st_store_user_create(store, ACT, NULL, false, &person, digest_of(n), error));
}

/* The row n with the sub of its making. */
static inline const st_grantor *maker_of(unsigned n) {
  static char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  static st_grantor maker = {id, sub};
  snprintf(id, sizeof id, "%s", id_of(n));
  snprintf(sub, sizeof sub, "%s", sub_of(n));
  return &maker;
}

/* A refresh token that a login begins with. */
static inline const char *refresh_of(unsigned n) {
  static char tokens[4][ST_REFRESH_LEN + 1];
  static unsigned next;
  char *token = tokens[next++ % 4];
  snprintf(token, sizeof tokens[0], "R%042u", n);
  return token;
}

static inline st_store_status log_in(unsigned n, const st_grantor *maker, int64_t expires_at) {
  st_key login = row_of(n, "", "");
  uint8_t seed[32];
  memset(seed, (int)n, sizeof seed);
  login.expires_at = expires_at;
  return st_store_session_begin(store, ACT, maker, 100, &login, digest_of(n), seed, refresh_of(n),
                                error);
}

static inline st_store_status found(unsigned n, st_key *key) {
  return st_store_by_sub(store, (subtoken_text){sub_of(n), ST_SUB_LEN}, key, error);
}

/* Does the sub of its making still stand for something? */
static inline bool alive(unsigned n) {
  st_key key;
  return found(n, &key) == ST_STORE_OK;
}

static inline uint64_t hash_of(unsigned n) {
  st_revocation_state listing;
  good(st_store_revocation_state(store, &listing, error));
  return subtoken_revocations_hash(listing.hash_key, (subtoken_text){sub_of(n), ST_SUB_LEN});
}

static inline bool listed(unsigned n) {
  st_revocation_state listing;
  uint64_t *hashes = NULL, wanted = hash_of(n);
  uint32_t count = 0, hits = 0;
  good(st_store_revoked_hashes(store, &listing, &hashes, &count, error));
  for (uint32_t i = 0; i < count; i++) hits += hashes[i] == wanted;
  free(hashes);
  assert_true(hits <= 1);
  return hits == 1;
}

static inline int64_t method(void) {
  st_revocation_state listing;
  good(st_store_revocation_state(store, &listing, error));
  return listing.sequence;
}

/* What changed after a sequence is what became of these rows, and no more; all of it at the
 * sequence that stands.
 */
static inline void assert_changed(int64_t since, bool to_listed, const unsigned *rows,
                                  size_t count) {
  st_revocation_state listing;
  st_revocation_change *changes = NULL;
  uint32_t all = 0, found_all = 0;
  good(st_store_revocation_changes(store, since, &listing, &changes, &all, error));
  for (size_t i = 0; i < count; i++) {
    uint64_t wanted = hash_of(rows[i]);
    for (uint32_t j = 0; j < all; j++) {
      found_all += changes[j].hash == wanted && changes[j].listed == to_listed;
    }
  }
  free(changes);
  assert_int_equal(all, count);
  assert_int_equal(found_all, count);
  good(st_store_revocation_changes(store, listing.sequence - 1, &listing, &changes, &all, error));
  free(changes);
  assert_int_equal(all, count);
}
#define ASSERT_CHANGED(since, to_listed, ...)                       \
  assert_changed(since, to_listed, (const unsigned[]){__VA_ARGS__}, \
                 sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

/* The newest line of the audit log. */
static inline st_audit_line last_line(void) {
  st_audit_line line;
  size_t count = 0;
  good(st_store_audit_list(store, 0, 1, &line, &count, error));
  assert_int_equal(count, 1);
  return line;
}

static inline void assert_line(const char *action, const char *target, const char *detail) {
  st_audit_line line = last_line();
  assert_string_equal(line.action, action);
  assert_string_equal(line.target, target);
  assert_string_equal(line.detail, detail);
}

static inline int64_t lines(void) {
  return ask("SELECT count(*) FROM audit");
}

#endif
