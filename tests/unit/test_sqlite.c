/* The store of parent keys: what it keeps, what it refuses, and what is left of
 * it after kills, full disks and damage.
 */
#include "domain/store.h"
#include "os/error.h"

#include "run_tests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

/* In a child, where cmocka's assertions must not be used. */
#define REQUIRE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                       \
    }                                                                 \
  } while (0)

static char home[256]; /* made anew for each test */
static char db[300];
static char error[ST_ERROR_MAX];

/* ---- Helpers ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static int make_home(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-sqlite-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) {
    return -1;
  }
  snprintf(db, sizeof db, "%s/subtoken.db", home);
  memset(error, 0, sizeof error);
  return 0;
}

static int remove_home(void **state) {
  (void)state;
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *in_home(const char *name) {
  static char paths[4][400];
  static unsigned next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s", home, name);
  return path;
}

static int count_files(void) {
  DIR *dir = opendir(home);
  int count = 0;
  assert_non_null(dir);
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    count += entry->d_name[0] != '.';
  }
  closedir(dir);
  return count;
}

static st_store *open_store(void) {
  st_store *store = NULL;
  st_store_status stored = st_store_open(db, true, &store, error);
  if (stored != ST_STORE_OK) {
    fail_msg("%s", error);
  }
  return store;
}

static void assert_refused(const char *path, bool create, const char *text) {
  st_store *store = (st_store *)error;
  error[0] = 0;
  assert_int_equal(st_store_open(path, create, &store, error), ST_STORE_FAILED);
  assert_null(store);
  if (strstr(error, text) == NULL || strstr(error, path) == NULL) {
    fail_msg("\"%s\" does not name \"%s\" and say \"%s\"", error, path, text);
  }
}

static st_key key_of(unsigned n) {
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  snprintf(key.id, sizeof key.id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  snprintf(key.sub, sizeof key.sub, "%043u", n);
  snprintf(key.name, sizeof key.name, "key %u", n);
  snprintf(key.owner, sizeof key.owner, "ann");
  snprintf(key.permissions, sizeof key.permissions, "account,characters");
  return key;
}

static const uint8_t *digest_of(unsigned n, uint8_t digest[32]) {
  memset(digest, 0xd1, 32);
  memcpy(digest, &n, sizeof n);
  return digest;
}

static st_store_status create(st_store *store, unsigned n) {
  st_key key = key_of(n);
  uint8_t digest[32];
  return st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key, digest_of(n, digest),
                             error);
}

static st_store_status found_by_digest(st_store *store, unsigned n, st_key *key) {
  uint8_t digest[32];
  return st_store_by_digest(store, digest_of(n, digest), key, error);
}

static st_store_status found_by_text(st_store *store, const char *sub, size_t len, st_key *key) {
  subtoken_text text = {sub, len};
  return st_store_by_sub(store, text, key, error);
}

static st_store_status found_by_sub(st_store *store, unsigned n, st_key *key) {
  st_key wanted = key_of(n);
  return found_by_text(store, wanted.sub, ST_SUB_LEN, key);
}

static st_store_status set_disabled(st_store *store, unsigned n, bool disabled) {
  return st_store_key_set_disabled(store, AT((NOW + 1) * INT64_C(1000000)), key_of(n).id, disabled,
                                   NULL, error);
}

static st_store_status delete_key(st_store *store, unsigned n) {
  return st_store_key_delete(store, AT((NOW + 2) * INT64_C(1000000)), key_of(n).id, NULL, error);
}

static st_store_status replace_sub(st_store *store, unsigned n, unsigned with) {
  return st_store_key_replace_sub(store, AT((NOW + 3) * INT64_C(1000000)), key_of(n).id,
                                  key_of(with).sub, NULL, error);
}

static st_store_status find(st_store *store, unsigned n, st_key *key) {
  return st_store_key_find(store, key_of(n).id, key, error);
}

static int64_t count(st_store *store) {
  int64_t keys = -1;
  assert_int_equal(st_store_key_count(store, &keys, error), ST_STORE_OK);
  return keys;
}

static void assert_same_key(const st_key *a, const st_key *b) {
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

static void sql_on(const char *path, const char *sql) {
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
  sqlite3_busy_timeout(raw, 5000);
  if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK) {
    fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
  }
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static uint8_t *slurp(const char *path, size_t *len) {
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

static void spill(const char *path, const void *data, size_t len) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, len), len);
  close(fd);
}

static void assert_holds(const char *path, const uint8_t *data, size_t len) {
  size_t now_len = 0;
  uint8_t *now = slurp(path, &now_len);
  assert_int_equal(now_len, len);
  assert_memory_equal(now, data, len);
  free(now);
}

static void assert_child(pid_t child) {
  int status = -1;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* A closed database with some keys and no -wal. */
static void make_db(unsigned keys) {
  st_store *store = open_store();
  for (unsigned n = 0; n < keys; n++) {
    assert_int_equal(create(store, n), ST_STORE_OK);
  }
  st_store_close(store);
}

/* ---- What it keeps ---- */

static void keeps_every_field(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key key = key_of(1), got;
  uint8_t digest[32];
  memset(key.name, 'n', ST_NAME_MAX);
  snprintf(key.owner, sizeof key.owner, "\xc3\xa9' ; DROP TABLE keys; --");
  memset(key.permissions, 'p', ST_PERMISSIONS_TEXT_MAX);
  key.expires_at = NOW + 77;
  key.disabled = true;
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(1, digest), error),
                   ST_STORE_OK);
  st_store_close(store);

  store = open_store();
  for (int round = 0; round < 2; round++) { /* from the file, and remembered */
    assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &key);
    assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &key);
  }
  assert_int_equal(find(store, 1, &got), ST_STORE_OK);
  assert_same_key(&got, &key);
  assert_int_equal(count(store), 1);
  st_store_close(store);
}

static void keeps_never(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  assert_int_equal(got.expires_at, ST_NEVER);
  assert_false(got.disabled);
  st_store_close(store);
}

