/* Error texts. They are written where a failure is met, and printed or logged by whoever called. */
#include "os/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_SHOWN 200 /* bytes of a path in an error */

const char *st_error_path(const char *path) {
  size_t len = strlen(path);
  if (len == 0) return "'' (an empty name)";
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

bool st_error_set(char *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(error, ST_ERROR_MAX, format, args);
  va_end(args);
  return false;
}
