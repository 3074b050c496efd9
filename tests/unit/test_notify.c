/* What systemd is told, by a socket of the test's own in its place. */
#include "file_fixture.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "os/notify.h"

static int manager = -1;
static char socket_name[108], heard[1024];

/* Nothing else of the environment of this test counts. */
static int forget(void **state) {
  (void)state;
  if (manager >= 0) close(manager);
  manager = -1;
  unsetenv("NOTIFY_SOCKET");
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
  return 0;
}

static void bind_manager(const struct sockaddr_un *address, size_t name_len) {
  manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  assert_true(manager >= 0);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_len);
  assert_int_equal(bind(manager, (const struct sockaddr *)address, len), 0);
}

static void listen_in_a_file(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(socket_name, sizeof socket_name, "/tmp/subtoken-notify-%d", (int)getpid());
  (void)unlink(socket_name);
  memcpy(address.sun_path, socket_name, strlen(socket_name));
  bind_manager(&address, strlen(socket_name) + 1);
  setenv("NOTIFY_SOCKET", socket_name, 1);
}

static void listen_abstractly(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(socket_name, sizeof socket_name, "@subtoken-notify-%d", (int)getpid());
  memcpy(address.sun_path + 1, socket_name + 1, strlen(socket_name) - 1);
  bind_manager(&address, strlen(socket_name));
  setenv("NOTIFY_SOCKET", socket_name, 1);
}

/* The next message, or "" when none was sent: a datagram to a socket of this process is there at
 * once. */
static const char *hear(void) {
  ssize_t len = recv(manager, heard, sizeof heard - 1, 0);
  heard[len > 0 ? len : 0] = '\0';
  return heard;
}

static void each_state_is_told(void **state) {
  (void)state;
  listen_in_a_file();
  st_notify_start();
  st_notify_ready();
  assert_string_equal(hear(), "READY=1");
  st_notify_status("listening on 127.0.0.1:8080");
  assert_string_equal(hear(), "STATUS=listening on 127.0.0.1:8080");
  st_notify_stopping();
  assert_string_equal(hear(), "STOPPING=1");
  assert_string_equal(hear(), "");
  unlink(socket_name);
}

static void a_reload_tells_when_it_began(void **state) {
  (void)state;
  struct timespec before, after;
  long long usec = 0;
  listen_abstractly();
  st_notify_start();
  clock_gettime(CLOCK_MONOTONIC, &before);
  st_notify_reloading();
  clock_gettime(CLOCK_MONOTONIC, &after);
  assert_int_equal(sscanf(hear(), "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
  assert_in_range(usec, (long long)before.tv_sec * 1000000 + before.tv_nsec / 1000,
                  (long long)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

/* A line of its own would be another variable: READY=1, say. */
static void a_status_is_one_line_that_fits(void **state) {
  (void)state;
  char status[2000];
  listen_abstractly();
  st_notify_start();
  st_notify_status("bad file\nREADY=1");
  assert_string_equal(hear(), "STATUS=bad file");
  memset(status, 'x', sizeof status);
  status[sizeof status - 1] = '\0';
  st_notify_status(status);
  hear();
  assert_int_equal(strspn(heard, "STATUS=x"), strlen(heard));
  assert_in_range(strlen(heard), 100, 600);
}

static void the_watchdog_hears_as_often_as_it_needs(void **state) {
  (void)state;
  listen_abstractly();
  setenv("WATCHDOG_USEC", "3600000000", 1);
  st_notify_start();
  assert_int_equal(st_notify_interval_us(), 1800000000);
  st_notify_alive();
  assert_string_equal(hear(), "WATCHDOG=1");
  st_notify_alive(); /* much too early for another one */
  assert_string_equal(hear(), "");
}

static void the_watchdog_of_another_process_is_not_ours(void **state) {
  (void)state;
  char pid[32];
  listen_abstractly();
  setenv("WATCHDOG_USEC", "3600000000", 1);
  snprintf(pid, sizeof pid, "%d", (int)getppid());
  setenv("WATCHDOG_PID", pid, 1);
  st_notify_start();
  assert_int_equal(st_notify_interval_us(), 0);
  st_notify_alive();
  assert_string_equal(hear(), "");
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  setenv("WATCHDOG_PID", pid, 1);
  st_notify_start();
  assert_int_equal(st_notify_interval_us(), 1800000000);
}

static void what_cannot_be_used_is_ignored(void **state) {
  (void)state;
  static const char *const sockets[] = {"", "/", "@", "relative", "vsock:2:1234"};
  static const char *const spans[] = {"", "0", "1", "-5", "30s", "x"};
  char longer[200];
  memset(longer, 'x', sizeof longer);
  longer[0] = '/';
  longer[sizeof longer - 1] = '\0';
  setenv("WATCHDOG_USEC", "1000000", 1);
  for (size_t i = 0; i <= sizeof sockets / sizeof sockets[0]; i++) {
    bool last = i == sizeof sockets / sizeof sockets[0];
    setenv("NOTIFY_SOCKET", last ? longer : sockets[i], 1);
    st_notify_start();
    assert_int_equal(st_notify_interval_us(), 0);
    st_notify_ready(); /* goes nowhere */
    st_notify_alive();
  }
  listen_abstractly();
  for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
    setenv("WATCHDOG_USEC", spans[i], 1);
    st_notify_start();
    assert_int_equal(st_notify_interval_us(), 0);
  }
}

/* A service goes on when nobody listens any more. */
static void a_manager_that_is_gone_harms_nobody(void **state) {
  (void)state;
  listen_in_a_file();
  st_notify_start();
  close(manager);
  manager = -1;
  st_notify_ready();
  unlink(socket_name);
  st_notify_ready();
  st_notify_status("x");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(each_state_is_told, forget),
      cmocka_unit_test_teardown(a_reload_tells_when_it_began, forget),
      cmocka_unit_test_teardown(a_status_is_one_line_that_fits, forget),
      cmocka_unit_test_teardown(the_watchdog_hears_as_often_as_it_needs, forget),
      cmocka_unit_test_teardown(the_watchdog_of_another_process_is_not_ours, forget),
      cmocka_unit_test_teardown(what_cannot_be_used_is_ignored, forget),
      cmocka_unit_test_teardown(a_manager_that_is_gone_harms_nobody, forget),
  };
  forget(NULL);
  return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
