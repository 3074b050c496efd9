/* Reading files, whole or not at all, and telling one version from the next. */
#include "file_fixture.h"

#include "failing.h"

#include <signal.h>

#include <time.h>

#include "os/replace.h"

static void a_file_is_read_whole(void **state) {
  (void)state;
  assert_reads(st_file_read);
}

static bool changed(st_file_stamp *last) {
  st_file_stamp now;
  assert_true(st_file_stamp_of(path, &now));
  bool differs = memcmp(&now, last, sizeof now) != 0;
  *last = now;
  return differs;
}

static void a_stamp_tells_versions_apart(void **state) {
  (void)state;
  st_file_stamp stamp, zero = {0};
  struct timespec pause = {0, 20000000}; /* longer than the kernel's clock tick */
  memset(&stamp, 'x', sizeof stamp);
  assert_false(st_file_stamp_of(path, &stamp));
  assert_memory_equal(&stamp, &zero, sizeof stamp);
  assert_true(st_replace_file(path, "one", 3, error));
  assert_true(changed(&stamp));
  assert_false(changed(&stamp));
  assert_int_equal(stamp.size, 3);
  assert_true(st_replace_file(path, "two", 3, error)); /* at once, of the same size */
  assert_true(changed(&stamp));
  nanosleep(&pause, NULL);
  spill(path, "six"); /* in place, of the same size */
  assert_true(changed(&stamp));
  spill(path, "three");
  assert_true(changed(&stamp));
  nanosleep(&pause, NULL);
  const struct timespec old[2] = {{1, 0}, {1, 0}};
  assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
  assert_true(changed(&stamp));
  assert_int_equal(stamp.modified_ns, 1000000000);
}

static void a_file_is_loaded_whole(void **state) {
  (void)state;
  uint8_t *bytes = NULL;
  size_t len = 99;
  st_file_stamp stamp, now;
  assert_refusal(st_file_load(path, 100, &bytes, &len, &stamp, error), path, "No such file");
  assert_null(bytes);
  assert_int_equal(len, 0);
  spill(path, "");
  assert_refusal(st_file_load(path, 100, &bytes, &len, &stamp, error), path, "empty");
  spill(path, "12345678");
  assert_refusal(st_file_load(path, 7, &bytes, &len, &stamp, error), path, "longer than 7 bytes");
  assert_null(bytes);
  assert_true(st_file_load(path, 8, &bytes, &len, &stamp, error));
  assert_int_equal(len, 8);
  assert_memory_equal(bytes, "12345678", 8);
  free(bytes);
  assert_true(st_file_stamp_of(path, &now));
  assert_true(st_file_stamp_equal(&stamp, &now));
  assert_refusal(st_file_load(home, 100, &bytes, &len, &stamp, error), home, "not a regular file");
}

/* What the file says that it has must have been written. */
static void a_file_with_holes_is_refused(void **state) {
  (void)state;
  uint8_t *bytes = NULL;
  size_t len = 0;
  st_file_stamp stamp;
  spill(path, "12345678");
  assert_int_equal(truncate(path, 1 << 20), 0);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  bool told = lseek(fd, 0, SEEK_HOLE) < 1 << 20;
  close(fd);
  if (!told) skip(); /* this file system does not tell */
  assert_refusal(st_file_load(path, SIZE_MAX, &bytes, &len, &stamp, error), path, "truncated");
  assert_null(bytes);
}

/* Where the file system does not say where holes are, all of it is data. */
static void without_word_of_holes_a_file_is_whole(void **state) {
  (void)state;
  uint8_t *bytes = NULL;
  size_t len = 0;
  st_file_stamp stamp;
  bool ok = false;
  spill(path, "12345678");
  FAILING_EACH(FAIL_FILES, 1, ok = st_file_load(path, 8, &bytes, &len, &stamp, error), {
    assert_true(ok || failed);
    if (ok) assert_memory_equal(bytes, "12345678", 8);
    free(bytes);
  });
  failing_begin(FAIL_FILES, 3); /* behind the open and its kind and size */
  atomic_store(&failing.burst, 1);
  ok = st_file_load(path, 8, &bytes, &len, &stamp, error);
  assert_true(failing_end() && !ok);
  assert_null(bytes);
}

/* As one that is being written as the spare of another: a second long, by pauses cut short. */
static void a_file_that_stays_leased_is_told(void **state) {
  (void)state;
  char data[8];
  size_t len = 9;
  spill(path, "1");
  int fd = open(path, O_RDWR | O_CLOEXEC);
  assert_int_equal(fcntl(fd, F_SETSIG, SIGURG), 0);
  if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0) skip(); /* no leases here */
  failing_begin(FAIL_PAUSES, 1);
  atomic_store(&failing.burst, 100000);
  bool ok = st_file_read(path, data, sizeof data, &len, error);
  assert_true(failing_end());
  assert_refusal(ok, path, "temporarily unavailable");
  assert_int_equal(len, 0);
  close(fd);
  assert_holds(path, "1");
}

static void a_link_is_told_from_what_it_means(void **state) {
  (void)state;
  assert_false(st_file_is_link(path));
  spill(path, "1");
  assert_false(st_file_is_link(path));
  assert_int_equal(symlink("nothing", in_home("link")), 0);
  assert_true(st_file_is_link(in_home("link")));
  assert_false(st_file_exists(in_home("link")));
  assert_true(st_file_is_missing(in_home("link")));
  assert_false(st_file_is_missing(path));
  assert_false(st_file_is_missing(in_home("file/x"))); /* nor can it be there, but errno says why */
  failing_begin(FAIL_FILES, 1);
  bool missing = st_file_is_missing(in_home("link"));
  assert_true(failing_end() && !missing); /* who knows */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_file_is_read_whole),
      TEST(a_stamp_tells_versions_apart),
      TEST(a_file_is_loaded_whole),
      TEST(a_file_with_holes_is_refused),
      TEST(without_word_of_holes_a_file_is_whole),
      TEST(a_file_that_stays_leased_is_told),
      TEST(a_link_is_told_from_what_it_means),
  };
  return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
