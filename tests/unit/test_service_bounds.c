/* What the small endpoints and the readers of service do at their ends: what cannot be read, what
 * does not fit, what a server does not offer, and a store that fails in the middle of a request.
 */
#include "service_fixture.h"

#include "service/accept.h"
#include "service/entity_tag.h"
#include "service/made.h"
#include "service/reply.h"

static st_users users;
static st_keys keys;

static int set_up(void **state) {
  users = fixture_users;
  service.users = &users;
  keys = service.keys;
  service.metrics = NULL;
  service.feed_status = NULL;
  service.secret_first_seen = NULL;
  return fixture_set_up(state);
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  service.keys = keys;
  service.metrics = NULL;
  service.feed_status = NULL;
  service.secret_first_seen = NULL;
  return 0;
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(says(part), "no %s in %.*s", part, (int)reply.body_len, reply.body);
}

/* ---- headers ---- */

/* A range that cannot be read counts as if it were not there. */
static void the_better_of_two_formats_is_chosen(void **state) {
  (void)state;
#define OPEN "application/openmetrics-text"
  static const struct {
    const char *accept;
    bool open;
  } rows[] = {
      {"text/plain;q=0.5," OPEN ";q=0.6", true},
      {"text/plain;q=0.5," OPEN ";q=0.4", false},
      {"text/plain;q=0.5," OPEN ";q=1x", false},
      {"text/plain;q=0.5," OPEN ";q=0./", false},
      {"text/plain;q=0.5," OPEN ";q=0.:", false},
      {"text/plain;q=0.5," OPEN ";q=", false},
      {"text/plain;q=0.5," OPEN ";q=2", false},
      {"text/plain;q=0.5," OPEN ";q=1.001", false},
      {"text/plain;q=0.5," OPEN ";q=\"0.7\"", true},
      {"text/plain;q=0.5," OPEN ";q=\"0.7", false},
      {"text/plain;q=0.5," OPEN ";q", true}, /* it says nothing, so it is 1 */
      {"text/plain;q=0.2,text/plain;q=0.8," OPEN ";q=0.5", false},
      {"text/plain;q=0.8,text/plain;q=0.2," OPEN ";q=0.5", false},
      {"text/plain;q=0.2,text/plain;q=0.4," OPEN ";q=0.5", true},
      {"text/*;q=0.9,text/plain;q=0.2," OPEN ";q=0.5", true},
      {"text/plain;q=0.2,text/*;q=0.9," OPEN ";q=0.5", true},
      {";q=0.9,text/plain;q=0.2", false},
  };
#undef OPEN
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text value = exact_string(rows[i].accept);
    st_header header = {ST_TEXT("accept"), value};
    CHECK(st_accept_open_metrics(&header, 1) == rows[i].open, "%s", rows[i].accept);
    release(value);
  }
}

