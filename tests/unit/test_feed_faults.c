/* A feed whose system calls fail: each call of a kind in turn, interrupted, short, or with what a
 * mount or a strange file system answers. It says so, keeps what it has, and is well again with the
 * next check. In the builds with sanitizers and the one that counts: elsewhere headers of the C
 * library may put other functions in the place of these.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/revocations_format.h"
#include "subtoken/feed.h"

#define PAGES ((size_t)2 << 20)
#define MANY 300000 /* a snapshot of more than a large page */

/* ---- the calls ---- */

enum { STAT, OPEN, FSTAT, PREAD, MMAP, LSEEK, STATX, KINDS };
static struct fault {
  int kind;       /* KINDS: none */
  unsigned nth;   /* call of it, from 1 */
  unsigned seen;  /* so many were made */
  int error;      /* errno, or 0 for: */
  size_t most;    /* bytes that a pread gives */
  bool directory; /* fstat says that it is one */
  bool unlinked;  /* stat says that it has no name any more */
  bool mount;     /* statx says that it is the root of a mount */
  bool aligned;   /* mmap gives large pages */
  int64_t size;   /* that stat and fstat tell of larger files than HEARTBEATs */
} fault;

static bool fails(int kind) {
  if (fault.kind != kind || fault.error == 0 || ++fault.seen != fault.nth) return false;
  errno = fault.error;
  return true;
}

#if defined(ST_CHECKED)
#define INSTEAD(name) name
#else
#define INSTEAD(name) unused_##name
#endif

int INSTEAD(stat)(const char *restrict name, struct stat *restrict status);
int INSTEAD(fstat)(int descriptor, struct stat *status);
int INSTEAD(open)(const char *name, int flags, ...);
ssize_t INSTEAD(pread)(int descriptor, void *out, size_t size, off_t at);
off_t INSTEAD(lseek)(int descriptor, off_t at, int whence);
void *INSTEAD(mmap)(void *at, size_t len, int rights, int flags, int descriptor, off_t from);
int INSTEAD(statx)(int descriptor, const char *restrict name, int flags, unsigned mask,
                   struct statx *restrict status);

static int told(struct stat *status, int result) {
  if (result != 0) return result;
  if (fault.directory) status->st_mode = S_IFDIR | 0700;
  if (fault.unlinked) status->st_nlink = 0;
  if (fault.size > 0 && status->st_size > SUBTOKEN_HEARTBEAT_LEN) status->st_size = fault.size;
  return 0;
}

int INSTEAD(stat)(const char *restrict name, struct stat *restrict status) {
  if (fails(STAT)) return -1;
  bool directory = fault.directory;
  fault.directory = false;
  int result = told(status, (int)syscall(SYS_newfstatat, AT_FDCWD, name, status, 0));
  fault.directory = directory;
  return result;
}

int INSTEAD(fstat)(int descriptor, struct stat *status) {
  if (fails(FSTAT)) return -1;
  return told(status, (int)syscall(SYS_newfstatat, descriptor, "", status, AT_EMPTY_PATH));
}

