/* Keys: what is kept of them, what is refused, and who sees a change. */
#include "store_contract.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* In a child, where cmocka's assertions must not be used. */
#define REQUIRE(condition)                                            \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                       \
    }                                                                 \
  } while (0)

/* Each test opens its stores itself. */
static int make_place(void **state) {
  (void)state;
  return kind->make();
}

static int remove_place(void **state) {
  (void)state;
  return kind->remove();
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

#define CONTEXT_AT_US(us) (&(st_audit_context){.now_us = (us), .who = "key 0", .from = "127.0.0.1"})

static st_key key_of(unsigned n) {
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  snprintf(key.id, sizeof key.id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  snprintf(key.sub, sizeof key.sub, "%043u", n);
  snprintf(key.name, sizeof key.name, "key %u", n);
  snprintf(key.owner, sizeof key.owner, "ann");
  snprintf(key.permissions, sizeof key.permissions, "account,characters");
  return key;
}

static const uint8_t *fill_digest(unsigned n, uint8_t digest[32]) {
  memset(digest, 0xd1, 32);
  memcpy(digest, &n, sizeof n);
  return digest;
}

static st_store_status create(st_store *s, unsigned n) {
  st_key key = key_of(n);
  uint8_t digest[32];
  return st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                             fill_digest(n, digest), error);
}

static st_store_status found_by_digest(st_store *s, unsigned n, st_key *key) {
  uint8_t digest[32];
  return st_store_by_digest(s, fill_digest(n, digest), key, error);
}

static st_store_status found_by_text(st_store *s, const char *sub, size_t len, st_key *key) {
  subtoken_text text = {sub, len};
  return st_store_by_sub(s, text, key, error);
}

static st_store_status found_by_sub(st_store *s, unsigned n, st_key *key) {
  st_key wanted = key_of(n);
  return found_by_text(s, wanted.sub, ST_SUB_LEN, key);
}

static st_store_status disable(st_store *s, unsigned n, bool disabled) {
  return st_store_key_set_disabled(s, CONTEXT_AT_US((NOW + 1) * INT64_C(1000000)), key_of(n).id,
                                   disabled, NULL, error);
}

static st_store_status delete_key(st_store *s, unsigned n) {
  return st_store_key_delete(s, CONTEXT_AT_US((NOW + 2) * INT64_C(1000000)), key_of(n).id, NULL,
                             error);
}

static st_store_status replace_sub(st_store *s, unsigned n, unsigned with) {
  return st_store_key_replace_sub(s, CONTEXT_AT_US((NOW + 3) * INT64_C(1000000)), key_of(n).id,
                                  key_of(with).sub, NULL, error);
}

static st_store_status find(st_store *s, unsigned n, st_key *key) {
  return st_store_key_find(s, key_of(n).id, key, error);
}

static int64_t count(st_store *s) {
  int64_t keys = -1;
  assert_int_equal(st_store_key_count(s, &keys, error), ST_STORE_OK);
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

static void assert_child(pid_t child) {
  int status = -1;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static st_store *open_store(void) {
  st_store *s = NULL;
  if (st_store_open(location, true, &s, error) != ST_STORE_OK) fail_msg("%s", error);
  return s;
}

/* A closed database with some keys and no -wal. */
static void make_db(unsigned keys) {
  st_store *s = open_store();
  for (unsigned n = 0; n < keys; n++) {
    assert_int_equal(create(s, n), ST_STORE_OK);
  }
  st_store_close(s);
}

/* ---- what is kept ---- */

static void keeps_every_field(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key key = key_of(1), got;
  uint8_t digest[32];
  memset(key.name, 'n', ST_NAME_MAX);
  snprintf(key.owner, sizeof key.owner, "\xc3\xa9' ; DROP TABLE keys; --");
  memset(key.permissions, 'p', ST_PERMISSIONS_TEXT_MAX);
  key.expires_at = NOW + 77;
  key.disabled = true;
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(1, digest), error),
                   ST_STORE_OK);
  st_store_close(s);

  s = open_store();
  for (int round = 0; round < 2; round++) { /* from the file, and remembered */
    assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &key);
    assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &key);
  }
  assert_int_equal(find(s, 1, &got), ST_STORE_OK);
  assert_same_key(&got, &key);
  assert_int_equal(count(s), 1);
  st_store_close(s);
}

