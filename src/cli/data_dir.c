/* Finds, makes and opens the data directory (--data, SUBTOKEN_DATA, ./var) with its ring, its
 * configuration (config_file.c) and the store that this names.
 */
#include "cli/data_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_file.h"
#include "cli/exit_code.h"
#include "cli/first_ring.h"
#include "cli/print.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "os/directory.h"
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/owner.h"
#include "os/replace.h"

void st_data_dir_use_settings(const st_settings *settings, int64_t cache) {
  st_owner_trust_group(settings->data_group);
  st_store_set_options(&(st_store_options){
      .trust_group = settings->data_group,
      .staleness_us = settings->store_staleness * INT64_C(1000000),
      .cache_bytes = (size_t)cache << 20,
  });
}

int st_data_dir_find(const st_data_options *given, st_data_dir *data, char *error) {
  if (given->data != NULL && given->data[0] == '\0') { /* of a script's variable that is not set */
    snprintf(error, ST_ERROR_MAX, "the name of the data directory is empty");
    return ST_EXIT_USAGE;
  }
  const char *dir = given->data != NULL ? given->data : getenv("SUBTOKEN_DATA");
  if (dir == NULL || dir[0] == '\0') dir = "./var";
  if (strlen(dir) >= sizeof data->dir) {
    snprintf(error, ST_ERROR_MAX, "the name of the data directory is too long");
    return ST_EXIT_USAGE;
  }
  snprintf(data->dir, sizeof data->dir, "%s", dir);
  snprintf(data->secrets, sizeof data->secrets, "%s/secrets", dir);
  snprintf(data->database, sizeof data->database, "%s/subtoken.db", dir);
  snprintf(data->config, sizeof data->config, "%s/config.json", dir);
  if (!st_config_file_read(given->config, data->config, &data->settings, error)) {
    return ST_EXIT_FAILED;
  }
  st_data_dir_use_settings(&data->settings, 0);
  return ST_EXIT_DONE;
}

const char *st_data_dir_location(const st_data_dir *data) {
  return data->settings.store[0] != '\0' ? data->settings.store : data->database;
}

/* ---- the ring ---- */

/* False: it is there, or may be; error says so unless it is. */
static bool data_dir_lacks_ring(const st_data_dir *data, bool *there, char *error) {
  *there = st_file_exists(data->secrets);
  if (*there) return false;
  if (errno == ENOENT) return true;
  (void)st_error_set(error, "cannot stat %s: %m", st_error_path(data->secrets));
  return false;
}

static bool data_dir_make_ring(const st_data_dir *data, char *error) {
  bool there;
  if (!data_dir_lacks_ring(data, &there, error)) return there;
  if (!st_file_is_missing(data->database)) {
    return st_error_set(error,
                        "%s is missing, but the database beside it exists: restore the file, or "
                        "make a new ring with `subtoken secret add` (every subtoken made so far is "
                        "then refused)",
                        st_error_path(data->secrets));
  }
  return st_keyring_file_make(data->secrets, error);
}

static bool data_dir_make_shared_ring(const st_data_dir *data, st_store *store, char *error) {
  bool there;
  if (data_dir_lacks_ring(data, &there, error)) {
    return st_first_ring_make(data->secrets, store, error);
  }
  if (there) st_first_ring_remove_rest(data->secrets);
  return there;
}

/* ---- making and opening ---- */

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

/* Makes DATA and its ring beside a store that is elsewhere. */
static st_store *data_dir_open_shared(const st_data_dir *data, char *error) {
  st_store *store = NULL;
  bool there = st_file_exists(data->dir);
  if (!st_directory_check(data->dir, true, error)) return NULL;
  int lock = st_lock_data_dir(data->dir, error);
  if (lock < 0) return NULL;
  st_replace_sweep(data->secrets);
  bool opened = st_store_open(data->settings.store, true, &store, error) == ST_STORE_OK &&
                data_dir_make_shared_ring(data, store, error);
  if (!opened && !there) st_directory_remove(data->dir);
  st_lock_release(lock);
  if (opened) return store;
  st_store_close(store);
  return NULL;
}

bool st_data_dir_check(const st_data_dir *data, char *error) {
  if (st_file_is_missing(data->dir)) {
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
  if (make && data->settings.store[0] != '\0') return data_dir_open_shared(data, error);
  if (make ? !st_data_dir_make(data, error) : !st_data_dir_check(data, error)) return NULL;
  const char *location = st_data_dir_location(data);
  return st_store_open(location, make, &store, error) == ST_STORE_OK ? store : NULL;
}

int st_data_dir_begin(const char *command, const st_data_options *given, bool make,
                      st_data_dir *data, st_store **store) {
  char error[ST_ERROR_MAX];
  *store = NULL;
  int found = st_data_dir_find(given, data, error);
  if (found != ST_EXIT_DONE) return st_print_error(found, "%s: %s", command, error);
  *store = st_data_dir_open(data, make, error);
  return *store != NULL ? ST_EXIT_DONE : st_print_error(ST_EXIT_FAILED, "%s: %s", command, error);
}

void st_data_dir_finish(st_store *store) {
  char error[ST_ERROR_MAX];
  bool left = true;
  if (store == NULL) return;
  while (left && st_store_continue(store, INT64_MAX, &left, error) == ST_STORE_OK) {
  }
  st_store_close(store);
}
