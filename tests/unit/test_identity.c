/* identity: whose a credential is, with a store that answers as each test says. */
#include "support.h"

#include "service/identity.h"
#include "service/rate_limit.h"
#include "service/service.h"

#define KEY "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"
#define SUB "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define PATH "/v2/tokeninfo"

/* One key, what the store says when it is asked for it, and the hash that it is found by. */
static st_key stored;
static st_store_status says;
static int asked;
static uint8_t stored_digest[ST_HASH_LEN];
static const char *revoked_tids[4];    /* those that are listed; ends with NULL */
static size_t asked_tids, asked_names; /* how often, and of how many the last time */
static st_store_status says_of_tids;

static void set_up_key(const char *permissions) {
  memset(&stored, 0, sizeof stored);
  memcpy(stored.id, KEY, ST_KEY_ID_LEN);
  memcpy(stored.sub, SUB, sizeof SUB);
  snprintf(stored.name, sizeof stored.name, "a name");
  snprintf(stored.permissions, sizeof stored.permissions, "%s", permissions);
  stored.created_at = NOW - DAY;
  stored.expires_at = ST_NEVER;
  says = ST_STORE_OK;
  asked = 0;
  asked_tids = asked_names = 0;
  says_of_tids = ST_STORE_OK;
  revoked_tids[0] = NULL;
  st_sha256(KEY, ST_KEY_LEN, stored_digest);
}

static st_store_status by_digest(void *store, const uint8_t digest[32], st_key *key) {
  assert_ptr_equal(store, &stored);
  asked++;
  if (memcmp(digest, stored_digest, sizeof stored_digest) != 0) return ST_STORE_NOT_FOUND;
  if (says == ST_STORE_OK) *key = stored;
  return says;
}

static st_store_status by_sub(void *store, subtoken_text sub, st_key *key) {
  assert_ptr_equal(store, &stored);
  asked++;
  if (!st_text_is(sub, SUB)) return ST_STORE_NOT_FOUND;
  if (says == ST_STORE_OK) *key = stored;
  return says;
}

static st_store_status tokens_revoked(void *store, const subtoken_text *tids, size_t count,
                                      bool *revoked) {
  assert_ptr_equal(store, &stored);
  assert_true(count > 0 && stored.tokens_revoked > 0);
  asked_tids++;
  asked_names = count;
  if (says_of_tids != ST_STORE_OK) return says_of_tids;
  *revoked = false;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; revoked_tids[j] != NULL; j++) {
      if (st_text_is(tids[i], revoked_tids[j])) *revoked = true;
    }
  }
  return ST_STORE_OK;
}

static bool ready(void *store) {
  (void)store;
  return true;
}

static subtoken_ring ring;
static st_settings settings;
static st_rate_limit rate;
static const st_service service = {.settings = &settings,
                                   .ring = &ring,
                                   .keys = {&stored, by_digest, by_sub, tokens_revoked},
                                   .rate = &rate,
                                   .ready = ready};

static st_identity identity;
static st_auth_result result;

static int set_up(void **state) {
  (void)state;
  st_config_default(&settings);
  ring_with(&ring, "", TEST_SECRET);
  set_up_key("account,guilds");
  return 0;
}

/* What it was rejected for, or SUBTOKEN_OK; SUBTOKEN_UNDECIDED when the store could not be read. */
static subtoken_result reason(void) {
  switch (result.status) {
    case ST_AUTH_STATUS_OK: return SUBTOKEN_OK;
    case ST_AUTH_STATUS_REJECTED: return result.reason;
    default: assert_int_equal(result.status, ST_AUTH_STATUS_STORE_ERROR); return SUBTOKEN_UNDECIDED;
  }
}

static subtoken_result identify_at(subtoken_text credential, const char *target, int64_t now) {
  memset(&identity, 0x5A, sizeof identity);
  st_identity_use use = {ST_TEXT("GET"), st_text(target), NULL};
  result = st_identity_find(&service, credential, &use, now, &identity);
  return reason();
}

static subtoken_result identify_key(const char *key) {
  subtoken_text text = exact_string(key);
  subtoken_result found = identify_at(text, PATH, NOW);
  release(text);
  return found;
}

/* A subtoken of the key, signed with our secret; more is further claims. */
static subtoken_result identify_token(const char *permissions, const char *more, int64_t now) {
  char payload[500];
  snprintf(payload, sizeof payload,
           "{\"sub\":\"" SUB "\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":%s%s}",
           permissions, more);
  subtoken_text token = good_token(payload);
  subtoken_result found = identify_at(token, PATH, now);
  release(token);
  return found;
}

static void check_event(const char *expected) {
  if (expected == NULL) {
    assert_null(result.event);
  } else {
    assert_non_null(result.event);
    assert_string_equal(result.event, expected);
  }
}

