/* postgres/watch: what one issuer writes is in force in the others; what is remembered is answered
 * while a failover goes on, and no longer.
 */
#include "postgres_fixture.h"

#include "store/postgres/postgres.h"

/* ---- in force ---- */

static void a_change_is_in_force_here_at_once_and_elsewhere_soon(void **state) {
  (void)state;
  st_store *here = open_store(pg_location), *elsewhere = open_store(pg_location);
  for (unsigned n = 1; n <= 3; n++) {
    make_key(here, n);
    assert_false(is_disabled(here, n));
    assert_false(is_disabled(elsewhere, n));
  }
  for (unsigned n = 1; n <= 3; n++) {
    disable_key(here, n, true);
    assert_true(is_disabled(here, n));
    EVENTUALLY(is_disabled(elsewhere, n));
    disable_key(elsewhere, n, false);
    assert_false(is_disabled(elsewhere, n));
    EVENTUALLY(!is_disabled(here, n));
  }
  st_store_close(here);
  st_store_close(elsewhere);
}

/* By a hand that tells nobody: no notification comes, and the question finds it. */
static void a_row_that_is_written_by_hand_is_noticed(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  make_key(store, 1);
  assert_false(is_disabled(store, 1));
  pg_do(pg_admin, "UPDATE keys SET disabled = 1");
  EVENTUALLY(is_disabled(store, 1));
  pg_do(pg_admin, "UPDATE keys SET disabled = 0");
  EVENTUALLY(!is_disabled(store, 1));
  st_store_close(store);
}

static void a_transaction_that_commits_late_is_noticed(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  make_key(store, 1);
  make_key(store, 2);
  PGconn *late = pg_connect(pg_location);
  pg_do(late, "BEGIN");
  pg_do(late, "UPDATE subtoken.keys SET disabled = 1 WHERE name = 'key 1'");
  for (int round = 0; round < 3; round++) {
    /* Later transactions are seen, so the questions have gone beyond that one. */
    assert_false(is_disabled(store, 1));
    assert_int_equal(is_disabled(store, 2), round % 2 == 1);
    pg_do(pg_admin, "UPDATE keys SET disabled = 1 - disabled WHERE name = 'key 2'");
    EVENTUALLY(is_disabled(store, 2) == (round % 2 == 0));
  }
  pg_do(late, "COMMIT");
  EVENTUALLY(is_disabled(store, 1));
  PQfinish(late);
  st_store_close(store);
}

static void a_key_that_ended_is_revoked_elsewhere_too(void **state) {
  (void)state;
  st_store *here = open_store(pg_location), *elsewhere = open_store(pg_location);
  st_audit_context context = context_now();
  char id[ST_KEY_ID_LEN + 1];
  int64_t sequence = 0;
  st_key key;
  make_key(here, 7);
  assert_ok(find_key(elsewhere, 7, &key));
  id_of(7, id);
  assert_ok(st_store_key_delete(here, &context, id, &sequence, error));
  assert_int_equal(find_key(here, 7, &key), ST_STORE_REVOKED);
  EVENTUALLY(find_key(elsewhere, 7, &key) == ST_STORE_REVOKED);
  subtoken_text sub = {"0000000000000000000000000000000000000000007", ST_SUB_LEN};
  assert_int_equal(st_store_by_sub(elsewhere, sub, &key, error), ST_STORE_REVOKED);
  st_store_close(here);
  st_store_close(elsewhere);
}

/* ---- who waits ---- */

typedef struct waiting {
  st_store *store;
  int64_t sequence;
  _Atomic bool returned;
} waiting;

static void *wait_for_another(void *context) {
  waiting *w = context;
  st_store_wait(w->store, w->sequence, st_clock_monotonic_us() + INT64_C(60000000));
  atomic_store(&w->returned, true);
  return NULL;
}

static void who_waits_is_woken_by_a_change_elsewhere(void **state) {
  (void)state;
  st_store *here = open_store(pg_location), *elsewhere = open_store(pg_location);
  st_revocation_state now;
  make_key(here, 1);
  assert_ok(st_store_revocation_state(elsewhere, &now, error));
  waiting w = {.store = elsewhere, .sequence = now.sequence};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, wait_for_another, &w), 0);
  usleep(400000); /* several questions find the same sequence */
  assert_false(atomic_load(&w.returned));
  disable_key(here, 1, true);
  int64_t last_us = st_clock_monotonic_us() + INT64_C(30000000);
  while (!atomic_load(&w.returned) && st_clock_monotonic_us() < last_us) usleep(1000);
  assert_true(atomic_load(&w.returned));
  pthread_join(thread, NULL);
  st_store_close(here);
  st_store_close(elsewhere);
}

