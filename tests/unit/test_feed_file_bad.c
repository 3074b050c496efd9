/* The two files of a feed as they are tampered with, cut, replaced and lost, while they are read,
 * too: what was good stays in force. How they come and go is in test_feed_file.c.
 */
#include "feed_file_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/revocations_format.h"

/* ---- bad files ---- */

static void sign(uint8_t *bytes, size_t len) {
  st_hmac(&ring.secrets[0], bytes, len - SUBTOKEN_MAC_LEN, bytes + len - SUBTOKEN_MAC_LEN);
}

static void bad_snapshots(void **state) {
  (void)state;
  subtoken_ring stranger;
  ring_with(&stranger, "two", OTHER_SECRET);
  snapshot first = begun();
  for (int row = 0; row < 10; row++) {
    snapshot s = row == 7 ? made_by(&stranger, SEQUENCE + 1, MANY) : made(SEQUENCE + 1, MANY);
    size_t hashes = st_snapshot_hashes_at(s.bytes[ST_FEED_BITS]), len = s.len;
    subtoken_feed_result want = SUBTOKEN_FEED_LENGTH;
    switch (row) {
      case 0: len = 0; break;
      case 1: len = 159; break;
      case 2: len = s.len - 1; break;
      case 3:
        s.bytes[0] ^= 1;
        want = SUBTOKEN_FEED_MAGIC;
        break;
      case 4:
        s.bytes[ST_FEED_VERSION] = 2;
        want = SUBTOKEN_FEED_VERSION;
        break;
      case 5:
        s.bytes[ST_FEED_KID] ^= 1;
        want = SUBTOKEN_FEED_KID;
        break;
      case 6:
        s.bytes[len / 2] ^= 1;
        want = SUBTOKEN_FEED_MAC;
        break;
      case 7: want = SUBTOKEN_FEED_MAC; break;
      case 8:
        memset(s.bytes + hashes + 8, 0, 8);
        sign(s.bytes, s.len);
        want = SUBTOKEN_FEED_ORDER;
        break;
      default:
        s.bytes[ST_FEED_HEAD_LEN + 4] ^= 1;
        sign(s.bytes, s.len);
        want = SUBTOKEN_FEED_INDEX;
        break;
    }
    memcpy(s.digest, s.bytes + s.len - SUBTOKEN_MAC_LEN, sizeof s.digest);
    put(path, s.bytes, len);
    put_alive(&s, NOW);
    subtoken_feed_result result = polled();
    CHECK(result == want, "row %d: %s", row, subtoken_feed_result_name(result));
    in_force(SEQUENCE, FEW);
    reads_next_to_nothing(want);
    /* The one in force lives on by its heartbeats. */
    put_alive(&first, NOW - 4 + row);
    assert_int_equal(polled(), want);
    assert_int_equal(file.feed.time, NOW - 4 + row);
    free(s.bytes);
  }
  put(path, first.bytes, first.len);
  assert_int_equal(polled_at(NOW + 10), SUBTOKEN_FEED_OK);
  free(first.bytes);
}

/* Nothing that is no file is opened, and of what only looks large nothing is read. */
static void no_files(void **state) {
  (void)state;
  snapshot first = begun();
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, EINVAL);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("/dev/zero", path), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, EINVAL);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, EISDIR);
  assert_int_equal(rmdir(path), 0);
  assert_int_equal(symlink("revoked", path), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ELOOP);
  assert_int_equal(unlink(path), 0);
  /* Its heartbeats are taken all the same. */
  put_alive(&first, NOW - 1);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  assert_int_equal(file.feed.time, NOW - 1);
  in_force(SEQUENCE, FEW);

  static const off_t sizes[] = {(off_t)1 << 30, (off_t)1 << 36, (off_t)1 << 42};
  for (size_t i = 0; i < COUNT(sizes); i++) {
    put_text(path, "");
    assert_int_equal(truncate(path, sizes[i]), 0);
    int64_t before = bytes_read();
    assert_int_equal(polled(), i == 0 ? SUBTOKEN_FEED_LENGTH : SUBTOKEN_FEED_TOO_LARGE);
    assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
    in_force(SEQUENCE, FEW);
  }
  put(path, first.bytes, first.len);
  assert_int_equal(unlink(alive), 0);
  assert_int_equal(mkfifo(alive, 0600), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, EINVAL);
  free(first.bytes);
}