static void check_permissions(const char *const *expected) {
  size_t i = 0;
  for (; i < identity.grant.permission_count && expected[i] != NULL; i++) {
    subtoken_text one = subtoken_claims_text(&identity.grant, identity.grant.permissions[i]);
    CHECK(st_text_is(one, expected[i]), "%.*s", (int)one.len, one.data);
  }
  CHECK(i == identity.grant.permission_count && expected[i] == NULL, "%u permissions",
        identity.grant.permission_count);
}

/* ---- the shape ---- */

static void a_key_has_one_shape(void **state) {
  (void)state;
  char key[] = KEY;
  assert_true(st_key_shaped(st_text(key)));
  for (size_t i = 0; i < ST_KEY_LEN; i++) {
    static const char wrong[] = "aGg -\xC3\n/:@";
    for (size_t j = 0; j < sizeof wrong; j++) {
      char was = key[i];
      if (wrong[j] == was) continue;
      key[i] = wrong[j];
      CHECK(!st_key_shaped((subtoken_text){key, ST_KEY_LEN}), "%zu: %s", i, key);
      key[i] = was;
    }
    if (key[i] != '-') continue;
    key[i] = '0';
    assert_false(st_key_shaped(st_text(key)));
    key[i] = '-';
  }
  assert_false(st_key_shaped(st_text("")));
  assert_false(st_key_shaped((subtoken_text){key, ST_KEY_LEN - 1}));
  assert_false(st_key_shaped(st_text(KEY "0")));
  assert_false(st_key_shaped((subtoken_text){KEY, ST_KEY_LEN + 1}));
}

static void a_key_grants_what_its_row_says(void **state) {
  (void)state;
  static subtoken_claims grant;
  memset(&grant, 0x5A, sizeof grant);
  stored.expires_at = NOW + 5;
  assert_true(st_key_grant(&stored, &grant));
  assert_true(grant.every_url);
  assert_true(grant.exp == NOW + 5);
  assert_int_equal(grant.permission_count, 2);
  assert_int_equal(grant.url_count, 0);
  assert_true(st_claims_has_permission(&grant, ST_TEXT("guilds")));
  assert_true(st_text_is(subtoken_claims_text(&grant, grant.sub), SUB));
  stored.permissions[0] = '\0';
  assert_true(st_key_grant(&stored, &grant));
  assert_int_equal(grant.permission_count, 0);
  /* The largest key that a store may hold. */
  st_writer writer = st_writer_on(stored.permissions, sizeof stored.permissions);
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    char name[SUBTOKEN_PERMISSION_MAX + 1];
    snprintf(name, sizeof name, "%064d", i);
    if (i > 0) st_write_char(&writer, ',');
    st_write_literal(&writer, name);
  }
  assert_true(st_writer_end(&writer));
  assert_true(st_key_grant(&stored, &grant));
  assert_int_equal(grant.permission_count, SUBTOKEN_PERMISSIONS_MAX);
}

/* ---- keys ---- */

static void a_good_key_is_identified(void **state) {
  (void)state;
  static const char *const both[] = {"account", "guilds", NULL};
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK);
  check_event(NULL);
  assert_int_equal(identity.method, ST_AUTH_KEY);
  assert_string_equal(identity.key.id, stored.id);
  assert_string_equal(identity.key.name, "a name");
  assert_true(identity.grant.every_url);
  assert_true(identity.grant.exp == ST_NEVER);
  check_permissions(both);
  assert_int_equal(asked, 1);
}

static void a_key_that_is_not_found_is_refused(void **state) {
  (void)state;
  static const struct {
    st_store_status says;
    subtoken_result result;
    const char *event;
  } rows[] = {
      {ST_STORE_NOT_FOUND, SUBTOKEN_REVOKED, "key_unknown"},
      {ST_STORE_REVOKED, SUBTOKEN_REVOKED, "key_revoked"},
      {ST_STORE_FAILED, SUBTOKEN_UNDECIDED, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    says = rows[i].says;
    assert_int_equal(identify_key(KEY), rows[i].result);
    check_event(rows[i].event);
    assert_true(claims_are_empty(&identity.grant));
    assert_int_equal(identity.method, ST_AUTH_DERIVED);
  }
  assert_int_equal(subtoken_result_status(SUBTOKEN_REVOKED), 401);
  says = ST_STORE_OK;
  assert_int_equal(
      identify_key("11234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF"),
      SUBTOKEN_REVOKED);
  check_event("key_unknown");
}

static void a_disabled_key_is_revoked(void **state) {
  (void)state;
  stored.disabled = true;
  assert_int_equal(identify_key(KEY), SUBTOKEN_REVOKED);
  check_event("key_disabled");
  assert_true(claims_are_empty(&identity.grant));
}

/* A key has no leeway: its expiry is its issuer's own. */
static void a_key_has_no_leeway(void **state) {
  (void)state;
  stored.expires_at = NOW + 1;
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK);
  stored.expires_at = NOW;
  assert_int_equal(identify_key(KEY), SUBTOKEN_EXPIRED);
  check_event("key_expired");
  stored.expires_at = NOW - 1;
  assert_int_equal(identify_key(KEY), SUBTOKEN_EXPIRED);
  assert_true(claims_are_empty(&identity.grant));
}

