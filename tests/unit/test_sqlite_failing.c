/* What only a store in a file asks of others, while it fails (failing.h): the connections that are
 * opened when they are first needed, waits for locks that others hold, and transactions that cannot
 * be ended. Nobody waits for longer than may be, an error says what happened, and once the fault is
 * over the same store answers.
 */
#include "failing.h"

#include "sqlite_fixture.h"

#include "os/clock.h"
#include "store/sqlite/sqlite.h"

#define KINDS (FAIL_ALL & ~(unsigned)FAIL_LIBPQ)

static void assert_says(const char *text) {
  if (strstr(error, text) == NULL) fail_msg("\"%s\" does not say \"%s\"", error, text);
}

static void assert_told(long nth) {
  size_t len = strlen(error);
  if (len == 0 || error[len - 1] == ' ' || strstr(error, "damaged") != NULL ||
      strstr(error, "not an error") != NULL) {
    fail_msg("call %ld: the error says: \"%s\"", nth, error);
  }
}

/* ---- connections that are opened when somebody asks ---- */

static void the_revocation_data_is_read_whole_or_not(void **state) {
  (void)state;
  st_revocation_data data;
  make_db(3);
  st_store *store = open_store();
  assert_int_equal(delete_key(store, 1), ST_STORE_OK);
  st_store_close(store);
  for (long burst = 0; burst <= 200; burst += 200) {
    st_store_status status = ST_STORE_FAILED;
    FAILING_EACH(
        KINDS, 1,
        {
          failing_end();
          store = open_store(); /* that connection is opened anew each time */
          error[0] = '\0';
          failing_begin(KINDS, nth);
          atomic_store(&failing.burst, burst);
          status = st_store_revocation_data(store, &data, error);
        },
        {
          if (!failed) assert_int_equal(status, ST_STORE_OK);
          if (status != ST_STORE_OK) {
            assert_told(nth);
            assert_true(data.hashes == NULL && data.count == 0);
            assert_int_equal(st_store_revocation_data(store, &data, error), ST_STORE_OK);
          }
          assert_int_equal(data.count, 1);
          assert_int_equal(data.hashes[0], data.changes[0].hash);
          free(data.hashes);
          free(data.changes);
          st_store_close(store);
        });
  }
}

/* Who waits goes on waiting, and learns of the next change once the database can be read. */
static void who_waits_learns_of_it_all_the_same(void **state) {
  (void)state;
  make_db(1);
  st_store *other = open_store();
  st_revocation_state now;
  st_store *store = NULL;
  assert_int_equal(st_store_epoch(other), 0);
  FAILING_EACH(
      KINDS, 1,
      {
        failing_end();
        store = open_store();
        assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_OK);
        failing_begin(KINDS, nth);
        st_store_wait(store, now.sequence, st_clock_monotonic_us() + 1000);
      },
      {
        int64_t sequence = 0;
        assert_int_equal(st_store_bump_sequence(other, NOW * INT64_C(1000000), 0, &sequence, error),
                         ST_STORE_OK);
        st_store_wait(store, now.sequence, st_clock_monotonic_us() + INT64_C(60000000));
        assert_int_equal(((st_sqlite *)store)->watch.sequence, sequence);
        /* What ends is not waited for. */
        st_store_stop_waiting(store, st_clock_monotonic_us());
        st_store_wait(store, sequence, st_clock_monotonic_us() + INT64_C(60000000));
        st_store_close(store);
      });
  st_store_close(other);
}

typedef struct waiter {
  pthread_t thread;
  st_store *store;
  int64_t sequence;
} waiter;

static void *wait_for_another(void *context) {
  waiter *w = context;
  st_store_wait(w->store, w->sequence, st_clock_monotonic_us() + INT64_C(60000000));
  return NULL;
}

