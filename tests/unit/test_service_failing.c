/* A store that works when a request comes and fails before it is answered, and rows of it that are
 * damaged: the request is refused with the right status, and nothing is answered by half.
 */
#include "service_fixture.h"

#define AS_JSON_KEY AS_KEY AS_JSON

static st_users users;
static st_key_changes changes;
static st_keys keys;

static int set_up(void **state) {
  users = fixture_users;
  changes = fixture_key_changes;
  keys = service.keys;
  service.users = &users;
  service.changes = &changes;
  return fixture_set_up(state);
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  service.changes = &fixture_key_changes;
  service.keys = keys;
  service.feed = (st_feed){0};
  service.note_edge = NULL;
  return 0;
}

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_says(const char *part) {
  CHECK(says(part), "no %s in %.*s", part, (int)reply.body_len, reply.body);
}

static void check_unavailable(void) {
  CHECK(reply.status == 503, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  check_event("store_error");
}

/* ---- a store that fails ---- */

static size_t calls_left; /* of a store, until it fails */

static bool fails_now(void) {
  return calls_left == 0 || --calls_left == 0;
}

static st_store_status by_sub(void *store, subtoken_text sub, st_key *key) {
  return fails_now() ? ST_STORE_FAILED : fixture_by_sub(store, sub, key);
}

static st_store_status tokens_revoked(void *store, const subtoken_text *tids, size_t count,
                                      bool *revoked) {
  return fails_now() ? ST_STORE_FAILED : fixture_tokens_revoked(store, tids, count, revoked);
}

static st_store_status find_sub(void *context, subtoken_text sub, st_key *key) {
  return fails_now() ? ST_STORE_FAILED : fixture_find_sub(context, sub, key);
}

static st_store_status list_keys(void *context, const char *owner, const char *after, size_t limit,
                                 st_key *found, size_t *count) {
  return fails_now() ? ST_STORE_FAILED
                     : fixture_list_keys(context, owner, after, limit, found, count);
}

static st_store_status search_keys(void *context, const st_key_filter *filter, const char *after,
                                   st_key *found, st_search_page *page) {
  return fails_now() ? ST_STORE_FAILED : fixture_search_keys(context, filter, after, found, page);
}

/* Nothing is found in so many rows; there are more. */
static st_store_status search_audit(void *context, const st_audit_filter *filter, int64_t before,
                                    st_audit_line *lines, st_search_page *page) {
  st_store_status status = fixture_search_audit(context, filter, before, lines, page);
  page->rows = 0;
  page->more = true;
  return fails_now() ? ST_STORE_FAILED : status;
}

static st_store_status end_session(void *context, const st_audit_context *audit, const char *id,
                                   int64_t *sequence) {
  return fails_now() ? ST_STORE_FAILED : fixture_log_out(context, audit, id, sequence);
}

static void whether_a_token_is_in_force_is_not_guessed(void **state) {
  (void)state;
  static char explain[SUBTOKEN_ISSUED_MAX + 64], form[SUBTOKEN_ISSUED_MAX + 64];
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->permissions, sizeof row->permissions, "account,keys,introspect");
  assert_int_equal(get("/v2/createsubtoken?permissions=account", AS_KEY), 200);
  snprintf(explain, sizeof explain, "{\"token\":\"%s\"}", member("subtoken"));
  snprintf(form, sizeof form, "token=%s", member("subtoken"));
  row->tokens_revoked = 1;
  /* By its sub and then by its tid: each call in turn. */
  service.keys.by_sub = by_sub;
  service.keys.tokens_revoked = tokens_revoked;
  for (int endpoint = 0; endpoint < 2; endpoint++) {
    size_t failed = 0;
    for (size_t n = 1; n < 9; n++) {
      calls_left = n;
      int status = endpoint == 0 ? post("/v2/explain", AS_JSON_KEY, explain)
                                 : post("/oauth/introspect", AS_KEY AS_FORM, form);
      if (status == 200) break;
      check_unavailable();
      assert_false(says("\"active\"") || says("\"ok\""));
      failed++;
    }
    CHECK(reply.status == 200 && failed == 2, "%d: %zu", endpoint, failed);
    check_says(endpoint == 0 ? "\"ok\":true" : "\"active\":true");
  }
}

