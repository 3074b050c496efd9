/* What a store passes on to the implementation that it was opened with: each call to its own
 * function, with what came, and its answer back.
 */
#include "domain/store.h"
#include "store/db.h"

#include "run_tests.h"

#include <stdio.h>
#include <string.h>

static const char *called;
static const void *with[4]; /* the arguments, as far as they are addresses */
static int64_t number;
static st_store_status answer;
static char error[ST_ERROR_MAX];
static st_store store;

static st_store_status note(const char *name, const st_store *of, const void *first,
                            const void *second, const void *third) {
  called = name;
  with[0] = of;
  with[1] = first;
  with[2] = second;
  with[3] = third;
  return answer;
}

static void fake_close(st_store *of) {
  (void)note("close", of, NULL, NULL, NULL);
}

static st_store_status fake_by_digest(st_store *of, const uint8_t digest[32], st_key *key,
                                      char *problem) {
  return note("by_digest", of, digest, key, problem);
}

static st_store_status fake_by_sub(st_store *of, subtoken_text sub, st_key *key, char *problem) {
  return note("by_sub", of, sub.data, key, problem);
}

static st_store_status fake_tokens_revoked(st_store *of, const subtoken_text *tids, size_t count,
                                           bool *revoked, char *problem) {
  number = (int64_t)count;
  return note("tokens_revoked", of, tids, revoked, problem);
}

static bool fake_ready(st_store *of, char *problem) {
  return note("ready", of, problem, NULL, NULL) == ST_STORE_OK;
}

static void fake_interrupt(st_store *of) {
  (void)note("interrupt", of, NULL, NULL, NULL);
}

static st_store_status fake_issued_sequence(st_store *of, int64_t sequence, char *problem) {
  number = sequence;
  return note("issued_sequence", of, problem, NULL, NULL);
}

static st_store_status fake_state(st_store *of, st_revocation_state *state, char *problem) {
  return note("state", of, state, problem, NULL);
}

static st_store_status fake_data(st_store *of, st_revocation_data *data, char *problem) {
  return note("data", of, data, problem, NULL);
}

static st_store_status fake_changes(st_store *of, int64_t since, st_revocation_state *state,
                                    st_revocation_change **changes, uint32_t *count,
                                    char *problem) {
  number = since;
  assert_ptr_equal(problem, error);
  return note("changes", of, state, changes, count);
}

static void fake_wait(st_store *of, int64_t sequence, int64_t until_us) {
  number = sequence * 1000 + until_us;
  (void)note("wait", of, NULL, NULL, NULL);
}

static uint64_t fake_epoch(st_store *of) {
  (void)note("epoch", of, NULL, NULL, NULL);
  return 4711;
}

static st_store_status fake_describe(st_store *of, st_store_description *description,
                                     char *problem) {
  st_store_description zero;
  memset(&zero, 0, sizeof zero);
  assert_memory_equal(description, &zero, sizeof zero);
  memset(description, 'x', sizeof *description);
  return note("describe", of, description, problem, NULL);
}

static st_store_status fake_backup(st_store *of, const char *path, const volatile int *stop,
                                   char *problem) {
  return note("backup", of, path, (const void *)(uintptr_t)stop, problem);
}

static const st_driver driver = {.close = fake_close,
                                 .by_digest = fake_by_digest,
                                 .by_sub = fake_by_sub,
                                 .tokens_revoked = fake_tokens_revoked,
                                 .ready = fake_ready,
                                 .interrupt = fake_interrupt,
                                 .issued_sequence = fake_issued_sequence,
                                 .revocation_state = fake_state,
                                 .revocation_data = fake_data,
                                 .revocation_changes = fake_changes,
                                 .wait = fake_wait,
                                 .epoch = fake_epoch,
                                 .describe = fake_describe,
                                 .backup = fake_backup};

static void assert_called(const char *name, const void *first, const void *second,
                          const void *third) {
  assert_string_equal(called, name);
  assert_ptr_equal(with[0], &store);
  assert_ptr_equal(with[1], first);
  assert_ptr_equal(with[2], second);
  assert_ptr_equal(with[3], third);
  called = "";
}

