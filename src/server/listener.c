/* Opens the sockets one after the other, and closes all when one cannot be had. Accepts nothing:
 * connection.c does. For a socket in the file system the order counts: lock the directory, see that
 * nobody answers, make the socket under another name with its mode, listen, and rename it into its
 * place (bind_path).
 */
#include "server/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/impossible.h"
#include "domain/config.h"
#include "domain/listen.h"
#include "os/error.h"

#define BACKLOG 4096 /* the system cuts it down to what it allows */
#define SOCKET_MODE 0660
#define LOCK_TRIES 100 /* of 50 ms: another server starts at the same place */

typedef struct listener {
  int fd;
  st_listen listen;
  dev_t device; /* of the socket in the file system: whether it is still ours */
  ino_t inode;
} listener;

static struct {
  size_t count;
  listener each[ST_LISTEN_MAX];
} opened;
static listener metrics = {.fd = -1}; /* that of the metrics, which is another server's */

/* ---- addresses ---- */

/* What to do about an error. */
static const char *advice(int error, const st_listen *listen) {
  switch (error) {
    case EADDRINUSE: return "another program listens there; stop it, or choose another port";
    case EADDRNOTAVAIL: return "this machine has no such address";
    case EAFNOSUPPORT: return "this machine has no IPv6";
    case EACCES:
    case EPERM:
      return listen->port > 0 && listen->port < 1024
                 ? "ports below 1024 need root or CAP_NET_BIND_SERVICE"
                 : "not permitted here";
    default: return strerror(error);
  }
}

static bool listener_fail(const st_listen *listen, const char *problem, char *error) {
  snprintf(error, ST_ERROR_MAX, "cannot listen on %s: %s", listen->text, problem);
  return false;
}

static socklen_t socket_address(const st_listen *listen, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (listen->kind == ST_LISTEN_V4) {
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    four->sin_family = AF_INET;
    four->sin_port = htons(listen->port);
    memcpy(&four->sin_addr, listen->address, 4);
    return sizeof *four;
  }
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(listen->port);
  memcpy(&six->sin6_addr, listen->address, 16);
  return sizeof *six;
}

/* `[::]:P` takes IPv4 as well, unless some other place to listen at is an IPv4 one on that port. */
static int only_v6(const st_settings *settings, const st_listen *listen) {
  for (size_t i = 0; settings != NULL && i < settings->listen_count; i++) {
    const st_listen *other = &settings->listen[i];
    if (other->kind == ST_LISTEN_V4 && other->port == listen->port && listen->port != 0) return 1;
  }
  return 0;
}

static bool open_address(const st_settings *settings, listener *l, char *error) {
  struct sockaddr_storage address;
  socklen_t len = socket_address(&l->listen, &address);
  int on = 1, only = only_v6(settings, &l->listen);
  l->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (l->fd >= 0) (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (l->fd >= 0 && l->listen.kind == ST_LISTEN_V6) {
    (void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
  }
  if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, len) != 0 ||
      listen(l->fd, BACKLOG) != 0) {
    return listener_fail(&l->listen, advice(errno, &l->listen), error);
  }
  return true;
}

/* ---- sockets in the file system ---- */

/* path: at most ST_LISTEN_PATH_MAX bytes, and what bind_path has behind it. */
static struct sockaddr_un path_address(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(path);
  if (!st_impossible(len >= sizeof address.sun_path, "config bounds it")) {
    memcpy(address.sun_path, path, len + 1);
  }
  return address;
}

/* Does a program listen there? A full queue means yes, too. NULL: no. */
static const char *is_answered(const char *path) {
  struct sockaddr_un address = path_address(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return strerror(errno);
  bool answered = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ||
                  (errno != ECONNREFUSED && errno != ENOENT);
  close(fd);
  return answered ? "another program listens there; stop it, or choose another path" : NULL;
}

/* NULL when the place is free, or was left by a server that is gone. */
static const char *is_taken(const char *path) {
  struct stat there;
  if (lstat(path, &there) != 0) return errno == ENOENT ? NULL : strerror(errno);
  if (!S_ISSOCK(there.st_mode)) return "there is a file that is no socket; remove it";
  return is_answered(path);
}

/* Two servers that start here at the same time look one after the other. */
static int lock_directory(const char *path) {
  char directory[ST_LISTEN_TEXT_MAX];
  snprintf(directory, sizeof directory, "%s", path);
  char *slash = strrchr(directory, '/');
  slash[slash == directory] = '\0';
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
    if ((errno != EWOULDBLOCK && errno != EINTR) || i == LOCK_TRIES) {
      int error = errno == EWOULDBLOCK ? EBUSY : errno;
      close(fd);
      errno = error;
      return -1;
    }
    poll(NULL, 0, 50);
  }
  return fd;
}

/* Made under another name, so that whoever sees it in its place can connect, and with the mode that
 * it is to have; the rename takes the place of what was left there, in one step.
 */