static void waiting_ends_when_the_process_ends(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state now;
  assert_ok(st_store_revocation_state(store, &now, error));
  waiting w = {.store = store, .sequence = now.sequence};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, wait_for_another, &w), 0);
  st_store_stop_waiting(store, st_clock_monotonic_us());
  EVENTUALLY(atomic_load(&w.returned));
  pthread_join(thread, NULL);
  st_store_close(store);
}

/* ---- what is remembered ---- */

static void what_is_remembered_asks_no_database(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_key key;
  make_key(store, 1);
  assert_ok(find_key(store, 1, &key));
  pg_do(pg_admin, "ALTER TABLE keys RENAME TO away");
  for (int i = 0; i < 100; i++) assert_ok(find_key(store, 1, &key));
  assert_int_equal(find_key(store, 2, &key), ST_STORE_FAILED);
  pg_do(pg_admin, "ALTER TABLE away RENAME TO keys");
  assert_int_equal(find_key(store, 2, &key), ST_STORE_NOT_FOUND);
  st_store_close(store);
}

/* A flood of digests that nobody has finds each time that there is none, and is not remembered. */
static void what_is_not_there_is_looked_up_each_time(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_key key;
  assert_int_equal(find_key(store, 1, &key), ST_STORE_NOT_FOUND);
  st_store *other = open_store(pg_location);
  make_key(other, 1);
  assert_ok(find_key(store, 1, &key));
  st_store_close(other);
  st_store_close(store);
}

/* ---- a look-up that is under way ---- */

/* From here on a look-up that has found its row, as it was when the look-up began, waits for who
 * holds the lock 4711. Changes are serializable, and pass.
 */
static void make_look_ups_wait(void) {
  pg_do(pg_admin, "ALTER TABLE keys RENAME TO kept");
  pg_do(pg_admin,
        "CREATE FUNCTION held() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        "  IF current_setting('transaction_isolation') = 'read committed' THEN"
        "    PERFORM pg_advisory_xact_lock_shared(4711); END IF;"
        "  RETURN true; END $$");
  pg_do(pg_admin, "CREATE VIEW keys AS SELECT * FROM kept WHERE held()");
}

typedef struct look_up {
  st_store *store;
  unsigned n; /* of a digest; 0: by the sub of the key 1 */
  st_store_status status;
} look_up;

static st_store_status find_by_sub(st_store *store, st_key *key) {
  subtoken_text sub = {"0000000000000000000000000000000000000000001", ST_SUB_LEN};
  return st_store_by_sub(store, sub, key, error);
}

static void *look_it_up(void *context) {
  look_up *l = context;
  st_key key;
  l->status = l->n != 0 ? find_key(l->store, l->n, &key) : find_by_sub(l->store, &key);
  return NULL;
}

static void rotate_key(st_store *store, unsigned n, unsigned digest_n, int64_t until) {
  st_audit_context context = context_now();
  char id[ST_KEY_ID_LEN + 1];
  uint8_t digest[32];
  id_of(n, id);
  digest_of(digest_n, digest);
  assert_ok(st_store_key_rotate(store, &context, NULL, id, digest, until, NULL, error));
}

/* Everything that was committed before is known there: a sequence that was taken now is. The first
 * answer may be to a question that was under way. */
static void wait_until_it_is_told(st_store *here, st_store *there) {
  st_audit_context context = context_now();
  int64_t sequence = 0;
  if (there == here) return;
  assert_ok(st_store_bump_sequence(here, context.now_us, 0, &sequence, error));
  for (int answers = 0; answers < 2; answers++) {
    st_store_wait(there, sequence - 1, st_clock_monotonic_us() + INT64_C(60000000));
  }
}

/* The key is rotated while a look-up of it waits for its answer, which is of before. */
static void rotate_beside(st_store *here, look_up *l, unsigned digest_n, int64_t until) {
  pthread_t thread;
  pg_do(pg_admin, "SELECT pg_advisory_lock(4711)");
  assert_int_equal(pthread_create(&thread, NULL, look_it_up, l), 0);
  EVENTUALLY(pg_number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                       " AND NOT granted AND objid = 4711") == 1);
  rotate_key(here, 1, digest_n, until);
  wait_until_it_is_told(here, l->store);
  pg_do(pg_admin, "SELECT pg_advisory_unlock(4711)");
  assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Neither by the secret of then, nor by the one before it, nor by the sub; here and elsewhere. */
