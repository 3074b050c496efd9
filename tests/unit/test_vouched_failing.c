/* What lies in DATA of what was vouched for, while memory, files and SQLite fail (failing.h): it is
 * kept, or it says no; what was kept stays, and the next call goes on.
 */
#include "failing.h"
#include "vouched_fixture.h"

#include <signal.h>
#include <sys/resource.h>

#define SOME 9000 /* enough of them that changes are written */

/* Those with a number, but for each 3000th, and for one more behind it. */
static uint8_t *made_otherwise(int64_t sequence, uint8_t key, size_t *len) {
  subtoken_revocations_header header = {sequence, NOW, {key}};
  uint32_t count = 0;
  for (uint32_t i = 0; i < SOME; i++) {
    hashes[count] = (uint64_t)(i + 1) * UINT64_C(900719925474099);
    if (i % 3000 == 1) hashes[count]++;
    count += i % 3000 != 2;
  }
  *len = subtoken_revocations_size(count);
  uint8_t *bytes = malloc(*len);
  if (bytes == NULL) abort();
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, bytes, *len, NULL),
                   SUBTOKEN_FEED_OK);
  return bytes;
}

static void keep(uint8_t *bytes, size_t len, int64_t sequence) {
  if (!st_vouched_files_keep(&ring, bytes, len, sequence, error)) fail_msg("%s", error);
  free(bytes);
}

static void any_hash_may_come_or_go(void **state) {
  (void)state;
  size_t len;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, SOME);
  uint8_t *bytes = made_otherwise(SEQUENCE + 1, 7, &len);
  keep(bytes, len, SEQUENCE + 1);
  assert_true(there("snapshot.changes"));
  finds(SEQUENCE + 1, SOME - 3);
  assert_true(st_replace_file(file("snapshot.changes"), "junk", 4, error));
  finds_snapshot(SEQUENCE);
  bytes = made_otherwise(SEQUENCE + 2, 8, &len); /* hashes of another key are others */
  keep(bytes, len, SEQUENCE + 2);
  assert_false(there("snapshot.changes"));
  finds(SEQUENCE + 2, SOME - 3);
  /* What lies there is not what was put there: of the same length, of another, nothing. */
  for (int i = 0; i < 3; i++) {
    uint8_t *other = made(SEQUENCE - 9, i == 0 ? SOME - 3 : SOME, &len);
    assert_true(st_replace_file(file("snapshot"), other, len, error));
    free(other);
    if (i == 2) assert_int_equal(unlink(file("snapshot")), 0);
    bytes = made_otherwise(SEQUENCE + 3 + i, 8, &len);
    keep(bytes, len, SEQUENCE + 3 + i);
    assert_false(there("snapshot.changes"));
    finds(SEQUENCE + 3 + i, SOME - 3);
  }
}

/* The record never says more than the snapshot has, and what was kept is kept. */
static void assert_no_less_than(int64_t sequence) {
  st_snapshot_file copy;
  int64_t recorded = 0;
  char changes[320];
  snprintf(changes, sizeof changes, "%s/snapshot.changes", home);
  if (!st_snapshot_file_load(&ring, file("snapshot"), changes, &copy, error)) fail_msg("%s", error);
  assert_true(st_vouched_files_sequence(home, &ring, &recorded, error));
  assert_true(recorded >= sequence && copy.view.sequence >= recorded);
  st_snapshot_file_free(&copy);
}

static void keep_while_calls_fail(uint32_t count, long step) {
  int64_t sequence = SEQUENCE, sure = SEQUENCE;
  size_t len;
  bool ok = false;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, count);
  FAILING_EACH(
      FAIL_MEMORY | FAIL_FILES, step,
      {
        failing_end();
        uint8_t *bytes = made(++sequence, count - (uint32_t)nth % 7, &len);
        error[0] = '\0';
        failing_begin(FAIL_MEMORY | FAIL_FILES, nth);
        ok = st_vouched_files_keep(&ring, bytes, len, sequence, error);
        free(bytes);
      },
      {
        CHECK(ok || (failed && error[0] != '\0'), "call %ld: %s", nth, error);
        if (ok) sure = sequence;
        assert_no_less_than(sure);
      });
}

/* Large ones have changes between them; each of their calls takes long. */
static void what_was_vouched_for_is_kept_or_it_says_no(void **state) {
  (void)state;
  keep_while_calls_fail(10, 1);
}

static void changes_are_kept_or_it_says_no(void **state) {
  (void)state;
  keep_while_calls_fail(SOME, failing_step(5));
}

