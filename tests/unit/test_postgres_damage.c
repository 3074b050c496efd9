/* postgres/revocation_state, hashes and db: answers of a database that are not as they were
 * written, and those that it gives seldom. A test puts one in place of what PostgreSQL has answered
 * (failing_answer): it is refused as damaged, or taken for what it says, and the next one is well.
 */
#include "failing.h"

#include "postgres_fixture.h"

#include <endian.h>

#include "store/postgres/postgres.h"

/* ---- an answer in place of another ---- */

/* The one that is made of this thread's nth answer with so many columns, from 1. */
typedef struct instead {
  int columns, nth;
  PGresult *result;
} instead;

#define INSTEADS 4
static _Thread_local instead insteads[INSTEADS];
static _Thread_local bool says_synchronous; /* where the revocation data stands, from now on */

/* A row of bytes, each value of so many; -1: NULL. */
static PGresult *make_row(int columns, int rows, const void *const *values, const int *lens) {
  static char name[] = "n";
  PGresAttDesc names[6] = {{.name = name}, {.name = name}, {.name = name},
                           {.name = name}, {.name = name}, {.name = name}};
  PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  assert_int_equal(PQsetResultAttrs(result, columns, names), 1);
  for (int i = 0; i < columns * rows; i++) {
    char *value = (char *)(uintptr_t)values[i];
    assert_int_equal(PQsetvalue(result, i / columns, i % columns, value, lens[i]), 1);
  }
  return result;
}

static PGresult *make_numbers(int columns, int rows, const int64_t *numbers) {
  uint64_t bytes[12];
  const void *values[12];
  int lens[12];
  for (int i = 0; i < columns * rows; i++) {
    bytes[i] = htobe64((uint64_t)numbers[i]);
    values[i] = &bytes[i];
    lens[i] = 8;
  }
  return make_row(columns, rows, values, lens);
}

static PGresult *answer(PGresult *real) {
  for (size_t i = 0; i < INSTEADS; i++) {
    instead *of = &insteads[i];
    if (of->result == NULL || PQnfields(real) != of->columns || --of->nth != 0) continue;
    PQclear(real);
    real = of->result;
    of->result = NULL;
  }
  if (says_synchronous && PQnfields(real) == 6) {
    static const char yes[] = "\1";
    assert_int_equal(PQsetvalue(real, 0, 5, (char *)(uintptr_t)yes, 1), 1);
  }
  return real;
}

static void put(size_t at, int columns, int nth, PGresult *result) {
  failing_answer = answer;
  PQclear(insteads[at].result);
  insteads[at] = (instead){columns, nth, result};
}

/* Each was met. */
static void assert_all_put(void) {
  for (size_t i = 0; i < INSTEADS; i++) assert_null(insteads[i].result);
}

static int put_nothing(void **state) {
  for (size_t i = 0; i < INSTEADS; i++) put(i, 0, 0, NULL);
  says_synchronous = false;
  failing_answer = NULL;
  return pg_teardown(state);
}

/* ---- where the revocation data stands ---- */

enum { STATE = 6, HASHES = 1, PENDING = 2 }; /* their columns; changes have one, too */

static st_store_status data_of(st_store *store, st_revocation_data *data) {
  error[0] = '\0';
  st_store_status status = st_store_revocation_data(store, data, error);
  if (status != ST_STORE_OK) assert_true(data->hashes == NULL && data->changes == NULL);
  assert_all_put();
  return status;
}

static void drop_data(st_revocation_data *data) {
  free(data->hashes);
  free(data->changes);
}

static void assert_well(st_store *store) {
  st_revocation_data data;
  assert_ok(data_of(store, &data));
  assert_int_equal(data.count, 0);
  drop_data(&data);
}

