/* What a subtoken would be worth (POST /v2/previewsubtoken), and who the caller is (GET
 * /v2/whoami).
 */
#include "service_fixture.h"

#define PREVIEW "/v2/previewsubtoken"
#define ITEM_SHOWN 128 /* bytes of an item that the answer repeats */
#define NONE                                                                                     \
  "\"left_out\":[],\"expires_at\":\"2023-12-14T22:13:20Z\",\"brought_down\":false,\"audience\":" \
  "null,"

static int preview(const char *body) {
  return post(PREVIEW, AS_KEY AS_JSON, body);
}

static void nothing_asked_is_worth_nothing(void **state) {
  (void)state;
  assert_int_equal(post(PREVIEW, AS_KEY, ""), 200);
  check_body("{\"ok\":true,\"permissions\":[]," NONE "\"problems\":[]}");
  assert_int_equal(get(PREVIEW, AS_KEY), 405);
  assert_int_equal(post(PREVIEW, "", ""), 401);
  assert_int_equal(post(PREVIEW, AS_KEY "Content-Type: text/plain\n", "x"), 415);
}

static void what_is_granted_and_left_out_is_told(void **state) {
  (void)state;
  assert_int_equal(post(PREVIEW "?permissions=guilds,bank,account,bank,a%20b", AS_KEY, ""), 200);
  check_body(
      "{\"ok\":true,\"permissions\":[\"guilds\",\"account\"],\"left_out\":[\"bank\",\"a b\"],"
      "\"expires_at\":\"2023-12-14T22:13:20Z\",\"brought_down\":false,\"audience\":null,"
      "\"problems\":[]}");
  /* The poor key ends in ten minutes. */
  assert_int_equal(post(PREVIEW "?expire=2030-01-01", AS_POOR, ""), 200);
  assert_int_equal(post(PREVIEW "?expire=2030-01-01T00:00", AS_POOR, ""), 200);
  check_body(
      "{\"ok\":true,\"permissions\":[],\"left_out\":[],\"expires_at\":\"2023-11-14T22:23:20Z\","
      "\"brought_down\":true,\"audience\":null,\"problems\":[]}");
}

static void each_url_is_looked_at(void **state) {
  (void)state;
  assert_int_equal(preview("{\"urls\":[\"/a//b\",\"/x y\",\"nope\",\"/x%20y\",\"GET:/z/*\"]}"),
                   200);
  check_body_starts(
      "{\"ok\":false,\"permissions\":[],\"left_out\":[],\"urls\":[\"/x%20y\",\"GET:/z/*\"],"
      "\"expires_at\":\"2023-12-14T22:13:20Z\",\"brought_down\":false,\"audience\":null,"
      "\"problems\":[{\"parameter\":\"urls\",\"index\":0,\"item\":\"/a//b\",\"text\":\"");
  CHECK(memmem(reply.body, reply.body_len, ",{\"parameter\":\"urls\",\"index\":2,\"item\":\"nope\"",
               41) != NULL,
        "%.*s", (int)reply.body_len, reply.body);
}

