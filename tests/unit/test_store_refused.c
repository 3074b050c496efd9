/* Records that are not whole: a store writes none of them, says so, and is as it was. What calls it
 * checks its own input before; here is the last line, which holds whoever calls.
 */
#include "store_contract.h"

static char longest[8192]; /* letters without an end within any member */

static void overfill(char *member, size_t size) {
  memset(member, 'x', size);
}
#define OVERFILL(member) overfill(member, sizeof(member))

static int64_t lines_before;

static void begin_refused(void) {
  error[0] = '\0';
  lines_before = lines();
}

static void assert_refused(const char *what, st_store_status status) {
  if (status != ST_STORE_FAILED || strstr(error, "incomplete") == NULL) {
    fail_msg("%s: answered %d: %s", what, (int)status, error);
  }
  assert_int_equal(lines(), lines_before);
}

/* ---- keys ---- */

static void a_key_that_is_not_whole(void **state) {
  (void)state;
  for (int i = 0; i < 16; i++) {
    st_key key = row_of(1, "ann", "a"), found;
    switch (i) {
      case 0: key.id[0] = '\0'; break;
      case 1: OVERFILL(key.id); break;
      case 2: key.sub[ST_SUB_LEN - 1] = '\0'; break;
      case 3: OVERFILL(key.sub); break;
      case 4: OVERFILL(key.name); break;
      case 5: OVERFILL(key.owner); break;
      case 6: OVERFILL(key.permissions); break;
      case 7: OVERFILL(key.audience); break;
      case 8: snprintf(key.audience, sizeof key.audience, "a b"); break;
      case 9: key.created_at = -1; break;
      case 10: key.created_at = INT64_MAX; break;
      case 11: key.expires_at = -1; break;
      case 12: key.expires_at = INT64_MAX; break;
      case 13: key.kind = ST_KIND_USER; break;
      case 14: snprintf(key.parent, sizeof key.parent, "x"); break;
      default: snprintf(key.parent, sizeof key.parent, "%s", id_of(2)); break;
    }
    begin_refused();
    assert_refused("a key", st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
    assert_int_equal(st_store_by_digest(store, digest_of(1), &found, error), ST_STORE_NOT_FOUND);
  }
  st_key key = row_of(1, "ann", "a"); /* the first second is a time */
  key.created_at = 0;
  assert_ok(st_store_key_create(store, CONTEXT, NULL, &key, digest_of(1), error));
}

/* ---- users ---- */

static st_user damaged_user(int how) {
  st_user user = user_of(1, "ann", "a");
  switch (how) {
    case 0: user.key.sub[0] = '\0'; break;
    case 1: user.key.kind = ST_KIND_KEY; break;
    case 2: snprintf(user.key.parent, sizeof user.key.parent, "%s", id_of(2)); break;
    case 3: user.key.owner[0] = user.key.name[0] = '\0'; break;
    case 4: snprintf(user.key.name, sizeof user.key.name, "bob"); break;
    case 5: user.key.disabled = true; break;
    case 6: user.key.suspended = true; break;
    case 7: OVERFILL(user.password); break;
    case 8: OVERFILL(user.imported); break;
    case 9: OVERFILL(user.locale); break;
    default: OVERFILL(user.source); break;
  }
  return user;
}

static void a_user_that_is_not_whole(void **state) {
  (void)state;
  for (int i = 0; i < 11; i++) {
    st_user_import all[2] = {{.user = user_of(2, "bob", "a"), .mode = ST_IMPORT_CREATE},
                             {.user = damaged_user(i), .mode = ST_IMPORT_CREATE}};
    st_user user = damaged_user(i), found;
    begin_refused();
    assert_refused("a user",
                   st_store_user_create(store, CONTEXT, NULL, false, &user, digest_of(1), error));
    assert_refused("an import", st_store_user_import(store, CONTEXT, all, 2, NULL, error));
    assert_refused("the first", st_store_user_import(store, CONTEXT, all + 1, 1, NULL, error));
    assert_int_equal(st_store_user_find(store, ST_TEXT("ann"), &found, error), ST_STORE_NOT_FOUND);
    assert_int_equal(st_store_user_find(store, ST_TEXT("bob"), &found, error), ST_STORE_NOT_FOUND);
  }
  make_user(1, "ann", "a");
}

static void what_a_user_gets_that_does_not_fit(void **state) {
  (void)state;
  st_user user;
  const char *of_43 = sub_of(9);
  make_user(1, "ann", "a");
  begin_refused();
  assert_refused("no sub",
                 st_store_user_set_permissions(store, CONTEXT, "ann", "a", "", NULL, error));
  assert_refused("a long sub",
                 st_store_user_set_permissions(store, CONTEXT, "ann", "a", longest, NULL, error));
  assert_refused("permissions",
                 st_store_user_set_permissions(store, CONTEXT, "ann", longest, of_43, NULL, error));
  assert_refused("a password",
                 st_store_user_set_password(store, CONTEXT, "ann", longest, of_43, NULL, error));
  assert_refused("a hash", st_store_user_rehash(store, "ann", "$hash$1", longest, error));
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
  assert_string_equal(user.key.permissions, "a");
  assert_string_equal(user.password, "$hash$1");
}

/* ---- sessions ---- */

static void a_session_that_is_not_whole(void **state) {
  (void)state;
  uint8_t seed[32] = {1};
  make_key(1, "ann", "a");
  for (int i = 0; i < 6; i++) {
    st_key session = row_of(2, "", "");
    const char *refresh = refresh_of(2);
    int64_t most = 1;
    session.expires_at = NOW + 100;
    switch (i) {
      case 0: session.id[0] = '\0'; break;
      case 1: session.sub[0] = '\0'; break;
      case 2: session.expires_at = -1; break;
      case 3: refresh = "short"; break;
      case 4: refresh = longest; break;
      default: most = 0; break;
    }
    begin_refused();
    assert_refused("a session",
                   st_store_session_begin(store, CONTEXT, grantor_of(1), most, &session,
                                          digest_of(2), seed, refresh, error));
  }
  assert_ok(begin_session(2, grantor_of(1), NOW + 100));
  for (int i = 0; i < 2; i++) {
    st_key session;
    char successor[ST_REFRESH_LEN + 1] = "x";
    begin_refused();
    assert_refused("an expiry", st_store_session_refresh(store, CONTEXT, st_text(refresh_of(2)),
                                                         i == 0 ? -1 : INT64_MAX, 0, &session,
                                                         successor, error));
    assert_string_equal(successor, "");
  }
}

/* A session begins nothing that begins a session. */
static void a_session_makes_no_session(void **state) {
  (void)state;
  make_key(1, "ann", "a");
  assert_ok(begin_session(2, grantor_of(1), NOW + 100));
  assert_int_equal(begin_session(3, grantor_of(2), NOW + 100), ST_STORE_DENIED);
}

/* ---- tokens ---- */

static void a_token_that_is_not_whole(void **state) {
  (void)state;
  static const char tid[] = "a-tid-0123456789";
  make_key(1, "ann", "a");
  for (int i = 0; i < 10; i++) {
    st_key_token token = {
        .sub = st_text(sub_of(1)), .tid = {tid, ST_TID_LEN}, .exp = NOW + 100, .via_count = 2};
    token.via[0] = token.via[1] = token.tid;
    switch (i) {
      case 0: token.tid.data = NULL; break;
      case 1: token.tid.len--; break;
      case 2: token.tid.data = "a-tid-012345678 "; break;
      case 3: token.tid.data = "a-tid-012345678\0"; break;
      case 4: token.exp = -1; break;
      case 5: token.exp = INT64_MAX; break;
      case 6: token.via_count = SUBTOKEN_VIA_MAX + 1; break;
      case 7: token.via[0].data = NULL; break;
      case 8: token.via[1].len--; break;
      default: token.via[1].data = "a-tid,0123456789"; break;
    }
    begin_refused();
    assert_refused("a token", st_store_token_revoke(store, CONTEXT, &token, 100, NULL, error));
  }
}

/* ---- what is restored, or revoked by its sub ---- */

static void a_snapshot_that_cannot_be(void **state) {
  (void)state;
  uint64_t hash = 7;
  st_restore_report report;
  int64_t before = sequence_now();
  for (int i = 0; i < 2; i++) {
    st_revocation_snapshot snapshot = {
        .sequence = i == 0 ? 0 : INT64_MAX, .hashes = &hash, .count = 1, .life = 3600};
    error[0] = '\0';
    assert_int_equal(st_store_restore_revocations(store, CONTEXT, &snapshot, &report, error),
                     ST_STORE_FAILED);
    assert_non_null(strstr(error, "sequence"));
  }
  assert_int_equal(sequence_now(), before);
  st_revocation_snapshot last = {
      .sequence = ST_RESTORE_SEQUENCE_MAX + 1, .hashes = &hash, .count = 1, .life = 3600};
  assert_int_equal(st_store_restore_revocations(store, CONTEXT, &last, &report, error),
                   ST_STORE_FAILED);
  last.sequence--;
  assert_ok(st_store_restore_revocations(store, CONTEXT, &last, &report, error));
  assert_int_equal(sequence_now(), ST_RESTORE_SEQUENCE_MAX + 1);
}

static void a_sub_that_can_be_of_no_token(void **state) {
  (void)state;
  char id[ST_KEY_ID_LEN + 1];
  int64_t before = sequence_now();
  for (int i = 0; i < 2; i++) {
    error[0] = '\0';
    assert_int_equal(st_store_revoke_sub(store, CONTEXT,
                                         (subtoken_text){longest, i == 0 ? 0 : sizeof longest - 1},
                                         NOW, 3600, id, NULL, error),
                     ST_STORE_FAILED);
    assert_string_not_equal(error, "");
  }
  assert_int_equal(sequence_now(), before);
  const subtoken_text subs[] = {{longest, SUBTOKEN_SUB_MAX + 1}, {longest, SUBTOKEN_SUB_MAX}};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(st_store_revoke_sub(store, CONTEXT, subs[i], NOW, 3600, id, NULL, error),
                     i == 0 ? ST_STORE_FAILED : ST_STORE_OK);
  }
  assert_int_equal(strlen(last_line().target), SUBTOKEN_SUB_MAX);
}

/* ---- texts that no database holds ---- */

static void a_name_that_cannot_be_stored_is_not_found(void **state) {
  (void)state;
  st_user user;
  static const subtoken_text names[] = {{"an\0n", 4}, {"\xff\xfe", 2}, {"", 0}};
  make_user(1, "ann", "a");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_int_equal(st_store_user_find(store, names[i], &user, error), ST_STORE_NOT_FOUND);
  }
  assert_ok(st_store_user_find(store, ST_TEXT("ann"), &user, error));
}

int main(void) {
  memset(longest, 'x', sizeof longest - 1);
  const struct CMUnitTest tests[] = {
      TEST(a_key_that_is_not_whole),
      TEST(a_user_that_is_not_whole),
      TEST(what_a_user_gets_that_does_not_fit),
      TEST(a_session_that_is_not_whole),
      TEST(a_session_makes_no_session),
      TEST(a_token_that_is_not_whole),
      TEST(a_snapshot_that_cannot_be),
      TEST(a_sub_that_can_be_of_no_token),
      TEST(a_name_that_cannot_be_stored_is_not_found),
  };
  return RUN_ON_EVERY_STORE(tests);
}
