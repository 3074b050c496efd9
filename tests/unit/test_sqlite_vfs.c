/* The files of a store through a file system that is not as others are, or not as it was: a VFS in
 * front of SQLite's own, which answers for the database what a test wants. What is not ours or not
 * whole is not opened, what is not as it was is not answered from, and both say what is wrong.
 */
#include "sqlite_fixture.h"

#include "os/clock.h"
#include "store/sqlite/sqlite.h"

/* ---- the VFS ---- */

/* What it answers for the main file of a database. */
static struct {
  int open, read, size, moved, map; /* codes of SQLite, in place of the file's own */
  long opens;                       /* so many go well before */
  void (*alter)(uint8_t header[ST_SQLITE_HEADER_LEN]);
  int64_t shorter;
  int fails_write; /* a code, for every file */
  bool no_index;   /* it maps no memory, so that there is no WAL */
  bool hurries;    /* nobody sleeps */
  long slept;
} is;

static sqlite3_vfs *real_vfs;
static const sqlite3_io_methods *real; /* of the files of unix that have a path */

static int file_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at) {
  int code = real->xRead(file, out, len, at);
  if (at != 0 || len != ST_SQLITE_HEADER_LEN) return code;
  if (is.alter != NULL) is.alter(out);
  return is.read != SQLITE_OK ? is.read : code;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
  int code = real->xFileSize(file, size);
  *size -= is.shorter;
  return is.size != SQLITE_OK ? is.size : code;
}

static int file_control(sqlite3_file *file, int what, void *out) {
  int code = real->xFileControl(file, what, out);
  if (what == SQLITE_FCNTL_HAS_MOVED && is.moved != 0) *(int *)out = 1;
  return code;
}

static int file_map(sqlite3_file *file, int at, int size, int extend, void volatile **out) {
  return is.map != SQLITE_OK ? is.map : real->xShmMap(file, at, size, extend, out);
}

static int file_write(sqlite3_file *file, const void *data, int len, sqlite3_int64 at) {
  return is.fails_write != SQLITE_OK ? is.fails_write : real->xWrite(file, data, len, at);
}

/* Those that were not opened have no methods. */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  static sqlite3_io_methods with, without;
  (void)vfs;
  file->pMethods = NULL;
  if ((flags & SQLITE_OPEN_MAIN_DB) != 0 && is.open != SQLITE_OK && is.opens-- <= 0) return is.open;
  int code = real_vfs->xOpen(real_vfs, name, file, flags, out);
  if (code != SQLITE_OK || name == NULL || (flags & SQLITE_OPEN_MAIN_DB) == 0) return code;
  real = file->pMethods;
  with = *real;
  with.xRead = file_read;
  with.xWrite = file_write;
  with.xFileSize = file_size;
  with.xFileControl = file_control;
  with.xShmMap = file_map;
  without = with;
  without.iVersion = 1;
  file->pMethods = is.no_index ? &without : &with;
  return code;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
  (void)vfs;
  is.slept++;
  return is.hurries ? us : real_vfs->xSleep(real_vfs, us);
}

static sqlite3_vfs between;

static int set_up(void **state) {
  memset(&is, 0, sizeof is);
  is.hurries = true;
  real_vfs = sqlite3_vfs_find("unix");
  if (real_vfs == NULL) return -1;
  between = *real_vfs;
  between.zName = "between";
  between.pNext = NULL;
  between.xOpen = vfs_open;
  between.xSleep = vfs_sleep;
  return sqlite3_vfs_register(&between, 1) == SQLITE_OK ? make_home(state) : -1;
}

static int tear_down(void **state) {
  return sqlite3_vfs_unregister(&between) == SQLITE_OK ? remove_home(state) : -1;
}

/* ---- opening ---- */

static void assert_says(const char *text) {
  if (strstr(error, text) == NULL || strstr(error, db) == NULL) {
    fail_msg("\"%s\" does not name %s and say \"%s\"", error, db, text);
  }
}

static void what_cannot_be_read_is_not_opened(void **state) {
  (void)state;
  make_db(1);
  is.open = SQLITE_CANTOPEN;
  assert_refused(db, true, "unable to open");
  is.opens = 1; /* it is looked at, and then cannot be opened */
  assert_refused(db, true, "unable to open");
  is.open = SQLITE_OK;
  is.read = SQLITE_IOERR_READ;
  assert_refused(db, true, "disk I/O error");
  is.read = SQLITE_OK;
  st_store_close(open_store());
}

static void without_any_vfs_nothing_is_opened(void **state) {
  (void)state;
  sqlite3_vfs *all[16];
  size_t count = 0;
  make_db(1);
  for (; count < 16 && (all[count] = sqlite3_vfs_find(NULL)) != NULL; count++) {
    assert_int_equal(sqlite3_vfs_unregister(all[count]), SQLITE_OK);
  }
  st_store *store = NULL;
  st_store_status status = st_store_open(db, false, &store, error);
  while (count-- > 0) assert_int_equal(sqlite3_vfs_register(all[count], 1), SQLITE_OK);
  assert_int_equal(status, ST_STORE_FAILED);
  assert_says("cannot open");
  st_store_close(open_store());
}

