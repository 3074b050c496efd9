/* `subtoken backup`: copies the database while it is in use. A signal ends the copy, removes what
 * was written, and then ends the process. How it is copied is in store/sqlite/backup.c.
 */
#include <signal.h>

#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/print.h"
#include "domain/store.h"
#include "os/error.h"

static volatile sig_atomic_t backup_signal; /* that was received, or 0 */

static void backup_on_signal(int number) {
  backup_signal = number;
}

/* So that what is half written is removed first. */
static void backup_catch_signals(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  struct sigaction action = {.sa_handler = backup_on_signal, .sa_flags = SA_RESTART};
  struct sigaction before;
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    bool ignored = sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    if (!ignored) (void)sigaction(numbers[i], &action, NULL);
  }
}

/* Then the process ends by the signal, as the sender expects. */
static void backup_raise_signal(void) {
  signal(backup_signal, SIG_DFL);
  raise(backup_signal);
}

int st_cmd_backup(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken backup FILE [--config FILE] [--data DIR]\n"
      "Makes a consistent copy of the database while it is in use. FILE must not exist; it is\n"
      "written completely or not at all. The ring of signing secrets is a file of its own\n"
      "(DATA/secrets): keep a copy of it elsewhere.";
  st_data_options data_options = {0};
  const char *path = NULL;
  const st_option options[] = {ST_DATA_OPTIONS(data_options), {0}};
  st_arguments arguments = {
      .command = "backup", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_options_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_options_usage(&arguments, "FILE is missing");
  char error[ST_ERROR_MAX];
  st_data_dir data;
  st_store *store;
  int begun = st_data_dir_begin("backup", &data_options, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  backup_catch_signals();
  st_store_status status = st_store_backup(store, path, &backup_signal, error);
  st_store_close(store);
  if (status == ST_STORE_OK) return ST_EXIT_DONE;
  int code = st_print_error(ST_EXIT_FAILED, "backup: %s", error);
  if (backup_signal != 0) backup_raise_signal();
  return code;
}
