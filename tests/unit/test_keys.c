/* manage: parent keys over HTTP, and who may do what with whose. */
#include "service_fixture.h"

#include "domain/key_json.h"

#define KEYS "/v2/keys"
#define ONE(id) KEYS "/" id
#define ALICE_ID "A11CE000-0000-0000-0000-000000000000"
#define ALICES "AAAAAAAA-0000-0000-0000-000000000001" /* a key of alice's */
#define NOBODYS "FFFFFFFF-0000-0000-0000-000000000000"
#define SMALL "{\"name\":\"n\",\"permissions\":[\"account\"]}"

static int set_up(void **state) {
  (void)fixture_set_up(state);
  fixture_add(ST_KIND_KEY, ALICES, "", "alice", "account", ST_NEVER);
  return 0;
}

/* A header line with the access token of a login that begins now. */
static const char *as_login(const char *path, const char *headers, const char *body) {
  static char lines[4][SUBTOKEN_ISSUED_MAX + 128];
  static size_t next;
  char *line = lines[next++ % 4];
  assert_int_equal(post(path, headers, body), 200);
  snprintf(line, sizeof lines[0], "Authorization: Bearer %s\n", member("access_token"));
  return line;
}

static const char *as_alice(void) {
  return as_login("/v1/auth/login", AS_JSON, "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}");
}

static const char *as_service(void) {
  return as_login("/v1/auth/token", AS_KEY, "");
}

static const char *with(const char *a, const char *b) {
  static char both[SUBTOKEN_ISSUED_MAX + 256];
  snprintf(both, sizeof both, "%s%s", a, b);
  return both;
}

static int create(const char *who, const char *body) {
  return fixture_ask("POST", KEYS, with(who, AS_JSON), body);
}

static int patch(const char *who, const char *path, const char *body) {
  return fixture_ask("PATCH", path, with(who, AS_JSON), body);
}

static const st_key *key_of(const char *id) {
  fixture_row *row = fixture_key_row(id);
  assert_non_null(row);
  return &row->key;
}

static const st_key *made(void) {
  CHECK(reply.status == 201, "%d %.*s", reply.status, (int)reply.body_len, reply.body);
  return key_of(member("id"));
}

/* ---- who may ---- */