static void what_is_replaced_meanwhile_is_not_opened(void **state) {
  (void)state;
  make_db(1);
  is.moved = 1;
  assert_refused(db, true, "was replaced while it was being opened");
  is.moved = 0;
  st_store_close(open_store());
}

static void without_shared_memory_nothing_is_opened(void **state) {
  (void)state;
  is.no_index = true;
  assert_refused(db, true, "its journal cannot be wal there");
  assert_int_equal(count_files(), 0);
  is.no_index = false;
  st_store_close(open_store());
}

/* Of a large one the pages are not all looked at. */
static void a_large_file_is_opened_quickly(void **state) {
  (void)state;
  st_key key;
  make_db(60);
  assert_int_equal(truncate(db, (64 << 20) + 4096), 0);
  st_store *store = open_store();
  assert_int_equal(found_by_digest(store, 7, &key), ST_STORE_OK);
  st_store_close(store);
}

static void what_is_below_a_file_is_not_opened(void **state) {
  (void)state;
  char below[400];
  make_db(1);
  snprintf(below, sizeof below, "%s/subtoken.db", db);
  assert_refused(below, true, "Not a directory");
}

/* A header that says what is not so of its pages. */
static void say_one(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  header[16] = 0, header[17] = 1; /* pages of 65,536 bytes */
}

static void say_copy(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  header[18] = 1, header[19] = 2;
}

static void half_a_header_is_no_reason(void **state) {
  (void)state;
  int64_t size = 0;
  make_db(1);
  is.alter = say_one; /* it need not be many of these */
  assert_int_equal(st_sqlite_check_file(db, false, &size, error), ST_STORE_OK);
  is.alter = say_copy; /* a copy says both, and one that others wrote says neither */
  spill(in_home("subtoken.db-wal"), "x", 1);
  assert_int_equal(st_sqlite_check_file(db, false, &size, error), ST_STORE_OK);
  assert_int_equal(size % 4096, 0);
  assert_int_equal(unlink(in_home("subtoken.db-wal")), 0);
  /* A journal has what a file that was cut lacks. */
  is.alter = NULL;
  assert_int_equal(truncate(db, size - 1), 0);
  assert_int_equal(st_sqlite_check_file(db, false, &size, error), ST_STORE_FAILED);
  assert_says("it was cut short");
  spill(in_home("subtoken.db-journal"), "x", 1);
  assert_int_equal(st_sqlite_check_file(db, false, &size, error), ST_STORE_OK);
}

/* Where memory cannot be mapped from outside, each question asks SQLite itself. */
static void without_an_index_questions_are_answered_all_the_same(void **state) {
  (void)state;
  st_key key;
  make_db(2);
  st_store *store = open_store();
  st_sqlite_reader *r = &((st_sqlite *)store)->readers[0];
  assert_non_null(st_sqlite_wal_index_find(r->connection));
  is.map = SQLITE_IOERR_SHMMAP;
  assert_null(st_sqlite_wal_index_find(r->connection));
  is.map = SQLITE_OK;
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) ((st_sqlite *)store)->readers[i].wal_index = NULL;
  for (unsigned n = 0; n < 2; n++) {
    assert_int_equal(found_by_digest(store, n, &key), ST_STORE_OK);
    assert_int_equal(set_disabled(store, n, true), ST_STORE_OK);
    assert_int_equal(found_by_digest(store, n, &key), ST_STORE_OK);
    assert_true(key.disabled);
  }
  st_store_close(store);
}

/* ---- while it is in use ---- */

static void assert_not_ready(st_store *store, const char *text) {
  st_key key;
  error[0] = '\0';
  assert_false(st_store_ready(store, error));
  assert_says(text);
  assert_int_equal(create(store, 7), ST_STORE_FAILED);
  assert_says(text);
  assert_int_equal(st_store_backup(store, in_home("copy"), NULL, error), ST_STORE_FAILED);
  if (is.read == SQLITE_OK && is.size == SQLITE_OK) assert_says(text); /* else SQLite says it */
  assert_int_equal(access(in_home("copy"), F_OK), -1);
  assert_int_equal(find(store, 0, &key), ST_STORE_FAILED);
}

static void assert_well(st_store *store) {
  static unsigned n = 100;
  st_key key;
  if (!st_store_ready(store, error)) fail_msg("%s", error);
  assert_int_equal(create(store, ++n), ST_STORE_OK);
  assert_int_equal(find(store, n, &key), ST_STORE_OK);
}

static void alter_counter(uint8_t header[ST_SQLITE_HEADER_LEN], bool both) {
  header[24] = 0xff; /* before whatever was */
  if (both) header[92] = 0xff;
}

static void say_torn(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  alter_counter(header, false);
}

static void say_older(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  alter_counter(header, true);
}

static void say_foreign(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  header[68] ^= 1;
}

static void say_no_wal_to_write(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  header[18] = 1;
}

static void say_no_wal_to_read(uint8_t header[ST_SQLITE_HEADER_LEN]) {
  header[19] = 1;
}

static const char overwritten[] = "was overwritten or cut short while it was in use";

