/* Keys packed and unpacked: the same to the letter, however they are spelled, and short. */
#include "support.h"

#include "store/key_pack.h"

static st_key_names *names;

static int make_names(void **state) {
  (void)state;
  names = st_key_names_new();
  return names != NULL ? 0 : -1;
}

static int free_names(void **state) {
  (void)state;
  st_key_names_free(names);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_names, free_names)

static st_key usual_key(void) {
  return (st_key){.kind = ST_KIND_KEY,
                  .id = "0123ABCD-0000-4000-8000-00000000CAFE",
                  .sub = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                  .name = "key 1234567",
                  .owner = "program123",
                  .permissions = "account,inventories,progression",
                  .created_at = NOW,
                  .expires_at = ST_NEVER};
}

/* What it becomes, in memory that was full of something else; packed in a block of its exact size.
 */
static size_t assert_kept(const st_key *key) {
  static st_key got;
  uint8_t packed[ST_KEY_PACK_MAX];
  char sub[ST_SUB_LEN + 1];
  size_t len = st_key_pack(names, key, packed);
  assert_true(len > 0 && len <= sizeof packed);
  subtoken_text exactly = exact(packed, len);
  memset(&got, 0xA5, sizeof got);
  st_key_unpack(names, (const uint8_t *)exactly.data, &got);
  st_key_unpack_sub((const uint8_t *)exactly.data, sub);
  release(exactly);
  assert_string_equal(got.id, key->id);
  assert_string_equal(got.sub, key->sub);
  assert_string_equal(sub, key->sub);
  assert_string_equal(got.parent, key->parent);
  assert_string_equal(got.name, key->name);
  assert_string_equal(got.owner, key->owner);
  assert_string_equal(got.permissions, key->permissions);
  assert_true(got.kind == key->kind && got.disabled == key->disabled);
  assert_true(got.suspended == key->suspended);
  assert_true(got.created_at == key->created_at && got.expires_at == key->expires_at);
  for (size_t i = strlen(got.name); i < sizeof got.name; i++) assert_int_equal(got.name[i], 0);
  assert_true(got.used_at == 0 && got.made_by[0] == '\0');
  assert_true(!got.disabled_by_owner && !got.owner_is_user && got.rotated_at == 0);
  assert_string_equal(got.audience, key->audience);
  assert_true(got.old_until == key->old_until && got.by_old_digest == key->by_old_digest);
  assert_int_equal(got.tokens_revoked, key->tokens_revoked);
  return len;
}

static void a_usual_key_takes_71_bytes(void **state) {
  (void)state;
  st_key key = usual_key();
  (void)assert_kept(&key); /* its owner comes again */
  /* Two of flags; sub, id; the time; name and owner; three permissions. */
  assert_int_equal(assert_kept(&key), 2 + 32 + 16 + 4 + (1 + 11) + 1 + (1 + 3));
}

/* Each part in the fewest bytes that say it. */
static void no_part_takes_more_bytes_than_it_needs(void **state) {
  (void)state;
  st_key key = usual_key();
  (void)assert_kept(&key);
  const size_t usual = assert_kept(&key);
  strcpy(key.parent, "FFFFFFFF-ABCD-4000-8000-000000000001");
  assert_int_equal(assert_kept(&key), usual + 16);
  key.parent[10] = 'a'; /* not as ids are spelled */
  assert_int_equal(assert_kept(&key), usual + 36);
  key = usual_key();
  key.expires_at = NOW;
  assert_int_equal(assert_kept(&key), usual + 4);
  key = usual_key();
  strcpy(key.owner, key.name); /* as those of users are */
  assert_int_equal(assert_kept(&key), usual - 1);
  key.name[0] = key.owner[0] = '\0';
  assert_int_equal(assert_kept(&key), usual - 1 - 11);
  key = usual_key();
  strcpy(key.permissions, "account,,progression"); /* an empty one has no number */
  assert_int_equal(assert_kept(&key), usual - 4 + 1 + strlen(key.permissions));
  key = usual_key();
  static const size_t lens[] = {126, 127, 128};
  for (size_t i = 0; i < COUNT(lens); i++) {
    memset(key.name, 0, sizeof key.name);
    memset(key.name, 'n', lens[i]);
    assert_int_equal(assert_kept(&key), usual - 12 + lens[i] + (lens[i] < 128 ? 1 : 2));
  }
  static const int64_t times[] = {-1, 0, 1};
  for (size_t i = 0; i < COUNT(times); i++) {
    key = usual_key();
    key.created_at = INT64_C(1830000000) + times[i];
    assert_int_equal(assert_kept(&key), usual - 4 + 1);
  }
  key = usual_key();
  strcpy(key.audience, "x");
  assert_int_equal(assert_kept(&key), usual + 3 + 2);
}

