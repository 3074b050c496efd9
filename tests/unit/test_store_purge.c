/* What a purge asks of its database, and by which clocks: uptime is counted once, whoever counts
 * it, and the time by which sessions go follows the wall clock forward only as servers run.
 */
#include "store_answers.h"

#include <sqlite3.h>

#include "store/settings.h"

static int64_t setting(const char *name) {
  int64_t value = -1;
  st_store_status status = st_store_get_setting(store, name, &value, error);
  return status == ST_STORE_NOT_FOUND ? -1 : value;
}

static int64_t lived_at(int64_t seconds) {
  assert_ok(st_store_count_uptime(store, seconds * US, error));
  return setting(ST_SETTING_UPTIME);
}

static void uptime_is_counted_from_the_first_call_on(void **state) {
  (void)state;
  int64_t before = lived_at(1000);
  assert_true(before <= 0);
  assert_int_equal(lived_at(1005), 5);
  assert_int_equal(lived_at(1005), 5);
  assert_int_equal(lived_at(1004), 5); /* a clock that goes back counts nothing */
  assert_int_equal(lived_at(1006), 6);
  /* Of less than a second nothing is lost. */
  for (int64_t us = 1006 * US; us <= 1010 * US; us += US / 4) {
    assert_ok(st_store_count_uptime(store, us, error));
  }
  assert_int_equal(setting(ST_SETTING_UPTIME), 10);
  /* What another server has counted is not counted again. */
  assert_ok(st_store_set_setting(store, ST_SETTING_UPTIME, 100, error));
  assert_int_equal(lived_at(1020), 100);
  assert_int_equal(lived_at(1021), 101);
  assert_int_equal(lived_at(2001021), 2000101); /* and of a month nothing is added */
  ANSWER({.which = ST_SQL_SETTING_SET, .kind = ANSWER_NOTHING});
  assert_int_equal(lived_at(2001021), 2000101);
  assert_int_equal(answers[0].runs, 0);
}

static void uptime_that_cannot_be_kept_is_counted_later(void **state) {
  static const answer bad[] = {{.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE},
                               {.which = ST_SQL_SETTING_SET, .kind = ANSWER_FAILURE},
                               {.which = ST_SQL_AUDIT_MARK, .kind = ANSWER_FAILURE}};
  (void)state;
  assert_ok(st_store_count_uptime(store, 0, error));
  for (size_t i = 0; i < 3; i++) {
    answer_with(&bad[i], 1);
    assert_int_equal(st_store_count_uptime(store, 4000 * US, error), ST_STORE_FAILED);
    assert_true(answers[0].runs == 1);
  }
  NO_ANSWERS;
  assert_int_equal(lived_at(4001), 4001);
}

static void a_sequence_is_told_or_none(void **state) {
  (void)state;
  int64_t sequence = 9, before = sequence_now();
  store->concurrent = true;
  ANSWER({.which = ST_SQL_SEQUENCE_NEXT, .kind = ANSWER_FAILURE});
  assert_int_equal(st_store_bump_sequence(store, NOW * US, 0, &sequence, error), ST_STORE_FAILED);
  assert_true(sequence == 0 && answers[0].ordered && answers[0].runs == 1);
  NO_ANSWERS;
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, &sequence, error));
  assert_true(sequence > before && sequence == sequence_now());
  assert_ok(st_store_bump_sequence(store, NOW * US, 0, NULL, error));
}

/* ---- the time by which sessions go ---- */

static int64_t swept_at(int64_t now, int64_t uptime) {
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_SET_ADD_ENDED, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_PURGE_LISTED, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_TOKEN_PURGE, .kind = ANSWER_NOTHING});
  assert_ok(st_store_purge(store, now * US, uptime * US, NULL, error));
  return answers[0].values[0];
}

static void the_sweep_follows_the_clock_as_servers_run(void **state) {
  (void)state;
  const int64_t wait = 365 * DAY + 2 * SUBTOKEN_LEEWAY_MAX;
  assert_int_equal(swept_at(NOW, 1000), NOW);
  assert_int_equal(answers[1].values[0], NOW - wait);
  assert_int_equal(answers[1].values[1], 1000); /* rows at a time */
  assert_true(answers[2].values[0] == NOW - wait && answers[2].values[1] == -wait);
  assert_int_equal(answers[2].values[2], 1000);
  assert_true(answers[3].values[0] == NOW && answers[3].values[1] == 1000);
  assert_int_equal(swept_at(NOW + 9 * DAY, 1060), NOW + 4 * 60); /* it catches up */
  assert_int_equal(answers[2].values[1], 60 - wait);
  assert_int_equal(swept_at(NOW + 300, 1120), NOW + 300);
  assert_int_equal(swept_at(NOW - DAY, 1120), NOW - DAY); /* back at once */
  assert_int_equal(setting(ST_SETTING_SWEEP_TIME), NOW - DAY);
  assert_ok(st_store_set_setting(store, ST_SETTING_MAX_LIFE, 60, error));
  assert_int_equal(swept_at(NOW, 1120 + DAY), NOW);
  assert_int_equal(answers[1].values[0], NOW - 60 - 2 * SUBTOKEN_LEEWAY_MAX);
}

