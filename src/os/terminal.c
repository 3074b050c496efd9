/* Reads standard input, and a line from a terminal with echo off; says how wide the terminal and
 * what it shows are, and whether standard output takes what must not be lost. What is read is
 * checked in cli/input.c, what is shown laid out in cli/table.c.
 */
#include "os/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "os/error.h"
#include "os/file.h"
#include "subtoken/common.h"

bool st_terminal_read_stdin(void *out, size_t size, size_t *len, char *error) {
  return st_file_read_whole(STDIN_FILENO, "standard input", out, size, len, error);
}

bool st_terminal_is_input(void) {
  return isatty(STDIN_FILENO) == 1;
}

bool st_terminal_is_output(void) {
  return isatty(STDOUT_FILENO) == 1;
}

/* Whoever was to read a pipe may have ended. */
static bool terminal_has_reader(void) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  if (poll(&out, 1, 0) <= 0 || (out.revents & (POLLERR | POLLHUP)) == 0) return true;
  errno = EPIPE;
  return false;
}

bool st_terminal_reserve_output(size_t len, char *error) {
  struct stat status;
  int flags = fcntl(STDOUT_FILENO, F_GETFL);
  bool ready = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
  if (!ready) errno = EBADF; /* closed: process.c has put something there to read */
  if (ready && fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode)) {
    off_t at = (flags & O_APPEND) != 0 ? status.st_size : lseek(STDOUT_FILENO, 0, SEEK_CUR);
    ready = fallocate(STDOUT_FILENO, FALLOC_FL_KEEP_SIZE, at, (off_t)len) == 0 ||
            (errno != ENOSPC && errno != EDQUOT && errno != EFBIG); /* others know of no room */
  }
  (void)signal(SIGPIPE, SIG_IGN);
  ready = ready && terminal_has_reader();
  return ready || st_error_set(error, "cannot write to standard output: %m");
}

/* The reason for what was lost earlier is in no errno any more. */
bool st_terminal_flush_output(char *error) {
  errno = 0;
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return true;
  if (errno == 0)
    return st_error_set(error, "cannot write to standard output: a part of it is lost");
  return st_error_set(error, "cannot write to standard output: %m");
}

size_t st_terminal_width(void) {
  struct winsize size = {0};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* The locale of the environment is not asked: names are UTF-8 whatever it says. */
size_t st_terminal_columns_of(uint32_t code) {
  static locale_t utf8;
  if (utf8 == (locale_t)0) utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  if (utf8 == (locale_t)0) return 1;
  locale_t before = uselocale(utf8);
  int columns = wcwidth((wchar_t)code);
  (void)uselocale(before);
  return columns < 0 ? 1 : (size_t)columns;
}

static struct termios terminal_before; /* as it was before echo was turned off */

/* Both calls are allowed in a signal handler. The handler was set for one signal only: the one that
 * it raises here ends the process when it returns.
 */
static void terminal_on_signal(int number) {
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  (void)raise(number);
}

static const int ending_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

#define ENDING_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

static bool terminal_hide_input(struct sigaction old[ENDING_SIGNALS]) {
  struct sigaction handler = {.sa_handler = terminal_on_signal, .sa_flags = (int)SA_RESETHAND};
  if (tcgetattr(STDIN_FILENO, &terminal_before) != 0) return false;
  for (size_t i = 0; i < ENDING_SIGNALS; i++) {
    (void)sigaction(ending_signals[i], NULL, &old[i]);
    if (old[i].sa_handler != SIG_IGN) (void)sigaction(ending_signals[i], &handler, NULL);
  }
  struct termios hidden = terminal_before;
  hidden.c_lflag = (hidden.c_lflag | ICANON) & ~(tcflag_t)ECHO;
  return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
}

static void terminal_show_input(const struct sigaction old[ENDING_SIGNALS]) {
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
  for (size_t i = 0; i < ENDING_SIGNALS; i++) (void)sigaction(ending_signals[i], &old[i], NULL);
}

/* Up to the end of the line, or of all. */
static bool terminal_read_line(uint8_t *out, size_t size, size_t *len, char *error) {
  for (*len = 0;;) {
    uint8_t c;
    ssize_t got = read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return st_error_set(error, "cannot read the terminal: %m");
    if (got == 0 || c == '\n') return true;
    if (*len == size) return st_error_set(error, "the line is longer than %zu bytes", size);
    out[(*len)++] = c;
  }
}

bool st_terminal_ask(const char *prompt, void *out, size_t size, size_t *len, char *error) {
  struct sigaction old[ENDING_SIGNALS];
  *len = 0;
  if (!terminal_hide_input(old)) {
    return st_error_set(error, "cannot turn off the echo of the terminal: %m");
  }
  (void)fputs(prompt, stderr);
  bool ok = terminal_read_line(out, size, len, error);
  (void)fputc('\n', stderr);
  terminal_show_input(old);
  if (!ok) {
    subtoken_wipe(out, size);
    *len = 0;
  }
  return ok;
}
