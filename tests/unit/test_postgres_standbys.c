/* A database that says it has standbys. The sessions of these tests find functions and a view of a
 * schema of their own before those of PostgreSQL: so it says of standbys what a test writes into a
 * table, and a commit is answered with a warning when the test wants one. e2e/test_failover.py has
 * real standbys. And what else is told, or asked of one database, when something of it fails.
 */
#include "failing.h"

#include "postgres_fixture.h"

#include "os/log.h"
#include "store/postgres/postgres.h"

static char with_standbys[sizeof pg_location + 200];

static const char pretence[] =
    "CREATE SCHEMA pretence;"
    "CREATE TABLE pretence.says (names text NOT NULL, warns boolean NOT NULL);"
    "INSERT INTO pretence.says VALUES ('', false);"
    "CREATE TABLE pretence.standbys (pid int, application_name text, client_addr inet, state text,"
    " sync_state text);"
    "CREATE VIEW pretence.pg_stat_replication AS SELECT * FROM pretence.standbys;"
    "CREATE FUNCTION pretence.current_setting(name text) RETURNS text LANGUAGE sql AS $$ SELECT"
    " CASE name WHEN 'synchronous_standby_names' THEN (SELECT names FROM pretence.says)"
    " ELSE pg_catalog.current_setting(name) END $$;"
    "CREATE FUNCTION pretence.warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF (SELECT warns FROM pretence.says) THEN RAISE WARNING 'canceling wait'; END IF;"
    " RETURN NULL; END $$;"
    "CREATE FUNCTION pretence.pg_logical_emit_message(t boolean, prefix text, content text)"
    " RETURNS pg_lsn LANGUAGE plpgsql AS $$ BEGIN"
    " IF (SELECT warns FROM pretence.says) THEN RAISE WARNING 'canceling wait'; END IF;"
    " RETURN '0/0'::pg_lsn; END $$";

/* It is synchronous while names is something else than "". */
static void say(const char *names, bool warns) {
  char sql[200];
  snprintf(sql, sizeof sql, "UPDATE pretence.says SET names = '%s', warns = %s", names,
           warns ? "true" : "false");
  pg_do(pg_admin, sql);
}

static int set_up(void **state) {
  if (pg_setup(state) != 0) return -1;
  pg_do(pg_admin, pretence);
  snprintf(with_standbys, sizeof with_standbys,
           "%s%soptions=-c%%20search_path%%3Dpretence,pg_catalog,subtoken,pg_temp", pg_location,
           strchr(pg_location, '?') == NULL ? "?" : "&");
  st_store_set_options(&(st_store_options){.staleness_us = 80000, .cache_bytes = 1 << 20});
  return 0;
}

static int tear_down(void **state) {
  st_store_set_options(&(st_store_options){0});
  return pg_teardown(state);
}

/* ---- what is vouched for ---- */

static void nothing_is_vouched_for_that_no_standby_confirms(void **state) {
  (void)state;
  st_store *store = open_store(with_standbys);
  st_postgres_revocations *r = &((st_postgres *)store)->revocations;
  st_revocation_state now;
  st_revocation_data data;
  make_key(store, 1);
  assert_ok(st_store_revocation_state(store, &now, error));
  assert_int_equal(r->confirmer.time, 0);
  say("a", false);
  for (int i = 0; i < 2; i++) {
    assert_ok(st_store_revocation_state(store, &now, error));
    assert_true(r->synchronous && r->confirmer.time > 0 && now.time == r->confirmer.time);
    assert_ok(st_store_revocation_data(store, &data, error));
    assert_true(data.state.time == r->confirmer.time);
    free(data.hashes);
    free(data.changes);
  }
  say("a", true);
  assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "no standby confirms a commit"));
  assert_int_equal(st_store_revocation_data(store, &data, error), ST_STORE_FAILED);
  say("", true); /* none is wanted any more */
  r->synchronous = false;
  assert_ok(st_store_revocation_state(store, &now, error));
  assert_false(r->synchronous);
  st_store_close(store);
}

