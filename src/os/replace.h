/* replace - how a file is put in place, whole or not at all: written beside its target under a name
 * that nobody else has, fsynced, renamed, and the directory fsynced. Functions that can fail answer
 * false and write a sentence to error, of ST_ERROR_MAX bytes, that names the file.
 */
#ifndef ST_OS_REPLACE_H
#define ST_OS_REPLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "os/spare.h"

/* Replace path, or make it, with mode 0600. A link at path is followed to the file it ends at. A
 * file that is replaced hands on its group, and that its group may read it: the edges that share a
 * ring must not lose it when it is rotated.
 */
bool st_replace_file(const char *path, const void *data, size_t len, char *error)
    __attribute__((warn_unused_result));

/* The same of a file that has to be replaced while the disk is full: it is written to its spare, if
 * it has one that will do (st_spare_make, afterwards, sees to the next). Under a lock.
 */
bool st_replace_with_spare(const char *path, const st_spare *spare, const void *data, size_t len,
                           char *error) __attribute__((warn_unused_result));

/* Make path with mode 0600; fails, and says so, when there is one already. */
bool st_replace_create(const char *path, const void *data, size_t len, char *error)
    __attribute__((warn_unused_result));

/* Replace a file that others read, too, and that can be had again: it is in place at once, and
 * outlasts a power loss when st_replace_sync has answered true. spare: as above, or NULL. model:
 * the file whose permissions it is to have, or NULL: path itself. A new one has mode 0640, one that
 * is replaced hands on what its group and others may read.
 */
bool st_replace_sync(const char *path, char *error) __attribute__((warn_unused_result));
bool st_replace_shared(const char *path, const st_spare *spare, const char *model, const void *data,
                       size_t len, char *error) __attribute__((warn_unused_result));

/* Put `from`, a file that is whole and no link, in the place of path; what was that is the spare.
 */
bool st_replace_move(const char *from, const char *path, const st_spare *spare, char *error)
    __attribute__((warn_unused_result));

/* Remove what killed calls of these three have left beside path: whole copies, of a ring for
 * instance. Only for those who hold the lock; others may be writing one.
 */
void st_replace_sweep(const char *path);

/* Make a file that a callback writes itself, as a database does. fill gets the name of an empty
 * file of mode 0600 in the directory of path. It may leave others beside it, whose names go on with
 * one of the suffixes (NULL ends the list); when anything fails all of them are removed. *exists:
 * it failed because there is a file at path. Meanwhile it shares a lock on the directory; whoever
 * comes first removes what killed calls have left.
 */
typedef bool st_replace_fill(void *context, const char *temporary, char *error);
bool st_replace_fill_new(const char *path, const char *const *suffixes, st_replace_fill *fill,
                         void *context, bool *exists, char *error)
    __attribute__((warn_unused_result));

#endif
