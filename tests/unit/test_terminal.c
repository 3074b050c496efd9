/* What a command asks of a person: at a terminal of the test's own, whose other end the test has.
 * It is asked in a child, so that the test's own standard streams stay as they are.
 */
#include "file_fixture.h"

#include "failing.h"

#include <errno.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>

#include "os/terminal.h"

#define PROMPT "Password: "
#define WAIT_MS 60000

static int person = -1, other_end = -1; /* of the terminal */
static char shown[1024];                /* since it was opened */

static int open_terminal(void **state) {
  if (make_home(state) != 0) return -1;
  memset(shown, 0, sizeof shown);
  person = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (person < 0 || grantpt(person) != 0 || unlockpt(person) != 0) return -1;
  other_end = open(ptsname(person), O_RDWR | O_NOCTTY | O_CLOEXEC);
  return other_end >= 0 ? 0 : -1;
}

static int close_terminal(void **state) {
  close(person);
  close(other_end);
  return remove_home(state);
}

/* Until the text is shown. */
static void wait_for(const char *text) {
  size_t len = strlen(shown);
  while (strstr(shown, text) == NULL) {
    struct pollfd more = {.fd = person, .events = POLLIN};
    ssize_t got =
        poll(&more, 1, WAIT_MS) == 1 ? read(person, shown + len, sizeof shown - 1 - len) : 0;
    if (got <= 0) fail_msg("\"%s\" is not shown, but: %s", text, shown);
    len += (size_t)got;
    shown[len] = '\0';
  }
}

static void type(const char *text) {
  assert_int_equal(write(person, text, strlen(text)), strlen(text));
}

static bool echoes(void) {
  struct termios now;
  assert_int_equal(tcgetattr(other_end, &now), 0);
  return (now.c_lflag & ECHO) != 0;
}

static void use_terminal(void) {
  const struct rlimit none = {0, 0};
  REQUIRE(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && setrlimit(RLIMIT_CORE, &none) == 0);
  for (int fd = 0; fd <= 2; fd++) REQUIRE(dup2(other_end, fd) == fd);
  REQUIRE(close(person) == 0);
  (void)alarm(60); /* who asks waits for as long as nobody types */
}

/* What a child is asked: len bytes of answer, or an error that has these words. */
static pid_t ask(size_t size, const char *answer, const char *words) {
  pid_t child = fork();
  if (child != 0) return child;
  static char out[64], none[64];
  size_t len = 77;
  use_terminal();
  bool ok = st_terminal_ask(PROMPT, out, size, &len, error);
  REQUIRE(ok == (words == NULL));
  if (ok) REQUIRE(len == strlen(answer) && memcmp(out, answer, len) == 0);
  if (!ok) REQUIRE(len == 0 && memcmp(out, none, sizeof none) == 0 && strstr(error, words) != NULL);
  _exit(0);
}

static void a_secret_is_typed_unseen(void **state) {
  (void)state;
  static const struct {
    const char *typed, *answer;
    size_t size;
    const char *words;
  } rows[] = {
      {"secret\n", "secret", 6, NULL},
      {"\n", "", 6, NULL},
      {"sec\004ret\n", "secret", 64, NULL}, /* no end of input in the middle */
      {"\004", "", 6, NULL},                /* nor an answer at the end of it */
      {"secret\n", NULL, 5, "longer than 5 bytes"},
  };
  assert_true(echoes());
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    memset(shown, 0, sizeof shown);
    pid_t child = ask(rows[i].size, rows[i].answer, rows[i].words);
    wait_for(PROMPT);
    assert_false(echoes());
    type(rows[i].typed);
    wait_for("\n");
    assert_child(child);
    assert_true(echoes());
    assert_null(strstr(shown, "sec"));
    assert_int_equal(tcflush(other_end, TCIFLUSH), 0);
  }
}

/* Whoever is ended while the echo is off turns it on again. */
static void a_signal_shows_again_what_is_typed(void **state) {
  (void)state;
  static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    int status = 0;
    memset(shown, 0, sizeof shown);
    pid_t child = ask(64, "", NULL);
    wait_for(PROMPT);
    assert_false(echoes());
    assert_int_equal(kill(child, signals[i]), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
    assert_true(echoes());
  }
}

/* As under nohup(1). */
static void a_signal_that_is_ignored_stays_so(void **state) {
  (void)state;
  const struct sigaction ignore = {.sa_handler = SIG_IGN}, usual = {.sa_handler = SIG_DFL};
  assert_int_equal(sigaction(SIGHUP, &ignore, NULL), 0);
  pid_t child = ask(64, "secret", NULL);
  assert_int_equal(sigaction(SIGHUP, &usual, NULL), 0);
  wait_for(PROMPT);
  assert_int_equal(kill(child, SIGHUP), 0);
  type("secret\n");
  assert_child(child);
  assert_true(echoes());
}

static void a_terminal_that_fails_is_told(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    char out[8];
    size_t len = 77;
    use_terminal();
    failing_begin(FAIL_FILES, 1); /* the read */
    REQUIRE(!st_terminal_ask(PROMPT, out, sizeof out, &len, error));
    REQUIRE(failing_end() && strstr(error, "cannot read the terminal") != NULL && len == 0);
    failing_begin(FAIL_SIGNALS, 1);
    REQUIRE(st_terminal_ask("Again: ", out, sizeof out, &len, error));
    REQUIRE(failing_end() && len == 3);
    int end[2];
    REQUIRE(pipe(end) == 0 && dup2(end[0], 0) == 0);
    REQUIRE(!st_terminal_ask(PROMPT, out, sizeof out, &len, error));
    REQUIRE(strstr(error, "cannot turn off the echo") != NULL && len == 0);
    _exit(0);
  }
  wait_for("Again: ");
  assert_false(echoes());
  type("one\n");
  assert_child(child);
  assert_true(echoes());
}

