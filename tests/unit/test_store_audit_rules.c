/* What the rules of the audit log do around its statements: which ones a search or a cut asks for,
 * in which order lines are written, and that a cut which fails has cut nothing.
 */
#include "store_answers.h"

#include "domain/store_search.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR 3600

static void add(int64_t at, const char *who, const char *action, const char *target) {
  st_audit_context context = {.now_us = at * US, .who = who, .from = "here"};
  assert_ok(st_store_audit_add(store, &context, action, target, "", error));
}

/* ---- written ---- */

/* Where several changes run at a time lines come one after the other, as edges of a log expect. */
static void lines_are_written_in_order(void **state) {
  (void)state;
  store->concurrent = true;
  ANSWER({.which = ST_SQL_AUDIT_INSERT, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_SETTING_GET, .kind = ANSWER_NOTHING},
         {.which = ST_SQL_KEY_USED, .kind = ANSWER_NOTHING});
  add(NOW, "ann", "a", "");
  assert_true(answers[0].runs == 1 && answers[0].ordered);
  const st_key_use uses[2] = {{.id = "an id", .at = NOW}, {.id = "behind it", .at = NOW}};
  assert_ok(st_store_key_mark_used(store, uses, 1, error));
  assert_true(answers[2].runs == 1 && answers[2].ordered);
  st_audit_cut cut = {.keep = 60};
  assert_ok(st_store_audit_cut(store, CONTEXT, &cut, error));
  assert_true(answers[1].runs > 0 && answers[1].ordered);
  answers[1].ordered = false;
  assert_ok(st_store_count_uptime(store, 0, error));
  assert_true(answers[1].ordered);
  answers[1].ordered = false;
  assert_ok(st_store_purge(store, NOW * US, 0, NULL, error));
  assert_true(answers[1].ordered);
}

static void short_texts_are_in_the_line(void **state) {
  (void)state;
  st_key key = row_of(1, "o", "p");
  snprintf(key.name, sizeof key.name, "n");
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
  assert_line("key.create", id_of(1), "permissions p; expires never; owner o; name n");
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(2), 0, NULL, error));
  assert_line("key.rotate", id_of(1), "the secret before is no longer valid; owner o; name n");
}

/* No character begins where this could be cut. */
static void bytes_that_are_no_text_are_cut(void **state) {
  (void)state;
  char bytes[2 * ST_NAME_MAX];
  memset(bytes, 0x80, sizeof bytes);
  bytes[sizeof bytes - 1] = '\0';
  add(NOW, "ann", "a", bytes);
  assert_string_equal(last_line().target, "");
}

/* Once in an hour of uptime. */
static void a_mark_is_set_every_hour(void **state) {
  static const struct {
    int64_t uptime;
    int marks;
  } cases[] = {{0, 0},        {1, 0},        {HOUR - 1, 0},     {HOUR, 1},
               {HOUR + 1, 1}, {HOUR + 2, 1}, {2 * HOUR - 1, 1}, {2 * HOUR, 2}};
  (void)state;
  ANSWER({.which = ST_SQL_AUDIT_MARK, .kind = ANSWER_NOTHING});
  for (size_t i = 0; i < COUNT(cases); i++) {
    assert_ok(st_store_count_uptime(store, cases[i].uptime * US, error));
    assert_int_equal(answers[0].runs, cases[i].marks);
  }
}

/* ---- cut ---- */

static st_store_status cut_lines(st_audit_cut *cut) {
  *cut = (st_audit_cut){.keep = 60, .removed = 7, .more = true};
  return st_store_audit_cut(store, CONTEXT_AT(NOW + 2 * HOUR), cut, error);
}

