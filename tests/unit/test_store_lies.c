/* A database that answers something else than it holds, as a broken disk, a proxy or somebody's own
 * server does: a column is NULL that cannot be, has half of its bytes or others, a row is missing,
 * a statement has changed none (FAIL_LIES of failing.h). What is answered then may be as wrong as
 * that; but nothing crashes, reads too far or goes on for ever, whatever is not answered has an
 * error, and nothing of it stays: the same question is answered rightly afterwards.
 * test_store_damage.c says what is found to be damaged.
 */
#include "store_contract.h"

#include "domain/store_search.h"
#include "failing.h"
#include "store/db.h"
#include "store_failing.h"

static st_revocation_state before;
static uint64_t ended = 7;

/* ---- questions ---- */

static st_store_status by_digest(unsigned n) {
  st_key key;
  return st_store_by_digest(store, digest_of(n), &key, error);
}

static st_store_status by_sub(unsigned n) {
  st_key key;
  return row_by_sub(n, &key);
}

static st_store_status tokens(unsigned n) {
  (void)n;
  subtoken_text tids[2] = {ST_TEXT("another-tid-0123"), {failing_tid, ST_TID_LEN}};
  bool revoked = false;
  return st_store_tokens_revoked(store, tids, 2, &revoked, error);
}

static st_store_status state_of(unsigned n) {
  (void)n;
  st_revocation_state state;
  return st_store_revocation_state(store, &state, error);
}

static st_store_status data_of(unsigned n) {
  (void)n;
  st_revocation_data data;
  st_store_status status = st_store_revocation_data(store, &data, error);
  free(data.hashes);
  free(data.changes);
  return status;
}

static st_store_status changes_of(unsigned n) {
  (void)n;
  st_revocation_state state;
  st_revocation_change *changes = NULL;
  uint32_t count = 0;
  st_store_status status = st_store_revocation_changes(store, 1, &state, &changes, &count, error);
  free(changes);
  return status;
}

static st_store_status list(unsigned n) {
  st_key keys[8];
  size_t count = 0;
  (void)n;
  return st_store_key_list(store, "ann", "", 8, keys, &count, error);
}

static st_store_status search(unsigned n) {
  st_key keys[8];
  st_search_page page = {.limit = 8, .rows = 1000};
  st_key_filter filter = {.owner = "ann", .search = ST_TEXT("KEY 1"), .now = NOW};
  (void)n;
  return st_store_key_search(store, &filter, "", keys, &page, error);
}

static st_store_status search_users(unsigned n) {
  st_user users[4];
  st_search_page page = {.limit = 4, .rows = 1000};
  (void)n;
  return st_store_user_search(store, ST_TEXT("N"), "", users, &page, error);
}

static st_store_status audit(unsigned n) {
  st_audit_line lines_of[3];
  st_search_page page = {.limit = 3, .rows = 1000};
  st_audit_filter filter = {.action = "user.", .who = "key 0", .since = 1};
  (void)n;
  return st_store_audit_search(store, &filter, 0, lines_of, &page, error);
}

static st_store_status follow(unsigned n) {
  st_audit_line lines_of[3];
  st_audit_place place = {0};
  size_t found = 0;
  (void)n;
  return st_store_audit_follow(store, &place, 3, lines_of, &found, error);
}

static st_store_status describe(unsigned n) {
  st_store_description description;
  (void)n;
  return st_store_describe(store, &description, error);
}

/* ---- changes ---- */

static st_store_status create(unsigned n) {
  st_key key = row_of(n + 3, "", "a");
  return st_store_key_create(store, soon(), NULL, &key, digest_of(n + 3), error);
}

static st_store_status disable(unsigned n) {
  return st_store_key_set_disabled(store, soon(), id_of(n), true, NULL, error);
}

static st_store_status refresh(unsigned n) {
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  return st_store_session_refresh(store, soon(), st_text(refresh_of(n + 2)), NOW + 2000, 0,
                                  &session, successor, error);
}

static st_store_status import(unsigned n) {
  st_user_import users[1] = {{.mode = ST_IMPORT_CREATE}};
  users[0].user = user_of(n + 5, name_of(n + 5), "a");
  memcpy(users[0].digest, digest_of(n + 5), 32);
  return st_store_user_import(store, soon(), users, 1, NULL, error);
}

static st_store_status revoke_token(unsigned n) {
  st_key_token token = {.sub = st_text(sub_of(n)),
                        .tid = {failing_tid, ST_TID_LEN},
                        .exp = st_clock_now_us() / US + 1000};
  return st_store_token_revoke(store, soon(), &token, 100, NULL, error);
}

static st_store_status revoke_sub(unsigned n) {
  char id[ST_KEY_ID_LEN + 1];
  return st_store_revoke_sub(store, soon(), (subtoken_text){sub_of(n + 6), ST_SUB_LEN}, NOW, 3600,
                             id, NULL, error);
}

static st_store_status restore(unsigned n) {
  st_restore_report report;
  st_revocation_snapshot snapshot = {
      .sequence = before.sequence, .hashes = &ended, .count = 1, .life = 3600};
  (void)n;
  memcpy(snapshot.hash_key, before.hash_key, sizeof snapshot.hash_key);
  snapshot.hash_key[0] ^= 1; /* all hashes are computed anew */
  return st_store_restore_revocations(store, soon(), &snapshot, &report, error);
}

