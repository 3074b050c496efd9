/* `subtoken audit`: prints the audit log of the database, the newest lines last. Over HTTP it is
 * service/audit_log.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/store.h"
#include "domain/user.h"
#include "os/error.h"

#define PAGE 64
#define ACTION_WIDTH 20
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000000

static void audit_print_field(const char *name, const char *text) {
  printf(",\"%s\":", name);
  st_print_json(stdout, st_text(text));
}

static void audit_print_json(const st_audit_line *line) {
  printf("{\"id\":%lld,\"at\":\"", (long long)line->id);
  st_print_time(stdout, line->at);
  fputc('"', stdout);
  audit_print_field("who", line->who);
  audit_print_field("from", line->from);
  audit_print_field("action", line->action);
  audit_print_field("target", line->target);
  audit_print_field("detail", line->detail);
  fputs("}\n", stdout);
}

/* A login with spaces could look like the rest of the line: it is printed in quotes. */
static void audit_print_name(const char *text) {
  bool plain = strpbrk(text, " \"") == NULL;
  (plain ? st_print_text : st_print_json)(stdout, st_text(text));
}

static void audit_print_who(const char *who) {
  static const char person[] = "person ";
  bool named = strncmp(who, person, sizeof person - 1) == 0;
  if (named) {
    fputs(person, stdout);
    audit_print_name(who + sizeof person - 1);
  } else {
    st_print_text(stdout, st_text(who));
  }
}

static void audit_print_line(const st_audit_line *line) {
  st_print_time(stdout, line->at);
  fputs("  ", stdout);
  st_print_text(stdout, st_text(line->action));
  int pad = ACTION_WIDTH - (int)strlen(line->action);
  printf("%*s  ", pad > 0 ? pad : 0, "");
  audit_print_name(line->target);
  fputs("  by ", stdout);
  audit_print_who(line->who);
  fputs(" from ", stdout);
  st_print_text(stdout, st_text(line->from));
  if (line->detail[0] != '\0') fputs("  ", stdout);
  st_print_text(stdout, st_text(line->detail));
  fputc('\n', stdout);
}

/* The newest lines, in memory: they are read newest first and printed newest last. */
static st_store_status audit_read_newest(st_store *store, size_t limit, st_audit_line **lines,
                                         size_t *count, char *error) {
  size_t room = 0, got = PAGE;
  int64_t before = 0;
  *count = 0;
  *lines = NULL;
  while (got == PAGE && *count < limit) {
    if (*count + PAGE > room) {
      room = room * 2 + PAGE;
      st_audit_line *more = realloc(*lines, room * sizeof *more);
      if (more == NULL) {
        snprintf(error, ST_ERROR_MAX, "out of memory: print fewer lines with --limit");
        return ST_STORE_FAILED;
      }
      *lines = more;
    }
    st_store_status status = st_store_audit_list(store, before, PAGE, *lines + *count, &got, error);
    if (status != ST_STORE_OK) return status;
    *count += got;
    if (got > 0) before = (*lines)[*count - 1].id;
  }
  if (*count > limit) *count = limit;
  return ST_STORE_OK;
}

static bool audit_read_limit(const char *text, size_t *limit) {
  if (text == NULL) return true;
  size_t number = 0;
  for (const char *c = text; *c != '\0'; c++) {
    if (*c < '0' || *c > '9' || number > LIMIT_MAX) return false;
    number = number * 10 + (size_t)(*c - '0');
  }
  *limit = number;
  return number >= 1 && number <= LIMIT_MAX;
}

int st_cmd_audit(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken audit [--limit N] [--config FILE] [--data DIR] [--json]\n"
      "Prints the audit log: who changed what, when and from where. Prints the newest 100\n"
      "lines, or N, the newest last; with --json one object a line.";
  st_data_options data_options = {0};
  const char *limit_option = NULL;
  bool json = false;
  const st_option options[] = {ST_DATA_OPTIONS(data_options),
                               {"--limit", NULL, &limit_option},
                               {"--json", &json, NULL},
                               {0}};
  st_arguments arguments = {.command = "audit", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  size_t limit = LIMIT_DEFAULT, count;
  if (!audit_read_limit(limit_option, &limit)) {
    return st_options_usage(&arguments, "--limit must be a number from 1 to %d", LIMIT_MAX);
  }
  char error[ST_ERROR_MAX];
  st_data_dir data;
  st_store *store;
  st_audit_line *lines;
  int begun = st_data_dir_begin("audit", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  st_store_status status = audit_read_newest(store, limit, &lines, &count, error);
  st_store_close(store);
  if (status == ST_STORE_OK && count > 0 && !json) {
    st_print_heading(
        "AT                    ACTION                TARGET, BY WHOM, FROM WHERE, DETAILS");
  }
  for (size_t i = count; status == ST_STORE_OK && i > 0; i--) {
    (json ? audit_print_json : audit_print_line)(&lines[i - 1]);
  }
  free(lines);
  return status == ST_STORE_OK ? st_print_flush(ST_EXIT_DONE)
                               : st_print_error(ST_EXIT_FAILED, "audit: %s", error);
}
