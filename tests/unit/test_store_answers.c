/* What a store makes of answers that its database seldom or never gives: rows that ended meanwhile,
 * more rows than a page, transactions of others that are under way. Rows that make no sense are in
 * test_store_bad_rows.c.
 */
#include "store_answers.h"

#include "domain/store_search.h"
#include "store/remaining_run.h"

/* ---- lines of the audit log that are held back ---- */

static st_audit_place place;

#define BOUND(last, first_running, next)                                                      \
  {                                                                                           \
    .which = ST_SQL_AUDIT_BOUND, .kind = ANSWER_ROW, .numbers = { last, first_running, next } \
  }

/* How many lines come. */
static size_t follow(void) {
  st_audit_line found[8];
  size_t count = 0;
  assert_ok(st_store_audit_follow(store, &place, 8, found, &count, error));
  return count;
}

static void lines_are_held_back_while_others_write(void **state) {
  (void)state;
  place = (st_audit_place){0};
  for (int i = 0; i < 7; i++) assert_ok(st_store_audit_add(store, CONTEXT, "a", "", "", error));
  ANSWER(BOUND(0, 9, 10));
  assert_int_equal(follow(), 0);
  assert_true(place.unsettled == 0); /* there is nothing yet to hold back */
  ANSWER(BOUND(5, 10, 12));
  assert_int_equal(follow(), 0);
  assert_true(place.seen == 5 && place.unsettled == 12 && place.settled == 0);
  ANSWER(BOUND(6, 11, 14)); /* one of those is still under way */
  assert_int_equal(follow(), 0);
  assert_true(place.seen == 5 && place.unsettled == 12 && place.settled == 0);
  ANSWER(BOUND(6, 12, 15)); /* the line 6 waits for 12, 13 and 14 */
  assert_int_equal(follow(), 5);
  assert_true(place.last == 5 && place.settled == 5 && place.seen == 6 && place.unsettled == 15);
  ANSWER(BOUND(6, 16, 17));
  assert_int_equal(follow(), 1);
  assert_true(place.last == 6 && place.unsettled == 0);
  ANSWER(BOUND(7, 18, 19));
  assert_int_equal(follow(), 0);
  assert_true(place.unsettled == 19);
  ANSWER(BOUND(7, 20, 20)); /* nobody is under way */
  assert_int_equal(follow(), 1);
  assert_true(place.last == 7 && place.settled == 7 && place.unsettled == 0);
  ANSWER({.which = ST_SQL_AUDIT_BOUND, .kind = ANSWER_FAILURE});
  st_audit_line line;
  size_t count = 1;
  assert_int_equal(st_store_audit_follow(store, &place, 1, &line, &count, error), ST_STORE_FAILED);
  assert_int_equal(count, 0);
}

/* ---- what was made with a key, and how much of it is looked at ---- */

static st_derived delete_with(unsigned n, bool end, int64_t looked_at) {
  static st_derived made;
  st_audit_context context = *CONTEXT;
  made = (st_derived){.end = end};
  context.made = &made;
  make_key(n, "ann", "a");
  ANSWER({.which = ST_SQL_DERIVED_COUNT,
          .kind = ANSWER_ROW,
          .numbers = {looked_at > 0 ? 1 : 0, 0, looked_at}});
  assert_ok(st_store_key_delete(store, &context, id_of(n), NULL, error));
  NO_ANSWERS;
  return made;
}

static void more_than_is_looked_at_is_told(void **state) {
  (void)state;
  assert_false(delete_with(2, false, 0).more);
  assert_null(strstr(last_line().detail, "made with it"));
  assert_false(delete_with(3, false, 9999).more);
  assert_non_null(strstr(last_line().detail, "made with it, still valid: 1 key, 0 users:, ..."));
  assert_true(delete_with(4, false, 10000).more);
  assert_false(delete_with(5, true, 10000).more); /* then all are */
}