static void a_tag_is_known_by_whole_items_alone(void **state) {
  (void)state;
  static const struct {
    subtoken_text value;
    bool known;
  } rows[] = {
      {ST_TEXT("\"abc\""), true},
      {ST_TEXT("W/\"abc\""), true},
      {ST_TEXT(", \t\"x\",\"abc\""), true},
      {ST_TEXT("*"), true},
      {ST_TEXT("abc"), false},
      {ST_TEXT("\"abc"), false},
      {ST_TEXT("Wx\"abc\""), false},
      {ST_TEXT("W/"), false},
      {ST_TEXT("W/x"), false},
      {ST_TEXT(""), false},
      {{"\0\"abc\"", 6}, false},
      {{"\"x\",\0\"abc\"", 10}, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_header header = {ST_TEXT("If-None-Match"), rows[i].value};
    st_request request = {.headers = &header, .header_count = 1};
    CHECK(st_entity_tag_is_known(&request, "abc") == rows[i].known, "row %zu", i);
  }
}

/* No byte that could end a line goes into one. */
static void a_header_has_visible_characters_alone(void **state) {
  (void)state;
  static const subtoken_text bad[] = {ST_TEXT("a\nb"), ST_TEXT("a\x1F"), ST_TEXT("\x7F"),
                                      ST_TEXT("\xC3\xA9")};
  for (size_t i = 0; i < COUNT(bad); i++) {
    memset(&reply, 0, sizeof reply);
    CHECK(!st_reply_header_text(&reply, "X", bad[i]) && reply.headers_len == 0, "row %zu", i);
  }
  assert_true(st_reply_header_text(&reply, "X", ST_TEXT("a ~b")));
  check_header("X: a ~b\r\n");
}

/* ---- what was made by who is ended ---- */

static void what_was_made_is_told_whole_or_not(void **state) {
  (void)state;
  static const st_derived none, some = {.keys = 2, .users = 1};
  static const char whole[] =
      "{\"a\":1,\"made\":{\"keys\":2,\"users\":1,\"ended\":false,\"list\":[]}}";
  char out[128];
  for (size_t size = 8; size <= sizeof whole + 2; size++) {
    memset(out, 'x', sizeof out);
    st_writer writer = st_writer_on(out, size);
    st_write_literal(&writer, "{\"a\":1}");
    st_made_write(&writer, &none);
    assert_int_equal(writer.len, 7);
    st_made_write(&writer, &some);
    assert_true(st_writer_end(&writer));
    CHECK(strcmp(out, size >= sizeof whole ? whole : "{\"a\":1}") == 0, "%zu: %s", size, out);
  }
  st_writer writer = st_writer_on(out, sizeof out);
  st_made_write(&writer, &some); /* there is no object that it could go into */
  assert_int_equal(writer.len, 0);
  writer = st_writer_on(out, 4);
  st_write_literal(&writer, "12345");
  assert_true(writer.overflow);
  st_made_write(&writer, &some);
  assert_true(writer.overflow);
}

/* ---- the table of routes ---- */

static void each_route_has_a_place(void **state) {
  (void)state;
  size_t issues = 0, decides = 0;
  for (size_t place = 1; place <= st_router_count(); place++) {
    st_route_info info = st_router_route(place);
    CHECK(info.path[0] == '/' && strlen(info.path) <= ST_ROUTE_PATH_MAX, "%s", info.path);
    bool issuing = strcmp(info.path, "/v2/createsubtoken") == 0;
    bool deciding = strcmp(info.path, "/v2/authorize") == 0;
    if (issuing) assert_int_equal(info.counts, ST_ROUTE_ISSUES);
    if (deciding) assert_int_equal(info.counts, ST_ROUTE_DECIDES);
    if (strcmp(info.path, "/healthz") == 0) assert_int_equal(info.counts, 0);
    issues += issuing;
    decides += deciding;
  }
  assert_true(issues == 1 && decides == 1);
  const size_t places[] = {0, st_router_count() + 1, SIZE_MAX};
  for (size_t i = 0; i < COUNT(places); i++) {
    st_route_info info = st_router_route(places[i]);
    assert_string_equal(info.path, "other");
    assert_int_equal(info.counts, 0);
  }
}

static void a_path_of_one_other_character_is_no_server(void **state) {
  (void)state;
  assert_int_equal(fixture_ask("OPTIONS", "*", "", ""), 204);
  assert_int_equal(fixture_ask("OPTIONS", "/", "", ""), 204);
  assert_int_not_equal(fixture_ask("OPTIONS", "x", "", ""), 204);
}

/* ---- metrics, the feed, the ring, the caller ---- */

static bool metrics_good;
static bool fixture_metrics(bool open, st_payload *payload) {
  payload->data = open ? "open" : "text";
  payload->len = 4;
  return metrics_good;
}

static void metrics_are_for_who_may_see_them(void **state) {
  (void)state;
  assert_int_equal(get("/metrics", AS_KEY), 404);
  service.metrics = fixture_metrics;
  metrics_good = false;
  assert_int_equal(get("/metrics", ""), 401);
  assert_int_equal(get("/metrics", AS_KEY), 403);
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions, "metrics");
  assert_int_equal(get("/metrics", AS_KEY), 503);
  check_event("oom");
  metrics_good = true;
  assert_int_equal(get("/metrics", AS_KEY "Accept: text/plain\n"), 200);
  assert_memory_equal(reply.payload.data, "text", 4);
  assert_non_null(strstr(reply.content_type, "text/plain"));
  assert_int_equal(get("/metrics", AS_KEY "Accept: application/openmetrics-text\n"), 200);
  assert_memory_equal(reply.payload.data, "open", 4);
  assert_non_null(strstr(reply.content_type, "openmetrics"));
}

