/* The files and caches of the module for Apache httpd (src/edge/apache), without httpd: what a
 * process holds while files change, and while memory, files and threads fail.
 * tests/e2e/test_apache.py has a real httpd.
 */
#include "failing.h"
#include "home_fixture.h"
#include "support.h"

#include <apr_general.h>
#include <apr_pools.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "edge/apache/caches.c"
#include "edge/apache/file.c"
#include "edge/apache/files.c"
#pragma GCC diagnostic pop

/* ---- what httpd has: a log, of which the last line is kept ---- */

module AP_MODULE_DECLARE_DATA SUBTOKEN_EXPORT subtoken_module;

static char said[2048];
static size_t said_count;
static int threads = 4;

void ap_log_error_(const char *file, int line, int index, int level, apr_status_t status,
                   const server_rec *server, const char *format, ...) {
  va_list list;
  (void)file, (void)line, (void)index, (void)level, (void)status;
  assert_null(server);
  va_start(list, format);
  apr_vsnprintf(said, sizeof said, format, list);
  va_end(list);
  said_count++;
}

apr_status_t ap_mpm_query(int what, int *result) {
  assert_int_equal(what, AP_MPMQ_MAX_THREADS);
  *result = threads;
  return threads < 0 ? APR_ENOTIMPL : APR_SUCCESS;
}

/* ---- files, and a process that reads them ---- */

#define RING_LINE "two:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMSE\n"

static apr_pool_t *conf_pool, *child_pool;

static mod_subtoken_secrets *secrets;
static mod_subtoken_policy *policy;
static mod_subtoken_feed *feed;

static int set_up(void **state) {
  char path[300];
  (void)state;
  if (make_home_with("x", path) != 0 || apr_pool_create(&conf_pool, NULL) != APR_SUCCESS) return -1;
  put_in_home("secrets", RING_LINE, 0600);
  put_in_home("policy", "{\"default\":\"token\"}", 0644);
  mod_subtoken_files_begin(conf_pool);
  secrets = mod_subtoken_files_add_secrets(conf_pool, in_home("secrets"), false);
  policy = mod_subtoken_files_add_policy(conf_pool, in_home("policy"));
  mod_subtoken_feed wanted = {.path = apr_pstrdup(conf_pool, in_home("revoked")),
                              .secrets = secrets,
                              .leeway = 60,
                              .max_age = 300};
  feed = mod_subtoken_files_add_feed(conf_pool, &wanted);
  said_count = 0;
  return 0;
}

/* What a process does not give back, because it ends. */
static void end_process(void) {
  apr_pool_destroy(child_pool);
  free(policy->memory);
  policy->memory = NULL;
  policy->policy = NULL;
  if (secrets->ring != NULL) (void)munmap(secrets->ring, sizeof *secrets->ring);
  secrets->ring = NULL;
  secrets->file.tried = policy->file.tried = false;
  feed->started = files_ending = false;
}

/* Without the thread: a test polls. */
static void start_process(void) {
  assert_int_equal(apr_pool_create(&child_pool, NULL), APR_SUCCESS);
  failing_begin(FAIL_THREADS, 1);
  mod_subtoken_files_start(child_pool, NULL, 65536);
  assert_true(failing_end() && !files_running);
}

static int tear_down(void **state) {
  apr_pool_destroy(conf_pool);
  return remove_home(state);
}

/* ---- the tests ---- */

static void what_is_named_twice_is_read_once(void **state) {
  (void)state;
  assert_ptr_equal(mod_subtoken_files_add_secrets(conf_pool, in_home("secrets"), false), secrets);
  assert_ptr_not_equal(mod_subtoken_files_add_secrets(conf_pool, in_home("secrets"), true),
                       secrets);
  assert_ptr_equal(mod_subtoken_files_add_policy(conf_pool, in_home("policy")), policy);
  assert_ptr_not_equal(mod_subtoken_files_add_policy(conf_pool, in_home("other")), policy);
  mod_subtoken_feed wanted = *feed;
  assert_ptr_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
  wanted.leeway = 30;
  assert_ptr_not_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
  wanted = *feed, wanted.max_age = 30;
  assert_ptr_not_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
  wanted = *feed, wanted.allow_old = true;
  assert_ptr_not_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
  wanted = *feed, wanted.secrets = NULL;
  assert_ptr_not_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
  wanted = *feed, wanted.path = "/elsewhere";
  assert_ptr_not_equal(mod_subtoken_files_add_feed(conf_pool, &wanted), feed);
}

