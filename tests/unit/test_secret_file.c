/* Reading files that hold secrets: whose they are, and who else may read them. */
#include "file_fixture.h"

#include "os/secret_file.h"

static void a_secret_is_read_whole(void **state) {
  (void)state;
  assert_reads(st_secret_file_read);
}

static void a_secret_must_be_private(void **state) {
  (void)state;
  static const mode_t good[] = {0600, 0400, 0640, 0440};
  static const mode_t bad[] = {0644, 0604, 0602, 0601, 0620, 0660, 0666, 0777};
  char data[8];
  size_t len = 0;
  spill(path, "secret");
  assert_int_equal(symlink("file", in_home("link")), 0);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(chmod(path, good[i]), 0);
    assert_true(st_secret_file_read(path, data, sizeof data, &len, error));
    assert_true(st_secret_file_read(in_home("link"), data, sizeof data, &len, error));
    assert_int_equal(len, 6);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(chmod(path, bad[i]), 0);
    memset(data, 0, sizeof data);
    assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path, "chmod 600");
    assert_refusal(st_secret_file_read(in_home("link"), data, sizeof data, &len, error), "link",
                   "chmod 600");
    assert_int_equal(len, 0);
    assert_int_equal(data[0], 0);
  }
  if (geteuid() == 0) {
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, 12345, 0), 0);
    assert_refusal(st_secret_file_read(path, data, sizeof data, &len, error), path,
                   "belongs to user 12345");
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(st_secret_file_read(path, data, sizeof data, &len, error));
  }
}

/* Another user: what root, or the user who issues, shares with a group of ours. */
static void a_user_reads_what_root_shares(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("skipped: only root can become another user\n");
    skip();
  }
  spill(path, "secret");
  assert_int_equal(chown(path, 0, 4321), 0);
  assert_int_equal(chmod(path, 0640), 0);
  assert_int_equal(chmod(home, 0755), 0);
  pid_t child = fork();
  if (child == 0) {
    char data[8];
    size_t len = 0;
    REQUIRE(setgid(4321) == 0 && setuid(1234) == 0);
    REQUIRE(st_secret_file_read(path, data, sizeof data, &len, error) && len == 6);
    _exit(0);
  }
  assert_child(child);
  assert_int_equal(chown(path, 12345, 4321), 0);
  child = fork();
  if (child == 0) {
    char data[8];
    size_t len = 0;
    REQUIRE(setgid(4321) == 0 && setuid(1234) == 0);
    REQUIRE(st_secret_file_read(path, data, sizeof data, &len, error) && len == 6);
    _exit(0);
  }
  assert_child(child);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_secret_is_read_whole),
      TEST(a_secret_must_be_private),
      TEST(a_user_reads_what_root_shares),
  };
  return cmocka_run_group_tests_name("secret_file", tests, NULL, NULL);
}
