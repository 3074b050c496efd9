/* key_list: where pages of keys end, by what is written, looked at and asked for; and values of one
 * character. What is found is in test_key_list.c.
 */
#include "service_fixture.h"

#define KEYS "/v2/keys"

static st_key_changes changes;
static size_t asked, rows_left, most_left, last_asked;

/* As the fixture's; after each call so many rows may be looked at. */
static st_store_status search(void *context, const st_key_filter *filter, const char *after,
                              st_key *keys, st_search_page *page) {
  asked++;
  assert_true(page->limit >= 1 && page->limit <= 16);
  if (page->limit > most_left) most_left = page->limit;
  st_store_status status = fixture_search_keys(context, filter, after, keys, page);
  if (rows_left > 0) page->rows = rows_left;
  if (asked == last_asked) page->rows = 0;
  return status;
}

/* It writes what it does not find. */
static st_store_status find_no_sub(void *context, subtoken_text sub, st_key *key) {
  (void)context;
  (void)sub;
  *key = fixture_row_of(KEY_ID)->key;
  return ST_STORE_NOT_FOUND;
}

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  changes = fixture_key_changes;
  changes.search = search;
  service.changes = &changes;
  asked = rows_left = most_left = last_asked = 0;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  service.changes = &fixture_key_changes;
  return 0;
}

