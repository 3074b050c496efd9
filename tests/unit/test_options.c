/* The options and words of a command, and the table of commands. */
#include "support.h"

#include <unistd.h>

#include "cli/exit_code.h"
#include "cli/options.h"

static bool flag;
static const char *value, *other;
static const char *words[2], *many[3];
static const st_option options[] = {{"--json", &flag, NULL},
                                    {"--name", NULL, &value},
                                    {"--name-more", NULL, &other},
                                    {"--many", NULL, &many[0]},
                                    {0}};
static st_arguments arguments;

/* Standard output and error go to a file meanwhile. */
static char printed[4096];
static FILE *capture;
static int out, err;

static void start_capture(void) {
  capture = tmpfile();
  assert_non_null(capture);
  fflush(NULL);
  out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(fileno(capture), STDOUT_FILENO);
  dup2(fileno(capture), STDERR_FILENO);
}

static void stop_capture(void) {
  fflush(NULL);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  close(out);
  close(err);
  rewind(capture);
  printed[fread(printed, 1, sizeof printed - 1, capture)] = '\0';
  fclose(capture);
}

static bool read_arguments(int argc, const char *const *argv) {
  start_capture();
  flag = false;
  value = other = NULL;
  memset(words, 0, sizeof words);
  memset(many, 0, sizeof many);
  arguments = (st_arguments){
      .command = "test it",
      .help = "usage: subtoken test it [WORD]\n                    [--json]\nMore help.",
      .options = options,
      .words = words,
      .word_max = COUNT(words),
      .repeated = many,
      .repeat_max = COUNT(many)};
  static char kept[16][200]; /* the values and words point into it */
  char *copy[16] = {0};
  for (int i = 0; i < argc; i++) {
    snprintf(kept[i], sizeof kept[i], "%s", argv[i]);
    copy[i] = kept[i];
  }
  bool good = st_options_read(&arguments, argc, copy);
  stop_capture();
  return good;
}

#define READ(...)                                                          \
  read_arguments((int)COUNT(((const char *const[]){"", __VA_ARGS__})) - 1, \
                 ((const char *const[]){"", __VA_ARGS__}) + 1)

static void one_option_may_be_given_again(void **state) {
  (void)state;
  assert_true(READ("--many", "one"));
  assert_string_equal(many[0], "one");
  assert_null(many[1]);
  assert_true(READ("--many=one", "--json", "--many", "two", "--name", "x", "--many="));
  assert_string_equal(many[0], "one");
  assert_string_equal(many[1], "two");
  assert_string_equal(many[2], "");
  assert_string_equal(value, "x");
  assert_false(READ("--many=1", "--many=2", "--many=3", "--many=4"));
  assert_non_null(strstr(printed, "--many is given more than 3 times"));
  assert_false(READ("--many=1", "--many"));
  assert_non_null(strstr(printed, "--many needs a value"));
  assert_false(READ("--name=1", "--name=2"));
  assert_non_null(strstr(printed, "--name is given twice"));
}

static void options_and_words_come_in_any_order(void **state) {
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
  assert_true(READ("--json", "--json")); /* says nothing new */
  assert_true(flag);
  assert_true(READ("--name="));
  assert_string_equal(value, "");
  assert_true(READ("--name", "--json")); /* a value may look like an option */
  assert_string_equal(value, "--json");
  assert_false(flag);
  assert_true(READ("-"));
  assert_string_equal(words[0], "-");
  assert_true(READ("--name=x", "--", "--json", "--help")); /* two usernames */
  assert_string_equal(words[0], "--json");
  assert_string_equal(words[1], "--help");
  assert_false(flag || arguments.helped);
  assert_true(READ("--name", "--", "one", "--"));
  assert_string_equal(value, "--");
  assert_int_equal(arguments.word_count, 1);
  assert_string_equal(printed, "");
}

static const char usage_lines[] = "usage: subtoken test it [WORD]\n                    [--json]\n";

static void must_refuse(bool good, const char *says) {
  CHECK(!good, "taken; wanted `%s`", says);
  CHECK(strstr(printed, says) != NULL, "`%s` says nothing of `%s`", printed, says);
  CHECK(strncmp(printed, "subtoken test it: ", 18) == 0, "%s", printed);
  CHECK(strstr(printed, usage_lines) != NULL, "%s", printed);
  CHECK(strstr(printed, "More help") == NULL, "%s", printed);
}

static void wrong_options_are_named_with_the_usage(void **state) {
  (void)state;
  must_refuse(READ("--nam", "x"), "unknown option --nam");
  must_refuse(READ("--name-mor=x"), "unknown option --name-mor; did you mean --name-more?\n");
  must_refuse(READ("--Json"), "unknown option --Json");
  must_refuse(READ("a", "--", "--json", "b"), "unexpected argument\n");
  must_refuse(READ("--json=yes"), "--json takes no value");
  must_refuse(READ("--name"), "--name needs a value");
  must_refuse(READ("--json", "--name"), "--name needs a value");
  must_refuse(READ("--name", "a", "--name", "b"), "--name is given twice");
  must_refuse(READ("--name=a", "--name="), "--name is given twice");
  must_refuse(READ("a", "b", "c"), "unexpected argument\n");
}