/* A list is whole when it has all that was counted, and all was looked at. */
static void a_list_of_what_was_made_says_whether_it_is_whole(void **state) {
  static const struct {
    int64_t keys, users, looked_at;
    bool bob;
    const char *detail;
  } cases[] = {{0, 1, 9999, true, "still valid: 0 keys, 1 user: \"bob\"; permissions"},
               {0, 1, 10000, true, "still valid: 0 keys, 1 user: \"bob\", ...; permissions"},
               {1, 1, 2, false, "still valid: 1 key, 1 user:, ...; permissions"},
               {2, 0, 2, false, "still valid: 2 keys, 0 users:, ...; permissions"}};
  (void)state;
  for (unsigned i = 0; i < 4; i++) {
    st_user bob = user_of(10 + i, "bob", "a");
    st_audit_context by_key = *CONTEXT;
    make_key(2 + i, "ann", "a,users");
    by_key.row = id_of(2 + i);
    if (cases[i].bob) {
      assert_ok(st_store_user_create(store, &by_key, grantor_of(2 + i), false, &bob,
                                     digest_of(10 + i), error));
    }
    ANSWER({.which = ST_SQL_DERIVED_COUNT,
            .kind = ANSWER_ROW,
            .numbers = {cases[i].keys, cases[i].users, cases[i].looked_at}});
    assert_ok(st_store_key_delete(store, CONTEXT, id_of(2 + i), NULL, error));
    NO_ANSWERS;
    if (strstr(last_line().detail, cases[i].detail) == NULL) fail_msg("%s", last_line().detail);
    if (cases[i].bob) assert_ok(st_store_user_delete(store, CONTEXT, "bob", NULL, error));
  }
}

/* ---- what something is made with ---- */

static st_store_status make_in_session(void) {
  st_key key = row_of(20, "", "a");
  key.expires_at = NOW + 10;
  return st_store_key_create(store, CONTEXT, grantor_of(5), &key, digest_of(20), error);
}

/* A session whose key or user is not there grants nothing. */
static void a_session_rests_on_what_it_was_begun_with(void **state) {
  (void)state;
  make_key(1, "", "a");
  st_key session = row_of(5, "", "");
  uint8_t seed[32] = {0};
  session.expires_at = NOW + 100;
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(1), 100, &session, digest_of(5), seed,
                                   refresh_of(5), error));
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_NO_ROW, .from = 2});
  assert_int_equal(make_in_session(), ST_STORE_DENIED);
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_FAILURE, .from = 2});
  assert_int_equal(make_in_session(), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_NO_ROW});
  assert_int_equal(make_in_session(), ST_STORE_DENIED);
  NO_ANSWERS;
  assert_ok(make_in_session());
}

static st_store_status refresh(void) {
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  st_store_status status =
      st_store_session_refresh(store, CONTEXT, (subtoken_text){refresh_of(2), ST_REFRESH_LEN},
                               NOW + 1000, 0, &session, successor, error);
  if (status != ST_STORE_OK) assert_string_equal(successor, "");
  return status;
}

/* What is found by reading may have ended when the turn to write comes. */
static void a_refresh_token_is_looked_at_again(void **state) {
  (void)state;
  make_user(1, "ann", "a");
  assert_ok(begin_session(2, grantor_of(1), NOW + 100));
  ANSWER({.which = ST_SQL_REFRESH_FIND, .kind = ANSWER_NO_ROW});
  assert_int_equal(refresh(), ST_STORE_NOT_FOUND);
  ANSWER({.which = ST_SQL_REFRESH_FIND, .kind = ANSWER_FAILURE});
  assert_int_equal(refresh(), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_REFRESH_FIND, .kind = ANSWER_BAD_TEXT, .column = ST_COL_REFRESH_SESSION});
  assert_int_equal(refresh(), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_REFRESH_FIND,
          .kind = ANSWER_NUMBER,
          .column = ST_COL_REFRESH_EXPIRES_AT,
          .number = NOW});
  assert_int_equal(refresh(), ST_STORE_NOT_FOUND);           /* at its end */
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_NO_ROW}); /* its session */
  assert_int_equal(refresh(), ST_STORE_NOT_FOUND);
  ANSWER({.which = ST_SQL_ROW_FIND, .kind = ANSWER_NO_ROW, .from = 2}); /* its user */
  assert_int_equal(refresh(), ST_STORE_NOT_FOUND);
  for (int of = 1; of <= 2; of++) { /* its session, its user: ended meanwhile */
    for (int64_t how = 1; how <= 2; how++) {
      ANSWER(
          {.which = ST_SQL_ROW_FIND, .kind = ANSWER_DISABLED, .number = how, .from = of, .to = of});
      assert_int_equal(refresh(), ST_STORE_NOT_FOUND);
      assert_int_equal(answers[0].runs, of);
    }
  }
  ANSWER({.which = ST_SQL_SESSION_SEED, .kind = ANSWER_NO_ROW});
  assert_int_equal(refresh(), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_REFRESH_FIND,
          .kind = ANSWER_NUMBER,
          .column = ST_COL_REFRESH_EXPIRES_AT,
          .number = NOW + 1});
  assert_ok(refresh());
}

