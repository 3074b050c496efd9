/* What the revocation data lists: in step with what the store refuses, numbered, and purged no
 * sooner than tokens are dead.
 */
#include "store_contract.h"

#include <pthread.h>

#define MANY 64

static st_store_status create(unsigned n) {
  st_key key = row_of(n, "", "");
  return st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error);
}

static void lists_what_it_refuses(void **state) {
  (void)state;
  int64_t a = 0, b = 0, c = 0, d = 0, e = 0;
  assert_int_equal(listed_count(), 0);
  assert_ok(create(1));
  assert_int_equal(listed_count(), 0);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, &a, error));
  assert_int_equal(a, NOW * US);
  assert_true(listed(1));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, &b, error));
  assert_int_equal(b, a + 1); /* the clock stood */
  assert_false(listed(1));
  assert_ok(st_store_key_replace_sub(store, CONTEXT_AT(NOW - 9), id_of(1), sub_of(2), &c, error));
  assert_int_equal(c, b + 1); /* it went back */
  assert_true(listed(1));
  assert_false(listed(2));
  assert_ok(st_store_key_set_disabled(store, CONTEXT_AT(NOW + 1), id_of(1), true, &d, error));
  assert_int_equal(d, (NOW + 1) * US);
  assert_true(listed(1) && listed(2));
  assert_ok(st_store_key_delete(store, CONTEXT_AT(NOW + 2), id_of(1), &e, error));
  assert_int_equal(e, (NOW + 2) * US);
  assert_int_equal(sequence_now(), e);
  assert_int_equal(listed_count(), 2);
}

static void a_change_that_changes_nothing_takes_no_sequence(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  assert_ok(create(1));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, &a, error));
  assert_int_equal(a, sequence_now());
  assert_int_equal(a, 1);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, &a, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT_AT(NOW + 5), id_of(1), true, &b, error));
  assert_int_equal(a, b);
  assert_int_equal(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error), ST_STORE_NOT_FOUND);
  assert_int_equal(sequence_now(), a);
}

/* A key that is disabled stays so with its new sub. */
static void a_disabled_key_with_a_new_sub_stays_listed(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  assert_ok(create(1));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(2), &a, error));
  assert_true(listed(1) && listed(2));
  assert_int_equal(a, sequence_now());
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, &b, error));
  assert_true(listed(1) && !listed(2));
  assert_int_equal(b, a + 1);
}

static void tells_what_changed_since(void **state) {
  (void)state;
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 9;
  int64_t first = 0, second = 0;
  assert_ok(create(1));
  assert_ok(create(2));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), &first, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, &second, error));
  assert_ok(st_store_revocation_changes(store, 1, &current, &changes, &count, error));
  assert_int_equal(count, 2);
  assert_true(changes[0].listed && changes[1].listed);
  free(changes);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), false, NULL, error));
  assert_ok(st_store_revocation_changes(store, first, &current, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_false(changes[0].listed);
  assert_true(changes[0].hash == hash_of(2));
  free(changes);
  assert_ok(
      st_store_revocation_changes(store, current.sequence, &current, &changes, &count, error));
  assert_int_equal(count, 0);
  free(changes);
  assert_int_equal(
      st_store_revocation_changes(store, current.sequence + 1, &current, &changes, &count, error),
      ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_revocation_changes(store, 0, &current, &changes, &count, error),
                   ST_STORE_NOT_FOUND);
  assert_null(changes);
}

/* Whatever the clocks say, whoever makes the change: what lists or unlists takes a larger sequence
 * than all before, and any other change none.
 */
static void sequences_only_grow(void **state) {
  (void)state;
  enum { KEYS = 8, CHANGES = 300 };
  uint64_t random = 7;
  bool disabled[KEYS] = {false};
  unsigned subs = 100;
  st_store *handles[2] = {store, NULL};
  assert_ok(st_store_open(location, false, &handles[1], error));
  for (unsigned n = 0; n < KEYS; n++) assert_ok(create(n));
  int64_t last = sequence_now();
  for (int i = 0; i < CHANGES; i++) {
    random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
    unsigned n = (unsigned)(random >> 33) % KEYS, what = (unsigned)(random >> 40) % 3;
    st_store *by = handles[random >> 50 & 1];
    const st_audit_context *context = CONTEXT_AT(NOW + (int64_t)(random >> 44) % 2000 - 1000);
    int64_t sequence = 0;
    bool lists = true;
    if (what == 0) {
      assert_ok(st_store_key_replace_sub(by, context, id_of(n), sub_of(subs++), &sequence, error));
    } else if (what == 1) {
      disabled[n] = !disabled[n];
      assert_ok(st_store_key_set_disabled(by, context, id_of(n), disabled[n], &sequence, error));
    } else {
      lists = false; /* it is so already */
      assert_ok(st_store_key_set_disabled(by, context, id_of(n), disabled[n], &sequence, error));
    }
    assert_true(lists ? sequence > last : sequence == last);
    assert_int_equal(sequence_now(), sequence);
    last = sequence;
  }
  st_store_close(handles[1]);
  reopen();
  assert_int_equal(sequence_now(), last);
}

static void a_new_sequence_can_be_taken_alone(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, &a, error));
  assert_int_equal(a, NOW * US);
  assert_ok(st_store_bump_sequence(store, (NOW - DAY) * US, 0, &b, error));
  assert_int_equal(b, a + 1);
  assert_ok(st_store_bump_sequence(store, NOW * US + 70, 0, NULL, error));
  assert_int_equal(sequence_now(), NOW * US + 70);
}

