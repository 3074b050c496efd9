/* The service as a whole: the bytes that a client sends, read by the head reader and
 * answered from an office of two keys, a person and two logins, under a ring and a clock that
 * stand still. Seven bytes that no request holds stand for credentials that are good: 1 and 2 for
 * the keys, 3 for a subtoken of the first, 4 for one of the second that is restricted by urls, 5
 * for what stands behind `Basic`, 6 for the access token of the person's login, 7 for the refresh
 * token of that. All that follows the head is the body.
 */
#include "app/head.h"
#include "app/params.h"
#include "base/base64url.h"
#include "base/hmac.h"
#include "base/json.h"
#include "core/claims.h"
#include "core/paths.h"
#include "fuzz.h"

#define NOW INT64_C(1700000000)
#define KEYS 2
#define CREDENTIALS 6
#define EXPANDED 7
#define PASSWORD "the person's password"
#define REFRESH "the_refresh_token_of_the_login_43_character"

/* What each may do, known here without asking the service. */
typedef struct credential {
  char text[SUBTOKEN_ISSUED_MAX + 1];
  char tag[ST_CREDENTIAL_TAG_LEN + 1];
  const char *key_id;
  bool manages; /* it is no derived token */
  subtoken_claims grant;
} credential;

enum { KEY, OTHER_KEY, PERSON, LOGIN, SERVICE, ANYONE, ROWS };
enum { BY_BASIC = 4, BY_LOGIN };

static st_key keys[ROWS];
static uint8_t digests[ROWS][ST_HASH_LEN];
static credential credentials[CREDENTIALS];
static subtoken_ring ring;
static st_settings settings;
static st_rate rate;
static st_throttle throttle;
static st_basic basic;
static const st_request *asked; /* the request that is being answered */

static bool holds(const char *text, size_t len, const char *piece) {
  return memmem(text, len, piece, strlen(piece)) != NULL;
}

/* ---- the office ---- */

static st_found by_digest(void *store, const uint8_t digest[32], st_key *key) {
  (void)store;
  for (size_t i = 0; i < ROWS; i++) {
    if (memcmp(digests[i], digest, ST_HASH_LEN) != 0) continue;
    *key = keys[i];
    return ST_FOUND;
  }
  return ST_FOUND_NONE;
}

static st_found by_sub(void *store, subtoken_text sub, st_key *key) {
  (void)store;
  for (size_t i = 0; i < ROWS; i++) {
    if (!st_text_is(sub, keys[i].sub)) continue;
    *key = keys[i];
    return ST_FOUND;
  }
  return ST_FOUND_NONE;
}

static const st_key *row_of(const char *id) {
  for (size_t i = 0; i < ROWS; i++) {
    if (strcmp(keys[i].id, id) == 0) return &keys[i];
  }
  return NULL;
}

/* Nothing is changed but by who may: the second key and what is derived never. */
static void check_act(const st_act *act) {
  char by_key[64];
  snprintf(by_key, sizeof by_key, "key %s", keys[KEY].id);
  HOLD(strcmp(act->who, by_key) == 0 || strcmp(act->who, "person alice") == 0);
  HOLD(strcmp(act->from, "192.0.2.7") == 0);
}

/* A permission of what is made is one of what it is made with. */
static const st_key *check_maker(const st_act *act, const st_maker *maker,
                                 const char *permissions) {
  const st_key *by = row_of(maker->id);
  subtoken_claims grant;
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text each;
  check_act(act);
  HOLD(by != NULL && strcmp(by->sub, maker->sub) == 0 && st_key_grant(by, &grant));
  while (st_cut(&cutter, ',', &each)) HOLD(st_claims_has_permission(&grant, each));
  return by;
}

static st_changed find_key(void *context, const char *id, st_key *key) {
  (void)context;
  const st_key *row = row_of(id);
  if (row == NULL || row->kind != ST_KIND_KEY) return ST_CHANGED_NONE;
  *key = *row;
  return ST_CHANGED;
}

static st_changed find_sub(void *context, subtoken_text sub, st_key *key) {
  (void)context;
  if (by_sub(NULL, sub, key) != ST_FOUND || key->kind != ST_KIND_KEY) return ST_CHANGED_NONE;
  return ST_CHANGED;
}

