/* What a store makes of rows that make no sense: it fails, and changes nothing. Whichever change
 * looks at them on its way: what it needs of a row is read, or the change is not made.
 */
#include "store_answers.h"

static st_store_status find_key(unsigned n) {
  st_key key;
  return st_store_key_find(store, id_of(n), &key, error);
}

static void a_time_has_to_be_one(void **state) {
  static const int columns[] = {ST_COL_USED_AT, ST_COL_ROTATED_AT};
  static const struct {
    int64_t time;
    st_store_status status;
  } cases[] = {{-1, ST_STORE_FAILED},
               {0, ST_STORE_OK},
               {SUBTOKEN_TIME_MAX, ST_STORE_OK},
               {SUBTOKEN_TIME_MAX + 1, ST_STORE_FAILED}};
  (void)state;
  make_key(1, "ann", "a");
  for (size_t c = 0; c < 2; c++) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      ANSWER({.which = ST_SQL_KEY_FIND,
              .kind = ANSWER_NUMBER,
              .column = columns[c],
              .number = cases[i].time});
      assert_int_equal(find_key(1), cases[i].status);
    }
  }
  ANSWER({.which = ST_SQL_KEY_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_MADE_BY});
  assert_int_equal(find_key(1), ST_STORE_FAILED);
}

static st_store_status revoke_token(void) {
  st_key_token token = {
      .sub = st_text(sub_of(1)), .tid = ST_TEXT("a-tid-0123456789"), .exp = NOW + 10};
  return st_store_token_revoke(store, CONTEXT, &token, 10, NULL, error);
}

/* Also of a row that another change looks at on its way. */
static void a_row_has_to_be_readable(void **state) {
  (void)state;
  make_key(1, "ann", "a");
  ANSWER({.which = ST_SQL_KEY_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_ID});
  assert_int_equal(find_key(1), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_ROW_FIND_SUB, .kind = ANSWER_BAD_TEXT, .column = 0});
  assert_int_equal(revoke_token(), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_ID});
  assert_int_equal(revoke_token(), ST_STORE_FAILED);
  NO_ANSWERS;
  assert_ok(revoke_token());
}

static void a_large_change_that_makes_no_sense_is_not_gone_on_with(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_REMAINING_FIND,
       .kind = ANSWER_NUMBER,
       .column = ST_COL_REMAINING_SEQUENCE,
       .number = 0},
      {.which = ST_SQL_REMAINING_FIND,
       .kind = ANSWER_NUMBER,
       .column = ST_COL_REMAINING_AT,
       .number = -1},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_OWNER},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_WHAT},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_WHO},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_FROM},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_BECAUSE},
      {.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REMAINING_AFTER},
      {.which = ST_SQL_REMAINING_MOVE, .kind = ANSWER_FAILURE},
  };
  (void)state;
  make_user(1, "ann", "a");
  for (unsigned n = 2; n < 5; n++) make_key(n, "ann", "a");
  store->large_change = 1;
  store->change_step = 1;
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    st_user again = user_of(1, "ann", "a");
    memcpy(again.key.id, id_of(9), sizeof again.key.id);
    memcpy(again.key.sub, sub_of(9), sizeof again.key.sub);
    answer_with(&bad[i], 1);
    /* It has to be done before: and that fails, it is not that it takes long. */
    assert_int_equal(st_store_user_create(store, CONTEXT, NULL, false, &again, digest_of(9), error),
                     ST_STORE_FAILED);
    assert_null(strstr(error, "try again later"));
    assert_false(alive(2) || alive(3) || alive(4));
  }
  NO_ANSWERS;
  bool left = true;
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
}

static void what_was_made_is_listed_by_good_names(void **state) {
  (void)state;
  st_user bob = user_of(11, "bob", "a");
  st_audit_context by_key = *CONTEXT;
  make_key(2, "ann", "a,users");
  by_key.row = id_of(2);
  assert_ok(st_store_user_create(store, &by_key, grantor_of(2), false, &bob, digest_of(11), error));
  ANSWER({.which = ST_SQL_DERIVED_LIST, .kind = ANSWER_BAD_TEXT, .column = 1});
  assert_int_equal(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error), ST_STORE_FAILED);
  assert_true(alive(2));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_time_has_to_be_one),
      TEST(a_row_has_to_be_readable),
      TEST(a_large_change_that_makes_no_sense_is_not_gone_on_with),
      TEST(what_was_made_is_listed_by_good_names),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