/* What is no key in shape is never looked up as one. */
static void other_shapes_are_not_looked_up(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",      "x",     "a.b.c",
      KEY " ", "0" KEY, "01234567-89ab-cdef-0123-456789abcdef01234567-89ab-cdef-0123-456789abcdef"};
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_result found = identify_key(rows[i]);
    CHECK(subtoken_result_status(found) == 401, "%s: %d", rows[i], found);
    assert_true(claims_are_empty(&identity.grant));
  }
  assert_int_equal(asked, 0);
}

/* ---- subtokens ---- */

static void a_good_subtoken_is_identified(void **state) {
  (void)state;
  static const char *const one[] = {"guilds", NULL};
  assert_int_equal(identify_token("[\"guilds\"]", "", NOW), SUBTOKEN_OK);
  check_event(NULL);
  assert_int_equal(identity.method, ST_AUTH_DERIVED);
  assert_string_equal(identity.key.id, stored.id);
  check_permissions(one);
  assert_true(identity.grant.exp == NOW + 3600);
  assert_true(identity.grant.every_url);
}

static void a_subtoken_needs_a_living_key(void **state) {
  (void)state;
  static const struct {
    st_store_status says;
    bool disabled;
    int64_t expires_at;
    subtoken_result result;
    const char *event;
  } rows[] = {
      {ST_STORE_NOT_FOUND, false, ST_NEVER, SUBTOKEN_REVOKED, "revoked"},
      {ST_STORE_REVOKED, false, ST_NEVER, SUBTOKEN_REVOKED, "revoked"},
      {ST_STORE_FAILED, false, ST_NEVER, SUBTOKEN_UNDECIDED, NULL},
      {ST_STORE_OK, true, ST_NEVER, SUBTOKEN_REVOKED, "revoked"},
      {ST_STORE_OK, false, NOW, SUBTOKEN_REVOKED, "revoked"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    says = rows[i].says;
    stored.disabled = rows[i].disabled;
    stored.expires_at = rows[i].expires_at;
    subtoken_result found = identify_token("[\"account\"]", "", NOW);
    CHECK(found == rows[i].result, "row %zu: %s", i, subtoken_result_name(found));
    check_event(rows[i].event);
    assert_true(claims_are_empty(&identity.grant));
  }
}

/* More permissions than a token can have. */
static void a_row_that_nobody_wrote_is_an_error(void **state) {
  (void)state;
  st_writer writer = st_writer_on(stored.permissions, sizeof stored.permissions);
  st_write_literal(&writer, "account");
  for (int i = 0; i < SUBTOKEN_PERMISSIONS_MAX; i++) {
    st_write_literal(&writer, ",p");
    st_write_int(&writer, i);
  }
  assert_true(st_writer_end(&writer));
  assert_int_equal(identify_key(KEY), SUBTOKEN_UNDECIDED);
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_UNDECIDED);
  assert_int_equal(identity.method, ST_AUTH_DERIVED);
}

/* Its own name, and those that it was made from; they are asked for when the row has some. */
static void a_store_that_cannot_tell_of_tids_is_an_error(void **state) {
  (void)state;
  stored.tokens_revoked = 1;
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_OK);
  assert_int_equal(asked_tids, 1);
  assert_int_equal(asked_names, 1);
  assert_int_equal(identify_token("[\"account\"]", ",\"via\":[\"0123456789abcdef\"]", NOW),
                   SUBTOKEN_OK);
  assert_int_equal(asked_names, 2);
  says_of_tids = ST_STORE_FAILED;
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_UNDECIDED);
  assert_true(claims_are_empty(&identity.grant));
}

/* Of a key for one audience; what is wrong with a token by itself is said first. */
static void a_token_of_a_bound_key_is_for_its_audience(void **state) {
  (void)state;
  snprintf(stored.audience, sizeof stored.audience, "w");
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_AUD);
  assert_true(claims_are_empty(&identity.grant));
  assert_int_equal(identify_token("[\"account\"]", "", NOW + 3660), SUBTOKEN_EXPIRED);
  stored.disabled = true;
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_REVOKED);
  stored.disabled = false;
}