static void knows_what_it_does_not_have(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got, zero = {0};
  memset(&got, 'x', sizeof got);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_NOT_FOUND);
  assert_memory_equal(&got, &zero, sizeof got);
  memset(&got, 'x', sizeof got);
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_NOT_FOUND);
  assert_memory_equal(&got, &zero, sizeof got);
  assert_int_equal(find(store, 1, &got), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_find(store, "", &got, error), ST_STORE_NOT_FOUND);
  assert_int_equal(set_disabled(store, 1, true), ST_STORE_NOT_FOUND);
  assert_int_equal(delete_key(store, 1), ST_STORE_NOT_FOUND);
  assert_int_equal(replace_sub(store, 1, 2), ST_STORE_NOT_FOUND);
  assert_int_equal(count(store), 0);
  st_store_close(store);
}

/* A sub is a view: what follows it in memory is none of its business. */
static void reads_a_sub_by_its_length(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got, key = key_of(1);
  assert_int_equal(create(store, 1), ST_STORE_OK);
  char *exact = malloc(ST_SUB_LEN), *more = malloc(ST_SUB_LEN + 1);
  assert_true(exact != NULL && more != NULL);
  memcpy(exact, key.sub, ST_SUB_LEN);
  memcpy(more, key.sub, ST_SUB_LEN);
  more[ST_SUB_LEN] = 'x';
  for (int round = 0; round < 2; round++) {
    assert_int_equal(found_by_text(store, exact, ST_SUB_LEN, &got), ST_STORE_OK);
    assert_int_equal(found_by_text(store, more, ST_SUB_LEN, &got), ST_STORE_OK);
    assert_int_equal(found_by_text(store, more, ST_SUB_LEN + 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(store, exact, ST_SUB_LEN - 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(store, exact, 0, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(store, NULL, 0, &got), ST_STORE_NOT_FOUND);
  }
  exact[ST_SUB_LEN - 1] ^= 1; /* the same slot of the cache, another sub */
  assert_int_equal(found_by_text(store, exact, ST_SUB_LEN, &got), ST_STORE_NOT_FOUND);
  free(exact);
  free(more);
  st_store_close(store);
}

/* Slots are chosen by the first bytes: keys that share one must not be mixed up. */
static void tells_apart_keys_that_share_a_slot(void **state) {
  (void)state;
  st_store *store = open_store();
  uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 3};
  st_key first = key_of(1), second = key_of(2), got;
  b[31] = 1;
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &first, a, error),
                   ST_STORE_OK);
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &second, b, error),
                   ST_STORE_OK);
  for (int round = 0; round < 3; round++) {
    assert_int_equal(st_store_by_digest(store, a, &got, error), ST_STORE_OK);
    assert_same_key(&got, &first);
    assert_int_equal(st_store_by_digest(store, b, &got, error), ST_STORE_OK);
    assert_same_key(&got, &second);
    assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &first);
    assert_int_equal(found_by_sub(store, 2, &got), ST_STORE_OK);
    assert_same_key(&got, &second);
  }
  a[31] = 2;
  assert_int_equal(st_store_by_digest(store, a, &got, error), ST_STORE_NOT_FOUND);
  st_store_close(store);
}

static void finds_disabled_keys(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(set_disabled(store, 1, true), ST_STORE_OK);
    assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
    assert_true(got.disabled);
    assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_OK);
    assert_true(got.disabled);
  }
  assert_int_equal(set_disabled(store, 1, false), ST_STORE_OK);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  assert_false(got.disabled);
  st_store_close(store);
}

static void remembers_deleted_keys(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  assert_int_equal(delete_key(store, 1), ST_STORE_OK);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_REVOKED);
    assert_int_equal(got.permissions[0], 0);
    assert_int_equal(find(store, 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(set_disabled(store, 1, false), ST_STORE_NOT_FOUND);
    assert_int_equal(delete_key(store, 1), ST_STORE_NOT_FOUND);
    assert_int_equal(replace_sub(store, 1, 2), ST_STORE_NOT_FOUND);
    assert_int_equal(count(store), 0);
    st_store_close(store);
    store = open_store();
  }
  st_store_close(store);
  sql_on(db,
         "CREATE TEMP TABLE t (n CHECK (n = 1));"
         "INSERT INTO t SELECT count(*) FROM keys JOIN revoked USING (sub)"
         " WHERE name = 'key 1' AND owner = 'ann' AND deleted_at = 1700000002"
         " AND key_id = id AND revoked_at = 1700000002");
}

static void remembers_replaced_subs(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(create(store, 9), ST_STORE_OK);
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_OK);
  assert_int_equal(replace_sub(store, 1, 2), ST_STORE_OK);
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(store, 2, &got), ST_STORE_OK);
  assert_string_equal(got.id, key_of(1).id);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  assert_string_equal(got.sub, key_of(2).sub);

  assert_int_equal(replace_sub(store, 1, 2), ST_STORE_EXISTS); /* its own */
  assert_int_equal(replace_sub(store, 1, 1), ST_STORE_EXISTS); /* a revoked one */
  assert_int_equal(replace_sub(store, 1, 9), ST_STORE_EXISTS); /* another key's */
  assert_int_equal(st_store_key_replace_sub(store, AT(NOW), key_of(1).id, "short", NULL, error),
                   ST_STORE_FAILED);
  assert_int_equal(found_by_sub(store, 2, &got), ST_STORE_OK); /* nothing happened */
  assert_int_equal(delete_key(store, 1), ST_STORE_OK);
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(store, 2, &got), ST_STORE_REVOKED);
  st_store_close(store);
}

static void remembers_facts(void **state) {
  (void)state;
  st_store *store = open_store();
  int64_t value = 7;
  assert_int_equal(st_store_get_setting(store, "max_life", &value, error), ST_STORE_NOT_FOUND);
  assert_int_equal(value, 7);
  for (int64_t n = 0; n < 3; n++) {
    assert_int_equal(st_store_set_setting(store, "max_life", n - 1, error), ST_STORE_OK);
    st_store_close(store);
    store = open_store();
    assert_int_equal(st_store_get_setting(store, "max_life", &value, error), ST_STORE_OK);
    assert_int_equal(value, n - 1);
  }
  assert_int_equal(st_store_get_setting(store, "max", &value, error), ST_STORE_NOT_FOUND);
  st_store_close(store);
}

