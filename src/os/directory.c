/* Makes and checks private directories. A directory that others can write to is refused: whoever
 * can put a file into DATA can replace the database and the signing secrets.
 */
#include "os/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "os/error.h"
#include "os/file.h"
#include "os/owner.h"

char *st_directory_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return strdup(".");
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

bool st_directory_sync_of(const char *path) {
  char *directory = st_directory_of(path);
  bool ok = directory != NULL && st_file_sync(directory, O_DIRECTORY);
  int failure = errno;
  free(directory);
  errno = failure;
  return ok;
}

/* *made: it was not there before. */
static bool directory_make(const char *path, bool *made, char *error) {
  *made = mkdir(path, 0700) == 0;
  if (!*made && errno == EEXIST) return true;
  if (*made && st_directory_sync_of(path)) return true;
  return st_error_set(error, "cannot create %s: %m", st_error_path(path));
}

static bool directory_check_open(int fd, const char *path, char *error) {
  struct stat status;
  bool trusted = st_owner_group_is_trusted();
  if (fstat(fd, &status) != 0) {
    return st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  bool shared = trusted && (status.st_mode & S_IRWXG) == S_IRWXG;
  if (st_owner_is_foreign(&status) && !shared) {
    return st_error_set(
        error,
        "%s belongs to user %u, but this process runs as user %u: run it as that user, or "
        "chown it",
        st_error_path(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (trusted ? S_IRWXO : S_IRWXG | S_IRWXO)) != 0) {
    return st_error_set(
        error,
        trusted ? "%s is open to others than its owner and group (mode %04o): chmod 2770 it"
                : "%s is open to others than its owner (mode %04o): chmod 700 it, or set "
                  "data_group to trust its group",
        st_error_path(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

static bool directory_check(const char *path, char *error) {
  int fd = st_file_open(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    return errno == ENOTDIR ? st_error_set(error, "%s is not a directory", st_error_path(path))
                            : st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  bool ok = directory_check_open(fd, path, error);
  (void)close(fd);
  return ok;
}

bool st_directory_check(const char *path, bool make, char *error) {
  bool made = false;
  bool ok = (!make || directory_make(path, &made, error)) && directory_check(path, error);
  if (!ok && made) (void)rmdir(path); /* as it was */
  return ok;
}

bool st_directory_exists(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int64_t st_directory_room(const char *path) {
  struct statvfs disk;
  if (statvfs(path, &disk) != 0) return -1;
  uint64_t blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail;
  uint64_t most = disk.f_frsize > 0 ? INT64_MAX / disk.f_frsize : 0;
  return blocks <= most ? (int64_t)(blocks * disk.f_frsize) : INT64_MAX;
}

void st_directory_remove(const char *path) {
  (void)rmdir(path);
}