static st_changed list_keys(void *context, const char *owner, const char *after, size_t limit,
                            st_key *out, size_t *count) {
  (void)context;
  *count = 0;
  for (size_t i = 0; i < KEYS && *count < limit; i++) {
    bool ours = owner == NULL || strcmp(owner, keys[i].owner) == 0;
    if (ours && strcmp(keys[i].id, after) > 0) out[(*count)++] = keys[i];
  }
  return ST_CHANGED;
}

static st_changed create_key(void *context, const st_act *act, const st_maker *maker, st_key *key,
                             char *whole) {
  (void)context;
  const st_key *by = check_maker(act, maker, key->permissions);
  HOLD(key->kind == ST_KIND_KEY && key->created_at == NOW && key->expires_at > NOW);
  HOLD(by->kind == ST_KIND_LOGIN || key->expires_at <= by->expires_at);
  HOLD(by->kind == ST_KIND_KEY || strcmp(key->owner, "alice") == 0);
  HOLD(!st_text_is(asked->method, "GET"));
  memcpy(key->id, "11111111-2222-3333-4444-555555555555", ST_KEY_ID_LEN + 1);
  memset(key->sub, 'n', ST_SUB_LEN);
  memset(whole, 'W', ST_KEY_LEN);
  whole[ST_KEY_LEN] = '\0';
  return ST_CHANGED;
}

/* A person's changes are those of their own keys, of which there is none. */
static st_changed change_key(const st_act *act, const char *id) {
  const st_key *row = row_of(id);
  check_act(act);
  HOLD(row != NULL && row->kind == ST_KIND_KEY && strncmp(act->who, "key ", 4) == 0);
  HOLD(!st_text_is(asked->method, "GET") && !st_text_is(asked->method, "HEAD"));
  return ST_CHANGED;
}

static st_changed rename_key(void *context, const st_act *act, const char *id, const char *name) {
  (void)context;
  HOLD(strlen(name) <= ST_NAME_MAX);
  return change_key(act, id);
}

static st_changed remove_key(void *context, const st_act *act, const char *id, int64_t *sequence) {
  (void)context;
  *sequence = 9;
  HOLD(st_text_is(asked->method, "DELETE"));
  return change_key(act, id);
}

static st_changed disable_key(void *context, const st_act *act, const char *id, bool disabled,
                              int64_t *sequence) {
  (void)context, (void)disabled;
  *sequence = 9;
  HOLD(st_text_is(asked->method, "PATCH"));
  return change_key(act, id);
}

static st_changed revoke_key(void *context, const st_act *act, const char *id, int64_t *sequence) {
  (void)context;
  *sequence = 9;
  HOLD(st_text_is(asked->method, "POST") && asked->body.len == 0);
  return change_key(act, id);
}

/* ---- persons ---- */

static st_found find_person(void *context, subtoken_text login, st_person *person) {
  (void)context;
  HOLD(st_login_valid(login) && !st_text_is(login, ST_ANYONE));
  if (!st_text_is(login, "alice")) return ST_FOUND_NONE;
  memset(person, 0, sizeof *person);
  person->key = keys[PERSON];
  return ST_FOUND;
}

static st_verdict check_person(void *context, const st_person *person, subtoken_text password) {
  (void)context;
  bool good = person != NULL && st_text_is(password, PASSWORD);
  return good ? ST_VERDICT_GOOD : ST_VERDICT_WRONG;
}

static st_changed create_person(void *context, const st_act *act, const st_maker *maker,
                                st_person *person, subtoken_text password, bool *busy) {
  (void)context;
  HOLD(maker != NULL); /* registration is closed */
  (void)check_maker(act, maker, person->key.permissions);
  HOLD(password.len >= ST_PASSWORD_MIN && password.len <= ST_PASSWORD_MAX);
  subtoken_text login = st_text(person->key.owner);
  HOLD(st_login_valid(login) && !st_text_is(login, ST_ANYONE));
  *busy = false;
  return st_text_is(login, "alice") ? ST_CHANGE_EXISTS : ST_CHANGED;
}

static st_changed log_in(void *context, const st_act *act, const st_maker *maker, st_key *login,
                         char refresh[ST_REFRESH_LEN + 1]) {
  (void)context;
  const st_key *by = check_maker(act, maker, "");
  HOLD(by == &keys[KEY] || by == &keys[PERSON]); /* nothing derived begins one */
  *login = keys[by == &keys[KEY] ? SERVICE : LOGIN];
  memset(refresh, 'r', ST_REFRESH_LEN);
  refresh[ST_REFRESH_LEN] = '\0';
  return ST_CHANGED;
}

