/* Keys are counted in steps of so many rows, each of which goes on behind the last row of the one
 * before. Here the database answers what so many rows would.
 */
#include "store_answers.h"

#define STEP 5000 /* rows */

static int64_t count = -1;

static void all_steps_are_added(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 4; n++) make_key(n, "ann", "a");
  ANSWER({.which = ST_SQL_KEY_COUNT,
          .kind = ANSWER_ROW,
          .numbers = {STEP, 0, 4000},
          .text = id_of(2),
          .to = 2});
  assert_ok(st_store_key_count(store, &count, error));
  assert_int_equal(count, 8000 + 2);
  assert_int_equal(answers[0].runs, 3);
  assert_string_equal(answers[0].first, id_of(2));
  assert_int_equal(answers[0].values[1], STEP);
  ANSWER({.which = ST_SQL_KEY_COUNT, .kind = ANSWER_FAILURE, .from = 2},
         {.which = ST_SQL_KEY_COUNT, .kind = ANSWER_ROW, .numbers = {STEP, 0, 7}, .text = "x"});
  count = -1;
  assert_int_equal(st_store_key_count(store, &count, error), ST_STORE_FAILED);
  assert_int_equal(count, -1);
}

static void steps_go_on_behind_a_time_and_an_id(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 4; n++) {
    st_key key = row_of(n, "ann", "a");
    key.expires_at = NOW + 60;
    assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
  }
  ANSWER({.which = ST_SQL_KEY_COUNT_EXPIRING,
          .kind = ANSWER_ROW,
          .numbers = {STEP, 0, 4000, NOW + 60},
          .text = id_of(3),
          .to = 2});
  assert_ok(st_store_key_count_expiring(store, NOW, NOW + 60, &count, error));
  assert_int_equal(count, 8000 + 1);
  assert_int_equal(answers[0].runs, 3);
  assert_string_equal(answers[0].first, id_of(3));
  assert_true(answers[0].values[0] == NOW + 60 && answers[0].values[2] == NOW + 60);
  assert_int_equal(answers[0].values[3], STEP);
  ANSWER({.which = ST_SQL_KEY_COUNT_EXPIRING, .kind = ANSWER_NOTHING});
  assert_ok(st_store_key_count_expiring(store, NOW, NOW + 60, &count, error));
  assert_true(count == 4 && answers[0].runs == 1 && answers[0].values[0] == NOW + 1);
  ANSWER({.which = ST_SQL_KEY_COUNT_EXPIRING, .kind = ANSWER_FAILURE});
  count = -1;
  assert_int_equal(st_store_key_count_expiring(store, NOW, NOW + 60, &count, error),
                   ST_STORE_FAILED);
  assert_int_equal(count, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(all_steps_are_added),
      TEST(steps_go_on_behind_a_time_and_an_id),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
