/* Keys, users and lines of the audit log that are looked for: what is found, in which order, in
 * pages that cost bounded work and miss nothing.
 */
#include "store_contract.h"

#include "domain/store_search.h"

#define ROWS 32
#define NO_ID "00000000-0000-0000-0000-000000000000"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* Says which of the rows failed. */
#define CHECK(condition, ...)                        \
  do {                                               \
    if (!(condition)) print_error(__VA_ARGS__);      \
    if (!(condition)) fail_msg(" (%s)", #condition); \
  } while (0)

static st_key keys[ROWS];
static st_user users[ROWS];
static st_audit_line log_lines[ROWS];
static st_search_page page;

static st_key_filter filter_of(const char *search) {
  return (st_key_filter){.search = {search, strlen(search)}, .now = NOW};
}

static size_t find(const st_key_filter *filter, const char *after, size_t limit, size_t rows) {
  page = (st_search_page){.limit = limit, .rows = rows};
  assert_ok(st_store_key_search(store, filter, after, keys, &page, error));
  return page.count;
}

static void name_key(unsigned n, const char *name) {
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(n), name, error));
}

static void keys_are_found_by_name_owner_and_id(void **state) {
  (void)state;
  make_key(1, "ann", "a");
  make_key(2, "Иванов", "a");
  make_key(3, "", "");
  name_key(1, "Build Server");
  name_key(3, "ÉCOLE 100%_");
  static const struct {
    const char *search;
    unsigned found; /* bits of 1, 2, 3 */
  } rows[] = {{"", 7},        {"SERVER", 1}, {"d s", 1},   {"ann", 1}, {"иван", 2},
              {"ВАНОВ", 2},   {"école", 4},  {"100%_", 4}, {"%", 4},   {"_", 4},
              {"nothing", 0}, {"buildx", 0}, {"\\", 0},    {"'", 0},   {"build server ", 0}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_key_filter filter = filter_of(rows[i].search);
    unsigned found = 0;
    for (size_t at = 0; at < find(&filter, "", ROWS, 100); at++) {
      for (unsigned n = 1; n <= 3; n++)
        found |= strcmp(keys[at].id, id_of(n)) == 0 ? 1U << (n - 1) : 0;
    }
    CHECK(found == rows[i].found && !page.more, "%s: %u", rows[i].search, found);
  }
  char beginning[ST_KEY_ID_LEN + 1];
  snprintf(beginning, sizeof beginning, "%.36s", id_of(2));
  for (size_t len = strlen(beginning); len > 0; len--) {
    beginning[len] = '\0';
    st_key_filter filter = filter_of(beginning);
    bool found = false;
    for (size_t at = 0; at < find(&filter, "", ROWS, 100); at++) {
      found = found || strcmp(keys[at].id, id_of(2)) == 0;
    }
    CHECK(found, "%s", beginning);
  }
  st_key_filter longer = filter_of(beginning);
  char text[ST_NAME_MAX + 2];
  memset(text, 'a', sizeof text);
  longer.search = (subtoken_text){text, ST_NAME_MAX + 1};
  assert_int_equal(find(&longer, "", ROWS, 100), 0);
  assert_false(page.more);
}

/* Only the rows of ids that begin with it are looked at; when there are none, the others. */
static void an_id_is_found_at_once(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 20; n++) make_key(n, "ann", "a");
  char text[ST_KEY_ID_LEN + 1];
  for (size_t len = 30; len <= ST_KEY_ID_LEN; len++) {
    snprintf(text, len + 1, "%s", id_of(17));
    st_key_filter filter = filter_of(text);
    for (char *c = text; *c != '\0'; c++) *c = (char)(*c >= 'A' && *c <= 'F' ? *c + 32 : *c);
    size_t found = find(&filter, "", ROWS, 3), whole = 0;
    for (size_t i = 0; i < found; i++) whole += strcmp(keys[i].id, id_of(17)) == 0;
    CHECK(len < ST_KEY_ID_LEN || (found == 1 && whole == 1 && !page.more && page.rows >= 2),
          "%zu: %zu", len, found);
  }
  name_key(3, id_of(17)); /* of another key: the one that has it for its id is meant */
  st_key_filter filter = filter_of(id_of(17));
  assert_int_equal(find(&filter, "", ROWS, 3), 1);
  filter.owner = "bob";
  assert_int_equal(find(&filter, "", ROWS, 100), 0);
  filter.owner = NULL;
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(17), NULL, error));
  filter = filter_of(text);
  assert_int_equal(find(&filter, "", ROWS, 100), 1);
  assert_string_equal(keys[0].id, id_of(3));
}

