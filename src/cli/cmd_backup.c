/* `subtoken backup`: copies the store into a file of SQLite while it is in use. A signal ends the
 * copy, removes what was written, and then ends the process. How it is copied is in
 * store/sqlite/backup.c, and in store/copy.c from other databases.
 */
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/stop_signal.h"
#include "domain/store.h"
#include "os/error.h"

int st_cmd_backup(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken backup FILE [--config FILE] [--data DIR]\n"
      "Makes a consistent copy of the store while it is in use: a file of SQLite, also of a\n"
      "store on PostgreSQL. FILE must not exist; it is written completely or not at all. The\n"
      "ring of signing secrets is a file of its own (DATA/secrets): keep a copy of it elsewhere.";
  st_data_options data_options = {0};
  const char *path = NULL;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {0}};
  st_arguments arguments = {
      .command = "backup", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL || path[0] == '\0') {
    return st_options_usage(&arguments, path == NULL ? "FILE is missing" : "FILE is empty");
  }
  char error[ST_ERROR_MAX];
  st_data_dir data;
  st_store *store;
  int begun = st_data_dir_begin("backup", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  st_stop_signal_catch();
  st_store_status status = st_store_backup(store, path, &st_stop_signal_received, error);
  st_store_close(store);
  if (status == ST_STORE_OK) return ST_EXIT_DONE;
  int code = st_print_error(ST_EXIT_FAILED, "backup: %s", error);
  st_stop_signal_raise();
  return code;
}