/* Denying wins, should a sub ever be both. */
static void a_revoked_sub_is_refused_even_if_a_key_has_it(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  sql_on(db, "INSERT INTO revoked SELECT sub, id, 1 FROM keys");
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_REVOKED);
  st_store_close(store);
}

static void refuses_what_is_taken(void **state) {
  (void)state;
  st_store *store = open_store();
  uint8_t digest[32];
  for (unsigned n = 1; n <= 2; n++) {
    assert_int_equal(create(store, n), ST_STORE_OK);
  }
  assert_int_equal(delete_key(store, 2), ST_STORE_OK);
  for (unsigned n = 1; n <= 2; n++) { /* one that lives, one that is deleted */
    st_key key = key_of(5);
    memcpy(key.id, key_of(n).id, sizeof key.id);
    assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                         digest_of(5, digest), error),
                     ST_STORE_EXISTS);
    key = key_of(5);
    memcpy(key.sub, key_of(n).sub, sizeof key.sub);
    assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                         digest_of(5, digest), error),
                     ST_STORE_EXISTS);
    key = key_of(5);
    assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                         digest_of(n, digest), error),
                     ST_STORE_EXISTS);
  }
  assert_int_equal(replace_sub(store, 1, 3), ST_STORE_OK);
  st_key key = key_of(1);
  memcpy(key.id, key_of(5).id, sizeof key.id);
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(5, digest), error),
                   ST_STORE_EXISTS);
  assert_int_equal(create(store, 5), ST_STORE_OK);
  assert_int_equal(count(store), 2);
  st_store_close(store);
}

static void refuses_to_write_half_a_key(void **state) {
  (void)state;
  st_store *store = open_store();
  uint8_t digest[32];
  st_key key = key_of(1);
  key.id[5] = 0;
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  key.sub[42] = 0;
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  memset(key.name, 'x', sizeof key.name); /* no NUL */
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  key.created_at = -1;
  assert_int_equal(st_store_key_create(store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                       digest_of(1, digest), error),
                   ST_STORE_FAILED);
  assert_int_equal(count(store), 0);
  st_store_close(store);
}

static void refuses_rows_that_do_not_fit(void **state) {
  (void)state;
  static const char *const changes[] = {
      "UPDATE keys SET name = printf('%.*c', 257, 'x')",
      "UPDATE keys SET owner = 'a' || char(0) || 'b'",
      "UPDATE keys SET permissions = printf('%.*c', 4161, 'x')",
      "UPDATE keys SET expires_at = -1",
      "UPDATE keys SET created_at = 9223372036854775807",
  };
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    make_db(1);
    sql_on(db, changes[i]);
    st_store *store = open_store();
    st_key got;
    size_t listed = 7;
    error[0] = 0;
    assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    error[0] = 0;
    assert_int_equal(found_by_sub(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    error[0] = 0;
    assert_int_equal(find(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    assert_int_equal(st_store_key_list(store, NULL, "", 1, &got, &listed, error), ST_STORE_FAILED);
    assert_int_equal(listed, 0);
    st_store_close(store);
    assert_int_equal(unlink(db), 0);
  }
}

/* ---- Seeing changes ---- */

static void handles_see_each_other_at_once(void **state) {
  (void)state;
  st_store *a = open_store(), *b = open_store();
  st_key got;
  assert_int_equal(found_by_digest(b, 1, &got), ST_STORE_NOT_FOUND);
  for (unsigned n = 1; n <= 50; n++) {
    assert_int_equal(create(a, n), ST_STORE_OK);
    for (int round = 0; round < 2; round++) {
      assert_int_equal(found_by_digest(a, n, &got), ST_STORE_OK);
      assert_int_equal(found_by_digest(b, n, &got), ST_STORE_OK);
      assert_int_equal(found_by_sub(b, n, &got), ST_STORE_OK);
    }
    assert_int_equal(set_disabled(a, n, true), ST_STORE_OK);
    assert_int_equal(found_by_digest(b, n, &got), ST_STORE_OK);
    assert_true(got.disabled);
    assert_int_equal(found_by_sub(a, n, &got), ST_STORE_OK);
    assert_true(got.disabled);
    assert_int_equal(replace_sub(b, n, n + 100), ST_STORE_OK);
    assert_int_equal(found_by_sub(a, n, &got), ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(a, n + 100, &got), ST_STORE_OK);
    assert_int_equal(delete_key(b, n), ST_STORE_OK);
    assert_int_equal(found_by_digest(a, n, &got), ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(b, n + 100, &got), ST_STORE_REVOKED);
  }
  st_store_close(a);
  assert_int_equal(create(b, 99), ST_STORE_OK); /* closing one leaves the other alone */
  st_store_close(b);
}

static void processes_see_each_other_at_once(void **state) {
  (void)state;
  int go[2], done[2];
  char byte = 0;
  make_db(20);
  assert_true(pipe(go) == 0 && pipe(done) == 0);
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    close(go[1]); /* or it would wait for ever for a parent that failed */
    REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
    for (unsigned n = 0; n < 20; n++) {
      REQUIRE(read(go[0], &byte, 1) == 1);
      REQUIRE(delete_key(store, n) == ST_STORE_OK);
      REQUIRE(write(done[1], "d", 1) == 1);
    }
    st_store_close(store);
    _exit(0);
  }
  st_store *store = open_store();
  for (unsigned n = 0; n < 20; n++) {
    st_key got;
    assert_int_equal(found_by_digest(store, n, &got), ST_STORE_OK);
    assert_int_equal(found_by_digest(store, n, &got), ST_STORE_OK);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(read(done[0], &byte, 1), 1);
    assert_int_equal(found_by_digest(store, n, &got), ST_STORE_REVOKED);
  }
  assert_child(child);
  st_store_close(store);
  for (int i = 0; i < 2; i++) {
    close(go[i]);
    close(done[i]);
  }
}

/* POSIX locks go when any descriptor of the file is closed: opening it again, or
 * failing to, must not unlock the first handle.
 */
static void opening_again_keeps_the_locks(void **state) {
  (void)state;
  int gate[2];
  char byte;
  assert_int_equal(pipe(gate), 0);
  pid_t child = fork(); /* before SQLite knows the file, or it would think the locks its own */
  if (child == 0) {
    sqlite3 *raw = NULL;
    close(gate[1]);
    REQUIRE(read(gate[0], &byte, 1) == 0);
    REQUIRE(sqlite3_open(db, &raw) == SQLITE_OK);
    REQUIRE(sqlite3_exec(raw, "SELECT * FROM keys", NULL, NULL, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_close(raw) == SQLITE_OK); /* were it the last one, the -wal would go */
    _exit(0);
  }
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (int i = 0; i < 3; i++) {
    st_store *other = NULL;
    assert_int_equal(st_store_open(db, true, &other, error), ST_STORE_OK);
    st_store_close(other);
  }
  close(gate[0]);
  close(gate[1]);
  assert_child(child);
  assert_int_equal(access(in_home("subtoken.db-wal"), F_OK), 0);
  st_store_close(store);
}

typedef struct worker {
  pthread_t thread;
  st_store *store;
  unsigned id;
  bool ok;
} worker;

static void *ask_a_lot(void *argument) {
  worker *self = argument;
  st_key got;
  self->ok = true;
  for (unsigned i = 0; i < 2000; i++) {
    unsigned n = (i + self->id) % 40;
    st_store_status found =
        i % 2 == 0 ? found_by_digest(self->store, n, &got) : found_by_sub(self->store, n, &got);
    bool same = found != ST_STORE_OK || strcmp(got.id, key_of(n).id) == 0;
    self->ok = self->ok && same && (found == ST_STORE_OK || found == ST_STORE_REVOKED);
  }
  return NULL;
}

static void many_threads_share_a_handle(void **state) {
  (void)state;
  worker workers[4];
  make_db(40);
  st_store *store = open_store();
  for (unsigned i = 0; i < 4; i++) {
    workers[i] = (worker){.store = store, .id = i * 10};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, ask_a_lot, &workers[i]), 0);
  }
  for (unsigned n = 0; n < 20; n++) {
    assert_int_equal(delete_key(store, n), ST_STORE_OK);
    assert_true(st_store_ready(store, error));
  }
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_true(workers[i].ok);
  }
  assert_int_equal(count(store), 20);
  st_store_close(store);
}

