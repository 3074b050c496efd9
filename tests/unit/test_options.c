/* command: what the sub-commands share. */
#include "os/secret_file.h"
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/data_dir.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/permissions.h"
#include "domain/store.h"
#include "operations/draw.h"
#include "operations/keyring_file.h"
#include "os/clock.h"
#include "os/error.h"

/* ---- options ---- */

static bool flag;
static const char *value, *other;
static const char *words[2];
static const st_option options[] = {
    {"--json", &flag, NULL}, {"--name", NULL, &value}, {"--name-more", NULL, &other}, {0}};
static st_arguments arguments;

/* Standard output and error go to a file while it reads. */
static char printed[4096];

static bool read_arguments(int argc, const char *const *argv) {
  FILE *capture = tmpfile();
  assert_non_null(capture);
  fflush(NULL);
  int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(fileno(capture), STDOUT_FILENO);
  dup2(fileno(capture), STDERR_FILENO);
  flag = false;
  value = other = NULL;
  memset(words, 0, sizeof words);
  arguments = (st_arguments){.command = "test it",
                             .help = "usage: subtoken test it [WORD]\n\nMore help.",
                             .options = options,
                             .words = words,
                             .word_max = COUNT(words)};
  static char kept[16][200]; /* the values and words point into it */
  char *copy[16] = {0};
  for (int i = 0; i < argc; i++) {
    snprintf(kept[i], sizeof kept[i], "%s", argv[i]);
    copy[i] = kept[i];
  }
  bool good = st_options_read(&arguments, argc, copy);
  fflush(NULL);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  close(out);
  close(err);
  rewind(capture);
  printed[fread(printed, 1, sizeof printed - 1, capture)] = '\0';
  fclose(capture);
  return good;
}

#define READ(...)                                                          \
  read_arguments((int)COUNT(((const char *const[]){"", __VA_ARGS__})) - 1, \
                 ((const char *const[]){"", __VA_ARGS__}) + 1)

static void test_options(void **state) {
  (void)state;
  assert_true(read_arguments(0, NULL));
  assert_false(flag);
  assert_null(value);
  assert_int_equal(arguments.word_count, 0);
  assert_true(READ("--json", "--name", "a b", "--name-more=c=d"));
  assert_true(flag);
  assert_string_equal(value, "a b");
  assert_string_equal(other, "c=d");
  assert_true(READ("one", "--name=x", "two", "--json"));
  assert_int_equal(arguments.word_count, 2);
  assert_string_equal(words[0], "one");
  assert_string_equal(words[1], "two");
  assert_string_equal(value, "x");
  assert_true(READ("--name="));
  assert_string_equal(value, "");
  assert_true(READ("--name", "--json")); /* a value may look like an option */
  assert_string_equal(value, "--json");
  assert_false(flag);
  assert_true(READ("-"));
  assert_string_equal(words[0], "-");
  assert_string_equal(printed, "");
}

static void must_refuse(bool good, const char *says) {
  CHECK(!good, "taken; wanted `%s`", says);
  CHECK(strstr(printed, says) != NULL, "`%s` says nothing of `%s`", printed, says);
  CHECK(strncmp(printed, "subtoken test it: ", 18) == 0, "%s", printed);
  CHECK(strstr(printed, "usage: subtoken test it [WORD]\n") != NULL, "%s", printed);
  CHECK(strstr(printed, "More help") == NULL, "%s", printed);
}

static void test_bad_options(void **state) {
  (void)state;
  must_refuse(READ("--nam", "x"), "unknown option --nam");
  must_refuse(READ("--name-mor=x"), "unknown option --name-mor; did you mean --name-more?\n");
  must_refuse(READ("--Json"), "unknown option --Json");
  must_refuse(READ("--"), "unknown option --");
  must_refuse(READ("--json=yes"), "--json takes no value");
  must_refuse(READ("--name"), "--name needs a value");
  must_refuse(READ("--json", "--name"), "--name needs a value");
  must_refuse(READ("--name", "a", "--name", "b"), "--name is given twice");
  must_refuse(READ("--name=a", "--name="), "--name is given twice");
  must_refuse(READ("a", "b", "c"), "unexpected argument\n");
}

static void test_help(void **state) {
  (void)state;
  assert_true(READ("--help"));
  assert_true(arguments.helped);
  assert_string_equal(printed, "usage: subtoken test it [WORD]\n\nMore help.\n");
  assert_true(READ("word", "--json", "--help", "--nonsense"));
  assert_true(arguments.helped);
  assert_true(READ("word"));
  assert_false(arguments.helped);
}

/* ---- the table ---- */

