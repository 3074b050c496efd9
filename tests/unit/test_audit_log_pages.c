/* audit_log: pages that end where the next line does not fit, or where the store has looked at as
 * many lines as it may; together they have each line once.
 */
#include "service_fixture.h"

#define AUDIT "/v2/audit"
#define MOST 40

static st_users users;
static size_t details[MOST + 1]; /* bytes of the detail of each line, by its id */
static int64_t lines_of_log;     /* their ids are 1 and up */
static size_t asked, first_rows,
    rows_left;             /* rows_left: as the store says, 0: fewer by those it looked at */
static int64_t look_at;    /* lines at a time */
static int64_t found_from; /* those with this id or a higher one are found */

static void fill(st_audit_line *line, int64_t id) {
  memset(line, 0, sizeof *line);
  line->id = id;
  line->at = NOW;
  snprintf(line->action, sizeof line->action, "key.create");
  assert_true(details[id] < sizeof line->detail);
  memset(line->detail, 'd', details[id]);
}

static st_store_status list(void *context, int64_t before, size_t limit, st_audit_line *lines,
                            size_t *count) {
  (void)context;
  int64_t id = before == 0 ? lines_of_log : before - 1;
  *count = 0;
  asked++;
  for (; id > 0 && *count < limit; id--) fill(&lines[(*count)++], id);
  return ST_STORE_OK;
}

static st_store_status search(void *context, const st_audit_filter *filter, int64_t before,
                              st_audit_line *lines, st_search_page *page) {
  (void)context;
  (void)filter;
  int64_t id = before == 0 ? lines_of_log : before - 1, looked_at = 0;
  if (asked++ == 0) first_rows = page->rows;
  assert_true(page->rows > 0 && page->limit > 0);
  page->count = 0;
  for (; id > 0 && looked_at < look_at && page->count < page->limit; id--, looked_at++) {
    if (id >= found_from) fill(&lines[page->count++], id);
    page->last_line = id;
  }
  page->more = id > 0;
  page->rows = rows_left > 0 ? rows_left : page->rows - (size_t)looked_at;
  return ST_STORE_OK;
}

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  users = fixture_users;
  users.list_audit = list;
  users.search_audit = search;
  service.users = &users;
  asked = first_rows = rows_left = 0;
  look_at = MOST;
  found_from = 0;
  memset(details, 0, sizeof details);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  return 0;
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static int64_t next_of_reply(void) {
  const char *at = memmem(reply.body, reply.body_len, "],\"next\":", 9);
  return at != NULL ? strtoll(at + 9, NULL, 10) : 0;
}

/* All pages have the lines from the last one on, each once. */
static size_t read_all(const char *query, int64_t *last) {
  char target[128];
  size_t pages = 0;
  int64_t next = 0, wanted = lines_of_log;
  do {
    snprintf(target, sizeof target, AUDIT "?%s", query);
    if (next > 0) snprintf(target, sizeof target, AUDIT "?%s&before=%lld", query, (long long)next);
    assert_int_equal(get(target, AS_KEY), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    const char *at = reply.body, *end = reply.body + reply.body_len;
    while ((at = memmem(at, (size_t)(end - at), "{\"id\":", 6)) != NULL) {
      at += 6;
      CHECK(strtoll(at, NULL, 10) == wanted, "%.10s is not %lld", at, (long long)wanted);
      wanted--;
    }
    next = next_of_reply();
  } while (++pages < MOST && next > 0);
  *last = wanted + 1;
  return pages;
}

static void a_page_ends_where_the_next_line_does_not_fit(void **state) {
  (void)state;
  int64_t last;
  lines_of_log = MOST;
  for (size_t i = 1; i <= MOST; i++)
    details[i] = i % 5 == 0 ? 1 : sizeof((st_audit_line *)0)->detail - 1;
  for (int filtered = 0; filtered < 2; filtered++) {
    size_t pages = read_all(filtered == 1 ? "limit=100&action=key.create" : "limit=100", &last);
    CHECK(last == 1 && pages > 1 && pages < 20, "%lld in %zu pages", (long long)last, pages);
  }
}

/* However full a page is, its end fits behind the last line. */
static void the_end_of_a_page_has_room(void **state) {
  (void)state;
  size_t most = sizeof((st_audit_line *)0)->detail - 1, ends = 0, shortest = SIZE_MAX;
  lines_of_log = MOST;
  for (size_t i = 0; i <= MOST; i++) details[i] = most;
  for (size_t more = 0; more <= most; more++) {
    details[MOST] = more;
    assert_int_equal(get(AUDIT "?limit=100", AS_KEY), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    assert_true(next_of_reply() > 0);
    ends++;
    if (sizeof reply.body - reply.body_len < shortest) {
      shortest = sizeof reply.body - reply.body_len;
    }
  }
  CHECK(ends == most + 1 && shortest < 64, "%zu, %zu", ends, shortest);
}

static void a_search_looks_at_so_many_lines(void **state) {
  (void)state;
  int64_t last;
  lines_of_log = MOST;
  found_from = MOST - 4;
  look_at = 3;
  assert_int_equal(read_all("action=key.create", &last), 1);
  assert_int_equal(last, MOST - 4);
  assert_int_equal(first_rows, ST_SEARCH_ROWS / 2);
  assert_true(asked > 10);
  /* One that may still be looked at is one. */
  asked = 0;
  rows_left = 1;
  assert_int_equal(read_all("action=key.create", &last), 1);
  assert_true(asked > 10);
  /* With so many found it goes on behind the last that was looked at. */
  assert_int_equal(get(AUDIT "?limit=2&action=key.create", AS_KEY), 200);
  assert_int_equal(next_of_reply(), MOST - 1);
}

static void a_time_is_one(void **state) {
  (void)state;
  lines_of_log = 1;
  assert_int_equal(get(AUDIT "?since=1970-01-01T00:00:01Z", AS_KEY), 200);
  assert_int_equal(first_rows, ST_SEARCH_ROWS / 2); /* that is a search */
  assert_int_equal(get(AUDIT "?until=1970-01-01T00:00:01Z", AS_KEY), 200);
  assert_int_equal(get(AUDIT "?since=1699999999s", AS_KEY), 200);
  assert_int_equal(get(AUDIT "?since=1700000000s", AS_KEY), 200);
  assert_int_equal(get(AUDIT "?since=1970-01-01", AS_KEY), 200);
  assert_int_equal(get(AUDIT "?since=a&since=b", AS_KEY), 400);
  check_body("{\"text\":\"since: given more than once\"}");
  assert_int_equal(get(AUDIT "?since=%", AS_KEY), 400);
  check_body("{\"text\":\"since: has a bad percent-encoding, or a NUL\"}");
  assert_false(says("entries"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_page_ends_where_the_next_line_does_not_fit),
      TEST(the_end_of_a_page_has_room),
      TEST(a_search_looks_at_so_many_lines),
      TEST(a_time_is_one),
  };
#undef TEST
  return cmocka_run_group_tests_name("audit_log_pages", tests, NULL, NULL);
}
