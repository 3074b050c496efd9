/* `subtoken feed status` and `feed restore`: can an edge use the revocation data in its files, and
 * have the database list again what a snapshot of an edge lists. The files are fetched by
 * cmd_pull.c.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/date.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/feed_text.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/key.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "operations/snapshot_file.h"
#include "operations/vouched_files.h"
#include "os/clock.h"
#include "os/error.h"
#include "subtoken/feed.h"
#include "subtoken/revocations.h"

typedef struct feed_options {
  st_data_options data;
  const char *secrets, *max_age, *leeway, *max_size;
  bool json;
} feed_options;

/* ---- status ---- */

static void feed_print_date(const char *name, int64_t time) {
  printf("%-9s ", name);
  st_print_time(stdout, time);
  putchar('\n');
}

static void feed_print_snapshot(const subtoken_feed_file *file, int64_t now, int64_t monotonic) {
  const subtoken_revocations *snapshot = &file->feed.snapshot;
  printf("%-9s %lld\n", "sequence", (long long)snapshot->sequence);
  printf("%-9s %lu\n", "entries", (unsigned long)snapshot->count);
  printf("%-9s %zu bytes\n", "size", file->size);
  feed_print_date("made", snapshot->made);
  feed_print_date("vouched", file->feed.time);
  printf("%-9s %lld s\n", "age", (long long)subtoken_feed_age(&file->feed, now, monotonic));
}

static void feed_print_snapshot_json(const subtoken_feed_file *file, int64_t now,
                                     int64_t monotonic) {
  const subtoken_revocations *snapshot = &file->feed.snapshot;
  printf(
      "\"sequence\":%lld,\"entries\":%lu,\"size\":%zu,\"made\":%lld,\"vouched\":%lld,\"age\":%lld,",
      (long long)snapshot->sequence, (unsigned long)snapshot->count, file->size,
      (long long)snapshot->made, (long long)file->feed.time,
      (long long)subtoken_feed_age(&file->feed, now, monotonic));
}

/* No snapshot was loaded before: the status of these files is the whole result. */
static int feed_print_status(const char *path, const subtoken_feed_file *file, bool json,
                             int64_t now, int64_t monotonic) {
  char error[ST_ERROR_MAX] = "an edge can use it";
  bool loaded = file->last == SUBTOKEN_FEED_OK;
  subtoken_feed_result state =
      loaded ? subtoken_feed_check(&file->feed, now, monotonic) : file->last;
  const char *word = state == SUBTOKEN_FEED_OK ? "fresh" : loaded ? "stale" : "refused";
  if (!loaded) {
    st_feed_text_error(path, file, error);
  } else {
    if (state != SUBTOKEN_FEED_OK) st_feed_text_age(&file->feed, now, monotonic, error);
    st_feed_text_add_mount(file, error);
  }
  if (json) {
    putchar('{');
    if (loaded) feed_print_snapshot_json(file, now, monotonic);
    printf("\"state\":\"%s\",\"reason\":\"%s\",\"text\":", word, subtoken_feed_result_name(state));
    st_print_json(stdout, st_text(error));
    puts("}");
  } else {
    if (loaded) feed_print_snapshot(file, now, monotonic);
    printf("%-9s %s: ", "state", word);
    st_print_text(stdout, st_text(error));
    putchar('\n');
  }
  return st_print_flush(state == SUBTOKEN_FEED_OK ? ST_EXIT_DONE : ST_EXIT_REFUSED);
}

static int feed_status(const char *path, const feed_options *given,
                       const subtoken_feed_settings *settings) {
  static subtoken_feed_file file;
  static subtoken_ring ring;
  char error[ST_ERROR_MAX];
  st_data_dir data;
  int64_t now = st_clock_now(), monotonic = st_feed_text_monotonic();
  int found = st_data_dir_find(&given->data, &data, error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "feed status: %s", error);
  if (subtoken_feed_file_start(&file, path, settings) != SUBTOKEN_FEED_OK) {
    return st_print_error(ST_EXIT_USAGE, "feed status: the name of FILE is empty or too long");
  }
  if (st_keyring_file_load_edge(given->secrets != NULL ? given->secrets : data.secrets, &ring,
                                error) != NULL) {
    return st_print_error(ST_EXIT_FAILED, "feed status: %s", error);
  }
  int code;
  if (subtoken_feed_file_load(&file, &ring, now, monotonic) == SUBTOKEN_FEED_IO) {
    st_feed_text_error(path, &file, error);
    code = st_print_error(ST_EXIT_FAILED, "feed status: %s", error);
  } else {
    code = feed_print_status(path, &file, given->json, now, monotonic);
  }
  subtoken_feed_file_stop(&file);
  subtoken_wipe(&ring, sizeof ring);
  return code;
}