/* What the thread hears counts only when it was confirmed: else what is remembered grows old. */
static void what_is_heard_is_confirmed(void **state) {
  (void)state;
  st_store *store = open_store(with_standbys), *other = open_store(pg_location);
  int64_t age_us = 0;
  say("a", false);
  make_key(other, 1);
  for (int i = 0; i < 3; i++) {
    assert_false(is_disabled(store, 1) && i == 0);
    disable_key(other, 1, i % 2 == 0);
    bool disables = i % 2 == 0;
    EVENTUALLY(is_disabled(store, 1) == disables);
  }
  say("a", true);
  EVENTUALLY(st_postgres_watch_age((st_postgres *)store, &age_us, error) && age_us > 600000);
  say("a", false);
  EVENTUALLY(st_postgres_watch_age((st_postgres *)store, &age_us, error) && age_us < 300000);
  st_store_close(other);
  st_store_close(store);
}

/* ---- who is told ---- */

static void standbys_are_told(void **state) {
  (void)state;
  st_store *store = open_store(with_standbys);
  st_store_description d;
  assert_ok(st_store_describe(store, &d, error));
  assert_int_equal(d.standby_count, 0);
  assert_false(d.not_synchronous || d.elsewhere);
  pg_do(pg_admin,
        "INSERT INTO pretence.standbys VALUES (1, 'one', '192.0.2.1', 'streaming', 'sync'),"
        " (2, '', NULL, 'streaming', 'async')");
  say("one", false);
  assert_ok(st_store_describe(store, &d, error));
  assert_int_equal(d.standby_count, 2);
  assert_true(d.not_synchronous && d.elsewhere);
  assert_string_equal(d.standbys[1].name, "one");
  assert_string_equal(d.standbys[1].address, "192.0.2.1");
  assert_string_equal(d.standbys[1].state, "streaming");
  assert_string_equal(d.standbys[1].sync, "sync");
  assert_string_equal(d.standbys[0].name, "process 2");
  assert_string_equal(d.standbys[0].address, "local");
  pg_do(pg_admin,
        "INSERT INTO pretence.standbys SELECT i, repeat('x', 40) || i, NULL, 'streaming',"
        " 'async' FROM generate_series(10, 60) AS i");
  assert_ok(st_store_describe(store, &d, error));
  assert_int_equal(d.standby_count, ST_STORE_STANDBYS_MAX);
  st_store_close(store);
}

static int64_t count_events(const char *event) {
  st_log_count counts[ST_LOG_EVENTS_MAX];
  int64_t lost = 0, count = 0;
  size_t all = st_log_counts(counts, &lost);
  for (size_t i = 0; i < all; i++) {
    if (strcmp(counts[i].event, event) == 0) count += counts[i].count;
  }
  return count;
}

/* Once for each change of who they are, and not when there is none any more. */
static void standbys_that_lose_changes_are_logged(void **state) {
  (void)state;
  int64_t age_us = 0, before = count_events("store_not_synchronous");
  pg_do(pg_admin, "INSERT INTO pretence.standbys VALUES (2, 'two', NULL, 'streaming', 'async')");
  st_store *store = open_store(with_standbys);
  assert_true(st_postgres_watch_age((st_postgres *)store, &age_us, error));
  EVENTUALLY(count_events("store_not_synchronous") == before + 1);
  pg_do(pg_admin,
        "INSERT INTO pretence.standbys SELECT i, repeat('x', 40) || i, NULL, 'streaming',"
        " 'async' FROM generate_series(10, 60) AS i");
  EVENTUALLY(count_events("store_not_synchronous") == before + 2);
  st_store_close(store);
}

static void describe_fails_with_words(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_store_description d;
  st_store_status status = ST_STORE_FAILED;
  FAILING_EACH(
      FAIL_LIBPQ | FAIL_MEMORY, 1,
      {
        error[0] = '\0';
        status = st_store_describe(store, &d, error);
      },
      {
        if (!failed) assert_ok(status);
        if (status != ST_STORE_OK) assert_string_not_equal(error, "");
      });
  st_store_close(store);
}

/* ---- commits ---- */

