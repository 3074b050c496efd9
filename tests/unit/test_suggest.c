/* F9: which name somebody may have meant. */
#include "support.h"

#include "cli/suggest.h"

static const char *suggested(const char *word, const char *const *names, size_t count) {
  subtoken_text text = exact_string(word);
  st_suggestion suggestion = {.word = text.data, .len = text.len};
  for (size_t i = 0; i < count; i++) st_suggest_offer(&suggestion, names[i]);
  release(text);
  return suggestion.name != NULL ? suggestion.name : "";
}

static void a_mistyped_command_is_suggested(void **state) {
  (void)state;
  static const char *const names[] = {"serve",  "key",    "user",   "issue", "verify",
                                      "secret", "policy", "backup", "pull",  "help"};
  static const struct {
    const char *word, *name;
  } rows[] = {
      {"serv", "serve"},
      {"server", "serve"},
      {"sevre", "serve"},
      {"srve", "serve"},
      {"Serve", "serve"},
      {"ker", "key"},
      {"keys", "key"},
      {"k", "key"},
      {"ke", "key"},
      {"users", "user"},
      {"verfiy", "verify"},
      {"v", "verify"},
      {"veri", "verify"},
      {"secrest", "secret"},
      {"pol", "policy"},
      {"puul", "pull"},
      {"bakcup", "backup"},
      {"hlep", "help"},
      {"xyz", ""},
      {"kk", ""},
      {"create", ""},
      {"", ""},
      {"z", ""},
      {"sekrit", "secret"},
      {"selleries", ""},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = suggested(rows[i].word, names, COUNT(names));
    CHECK(strcmp(got, rows[i].name) == 0, "%s: %s, not %s", rows[i].word, got, rows[i].name);
  }
}

static void a_mistyped_option_is_suggested(void **state) {
  (void)state;
  static const char *const names[] = {"--permissions", "--urls", "--expire",
                                      "--data",        "--json", "--help"};
  static const struct {
    const char *word, *name;
  } rows[] = {
      {"--permission", "--permissions"},
      {"--perm", "--permissions"},
      {"--url", "--urls"},
      {"--expires", "--expire"},
      {"--Json", "--json"},
      {"--h", "--help"},
      {"--dtaa", "--data"},
      {"--", ""},
      {"-", ""},
      {"--x", ""},
      {"--no", ""},
      {"--colour", ""},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const char *got = suggested(rows[i].word, names, COUNT(names));
    CHECK(strcmp(got, rows[i].name) == 0, "%s: %s, not %s", rows[i].word, got, rows[i].name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_mistyped_command_is_suggested),
                                     cmocka_unit_test(a_mistyped_option_is_suggested)};
  return cmocka_run_group_tests_name("suggest", tests, NULL, NULL);
}
