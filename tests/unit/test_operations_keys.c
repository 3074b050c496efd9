/* What the service may do with keys, through a real store: each function reaches its own, with this
 * machine's time and what it draws.
 */
#include "operations/keys.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/hmac.h"
#include "domain/store_search.h"
#include "os/clock.h"
#include "os/file.h"
#include "sqlite_query.h"

static st_key_changes changes;

/* In place of libc's: the same bytes each time, of so many calls. */
static int same_bytes;

ssize_t getrandom(void *buffer, size_t len, unsigned flags) {
  if (same_bytes <= 0) return syscall(SYS_getrandom, buffer, len, flags);
  same_bytes--;
  memset(buffer, 7, len);
  return (ssize_t)len;
}

static const st_audit_context by_ann = {.now_us = 5, .who = "person ann", .from = "192.0.2.1"};

static st_store_status create(const st_grantor *grantor, const char *permissions, st_key *key,
                              char *whole) {
  memset(key, 0, sizeof *key);
  key->expires_at = ST_NEVER;
  snprintf(key->name, sizeof key->name, "mine");
  snprintf(key->owner, sizeof key->owner, "ann");
  snprintf(key->permissions, sizeof key->permissions, "%s", permissions);
  return changes.create(changes.context, &by_ann, grantor, key, whole);
}

static int begin(void **state) {
  if (setup(state) != 0) return -1;
  changes = st_keys_changes_of(store);
  return 0;
}

static void makes_a_key_that_opens(void **state) {
  (void)state;
  st_key key, got;
  char whole[ST_KEY_LEN + 1];
  uint8_t digest[32];
  int64_t before = st_clock_now();
  make_user(1, "ann", "a,b");
  assert_int_equal(create(grantor_of(1), "a", &key, whole), ST_STORE_OK);
  assert_int_equal(strlen(whole), ST_KEY_LEN);
  assert_memory_equal(whole, key.id, ST_KEY_ID_LEN);
  st_sha256(whole, ST_KEY_LEN, digest);
  st_keys keys = st_keys_of(store);
  assert_int_equal(keys.by_digest(keys.store, digest, &got), ST_STORE_OK);
  assert_string_equal(got.sub, key.sub);
  assert_string_equal(got.owner, "ann");
  assert_true(got.created_at >= before && got.created_at <= st_clock_now());
  st_audit_line line = last_line();
  assert_string_equal(line.action, "key.create");
  assert_string_equal(line.who, by_ann.who);
  assert_string_equal(line.from, by_ann.from);
  assert_true(line.at >= before); /* not the time that the caller brings */
}

static void a_refusal_leaves_no_key_behind(void **state) {
  (void)state;
  st_key key;
  char whole[ST_KEY_LEN + 1], nothing[ST_KEY_LEN + 1] = {0};
  make_user(1, "ann", "a,b");
  assert_int_equal(create(grantor_of(1), "a,c", &key, whole), ST_STORE_DENIED);
  assert_memory_equal(whole, nothing, sizeof whole);
  assert_int_equal(create(grantor_of(2), "a", &key, whole), ST_STORE_DENIED);
}

static void finds_lists_and_renames(void **state) {
  (void)state;
  st_key got, page[4];
  size_t count = 0;
  make_key(1, "ann", "a");
  make_key(2, "bob", "a");
  assert_int_equal(changes.find(changes.context, id_of(1), &got), ST_STORE_OK);
  assert_string_equal(got.owner, "ann");
  assert_int_equal(changes.find(changes.context, id_of(3), &got), ST_STORE_NOT_FOUND);
  subtoken_text sub = {sub_of(2), ST_SUB_LEN};
  assert_int_equal(changes.find_sub(changes.context, sub, &got), ST_STORE_OK);
  assert_string_equal(got.id, id_of(2));
  sub.len--;
  assert_int_equal(changes.find_sub(changes.context, sub, &got), ST_STORE_NOT_FOUND);
  assert_int_equal(changes.list(changes.context, NULL, "", 4, page, &count), ST_STORE_OK);
  assert_int_equal(count, 2);
  assert_int_equal(changes.list(changes.context, "bob", "", 4, page, &count), ST_STORE_OK);
  assert_int_equal(count, 1);
  assert_int_equal(changes.list(changes.context, NULL, id_of(1), 4, page, &count), ST_STORE_OK);
  assert_int_equal(count, 1);
  assert_int_equal(changes.rename(changes.context, &by_ann, id_of(1), "other"), ST_STORE_OK);
  assert_int_equal(changes.find(changes.context, id_of(1), &got), ST_STORE_OK);
  assert_string_equal(got.name, "other");
  assert_int_equal(changes.rename(changes.context, &by_ann, id_of(3), "x"), ST_STORE_NOT_FOUND);
}

