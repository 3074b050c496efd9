/* What happens when something fails that the store asks of others: memory, files, threads, SQLite,
 * the connection to PostgreSQL. Each change and each question is made to fail at its first call, at
 * its second and so on (failing.h). Whatever was answered holds: a change that was acknowledged is
 * there, one that was refused is not; a question is answered rightly or not at all; an error says
 * what happened, never that the database is damaged; and afterwards the same store works.
 */
#include "store_contract.h"

#include "failing.h"
#include "store/db.h"
#include "store_failing.h"

/* ---- changes ---- */

/* Each run has rows of its own: prepare makes what the change of number n is about. On PostgreSQL,
 * where a lost connection is made anew each time, some of them show it for all.
 */
typedef struct change {
  const char *name;
  bool brief; /* on PostgreSQL */
  void (*prepare)(unsigned n);
  st_store_status (*run)(unsigned n);
  bool (*is_done)(unsigned n);
} change;

static void prepare_nothing(unsigned n) {
  (void)n;
}

static void prepare_key(unsigned n) {
  make_key(n, "ann", "a,b");
}

static void prepare_disabled(unsigned n) {
  make_key(n, "ann", "a,b");
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(n), true, NULL, error));
}

static void prepare_user(unsigned n) {
  make_user(n, name_of(n), "a,b,keys");
  make_key(n + 1, name_of(n), "a,b");
  make_key(n + 2, name_of(n), "a");
  assert_ok(begin_session(n + 3, grantor_of(n), NOW + 1000));
}

static st_key found(unsigned n) {
  st_key key;
  st_store_status status = st_store_key_find(store, id_of(n), &key, error);
  if (status != ST_STORE_NOT_FOUND) assert_ok(status);
  return key;
}

static bool is_there(unsigned n) {
  return found(n).id[0] != '\0';
}

static bool is_gone(unsigned n) {
  return !is_there(n);
}

static st_store_status create(unsigned n) {
  st_key key = row_of(n, "ann", "a,b");
  return st_store_key_create(store, soon(), NULL, &key, digest_of(n), error);
}

static st_store_status rename_key(unsigned n) {
  return st_store_key_rename(store, soon(), id_of(n), "anew", error);
}

static bool is_renamed(unsigned n) {
  return strcmp(found(n).name, "anew") == 0;
}

static st_store_status disable(unsigned n) {
  int64_t sequence;
  return st_store_key_set_disabled(store, soon(), id_of(n), true, &sequence, error);
}

static bool is_disabled(unsigned n) {
  bool disabled = found(n).disabled;
  assert_true(listed(n) == disabled);
  return disabled;
}

static st_store_status enable(unsigned n) {
  return st_store_key_set_disabled(store, soon(), id_of(n), false, NULL, error);
}

static bool is_enabled(unsigned n) {
  return !is_disabled(n);
}

static bool is_deleted(unsigned n) {
  bool gone = is_gone(n);
  assert_true(listed(n) == gone);
  return gone;
}

static bool is_rotated(unsigned n) {
  st_key key;
  st_store_status status = ST_STORE_FAILED;
  SEEN((status = st_store_by_digest(store, digest_of(n + 3), &key, error)) == ST_STORE_OK ||
       status == ST_STORE_NOT_FOUND);
  return status == ST_STORE_OK;
}

static st_store_status replace_sub(unsigned n) {
  return st_store_key_replace_sub(store, soon(), id_of(n), sub_of(n + 3), NULL, error);
}

static bool has_other_sub(unsigned n) {
  bool other = strcmp(found(n).sub, sub_of(n + 3)) == 0;
  assert_true(listed(n) == other);
  return other;
}

static st_store_status create_user(unsigned n) {
  st_user user = user_of(n, name_of(n), "a");
  return st_store_user_create(store, soon(), NULL, false, &user, digest_of(n), error);
}

static st_user found_user(unsigned n) {
  st_user user;
  st_store_status status = st_store_user_find(store, st_text(name_of(n)), &user, error);
  if (status != ST_STORE_NOT_FOUND) assert_ok(status);
  return user;
}

static bool user_is_there(unsigned n) {
  return found_user(n).key.id[0] != '\0';
}

/* With them go the keys that hold more, and the sessions. */
static bool has_fewer(unsigned n) {
  bool fewer = strcmp(found_user(n).key.permissions, "a") == 0;
  assert_true(listed(n) == fewer && listed(n + 1) == fewer && listed(n + 3) == fewer);
  return fewer;
}