static void more_permissions_than_are_numbered_are_kept(void **state) {
  (void)state;
  st_key key = usual_key();
  size_t len = 0;
  for (unsigned n = 0; n < 300; n++) {
    len += (size_t)sprintf(key.permissions + len, "%s%u", n > 0 ? "," : "", n);
  }
  (void)assert_kept(&key);
  assert_true(assert_kept(&key) > len);
}

static bool has_sub(const st_key *key, const char *text) {
  uint8_t packed[ST_KEY_PACK_MAX];
  assert_true(st_key_pack(names, key, packed) > 0);
  st_key_sub sub = st_key_sub_of(names, text);
  return st_key_pack_has_sub(packed, &sub);
}

/* In binary, or as text where it is spelled in another way. */
static void a_key_has_its_sub_alone(void **state) {
  (void)state;
  static const char *const subs[] = {
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh4",
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=", "*AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"};
  for (size_t i = 0; i < COUNT(subs); i++) {
    st_key key = usual_key();
    strcpy(key.sub, subs[i]);
    for (size_t j = 0; j < COUNT(subs); j++) assert_int_equal(has_sub(&key, subs[j]), i == j);
  }
}

static void every_member_is_kept(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 64; bits++) {
    st_key key = usual_key();
    key.kind = (st_key_kind)(bits & 3);
    key.disabled = (bits & 4) != 0;
    key.suspended = (bits & 8) != 0;
    if ((bits & 16) != 0) strcpy(key.parent, "FFFFFFFF-ABCD-4000-8000-000000000001");
    if ((bits & 32) != 0) key.expires_at = NOW + bits;
    key.created_at = bits % 3 == 0   ? NOW
                     : bits % 3 == 1 ? (int64_t)bits
                                     : INT64_C(1830000000) + bits;
    (void)assert_kept(&key);
  }
  static const int64_t times[] = {0, 1, SUBTOKEN_TIME_MAX};
  for (size_t i = 0; i < COUNT(times); i++) {
    st_key key = usual_key();
    key.created_at = key.expires_at = times[i];
    (void)assert_kept(&key);
  }
}

static void another_spelling_is_kept(void **state) {
  (void)state;
  static const char *const ids[] = {
      "0123abcd-0000-4000-8000-00000000cafe",    "0123ABCD-0000-4000-8000-00000000CAFg",
      "0123ABCD00000-4000-8000-00000000CAFE",    "------------------------------------",
      "0123ABCD-0000-4000-8000-00000000CAF\xff", "0123ABCDE0000-4000-8000000-0000CAFE ",
      "0123ABCD-0000L4000-8000-00000000CAFE",    "0123aBCD-0000-4000-8000-00000000CAFE",
      "0123ABCD-0000-4000-8000-00000000CAFf",    "0123ABCD-0000-4000-8000-00000000CAF`"};
  static const char *const subs[] = {
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", /* the last two bits say nothing */
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=", "+/ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
      "___________________________________________", "--CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh80"};
  st_key key = usual_key();
  for (size_t i = 0; i < COUNT(ids); i++) {
    snprintf(key.id, sizeof key.id, "%s", ids[i]);
    snprintf(key.parent, sizeof key.parent, "%s", ids[COUNT(ids) - 1 - i]);
    (void)assert_kept(&key);
  }
  for (size_t i = 0; i < COUNT(subs); i++) {
    snprintf(key.sub, sizeof key.sub, "%s", subs[i]);
    (void)assert_kept(&key);
  }
}