static st_changed refresh_login(void *context, const st_act *act, subtoken_text token,
                                int64_t expires_at, st_key *login,
                                char successor[ST_REFRESH_LEN + 1]) {
  (void)context;
  HOLD(strcmp(act->who, "nobody") == 0 && token.len == ST_REFRESH_LEN && expires_at > NOW);
  if (memcmp(token.data, REFRESH, ST_REFRESH_LEN) != 0) {
    return token.data[0] == 'x' ? ST_CHANGE_REFUSED : ST_CHANGED_NONE;
  }
  *login = keys[LOGIN];
  memset(successor, 'r', ST_REFRESH_LEN);
  successor[ST_REFRESH_LEN] = '\0';
  return ST_CHANGED;
}

static st_changed log_out(void *context, const st_act *act, const char *id, int64_t *sequence) {
  (void)context;
  check_act(act);
  HOLD(strcmp(id, keys[LOGIN].id) == 0 || strcmp(id, keys[SERVICE].id) == 0);
  *sequence = 9;
  return ST_CHANGED;
}

static st_changed audit(void *context, int64_t before, size_t limit, st_audit_line *lines,
                        size_t *count) {
  (void)context;
  HOLD(before >= 0 && limit >= 1);
  *count = 0;
  for (int64_t id = before == 0 || before > 90 ? 90 : before - 1; id > 0 && *count < limit; id--) {
    st_audit_line *line = &lines[(*count)++];
    *line = (st_audit_line){.id = id, .at = NOW};
    snprintf(line->who, sizeof line->who, "person \"\n\x1B%lld", (long long)id);
    memset(line->detail, '\x01', ST_AUDIT_DETAIL_MAX);
  }
  return ST_CHANGED;
}

static void used_key(void *context, const char *id, int64_t now) {
  (void)context;
  const st_key *row = row_of(id);
  HOLD(row != NULL && row->kind == ST_KIND_KEY && now == NOW);
}

static bool ready(void *store) {
  (void)store;
  return true;
}

/* The feed: 8 bytes are the snapshot, 4 what has changed since 7. */
static int held;

static void let_go(void *context) {
  (void)context;
  held--;
}

static st_fed current(void *context, const subtoken_ring *under, int64_t now, st_edition *edition) {
  (void)context;
  HOLD(under == &ring && now == NOW);
  edition->sequence = 8;
  memset(edition->etag, 'e', ST_EDITION_TAG_LEN);
  edition->etag[ST_EDITION_TAG_LEN] = '\0';
  memset(edition->heartbeat, 'h', SUBTOKEN_HEARTBEAT_TEXT_LEN);
  edition->heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN] = '\0';
  edition->snapshot = (st_payload){"snapshot", 8, let_go, NULL};
  held++;
  return ST_FED;
}

static bool changes(void *context, const st_edition *edition, int64_t since, st_payload *payload) {
  (void)context;
  HOLD(edition->sequence == 8 && since > 0);
  if (since != 7) return false;
  *payload = (st_payload){"some", 4, let_go, NULL};
  held++;
  return true;
}

static const st_key_changes key_changes = {.create = create_key,
                                           .find = find_key,
                                           .find_sub = find_sub,
                                           .list = list_keys,
                                           .rename = rename_key,
                                           .remove = remove_key,
                                           .set_disabled = disable_key,
                                           .revoke_subtokens = revoke_key};
static const st_people people = {.find = find_person,
                                 .check = check_person,
                                 .create = create_person,
                                 .log_in = log_in,
                                 .refresh = refresh_login,
                                 .log_out = log_out,
                                 .audit = audit,
                                 .used = used_key};
static st_service service = {.settings = &settings,
                             .ring = &ring,
                             .keys = {NULL, by_digest, by_sub},
                             .rate = &rate,
                             .ready = ready,
                             .changes = &key_changes,
                             .people = &people,
                             .throttle = &throttle,
                             .basic = &basic,
                             .feed = {NULL, current, changes}};

/* ---- the keys and tokens ---- */

