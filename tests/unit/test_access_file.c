/* access_file: what Graphene nodes read, and what is refused of it. */
#include "support.h"

#include "domain/access_file.h"
#include "domain/names.h"

#define HASH "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY="
#define SALT "INDdM6iCi/8="
#define SECRETS "\"password_hash_b64\":\"" HASH "\",\"password_salt_b64\":\"" SALT "\""
#define STARS "\"password_hash_b64\":\"*\",\"password_salt_b64\":\"*\""
#define USER "{" SECRETS ",\"allowed_apis\":[\"database_api\",\"network_broadcast_api\"]}"
#define ANYONE "{" STARS ",\"allowed_apis\":[\"database_api\"]}"
#define MAP(entries) "{\"permission_map\":[" entries "]}"

static st_access_file file;
static st_access_entry entry;
static char *text; /* a block of its exact size */

static int set_up(void **state) {
  (void)state;
  text = NULL;
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  free(text);
  text = NULL;
  return 0;
}

static bool start_bytes(const char *bytes, size_t len) {
  free(text);
  text = (char *)(uintptr_t)exact(bytes, len).data;
  memset(&file, 0xA5, sizeof file);
  return st_access_file_start(&file, text, len);
}

static bool start(const char *string) {
  return start_bytes(string, strlen(string));
}

/* Each entry as `login perm,perm;`, with a star for who needs no password. */
static const char *all(void) {
  static char out[4096];
  st_writer writer = st_writer_on(out, sizeof out);
  while (st_access_file_next(&file, &entry)) {
    st_write_view(&writer, entry.login);
    if (entry.anonymous) st_write_literal(&writer, "(anonymous)");
    for (size_t i = 0; i < entry.permission_count; i++) {
      st_write_char(&writer, i == 0 ? ' ' : ',');
      st_write_view(&writer, entry.permissions[i]);
    }
    st_write_char(&writer, ';');
  }
  assert_true(file.done && st_writer_end(&writer));
  return out;
}

/* The example of Graphene's documentation. */
static void the_documented_example_is_read(void **state) {
  (void)state;
  static const char example[] =
      "{\n"
      "   \"permission_map\" :\n"
      "   [\n"
      "      [\n"
      "         \"bytemaster\",\n"
      "         {\n"
      "            \"password_hash_b64\" : \"" HASH
      "\",\n"
      "            \"password_salt_b64\" : \"" SALT
      "\",\n"
      "            \"allowed_apis\" : [\"database_api\", \"network_broadcast_api\", "
      "\"history_api\", \"network_node_api\"]\n"
      "         }\n"
      "      ],\n"
      "      [\n"
      "         \"*\",\n"
      "         {\n"
      "            \"password_hash_b64\" : \"*\",\n"
      "            \"password_salt_b64\" : \"*\",\n"
      "            \"allowed_apis\" : [\"database_api\", \"network_broadcast_api\"]\n"
      "         }\n"
      "      ]\n"
      "   ]\n"
      "}\n";
  static const uint8_t salt[] = {0x20, 0xD0, 0xDD, 0x33, 0xA8, 0x82, 0x8B, 0xFF};
  uint8_t hash[ST_HASH_LEN];
  char both[11 + sizeof salt] = "supersecret";
  memcpy(both + 11, salt, sizeof salt);
  st_sha256(both, sizeof both, hash);
  assert_true(start(example));
  assert_int_equal(file.count, 2);
  assert_false(file.done);
  assert_string_equal(file.error, "");
  assert_true(st_access_file_next(&file, &entry));
  assert_true(st_text_is(entry.login, "bytemaster") && !entry.anonymous && !file.done);
  assert_memory_equal(entry.hash, hash, sizeof hash);
  assert_int_equal(entry.salt_len, sizeof salt);
  assert_memory_equal(entry.salt, salt, sizeof salt);
  assert_int_equal(entry.permission_count, 4);
  assert_true(st_text_is(entry.permissions[3], "network_node_api"));
  assert_true(st_access_file_next(&file, &entry));
  assert_true(st_text_is(entry.login, "*") && entry.anonymous && entry.salt_len == 0 && file.done);
  assert_int_equal(entry.permission_count, 2);
  assert_false(st_access_file_next(&file, &entry));
  assert_true(entry.login.data == NULL && entry.permission_count == 0);
  assert_false(st_access_file_next(&file, &entry));
}