static void keys_are_found_by_owner_and_state(void **state) {
  (void)state;
  make_user(9, "ann", "a");
  make_key(1, "bob", "a");
  make_key(2, "bob", "a");
  st_key key = row_of(3, "ann", "a");
  key.owner_is_user = true;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(3), error));
  key = row_of(4, "bob", "a");
  key.expires_at = NOW + 10;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(4), error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error));
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", true, NULL, error));
  st_key_filter filter = filter_of("");
  filter.owner = "bob";
  assert_int_equal(find(&filter, "", ROWS, 100), 3);
  filter.owner = "BOB";
  assert_int_equal(find(&filter, "", ROWS, 100), 0);
  filter.owner = NULL;
  filter.now = NOW + 10;
  static const struct {
    const char *state;
    unsigned n;
  } rows[] = {{"active", 1}, {"disabled", 2}, {"suspended", 3}, {"expired", 4}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    filter.state = rows[i].state;
    assert_int_equal(find(&filter, "", ROWS, 100), 1);
    assert_string_equal(keys[0].id, id_of(rows[i].n));
  }
}

/* In the order in which they expire; those that expire at once, in that of their ids. */
static void keys_that_expire_come_in_that_order(void **state) {
  (void)state;
  static const int64_t ends[] = {30, 10, 20, 0, 20, 40, -5};
  for (unsigned n = 1; n <= COUNT(ends); n++) {
    st_key key = row_of(n, "ann", "a");
    key.expires_at = ends[n - 1] == 0 ? ST_NEVER : NOW + ends[n - 1];
    assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
  }
  st_key_filter filter = filter_of("");
  filter.expires_until = NOW + 30;
  assert_int_equal(find(&filter, "", ROWS, 100), 4);
  bool third_first = strcmp(id_of(3), id_of(5)) < 0;
  assert_string_equal(keys[0].id, id_of(2));
  assert_string_equal(keys[1].id, id_of(third_first ? 3 : 5));
  assert_string_equal(keys[2].id, id_of(third_first ? 5 : 3));
  assert_string_equal(keys[3].id, id_of(1));
  assert_false(page.more);
  assert_true(page.last_expires_at == NOW + 30);
  filter.after_expires = NOW + 20;
  assert_int_equal(find(&filter, keys[1].id, ROWS, 100), 2);
  assert_string_equal(keys[1].id, id_of(1));
  /* A place is one by itself: nothing is read of whose id that is, be it there or not. */
  filter.after_expires = NOW + 10;
  assert_int_equal(find(&filter, id_of(6), ROWS, 100), 3);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(2), NULL, error));
  assert_int_equal(find(&filter, id_of(2), ROWS, 100), 3);
  assert_int_equal(find(&filter, NO_ID, ROWS, 100), 3);
  filter.after_expires = 0;
  filter.now = NOW + 20;
  assert_int_equal(find(&filter, "", ROWS, 100), 1);
}

