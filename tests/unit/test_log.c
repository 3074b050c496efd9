/* log: one line an event, whatever it holds; what is lost is counted. */
#include "support.h"

#include "failing.h"

#include "log_fixture.h"

#include <fcntl.h>

#include "os/clock.h"
#include "os/file.h"

static int set_up(void **state) {
  (void)state;
  start_over();
  return 0;
}

static void an_event_is_one_line(void **state) {
  (void)state;
  st_log_event("started", "on \"127.0.0.1\"\n");
  st_log_event("timeout", NULL);
  wait_for_lines(path, 2);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "event"), "started");
  assert_string_equal(string_of(line, "detail"), "on \"127.0.0.1\"\n");
  assert_int_equal(strlen(string_of(line, "time")), 20);
  cJSON_Delete(line);
  line = line_at(1);
  assert_false(cJSON_HasObjectItem(line, "detail"));
  cJSON_Delete(line);
}

/* ---- lines that are lost ---- */

static void check_dropped(const char *name, size_t at, int count) {
  wait_for_lines(name, at + 1);
  cJSON *line = line_at(at);
  assert_string_equal(string_of(line, "event"), "log_dropped");
  CHECK(number_of(line, "count") == count, "%g, not %d", number_of(line, "count"), count);
  cJSON_Delete(line);
}

/* A line that is too long for one is not cut into something that is no JSON. */
static void a_line_that_is_too_long_is_counted(void **state) {
  (void)state;
  static char detail[2 * ST_LOG_LINE_MAX];
  memset(detail, 'x', sizeof detail - 1);
  st_log_event("event", detail);
  st_log_event("after", NULL);
  check_dropped(path, 1, 1);
  cJSON *line = line_at(0);
  assert_string_equal(string_of(line, "event"), "after");
  cJSON_Delete(line);
}

/* Since the start: what the metrics show. */
static int64_t lost_lines(void) {
  static st_log_count counts[ST_LOG_EVENTS_MAX];
  int64_t lost = 0;
  (void)st_log_counts(counts, &lost);
  return lost;
}

static void wait_until_lost(int64_t count) {
  for (int waited = 0; waited < WAIT_MS && lost_lines() < count; waited++) usleep(1000);
  assert_int_equal(lost_lines(), count);
}

/* A full disk: served on, and told when there is room again. */
static void lines_lost_on_a_full_disk_are_counted(void **state) {
  (void)state;
  int64_t before = lost_lines();
  assert_true(reopen("/dev/full"));
  for (int64_t n = 1; n <= 5; n++) { /* each with the line about those before it */
    st_log_event("lost", NULL);
    wait_until_lost(before + n);
  }
  start_over();
  st_log_event("kept", NULL);
  check_dropped(path, 1, 5);
  assert_null(strstr(log_text, "lost"));
  assert_int_equal(lost_lines(), before + 5);
}

enum { SENT = 40000 };
static char fifo_text[SENT * 128];

static size_t drain(int fd, int wait_ms) {
  size_t len = 0;
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  while (poll(&waiting, 1, wait_ms) > 0) {
    ssize_t n = read(fd, fifo_text + len, sizeof fifo_text - 1 - len);
    if (n <= 0) break;
    len += (size_t)n;
  }
  fifo_text[len] = '\0';
  return len;
}

/* Lines that are there, and lines of which the log says that they are not. */
static void tally(const char *lines, size_t *came, size_t *lost) {
  static const char told[] = "\"log_dropped\",\"count\":";
  for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
    const char *count = strstr(lines, told);
    if (count != NULL && count < end) {
      *lost += strtoul(count + sizeof told - 1, NULL, 10);
    } else {
      ++*came;
    }
  }
}