static void a_cut_that_fails_has_cut_nothing(void **state) {
  static const answer bad[] = {
      {.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE, .from = 1, .to = 1},
      {.which = ST_SQL_SETTING_GET, .kind = ANSWER_FAILURE, .from = 2},
      {.which = ST_SQL_AUDIT_MARKED, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_AUDIT_UNMARK, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_AUDIT_IS_OLD, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_AUDIT_CUT, .kind = ANSWER_FAILURE},
      {.which = ST_SQL_AUDIT_INSERT, .kind = ANSWER_FAILURE},
  };
  (void)state;
  st_audit_cut cut;
  for (int i = 0; i < 3; i++) add(NOW, "ann", "a", "");
  assert_ok(st_store_count_uptime(store, 0, error));
  assert_ok(st_store_count_uptime(store, HOUR * US, error));
  assert_ok(st_store_count_uptime(store, 2 * HOUR * US, error));
  for (size_t i = 0; i < COUNT(bad); i++) {
    answer_with(&bad[i], 1);
    assert_int_equal(cut_lines(&cut), ST_STORE_FAILED);
    assert_true(cut.removed == 0 && !cut.more);
    assert_int_equal(lines(), 3);
  }
  /* What is to be gone on with is remembered, or the step is not made. */
  ANSWER({.which = ST_SQL_AUDIT_CUT, .kind = ANSWER_CHANGED, .number = 1000},
         {.which = ST_SQL_SETTING_SET, .kind = ANSWER_FAILURE});
  assert_int_equal(cut_lines(&cut), ST_STORE_FAILED);
  assert_true(cut.removed == 0 && !cut.more && lines() == 3);
  /* Nor is the last step, when it cannot be forgotten what was cut before. */
  NO_ANSWERS;
  assert_ok(st_store_set_setting(store, "audit_cut", 1, error));
  ANSWER({.which = ST_SQL_SETTING_SET, .kind = ANSWER_FAILURE});
  assert_int_equal(cut_lines(&cut), ST_STORE_FAILED);
  assert_true(cut.removed == 0 && !cut.more && lines() == 3);
}

static int64_t cut_so_far(void) {
  int64_t value = -1;
  st_store_status status = st_store_get_setting(store, "audit_cut", &value, error);
  return status == ST_STORE_NOT_FOUND ? -1 : value;
}

static void a_cut_goes_on_where_it_stopped(void **state) {
  (void)state;
  st_audit_cut cut;
  assert_ok(cut_lines(&cut)); /* nothing is old */
  assert_true(cut.removed == 0 && !cut.more && lines() == 0);
  for (int i = 0; i < 3; i++) add(NOW, "ann", "a", "");
  assert_ok(st_store_count_uptime(store, 0, error));
  assert_ok(st_store_count_uptime(store, HOUR * US, error));
  assert_ok(st_store_count_uptime(store, 2 * HOUR * US, error));
  ANSWER({.which = ST_SQL_AUDIT_CUT, .kind = ANSWER_CHANGED, .number = 999});
  assert_ok(cut_lines(&cut));
  assert_true(cut.removed == 999 && !cut.more && cut_so_far() == -1);
  NO_ANSWERS;
  assert_ok(cut_lines(&cut)); /* the last of them, which another one has followed */
  assert_true(cut.removed == 1 && !cut.more && cut_so_far() == -1);
  assert_ok(st_store_set_setting(store, "audit_cut", 1, error)); /* by a step before a stop */
  assert_ok(cut_lines(&cut));
  assert_true(cut.removed == 1 && !cut.more && cut_so_far() == 0);
  assert_line("audit.cut", "", "1 lines from before 2023-11-15T00:12:20Z");
  add(NOW, "ann", "a", "");
  assert_ok(st_store_count_uptime(store, 3 * HOUR * US, error));
  assert_ok(st_store_count_uptime(store, 4 * HOUR * US, error));
  ANSWER({.which = ST_SQL_AUDIT_CUT, .kind = ANSWER_CHANGED, .number = 1000, .to = 2},
         {.which = ST_SQL_AUDIT_IS_OLD, .kind = ANSWER_ROW});
  for (int64_t step = 1; step <= 2; step++) {
    assert_ok(cut_lines(&cut));
    assert_true(cut.removed == 1000 * step && cut.more && cut_so_far() == 1000 * step);
  }
  assert_int_equal(answers[0].values[2], 1000);
  assert_int_equal(answers[1].runs, 1);
  assert_ok(cut_lines(&cut));
  assert_true(cut.removed >= 2000 && !cut.more && cut_so_far() == 0);
}