static int ran_argc;

static int run_first(int argc, char **argv) {
  (void)argv;
  ran_argc = argc;
  return 41;
}

static int run_second(int argc, char **argv) {
  (void)argc;
  (void)argv;
  return 42;
}

static void test_table(void **state) {
  (void)state;
  static const st_command table[] = {
      {"first", run_first, "the first"}, {"first-more", run_second, "the second"}, {0}};
  char first[] = "first", more[] = "first-more", word[] = "word";
  assert_int_equal(st_options_run_command(table, "t", 2, (char *[]){first, word}), 41);
  assert_int_equal(ran_argc, 1);
  assert_int_equal(st_options_run_command(table, "t", 1, (char *[]){more}), 42);
}

/* ---- a credential on standard input ---- */

static char error[ST_ERROR_MAX];

/* What is read of it when it comes on standard input; NULL when it is refused. */
static const char *read_from(const char *text, size_t len, size_t room,
                             bool (*how)(char *, size_t, subtoken_text *, char *)) {
  static char out[ST_PASSWORD_MAX + 8];
  char buffer[ST_PASSWORD_MAX + 8];
  int ends[2], in = dup(STDIN_FILENO);
  subtoken_text credential;
  assert_true(room <= sizeof buffer && pipe(ends) == 0);
  assert_int_equal(write(ends[1], text, len), len);
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  bool good = how(buffer, room, &credential, error);
  dup2(in, STDIN_FILENO);
  close(in);
  if (!good) return NULL;
  snprintf(out, sizeof out, "%.*s", (int)credential.len, credential.data);
  return out;
}

static const char *read_credential(const char *text, size_t len, size_t room) {
  return read_from(text, len, room, st_input_credential);
}

static void test_read_credential(void **state) {
  (void)state;
  assert_string_equal(read_credential("a.b.c", 5, 100), "a.b.c");
  assert_string_equal(read_credential("a.b.c\n", 6, 100), "a.b.c");
  assert_string_equal(read_credential(" \t\r\n a.b.c \r\n\t", 14, 100), "a.b.c");
  assert_string_equal(read_credential("a b", 3, 100), "a b");
  assert_null(read_credential("", 0, 100));
  assert_null(read_credential(" \n\n", 3, 100));
  assert_string_equal(error, "standard input is empty");
  assert_null(read_credential("0123456789", 10, 5)); /* more than there is room for */
}

static const char *read_password(const char *text, size_t len) {
  return read_from(text, len, ST_PASSWORD_MAX + 2, st_input_password);
}

/* White space is part of a password, but one end of line is not. */
static void test_read_password(void **state) {
  (void)state;
  static const char too_long[] = "the password is longer than 1024 bytes";
  static const char two[] = "the password has more than one line";
  subtoken_text longest = repeated("", 'x', ST_PASSWORD_MAX + 3);
  char *end = (char *)(uintptr_t)longest.data + ST_PASSWORD_MAX;
  assert_string_equal(read_password("open sesame", 11), "open sesame");
  assert_string_equal(read_password(" open sesame\t\n", 14), " open sesame\t");
  assert_string_equal(read_password("p\xC3\xA4ss\r\n", 7), "p\xC3\xA4ss");
  assert_string_equal(read_password(" ", 1), " ");
  assert_null(read_password("", 0));
  assert_null(read_password("\n", 1));
  assert_null(read_password("\r\n", 2));
  assert_string_equal(error, "standard input is empty");
  assert_null(read_password("a\n\n", 3));
  assert_string_equal(error, two);
  assert_null(read_password("a\nb", 3));
  assert_string_equal(error, two);
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX)), ST_PASSWORD_MAX);
  assert_null(read_password(longest.data, ST_PASSWORD_MAX + 1));
  assert_string_equal(error, too_long);
  assert_null(read_password(longest.data, ST_PASSWORD_MAX + 3));
  assert_non_null(strstr(error, "is longer than"));
  end[0] = '\n';
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX + 1)), ST_PASSWORD_MAX);
  end[0] = '\r';
  end[1] = '\n';
  assert_int_equal(strlen(read_password(longest.data, ST_PASSWORD_MAX + 2)), ST_PASSWORD_MAX);
  release(longest);
}

/* ---- printing ---- */

static const char *print(void (*how)(FILE *out, subtoken_text text), subtoken_text text) {
  static char out[8192];
  FILE *file = tmpfile();
  assert_non_null(file);
  how(file, text);
  rewind(file);
  out[fread(out, 1, sizeof out - 1, file)] = '\0';
  fclose(file);
  return out;
}

