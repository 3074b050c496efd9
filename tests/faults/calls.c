/*
 * calls.c - the calls of shim.c but those of the allocator (memory.c). Each is one line: its type,
 * name and parameters, the kind, the file that it is about, and what it returns when it fails.
 * Names with 64 and _chk are what the same calls are called in programs compiled with other
 * options.
 */
#include "shim.h"

#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH(p) p, -1
#define FD(fd) NULL, fd
#define NOTHING NULL, -1

/* A function whose size argument, `length`, is halved when it is to be short; NEVER: it has none.
 */
#define HALVE(length) (length) = (length) > 1 ? (length) / 2 : (length)
#define NEVER (void)0

#define CALL(type, name, params, args, kind, about, failed, shorten) \
  type name params;                                                  \
  type name params {                                                 \
    static type(*next) params;                                       \
    enum fate fate = shim_fate(KIND_##kind, about, CALLER);          \
    if (fate == FATE_FAIL) return failed;                            \
    if (fate == FATE_SHORT) shorten;                                 \
    if (next == NULL) next = (type(*) params)shim_next(#name);       \
    type result = next args;                                         \
    if (fate == FATE_KILL_AFTER) shim_die();                         \
    return result;                                                   \
  }

/* One that returns its error, and leaves errno alone. */
static int returned(int was) {
  int error = errno;
  errno = was;
  return error;
}
#define RETURNS_ERROR(name, params, args, kind, about)        \
  int name params;                                            \
  int name params {                                           \
    static int(*next) params;                                 \
    int was = errno;                                          \
    enum fate fate = shim_fate(KIND_##kind, about, CALLER);   \
    if (fate == FATE_FAIL) return returned(was);              \
    if (next == NULL) next = (int(*) params)shim_next(#name); \
    int result = next args;                                   \
    if (fate == FATE_KILL_AFTER) shim_die();                  \
    return result;                                            \
  }

/* ---- opening ---- */

/* With a mode only where one is passed. */
#define OPENS(name, params, args, path)                               \
  int name params;                                                    \
  int name params {                                                   \
    static int(*next) params;                                         \
    enum fate fate = shim_fate(KIND_open, PATH(path), CALLER);        \
    mode_t mode = 0;                                                  \
    if (fate == FATE_FAIL) return -1;                                 \
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) { \
      va_list rest;                                                   \
      va_start(rest, flags);                                          \
      mode = va_arg(rest, mode_t);                                    \
      va_end(rest);                                                   \
    }                                                                 \
    if (next == NULL) next = (int(*) params)shim_next(#name);         \
    int result = next args;                                           \
    if (fate == FATE_KILL_AFTER) shim_die();                          \
    return result;                                                    \
  }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
CALL(int, __open_2, (const char *path, int flags), (path, flags), open, PATH(path), -1, NEVER)
CALL(int, __open64_2, (const char *path, int flags), (path, flags), open, PATH(path), -1, NEVER)
CALL(int, __openat_2, (int at, const char *path, int flags), (at, path, flags), open, PATH(path),
     -1, NEVER)
CALL(int, __openat64_2, (int at, const char *path, int flags), (at, path, flags), open, PATH(path),
     -1, NEVER)
CALL(int, creat, (const char *path, mode_t mode), (path, mode), open, PATH(path), -1, NEVER)
CALL(int, creat64, (const char *path, mode_t mode), (path, mode), open, PATH(path), -1, NEVER)
CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode), open, PATH(path), NULL,
     NEVER)
CALL(FILE *, fopen64, (const char *path, const char *mode), (path, mode), open, PATH(path), NULL,
     NEVER)
CALL(FILE *, fdopen, (int fd, const char *mode), (fd, mode), open, FD(fd), NULL, NEVER)
CALL(DIR *, opendir, (const char *path), (path), open, PATH(path), NULL, NEVER)
CALL(DIR *, fdopendir, (int fd), (fd), open, FD(fd), NULL, NEVER)
CALL(int, mkstemp, (char *path), (path), open, PATH(path), -1, NEVER)
CALL(int, mkstemp64, (char *path), (path), open, PATH(path), -1, NEVER)
CALL(int, mkostemp, (char *path, int flags), (path, flags), open, PATH(path), -1, NEVER)
CALL(int, mkostemp64, (char *path, int flags), (path, flags), open, PATH(path), -1, NEVER)

/* ---- reading ---- */

CALL(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size), read, FD(fd), -1, HALVE(size))
CALL(ssize_t, pread, (int fd, void *to, size_t size, off_t at), (fd, to, size, at), read, FD(fd),
     -1, HALVE(size))
CALL(ssize_t, pread64, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at), read,
     FD(fd), -1, HALVE(size))
