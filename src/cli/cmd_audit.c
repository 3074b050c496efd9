/* `subtoken audit`: prints the audit log of the database, the newest lines last, and with --follow
 * each new one. Over HTTP it is service/audit_log.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/stop_signal.h"
#include "domain/store.h"
#include "domain/user.h"
#include "os/error.h"

#define PAGE 64
#define ACTION_WIDTH 20
#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000000
#define FOLLOW_NS 500000000 /* between two looks for new lines */
#define SETTLE_NS 20000000  /* while lines are held back that are there */
#define SETTLES 500
#define LEFT_OUT_MAX 4096

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

/* The newest lines before an id (0: of all), in memory: they are read newest first and printed
 * newest last. */
static st_store_status audit_read_newest(st_store *store, int64_t before, size_t limit,
                                         st_audit_line **lines, size_t *count, char *error) {
  size_t room = 0, got = PAGE;
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

/* ---- following ---- */

typedef struct audit_reader {
  const st_data_dir *data;
  st_store *store;      /* NULL after it failed: it is opened again */
  st_audit_place place; /* behind the line that was printed last */
  int64_t
      left_out[LEFT_OUT_MAX]; /* the last is the lowest: lines behind the place that are older */
  size_t left_out_count;      /* than the first to print */
  bool json, follow, failing;
} audit_reader;

static void audit_print(const audit_reader *r, const st_audit_line *line) {
  (r->json ? audit_print_json : audit_print_line)(line);
}

static bool audit_is_left_out(audit_reader *r, int64_t id) {
  while (r->left_out_count > 0 && r->left_out[r->left_out_count - 1] < id) r->left_out_count--;
  return r->left_out_count > 0 && r->left_out[r->left_out_count - 1] == id;
}

/* Everything behind the last line. */
static st_store_status audit_print_behind(audit_reader *r, char *error) {
  static st_audit_line lines[PAGE];
  size_t count = PAGE;
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK && count == PAGE && st_stop_signal_received == 0) {
    status = st_store_audit_follow(r->store, &r->place, PAGE, lines, &count, error);
    for (size_t i = 0; status == ST_STORE_OK && i < count; i++) {
      if (!audit_is_left_out(r, lines[i].id)) audit_print(r, &lines[i]);
    }
  }
  return status;
}

/* Is the last line still there? In a store that was restored its id comes again, for another line.
 */
static st_store_status audit_check_last(const audit_reader *r, bool *there, char *error) {
  static st_audit_line newest;
  size_t count = 0;
  st_store_status status = st_store_audit_list(r->store, 0, 1, &newest, &count, error);
  *there = status != ST_STORE_OK || r->place.last <= (count > 0 ? newest.id : 0);
  return status;
}

/* A database that cannot be read for a while is no reason to end: that is said once. */
static void audit_print_new(audit_reader *r, bool *there, char *error) {
  if (r->store == NULL) r->store = st_data_dir_open(r->data, false, error);
  st_store_status status = r->store != NULL ? ST_STORE_OK : ST_STORE_FAILED;
  if (status == ST_STORE_OK) status = audit_check_last(r, there, error);
  if (status == ST_STORE_OK && *there) status = audit_print_behind(r, error);
  if (status == ST_STORE_OK) {
    r->failing = false;
    return;
  }
  if (!r->failing) (void)st_print_error(0, "audit: %s; trying again each second", error);
  r->failing = true;
  if (r->store != NULL) st_store_close(r->store);
  r->store = NULL;
  r->place = (st_audit_place){.last = r->place.last};
}

static void audit_pause(long ns) {
  struct timespec pause = {.tv_nsec = ns};
  if (st_stop_signal_received == 0) (void)nanosleep(&pause, NULL); /* a signal ends it */
}

static int audit_gone(const audit_reader *r) {
  return st_print_error(ST_EXIT_REFUSED,
                        "audit: the log ends before line %lld: the store was restored, or is "
                        "another one; begin anew with --after 0",
                        (long long)r->place.last);
}

/* What is behind the last line; with --follow until a signal comes. */
static int audit_print_rest(audit_reader *r) {
  char error[ST_ERROR_MAX];
  bool there = true;
  st_store_status status = audit_check_last(r, &there, error);
  if (status == ST_STORE_OK && there) status = audit_print_behind(r, error);
  /* What is there but held back, because others write at this moment. */
  for (int i = 0; i < SETTLES && status == ST_STORE_OK && r->place.unsettled != 0; i++) {
    audit_pause(SETTLE_NS);
    status = audit_print_behind(r, error);
  }
  if (status != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "audit: %s", error);
  int code = st_print_flush(ST_EXIT_DONE);
  while (there && r->follow && code == ST_EXIT_DONE && st_stop_signal_received == 0) {
    audit_pause(FOLLOW_NS);
    audit_print_new(r, &there, error);
    code = st_print_flush(ST_EXIT_DONE);
  }
  return there ? code : audit_gone(r);
}

/* ---- the command ---- */