static void a_state_that_cannot_be_is_damage(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  static const int64_t states[][STATE] = {
      {0, 7, 8, 1, NOW, 0},  {-1, 7, 8, 1, NOW, 0}, {5, 7, 8, 0, NOW, 0},
      {5, 7, 8, -1, NOW, 0}, {5, 7, 8, 1, 0, 0},    {5, 7, 8, 1, SUBTOKEN_TIME_MAX + 1, 0},
  };
  st_revocation_state now;
  for (size_t i = 0; i <= sizeof states / sizeof *states; i++) {
    bool none = i == sizeof states / sizeof *states;
    assert_well(store);
    put(0, STATE, 1, make_numbers(STATE, none ? 0 : 1, states[none ? 0 : i]));
    assert_int_equal(st_store_revocation_state(store, &now, error), ST_STORE_FAILED);
    assert_non_null(strstr(error, "is damaged: it has no sequence"));
  }
  static const int64_t good[STATE] = {INT64_MAX, -7, 8, 1, SUBTOKEN_TIME_MAX, 0};
  put(0, STATE, 1, make_numbers(STATE, 1, good));
  assert_ok(st_store_revocation_state(store, &now, error));
  assert_true(now.sequence == INT64_MAX && now.time == SUBTOKEN_TIME_MAX);
  assert_true((int64_t)st_load64(now.hash_key) == -7 && st_load64(now.hash_key + 8) == 8);
  st_store_close(store);
}

/* As after a restore: it lists all, and knows of no change yet. */
static void a_log_that_begins_later_has_nothing(void **state) {
  (void)state;
  static const int64_t later[STATE] = {5, 7, 8, 6, NOW, 0}, in_force[STATE] = {5, 7, 8, 3, NOW, 0};
  st_store *store = open_store(pg_location);
  st_revocation_data data;
  st_revocation_state now;
  st_revocation_change *changes = NULL;
  uint32_t count = 7;
  assert_well(store);
  put(0, STATE, 1, make_numbers(STATE, 1, later));
  assert_ok(data_of(store, &data));
  assert_true(data.since == 6 && data.change_count == 0 && data.changes == NULL);
  drop_data(&data);
  for (int64_t since = 1; since <= 7; since++) {
    put(0, STATE, 1, make_numbers(STATE, 1, in_force));
    st_store_status status =
        st_store_revocation_changes(store, since, &now, &changes, &count, error);
    assert_int_equal(status, since >= 3 && since <= 5 ? ST_STORE_OK : ST_STORE_NOT_FOUND);
    assert_int_equal(count, 0);
    free(changes);
  }
  st_store_close(store);
}

/* ---- what is listed ---- */

static const int64_t one[] = {5}, two[] = {5, 6}, twice[] = {5, 5}, down[] = {6, 5};

typedef struct bad {
  int columns, nth;
  const void *first, *second; /* numbers in the order of this machine */
  int first_len, second_len;
} bad;

static const bad bads[] = {
    {HASHES, 1, one, NULL, 7, 0},   {HASHES, 1, two, NULL, 15, 0},
    {HASHES, 1, NULL, NULL, -1, 0}, {HASHES, 1, twice, NULL, 16, 0},
    {HASHES, 1, down, NULL, 16, 0}, {PENDING, 1, one, one, 7, 8},
    {PENDING, 1, one, one, 8, 7},   {PENDING, 1, NULL, one, -1, 8},
    {PENDING, 1, one, NULL, 8, -1}, {PENDING, 1, down, one, 16, 8},
    {PENDING, 1, one, down, 8, 16}, {PENDING, 1, one, twice, 8, 16},
    {HASHES, 2, one, NULL, 8, 0}, /* the changes: three numbers each */
    {HASHES, 2, two, NULL, 16, 0},  {HASHES, 2, one, NULL, 3, 0},
    {HASHES, 2, NULL, NULL, -1, 0},
};

static void swap_all(const void *from, int len, uint64_t out[2]) {
  for (int i = 0; i < (len + 7) / 8; i++) out[i] = htobe64((uint64_t)((const int64_t *)from)[i]);
}

