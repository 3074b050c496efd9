/* user_list: pages of users that end where the next does not fit, or where the store has looked at
 * as many as it may; together they have each user once.
 */
#include "service_fixture.h"

#define USER "/v1/user"
#define MOST 24

static st_users users;
static struct {
  char name[ST_NAME_MAX + 1];
  size_t permissions; /* bytes of them */
} rows[MOST];
static size_t row_count, asked;
static size_t rows_left;      /* as the store says after each batch; 0: those not looked at */
static size_t look_at;        /* users that it looks at in a batch */
static const char *must_have; /* in a name that is found */
static bool fails;

static void fill(st_user *user, size_t i) {
  memset(user, 0, sizeof *user);
  user->key.kind = ST_KIND_USER;
  snprintf(user->key.owner, sizeof user->key.owner, "%s", rows[i].name);
  snprintf(user->key.name, sizeof user->key.name, "%s", rows[i].name);
  memset(user->key.permissions, 'p', rows[i].permissions);
  snprintf(user->password, sizeof user->password, "hash of " PASSWORD);
  user->key.expires_at = ST_NEVER;
}

static st_store_status search(void *context, subtoken_text text, const char *after, st_user *found,
                              st_search_page *page) {
  (void)context;
  (void)text;
  size_t i = 0, looked_at = 0;
  asked++;
  assert_true(page->limit >= 1 && page->limit <= 8 && page->rows > 0);
  while (i < row_count && strcmp(rows[i].name, after) <= 0) i++;
  page->count = 0;
  for (; i < row_count && looked_at < look_at && page->count < page->limit; i++, looked_at++) {
    if (strstr(rows[i].name, must_have) != NULL) fill(&found[page->count++], i);
    snprintf(page->last, sizeof page->last, "%s", rows[i].name);
  }
  page->more = i < row_count;
  page->rows = rows_left > 0 ? rows_left : page->rows - looked_at;
  return fails ? ST_STORE_FAILED : ST_STORE_OK;
}

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  users = fixture_users;
  users.search = search;
  service.users = &users;
  row_count = asked = rows_left = 0;
  look_at = MOST;
  must_have = "";
  fails = false;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  return 0;
}

static void add(const char *name, size_t permissions) {
  assert_true(row_count < MOST);
  snprintf(rows[row_count].name, sizeof rows[0].name, "%s", name);
  rows[row_count++].permissions = permissions;
}

static bool has_next(void) {
  return memmem(reply.body, reply.body_len, "],\"next\":\"", 10) != NULL;
}

/* All pages; how many users they have, which come in their order, each once. */
static size_t read_all(const char *query, size_t *pages) {
  char target[2 * ST_NAME_MAX], next[ST_NAME_MAX + 1] = "";
  size_t found = 0;
  *pages = 0;
  do {
    snprintf(target, sizeof target, USER "?%s&after=%s", query, next);
    assert_int_equal(get(target, AS_KEY), 200);
    assert_true(reply.body_len > 0);
    const char *at = reply.body, *end = reply.body + reply.body_len;
    while ((at = memmem(at, (size_t)(end - at), "{\"login\":\"", 10)) != NULL) {
      at += 10;
      while (strstr(rows[found].name, must_have) == NULL) found++;
      CHECK(strncmp(at, rows[found].name, strlen(rows[found].name)) == 0, "%.20s is no %s", at,
            rows[found].name);
      found++;
    }
    snprintf(next, sizeof next, "%s", has_next() ? member("next") : "");
  } while (++*pages < 2 * MOST && next[0] != '\0');
  return found;
}

static void a_page_ends_where_the_next_does_not_fit(void **state) {
  (void)state;
  size_t pages;
  char name[3] = "aa";
  for (size_t i = 0; i < 12; i++, name[1]++) add(name, i % 7 == 6 ? 8 : 4000);
  assert_int_equal(read_all("limit=100", &pages), 12);
  assert_true(pages >= 2 && pages < 6);
  /* The last page ends so, too, when the store has no more. */
  row_count = 6;
  assert_int_equal(read_all("limit=100", &pages), 6);
  assert_int_equal(read_all("limit=6", &pages), 6);
}

/* However full the page is, its end fits behind the last user: 256 bytes, most of them escaped. */
static void the_end_of_a_page_has_room(void **state) {
  (void)state;
  char name[ST_NAME_MAX + 1];
  for (size_t i = 0; i < 5; i++) {
    memset(name, '"', sizeof name);
    name[0] = (char)('a' + i);
    name[ST_NAME_MAX] = '\0';
    add(name, 3840);
  }
  add("z", 4000);
  size_t ends = 0, shortest = SIZE_MAX;
  for (size_t more = 0; more < 700; more++) {
    rows[4].permissions = 3460 + more;
    assert_int_equal(get(USER "?limit=100", AS_KEY), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    ends += has_next();
    if (has_next() && sizeof reply.body - reply.body_len < shortest) {
      shortest = sizeof reply.body - reply.body_len;
    }
  }
  CHECK(ends > 0 && shortest < 1100, "%zu, %zu bytes were left", ends, shortest);
}

/* Where nobody is found it goes on behind whom the store looked at last. */
static void a_search_goes_on_where_it_ended(void **state) {
  (void)state;
  size_t pages;
  char name[3] = "aa";
  for (size_t i = 0; i < 20; i++, name[1]++) add(name, 8);
  must_have = "q";
  look_at = 3;
  assert_int_equal(read_all("search=q", &pages), 17);
  assert_int_equal(pages, 1);
  assert_int_equal(asked, 7);
  assert_int_equal(get(USER "?search=q&limit=1", AS_KEY), 200);
  assert_string_equal(member("next"), "aq");
  /* And it ends when so many rows were looked at; one more that may be is one. */
  asked = 0;
  rows_left = 1;
  assert_int_equal(read_all("search=q", &pages), 17);
  assert_true(asked == 7 && pages == 1);
}

static void the_longest_name_may_be_the_last(void **state) {
  (void)state;
  size_t pages;
  char name[ST_NAME_MAX + 1];
  memset(name, 'n', ST_NAME_MAX);
  name[ST_NAME_MAX] = '\0';
  add(name, 8);
  add("o", 8);
  assert_int_equal(read_all("limit=1", &pages), 2);
  assert_int_equal(pages, 2);
}

static void a_store_that_fails_gives_no_page(void **state) {
  (void)state;
  add("aa", 8);
  fails = true;
  assert_int_equal(get(USER, AS_KEY), 503);
  check_event("store_error");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_page_ends_where_the_next_does_not_fit), TEST(the_end_of_a_page_has_room),
      TEST(a_search_goes_on_where_it_ended),         TEST(the_longest_name_may_be_the_last),
      TEST(a_store_that_fails_gives_no_page),
  };
#undef TEST
  return cmocka_run_group_tests_name("user_list", tests, NULL, NULL);
}
