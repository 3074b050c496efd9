/* The snapshot that the server gives out is the store's, vouched for only after the
 * store was asked, and what has changed leads to it byte for byte.
 */
#include "feed_fixture.h"

#include "core/revocations_format.h"

/* What was answered once, to be compared with later. */
typedef struct kept {
  void *bytes;
  size_t len;
  int64_t sequence;
} kept;

static kept keep(void) {
  subtoken_revocations view;
  st_snapshot_version version = ask_at(&ring, NOW, &view);
  kept copy = {malloc(version.snapshot.len), version.snapshot.len, version.sequence};
  assert_non_null(copy.bytes);
  memcpy(copy.bytes, version.snapshot.data, copy.len);
  give(&version.snapshot);
  return copy;
}

/* Do changes since `from` lead to what is answered now, byte for byte? Their length, or 0. */
static size_t changes_lead(const kept *from, subtoken_feed_result expected) {
  subtoken_revocations view;
  st_snapshot_version now = ask_at(&ring, NOW, &view);
  st_payload changes;
  size_t len = 0, out_len = 0;
  if (feed.changes(feed.context, &now, from->sequence, &changes)) {
    len = changes.len;
    assert_true(len < now.snapshot.len);
    void *out = malloc(now.snapshot.len);
    assert_int_equal(subtoken_changes_apply(from->bytes, from->len, changes.data, len, out,
                                            now.snapshot.len, &out_len),
                     expected);
    if (expected == SUBTOKEN_FEED_OK) {
      assert_int_equal(out_len, now.snapshot.len);
      assert_memory_equal(out, now.snapshot.data, out_len);
    }
    free(out);
    give(&changes);
  }
  give(&now.snapshot);
  return len;
}

static void restart(void) {
  st_snapshot_cache_stop();
  assert_true(st_snapshot_cache_start(store, error));
}

/* ---- tests ---- */

static void follows_the_store(void **state) {
  (void)state;
  subtoken_revocations view, old_view;
  make_keys(0, 20);
  st_snapshot_version first = ask_at(&ring, NOW, &old_view);
  assert_int_equal(old_view.count, 0);
  assert_true(old_view.made == first.sequence / US);
  st_snapshot_version same = ask_at(&ring, NOW, &view);
  assert_ptr_equal(same.snapshot.data, first.snapshot.data); /* nothing is written for nothing */
  give(&same.snapshot);
  delete_key(1);
  disable_key(2, true);
  disable_key(3, true);
  disable_key(3, false);
  st_snapshot_version second = ask_at(&ring, NOW, &view);
  assert_true(second.sequence > first.sequence);
  assert_true(lists(&view, 1) && lists(&view, 2) && !lists(&view, 3) && view.count == 2);
  disable_key(2, false);
  give(&second.snapshot);
  second = ask_at(&ring, NOW, &view);
  assert_true(lists(&view, 1) && !lists(&view, 2) && view.count == 1);
  give(&second.snapshot);
  assert_true(!lists(&old_view, 1)); /* whoever is still sending it has it whole */
  give(&first.snapshot);
}

/* From each of the last snapshots, however often a hash went on and off in between. */
static void changes_are_exact(void **state) {
  (void)state;
  enum { KEYS = 150, KEPT = 12, ROUNDS = 60 };
  kept past[KEPT] = {{NULL, 0, 0}};
  uint64_t random = 7;
  make_keys(0, 2 * KEYS);
  for (unsigned n = KEYS; n < 2 * KEYS; n++) disable_key(n, true); /* longer than any changes */
  for (int round = 0; round < ROUNDS; round++) {
    kept *at = &past[round % KEPT];
    free(at->bytes);
    *at = keep();
    for (size_t i = random_below(&random, 4); i > 0; i--) {
      disable_key((unsigned)random_below(&random, 9), random_below(&random, 2) == 0);
    }
    for (int i = 0; i < KEPT && i <= round; i++) {
      CHECK(changes_lead(&past[i], SUBTOKEN_FEED_OK) > 0, "round %d, %d back", round, i);
    }
  }
  assert_int_equal(changes_lead(&past[(ROUNDS - 1) % KEPT], SUBTOKEN_FEED_OK) % 8, 0);
  for (int i = 0; i < KEPT; i++) free(past[i].bytes);
}