int INSTEAD(open)(const char *name, int flags, ...) {
  va_list list;
  va_start(list, flags);
  int mode = (flags & O_CREAT) != 0 ? va_arg(list, int) : 0;
  va_end(list);
  if (fails(OPEN)) return -1;
  return (int)syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

ssize_t INSTEAD(pread)(int descriptor, void *out, size_t size, off_t at) {
  if (fails(PREAD)) return -1;
  if (fault.most > 0 && size > fault.most) size = fault.most;
  return syscall(SYS_pread64, descriptor, out, size, at);
}

off_t INSTEAD(lseek)(int descriptor, off_t at, int whence) {
  if (fails(LSEEK)) return -1;
  return syscall(SYS_lseek, descriptor, at, whence);
}

void *INSTEAD(mmap)(void *at, size_t len, int rights, int flags, int descriptor, off_t from) {
  if (fails(MMAP)) return MAP_FAILED;
  bool aligned = fault.aligned && len > PAGES;
  char *got =
      (char *)syscall(SYS_mmap, at, aligned ? len + PAGES : len, rights, flags, descriptor, from);
  if (!aligned || got == MAP_FAILED) return got;
  size_t before = (PAGES - (uintptr_t)got % PAGES) % PAGES;
  if (before > 0) munmap(got, before);
  if (before < PAGES) munmap(got + before + len, PAGES - before);
  return got + before;
}

int INSTEAD(statx)(int descriptor, const char *restrict name, int flags, unsigned mask,
                   struct statx *restrict status) {
  if (fails(STATX)) return -1;
  int result = (int)syscall(SYS_statx, descriptor, name, flags, mask, status);
  if (fault.mount) status->stx_attributes |= STATX_ATTR_MOUNT_ROOT;
  return result;
}

/* ---- the files ---- */

static const subtoken_feed_settings settings = SUBTOKEN_FEED_SETTINGS_DEFAULT;
static subtoken_ring ring;
static subtoken_feed_file file;
static char home[256], path[300], alive[310], seen[310];

static void put(const char *name, const void *data, size_t len) {
  FILE *out = fopen(name, "w");
  if (out == NULL || (len > 0 && fwrite(data, 1, len, out) != len) || fclose(out) != 0) abort();
}

static void put_pair(int64_t sequence, uint32_t count) {
  static uint64_t hashes[MANY];
  subtoken_revocations_header header = {sequence, NOW, {7}};
  subtoken_heartbeat heartbeat = {sequence, NOW - 5, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  for (uint32_t i = 0; i < count; i++) hashes[i] = (uint64_t)i * (UINT64_MAX / MANY) + 1;
  size_t len = subtoken_revocations_size(count);
  void *out = malloc(len);
  if (out == NULL) abort();
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, hashes, count, out, len, heartbeat.digest),
      SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, bytes), SUBTOKEN_FEED_OK);
  put(path, out, len);
  put(alive, bytes, sizeof bytes);
  put(seen, "1\n", 2);
  free(out);
}

static int set_up(void **state) {
  (void)state;
  memset(&fault, 0, sizeof fault);
  fault.kind = KINDS;
  const char *base = getenv("TMPDIR");
  snprintf(home, sizeof home, "%s/subtoken-feed-XXXXXX", base != NULL ? base : "/tmp");
  if (mkdtemp(home) == NULL) return -1;
  snprintf(path, sizeof path, "%s/revoked", home);
  snprintf(alive, sizeof alive, "%s.alive", path);
  snprintf(seen, sizeof seen, "%s.seen", path);
  ring_with(&ring, "two", TEST_SECRET);
  return subtoken_feed_file_start(&file, path, &settings) == SUBTOKEN_FEED_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  memset(&fault, 0, sizeof fault);
  fault.kind = KINDS;
  subtoken_feed_file_stop(&file);
  (void)unlink(path), (void)unlink(alive), (void)unlink(seen);
  return rmdir(home);
}

static subtoken_feed_result polled(void) {
  subtoken_feed_result result;
  unsigned polls = 0;
  do {
    result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
    CHECK(++polls < 100000, "it does not end");
  } while (result == SUBTOKEN_FEED_MORE);
  return result;
}

/* A new one, for which the whole pair has to be read. */
static void begin_anew(void) {
  subtoken_feed_file_stop(&file);
  assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
}

/* ---- tests ---- */

