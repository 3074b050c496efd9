/* The steps in which a change of many rows is gone on with: how many rows each reaches, where the
 * next one begins, and that a step which fails is made again.
 */
#include "store_answers.h"

#define KEYS 12
#define STEP 5

/* ann: 1, her keys 10 to 21, her session 30. */
static void make_rows(void) {
  make_user(1, "ann", "a");
  for (unsigned n = 10; n < 10 + KEYS; n++) make_key(n, "ann", "a");
  assert_ok(begin_session(30, grantor_of(1), NOW + DAY));
  store->large_change = 2;
  store->change_step = STEP;
}

static void disable_ann(bool disabled) {
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", disabled, NULL, error));
}

static bool step(void) {
  bool left = true;
  assert_ok(st_store_continue(store, 1, &left, error));
  return left;
}

/* Sessions, then keys in the order of their ids, so many of them in each. */
static void a_step_reaches_so_many_rows(void **state) {
  (void)state;
  make_rows();
  disable_ann(true);
  int64_t sequence = sequence_now();
  static const struct {
    int rows, moves, keys_reached;
    const char *after; /* of the row at which the next one begins, its number */
  } steps[] = {{1, 1, 1, ""},
               {STEP, 1, 1, "0000000E"},
               {STEP, 1, 1, "00000013"},
               {KEYS - 2 * STEP, 0, 0, NULL}};
  for (size_t i = 0; i < 4; i++) {
    ANSWER({.which = ST_SQL_SET_ADD_ROW, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_REMAINING_MOVE, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_REMAINING_KEYS, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SET_SUSPEND, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SET_REVOKE, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SEQUENCE_RECORD, .kind = ANSWER_NOTHING});
    assert_true(step()); /* the last one takes its own row away, which the next one finds */
    assert_int_equal(answers[0].runs, steps[i].rows);
    assert_int_equal(answers[1].runs, steps[i].moves);
    if (steps[i].moves > 0) assert_int_equal(answers[1].values[1], steps[i].keys_reached);
    assert_int_equal(answers[2].runs, i > 0);
    assert_int_equal(answers[5].runs, 0);
    assert_true(answers[3].runs == (i > 0) && answers[4].runs == (i == 0));
    if (i > 0) assert_true(answers[3].values[0] == 1 && answers[3].values[1] == NOW);
    if (steps[i].after != NULL && steps[i].after[0] != '\0') {
      char last[ST_KEY_ID_LEN + 1];
      snprintf(last, sizeof last, "%.8s", answers[0].first);
      assert_string_equal(last, steps[i].after);
    }
  }
  assert_false(step());
  assert_int_equal(sequence_now(), sequence); /* that of the change */
  assert_true(listed(1) && listed(10) && listed(21));
  disable_ann(false);
  ANSWER({.which = ST_SQL_SET_SUSPEND, .kind = ANSWER_NOTHING});
  while (step()) continue;
  assert_true(answers[0].runs > 0 && answers[0].values[0] == 0);
  assert_true(!listed(10) && alive(10) && alive(21));
}

/* And nothing of it is lost. */
static void a_step_that_fails_is_made_again(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_REMAINING_NEXT, .kind = ANSWER_FAILURE, .from = 1},
      {.which = ST_SQL_REMAINING_NEXT, .kind = ANSWER_FAILURE, .from = 2},
      {.which = ST_SQL_REMAINING_SESSIONS, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_REMAINING_SESSIONS, .kind = ANSWER_BAD_TEXT, .column = 0},
      {.which = ST_SQL_REMAINING_SESSIONS, .kind = ANSWER_BREAK},
      {.which = ST_SQL_SET_CLEAR, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_ADD_ROW, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_ADD_ROW, .kind = ANSWER_FAILURE, .from = 2},
      {.which = ST_SQL_SET_ADD_DEPENDENT, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_REMAINING_MOVE, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_REMAINING_MOVE, .kind = ANSWER_CHANGED, .number = 0},
      {.which = ST_SQL_REMAINING_KEYS, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_REMAINING_DELETE, .kind = ANSWER_FAILURE},
  };
  (void)state;
  make_rows();
  assert_ok(begin_session(31, grantor_of(1), NOW + DAY));
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  bool left = true;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    answer_with(&bad[i], 1);
    st_store_status status = st_store_continue(store, INT64_MAX, &left, error);
    st_store_status wanted = bad[i].kind == ANSWER_CHANGED ? ST_STORE_NOT_FOUND : ST_STORE_FAILED;
    if (status != wanted) fail_msg("case %zu: %d: %s", i, (int)status, error);
  }
  NO_ANSWERS;
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
  for (unsigned n = 10; n < 10 + KEYS; n++) assert_true(listed(n));
  assert_int_equal(count_lines("key.delete", "deleted with user ann"), KEYS);
}

