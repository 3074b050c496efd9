/* What an issuer does whose database has a synchronous standby: before it vouches for anything a
 * small commit has to be answered (confirm.c), whatever fails meanwhile. The cluster of these tests
 * has no standby: the store is told that it has one. e2e/test_failover.py has real ones. And how a
 * wait for a database that is silent ends when the process does.
 */
#include "postgres_fixture.h"

#include "failing.h"

#include "store/postgres/postgres.h"

static st_postgres_revocations *revocations_of(st_store *store) {
  return &((st_postgres *)store)->revocations;
}

static void assert_told(long nth) {
  size_t len = strlen(error);
  if (len == 0 || error[len - 1] == ' ') fail_msg("call %ld: \"%s\"", nth, error);
}

/* ---- confirmed ---- */

static void what_is_vouched_for_was_confirmed_before(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_revocations *r = revocations_of(store);
  st_revocation_state first, now;
  st_revocation_data data;
  assert_ok(st_store_revocation_state(store, &first, error));
  r->synchronous = true;
  r->confirmer.hung = 1; /* no process of PostgreSQL: there is nothing to end */
  assert_ok(st_store_revocation_state(store, &now, error));
  assert_int_equal(r->confirmer.hung, 0);
  assert_true(r->confirmer.time >= first.time && now.time == r->confirmer.time);
  assert_false(r->synchronous); /* as the server says */
  r->synchronous = true;
  assert_ok(st_store_revocation_data(store, &data, error));
  assert_true(data.state.time == r->confirmer.time && data.state.time >= now.time);
  free(data.hashes);
  free(data.changes);
  st_store_close(store);
}

static void without_a_confirmation_nothing_is_vouched_for(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_revocations *r = revocations_of(store);
  st_revocation_state now;
  st_store_status status = ST_STORE_FAILED;
  int64_t last = 0;
  FAILING_EACH(
      FAIL_LIBPQ | FAIL_MEMORY | FAIL_FILES, 1,
      {
        failing_end();
        assert_ok(st_store_revocation_state(store, &now, error));
        last = now.time;
        r->synchronous = true;
        r->confirmer.hung = nth % 2 == 0 ? 0 : 1;
        error[0] = '\0';
        failing_begin(FAIL_LIBPQ | FAIL_MEMORY | FAIL_FILES, nth);
        status = st_store_revocation_state(store, &now, error);
      },
      {
        if (!failed) assert_ok(status);
        if (status != ST_STORE_OK) assert_told(nth);
        assert_true(status != ST_STORE_OK || now.time >= last);
      });
  st_store_close(store);
}

/* It says that it is synchronous each time it is asked, and nobody believes it for ever. */
static void standbys_that_come_and_go(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state now;
  failing_fill = -1; /* numbers are -1: true */
  for (long nth = 1; nth <= 40; nth++) {
    error[0] = '\0';
    failing_begin(FAIL_LIES, nth);
    atomic_store(&failing.burst, 1000);
    st_store_status status = st_store_revocation_state(store, &now, error);
    (void)failing_end();
    if (status != ST_STORE_OK) assert_told(nth);
    revocations_of(store)->synchronous = false;
  }
  assert_ok(st_store_revocation_state(store, &now, error));
  st_store_close(store);
}

/* ---- the thread that hears of others ---- */

/* A lie about what others wrote may be believed; the thread goes on, and learns what comes next. */
static void the_thread_goes_on_after_a_lie(void **state) {
  (void)state;
  st_store *store;
  st_store_set_options(&(st_store_options){.staleness_us = 80000, .cache_bytes = 1 << 20});
  store = open_store(pg_location);
  st_store_set_options(&(st_store_options){0});
  st_revocation_state now;
  for (long nth = 1; nth <= 24; nth++) {
    int64_t until_us = st_clock_monotonic_us() + INT64_C(60000000);
    failing_fill = nth % 2 == 0 ? 0 : -1;
    assert_true(st_store_ready(store, error));
    failing_begin(FAIL_LIES, nth);
    failing_here = false;
    atomic_store(&failing.burst, nth % 3);
    atomic_store(&failing.everywhere, true);
    while (atomic_load(&failing.failed) == 0 && st_clock_monotonic_us() < until_us) usleep(2000);
    assert_true(failing_end());
    assert_ok(st_store_revocation_state(store, &now, error));
    int64_t before = now.sequence;
    assert_ok(st_store_bump_sequence(store, NOW * 1000000 + nth, 0, NULL, error));
    st_store_wait(store, before, st_clock_monotonic_us() + INT64_C(60000000));
    assert_ok(st_store_revocation_state(store, &now, error));
    assert_true(now.sequence > before);
  }
  st_store_close(store);
}

/* ---- interrupted ---- */

static struct {
  st_store *store;
  _Atomic bool ended;
  st_store_status status;
  char error[ST_ERROR_MAX];
} asking;

static void *ask_the_silent(void *unused) {
  st_user user;
  (void)unused;
  asking.status = st_store_user_find(asking.store, ST_TEXT("ann"), &user, asking.error);
  atomic_store(&asking.ended, true);
  return NULL;
}

static void who_waits_for_a_silent_database_can_be_interrupted(void **state) {
  (void)state;
  pthread_t thread;
  st_user user;
  asking.store = open_store(pg_through_proxy);
  assert_int_equal(st_store_user_find(asking.store, ST_TEXT("ann"), &user, error),
                   ST_STORE_NOT_FOUND);
  proxy_set(PROXY_SWALLOWS);
  atomic_store(&asking.ended, false);
  assert_int_equal(pthread_create(&thread, NULL, ask_the_silent, NULL), 0);
  while (!atomic_load(&asking.ended)) {
    st_store_interrupt(asking.store);
    usleep(2000);
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  if (asking.status != ST_STORE_FAILED && asking.status != ST_STORE_BUSY) {
    fail_msg("answered %d: %s", (int)asking.status, asking.error);
  }
  assert_string_not_equal(asking.error, "");
  proxy_set(PROXY_CARRIES);
  assert_int_equal(st_store_user_find(asking.store, ST_TEXT("ann"), &user, error),
                   ST_STORE_NOT_FOUND);
  st_store_close(asking.store);
}

/* ---- who else is connected ---- */

static void peers_are_named(void **state) {
  (void)state;
  char beside[sizeof pg_location + 100];
  st_store_description d;
  snprintf(beside, sizeof beside,
           "%s%sapplication_name=beside&connect_timeout=5&options=-c%%20geqo%%3Doff", pg_location,
           strchr(pg_location, '?') == NULL ? "?" : "&");
  st_store *store = open_store(pg_location), *other = open_store(beside);
  assert_ok(st_store_describe(other, &d, error));
  assert_ok(st_store_describe(store, &d, error));
  bool there = false;
  for (size_t i = 0; i < d.peer_count && i < ST_STORE_PEERS_MAX; i++) {
    there = there || strcmp(d.peers[i].name, "beside") == 0;
  }
  assert_true(there);
  st_store_close(other);
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PG_TEST(what_is_vouched_for_was_confirmed_before),
      PG_TEST(without_a_confirmation_nothing_is_vouched_for),
      PG_TEST(standbys_that_come_and_go),
      PG_TEST(the_thread_goes_on_after_a_lie),
      PG_TEST(who_waits_for_a_silent_database_can_be_interrupted),
      PG_TEST(peers_are_named),
  };
  return pg_run_tests("postgres_confirm", tests, sizeof tests / sizeof *tests);
}
