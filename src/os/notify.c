/* Datagrams to the socket that systemd names in NOTIFY_SOCKET: sd_notify(3),
 * sd_watchdog_enabled(3). When they are sent is decided in cli/cmd_serve.c and cli/pull_loop.c.
 */
#include "os/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"

#define MESSAGE_MAX 512

static struct {
  struct sockaddr_un address;
  socklen_t address_len; /* 0: nobody is to be told */
  int64_t interval_us, alive_us;
} notify;

/* An absolute path, or the name of an abstract socket after an @. */
static void notify_read_socket(const char *name) {
  size_t len = name == NULL ? 0 : strlen(name);
  if (len < 2 || len >= sizeof notify.address.sun_path || (name[0] != '/' && name[0] != '@'))
    return;
  notify.address.sun_family = AF_UNIX;
  memcpy(notify.address.sun_path, name, len);
  if (name[0] == '@') notify.address.sun_path[0] = '\0';
  notify.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* Twice as often as systemd asks, as its manual recommends. WATCHDOG_PID: another process is meant.
 */
static void notify_read_watchdog(const char *usec, const char *pid) {
  char *end;
  if (usec == NULL || (pid != NULL && strtoll(pid, NULL, 10) != getpid())) return;
  long long number = strtoll(usec, &end, 10);
  if (end != usec && *end == '\0' && number > 1) notify.interval_us = number / 2;
}

void st_notify_start(void) {
  memset(&notify, 0, sizeof notify);
  notify_read_socket(getenv("NOTIFY_SOCKET"));
  if (notify.address_len > 0) notify_read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
}

/* What cannot be sent is lost: systemd then does what it does about a service that says nothing. */
static void notify_send(const char *message) {
  if (notify.address_len == 0) return;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT,
               (const struct sockaddr *)&notify.address, notify.address_len);
  (void)close(fd);
}

void st_notify_ready(void) {
  notify_send("READY=1");
}

void st_notify_status(const char *status) {
  char message[MESSAGE_MAX];
  snprintf(message, sizeof message, "STATUS=%.*s", (int)strcspn(status, "\n"), status);
  notify_send(message);
}

/* CLOCK_MONOTONIC is what systemd compares with; st_clock_monotonic_us is another clock. */
void st_notify_reloading(void) {
  char message[MESSAGE_MAX];
  struct timespec now = {0};
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%lld",
           (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
  notify_send(message);
}

void st_notify_stopping(void) {
  notify_send("STOPPING=1");
}

int64_t st_notify_interval_us(void) {
  return notify.interval_us;
}

void st_notify_alive(void) {
  int64_t now_us = st_clock_monotonic_us();
  if (notify.interval_us == 0 || now_us - notify.alive_us < notify.interval_us / 2) return;
  notify.alive_us = now_us;
  notify_send("WATCHDOG=1");
}
