/* audit: pages of the audit log, newest first. */
#include "service_fixture.h"

#define AUDIT "/v2/audit"

/* The ids of a page, from first down to last; next, or 0. */
static int64_t check_page(int64_t first, int64_t last) {
  static char copy[ST_REPLY_BODY_MAX];
  static st_json json;
  subtoken_text name;
  int64_t id, next = 0, expected = first;
  CHECK(reply.status == 200, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  memcpy(copy, reply.body, reply.body_len);
  st_json_start(&json, copy, reply.body_len);
  assert_true(st_json_object(&json) && st_json_member(&json, &name));
  assert_true(st_text_is(name, "entries") && st_json_array(&json));
  while (st_json_element(&json)) {
    assert_true(st_json_object(&json) && st_json_member(&json, &name) && st_text_is(name, "id") &&
                st_json_uint(&json, &id));
    CHECK(id == expected, "%lld, not %lld", (long long)id, (long long)expected);
    expected--;
    while (st_json_member(&json, &name)) assert_true(st_json_skip(&json));
  }
  CHECK(expected == last - 1, "the last is %lld", (long long)(expected + 1));
  if (st_json_member(&json, &name)) {
    assert_true(st_text_is(name, "next") && st_json_uint(&json, &next));
    assert_false(st_json_member(&json, &name));
  }
  assert_true(st_json_end(&json));
  return next;
}

static void lines_are_escaped_json(void **state) {
  (void)state;
  fixture.audit_last = 2;
  fixture.audit_detail = "permissions \"a\",\x1b\xFF";
  assert_int_equal(get(AUDIT, AS_KEY), 200);
  check_body(
      "{\"entries\":["
      "{\"id\":2,\"at\":\"2023-11-14T22:13:22Z\",\"who\":\"person "
      "\\\"2\\\"\",\"from\":\"192.0.2.2\","
      "\"action\":\"key.create\",\"target\":\"target\\u000a\","
      "\"detail\":\"permissions \\\"a\\\",\\u001b\xEF\xBF\xBD\"},"
      "{\"id\":1,\"at\":\"2023-11-14T22:13:21Z\",\"who\":\"person "
      "\\\"1\\\"\",\"from\":\"192.0.2.1\","
      "\"action\":\"key.create\",\"target\":\"target\\u000a\","
      "\"detail\":\"permissions \\\"a\\\",\\u001b\xEF\xBF\xBD\"}]}");
  fixture.audit_last = 0;
  assert_int_equal(get(AUDIT, AS_ALICE), 200);
  check_body("{\"entries\":[]}");
}

static void pages_lead_back_to_the_first_line(void **state) {
  (void)state;
  fixture.audit_last = 130;
  assert_int_equal(get(AUDIT, AS_KEY), 200);
  assert_true(check_page(130, 81) == 81);
  assert_int_equal(get(AUDIT "?before=81", AS_KEY), 200);
  assert_true(check_page(80, 31) == 31);
  assert_int_equal(get(AUDIT "?before=31", AS_KEY), 200);
  assert_true(check_page(30, 1) == 0);
  assert_int_equal(get(AUDIT "?before=1", AS_KEY), 200);
  check_body("{\"entries\":[]}");
  assert_int_equal(get(AUDIT "?limit=1", AS_KEY), 200);
  assert_true(check_page(130, 130) == 130);
  assert_int_equal(get(AUDIT "?limit=7&before=20", AS_KEY), 200);
  assert_true(check_page(19, 13) == 13);
  assert_int_equal(get(AUDIT "?limit=8&before=9", AS_KEY), 200);
  assert_true(check_page(8, 1) == 1); /* there may be more: who asks finds none */
  assert_int_equal(get(AUDIT "?limit=9&before=9", AS_KEY), 200);
  assert_true(check_page(8, 1) == 0);
  assert_int_equal(get(AUDIT "?before=9007199254740991&limit=100", AS_KEY), 200);
  assert_true(check_page(130, 31) == 31);
  assert_true(fixture.audit_most <= 16); /* they lie on a thread's stack */
}

/* Long lines: the page ends early, and the next begins where it ended. */
static void a_page_ends_when_the_body_is_full(void **state) {
  (void)state;
  static char detail[ST_AUDIT_DETAIL_MAX + 1];
  memset(detail, '\x01', ST_AUDIT_DETAIL_MAX);
  fixture.audit_detail = detail;
  fixture.audit_last = 20;
  int64_t before = 21, pages = 0;
  while (before > 1) {
    char target[64];
    snprintf(target, sizeof target, AUDIT "?limit=100&before=%lld", (long long)before);
    assert_int_equal(get(target, AS_KEY), 200);
    int64_t last = before > 3 ? before - 3 : 1;
    int64_t next = check_page(before - 1, last);
    CHECK(next == (last == 1 ? 0 : last), "%lld", (long long)next);
    before = last;
    pages++;
  }
  assert_true(pages == 7);
}

/* What is asked for goes to the store, and nothing else does. */
static void each_filter_is_passed_on(void **state) {
  (void)state;
  static const struct {
    const char *query;
    bool who, action, target;
    int64_t since, until;
  } rows[] = {
      {"", false, false, false, -1, -1}, /* nothing: the log is listed */
      {"?who=", false, false, false, -1, -1},
      {"?who=a", true, false, false, 0, 0},
      {"?action=a", false, true, false, 0, 0},
      {"?target=a", false, false, true, 0, 0},
      {"?since=1s", false, false, false, NOW - 1, 0},
      {"?since=2h", false, false, false, NOW - 7200, 0},
      {"?until=1d", false, false, false, 0, NOW - DAY},
      {"?until=1970-01-01T00:00:01Z", false, false, false, 0, 1},
      {"?since=1970-01-01", false, false, false, -1, -1}, /* all there is */
      {"?since=0001-01-01T00:00:00Z&until=1s", false, false, false, 0, NOW - 1},
      {"?since=99999d&until=60000d", false, false, false, 0, 1},
      {"?until=1970-01-01", false, false, false, 0, 1},
      {"?until=0001-01-01", false, false, false, 0, 1},
      {"?since=2023-11-14", false, false, false, NOW - (NOW % DAY), 0},
      {"?who=a&action=b&target=c&since=1m&until=1s", true, true, true, NOW - 60, NOW - 1},
  };
  fixture.audit_last = 3;
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[200];
    const st_audit_filter *asked = &fixture.audit_filter;
    snprintf(target, sizeof target, AUDIT "%s", rows[i].query);
    memset(&fixture.audit_filter, 0, sizeof fixture.audit_filter);
    fixture.audit_filter.since = fixture.audit_filter.until = -1;
    CHECK(get(target, AS_KEY) == 200, "%s: %d", rows[i].query, reply.status);
    CHECK((asked->who != NULL) == rows[i].who && (asked->action != NULL) == rows[i].action &&
              (asked->target != NULL) == rows[i].target,
          "%s", rows[i].query);
    CHECK(asked->since == rows[i].since && asked->until == rows[i].until, "%s", rows[i].query);
  }
  static const char *const bad[] = {
      "?since=1",   "?since=1w", "?since=x",          "?since=s", "?since=99999999999999d",
      "?until=-1d", "?until=%",  "?since=1s&since=1s"};
  for (size_t i = 0; i < COUNT(bad); i++) {
    char target[200];
    snprintf(target, sizeof target, AUDIT "%s", bad[i]);
    CHECK(get(target, AS_KEY) == 400, "%s: %d", bad[i], reply.status);
  }
}