static void variants_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text, *entries;
  } rows[] = {
      {MAP(""), ""},
      {"{\"permission_map\":{}}", ""},
      {"{\"permission_map\":{\"a\":" USER ",\"*\":" ANYONE "}}",
       "a database_api,network_broadcast_api;*(anonymous) database_api;"},
      {" { \"x\" : [ { } , { \"permission_map\" : 1 } ] , \"permission_map\" : [ [ \"a\" ,\n" USER
       " ] ] , \"y\" : null } ",
       "a database_api,network_broadcast_api;"},
      /* other members, other orders, repeats, escapes */
      {MAP("[\"a\",{\"allowed_apis\":[\"x\",\"y\",\"x\",\"\\u0078\",\"y\"],\"note\":{\"a\":[1]}"
           "," SECRETS "}]"),
       "a x,y;"},
      {"{\"permission_map\":{\"\\u0061\\u006E\\u006e\\u0061\":{\"\\u0061llowed_apis\":[\"\\u0078\"]"
       "," SECRETS ",\"n\":\"\\n\\n\"},\"b\":" USER "}}",
       "anna x;b database_api,network_broadcast_api;"},
      /* nobody may do nothing; the shortest there is */
      {MAP("[\"a\",{" SECRETS ",\"allowed_apis\":[]}]"), "a;"},
      {MAP("[\"*\",{\"password_hash_b64\":\"*\",\"allowed_apis\":[]}]"), "*(anonymous);"},
      {"{\"permission_map\":{\"*\":{\"password_hash_b64\":\"*\",\"allowed_apis\":[]},\"a\":" USER
       "}}",
       "*(anonymous);a database_api,network_broadcast_api;"},
      {MAP("[\"a\",{\"password_hash_b64\":\"" HASH
           "\",\"password_salt_b64\":\"\",\"allowed_apis\":["
           "\"a\"]}]"),
       "a a;"},
      /* logins */
      {MAP("[\"a b\",{" SECRETS ",\"allowed_apis\":[]}],[\"A b\",{" SECRETS
           ",\"allowed_apis\":[]}],[\"**\",{" SECRETS ",\"allowed_apis\":[]}]"),
       "a b;A b;**;"},
      {MAP("[\"p\xC3\xA4\\u00e4\\ud83d\\ude00\",{" SECRETS ",\"allowed_apis\":[]}]"),
       "p\xC3\xA4\xC3\xA4\xF0\x9F\x98\x80;"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(start(rows[i].text), "row %zu: %s", i, file.error);
    const char *got = all();
    CHECK(strcmp(got, rows[i].entries) == 0, "row %zu: %s", i, got);
  }
}