static void keeps_never(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got;
  assert_int_equal(create(s, 1), ST_STORE_OK);
  assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
  assert_int_equal(got.expires_at, ST_NEVER);
  assert_false(got.disabled);
  st_store_close(s);
}

static void knows_what_is_not_there(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got, zero = {0};
  memset(&got, 'x', sizeof got);
  assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_NOT_FOUND);
  assert_memory_equal(&got, &zero, sizeof got);
  memset(&got, 'x', sizeof got);
  assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_NOT_FOUND);
  assert_memory_equal(&got, &zero, sizeof got);
  assert_int_equal(find(s, 1, &got), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_find(s, "", &got, error), ST_STORE_NOT_FOUND);
  assert_int_equal(disable(s, 1, true), ST_STORE_NOT_FOUND);
  assert_int_equal(delete_key(s, 1), ST_STORE_NOT_FOUND);
  assert_int_equal(replace_sub(s, 1, 2), ST_STORE_NOT_FOUND);
  assert_int_equal(count(s), 0);
  st_store_close(s);
}

/* A sub is a view: what follows it in memory is none of its business. */
static void reads_a_sub_by_its_length(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got, key = key_of(1);
  assert_int_equal(create(s, 1), ST_STORE_OK);
  char *exact = malloc(ST_SUB_LEN), *more = malloc(ST_SUB_LEN + 1);
  assert_true(exact != NULL && more != NULL);
  memcpy(exact, key.sub, ST_SUB_LEN);
  memcpy(more, key.sub, ST_SUB_LEN);
  more[ST_SUB_LEN] = 'x';
  for (int round = 0; round < 2; round++) {
    assert_int_equal(found_by_text(s, exact, ST_SUB_LEN, &got), ST_STORE_OK);
    assert_int_equal(found_by_text(s, more, ST_SUB_LEN, &got), ST_STORE_OK);
    assert_int_equal(found_by_text(s, more, ST_SUB_LEN + 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(s, exact, ST_SUB_LEN - 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(s, exact, 0, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(found_by_text(s, NULL, 0, &got), ST_STORE_NOT_FOUND);
  }
  exact[ST_SUB_LEN - 1] ^= 1; /* the same slot of the cache, another sub */
  assert_int_equal(found_by_text(s, exact, ST_SUB_LEN, &got), ST_STORE_NOT_FOUND);
  free(exact);
  free(more);
  st_store_close(s);
}

/* Slots are chosen by the first bytes: keys that share one must not be mixed up. */
static void tells_apart_keys_that_begin_alike(void **state) {
  (void)state;
  st_store *s = open_store();
  uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 3};
  st_key first = key_of(1), second = key_of(2), got;
  b[31] = 1;
  assert_int_equal(
      st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &first, a, error),
      ST_STORE_OK);
  assert_int_equal(
      st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &second, b, error),
      ST_STORE_OK);
  for (int round = 0; round < 3; round++) {
    assert_int_equal(st_store_by_digest(s, a, &got, error), ST_STORE_OK);
    assert_same_key(&got, &first);
    assert_int_equal(st_store_by_digest(s, b, &got, error), ST_STORE_OK);
    assert_same_key(&got, &second);
    assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_OK);
    assert_same_key(&got, &first);
    assert_int_equal(found_by_sub(s, 2, &got), ST_STORE_OK);
    assert_same_key(&got, &second);
  }
  a[31] = 2;
  assert_int_equal(st_store_by_digest(s, a, &got, error), ST_STORE_NOT_FOUND);
  st_store_close(s);
}

static void finds_disabled_keys(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got;
  assert_int_equal(create(s, 1), ST_STORE_OK);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(disable(s, 1, true), ST_STORE_OK);
    assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
    assert_true(got.disabled);
    assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_OK);
    assert_true(got.disabled);
  }
  assert_int_equal(disable(s, 1, false), ST_STORE_OK);
  assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
  assert_false(got.disabled);
  st_store_close(s);
}

