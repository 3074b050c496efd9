/* The promises of a change of a user with many keys: it is in force at once, for whoever reads, and
 * what is left to later steps shows in nothing. Each is compared with the same change made in one
 * transaction, as of a user with few keys: in another store, by what everybody can see of it.
 */
#include "store_contract.h"

#include "store/db.h"

#define KEYS 40
#define FIRST 100
#define STEP 7
#define ONCE INT64_C(1) /* a time that has passed: one step, and no wait */

enum { ANN = 1, BOB, ROOT, OTHER = 50, MADE = 60, SESSION = 200 };

static st_store *stepwise, *at_once;
static char locations[2][sizeof location];
static char outcomes[2][1000]; /* what changes answered in each */

static int make_stores(void **state) {
  if (setup(state) != 0) return -1;
  stepwise = store;
  memcpy(locations[0], location, sizeof location);
  kind->locate(1, locations[1]);
  if (st_store_open(locations[1], true, &at_once, error) != ST_STORE_OK) return -1;
  memset(outcomes, 0, sizeof outcomes);
  stepwise->large_change = 10;
  stepwise->change_step = STEP;
  at_once->large_change = INT64_MAX - 1;
  return 0;
}

static int remove_stores(void **state) {
  (void)state;
  st_store_close(stepwise);
  st_store_close(at_once);
  return kind->remove();
}

/* ---- the same in both ---- */

/* What a change answers. */
static void note(st_store_status status) {
  char *own = outcomes[store == stepwise];
  size_t len = strlen(own);
  assert_true(len + 4 < sizeof outcomes[0]);
  snprintf(own + len, sizeof outcomes[0] - len, "%d ", (int)status);
}

static void make_key_with(unsigned n, const char *owner, const char *permissions, unsigned by) {
  st_key key = row_of(n, owner, permissions);
  st_audit_context context = *CONTEXT;
  if (by != 0) context.row = id_of(by);
  assert_ok(st_store_key_create(store, &context, NULL, &key, digest_of(n), error));
}

static const char *permissions_of(unsigned i) {
  static const char *const some[] = {"account", "account,keys", "keys", "services,account", ""};
  return some[i % 5];
}

static void begin_all_sessions(void) {
  unsigned n = SESSION;
  for (unsigned i = 0; i < KEYS; i += 3) {
    assert_ok(begin_session(n++, grantor_of(FIRST + i), ST_NEVER));
  }
  for (unsigned i = 0; i < 3; i++) assert_ok(begin_session(n++, grantor_of(ANN), ST_NEVER));
  assert_ok(begin_session(n++, grantor_of(BOB), ST_NEVER));
  assert_ok(begin_session(n++, grantor_of(OTHER), ST_NEVER));
}

/* Ann has many keys: of all kinds of permissions, some disabled, with sessions; and with some of
 * them, and by herself, she has made keys and a user for others.
 */
static void fill(void) {
  make_user(ANN, "ann", "account,keys,services,users");
  make_user(BOB, "bob", "account");
  make_user(ROOT, "root", "account,keys,services,users");
  for (unsigned i = 0; i < KEYS; i++) {
    make_key_with(FIRST + i, "ann", permissions_of(i), i % 2 == 0 ? ANN : 0);
  }
  make_key_with(OTHER, "bob", "account", ROOT);
  make_key_with(OTHER + 1, "somebody", "keys", 0);
  make_key_with(MADE, "somebody", "account", FIRST + 1);
  make_key_with(MADE + 1, "bob", "keys", ANN);
  make_key_with(MADE + 2, "somebody", "account", MADE);
  begin_all_sessions();
  for (unsigned i = 0; i < KEYS; i += 6) {
    assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(FIRST + i), true, NULL, error));
  }
}

typedef void change_fn(void);

static void in_both(change_fn *change) {
  store = at_once;
  change();
  store = stepwise;
  change();
}

/* ---- what everybody can see ---- */

static const unsigned rows[] = {ANN, BOB, ROOT, OTHER, OTHER + 1, MADE, MADE + 1, MADE + 2};

