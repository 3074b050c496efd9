/* file - reading files, and noticing that they have changed. Functions that can fail answer false
 * and write a sentence to error, of ST_ERROR_MAX bytes, that names the file.
 */
#ifndef ST_OS_FILE_H
#define ST_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* open(2), again when a signal interrupts it, with O_CLOEXEC. -1 and errno. */
int st_file_open(const char *path, int flags);

/* Open a regular file for reading; anything else is refused. -1 and error. */
int st_file_open_regular(const char *path, char *error);

/* fsync(2) of what is at path, opened with these flags, too. False and errno. */
bool st_file_sync(const char *path, int flags) __attribute__((warn_unused_result));

/* Is there something at path? errno says why not. */
bool st_file_exists(const char *path) __attribute__((warn_unused_result));
/* For certain: whatever else stat(2) says, it may be there. */
bool st_file_is_missing(const char *path) __attribute__((warn_unused_result));

/* Is there a symbolic link at path, whatever it ends at? */
bool st_file_is_link(const char *path) __attribute__((warn_unused_result));

/* The whole of what an open descriptor has left, at most size bytes, or nothing: then what was read
 * is wiped, it may be a secret. name is for the error.
 */
bool st_file_read_whole(int fd, const char *name, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Read up to size bytes from the beginning of a regular file. */
bool st_file_read_start(const char *path, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Read a whole regular file of at most size bytes. */
bool st_file_read(const char *path, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* What tells one version of a file from the next: it is taken to be unchanged while its stamp is. A
 * stamp of zeros is that of no file. (feed/feed_file.c, which is part of the library and sees
 * nothing of the program, has the same five numbers in subtoken_feed_file.)
 */
typedef struct st_file_stamp {
  int64_t device, inode, size, modified_ns, changed_ns;
} st_file_stamp;

/* *stamp is zeros when it answers false: there is no file, or errno says what else. */
bool st_file_stamp_of(const char *path, st_file_stamp *stamp) __attribute__((warn_unused_result));
bool st_file_stamp_equal(const st_file_stamp *a, const st_file_stamp *b);

/* A whole regular file of at most max bytes in new memory, to be freed, and its stamp from before
 * it was read. Refused when it is empty, or says that it is longer than what was ever written to
 * it: a hole costs its writer nothing, and us memory.
 */
bool st_file_load(const char *path, size_t max, uint8_t **bytes, size_t *len, st_file_stamp *stamp,
                  char *error) __attribute__((warn_unused_result));

#endif
