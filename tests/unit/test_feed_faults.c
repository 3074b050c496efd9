/* A feed whose system calls fail: each call of a kind in turn, interrupted, short, or with what a
 * mount or a strange file system answers. It says so, keeps what it has, and is well again with the
 * next check. And which calls it makes: what is mapped is unmapped, what is opened is closed, once.
 * In the builds with sanitizers and the one that counts: elsewhere headers of the C library may put
 * other functions in the place of these.
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
#define PAGE ((size_t)4096)
#define MANY 300000 /* a snapshot of more than a large page */

/* ---- the calls ---- */

enum { STAT, OPEN, FSTAT, PREAD, MMAP, LSEEK, STATX, KINDS };
static struct fault {
  int kind;         /* KINDS: none */
  unsigned nth;     /* call of it, from 1 */
  unsigned seen;    /* so many were made */
  int error;        /* errno, or 0 for: */
  size_t most;      /* bytes that a pread gives */
  bool directory;   /* fstat says that it is one */
  bool unlinked;    /* stat says that it has no name any more */
  bool mount;       /* statx says that it is the root of a mount */
  bool aligned;     /* mmap gives large pages */
  int64_t size;     /* that stat and fstat tell of larger files than HEARTBEATs */
  struct stat more; /* by how much they tell more of these: dev, ino, size, mtim, ctim */
} fault;

/* What was called. */
static unsigned made[KINDS + 1];
static size_t mapped, asked; /* bytes, whole pages, that are; bytes of the last call */
static unsigned odd_calls;   /* to close what is not open, or unmap what was not mapped */
static struct range {
  const void *start;
  size_t len; /* with what may be cut off to begin at a large page */
} ranges[8];  /* those that were mapped last */
static unsigned range_count;

static bool fails(int kind) {
  made[kind]++;
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
int INSTEAD(munmap)(void *at, size_t len);
int INSTEAD(close)(int descriptor);
int INSTEAD(statx)(int descriptor, const char *restrict name, int flags, unsigned mask,
                   struct statx *restrict status);

static int told(struct stat *status, int result) {
  if (result != 0) return result;
  if (fault.directory) status->st_mode = S_IFDIR | 0700;
  if (fault.unlinked) status->st_nlink = 0;
  if (status->st_size <= SUBTOKEN_HEARTBEAT_LEN) return 0;
  if (fault.size > 0) status->st_size = fault.size;
  status->st_dev += fault.more.st_dev;
  status->st_ino += fault.more.st_ino;
  status->st_size += fault.more.st_size;
  status->st_mtim.tv_sec += fault.more.st_mtim.tv_sec;
  status->st_mtim.tv_nsec += fault.more.st_mtim.tv_nsec;
  status->st_ctim.tv_sec += fault.more.st_ctim.tv_sec;
  status->st_ctim.tv_nsec += fault.more.st_ctim.tv_nsec;
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
  if (fault.most > 0) memset(out, 0xA5, size); /* all of it may be written to */
  if (fault.most > 0 && size > fault.most) size = fault.most;
  return syscall(SYS_pread64, descriptor, out, size, at);
}

off_t INSTEAD(lseek)(int descriptor, off_t at, int whence) {
  if (fails(LSEEK)) return -1;
  return syscall(SYS_lseek, descriptor, at, whence);
}

static size_t whole_pages(size_t len) {
  return (len + PAGE - 1) / PAGE * PAGE;
}

void *INSTEAD(mmap)(void *at, size_t len, int rights, int flags, int descriptor, off_t from) {
  asked = len;
  if (fails(MMAP)) return MAP_FAILED;
  bool aligned = fault.aligned && len > PAGES;
  char *got =
      (char *)syscall(SYS_mmap, at, aligned ? len + PAGES : len, rights, flags, descriptor, from);
  if (got == MAP_FAILED) return got;
  mapped += whole_pages(len);
  ranges[range_count++ % COUNT(ranges)] = (struct range){got, whole_pages(len) + PAGES};
  if (!aligned) return got;
  size_t before = (PAGES - (uintptr_t)got % PAGES) % PAGES, end = before + whole_pages(len);
  if (before > 0) syscall(SYS_munmap, got, before);
  if (before < PAGES) syscall(SYS_munmap, got + end, whole_pages(len + PAGES) - end);
  return got + before;
}

int INSTEAD(munmap)(void *at, size_t len) {
  bool known = false;
  for (size_t i = 0; i < COUNT(ranges); i++) {
    known |= (uintptr_t)at - (uintptr_t)ranges[i].start <= ranges[i].len - whole_pages(len) &&
             whole_pages(len) <= ranges[i].len;
  }
  mapped -= whole_pages(len);
  odd_calls += !known || len == 0;
  return (int)syscall(SYS_munmap, at, len);
}

int INSTEAD(close)(int descriptor) {
  int result = (int)syscall(SYS_close, descriptor);
  odd_calls += result != 0;
  return result;
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
static char home[256], path[300], alive[310], seen[310], next[310];

/* Another file each time, which is seen whatever the clock of the file system says. */
static void put(const char *name, const void *data, size_t len) {
  char beside[320];
  snprintf(beside, sizeof beside, "%s.new", name);
  FILE *out = fopen(beside, "w");
  if (out == NULL || (len > 0 && fwrite(data, 1, len, out) != len) || fclose(out) != 0) abort();
  if (rename(beside, name) != 0) abort();
}

static uint8_t digest[SUBTOKEN_MAC_LEN]; /* of the last snapshot */
static uint8_t *content;                 /* its bytes */
static size_t content_len;

static void put_beat(const char *name, int64_t sequence, int64_t time) {
  subtoken_heartbeat heartbeat = {sequence, time, {0}};
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  memcpy(heartbeat.digest, digest, sizeof digest);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, bytes), SUBTOKEN_FEED_OK);
  put(name, bytes, sizeof bytes);
}