static st_store_status change_key(int how) {
  switch (how) {
    case 0: return st_store_key_replace_sub(store, CONTEXT, id_of(20), sub_of(40), NULL, error);
    case 1: return st_store_key_set_disabled(store, CONTEXT, id_of(20), true, NULL, error);
    default: return st_store_key_delete(store, CONTEXT, id_of(20), NULL, error);
  }
}

/* A row that is changed before its turn comes is reached first: its sessions, then itself. */
static void a_row_that_is_changed_is_reached_before(void **state) {
  static const st_sql statements[] = {ST_SQL_REMAINING_OF_ROW, ST_SQL_SET_ADD_NOT_REACHED,
                                      ST_SQL_SET_SUSPEND, ST_SQL_SET_CLEAR};
  (void)state;
  make_rows();
  disable_ann(true);
  for (int how = 0; how < 3; how++) {
    for (size_t i = 0; i < 4; i++) {
      ANSWER({.which = statements[i], .kind = ANSWER_FAILURE});
      assert_int_equal(change_key(how), ST_STORE_FAILED);
      assert_int_equal(answers[0].runs, 1);
    }
    ANSWER({.which = ST_SQL_REMAINING_OF_ROW, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SET_ADD_NOT_REACHED, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SET_ADD_NOT_REACHED, .kind = ANSWER_FAILURE, .from = 2});
    assert_int_equal(change_key(how), ST_STORE_FAILED);
    assert_true(answers[0].runs == 1 && answers[1].runs == 2 && answers[1].values[1] == 0);
    NO_ANSWERS;
  }
  assert_ok(change_key(1));
  while (step()) continue;
  disable_ann(false);
  while (step()) continue;
  assert_true(listed(20) && !listed(19));
}

/* So is what somebody made, before it ends with him: of each user of whom something remains. */
static void what_was_made_is_reached_before_it_ends(void **state) {
  (void)state;
  make_rows();
  make_user(2, "root", "a");
  make_user(3, "bob", "a");
  for (unsigned n = 50; n < 54; n++) make_key(n, "bob", "a");
  st_audit_context context = *CONTEXT;
  context.row = id_of(2);
  for (unsigned n = 22; n < 24; n++) {
    st_key key = row_of(n, n == 22 ? "ann" : "bob", "a");
    assert_ok(st_store_key_create(store, &context, NULL, &key, digest_of(n), error));
  }
  assert_ok(begin_session(32, grantor_of(22), NOW + DAY));
  disable_ann(true);
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "bob", true, NULL, error));
  int64_t large = sequence_now();

  st_derived made = {.end = true};
  context = *CONTEXT_AT(NOW + 9);
  for (int from = 1; from <= 4; from++) {
    context.made = &(st_derived){.end = true};
    ANSWER({.which = ST_SQL_SET_ADD_DERIVED_NOT_REACHED, .kind = ANSWER_FAILURE, .from = from});
    assert_int_equal(st_store_user_set_disabled(store, &context, "root", true, NULL, error),
                     ST_STORE_FAILED);
    assert_int_equal(answers[0].runs, from); /* sessions and keys of ann, then those of bob */
  }
  NO_ANSWERS;
  context.made = &made;
  assert_ok(st_store_user_set_disabled(store, &context, "root", true, NULL, error));
  assert_int_equal(made.keys, 2);
  ASSERT_CHANGED(large, true, 2, 22, 23); /* its session ended with the large change of ann */
  assert_true(listed(32));
  while (step()) continue;
  assert_true(!alive(22) && !alive(23) && listed(21) && listed(53));
}

/* What edges are told of a row that was reached in a change is at the sequence of the large change;
 * of what the change itself ends, at its own. */
static void a_change_of_a_row_has_its_own_sequence(void **state) {
  (void)state;
  make_rows();
  disable_ann(true);
  int64_t large = sequence_now();
  assert_ok(
      st_store_key_replace_sub(store, CONTEXT_AT(NOW + 7), id_of(20), sub_of(40), NULL, error));
  int64_t own = sequence_now();
  assert_true(own > large);
  assert_ok(st_store_key_delete(store, CONTEXT_AT(NOW + 9), id_of(19), NULL, error));
  assert_true(sequence_now() > own);
  ASSERT_CHANGED(own, true, 19);
}

/* Where several changes run at a time the steps of a large one come one after the other. */
static void steps_come_in_order(void **state) {
  (void)state;
  make_rows();
  disable_ann(true);
  store->concurrent = true;
  ANSWER({.which = ST_SQL_SET_SUSPEND, .kind = ANSWER_NOTHING});
  while (step()) continue;
  assert_true(answers[0].runs > 0 && answers[0].ordered);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_step_reaches_so_many_rows),
      TEST(a_step_that_fails_is_made_again),
      TEST(a_row_that_is_changed_is_reached_before),
      TEST(what_was_made_is_reached_before_it_ends),
      TEST(a_change_of_a_row_has_its_own_sequence),
      TEST(steps_come_in_order),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
