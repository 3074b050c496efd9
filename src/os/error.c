/* Formats an error text: what is wrong, where, what to do. */
#include "os/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_SHOWN 200 /* of a long path, why names the end */

const char *st_error_path(const char *path) {
  size_t len = strlen(path);
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

/* Always false. %m tells errno, so it comes before anything that releases. */
__attribute__((format(printf, 2, 3))) bool st_error_set(char *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(error, ST_ERROR_MAX, format, args);
  va_end(args);
  return false;
}