static void remembers_deleted_keys(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got;
  assert_int_equal(create(s, 1), ST_STORE_OK);
  assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
  assert_int_equal(delete_key(s, 1), ST_STORE_OK);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_REVOKED);
    assert_int_equal(got.permissions[0], 0);
    assert_int_equal(find(s, 1, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(disable(s, 1, false), ST_STORE_NOT_FOUND);
    assert_int_equal(delete_key(s, 1), ST_STORE_NOT_FOUND);
    assert_int_equal(replace_sub(s, 1, 2), ST_STORE_NOT_FOUND);
    assert_int_equal(count(s), 0);
    st_store_close(s);
    s = open_store();
  }
  st_store_close(s);
}

static void remembers_replaced_subs(void **state) {
  (void)state;
  st_store *s = open_store();
  st_key got;
  assert_int_equal(create(s, 1), ST_STORE_OK);
  assert_int_equal(create(s, 9), ST_STORE_OK);
  assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_OK);
  assert_int_equal(replace_sub(s, 1, 2), ST_STORE_OK);
  assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(s, 2, &got), ST_STORE_OK);
  assert_string_equal(got.id, key_of(1).id);
  assert_int_equal(found_by_digest(s, 1, &got), ST_STORE_OK);
  assert_string_equal(got.sub, key_of(2).sub);

  assert_int_equal(replace_sub(s, 1, 2), ST_STORE_EXISTS); /* its own */
  assert_int_equal(replace_sub(s, 1, 1), ST_STORE_EXISTS); /* a revoked one */
  assert_int_equal(replace_sub(s, 1, 9), ST_STORE_EXISTS); /* another key's */
  assert_int_equal(
      st_store_key_replace_sub(s, CONTEXT_AT_US(NOW), key_of(1).id, "short", NULL, error),
      ST_STORE_FAILED);
  assert_int_equal(found_by_sub(s, 2, &got), ST_STORE_OK); /* nothing happened */
  assert_int_equal(delete_key(s, 1), ST_STORE_OK);
  assert_int_equal(found_by_sub(s, 1, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(s, 2, &got), ST_STORE_REVOKED);
  st_store_close(s);
}

static void remembers_settings(void **state) {
  (void)state;
  st_store *s = open_store();
  int64_t value = 7;
  assert_int_equal(st_store_get_setting(s, "max_life", &value, error), ST_STORE_NOT_FOUND);
  assert_int_equal(value, 7);
  for (int64_t n = 0; n < 3; n++) {
    assert_int_equal(st_store_set_setting(s, "max_life", n - 1, error), ST_STORE_OK);
    st_store_close(s);
    s = open_store();
    assert_int_equal(st_store_get_setting(s, "max_life", &value, error), ST_STORE_OK);
    assert_int_equal(value, n - 1);
  }
  assert_int_equal(st_store_get_setting(s, "max", &value, error), ST_STORE_NOT_FOUND);
  st_store_close(s);
}

static void refuses_what_is_taken(void **state) {
  (void)state;
  st_store *s = open_store();
  uint8_t digest[32];
  for (unsigned n = 1; n <= 2; n++) {
    assert_int_equal(create(s, n), ST_STORE_OK);
  }
  assert_int_equal(delete_key(s, 2), ST_STORE_OK);
  for (unsigned n = 1; n <= 2; n++) { /* one that lives, one that is deleted */
    st_key key = key_of(5);
    memcpy(key.id, key_of(n).id, sizeof key.id);
    assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                         fill_digest(5, digest), error),
                     ST_STORE_EXISTS);
    key = key_of(5);
    memcpy(key.sub, key_of(n).sub, sizeof key.sub);
    assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                         fill_digest(5, digest), error),
                     ST_STORE_EXISTS);
    key = key_of(5);
    assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                         fill_digest(n, digest), error),
                     ST_STORE_EXISTS);
  }
  assert_int_equal(replace_sub(s, 1, 3), ST_STORE_OK);
  st_key key = key_of(1);
  memcpy(key.id, key_of(5).id, sizeof key.id);
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(5, digest), error),
                   ST_STORE_EXISTS);
  assert_int_equal(create(s, 5), ST_STORE_OK);
  assert_int_equal(count(s), 2);
  st_store_close(s);
}

