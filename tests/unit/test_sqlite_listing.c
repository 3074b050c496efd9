/* What the store lists for the revocation data: in step with what it refuses, numbered, and
 * purged no sooner than tokens are dead.
 */
#include "domain/store.h"
#include "os/error.h"

#include "run_tests.h"

#include <ftw.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "old_schemas.h"

#define NOW INT64_C(1700000000)
#define US INT64_C(1000000)
#define DAY INT64_C(86400)
#define MANY 64

/* Who changes it, when. */
#define AT(us) (&(st_audit_context){.now_us = (us), .who = "key 0", .from = "127.0.0.1"})

static char home[256];
static char db[300];
static char error[ST_ERROR_MAX];
static st_store *store;

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static int setup(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-listing-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(db, sizeof db, "%s/subtoken.db", home);
  return st_store_open(db, true, &store, error) == ST_STORE_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  st_store_close(store);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void good(st_store_status stored) {
  if (stored != ST_STORE_OK) fail_msg("%d: %s", (int)stored, error);
}

static const char *sub_of(unsigned n) {
  static char subs[8][ST_SUB_LEN + 1];
  static unsigned next;
  char *sub = subs[next++ % 8];
  snprintf(sub, sizeof subs[0], "%043u", n);
  return sub;
}

static const char *id_of(unsigned n) {
  static char ids[8][ST_KEY_ID_LEN + 1];
  static unsigned next;
  char *id = ids[next++ % 8];
  snprintf(id, sizeof ids[0], "%08X-ABCD-ABCD-ABCD-%012X", n, n);
  return id;
}

static st_store_status create(st_store *in, unsigned n, const char *sub) {
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  uint8_t digest[32];
  memset(digest, 0xd1, sizeof digest);
  memcpy(digest, &n, sizeof n);
  memcpy(key.id, id_of(n), sizeof key.id);
  memcpy(key.sub, sub, sizeof key.sub);
  return st_store_key_create(in, AT(NOW * US), NULL, &key, digest, error);
}

static st_revocation_state method(void) {
  st_revocation_state listing;
  good(st_store_revocation_state(store, &listing, error));
  return listing;
}

static uint64_t hash_of(const char *sub) {
  st_revocation_state listing = method();
  return subtoken_revocations_hash(listing.hash_key, (subtoken_text){sub, strlen(sub)});
}

/* Is it listed? Also: once only. */
static bool listed(const char *sub) {
  st_revocation_state listing;
  uint64_t *hashes = NULL, wanted = hash_of(sub);
  uint32_t count = 0, found = 0;
  good(st_store_revoked_hashes(store, &listing, &hashes, &count, error));
  for (uint32_t i = 0; i < count; i++) found += hashes[i] == wanted;
  free(hashes);
  assert_true(found <= 1);
  return found == 1;
}

static uint32_t listed_count(void) {
  st_revocation_state listing;
  uint64_t *hashes = NULL;
  uint32_t count = 0;
  good(st_store_revoked_hashes(store, &listing, &hashes, &count, error));
  assert_non_null(hashes);
  free(hashes);
  return count;
}

static void lists_what_it_refuses(void **state) {
  (void)state;
  int64_t a = 0, b = 0, c = 0, d = 0, e = 0;
  assert_int_equal(listed_count(), 0);
  good(create(store, 1, sub_of(1)));
  assert_int_equal(listed_count(), 0);
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), true, &a, error));
  assert_int_equal(a, NOW * US);
  assert_true(listed(sub_of(1)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), false, &b, error));
  assert_int_equal(b, a + 1); /* the clock stood */
  assert_false(listed(sub_of(1)));
  good(st_store_key_replace_sub(store, AT((NOW - 9) * US), id_of(1), sub_of(2), &c, error));
  assert_int_equal(c, b + 1); /* it went back */
  assert_true(listed(sub_of(1)));
  assert_false(listed(sub_of(2)));
  good(st_store_key_set_disabled(store, AT((NOW + 1) * US), id_of(1), true, &d, error));
  assert_int_equal(d, (NOW + 1) * US);
  assert_true(listed(sub_of(1)) && listed(sub_of(2)));
  good(st_store_key_delete(store, AT((NOW + 2) * US), id_of(1), &e, error));
  assert_int_equal(e, (NOW + 2) * US);
  assert_int_equal(method().sequence, e);
  assert_int_equal(listed_count(), 2);
}

