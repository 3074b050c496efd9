/* error - the text that says what went wrong. */
#ifndef ST_OS_ERROR_H
#define ST_OS_ERROR_H

#include <stdbool.h>

#define ST_ERROR_MAX 512 /* room for a sentence about what went wrong */

const char *st_error_path(const char *path);

/* Always false. %m tells errno, so it comes before anything that releases. */
__attribute__((format(printf, 2, 3))) bool st_error_set(char *error, const char *format, ...);

#endif