static void only_managers_manage_keys(void **state) {
  (void)state;
  char subtoken[SUBTOKEN_ISSUED_MAX + 128], derived[SUBTOKEN_ISSUED_MAX + 128];
  snprintf(subtoken, sizeof subtoken, "%s",
           bearer(subtoken_of_key("keys,account", NULL, NOW + 60)));
  assert_int_equal(get("/v2/createsubtoken?permissions=account,guilds", as_alice()), 200);
  snprintf(derived, sizeof derived, "Authorization: Bearer %s\n", member("subtoken"));
  const struct {
    const char *who;
    int status;
    const char *event;
  } rows[] = {
      {"", 401, "auth_missing"},
      {"X-API-Key: " KEY "x\n", 401, "key_unknown"},
      {AS_POOR, 403, "perm"}, /* a key manages nothing for its owner */
      {subtoken, 403, "escalation"},
      {derived, 403, "escalation"},
      {AS_KEY, 200, NULL},
      {AS_ALICE, 200, NULL},
      {as_alice(), 200, NULL},
      {as_service(), 200, NULL},
      {AS_ALICE "X-API-Key: " KEY "\n", 400, "auth_ambiguous"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    const struct {
      const char *method, *path, *headers, *body;
      int good;
    } calls[] = {
        {"GET", KEYS, "", "", 200},
        {"HEAD", KEYS, "", "", 200},
        {"POST", KEYS, AS_JSON, SMALL, 201},
        {"GET", ONE(ALICES), "", "", 200},
        {"PATCH", ONE(ALICES), AS_JSON, "{\"name\":\"x\"}", 200},
        {"POST", ONE(ALICES) "/revoke-subtokens", "", "", 204},
        {"DELETE", ONE(ALICES), "", "", 204},
    };
    for (size_t j = 0; j < COUNT(calls); j++) {
      fixture_row_of(ALICES)->ended = false;
      size_t changes = fixture.changes;
      int status = fixture_ask(calls[j].method, calls[j].path, with(rows[i].who, calls[j].headers),
                               calls[j].body);
      bool good = rows[i].status == 200;
      CHECK(status == (good ? calls[j].good : rows[i].status), "row %zu: %s %s: %d %.*s", i,
            calls[j].method, calls[j].path, status, (int)reply.body_len, reply.body);
      CHECK(good || fixture.changes == changes, "row %zu: %s", i, calls[j].method);
      if (!good) check_event(rows[i].event);
    }
  }
  assert_int_equal(get(KEYS, AS_POOR), 403);
  check_body("{\"text\":\"requires scope keys\"}");
  assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
}

/* A user sees their own keys alone, until they hold the permission for all. */
static void a_user_sees_own_keys_alone(void **state) {
  (void)state;
  static const char not_found[] = "{\"text\":\"there is no such key\"}";
  const char *ways[] = {AS_ALICE, as_alice()};
  char mine[100], theirs[100];
  snprintf(mine, sizeof mine, KEYS "?sub=%s", key_of(ALICES)->sub);
  snprintf(theirs, sizeof theirs, KEYS "?sub=%s", key_of(POOR_ID)->sub);
  for (size_t i = 0; i < COUNT(ways); i++) {
    const char *paths[] = {ONE(POOR_ID), ONE(NOBODYS), ONE(ALICE_ID)};
    for (size_t j = 0; j < COUNT(paths); j++) {
      char revoke[100];
      snprintf(revoke, sizeof revoke, "%s/revoke-subtokens", paths[j]);
      assert_int_equal(get(paths[j], ways[i]), 404);
      check_body(not_found); /* somebody else's key is none */
      assert_int_equal(fixture_ask("DELETE", paths[j], ways[i], ""), 404);
      check_body(not_found);
      assert_int_equal(patch(ways[i], paths[j], "{\"disabled\":true}"), 404);
      assert_int_equal(patch(ways[i], paths[j], "{\"name\":\"x\"}"), 404);
      assert_int_equal(fixture_ask("POST", revoke, ways[i], ""), 404);
    }
    assert_int_equal(fixture.changes, 0);
    assert_int_equal(get(KEYS, ways[i]), 200);
    assert_non_null(memmem(reply.body, reply.body_len, ALICES, ST_KEY_ID_LEN));
    assert_null(memmem(reply.body, reply.body_len, "operations", 10));
    assert_int_equal(get(theirs, ways[i]), 200);
    check_body("{\"keys\":[]}");
    assert_int_equal(get(mine, ways[i]), 200);
    check_body_starts("{\"keys\":[{\"id\":\"" ALICES "\"");
  }
  assert_int_equal(get(theirs, AS_KEY), 200);
  check_body_starts("{\"keys\":[{\"id\":\"" POOR_ID "\"");
  assert_int_equal(get(KEYS "?sub=unheard-of", AS_KEY), 200);
  check_body("{\"keys\":[]}");
  snprintf(fixture_row_of(ALICE_ID)->key.permissions, ST_PERMISSIONS_TEXT_MAX, "account,keys");
  assert_int_equal(get(ONE(POOR_ID), AS_ALICE), 200);
  assert_int_equal(get(ONE(ALICE_ID), AS_ALICE), 404); /* a user's row is no key */
}

/* ---- making one ---- */

static void a_key_is_made_and_shown_once(void **state) {
  (void)state;
  assert_int_equal(create(AS_KEY,
                          "{\"name\":\"a \\\"b\\\"\",\"permissions\":[\"guilds\",\"account\"],"
                          "\"expires\":\"2h\",\"owner\":\"somebody\",\"id\":\"x\"}"),
                   201);
  const st_key *key = made();
  assert_string_equal(key->name, "a \"b\"");
  assert_string_equal(key->owner, "somebody");
  assert_string_equal(key->permissions, "guilds,account");
  assert_true(key->expires_at == NOW + 7200);
  assert_string_equal(fixture.who, "key " KEY_ID);
  assert_string_equal(fixture.grantor, KEY_ID);
  assert_false(reply.event.clamped);
  char whole[ST_KEY_LEN + 1], expected[600];
  snprintf(whole, sizeof whole, "%s", member("key"));
  assert_true(st_key_shaped(st_text(whole)));
  snprintf(expected, sizeof expected,
           "{\"key\":\"%s\",\"id\":\"%s\",\"name\":\"a \\\"b\\\"\",\"owner\":\"somebody\","
           "\"permissions\":[\"guilds\",\"account\"],\"created_at\":\"2023-11-14T22:13:20Z\","
           "\"expires_at\":\"2023-11-15T00:13:20Z\",\"disabled\":false,\"state\":\"active\","
           "\"last_used_at\":null,\"sub\":\"%s\",\"rotated_at\":null,\"old_until\":null,"
           "\"audience\":null}",
           whole, key->id, key->sub);
  check_body(expected);
  /* once, and never again */
  char path[100];
  snprintf(path, sizeof path, KEYS "/%s", key->id);
  assert_int_equal(get(path, AS_KEY), 200);
  assert_null(memmem(reply.body, reply.body_len, whole + ST_KEY_ID_LEN, ST_KEY_ID_LEN));
  assert_int_equal(get(KEYS, AS_KEY), 200);
  assert_null(memmem(reply.body, reply.body_len, whole, ST_KEY_LEN));
}

static void only_a_manager_names_an_owner(void **state) {
  (void)state;
  static const char own[] = "{\"name\":\"n\",\"permissions\":[],\"owner\":\"alice\"}";
  static const char other[] = "{\"name\":\"n\",\"permissions\":[],\"owner\":\"alicE\"}";
  const char *ways[] = {AS_ALICE, as_alice()};
  for (size_t i = 0; i < COUNT(ways); i++) {
    assert_int_equal(create(ways[i], SMALL), 201);
    assert_string_equal(made()->owner, "alice");
    assert_string_equal(fixture.who, "person alice");
    assert_int_equal(create(ways[i], own), 201);
    assert_string_equal(made()->owner, "alice");
    assert_int_equal(create(ways[i], other), 403);
    check_body("{\"text\":\"requires scope keys\"}");
    assert_int_equal(create(ways[i], "{\"name\":\"n\",\"permissions\":[],\"owner\":\"\"}"), 403);
  }
  assert_int_equal(create(AS_KEY, SMALL), 201);
  assert_string_equal(made()->owner, "operations");
  assert_int_equal(create(AS_KEY, other), 201);
  assert_string_equal(made()->owner, "alicE");
}

/* Never more than the credential that it is made with. */
static void a_key_exceeds_no_credential(void **state) {
  (void)state;
  static const char wallet[] = "{\"name\":\"n\",\"permissions\":[\"account\",\"wallet\"]}";
  static const char keys[] = "{\"name\":\"n\",\"permissions\":[\"keys\"]}";
  const char *ways[] = {AS_KEY, AS_ALICE, as_alice(), as_service()};
  for (size_t i = 0; i < COUNT(ways); i++) {
    assert_int_equal(create(ways[i], wallet), 403);
    check_event("escalation");
    assert_string_equal(reply.challenge, "Bearer error=\"insufficient_scope\"");
    bool user = i == 1 || i == 2; /* who has no permission keys to hand on */
    CHECK(create(ways[i], keys) == (user ? 403 : 201), "%zu: %d", i, reply.status);
  }
  assert_int_equal(fixture.changes, 2);
  /* what was taken from the row, its tokens cannot hand on */
  const char *login = as_alice();
  snprintf(fixture_row_of(ALICE_ID)->key.permissions, ST_PERMISSIONS_TEXT_MAX, "guilds");
  assert_int_equal(create(AS_ALICE, SMALL), 403);
  fixture_row *row = &fixture.rows[fixture.row_count - 1];
  assert_int_equal(row->key.kind, ST_KIND_SESSION);
  snprintf(row->key.permissions, sizeof row->key.permissions, "guilds");
  assert_int_equal(create(login, SMALL), 403);
}

static const st_key *expiring(const char *who, const char *expires) {
  char body[200];
  snprintf(body, sizeof body, "{\"name\":\"n\",\"permissions\":[],\"expires\":\"%s\"}", expires);
  CHECK(create(who, body) == 201, "%s: %d", expires, reply.status);
  return made();
}

static void expiries_are_read_strictly(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      "0",
                                      "30",
                                      "0s",
                                      "0d",
                                      "-1d",
                                      "+1d",
                                      "1y",
                                      "d",
                                      "1 d",
                                      "1D",
                                      "1dd",
                                      "1.5d",
                                      "Never",
                                      "1d ",
                                      "99999999999999999999d",
                                      "9007199254740991d",
                                      "9007199254740990s"};
  char body[200];
  for (size_t i = 0; i < COUNT(wrong); i++) {
    snprintf(body, sizeof body, "{\"name\":\"n\",\"permissions\":[],\"expires\":\"%s\"}", wrong[i]);
    CHECK(create(AS_KEY, body) == 400, "%s: %d", wrong[i], reply.status);
    check_body_starts("{\"text\":\"expires: must be ");
  }
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"expires\":3600}"), 400);
  assert_int_equal(fixture.changes, 0);
  assert_true(expiring(AS_KEY, "1s")->expires_at == NOW + 1);
  assert_true(expiring(AS_KEY, "30d")->expires_at == NOW + 30 * DAY);
  assert_true(expiring(AS_KEY, "never")->expires_at == ST_NEVER);
  assert_string_equal(fixture.grantor, KEY_ID);
  assert_non_null(memmem(reply.body, reply.body_len, "\"expires_at\":null", 17));
  assert_int_equal(create(AS_KEY, SMALL), 201);
  assert_true(made()->expires_at == ST_NEVER);
}

