/* The file of a store on SQLite: how it is made, and what is refused instead of opened. */
#include "sqlite_fixture.h"

/* ---- made ---- */

static void makes_a_private_file(void **state) {
  (void)state;
  static const char *const suffixes[] = {"", "-wal", "-shm"};
  mode_t old = umask(0);
  st_store *store = open_store();
  umask(old);
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (size_t i = 0; i < 3; i++) {
    char path[310];
    struct stat status;
    snprintf(path, sizeof path, "%s%s", db, suffixes[i]);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
  }
  st_store_close(store);
  assert_int_equal(count_files(), 1);
}

static void a_killed_creation_is_completed(void **state) {
  (void)state;
  for (int round = 0; round < 30; round++) {
    pid_t child = fork();
    if (child == 0) {
      st_store *store = NULL;
      (void)!st_store_open(db, true, &store, error);
      _exit(0);
    }
    struct timespec pause = {0, round * 200000L};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    st_store *store = open_store();
    assert_int_equal(create(store, 1), ST_STORE_OK);
    st_store_close(store);
    assert_int_equal(unlink(db), 0);
  }
}

/* A new file is put in place complete: one that is empty has lost what it held. */
static void an_empty_file_is_refused(void **state) {
  (void)state;
  spill(db, "", 0);
  assert_refused(db, false, "is empty");
  assert_refused(db, true, "is empty");
  assert_holds(db, (const uint8_t *)"", 0);
}

/* POSIX locks go when any descriptor of the file is closed: opening it again, or
 * failing to, must not unlock the first handle.
 */
static void opening_again_keeps_the_locks(void **state) {
  (void)state;
  int gate[2];
  char byte;
  assert_int_equal(pipe(gate), 0);
  pid_t child = fork(); /* before SQLite knows the file, or it would think the locks its own */
  if (child == 0) {
    sqlite3 *raw = NULL;
    close(gate[1]);
    REQUIRE(read(gate[0], &byte, 1) == 0);
    REQUIRE(sqlite3_open(db, &raw) == SQLITE_OK);
    REQUIRE(sqlite3_exec(raw, "SELECT * FROM keys", NULL, NULL, NULL) == SQLITE_OK);
    REQUIRE(sqlite3_close(raw) == SQLITE_OK); /* were it the last one, the -wal would go */
    _exit(0);
  }
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (int i = 0; i < 3; i++) {
    st_store *other = NULL;
    assert_int_equal(st_store_open(db, true, &other, error), ST_STORE_OK);
    st_store_close(other);
  }
  close(gate[0]);
  close(gate[1]);
  assert_child(child);
  assert_int_equal(access(in_home("subtoken.db-wal"), F_OK), 0);
  st_store_close(store);
}

static void is_opened_by_path_or_uri(void **state) {
  (void)state;
  char uri[400];
  st_store *store = NULL;
  st_key got;
  make_db(1);
  snprintf(uri, sizeof uri, "sqlite:%s", db);
  assert_int_equal(st_store_open(uri, false, &store, error), ST_STORE_OK);
  assert_int_equal(found_by_digest(store, 0, &got), ST_STORE_OK);
  st_store_close(store);
  assert_int_equal(count_files(), 1);
}

/* A location of another kind is not repeated when it holds a password. */
static void a_password_in_a_location_is_refused(void **state) {
  (void)state;
  static const char *const uris[] = {"postgres://ann:secret@host/db",
                                     "postgresql://ann:secret@/db"};
  for (size_t i = 0; i < 2; i++) {
    st_store *store = (st_store *)error;
    assert_int_equal(st_store_open(uris[i], true, &store, error), ST_STORE_FAILED);
    assert_null(store);
    assert_non_null(strstr(error, "password"));
    assert_null(strstr(error, "secret"));
  }
  assert_int_equal(count_files(), 0);
}

/* ---- refused ---- */

static void refuses_what_is_not_there(void **state) {
  (void)state;
  assert_refused(db, false, "No such file");
  assert_int_equal(count_files(), 0);
  assert_refused(in_home("no/subtoken.db"), true, "No such file");
  assert_int_equal(symlink("nowhere", in_home("link.db")), 0);
  assert_refused(in_home("link.db"), true, "No such file");
  assert_int_equal(count_files(), 1);
}

