/* What is left on the stack after a request with a secret in it: nothing of a password, of its hash
 * as it is stored, of a key, of a refresh token, of a token's MAC. As in test_wiped.c a request is
 * answered in a thread whose stack is memory of ours.
 */
#include "service_fixture.h"

#include <pthread.h>
#include <sys/mman.h>

#define STACK ((size_t)2048 * 1024) /* under the thread sanitizer it takes half of that itself */
#define DEPTH ((size_t)512 * 1024)  /* that a request may take */
#define STORED "$argon2id$v=19$m=65536$of-a-password-as-it-is-stored$by-a-store"
#define FIRST_REFRESH "first-refresh-token-of-a-session-01234567_-"
#define NEXT_REFRESH "next_refresh_token_of_a_session_abcdefgh-_x"
#define MADE_SECRET "7C3A1F58-90B2-4E6D-A1C4-5B7E9D2F6A80"
#define SUBTOKEN_MAC_TEXT 43
#define NEW_USER \
  "{\"login\":\"bob\",\"password\":\"" PASSWORD "\",\"locale\":\"en\",\"source\":\"web\"}"
/* Unlike KEY's, its secret half is no public id. */
#define OWN_ID "0A11CE00-0000-0000-0000-000000000001"
#define OWN_SECRET "E29B6C04-7D15-4F38-8BA6-3C0D51F7A942"
#define AS_OWN "Authorization: Bearer " OWN_ID OWN_SECRET "\n"
#define AS_JSON_OWN AS_OWN AS_JSON
#define CLIENT "&client_id=" OWN_ID "&client_secret=" OWN_ID OWN_SECRET

static uint8_t *stack;
static const uint8_t *bottom; /* of what is searched: DEPTH bytes below the thread's own */
static const char *asked_method, *asked_target, *asked_headers, *asked_body;

/* What a thread has for itself lies at the top, and its end takes some of the stack once more: the
 * work is done below that.
 */
static void *run_request(void *unused) {
  volatile char gap[64 * 1024];
  size_t own = (size_t)((uintptr_t)stack + STACK - (uintptr_t)gap);
  (void)unused;
  gap[0] = 0;
  if (own < STACK - DEPTH) bottom = stack + STACK - own - DEPTH;
  fixture_ask(asked_method, asked_target, asked_headers, asked_body);
  gap[sizeof gap - 1] = 0;
  return NULL;
}

static void run(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  memset(stack, 0, STACK);
  bottom = stack + STACK - DEPTH; /* where the sanitizer has moved the gap elsewhere */
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK), 0);
  assert_int_equal(pthread_create(&thread, &attributes, run_request, NULL), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  pthread_attr_destroy(&attributes);
}

/* Sixteen characters of it in a row. */
static bool is_left(subtoken_text secret) {
  for (size_t at = 0; at + 16 <= secret.len; at += at + 24 <= secret.len ? 8 : 1) {
    if (memmem(bottom, DEPTH, secret.data + at, 16) != NULL) return true;
  }
  return false;
}

static void check_nothing_is_left(const char *what) {
  static const char *const secrets[] = {PASSWORD,      STORED,       OWN_SECRET,
                                        FIRST_REFRESH, NEXT_REFRESH, MADE_SECRET};
  for (size_t i = 0; i < COUNT(secrets); i++) {
    CHECK(!is_left(st_text(secrets[i])), "%s: %s", what, secrets[i]);
  }
}

/* Of each token that was asked with or is in the reply. Where nothing is optimised, the compiler
 * keeps copies of its own of what is computed: there it is not looked for. */
static void check_no_mac_is_left(const char *what, const char *data, size_t len) {
  static const char begin[] = "eyJ";
  const char *at = data, *end = data + len;
  while ((at = memmem(at, (size_t)(end - at), begin, sizeof begin - 1)) != NULL) {
    size_t token = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");
    assert_true(token > SUBTOKEN_MAC_TEXT);
    size_t hidden = SUBTOKEN_MAC_TEXT - SUBTOKEN_TID_LEN; /* the tid is told to others */
#ifdef TESTED_IS_OPTIMISED
    CHECK(!is_left((subtoken_text){at + token - hidden, hidden}), "%s: a token's MAC", what);
#else
    (void)hidden, (void)what;
#endif
    at += token;
  }
}

static int ask(const char *method, const char *target, const char *headers, const char *body) {
  asked_method = method;
  asked_target = target;
  asked_headers = headers;
  asked_body = body;
  run();
  check_nothing_is_left(target);
  check_no_mac_is_left(target, reply.body, reply.body_len);
  check_no_mac_is_left(target, headers, strlen(headers));
  check_no_mac_is_left(target, body, strlen(body));
  return reply.status;
}