/* The same again is a retry while its successor is there and unused: of one that is not there the
 * session ends. */
static void a_retry_needs_its_successor(void **state) {
  (void)state;
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  make_user(1, "ann", "a");
  for (unsigned n = 2; n <= 4; n++) {
    const subtoken_text token = {refresh_of(n), ST_REFRESH_LEN};
    assert_ok(begin_session(n, grantor_of(1), NOW + 100));
    NO_ANSWERS;
    assert_ok(st_store_session_refresh(store, CONTEXT, token, NOW + 1000, 30, &session, successor,
                                       error));
    ANSWER({.which = ST_SQL_REFRESH_FIND,
            .kind = n == 2   ? ANSWER_FAILURE
                    : n == 3 ? ANSWER_NO_ROW
                             : ANSWER_NOTHING,
            .from = 2});
    st_store_status status =
        st_store_session_refresh(store, CONTEXT, token, NOW + 1000, 30, &session, successor, error);
    assert_int_equal(status, n == 2 ? ST_STORE_FAILED : n == 3 ? ST_STORE_DENIED : ST_STORE_OK);
    assert_int_equal(alive(n), n != 3);
  }
}

/* As long as was asked for, if that is the start of all times. */
static void a_session_may_have_ended_long_ago(void **state) {
  (void)state;
  st_key session = row_of(2, "", "");
  uint8_t seed[32] = {2};
  char successor[ST_REFRESH_LEN + 1];
  make_user(1, "ann", "a");
  session.expires_at = 0;
  /* What it is called and may do is its grantor's, whatever stands there. */
  memset(session.name, 'x', sizeof session.name);
  memset(session.owner, 'x', sizeof session.owner);
  memset(session.permissions, 'x', sizeof session.permissions);
  session.used_at = 5;
  session.disabled = session.suspended = true;
  assert_ok(st_store_session_begin(store, CONTEXT, grantor_of(1), 100, &session, digest_of(2), seed,
                                   refresh_of(2), error));
  assert_int_equal(session.expires_at, 0);
  assert_true(session.used_at == 0 && !session.disabled && !session.suspended);
  assert_string_equal(session.permissions, "a");
  assert_string_equal(session.owner, "ann");
  assert_ok(begin_session(3, grantor_of(1), NOW + 100));
  assert_ok(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(3)), 0, 0, &session,
                                     successor, error));
  assert_int_equal(session.expires_at, 0);
}

/* ---- counted page by page ---- */

/* Keys and sessions of ann, as the line of the change has them. */
static void assert_counted(const char *detail) {
  st_audit_line line = last_line();
  assert_string_equal(line.action, "user.delete");
  if (strstr(line.detail, detail) == NULL) fail_msg("%s", line.detail);
}

static void make_large_user(void) {
  make_user(1, "ann", "a");
  for (unsigned n = 2; n < 5; n++) make_key(n, "ann", "a");
  assert_ok(begin_session(5, grantor_of(1), NOW + 100));
  store->large_change = 2;
}

/* One more than are changed at once. */
static void so_many_rows_are_a_large_change(void **state) {
  (void)state;
  make_large_user();
  for (int64_t rows = 2; rows <= 3; rows++) {
    ANSWER({.which = ST_SQL_OWNED_AT_MOST, .kind = ANSWER_ROW, .numbers = {rows}},
           {.which = ST_SQL_REMAINING_INSERT, .kind = ANSWER_NOTHING});
    assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
    assert_int_equal(answers[0].values[1], 3);
    assert_int_equal(answers[1].runs, rows == 3);
  }
}

/* A large change is one that takes something away; of its keys those are counted that hold it. What
 * its sessions may do stays until they are reached. */
