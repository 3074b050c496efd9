/* Keys and users at the ends of what they may be: as JSON, their ids, what they grant, and which
 * tokens they have made. The other records of domain are in test_domain_bounds.c.
 */
#include "support.h"

#include "domain/key.h"
#include "domain/key_json.h"
#include "domain/names.h"
#include "domain/user_json.h"

#define ID "0A1B2C3D-0000-1111-2222-333344445555"

static st_key key_of(void) {
  st_key key;
  memset(&key, 0, sizeof key);
  snprintf(key.id, sizeof key.id, ID);
  snprintf(key.sub, sizeof key.sub, "sub");
  snprintf(key.name, sizeof key.name, "a \"b\"");
  snprintf(key.owner, sizeof key.owner, "alice");
  snprintf(key.permissions, sizeof key.permissions, "account,guilds");
  key.created_at = NOW;
  key.expires_at = NOW + 60;
  return key;
}

/* ---- keys as JSON ---- */

static const char *key_json(const st_key *key, const char *whole) {
  static char out[4096];
  st_writer writer = st_writer_on(out, sizeof out);
  st_key_json_write(&writer, key, whole, NOW);
  assert_true(st_writer_end(&writer));
  return out;
}

static void a_key_is_written_with_all_its_members(void **state) {
  (void)state;
  st_key key = key_of();
  assert_string_equal(
      key_json(&key, NULL),
      "{\"id\":\"" ID
      "\",\"name\":\"a \\\"b\\\"\",\"owner\":\"alice\","
      "\"permissions\":[\"account\",\"guilds\"],\"created_at\":\"2023-11-14T22:13:20Z\","
      "\"expires_at\":\"2023-11-14T22:14:20Z\",\"disabled\":false,\"state\":\"active\","
      "\"last_used_at\":null,\"sub\":\"sub\",\"rotated_at\":null,\"old_until\":null,"
      "\"audience\":null}");
  key.permissions[0] = '\0';
  key.expires_at = ST_NEVER;
  key.disabled = true;
  key.used_at = key.rotated_at = key.old_until = NOW + 1;
  snprintf(key.audience, sizeof key.audience, "w");
  assert_string_equal(
      key_json(&key, "whole"),
      "{\"key\":\"whole\",\"id\":\"" ID
      "\",\"name\":\"a \\\"b\\\"\",\"owner\":\"alice\","
      "\"permissions\":[],\"created_at\":\"2023-11-14T22:13:20Z\",\"expires_at\":null,"
      "\"disabled\":true,\"disabled_by\":\"administrator\",\"state\":\"disabled\","
      "\"last_used_at\":\"2023-11-14T22:13:21Z\",\"sub\":\"sub\","
      "\"rotated_at\":\"2023-11-14T22:13:21Z\",\"old_until\":\"2023-11-14T22:13:21Z\","
      "\"audience\":\"w\"}");
  key.disabled_by_owner = true;
  assert_non_null(strstr(key_json(&key, NULL), "\"disabled_by\":\"owner\""));
}

static void a_key_has_one_state(void **state) {
  (void)state;
  static const struct {
    bool disabled, suspended;
    int64_t life;
    const char *want;
  } rows[] = {{false, false, 1, "active"},   {false, false, 0, "expired"},
              {false, true, 0, "suspended"}, {true, true, 0, "disabled"},
              {true, false, 1, "disabled"},  {false, true, 1, "suspended"}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_key key = key_of();
    key.disabled = rows[i].disabled;
    key.suspended = rows[i].suspended;
    key.expires_at = NOW + rows[i].life;
    assert_string_equal(st_key_json_state(&key, NOW), rows[i].want);
  }
}

static void what_was_made_is_written(void **state) {
  (void)state;
  static st_derived made;
  char out[512];
  memset(&made, 0, sizeof made);
  st_writer writer = st_writer_on(out, sizeof out);
  st_key_json_write_made(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out, "{\"keys\":0,\"users\":0,\"ended\":false,\"list\":[]}");
  made = (st_derived){.end = true, .more = true, .keys = 1, .users = 2, .count = 2};
  made.items[0].user = true;
  snprintf(made.items[0].name, sizeof made.items[0].name, "bob");
  snprintf(made.items[1].name, sizeof made.items[1].name, ID);
  writer = st_writer_on(out, sizeof out);
  st_key_json_write_made(&writer, &made);
  assert_true(st_writer_end(&writer));
  assert_string_equal(out,
                      "{\"keys\":1,\"users\":2,\"ended\":true,\"more\":true,\"list\":["
                      "{\"user\":\"bob\"},{\"key\":\"" ID "\"}]}");
}

