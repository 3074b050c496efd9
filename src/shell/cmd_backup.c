#include "shell/command.h"

int st_cmd_backup(int argc, char **argv) {
  static const char help[] =
      "usage: subtoken backup FILE [--data DIR]\n"
      "Makes a consistent copy of the database while it is in use. FILE must not exist; it is\n"
      "there whole or not at all. The ring of signing secrets is a file of its own\n"
      "(DATA/secrets): keep a copy of it elsewhere.";
  const char *data_option = NULL, *path = NULL;
  const st_option options[] = {{"--data", NULL, &data_option}, {0}};
  st_arguments arguments = {
      .command = "backup", .help = help, .options = options, .words = &path, .word_max = 1};
  if (!st_begin(&arguments, argc, argv)) return arguments.code;
  if (path == NULL) return st_usage(&arguments, "the name of the copy is needed");
  char why[ST_WHY_MAX];
  st_data data;
  st_store *store;
  int begun = st_data_begin("backup", data_option, false, &data, &store);
  if (begun != ST_EXIT_DONE) return begun;
  st_stored stored = st_store_backup(store, path, why);
  st_store_close(store);
  return stored == ST_STORED ? ST_EXIT_DONE : st_complain(ST_EXIT_FAILED, "backup: %s", why);
}