static void disables_revokes_and_removes(void **state) {
  (void)state;
  st_key got;
  int64_t before = st_clock_now_us(), sequence = 0, next = 0;
  make_key(1, "ann", "a");
  assert_int_equal(changes.set_disabled(changes.context, &by_ann, id_of(1), true, &sequence),
                   ST_STORE_OK);
  assert_true(sequence >= before);
  assert_int_equal(row_by_sub(1, &got), ST_STORE_OK);
  assert_true(got.disabled);
  assert_int_equal(changes.revoke_subtokens(changes.context, &by_ann, id_of(1), &next),
                   ST_STORE_OK);
  assert_true(next > sequence);
  assert_false(alive(1));
  assert_int_equal(changes.find(changes.context, id_of(1), &got), ST_STORE_OK);
  assert_string_not_equal(got.sub, sub_of(1));
  assert_int_equal(changes.remove(changes.context, &by_ann, id_of(1), &sequence), ST_STORE_OK);
  assert_true(sequence > next);
  assert_int_equal(changes.remove(changes.context, &by_ann, id_of(1), &sequence),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(changes.revoke_subtokens(changes.context, &by_ann, id_of(1), &next),
                   ST_STORE_NOT_FOUND);
}

static void gives_a_key_another_secret(void **state) {
  (void)state;
  st_key key, got;
  char whole[ST_KEY_LEN + 1], other[ST_KEY_LEN + 1];
  uint8_t digest[32], before[32];
  int64_t start = st_clock_now();
  st_keys keys = st_keys_of(store);
  assert_int_equal(create(NULL, "a", &key, whole), ST_STORE_OK);
  st_sha256(whole, ST_KEY_LEN, before);
  assert_int_equal(changes.rotate(changes.context, &by_ann, NULL, key.id, 3600, &got, other),
                   ST_STORE_OK);
  assert_true(st_key_shaped((subtoken_text){other, strlen(other)}));
  assert_memory_equal(other, whole, ST_KEY_ID_LEN);
  assert_string_not_equal(other, whole);
  st_sha256(other, ST_KEY_LEN, digest);
  assert_int_equal(keys.by_digest(keys.store, digest, &got), ST_STORE_OK);
  assert_string_equal(got.sub, key.sub);
  assert_int_equal(keys.by_digest(keys.store, before, &got), ST_STORE_OK);
  assert_true(got.by_old_digest);
  assert_in_range(got.old_until, start + 3600, st_clock_now() + 3600);
  assert_int_equal(changes.find(changes.context, key.id, &got), ST_STORE_OK);
  assert_in_range(got.rotated_at, start, st_clock_now());
  assert_int_equal(changes.rotate(changes.context, &by_ann, NULL, key.id, 0, &got, whole),
                   ST_STORE_OK);
  assert_int_equal(keys.by_digest(keys.store, digest, &got), ST_STORE_REVOKED);
  assert_int_equal(keys.by_digest(keys.store, before, &got), ST_STORE_REVOKED);
  const char *const none[] = {"", "x", id_of(9), other};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    memset(whole, 'x', sizeof whole);
    assert_int_equal(changes.rotate(changes.context, &by_ann, NULL, none[i], 0, &got, whole),
                     ST_STORE_NOT_FOUND);
    assert_int_equal(whole[0], 0);
  }
}

static void revokes_a_token(void **state) {
  (void)state;
  int64_t sequence = 0;
  bool revoked = false;
  st_keys keys = st_keys_of(store);
  subtoken_text tid = ST_TEXT("0123456789abcdef");
  st_key_token token = {.sub = {sub_of(1), ST_SUB_LEN}, .tid = tid, .exp = st_clock_now()};
  make_key(1, "ann", "a");
  assert_int_equal(changes.revoke_token(changes.context, &by_ann, &token, &sequence), ST_STORE_OK);
  assert_true(sequence >= st_clock_now_us() - INT64_C(60000000));
  assert_int_equal(keys.tokens_revoked(keys.store, &tid, 1, &revoked), ST_STORE_OK);
  assert_true(revoked);
  assert_string_equal(last_line().who, by_ann.who);
  int64_t last = 0;
  assert_int_equal(changes.last_sequence(changes.context, &last), ST_STORE_OK);
  assert_true(last == sequence);
  token.sub.len--;
  assert_int_equal(changes.revoke_token(changes.context, &by_ann, &token, &sequence),
                   ST_STORE_NOT_FOUND);
}

