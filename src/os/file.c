/* Reads files, whole or not at all, and tells one version of a file from the next. How files are
 * written is in replace.c; who may read and write a secret in secret_file.c.
 */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/error.h"
#include "subtoken/common.h"

#define NS 1000000000
#define LEASE_TRIES 200
#define LEASE_PAUSE_NS 5000000

/* ---- descriptors ---- */

int st_file_open(const char *path, int flags) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

bool st_file_sync(const char *path, int flags) {
  int fd = st_file_open(path, O_RDONLY | flags);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0;
  int failure = errno;
  (void)close(fd);
  errno = failure;
  return ok;
}

bool st_file_exists(const char *path) {
  struct stat status;
  return stat(path, &status) == 0;
}

bool st_file_is_missing(const char *path) {
  return !st_file_exists(path) && errno == ENOENT;
}

bool st_file_is_link(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

/* ---- reading ---- */

/* Up to size bytes, fewer only at the end of the file. */
static bool file_read_up_to(int fd, uint8_t *out, size_t size, size_t *len) {
  *len = 0;
  while (*len < size) {
    ssize_t got = read(fd, out + *len, size - *len);
    if (got == 0) {
      return true;
    }
    if (got < 0 && errno != EINTR) {
      return false;
    }
    *len += got > 0 ? (size_t)got : 0;
  }
  return true;
}

bool st_file_read_whole(int fd, const char *name, void *out, size_t size, size_t *len,
                        char *error) {
  uint8_t more = 0;
  size_t more_len = 0;
  bool ok = false;
  /* The end is read once: a terminal would wait for another one. */
  if (!file_read_up_to(fd, out, size, len) ||
      (*len == size && !file_read_up_to(fd, &more, 1, &more_len))) {
    (void)st_error_set(error, "cannot read %s: %m", st_error_path(name));
  } else if (more_len > 0) {
    (void)st_error_set(error, "%s is longer than %zu bytes", st_error_path(name), size);
  } else {
    ok = true;
  }
  subtoken_wipe(&more, sizeof more);
  if (!ok) {
    subtoken_wipe(out, size);
    *len = 0;
  }
  return ok;
}

/* A FIFO would make the process wait for whoever writes to it, for ever: it is opened without
 * waiting, and refused. A file that is being written as the spare of another (spare.c) is waited
 * for: it had the name just now.
 */
static int file_open_waiting(const char *path) {
  const struct timespec pause = {0, LEASE_PAUSE_NS};
  int fd = st_file_open(path, O_RDONLY | O_NONBLOCK);
  for (int tries = 0; fd < 0 && errno == EWOULDBLOCK && tries < LEASE_TRIES; tries++) {
    (void)nanosleep(&pause, NULL);
    fd = st_file_open(path, O_RDONLY | O_NONBLOCK);
  }
  return fd;
}

int st_file_open_regular(const char *path, char *error) {
  struct stat status;
  int fd = file_open_waiting(path);
  if (fd < 0) {
    (void)st_error_set(error, "cannot open %s: %m", st_error_path(path));
    return -1;
  }
  if (fstat(fd, &status) != 0) {
    (void)st_error_set(error, "cannot open %s: %m", st_error_path(path));
  } else if (S_ISREG(status.st_mode)) {
    return fd;
  } else {
    (void)st_error_set(error, "%s is not a regular file", st_error_path(path));
  }
  (void)close(fd);
  return -1;
}

bool st_file_read_start(const char *path, void *out, size_t size, size_t *len, char *error) {
  *len = 0;
  int fd = st_file_open_regular(path, error);
  if (fd < 0) return false;
  bool ok = file_read_up_to(fd, out, size, len) ||
            st_error_set(error, "cannot read %s: %m", st_error_path(path));
  (void)close(fd);
  return ok;
}

bool st_file_read(const char *path, void *out, size_t size, size_t *len, char *error) {
  *len = 0;
  int fd = st_file_open_regular(path, error);
  if (fd < 0) return false;
  bool ok = st_file_read_whole(fd, path, out, size, len, error);
  (void)close(fd);
  return ok;
}

/* ---- stamps ---- */

static void file_stamp_from(const struct stat *status, st_file_stamp *stamp) {
  stamp->device = (int64_t)status->st_dev;
  stamp->inode = (int64_t)status->st_ino;
  stamp->size = status->st_size;
  stamp->modified_ns = (int64_t)status->st_mtim.tv_sec * NS + status->st_mtim.tv_nsec;
  stamp->changed_ns = (int64_t)status->st_ctim.tv_sec * NS + status->st_ctim.tv_nsec;
}

bool st_file_stamp_of(const char *path, st_file_stamp *stamp) {
  struct stat status;
  memset(stamp, 0, sizeof *stamp);
  if (stat(path, &status) != 0) return false;
  file_stamp_from(&status, stamp);
  return true;
}

bool st_file_stamp_equal(const st_file_stamp *a, const st_file_stamp *b) {
  return memcmp(a, b, sizeof *a) == 0;
}

/* ---- into new memory ---- */

/* Where the file system does not tell, the whole is said to be data. */
static bool file_has_holes(int fd, int64_t size) {
  off_t hole = lseek(fd, 0, SEEK_HOLE);
  return (hole >= 0 && hole < size) || lseek(fd, 0, SEEK_SET) != 0;
}

static bool file_load_open(int fd, const char *path, size_t max, uint8_t **bytes, size_t *len,
                           st_file_stamp *stamp, char *error) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return st_error_set(error, "cannot read %s: %m", st_error_path(path));
  }
  file_stamp_from(&status, stamp);
  if (stamp->size > 0 && (uint64_t)stamp->size > max) {
    return st_error_set(error, "%s is longer than %zu bytes", st_error_path(path), max);
  }
  if (stamp->size <= 0 || file_has_holes(fd, stamp->size)) {
    return st_error_set(error, "%s is empty or truncated", st_error_path(path));
  }
  uint8_t *memory = malloc((size_t)stamp->size);
  if (memory == NULL) return st_error_set(error, "out of memory for %s", st_error_path(path));
  if (st_file_read_whole(fd, path, memory, (size_t)stamp->size, len, error)) {
    *bytes = memory;
    return true;
  }
  free(memory);
  return false;
}

bool st_file_load(const char *path, size_t max, uint8_t **bytes, size_t *len, st_file_stamp *stamp,
                  char *error) {
  *bytes = NULL;
  *len = 0;
  memset(stamp, 0, sizeof *stamp);
  int fd = st_file_open_regular(path, error);
  if (fd < 0) return false;
  bool ok = file_load_open(fd, path, max, bytes, len, stamp, error);
  (void)close(fd);
  return ok;
}
