/* The audit log: a line for each change, in its transaction; and when a key was used last. */
#include "store_contract.h"

/* ---- lines ---- */

static void every_change_of_a_key_has_its_line(void **state) {
  (void)state;
  st_key key = row_of(1, "ann", "a,b");
  key.expires_at = NOW + 60;
  assert_ok(st_store_key_create(store, CONTEXT_AT(NOW + 1), NULL, &key, digest_of(1), error));
  assert_line("key.create", id_of(1),
              "permissions a,b; expires 2023-11-14T22:14:20Z; owner ann; name key 1");
  st_audit_line line = last_line();
  assert_int_equal(line.at, NOW + 1);
  assert_string_equal(line.who, "key 0");
  assert_string_equal(line.from, "127.0.0.1");
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(1), "other", error));
  assert_line("key.rename", id_of(1), "name other; before key 1");
  const char *now = "permissions a,b; expires 2023-11-14T22:14:20Z; owner ann; name other";
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error));
  assert_line("key.disable", id_of(1), now);
  assert_ok(
      st_store_key_set_disabled(store, CONTEXT, id_of(1), true, NULL, error)); /* was so before */
  assert_line("key.disable", id_of(1), now);
  assert_ok(st_store_key_set_disabled(store, CONTEXT, id_of(1), false, NULL, error));
  assert_line("key.enable", id_of(1), now);
  assert_ok(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(2), NULL, error));
  assert_line("key.revoke_subtokens", id_of(1), now);
  assert_ok(st_store_key_delete(store, CONTEXT, id_of(1), NULL, error));
  assert_line("key.delete", id_of(1), now);
  assert_int_equal(lines(), 7);
}

