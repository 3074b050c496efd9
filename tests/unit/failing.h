/* failing - what our own code asks of others fails when a test wants it to: memory, files, threads,
 * SQLite, libpq. The linker sends these calls to the functions here (--wrap, for every name below:
 * Makefile); calls inside of libraries are not touched. A test lets the first call fail, then the
 * second, and so on until nothing fails any more (FAILING_EACH), and says what must hold each time.
 *
 * What fails tells why as the real one does: errno, the error of the connection.
 */
#ifndef ST_TESTS_FAILING_H
#define ST_TESTS_FAILING_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
  FAIL_MEMORY = 1,
  FAIL_FILES = 2,
  FAIL_THREADS = 4,
  FAIL_PREPARE = 8, /* statements of SQLite */
  FAIL_SQLITE = 16, /* all else of it */
  FAIL_ROWS = 32,   /* its columns, as without memory */
  FAIL_LIBPQ = 64,
  FAIL_ALL = 127,
  FAIL_SIGNALS = 128, /* a call is interrupted, or does a part */
  FAIL_LIES = 256, /* a database answers something else than it holds, and complains of nothing */
  FAIL_SOCKETS = 512,
  FAIL_LIBRARY = 1024, /* one that is loaded, and what a test puts in place of its functions */
  FAIL_PAUSES = 2048,  /* who waits for a time is woken at once */
  FAIL_TEXTS = 4096,   /* of libpq what sends a text of SQL, as when tables are made */
};

/* The program of all tests has several of them, which share one state (make mutation). */
#ifdef ST_TESTS_IN_ONE_PROGRAM
#define FAILING_STATE __attribute__((weak))
#else
#define FAILING_STATE static
#endif

struct failing_state {
  _Atomic unsigned kinds;
  _Atomic long left;   /* calls up to the one that fails */
  _Atomic long failed; /* calls that did */
  _Atomic long burst;  /* and so many behind it */
  _Atomic bool everywhere;
};
FAILING_STATE struct failing_state failing;
FAILING_STATE _Thread_local bool failing_here;
FAILING_STATE _Thread_local const void *failing_of; /* whose last call failed: a connection */
FAILING_STATE _Thread_local const void *failing_pg; /* whose failed: libpq goes on telling it */
FAILING_STATE void (*failing_noted)(unsigned what); /* called at each call that could fail */
FAILING_STATE int failing_code = SQLITE_IOERR;      /* what those of SQLite answer */
FAILING_STATE _Thread_local int failing_with;       /* what that one did */
FAILING_STATE int failing_files;                    /* errno of files in place of the usual one */

/* Of this thread, the call number `nth` of these kinds. */
static inline void failing_begin(unsigned kinds, long nth) {
  atomic_store(&failing.left, nth);
  atomic_store(&failing.failed, 0);
  atomic_store(&failing.kinds, kinds);
  failing_here = true;
  failing_pg = NULL;
}

/* Every call, or the brief form of a long test. */
static inline long failing_step(long brief) {
  return getenv("SUBTOKEN_FAILING_ALL") != NULL ? 1 : brief;
}

/* Did something fail? */
static inline bool failing_end(void) {
  atomic_store(&failing.kinds, 0);
  failing_here = false;
  atomic_store(&failing.burst, 0);
  atomic_store(&failing.everywhere, false);
  return atomic_load(&failing.failed) > 0;
}

static inline bool failing_now(unsigned what) {
  if ((atomic_load(&failing.kinds) & what) == 0) return false;
  if (!failing_here && !atomic_load(&failing.everywhere)) return false;
  if (failing_noted != NULL) failing_noted(what);
  long left = atomic_fetch_sub(&failing.left, 1);
  if (left > 1 || left <= -atomic_load(&failing.burst)) return false;
  atomic_fetch_add(&failing.failed, 1);
  return true;
}

static inline bool failing_errno(unsigned what, int code) {
  if (!failing_now(what)) return false;
  errno = what == FAIL_FILES && failing_files != 0 ? failing_files : code;
  return true;
}

static inline bool failing_connection(unsigned what, const void *of) {
  bool fails = failing_now(what);
  if (fails) failing_of = of;
  if (fails && (what & FAIL_LIBPQ) != 0) failing_pg = of;
  if (fails) failing_with = failing_code;
  if (!fails && failing_of == of) failing_of = NULL;
  return fails;
}