/* ---- Creation ---- */

static void makes_a_private_file(void **state) {
  (void)state;
  static const char *const suffixes[] = {"", "-wal", "-shm"};
  mode_t old = umask(0);
  st_store *store = open_store();
  umask(old);
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (size_t i = 0; i < 3; i++) {
    char path[310];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", db, suffixes[i]);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
  }
  st_store_close(store);
  assert_int_equal(count_files(), 1);
}

static void *create_from_thread(void *argument) {
  worker *self = argument;
  char text[ST_ERROR_MAX];
  uint8_t digest[32];
  st_key key = key_of(self->id);
  self->ok = st_store_open(db, true, &self->store, text) == ST_STORE_OK &&
             st_store_key_create(self->store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                 digest_of(self->id, digest), text) == ST_STORE_OK;
  if (!self->ok) {
    fprintf(stderr, "%s\n", text);
  }
  st_store_close(self->store);
  return NULL;
}

static void create_from_process(int gate, unsigned id) {
  char byte;
  worker workers[2];
  REQUIRE(read(gate, &byte, 1) == 0); /* everybody starts when the parent closes it */
  for (unsigned i = 0; i < 2; i++) {
    workers[i] = (worker){.id = id * 2 + i};
    REQUIRE(pthread_create(&workers[i].thread, NULL, create_from_thread, &workers[i]) == 0);
  }
  for (unsigned i = 0; i < 2; i++) {
    REQUIRE(pthread_join(workers[i].thread, NULL) == 0);
    REQUIRE(workers[i].ok);
  }
  _exit(0);
}

static void many_may_create_at_once(void **state) {
  (void)state;
  for (int round = 0; round < 15; round++) {
    int gate[2];
    pid_t children[3];
    assert_int_equal(pipe(gate), 0);
    for (unsigned i = 0; i < 3; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        close(gate[1]);
        create_from_process(gate[0], i);
      }
    }
    close(gate[0]);
    close(gate[1]);
    for (unsigned i = 0; i < 3; i++) {
      assert_child(children[i]);
    }
    st_store *store = open_store();
    assert_int_equal(count(store), 6);
    st_store_close(store);
    assert_int_equal(unlink(db), 0);
  }
}

static void a_killed_creation_is_completed(void **state) {
  (void)state;
  for (int round = 0; round < 120; round++) {
    pid_t child = fork();
    if (child == 0) {
      st_store *store = NULL;
      (void)!st_store_open(db, true, &store, error);
      _exit(0);
    }
    struct timespec pause = {0, round * 50000L};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    st_store *store = open_store();
    assert_int_equal(create(store, 1), ST_STORE_OK);
    st_store_close(store);
    assert_int_equal(unlink(db), 0);
  }
}

/* A new file is put in place complete: one that is empty has lost what it held. */
static void an_empty_file_is_refused(void **state) {
  (void)state;
  spill(db, "", 0);
  assert_refused(db, false, "is empty");
  assert_refused(db, true, "is empty");
  assert_holds(db, (const uint8_t *)"", 0);
}