static void what_is_lost_makes_a_change_large(void **state) {
  static const struct {
    const char *permissions, *detail; /* NULL: another password */
    int begun, granted;
  } cases[] = {{NULL, "sessions ended: 1; another password", 0, 0},
               {"a,b,c", "permissions a,b,c; before a,b", 0, 1},
               {"b,c", "keys ended: 3; sessions ended: 1; permissions b,c; before a,b,c", 1, 0}};
  (void)state;
  make_user(1, "ann", "a,b");
  for (unsigned n = 2; n < 5; n++) make_key(n, "ann", "a");
  for (unsigned n = 6; n < 9; n++) make_key(n, "ann", "b");
  store->large_change = 2;
  for (unsigned i = 0; i < 3; i++) {
    const st_grantor ann = {id_of(1), sub_of(i < 1 ? 1 : 20)};
    assert_ok(begin_session(30 + i, &ann, NOW + 100));
    if (i == 1) {
      assert_ok(st_store_session_end(store, CONTEXT, id_of(30 + i), NULL, error));
      assert_ok(begin_session(40, &ann, NOW + 100));
    }
    if (i == 2) assert_ok(st_store_session_end(store, CONTEXT, id_of(40), NULL, error));
    ANSWER({.which = ST_SQL_REMAINING_INSERT, .kind = ANSWER_NOTHING},
           {.which = ST_SQL_SESSION_GRANT, .kind = ANSWER_NOTHING});
    assert_ok(cases[i].permissions == NULL
                  ? st_store_user_set_password(store, CONTEXT, "ann", "$other", sub_of(20 + i),
                                               NULL, error)
                  : st_store_user_set_permissions(store, CONTEXT, "ann", cases[i].permissions,
                                                  sub_of(20 + i), NULL, error));
    assert_string_equal(last_line().detail, cases[i].detail);
    assert_true(answers[0].runs == cases[i].begun && answers[1].runs == cases[i].granted);
  }
}

/* Each of these statements belongs to the change. */
static void a_statement_that_fails_ends_the_change(void **state) {
  static const struct {
    st_sql which;
    int what; /* 0: a permission more, 1: a token, 2: users imported anew, 3: known ones */
  } cases[] = {{ST_SQL_ROW_GRANT, 0},    {ST_SQL_SESSION_GRANT, 0}, {ST_SQL_AUDIT_INSERT, 0},
               {ST_SQL_TOKEN_LIST, 1},   {ST_SQL_SUB_LOG, 1},       {ST_SQL_ROW_HAS_TOKEN, 1},
               {ST_SQL_AUDIT_INSERT, 1}, {ST_SQL_KEY_INSERT, 2},    {ST_SQL_USER_INSERT, 2},
               {ST_SQL_AUDIT_INSERT, 2}, {ST_SQL_USER_UPDATE, 3}};
  (void)state;
  st_user_import update = {.mode = ST_IMPORT_CREATE};
  update.user = user_of(3, "cat", "a");
  memcpy(update.digest, digest_of(3), 32);
  make_user(1, "ann", "a");
  assert_ok(st_store_user_import(store, CONTEXT, &update, 1, NULL, error));
  assert_ok(st_store_user_find(store, ST_TEXT("cat"), &update.user, error));
  assert_true(st_store_user_fingerprint(&update.user, update.seen));
  /* What was seen is no reason to make it again. */
  assert_int_equal(st_store_user_import(store, CONTEXT, &update, 1, NULL, error), ST_STORE_DENIED);
  assert_non_null(strstr(error, "has changed meanwhile; nothing was changed"));
  update.mode = ST_IMPORT_UPDATE;
  memcpy(update.user.key.sub, sub_of(21), sizeof update.user.key.sub);
  memset(update.user.password, 0, sizeof update.user.password);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    st_user_import new = {.user = user_of(9, "dan", "a"), .mode = ST_IMPORT_CREATE};
    st_key_token token = {
        .sub = st_text(sub_of(1)), .tid = ST_TEXT("a-tid-0123456789"), .exp = NOW + 1000};
    int64_t before = lines();
    memcpy(new.digest, digest_of(9), 32);
    ANSWER({.which = cases[i].which, .kind = ANSWER_FAILURE});
    st_store_status status =
        cases[i].what == 0
            ? st_store_user_set_permissions(store, CONTEXT, "ann", "a,b", sub_of(20), NULL, error)
        : cases[i].what == 1
            ? st_store_token_revoke(store, CONTEXT, &token, 100, NULL, error)
            : st_store_user_import(store, CONTEXT, cases[i].what == 2 ? &new : &update, 1, NULL,
                                   error);
    if (status != ST_STORE_FAILED || answers[0].runs != 1 || lines() != before ||
        strstr(error, "nothing was changed") != NULL) {
      fail_msg("case %zu: %d: %s", i, (int)status, error);
    }
  }
  bool deleted = true;
  ANSWER({.which = ST_SQL_USER_WAS_DELETED, .kind = ANSWER_FAILURE});
  assert_int_equal(st_store_user_was_deleted(store, ST_TEXT("eve"), &deleted, error),
                   ST_STORE_FAILED);
  assert_true(deleted); /* which is not written then */
}

