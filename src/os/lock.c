/* flock(2) on the data directory, and on files that are made for it. The lock ends with the
 * process, however it ends.
 */
#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "os/error.h"
#include "os/file.h"

int st_lock_data_dir(const char *data_dir, char *error) {
  int fd = st_file_open(data_dir, O_RDONLY | O_DIRECTORY);
  int failed = fd < 0 ? -1 : flock(fd, LOCK_EX);
  while (fd >= 0 && failed != 0 && errno == EINTR) {
    failed = flock(fd, LOCK_EX);
  }
  if (failed != 0) {
    (void)st_error_set(error, "cannot lock %s: %m", st_error_path(data_dir));
    if (fd >= 0) {
      (void)close(fd);
    }
    return -1;
  }
  return fd;
}

int st_lock_claim(const char *path, char *error) {
  int fd;
  do {
    fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
    return fd;
  }
  if (fd >= 0 && errno == EWOULDBLOCK) {
    (void)st_error_set(error, "another process has locked %s", st_error_path(path));
  } else {
    (void)st_error_set(error, "cannot lock %s: %m", st_error_path(path));
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return -1;
}

/* Unlocked by name, since a child made meanwhile holds the same lock open. */
void st_lock_release(int lock) {
  if (lock >= 0) {
    (void)flock(lock, LOCK_UN);
    (void)close(lock);
  }
}