static void an_acknowledged_key_survives_a_kill(void **state) {
  (void)state;
  make_db(0);
  unsigned first = 0;
  for (int round = 0; round < 25; round++) {
    int acknowledged[2];
    unsigned last = first, n;
    assert_int_equal(pipe(acknowledged), 0);
    pid_t child = fork();
    if (child == 0) {
      st_store *store = NULL;
      close(acknowledged[0]); /* or it would outlive a parent that failed */
      REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
      for (n = first;; n++) {
        REQUIRE(create(store, n) == ST_STORE_OK);
        REQUIRE(n % 2 == 0 || delete_key(store, n) == ST_STORE_OK);
        REQUIRE(write(acknowledged[1], &n, sizeof n) == sizeof n);
      }
    }
    close(acknowledged[1]);
    assert_int_equal(read(acknowledged[0], &n, sizeof n), sizeof n);
    struct timespec pause = {0, round * 200000L};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    while (read(acknowledged[0], &n, sizeof n) == sizeof n) {
      last = n;
    }
    close(acknowledged[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    st_store *store = open_store();
    for (n = first; n <= last; n++) {
      st_key got;
      st_store_status expected = n % 2 == 0 ? ST_STORE_OK : ST_STORE_REVOKED;
      assert_int_equal(found_by_digest(store, n, &got), expected);
      assert_int_equal(found_by_sub(store, n, &got), expected);
    }
    st_store_close(store);
    first = last + 10;
  }
}

/* ---- What it refuses to open ---- */

static void refuses_what_is_not_there(void **state) {
  (void)state;
  assert_refused(db, false, "No such file");
  assert_int_equal(count_files(), 0);
  assert_refused(in_home("no/subtoken.db"), true, "No such file");
  assert_int_equal(symlink("nowhere", in_home("link.db")), 0);
  assert_refused(in_home("link.db"), true, "No such file");
  assert_int_equal(count_files(), 1);
}

static void refuses_what_is_open_to_others(void **state) {
  (void)state;
  static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};
  make_db(1);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    assert_int_equal(chmod(db, modes[i]), 0);
    assert_refused(db, true, "chmod 600");
  }
  assert_int_equal(chmod(db, 0600), 0);
  assert_int_equal(symlink(db, in_home("link.db")), 0);
  st_store *store = NULL;
  assert_int_equal(st_store_open(in_home("link.db"), true, &store, error), ST_STORE_OK);
  st_store_close(store);
  assert_int_equal(chmod(db, 0640), 0);
  assert_int_equal(st_store_open(in_home("link.db"), true, &store, error), ST_STORE_FAILED);
}

/* F3. */
static void trusts_a_group_when_it_is_told_to(void **state) {
  (void)state;
  st_store *store = NULL;
  make_db(1);
  st_store_trust_group(true);
  assert_int_equal(chmod(db, 0660), 0);
  assert_int_equal(st_store_open(db, true, &store, error), ST_STORE_OK);
  st_store_close(store);
  assert_int_equal(chmod(db, 0664), 0);
  assert_refused(db, true, "chmod 660");
  if (geteuid() == 0) {
    assert_int_equal(chmod(db, 0660), 0);
    assert_int_equal(chown(db, 12345, getegid()), 0);
    assert_int_equal(st_store_open(db, true, &store, error), ST_STORE_OK);
    st_store_close(store);
    assert_int_equal(chmod(db, 0640), 0);
    assert_refused(db, true, "belongs to user 12345");
  }
  st_store_trust_group(false);
  assert_int_equal(chmod(db, 0660), 0);
  assert_refused(db, true, geteuid() == 0 ? "belongs to" : "chmod 600");
}

static void refuses_what_belongs_to_others(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("skipped: only root can give a file away\n");
    skip();
  }
  make_db(1);
  assert_int_equal(chown(db, 12345, 0), 0);
  assert_refused(db, true, "belongs to user 12345");
}

static void refuses_what_is_no_file(void **state) {
  (void)state;
  assert_refused(home, true, "not a regular file");
  assert_int_equal(mkfifo(db, 0600), 0);
  assert_refused(db, true, "not a regular file");
}