static void a_list_of_keys_is_whole_or_an_error(void **state) {
  (void)state;
  for (unsigned i = 0; i < 30; i++) {
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08X-0000-0000-0000-000000000000", i + 1);
    (void)fixture_add(ST_KIND_KEY, id, "", "mass", "account", ST_NEVER);
  }
  static const struct {
    const char *target;
    size_t calls;
  } rows[] = {{"/v2/keys?sub=nobody", 1},
              {"/v2/keys?limit=16", 2},  /* it ends where a batch does */
              {"/v2/keys?limit=100", 2}, /* 32 are two batches, and then one is asked for */
              {"/v2/keys?search=mass&limit=9", 3}};
  changes.find_sub = find_sub;
  changes.list = list_keys;
  changes.search = search_keys;
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t failed = 0;
    for (size_t n = 1; n < 20; n++) {
      calls_left = n;
      if (get(rows[i].target, AS_KEY) == 200) break;
      check_unavailable();
      assert_false(says("\"keys\""));
      failed++;
    }
    CHECK(reply.status == 200 && failed >= rows[i].calls, "%s: %zu", rows[i].target, failed);
  }
}

static void a_search_of_the_log_ends_with_what_it_may_look_at(void **state) {
  (void)state;
  fixture.audit_last = 50;
  users.search_audit = search_audit;
  calls_left = 2;
  assert_int_equal(get("/v2/audit?action=key.create&limit=20", AS_KEY), 200);
  check_says("\"next\":");
  assert_int_equal(calls_left, 1);
  assert_int_equal(get("/v2/audit?action=key.create&limit=20", AS_KEY), 503);
  check_event("store_error");
  /* Nor is a change of permissions told that was not made. */
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(fixture_ask("PATCH", "/v1/user/alice", AS_JSON_KEY, "{\"permissions\":[]}"),
                   503);
  assert_string_not_equal(fixture.users[0].key.permissions, "");
}

/* What began, and cannot be used, is ended; where even that fails it is told. */
static void a_session_without_tokens_does_not_stay(void **state) {
  (void)state;
  static const char alice[] = "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}";
  st_key *row = &fixture_row_of("A11CE000-0000-0000-0000-000000000000")->key;
  snprintf(row->permissions, sizeof row->permissions, "%s", too_many());
  snprintf(fixture.users[0].key.permissions, sizeof row->permissions, "%s", too_many());
  assert_int_not_equal(post("/v1/auth/login", AS_JSON, alice), 200);
  assert_int_not_equal(reply.status, 503);
  assert_int_equal(fixture.log_outs, 1);
  assert_true(fixture.rows[fixture.row_count - 1].ended);
  calls_left = 1;
  users.end_session = end_session;
  assert_int_equal(post("/v1/auth/login", AS_JSON, alice), 503);
}

static void a_revocation_is_not_taken_for_made(void **state) {
  (void)state;
  static char form[SUBTOKEN_ISSUED_MAX + 64];
  static const char client[] = "&client_id=" KEY_ID "&client_secret=" KEY;
  assert_int_equal(get("/v2/createsubtoken?permissions=account", AS_KEY), 200);
  snprintf(form, sizeof form, "token=%s%s", member("subtoken"), client);
  service.keys.tokens_revoked = tokens_revoked;
  calls_left = 1;
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(post("/oauth/revoke", AS_FORM, form), 503);
  fixture.outcome = ST_STORE_OK;
  assert_int_equal(post("/oauth/revoke", AS_FORM, form), 200);
  assert_int_equal(strlen(fixture.revoked_tid), ST_TID_LEN);
}

/* ---- damaged rows ---- */

/* Its audience is none: nothing is granted by such a row, to whoever comes with it. */
static void a_damaged_row_grants_nothing(void **state) {
  (void)state;
  static const char *const paths[] = {"/v2/whoami", "/v2/createsubtoken", "/v2/keys", "/v1/user"};
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->audience, sizeof row->audience, "a b");
  snprintf(fixture_row_of("A11CE000-0000-0000-0000-000000000000")->key.audience,
           sizeof row->audience, "a b");
  for (size_t i = 0; i < COUNT(paths); i++) {
    assert_int_equal(get(paths[i], AS_KEY), 503);
    check_event("store_error");
    assert_int_equal(get(paths[i], AS_ALICE), 503);
    check_event("store_error");
  }
  /* A session that it began is another row. */
  row->audience[0] = '\0';
  assert_int_equal(post("/v1/auth/token", AS_KEY, ""), 200);
  char form[256];
  snprintf(form, sizeof form,
           "grant_type=refresh_token&scope=account&refresh_token=%s&client_id=" KEY_ID
           "&client_secret=" KEY,
           member("refresh_token"));
  snprintf(fixture.rows[fixture.row_count - 1].key.audience, sizeof row->audience, "a b");
  assert_int_equal(post("/oauth/token", AS_FORM, form), 503);
  check_event("store_error");
}

