/* Random bytes for keys, ids and secrets: from getrandom, else from the device that gives the same,
 * as where a sandbox forbids the call. Without both the process ends: there is nothing safe to do
 * instead.
 */
#include "os/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

#define EXIT_COULD_NOT_RUN 3

static bool random_read_device(uint8_t *out, size_t len) {
  size_t done = 0;
  int fd = st_file_open("/dev/urandom", O_RDONLY | O_NOFOLLOW);
  struct stat status;
  bool good = fd >= 0 && fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
  while (good && done < len) {
    ssize_t got = read(fd, out + done, len - done);
    good = got > 0 || (got < 0 && errno == EINTR);
    if (got > 0) done += (size_t)got;
  }
  if (fd >= 0) (void)close(fd);
  return good;
}

void st_random_fill(void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    ssize_t got = getrandom(at, len, 0);
    if (got < 0 && errno != EINTR) {
      if (random_read_device(at, len)) return;
      (void)fprintf(stderr, "subtoken: cannot get random bytes: %m\n");
      _exit(EXIT_COULD_NOT_RUN);
    }
    if (got > 0) {
      at += got;
      len -= (size_t)got;
    }
  }
}