static void permissions_are_kept_to_the_letter(void **state) {
  (void)state;
  static const char *const lists[] = {"", "a", "a,a", "a,", ",", ",a", "a,,b", "a, b", "b,a"};
  st_key key = usual_key();
  for (size_t i = 0; i < COUNT(lists); i++) {
    snprintf(key.permissions, sizeof key.permissions, "%s", lists[i]);
    (void)assert_kept(&key);
  }
}

static void more_names_than_there_are_numbers_are_kept(void **state) {
  (void)state;
  st_key key = usual_key();
  (void)assert_kept(&key);
  size_t before = assert_kept(&key);
  for (unsigned n = 0; n < 10000; n++) {
    snprintf(key.owner, sizeof key.owner, "owner %u", n / 2);
    (void)assert_kept(&key);
  }
  key = usual_key();
  assert_int_equal(assert_kept(&key), before);
  snprintf(key.owner, sizeof key.owner, "owner 4999");
  assert_int_equal(assert_kept(&key), before - 1 + 1 + strlen(key.owner));
  for (unsigned n = 0; n < 5000; n++) {
    snprintf(key.permissions, sizeof key.permissions, "account,p%u,q%u", n / 2, n);
    (void)assert_kept(&key);
  }
  key = usual_key();
  assert_int_equal(assert_kept(&key), before);
  snprintf(key.permissions, sizeof key.permissions, "account,p2499,q4999");
  assert_int_equal(assert_kept(&key), before - 3 + strlen(key.permissions));
}

static void what_few_keys_have_is_kept(void **state) {
  (void)state;
  st_key key = usual_key();
  (void)assert_kept(&key);
  size_t usual = assert_kept(&key);
  for (unsigned bits = 1; bits < 16; bits++) {
    key = usual_key();
    if ((bits & 1) != 0) snprintf(key.audience, sizeof key.audience, "eu");
    key.old_until = (bits & 2) != 0 ? NOW : 0;
    key.by_old_digest = (bits & 4) != 0;
    key.tokens_revoked = (bits & 8) != 0 ? 1000 : 0;
    assert_true(assert_kept(&key) > usual);
  }
  key = usual_key();
  key.tokens_revoked = 1;
  assert_int_equal(assert_kept(&key), usual + 4);
}

static void the_longest_key_is_kept(void **state) {
  (void)state;
  st_key key = usual_key();
  for (unsigned n = 0; n < 600; n++) { /* until there is no room for another name */
    memset(key.owner, 'a', ST_NAME_MAX);
    key.owner[snprintf(key.owner, 10, "%u", n / 2)] = '-';
    (void)assert_kept(&key);
  }
  memset(key.name, 'n', ST_NAME_MAX);
  memset(key.owner, 'o', ST_NAME_MAX);
  memset(key.permissions, 'p', ST_PERMISSIONS_TEXT_MAX);
  memset(key.parent, '-', ST_KEY_ID_LEN);
  memset(key.id, '-', ST_KEY_ID_LEN);
  memset(key.sub, '*', ST_SUB_LEN);
  key.created_at = key.expires_at = SUBTOKEN_TIME_MAX - 1;
  memset(key.audience, 'A', ST_AUDIENCE_MAX);
  key.old_until = key.tokens_revoked = INT64_MAX;
  assert_true(assert_kept(&key) > ST_KEY_PACK_MAX - 12);
}

/* Those who have a key each do not fill the table. */
static void an_owner_of_one_key_gets_no_number(void **state) {
  (void)state;
  st_key key = usual_key();
  size_t first = assert_kept(&key); /* nor the first of all */
  assert_int_equal(assert_kept(&key), first - strlen(key.owner));
  for (unsigned n = 0; n < 20000; n++) {
    snprintf(key.owner, sizeof key.owner, "user %u", n);
    (void)assert_kept(&key);
  }
  key = usual_key();
  strcpy(key.owner, "another");
  size_t before = assert_kept(&key);
  assert_int_equal(assert_kept(&key), before - strlen(key.owner));
}