static bool checks(const char *words) {
  said[0] = '\0';
  bool good = mod_subtoken_files_check(NULL);
  if (words != NULL) CHECK(!good && strstr(said, words) != NULL, "%s", said);
  return good;
}

static void a_start_says_what_is_wrong(void **state) {
  (void)state;
  static char large[FILES_SECRETS_MAX + 2], path[SUBTOKEN_FEED_PATH_MAX + 2];
  memset(large, '#', sizeof large - 1);
  memset(path, '/', sizeof path - 1);
  assert_true(checks(NULL));
  put_in_home("secrets", RING_LINE, 0604);
  (void)checks("open to others");
  put_in_home("secrets", RING_LINE, 0660);
  (void)checks("written by its group");
  secrets->file.trusted_group = true;
  assert_true(checks(NULL));
  put_in_home("secrets", large, 0600);
  (void)checks("longer than");
  put_in_home("secrets", "", 0600);
  (void)checks("secrets");
  put_in_home("secrets", "two:short\n", 0600);
  (void)checks("line 1");
  put_in_home("secrets", RING_LINE, 0600);
  put_in_home("policy", "{\n7", 0600);
  (void)checks("line 2");
  assert_int_equal(unlink(in_home("policy")), 0);
  (void)checks("cannot read");
  assert_int_equal(mkdir(in_home("policy"), 0700), 0);
  (void)checks("not a regular file");
  assert_int_equal(rmdir(in_home("policy")), 0);
  put_in_home("policy", "{\"default\":\"token\"}", 0644);
  const char *before = feed->path;
  feed->path = path;
  (void)checks("out of range");
  feed->path = before;
  struct stat other = {.st_uid = 12345, .st_mode = S_IFREG | 0600};
  if (geteuid() != 0) return;
  assert_int_equal(seteuid(54321), 0);
  bool good = file_check_secret(&secrets->file, &other, said);
  other.st_mode |= S_IRGRP;
  bool of_group = file_check_secret(&secrets->file, &other, said);
  assert_int_equal(seteuid(0), 0);
  assert_true(!good && of_group);
}

static void each_call_of_a_start_may_fail(void **state) {
  (void)state;
  char short_of[600];
  FAILING_EACH(FAIL_MEMORY | FAIL_FILES, 1, bool good = mod_subtoken_files_check(NULL),
               CHECK(good != failed, "call %ld", nth));
  FAILING_EACH(FAIL_SIGNALS, 1, bool good = mod_subtoken_files_check(NULL),
               CHECK(good || strstr(said, "cannot read") != NULL, "call %ld: %s", nth, said));
  /* A file that shrinks while it is read. */
  snprintf(short_of, sizeof short_of, "%s", in_home("policy"));
  int fd = open(short_of, O_RDONLY);
  char text[64];
  assert_false(mod_subtoken_file_read(&policy->file, fd, text, sizeof text, said));
  assert_non_null(strstr(said, "cut short"));
  close(fd);
}

static void a_process_serves_with_what_it_could_read(void **state) {
  (void)state;
  FAILING_EACH(
      FAIL_MEMORY | FAIL_FILES | FAIL_THREADS, 1,
      {
        assert_int_equal(apr_pool_create(&child_pool, NULL), APR_SUCCESS);
        mod_subtoken_files_start(child_pool, NULL, 65536);
      },
      {
        mod_subtoken_files_lock();
        CHECK(failed || (secrets->ring->count == 1 && policy->policy != NULL), "%ld", nth);
        mod_subtoken_files_unlock();
        end_process();
      });
  threads = -1;
  mod_subtoken_files_begin(conf_pool); /* a configuration that names no file */
  assert_int_equal(apr_pool_create(&child_pool, NULL), APR_SUCCESS);
  mod_subtoken_files_start(child_pool, NULL, 0);
  assert_null(mod_subtoken_caches_take());
  apr_pool_destroy(child_pool);
  threads = 4;
}

