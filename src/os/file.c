/* world - the system: see world.h. */
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATH_SHOWN 200 /* of a long path, why names the end */
#define EXIT_COULD_NOT_RUN 3
#define NS 1000000000

static const char *shown(const char *path) {
  size_t len = strlen(path);
  return len <= PATH_SHOWN ? path : path + len - PATH_SHOWN;
}

/* Always false. %m tells errno, so it comes before anything that releases. */
__attribute__((format(printf, 2, 3))) static bool fail(char *why, const char *format, ...) {
  va_list args;
  va_start(args, format);
  (void)vsnprintf(why, ST_WHY_MAX, format, args);
  va_end(args);
  return false;
}

/* ---- Time, randomness, the process ---- */

int64_t st_world_now_us(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t st_world_now(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

/* CLOCK_BOOTTIME: a machine that slept has not heard from its issuer either. */
int64_t st_world_monotonic_us(void) {
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void st_world_random(void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    ssize_t got = getrandom(at, len, 0);
    if (got < 0 && errno != EINTR) {
      (void)fprintf(stderr, "subtoken: no randomness: %m\n");
      _exit(EXIT_COULD_NOT_RUN);
    }
    if (got > 0) {
      at += got;
      len -= (size_t)got;
    }
  }
}

void st_world_harden(void) {
  const struct rlimit none = {0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

size_t st_world_processors(void) {
  cpu_set_t set;
  /* Fails where the machine has more processors than fit in the set. */
  long count =
      sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
  return count > 1 ? (size_t)count : 1;
}

/* ---- Descriptors ---- */

/* close without forgetting what went wrong before. */
static void close_quietly(int fd) {
  int failure = errno;
  (void)close(fd);
  errno = failure;
}

static int open_file(const char *path, int flags) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

/* Up to size bytes, fewer only at the end of the file. */
static bool read_up_to(int fd, uint8_t *out, size_t size, size_t *len) {
  *len = 0;
  while (*len < size) {
    ssize_t got = read(fd, out + *len, size - *len);
    if (got == 0) {
      return true;
    }
    if (got < 0 && errno != EINTR) {
      return false;
    }
    *len += got > 0 ? (size_t)got : 0;
  }
  return true;
}

/* The whole of it, or nothing: what was read is wiped, it may be a secret. */
static bool read_whole(int fd, const char *name, void *out, size_t size, size_t *len, char *why) {
  uint8_t more = 0;
  size_t more_len = 0;
  bool ok = false;
  if (!read_up_to(fd, out, size, len) || !read_up_to(fd, &more, 1, &more_len)) {
    (void)fail(why, "cannot read %s: %m", shown(name));
  } else if (more_len > 0) {
    (void)fail(why, "%s is longer than %zu bytes", shown(name), size);
  } else {
    ok = true;
  }
  subtoken_wipe(&more, sizeof more);
  if (!ok) {
    subtoken_wipe(out, size);
    *len = 0;
  }
  return ok;
}

static bool write_whole(int fd, const uint8_t *data, size_t len) {
  while (len > 0) {
    ssize_t put = write(fd, data, len);
    if (put < 0 && errno != EINTR) {
      return false;
    }
    if (put > 0) {
      data += put;
      len -= (size_t)put;
    }
  }
  return true;
}

static bool sync_directory(const char *path) {
  int fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    return false;
  }
  bool ok = fsync(fd) == 0;
  close_quietly(fd);
  return ok;
}

/* The directory that holds path: to be freed; NULL without memory. */
static char *directory_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) {
    return strdup(".");
  }
  return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static bool sync_directory_of(const char *path) {
  char *directory = directory_of(path);
  bool ok = directory != NULL && sync_directory(directory);
  int failure = errno;
  free(directory);
  errno = failure;
  return ok;
}

static bool is_foreign(const struct stat *status) {
  return status->st_uid != geteuid() && status->st_uid != 0;
}

static bool group_trusted;

void st_world_trust_group(bool trust) {
  group_trusted = trust;
}

/* A link belongs to whoever made it, and its mode says nothing. */
bool st_world_is_ours(const char *path) {
  struct stat named, meant;
  if (lstat(path, &named) != 0 || stat(path, &meant) != 0) return false;
  return !is_foreign(&named) && !is_foreign(&meant) && S_ISREG(meant.st_mode) &&
         (meant.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* ---- DATA ---- */

static bool make_directory(const char *path, char *why) {
  if (mkdir(path, 0700) != 0) {
    return errno == EEXIST || fail(why, "cannot create %s: %m", shown(path));
  }
  return sync_directory_of(path) || fail(why, "cannot create %s: %m", shown(path));
}

static bool check_directory(int fd, const char *path, char *why) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return fail(why, "cannot open %s: %m", shown(path));
  }
  bool shared = group_trusted && (status.st_mode & S_IRWXG) == S_IRWXG;
  if (is_foreign(&status) && !shared) {
    return fail(why, "%s belongs to user %u, and this runs as user %u", shown(path), status.st_uid,
                geteuid());
  }
  if ((status.st_mode & (group_trusted ? S_IRWXO : S_IRWXG | S_IRWXO)) != 0) {
    return fail(why,
                group_trusted
                    ? "%s is open to others than its owner and group (mode %04o): chmod 2770 it"
                    : "%s is open to others than its owner (mode %04o): chmod 700 it, or set "
                      "data_group to trust its group",
                shown(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

bool st_world_data_dir(const char *path, bool make, char *why) {
  if (make && !make_directory(path, why)) {
    return false;
  }
  int fd = open_file(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    return errno == ENOTDIR ? fail(why, "%s is not a directory", shown(path))
                            : fail(why, "cannot open %s: %m", shown(path));
  }
  bool ok = check_directory(fd, path, why);
  (void)close(fd);
  return ok;
}

void st_world_data_drop(const char *path) {
  (void)rmdir(path);
}

int st_world_lock(const char *data_dir, char *why) {
  int fd = open_file(data_dir, O_RDONLY | O_DIRECTORY);
  int failed = fd < 0 ? -1 : flock(fd, LOCK_EX);
  while (fd >= 0 && failed != 0 && errno == EINTR) {
    failed = flock(fd, LOCK_EX);
  }
  if (failed != 0) {
    (void)fail(why, "cannot lock %s: %m", shown(data_dir));
    if (fd >= 0) {
      (void)close(fd);
    }
    return -1;
  }
  return fd;
}

int st_world_claim(const char *path, char *why) {
  int fd;
  do {
    fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
    return fd;
  }
  if (fd >= 0 && errno == EWOULDBLOCK) {
    (void)fail(why, "another process holds %s", shown(path));
  } else {
    (void)fail(why, "cannot lock %s: %m", shown(path));
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return -1;
}

/* Unlocked by name, since a child made meanwhile holds the same lock open. */
void st_world_unlock(int lock) {
  if (lock >= 0) {
    (void)flock(lock, LOCK_UN);
    (void)close(lock);
  }
}

/* ---- Reading ---- */

/* A FIFO would make the process wait for whoever writes to it, for ever: it is opened
 * without waiting, and refused.
 */
static int open_regular(const char *path, char *why) {
  struct stat status;
  int fd = open_file(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) {
    (void)fail(why, "cannot open %s: %m", shown(path));
    return -1;
  }
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    return fd;
  }
  (void)fail(why, "%s is not a regular file", shown(path));
  (void)close(fd);
  return -1;
}

bool st_world_read(const char *path, void *out, size_t size, size_t *len, char *why) {
  *len = 0;
  int fd = open_regular(path, why);
  if (fd < 0) {
    return false;
  }
  bool ok = read_whole(fd, path, out, size, len, why);
  (void)close(fd);
  return ok;
}

static bool check_secret(int fd, const char *path, char *why) {
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return fail(why, "cannot open %s: %m", shown(path));
  }
  /* Whoever could open a file that only its owner and group may read is one of them. */
  bool shared = (status.st_mode & S_IRGRP) != 0;
  if (is_foreign(&status) && !shared) {
    return fail(why, "%s belongs to user %u, and this runs as user %u", shown(path), status.st_uid,
                geteuid());
  }
  if ((status.st_mode & (group_trusted ? S_IRWXO : S_IWGRP | S_IRWXO)) != 0) {
    return fail(why, "%s is open to others (mode %04o): chmod 600 it, or 640 for its group",
                shown(path), (unsigned)(status.st_mode & 07777));
  }
  return true;
}

bool st_world_read_secret(const char *path, void *out, size_t size, size_t *len, char *why) {
  *len = 0;
  int fd = open_regular(path, why);
  if (fd < 0) {
    return false;
  }
  bool ok = check_secret(fd, path, why) && read_whole(fd, path, out, size, len, why);
  (void)close(fd);
  return ok;
}

bool st_world_has_holes(const char *path) {
  struct stat status;
  int fd = open_file(path, O_RDONLY | O_NONBLOCK);
  bool found = false;
  if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    found = hole >= 0 && hole < status.st_size;
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  return found;
}

bool st_world_stdin(void *out, size_t size, size_t *len, char *why) {
  return read_whole(STDIN_FILENO, "standard input", out, size, len, why);
}

bool st_world_terminal(void) {
  return isatty(STDIN_FILENO) == 1;
}

bool st_world_output_terminal(void) {
  return isatty(STDOUT_FILENO) == 1;
}

static struct termios shown_before; /* how the terminal was */

/* Both calls are among those that a handler may make. The signal, which this handler was
 * for once, is delivered when it returns.
 */
static void show_again(int number) {
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &shown_before);
  (void)raise(number);
}

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
#define ENDING (sizeof ending / sizeof ending[0])

static bool hide_typing(struct sigaction old[ENDING]) {
  struct sigaction handler = {.sa_handler = show_again, .sa_flags = (int)SA_RESETHAND};
  if (tcgetattr(STDIN_FILENO, &shown_before) != 0) return false;
  for (size_t i = 0; i < ENDING; i++) {
    (void)sigaction(ending[i], NULL, &old[i]);
    if (old[i].sa_handler != SIG_IGN) (void)sigaction(ending[i], &handler, NULL);
  }
  struct termios hidden = shown_before;
  hidden.c_lflag = (hidden.c_lflag | ICANON) & ~(tcflag_t)ECHO;
  return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
}

static void show_typing(const struct sigaction old[ENDING]) {
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &shown_before);
  for (size_t i = 0; i < ENDING; i++) (void)sigaction(ending[i], &old[i], NULL);
}

/* Up to the end of the line, or of all. */
static bool read_line(uint8_t *out, size_t size, size_t *len, char *why) {
  for (*len = 0;;) {
    uint8_t c;
    ssize_t got = read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(why, "cannot read the terminal: %m");
    if (got == 0 || c == '\n') return true;
    if (*len == size) return fail(why, "the line is longer than %zu bytes", size);
    out[(*len)++] = c;
  }
}

bool st_world_ask(const char *prompt, void *out, size_t size, size_t *len, char *why) {
  struct sigaction old[ENDING];
  *len = 0;
  if (!hide_typing(old)) return fail(why, "cannot hide what is typed on the terminal: %m");
  (void)fputs(prompt, stderr);
  bool ok = read_line(out, size, len, why);
  (void)fputc('\n', stderr);
  show_typing(old);
  if (!ok) {
    subtoken_wipe(out, size);
    *len = 0;
  }
  return ok;
}

bool st_world_stamp_of(const char *path, st_world_stamp *stamp) {
  struct stat status;
  memset(stamp, 0, sizeof *stamp);
  if (stat(path, &status) != 0) {
    return false;
  }
  stamp->device = (int64_t)status.st_dev;
  stamp->inode = (int64_t)status.st_ino;
  stamp->size = status.st_size;
  stamp->modified_ns = (int64_t)status.st_mtim.tv_sec * NS + status.st_mtim.tv_nsec;
  stamp->changed_ns = (int64_t)status.st_ctim.tv_sec * NS + status.st_ctim.tv_nsec;
  return true;
}

/* ---- Writing ---- */

/* The file that a link at path ends at, or path itself: to be freed. */
static char *follow(const char *path, char *why) {
  struct stat status;
  char *target = realpath(path, NULL);
  if (target == NULL && errno == ENOENT) {
    if (lstat(path, &status) == 0) {
      (void)fail(why, "%s is a link to nothing", shown(path));
      return NULL;
    }
    target = strdup(path);
  }
  if (target == NULL) {
    (void)fail(why, "cannot write %s: %m", shown(path));
  }
  return target;
}

/* What a file that is being replaced gave to its group, reading it, the new one
 * gives too: a new ring must not lock out the edge that shares it.
 */
static bool keep_group(int fd, const char *target) {
  struct stat old, made;
  if (stat(target, &old) != 0) {
    /* Whoever of a trusted group runs next has to read it. */
    return errno == ENOENT && (!group_trusted || fchmod(fd, 0640) == 0);
  }
  if (!S_ISREG(old.st_mode) || fstat(fd, &made) != 0) {
    return false;
  }
  uid_t owner = geteuid() == 0 ? old.st_uid : made.st_uid;
  if ((owner != made.st_uid || old.st_gid != made.st_gid) && fchown(fd, owner, old.st_gid) != 0) {
    return false;
  }
  return (old.st_mode & S_IRGRP) == 0 || fchmod(fd, 0640) == 0;
}

/* What of the permissions of a shared file is handed on; a new one is for its group. */
static bool keep_mode(int fd, const char *target) {
  struct stat old;
  mode_t mode = 0640;
  if (stat(target, &old) == 0) mode = (old.st_mode & 0644) | 0600;
  return keep_group(fd, target) && fchmod(fd, mode) == 0;
}

#define LEFTOVER ".new-" /* what lies between a file's name and that of its next version */

/* Is it what a killed st_world_replace of base leaves? */
static bool is_leftover(const char *name, const char *base) {
  size_t len = strlen(base);
  return strncmp(name, base, len) == 0 && strncmp(name + len, LEFTOVER, sizeof LEFTOVER - 1) == 0 &&
         strlen(name + len) == sizeof LEFTOVER - 1 + 6;
}

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash != NULL ? slash + 1 : path;
}

void st_world_sweep(const char *path) {
  char *target = realpath(path, NULL);
  if (target == NULL) target = strdup(path); /* it need not be there */
  char *directory = target != NULL ? directory_of(target) : NULL;
  DIR *listing = directory != NULL ? opendir(directory) : NULL;
  struct dirent *entry;
  while (listing != NULL && (entry = readdir(listing)) != NULL) {
    if (is_leftover(entry->d_name, base_of(target))) {
      (void)unlinkat(dirfd(listing), entry->d_name, 0);
    }
  }
  if (listing != NULL) {
    (void)closedir(listing);
  }
  free(directory);
  free(target);
}

/* Atomic against every other process. Not every file system can do the first,
 * and not every one the second.
 */
static bool put_only_new(const char *temporary, const char *target) {
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, target, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return link(temporary, target) == 0 && unlink(temporary) == 0;
}

/* What is put in place: a file of our own, one that must not be there yet, one for others. */
typedef enum put_kind { OWN, ONLY_NEW, SHARED } put_kind;

/* model: whose permissions it is to have. */
static bool put_in_place(int fd, const char *temporary, const char *target, const char *model,
                         const void *data, size_t len, put_kind kind) {
  if (kind != ONLY_NEW && !(kind == SHARED ? keep_mode : keep_group)(fd, model)) {
    return false;
  }
  if (!write_whole(fd, data, len) || fsync(fd) != 0) {
    return false;
  }
  return kind == ONLY_NEW ? put_only_new(temporary, target) : rename(temporary, target) == 0;
}

/* Beside target, under a name that nobody else has. */
static bool replace(const char *target, const char *model, const void *data, size_t len,
                    put_kind kind, char *why) {
  char *temporary = NULL;
  if (asprintf(&temporary, "%s" LEFTOVER "XXXXXX", target) < 0) {
    return fail(why, "cannot write %s: no memory", shown(target));
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  bool ok = fd >= 0 && put_in_place(fd, temporary, target, model, data, len, kind);
  if (!ok) {
    bool there = kind == ONLY_NEW && errno == EEXIST;
    (void)(there            ? fail(why, "%s is there already", shown(target))
           : errno == EBUSY ? fail(why,
                                   "cannot replace %s: it is a mount of its own; mount its "
                                   "directory instead",
                                   shown(target))
                            : fail(why, "cannot write %s: %m", shown(target)));
  }
  if (fd >= 0) {
    (void)close(fd);
  }
  if (!ok && fd >= 0) {
    (void)unlink(temporary);
  }
  free(temporary);
  return ok;
}

static bool follow_and_replace(const char *path, const char *model, const void *data, size_t len,
                               put_kind kind, char *why) {
  char *target = follow(path, why);
  if (target == NULL) {
    return false;
  }
  bool ok = replace(target, model != NULL ? model : target, data, len, kind, why);
  if (ok && !sync_directory_of(target)) {
    ok = fail(why, "%s is written, but may not outlast a power loss: %m", shown(target));
  }
  free(target);
  return ok;
}

bool st_world_replace(const char *path, const void *data, size_t len, bool only_new, char *why) {
  return follow_and_replace(path, NULL, data, len, only_new ? ONLY_NEW : OWN, why);
}

bool st_world_publish(const char *path, const void *data, size_t len, char *why) {
  return follow_and_replace(path, NULL, data, len, SHARED, why);
}

bool st_world_publish_as(const char *path, const char *model, const void *data, size_t len,
                         char *why) {
  return follow_and_replace(path, model, data, len, SHARED, why);
}

void *st_world_private(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  /* Both may be forbidden to us (RLIMIT_MEMLOCK, an old kernel): still usable. */
  (void)mlock(memory, size);
  (void)madvise(memory, size, MADV_DONTDUMP);
  return memory;
}

void st_world_private_free(void *memory, size_t size) {
  if (memory == NULL) return;
  subtoken_wipe(memory, size);
  (void)munmap(memory, size);
}