static void errors_name_line_and_column(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t line, column;
    const char *error;
  } rows[] = {
      {"", 1, 1, "unexpected end"},
      {"x", 1, 1, "not valid JSON"},
      {"[]", 1, 1, "the file must be an object"},
      {"{}", 1, 2, "permission_map is missing"},
      {"{\n\"x\":1\n}", 3, 1, "permission_map is missing"},
      {"\n{}", 2, 2, "permission_map is missing"},
      {"{\"permission_map\":[", 1, 20, "unexpected end"},
      {"{\"permission_map\":1}", 1, 19, "must be an array or an object"},
      {"{\"permission_map\":\"x\"}", 1, 19, "must be an array or an object"},
      {MAP("") "x", 1, 22, "unexpected text"},
      {MAP("") MAP(""), 1, 22, "unexpected text"},
      {"{\"permission_map\":[],\"permission_map\":[]}", 1, 22, "duplicate name in an object"},
      {"{\"permission_map\":[],\"a\":tru}", 1, 26, "not valid JSON"},
      {"\xEF\xBB\xBF" MAP(""), 1, 1, "starts with a byte-order mark: save the file"},
      {"\xFE\xFF" MAP(""), 1, 1, "starts with the byte-order mark of UTF-16"},
      {MAP("\"a\""), 1, 20, "an array of a login and an object"},
      {MAP("[]"), 1, 21, "an array of a login and an object"},
      {MAP("[\"a\"]"), 1, 24, "an array of a login and an object"},
      {MAP("[\"a\"," USER ",1]"), 0, 0, "an array of a login and an object"},
      {MAP("[\"a\"," USER "}"), 0, 0, "not valid JSON"},
      {MAP("[1," USER "]"), 1, 21, "a login must be a string"},
      {MAP("[\"a\",1]"), 1, 25, "permission_map[\"a\"]: must be an object"},
      {MAP("[\"a\",[]]"), 1, 25, "permission_map[\"a\"]: must be an object"},
      /* logins */
      {MAP("[\"\"," USER "]"), 1, 21, "a login is 1 to 256 bytes"},
      {MAP("[\".\"," USER "]"), 1, 21, "a login is 1 to 256 bytes"},
      {MAP("[\"a:b\"," USER "]"), 1, 21, "permission_map[\"a:b\"]: a login is 1 to 256 bytes"},
      {MAP("[\"a\\nb\"," USER "]"), 1, 21, "permission_map[\"a\\x0ab\"]: a login is"},
      {MAP("[\"a:b\"\n\n,\n" USER "]"), 1, 21, "a login is 1 to 256 bytes"},
      {"{\"permission_map\":{\n\"a:b\"\n:\n" USER "}}", 2, 1, "a login is 1 to 256 bytes"},
      {MAP("[\"a\\u007f\"," USER "]"), 1, 21, "a login is 1 to 256 bytes"},
      {MAP("[\"a\\u0085\"," USER "]"), 1, 21, "a login is 1 to 256 bytes"},
      {MAP("[\"a\\u0000\"," USER "]"), 1, 29, "not valid JSON"},
      {MAP("[\"a\xFF\"," USER "]"), 1, 23, "not valid JSON"},
      {MAP("[\"a\nb\"," USER "]"), 1, 23, "not valid JSON"}, /* it stands before the end of line */
      {MAP("[\"a\"," USER "],\n[\"a\"," USER "]"), 2, 2, "permission_map[\"a\"]: duplicate login"},
      {MAP("[\"a\"," USER "],\n[\"b\"," USER "],\n [\"\\u0061\"," USER "]"), 3, 3,
       "duplicate login"},
      {MAP("[\"*\"," ANYONE "],\n[\"*\"," ANYONE "]"), 2, 2,
       "permission_map[\"*\"]: duplicate login"},
      {"{\"permission_map\":{\"a\":" USER ",\n\"a\":" USER "}}", 2, 1,
       "duplicate name in an object"},
      {"{\"permission_map\":{\"a\":" USER ",\n\"\\u0061\":" USER "}}", 2, 1, "duplicate name"},
      /* members */
      {MAP("[\"a\",{}]"), 1, 26, "permission_map[\"a\"]: password_hash_b64 is missing"},
      {MAP("[\"a\",{\n\"password_hash_b64\":\"" HASH "\",\"allowed_apis\":[]\n}]"), 3, 1,
       "password_salt_b64 is missing"},
      {MAP("[\"a\",{" SECRETS "}]"), 0, 0, "allowed_apis is missing"},
      {MAP("[\"*\",{" STARS "}]"), 0, 0, "allowed_apis is missing"},
      {MAP("[\"*\",{\"allowed_apis\":[]}]"), 0, 0, "password_hash_b64 is missing"},
      {MAP("[\"a\",{\n\"password_hash_b64\":null}]"), 2, 21, "password_hash_b64: must be a string"},
      {MAP("[\"a\",{\n\"password_hash_b64\":\"\"}]"), 2, 21, "must be 32 bytes in base64"},
      {MAP("[\"a\",{\n\"password_hash_b64\":\"*\"}]"), 2, 21,
       "permission_map[\"a\"].password_hash_b64: must not be * for a named user"},
      {MAP("[\"*\",{\n\"password_hash_b64\":\"" HASH "\"}]"), 2, 21,
       "permission_map[\"*\"].password_hash_b64: must be * for the user *"},
      {MAP("[\"*\",{\n\"password_hash_b64\":\"\"}]"), 2, 21, "must be * for the user *"},
      {MAP("[\"a\",{\"password_hash_b64\":\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY\"}]"), 1,
       46, "must be 32 bytes"},
      {MAP("[\"a\",{\"password_hash_b64\":\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaZ=\"}]"), 1,
       46, "must be 32 bytes"},
      {MAP("[\"a\",{\"password_hash_b64\":\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elQ==\"}]"), 1,
       46, "must be 32 bytes"},
      {MAP("[\"a\",{\"password_hash_b64\":\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaYA\"}]"), 1,
       46, "must be 32 bytes"},
      {MAP("[\"a\",{\"password_hash_b64\":\"9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94e-_Y=\"}]"), 1,
       46, "must be 32 bytes"},
      {MAP("[\"a\",{\"password_salt_b64\":\"*\"}]"), 1, 46,
       "permission_map[\"a\"].password_salt_b64: must be at most 64 bytes"},
      {MAP("[\"a\",{\"password_salt_b64\":\"AAA\"}]"), 1, 46, "must be at most 64 bytes"},
      {MAP("[\"a\",{\"password_salt_b64\":"
           "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
           "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}]"),
       1, 46, "must be at most 64 bytes"}, /* 65 */
      {MAP("[\"a\",{\"password_salt_b64\":{}}]"), 1, 46, "password_salt_b64: must be a string"},
      {MAP("[\"*\",{\"password_salt_b64\":1}]"), 1, 46, "password_salt_b64: must be a string"},
      {MAP("[\"a\",{\"allowed_apis\":\"x\"}]"), 1, 41, "allowed_apis: must be an array of strings"},
      {MAP("[\"a\",{\"allowed_apis\":[1]}]"), 1, 42, "allowed_apis: must be an array of strings"},
      {MAP("[\"a\",{\"allowed_apis\":[\"\"]}]"), 1, 42,
       "permission_map[\"a\"].allowed_apis: not a valid permission"},
      {MAP("[\"a\",{\"allowed_apis\":[\"x\",\n \"a b\"]}]"), 2, 2, "not a valid permission"},
      {MAP("[\"a\",{\"allowed_apis\":[\"a,b\"]}]"), 1, 42, "not a valid permission"},
      {MAP("[\"a\",{\"allowed_apis\":[],\"allowed_apis\":[]}]"), 1, 44,
       "duplicate name in an object"},
      {MAP("[\"a\",{\"allowed_apis\":[]x}]"), 1, 43, "not valid JSON"},
      {MAP("[\"a\",{\"x\":}]"), 1, 30, "not valid JSON"},
      /* the place is not known once an end of line was unescaped */
      {"{\"x\":\"\\n\",\n"
       "\"permission_map\":1}",
       0, 0, "must be an array or an object"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(!start(rows[i].text), "row %zu", i);
    CHECK(strstr(file.error, rows[i].error) != NULL, "row %zu: %s", i, file.error);
    bool unknown = strstr(rows[i].text, "\"x\":\"\\n\"") != NULL;
    bool asked = rows[i].line != 0 || unknown;
    CHECK(!asked || (file.line == rows[i].line && file.column == rows[i].column),
          "row %zu: %zu:%zu %s", i, file.line, file.column, file.error);
    CHECK(unknown || (file.line > 0 && file.column > 0), "row %zu", i);
    CHECK(file.count == 0 && !file.done && !st_access_file_next(&file, &entry) && !file.done,
          "row %zu gives entries", i);
  }
}