static void a_purge_that_fails_says_so(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE, .from = 1},
      {.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE, .from = 2},
      {.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE, .from = 3},
      {.which = ST_SQL_SETTING_SET, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_PURGE_LISTED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_TOKEN_PURGE, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_LOG_LENGTH, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SEQUENCE_LENGTH, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_CLEAR, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_ADD_ENDED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_REMOVE_REVOKED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_REMOVE_ROWS, .kind = ANSWER_FAILURE},
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    answer_with(&bad[i], 1);
    if (st_store_purge(store, NOW * US, 0, NULL, error) != ST_STORE_FAILED || answers[0].runs < 1) {
      fail_msg("case %zu: %d runs", i, answers[0].runs);
    }
  }
  static const st_sql parts[] = {ST_SQL_PURGE_LISTED, ST_SQL_TOKEN_PURGE};
  static const st_sql then[] = {ST_SQL_SEQUENCE_NEXT, ST_SQL_PURGE_LOG};
  for (size_t i = 0; i < 4; i++) {
    bool left = true;
    ANSWER({.which = parts[i % 2], .kind = ANSWER_ROW, .numbers = {5}},
           {.which = then[i / 2], .kind = ANSWER_FAILURE});
    assert_int_equal(st_store_purge(store, NOW * US, 0, &left, error), ST_STORE_FAILED);
    assert_true(answers[1].runs == 1 && !left);
  }
  NO_ANSWERS;
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
}

/* A sequence is taken when something goes, by either part, and one for both, also when the clock is
 * behind: what is told of stands at it.
 */
static void what_goes_has_a_sequence(void **state) {
  (void)state;
  int64_t before = sequence_now();
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_int_equal(sequence_now(), before);
  for (int64_t now = 0; now <= NOW + DAY; now += NOW + DAY) {
    for (int parts = 1; parts <= 3; parts++) {
      before = sequence_now();
      int64_t wanted = now * US > before + 1 ? now * US : before + 1;
      ANSWER({.which = ST_SQL_PURGE_LISTED,
              .kind = (parts & 1) != 0 ? ANSWER_ROW : ANSWER_NO_ROW,
              .to = 1,
              .numbers = {5}},
             {.which = ST_SQL_TOKEN_PURGE,
              .kind = (parts & 2) != 0 ? ANSWER_ROW : ANSWER_NO_ROW,
              .to = 1,
              .numbers = {6}},
             {.which = ST_SQL_SEQUENCE_NEXT, .kind = ANSWER_NOTHING},
             {.which = ST_SQL_PURGE_LOG, .kind = ANSWER_NOTHING});
      assert_ok(st_store_purge(store, now * US, 0, NULL, error));
      assert_int_equal(answers[2].runs, 1);
      assert_int_equal(answers[3].runs, parts == 3 ? 2 : 1);
      assert_int_equal(answers[3].values[0], wanted);
      assert_int_equal(answers[3].values[1], parts == 1 ? 5 : 6);
      assert_int_equal(sequence_now(), wanted);
    }
  }
}

/* ---- steps ---- */

/* Rows that were revoked at a time go a thousand at a time, each once, and so does what the log
 * has beyond its length; a purge ends, and says that there is more.
 */
static void much_goes_in_steps(void **state) {
  enum { ROWS = 2500 };
  uint32_t count = 0;
  st_revocation_state current;
  st_revocation_change *changes = NULL;
  bool left = true;
  (void)state;
  sqlite3 *db;
  assert_int_equal(sqlite3_open(location, &db), SQLITE_OK);
  assert_int_equal(
      sqlite3_exec(db,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
                   "INSERT INTO listed (sub, hash, revoked_at, lived_at)"
                   " SELECT printf('%043d', i), i, 1000, 0 FROM n",
                   NULL, NULL, NULL),
      SQLITE_OK);
  (void)sqlite3_close(db);
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  int64_t before = sequence_now();
  assert_true(lists_hash(1, &count) && count == ROWS);
  ANSWER({.which = ST_SQL_PURGE_LISTED, .kind = ANSWER_NOTHING});
  assert_ok(st_store_purge(store, NOW * US, 400 * DAY * US, &left, error));
  assert_true(!left && answers[0].runs == 4);
  assert_true(!lists_hash(1, &count) && count == 0);
  assert_ok(st_store_revocation_changes(store, before, &current, &changes, &count, error));
  assert_true(count == ROWS && current.sequence == NOW * US + 2);
  free(changes);
  ANSWER({.which = ST_SQL_LOG_LENGTH, .kind = ANSWER_ROW, .numbers = {NOW * US}},
         {.which = ST_SQL_LOG_CUT, .kind = ANSWER_NOTHING});
  assert_ok(st_store_purge(store, NOW * US, 400 * DAY * US, &left, error));
  assert_true(!left && answers[1].runs == 2 && answers[1].values[1] == 1000);
  assert_int_equal(st_store_revocation_changes(store, before, &current, &changes, &count, error),
                   ST_STORE_NOT_FOUND);
  assert_ok(st_store_revocation_changes(store, NOW * US, &current, &changes, &count, error));
  assert_int_equal(count, ROWS - 1000);
  free(changes);
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_CHANGED, .number = 1});
  assert_ok(st_store_purge(store, NOW * US, 400 * DAY * US, &left, error));
  assert_true(left && answers[0].runs == 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(uptime_is_counted_from_the_first_call_on),
      TEST(uptime_that_cannot_be_kept_is_counted_later),
      TEST(a_sequence_is_told_or_none),
      TEST(the_sweep_follows_the_clock_as_servers_run),
      TEST(a_purge_that_fails_says_so),
      TEST(what_goes_has_a_sequence),
      TEST(much_goes_in_steps),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