static void rows_are_counted_in_pages(void **state) {
  (void)state;
  make_large_user();
  ANSWER({.which = ST_SQL_OWNED_HOLDING,
          .kind = ANSWER_ROW,
          .numbers = {2000, 0, 1500},
          .text = "",
          .to = 1},
         {.which = ST_SQL_OWNED_HOLDING_SESSIONS,
          .kind = ANSWER_ROW,
          .numbers = {2000, 0, 7},
          .text = "",
          .to = 2});
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_int_equal(answers[0].runs, 2);
  assert_int_equal(answers[1].runs, 3);
  assert_counted("keys ended: 1503; sessions ended: 15");
}

static void a_page_that_cannot_be_counted_fails(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_NO_ROW},
      {.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_ROW, .numbers = {1, 0, 1}}, /* no place */
      {.which = ST_SQL_OWNED_HOLDING_SESSIONS, .kind = ANSWER_NO_ROW},
      {.which = ST_SQL_OWNED_HOLDING_SESSIONS, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_AUDIT_LAST, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_OWNED_CHANGED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_OWNED_AT_MOST, .kind = ANSWER_FAILURE},
  };
  (void)state;
  make_large_user();
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    answer_with(&bad[i], 1);
    assert_int_equal(st_store_user_delete(store, CONTEXT, "ann", NULL, error), ST_STORE_FAILED);
    assert_true(alive(1));
  }
  NO_ANSWERS;
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_counted("keys ended: 3; sessions ended: 1");
}

/* Three times before its turn; then within it, where nobody else changes anything. */
static void who_goes_on_changing_is_counted_within_the_turn(void **state) {
  (void)state;
  make_large_user();
  ANSWER({.which = ST_SQL_OWNED_CHANGED, .kind = ANSWER_ROW},
         {.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_OWNED_HOLDING_SESSIONS,
          .kind = ANSWER_ROW,
          .numbers = {2000, 0, 10},
          .text = "",
          .from = 4,
          .to = 4});
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_int_equal(answers[0].runs, 3);
  assert_int_equal(answers[1].runs, 4);
  assert_int_equal(answers[2].runs, 5); /* the fourth was a full page */
  assert_counted("keys ended: 3; sessions ended: 11");
}

static void what_fails_within_the_turn_fails(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_FAILURE, .from = 4},
      {.which = ST_SQL_OWNED_HOLDING_SESSIONS, .kind = ANSWER_FAILURE, .from = 4},
  };
  (void)state;
  make_large_user();
  for (size_t i = 0; i < 2; i++) {
    ANSWER({.which = ST_SQL_OWNED_CHANGED, .kind = ANSWER_ROW}, bad[i]);
    assert_int_equal(st_store_user_delete(store, CONTEXT, "ann", NULL, error), ST_STORE_FAILED);
    assert_true(alive(1));
  }
}

/* A step that looks at many rows and changes few goes on behind them: 4,096, of which here the
 * first comes again and again. */
static void a_step_looks_at_so_many_rows(void **state) {
  (void)state;
  make_large_user();
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  ANSWER({.which = ST_SQL_REMAINING_KEYS, .kind = ANSWER_REPEAT, .number = 4094, .to = 1},
         {.which = ST_SQL_REMAINING_KEYS, .kind = ANSWER_NUMBER, .column = 1, .number = 0, .to = 1},
         {.which = ST_SQL_REMAINING_DELETE, .kind = ANSWER_NOTHING});
  bool left = true;
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
  assert_int_equal(answers[0].runs, 2);
  assert_int_equal(answers[2].runs, 1);
}

/* ---- found, and gone before it is read ---- */

static st_key found_keys[40];
static st_search_page page;

static st_store_status search_keys(const char *text, size_t limit) {
  st_key_filter filter = {.search = st_text(text), .now = NOW};
  page = (st_search_page){.limit = limit, .rows = 1000};
  return st_store_key_search(store, &filter, "", found_keys, &page, error);
}

static void a_key_that_ended_meanwhile_is_passed_over(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 3; n++) make_key(n, "ann", "a");
  ANSWER({.which = ST_SQL_KEY_FOUND, .kind = ANSWER_SKIP});
  memset(found_keys, 0x5a, sizeof found_keys);
  assert_ok(search_keys("ann", 40));
  assert_int_equal(page.count, 2);
  assert_string_equal(found_keys[0].id, id_of(2));
  assert_string_equal(found_keys[1].id, id_of(3));
  ANSWER({.which = ST_SQL_KEY_FOUND, .kind = ANSWER_TEXT, .column = ST_COL_ID, .text = "another"});
  assert_int_equal(search_keys("ann", 40), ST_STORE_FAILED); /* not what was asked for */
  ANSWER({.which = ST_SQL_KEY_FOUND, .kind = ANSWER_FAILURE});
  assert_int_equal(search_keys("ann", 40), ST_STORE_FAILED);
}

