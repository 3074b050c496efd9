/* store_failing - what the tests of a store under which something fails share (failing.h): which
 * kinds there are of it, and what an error says.
 */
#ifndef TESTS_UNIT_STORE_FAILING_H
#define TESTS_UNIT_STORE_FAILING_H

#include "store_contract.h"

#include "failing.h"

/* Of SQLite what it is itself, of PostgreSQL its connection. */
static inline unsigned kinds_of_store(void) {
  return kind->make == make_folder ? FAIL_ALL & ~(unsigned)FAIL_LIBPQ
                                   : FAIL_MEMORY | FAIL_FILES | FAIL_THREADS | FAIL_LIBPQ;
}

/* Nothing that fails here is damage. */
static inline void assert_told(const char *name, long nth) {
  size_t len = strlen(error);
  if (len == 0 || error[len - 1] == ' ' || strstr(error, "damaged") != NULL ||
      strstr(error, "not an error") != NULL || strstr(error, "restore") != NULL) {
    fail_msg("%s, call %ld: the error says: \"%s\"", name, nth, error);
  }
}

static const char failing_tid[] = "a-tid-0123456789";

/* A row of each kind. */
static inline void fill(void) {
  st_key ending = row_of(3, "ann", "a");
  st_key_token token = {.sub = st_text(sub_of(2)),
                        .tid = {failing_tid, ST_TID_LEN},
                        .exp = st_clock_now_us() / US + 1000};
  make_user(1, "ann", "a,b");
  make_user(4, "gone", "a");
  make_key(2, "ann", "a,b");
  ending.expires_at = NOW + DAY;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &ending, digest_of(3), error));
  make_key(5, "", "a");
  assert_ok(begin_session(6, grantor_of(1), NOW + 1000));
  assert_ok(st_store_user_delete(store, CONTEXT, "gone", NULL, error));
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(5), true, NULL, error));
  assert_ok(st_store_token_revoke(store, CONTEXT, &token, 100, NULL, error));
  assert_ok(st_store_set_setting(store, "a setting", 7, error));
}

/* A short time for all of it: what goes on failing is not waited for. */
static inline const st_audit_context *soon(void) {
  static st_audit_context context;
  context = *CONTEXT;
  context.until_us = st_clock_monotonic_us() + 300000;
  return &context;
}

/* ---- calls with a row n ---- */

static inline const char *name_of(unsigned n) {
  static char name[32];
  snprintf(name, sizeof name, "user%u", n);
  return name;
}

static inline st_store_status delete_key(unsigned n) {
  st_derived derived = {.end = true};
  st_audit_context context = *soon();
  context.made = &derived;
  return st_store_key_delete(store, &context, id_of(n), NULL, error);
}

static inline st_store_status rotate(unsigned n) {
  st_key key;
  return st_store_key_rotate(store, soon(), NULL, id_of(n), digest_of(n + 3), NOW + 100, &key,
                             error);
}

static inline st_store_status begin(unsigned n) {
  st_key session = row_of(n + 3, "", "");
  uint8_t seed[32] = {8};
  session.expires_at = NOW + 1000;
  return st_store_session_begin(store, soon(), grantor_of(n), 1, &session, digest_of(n + 3), seed,
                                refresh_of(n + 3), error);
}

static inline st_store_status take_permissions(unsigned n) {
  return st_store_user_set_permissions(store, soon(), name_of(n), "a", sub_of(n + 4), NULL, error);
}

static inline st_store_status delete_user(unsigned n) {
  return st_store_user_delete(store, soon(), name_of(n), NULL, error);
}

static inline st_store_status issued(unsigned n) {
  (void)n;
  return st_store_issued_sequence(store, 1, error);
}

#endif
