/* Keys that are looked for, and lines of the audit log: what the store is asked, in pages that go
 * on where one ended, also when nothing of a page fits.
 */
#include "service_fixture.h"

static void add_keys(void) {
  char id[ST_KEY_ID_LEN + 1];
  for (unsigned n = 0; n < 30; n++) {
    snprintf(id, sizeof id, "%08X-0000-0000-0000-000000000000", n + 1);
    fixture_row *row =
        fixture_add(ST_KIND_KEY, id, "", n % 2 == 0 ? "alice" : "bob", "account", NOW + 10 + n);
    snprintf(row->key.name, sizeof row->key.name, n % 5 == 0 ? "Deploy %u" : "other %u", n);
  }
}

/* How many keys all pages have, each once. */
static size_t count_all(const char *query, const char *headers, size_t *pages) {
  static char last[ST_KEY_ID_LEN + 1];
  char target[256];
  size_t count = 0;
  last[0] = '\0';
  for (*pages = 1; *pages < 50; ++*pages) {
    snprintf(target, sizeof target, "/v2/keys?%s&after=%s", query, last);
    assert_int_equal(get(target, headers), 200);
    const char *at = reply.body, *end = reply.body + reply.body_len;
    while ((at = memmem(at, (size_t)(end - at), "{\"id\":", 6)) != NULL) {
      at += 6;
      count++;
    }
    if (memmem(reply.body, reply.body_len, "\"next\":", 7) == NULL) return count;
    const char *next = member("next");
    assert_true(strcmp(next, last) > 0);
    snprintf(last, sizeof last, "%s", next);
  }
  fail_msg("%s has no end", query);
  return 0;
}

static void keys_are_found_in_pages(void **state) {
  (void)state;
  size_t pages;
  add_keys();
  assert_int_equal(count_all("search=DEPLOY", AS_KEY, &pages), 6);
  assert_int_equal(count_all("search=deploy&limit=1", AS_KEY, &pages), 6);
  assert_true(pages >= 6);
  assert_int_equal(count_all("search=nothing", AS_KEY, &pages), 0);
  assert_int_equal(count_all("owner=alice", AS_KEY, &pages), 15);
  assert_int_equal(count_all("expiring=15s", AS_KEY, &pages), 6);
  assert_true(fixture.key_filter.expires_until == NOW + 15);
  fixture.rows[5].key.disabled = true;
  assert_int_equal(count_all("state=disabled", AS_KEY, &pages), 1);
  assert_int_equal(count_all("state=active&limit=100", AS_KEY, &pages), 31);
}

/* A page that ends where the list does names no next one; each key is in one page. */
static void a_page_says_whether_more_follows(void **state) {
  (void)state;
  size_t pages;
  add_keys();
  size_t all = count_all("limit=100", AS_KEY, &pages);
  assert_int_equal(all, 32);
  assert_int_equal(pages, 1);
  for (size_t limit = 1; limit <= 33; limit++) {
    char query[32];
    snprintf(query, sizeof query, "limit=%zu", limit);
    CHECK(count_all(query, AS_KEY, &pages) == all, "%zu", limit);
    CHECK(pages == (all + limit - 1) / limit, "%zu: %zu pages", limit, pages);
  }
  assert_int_equal(count_all("expiring=9s", AS_KEY, &pages), 0);
  assert_int_equal(count_all("expiring=10s", AS_KEY, &pages), 1);
  assert_int_equal(count_all("expiring=1s", AS_KEY, &pages), 0);
  assert_true(fixture.key_filter.expires_until == NOW + 1);
}

/* A user finds the user's own, whatever is asked for. */
static void a_user_finds_own_keys(void **state) {
  (void)state;
  size_t pages;
  add_keys();
  assert_int_equal(count_all("search=e", AS_ALICE, &pages), 15);
  assert_string_equal(fixture.key_owner, "alice");
  assert_int_equal(count_all("owner=alice", AS_ALICE, &pages), 15);
  /* Of somebody else's nothing is told, and nothing is looked at. */
  fixture.looked_at = 0;
  static const char *const others[] = {"owner=bob", "owner=nobody&state=active",
                                       "owner=ALICE&expiring=30d&search=e"};
  for (size_t i = 0; i < COUNT(others); i++) {
    char target[80];
    snprintf(target, sizeof target, "/v2/keys?%s", others[i]);
    assert_int_equal(get(target, AS_ALICE), 200);
    check_body("{\"keys\":[]}");
  }
  assert_int_equal(fixture.looked_at, 0);
  assert_int_equal(count_all("expiring=15s&limit=1", AS_ALICE, &pages), 3);
  assert_string_equal(fixture.key_owner, "alice");
}

/* A page of those that expire ends at a time and an id: behind a key that is deleted, too. */
static void a_place_outlives_its_key(void **state) {
  (void)state;
  add_keys();
  assert_int_equal(get("/v2/keys?expiring=30d&limit=4", AS_KEY), 200);
  char target[128];
  snprintf(target, sizeof target, "/v2/keys?expiring=30d&limit=4&after=%s", member("next"));
  const char *id = strchr(target, ':');
  assert_non_null(id);
  fixture_row_of(id + 1)->ended = true;
  assert_int_equal(get(target, AS_KEY), 200);
  check_body_starts("{\"keys\":[{\"id\":\"00000005-");
  /* Of one owner it is an id. */
  assert_int_equal(get("/v2/keys?expiring=30d&limit=1&owner=bob", AS_KEY), 200);
  assert_null(strchr(member("next"), ':'));
}

