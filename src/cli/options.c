/* Runs the command that is named, and reads its options. What is wrong is printed with the usage
 * lines of the command, and with the name that may have been meant (suggest.c).
 */
#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit_code.h"
#include "cli/print.h"
#include "cli/suggest.h"

/* Set while commands are described instead of run. */
static const st_options_listener *options_listener;

static int options_tell(const st_command *table, const char *program) {
  options_listener->commands(options_listener->context, program, table);
  for (; table->name != NULL; table++) (void)table->run(0, NULL);
  return ST_EXIT_DONE;
}

void st_options_describe(const st_command *table, const char *program,
                         const st_options_listener *listener) {
  options_listener = listener;
  (void)options_tell(table, program);
  options_listener = NULL;
}

static void options_print_commands(const st_command *table, const char *program, FILE *out) {
  fprintf(
      out,
      "usage: %s COMMAND [OPTION...]   (%s COMMAND --help says more)\n"
      "       %s help [COMMAND]        (prints this, or the help of a command, as --help does)\n\n",
      program, program, program);
  for (; table->name != NULL; table++) fprintf(out, "  %-17s %s\n", table->name, table->summary);
}

static void options_unknown_command(const st_command *table, const char *program,
                                    const char *word) {
  st_suggestion suggestion = {.word = word, .len = strlen(word)};
  for (; table->name != NULL; table++) st_suggest_offer(&suggestion, table->name);
  st_suggest_offer(&suggestion, "help");
  st_suggest_offer(&suggestion, "--help");
  fprintf(stderr, "%s: unknown command %.40s", program, word);
  if (suggestion.name == NULL && strcmp(word, "-h") == 0) suggestion.name = "--help";
  st_suggest_print(&suggestion);
  fprintf(stderr, "\n`%s help` lists the commands.\n", program);
}

static bool options_asks_for_help(const char *word) {
  return strcmp(word, "--help") == 0 || strcmp(word, "help") == 0;
}

/* `help key create` is `key create --help`. Help about help is the list of commands; looked up as a
 * command it would lead back here.
 */
static int options_run_help(const st_command *table, const char *program, int argc, char **argv) {
  enum { WORDS = 3 };
  static char option[] = "--help";
  char *words[WORDS + 2] = {NULL};
  if (argc == 0 || options_asks_for_help(argv[0])) {
    options_print_commands(table, program, stdout);
    return st_print_flush(ST_EXIT_DONE);
  }
  int count = argc < WORDS ? argc : WORDS; /* a command of so many words there is not */
  for (int i = 0; i < count; i++) words[i] = argv[i];
  words[count] = option;
  return st_options_run_command(table, program, count + 1, words);
}

int st_options_run_command(const st_command *table, const char *program, int argc, char **argv) {
  if (options_listener != NULL) return options_tell(table, program);
  if (argc >= 1 && options_asks_for_help(argv[0])) {
    return options_run_help(table, program, argc - 1, argv + 1);
  }
  for (const st_command *row = table; argc >= 1 && row->name != NULL; row++) {
    if (strcmp(argv[0], row->name) == 0) return row->run(argc - 1, argv + 1);
  }
  if (argc >= 1) {
    options_unknown_command(table, program, argv[0]);
  } else {
    options_print_commands(table, program, stderr);
  }
  return ST_EXIT_USAGE;
}

/* The lines that say how the command is used: the first of its help, and those below it that are
 * indented.
 */
static size_t options_usage_len(const char *help) {
  size_t len = strcspn(help, "\n");
  while (help[len] == '\n' && help[len + 1] == ' ') len += 1 + strcspn(help + len + 1, "\n");
  return len;
}

static void options_end_usage(const st_arguments *arguments) {
  int len = (int)options_usage_len(arguments->help);
  fprintf(stderr, "\n%.*s\n", len, arguments->help);
}

int st_options_usage(const st_arguments *arguments, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "subtoken %s: ", arguments->command);
  vfprintf(stderr, format, list);
  va_end(list);
  options_end_usage(arguments);
  return ST_EXIT_USAGE;
}