static void each_call_may_fail_once(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  static const int kinds[] = {STAT, OPEN, FSTAT, PREAD, MMAP, LSEEK, STATX};
  static const unsigned least[KINDS] = {2, 3, 3, 3, 1, 1, 2}; /* calls of each */
  for (size_t i = 0; i < COUNT(kinds); i++) {
    for (unsigned nth = 1;; nth++) {
      begin_anew();
      fault = (struct fault){.kind = kinds[i], .nth = nth, .error = EIO};
      subtoken_feed_result got = polled();
      bool happened = fault.seen >= nth;
      fault.kind = KINDS;
      if (!happened) {
        CHECK(got == SUBTOKEN_FEED_OK && nth > least[i], "kind %zu, %u calls", i, nth - 1);
        break;
      }
      /* What is not told is of no weight: .seen, holes, mounts. */
      CHECK(got == SUBTOKEN_FEED_OK || got == SUBTOKEN_FEED_IO, "kind %zu, call %u: %d", i, nth,
            got);
      if (got == SUBTOKEN_FEED_IO) CHECK(file.error == EIO, "kind %zu, call %u", i, nth);
      CHECK((got == SUBTOKEN_FEED_OK) == (file.feed.snapshot.index != NULL && file.feed.time > 0),
            "kind %zu, call %u", i, nth);
      CHECK(polled() == SUBTOKEN_FEED_OK, "kind %zu, after call %u", i, nth);
      CHECK(file.feed.snapshot.count == 20 && file.error == 0, "kind %zu, after call %u", i, nth);
    }
  }
}

/* What is in use stays in use while a newer one cannot be read. */
static void what_is_in_use_outlives_a_failure(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_pair(6, 30);
  for (unsigned nth = 1; nth <= 3; nth++) {
    fault = (struct fault){.kind = PREAD, .nth = nth, .error = EIO};
    subtoken_feed_result got = polled();
    fault.kind = KINDS;
    assert_true(got == SUBTOKEN_FEED_IO || nth == 1);
    assert_int_equal(file.feed.snapshot.count, nth == 1 && got == SUBTOKEN_FEED_OK ? 30 : 20);
    if (got == SUBTOKEN_FEED_OK) break;
  }
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.snapshot.count, 30);
}

/* A load waits for a file that is being written, as it does for the other of a pair; a poll tells
 * of it, and no other failure is waited for. */
static void a_load_waits_for_no_failure_but_a_writer(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  unsigned waited = 0;
  for (unsigned nth = 1;; nth++) {
    begin_anew();
    fault = (struct fault){.kind = OPEN, .nth = nth, .error = EWOULDBLOCK};
    CHECK(subtoken_feed_file_load(&file, &ring, NOW, 0) == SUBTOKEN_FEED_OK, "call %u", nth);
    bool happened = fault.seen >= nth;
    begin_anew();
    fault = (struct fault){.kind = OPEN, .nth = nth, .error = EACCES};
    subtoken_feed_result got = subtoken_feed_file_load(&file, &ring, NOW, 0);
    fault.kind = KINDS;
    if (!happened) break;
    CHECK(got == SUBTOKEN_FEED_OK || (got == SUBTOKEN_FEED_IO && file.error == EACCES), "call %u",
          nth);
    waited += got == SUBTOKEN_FEED_IO;
  }
  assert_true(waited >= 2);
}

static void an_interrupted_call_is_made_again(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  static const int kinds[] = {OPEN, PREAD};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    for (unsigned nth = 1; nth <= 3; nth++) {
      begin_anew();
      fault = (struct fault){.kind = kinds[i], .nth = nth, .error = EINTR};
      CHECK(polled() == SUBTOKEN_FEED_OK && fault.seen > nth, "kind %zu, call %u", i, nth);
      fault.kind = KINDS;
    }
  }
}

/* Less than the head at a time, too. */
static void a_short_read_goes_on(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  static const size_t pieces[] = {1000, 7, 127, 128, 129};
  for (size_t i = 0; i < COUNT(pieces); i++) {
    begin_anew();
    fault.most = pieces[i];
    subtoken_feed_result got = polled();
    /* A heartbeat is read at once, or is not whole: the next check reads it again. */
    CHECK(got == SUBTOKEN_FEED_OK || pieces[i] < SUBTOKEN_HEARTBEAT_LEN, "%zu: %d", pieces[i], got);
    CHECK(file.found == SUBTOKEN_FEED_OK, "%zu: %d", pieces[i], file.found);
    fault.most = 0;
  }
}

