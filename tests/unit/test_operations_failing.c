/* What server and commands do with a store and with the files of DATA, while memory, files and
 * SQLite fail, one call after the other (failing.h): it is done or it says why not, and it can be
 * done afterwards by the same process.
 */
#include "store_contract.h"

#include "domain/store_search.h"
#include "failing.h"

#include "core/revocations_format.h"
#include "operations/exposition.h"
#include "operations/keyring_file.h"
#include "operations/keys.h"
#include "operations/last_signed.h"
#include "operations/policy_file.h"
#include "operations/process_metrics.h"
#include "operations/ring_age.h"
#include "operations/settings.h"
#include "operations/snapshot_file.h"
#include "operations/users.h"
#include "operations/vouched_files.h"
#include "subtoken/feed.h"
#include "support.h"

#define KINDS (FAIL_MEMORY | FAIL_FILES | FAIL_PREPARE | FAIL_SQLITE | FAIL_ROWS)

static subtoken_ring ring;

static const char *file(const char *name) {
  static char path[2][400];
  static int next;
  char *of = path[next ^= 1];
  snprintf(of, sizeof path[0], "%s/%s", folder, name);
  return of;
}

static void spill(const char *name, const void *bytes, size_t len) {
  int fd = open(file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, len), len);
  close(fd);
}

/* ---- settings ---- */

static bool settings(unsigned n) {
  st_settings set, got;
  st_config_default(&set);
  set.leeway = n % 60;
  set.max_life = 1000 + n;
  if (!st_settings_set(store, &set, error) || !st_settings_get(store, &got, error)) return false;
  assert_true(got.leeway == set.leeway && got.max_life == set.max_life);
  return true;
}

static bool last_signed(unsigned n) {
  int64_t until = 0;
  char kid[16];
  snprintf(kid, sizeof kid, "k%u", n);
  if (!st_last_signed_set(store, st_text(kid), ST_NEVER, error) ||
      !st_last_signed_end(store, st_text(kid), NOW, error) ||
      !st_last_signed_valid_until(store, st_text(kid), &until, error)) {
    return false;
  }
  assert_true(until > NOW && until < ST_NEVER);
  return true;
}

/* Its age is not known without the store: that is 0. */
static bool ring_age(unsigned n) {
  (void)n;
  int64_t seen = st_ring_age_first_seen(store, &ring, 0);
  if (seen == 0) snprintf(error, sizeof error, "not known");
  return seen != 0;
}

/* ---- files ---- */

static bool policy(unsigned n) {
  (void)n;
  st_policy_file of;
  bool ok = st_policy_file_load(file("policy"), &of, error);
  if (ok) assert_non_null(of.memory);
  st_policy_file_free(&of);
  assert_null(of.memory);
  return ok;
}

static bool keyring(unsigned n) {
  (void)n;
  subtoken_ring read;
  const char *event = st_keyring_file_load(file("secrets"), &read, error);
  bool ok = event == NULL && st_keyring_file_load_edge(file("secrets"), &read, error) == NULL;
  if (ok) assert_int_equal(read.count, 1);
  return ok;
}

static uint64_t hashes[3] = {5, 6, 7};

static uint8_t *snapshot_of(int64_t sequence, size_t *len) {
  subtoken_revocations_header header = {sequence, NOW, {7}};
  *len = subtoken_revocations_size(3);
  uint8_t *bytes = malloc(*len);
  assert_non_null(bytes);
  assert_int_equal(subtoken_revocations_write(&ring, &header, hashes, 3, bytes, *len, NULL),
                   SUBTOKEN_FEED_OK);
  return bytes;
}

static bool snapshot(unsigned n) {
  st_snapshot_file of;
  st_restore_report report;
  st_audit_context context = *CONTEXT;
  context.until_us = st_clock_monotonic_us() + 300000;
  (void)n;
  bool ok = st_snapshot_file_load(&ring, file("a-snapshot"), file("no-changes"), &of, error) &&
            st_snapshot_file_restore(store, &context, &of, 0, 3600, &report, error) == ST_STORE_OK;
  st_snapshot_file_free(&of);
  return ok;
}

/* One server's start, an answer to an edge, a look after a failover, and its end. */
static bool vouched(unsigned n) {
  static int64_t sequence;
  static uint8_t *bytes;
  size_t len = 0;
  bool restored = false;
  (void)n;
  st_revocation_state state;
  unsigned kinds = atomic_exchange(&failing.kinds, 0);
  assert_ok(st_store_bump_sequence(store, st_clock_now_us(), 0, NULL, error));
  assert_ok(st_store_revocation_state(store, &state, error));
  sequence = state.sequence;
  bytes = snapshot_of(sequence, &len);
  error[0] = '\0';
  atomic_store(&failing.kinds, kinds);
  bool ok = st_vouched_files_start(folder, store, &ring, error) &&
            st_vouched_files_keep(&ring, bytes, len, sequence, error) &&
            st_vouched_files_check(&ring, sequence, true, &restored, error);
  st_vouched_files_stop();
  free(bytes);
  return ok;
}

/* ---- what the service asks ---- */

static bool keys(unsigned n) {
  st_key key = {.expires_at = ST_NEVER}, again;
  char whole[ST_KEY_LEN + 1];
  st_audit_context context = *CONTEXT;
  context.until_us = st_clock_monotonic_us() + 300000;
  (void)n;
  snprintf(key.permissions, sizeof key.permissions, "a");
  return st_keys_create(store, &context, NULL, &key, whole, error) == ST_STORE_OK &&
         st_keys_rotate(store, &context, NULL, key.id, 60, &again, whole, error) == ST_STORE_OK &&
         st_keys_new_sub(store, &context, key.id, NULL, error) == ST_STORE_OK;
}