static void a_user_is_written_with_all_members(void **state) {
  (void)state;
  static st_user user;
  char out[1024];
  for (int full = 0; full < 2; full++) {
    memset(&user, 0, sizeof user);
    user.key = key_of();
    snprintf(user.locale, sizeof user.locale, "de");
    snprintf(user.source, sizeof user.source, "page");
    user.key.disabled = user.registered = full;
    if (full) user.key.expires_at = ST_NEVER;
    if (full) snprintf(user.imported, sizeof user.imported, "x");
    st_writer writer = st_writer_on(out, sizeof out);
    st_user_json_write(&writer, &user, NOW);
    assert_true(st_writer_end(&writer));
    assert_string_equal(out, full
                                 ? "{\"login\":\"alice\",\"permissions\":[\"account\",\"guilds\"],"
                                   "\"locale\":\"de\",\"source\":\"page\","
                                   "\"created_at\":\"2023-11-14T22:13:20Z\",\"expires_at\":null,"
                                   "\"imported\":true,\"registered\":true,\"disabled\":true,"
                                   "\"state\":\"disabled\"}"
                                 : "{\"login\":\"alice\",\"permissions\":[\"account\",\"guilds\"],"
                                   "\"locale\":\"de\",\"source\":\"page\","
                                   "\"created_at\":\"2023-11-14T22:13:20Z\","
                                   "\"expires_at\":\"2023-11-14T22:14:20Z\",\"imported\":false,"
                                   "\"registered\":false,\"disabled\":false,\"state\":\"active\"}");
  }
}

/* ---- keys ---- */

#define WHOLE ID "0A1B2C3D-0000-1111-2222-333344445555"

static void a_whole_key_has_two_ids(void **state) {
  (void)state;
  assert_true(st_key_shaped(ST_TEXT(WHOLE)));
  for (size_t at = 0; at < sizeof WHOLE - 1; at++) {
    for (int c = 0; c < 256; c++) {
      char text[sizeof WHOLE] = WHOLE;
      bool hyphen = text[at] == '-';
      text[at] = (char)c;
      bool good = hyphen ? c == '-' : (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
      CHECK(st_key_shaped((subtoken_text){text, sizeof WHOLE - 1}) == good, "%d at %zu", c, at);
    }
  }
  assert_false(st_key_shaped(ST_TEXT(ID)));
  assert_true(st_key_token_shaped(ST_TEXT("a.b.c")));
  assert_false(st_key_token_shaped(ST_TEXT("a.b")));
  assert_false(st_key_token_shaped(ST_TEXT("a.b.c.d")));
  subtoken_text dots = exact_string("..");
  assert_true(st_key_token_shaped(dots));
  release(dots);
}

static void a_string_of_an_api_is_visible_and_no_key(void **state) {
  (void)state;
  uint8_t digest[ST_HASH_LEN], other[ST_HASH_LEN];
  char text[ST_API_STRING_MAX + 2];
  memset(text, 'a', sizeof text);
  for (size_t len = 0; len <= ST_API_STRING_MAX + 1; len++) {
    bool good = len >= ST_API_STRING_MIN && len <= ST_API_STRING_MAX;
    assert_int_equal(st_key_string_hash((subtoken_text){text, len}, digest), good);
  }
  for (int c = 0; c < 256; c++) {
    text[3] = (char)c;
    bool good = c > 0x20 && c < 0x7F;
    CHECK(st_key_string_hash((subtoken_text){text, ST_API_STRING_MIN}, digest) == good, "%d", c);
  }
  /* The words in front are part of what is stored, and of what other programs compute. */
  static const char hashed[] = "subtoken X-API-Key\n0123456789abcdef";
  st_sha256(hashed, sizeof hashed - 1, other);
  assert_true(st_key_string_hash(ST_TEXT("0123456789abcdef"), digest));
  assert_memory_equal(digest, other, sizeof digest);
  assert_false(st_key_string_hash(ST_TEXT(" 123456789abcdef"), digest));
  assert_false(st_key_string_hash(ST_TEXT(WHOLE), digest));
  assert_false(st_key_string_hash(ST_TEXT("aaaaaaaa.aaaaaaaaaaaaaaaaa.aaaaaaaaa"), digest));
  assert_true(st_key_string_hash(ST_TEXT("0123456789abcdef"), digest));
  assert_true(st_key_string_hash(ST_TEXT("0123456789abcdeF"), other));
  assert_memory_not_equal(digest, other, sizeof other);
  st_sha256("0123456789abcdef", 16, other); /* it is no key's, whose hash has no words in front */
  assert_memory_not_equal(digest, other, sizeof other);
}

static void what_a_key_grants_is_what_its_row_has(void **state) {
  (void)state;
  static subtoken_claims grant;
  st_key key = key_of();
  assert_true(st_key_grant(&key, &grant));
  assert_true(st_text_is(subtoken_claims_text(&grant, grant.sub), "sub"));
  assert_int_equal(grant.permission_count, 2);
  assert_true(grant.every_url && grant.exp == NOW + 60 && grant.aud.len == 0);
  snprintf(key.audience, sizeof key.audience, "w");
  key.permissions[0] = '\0';
  assert_true(st_key_grant(&key, &grant));
  assert_int_equal(grant.permission_count, 0);
  assert_true(subtoken_claims_has_audience(&grant, ST_TEXT("w")));
  /* Rows that nobody wrote. */
  snprintf(key.audience, sizeof key.audience, "w.b");
  assert_false(st_key_grant(&key, &grant));
  key.audience[0] = '\0';
  st_writer writer = st_writer_on(key.permissions, sizeof key.permissions);
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    st_write_literal(&writer, i == 0 ? "p" : ",p");
    st_write_int(&writer, i);
  }
  assert_true(st_writer_end(&writer));
  assert_true(st_key_grant(&key, &grant));
  st_write_literal(&writer, ",one more");
  assert_true(st_writer_end(&writer));
  assert_false(st_key_grant(&key, &grant));
}

