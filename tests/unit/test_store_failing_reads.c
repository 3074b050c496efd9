/* What is asked of a store while something fails (failing.h): the answer is the right one or none,
 * and the store is well afterwards.
 */
#include "store_contract.h"

#include "domain/store_search.h"
#include "failing.h"
#include "store_failing.h"

/* ---- questions ---- */

/* Of an answer; what is asked of the row n has to be alike for all n. */
static uint64_t sum;

static void add(const void *data, size_t len) {
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++) sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
}

static void add_key(const st_key *key) {
  add(key->owner, strlen(key->owner));
  add(key->permissions, strlen(key->permissions));
  add(&key->expires_at, sizeof key->expires_at);
  add(&key->disabled, sizeof key->disabled);
}

static void add_keys(const st_key *keys, size_t count) {
  add(&count, sizeof count);
  for (size_t i = 0; i < count; i++) add_key(&keys[i]);
}

/* prepare: with nothing failing, what the question of number n is about. */
typedef struct question {
  const char *name;
  void (*prepare)(unsigned n);
  st_store_status (*ask)(unsigned n);
  st_store_status expected;
} question;

static void prepare_nothing(unsigned n) {
  (void)n;
}

static void prepare_key(unsigned n) {
  make_key(n, "cold", "a,b");
}

static st_store_status by_digest(unsigned n) {
  st_key key;
  st_store_status status = st_store_by_digest(store, digest_of(n), &key, error);
  add_key(&key);
  return status;
}

static st_store_status by_sub(unsigned n) {
  st_key key;
  st_store_status status = row_by_sub(n, &key);
  add_key(&key);
  return status;
}

static void prepare_rotated(unsigned n) {
  st_key key;
  make_key(n, "cold", "a,b");
  assert_ok(st_store_key_rotate(store, CONTEXT, NULL, id_of(n), digest_of(n + 1),
                                st_clock_now_us() / US + 1000, &key, error));
}

static void prepare_ended(unsigned n) {
  make_key(n, "cold", "a,b");
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(n), sub_of(n + 1), NULL, error));
}

/* Another handle has disabled it: what this one remembers is no answer any more. */
static void prepare_changed(unsigned n) {
  st_key key;
  st_store *other;
  make_key(n, "cold", "a,b");
  SEEN(st_store_by_digest(store, digest_of(n), &key, error) == ST_STORE_OK);
  assert_ok(st_store_open(location, false, &other, error));
  assert_ok(st_store_key_set_disabled(other, CONTEXT, id_of(n), true, NULL, error));
  st_store_close(other);
  SEEN(st_store_by_digest(store, digest_of(n), &key, error) == ST_STORE_OK && key.disabled);
}

static st_store_status tokens(unsigned n) {
  (void)n;
  subtoken_text tids[2] = {ST_TEXT("another-tid-0123"), {failing_tid, ST_TID_LEN}};
  bool revoked = false;
  st_store_status status = st_store_tokens_revoked(store, tids, 2, &revoked, error);
  add(&revoked, sizeof revoked);
  return status;
}