static void what_is_not_as_it_was_written_is_damage(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_data data;
  for (size_t i = 0; i < 2 * sizeof bads / sizeof *bads; i++) {
    const bad *b = &bads[i / 2];
    uint64_t first[2], second[2];
    swap_all(b->first, b->first_len, first);
    swap_all(b->second, b->second_len, second);
    const void *values[] = {b->first_len < 0 ? NULL : first, b->second_len < 0 ? NULL : second};
    const int lens[] = {b->first_len, b->second_len};
    assert_well(store);
    put(0, b->columns, b->nth,
        make_row(b->columns, i % 2 == 0 ? 1 : 0, values, lens)); /* or none */
    CHECK(data_of(store, &data) == ST_STORE_FAILED, "row %zu", i / 2);
    CHECK(strstr(error, "is damaged: what it lists is not as it was written") != NULL,
          "row %zu: %s", i / 2, error);
  }
  assert_well(store);
  st_store_close(store);
}

/* A part that is full is followed by one that begins behind it, unless nothing can. */
static void parts_follow_each_other(void **state) {
  (void)state;
  enum { PART = 100000 };
  st_store *store = open_store(pg_location);
  st_revocation_data data;
  uint64_t *hashes = malloc(PART * sizeof *hashes);
  const void *values[] = {hashes};
  const int lens[] = {PART * 8}, of_one[] = {8};
  assert_non_null(hashes);
  for (int i = 0; i < PART; i++) hashes[i] = htobe64((uint64_t)(INT64_MAX - PART + 1 + i));
  assert_well(store);
  put(0, HASHES, 1, make_row(HASHES, 1, values, lens)); /* the last is the largest */
  assert_ok(data_of(store, &data));
  assert_int_equal(data.count, PART);
  assert_int_equal(data.hashes[PART - 1], INT64_MAX);
  drop_data(&data);
  for (int i = 0; i < PART; i++) hashes[i] = htobe64((uint64_t)(INT64_C(7) + i));
  for (int64_t next = PART + 6; next <= PART + 7; next++) {
    uint64_t behind = htobe64((uint64_t)next);
    put(0, HASHES, 1, make_row(HASHES, 1, values, lens));
    put(1, HASHES, 2, make_row(HASHES, 1, (const void *const[]){&behind}, of_one));
    assert_int_equal(data_of(store, &data), next == PART + 7 ? ST_STORE_OK : ST_STORE_FAILED);
    if (next == PART + 7) assert_int_equal(data.count, PART + 1);
    drop_data(&data);
  }
  free(hashes);
  st_store_close(store);
}

/* ---- what a large change has left to do ---- */

#define UNIVERSE 10
static const int64_t universe[UNIVERSE] = {INT64_MIN, INT64_MIN + 1, -9, -8, -1, 0, 1, 2,
                                           77,        INT64_MAX};

/* Those of the universe that a mask names. */
static int choose(unsigned mask, uint64_t out[UNIVERSE]) {
  int count = 0;
  for (int i = 0; i < UNIVERSE; i++) {
    if ((mask >> i & 1) != 0) out[count++] = htobe64((uint64_t)universe[i]);
  }
  return count;
}

static void what_is_left_to_do_is_done_in_the_answer(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  uint64_t rng = 16;
  assert_well(store);
  for (int round = 0; round < 200; round++) {
    uint64_t listed[UNIVERSE], lists[2][UNIVERSE];
    unsigned in = (unsigned)random_below(&rng, 1 << UNIVERSE), all = (1 << UNIVERSE) - 1;
    unsigned added = round % 5 == 0 ? 0 : (unsigned)random_below(&rng, 1 << UNIVERSE);
    unsigned dropped = round % 7 == 0 ? 0 : (unsigned)random_below(&rng, 1 << UNIVERSE) & ~added;
    int count = choose(in, listed), add = choose(added, lists[0]), drop = choose(dropped, lists[1]);
    const void *values[] = {lists[0], lists[1]};
    const int lens[] = {8 * add, 8 * drop};
    put(0, HASHES, 1, make_row(HASHES, 1, (const void *const[]){listed}, (const int[]){8 * count}));
    put(1, PENDING, 1, make_row(PENDING, 1, values, lens));
    st_revocation_data data;
    failing_begin(FAIL_MEMORY, round % 3 == 1 ? 2 : 1000);
    st_store_status status = data_of(store, &data);
    if (failing_end()) {
      assert_int_equal(status, ST_STORE_FAILED);
      assert_non_null(strstr(error, "no memory for the revocation data"));
      continue;
    }
    assert_ok(status);
    uint64_t expected[UNIVERSE];
    assert_int_equal(data.count, choose((in & ~dropped & all) | added, expected));
    for (uint32_t i = 0; i < data.count; i++) {
      assert_int_equal(data.hashes[i], be64toh(expected[i]));
    }
    drop_data(&data);
  }
  st_store_close(store);
}