static st_store_status disable_user(unsigned n) {
  return st_store_user_set_disabled(store, soon(), name_of(n), true, NULL, error);
}

static bool user_is_disabled(unsigned n) {
  bool disabled = found_user(n).key.disabled;
  assert_true(listed(n) == disabled && listed(n + 1) == disabled);
  return disabled;
}

static bool user_is_deleted(unsigned n) {
  bool gone = !user_is_there(n);
  assert_true(listed(n) == gone && listed(n + 1) == gone && is_gone(n + 2) == gone);
  return gone;
}

static st_store_status set_password(unsigned n) {
  return st_store_user_set_password(store, soon(), name_of(n), "$other", sub_of(n + 4), NULL,
                                    error);
}

static bool has_other_password(unsigned n) {
  return strcmp(found_user(n).password, "$other") == 0;
}

static st_store_status import_user(unsigned n) {
  st_user_import users[2] = {{.user = user_of(n, name_of(n), "a"), .mode = ST_IMPORT_CREATE},
                             {.user = user_of(n + 1, "", "a"), .mode = ST_IMPORT_CREATE}};
  st_user second = user_of(n + 1, name_of(n + 1), "a");
  users[1].user = second;
  memcpy(users[0].digest, digest_of(n), 32);
  memcpy(users[1].digest, digest_of(n + 1), 32);
  return st_store_user_import(store, soon(), users, 2, NULL, error);
}

static bool both_are_there(unsigned n) {
  bool there = user_is_there(n);
  assert_true(user_is_there(n + 1) == there);
  return there;
}

static bool has_session(unsigned n) {
  st_key session;
  st_store_status status =
      st_store_session_of_refresh(store, st_text(refresh_of(n + 3)), NOW, &session, error);
  if (status != ST_STORE_NOT_FOUND) assert_ok(status);
  return status == ST_STORE_OK;
}

static void prepare_session(unsigned n) {
  make_key(n, "ann", "a,b");
  assert_ok(begin_session(n + 3, grantor_of(n), NOW + 1000));
}

static st_store_status end_session(unsigned n) {
  return st_store_session_end(store, soon(), id_of(n + 3), NULL, error);
}

static bool has_no_session(unsigned n) {
  bool ended = !has_session(n);
  assert_true(listed(n + 3) == ended);
  return ended;
}

static char successor[ST_REFRESH_LEN + 1];

/* Again with the same one would be refused, and end the session. */
static st_store_status refresh(unsigned n) {
  st_key session;
  successor[0] = '\0';
  return st_store_session_refresh(store, soon(), st_text(refresh_of(n + 3)), NOW + 2000, 0,
                                  &session, successor, error);
}

static bool is_refreshed(unsigned n) {
  st_key session;
  assert_true(has_session(n));
  return successor[0] != '\0' && st_store_session_of_refresh(store, st_text(successor), NOW,
                                                             &session, error) == ST_STORE_OK;
}

static st_store_status use(unsigned n) {
  st_key_use used = {.at = NOW + 7};
  memcpy(used.id, id_of(n), sizeof used.id);
  return st_store_key_mark_used(store, &used, 1, error);
}

static bool is_used(unsigned n) {
  st_key key;
  size_t count = 0;
  assert_ok(st_store_key_list(store, "ann", id_of(n - 1), 1, &key, &count, error));
  assert_int_equal(count, 1);
  return key.used_at == NOW + 7;
}

static const char *setting_of(unsigned n) {
  static char name[32];
  snprintf(name, sizeof name, "setting:%u", n);
  return name;
}

static st_store_status set_setting(unsigned n) {
  return st_store_set_setting(store, setting_of(n), 7, error);
}

static bool is_set(unsigned n) {
  int64_t value = 0;
  st_store_status status = st_store_get_setting(store, setting_of(n), &value, error);
  if (status != ST_STORE_NOT_FOUND) assert_ok(status);
  return value == 7;
}

static const char *tid_of(unsigned n) {
  static char tid[ST_TID_LEN + 1];
  snprintf(tid, sizeof tid, "%0*u", ST_TID_LEN, n);
  return tid;
}

