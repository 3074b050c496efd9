/* postgres/pipeline: the questions of many threads on one connection: each gets its own answer,
 * whatever breaks meanwhile, and none waits without end.
 */
#include "postgres_fixture.h"

#define KEYS 200
#define THREADS 24

typedef struct asker {
  pthread_t thread;
  st_store *store;
  unsigned seed;
  unsigned rounds;
  unsigned wrong, failed, refused; /* refused: too many wait */
  st_store_status status;          /* of the last */
  char error[ST_ERROR_MAX];
} asker;

static void *ask_for_keys(void *context) {
  asker *a = context;
  for (unsigned i = 0; i < a->rounds; i++) {
    unsigned n = (unsigned)rand_r(&a->seed) % KEYS + 1;
    char id[ST_KEY_ID_LEN + 1];
    uint8_t digest[32];
    st_key key;
    id_of(n, id);
    digest_of(n, digest);
    a->status = st_store_by_digest(a->store, digest, &key, a->error);
    a->failed += a->status != ST_STORE_OK;
    a->refused += a->status != ST_STORE_OK && strstr(a->error, "too many wait") != NULL;
    a->wrong += a->status == ST_STORE_OK && strcmp(key.id, id) != 0;
  }
  return NULL;
}

static asker askers[THREADS];

static void start_askers(st_store *store, unsigned rounds) {
  for (unsigned i = 0; i < THREADS; i++) {
    askers[i] = (asker){.store = store, .seed = i + 1, .rounds = rounds};
    assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_for_keys, &askers[i]), 0);
  }
}

static asker join_askers(void) {
  asker sum = {0};
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(askers[i].thread, NULL);
    sum.wrong += askers[i].wrong;
    sum.failed += askers[i].failed;
    sum.refused += askers[i].refused;
    if (askers[i].failed != 0) memcpy(sum.error, askers[i].error, sizeof sum.error);
  }
  return sum;
}

/* With a cache that holds next to nothing. */
static st_store *open_without_memory(const char *location) {
  st_store_set_options(&(st_store_options){.cache_bytes = 1});
  st_store *store = open_store(location);
  st_store_set_options(&(st_store_options){0});
  return store;
}

/* Each key once, by hand: it is quicker. */
static void make_keys(void) {
  char sql[900];
  snprintf(
      sql, sizeof sql,
      "INSERT INTO keys (id, digest, sub, hash, name, owner, permissions, created_at, disabled,"
      " suspended, kind, changed_at) SELECT upper(lpad(to_hex(i), 8, '0') || '-ABCD-ABCD-ABCD-'"
      " || lpad(to_hex(i), 12, '0')), decode(lpad(to_hex(i), 2, '0') || '000000'"
      " || repeat('d1', 28), 'hex'), lpad(i::text, 43, '0'), i, 'key ' || i, 'somebody', 'read',"
      " %lld, 0, 0, 0, %lld FROM generate_series(1, %d) AS i",
      (long long)NOW, (long long)NOW, KEYS);
  pg_do(pg_admin, sql);
}

static void each_thread_gets_its_own_answers(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_location);
  make_keys();
  start_askers(store, 300);
  asker sum = join_askers();
  if (sum.wrong != 0 || sum.failed != 0) fail_msg("%u %u %s", sum.wrong, sum.failed, sum.error);
  st_store_close(store);
}

static void connections_that_break_cost_no_answer(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_through_proxy);
  make_keys();
  start_askers(store, 300);
  for (int i = 0; i < 20; i++) {
    usleep(20000);
    proxy_cut();
  }
  asker sum = join_askers();
  if (sum.wrong != 0 || sum.failed != 0) fail_msg("%u %u %s", sum.wrong, sum.failed, sum.error);
  st_store_close(store);
}

static void a_server_that_ends_sessions_costs_no_answer(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_location);
  make_keys();
  start_askers(store, 300);
  for (int i = 0; i < 20; i++) {
    usleep(20000);
    pg_do(pg_admin,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
          " WHERE datname = current_database() AND pid <> pg_backend_pid()");
  }
  asker sum = join_askers();
  if (sum.wrong != 0 || sum.failed != 0) fail_msg("%u %u %s", sum.wrong, sum.failed, sum.error);
  st_store_close(store);
}