static void refuses_what_is_open_to_others(void **state) {
  (void)state;
  static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0666};
  make_db(1);
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    assert_int_equal(chmod(db, modes[i]), 0);
    assert_refused(db, true, "chmod 600");
  }
  assert_int_equal(chmod(db, 0600), 0);
  assert_int_equal(symlink(db, in_home("link.db")), 0);
  st_store *store = NULL;
  assert_int_equal(st_store_open(in_home("link.db"), true, &store, error), ST_STORE_OK);
  st_store_close(store);
  assert_int_equal(chmod(db, 0640), 0);
  assert_int_equal(st_store_open(in_home("link.db"), true, &store, error), ST_STORE_FAILED);
}

/* F3. */
static void trusts_a_group_when_it_is_told_to(void **state) {
  (void)state;
  st_store *store = NULL;
  make_db(1);
  st_store_set_options(&(st_store_options){.trust_group = true});
  assert_int_equal(chmod(db, 0660), 0);
  assert_int_equal(st_store_open(db, true, &store, error), ST_STORE_OK);
  st_store_close(store);
  assert_int_equal(chmod(db, 0664), 0);
  assert_refused(db, true, "chmod 660");
  if (geteuid() == 0) {
    assert_int_equal(chmod(db, 0660), 0);
    assert_int_equal(chown(db, 12345, getegid()), 0);
    assert_int_equal(st_store_open(db, true, &store, error), ST_STORE_OK);
    st_store_close(store);
    assert_int_equal(chmod(db, 0640), 0);
    assert_refused(db, true, "belongs to user 12345");
  }
  st_store_set_options(&(st_store_options){0});
  assert_int_equal(chmod(db, 0660), 0);
  assert_refused(db, true, geteuid() == 0 ? "belongs to" : "chmod 600");
}

static void refuses_what_belongs_to_others(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("skipped: only root can give a file away\n");
    skip();
  }
  make_db(1);
  assert_int_equal(chown(db, 12345, 0), 0);
  assert_refused(db, true, "belongs to user 12345");
}

/* Longer ones than SQLite opens, though the system would. */
static void refuses_a_long_name(void **state) {
  (void)state;
  char deep[300] = "", name[700];
  for (int i = 0; i < 2; i++) {
    snprintf(deep + strlen(deep), sizeof deep - strlen(deep), "%s%0140d", i > 0 ? "/" : "", 0);
    assert_int_equal(mkdir(in_home(deep), 0700), 0);
  }
  snprintf(name, sizeof name, "%s/%0200d", in_home(deep), 0);
  st_store *store = NULL;
  assert_int_equal(st_store_open(name, true, &store, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, ": SQLite opens no name of more than 511 bytes"));
  snprintf(name, sizeof name, "%s/%0100d", in_home(deep), 0);
  assert_int_equal(st_store_open(name, true, &store, error), ST_STORE_OK);
  st_store_close(store);
}

/* Nothing is left beside it that could not be written either. */
static void refuses_what_it_cannot_write(void **state) {
  (void)state;
  if (geteuid() != 0) {
    print_message("skipped: only root can become another user\n");
    skip();
  }
  make_db(1);
  assert_int_equal(chown(home, 1234, 4321), 0);
  assert_int_equal(chown(db, 1234, 4321), 0);
  assert_int_equal(chmod(db, 0400), 0);
  pid_t child = fork();
  if (child == 0) {
    st_store *store = NULL;
    REQUIRE(setgid(4321) == 0 && setuid(1234) == 0);
    REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_FAILED);
    REQUIRE(strstr(error, "cannot read and write") != NULL && strstr(error, "denied") != NULL);
    _exit(0);
  }
  assert_child(child);
  assert_int_equal(count_files(), 1);
}

static void refuses_what_is_no_file(void **state) {
  (void)state;
  assert_refused(home, true, "not a regular file");
  assert_int_equal(mkfifo(db, 0600), 0);
  assert_refused(db, true, "not a regular file");
}

