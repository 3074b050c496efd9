/* The end of a log that nobody reads any more. It is started once in a process: here in a child. */
#include "file_fixture.h"

#include <poll.h>

#include "os/clock.h"
#include "os/log.h"

enum { SENT = 2000 };

static int64_t count_lines_of(int fd) {
  static char text[1 << 20];
  int64_t count = 0;
  for (ssize_t n; (n = read(fd, text, sizeof text)) > 0;) {
    for (ssize_t i = 0; i < n; i++) count += text[i] == '\n';
  }
  return count;
}

/* A reader that went to sleep holds up the end of the process for a moment, once: what it does not
 * take is lost, and counted.
 */
static void a_reader_that_sleeps_holds_up_no_end(void **state) {
  (void)state;
  assert_int_equal(mkfifo(path, 0600), 0);
  pid_t child = fork();
  if (child == 0) {
    static st_log_count counts[ST_LOG_EVENTS_MAX];
    int64_t lost = 0;
    int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd room = {.fd = open(path, O_WRONLY | O_CLOEXEC), .events = POLLOUT};
    REQUIRE(in >= 0 && room.fd >= 0);
    REQUIRE(st_log_start(path, error));
    for (int i = 0; i < SENT / 2; i++) st_log_event("event", "0123456789012345678901234567890");
    while (poll(&room, 1, 0) != 0) usleep(1000); /* until the log's thread waits for room */
    for (int i = 0; i < SENT / 2; i++) st_log_event("event", "0123456789012345678901234567890");
    int64_t began = st_clock_monotonic_us();
    st_log_stop();
    REQUIRE(st_clock_monotonic_us() - began < 20 * INT64_C(1000000));
    (void)st_log_counts(counts, &lost);
    int64_t came = count_lines_of(in);
    REQUIRE(came > 100 && lost > 100);
    REQUIRE(came + lost == SENT);
    _exit(0);
  }
  assert_child(child);
}

/* What was logged is written, also what came while the rest was. */
static void an_end_waits_for_a_reader_that_reads(void **state) {
  (void)state;
  assert_int_equal(mkfifo(path, 0600), 0);
  int in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  assert_true(in >= 0 && fcntl(in, F_SETFL, 0) == 0);
  pid_t child = fork();
  if (child == 0) {
    REQUIRE(st_log_start(path, error));
    for (int i = 0; i < SENT; i++) st_log_event("event", "0123456789012345678901234567890");
    st_log_stop();
    _exit(0);
  }
  struct pollfd begun = {.fd = in, .events = POLLIN};
  assert_int_equal(poll(&begun, 1, 60000), 1);
  assert_int_equal(count_lines_of(in), SENT);
  close(in);
  assert_child(child);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_reader_that_sleeps_holds_up_no_end),
      TEST(an_end_waits_for_a_reader_that_reads),
  };
  return cmocka_run_group_tests_name("log stop", tests, NULL, NULL);
}
