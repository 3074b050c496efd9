/* One file that is read whole: opened without waiting, checked, and read again when its stamp has
 * changed. Secrets must be closed to others, by the server's rule for DATA/secrets. What a file
 * holds, and when it is looked at, is in files.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/apache/subtoken_apache.h"

#define FILE_NS INT64_C(1000000000)

bool mod_subtoken_file_fail(char *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  (void)apr_vsnprintf(error, MOD_SUBTOKEN_ERROR_MAX, format, arguments);
  va_end(arguments);
  return false;
}

static bool file_fail_errno(mod_subtoken_file *file, char *error) {
  char text[128];
  file->error = errno;
  return mod_subtoken_file_fail(error, "cannot read \"%s\": %s", file->path,
                                apr_strerror(file->error, text, sizeof text));
}

static void file_stamp(const struct stat *status, int64_t stamp[5]) {
  stamp[0] = (int64_t)status->st_dev;
  stamp[1] = (int64_t)status->st_ino;
  stamp[2] = (int64_t)status->st_size;
  stamp[3] = (int64_t)status->st_mtim.tv_sec * FILE_NS + status->st_mtim.tv_nsec;
  stamp[4] = (int64_t)status->st_ctim.tv_sec * FILE_NS + status->st_ctim.tv_nsec;
}

/* A file that could not be opened or found is tried again each time. */
bool mod_subtoken_file_has_changed(const mod_subtoken_file *file) {
  struct stat status;
  int64_t stamp[5];
  if (!file->tried || file->error != 0 || stat(file->path, &status) != 0) return true;
  file_stamp(&status, stamp);
  return memcmp(stamp, file->stamp, sizeof stamp) != 0;
}

/* The server's rule for DATA/secrets. Whoever could open a file that only its owner and its group
 * may read is one of them.
 */
static bool file_check_secret(const mod_subtoken_file *file, const struct stat *status,
                              char *error) {
  bool foreign = status->st_uid != geteuid() && status->st_uid != 0;
  if (foreign && geteuid() != 0 && (status->st_mode & S_IRGRP) == 0) {
    return mod_subtoken_file_fail(error, "\"%s\" belongs to user %u, and this runs as user %u",
                                  file->path, (unsigned)status->st_uid, (unsigned)geteuid());
  }
  if ((status->st_mode & S_IRWXO) != 0) {
    return mod_subtoken_file_fail(
        error, "\"%s\" is open to others: chmod 600 it, or 640 for its group", file->path);
  }
  if ((status->st_mode & S_IWGRP) != 0 && !file->trusted_group) {
    return mod_subtoken_file_fail(
        error, "\"%s\" can be written by its group: chmod 640 it, or add trust_group", file->path);
  }
  return true;
}

/* O_NONBLOCK, because to open a FIFO would wait for its writer. */
int mod_subtoken_file_open(mod_subtoken_file *file, size_t max, size_t *size, char *error) {
  struct stat status;
  file->tried = true;
  file->error = 0;
  int fd = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &status) != 0) {
    (void)file_fail_errno(file, error);
    if (fd >= 0) (void)close(fd);
    return -1;
  }
  file_stamp(&status, file->stamp);
  *size = (size_t)status.st_size;
  bool good = S_ISREG(status.st_mode)
                  ? true
                  : mod_subtoken_file_fail(error, "\"%s\" is not a regular file", file->path);
  if (good && file->secret) good = file_check_secret(file, &status, error);
  if (good && (uint64_t)status.st_size > max) {
    good = mod_subtoken_file_fail(error, "\"%s\" is longer than %lu bytes", file->path,
                                  (unsigned long)max);
  }
  if (good) return fd;
  (void)close(fd);
  return -1;
}

bool mod_subtoken_file_read(mod_subtoken_file *file, int fd, char *out, size_t size, char *error) {
  size_t len = 0;
  while (len < size) {
    ssize_t got = read(fd, out + len, size - len);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_fail_errno(file, error);
    if (got == 0) {
      return mod_subtoken_file_fail(error, "\"%s\" was cut short while it was read", file->path);
    }
    len += (size_t)got;
  }
  return true;
}