static void what_was_read_before_a_rotation_is_not_remembered(void **state) {
  (void)state;
  st_store *stores[] = {open_store(pg_location), open_store(pg_location)};
  int64_t later = st_clock_now_us() / 1000000 + 1000;
  unsigned n = 1;
  st_key key;
  make_key(stores[0], 1);
  for (size_t i = 0; i < 2; i++) assert_ok(find_key(stores[i], 1, &key));
  make_look_ups_wait();
  for (size_t i = 0; i < 6; i++) {
    look_up l = {.store = stores[i % 2]};
    rotate_key(stores[0], 1, n + 1, later); /* n + 1 is good, n still */
    wait_until_it_is_told(stores[0], l.store);
    l.n = i < 2 ? n + 1 : i < 4 ? n : 0;
    rotate_beside(stores[0], &l, n + 2, 0);
    assert_ok(l.status);
    for (int again = 0; again < 2; again++) {
      assert_true(find_by_sub(l.store, &key) == ST_STORE_OK && key.old_until == 0);
      assert_int_equal(find_key(l.store, n, &key), ST_STORE_REVOKED);
      assert_int_equal(find_key(l.store, n + 1, &key), ST_STORE_REVOKED);
      assert_ok(find_key(l.store, n + 2, &key));
    }
    n += 2;
  }
  for (size_t i = 0; i < 2; i++) st_store_close(stores[i]);
}

/* ---- a network that is cut ---- */

static void a_cut_is_bridged_and_then_refused_and_healed(void **state) {
  (void)state;
  st_store *store = open_store(pg_through_proxy), *other = open_store(pg_location);
  st_key key;
  make_key(other, 1);
  make_key(other, 2);
  assert_ok(find_key(store, 1, &key));
  uint64_t epoch = st_store_epoch(store);
  proxy_set(PROXY_SWALLOWS);
  disable_key(other, 1, true);
  /* What is remembered is answered, what is not fails within its time. */
  assert_false(is_disabled(store, 1));
  int64_t begun_us = st_clock_monotonic_us();
  assert_int_equal(find_key(store, 2, &key), ST_STORE_FAILED);
  assert_true(st_clock_monotonic_us() - begun_us < INT64_C(30000000));
  assert_false(is_disabled(store, 1));
  EVENTUALLY(find_key(store, 1, &key) == ST_STORE_FAILED);
  assert_non_null(strstr(error, "without an answer"));
  assert_int_equal(key.id[0], 0);
  assert_false(st_store_ready(store, error));
  assert_int_equal(st_store_issued_sequence(store, 1, error), ST_STORE_FAILED);
  proxy_set(PROXY_CARRIES);
  EVENTUALLY(find_key(store, 1, &key) == ST_STORE_OK);
  assert_true(key.disabled);
  assert_ok(find_key(store, 2, &key));
  assert_true(st_store_ready(store, error));
  assert_true(st_store_epoch(store) > epoch);
  st_store_close(other);
  st_store_close(store);
}

static void a_broken_connection_is_made_anew_and_all_is_forgotten(void **state) {
  (void)state;
  st_store *store = open_store(pg_through_proxy);
  st_key key;
  make_key(store, 1);
  for (int round = 0; round < 5; round++) {
    assert_ok(find_key(store, 1, &key));
    uint64_t epoch = st_store_epoch(store);
    /* No trigger, no notification: only the new connection makes it known. */
    pg_do(pg_admin, "ALTER TABLE keys DISABLE TRIGGER ALL");
    pg_do(pg_admin, "UPDATE keys SET disabled = 1 - disabled");
    pg_do(pg_admin, "ALTER TABLE keys ENABLE TRIGGER ALL");
    proxy_cut();
    EVENTUALLY(st_store_epoch(store) > epoch);
    EVENTUALLY(is_disabled(store, 1) == (round % 2 == 0));
  }
  st_store_close(store);
}

/* ---- the questions ---- */

static void a_long_transaction_does_not_make_rows_be_told_again(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  make_key(store, 1);
  PGconn *late = pg_connect(pg_location);
  pg_do(late, "BEGIN");
  pg_do(late, "SELECT pg_current_xact_id()");
  pg_do(pg_admin, "UPDATE keys SET disabled = 1");
  char snapshot[200], sql[600];
  pg_text("SELECT pg_current_snapshot()", snapshot, sizeof snapshot);
  snprintf(sql, sizeof sql, "SELECT count(*) FROM written WHERE xid >= pg_snapshot_xmin('%s')",
           snapshot);
  assert_int_equal(pg_number(sql), 1);
  snprintf(sql, sizeof sql, "PREPARE w AS %s",
           st_postgres_statement_of(ST_POSTGRES_WRITTEN_SINCE)->text);
  pg_do(pg_admin, sql);
  snprintf(sql, sizeof sql, "EXECUTE w('%s', 10)", snapshot);
  PGresult *rows = pg_run(pg_admin, sql);
  assert_int_equal(PQntuples(rows), 0);
  PQclear(rows);
  pg_do(late, "ROLLBACK");
  PQfinish(late);
  st_store_close(store);
}

