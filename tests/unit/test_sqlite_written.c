/* What a store on SQLite remembers of keys, and what makes it read one again: the table `written`.
 * What another process does is done here with SQLite alone.
 */
#include "old_schemas.h"
#include "sqlite_fixture.h"

#include "os/clock.h"
#include "store/sqlite/sqlite.h"

/* How many keys it remembers. */
static size_t remembered(st_store *store) {
  return st_key_cache_count(((st_sqlite *)store)->cache);
}

static void sql(const char *text) {
  sql_on(db, text);
}

/* Asks for the keys from 1 on by digest and by sub, twice: what a reader has learnt of before it is
 * not put in its first answer. */
static void ask_for(st_store *store, unsigned keys) {
  st_key key;
  for (unsigned n = 1; n <= 2 * keys; n++) {
    unsigned which = (n - 1) % keys + 1;
    assert_int_equal(found_by_digest(store, which, &key), ST_STORE_OK);
    assert_int_equal(found_by_sub(store, which, &key), ST_STORE_OK);
  }
  assert_int_equal(remembered(store), keys);
}

static st_store *store_with(unsigned keys) {
  st_store *store = open_store();
  for (unsigned n = 1; n <= keys; n++) assert_int_equal(create(store, n), ST_STORE_OK);
  ask_for(store, keys);
  return store;
}

static void assert_name(st_store *store, unsigned n, const char *name) {
  st_key key;
  assert_int_equal(found_by_digest(store, n, &key), ST_STORE_OK);
  assert_string_equal(key.name, name);
  assert_int_equal(found_by_sub(store, n, &key), ST_STORE_OK);
  assert_string_equal(key.name, name);
}

/* Each reader asks, and so learns. */
static void ask_every_reader(st_store *store) {
  for (unsigned n = 1000; n < 1200; n++) {
    st_key key;
    assert_int_equal(found_by_digest(store, n, &key), ST_STORE_NOT_FOUND);
  }
}

static void a_new_key_or_a_last_use_forgets_nothing(void **state) {
  (void)state;
  st_store *store = store_with(50);
  assert_int_equal(create(store, 60), ST_STORE_OK);
  sql("INSERT INTO used (key_id, used_at) SELECT id, 1700000001 FROM keys");
  assert_int_equal(st_store_bump_sequence(store, NOW, 0, NULL, error), ST_STORE_OK);
  ask_every_reader(store);
  assert_int_equal(remembered(store), 50);
  st_store_close(store);
}

static void a_change_forgets_its_key_alone(void **state) {
  (void)state;
  st_key key;
  st_store *store = store_with(50);
  assert_int_equal(set_disabled(store, 1, true), ST_STORE_OK);
  assert_int_equal(delete_key(store, 2), ST_STORE_OK);
  assert_int_equal(replace_sub(store, 3, 70), ST_STORE_OK);
  ask_every_reader(store);
  assert_int_equal(remembered(store), 47);
  assert_int_equal(found_by_digest(store, 1, &key), ST_STORE_OK);
  assert_true(key.disabled);
  assert_int_equal(found_by_digest(store, 2, &key), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(store, 2, &key), ST_STORE_REVOKED);
  assert_int_equal(found_by_sub(store, 3, &key), ST_STORE_REVOKED);
  assert_int_equal(found_by_digest(store, 3, &key), ST_STORE_OK);
  assert_string_equal(key.sub, key_of(70).sub);
  st_store_close(store);
}