/* A server that has just started has no snapshot, but the store knows what was touched. */
static void changes_outlive_a_restart(void **state) {
  (void)state;
  make_keys(0, 100);
  for (unsigned n = 50; n < 100; n++) delete_key(n);
  kept before = keep();
  restart();
  assert_int_equal(changes_lead(&before, SUBTOKEN_FEED_OK), SUBTOKEN_CHANGES_LEN(0, 0));
  restart();
  delete_key(1);
  delete_key(2);
  assert_int_equal(changes_lead(&before, SUBTOKEN_FEED_OK), SUBTOKEN_CHANGES_LEN(0, 2));
  /* On and off again since: the store cannot tell that it was not listed before. */
  restart();
  disable_key(3, true);
  disable_key(3, false);
  assert_int_equal(changes_lead(&before, SUBTOKEN_FEED_PAIR), SUBTOKEN_CHANGES_LEN(1, 2));
  free(before.bytes);
}

static void what_is_not_known_is_sent_whole(void **state) {
  (void)state;
  subtoken_revocations view;
  st_payload changes;
  make_keys(0, 100);
  st_snapshot_version small = ask_at(&ring, NOW, &view);
  for (unsigned n = 0; n < 100; n++) delete_key(n);
  st_snapshot_version now = ask_at(&ring, NOW, &view);
  assert_false(feed.changes(feed.context, &now, now.sequence + 1, &changes));
  assert_false(feed.changes(feed.context, &now, INT64_MAX, &changes));
  assert_false(feed.changes(feed.context, &small, now.sequence, &changes)); /* backwards */
  assert_true(feed.changes(feed.context, &now, now.sequence, &changes));
  give(&changes);
  give(&small.snapshot);
  give(&now.snapshot);
}

static void another_secret_signs(void **state) {
  (void)state;
  subtoken_revocations view;
  subtoken_ring other;
  make_keys(0, 3);
  delete_key(0);
  kept old = keep();
  ring_with(&other, "b", OTHER_SECRET);
  st_snapshot_version version = ask_at(&other, NOW, &view);
  assert_true(version.sequence > old.sequence && lists(&view, 0) && !lists(&view, 1));
  int64_t second = version.sequence;
  give(&version.snapshot);
  /* The same bytes under another name are another secret to who reads. */
  ring_with(&other, "c", OTHER_SECRET);
  version = ask_at(&other, NOW, &view);
  assert_true(version.sequence > second);
  assert_true(st_text_is(view.kid, "c"));
  give(&version.snapshot);
  free(old.bytes);
  memset(&other, 0, sizeof other);
  assert_int_equal(ask_feed(&other, KEY, 0, &version), ST_FEED_STORE_ERROR);
}

/* The same list, under a secret of its own: one cannot be taken for the other. */
static void an_audience_has_its_own_secret(void **state) {
  (void)state;
  subtoken_revocations view, plain_view;
  subtoken_ring eu, us;
  uint8_t *bytes, *other;
  make_keys(0, 3);
  delete_key(0);
  assert_int_equal(subtoken_ring_derive(&ring, st_text("eu"), &eu), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_derive(&ring, st_text("us"), &us), SUBTOKEN_OK);
  st_snapshot_version plain = ask_at(&ring, NOW, &plain_view);
  st_snapshot_version version = ask_for(&ring, "eu", &eu, &bytes, &view);
  assert_true(version.sequence == plain.sequence && version.snapshot.len == plain.snapshot.len);
  assert_ptr_equal(version.snapshot.data, plain.snapshot.data); /* nothing is copied */
  assert_true(st_text_is(view.kid, ".eu") && lists(&view, 0) && !lists(&view, 1));
  assert_string_not_equal(version.etag, plain.etag);
  const subtoken_ring *wrong[] = {&ring, &us};
  for (size_t i = 0; i < 2; i++) {
    uint8_t alive[SUBTOKEN_HEARTBEAT_LEN];
    subtoken_heartbeat heartbeat;
    assert_int_equal(subtoken_revocations_open(wrong[i], bytes, version.snapshot.len, &plain_view),
                     SUBTOKEN_FEED_KID);
    assert_int_equal(subtoken_heartbeat_decode(st_text(version.heartbeat), alive),
                     SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_heartbeat_read(wrong[i], alive, sizeof alive, &heartbeat),
                     SUBTOKEN_FEED_KID);
  }
  assert_int_equal(
      subtoken_revocations_open(&eu, plain.snapshot.data, plain.snapshot.len, &plain_view),
      SUBTOKEN_FEED_KID);
  st_snapshot_version second = ask_for(&ring, "us", &us, &other, &view);
  assert_memory_not_equal(bytes, other, version.snapshot.len);
  assert_memory_equal(bytes + ST_FEED_HEAD_LEN, other + ST_FEED_HEAD_LEN,
                      version.snapshot.len - ST_FEED_HEAD_LEN - SUBTOKEN_MAC_LEN);
  give(&plain.snapshot);
  give(&version.snapshot);
  give(&second.snapshot);
  free(bytes);
  free(other);
}