/* ---- connections that break ---- */

static long met, second;
static void fail_a_second_time(unsigned what) {
  (void)what;
  if (++met == second) atomic_store(&failing.left, 1);
}

/* The first call of a connection that was used before fails, and another one on the way: after
 * three tries it is told, and what is answered was confirmed.
 */
static void a_connection_that_breaks_again_and_again(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_postgres_revocations *r = &((st_postgres *)store)->revocations;
  st_revocation_state now;
  int told = 0;
  long failures = 2;
  for (second = 2; failures == 2; second++) {
    assert_well(store);
    put(0, 0, 0, NULL);
    says_synchronous = true;
    r->synchronous = false;
    met = 0;
    failing_noted = fail_a_second_time;
    failing_begin(FAIL_LIBPQ, 1);
    st_store_status status = st_store_revocation_state(store, &now, error);
    failures = atomic_load(&failing.failed);
    assert_true(failing_end());
    failing_noted = NULL;
    says_synchronous = r->synchronous = false;
    if (status == ST_STORE_OK) assert_true(now.time == r->confirmer.time && now.time > 0);
    if (status != ST_STORE_OK) {
      told++;
      assert_non_null(strstr(error, "cannot "));
    }
  }
  assert_true(told > 0 && failures == 1);
  st_store_close(store);
}

/* ---- hash keys ---- */

static st_store_status create(st_store *store) {
  st_audit_context context = context_now();
  uint8_t digest[32];
  st_key key = {.created_at = NOW, .expires_at = ST_NEVER};
  id_of(1, key.id);
  digest_of(1, digest);
  snprintf(key.sub, sizeof key.sub, "%043u", 1);
  error[0] = '\0';
  return st_store_key_create(store, &context, NULL, &key, digest, error);
}

/* A key has the hash of its sub from its beginning on. */
static void without_a_hash_key_no_key_is_made(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  static const int64_t numbers[2] = {7, 8};
  const void *values[] = {NULL, &numbers[1]};
  const int lens[] = {-1, 8};
  st_key found;
  for (int rows = 0; rows < 2; rows++) {
    put(0, 2, 1, make_row(2, rows, values, lens));
    assert_int_equal(create(store), ST_STORE_FAILED);
    assert_all_put();
    assert_non_null(strstr(error, "its settings hold no hash key"));
    assert_int_equal(find_key(store, 1, &found), ST_STORE_NOT_FOUND);
  }
  put(0, 2, 1, make_numbers(2, 1, numbers));
  assert_ok(create(store));
  uint8_t key[SUBTOKEN_HASH_KEY_LEN];
  st_store64(key, 7);
  st_store64(key + 8, 8);
  assert_true(pg_number("SELECT hash FROM keys") ==
              (int64_t)subtoken_revocations_hash(
                  key, ST_TEXT("0000000000000000000000000000000000000000001")));
  st_store_close(store);
}

/* As a snapshot says that was made with another hash key. */
static st_store_status restore(st_store *store, const st_revocation_state *at) {
  st_restore_report report;
  st_audit_context context = context_now();
  st_revocation_snapshot snapshot = {.sequence = at->sequence, .life = 3600};
  context.until_us = st_clock_monotonic_us() + INT64_C(60000000);
  memcpy(snapshot.hash_key, at->hash_key, sizeof snapshot.hash_key);
  snapshot.hash_key[0] ^= 1;
  error[0] = '\0';
  return st_store_restore_revocations(store, &context, &snapshot, &report, error);
}