/* Nothing else is wrong with these. */
static void one_fault_is_enough(void **state) {
  (void)state;
  static const char *const rows[] = {
      MAP("[\"a\",{\"password_hash_b64\":\"*\",\"password_salt_b64\":\"" SALT
          "\",\"allowed_apis\":[]}]"),
      MAP("[\"*\",{\"password_hash_b64\":\"" HASH "\",\"allowed_apis\":[]}]"),
      MAP("[\"a\",{\"password_hash_b64\":\"AAAA\",\"password_salt_b64\":\"" SALT
          "\",\"allowed_apis\":[]}]"),
      MAP("[\"a\",{\"password_hash_b64\":\"" HASH
          "\",\"password_salt_b64\":\"*\",\"allowed_apis\":[]}]"),
      MAP("[\"a\",{" SECRETS ",\"allowed_apis\":[\"a b\"]}]"),
      MAP("[\"a\",{" SECRETS ",\"allowed_apis\":[\"x\",\"a b\",\"y\"]}]"),
      MAP("[\"a:b\"," USER "]"),
      MAP("[\"a\"," USER "],[\"a\"," USER "]"),
      "{\"permission_map\":{\"a\":{}}}",
      "{\"permission_map\":{\"a\":{},\"b\":" USER "}}",
      "{\"permission_map\":{\"a:b\":" USER "}}",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(!start(rows[i]) && file.error[0] != '\0', "row %zu", i);
    CHECK(file.count == 0 && !st_access_file_next(&file, &entry), "row %zu gives entries", i);
  }
}

