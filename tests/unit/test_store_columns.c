/* Rows of which a column makes no sense, and statements that fail: no question about keys, users,
 * sessions or the audit log is answered then, and what was to be written is empty.
 */
#include "store_answers.h"

#include "domain/store_search.h"

/* ---- questions ---- */

static const char zeros[sizeof(st_user)];
static union {
  st_key key;
  st_user user;
  st_audit_line line;
} got;
static st_search_page page;

static void assert_zero(size_t size) {
  assert_memory_equal(&got, zeros, size);
}

static st_store_status find_key(void) {
  st_store_status status = st_store_key_find(store, id_of(2), &got.key, error);
  if (status != ST_STORE_OK) assert_zero(sizeof got.key);
  return status;
}

static st_store_status find_user(void) {
  st_store_status status = st_store_user_find(store, ST_TEXT("ann"), &got.user, error);
  if (status != ST_STORE_OK) assert_zero(sizeof got.user);
  return status;
}

static st_store_status list_lines(void) {
  size_t count = 1;
  st_store_status status = st_store_audit_list(store, 0, 1, &got.line, &count, error);
  assert_int_equal(count, status == ST_STORE_OK);
  return status;
}

static st_store_status search_lines(void) {
  static st_audit_line lines_found[4];
  static const st_audit_filter none = {.who = NULL};
  page = (st_search_page){.limit = 4, .rows = 100, .count = 3};
  st_store_status status = st_store_audit_search(store, &none, 3, lines_found, &page, error);
  assert_int_equal(page.count, status == ST_STORE_OK ? 2 : 0);
  return status;
}

static st_store_status count_keys(void) {
  int64_t count = -1;
  st_store_status status = st_store_key_count(store, &count, error);
  assert_int_equal(count, status == ST_STORE_OK ? 1 : -1);
  return status;
}

static st_store_status count_expiring(void) {
  int64_t count = -1;
  st_store_status status = st_store_key_count_expiring(store, NOW, NOW + DAY, &count, error);
  assert_int_equal(count, status == ST_STORE_OK ? 0 : -1);
  return status;
}

static st_store_status search_keys(void) {
  static st_key keys[4];
  const st_key_filter filter = {.search = ST_TEXT("key"), .now = NOW};
  page = (st_search_page){.limit = 4, .rows = 100};
  return st_store_key_search(store, &filter, "", keys, &page, error);
}

static st_store_status search_users(void) {
  static st_user users[4];
  page = (st_search_page){.limit = 4, .rows = 100};
  return st_store_user_search(store, ST_TEXT("ann"), "", users, &page, error);
}

static st_store_status get_setting(void) {
  int64_t value = -1;
  st_store_status status = st_store_get_setting(store, "a setting", &value, error);
  assert_int_equal(value, status == ST_STORE_OK ? 7 : -1);
  return status;
}

#define TEXT_OF(ask_, statement, column_)                            \
  {                                                                  \
    ask_, {                                                          \
      .which = statement, .kind = ANSWER_BAD_TEXT, .column = column_ \
    }                                                                \
  }
#define FAILURE_OF(ask_, statement)              \
  {                                              \
    ask_, {                                      \
      .which = statement, .kind = ANSWER_FAILURE \
    }                                            \
  }

static const struct {
  st_store_status (*ask)(void);
  answer answer;
} cases[] = {
    TEXT_OF(find_key, ST_SQL_KEY_FIND, ST_COL_MADE_BY),
    TEXT_OF(find_user, ST_SQL_USER_FIND, ST_COL_MADE_BY),
    TEXT_OF(find_user, ST_SQL_USER_FIND, ST_COL_PASSWORD),
    TEXT_OF(find_user, ST_SQL_USER_FIND, ST_COL_IMPORTED),
    TEXT_OF(find_user, ST_SQL_USER_FIND, ST_COL_LOCALE),
    TEXT_OF(find_user, ST_SQL_USER_FIND, ST_COL_SOURCE),
    {list_lines,
     {.which = ST_SQL_AUDIT_LIST, .kind = ANSWER_NUMBER, .column = ST_COL_LINE_AT, .number = -1}},
    TEXT_OF(list_lines, ST_SQL_AUDIT_LIST, ST_COL_LINE_ACTION),
    TEXT_OF(list_lines, ST_SQL_AUDIT_LIST, ST_COL_LINE_WHO),
    TEXT_OF(list_lines, ST_SQL_AUDIT_LIST, ST_COL_LINE_FROM),
    TEXT_OF(list_lines, ST_SQL_AUDIT_LIST, ST_COL_LINE_TARGET),
    TEXT_OF(list_lines, ST_SQL_AUDIT_LIST, ST_COL_LINE_DETAIL),
    TEXT_OF(search_lines, ST_SQL_AUDIT_SCAN, ST_COL_LINE_DETAIL),
    TEXT_OF(count_keys, ST_SQL_KEY_COUNT, ST_COL_COUNT_LAST),
    TEXT_OF(count_expiring, ST_SQL_KEY_COUNT_EXPIRING, ST_COL_COUNT_LAST),
    TEXT_OF(search_keys, ST_SQL_KEY_SCAN, ST_COL_SCAN_ID),
    TEXT_OF(search_keys, ST_SQL_KEY_SCAN, ST_COL_SCAN_NAME),
    TEXT_OF(search_keys, ST_SQL_KEY_SCAN, ST_COL_SCAN_OWNER),
    TEXT_OF(search_keys, ST_SQL_KEY_SCAN, ST_COL_SCAN_AUDIENCE),
    TEXT_OF(search_keys, ST_SQL_KEY_FOUND, ST_COL_ID),
    TEXT_OF(search_keys, ST_SQL_KEY_FOUND, ST_COL_MADE_BY),
    TEXT_OF(search_users, ST_SQL_USER_SCAN, 0),
    TEXT_OF(search_users, ST_SQL_USER_FOUND, ST_COL_OWNER),
    TEXT_OF(search_users, ST_SQL_USER_FOUND, ST_COL_PASSWORD),
    FAILURE_OF(find_key, ST_SQL_KEY_FIND),
    FAILURE_OF(find_user, ST_SQL_USER_FIND),
    FAILURE_OF(list_lines, ST_SQL_AUDIT_LIST),
    FAILURE_OF(search_lines, ST_SQL_AUDIT_PLACE),
    FAILURE_OF(search_lines, ST_SQL_AUDIT_SCAN),
    FAILURE_OF(count_keys, ST_SQL_KEY_COUNT),
    FAILURE_OF(count_expiring, ST_SQL_KEY_COUNT_EXPIRING),
    FAILURE_OF(search_keys, ST_SQL_KEY_SCAN),
    FAILURE_OF(search_keys, ST_SQL_KEY_FOUND),
    FAILURE_OF(search_users, ST_SQL_USER_SCAN),
    FAILURE_OF(search_users, ST_SQL_USER_FOUND),
    FAILURE_OF(get_setting, ST_SQL_SETTING_GET),
};