/* What the database refuses fails for itself, and nothing that was sent along with it. */
static void *ask_what_is_refused(void *context) {
  asker *a = context;
  subtoken_text sub = {"9999999999999999999999999999999999999999999", ST_SUB_LEN};
  st_key key;
  while (a->rounds-- > 0) {
    a->status = st_store_by_sub(a->store, sub, &key, a->error);
    a->failed += a->status == ST_STORE_FAILED;
    a->wrong += a->status != ST_STORE_FAILED;
  }
  return NULL;
}

static void a_statement_that_is_refused_fails_alone(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_location);
  make_keys();
  pg_do(pg_admin, "ALTER TABLE revoked RENAME TO away");
  asker refused[2];
  start_askers(store, 100);
  for (int i = 0; i < 2; i++) {
    refused[i] = (asker){.store = store, .rounds = 5};
    assert_int_equal(pthread_create(&refused[i].thread, NULL, ask_what_is_refused, &refused[i]), 0);
  }
  asker sum = join_askers();
  for (int i = 0; i < 2; i++) {
    pthread_join(refused[i].thread, NULL);
    assert_int_equal(refused[i].wrong, 0);
    assert_int_equal(refused[i].failed, 5);
    assert_non_null(strstr(refused[i].error, "revoked"));
  }
  if (sum.wrong != 0 || sum.failed != 0) fail_msg("%u %u %s", sum.wrong, sum.failed, sum.error);
  pg_do(pg_admin, "ALTER TABLE away RENAME TO revoked");
  st_store_close(store);
}

/* Of 16 threads 4 may wait for a database that does not answer. */
static void most_threads_are_free_while_nothing_answers(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_through_proxy);
  make_keys();
  st_store_limit_waiting(store, 16);
  st_key key;
  assert_ok(find_key(store, 1, &key));
  proxy_set(PROXY_SWALLOWS);
  assert_int_equal(find_key(store, KEYS + 1, &key), ST_STORE_FAILED);
  start_askers(store, 1);
  asker sum = join_askers();
  assert_int_equal(sum.failed, THREADS);
  assert_in_range(sum.refused, THREADS - 4, THREADS);
  proxy_set(PROXY_CARRIES);
  EVENTUALLY(find_key(store, 2, &key) == ST_STORE_OK);
  st_store_close(store);
}

static void questions_end_when_the_process_ends(void **state) {
  (void)state;
  st_store *store = open_without_memory(pg_through_proxy);
  st_key key;
  make_keys();
  assert_ok(find_key(store, 1, &key));
  proxy_set(PROXY_SWALLOWS);
  start_askers(store, 1);
  usleep(50000);
  st_store_stop_waiting(store, st_clock_monotonic_us());
  asker sum = join_askers();
  assert_int_equal(sum.failed, THREADS);
  st_store_close(store);
}

static void a_sub_that_is_no_text_is_not_found(void **state) {
  (void)state;
  static const char *const subs[] = {
      "000000000000000000000000000000000000000000\xff",
      "00000000000000000000000000000000000000000\xc3\x28",
      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0\0\0\0"};
  st_store *store = open_store(pg_location);
  st_key key;
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(st_store_by_sub(store, (subtoken_text){subs[i], ST_SUB_LEN}, &key, error),
                     ST_STORE_NOT_FOUND);
  }
  st_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PG_TEST(each_thread_gets_its_own_answers),
      PG_TEST(connections_that_break_cost_no_answer),
      PG_TEST(a_server_that_ends_sessions_costs_no_answer),
      PG_TEST(a_statement_that_is_refused_fails_alone),
      PG_TEST(most_threads_are_free_while_nothing_answers),
      PG_TEST(questions_end_when_the_process_ends),
      PG_TEST(a_sub_that_is_no_text_is_not_found),
  };
  return pg_run_tests("postgres_pipeline", tests, sizeof tests / sizeof *tests);
}
