/* Files that are replaced by their spare: without a new block, and never under a reader. */
#include "file_fixture.h"

#include <pthread.h>
#include <signal.h>

#include "os/replace.h"

#define GROWS 65536

static st_spare spare;

/* Those that exist for as long as a test does, from which one is told that it is the same one. */
static ino_t inode_of(const char *name) {
  struct stat status;
  assert_int_equal(lstat(name, &status), 0);
  return status.st_ino;
}

static int64_t blocks_of(const char *name) {
  struct stat status;
  assert_int_equal(lstat(name, &status), 0);
  return (int64_t)status.st_blocks * 512;
}

static void assert_all(const char *name, const char *text, size_t expected) {
  static char data[GROWS + 1];
  size_t len;
  assert_true(st_file_read(name, data, sizeof data, &len, error));
  assert_int_equal(len, expected);
  assert_memory_equal(data, text, len);
}

static bool put(const char *text) {
  return st_replace_with_spare(path, &spare, text, strlen(text), error);
}

/* A file of which there is a spare; false where the file system has none. */
static bool begin(const char *text) {
  static char name[sizeof path + 8];
  snprintf(name, sizeof name, "%s.spare", path);
  spare = (st_spare){.path = name, .extra = GROWS};
  assert_true(put(text));
  st_spare_make(&spare, strlen(text));
  return access(name, F_OK) == 0;
}

static void the_two_change_places(void **state) {
  (void)state;
  if (!begin("one")) skip();
  ino_t first = inode_of(path), second = inode_of(spare.path);
  assert_int_not_equal(first, second);
  assert_true(put("two, and longer"));
  assert_holds(path, "two, and longer");
  assert_int_equal(inode_of(path), second);
  assert_int_equal(inode_of(spare.path), first);
  assert_true(put("3"));
  assert_holds(path, "3");
  assert_int_equal(inode_of(path), first);
  assert_true(put(""));
  assert_holds(path, "");
  assert_int_equal(mode_of(path), 0600);
  assert_int_equal(count_files(), 2);
}

/* Also after it was cut, and beyond what it was made for when it was. */
static void it_has_room_to_grow(void **state) {
  (void)state;
  if (!begin("one")) skip();
  static const size_t lengths[] = {60000, 10, 60000, GROWS, 5};
  static char text[GROWS + 1];
  assert_true(blocks_of(spare.path) >= GROWS + 4096);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    memset(text, 'a' + (int)i, lengths[i]);
    text[lengths[i]] = '\0';
    assert_true(put(text));
    assert_all(path, text, lengths[i]);
    st_spare_make(&spare, lengths[i]);
    assert_true(blocks_of(spare.path) >= (int64_t)lengths[i] + GROWS);
  }
}

/* Whoever has the old one open, or another name for it, goes on seeing it. */
static void what_is_in_use_is_not_written_over(void **state) {
  (void)state;
  char seen[8] = {0};
  if (!begin("one")) skip();
  int old = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(put("two"));
  assert_true(put("three")); /* its spare is what the reader has */
  assert_holds(path, "three");
  assert_int_equal(pread(old, seen, sizeof seen, 0), 3);
  assert_string_equal(seen, "one");
  (void)close(old);
  ino_t free_again = inode_of(spare.path);
  assert_true(put("four"));
  assert_int_equal(inode_of(path), free_again);
  assert_int_equal(link(path, in_home("copy")), 0);
  assert_true(put("five"));
  assert_true(put("six"));
  assert_holds(in_home("copy"), "four");
  assert_holds(path, "six");
  st_spare_make(&spare, 3);
  assert_holds(in_home("copy"), "four");
  assert_int_not_equal(inode_of(spare.path), inode_of(in_home("copy")));
  assert_int_equal(count_files(), 3);
}

/* Nor what stands there by another's hand. */
static void what_is_no_spare_is_left_or_replaced(void **state) {
  (void)state;
  if (!begin("one")) skip();
  spill(in_home("precious"), "precious");
  assert_int_equal(unlink(spare.path), 0);
  assert_int_equal(symlink("precious", spare.path), 0);
  assert_true(put("two"));
  assert_holds(path, "two");
  st_spare_make(&spare, 3);
  assert_holds(in_home("precious"), "precious");
  assert_true(put("three"));
  assert_holds(path, "three");
  assert_int_equal(unlink(spare.path), 0);
  assert_int_equal(mkdir(spare.path, 0700), 0);
  st_spare_make(&spare, 3);
  assert_true(put("four"));
  assert_holds(path, "four");
  assert_int_equal(count_files(), 3);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(rmdir(spare.path), 0);
  st_spare_make(&spare, 3);
  assert_refusal(put("five"), path, "cannot write");
  assert_refusal(st_replace_move(in_home("precious"), path, &spare, error), "precious", "rename");
  assert_int_equal(mode_of(path), 0700);
}

