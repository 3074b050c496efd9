/* Puts files in place. There are two ways to it, bytes and a callback that writes the file itself,
 * over the same steps: a temporary file beside the target, fsync, rename, fsync of the directory,
 * and removing what killed calls have left. In the first a file that is replaced hands on who may
 * read it, one for others is fsynced after it is in place, and what has to be replaced while the
 * disk is full is written to its spare (spare.c); in the second nothing is ever replaced.
 */
#include "os/replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/directory.h"
#include "os/error.h"
#include "os/file.h"
#include "os/owner.h"

/* Between the name of a file and six random characters, while it is made. */
#define BYTES_MARK ".new-"
#define FILL_MARK ".subtoken-"
#define RANDOM "XXXXXX"
#define RANDOM_LEN (sizeof RANDOM - 1)

/* ---- the steps ---- */

/* An empty file of mode 0600 beside target, open, under a name that nobody else has: to be freed.
 * NULL and errno.
 */
static char *replace_make_temporary(const char *target, const char *mark, int *fd) {
  char *temporary = NULL;
  *fd = -1;
  if (asprintf(&temporary, "%s%s" RANDOM, target, mark) < 0) {
    errno = ENOMEM;
    return NULL;
  }
  *fd = mkostemp(temporary, O_CLOEXEC);
  if (*fd >= 0) return temporary;
  int failure = errno;
  free(temporary);
  errno = failure;
  return NULL;
}

/* Never over a file that is there, atomic against every other process. Not every file system can do
 * the first, and not every one the second.
 */
static bool replace_rename_new(const char *temporary, const char *target) {
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (link(temporary, target) != 0) return false;
  (void)unlink(temporary); /* it is in place; what is left of it is swept */
  return true;
}

/* ---- what killed calls have left ---- */

static const char *const no_suffixes[] = {NULL};

static bool replace_is_leftover(const char *name, const char *base, const char *mark,
                                const char *const *suffixes) {
  size_t base_len = strlen(base), mark_len = strlen(mark);
  size_t fixed = base_len + mark_len + RANDOM_LEN;
  if (strlen(name) < fixed || strncmp(name, base, base_len) != 0 ||
      strncmp(name + base_len, mark, mark_len) != 0) {
    return false;
  }
  bool found = name[fixed] == '\0';
  for (; !found && *suffixes != NULL; suffixes++) found = strcmp(name + fixed, *suffixes) == 0;
  return found;
}

static void replace_remove_leftovers(int directory, const char *base, const char *mark,
                                     const char *const *suffixes) {
  int again = dup(directory);
  DIR *listing = again < 0 ? NULL : fdopendir(again);
  struct dirent *entry;
  while (listing != NULL && (entry = readdir(listing)) != NULL) {
    if (replace_is_leftover(entry->d_name, base, mark, suffixes)) {
      (void)unlinkat(directory, entry->d_name, 0);
    }
  }
  if (listing != NULL) {
    (void)closedir(listing);
  } else if (again >= 0) {
    (void)close(again);
  }
}

static const char *replace_base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* The directory that holds path, open; -1 when it cannot be. */
static int replace_open_directory(const char *path) {
  char *directory = st_directory_of(path);
  int fd = directory != NULL ? st_file_open(directory, O_RDONLY | O_DIRECTORY) : -1;
  free(directory);
  return fd;
}

void st_replace_sweep(const char *path) {
  char *target = realpath(path, NULL);
  if (target == NULL) target = strdup(path); /* it need not be there */
  int directory = target != NULL ? replace_open_directory(target) : -1;
  if (directory >= 0) {
    replace_remove_leftovers(directory, replace_base_of(target), BYTES_MARK, no_suffixes);
    (void)close(directory);
  }
  free(target);
}

/* ---- bytes ---- */

/* What is put in place: a file of our own, one that must not be there yet, one for others. */
typedef enum replace_kind { REPLACE_OWN, REPLACE_NEW, REPLACE_SHARED } replace_kind;

static bool replace_write_whole(int fd, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t put = write(fd, data, len);
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) {
      data += put;
      len -= (size_t)put;
    }
  }
  return true;
}

