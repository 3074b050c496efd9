/* `subtoken version`, and `subtoken --version`: the version of the program, which is that of the
 * library it is built with.
 */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "subtoken/common.h"

int st_cmd_version(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken version [--json]\n"
      "Prints the version.";
  bool json = false;
  const st_option options[] = {{"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "version", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  puts(json ? "{\"version\":\"" SUBTOKEN_VERSION "\"}" : "subtoken " SUBTOKEN_VERSION);
  return st_print_flush(ST_EXIT_DONE);
}