/* A reader that does not read: what fits is kept, the rest counted, nobody waits. */
static void a_slow_reader_holds_up_nobody(void **state) {
  (void)state;
  char fifo[120];
  snprintf(fifo, sizeof fifo, "%s/fifo", dir);
  assert_int_equal(mkfifo(fifo, 0600), 0);
  int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_true(reopen(fifo));
  int64_t began = st_clock_monotonic_us();
  for (int i = 0; i < SENT; i++) st_log_event("event", "0123456789012345678901234567890");
  assert_true(st_clock_monotonic_us() - began < 5 * INT64_C(1000000));
  size_t came = 0, lost = 0;
  (void)drain(fd, 500);
  tally(fifo_text, &came, &lost);
  assert_true(came > 1000 && came < SENT);
  start_over();
  st_log_event("after", NULL);
  /* While it was drained there may have been room for telling, there or only here. */
  size_t came_here = 0, lost_here = 0;
  for (int waited = 0; waited < WAIT_MS; waited++) {
    came_here = lost_here = 0;
    (void)read_file(path);
    tally(log_text, &came_here, &lost_here);
    if (came_here == 1 && came + lost + lost_here == SENT) break;
    poll(NULL, 0, 1);
  }
  CHECK(came_here == 1 && came + lost + lost_here == SENT,
        "%zu came and %zu were lost, then %zu and %zu", came, lost, came_here, lost_here);
  close(fd);
  unlink(fifo);
}

/* What is cut short has an end before the next line, also when a signal comes just then. */
static void a_line_that_was_cut_short_ends_before_the_next(void **state) {
  (void)state;
  for (long burst = 0; burst <= 1; burst++) {
    start_over();
    failing_begin(FAIL_SIGNALS, 1);
    atomic_store(&failing.burst, burst);
    atomic_store(&failing.everywhere, true);
    st_log_event("torn", NULL); /* half of it is written */
    for (int waited = 0; waited < WAIT_MS && atomic_load(&failing.failed) == 0; waited++) {
      poll(NULL, 0, 1);
    }
    st_log_event("after", NULL);
    check_dropped(path, 2, 1);
    assert_true(failing_end());
    cJSON *line = line_at(1);
    assert_string_equal(string_of(line, "event"), "after");
    cJSON_Delete(line);
  }
}

/* An end that cannot be written either is written before the next line that can. */
static void the_end_of_a_torn_line_is_tried_again(void **state) {
  (void)state;
  int64_t before = lost_lines();
  failing_begin(FAIL_SIGNALS, 1);
  atomic_store(&failing.everywhere, true);
  st_log_event("torn", NULL);
  wait_until_lost(before + 1);
  assert_true(failing_end());
  failing_begin(FAIL_FILES, 3); /* behind the two polls of the log's thread */
  atomic_store(&failing.everywhere, true);
  st_log_event("lost", NULL);
  wait_until_lost(before + 2);
  assert_true(failing_end());
  st_log_event("after", NULL);
  check_dropped(path, 2, 2);
  cJSON *line = line_at(1);
  assert_string_equal(string_of(line, "event"), "after");
  cJSON_Delete(line);
}

/* The places for counts are bounded; what has none is counted together. */
static void events_beyond_the_last_place_are_counted_together(void **state) {
  (void)state;
  static char names[2 * ST_LOG_EVENTS_MAX][16];
  static st_log_count counts[ST_LOG_EVENTS_MAX];
  int64_t lost = 0;
  for (size_t i = 0; i < COUNT(names); i++) {
    snprintf(names[i], sizeof names[i], "event %zu", i);
    st_log_count_from_zero(names[i]);
  }
  for (size_t i = 0; i < COUNT(names); i++) st_log_event(names[i], NULL);
  assert_int_equal(st_log_counts(counts, &lost), ST_LOG_EVENTS_MAX);
  assert_string_equal(counts[ST_LOG_EVENTS_MAX - 1].event, "other");
  assert_true(counts[ST_LOG_EVENTS_MAX - 1].count > ST_LOG_EVENTS_MAX);
  wait_for_lines(path, COUNT(names));
}

/* ---- reopening ---- */

static void a_log_is_reopened_under_its_name(void **state) {
  (void)state;
  st_log_event("first", NULL);
  wait_for_lines(path, 1);
  assert_int_equal(rename(path, other_path), 0); /* as logrotate does */
  st_log_event("second", NULL);
  wait_for_lines(other_path, 2);
  assert_true(reopen(path));
  st_log_event("third", NULL);
  wait_for_lines(path, 1);
  assert_non_null(strstr(log_text, "third"));
  wait_for_lines(other_path, 2);
  /* Appends: what is there is not cut. */
  assert_true(reopen(other_path));
  st_log_event("fourth", NULL);
  wait_for_lines(other_path, 3);
  struct stat status;
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0640 & ~umask(0));
}