static bool bind_path(listener *l, const char *path, char *error) {
  char fresh[ST_LISTEN_TEXT_MAX + 8];
  struct stat made;
  snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid() % 1000000);
  struct sockaddr_un address = path_address(fresh);
  /* Left by one of the same number that died right here; nothing else is touched. */
  if (lstat(fresh, &made) == 0 && S_ISSOCK(made.st_mode)) (void)unlink(fresh);
  l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&address, sizeof address) != 0) {
    return listener_fail(&l->listen, strerror(errno), error);
  }
  if (chmod(fresh, SOCKET_MODE) != 0 || listen(l->fd, BACKLOG) != 0 || lstat(fresh, &made) != 0 ||
      rename(fresh, path) != 0) {
    (void)listener_fail(&l->listen, strerror(errno), error);
    (void)unlink(fresh);
    return false;
  }
  l->device = made.st_dev;
  l->inode = made.st_ino;
  return true;
}

static bool open_path(listener *l, char *error) {
  const char *path = st_listen_path(&l->listen);
  int lock = lock_directory(path);
  if (lock < 0) {
    char problem[ST_ERROR_MAX / 2];
    snprintf(problem, sizeof problem, "its directory: %s", strerror(errno));
    return listener_fail(&l->listen, problem, error);
  }
  const char *taken = is_taken(path);
  bool good = taken != NULL ? listener_fail(&l->listen, taken, error) : bind_path(l, path, error);
  close(lock);
  return good;
}

static void remove_path(const listener *l) {
  struct stat there;
  const char *path = st_listen_path(&l->listen);
  bool ours = lstat(path, &there) == 0 && there.st_dev == l->device && there.st_ino == l->inode;
  if (ours && l->inode != 0) (void)unlink(path);
}

/* ---- all of them ---- */

/* Does what listens at one keep the other from it? Any address has all of them. */
static bool is_same_place(const st_listen *a, const st_listen *b) {
  static const uint8_t any[sizeof a->address];
  if (a->kind != b->kind) return false;
  if (a->kind == ST_LISTEN_UNIX) return strcmp(a->text, b->text) == 0;
  return a->port == b->port &&
         (memcmp(a->address, b->address, sizeof any) == 0 ||
          memcmp(a->address, any, sizeof any) == 0 || memcmp(b->address, any, sizeof any) == 0);
}

static bool is_open_already(const listener *l) {
  bool found = l != &metrics && metrics.fd >= 0 && is_same_place(&metrics.listen, &l->listen);
  for (size_t i = 0; !found && i < opened.count && l != &opened.each[i]; i++) {
    found = is_same_place(&opened.each[i].listen, &l->listen);
  }
  return found;
}

/* settings: the other places, or NULL. */
static bool open_listener(const st_settings *settings, listener *l, char *error) {
  bool open =
      l->listen.kind == ST_LISTEN_UNIX ? open_path(l, error) : open_address(settings, l, error);
  if (open || !is_open_already(l)) return open;
  return listener_fail(&l->listen, "the settings name this place twice", error);
}

static void close_listener(listener *l) {
  if (l->listen.kind == ST_LISTEN_UNIX) remove_path(l);
  if (l->fd >= 0) close(l->fd);
  l->fd = -1;
}

bool st_listener_open(const st_settings *settings, char *error) {
  opened.count = 0;
  for (size_t i = 0; i < settings->listen_count; i++) {
    listener *l = &opened.each[opened.count++];
    *l = (listener){.fd = -1, .listen = settings->listen[i]};
    if (!open_listener(settings, l, error)) {
      st_listener_close();
      return false;
    }
  }
  return opened.count > 0;
}

size_t st_listener_count(void) {
  return opened.count;
}

int st_listener_fd(size_t i) {
  return opened.each[i].fd;
}

static int port_of(const listener *l) {
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t len = sizeof address;
  if (getsockname(l->fd, (struct sockaddr *)&address, &len) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
  return 0;
}

int st_listener_port(size_t i) {
  return port_of(&opened.each[i]);
}

static void write_name(const listener *l, char name[ST_LISTENER_NAME_MAX]) {
  const char *text = l->listen.text;
  if (l->listen.kind == ST_LISTEN_UNIX) {
    snprintf(name, ST_LISTENER_NAME_MAX, "%s", text);
    return;
  }
  int host = (int)(strrchr(text, ':') - text);
  snprintf(name, ST_LISTENER_NAME_MAX, "http://%.*s:%d", host, text, port_of(l));
}

void st_listener_name(size_t i, char name[ST_LISTENER_NAME_MAX]) {
  write_name(&opened.each[i], name);
}

void st_listener_close(void) {
  for (size_t i = 0; i < opened.count; i++) {
    close_listener(&opened.each[i]);
  }
  opened.count = 0;
}

/* ---- the metrics' ---- */

int st_listener_open_metrics(const st_listen *listen, char name[ST_LISTENER_NAME_MAX],
                             char *error) {
  metrics = (listener){.fd = -1, .listen = *listen};
  if (!open_listener(NULL, &metrics, error)) {
    st_listener_close_metrics();
    return -1;
  }
  write_name(&metrics, name);
  return metrics.fd;
}

void st_listener_close_metrics(void) {
  close_listener(&metrics);
}
