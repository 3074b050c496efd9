/* `subtoken completion bash`: prints a function of bash that completes commands, options and file
 * names. It is made of the tables by which the commands read their options (options.h); what a
 * value is stands in their usage.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"

#define COMMAND_ROW(name, summary) {#name, st_cmd_##name, summary},
static const st_command commands[] = {ST_COMMANDS(COMMAND_ROW){0}};

typedef enum value_kind { VALUE_TEXT, VALUE_FILE, VALUE_DIR } value_kind;

/* What the usage calls a value: FILE, DIR, or something that is in no file system. */
static value_kind completion_kind_of(const char *word) {
  static const struct {
    const char *word;
    value_kind kind;
  } kinds[] = {{"FILE", VALUE_FILE}, {"STORE", VALUE_FILE}, {"DIR", VALUE_DIR}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    size_t len = strlen(kinds[i].word);
    bool whole = isalnum((unsigned char)word[strnlen(word, len)]) == 0;
    if (strncmp(word, kinds[i].word, len) == 0 && whole) return kinds[i].kind;
  }
  return VALUE_TEXT;
}

/* Of an option: the word behind the first place where its name stands. */
static value_kind completion_value_kind(const st_arguments *arguments, const char *name) {
  size_t len = strlen(name);
  for (const char *at = strstr(arguments->help, name); at != NULL; at = strstr(at + len, name)) {
    if (at[len] == ' ') return completion_kind_of(at + len + 1);
  }
  return VALUE_TEXT;
}

/* Of the words that are no options: the first one, right behind the command's name. */
static value_kind completion_word_kind(const st_arguments *arguments) {
  const char *at = strstr(arguments->help, arguments->command);
  if (arguments->word_max == 0 || at == NULL) return VALUE_TEXT;
  at += strlen(arguments->command);
  return at[0] == ' ' ? completion_kind_of(at + 1) : VALUE_TEXT;
}

typedef bool option_choice(const st_arguments *arguments, const st_option *option);

static bool completion_is_any(const st_arguments *arguments, const st_option *option) {
  (void)arguments;
  return option != NULL;
}

static bool completion_takes_value(const st_arguments *arguments, const st_option *option) {
  (void)arguments;
  return option->value != NULL;
}

static bool completion_takes_file(const st_arguments *arguments, const st_option *option) {
  return option->value != NULL && completion_value_kind(arguments, option->name) == VALUE_FILE;
}

static bool completion_takes_dir(const st_arguments *arguments, const st_option *option) {
  return option->value != NULL && completion_value_kind(arguments, option->name) == VALUE_DIR;
}

static bool completion_is_repeated(const st_arguments *arguments, const st_option *option) {
  return option->value != NULL && option->value == arguments->repeated;
}

/* ` name='--a --b'`, or nothing when no option is chosen. */
static void completion_print_options(const st_arguments *arguments, const char *name,
                                     option_choice *chosen) {
  const char *between = "";
  for (const st_option *option = arguments->options; option->name != NULL; option++) {
    if (!chosen(arguments, option)) continue;
    if (between[0] == '\0') printf(" %s='", name);
    printf("%s%s", between, option->name);
    between = " ";
  }
  if (between[0] != '\0') fputc('\'', stdout);
}

static void completion_print_command(void *context, const st_arguments *arguments) {
  (void)context;
  printf("  '%s')", arguments->command);
  completion_print_options(arguments, "options", completion_is_any);
  completion_print_options(arguments, "values", completion_takes_value);
  completion_print_options(arguments, "files", completion_takes_file);
  completion_print_options(arguments, "dirs", completion_takes_dir);
  completion_print_options(arguments, "again", completion_is_repeated);
  if (completion_word_kind(arguments) == VALUE_FILE) fputs(" word=file", stdout);
  puts(" ;;");
}

