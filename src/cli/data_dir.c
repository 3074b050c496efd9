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
#include "os/error.h"
#include "os/file.h"
#include "os/lock.h"

void st_data_trust_group(bool trust) {
  st_world_trust_group(trust);
  st_store_trust_group(trust);
}

/* Who may write DATA may not say that he may: the file has to be ours or root's. What else is wrong
 * with it is for `serve` to say.
 */
static bool config_trusts_group(const char *path) {
  size_t len;
  st_settings settings;
  char why[ST_WHY_MAX];
  if (!st_world_is_ours(path)) return false;
  char *text = malloc(ST_CONFIG_MAX);
  bool trusts = text != NULL && st_world_read(path, text, ST_CONFIG_MAX, &len, why) &&
                st_config_read((subtoken_text){text, len}, &settings, why) && settings.data_group;
  free(text);
  return trusts;
}

bool st_data_find(const char *option, st_data *data, char *why) {
  const char *dir = option != NULL ? option : getenv("SUBTOKEN_DATA");
  if (dir == NULL || dir[0] == '\0') dir = "./var";
  if (strlen(dir) >= sizeof data->dir) {
    snprintf(why, ST_WHY_MAX, "the name of the data directory is too long");
    return false;
  }
  snprintf(data->dir, sizeof data->dir, "%s", dir);
  snprintf(data->secrets, sizeof data->secrets, "%s/secrets", dir);
  snprintf(data->database, sizeof data->database, "%s/subtoken.db", dir);
  snprintf(data->config, sizeof data->config, "%s/config.json", dir);
  st_data_trust_group(config_trusts_group(data->config));
  return true;
}

static bool make_ring_if_new(const st_data *data, char *why) {
  st_world_stamp stamp;
  if (st_world_stamp_of(data->secrets, &stamp)) return true;
  if (errno != ENOENT) {
    snprintf(why, ST_WHY_MAX, "cannot look at %.400s: %s", data->secrets, strerror(errno));
    return false;
  }
  if (st_world_stamp_of(data->database, &stamp)) {
    snprintf(why, ST_WHY_MAX,
             "%.300s is missing though the database beside it is there: restore it, or make a "
             "new ring with `subtoken secret add` (every subtoken made so far is then refused)",
             data->secrets);
    return false;
  }
  return st_ring_make(data->secrets, why);
}

bool st_data_make(const st_data *data, char *why) {
  st_world_stamp stamp;
  bool there = st_world_stamp_of(data->dir, &stamp);
  if (!st_world_data_dir(data->dir, true, why)) return false;
  int lock = st_world_lock(data->dir, why);
  if (lock < 0) return false;
  st_world_sweep(data->secrets);
  bool made = make_ring_if_new(data, why);
  if (!made && !there) st_world_data_drop(data->dir);
  st_world_unlock(lock);
  return made;
}

st_store *st_data_open(const st_data *data, bool make, char *why) {
  st_store *store = NULL;
  if (make ? !st_data_make(data, why) : !st_world_data_dir(data->dir, false, why)) return NULL;
  return st_store_open(data->database, make, &store, why) == ST_STORED ? store : NULL;
}

int st_data_begin(const char *command, const char *option, bool make, st_data *data,
                  st_store **store) {
  char why[ST_WHY_MAX];
  *store = NULL;
  if (!st_data_find(option, data, why)) return st_complain(ST_EXIT_USAGE, "%s: %s", command, why);
  *store = st_data_open(data, make, why);
  return *store != NULL ? ST_EXIT_DONE : st_complain(ST_EXIT_FAILED, "%s: %s", command, why);
}