/* ---- a store that leaves nothing itself ---- */

static st_users users;
static st_key_changes changes;

static st_password_status check_password(void *context, const st_user *user, subtoken_text password,
                                         int64_t until_us) {
  (void)context;
  (void)until_us;
  if (user == NULL) return ST_PASSWORD_WRONG;
  return st_text_is(password, PASSWORD) ? ST_PASSWORD_OK : ST_PASSWORD_WRONG;
}

static st_password_status hash_password(void *context, subtoken_text password, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  (void)context;
  (void)until_us;
  assert_true(st_text_is(password, PASSWORD));
  memcpy(phc, STORED, sizeof STORED);
  return ST_PASSWORD_OK;
}

static st_store_status create_user(void *context, const st_audit_context *audit,
                                   const st_grantor *grantor, st_user *user) {
  (void)context;
  (void)audit;
  (void)grantor;
  assert_string_equal(user->password, STORED);
  return ST_STORE_OK;
}

static st_store_status begin_session(void *context, const st_audit_context *audit,
                                     const st_grantor *grantor, int64_t most, st_key *session,
                                     char refresh[ST_REFRESH_LEN + 1]) {
  st_store_status begun = fixture_log_in(context, audit, grantor, most, session, refresh);
  memcpy(refresh, FIRST_REFRESH, ST_REFRESH_LEN + 1);
  return begun;
}

static st_store_status find_refresh(void *context, subtoken_text token, int64_t now,
                                    st_key *session) {
  (void)context;
  (void)now;
  assert_true(st_text_is(token, FIRST_REFRESH));
  *session = fixture.rows[fixture.row_count - 1].key;
  return ST_STORE_OK;
}

static st_store_status refresh_session(void *context, const st_audit_context *audit,
                                       subtoken_text token, int64_t expires_at, int64_t retry,
                                       st_key *session, char successor[ST_REFRESH_LEN + 1]) {
  (void)audit;
  (void)expires_at;
  (void)retry;
  memcpy(successor, NEXT_REFRESH, ST_REFRESH_LEN + 1);
  return find_refresh(context, token, NOW, session);
}

static st_store_status create_key(void *context, const st_audit_context *audit,
                                  const st_grantor *grantor, st_key *key, char *whole) {
  st_store_status created = fixture_create_key(context, audit, grantor, key, whole);
  memcpy(whole + ST_KEY_ID_LEN, MADE_SECRET, sizeof MADE_SECRET);
  return created;
}

static st_store_status rotate_key(void *context, const st_audit_context *audit,
                                  const st_grantor *grantor, const char *id, int64_t overlap,
                                  st_key *key, char *whole) {
  st_store_status changed = fixture_rotate(context, audit, grantor, id, overlap, key, whole);
  memcpy(whole + ST_KEY_ID_LEN, MADE_SECRET, sizeof MADE_SECRET);
  return changed;
}

static st_feed_status feed_is_busy(void *context, const st_feed_question *question,
                                   st_snapshot_version *version) {
  (void)context;
  (void)question;
  (void)version;
  return ST_FEED_BUSY;
}

static int set_up(void **state) {
  if (fixture_set_up(state) != 0) return -1;
  fixture_row *row = fixture_add(ST_KIND_KEY, OWN_ID, "", "owner",
                                 KEY_PERMISSIONS ",introspect,revocations", ST_NEVER);
  st_sha256(OWN_ID OWN_SECRET, ST_KEY_LEN, row->digest);
  snprintf(fixture.users[0].password, sizeof fixture.users[0].password, STORED);
  users = fixture_users;
  users.check = check_password;
  users.hash = hash_password;
  users.create = create_user;
  users.begin_session = begin_session;
  users.find_refresh = find_refresh;
  users.refresh_session = refresh_session;
  changes = fixture_key_changes;
  changes.create = create_key;
  changes.rotate = rotate_key;
  service.feed.current = feed_is_busy;
  service.token_caches = NULL; /* they keep whole tokens */
  service.users = &users;
  service.changes = &changes;
  stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return stack == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  service.users = &fixture_users;
  service.changes = &fixture_key_changes;
  service.feed = (st_feed){0};
  service.token_caches = &token_caches;
  return munmap(stack, STACK);
}

/* ---- requests ---- */

/* The search finds what a function leaves. */
static st_store_status leave_it(void *context, subtoken_text username, st_user *user) {
  volatile char copy[64 * 1024]; /* what is called next reaches less far down */
  for (size_t i = 0; i < sizeof PASSWORD; i++) copy[i] = PASSWORD[i];
  assert_int_equal(copy[0], PASSWORD[0]);
  return fixture_find(context, username, user);
}