static bool feed_good;
static char feed_key[ST_KEY_ID_LEN + 1], feed_audience[ST_AUDIENCE_MAX + 1];
static bool fixture_feed_status(void *store, int64_t now, const st_feed_view *view,
                                st_payload *payload) {
  assert_ptr_equal(store, &fixture);
  assert_true(now == NOW);
  snprintf(feed_key, sizeof feed_key, "%s", view->key_id != NULL ? view->key_id : "any");
  snprintf(feed_audience, sizeof feed_audience, "%.*s", (int)view->audience.len,
           view->audience.data);
  payload->data = "{}";
  payload->len = 2;
  return feed_good;
}

static void an_edge_sees_what_its_key_asked(void **state) {
  (void)state;
  feed_good = false;
  assert_int_equal(get("/v2/feed", ""), 401);
  assert_int_equal(get("/v2/feed", AS_POOR), 403);
  assert_int_equal(get("/v2/feed", AS_KEY), 503);
  service.feed_status = fixture_feed_status;
  assert_int_equal(get("/v2/feed", AS_KEY), 503);
  check_event("store_error");
  feed_good = true;
  assert_int_equal(get("/v2/feed", AS_KEY), 200);
  assert_memory_equal(reply.payload.data, "{}", 2);
  assert_string_equal(feed_key, "any");
  assert_string_equal(feed_audience, "");
  st_key *edge = &fixture_row_of(POOR_ID)->key;
  snprintf(edge->permissions, sizeof edge->permissions, "revocations");
  snprintf(edge->audience, sizeof edge->audience, "web");
  assert_int_equal(get("/v2/feed", AS_POOR), 200);
  assert_string_equal(feed_key, POOR_ID);
  assert_string_equal(feed_audience, "web");
}

static int64_t fixture_first_seen(void *store, const subtoken_ring *of, size_t i) {
  assert_ptr_equal(store, &fixture);
  assert_ptr_equal(of, &ring);
  return i == 2 ? 0 : i == 1 ? NOW + 5 : NOW - 10; /* whose clock was ahead of ours */
}

static void each_secret_has_an_age_that_is_not_below_zero(void **state) {
  (void)state;
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("b"), OTHER_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_ring_add(&ring, ST_TEXT("c"), OTHER_SECRET, 32), SUBTOKEN_OK);
  service.secret_first_seen = fixture_first_seen;
  assert_int_equal(get("/v2/ring", AS_KEY), 200);
  check_body(
      "{\"secrets\":["
      "{\"kid\":\"\",\"signs\":true,\"first_seen\":\"2023-11-14T22:13:10Z\",\"age\":10},"
      "{\"kid\":\"b\",\"signs\":false,\"first_seen\":\"2023-11-14T22:13:25Z\",\"age\":0},"
      "{\"kid\":\"c\",\"signs\":false,\"first_seen\":null,\"age\":null}]}");
}

static const char *access_of(const char *headers, const char *target, const char *body) {
  static char line[SUBTOKEN_ISSUED_MAX + 128];
  CHECK(post(target, headers, body) == 200, "%s: %d %.*s", target, reply.status,
        (int)reply.body_len, reply.body);
  snprintf(line, sizeof line, "Authorization: Bearer %s\n", member("access_token"));
  return line;
}

static void a_session_is_told_whose_it_is(void **state) {
  (void)state;
  const char *line =
      access_of(AS_JSON, "/v1/auth/login", "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}");
  assert_int_equal(get("/v2/whoami", line), 200);
  check_body_starts("{\"auth\":\"login\",\"login\":\"alice\",\"key\":null,");
  check_says("\"owner\":\"alice\"");
  line = access_of(AS_KEY, "/v1/auth/token", "");
  assert_int_equal(get("/v2/whoami", line), 200);
  check_body_starts("{\"auth\":\"service\",\"login\":null,\"key\":\"" KEY_ID "\",");
  check_says("\"owner\":\"operations\"");
}