/* In steps, as of a user with very many keys. */
static st_store_status suspend_many(unsigned n) {
  bool left = true;
  store->large_change = 1;
  store->change_step = 1;
  st_store_status status = st_store_user_set_disabled(store, soon(), name_of(n), true, NULL, error);
  for (int i = 0; status == ST_STORE_OK && left && i < 20; i++) {
    status = st_store_continue(store, INT64_MAX, &left, error);
  }
  store->large_change = ST_DB_LARGE_CHANGE;
  store->change_step = ST_DB_CHANGE_STEP;
  return status;
}

static st_store_status purge(unsigned n) {
  static int64_t at_us = NOW * US;
  (void)n;
  return st_store_purge(store, at_us += DAY * US, st_clock_monotonic_us(), NULL, error);
}

static st_store_status copy(unsigned n) {
  char beside[sizeof location];
  st_copy_report report;
  snprintf(beside, sizeof beside, "%s/copy-%u.db", folder, n);
  st_store_status status = st_store_copy(store, beside, NULL, &report, error);
  if (status == ST_STORE_OK) assert_int_equal(unlink(beside), 0);
  return status;
}

static st_store_status reopens(unsigned n) {
  st_store *other = NULL;
  (void)n;
  st_store_status status = st_store_open(location, false, &other, error);
  assert_int_equal(status == ST_STORE_OK, other != NULL);
  st_store_close(other);
  return status;
}

/* fresh: each run of it is about rows of its own. step: it takes many answers. */
typedef struct call {
  const char *name;
  st_store_status (*run)(unsigned n);
  bool fresh;
  long step;
} call;

static const call calls[] = {
    {"open", reopens, false, 1},
    {"copy", copy, false, 17},
    {"by digest", by_digest, true, 1},
    {"by sub", by_sub, true, 1},
    {"tokens", tokens, false, 1},
    {"issued", issued, false, 1},
    {"state", state_of, false, 1},
    {"data", data_of, false, 1},
    {"changes", changes_of, false, 1},
    {"list", list, false, 1},
    {"search", search, false, 2},
    {"search users", search_users, false, 2},
    {"audit", audit, false, 2},
    {"follow", follow, false, 2},
    {"describe", describe, false, 1},
    {"create", create, true, 1},
    {"disable", disable, true, 2},
    {"delete", delete_key, true, 2},
    {"rotate", rotate, true, 2},
    {"begin a session", begin, true, 2},
    {"refresh", refresh, true, 2},
    {"take permissions", take_permissions, true, 3},
    {"delete a user", delete_user, true, 3},
    {"import", import, true, 2},
    {"revoke a token", revoke_token, true, 2},
    {"revoke a sub", revoke_sub, true, 1},
    {"restore", restore, false, 5},
    {"suspend many", suspend_many, true, 7},
    {"purge", purge, false, 3},
};

/* A key, a session that rests on it, and a user who has another key. */
static void prepare(unsigned n) {
  make_user(n + 1, name_of(n), "a,b");
  make_key(n, "", "a,b");
  make_key(n + 7, name_of(n), "a,b");
  assert_ok(begin_session(n + 2, grantor_of(n), NOW + 1000));
}

/* What is left of a change with steps ends, too. */
static void settle(const call *c, long nth) {
  bool left = true;
  for (int i = 0; left; i++) {
    if (i == 200) fail_msg("%s, answer %ld: a change never ends", c->name, nth);
    assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  }
}

static void lie(char fill, long burst, long brief) {
  unsigned n = 1000;
  size_t met = 0;
  bool in_file = kind->make == make_folder;
  failing_fill = fill;
  prepare(1000);
  assert_ok(st_store_revocation_state(store, &before, error));
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    const call *c = &calls[i];
    long step = failing_step(c->step * (in_file ? 1 : 2) * brief);
    st_store_status status = ST_STORE_FAILED;
    FAILING_ROW(
        FAIL_LIES, step,
        {
          failing_end();
          if (c->fresh) prepare(n += 8);
          error[0] = '\0';
          failing_begin(FAIL_LIES, nth);
          atomic_store(&failing.burst, burst);
          status = c->run(n);
        },
        {
          met += failed && nth == 1;
          if (!failed && status != ST_STORE_OK) {
            fail_msg("%s, answer %ld: %d, %s", c->name, nth, (int)status, error);
          }
          if (status == ST_STORE_FAILED && error[0] == '\0') {
            fail_msg("%s, answer %ld: no error is told", c->name, nth);
          }
          settle(c, nth);
        });
  }
  assert_true(met > sizeof calls / sizeof *calls / 2);
  reopen();
  make_key(1, "", "a");
  assert_true(alive(1));
}

static void zeros_end_nothing_but_the_call(void **state) {
  (void)state;
  lie(0, 0, 3);
}

static void ones_end_nothing_but_the_call(void **state) {
  (void)state;
  lie(-1, 0, 5);
}

static void many_lies_end_nothing_but_the_call(void **state) {
  (void)state;
  lie(0, 5, 17);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(zeros_end_nothing_but_the_call),
      TEST(ones_end_nothing_but_the_call),
      TEST(many_lies_end_nothing_but_the_call),
  };
  return RUN_ON_EVERY_STORE(tests);
}
