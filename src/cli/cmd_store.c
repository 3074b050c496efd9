/* `subtoken store`: says how the store is that the settings name, and copies one store into another
 * that is empty. How it is copied is in store/copy.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/stop_signal.h"
#include "domain/store.h"
#include "domain/store_location.h"
#include "os/directory.h"
#include "os/error.h"

/* ---- status ---- */

static void store_print_line(const char *name, const char *text) {
  printf("%-11s ", name);
  st_print_text(stdout, st_text(text));
  putchar('\n');
}

static void store_print_commit(const st_store_description *d) {
  store_print_line("commit", !d->on_disk    ? "may be lost in a crash: the database does not sync"
                             : d->elsewhere ? "survives the loss of the machine"
                                            : "survives a crash of the machine, not its loss");
  if (d->not_synchronous) {
    store_print_line("warning",
                     "store_not_synchronous: a standby is connected that commits do not wait for");
  }
}

/* As many as are known by name, then how many more. */
static void store_print_peers(const st_store_description *d) {
  size_t shown = d->peer_count < ST_STORE_PEERS_MAX ? d->peer_count : ST_STORE_PEERS_MAX;
  if (!d->peers_known) {
    store_print_line("connected", "cannot be known of a file");
    return;
  }
  if (d->peer_count == 0) store_print_line("connected", "nobody else");
  for (size_t i = 0; i < shown; i++) {
    char text[160];
    snprintf(text, sizeof text, "%s from %s", d->peers[i].name, d->peers[i].address);
    store_print_line("connected", text);
  }
  if (d->peer_count > shown) printf("%-11s %zu more\n", "connected", d->peer_count - shown);
}

static void store_print_status(const st_store_description *d) {
  char text[sizeof d->location + sizeof d->version + 64];
  snprintf(text, sizeof text, "%s %s, %s", d->kind, d->version, d->location);
  store_print_line("store", text);
  if (d->server[0] != '\0') store_print_line("server", d->server);
  printf("%-11s %" PRId64 "\n", "schema", d->schema);
  printf("%-11s %" PRId64 "\n", "sequence", d->sequence);
  printf("%-11s %" PRId64 " ms old\n", "known", d->age_us / 1000);
  store_print_commit(d);
  for (size_t i = 0; i < d->standby_count && i < ST_STORE_STANDBYS_MAX; i++) {
    const st_store_standby *s = &d->standbys[i];
    snprintf(text, sizeof text, "%s at %s, %s, %s", s->name, s->address, s->state, s->sync);
    store_print_line("standby", text);
  }
  store_print_peers(d);
}

static void store_json_member(const char *name, const char *text) {
  printf("\"%s\":", name);
  st_print_json(stdout, st_text(text));
}

static void store_print_peers_json(const st_store_description *d) {
  if (!d->peers_known) {
    fputs(",\"connected\":null", stdout);
    return;
  }
  fputs(",\"connected\":[", stdout);
  for (size_t i = 0; i < d->peer_count && i < ST_STORE_PEERS_MAX; i++) {
    fputs(i > 0 ? ",{" : "{", stdout);
    store_json_member("name", d->peers[i].name);
    putchar(',');
    store_json_member("address", d->peers[i].address);
    putchar('}');
  }
  printf("],\"connected_count\":%zu", d->peer_count);
}

static void store_print_standbys_json(const st_store_description *d) {
  fputs(",\"standbys\":[", stdout);
  for (size_t i = 0; i < d->standby_count && i < ST_STORE_STANDBYS_MAX; i++) {
    fputs(i > 0 ? ",{" : "{", stdout);
    store_json_member("name", d->standbys[i].name);
    putchar(',');
    store_json_member("address", d->standbys[i].address);
    putchar(',');
    store_json_member("state", d->standbys[i].state);
    putchar(',');
    store_json_member("sync", d->standbys[i].sync);
    putchar('}');
  }
  putchar(']');
}

static void store_print_status_json(const st_store_description *d) {
  putchar('{');
  store_json_member("kind", d->kind);
  putchar(',');
  store_json_member("location", d->location);
  putchar(',');
  store_json_member("server", d->server);
  putchar(',');
  store_json_member("version", d->version);
  printf(",\"schema\":%" PRId64 ",\"sequence\":%" PRId64 ",\"age_ms\":%" PRId64, d->schema,
         d->sequence, d->age_us / 1000);
  printf(",\"survives_crash\":%s,\"survives_machine\":%s,\"not_synchronous\":%s",
         d->on_disk ? "true" : "false", d->elsewhere ? "true" : "false",
         d->not_synchronous ? "true" : "false");
  store_print_standbys_json(d);
  store_print_peers_json(d);
  puts("}");
}