static void each_call_is_passed_on(void **state) {
  static const st_store_status answers[] = {ST_STORE_OK, ST_STORE_FAILED, ST_STORE_NOT_FOUND,
                                            ST_STORE_EXISTS};
  (void)state;
  st_key key;
  bool revoked = false;
  uint8_t digest[32] = {0};
  uint32_t count = 0;
  volatile int stop = 0;
  st_revocation_state at;
  st_revocation_data data;
  st_revocation_change *changes = NULL;
  st_store_description description;
  const subtoken_text tids[2] = {ST_TEXT("a"), ST_TEXT("b")};
  static const char sub[ST_SUB_LEN + 1] = "0123456789012345678901234567890123456789012";
  store = (st_store){.driver = &driver};
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    answer = answers[i];
    assert_int_equal(st_store_by_digest(&store, digest, &key, error), answer);
    assert_called("by_digest", digest, &key, error);
    assert_int_equal(st_store_by_sub(&store, st_text(sub), &key, error), answer);
    assert_called("by_sub", sub, &key, error);
    assert_int_equal(st_store_tokens_revoked(&store, tids, 2, &revoked, error), answer);
    assert_called("tokens_revoked", tids, &revoked, error);
    assert_int_equal(number, 2);
    assert_int_equal(st_store_ready(&store, error), answer == ST_STORE_OK);
    assert_called("ready", error, NULL, NULL);
    assert_int_equal(st_store_issued_sequence(&store, 99, error), answer);
    assert_called("issued_sequence", error, NULL, NULL);
    assert_int_equal(number, 99);
    assert_int_equal(st_store_revocation_state(&store, &at, error), answer);
    assert_called("state", &at, error, NULL);
    assert_int_equal(st_store_revocation_data(&store, &data, error), answer);
    assert_called("data", &data, error, NULL);
    assert_int_equal(st_store_revocation_changes(&store, 98, &at, &changes, &count, error), answer);
    assert_called("changes", &at, &changes, &count);
    assert_int_equal(number, 98);
    assert_int_equal(st_store_backup(&store, "a path", &stop, error), answer);
    assert_called("backup", with[1], (const void *)(uintptr_t)&stop, error);
    assert_string_equal(with[1], "a path");
    assert_int_equal(st_store_describe(&store, &description, error), answer);
    assert_called("describe", &description, error, NULL);
    const char *bytes = (const char *)&description; /* zeros again, unless it is one */
    assert_int_equal(bytes[0], answer == ST_STORE_OK ? 'x' : 0);
    assert_int_equal(bytes[sizeof description - 1], answer == ST_STORE_OK ? 'x' : 0);
  }
  st_store_interrupt(&store);
  assert_called("interrupt", NULL, NULL, NULL);
  st_store_wait(&store, 5, 7);
  assert_called("wait", NULL, NULL, NULL);
  assert_int_equal(number, 5007);
  assert_int_equal(st_store_epoch(&store), 4711);
  assert_called("epoch", NULL, NULL, NULL);
  st_store_close(&store);
  assert_called("close", NULL, NULL, NULL);
  st_store_close(NULL);
  assert_string_equal(called, "");
}

/* What has not the length of a sub is none, without a look into the database. */
static void no_sub_is_not_asked_for(void **state) {
  static const char text[ST_SUB_LEN + 2] = "01234567890123456789012345678901234567890123";
  (void)state;
  st_key key, zero;
  const subtoken_text none[] = {
      {NULL, ST_SUB_LEN}, {text, 0}, {text, ST_SUB_LEN - 1}, {text, ST_SUB_LEN + 1}};
  store = (st_store){.driver = &driver};
  memset(&zero, 0, sizeof zero);
  called = "";
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    memset(&key, 'x', sizeof key);
    assert_int_equal(st_store_by_sub(&store, none[i], &key, error), ST_STORE_NOT_FOUND);
    assert_memory_equal(&key, &zero, sizeof key);
  }
  assert_string_equal(called, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_call_is_passed_on),
      cmocka_unit_test(no_sub_is_not_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