/* It ends with what it was made with: for a session that is the user, or the service's key. */
static void a_key_ends_with_its_grantor(void **state) {
  (void)state;
  const char *login = as_alice(), *service_login = as_service();
  fixture_user(ST_TEXT("alice"))->key.expires_at = fixture_row_of(ALICE_ID)->key.expires_at =
      NOW + 7 * DAY;
  fixture_row_of(KEY_ID)->key.expires_at = NOW + 9 * DAY;
  const struct {
    const char *who;
    int64_t end;
  } rows[] = {{AS_KEY, NOW + 9 * DAY},
              {service_login, NOW + 9 * DAY},
              {AS_ALICE, NOW + 7 * DAY},
              {login, NOW + 7 * DAY}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    static const char *const longer[] = {"never", "10d"};
    for (size_t j = 0; j < COUNT(longer); j++) {
      const st_key *key = expiring(rows[i].who, longer[j]);
      CHECK(key->expires_at == rows[i].end, "row %zu: %lld", i, (long long)key->expires_at - NOW);
      assert_true(reply.event.clamped);
    }
    assert_true(expiring(rows[i].who, "6d")->expires_at == NOW + 6 * DAY);
    assert_false(reply.event.clamped);
  }
  fixture_row_of(KEY_ID)->key.kind = ST_KIND_USER; /* the key behind the service is not found */
  assert_int_equal(create(service_login, SMALL), 503);
}