/* A page of one owner or audience ends at a key of theirs, and begins behind an id alone. */
static void keys_of_others_are_no_place(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 20; n++) {
    st_key key = row_of(n, n % 4 == 0 ? "ann" : "bob", "a");
    key.expires_at = NOW + 100 - n;
    if (n % 5 == 0) memcpy(key.audience, "eu", 3);
    assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(n), error));
  }
  for (size_t rows = 1; rows <= 6; rows++) {
    st_key_filter filter = filter_of("");
    filter.owner = "ann";
    filter.expires_until = NOW + 90;
    char after[ST_NAME_MAX + 1] = "";
    size_t found = 0, pages = 0;
    do {
      found += find(&filter, after, ROWS, rows);
      st_key last;
      assert_ok(st_store_key_find(store, page.last, &last, error));
      assert_string_equal(last.owner, "ann");
      assert_true(strcmp(page.last, after) > 0 || !page.more);
      memcpy(after, page.last, sizeof after);
      assert_true(++pages < 20);
    } while (page.more);
    assert_int_equal(found, 3); /* 12, 16 and 20; 4 and 8 expire later */
  }
  st_key_filter filter = filter_of("");
  filter.audience = "eu";
  assert_int_equal(find(&filter, "", ROWS, 100), 4);
  for (size_t i = 0; i < page.count; i++) assert_string_equal(keys[i].audience, "eu");
  assert_int_equal(page.rows, 80);
  filter.owner = "ann";
  assert_int_equal(find(&filter, "", ROWS, 100), 1);
  filter.owner = NULL;
  filter.expires_until = NOW + 90;
  assert_int_equal(find(&filter, "", ROWS, 100), 3);
  filter.audience = "us";
  assert_int_equal(find(&filter, "", ROWS, 100), 0);
  /* An id of somebody else's is not looked at either. */
  filter = filter_of(id_of(1));
  filter.owner = "ann";
  assert_int_equal(find(&filter, "", ROWS, 100), 0);
  assert_int_equal(page.rows, 95);
}

/* When its time is over a search looks at no more rows, and says where to go on. */
static void a_search_stops_in_time(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 5; n++) make_key(n, "bob", "a");
  st_key_filter filter = filter_of("bob");
  page = (st_search_page){.limit = 2, .rows = 100, .until_us = 1};
  assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
  assert_true(page.count == 2 && page.more && page.rows == 0);
  page = (st_search_page){.limit = 2, .rows = 100, .until_us = INT64_MAX};
  assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
  assert_true(page.count == 2 && page.more && page.rows > 0);
}

/* However few rows a page looks at and takes, all are found once. */
static void pages_miss_nothing(void **state) {
  (void)state;
  for (unsigned n = 1; n <= 20; n++) {
    make_key(n, n % 3 == 0 ? "ann" : "bob", "a");
    make_user(100 + n, n % 3 == 0 ? id_of(n) : id_of(n) + 1, "a");
  }
  for (size_t limit = 1; limit <= 8; limit++) {
    for (size_t rows = 1; rows <= 24; rows++) {
      st_key_filter filter = filter_of("ANN");
      char after[ST_NAME_MAX + 1] = "";
      size_t found = 0, pages = 0;
      do {
        found += find(&filter, after, limit, rows);
        assert_true(page.count <= limit && page.rows <= rows && ++pages <= 40);
        assert_true(!page.more || strcmp(page.last, after) > 0);
        memcpy(after, page.last, sizeof after);
      } while (page.more);
      CHECK(found == 6, "limit %zu rows %zu: %zu", limit, rows, found);
      found = 0;
      after[0] = '\0';
      do {
        page = (st_search_page){.limit = limit, .rows = rows};
        assert_ok(st_store_user_search(store, ST_TEXT(""), after, users, &page, error));
        found += page.count;
        memcpy(after, page.last, sizeof after);
      } while (page.more);
      CHECK(found == 20, "users: limit %zu rows %zu: %zu", limit, rows, found);
    }
  }
}

static void users_are_found_by_name(void **state) {
  (void)state;
  make_user(1, "Ann", "a,b");
  make_user(2, "joanna", "");
  make_user(3, "bob", "");
  page = (st_search_page){.limit = ROWS, .rows = 100};
  assert_ok(st_store_user_search(store, ST_TEXT("ANN"), "", users, &page, error));
  assert_int_equal(page.count, 2);
  assert_string_equal(users[0].key.owner, "Ann");
  assert_string_equal(users[0].key.permissions, "a,b");
  assert_string_equal(users[1].key.owner, "joanna");
  assert_ok(st_store_user_delete(store, CONTEXT, "Ann", NULL, error));
  page = (st_search_page){.limit = ROWS, .rows = 100};
  assert_ok(st_store_user_search(store, ST_TEXT("ann"), "", users, &page, error));
  assert_int_equal(page.count, 1);
}

/* ---- the audit log ---- */