static void make_key(size_t i, const char *text, const char *name, const char *permissions,
                     int64_t expires_at) {
  memcpy(keys[i].id, text, ST_KEY_ID_LEN);
  memset(keys[i].sub, (int)('a' + i), ST_SUB_LEN);
  memcpy(keys[i].name, name, strlen(name));
  memcpy(keys[i].owner, "operations", sizeof "operations");
  memcpy(keys[i].permissions, permissions, strlen(permissions));
  keys[i].expires_at = expires_at;
  HOLD(st_sha256(text, ST_KEY_LEN, digests[i]));
  memcpy(credentials[i].text, text, ST_KEY_LEN);
  credentials[i].key_id = keys[i].id;
  HOLD(st_key_grant(&keys[i], &credentials[i].grant));
  credentials[i].manages = true;
}

static void make_row(size_t i, st_key_kind kind, size_t parent, const char *permissions) {
  st_key *row = &keys[i];
  row->kind = kind;
  snprintf(row->id, sizeof row->id, "%08zu-AAAA-BBBB-CCCC-000000000000", i);
  if (parent < ROWS) memcpy(row->parent, keys[parent].id, sizeof row->parent);
  const char *owner = kind == ST_KIND_SERVICE ? keys[KEY].owner : i == ANYONE ? "*" : "alice";
  snprintf(row->owner, sizeof row->owner, "%s", owner);
  snprintf(row->name, sizeof row->name, "%s", owner);
  memset(row->sub, (int)('a' + i), ST_SUB_LEN);
  snprintf(row->permissions, sizeof row->permissions, "%s", permissions);
  row->expires_at = kind == ST_KIND_PERSON ? ST_NEVER : NOW + 4000;
  memset(digests[i], 0xD0 + (int)i, ST_HASH_LEN); /* the hash of nothing */
}

/* A person, who comes with a password and in a login. */
static void make_person(void) {
  static const char both[] = "alice:" PASSWORD;
  size_t len;
  make_row(PERSON, ST_KIND_PERSON, ROWS, "account,guilds,audit");
  make_row(LOGIN, ST_KIND_LOGIN, PERSON, "account,guilds,audit");
  make_row(SERVICE, ST_KIND_SERVICE, KEY, keys[KEY].permissions);
  make_row(ANYONE, ST_KIND_PERSON, ROWS, "inventories");
  HOLD(st_anyone_digest(digests[ANYONE]));
  credential *made = &credentials[BY_BASIC];
  st_writer writer = st_writer_on(made->text, sizeof made->text);
  st_base64_write(&writer, ST_PADDED, both, sizeof both - 1);
  HOLD(st_writer_end(&writer) && st_key_grant(&keys[PERSON], &made->grant));
  made->key_id = keys[PERSON].id;
  made->manages = true;
  made = &credentials[BY_LOGIN];
  HOLD(st_key_grant(&keys[LOGIN], &made->grant));
  made->grant.iat = NOW - 10;
  made->grant.exp = NOW + 600;
  HOLD(subtoken_claims_set_sid(&made->grant, st_text(keys[LOGIN].id)) == SUBTOKEN_OK);
  HOLD(subtoken_issue(&ring, &made->grant, made->text, sizeof made->text, &len) == SUBTOKEN_OK);
  made->key_id = keys[LOGIN].id;
  made->manages = true;
}

static void make_subtoken(size_t parent, const char *const *urls, size_t url_count, int64_t exp) {
  credential *made = &credentials[parent + KEYS];
  subtoken_claims *claims = &made->grant;
  size_t len;
  claims->iat = NOW - 100;
  claims->exp = exp;
  claims->every_url = url_count == 0;
  HOLD(st_claims_set_sub(claims, st_text(keys[parent].sub)));
  HOLD(st_claims_add_permission(claims, ST_TEXT("account")));
  for (size_t i = 0; i < url_count; i++) HOLD(st_claims_add_url(claims, st_text(urls[i])));
  HOLD(subtoken_issue(&ring, claims, made->text, sizeof made->text, &len) == SUBTOKEN_OK);
  made->key_id = keys[parent].id;
}