/* In another process, and by another program than ours. */
static void what_others_write_is_in_the_next_answer(void **state) {
  (void)state;
  st_key key;
  char text[300];
  st_store *store = store_with(20);
  for (int i = 0; i < 50; i++) {
    snprintf(text, sizeof text, "UPDATE keys SET name = 'call %d' WHERE id = '%s'", i,
             key_of(5).id);
    sql(text);
    snprintf(text, sizeof text, "call %d", i);
    assert_name(store, 5, text);
  }
  snprintf(text, sizeof text, "INSERT INTO revoked VALUES ('%s', '%s', 2)", key_of(6).sub,
           key_of(6).id);
  sql(text);
  assert_int_equal(found_by_sub(store, 6, &key), ST_STORE_REVOKED);
  assert_int_equal(found_by_digest(store, 6, &key), ST_STORE_OK);
  assert_int_equal(found_by_sub(store, 6, &key), ST_STORE_REVOKED);
  snprintf(text, sizeof text, "DELETE FROM keys WHERE id = '%s'", key_of(7).id);
  sql(text);
  assert_int_equal(found_by_digest(store, 7, &key), ST_STORE_NOT_FOUND);
  assert_int_equal(found_by_sub(store, 7, &key), ST_STORE_NOT_FOUND);
  st_store_close(store);
}

/* Of two handles each remembers. */
static void another_handle_learns_of_it(void **state) {
  (void)state;
  st_key key;
  st_store *store = store_with(20), *other = open_store();
  ask_for(other, 20);
  for (unsigned n = 1; n <= 20; n++) {
    assert_int_equal(set_disabled(store, n, true), ST_STORE_OK);
    assert_int_equal(found_by_sub(other, n, &key), ST_STORE_OK);
    assert_true(key.disabled);
    assert_int_equal(found_by_sub(store, n, &key), ST_STORE_OK);
    assert_true(key.disabled);
  }
  st_store_close(other);
  st_store_close(store);
}

static void a_row_without_a_digest_forgets_all(void **state) {
  (void)state;
  st_store *store = store_with(20);
  static const char *const digests[] = {"NULL", "x'00'", "x'000102030405060708'"};
  for (size_t i = 0; i < 3; i++) {
    char text[100];
    snprintf(text, sizeof text,
             "PRAGMA ignore_check_constraints = ON; INSERT INTO written (digest8) VALUES (%s)",
             digests[i]);
    sql(text);
    ask_every_reader(store);
    assert_int_equal(remembered(store), 0);
    ask_for(store, 20);
  }
  st_store_close(store);
}

/* What is left to do is in force from its first commit on, whatever was remembered. */
static void a_large_change_forgets_all(void **state) {
  (void)state;
  st_key key;
  st_store *store = store_with(20);
  sql("INSERT INTO remaining (owner, what, sequence, at, who, origin)"
      " VALUES ('ann', 'end', 5, 1700000000, 'user root', 'command line')");
  for (unsigned n = 1; n <= 20; n++) {
    assert_int_equal(found_by_digest(store, n, &key), ST_STORE_REVOKED);
    assert_int_equal(found_by_sub(store, n, &key), ST_STORE_REVOKED);
  }
  st_store_close(store);
}

/* The table is short, however much is written; who missed what was cut reads all again. */
static void what_was_missed_is_read_again(void **state) {
  (void)state;
  sqlite3 *raw = NULL;
  int64_t rows = 0;
  st_store *store = store_with(20);
  char text[600];
  snprintf(text, sizeof text,
           "UPDATE keys SET name = 'missed' WHERE id = '%s';"
           "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 30000)"
           " INSERT INTO written (digest8) SELECT x'0102030405060708' FROM n",
           key_of(9).id);
  sql(text);
  assert_int_equal(sqlite3_open(db, &raw), SQLITE_OK);
  assert_true(st_sqlite_ask_integer(raw, "SELECT count(*) FROM written", &rows));
  assert_int_equal(sqlite3_close(raw), SQLITE_OK);
  assert_true(rows >= 10000 && rows <= 11000);
  assert_name(store, 9, "missed");
  /* Also when all was taken out. */
  ask_for(store, 20);
  snprintf(text, sizeof text, "UPDATE keys SET name = 'lost' WHERE id = '%s'; DELETE FROM written",
           key_of(9).id);
  sql(text);
  assert_name(store, 9, "lost");
  sql("UPDATE keys SET name = 'again'");
  assert_name(store, 9, "again");
  st_store_close(store);
}