/* They are read so many at a time. */
static void many_that_are_found_are_all_read(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 2 * ST_SQL_FOUND_MAX + 1; n++) make_key(n, "ann", "a");
  for (size_t limit = ST_SQL_FOUND_MAX - 1; limit <= 2 * ST_SQL_FOUND_MAX + 1; limit++) {
    ANSWER({.which = ST_SQL_KEY_FOUND, .kind = ANSWER_NOTHING});
    assert_ok(search_keys("ann", limit));
    assert_int_equal(page.count, limit);
    assert_int_equal(answers[0].runs, (limit + ST_SQL_FOUND_MAX - 1) / ST_SQL_FOUND_MAX);
    for (unsigned n = 1; n <= limit; n++) assert_string_equal(found_keys[n - 1].id, id_of(n));
  }
}

/* ---- forgotten ---- */

/* The log of changes and the sequences are cut and remembered together or not at all. */
static void what_is_cut_is_remembered(void **state) {
  static const st_sql cuts[][3] = {
      {ST_SQL_LOG_LENGTH, ST_SQL_LOG_CUT, ST_SQL_LOG_FROM},
      {ST_SQL_SEQUENCE_LENGTH, ST_SQL_SEQUENCE_CUT, ST_SQL_SEQUENCE_FROM}};
  (void)state;
  make_key(1, "", "a");
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  for (size_t i = 0; i < 2; i++) {
    for (size_t bad = 0; bad < 3; bad++) {
      ANSWER({.which = cuts[i][0], .kind = ANSWER_ROW, .numbers = {1}},
             {.which = cuts[i][bad], .kind = ANSWER_FAILURE});
      assert_int_equal(st_store_purge(store, NOW * US, 0, NULL, error), ST_STORE_FAILED);
    }
    ANSWER({.which = cuts[i][0], .kind = ANSWER_ROW, .numbers = {1}},
           {.which = cuts[i][1], .kind = ANSWER_NOTHING},
           {.which = cuts[i][2], .kind = ANSWER_NOTHING});
    assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
    assert_int_equal(answers[0].values[0], 200000);
    for (size_t at = 1; at < 3; at++) {
      assert_int_equal(answers[at].runs, 1);
      assert_int_equal(answers[at].values[0], 1);
    }
  }
}

/* A purge ends, however much there is: the next one goes on. */
static void a_purge_sweeps_so_often(void **state) {
  (void)state;
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_CHANGED, .number = 1});
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_int_equal(answers[0].runs, 20);
  assert_int_equal(answers[0].values[1], 1000);
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_CHANGED, .number = 1, .to = 2});
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_int_equal(answers[0].runs, 3);
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_CHANGED, .number = 0});
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_int_equal(answers[0].runs, 1);
  ANSWER({.which = ST_SQL_PURGE_REFRESH, .kind = ANSWER_CHANGED, .number = 0},
         {.which = ST_SQL_SET_REMOVE_ROWS, .kind = ANSWER_CHANGED, .number = 1, .to = 3});
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_int_equal(answers[0].runs, 4); /* sessions alone, too */
}

/* The sequence is above that of the snapshot, and not before its time. */
static void a_snapshot_is_taken_over_above_its_sequence(void **state) {
  (void)state;
  uint64_t hash = 7;
  st_restore_report report;
  st_revocation_state now;
  const int64_t sequences[] = {5, NOW * US, NOW * US + 50};
  const int64_t wanted[] = {NOW * US, NOW * US + 1, NOW * US + 51};
  for (size_t i = 0; i < 3; i++) {
    assert_ok(st_store_revocation_state(store, &now, error));
    st_revocation_snapshot snapshot = {
        .sequence = sequences[i], .hashes = &hash, .count = 1, .life = 3600};
    memcpy(snapshot.hash_key, now.hash_key, sizeof snapshot.hash_key);
    assert_ok(st_store_restore_revocations(store, CONTEXT, &snapshot, &report, error));
    assert_int_equal(report.sequence, wanted[i]);
  }
}

/* ---- subs of others ---- */