static void refuses_to_write_half_a_key(void **state) {
  (void)state;
  st_store *s = open_store();
  uint8_t digest[32];
  st_key key = key_of(1);
  key.id[5] = 0;
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  key.sub[42] = 0;
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  memset(key.name, 'x', sizeof key.name); /* no NUL */
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(1, digest), error),
                   ST_STORE_FAILED);
  key = key_of(1);
  key.created_at = -1;
  assert_int_equal(st_store_key_create(s, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                       fill_digest(1, digest), error),
                   ST_STORE_FAILED);
  assert_int_equal(count(s), 0);
  st_store_close(s);
}

/* ---- lists ---- */

static unsigned walk(st_store *s, size_t page) {
  st_key *keys = calloc(page, sizeof *keys);
  char after[ST_KEY_ID_LEN + 1] = "";
  unsigned seen = 0;
  size_t got = page;
  assert_non_null(keys);
  while (got == page) {
    assert_int_equal(st_store_key_list(s, NULL, after, page, keys, &got, error), ST_STORE_OK);
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
  make_db(300);
  st_store *s = open_store();
  for (unsigned n = 3; n < 300; n += 10) assert_int_equal(delete_key(s, n), ST_STORE_OK);
  assert_int_equal(count(s), 270);
  assert_int_equal(walk(s, 1), 270);
  assert_int_equal(walk(s, 7), 270);
  assert_int_equal(walk(s, 100), 270);
  assert_int_equal(walk(s, 500), 270);
  st_key key;
  size_t got = 9;
  assert_int_equal(st_store_key_list(s, NULL, "", 0, &key, &got, error), ST_STORE_OK);
  assert_int_equal(got, 0);
  assert_int_equal(st_store_key_list(s, NULL, "~", 1, &key, &got, error), ST_STORE_OK);
  assert_int_equal(got, 0);
  assert_int_equal(st_store_key_list(s, NULL, "", SIZE_MAX, &key, &got, error), ST_STORE_FAILED);
  st_store_close(s);
}

/* ---- seen by others ---- */

static void handles_see_each_other(void **state) {
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
    assert_int_equal(disable(a, n, true), ST_STORE_OK);
    SEEN(found_by_digest(b, n, &got) == ST_STORE_OK && got.disabled);
    assert_int_equal(found_by_sub(a, n, &got), ST_STORE_OK);
    assert_true(got.disabled);
    assert_int_equal(replace_sub(b, n, n + 100), ST_STORE_OK);
    SEEN(found_by_sub(a, n, &got) == ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(a, n + 100, &got), ST_STORE_OK);
    assert_int_equal(delete_key(b, n), ST_STORE_OK);
    SEEN(found_by_digest(a, n, &got) == ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(b, n + 100, &got), ST_STORE_REVOKED);
  }
  st_store_close(a);
  assert_int_equal(create(b, 99), ST_STORE_OK); /* closing one leaves the other alone */
  st_store_close(b);
}

static void processes_see_each_other(void **state) {
  (void)state;
  int go[2], done[2];
  char byte = 0;
  make_db(20);
  assert_true(pipe(go) == 0 && pipe(done) == 0);
  pid_t child = fork();
  if (child == 0) {
    st_store *s = NULL;
    close(go[1]); /* or it would wait for ever for a parent that failed */
    REQUIRE(st_store_open(location, false, &s, error) == ST_STORE_OK);
    for (unsigned n = 0; n < 20; n++) {
      REQUIRE(read(go[0], &byte, 1) == 1);
      REQUIRE(delete_key(s, n) == ST_STORE_OK);
      REQUIRE(write(done[1], "d", 1) == 1);
    }
    st_store_close(s);
    _exit(0);
  }
  st_store *s = open_store();
  for (unsigned n = 0; n < 20; n++) {
    st_key got;
    assert_int_equal(found_by_digest(s, n, &got), ST_STORE_OK);
    assert_int_equal(found_by_digest(s, n, &got), ST_STORE_OK);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(read(done[0], &byte, 1), 1);
    SEEN(found_by_digest(s, n, &got) == ST_STORE_REVOKED);
  }
  assert_child(child);
  st_store_close(s);
  for (int i = 0; i < 2; i++) {
    close(go[i]);
    close(done[i]);
  }
}