/* Version 6 had no such table. */
static void a_database_of_version_6_is_brought_up(void **state) {
  (void)state;
  make_db(20);
  sql(schema_8_undone);
  sql("DROP TRIGGER written_remaining; DROP TRIGGER written_update; DROP TRIGGER written_delete; "
      "DROP TRIGGER written_revoke;"
      "DROP TABLE written; PRAGMA user_version = 6");
  st_store *store = open_store();
  ask_for(store, 19);
  sql("UPDATE keys SET name = 'brought up'");
  for (unsigned n = 1; n < 20; n++) assert_name(store, n, "brought up");
  st_store_close(store);
}

/* ---- without SQLite: the header of the wal-index ---- */

static bool unchanged(st_sqlite_reader *r) {
  return st_sqlite_wal_index_unchanged(r->wal_index, &r->learnt);
}

static void keep_header(st_sqlite_reader *r) {
  uint64_t header[ST_SQLITE_WAL_WORDS];
  assert_true(st_sqlite_wal_index_read(r->wal_index, header));
  st_sqlite_wal_index_keep(&r->learnt, header);
  assert_true(unchanged(r));
}

/* Whatever was written back in between, and where in the -wal it lies. */
static void every_commit_changes_the_header(void **state) {
  (void)state;
  static const char *const between[] = {
      "SELECT count(*) FROM keys", "PRAGMA wal_checkpoint(PASSIVE)",
      "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM"};
  st_store *store = store_with(5);
  st_sqlite_reader *r = &((st_sqlite *)store)->readers[0];
  for (size_t i = 0; i < 100; i++) {
    sql(between[i * 7 % (sizeof between / sizeof between[0])]);
    keep_header(r);
    sql(i % 3 == 0 ? "UPDATE keys SET name = 'same'"
                   : "INSERT INTO written (digest8) VALUES (NULL)");
    assert_false(unchanged(r));
  }
  sql("BEGIN; UPDATE keys SET name = 'other'; ROLLBACK");
  st_sqlite_wal_index_keep(&r->learnt, NULL);
  assert_false(unchanged(r));
  assert_false(st_sqlite_wal_index_unchanged(NULL, &r->learnt));
  st_store_close(store);
}

/* A header that is being written has two different copies; one of another format is not ours. */
static void a_header_that_is_not_whole_is_no_answer(void **state) {
  (void)state;
  uint64_t index[ST_SQLITE_WAL_WORDS] = {0}, header[ST_SQLITE_WAL_WORDS];
  const uint32_t version = 3007000;
  st_sqlite_wal_header kept = {0};
  assert_false(st_sqlite_wal_index_read(index, header)); /* no version */
  assert_false(st_sqlite_wal_index_unchanged(index, &kept));
  memcpy(&index[0], &version, sizeof version);
  memcpy(&index[ST_SQLITE_WAL_WORDS / 2], &version, sizeof version);
  assert_true(st_sqlite_wal_index_read(index, header));
  st_sqlite_wal_index_keep(&kept, header);
  for (size_t bit = 0; bit < 64 * ST_SQLITE_WAL_WORDS; bit++) {
    index[bit / 64] ^= UINT64_C(1) << bit % 64;
    assert_false(st_sqlite_wal_index_read(index, header));
    assert_false(st_sqlite_wal_index_unchanged(index, &kept));
    index[bit / 64] ^= UINT64_C(1) << bit % 64;
  }
  assert_true(st_sqlite_wal_index_unchanged(index, &kept));
  kept.turn++; /* it is being kept */
  assert_false(st_sqlite_wal_index_unchanged(index, &kept));
}

/* What the cache holds is answered while SQLite is not to be had; what was committed since is not.
 */
