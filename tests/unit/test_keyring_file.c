/* The file of the signing secrets: made once, read whole, refused with the line that is wrong. */
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "operations/keyring_file.h"
#include "os/error.h"

static char path[64], error[ST_ERROR_MAX];
static subtoken_ring ring;

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/subtoken-ring-XXXXXX");
  int fd = mkstemp(path);
  return fd >= 0 && close(fd) == 0 ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  (void)unlink(path);
  return 0;
}

static void put(const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static void a_new_ring_has_one_unnamed_secret(void **state) {
  (void)state;
  char text[ST_KEYRING_FILE_MAX], before[ST_KEYRING_FILE_MAX];
  size_t len = 0, before_len = 0;
  assert_false(st_keyring_file_make(path, error)); /* never over a file that is there */
  assert_non_null(strstr(error, "already exists"));
  assert_int_equal(unlink(path), 0);
  assert_true(st_keyring_file_make(path, error));
  assert_null(st_keyring_file_read(path, before, &before_len, &ring, error));
  assert_int_equal(ring.count, 1);
  assert_int_equal(ring.secrets[0].kid_len, 0);
  assert_int_equal(before_len, 45); /* a colon, 43 characters, a newline */
  assert_int_equal(unlink(path), 0);
  assert_true(st_keyring_file_make(path, error));
  assert_null(st_keyring_file_read(path, text, &len, &ring, error));
  assert_memory_not_equal(text, before, before_len);
}

static void a_ring_that_is_wrong_is_named_and_wiped(void **state) {
  (void)state;
  static const char good[] = ":JMnsBcT8zDg2QHnvEDYZhybR7dp4fwNpfDdzJeEclf0\n";
  static const struct {
    const char *text, *event, *says;
  } rows[] = {
      {"", "keyfile_bad", ""},
      {"nothing\n", "keyfile_bad", "line 1"},
      {":c2hvcnQ\n", "weak_secret", "line 1"},
  };
  char text[ST_KEYRING_FILE_MAX];
  size_t len;
  for (size_t i = 0; i < COUNT(rows); i++) {
    put(rows[i].text);
    memset(text, 'x', sizeof text);
    len = 99;
    const char *event = st_keyring_file_read(path, text, &len, &ring, error);
    CHECK(event != NULL && strcmp(event, rows[i].event) == 0, "row %zu: %s", i, event);
    CHECK(strstr(error, path) != NULL && strstr(error, rows[i].says) != NULL, "row %zu: %s", i,
          error);
    CHECK(len == 0 && text[0] == '\0', "row %zu: the text stays", i);
    CHECK(strstr(error, "c2hv") == NULL, "row %zu: %s", i, error);
  }
  put(good);
  const char *event = st_keyring_file_load(path, &ring, error);
  if (event != NULL) fail_msg("%s: %s", event, error);
  assert_int_equal(chmod(path, 0644), 0);
  assert_string_equal(st_keyring_file_load(path, &ring, error), "keyfile_perm");
  assert_non_null(strstr(error, "chmod 600"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_new_ring_has_one_unnamed_secret),
      TEST(a_ring_that_is_wrong_is_named_and_wiped),
  };
  return cmocka_run_group_tests_name("keyring_file", tests, NULL, NULL);
}
