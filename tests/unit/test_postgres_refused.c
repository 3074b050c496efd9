/* A change that PostgreSQL refuses, by the SQLSTATE that it says: what passes is made again from
 * its beginning, what does not is told at once, and nothing of it is there. A trigger refuses as
 * often as a test wants.
 */
#include "store_contract.h"

static void run(const char *sql) {
  if (run_in_postgres(location, sql) != 0) fail_msg("%s", sql);
}

/* Of what is inserted into the keys the first `times` rows. */
static void refuse(const char *state, int times) {
  char sql[1000];
  snprintf(sql, sizeof sql,
           "SET client_min_messages = error; SET search_path = subtoken;"
           "DROP TRIGGER IF EXISTS refuse ON keys; DROP SEQUENCE IF EXISTS refusals;"
           "CREATE SEQUENCE refusals;"
           "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
           "  IF nextval('subtoken.refusals') <= %d THEN"
           "    RAISE EXCEPTION 'refused here' USING ERRCODE = '%s';"
           "  END IF; RETURN NEW; END $$;"
           "CREATE TRIGGER refuse BEFORE INSERT ON keys FOR EACH ROW EXECUTE FUNCTION refuse()",
           times, state);
  run(sql);
}

static st_store_status make(unsigned n, int64_t wait_us) {
  st_key key = row_of(n, "ann", "a");
  st_audit_context context = *CONTEXT;
  context.until_us = st_clock_monotonic_us() + wait_us;
  error[0] = '\0';
  return st_store_key_create(store, &context, NULL, &key, digest_of(n), error);
}

static void what_passes_is_made_again(void **state) {
  (void)state;
  static const char *const states[] = {"40001", "40P01", "25P03", "25006",
                                       "57P01", "57P02", "57P03"};
  for (unsigned i = 0; i < sizeof states / sizeof *states; i++) {
    refuse(states[i], 2);
    st_store_status status = make(i + 1, 60 * US);
    if (status != ST_STORE_OK) fail_msg("%s: %d, %s", states[i], (int)status, error);
    int64_t all = lines();
    assert_int_equal(all, i + 1); /* once */
    assert_true(alive(i + 1));
  }
}

static void what_does_not_pass_is_told_at_once(void **state) {
  (void)state;
  static const struct {
    const char *state;
    st_store_status status;
  } refusals[] = {
      {"23514", ST_STORE_FAILED}, {"22001", ST_STORE_FAILED}, {"53100", ST_STORE_FAILED},
      {"42501", ST_STORE_FAILED}, {"23505", ST_STORE_EXISTS},
  };
  for (unsigned i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    refuse(refusals[i].state, 1);
    st_store_status status = make(i + 1, 60 * US);
    if (status != refusals[i].status) fail_msg("%s: %d, %s", refusals[i].state, (int)status, error);
    if (status == ST_STORE_FAILED) assert_non_null(strstr(error, "refused here"));
    assert_int_equal(lines(), i);
    assert_ok(make(i + 1, 60 * US)); /* and the same connection goes on */
  }
}

static void what_never_passes_ends_with_the_time(void **state) {
  (void)state;
  static const char *const states[] = {"40001", "40P01", "57P01"};
  for (unsigned i = 0; i < sizeof states / sizeof *states; i++) {
    refuse(states[i], 1000000);
    st_store_status status = make(i + 1, 300000);
    if (status != ST_STORE_BUSY && status != ST_STORE_FAILED) {
      fail_msg("%s: %d, %s", states[i], (int)status, error);
    }
    assert_string_not_equal(error, "");
    assert_int_equal(lines(), i);
    refuse(states[i], 0);
    assert_ok(make(i + 1, 60 * US));
  }
}

/* Without the key by which subs are hashed nothing is made that could never be listed. */
static void without_a_hash_key_nothing_is_made(void **state) {
  (void)state;
  run("CREATE TABLE subtoken.kept AS SELECT * FROM subtoken.settings WHERE name = 'hash_key_0'");
  run("DELETE FROM subtoken.settings WHERE name = 'hash_key_0'");
  assert_int_equal(make(1, 60 * US), ST_STORE_FAILED);
  assert_non_null(strstr(error, "hash key"));
  run("INSERT INTO subtoken.settings SELECT * FROM subtoken.kept");
  run("DROP TABLE subtoken.kept");
  assert_int_equal(lines(), 0);
  assert_ok(make(1, 60 * US));
  assert_true(alive(1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_passes_is_made_again),
      TEST(what_does_not_pass_is_told_at_once),
      TEST(what_never_passes_ends_with_the_time),
      TEST(without_a_hash_key_nothing_is_made),
  };
  return RUN_ON_POSTGRES(tests);
}