static st_store_status create(st_store *store, unsigned n) {
  st_audit_context context = context_now();
  uint8_t digest[32];
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  id_of(n, key.id);
  digest_of(n, digest);
  snprintf(key.sub, sizeof key.sub, "%043u", n);
  return st_store_key_create(store, &context, NULL, &key, digest, error);
}

/* A change whose commit was answered with a warning is there, and a later commit shows that it
 * stays; one that nothing confirms is not told to be made.
 */
static void a_change_that_was_warned_of_is_found_out(void **state) {
  (void)state;
  st_store *store = open_store(with_standbys);
  st_postgres_db *d = &((st_postgres *)store)->changes[0];
  st_key key;
  assert_ok(create(store, 1));
  pg_do(pg_admin,
        "CREATE CONSTRAINT TRIGGER warns AFTER INSERT ON made DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW EXECUTE FUNCTION pretence.warn()");
  say("a", true);
  /* The confirmation is warned of as well, up to the second time. */
  pg_do(pg_admin,
        "CREATE SEQUENCE pretence.asked;"
        "CREATE OR REPLACE FUNCTION pretence.pg_logical_emit_message(t boolean, prefix text,"
        " content text) RETURNS pg_lsn LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('pretence.asked') <= 1 THEN RAISE WARNING 'canceling wait'; END IF;"
        " RETURN '0/0'::pg_lsn; END $$");
  assert_ok(create(store, 2));
  assert_true(pg_number("SELECT last_value FROM pretence.asked") >= 2);
  assert_ok(find_key(store, 2, &key));
  /* One that was not made: whoever finds it out leaves its id, and is warned of, too. */
  memset(d->id, 0xAB, sizeof d->id);
  d->commit_us = st_clock_monotonic_us();
  assert_int_equal(st_postgres_resolve(d, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "before the commit"));
  assert_int_equal(pg_number("SELECT count(*) FROM made WHERE at < 0"), 1);
  say("", false);
  assert_ok(create(store, 3));
  st_store_close(store);
}

/* Whoever finds it out is asked again when something fails. */
static void what_became_of_a_change_is_asked_again(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_db *d = &((st_postgres *)store)->changes[0];
  st_store_status status = ST_STORE_FAILED;
  assert_ok(create(store, 1));
  FAILING_EACH(
      FAIL_LIBPQ, failing_step(3),
      {
        d->id[0]++;
        d->commit_us = st_clock_monotonic_us();
        status = st_postgres_resolve(d, error);
      },
      {
        assert_int_equal(status, ST_STORE_FAILED); /* it was not made */
        assert_non_null(strstr(error, "before the commit"));
      });
  assert_ok(create(store, 2));
  st_store_close(store);
}

/* A notice, or a warning of a statement, is none of a commit. */
static void other_notices_mean_nothing(void **state) {
  (void)state;
  st_store *store = open_store(with_standbys);
  pg_do(pg_admin,
        "CREATE FUNCTION pretence.tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE NOTICE 'well'; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER tells AFTER INSERT ON made DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION pretence.tell()");
  long before = pg_number("SELECT count(*) FROM made");
  assert_ok(create(store, 1));
  assert_int_equal(pg_number("SELECT count(*) FROM made"), before + 1);
  st_store_close(store);
}

/* ---- what is removed in parts ---- */