static void make_policy(void) {
  static const char text[] =
      "{\"default\":\"token\",\"preflight\":true,\"routes\":["
      "{\"path\":\"/a\",\"methods\":[\"GET\"],\"needs\":[\"guilds\"]},"
      "{\"path\":\"/anyone\",\"needs\":[\"inventories\"]},"
      "{\"path\":\"/rpc\",\"json_rpc\":true},{\"path\":\"/open/*\",\"public\":true}]}";
  subtoken_text policy = {text, sizeof text - 1};
  static _Alignas(8) char memory[16384];
  size_t size = subtoken_policy_size(policy.len);
  HOLD(size <= sizeof memory &&
       subtoken_policy_read(memory, size, policy, &service.policy, NULL) == SUBTOKEN_OK);
}

static void make_all(void) {
  static const char first[] =
      "01234567-89AB-CDEF-0123-456789ABCDEF01234567-89AB-CDEF-0123-456789ABCDEF";
  static const char second[] =
      "FEDCBA98-7654-3210-FEDC-BA9876543210FEDCBA98-7654-3210-FEDC-BA9876543210";
  static const char *const urls[] = {"POST:/v2/createsubtoken", "GET:/v2/tokeninfo",
                                     "/v2/characters/*"};
  static const char hex[] = "0123456789abcdef";
  st_settings_default(&settings);
  HOLD(st_rate_start(&rate));
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), "subtoken-fuzz-tests-secret-0001!", 32) ==
       SUBTOKEN_OK);
  make_policy();
  make_key(0, first, "plain", "account,guilds,inventories,revocations,keys,users,services,audit",
           ST_NEVER);
  make_key(1, second, "\"\\\x1b[31m\n\xC3\xAB", "account", NOW + 1000);
  make_person();
  make_subtoken(0, NULL, 0, NOW + 5000);
  make_subtoken(1, urls, sizeof urls / sizeof urls[0], NOW + 500);
  for (size_t i = 0; i < CREDENTIALS; i++) {
    uint8_t digest[ST_HASH_LEN];
    HOLD(st_sha256(credentials[i].text, strlen(credentials[i].text), digest));
    for (size_t j = 0; j < ST_CREDENTIAL_TAG_LEN; j++) {
      credentials[i].tag[j] = hex[digest[j / 2] >> (j % 2 == 0 ? 4 : 0) & 15];
    }
  }
}

/* ---- what must hold for every reply ---- */

/* The decision endpoint's yes, which has no body. */
static bool passed(const st_reply *reply) {
  return reply->status == 200 && reply->body_len == 0 && reply->payload.data == NULL;
}

static void check_status(const st_reply *reply) {
  static const int known[] = {200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 415};
  bool found = false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= reply->status == known[i];
  HOLD(found);
  bool fed = reply->payload.data != NULL;
  HOLD((reply->body_len == 0) ==
       (reply->status == 204 || reply->status == 304 || fed || passed(reply)));
  bool done = reply->status == 204 && !reply->preflight; /* something has ended */
  HOLD((reply->allow != NULL) == (reply->preflight || reply->status == 405));
  HOLD(!reply->preflight || reply->status == 204);
  HOLD(!done || holds(reply->headers, reply->headers_len, "Subtoken-Seq: 9\r\n"));
  HOLD(reply->status != 401 || strncmp(reply->challenge, "Bearer", 6) == 0);
  HOLD(reply->challenge[0] == '\0' || (reply->status >= 400 && reply->status <= 403));
  for (const char *c = reply->challenge; *c != '\0'; c++) HOLD(*c >= ' ' && *c < 0x7F);
  HOLD(reply->status < 400 || reply->event.name != NULL);
}

static void check_body(const st_reply *reply) {
  if (reply->body_len == 0) return;
  char *copy = fuzz_copy(reply->body, reply->body_len);
  HOLD(st_json_valid(copy, reply->body_len));
  free(copy);
  for (size_t i = 0; i < CREDENTIALS; i++) {
    HOLD(!holds(reply->body, reply->body_len, credentials[i].text));
  }
  HOLD(!holds(reply->body, reply->body_len, PASSWORD));
  HOLD(!holds(reply->body, reply->body_len, REFRESH));
  if (reply->status != 401) return;
  /* One body for all of them: it says nothing of the credential or the reason. */
  static const char text[] = "{\"text\":\"Invalid access token\"}";
  HOLD(reply->body_len == sizeof text - 1 && memcmp(reply->body, text, sizeof text - 1) == 0);
}