static void audit_print_heading(const audit_reader *r) {
  if (r->json) return;
  st_print_heading(
      "AT                    ACTION                TARGET, BY WHOM, FROM WHERE, DETAILS");
}

/* before: as for audit_read_newest. */
static st_store_status audit_print_newest(audit_reader *r, int64_t before, size_t limit,
                                          char *error) {
  st_audit_line *lines;
  size_t count;
  st_store_status status = audit_read_newest(r->store, before, limit, &lines, &count, error);
  if (status == ST_STORE_OK && count > 0) audit_print_heading(r);
  for (size_t i = count; status == ST_STORE_OK && i > 0; i--) audit_print(r, &lines[i - 1]);
  free(lines);
  return status;
}

/* Others write at this moment, and a line of theirs may come below one that is there. The place is
 * put so far behind that it is found, and what is there now and too old to print is left out.
 */
static st_store_status audit_step_back(audit_reader *r, size_t limit, char *error) {
  static st_audit_line lines[PAGE];
  size_t count = PAGE, seen = 0;
  int64_t before = 0;
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK && count == PAGE && r->left_out_count < LEFT_OUT_MAX) {
    status = st_store_audit_list(r->store, before, PAGE, lines, &count, error);
    for (size_t i = 0; i < count && r->left_out_count < LEFT_OUT_MAX; i++, seen++) {
      before = lines[i].id;
      if (seen >= limit) r->left_out[r->left_out_count++] = before;
    }
  }
  r->place.last = r->left_out_count == LEFT_OUT_MAX ? before - 1 : 0;
  return status;
}

/* The newest lines, and the place behind them: no line that comes later is before it. */
static st_store_status audit_begin_following(audit_reader *r, size_t limit, char *error) {
  static st_audit_line none;
  size_t count = 0;
  st_store_status status = st_store_audit_follow(r->store, &r->place, 0, &none, &count, error);
  if (status != ST_STORE_OK) return status;
  if (r->place.unsettled != 0) {
    audit_print_heading(r);
    return audit_step_back(r, limit, error);
  }
  r->place.last = r->place.settled;
  return limit == 0 ? ST_STORE_OK : audit_print_newest(r, r->place.settled + 1, limit, error);
}

static int audit_begin(audit_reader *r, size_t limit) {
  char error[ST_ERROR_MAX];
  st_store_status status =
      r->follow ? audit_begin_following(r, limit, error) : audit_print_newest(r, 0, limit, error);
  return status == ST_STORE_OK ? st_print_flush(ST_EXIT_DONE)
                               : st_print_error(ST_EXIT_FAILED, "audit: %s", error);
}

static bool audit_read_number(const char *text, int64_t most, int64_t *number) {
  *number = 0;
  for (const char *c = text; *c != '\0'; c++) {
    if (*c < '0' || *c > '9' || *number > most) return false;
    *number = *number * 10 + (*c - '0');
  }
  return text[0] != '\0' && *number <= most;
}

/* Without --after: the newest lines, and then what comes behind them. */
static int audit_run(audit_reader *r, const st_data_options *options, bool newest, size_t limit) {
  static st_data_dir data;
  int code = st_data_dir_begin("audit", options, false, &data, &r->store);
  if (code != ST_EXIT_DONE) return code;
  r->data = &data;
  if (r->follow) st_stop_signal_catch();
  if (newest) code = audit_begin(r, limit);
  if (code == ST_EXIT_DONE && (r->follow || !newest)) code = audit_print_rest(r);
  if (r->store != NULL) st_store_close(r->store);
  return code;
}

int st_cmd_audit(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken audit [--limit N | --after ID] [--follow]\n"
      "                      [--config FILE] [--data DIR] [--json]\n"
      "Prints the audit log: who changed what, when and from where. Prints the newest 100\n"
      "lines, or N, the newest last; with --after those behind the line ID. With --follow it\n"
      "goes on with each new line until SIGTERM. With --json one object a line.";
  st_data_options data_options = {0};
  const char *limit_option = NULL, *after_option = NULL;
  static audit_reader reader;
  const st_option options[] = {ST_DATA_OPTIONS(data_options),    {"--limit", NULL, &limit_option},
                               {"--after", NULL, &after_option}, {"--follow", &reader.follow, NULL},
                               {"--json", &reader.json, NULL},   {0}};
  st_arguments arguments = {.command = "audit", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  int64_t limit = LIMIT_DEFAULT;
  if (limit_option != NULL && after_option != NULL) {
    return st_options_usage(&arguments, "--limit and --after exclude each other");
  }
  if (limit_option != NULL &&
      (!audit_read_number(limit_option, LIMIT_MAX, &limit) || (limit == 0 && !reader.follow))) {
    return st_options_usage(&arguments, "--limit must be a number from 1 to %d", LIMIT_MAX);
  }
  if (after_option != NULL &&
      !audit_read_number(after_option, INT64_MAX / 100, &reader.place.last)) {
    return st_options_usage(&arguments, "--after must be the id of a line, or 0");
  }
  return audit_run(&reader, &data_options, after_option == NULL, (size_t)limit);
}