/* An error outside of an entry names none, even when one came before. */
static void an_error_names_the_entry_that_it_is_in(void **state) {
  (void)state;
  assert_false(start(MAP("[\"a\"," USER "],1")));
  assert_string_equal(file.error, "an entry must be an array of a login and an object");
  assert_false(start(MAP("[\"a\"," USER "]") "x"));
  assert_string_equal(file.error, "unexpected text after the object");
}

/* A hash of ends of lines: what is noted over an entry is not counted as lines of the file. */
static void what_is_noted_has_no_lines(void **state) {
  (void)state;
  assert_false(
      start(MAP("[\"a\",{\"password_hash_b64\":\"CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=\","
                "\"password_salt_b64\":\"CgoK\",\"allowed_apis\":[]}],\n1")));
  assert_int_equal(file.line, 2);
  assert_int_equal(file.column, 1);
}

/* The key of an entry in the tree, as it is noted: of the one that has that number. */
static uint64_t noted_key(const char *string, int number) {
  enum { KEY = 12 };
  assert_true(start(string));
  for (int i = 0; i <= number; i++) assert_true(st_access_file_next(&file, &entry));
  return st_load64((const uint8_t *)entry.login.data + entry.login.len + KEY);
}

/* So that nobody can prepare a file whose tree is a list: of the login and of the whole file. */
static void the_order_of_the_tree_is_nobodys_to_choose(void **state) {
  (void)state;
  static const char two[] = MAP("[\"a\"," USER "],[\"b\"," USER "]");
  uint64_t first = noted_key(two, 0);
  assert_true(first != 0 && first == noted_key(two, 0));
  assert_true(first != noted_key(two, 1));
  assert_true(first != noted_key(MAP("[\"a\"," USER "],[\"c\"," USER "]"), 0));
  assert_true(first != noted_key(MAP("[\"a\"," USER "],[\"b\"," USER "]") " ", 0));
}

/* ---- large ones ---- */

static char large[32 << 20];
static st_writer large_writer;

static void large_start(const char *front) {
  large_writer = st_writer_on(large, sizeof large);
  st_write_literal(&large_writer, front);
}

static bool large_end(const char *back) {
  st_write_literal(&large_writer, back);
  assert_true(st_writer_end(&large_writer));
  return start_bytes(large, large_writer.len);
}

static void a_username_has_256_bytes_at_most(void **state) {
  (void)state;
  for (size_t len = 255; len <= 257; len++) {
    large_start("{\"permission_map\":[[\"");
    for (size_t i = 0; i < len; i++) st_write_char(&large_writer, 'l');
    assert_int_equal(large_end("\"," USER "]]}"), len <= 256);
    if (len > 256) assert_non_null(strstr(file.error, "llll...\"]: a login is 1 to 256"));
    assert_int_equal(st_access_file_next(&file, &entry), len <= 256);
    assert_int_equal(entry.login.len, len <= 256 ? len : 0);
  }
  /* 64 permissions of 64 characters, the longest salt; one more of either */
  for (size_t more = 0; more <= 1; more++) {
    large_start("{\"permission_map\":[[\"a\",{\"password_salt_b64\":\"AAAA");
    for (size_t i = 0; i < 80; i++) st_write_char(&large_writer, 'A');
    st_write_literal(&large_writer,
                     "AA==\",\"password_hash_b64\":\"" HASH "\",\"allowed_apis\":[\"z\"");
    for (size_t i = 0; i < 63 + more; i++) {
      st_write_literal(&large_writer, ",\"z\",\"");
      for (size_t j = 0; j < 62; j++) st_write_char(&large_writer, 'p');
      st_write_char(&large_writer, (char)('0' + i / 10));
      st_write_char(&large_writer, (char)('0' + i % 10));
      st_write_char(&large_writer, '"');
    }
    assert_int_equal(large_end("]}]]}"), more == 0);
    if (more == 1) assert_non_null(strstr(file.error, "maximum 64"));
  }
  large_start("{\"permission_map\":[[\"a\",{\"allowed_apis\":[\"");
  for (size_t j = 0; j < 65; j++) st_write_char(&large_writer, 'p');
  assert_false(large_end("\"]}]]}"));
  /* A long login is cut between characters. */
  large_start("{\"permission_map\":[[\"");
  for (size_t i = 0; i < 200; i++) st_write_literal(&large_writer, "\xE2\x82\xAC");
  assert_false(large_end("\"," USER "]]}"));
  assert_true(st_utf8_valid(st_text(file.error)));
  assert_non_null(strstr(file.error, "\xE2\x82\xAC...\"]: a login"));
}