static st_store_status ready(unsigned n) {
  (void)n;
  return st_store_ready(store, error) ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status state_of(unsigned n) {
  (void)n;
  st_revocation_state state;
  st_store_status status = st_store_revocation_state(store, &state, error);
  add(&state.sequence, sizeof state.sequence);
  add(state.hash_key, sizeof state.hash_key);
  return status;
}

static st_store_status data_of(unsigned n) {
  (void)n;
  st_revocation_data data;
  st_store_status status = st_store_revocation_data(store, &data, error);
  if (status != ST_STORE_OK) {
    assert_null(data.hashes);
    assert_null(data.changes);
    return status;
  }
  add(&data.state.sequence, sizeof data.state.sequence);
  add(&data.count, sizeof data.count);
  add(&data.change_count, sizeof data.change_count);
  free(data.hashes);
  free(data.changes);
  return status;
}

static st_store_status changes_of(unsigned n) {
  (void)n;
  st_revocation_state state;
  st_revocation_change *changes = (st_revocation_change *)error;
  uint32_t count = 77;
  st_store_status status = st_store_revocation_changes(store, 1, &state, &changes, &count, error);
  add(&count, sizeof count);
  if (status != ST_STORE_OK) assert_null(changes);
  free(changes);
  return status;
}

static st_store_status find(unsigned n) {
  (void)n;
  st_key key;
  st_store_status status = st_store_key_find(store, id_of(2), &key, error);
  add_key(&key);
  return status;
}

static st_store_status find_sub(unsigned n) {
  (void)n;
  st_key key;
  st_store_status status =
      st_store_key_find_sub(store, (subtoken_text){sub_of(2), ST_SUB_LEN}, &key, error);
  add_key(&key);
  return status;
}

static st_store_status list(unsigned n) {
  (void)n;
  st_key keys[8];
  size_t count = 0;
  st_store_status status = st_store_key_list(store, "ann", "", 8, keys, &count, error);
  add_keys(keys, count);
  return status;
}

static st_store_status count(unsigned n) {
  (void)n;
  int64_t keys = 0;
  st_store_status status = st_store_key_count_expiring(store, NOW, NOW + 2 * DAY, &keys, error);
  add(&keys, sizeof keys);
  return status;
}

static st_store_status list_expiring(unsigned n) {
  (void)n;
  st_key keys[8];
  size_t found = 0;
  st_store_status status =
      st_store_key_list_expiring(store, NOW, ST_KEY_ID_LAST, NOW + 2 * DAY, 8, keys, &found, error);
  add_keys(keys, found);
  return status;
}

static st_store_status search_keys(const st_key_filter *filter) {
  st_key keys[8];
  st_search_page page = {.limit = 8, .rows = 1000};
  st_store_status status = st_store_key_search(store, filter, "", keys, &page, error);
  if (status == ST_STORE_OK) add_keys(keys, page.count);
  return status;
}

static st_store_status search_owned(unsigned n) {
  (void)n;
  return search_keys(&(st_key_filter){.owner = "ann", .search = ST_TEXT("KEY 1"), .now = NOW});
}

static st_store_status search_ids(unsigned n) {
  (void)n;
  return search_keys(&(st_key_filter){.search = ST_TEXT("00000001-ABCD"), .now = NOW});
}

static st_store_status search_expiring(unsigned n) {
  (void)n;
  return search_keys(&(st_key_filter){.now = NOW, .expires_until = NOW + 2 * DAY});
}

static st_store_status find_user(unsigned n) {
  (void)n;
  st_user user;
  st_store_status status = st_store_user_find(store, ST_TEXT("ann"), &user, error);
  add_key(&user.key);
  return status;
}

static st_store_status list_users(unsigned n) {
  (void)n;
  st_user users[4];
  size_t found = 0;
  st_store_status status = st_store_user_list(store, "", 4, users, &found, error);
  for (size_t i = 0; i < found; i++) add_key(&users[i].key);
  return status;
}

static st_store_status search_users(unsigned n) {
  (void)n;
  st_user users[4];
  st_search_page page = {.limit = 4, .rows = 1000};
  st_store_status status = st_store_user_search(store, ST_TEXT("N"), "", users, &page, error);
  if (status == ST_STORE_OK) add(&page.count, sizeof page.count);
  return status;
}

static st_store_status was_deleted(unsigned n) {
  (void)n;
  bool deleted = false;
  st_store_status status = st_store_user_was_deleted(store, ST_TEXT("gone"), &deleted, error);
  add(&deleted, sizeof deleted);
  return status;
}

static st_store_status session_of(unsigned n) {
  (void)n;
  st_key session;
  st_store_status status =
      st_store_session_of_refresh(store, st_text(refresh_of(6)), NOW, &session, error);
  add_key(&session);
  return status;
}

/* The rows of the questions before are lines, too: the oldest ones only. */
static st_store_status audit(unsigned n) {
  (void)n;
  st_audit_line lines[3];
  size_t found = 0;
  st_store_status status = st_store_audit_list(store, 4, 3, lines, &found, error);
  for (size_t i = 0; i < found; i++) add(lines[i].action, strlen(lines[i].action));
  return status;
}

static st_store_status audit_search(unsigned n) {
  (void)n;
  st_audit_line lines[3];
  st_search_page page = {.limit = 3, .rows = 1000};
  st_audit_filter filter = {.action = "user.", .who = "key 0", .since = 1};
  st_store_status status = st_store_audit_search(store, &filter, 0, lines, &page, error);
  if (status == ST_STORE_OK) add(&page.count, sizeof page.count);
  return status;
}

static st_store_status follow(unsigned n) {
  (void)n;
  st_audit_line lines[3];
  st_audit_place place = {0};
  size_t found = 0;
  return st_store_audit_follow(store, &place, 3, lines, &found, error);
}

static st_store_status setting(unsigned n) {
  (void)n;
  int64_t value = 0;
  st_store_status status = st_store_get_setting(store, "a setting", &value, error);
  add(&value, sizeof value);
  return status;
}

static st_store_status describe(unsigned n) {
  (void)n;
  st_store_description description;
  st_store_status status = st_store_describe(store, &description, error);
  add(&description.schema, sizeof description.schema);
  return status;
}

static const question questions[] = {
    {"by digest", prepare_key, by_digest, ST_STORE_OK},
    {"by sub", prepare_key, by_sub, ST_STORE_OK},
    {"by no digest", prepare_nothing, by_digest, ST_STORE_NOT_FOUND},
    {"by no sub", prepare_nothing, by_sub, ST_STORE_NOT_FOUND},
    {"by a digest before", prepare_rotated, by_digest, ST_STORE_OK},
    {"by a sub that ended", prepare_ended, by_sub, ST_STORE_REVOKED},
    {"by a digest that others changed", prepare_changed, by_digest, ST_STORE_OK},
    {"tokens", prepare_nothing, tokens, ST_STORE_OK},
    {"issued", prepare_nothing, issued, ST_STORE_OK},
    {"ready", prepare_nothing, ready, ST_STORE_OK},
    {"state", prepare_nothing, state_of, ST_STORE_OK},
    {"data", prepare_nothing, data_of, ST_STORE_OK},
    {"changes", prepare_nothing, changes_of, ST_STORE_OK},
    {"find", prepare_nothing, find, ST_STORE_OK},
    {"find a sub", prepare_nothing, find_sub, ST_STORE_OK},
    {"list", prepare_nothing, list, ST_STORE_OK},
    {"count", prepare_nothing, count, ST_STORE_OK},
    {"list expiring", prepare_nothing, list_expiring, ST_STORE_OK},
    {"search an owner's", prepare_nothing, search_owned, ST_STORE_OK},
    {"search ids", prepare_nothing, search_ids, ST_STORE_OK},
    {"search expiring", prepare_nothing, search_expiring, ST_STORE_OK},
    {"find a user", prepare_nothing, find_user, ST_STORE_OK},
    {"list users", prepare_nothing, list_users, ST_STORE_OK},
    {"search users", prepare_nothing, search_users, ST_STORE_OK},
    {"was deleted", prepare_nothing, was_deleted, ST_STORE_OK},
    {"session", prepare_nothing, session_of, ST_STORE_OK},
    {"audit", prepare_nothing, audit, ST_STORE_OK},
    {"search the audit log", prepare_nothing, audit_search, ST_STORE_OK},
    {"follow", prepare_nothing, follow, ST_STORE_OK},
    {"setting", prepare_nothing, setting, ST_STORE_OK},
    {"describe", prepare_nothing, describe, ST_STORE_OK},
};

static uint64_t expect(const question *q, unsigned n) {
  sum = 1;
  st_store_status status = q->ask(n);
  if (status != q->expected) fail_msg("%s: answered %d: %s", q->name, (int)status, error);
  return sum;
}

static void fail_questions(long burst) {
  unsigned kinds = kinds_of_store(), n = 1000;
  size_t met = 0;
  fill();
  for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
    const question *q = &questions[i];
    st_store_status status = ST_STORE_FAILED;
    uint64_t answered = 0;
    FAILING_ROW(
        kinds, burst == 0 ? 1 : failing_step(11),
        {
          failing_end();
          q->prepare(n += 8);
          memset(error, 0, sizeof error);
          sum = 1;
          failing_begin(kinds, nth);
          atomic_store(&failing.burst, burst);
          status = q->ask(n);
          answered = sum;
        },
        {
          met += failed && nth == 1;
          bool refused = failed && (status == ST_STORE_FAILED || status == ST_STORE_BUSY);
          if (status != q->expected && !refused) {
            fail_msg("%s, call %ld: answered %d: %s", q->name, nth, (int)status, error);
          }
          if (refused) assert_told(q->name, nth);
          uint64_t right = expect(q, n);
          if (!refused && right != answered) {
            fail_msg("%s, call %ld: another answer", q->name, nth);
          }
        });
  }
  assert_true(met > sizeof questions / sizeof *questions / 2);
}

static void a_question_is_answered_rightly_or_not(void **state) {
  (void)state;
  fail_questions(0);
}

static void so_it_is_when_more_calls_fail(void **state) {
  (void)state;
  fail_questions(9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_question_is_answered_rightly_or_not),
      TEST(so_it_is_when_more_calls_fail),
  };
  return RUN_ON_EVERY_STORE(tests);
}
