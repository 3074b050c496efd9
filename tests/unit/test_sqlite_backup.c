/* The copy of a store that is in use: whole and private, or not there. */
#include "sqlite_fixture.h"

typedef struct worker {
  pthread_t thread;
  st_store *store;
  unsigned id;
  bool ok;
} worker;

static void *create_until_stopped(void *argument) {
  worker *self = argument;
  char text[ST_ERROR_MAX];
  self->ok = true;
  for (unsigned n = 100; n < 400; n++) {
    st_key key = key_of(n);
    uint8_t digest[32];
    self->ok = self->ok && st_store_key_create(self->store, AT(NOW * INT64_C(1000000)), NULL, &key,
                                               digest_of(n, digest), text) == ST_STORE_OK;
  }
  return NULL;
}

/* A plain file, private, whole: what was there before is in it, without gaps. */
static void assert_good_copy(const char *path) {
  struct stat status;
  size_t len = 0;
  uint8_t *data = slurp(path, &len);
  assert_int_equal(data[18], 1);
  assert_int_equal(data[19], 1);
  free(data);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode & 07777, 0600);
  st_store *copy = NULL;
  assert_int_equal(st_store_open(path, false, &copy, error), ST_STORE_OK);
  st_key got;
  int64_t keys = count(copy);
  assert_true(keys >= 100);
  for (unsigned n = 0; n < keys; n++) {
    assert_int_equal(found_by_digest(copy, n, &got), ST_STORE_OK);
  }
  st_store_close(copy);
}

static void backs_up_while_others_write(void **state) {
  (void)state;
  make_db(100);
  st_store *store = open_store();
  worker writer = {.store = store};
  assert_int_equal(pthread_create(&writer.thread, NULL, create_until_stopped, &writer), 0);
  for (int i = 0; i < 10; i++) {
    char name[20];
    snprintf(name, sizeof name, "copy%d", i);
    if (st_store_backup(store, in_home(name), NULL, error) != ST_STORE_OK) {
      fail_msg("%s", error);
    }
    assert_good_copy(in_home(name));
  }
  assert_int_equal(pthread_join(writer.thread, NULL), 0);
  assert_true(writer.ok);
  assert_int_equal(count(store), 400);
  st_store_close(store);
  assert_int_equal(count_files(), 11);
}

static void backs_up_over_nothing(void **state) {
  (void)state;
  st_store *store = open_store();
  spill(in_home("precious"), "old", 3);
  int before = count_files();
  assert_int_equal(st_store_backup(store, in_home("precious"), NULL, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "already exists"));
  assert_holds(in_home("precious"), (const uint8_t *)"old", 3);
  assert_int_equal(st_store_backup(store, db, NULL, error), ST_STORE_FAILED);
  assert_int_equal(st_store_backup(store, in_home("no/copy"), NULL, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "No such file"));
  assert_int_equal(count_files(), before);
  assert_int_equal(symlink("nowhere", in_home("link")), 0);
  assert_int_equal(st_store_backup(store, in_home("link"), NULL, error), ST_STORE_FAILED);
  assert_int_equal(count_files(), before + 1);
  st_store_close(store);
}

static void only_one_backup_wins_a_name(void **state) {
  (void)state;
  make_db(100);
  for (int round = 0; round < 3; round++) {
    pid_t children[4];
    int start[2], won = 0;
    char byte;
    assert_int_equal(pipe(start), 0);
    for (int i = 0; i < 4; i++) {
      children[i] = fork();
      if (children[i] == 0) {
        st_store *store = NULL;
        close(start[1]);
        REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
        REQUIRE(read(start[0], &byte, 1) == 0);
        _exit(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_OK ? 7 : 8);
      }
    }
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    close(start[0]);
    close(start[1]);
    for (int i = 0; i < 4; i++) {
      int status = -1;
      assert_int_equal(waitpid(children[i], &status, 0), children[i]);
      assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 7 || WEXITSTATUS(status) == 8));
      won += WEXITSTATUS(status) == 7;
    }
    assert_int_equal(won, 1);
    assert_good_copy(in_home("copy"));
    assert_int_equal(unlink(in_home("copy")), 0);
  }
}

static void a_failed_backup_leaves_nothing(void **state) {
  (void)state;
  make_db(100);
  int before = count_files();
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
    limit_file_size(20000);
    REQUIRE(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_FAILED);
    REQUIRE(strstr(error, "copy") != NULL);
    limit_file_size(RLIM_INFINITY);
    REQUIRE(create(store, 5000) == ST_STORE_OK);
    st_store_close(store);
    _exit(0);
  }
  assert_child(child);
  assert_int_equal(count_files(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(backs_up_while_others_write),
      TEST(backs_up_over_nothing),
      TEST(only_one_backup_wins_a_name),
      TEST(a_failed_backup_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