typedef struct worker {
  pthread_t thread;
  st_store *opened;
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
        i % 2 == 0 ? found_by_digest(self->opened, n, &got) : found_by_sub(self->opened, n, &got);
    bool same = found != ST_STORE_OK || strcmp(got.id, key_of(n).id) == 0;
    self->ok = self->ok && same && (found == ST_STORE_OK || found == ST_STORE_REVOKED);
  }
  return NULL;
}

static void many_threads_share_a_handle(void **state) {
  (void)state;
  worker workers[4];
  make_db(40);
  st_store *s = open_store();
  for (unsigned i = 0; i < 4; i++) {
    workers[i] = (worker){.opened = s, .id = i * 10};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, ask_a_lot, &workers[i]), 0);
  }
  for (unsigned n = 0; n < 20; n++) {
    assert_int_equal(delete_key(s, n), ST_STORE_OK);
    assert_true(st_store_ready(s, error));
  }
  for (unsigned i = 0; i < 4; i++) {
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_true(workers[i].ok);
  }
  assert_int_equal(count(s), 20);
  st_store_close(s);
}

static void *create_from_thread(void *argument) {
  worker *self = argument;
  char text[ST_ERROR_MAX];
  uint8_t digest[32];
  st_key key = key_of(self->id);
  self->ok = st_store_open(location, true, &self->opened, text) == ST_STORE_OK &&
             st_store_key_create(self->opened, CONTEXT_AT_US(NOW * INT64_C(1000000)), NULL, &key,
                                 fill_digest(self->id, digest), text) == ST_STORE_OK;
  if (!self->ok) {
    fprintf(stderr, "%s\n", text);
  }
  st_store_close(self->opened);
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
  for (int round = 0; round < 4; round++) {
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
    st_store *s = open_store();
    assert_int_equal(count(s), 6);
    st_store_close(s);
    assert_int_equal(kind->remove(), 0);
    assert_int_equal(kind->make(), 0);
  }
}

static void an_acknowledged_key_survives_a_kill(void **state) {
  (void)state;
  make_db(0);
  unsigned first = 0;
  for (int round = 0; round < 8; round++) {
    int acknowledged[2];
    unsigned last = first, n;
    assert_int_equal(pipe(acknowledged), 0);
    pid_t child = fork();
    if (child == 0) {
      st_store *s = NULL;
      close(acknowledged[0]); /* or it would outlive a parent that failed */
      REQUIRE(st_store_open(location, false, &s, error) == ST_STORE_OK);
      for (n = first;; n++) {
        REQUIRE(create(s, n) == ST_STORE_OK);
        REQUIRE(n % 2 == 0 || delete_key(s, n) == ST_STORE_OK);
        REQUIRE(write(acknowledged[1], &n, sizeof n) == sizeof n);
      }
    }
    close(acknowledged[1]);
    assert_int_equal(read(acknowledged[0], &n, sizeof n), sizeof n);
    struct timespec pause = {0, round * 600000L};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    while (read(acknowledged[0], &n, sizeof n) == sizeof n) {
      last = n;
    }
    close(acknowledged[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    st_store *s = open_store();
    for (n = first; n <= last; n++) {
      st_key got;
      st_store_status expected = n % 2 == 0 ? ST_STORE_OK : ST_STORE_REVOKED;
      assert_int_equal(found_by_digest(s, n, &got), expected);
      assert_int_equal(found_by_sub(s, n, &got), expected);
    }
    st_store_close(s);
    first = last + 10;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keeps_every_field),
      TEST(keeps_never),
      TEST(knows_what_is_not_there),
      TEST(reads_a_sub_by_its_length),
      TEST(tells_apart_keys_that_begin_alike),
      TEST(finds_disabled_keys),
      TEST(remembers_deleted_keys),
      TEST(remembers_replaced_subs),
      TEST(remembers_settings),
      TEST(refuses_what_is_taken),
      TEST(refuses_to_write_half_a_key),
      TEST(lists_in_pages),
      TEST(handles_see_each_other),
      TEST(processes_see_each_other),
      TEST(many_threads_share_a_handle),
      TEST(many_may_create_at_once),
      TEST(an_acknowledged_key_survives_a_kill),
  };
  return RUN_ON_EVERY_STORE(tests);
}