CALL(ssize_t, __read_chk, (int fd, void *to, size_t size, size_t room), (fd, to, size, room), read,
     FD(fd), -1, HALVE(size))
CALL(ssize_t, __pread_chk, (int fd, void *to, size_t size, off_t at, size_t room),
     (fd, to, size, at, room), read, FD(fd), -1, HALVE(size))
CALL(ssize_t, __pread64_chk, (int fd, void *to, size_t size, off64_t at, size_t room),
     (fd, to, size, at, room), read, FD(fd), -1, HALVE(size))
CALL(ssize_t, readv, (int fd, const struct iovec *to, int n), (fd, to, n), read, FD(fd), -1,
     HALVE(n))

/* A stream says that it has failed by its flag, which only what is behind it can set. */
static int stream_failed(FILE *stream) {
  stream->_flags |= 0x20; /* what glibc's ferror reads */
  return 1;
}
#define STREAM(s) NULL, fileno(s)
CALL(size_t, fread, (void *to, size_t size, size_t n, FILE *from), (to, size, n, from), read,
     STREAM(from), (stream_failed(from), (size_t)0), NEVER)
CALL(char *, fgets, (char *to, int size, FILE *from), (to, size, from), read, STREAM(from),
     (stream_failed(from), (char *)NULL), NEVER)
CALL(ssize_t, getline, (char **to, size_t *size, FILE *from), (to, size, from), read, STREAM(from),
     (stream_failed(from), -1), NEVER)
CALL(ssize_t, getdelim, (char **to, size_t *size, int end, FILE *from), (to, size, end, from), read,
     STREAM(from), (stream_failed(from), -1), NEVER)
CALL(ssize_t, __getdelim, (char **to, size_t *size, int end, FILE *from), (to, size, end, from),
     read, STREAM(from), (stream_failed(from), -1), NEVER)
CALL(struct dirent *, readdir, (DIR * from), (from), read, FD(dirfd(from)), NULL, NEVER)
CALL(struct dirent64 *, readdir64, (DIR * from), (from), read, FD(dirfd(from)), NULL, NEVER)
CALL(off_t, lseek, (int fd, off_t to, int from), (fd, to, from), seek, FD(fd), -1, NEVER)
CALL(off64_t, lseek64, (int fd, off64_t to, int from), (fd, to, from), seek, FD(fd), -1, NEVER)

/* ---- writing ---- */

CALL(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size), write, FD(fd), -1,
     HALVE(size))
CALL(ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at),
     write, FD(fd), -1, HALVE(size))
CALL(ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at),
     write, FD(fd), -1, HALVE(size))
CALL(ssize_t, writev, (int fd, const struct iovec *from, int n), (fd, from, n), write, FD(fd), -1,
     HALVE(n))
CALL(ssize_t, pwritev, (int fd, const struct iovec *from, int n, off_t at), (fd, from, n, at),
     write, FD(fd), -1, HALVE(n))
CALL(ssize_t, pwritev64, (int fd, const struct iovec *from, int n, off64_t at), (fd, from, n, at),
     write, FD(fd), -1, HALVE(n))
CALL(size_t, fwrite, (const void *from, size_t size, size_t n, FILE *to), (from, size, n, to),
     write, STREAM(to), (stream_failed(to), (size_t)0), NEVER)
CALL(int, fputs, (const char *text, FILE *to), (text, to), write, STREAM(to),
     (stream_failed(to), EOF), NEVER)
#define STREAM_OR_ALL(s) NULL, ((s) == NULL ? -1 : fileno(s))
CALL(int, fflush, (FILE * to), (to), flush, STREAM_OR_ALL(to), EOF, NEVER)
CALL(int, fsync, (int fd), (fd), sync, FD(fd), -1, NEVER)
CALL(int, fdatasync, (int fd), (fd), sync, FD(fd), -1, NEVER)
CALL(int, syncfs, (int fd), (fd), sync, FD(fd), -1, NEVER)
CALL(int, msync, (void *p, size_t size, int flags), (p, size, flags), sync, NOTHING, -1, NEVER)
CALL(int, truncate, (const char *path, off_t size), (path, size), truncate, PATH(path), -1, NEVER)
CALL(int, truncate64, (const char *path, off64_t size), (path, size), truncate, PATH(path), -1,
     NEVER)