static void what_did_not_happen_has_none(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_line("key.create", id_of(1), "no permissions; expires never; name key 1");
  st_key key = row_of(1, "", "");
  assert_int_equal(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error),
                   ST_STORE_EXISTS);
  assert_int_equal(st_store_key_rename(store, CONTEXT, id_of(2), "x", error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_set_disabled(store, CONTEXT, id_of(2), true, NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_replace_sub(store, CONTEXT, id_of(1), sub_of(1), NULL, error),
                   ST_STORE_EXISTS);
  assert_int_equal(lines(), 1);
}

static void a_line_is_added(void **state) {
  (void)state;
  assert_ok(
      st_store_audit_add(store, CONTEXT_AT(NOW + 3), "secret.add", "kid", "made with care", error));
  assert_line("secret.add", "kid", "made with care");
  assert_int_equal(last_line().at, NOW + 3);
  reopen();
  assert_line("secret.add", "kid", "made with care");
}

/* Each text is cut where it is too long for a line, between two characters. */
static void what_is_too_long_is_cut(void **state) {
  (void)state;
  char text[3000];
  for (size_t i = 0; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 2);
  text[sizeof text - 2] = '\0';
  st_audit_context context = {.now_us = NOW * US, .who = text, .from = text};
  assert_ok(st_store_audit_add(store, &context, "a", text, text, error));
  st_audit_line line = last_line();
  assert_int_equal(strlen(line.who), (sizeof line.who - 1) / 2 * 2);
  assert_int_equal(strlen(line.from), (sizeof line.from - 1) / 2 * 2);
  assert_int_equal(strlen(line.target), ST_NAME_MAX);
  assert_int_equal(strlen(line.detail), ST_AUDIT_DETAIL_MAX - 1);
  assert_memory_equal(line.detail, text, ST_AUDIT_DETAIL_MAX - 1);

  /* The longest there is of everything. */
  st_key key = row_of(1, "", "");
  memset(key.name, 'n', ST_NAME_MAX);
  memset(key.owner, 'o', ST_NAME_MAX);
  memset(key.permissions, 'p', ST_PERMISSIONS_TEXT_MAX);
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
  assert_int_equal(strlen(last_line().detail), ST_AUDIT_DETAIL_MAX);
  memset(text, 'm', ST_NAME_MAX);
  text[ST_NAME_MAX] = '\0';
  assert_ok(st_store_key_rename(store, CONTEXT, id_of(1), text, error));
  text[ST_NAME_MAX] = 'm';
  text[ST_NAME_MAX + 1] = '\0';
  assert_int_equal(st_store_key_rename(store, CONTEXT, id_of(1), text, error), ST_STORE_FAILED);
  st_user user = user_of(2, "x", key.permissions);
  memset(user.key.owner, 'o', ST_NAME_MAX);
  memset(user.key.name, 'o', ST_NAME_MAX);
  assert_ok(st_store_user_create(store, CONTEXT, NULL, false, &user, digest_of(2), error));
  key.permissions[0] = 'q';
  assert_ok(st_store_user_set_permissions(store, CONTEXT, user.key.owner, key.permissions,
                                          sub_of(3), NULL, error));
  assert_int_equal(strlen(last_line().detail), ST_AUDIT_DETAIL_MAX);
  assert_ok(st_store_user_delete(store, CONTEXT, user.key.owner, NULL, error));
  static st_audit_line all[20];
  size_t count = 0;
  assert_ok(st_store_audit_list(store, 0, 20, all, &count, error));
  for (size_t i = 0; i < count; i++) assert_true(strlen(all[i].detail) <= ST_AUDIT_DETAIL_MAX);
}

static void is_read_in_pages_from_the_newest_on(void **state) {
  (void)state;
  st_audit_line page[4];
  size_t count = 0;
  char target[16];
  assert_ok(st_store_audit_list(store, 0, 4, page, &count, error));
  assert_int_equal(count, 0);
  for (int i = 1; i <= 6; i++) {
    snprintf(target, sizeof target, "%d", i);
    assert_ok(st_store_audit_add(store, CONTEXT, "a", target, "", error));
  }
  assert_ok(st_store_audit_list(store, 0, 4, page, &count, error));
  assert_int_equal(count, 4);
  assert_string_equal(page[0].target, "6");
  assert_string_equal(page[3].target, "3");
  assert_true(page[0].id > page[1].id);
  assert_ok(st_store_audit_list(store, page[3].id, 4, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[1].target, "1");
  assert_ok(st_store_audit_list(store, page[1].id, 4, page, &count, error));
  assert_int_equal(count, 0);
}

/* No password, however it is hashed, and no token. */
static void knows_no_secrets(void **state) {
  (void)state;
  st_key session;
  char next[ST_REFRESH_LEN + 1];
  make_user(1, "ann", "a");
  assert_ok(begin_session(2, grantor_of(1), NOW + 99));
  assert_ok(st_store_session_refresh(store, CONTEXT, (subtoken_text){refresh_of(2), ST_REFRESH_LEN},
                                     NOW + 99, 30, &session, next, error));
  assert_ok(
      st_store_user_set_password(store, CONTEXT, "ann", "$hash$other", sub_of(3), NULL, error));
  st_user again = user_of(4, "carl", "a");
  snprintf(again.imported, sizeof again.imported, "$hash$salted");
  st_user_import user = {.user = again, .mode = ST_IMPORT_CREATE};
  memcpy(user.digest, digest_of(4), 32);
  assert_ok(st_store_user_import(store, CONTEXT, &user, 1, NULL, error));
  assert_ok(st_store_user_delete(store, CONTEXT, "ann", NULL, error));
  static st_audit_line all[20];
  size_t count = 0;
  assert_ok(st_store_audit_list(store, 0, 20, all, &count, error));
  assert_true(count >= 5);
  for (size_t i = 0; i < count; i++) {
    const char *texts[] = {all[i].action, all[i].who, all[i].from, all[i].target, all[i].detail};
    for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
      assert_null(strstr(texts[j], "hash"));
      assert_null(strstr(texts[j], next));
      assert_null(strstr(texts[j], refresh_of(2)));
      assert_null(strstr(texts[j], sub_of(1)));
    }
  }
}

/* ---- last use ---- */

static int64_t used_at(unsigned n) {
  st_key key;
  assert_ok(st_store_key_find(store, id_of(n), &key, error));
  return key.used_at;
}

static st_key_use use_of(unsigned n, int64_t at) {
  st_key_use use = {.at = at};
  snprintf(use.id, sizeof use.id, "%s", id_of(n));
  return use;
}

static void keeps_when_a_key_was_used(void **state) {
  (void)state;
  st_key page[3];
  size_t count = 0;
  for (unsigned n = 1; n <= 3; n++) make_key(n, "ann", "a");
  assert_int_equal(used_at(1), 0);
  st_key_use uses[] = {use_of(1, NOW), use_of(9, NOW), use_of(2, NOW + 5), use_of(1, NOW + 1)};
  assert_ok(st_store_key_mark_used(store, uses, 4, error));
  assert_ok(st_store_key_mark_used(store, NULL, 0, error));
  assert_int_equal(used_at(1), NOW + 1);
  assert_ok(st_store_key_mark_used(store, &uses[0], 1, error)); /* late news */
  reopen();
  assert_int_equal(used_at(1), NOW + 1);
  assert_ok(st_store_key_list(store, "ann", "", 3, page, &count, error));
  assert_int_equal(count, 3);
  assert_int_equal(page[1].used_at, NOW + 5);
  assert_int_equal(page[2].used_at, 0);
  st_key key;
  assert_ok(st_store_key_find_sub(store, (subtoken_text){sub_of(2), ST_SUB_LEN}, &key, error));
  assert_int_equal(key.used_at, NOW + 5);
  assert_int_equal(row_by_sub(1, &key), ST_STORE_OK);
  assert_int_equal(key.used_at, 0); /* that is not asked when a request is answered */
}

/* The ids of all lines, oldest first, in pages of so many, as one text. */
static const char *ids_after(int64_t after, size_t page) {
  static char text[256];
  st_audit_place place = {.last = after};
  static st_audit_line found[8];
  size_t count = page;
  text[0] = '\0';
  while (count == page || place.unsettled != 0) { /* others may use this PostgreSQL */
    assert_ok(st_store_audit_follow(store, &place, page, found, &count, error));
    for (size_t i = 0; i < count; i++) {
      size_t len = strlen(text);
      snprintf(text + len, sizeof text - len, " %d", (int)found[i].id);
      assert_true(found[i].id > after);
      after = found[i].id;
    }
  }
  return text;
}

static void lines_follow_an_id(void **state) {
  (void)state;
  assert_string_equal(ids_after(0, 3), "");
  for (int i = 0; i < 6; i++) assert_ok(st_store_audit_add(store, CONTEXT, "a", "", "", error));
  for (size_t page = 1; page <= 8; page++) {
    assert_string_equal(ids_after(0, page), " 1 2 3 4 5 6");
    assert_string_equal(ids_after(4, page), " 5 6");
    assert_string_equal(ids_after(6, page), "");
  }
}

static void add_at(int64_t at) {
  assert_ok(st_store_audit_add(store, CONTEXT_AT(at), "a", "", "", error));
}

#define HOUR 3600
#define KEEP INT64_C(86400)

/* A server lives so long; each handle counts on from its first call. */
static void live(int64_t seconds) {
  static int64_t uptime_us;
  assert_ok(st_store_count_uptime(store, uptime_us, error));
  uptime_us += seconds * US;
  assert_ok(st_store_count_uptime(store, uptime_us, error));
}

/* Cuts what is older than KEEP at that time, in as many steps. */
static void cut(int64_t now, int64_t removed, int steps) {
  st_audit_cut it = {.keep = KEEP, .more = true};
  for (; it.more; steps--) assert_ok(st_store_audit_cut(store, CONTEXT_AT(now), &it, error));
  assert_int_equal(it.removed, removed);
  assert_int_equal(it.before, now - KEEP);
  assert_int_equal(steps, 0);
}

static void old_lines_are_removed(void **state) {
  (void)state;
  cut(NOW + KEEP, 0, 1); /* there is none */
  for (int64_t at = NOW; at < NOW + 3; at++) add_at(at);
  add_at(NOW + 100); /* by a clock that ran ahead */
  add_at(NOW + 3);
  add_at(NOW + 4);
  live(KEEP + HOUR);
  live(KEEP + HOUR);
  cut(NOW + KEEP, 0, 1);
  assert_string_equal(ids_after(0, 8), " 1 2 3 4 5 6");
  cut(NOW + KEEP + 2, 2, 1);
  assert_line("audit.cut", "", "2 lines from before 2023-11-14T22:13:22Z");
  assert_int_equal(last_line().at, NOW + KEEP + 2);
  assert_string_equal(ids_after(0, 8), " 3 4 5 6 7");
  cut(NOW + KEEP + 4, 2, 1);
  assert_string_equal(ids_after(0, 8), " 4 6 7 8");
  cut(NOW + KEEP + 101, 2, 1);
  assert_string_equal(ids_after(0, 8), " 7 8 9");
  reopen();
  cut(NOW + KEEP + 101, 0, 1);
  add_at(NOW + 5);
  assert_string_equal(ids_after(0, 8), " 7 8 9 10"); /* no id comes again */
}

/* Neither a clock that jumps ahead nor one that was behind makes a line old. */
static void a_line_is_old_by_uptime_too(void **state) {
  (void)state;
  add_at(NOW);
  add_at(0); /* the clock was not set yet */
  live(HOUR);
  add_at(NOW);
  cut(NOW + 400 * KEEP, 0, 1);
  live(KEEP - HOUR);
  cut(NOW + 400 * KEEP, 0, 1);
  reopen();
  live(HOUR);
  cut(NOW, 1, 1); /* of the two that are old enough by uptime, the clock says it of one */
  assert_string_equal(ids_after(0, 8), " 1 3 4");
  cut(NOW + 400 * KEEP, 1, 1);
  assert_string_equal(ids_after(0, 8), " 3 4 5");
  live(KEEP); /* nobody has written since, and what was marked stays so */
  live(HOUR);
  cut(NOW + 400 * KEEP, 1, 1);
  assert_string_equal(ids_after(0, 8), " 4 5 6");
}

/* Those who tell of cuts are no reason for one, which would go on for ever; with others they go. */
static void lines_of_cuts_do_not_go_alone(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) add_at(NOW);
  live(2 * HOUR);
  live(KEEP);
  cut(NOW + 2 * KEEP, 2 - 1, 1); /* but for the last */
  cut(NOW + 2 * KEEP, 1, 1);
  live(2 * KEEP);
  live(KEEP);
  cut(NOW + 9 * KEEP, 0, 1);
  assert_string_equal(ids_after(0, 8), " 3 4");
  add_at(NOW + KEEP);
  add_at(NOW + 9 * KEEP);
  live(HOUR);
  live(KEEP);
  cut(NOW + 9 * KEEP, 3, 1);
  assert_string_equal(ids_after(0, 8), " 6 7");
}