/* Byte for byte, from each audience's own last snapshot, and from that of the whole ring. */
static void changes_lead_to_an_audiences_snapshot(void **state) {
  (void)state;
  subtoken_revocations view;
  subtoken_ring eu;
  uint8_t *before, *after;
  st_payload changes;
  size_t len;
  make_keys(0, 100);
  for (unsigned n = 50; n < 100; n++) delete_key(n);
  assert_int_equal(subtoken_ring_derive(&ring, st_text("eu"), &eu), SUBTOKEN_OK);
  kept plain = keep();
  st_snapshot_version old = ask_for(&ring, "eu", &eu, &before, &view);
  delete_key(1);
  st_snapshot_version now = ask_for(&ring, "eu", &eu, &after, &view);
  assert_true(feed.changes(feed.context, &now, old.sequence, &changes));
  uint8_t *bytes = sent(&changes), *out = malloc(now.snapshot.len);
  const void *from[] = {before, plain.bytes};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(subtoken_changes_apply(from[i], old.snapshot.len, bytes, changes.len, out,
                                            now.snapshot.len, &len),
                     SUBTOKEN_FEED_OK);
    assert_memory_equal(out, after, now.snapshot.len);
  }
  assert_int_equal(len, now.snapshot.len);
  give(&changes);
  give(&now.snapshot);
  give(&old.snapshot);
  free(plain.bytes);
  free(before);
  free(after);
  free(bytes);
  free(out);
}

/* A key that asks for one after the other. What it is given is good all the same, and those that
 * are asked for all the time cost nothing beside it.
 */
static void many_audiences_are_bounded(void **state) {
  (void)state;
  enum { MANY = 300 };
  subtoken_revocations view;
  subtoken_ring derived;
  uint8_t *bytes;
  char name[16];
  make_keys(0, 3);
  delete_key(2);
  for (int n = 0; n < MANY; n++) {
    snprintf(name, sizeof name, "a%d", n % 150);
    assert_int_equal(subtoken_ring_derive(&ring, st_text(name), &derived), SUBTOKEN_OK);
    st_snapshot_version version = ask_for(&ring, name, &derived, &bytes, &view);
    assert_true(lists(&view, 2) && view.count == 1);
    give(&version.snapshot);
    free(bytes);
  }
}

static void an_audience_must_fit_the_kid(void **state) {
  (void)state;
  subtoken_ring named;
  st_snapshot_version version;
  char kid[SUBTOKEN_KID_MAX - 1];
  memset(kid, 'k', sizeof kid - 1);
  kid[sizeof kid - 1] = '\0'; /* of 62 characters */
  ring_with(&named, kid, TEST_SECRET);
  st_feed_question question = question_of(&named, KEY, 0);
  question.audience = st_text("eu");
  assert_int_equal(feed.current(feed.context, &question, &version), ST_FEED_AUDIENCE);
  question.audience = st_text("e");
  assert_int_equal(feed.current(feed.context, &question, &version), ST_FEED_READY);
  give(&version.snapshot);
}

static void each_start_goes_on(void **state) {
  (void)state;
  kept before = keep();
  restart();
  kept after = keep();
  assert_true(after.sequence > before.sequence);
  free(before.bytes);
  free(after.bytes);
}

static int64_t time_at(int64_t now) {
  subtoken_revocations view;
  st_snapshot_version version = ask_at(&ring, now, &view);
  int64_t time = heartbeat_of(&version, &ring).time;
  give(&version.snapshot);
  return time;
}