/* Of a password no tag is told. */
static const credential *used(const st_reply *reply) {
  if (reply->event.credential[0] == '\0') {
    bool basic_used = strcmp(reply->event.key_id, keys[PERSON].id) == 0;
    return basic_used ? &credentials[BY_BASIC] : NULL;
  }
  for (size_t i = 0; i < CREDENTIALS; i++) {
    if (strcmp(reply->event.credential, credentials[i].tag) == 0) return &credentials[i];
  }
  return NULL;
}

static bool covered(const subtoken_claims *parent, const st_entry *inner) {
  static st_entry outer;
  for (size_t i = 0; i < parent->url_count; i++) {
    HOLD(st_entry_read(subtoken_claims_text(parent, parent->urls[i]), &outer) ==
         SUBTOKEN_FAULT_NONE);
    if (st_entry_covers(&outer, inner)) return true;
  }
  return parent->every_url;
}

/* A subtoken that was made is good, and allows no more than its parent. */
static void check_made(subtoken_text token, const credential *parent) {
  static subtoken_claims child;
  static st_entry entry;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  subtoken_request request = {.now = NOW, .target = {NULL, 0}};
  static const char *const paths[] = {"/v2/createsubtoken", "/v2/characters/x", "/elsewhere"};
  subtoken_result result = subtoken_verify(&verifier, token, &request, &child);
  if (result == SUBTOKEN_URL) { /* restricted: read its claims without a target */
    char header[SUBTOKEN_HEADER_MAX];
    result = subtoken_inspect(token, header, sizeof header, &child);
  }
  HOLD(result == SUBTOKEN_OK && token.len <= SUBTOKEN_ISSUED_MAX);
  HOLD(child.iat == NOW && child.exp > NOW);
  HOLD(child.exp <= parent->grant.exp && child.exp <= NOW + settings.max_life);
  HOLD(child.every_url ? parent->grant.every_url : child.url_count > 0);
  for (size_t i = 0; i < child.permission_count; i++) {
    HOLD(st_claims_has_permission(&parent->grant,
                                  subtoken_claims_text(&child, child.permissions[i])));
  }
  for (size_t i = 0; i < child.url_count; i++) {
    HOLD(st_entry_read(subtoken_claims_text(&child, child.urls[i]), &entry) == SUBTOKEN_FAULT_NONE);
    HOLD(covered(&parent->grant, &entry));
  }
  HOLD(st_text_equal(subtoken_claims_text(&child, child.sub),
                     subtoken_claims_text(&parent->grant, parent->grant.sub)));
  /* And at the edge: the signature too, with a target. */
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    request.target = st_text(paths[i]);
    request.method = ST_TEXT("GET");
    result = subtoken_verify(&verifier, token, &request, &child);
    HOLD(result == SUBTOKEN_OK || result == SUBTOKEN_URL);
    HOLD(result != SUBTOKEN_OK ||
         subtoken_url_match(&parent->grant, request.method, request.target) == SUBTOKEN_OK);
  }
}

/* A subtoken that is restricted by urls must list the endpoint. */
static void check_listed(const credential *by, subtoken_text method, const char *path) {
  HOLD(subtoken_url_match(&by->grant, method, st_text(path)) == SUBTOKEN_OK);
}

/* A proxy was told that a request may pass: nobody else's name, and no line too many. */
static void check_passed(const st_reply *reply, const st_request *request) {
  static const char *const names[] = {
      "X-Subtoken-Sub: ", "X-Subtoken-Key: ", "X-Subtoken-Permissions: "};
  static const char path[] = "/v2/authorize";
  size_t lines = 0;
  HOLD(held == 0 && holds(request->target.data, request->target.len, "authorize"));
  if (reply->headers_len == 0) return;                                  /* public, or a preflight */
  if (!holds(reply->headers, reply->headers_len, "X-Subtoken-Sub: ")) { /* what anyone may do */
    static const char line[] = "X-Subtoken-Permissions: inventories\r\n";
    HOLD(reply->headers_len == sizeof line - 1 && used(reply) == NULL);
    HOLD(memcmp(reply->headers, line, sizeof line - 1) == 0);
    return;
  }
  const credential *by = used(reply);
  HOLD(by != NULL && strcmp(reply->event.key_id, by->key_id) == 0);
  HOLD(holds(reply->headers, reply->headers_len, by->key_id));
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    HOLD(holds(reply->headers, reply->headers_len, names[i]));
  }
  for (size_t i = 0; i < reply->headers_len; i++) {
    HOLD(reply->headers[i] == '\r' || reply->headers[i] == '\n' || reply->headers[i] >= ' ');
    lines += reply->headers[i] == '\n';
  }
  HOLD(lines <= 5);
  for (size_t i = 0; i < CREDENTIALS; i++) {
    HOLD(!holds(reply->headers, reply->headers_len, credentials[i].text));
  }
  /* Told by the path: headers that tell of it, too, agree. */
  size_t front = sizeof path - 1;
  bool by_path = request->target.len > front && memcmp(request->target.data, path, front) == 0 &&
                 request->target.data[front] == '/';
  subtoken_text original = {request->target.data + front, request->target.len - front};
  HOLD(!by_path || subtoken_url_match(&by->grant, request->method, original) == SUBTOKEN_OK);
}

