/* One file that is read whole: opened without waiting, checked, and read again when its stamp has
 * changed. Secrets must be closed to others, by the server's rule for DATA/secrets. HAProxy reads
 * its configuration as root and outside of its chroot, and works as another user within it: see
 * st_haproxy_file_rebase.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_FILE_NS INT64_C(1000000000)

/* ---- errors ---- */

bool st_haproxy_file_fail(char *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error, ST_HAPROXY_ERROR_MAX, format, arguments);
  va_end(arguments);
  return false;
}

static bool st_haproxy_file_fail_errno(st_haproxy_file *file, char *error) {
  file->error = errno;
  return st_haproxy_file_fail(error, "%s: cannot read \"%s\": %s", file->what, file->named,
                              strerror(file->error));
}

/* ---- names ---- */

static st_haproxy_root st_haproxy_file_identify(const char *path) {
  struct stat status;
  if (stat(path, &status) != 0) return (st_haproxy_root){0, 0};
  return (st_haproxy_root){status.st_dev, status.st_ino};
}

static bool st_haproxy_file_is_same(st_haproxy_root a, st_haproxy_root b) {
  return a.device == b.device && a.inode == b.inode && b.inode != 0;
}

bool st_haproxy_file_name(st_haproxy_file *file, const char *what, const char *path, char *error) {
  size_t len = strlen(path), level = 0;
  file->what = what;
  if (path[0] != '/')
    return st_haproxy_file_fail(error, "%s: must be a path from the root on", what);
  if (len > ST_HAPROXY_PATH_MAX) {
    return st_haproxy_file_fail(error, "%s: must not exceed %d bytes", what, ST_HAPROXY_PATH_MAX);
  }
  memcpy(file->named, path, len + 1);
  memcpy(file->path, path, len + 1);
  for (size_t i = 0; i < len && level < ST_HAPROXY_LEVELS_MAX; i++) {
    if (path[i] != '/') continue;
    file->path[i + (i == 0)] = '\0'; /* the directory alone */
    file->above[level++] = st_haproxy_file_identify(file->path);
    memcpy(file->path, path, len + 1);
  }
  return true;
}

/* The directory that is the root by now is one of those above the file, or the file is outside. */
bool st_haproxy_file_rebase(st_haproxy_file *file) {
  st_haproxy_root root = st_haproxy_file_identify("/");
  size_t level = 0;
  for (const char *at = file->named; *at != '\0' && level < ST_HAPROXY_LEVELS_MAX; at++) {
    if (*at != '/' || !st_haproxy_file_is_same(file->above[level++], root)) continue;
    memcpy(file->path, at, strlen(at) + 1);
    return true;
  }
  file->path[0] = '\0';
  return false;
}

/* ---- reading ---- */

static void st_haproxy_file_stamp(const struct stat *status, int64_t stamp[5]) {
  stamp[0] = (int64_t)status->st_dev;
  stamp[1] = (int64_t)status->st_ino;
  stamp[2] = (int64_t)status->st_size;
  stamp[3] = (int64_t)status->st_mtim.tv_sec * ST_HAPROXY_FILE_NS + status->st_mtim.tv_nsec;
  stamp[4] = (int64_t)status->st_ctim.tv_sec * ST_HAPROXY_FILE_NS + status->st_ctim.tv_nsec;
}

/* The server's rule for DATA/secrets, with `trust_group` for its data_group. Whoever could open a
 * file that only its owner and its group may read is one of them.
 */
static bool st_haproxy_file_check_secret(const st_haproxy_file *file, const struct stat *status,
                                         char *error) {
  bool foreign = status->st_uid != geteuid() && status->st_uid != 0;
  if (foreign && (status->st_mode & S_IRGRP) == 0) {
    return st_haproxy_file_fail(error, "%s: \"%s\" belongs to user %u, and this runs as user %u",
                                file->what, file->named, status->st_uid, geteuid());
  }
  if ((status->st_mode & S_IRWXO) != 0) {
    return st_haproxy_file_fail(error,
                                "%s: \"%s\" is open to others: chmod 600 it, or 640 for its group",
                                file->what, file->named);
  }
  if ((status->st_mode & S_IWGRP) != 0 && !file->trusted_group) {
    return st_haproxy_file_fail(
        error, "%s: \"%s\" can be written by its group: chmod 640 it, or add trust_group=on",
        file->what, file->named);
  }
  return true;
}

static bool st_haproxy_file_check(const st_haproxy_file *file, size_t max,
                                  const struct stat *status, char *error) {
  if (!S_ISREG(status->st_mode)) {
    return st_haproxy_file_fail(error, "%s: \"%s\" is not a regular file", file->what, file->named);
  }
  if (file->secret && !st_haproxy_file_check_secret(file, status, error)) return false;
  if ((uint64_t)status->st_size > max) {
    return st_haproxy_file_fail(error, "%s: \"%s\" is longer than %zu bytes", file->what,
                                file->named, max);
  }
  return true;
}

/* O_NONBLOCK, because to open a FIFO would wait for its writer. */
static int st_haproxy_file_open(st_haproxy_file *file, size_t max, size_t *size, char *error) {
  struct stat status;
  file->tried = true;
  file->error = 0;
  int fd = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) {
    (void)st_haproxy_file_fail_errno(file, error);
    if (fd >= 0) (void)close(fd);
    return -1;
  }
  st_haproxy_file_stamp(&status, file->stamp);
  *size = (size_t)status.st_size;
  if (st_haproxy_file_check(file, max, &status, error)) return fd;
  (void)close(fd);
  return -1;
}

static bool st_haproxy_file_fill(st_haproxy_file *file, int fd, char *out, size_t size,
                                 char *error) {
  size_t len = 0;
  while (len < size) {
    ssize_t got = read(fd, out + len, size - len);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return st_haproxy_file_fail_errno(file, error);
    if (got == 0) {
      return st_haproxy_file_fail(error, "%s: \"%s\" was cut short while it was read", file->what,
                                  file->named);
    }
    len += (size_t)got;
  }
  out[len] = '\0';
  return true;
}

char *st_haproxy_file_read(st_haproxy_file *file, size_t max, size_t *len, char *error) {
  int fd = st_haproxy_file_open(file, max, len, error);
  if (fd < 0) return NULL;
  char *text = malloc(*len + 1);
  bool read = text != NULL ? st_haproxy_file_fill(file, fd, text, *len, error)
                           : st_haproxy_file_fail_errno(file, error);
  (void)close(fd);
  if (read) return text;
  if (text != NULL) subtoken_wipe(text, *len);
  free(text);
  return NULL;
}

/* A file that could not be opened or found is tried again each time. */
bool st_haproxy_file_has_changed(const st_haproxy_file *file) {
  struct stat status;
  int64_t stamp[5];
  if (file->path[0] == '\0') return false; /* out of reach */
  if (!file->tried || file->error != 0) return true;
  if (stat(file->path, &status) != 0) return true;
  st_haproxy_file_stamp(&status, stamp);
  return memcmp(stamp, file->stamp, sizeof stamp) != 0;
}
