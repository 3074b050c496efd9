/* spare - room on the disk for the next version of a file, so that the file can be replaced while
 * the disk is full. The spare is a file beside it that has its blocks already; what is to be put in
 * place is written there, and the two change names, so that what was replaced is the next spare.
 * None is made where the file system cannot say that nobody reads it (NFS, some of FUSE); one that
 * writes each block anew (btrfs, ZFS) may want room all the same. Callers have a lock. replace.c is
 * what uses this.
 */
#ifndef ST_OS_SPARE_H
#define ST_OS_SPARE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct st_spare {
  const char *path;
  size_t extra; /* how much longer the next version may be than the last, in bytes */
} st_spare;

/* The spare, to be written from its beginning: it has at most len bytes, mode 0600 and no other
 * name, and until it is closed nobody else can open it. -1: there is none like that.
 */
int st_spare_open(const st_spare *spare, size_t len) __attribute__((warn_unused_result));

/* Put an open spare in place of target, at once, or make target of it. False and errno. */
bool st_spare_place(const st_spare *spare, int fd, const char *target)
    __attribute__((warn_unused_result));

/* Make from, which is in use, the target, and what was that the spare. False and errno. */
bool st_spare_move(const st_spare *spare, const char *from, const char *target)
    __attribute__((warn_unused_result));

/* Remove path, which becomes the spare. */
void st_spare_take(const st_spare *spare, const char *path);

/* See that there is a spare for the version after one of len bytes. As good as can be: without
 * room, or where it cannot be, there is none, or a smaller one.
 */
void st_spare_make(const st_spare *spare, size_t len);

#endif
