/* world - time, randomness, files and the process: the only place that asks the
 * system for them. Functions that can fail answer false and write a sentence to
 * why, of ST_ERROR_MAX bytes, that names the file.
 */
#ifndef ST_OS_FILE_H
#define ST_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is the group of DATA and of the secrets in it trusted as their owner is (the setting data_group)?
 * Then they may be open to it, and belong to somebody else. Not while others read them.
 */
void st_file_trust_group(bool trust);

/* Can nobody but root and our own user have put this file there, or written it? */
bool st_file_is_ours(const char *path);

/* DATA: made with mode 0700 when make is true and it is not there; refused when
 * it is no directory, owned by somebody else or open to group or others.
 */
bool st_file_data_dir(const char *path, bool make, char *error) __attribute__((warn_unused_result));

/* Take back a DATA that was just made and in which nothing came to be. */
void st_file_drop_data_dir(const char *path);

/* Read a whole regular file of at most size bytes. */
bool st_file_read(const char *path, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Read a secrets file. Refused when the file that a link ends at is writable by its
 * group, open to others in any way, or owned by neither us nor root without being
 * shared with a group.
 */
bool st_file_read_secret(const char *path, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

/* Put a file of mode 0600 in place, whole or not at all: written beside it,
 * fsynced, renamed, the directory fsynced. With only_new it fails, and says so,
 * when there is one already. A link at path is followed to the file it ends at.
 * A file that is replaced hands on its group, and that its group may read it:
 * the edges that share a ring must not lose it when it is rotated.
 */
bool st_file_replace(const char *path, const void *data, size_t len, bool only_new, char *error)
    __attribute__((warn_unused_result));

/* The same for a file that others read, too: a new one has mode 0640, one that is replaced
 * hands on what its group and others may read.
 */
bool st_file_publish(const char *path, const void *data, size_t len, char *error)
    __attribute__((warn_unused_result));

/* The same for a file that is to be read by whoever may read the one at model. */
bool st_file_publish_as(const char *path, const char *model, const void *data, size_t len,
                        char *error) __attribute__((warn_unused_result));

/* Does the file say that it is longer than what was ever written to it? Where the file system does
 * not tell: no.
 */
bool st_file_has_holes(const char *path) __attribute__((warn_unused_result));

/* Remove what killed calls of st_file_replace left beside path: whole copies, of a ring
 * for instance. Only for those who hold the lock; others may be writing one.
 */
void st_file_sweep(const char *path);

/* What tells one version of a file from the next, for noticing changes. */
typedef struct st_file_stamp {
  int64_t device, inode, size, modified_ns, changed_ns;
} st_file_stamp;
bool st_file_stamp_of(const char *path, st_file_stamp *stamp) __attribute__((warn_unused_result));
int st_file_open(const char *path, int flags);

/* The whole of it, or nothing: what was read is wiped, it may be a secret. */
bool st_file_read_whole(int fd, const char *name, void *out, size_t size, size_t *len, char *error);

#endif