static void put_snapshot_by(const subtoken_ring *by, int64_t sequence, uint32_t count) {
  static uint64_t hashes[MANY];
  subtoken_revocations_header header = {sequence, NOW, {7}};
  for (uint32_t i = 0; i < count; i++) hashes[i] = (uint64_t)i * (UINT64_MAX / MANY) + 1;
  content_len = subtoken_revocations_size(count);
  free(content);
  content = malloc(content_len);
  if (content == NULL) abort();
  assert_int_equal(
      subtoken_revocations_write(by, &header, hashes, count, content, content_len, digest),
      SUBTOKEN_FEED_OK);
  put(path, content, content_len);
}

static void put_pair(int64_t sequence, uint32_t count) {
  put_snapshot_by(&ring, sequence, count);
  put_beat(alive, sequence, NOW - 5);
  put(seen, "1\n", 2);
}

/* The lowest number that no descriptor has. */
static int free_descriptor(void) {
  int descriptor = open("/", O_PATH | O_CLOEXEC);
  if (descriptor < 0 || close(descriptor) != 0) abort();
  return descriptor;
}

static int free_before;

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
  snprintf(next, sizeof next, "%s.next", path);
  ring_with(&ring, "two", TEST_SECRET);
  mapped = odd_calls = 0;
  free_before = free_descriptor();
  return subtoken_feed_file_start(&file, path, &settings) == SUBTOKEN_FEED_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  memset(&fault, 0, sizeof fault);
  fault.kind = KINDS;
  subtoken_feed_file_stop(&file);
  free(content);
  content = NULL;
  (void)unlink(path), (void)unlink(alive), (void)unlink(seen), (void)unlink(next);
  if (mapped != 0 || odd_calls != 0 || free_descriptor() != free_before) return -1;
  return rmdir(home);
}

static unsigned polls; /* that the last one took */

static subtoken_feed_result polled(void) {
  subtoken_feed_result result;
  polls = 0;
  do {
    result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
    CHECK(++polls < 100000, "it does not end");
  } while (result == SUBTOKEN_FEED_MORE);
  CHECK(file.error == 0 || result == SUBTOKEN_FEED_IO || result == SUBTOKEN_FEED_OK, "%d, %d",
        result, file.error);
  return result;
}

