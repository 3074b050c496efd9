/* What the process does for itself at its start, and how many processors it may use. */
#include "os/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* The lowest number that is free is given, so each gets its own. */
static void process_fill_standard(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    (void)!open("/dev/null", (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
  }
}

void st_process_harden(void) {
  const struct rlimit none = {0, 0};
  process_fill_standard();
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

size_t st_process_processors(void) {
  cpu_set_t set;
  /* Fails where the machine has more processors than fit in the set. */
  long count =
      sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
  return count > 1 ? (size_t)count : 1;
}