/* Ids are drawn again when they are taken; who draws the same for ever is told, and gets no key. */
static void an_id_that_is_taken_is_drawn_again(void **state) {
  (void)state;
  st_key key, other, got;
  char whole[ST_KEY_LEN + 1], again[ST_KEY_LEN + 1], error_text[ST_ERROR_MAX] = "";
  int64_t sequence = 0;
  same_bytes = 1000;
  assert_int_equal(create(NULL, "a", &key, whole), ST_STORE_OK);
  assert_int_equal(create(NULL, "a", &other, again), ST_STORE_FAILED);
  assert_int_equal(again[0], 0);
  assert_int_equal(st_keys_create(store, &by_ann, NULL, &other, again, error_text),
                   ST_STORE_FAILED);
  assert_non_null(strstr(error_text, "unique id"));
  same_bytes = 1; /* some of it is new */
  assert_int_equal(create(NULL, "a", &other, again), ST_STORE_OK);
  same_bytes = 1000;
  assert_int_equal(changes.revoke_subtokens(changes.context, &by_ann, other.id, &sequence),
                   ST_STORE_FAILED);
  assert_int_equal(changes.rotate(changes.context, &by_ann, NULL, key.id, 0, &got, again),
                   ST_STORE_FAILED);
  assert_int_equal(again[0], 0);
  same_bytes = 0;
  st_keys keys = st_keys_of(store);
  uint8_t digest[32];
  st_sha256(whole, ST_KEY_LEN, digest);
  assert_int_equal(keys.by_digest(keys.store, digest, &got), ST_STORE_OK);
}

/* A key that somebody else has drawn, of which only the hash is known here. */
static void registers_the_hash_of_a_key(void **state) {
  (void)state;
  st_key key = {.expires_at = ST_NEVER}, got;
  uint8_t digest[32] = {1};
  st_keys keys = st_keys_of(store);
  snprintf(key.permissions, sizeof key.permissions, "a");
  assert_int_equal(st_keys_register(store, &by_ann, &key, digest, error), ST_STORE_OK);
  assert_int_equal(keys.by_digest(keys.store, digest, &got), ST_STORE_OK);
  assert_string_equal(got.id, key.id);
  assert_int_equal(st_keys_register(store, &by_ann, &key, digest, error), ST_STORE_EXISTS);
}

static void searches_among_keys(void **state) {
  (void)state;
  st_key found[4];
  st_key_filter filter = {.owner = "bob"};
  st_search_page page = {.limit = 4, .rows = 100};
  make_key(1, "ann", "a");
  make_key(2, "bob", "a");
  assert_int_equal(changes.search(changes.context, &filter, "", found, &page), ST_STORE_OK);
  assert_int_equal(page.count, 1);
  assert_string_equal(found[0].id, id_of(2));
}

static void a_store_that_cannot_write_changes_nothing(void **state) {
  (void)state;
  st_key key;
  char whole[ST_KEY_LEN + 1], nothing[ST_KEY_LEN + 1] = {0};
  sql("CREATE TRIGGER full BEFORE INSERT ON keys BEGIN SELECT raise(ABORT, 'full'); END");
  assert_int_equal(create(NULL, "a", &key, whole), ST_STORE_FAILED);
  assert_memory_equal(whole, nothing, sizeof whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(makes_a_key_that_opens, begin, teardown),
      cmocka_unit_test_setup_teardown(a_refusal_leaves_no_key_behind, begin, teardown),
      cmocka_unit_test_setup_teardown(finds_lists_and_renames, begin, teardown),
      cmocka_unit_test_setup_teardown(disables_revokes_and_removes, begin, teardown),
      cmocka_unit_test_setup_teardown(gives_a_key_another_secret, begin, teardown),
      cmocka_unit_test_setup_teardown(revokes_a_token, begin, teardown),
      cmocka_unit_test_setup_teardown(an_id_that_is_taken_is_drawn_again, begin, teardown),
      cmocka_unit_test_setup_teardown(registers_the_hash_of_a_key, begin, teardown),
      cmocka_unit_test_setup_teardown(searches_among_keys, begin, teardown),
      cmocka_unit_test_setup_teardown(a_store_that_cannot_write_changes_nothing, begin, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