static void a_change_that_changes_nothing_takes_no_sequence(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  good(create(store, 1, sub_of(1)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), false, &a, error));
  assert_int_equal(a, method().sequence);
  assert_int_equal(a, 1);
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), true, &a, error));
  good(st_store_key_set_disabled(store, AT((NOW + 5) * US), id_of(1), true, &b, error));
  assert_int_equal(a, b);
  assert_int_equal(st_store_key_delete(store, AT(NOW * US), id_of(2), NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(method().sequence, a);
}

/* A key that is disabled stays so with its new sub. */
static void a_disabled_key_with_a_new_sub_stays_listed(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  good(create(store, 1, sub_of(1)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), true, NULL, error));
  good(st_store_key_replace_sub(store, AT(NOW * US), id_of(1), sub_of(2), &a, error));
  assert_true(listed(sub_of(1)) && listed(sub_of(2)));
  assert_int_equal(a, method().sequence);
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), false, &b, error));
  assert_true(listed(sub_of(1)) && !listed(sub_of(2)));
  assert_int_equal(b, a + 1);
}

static void sql(const char *text) {
  sqlite3 *other = NULL;
  char *problem = NULL;
  assert_int_equal(sqlite3_open(db, &other), SQLITE_OK);
  if (sqlite3_exec(other, text, NULL, NULL, &problem) != SQLITE_OK) fail_msg("%s", problem);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* A sub drawn anew never falls on a hash that is listed. */
static void a_new_sub_never_falls_on_a_listed_hash(void **state) {
  (void)state;
  char text[256];
  good(create(store, 1, sub_of(1)));
  snprintf(text, sizeof text, "INSERT INTO listed VALUES ('%s', %lld, 5, 0)", sub_of(9),
           (long long)hash_of(sub_of(2)));
  sql(text);
  assert_int_equal(create(store, 2, sub_of(2)), ST_STORE_EXISTS);
  assert_int_equal(st_store_key_replace_sub(store, AT(NOW * US), id_of(1), sub_of(2), NULL, error),
                   ST_STORE_EXISTS);
  assert_false(listed(sub_of(1))); /* rolled back whole */
  sql("DELETE FROM listed");
  good(create(store, 2, sub_of(2)));
}

/* Two subs with one hash: it stays until both are off. */
static void a_hash_that_two_subs_share_is_listed_once(void **state) {
  (void)state;
  char text[256];
  st_revocation_state listing;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  good(create(store, 1, sub_of(1)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), true, NULL, error));
  snprintf(text, sizeof text, "INSERT INTO listed VALUES ('%s', %lld, %lld, 0)", sub_of(9),
           (long long)hash_of(sub_of(1)), (long long)NOW);
  sql(text);
  assert_true(listed(sub_of(1)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(1), false, NULL, error));
  assert_true(listed(sub_of(1)));
  good(st_store_revocation_changes(store, 1, &listing, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_true(changes[0].listed);
  free(changes);
}

static void tells_what_changed_since(void **state) {
  (void)state;
  st_revocation_state listing;
  st_revocation_change *changes = NULL;
  uint32_t count = 9;
  int64_t first = 0, second = 0;
  good(create(store, 1, sub_of(1)));
  good(create(store, 2, sub_of(2)));
  good(st_store_key_delete(store, AT(NOW * US), id_of(1), &first, error));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(2), true, &second, error));
  good(st_store_revocation_changes(store, 1, &listing, &changes, &count, error));
  assert_int_equal(count, 2);
  assert_true(changes[0].listed && changes[1].listed);
  free(changes);
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(2), false, NULL, error));
  good(st_store_revocation_changes(store, first, &listing, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_false(changes[0].listed);
  assert_true(changes[0].hash == hash_of(sub_of(2)));
  free(changes);
  good(st_store_revocation_changes(store, listing.sequence, &listing, &changes, &count, error));
  assert_int_equal(count, 0);
  free(changes);
  assert_int_equal(
      st_store_revocation_changes(store, listing.sequence + 1, &listing, &changes, &count, error),
      ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_revocation_changes(store, 0, &listing, &changes, &count, error),
                   ST_STORE_NOT_FOUND);
  assert_null(changes);
}

static void a_bump_advances_the_sequence(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  good(st_store_bump_sequence(store, NOW * US, 0, &a, error));
  assert_int_equal(a, NOW * US);
  good(st_store_bump_sequence(store, (NOW - DAY) * US, 0, &b, error));
  assert_int_equal(b, a + 1);
  good(st_store_bump_sequence(store, NOW * US + 70, 0, NULL, error));
  assert_int_equal(method().sequence, NOW * US + 70);
}

/* By a clock and a monotonic one, in seconds. */
static void purge_at(int64_t now, int64_t monotonic) {
  good(st_store_purge(store, now * US, monotonic * US, error));
}

/* C13: revoked at NOW with lives of an hour: listed for that and two leeways of an hour. */
static void purges_no_sooner_than_tokens_are_dead(void **state) {
  (void)state;
  st_revocation_state before, listing;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  good(st_store_set_setting(store, "max_life", 3600, error));
  good(create(store, 1, sub_of(1)));
  good(create(store, 2, sub_of(2)));
  purge_at(NOW, 50);
  good(st_store_key_delete(store, AT(NOW * US), id_of(1), NULL, error));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(2), true, NULL, error));
  purge_at(NOW + 10800, 50 + 10801);
  before = method();
  assert_true(listed(sub_of(1)));
  purge_at(NOW + 10801, 50 + 10801);
  assert_false(listed(sub_of(1)));
  assert_true(listed(sub_of(2))); /* for as long as it is disabled */
  assert_int_equal(method().sequence, (NOW + 10801) * US);
  good(st_store_revocation_changes(store, before.sequence, &listing, &changes, &count, error));
  assert_int_equal(count, 1);
  assert_false(changes[0].listed);
  free(changes);
  purge_at(NOW + 10802, 50 + 10802);
  assert_int_equal(method().sequence, (NOW + 10801) * US); /* nothing went */
}