static int feed_cmd_status(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken feed status FILE [--secrets FILE] [--max-age S] [--leeway S]\n"
      "                                 [--max-size SIZE] [--json] [--config FILE] [--data DIR]\n"
      "Says whether an edge that starts now can use the revocation data in FILE and\n"
      "FILE.alive: its sequence, its number of entries, when it was made, when the issuer\n"
      "last vouched for it.\n"
      "Exit 0 fresh, 1 stale or refused, 3 when a file could not be read.";
  feed_options given = {0};
  subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  const char *words[1];
  const st_option options[] = {{"--secrets", NULL, &given.secrets},
                               ST_DATA_OPTIONS(given.data),
                               {"--max-age", NULL, &given.max_age},
                               {"--leeway", NULL, &given.leeway},
                               {"--max-size", NULL, &given.max_size},
                               {"--json", &given.json, NULL},
                               {0}};
  st_arguments arguments = {
      .command = "feed status", .help = help, .options = options, .words = words, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (arguments.word_count != 1) return st_options_usage(&arguments, "FILE is missing");
  if (given.max_age != NULL && !st_date_read_duration(st_text(given.max_age), &settings.max_age)) {
    return st_options_usage(&arguments, "--max-age must be seconds, or a number with s, m, h or d");
  }
  if (given.leeway != NULL && !st_input_leeway(given.leeway, &settings.leeway)) {
    return st_options_usage(&arguments, ST_LEEWAY_USAGE);
  }
  if (given.max_size != NULL && !st_input_size(given.max_size, &settings.max_size)) {
    return st_options_usage(&arguments, ST_SIZE_USAGE);
  }
  return feed_status(words[0], &given, &settings);
}

/* ---- restore ---- */

static void feed_print_report(const st_restore_report *report, bool json) {
  printf(json ? "{\"before\":%lld,\"sequence\":%lld,\"listed\":%lld,\"disabled\":%lld,"
                "\"sessions\":%lld}\n"
              : "before    %lld\nsequence  %lld\nlisted    %lld\ndisabled  %lld keys and users\n"
                "ended     %lld sessions\n",
         (long long)report->before, (long long)report->sequence, (long long)report->listed,
         (long long)report->keys, (long long)report->sessions);
}

/* The sequence that FILE must have: 0 when this database itself issued what was vouched for,
 * because then FILE is of another history, and may be from any time.
 */
static bool feed_find_vouched(const st_data_dir *data, st_store *store, const subtoken_ring *ring,
                              int64_t *vouched, char *error) {
  if (!st_vouched_files_sequence(data->dir, ring, vouched, error)) return false;
  if (*vouched == 0) return true;
  st_store_status gave = st_store_issued_sequence(store, *vouched, error);
  if (gave == ST_STORE_OK) *vouched = 0;
  return gave == ST_STORE_OK || gave == ST_STORE_NOT_FOUND;
}

/* An older FILE lacks what was revoked since. */
static bool feed_is_latest(const st_snapshot_file *copy, int64_t vouched, char *error) {
  if (copy->view.sequence >= vouched) return true;
  snprintf(error, ST_ERROR_MAX,
           "FILE has the sequence %lld, but %lld was vouched for: FILE lacks what was revoked in "
           "between. Use the FILE of the edge with the highest sequence, or --force",
           (long long)copy->view.sequence, (long long)vouched);
  return false;
}

static int feed_take_over(st_store *store, const st_snapshot_file *copy, int64_t vouched,
                          bool json) {
  char error[ST_ERROR_MAX], who[ST_WHO_MAX];
  st_audit_context context = st_input_audit_context(who);
  st_restore_report report = {0};
  st_store_status status =
      st_snapshot_file_restore(store, &context, copy, vouched, 0, &report, error);
  if (status != ST_STORE_OK) {
    return st_print_error(status == ST_STORE_DENIED ? ST_EXIT_REFUSED : ST_EXIT_FAILED,
                          "feed restore: %s", error);
  }
  feed_print_report(&report, json);
  return st_print_flush(ST_EXIT_DONE);
}

static int feed_restore(const char *path, const st_data_dir *data, st_store *store, bool force,
                        bool json) {
  static subtoken_ring ring;
  char error[ST_ERROR_MAX];
  st_snapshot_file copy = {.bytes = NULL};
  int64_t vouched = 0;
  int code = ST_EXIT_FAILED;
  if (st_keyring_file_load(data->secrets, &ring, error) != NULL ||
      !feed_find_vouched(data, store, &ring, &vouched, error) ||
      !st_snapshot_file_load(&ring, path, NULL, &copy, error)) {
    st_print_error(code, "feed restore: %s", error);
  } else if (!force && !feed_is_latest(&copy, vouched, error)) {
    code = st_print_error(ST_EXIT_REFUSED, "feed restore: %s", error);
  } else {
    code = feed_take_over(store, &copy, vouched, json);
  }
  st_snapshot_file_free(&copy);
  subtoken_wipe(&ring, sizeof ring);
  return code;
}

static int feed_cmd_restore(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken feed restore FILE [--force] [--config FILE] [--data DIR] [--json]\n"
      "For a database that is a backup or a copy: revokes again what the snapshot FILE of an\n"
      "edge lists and this database does not, and continues above the sequence of FILE, so\n"
      "that edges accept what comes next. Keys and users that are active here but were not\n"
      "known there are disabled; sessions end. --force accepts a FILE that is older than what\n"
      "this server has vouched for.\n"
      "Exit 0 done, 1 refused, 3 when it could not be done.";
  st_data_options data_options = {0};
  const char *words[1];
  bool force = false, json = false;
  st_data_dir data;
  st_store *store;
  const st_option options[] = {
      {"--force", &force, NULL}, ST_DATA_OPTIONS(data_options), {"--json", &json, NULL}, {0}};
  st_arguments arguments = {
      .command = "feed restore", .help = help, .options = options, .words = words, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (arguments.word_count != 1) return st_options_usage(&arguments, "FILE is missing");
  int begun = st_data_dir_begin("feed restore", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  int code = feed_restore(words[0], &data, store, force, json);
  st_store_close(store);
  return code;
}

int st_cmd_feed(int argc, char **argv) {
  static const st_command commands[] = {
      {"status", feed_cmd_status, "check the revocation data on disk"},
      {"restore", feed_cmd_restore, "restore revocations from the snapshot of an edge"},
      {0}};
  return st_options_run_command(commands, "subtoken feed", argc, argv);
}