/* One of them looks at the database, for all. */
static void many_wait_at_a_time(void **state) {
  (void)state;
  enum { WAITERS = 6 };
  waiter waiters[WAITERS];
  st_revocation_state now;
  make_db(1);
  st_store *store = open_store(), *other = open_store();
  assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_OK);
  for (size_t i = 0; i < WAITERS; i++) {
    waiters[i] = (waiter){.store = store, .sequence = now.sequence};
    assert_int_equal(pthread_create(&waiters[i].thread, NULL, wait_for_another, &waiters[i]), 0);
  }
  assert_int_equal(st_store_bump_sequence(other, NOW * INT64_C(1000000), 0, NULL, error),
                   ST_STORE_OK);
  for (size_t i = 0; i < WAITERS; i++) {
    assert_int_equal(pthread_join(waiters[i].thread, NULL), 0);
  }
  assert_true(((st_sqlite *)store)->watch.sequence > now.sequence);
  st_store_close(other);
  st_store_close(store);
}

/* ---- a transaction that cannot be ended ---- */

/* Without memory not even a ROLLBACK runs; whoever is next ends it, or fails. */
static void what_stays_open_is_ended_by_the_next(void **state) {
  (void)state;
  make_db(2);
  st_store *store = open_store();
  st_sqlite *sqlite = (st_sqlite *)store;
  st_revocation_state now;
  st_key key;
  assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_OK);
  sqlite3 *connections[] = {sqlite->queries.connection, sqlite->state, sqlite->changes.connection};
  failing_code = SQLITE_NOMEM;
  for (size_t i = 0; i < 3; i++) {
    for (int fails = 1; fails >= 0; fails--) {
      if (fails != 0) assert_int_equal(sqlite3_exec(connections[i], "BEGIN", NULL, NULL, NULL), 0);
      failing_begin(fails != 0 ? FAIL_SQLITE : 0, i == 1 ? 3 : 1); /* it looks at the file first */
      atomic_store(&failing.burst, 100);
      error[0] = '\0';
      st_store_status status = i == 0   ? find(store, 0, &key)
                               : i == 1 ? st_store_revocation_state(store, &now, error)
                                        : set_disabled(store, 1, true);
      failing_end();
      assert_int_equal(status, fails != 0 ? ST_STORE_FAILED : ST_STORE_OK);
      if (fails != 0) assert_says("out of memory");
    }
    assert_int_equal(sqlite3_get_autocommit(connections[i]), 1);
  }
  failing_code = SQLITE_IOERR;
  st_store_close(store);
}

/* ---- waiting for a lock ---- */

