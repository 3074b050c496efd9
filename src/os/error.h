/* error - a text that says what went wrong: what is wrong, where, what to do. */
#ifndef ST_OS_ERROR_H
#define ST_OS_ERROR_H

#include <stdbool.h>

#define ST_ERROR_MAX 512 /* bytes that every error text has room for */

/* A path as errors name it: of a long one the end; of an empty one that it is. */
const char *st_error_path(const char *path);

/* Writes the text; always false, for `return st_error_set(...)`. %m is errno, so call it before
 * anything that releases. error has ST_ERROR_MAX bytes.
 */
__attribute__((format(printf, 2, 3))) bool st_error_set(char *error, const char *format, ...);

#endif