static size_t write_row(char *out, size_t size, unsigned n, const uint64_t *hashes,
                        uint32_t count) {
  st_key by_sub, by_digest, found;
  subtoken_text sub = {sub_of(n), ST_SUB_LEN};
  uint64_t wanted = hash_of(n);
  bool is_listed = false;
  for (uint32_t i = 0; i < count; i++) is_listed |= hashes[i] == wanted;
  st_store_status status = st_store_by_sub(store, sub, &by_sub, error);
  st_store_status digest_status = st_store_by_digest(store, digest_of(n), &by_digest, error);
  st_store_status find_status = st_store_key_find(store, id_of(n), &found, error);
  st_store_status sub_status = st_store_key_find_sub(store, sub, &found, error);
  return (size_t)snprintf(
      out, size, "%u: sub %d %d%d (%s), digest %d %d%d, found %d %d %d%d, listed %d\n", n,
      (int)status, by_sub.disabled, by_sub.suspended, by_sub.permissions, (int)digest_status,
      by_digest.disabled, by_digest.suspended, (int)find_status, (int)sub_status, found.disabled,
      found.suspended, is_listed);
}

static size_t write_list(char *out, size_t size, const char *owner) {
  static st_key page[16];
  char after[ST_KEY_ID_LEN + 1] = "";
  size_t count = 16, len = 0;
  while (count == 16) {
    assert_ok(st_store_key_list(store, owner, after, 16, page, &count, error));
    for (size_t i = 0; i < count; i++) {
      len += (size_t)snprintf(out + len, size - len, "%s %d%d ", page[i].id, page[i].disabled,
                              page[i].suspended);
      memcpy(after, page[i].id, sizeof after);
    }
  }
  return len + (size_t)snprintf(out + len, size - len, "\n");
}

static size_t write_user(char *out, size_t size, const char *username) {
  st_user user;
  st_store_status status = st_store_user_find(store, st_text(username), &user, error);
  return (size_t)snprintf(out, size, "%s %d %d%d (%s)\n", username, (int)status, user.key.disabled,
                          user.key.suspended, user.key.permissions);
}

static int compare_lines(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of the audit log, sorted: those of keys come with the steps. */
static size_t write_audit(char *out, size_t size) {
  static st_audit_line page[50];
  char *lines_of[500];
  size_t count = 50, all = 0, len = 0;
  int64_t before = 0;
  while (count == 50) {
    assert_ok(st_store_audit_list(store, before, 50, page, &count, error));
    for (size_t i = 0; i < count; i++) {
      before = page[i].id;
      assert_true(all < 500);
      assert_true(asprintf(&lines_of[all++], "%lld %s %s %s %s %s\n", (long long)page[i].at,
                           page[i].action, page[i].who, page[i].from, page[i].target,
                           page[i].detail) > 0);
    }
  }
  qsort(lines_of, all, sizeof *lines_of, compare_lines);
  for (size_t i = 0; i < all; i++) {
    len += (size_t)snprintf(out + len, size - len, "%s", lines_of[i]);
    free(lines_of[i]);
  }
  return len;
}

#define ROOM (256 << 10)

/* Which of ann's sessions can still be refreshed: found without changing anything, by a token that
 * is as good as used.
 */
static size_t write_sessions(char *out, size_t size) {
  size_t len = 0;
  for (unsigned i = 0; i < (KEYS + 2) / 3 + 5; i++) {
    st_key key;
    len += (size_t)snprintf(out + len, size - len, "%d", (int)row_by_sub(SESSION + i, &key));
  }
  return len + (size_t)snprintf(out + len, size - len, "\n");
}

static char *describe(bool with_audit) {
  char *text = malloc(ROOM);
  size_t len = 0;
  int64_t count = 0;
  st_revocation_data data;
  assert_non_null(text);
  assert_ok(st_store_revocation_data(store, &data, error));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    len += write_row(text + len, ROOM - len, rows[i], data.hashes, data.count);
  }
  for (unsigned i = 0; i < KEYS; i++) {
    len += write_row(text + len, ROOM - len, FIRST + i, data.hashes, data.count);
  }
  for (unsigned i = 0; i < (KEYS + 2) / 3 + 5; i++) {
    len += write_row(text + len, ROOM - len, SESSION + i, data.hashes, data.count);
  }
  free(data.hashes);
  free(data.changes);
  assert_ok(st_store_key_count(store, &count, error));
  len += (size_t)snprintf(text + len, ROOM - len, "%lld keys, %u hashes\n", (long long)count,
                          data.count);
  len += write_list(text + len, ROOM - len, NULL);
  len += write_list(text + len, ROOM - len, "ann");
  len += write_list(text + len, ROOM - len, "bob");
  len += write_user(text + len, ROOM - len, "ann");
  len += write_user(text + len, ROOM - len, "bob");
  len += write_sessions(text + len, ROOM - len);
  if (with_audit) len += write_audit(text + len, ROOM - len);
  assert_true(len < ROOM - 1);
  return text;
}