static void help_is_printed_wherever_it_stands(void **state) {
  (void)state;
  assert_true(READ("--help"));
  assert_true(arguments.helped);
  assert_memory_equal(printed, usage_lines, sizeof usage_lines - 1);
  assert_string_equal(printed + sizeof usage_lines - 1, "More help.\n");
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

static const st_command table[] = {
    {"first", run_first, "the first"}, {"first-more", run_second, "the second"}, {0}};

static int run(int argc, const char *const *argv) {
  static char kept[4][40];
  char *copy[4] = {0};
  for (int i = 0; i < argc; i++) {
    snprintf(kept[i], sizeof kept[i], "%s", argv[i]);
    copy[i] = kept[i];
  }
  start_capture();
  int code = st_options_run_command(table, "t", argc, copy);
  stop_capture();
  return code;
}

static void a_command_runs_by_its_whole_name(void **state) {
  (void)state;
  assert_int_equal(run(2, (const char *[]){"first", "word"}), 41);
  assert_int_equal(ran_argc, 1);
  assert_int_equal(run(1, (const char *[]){"first-more"}), 42);
  assert_string_equal(printed, "");
}

static void an_unknown_command_is_named(void **state) {
  (void)state;
  static const struct {
    const char *word, *says;
  } rows[] = {
      {"frist", "t: unknown command frist; did you mean first?\n`t help` lists the commands.\n"},
      {"other", "t: unknown command other\n`t help` lists the commands.\n"},
      {"-h", "t: unknown command -h; did you mean --help?\n`t help` lists the commands.\n"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(run(1, &rows[i].word), ST_EXIT_USAGE);
    assert_string_equal(printed, rows[i].says);
  }
}

static void without_a_command_all_are_listed(void **state) {
  (void)state;
  assert_int_equal(run(0, NULL), ST_EXIT_USAGE);
  assert_memory_equal(printed, "usage: t COMMAND", 16);
  assert_non_null(strstr(printed, "  first             the first\n"));
  assert_non_null(strstr(printed, "  first-more        the second\n"));
  assert_int_equal(run(1, (const char *[]){"help"}), ST_EXIT_DONE);
  assert_non_null(strstr(printed, "  first-more        the second\n"));
}

static void help_about_help_lists_all_commands(void **state) {
  (void)state;
  static const char *const rows[][3] = {
      {"help", "help"}, {"help", "--help"}, {"--help", "help"}, {"help", "help", "first"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(run(rows[i][2] == NULL ? 2 : 3, rows[i]), ST_EXIT_DONE);
    assert_memory_equal(printed, "usage: t COMMAND", 16);
    assert_non_null(strstr(printed, "  first-more        the second\n"));
  }
}

/* ---- what commands take, told instead of running them ---- */

static char told[256];

static void tell_commands(void *context, const char *program, const st_command *row) {
  size_t len = strlen(told);
  assert_ptr_equal(context, told);
  len += (size_t)snprintf(told + len, sizeof told - len, "[%s:", program);
  for (; row->name != NULL; row++) {
    len += (size_t)snprintf(told + len, sizeof told - len, " %s", row->name);
  }
  snprintf(told + len, sizeof told - len, "]");
}

static void tell_arguments(void *context, const st_arguments *given) {
  size_t len = strlen(told);
  assert_ptr_equal(context, told);
  snprintf(told + len, sizeof told - len, "[%s: %s %zu]", given->command, given->options[0].name,
           given->word_max);
}

static bool began;

static int begin_one(int argc, char **argv) {
  st_arguments one = {.command = "one", .help = "usage: t one", .options = options, .word_max = 2};
  if (!st_options_begin(&one, argc, argv)) return one.code;
  began = true;
  return ST_EXIT_DONE;
}

static int below(int argc, char **argv) {
  static const st_command one[] = {{"one", begin_one, "the one"}, {0}};
  return st_options_run_command(one, "t below", argc, argv);
}

static void commands_are_described_and_do_not_run(void **state) {
  (void)state;
  static const st_command both[] = {
      {"first", begin_one, "the first"}, {"below", below, "and one below it"}, {0}};
  const st_options_listener listener = {tell_commands, tell_arguments, told};
  char word[] = "one", *argv[] = {word};
  told[0] = '\0';
  st_options_describe(both, "t", &listener);
  assert_string_equal(told, "[t: first below][one: --json 2][t below: one][one: --json 2]");
  assert_false(began);
  assert_int_equal(below(1, argv), ST_EXIT_DONE); /* afterwards they run */
  assert_true(began);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(options_and_words_come_in_any_order),
      cmocka_unit_test(one_option_may_be_given_again),
      cmocka_unit_test(wrong_options_are_named_with_the_usage),
      cmocka_unit_test(help_is_printed_wherever_it_stands),
      cmocka_unit_test(a_command_runs_by_its_whole_name),
      cmocka_unit_test(an_unknown_command_is_named),
      cmocka_unit_test(without_a_command_all_are_listed),
      cmocka_unit_test(help_about_help_lists_all_commands),
      cmocka_unit_test(commands_are_described_and_do_not_run),
  };
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
