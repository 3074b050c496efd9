/* secret_file - the reader of files that hold secrets: the ring of signing secrets, a key. */
#ifndef ST_OS_SECRET_FILE_H
#define ST_OS_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Read a whole file of at most size bytes. Refused when the file that a link ends at is writable by
 * its group (unless that is trusted: owner.h), open to others in any way, or owned by neither us
 * nor root without being shared with a group. out is the caller's to wipe; when this fails nothing
 * of the file is left in it.
 */
bool st_secret_file_read(const char *path, void *out, size_t size, size_t *len, char *error)
    __attribute__((warn_unused_result));

#endif