static void assert_alike(bool with_audit) {
  store = at_once;
  char *wanted = describe(with_audit);
  store = stepwise;
  char *got = describe(with_audit);
  assert_string_equal(got, wanted);
  assert_string_equal(outcomes[1], outcomes[0]);
  free(wanted);
  free(got);
}

/* ---- what edges are told ---- */

typedef struct told {
  st_revocation_data data;
  st_revocation_change *changes;
  uint32_t count;
} told;

static int compare_hashes(const void *a, const void *b) {
  uint64_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

/* A change begins with its hash. */
static told ask_edges(int64_t since) {
  told t;
  st_revocation_state current;
  assert_ok(st_store_revocation_data(store, &t.data, error));
  qsort(t.data.hashes, t.data.count, sizeof *t.data.hashes, compare_hashes);
  if (t.data.change_count > 0) {
    qsort(t.data.changes, t.data.change_count, sizeof *t.data.changes, compare_hashes);
  }
  assert_ok(st_store_revocation_changes(store, since, &current, &t.changes, &t.count, error));
  if (t.count > 0) qsort(t.changes, t.count, sizeof *t.changes, compare_hashes);
  assert_int_equal(current.sequence, t.data.state.sequence);
  return t;
}

static void assert_same_changes(const st_revocation_change *a, const st_revocation_change *b,
                                uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    assert_true(a[i].hash == b[i].hash && a[i].sequence == b[i].sequence &&
                a[i].listed == b[i].listed);
  }
}

static void assert_told_same(const told *before, int64_t since) {
  told now = ask_edges(since);
  assert_int_equal(now.data.state.sequence, before->data.state.sequence);
  assert_int_equal(now.data.since, before->data.since);
  assert_int_equal(now.data.count, before->data.count);
  assert_memory_equal(now.data.hashes, before->data.hashes, now.data.count * sizeof(uint64_t));
  assert_int_equal(now.data.change_count, before->data.change_count);
  assert_same_changes(now.data.changes, before->data.changes, now.data.change_count);
  assert_int_equal(now.count, before->count);
  assert_same_changes(now.changes, before->changes, now.count);
  free(now.data.hashes);
  free(now.data.changes);
  free(now.changes);
}

static void free_told(told *t) {
  free(t->data.hashes);
  free(t->data.changes);
  free(t->changes);
}

static bool step(void) {
  bool left = true;
  assert_ok(st_store_continue(store, ONCE, &left, error));
  return left;
}

/* Each step shows in nothing but in lines of the audit log, of at most so many keys. *steps: how
 * many it took.
 */
static void walk(int64_t since, int *steps) {
  told before = ask_edges(since);
  char *seen = describe(false);
  *steps = 0;
  for (bool left = true; left;) {
    int64_t lines_before = lines();
    left = step();
    char *now = describe(false);
    assert_string_equal(now, seen);
    free(now);
    assert_told_same(&before, since);
    assert_true(lines() - lines_before <= STEP);
    assert_true(++*steps < 100);
  }
  free(seen);
  free_told(&before);
}

static void change_and_walk(change_fn *change) {
  int steps = 0;
  store = stepwise;
  int64_t since = sequence_now();
  in_both(change);
  assert_alike(false);
  walk(since, &steps);
  assert_true(steps > KEYS / STEP);
  assert_alike(true);
}

/* ---- the changes ---- */

static void disable_ann(void) {
  int64_t sequence = 0;
  st_derived made = {0};
  st_audit_context context = *CONTEXT;
  context.made = &made;
  assert_ok(st_store_user_set_disabled(store, &context, "ann", true, &sequence, error));
  assert_int_equal(sequence, sequence_now());
  assert_int_equal(made.keys, 3);
}

static void enable_ann(void) {
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "ann", false, NULL, error));
}

static void delete_ann(void) {
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
}

static void take_keys_from_ann(void) {
  st_derived made = {0};
  st_audit_context context = *CONTEXT;
  context.made = &made;
  assert_ok(st_store_user_set_permissions(store, &context, "ann", "account,users,more",
                                          sub_of(ANN + 900), NULL, error));
  assert_int_equal(made.keys, 3);
}

static void a_user_disabled_and_enabled(void **state) {
  (void)state;
  in_both(fill);
  assert_alike(true);
  change_and_walk(disable_ann);
  change_and_walk(enable_ann);
}