static void time_never_goes_back(void **state) {
  (void)state;
  assert_true(time_at(NOW) == NOW);
  assert_true(time_at(NOW + 5) == NOW + 5);
  assert_true(time_at(NOW + 3) == NOW + 5); /* who waited for the lock */
  assert_true(time_at(NOW - 55) == NOW + 5);
  assert_true(time_at(NOW + 1000000) == NOW + 1000000);
  assert_true(time_at(NOW + 6) == NOW + 6); /* a clock that was years ahead does not stick */
}

static void a_store_that_cannot_be_read(void **state) {
  (void)state;
  char away[320];
  st_snapshot_version version;
  kept before = keep();
  snprintf(away, sizeof away, "%s.away", db);
  assert_int_equal(rename(db, away), 0);
  assert_int_equal(ask_feed(&ring, KEY, 0, &version), ST_FEED_STORE_ERROR);
  assert_int_equal(rename(away, db), 0);
  free(before.bytes);
}

/* ---- those who take it whole ---- */

static st_snapshot_version take_whole(int64_t since, subtoken_revocations *view) {
  st_snapshot_version version = ask_at(&ring, NOW, view);
  assert_int_equal(ask_whole(&ring, since, &version), ST_FEED_READY);
  assert_int_equal(
      subtoken_revocations_open(&ring, version.snapshot.data, version.snapshot.len, view),
      SUBTOKEN_FEED_OK);
  subtoken_heartbeat heartbeat = heartbeat_of(&version, &ring);
  assert_true(heartbeat.sequence == view->sequence && version.sequence == view->sequence);
  assert_memory_equal(heartbeat.digest, view->digest, sizeof view->digest);
  return version;
}

static bool is_retired(const st_snapshot_version *version) {
  return atomic_load(version->snapshot.retired);
}

/* C11: however many editions are made while some still take one, those who come get that one, too.
 * So there are two.
 */
static void readers_share_a_snapshot(void **state) {
  (void)state;
  enum { TAKERS = 20 };
  st_snapshot_version taken[TAKERS];
  subtoken_revocations view;
  make_keys(0, 100);
  for (unsigned n = 0; n < TAKERS; n++) {
    taken[n] = take_whole(n % 3 == 0 ? 0 : 1, &view);
    assert_ptr_equal(taken[n].snapshot.data, taken[0].snapshot.data);
    assert_true(!is_retired(&taken[n]) && !lists(&view, n));
    delete_key(n);
    st_snapshot_version current = ask_at(&ring, NOW + (int)n, &view);
    assert_true(lists(&view, n) && current.sequence > taken[0].sequence);
    give(&current.snapshot);
  }
  assert_true(heartbeat_of(&taken[TAKERS - 1], &ring).time == NOW); /* not when it was given out */
  for (unsigned n = 0; n < TAKERS; n++) give(&taken[n].snapshot);
  st_snapshot_version version = take_whole(0, &view);
  assert_true(view.count == TAKERS);
  give(&version.snapshot);
}

/* C11: to who has it, or a later one, an version is of no use; then the next one is lent, and who
 * still takes the one before is cut.
 */
static void readers_of_an_old_snapshot_are_cut_off(void **state) {
  (void)state;
  subtoken_revocations view;
  make_keys(0, 10);
  st_snapshot_version first = take_whole(0, &view);
  int64_t sequence = first.sequence;
  delete_key(0);
  st_snapshot_version second = take_whole(sequence, &view);
  assert_true(second.sequence > sequence && is_retired(&first) && !is_retired(&second));
  delete_key(1);
  st_snapshot_version third = take_whole(sequence, &view);
  assert_ptr_equal(third.snapshot.data, second.snapshot.data);
  give(&first.snapshot);
  give(&second.snapshot);
  give(&third.snapshot);
}

/* C3: one key, and the feed as a whole, have a share of the threads. */
static void a_key_has_a_share(void **state) {
  (void)state;
  static const char other[] = "89ABCDEF-0123-0123-0123-0123456789AB";
  st_snapshot_version held[4], none;
  make_keys(0, 9);
  for (unsigned n = 0; n < 9; n++) delete_key(n); /* longer than no changes */
  st_feed_shares_limit(8);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(ask_feed(&ring, KEY, 0, &held[i]), ST_FEED_READY);
  }
  assert_int_equal(ask_feed(&ring, KEY, 0, &none), ST_FEED_KEY_BUSY);
  for (int i = 2; i < 4; i++) {
    assert_int_equal(ask_feed(&ring, other, 0, &held[i]), ST_FEED_READY);
  }
  assert_int_equal(ask_feed(&ring, other, 0, &none), ST_FEED_BUSY);
  st_payload changes; /* is of the same request */
  assert_true(feed.changes(feed.context, &held[0], held[0].sequence, &changes));
  give(&held[0].snapshot);
  give(&held[2].snapshot);
  assert_int_equal(ask_feed(&ring, KEY, 0, &none), ST_FEED_KEY_BUSY);
  give(&changes);
  assert_int_equal(ask_feed(&ring, KEY, 0, &held[0]), ST_FEED_READY);
  give(&held[0].snapshot);
  give(&held[1].snapshot);
  give(&held[3].snapshot);
  st_feed_shares_limit(512);
}