static void the_anonymous_user_is_found_by_a_name(void **state) {
  (void)state;
  static const char name[] = "subtoken anyone *"; /* as every store that there is has it */
  uint8_t digest[ST_HASH_LEN], expected[ST_HASH_LEN];
  st_identity_anonymous_digest(digest);
  st_sha256(name, strlen(name), expected);
  assert_memory_equal(digest, expected, sizeof digest);
}

/* Refused by the rules before the store: it is not asked at all. */
static void token_rules_come_before_the_store(void **state) {
  (void)state;
  assert_int_equal(identify_token("[]", "", NOW + 3600 + 60), SUBTOKEN_EXPIRED);
  check_event("expired");
  assert_int_equal(identify_token("[]", "", NOW - 61), SUBTOKEN_IAT_FUTURE);
  check_event("iat_future");
  assert_int_equal(identify_token("[1]", "", NOW), SUBTOKEN_CLAIMS);
  check_event("claims");
  ring_with(&ring, "", OTHER_SECRET);
  assert_int_equal(identify_token("[]", "", NOW), SUBTOKEN_MAC);
  check_event("mac");
  assert_int_equal(asked, 0);
}

/* The settings decide, not the defaults of the library. */
static void the_settings_decide(void **state) {
  (void)state;
  assert_int_equal(identify_token("[]", "", NOW - 60), SUBTOKEN_OK);
  assert_int_equal(identify_token("[]", "", NOW + 3659), SUBTOKEN_OK);
  settings.leeway = 5;
  assert_int_equal(identify_token("[]", "", NOW - 6), SUBTOKEN_IAT_FUTURE);
  assert_int_equal(identify_token("[]", "", NOW + 3605), SUBTOKEN_EXPIRED);
  assert_int_equal(identify_token("[]", "", NOW + 3604), SUBTOKEN_OK);
  settings.max_life = 3599;
  assert_int_equal(identify_token("[]", "", NOW), SUBTOKEN_TTL);
  settings.max_life = 3600;
  assert_int_equal(identify_token("[]", "", NOW), SUBTOKEN_OK);
}

static void a_subtoken_keeps_its_urls(void **state) {
  (void)state;
  assert_int_equal(identify_token("[]", ",\"urls\":[\"" PATH "\"]", NOW), SUBTOKEN_OK);
  assert_false(identity.grant.every_url);
  assert_int_equal(identity.grant.url_count, 1);
  assert_int_equal(identify_token("[]", ",\"urls\":[\"POST:" PATH "\"]", NOW), SUBTOKEN_URL);
  check_event("url");
  assert_int_equal(identify_token("[]", ",\"urls\":[\"/v2/account\"]", NOW), SUBTOKEN_URL);
  assert_true(claims_are_empty(&identity.grant));
}

/* A token is worth no more than the store grants its sub now. */
static void a_token_is_cut_down_to_its_key(void **state) {
  (void)state;
  static const char *const both[] = {"guilds", "account", NULL}, *const one[] = {"account", NULL},
                           *const none[] = {NULL};
  static const char asks[] = "[\"guilds\",\"account\",\"never-granted\"]";
  assert_int_equal(identify_token(asks, "", NOW), SUBTOKEN_OK);
  check_permissions(both);
  set_up_key("inventories,account");
  assert_int_equal(identify_token(asks, "", NOW), SUBTOKEN_OK);
  check_permissions(one);
  set_up_key("");
  stored.expires_at = NOW + 100;
  assert_int_equal(identify_token(asks, "", NOW), SUBTOKEN_OK);
  check_permissions(none);
  assert_true(identity.grant.exp == NOW + 100);
}

/* ---- one token revoked ---- */

#define PARENT "parent_parent_pa"
#define VIA ",\"via\":[\"" PARENT "\",\"other--other--ot\"]"