static void a_user_deleted(void **state) {
  (void)state;
  in_both(fill);
  change_and_walk(delete_ann);
}

static void a_user_who_was_disabled_deleted(void **state) {
  (void)state;
  in_both(fill);
  in_both(disable_ann);
  change_and_walk(delete_ann);
}

static void a_user_who_loses_permissions(void **state) {
  (void)state;
  in_both(fill);
  change_and_walk(take_keys_from_ann);
}

static void a_few_rows_leave_nothing(void **state) {
  (void)state;
  bool left = true;
  in_both(fill);
  store = stepwise;
  assert_ok(st_store_user_set_disabled(store, CONTEXT, "bob", true, NULL, error));
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
}

/* ---- between two steps ---- */

static void finish(void) {
  bool left = true;
  store = stepwise;
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
}

static void nothing_is_made_with_what_ended(void **state) {
  (void)state;
  st_key key = row_of(700, "bob", "account");
  in_both(fill);
  for (int round = 0; round < 2; round++) {
    store = stepwise;
    if (round == 0) {
      disable_ann();
    } else {
      delete_ann();
    }
    (void)step();
    for (unsigned i = 1; i < KEYS; i += 2) {
      assert_int_equal(
          st_store_key_create(store, CONTEXT, grantor_of(FIRST + i), &key, digest_of(700), error),
          ST_STORE_DENIED);
      assert_int_equal(begin_session(700, grantor_of(FIRST + i), ST_NEVER), ST_STORE_DENIED);
    }
    char successor[ST_REFRESH_LEN + 1];
    for (unsigned n = SESSION; n < SESSION + (KEYS + 2) / 3 + 3; n++) {
      assert_int_equal(st_store_session_refresh(store, CONTEXT, st_text(refresh_of(n)), ST_NEVER, 0,
                                                &key, successor, error),
                       ST_STORE_NOT_FOUND);
      assert_int_equal(st_store_session_end(store, CONTEXT, id_of(n), NULL, error),
                       ST_STORE_NOT_FOUND);
    }
    snprintf(key.owner, sizeof key.owner, "bob");
    key = row_of(700, "bob", "account");
  }
}

static const unsigned some[] = {FIRST, FIRST + 1, FIRST + 3, FIRST + 6, FIRST + 13, FIRST + 39};

static void disable_some(void) {
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    note(st_store_key_set_disabled(store, CONTEXT_AT(NOW + 1), id_of(some[i]), true, NULL, error));
  }
}

static void enable_some(void) {
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    note(st_store_key_set_disabled(store, CONTEXT_AT(NOW + 2), id_of(some[i]), false, NULL, error));
  }
}

static void replace_some(void) {
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    note(st_store_key_replace_sub(store, CONTEXT_AT(NOW + 3), id_of(some[i]),
                                  sub_of(some[i] + 1000), NULL, error));
  }
}

static void delete_some(void) {
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    note(st_store_key_delete(store, CONTEXT_AT(NOW + 4), id_of(some[i]), NULL, error));
  }
}

static void rename_some(void) {
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    note(st_store_key_rename(store, CONTEXT_AT(NOW + 5), id_of(some[i]), "renamed", error));
  }
}

static void keys_changed_after_each_change_of_their_user(void **state) {
  (void)state;
  static change_fn *const of_user[] = {disable_ann, enable_ann, take_keys_from_ann, delete_ann};
  static change_fn *const of_keys[] = {disable_some, enable_some, rename_some, replace_some,
                                       delete_some};
  in_both(fill);
  for (size_t i = 0; i < 4; i++) {
    in_both(of_user[i]);
    for (size_t j = 0; j < (i < 2 ? 3 : 5); j++) {
      (void)step();
      int steps = 0;
      int64_t since = sequence_now();
      in_both(of_keys[j]);
      assert_alike(false);
      if (j == 4) walk(since, &steps);
    }
    assert_alike(false);
    finish();
    assert_alike(true);
  }
}

/* What edges were told of a change they are told again when a key was changed meanwhile, and no
 * other sequence has it.
 */
static void a_key_changed_meanwhile_keeps_its_place_in_the_log(void **state) {
  (void)state;
  in_both(fill);
  store = stepwise;
  int64_t since = sequence_now();
  disable_ann();
  int64_t sequence = sequence_now();
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(FIRST + 1), true, NULL, error));
  assert_int_equal(sequence_now(), sequence);
  told t = ask_edges(since);
  for (uint32_t i = 0; i < t.count; i++) {
    assert_int_equal(t.changes[i].sequence, sequence);
    assert_true(t.changes[i].listed);
  }
  free_told(&t);
}