/* What createsubtoken would refuse, with the same words; and what it makes is what was told. */
static void it_agrees_with_createsubtoken(void **state) {
  (void)state;
  static const char *const bodies[] = {
      "{}",
      "{\"expire\":\"2020-01-01T00:00:00Z\"}",
      "{\"expire\":\"soon\"}",
      "{\"audience\":\"a b\"}",
      "{\"audience\":\"eu\"}",
      "{\"urls\":[]}",
      "{\"urls\":[\"/a\",\"/b/../c\"]}",
      "{\"urls\":[\"/%\"]}",
      "{\"permissions\":[\"account\",\"x\"],\"urls\":[\"/a\"],\"expire\":\"2024-01-01T00:00\"}",
      "{\"urls\":\"/a\"}",
      "{\"urls\":[\"/a\"],\"urls\":[\"/b\"]}",
      "[]",
  };
  for (size_t i = 0; i < COUNT(bodies); i++) {
    static char made[ST_REPLY_BODY_MAX];
    int status = post("/v2/createsubtoken", AS_KEY AS_JSON, bodies[i]);
    memcpy(made, reply.body, reply.body_len);
    made[reply.body_len] = '\0';
    int previewed = preview(bodies[i]);
    bool good = previewed == 200 && memmem(reply.body, reply.body_len, "{\"ok\":true,", 11) != NULL;
    CHECK((status == 200) == good, "%s: %d, %d %.*s", bodies[i], status, previewed,
          (int)reply.body_len, reply.body);
    if (status == 200) continue;
    const char *said = strstr(made, ": ") + 2; /* behind the parameter, without the end */
    if (strstr(said, ": ") != NULL) said = strstr(said, ": ") + 2;
    CHECK(memmem(reply.body, reply.body_len, said, strlen(said) - 2) != NULL, "%s: %s, not %.*s",
          bodies[i], made, (int)reply.body_len, reply.body);
  }
}

static void all_problems_are_told(void **state) {
  (void)state;
  assert_int_equal(
      preview(
          "{\"expire\":\"soon\",\"audience\":\"a b\",\"urls\":[\"x\"],\"permissions\":[\"q\"]}"),
      200);
  static const char *const parts[] = {"\"parameter\":\"expire\"", "\"parameter\":\"audience\"",
                                      "\"parameter\":\"urls\"", "\"left_out\":[\"q\"]"};
  for (size_t i = 0; i < COUNT(parts); i++) {
    CHECK(memmem(reply.body, reply.body_len, parts[i], strlen(parts[i])) != NULL, "%s in %.*s",
          parts[i], (int)reply.body_len, reply.body);
  }
}

#define EXPIRES ",\"expires_at\":\"2023-12-14T22:13:20Z\""
#define AS_IT_IS EXPIRES ",\"brought_down\":false,\"audience\":null"

/* What is wrong is told, and what the rest would be worth. */
static void the_rest_is_told_beside_a_problem(void **state) {
  (void)state;
  assert_int_equal(preview("{\"permissions\":[\"account\"],\"expire\":\"2020-01-01T00:00:00Z\"}"),
                   200);
  check_body("{\"ok\":false,\"permissions\":[\"account\"],\"left_out\":[]" AS_IT_IS
             ",\"problems\":[{\"parameter\":\"expire\",\"text\":\"must be in the future\"}]}");
  assert_int_equal(preview("{\"expire\":\"2023-11-14T22:13:21Z\",\"audience\":\"e\"}"), 200);
  check_body(
      "{\"ok\":true,\"permissions\":[],\"left_out\":[],\"expires_at\":\"2023-11-14T22:13:21Z\","
      "\"brought_down\":false,\"audience\":\"e\",\"problems\":[]}");
  snprintf(fixture_row_of(KEY_ID)->key.audience, sizeof fixture.rows[0].key.audience, "e");
  assert_int_equal(preview("{\"audience\":\"other\"}"), 200);
  check_body("{\"ok\":false,\"permissions\":[],\"left_out\":[]" EXPIRES
             ",\"brought_down\":false,\"audience\":\"e\",\"problems\":[{\"parameter\":\"audience\","
             "\"text\":\"must be that of the parent\"}]}");
}