static st_store_status revoke_sub(subtoken_text sub, int64_t iat) {
  char id[ST_KEY_ID_LEN + 1];
  return st_store_revoke_sub(store, CONTEXT, sub, iat, 3600, id, NULL, error);
}

/* The later of both times counts: a token may have been made by a clock that is ahead. */
static void a_sub_is_listed_from_the_later_time_on(void **state) {
  (void)state;
  ANSWER({.which = ST_SQL_SUB_LIST, .kind = ANSWER_NOTHING});
  assert_ok(revoke_sub(ST_TEXT("one"), NOW - 10));
  assert_int_equal(answers[0].values[1], NOW);
  assert_ok(revoke_sub(ST_TEXT("two"), NOW));
  assert_int_equal(answers[0].values[1], NOW);
  assert_ok(revoke_sub(ST_TEXT("three"), NOW + 10));
  assert_int_equal(answers[0].values[1], NOW + 10);
  assert_int_equal(revoke_sub(ST_TEXT("three"), NOW + 10), ST_STORE_DENIED);
  make_key(1, "", "a");
  assert_int_equal(revoke_sub(st_text(sub_of(1)), NOW), ST_STORE_EXISTS);
  ANSWER({.which = ST_SQL_ROW_FIND_SUB, .kind = ANSWER_BAD_TEXT, .column = 0});
  assert_int_equal(revoke_sub(st_text(sub_of(1)), NOW), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_ROW_FIND_SUB, .kind = ANSWER_FAILURE});
  assert_int_equal(revoke_sub(ST_TEXT("four"), NOW), ST_STORE_FAILED);
}

/* ---- how long ---- */

/* A database that answers slowly is waited for as long as so many take, unless the caller says. */
static void a_change_of_many_is_waited_for_longer(void **state) {
  enum { USERS = 50, HASHES = 4000 };
  static uint64_t hashes[HASHES];
  static st_user_import users[USERS];
  st_revocation_state current;
  st_restore_report report;
  (void)state;
  for (unsigned i = 0; i < HASHES; i++) hashes[i] = i + 1;
  for (unsigned n = 0; n < USERS; n++) {
    char username[20];
    snprintf(username, sizeof username, "user %u", n);
    users[n] = (st_user_import){.user = user_of(n, username, "a"), .mode = ST_IMPORT_CREATE};
    memcpy(users[n].digest, digest_of(n), sizeof users[n].digest);
  }
  NO_ANSWERS;
  int64_t five_us = st_clock_monotonic_us() + 5 * US;
  assert_ok(st_store_user_import(store, CONTEXT, users, USERS, NULL, error));
  assert_true(answers_until_us >= five_us + USERS * INT64_C(20000));
  assert_ok(st_store_revocation_state(store, &current, error));
  st_revocation_snapshot from = {
      .sequence = current.sequence + US, .hashes = hashes, .count = HASHES};
  memcpy(from.hash_key, current.hash_key, sizeof from.hash_key);
  assert_ok(st_store_restore_revocations(store, CONTEXT, &from, &report, error));
  assert_true(answers_until_us >= five_us + HASHES * INT64_C(300));
  st_audit_context context = *CONTEXT;
  context.until_us = five_us + 60 * US;
  assert_ok(st_store_restore_revocations(store, &context, &from, &report, error));
  assert_int_equal(answers_until_us, context.until_us);
}

/* ---- what cannot be done before ---- */

/* A change that can wait for nothing fails when something remains, and counts within its turn. */
static void a_change_without_needs_fails_or_counts(void **state) {
  (void)state;
  st_change change = {0};
  st_ended ended = {0};
  make_large_user();
  NO_ANSWERS;
  st_db *db = store->driver->change_db(store);
  assert_int_equal(db->ops->begin(db, st_clock_monotonic_us() + 60 * US), ST_STORE_OK);
  assert_ok(st_remaining_check(db, &change, "ann"));
  assert_ok(st_remaining_count(db, &change, "ann", NULL, &ended));
  assert_true(ended.keys == 3 && ended.sessions == 1 && ended.rows == 4);
  ANSWER({.which = ST_SQL_REMAINING_FIND, .kind = ANSWER_ROW});
  assert_int_equal(st_remaining_check(db, &change, "ann"), ST_STORE_FAILED);
  ANSWER({.which = ST_SQL_OWNED_HOLDING, .kind = ANSWER_FAILURE});
  assert_int_equal(st_remaining_count(db, &change, "ann", NULL, &ended), ST_STORE_FAILED);
  db->ops->rollback(db);
}