static void note(int64_t at, const char *who, const char *action, const char *target) {
  st_audit_context context = {.now_us = at * US, .who = who, .from = "here"};
  assert_ok(st_store_audit_add(store, &context, action, target, "", error));
}

/* The details of all pages, joined. */
static const char *found_lines(const st_audit_filter *filter, size_t limit, size_t rows) {
  static char targets[256];
  int64_t before = 0;
  size_t pages = 0;
  targets[0] = '\0';
  do {
    page = (st_search_page){.limit = limit, .rows = rows};
    assert_ok(st_store_audit_search(store, filter, before, log_lines, &page, error));
    assert_true(page.count <= limit && ++pages < 100);
    for (size_t i = 0; i < page.count; i++) {
      snprintf(targets + strlen(targets), sizeof targets - strlen(targets), "%s",
               log_lines[i].target);
    }
    before = page.last_line;
  } while (page.more);
  return targets;
}

static void lines_are_found_by_who_what_whom_and_when(void **state) {
  (void)state;
  note(NOW, "person ann", "key.create", "1");
  note(NOW, "person bob", "key.create", "2");
  note(NOW + 1, "person ann", "key.delete", "3");
  note(NOW + 5, "person ann", "user.create", "4");
  note(NOW + 3, "person ann", "keys.x", "5"); /* the clock was set back */
  note(NOW + 9, "key 1", "key.create", "1");
  static const struct {
    st_audit_filter filter;
    const char *found;
  } rows[] = {
      {{0}, "145321"},
      {{.who = "person ann"}, "4531"},
      {{.who = "person"}, ""},
      {{.who = "PERSON ann"}, ""},
      {{.target = "1"}, "11"},
      {{.target = "1", .who = "key 1"}, "1"},
      {{.target = "1", .who = "nobody"}, ""},
      {{.target = "1", .action = "key.delete"}, ""},
      {{.target = "1", .who = "key 1", .action = "user."}, ""},
      {{.who = "person ann", .action = "key.create"}, "1"},
      {{.action = ""}, ""},
      {{.action = "key.create"}, "121"},
      {{.action = "key."}, "1321"},
      {{.action = "key"}, ""},
      {{.action = "."}, ""},
      {{.action = "key.", .who = "person ann"}, "31"},
      {{.since = NOW + 1}, "1453"},
      {{.until = NOW + 1}, "21"},
      {{.since = NOW + 3, .until = NOW + 9}, "45"},
      {{.since = NOW + 2, .until = NOW + 5, .who = "person ann"}, "5"},
      {{.since = NOW + 3, .until = NOW + 3}, ""},
      {{.action = "key.create", .until = NOW + 9}, "21"},
      {{.target = "1", .since = NOW + 1}, "1"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    for (size_t limit = 1; limit <= 7; limit++) {
      for (size_t looked_at = 1; looked_at <= 8; looked_at++) {
        const char *found = found_lines(&rows[i].filter, limit, looked_at);
        CHECK(strcmp(found, rows[i].found) == 0, "%zu, limit %zu, rows %zu: %s", i, limit,
              looked_at, found);
      }
    }
  }
  st_audit_cut cut = {.keep = 1};
  assert_ok(st_store_count_uptime(store, 0, error));
  assert_ok(st_store_count_uptime(store, 7200 * US, error));
  assert_ok(st_store_count_uptime(store, 14400 * US, error));
  assert_ok(st_store_audit_cut(store, CONTEXT_AT(NOW + 2), &cut, error));
  assert_true(cut.removed > 0);
  st_audit_filter none = {0};
  page = (st_search_page){.limit = ROWS, .rows = 100};
  assert_ok(st_store_audit_search(store, &none, 2, log_lines, &page, error)); /* it has gone */
  assert_true(page.count == 0 && !page.more);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(keys_are_found_by_name_owner_and_id),
      TEST(an_id_is_found_at_once),
      TEST(keys_are_found_by_owner_and_state),
      TEST(keys_that_expire_come_in_that_order),
      TEST(keys_of_others_are_no_place),
      TEST(a_search_stops_in_time),
      TEST(pages_miss_nothing),
      TEST(users_are_found_by_name),
      TEST(lines_are_found_by_who_what_whom_and_when),
  };
  return RUN_ON_EVERY_STORE(tests);
}
