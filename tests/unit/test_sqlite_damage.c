/* Damage of the file, full disks, and locks that others hold: no wrong answer, and no half change.
 */
#include "sqlite_fixture.h"

/* ---- damage ---- */

static void refuses_pages_of_rubbish(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  uint8_t *good = slurp(db, &len);
  assert_true(len >= 6 * 4096);
  for (size_t page = 0; page < len / 4096; page++) {
    uint8_t *bad = malloc(len);
    assert_non_null(bad);
    memcpy(bad, good, len);
    memset(bad + page * 4096, 0xff, 4096);
    spill(db, bad, len);
    assert_refused(db, true, "restore a backup");
    assert_holds(db, bad, len);
    memset(bad + page * 4096, 0, 4096);
    spill(db, bad, len);
    assert_refused(db, true, "restore a backup");
    free(bad);
  }
  free(good);
}

static void refuses_a_file_that_was_cut(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  uint8_t *good = slurp(db, &len);
  const size_t cuts[] = {1, 16, 99, 100, 511, 4095, 4096, 4097, len / 2, len - 4096, len - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    spill(db, good, cuts[i]);
    assert_refused(db, true, "restore a backup");
    assert_holds(db, good, cuts[i]);
  }
  free(good);
}

/* No crash, no hang, and never somebody else's key, whatever byte is wrong. */
static void survives_flipped_bytes(void **state) {
  (void)state;
  size_t len = 0;
  make_db(30);
  uint8_t *data = slurp(db, &len);
  unsigned refused = 0;
  for (size_t i = 0; i < 200; i++) {
    size_t at = i < 100 ? i : i * 2654435761u % len;
    data[at] ^= 0xff;
    spill(db, data, len);
    unlink(in_home("subtoken.db-wal"));
    unlink(in_home("subtoken.db-shm"));
    unlink(in_home("subtoken.db-journal"));
    st_store *store = NULL;
    if (st_store_open(db, true, &store, error) == ST_STORE_OK) {
      for (unsigned n = 0; n < 30; n++) {
        st_key got;
        if (found_by_sub(store, n, &got) == ST_STORE_OK) {
          assert_string_equal(got.sub, key_of(n).sub);
        }
        (void)found_by_digest(store, n, &got);
      }
      st_store_close(store);
    } else {
      assert_non_null(strstr(error, db));
      refused++;
    }
    data[at] ^= 0xff;
  }
  assert_true(refused > 50);
  free(data);
}

static void notices_damage_while_it_runs(void **state) {
  (void)state;
  size_t len = 0;
  make_db(60);
  st_store *store = open_store();
  uint8_t *data = slurp(db, &len);
  memset(data + 4096, 0xff, len - 4096);
  int fd = open(db, O_WRONLY);
  pid_t child = fork(); /* our own close would drop SQLite's locks */
  if (child == 0) {
    REQUIRE(pwrite(fd, data, len, 0) == (ssize_t)len);
    _exit(0);
  }
  assert_child(child);
  st_key got;
  assert_int_equal(found_by_digest(store, 7, &got), ST_STORE_FAILED);
  assert_non_null(strstr(error, "restore a backup"));
  st_store_close(store);
  close(fd);
  free(data);
}