static void bounds_of_parameters_are_told(void **state) {
  (void)state;
  static const struct {
    const char *query, *text;
  } rows[] = {
      {"limit=0", "limit: must be a number from 1 to 100"},
      {"limit=101", "limit: must be a number from 1 to 100"},
      {"limit=1x", "limit: must be a number from 1 to 100"},
      {"limit=1x1", "limit: must be a number from 1 to 100"},
      {"limit=/1", "limit: must be a number from 1 to 100"},
      {"limit=:1", "limit: must be a number from 1 to 100"},
      {"before=x", "before: must be a number from 1 to 9007199254740991"},
      {"action=%4", "action: has a bad percent-encoding, or a NUL"},
      {"action=%00", "action: has a bad percent-encoding, or a NUL"},
      {"since=0000000000111111111122222222223333333333444444444455555555556666666666",
       "since: must have at most "},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[120];
    snprintf(target, sizeof target, AUDIT "?%s", rows[i].query);
    CHECK(get(target, AS_KEY) == 400, "%zu: %d", i, reply.status);
    check_body_starts("{\"text\":\"");
    CHECK(memmem(reply.body, reply.body_len, rows[i].text, strlen(rows[i].text)) != NULL, "%.*s",
          (int)reply.body_len, reply.body);
  }
}

static void others_may_not_read_it(void **state) {
  (void)state;
  static const struct {
    const char *target, *headers;
    int status;
    const char *event;
  } rows[] = {
      {AUDIT, "", 401, "auth_missing"},
      {AUDIT, "X-API-Key: x\n", 401, "key_unknown"},
      {AUDIT, AS_POOR, 403, "perm"},
      {AUDIT "?limit=0", AS_KEY, 400, "bad_request"},
      {AUDIT "?limit=101", AS_KEY, 400, "bad_request"},
      {AUDIT "?limit=1000", AS_KEY, 400, "bad_request"},
      {AUDIT "?limit=x", AS_KEY, 400, "bad_request"},
      {AUDIT "?limit=-1", AS_KEY, 400, "bad_request"},
      {AUDIT "?limit=1&limit=1", AS_KEY, 400, "bad_request"},
      {AUDIT "?before=0", AS_KEY, 400, "bad_request"},
      {AUDIT "?before=9007199254740992", AS_KEY, 400, "bad_request"},
      {AUDIT "?before=99999999999999999999", AS_KEY, 400, "bad_request"},
      {AUDIT "?before=%", AS_KEY, 400, "bad_request"},
  };
  fixture.audit_last = 3;
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(get(rows[i].target, rows[i].headers) == rows[i].status, "%zu: %d", i, reply.status);
    check_event(rows[i].event);
  }
  assert_int_equal(get(AUDIT, bearer(subtoken_of_key("audit", NULL, NOW + 60))), 403);
  check_event("escalation");
  assert_int_equal(fixture.audit_asked, 0);
  assert_int_equal(post(AUDIT, AS_KEY, ""), 405);
  assert_string_equal(reply.allow, "GET, HEAD, OPTIONS");
  assert_int_equal(fixture_ask_at("HEAD", AUDIT, AS_KEY, "", NOW_US), 200);
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(get(AUDIT, AS_KEY), 503);
  check_event("store_error");
  assert_true(reply.retry_after > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(lines_are_escaped_json, fixture_set_up),
      cmocka_unit_test_setup(pages_lead_back_to_the_first_line, fixture_set_up),
      cmocka_unit_test_setup(a_page_ends_when_the_body_is_full, fixture_set_up),
      cmocka_unit_test_setup(each_filter_is_passed_on, fixture_set_up),
      cmocka_unit_test_setup(bounds_of_parameters_are_told, fixture_set_up),
      cmocka_unit_test_setup(others_may_not_read_it, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