static void bad_heartbeats(void **state) {
  (void)state;
  subtoken_ring stranger;
  ring_with(&stranger, "two", OTHER_SECRET);
  snapshot s = begun();
  put_alive_by(&stranger, &s, NOW);
  reads_next_to_nothing(SUBTOKEN_FEED_MAC);
  ring_with(&stranger, "three", OTHER_SECRET);
  put_alive_by(&stranger, &s, NOW);
  reads_next_to_nothing(SUBTOKEN_FEED_KID);
  put(alive, s.bytes, 100);
  reads_next_to_nothing(SUBTOKEN_FEED_LENGTH);
  put(alive, s.bytes, 161);
  reads_next_to_nothing(SUBTOKEN_FEED_LENGTH);
  put(alive, s.bytes, 160);
  reads_next_to_nothing(SUBTOKEN_FEED_MAGIC);
  put_alive(&s, NOW - 6);
  reads_next_to_nothing(SUBTOKEN_FEED_REPLAY);
  /* Its time comes, though the file stays as it is. */
  put_alive(&s, NOW + 61);
  reads_next_to_nothing(SUBTOKEN_FEED_FUTURE);
  assert_int_equal(file.feed.time, NOW - 5);
  assert_int_equal(polled_at(NOW + 1), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.time, NOW + 61);
  free(s.bytes);
}

static void no_way_back(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, 3), old = made(SEQUENCE, MANY);
  put_pair(&second, NOW - 4);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_pair(&old, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  assert_null(file.fresh); /* nor is it kept */
  reads_next_to_nothing(SUBTOKEN_FEED_ROLLBACK);
  in_force(SEQUENCE + 1, 3);
  assert_int_equal(file.feed.time, NOW - 4);
  /* Nor with the newer one's heartbeat, which is good for what is in force. */
  put_alive(&second, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  in_force(SEQUENCE + 1, 3);
  assert_int_equal(file.feed.time, NOW);
  /* An old heartbeat beside the one in force. */
  put(path, second.bytes, second.len);
  put_alive(&first, NOW + 1);
  assert_int_equal(polled_at(NOW + 1), SUBTOKEN_FEED_ROLLBACK);
  in_force(SEQUENCE + 1, 3);
  free(first.bytes);
  free(second.bytes);
  free(old.bytes);
}

/* ---- FILE.seen ---- */

static void seen_is_the_least(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, FEW), next = made(SEQUENCE + 1, 2);
  put_pair(&s, NOW);
  put_text(seen, "1700000000000002\n");
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  reads_next_to_nothing(SUBTOKEN_FEED_ROLLBACK);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  put_pair(&next, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, 2);
  /* Nor is it forgotten when the file goes, or falls. */
  assert_int_equal(unlink(seen), 0);
  put_pair(&s, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  put_text(seen, "1\n");
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  put_pair(&s, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  /* It grows while we run: what is in force ages from then on. */
  put_pair(&next, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_text(seen, "1700000000000009\n");
  put_alive(&next, NOW + 1);
  assert_int_equal(polled_at(NOW + 1), SUBTOKEN_FEED_ROLLBACK);
  assert_int_equal(file.feed.time, NOW);
  free(s.bytes);
  free(next.bytes);
}

static void seen_that_says_nothing(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "\n",
                                      "9000000000000000000",
                                      "-9000000000000000000\n",
                                      " 9000000000000000000\n",
                                      "9000000000000000000 \n",
                                      "9000000000000000000\n\n",
                                      "9000000000000000000\nx",
                                      "9223372036854775808\n",
                                      "19000000000000000000\n",
                                      "9000000x\n",
                                      "1700000000000001\n"};
  snapshot s = made(SEQUENCE, FEW);
  for (size_t i = 0; i < COUNT(texts); i++) {
    put_text(seen, texts[i]);
    put_pair(&s, NOW);
    subtoken_feed_result result = polled();
    CHECK(result == SUBTOKEN_FEED_OK, "%s: %s", texts[i], subtoken_feed_result_name(result));
    subtoken_feed_file_stop(&file);
    assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
  }
  assert_int_equal(unlink(seen), 0);
  assert_int_equal(mkfifo(seen, 0600), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_text(seen, "9223372036854775807\n");
  put_alive(&s, NOW + 1);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK);
  assert_true(file.feed.sequence == INT64_MAX);
  free(s.bytes);
}

/* ---- files that change under us ---- */

static void cut_while_it_is_read(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY);
  put_pair(&second, NOW);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  }
  assert_int_equal(truncate(path, (off_t)second.len / 2), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_LENGTH);
  in_force(SEQUENCE, FEW);
  /* Written on while it is read: what was read last does not fit what was read first. */
  put(path, second.bytes, second.len);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, "other", 5, (off_t)second.len / 2), 5);
  close(fd);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAC);
  in_force(SEQUENCE, FEW);
  put(path, second.bytes, second.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, MANY);
  free(first.bytes);
  free(second.bytes);
}