CALL(int, ftruncate, (int fd, off_t size), (fd, size), truncate, FD(fd), -1, NEVER)
CALL(int, ftruncate64, (int fd, off64_t size), (fd, size), truncate, FD(fd), -1, NEVER)
CALL(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), truncate,
     FD(fd), -1, NEVER)
CALL(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), truncate,
     FD(fd), -1, NEVER)
RETURNS_ERROR(posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), truncate, FD(fd))
RETURNS_ERROR(posix_fallocate64, (int fd, off64_t at, off64_t size), (fd, at, size), truncate,
              FD(fd))

/* What is closed is closed, whatever close says; so it is here. */
int close(int fd) {
  static int (*next)(int);
  enum fate fate = shim_fate(KIND_close, FD(fd), CALLER);
  int error = errno;
  if (next == NULL) next = (int (*)(int))shim_next("close");
  int result = next(fd);
  if (fate == FATE_KILL_AFTER) shim_die();
  if (fate != FATE_FAIL) return result;
  errno = error;
  return -1;
}

int fclose(FILE *stream) {
  static int (*next)(FILE *);
  enum fate fate = shim_fate(KIND_flush, STREAM(stream), CALLER);
  int error = errno;
  if (next == NULL) next = (int (*)(FILE *))shim_next("fclose");
  int result = next(stream);
  if (fate == FATE_KILL_AFTER) shim_die();
  if (fate != FATE_FAIL) return result;
  errno = error;
  return EOF;
}

/* ---- names, folders, what is known of a file ---- */

CALL(int, rename, (const char *from, const char *to), (from, to), rename, PATH(to), -1, NEVER)
CALL(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), rename,
     PATH(to), -1, NEVER)
CALL(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags),
     (a, from, b, to, flags), rename, PATH(to), -1, NEVER)
CALL(int, link, (const char *from, const char *to), (from, to), rename, PATH(to), -1, NEVER)
CALL(int, linkat, (int a, const char *from, int b, const char *to, int flags),
     (a, from, b, to, flags), rename, PATH(to), -1, NEVER)
CALL(int, symlink, (const char *from, const char *to), (from, to), rename, PATH(to), -1, NEVER)
CALL(int, unlink, (const char *path), (path), unlink, PATH(path), -1, NEVER)
CALL(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), unlink, PATH(path),
     -1, NEVER)
CALL(int, remove, (const char *path), (path), unlink, PATH(path), -1, NEVER)
CALL(int, rmdir, (const char *path), (path), unlink, PATH(path), -1, NEVER)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), mkdir, PATH(path), -1, NEVER)
CALL(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), mkdir, PATH(path), -1,
     NEVER)
CALL(char *, mkdtemp, (char *path), (path), mkdir, PATH(path), NULL, NEVER)
CALL(int, stat, (const char *path, struct stat *to), (path, to), stat, PATH(path), -1, NEVER)
CALL(int, stat64, (const char *path, struct stat64 *to), (path, to), stat, PATH(path), -1, NEVER)
CALL(int, lstat, (const char *path, struct stat *to), (path, to), stat, PATH(path), -1, NEVER)
CALL(int, lstat64, (const char *path, struct stat64 *to), (path, to), stat, PATH(path), -1, NEVER)
CALL(int, fstat, (int fd, struct stat *to), (fd, to), stat, FD(fd), -1, NEVER)
CALL(int, fstat64, (int fd, struct stat64 *to), (fd, to), stat, FD(fd), -1, NEVER)
CALL(int, fstatat, (int at, const char *path, struct stat *to, int flags), (at, path, to, flags),
     stat, PATH(path), -1, NEVER)
CALL(int, fstatat64, (int at, const char *path, struct stat64 *to, int flags),
     (at, path, to, flags), stat, PATH(path), -1, NEVER)
CALL(int, statx, (int at, const char *path, int flags, unsigned mask, struct statx *to),
     (at, path, flags, mask, to), stat, PATH(path), -1, NEVER)