static void leaves_foreign_files_untouched(void **state) {
  (void)state;
  static const char text[] = "this is no database, but somebody needs it";
  size_t len = 0;
  spill(db, text, sizeof text);
  assert_refused(db, true, "restore a backup");
  assert_holds(db, (const uint8_t *)text, sizeof text);
  assert_int_equal(count_files(), 1);

  assert_int_equal(unlink(db), 0);
  sql_on(db, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
  assert_int_equal(chmod(db, 0600), 0);
  uint8_t *before = slurp(db, &len);
  assert_refused(db, true, "is not a database of subtoken");
  assert_holds(db, before, len);
  free(before);
  assert_int_equal(count_files(), 1);

  sql_on(db, "PRAGMA application_id = 1398100564"); /* one bit off */
  assert_refused(db, true, "is not a database of subtoken");
}

static void refuses_a_newer_schema(void **state) {
  (void)state;
  size_t len = 0;
  make_db(1);
  sql_on(db, "PRAGMA user_version = 99");
  uint8_t *before = slurp(db, &len);
  assert_refused(db, true, "use a newer one");
  assert_holds(db, before, len);
  free(before);
  sql_on(db, "PRAGMA user_version = -1");
  assert_refused(db, true, "has schema -1");
}

static void refuses_a_changed_schema(void **state) {
  (void)state;
  make_db(1);
  sql_on(db, "ALTER TABLE keys RENAME COLUMN owner TO possessor");
  assert_refused(db, true, "owner");
  sql_on(db, "ALTER TABLE keys RENAME COLUMN possessor TO owner; DROP TABLE revoked");
  assert_refused(db, true, "no such table");
  sql_on(db, "PRAGMA user_version = 0");
  assert_refused(db, true, "already exists");
}

static void refuses_changes_without_their_file(void **state) {
  (void)state;
  spill(in_home("subtoken.db-wal"), "changes", 7);
  assert_refused(db, true, "is missing");
  assert_int_equal(count_files(), 1);
  spill(db, "", 0);
  assert_refused(db, true, "restore a backup");
}

/* A backup put back beside the -wal of the file it replaces would be mixed with it. */
static void refuses_a_copy_beside_old_changes(void **state) {
  (void)state;
  st_store *store = open_store();
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(st_store_backup(store, in_home("copy"), NULL, error), ST_STORE_OK);
  assert_int_equal(create(store, 2), ST_STORE_OK);
  size_t len = 0;
  uint8_t *wal = slurp(in_home("subtoken.db-wal"), &len);
  st_store_close(store);
  spill(in_home("copy-wal"), wal, len);
  free(wal);
  assert_refused(in_home("copy"), true, "move that away");
  assert_int_equal(unlink(in_home("copy-wal")), 0);
  assert_int_equal(st_store_open(in_home("copy"), false, &store, error), ST_STORE_OK);
  st_store_close(store);
}

static void is_not_ready_without_its_file(void **state) {
  (void)state;
  st_store *store = open_store();
  assert_true(st_store_ready(store, error));
  assert_int_equal(rename(db, in_home("elsewhere")), 0);
  assert_false(st_store_ready(store, error));
  spill(db, "another", 7);
  assert_false(st_store_ready(store, error));
  assert_int_equal(rename(in_home("elsewhere"), db), 0);
  assert_true(st_store_ready(store, error));
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(makes_a_private_file),
      TEST(a_killed_creation_is_completed),
      TEST(an_empty_file_is_refused),
      TEST(opening_again_keeps_the_locks),
      TEST(is_opened_by_path_or_uri),
      TEST(a_password_in_a_location_is_refused),
      TEST(refuses_what_is_not_there),
      TEST(refuses_what_is_open_to_others),
      TEST(trusts_a_group_when_it_is_told_to),
      TEST(refuses_what_belongs_to_others),
      TEST(refuses_a_long_name),
      TEST(refuses_what_it_cannot_write),
      TEST(refuses_what_is_no_file),
      TEST(leaves_foreign_files_untouched),
      TEST(refuses_a_newer_schema),
      TEST(refuses_a_changed_schema),
      TEST(refuses_changes_without_their_file),
      TEST(refuses_a_copy_beside_old_changes),
      TEST(is_not_ready_without_its_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