static void what_is_left_is_found(void **state) {
  (void)state;
  users.find = leave_it;
  asked_method = "GET";
  asked_target = "/v1/user/alice";
  asked_headers = AS_OWN;
  asked_body = "";
  run();
  assert_int_equal(reply.status, 200);
#if !defined(__SANITIZE_ADDRESS__) /* there, it may lie elsewhere */
  assert_true(is_left(st_text(PASSWORD)));
#endif
}

static void a_session_leaves_no_secret(void **state) {
  (void)state;
  static char headers[SUBTOKEN_ISSUED_MAX + 128];
  static const char login[] = "{\"login\":\"alice\",\"password\":\"" PASSWORD "\"}";
  static const char refresh[] = "{\"token\":\"" FIRST_REFRESH "\"}";
  assert_int_equal(ask("POST", "/v1/auth/login", AS_JSON, login), 200);
  snprintf(headers, sizeof headers, "%s" AS_JSON, bearer(member("access_token")));
  assert_int_equal(ask("POST", "/v1/auth/refresh", AS_JSON, refresh), 200);
  assert_string_equal(member("refresh_token"), NEXT_REFRESH);
  /* Whoever makes something by a session is looked up as a user, with a password. */
  assert_int_equal(ask("GET", "/v1/user", headers, ""), 200);
  assert_int_equal(ask("POST", "/v1/user", headers, NEW_USER), 201);
  assert_int_equal(ask("POST", "/v1/auth/logout", headers, ""), 204);
  assert_int_equal(ask("POST", "/v1/auth/token", AS_OWN, ""), 200);
  assert_int_equal(ask("POST", "/v1/auth/login", AS_JSON, "{\"password\":\"" PASSWORD "\"}"), 400);
  assert_int_equal(ask("POST", "/v1/auth/refresh", AS_JSON, "{\"tokens\":\"" FIRST_REFRESH "\"}"),
                   400);
  assert_int_equal(ask("POST", "/v1/auth/logout", AS_JSON_OWN, refresh), 403);
}

static void basic_leaves_no_password(void **state) {
  (void)state;
  static const char *const wrong[] = {AS_ALICE AS_OWN, AS_ALICE AS_ALICE,
                                      "Authorization: Basic Y29ycmVjdCBob3JzZTogYmF0dGVyeQ==\n"};
  for (int i = 0; i < 2; i++) { /* and by what is remembered of the first */
    assert_int_equal(ask("GET", "/v2/whoami", AS_ALICE, ""), 200);
    assert_int_equal(ask("GET", "/v2/authorize/v2/account", AS_ALICE, ""), 200);
  }
  assert_int_equal(ask("GET", "/v2/whoami", wrong[0], ""), 400);
  assert_int_equal(ask("GET", "/v2/whoami", wrong[1], ""), 400);
  assert_int_equal(ask("GET", "/v2/whoami", wrong[2], ""), 401);
  assert_int_equal(ask("GET", "/v2/whoami?access_token=x", AS_ALICE, ""), 400);
  assert_int_equal(ask("GET", "/v2/whoami?access_token=%", AS_ALICE, ""), 400);
  assert_int_equal(
      ask("POST", "/oauth/token", AS_ALICE AS_ALICE AS_FORM, "grant_type=client_credentials"), 400);
  assert_int_equal(ask("POST", "/oauth/token", AS_ALICE AS_FORM, "grant_type=client_credentials"),
                   401);
}

static void users_leave_no_password(void **state) {
  (void)state;
  settings.registration_open = true;
  static const char permissions[] = "{\"permissions\":[\"account\"]}";
  assert_int_equal(ask("POST", "/v1/user", AS_JSON, NEW_USER), 201);
  assert_int_equal(
      ask("POST", "/v1/user", AS_JSON, "{\"login\":\"b:\",\"password\":\"" PASSWORD "\"}"), 400);
  assert_int_equal(ask("GET", "/v1/user", AS_OWN, ""), 200);
  assert_int_equal(ask("GET", "/v1/user?search=a", AS_OWN, ""), 200);
  assert_int_equal(ask("GET", "/v1/user/alice", AS_OWN, ""), 200);
  assert_int_equal(ask("PATCH", "/v1/user/alice", AS_JSON_OWN, permissions), 200);
  assert_int_equal(ask("PATCH", "/v1/user/alice", AS_JSON_OWN, "{\"disabled\":true}"), 200);
  assert_int_equal(ask("DELETE", "/v1/user/alice", AS_OWN, ""), 204);
}

