/* The audit log: a line for each change, in its transaction; and when a key was last used. */
#include "store_fixture.h"

/* ---- lines ---- */

static void every_change_of_a_key_has_its_line(void **state) {
  (void)state;
  st_key key = row_of(1, "ann", "a,b");
  key.expires_at = NOW + 60;
  good(st_store_key_create(store, AT(NOW + 1), NULL, &key, digest_of(1), error));
  assert_line("key.create", id_of(1),
              "permissions a,b; expires 2023-11-14T22:14:20Z; owner ann; name key 1");
  st_audit_line line = last_line();
  assert_int_equal(line.at, NOW + 1);
  assert_string_equal(line.who, "key 0");
  assert_string_equal(line.from, "127.0.0.1");
  good(st_store_key_rename(store, ACT, id_of(1), "other", error));
  assert_line("key.rename", id_of(1), "name other; before key 1");
  const char *now = "permissions a,b; expires 2023-11-14T22:14:20Z; owner ann; name other";
  good(st_store_key_set_disabled(store, ACT, id_of(1), true, NULL, error));
  assert_line("key.disable", id_of(1), now);
  good(st_store_key_set_disabled(store, ACT, id_of(1), true, NULL, error)); /* was so before */
  assert_line("key.disable", id_of(1), now);
  good(st_store_key_set_disabled(store, ACT, id_of(1), false, NULL, error));
  assert_line("key.enable", id_of(1), now);
  good(st_store_key_replace_sub(store, ACT, id_of(1), sub_of(2), NULL, error));
  assert_line("key.revoke_subtokens", id_of(1), now);
  good(st_store_key_delete(store, ACT, id_of(1), NULL, error));
  assert_line("key.delete", id_of(1), now);
  assert_int_equal(lines(), 7);
}

static void what_did_not_happen_has_none(void **state) {
  (void)state;
  make_key(1, "", "");
  assert_line("key.create", id_of(1), "no permissions; expires never; name key 1");
  st_key key = row_of(1, "", "");
  assert_int_equal(st_store_key_create(store, ACT, NULL, &key, digest_of(1), error),
                   ST_STORE_EXISTS);
  assert_int_equal(st_store_key_rename(store, ACT, id_of(2), "x", error), ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_set_disabled(store, ACT, id_of(2), true, NULL, error),
                   ST_STORE_NOT_FOUND);
  assert_int_equal(st_store_key_replace_sub(store, ACT, id_of(1), sub_of(1), NULL, error),
                   ST_STORE_EXISTS);
  assert_int_equal(lines(), 1);
}

static void a_line_is_added(void **state) {
  (void)state;
  good(st_store_audit_add(store, AT(NOW + 3), "secret.add", "kid", "made with care", error));
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
  st_audit_context act = {.now_us = NOW * US, .who = text, .from = text};
  good(st_store_audit_add(store, &act, "a", text, text, error));
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
  good(st_store_key_create(store, ACT, NULL, &key, digest_of(1), error));
  assert_int_equal(strlen(last_line().detail), ST_AUDIT_DETAIL_MAX);
  memset(text, 'm', ST_NAME_MAX);
  text[ST_NAME_MAX] = '\0';
  good(st_store_key_rename(store, ACT, id_of(1), text, error));
  text[ST_NAME_MAX] = 'm';
  text[ST_NAME_MAX + 1] = '\0';
  assert_int_equal(st_store_key_rename(store, ACT, id_of(1), text, error), ST_STORE_FAILED);
  st_user person = person_of(2, "x", key.permissions);
  memset(person.key.owner, 'o', ST_NAME_MAX);
  memset(person.key.name, 'o', ST_NAME_MAX);
  good(st_store_user_create(store, ACT, NULL, false, &person, digest_of(2), error));
  key.permissions[0] = 'q';
  good(st_store_user_set_permissions(store, ACT, person.key.owner, key.permissions, sub_of(3), NULL,
                                     error));
  assert_int_equal(strlen(last_line().detail), ST_AUDIT_DETAIL_MAX);
  good(st_store_user_delete(store, ACT, person.key.owner, NULL, error));
  assert_int_equal(ask("SELECT max(length(detail)) FROM audit WHERE target LIKE '0%'"),
                   ST_AUDIT_DETAIL_MAX);
}

