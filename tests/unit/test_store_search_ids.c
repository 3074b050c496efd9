/* Keys that are looked for by the beginning of an id: only those are looked at, in pages, too. What
 * is no such beginning is looked for among all, and the ids are not asked for it.
 */
#include "store_answers.h"

#include "domain/store_search.h"

#define ROWS 16
#define OTHERS 12 /* keys whose ids begin in another way */

static st_key keys[ROWS];
static st_search_page page;

/* FACE0000-…: the first group has all kinds of digits, the last one is the number. */
static void make_key_with_id(unsigned n, const char *name) {
  st_key key = row_of(100 + n, "ann", "a");
  snprintf(key.id, sizeof key.id, "F9ACE0a0-ABCD-ABCD-ABCD-%012u", n);
  key.id[6] = 'A';
  snprintf(key.name, sizeof key.name, "%s", name);
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(100 + n), error));
}

static void make_keys(void) {
  for (unsigned n = 1; n <= OTHERS; n++) make_key(n, "ann", "a");
  for (unsigned n = 1; n <= 5; n++) make_key_with_id(n, "");
}

static size_t find(const char *text, const char *after, size_t limit) {
  st_key_filter filter = {.search = st_text(text), .now = NOW};
  page = (st_search_page){.limit = limit, .rows = 100};
  assert_ok(st_store_key_search(store, &filter, after, keys, &page, error));
  return page.count;
}

/* How many rows were looked at, by how many statements. */
static void assert_looked(const char *text, size_t rows, int statements) {
  if (100 - page.rows != rows || answers[0].runs != statements) {
    fail_msg("%s: %zu rows by %d", text, 100 - page.rows, answers[0].runs);
  }
}

static void the_beginning_of_an_id_leads_to_it(void **state) {
  static const char id[] = "f9ace0A0-abcd-ABCD-abcd-000000000004";
  (void)state;
  make_keys();
  for (size_t len = 1; len <= ST_KEY_ID_LEN; len++) {
    char text[sizeof id];
    snprintf(text, sizeof text, "%.*s", (int)len, id);
    ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
    size_t found = find(text, "", ROWS);
    assert_int_equal(found, len < ST_KEY_ID_LEN ? 5 : 1);
    /* The whole is behind what is one character shorter, as 1 to 3 are. */
    assert_looked(text, len < 8 ? OTHERS + 5 : len < ST_KEY_ID_LEN ? 5 : 4, 1);
    assert_false(page.more);
    assert_string_equal(page.last, keys[found - 1].id);
  }
}

/* A name may be anything. */
static void what_is_no_id_is_looked_for_among_all(void **state) {
  static const char id[] = "F9ACE0A0-ABCD-ABCD-ABCD-000000000004";
  (void)state;
  make_keys();
  for (size_t at = 0; at <= ST_KEY_ID_LEN; at++) {
    char text[sizeof id + 1];
    bool dash = id[at] == '-';
    snprintf(text, sizeof text, "%s", id);
    snprintf(text + at, sizeof text - at, "%c%s",
             dash          ? 'A'
             : at % 2 == 0 ? '-'
                           : 'G',
             at < ST_KEY_ID_LEN ? id + at + 1 : "");
    ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
    assert_int_equal(find(text, "", ROWS), 0);
    assert_looked(text, OTHERS + 5, 1);
  }
  /* It begins as ids do that come before that of its key. */
  static const char *const names[] = {"0000000Z",  "ABCD-EFGH", "Build Server",
                                      "deadbeef.", "F9ACE09-",  "00000001-ABCD-AB-"};
  for (unsigned i = 0; i < 6; i++) {
    make_key_with_id(6 + i, names[i]);
    ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
    assert_int_equal(find(names[i], "", ROWS), 1);
    assert_looked(names[i], OTHERS + 6 + i, 1);
  }
  /* An id of nobody's: that of none is asked for first, and then the name. */
  ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
  assert_int_equal(find("ABCDABCD", "", ROWS), 0);
  assert_looked("ABCDABCD", OTHERS + 11, 2);
}

static void ids_come_in_pages(void **state) {
  (void)state;
  char after[ST_NAME_MAX + 1] = "";
  size_t found = 0;
  make_keys();
  for (int pages = 1; pages <= 3; pages++) {
    ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
    size_t count = find("F9ACE0A0", after, 2);
    assert_int_equal(count, pages < 3 ? 2 : 1);
    assert_true(page.more == (pages < 3));
    assert_looked("a page", count, 1);
    for (size_t i = 0; i < count; i++) {
      char end[14];
      snprintf(end, sizeof end, "%012zu", ++found);
      assert_string_equal(keys[i].id + 24, end);
    }
    memcpy(after, page.last, sizeof after);
  }
  assert_int_equal(find("F9ACE0A0", after, 2), 0);
}

/* What does not fit otherwise is looked for among all, and counts once. */
static void an_id_that_does_not_fit_is_looked_at_once(void **state) {
  (void)state;
  make_keys();
  st_key_filter filter = {.search = ST_TEXT("F9ACE0A0"), .state = "disabled", .now = NOW};
  page = (st_search_page){.limit = ROWS, .rows = 100};
  ANSWER({.which = ST_SQL_KEY_SCAN, .kind = ANSWER_NOTHING});
  assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
  assert_int_equal(page.count, 0);
  assert_looked("a state", OTHERS + 5, 2);
}