static void a_log_that_cannot_be_reopened_stays(void **state) {
  (void)state;
  char missing[120];
  snprintf(missing, sizeof missing, "%s/missing/log", dir);
  assert_false(reopen(missing));
  assert_non_null(strstr(error, missing));
  assert_false(reopen(dir));
  int file;
  assert_true(st_log_open(other_path, &file, error));
  st_log_use(file, false);          /* thought better of it */
  st_log_event("still here", NULL); /* in the file that was open */
  wait_for_lines(path, 1);
  assert_null(strstr(log_text, "missing"));
  assert_int_equal(count_lines(read_file(other_path)), 3); /* of the test before */
}

/* A descriptor may be in use for a moment, and a call be interrupted. */
static void a_log_is_moved_for_certain_or_stays(void **state) {
  (void)state;
  static const struct {
    unsigned kind;
    int code;
    bool moves;
  } rows[] = {{FAIL_SIGNALS, 0, true}, {FAIL_FILES, 0, true}, {FAIL_FILES, EBADF, false}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    int file = -1;
    start_over();
    unlink(other_path);
    failing_begin(FAIL_SIGNALS, 1); /* of the open */
    assert_true(st_log_open(other_path, &file, error));
    assert_true(failing_end());
    failing_files = rows[i].code;
    failing_begin(rows[i].kind, 1);
    atomic_store(&failing.burst, rows[i].moves ? 3 : 0);
    st_log_use(file, true);
    assert_true(failing_end());
    failing_files = 0;
    st_log_event("here", NULL);
    wait_for_lines(rows[i].moves ? other_path : path, 1);
  }
}

/* ---- start and stop ---- */

/* What was logged before the end is in the file at the end. */
static void a_log_starts_or_says_why_not(void **state) {
  (void)state;
  failing_begin(FAIL_THREADS, 1);
  assert_false(st_log_start(other_path, error));
  assert_true(failing_end());
  assert_non_null(strstr(error, "thread"));
  failing_begin(FAIL_FILES, 1);
  assert_false(st_log_start(other_path, error));
  assert_true(failing_end());
  assert_non_null(strstr(error, other_path));
}

/* What standard error leads to is left as it is. */
static void standard_error_is_a_log_too(void **state) {
  (void)state;
  int file = -1, flags = fcntl(STDERR_FILENO, F_GETFL);
  assert_true(st_log_open("", &file, error));
  assert_true(file > STDERR_FILENO);
  st_log_use(file, false);
  assert_int_equal(fcntl(STDERR_FILENO, F_GETFL), flags);
}

static void stopping_writes_what_is_left(void **state) {
  (void)state;
  for (int i = 0; i < 500; i++) st_log_event("last", NULL);
  st_log_stop();
  assert_int_equal(count_lines(read_file(path)), 500);
  st_log_stop(); /* once is enough, twice no harm */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(an_event_is_one_line, set_up),
      cmocka_unit_test_setup(a_line_that_is_too_long_is_counted, set_up),
      cmocka_unit_test_setup(lines_lost_on_a_full_disk_are_counted, set_up),
      cmocka_unit_test_setup(a_slow_reader_holds_up_nobody, set_up),
      cmocka_unit_test_setup(a_line_that_was_cut_short_ends_before_the_next, set_up),
      cmocka_unit_test_setup(the_end_of_a_torn_line_is_tried_again, set_up),
      cmocka_unit_test_setup(events_beyond_the_last_place_are_counted_together, set_up),
      cmocka_unit_test_setup(a_log_is_reopened_under_its_name, set_up),
      cmocka_unit_test_setup(a_log_that_cannot_be_reopened_stays, set_up),
      cmocka_unit_test_setup(a_log_is_moved_for_certain_or_stays, set_up),
      cmocka_unit_test_setup(standard_error_is_a_log_too, set_up),
      cmocka_unit_test_setup(stopping_writes_what_is_left, set_up),
      cmocka_unit_test(a_log_starts_or_says_why_not),
  };
  return cmocka_run_group_tests_name("log", tests, start, end);
}