/* A new one, for which the whole pair has to be read. */
static void begin_anew(void) {
  subtoken_feed_file_stop(&file);
  assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
}

/* What is in use is what was put last, to the byte, with the filter of its hashes, and nothing of
 * its reading is left. */
static void assert_in_use(uint32_t count) {
  static const subtoken_revocations none;
  const subtoken_revocations *view = &file.feed.snapshot;
  size_t size = subtoken_revocations_filter_size(count);
  subtoken_revocations again = *view;
  uint32_t done = 0;
  assert_true(view->count == count && file.size == content_len && file.error == 0);
  assert_memory_equal(file.current, content, content_len);
  assert_true(file.fresh == NULL && file.descriptor == -1 && !file.filling);
  assert_memory_equal(&file.view, &none, sizeof none);
  assert_int_equal(view->filter != NULL, count >= 256);
  if (view->filter == NULL) return;
  void *filter = calloc(1, size);
  assert_non_null(filter);
  assert_int_equal(subtoken_revocations_filter_build(&again, filter, size, &done, count),
                   SUBTOKEN_FEED_OK);
  assert_true(view->filter_words == again.filter_words);
  assert_memory_equal(view->filter, filter, size);
  free(filter);
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
  static const size_t pieces[] = {1000, 7, 1, 127, 128, 129};
  for (size_t i = 0; i < COUNT(pieces); i++) {
    begin_anew();
    fault.most = pieces[i];
    subtoken_feed_result got = polled();
    CHECK(got == SUBTOKEN_FEED_OK, "%zu: %d", pieces[i], got);
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
  assert_false(file.mounted);
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
    assert_in_use(MANY);
    assert_true((uintptr_t)file.current % PAGES == 0);
    put_pair(6, 20);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_in_use(20);
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
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  assert_true(file.old != NULL && file.fresh == NULL); /* that is enough for one call */
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
  assert_int_equal(asked,
                   ((size_t)40 << 30) + subtoken_revocations_filter_size(UINT32_MAX) + PAGES);
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

/* ---- what is called ---- */

/* Each of the five numbers tells of a change by itself, and is told once. */
static void each_number_of_a_file_tells_of_its_change(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  static const struct stat more[] = {{.st_dev = 1},
                                     {.st_ino = 1},
                                     {.st_mtim = {.tv_sec = 1}},
                                     {.st_mtim = {.tv_nsec = 1}},
                                     {.st_ctim = {.tv_sec = 1}},
                                     {.st_ctim = {.tv_nsec = 1}},
                                     {.st_size = -8}};
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  for (size_t i = 0; i < COUNT(more); i++) {
    bool good = more[i].st_size == 0;
    subtoken_feed_result want = good ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH;
    fault.more = (struct stat){0};
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    fault.more = more[i];
    made[OPEN] = 0;
    CHECK(polled() == want && made[OPEN] == (good ? 2 : 1), "row %zu, %u", i, made[OPEN]);
    made[OPEN] = 0; /* of a file that is refused the heartbeat is read again */
    CHECK(polled() == want && made[OPEN] == (good ? 0 : 1), "row %zu, %u", i, made[OPEN]);
  }
}

/* Three stats a poll; what was refused is not read again, nor is the heartbeat when there is
 * nothing that it could keep fresh. */
static void without_news_files_are_only_looked_at(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  for (int row = 0; row < 3; row++) {
    if (row == 1) assert_int_equal(unlink(seen), 0);
    if (row == 2) {
      content[0] ^= 1;
      put(path, content, content_len);
      begin_anew();
    }
    subtoken_feed_result want = row == 2 ? SUBTOKEN_FEED_MAGIC : SUBTOKEN_FEED_OK;
    assert_int_equal(polled(), want);
    memset(made, 0, sizeof made);
    for (int i = 0; i < 3; i++) {
      assert_int_equal(polled(), want);
      assert_int_equal(polls, 1);
    }
    CHECK(made[STAT] == (row == 2 ? 6 : 9) && made[OPEN] == 0 && made[PREAD] == 0, "row %d: %u %u",
          row, made[STAT], made[OPEN]);
  }
}

/* What is no file is not opened: that could block, or have an effect. */
static void what_is_no_file_is_not_opened(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  char *const paths[] = {path, alive, seen, next};
  for (size_t i = 0; i < COUNT(paths); i++) {
    put_pair(5, 20);
    begin_anew();
    if (i == 3) assert_int_equal(unlink(alive), 0); /* FILE.next is looked at */
    if (i < 3) assert_int_equal(unlink(paths[i]), 0);
    assert_int_equal(mkdir(paths[i], 0700), 0);
    made[OPEN] = 0;
    subtoken_feed_result got = polled(), want = i == 2 ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_IO;
    unsigned opened = made[OPEN];
    assert_int_equal(rmdir(paths[i]), 0);
    CHECK(got == want && opened == (i == 0 ? 1 : 2), "%s: %d, %u", paths[i], got, opened);
    CHECK(got != SUBTOKEN_FEED_IO || file.error == (i == 3 ? ENOENT : EISDIR), "%s", paths[i]);
  }
}

/* One slice a poll, and no more than there is to do. */
static void a_step_is_one_slice(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  static const uint32_t counts[] = {20, 255, 256, 257, 20000, MANY};
  for (size_t i = 0; i < COUNT(counts); i++) {
    begin_anew();
    put_pair(5, counts[i]);
    size_t slice = SUBTOKEN_REVOCATIONS_SLICE, signed_len = content_len - SUBTOKEN_MAC_LEN;
    size_t want = (content_len + slice - 1) / slice + (signed_len + slice - 1) / slice +
                  (counts[i] >= 256 ? (counts[i] + 65535) / 65536 : 0);
    made[PREAD] = 0;
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    CHECK(polls == want, "%u: %u polls, not %zu", counts[i], polls, want);
    CHECK(made[PREAD] == (content_len + slice - 1) / slice + 4, "%u: %u", counts[i], made[PREAD]);
    assert_in_use(counts[i]);
  }
}

/* From one to the next, of which each has its filter: no bit of it is of the one before. */
static void each_snapshot_has_a_filter_of_its_own(void **state) {
  (void)state;
  static const uint32_t counts[] = {300, 299, 700, 20, 256};
  for (size_t i = 0; i < COUNT(counts); i++) {
    put_pair(5 + (int64_t)i, counts[i]);
    assert_int_equal(subtoken_feed_file_load(&file, &ring, NOW, 0), SUBTOKEN_FEED_OK);
    assert_true(file.filling == (counts[i] >= 256) && file.feed.snapshot.filter == NULL);
    assert_int_equal(file.last, SUBTOKEN_FEED_OK);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_in_use(counts[i]);
  }
}

/* The memory has room for the file and, behind it, for the filter of as many hashes as fit into it;
 * of a large one it begins at a large page. */
static void so_much_memory_is_mapped(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  static const size_t sizes[] = {160, 161, 167, 168, 169, 4096, PAGES - 1, PAGES, PAGES + 1};
  uint8_t *zeros = calloc(1, PAGES + 1);
  assert_non_null(zeros);
  for (size_t i = 0; i < COUNT(sizes); i++) {
    size_t unit = sizes[i] < PAGES ? 8 : PAGES;
    size_t want = (sizes[i] + unit - 1) / unit * unit + 8 * (sizes[i] / 8 / 8 + 1) +
                  (sizes[i] < PAGES ? 0 : PAGES);
    put(path, zeros, sizes[i]);
    assert_int_equal(polled(), SUBTOKEN_FEED_MAGIC);
    CHECK(asked == want, "%zu: %zu, not %zu", sizes[i], asked, want);
  }
  free(zeros);
}

static void what_is_shorter_than_a_snapshot_is_not_read(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 95, 96, 97, 127, 128, 129, 159, 160};
  static const uint8_t bytes[160];
  for (size_t i = 0; i < COUNT(sizes); i++) {
    put(path, bytes, sizes[i]);
    made[PREAD] = 0;
    subtoken_feed_result want = sizes[i] < 160 ? SUBTOKEN_FEED_LENGTH : SUBTOKEN_FEED_MAGIC;
    CHECK(polled() == want && file.error == 0, "%zu", sizes[i]);
    CHECK(sizes[i] == 160 || made[PREAD] == 0, "%zu: it was read", sizes[i]);
    assert_true(file.fresh == NULL && file.descriptor == -1);
  }
}

/* A file that has grown since it was opened is read as far as it went then. */
static void no_more_is_read_than_was_there(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  for (uint32_t count = 20; count <= 20000; count *= 1000) { /* a slice, and two */
    begin_anew();
    put_pair(5, count);
    uint8_t *longer = calloc(1, content_len + 300000);
    assert_non_null(longer);
    memcpy(longer, content, content_len);
    put(path, longer, content_len + 300000);
    free(longer);
    fault.size = (int64_t)content_len;
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_in_use(count);
  }
}

/* The standard input may be closed: then a file has the descriptor 0. */
static void the_descriptor_0_is_one_as_others(void **state) {
  (void)state;
  put_pair(5, 20);
  int kept = fcntl(0, F_DUPFD_CLOEXEC, 100);
  assert_true(kept >= 0 && close(0) == 0);
  errno = EINTR; /* of a call before */
  subtoken_feed_result result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
  bool closed = fcntl(0, F_GETFD) == -1;
  if (result == SUBTOKEN_FEED_MORE) result = polled();
  bool still = fcntl(0, F_GETFD) == -1;
  assert_int_equal(dup2(kept, 0), 0);
  assert_int_equal(close(kept), 0);
  assert_true(closed && still && result == SUBTOKEN_FEED_OK);
}

/* ---- which file says what ---- */

/* Read in part, it counts as 0; it is read again at the next check. */
static void a_seen_that_cannot_be_read_is_read_again(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  for (unsigned nth = 1; nth <= 2; nth++) {
    put_pair(5, 20);
    put(seen, "9\n", 2);
    begin_anew();
    fault = (struct fault){.kind = PREAD, .nth = nth, .error = EIO};
    subtoken_feed_result first = subtoken_feed_file_poll(&file, &ring, NOW, 0);
    fault.kind = KINDS;
    assert_true(first == SUBTOKEN_FEED_MORE && file.feed.sequence == 0);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK);
    assert_int_equal(file.feed.sequence, 5);
    assert_int_equal(polled(), SUBTOKEN_FEED_OK); /* what is in use grows old from now on */
    assert_int_equal(file.feed.sequence, 9);
  }
}