static void a_look_up_is_one_index(void **state) {
  (void)state;
  static const int which[] = {ST_POSTGRES_READ_BY_DIGEST,
                              ST_POSTGRES_READ_BY_SUB,
                              ST_POSTGRES_READ_REMAINING_BY_DIGEST,
                              ST_POSTGRES_READ_REMAINING_BY_SUB,
                              ST_POSTGRES_READ_REVOKED,
                              ST_POSTGRES_WRITTEN_SINCE,
                              ST_SQL_KEY_COUNT_OWNED_TO,
                              ST_SQL_KEY_COUNT_UNOWNED_TO,
                              ST_SQL_KEY_COUNT_EXPIRING,
                              ST_SQL_KEY_LIST_EXPIRING,
                              ST_SQL_AUDIT_AFTER,
                              ST_SQL_AUDIT_CUT,
                              ST_SQL_KEY_COUNT};
  static const char *const with[] = {
      "'\\x00'", "'a'",         "'\\x00'",      "'a'",     "'a'",     "'5:5:', 10", "'a', 3",
      "'a', 3",  "1, '', 2, 3", "1, 2, 'a', 3", "1, 2, 3", "1, 2, 3", "'', 3"};
  st_store *store = open_store(pg_location);
  pg_do(
      pg_admin,
      "INSERT INTO keys (id, digest, sub, hash, name, owner, permissions, created_at, disabled,"
      " suspended, kind, changed_at) SELECT lpad(i::text, 36, '0'), sha256(i::text::bytea),"
      " lpad(i::text, 43, '0'), i, '', '', '', 0, 0, 0, 0, 0 FROM generate_series(1, 20000) AS i");
  pg_do(pg_admin,
        "INSERT INTO written SELECT pg_current_xact_id(), i FROM generate_series(1, 20000) AS i");
  pg_do(pg_admin, "INSERT INTO revoked SELECT sub, id, 0 FROM keys");
  pg_do(pg_admin, "ANALYZE");
  pg_do(pg_admin, "SET enable_seqscan = off"); /* as in the sessions of the store */
  pg_do(pg_admin, "SET plan_cache_mode = force_generic_plan");
  for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
    char sql[4096], plan[4096] = "";
    snprintf(sql, sizeof sql, "PREPARE q%zu AS %s", i, st_postgres_statement_of(which[i])->text);
    pg_do(pg_admin, sql);
    snprintf(sql, sizeof sql, "EXPLAIN EXECUTE q%zu(%s)", i, with[i]);
    PGresult *rows = pg_run(pg_admin, sql);
    for (int row = 0; row < PQntuples(rows); row++) {
      strncat(plan, PQgetvalue(rows, row, 0), sizeof plan - strlen(plan) - 1);
    }
    PQclear(rows);
    /* Whether anything remains is asked once, of a table that is as good as empty. */
    const char *scan = strstr(plan, "Seq Scan");
    if (scan != NULL && strncmp(scan, "Seq Scan on remaining", 21) == 0)
      scan = strstr(scan + 1, "Seq Scan");
    if (strstr(plan, "Index") == NULL || scan != NULL) fail_msg("%s", plan);
  }
  st_store_close(store);
}

/* What was written before a snapshot is removed once it is ten minutes old, and the ids of changes
 * of more than an hour ago; by one at a time.
 */