/* Behind a page that is full is another one when one more fits, whatever lies between. */
static void another_page_is_told_of_when_one_more_fits(void **state) {
  (void)state;
  static const char *const owners[] = {"ann", "bob", "bob", "bob"};
  for (unsigned n = 1; n <= 4; n++) make_key(n, owners[n - 1], "a");
  assert_int_equal(find("ann", "", 1), 1);
  assert_true(!page.more && page.rows == 96);
  make_key(5, "ann", "a");
  assert_int_equal(find("ann", "", 1), 1);
  assert_true(page.more && page.rows == 96);
  assert_string_equal(page.last, id_of(4));
  static st_user users[2]; /* the last name, and nothing of a longer one before */
  make_user(6, "annabel", "a");
  make_user(7, "bob", "a");
  page = (st_search_page){.limit = 2, .rows = 100};
  assert_ok(st_store_user_search(store, ST_TEXT("anna"), "", users, &page, error));
  assert_true(page.count == 1 && !page.more);
  assert_string_equal(page.last, "bob");
}

/* More rows at a time where there is little to find, up to a bound. */
static void a_search_asks_for_more_and_more(void **state) {
  (void)state;
  static const size_t steps[] = {128, 256, 500, 500};
  st_key_filter filter = {.search = ST_TEXT("key"), .owner = "nobody", .now = NOW};
  page = (st_search_page){.limit = 1, .rows = 10000};
  for (size_t i = 0; i < 4; i++) {
    assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
    assert_int_equal(page.step, steps[i]);
  }
  make_keys();
  page.step = 128;
  filter.owner = NULL;
  assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
  assert_true(page.more && page.step == 128); /* enough was found */
}

static void what_has_expired_or_failed_is_not_found(void **state) {
  (void)state;
  st_key key = row_of(1, "ann", "a");
  key.expires_at = NOW;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
  make_key(2, "ann", "a");
  st_key_filter filter = {.owner = "ann", .expires_until = NOW + 10, .now = NOW};
  page = (st_search_page){.limit = ROWS, .rows = 100};
  assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
  assert_int_equal(page.count, 0);
  /* In the order of expiry what has expired is behind already. */
  filter.owner = NULL;
  for (int64_t after = NOW - 1; after <= NOW + 1; after++) {
    filter.after_expires = after;
    ANSWER({.which = ST_SQL_KEY_SCAN_EXPIRING, .kind = ANSWER_NOTHING});
    assert_ok(st_store_key_search(store, &filter, id_of(1), keys, &page, error));
    assert_true(answers[0].runs == 1 && answers[0].values[2] == NOW + 1);
    assert_string_equal(answers[0].first, after > NOW ? id_of(1) : "");
  }
  filter.owner = "ann";
  filter.expires_until = 0;
  ANSWER({.which = ST_SQL_KEY_FOUND, .kind = ANSWER_FAILURE});
  page = (st_search_page){.limit = ROWS, .rows = 100, .step = 64};
  assert_int_equal(st_store_key_search(store, &filter, "", keys, &page, error), ST_STORE_FAILED);
  assert_true(page.rows == 100 && page.step == 64); /* nothing was looked at */
}

/* The longest name is looked for; what is longer is found nowhere, and no row is looked at. */
static void what_is_longer_than_a_name_is_not_found(void **state) {
  (void)state;
  static char text[ST_NAME_MAX + 1];
  static st_user users[2];
  memset(text, 'n', sizeof text);
  make_key(1, "ann", "a");
  make_user(2, "ann", "a");
  for (size_t len = ST_NAME_MAX; len <= ST_NAME_MAX + 1; len++) {
    st_key_filter filter = {.search = {text, len}, .now = NOW};
    page = (st_search_page){
        .limit = 2, .rows = 100, .count = 7, .more = true, .last = "zz", .last_expires_at = 9};
    assert_ok(st_store_key_search(store, &filter, id_of(9), keys, &page, error));
    assert_string_equal(page.last, id_of(9)); /* behind it there is none */
    assert_int_equal(page.last_expires_at, 0);
    assert_int_equal(page.rows, 100);
    page = (st_search_page){.limit = 2, .rows = 100, .count = 7, .more = true};
    assert_ok(st_store_key_search(store, &filter, "", keys, &page, error));
    assert_true(page.count == 0 && !page.more && page.rows == (len > ST_NAME_MAX ? 100 : 99));
    page = (st_search_page){.limit = 2, .rows = 100, .count = 7, .more = true};
    assert_ok(st_store_user_search(store, filter.search, "", users, &page, error));
    assert_true(page.count == 0 && !page.more && page.rows == (len > ST_NAME_MAX ? 100 : 99));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_beginning_of_an_id_leads_to_it),
      TEST(what_is_no_id_is_looked_for_among_all),
      TEST(ids_come_in_pages),
      TEST(an_id_that_does_not_fit_is_looked_at_once),
      TEST(another_page_is_told_of_when_one_more_fits),
      TEST(a_search_asks_for_more_and_more),
      TEST(what_has_expired_or_failed_is_not_found),
      TEST(what_is_longer_than_a_name_is_not_found),
  };
  return RUN_ON_SQLITE(tests); /* it is the rules that are asked, which all kinds have */
}