static void no_question_is_answered_by_what_makes_no_sense(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  make_key(2, "ann", "a");
  assert_ok(st_store_audit_add(store, CONTEXT, "a", "", "", error));
  assert_ok(st_store_set_setting(store, "a setting", 7, error));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    answer_with(&cases[i].answer, 1);
    memset(&got, 'x', sizeof got);
    error[0] = '\0';
    st_store_status status = cases[i].ask();
    if (status != ST_STORE_FAILED || error[0] == '\0') {
      fail_msg("case %zu: %d: %s", i, (int)status, error);
    }
    assert_true(answers[0].runs > 0);
    NO_ANSWERS;
    assert_ok(cases[i].ask());
  }
}

/* As many as an int says, and no more. */
static void a_page_has_a_bound(void **state) {
  (void)state;
  st_key key;
  size_t count = 9;
  make_key(2, "ann", "a");
  assert_ok(st_store_key_list(store, NULL, "", INT32_MAX, &key, &count, error));
  assert_int_equal(count, 1);
  assert_int_equal(st_store_key_list(store, NULL, "", (size_t)INT32_MAX + 1, &key, &count, error),
                   ST_STORE_FAILED);
  assert_int_equal(count, 0);
  assert_string_equal(error, "cannot list 2147483648 at a time");
}

/* Whatever a database hands out: no more is written than there is room for. */
static void no_more_is_read_than_asked_for(void **state) {
  (void)state;
  st_audit_line line = {.id = 77};
  st_key keys[3];
  size_t count = 9;
  make_key(2, "ann", "a");
  make_key(3, "ann", "a");
  memset(keys, 0x5a, sizeof keys);
  ANSWER({.which = ST_SQL_AUDIT_LIST, .kind = ANSWER_ROW, .numbers = {1, 1}, .text = "x"},
         {.which = ST_SQL_KEY_FIND, .kind = ANSWER_REPEAT, .number = 3},
         {.which = ST_SQL_KEY_LIST, .kind = ANSWER_REPEAT, .number = 9});
  assert_ok(st_store_audit_list(store, 0, 0, &line, &count, error));
  assert_true(count == 0 && line.id == 77);
  assert_ok(st_store_key_find(store, id_of(2), keys, error));
  assert_memory_equal(&keys[1], &keys[2], sizeof keys[1]);
  memset(keys, 0x5a, sizeof keys);
  assert_ok(st_store_key_list(store, NULL, "", 1, keys, &count, error));
  assert_int_equal(count, 1);
  assert_memory_equal(&keys[1], &keys[2], sizeof keys[1]);
}

static void a_page_that_breaks_off_is_none(void **state) {
  (void)state;
  st_key keys[3];
  size_t count = 9;
  make_key(2, "ann", "a");
  make_key(3, "ann", "a");
  ANSWER({.which = ST_SQL_KEY_LIST, .kind = ANSWER_BREAK});
  assert_int_equal(st_store_key_list(store, NULL, "", 3, keys, &count, error), ST_STORE_FAILED);
  assert_int_equal(count, 0);
}

/* Also what lies behind the ends of its texts. */
static void a_user_is_written_whole(void **state) {
  (void)state;
  static st_user read[2];
  make_user(1, "ann", "a");
  memset(&read[1], 0x5a, sizeof read[1]);
  for (size_t i = 0; i < 2; i++) {
    assert_ok(st_store_user_find(store, ST_TEXT("ann"), &read[i], error));
  }
  assert_memory_equal(&read[0], &read[1], sizeof read[0]);
  assert_int_equal(read[0].password[sizeof read[0].password - 1], 0);
}

static void a_setting_that_is_not_raised_is_told(void **state) {
  (void)state;
  ANSWER({.which = ST_SQL_SETTING_RAISE, .kind = ANSWER_FAILURE});
  assert_int_equal(st_store_raise_setting(store, "max_life", 7, error), ST_STORE_FAILED);
  assert_string_not_equal(error, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_question_is_answered_by_what_makes_no_sense),
      TEST(a_page_has_a_bound),
      TEST(no_more_is_read_than_asked_for),
      TEST(a_page_that_breaks_off_is_none),
      TEST(a_user_is_written_whole),
      TEST(a_setting_that_is_not_raised_is_told),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