/* One call after the other fails, until a run in which none did. `nth` and `failed` are the body's
 * to look at; a body that is long takes steps. At least the first has to fail, else nothing was
 * shown: but for a row of a table (FAILING_ROW), some of which a kind of store answers without.
 */
#define FAILING_ROW(kinds, step, run, check)                    \
  do {                                                          \
    bool failed = true;                                         \
    for (long nth = 1; failed && nth < 100000; nth += (step)) { \
      failing_begin((kinds), nth);                              \
      run;                                                      \
      failed = failing_end();                                   \
      check;                                                    \
    }                                                           \
    assert_false(failed);                                       \
  } while (0)
#define FAILING_EACH(kinds, step, run, check) \
  FAILING_ROW(kinds, step, run, {             \
    assert_true(failed || nth > 1);           \
    check;                                    \
  })

/* ---- memory ---- */

#define FAILING(kind, code, type, name, parameters, arguments, failure)     \
  type __real_##name parameters;                                            \
  type __wrap_##name parameters;                                            \
  type __wrap_##name parameters {                                           \
    return failing_errno(kind, code) ? (failure) : __real_##name arguments; \
  }

FAILING(FAIL_MEMORY, ENOMEM, void *, malloc, (size_t n), (n), NULL)
FAILING(FAIL_MEMORY, ENOMEM, void *, calloc, (size_t n, size_t of), (n, of), NULL)
FAILING(FAIL_MEMORY, ENOMEM, void *, realloc, (void *old, size_t n), (old, n), NULL)
FAILING(FAIL_MEMORY, ENOMEM, void *, reallocarray, (void *old, size_t n, size_t of), (old, n, of),
        NULL)
FAILING(FAIL_MEMORY, ENOMEM, void *, aligned_alloc, (size_t at, size_t n), (at, n), NULL)
FAILING(FAIL_MEMORY, ENOMEM, char *, strdup, (const char *text), (text), NULL)
FAILING(FAIL_MEMORY, ENOMEM, char *, strndup, (const char *text, size_t n), (text, n), NULL)
FAILING(FAIL_MEMORY, ENOMEM, char *, realpath, (const char *name, char *out), (name, out), NULL)
FAILING(FAIL_MEMORY, ENOMEM, void *, mmap,
        (void *at, size_t len, int rights, int flags, int fd, off_t from),
        (at, len, rights, flags, fd, from), MAP_FAILED)

/* Those with another name are what a build with _FORTIFY_SOURCE calls. */
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **out, int flag, const char *format, ...) {
  va_list list;
  (void)flag;
  if (failing_errno(FAIL_MEMORY, ENOMEM)) return -1;
  va_start(list, format);
  int len = vasprintf(out, format, list);
  va_end(list);
  return len;
}
int __wrap_asprintf(char **out, const char *format, ...) {
  va_list list;
  if (failing_errno(FAIL_MEMORY, ENOMEM)) return -1;
  va_start(list, format);
  int len = vasprintf(out, format, list);
  va_end(list);
  return len;
}

/* ---- files and threads ---- */

FAILING(FAIL_FILES, EIO, int, stat, (const char *name, struct stat *to), (name, to), -1)
FAILING(FAIL_FILES, EIO, int, lstat, (const char *name, struct stat *to), (name, to), -1)
FAILING(FAIL_FILES, EIO, int, fstat, (int fd, struct stat *to), (fd, to), -1)
FAILING(FAIL_FILES, EACCES, int, faccessat, (int fd, const char *name, int mode, int flags),
        (fd, name, mode, flags), -1)