CALL(int, statvfs, (const char *path, struct statvfs *to), (path, to), stat, PATH(path), -1, NEVER)
CALL(int, access, (const char *path, int mode), (path, mode), stat, PATH(path), -1, NEVER)
CALL(int, faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags), stat,
     PATH(path), -1, NEVER)
CALL(char *, realpath, (const char *path, char *to), (path, to), stat, PATH(path), NULL, NEVER)
CALL(int, chmod, (const char *path, mode_t mode), (path, mode), mode, PATH(path), -1, NEVER)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), mode, FD(fd), -1, NEVER)
CALL(int, chown, (const char *path, uid_t user, gid_t group), (path, user, group), mode, PATH(path),
     -1, NEVER)
CALL(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), mode, FD(fd), -1, NEVER)
CALL(int, flock, (int fd, int operation), (fd, operation), lock, FD(fd), -1, NEVER)

/* Of what fcntl does, taking a lock. */
#define CONTROLS(name)                                                                 \
  int name(int fd, int command, ...);                                                  \
  int name(int fd, int command, ...) {                                                 \
    static int (*next)(int, int, ...);                                                 \
    va_list rest;                                                                      \
    va_start(rest, command);                                                           \
    void *argument = va_arg(rest, void *);                                             \
    va_end(rest);                                                                      \
    int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || \
                command == F_OFD_SETLKW;                                               \
    if (locks && ((struct flock *)argument)->l_type != F_UNLCK &&                      \
        shim_fate(KIND_lock, FD(fd), CALLER) == FATE_FAIL)                             \
      return -1;                                                                       \
    if (next == NULL) next = (int (*)(int, int, ...))shim_next(#name);                 \
    return next(fd, command, argument);                                                \
  }
CONTROLS(fcntl)
CONTROLS(fcntl64)

/* ---- memory that is not the allocator's, randomness, threads ---- */

CALL(void *, mmap, (void *p, size_t size, int how, int flags, int fd, off_t at),
     (p, size, how, flags, fd, at), map, FD(fd), MAP_FAILED, NEVER)
CALL(void *, mmap64, (void *p, size_t size, int how, int flags, int fd, off64_t at),
     (p, size, how, flags, fd, at), map, FD(fd), MAP_FAILED, NEVER)
CALL(int, mlock, (const void *p, size_t size), (p, size), limit, NOTHING, -1, NEVER)
CALL(int, madvise, (void *p, size_t size, int advice), (p, size, advice), limit, NOTHING, -1, NEVER)
CALL(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *to), (what, to), limit,
     NOTHING, -1, NEVER)
CALL(ssize_t, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags), random,
     NOTHING, -1, HALVE(size))
CALL(int, getentropy, (void *to, size_t size), (to, size), random, NOTHING, -1, NEVER)
RETURNS_ERROR(pthread_create,
              (pthread_t * to, const pthread_attr_t *how, void *(*run)(void *), void *with),
              (to, how, run, with), thread, NOTHING)
RETURNS_ERROR(pthread_mutex_init, (pthread_mutex_t * to, const pthread_mutexattr_t *how), (to, how),
              mutex, NOTHING)
RETURNS_ERROR(pthread_cond_init,
              (pthread_cond_t *restrict to, const pthread_condattr_t *restrict how), (to, how),
              mutex, NOTHING)
RETURNS_ERROR(pthread_rwlock_init,
              (pthread_rwlock_t *restrict to, const pthread_rwlockattr_t *restrict how), (to, how),
              mutex, NOTHING)
RETURNS_ERROR(pthread_key_create, (pthread_key_t * to, void (*end)(void *)), (to, end), mutex,
              NOTHING)

int prctl(int option, ...) {
  static int (*next)(int, ...);
  unsigned long a[4];
  va_list rest;
  va_start(rest, option);
  for (int i = 0; i < 4; i++) a[i] = va_arg(rest, unsigned long);
  va_end(rest);
  if (shim_fate(KIND_limit, NOTHING, CALLER) == FATE_FAIL) return -1;
  if (next == NULL) next = (int (*)(int, ...))shim_next("prctl");
  return next(option, a[0], a[1], a[2], a[3]);
}

/* ---- sockets, and what waits on them ---- */

CALL(int, accept, (int fd, struct sockaddr *to, socklen_t *size), (fd, to, size), accept, FD(fd),
     -1, NEVER)
CALL(int, accept4, (int fd, struct sockaddr *to, socklen_t *size, int flags), (fd, to, size, flags),
     accept, FD(fd), -1, NEVER)