/* An access token is worth no more than what it was made from; a sid has a login's alone. */
static void check_access(subtoken_text token, const subtoken_claims *parent, const char *sid) {
  static subtoken_claims child;
  char header[SUBTOKEN_HEADER_MAX];
  HOLD(subtoken_inspect(token, header, sizeof header, &child) == SUBTOKEN_OK);
  HOLD(child.iat == NOW && child.exp > NOW && child.exp <= parent->exp);
  HOLD(child.exp <= NOW + settings.access_life);
  HOLD(child.every_url ? parent->every_url : child.url_count > 0);
  HOLD(st_text_is(subtoken_claims_text(&child, child.sid), sid));
  HOLD(st_text_equal(subtoken_claims_text(&child, child.sub),
                     subtoken_claims_text(parent, parent->sub)));
  for (size_t i = 0; i < child.permission_count; i++) {
    HOLD(st_claims_has_permission(parent, subtoken_claims_text(&child, child.permissions[i])));
  }
}

/* A login with a refresh token, or an exchange, of which none is told. */
static void check_pair(const st_reply *reply, subtoken_text token) {
  subtoken_claims grant;
  bool pair = holds(reply->body, reply->body_len, "\"refresh_token\":\"rrrrr");
  if (!pair) {
    const credential *by = used(reply);
    HOLD(by != NULL);
    check_access(token, &by->grant, "");
    return;
  }
  /* of the login that it tells of: the person's, or the first key's */
  bool person = strcmp(reply->event.key_id, keys[PERSON].id) == 0 ||
                strcmp(reply->event.key_id, keys[LOGIN].id) == 0;
  HOLD(person || used(reply) == &credentials[KEY]);
  const st_key *login = &keys[person ? LOGIN : SERVICE];
  HOLD(st_key_grant(login, &grant));
  check_access(token, &grant, login->id);
}

/* What only those see who may manage something. */
static void check_managed(const st_reply *reply, subtoken_text name) {
  const credential *by = used(reply);
  HOLD(by != NULL && by->manages);
  bool any = by == &credentials[KEY];
  if (st_text_is(name, "entries")) HOLD(st_claims_has_permission(&by->grant, ST_TEXT("audit")));
  if (st_text_is(name, "keys")) HOLD(any || !holds(reply->body, reply->body_len, "operations"));
  if (st_text_is(name, "login")) HOLD(any && reply->status == 201);
  if (st_text_is(name, "key")) HOLD(reply->status == 201);
  if (st_text_is(name, "hash")) HOLD(any);
}

static bool is_managed(subtoken_text name) {
  static const char *const names[] = {"entries", "keys", "key", "login", "hash"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (st_text_is(name, names[i])) return true;
  }
  return false;
}

static void check_success(const st_reply *reply, subtoken_text method) {
  static st_json json;
  static char copy[ST_REPLY_BODY_MAX];
  subtoken_text name, value;
  memcpy(copy, reply->body, reply->body_len);
  st_json_start(&json, copy, reply->body_len);
  HOLD(st_json_object(&json) && st_json_member(&json, &name));
  if (st_text_is(name, "status")) return; /* health */
  if (is_managed(name)) {
    check_managed(reply, name);
    return;
  }
  HOLD(st_json_string(&json, &value));
  if (st_text_is(name, "access_token") || st_text_is(name, "RawToken")) {
    check_pair(reply, value);
    return;
  }
  const credential *parent = used(reply);
  HOLD(parent != NULL && strcmp(reply->event.key_id, parent->key_id) == 0);
  if (st_text_is(name, "id") && holds(reply->body, reply->body_len, "\"last_used_at\":")) {
    HOLD(parent == &credentials[KEY]); /* one key, shown or changed */
    return;
  }
  if (st_text_is(name, "id")) {
    HOLD(st_text_is(value, parent->key_id));
    check_listed(parent, method, "/v2/tokeninfo");
    return;
  }
  HOLD(st_text_is(name, "subtoken"));
  check_listed(parent, method, "/v2/createsubtoken");
  check_made(value, parent);
  HOLD(!st_json_member(&json, &name) && st_json_end(&json));
}