static void urls_stay_within_those_of_the_parent(void **state) {
  (void)state;
  char headers[SUBTOKEN_ISSUED_MAX + 200];
  snprintf(headers, sizeof headers, "%s" AS_JSON,
           bearer(subtoken_of_key("account", "/v2/previewsubtoken,/a", NOW + 3000000)));
  assert_int_equal(post(PREVIEW, headers, ""), 200);
  check_body(
      "{\"ok\":true,\"permissions\":[],\"left_out\":[],\"urls\":[\"/v2/previewsubtoken\","
      "\"/a\"]" AS_IT_IS ",\"problems\":[]}");
  assert_int_equal(post(PREVIEW, headers, "{\"urls\":[\"/a\",\"/b\"]}"), 200);
  check_body("{\"ok\":false,\"permissions\":[],\"left_out\":[],\"urls\":[\"/a\"]" AS_IT_IS
             ",\"problems\":[{\"parameter\":\"urls\",\"index\":1,\"item\":\"/b\",\"text\":"
             "\"the parent does not allow it\"}]}");
}

static void a_parent_that_makes_nothing_is_an_error(void **state) {
  (void)state;
  char headers[SUBTOKEN_ISSUED_MAX + 200];
  snprintf(headers, sizeof headers, "%s" AS_JSON,
           bearer(subtoken_of_key("account", NULL, NOW - 1)));
  assert_int_equal(post(PREVIEW, headers, "{\"permissions\":[\"account\"]}"), 400);
  check_body("{\"text\":\"the parent has expired and cannot make subtokens\"}");
}

/* Each by itself would do, and all of them are too much. */
static void what_is_too_large_together_is_told(void **state) {
  (void)state;
  static char body[ST_PERMISSIONS_TEXT_MAX + 100];
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  size_t len = (size_t)snprintf(body, sizeof body, "{\"urls\":[\"/a\"],\"permissions\":[");
  for (int i = 0; i < 48; i++) {
    len += (size_t)snprintf(body + len, sizeof body - len, "%s\"%064d\"", i > 0 ? "," : "", i);
  }
  snprintf(body + len, sizeof body - len, "]}");
  assert_int_equal(preview(body), 200);
  check_body_starts("{\"ok\":false,\"permissions\":[\"0000");
  static const char end[] =
      ",\"left_out\":[],\"urls\":[\"/a\"]" AS_IT_IS
      ",\"problems\":[{\"parameter\":\"urls\",\"text\":\"the subtoken would be longer than 4096 "
      "bytes; ask for fewer or shorter permissions and urls\"}]}";
  assert_true(reply.body_len > sizeof end);
  assert_memory_equal(reply.body + reply.body_len - (sizeof end - 1), end, sizeof end - 1);
}

/* A sentence that is about no parameter. */
static void a_token_that_was_revoked_is_told(void **state) {
  (void)state;
  settings.default_life = 1;
  assert_int_equal(post("/v2/createsubtoken", AS_KEY, ""), 200);
  snprintf(fixture.revoked_tids[fixture.revoked_count++], SUBTOKEN_TID_LEN + 1, "%.*s",
           SUBTOKEN_TID_LEN, strrchr(member("subtoken"), '.') + 1);
  assert_int_equal(preview("{}"), 200);
  check_body_starts("{\"ok\":true,");
  fixture_row_of(KEY_ID)->key.tokens_revoked = 1;
  assert_int_equal(preview("{}"), 200);
  check_body_starts("{\"ok\":false,\"permissions\":[],");
  static const char told[] =
      "\"problems\":[{\"parameter\":null,\"text\":\"every token that could be made of this now has "
      "been revoked: ask again";
  CHECK(memmem(reply.body, reply.body_len, told, sizeof told - 1) != NULL, "%.*s",
        (int)reply.body_len, reply.body);
  settings.default_life = 30 * DAY;
}

