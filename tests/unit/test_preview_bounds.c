/* preview: what is told when much is asked for: items that are cut, lists that end, and what is too
 * large together. What else it tells is in test_preview.c.
 */
#include "service_fixture.h"

#define PREVIEW "/v2/previewsubtoken"
#define LARGE                                                                                \
  "\"problems\":[{\"parameter\":\"urls\",\"text\":\"the subtoken would be longer than 4096 " \
  "bytes; ask for fewer or shorter permissions and urls\"}]}"

static char body[32768];

static bool says(const char *part) {
  return memmem(reply.body, reply.body_len, part, strlen(part)) != NULL;
}

static void check_ends(const char *end) {
  size_t len = strlen(end);
  CHECK(reply.body_len >= len && memcmp(reply.body + reply.body_len - len, end, len) == 0,
        "no %s at the end of %.*s", end, (int)reply.body_len, reply.body);
}

/* Claims that do not even fit where they are made: what can be told is told without the urls. */
static void what_does_not_fit_is_told_without_urls(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  size_t len = (size_t)snprintf(body, sizeof body, "{\"permissions\":[");
  for (int i = 0; i < 40; i++) {
    len += (size_t)snprintf(body + len, sizeof body - len, "%s\"%064d\"", i > 0 ? "," : "", i);
  }
  len += (size_t)snprintf(body + len, sizeof body - len, "],\"urls\":[");
  for (int i = 0; i < 64; i++) {
    len += (size_t)snprintf(body + len, sizeof body - len, "%s\"/%063d\"", i > 0 ? "," : "", i);
  }
  snprintf(body + len, sizeof body - len, "]}");
  assert_int_equal(post(PREVIEW, AS_KEY AS_JSON, body), 200);
  check_body_starts("{\"ok\":false,\"permissions\":[\"0000");
  assert_true(
      says("00039\"],\"left_out\":[],\"urls\":[],\"expires_at\":\"2023-12-14T22:13:20Z\","));
  check_ends(LARGE);
}

/* A list without an entry is none, and not a token for everywhere. */
static void an_empty_list_is_refused(void **state) {
  (void)state;
  assert_int_equal(post(PREVIEW, AS_KEY AS_JSON, "{\"urls\":[]}"), 200);
  check_body(
      "{\"ok\":false,\"permissions\":[],\"left_out\":[],\"expires_at\":\"2023-12-14T22:13:20Z\","
      "\"brought_down\":false,\"audience\":null,\"problems\":[{\"parameter\":\"urls\",\"text\":"
      "\"must not be empty; leave it out for no restriction\"}]}");
  assert_int_equal(post(PREVIEW "?permissions=a&permissions=b", AS_KEY, ""), 400);
  check_body("{\"text\":\"permissions: given more than once\"}");
}

/* The same fault of two parameters is two. */
static void each_parameter_has_its_fault(void **state) {
  (void)state;
  assert_int_equal(post(PREVIEW "?expire=%&audience=%&permissions=%&urls=%", AS_KEY, ""), 200);
  static const char *const names[] = {"expire", "audience", "permissions", "urls"};
  for (size_t i = 0; i < COUNT(names); i++) {
    char part[128];
    snprintf(part, sizeof part,
             "{\"parameter\":\"%s\",\"text\":\"a %% needs two hex digits behind it\"}", names[i]);
    CHECK(says(part), "no %s in %.*s", part, (int)reply.body_len, reply.body);
  }
}

/* Cut behind a whole character, whatever the bytes are. */
static void an_item_is_cut_between_characters(void **state) {
  (void)state;
  char item[200], want[300];
  static const struct {
    size_t front;
    const char *behind; /* repeated to the end */
    size_t shown;
  } rows[] = {{127, "\xC3\xA9", 127},     {126, "\xC3\xA9", 128},     {128, "\xC3\xA9", 128},
              {126, "\xE2\x82\xAC", 126}, {125, "\xE2\x82\xAC", 128}, {160, "", 128}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    memset(item, 'x', sizeof item);
    size_t len = rows[i].front, each = strlen(rows[i].behind);
    for (; each > 0 && len + each < 150; len += each) memcpy(item + len, rows[i].behind, each);
    item[len] = '\0';
    snprintf(body, sizeof body, "{\"permissions\":[\"%s\"]}", item);
    assert_int_equal(post(PREVIEW, AS_KEY AS_JSON, body), 200);
    snprintf(want, sizeof want, "\"left_out\":[\"%.*s\"],", (int)rows[i].shown, item);
    CHECK(says(want), "row %zu: no %s in %.*s", i, want, (int)reply.body_len, reply.body);
  }
  /* Bytes of which none begins a character. */
  size_t at = (size_t)snprintf(body, sizeof body, PREVIEW "?permissions=");
  for (int i = 0; i < 140; i++) at += (size_t)snprintf(body + at, sizeof body - at, "%%80");
  assert_int_equal(post(body, AS_KEY, ""), 200);
  assert_true(says("\"left_out\":[\"\"],"));
}

/* Items that are six times as long when they are escaped. */
static void add_items(size_t *len, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (i > 0) body[(*len)++] = ',';
    body[(*len)++] = (char)('A' + i % 26);
    body[(*len)++] = (char)('a' + i / 26);
    memset(body + *len, '\x01', 126);
    *len += 126;
  }
  body[*len] = '\0';
}