/* The store is asked about tids only when the row says that some of its sub are listed. */
static void a_revoked_token_is_refused_with_what_was_made_of_it(void **state) {
  (void)state;
  static char own[SUBTOKEN_TID_LEN + 1];
  static const struct {
    const char *more;
    int64_t listed;
    const char *tid; /* NULL: its own */
    subtoken_result result;
    size_t asked;
  } rows[] = {
      {VIA, 0, PARENT, SUBTOKEN_OK, 0}, /* which no store would say */
      {VIA, 1, "something-else--", SUBTOKEN_OK, 1},
      {VIA, 1, PARENT, SUBTOKEN_REVOKED, 1},
      {VIA, 2, "other--other--ot", SUBTOKEN_REVOKED, 1},
      {"", 1, PARENT, SUBTOKEN_OK, 1},
      {"", 1, NULL, SUBTOKEN_REVOKED, 1},
      {VIA, 1, NULL, SUBTOKEN_REVOKED, 1},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    set_up_key("account");
    assert_int_equal(identify_token("[\"account\"]", rows[i].more, NOW), SUBTOKEN_OK);
    subtoken_text tid = subtoken_claims_text(&identity.grant, identity.grant.tid);
    assert_int_equal(tid.len, SUBTOKEN_TID_LEN);
    snprintf(own, sizeof own, "%.*s", (int)tid.len, tid.data);
    stored.tokens_revoked = rows[i].listed;
    revoked_tids[0] = rows[i].tid != NULL ? rows[i].tid : own;
    revoked_tids[1] = NULL;
    subtoken_result found = identify_token("[\"account\"]", rows[i].more, NOW);
    CHECK(found == rows[i].result, "row %zu: %s", i, subtoken_result_name(found));
    CHECK(asked_tids == rows[i].asked, "row %zu: %zu", i, asked_tids);
    if (found != SUBTOKEN_OK) assert_true(claims_are_empty(&identity.grant));
  }
  check_event("revoked");
  stored.disabled = true; /* and nothing more is asked of what is refused anyway */
  asked_tids = 0;
  assert_int_equal(identify_token("[]", VIA, NOW), SUBTOKEN_REVOKED);
  assert_int_equal(asked_tids, 0);
  assert_int_equal(identify_key(KEY), SUBTOKEN_REVOKED);
  stored.disabled = false;
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK); /* a whole key has no tid */
  assert_int_equal(asked_tids, 0);
}

/* ---- audiences ---- */

/* Signed under the secret that is derived for `under` ("": the plain one). */
static subtoken_result identify_for(const char *under, const char *more) {
  static subtoken_ring derived;
  char payload[500], token[1000];
  uint8_t mac[SUBTOKEN_MAC_LEN];
  const subtoken_ring *signs = &ring;
  if (under[0] != '\0') {
    assert_int_equal(subtoken_ring_derive(&ring, st_text(under), &derived), SUBTOKEN_OK);
    signs = &derived;
  }
  snprintf(payload, sizeof payload,
           "{\"sub\":\"" SUB
           "\",\"iat\":1700000000,\"exp\":1700003600,\"permissions\":"
           "[\"account\"]%s}",
           more);
  const subtoken_secret *secret = &signs->secrets[0];
  st_writer writer = st_writer_on(token, sizeof token);
  st_write(&writer, secret->header, secret->header_len);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, payload, strlen(payload));
  assert_int_equal(subtoken_mac_compute(secret, token, writer.len, mac), SUBTOKEN_OK);
  st_write_char(&writer, '.');
  st_base64url_write(&writer, mac, sizeof mac);
  assert_true(st_writer_end(&writer));
  subtoken_text text = exact_string(token);
  subtoken_result found = identify_at(text, PATH, NOW);
  release(text);
  return found;
}

/* The server's own routes take every audience; but what is under a bound key is for its audience.
 */
static void every_audience_is_taken_but_a_bound_row_has_one(void **state) {
  (void)state;
  static const struct {
    const char *bound, *under, *aud;
    subtoken_result result;
  } rows[] = {
      {"", "", "", SUBTOKEN_OK},
      {"", "eu", ",\"aud\":\"eu\"", SUBTOKEN_OK},
      {"", "us", ",\"aud\":\"us\"", SUBTOKEN_OK},
      {"", "", ",\"aud\":\"other\"", SUBTOKEN_OK}, /* of another issuer with this ring */
      {"", "eu", "", SUBTOKEN_AUD},
      {"", "eu", ",\"aud\":\"us\"", SUBTOKEN_AUD},
      {"", "eu", ",\"aud\":[\"eu\",\"us\"]", SUBTOKEN_AUD},
      {"eu", "eu", ",\"aud\":\"eu\"", SUBTOKEN_OK},
      {"eu", "us", ",\"aud\":\"us\"", SUBTOKEN_AUD},
      {"eu", "", "", SUBTOKEN_AUD},
      {"eu", "", ",\"aud\":\"eu\"", SUBTOKEN_AUD}, /* the issuer would have derived the secret */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(stored.audience, sizeof stored.audience, "%s", rows[i].bound);
    subtoken_result found = identify_for(rows[i].under, rows[i].aud);
    CHECK(found == rows[i].result, "row %zu: %s", i, subtoken_result_name(found));
    if (found == SUBTOKEN_AUD) check_event("aud");
    CHECK(claims_are_empty(&identity.grant) == (found != SUBTOKEN_OK), "row %zu", i);
    if (found != SUBTOKEN_OK) continue;
    bool bound = rows[i].aud[0] != '\0';
    CHECK(st_identity_is_bound(&identity) == bound, "row %zu", i);
    CHECK(st_identity_is_audience_token(&identity) == bound, "row %zu", i);
  }
}