/* By a clock and a monotonic one, in seconds. */
static void purge_at(int64_t now, int64_t monotonic) {
  assert_ok(st_store_purge(store, now * US, monotonic * US, NULL, error));
}

/* C13: revoked at NOW with lives of an hour: listed for that and two leeways of an hour. */
static void purges_no_sooner_than_tokens_are_dead(void **state) {
  (void)state;
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  assert_ok(st_store_set_setting(store, "max_life", 3600, error));
  assert_ok(create(1));
  assert_ok(create(2));
  purge_at(NOW, 50);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  purge_at(NOW + 10800, 50 + 10801);
  int64_t before = sequence_now();
  assert_true(listed(1));
  purge_at(NOW + 10801, 50 + 10801);
  assert_false(listed(1));
  assert_true(listed(2)); /* for as long as it is disabled */
  assert_int_equal(sequence_now(), (NOW + 10801) * US);
  assert_ok(st_store_revocation_changes(store, before, &current, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_false(changes[0].listed);
  free(changes);
  purge_at(NOW + 10802, 50 + 10802);
  assert_int_equal(sequence_now(), (NOW + 10801) * US); /* nothing went */
}

/* C5: a clock that is years ahead takes nothing off, however often a server starts. */
static void a_clock_that_is_ahead_purges_nothing(void **state) {
  (void)state;
  assert_ok(st_store_set_setting(store, "max_life", 10 * DAY, error));
  assert_ok(create(1));
  purge_at(NOW, 0);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  for (int i = 0; i < 1000; i++) {
    if (i % 50 == 0) reopen();
    purge_at(NOW + 4000 * DAY, 1000 + i % 50);
    assert_int_equal(listed_count(), 1);
  }
  /* What was lived through counts, whoever lived through it; the stops between do not. */
  for (int i = 0; i <= 10; i++) {
    reopen();
    purge_at(NOW + 4000 * DAY, 77);
    purge_at(NOW + 4000 * DAY, 77 + DAY + (i == 10 ? 7200 : 0) - 10);
    purge_at(NOW + 4000 * DAY, 77 + DAY + (i == 10 ? 7200 : 0));
    assert_int_equal(listed_count(), i < 10);
  }
}

/* C5: two servers live through the same hours. */
static void an_hour_of_two_servers_is_an_hour(void **state) {
  (void)state;
  st_store *other;
  int64_t lived = 0;
  assert_ok(st_store_open(location, false, &other, error));
  assert_ok(st_store_purge(store, NOW * US, 500 * US, NULL, error));
  assert_ok(st_store_purge(other, NOW * US, 900 * US, NULL, error)); /* of another machine */
  for (int64_t i = 1; i <= 24; i++) {
    assert_ok(st_store_purge(store, NOW * US, (500 + 3600 * i) * US, NULL, error));
    assert_ok(st_store_purge(other, NOW * US, (900 + 3600 * i) * US, NULL, error));
    assert_ok(st_store_get_setting(store, "lived", &lived, error));
    assert_int_equal(lived, 3600 * i);
  }
  st_store_close(other);
  /* Nor does a clock that goes back, or parts of seconds that nobody counts, add anything. */
  assert_ok(st_store_purge(store, NOW * US, 1, NULL, error));
  for (int64_t i = 1; i <= 10; i++) {
    assert_ok(st_store_purge(store, NOW * US, (500 + 3600 * 24) * US + i * 100000, NULL, error));
  }
  assert_ok(st_store_get_setting(store, "lived", &lived, error));
  assert_int_equal(lived, 3600 * 24 + 1);
}

/* C5: signed by a clock that was ahead, revoked when it was right again. */
static void what_a_clock_ahead_has_signed_stays_listed(void **state) {
  (void)state;
  int64_t ahead = NOW + 700 * DAY;
  st_key_use use = {.at = ahead};
  assert_ok(st_store_set_setting(store, "max_life", 10 * DAY, error));
  assert_ok(create(1));
  assert_ok(create(2));
  purge_at(NOW, 0);
  snprintf(use.id, sizeof use.id, "%s", id_of(1));
  assert_ok(st_store_key_mark_used(store, &use, 1, error));
  assert_ok(st_store_key_rename(store, CONTEXT_AT(ahead), id_of(2), "x", error));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  purge_at(NOW + 709 * DAY, 709 * DAY);
  assert_int_equal(listed_count(), 2);
  purge_at(NOW + 711 * DAY, 711 * DAY);
  assert_int_equal(listed_count(), 0);
}

/* C6: the longest life that was ever given, whoever says a shorter one afterwards. */
static void purges_by_the_longest_life_ever(void **state) {
  (void)state;
  int64_t life = 0;
  assert_ok(create(1));
  assert_ok(st_store_raise_setting(store, "max_life", 365 * DAY, error));
  assert_ok(st_store_raise_setting(store, "max_life", DAY, error));
  assert_ok(st_store_get_setting(store, "max_life", &life, error));
  assert_int_equal(life, 365 * DAY);
  purge_at(NOW, 0);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  for (int64_t day = 1; day <= 365; day++) {
    purge_at(NOW + day * DAY, day * DAY);
    assert_int_equal(listed_count(), 1);
  }
  purge_at(NOW + 365 * DAY + 7200, 365 * DAY + 7200);
  assert_int_equal(listed_count(), 1);
  purge_at(NOW + 365 * DAY + 7201, 365 * DAY + 7201);
  assert_int_equal(listed_count(), 0);
}

/* C8: which sequences were given here; those that are too old to tell pass. */
static void knows_which_sequences_it_issued(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  assert_ok(st_store_issued_sequence(store, 1, error));
  assert_int_equal(st_store_issued_sequence(store, 2, error), ST_STORE_NOT_FOUND);
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, &a, error));
  assert_ok(create(1));
  assert_ok(st_store_key_delete(store, CONTEXT_AT(NOW + 5), id_of(1), &b, error));
  assert_ok(st_store_issued_sequence(store, a, error));
  assert_ok(st_store_issued_sequence(store, b, error));
  assert_int_equal(st_store_issued_sequence(store, a + 1, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_issued_sequence(store, b + 1, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_issued_sequence(store, INT64_MAX, error), ST_STORE_NOT_FOUND);
}

static void every_store_has_a_hash_key_of_its_own(void **state) {
  (void)state;
  st_revocation_state one, two;
  char beside[sizeof location];
  st_store *other;
  kind->locate(1, beside);
  assert_ok(st_store_revocation_state(store, &one, error));
  assert_ok(st_store_open(beside, true, &other, error));
  assert_ok(st_store_revocation_state(other, &two, error));
  assert_memory_not_equal(one.hash_key, two.hash_key, sizeof one.hash_key);
  st_store_close(other);
}

static void *delete_some(void *from) {
  char mine[ST_ERROR_MAX];
  unsigned first = *(unsigned *)from;
  for (unsigned n = first; n < first + MANY; n++) {
    if (st_store_key_delete(store, CONTEXT, id_of(n), NULL, mine) != ST_STORE_OK) return from;
  }
  return NULL;
}

/* Two writers at once, and a reader that adds up changes: it misses none. */
static void a_reader_misses_nothing(void **state) {
  (void)state;
  pthread_t thread;
  unsigned first = MANY;
  uint32_t seen = 0;
  void *failed = NULL;
  int64_t since = 1;
  for (unsigned n = 0; n < 2 * MANY; n++) assert_ok(create(n));
  assert_int_equal(pthread_create(&thread, NULL, delete_some, &first), 0);
  for (unsigned n = 0; n < MANY; n++) {
    st_revocation_state current;
    st_revocation_change *changes = NULL;
    uint32_t count = 0;
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
    assert_ok(st_store_key_delete(store, CONTEXT, id, NULL, error));
    assert_ok(st_store_revocation_changes(store, since, &current, &changes, &count, error));
    assert_true(count >= 1);
    seen += count;
    since = current.sequence;
    free(changes);
  }
  assert_int_equal(pthread_join(thread, &failed), 0);
  assert_null(failed);
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  assert_ok(st_store_revocation_changes(store, since, &current, &changes, &count, error));
  free(changes);
  assert_int_equal(seen + count, 2 * MANY);
  assert_int_equal(current.sequence, NOW * US + 2 * MANY - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lists_what_it_refuses),
      TEST(a_change_that_changes_nothing_takes_no_sequence),
      TEST(a_disabled_key_with_a_new_sub_stays_listed),
      TEST(tells_what_changed_since),
      TEST(sequences_only_grow),
      TEST(a_new_sequence_can_be_taken_alone),
      TEST(purges_no_sooner_than_tokens_are_dead),
      TEST(a_clock_that_is_ahead_purges_nothing),
      TEST(an_hour_of_two_servers_is_an_hour),
      TEST(what_a_clock_ahead_has_signed_stays_listed),
      TEST(purges_by_the_longest_life_ever),
      TEST(knows_which_sequences_it_issued),
      TEST(every_store_has_a_hash_key_of_its_own),
      TEST(a_reader_misses_nothing),
  };
  return RUN_ON_EVERY_STORE(tests);
}