static void replaced_while_it_is_read(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY), third = made(SEQUENCE + 2, MANY);
  put_pair(&second, NOW - 2);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  put_pair(&third, NOW - 1);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, MANY);
  free(first.bytes);
  free(second.bytes);
  free(third.bytes);
}

/* What was taken is ours: neither what is written over the file afterwards nor cutting it
 * short reaches it. */
static void changed_in_place_afterwards(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  uint8_t *garbage = malloc(s.len);
  if (garbage == NULL) abort();
  memset(garbage, 0xAA, s.len);
  int fd = open(path, O_WRONLY);
  assert_int_equal(pwrite(fd, garbage, s.len, 0), s.len);
  in_force(SEQUENCE, MANY);
  assert_int_equal(ftruncate(fd, 0), 0);
  close(fd);
  in_force(SEQUENCE, MANY);
  assert_int_equal(polled(), SUBTOKEN_FEED_LENGTH);
  in_force(SEQUENCE, MANY);
  put_alive(&s, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(subtoken_feed_age(&file.feed, NOW, 0), 0);
  free(garbage);
  free(s.bytes);
}

/* Out of reach for a while, and then there as it was. */
static void away_and_back(void **state) {
  (void)state;
  char away[300];
  snapshot s = begun();
  snprintf(away, sizeof away, "%s.away", home);
  assert_int_equal(rename(home, away), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  in_force(SEQUENCE, FEW);
  assert_int_equal(rename(away, home), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  free(s.bytes);
}

/* A fault that is not the file's passes by itself. */
static void no_descriptors(void **state) {
  (void)state;
  struct rlimit limit, none;
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  subtoken_feed_result result = polled();
  int error = file.error;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(result, SUBTOKEN_FEED_IO);
  assert_int_equal(error, EMFILE);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  /* The same for the heartbeat alone. */
  put_alive(&s, NOW + 1);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  result = polled_at(NOW + 1);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(result, SUBTOKEN_FEED_IO);
  assert_int_equal(polled_at(NOW + 1), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.time, NOW + 1);
  free(s.bytes);
}

/* C14: a file that says more than it has costs nothing, nor does one above the limit. */
static int64_t resident(void) {
  long long pages = 0;
  FILE *in = fopen("/proc/self/statm", "r");
  if (in == NULL || fscanf(in, "%*d %lld", &pages) != 1) abort();
  (void)fclose(in);
  return pages * sysconf(_SC_PAGESIZE);
}

static void sparse_files_take_no_memory(void **state) {
  (void)state;
  const uint32_t count = 30000000;
  const int64_t large = INT64_C(64) << 20;
  uint8_t head[128] = "ST-REVOC\1";
  off_t len = (off_t)subtoken_revocations_size(count);
  head[12] = 22;
  head[16] = 1;
  memcpy(head + 32, &len, 8);
  memcpy(head + 40, &count, 4);
  head[13] = 3;
  memcpy(head + 64, "two", 3);
  put(path, head, sizeof head);
  if (truncate(path, len) != 0) abort();
  int64_t before = resident();
  assert_int_equal(polled(), SUBTOKEN_FEED_LENGTH);
  assert_true(resident() - before < large);
  reads_next_to_nothing(SUBTOKEN_FEED_LENGTH);
  /* the same without a hole, had it the room: by the limit alone */
  subtoken_feed_settings small = settings;
  snapshot s = made(SEQUENCE, MANY);
  subtoken_feed_file_stop(&file);
  small.max_size = s.len - 1;
  assert_int_equal(subtoken_feed_file_start(&file, path, &small), SUBTOKEN_FEED_OK);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_TOO_LARGE);
  assert_null(file.fresh);
  subtoken_feed_file_stop(&file);
  small.max_size = s.len;
  assert_int_equal(subtoken_feed_file_start(&file, path, &small), SUBTOKEN_FEED_OK);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  free(s.bytes);
}

/* F10: whatever moment a pull is ended at, who starts finds a pair. */
static void a_pull_that_was_ended_between_its_files(void **state) {
  (void)state;
  char next[320], kept[330];
  snapshot s = begun(), t = made(SEQUENCE + 1, FEW + 1), other = made(SEQUENCE + 2, FEW + 2);
  snprintf(next, sizeof next, "%s.next", path);
  snprintf(kept, sizeof kept, "%s.kept", alive);
  assert_int_equal(rename(alive, kept), 0);
  put_alive(&t, NOW);
  assert_int_equal(rename(alive, next), 0);
  assert_int_equal(rename(kept, alive), 0); /* FILE.next stands, FILE has still to come */
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  put(path, t.bytes, t.len); /* and here it was ended */
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, FEW + 1);
  for (int with_alive = 1; with_alive >= 0; with_alive--) {
    if (!with_alive) assert_int_equal(unlink(alive), 0); /* the first pull of all */
    subtoken_feed_file_stop(&file);
    assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
    in_force(SEQUENCE + 1, FEW + 1);
  }
  /* One that is left of another snapshot gives nothing. */
  put(path, other.bytes, other.len);
  put_alive(&t, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  in_force(SEQUENCE + 1, FEW + 1);
  put_alive(&other, NOW + 1);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, FEW + 2);
  assert_false(file.mounted);
  free(s.bytes);
  free(t.bytes);
  free(other.bytes);
}

/* C12: all clocks an hour ahead for a while. */
static void clocks_that_were_wrong(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW + 3600);
  assert_int_equal(polled_at(NOW + 3600), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_OLD);
  put_alive(&s, NOW);
  assert_int_equal(polled_at(NOW), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW + 1, 1), SUBTOKEN_FEED_OK);
  assert_true(subtoken_feed_now(&file.feed, NOW + 1) == NOW + 1);
  free(s.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_HOME(bad_snapshots),
      IN_HOME(no_files),
      IN_HOME(bad_heartbeats),
      IN_HOME(no_way_back),
      IN_HOME(seen_is_the_least),
      IN_HOME(seen_that_says_nothing),
      IN_HOME(cut_while_it_is_read),
      IN_HOME(replaced_while_it_is_read),
      IN_HOME(changed_in_place_afterwards),
      IN_HOME(away_and_back),
      IN_HOME(no_descriptors),
      IN_HOME(sparse_files_take_no_memory),
      IN_HOME(a_pull_that_was_ended_between_its_files),
      IN_HOME(clocks_that_were_wrong),
  };
  return cmocka_run_group_tests_name("feed_file_bad", tests, NULL, NULL);
}