/* It may be in use for as long as somebody likes: while there is room, another takes its place. */
static void a_spare_in_use_is_replaced(void **state) {
  (void)state;
  if (!begin("one")) skip();
  ino_t before = inode_of(spare.path);
  int held = open(spare.path, O_RDONLY | O_CLOEXEC);
  assert_true(held >= 0);
  st_spare_make(&spare, 3);
  assert_int_not_equal(inode_of(spare.path), before);
  assert_true(blocks_of(spare.path) >= GROWS);
  close(held);
}

/* The last room is for the database: no block of it is kept for what would not fit. */
static void a_spare_that_would_fill_the_disk_is_not_made(void **state) {
  (void)state;
  if (!begin("one")) skip();
  int64_t blocks = blocks_of(spare.path);
  st_spare_make(&spare, (size_t)1 << 50);
  assert_int_equal(blocks_of(spare.path), blocks);
  assert_int_equal(unlink(spare.path), 0);
  st_spare_make(&spare, (size_t)1 << 50);
  assert_int_equal(access(spare.path, F_OK), -1);
}

/* What the group may read is what it might read of the file that is replaced, not of the spare. */
static void permissions_are_those_of_the_file(void **state) {
  (void)state;
  if (!begin("one")) skip();
  assert_int_equal(chmod(path, 0640), 0);
  assert_true(put("two"));
  assert_int_equal(mode_of(path), 0640);
  assert_int_equal(chmod(path, 0600), 0);
  assert_true(put("three"));
  assert_int_equal(mode_of(path), 0600);
  assert_true(st_replace_shared(path, &spare, NULL, "four", 4, error));
  assert_int_equal(mode_of(path), 0600);
  assert_int_equal(chmod(path, 0644), 0);
  assert_true(st_replace_shared(path, &spare, NULL, "five", 4, error));
  assert_int_equal(mode_of(path), 0644);
}

/* A new file is made of the spare, and one that is removed becomes it. */
static void a_file_comes_and_goes(void **state) {
  (void)state;
  if (!begin("one")) skip();
  ino_t first = inode_of(path);
  st_spare_take(&spare, path);
  assert_int_equal(inode_of(spare.path), first);
  assert_int_equal(count_files(), 1);
  assert_true(put("two"));
  assert_int_equal(inode_of(path), first);
  assert_int_equal(count_files(), 1);
  spill(in_home("next"), "three");
  ino_t next = inode_of(in_home("next"));
  assert_true(st_replace_move(in_home("next"), path, &spare, error));
  assert_int_equal(inode_of(path), next);
  assert_int_equal(inode_of(spare.path), first);
  assert_int_equal(count_files(), 2);
  st_spare_take(&spare, in_home("nothing"));
  assert_int_equal(count_files(), 2);
}

static int leased;

static void end_lease(int signal) {
  (void)signal;
  (void)fcntl(leased, F_SETLEASE, F_UNLCK);
}

/* A reader that found a name just before the file under it became the spare waits for the end. */
static void a_reader_waits_for_a_spare(void **state) {
  (void)state;
  if (!begin("one")) skip();
  const struct sigaction old = {.sa_handler = SIG_DFL}, action = {.sa_handler = end_lease};
  leased = st_spare_open(&spare, 3);
  assert_true(leased >= 0);
  assert_int_equal(write(leased, "two", 3), 3);
  assert_int_equal(sigaction(SIGURG, &action, NULL), 0); /* the kernel's, when it is opened */
  assert_holds(spare.path, "two");
  assert_int_equal(sigaction(SIGURG, &old, NULL), 0);
  (void)close(leased);
}

static void *replace_often(void *argument) {
  char data[5000], text[ST_ERROR_MAX];
  bool *ok = argument;
  for (int i = 0; i < 400; i++) {
    memset(data, 'a' + i % 26, sizeof data);
    *ok = *ok && st_replace_shared(path, &spare, NULL, data, sizeof data - (size_t)i, text);
    st_spare_make(&spare, sizeof data);
  }
  return NULL;
}

static void a_reader_sees_one_version_or_the_other(void **state) {
  (void)state;
  pthread_t thread;
  bool ok = true;
  char data[5000];
  (void)begin("aaaa");
  assert_int_equal(pthread_create(&thread, NULL, replace_often, &ok), 0);
  for (int i = 0; i < 4000; i++) {
    size_t len;
    assert_true(st_file_read(path, data, sizeof data, &len, error));
    assert_true(len == 4 || len > 4600);
    assert_int_equal(memcmp(data, data + 1, len - 1), 0);
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_true(ok);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_two_change_places),
      TEST(it_has_room_to_grow),
      TEST(what_is_in_use_is_not_written_over),
      TEST(what_is_no_spare_is_left_or_replaced),
      TEST(a_spare_in_use_is_replaced),
      TEST(a_spare_that_would_fill_the_disk_is_not_made),
      TEST(permissions_are_those_of_the_file),
      TEST(a_file_comes_and_goes),
      TEST(a_reader_waits_for_a_spare),
      TEST(a_reader_sees_one_version_or_the_other),
  };
  return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
