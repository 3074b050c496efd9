/* A file that was read by others may still be open somewhere, or have another name in a copy that
 * was made of links: it is written over only when there is neither. A write lease (fcntl(2)) says
 * so, and lets nobody open the file before it is whole. Blocks are reserved beyond the end of the
 * file, so that it has room to grow and yet, in place, the length of what was written.
 */
#include "os/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/directory.h"
#include "os/file.h"

#define BLOCK ((size_t)4096)

/* ---- whose it is ---- */

/* Somebody who opens it meanwhile is held up, and the kernel tells us by a signal: one that does
 * nothing unless it is caught.
 */
static bool spare_claim(int fd) {
  return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
}

static bool spare_release(int fd) {
  return fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

static bool spare_is_ours(const struct stat *status) {
  return S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_uid == geteuid();
}

static int spare_open(const char *path, struct stat *status) {
  int fd = st_file_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 || (fstat(fd, status) == 0 && spare_is_ours(status))) return fd;
  (void)close(fd);
  return -1;
}

/* ---- room ---- */

static size_t spare_size(const st_spare *spare, size_t len) {
  return (len + spare->extra + BLOCK - 1) / BLOCK * BLOCK;
}

static bool spare_has_room(const struct stat *status, size_t size) {
  return (size_t)status->st_blocks * 512 >= size;
}

/* True: there is room, or there is none now. False: this file system cannot keep any. */
static bool spare_reserve(int fd, size_t size) {
  return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0 || errno == ENOSPC ||
         errno == EDQUOT || errno == EINTR;
}

/* Cutting it short gives back what is reserved, too: that is taken again at once. */
static bool spare_cut(const st_spare *spare, int fd, const struct stat *status, size_t len) {
  if (status->st_size <= (off_t)len) return true;
  if (ftruncate(fd, (off_t)len) != 0) return false;
  (void)spare_reserve(fd, spare_size(spare, len));
  return true;
}

int st_spare_open(const st_spare *spare, size_t len) {
  struct stat status;
  int fd = spare_open(spare->path, &status);
  if (fd < 0) return -1;
  if (spare_claim(fd) && fchmod(fd, 0600) == 0 && spare_cut(spare, fd, &status, len)) return fd;
  (void)close(fd);
  return -1;
}

/* The last room is for those who write now, the database first; and fallocate(2) that fails keeps
 * what it got (ext4, XFS).
 */
static bool spare_fits(const char *path, size_t size) {
  char *directory = st_directory_of(path);
  int64_t room = directory != NULL ? st_directory_room(directory) : -1;
  free(directory);
  return room < 0 || (uint64_t)room / 2 >= size;
}

static void spare_make_new(const st_spare *spare, size_t size) {
  int fd = open(spare->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  struct stat status;
  bool useful = spare_claim(fd) && spare_reserve(fd, size) && fstat(fd, &status) == 0 &&
                spare_has_room(&status, size);
  (void)close(fd);
  if (!useful) (void)unlink(spare->path);
}

/* True: it is ours alone, with what room there is. */
static bool spare_keep(const st_spare *spare, size_t size) {
  struct stat status;
  int fd = spare_open(spare->path, &status);
  if (fd < 0) return false;
  bool alone = spare_claim(fd);
  if (alone && !spare_has_room(&status, size)) {
    size_t has = (size_t)status.st_blocks * 512;
    if (spare_fits(spare->path, size - has)) (void)spare_reserve(fd, size);
  }
  (void)close(fd);
  return alone;
}

void st_spare_make(const st_spare *spare, size_t len) {
  struct stat status;
  size_t size = spare_size(spare, len);
  bool ours = lstat(spare->path, &status) == 0 && spare_is_ours(&status);
  if (ours && spare_keep(spare, size)) return;
  /* It cannot be written over: what is left of it is in use elsewhere. One that is only open may be
   * free again when it is needed, and is better than none.
   */
  if (ours && !spare_fits(spare->path, size)) return;
  (void)unlink(spare->path);
  if (spare_fits(spare->path, size)) spare_make_new(spare, size);
}

/* ---- names ---- */

/* They change names. Where there is no target, or a file system cannot do that, `from` is renamed.
 */
static bool spare_exchange(const char *from, const char *target) {
  struct stat status;
  if (lstat(target, &status) == 0 && !S_ISREG(status.st_mode)) {
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return false;
  }
  if (renameat2(AT_FDCWD, from, AT_FDCWD, target, RENAME_EXCHANGE) == 0) return true;
  return (errno == ENOENT || errno == EINVAL || errno == ENOSYS) && rename(from, target) == 0;
}

bool st_spare_place(const st_spare *spare, int fd, const char *target) {
  return spare_release(fd) && spare_exchange(spare->path, target);
}

bool st_spare_move(const st_spare *spare, const char *from, const char *target) {
  if (!spare_exchange(from, target)) return false;
  st_spare_take(spare, from);
  return true;
}

void st_spare_take(const st_spare *spare, const char *path) {
  if (rename(path, spare->path) != 0 && errno != ENOENT) (void)unlink(path);
}