static void a_file_that_turns_into_another_is_told(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  fault.directory = true;
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_int_equal(file.error, EISDIR);
  fault.directory = false;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
}

static void a_mount_of_one_file_is_seen(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_false(file.mounted);
  fault.unlinked = true; /* and unchanged: there is no way to a newer one */
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(file.mounted);
  begin_anew();
  assert_int_equal(polled(), SUBTOKEN_FEED_OK); /* unlinked, but new here */
  fault.unlinked = false;
  begin_anew();
  fault.mount = true;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_true(file.mounted);
}

/* Large ones get large pages, and are given back in parts. */
static void a_large_snapshot_is_given_back_in_parts(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  for (int aligned = 0; aligned < 2; aligned++) {
    begin_anew();
    fault.aligned = aligned;
    put_pair(5, MANY);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_int_equal(file.feed.snapshot.count, MANY);
    put_pair(6, 20);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_int_equal(file.feed.snapshot.count, 20);
    put_pair(7, 21);
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_int_equal(file.feed.snapshot.count, 21);
  }
}

/* One that waits for its heartbeat is given up for a newer one, in parts too. */
static void a_large_snapshot_that_waits_is_given_up(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  char *beat = malloc(SUBTOKEN_HEARTBEAT_LEN);
  assert_non_null(beat);
  FILE *in = fopen(alive, "r");
  assert_int_equal(fread(beat, 1, SUBTOKEN_HEARTBEAT_LEN, in), SUBTOKEN_HEARTBEAT_LEN);
  fclose(in);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_pair(6, MANY);
  put(alive, beat, SUBTOKEN_HEARTBEAT_LEN); /* that of the one before */
  free(beat);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  assert_int_equal(file.feed.snapshot.count, 20);
  put_pair(7, 21);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.snapshot.count, 21);
}

/* Each hash of a snapshot has a number of 32 bits, whatever the file's size is. */
static void a_size_beyond_all_hashes_is_refused(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  subtoken_feed_settings large = settings;
  large.max_size = (size_t)1 << 40;
  subtoken_feed_file_stop(&file);
  assert_int_equal(subtoken_feed_file_start(&file, path, &large), SUBTOKEN_FEED_OK);
  put_pair(5, 20);
  fault = (struct fault){.kind = LSEEK, .nth = 1, .error = EINVAL, .size = INT64_C(40) << 30};
  subtoken_feed_result got = polled();
  assert_true(got == SUBTOKEN_FEED_LENGTH || got == SUBTOKEN_FEED_IO); /* no such memory */
  assert_null(file.feed.snapshot.index);
}

static void a_ring_with_too_high_a_count_is_not_left(void **state) {
  (void)state;
  put_pair(5, 20);
  subtoken_ring *odd = malloc(sizeof *odd);
  assert_non_null(odd);
  *odd = ring;
  for (size_t i = 1; i < SUBTOKEN_RING_MAX; i++) odd->secrets[i] = odd->secrets[0];
  odd->count = SUBTOKEN_RING_MAX + 1;
  subtoken_feed_result result;
  do {
    result = subtoken_feed_file_poll(&file, odd, NOW, 0);
  } while (result == SUBTOKEN_FEED_MORE);
  assert_int_equal(result, SUBTOKEN_FEED_OK);
  free(odd);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(each_call_may_fail_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_in_use_outlives_a_failure, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_load_waits_for_no_failure_but_a_writer, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_interrupted_call_is_made_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_short_read_goes_on, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_file_that_turns_into_another_is_told, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_mount_of_one_file_is_seen, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_large_snapshot_is_given_back_in_parts, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_large_snapshot_that_waits_is_given_up, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_size_beyond_all_hashes_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_ring_with_too_high_a_count_is_not_left, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