static void what_all_have_seen_is_purged(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_connection c = {.store = (st_postgres *)store};
  st_postgres_purger purger = {0};
  char snapshot[200];
  int64_t now_us = INT64_C(1000000), until_us = st_clock_monotonic_us() + INT64_C(60000000);
  make_key(store, 1);
  disable_key(store, 1, true);
  pg_do(pg_admin, "INSERT INTO made (id, at) VALUES ('\\x01', 0)");
  long made = pg_number("SELECT count(*) FROM made"),
       written = pg_number("SELECT count(*) FROM written");
  assert_true(made > 1 && written > 0);
  assert_true(st_postgres_connect(&c, until_us));
  /* Transactions of other databases are of the same snapshots: one that is older may be under way.
   */
  EVENTUALLY(pg_number("SELECT count(*) FROM written"
                       " WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())") == 0);
  pg_text("SELECT pg_current_snapshot()", snapshot, sizeof snapshot);
  assert_true(st_postgres_purge(&c, &purger, snapshot, now_us, until_us)); /* the first it sees */
  disable_key(store, 1, false);
  assert_true(st_postgres_purge(&c, &purger, snapshot, now_us + 599000000, until_us));
  assert_int_equal(pg_number("SELECT count(*) FROM written"), written + 1);
  pg_do(pg_admin, "BEGIN");
  pg_do(pg_admin, "SELECT pg_advisory_xact_lock(1400201808)"); /* another issuer does */
  assert_true(st_postgres_purge(&c, &purger, snapshot, now_us + 600000000, until_us));
  pg_do(pg_admin, "COMMIT");
  assert_int_equal(pg_number("SELECT count(*) FROM written"), written + 1);
  assert_true(st_postgres_purge(&c, &purger, snapshot, now_us + INT64_C(1200000000), until_us));
  assert_int_equal(pg_number("SELECT count(*) FROM written"), 1);
  assert_int_equal(pg_number("SELECT count(*) FROM made WHERE at = 0"), 0);
  assert_int_equal(pg_number("SELECT count(*) FROM made"), made); /* one more, one less */
  st_postgres_purge_anew(&purger);
  st_postgres_disconnect(&c);
  st_store_close(store);
}

static void nothing_is_asked_before_the_first_question(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  long sessions = pg_number(
      "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
      " AND application_name LIKE 'subtoken%'");
  assert_int_equal(sessions, 1);
  st_store_close(store);
}

/* A line that has its id and is not committed yet holds those back that come after it. */
static void who_follows_the_audit_log_misses_no_line(void **state) {
  (void)state;
  static st_audit_line lines[8];
  st_store *store = open_store(pg_location);
  st_audit_place place = {0};
  size_t count = 0;
  make_key(store, 1);
  do { /* whatever else runs in this cluster */
    size_t more = 0;
    assert_int_equal(st_store_audit_follow(store, &place, 8, lines, &more, error), ST_STORE_OK);
    count += more;
  } while (place.unsettled != 0);
  assert_int_equal(count, 1);
  pg_do(pg_admin, "BEGIN");
  pg_do(pg_admin,
        "INSERT INTO audit (at, who, origin, action, target, detail)"
        " VALUES (0, '', '', 'slow', '', '')");
  make_key(store, 2);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(st_store_audit_follow(store, &place, 8, lines, &count, error), ST_STORE_OK);
    assert_true(count == 0 && place.unsettled != 0);
  }
  pg_do(pg_admin, "COMMIT");
  count = 0;
  for (int tries = 0; count == 0 && tries < 100000; tries++) { /* others of this cluster may run */
    assert_int_equal(st_store_audit_follow(store, &place, 1, lines, &count, error), ST_STORE_OK);
  }
  assert_string_equal(lines[0].action, "slow");
  count = 0;
  for (int tries = 0; count == 0 && tries < 100000; tries++) {
    assert_int_equal(st_store_audit_follow(store, &place, 8, lines, &count, error), ST_STORE_OK);
  }
  assert_int_equal(count, 1);
  assert_string_equal(lines[0].action, "key.create");
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PG_TEST(a_change_is_in_force_here_at_once_and_elsewhere_soon),
      PG_TEST(a_row_that_is_written_by_hand_is_noticed),
      PG_TEST(a_transaction_that_commits_late_is_noticed),
      PG_TEST(a_key_that_ended_is_revoked_elsewhere_too),
      PG_TEST(who_waits_is_woken_by_a_change_elsewhere),
      PG_TEST(waiting_ends_when_the_process_ends),
      PG_TEST(what_is_remembered_asks_no_database),
      PG_TEST(what_is_not_there_is_looked_up_each_time),
      PG_TEST(what_was_read_before_a_rotation_is_not_remembered),
      PG_TEST(a_cut_is_bridged_and_then_refused_and_healed),
      PG_TEST(a_broken_connection_is_made_anew_and_all_is_forgotten),
      PG_TEST(a_long_transaction_does_not_make_rows_be_told_again),
      PG_TEST(a_look_up_is_one_index),
      PG_TEST(who_follows_the_audit_log_misses_no_line),
      PG_TEST(what_all_have_seen_is_purged),
      PG_TEST(nothing_is_asked_before_the_first_question),
  };
  return pg_run_tests("postgres_watch", tests, sizeof tests / sizeof *tests);
}