/* Only what is answered: what went wrong is in the log. */
static bool asked(unsigned n) {
  st_users users = st_users_of(store);
  st_keys of = st_keys_of(store);
  st_key key = {.expires_at = ST_NEVER}, session = {.expires_at = NOW * 2};
  st_user user = user_of(n, "x", "a"), found[2];
  st_audit_line lines_of[2];
  st_search_page page = {.limit = 2, .rows = 100}, lines_page = page;
  st_audit_filter filter = {.since = 1};
  st_audit_context context = *CONTEXT;
  char refresh[ST_REFRESH_LEN + 1], successor[ST_REFRESH_LEN + 1];
  size_t count = 0;
  snprintf(user.key.name, sizeof user.key.name, "user %u", n);
  snprintf(user.key.owner, sizeof user.key.owner, "user %u", n);
  context.until_us = st_clock_monotonic_us() + 300000;
  snprintf(error, sizeof error, "not answered");
  int64_t sequence = 77;
  st_key_changes changes = st_keys_changes_of(store);
  if (changes.last_sequence(store, &sequence) != ST_STORE_OK) {
    assert_int_equal(sequence, 77);
    return false;
  }
  st_grantor grantor = {user.key.id, user.key.sub};
  bool ok = users.create(store, &context, NULL, &user) == ST_STORE_OK &&
            of.by_sub(store, st_text(user.key.sub), &key) == ST_STORE_OK &&
            users.search(store, ST_TEXT("user"), "", found, &page) == ST_STORE_OK &&
            users.begin_session(store, &context, &grantor, 2, &session, refresh) == ST_STORE_OK &&
            users.find_refresh(store, st_text(refresh), NOW, &key) == ST_STORE_OK &&
            users.refresh_session(store, &context, st_text(refresh), NOW * 2, 0, &key, successor) ==
                ST_STORE_OK &&
            users.end_session(store, &context, key.id, NULL) == ST_STORE_OK &&
            users.set_disabled(store, &context, user.key.owner, true, NULL) == ST_STORE_OK &&
            users.set_permissions(store, &context, user.key.owner, "", NULL) == ST_STORE_OK &&
            users.remove(store, &context, user.key.owner, NULL) == ST_STORE_OK &&
            users.list_audit(store, 0, 2, lines_of, &count) == ST_STORE_OK &&
            users.search_audit(store, &filter, 0, lines_of, &lines_page) == ST_STORE_OK;
  return ok;
}

static bool metrics(unsigned n) {
  st_exposition e = {.open_metrics = n % 2 == 0};
  st_process_metrics_write(&e);
  bool ok = st_exposition_end(&e);
  if (ok) assert_non_null(strstr(e.text, "subtoken_build_info"));
  free(e.text);
  if (!ok) snprintf(error, sizeof error, "not whole");
  return ok;
}

/* step: it makes many calls. */
static const struct {
  const char *name;
  bool (*run)(unsigned n);
  long step;
} operations[] = {
    {"settings", settings, 1},
    {"last signed", last_signed, 1},
    {"the ring's age", ring_age, 1},
    {"policy", policy, 1},
    {"keyring", keyring, 1},
    {"snapshot", snapshot, 3},
    {"vouched", vouched, 2},
    {"keys", keys, 3},
    {"asked", asked, 7},
    {"metrics", metrics, 1},
};

static void fill(void) {
  static const char rules[] = "[{\"path\":\"/a\",\"methods\":[\"GET\"],\"needs\":[\"a\"]}]";
  static const char secrets[] = ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n";
  size_t len = 0;
  ring_with(&ring, "one", TEST_SECRET);
  uint8_t *bytes = snapshot_of(1700000000000001, &len);
  spill("a-snapshot", bytes, len);
  spill("policy", rules, sizeof rules - 1);
  spill("secrets", secrets, sizeof secrets - 1);
  free(bytes);
}

static void an_operation_is_done_or_says_why_not(void **state) {
  (void)state;
  unsigned n = 100;
  fill();
  for (size_t i = 0; i < COUNT(operations); i++) {
    bool ok = false;
    FAILING_EACH(
        KINDS, failing_step(operations[i].step),
        {
          failing_end();
          error[0] = '\0';
          failing_begin(KINDS, nth);
          ok = operations[i].run(n += 2);
        },
        {
          size_t told = strlen(error);
          if (!ok && (!failed || told == 0 || error[told - 1] == ' ')) {
            fail_msg("%s, call %ld: \"%s\"", operations[i].name, nth, error);
          }
          if (!operations[i].run(n += 2)) {
            fail_msg("%s, after call %ld: %s", operations[i].name, nth, error);
          }
        });
  }
}

/* What a sandbox hides is left out. It runs first: when the process started is kept. */
static void what_is_not_known_is_not_shown(void **state) {
  (void)state;
  st_exposition e = {.open_metrics = false};
  failing_begin(FAIL_FILES, 2); /* /proc/self/stat */
  st_process_metrics_write(&e);
  assert_true(failing_end() && st_exposition_end(&e));
  assert_null(strstr(e.text, "process_start_time_seconds"));
  assert_null(strstr(e.text, "process_resident_memory_bytes"));
  assert_non_null(strstr(e.text, "process_cpu_seconds_total"));
  assert_non_null(strstr(e.text, "process_open_fds"));
  free(e.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_not_known_is_not_shown),
                                     TEST(an_operation_is_done_or_says_why_not)};
  return RUN_ON_SQLITE(tests);
}