/* ---- threads ---- */

enum { DELETED = 400, ASKERS = 8 };
static atomic_uint acknowledged;
static atomic_uint failures;

static void *ask_on(void *context) {
  uint64_t random = (uint64_t)(uintptr_t)context + 1;
  unsigned before = 0;
  int64_t last = 0;
  while (before < DELETED) {
    st_snapshot_version version;
    subtoken_revocations view;
    uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
    subtoken_heartbeat heartbeat = {.sequence = 0};
    before = atomic_load(&acknowledged);
    if (ask_feed(&ring, KEY, 0, &version) != ST_FEED_READY) {
      atomic_fetch_add(&failures, 1);
      return NULL;
    }
    bool fine =
        subtoken_revocations_open(&ring, version.snapshot.data, version.snapshot.len, &view) ==
            SUBTOKEN_FEED_OK &&
        subtoken_heartbeat_decode(st_text(version.heartbeat), bytes) == SUBTOKEN_FEED_OK &&
        subtoken_heartbeat_read(&ring, bytes, sizeof bytes, &heartbeat) == SUBTOKEN_FEED_OK &&
        memcmp(heartbeat.digest, view.digest, sizeof view.digest) == 0 &&
        heartbeat.sequence == view.sequence && view.count >= before;
    for (unsigned n = 0; fine && n < before; n++) fine = lists(&view, n);
    st_payload changes;
    if (last > 0 && random_below(&random, 2) == 0 &&
        feed.changes(feed.context, &version, last, &changes)) {
      give(&changes);
    }
    if (version.sequence < last) fine = false;
    last = version.sequence;
    give(&version.snapshot);
    if (!fine) atomic_fetch_add(&failures, 1);
  }
  return NULL;
}

/* Who asks after a deletion was acknowledged never hears of a snapshot without it. */
static void none_is_missed(void **state) {
  (void)state;
  pthread_t threads[ASKERS];
  make_keys(0, DELETED);
  for (uintptr_t i = 0; i < ASKERS; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, ask_on, (void *)i), 0);
  }
  for (unsigned n = 0; n < DELETED; n++) {
    delete_key(n);
    atomic_store(&acknowledged, n + 1);
  }
  for (int i = 0; i < ASKERS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(atomic_load(&failures), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(follows_the_store, setup, teardown),
      cmocka_unit_test_setup_teardown(changes_are_exact, setup, teardown),
      cmocka_unit_test_setup_teardown(changes_outlive_a_restart, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_not_known_is_sent_whole, setup, teardown),
      cmocka_unit_test_setup_teardown(another_secret_signs, setup, teardown),
      cmocka_unit_test_setup_teardown(an_audience_has_its_own_secret, setup, teardown),
      cmocka_unit_test_setup_teardown(changes_lead_to_an_audiences_snapshot, setup, teardown),
      cmocka_unit_test_setup_teardown(many_audiences_are_bounded, setup, teardown),
      cmocka_unit_test_setup_teardown(an_audience_must_fit_the_kid, setup, teardown),
      cmocka_unit_test_setup_teardown(each_start_goes_on, setup, teardown),
      cmocka_unit_test_setup_teardown(time_never_goes_back, setup, teardown),
      cmocka_unit_test_setup_teardown(a_store_that_cannot_be_read, setup, teardown),
      cmocka_unit_test_setup_teardown(readers_share_a_snapshot, setup, teardown),
      cmocka_unit_test_setup_teardown(readers_of_an_old_snapshot_are_cut_off, setup, teardown),
      cmocka_unit_test_setup_teardown(a_key_has_a_share, setup, teardown),
      cmocka_unit_test_setup_teardown(none_is_missed, setup, teardown),
  };
  return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