/* The file that a link at path ends at, or path itself: to be freed. */
static char *replace_follow(const char *path, char *error) {
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

/* What a file that is being replaced gave to its group, reading it, the new one gives too: a new
 * ring must not lock out the edge that shares it.
 */
static bool replace_keep_group(int fd, const char *target) {
  struct stat old, made;
  if (stat(target, &old) != 0) {
    /* Whoever of a trusted group runs next has to read it. */
    return errno == ENOENT && (!st_owner_group_is_trusted() || fchmod(fd, 0640) == 0);
  }
  if (!S_ISREG(old.st_mode)) {
    errno = S_ISDIR(old.st_mode) ? EISDIR : EINVAL;
    return false;
  }
  if (fstat(fd, &made) != 0) return false;
  uid_t owner = geteuid() == 0 ? old.st_uid : made.st_uid;
  if ((owner != made.st_uid || old.st_gid != made.st_gid) && fchown(fd, owner, old.st_gid) != 0) {
    return false;
  }
  return (old.st_mode & S_IRGRP) == 0 || fchmod(fd, 0640) == 0;
}

/* What of the permissions of a shared file is handed on; a new one is for its group. */
static bool replace_keep_mode(int fd, const char *target) {
  struct stat old;
  mode_t mode = 0640;
  if (stat(target, &old) == 0) {
    mode = (old.st_mode & 0644) | 0600;
  } else if (errno != ENOENT) {
    return false; /* it may be for fewer */
  }
  return replace_keep_group(fd, target) && fchmod(fd, mode) == 0;
}

/* What is to be written where. */
typedef struct replace_job {
  const char *target, *model; /* whose permissions it is to have */
  const void *data;
  size_t len;
  replace_kind kind;
  const st_spare *spare; /* or NULL */
} replace_job;

static bool replace_write(int fd, const replace_job *job) {
  if (job->kind == REPLACE_OWN && !replace_keep_group(fd, job->model)) return false;
  if (job->kind == REPLACE_SHARED && !replace_keep_mode(fd, job->model)) return false;
  return replace_write_whole(fd, job->data, job->len);
}

/* Without a new block. False: there is no spare, or it did not do. */
static bool replace_by_spare(const replace_job *job) {
  int fd = job->spare != NULL ? st_spare_open(job->spare, job->len) : -1;
  if (fd < 0) return false;
  /* Also what is shared: no file system orders what is written over before the exchange, and a loss
   * of power would show the version before the last, whole.
   */
  bool ok = replace_write(fd, job) && fsync(fd) == 0 && st_spare_place(job->spare, fd, job->target);
  (void)close(fd);
  return ok;
}

static void replace_set_error(const replace_job *job, char *error) {
  if (job->kind == REPLACE_NEW && errno == EEXIST) {
    (void)st_error_set(error, "%s already exists", st_error_path(job->target));
  } else if (errno == EBUSY) {
    (void)st_error_set(error, "cannot replace %s: it is a mount point; mount its directory instead",
                       st_error_path(job->target));
  } else {
    (void)st_error_set(error, "cannot write %s: %m", st_error_path(job->target));
  }
}

static bool replace_by_temporary(const replace_job *job, char *error) {
  int fd;
  char *temporary = replace_make_temporary(job->target, BYTES_MARK, &fd);
  bool ok = temporary != NULL && replace_write(fd, job) &&
            (job->kind == REPLACE_SHARED || fsync(fd) == 0) &&
            (job->kind == REPLACE_NEW ? replace_rename_new(temporary, job->target)
                                      : rename(temporary, job->target) == 0);
  if (!ok) {
    replace_set_error(job, error);
    if (temporary != NULL) (void)unlink(temporary);
  }
  if (fd >= 0) (void)close(fd);
  free(temporary);
  return ok;
}

static bool replace(const char *path, replace_job *job, char *error) {
  char *target = replace_follow(path, error);
  if (target == NULL) return false;
  job->target = target;
  if (job->model == NULL) job->model = target;
  bool ok = replace_by_spare(job) || replace_by_temporary(job, error);
  if (ok && job->kind != REPLACE_SHARED && !st_directory_sync_of(target)) {
    ok = st_error_set(error, "%s is written, but its directory cannot be synced: %m",
                      st_error_path(target));
  }
  free(target);
  return ok;
}

bool st_replace_file(const char *path, const void *data, size_t len, char *error) {
  return st_replace_with_spare(path, NULL, data, len, error);
}

bool st_replace_with_spare(const char *path, const st_spare *spare, const void *data, size_t len,
                           char *error) {
  replace_job job = {.data = data, .len = len, .kind = REPLACE_OWN, .spare = spare};
  return replace(path, &job, error);
}

bool st_replace_create(const char *path, const void *data, size_t len, char *error) {
  replace_job job = {.data = data, .len = len, .kind = REPLACE_NEW};
  return replace(path, &job, error);
}

bool st_replace_shared(const char *path, const st_spare *spare, const char *model, const void *data,
                       size_t len, char *error) {
  replace_job job = {
      .model = model, .data = data, .len = len, .kind = REPLACE_SHARED, .spare = spare};
  return replace(path, &job, error);
}

bool st_replace_move(const char *from, const char *path, const st_spare *spare, char *error) {
  char *target = replace_follow(path, error);
  if (target == NULL) return false;
  bool ok = st_spare_move(spare, from, target);
  if (!ok) (void)st_error_set(error, "cannot rename %s: %m", st_error_path(from));
  free(target);
  return ok;
}

bool st_replace_sync(const char *path, char *error) {
  char *target = replace_follow(path, error);
  if (target == NULL) return false;
  bool ok = st_file_sync(target, 0) && st_directory_sync_of(target);
  if (!ok) (void)st_error_set(error, "cannot sync %s: %m", st_error_path(target));
  free(target);
  return ok;
}

/* ---- a callback ---- */

/* Whoever makes a file in a directory says so meanwhile, and so does whoever removes what was left
 * there, by a lock of one byte each. Locks of flock(2) will not do: DATA is locked by one, and
 * would be for as long as a backup into it takes. A descriptor for reading can only share these,
 * and looks whether others have them: each says what it is about first, and looks then, so that of
 * two at least one sees the other.
 */
enum { MAKING, REMOVING };
#define WAIT_RETRY_MS 10
#define WAIT_MS 2000 /* more than removing takes: then something else has the lock */

static struct flock replace_byte(short kind, off_t which) {
  return (struct flock){.l_type = kind, .l_whence = SEEK_SET, .l_start = which, .l_len = 1};
}

static bool replace_say(int directory, short kind, off_t which) {
  struct flock byte = replace_byte(kind, which);
  return fcntl(directory, F_OFD_SETLK, &byte) == 0;
}

/* Do others say so? Where there are no such locks it is not known: then they may. */
static bool replace_others_say(int directory, off_t which) {
  struct flock byte = replace_byte(F_WRLCK, which);
  return fcntl(directory, F_OFD_GETLK, &byte) != 0 || byte.l_type != F_UNLCK;
}

/* What is left belongs to nobody while nobody makes a file. */
static void replace_clear(int directory, const char *path, const char *const *suffixes) {
  if (!replace_say(directory, F_RDLCK, REMOVING)) return;
  if (!replace_others_say(directory, MAKING)) {
    replace_remove_leftovers(directory, replace_base_of(path), FILL_MARK, suffixes);
  }
  (void)replace_say(directory, F_UNLCK, REMOVING);
}

/* The descriptor whose closing says that it is made; -1: no directory. */
static int replace_enter_directory(const char *path, const char *const *suffixes) {
  const struct timespec pause = {0, WAIT_RETRY_MS * 1000000L};
  int fd = replace_open_directory(path);
  if (fd < 0) return -1;
  replace_clear(fd, path, suffixes);
  if (!replace_say(fd, F_RDLCK, MAKING)) return fd;
  for (int waited = 0; waited < WAIT_MS && replace_others_say(fd, REMOVING);
       waited += WAIT_RETRY_MS) {
    (void)nanosleep(&pause, NULL);
  }
  return fd;
}

/* What fill has left beside the temporary file. */
static void replace_remove_beside(const char *temporary, const char *const *suffixes) {
  for (; *suffixes != NULL; suffixes++) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", temporary, *suffixes) < 0) continue;
    (void)unlink(name);
    free(name);
  }
}