static fixture_row *add(unsigned group, unsigned number, const char *permissions) {
  char id[ST_KEY_ID_LEN + 1];
  snprintf(id, sizeof id, "%08X-%04X-0000-0000-000000000000", group, number);
  fixture_row *row = fixture_add(ST_KIND_KEY, id, "", "mass", permissions, ST_NEVER);
  snprintf(row->key.name, sizeof row->key.name, "mass");
  return row;
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static size_t count_keys(void) {
  size_t count = 0;
  const char *at = reply.body, *end = reply.body + reply.body_len;
  while ((at = memmem(at, (size_t)(end - at), "{\"id\":", 6)) != NULL) {
    at++;
    count++;
  }
  return count;
}

/* Each key once over all pages. */
static size_t read_all(const char *query, size_t *pages) {
  char target[256], last[64] = "";
  size_t count = 0;
  for (*pages = 0; *pages < 60;) {
    snprintf(target, sizeof target, KEYS "?%s&after=%s", query, last);
    assert_int_equal(get(target, AS_KEY), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    count += count_keys();
    ++*pages;
    if (!says("],\"next\":")) return count;
    snprintf(last, sizeof last, "%s", member("next"));
  }
  fail_msg("%s has no end", query);
  return 0;
}

/* A page of a search has as many as were asked for; the store is asked for no more than that. */
static void a_search_finds_no_more_than_the_limit(void **state) {
  (void)state;
  size_t pages;
  for (unsigned i = 1; i <= 30; i++) (void)add(0xA0000000 + i, 0, "account");
  for (size_t limit = 1; limit <= 20; limit++) {
    char query[64];
    snprintf(query, sizeof query, "search=mass&limit=%zu", limit);
    most_left = 0;
    assert_int_equal(read_all(query, &pages), 30);
    assert_true(pages >= (30 + limit - 1) / limit && most_left == (limit < 16 ? limit : 16));
    snprintf(query, sizeof query, KEYS "?search=mass&limit=%zu", limit);
    assert_int_equal(get(query, AS_KEY), 200);
    CHECK(count_keys() == limit, "%zu: %zu", limit, count_keys());
    assert_int_equal(strlen(member("next")), ST_KEY_ID_LEN);
  }
  /* One row that may still be looked at is one. */
  rows_left = 1;
  assert_int_equal(read_all("search=mass&limit=100", &pages), 30);
  assert_int_equal(pages, 1);
}

/* A page of those that expire ends at the time of its last key, also where the next does not fit,
 * which is looked for once. */
static void a_full_page_ends_at_its_last_key(void **state) {
  (void)state;
  size_t pages;
  fixture_row_of(POOR_ID)->key.expires_at = ST_NEVER;
  for (unsigned i = 1; i <= 16; i++) {
    add(0xA0000000 + i, 0, too_many())->key.expires_at = 1700000100 + (int64_t)i * 9;
  }
  assert_int_equal(read_all("expiring=1d&limit=100", &pages), 16);
  assert_true(pages >= 4 && asked <= 3 * pages);
  assert_int_equal(get(KEYS "?expiring=1d&limit=2&search=mass", AS_KEY), 200);
  assert_string_equal(member("next"), "1700000118:A0000002-0000-0000-0000-000000000000");
}

/* However full it is, the end of a page fits. */
static void the_end_of_a_page_has_room(void **state) {
  (void)state;
  size_t shortest = SIZE_MAX;
  static char text[ST_PERMISSIONS_TEXT_MAX + 1];
  for (unsigned i = 1; i <= 7; i++) {
    add(0xA0000000 + i, 0, too_many())->key.expires_at = 1700000100 + (int64_t)i * 9;
  }
  memset(text, 'p', sizeof text - 1);
  fixture_row *row = fixture_row_of("A0000005-0000-0000-0000-000000000000");
  for (size_t len = 1; len < sizeof text - 1; len += 7) {
    snprintf(row->key.permissions, sizeof row->key.permissions, "%.*s", (int)len, text);
    assert_int_equal(get(KEYS "?expiring=1d&limit=100", AS_KEY), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}' && says("],\"next\":"));
    size_t left = sizeof reply.body - reply.body_len;
    if (left < shortest) shortest = left;
  }
  CHECK(shortest < 100, "%zu", shortest);
}

/* Without anything to look for nothing is searched. */
static void a_list_is_no_search(void **state) {
  (void)state;
  assert_int_equal(get(KEYS, AS_KEY), 200);
  assert_int_equal(get(KEYS "?limit=1&after=0", AS_KEY), 200);
  assert_int_equal(count_keys(), 1);
  assert_int_equal(asked, 0);
  fixture_row_of(POOR_ID)->key.expires_at = NOW;
  assert_int_equal(get(KEYS "?state=expired", AS_KEY), 200);
  assert_true(count_keys() == 1 && asked > 0);
}

static void one_character_is_a_value(void **state) {
  (void)state;
  add(0xA0000001, 0, "account")->key.owner[1] = '\0'; /* m */
  assert_int_equal(get(KEYS "?sub=x", AS_KEY), 200);
  check_body("{\"keys\":[]}");
  assert_int_equal(get(KEYS "?owner=m", AS_KEY), 200);
  assert_true(count_keys() == 1 && asked == 1);
  assert_int_equal(get(KEYS "?search=p", AS_KEY), 200);
  assert_true(count_keys() == 2 && asked > 1);
  assert_int_equal(get(KEYS "?state=a", AS_KEY), 400);
  assert_int_equal(get(KEYS "?expiring=0", AS_KEY), 400);
  assert_int_equal(get(KEYS "?expiring=x", AS_KEY), 400);
  assert_int_equal(get(KEYS "?after=G", AS_KEY), 200);
  check_body("{\"keys\":[]}");
  assert_int_equal(get(KEYS "?expiring=1d&after=0", AS_KEY), 400);
  /* A bound manager of an audience of one character finds its own alone. */
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "e");
  assert_int_equal(get(KEYS, AS_KEY), 200);
  assert_true(count_keys() == 1 && says(KEY_ID));
  assert_int_equal(get(KEYS "/" POOR_ID, AS_KEY), 404);
}

static void times_have_bounds(void **state) {
  (void)state;
  static const struct {
    const char *query;
    int status;
  } rows[] = {
      {"expiring=52124995687d", 200},
      {"expiring=52124995688d", 400},
      {"expiring=1d&after=9007199254740990:0", 400},
      {"expiring=1d&after=8500000000000000:0", 200},
      {"expiring=1d&after=9500000000000000:0", 400},
      {"expiring=1d&after=99999999999999999:0", 400},
      {"expiring=1d&after=1999999999:0", 200},
      {"expiring=1d&after=1:0", 200},
      {"expiring=1d&after=5/:0", 400},
      {"expiring=1d&after=5-:0", 400},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[96];
    snprintf(target, sizeof target, KEYS "?%s", rows[i].query);
    CHECK(get(target, AS_KEY) == rows[i].status, "%s: %d", target, reply.status);
  }
}

/* A bound manager gets on among keys of others that have the first group of an id in common, finds
 * each own key once, and is told of no other.
 */
static void a_bound_manager_gets_on_among_others(void **state) {
  (void)state;
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  for (unsigned i = 1; i <= 24; i++) {
    fixture_row *row = add(0xA0000001 + i / 9, i, "account");
    if (i % 7 == 1) snprintf(row->key.audience, 3, "eu");
  }
  for (int steps = 1; steps <= 3; steps++) {
    char target[128], last[64] = "";
    size_t found = 0, pages = 0;
    fixture.out_of_time = steps == 1;
    rows_left = steps == 2 ? 1 : 0;
    do {
      snprintf(target, sizeof target, KEYS "?search=s&limit=%d&after=%s", steps == 3 ? 1 : 100,
               last);
      assert_int_equal(get(target, AS_KEY), 200);
      found += count_keys();
      if (!says("],\"next\":")) break;
      const char *next = member("next");
      const fixture_row *row = fixture_row_of(next);
      CHECK(strcmp(next, last) > 0, "%s after %s", next, last);
      CHECK(row == NULL || strcmp(row->key.audience, "eu") == 0 || strncmp(next, last, 8) == 0,
            "%s after %s", next, last);
      snprintf(last, sizeof last, "%s", next);
    } while (++pages < 60);
    CHECK(found == 5 && pages < 60, "%d: %zu in %zu pages", steps, found, pages);
  }
}

/* Nothing is found in two steps: the first group of the last key is told, not the key where the
 * first of them ended.
 */
static void a_bound_manager_is_told_no_key_of_a_step_before(void **state) {
  (void)state;
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  for (unsigned i = 1; i <= 12; i++) (void)add(0xA0000001, i, "account");
  last_asked = 2;
  assert_int_equal(get(KEYS "?search=mass", AS_KEY), 200);
  assert_int_equal(asked, 2);
  assert_int_equal(count_keys(), 0);
  assert_string_equal(member("next"), "A0000001");
}

/* Who is bound to no audience is told where a page ended, whole. */
static void a_page_without_keys_ends_at_the_last_one(void **state) {
  (void)state;
  for (unsigned i = 1; i <= 8; i++) (void)add(0xA0000001, i, "account");
  last_asked = 1;
  assert_int_equal(get(KEYS "?search=mast", AS_KEY), 200);
  assert_int_equal(count_keys(), 0);
  assert_int_equal(strlen(member("next")), ST_KEY_ID_LEN);
  assert_non_null(fixture_row_of(member("next")));
}

static void what_is_not_found_is_not_shown(void **state) {
  (void)state;
  changes.find_sub = find_no_sub;
  assert_int_equal(get(KEYS "?sub=any", AS_KEY), 200);
  check_body("{\"keys\":[]}");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_search_finds_no_more_than_the_limit),
      TEST(a_full_page_ends_at_its_last_key),
      TEST(the_end_of_a_page_has_room),
      TEST(a_list_is_no_search),
      TEST(one_character_is_a_value),
      TEST(times_have_bounds),
      TEST(a_bound_manager_gets_on_among_others),
      TEST(a_bound_manager_is_told_no_key_of_a_step_before),
      TEST(a_page_without_keys_ends_at_the_last_one),
      TEST(what_is_not_found_is_not_shown),
  };
#undef TEST
  return cmocka_run_group_tests_name("key_list_pages", tests, NULL, NULL);
}