static void what_is_not_as_it_was_is_not_answered_from(void **state) {
  (void)state;
  static void (*const alters[])(uint8_t *) = {say_older, say_foreign, say_no_wal_to_write,
                                              say_no_wal_to_read};
  make_db(3);
  st_store *store = open_store();
  assert_well(store);
  for (size_t i = 0; i < sizeof alters / sizeof *alters; i++) {
    is.alter = alters[i];
    assert_not_ready(store, overwritten);
    is.alter = NULL;
    assert_well(store);
  }
  is.shorter = 4096;
  assert_not_ready(store, overwritten);
  is.shorter = 0;
  is.read = SQLITE_IOERR_SHORT_READ; /* what is there says all that is wanted */
  assert_well(store);
  is.read = SQLITE_OK;
  st_store_close(store);
}

static void what_cannot_be_looked_at_is_not_answered_from(void **state) {
  (void)state;
  make_db(3);
  st_store *store = open_store();
  assert_well(store);
  is.alter = say_torn;
  assert_not_ready(store, "cannot be read");
  is.alter = NULL;
  assert_well(store);
  is.read = SQLITE_IOERR_READ;
  assert_not_ready(store, "cannot be read");
  is.read = SQLITE_OK;
  is.size = SQLITE_IOERR_FSTAT;
  assert_not_ready(store, "cannot be read");
  is.size = SQLITE_OK;
  assert_well(store);
  is.moved = 1;
  assert_not_ready(store, "was replaced while it was in use");
  is.moved = 0;
  assert_well(store);
  st_store_close(store);
}

/* Each of the files by its device and its number; with no look at them something else is said. */
static void each_file_must_be_the_one_that_was_opened(void **state) {
  (void)state;
  make_db(3);
  st_store *store = open_store();
  st_sqlite *sqlite = (st_sqlite *)store;
  for (size_t i = 0; i < ST_SQLITE_FILES; i++) {
    const char *text = i == 0 ? "was replaced while it was in use" : "has lost its -wal or -shm";
    sqlite->files[i].opened.st_dev++;
    assert_not_ready(store, text);
    sqlite->files[i].opened.st_dev--;
    sqlite->files[i].opened.st_ino++;
    assert_not_ready(store, text);
    sqlite->files[i].opened.st_ino--;
    char *name = sqlite->files[i].name, other[400];
    snprintf(other, sizeof other, "%s/below", db); /* below a file there is none */
    sqlite->files[i].name = other;
    assert_not_ready(store, text);
    memset(other, 'x', 300); /* a name that no file has */
    other[0] = '/', other[300] = '\0';
    assert_not_ready(store, "cannot be looked at");
    sqlite->files[i].name = name;
    assert_well(store);
  }
  st_store_close(store);
}

/* After a VACUUM it is shorter, and says so. */
static void what_shrinks_by_itself_is_in_place(void **state) {
  (void)state;
  struct stat before, after;
  make_db(3);
  sql_on(db, "CREATE TABLE padding (bytes); INSERT INTO padding VALUES (zeroblob(300000))");
  st_store *store = open_store();
  assert_well(store);
  assert_int_equal(stat(db, &before), 0);
  sql_on(db, "DROP TABLE padding; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
  assert_int_equal(stat(db, &after), 0);
  assert_true(after.st_size < before.st_size);
  assert_well(store);
  st_store_close(store);
}

/* ---- journals ---- */

static void a_journal_that_cannot_be_changed_is_told(void **state) {
  (void)state;
  st_store *store = open_store();
  sqlite3 *raw = NULL;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  assert_int_equal(st_sqlite_connect(db, &raw, error), ST_STORE_OK);
  /* As long as somebody else has it open it cannot leave WAL. */
  is.slept = 0;
  assert_int_equal(st_sqlite_set_journal(db, raw, "delete", error), ST_STORE_FAILED);
  assert_says("locked");
  assert_true(is.slept >= ST_DB_WAIT_MS / ST_SQLITE_RETRY_MS);
  st_store_close(store);
  is.fails_write = SQLITE_IOERR_WRITE; /* only when the statement ends it is written */
  assert_int_equal(st_sqlite_set_journal(db, raw, "delete", error), ST_STORE_FAILED);
  assert_says("I/O");
  is.fails_write = SQLITE_OK;
  assert_int_equal(st_sqlite_set_journal(db, raw, "delete", error), ST_STORE_OK);
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_cannot_be_read_is_not_opened),
      TEST(without_any_vfs_nothing_is_opened),
      TEST(what_is_replaced_meanwhile_is_not_opened),
      TEST(without_shared_memory_nothing_is_opened),
      TEST(a_large_file_is_opened_quickly),
      TEST(what_is_below_a_file_is_not_opened),
      TEST(half_a_header_is_no_reason),
      TEST(without_an_index_questions_are_answered_all_the_same),
      TEST(what_is_not_as_it_was_is_not_answered_from),
      TEST(what_cannot_be_looked_at_is_not_answered_from),
      TEST(each_file_must_be_the_one_that_was_opened),
      TEST(what_shrinks_by_itself_is_in_place),
      TEST(a_journal_that_cannot_be_changed_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