static void a_bound_key_grants_its_audience(void **state) {
  (void)state;
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK);
  assert_false(st_identity_is_bound(&identity));
  snprintf(stored.audience, sizeof stored.audience, "eu");
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK);
  assert_true(st_identity_is_bound(&identity));
  assert_false(st_identity_is_audience_token(&identity));
  assert_true(subtoken_claims_has_audience(&identity.grant, ST_TEXT("eu")));
  assert_false(subtoken_claims_has_audience(&identity.grant, ST_TEXT("us")));
}

/* ---- rows that are no keys ---- */

/* Whoever could find a string whose hash is that of such a row would still have nothing. */
static void a_user_or_session_row_is_no_key(void **state) {
  (void)state;
  static const st_key_kind kinds[] = {ST_KIND_USER, ST_KIND_SESSION, ST_KIND_SERVICE};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    stored.kind = kinds[i];
    assert_int_equal(identify_key(KEY), SUBTOKEN_REVOKED);
    check_event("key_unknown");
    assert_int_equal(identity.method, ST_AUTH_DERIVED);
    assert_true(claims_are_empty(&identity.grant));
  }
  assert_int_equal(asked, COUNT(kinds));
  stored.kind = ST_KIND_KEY;
  assert_int_equal(identify_key(KEY), SUBTOKEN_OK);
}

/* Its owner is disabled, which the key itself is not. */
static void a_key_of_a_disabled_owner_is_refused(void **state) {
  (void)state;
  stored.suspended = true;
  assert_int_equal(identify_key(KEY), SUBTOKEN_REVOKED);
  check_event("key_disabled");
  assert_int_equal(identity.method, ST_AUTH_DERIVED);
  assert_true(claims_are_empty(&identity.grant));
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_REVOKED);
  check_event("revoked");
  stored.suspended = false;
  assert_int_equal(identify_token("[\"account\"]", "", NOW), SUBTOKEN_OK);
}

#define SID ",\"sid\":\"01234567-89AB-CDEF-0123-456789ABCDEF\""
#define OTHER_SID ",\"sid\":\"01234567-89AB-CDEF-0123-456789ABCDEE\""

/* More than derived is only what names, itself, the living login that its sub is of. */
static void a_sid_must_name_its_session(void **state) {
  (void)state;
  static const struct {
    st_key_kind kind;
    const char *sid;
    st_auth_method method;
  } rows[] = {
      {ST_KIND_SESSION, SID, ST_AUTH_SESSION},
      {ST_KIND_SERVICE, SID, ST_AUTH_SERVICE_SESSION},
      /* made from the login's token, or of another row */
      {ST_KIND_SESSION, "", ST_AUTH_DERIVED},
      {ST_KIND_SERVICE, "", ST_AUTH_DERIVED},
      {ST_KIND_SESSION, OTHER_SID, ST_AUTH_DERIVED},
      {ST_KIND_SERVICE, OTHER_SID, ST_AUTH_DERIVED},
      {ST_KIND_SESSION, ",\"sid\":\"01234567\"", ST_AUTH_DERIVED},
      {ST_KIND_SESSION, ",\"sid\":\"01234567-89AB-CDEF-0123-456789ABCDEF0\"", ST_AUTH_DERIVED},
      /* a key or a user is no session, whatever the token says */
      {ST_KIND_KEY, SID, ST_AUTH_DERIVED},
      {ST_KIND_USER, SID, ST_AUTH_DERIVED},
      {ST_KIND_KEY, "", ST_AUTH_DERIVED},
      {ST_KIND_USER, "", ST_AUTH_DERIVED},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    stored.kind = rows[i].kind;
    assert_int_equal(identify_token("[\"account\"]", rows[i].sid, NOW), SUBTOKEN_OK);
    CHECK(identity.method == rows[i].method, "row %zu: %d", i, (int)identity.method);
    assert_int_equal(asked, i + 1); /* the store, each time */
  }
}

/* Who has the secret for an audience, and saw a sid, has no session by it. */
static void a_sid_for_an_audience_needs_a_bound_session(void **state) {
  (void)state;
  static const char bound[] = ",\"aud\":\"eu\"" SID;
  static const struct {
    st_key_kind kind;
    const char *bound;
    st_auth_method method;
  } rows[] = {{ST_KIND_SESSION, "", ST_AUTH_DERIVED},
              {ST_KIND_SERVICE, "", ST_AUTH_DERIVED},
              {ST_KIND_SERVICE, "eu", ST_AUTH_SERVICE_SESSION}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    stored.kind = rows[i].kind;
    snprintf(stored.audience, sizeof stored.audience, "%s", rows[i].bound);
    assert_int_equal(identify_for("eu", bound), SUBTOKEN_OK);
    CHECK(identity.method == rows[i].method, "row %zu: %d", i, (int)identity.method);
  }
  assert_int_equal(identify_for("us", ",\"aud\":\"us\"" SID), SUBTOKEN_AUD);
}

