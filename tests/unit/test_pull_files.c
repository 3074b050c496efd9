/* The files that `subtoken pull` keeps: what is read of them, what is written, and what a pull that
 * was killed has left.
 */
#include "pull_fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void limit_to(int resource, rlim_t most) {
  struct rlimit limit;
  assert_int_equal(getrlimit(resource, &limit), 0);
  limit.rlim_cur = most;
  assert_int_equal(setrlimit(resource, &limit), 0);
  signal(SIGXFSZ, SIG_IGN);
}

static void names_are_those_of_the_file(void **state) {
  (void)state;
  static char longest[SUBTOKEN_FEED_PATH_MAX + 2];
  st_pull_files other;
  assert_true(st_pull_files_name(&other, "x"));
  assert_string_equal(other.alive, "x.alive");
  assert_string_equal(other.next, "x.next");
  assert_string_equal(other.seen, "x.seen");
  assert_string_equal(other.lock, "x.lock");
  assert_false(st_pull_files_name(&other, ""));
  memset(longest, 'x', sizeof longest - 1);
  assert_false(st_pull_files_name(&other, longest));
  longest[SUBTOKEN_FEED_PATH_MAX] = '\0';
  assert_true(st_pull_files_name(&other, longest));
  assert_int_equal(strlen(other.alive), SUBTOKEN_FEED_PATH_MAX + 6);
}

/* A pull that starts again knows the T that edges have, and goes below it for no server. */
static void the_time_of_the_heartbeat_is_found_again(void **state) {
  (void)state;
  assert_int_equal(found().time, 0);
  put(SEQUENCE, 3);
  assert_int_equal(found().time, NOW);
  spill(files.alive, "x", 1);
  assert_int_equal(found().time, 0);
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  st_pull_snapshot another = made(SEQUENCE + 1, 4, beat);
  st_pull_files_free(&another);
  spill(files.alive, beat, sizeof beat); /* it is for another snapshot */
  assert_int_equal(found().time, 0);
}

static void what_is_written_is_found_again(void **state) {
  (void)state;
  st_pull_files other = found();
  assert_int_equal(other.have.sequence, 0);
  assert_int_equal(other.highest, 0);
  put(SEQUENCE, 3);
  other = found();
  assert_int_equal(other.have.sequence, SEQUENCE);
  assert_int_equal(other.have.count, 3);
  assert_int_equal(other.have.len, size_of(files.path));
  assert_memory_equal(other.have.bytes, files.have.bytes, other.have.len);
  assert_string_equal(other.have.etag, files.have.etag);
  assert_int_equal(other.highest, SEQUENCE);
  assert_true(st_file_stamp_equal(&other.stamp, &files.stamp));
  assert_int_equal(size_of(files.alive), SUBTOKEN_HEARTBEAT_LEN);
  assert_int_equal(access(files.next, F_OK), -1);
  put(SEQUENCE + 1, 4);
  assert_int_equal(found().have.count, 4);
}

static void a_heartbeat_alone_leaves_the_snapshot(void **state) {
  (void)state;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  put(SEQUENCE, 3);
  st_file_stamp before = files.stamp, after, alive, again;
  st_pull_snapshot same = made(SEQUENCE, 3, beat);
  assert_true(st_file_stamp_of(files.alive, &alive));
  assert_true(st_pull_files_write(&files, NULL, beat, error));
  assert_true(st_file_stamp_of(files.path, &after) && st_file_stamp_of(files.alive, &again));
  assert_true(st_file_stamp_equal(&before, &after));
  assert_true(st_file_stamp_equal(&alive, &again)); /* it is the same one: not written */
  st_pull_files_free(&same);
}

/* What was seen never falls, and what cannot be read is nothing. */
static void what_was_seen_stays(void **state) {
  (void)state;
  put(SEQUENCE + 5, 3);
  put(SEQUENCE, 3);
  assert_int_equal(found().highest, SEQUENCE + 5);
  spill(files.seen, "rubbish\n", 8);
  assert_int_equal(found().highest, 0);
  put(SEQUENCE, 3); /* this process has seen more */
  assert_int_equal(found().highest, SEQUENCE + 5);
}

static void what_is_no_snapshot_is_nothing(void **state) {
  (void)state;
  put(SEQUENCE, 3);
  size_t len = size_of(files.path);
  assert_int_equal(files.have.len, len);
  uint8_t *bytes = files.have.bytes;
  for (size_t shorter = 0; shorter < len; shorter += 7) {
    spill(files.path, bytes, shorter);
    assert_int_equal(found().have.sequence, 0);
  }
  bytes[0] ^= 1;
  spill(files.path, bytes, len);
  assert_int_equal(found().have.sequence, 0);
  bytes[0] ^= 1;
  spill(files.path, bytes, len);
  assert_int_equal(found().have.sequence, SEQUENCE);
  files.max_size = len - 1;
  assert_int_equal(found().have.sequence, 0);
}

