/* runtime - the main of the program in which all unit tests are linked with the mutated files. It
 * runs each test in a process of its own, forked when everything is loaded: `record` tells which
 * mutants would make a difference to which test, `run PROGRAM` reads lines, each a mutant and the
 * tests to try it on, and tells the first that fails. run.py makes the list of programs, asks, and
 * counts.
 *
 * A test fails when cmocka says so, when it crashes, when a sanitizer ends it, or at a limit of
 * time.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run_tests.h"

struct program {
  const char *name;
  int (*main)(int, char **);
};
extern const struct program st_mutation_programs[]; /* ends with a NULL */

/* ---- the mutated files, which register themselves before main ---- */

#define FILES_MAX 400

static struct mutated_file {
  const char *path;
  unsigned size; /* one more than there are mutants */
  volatile unsigned *active;
  unsigned char *volatile *seen;
} files[FILES_MAX];
static unsigned file_count;

void st_mutation_register(const char *path, unsigned size, volatile unsigned *active,
                          unsigned char *volatile *seen);
void st_mutation_register(const char *path, unsigned size, volatile unsigned *active,
                          unsigned char *volatile *seen) {
  if (file_count == FILES_MAX) abort();
  files[file_count++] = (struct mutated_file){path, size, active, seen};
}

static void choose(const char *path, unsigned mutant) {
  for (unsigned i = 0; i < file_count; i++) {
    *files[i].active = path != NULL && strcmp(files[i].path, path) == 0 ? mutant : 0;
  }
}

/* ---- temporary files of a child, which it may not live to remove ---- */

#define MADE_MAX 64

static struct made {
  unsigned count;
  char path[MADE_MAX][256];
} * made;

static void note_made(const char *path) {
  if (path == NULL || strlen(path) >= sizeof made->path[0]) return;
  unsigned at = __atomic_fetch_add(&made->count, 1, __ATOMIC_RELAXED);
  if (at < MADE_MAX) strcpy(made->path[at], path);
}

char *__real_mkdtemp(char *path);
char *__wrap_mkdtemp(char *path);
char *__wrap_mkdtemp(char *path) {
  char *result = __real_mkdtemp(path);
  note_made(result);
  return result;
}

int __real_mkstemp(char *path);
int __wrap_mkstemp(char *path);
int __wrap_mkstemp(char *path) {
  int descriptor = __real_mkstemp(path);
  if (descriptor >= 0) note_made(path);
  return descriptor;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(path);
}

static void remove_made(void) {
  for (unsigned i = 0; i < made->count && i < MADE_MAX; i++) {
    nftw(made->path[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
  }
  made->count = 0;
}

static void *shared_memory(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  return memory;
}

/* What a child has seen, its parent reads. */
static void share_memory(void) {
  made = shared_memory(sizeof *made);
  for (unsigned i = 0; i < file_count; i++) *files[i].seen = shared_memory(files[i].size);
}

/* ---- one test, in a child ---- */

static FILE *answers;
static bool recording;
static unsigned group_first; /* how many tests the groups before this one have */

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);

struct group {
  const char *name;
  const struct CMUnitTest *tests;
  size_t count;
  CMFixtureFunction set_up, tear_down;
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void limit(int resource, rlim_t most) {
  setrlimit(resource, &(struct rlimit){most, resource == RLIMIT_CPU ? most + 2 : most});
}

static _Noreturn void in_child(const struct group *group, size_t test, unsigned cpu_seconds) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, cpu_seconds);
  if (getenv("SUBTOKEN_MUTATION_SHOW") == NULL) {
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
  }
  int failed = __real__cmocka_run_group_tests(group->name, group->tests + test, 1, group->set_up,
                                              group->tear_down);
  fflush(NULL);
  if (recording || getenv("SUBTOKEN_MUTATION_LEAKS") == NULL) _exit(failed != 0);
  exit(failed != 0); /* the leak sanitizer looks at the end, which takes longer than most tests */
}

/* A test that takes longer is not used: on the clock, and of the processor, where run.py says how
 * long. */
#define RECORD_MS 60000
static unsigned record_seconds = 4;