static void the_cache_alone_answers_until_something_is_committed(void **state) {
  (void)state;
  st_key key;
  st_store *store = store_with(20);
  st_sqlite *sqlite = (st_sqlite *)store;
  ask_every_reader(store);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    atomic_store(&sqlite->readers[i].looked_ms, INT64_MAX); /* no look is due */
    (void)pthread_mutex_lock(&sqlite->readers[i].lock);
  }
  for (unsigned n = 1; n <= 20; n++) {
    assert_int_equal(found_by_digest(store, n, &key), ST_STORE_OK);
    assert_int_equal(found_by_sub(store, n, &key), ST_STORE_OK);
  }
  sql("UPDATE keys SET name = 'committed'");
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    assert_false(unchanged(&sqlite->readers[i]));
    (void)pthread_mutex_unlock(&sqlite->readers[i].lock);
  }
  for (unsigned n = 1; n <= 20; n++) assert_name(store, n, "committed");
  st_store_close(store);
}

/* ---- a look-up that is under way ---- */

/* While a reader reads the key 1, in the moment that it has begun, the key is rotated; and then the
 * other readers learn of it, and forget what is remembered, or not.
 */
static struct beside {
  st_store *store;
  unsigned digest; /* 0: not now */
  bool told;
} beside;

static void rotate_key(st_store *store, unsigned n, unsigned digest_n, int64_t until) {
  uint8_t digest[32];
  assert_int_equal(st_store_key_rotate(store, AT(NOW * INT64_C(1000000)), NULL, key_of(n).id,
                                       digest_of(digest_n, digest), until, NULL, error),
                   ST_STORE_OK);
}

static bool reads_a_key(const st_sqlite_reader *r) {
  return sqlite3_stmt_busy(r->statements[ST_SQLITE_READ_BY_DIGEST]) != 0 ||
         sqlite3_stmt_busy(r->statements[ST_SQLITE_READ_BY_OLD_DIGEST]) != 0 ||
         sqlite3_stmt_busy(r->statements[ST_SQLITE_READ_BY_SUB]) != 0;
}

/* Digests that nobody has, until each of the other readers was asked. */
static void tell_the_others(st_sqlite *sqlite, const st_sqlite_reader *reading) {
  bool told[ST_SQLITE_READERS] = {false};
  size_t all = 0;
  for (unsigned n = 1000; all < ST_SQLITE_READERS - 1; n++) {
    uint8_t digest[32];
    uint64_t bits;
    st_key key;
    memcpy(&bits, digest_of(n, digest), sizeof bits);
    size_t at = bits * UINT64_C(0x9e3779b97f4a7c15) >> 62 & (ST_SQLITE_READERS - 1);
    if (&sqlite->readers[at] == reading || told[at]) continue;
    assert_int_equal(found_by_digest(&sqlite->base, n, &key), ST_STORE_NOT_FOUND);
    assert_true(
        st_sqlite_wal_index_unchanged(sqlite->readers[at].wal_index, &sqlite->readers[at].learnt));
    told[at] = true;
    all++;
  }
}

static int rotate_beside(void *context) {
  const st_sqlite_reader *r = context;
  unsigned digest = beside.digest;
  if (digest == 0 || !reads_a_key(r)) return 0;
  beside.digest = 0;
  rotate_key(beside.store, 1, digest, 0);
  if (beside.told) tell_the_others(r->store, r);
  return 0;
}