/* The feed is for those who have the permission, and each payload is released once. */
static void check_fed(st_reply *reply, subtoken_text method) {
  HOLD(held == (reply->payload.data != NULL ? 1 : 0));
  if (passed(reply)) return;
  bool feeds = holds(reply->headers, reply->headers_len, "ETag: ");
  HOLD(feeds == (held == 1 || reply->status == 304));
  if (!feeds) return;
  const credential *by = used(reply);
  HOLD(by != NULL && st_claims_has_permission(&by->grant, ST_TEXT("revocations")));
  HOLD(reply->status == 200 || reply->status == 304);
  check_listed(by, method, "/v2/revocations");
  if (held == 1) reply->payload.release(reply->payload.context);
}

static void check(const st_request *request) {
  static st_reply reply, again;
  memset(&reply, 0x5A, sizeof reply);
  asked = request;
  st_service_answer(&service, request, &reply);
  check_status(&reply);
  check_body(&reply);
  bool fed = reply.payload.data != NULL;
  check_fed(&reply, request->method);
  if (passed(&reply)) {
    check_passed(&reply, request);
  } else if ((reply.status == 200 || reply.status == 201) && !fed) {
    check_success(&reply, request->method);
  }
  HOLD(reply.head == st_text_is(request->method, "HEAD"));
  /* What is asked with GET and with HEAD of the decision endpoint are two questions. */
  bool decides = holds(request->target.data, request->target.len, "authorize");
  if (!st_text_is(request->method, "GET") || decides) return;
  st_request head = *request;
  head.method = ST_TEXT("HEAD");
  asked = &head;
  st_service_answer(&service, &head, &again);
  /* An entry may name GET, which lets HEAD through as well. */
  check_fed(&again, ST_TEXT("GET"));
  HOLD(again.head && again.status == reply.status && again.body_len == reply.body_len);
}

/* ---- the bytes ---- */

/* What a byte stands for; NULL: itself. */
static const char *expansion(uint8_t byte) {
  if (byte < 1 || byte > EXPANDED) return NULL;
  return byte == EXPANDED ? REFRESH : credentials[byte - 1].text;
}

static subtoken_text expand(const uint8_t *data, size_t size) {
  size_t room = 1;
  for (size_t i = 0; i < size; i++) {
    const char *text = expansion(data[i]);
    room += text != NULL ? strlen(text) : 1;
  }
  char *bytes = malloc(room);
  if (bytes == NULL) abort();
  st_writer writer = st_writer_on(bytes, room);
  for (size_t i = 0; i < size; i++) {
    const char *text = expansion(data[i]);
    if (text != NULL) {
      st_write_words(&writer, text);
    } else {
      st_write_char(&writer, (char)data[i]);
    }
  }
  return (subtoken_text){bytes, writer.len};
}

/* Each input meets a service that has seen none. */
static void start_anew(void) {
  static const uint8_t random[33] = "thirty-two bytes of the fuzzer's";
  HOLD(st_throttle_start(&throttle, random) && st_basic_start(&basic, random));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool made;
  static st_head head;
  st_head_fault fault;
  if (!made) make_all();
  made = true;
  subtoken_text bytes = expand(data, size);
  if (st_head_read(bytes, &head, &fault) == ST_HEAD_GOOD) {
    size_t rest = bytes.len - head.len;
    if (rest > ST_BODY_IN_MAX) rest = ST_BODY_IN_MAX;
    st_request request = {.method = head.method,
                          .target = head.target,
                          .headers = head.headers,
                          .header_count = head.header_count,
                          .body = {bytes.data + head.len, rest},
                          .remote = ST_TEXT("192.0.2.7"),
                          .now = NOW,
                          .now_us = 1};
    start_anew();
    check(&request);
  }
  free((void *)(uintptr_t)bytes.data);
  return 0;
}