/* A manager that is bound to an audience finds keys of that alone. */
static void a_bound_manager_finds_its_audience(void **state) {
  (void)state;
  size_t pages;
  add_keys();
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  assert_int_equal(count_all("search=other", AS_KEY, &pages), 0);
  fixture_row *ours = fixture_row_of("00000005-0000-0000-0000-000000000000");
  snprintf(ours->key.audience, 3, "eu");
  assert_int_equal(count_all("search=other&limit=1", AS_KEY, &pages), 1);
  assert_int_equal(count_all("expiring=30d", AS_KEY, &pages), 1);
  assert_int_equal(count_all("limit=1", AS_KEY, &pages), 2); /* with the manager's own */
}

/* Where a page of theirs ends is told without naming a key of another audience. */
static void a_bound_manager_is_told_no_other_key(void **state) {
  (void)state;
  add_keys();
  snprintf(fixture_row_of(KEY_ID)->key.audience, 3, "eu");
  snprintf(fixture_row_of("0000001E-0000-0000-0000-000000000000")->key.audience, 3, "eu");
  snprintf(fixture_row_of("00000003-0000-0000-0000-000000000000")->key.audience, 3, "eu");
  static const char *const queries[] = {"", "state=active", "owner=bob", "expiring=30d",
                                        "search=e"};
  for (size_t i = 0; i < COUNT(queries); i++) {
    char target[128], last[64] = "";
    unsigned pages = 0;
    fixture.out_of_time = true; /* a page is one step */
    do {
      snprintf(target, sizeof target, "/v2/keys?%s&after=%s", queries[i], last);
      assert_int_equal(get(target, AS_KEY), 200);
      if (memmem(reply.body, reply.body_len, "\"next\"", 6) == NULL) break;
      const char *next = member("next");
      const fixture_row *row = fixture_row_of(next);
      CHECK(row == NULL || strcmp(row->key.audience, "eu") == 0, "%s", next);
      CHECK(strcmp(next, last) > 0, "%s after %s", next, last);
      snprintf(last, sizeof last, "%s", next);
    } while (++pages < 50);
    CHECK(pages >= 3 && pages < 50, "%s: %u pages", queries[i], pages);
  }
}

static void what_cannot_be_read_is_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"/v2/keys?state=Active",
                                    "/v2/keys?expiring=0",
                                    "/v2/keys?expiring=soon",
                                    "/v2/keys?expiring=-1d",
                                    "/v2/keys?search=a&search=b",
                                    "/v2/keys?owner=%zz",
                                    "/v2/audit?since=never",
                                    "/v2/audit?until=2026-13-01",
                                    "/v2/audit?since=d",
                                    "/v2/audit?since=99999999999999d",
                                    "/v2/audit?who=a&who=b",
                                    "/v2/audit?action=a%00",
                                    "/v2/audit?target=%",
                                    "/v2/audit?since=1&since=2",
                                    "/v2/audit?since=12",
                                    "/v2/keys?after=00000001-0000-0000-0000-000000000000x",
                                    "/v2/keys?expiring=1d&after=00000001",
                                    "/v2/keys?expiring=1d&after=:00000001",
                                    "/v2/keys?expiring=1d&after=0:00000001",
                                    "/v2/keys?expiring=1d&after=99999999999999999999:0"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    CHECK(get(bad[i], AS_KEY) == 400, "%s: %d", bad[i], reply.status);
  }
  fixture.broken = true;
  assert_int_equal(get("/v2/keys?search=a", AS_KEY), 503);
}

static void lines_are_looked_for(void **state) {
  (void)state;
  fixture.audit_last = 20;
  assert_int_equal(
      get("/v2/audit?who=person%20%22x%22&action=key.&target=t&since=24h&until=2024-01-01", AS_KEY),
      200);
  assert_true(fixture.audit_filter.since == NOW - DAY && fixture.audit_filter.until == 1704067200);
  assert_true(fixture.audit_filter.who != NULL && fixture.audit_filter.target != NULL &&
              fixture.audit_filter.action != NULL);
  /* Of twenty lines the newest five are late enough; three are looked at at a time. */
  char target[80];
  snprintf(target, sizeof target, "/v2/audit?since=2023-11-14T22:13:36Z&limit=4");
  assert_int_equal(get(target, AS_KEY), 200);
  check_body_starts("{\"entries\":[{\"id\":20,");
  assert_non_null(memmem(reply.body, reply.body_len, ",\"next\":17}", 11));
  assert_int_equal(get("/v2/audit?since=2023-11-14T22:13:36Z&before=17", AS_KEY), 200);
  check_body_starts("{\"entries\":[{\"id\":16,");
  assert_null(memmem(reply.body, reply.body_len, "\"next\"", 6));
  assert_int_equal(get("/v2/audit?since=2100-01-01", AS_KEY), 200);
  check_body("{\"entries\":[]}");
  assert_int_equal(get("/v2/audit?who=a", AS_POOR), 403);
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(get("/v2/audit?who=a", AS_KEY), 503);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(keys_are_found_in_pages, fixture_set_up),
      cmocka_unit_test_setup(a_page_says_whether_more_follows, fixture_set_up),
      cmocka_unit_test_setup(a_user_finds_own_keys, fixture_set_up),
      cmocka_unit_test_setup(a_place_outlives_its_key, fixture_set_up),
      cmocka_unit_test_setup(a_bound_manager_finds_its_audience, fixture_set_up),
      cmocka_unit_test_setup(a_bound_manager_is_told_no_other_key, fixture_set_up),
      cmocka_unit_test_setup(what_cannot_be_read_is_refused, fixture_set_up),
      cmocka_unit_test_setup(lines_are_looked_for, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
