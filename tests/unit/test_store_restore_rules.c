/* What is taken over from another history, or revoked without a row, is taken whole or not at all:
 * whichever statement of it fails.
 */
#include "restored.h"

static const unsigned rows[] = {1, 4};

typedef struct failing {
  st_sql which;
  int run; /* of it that fails */
} failing;

static void what_fails_takes_nothing_over(void **state) {
  static const failing statements[] = {{ST_SQL_SNAPSHOT_CLEAR, 1},
                                       {ST_SQL_SNAPSHOT_ADD, 1},
                                       {ST_SQL_SNAPSHOT_ADD, 2},
                                       {ST_SQL_SNAPSHOT_DROP_KNOWN, 1},
                                       {ST_SQL_SET_ADD_SNAPSHOT_SESSIONS, 1},
                                       {ST_SQL_SET_ADD_SNAPSHOT_KEYS, 1},
                                       {ST_SQL_SET_DISABLE, 1},
                                       {ST_SQL_SNAPSHOT_DROP_KNOWN, 2},
                                       {ST_SQL_SNAPSHOT_LOG, 1},
                                       {ST_SQL_SNAPSHOT_LIST, 1},
                                       {ST_SQL_ANY_ROW_WRITTEN, 1},
                                       {ST_SQL_SEQUENCE_FROM, 1},
                                       {ST_SQL_LOG_FROM, 1},
                                       {ST_SQL_SETTING_RAISE, 1},
                                       {ST_SQL_AUDIT_INSERT, 1},
                                       {ST_SQL_SNAPSHOT_CLEAR, 2}};
  (void)state;
  st_restore_report report, untouched;
  make_key(1, "ann", "a");
  int64_t before = sequence_now();
  memset(&report, 0x55, sizeof report);
  untouched = report;
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    int run = statements[i].run;
    ANSWER({.which = statements[i].which, .kind = ANSWER_FAILURE, .from = run, .to = run});
    st_store_status status = take_over(rows, 2, LATER, listing_now().hash_key, &report);
    if (status != ST_STORE_FAILED || answers[0].runs < run) fail_msg("%zu: %d", i, (int)status);
    NO_ANSWERS;
    assert_true(!listed(1) && !lists(4711) && sequence_now() == before);
    assert_memory_equal(&report, &untouched, sizeof report);
  }
  error[0] = '\0';
  assert_ok(take_over(rows, 2, LATER, listing_now().hash_key, &report));
  assert_true(listed(1) && lists(4711) && error[0] == '\0');
}

/* Nothing is listed that was not there before: no row is to be looked up under another name. */
static void what_lists_nothing_is_told_to_no_row(void **state) {
  (void)state;
  st_restore_report report;
  make_key(1, "ann", "a");
  assert_ok(take_over(rows, 2, LATER, listing_now().hash_key, &report));
  assert_int_equal(report.listed, 2);
  ANSWER({.which = ST_SQL_ANY_ROW_WRITTEN, .kind = ANSWER_NOTHING});
  assert_ok(take_over(rows, 2, LATER, listing_now().hash_key, &report));
  assert_true(report.listed == 0 && answers[0].runs == 0);
  NO_ANSWERS;
}

/* The sequence that another history has reached belongs to that history. */
static void what_is_taken_over_comes_behind_the_snapshot(void **state) {
  (void)state;
  st_restore_report report;
  make_key(1, "ann", "a");
  for (int64_t sequence = NOW * US; sequence <= LATER; sequence += 2500) {
    assert_ok(take_over(rows, 2, sequence, listing_now().hash_key, &report));
    assert_int_equal(report.sequence, sequence + 1);
    assert_int_equal(sequence_now(), sequence + 1);
  }
}

static void a_sub_that_cannot_be_listed_is_not_revoked(void **state) {
  static const failing statements[] = {{ST_SQL_ROW_FIND_SUB, 1},  {ST_SQL_SUB_IS_REVOKED, 1},
                                       {ST_SQL_SUB_LIST, 1},      {ST_SQL_SUB_LOG, 1},
                                       {ST_SQL_SETTING_RAISE, 1}, {ST_SQL_AUDIT_INSERT, 1}};
  (void)state;
  static const subtoken_text sub = {"u", 1};
  char id[ST_KEY_ID_LEN + 1];
  int64_t before = sequence_now(), sequence = 0;
  uint64_t hash = subtoken_revocations_hash(listing_now().hash_key, sub);
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    memset(id, 'x', sizeof id);
    ANSWER({.which = statements[i].which, .kind = ANSWER_FAILURE});
    st_store_status status =
        st_store_revoke_sub(store, CONTEXT, sub, NOW, DAY, id, &sequence, error);
    if (status != ST_STORE_FAILED || answers[0].runs == 0) fail_msg("%zu: %d", i, (int)status);
    NO_ANSWERS;
    assert_true(id[0] == '\0' && !lists(hash) && sequence_now() == before);
  }
  assert_ok(st_store_revoke_sub(store, CONTEXT, sub, NOW, DAY, id, &sequence, error));
  assert_true(lists(hash) && sequence > before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_fails_takes_nothing_over),
      TEST(what_lists_nothing_is_told_to_no_row),
      TEST(what_is_taken_over_comes_behind_the_snapshot),
      TEST(a_sub_that_cannot_be_listed_is_not_revoked),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