static void options_suggest(const st_arguments *arguments, const char *word, size_t len) {
  st_suggestion suggestion = {.word = word, .len = len};
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    st_suggest_offer(&suggestion, option->name);
  }
  st_suggest_offer(&suggestion, "--help");
  st_suggest_print(&suggestion);
}

/* It is not repeated, because it may be a password; with a dash too few it may be an option. */
static bool options_unexpected(const st_arguments *arguments, const char *word) {
  char option[ST_SUGGEST_MAX + 2];
  fprintf(stderr, "subtoken %s: unexpected argument", arguments->command);
  if (word[0] == '-') {
    int len = snprintf(option, sizeof option, "-%.*s", (int)strcspn(word, "="), word);
    options_suggest(arguments, option, len > 0 ? (size_t)len : 0);
  }
  options_end_usage(arguments);
  return false;
}

static bool options_unknown(const st_arguments *arguments, const char *word, size_t len) {
  int shown = (int)(len > 40 ? 40 : len);
  fprintf(stderr, "subtoken %s: unknown option %.*s", arguments->command, shown, word);
  options_suggest(arguments, word, len);
  options_end_usage(arguments);
  return false;
}

/* Where the value of an option goes; NULL after it was printed that it is given too often. */
static const char **options_find_place(const st_arguments *arguments, const st_option *option) {
  const char **place = option->value;
  if (*place == NULL) return place;
  if (place != arguments->repeated) {
    (void)st_options_usage(arguments, "%s is given twice", option->name);
    return NULL;
  }
  for (size_t i = 1; i < arguments->repeat_max; i++) {
    if (place[i] == NULL) return &place[i];
  }
  (void)st_options_usage(arguments, "%s is given more than %zu times", option->name,
                         arguments->repeat_max);
  return NULL;
}

/* Sets what the option at argv[*at] stands for. */
static bool options_take(st_arguments *arguments, int argc, char **argv, int *at) {
  size_t name = strcspn(argv[*at], "=");
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    if (strlen(option->name) != name || memcmp(option->name, argv[*at], name) != 0) continue;
    bool joined = argv[*at][name] == '=';
    if (option->flag != NULL) {
      if (joined) return st_options_usage(arguments, "%s takes no value", option->name) == 0;
      *option->flag = true;
      return true;
    }
    const char **place = options_find_place(arguments, option);
    if (place == NULL) return false;
    if (!joined && *at + 1 == argc) {
      return st_options_usage(arguments, "%s needs a value", option->name) == 0;
    }
    *place = joined ? argv[*at] + name + 1 : argv[++*at];
    return true;
  }
  return options_unknown(arguments, argv[*at], name);
}

bool st_options_read(st_arguments *arguments, int argc, char **argv) {
  bool ended = false;
  for (int i = 0; i < argc; i++) {
    bool option = !ended && argv[i][0] == '-' && argv[i][1] == '-';
    if (option && argv[i][2] == '\0') {
      ended = true; /* a username may begin with dashes */
    } else if (option && strcmp(argv[i], "--help") == 0) {
      arguments->helped = true;
      puts(arguments->help);
      return true;
    } else if (option) {
      if (!options_take(arguments, argc, argv, &i)) return false;
    } else if (arguments->word_count < arguments->word_max) {
      arguments->words[arguments->word_count++] = argv[i];
    } else {
      return options_unexpected(arguments, argv[i]);
    }
  }
  return true;
}

bool st_options_begin(st_arguments *arguments, int argc, char **argv) {
  if (options_listener != NULL) {
    options_listener->arguments(options_listener->context, arguments);
    arguments->code = ST_EXIT_DONE;
    return false;
  }
  bool good = st_options_read(arguments, argc, argv);
  arguments->code = good ? ST_EXIT_DONE : ST_EXIT_USAGE;
  if (arguments->helped) arguments->code = st_print_flush(ST_EXIT_DONE);
  return good && !arguments->helped;
}
