/* The record of what was vouched for, and what lies with it in DATA: what is refused, and which
 * state is on the disk whenever the process is killed.
 */
#include "vouched_fixture.h"

/* ---- the record ---- */

static void sign(uint8_t record[ST_VOUCHED_LEN]) {
  st_hmac(&ring.secrets[0], record, ST_VOUCHED_LEN - SUBTOKEN_MAC_LEN,
          record + ST_VOUCHED_LEN - SUBTOKEN_MAC_LEN);
}

static void records_that_are_refused(void **state) {
  (void)state;
  static const struct {
    size_t at;
    uint8_t bits;
    subtoken_feed_result want;
  } rows[] = {
      {0, 1, SUBTOKEN_FEED_MAGIC}, {7, 1, SUBTOKEN_FEED_MAGIC},   {8, 2, SUBTOKEN_FEED_VERSION},
      {12, 1, SUBTOKEN_FEED_FORM}, {13, 1, SUBTOKEN_FEED_FORM},   {13, 64, SUBTOKEN_FEED_FORM},
      {14, 1, SUBTOKEN_FEED_FORM}, {15, 1, SUBTOKEN_FEED_FORM},   {23, 128, SUBTOKEN_FEED_FORM},
      {24, 1, SUBTOKEN_FEED_FORM}, {31, 128, SUBTOKEN_FEED_FORM}, {39, 1, SUBTOKEN_FEED_FORM},
      {40, 1, SUBTOKEN_FEED_FORM}, {63, 1, SUBTOKEN_FEED_FORM},   {64, 1, SUBTOKEN_FEED_KID},
      {67, 1, SUBTOKEN_FEED_FORM}, {127, 1, SUBTOKEN_FEED_FORM},
  };
  st_vouched record = {SEQUENCE, 86400}, read;
  uint8_t bytes[ST_VOUCHED_LEN + 1] = {0}, bad[ST_VOUCHED_LEN];
  subtoken_ring none = ring;
  none.count = 0;
  assert_int_equal(st_vouched_write(&none, &record, bytes), SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(st_vouched_write(&ring, &record, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(st_vouched_read(&ring, bytes, ST_VOUCHED_LEN, &read), SUBTOKEN_FEED_OK);
  assert_true(read.sequence == SEQUENCE && read.life == 86400);
  assert_int_equal(st_vouched_read(&ring, bytes, ST_VOUCHED_LEN - 1, &read), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(st_vouched_read(&ring, bytes, ST_VOUCHED_LEN + 1, &read), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(st_vouched_read(&ring, bytes, 0, &read), SUBTOKEN_FEED_LENGTH);
  for (size_t i = 0; i < COUNT(rows); i++) {
    memcpy(bad, bytes, sizeof bad);
    bad[rows[i].at] ^= rows[i].bits;
    sign(bad);
    CHECK(st_vouched_read(&ring, bad, sizeof bad, &read) == rows[i].want, "row %zu", i);
    CHECK(read.sequence == 0 && read.life == 0, "row %zu", i);
  }
  for (size_t at = 16; at < ST_VOUCHED_LEN; at++) { /* whatever is changed */
    memcpy(bad, bytes, sizeof bad);
    bad[at] ^= 1;
    CHECK(st_vouched_read(&ring, bad, sizeof bad, &read) != SUBTOKEN_FEED_OK, "at %zu", at);
  }
  memset(bytes + 16, 0, 8);
  sign(bytes);
  assert_int_equal(st_vouched_read(&ring, bytes, ST_VOUCHED_LEN, &read), SUBTOKEN_FEED_FORM);
  record.sequence = 0;
  assert_int_equal(st_vouched_write(&ring, &record, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
  record = (st_vouched){1, -1};
  assert_int_equal(st_vouched_write(&ring, &record, bytes), SUBTOKEN_FEED_INVALID_ARGUMENT);
}

/* ---- what is kept ---- */

static void keeps_what_was_vouched_for(void **state) {
  (void)state;
  int64_t vouched = 9;
  struct stat before, after;
  assert_true(st_vouched_files_sequence(home, &ring, &vouched, error));
  assert_int_equal(vouched, 0);
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, 10);
  finds(SEQUENCE, 10);
  assert_int_equal(stat(file("snapshot"), &before), 0);
  assert_int_equal(before.st_mode & 0777, 0600);
  kept(SEQUENCE, 10); /* nothing grew: nothing is written */
  assert_int_equal(stat(file("snapshot"), &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  kept(SEQUENCE + 1, MANY);
  finds(SEQUENCE + 1, MANY);
  assert_false(there("snapshot.changes"));
  for (uint32_t i = 1; i <= 3; i++) { /* by its changes */
    kept(SEQUENCE + 1 + i, MANY - i);
    assert_true(there("snapshot.changes"));
    finds(SEQUENCE + 1 + i, MANY - i);
  }
  kept(SEQUENCE + 9, MANY / 2); /* too many of them */
  assert_false(there("snapshot.changes"));
  finds(SEQUENCE + 9, MANY / 2);
}

static void spare_has_room_behind(uint32_t count) {
  struct stat status;
  size_t len = subtoken_revocations_size(count);
  assert_int_equal(stat(file("snapshot.spare"), &status), 0);
  assert_true((size_t)status.st_blocks * 512 >= len + len / 16 + 65536);
}

/* It is written whole when more than a 16th of it has changed, while the disk is full, too. */
static void the_next_whole_snapshot_has_room(void **state) {
  (void)state;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, MANY / 2);
  spare_has_room_behind(MANY / 2);
  kept(SEQUENCE + 1, MANY);
  spare_has_room_behind(MANY);
}

/* Killed between two files: what leads elsewhere is passed over, and the record is never ahead. */
static void files_of_two_moments(void **state) {
  (void)state;
  char copy[320], command[800];
  snprintf(copy, sizeof copy, "%s/old.changes", home);
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, MANY);
  kept(SEQUENCE + 1, MANY - 1);
  assert_int_equal(rename(file("snapshot.changes"), copy), 0);
  kept(SEQUENCE + 2, 10);
  snprintf(command, sizeof command, "%s/snapshot.changes", home);
  assert_int_equal(rename(copy, command), 0);
  finds(SEQUENCE + 2, 10);
  /* Somebody else has put another snapshot there: it is written whole again. */
  size_t len;
  uint8_t *bytes = made(SEQUENCE - 5, MANY, &len);
  assert_true(st_replace_file(file("snapshot"), bytes, len, error));
  free(bytes);
  kept(SEQUENCE + 3, MANY);
  finds(SEQUENCE + 3, MANY);
}

/* C7: the store is another one; what it lacks is listed, and it goes above. */
static void a_store_that_is_behind(void **state) {
  (void)state;
  st_revocation_data data;
  int64_t life = 0;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  good(st_store_raise_setting(store, "max_life", 400 * 86400, error));
  kept(SEQUENCE, 10);
  st_vouched_files_stop();
  st_store_close(store);
  assert_int_equal(unlink(db), 0);
  good(st_store_open(db, true, &store, error));
  assert_true(st_vouched_files_start(home, store, &ring, error));
  good(st_store_revocation_data(store, &data, error));
  assert_int_equal(data.count, 10);
  assert_true(data.state.sequence > SEQUENCE && data.state.hash_key[0] == 7);
  good(st_store_get_setting(store, "max_life", &life, error));
  assert_int_equal(life, 400 * 86400);
  good(st_store_issued_sequence(store, SEQUENCE, error));
  free(data.hashes);
  free(data.changes);
}

/* C7: nothing is vouched for as long as what was listed is not known. */
static void a_snapshot_that_is_missing(void **state) {
  (void)state;
  st_snapshot_file copy;
  st_restore_report report;
  st_audit_context act = {.now_us = NOW * US, .who = "test", .from = "test"};
  size_t len;
  uint8_t *bytes = made(SEQUENCE + 7, 20, &len);
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, 10);
  assert_int_equal(rename(file("snapshot"), db), 0); /* over the database, which is lost */
  st_vouched_files_stop();
  st_store_close(store);
  assert_int_equal(rename(db, file("kept")), 0);
  (void)unlink(file("subtoken.db-wal")), (void)unlink(file("subtoken.db-shm"));
  good(st_store_open(db, true, &store, error));
  assert_true(st_vouched_files_start(home, store, &ring, error));
  bool restored = true;
  assert_false(st_vouched_files_check(&ring, 1, true, &restored, error));
  assert_false(restored);
  assert_non_null(strstr(error, "feed restore"));
  assert_true(st_snapshot_file_load(&ring, file("kept"), NULL, &copy, error));
  good(st_snapshot_file_restore(store, &act, &copy, 0, 0, &report, error));
  st_snapshot_file_free(&copy);
  assert_int_equal(report.listed, 10);
  assert_true(report.sequence > SEQUENCE);
  assert_true(st_vouched_files_check(&ring, report.sequence, true, &restored, error));
  assert_false(restored);
  assert_true(st_vouched_files_keep(&ring, bytes, len, SEQUENCE + 7, error));
  free(bytes);
}

static void another_ring(void **state) {
  (void)state;
  subtoken_ring other;
  int64_t vouched = 0;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, 10);
  ring_with(&other, "two", "another secret, also of 32 bytes or more");
  assert_false(st_vouched_files_sequence(home, &other, &vouched, error));
  assert_non_null(strstr(error, "vouched"));
  assert_false(st_vouched_files_start(home, store, &other, error));
  st_snapshot_file copy;
  assert_false(st_snapshot_file_load(&other, file("snapshot"), NULL, &copy, error));
  assert_non_null(strstr(error, "snapshot: "));
  st_snapshot_file_free(&copy);
  assert_true(st_vouched_files_sign_again(home, &ring, &other, error));
  ring = other;
  finds(SEQUENCE, 10);
}

static void follows(const subtoken_ring *before, const subtoken_ring *now) {
  if (!st_vouched_files_follow(before, now, error)) fail_msg("%s", error);
  ring = *now;
}

/* The secret that signed what lies there leaves the ring, by hand or by a copy from elsewhere. */
static void a_ring_that_was_changed_elsewhere(void **state) {
  (void)state;
  static const char second[] = "a second secret, also of 32 bytes or more";
  subtoken_ring first = ring, both, other, none = {.count = 0};
  struct stat before, after;
  ring_with(&other, "two", second);
  ring_with(&both, "two", second);
  assert_int_equal(subtoken_ring_add(&both, ST_TEXT("one"), TEST_SECRET, strlen(TEST_SECRET)),
                   SUBTOKEN_OK);
  follows(&first, &other); /* nothing is kept yet */
  follows(&other, &first);
  assert_true(st_vouched_files_start(home, store, &ring, error));
  follows(&first, &first); /* nor was anything vouched for */
  kept(SEQUENCE, MANY);
  kept(SEQUENCE + 1, MANY - 1);
  assert_int_equal(stat(file("vouched"), &before), 0);
  follows(&first, &first);
  assert_int_equal(stat(file("vouched"), &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  follows(&both, &both); /* after a start the ring of before is not known */
  ring = other;
  finds(SEQUENCE + 1, MANY - 1);
  kept(SEQUENCE + 2, MANY - 2);
  finds(SEQUENCE + 2, MANY - 2);
  follows(&other, &first); /* all of it at once */
  finds(SEQUENCE + 2, MANY - 2);
  assert_false(st_vouched_files_follow(&other, &other, error)); /* none that can read it */
  assert_non_null(strstr(error, "vouched"));
  assert_false(st_vouched_files_follow(&first, &none, error));
  finds(SEQUENCE + 2, MANY - 2);
}

/* ---- another server ---- */

static void record_of(int64_t sequence, int64_t life) {
  uint8_t bytes[ST_VOUCHED_LEN];
  st_vouched record = {sequence, life};
  assert_int_equal(st_vouched_write(&ring, &record, bytes), SUBTOKEN_FEED_OK);
  assert_true(st_replace_file(file("vouched"), bytes, sizeof bytes, error));
}

static void what_another_server_vouched_for_is_not_taken_back(void **state) {
  (void)state;
  bool restored = true;
  subtoken_ring none = {.count = 0};
  size_t len;
  assert_true(st_vouched_files_check(&ring, 1, false, &restored, error)); /* nothing is kept */
  assert_false(restored);
  uint8_t *bytes = made(SEQUENCE, 10, &len);
  assert_true(st_vouched_files_keep(&ring, bytes, len, SEQUENCE, error));
  assert_false(there("vouched"));
  assert_true(st_vouched_files_start(home, store, &ring, error));
  assert_false(st_vouched_files_keep(&none, bytes, len, SEQUENCE, error));
  assert_non_null(strstr(error, "no secret can sign"));
  free(bytes);
  kept(SEQUENCE, 10);
  record_of(SEQUENCE + 5, 86400); /* the other one's */
  kept(SEQUENCE + 3, 10);
  int64_t recorded = 0;
  assert_true(st_vouched_files_sequence(home, &ring, &recorded, error));
  assert_int_equal(recorded, SEQUENCE + 5);
  finds_snapshot(SEQUENCE);
  record_of(SEQUENCE + 4, 99 * DAY);
  kept(SEQUENCE + 7, 10); /* the longest life of the two goes with it */
  finds(SEQUENCE + 7, 10);
  assert_true(st_vouched_files_check(&ring, SEQUENCE + 7, false, &restored, error));
  assert_false(restored);
  /* A store that never issued it is brought ahead, as after a failover. */
  assert_true(st_vouched_files_check(&ring, SEQUENCE + 6, false, &restored, error));
  assert_true(restored);
}

/* A snapshot from before what was vouched for is not passed off for it. */
static void a_snapshot_that_is_older_brings_nothing_ahead(void **state) {
  (void)state;
  bool restored = true;
  assert_true(st_vouched_files_start(home, store, &ring, error));
  kept(SEQUENCE, 10);
  record_of(SEQUENCE + 5, 3600);
  st_vouched_files_stop();
  assert_true(st_vouched_files_start(home, store, &ring, error));
  assert_false(st_vouched_files_check(&ring, 1, false, &restored, error));
  assert_non_null(strstr(error, "feed restore"));
  assert_false(restored);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(records_that_are_refused),
      TEST(keeps_what_was_vouched_for),
      TEST(the_next_whole_snapshot_has_room),
      TEST(files_of_two_moments),
      TEST(a_store_that_is_behind),
      TEST(a_snapshot_that_is_missing),
      TEST(another_ring),
      TEST(a_ring_that_was_changed_elsewhere),
      TEST(what_another_server_vouched_for_is_not_taken_back),
      TEST(a_snapshot_that_is_older_brings_nothing_ahead),
  };
  return cmocka_run_group_tests_name("vouched", tests, NULL, NULL);
}
