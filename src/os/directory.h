/* directory - private directories such as DATA. */
#ifndef ST_OS_DIRECTORY_H
#define ST_OS_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

/* Check that path is a directory that is private: ours, and not open to others, nor to its group
 * unless that is trusted (owner.h). With make it is made, with mode 0700, when it is not there.
 */
bool st_directory_check(const char *path, bool make, char *error)
    __attribute__((warn_unused_result));

/* Is there a directory at path? */
bool st_directory_exists(const char *path) __attribute__((warn_unused_result));

/* Remove a directory that was just made and in which nothing came to be. */
void st_directory_remove(const char *path);

/* How many bytes this process may still write on the disk that path is on; -1: not known. */
int64_t st_directory_room(const char *path) __attribute__((warn_unused_result));

/* The directory that holds path: to be freed; NULL without memory. */
char *st_directory_of(const char *path) __attribute__((warn_unused_result));

/* Make what was created or renamed to path outlast a power loss. False and errno. */
bool st_directory_sync_of(const char *path) __attribute__((warn_unused_result));

#endif
