/* How much of what was made with a key or by a user is looked at, and by which statements: so many
 * rows, unless it is to end.
 */
#include "store_answers.h"

#define LOOKED_AT_MOST 10000

static st_derived made;

static const st_audit_context *context_of(bool end) {
  static st_audit_context context;
  context = *CONTEXT;
  memset(&made, 0x5a, sizeof made);
  made.end = end;
  context.made = &made;
  return &context;
}

/* ann: 1; her key 2, with which bob 11 was made, and nobody's key 12. */
static void make_rows(void) {
  st_user bob = user_of(11, "bob", "a");
  st_key key = row_of(12, "", "a");
  st_audit_context by_key = *CONTEXT;
  by_key.row = id_of(2);
  make_user(1, "ann", "a,users,keys");
  make_key(2, "ann", "a,users,keys");
  assert_ok(st_store_user_create(store, &by_key, grantor_of(2), false, &bob, digest_of(11), error));
  by_key.row = id_of(2);
  assert_ok(st_store_key_create(store, &by_key, grantor_of(2), &key, digest_of(12), error));
}

static void watch(void) {
  ANSWER({.which = ST_SQL_DERIVED_ADD_BASE, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_DERIVED_ADD_DIRECT, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_DERIVED_ADD_DIRECT_OF_USER, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_DERIVED_ADD_REST, .kind = ANSWER_NOTHING});
}

static void assert_asked(bool user, int64_t most) {
  assert_true(answers[0].runs == 1 && answers[0].values[2] == most);
  assert_true(answers[1].runs == !user && answers[2].runs == user);
  assert_int_equal(answers[user ? 2 : 1].values[1], most);
  assert_true(answers[3].runs == 1 && answers[3].values[0] == most);
}

static void what_a_key_made_is_told_or_ends(void **state) {
  (void)state;
  make_rows();
  watch();
  assert_ok(st_store_key_set_disabled(store, context_of(false), id_of(2), true, NULL, error));
  assert_asked(false, LOOKED_AT_MOST);
  assert_true(made.keys == 1 && made.users == 1 && made.count == 2 && !made.end && !made.more);
  for (size_t i = 0; i < 2; i++) {
    assert_string_equal(made.items[i].name, made.items[i].user ? "bob" : id_of(12));
  }
  assert_true(made.items[0].user != made.items[1].user);
  watch();
  assert_ok(st_store_key_delete(store, context_of(true), id_of(2), NULL, error));
  assert_asked(false, INT64_MAX);
  assert_true(made.keys == 1 && made.users == 1 && made.count == 2 && made.end && !made.more);
  assert_non_null(strstr(last_line().detail, "made with it, ended too: 1 key, 1 user: "));
  char because[80];
  snprintf(because, sizeof because, "made with key %s", id_of(2));
  assert_true(count_lines("user.delete", because) == 1 && count_lines("key.delete", because) == 1);
  assert_true(!alive(11) && !alive(12));
}

static void what_a_user_made_is_told_or_ends(void **state) {
  (void)state;
  make_rows();
  watch();
  assert_ok(st_store_user_set_disabled(store, context_of(false), "ann", true, NULL, error));
  assert_asked(true, LOOKED_AT_MOST);
  assert_true(made.keys == 1 && made.users == 1 && made.count == 2 && !made.end);
  assert_true(alive(11) && alive(12));
  watch();
  assert_ok(st_store_user_delete(store, context_of(true), "ann", NULL, error));
  assert_asked(true, INT64_MAX);
  assert_true(made.keys == 1 && made.users == 1 && made.count == 2 && made.end);
  assert_true(!alive(11) && !alive(12));
  assert_int_equal(count_lines("user.delete", "made with user ann"), 1);
}

/* Ten, and the others are counted. */
static void so_many_are_listed(void **state) {
  (void)state;
  make_rows();
  for (unsigned n = 20; n < 20 + ST_DERIVED_LISTED; n++) {
    st_key key = row_of(n, "", "a");
    st_audit_context by_key = *CONTEXT;
    by_key.row = id_of(2);
    assert_ok(st_store_key_create(store, &by_key, grantor_of(2), &key, digest_of(n), error));
  }
  assert_ok(st_store_key_set_disabled(store, context_of(false), id_of(2), true, NULL, error));
  assert_true(made.keys == 1 + ST_DERIVED_LISTED && made.users == 1 && !made.more);
  assert_int_equal(made.count, ST_DERIVED_LISTED);
  ANSWER({.which = ST_SQL_DERIVED_LIST, .kind = ANSWER_REPEAT, .number = 3 * ST_DERIVED_LISTED});
  assert_ok(st_store_key_set_disabled(store, context_of(false), id_of(2), true, NULL, error));
  assert_int_equal(made.count, ST_DERIVED_LISTED); /* however many come */
}

/* Each statement has to be done, or nothing is. */
static void what_cannot_be_looked_at_ends_the_change(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_DERIVED_CLEAR, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_DERIVED_ADD_BASE, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_DERIVED_ADD_DIRECT, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_DERIVED_ADD_REST, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_DERIVED_COUNT, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_DERIVED_LIST, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_REMAINING_NEXT, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_CLEAR, .kind = ANSWER_FAILURE, .from = 2}, /* after that of the key */
      {.which = ST_SQL_SET_ADD_DERIVED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_AUDIT_USERS, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_SET_ADD_DEPENDENT, .kind = ANSWER_FAILURE, .from = 2},
      {.which = ST_SQL_SET_DELETE_USERS, .kind = ANSWER_FAILURE}};
  (void)state;
  make_rows();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    answer_with(&bad[i], 1);
    assert_int_equal(st_store_key_delete(store, context_of(true), id_of(2), NULL, error),
                     ST_STORE_FAILED);
    assert_int_equal(answers[0].runs, bad[i].from > 0 ? bad[i].from : 1);
    assert_true(alive(2) && alive(11) && alive(12));
    assert_int_equal(made.count, 0x5a5a5a5a5a5a5a5a); /* nothing was reported */
  }
  NO_ANSWERS;
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_a_key_made_is_told_or_ends),
      TEST(what_a_user_made_is_told_or_ends),
      TEST(so_many_are_listed),
      TEST(what_cannot_be_looked_at_ends_the_change),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
