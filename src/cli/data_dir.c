/* Finds, makes and opens the data directory (--data, SUBTOKEN_DATA, ./var) with its database, its
 * ring and its config.json.
 */
#include "cli/data_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/exit_code.h"
#include "cli/print.h"
#include "domain/config.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "os/directory.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/owner.h"
#include "os/replace.h"

void st_data_dir_trust_group(bool trust) {
  st_owner_trust_group(trust);
  st_store_set_options(&(st_store_options){.trust_group = trust});
}

/* The group that may write DATA must not be able to declare itself trusted: the file has to be ours
 * or root's. What else is wrong with the configuration is for `serve` to report.
 */
static bool data_dir_trusts_group(const char *path) {
  size_t len;
  st_settings settings;
  char error[ST_ERROR_MAX];
  if (!st_owner_is_ours(path)) return false;
  char *text = malloc(ST_CONFIG_MAX);
  bool trusts = text != NULL && st_file_read(path, text, ST_CONFIG_MAX, &len, error) &&
                st_config_read((subtoken_text){text, len}, &settings, error) && settings.data_group;
  free(text);
  return trusts;
}

bool st_data_dir_find(const char *option, st_data_dir *data, char *error) {
  const char *dir = option != NULL ? option : getenv("SUBTOKEN_DATA");
  if (dir == NULL || dir[0] == '\0') dir = "./var";
  if (strlen(dir) >= sizeof data->dir) {
    snprintf(error, ST_ERROR_MAX, "the name of the data directory is too long");
    return false;
  }
  snprintf(data->dir, sizeof data->dir, "%s", dir);
  snprintf(data->secrets, sizeof data->secrets, "%s/secrets", dir);
  snprintf(data->database, sizeof data->database, "%s/subtoken.db", dir);
  snprintf(data->config, sizeof data->config, "%s/config.json", dir);
  st_data_dir_trust_group(data_dir_trusts_group(data->config));
  return true;
}

static bool data_dir_make_ring(const st_data_dir *data, char *error) {
  if (st_file_exists(data->secrets)) return true;
  if (errno != ENOENT) {
    snprintf(error, ST_ERROR_MAX, "cannot stat %.400s: %s", data->secrets, strerror(errno));
    return false;
  }
  if (st_file_exists(data->database)) {
    snprintf(error, ST_ERROR_MAX,
             "%.300s is missing, but the database beside it exists: restore the file, or make a "
             "new ring with `subtoken secret add` (every subtoken made so far is then refused)",
             data->secrets);
    return false;
  }
  return st_keyring_file_make(data->secrets, error);
}

bool st_data_dir_make(const st_data_dir *data, char *error) {
  bool there = st_file_exists(data->dir);
  if (!st_directory_check(data->dir, true, error)) return false;
  int lock = st_lock_data_dir(data->dir, error);
  if (lock < 0) return false;
  st_replace_sweep(data->secrets);
  bool made = data_dir_make_ring(data, error);
  if (!made && !there) st_directory_remove(data->dir);
  st_lock_release(lock);
  return made;
}

bool st_data_dir_check(const st_data_dir *data, char *error) {
  if (!st_file_exists(data->dir) && errno == ENOENT) {
    snprintf(error, ST_ERROR_MAX,
             "there is no data directory %.300s: name another one with --data or SUBTOKEN_DATA, or "
             "make it with `subtoken key create` or `subtoken serve`",
             data->dir);
    return false;
  }
  return st_directory_check(data->dir, false, error);
}

st_store *st_data_dir_open(const st_data_dir *data, bool make, char *error) {
  st_store *store = NULL;
  if (make ? !st_data_dir_make(data, error) : !st_data_dir_check(data, error)) return NULL;
  return st_store_open(data->database, make, &store, error) == ST_STORE_OK ? store : NULL;
}

int st_data_dir_begin(const char *command, const char *option, bool make, st_data_dir *data,
                      st_store **store) {
  char error[ST_ERROR_MAX];
  *store = NULL;
  if (!st_data_dir_find(option, data, error)) {
    return st_print_error(ST_EXIT_USAGE, "%s: %s", command, error);
  }
  *store = st_data_dir_open(data, make, error);
  return *store != NULL ? ST_EXIT_DONE : st_print_error(ST_EXIT_FAILED, "%s: %s", command, error);
}