/* A problem of a parameter is told once; an item is cut between characters. */
static void each_problem_is_told_once(void **state) {
  (void)state;
  static char body[ST_REQUEST_BODY_MAX + 1];
  for (int urls = 0; urls <= 1; urls++) {
    const char *name = urls ? "urls" : "permissions";
    size_t len = (size_t)snprintf(body, sizeof body, "{\"%s\":[", name);
    for (int i = 0; i < 70; i++) {
      len += (size_t)snprintf(body + len, sizeof body - len, "%s\"/%d\"", i > 0 ? "," : "", i);
    }
    snprintf(body + len, sizeof body - len, "]}");
    assert_int_equal(preview(body), 200);
    char told[200];
    snprintf(told, sizeof told,
             "\"problems\":[{\"parameter\":\"%s\",\"text\":\"too many entries (maximum 64)\"}]}",
             name);
    CHECK(reply.body_len > strlen(told) &&
              memcmp(reply.body + reply.body_len - strlen(told), told, strlen(told)) == 0,
          "%.*s", (int)reply.body_len, reply.body);
  }
  for (size_t blanks = ITEM_SHOWN - 4; blanks <= ITEM_SHOWN; blanks++) {
    char item[ITEM_SHOWN + 8], told[ITEM_SHOWN + 40];
    memset(item, ' ', blanks);
    snprintf(item + blanks, sizeof item - blanks, "\xE2\x82\xAC");
    snprintf(body, sizeof body, "{\"permissions\":[\"%s\"]}", item);
    assert_int_equal(preview(body), 200);
    size_t shown = blanks + 3 <= ITEM_SHOWN ? blanks + 3 : blanks;
    snprintf(told, sizeof told, "\"left_out\":[\"%.*s\"]", (int)shown, item);
    CHECK(memmem(reply.body, reply.body_len, told, strlen(told)) != NULL, "%zu: %.*s", blanks,
          (int)reply.body_len, reply.body);
  }
}

/* However long what is asked for is, the answer is whole JSON (fixture_ask looks). */
static void a_large_answer_says_that_there_is_more(void **state) {
  (void)state;
  static char body[ST_REQUEST_BODY_MAX + 1];
  for (int urls = 0; urls <= 1; urls++) {
    size_t len = (size_t)snprintf(body, sizeof body, "{\"%s\":[", urls ? "urls" : "permissions");
    for (int i = 0; i < 64; i++) {
      len += (size_t)snprintf(body + len, sizeof body - len, "%s\"%d", i > 0 ? "," : "", i);
      for (int j = 0; j < 18; j++) {
        len += (size_t)snprintf(body + len, sizeof body - len, "\\u%04x", j + 1);
      }
      body[len++] = '"';
    }
    memcpy(body + len, "]}", 3);
    assert_int_equal(preview(body), 200);
    CHECK(reply.body_len > 4000, "%d: %.*s", urls, (int)reply.body_len, reply.body);
  }
}

static void a_preview_counts_for_no_rate(void **state) {
  (void)state;
  settings.rate_per_second = settings.rate_burst = 1;
  for (int i = 0; i < 5; i++) assert_int_equal(post(PREVIEW, AS_KEY, ""), 200);
}

static void a_subtoken_previews_within_its_own(void **state) {
  (void)state;
  static char headers[ST_REPLY_BODY_MAX + 64];
  assert_int_equal(get("/v2/createsubtoken?urls=/a/*,/v2/previewsubtoken,/v2/whoami", AS_KEY), 200);
  snprintf(headers, sizeof headers, "Authorization: Bearer %s\n", member("subtoken"));
  assert_int_equal(post(PREVIEW "?urls=/a/b,/c", headers, ""), 200);
  check_body_starts("{\"ok\":false,\"permissions\":[],\"left_out\":[],\"urls\":[\"/a/b\"],");
  assert_non_null(memmem(reply.body, reply.body_len, "the parent does not allow it", 28));
  assert_int_equal(post(PREVIEW, headers, ""), 200);
  check_body_starts(
      "{\"ok\":true,\"permissions\":[],\"left_out\":[],\"urls\":[\"/a/*\",\"/v2/previewsubtoken\"");
  assert_int_equal(get("/v2/whoami", headers), 200);
  check_body_starts("{\"auth\":\"subtoken\",\"login\":null,\"key\":\"" KEY_ID "\"");
}

/* A token that was handed on, or that an edge for its audience made up, says nothing of whose the
 * key is, as with tokeninfo.
 */