static void old_ids_are_removed_in_parts(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_connection *c = &((st_postgres *)store)->queries.connection;
  st_postgres_purger purger = {0};
  int64_t day_us = INT64_C(86400000000), now_us = day_us;
  char snapshot[200];
  pg_text("SELECT pg_current_snapshot()", snapshot, sizeof snapshot);
  assert_true(st_postgres_connect(c, st_clock_monotonic_us() + INT64_C(60000000)));
  assert_true(st_postgres_purge(c, &purger, snapshot, now_us, INT64_MAX));
  pg_do(pg_admin,
        "INSERT INTO made (id, at) SELECT sha256(i::text::bytea), 1"
        " FROM generate_series(1, 20001) AS i");
  assert_true(st_postgres_purge(c, &purger, snapshot, now_us, INT64_MAX)); /* not yet */
  assert_int_equal(pg_number("SELECT count(*) FROM made WHERE at = 1"), 20001);
  assert_true(st_postgres_purge(c, &purger, snapshot, now_us += day_us, INT64_MAX));
  assert_int_equal(pg_number("SELECT count(*) FROM made WHERE at = 1"), 1);
  assert_int_equal(purger.since_us, day_us); /* the rest is next */
  assert_true(st_postgres_purge(c, &purger, snapshot, now_us, INT64_MAX));
  assert_int_equal(pg_number("SELECT count(*) FROM made WHERE at = 1"), 0);
  assert_int_equal(purger.since_us, now_us);
  bool ok = false;
  FAILING_EACH(
      FAIL_LIBPQ, 1,
      {
        failing_end();
        assert_true(st_postgres_connect(c, st_clock_monotonic_us() + INT64_C(60000000)));
        failing_begin(FAIL_LIBPQ, nth);
        ok = st_postgres_purge(c, &purger, snapshot, now_us += day_us, INT64_MAX);
      },
      {
        assert_true(ok || failed);
        if (!ok) assert_string_not_equal(c->message, "");
      });
  st_postgres_purge_anew(&purger);
  st_store_close(store);
}

/* ---- another hash key ---- */

/* As a snapshot says that was made with another hash key. */
static st_store_status restore(st_store *store, const st_revocation_state *at) {
  st_restore_report report;
  st_audit_context context = context_now();
  st_revocation_snapshot snapshot = {
      .sequence = at->sequence, .hashes = NULL, .count = 0, .life = 3600};
  context.until_us = st_clock_monotonic_us() + INT64_C(60000000);
  memcpy(snapshot.hash_key, at->hash_key, sizeof snapshot.hash_key);
  snapshot.hash_key[0] ^= 1;
  return st_store_restore_revocations(store, &context, &snapshot, &report, error);
}

static void assert_lists_key_1(st_store *store) {
  st_revocation_data data;
  bool listed = false;
  assert_ok(st_store_revocation_data(store, &data, error));
  uint64_t hash = subtoken_revocations_hash(data.state.hash_key,
                                            ST_TEXT("0000000000000000000000000000000000000000001"));
  for (uint32_t i = 0; i < data.count; i++) listed |= data.hashes[i] == hash;
  assert_true(listed);
  free(data.hashes);
  free(data.changes);
}

/* All that is listed gets another hash, or nothing does. */
static void all_is_hashed_anew_or_nothing(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_store_status status = ST_STORE_FAILED;
  st_revocation_state before, after;
  for (unsigned n = 1; n <= 5; n++) make_key(store, n);
  disable_key(store, 1, true);
  assert_ok(st_store_revocation_state(store, &before, error));
  FAILING_EACH(
      FAIL_LIBPQ | FAIL_MEMORY, failing_step(3),
      {
        error[0] = '\0';
        status = restore(store, &before);
      },
      {
        if (!failed) assert_ok(status);
        if (status != ST_STORE_OK) assert_string_not_equal(error, "");
        assert_ok(st_store_revocation_state(store, &after, error));
        bool changed = memcmp(before.hash_key, after.hash_key, sizeof before.hash_key) != 0;
        if (status != ST_STORE_IN_DOUBT) assert_int_equal(changed, status == ST_STORE_OK);
        assert_lists_key_1(store);
        before = after;
      });
  st_store_close(store);
}

/* ---- moments, turns and intervals ---- */

static void a_moment_begins_or_it_is_told_why_not(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_db *moment = NULL;
  FAILING_EACH(
      FAIL_LIBPQ | FAIL_MEMORY, 1,
      {
        error[0] = '\0';
        moment = st_postgres_begin_read(store, error);
      },
      {
        assert_true(moment != NULL || failed);
        if (moment == NULL) assert_string_not_equal(error, "");
        if (moment != NULL) st_postgres_end_read(moment);
      });
  FAILING_EACH(
      FAIL_LIBPQ | FAIL_MEMORY, 1,
      {
        failing_end();
        st_postgres_disconnect(&((st_postgres *)store)->queries.connection);
        error[0] = '\0';
        failing_begin(FAIL_LIBPQ | FAIL_MEMORY, nth);
        moment = st_postgres_acquire_query_db(store, error);
      },
      {
        assert_true(moment != NULL || failed);
        if (moment == NULL) assert_string_not_equal(error, "");
        if (moment != NULL) st_postgres_release_query_db(moment);
      });
  st_store_close(store);
}

