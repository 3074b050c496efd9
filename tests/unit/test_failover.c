/* Another database answers than before, while the server runs: what edges were told to refuse stays
 * refused, nothing of it leaves before that is seen to, and T goes on. The two databases are a
 * store and a copy of it; a store in between asks the one or the other, as a driver does that has
 * lost its connection.
 */
#include "feed_fixture.h"

#include <poll.h>

#include "operations/vouched_files.h"
#include "store/db.h"

static struct {
  st_store base; /* first */
  st_store *asked;
  atomic_uint_least64_t epoch;
  int64_t time;               /* of the database's clock; 0: none */
  atomic_bool away;           /* it fails */
  bool fails_over_at_changes; /* when it is asked for changes */
  pthread_mutex_t lock;
  bool hangs; /* under the lock */
} between = {.lock = PTHREAD_MUTEX_INITIALIZER};
static pthread_cond_t goes_on = PTHREAD_COND_INITIALIZER;

static st_store *primary, *standby; /* NULL: not made yet */

static void fail_over(void) {
  between.asked = standby;
  atomic_fetch_add(&between.epoch, 1);
}

/* ---- the driver in between ---- */

static st_store_status between_fails(char *why) {
  return st_db_fail(why, "the database is away");
}

static bool between_ready(st_store *s, char *why) {
  (void)s;
  return st_store_ready(between.asked, why);
}

static st_store_status between_issued(st_store *s, int64_t sequence, char *why) {
  (void)s;
  if (atomic_load(&between.away)) return between_fails(why);
  return st_store_issued_sequence(between.asked, sequence, why);
}

static st_store_status between_state(st_store *s, st_revocation_state *state, char *why) {
  (void)s;
  pthread_mutex_lock(&between.lock);
  while (between.hangs) pthread_cond_wait(&goes_on, &between.lock);
  pthread_mutex_unlock(&between.lock);
  if (atomic_load(&between.away)) return between_fails(why);
  st_store_status status = st_store_revocation_state(between.asked, state, why);
  state->time = between.time;
  return status;
}

static st_store_status between_data(st_store *s, st_revocation_data *data, char *why) {
  (void)s;
  st_store_status status = st_store_revocation_data(between.asked, data, why);
  data->state.time = between.time;
  return status;
}

static st_store_status between_changes(st_store *s, int64_t since, st_revocation_state *state,
                                       st_revocation_change **changes, uint32_t *count, char *why) {
  (void)s;
  if (between.fails_over_at_changes) {
    between.fails_over_at_changes = false;
    fail_over();
  }
  st_store_status status =
      st_store_revocation_changes(between.asked, since, state, changes, count, why);
  state->time = between.time;
  return status;
}

static uint64_t between_epoch(st_store *s) {
  (void)s;
  return atomic_load(&between.epoch);
}

static st_driver driver;

/* ---- each test ---- */

static st_store *copy_of(st_store *from) {
  char path[320];
  st_store *copy;
  snprintf(path, sizeof path, "%s/standby.db", home);
  good(st_store_backup(from, path, NULL, error));
  good(st_store_open(path, false, &copy, error));
  return copy;
}

/* What is changed from now on the standby does not have. */
static void part(void) {
  standby = copy_of(primary);
}

static int failover_setup(void **state) {
  if (setup(state) != 0) return -1;
  st_snapshot_cache_stop();
  primary = store;
  standby = NULL;
  between.asked = primary;
  atomic_store(&between.epoch, 7);
  atomic_store(&between.away, false);
  between.time = 0;
  between.fails_over_at_changes = between.hangs = false;
  return 0;
}

/* Changes go to the database that is asked, past the driver. */
static st_db *between_change_db(st_store *s) {
  (void)s;
  return between.asked->driver->change_db(between.asked);
}

static st_db *between_query_db(st_store *s, char *why) {
  (void)s;
  return between.asked->driver->acquire_query_db(between.asked, why);
}

static void start(void) {
  driver = *primary->driver;
  driver.ready = between_ready;
  driver.issued_sequence = between_issued;
  driver.revocation_state = between_state;
  driver.revocation_data = between_data;
  driver.revocation_changes = between_changes;
  driver.epoch = between_epoch;
  driver.change_db = between_change_db;
  driver.acquire_query_db = between_query_db;
  st_db_store_start(&between.base, &driver);
  between.base.name = primary->name;
  assert_true(st_vouched_files_start(home, &between.base, &ring, error));
  assert_true(st_snapshot_cache_start(&between.base, error));
}