static void a_new_key_is_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *body, *text;
  } rows[] = {
      {"{\"permissions\":[]}", "name: is missing"},
      {"{\"name\":\"n\"}", "permissions: is missing"},
      {"{\"name\":1,\"permissions\":[]}", "name: must be a string"},
      {"{\"name\":null,\"permissions\":[]}", "name: is missing"}, /* D14 */
      {"{\"name\":\"n\",\"permissions\":null}", "permissions: is missing"},
      {"{\"name\":\"n\",\"permissions\":[null]}", "permissions: must be an array of strings"},
      {"{\"name\":\"n\",\"permissions\":\"account\"}", "permissions: must be an array of strings"},
      {"{\"name\":\"n\",\"permissions\":[\"a b\"]}", "permissions: each must be"},
      {"{\"name\":\"n\",\"permissions\":[],\"owner\":[]}", "owner: must be a string"},
      {"{\"name\":\"n\",\"name\":\"n\",\"permissions\":[]}", "body: "},
      {"", "body: "},
  };
  char expected[200];
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(create(AS_KEY, rows[i].body) == 400, "%s: %d", rows[i].body, reply.status);
    snprintf(expected, sizeof expected, "{\"text\":\"%s", rows[i].text);
    check_body_starts(expected);
  }
  static const char *const fields[] = {"name", "owner"};
  for (int len = ST_NAME_MAX; len <= ST_NAME_MAX + 1; len++) {
    for (size_t i = 0; i < COUNT(fields); i++) {
      char body[600];
      snprintf(body, sizeof body, "{\"permissions\":[],%s\"%s\":\"%0*d\"}",
               i == 0 ? "" : "\"name\":\"n\",", fields[i], len, 7);
      CHECK(create(AS_KEY, body) == (len == ST_NAME_MAX ? 201 : 400), "%s %d: %d", fields[i], len,
            reply.status);
      snprintf(expected, sizeof expected, "{\"text\":\"%s: is longer than 256 bytes\"}", fields[i]);
      if (len > ST_NAME_MAX) check_body(expected);
    }
  }
  assert_int_equal(fixture_ask("POST", KEYS, AS_KEY "Content-Type: text/plain\n", SMALL), 415);
  assert_int_equal(fixture_ask("POST", KEYS, AS_KEY AS_FORM, SMALL), 415);
  assert_int_equal(fixture.changes, 2);
}

static void a_key_that_is_not_stored_is_told(void **state) {
  (void)state;
  fixture.outcome = ST_STORE_DENIED;
  assert_int_equal(create(AS_KEY, SMALL), 403);
  check_event("escalation");
  fixture.outcome = ST_STORE_OWNER_REGISTERED; /* G2 */
  assert_int_equal(create(AS_KEY, SMALL), 409);
  check_event("owner_registered");
  check_body_starts("{\"text\":\"owner: is a user who registered");
  fixture.outcome = ST_STORE_OWNER_NOT_USER;
  assert_int_equal(create(AS_KEY, SMALL), 409);
  check_event("owner_no_user");
  fixture.outcome = ST_STORE_FULL;
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"owner\":\"\"}"), 409);
  check_event("key_limit");
  check_body(
      "{\"text\":\"a key may make at most 1000 keys without an owner, and this one has: delete one "
      "that is not used any more, or ask the operator to raise keys_per_owner\"}");
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"owner\":\"ann\"}"), 409);
  check_body(
      "{\"text\":\"an owner may have at most 1000 keys, and this one has: delete one that is not "
      "used any more, or ask the operator to raise keys_per_owner\"}");
  assert_int_equal(reply.retry_after, 0); /* to ask again does not help */
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(create(AS_KEY, SMALL), 503);
  check_event("store_error");
  assert_true(reply.retry_after > 0);
  assert_null(memmem(reply.body, reply.body_len, "key\":", 5));
  fixture.outcome = ST_STORE_BUSY;
  assert_int_equal(create(AS_KEY, SMALL), 503);
  check_event("store_busy");
  assert_true(reply.retry_after > 0);
  fixture.outcome = ST_STORE_IN_DOUBT;
  assert_int_equal(create(AS_KEY, SMALL), 503);
  check_event("store_in_doubt");
  check_body_starts("{\"text\":\"the change may have been made");
  assert_int_equal(reply.retry_after, 0); /* a second key is another one */
}

/* G3: what was made with a key lives on, and the reply to who manages all keys says so. */
static void what_was_made_with_a_key_is_listed(void **state) {
  (void)state;
  static const char made[] =
      ",\"made\":{\"keys\":2,\"users\":1,\"ended\":false,\"more\":true,\"list\":[{\"key\":\"" KEY_ID
      "\"},{\"user\":\"e\\\"ve\"}]}}";
  fixture.derived = (st_derived){.keys = 2, .users = 1, .more = true, .count = 2};
  snprintf(fixture.derived.items[0].name, sizeof fixture.derived.items[0].name, KEY_ID);
  fixture.derived.items[1].user = true;
  snprintf(fixture.derived.items[1].name, sizeof fixture.derived.items[1].name, "e\"ve");
  assert_int_equal(patch(AS_KEY, ONE(ALICES), "{\"disabled\":true}"), 200);
  assert_memory_equal(reply.body + reply.body_len - strlen(made), made, strlen(made));
  assert_int_equal(patch(AS_KEY, ONE(ALICES), "{\"disabled\":false}"), 200);
  assert_null(memmem(reply.body, reply.body_len, "made", 4));
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), "{\"disabled\":true}"), 200);
  assert_null(memmem(reply.body, reply.body_len, "made", 4));
  /* the largest there are: an object in any case */
  st_key *key = &fixture_row_of(ALICES)->key;
  memset(key->name, '\x01', ST_NAME_MAX);
  snprintf(key->permissions, sizeof key->permissions, "%s", too_many());
  fixture.derived.count = ST_DERIVED_LISTED;
  for (size_t i = 0; i < ST_DERIVED_LISTED; i++) {
    fixture.derived.items[i].user = true;
    memset(fixture.derived.items[i].name, '\x01', ST_NAME_MAX);
  }
  assert_int_equal(patch(AS_KEY, ONE(ALICES), "{\"disabled\":true}"), 200);
  assert_string_equal(member("state"), "disabled");
  assert_int_equal(fixture_ask("DELETE", ONE(ALICES), AS_KEY, ""), 204);
  check_header("Subtoken-Made: keys=2,users=1\r\n");
  assert_int_equal(reply.body_len, 0);
}

