/* The service as a whole: the bytes that a client sends, read by the head reader and
 * answered from a store of two keys, under a ring and a clock that stand still.
 * Four bytes that no request holds stand for credentials that are good: 1 and 2 for
 * the keys, 3 for a subtoken of the first, 4 for one of the second that is
 * restricted by urls. All that follows the head is the body.
 */
#include "app/head.h"
#include "app/params.h"
#include "base/hmac.h"
#include "base/json.h"
#include "core/claims.h"
#include "core/paths.h"
#include "fuzz.h"

#define NOW INT64_C(1700000000)
#define KEYS 2
#define CREDENTIALS 4

/* What each of the four may do, known here without asking the service. */
typedef struct credential {
  char text[SUBTOKEN_ISSUED_MAX + 1];
  char tag[ST_CREDENTIAL_TAG_LEN + 1];
  const char *key_id;
  subtoken_claims grant;
} credential;

static st_key keys[KEYS];
static uint8_t digests[KEYS][ST_HASH_LEN];
static credential credentials[CREDENTIALS];
static subtoken_ring ring;
static st_settings settings;
static st_rate rate;

static st_found by_digest(void *store, const uint8_t digest[32], st_key *key) {
  (void)store;
  for (size_t i = 0; i < KEYS; i++) {
    if (memcmp(digests[i], digest, ST_HASH_LEN) != 0) continue;
    *key = keys[i];
    return ST_FOUND;
  }
  return ST_FOUND_NONE;
}

