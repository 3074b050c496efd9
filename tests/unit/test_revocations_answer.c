/* GET /v2/revocations: what is asked of the feed, by each word of a request, and who is noted. What
 * it answers with is in test_router.c and test_service_failing.c.
 */
#include "service_fixture.h"

#define REVOKED "/v2/revocations"

static int64_t sequence_now, issued_asked, changes_asked;
static size_t asked, noted, released;
static char audience_asked[ST_AUDIENCE_MAX + 2];
static st_feed_edge edge;

static void release_payload(void *context) {
  (void)context;
  released++;
}

static st_feed_status feed_current(void *context, const st_feed_question *question,
                                   st_snapshot_version *version) {
  (void)context;
  asked++;
  snprintf(audience_asked, sizeof audience_asked, "%.*s", (int)question->audience.len,
           question->audience.data);
  memset(version, 0, sizeof *version);
  version->sequence = sequence_now;
  snprintf(version->etag, sizeof version->etag, "tag");
  version->snapshot = (st_payload){.data = "x", .len = 1, .release = release_payload};
  return ST_FEED_READY;
}

static st_feed_status feed_whole(void *context, const st_feed_question *question,
                                 st_snapshot_version *version) {
  (void)context;
  (void)question;
  (void)version;
  return ST_FEED_READY;
}

static bool feed_changes(void *context, const st_snapshot_version *version, int64_t since,
                         st_payload *payload) {
  (void)context;
  (void)version;
  assert_true(since > 0);
  changes_asked = since;
  *payload = (st_payload){.data = "c", .len = 1};
  return true;
}

static st_feed_status feed_issued(void *context, int64_t since) {
  (void)context;
  assert_true(since > 0);
  issued_asked = since;
  return ST_FEED_READY;
}

static void note_edge(const st_feed_edge *of) {
  edge = *of;
  noted++;
}

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  snprintf(fixture.rows[0].key.permissions, sizeof fixture.rows[0].key.permissions,
           KEY_PERMISSIONS ",revocations");
  service.feed = (st_feed){NULL, feed_current, feed_changes, feed_whole, feed_issued};
  service.note_edge = note_edge;
  sequence_now = 7;
  issued_asked = changes_asked = 0;
  asked = noted = released = 0;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  service.feed = (st_feed){0};
  service.note_edge = NULL;
  return 0;
}

static void a_sequence_is_spelt_in_one_way(void **state) {
  (void)state;
  static const struct {
    const char *query;
    int status;
    int64_t since;
  } rows[] = {
      {"since=1", 200, 1},
      {"since=9", 200, 9},
      {"since=1099", 200, 1099},
      {"since=9223372036854775807", 200, INT64_MAX},
      {"since=9223372036854775806", 200, INT64_MAX - 1},
      {"since=9223372036854775808", 400, 0},
      {"since=92233720368547758070", 400, 0},
      {"since=0", 400, 0},
      {"since=01", 400, 0},
      {"since=", 400, 0},
      {"since=1:", 400, 0},
      {"since=1a", 400, 0},
      {"since=1/", 400, 0},
      {"since=-1", 400, 0},
      {"since=1%", 400, 0},
      {"since=%31%", 400, 0},
      {"since=%31", 200, 1},
      {"since=1&since=1", 400, 0},
      {"wait=1", 200, 0},
      {"wait=30", 200, 0},
      {"wait=31", 400, 0},
      {"wait=0", 400, 0},
      {"wait=1%", 400, 0},
      {"wait=1&wait=1", 400, 0},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[96];
    issued_asked = 0;
    snprintf(target, sizeof target, REVOKED "?%s", rows[i].query);
    CHECK(get(target, AS_KEY) == rows[i].status, "%s: %d", target, reply.status);
    CHECK(issued_asked == rows[i].since, "%s: %lld", target, (long long)issued_asked);
  }
}