/* ---- read ---- */

/* Also what lies behind the ends of its texts. */
static void a_line_is_written_whole(void **state) {
  (void)state;
  static st_audit_line read[2][2];
  size_t count = 0;
  add(NOW, "ann", "a", "t");
  memset(read[1], 0x5a, sizeof read[1]);
  for (size_t i = 0; i < 2; i++) {
    assert_ok(st_store_audit_list(store, 0, 1, read[i], &count, error));
    assert_int_equal(count, 1);
  }
  assert_memory_equal(&read[0][0], &read[1][0], sizeof read[0][0]);
  assert_int_equal(read[0][0].target[sizeof read[0][0].target - 1], 0);
}

#define BOUND(last, first_running, next)                                                      \
  {                                                                                           \
    .which = ST_SQL_AUDIT_BOUND, .kind = ANSWER_ROW, .numbers = { last, first_running, next } \
  }

static st_store_status follow(st_audit_place *place, size_t *count) {
  static st_audit_line found[8];
  return st_store_audit_follow(store, place, 8, found, count, error);
}

static void what_is_settled_stays_so(void **state) {
  (void)state;
  st_audit_place place = {0};
  size_t count = 9;
  for (int i = 0; i < 7; i++) add(NOW, "ann", "a", "");
  ANSWER(BOUND(6, 11, 14));
  assert_ok(follow(&place, &count));
  ANSWER(BOUND(7, 20, 20));
  assert_ok(follow(&place, &count));
  assert_true(count == 7 && place.settled == 7 && place.unsettled == 0);
  ANSWER(BOUND(7, 21, 22)); /* somebody is under way, and has written no line yet */
  assert_ok(follow(&place, &count));
  assert_true(count == 0 && place.settled == 7 && place.unsettled == 0);
  add(NOW, "ann", "a", "");
  ANSWER(BOUND(8, 23, 25));
  assert_ok(follow(&place, &count));
  assert_true(count == 0 && place.settled == 7 && place.unsettled == 25);
  ANSWER(BOUND(8, 3, 3)); /* another database, whose numbers are lower */
  assert_ok(follow(&place, &count));
  assert_true(count == 1 && place.settled == 8 && place.unsettled == 0);
  ANSWER({.which = ST_SQL_AUDIT_AFTER, .kind = ANSWER_FAILURE});
  assert_int_equal(follow(&place, &count), ST_STORE_FAILED);
  assert_true(count == 0 && place.last == 8);
}

/* The index that leads to the fewest lines is read; where it leads to what is looked for alone, for
 * a line more than the page has.
 */
static void a_search_reads_the_best_index(void **state) {
  static const struct {
    st_audit_filter filter;
    st_sql which;
    bool exact;
  } cases[] = {
      {{0}, ST_SQL_AUDIT_SCAN, true},
      {{.since = 1, .until = NOW + 9}, ST_SQL_AUDIT_SCAN, true},
      {{.action = "a.b"}, ST_SQL_AUDIT_SCAN_ACTION, true},
      {{.action = "a"}, ST_SQL_AUDIT_SCAN_ACTION, true},
      {{.action = "a."}, ST_SQL_AUDIT_SCAN, false},
      {{.action = "."}, ST_SQL_AUDIT_SCAN, false},
      {{.action = ""}, ST_SQL_AUDIT_SCAN, false},
      {{.who = "ann"}, ST_SQL_AUDIT_SCAN_WHO, true},
      {{.who = "ann", .action = "a.b"}, ST_SQL_AUDIT_SCAN_WHO, false},
      {{.target = "t"}, ST_SQL_AUDIT_SCAN_TARGET, true},
      {{.target = "t", .who = "ann"}, ST_SQL_AUDIT_SCAN_TARGET, false},
      {{.target = "t", .action = "a.b"}, ST_SQL_AUDIT_SCAN_TARGET, false},
      {{.target = "t", .who = "ann", .action = "a."}, ST_SQL_AUDIT_SCAN_TARGET, false},
  };
  (void)state;
  st_audit_line found[4];
  for (size_t i = 0; i < COUNT(cases); i++) {
    st_search_page page = {.limit = 2, .rows = 100};
    ANSWER({.which = cases[i].which, .kind = ANSWER_NOTHING});
    assert_ok(st_store_audit_search(store, &cases[i].filter, 0, found, &page, error));
    if (answers[0].runs != 1 || answers[0].values[3] != (cases[i].exact ? 3 : 32)) {
      fail_msg("case %zu: %d runs for %lld", i, answers[0].runs, (long long)answers[0].values[3]);
    }
  }
}