/* ---- the feed ---- */

static st_feed_status whole_status;
static const char *whole_tag;
static size_t released, noted;
static st_feed_edge edge;

static void release_payload(void *context) {
  assert_ptr_equal(context, &released);
  released++;
}

static st_feed_status feed_current(void *context, const st_feed_question *question,
                                   st_snapshot_version *version) {
  (void)context;
  (void)question;
  memset(version, 0, sizeof *version);
  version->sequence = 7;
  snprintf(version->etag, sizeof version->etag, "tag-of-now");
  version->snapshot = (st_payload){.data = "x", .len = 1}; /* there is nothing to release */
  return ST_FEED_READY;
}

static st_feed_status feed_whole(void *context, const st_feed_question *question,
                                 st_snapshot_version *version) {
  (void)context;
  (void)question;
  snprintf(version->etag, sizeof version->etag, "%s", whole_tag);
  version->snapshot =
      (st_payload){.data = "y", .len = 1, .release = release_payload, .context = &released};
  return whole_status;
}

static bool feed_changes(void *context, const st_snapshot_version *version, int64_t since,
                         st_payload *payload) {
  (void)context;
  (void)version;
  (void)since;
  (void)payload;
  return false;
}

static st_feed_status feed_issued(void *context, int64_t since) {
  (void)context;
  (void)since;
  return ST_FEED_READY;
}

static void note_edge(const st_feed_edge *asked) {
  edge = *asked;
  noted++;
}

static void an_edge_is_noted_when_it_has_the_data(void **state) {
  (void)state;
  st_key *row = &fixture_row_of(KEY_ID)->key;
  snprintf(row->permissions, sizeof row->permissions, "revocations");
  snprintf(row->audience, sizeof row->audience, "web");
  service.feed = (st_feed){NULL, feed_current, feed_changes, feed_whole, feed_issued};
  service.note_edge = note_edge;
  released = noted = 0;
  whole_tag = "tag-of-then";
  whole_status = ST_FEED_BUSY;
  assert_int_equal(get("/v2/revocations", AS_KEY), 503);
  assert_int_equal(noted, 0);
  whole_status = ST_FEED_READY;
  assert_int_equal(get("/v2/revocations", AS_KEY), 200);
  assert_memory_equal(reply.payload.data, "y", 1);
  assert_true(noted == 1 && released == 0);
  assert_string_equal(edge.key_id, KEY_ID);
  assert_string_equal(edge.name, "operations");
  assert_string_equal(edge.audience, "web");
  assert_string_equal(edge.address, REMOTE);
  assert_true(edge.sequence == 7 && edge.last_asked == NOW);
  /* It has what became the whole meanwhile, and then what is the newest. */
  assert_int_equal(get("/v2/revocations", AS_KEY "If-None-Match: \"tag-of-then\"\n"), 304);
  assert_true(noted == 2 && released == 1);
  assert_int_equal(get("/v2/revocations", AS_KEY "If-None-Match: \"tag-of-now\"\n"), 304);
  assert_true(noted == 3 && released == 1);
  /* A row whose audience is no audience gets no data at all. */
  snprintf(row->audience, sizeof row->audience, "a b");
  assert_int_equal(get("/v2/revocations", AS_KEY), 503);
  assert_int_equal(noted, 3);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(whether_a_token_is_in_force_is_not_guessed),
      TEST(a_list_of_keys_is_whole_or_an_error),
      TEST(a_session_without_tokens_does_not_stay),
      TEST(a_revocation_is_not_taken_for_made),
      TEST(a_damaged_row_grants_nothing),
      TEST(an_edge_is_noted_when_it_has_the_data),
      TEST(a_search_of_the_log_ends_with_what_it_may_look_at),
  };
#undef TEST
  return cmocka_run_group_tests(tests, NULL, NULL);
}