static void the_same_user_changed_twice(void **state) {
  (void)state;
  in_both(fill);
  in_both(disable_ann);
  in_both(enable_ann);
  assert_alike(false);
  in_both(disable_ann);
  in_both(delete_ann);
  finish();
  assert_alike(true);
}

static void a_second_change_waits_no_longer_than_it_may(void **state) {
  (void)state;
  st_audit_context context = *CONTEXT;
  context.until_us = ONCE;
  in_both(fill);
  store = stepwise;
  disable_ann();
  assert_int_equal(st_store_user_set_disabled(store, &context, "ann", false, NULL, error),
                   ST_STORE_BUSY);
  assert_non_null(strstr(error, "try again later"));
  store = at_once;
  disable_ann();
  finish();
  assert_alike(true);
}

static void make_late_keys(void) {
  make_key_with(MADE + 10, "ann", "account", 0);
  make_key_with(MADE + 11, "ann", "keys", 0);
}

static void a_key_made_for_the_user_after_it_is_not_concerned(void **state) {
  (void)state;
  static change_fn *const changes[] = {disable_ann, take_keys_from_ann, delete_ann};
  st_key key;
  for (size_t i = 0; i < 3; i++) {
    in_both(fill);
    in_both(changes[i]);
    in_both(make_late_keys);
    assert_alike(false);
    finish();
    assert_alike(true);
    assert_ok(st_store_key_find(store, id_of(MADE + 11), &key, error));
    assert_int_equal(key.suspended, i == 0);
    remove_stores(state);
    assert_int_equal(make_stores(state), 0);
  }
}

static void make_ann_again(void) {
  make_user(ANN + 500, "ann", "account");
  assert_ok(begin_session(SESSION + 300, grantor_of(ANN + 500), ST_NEVER));
}

static void a_username_made_again_is_not_concerned(void **state) {
  (void)state;
  in_both(fill);
  in_both(delete_ann);
  in_both(make_ann_again);
  assert_alike(false);
  finish();
  assert_alike(true);
  assert_true(alive(SESSION + 300));
}

static void log_in_again(void) {
  st_grantor grantor = {id_of(ANN), sub_of(ANN + 900)};
  st_key session = row_of(SESSION + 400, "", "");
  uint8_t seed[32] = {1};
  assert_ok(st_store_session_begin(store, CONTEXT, &grantor, 1, &session, digest_of(SESSION + 400),
                                   seed, refresh_of(SESSION + 400), error));
}

static void a_session_begun_after_it_is_not_concerned(void **state) {
  (void)state;
  in_both(fill);
  in_both(take_keys_from_ann);
  in_both(log_in_again);
  assert_alike(false);
  finish();
  assert_alike(true);
  assert_true(alive(SESSION + 400));
}

/* Root has made one of ann's keys, and what it made ends too. */
static void disable_root_and_made(void) {
  st_derived made = {.end = true};
  st_audit_context context = *CONTEXT_AT(NOW + 9);
  context.made = &made;
  assert_ok(st_store_user_set_disabled(store, &context, "root", true, NULL, error));
}

static void make_for_ann(void) {
  make_key_with(MADE + 20, "ann", "account", ROOT);
  make_key_with(MADE + 21, "ann", "keys", ROOT);
  assert_ok(begin_session(SESSION + 500, grantor_of(MADE + 20), ST_NEVER));
}

static void what_was_made_ends_whatever_remains_of_it(void **state) {
  (void)state;
  static change_fn *const changes[] = {disable_ann, take_keys_from_ann, delete_ann};
  for (size_t i = 0; i < 3; i++) {
    in_both(fill);
    in_both(make_for_ann);
    in_both(changes[i]);
    in_both(disable_root_and_made);
    assert_alike(false);
    finish();
    assert_alike(true);
    assert_false(alive(MADE + 20));
    remove_stores(state);
    assert_int_equal(make_stores(state), 0);
  }
}

static void restore_a_snapshot(void) {
  uint64_t hashes[2] = {hash_of(FIRST + 1), hash_of(OTHER)};
  st_revocation_snapshot snapshot = {.sequence = NOW * US * 2, .hashes = hashes, .count = 2};
  st_revocation_state current;
  st_restore_report report;
  assert_ok(st_store_revocation_state(store, &current, error));
  memcpy(snapshot.hash_key, current.hash_key, sizeof snapshot.hash_key);
  assert_ok(st_store_restore_revocations(store, CONTEXT, &snapshot, &report, error));
}

