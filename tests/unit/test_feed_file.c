/* The two files of a feed as they come and go: alone, in pairs, with a ring that comes later. What
 * is wrong with them, and what changes while they are read, is in test_feed_file_bad.c.
 */
#include "feed_file_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

/* ---- calls ---- */

static void start_refuses(void **state) {
  (void)state;
  char longest[SUBTOKEN_FEED_PATH_MAX + 2];
  subtoken_feed_file own;
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  subtoken_feed_settings odd = {sizeof odd, -1, 300, false, 0};
  assert_int_equal(subtoken_feed_file_start(NULL, path, &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, NULL, &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, path, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, "", &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, longest, &settings),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  odd = (subtoken_feed_settings){sizeof odd, 60, -1, false, 0};
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  odd = (subtoken_feed_settings){sizeof odd, SUBTOKEN_LEEWAY_MAX + 1, 300, false, 0}; /* C13 */
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  /* What was not started decides nothing and does nothing. */
  assert_int_equal(subtoken_feed_file_poll(&own, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_load(&own, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_poll(NULL, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed_file_stop(&own);
  subtoken_feed_file_stop(NULL);
  longest[SUBTOKEN_FEED_PATH_MAX] = '\0';
  odd = (subtoken_feed_settings){sizeof odd, 0, 0, true, 0};
  assert_int_equal(subtoken_feed_file_start(&own, longest, &odd), SUBTOKEN_FEED_OK);
  assert_true(own.feed.leeway == 0 && own.feed.max_age == 0 && own.feed.allow_old);
  assert_int_equal(subtoken_feed_file_poll(&own, NULL, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_poll(&own, &ring, NOW, 0), SUBTOKEN_FEED_IO);
  assert_int_equal(own.error, ENAMETOOLONG);
  subtoken_feed_file_stop(&own);
}

static void stop_leaves_nothing(void **state) {
  (void)state;
  snapshot s = begun();
  void *bytes = file.current;
  size_t size = file.size;
  subtoken_feed_file_stop(&file);
  assert_int_equal(msync(bytes, size, MS_ASYNC), -1); /* no memory is there any more */
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed_file_stop(&file);
  /* Half read, and with a descriptor. */
  snapshot large = made(SEQUENCE, MANY);
  put_pair(&large, NOW);
  assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  int descriptor = file.descriptor;
  assert_int_equal(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  subtoken_feed_file_stop(&file);
  assert_int_equal(fcntl(descriptor, F_GETFD), -1);
  free(large.bytes);
  free(s.bytes);
}

/* ---- good files ---- */

static void taken_as_they_come(void **state) {
  (void)state;
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  snapshot s = made(SEQUENCE, MANY);
  put(path, s.bytes, s.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  /* The snapshot waits, checked. */
  int64_t before = bytes_read();
  put_alive(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.error, 0);
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  in_force(SEQUENCE, MANY);
  assert_int_equal(subtoken_feed_age(&file.feed, NOW, 0), 5);
  subtoken_feed_clock clock = {&file.feed, NOW, 0};
  assert_int_equal(subtoken_feed_revoked(&clock, &ST_TEXT("sub3"), 1), SUBTOKEN_REVOKED);
  assert_int_equal(subtoken_feed_revoked(&clock, &ST_TEXT("other"), 1), SUBTOKEN_OK);
  free(s.bytes);
}

static void nothing_new_reads_nothing(void **state) {
  (void)state;
  snapshot s = begun();
  put_text(seen, "7\n");
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  int64_t before = bytes_read();
  for (int i = 0; i < 5; i++) {
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  }
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  free(s.bytes);
}

static void heartbeat_alone_is_cheap(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  void *bytes = file.current;
  for (int64_t time = NOW; time < NOW + 3; time++) {
    put_alive(&s, time);
    int64_t before = bytes_read();
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, time, time - NOW), SUBTOKEN_FEED_OK);
    assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
    assert_int_equal(file.feed.time, time);
    assert_int_equal(subtoken_feed_age(&file.feed, time + 1, time - NOW + 1), 1);
  }
  assert_ptr_equal(file.current, bytes);
  free(s.bytes);
}

/* The one in force serves until the next one is, no call does more than a slice, and the old
 * one's memory goes. A large one has a filter in the end, which is left to do when it is in force.
 */
static void replaced_in_slices(void **state) {
  (void)state;
  snapshot first = made(SEQUENCE, MANY), second = made(SEQUENCE + 1, MANY - 1);
  put_pair(&first, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  void *old = file.current;
  size_t old_size = file.mapped;
  assert_true(!file.filling && file.feed.snapshot.filter != NULL);
  put_pair(&second, NOW - 4);
  subtoken_feed_result result;
  size_t steps = 0, fillings = 0;
  do {
    size_t read = file.fresh_read, checked = file.opening.done, filled = file.filled;
    int64_t before = bytes_read();
    result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
    assert_true(bytes_read() - before <=
                ASKING + SUBTOKEN_REVOCATIONS_SLICE + SUBTOKEN_HEARTBEAT_LEN + 1);
    if (steps > 0) assert_true(file.fresh_read - read <= SUBTOKEN_REVOCATIONS_SLICE);
    if (file.opening.open) assert_true(file.opening.done - checked <= SUBTOKEN_REVOCATIONS_SLICE);
    bool replaced = file.filling || result == SUBTOKEN_FEED_OK;
    in_force(replaced ? SEQUENCE + 1 : SEQUENCE, replaced ? MANY - 1 : MANY);
    assert_true(file.filled - filled <= 65536 || file.filled == 0);
    if (file.filling) {
      fillings++;
      assert_true(result == SUBTOKEN_FEED_MORE && file.last == SUBTOKEN_FEED_OK);
      assert_null(file.feed.snapshot.filter);
    }
    steps++;
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  assert_true(steps >= 2 * (second.len / SUBTOKEN_REVOCATIONS_SLICE));
  assert_true(fillings >= MANY / 65536 && file.feed.snapshot.filter != NULL);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(msync(old, old_size, MS_ASYNC), -1);
  assert_int_equal(errno, ENOMEM);
  free(first.bytes);
  free(second.bytes);
}

/* Loading ends as soon as it is in force; the filter is for who goes on to poll. */
static void loaded_without_its_filter(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW - 5);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, MANY);
  assert_true(file.filling && file.feed.snapshot.filter == NULL);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(!file.filling && file.feed.snapshot.filter != NULL);
  in_force(SEQUENCE, MANY);
  put_alive(&s, NOW - 4); /* leaves it where it is */
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(file.feed.time == NOW - 4 && file.feed.snapshot.filter != NULL);
  free(s.bytes);
}

/* A link to a file is a file. */
static void link_is_followed(void **state) {
  (void)state;
  char real[310], real_alive[320];
  snprintf(real, sizeof real, "%s/real", home);
  snprintf(real_alive, sizeof real_alive, "%s/real.alive", home);
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW);
  assert_true(rename(path, real) == 0 && rename(alive, real_alive) == 0);
  assert_true(symlink("real", path) == 0 && symlink("real.alive", alive) == 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  free(s.bytes);
}

/* ---- pairs ---- */

static void half_a_pair_waits(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY);
  put(path, second.bytes, second.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  in_force(SEQUENCE, FEW);
  /* Until its heartbeat comes, those of the first are good. */
  put_alive(&first, NOW - 3);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  assert_int_equal(file.feed.time, NOW - 3);
  reads_next_to_nothing(SUBTOKEN_FEED_PAIR);
  put_alive(&second, NOW - 2);
  int64_t before = bytes_read();
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  in_force(SEQUENCE + 1, MANY);
  /* A heartbeat for a snapshot that is not there. */
  snapshot third = made(SEQUENCE + 2, 3);
  put_alive(&third, NOW - 1);
  reads_next_to_nothing(SUBTOKEN_FEED_PAIR);
  in_force(SEQUENCE + 1, MANY);
  put(path, third.bytes, third.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, 3);
  free(first.bytes);
  free(second.bytes);
  free(third.bytes);
}

/* One that waits is given up when another takes its place. */
static void next_one_while_one_waits(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY), third = made(SEQUENCE + 2, MANY);
  put(path, second.bytes, second.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  put_pair(&third, NOW - 2);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, MANY);
  free(first.bytes);
  free(second.bytes);
  free(third.bytes);
}

/* load has patience with a pair, a second of it; each try reads the heartbeat again and the
 * snapshot not. */
static void load_tries_again(void **state) {
  (void)state;
  snapshot first = made(SEQUENCE, FEW), second = made(SEQUENCE + 1, 1);
  put(path, first.bytes, first.len);
  put_alive(&second, NOW);
  int64_t before = bytes_read();
  int64_t asking = bytes_read() - before; /* a digit more or less */
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_PAIR);
  int64_t count = bytes_read() - before - 2 * asking - (int64_t)first.len;
  CHECK(llabs(count - 51 * SUBTOKEN_HEARTBEAT_LEN) < 40, "%ld bytes", (long)count);
  put(path, second.bytes, second.len);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, 1);
  free(first.bytes);
  free(second.bytes);
}

static char late[320];

static void put_late(int signal) {
  (void)signal;
  (void)rename(late, alive);
}

/* In pauses: the other file comes while it waits. */
static void load_waits_for_the_other_file(void **state) {
  (void)state;
  const struct sigaction before = {.sa_handler = SIG_DFL}, action = {.sa_handler = put_late};
  const struct itimerval soon = {.it_value = {.tv_usec = 40000}};
  snapshot first = begun(), second = made(SEQUENCE + 1, 1);
  snprintf(late, sizeof late, "%s.late", path);
  put_pair(&second, NOW);
  assert_int_equal(rename(alive, late), 0);
  put_alive(&first, NOW - 4);
  assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
  assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
  subtoken_feed_result result = subtoken_feed_file_load(&file, &ring, NOW, 0);
  assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, 1);
  free(first.bytes);
  free(second.bytes);
}

static int leased;

static bool lease(void) {
  return fcntl(leased, F_SETSIG, SIGURG) == 0 && fcntl(leased, F_SETLEASE, F_WRLCK) == 0;
}

static void end_lease(int signal) {
  (void)signal;
  (void)fcntl(leased, F_SETLEASE, F_UNLCK);
}

/* So it has with a file that its writer still holds (src/os/spare.c): a poll says so, and goes on.
 */
static void load_waits_for_its_writer(void **state) {
  (void)state;
  const struct sigaction before = {.sa_handler = SIG_DFL}, action = {.sa_handler = end_lease};
  snapshot first = made(SEQUENCE, FEW);
  put(path, first.bytes, first.len);
  put_alive(&first, NOW);
  leased = open(path, O_RDWR | O_CLOEXEC);
  if (lease()) {
    assert_int_equal(polled(), SUBTOKEN_FEED_IO);
    assert_int_equal(file.error, EWOULDBLOCK);
    end_lease(0);
    assert_true(lease());
    assert_int_equal(sigaction(SIGURG, &action, NULL), 0);
    assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
    assert_int_equal(sigaction(SIGURG, &before, NULL), 0);
    in_force(SEQUENCE, FEW);
  }
  (void)close(leased);
  assert_int_equal(unlink(path), 0); /* what fails for another reason is told at once */
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  free(first.bytes);
}

/* ---- the ring ---- */

static void ring_that_comes_later(void **state) {
  (void)state;
  subtoken_ring both = ring;
  assert_int_equal(subtoken_ring_add(&both, ST_TEXT("new"), OTHER_SECRET, strlen(OTHER_SECRET)),
                   SUBTOKEN_OK);
  subtoken_ring fresh;
  ring_with(&fresh, "new", OTHER_SECRET);
  snapshot first = begun(), second = made_by(&fresh, SEQUENCE + 1, MANY);
  put_alive_by(&fresh, &first, NOW - 3);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  subtoken_ring only = ring;
  ring = both;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.time, NOW - 3);
  ring = only;
  put(path, second.bytes, second.len);
  put_alive_by(&fresh, &second, NOW - 2);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  reads_next_to_nothing(SUBTOKEN_FEED_KID);
  /* The same secret under another name, then the right name with another secret. */
  ring_with(&ring, "newer", OTHER_SECRET);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  ring_with(&ring, "new", TEST_SECRET);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAC);
  reads_next_to_nothing(SUBTOKEN_FEED_MAC);
  in_force(SEQUENCE, FEW);
  ring = both;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, MANY);
  free(first.bytes);
  free(second.bytes);
}

/* It may be gone when the call returns, half way through. */
static void ring_need_not_stay(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW);
  subtoken_feed_result result;
  do {
    subtoken_ring *own = malloc(sizeof *own);
    if (own == NULL) abort();
    *own = ring;
    result = subtoken_feed_file_poll(&file, own, NOW, 0);
    free(own);
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, MANY);
  free(s.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_HOME(start_refuses),
      IN_HOME(stop_leaves_nothing),
      IN_HOME(taken_as_they_come),
      IN_HOME(nothing_new_reads_nothing),
      IN_HOME(heartbeat_alone_is_cheap),
      IN_HOME(replaced_in_slices),
      IN_HOME(loaded_without_its_filter),
      IN_HOME(link_is_followed),
      IN_HOME(half_a_pair_waits),
      IN_HOME(next_one_while_one_waits),
      IN_HOME(load_tries_again),
      IN_HOME(load_waits_for_the_other_file),
      IN_HOME(load_waits_for_its_writer),
      IN_HOME(ring_that_comes_later),
      IN_HOME(ring_need_not_stay),
  };
  return cmocka_run_group_tests_name("feed_file", tests, NULL, NULL);
}
