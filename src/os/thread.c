/* The threads that the server starts for itself. pthread_create answers its error and leaves errno
 * alone, which is easily overlooked. Those that civetweb runs in: server/threads.c.
 */
#include "os/thread.h"

#include <string.h>

#include "os/error.h"

bool st_thread_start(pthread_t *thread, void *(*run)(void *), void *context, const char *purpose,
                     char *error) {
  int failure = pthread_create(thread, NULL, run, context);
  if (failure == 0) return true;
  return st_error_set(error, "cannot start a thread for %s: %s", purpose, strerror(failure));
}
