/* pull_fixture - the files of a `subtoken pull` in a directory of the test's own, snapshots to put
 * there, and what a pull that starts finds.
 */
#ifndef TESTS_UNIT_PULL_FIXTURE_H
#define TESTS_UNIT_PULL_FIXTURE_H

#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/pull_files.h"
#include "core/revocations_format.h"
#include "os/error.h"

#define SEQUENCE INT64_C(1700000000000001)

static char home[256], error[ST_ERROR_MAX];
static subtoken_ring ring;
static st_pull_files files, latest; /* latest: of found() */

static inline int remove_one(const char *name, const struct stat *status, int type,
                             struct FTW *at) {
  (void)status, (void)type, (void)at;
  return remove(name);
}

static inline int setup(void **state) {
  char path[300];
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-pull-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(path, sizeof path, "%s/revoked", home);
  ring_with(&ring, "one", TEST_SECRET);
  memset(&files, 0, sizeof files);
  files.max_size = SUBTOKEN_FEED_SIZE_DEFAULT;
  return st_pull_files_name(&files, path) ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  st_pull_files_free(&files.have);
  st_pull_files_free(&latest.have);
  free(files.spare);
  return nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* A snapshot of count hashes, and the heartbeat that names it. */
static inline st_pull_snapshot made(int64_t sequence, uint32_t count,
                                    uint8_t beat[SUBTOKEN_HEARTBEAT_LEN]) {
  subtoken_revocations_header header = {.sequence = sequence, .made = NOW, .hash_key = {7}};
  subtoken_heartbeat heartbeat = {.sequence = sequence, .time = NOW};
  uint64_t hashes[16];
  st_pull_snapshot snapshot = {.len = subtoken_revocations_size(count)};
  for (uint32_t i = 0; i < count; i++) hashes[i] = (uint64_t)(i + 1) << 58;
  snapshot.bytes = malloc(snapshot.len);
  assert_non_null(snapshot.bytes);
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, count, snapshot.bytes,
                                              snapshot.len, heartbeat.digest),
                   SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, beat), SUBTOKEN_FEED_OK);
  assert_true(st_pull_files_describe(&snapshot));
  return snapshot;
}

static inline void put(int64_t sequence, uint32_t count) {
  uint8_t beat[SUBTOKEN_HEARTBEAT_LEN];
  st_pull_snapshot fresh = made(sequence, count, beat);
  if (!st_pull_files_write(&files, &fresh, beat, error)) fail_msg("%s", error);
  st_pull_files_free(&fresh);
}

static inline void spill(const char *path, const void *data, size_t len) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, len), len);
  close(fd);
}

static inline size_t size_of(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 ? (size_t)status.st_size : 0;
}

/* As a pull finds them that starts now. */
static inline st_pull_files found(void) {
  st_pull_files_free(&latest.have);
  latest = files;
  latest.spare = NULL;
  memset(&latest.have, 0, sizeof latest.have);
  memset(&latest.stamp, 0, sizeof latest.stamp);
  latest.highest = latest.time = 0;
  st_pull_files_refresh(&latest);
  return latest;
}

#endif
