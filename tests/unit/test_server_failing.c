/* The server's parts while what they ask of others fails: memory, files, threads, SQLite. Whatever
 * is answered is whole, or it is refused; nothing is lost; and the next answer is good. In a
 * running server: tests/e2e/test_faults_serve.py.
 */
#include "failing.h"
#include "feed_fixture.h"

#include <sys/un.h>

#include "operations/keyring_file.h"
#include "server/feed_edges.h"
#include "server/held_requests.h"
#include "server/http.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/metrics_listener.h"
#include "server/runtime_config.h"
#include "server/threads.h"
#include "server/token_cache.h"

enum { KINDS = FAIL_MEMORY | FAIL_FILES | FAIL_PREPARE | FAIL_SQLITE | FAIL_ROWS };

/* ---- the revocation data ---- */

/* The data is read and signed by a thread of its own: its calls fail, too. */
static void everywhere(void) {
  atomic_store(&failing.everywhere, true);
}

/* A version, what leads to it from another, and from before it; all are released. */
static bool ask_and_give(const char *audience, int64_t since) {
  everywhere();
  st_snapshot_version version;
  st_payload changes;
  st_feed_question question = question_of(&ring, KEY, since);
  if (audience != NULL) question.audience = st_text(audience);
  st_feed_status status = feed.current(feed.context, &question, &version);
  assert_in_range(status, ST_FEED_STORE_ERROR, ST_FEED_AUDIENCES);
  if (status != ST_FEED_READY) return false;
  if (feed.changes(feed.context, &version, since, &changes)) give(&changes);
  give(&version.snapshot);
  return true;
}

static void an_answer_is_whole_or_refused(void **state) {
  (void)state;
  subtoken_revocations view;
  make_keys(0, 60);
  for (unsigned n = 30; n < 60; n++) delete_key(n);
  st_snapshot_version first = ask_at(&ring, NOW, &view);
  give(&first.snapshot);
  bool revoked = false, answered = false;
  FAILING_EACH(KINDS, failing_step(3), answered = ask_and_give(NULL, first.sequence), {
    /* What fails no more is answered, and knows of the change before. */
    st_snapshot_version now = ask_at(&ring, NOW, &view);
    give(&now.snapshot);
    CHECK(answered || failed, "call %ld", nth);
    CHECK(lists(&view, 1) == revoked, "call %ld", nth);
    revoked = !revoked;
    disable_key(1, revoked);
  });
}

static void so_is_that_for_an_audience(void **state) {
  (void)state;
  static const char *const audiences[] = {"eu", "us", "asia", "africa"};
  subtoken_revocations view;
  make_keys(0, 20);
  delete_key(1);
  st_snapshot_version first = ask_at(&ring, NOW, &view);
  give(&first.snapshot);
  bool answered = false;
  long turn = 0;
  FAILING_EACH(KINDS, failing_step(2), answered = ask_and_give(audiences[turn % 4], first.sequence),
               {
                 CHECK(answered || failed, "call %ld", nth);
                 turn++;
                 disable_key(2, turn % 2 == 1);
               });
}

static void whole_snapshots_and_the_edges_that_ask(void **state) {
  (void)state;
  static const st_feed_view all;
  st_snapshot_version version;
  st_payload payload;
  st_feed_edge edge = {
      .last_asked = NOW, .sequence = 1, .key_id = "0", .name = "edge", .address = "127.0.0.1"};
  make_keys(0, 10);
  delete_key(1);
  st_feed_edges_note(&edge);
  FAILING_EACH(
      KINDS, 1,
      {
        everywhere();
        st_feed_status status = ask_feed(&ring, KEY, 0, &version);
        if (status == ST_FEED_READY) status = ask_whole(&ring, 0, &version);
        if (status == ST_FEED_READY) give(&version.snapshot);
      },
      disable_key(2, nth % 2 == 1));
  bool told = false;
  FAILING_EACH(
      KINDS, 1,
      {
        told = st_feed_edges_status(store, NOW, &all, &payload);
        if (told) give(&payload);
      },
      CHECK(told || failed, "call %ld", nth));
  st_feed_status issued = ST_FEED_NEVER;
  FAILING_EACH(KINDS, 1, issued = feed.issued(feed.context, 1),
               CHECK(failed || issued != ST_FEED_STORE_ERROR, "call %ld", nth));
}