/* Nor do users, whose owner is their name, however often they come. */
static void a_user_gets_no_number(void **state) {
  (void)state;
  st_key key = usual_key();
  for (unsigned n = 0; n < 2 * 2600; n++) {
    snprintf(key.name, sizeof key.name, "user %u", n / 2);
    memcpy(key.owner, key.name, sizeof key.owner);
    (void)assert_kept(&key);
  }
  key = usual_key();
  size_t before = assert_kept(&key);
  assert_int_equal(assert_kept(&key), before - strlen(key.owner));
}

/* Wherever a permission stands in a list it is the same one: 1,300 take half of the numbers. */
static void a_permission_has_one_number(void **state) {
  (void)state;
  st_key key = usual_key();
  strcpy(key.permissions, "p");
  size_t one = assert_kept(&key);
  for (unsigned n = 0; n < 1300; n++) {
    snprintf(key.permissions, sizeof key.permissions, "p%u", n);
    (void)assert_kept(&key);
    snprintf(key.permissions, sizeof key.permissions, "p%u,p", n);
    size_t two = assert_kept(&key);
    CHECK(two <= one + 2, "%u: %zu bytes", n, two);
  }
}

static void what_is_no_sub_is_of_no_key(void **state) {
  (void)state;
  static const char none[] = "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  uint8_t packed[ST_KEY_PACK_MAX];
  st_key key = usual_key();
  memset(key.sub, 'A', ST_SUB_LEN); /* all its bytes are 0 */
  assert_true(st_key_pack(names, &key, packed) > 0);
  st_key_sub sub = st_key_sub_of(names, key.sub), other = st_key_sub_of(names, none);
  assert_true(st_key_pack_has_sub(packed, &sub));
  assert_false(st_key_pack_has_sub(packed, &other));
}

static void as_many_permissions_as_there_may_be_are_numbered(void **state) {
  (void)state;
  st_key key = usual_key();
  char *out = key.permissions;
  for (int n = 0; n < SUBTOKEN_PERMISSIONS_MAX; n++) {
    out += sprintf(out, "%s%0*d", n > 0 ? "," : "", SUBTOKEN_PERMISSION_MAX, n);
  }
  assert_true(assert_kept(&key) < 150);
}

static void what_is_no_key_is_not_packed(void **state) {
  (void)state;
  uint8_t packed[ST_KEY_PACK_MAX];
  st_key key = usual_key();
  key.id[35] = '\0';
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  key.sub[0] = '\0';
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  strcpy(key.parent, "short");
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  strcpy(key.parent, "x");
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  key.kind = (st_key_kind)4;
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  memset(key.name, 'n', sizeof key.name);
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  memset(key.owner, 'o', sizeof key.owner);
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  memset(key.permissions, 'p', sizeof key.permissions);
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  key = usual_key();
  memset(key.audience, 'A', sizeof key.audience);
  assert_int_equal(st_key_pack(names, &key, packed), 0);
  st_key_names_free(NULL);
  assert_true(st_key_names_size() > 100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_usual_key_takes_71_bytes),
      TEST(no_part_takes_more_bytes_than_it_needs),
      TEST(more_permissions_than_are_numbered_are_kept),
      TEST(a_key_has_its_sub_alone),
      TEST(every_member_is_kept),
      TEST(another_spelling_is_kept),
      TEST(permissions_are_kept_to_the_letter),
      TEST(more_names_than_there_are_numbers_are_kept),
      TEST(what_few_keys_have_is_kept),
      TEST(the_longest_key_is_kept),
      TEST(an_owner_of_one_key_gets_no_number),
      TEST(a_user_gets_no_number),
      TEST(a_permission_has_one_number),
      TEST(what_is_no_sub_is_of_no_key),
      TEST(as_many_permissions_as_there_may_be_are_numbered),
      TEST(what_is_no_key_is_not_packed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
