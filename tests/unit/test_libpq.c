/* libpq: it is loaded when a store on PostgreSQL is opened, once; what is missing is said, and is
 * no matter any more when it is there.
 */
#include "failing.h"

#include <pthread.h>

#include "domain/store.h"
#include "store/postgres/libpq.h"
#include "store/postgres/open.h"
#include "support.h"

static char error[ST_ERROR_MAX];

static bool load(void) {
  error[0] = '\0';
  return st_postgres_load_library(error);
}

/* The first test, because what is loaded stays. */
static void no_store_opens_without_it(void **state) {
  (void)state;
  st_store *store = (st_store *)&error;
  const st_store_options options = {0};
  failing_begin(FAIL_LIBRARY, 1);
  st_store_status status =
      st_postgres_open("postgresql://127.0.0.1:1/x", false, &options, &store, error);
  assert_true(failing_end());
  assert_int_equal(status, ST_STORE_FAILED);
  assert_null(store);
  assert_non_null(strstr(error, "a store on PostgreSQL needs libpq.so.5"));
}

static void what_is_missing_is_said_and_the_next_try_is_free(void **state) {
  (void)state;
  bool loaded = false;
  long functions = -1; /* and the library */
  FAILING_EACH(FAIL_LIBRARY, 1, loaded = load(), {
    CHECK(loaded == !failed, "call %ld: %s", nth, error);
    CHECK(!failed || strstr(error, "libpq.so.5") != NULL, "call %ld: %s", nth, error);
    CHECK(!failed || strstr(error, "Debian: libpq5") != NULL, "call %ld: %s", nth, error);
    if (failed && nth == 1) CHECK(strstr(error, "cannot be loaded") != NULL, "%s", error);
    if (failed && nth == 2) {
      CHECK(strstr(error, "PostgreSQL 14 or newer") != NULL &&
                strstr(error, "has no PQenterPipelineMode") != NULL,
            "%s", error);
    }
    functions++;
  });
  assert_true(loaded);
  assert_true(functions > 30);
}

static void it_is_loaded_once(void **state) {
  (void)state;
  assert_true(load());
  failing_begin(FAIL_LIBRARY, 1);
  bool loaded = load();
  assert_false(failing_end()); /* nothing was asked for */
  assert_true(loaded);
  assert_string_equal(error, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_store_opens_without_it),
      cmocka_unit_test(what_is_missing_is_said_and_the_next_try_is_free),
      cmocka_unit_test(it_is_loaded_once),
  };
  return cmocka_run_group_tests_name("libpq", tests, NULL, NULL);
}
