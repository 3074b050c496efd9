/* options - the command line: which command, and its options. */
#ifndef ST_CLI_OPTIONS_H
#define ST_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A command, or a command of a command (`key list`): a row of a table that ends with name NULL. */
typedef struct st_command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} st_command;

/* Runs the command that the first argument names, or prints help. program: what to call it in
 * errors. */
int st_options_run_command(const st_command *table, const char *program, int argc, char **argv);

/* An option is a flag, or takes a value: `--name value` or `--name=value`. The table
 * ends with name NULL.
 */
typedef struct st_option {
  const char *name;   /* with its dashes */
  bool *flag;         /* set to true, or NULL when the option takes a value */
  const char **value; /* NULL when it is a flag */
} st_option;

/* What a command takes: options, and up to word_max words that are none, in any order; behind `--`
 * each is a word. */
typedef struct st_arguments {
  const char *command; /* "key create", for messages */
  const char *help;    /* begins with its usage lines */
  const st_option *options;
  const char **words;
  size_t word_max;
  size_t word_count;
  /* The value of an option that may be given again, or NULL: it is the first of repeat_max. */
  const char **repeated;
  size_t repeat_max;
  bool helped;
  int code; /* set by st_options_begin */
} st_arguments;

/* Tells of each command of a table, and of those below it, in their order, what it takes, from the
 * tables by which it reads its options; none of them runs. They live during the call alone.
 */
typedef struct st_options_listener {
  void (*commands)(void *context, const char *program, const st_command *table);
  void (*arguments)(void *context, const st_arguments *arguments);
  void *context;
} st_options_listener;
void st_options_describe(const st_command *table, const char *program,
                         const st_options_listener *listener);

/* False for anything else, which is printed with the usage. --help prints the help and sets helped.
 */
bool st_options_read(st_arguments *arguments, int argc, char **argv);

/* How each command begins: false when nothing is left to do, because the usage was wrong or the
 * help is printed; then code is its exit code.
 */
bool st_options_begin(st_arguments *arguments, int argc, char **argv);

/* Prints `subtoken COMMAND: text` and the usage; ST_EXIT_USAGE. */
int st_options_usage(const st_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