/* What was FILE is memory for the next, when it is large enough. */
static void memory_is_used_again(void **state) {
  (void)state;
  put(SEQUENCE, 9);
  uint8_t *first = files.have.bytes;
  size_t len = files.have.len;
  put(SEQUENCE + 1, 9);
  uint8_t *memory = st_pull_files_allocate(&files, len);
  assert_ptr_equal(memory, first);
  assert_null(files.spare);
  free(memory);
  put(SEQUENCE + 2, 9);
  memory = st_pull_files_allocate(&files, 100 * len);
  assert_non_null(memory);
  memset(memory, 1, 100 * len);
  free(memory);
}

/* Killed between FILE and FILE.alive: what is in FILE.next is the only heartbeat of FILE, and takes
 * its place before FILE.next is written anew, though FILE is then refused a new one.
 */
static void the_heartbeat_of_a_killed_pull_is_kept(void **state) {
  (void)state;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN], newer[SUBTOKEN_HEARTBEAT_LEN];
  uint8_t there[SUBTOKEN_HEARTBEAT_LEN + 1];
  size_t len;
  put(SEQUENCE, 3);
  st_pull_snapshot fresh = made(SEQUENCE + 1, 4, beat), next = made(SEQUENCE + 2, 5, newer);
  spill(files.next, beat, sizeof beat);
  spill(files.path, fresh.bytes, fresh.len);
  st_pull_files_refresh(&files);
  assert_int_equal(files.have.sequence, SEQUENCE + 1);
  limit_to(RLIMIT_FSIZE, sizeof beat); /* the new snapshot does not fit */
  assert_false(st_pull_files_write(&files, &next, newer, error));
  limit_to(RLIMIT_FSIZE, RLIM_INFINITY);
  assert_true(st_file_read(files.alive, there, sizeof there, &len, error));
  assert_int_equal(len, sizeof beat);
  assert_memory_equal(there, beat, sizeof beat);
  assert_int_equal(access(files.next, F_OK), -1);
  st_pull_files_free(&fresh);
  st_pull_files_free(&next);
}

/* While it is not known whose heartbeat is in FILE.next, it stays. */
static void the_heartbeat_of_a_killed_pull_is_not_written_over(void **state) {
  (void)state;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN], newer[SUBTOKEN_HEARTBEAT_LEN];
  uint8_t there[SUBTOKEN_HEARTBEAT_LEN + 1];
  size_t len;
  put(SEQUENCE, 3);
  st_pull_snapshot fresh = made(SEQUENCE + 1, 4, beat), next = made(SEQUENCE + 2, 5, newer);
  spill(files.next, beat, sizeof beat);
  spill(files.path, fresh.bytes, fresh.len);
  int unused = open("/dev/null", O_RDONLY | O_CLOEXEC);
  limit_to(RLIMIT_NOFILE, (rlim_t)unused);
  (void)close(unused);
  assert_false(st_pull_files_write(&files, &next, newer, error));
  limit_to(RLIMIT_NOFILE, 1024);
  assert_non_null(strstr(error, "Too many open files"));
  assert_int_equal(found().time, NOW);
  assert_true(st_file_read(files.next, there, sizeof there, &len, error));
  assert_memory_equal(there, beat, sizeof beat);
  assert_true(st_pull_files_write(&files, &next, newer, error));
  assert_int_equal(found().have.sequence, SEQUENCE + 2);
  assert_int_equal(access(files.next, F_OK), -1);
  st_pull_files_free(&fresh);
  st_pull_files_free(&next);
}

/* Also after the first write, whose FILE.seen is new. And what a pull has left that was killed
 * between its two files is the room of the next heartbeat: nothing else is taken for it.
 */
static void there_is_room_for_the_next_ones(void **state) {
  (void)state;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  struct stat before, after;
  put(SEQUENCE, 3);
  if (access(files.spare_file, F_OK) != 0) skip(); /* not on this file system */
  assert_int_equal(stat(files.alive, &before), 0);
  assert_int_equal(rename(files.spare_small, files.next), 0);
  subtoken_heartbeat later = {.sequence = SEQUENCE, .time = NOW + 1};
  st_pull_snapshot same = made(SEQUENCE, 3, beat);
  spill(files.next, beat, sizeof beat);
  memcpy(later.digest, files.have.digest, sizeof later.digest);
  assert_int_equal(subtoken_heartbeat_write(&ring, &later, beat), SUBTOKEN_FEED_OK);
  assert_true(st_pull_files_write(&files, NULL, beat, error));
  assert_true(stat(files.alive, &after) == 0 && after.st_ino == before.st_ino);
  assert_int_equal(access(files.spare_small, F_OK), 0);
  assert_int_equal(access(files.next, F_OK), -1);
  st_pull_files_free(&same);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(names_are_those_of_the_file),
      TEST(what_is_written_is_found_again),
      TEST(the_time_of_the_heartbeat_is_found_again),
      TEST(a_heartbeat_alone_leaves_the_snapshot),
      TEST(what_was_seen_stays),
      TEST(what_is_no_snapshot_is_nothing),
      TEST(memory_is_used_again),
      TEST(the_heartbeat_of_a_killed_pull_is_kept),
      TEST(the_heartbeat_of_a_killed_pull_is_not_written_over),
      TEST(there_is_room_for_the_next_ones),
  };
  return cmocka_run_group_tests_name("pull_files", tests, NULL, NULL);
}