static void who_reads_waits_once_and_not_for_long(void **state) {
  (void)state;
  sqlite3 *reader = NULL, *owner = NULL;
  st_sqlite_wait wait = {0};
  sql_on(db, "CREATE TABLE t (x)"); /* not in WAL mode: who writes locks all of it */
  assert_int_equal(sqlite3_open(db, &reader), SQLITE_OK);
  assert_int_equal(sqlite3_open(db, &owner), SQLITE_OK);
  assert_true(st_sqlite_set_read_wait(reader, &wait));
  for (int round = 0; round < 2; round++) {
    int64_t begun_us = st_clock_monotonic_us();
    assert_int_equal(sqlite3_exec(owner, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
    int64_t until_us = wait.until_us;
    assert_true(until_us > begun_us && wait.last_us >= until_us);
    /* Meanwhile nobody waits again; and much later, as for the first time. */
    for (int i = 0; i < 3; i++) {
      wait.last_us = st_clock_monotonic_us() + INT64_C(3600000000); /* however slow this is */
      assert_int_equal(sqlite3_exec(reader, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_BUSY);
      assert_int_equal(wait.until_us, until_us);
    }
    assert_int_equal(sqlite3_exec(owner, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    wait.last_us = INT64_MIN / 2;
  }
  assert_int_equal(sqlite3_close(reader), SQLITE_OK);
  assert_int_equal(sqlite3_close(owner), SQLITE_OK);
}

/* Who ends the process does not wait for a lock that another holds. */
static void who_writes_waits_no_longer_than_the_process(void **state) {
  (void)state;
  make_db(1);
  st_store *store = open_store();
  sqlite3 *owner = NULL;
  assert_int_equal(sqlite3_open(db, &owner), SQLITE_OK);
  assert_int_equal(sqlite3_exec(owner, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  st_store_stop_waiting(store, st_clock_monotonic_us() + 20000);
  st_audit_context context = *AT(NOW * INT64_C(1000000));
  context.until_us = INT64_MAX;
  assert_int_equal(st_store_key_set_disabled(store, &context, key_of(0).id, true, NULL, error),
                   ST_STORE_BUSY);
  assert_says("locked");
  /* And one whose own time is over does not wait for the end. */
  st_store_stop_waiting(store, INT64_MAX);
  context.until_us = st_clock_monotonic_us() + 15000;
  assert_int_equal(st_store_key_set_disabled(store, &context, key_of(0).id, true, NULL, error),
                   ST_STORE_BUSY);
  assert_int_equal(sqlite3_close(owner), SQLITE_OK);
  st_store_stop_waiting(store, 0);
  assert_int_equal(set_disabled(store, 0, true), ST_STORE_OK);
  st_store_close(store);
}

/* ---- interrupted ---- */

static int interrupt_it(void *store) {
  st_store_interrupt(store);
  return 0;
}

static void what_is_interrupted_is_not_done(void **state) {
  (void)state;
  make_db(20); /* of the user ann: many rows are looked at, and between them an interrupt is seen */
  st_store *store = open_store();
  st_sqlite *sqlite = (st_sqlite *)store;
  sqlite3 *connections[] = {sqlite->changes.connection, sqlite->queries.connection};
  st_user ann = {.key = key_of(500), .password = "$hash$", .locale = "", .source = ""};
  uint8_t digest[32];
  ann.key.kind = ST_KIND_USER;
  snprintf(ann.key.name, sizeof ann.key.name, "ann");
  assert_int_equal(st_store_user_create(store, AT(NOW * INT64_C(1000000)), NULL, false, &ann,
                                        digest_of(500, digest), error),
                   ST_STORE_OK);
  for (size_t i = 0; i < 2; i++) {
    st_key keys[20];
    size_t found = 0;
    sqlite3_progress_handler(connections[i], 1, interrupt_it, store);
    st_store_status status = i == 0 ? st_store_user_set_disabled(store, AT(NOW * INT64_C(1000000)),
                                                                 "ann", true, NULL, error)
                                    : st_store_key_list(store, "ann", "", 20, keys, &found, error);
    sqlite3_progress_handler(connections[i], 0, NULL, NULL);
    assert_int_equal(status, ST_STORE_FAILED);
    assert_says("interrupted");
    assert_int_equal(st_store_key_list(store, "ann", "", 20, keys, &found, error), ST_STORE_OK);
    assert_int_equal(found, 20);
    assert_false(keys[0].suspended);
  }
  volatile int stop = 1;
  int files = count_files();
  assert_int_equal(st_store_backup(store, in_home("copy"), &stop, error), ST_STORE_FAILED);
  assert_says("interrupted");
  assert_int_equal(count_files(), files);
  stop = 0;
  assert_int_equal(st_store_backup(store, in_home("copy"), &stop, error), ST_STORE_OK);
  st_store_close(store);
}

/* ---- backups ---- */

/* While everything fails from a call on, it is told and nothing is left. */
static void a_backup_fails_whole(void **state) {
  (void)state;
  make_db(3);
  st_store *store = open_store();
  int files = count_files();
  st_store_status status = ST_STORE_FAILED;
  FAILING_EACH(
      FAIL_SQLITE | FAIL_PREPARE, 1,
      {
        error[0] = '\0';
        atomic_store(&failing.burst, 100);
        status = st_store_backup(store, in_home("copy"), NULL, error);
      },
      {
        if (!failed) assert_int_equal(status, ST_STORE_OK);
        if (status != ST_STORE_OK) assert_told(nth);
        assert_int_equal(count_files(), status == ST_STORE_OK ? files + 1 : files);
        (void)unlink(in_home("copy"));
      });
  st_store_close(store);
}

/* SQLite reads some names as no file at all. */
static void a_backup_is_a_file_whatever_its_name(void **state) {
  (void)state;
  static const char *const names[] = {"copy", ":memory:", "file:x?mode=memory"};
  int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  make_db(2);
  st_store *store = open_store();
  assert_true(back >= 0);
  assert_int_equal(chdir(home), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_int_equal(st_store_backup(store, names[i], NULL, error), ST_STORE_OK);
    assert_int_equal(access(names[i], F_OK), 0);
  }
  assert_int_equal(fchdir(back), 0);
  close(back);
  st_store_close(store);
}

/* ---- the rest ---- */

static int64_t ask(sqlite3 *raw, const char *sql) {
  int64_t number = -7;
  if (!st_sqlite_ask_integer(raw, sql, &number)) fail_msg("%s: %s", sql, sqlite3_errmsg(raw));
  return number;
}

static void functions_of_nothing_are_nothing(void **state) {
  (void)state;
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(":memory:", &raw), SQLITE_OK);
  assert_true(st_sqlite_add_functions(raw));
  assert_int_equal(ask(raw, "SELECT revocation_hash(1, 2, NULL) IS NULL"), 1);
  assert_int_equal(ask(raw, "SELECT revocation_hash(1, 2, '') IS NULL"), 0);
  for (int i = 0; i < 2; i++) {
    const char *name = i == 0 ? "permissions_within" : "permissions_meet";
    static const char *const of[] = {"NULL, 'a'", "'a', NULL", "NULL, NULL", "'a', 'a,b'"};
    for (size_t j = 0; j < 4; j++) {
      char sql[100];
      snprintf(sql, sizeof sql, "SELECT %s(%s)", name, of[j]);
      assert_int_equal(ask(raw, sql), j == 3);
    }
  }
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

/* A file that others have made meanwhile is left as it is. */
static void a_foreign_schema_is_not_brought_up(void **state) {
  (void)state;
  static const char *const others[] = {"CREATE TABLE other (x)", "PRAGMA user_version = 3",
                                       "PRAGMA application_id = 7"};
  for (size_t i = 0; i < 3; i++) {
    sqlite3 *raw = NULL;
    sql_on(db, others[i]);
    assert_int_equal(st_sqlite_connect(db, &raw, error), ST_STORE_OK);
    assert_int_equal(st_sqlite_update_schema(db, raw, error), ST_STORE_FAILED);
    assert_says("is not a database of subtoken");
    assert_int_equal(ask(raw, "SELECT count(*) FROM sqlite_schema"), i == 0);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
    assert_int_equal(unlink(db), 0);
  }
}

static void what_failed_is_told_with_its_reason(void **state) {
  (void)state;
  static const int codes[] = {SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_READONLY};
  make_db(1);
  st_store *store = open_store();
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    st_key key;
    failing_code = codes[i];
    failing_begin(FAIL_SQLITE, 3); /* the first two look at the file */
    atomic_store(&failing.burst, 100);
    st_store_status status = find(store, 0, &key);
    failing_end();
    assert_int_equal(status, ST_STORE_FAILED);
    assert_says(sqlite3_errstr(codes[i]));
    assert_int_equal(find(store, 0, &key), ST_STORE_OK);
  }
  failing_code = SQLITE_IOERR;
  st_store_close(store);
}

/* As another user, to whom the file may be read alone. */
static void another_user_is_not_ready_to_write(void **state) {
  (void)state;
  int status = -1;
  if (geteuid() != 0) skip();
  make_db(1);
  assert_int_equal(chmod(home, 0755), 0);
  pid_t child = fork();
  if (child == 0) {
    int64_t size = 0;
    st_store *store = NULL;
    REQUIRE(st_store_open(db, false, &store, error) == ST_STORE_OK);
    REQUIRE(st_store_ready(store, error));
    REQUIRE(seteuid(65534) == 0);
    REQUIRE(!st_store_ready(store, error));
    REQUIRE(strstr(error, "cannot write") != NULL && strstr(error, "denied") != NULL);
    REQUIRE(st_sqlite_check_owner(db, false, &size, error) == ST_STORE_OK); /* root's is good */
    REQUIRE(seteuid(0) == 0);
    REQUIRE(st_store_ready(store, error));
    st_store_close(store);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_revocation_data_is_read_whole_or_not),
      TEST(who_waits_learns_of_it_all_the_same),
      TEST(many_wait_at_a_time),
      TEST(what_stays_open_is_ended_by_the_next),
      TEST(who_reads_waits_once_and_not_for_long),
      TEST(who_writes_waits_no_longer_than_the_process),
      TEST(what_is_interrupted_is_not_done),
      TEST(a_backup_fails_whole),
      TEST(a_backup_is_a_file_whatever_its_name),
      TEST(functions_of_nothing_are_nothing),
      TEST(a_foreign_schema_is_not_brought_up),
      TEST(what_failed_is_told_with_its_reason),
      TEST(another_user_is_not_ready_to_write),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