static void a_token_is_worth_what_its_key_has(void **state) {
  (void)state;
  static subtoken_claims claims;
  st_key key = key_of();
  claims = grant_of("other,account", NULL);
  claims.exp = NOW + 59;
  assert_true(st_key_limit(&key, &claims));
  assert_int_equal(claims.permission_count, 1);
  assert_true(st_text_is(subtoken_claims_text(&claims, claims.permissions[0]), "account"));
  assert_int_equal(claims.exp, NOW + 59);
  claims.exp = NOW + 61;
  assert_true(st_key_limit(&key, &claims));
  assert_int_equal(claims.exp, NOW + 60);
  snprintf(key.audience, sizeof key.audience, "w.b"); /* a row that nobody wrote */
  assert_false(st_key_limit(&key, &claims));
}

static void a_token_is_of_the_session_that_it_names(void **state) {
  (void)state;
  static subtoken_claims claims;
  st_key key = key_of();
  memset(&claims, 0, sizeof claims);
  assert_true(st_claims_set_sid(&claims, ST_TEXT(ID)));
  static const st_key_kind kinds[] = {ST_KIND_KEY, ST_KIND_USER, ST_KIND_SESSION, ST_KIND_SERVICE};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    key.kind = kinds[i];
    assert_int_equal(st_key_is_session_of(&key, &claims), i >= 2);
  }
  assert_string_equal(st_key_root(&key), ID);
  snprintf(key.parent, sizeof key.parent, "parent");
  assert_string_equal(st_key_root(&key), "parent");
  /* A token for an audience could be an edge's: only of a session for an audience. */
  assert_true(st_claims_set_aud(&claims, ST_TEXT("w")));
  assert_false(st_key_is_session_of(&key, &claims));
  snprintf(key.audience, sizeof key.audience, "w");
  assert_true(st_key_is_session_of(&key, &claims));
  claims.sid.len--;
  assert_false(st_key_is_session_of(&key, &claims));
}

static void a_token_is_listed_by_its_names(void **state) {
  (void)state;
  static subtoken_claims claims;
  st_key key = key_of();
  memset(&claims, 0, sizeof claims);
  assert_true(st_claims_set_sub(&claims, ST_TEXT("sub")) &&
              st_claims_add_via(&claims, ST_TEXT("first")) &&
              st_claims_set_aud(&claims, ST_TEXT("w")));
  claims.exp = NOW;
  st_key_token token = st_key_token_of(&claims);
  assert_true(st_text_is(token.sub, "sub") && token.via_count == 1 && token.exp == NOW);
  assert_true(st_text_is(token.via[0], "first"));
  assert_null(token.derived_for.data);
  assert_null(token.via[1].data);
  assert_true(st_key_has_made(&key, &token));
  token.derived_for = ST_TEXT("w");
  assert_true(st_key_has_made(&key, &token));
  token.derived_for = (subtoken_text){NULL, 0};
  snprintf(key.audience, sizeof key.audience, "w");
  assert_false(st_key_has_made(&key, &token));
  claims.aud_derived = true;
  token = st_key_token_of(&claims);
  assert_true(st_text_is(token.derived_for, "w"));
  assert_true(st_key_has_made(&key, &token));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_key_is_written_with_all_its_members),
      cmocka_unit_test(a_key_has_one_state),
      cmocka_unit_test(what_was_made_is_written),
      cmocka_unit_test(a_user_is_written_with_all_members),
      cmocka_unit_test(a_whole_key_has_two_ids),
      cmocka_unit_test(a_string_of_an_api_is_visible_and_no_key),
      cmocka_unit_test(what_a_key_grants_is_what_its_row_has),
      cmocka_unit_test(a_token_is_worth_what_its_key_has),
      cmocka_unit_test(a_token_is_of_the_session_that_it_names),
      cmocka_unit_test(a_token_is_listed_by_its_names),
  };
  return cmocka_run_group_tests_name("key_bounds", tests, NULL, NULL);
}
