/* The server's own work, in a thread whose half minutes pass as the test wants: what the store does
 * not take is said and done the next time, and nothing that was used is forgotten.
 */
#include "failing.h"
#include "feed_fixture.h"

#include <semaphore.h>
#include <sqlite3.h>

#include "operations/keyring_file.h"
#include "operations/uses.h"
#include "os/log.h"
#include "server/runtime_config.h"
#include "server/upkeep.h"

enum { ROUND_MS = 30000, ROUNDS_AN_HOUR = 120, STORE = FAIL_PREPARE | FAIL_SQLITE };

static st_settings settings;
static char secrets[300];
static atomic_bool run_on; /* the rounds pass by themselves */
static sem_t waits, next;

/* Between two rounds the thread waits for the test; at its end for st_upkeep_stop, as ever. */
static int pass_time(struct pollfd *of, nfds_t count, int ms) {
  if (ms != ROUND_MS || run_on) return __real_poll(of, count, ms);
  sem_post(&waits);
  while (sem_wait(&next) != 0) {
  }
  return run_on ? __real_poll(of, count, ms) : 0;
}

static int64_t events(const char *event) {
  st_log_count counts[ST_LOG_EVENTS_MAX];
  int64_t lost;
  size_t count = st_log_counts(counts, &lost);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(counts[i].event, event) == 0) return counts[i].count;
  }
  return 0;
}

static void wait_for_thread(void) {
  while (sem_wait(&waits) != 0) {
  }
}

/* Half a minute passes: the thread does its work, and waits again. */
static void pass(int rounds) {
  for (int i = 0; i < rounds; i++) {
    sem_post(&next);
    wait_for_thread();
  }
}

/* From now on the Nth call of the store, and all behind it. */
static void fail_everywhere(long nth) {
  failing_begin(STORE, nth);
  atomic_store(&failing.burst, 100000);
  atomic_store(&failing.everywhere, true);
}

/* The same as pass(1), and did a call fail? */
static bool pass_failing(long nth) {
  fail_everywhere(nth);
  pass(1);
  return failing_end();
}

static void begin(void) {
  run_on = false;
  failing_poll = pass_time;
  if (!st_upkeep_start(store, error)) fail_msg("%s", error);
  wait_for_thread();
}

static void finish(void) {
  run_on = true;
  sem_post(&next);
  st_upkeep_stop();
  failing_poll = NULL;
}

static int upkeep_setup(void **state) {
  if (setup(state) != 0) return -1;
  snprintf(secrets, sizeof secrets, "%s/secrets", home);
  st_config_default(&settings);
  sem_init(&waits, 0, 0);
  sem_init(&next, 0, 0);
  if (!st_keyring_file_make(secrets, error)) return -1;
  return st_runtime_config_start(secrets, &settings, error) ? 0 : -1;
}

static int upkeep_teardown(void **state) {
  st_runtime_config_stop();
  sem_destroy(&waits);
  sem_destroy(&next);
  return teardown(state);
}