static void it_begins_whole_or_not_at_all(void **state) {
  (void)state;
  bool begun = false;
  make_keys(0, 3);
  delete_key(1);
  FAILING_EACH(
      KINDS | FAIL_THREADS, 1,
      {
        st_snapshot_cache_stop();
        everywhere();
        begun = st_snapshot_cache_start(store, error);
      },
      {
        CHECK(begun || (failed && error[0] != '\0'), "call %ld", nth);
        if (!begun) good(st_snapshot_cache_start(store, error) ? ST_STORE_OK : ST_STORE_FAILED);
      });
}

/* ---- what serves ---- */

static void a_start_without_memory_or_threads_says_so(void **state) {
  (void)state;
  bool begun = false;
  st_token_caches tokens = st_token_cache_get();
  FAILING_EACH(FAIL_MEMORY, 1, begun = st_token_cache_start(), {
    assert_int_equal(begun, !failed);
    subtoken_cache *cache = tokens.acquire(ST_TEXT("a token of a client"));
    assert_int_equal(cache != NULL, begun); /* without, each token is authenticated */
    if (begun) tokens.release(cache);
    if (begun) st_token_cache_stop();
  });
  FAILING_EACH(FAIL_MEMORY | FAIL_FILES | FAIL_THREADS, 1,
               begun = st_held_requests_start(store, error), {
                 CHECK(begun != failed, "call %ld: %s", nth, error);
                 if (begun) st_held_requests_stop();
               });
}

/* The names in the test's directory: of sockets, for there is nothing else of those that begin so.
 */
static size_t count_names(const char *beginning) {
  size_t count = 0;
  DIR *directory = __real_opendir(home);
  assert_non_null(directory);
  for (struct dirent *each; (each = readdir(directory)) != NULL;) {
    count += strncmp(each->d_name, beginning, strlen(beginning)) == 0;
  }
  closedir(directory);
  return count;
}

/* As a server that died leaves it. */
static void leave_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  assert_int_equal(__real_bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  close(fd);
}

static void addresses_are_listened_on_or_not(void **state) {
  (void)state;
  static st_settings settings;
  st_listen *unix_path = &settings.listen[0], *address = &settings.listen[1];
  char text[400], name[ST_LISTENER_NAME_MAX];
  snprintf(text, sizeof text, "unix:%s/in", home);
  assert_true(st_listen_read(st_text(text), unix_path));
  assert_true(st_listen_read(ST_TEXT("127.0.0.1:0"), address));
  assert_true(st_listen_read(ST_TEXT("[::1]:0"), &settings.listen[2]));
  settings.listen_count = 3;
  if (!st_listener_open(&settings, error)) settings.listen_count = 2; /* without IPv6 */
  st_listener_close();
  bool begun = false;
  leave_socket(text + strlen("unix:"));
  failing_begin(FAIL_SOCKETS, 1); /* before it is known whether somebody listens */
  begun = st_listener_open(&settings, error);
  assert_true(failing_end() && !begun && strstr(error, strerror(EMFILE)) != NULL);
  FAILING_EACH(
      FAIL_MEMORY | FAIL_FILES | FAIL_SOCKETS, 1, begun = st_listener_open(&settings, error), {
        CHECK(begun || (failed && strstr(error, "cannot listen on ") != NULL), "call %ld", nth);
        CHECK(count_names("in") <= 1, "call %ld: a socket is left", nth);
        if (begun) {
          assert_int_equal(st_listener_count(), settings.listen_count);
          st_listener_name(1, name);
          assert_true(st_listener_port(1) > 0 && strstr(name, "127.0.0.1:") != NULL);
          st_listener_close();
          assert_int_equal(count_names("in"), 0);
          leave_socket(text + strlen("unix:"));
        }
      });
  assert_int_equal(unlink(text + strlen("unix:")), 0);
  /* Somebody else listens there. */
  assert_true(st_listener_open(&settings, error));
  snprintf(text, sizeof text, "127.0.0.1:%d", st_listener_port(1));
  assert_int_equal(st_listener_open_metrics(unix_path, name, error), -1);
  assert_non_null(strstr(error, "in"));
  st_listen same;
  assert_true(st_listen_read(st_text(text), &same));
  assert_int_equal(st_listener_open_metrics(&same, name, error), -1);
  st_listener_close();
}

