/* sqlite_fixture - what the tests of the file of a store on SQLite share: a folder made anew for
 * each test, keys that are known by their numbers, and the file's bytes.
 */
#ifndef ST_TESTS_SQLITE_FIXTURE_H
#define ST_TESTS_SQLITE_FIXTURE_H

#include "domain/store.h"
#include "home_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOW 1700000000

/* Who changes it, when. */
#define AT(us) (&(st_audit_context){.now_us = (us), .who = "key 0", .from = "127.0.0.1"})

static char db[300]; /* of a file in home */

static inline int make_home(void **state) {
  (void)state;
  return make_home_with("subtoken.db", db);
}

static inline int count_files(void) {
  DIR *dir = opendir(home);
  int count = 0;
  assert_non_null(dir);
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    count += entry->d_name[0] != '.';
  }
  closedir(dir);
  return count;
}

static inline st_store *open_store(void) {
  st_store *store = NULL;
  st_store_status stored = st_store_open(db, true, &store, error);
  if (stored != ST_STORE_OK) {
    fail_msg("%s", error);
  }
  return store;
}

static inline void assert_refused(const char *path, bool create, const char *text) {
  st_store *store = (st_store *)error;
  error[0] = 0;
  assert_int_equal(st_store_open(path, create, &store, error), ST_STORE_FAILED);
  assert_null(store);
  if (strstr(error, text) == NULL || strstr(error, path) == NULL) {
    fail_msg("\"%s\" does not name \"%s\" and say \"%s\"", error, path, text);
  }
}

static inline st_key key_of(unsigned n) {
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  snprintf(key.id, sizeof key.id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  snprintf(key.sub, sizeof key.sub, "%043u", n);
  snprintf(key.name, sizeof key.name, "key %u", n);
  snprintf(key.owner, sizeof key.owner, "ann");
  snprintf(key.permissions, sizeof key.permissions, "account,characters");
  return key;
}

static inline const uint8_t *digest_of(unsigned n, uint8_t digest[32]) {
  memset(digest, 0xd1, 32);
  memcpy(digest, &n, sizeof n);
  return digest;
}

static inline st_store_status create(st_store *store, unsigned n) {
  st_key key = key_of(n);
  uint8_t digest[32];
  return st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key, digest_of(n, digest),
                             error);
}

static inline st_store_status found_by_digest(st_store *store, unsigned n, st_key *key) {
  uint8_t digest[32];
  return st_store_by_digest(store, digest_of(n, digest), key, error);
}

static inline st_store_status found_by_text(st_store *store, const char *sub, size_t len,
                                            st_key *key) {
  subtoken_text text = {sub, len};
  return st_store_by_sub(store, text, key, error);
}

static inline st_store_status found_by_sub(st_store *store, unsigned n, st_key *key) {
  st_key wanted = key_of(n);
  return found_by_text(store, wanted.sub, ST_SUB_LEN, key);
}

static inline st_store_status set_disabled(st_store *store, unsigned n, bool disabled) {
  return st_store_key_set_disabled(store, AT((NOW + 1) * INT64_C(1000000)), key_of(n).id, disabled,
                                   NULL, error);
}

static inline st_store_status delete_key(st_store *store, unsigned n) {
  return st_store_key_delete(store, AT((NOW + 2) * INT64_C(1000000)), key_of(n).id, NULL, error);
}

static inline st_store_status replace_sub(st_store *store, unsigned n, unsigned with) {
  return st_store_key_replace_sub(store, AT((NOW + 3) * INT64_C(1000000)), key_of(n).id,
                                  key_of(with).sub, NULL, error);
}

static inline st_store_status find(st_store *store, unsigned n, st_key *key) {
  return st_store_key_find(store, key_of(n).id, key, error);
}

static inline int64_t count(st_store *store) {
  int64_t keys = -1;
  assert_int_equal(st_store_key_count(store, &keys, error), ST_STORE_OK);
  return keys;
}

static inline void assert_same_key(const st_key *a, const st_key *b) {
  assert_string_equal(a->id, b->id);
  assert_string_equal(a->sub, b->sub);
  assert_string_equal(a->name, b->name);
  assert_string_equal(a->owner, b->owner);
  assert_string_equal(a->permissions, b->permissions);
  assert_int_equal(a->created_at, b->created_at);
  assert_int_equal(a->expires_at, b->expires_at);
  assert_int_equal(a->disabled, b->disabled);
  assert_int_equal(a->kind, b->kind);
  assert_string_equal(a->parent, b->parent);
  assert_int_equal(a->suspended, b->suspended);
}

static inline void sql_on(const char *path, const char *sql) {
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
  sqlite3_busy_timeout(raw, 5000);
  if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK) {
    fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
  }
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static inline uint8_t *slurp(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  *len = (size_t)ftell(file);
  rewind(file);
  uint8_t *data = malloc(*len + 1);
  assert_non_null(data);
  assert_int_equal(fread(data, 1, *len, file), *len);
  fclose(file);
  return data;
}

static inline void spill(const char *path, const void *data, size_t len) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, len), len);
  close(fd);
}

static inline void assert_holds(const char *path, const uint8_t *data, size_t len) {
  size_t now_len = 0;
  uint8_t *now = slurp(path, &now_len);
  assert_int_equal(now_len, len);
  assert_memory_equal(now, data, len);
  free(now);
}

static inline void assert_child(pid_t child) {
  int status = -1;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* A closed database with some keys and no -wal. */
static inline void make_db(unsigned keys) {
  st_store *store = open_store();
  for (unsigned n = 0; n < keys; n++) {
    assert_int_equal(create(store, n), ST_STORE_OK);
  }
  st_store_close(store);
}

static inline void limit_file_size(rlim_t size) {
  struct rlimit limit;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = size;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

#endif