static void a_derived_token_is_told_no_owner(void **state) {
  (void)state;
  static const struct {
    const char *query, *made_by, *begins, *ends;
  } rows[] = {
      {"?permissions=account", AS_POOR,
       "{\"auth\":\"subtoken\",\"login\":null,\"key\":\"" POOR_ID
       "\",\"name\":\"operations\",\"owner\":null,",
       ",\"audience\":null}"},
      {"?permissions=account&audience=eu", AS_POOR,
       "{\"auth\":\"subtoken\",\"login\":null,\"key\":\"" POOR_ID
       "\",\"name\":\"operations\",\"owner\":null,",
       ",\"audience\":\"eu\"}"},
      {"", AS_ALICE, "{\"auth\":\"subtoken\",\"login\":null,\"key\":null,", ",\"audience\":null}"},
  };
  static char headers[ST_REPLY_BODY_MAX + 64];
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[96];
    snprintf(target, sizeof target, "/v2/createsubtoken%s", rows[i].query);
    assert_int_equal(get(target, rows[i].made_by), 200);
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\n", member("subtoken"));
    assert_int_equal(get("/v2/whoami", headers), 200);
    check_body_starts(rows[i].begins);
    CHECK(memmem(reply.body, reply.body_len, "\"owner\":null", 12) != NULL, "%zu: %.*s", i,
          (int)reply.body_len, reply.body);
    size_t end = strlen(rows[i].ends);
    CHECK(reply.body_len > end && memcmp(reply.body + reply.body_len - end, rows[i].ends, end) == 0,
          "%zu: %.*s", i, (int)reply.body_len, reply.body);
  }
}

static void callers_are_told_who_they_are(void **state) {
  (void)state;
  assert_int_equal(get("/v2/whoami", AS_POOR), 200);
  check_body("{\"auth\":\"key\",\"login\":null,\"key\":\"" POOR_ID
             "\",\"name\":\"operations\",\"owner\":\"operations\",\"permissions\":[\"account\"],"
             "\"expires_at\":\"2023-11-14T22:23:20Z\",\"audience\":null}");
  assert_int_equal(get("/v2/whoami", AS_ALICE), 200);
  check_body_starts("{\"auth\":\"basic\",\"login\":\"alice\",\"key\":null,");
  assert_int_equal(get("/v2/whoami", ""), 401);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(nothing_asked_is_worth_nothing, fixture_set_up),
      cmocka_unit_test_setup(what_is_granted_and_left_out_is_told, fixture_set_up),
      cmocka_unit_test_setup(each_url_is_looked_at, fixture_set_up),
      cmocka_unit_test_setup(it_agrees_with_createsubtoken, fixture_set_up),
      cmocka_unit_test_setup(all_problems_are_told, fixture_set_up),
      cmocka_unit_test_setup(the_rest_is_told_beside_a_problem, fixture_set_up),
      cmocka_unit_test_setup(urls_stay_within_those_of_the_parent, fixture_set_up),
      cmocka_unit_test_setup(a_parent_that_makes_nothing_is_an_error, fixture_set_up),
      cmocka_unit_test_setup(what_is_too_large_together_is_told, fixture_set_up),
      cmocka_unit_test_setup(a_token_that_was_revoked_is_told, fixture_set_up),
      cmocka_unit_test_setup(each_problem_is_told_once, fixture_set_up),
      cmocka_unit_test_setup(a_large_answer_says_that_there_is_more, fixture_set_up),
      cmocka_unit_test_setup(a_preview_counts_for_no_rate, fixture_set_up),
      cmocka_unit_test_setup(a_subtoken_previews_within_its_own, fixture_set_up),
      cmocka_unit_test_setup(a_derived_token_is_told_no_owner, fixture_set_up),
      cmocka_unit_test_setup(callers_are_told_who_they_are, fixture_set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