static void a_terminal_is_told_from_other_files(void **state) {
  (void)state;
  const struct winsize size = {.ws_row = 40, .ws_col = 132};
  assert_int_equal(ioctl(person, TIOCSWINSZ, &size), 0);
  pid_t child = fork();
  if (child == 0) {
    int end[2];
    use_terminal();
    REQUIRE(st_terminal_is_input() && st_terminal_is_output());
    REQUIRE(st_terminal_width() == 132);
    REQUIRE(pipe(end) == 0 && dup2(end[0], 0) == 0 && dup2(end[1], 1) == 1);
    REQUIRE(!st_terminal_is_input() && !st_terminal_is_output());
    REQUIRE(st_terminal_width() == 0);
    _exit(0);
  }
  assert_child(child);
}

static void characters_are_as_wide_as_they_are_shown(void **state) {
  (void)state;
  assert_int_equal(st_terminal_columns_of('a'), 1);
  assert_int_equal(st_terminal_columns_of(0xe9), 1);   /* e with an accent */
  assert_int_equal(st_terminal_columns_of(0x301), 0);  /* the accent alone */
  assert_int_equal(st_terminal_columns_of(0x4e2d), 2); /* Chinese */
  assert_int_equal(st_terminal_columns_of(7), 1);      /* shown as something else, if at all */
}

#define AT_TERMINAL(name) cmocka_unit_test_setup_teardown(name, open_terminal, close_terminal)

/* Of what takes its place meanwhile; the test's own is back afterwards. */
static bool reserved_on(const char *name, int how) {
  int own = dup(STDOUT_FILENO), fd = open(name, how | O_CLOEXEC, 0600);
  assert_true(own >= 0 && fd >= 0);
  assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
  bool good = st_terminal_reserve_output(5000, error);
  assert_int_equal(dup2(own, STDOUT_FILENO), STDOUT_FILENO);
  close(own);
  close(fd);
  return good;
}

static void room_for_what_is_printed_once_is_taken_before(void **state) {
  (void)state;
  struct stat status;
  for (int append = 0; append < 2; append++) {
    assert_true(reserved_on(path, O_WRONLY | O_CREAT | (append ? O_APPEND : 0)));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_true(status.st_blocks * 512 >= 5000);
  }
  assert_true(reserved_on("/dev/full", O_WRONLY)); /* of a device that is not known */
  assert_false(reserved_on(path, O_RDONLY));
  assert_string_equal(error, "cannot write to standard output: Bad file descriptor");
  int ends[2];
  char name[40];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  snprintf(name, sizeof name, "/dev/fd/%d", ends[1]);
  assert_true(reserved_on(name, O_WRONLY));
  close(ends[0]);
  assert_false(reserved_on(name, O_WRONLY));
  assert_string_equal(error, "cannot write to standard output: Broken pipe");
  close(ends[1]);
}

/* Of what is printed to one and, when stdio's buffer was written, to the other. */
static bool flushed_on(const char *first, const char *then) {
  int own = dup(STDOUT_FILENO), begins = open(first, O_WRONLY | O_CLOEXEC),
      ends = open(then, O_WRONLY | O_CLOEXEC);
  assert_true(own >= 0 && begins >= 0 && ends >= 0);
  fflush(stdout);
  dup2(begins, STDOUT_FILENO);
  for (int i = 0; i < 100000; i++) putchar('x');
  dup2(ends, STDOUT_FILENO);
  errno = 0;
  bool good = st_terminal_flush_output(error);
  __fpurge(stdout);
  clearerr(stdout);
  dup2(own, STDOUT_FILENO);
  close(own);
  close(begins);
  close(ends);
  return good;
}

static void what_was_printed_and_is_lost_has_a_reason(void **state) {
  (void)state;
  error[0] = '\0';
  assert_true(flushed_on("/dev/null", "/dev/null"));
  assert_string_equal(error, "");
  assert_false(flushed_on("/dev/null", "/dev/full"));
  assert_string_equal(error, "cannot write to standard output: No space left on device");
  assert_false(flushed_on("/dev/full", "/dev/null"));
  assert_string_equal(error, "cannot write to standard output: a part of it is lost");
}

int main(void) {
  /* Who starts this may ignore some, as a shell does for what runs in the background. */
  static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
  for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) (void)signal(ending[i], SIG_DFL);
  const struct CMUnitTest tests[] = {
      AT_TERMINAL(a_secret_is_typed_unseen),
      AT_TERMINAL(a_signal_shows_again_what_is_typed),
      AT_TERMINAL(a_signal_that_is_ignored_stays_so),
      AT_TERMINAL(a_terminal_that_fails_is_told),
      AT_TERMINAL(a_terminal_is_told_from_other_files),
      cmocka_unit_test_setup_teardown(room_for_what_is_printed_once_is_taken_before, make_home,
                                      remove_home),
      cmocka_unit_test(what_was_printed_and_is_lost_has_a_reason),
      cmocka_unit_test(characters_are_as_wide_as_they_are_shown),
  };
  return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
