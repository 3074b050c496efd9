/* command_fixture - commands in a process of their own, with what they read and print, over one
 * DATA directory of the test file (home_fixture.h). For what a process sees of others: tests/e2e.
 */
#ifndef TESTS_UNIT_COMMAND_FIXTURE_H
#define TESTS_UNIT_COMMAND_FIXTURE_H

#include "failing.h"
#include "home_fixture.h"
#include "support.h"

#include <execinfo.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cli/commands.h"
#include "cli/options.h"

#define COMMAND_ROW(name, summary) {#name, st_cmd_##name, summary},
static const st_command commands[] = {ST_COMMANDS(COMMAND_ROW){0}};

/* What the last command did. */
static struct {
  int code; /* -1: it was killed */
  bool failed;
  char out[1 << 18], err[1 << 16];
} ran;

/* Where in a command calls are that can fail: the number of the first one of each place, which is
 * the functions below st_options_run_command, so many of them.
 */
enum { PLACES_MAX = 4096, PLACE_DEPTH = 8 };
static struct {
  size_t count, base;
  long calls, numbers[PLACES_MAX];
  uint64_t hashes[PLACES_MAX];
} * places; /* shared with the process of the command */

static inline void note_place(unsigned what) {
  (void)what;
  void *stack[64];
  size_t depth = (size_t)backtrace(stack, 64);
  uint64_t hash = 14695981039346656037U;
  places->calls++;
  for (size_t i = 1; i <= PLACE_DEPTH && depth > places->base + i; i++) {
    hash = (hash ^ (uintptr_t)stack[depth - places->base - i]) * 1099511628211U;
  }
  for (size_t i = 0; i < places->count; i++) {
    if (places->hashes[i] == hash) return;
  }
  if (places->count == PLACES_MAX) return;
  places->hashes[places->count] = hash;
  places->numbers[places->count++] = places->calls;
}

/* The words of a line, in which @NAME is a file of home. */
static inline int split_command(const char *line, char *words[32]) {
  static char room[4096];
  static char names[32][400];
  int count = 0;
  snprintf(room, sizeof room, "%s", line);
  for (char *word = strtok(room, " "); word != NULL && count < 31; word = strtok(NULL, " ")) {
    bool file = word[0] == '@';
    if (file) snprintf(names[count], sizeof names[0], "%s/%s", home, word + 1);
    words[count] = file ? names[count] : word;
    count++;
  }
  words[count] = NULL;
  return count;
}

static inline void read_whole(const char *name, char *to, size_t size) {
  int fd = __real_open(in_home(name), O_RDONLY | O_CLOEXEC);
  size_t len = 0;
  ssize_t n = 0;
  while (fd >= 0 && len < size - 1 && (n = __real_read(fd, to + len, size - 1 - len)) > 0) {
    len += (size_t)n;
  }
  to[len] = '\0';
  if (fd >= 0) close(fd);
}

static inline void redirect(int to, const char *name, int flags) {
  int fd = __real_open(name, flags | O_CLOEXEC, 0600);
  if (fd < 0 || dup2(fd, to) < 0) _exit(99);
  close(fd);
}

/* The last frame of the stack at the start, and what is above it, is the test's. */
static void __attribute__((noinline))
be_command(char **words, int count, unsigned kinds, long nth) {
  void *stack[64];
  places->base = (size_t)backtrace(stack, 64);
  if (kinds != 0) failing_begin(kinds, nth);
  int code = st_options_run_command(commands, "subtoken", count, words);
  bool failed = kinds != 0 && failing_end();
  fflush(stdout);
  /* Whether something leaks is looked for where something failed: it takes as long as a command. */
  if (failed) exit(code | 64);
  _exit(code);
}

/* Runs a line with this standard input, and the Nth call of these kinds failing; kinds 0: none. */
static inline int run_failing(const char *line, const char *input, const char *out, unsigned kinds,
                              long nth) {
  char *words[32], name[400], error_name[100];
  int status, count = split_command(line, words);
  snprintf(error_name, sizeof error_name, "%s.err", out[0] == '/' ? "full" : out);
  put_in_home("stdin", input, 0600);
  fflush(NULL);
  pid_t (*volatile make)(void) = fork; /* gcc would write down here what was run so far */
  pid_t pid = make();
  assert_true(pid >= 0);
  if (pid == 0) {
    redirect(0, in_home("stdin"), O_RDONLY);
    snprintf(name, sizeof name, "%s", out[0] == '/' ? out : in_home(out));
    redirect(1, name, O_WRONLY | O_CREAT | O_TRUNC);
    redirect(2, in_home(error_name), O_WRONLY | O_CREAT | O_TRUNC);
    be_command(words, count, kinds, nth);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) & ~64 : -1;
  ran.failed = WIFEXITED(status) && (WEXITSTATUS(status) & 64) != 0;
  if (out[0] != '/') read_whole(out, ran.out, sizeof ran.out);
  read_whole(error_name, ran.err, sizeof ran.err);
  return ran.code;
}

static inline int run(const char *line, const char *input) {
  return run_failing(line, input, "stdout", 0, 0);
}

static inline void run_well(const char *line, const char *input) {
  CHECK(run(line, input) == 0, "%s: %d: %s", line, ran.code, ran.err);
}

static inline int make_commands_home(void) {
  char path[300];
  if (make_home_with("var", path) != 0) return -1;
  setenv("SUBTOKEN_DATA", path, 1);
  places = mmap(NULL, sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return places != MAP_FAILED ? 0 : -1;
}

#endif