/* The field reaches the store (G2); without it, and with false, the owner is a name. */
static void owner_is_user_reaches_the_store(void **state) {
  (void)state;
  assert_int_equal(create(AS_KEY, SMALL), 201);
  assert_false(fixture.owner_is_user);
  assert_int_equal(create(AS_KEY,
                          "{\"name\":\"n\",\"permissions\":[],\"owner\":\"alice\","
                          "\"owner_is_user\":true}"),
                   201);
  assert_true(fixture.owner_is_user);
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"owner_is_user\":false}"),
                   201);
  assert_false(fixture.owner_is_user);
  assert_int_equal(create(AS_KEY, "{\"name\":\"n\",\"permissions\":[],\"owner_is_user\":1}"), 400);
  check_body_starts("{\"text\":\"owner_is_user: must be true or false");
}

/* ---- pages ---- */

/* The ids of a page, in order; next: where it says that the next begins, or empty. */
static size_t ids_of_page(char ids[][ST_KEY_ID_LEN + 1], char next[ST_KEY_ID_LEN + 1]) {
  static char copy[ST_REPLY_BODY_MAX];
  st_json json;
  subtoken_text name, value;
  size_t count = 0;
  memcpy(copy, reply.body, reply.body_len);
  st_json_start(&json, copy, reply.body_len);
  next[0] = '\0';
  assert_true(st_json_object(&json) && st_json_member(&json, &name) && st_text_is(name, "keys") &&
              st_json_array(&json));
  while (st_json_element(&json)) {
    assert_true(st_json_object(&json));
    while (st_json_member(&json, &name)) {
      if (!st_text_is(name, "id")) {
        assert_true(st_json_skip(&json));
        continue;
      }
      assert_true(st_json_string(&json, &value) && value.len == ST_KEY_ID_LEN);
      snprintf(ids[count++], ST_KEY_ID_LEN + 1, "%.*s", (int)value.len, value.data);
    }
  }
  if (st_json_member(&json, &name)) {
    assert_true(st_text_is(name, "next") && st_json_string(&json, &value));
    snprintf(next, ST_KEY_ID_LEN + 1, "%.*s", (int)value.len, value.data);
    assert_false(st_json_member(&json, &name));
  }
  assert_true(st_json_end(&json));
  return count;
}

static char page_ids[128][ST_KEY_ID_LEN + 1];

/* Go through all pages; every key once, in order. The number of pages. */
static size_t walk(const char *who, int limit, size_t keys) {
  char target[200], last[ST_KEY_ID_LEN + 1] = "", next[ST_KEY_ID_LEN + 1];
  size_t seen = 0, pages = 0;
  do {
    snprintf(target, sizeof target, KEYS "?limit=%d&after=%s", limit, last);
    assert_int_equal(get(target, who), 200);
    size_t count = ids_of_page(page_ids, next);
    CHECK(count <= (size_t)limit && count > 0, "%zu of %d", count, limit);
    for (size_t i = 0; i < count; i++) {
      assert_true(strcmp(page_ids[i], last) > 0);
      memcpy(last, page_ids[i], sizeof last);
    }
    assert_true(next[0] == '\0' || strcmp(next, last) == 0);
    seen += count;
    pages++;
  } while (next[0] != '\0');
  CHECK(seen == keys, "limit %d: %zu of %zu", limit, seen, keys);
  return pages;
}

static void add_keys(size_t count, const char *name, const char *permissions) {
  for (size_t i = 0; i < count; i++) {
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08zX-1111-1111-1111-111111111111", i * 7919 % 1000);
    fixture_row *row = fixture_add(ST_KIND_KEY, id, "", "alice", permissions, ST_NEVER);
    snprintf(row->key.name, sizeof row->key.name, "%s", name);
  }
}

static void pages_lead_through_all_keys(void **state) {
  (void)state;
  for (size_t keys = 1; keys <= 48; keys++) {
    for (int limit = 1; limit <= 50; limit += limit < 18 || limit > 30 ? 1 : 7) {
      size_t pages = walk(AS_ALICE, limit, keys);
      size_t least = (keys + (size_t)limit - 1) / (size_t)limit;
      CHECK(pages == least, "%zu keys, limit %d: %zu pages", keys, limit, pages);
    }
    char id[ST_KEY_ID_LEN + 1];
    snprintf(id, sizeof id, "%08zX-1111-1111-1111-111111111111", keys * 7919 % 1000);
    fixture_add(ST_KIND_KEY, id, "", "alice", "account", ST_NEVER);
  }
  /* whoever has none */
  fixture_add_user("bob", "B0B00000-0000-0000-0000-000000000000", "account");
  assert_int_equal(get(KEYS, "Authorization: Basic Ym9iOmNvcnJlY3QgaG9yc2U6IGJhdHRlcnk=\n"), 200);
  check_body("{\"keys\":[]}");
}