/* ---- users ---- */

static void nobody_enables_a_user_who_has_more(void **state) {
  (void)state;
#define BOB "/v1/user/bob"
#define ENABLE "{\"disabled\":false}"
  fixture_add_user("bob", "B0B00000-0000-0000-0000-000000000000", "account");
  st_key *bob = &fixture.users[1].key, *poor = &fixture_row_of(POOR_ID)->key;
  snprintf(poor->permissions, sizeof poor->permissions, "account,users");
  assert_int_equal(fixture_ask("PATCH", BOB, AS_KEY AS_JSON, "{\"disabled\":true}"), 200);
  assert_true(bob->disabled);
  assert_int_equal(fixture_ask("PATCH", BOB, AS_POOR AS_JSON, ENABLE), 403);
  check_says("disabled: the user expires later than the credential you use");
  bob->expires_at = NOW + 600;
  snprintf(bob->permissions, sizeof bob->permissions, "account,bank");
  assert_int_equal(fixture_ask("PATCH", BOB, AS_POOR AS_JSON, ENABLE), 403);
  check_says("disabled: the user has permissions that the credential you use lacks");
  assert_true(bob->disabled);
  snprintf(bob->permissions, sizeof bob->permissions, "account");
  assert_int_equal(fixture_ask("PATCH", BOB, AS_POOR AS_JSON, ENABLE), 200);
  assert_false(bob->disabled);
  /* One who is enabled already gains nothing by it. */
  snprintf(bob->permissions, sizeof bob->permissions, "account,bank");
  assert_int_equal(fixture_ask("PATCH", BOB, AS_POOR AS_JSON, ENABLE), 200);
  assert_int_equal(fixture_ask("OPTIONS", BOB, "", ""), 204);
  assert_true(reply.preflight);
  assert_string_equal(reply.allow, "GET, HEAD, DELETE, PATCH, OPTIONS");
}

static st_store_status fails_to_find(void *context, subtoken_text username, st_user *user) {
  return st_text_is(username, "alice") ? fixture_find(context, username, user) : ST_STORE_FAILED;
}

static st_password_status fails_to_hash(void *context, subtoken_text password, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  (void)fixture_hash(context, password, until_us, phc);
  return ST_PASSWORD_FAILED;
}

/* Also a session's user, whose end bounds what it gives. */
static size_t finds_left;
static st_store_status finds_so_often(void *context, subtoken_text username, st_user *user) {
  if (finds_left == 0) return ST_STORE_FAILED;
  finds_left--;
  return fixture_find(context, username, user);
}

static void a_user_is_made_by_a_store_that_works(void **state) {
  (void)state;
#define CAROL "{\"login\":\"carol\",\"password\":\"" PASSWORD "\"}"
  users.find = fails_to_find;
  assert_int_equal(post("/v1/user", AS_KEY AS_JSON, CAROL), 503);
  check_event("store_error");
  users.find = fixture_find;
  users.hash = fails_to_hash;
  assert_int_equal(post("/v1/user", AS_KEY AS_JSON, CAROL), 503);
  assert_int_equal(fixture.creates, 0);
  users.hash = fixture_hash;
  assert_int_equal(post("/v1/user", AS_KEY AS_JSON, CAROL), 201);
}

static void a_session_that_the_store_cannot_read_gives_nothing(void **state) {
  (void)state;
  static char session[SUBTOKEN_ISSUED_MAX + 256];
  fixture_add_user("bob", "B0B00000-0000-0000-0000-000000000000", "");
  snprintf(
      session, sizeof session, "%s" AS_JSON,
      access_of(AS_JSON, "/v1/auth/login", "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}"));
  users.find = finds_so_often;
  static const char *const changes[] = {"{\"permissions\":[\"account\"]}", ENABLE};
  for (size_t i = 0; i < COUNT(changes); i++) {
    fixture.users[1].key.disabled = true;
    fixture.users[1].key.permissions[0] = '\0';
    size_t before = fixture.changes, status = 503;
    for (finds_left = 1; status == 503 && finds_left < 9;) { /* bob, then alice */
      size_t allowed = finds_left;
      status = (size_t)fixture_ask("PATCH", BOB, session, changes[i]);
      if (status == 503) check_event("store_error");
      if (status == 503) assert_int_equal(fixture.changes, before);
      finds_left = allowed + 1;
    }
    CHECK(status == 200 && finds_left > 2, "%s: %zu after %zu", changes[i], status, finds_left);
    assert_int_equal(fixture.changes, before + 1);
  }
}