static st_store_status revoke_token(unsigned n) {
  st_key_token token = {.sub = st_text(sub_of(n)), .tid = st_text(tid_of(n)), .exp = NOW + 1000};
  return st_store_token_revoke(store, soon(), &token, 100, NULL, error);
}

static bool token_is_revoked(unsigned n) {
  subtoken_text tid = st_text(tid_of(n));
  bool revoked = false;
  assert_ok(st_store_tokens_revoked(store, &tid, 1, &revoked, error));
  return revoked;
}

static st_store_status rehash(unsigned n) {
  char before[32];
  snprintf(before, sizeof before, "$hash$%u", n);
  return st_store_user_rehash(store, name_of(n), before, "$anew", error);
}

static bool is_rehashed(unsigned n) {
  return strcmp(found_user(n).password, "$anew") == 0;
}

static st_store_status raise_setting(unsigned n) {
  return st_store_raise_setting(store, setting_of(n), 7, error);
}

static st_store_status add_line(unsigned n) {
  return st_store_audit_add(store, soon(), "secret.rotate", name_of(n), "", error);
}

static bool has_line(unsigned n) {
  return strcmp(last_line().target, name_of(n)) == 0;
}

static st_store_status revoke_sub(unsigned n) {
  char id[ST_KEY_ID_LEN + 1];
  return st_store_revoke_sub(store, soon(), (subtoken_text){sub_of(n), ST_SUB_LEN}, NOW, 3600, id,
                             NULL, error);
}

/* A snapshot of another issuer of this store, in which the key had ended. */
static st_revocation_state before;
static uint64_t ended;
static void prepare_snapshot(unsigned n) {
  make_key(n, "ann", "a,b");
  ended = hash_of(n);
  assert_ok(st_store_revocation_state(store, &before, error));
}

static st_store_status restore(unsigned n) {
  st_restore_report report;
  st_revocation_snapshot snapshot = {
      .sequence = before.sequence, .hashes = &ended, .count = 1, .life = 3600};
  (void)n;
  memcpy(snapshot.hash_key, before.hash_key, sizeof snapshot.hash_key);
  return st_store_restore_revocations(store, soon(), &snapshot, &report, error);
}

/* One with so many keys that steps are left over; the steps, too, may fail, and go on. */
static void prepare_large(unsigned n) {
  make_user(n, name_of(n), "a,b");
  for (unsigned i = 1; i < 5; i++) make_key(n + i, name_of(n), "a,b");
  store->large_change = 2;
  store->change_step = 2;
}

static st_store_status end_large(unsigned n) {
  bool left = true;
  st_store_status status =
      st_store_user_set_permissions(store, soon(), name_of(n), "a", sub_of(n + 7), NULL, error);
  if (status != ST_STORE_OK) return status;
  for (int i = 0; i < 20 && left; i++) {
    status = st_store_continue(store, INT64_MAX, &left, error);
    if (status != ST_STORE_OK) assert_told("end many", 0);
  }
  assert_false(left);
  store->large_change = ST_DB_LARGE_CHANGE;
  store->change_step = ST_DB_CHANGE_STEP;
  return ST_STORE_OK;
}

static bool all_have_ended(unsigned n) {
  bool fewer = strcmp(found_user(n).key.permissions, "a") == 0;
  for (unsigned i = 0; i < 5; i++) assert_true(listed(n + i) == fewer);
  for (unsigned i = 1; i < 5; i++) assert_true(is_gone(n + i) == fewer);
  return fewer;
}

/* Old lines go in one step, and the line that says so comes with it. */
static int64_t uptime_us;
static void prepare_old_line(unsigned n) {
  st_audit_context then = *CONTEXT;
  then.now_us -= 100 * DAY * US;
  assert_ok(st_store_audit_add(store, &then, "secret.rotate", name_of(n), "", error));
  for (int i = 0; i < 3; i++) {
    assert_ok(st_store_count_uptime(store, uptime_us += 50 * DAY * US, error));
    assert_ok(st_store_audit_add(store, CONTEXT, "secret.rotate", "later", "", error));
    st_audit_cut marks = {.keep = 2000 * DAY};
    assert_ok(st_store_audit_cut(store, CONTEXT, &marks, error));
  }
}

static st_store_status cut_lines(unsigned n) {
  (void)n;
  st_audit_cut cut = {.keep = 50 * DAY};
  st_store_status status = st_store_audit_cut(store, soon(), &cut, error);
  assert_true(status == ST_STORE_OK || (cut.removed == 0 && !cut.more));
  return status;
}

