/* C7, C8: what another history listed is listed here, too; and a sub that was never made here. */
#include "restored.h"

static const uint8_t other_key[SUBTOKEN_HASH_KEY_LEN] = {9, 8, 7};

static void what_is_in_force_here_and_was_not_there(void **state) {
  (void)state;
  static const unsigned rows[] = {1, 2, 3, 4, 6};
  st_key key;
  st_restore_report report;
  int64_t life = 0;
  make_user(1, "ann", "a");
  make_key(2, "ann", "a");
  make_key(3, "", "a");
  make_key(5, "", "a");
  assert_ok(begin_session(4, grantor_of(1), NOW + 1000)); /* of whom that is disabled */
  assert_ok(begin_session(6, grantor_of(5), NOW + 1000)); /* ended there by itself */
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(3), NULL, error));
  int64_t before = sequence_now();
  assert_ok(take_over(rows, 5, LATER, listing_now().hash_key, &report));
  assert_int_equal(report.before, before);
  assert_int_equal(report.sequence, LATER + 1);
  assert_int_equal(report.keys, 2);
  assert_int_equal(report.sessions, 2);
  assert_int_equal(report.listed, 1);
  for (unsigned n = 1; n <= 4; n++) assert_true(listed(n));
  assert_true(listed(6) && !listed(5) && lists(4711));
  assert_int_equal(row_by_sub(1, &key), ST_STORE_OK);
  assert_true(key.disabled);
  assert_int_equal(row_by_sub(2, &key), ST_STORE_OK);
  assert_true(key.disabled);
  assert_false(alive(4) || alive(6));
  assert_true(alive(5));
  assert_ok(st_store_get_setting(store, "max_life", &life, error));
  assert_int_equal(life, 400 * 86400);
  /* Edges that follow it, or lagged behind, are answered; nobody else. */
  assert_ok(st_store_issued_sequence(store, LATER, error));
  assert_ok(st_store_issued_sequence(store, LATER - 3, error));
  assert_ok(st_store_issued_sequence(store, report.sequence, error));
  assert_int_equal(st_store_issued_sequence(store, report.sequence + 1, error), ST_STORE_NOT_FOUND);
  assert_line("revocations.restore", "1700000000005000",
              "the database was at 1700000000000000; listed again 1; keys and users disabled 2; "
              "sessions ended 2");
  /* Once more changes nothing but the sequence. */
  assert_ok(take_over(rows, 5, LATER, listing_now().hash_key, &report));
  assert_true(report.listed == 0 && report.keys == 0 && report.sessions == 0);
  /* Whoever knows better enables it. */
  assert_ok(st_store_key_set_disabled(store, CONTEXT_AT(NOW + 1), id_of(2), false, NULL, error));
  assert_false(listed(2));
  assert_ok(take_over(rows, 5, LATER, listing_now().hash_key, &report));
  assert_true(!listed(2) && report.keys == 0); /* this store knows more of it */
}

static void another_hash_key(void **state) {
  (void)state;
  static const unsigned rows[] = {1, 2};
  st_restore_report report;
  st_revocation_change *changes = NULL;
  st_revocation_state current;
  uint32_t count = 0;
  make_key(1, "", "a");
  make_key(3, "", "a");
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(3), NULL, error));
  int64_t before = sequence_now();
  assert_ok(take_over(rows, 2, LATER, other_key, &report));
  current = listing_now();
  assert_memory_equal(current.hash_key, other_key, sizeof other_key);
  assert_true(listed(1) && listed(2) && listed(3) && lists(4711));
  /* What edges have cannot be brought here by changes. */
  assert_int_equal(st_store_revocation_changes(store, before, &current, &changes, &count, error),
                   ST_STORE_NOT_FOUND);
  /* Hashes without a sub cannot follow to a third key. */
  uint8_t third[SUBTOKEN_HASH_KEY_LEN] = {1};
  assert_int_equal(take_over(rows, 2, LATER + 9, third, &report), ST_STORE_DENIED);
  assert_non_null(strstr(error, "another hash key"));
  assert_memory_equal(listing_now().hash_key, other_key, sizeof other_key);
  assert_int_equal(take_over(rows, 2, ST_RESTORE_SEQUENCE_MAX + 1, other_key, &report),
                   ST_STORE_FAILED);
}

/* Those without a sub go when no token can need them, as all do. */
static void what_was_taken_over_goes_in_time(void **state) {
  (void)state;
  static const unsigned rows[] = {7};
  st_restore_report report;
  assert_ok(st_store_purge(store, NOW * US, US, NULL, error));
  assert_ok(take_over(rows, 1, LATER, listing_now().hash_key, &report));
  assert_int_equal(report.listed, 2);
  int64_t wait = 400 * 86400 + 7200;
  assert_ok(st_store_purge(store, (NOW + wait) * US, (1 + wait) * US, NULL, error));
  assert_true(listed(7));
  assert_ok(st_store_purge(store, (NOW + wait + 1) * US, (1 + wait + 1) * US, NULL, error));
  assert_false(listed(7) || lists(4711));
}

static void a_sub_that_was_never_made(void **state) {
  (void)state;
  static const char *const subs[] = {"u", "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k",
                                     "0123456789012345678901234567890123456789012345678901234567"};
  char id[ST_KEY_ID_LEN + 1];
  int64_t sequence = 0, life = 0;
  make_key(1, "", "a");
  for (size_t i = 0; i < 3; i++) {
    subtoken_text sub = {subs[i], strlen(subs[i])};
    assert_ok(st_store_revoke_sub(store, CONTEXT_AT(NOW + (int64_t)i), sub, NOW + 5, 500 * 86400,
                                  id, &sequence, error));
    assert_int_equal(sequence, (NOW + (int64_t)i) * US);
    assert_true(lists(subtoken_revocations_hash(listing_now().hash_key, sub)));
    assert_line("sub.revoke", subs[i], "no key of this database has it");
    assert_int_equal(st_store_revoke_sub(store, CONTEXT, sub, NOW, 1, id, &sequence, error),
                     ST_STORE_DENIED);
  }
  assert_ok(st_store_get_setting(store, "max_life", &life, error));
  assert_int_equal(life, 500 * 86400);
  subtoken_text known = {sub_of(1), ST_SUB_LEN};
  assert_int_equal(st_store_revoke_sub(store, CONTEXT, known, NOW, 1, id, &sequence, error),
                   ST_STORE_EXISTS);
  assert_string_equal(id, id_of(1));
  assert_false(listed(1));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_int_equal(st_store_revoke_sub(store, CONTEXT, known, NOW, 1, id, &sequence, error),
                   ST_STORE_DENIED);
  assert_int_equal(
      st_store_revoke_sub(store, CONTEXT, (subtoken_text){"", 0}, NOW, 1, id, NULL, error),
      ST_STORE_FAILED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_is_in_force_here_and_was_not_there),
      TEST(another_hash_key),
      TEST(what_was_taken_over_goes_in_time),
      TEST(a_sub_that_was_never_made),
  };
  return RUN_ON_EVERY_STORE(tests);
}