static void changes_are_taken_up_or_told_once(void **state) {
  (void)state;
  start_process();
  assert_true(files_has_ring(secrets) && policy->policy != NULL);
  size_t before = said_count;
  put_in_home("secrets", "two:short\n", 0600);
  for (int i = 0; i < 3; i++) files_poll_secrets(secrets);
  assert_true(said_count == before + 1 && strstr(said, "stays in use") != NULL);
  assert_int_equal(unlink(in_home("secrets")), 0);
  for (int i = 0; i < 3; i++) files_poll_secrets(secrets);
  assert_int_equal(said_count, before + 2);
  assert_int_equal(unlink(in_home("policy")), 0);
  for (int i = 0; i < 3; i++) files_poll_policy(policy);
  assert_true(said_count == before + 3 && policy->policy != NULL);
  put_in_home("policy", "{}", 0644);
  for (int i = 0; i < 3; i++) files_poll_policy(policy);
  assert_int_equal(said_count, before + 4);
  put_in_home("secrets", RING_LINE, 0600);
  put_in_home("policy", "{\"default\":\"deny\"}", 0644);
  files_poll_secrets(secrets);
  files_poll_policy(policy);
  assert_int_equal(said_count, before + 4);
  for (int i = 0; i < 3; i++) assert_false(files_poll_feed(feed));
  assert_true(said_count >= before + 4);
  end_process();
}

static void without_a_ring_nothing_is_read_under_it(void **state) {
  (void)state;
  put_in_home("secrets", "two:short\n", 0600);
  put_in_home("policy", "{}", 0644);
  start_process();
  assert_true(!files_has_ring(secrets) && policy->policy == NULL);
  assert_false(files_poll_feed(feed));
  assert_non_null(strstr(said, "cannot start a thread"));
  feed->path = "";
  assert_true(!files_start_feed(feed, &feed->file));
  end_process();
  assert_false(files_has_ring(secrets));
  files_poll_secrets(secrets); /* pages for it, when there were none, are asked for again */
  assert_true(secrets->ring != NULL && !files_has_ring(secrets));
}

/* ---- revocation data ---- */

static void put_bytes(const char *name, const void *bytes, size_t len) {
  char fresh[600];
  snprintf(fresh, sizeof fresh, "%s.new", in_home(name));
  int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
  close(fd);
  assert_int_equal(rename(fresh, in_home(name)), 0);
}

/* FILE and its heartbeat, as `subtoken feed pull` leaves them. */
static void put_feed(int64_t sequence, int64_t made, int64_t issued) {
  subtoken_ring ring;
  subtoken_revocations_header header = {sequence, made, {7}};
  uint64_t hashes[3] = {1, 2, 3};
  uint8_t snapshot[4096], alive[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_heartbeat heartbeat = {.sequence = sequence, .time = issued};
  size_t len = subtoken_revocations_size(3);
  ring_with(&ring, "two", TEST_SECRET);
  assert_true(len <= sizeof snapshot);
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, hashes, 3, snapshot, len, heartbeat.digest),
      SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_write(&ring, &heartbeat, alive), SUBTOKEN_FEED_OK);
  put_bytes("revoked", snapshot, len);
  put_bytes("revoked.alive", alive, sizeof alive);
}

static void poll_until_done(void) {
  for (int i = 0; i < 1000 && files_poll_feed(feed); i++) continue;
}

/* Each thing that happens to it is told once, and its end, too. */
static void what_happens_to_revocation_data_is_told(void **state) {
  (void)state;
  int64_t now = (int64_t)time(NULL);
  put_feed(10, now, now - 1000);
  start_process();
  assert_int_equal(feed->age_logged, SUBTOKEN_FEED_OLD);
  size_t told = said_count;
  poll_until_done();
  assert_int_equal(said_count, told);
  put_feed(11, now, now);
  poll_until_done();
  assert_non_null(strstr(said, "fresh again"));
  put_bytes("revoked", "junk", 4);
  poll_until_done();
  assert_non_null(strstr(said, "revoked"));
  told = said_count;
  poll_until_done();
  assert_int_equal(said_count, told);
  assert_string_equal(files_feed_event(SUBTOKEN_FEED_OK), "feed_bad"); /* has no word of its own */
  put_feed(12, now, now);
  poll_until_done();
  assert_non_null(strstr(said, "loaded"));
  end_process();
  said[0] = '\0';
  start_process();
  assert_int_equal(feed->age_logged, SUBTOKEN_FEED_OK); /* good from the start: not told */
  assert_null(strstr(said, "fresh"));
  end_process();
}