/* What was counted holds for one user and what is taken from that one. */
static void what_was_counted_is_of_one_user(void **state) {
  static const struct {
    const char *owner, *permissions;
    int counts;
    st_store_status status;
    int64_t keys;
  } cases[] = {{"ann", "a", 1, ST_STORE_OK, 7},    {"bob", "a", 1, ST_STORE_BUSY, 0},
               {"ann", "b", 1, ST_STORE_BUSY, 0},  {"ann", NULL, 1, ST_STORE_BUSY, 0},
               {"ann", "a", 0, ST_STORE_BUSY, 0},  {"ann", "a", 3, ST_STORE_OK, 7},
               {"ann", NULL, 2, ST_STORE_BUSY, 0}, {"ann", NULL, 3, ST_STORE_OK, 3}};
  (void)state;
  make_large_user();
  NO_ANSWERS;
  st_db *db = store->driver->change_db(store);
  assert_int_equal(db->ops->begin(db, st_clock_monotonic_us() + 60 * US), ST_STORE_OK);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    st_change_need need = {.owner = "ann",
                           .permissions = "a",
                           .keys = 7,
                           .sessions = 2,
                           .last_line = INT64_MAX,
                           .counts = cases[i].counts};
    st_change change = {.need = &need};
    st_ended ended = {0};
    st_store_status status =
        st_remaining_count(db, &change, cases[i].owner, cases[i].permissions, &ended);
    if (status != cases[i].status || ended.keys != cases[i].keys) {
      fail_msg("case %zu: %d, %d keys", i, (int)status, (int)ended.keys);
    }
    if (status == ST_STORE_OK) assert_int_equal(ended.rows, ended.keys + ended.sessions);
    if (status != ST_STORE_BUSY) continue;
    assert_int_equal(need.what, ST_NEED_COUNT);
    assert_string_equal(need.owner, cases[i].owner);
    assert_string_equal(need.permissions, cases[i].permissions != NULL ? cases[i].permissions : "");
  }
  db->ops->rollback(db);
}

/* A large change that begins when a snapshot is about to be taken over is gone on with first. */
static void a_snapshot_waits_for_what_is_left(void **state) {
  (void)state;
  st_restore_report report;
  st_revocation_state now;
  uint64_t hash = 7;
  make_large_user();
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  assert_ok(st_store_revocation_state(store, &now, error));
  st_revocation_snapshot snapshot = {
      .sequence = now.sequence + 5, .hashes = &hash, .count = 1, .life = 3600};
  memcpy(snapshot.hash_key, now.hash_key, sizeof snapshot.hash_key);
  ANSWER({.which = ST_SQL_REMAINING_NEXT, .kind = ANSWER_NO_ROW, .to = 1},
         {.which = ST_SQL_REMAINING_DELETE, .kind = ANSWER_NOTHING});
  st_audit_context soon = *CONTEXT;
  soon.until_us = st_clock_monotonic_us() + 20 * US;
  assert_ok(st_store_restore_revocations(store, &soon, &snapshot, &report, error));
  assert_int_equal(answers[1].runs, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lines_are_held_back_while_others_write),
      TEST(more_than_is_looked_at_is_told),
      TEST(a_list_of_what_was_made_says_whether_it_is_whole),
      TEST(a_session_rests_on_what_it_was_begun_with),
      TEST(a_refresh_token_is_looked_at_again),
      TEST(so_many_rows_are_a_large_change),
      TEST(what_is_lost_makes_a_change_large),
      TEST(a_statement_that_fails_ends_the_change),
      TEST(rows_are_counted_in_pages),
      TEST(a_page_that_cannot_be_counted_fails),
      TEST(who_goes_on_changing_is_counted_within_the_turn),
      TEST(what_fails_within_the_turn_fails),
      TEST(a_step_looks_at_so_many_rows),
      TEST(a_key_that_ended_meanwhile_is_passed_over),
      TEST(many_that_are_found_are_all_read),
      TEST(what_is_cut_is_remembered),
      TEST(a_purge_sweeps_so_often),
      TEST(a_sub_is_listed_from_the_later_time_on),
      TEST(a_change_of_many_is_waited_for_longer),
      TEST(a_change_without_needs_fails_or_counts),
      TEST(a_retry_needs_its_successor),
      TEST(a_session_may_have_ended_long_ago),
      TEST(what_was_counted_is_of_one_user),
      TEST(a_snapshot_waits_for_what_is_left),
      TEST(a_snapshot_is_taken_over_above_its_sequence),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