FAILING(FAIL_FILES, EMFILE, int, eventfd, (unsigned value, int flags), (value, flags), -1)
/* A test may stand in for it: `failing_poll`, in whose hands time passes as it wants. */
typedef int failing_wait(struct pollfd *of, nfds_t count, int ms);
FAILING_STATE failing_wait *_Atomic failing_poll;
failing_wait __real_poll, __wrap_poll;
int __wrap_poll(struct pollfd *of, nfds_t count, int ms) {
  failing_wait *instead = failing_poll;
  if (failing_errno(FAIL_FILES, ENOMEM)) return -1;
  return (instead != NULL ? instead : __real_poll)(of, count, ms);
}
int __wrap___poll_chk(struct pollfd *of, nfds_t count, int ms, size_t size);
int __wrap___poll_chk(struct pollfd *of, nfds_t count, int ms, size_t size) {
  (void)size;
  return __wrap_poll(of, count, ms);
}
FAILING(FAIL_FILES, EPERM, int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
FAILING(FAIL_FILES, EPERM, int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), -1)
FAILING(FAIL_FILES, ENOSPC, int, mkdir, (const char *name, mode_t mode), (name, mode), -1)
FAILING(FAIL_FILES, ENOSPC, int, mkostemp, (char *name, int flags), (name, flags), -1)
FAILING(FAIL_FILES, EMFILE, int, dup, (int fd), (fd), -1)
FAILING(FAIL_FILES, EINVAL, off_t, lseek, (int fd, off_t to, int from), (fd, to, from), -1)
FAILING(FAIL_FILES, EIO, int, ftruncate, (int fd, off_t len), (fd, len), -1)
FAILING(FAIL_FILES, EOPNOTSUPP, int, fallocate, (int fd, int how, off_t at, off_t len),
        (fd, how, at, len), -1)

/* What a file that lies has in it. */
static const char *failing_text;

FILE *__real_fopen(const char *name, const char *how);
FILE *__wrap_fopen(const char *name, const char *how);
FILE *__wrap_fopen(const char *name, const char *how) {
  if (failing_errno(FAIL_FILES, EMFILE)) return NULL;
  if (failing_text == NULL || !failing_now(FAIL_LIES)) return __real_fopen(name, how);
  return fmemopen((void *)(uintptr_t)failing_text, strlen(failing_text), "r");
}

FAILING(FAIL_FILES, ENOMEM, DIR *, fdopendir, (int fd), (fd), NULL)
FAILING(FAIL_FILES, EMFILE, DIR *, opendir, (const char *name), (name), NULL)
/* As of a file system that cannot. */
FAILING(FAIL_FILES, EINVAL, int, renameat2,
        (int from_dir, const char *from, int to_dir, const char *to, unsigned flags),
        (from_dir, from, to_dir, to, flags), -1)

/* What lies are made of; what an interrupted socket has done: 0 nothing, else a half. */
FAILING_STATE char failing_fill;

int __real_statvfs(const char *name, struct statvfs *to);
int __wrap_statvfs(const char *name, struct statvfs *to);
int __wrap_statvfs(const char *name, struct statvfs *to) {
  if (failing_errno(FAIL_FILES, EIO)) return -1;
  int answer = __real_statvfs(name, to);
  if (failing_now(FAIL_LIES)) memset(to, failing_fill, sizeof *to);
  return answer;
}

/* What is interrupted may have done a part of it. */
#define FAILING_TRANSFER(code, name, buffer)                                    \
  ssize_t __real_##name(int fd, buffer data, size_t n);                         \
  ssize_t __wrap_##name(int fd, buffer data, size_t n);                         \
  ssize_t __wrap_##name(int fd, buffer data, size_t n) {                        \
    if (failing_errno(FAIL_FILES, code)) return -1;                             \
    if (!failing_errno(FAIL_SIGNALS, EINTR)) return __real_##name(fd, data, n); \
    return n > 1 ? __real_##name(fd, data, n / 2) : -1;                         \
  }
FAILING_TRANSFER(EIO, read, void *)
FAILING_TRANSFER(ENOSPC, write, const void *)

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how) {
  if (failing_errno(FAIL_FILES, ENOLCK)) return -1;
  if ((how & LOCK_NB) == 0 && failing_errno(FAIL_SIGNALS, EINTR)) return -1;
  return __real_flock(fd, how);
}
int __real_dup3(int fd, int to, int flags);
int __wrap_dup3(int fd, int to, int flags);
int __wrap_dup3(int fd, int to, int flags) {
  if (failing_errno(FAIL_FILES, EBUSY) || failing_errno(FAIL_SIGNALS, EINTR)) return -1;
  return __real_dup3(fd, to, flags);
}
FAILING(FAIL_PAUSES, EINTR, int, nanosleep, (const struct timespec *time, struct timespec *left),
        (time, left), -1)