static void a_sid_of_an_ended_session_is_refused(void **state) {
  (void)state;
  static const struct {
    st_store_status says;
    bool disabled, suspended;
    int64_t expires_at;
    subtoken_result result;
  } rows[] = {
      {ST_STORE_REVOKED, false, false, ST_NEVER, SUBTOKEN_REVOKED},
      {ST_STORE_NOT_FOUND, false, false, ST_NEVER, SUBTOKEN_REVOKED},
      {ST_STORE_OK, true, false, ST_NEVER, SUBTOKEN_REVOKED},
      {ST_STORE_OK, false, true, ST_NEVER, SUBTOKEN_REVOKED},
      {ST_STORE_OK, false, false, NOW, SUBTOKEN_REVOKED},
      {ST_STORE_FAILED, false, false, ST_NEVER, SUBTOKEN_UNDECIDED},
      {ST_STORE_OK, false, false, NOW + 1, SUBTOKEN_OK},
  };
  stored.kind = ST_KIND_SESSION;
  for (size_t i = 0; i < COUNT(rows); i++) {
    says = rows[i].says;
    stored.disabled = rows[i].disabled;
    stored.suspended = rows[i].suspended;
    stored.expires_at = rows[i].expires_at;
    subtoken_result found = identify_token("[\"account\"]", SID, NOW);
    CHECK(found == rows[i].result, "row %zu: %s", i, subtoken_result_name(found));
    CHECK((identity.method == ST_AUTH_SESSION) == (found == SUBTOKEN_OK), "row %zu", i);
    CHECK(claims_are_empty(&identity.grant) == (found != SUBTOKEN_OK), "row %zu", i);
  }
}

/* ---- strings that were registered ---- */

#define STRING "0123456789abcdef"

static subtoken_result identify_registered(const char *string) {
  subtoken_text text = exact_string(string);
  memset(&identity, 0x5A, sizeof identity);
  result = st_identity_find_registered(&service, text, NOW, &identity);
  release(text);
  return reason();
}

static void a_registered_string_is_identified(void **state) {
  (void)state;
  static const char *const both[] = {"account", "guilds", NULL};
  assert_int_equal(identify_registered(STRING), SUBTOKEN_REVOKED);
  check_event("key_unknown");
  assert_true(st_key_string_hash(ST_TEXT(STRING), stored_digest));
  assert_int_equal(identify_registered(STRING), SUBTOKEN_OK);
  check_event(NULL);
  assert_int_equal(identity.method, ST_AUTH_KEY);
  check_permissions(both);
  assert_int_equal(identify_registered(STRING "0"), SUBTOKEN_REVOKED);
  stored.disabled = true;
  assert_int_equal(identify_registered(STRING), SUBTOKEN_REVOKED);
  check_event("key_disabled");
  assert_int_equal(identity.method, ST_AUTH_DERIVED);
  stored.disabled = false;
  stored.kind = ST_KIND_USER;
  assert_int_equal(identify_registered(STRING), SUBTOKEN_REVOKED);
  assert_true(claims_are_empty(&identity.grant));
  says = ST_STORE_FAILED;
  assert_int_equal(identify_registered(STRING), SUBTOKEN_UNDECIDED);
}

/* A key's own hash opens nothing here, and what can be no such string is not looked up. */
static void a_key_is_no_registered_string(void **state) {
  (void)state;
  uint8_t digest[32], plain[ST_HASH_LEN];
  static const char *const wrong[] = {"",
                                      "0123456789abcde",
                                      KEY,
                                      "0123456789.abc.def",
                                      "0123456789 abcdef",
                                      "0123456789abcdef\x7F",
                                      "0123456789abcdef\n",
                                      "0123456789abcde\xC3\xAB"};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    CHECK(identify_registered(wrong[i]) == SUBTOKEN_REVOKED, "%s", wrong[i]);
    check_event("key_unknown");
    assert_true(claims_are_empty(&identity.grant));
  }
  assert_int_equal(asked, 0);
  assert_true(st_key_string_hash(ST_TEXT(STRING), digest));
  st_sha256(STRING, strlen(STRING), plain);
  assert_memory_not_equal(digest, plain, sizeof plain);
  for (size_t len = 254; len <= 256; len++) {
    subtoken_text text = repeated("", '!', len);
    CHECK(st_key_string_hash(text, digest) == (len <= ST_API_STRING_MAX), "%zu", len);
    release(text);
  }
  assert_true(st_key_string_hash(ST_TEXT("0123456789.abcdef"), digest));
  assert_true(st_key_string_hash(ST_TEXT("01234.6789.abc.def"), digest));
}

/* ---- without a credential ---- */