static bool has_no_old_line(unsigned n) {
  static st_audit_line page[50];
  size_t count = 0;
  (void)n;
  assert_ok(st_store_audit_list(store, 0, 50, page, &count, error));
  assert_true(count > 0);
  for (size_t i = 0; i < count; i++) {
    if (page[i].at < NOW - 60 * DAY) return false;
  }
  return true;
}

static const change changes[] = {
    {"create", true, prepare_nothing, create, is_there},
    {"rename", false, prepare_key, rename_key, is_renamed},
    {"disable", false, prepare_key, disable, is_disabled},
    {"enable", false, prepare_disabled, enable, is_enabled},
    {"delete", true, prepare_key, delete_key, is_deleted},
    {"rotate", false, prepare_key, rotate, is_rotated},
    {"replace the sub", false, prepare_key, replace_sub, has_other_sub},
    {"use", false, prepare_key, use, is_used},
    {"create a user", false, prepare_nothing, create_user, user_is_there},
    {"take permissions", false, prepare_user, take_permissions, has_fewer},
    {"disable a user", false, prepare_user, disable_user, user_is_disabled},
    {"delete a user", false, prepare_user, delete_user, user_is_deleted},
    {"set a password", false, prepare_user, set_password, has_other_password},
    {"import", false, prepare_nothing, import_user, both_are_there},
    {"begin a session", true, prepare_key, begin, has_session},
    {"end a session", false, prepare_session, end_session, has_no_session},
    {"refresh", false, prepare_session, refresh, is_refreshed},
    {"set a setting", true, prepare_nothing, set_setting, is_set},
    {"rehash", false, prepare_user, rehash, is_rehashed},
    {"raise a setting", false, prepare_nothing, raise_setting, is_set},
    {"add a line", false, prepare_nothing, add_line, has_line},
    {"revoke a sub", false, prepare_nothing, revoke_sub, listed},
    {"restore", false, prepare_snapshot, restore, listed},
    {"end many", false, prepare_large, end_large, all_have_ended},
    {"cut old lines", false, prepare_old_line, cut_lines, has_no_old_line},
    {"revoke a token", true, prepare_key, revoke_token, token_is_revoked},
};

/* What a refused change leaves is as it was; it can be made again. */
static void assert_holds(const change *c, unsigned n, long nth, st_store_status status,
                         bool failed) {
  bool done = c->is_done(n);
  bool known = status == ST_STORE_OK || status == ST_STORE_FAILED || status == ST_STORE_BUSY ||
               status == ST_STORE_IN_DOUBT;
  if (!known || (!failed && status != ST_STORE_OK) ||
      (status != ST_STORE_IN_DOUBT && done != (status == ST_STORE_OK))) {
    fail_msg("%s, call %ld: %s, answered %d (%s), %s", c->name, nth, failed ? "failed" : "unhurt",
             (int)status, error, done ? "done" : "not done");
  }
  if (status != ST_STORE_OK) assert_told(c->name, nth);
  if (status == ST_STORE_IN_DOUBT) return;
  if (!done) assert_ok(c->run(n));
  if (!c->is_done(n)) fail_msg("%s, call %ld: not done when it is made again", c->name, nth);
}

static void fail_changes(unsigned kinds, long burst) {
  unsigned n = 0;
  bool all = kind->make == make_folder || failing_step(2) == 1;
  long step = failing_step(kind->make == make_folder ? 3 : 11);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    const change *c = &changes[i];
    if (!all && !c->brief) continue;
    st_store_status status = ST_STORE_FAILED;
    FAILING_EACH(
        kinds, step,
        {
          failing_end();
          c->prepare(n += 8);
          error[0] = '\0';
          failing_begin(kinds, nth);
          atomic_store(&failing.burst, burst);
          status = c->run(n);
        },
        assert_holds(c, n, nth, status, failed));
  }
}

static void a_change_holds_as_it_was_answered(void **state) {
  (void)state;
  fail_changes(kinds_of_store(), 0);
}

static void a_change_holds_when_more_calls_fail(void **state) {
  (void)state;
  fail_changes(kinds_of_store(), 6);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_change_holds_as_it_was_answered),
      TEST(a_change_holds_when_more_calls_fail),
  };
  return RUN_ON_EVERY_STORE(tests);
}
