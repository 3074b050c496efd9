/* world - the system: see world.h. */
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/error.h"
#include "subtoken/common.h"

#define NS 1000000000

/* ---- Time, randomness, the process ---- */

/* ---- Descriptors ---- */

/* close without forgetting what went wrong before. */
static void close_quietly(int fd) {
  int failure = errno;
  (void)close(fd);
  errno = failure;
}

int st_file_open(const char *path, int flags) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* Up to size bytes, fewer only at the end of the file. */
static bool read_up_to(int fd, uint8_t *out, size_t size, size_t *len) {
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

/* The whole of it, or nothing: what was read is wiped, it may be a secret. */
bool st_file_read_whole(int fd, const char *name, void *out, size_t size, size_t *len,
                        char *error) {
  uint8_t more = 0;
  size_t more_len = 0;
  bool ok = false;
  if (!read_up_to(fd, out, size, len) || !read_up_to(fd, &more, 1, &more_len)) {
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

static bool write_whole(int fd, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t put = write(fd, data, len);
    if (put < 0 && errno != EINTR) {
      return false;
    }
    if (put > 0) {
      data += put;
      len -= (size_t)put;
    }
  }
  return true;
}

static bool sync_directory(const char *path) {
  int fd = st_file_open(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    return false;
  }
  bool ok = fsync(fd) == 0;
  close_quietly(fd);
  return ok;
}

/* The directory that holds path: to be freed; NULL without memory. */
static char *directory_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) {
    return strdup(".");
  }
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static bool sync_directory_of(const char *path) {
  char *directory = directory_of(path);
  bool ok = directory != NULL && sync_directory(directory);
  int failure = errno;
  free(directory);
  errno = failure;
  return ok;
}

static bool is_foreign(const struct stat *status) {
  return status->st_uid != geteuid() && status->st_uid != 0;
}

static bool group_trusted;

void st_file_trust_group(bool trust) {
  group_trusted = trust;
}

/* A link belongs to whoever made it, and its mode says nothing. */
bool st_file_is_ours(const char *path) {
  struct stat named, meant;
  if (lstat(path, &named) != 0 || stat(path, &meant) != 0) return false;
  return !is_foreign(&named) && !is_foreign(&meant) && S_ISREG(meant.st_mode) &&
         (meant.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* ---- DATA ---- */

static bool make_directory(const char *path, char *error) {
  if (mkdir(path, 0700) != 0) {
    return errno == EEXIST || st_error_set(error, "cannot create %s: %m", st_error_path(path));
  }
  return sync_directory_of(path) ||
         st_error_set(error, "cannot create %s: %m", st_error_path(path));
}

static bool check_directory(int fd, const char *path, char *error) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  bool shared = group_trusted && (status.st_mode & S_IRWXG) == S_IRWXG;
  if (is_foreign(&status) && !shared) {
    return st_error_set(error, "%s belongs to user %u, but this process runs as user %u: chown it",
                        st_error_path(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (group_trusted ? S_IRWXO : S_IRWXG | S_IRWXO)) != 0) {
    return st_error_set(
        error,
        group_trusted ? "%s is open to others than its owner and group (mode %04o): chmod 2770 it"
                      : "%s is open to others than its owner (mode %04o): chmod 700 it, or set "
                        "data_group to trust its group",
        st_error_path(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

bool st_file_data_dir(const char *path, bool make, char *error) {
  if (make && !make_directory(path, error)) {
    return false;
  }
  int fd = st_file_open(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    return errno == ENOTDIR ? st_error_set(error, "%s is not a directory", st_error_path(path))
                            : st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  bool ok = check_directory(fd, path, error);
  (void)close(fd);
  return ok;
}

void st_file_drop_data_dir(const char *path) {
  (void)rmdir(path);
}

/* ---- Reading ---- */

/* A FIFO would make the process wait for whoever writes to it, for ever: it is opened
 * without waiting, and refused.
 */
static int open_regular(const char *path, char *error) {
  struct stat status;
  int fd = st_file_open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) {
    (void)st_error_set(error, "cannot open %s: %m", st_error_path(path));
    return -1;
  }
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    return fd;
  }
  (void)st_error_set(error, "%s is not a regular file", st_error_path(path));
  (void)close(fd);
  return -1;
}

bool st_file_read(const char *path, void *out, size_t size, size_t *len, char *error) {
  *len = 0;
  int fd = open_regular(path, error);
  if (fd < 0) {
    return false;
  }
  bool ok = st_file_read_whole(fd, path, out, size, len, error);
  (void)close(fd);
  return ok;
}

static bool check_secret(int fd, const char *path, char *error) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return st_error_set(error, "cannot open %s: %m", st_error_path(path));
  }
  /* Whoever could open a file that only its owner and group may read is one of them. */
  bool shared = (status.st_mode & S_IRGRP) != 0;
  if (is_foreign(&status) && !shared) {
    return st_error_set(error, "%s belongs to user %u, but this process runs as user %u: chown it",
                        st_error_path(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (group_trusted ? S_IRWXO : S_IWGRP | S_IRWXO)) != 0) {
    return st_error_set(error,
                        "%s is open to others (mode %04o): chmod 600 it, or 640 for its group",
                        st_error_path(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

bool st_file_read_secret(const char *path, void *out, size_t size, size_t *len, char *error) {
  *len = 0;
  int fd = open_regular(path, error);
  if (fd < 0) {
    return false;
  }
  bool ok = check_secret(fd, path, error) && st_file_read_whole(fd, path, out, size, len, error);
  (void)close(fd);
  return ok;
}

bool st_file_has_holes(const char *path) {
  struct stat status;
  int fd = st_file_open(path, O_RDONLY | O_NONBLOCK);
  bool found = false;
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    found = hole >= 0 && hole < status.st_size;
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return found;
}

bool st_file_stamp_of(const char *path, st_file_stamp *stamp) {
  struct stat status;
  memset(stamp, 0, sizeof *stamp);
  if (stat(path, &status) != 0) {
    return false;
  }
  stamp->device = (int64_t)status.st_dev;
  stamp->inode = (int64_t)status.st_ino;
  stamp->size = status.st_size;
  stamp->modified_ns = (int64_t)status.st_mtim.tv_sec * NS + status.st_mtim.tv_nsec;
  stamp->changed_ns = (int64_t)status.st_ctim.tv_sec * NS + status.st_ctim.tv_nsec;
  return true;
}

/* ---- Writing ---- */

/* The file that a link at path ends at, or path itself: to be freed. */
static char *follow(const char *path, char *error) {
  struct stat status;
  char *target = realpath(path, NULL);
  if (target == NULL && errno == ENOENT) {
    if (lstat(path, &status) == 0) {
      (void)st_error_set(error, "%s is a symbolic link to a file that does not exist",
                         st_error_path(path));
      return NULL;
    }
    target = strdup(path);
  }
  if (target == NULL) {
    (void)st_error_set(error, "cannot write %s: %m", st_error_path(path));
  }
  return target;
}

/* What a file that is being replaced gave to its group, reading it, the new one
 * gives too: a new ring must not lock out the edge that shares it.
 */
static bool keep_group(int fd, const char *target) {
  struct stat old, made;
  if (stat(target, &old) != 0) {
    /* Whoever of a trusted group runs next has to read it. */
    return errno == ENOENT && (!group_trusted || fchmod(fd, 0640) == 0);
  }
  if (!S_ISREG(old.st_mode) || fstat(fd, &made) != 0) {
    return false;
  }
  uid_t owner = geteuid() == 0 ? old.st_uid : made.st_uid;
  if ((owner != made.st_uid || old.st_gid != made.st_gid) && fchown(fd, owner, old.st_gid) != 0) {
    return false;
  }
  return (old.st_mode & S_IRGRP) == 0 || fchmod(fd, 0640) == 0;
}

/* What of the permissions of a shared file is handed on; a new one is for its group. */
static bool keep_mode(int fd, const char *target) {
  struct stat old;
  mode_t mode = 0640;
  if (stat(target, &old) == 0) mode = (old.st_mode & 0644) | 0600;
  return keep_group(fd, target) && fchmod(fd, mode) == 0;
}

#define LEFTOVER ".new-" /* what lies between a file's name and that of its next version */

/* Is it what a killed st_file_replace of base leaves? */
static bool is_leftover(const char *name, const char *base) {
  size_t len = strlen(base);
  return strncmp(name, base, len) == 0 && strncmp(name + len, LEFTOVER, sizeof LEFTOVER - 1) == 0 &&
         strlen(name + len) == sizeof LEFTOVER - 1 + 6;
}

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

void st_file_sweep(const char *path) {
  char *target = realpath(path, NULL);
  if (target == NULL) target = strdup(path); /* it need not be there */
  char *directory = target != NULL ? directory_of(target) : NULL;
  DIR *listing = directory != NULL ? opendir(directory) : NULL;
  struct dirent *entry;
  while (listing != NULL && (entry = readdir(listing)) != NULL) {
    if (is_leftover(entry->d_name, base_of(target))) {
      (void)unlinkat(dirfd(listing), entry->d_name, 0);
    }
  }
  if (listing != NULL) {
    (void)closedir(listing);
  }
  free(directory);
  free(target);
}

/* Atomic against every other process. Not every file system can do the first,
 * and not every one the second.
 */
static bool put_only_new(const char *temporary, const char *target) {
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return link(temporary, target) == 0 && unlink(temporary) == 0;
}

/* What is put in place: a file of our own, one that must not be there yet, one for others. */
typedef enum put_kind { OWN, ONLY_NEW, SHARED } put_kind;

/* model: whose permissions it is to have. */
static bool put_in_place(int fd, const char *temporary, const char *target, const char *model,
                         const void *data, size_t len, put_kind kind) {
  if (kind != ONLY_NEW && !(kind == SHARED ? keep_mode : keep_group)(fd, model)) {
    return false;
  }
  if (!write_whole(fd, data, len) || fsync(fd) != 0) {
    return false;
  }
  return kind == ONLY_NEW ? put_only_new(temporary, target) : rename(temporary, target) == 0;
}

/* Beside target, under a name that nobody else has. */
static bool replace(const char *target, const char *model, const void *data, size_t len,
                    put_kind kind, char *error) {
  char *temporary = NULL;
  if (asprintf(&temporary, "%s" LEFTOVER "XXXXXX", target) < 0) {
    return st_error_set(error, "cannot write %s: out of memory", st_error_path(target));
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  bool ok = fd >= 0 && put_in_place(fd, temporary, target, model, data, len, kind);
  if (!ok) {
    bool there = kind == ONLY_NEW && errno == EEXIST;
    (void)(there ? st_error_set(error, "%s already exists", st_error_path(target))
           : errno == EBUSY
               ? st_error_set(error,
                              "cannot replace %s: it is a mount point; mount its directory instead",
                              st_error_path(target))
               : st_error_set(error, "cannot write %s: %m", st_error_path(target)));
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  if (!ok && fd >= 0) {
    (void)unlink(temporary);
  }
  free(temporary);
  return ok;
}

static bool follow_and_replace(const char *path, const char *model, const void *data, size_t len,
                               put_kind kind, char *error) {
  char *target = follow(path, error);
  if (target == NULL) {
    return false;
  }
  bool ok = replace(target, model != NULL ? model : target, data, len, kind, error);
  if (ok && !sync_directory_of(target)) {
    ok = st_error_set(error, "%s is written, but its directory cannot be synced: %m",
                      st_error_path(target));
  }
  free(target);
  return ok;
}

bool st_file_replace(const char *path, const void *data, size_t len, bool only_new, char *error) {
  return follow_and_replace(path, NULL, data, len, only_new ? ONLY_NEW : OWN, error);
}

bool st_file_publish(const char *path, const void *data, size_t len, char *error) {
  return follow_and_replace(path, NULL, data, len, SHARED, error);
}

bool st_file_publish_as(const char *path, const char *model, const void *data, size_t len,
                        char *error) {
  return follow_and_replace(path, model, data, len, SHARED, error);
}