static void the_anonymous_user_is_found(void **state) {
  (void)state;
  static const struct {
    st_store_status says;
    st_key_kind kind;
    bool disabled;
    st_store_status answer;
  } rows[] = {
      {ST_STORE_OK, ST_KIND_USER, false, ST_STORE_OK},
      {ST_STORE_OK, ST_KIND_USER, true, ST_STORE_NOT_FOUND},
      {ST_STORE_OK, ST_KIND_KEY, false, ST_STORE_NOT_FOUND},
      {ST_STORE_OK, ST_KIND_SESSION, false, ST_STORE_NOT_FOUND},
      {ST_STORE_OK, ST_KIND_SERVICE, false, ST_STORE_NOT_FOUND},
      {ST_STORE_NOT_FOUND, ST_KIND_USER, false, ST_STORE_NOT_FOUND},
      {ST_STORE_REVOKED, ST_KIND_USER, false, ST_STORE_NOT_FOUND},
      {ST_STORE_FAILED, ST_KIND_USER, false, ST_STORE_FAILED},
  };
  st_key anonymous;
  assert_int_equal(st_identity_anonymous(&service, &anonymous),
                   ST_STORE_NOT_FOUND); /* only a key is there */
  st_identity_anonymous_digest(stored_digest);
  for (size_t i = 0; i < COUNT(rows); i++) {
    says = rows[i].says;
    stored.kind = rows[i].kind;
    stored.disabled = rows[i].disabled;
    memset(&anonymous, 0x5A, sizeof anonymous);
    CHECK(st_identity_anonymous(&service, &anonymous) == rows[i].answer, "row %zu", i);
    if (rows[i].answer == ST_STORE_OK) assert_string_equal(anonymous.permissions, "account,guilds");
  }
}

/* Its hash is known to all: no credential is found by it, and none is made of it. */
static void the_anonymous_user_is_no_key(void **state) {
  (void)state;
  st_identity_anonymous_digest(stored_digest);
  stored.kind = ST_KIND_USER;
  assert_int_equal(identify_registered("subtoken anyone *"), SUBTOKEN_REVOKED);
  assert_int_equal(identify_registered("subtoken-anyone-*"), SUBTOKEN_REVOKED);
  assert_int_equal(identify_key("subtoken anyone *"), SUBTOKEN_MALFORMED);
  assert_int_equal(identify_key(KEY), SUBTOKEN_REVOKED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_key_has_one_shape),
      cmocka_unit_test_setup(a_key_grants_what_its_row_says, set_up),
      cmocka_unit_test_setup(a_good_key_is_identified, set_up),
      cmocka_unit_test_setup(a_key_that_is_not_found_is_refused, set_up),
      cmocka_unit_test_setup(a_disabled_key_is_revoked, set_up),
      cmocka_unit_test_setup(a_key_has_no_leeway, set_up),
      cmocka_unit_test_setup(other_shapes_are_not_looked_up, set_up),
      cmocka_unit_test_setup(a_good_subtoken_is_identified, set_up),
      cmocka_unit_test_setup(a_subtoken_needs_a_living_key, set_up),
      cmocka_unit_test_setup(a_row_that_nobody_wrote_is_an_error, set_up),
      cmocka_unit_test_setup(a_store_that_cannot_tell_of_tids_is_an_error, set_up),
      cmocka_unit_test_setup(a_token_of_a_bound_key_is_for_its_audience, set_up),
      cmocka_unit_test_setup(the_anonymous_user_is_found_by_a_name, set_up),
      cmocka_unit_test_setup(token_rules_come_before_the_store, set_up),
      cmocka_unit_test_setup(the_settings_decide, set_up),
      cmocka_unit_test_setup(a_subtoken_keeps_its_urls, set_up),
      cmocka_unit_test_setup(a_token_is_cut_down_to_its_key, set_up),
      cmocka_unit_test_setup(a_revoked_token_is_refused_with_what_was_made_of_it, set_up),
      cmocka_unit_test_setup(every_audience_is_taken_but_a_bound_row_has_one, set_up),
      cmocka_unit_test_setup(a_bound_key_grants_its_audience, set_up),
      cmocka_unit_test_setup(a_user_or_session_row_is_no_key, set_up),
      cmocka_unit_test_setup(a_key_of_a_disabled_owner_is_refused, set_up),
      cmocka_unit_test_setup(a_sid_must_name_its_session, set_up),
      cmocka_unit_test_setup(a_sid_for_an_audience_needs_a_bound_session, set_up),
      cmocka_unit_test_setup(a_sid_of_an_ended_session_is_refused, set_up),
      cmocka_unit_test_setup(a_registered_string_is_identified, set_up),
      cmocka_unit_test_setup(a_key_is_no_registered_string, set_up),
      cmocka_unit_test_setup(the_anonymous_user_is_found, set_up),
      cmocka_unit_test_setup(the_anonymous_user_is_no_key, set_up),
  };
  return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