static bool replace_fill_temporary(const char *temporary, const char *path, st_replace_fill *fill,
                                   void *context, bool *exists, char *error) {
  if (!fill(context, temporary, error)) return false;
  if (!st_file_sync(temporary, 0) || !replace_rename_new(temporary, path)) {
    *exists = errno == EEXIST;
    return st_error_set(error, "cannot write %s: %m", st_error_path(path));
  }
  if (st_directory_sync_of(path)) return true;
  (void)st_error_set(error, "cannot write %s: %m", st_error_path(path));
  (void)unlink(path);
  return false;
}

bool st_replace_fill_new(const char *path, const char *const *suffixes, st_replace_fill *fill,
                         void *context, bool *exists, char *error) {
  int fd;
  *exists = false;
  int directory = replace_enter_directory(path, suffixes);
  char *temporary = replace_make_temporary(path, FILL_MARK, &fd);
  bool ok = temporary != NULL;
  if (!ok) (void)st_error_set(error, "cannot create %s: %m", st_error_path(path));
  if (fd >= 0) (void)close(fd);
  if (ok) ok = replace_fill_temporary(temporary, path, fill, context, exists, error);
  if (!ok && temporary != NULL) (void)unlink(temporary);
  if (temporary != NULL) replace_remove_beside(temporary, suffixes);
  if (directory >= 0) (void)close(directory);
  free(temporary);
  return ok;
}
