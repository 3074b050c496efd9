/* Finds and reads the configuration file, for the server and for every command that has DATA. What
 * its text means is in domain/config.c.
 */
#include "cli/config_file.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/error.h"
#include "os/file.h"
#include "os/owner.h"

/* The file that is named, or the one in DATA when there is one; NULL: none. */
static bool config_file_find(const char *given, const char *beside, const char **path,
                             char *error) {
  *path = given;
  if (given != NULL) return true;
  if (!st_file_exists(beside)) {
    bool none = (errno == ENOENT || errno == ENOTDIR) && !st_file_is_link(beside);
    return none || st_error_set(error, "cannot read %s: %m", st_error_path(beside));
  }
  *path = beside;
  return true;
}

/* The one in DATA must be ours: the group of DATA may write there, and must not decide where the
 * log goes, which store is opened, or that it is trusted itself.
 */
static bool config_file_check(int fd, const char *path, char *error) {
  return st_owner_is_ours(fd, path) ||
         st_error_set(error,
                      "%s must be a file of root or of the user that this runs as, and only its "
                      "owner may write it: chown it, and chmod 640",
                      st_error_path(path));
}

/* ours: it must be. */
static bool config_file_load(const char *path, bool ours, char *text, size_t *len, char *error) {
  int fd = st_file_open_regular(path, error);
  if (fd < 0) return false;
  bool ok = (!ours || config_file_check(fd, path, error)) &&
            st_file_read_whole(fd, path, text, ST_CONFIG_MAX, len, error);
  (void)close(fd);
  return ok;
}

static bool config_file_take(const char *path, bool ours, char *text, st_settings *settings,
                             char *error) {
  char problem[ST_CONFIG_ERROR_MAX];
  size_t len = 0;
  if (!config_file_load(path, ours, text, &len, error)) return false;
  return st_config_read((subtoken_text){text, len}, settings, problem) ||
         st_error_set(error, "%s: %s", st_error_path(path), problem);
}

bool st_config_file_read(const char *given, const char *beside, st_settings *settings,
                         char *error) {
  const char *path = NULL;
  st_config_default(settings);
  if (!config_file_find(given, beside, &path, error)) return false;
  if (path == NULL) return true;
  char *text = malloc(ST_CONFIG_MAX);
  bool taken = text != NULL
                   ? config_file_take(path, given == NULL, text, settings, error)
                   : st_error_set(error, "cannot read %s: out of memory", st_error_path(path));
  free(text);
  return taken;
}