static void is_read_in_pages_from_the_newest_on(void **state) {
  (void)state;
  st_audit_line page[4];
  size_t count = 0;
  char target[16];
  good(st_store_audit_list(store, 0, 4, page, &count, error));
  assert_int_equal(count, 0);
  for (int i = 1; i <= 6; i++) {
    snprintf(target, sizeof target, "%d", i);
    good(st_store_audit_add(store, ACT, "a", target, "", error));
  }
  good(st_store_audit_list(store, 0, 4, page, &count, error));
  assert_int_equal(count, 4);
  assert_string_equal(page[0].target, "6");
  assert_string_equal(page[3].target, "3");
  assert_true(page[0].id > page[1].id);
  good(st_store_audit_list(store, page[3].id, 4, page, &count, error));
  assert_int_equal(count, 2);
  assert_string_equal(page[1].target, "1");
  good(st_store_audit_list(store, page[1].id, 4, page, &count, error));
  assert_int_equal(count, 0);
}

/* No password, however it is hashed, and no token. */
static void knows_no_secrets(void **state) {
  (void)state;
  st_key login;
  char next[ST_REFRESH_LEN + 1];
  make_person(1, "ann", "a");
  good(log_in(2, maker_of(1), NOW + 99));
  good(st_store_session_refresh(store, ACT, (subtoken_text){refresh_of(2), ST_REFRESH_LEN},
                                NOW + 99, 30, &login, next, error));
  good(st_store_user_set_password(store, ACT, "ann", "$hash$other", sub_of(3), NULL, error));
  st_user again = person_of(4, "carl", "a");
  snprintf(again.imported, sizeof again.imported, "$hash$salted");
  st_user_import user = {.user = again, .mode = ST_IMPORT_CREATE};
  memcpy(user.digest, digest_of(4), 32);
  good(st_store_user_import(store, ACT, &user, 1, NULL, error));
  good(st_store_user_delete(store, ACT, "ann", NULL, error));
  char text[400];
  snprintf(text, sizeof text,
           "SELECT count(*) FROM audit WHERE instr(action || who || origin || target || detail, "
           "'hash') OR instr(detail, '%s') OR instr(detail, '%s') OR instr(detail, '%s')",
           next, refresh_of(2), sub_of(1));
  assert_int_equal(ask(text), 0);
  assert_true(lines() >= 5);
}

/* ---- last use ---- */

static int64_t used_at(unsigned n) {
  st_key key;
  good(st_store_key_find(store, id_of(n), &key, error));
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
  good(st_store_key_mark_used(store, uses, 4, error));
  good(st_store_key_mark_used(store, NULL, 0, error));
  assert_int_equal(used_at(1), NOW + 1);
  good(st_store_key_mark_used(store, &uses[0], 1, error)); /* late news */
  reopen();
  assert_int_equal(used_at(1), NOW + 1);
  good(st_store_key_list(store, "ann", "", 3, page, &count, error));
  assert_int_equal(count, 3);
  assert_int_equal(page[1].used_at, NOW + 5);
  assert_int_equal(page[2].used_at, 0);
  st_key key;
  good(st_store_key_find_sub(store, (subtoken_text){sub_of(2), ST_SUB_LEN}, &key, error));
  assert_int_equal(key.used_at, NOW + 5);
  assert_int_equal(found(1, &key), ST_STORE_OK);
  assert_int_equal(key.used_at, 0); /* that is not asked when a request is answered */
  assert_int_equal(ask("SELECT count(*) FROM used"), 2);
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