static void refuses_rows_that_do_not_fit(void **state) {
  (void)state;
  static const char *const changes[] = {
      "UPDATE keys SET name = printf('%.*c', 257, 'x')",
      "UPDATE keys SET owner = 'a' || char(0) || 'b'",
      "UPDATE keys SET permissions = printf('%.*c', 4161, 'x')",
      "UPDATE keys SET expires_at = -1",
      "UPDATE keys SET created_at = 9223372036854775807",
  };
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    make_db(1);
    sql_on(db, changes[i]);
    st_store *store = open_store();
    st_key got;
    size_t listed = 7;
    error[0] = 0;
    assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    error[0] = 0;
    assert_int_equal(found_by_sub(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    error[0] = 0;
    assert_int_equal(find(store, 0, &got), ST_STORE_FAILED);
    assert_non_null(strstr(error, db));
    assert_int_equal(st_store_key_list(store, NULL, "", 1, &got, &listed, error), ST_STORE_FAILED);
    assert_int_equal(listed, 0);
    st_store_close(store);
    assert_int_equal(unlink(db), 0);
  }
}

/* Denying wins, should a sub ever be both. */
static void a_revoked_sub_is_refused_even_if_a_key_has_it(void **state) {
  (void)state;
  st_store *store = open_store();
  st_key got;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  sql_on(db, "INSERT INTO revoked SELECT sub, id, 1 FROM keys");
  assert_int_equal(found_by_sub(store, 1, &got), ST_STORE_REVOKED);
  st_store_close(store);
}

/* ---- full disks and locks ---- */

/* Until it fails, then everything still reads, and what failed did not happen. */
static unsigned fill_up(st_store *store, unsigned n) {
  st_key got;
  int64_t keys = 0;
  while (n < 100000 && create(store, n) == ST_STORE_OK) {
    n++;
  }
  REQUIRE(n < 100000);
  REQUIRE(strstr(error, "cannot write") != NULL && strstr(error, db) != NULL);
  REQUIRE(create(store, n) == ST_STORE_FAILED);
  for (unsigned i = 0; i < n; i++) {
    REQUIRE(found_by_digest(store, i, &got) == ST_STORE_OK);
  }
  REQUIRE(found_by_digest(store, n, &got) == ST_STORE_NOT_FOUND);
  REQUIRE(found_by_sub(store, n, &got) == ST_STORE_NOT_FOUND);
  REQUIRE(st_store_key_count(store, &keys, error) == ST_STORE_OK && keys == n);
  return n;
}

static void a_write_error_changes_nothing(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(st_store_open(db, true, &store, error) == ST_STORE_OK);
    limit_file_size(300000);
    unsigned n = fill_up(store, 0);
    REQUIRE(n > 5);
    limit_file_size(RLIM_INFINITY);
    REQUIRE(create(store, n) == ST_STORE_OK);
    REQUIRE(delete_key(store, 0) == ST_STORE_OK);
    st_store_close(store);
    _exit(0);
  }
  assert_child(child);
  st_store *store = open_store();
  st_key got;
  assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_REVOKED);
  assert_int_equal(found_by_digest(store, 1, &got), ST_STORE_OK);
  st_store_close(store);
}

static void a_creation_without_room_can_be_repeated(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t size = 0; size < 40000; size += 1500) {
      st_store *store = NULL;
      limit_file_size(size);
      if (st_store_open(db, true, &store, error) != ST_STORE_OK) {
        REQUIRE(store == NULL && strstr(error, db) != NULL);
      }
      st_store_close(store);
    }
    _exit(0);
  }
  assert_child(child);
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  st_store_close(store);
}

/* Does anything in home begin with this name? */
static bool has_files_of(const char *name) {
  DIR *listing = opendir(home);
  struct dirent *entry;
  bool found = false;
  REQUIRE(listing != NULL);
  while ((entry = readdir(listing)) != NULL) {
    found = found || strncmp(entry->d_name, name, strlen(name)) == 0;
  }
  (void)closedir(listing);
  return found;
}

/* A disk of its own, in a mount namespace of its own; exit 77 where that is not
 * allowed, as to anybody but root.
 */
static void fill_a_disk(void) {
  if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", home, "tmpfs", 0, "size=512k,mode=0700") != 0) {
    _exit(77);
  }
  st_store *store = NULL;
  REQUIRE(st_store_open(db, true, &store, error) == ST_STORE_OK);
  REQUIRE(st_store_ready(store, error));
  unsigned n = fill_up(store, 0);
  REQUIRE(n > 5);
  REQUIRE(!st_store_ready(store, error));
  REQUIRE(strstr(error, "full") != NULL || create(store, n) == ST_STORE_FAILED);
  REQUIRE(strstr(error, "database or disk is full") != NULL);
  REQUIRE(st_store_backup(store, in_home("copy"), NULL, error) == ST_STORE_FAILED);
  REQUIRE(!has_files_of("copy")); /* C10 */
  REQUIRE(mount("tmpfs", home, "tmpfs", MS_REMOUNT, "size=8m,mode=0700") == 0);
  REQUIRE(st_store_ready(store, error));
  REQUIRE(create(store, n) == ST_STORE_OK);
  st_store_close(store);
  _exit(0);
}

