/* Lists of permissions, as options give them. */
#include "support.h"

#include "domain/permissions.h"

static void a_list_of_permissions_is_valid_or_refused(void **state) {
  (void)state;
  static char kept[ST_PERMISSIONS_TEXT_MAX + 1];
  static const struct {
    const char *list;
    bool valid;
  } rows[] = {
      {"", true},
      {"account", true},
      {"account,guilds", true},
      {"!#$%&'()*+-./:;<=>?@[]^_`{|}~", true},
      {"account,", false},
      {",account", false},
      {",", false},
      {"account,,guilds", false},
      {"account,account", false},
      {"account, guilds", true}, /* D3 */
      {" account\t,\tguilds ", true},
      {"account, ", false},
      {" ", false},
      {"account, account", false},
      {"account,\nguilds", false},
      {"account,\xC2\xA0guilds", false},
      {"a b", false},
      {"a\"b", false},
      {"a\\b", false},
      {"Zo\xC3\xAB", false},
      {"a\x7F", false},
      {"0123456789012345678901234567890123456789012345678901234567890123", true},
      {"01234567890123456789012345678901234567890123456789012345678901234", false},
      {"Account,account", true}, /* by exact bytes */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(st_permissions_read(rows[i].list, kept) == rows[i].valid, "%s", rows[i].list);
  }
  assert_true(st_permissions_read(" account\t, guilds,x\t ", kept));
  assert_string_equal(kept, "account,guilds,x");
  char many[ST_PERMISSIONS_TEXT_MAX + 100];
  for (int count = 64; count <= 65; count++) {
    st_writer writer = st_writer_on(many, sizeof many);
    for (int i = 0; i < count; i++) {
      char name[SUBTOKEN_PERMISSION_MAX + 1];
      snprintf(name, sizeof name, "%064d", i);
      if (i > 0) st_write_char(&writer, ',');
      st_write_literal(&writer, name);
    }
    assert_true(st_writer_end(&writer));
    assert_int_equal(st_permissions_read(many, kept), count == 64);
    if (count == 64) assert_string_equal(kept, many);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_list_of_permissions_is_valid_or_refused),
  };
  return cmocka_run_group_tests_name("permissions", tests, NULL, NULL);
}