CALL(int, socket, (int family, int type, int protocol), (family, type, protocol), socket, NOTHING,
     -1, NEVER)
CALL(int, socketpair, (int family, int type, int protocol, int to[2]), (family, type, protocol, to),
     socket, NOTHING, -1, NEVER)
CALL(int, bind, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), bind, FD(fd),
     -1, NEVER)
CALL(int, listen, (int fd, int most), (fd, most), bind, FD(fd), -1, NEVER)
CALL(int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), connect,
     FD(fd), -1, NEVER)
CALL(int, getaddrinfo,
     (const char *name, const char *service, const struct addrinfo *how, struct addrinfo **to),
     (name, service, how, to), resolve, PATH(name), EAI_MEMORY, NEVER)
CALL(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags),
     send, FD(fd), -1, HALVE(size))
CALL(ssize_t, sendto,
     (int fd, const void *from, size_t size, int flags, const struct sockaddr *to, socklen_t n),
     (fd, from, size, flags, to, n), send, FD(fd), -1, HALVE(size))
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *from, int flags), (fd, from, flags), send,
     FD(fd), -1, NEVER)
CALL(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags), recv, FD(fd),
     -1, HALVE(size))
CALL(ssize_t, __recv_chk, (int fd, void *to, size_t size, size_t room, int flags),
     (fd, to, size, room, flags), recv, FD(fd), -1, HALVE(size))
CALL(ssize_t, recvfrom,
     (int fd, void *to, size_t size, int flags, struct sockaddr *from, socklen_t *n),
     (fd, to, size, flags, from, n), recv, FD(fd), -1, HALVE(size))
CALL(ssize_t, recvmsg, (int fd, struct msghdr *to, int flags), (fd, to, flags), recv, FD(fd), -1,
     NEVER)
CALL(int, poll, (struct pollfd * of, nfds_t n, int wait), (of, n, wait), poll, NOTHING, -1, NEVER)
CALL(int, __poll_chk, (struct pollfd * of, nfds_t n, int wait, size_t room), (of, n, wait, room),
     poll, NOTHING, -1, NEVER)
CALL(int, ppoll, (struct pollfd * of, nfds_t n, const struct timespec *wait, const sigset_t *set),
     (of, n, wait, set), poll, NOTHING, -1, NEVER)
CALL(int, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *wait),
     (n, r, w, e, wait), poll, NOTHING, -1, NEVER)
CALL(int, epoll_wait, (int fd, struct epoll_event *to, int n, int wait), (fd, to, n, wait), poll,
     NOTHING, -1, NEVER)
CALL(int, epoll_create, (int size), (size), event, NOTHING, -1, NEVER)
CALL(int, epoll_create1, (int flags), (flags), event, NOTHING, -1, NEVER)
CALL(int, epoll_ctl, (int fd, int operation, int of, struct epoll_event *how),
     (fd, operation, of, how), event, NOTHING, -1, NEVER)
CALL(int, eventfd, (unsigned value, int flags), (value, flags), event, NOTHING, -1, NEVER)
CALL(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), event, NOTHING, -1,
     NEVER)
CALL(int, timerfd_create, (clockid_t clock, int flags), (clock, flags), event, NOTHING, -1, NEVER)
CALL(int, inotify_init1, (int flags), (flags), event, NOTHING, -1, NEVER)
CALL(int, pipe, (int to[2]), (to), event, NOTHING, -1, NEVER)
CALL(int, pipe2, (int to[2], int flags), (to, flags), event, NOTHING, -1, NEVER)
CALL(int, dup, (int fd), (fd), event, FD(fd), -1, NEVER)
CALL(int, dup2, (int fd, int to), (fd, to), event, FD(fd), -1, NEVER)
CALL(int, dup3, (int fd, int to, int flags), (fd, to, flags), event, FD(fd), -1, NEVER)

/* ---- other processes ---- */

CALL(pid_t, fork, (void), (), fork, NOTHING, -1, NEVER)
CALL(int, execve, (const char *path, char *const words[], char *const env[]), (path, words, env),
     exec, PATH(path), -1, NEVER)
CALL(int, execv, (const char *path, char *const words[]), (path, words), exec, PATH(path), -1,
     NEVER)
CALL(int, execvp, (const char *path, char *const words[]), (path, words), exec, PATH(path), -1,
     NEVER)