/* The secret that signed it is about to go: what is not signed again is lost with it. */
static void sign_again_while_calls_fail(uint32_t count, long step) {
  subtoken_ring after, before = ring, none = {.count = 0}, first = ring;
  bool ok = false;
  ring_with(&after, "two", "another secret, also of 32 bytes or more");
  before.secrets[before.count++] = after.secrets[0];
  assert_true(st_vouched_files_sign_again(home, &before, &after, error)); /* nothing is there */
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, count);
  kept(SEQUENCE + 1, count - 1);
  assert_false(st_vouched_files_sign_again(home, &after, &before, error)); /* the other way round */
  assert_false(st_vouched_files_sign_again(home, &ring, &none, error));
  assert_non_null(strstr(error, "sign"));
  finds(SEQUENCE + 1, count - 1);
  FAILING_EACH(
      FAIL_MEMORY | FAIL_FILES, step,
      {
        error[0] = '\0';
        ok = st_vouched_files_sign_again(home, &before, &after, error);
      },
      {
        CHECK(ok || (failed && error[0] != '\0'), "call %ld: %s", nth, error);
        ring = ok ? after : before;
        finds(SEQUENCE + 1, count - 1);
        if (failed) { /* as before, for the next call */
          ring = first;
          assert_true(st_vouched_files_sign_again(home, &before, &first, error));
          finds(SEQUENCE + 1, count - 1);
        }
      });
  ring = after;
  assert_true(st_vouched_files_sign_again(home, &before, &after, error)); /* it is */
  finds(SEQUENCE + 1, count - 1);
  /* Without a snapshot the record is all there is. */
  assert_int_equal(unlink(file("snapshot")), 0);
  assert_true(st_vouched_files_sign_again(home, &after, &first, error));
  int64_t recorded = 0;
  assert_true(st_vouched_files_sequence(home, &first, &recorded, error));
  assert_int_equal(recorded, SEQUENCE + 1);
}

static void all_is_signed_again_or_it_says_no(void **state) {
  (void)state;
  sign_again_while_calls_fail(10, 1);
}

static void changes_are_signed_again_or_it_says_no(void **state) {
  (void)state;
  sign_again_while_calls_fail(SOME, failing_step(5));
}

/* Neither the spare nor a new file has room for the snapshot: the one that is there needs its
 * changes. */
static void changes_stay_when_no_snapshot_can_be_signed_again(void **state) {
  (void)state;
  subtoken_ring after, before = ring;
  struct rlimit was, small;
  ring_with(&after, "two", "another secret, also of 32 bytes or more");
  before.secrets[before.count++] = after.secrets[0];
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, SOME);
  kept(SEQUENCE + 1, SOME - 1);
  assert_true(there("snapshot.changes"));
  (void)signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  small = (struct rlimit){4096, was.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  bool ok = st_vouched_files_sign_again(home, &before, &after, error);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
  assert_false(ok);
  finds(SEQUENCE + 1, SOME - 1);
}

/* The server starts all the same, vouches for nothing, and goes on when the store can again. */
static void a_store_that_cannot_be_brought_ahead_is_tried_again(void **state) {
  (void)state;
  bool restored = true, ok = true;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, 10);
  st_vouched_files_stop();
  int refused = 0;
  FAILING_EACH(
      FAIL_SQLITE | FAIL_PREPARE, failing_step(25),
      {
        failing_end();
        st_store_close(store);
        assert_int_equal(unlink(db), 0);
        good(st_store_open(db, true, &store, error));
        failing_begin(FAIL_SQLITE | FAIL_PREPARE, nth);
        ok = st_vouched_files_start(home, store, &ring, error);
      },
      {
        if (ok && failed) {
          bool done = st_vouched_files_check(&ring, 1, true, &restored, error);
          CHECK(done, "call %ld: %s", nth, error);
          refused += restored;
        }
        if (ok) good(st_store_issued_sequence(store, SEQUENCE, error));
        st_vouched_files_stop();
      });
  assert_true(refused > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(any_hash_may_come_or_go),
      TEST(what_was_vouched_for_is_kept_or_it_says_no),
      TEST(changes_are_kept_or_it_says_no),
      TEST(all_is_signed_again_or_it_says_no),
      TEST(changes_are_signed_again_or_it_says_no),
      TEST(changes_stay_when_no_snapshot_can_be_signed_again),
      TEST(a_store_that_cannot_be_brought_ahead_is_tried_again),
  };
  return cmocka_run_group_tests_name("vouched failing", tests, NULL, NULL);
}