/* In the order that a plain search tree is worst at; and one of them twice. */
static void a_hundred_thousand_users_are_read(void **state) {
  (void)state;
  char login[32];
  enum { USERS = 100000 };
  for (int twice = 0; twice <= 1; twice++) {
    large_start("{\"permission_map\":[");
    for (int i = 0; i < USERS; i++) {
      snprintf(login, sizeof login, "%s\n[\"user-%06d\",", i > 0 ? "," : "", i);
      st_write_literal(&large_writer, login);
      st_write_literal(&large_writer, USER "]");
    }
    if (twice == 1) st_write_literal(&large_writer, ",\n[\"user-031415\"," USER "]");
    assert_int_equal(large_end("]}"), twice == 0);
    if (twice == 1) break;
    assert_int_equal(file.count, USERS);
    for (int i = 0; i < USERS; i++) {
      snprintf(login, sizeof login, "user-%06d", i);
      if (!st_access_file_next(&file, &entry)) fail_msg("ends at %d", i);
      CHECK(st_text_is(entry.login, login) && entry.permission_count == 2, "%d", i);
    }
    assert_true(file.done);
  }
  assert_string_equal(file.error, "permission_map[\"user-031415\"]: duplicate login");
  assert_int_equal(file.line, USERS + 2);
  assert_int_equal(file.column, 2);
}

/* An object has as many users as the JSON reader keeps names, less what else is open. */
static void an_object_has_a_limited_number_of_users(void **state) {
  (void)state;
  char login[32];
  for (int users = 1270; users <= 1290; users += 20) {
    large_start("{\"permission_map\":{");
    for (int i = 0; i < users; i++) {
      snprintf(login, sizeof login, "%s\"user-%d\":", i > 0 ? "," : "", i);
      st_write_literal(&large_writer, login);
      st_write_literal(&large_writer, USER);
    }
    assert_int_equal(large_end("}}"), users == 1270);
  }
  assert_non_null(strstr(file.error, "use an array"));
}

static void usernames_have_a_form(void **state) {
  (void)state;
  assert_true(st_names_username_valid(ST_TEXT("a")));
  assert_true(st_names_username_valid(ST_TEXT("anna@example.org")));
  assert_true(st_names_username_valid(ST_TEXT("\xC2\xA0")));
  assert_false(st_names_username_valid((subtoken_text){NULL, 0}));
  assert_false(st_names_username_valid(ST_TEXT("\x1F")));
  assert_false(st_names_username_valid(ST_TEXT("a\x7F")));
  assert_false(st_names_username_valid(ST_TEXT("\xC2\x9F")));
  assert_false(st_names_username_valid(ST_TEXT("a:")));
  assert_false(st_names_username_valid(ST_TEXT("a\0b")));
  assert_false(st_names_username_valid(ST_TEXT("a\xC3")));
  const char *const folded[] = {".", ".."};
  for (size_t i = 0; i < 2; i++) { /* new ones may not; who has such a name keeps it */
    assert_true(st_names_username_valid(st_text(folded[i])));
    assert_false(st_names_new_username_valid(st_text(folded[i])));
  }
  assert_true(st_names_new_username_valid(ST_TEXT("...")));
  assert_true(st_names_new_username_valid(ST_TEXT("a.")));
  assert_false(st_names_new_username_valid(ST_TEXT("a:")));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_documented_example_is_read),
      TEST(variants_are_read),
      TEST(errors_name_line_and_column),
      TEST(one_fault_is_enough),
      TEST(an_error_names_the_entry_that_it_is_in),
      TEST(what_is_noted_has_no_lines),
      TEST(the_order_of_the_tree_is_nobodys_to_choose),
      TEST(a_username_has_256_bytes_at_most),
      TEST(a_hundred_thousand_users_are_read),
      TEST(an_object_has_a_limited_number_of_users),
      TEST(usernames_have_a_form),
  };
  return cmocka_run_group_tests_name("access_file", tests, NULL, NULL);
}
