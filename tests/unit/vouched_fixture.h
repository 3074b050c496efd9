/* vouched_fixture - a DATA with a store and a ring of the test's own, and what lies there of what
 * was vouched for.
 */
#ifndef TESTS_UNIT_VOUCHED_FIXTURE_H
#define TESTS_UNIT_VOUCHED_FIXTURE_H

#include "os/replace.h"
#include "support.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hmac.h"
#include "core/revocations_format.h"
#include "core/vouched.h"
#include "operations/snapshot_file.h"
#include "operations/vouched_files.h"
#include "os/error.h"
#include "subtoken/feed.h"

#define SEQUENCE INT64_C(1700000000000001)
#define US INT64_C(1000000)
#define MANY 20000

static char home[256], db[300], path[300], error[ST_ERROR_MAX];
static subtoken_ring ring;
static st_store *store;

static inline int remove_one(const char *name, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

static inline int setup(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-vouched-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(db, sizeof db, "%s/subtoken.db", home);
  ring_with(&ring, "one", TEST_SECRET);
  return st_store_open(db, true, &store, error) == ST_STORE_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  st_vouched_files_stop();
  st_store_close(store);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void good(st_store_status stored) {
  if (stored != ST_STORE_OK) fail_msg("%d: %s", (int)stored, error);
}

static uint64_t hashes[MANY];

/* A snapshot of the first count hashes. */
static inline uint8_t *made(int64_t sequence, uint32_t count, size_t *len) {
  subtoken_revocations_header header = {sequence, NOW, {7}};
  for (uint32_t i = 0; i < count; i++) hashes[i] = (uint64_t)(i + 1) * UINT64_C(900719925474099);
  *len = subtoken_revocations_size(count);
  uint8_t *bytes = malloc(*len);
  if (bytes == NULL) abort();
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, bytes, *len, NULL),
                   SUBTOKEN_FEED_OK);
  return bytes;
}

static inline void kept(int64_t sequence, uint32_t count) {
  size_t len;
  uint8_t *bytes = made(sequence, count, &len);
  if (!st_vouched_files_keep(&ring, bytes, len, sequence, error)) fail_msg("%s", error);
  free(bytes);
}

static inline const char *file(const char *name) {
  snprintf(path, sizeof path, "%s/%s", home, name);
  return path;
}

static inline bool there(const char *name) {
  return access(file(name), F_OK) == 0;
}

/* What a start would find. */
static inline void finds(int64_t sequence, uint32_t count) {
  st_snapshot_file copy;
  char changes[320];
  int64_t vouched = 0;
  snprintf(changes, sizeof changes, "%s/snapshot.changes", home);
  if (!st_snapshot_file_load(&ring, file("snapshot"), changes, &copy, error)) fail_msg("%s", error);
  assert_int_equal(copy.view.sequence, sequence);
  assert_int_equal(copy.view.count, count);
  st_snapshot_file_free(&copy);
  assert_true(st_vouched_files_sequence(home, &ring, &vouched, error));
  assert_int_equal(vouched, sequence);
}

static inline void finds_snapshot(int64_t sequence) {
  st_snapshot_file copy;
  if (!st_snapshot_file_load(&ring, file("snapshot"), NULL, &copy, error)) fail_msg("%s", error);
  assert_int_equal(copy.view.sequence, sequence);
  st_snapshot_file_free(&copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