/* More at a time where there is little to find, up to a bound. */
static void a_search_asks_for_more_and_more(void **state) {
  (void)state;
  static const size_t steps[] = {64, 128, 256, 500, 500};
  st_audit_line found[2];
  st_search_page page = {.limit = 1, .rows = 10000};
  const st_audit_filter filter = {.action = "x."};
  for (size_t i = 0; i < COUNT(steps); i++) {
    assert_ok(st_store_audit_search(store, &filter, 0, found, &page, error));
    assert_int_equal(page.step, steps[i]);
  }
  page.step = 200;
  assert_ok(st_store_audit_search(store, &filter, 0, found, &page, error));
  assert_int_equal(page.step, 400);
  add(NOW, "ann", "x.a", "t");
  add(NOW, "ann", "x.a", "t");
  page.step = 128;
  assert_ok(st_store_audit_search(store, &filter, 0, found, &page, error));
  assert_true(page.more && page.step == 128); /* enough was found */
}

static size_t search(const st_audit_filter *filter, size_t limit, st_search_page *page) {
  static st_audit_line found[8];
  *page = (st_search_page){.limit = limit, .rows = 100};
  assert_ok(st_store_audit_search(store, filter, 0, found, page, error));
  return page->count;
}

/* A page goes on before a line, and is of a time: whichever of them ends first. */
static void a_page_is_before_a_line_and_a_time(void **state) {
  static const struct {
    size_t before; /* the line that was added so many first */
    int64_t until;
    size_t count;
  } cases[] = {{2, NOW, 0}, {2, NOW + 1, 1}, {3, NOW, 0},     {3, NOW + 10, 2}, {3, NOW + 5, 2},
               {3, 0, 2},   {1, NOW + 5, 0}, {2, NOW - 1, 0}, {3, 1, 0}};
  (void)state;
  static st_audit_line found[8];
  int64_t ids[4] = {0};
  for (size_t i = 1; i <= 3; i++) {
    add(i == 3 ? NOW + 10 : NOW, "ann", "a", "t");
    ids[i] = last_line().id;
  }
  for (size_t i = 0; i < COUNT(cases); i++) {
    st_search_page page = {.limit = 8, .rows = 100};
    const st_audit_filter filter = {.until = cases[i].until};
    assert_ok(st_store_audit_search(store, &filter, ids[cases[i].before], found, &page, error));
    if (page.count != cases[i].count) fail_msg("case %zu: %zu lines", i, page.count);
    for (size_t n = 0; n < page.count; n++) assert_int_equal(found[n].id, ids[page.count - n]);
  }
  add(0, "ann", "a", "t"); /* before all lines there is nothing, whatever their times are */
  ANSWER({.which = ST_SQL_AUDIT_PLACE, .kind = ANSWER_NO_ROW});
  st_search_page page = {.limit = 8, .rows = 100, .count = 7, .more = true, .last_line = 9};
  assert_ok(st_store_audit_search(store, &(st_audit_filter){0}, 77, found, &page, error));
  assert_true(page.count == 0 && !page.more && page.last_line == 77);
  page = (st_search_page){.limit = 8, .rows = 100};
  ANSWER({.which = ST_SQL_AUDIT_SCAN, .kind = ANSWER_BREAK});
  assert_int_equal(st_store_audit_search(store, &(st_audit_filter){0}, 0, found, &page, error),
                   ST_STORE_FAILED);
  assert_true(page.count == 0 && page.rows == 100);
}