static void a_list_of_what_is_left_out_ends(void **state) {
  (void)state;
  for (size_t count = 1; count <= 20; count++) {
    size_t len = (size_t)snprintf(body, sizeof body, "permissions=Aa,");
    add_items(&len, count);
    assert_int_equal(post(PREVIEW, AS_KEY AS_FORM, body), 200);
    assert_true(reply.body_len > 0);
    /* Each is 2 and 126 times 6 characters, quotes and a comma: 6144 before one are enough. */
    size_t shown = 0;
    const char *at = reply.body, *end = reply.body + reply.body_len;
    while ((at = memmem(at, (size_t)(end - at), "\\u0001\"", 7)) != NULL) {
      at++;
      shown++;
    }
    CHECK(shown == (count < 10 ? count : 9), "%zu of %zu", shown, count);
    check_ends(count < 10 ? "\"problems\":[]}" : "\"problems\":[],\"more\":true}");
  }
  /* What is asked for twice is left out once. */
  assert_int_equal(post(PREVIEW "?permissions=x,y,x", AS_KEY, ""), 200);
  assert_true(says("\"left_out\":[\"x\",\"y\"],"));
}

static void a_list_of_problems_ends(void **state) {
  (void)state;
  fixture_row *row = fixture_row_of(KEY_ID);
  snprintf(row->key.permissions, sizeof row->key.permissions, "%s", too_many());
  for (size_t count = 20; count <= 40; count++) {
    size_t len = (size_t)snprintf(body, sizeof body, "urls=");
    add_items(&len, count);
    len += (size_t)snprintf(body + len, sizeof body - len, "&permissions=%s", too_many());
    assert_int_equal(post(PREVIEW, AS_KEY AS_FORM, body), 200);
    assert_true(reply.body_len > 0 && reply.body[reply.body_len - 1] == '}');
    /* All permissions are too much for a token: that is told where there is room. */
    if (count == 20) check_ends("shorter permissions and urls\"}]}");
    if (count == 40) check_ends("\"}],\"more\":true}");
  }
}

/* The last that begins within the room for them is told, and the next is not. */
static void what_is_left_out_ends_at_its_room(void **state) {
  (void)state;
  static const char begin[] = ",\"left_out\":[";
  bool at_the_room = false;
  for (int first = 30; first <= 50; first++) {
    size_t len = (size_t)snprintf(body, sizeof body, "permissions=%0*d,", first, 0);
    add_items(&len, 20);
    assert_int_equal(post(PREVIEW, AS_KEY AS_FORM, body), 200);
    const char *at = memmem(reply.body, reply.body_len, begin, sizeof begin - 1);
    assert_non_null(at);
    const char *end = memmem(at, reply.body_len - (size_t)(at - reply.body), "]", 1);
    assert_non_null(end);
    check_ends("\"problems\":[],\"more\":true}");
    size_t shown = (size_t)(end - at), last = 2 + 2 + 6 * 126 + 1; /* of an item and its comma */
    CHECK(shown > sizeof reply.body / 4, "%d: %zu", first, shown);
    at_the_room = at_the_room || shown == sizeof reply.body / 4 + last;
  }
  assert_true(at_the_room);
}

/* Urls that are none, the first of which take so many bytes more; how many are told. *last: where
 * the last of them begins.
 */
static size_t count_problems(size_t more, size_t *last) {
  static const char begin[] = "{\"parameter\":";
  size_t len = (size_t)snprintf(body, sizeof body, "urls="), count = 0;
  for (int i = 0; i < 8; i++) {
    size_t part = more < 100 ? more : 100;
    len += (size_t)snprintf(body + len, sizeof body - len, "%0*d,", (int)part + 1, 0);
    more -= part;
  }
  add_items(&len, 40);
  assert_int_equal(post(PREVIEW, AS_KEY AS_FORM, body), 200);
  check_ends("\"}],\"more\":true}");
  const char *at = reply.body, *end = reply.body + reply.body_len;
  while ((at = memmem(at, (size_t)(end - at), begin, sizeof begin - 1)) != NULL) {
    *last = (size_t)(at - reply.body);
    at++;
    count++;
  }
  return count;
}

/* Where there is room for the longest, and no more, one is told. */
static void problems_end_where_no_more_fit(void **state) {
  (void)state;
  size_t last, end = sizeof reply.body - (6 * 128 + 512), count = count_problems(0, &last);
  assert_in_range(last - 1, end - 800, end);
  size_t more = end - (last - 1);
  assert_int_equal(count_problems(more, &last), count);
  assert_int_equal(last - 1, end);
  assert_int_equal(count_problems(more + 1, &last), count - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(what_does_not_fit_is_told_without_urls, fixture_set_up),
      cmocka_unit_test_setup(an_empty_list_is_refused, fixture_set_up),
      cmocka_unit_test_setup(each_parameter_has_its_fault, fixture_set_up),
      cmocka_unit_test_setup(an_item_is_cut_between_characters, fixture_set_up),
      cmocka_unit_test_setup(a_list_of_what_is_left_out_ends, fixture_set_up),
      cmocka_unit_test_setup(a_list_of_problems_ends, fixture_set_up),
      cmocka_unit_test_setup(what_is_left_out_ends_at_its_room, fixture_set_up),
      cmocka_unit_test_setup(problems_end_where_no_more_fit, fixture_set_up),
  };
  return cmocka_run_group_tests_name("preview_bounds", tests, NULL, NULL);
}
