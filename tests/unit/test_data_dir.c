/* The data directory of a command: found, made, refused. */
#include "failing.h"
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cli/data_dir.h"
#include "cli/exit_code.h"
#include "domain/store.h"
#include "operations/keyring_file.h"
#include "os/error.h"
#include "os/secret_file.h"

static char error[ST_ERROR_MAX];

static void found(const char *option, st_data_dir *data) {
  int code = st_data_dir_find(&(st_data_options){.data = option}, data, error);
  CHECK(code == ST_EXIT_DONE, "%s", error);
}

static void data_is_that_of_the_option_the_environment_or_var(void **state) {
  (void)state;
  st_data_dir data;
  unsetenv("SUBTOKEN_DATA");
  found(NULL, &data);
  assert_string_equal(data.dir, "./var");
  assert_string_equal(data.secrets, "./var/secrets");
  setenv("SUBTOKEN_DATA", "/from/environment", 1);
  found(NULL, &data);
  assert_string_equal(data.database, "/from/environment/subtoken.db");
  found("/option", &data);
  assert_string_equal(data.dir, "/option");
  setenv("SUBTOKEN_DATA", "", 1);
  found(NULL, &data);
  assert_string_equal(data.dir, "./var");
  unsetenv("SUBTOKEN_DATA");
  assert_int_equal(st_data_dir_find(&(st_data_options){.data = ""}, &data, error), ST_EXIT_USAGE);
  char longest[ST_PATH_TEXT_MAX + 1];
  memset(longest, 'x', sizeof longest - 1);
  for (size_t i = 100; i < sizeof longest - 100; i += 100) longest[i] = '/';
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(st_data_dir_find(&(st_data_options){.data = longest}, &data, error),
                   ST_EXIT_USAGE);
  longest[sizeof longest - 2] = '\0';
  found(longest, &data);
  assert_int_equal(strlen(data.secrets), ST_PATH_TEXT_MAX - 1 + strlen("/secrets"));
}

static void a_new_data_directory_is_private_and_complete(void **state) {
  (void)state;
  char dir[] = "/tmp/subtoken-command-XXXXXX", path[100], command[100];
  st_data_dir data;
  struct stat status;
  subtoken_ring ring;
  char text[200];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/data", dir);
  found(path, &data);
  assert_null(st_data_dir_open(&data, false, error)); /* not made unasked */
  assert_non_null(strstr(error, "there is no data directory"));
  assert_non_null(strstr(error, data.dir));
  assert_true(stat(path, &status) != 0);
  st_store *store = st_data_dir_open(&data, true, error);
  CHECK(store != NULL, "%s", error);
  st_store_close(store);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0700);
  assert_int_equal(stat(data.secrets, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0600);
  /* One unnamed secret; made once. */
  size_t len;
  assert_true(st_secret_file_read(data.secrets, text, sizeof text, &len, error));
  assert_int_equal(subtoken_ring_read(&ring, (subtoken_text){text, len}, NULL), SUBTOKEN_OK);
  assert_int_equal(ring.count, 1);
  assert_int_equal(ring.secrets[0].kid_len, 0);
  char again[200];
  assert_true(st_data_dir_make(&data, error));
  assert_true(st_secret_file_read(data.secrets, again, sizeof again, &len, error));
  assert_memory_equal(text, again, len);
  assert_false(st_keyring_file_make(data.secrets, error)); /* never over one that is there */
  /* A ring that is gone beside a database is not made anew. */
  assert_int_equal(unlink(data.secrets), 0);
  assert_false(st_data_dir_make(&data, error));
  assert_non_null(strstr(error, data.secrets));
  assert_true(stat(data.secrets, &status) != 0);
  snprintf(command, sizeof command, "rm -r '%s'", dir);
  assert_int_equal(system(command), 0);
}

/* Whatever fails: one that cannot be seen may be there. */
static void no_ring_is_made_beside_a_database(void **state) {
  (void)state;
  char dir[] = "/tmp/subtoken-command-XXXXXX";
  st_data_dir data;
  struct stat status;
  assert_non_null(mkdtemp(dir));
  found(dir, &data);
  int fd = open(data.database, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  close(fd);
  FAILING_EACH(FAIL_FILES | FAIL_MEMORY, 1, bool made = st_data_dir_make(&data, error), {
    assert_false(made);
    CHECK(failed || strstr(error, "is missing") != NULL, "%s", error);
    CHECK(stat(data.secrets, &status) != 0, "call %ld made a ring", nth);
  });
  assert_int_equal(unlink(data.database), 0);
  assert_int_equal(rmdir(dir), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(data_is_that_of_the_option_the_environment_or_var),
      cmocka_unit_test(a_new_data_directory_is_private_and_complete),
      cmocka_unit_test(no_ring_is_made_beside_a_database),
  };
  return cmocka_run_group_tests_name("data_dir", tests, NULL, NULL);
}
