/* The two files of a feed as they come, go, change and are tampered with. How much was read
 * is what the kernel counted (/proc/self/io).
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/revocations_format.h"
#include "subtoken/feed.h"

#define SEQUENCE INT64_C(1700000000000001)
#define FEW 20
#define MANY 200000 /* a snapshot of some 1.7 MB, 14 slices */

static const subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
static subtoken_ring ring;
static subtoken_feed_file file;
static char home[256], path[300], alive[310], seen[310];

/* ---- helpers ---- */

static int remove_one(const char *name, const struct stat *status, int type, struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

static int make_home(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-feed-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(path, sizeof path, "%s/revoked", home);
  snprintf(alive, sizeof alive, "%s.alive", path);
  snprintf(seen, sizeof seen, "%s.seen", path);
  ring_with(&ring, "two", TEST_SECRET);
  return subtoken_feed_file_start(&file, path, &settings) == SUBTOKEN_FEED_OK ? 0 : -1;
}

static int remove_home(void **state) {
  (void)state;
  subtoken_feed_file_stop(&file);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const void *data, size_t len) {
  char beside[330];
  snprintf(beside, sizeof beside, "%s.new", name);
  FILE *out = fopen(beside, "w");
  if (out == NULL || (len > 0 && fwrite(data, 1, len, out) != len) || fclose(out) != 0) abort();
  if (rename(beside, name) != 0) abort();
}

static void put_text(const char *name, const char *text) {
  put(name, text, strlen(text));
}

/* The kernel's count of what this process has read; asking adds to it. */
static int64_t bytes_read(void) {
  char text[256];
  long long count = -1;
  int fd = open("/proc/self/io", O_RDONLY);
  ssize_t len = read(fd, text, sizeof text - 1);
  close(fd);
  if (len <= 0) abort();
  text[len] = '\0';
  if (sscanf(text, "rchar: %lld", &count) != 1) abort();
  return count;
}

/* What asking itself costs at most. */
#define ASKING 256

typedef struct snapshot {
  uint8_t *bytes;
  size_t len;
  int64_t sequence;
  uint8_t digest[SUBTOKEN_MAC_LEN];
} snapshot;

/* Lists sub0, sub1, ...; release with free(bytes). */
static snapshot made_by(const subtoken_ring *by, int64_t sequence, uint32_t count) {
  static uint64_t hashes[MANY];
  subtoken_revocations_header header = {sequence, NOW, {7}};
  char sub[32];
  for (uint32_t i = 0; i < count; i++) {
    snprintf(sub, sizeof sub, "sub%u", i);
    hashes[i] = subtoken_revocations_hash(header.hash_key, st_text(sub));
  }
  count = subtoken_revocations_sort(hashes, count);
  snapshot s = {NULL, subtoken_revocations_size(count), sequence, {0}};
  s.bytes = malloc(s.len);
  if (s.bytes == NULL) abort();
  assert_int_equal(subtoken_revocations_write(by, &header, hashes, count, s.bytes, s.len, s.digest),
                   SUBTOKEN_FEED_OK);
  return s;
}

static snapshot made(int64_t sequence, uint32_t count) {
  return made_by(&ring, sequence, count);
}

static void put_alive_by(const subtoken_ring *by, const snapshot *s, int64_t time) {
  subtoken_heartbeat heartbeat = {s->sequence, time, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  memcpy(heartbeat.digest, s->digest, sizeof heartbeat.digest);
  assert_int_equal(subtoken_heartbeat_write(by, &heartbeat, bytes), SUBTOKEN_FEED_OK);
  put(alive, bytes, sizeof bytes);
}

static void put_alive(const snapshot *s, int64_t time) {
  put_alive_by(&ring, s, time);
}

static void put_pair(const snapshot *s, int64_t time) {
  put(path, s->bytes, s->len);
  put_alive(s, time);
}

/* Until there is no more to do. */
static subtoken_feed_result polled_at(int64_t now) {
  subtoken_feed_result result;
  do {
    result = subtoken_feed_file_poll(&file, &ring, now, now - NOW);
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(file.last, result);
  return result;
}

static subtoken_feed_result polled(void) {
  return polled_at(NOW);
}

/* Of a feed that has a snapshot of count subs in force. */
static void in_force(int64_t sequence, uint32_t count) {
  char sub[32];
  assert_int_equal(file.feed.snapshot.sequence, sequence);
  assert_int_equal(file.feed.snapshot.count, count);
  assert_int_equal(file.size, subtoken_revocations_size(count));
  for (uint32_t i = 0; i < FEW + 2; i++) {
    snprintf(sub, sizeof sub, "sub%u", i);
    assert_int_equal(subtoken_revocations_find(&file.feed.snapshot, st_text(sub)),
                     i < count ? SUBTOKEN_REVOKED : SUBTOKEN_OK);
  }
}

/* A good pair of FEW in force, made at SEQUENCE; release with free(bytes). */
static snapshot begun(void) {
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  return s;
}

/* However often it is asked, nothing that is large is read. */
static void reads_next_to_nothing(subtoken_feed_result want) {
  int64_t before = bytes_read();
  for (int i = 0; i < 5; i++) assert_int_equal(polled(), want);
  int64_t count = bytes_read() - before;
  CHECK(count <= ASKING + 5 * (SUBTOKEN_HEARTBEAT_LEN + 1), "%ld bytes", (long)count);
}

/* ---- calls ---- */

static void start_refuses(void **state) {
  (void)state;
  char longest[SUBTOKEN_FEED_PATH_MAX + 2];
  subtoken_feed_file own;
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  subtoken_feed_settings odd = {sizeof odd, -1, 300, false, 0};
  assert_int_equal(subtoken_feed_file_start(NULL, path, &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, NULL, &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, path, NULL), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, "", &settings), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, longest, &settings),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  odd = (subtoken_feed_settings){sizeof odd, 60, -1, false, 0};
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  odd = (subtoken_feed_settings){sizeof odd, SUBTOKEN_LEEWAY_MAX + 1, 300, false, 0}; /* C13 */
  assert_int_equal(subtoken_feed_file_start(&own, path, &odd), SUBTOKEN_FEED_INVALID_ARGUMENT);
  /* What was not started decides nothing and does nothing. */
  assert_int_equal(subtoken_feed_file_poll(&own, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_load(&own, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_poll(NULL, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed_file_stop(&own);
  subtoken_feed_file_stop(NULL);
  longest[SUBTOKEN_FEED_PATH_MAX] = '\0';
  odd = (subtoken_feed_settings){sizeof odd, 0, 0, true, 0};
  assert_int_equal(subtoken_feed_file_start(&own, longest, &odd), SUBTOKEN_FEED_OK);
  assert_true(own.feed.leeway == 0 && own.feed.max_age == 0 && own.feed.allow_old);
  assert_int_equal(subtoken_feed_file_poll(&own, NULL, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_file_poll(&own, &ring, NOW, 0), SUBTOKEN_FEED_IO);
  assert_int_equal(own.error, ENAMETOOLONG);
  subtoken_feed_file_stop(&own);
}

static void stop_leaves_nothing(void **state) {
  (void)state;
  snapshot s = begun();
  void *bytes = file.current;
  size_t size = file.size;
  subtoken_feed_file_stop(&file);
  assert_int_equal(msync(bytes, size, MS_ASYNC), -1); /* no memory is there any more */
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed_file_stop(&file);
  /* Half read, and with a descriptor. */
  snapshot large = made(SEQUENCE, MANY);
  put_pair(&large, NOW);
  assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  int descriptor = file.descriptor;
  assert_int_equal(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
  subtoken_feed_file_stop(&file);
  assert_int_equal(fcntl(descriptor, F_GETFD), -1);
  free(large.bytes);
  free(s.bytes);
}

/* ---- good files ---- */

static void taken_as_they_come(void **state) {
  (void)state;
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  snapshot s = made(SEQUENCE, MANY);
  put(path, s.bytes, s.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  assert_int_equal(subtoken_feed_check(&file.feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  /* The snapshot waits, checked. */
  int64_t before = bytes_read();
  put_alive(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.error, 0);
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  in_force(SEQUENCE, MANY);
  assert_int_equal(subtoken_feed_age(&file.feed, NOW, 0), 5);
  subtoken_feed_clock clock = {&file.feed, NOW, 0};
  assert_int_equal(subtoken_feed_revoked(&clock, &ST_TEXT("sub3"), 1), SUBTOKEN_REVOKED);
  assert_int_equal(subtoken_feed_revoked(&clock, &ST_TEXT("other"), 1), SUBTOKEN_OK);
  free(s.bytes);
}

static void nothing_new_reads_nothing(void **state) {
  (void)state;
  snapshot s = begun();
  put_text(seen, "7\n");
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  int64_t before = bytes_read();
  for (int i = 0; i < 5; i++) {
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  }
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  free(s.bytes);
}

static void heartbeat_alone_is_cheap(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  void *bytes = file.current;
  for (int64_t time = NOW; time < NOW + 3; time++) {
    put_alive(&s, time);
    int64_t before = bytes_read();
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, time, time - NOW), SUBTOKEN_FEED_OK);
    assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
    assert_int_equal(file.feed.time, time);
    assert_int_equal(subtoken_feed_age(&file.feed, time + 1, time - NOW + 1), 1);
  }
  assert_ptr_equal(file.current, bytes);
  free(s.bytes);
}

/* The one in force serves until the next one is, no call does more than a slice, and the old
 * one's memory goes. A large one has a filter in the end, which is left to do when it is in force.
 */
static void replaced_in_slices(void **state) {
  (void)state;
  snapshot first = made(SEQUENCE, MANY), second = made(SEQUENCE + 1, MANY - 1);
  put_pair(&first, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  void *old = file.current;
  size_t old_size = file.mapped;
  assert_true(!file.filling && file.feed.snapshot.filter != NULL);
  put_pair(&second, NOW - 4);
  subtoken_feed_result result;
  size_t steps = 0, fillings = 0;
  do {
    size_t read = file.fresh_read, checked = file.opening.done, filled = file.filled;
    int64_t before = bytes_read();
    result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
    assert_true(bytes_read() - before <=
                ASKING + SUBTOKEN_REVOCATIONS_SLICE + SUBTOKEN_HEARTBEAT_LEN + 1);
    if (steps > 0) assert_true(file.fresh_read - read <= SUBTOKEN_REVOCATIONS_SLICE);
    if (file.opening.open) assert_true(file.opening.done - checked <= SUBTOKEN_REVOCATIONS_SLICE);
    bool replaced = file.filling || result == SUBTOKEN_FEED_OK;
    in_force(replaced ? SEQUENCE + 1 : SEQUENCE, replaced ? MANY - 1 : MANY);
    assert_true(file.filled - filled <= 65536 || file.filled == 0);
    if (file.filling) {
      fillings++;
      assert_true(result == SUBTOKEN_FEED_MORE && file.last == SUBTOKEN_FEED_OK);
      assert_null(file.feed.snapshot.filter);
    }
    steps++;
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  assert_true(steps >= 2 * (second.len / SUBTOKEN_REVOCATIONS_SLICE));
  assert_true(fillings >= MANY / 65536 && file.feed.snapshot.filter != NULL);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(msync(old, old_size, MS_ASYNC), -1);
  assert_int_equal(errno, ENOMEM);
  free(first.bytes);
  free(second.bytes);
}

/* Loading ends as soon as it is in force; the filter is for who goes on to poll. */
static void loaded_without_its_filter(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW - 5);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, MANY);
  assert_true(file.filling && file.feed.snapshot.filter == NULL);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(!file.filling && file.feed.snapshot.filter != NULL);
  in_force(SEQUENCE, MANY);
  put_alive(&s, NOW - 4); /* leaves it where it is */
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(file.feed.time == NOW - 4 && file.feed.snapshot.filter != NULL);
  free(s.bytes);
}

/* A link to a file is a file. */
static void link_is_followed(void **state) {
  (void)state;
  char real[310], real_alive[320];
  snprintf(real, sizeof real, "%s/real", home);
  snprintf(real_alive, sizeof real_alive, "%s/real.alive", home);
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW);
  assert_true(rename(path, real) == 0 && rename(alive, real_alive) == 0);
  assert_true(symlink("real", path) == 0 && symlink("real.alive", alive) == 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  free(s.bytes);
}

/* ---- pairs ---- */

static void half_a_pair_waits(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY);
  put(path, second.bytes, second.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  in_force(SEQUENCE, FEW);
  /* Until its heartbeat comes, those of the first are good. */
  put_alive(&first, NOW - 3);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  assert_int_equal(file.feed.time, NOW - 3);
  reads_next_to_nothing(SUBTOKEN_FEED_PAIR);
  put_alive(&second, NOW - 2);
  int64_t before = bytes_read();
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(bytes_read() - before <= ASKING + SUBTOKEN_HEARTBEAT_LEN + 1);
  in_force(SEQUENCE + 1, MANY);
  /* A heartbeat for a snapshot that is not there. */
  snapshot third = made(SEQUENCE + 2, 3);
  put_alive(&third, NOW - 1);
  reads_next_to_nothing(SUBTOKEN_FEED_PAIR);
  in_force(SEQUENCE + 1, MANY);
  put(path, third.bytes, third.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, 3);
  free(first.bytes);
  free(second.bytes);
  free(third.bytes);
}

/* One that waits is given up when another takes its place. */
static void next_one_while_one_waits(void **state) {
  (void)state;
  snapshot first = begun(), second = made(SEQUENCE + 1, MANY), third = made(SEQUENCE + 2, MANY);
  put(path, second.bytes, second.len);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  put_pair(&third, NOW - 2);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 2, MANY);
  free(first.bytes);
  free(second.bytes);
  free(third.bytes);
}

/* load has patience with a pair; each try reads the heartbeat again and the snapshot not. */
static void load_tries_again(void **state) {
  (void)state;
  snapshot first = made(SEQUENCE, FEW), second = made(SEQUENCE + 1, 1);
  put(path, first.bytes, first.len);
  put_alive(&second, NOW);
  int64_t before = bytes_read();
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_PAIR);
  int64_t count = bytes_read() - before - (int64_t)first.len;
  CHECK(count >= 10 * SUBTOKEN_HEARTBEAT_LEN, "%ld bytes", (long)count);
  put(path, second.bytes, second.len);
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, 1);
  free(first.bytes);
  free(second.bytes);
}

static int leased;

static bool lease(void) {
  return fcntl(leased, F_SETSIG, SIGURG) == 0 && fcntl(leased, F_SETLEASE, F_WRLCK) == 0;
}

static void end_lease(int signal) {
  (void)signal;
  (void)fcntl(leased, F_SETLEASE, F_UNLCK);
}

/* So it has with a file that its writer still holds (src/os/spare.c): a poll says so, and goes on.
 */
static void load_waits_for_its_writer(void **state) {
  (void)state;
  const struct sigaction before = {.sa_handler = SIG_DFL}, action = {.sa_handler = end_lease};
  snapshot first = made(SEQUENCE, FEW);
  put(path, first.bytes, first.len);
  put_alive(&first, NOW);
  leased = open(path, O_RDWR | O_CLOEXEC);
  if (lease()) {
    assert_int_equal(polled(), SUBTOKEN_FEED_IO);
    assert_int_equal(file.error, EWOULDBLOCK);
    end_lease(0);
    assert_true(lease());
    assert_int_equal(sigaction(SIGURG, &action, NULL), 0);
    assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
    assert_int_equal(sigaction(SIGURG, &before, NULL), 0);
    in_force(SEQUENCE, FEW);
  }
  (void)close(leased);
  assert_int_equal(unlink(path), 0); /* what fails for another reason is told at once */
  assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, ENOENT);
  free(first.bytes);
}

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

/* ---- the ring ---- */

static void ring_that_comes_later(void **state) {
  (void)state;
  subtoken_ring both = ring;
  assert_int_equal(subtoken_ring_add(&both, ST_TEXT("new"), OTHER_SECRET, strlen(OTHER_SECRET)),
                   SUBTOKEN_OK);
  subtoken_ring fresh;
  ring_with(&fresh, "new", OTHER_SECRET);
  snapshot first = begun(), second = made_by(&fresh, SEQUENCE + 1, MANY);
  put_alive_by(&fresh, &first, NOW - 3);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  subtoken_ring only = ring;
  ring = both;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.time, NOW - 3);
  ring = only;
  put(path, second.bytes, second.len);
  put_alive_by(&fresh, &second, NOW - 2);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  reads_next_to_nothing(SUBTOKEN_FEED_KID);
  /* The same secret under another name, then the right name with another secret. */
  ring_with(&ring, "newer", OTHER_SECRET);
  assert_int_equal(polled(), SUBTOKEN_FEED_KID);
  ring_with(&ring, "new", TEST_SECRET);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAC);
  reads_next_to_nothing(SUBTOKEN_FEED_MAC);
  in_force(SEQUENCE, FEW);
  ring = both;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE + 1, MANY);
  free(first.bytes);
  free(second.bytes);
}

/* It may be gone when the call returns, half way through. */
static void ring_need_not_stay(void **state) {
  (void)state;
  snapshot s = made(SEQUENCE, MANY);
  put_pair(&s, NOW);
  subtoken_feed_result result;
  do {
    subtoken_ring *own = malloc(sizeof *own);
    if (own == NULL) abort();
    *own = ring;
    result = subtoken_feed_file_poll(&file, own, NOW, 0);
    free(own);
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, MANY);
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

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

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
      IN_HOME(start_refuses),
      IN_HOME(stop_leaves_nothing),
      IN_HOME(taken_as_they_come),
      IN_HOME(nothing_new_reads_nothing),
      IN_HOME(heartbeat_alone_is_cheap),
      IN_HOME(replaced_in_slices),
      IN_HOME(loaded_without_its_filter),
      IN_HOME(link_is_followed),
      IN_HOME(half_a_pair_waits),
      IN_HOME(next_one_while_one_waits),
      IN_HOME(load_tries_again),
      IN_HOME(load_waits_for_its_writer),
      IN_HOME(bad_snapshots),
      IN_HOME(no_files),
      IN_HOME(bad_heartbeats),
      IN_HOME(no_way_back),
      IN_HOME(seen_is_the_least),
      IN_HOME(seen_that_says_nothing),
      IN_HOME(ring_that_comes_later),
      IN_HOME(ring_need_not_stay),
      IN_HOME(cut_while_it_is_read),
      IN_HOME(replaced_while_it_is_read),
      IN_HOME(changed_in_place_afterwards),
      IN_HOME(away_and_back),
      IN_HOME(no_descriptors),
      IN_HOME(sparse_files_take_no_memory),
      IN_HOME(a_pull_that_was_ended_between_its_files),
      IN_HOME(clocks_that_were_wrong),
  };
  return cmocka_run_group_tests_name("feed_file", tests, NULL, NULL);
}