static void start_config(st_settings *settings) {
  char secrets[300];
  st_config_default(settings);
  settings->threads = 3;
  assert_true(st_listen_read(ST_TEXT("127.0.0.1:0"), &settings->listen[0]));
  snprintf(secrets, sizeof secrets, "%s/secrets", home);
  assert_true(st_keyring_file_make(secrets, error));
  assert_true(st_runtime_config_start(secrets, settings, error));
}

/* What cannot be asked is left out, and says that the store is away; half of a text is none. */
static void metrics_are_whole_or_none(void **state) {
  (void)state;
  static st_settings settings;
  st_payload payload = {0};
  bool told = false;
  start_config(&settings);
  st_metrics_start(store, home);
  FAILING_EACH(KINDS, 1, told = st_metrics_payload(true, &payload), {
    CHECK(told || failed, "call %ld", nth);
    if (told) {
      CHECK(memmem(payload.data, payload.len, "subtoken_store_up ", 18) != NULL, "call %ld", nth);
      CHECK(payload.len > 6 && memcmp(payload.data + payload.len - 6, "# EOF\n", 6) == 0,
            "call %ld", nth);
      give(&payload);
    }
    st_metrics_start(store, home); /* and counts the keys anew */
  });
  assert_true(st_metrics_payload(true, &payload));
  assert_non_null(memmem(payload.data, payload.len, "\nsubtoken_store_up 1\n", 21));
  assert_non_null(memmem(payload.data, payload.len, "\nsubtoken_keys 0\n", 17));
  give(&payload);
  st_runtime_config_stop();
}

/* civetweb too: what it asks for is made to fail like our own. */
static void a_server_begins_or_says_why(void **state) {
  (void)state;
  static st_settings settings;
  bool begun = false;
  start_config(&settings);
  FAILING_EACH(
      FAIL_MEMORY | FAIL_FILES | FAIL_SOCKETS | FAIL_THREADS, 1,
      {
        error[0] = '\0';
        begun = st_http_start(&settings, store, error);
      },
      {
        CHECK(begun || (failed && error[0] != '\0'), "call %ld", nth);
        if (begun) st_http_stop();
      });
  st_runtime_config_stop();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(an_answer_is_whole_or_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(so_is_that_for_an_audience, setup, teardown),
      cmocka_unit_test_setup_teardown(whole_snapshots_and_the_edges_that_ask, setup, teardown),
      cmocka_unit_test_setup_teardown(it_begins_whole_or_not_at_all, setup, teardown),
      cmocka_unit_test_setup_teardown(a_start_without_memory_or_threads_says_so, setup, teardown),
      cmocka_unit_test_setup_teardown(addresses_are_listened_on_or_not, setup, teardown),
      cmocka_unit_test_setup_teardown(metrics_are_whole_or_none, setup, teardown),
      cmocka_unit_test_setup_teardown(a_server_begins_or_says_why, setup, teardown),
  };
  return cmocka_run_group_tests_name("server failing", tests, NULL, NULL);
}
