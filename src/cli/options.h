/* command - what the sub-commands share: options, exit codes, DATA, printing. */
#ifndef ST_CLI_OPTIONS_H
#define ST_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A sub-command, or a word after one: its row in a table that ends with name NULL. */
typedef struct st_command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} st_command;

int st_options_run_command(const st_command *table, const char *program, int argc, char **argv);

/* An option is a flag, or takes a value: `--name value` or `--name=value`. The table
 * ends with name NULL.
 */
typedef struct st_option {
  const char *name;   /* with its dashes */
  bool *flag;         /* set to true, or NULL when the option takes a value */
  const char **value; /* NULL when it is a flag */
} st_option;

/* Reads options, and up to word_max words that are none, in any order. Anything else
 * is said, with the usage line, and false. --help prints help and sets *helped.
 */
typedef struct st_arguments {
  const char *command; /* "key create", for messages */
  const char *help;    /* its first line is the usage */
  const st_option *options;
  const char **words;
  size_t word_max;
  size_t word_count;
  bool helped;
  int code; /* set by st_options_begin */
} st_arguments;
bool st_options_read(st_arguments *arguments, int argc, char **argv);
/* What each command begins with: false when it has nothing left to do, because it was used
 * wrongly or printed its help, and code is its exit code.
 */
bool st_options_begin(st_arguments *arguments, int argc, char **argv);
int st_options_usage(const st_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