static void test_print_text(void **state) {
  (void)state;
  static const struct {
    const char *text, *shown;
  } rows[] = {
      {"", ""},
      {"plain", "plain"},
      {"Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80", "Zo\xC3\xAB \xE2\x82\xAC \xF0\x9F\x98\x80"},
      {"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"},
      {"a\nb\rc\td\x08", "a\\x0ab\\x0dc\\x09d\\x08"},
      {"\x7F", "\\x7f"},
      {"\xC2\x9B"
       "31m",
       "\\xc2\\x9b31m"}, /* C1's CSI, which some terminals obey */
      {"\xC2\xA0", "\xC2\xA0"},
      {"\x9B"
       "31m",
       "\\x9b31m"},
      {"\xFF\xC3", "\\xff\\xc3"},
      {"\xC0\xAF", "\\xc0\\xaf"},
      {"\xED\xA0\x80", "\\xed\\xa0\\x80"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    const char *shown = print(st_print_text, text);
    CHECK(strcmp(shown, rows[i].shown) == 0, "row %zu: %s", i, shown);
    release(text);
  }
  assert_string_equal(print(st_print_text, (subtoken_text){"a\0b", 3}), "a\\x00b");
}

/* No byte of any kind reaches a terminal that would obey it. */
static void test_print_anything(void **state) {
  (void)state;
  uint64_t seed = 6;
  for (int i = 0; i < 500; i++) {
    char bytes[64];
    for (size_t j = 0; j < sizeof bytes; j++) bytes[j] = (char)random_next(&seed);
    const char *shown = print(st_print_text, (subtoken_text){bytes, sizeof bytes});
    assert_true(st_utf8_valid(st_text(shown)));
    for (; *shown != '\0'; shown++) assert_true((uint8_t)*shown >= 0x20 && *shown != 0x7F);
  }
}

static void test_print_json(void **state) {
  (void)state;
  static const char *const rows[] = {"", "plain", "\"\\/\n\t\x01\x1b[31m\x7F",
                                     "Zo\xC3\xAB \xF0\x9F\x98\x80"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text value_read, text = exact_string(rows[i]);
    char shown[256];
    snprintf(shown, sizeof shown, "%s", print(st_print_json, text));
    st_json json;
    st_json_start(&json, shown, strlen(shown));
    CHECK(st_json_string(&json, &value_read) && st_json_end(&json), "row %zu", i);
    CHECK(st_text_is(value_read, rows[i]), "row %zu: %s", i, shown);
    release(text);
  }
  assert_null(strchr(print(st_print_json, st_text("\x1b\x7F")), '\x1b'));
}

static void test_print_time(void **state) {
  (void)state;
  FILE *file = tmpfile();
  char out[100];
  st_print_time(file, NOW);
  rewind(file);
  out[fread(out, 1, sizeof out - 1, file)] = '\0';
  fclose(file);
  assert_string_equal(out, "2023-11-14T22:13:20Z");
}

/* ---- drawing ---- */

static void test_draw_key(void **state) {
  (void)state;
  enum { DRAWS = 200 };
  static char keys[DRAWS][ST_KEY_LEN + 1];
  unsigned seen[ST_KEY_LEN] = {0}; /* which hex digits, as bits */
  for (size_t i = 0; i < DRAWS; i++) {
    st_key key;
    uint8_t digest[ST_HASH_LEN], wanted[ST_HASH_LEN];
    memset(&key, 0x5A, sizeof key);
    st_draw_key(keys[i], &key, digest);
    assert_int_equal(strlen(keys[i]), ST_KEY_LEN);
    assert_true(st_key_shaped(st_text(keys[i])));
    assert_int_equal(strlen(key.id), ST_KEY_ID_LEN);
    assert_memory_equal(key.id, keys[i], ST_KEY_ID_LEN);
    assert_true(st_sha256(keys[i], ST_KEY_LEN, wanted));
    assert_memory_equal(digest, wanted, sizeof digest);
    assert_int_equal(strlen(key.sub), ST_SUB_LEN);
    assert_true(subtoken_sub_valid(st_text(key.sub)));
    for (size_t j = 0; j < i; j++) assert_string_not_equal(keys[i], keys[j]);
    for (size_t j = 0; j < ST_KEY_LEN; j++) {
      if (keys[i][j] != '-') seen[j] |= 1U << st_hex_value(keys[i][j]);
    }
  }
  /* All 256 bits are drawn: each digit takes (nearly) every value in 200 draws. */
  size_t digits = 0;
  for (size_t j = 0; j < ST_KEY_LEN; j++) {
    if (seen[j] == 0) continue;
    digits++;
    CHECK(__builtin_popcount(seen[j]) >= 14, "digit %zu: %x", j, seen[j]);
  }
  assert_int_equal(digits, 64);
}

static void test_draw_sub(void **state) {
  (void)state;
  char one[ST_SUB_LEN + 1], two[ST_SUB_LEN + 1];
  uint8_t bytes[32];
  size_t len;
  st_draw_sub(one);
  st_draw_sub(two);
  assert_string_not_equal(one, two);
  assert_true(st_base64url_decode(st_text(one), bytes, sizeof bytes, &len));
  assert_int_equal(len, 32);
}

/* ---- permission lists ---- */

static void test_permissions(void **state) {
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

/* ---- DATA ---- */

static void test_data_find(void **state) {
  (void)state;
  st_data_dir data;
  unsetenv("SUBTOKEN_DATA");
  assert_true(st_data_dir_find(NULL, &data, error));
  assert_string_equal(data.dir, "./var");
  assert_string_equal(data.secrets, "./var/secrets");
  setenv("SUBTOKEN_DATA", "/from/environment", 1);
  assert_true(st_data_dir_find(NULL, &data, error));
  assert_string_equal(data.database, "/from/environment/subtoken.db");
  assert_true(st_data_dir_find("/option", &data, error));
  assert_string_equal(data.dir, "/option");
  setenv("SUBTOKEN_DATA", "", 1);
  assert_true(st_data_dir_find(NULL, &data, error));
  assert_string_equal(data.dir, "./var");
  unsetenv("SUBTOKEN_DATA");
  char longest[ST_PATH_TEXT_MAX + 1];
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  assert_false(st_data_dir_find(longest, &data, error));
  longest[sizeof longest - 2] = '\0';
  assert_true(st_data_dir_find(longest, &data, error));
  assert_int_equal(strlen(data.secrets), ST_PATH_TEXT_MAX - 1 + strlen("/secrets"));
}

static void test_data_make(void **state) {
  (void)state;
  char dir[] = "/tmp/subtoken-command-XXXXXX", path[100], command[100];
  st_data_dir data;
  struct stat status;
  subtoken_ring ring;
  char text[200];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/data", dir);
  assert_true(st_data_dir_find(path, &data, error));
  assert_null(st_data_dir_open(&data, false, error)); /* not made unasked */
  assert_true(stat(path, &status) != 0);
  st_store *store = st_data_dir_open(&data, true, error);
  CHECK(store != NULL, "%s", error);
  st_store_close(store);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0700);
  assert_int_equal(stat(data.secrets, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0600);
  /* One unnamed secret; made once. */
  size_t len;
  assert_true(st_secret_file_read(data.secrets, text, sizeof text, &len, error));
  assert_int_equal(subtoken_ring_read(&ring, (subtoken_text){text, len}, NULL), SUBTOKEN_OK);
  assert_int_equal(ring.count, 1);
  assert_int_equal(ring.secrets[0].kid_len, 0);
  char again[200];
  assert_true(st_data_dir_make(&data, error));
  assert_true(st_secret_file_read(data.secrets, again, sizeof again, &len, error));
  assert_memory_equal(text, again, len);
  assert_false(st_keyring_file_make(data.secrets, error)); /* never over one that is there */
  /* A ring that is gone beside a database is not made anew. */
  assert_int_equal(unlink(data.secrets), 0);
  assert_false(st_data_dir_make(&data, error));
  assert_non_null(strstr(error, data.secrets));
  assert_true(stat(data.secrets, &status) != 0);
  snprintf(command, sizeof command, "rm -r '%s'", dir);
  assert_int_equal(system(command), 0);
}

static void test_operator_act(void **state) {
  (void)state;
  char who[ST_WHO_MAX];
  int64_t before = st_clock_now_us();
  st_audit_context act = st_input_audit_context(who);
  assert_ptr_equal(act.who, who);
  assert_memory_equal(who, "user ", 5);
  assert_true(strlen(who) > 5);
  assert_string_equal(act.from, "command line");
  assert_true(act.now_us >= before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_bad_options),
      cmocka_unit_test(test_help),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_read_credential),
      cmocka_unit_test(test_read_password),
      cmocka_unit_test(test_print_text),
      cmocka_unit_test(test_print_anything),
      cmocka_unit_test(test_print_json),
      cmocka_unit_test(test_print_time),
      cmocka_unit_test(test_draw_key),
      cmocka_unit_test(test_draw_sub),
      cmocka_unit_test(test_permissions),
      cmocka_unit_test(test_data_find),
      cmocka_unit_test(test_data_make),
      cmocka_unit_test(test_operator_act),
  };
  return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