static void a_full_disk_changes_nothing(void **state) {
  (void)state;
  int status = -1;
  pid_t child = fork();
  if (child == 0) {
    fill_a_disk();
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    print_message("skipped: no disk can be mounted here\n");
    skip();
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_lock_held_too_long_is_an_error(void **state) {
  (void)state;
  make_db(1);
  st_store *store = open_store();
  st_key got;
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
  assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(create(store, 1), ST_STORE_BUSY); /* after 5 s */
  assert_non_null(strstr(error, "locked for too long"));
  assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_OK);
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
  assert_int_equal(create(store, 1), ST_STORE_OK);
  st_store_close(store);
}

typedef struct looker {
  st_store *store;
  atomic_bool *over;
  char error[ST_ERROR_MAX];
} looker;

static void *look_often(void *context) {
  looker *l = context;
  while (!atomic_load(l->over)) {
    if (!st_store_ready(l->store, l->error)) return l;
  }
  return NULL;
}

/* C2: a database that grows, is written back, and shrinks, while others look whether it was cut
 * short or overwritten.
 */
static void growing_and_shrinking_is_no_damage(void **state) {
  (void)state;
  enum { LOOKERS = 3, KEYS = 200 };
  make_db(1);
  st_store *store = open_store();
  atomic_bool over = false;
  looker lookers[LOOKERS];
  pthread_t threads[LOOKERS];
  for (size_t i = 0; i < LOOKERS; i++) {
    lookers[i] = (looker){.store = store, .over = &over};
    assert_int_equal(pthread_create(&threads[i], NULL, look_often, &lookers[i]), 0);
  }
  sql_on(db, "CREATE TABLE padding (bytes)");
  for (unsigned n = 1; n <= KEYS; n++) {
    assert_int_equal(create(store, n), ST_STORE_OK);
    if (n % 10 == 0) sql_on(db, "INSERT INTO padding VALUES (zeroblob(300000))");
    if (n % 5 == 0) sql_on(db, "PRAGMA wal_checkpoint(PASSIVE)");
    if (n % 50 == 0) sql_on(db, "DELETE FROM padding; VACUUM; PRAGMA wal_checkpoint(PASSIVE)");
  }
  atomic_store(&over, true);
  for (size_t i = 0; i < LOOKERS; i++) {
    void *failed = NULL;
    assert_int_equal(pthread_join(threads[i], &failed), 0);
    if (failed != NULL) fail_msg("%s", lookers[i].error);
  }
  assert_int_equal(count(store), KEYS + 1);
  st_store_close(store);
}

/* A read transaction that stayed open would hold on to what it read, and the -wal would grow for
 * ever.
 */
static void an_answered_question_holds_nothing(void **state) {
  (void)state;
  make_db(1);
  st_store *store = open_store();
  st_key got;
  sqlite3 *raw = NULL;
  int left = -1, done = -1;
  assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
  assert_int_equal(sqlite3_exec(raw, "SELECT 1 FROM keys", NULL, NULL, NULL), SQLITE_OK);
  for (unsigned n = 0; n < 4; n++) {
    if (n == 0) assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_OK);
    if (n == 1) assert_int_equal(found_by_sub(store, 99, &got), ST_STORE_NOT_FOUND);
    if (n == 2) assert_true(st_store_ready(store, error));
    if (n == 3) assert_int_equal(found_by_digest(store, 99, &got), ST_STORE_NOT_FOUND);
    assert_int_equal(create(store, 1 + n), ST_STORE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(raw, NULL, SQLITE_CHECKPOINT_TRUNCATE, &left, &done),
                     SQLITE_OK);
    assert_int_equal(left, 0);
  }
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(refuses_pages_of_rubbish),
      TEST(refuses_a_file_that_was_cut),
      TEST(survives_flipped_bytes),
      TEST(notices_damage_while_it_runs),
      TEST(refuses_rows_that_do_not_fit),
      TEST(a_revoked_sub_is_refused_even_if_a_key_has_it),
      TEST(a_write_error_changes_nothing),
      TEST(a_creation_without_room_can_be_repeated),
      TEST(a_full_disk_changes_nothing),
      TEST(a_lock_held_too_long_is_an_error),
      TEST(growing_and_shrinking_is_no_damage),
      TEST(an_answered_question_holds_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