/* Those with an argument have a number. */
int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...) {
  va_list list;
  if (failing_errno(FAIL_FILES, ENOLCK)) return -1;
  va_start(list, what);
  long number = va_arg(list, long);
  va_end(list);
  return __real_fcntl(fd, what, number);
}
FAILING(FAIL_FILES, EIO, int, fsync, (int fd), (fd), -1)
FAILING(FAIL_FILES, EIO, int, rename, (const char *from, const char *to), (from, to), -1)
FAILING(FAIL_FILES, EIO, int, link, (const char *from, const char *to), (from, to), -1)

/* ---- sockets ---- */

FAILING(FAIL_SOCKETS, EMFILE, int, socket, (int family, int type, int protocol),
        (family, type, protocol), -1)
FAILING(FAIL_SOCKETS, EACCES, int, bind, (int fd, const struct sockaddr *to, socklen_t len),
        (fd, to, len), -1)
FAILING(FAIL_SOCKETS, EADDRINUSE, int, listen, (int fd, int most), (fd, most), -1)
FAILING(FAIL_SOCKETS, EAGAIN, int, connect, (int fd, const struct sockaddr *to, socklen_t len),
        (fd, to, len), -1)
FAILING_STATE int failing_accept = EMFILE; /* what that one says */
FAILING(FAIL_SOCKETS, failing_accept, int, accept4,
        (int fd, struct sockaddr *from, socklen_t *len, int flags), (fd, from, len, flags), -1)
FAILING(FAIL_SOCKETS, ENOMEM, int, setsockopt,
        (int fd, int level, int option, const void *value, socklen_t len),
        (fd, level, option, value, len), -1)
FAILING(FAIL_SOCKETS, ENOBUFS, int, getsockname, (int fd, struct sockaddr *of, socklen_t *len),
        (fd, of, len), -1)
FAILING(FAIL_SOCKETS, EPERM, int, chmod, (const char *name, mode_t mode), (name, mode), -1)
/* What is interrupted may have done a part of it. */
#define FAILING_SOCKET(name, buffer)                                                   \
  ssize_t __real_##name(int fd, buffer data, size_t n, int flags);                     \
  ssize_t __wrap_##name(int fd, buffer data, size_t n, int flags);                     \
  ssize_t __wrap_##name(int fd, buffer data, size_t n, int flags) {                    \
    if (failing_errno(FAIL_SOCKETS, ECONNRESET)) return -1;                            \
    if (!failing_errno(FAIL_SIGNALS, EINTR)) return __real_##name(fd, data, n, flags); \
    return n > 1 && failing_fill != 0 ? __real_##name(fd, data, n / 2, flags) : -1;    \
  }
FAILING_SOCKET(recv, void *)
FAILING_SOCKET(send, const void *)

ssize_t __wrap___recv_chk(int fd, void *to, size_t size, size_t room, int flags);
ssize_t __wrap___recv_chk(int fd, void *to, size_t size, size_t room, int flags) {
  (void)room;
  return __wrap_recv(fd, to, size, flags);
}

/* ---- a library that is loaded ---- */

FAILING(FAIL_LIBRARY, ENOMEM, void *, dlopen, (const char *name, int flags), (name, flags), NULL)

/* `failing_symbol` may put another function in place of one that was found. */
typedef void *failing_find(const char *name, void *found);
FAILING_STATE failing_find *failing_symbol;
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name) {
  if (failing_now(FAIL_LIBRARY)) return NULL;
  void *found = __real_dlsym(library, name);
  return failing_symbol != NULL && found != NULL ? failing_symbol(name, found) : found;
}

typedef void *failing_thread(void *);
FAILING(FAIL_THREADS, EAGAIN, int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *with, failing_thread *run, void *context),
        (thread, with, run, context), EAGAIN)

int __real_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...) {
  va_list list;
  if (failing_errno(FAIL_FILES, EMFILE) || failing_errno(FAIL_SIGNALS, EINTR)) return -1;
  va_start(list, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  return __real_open(name, flags, mode);
}

int __wrap___open_2(const char *name, int flags);
int __wrap___open_2(const char *name, int flags) {
  return __wrap_open(name, flags);
}

#include "failing_databases.h"

#endif
