/* Reads files that hold secrets: each is checked for its owner and its mode, once it is open. What
 * is in it is for the caller to know. The nginx module, which sees nothing of the program, has a
 * reader of its own with the same rules.
 */
#include "os/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/error.h"
#include "os/file.h"
#include "os/owner.h"

static bool secret_file_check(int fd, const char *path, char *error) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  /* Whoever could open a file that only its owner and group may read is one of them. */
  bool shared = (status.st_mode & S_IRGRP) != 0;
  if (st_owner_is_foreign(&status) && !shared) {
    return st_error_set(
        error,
        "%s belongs to user %u, but this process runs as user %u: run it as that user, or "
        "chown it",
        st_error_path(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (st_owner_group_is_trusted() ? S_IRWXO : S_IWGRP | S_IRWXO)) != 0) {
    return st_error_set(error,
                        "%s is open to others (mode %04o): chmod 600 it, or 640 for its group",
                        st_error_path(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

bool st_secret_file_read(const char *path, void *out, size_t size, size_t *len, char *error) {
  *len = 0;
  int fd = st_file_open_regular(path, error);
  if (fd < 0) return false;
  bool ok =
      secret_file_check(fd, path, error) && st_file_read_whole(fd, path, out, size, len, error);
  (void)close(fd);
  return ok;
}
