/* `subtoken key list`: the parent keys, or those that end soon, as a table on a terminal, whole in
 * a pipe, and one object a line as JSON. The other commands on keys are in cmd_key.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/table.h"
#include "domain/key_json.h"
#include "domain/store.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/terminal.h"

#define PAGE 64

enum { ID, STATE, EXPIRES, OLD_UNTIL, AUDIENCE, OWNER, PERMISSIONS, NAME, COLUMNS };
static const st_table_column key_columns[COLUMNS] = {
    [ID] = {.heading = "ID"},
    [STATE] = {.heading = "STATE", .leave_out = 3},
    [EXPIRES] = {.heading = "EXPIRES", .least = ST_TABLE_DATE, .leave_out = 2},
    [OLD_UNTIL] = {.heading = "OLD UNTIL",
                   .least = ST_TABLE_DATE,
                   .leave_out = 7,
                   .optional = true},
    [AUDIENCE] = {.heading = "AUDIENCE", .least = 8, .leave_out = 6, .optional = true},
    [OWNER] = {.heading = "OWNER", .least = 8, .leave_out = 5, .optional = true},
    [PERMISSIONS] = {.heading = "PERMISSIONS", .least = 8, .leave_out = 4},
    [NAME] = {.heading = "NAME", .least = 8, .leave_out = 1},
};

typedef struct key_list {
  st_store *store;
  int64_t now, until; /* until: list those that end by then; 0: all */
  bool json, any;
  bool measuring;  /* print nothing yet */
  st_table *table; /* NULL: in a pipe */
  char after[ST_KEY_ID_LEN + 1];
  int64_t after_end; /* with until: when the last one ends */
} key_list;

typedef struct key_dates {
  char expires[ST_DATE_LEN + 1], old_until[ST_DATE_LEN + 1];
} key_dates;

static const char *key_list_date(char out[ST_DATE_LEN + 1], int64_t time) {
  st_writer writer = st_writer_on(out, ST_DATE_LEN + 1);
  st_date_write(&writer, time, false);
  return st_writer_end(&writer) ? out : "-";
}

static const char *key_list_cell(const char *text) {
  return text[0] != '\0' ? text : ST_TABLE_NOTHING;
}

/* Views of the key and of dates. */
static st_table_row key_list_row(const st_key *key, int64_t now, key_dates *dates) {
  bool old = key->old_until > now, ends = key->expires_at != ST_NEVER;
  st_table_row row = {.cells = {[ID] = key->id, [STATE] = st_key_json_state(key, now)}};
  row.cells[EXPIRES] = ends ? key_list_date(dates->expires, key->expires_at) : "never";
  row.cells[OLD_UNTIL] = old ? key_list_date(dates->old_until, key->old_until) : ST_TABLE_NOTHING;
  row.cells[AUDIENCE] = key_list_cell(key->audience);
  row.cells[OWNER] = key_list_cell(key->owner);
  row.cells[PERMISSIONS] = key_list_cell(key->permissions);
  row.cells[NAME] = key->name;
  return row;
}

/* What scripts read: more columns would not be what they know. */
static void key_list_print_row(const st_table_row *row) {
  const char *const *c = row->cells;
  printf("%s  %-9s  %-20s  %-20s  %-8s  %s  ", c[ID], c[STATE], c[EXPIRES], c[OLD_UNTIL],
         c[AUDIENCE], c[PERMISSIONS]);
  st_print_text(stdout, st_text(c[NAME]));
  fputc('\n', stdout);
}

static void key_list_print_key(const key_list *l, const st_key *key) {
  key_dates dates;
  st_table_row row = key_list_row(key, l->now, &dates);
  if (l->json) {
    st_print_key_json(key, NULL, l->now);
    fputc('\n', stdout);
  } else if (l->measuring) {
    st_table_measure(l->table, &row);
  } else if (l->table != NULL) {
    st_table_print(l->table, &row);
  } else {
    key_list_print_row(&row);
  }
}

static st_store_status key_list_ask(const key_list *l, st_key *keys, size_t *count, char *error) {
  return l->until == 0 ? st_store_key_list(l->store, NULL, l->after, PAGE, keys, count, error)
                       : st_store_key_list_expiring(l->store, l->after_end, l->after, l->until,
                                                    PAGE, keys, count, error);
}

static st_store_status key_list_walk(key_list *l, char *error) {
  static st_key keys[PAGE];
  size_t count = PAGE;
  st_store_status status = ST_STORE_OK;
  l->after_end = l->until == 0 ? 0 : l->now;
  snprintf(l->after, sizeof l->after, "%s", l->until == 0 ? "" : ST_KEY_ID_LAST);
  while (count == PAGE && status == ST_STORE_OK) {
    status = key_list_ask(l, keys, &count, error);
    if (status != ST_STORE_OK || count == 0) break;
    for (size_t i = 0; i < count; i++) key_list_print_key(l, &keys[i]);
    l->any = true;
    l->after_end = keys[count - 1].expires_at;
    memcpy(l->after, keys[count - 1].id, sizeof l->after);
  }
  return status;
}

/* A table is measured before it is printed: each column is as wide as all of it needs, and is there
 * if any key has something in it. */
static st_store_status key_list_print_table(key_list *l, st_table *table, char *error) {
  st_table_begin(table, key_columns, COLUMNS);
  l->table = table;
  l->measuring = true;
  st_store_status status = key_list_walk(l, error);
  l->measuring = false;
  if (status != ST_STORE_OK || !l->any) return status;
  st_table_fit(table, st_terminal_width());
  return key_list_walk(l, error);
}

/* Those that end after now; what has ended does not end any more. */
static bool key_list_read_expiring(const char *text, key_list *l) {
  int64_t span = 0;
  if (text == NULL) return true;
  if (!st_input_span(text, &span) || span < 1 || span > ST_NEVER / 2) return false;
  l->until = l->now + span;
  return true;
}

int st_cmd_key_list(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken key list [--expiring 30d] [--config FILE] [--data DIR] [--json]\n"
      "Lists the parent keys in the order of their ids: on a terminal as a table that fits it,\n"
      "with --json one object a line. --expiring lists those that end within that time, the\n"
      "first to end first: a number with s, m, h or d. The keys themselves are not stored.";
  st_data_options data_options = {0};
  const char *expiring = NULL;
  key_list list = {.now = st_clock_now()};
  const st_option options[] = {ST_DATA_OPTIONS(data_options),
                               {"--expiring", NULL, &expiring},
                               {"--json", &list.json, NULL},
                               {0}};
  st_arguments arguments = {.command = "key list", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (!key_list_read_expiring(expiring, &list)) {
    return st_options_usage(&arguments, "--expiring must be a number with s, m, h or d");
  }
  char error[ST_ERROR_MAX];
  st_data_dir data;
  int begun = st_data_dir_begin("key", &data_options, false, &data, &list.store);
  if (begun != ST_EXIT_DONE) return begun;
  st_table table;
  st_store_status status = !list.json && st_terminal_is_output()
                               ? key_list_print_table(&list, &table, error)
                               : key_list_walk(&list, error);
  st_store_close(list.store);
  if (status != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "key: %s", error);
  return st_print_flush(ST_EXIT_DONE);
}