/* program: "subtoken", "subtoken key". */
static void completion_print_commands(void *context, const char *program, const st_command *table) {
  (void)context;
  const char *space = strchr(program, ' ');
  printf("  '%s') commands='", space != NULL ? space + 1 : "");
  for (const st_command *row = table; row->name != NULL; row++) printf("%s ", row->name);
  printf("help'%s ;;\n", space == NULL ? " options='--version'" : "");
}

static const char before[] =
    "# Completes the commands of subtoken in bash; printed by `subtoken completion bash`.\n"
    "\n"
    "# What a command takes: the commands below it, or its options, which of them take a value, a\n"
    "# file or a directory, which may be given again, and whether its word is a file.\n"
    "_subtoken_describe() {\n"
    "  commands= options= values= files= dirs= again= word=\n"
    "  case $1 in\n";

static const char after[] =
    "  *) return 1 ;;\n"
    "  esac\n"
    "}\n"
    "\n"
    "_subtoken_options() {\n"
    "  local option offered=--help\n"
    "  for option in $options; do\n"
    "    [[ \" $again \" != *\" $option \"* &&\n"
    "      \" ${COMP_WORDS[*]:0:COMP_CWORD} \" == *\" $option \"* ]] || offered+=\" $option\"\n"
    "  done\n"
    "  COMPREPLY=($(compgen -W \"$offered\" -- \"$1\"))\n"
    "}\n"
    "\n"
    "# Names of files are left to readline, which knows how to quote them.\n"
    "_subtoken() {\n"
    "  local IFS=$' \\t\\n' commands options values files dirs again word path= first=1 i\n"
    "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  COMPREPLY=()\n"
    "  # bash takes --option=value for three words.\n"
    "  if [[ $current == = ]]; then\n"
    "    current=\n"
    "  elif [[ $before == = ]]; then\n"
    "    before=${COMP_WORDS[COMP_CWORD-2]}\n"
    "  fi\n"
    "  [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} == help ]] && first=2\n"
    "  _subtoken_describe ''\n"
    "  for ((i = first; i < COMP_CWORD; i++)); do\n"
    "    [[ \" $commands \" == *\" ${COMP_WORDS[i]} \"* ]] || break\n"
    "    path+=${path:+ }${COMP_WORDS[i]}\n"
    "    _subtoken_describe \"$path\" || return 0\n"
    "  done\n"
    "  if [[ $commands && $i -eq $COMP_CWORD && $current != -* ]]; then\n"
    "    COMPREPLY=($(compgen -W \"$commands\" -- \"$current\"))\n"
    "  elif [[ $first -eq 2 || $commands && $i -lt $COMP_CWORD ]]; then\n"
    "    return 0\n"
    "  elif [[ \" $dirs \" == *\" $before \"* ]]; then\n"
    "    compopt -o dirnames\n"
    "  elif [[ \" $files \" == *\" $before \"* ]]; then\n"
    "    compopt -o default\n"
    "  elif [[ \" $values \" == *\" $before \"* ]]; then\n"
    "    return 0\n"
    "  elif [[ $word && $current != -* ]]; then\n"
    "    compopt -o default\n"
    "  else\n"
    "    _subtoken_options \"$current\"\n"
    "  fi\n"
    "}\n"
    "\n"
    "complete -F _subtoken subtoken";

static int completion_bash(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken completion bash\n"
      "Prints what completes these commands in bash. For this shell:\n"
      "  . <(subtoken completion bash)\n"
      "and for every one of yours:\n"
      "  subtoken completion bash > ~/.local/share/bash-completion/completions/subtoken";
  const st_option options[] = {{0}};
  const st_options_listener listener = {.commands = completion_print_commands,
                                        .arguments = completion_print_command};
  st_arguments arguments = {.command = "completion bash", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  fputs(before, stdout);
  st_options_describe(commands, "subtoken", &listener);
  puts(after);
  return st_print_flush(ST_EXIT_DONE);
}

int st_cmd_completion(int argc, char **argv) {
  static const st_command table[] = {
      {"bash", completion_bash, "print what completes these commands in bash"}, {0}};
  return st_options_run_command(table, "subtoken completion", argc, argv);
}