/* Neither by the secret of then, nor by the one before it, nor by the sub. */
static void what_was_read_before_a_rotation_is_not_remembered(void **state) {
  (void)state;
  st_store *store = open_store();
  st_sqlite *sqlite = (st_sqlite *)store;
  int64_t later = st_clock_now_us() / 1000000 + 1000;
  unsigned n = 1;
  st_key key;
  assert_int_equal(create(store, 1), ST_STORE_OK);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    st_sqlite_reader *r = &sqlite->readers[i];
    sqlite3_progress_handler(r->connection, 1, rotate_beside, r);
  }
  for (size_t i = 0; i < 60; i++) {     /* each reader has digests of each kind */
    rotate_key(store, 1, n + 1, later); /* n + 1 is good, n still */
    beside = (struct beside){store, n + 2, i % 2 == 0};
    st_store_status found = i < 20   ? found_by_digest(store, n + 1, &key)
                            : i < 40 ? found_by_digest(store, n, &key)
                                     : found_by_sub(store, 1, &key);
    assert_true(found == ST_STORE_OK && beside.digest == 0);
    for (int again = 0; again < 2; again++) {
      assert_int_equal(found_by_sub(store, 1, &key), ST_STORE_OK);
      assert_int_equal(key.old_until, 0);
      assert_int_equal(found_by_digest(store, n, &key), ST_STORE_REVOKED);
      assert_int_equal(found_by_digest(store, n + 1, &key), ST_STORE_REVOKED);
      assert_int_equal(found_by_digest(store, n + 2, &key), ST_STORE_OK);
    }
    n += 2;
  }
  st_store_close(store);
}

/* ---- many threads ---- */

#define KEYS 40
static st_store *shared;
static _Atomic int told[KEYS + 1]; /* the number in a key's name, when whoever wrote it was told */
static atomic_bool finished;

static void *read_keys(void *seed) {
  uint64_t bits = (uintptr_t)seed;
  char reason[ST_ERROR_MAX];
  uint8_t digest[32];
  st_key key;
  while (!atomic_load(&finished)) {
    bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407;
    unsigned n = (unsigned)(bits >> 40) % KEYS + 1;
    int least = atomic_load(&told[n]);
    st_key wanted = key_of(n);
    subtoken_text sub = {wanted.sub, ST_SUB_LEN};
    st_store_status found = bits >> 63
                                ? st_store_by_sub(shared, sub, &key, reason)
                                : st_store_by_digest(shared, digest_of(n, digest), &key, reason);
    if (found != ST_STORE_OK) return "not found";
    if (atoi(key.name + 4) < least) return "older than what was told";
  }
  return NULL;
}

static void no_answer_is_older_than_a_change_that_was_answered(void **state) {
  (void)state;
  pthread_t threads[6];
  shared = open_store();
  for (unsigned n = 1; n <= KEYS; n++) {
    assert_int_equal(create(shared, n), ST_STORE_OK);
    atomic_store(&told[n], (int)n);
  }
  atomic_store(&finished, false);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, read_keys, (void *)(uintptr_t)(i + 1)), 0);
  }
  for (int i = 100; i < 700; i++) {
    unsigned n = (unsigned)i * 7 % KEYS + 1;
    char name[20];
    snprintf(name, sizeof name, "key %d", i);
    assert_int_equal(
        st_store_key_rename(shared, AT(NOW * INT64_C(1000000)), key_of(n).id, name, error),
        ST_STORE_OK);
    atomic_store(&told[n], i);
  }
  atomic_store(&finished, true);
  for (size_t i = 0; i < 6; i++) {
    void *wrong = NULL;
    assert_int_equal(pthread_join(threads[i], &wrong), 0);
    if (wrong != NULL) fail_msg("%s", (const char *)wrong);
  }
  st_store_close(shared);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_new_key_or_a_last_use_forgets_nothing),
      TEST(a_change_forgets_its_key_alone),
      TEST(what_others_write_is_in_the_next_answer),
      TEST(another_handle_learns_of_it),
      TEST(a_row_without_a_digest_forgets_all),
      TEST(a_large_change_forgets_all),
      TEST(what_was_missed_is_read_again),
      TEST(a_database_of_version_6_is_brought_up),
      TEST(every_commit_changes_the_header),
      TEST(a_header_that_is_not_whole_is_no_answer),
      TEST(the_cache_alone_answers_until_something_is_committed),
      TEST(what_was_read_before_a_rotation_is_not_remembered),
      TEST(no_answer_is_older_than_a_change_that_was_answered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