/* Who asks for the whole, and who has nothing, is sent no changes. */
static void changes_are_for_who_has_something(void **state) {
  (void)state;
  static const struct {
    const char *query;
    int64_t changes;
  } rows[] = {{"", 0}, {"?since=5", 5}, {"?since=5&whole=1", 0}, {"?since=5&whole=0", 5}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[64];
    changes_asked = 0;
    snprintf(target, sizeof target, REVOKED "%s", rows[i].query);
    assert_int_equal(get(target, AS_KEY), 200);
    CHECK(changes_asked == rows[i].changes, "%s: %lld", target, (long long)changes_asked);
    assert_memory_equal(reply.payload.data, rows[i].changes > 0 ? "c" : "x", 1);
  }
}

/* Whoever waits for something newer is noted meanwhile; who has nothing does not wait. */
static void who_waits_is_noted(void **state) {
  (void)state;
  assert_int_equal(get(REVOKED "?since=7&wait=5", AS_KEY), 0);
  assert_true(reply.hold.seconds == 5 && reply.hold.sequence == 7 && noted == 1 && released == 1);
  assert_string_equal(reply.hold.key_id, KEY_ID);
  assert_true(edge.sequence == 7 && edge.last_asked == NOW);
  assert_string_equal(edge.address, REMOTE);
  sequence_now = 0; /* of a store in which nothing has happened */
  assert_int_equal(get(REVOKED "?wait=5", AS_KEY), 200);
  assert_true(reply.hold.seconds == 0 && noted == 2);
}

/* What is longer than any address is not cut. */
static void an_address_is_noted_whole_or_not(void **state) {
  (void)state;
  char address[sizeof edge.address + 1] = "";
  memset(address, 'a', sizeof edge.address - 1);
  fixture_remote = address;
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(edge.address, address);
  address[sizeof edge.address - 1] = 'a';
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(edge.address, "");
}

static void an_audience_of_one_character_is_one(void **state) {
  (void)state;
  st_key *row = &fixture_row_of(KEY_ID)->key;
  assert_int_equal(get(REVOKED "?audience=e", AS_KEY), 200);
  assert_string_equal(audience_asked, "e");
  assert_int_equal(get(REVOKED "?audience=e&audience=e", AS_KEY), 400);
  assert_int_equal(get(REVOKED "?audience=e%", AS_KEY), 400);
  assert_int_equal(get(REVOKED "?audience=", AS_KEY), 400);
  snprintf(row->audience, sizeof row->audience, "eu");
  assert_int_equal(get(REVOKED "?audience=e", AS_KEY), 403);
  check_event("escalation");
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(audience_asked, "eu");
  assert_string_equal(edge.audience, "eu");
  snprintf(row->audience, sizeof row->audience, "e");
  assert_int_equal(get(REVOKED, AS_KEY), 200);
  assert_string_equal(audience_asked, "e");
  assert_int_equal(get(REVOKED "?audience=eu", AS_KEY), 403);
}

/* A token that is for an audience gets the data of that, and none where that is no audience. */
static void a_token_gets_the_data_of_its_audience(void **state) {
  (void)state;
  char payload[512];
  static const struct {
    const char *aud, *asked;
    int status;
  } rows[] = {{"\"eu\"", "eu", 200}, {"[\"us\",\"eu\"]", "us", 200}, {"\"a b\"", "", 403}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(payload, sizeof payload,
             "{\"sub\":\"%s\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":"
             "[\"revocations\"],\"aud\":%s}",
             fixture_row_of(KEY_ID)->key.sub, rows[i].aud);
    subtoken_text token = good_token(payload);
    char line[SUBTOKEN_ISSUED_MAX + 64];
    snprintf(line, sizeof line, "Authorization: Bearer %.*s\n", (int)token.len, token.data);
    release(token);
    audience_asked[0] = '\0';
    CHECK(get(REVOKED, line) == rows[i].status, "%s: %d %.*s", rows[i].aud, reply.status,
          (int)reply.body_len, reply.body);
    assert_string_equal(audience_asked, rows[i].asked);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_sequence_is_spelt_in_one_way),
      TEST(changes_are_for_who_has_something),
      TEST(who_waits_is_noted),
      TEST(an_address_is_noted_whole_or_not),
      TEST(an_audience_of_one_character_is_one),
      TEST(a_token_gets_the_data_of_its_audience),
  };
#undef TEST
  return cmocka_run_group_tests_name("revocations_answer", tests, NULL, NULL);
}