static void reopened(void) {
  st_store_close(store);
  good(st_store_open(db, false, &store, error));
}

/* C5: a clock that is years ahead takes nothing off, however often a server starts. */
static void a_clock_that_is_ahead_purges_nothing(void **state) {
  (void)state;
  good(st_store_set_setting(store, "max_life", 10 * DAY, error));
  good(create(store, 1, sub_of(1)));
  purge_at(NOW, 0);
  good(st_store_key_delete(store, AT(NOW * US), id_of(1), NULL, error));
  for (int i = 0; i < 1000; i++) {
    if (i % 50 == 0) reopened();
    purge_at(NOW + 4000 * DAY, 1000 + i % 50);
    assert_int_equal(listed_count(), 1);
  }
  /* What was lived through counts, whoever lived through it; the stops between do not. */
  for (int i = 0; i <= 10; i++) {
    reopened();
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
  good(st_store_open(db, false, &other, error));
  good(st_store_purge(store, NOW * US, 500 * US, error));
  good(st_store_purge(other, NOW * US, 900 * US, error)); /* of another machine */
  for (int64_t i = 1; i <= 24; i++) {
    good(st_store_purge(store, NOW * US, (500 + 3600 * i) * US, error));
    good(st_store_purge(other, NOW * US, (900 + 3600 * i) * US, error));
    good(st_store_get_setting(store, "lived", &lived, error));
    assert_int_equal(lived, 3600 * i);
  }
  st_store_close(other);
  /* Nor does a clock that goes back, or parts of seconds that nobody counts, add anything. */
  good(st_store_purge(store, NOW * US, 1, error));
  for (int64_t i = 1; i <= 10; i++) {
    good(st_store_purge(store, NOW * US, (500 + 3600 * 24) * US + i * 100000, error));
  }
  good(st_store_get_setting(store, "lived", &lived, error));
  assert_int_equal(lived, 3600 * 24 + 1);
}

/* C5: signed by a clock that was ahead, revoked when it was right again. */
static void what_a_clock_ahead_has_signed_stays_listed(void **state) {
  (void)state;
  int64_t ahead = NOW + 700 * DAY;
  st_key_use use = {.at = ahead};
  good(st_store_set_setting(store, "max_life", 10 * DAY, error));
  good(create(store, 1, sub_of(1)));
  good(create(store, 2, sub_of(2)));
  purge_at(NOW, 0);
  snprintf(use.id, sizeof use.id, "%s", id_of(1));
  good(st_store_key_mark_used(store, &use, 1, error));
  good(st_store_key_rename(store, AT(ahead * US), id_of(2), "x", error));
  good(st_store_key_delete(store, AT(NOW * US), id_of(1), NULL, error));
  good(st_store_key_delete(store, AT(NOW * US), id_of(2), NULL, error));
  purge_at(NOW + 709 * DAY, 709 * DAY);
  assert_int_equal(listed_count(), 2);
  purge_at(NOW + 711 * DAY, 711 * DAY);
  assert_int_equal(listed_count(), 0);
}

/* C6: the longest life that was ever given, whoever says a shorter one afterwards. */
static void purges_by_the_longest_life_ever(void **state) {
  (void)state;
  int64_t life = 0;
  good(create(store, 1, sub_of(1)));
  good(st_store_raise_setting(store, "max_life", 365 * DAY, error));
  good(st_store_raise_setting(store, "max_life", DAY, error));
  good(st_store_get_setting(store, "max_life", &life, error));
  assert_int_equal(life, 365 * DAY);
  purge_at(NOW, 0);
  good(st_store_key_delete(store, AT(NOW * US), id_of(1), NULL, error));
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
static void knows_what_it_has_given(void **state) {
  (void)state;
  int64_t a = 0, b = 0;
  good(st_store_issued_sequence(store, 1, error));
  assert_int_equal(st_store_issued_sequence(store, 2, error), ST_STORE_NOT_FOUND);
  good(st_store_bump_sequence(store, NOW * US, 0, &a, error));
  good(create(store, 1, sub_of(1)));
  good(st_store_key_delete(store, AT((NOW + 5) * US), id_of(1), &b, error));
  good(st_store_issued_sequence(store, a, error));
  good(st_store_issued_sequence(store, b, error));
  assert_int_equal(st_store_issued_sequence(store, a + 1, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_issued_sequence(store, b + 1, error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_issued_sequence(store, INT64_MAX, error), ST_STORE_NOT_FOUND);
  sql("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200005)"
      "INSERT INTO given SELECT i FROM n");
  assert_int_equal(st_store_issued_sequence(store, 300000, error), ST_STORE_NOT_FOUND);
  purge_at(NOW, 0);
  good(st_store_issued_sequence(store, 5, error)); /* no longer kept */
  good(st_store_issued_sequence(store, b, error));
  assert_int_equal(st_store_issued_sequence(store, 300000, error), ST_STORE_NOT_FOUND);
}

/* What was revoked before there was revocation data. */
static void an_older_database_is_brought_up(void **state) {
  (void)state;
  char text[2048];
  st_store_close(store);
  assert_int_equal(unlink(db), 0);
  sql(old_schema_1);
  for (unsigned n = 1; n <= 4; n++) {
    snprintf(
        text, sizeof text,
        "INSERT INTO keys VALUES ('%s', randomblob(32), '%s', 'n', 'o', 'p', 1, NULL, %d, 1, %s)",
        id_of(n), sub_of(n == 3 ? 5 : n), n == 2, n == 1 ? "2" : "NULL");
    sql(text);
  }
  snprintf(text, sizeof text, "INSERT INTO revoked VALUES ('%s', '%s', 2), ('%s', '%s', 2)",
           sub_of(1), id_of(1), sub_of(3), id_of(3));
  sql(text);
  sql(OLD_APPLICATION "PRAGMA user_version = 1");
  assert_int_equal(chmod(db, 0600), 0);
  good(st_store_open(db, false, &store, error));
  assert_int_equal(listed_count(), 3);
  /* C6: nobody had to remember what was signed; C5, C8: both begin here. */
  int64_t life = 0, lived = 9;
  good(st_store_get_setting(store, "max_life", &life, error));
  good(st_store_get_setting(store, "lived", &lived, error));
  assert_true(life == 365 * DAY && lived == 0);
  good(st_store_issued_sequence(store, method().sequence, error));
  assert_int_equal(st_store_issued_sequence(store, method().sequence + 1, error),
                   ST_STORE_NOT_FOUND);
  assert_true(listed(sub_of(1)) && listed(sub_of(2)) && listed(sub_of(3)));
  good(st_store_key_set_disabled(store, AT(NOW * US), id_of(2), false, NULL, error));
  assert_int_equal(listed_count(), 2);
}

static void every_store_has_a_hash_key_of_its_own(void **state) {
  (void)state;
  st_revocation_state one = method(), two;
  char path[320];
  st_store *other;
  snprintf(path, sizeof path, "%s.2", db);
  good(st_store_open(path, true, &other, error));
  good(st_store_revocation_state(other, &two, error));
  assert_memory_not_equal(one.hash_key, two.hash_key, sizeof one.hash_key);
  st_store_close(other);
}

static void *delete_some(void *from) {
  char mine[ST_ERROR_MAX];
  unsigned first = *(unsigned *)from;
  for (unsigned n = first; n < first + MANY; n++) {
    if (st_store_key_delete(store, AT(NOW * US), id_of(n), NULL, mine) != ST_STORE_OK) return from;
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
  for (unsigned n = 0; n < 2 * MANY; n++) good(create(store, n, sub_of(n)));
  assert_int_equal(pthread_create(&thread, NULL, delete_some, &first), 0);
  for (unsigned n = 0; n < MANY; n++) {
    st_revocation_state listing;
    st_revocation_change *changes = NULL;
    uint32_t count = 0;
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
    good(st_store_key_delete(store, AT(NOW * US), id, NULL, error));
    good(st_store_revocation_changes(store, since, &listing, &changes, &count, error));
    assert_true(count >= 1);
    seen += count;
    since = listing.sequence;
    free(changes);
  }
  assert_int_equal(pthread_join(thread, &failed), 0);
  assert_null(failed);
  st_revocation_state listing;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  good(st_store_revocation_changes(store, since, &listing, &changes, &count, error));
  free(changes);
  assert_int_equal(seen + count, 2 * MANY);
  assert_int_equal(listing.sequence, NOW * US + 2 * MANY - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lists_what_it_refuses),
      TEST(a_change_that_changes_nothing_takes_no_sequence),
      TEST(a_disabled_key_with_a_new_sub_stays_listed),
      TEST(a_new_sub_never_falls_on_a_listed_hash),
      TEST(a_hash_that_two_subs_share_is_listed_once),
      TEST(tells_what_changed_since),
      TEST(a_bump_advances_the_sequence),
      TEST(purges_no_sooner_than_tokens_are_dead),
      TEST(a_clock_that_is_ahead_purges_nothing),
      TEST(an_hour_of_two_servers_is_an_hour),
      TEST(what_a_clock_ahead_has_signed_stays_listed),
      TEST(purges_by_the_longest_life_ever),
      TEST(knows_what_it_has_given),
      TEST(an_older_database_is_brought_up),
      TEST(every_store_has_a_hash_key_of_its_own),
      TEST(a_reader_misses_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