static int store_cmd_status(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken store status [--config FILE] [--data DIR] [--json]\n"
      "Says where the store lies, how old what is known of it is, who else is connected, and\n"
      "what a commit survives.";
  st_data_options data_options = {0};
  bool json = false;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {"--json", &json, NULL}, {0}};
  st_arguments arguments = {.command = "store status", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  char error[ST_ERROR_MAX];
  st_data_dir data;
  st_store *store;
  int begun = st_data_dir_begin("store status", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  static st_store_description description;
  st_store_status status = st_store_describe(store, &description, error);
  st_store_close(store);
  if (status != ST_STORE_OK) return st_print_error(ST_EXIT_FAILED, "store status: %s", error);
  if (json) {
    store_print_status_json(&description);
  } else {
    store_print_status(&description);
  }
  return st_print_flush(ST_EXIT_DONE);
}

/* ---- copy ---- */

typedef struct copy_options {
  st_data_options data;
  const char *from, *to;
  bool force, json;
} copy_options;

/* Is it meant for libpq, be it misspelt? Errors name a file, and this may hold a password. */
static bool store_is_no_file(const char *location) {
  static const char sqlite[] = "sqlite:";
  if (strncmp(location, sqlite, sizeof sqlite - 1) == 0) location += sizeof sqlite - 1;
  return strstr(location, "://") != NULL || strcasestr(location, "password=") != NULL ||
         (strncmp(location, "postgres", strlen("postgres")) == 0 && strchr(location, ':') != NULL);
}

/* NULL, or what is wrong with a location. Nothing of it is repeated. */
static const char *store_check_location(const char *location) {
  subtoken_text text = st_text(location);
  if (text.len == 0 || text.len >= ST_PATH_TEXT_MAX)
    return "must not be empty, nor longer than 1023 bytes";
  return store_is_no_file(location) ? st_store_location_check(text) : NULL;
}

/* A directory is DATA: the database in it is meant. */
static void store_find_location(const char *given, char location[ST_PATH_TEXT_MAX + 16]) {
  bool uri = st_store_location_is_uri(st_text(given)) || strncmp(given, "sqlite:", 7) == 0;
  bool directory = !uri && st_directory_exists(given);
  snprintf(location, ST_PATH_TEXT_MAX + 16, "%s%s", given, directory ? "/subtoken.db" : "");
}

/* What others change while it is copied would be lost. */
static int store_check_alone(st_store *from, bool force) {
  static st_store_description description;
  char error[ST_ERROR_MAX];
  if (st_store_describe(from, &description, error) != ST_STORE_OK) {
    return st_print_error(ST_EXIT_FAILED, "store copy: %s", error);
  }
  if (force || description.peer_count == 0) return ST_EXIT_DONE;
  fprintf(stderr,
          "subtoken store copy: %zu others are connected to the store to copy, the first as ",
          description.peer_count);
  st_print_text(stderr, st_text(description.peers[0].name));
  fputs(" from ", stderr);
  st_print_text(stderr, st_text(description.peers[0].address));
  fputs(
      ": stop the issuers, because what they change from now on is not in the copy; --force "
      "copies\n"
      "all the same\n",
      stderr);
  return ST_EXIT_REFUSED;
}

static int store_copy_print(const st_copy_report *report, bool json) {
  printf(json ? "{\"ok\":true,\"rows\":%" PRId64 ",\"keys\":%" PRId64 ",\"audit\":%" PRId64
                ",\"sequence\":%" PRId64 "}\n"
              : "copied %" PRId64 " rows: %" PRId64 " keys, users and sessions, %" PRId64
                " lines of the audit log; sequence %" PRId64 "\n",
         report->rows, report->keys, report->lines, report->sequence);
  return st_print_flush(ST_EXIT_DONE);
}

static int store_copy(const copy_options *given) {
  char error[ST_ERROR_MAX];
  char from[ST_PATH_TEXT_MAX + 16], to[ST_PATH_TEXT_MAX + 16];
  st_store *store = NULL;
  st_data_dir data;
  st_copy_report report;
  int code = st_data_dir_find(&given->data, &data, error);
  if (code != ST_EXIT_DONE) return st_print_error(code, "store copy: %s", error);
  store_find_location(given->from, from);
  store_find_location(given->to, to);
  if (st_store_open(from, false, &store, error) != ST_STORE_OK) {
    return st_print_error(ST_EXIT_FAILED, "store copy: %s", error);
  }
  code = store_check_alone(store, given->force);
  if (code == ST_EXIT_DONE) {
    st_stop_signal_catch();
    st_store_status status = st_store_copy(store, to, &st_stop_signal_received, &report, error);
    code = status == ST_STORE_OK
               ? store_copy_print(&report, given->json)
               : st_print_error(status == ST_STORE_EXISTS ? ST_EXIT_REFUSED : ST_EXIT_FAILED,
                                "store copy: %s", error);
  }
  st_store_close(store);
  if (code != ST_EXIT_DONE) st_stop_signal_raise();
  return code;
}

static int store_cmd_copy(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken store copy --from STORE --to STORE [--force] [--config FILE] [--data DIR]\n"
      "                           [--json]\n"
      "Copies all of one store into another that is empty or not there yet, in one transaction:\n"
      "keys, users, sessions, the audit log, what is revoked. Edges notice nothing. A STORE is\n"
      "a DATA directory, a file of SQLite, or a URI postgresql://... without a password.\n"
      "Stop the servers first: what they change during the copy is not in it. While others are\n"
      "connected to a store on PostgreSQL it is not copied, unless with --force.\n"
      "Exit 0 done, 1 refused, 3 when it could not be done.";
  copy_options given = {0};
  const st_option options[] = {ST_DATA_OPTIONS(given.data),   {"--from", NULL, &given.from},
                               {"--to", NULL, &given.to},     {"--force", &given.force, NULL},
                               {"--json", &given.json, NULL}, {0}};
  st_arguments arguments = {.command = "store copy", .help = help, .options = options};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (given.from == NULL || given.to == NULL) {
    return st_options_usage(&arguments, "--from and --to are required");
  }
  const char *problem = store_check_location(given.from);
  if (problem != NULL) return st_options_usage(&arguments, "--from %s", problem);
  problem = store_check_location(given.to);
  if (problem != NULL) return st_options_usage(&arguments, "--to %s", problem);
  return store_copy(&given);
}

int st_cmd_store(int argc, char **argv) {
  static const st_command commands[] = {
      {"status", store_cmd_status, "say where the store lies, and what a commit survives"},
      {"copy", store_cmd_copy, "copy a store into an empty one"},
      {0}};
  return st_options_run_command(commands, "subtoken store", argc, argv);
}