static void leaves_foreign_files_untouched(void **state) {
  (void)state;
  static const char text[] = "this is no database, but somebody needs it";
  size_t len = 0;
  spill(db, text, sizeof text);
  assert_refused(db, true, "restore a backup");
  assert_holds(db, (const uint8_t *)text, sizeof text);
  assert_int_equal(count_files(), 1);

  assert_int_equal(unlink(db), 0);
  sql_on(db, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
  assert_int_equal(chmod(db, 0600), 0);
  uint8_t *before = slurp(db, &len);
  assert_refused(db, true, "is not a database of subtoken");
  assert_holds(db, before, len);
  free(before);
  assert_int_equal(count_files(), 1);

  sql_on(db, "PRAGMA application_id = 1398100564"); /* one bit off */
  assert_refused(db, true, "is not a database of subtoken");
}

static void refuses_a_newer_schema(void **state) {
  (void)state;
  size_t len = 0;
  make_db(1);
  sql_on(db, "PRAGMA user_version = 99");
  uint8_t *before = slurp(db, &len);
  assert_refused(db, true, "use a newer one");
  assert_holds(db, before, len);
  free(before);
  sql_on(db, "PRAGMA user_version = -1");
  assert_refused(db, true, "has schema -1");
}

static void refuses_a_changed_schema(void **state) {
  (void)state;
  make_db(1);
  sql_on(db, "ALTER TABLE keys RENAME COLUMN owner TO possessor");
  assert_refused(db, true, "owner");
  sql_on(db, "ALTER TABLE keys RENAME COLUMN possessor TO owner; DROP TABLE revoked");
  assert_refused(db, true, "no such table");
  sql_on(db, "PRAGMA user_version = 0");
  assert_refused(db, true, "already exists");
}

static void refuses_changes_without_their_file(void **state) {
  (void)state;
  spill(in_home("subtoken.db-wal"), "changes", 7);
  assert_refused(db, true, "is missing");
  assert_int_equal(count_files(), 1);
  spill(db, "", 0);
  assert_refused(db, true, "restore a backup");
}

/* A backup put back beside the -wal of the file it replaces would be mixed with it. */
static void refuses_a_copy_beside_old_changes(void **state) {
  (void)state;
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(st_store_backup(store, in_home("copy"), NULL, error), ST_STORE_OK);
  assert_int_equal(create(store, 2), ST_STORE_OK);
  size_t len = 0;
  uint8_t *wal = slurp(in_home("subtoken.db-wal"), &len);
  st_store_close(store);
  spill(in_home("copy-wal"), wal, len);
  free(wal);
  assert_refused(in_home("copy"), true, "move that away");
  assert_int_equal(unlink(in_home("copy-wal")), 0);
  assert_int_equal(st_store_open(in_home("copy"), false, &store, error), ST_STORE_OK);
  st_store_close(store);
}

/* ---- Damage ---- */

static void refuses_pages_of_rubbish(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  uint8_t *good = slurp(db, &len);
  assert_true(len >= 6 * 4096);
  for (size_t page = 0; page < len / 4096; page++) {
    uint8_t *bad = malloc(len);
    assert_non_null(bad);
    memcpy(bad, good, len);
    memset(bad + page * 4096, 0xff, 4096);
    spill(db, bad, len);
    assert_refused(db, true, "restore a backup");
    assert_holds(db, bad, len);
    memset(bad + page * 4096, 0, 4096);
    spill(db, bad, len);
    assert_refused(db, true, "restore a backup");
    free(bad);
  }
  free(good);
}

static void refuses_a_file_that_was_cut(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  uint8_t *good = slurp(db, &len);
  const size_t cuts[] = {1, 16, 99, 100, 511, 4095, 4096, 4097, len / 2, len - 4096, len - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    spill(db, good, cuts[i]);
    assert_refused(db, true, "restore a backup");
    assert_holds(db, good, cuts[i]);
  }
  free(good);
}

/* No crash, no hang, and never somebody else's key, whatever byte is wrong. */
static void survives_flipped_bytes(void **state) {
  (void)state;
  size_t len = 0;
  make_db(30);
  uint8_t *data = slurp(db, &len);
  unsigned refused = 0;
  for (size_t i = 0; i < 700; i++) {
    size_t at = i < 100 ? i : i * 2654435761u % len;
    data[at] ^= 0xff;
    spill(db, data, len);
    unlink(in_home("subtoken.db-wal"));
    unlink(in_home("subtoken.db-shm"));
    unlink(in_home("subtoken.db-journal"));
    st_store *store = NULL;
    if (st_store_open(db, true, &store, error) == ST_STORE_OK) {
      for (unsigned n = 0; n < 30; n++) {
        st_key got;
        if (found_by_sub(store, n, &got) == ST_STORE_OK) {
          assert_string_equal(got.sub, key_of(n).sub);
        }
        (void)found_by_digest(store, n, &got);
      }
      st_store_close(store);
    } else {
      assert_non_null(strstr(error, db));
      refused++;
    }
    data[at] ^= 0xff;
  }
  assert_true(refused > 50);
  free(data);
}

static void notices_damage_while_it_runs(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  st_store *store = open_store();
  uint8_t *data = slurp(db, &len);
  memset(data + 4096, 0xff, len - 4096);
  int fd = open(db, O_WRONLY);
  pid_t child = fork(); /* our own close would drop SQLite's locks */
  if (child == 0) {
    REQUIRE(pwrite(fd, data, len, 0) == (ssize_t)len);
    _exit(0);
  }
  assert_child(child);
  st_key got;
  assert_int_equal(found_by_digest(store, 7, &got), ST_STORE_FAILED);
  assert_non_null(strstr(error, "restore a backup"));
  st_store_close(store);
  close(fd);
  free(data);
}

/* ---- Full disks and locks ---- */

static void limit_file_size(rlim_t size) {
  struct rlimit limit;
  REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = size;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

/* Until it fails, then everything still reads, and what failed did not happen. */
static unsigned fill_up(st_store *store, unsigned n) {
  st_key got;
  int64_t keys = 0;
  while (n < 100000 && create(store, n) == ST_STORE_OK) {
    n++;
  }
  REQUIRE(n < 100000);
  REQUIRE(strstr(error, "cannot write") != NULL && strstr(error, db) != NULL);
  REQUIRE(create(store, n) == ST_STORE_FAILED);
  for (unsigned i = 0; i < n; i++) {
    REQUIRE(found_by_digest(store, i, &got) == ST_STORE_OK);
  }
  REQUIRE(found_by_digest(store, n, &got) == ST_STORE_NOT_FOUND);
  REQUIRE(found_by_sub(store, n, &got) == ST_STORE_NOT_FOUND);
  REQUIRE(st_store_key_count(store, &keys, error) == ST_STORE_OK && keys == n);
  return n;
}

static void a_write_error_changes_nothing(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(st_store_open(db, true, &store, error) == ST_STORE_OK);
    limit_file_size(200000);
    unsigned n = fill_up(store, 0);
    REQUIRE(n > 5);
    limit_file_size(RLIM_INFINITY);
    REQUIRE(create(store, n) == ST_STORE_OK);
    REQUIRE(delete_key(store, 0) == ST_STORE_OK);
    st_store_close(store);
    _exit(0);
  }
  assert_child(child);
  st_store *store = open_store();
  st_key got;
  assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  st_store_close(store);
}

static void a_creation_without_room_can_be_repeated(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t size = 0; size < 40000; size += 1500) {
      st_store *store = NULL;
      limit_file_size(size);
      if (st_store_open(db, true, &store, error) != ST_STORE_OK) {
        REQUIRE(store == NULL && strstr(error, db) != NULL);
      }
      st_store_close(store);
    }
    _exit(0);
  }
  assert_child(child);
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  st_store_close(store);
}

/* Does anything in home begin with this name? */
static bool has_files_of(const char *name) {
  DIR *listing = opendir(home);
  struct dirent *entry;
  bool found = false;
  REQUIRE(listing != NULL);
  while ((entry = readdir(listing)) != NULL) {
    found = found || strncmp(entry->d_name, name, strlen(name)) == 0;
  }
  (void)closedir(listing);
  return found;
}

/* A disk of its own, in a mount namespace of its own; exit 77 where that is not
 * allowed, as to anybody but root.
 */
static void fill_a_disk(void) {
  if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", home, "tmpfs", 0, "size=512k,mode=0700") != 0) {
    _exit(77);
  }
  st_store *store = NULL;
  REQUIRE(st_store_open(db, true, &store, error) == ST_STORE_OK);
  REQUIRE(st_store_ready(store, error));
  unsigned n = fill_up(store, 0);
  REQUIRE(n > 5);
  REQUIRE(!st_store_ready(store, error));
  REQUIRE(strstr(error, "full") != NULL || create(store, n) == ST_STORE_FAILED);
  REQUIRE(strstr(error, "database or disk is full") != NULL);
  REQUIRE(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_FAILED);
  REQUIRE(!has_files_of("copy")); /* C10 */
  REQUIRE(mount("tmpfs", home, "tmpfs", MS_REMOUNT, "size=8m,mode=0700") == 0);
  REQUIRE(st_store_ready(store, error));
  REQUIRE(create(store, n) == ST_STORE_OK);
  st_store_close(store);
  _exit(0);
}