/* No more than are left of those that may be looked at. */
static void a_search_asks_for_no_more_rows_than_are_left(void **state) {
  static const struct {
    const char *action;
    size_t rows;
    int64_t asked;
  } cases[] = {{"a.", 5, 5}, {"a.", 32, 32}, {"a.", 33, 32}, {"a", 1, 1},
               {"a", 2, 2},  {"a", 3, 3},    {"a", 4, 3}};
  (void)state;
  static st_audit_line found[2];
  for (size_t i = 0; i < COUNT(cases); i++) {
    st_search_page page = {.limit = 2, .rows = cases[i].rows};
    const st_audit_filter filter = {.action = cases[i].action};
    ANSWER({.which = cases[i].action[1] == '.' ? ST_SQL_AUDIT_SCAN : ST_SQL_AUDIT_SCAN_ACTION,
            .kind = ANSWER_NOTHING});
    assert_ok(st_store_audit_search(store, &filter, 0, found, &page, error));
    assert_int_equal(answers[0].values[3], cases[i].asked);
  }
}

static void what_is_looked_for_is_found_alone(void **state) {
  (void)state;
  st_search_page page;
  add(NOW, "ann", "x", "u");
  add(NOW, "bob", ".x", "t");
  add(NOW, "ann", "key.create", "t");
  assert_int_equal(search(&(st_audit_filter){.action = "."}, 8, &page), 1);
  assert_int_equal(search(&(st_audit_filter){.action = ""}, 8, &page), 0);
  assert_int_equal(search(&(st_audit_filter){.action = "key"}, 8, &page), 0);
  assert_int_equal(search(&(st_audit_filter){.action = "key", .who = "ann"}, 8, &page), 0);
  assert_int_equal(search(&(st_audit_filter){.action = "x"}, 8, &page), 1);
  assert_int_equal(search(&(st_audit_filter){.target = "t", .who = "ann"}, 8, &page), 1);
  assert_int_equal(search(&(st_audit_filter){.who = "ann", .action = "x"}, 8, &page), 1);
  /* What follows is something else: there is no other page. */
  assert_int_equal(search(&(st_audit_filter){.action = "key."}, 1, &page), 1);
  assert_true(!page.more && page.rows == 97);
  assert_int_equal(search(&(st_audit_filter){.target = "t"}, 1, &page), 1);
  assert_true(page.more);
  /* Where it goes on is in one row: behind that nothing is read. */
  static st_audit_line found[8];
  ANSWER({.which = ST_SQL_AUDIT_PLACE, .kind = ANSWER_BREAK});
  error[0] = '\0';
  assert_ok(st_store_audit_search(store, &(st_audit_filter){0}, 3, found, &page, error));
  assert_true(answers[0].runs == 1 && error[0] == '\0');
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(lines_are_written_in_order),
      TEST(short_texts_are_in_the_line),
      TEST(bytes_that_are_no_text_are_cut),
      TEST(a_mark_is_set_every_hour),
      TEST(a_cut_that_fails_has_cut_nothing),
      TEST(a_cut_goes_on_where_it_stopped),
      TEST(a_line_is_written_whole),
      TEST(what_is_settled_stays_so),
      TEST(a_search_reads_the_best_index),
      TEST(a_search_asks_for_more_and_more),
      TEST(a_page_is_before_a_line_and_a_time),
      TEST(a_search_asks_for_no_more_rows_than_are_left),
      TEST(what_is_looked_for_is_found_alone),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