/* ---- the thread ---- */

static void wait_until(bool (*is)(void)) {
  for (int i = 0; i < 60000 && !is(); i++) usleep(1000);
  assert_true(is());
}

static const subtoken_policy *before_change;

static bool has_another_policy(void) {
  mod_subtoken_files_lock();
  bool is = policy->policy != NULL && policy->policy != before_change;
  mod_subtoken_files_unlock();
  return is;
}

static bool has_two_secrets(void) {
  mod_subtoken_files_lock();
  bool is = secrets->ring != NULL && secrets->ring->count == 2;
  mod_subtoken_files_unlock();
  return is;
}

static void the_thread_takes_up_what_changes(void **state) {
  (void)state;
  int64_t now = (int64_t)time(NULL);
  put_feed(10, now, now);
  assert_int_equal(apr_pool_create(&child_pool, NULL), APR_SUCCESS);
  mod_subtoken_files_start(child_pool, NULL, 65536);
  assert_true(files_running);
  before_change = policy->policy;
  put_in_home("policy", "{\"default\":\"deny\"}", 0644);
  put_in_home("secrets", RING_LINE "three:c3VidG9rZW4tdW5pdC10ZXN0cy1zZWNyZXQtMDAwMj8\n", 0600);
  wait_until(has_another_policy);
  wait_until(has_two_secrets);
  end_process();
  assert_false(files_running);
}

/* A process that could not start it tries again once a second, by its requests. */
static void a_thread_that_could_not_start_is_started_by_a_request(void **state) {
  (void)state;
  start_process();
  assert_true(files_wanted);
  atomic_store(&files_tried_at, 0);
  failing_begin(FAIL_THREADS, 1);
  mod_subtoken_files_lock();
  mod_subtoken_files_unlock();
  assert_true(failing_end() && !files_running);
  atomic_store(&files_tried_at, 0);
  mod_subtoken_files_lock();
  mod_subtoken_files_unlock();
  assert_true(files_running);
  assert_non_null(strstr(said, "read again"));
  end_process();
  atomic_store(&files_tried_at, 0);
  files_ending = true; /* a process that ends starts none */
  mod_subtoken_files_lock();
  mod_subtoken_files_unlock();
  assert_false(files_running);
  files_ending = false;
}

static void caches_are_taken_and_given_back(void **state) {
  (void)state;
  subtoken_cache *taken[3];
  assert_int_equal(apr_pool_create(&child_pool, NULL), APR_SUCCESS);
  mod_subtoken_caches_begin(child_pool, 2, 16385);
  for (int i = 0; i < 3; i++) assert_non_null(taken[i] = mod_subtoken_caches_take());
  for (int i = 0; i < 3; i++) mod_subtoken_caches_give(taken[i]);
  mod_subtoken_caches_give(NULL);
  assert_int_equal(caches_count, 2); /* one was too many */
  assert_ptr_equal(mod_subtoken_caches_take(), taken[1]);
  mod_subtoken_caches_give(taken[1]);
  mod_subtoken_caches_end();
  subtoken_cache *made = NULL;
  FAILING_EACH(FAIL_MEMORY, 1, made = mod_subtoken_caches_take(),
               assert_int_equal(made == NULL, failed));
  mod_subtoken_caches_give(made); /* nobody keeps it any more */
  mod_subtoken_caches_begin(child_pool, 2, 1);
  assert_null(mod_subtoken_caches_take()); /* smaller than a cache can be */
  apr_pool_destroy(child_pool);
}

static int begin(void **state) {
  (void)state;
  return apr_initialize();
}

static int end(void **state) {
  (void)state;
  apr_terminate();
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(what_is_named_twice_is_read_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_start_says_what_is_wrong, set_up, tear_down),
      cmocka_unit_test_setup_teardown(each_call_of_a_start_may_fail, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_process_serves_with_what_it_could_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(changes_are_taken_up_or_told_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_a_ring_nothing_is_read_under_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_happens_to_revocation_data_is_told, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_thread_takes_up_what_changes, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_thread_that_could_not_start_is_started_by_a_request, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(caches_are_taken_and_given_back, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("apache", tests, begin, end);
}
