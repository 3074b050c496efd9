/* The decision of the module for Apache httpd (src/edge/apache/decide.c), without httpd: that what
 * changes with the files is read while they hold still. tests/e2e/test_verdicts.py has a real httpd
 * and all that it decides.
 */
#include "support.h"

#include <apr_general.h>
#include <apr_pools.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "edge/apache/decide.c"
#pragma GCC diagnostic pop

module AP_MODULE_DECLARE_DATA SUBTOKEN_EXPORT subtoken_module;

/* ---- the files: their ring is there under the lock alone ---- */

static subtoken_ring ring, kept;
static bool held;

void mod_subtoken_files_lock(void) {
  assert_false(held);
  held = true;
  ring = kept;
}

void mod_subtoken_files_unlock(void) {
  assert_true(held);
  held = false;
  memset(&ring, 0, sizeof ring);
}

int64_t mod_subtoken_files_monotonic(void) {
  return 1;
}

subtoken_cache *mod_subtoken_caches_take(void) {
  return NULL;
}

void mod_subtoken_caches_give(subtoken_cache *cache) {
  assert_null(cache);
}

/* ---- httpd ---- */

static const char *key; /* the caller's */
static int logged;

size_t mod_subtoken_request_values(request_rec *r, const char *name, subtoken_text *values,
                                   size_t max) {
  assert_true(r != NULL && max > 0);
  if (strcmp(name, "X-API-Key") != 0) return 0;
  values[0] = mod_subtoken_text(key);
  return 1;
}

void ap_log_rerror_(const char *file, int line, int index, int level, apr_status_t status,
                    const request_rec *r, const char *format, ...) {
  (void)file, (void)line, (void)index, (void)level, (void)status, (void)r, (void)format;
  logged++;
}

int ap_satisfies(request_rec *r) {
  (void)r;
  return SATISFY_ANY; /* a refusal is a status alone */
}

int ap_discard_request_body(request_rec *r) {
  (void)r;
  return OK;
}

void ap_set_content_type(request_rec *r, const char *type) {
  (void)r, (void)type;
}

void ap_set_content_length(request_rec *r, apr_off_t length) {
  (void)r, (void)length;
}

int ap_rwrite(const void *bytes, int count, request_rec *r) {
  (void)bytes, (void)r;
  return count;
}

int ap_cstr_casecmp(const char *a, const char *b) {
  return strcasecmp(a, b);
}

/* ---- the server: it knows one key, at an edge for one audience ---- */

#define SUB "wbThuWM4a11GnfZXI7ZkJGrNvIUOQhLz6GMzNxOSP-k"

static char asked_for[SUBTOKEN_AUD_MAX + 1];

void mod_subtoken_fallback_ask(request_rec *r, mod_subtoken_ctx *ctx, const char *location,
                               const subtoken_edge_header *question, size_t count,
                               subtoken_edge_answer *answer) {
  assert_true(r != NULL && ctx != NULL && !held); /* nobody waits for the server */
  assert_string_equal(location, "/ask");
  subtoken_text nonce = {NULL, 0};
  for (size_t i = 0; i < count; i++) {
    subtoken_text value = question[i].value;
    if (st_text_is(question[i].name, "X-Subtoken-Nonce")) nonce = value;
    if (!st_text_is(question[i].name, "X-Subtoken-Audience")) continue;
    assert_true(value.len < sizeof asked_for);
    memcpy(asked_for, value.data, value.len);
    asked_for[value.len] = '\0';
  }
  answer->status = 200;
  answer->nonce = mod_subtoken_text(apr_pstrmemdup(r->pool, nonce.data, nonce.len));
  answer->sub = mod_subtoken_text(SUB);
}

/* ---- the tests ---- */

static apr_pool_t *pool;

static int set_up(void **state) {
  (void)state;
  memset(&ring, 0, sizeof ring);
  memset(&kept, 0, sizeof kept);
  held = false;
  asked_for[0] = '\0';
  logged = 0;
  return apr_pool_create(&pool, NULL) == APR_SUCCESS ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  apr_pool_destroy(pool);
  return 0;
}

static int decide_with(const char *revocations, const char *audience) {
  mod_subtoken_secrets secrets = {.ring = &ring};
  mod_subtoken_server_conf server = {.secrets = &secrets,
                                     .revocations = revocations,
                                     .audience = audience,
                                     .leeway = -1,
                                     .max_life = -1};
  mod_subtoken_dir_conf conf = {.fallback = "/ask"};
  mod_subtoken_ctx ctx = {.target = "/v2/account"};
  struct ap_logconf log = {.level = APLOG_INFO};
  request_rec r = {.pool = pool, .method = "GET", .log = &log};
  r.headers_in = apr_table_make(pool, 4);
  r.headers_out = apr_table_make(pool, 4);
  r.err_headers_out = apr_table_make(pool, 4);
  r.subprocess_env = apr_table_make(pool, 4);
  int status = mod_subtoken_decide(&r, &ctx, &server, &conf);
  const char *sub = apr_table_get(r.headers_in, "X-Subtoken-Sub");
  assert_true(status == OK ? sub != NULL && strcmp(sub, SUB) == 0 : sub == NULL);
  return status;
}

static int decide(const char *audience) {
  return decide_with("", audience);
}

/* Only off says that it need not be known what is revoked. */
static void without_revocation_data_nobody_passes(void **state) {
  (void)state;
  key = "0123456789ABCDEF";
  ring_with(&kept, "two", TEST_SECRET);
  assert_int_equal(decide_with(NULL, NULL), HTTP_SERVICE_UNAVAILABLE);
  assert_int_equal(decide_with("", NULL), OK);
}

/* Another thread may put another ring in its place at any moment. */
static void the_ring_is_read_under_the_lock_alone(void **state) {
  (void)state;
  subtoken_ring plain;
  key = "0123456789ABCDEF";
  ring_with(&plain, "two", TEST_SECRET);
  assert_int_equal(subtoken_ring_derive(&plain, (subtoken_text)SUBTOKEN_TEXT("eu"), &kept),
                   SUBTOKEN_OK);
  assert_int_equal(decide(NULL), OK);
  assert_string_equal(asked_for, "eu");
  kept = plain;
  assert_int_equal(decide(NULL), OK);
  assert_string_equal(asked_for, "");
  assert_int_equal(decide("us"), OK);
  assert_string_equal(asked_for, "us");
}

static void without_a_ring_nobody_is_asked(void **state) {
  (void)state;
  key = "0123456789ABCDEF";
  assert_int_equal(decide("us"), 503);
  assert_true(logged == 1 && asked_for[0] == '\0');
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
      cmocka_unit_test_setup_teardown(the_ring_is_read_under_the_lock_alone, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_a_ring_nobody_is_asked, set_up, tear_down),
      cmocka_unit_test_setup_teardown(without_revocation_data_nobody_passes, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("apache_decide", tests, begin, end);
}