static void a_page_has_at_most_100(void **state) {
  (void)state;
  char next[ST_KEY_ID_LEN + 1];
  add_keys(120, "n", "");
  static const struct {
    const char *query;
    size_t count; /* 0: refused */
  } rows[] = {{"", 50},          {"?limit=", 50}, {"?limit=100&", 0},     {"?limit=1", 1},
              {"?limit=50", 50}, {"?limit=0", 0}, {"?limit=101", 0},      {"?limit=999", 0},
              {"?limit=-1", 0},  {"?limit=x", 0}, {"?limit=1&limit=1", 0}};
  for (size_t i = 0; i < COUNT(rows); i++) {
    char target[100];
    snprintf(target, sizeof target, KEYS "%s", rows[i].query);
    bool most = strcmp(rows[i].query, "?limit=100&") == 0; /* as many as fit into the body */
    int status = get(target, AS_KEY);
    CHECK(status == (rows[i].count > 0 || most ? 200 : 400), "%s: %d", rows[i].query, status);
    if (status != 200) continue;
    size_t count = ids_of_page(page_ids, next);
    CHECK(most ? count > 50 : count == rows[i].count, "%s: %zu", rows[i].query, count);
    assert_string_equal(next, page_ids[count - 1]);
  }
  assert_int_equal(get(KEYS "?after=" NOBODYS, AS_KEY), 200);
  check_body("{\"keys\":[]}");
  assert_int_equal(get(KEYS "?after=0123456789012345678901234567890123456", AS_KEY), 400);
  assert_int_equal(get(KEYS "?after=%00", AS_KEY), 400);
  assert_int_equal(get(KEYS "?after=a&after=b", AS_KEY), 400);
  fixture.broken = true;
  assert_int_equal(get(KEYS, AS_KEY), 503);
}

/* The largest keys that a store can hold: a page ends when the body is full, and says so. */
static void a_page_ends_when_the_body_is_full(void **state) {
  (void)state;
  char name[ST_NAME_MAX + 1];
  memset(name, '\x01', ST_NAME_MAX);
  name[ST_NAME_MAX] = '\0';
  add_keys(60, name, too_many());
  for (size_t i = 0; i < fixture.row_count; i++) {
    fixture.rows[i].key.expires_at = ST_NEVER - 1; /* longer than null */
    fixture.rows[i].key.used_at = NOW;
  }
  size_t all = 60 + 3;
  for (int limit = 1; limit <= 100; limit = limit * 3 + 1) {
    size_t pages = walk(AS_KEY, limit, all);
    CHECK(pages >= 12 && pages <= all, "limit %d: %zu pages", limit, pages);
  }
  static st_reply one;
  st_writer writer = st_writer_on(one.body, sizeof one.body);
  memcpy(fixture.rows[5].key.owner, name, sizeof name);
  st_key_json_write(&writer, &fixture.rows[5].key, KEY, NOW);
  assert_true(!writer.overflow && writer.len <= ST_KEY_JSON_MAX);
  assert_true(ST_KEY_JSON_MAX + 100 < ST_REPLY_BODY_MAX);
}

/* ---- one key ---- */

static void hostile_names_are_escaped(void **state) {
  (void)state;
  static const char hostile[] = "\"},{\"id\":\"x\\\n\x1B[2J\x7F\xC2\x9B</script>";
  static const char escaped[] =
      "\"name\":\"\\\"},{\\\"id\\\":\\\"x\\\\\\u000a\\u001b[2J\\u007f\\u009b</script>\"";
  fixture_row *row = fixture_row_of(ALICES);
  snprintf(row->key.name, sizeof row->key.name, "%s", hostile);
  snprintf(row->key.owner, sizeof row->key.owner, "\xFF\"");
  assert_int_equal(get(ONE(ALICES), AS_KEY), 200);
  CHECK(memmem(reply.body, reply.body_len, escaped, strlen(escaped)) != NULL, "%.*s",
        (int)reply.body_len, reply.body);
  static const char owner[] = "\"owner\":\"\xEF\xBF\xBD\\\"\"";
  assert_non_null(memmem(reply.body, reply.body_len, owner, strlen(owner)));
  assert_string_equal(member("name"), hostile);
}

static void each_state_has_its_name(void **state) {
  (void)state;
  static const struct {
    bool disabled, suspended;
    int64_t expires_at;
    const char *state;
  } rows[] = {{false, false, NOW + 1, "active"},   {false, false, NOW, "expired"},
              {false, true, NOW + 1, "suspended"}, {false, true, NOW, "suspended"},
              {true, false, NOW + 1, "disabled"},  {true, true, NOW - 1, "disabled"}};
  st_key *key = &fixture_row_of(ALICES)->key;
  for (size_t i = 0; i < COUNT(rows); i++) {
    key->disabled = rows[i].disabled;
    key->suspended = rows[i].suspended;
    key->expires_at = rows[i].expires_at;
    assert_int_equal(get(ONE(ALICES), AS_KEY), 200);
    assert_string_equal(member("state"), rows[i].state);
  }
  key->used_at = NOW - 5;
  assert_int_equal(get(ONE(ALICES), AS_KEY), 200);
  assert_string_equal(member("last_used_at"), "2023-11-14T22:13:15Z");
}

static void a_key_is_renamed(void **state) {
  (void)state;
  char body[400], name[ST_NAME_MAX + 2];
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), "{\"name\":\"b\\u00e9\"}"), 200);
  assert_string_equal(key_of(ALICES)->name, "b\xC3\xA9");
  assert_string_equal(member("name"), "b\xC3\xA9");
  assert_int_equal(reply.headers_len, 0); /* revocation data knows no names */
  for (int len = ST_NAME_MAX; len <= ST_NAME_MAX + 1; len++) {
    snprintf(name, sizeof name, "%0*d", len, 7);
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    assert_int_equal(patch(AS_ALICE, ONE(ALICES), body), len == ST_NAME_MAX ? 200 : 400);
  }
  check_body("{\"text\":\"name: is longer than 256 bytes\"}");
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), "{\"name\":\"\"}"), 200);
  assert_string_equal(key_of(ALICES)->name, "");
  assert_int_equal(fixture.changes, 3);
}