static void a_full_disk_changes_nothing(void **state) {
  (void)state;
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    fill_a_disk();
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    print_message("skipped: no disk can be mounted here\n");
    skip();
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_lock_held_too_long_is_an_error(void **state) {
  (void)state;
  make_db(1);
  st_store *store = open_store();
  st_key got;
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
  assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(create(store, 1), ST_STORE_BUSY); /* after 5 s */
  assert_non_null(strstr(error, "locked for too long"));
  assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_OK);
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
  assert_int_equal(create(store, 1), ST_STORE_OK);
  st_store_close(store);
}

typedef struct looker {
  st_store *store;
  atomic_bool *over;
  char error[ST_ERROR_MAX];
} looker;

static void *look_often(void *context) {
  looker *l = context;
  while (!atomic_load(l->over)) {
    if (!st_store_ready(l->store, l->error)) return l;
  }
  return NULL;
}

/* C2: a database that grows, is written back, and shrinks, while others look whether it was cut
 * short or overwritten.
 */
static void growing_and_shrinking_is_no_damage(void **state) {
  (void)state;
  enum { LOOKERS = 3, KEYS = 200 };
  make_db(1);
  st_store *store = open_store();
  atomic_bool over = false;
  looker lookers[LOOKERS];
  pthread_t threads[LOOKERS];
  for (size_t i = 0; i < LOOKERS; i++) {
    lookers[i] = (looker){.store = store, .over = &over};
    assert_int_equal(pthread_create(&threads[i], NULL, look_often, &lookers[i]), 0);
  }
  sql_on(db, "CREATE TABLE padding (bytes)");
  for (unsigned n = 1; n <= KEYS; n++) {
    assert_int_equal(create(store, n), ST_STORE_OK);
    if (n % 10 == 0) sql_on(db, "INSERT INTO padding VALUES (zeroblob(300000))");
    if (n % 5 == 0) sql_on(db, "PRAGMA wal_checkpoint(PASSIVE)");
    if (n % 50 == 0) sql_on(db, "DELETE FROM padding; VACUUM; PRAGMA wal_checkpoint(PASSIVE)");
  }
  atomic_store(&over, true);
  for (size_t i = 0; i < LOOKERS; i++) {
    void *failed = NULL;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    if (failed != NULL) fail_msg("%s", lookers[i].error);
  }
  assert_int_equal(count(store), KEYS + 1);
  st_store_close(store);
}

/* A read transaction that stayed open would hold on to what it read, and the -wal would grow for
 * ever.
 */
static void an_answered_question_holds_nothing(void **state) {
  (void)state;
  make_db(1);
  st_store *store = open_store();
  st_key got;
  sqlite3 *raw = NULL;
  int left = -1, done = -1;
  assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
  assert_int_equal(sqlite3_exec(raw, "SELECT 1 FROM keys", NULL, NULL, NULL), SQLITE_OK);
  for (unsigned n = 0; n < 4; n++) {
    if (n == 0) assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_OK);
    if (n == 1) assert_int_equal(found_by_sub(store, 99, &got), ST_STORE_NOT_FOUND);
    if (n == 2) assert_true(st_store_ready(store, error));
    if (n == 3) assert_int_equal(found_by_digest(store, 99, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(create(store, 1 + n), ST_STORE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(raw, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &done),
                     SQLITE_OK);
    assert_int_equal(left, 0);
  }
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
  st_store_close(store);
}

static void is_not_ready_without_its_file(void **state) {
  (void)state;
  st_store *store = open_store();
  assert_true(st_store_ready(store, error));
  assert_int_equal(rename(db, in_home("elsewhere")), 0);
  assert_false(st_store_ready(store, error));
  spill(db, "another", 7);
  assert_false(st_store_ready(store, error));
  assert_int_equal(rename(in_home("elsewhere"), db), 0);
  assert_true(st_store_ready(store, error));
  st_store_close(store);
}

/* ---- Lists ---- */

static unsigned walk(st_store *store, size_t page) {
  st_key *keys = calloc(page, sizeof *keys);
  char after[ST_KEY_ID_LEN + 1] = "";
  unsigned seen = 0;
  size_t got = page;
  assert_non_null(keys);
  while (got == page) {
    assert_int_equal(st_store_key_list(store, NULL, after, page, keys, &got, error), ST_STORE_OK);
    for (size_t i = 0; i < got; i++) {
      assert_true(strcmp(keys[i].id, after) > 0);
      memcpy(after, keys[i].id, sizeof after);
      unsigned n = (unsigned)strtoul(keys[i].id, NULL, 16);
      st_key expected = key_of(n);
      assert_same_key(&keys[i], &expected);
      assert_int_not_equal(n % 10, 3);
      seen++;
    }
  }
  free(keys);
  return seen;
}

static void lists_in_pages(void **state) {
  (void)state;
  make_db(0);
  sql_on(db,
         "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 2999)"
         "INSERT INTO keys (id, digest, sub, name, owner, permissions, created_at, expires_at,"
         " disabled, changed_at, deleted_at) SELECT printf('%08X-ABCD-ABCD-ABCD-%012X', n, n), "
         "randomblob(32),"
         " printf('%043d', n), 'key ' || n, 'ann', 'account,characters', 1700000000, NULL, 0,"
         " 1700000000, CASE n % 10 WHEN 3 THEN 1700000000 END FROM c");
  st_store *store = open_store();
  assert_int_equal(count(store), 2700);
  assert_int_equal(walk(store, 1), 2700);
  assert_int_equal(walk(store, 7), 2700);
  assert_int_equal(walk(store, 1000), 2700);
  assert_int_equal(walk(store, 5000), 2700);
  st_key key;
  size_t got = 9;
  assert_int_equal(st_store_key_list(store, NULL, "", 0, &key, &got, error), ST_STORE_OK);
  assert_int_equal(got, 0);
  assert_int_equal(st_store_key_list(store, NULL, "~", 1, &key, &got, error), ST_STORE_OK);
  assert_int_equal(got, 0);
  assert_int_equal(st_store_key_list(store, NULL, "", SIZE_MAX, &key, &got, error),
                   ST_STORE_FAILED);
  st_store_close(store);
}

/* ---- Backup ---- */

static void *create_until_stopped(void *argument) {
  worker *self = argument;
  char text[ST_ERROR_MAX];
  self->ok = true;
  for (unsigned n = 100; n < 400; n++) {
    st_key key = key_of(n);
    uint8_t digest[32];
    self->ok = self->ok && st_store_key_create(self->store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                               digest_of(n, digest), text) == ST_STORE_OK;
  }
  return NULL;
}

/* A plain file, private, whole: what was there before is in it, without gaps. */
static void assert_good_copy(const char *path) {
  struct stat status;
  size_t len = 0;
  uint8_t *data = slurp(path, &len);
  assert_int_equal(data[18], 1);
  assert_int_equal(data[19], 1);
  free(data);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0600);
  st_store *copy = NULL;
  assert_int_equal(st_store_open(path, false, &copy, error), ST_STORE_OK);
  st_key got;
  int64_t keys = count(copy);
  assert_true(keys >= 100);
  for (unsigned n = 0; n < keys; n++) {
    assert_int_equal(found_by_digest(copy, n, &got), ST_STORE_OK);
  }
  st_store_close(copy);
}

