/* feed_file_fixture - the two files of a feed in a directory of a test's own, and the feed that
 * reads them. How much was read is what the kernel counted (/proc/self/io).
 */
#ifndef TESTS_UNIT_FEED_FILE_FIXTURE_H
#define TESTS_UNIT_FEED_FILE_FIXTURE_H

#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "subtoken/feed.h"

#define SEQUENCE INT64_C(1700000000000001)
#define FEW 20
#define MANY 200000 /* a snapshot of some 1.7 MB, 14 slices */

static const subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
static subtoken_ring ring;
static subtoken_feed_file file;
static char home[256], path[300], alive[310], seen[310];

static inline int remove_one(const char *name, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

/* The lowest number that no descriptor has. */
static inline int free_descriptor(void) {
  int descriptor = open("/", O_PATH | O_CLOEXEC);
  if (descriptor < 0 || close(descriptor) != 0) abort();
  return descriptor;
}

static int free_before;

static inline int make_home(void **state) {
  (void)state;
  free_before = free_descriptor();
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-feed-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(path, sizeof path, "%s/revoked", home);
  snprintf(alive, sizeof alive, "%s.alive", path);
  snprintf(seen, sizeof seen, "%s.seen", path);
  ring_with(&ring, "two", TEST_SECRET);
  return subtoken_feed_file_start(&file, path, &settings) == SUBTOKEN_FEED_OK ? 0 : -1;
}

/* A feed that has ended has left nothing open. */
static inline int remove_home(void **state) {
  (void)state;
  subtoken_feed_file_stop(&file);
  if (free_descriptor() != free_before) return -1;
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void put(const char *name, const void *data, size_t len) {
  char beside[330];
  snprintf(beside, sizeof beside, "%s.new", name);
  FILE *out = fopen(beside, "w");
  if (out == NULL || (len > 0 && fwrite(data, 1, len, out) != len) || fclose(out) != 0) abort();
  if (rename(beside, name) != 0) abort();
}

static inline void put_text(const char *name, const char *text) {
  put(name, text, strlen(text));
}

/* The kernel's count of what this process has read; asking adds to it. */
static inline int64_t bytes_read(void) {
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
static inline snapshot made_by(const subtoken_ring *by, int64_t sequence, uint32_t count) {
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

static inline snapshot made(int64_t sequence, uint32_t count) {
  return made_by(&ring, sequence, count);
}

static inline void put_alive_by(const subtoken_ring *by, const snapshot *s, int64_t time) {
  subtoken_heartbeat heartbeat = {s->sequence, time, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  memcpy(heartbeat.digest, s->digest, sizeof heartbeat.digest);
  assert_int_equal(subtoken_heartbeat_write(by, &heartbeat, bytes), SUBTOKEN_FEED_OK);
  put(alive, bytes, sizeof bytes);
}

static inline void put_alive(const snapshot *s, int64_t time) {
  put_alive_by(&ring, s, time);
}

static inline void put_pair(const snapshot *s, int64_t time) {
  put(path, s->bytes, s->len);
  put_alive(s, time);
}

/* Until there is no more to do. */
static inline subtoken_feed_result polled_at(int64_t now) {
  subtoken_feed_result result;
  do {
    result = subtoken_feed_file_poll(&file, &ring, now, now - NOW);
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(file.last, result);
  return result;
}

static inline subtoken_feed_result polled(void) {
  return polled_at(NOW);
}

/* Of a feed that has a snapshot of count subs in force. */
static inline void in_force(int64_t sequence, uint32_t count) {
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
static inline snapshot begun(void) {
  snapshot s = made(SEQUENCE, FEW);
  put_pair(&s, NOW - 5);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  in_force(SEQUENCE, FEW);
  return s;
}

/* However often it is asked, nothing that is large is read. */
static inline void reads_next_to_nothing(subtoken_feed_result want) {
  int64_t before = bytes_read();
  for (int i = 0; i < 5; i++) assert_int_equal(polled(), want);
  int64_t count = bytes_read() - before;
  CHECK(count <= ASKING + 5 * (SUBTOKEN_HEARTBEAT_LEN + 1), "%ld bytes", (long)count);
}

#define IN_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)

#endif