static int64_t ms_of(const struct rusage *used) {
  return (used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1000 +
         (used->ru_utime.tv_usec + used->ru_stime.tv_usec) / 1000;
}

/* ms: how long it may take; seconds: of the processor; used: what it took of that. 'p' passed, 'f'
 * failed, 't' not in time. */
static char run_one(const struct group *group, size_t test, int64_t ms, unsigned seconds,
                    int64_t *used) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) in_child(group, test, seconds);
  setpgid(child, child);
  int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
  struct pollfd wait = {descriptor, POLLIN, 0};
  int ended;
  do ended = poll(&wait, 1, (int)ms);
  while (ended < 0 && errno == EINTR);
  close(descriptor);
  kill(-child, SIGKILL); /* with what it has started */
  int status;
  struct rusage usage = {0};
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  *used = ms_of(&usage);
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
  remove_made();
  if (ended == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)) return 't';
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 'p' : 'f';
}

/* ---- record ---- */

static void tell_seen(void) {
  for (unsigned i = 0; i < file_count; i++) {
    unsigned char *seen = *files[i].seen;
    bool any = false;
    for (unsigned at = 1; at < files[i].size; at++) {
      if (seen[at] == 0) continue;
      if (!any) fprintf(answers, "seen %s ", files[i].path);
      fprintf(answers, any ? ",%u" : "%u", at);
      any = true;
    }
    if (any) fputc('\n', answers);
    memset(seen, 0, files[i].size);
  }
}

static void record(const struct group *group) {
  for (size_t i = 0; i < group->count; i++) {
    int64_t began = now_ms(), used = 0;
    char how = run_one(group, i, RECORD_MS, record_seconds, &used);
    fprintf(answers, "test %u %c %d %d %s\n", group_first + (unsigned)i, how, (int)used,
            (int)(now_ms() - began), group->tests[i].name);
    tell_seen();
    fflush(answers);
  }
}

/* ---- run ---- */

/* `PATH MUTANT TEST:MS:SECONDS...`; the answer is `f TEST`, `t TEST` or `p 0`. Lines of another
 * group wait: the tests of one line are all of one group. */
static void run_line(const struct group *group, char *line) {
  char *rest = line;
  char *path = strsep(&rest, " "), *mutant = strsep(&rest, " "), *one;
  choose(path, (unsigned)strtoul(mutant, NULL, 10));
  char how = 'p';
  unsigned long test = 0;
  while (how == 'p' && (one = strsep(&rest, " \n")) != NULL && *one != '\0') {
    char *colon;
    test = strtoul(one, &colon, 10);
    if (test < group_first || test - group_first >= group->count) continue;
    int64_t used, ms = strtol(colon + 1, &colon, 10);
    how = run_one(group, test - group_first, ms, (unsigned)strtoul(colon + 1, NULL, 10), &used);
  }
  choose(NULL, 0);
  fprintf(answers, "%c %lu\n", how, how == 'p' ? 0 : test);
  fflush(answers);
}

static void run(const struct group *group) {
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) run_line(group, line);
  free(line);
}

int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down) {
  struct group group = {name, tests, count, set_up, tear_down};
  if (recording) {
    record(&group);
  } else {
    run(&group);
  }
  group_first += (unsigned)count;
  return 0;
}

static void run_program(const struct program *program) {
  char *argv[] = {(char *)(uintptr_t)program->name, NULL};
  if (program->main(1, argv) != 0) fprintf(answers, "program ends with a failure\n");
  fflush(answers);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  recording = strcmp(argv[1], "record") == 0;
  const char *seconds = getenv("SUBTOKEN_MUTATION_SECONDS");
  if (seconds != NULL) record_seconds = (unsigned)strtoul(seconds, NULL, 10);
  answers = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 100), "w");
  share_memory();
  for (const struct program *program = st_mutation_programs; program->name != NULL; program++) {
    if (argc > 2 && strcmp(argv[2], program->name) != 0) continue;
    fprintf(answers, "program %s\n", program->name);
    fflush(answers);
    if (recording) {
      pid_t child = fork();
      if (child == 0) {
        run_program(program);
        _exit(0);
      }
      waitpid(child, NULL, 0);
    } else {
      run_program(program);
      _exit(0); /* what this process alone holds is no leak */
    }
  }
  return 0;
}
