/* subtoken - a table of sub-commands, a file each (shell/cmd_*.c). */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/key.h"
#include "os/process.h"

static int version(int argc, char **argv) {
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "version",
                            .help =
                                "usage: subtoken version [--json]\n"
                                "Prints the version.",
                            .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  puts(json ? "{\"version\":\"" SUBTOKEN_VERSION "\"}" : "subtoken " SUBTOKEN_VERSION);
  return st_print_flush(ST_EXIT_DONE);
}

static const st_command commands[] = {
    {"serve", st_cmd_serve, "run the server"},
    {"key", st_cmd_key, "make, list, disable, delete parent keys"},
    {"user", st_cmd_user, "make, list, change, disable, delete users"},
    {"issue", st_cmd_issue, "make a subtoken from a key or subtoken"},
    {"verify", st_cmd_verify, "verify a token, and name the rule that decided"},
    {"inspect", st_cmd_inspect, "decode a token without trusting it"},
    {"revoke", st_cmd_revoke, "revoke the subtokens of a key that the database does not know"},
    {"secret", st_cmd_secret, "list, add, promote, rotate, retire signing secrets"},
    {"policy", st_cmd_policy, "check a route policy"},
    {"pull", st_cmd_pull, "keep an edge's revocation data fresh"},
    {"feed", st_cmd_feed, "check the revocation data of an edge, or restore from it"},
    {"saltpass", st_cmd_saltpass, "hash a password for an access file"},
    {"backup", st_cmd_backup, "copy the database while it is in use"},
    {"import", st_cmd_import, "import the users of a Graphene node's access file"},
    {"audit", st_cmd_audit, "print the audit log: who changed what, when, from where"},
    {"version", version, "print the version, as --version does"},
    {0}};

/* Everybody on the machine can read an argument; a key or token that stands there
 * is refused, so that nobody gets used to it. Not repeated, not even in part.
 */
static bool is_secret(const char *argument) {
  subtoken_text text = st_text(argument);
  bool token = st_key_token_shaped(text) && text.len > 60 && memcmp(text.data, "eyJ", 3) == 0;
  return token || st_key_shaped(text);
}

int main(int argc, char **argv) {
  st_process_harden();
  signal(SIGXFSZ,
         SIG_IGN); /* ulimit -f: a write fails, as on a full disk, and is cleaned up after */
  for (int i = 1; i < argc; i++) {
    const char *value = strchr(argv[i], '=');
    if (!is_secret(argv[i]) && (value == NULL || !is_secret(value + 1))) continue;
    fputs(
        "subtoken: keys and tokens are read from standard input or files, never from the\n"
        "command line, where every user of this machine can see them.\n",
        stderr);
    return ST_EXIT_USAGE;
  }
  if (argc == 2 && strcmp(argv[1], "--version") == 0) return version(0, NULL);
  return st_options_run_command(commands, "subtoken", argc - 1, argv + 1);
}