static void a_change_is_read_strictly(void **state) {
  (void)state;
  static const struct {
    const char *body, *text;
  } rows[] = {
      {"{}", "disabled or name: one of them is required"},
      {"{\"other\":true}", "disabled or name: one of them is required"},
      {"{\"disabled\":true,\"name\":\"x\"}", "disabled, name: send one of them, not both"},
      {"{\"name\":\"x\",\"disabled\":false}", "disabled, name: send one of them, not both"},
      {"{\"disabled\":\"true\"}", "disabled: must be true or false"},
      {"{\"disabled\":1}", "disabled: must be true or false"},
      {"{\"disabled\":null}", "disabled or name: one of them is required"},
      {"{\"name\":true}", "name: must be a string"},
      {"{\"disabled\":true,\"disabled\":true}", "body: "},
      {"[]", "body: "},
      {"", "body: "},
  };
  char expected[200];
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(patch(AS_KEY, ONE(ALICES), rows[i].body) == 400, "%s: %d", rows[i].body, reply.status);
    snprintf(expected, sizeof expected, "{\"text\":\"%s", rows[i].text);
    check_body_starts(expected);
  }
  assert_int_equal(fixture_ask("PATCH", ONE(ALICES), AS_KEY AS_FORM, "disabled=true"), 415);
  assert_int_equal(fixture.changes, 0);
}

/* Who takes a key back into use holds all that it can do, or manages all keys. */
/* G5 */
static void an_owner_enables_what_the_owner_disabled(void **state) {
  (void)state;
  static const char off[] = "{\"disabled\":true}", on[] = "{\"disabled\":false}";
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), off), 200);
  assert_string_equal(member("disabled_by"), "owner");
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), on), 200);
  assert_null(memmem(reply.body, reply.body_len, "disabled_by", 11));
  assert_int_equal(patch(AS_KEY, ONE(ALICES), off), 200);
  assert_string_equal(member("disabled_by"), "administrator");
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), off), 200);
  assert_string_equal(member("disabled_by"), "administrator");
  assert_int_equal(patch(AS_ALICE, ONE(ALICES), on), 403);
  check_event("escalation");
  check_body("{\"text\":\"disabled: an administrator disabled this key and can enable it\"}");
  assert_int_equal(patch(AS_KEY, ONE(ALICES), on), 200);
}

static void a_key_is_disabled_and_enabled(void **state) {
  (void)state;
  const char *ways[] = {AS_ALICE, as_alice()};
  for (size_t i = 0; i < COUNT(ways); i++) {
    st_key *key = &fixture_row_of(ALICES)->key;
    snprintf(key->permissions, sizeof key->permissions, "account,guilds");
    assert_int_equal(patch(ways[i], ONE(ALICES), "{\"disabled\":true}"), 200);
    check_header("Subtoken-Seq: 82\r\n");
    assert_string_equal(member("state"), "disabled");
    assert_true(key->disabled);
    assert_int_equal(patch(ways[i], ONE(ALICES), "{\"disabled\":false}"), 200);
    check_header("Subtoken-Seq: 82\r\n");
    assert_false(key->disabled);
    snprintf(key->permissions, sizeof key->permissions, "account,wallet");
    assert_int_equal(patch(ways[i], ONE(ALICES), "{\"disabled\":true}"), 200);
    assert_int_equal(patch(ways[i], ONE(ALICES), "{\"disabled\":false}"), 403);
    check_event("escalation");
    assert_true(key->disabled);
    assert_int_equal(reply.headers_len, 0);
    assert_int_equal(patch(AS_KEY, ONE(ALICES), "{\"disabled\":false}"), 200);
    assert_false(key->disabled);
  }
}

static void a_key_is_deleted_and_its_subtokens_revoked(void **state) {
  (void)state;
  static const char revoke[] = ONE(ALICES) "/revoke-subtokens";
  assert_int_equal(fixture_ask("POST", revoke, AS_ALICE, ""), 204);
  check_header("Subtoken-Seq: 83\r\n");
  assert_int_equal(reply.body_len, 0);
  assert_int_equal(key_of(ALICES)->sub[0], 'x');
  /* without a body it needs a header: browsers send the others across origins unasked */
  assert_int_equal(fixture_ask("POST", ONE(ALICES) "/revoke-subtokens?access_token=" KEY, "", ""),
                   400);
  check_body_starts("{\"text\":\"access_token: ");
  assert_int_equal(fixture_ask("POST", revoke, AS_KEY AS_JSON, "{\"a\":1}"), 400);
  assert_int_equal(fixture_ask("POST", revoke, AS_KEY, "{}"), 400);
  assert_int_equal(fixture_ask("POST", revoke, AS_KEY, "x"), 400);
  assert_int_equal(fixture.changes, 1);
  assert_int_equal(fixture_ask("POST", revoke, AS_KEY AS_JSON, "{}"), 204); /* D15 */
  assert_int_equal(
      fixture_ask("POST", ONE(ALICES) "/revoke-subtokens?access_token=" KEY, AS_KEY, ""), 204);
  fixture.outcome = ST_STORE_FAILED;
  assert_int_equal(fixture_ask("DELETE", ONE(ALICES), AS_ALICE, ""), 503);
  assert_int_equal(fixture_ask("POST", revoke, AS_ALICE, ""), 503);
  assert_int_equal(reply.headers_len, 0);
  fixture.outcome = ST_STORE_OK;
  assert_int_equal(fixture_ask("DELETE", ONE(ALICES), AS_ALICE, ""), 204);
  check_header("Subtoken-Seq: 81\r\n");
  assert_string_equal(fixture.who, "person alice");
  assert_int_equal(fixture_ask("DELETE", ONE(ALICES), AS_ALICE, ""), 404);
  assert_int_equal(get(ONE(ALICES), AS_ALICE), 404);
}

