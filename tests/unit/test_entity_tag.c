/* entity_tag: which versions of an answer a client says that it has (RFC 9110 section 13.1.2). */
#include "support.h"

#include "service/entity_tag.h"

/* One header; the value is in a block of its exact size. */
static bool knows(const char *name, const char *value, const char *tag) {
  subtoken_text text = exact_string(value);
  st_header headers[] = {{ST_TEXT("Host"), ST_TEXT("\"a\"")}, {st_text(name), text}};
  st_request request = {.headers = headers, .header_count = 2};
  bool known = st_entity_tag_is_known(&request, tag);
  release(text);
  return known;
}

static void a_tag_is_known_when_it_is_listed(void **state) {
  (void)state;
  static const struct {
    const char *list, *tag;
    bool known;
  } rows[] = {
      {"\"a\"", "a", true},
      {"\"a\"", "b", false},
      {"\"a\"", "ab", false},
      {"\"ab\"", "a", false},
      {"W/\"a\"", "a", true},
      {"\"a\", \"b\"", "b", true},
      {"\"a\",\"b\"", "b", true},
      {" ,\t, \"a\" ,, W/\"b\"\t", "b", true},
      {"\"a\", \"b\", \"c\"", "c", true},
      {"\"a\",\"b\"", "c", false},
      {"\"a,b\"", "a,b", true},
      {"\"\"", "", true},
      {"*", "a", true},
      {"*", "*", true},
      {"\"*\"", "a", false},
      /* what cannot be read ends the list */
      {"", "a", false},
      {" ", "a", false},
      {"\"", "", false},
      {"\"a", "a", false},
      {"a\"", "a", false},
      {"a", "a", false},
      {"xa\"", "a", false},
      {"W", "a", false},
      {"W/", "a", false},
      {"W/\"", "", false},
      {"Wx\"a\"", "a", false},
      {"w/\"a\"", "a", false},
      {"/\"a\"", "a", false},
      {"*, \"a\"", "a", false},
      {"\"a\" b, \"c\"", "c", false},
      {"\"a\" b, \"c\"", "a", true},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(knows("if-none-match", rows[i].list, rows[i].tag) == rows[i].known, "%s", rows[i].list);
    CHECK(!knows("If-Match", rows[i].list, "a"), "another header: %s", rows[i].list);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_tag_is_known_when_it_is_listed),
  };
  return cmocka_run_group_tests_name("entity_tag", tests, NULL, NULL);
}
