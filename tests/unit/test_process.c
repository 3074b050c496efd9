/* The clocks, randomness, the process itself and its standard input. */
#include "file_fixture.h"

#include "failing.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "os/clock.h"
#include "os/process.h"
#include "os/random.h"
#include "os/secret_memory.h"
#include "os/terminal.h"

static void clocks_go_forward(void **state) {
  (void)state;
  time_t before = time(NULL);
  int64_t now = st_clock_now();
  int64_t start = st_clock_monotonic_us();
  struct timespec pause = {0, 20000000};
  assert_in_range(now, before, time(NULL));
  nanosleep(&pause, NULL);
  assert_in_range(st_clock_monotonic_us() - start, 20000, 10000000);
}

/* In place of libc's. */
static bool getrandom_fails;
static int getrandom_signals; /* so many calls are interrupted */

ssize_t getrandom(void *buffer, size_t len, unsigned flags) {
  if (getrandom_signals > 0) {
    getrandom_signals--;
    errno = EINTR;
    return -1;
  }
  if (!getrandom_fails) return syscall(SYS_getrandom, buffer, len, flags);
  errno = ENOSYS;
  return -1;
}

static void random_bytes_are_other_ones_each_time(void **state) {
  (void)state;
  static uint8_t a[100000], b[100000];
  unsigned seen[256] = {0};
  st_random_fill(a, sizeof a);
  st_random_fill(b, sizeof b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_memory_not_equal(a + sizeof a - 32, b + sizeof b - 32, 32); /* filled to the end */
  for (size_t i = 0; i < sizeof a; i++) {
    seen[a[i]]++;
  }
  for (size_t i = 0; i < 256; i++) {
    assert_in_range(seen[i], 200, 600);
  }
  b[0] = 7;
  st_random_fill(b, 0);
  assert_int_equal(b[0], 7);
  getrandom_signals = 3;
  st_random_fill(b, sizeof b);
  assert_int_equal(getrandom_signals, 0);
  assert_memory_not_equal(a, b, sizeof a);
}

static void without_the_call_random_bytes_come_from_the_device(void **state) {
  (void)state;
  static uint8_t a[1000], b[1000];
  getrandom_fails = true;
  st_random_fill(a, sizeof a);
  st_random_fill(b, sizeof b);
  getrandom_fails = false;
  assert_memory_not_equal(a, b, sizeof a);
  assert_memory_not_equal(a + sizeof a - 32, b + sizeof b - 32, 32);
}

static void without_random_bytes_the_process_ends(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    const struct rlimit none = {0, 0};
    uint8_t out[8];
    getrandom_fails = true;
    (void)setrlimit(RLIMIT_NOFILE, &none); /* the device cannot be opened */
    st_random_fill(out, sizeof out);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 3);
}

/* A device that is there, and does not give all, or is interrupted; or is none. */
static void the_device_gives_all_or_the_process_ends(void **state) {
  (void)state;
  uint8_t out[64], none[64] = {0};
  for (long nth = 1; nth <= 2; nth++) { /* the open, the read */
    memset(out, 0, sizeof out);
    failing_begin(FAIL_SIGNALS, nth);
    getrandom_fails = true;
    st_random_fill(out, sizeof out);
    getrandom_fails = false;
    assert_true(failing_end());
    assert_memory_not_equal(out, none, sizeof out);
    assert_memory_not_equal(out + 32, none, 32);
  }
  for (long nth = 1; nth <= 3; nth++) { /* the open, its kind, the read */
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
      getrandom_fails = true;
      failing_begin(FAIL_FILES, nth);
      st_random_fill(out, sizeof out);
      _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
  }
}

static void processors_are_those_that_may_be_used(void **state) {
  (void)state;
  cpu_set_t all, one;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  assert_int_equal(st_process_processors(), CPU_COUNT(&all));
  CPU_ZERO(&one);
  for (size_t i = 0; CPU_COUNT(&one) == 0; i++) {
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  }
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(st_process_processors(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void secret_memory_is_zeros_or_not_there(void **state) {
  (void)state;
  static const uint8_t none[5000];
  void *memory = st_secret_memory_alloc(sizeof none);
  assert_non_null(memory);
  assert_memory_equal(memory, none, sizeof none);
  st_secret_memory_free(memory, sizeof none);
  assert_null(st_secret_memory_alloc(SIZE_MAX / 2));
  st_secret_memory_free(NULL, 1);
}

static void a_hardened_process_dumps_no_core(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {1, 1};
    st_process_harden();
    REQUIRE(getrlimit(RLIMIT_CORE, &limit) == 0);
    REQUIRE(limit.rlim_cur == 0 && limit.rlim_max == 0);
    REQUIRE(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    _exit(0);
  }
  assert_child(child);
}

static void nothing_takes_the_place_of_a_standard_descriptor(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    char byte;
    for (int fd = 0; fd < 3; fd++) (void)close(fd);
    st_process_harden();
    int fd = open("/", O_RDONLY);
    bool fails = read(0, &byte, 1) < 0 && errno == EBADF && write(1, "x", 1) < 0 &&
                 errno == EBADF && write(2, "x", 1) < 0 && errno == EBADF;
    _exit(fd > 2 && fails ? 0 : 1);
  }
  assert_child(child);
}

static void standard_input_is_read_to_its_end(void **state) {
  (void)state;
  for (size_t size = 5; size <= 6; size++) {
    int in[2];
    assert_int_equal(pipe(in), 0);
    pid_t child = fork();
    if (child == 0) {
      char data[8] = "xxxxxxx";
      size_t len = 99;
      close(in[1]);
      REQUIRE(dup2(in[0], 0) == 0);
      bool ok = st_terminal_read_stdin(data, size, &len, error);
      REQUIRE(ok == (size == 6));
      REQUIRE(ok ? len == 6 && memcmp(data, "abcdef", 6) == 0
                 : len == 0 && data[0] == 0 && strstr(error, "standard input") != NULL);
      _exit(0);
    }
    close(in[0]);
    for (int i = 0; i < 3; i++) { /* in pieces */
      struct timespec pause = {0, 5000000};
      assert_int_equal(write(in[1], &"abcdef"[i * 2], 2), 2);
      nanosleep(&pause, NULL);
    }
    close(in[1]);
    assert_child(child);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(clocks_go_forward),
      TEST(random_bytes_are_other_ones_each_time),
      TEST(without_the_call_random_bytes_come_from_the_device),
      TEST(without_random_bytes_the_process_ends),
      TEST(the_device_gives_all_or_the_process_ends),
      TEST(processors_are_those_that_may_be_used),
      TEST(secret_memory_is_zeros_or_not_there),
      TEST(a_hardened_process_dumps_no_core),
      TEST(nothing_takes_the_place_of_a_standard_descriptor),
      TEST(standard_input_is_read_to_its_end),
  };
  return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