static void a_snapshot_is_taken_over_after_the_rest(void **state) {
  (void)state;
  bool left = true;
  in_both(fill);
  in_both(enable_ann);
  in_both(restore_a_snapshot);
  assert_ok(st_store_continue(store, INT64_MAX, &left, error));
  assert_false(left);
  in_both(disable_ann);
  in_both(restore_a_snapshot);
  assert_alike(false);
}

static void a_sub_that_ended_is_refused_for_ever(void **state) {
  (void)state;
  char id[ST_KEY_ID_LEN + 1];
  in_both(fill);
  store = stepwise;
  delete_ann();
  assert_int_equal(
      st_store_revoke_sub(store, CONTEXT, (subtoken_text){sub_of(FIRST + 1), ST_SUB_LEN}, NOW, DAY,
                          id, NULL, error),
      ST_STORE_DENIED);
  st_key key = row_of(FIRST + 1, "bob", "");
  assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(800), error),
                   ST_STORE_EXISTS);
}

static void another_handle_goes_on_with_it(void **state) {
  (void)state;
  in_both(fill);
  in_both(delete_ann);
  store = stepwise;
  (void)step();
  (void)step();
  st_store_close(stepwise);
  stepwise = NULL;
  assert_ok(st_store_open(locations[0], false, &stepwise, error));
  stepwise->change_step = STEP;
  int steps = 0;
  store = stepwise;
  assert_alike(false);
  walk(sequence_now() - 1, &steps);
  assert_true(steps > 1);
  assert_alike(true);
}

static void an_import_changes_many_at_once(void **state) {
  (void)state;
  bool left = false;
  st_user_import entry = {.user = user_of(30, "cat", "account,keys"), .mode = ST_IMPORT_CREATE};
  snprintf(entry.user.imported, sizeof entry.user.imported, "$hash$");
  memcpy(entry.digest, digest_of(30), sizeof entry.digest);
  for (int i = 0; i < 2; i++) {
    store = i == 0 ? at_once : stepwise;
    fill();
    assert_ok(st_store_user_import(store, CONTEXT, &entry, 1, NULL, error));
    for (unsigned n = 0; n < 20; n++) make_key_with(400 + n, "cat", permissions_of(n), 0);
    st_user_import update = {.mode = ST_IMPORT_UPDATE};
    assert_ok(st_store_user_find(store, st_text("cat"), &update.user, error));
    assert_true(st_store_user_fingerprint(&update.user, update.seen));
    snprintf(update.user.key.permissions, sizeof update.user.key.permissions, "account");
    snprintf(update.user.key.sub, sizeof update.user.key.sub, "%s", sub_of(930));
    memset(update.user.password, 0, sizeof update.user.password);
    assert_ok(st_store_user_import(store, CONTEXT, &update, 1, NULL, error));
  }
  assert_alike(false);
  assert_ok(st_store_continue(store, ONCE, &left, error));
  assert_true(left);
  finish();
  assert_alike(true);
}

#define LARGE(name) cmocka_unit_test_setup_teardown(name, make_stores, remove_stores)

int main(void) {
  const struct CMUnitTest tests[] = {
      LARGE(a_user_disabled_and_enabled),
      LARGE(a_user_deleted),
      LARGE(a_user_who_was_disabled_deleted),
      LARGE(a_user_who_loses_permissions),
      LARGE(a_few_rows_leave_nothing),
      LARGE(nothing_is_made_with_what_ended),
      LARGE(keys_changed_after_each_change_of_their_user),
      LARGE(a_key_changed_meanwhile_keeps_its_place_in_the_log),
      LARGE(the_same_user_changed_twice),
      LARGE(a_second_change_waits_no_longer_than_it_may),
      LARGE(a_key_made_for_the_user_after_it_is_not_concerned),
      LARGE(a_username_made_again_is_not_concerned),
      LARGE(a_session_begun_after_it_is_not_concerned),
      LARGE(what_was_made_ends_whatever_remains_of_it),
      LARGE(a_snapshot_is_taken_over_after_the_rest),
      LARGE(a_sub_that_ended_is_refused_for_ever),
      LARGE(another_handle_goes_on_with_it),
      LARGE(an_import_changes_many_at_once),
  };
  return RUN_ON_EVERY_STORE(tests);
}
