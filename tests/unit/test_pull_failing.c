/* The files that `subtoken pull` keeps, while what it asks of the system fails: at every moment
 * FILE is one snapshot with its heartbeat, for an edge that starts then, and the next write is
 * good. As commands that are killed there: tests/e2e/test_faults_pull.py.
 */
#include "failing.h"
#include "pull_fixture.h"

#define KINDS (FAIL_MEMORY | FAIL_FILES)

/* Of the snapshot that is there: of the time before, or of what was to be written. */
static void check_usable(long nth, int64_t before, int64_t after) {
  st_pull_files there = found();
  CHECK(there.have.sequence == before || there.have.sequence == after, "call %ld: FILE is %lld",
        nth, (long long)there.have.sequence);
  CHECK(there.time != 0, "call %ld: FILE has no heartbeat", nth);
}

/* One write with its Nth call failing, fresh or NULL; sequence: of what is there. Did one fail? */
static bool write_failing(long nth, int64_t sequence, st_pull_snapshot *fresh,
                          const uint8_t *beat) {
  error[0] = '\0';
  failing_begin(KINDS, nth);
  bool written = st_pull_files_write(&files, fresh, beat, error);
  bool failed = failing_end();
  CHECK(written || (failed && error[0] != '\0'), "call %ld: %s", nth, error);
  check_usable(nth, sequence, sequence + 1);
  return failed;
}

static void a_write_that_fails_leaves_a_pair(void **state) {
  (void)state;
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  bool failed = true;
  int64_t sequence = SEQUENCE;
  for (long nth = 1; failed; nth++, sequence += 3) {
    put(sequence, 3);
    st_pull_snapshot fresh = made(sequence + 1, (uint32_t)(nth % 10 + 1), beat);
    failed = write_failing(nth, sequence, &fresh, beat);
    put(sequence + 2, 5);
    check_usable(nth, sequence + 2, sequence + 2);
    assert_int_equal(access(files.next, F_OK), -1);
    st_pull_files_free(&fresh);
  }
}

/* Behind a pull that was killed between FILE and FILE.alive: the heartbeat of what it left is in
 * FILE.next. With another snapshot, and with that heartbeat alone. */
static void write_behind_killed(bool another) {
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN], newer[SUBTOKEN_HEARTBEAT_LEN];
  bool failed = true;
  int64_t sequence = SEQUENCE;
  for (long nth = 1; failed; nth++, sequence += 3) {
    put(sequence, 3);
    st_pull_snapshot left = made(sequence + 1, 4, beat), next = made(sequence + 2, 5, newer);
    spill(files.next, beat, sizeof beat);
    spill(files.path, left.bytes, left.len);
    st_pull_files_refresh(&files);
    failed = write_failing(nth, sequence + 1, another ? &next : NULL, another ? newer : beat);
    st_pull_files_free(&left);
    st_pull_files_free(&next);
  }
}

static void nor_does_one_behind_a_killed_pull(void **state) {
  (void)state;
  write_behind_killed(true);
}

static void nor_does_a_heartbeat_behind_it(void **state) {
  (void)state;
  write_behind_killed(false);
}

/* What cannot be read is not taken for another snapshot, nor for an older one. */
static void what_cannot_be_read_is_read_the_next_time(void **state) {
  (void)state;
  put(SEQUENCE, 3);
  FAILING_EACH(
      KINDS, 1,
      {
        st_pull_files_free(&files.have);
        memset(&files.stamp, 0, sizeof files.stamp);
        st_pull_files_refresh(&files);
      },
      {
        CHECK(files.have.sequence == (files.have.bytes != NULL ? SEQUENCE : 0), "call %ld", nth);
        CHECK(failed || files.have.sequence == SEQUENCE, "call %ld", nth);
        st_pull_files_refresh(&files);
        CHECK(files.have.sequence == SEQUENCE && files.highest == SEQUENCE, "call %ld", nth);
      });
}

/* What is no regular file is no FILE.next of ours: it is not read, and makes room. */
static void another_kind_of_file_is_not_waited_for(void **state) {
  (void)state;
  put(SEQUENCE, 3);
  assert_int_equal(mkfifo(files.next, 0600), 0);
  put(SEQUENCE + 1, 4);
  check_usable(0, SEQUENCE + 1, SEQUENCE + 1);
  assert_int_equal(access(files.next, F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_write_that_fails_leaves_a_pair),       TEST(nor_does_one_behind_a_killed_pull),
      TEST(nor_does_a_heartbeat_behind_it),         TEST(what_cannot_be_read_is_read_the_next_time),
      TEST(another_kind_of_file_is_not_waited_for),
  };
  return cmocka_run_group_tests_name("pull failing", tests, NULL, NULL);
}