static st_found by_sub(void *store, subtoken_text sub, st_key *key) {
  (void)store;
  for (size_t i = 0; i < KEYS; i++) {
    if (!st_text_is(sub, keys[i].sub)) continue;
    *key = keys[i];
    return ST_FOUND;
  }
  return ST_FOUND_NONE;
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

/* A store in which no key has the id that is asked for. */
static st_changed no_key(void *context, const char *id, int64_t *sequence) {
  (void)context, (void)id, (void)sequence;
  return ST_CHANGED_NONE;
}

static st_changed no_key_to_disable(void *context, const char *id, bool disabled,
                                    int64_t *sequence) {
  (void)disabled;
  return no_key(context, id, sequence);
}

static const st_key_changes key_changes = {NULL, no_key, no_key_to_disable, no_key};
static st_service service = {.settings = &settings,
                             .ring = &ring,
                             .keys = {NULL, by_digest, by_sub},
                             .rate = &rate,
                             .ready = ready,
                             .changes = &key_changes,
                             .feed = {NULL, current, changes}};

/* ---- the keys and tokens ---- */

static void make_key(size_t i, const char *text, const char *name, const char *permissions,
                     int64_t expires_at) {
  memcpy(keys[i].id, text, ST_KEY_ID_LEN);
  memset(keys[i].sub, (int)('a' + i), ST_SUB_LEN);
  memcpy(keys[i].name, name, strlen(name));
  memcpy(keys[i].permissions, permissions, strlen(permissions));
  keys[i].expires_at = expires_at;
  HOLD(st_sha256(text, ST_KEY_LEN, digests[i]));
  memcpy(credentials[i].text, text, ST_KEY_LEN);
  credentials[i].key_id = keys[i].id;
  HOLD(st_key_grant(&keys[i], &credentials[i].grant));
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
  make_key(0, first, "plain", "account,guilds,inventories,revocations", ST_NEVER);
  make_key(1, second, "\"\\\x1b[31m\n\xC3\xAB", "account", NOW + 1000);
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

static bool holds(const char *text, size_t len, const char *piece) {
  return memmem(text, len, piece, strlen(piece)) != NULL;
}

static void check_status(const st_reply *reply) {
  static const int known[] = {200, 204, 304, 400, 401, 403, 404, 405, 415};
  bool found = false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= reply->status == known[i];
  HOLD(found);
  bool fed = reply->payload.data != NULL;
  HOLD((reply->status != 204 && reply->status != 304 && !fed) || reply->body_len == 0);
  HOLD(reply->body_len > 0 || fed || reply->status == 200 || reply->status == 204 ||
       reply->status == 304);
  HOLD((reply->allow != NULL) == (reply->status == 204 || reply->status == 405));
  HOLD(reply->preflight == (reply->status == 204));
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
  if (reply->status != 401) return;
  /* One body for all of them: it says nothing of the credential or the reason. */
  static const char text[] = "{\"text\":\"Invalid access token\"}";
  HOLD(reply->body_len == sizeof text - 1 && memcmp(reply->body, text, sizeof text - 1) == 0);
}

static const credential *used(const st_reply *reply) {
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
  if (reply->headers_len == 0) return; /* public, or a preflight */
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

static void check_success(const st_reply *reply, subtoken_text method) {
  static st_json json;
  static char copy[ST_REPLY_BODY_MAX];
  subtoken_text name, value;
  if (reply->payload.data == NULL && reply->body_len == 0) { /* what may pass, and for whom */
    HOLD(used(reply) != NULL && reply->headers_len > 0);
    return;
  }
  memcpy(copy, reply->body, reply->body_len);
  st_json_start(&json, copy, reply->body_len);
  HOLD(st_json_object(&json) && st_json_member(&json, &name));
  if (st_text_is(name, "status")) return; /* health */
  const credential *parent = used(reply);
  HOLD(parent != NULL && strcmp(reply->event.key_id, parent->key_id) == 0);
  HOLD(st_json_string(&json, &value));
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
  HOLD((reply->headers_len > 0) == (held == 1 || reply->status == 304));
  if (reply->headers_len == 0) return;
  const credential *by = used(reply);
  HOLD(by != NULL && st_claims_has_permission(&by->grant, ST_TEXT("revocations")));
  HOLD(reply->status == 200 || reply->status == 304);
  check_listed(by, method, "/v2/revocations");
  if (held == 1) reply->payload.release(reply->payload.context);
}

static void check(const st_request *request) {
  static st_reply reply, again;
  memset(&reply, 0x5A, sizeof reply);
  st_service_answer(&service, request, &reply);
  check_status(&reply);
  check_body(&reply);
  bool fed = reply.payload.data != NULL;
  bool passed = reply.status == 200 && !fed && reply.body_len == 0;
  if (passed) check_passed(&reply, request);
  if (!passed) check_fed(&reply, request->method);
  if (reply.status == 200 && !fed && !passed) check_success(&reply, request->method);
  HOLD(reply.head == st_text_is(request->method, "HEAD"));
  /* What is asked with GET and with HEAD of the decision endpoint are two questions. */
  bool decides = holds(request->target.data, request->target.len, "authorize");
  if (!st_text_is(request->method, "GET") || decides) return;
  st_request head = *request;
  head.method = ST_TEXT("HEAD");
  st_service_answer(&service, &head, &again);
  /* An entry may name GET, which lets HEAD through as well. */
  check_fed(&again, ST_TEXT("GET"));
  HOLD(again.head && again.status == reply.status && again.body_len == reply.body_len);
}

/* ---- the bytes ---- */

static subtoken_text expand(const uint8_t *data, size_t size) {
  size_t room = 1;
  for (size_t i = 0; i < size; i++) {
    bool stands = data[i] >= 1 && data[i] <= CREDENTIALS;
    room += stands ? strlen(credentials[data[i] - 1].text) : 1;
  }
  char *bytes = malloc(room);
  if (bytes == NULL) abort();
  st_writer writer = st_writer_on(bytes, room);
  for (size_t i = 0; i < size; i++) {
    bool stands = data[i] >= 1 && data[i] <= CREDENTIALS;
    if (stands) {
      st_write_string(&writer, credentials[data[i] - 1].text);
    } else {
      st_write_char(&writer, (char)data[i]);
    }
  }
  return (subtoken_text){bytes, writer.len};
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
                          .now = NOW,
                          .now_us = 1};
    check(&request);
  }
  free((void *)(uintptr_t)bytes.data);
  return 0;
}