static void who_gets_no_turn_is_told(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_semaphore *turn = &((st_postgres *)store)->revocations.turn;
  st_revocation_state now;
  assert_true(st_semaphore_enter(turn, INT64_MAX));
  assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_FAILED);
  assert_non_null(strstr(error, "is being read"));
  st_semaphore_leave(turn);
  assert_ok(st_store_revocation_state(store, &now, error));
  st_store_close(store);
}

static void who_waits_waits_no_longer_than_the_process(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state now;
  assert_ok(st_store_revocation_state(store, &now, error));
  int64_t close_us = st_clock_monotonic_us() + 20000;
  st_store_stop_waiting(store, close_us);
  st_store_wait(store, now.sequence, close_us + INT64_C(600000000));
  assert_true(st_clock_monotonic_us() >= close_us);
  st_store_close(store);
}

static void every_staleness_has_its_interval(void **state) {
  (void)state;
  static const int64_t staleness[] = {1000, 100000, 60000000};
  for (size_t i = 0; i < 3; i++) {
    int64_t age_us = 0;
    st_store_set_options(&(st_store_options){.staleness_us = staleness[i]});
    st_store *store = open_store(pg_location);
    assert_true(st_postgres_watch_age((st_postgres *)store, &age_us, error));
    st_store_close(store);
  }
}

/* Rows that were written: some, more than fit into one step, one that names none, and so many that
 * all is forgotten.
 */
static void whatever_was_written_is_forgotten(void **state) {
  (void)state;
  static const char more[] =
      "INSERT INTO written SELECT pg_current_xact_id(), d FROM (SELECT digest8 AS d FROM written"
      " UNION ALL SELECT i FROM generate_series(1, 600) AS i) AS w";
  static const char *const written[] = {
      "INSERT INTO written SELECT pg_current_xact_id(), digest8 FROM written LIMIT 1", more,
      "INSERT INTO written VALUES (pg_current_xact_id(), NULL)",
      "INSERT INTO written SELECT pg_current_xact_id(), i FROM generate_series(1, 20001) AS i"};
  st_store *store = open_store(pg_location);
  make_key(store, 1);
  disable_key(store, 1, true);
  disable_key(store, 1, false);
  pg_do(pg_admin, "ALTER TABLE written ALTER COLUMN digest8 DROP NOT NULL");
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(is_disabled(store, 1), i % 2 == 1);     /* and remembers it */
    pg_do(pg_admin, "ALTER TABLE keys DISABLE TRIGGER ALL"); /* by which this would be told */
    pg_do(pg_admin, "UPDATE keys SET disabled = 1 - disabled");
    pg_do(pg_admin, "ALTER TABLE keys ENABLE TRIGGER ALL");
    pg_do(pg_admin, written[i]);
    bool disables = i % 2 == 0;
    EVENTUALLY(is_disabled(store, 1) == disables);
  }
  st_store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_is_vouched_for_that_no_standby_confirms),
      TEST(what_is_heard_is_confirmed),
      TEST(standbys_are_told),
      TEST(standbys_that_lose_changes_are_logged),
      PG_TEST(describe_fails_with_words),
      TEST(a_change_that_was_warned_of_is_found_out),
      PG_TEST(what_became_of_a_change_is_asked_again),
      TEST(other_notices_mean_nothing),
      PG_TEST(old_ids_are_removed_in_parts),
      PG_TEST(all_is_hashed_anew_or_nothing),
      PG_TEST(a_moment_begins_or_it_is_told_why_not),
      PG_TEST(who_gets_no_turn_is_told),
      PG_TEST(who_waits_waits_no_longer_than_the_process),
      TEST(every_staleness_has_its_interval),
      TEST(whatever_was_written_is_forgotten),
  };
  return pg_run_tests("postgres_standbys", tests, sizeof tests / sizeof *tests);
}
