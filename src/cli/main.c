/* The program: it protects itself, refuses secrets on the command line, and runs the command that
 * its first argument names. The commands are the rows of commands.h, each in a file of its own.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "domain/key.h"
#include "os/process.h"

#define COMMAND_ROW(name, summary) {#name, st_cmd_##name, summary},
static const st_command commands[] = {ST_COMMANDS(COMMAND_ROW){0}};

/* Everybody on the machine can read an argument; a key or token that stands there is refused, so
 * that nobody gets used to it. Not repeated, not even in part.
 */
static bool main_is_secret(subtoken_text text) {
  bool token = st_key_token_shaped(text) && text.len > 60 && memcmp(text.data, "eyJ", 3) == 0;
  return token || st_key_shaped(text);
}

/* As an argument, or behind an equals sign of one: of an option, or of the query of a URL. */
static bool main_has_secret(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *at = argv[i];
    while (at != NULL) {
      if (main_is_secret((subtoken_text){at, strcspn(at, "&#")})) return true;
      at = strchr(at, '=');
      if (at != NULL) at++;
    }
  }
  return false;
}

int main(int argc, char **argv) {
  st_process_harden();
  signal(SIGXFSZ, SIG_IGN); /* at a limit of file sizes a write fails, as on a full disk */
  if (main_has_secret(argc, argv)) {
    fputs(
        "subtoken: keys and tokens are read from standard input or files, never from the\n"
        "command line, where every user of this machine can see them.\n",
        stderr);
    return ST_EXIT_USAGE;
  }
  if (argc == 2 && strcmp(argv[1], "--version") == 0) return st_cmd_version(0, NULL);
  return st_options_run_command(commands, "subtoken", argc - 1, argv + 1);
}