static void backs_up_while_others_write(void **state) {
  (void)state;
  make_db(100);
  st_store *store = open_store();
  worker writer = {.store = store};
  assert_int_equal(pthread_create(&writer.thread, NULL, create_until_stopped, &writer), 0);
  for (int i = 0; i < 10; i++) {
    char name[20];
    snprintf(name, sizeof name, "copy%d", i);
    if (st_store_backup(store, in_home(name), NULL, error) != ST_STORE_OK) {
      fail_msg("%s", error);
    }
    assert_good_copy(in_home(name));
  }
  assert_int_equal(pthread_join(writer.thread, NULL), 0);
  assert_true(writer.ok);
  assert_int_equal(count(store), 400);
  st_store_close(store);
  assert_int_equal(count_files(), 11);
}

static void backs_up_over_nothing(void **state) {
  (void)state;
  st_store *store = open_store();
  spill(in_home("precious"), "old", 3);
  int before = count_files();
  assert_int_equal(st_store_backup(store, in_home("precious"), NULL, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "already exists"));
  assert_holds(in_home("precious"), (const uint8_t *)"old", 3);
  assert_int_equal(st_store_backup(store, db, NULL, error), ST_STORE_FAILED);
  assert_int_equal(st_store_backup(store, in_home("no/copy"), NULL, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "No such file"));
  assert_int_equal(count_files(), before);
  assert_int_equal(symlink("nowhere", in_home("link")), 0);
  assert_int_equal(st_store_backup(store, in_home("link"), NULL, error), ST_STORE_FAILED);
  assert_int_equal(count_files(), before + 1);
  st_store_close(store);
}

static void only_one_backup_wins_a_name(void **state) {
  (void)state;
  make_db(100);
  for (int round = 0; round < 5; round++) {
    pid_t children[4];
    int gate[2], won = 0;
    char byte;
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 4; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        st_store *store = NULL;
        close(gate[1]);
        REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
        REQUIRE(read(gate[0], &byte, 1) == 0);
        _exit(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_OK ? 7 : 8);
      }
    }
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < 4; i++) {
      int status = -1;
      assert_int_equal(waitpid(children[i], &status, 0), children[i]);
      assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 8));
      won += WEXITSTATUS(status) == 7;
    }
    assert_int_equal(won, 1);
    assert_good_copy(in_home("copy"));
    assert_int_equal(unlink(in_home("copy")), 0);
  }
}

static void a_failed_backup_leaves_nothing(void **state) {
  (void)state;
  make_db(100);
  int before = count_files();
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
    limit_file_size(20000);
    REQUIRE(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_FAILED);
    REQUIRE(strstr(error, "copy") != NULL);
    limit_file_size(RLIM_INFINITY);
    REQUIRE(create(store, 5000) == ST_STORE_OK);
    st_store_close(store);
    _exit(0);
  }
  assert_child(child);
  assert_int_equal(count_files(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keeps_every_field),
      TEST(keeps_never),
      TEST(knows_what_it_does_not_have),
      TEST(reads_a_sub_by_its_length),
      TEST(tells_apart_keys_that_share_a_slot),
      TEST(finds_disabled_keys),
      TEST(remembers_deleted_keys),
      TEST(remembers_replaced_subs),
      TEST(remembers_facts),
      TEST(a_revoked_sub_is_refused_even_if_a_key_has_it),
      TEST(refuses_what_is_taken),
      TEST(refuses_to_write_half_a_key),
      TEST(refuses_rows_that_do_not_fit),
      TEST(handles_see_each_other_at_once),
      TEST(processes_see_each_other_at_once),
      TEST(opening_again_keeps_the_locks),
      TEST(many_threads_share_a_handle),
      TEST(makes_a_private_file),
      TEST(many_may_create_at_once),
      TEST(a_killed_creation_is_completed),
      TEST(an_empty_file_is_refused),
      TEST(an_acknowledged_key_survives_a_kill),
      TEST(refuses_what_is_not_there),
      TEST(refuses_what_is_open_to_others),
      TEST(trusts_a_group_when_it_is_told_to),
      TEST(refuses_what_belongs_to_others),
      TEST(refuses_what_is_no_file),
      TEST(leaves_foreign_files_untouched),
      TEST(refuses_a_newer_schema),
      TEST(refuses_a_changed_schema),
      TEST(refuses_changes_without_their_file),
      TEST(refuses_a_copy_beside_old_changes),
      TEST(refuses_pages_of_rubbish),
      TEST(refuses_a_file_that_was_cut),
      TEST(survives_flipped_bytes),
      TEST(notices_damage_while_it_runs),
      TEST(a_write_error_changes_nothing),
      TEST(a_creation_without_room_can_be_repeated),
      TEST(a_full_disk_changes_nothing),
      TEST(a_lock_held_too_long_is_an_error),
      TEST(growing_and_shrinking_is_no_damage),
      TEST(an_answered_question_holds_nothing),
      TEST(is_not_ready_without_its_file),
      TEST(lists_in_pages),
      TEST(backs_up_while_others_write),
      TEST(backs_up_over_nothing),
      TEST(only_one_backup_wins_a_name),
      TEST(a_failed_backup_leaves_nothing),
  };
  return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