static int failover_teardown(void **state) {
  (void)state;
  st_snapshot_cache_stop();
  st_vouched_files_stop();
  st_store_close(standby);
  st_store_close(primary);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* What is listed now; its sequence. */
static int64_t ask(subtoken_revocations *view) {
  st_snapshot_version version = ask_at(&ring, NOW, view);
  int64_t sequence = version.sequence;
  give(&version.snapshot);
  return sequence;
}

/* The same of these keys, each with its number. */
static int64_t must_list(const unsigned *listed, size_t count, uint32_t of) {
  subtoken_revocations view;
  st_snapshot_version version = ask_at(&ring, NOW, &view);
  int64_t sequence = version.sequence;
  for (size_t i = 0; i < count; i++) CHECK(lists(&view, listed[i]), "key %u", listed[i]);
  CHECK(view.count == of, "%u are listed", view.count);
  give(&version.snapshot);
  return sequence;
}
#define MUST_LIST(...)                                                           \
  must_list((const unsigned[]){__VA_ARGS__}, COUNT(((unsigned[]){__VA_ARGS__})), \
            COUNT(((unsigned[]){__VA_ARGS__})))

static bool is_disabled(st_store *in, unsigned n) {
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  st_key key;
  name_key(n, id, sub);
  good(st_store_key_find(in, id, &key, error));
  return key.disabled;
}

/* ---- tests ---- */

static void what_was_vouched_for_is_listed_again(void **state) {
  (void)state;
  make_keys(0, 6);
  delete_key(0);
  part();
  start();
  delete_key(1);
  disable_key(2, true);
  int64_t before = MUST_LIST(0, 1, 2);
  disable_key(3, true); /* nobody was told */
  fail_over();
  assert_int_equal(st_store_issued_sequence(standby, before, error), ST_STORE_NOT_FOUND);
  int64_t after = MUST_LIST(0, 1, 2);
  assert_true(after > before);
  assert_true(is_disabled(standby, 1) && is_disabled(standby, 2) && !is_disabled(standby, 3));
  assert_int_equal(feed.issued(feed.context, before), ST_FEED_READY);
  assert_true(MUST_LIST(0, 1, 2) == after); /* once */
}

/* A change that was answered by the new database before this server saw it: its sequence is above
 * all that was vouched for, and still nothing is lost.
 */
static void a_change_that_came_first_hides_nothing(void **state) {
  (void)state;
  make_keys(0, 6);
  part();
  start();
  delete_key(1);
  int64_t before = MUST_LIST(1);
  store = standby;
  delete_key(4);
  fail_over();
  assert_true(MUST_LIST(1, 4) > before);
  assert_true(is_disabled(standby, 1)); /* and not in this server's memory alone */
  assert_int_equal(feed.issued(feed.context, before), ST_FEED_READY);
}

/* The old one says that something is new, the new one is asked what. */
static void an_answer_of_two_databases_is_no_answer(void **state) {
  (void)state;
  make_keys(0, 6);
  part();
  start();
  delete_key(1);
  int64_t before = MUST_LIST(1);
  delete_key(2);
  between.fails_over_at_changes = true;
  assert_true(MUST_LIST(1) > before);
  assert_false(between.fails_over_at_changes);
}

/* Neither was behind, but the connection was lost: nothing is taken over. */
static void the_same_database_is_left_as_it_is(void **state) {
  (void)state;
  make_keys(0, 3);
  start();
  delete_key(1);
  int64_t before = MUST_LIST(1);
  atomic_fetch_add(&between.epoch, 1);
  assert_true(MUST_LIST(1) == before);
}

/* What the standby lists and the snapshot does not, because it was taken off since, is listed, and
 * by each server: no changes lead past a restore.
 */
static void what_was_taken_off_since_is_listed_as_the_database_says(void **state) {
  (void)state;
  make_keys(0, 6);
  disable_key(0, true);
  part();
  start();
  disable_key(0, false);
  delete_key(1);
  MUST_LIST(1);
  fail_over();
  MUST_LIST(0, 1);
  st_snapshot_cache_stop(); /* all of it read anew */
  assert_true(st_snapshot_cache_start(&between.base, error));
  MUST_LIST(0, 1);
}

/* A database that does not know what was vouched for, and the snapshot is gone: nothing is vouched
 * for, until somebody restores it.
 */
static void without_its_snapshot_nothing_is_vouched_for(void **state) {
  (void)state;
  char path[320];
  st_snapshot_version version;
  make_keys(0, 3);
  part();
  start();
  delete_key(1);
  int64_t before = MUST_LIST(1);
  snprintf(path, sizeof path, "%s/snapshot", home);
  assert_int_equal(unlink(path), 0);
  fail_over();
  for (int i = 0; i < 2; i++) {
    assert_int_equal(ask_feed(&ring, KEY, 0, &version), ST_FEED_STORE_ERROR);
  }
  st_revocation_state now;
  st_restore_report report;
  good(st_store_revocation_state(standby, &now, error));
  st_revocation_snapshot snapshot = {.sequence = before, .hashes = &(uint64_t){1}, .count = 1};
  memcpy(snapshot.hash_key, now.hash_key, sizeof snapshot.hash_key);
  good(st_store_restore_revocations(standby, AT(st_clock_now_us()), &snapshot, &report, error));
  subtoken_revocations view;
  assert_true(ask(&view) > before);
}

/* Another server has taken over what this one never knew. Who holds that is sent nothing that was
 * made before, though others are still taking it.
 */
static void an_older_snapshot_is_not_lent_over_a_restore(void **state) {
  (void)state;
  subtoken_revocations view;
  st_restore_report report;
  st_revocation_state now;
  make_keys(0, 6);
  start();
  delete_key(0);
  st_snapshot_version taken = ask_at(&ring, NOW, &view);
  assert_int_equal(ask_whole(&ring, 0, &taken), ST_FEED_READY);
  good(st_store_revocation_state(primary, &now, error));
  st_revocation_snapshot other = {
      .sequence = now.sequence - 1, .hashes = &(uint64_t){1}, .count = 1};
  memcpy(other.hash_key, now.hash_key, sizeof other.hash_key);
  good(st_store_restore_revocations(primary, AT(st_clock_now_us()), &other, &report, error));
  assert_int_equal(feed.issued(feed.context, other.sequence), ST_FEED_READY);
  st_snapshot_version version = ask_at(&ring, NOW, &view);
  st_payload changes;
  assert_false(feed.changes(feed.context, &version, other.sequence, &changes));
  assert_int_equal(ask_whole(&ring, other.sequence, &version), ST_FEED_READY);
  assert_true(version.sequence >= report.sequence);
  assert_true(atomic_load(taken.snapshot.retired)); /* there are never three */
  give(&version.snapshot);
  give(&taken.snapshot);
}

/* ---- a store that is away ---- */

static void a_store_that_is_away_is_not_vouched_for(void **state) {
  (void)state;
  st_snapshot_version version;
  make_keys(0, 2);
  start();
  delete_key(0);
  int64_t sequence = MUST_LIST(0);
  atomic_store(&between.away, true);
  assert_int_equal(ask_feed(&ring, KEY, sequence, &version), ST_FEED_STORE_ERROR);
  atomic_store(&between.away, false);
  assert_true(MUST_LIST(0) == sequence);
}

/* Who asks does not wait for a store that does not answer, and gets no heartbeat from before. */
static void a_store_that_hangs_is_not_waited_for(void **state) {
  (void)state;
  st_snapshot_version version;
  make_keys(0, 2);
  start();
  delete_key(0);
  int64_t sequence = MUST_LIST(0);
  pthread_mutex_lock(&between.lock);
  between.hangs = true;
  pthread_mutex_unlock(&between.lock);
  assert_int_equal(ask_feed(&ring, KEY, sequence, &version), ST_FEED_BUSY);
  pthread_mutex_lock(&between.lock);
  between.hangs = false;
  pthread_cond_signal(&goes_on);
  pthread_mutex_unlock(&between.lock);
  assert_true(MUST_LIST(0) == sequence);
}

/* ---- T ---- */

static int64_t time_now(int64_t of_server) {
  subtoken_revocations view;
  st_snapshot_version version = ask_at(&ring, of_server, &view);
  int64_t time = heartbeat_of(&version, &ring).time;
  give(&version.snapshot);
  return time;
}

/* All servers give that of the database, whatever their own clocks say. */
static void time_is_that_of_the_database(void **state) {
  (void)state;
  start();
  between.time = NOW;
  assert_true(time_now(NOW + 59) == NOW);
  assert_true(time_now(NOW - 59) == NOW);
  between.time = NOW + 1;
  assert_true(time_now(NOW - 59) == NOW + 1);
}

/* A promoted standby whose clock is behind: T stands, or goes on slowly, and never falls back, so
 * that edges take it from each server; it is followed when it is behind by more than clocks may be.
 */
static void time_goes_on_over_a_failover(void **state) {
  (void)state;
  part();
  start();
  between.time = NOW;
  assert_true(time_now(NOW) == NOW);
  fail_over();
  between.time = NOW - 30;
  int64_t began = st_clock_monotonic_us(), last = NOW;
  while (last < NOW + 2) { /* four seconds */
    int64_t time = time_now(NOW);
    int64_t passed = (st_clock_monotonic_us() - began) / US;
    assert_true(time >= last && time <= NOW + passed / 2 + 1);
    last = time;
    poll(NULL, 0, 50);
  }
  between.time = NOW + 40;
  assert_true(time_now(NOW) == NOW + 40);
  between.time = NOW - 30;
  assert_true(time_now(NOW) == NOW - 30);
}

#define FAILOVER_TEST(test) cmocka_unit_test_setup_teardown(test, failover_setup, failover_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      FAILOVER_TEST(what_was_vouched_for_is_listed_again),
      FAILOVER_TEST(a_change_that_came_first_hides_nothing),
      FAILOVER_TEST(an_answer_of_two_databases_is_no_answer),
      FAILOVER_TEST(the_same_database_is_left_as_it_is),
      FAILOVER_TEST(what_was_taken_off_since_is_listed_as_the_database_says),
      FAILOVER_TEST(without_its_snapshot_nothing_is_vouched_for),
      FAILOVER_TEST(an_older_snapshot_is_not_lent_over_a_restore),
      FAILOVER_TEST(a_store_that_is_away_is_not_vouched_for),
      FAILOVER_TEST(a_store_that_hangs_is_not_waited_for),
      FAILOVER_TEST(time_is_that_of_the_database),
      FAILOVER_TEST(time_goes_on_over_a_failover),
  };
  return cmocka_run_group_tests_name("failover", tests, NULL, NULL);
}
