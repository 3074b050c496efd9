#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit_code.h"
#include "cli/print.h"
#include "cli/suggest.h"

static void print_table(const st_command *table, const char *program, FILE *out) {
  fprintf(
      out,
      "usage: %s COMMAND [OPTION...]   (%s COMMAND --help says more)\n"
      "       %s help [COMMAND]        (prints this, or the help of a command, as --help does)\n\n",
      program, program, program);
  for (; table->name != NULL; table++) fprintf(out, "  %-17s %s\n", table->name, table->summary);
}

static void complain_no_command(const st_command *table, const char *program, const char *word) {
  st_suggestion suggestion = {.word = word, .len = strlen(word)};
  for (; table->name != NULL; table++) st_suggest_offer(&suggestion, table->name);
  st_suggest_offer(&suggestion, "help");
  fprintf(stderr, "%s: unknown command %.40s", program, word);
  st_suggest_print(&suggestion);
  fputc('\n', stderr);
}

/* `help key create` is `key create --help`. */
static int run_help(const st_command *table, const char *program, int argc, char **argv) {
  enum { WORDS = 3 };
  static char option[] = "--help";
  char *words[WORDS + 2] = {NULL};
  if (argc == 0) {
    print_table(table, program, stdout);
    return st_print_flush(ST_EXIT_DONE);
  }
  int count = argc < WORDS ? argc : WORDS; /* a command of so many words there is not */
  for (int i = 0; i < count; i++) words[i] = argv[i];
  words[count] = option;
  return st_options_run_command(table, program, count + 1, words);
}

int st_options_run_command(const st_command *table, const char *program, int argc, char **argv) {
  if (argc >= 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "help") == 0)) {
    return run_help(table, program, argc - 1, argv + 1);
  }
  for (const st_command *row = table; argc >= 1 && row->name != NULL; row++) {
    if (strcmp(argv[0], row->name) == 0) return row->run(argc - 1, argv + 1);
  }
  if (argc >= 1) complain_no_command(table, program, argv[0]);
  print_table(table, program, stderr);
  return ST_EXIT_USAGE;
}

static void end_usage(const st_arguments *arguments) {
  int line = (int)strcspn(arguments->help, "\n");
  fprintf(stderr, "\n%.*s\n", line, arguments->help);
}

int st_options_usage(const st_arguments *arguments, const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "subtoken %s: ", arguments->command);
  vfprintf(stderr, format, list);
  va_end(list);
  end_usage(arguments);
  return ST_EXIT_USAGE;
}

static void suggest_option(const st_arguments *arguments, const char *word, size_t len) {
  st_suggestion suggestion = {.word = word, .len = len};
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    st_suggest_offer(&suggestion, option->name);
  }
  st_suggest_offer(&suggestion, "--help");
  st_suggest_print(&suggestion);
}

/* It is not repeated, because it may be a password; with a dash too few it may be an option. */
static bool complain_argument(const st_arguments *arguments, const char *word) {
  char option[ST_SUGGEST_MAX + 2];
  fprintf(stderr, "subtoken %s: unexpected argument", arguments->command);
  if (word[0] == '-') {
    int len = snprintf(option, sizeof option, "-%.*s", (int)strcspn(word, "="), word);
    suggest_option(arguments, option, len > 0 ? (size_t)len : 0);
  }
  end_usage(arguments);
  return false;
}

static bool complain_option(const st_arguments *arguments, const char *word, size_t len) {
  int shown = (int)(len > 40 ? 40 : len);
  fprintf(stderr, "subtoken %s: unknown option %.*s", arguments->command, shown, word);
  suggest_option(arguments, word, len);
  end_usage(arguments);
  return false;
}

/* Sets what the option at argv[*at] stands for. */
static bool take_option(st_arguments *arguments, int argc, char **argv, int *at) {
  size_t name = strcspn(argv[*at], "=");
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    if (strlen(option->name) != name || memcmp(option->name, argv[*at], name) != 0) continue;
    bool joined = argv[*at][name] == '=';
    if (option->flag != NULL) {
      if (joined) return st_options_usage(arguments, "%s takes no value", option->name) == 0;
      *option->flag = true;
      return true;
    }
    if (*option->value != NULL) {
      return st_options_usage(arguments, "%s is given twice", option->name) == 0;
    }
    if (!joined && *at + 1 == argc)
      return st_options_usage(arguments, "%s needs a value", option->name) == 0;
    *option->value = joined ? argv[*at] + name + 1 : argv[++*at];
    return true;
  }
  return complain_option(arguments, argv[*at], name);
}

bool st_options_read(st_arguments *arguments, int argc, char **argv) {
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      arguments->helped = true;
      puts(arguments->help);
      return true;
    }
    if (argv[i][0] == '-' && argv[i][1] == '-') {
      if (!take_option(arguments, argc, argv, &i)) return false;
    } else if (arguments->word_count < arguments->word_max) {
      arguments->words[arguments->word_count++] = argv[i];
    } else {
      return complain_argument(arguments, argv[i]);
    }
  }
  return true;
}

bool st_options_begin(st_arguments *arguments, int argc, char **argv) {
  bool good = st_options_read(arguments, argc, argv);
  arguments->code = good ? ST_EXIT_DONE : ST_EXIT_USAGE;
  if (arguments->helped) arguments->code = st_print_flush(ST_EXIT_DONE);
  return good && !arguments->helped;
}