/* The error is that of the file which is told of. */
static void an_error_is_of_the_file_that_is_told_of(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(unlink(alive), 0);
  content[0] ^= 1;
  put(path, content, content_len);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAGIC);
  assert_int_equal(file.error, 0); /* and not that there is no FILE.alive */
  assert_int_equal(unlink(path), 0);
  put_beat(alive, 5, NOW - 4);
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_true(file.error == ENOENT && file.feed.time == NOW - 4);
  /* FILE waits, FILE.alive is away, and FILE.next cannot be opened. */
  put_pair(6, 21);
  put_beat(next, 6, NOW);
  assert_int_equal(unlink(alive), 0);
  fault = (struct fault){.kind = OPEN, .nth = 3, .error = EACCES};
  assert_int_equal(polled(), SUBTOKEN_FEED_IO);
  assert_true(fault.seen >= 3 && file.error == ENOENT && file.fresh != NULL);
  fault.kind = KINDS;
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_int_equal(file.feed.snapshot.count, 21);
}

/* FILE.next is not looked at for what is in use. */
static void the_next_heartbeat_is_for_a_snapshot_that_waits(void **state) {
  (void)state;
  static const uint8_t zeros[SUBTOKEN_HEARTBEAT_LEN];
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put(alive, zeros, sizeof zeros);
  put_beat(next, 5, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAGIC);
  assert_true(file.feed.time == NOW - 5);
}

