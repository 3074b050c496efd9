/* Random bytes for keys, ids and secrets. Without them the process ends: there is nothing safe to
 * do instead.
 */
#include "os/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#define EXIT_COULD_NOT_RUN 3

void st_random_fill(void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    ssize_t got = getrandom(at, len, 0);
    if (got < 0 && errno != EINTR) {
      (void)fprintf(stderr, "subtoken: cannot get random bytes: %m\n");
      _exit(EXIT_COULD_NOT_RUN);
    }
    if (got > 0) {
      at += got;
      len -= (size_t)got;
    }
  }
}