static int64_t used_at(unsigned n) {
  char after[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  st_key key;
  size_t count;
  name_key(n, after, sub);
  after[ST_KEY_ID_LEN - 1]--; /* the next is that key */
  good(st_store_key_list(store, NULL, after, 1, &key, &count, error));
  assert_int_equal(count, 1);
  return key.used_at;
}

static void use(unsigned n, int64_t at) {
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  name_key(n, id, sub);
  st_uses_note(NULL, id, at);
}

/* Keys that end soon are told once a day, as soon as the store lets itself be asked. It is the
 * first test: the day on which it was told is the process's. */
static void keys_that_end_are_told_once(void **state) {
  (void)state;
  st_key key = {.created_at = NOW, .expires_at = st_clock_now() + 3600};
  uint8_t digest[32] = {2};
  name_key(1, key.id, key.sub);
  good(st_store_key_create(store, AT(st_clock_now_us()), NULL, &key, digest, error));
  fail_everywhere(1);
  begin();
  assert_true(failing_end());
  assert_int_equal(events("keys_expiring"), 0);
  assert_true(events("store_error") > 0);
  pass(1);
  assert_int_equal(events("keys_expiring"), 1);
  pass(1);
  assert_int_equal(events("keys_expiring"), 1);
  finish();
}

static void it_begins_or_says_why(void **state) {
  (void)state;
  bool begun = false;
  FAILING_EACH(FAIL_MEMORY | FAIL_FILES | FAIL_THREADS, 1, begun = st_upkeep_start(store, error), {
    CHECK(begun || failed, "call %ld: %s", nth, error); /* a look at the ring's file may fail */
    st_upkeep_stop();                                   /* of none, too */
  });
}

/* More than are written in one transaction; while the store does not take them they are kept. */
static void uses_outlive_a_store_that_fails(void **state) {
  (void)state;
  make_keys(0, 600);
  begin();
  bool failed = true;
  for (long nth = 1; failed; nth += nth < 5 ? 1 : 200) {
    int64_t told = events("store_error"), at = NOW + nth;
    for (unsigned n = 0; n < 600; n++) use(n, at);
    failed = pass_failing(nth);
    CHECK(!failed || events("store_error") > told, "call %ld: it is not said", nth);
    pass(1);
    for (unsigned n = 0; n < 600; n += 599) CHECK(used_at(n) == at, "call %ld, key %u", nth, n);
  }
  use(7, NOW + 100000);
  finish(); /* what is left then is written, too */
  assert_true(used_at(7) == NOW + 100000);
}

/* What is used while the store is away at the end is lost, and holds nothing up. */
static void it_ends_beside_a_store_that_fails(void **state) {
  (void)state;
  make_keys(0, 1);
  begin();
  use(0, NOW + 1);
  fail_everywhere(1);
  finish();
  failing_end();
  assert_true(used_at(0) == 0);
  begin();
  finish(); /* it is in memory still */
  assert_true(used_at(0) == NOW + 1);
}

/* Lines of the audit log that are older than audit_keep by both clocks, as after some days. */
static void make_old_lines(void) {
  st_audit_line newest;
  size_t count;
  for (int i = 0; i < 5; i++) {
    good(st_store_audit_add(store, AT(NOW * US), "test", "x", "", error));
  }
  good(st_store_audit_list(store, 0, 1, &newest, &count, error));
  good(st_store_set_setting(store, "audit_mark:000000000000001", newest.id, error));
  good(st_store_set_setting(store, "lived", 1000000, error));
  good(st_store_audit_add(store, AT(st_clock_now_us()), "test", "x", "", error));
}

/* Each hour what has ended goes, and old lines of the audit log; an hour later when the store
 * fails. */
static void each_hour_it_purges(void **state) {
  (void)state;
  begin();
  assert_int_equal(events("audit_cut"), 0);
  settings.audit_keep = 1000;
  assert_true(st_runtime_config_change(&settings, error));
  make_old_lines();
  bool failed = true;
  int64_t purged;
  for (long nth = 1; failed; nth = nth < 8 ? nth + 1 : nth * 2) {
    int64_t told = events("store_error");
    pass(ROUNDS_AN_HOUR - 1);
    failed = pass_failing(nth);
    CHECK(!failed || events("store_error") > told, "call %ld: it is not said", nth);
    good(st_store_set_setting(store, "max_life", 1, error)); /* as of a standby that lacks it */
  }
  assert_int_equal(events("audit_cut"), 1);
  pass(ROUNDS_AN_HOUR);
  good(st_store_get_setting(store, "max_life", &purged, error));
  assert_true(purged > 1);
  assert_int_equal(events("audit_cut"), 1); /* there is nothing more to cut */
  finish();
}

static uint32_t listed(void) {
  st_revocation_data data;
  good(st_store_revocation_data(store, &data, error));
  free(data.hashes), free(data.changes);
  return data.count;
}

/* What was revoked so long ago that no token needs it is not given out any more: by the clock, and
 * by what servers have lived through (C5).
 */
static void each_start_purges(void **state) {
  (void)state;
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  make_keys(0, 2);
  name_key(0, id, sub);
  good(st_store_key_delete(store, AT(NOW * US), id, NULL, error)); /* years ago */
  delete_key(1);
  for (int i = 0; i < 5; i++) begin(), finish(); /* as often as you like */
  assert_int_equal(listed(), 2);
  good(st_store_set_setting(store, "lived", 366 * 86400, error));
  begin();
  assert_int_equal(listed(), 1);
  finish();
}

/* What a purge leaves, the next round goes on with. */
static void what_a_purge_leaves_goes_on_soon(void **state) {
  (void)state;
  sqlite3 *file;
  good(st_store_set_setting(store, "lived", 400 * INT64_C(86400), error));
  assert_int_equal(sqlite3_open(db, &file), SQLITE_OK);
  assert_int_equal(
      sqlite3_exec(file,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40001)"
                   "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
                   " SELECT printf('%043d', i), i, 1000, 0 FROM n",
                   NULL, NULL, NULL),
      SQLITE_OK);
  (void)sqlite3_close(file);
  begin();
  assert_int_equal(listed(), 20001);
  pass(1);
  assert_int_equal(listed(), 1);
  pass(1);
  assert_int_equal(listed(), 0);
  finish();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(keys_that_end_are_told_once, upkeep_setup, upkeep_teardown),
      cmocka_unit_test_setup_teardown(it_begins_or_says_why, upkeep_setup, upkeep_teardown),
      cmocka_unit_test_setup_teardown(uses_outlive_a_store_that_fails, upkeep_setup,
                                      upkeep_teardown),
      cmocka_unit_test_setup_teardown(it_ends_beside_a_store_that_fails, upkeep_setup,
                                      upkeep_teardown),
      cmocka_unit_test_setup_teardown(each_hour_it_purges, upkeep_setup, upkeep_teardown),
      cmocka_unit_test_setup_teardown(each_start_purges, upkeep_setup, upkeep_teardown),
      cmocka_unit_test_setup_teardown(what_a_purge_leaves_goes_on_soon, upkeep_setup,
                                      upkeep_teardown),
  };
  return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
