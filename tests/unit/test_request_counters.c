/* request_counters: what threads count is summed, and nothing is lost when they end. */
#include "support.h"

#include <pthread.h>

#include "server/request_counters.h"
#include "service/router.h"

static char *text; /* what is told now */

static void read_all(void) {
  st_exposition e = {.open_metrics = true};
  free(text);
  st_request_counters_write(&e);
  st_exposition_begin(&e, ""); /* a NUL behind it all */
  st_exposition_int(&e, 0);
  assert_true(st_exposition_end(&e));
  text = e.text;
  text[e.len - 1] = '\0';
}

/* The value of a sample; -1: it is not told. */
static long value_of(const char *sample) {
  const char *at = strstr(text, sample);
  return at != NULL ? strtol(at + strlen(sample), NULL, 10) : -1;
}

static size_t place_of(const char *path) {
  for (size_t i = 1; i <= st_router_count(); i++) {
    if (strcmp(st_router_route(i).path, path) == 0) return i;
  }
  fail_msg("no route %s", path);
  return 0;
}

static void count(const char *path, const char *method, int status, const char *event, int64_t us) {
  st_request request = {.method = st_text(method)};
  static _Thread_local st_reply reply;
  reply.status = status;
  reply.route = path != NULL ? place_of(path) : 0;
  reply.event.name = event;
  st_request_counters_add(&request, &reply, us);
}

#define THREADS 8
#define EACH 1000

static void *count_many(void *unused) {
  (void)unused;
  for (int i = 0; i < EACH; i++) count("/v2/tokeninfo", "GET", 200, NULL, 60);
  st_request_counters_thread_end();
  return NULL;
}

static void threads_are_summed(void **state) {
  (void)state;
  for (int round = 1; round <= 2; round++) {
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
      assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    }
    read_all(); /* while they count */
    for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    read_all();
    long all = (long)round * THREADS * EACH;
#define INFO "route=\"/v2/tokeninfo\""
#define TIME "subtoken_http_request_duration_seconds_"
    assert_int_equal(
        value_of("subtoken_http_requests_total{" INFO ",method=\"GET\",code=\"200\"} "), all);
    assert_int_equal(value_of(TIME "bucket{" INFO ",le=\"0.00005\"} "), 0);
    assert_int_equal(value_of(TIME "bucket{" INFO ",le=\"0.0001\"} "), all);
    assert_int_equal(value_of(TIME "bucket{" INFO ",le=\"+Inf\"} "), all);
    assert_int_equal(value_of(TIME "count{" INFO "} "), all);
  }
}

static void what_is_not_known_is_other(void **state) {
  (void)state;
  count(NULL, "BREW", 404, "not_found", -5);
  count(NULL, "", 418, NULL, INT64_C(3600000000));
  read_all();
  assert_int_equal(
      value_of("subtoken_http_requests_total{route=\"other\",method=\"other\",code=\"404\"} "), 1);
  assert_int_equal(
      value_of("subtoken_http_requests_total{route=\"other\",method=\"other\",code=\"other\"} "),
      1);
  assert_int_equal(value_of(TIME "bucket{route=\"other\",le=\"10.0\"} "), 1);
  assert_int_equal(value_of(TIME "bucket{route=\"other\",le=\"+Inf\"} "), 2);
  assert_int_equal(value_of(TIME "sum{route=\"other\"} "), 3600);
  assert_int_equal(value_of("subtoken_http_refusals_total{reason=\"not_found\"} "), 1);
  assert_int_equal(value_of("subtoken_http_refusals_total{reason=\"other\"} "), 1);
}

static void a_bound_belongs_to_its_bucket(void **state) {
  (void)state;
  count("/healthz", "GET", 200, NULL, 50);
  count("/healthz", "GET", 200, NULL, 51);
  count("/healthz", "HEAD", 200, NULL, 10000000);
  read_all();
  assert_int_equal(value_of(TIME "bucket{route=\"/healthz\",le=\"0.00005\"} "), 1);
  assert_int_equal(value_of(TIME "bucket{route=\"/healthz\",le=\"0.0001\"} "), 2);
  assert_int_equal(value_of(TIME "bucket{route=\"/healthz\",le=\"5.0\"} "), 2);
  assert_int_equal(value_of(TIME "bucket{route=\"/healthz\",le=\"10.0\"} "), 3);
}

static void a_token_is_counted_where_one_is_made(void **state) {
  (void)state;
  read_all();
  assert_int_equal(value_of("subtoken_tokens_issued_total "), 0);
  count("/v2/createsubtoken", "GET", 200, NULL, 1);
  count("/v2/createsubtoken", "POST", 200, NULL, 1);
  count("/v2/createsubtoken", "GET", 403, "url", 1);
  count("/v2/createsubtoken", "OPTIONS", 204, NULL, 1);
  count("/v2/tokeninfo", "GET", 200, NULL, 1);
  count("/oauth/token", "POST", 200, NULL, 1);
  read_all();
  assert_int_equal(value_of("subtoken_tokens_issued_total "), 3);
}

static void a_notice_is_no_refusal(void **state) {
  (void)state;
  count("/v2/authorize/", "GET", 200, "clock_skew", 1);
  count("/v2/authorize", "GET", 200, NULL, 1);
  count("/v2/authorize", "GET", 401, "expired", 1);
  read_all();
  assert_int_equal(value_of("subtoken_http_notices_total{reason=\"clock_skew\"} "), 1);
  assert_int_equal(value_of("subtoken_http_refusals_total{reason=\"clock_skew\"} "), -1);
  assert_int_equal(value_of("subtoken_decisions_total{reason=\"ok\"} "), 2);
  assert_int_equal(value_of("subtoken_decisions_total{reason=\"expired\"} "), 1);
  assert_int_equal(value_of("subtoken_http_refusals_total{reason=\"expired\"} "), 1);
  assert_int_equal(value_of("subtoken_http_requests_total{route=\"/v2/authorize/*\",method=\"GET\","
                            "code=\"200\"} "),
                   1);
}

/* More reasons than there is room for are one. */
static void there_is_no_end_of_reasons(void **state) {
  (void)state;
  static char names[200][16];
  read_all();
  long before = value_of("subtoken_http_refusals_total{reason=\"other\"} ");
  for (size_t i = 0; i < COUNT(names); i++) {
    snprintf(names[i], sizeof names[i], "reason%zu", i);
    count(NULL, "GET", 400, names[i], 1);
  }
  read_all();
  assert_int_equal(value_of("subtoken_http_refusals_total{reason=\"reason0\"} "), 1);
  assert_true(value_of("subtoken_http_refusals_total{reason=\"other\"} ") > before + 100);
}

static int forget(void **state) {
  (void)state;
  free(text);
  text = NULL;
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_are_summed),
      cmocka_unit_test(what_is_not_known_is_other),
      cmocka_unit_test(a_bound_belongs_to_its_bucket),
      cmocka_unit_test(a_token_is_counted_where_one_is_made),
      cmocka_unit_test(a_notice_is_no_refusal),
      cmocka_unit_test(there_is_no_end_of_reasons),
  };
  return cmocka_run_group_tests_name("request_counters", tests, NULL, forget);
}