static void keys_leave_no_secret(void **state) {
  (void)state;
  static const char string[] = "{\"text\":\"" FIRST_REFRESH "\"}";
  assert_int_equal(ask("POST", "/v2/keys", AS_JSON_OWN, "{\"name\":\"x\",\"permissions\":[]}"),
                   201);
  assert_int_equal(ask("GET", "/v2/keys?access_token=" OWN_ID OWN_SECRET, "", ""), 200);
  assert_int_equal(ask("GET", "/v2/keys?access_token=" OWN_ID OWN_SECRET "&access_token=a", "", ""),
                   400);
  assert_int_equal(ask("GET", "/v2/keys?access_token=" OWN_ID OWN_SECRET "%", "", ""), 400);
  assert_int_equal(
      ask("GET", "/v2/createsubtoken?permissions=account&access_token=" OWN_ID OWN_SECRET, "", ""),
      200);
  assert_int_equal(ask("GET", "/v2/createsubtoken?permissions=account", AS_OWN, ""), 200);
  assert_int_equal(ask("POST", "/utils/hash/secure", AS_JSON_OWN, string), 200);
  assert_int_equal(ask("GET", "/v2/revocations?access_token=" OWN_ID OWN_SECRET, "", ""), 503);
  assert_int_equal(ask("GET", "/v2/tokeninfo?access%5Ftoken=" OWN_ID OWN_SECRET, "", ""), 200);
  assert_int_equal(ask("GET", "/v2/tokeninfo?access%5Ftoken=" OWN_ID OWN_SECRET "%&v=1", "", ""),
                   400);
  assert_int_equal(ask("POST", "/v2/previewsubtoken?access_token=" OWN_ID OWN_SECRET, "", ""), 200);
  assert_int_equal(ask("POST", "/v2/keys/" OWN_ID "/rotate", AS_OWN, ""), 200);
}

static void tokens_leave_no_mac(void **state) {
  (void)state;
  static char headers[SUBTOKEN_ISSUED_MAX + 128], seen[SUBTOKEN_ISSUED_MAX + 256];
  static char explain[SUBTOKEN_ISSUED_MAX + 64];
  static const char permissions[] = "{\"permissions\":[\"account\"]}";
  assert_int_equal(ask("POST", "/v2/createsubtoken", AS_JSON_OWN, permissions), 200);
  snprintf(headers, sizeof headers, "%s" AS_JSON, bearer(member("subtoken")));
  snprintf(seen, sizeof seen, AS_JSON_OWN "X-Seen: %s\n", member("subtoken"));
  snprintf(explain, sizeof explain, "{\"token\":\"%s\"}", member("subtoken"));
  assert_int_equal(ask("GET", "/v2/whoami", headers, ""), 200);
  /* It is made and thrown away. */
  assert_int_equal(ask("POST", "/v2/previewsubtoken", seen, permissions), 200);
  assert_int_equal(ask("POST", "/v2/explain", AS_JSON_OWN, explain), 200);
}

static void oauth_leaves_no_secret(void **state) {
  (void)state;
  static char form[SUBTOKEN_ISSUED_MAX + 512];
  static const char exchange[] = "urn:ietf:params:oauth:grant-type:token-exchange";
  assert_int_equal(ask("POST", "/oauth/token", AS_FORM, "grant_type=client_credentials" CLIENT),
                   200);
  snprintf(form, sizeof form,
           "grant_type=%s&subject_token=%s&subject_token_type=urn:ietf:params:oauth:token-type:jwt",
           exchange, member("access_token"));
  assert_int_equal(ask("POST", "/oauth/token", AS_FORM, form), 200);
  snprintf(form, sizeof form, "token=%s" CLIENT, member("access_token"));
  assert_int_equal(ask("POST", "/oauth/introspect", AS_FORM, form), 200);
  assert_int_equal(ask("POST", "/oauth/revoke", AS_FORM, form), 200);
  assert_int_equal(ask("POST", "/oauth/token", AS_FORM, "grant_type=none" CLIENT), 400);
  assert_int_equal(post("/v1/auth/token", AS_OWN, ""), 200);
  assert_int_equal(ask("POST", "/oauth/token", AS_FORM,
                       "grant_type=refresh_token&refresh_token=" FIRST_REFRESH CLIENT),
                   200);
  assert_int_equal(
      ask("POST", "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", AS_OWN, ""), 200);
  assert_int_equal(ask("POST", "/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken",
                       AS_JSON_OWN, "{\"a\":\"" PASSWORD "\"}"),
                   200);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(what_is_left_is_found),    TEST(a_session_leaves_no_secret),
      TEST(basic_leaves_no_password), TEST(users_leave_no_password),
      TEST(keys_leave_no_secret),     TEST(tokens_leave_no_mac),
      TEST(oauth_leaves_no_secret),
  };
#undef TEST
  return cmocka_run_group_tests_name("service_wiped", tests, NULL, NULL);
}