/* Rows that come in another order could come without end. */
static void rows_that_are_hashed_anew_come_in_their_order(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  st_revocation_state before, now;
  char sub[ST_SUB_LEN + 1], low[ST_KEY_ID_LEN + 1], high[ST_KEY_ID_LEN + 1];
  snprintf(sub, sizeof sub, "%043u", 1);
  id_of(1, low);
  id_of(2, high);
  const struct {
    const char *ids[2];
    bool good;
  } rows[] = {{{low, high}, true},  {{high, low}, false},    {{low, low}, false},
              {{NULL, low}, false}, {{"short", low}, false}, {{"", low}, false},
              {{low, "0"}, false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const void *values[4];
    int lens[4];
    for (int n = 0; n < 2; n++) {
      const char *id = rows[i].ids[n];
      values[2 * n] = id;
      lens[2 * n] = id != NULL ? (int)strlen(id) : -1;
      values[2 * n + 1] = sub;
      lens[2 * n + 1] = ST_SUB_LEN;
    }
    assert_ok(st_store_revocation_state(store, &before, error));
    put(0, 2, 3, make_row(2, 2, values, lens)); /* behind two hash keys */
    st_store_status status = restore(store, &before);
    assert_all_put();
    if (!rows[i].good) assert_int_equal(status, ST_STORE_FAILED);
    if (!rows[i].good) assert_non_null(strstr(error, "a row is not as it was written"));
    if (rows[i].good) assert_ok(status);
    assert_ok(st_store_revocation_state(store, &now, error));
    bool changed = memcmp(before.hash_key, now.hash_key, sizeof now.hash_key) != 0;
    assert_int_equal(changed, rows[i].good);
  }
  st_store_close(store);
}

/* ---- rows that there are none of ---- */

/* The rules look at the columns of a question that failed as at those of no row. */
static void no_row_has_nothing(void **state) {
  (void)state;
  st_store *store = open_store(pg_location);
  const st_db_ops *ops = &st_postgres_db_ops;
  char text[8] = "as it is";
  uint8_t bytes[4];
  st_key key;
  void *rows = NULL;
  st_db *db = st_postgres_acquire_query_db(store, error);
  assert_non_null(db);
  for (int i = 0; i < 3; i++) {
    if (i == 1) {
      failing_begin(FAIL_LIBPQ, 1);
      atomic_store(&failing.burst, 1000);
      assert_int_equal(ops->query(db, ST_SQL_AUDIT_LAST, ST_NO_VALUES, &rows), ST_STORE_FAILED);
      assert_true(failing_end());
      assert_non_null(rows);
    }
    if (i == 2) {
      ops->finish(rows);
      assert_int_equal(ops->query(db, ST_SQL_KEY_FIND, ST_VALUES(st_db_text("no such")), &rows),
                       ST_STORE_NOT_FOUND);
    }
    assert_int_equal(ops->number(rows, 0), 0);
    assert_true(ops->is_null(rows, 0));
    assert_false(ops->text(rows, 0, text, sizeof text) || ops->bytes(rows, 0, bytes, 4) ||
                 ops->key(rows, &key));
  }
  ops->finish(rows);
  st_postgres_release_query_db(db);
  st_store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pg_setup, put_nothing)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_state_that_cannot_be_is_damage),
      TEST(a_log_that_begins_later_has_nothing),
      TEST(what_is_not_as_it_was_written_is_damage),
      TEST(parts_follow_each_other),
      TEST(what_is_left_to_do_is_done_in_the_answer),
      TEST(a_connection_that_breaks_again_and_again),
      TEST(without_a_hash_key_no_key_is_made),
      TEST(rows_that_are_hashed_anew_come_in_their_order),
      TEST(no_row_has_nothing),
  };
  return pg_run_tests("postgres_damage", tests, sizeof tests / sizeof *tests);
}