/* The same FILE again: it is used although FILE.alive is as it was, and waits for its heartbeat as
 * another one does, though its sequence is that of what is in use. */
static void the_same_snapshot_again_is_used(void **state) {
  (void)state;
  put_pair(5, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put(path, content, content_len);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_in_use(20);
  put(path, content, content_len);
  put_beat(alive, 6, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_PAIR);
  assert_non_null(file.fresh);
  put_beat(alive, 5, NOW);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  assert_in_use(20);
}

/* Read again when any part of the ring has changed, and not otherwise. */
static void a_refused_file_is_read_again_for_another_ring(void **state) {
  (void)state;
#if !defined(ST_CHECKED)
  skip();
#endif
  subtoken_ring stranger, rings[7];
  ring_with(&stranger, "neu", OTHER_SECRET);
  put_snapshot_by(&stranger, 5, 20);
  for (size_t i = 0; i < COUNT(rings); i++) {
    static const char *const kids[][3] = {
        {"one", "two", NULL}, {"onf", "two", NULL},    {"onf", "twp", NULL},   {"onf", "twp", NULL},
        {"onf", "twp", NULL}, {"onf", "twp", "three"}, {"twp", "onf", "three"}};
    static const int secrets[][3] = {{1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {3, 2, 0},
                                     {3, 4, 0}, {3, 4, 5}, {4, 3, 5}};
    memset(&rings[i], 0, sizeof rings[i]);
    for (size_t n = 0; n < 3 && kids[i][n] != NULL; n++) {
      uint8_t secret[32];
      for (size_t b = 0; b < sizeof secret; b++) secret[b] = (uint8_t)(secrets[i][n] * 37 + (int)b);
      assert_int_equal(subtoken_ring_add(&rings[i], st_text(kids[i][n]), secret, sizeof secret),
                       SUBTOKEN_OK);
    }
  }
  for (size_t i = 0; i < COUNT(rings); i++) {
    for (int again = 0; again < 2; again++) {
      made[OPEN] = 0;
      assert_int_equal(subtoken_feed_file_poll(&file, &rings[i], NOW, 0), SUBTOKEN_FEED_KID);
      CHECK(made[OPEN] == (again == 0), "ring %zu: %u", i, made[OPEN]);
      /* What a ring had before is no part of it. */
      memset(&rings[i].secrets[rings[i].count], 0x11 * (again + 1), sizeof rings[i].secrets[0]);
    }
  }
}

/* ---- begun and ended ---- */

static void a_start_leaves_nothing_of_what_was_there(void **state) {
  (void)state;
  static const struct {
    subtoken_feed_settings settings;
    bool good;
    size_t max_size;
  } rows[] = {
      {{sizeof settings, 60, 300, false, 0}, true, SUBTOKEN_FEED_SIZE_DEFAULT},
      {{sizeof settings, 0, 0, true, 1}, true, 1},
      {{sizeof settings, SUBTOKEN_LEEWAY_MAX, 1, false, 2}, true, 2},
      {{offsetof(subtoken_feed_settings, max_size), 60, 300, true, 7},
       true,
       SUBTOKEN_FEED_SIZE_DEFAULT},
      {{sizeof settings, -1, 300, false, 0}, false, 0},
      {{sizeof settings, SUBTOKEN_LEEWAY_MAX + 1, 300, false, 0}, false, 0},
      {{sizeof settings, 60, -1, false, 0}, false, 0},
      {{offsetof(subtoken_feed_settings, max_size) - 8, 60, 300, false, 0}, false, 0},
      {{sizeof settings + 8, 60, 300, false, 0}, false, 0},
      {{0, 60, 300, false, 0}, false, 0},
  };
  subtoken_feed_file *own = malloc(sizeof *own), *want = calloc(1, sizeof *want);
  assert_true(own != NULL && want != NULL);
  for (size_t i = 0; i < COUNT(rows); i++) {
    const subtoken_feed_settings *s = &rows[i].settings;
    memset(own, 0xA5, sizeof *own);
    memset(want, 0, sizeof *want);
    want->descriptor = -1;
    if (rows[i].good) {
      snprintf(want->path, sizeof want->path, "%s", path);
      want->path_len = strlen(path);
      want->feed.leeway = s->leeway;
      want->feed.max_age = s->max_age;
      want->feed.allow_old = s->allow_old;
      want->max_size = rows[i].max_size;
      want->state = 1;
    }
    subtoken_feed_result result = subtoken_feed_file_start(own, path, s);
    CHECK(result == (rows[i].good ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_INVALID_ARGUMENT), "row %zu",
          i);
    CHECK(memcmp(own, want, sizeof *own) == 0, "row %zu", i);
    subtoken_feed_file_stop(own);
  }
  free(own);
  free(want);
}

static void assert_ended(void) {
  static const subtoken_feed_file nothing;
  subtoken_feed_file_stop(&file);
  assert_memory_equal(&file, &nothing, sizeof nothing);
  assert_true(mapped == 0 && odd_calls == 0);
  assert_int_equal(subtoken_feed_file_start(&file, path, &settings), SUBTOKEN_FEED_OK);
}

/* At each step: what was opened and mapped, and what stood in it, of the ring too. */
static void a_stop_leaves_nothing_at_any_step(void **state) {
  (void)state;
  put_pair(5, 20000);
  for (unsigned steps = 0;; steps++) {
    subtoken_feed_result result = SUBTOKEN_FEED_MORE;
    for (unsigned i = 0; i < steps && result == SUBTOKEN_FEED_MORE; i++) {
      result = subtoken_feed_file_poll(&file, &ring, NOW, 0);
      CHECK(file.last != SUBTOKEN_FEED_MORE, "step %u", i);
    }
    if (result != SUBTOKEN_FEED_MORE) assert_in_use(20000);
    assert_ended();
    if (result != SUBTOKEN_FEED_MORE) break;
  }
  /* With one in use, one that is unmapped in parts, and one that is read. */
  put_pair(5, MANY);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_pair(6, 300);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
    assert_int_equal(file.last, SUBTOKEN_FEED_OK);
  }
  assert_non_null(file.old);
  assert_ended();
}

/* Of one that is refused or given up nothing is left, either. */
static void what_is_refused_is_wiped(void **state) {
  (void)state;
  static const subtoken_revocations none;
  static const subtoken_revocations_opening unopened;
  put_pair(5, 300);
  assert_int_equal(polled(), SUBTOKEN_FEED_OK);
  put_pair(4, 20);
  assert_int_equal(polled(), SUBTOKEN_FEED_ROLLBACK); /* checked, and found too old */
  assert_memory_equal(&file.view, &none, sizeof none);
  assert_memory_equal(&file.opening, &unopened, sizeof unopened);
  put_pair(6, 20);
  content[content_len - 1] ^= 1;
  put(path, content, content_len);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAC);
  assert_int_equal(polled(), SUBTOKEN_FEED_MAC);
  put_pair(6, 20000);
  assert_int_equal(subtoken_feed_file_poll(&file, &ring, NOW, 0), SUBTOKEN_FEED_MORE);
  assert_true(file.opening.open);
  assert_int_equal(truncate(path, 1000), 0);
  assert_int_equal(polled(), SUBTOKEN_FEED_LENGTH);
  assert_true(file.fresh == NULL && file.descriptor == -1 && file.feed.snapshot.count == 300);
  assert_memory_equal(&file.opening, &unopened, sizeof unopened);
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
      cmocka_unit_test_setup_teardown(each_number_of_a_file_tells_of_its_change, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_news_files_are_only_looked_at, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_no_file_is_not_opened, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_step_is_one_slice, set_up, tear_down),
      cmocka_unit_test_setup_teardown(each_snapshot_has_a_filter_of_its_own, set_up, tear_down),
      cmocka_unit_test_setup_teardown(so_much_memory_is_mapped, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_shorter_than_a_snapshot_is_not_read, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(no_more_is_read_than_was_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_descriptor_0_is_one_as_others, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_seen_that_cannot_be_read_is_read_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_error_is_of_the_file_that_is_told_of, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_next_heartbeat_is_for_a_snapshot_that_waits, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(the_same_snapshot_again_is_used, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_refused_file_is_read_again_for_another_ring, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(a_start_leaves_nothing_of_what_was_there, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_stop_leaves_nothing_at_any_step, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_refused_is_wiped, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
