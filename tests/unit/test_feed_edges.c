/* Which edges asked this server for the revocation data: each once, the latest first, and of too
 * many those that asked last.
 */
#include "feed_fixture.h"

#include "base/json.h"
#include "server/feed_edges.h"

static char body[262144];

static void note(unsigned key, const char *address, const char *audience, int64_t at,
                 int64_t sequence) {
  char sub[ST_SUB_LEN + 1];
  st_feed_edge edge = {.last_asked = at, .sequence = sequence};
  name_key(key, edge.key_id, sub);
  snprintf(edge.name, sizeof edge.name, "edge \"%u\"\n", key);
  snprintf(edge.address, sizeof edge.address, "%s", address);
  snprintf(edge.audience, sizeof edge.audience, "%s", audience);
  st_feed_edges_note(&edge);
}

static size_t count_of(const char *part) {
  size_t count = 0;
  for (const char *at = strstr(body, part); at != NULL; at = strstr(at + 1, part)) count++;
  return count;
}

static void read_status_of(const st_feed_view *view) {
  static char copy[sizeof body];
  st_payload payload;
  assert_true(st_feed_edges_status(store, NOW + 100, view, &payload));
  assert_true(payload.len < sizeof body);
  memcpy(body, payload.data, payload.len);
  memcpy(copy, payload.data, payload.len);
  body[payload.len] = '\0';
  assert_true(st_json_valid(copy, payload.len));
  give(&payload);
}

static void read_status(void) {
  static const st_feed_view all;
  read_status_of(&all);
}

static void edges_are_told_of(void **state) {
  (void)state;
  subtoken_revocations view;
  read_status();
  assert_int_equal(count_of("\"vouched_at\":null,\"age\":null"), 1);
  assert_int_equal(count_of("\"edges\":[]"), 1);
  st_snapshot_version version = ask_at(&ring, NOW, &view);
  char head[128];
  snprintf(head, sizeof head,
           "{\"sequence\":%lld,\"vouched_at\":\"2023-11-14T22:13:20Z\",\"age\":100,"
           "\"snapshot_bytes\":%zu,",
           (long long)version.sequence, version.snapshot.len);
  give(&version.snapshot);
  note(1, "192.0.2.1", "", NOW, 5);
  note(1, "192.0.2.2", "", NOW + 1, 6);
  note(1, "192.0.2.1", "eu", NOW + 2, 7);
  note(1, "192.0.2.1", "", NOW + 3, 8);
  read_status();
  assert_true(strncmp(body, head, strlen(head)) == 0);
  assert_int_equal(count_of("\"key\":"), 3);
  assert_int_equal(count_of("\"sequence\":5"), 0);
  const char *latest = strstr(body, "\"edges\":[{\"key\":");
  assert_non_null(latest);
  assert_true(strstr(latest, "\"sequence\":8}") < strstr(latest, "\"sequence\":7}"));
  assert_int_equal(count_of("\"audience\":\"eu\""), 1);
  assert_int_equal(count_of("edge \\\"1\\\"\\u000a"), 3);
  /* What a key of its own sees, and one that is bound to an audience. */
  note(2, "192.0.2.3", "", NOW + 4, 9);
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  name_key(2, id, sub);
  read_status_of(&(st_feed_view){.key_id = id});
  assert_true(strncmp(body, head, strlen(head)) == 0);
  assert_int_equal(count_of("\"key\":"), 1);
  assert_int_equal(count_of("192.0.2.3"), 1);
  read_status_of(&(st_feed_view){.audience = ST_TEXT("eu")});
  assert_int_equal(count_of("\"key\":"), 1);
  assert_int_equal(count_of("\"audience\":\"eu\""), 1);
  read_status_of(&(st_feed_view){.key_id = id, .audience = ST_TEXT("eu")});
  assert_int_equal(count_of("\"edges\":[]"), 1);
}

static void the_oldest_is_forgotten(void **state) {
  (void)state;
  for (unsigned n = 0; n < ST_FEED_EDGES_MAX; n++) note(1000 + n, "a", "", NOW + 10 + n, 1);
  note(2000, "a", "", NOW + 9999, 2);
  read_status();
  assert_int_equal(count_of("\"key\":"), ST_FEED_EDGES_MAX);
  assert_int_equal(count_of("edge \\\"1000\\\""), 0);
  assert_int_equal(count_of("edge \\\"1001\\\""), 1);
  assert_int_equal(count_of("edge \\\"2000\\\""), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(edges_are_told_of, setup, teardown),
      cmocka_unit_test_setup_teardown(the_oldest_is_forgotten, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