/* ---- pages of users ---- */

static size_t search_rows, search_fails_at, searches;

/* Users without end, each of whom fills a quarter of a body. */
static st_store_status search_large(void *context, subtoken_text text, const char *after,
                                    st_user *found, st_search_page *page) {
  unsigned long last = after[0] == '\0' ? 0 : strtoul(after + 1, NULL, 10);
  assert_ptr_equal(context, &fixture);
  assert_true(text.len == 0 || page->limit > 0);
  if (++searches == search_fails_at) return ST_STORE_FAILED;
  for (page->count = 0; page->count < page->limit; page->count++) {
    st_user *user = &found[page->count];
    memset(user, 0, sizeof *user);
    snprintf(user->key.owner, sizeof user->key.owner, "u%06lu", ++last);
    snprintf(user->key.permissions, sizeof user->key.permissions, "%s",
             text.len == 0 ? too_many() : "account");
    user->key.expires_at = ST_NEVER;
    snprintf(page->last, sizeof page->last, "%s", user->key.owner);
  }
  page->more = true;
  page->rows = search_rows;
  return ST_STORE_OK;
}

static size_t count_of(const char *part) {
  size_t count = 0;
  const char *at = reply.body, *end = reply.body + reply.body_len;
  while ((at = memmem(at, (size_t)(end - at), part, strlen(part))) != NULL) {
    count++;
    at++;
  }
  return count;
}

static void a_page_of_users_ends_where_the_next_does_not_fit(void **state) {
  (void)state;
  char last[16];
  users.search = search_large;
  search_rows = 1000;
  search_fails_at = searches = 0;
  assert_int_equal(get("/v1/user", AS_KEY), 200);
  size_t count = count_of("\"login\"");
  CHECK(count >= 3 && count < 8, "%zu", count);
  snprintf(last, sizeof last, "u%06zu", count);
  assert_string_equal(member("next"), last);
  assert_int_equal(searches, 1);
  /* Small ones: as many as are wanted, eight at a time, or until enough rows were looked at. */
  searches = 0;
  assert_int_equal(get("/v1/user?search=u&limit=20", AS_KEY), 200);
  assert_int_equal(count_of("\"login\""), 20);
  assert_string_equal(member("next"), "u000020");
  assert_int_equal(searches, 3);
  search_rows = 0;
  assert_int_equal(get("/v1/user?search=u&limit=20", AS_KEY), 200);
  assert_int_equal(count_of("\"login\""), 8);
  assert_string_equal(member("next"), "u000008");
  search_rows = 1000;
  search_fails_at = 2;
  searches = 0;
  assert_int_equal(get("/v1/user?search=u&limit=20", AS_KEY), 503);
  check_event("store_error");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_better_of_two_formats_is_chosen),
      cmocka_unit_test(a_tag_is_known_by_whole_items_alone),
      cmocka_unit_test(a_header_has_visible_characters_alone),
      cmocka_unit_test(what_was_made_is_told_whole_or_not),
      cmocka_unit_test(each_route_has_a_place),
      cmocka_unit_test_setup_teardown(a_path_of_one_other_character_is_no_server, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(metrics_are_for_who_may_see_them, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_edge_sees_what_its_key_asked, set_up, tear_down),
      cmocka_unit_test_setup_teardown(each_secret_has_an_age_that_is_not_below_zero, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(a_session_is_told_whose_it_is, set_up, tear_down),
      cmocka_unit_test_setup_teardown(nobody_enables_a_user_who_has_more, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_user_is_made_by_a_store_that_works, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_session_that_the_store_cannot_read_gives_nothing, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(a_page_of_users_ends_where_the_next_does_not_fit, set_up,
                                      tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