/* ---- paths and methods ---- */

static void each_path_has_its_methods(void **state) {
  (void)state;
  static const struct {
    const char *method, *target;
    int status;
    const char *allow;
  } rows[] = {
      {"OPTIONS", KEYS, 204, "GET, HEAD, POST, OPTIONS"},
      {"PUT", KEYS, 405, "GET, HEAD, POST, OPTIONS"},
      {"DELETE", KEYS, 405, "GET, HEAD, POST, OPTIONS"},
      {"OPTIONS", ONE(ALICES), 204, "GET, HEAD, DELETE, PATCH, OPTIONS"},
      {"POST", ONE(ALICES), 405, "GET, HEAD, DELETE, PATCH, OPTIONS"},
      {"PUT", ONE(ALICES), 405, "GET, HEAD, DELETE, PATCH, OPTIONS"},
      {"OPTIONS", ONE(ALICES) "/revoke-subtokens", 204, "POST, OPTIONS"},
      {"GET", ONE(ALICES) "/revoke-subtokens", 405, "POST, OPTIONS"},
      {"DELETE", ONE(ALICES) "/revoke-subtokens", 405, "POST, OPTIONS"},
      {"GET", KEYS "/", 404, NULL},
      {"GET", ONE(ALICES) "/", 404, NULL},
      {"DELETE", ONE(ALICES) "/", 404, NULL},
      {"DELETE", ONE(ALICES) "x", 404, NULL},
      {"POST", ONE(ALICES) "/revoke-subtokens/", 404, NULL},
      {"POST", ONE(ALICES) "/revoke", 404, NULL},
      {"DELETE", ONE("AAAAAAAA-0000-0000-0000-00000000000"), 404, NULL},
      {"DELETE", ONE("AAAAAAAA-0000-0000/0000-000000000001"), 404, NULL},
      {"DELETE", ONE("aaaaaaaa-0000-0000-0000-000000000001"), 404, NULL},
      {"DELETE", ONE("%41AAAAAAA-0000-0000-0000-000000000001"), 404, NULL},
      {"GET", ONE(ALICES), 200, NULL},
      {"HEAD", ONE(ALICES), 200, NULL},
      {"GET", "/v2//keys///" ALICES, 200, NULL},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    int status = fixture_ask(rows[i].method, rows[i].target, AS_KEY, "");
    CHECK(status == rows[i].status, "%s %s: %d", rows[i].method, rows[i].target, status);
    CHECK((reply.allow != NULL) == (rows[i].allow != NULL), "row %zu", i);
    if (rows[i].allow != NULL) assert_string_equal(reply.allow, rows[i].allow);
    assert_true(reply.preflight == (status == 204));
  }
  assert_int_equal(fixture.changes, 0);
  subtoken_text far = repeated(ONE(ALICES), 'x', 100);
  char target[300];
  snprintf(target, sizeof target, "%.*s", (int)far.len, far.data);
  assert_int_equal(fixture_ask("DELETE", target, AS_KEY, ""), 404);
  release(far);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(only_managers_manage_keys, set_up),
      cmocka_unit_test_setup(a_user_sees_own_keys_alone, set_up),
      cmocka_unit_test_setup(a_key_is_made_and_shown_once, set_up),
      cmocka_unit_test_setup(only_a_manager_names_an_owner, set_up),
      cmocka_unit_test_setup(a_key_exceeds_no_credential, set_up),
      cmocka_unit_test_setup(expiries_are_read_strictly, set_up),
      cmocka_unit_test_setup(a_key_ends_with_its_grantor, set_up),
      cmocka_unit_test_setup(a_new_key_is_read_strictly, set_up),
      cmocka_unit_test_setup(a_key_that_is_not_stored_is_told, set_up),
      cmocka_unit_test_setup(pages_lead_through_all_keys, set_up),
      cmocka_unit_test_setup(a_page_has_at_most_100, set_up),
      cmocka_unit_test_setup(a_page_ends_when_the_body_is_full, set_up),
      cmocka_unit_test_setup(hostile_names_are_escaped, set_up),
      cmocka_unit_test_setup(each_state_has_its_name, set_up),
      cmocka_unit_test_setup(a_key_is_renamed, set_up),
      cmocka_unit_test_setup(a_change_is_read_strictly, set_up),
      cmocka_unit_test_setup(a_key_is_disabled_and_enabled, set_up),
      cmocka_unit_test_setup(an_owner_enables_what_the_owner_disabled, set_up),
      cmocka_unit_test_setup(owner_is_user_reaches_the_store, set_up),
      cmocka_unit_test_setup(what_was_made_with_a_key_is_listed, set_up),
      cmocka_unit_test_setup(a_key_is_deleted_and_its_subtokens_revoked, set_up),
      cmocka_unit_test_setup(each_path_has_its_methods, set_up),
  };
  return cmocka_run_group_tests_name("manage", tests, NULL, NULL);
}