/* More than one transaction looks at: a line for all of them, also when a stop comes between. */
static void many_old_lines_are_removed(void **state) {
  (void)state;
  for (int i = 0; i < 2300; i++) add_at(NOW);
  add_at(NOW + 1);
  live(HOUR);
  live(KEEP);
  st_audit_cut begun = {.keep = KEEP};
  assert_ok(st_store_audit_cut(store, CONTEXT_AT(NOW + KEEP + 1), &begun, error));
  assert_true(begun.more && begun.removed == 1000);
  assert_int_equal(lines(), 1301);
  reopen();
  cut(NOW + KEEP + 1, 2300, 2);
  assert_line("audit.cut", "", "2300 lines from before 2023-11-14T22:13:21Z");
  cut(NOW + KEEP + 1, 0, 1);
  assert_string_equal(ids_after(0, 8), " 2301 2302");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_change_of_a_key_has_its_line),
      TEST(what_did_not_happen_has_none),
      TEST(a_line_is_added),
      TEST(what_is_too_long_is_cut),
      TEST(is_read_in_pages_from_the_newest_on),
      TEST(knows_no_secrets),
      TEST(keeps_when_a_key_was_used),
      TEST(lines_follow_an_id),
      TEST(old_lines_are_removed),
      TEST(a_line_is_old_by_uptime_too),
      TEST(lines_of_cuts_do_not_go_alone),
      TEST(many_old_lines_are_removed),
  };
  return RUN_ON_EVERY_STORE(tests);
}
