/* The service as a whole: the bytes that a client sends, read by the head reader and
 * answered from a store of two keys and a user, under a ring and a clock that stand
 * still. Six bytes that no request holds stand for credentials that are good: 1 and 2
 * for the keys, 3 for a subtoken of the first, 4 for one of the second that is
 * restricted by urls, 5 for the access token of the user's session, 6 for its refresh
 * token. All that follows the head is the body.
 */
#include "base/hmac.h"
#include "base/json.h"
#include "core/claims.h"
#include "core/paths.h"
#include "domain/names.h"
#include "domain/permissions.h"
#include "domain/store_search.h"
#include "fuzz.h"
#include "page/files.h"
#include "server/basic_locks.h"
#include "service/accept.h"
#include "service/params.h"
#include "service/rate_limit.h"
#include "service/request_head.h"
#include "service/router.h"
#include "service/throttle.h"
#include "service/trace_context.h"

#define NOW INT64_C(1700000000)
#define KEYS 2
#define ROWS 4 /* the keys, the user, the session */
#define SESSION_TOKEN 4
#define REFRESH_TOKEN 5
#define CREDENTIALS 6
#define PASSWORD "correct horse"

/* What each of them may do, known here without asking the service. */
typedef struct credential {
  char text[SUBTOKEN_ISSUED_MAX + 1];
  char tag[ST_CREDENTIAL_TAG_LEN + 1];
  const char *key_id;
  subtoken_claims grant;
} credential;

static st_key rows[ROWS];
static uint8_t digests[KEYS][ST_HASH_LEN];
static credential credentials[CREDENTIALS];
static credential by_password; /* the user's, for HTTP Basic */
static st_key session;         /* the one that has begun, or was refreshed, or nothing */
static subtoken_ring ring;
static st_settings settings;
static st_rate_limit rate;
static st_throttle throttle;
static st_basic_auth basic;

static st_store_status by_digest(void *store, const uint8_t digest[32], st_key *key) {
  (void)store;
  for (size_t i = 0; i < KEYS; i++) {
    if (memcmp(digests[i], digest, ST_HASH_LEN) != 0) continue;
    *key = rows[i];
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static st_store_status by_sub(void *store, subtoken_text sub, st_key *key) {
  (void)store;
  for (size_t i = 0; i < ROWS; i++) {
    if (!st_text_is(sub, rows[i].sub)) continue;
    *key = rows[i];
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static st_store_status tokens_revoked(void *store, const subtoken_text *tids, size_t count,
                                      bool *revoked) {
  (void)store;
  for (size_t i = 0; i < count; i++) HOLD(tids[i].len == ST_TID_LEN);
  *revoked = false;
  return ST_STORE_OK;
}

static bool ready(void *store) {
  (void)store;
  return true;
}

/* The feed: 8 bytes are the snapshot, 4 what has changed since 7. */
static int held;

static void release(void *context) {
  (void)context;
  held--;
}

static void check_question(const st_feed_question *question) {
  HOLD(question->ring == &ring && question->now == NOW && question->since >= 0);
  HOLD(strlen(question->key_id) == ST_KEY_ID_LEN);
  HOLD(question->audience.len == 0 || subtoken_audience_valid(question->audience));
}

static st_feed_status current(void *context, const st_feed_question *question,
                              st_snapshot_version *version) {
  (void)context;
  check_question(question);
  version->sequence = 8;
  memset(version->etag, 'e', ST_SNAPSHOT_TAG_LEN);
  version->etag[ST_SNAPSHOT_TAG_LEN] = '\0';
  memset(version->heartbeat, 'h', SUBTOKEN_HEARTBEAT_TEXT_LEN);
  version->heartbeat[SUBTOKEN_HEARTBEAT_TEXT_LEN] = '\0';
  version->snapshot = (st_payload){.data = "snapshot", .len = 8, .release = release};
  held++;
  return ST_FEED_READY;
}

static bool changes(void *context, const st_snapshot_version *version, int64_t since,
                    st_payload *payload) {
  (void)context;
  HOLD(version->sequence == 8 && since > 0);
  if (since != 7) return false;
  *payload = (st_payload){.data = "some", .len = 4, .release = release};
  held++;
  return true;
}

/* Some sequences were given by nobody. */
static st_feed_status issued(void *context, int64_t since) {
  (void)context;
  return since < 100 ? ST_FEED_READY : ST_FEED_NEVER;
}

static st_feed_status whole(void *context, const st_feed_question *question,
                            st_snapshot_version *version) {
  (void)context;
  check_question(question);
  HOLD(version->sequence == 8);
  return ST_FEED_READY;
}

/* ---- users, sessions and what is managed; each holds the service to what it may ask ---- */

static void check_audit(const st_audit_context *audit) {
  HOLD(audit->who[0] != '\0' && strcmp(audit->from, "192.0.2.7") == 0);
}

/* A credential never exceeds its parent. */
static const st_key *check_grantor(const st_grantor *grantor, const char *permissions) {
  static subtoken_claims grant;
  for (size_t i = 0; i < ROWS; i++) {
    if (strcmp(rows[i].id, grantor->id) != 0) continue;
    HOLD(strcmp(rows[i].sub, grantor->sub) == 0 && st_key_grant(&rows[i], &grant));
    st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
    subtoken_text each;
    while (st_cut(&cutter, ',', &each)) HOLD(st_claims_has_permission(&grant, each));
    return &rows[i];
  }
  abort();
}

static st_store_status find_user(void *context, subtoken_text name, st_user *user) {
  (void)context;
  if (!st_text_is(name, rows[KEYS].owner)) return ST_STORE_NOT_FOUND;
  memset(user, 0, sizeof *user);
  user->key = rows[KEYS];
  return ST_STORE_OK;
}

static st_password_status check_password(void *context, const st_user *user, subtoken_text password,
                                         int64_t until_us) {
  (void)context, (void)until_us;
  return user != NULL && st_text_is(password, PASSWORD) ? ST_PASSWORD_OK : ST_PASSWORD_WRONG;
}

static st_password_status hash_password(void *context, subtoken_text password, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  (void)context, (void)until_us;
  HOLD(password.len >= ST_PASSWORD_MIN && password.len <= ST_PASSWORD_MAX);
  memcpy(phc, "hash", sizeof "hash");
  return ST_PASSWORD_OK;
}

static st_store_status create_user(void *context, const st_audit_context *audit,
                                   const st_grantor *grantor, st_user *user) {
  const st_key *key = &user->key;
  (void)context;
  check_audit(audit);
  HOLD(st_names_username_valid(st_text(key->owner)) && strcmp(key->owner, ST_ANONYMOUS) != 0);
  HOLD(strcmp(key->owner, key->name) == 0 && st_utf8_valid(st_text(user->source)));
  HOLD(strcmp(user->password, "hash") == 0);
  HOLD(grantor != NULL || key->permissions[0] == '\0');
  if (grantor != NULL) {
    const st_key *by = check_grantor(grantor, key->permissions);
    HOLD(by->kind != ST_KIND_KEY || key->expires_at <= by->expires_at);
  }
  return strcmp(key->owner, rows[KEYS].owner) == 0 ? ST_STORE_EXISTS : ST_STORE_OK;
}

static st_store_status begin_session(void *context, const st_audit_context *audit,
                                     const st_grantor *grantor, int64_t most, st_key *made,
                                     char refresh[ST_REFRESH_LEN + 1]) {
  (void)context;
  check_audit(audit);
  const st_key *by = check_grantor(grantor, "");
  HOLD(by->kind == ST_KIND_USER || by->kind == ST_KIND_KEY);
  HOLD(made->expires_at == NOW + settings.refresh_life);
  HOLD(most == (by->kind == ST_KIND_KEY ? settings.sessions_per_key : ST_SESSIONS_PER_USER));
  session = rows[ROWS - 1];
  memcpy(session.permissions, by->permissions, sizeof session.permissions);
  session.kind = by->kind == ST_KIND_KEY ? ST_KIND_SERVICE : ST_KIND_SESSION;
  session.expires_at = made->expires_at < by->expires_at ? made->expires_at : by->expires_at;
  *made = session;
  memset(refresh, 'r', ST_REFRESH_LEN);
  refresh[ST_REFRESH_LEN] = '\0';
  return ST_STORE_OK;
}

/* A u at its front: one that was used before. */
static st_store_status refresh_session(void *context, const st_audit_context *audit,
                                       subtoken_text token, int64_t expires_at, int64_t retry,
                                       st_key *made, char successor[ST_REFRESH_LEN + 1]) {
  (void)context;
  check_audit(audit);
  HOLD(retry == settings.refresh_retry);
  HOLD(token.len == ST_REFRESH_LEN && expires_at == NOW + settings.refresh_life);
  if (token.data[0] == 'u') return ST_STORE_DENIED;
  if (!st_text_is(token, credentials[REFRESH_TOKEN].text)) return ST_STORE_NOT_FOUND;
  session = rows[ROWS - 1];
  *made = session;
  memset(successor, 'r', ST_REFRESH_LEN);
  successor[ST_REFRESH_LEN] = '\0';
  return ST_STORE_OK;
}

static st_store_status find_refresh(void *context, subtoken_text token, int64_t now,
                                    st_key *found) {
  (void)context;
  HOLD(token.len == ST_REFRESH_LEN && now == NOW);
  if (!st_text_is(token, credentials[REFRESH_TOKEN].text)) return ST_STORE_NOT_FOUND;
  *found = rows[ROWS - 1];
  return ST_STORE_OK;
}

static st_store_status end_session(void *context, const st_audit_context *audit, const char *id,
                                   int64_t *sequence) {
  (void)context;
  check_audit(audit);
  HOLD(strcmp(id, rows[ROWS - 1].id) == 0);
  *sequence = 9;
  return ST_STORE_OK;
}

static st_store_status list_audit(void *context, int64_t before, size_t limit, st_audit_line *lines,
                                  size_t *count) {
  (void)context;
  HOLD(before >= 0 && limit >= 1 && limit <= 100);
  int64_t id = before == 0 || before > 20 ? 20 : before - 1;
  for (*count = 0; id > 0 && *count < limit; id--) {
    st_audit_line *line = &lines[(*count)++];
    memset(line, 0, sizeof *line);
    line->id = id;
    memset(line->detail, 1, ST_AUDIT_DETAIL_MAX);
  }
  return ST_STORE_OK;
}

/* What it may be asked for, and what it may be told. */
static void check_page(const st_search_page *page) {
  HOLD(page->limit >= 1 && page->limit <= 100 && page->rows >= 1 && page->rows <= ST_SEARCH_ROWS);
}

static st_store_status search_audit(void *context, const st_audit_filter *filter, int64_t before,
                                    st_audit_line *lines, st_search_page *page) {
  check_page(page);
  HOLD(filter->since >= 0 && filter->until >= 0);
  HOLD(filter->who == NULL || strlen(filter->who) < sizeof lines->who);
  HOLD(filter->target == NULL || strlen(filter->target) <= ST_NAME_MAX);
  HOLD(filter->action == NULL || strlen(filter->action) < sizeof lines->action);
  page->rows -= page->rows < 7 ? page->rows : 7;
  st_store_status found = list_audit(context, before, page->limit, lines, &page->count);
  page->more = page->count > 0;
  page->last_line = page->count > 0 ? lines[page->count - 1].id : before;
  return found;
}

static st_store_status search_users(void *context, subtoken_text text, const char *after,
                                    st_user *found, st_search_page *page) {
  (void)context;
  check_page(page);
  HOLD(text.len <= ST_NAME_MAX && strlen(after) <= ST_NAME_MAX);
  page->count = 0;
  page->rows--;
  if (find_user(NULL, ST_TEXT("alice"), &found[0]) == ST_STORE_OK) page->count = 1;
  memcpy(page->last, after, strlen(after) + 1);
  page->more = after[0] == 'a';
  return ST_STORE_OK;
}

static void check_user_change(const st_audit_context *audit, const char *username) {
  check_audit(audit);
  HOLD(audit->by != NULL && audit->made != NULL && st_names_username_valid(st_text(username)));
}

static st_store_status set_user_permissions(void *context, const st_audit_context *audit,
                                            const char *username, const char *permissions,
                                            int64_t *sequence) {
  (void)context;
  check_user_change(audit, username);
  HOLD(strlen(permissions) <= ST_PERMISSIONS_TEXT_MAX);
  *sequence = 9;
  return ST_STORE_OK;
}

static st_store_status disable_user(void *context, const st_audit_context *audit,
                                    const char *username, bool disabled, int64_t *sequence) {
  (void)context;
  (void)disabled;
  check_user_change(audit, username);
  *sequence = 9;
  return ST_STORE_OK;
}

static st_store_status remove_user(void *context, const st_audit_context *audit,
                                   const char *username, int64_t *sequence) {
  return disable_user(context, audit, username, true, sequence);
}

static void note_used(void *context, const char *id, int64_t now) {
  (void)context;
  HOLD(now == NOW && (strcmp(id, rows[0].id) == 0 || strcmp(id, rows[1].id) == 0));
}

static const st_users users = {.find = find_user,
                               .check = check_password,
                               .hash = hash_password,
                               .create = create_user,
                               .begin_session = begin_session,
                               .refresh_session = refresh_session,
                               .find_refresh = find_refresh,
                               .end_session = end_session,
                               .list_audit = list_audit,
                               .search = search_users,
                               .search_audit = search_audit,
                               .set_permissions = set_user_permissions,
                               .set_disabled = disable_user,
                               .remove = remove_user,
                               .note_use = note_used};

static st_store_status create_key(void *context, const st_audit_context *audit,
                                  const st_grantor *grantor, st_key *key, char *whole) {
  (void)context;
  check_audit(audit);
  const st_key *by = check_grantor(grantor, key->permissions);
  HOLD(audit->row != NULL && (!audit->as_owner || strcmp(key->owner, by->owner) == 0));
  if (key->owner_is_user) return ST_STORE_OWNER_NOT_USER;
  HOLD(by->kind != ST_KIND_KEY || key->expires_at <= by->expires_at);
  HOLD(key->audience[0] == '\0' || subtoken_audience_valid(st_text(key->audience)));
  memcpy(key->id, by->id, sizeof key->id);
  memset(key->sub, 'n', ST_SUB_LEN);
  memset(whole, '0', ST_KEY_LEN);
  whole[ST_KEY_LEN] = '\0';
  return ST_STORE_OK;
}

static st_store_status find_key(void *context, const char *id, st_key *key) {
  (void)context;
  for (size_t i = 0; i < KEYS; i++) {
    if (strcmp(rows[i].id, id) != 0) continue;
    *key = rows[i];
    return ST_STORE_OK;
  }
  return ST_STORE_NOT_FOUND;
}

static st_store_status find_sub(void *context, subtoken_text sub, st_key *key) {
  return by_sub(context, sub, key) == ST_STORE_OK ? ST_STORE_OK : ST_STORE_NOT_FOUND;
}

static st_store_status list_keys(void *context, const char *owner, const char *after, size_t limit,
                                 st_key *keys, size_t *count) {
  (void)context;
  *count = 0;
  for (size_t i = KEYS; i-- > 0 && *count < limit;) {
    bool ours = owner == NULL || strcmp(owner, rows[i].owner) == 0;
    if (ours && strcmp(rows[i].id, after) > 0) keys[(*count)++] = rows[i];
  }
  return ST_STORE_OK;
}

static st_store_status search_keys(void *context, const st_key_filter *filter, const char *after,
                                   st_key *keys, st_search_page *page) {
  check_page(page);
  HOLD(filter->now == NOW && filter->search.len <= ST_NAME_MAX);
  HOLD(filter->expires_until == 0 || filter->expires_until > NOW);
  snprintf(page->last, sizeof page->last, "%s", after);
  page->rows--;
  st_store_status found = list_keys(context, filter->owner, after, page->limit, keys, &page->count);
  if (page->count > 0) memcpy(page->last, keys[page->count - 1].id, ST_KEY_ID_LEN + 1);
  page->more = page->count > 0;
  return found;
}

/* An edge has one name, which can be told. */
static void note_edge(const st_feed_edge *edge) {
  HOLD(edge->last_asked == NOW && edge->key_id[0] != '\0' && strlen(edge->address) < 64);
}

static st_store_status rename_key(void *context, const st_audit_context *audit, const char *id,
                                  const char *name) {
  st_key key;
  check_audit(audit);
  HOLD(st_utf8_valid(st_text(name)));
  return find_key(context, id, &key);
}

/* Something was made with it, by a user whose name JSON has to escape. */
static void tell_derived(const st_audit_context *audit) {
  if (audit->made == NULL) return;
  HOLD(!audit->made->end);
  *audit->made = (st_derived){.keys = 1, .users = 1, .count = 2, .more = true};
  memcpy(audit->made->items[0].name, rows[0].id, sizeof rows[0].id);
  audit->made->items[1].user = true;
  memcpy(audit->made->items[1].name, "\"\\\x01", 4);
}

static st_store_status change_key(void *context, const st_audit_context *audit, const char *id,
                                  int64_t *sequence) {
  st_key key;
  check_audit(audit);
  *sequence = 9;
  st_store_status changed = find_key(context, id, &key);
  HOLD(audit->row != NULL);
  HOLD(changed != ST_STORE_OK || !audit->as_owner || strcmp(key.owner, rows[KEYS].owner) == 0);
  tell_derived(audit);
  return changed;
}

static st_store_status disable_key(void *context, const st_audit_context *audit, const char *id,
                                   bool disabled, int64_t *sequence) {
  if (audit->as_owner && !disabled) return ST_STORE_DISABLED_BY_OTHER;
  return change_key(context, audit, id, sequence);
}

/* Who gets a key has as much as it, and as long. */
static st_store_status rotate_key(void *context, const st_audit_context *audit,
                                  const st_grantor *grantor, const char *id, int64_t overlap,
                                  st_key *rotated, char *whole) {
  int64_t sequence;
  st_key key;
  HOLD(grantor != NULL && audit->by == grantor);
  HOLD(overlap >= 0 && overlap <= INT64_C(30) * 86400);
  st_store_status changed = change_key(context, audit, id, &sequence);
  if (changed != ST_STORE_OK || find_key(context, id, &key) != ST_STORE_OK) return changed;
  for (size_t i = 0; i < ROWS; i++) {
    if (strcmp(rows[i].id, audit->row) != 0) continue;
    HOLD(st_permissions_within(key.permissions, rows[i].permissions));
    HOLD(key.expires_at <= rows[i].expires_at);
  }
  key.rotated_at = NOW;
  *rotated = key;
  memset(whole, '0', ST_KEY_LEN);
  whole[ST_KEY_LEN] = '\0';
  return changed;
}

/* The tid and sub of one of the subtokens here: nothing else verifies. */
static st_store_status revoke_token(void *context, const st_audit_context *audit,
                                    const st_key_token *token, int64_t *sequence) {
  (void)context;
  check_audit(audit);
  HOLD(strcmp(audit->who, "holder of the token") == 0 && token->tid.len == ST_TID_LEN);
  size_t i = KEYS;
  for (; i < SESSION_TOKEN; i++) {
    const char *signature = strrchr(credentials[i].text, '.') + 1;
    if (memcmp(token->tid.data, signature, ST_TID_LEN) == 0) break;
  }
  HOLD(i < SESSION_TOKEN && st_text_is(token->sub, rows[i - KEYS].sub));
  HOLD(token->exp > NOW && token->exp <= credentials[i].grant.exp);
  *sequence = 9;
  return ST_STORE_OK;
}

static st_store_status last_sequence(void *context, int64_t *sequence) {
  (void)context;
  *sequence = 9;
  return ST_STORE_OK;
}

static const st_key_changes key_changes = {.create = create_key,
                                           .find = find_key,
                                           .find_sub = find_sub,
                                           .list = list_keys,
                                           .search = search_keys,
                                           .rename = rename_key,
                                           .remove = change_key,
                                           .set_disabled = disable_key,
                                           .revoke_subtokens = change_key,
                                           .rotate = rotate_key,
                                           .revoke_token = revoke_token,
                                           .last_sequence = last_sequence};
/* Holds what was good in the inputs before: none of it may pass for another token. */
static uint8_t token_cache_memory[65536];
static subtoken_cache token_cache = {sizeof token_cache, token_cache_memory,
                                     sizeof token_cache_memory};
static subtoken_cache *acquire_cache(subtoken_text token) {
  (void)token;
  return &token_cache;
}
static void release_cache(subtoken_cache *cache) {
  (void)cache;
}
static const st_token_caches token_caches = {acquire_cache, release_cache};

static st_service service = {.settings = &settings,
                             .ring = &ring,
                             .keys = {NULL, by_digest, by_sub, tokens_revoked},
                             .rate = &rate,
                             .ready = ready,
                             .changes = &key_changes,
                             .users = &users,
                             .throttle = &throttle,
                             .basic = &basic,
                             .note_edge = note_edge,
                             .feed = {NULL, current, changes, whole, issued},
                             .token_caches = &token_caches};

/* ---- the keys and tokens ---- */

static void make_key(size_t i, const char *text, const char *name, const char *permissions,
                     int64_t expires_at) {
  memcpy(rows[i].id, text, ST_KEY_ID_LEN);
  memset(rows[i].sub, (int)('a' + i), ST_SUB_LEN);
  memcpy(rows[i].name, name, strlen(name));
  memcpy(rows[i].permissions, permissions, strlen(permissions));
  rows[i].expires_at = expires_at;
  st_sha256(text, ST_KEY_LEN, digests[i]);
  memcpy(credentials[i].text, text, ST_KEY_LEN);
  credentials[i].key_id = rows[i].id;
  HOLD(st_key_grant(&rows[i], &credentials[i].grant));
}

static void make_subtoken(size_t parent, const char *const *urls, size_t url_count, int64_t exp) {
  credential *made = &credentials[parent + KEYS];
  subtoken_claims *claims = &made->grant;
  size_t len;
  claims->iat = NOW - 100;
  claims->exp = exp;
  claims->every_url = url_count == 0;
  HOLD(st_claims_set_sub(claims, st_text(rows[parent].sub)));
  HOLD(st_claims_add_permission(claims, ST_TEXT("account")));
  for (size_t i = 0; i < url_count; i++) HOLD(st_claims_add_url(claims, st_text(urls[i])));
  HOLD(subtoken_issue(&ring, claims, made->text, sizeof made->text, &len) == SUBTOKEN_OK);
  made->key_id = rows[parent].id;
}

/* The user, and a session of hers that is alive. */
static void make_user(void) {
  static const char *const ids[] = {"A11CE000-0000-0000-0000-000000000000",
                                    "10610000-0000-0000-0000-000000000000"};
  credential *token = &credentials[SESSION_TOKEN];
  size_t len;
  for (size_t i = KEYS; i < ROWS; i++) {
    rows[i].kind = i == KEYS ? ST_KIND_USER : ST_KIND_SESSION;
    memcpy(rows[i].id, ids[i - KEYS], ST_KEY_ID_LEN);
    memcpy(rows[i].parent, i == KEYS ? "" : ids[0], i == KEYS ? 1 : ST_KEY_ID_LEN + 1);
    memset(rows[i].sub, (int)('a' + i), ST_SUB_LEN);
    memcpy(rows[i].name, "alice", sizeof "alice");
    memcpy(rows[i].owner, "alice", sizeof "alice");
    memcpy(rows[i].permissions, "account,users", sizeof "account,users");
    rows[i].expires_at = i == KEYS ? ST_NEVER : NOW + 3000;
  }
  by_password.key_id = rows[KEYS].id;
  HOLD(st_key_grant(&rows[KEYS], &by_password.grant));
  subtoken_claims *claims = &token->grant;
  HOLD(st_key_grant(&rows[KEYS + 1], claims));
  claims->iat = NOW - 100;
  claims->exp = NOW + 800;
  HOLD(subtoken_claims_set_sid(claims, st_text(rows[KEYS + 1].id)) == SUBTOKEN_OK);
  HOLD(subtoken_issue(&ring, claims, token->text, sizeof token->text, &len) == SUBTOKEN_OK);
  token->key_id = rows[KEYS + 1].id;
  memset(credentials[REFRESH_TOKEN].text, 'R', ST_REFRESH_LEN);
  credentials[REFRESH_TOKEN].key_id = rows[KEYS + 1].id; /* whose grant is nothing */
}

static void make_policy(void) {
  static const char text[] =
      "{\"default\":\"token\",\"preflight\":true,\"routes\":["
      "{\"path\":\"/a\",\"methods\":[\"GET\"],\"needs\":[\"guilds\"]},"
      "{\"path\":\"/mcp\",\"resource\":\"https://api.test/mcp\"},"
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
                                     "/v2/characters/*", "POST:/oauth/token"};
  static const char hex[] = "0123456789abcdef";
  static const uint8_t random[] = "32 bytes that nobody has drawn..";
  st_config_default(&settings);
  settings.registration_open = true;
  memcpy(settings.issuer, "https://auth.test/a", sizeof "https://auth.test/a");
  HOLD(st_rate_limit_start(&rate) && st_throttle_start(&throttle, random) &&
       st_basic_auth_start(&basic, random, st_basic_locks_get()));
  HOLD(subtoken_ring_add(&ring, ST_TEXT(""), "subtoken-fuzz-tests-secret-0001!", 32) ==
       SUBTOKEN_OK);
  make_policy();
  make_key(0, first, "plain",
           "account,guilds,inventories,revocations,users,keys,services,audit,introspect", ST_NEVER);
  make_key(1, second, "\"\\\x1b[31m\n\xC3\xAB", "account", NOW + 1000);
  make_subtoken(0, NULL, 0, NOW + 5000);
  make_subtoken(1, urls, sizeof urls / sizeof urls[0], NOW + 500);
  make_user();
  for (size_t i = 0; i < CREDENTIALS; i++) {
    uint8_t digest[ST_HASH_LEN];
    st_sha256(credentials[i].text, strlen(credentials[i].text), digest);
    for (size_t j = 0; j < ST_CREDENTIAL_TAG_LEN; j++) {
      credentials[i].tag[j] = hex[digest[j / 2] >> (j % 2 == 0 ? 4 : 0) & 15];
    }
  }
}

/* ---- what must hold for every reply ---- */

static bool holds(const char *text, size_t len, const char *piece) {
  return memmem(text, len, piece, strlen(piece)) != NULL;
}

/* The decision endpoint's yes, which has no body. */
static bool passed(const st_reply *reply) {
  return reply->status == 200 && reply->body_len == 0 && reply->payload.data == NULL;
}

static bool is_invalid_client(const st_reply *reply) {
  static const char front[] = "{\"error\":\"invalid_client\",";
  return reply->body_len >= sizeof front && memcmp(reply->body, front, sizeof front - 1) == 0;
}

static void check_status(const st_reply *reply) {
  static const int known[] = {200, 201, 204, 304, 308, 400, 401, 403, 404, 405, 409, 415};
  bool found = false;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= reply->status == known[i];
  HOLD(found);
  bool fed = reply->payload.data != NULL;
  HOLD((reply->body_len == 0) == (reply->status == 204 || reply->status == 304 ||
                                  reply->status == 308 || fed || passed(reply)));
  HOLD((reply->allow != NULL) == (reply->preflight || reply->status == 405));
  HOLD(!reply->preflight || reply->status == 204);
  const char *challenge = reply->challenge != NULL ? reply->challenge : "";
  /* A client that has authenticated by Basic is told so (RFC 6749 section 5.2). */
  HOLD(reply->status != 401 || strncmp(challenge, "Bearer", 6) == 0 ||
       (reply->basic_challenge && is_invalid_client(reply)));
  HOLD(challenge[0] == '\0' || (reply->status >= 400 && reply->status <= 403));
  for (const char *c = challenge; *c != '\0'; c++) HOLD(*c >= ' ' && *c < 0x7F);
  HOLD(reply->status < 400 || reply->event.name != NULL);
}

static void check_body(const st_reply *reply) {
  if (reply->body_len == 0) return;
  char *copy = fuzz_copy(reply->body, reply->body_len);
  HOLD(st_json_valid(copy, reply->body_len));
  free(copy);
  /* What is made, or gets a name, is told by the name that it was given. */
  bool named = reply->status == 201 || holds(reply->body, reply->body_len, "\"name\":");
  for (size_t i = 0; i < CREDENTIALS && !named; i++) {
    HOLD(!holds(reply->body, reply->body_len, credentials[i].text));
  }
  HOLD(named || !holds(reply->body, reply->body_len, PASSWORD));
  if (reply->status != 401 || is_invalid_client(reply)) return;
  /* One body for all of them: it says nothing of the credential or the reason. */
  static const char text[] = "{\"text\":\"Invalid access token\"}";
  HOLD(reply->body_len == sizeof text - 1 && memcmp(reply->body, text, sizeof text - 1) == 0);
}

static const credential *used(const st_reply *reply) {
  for (size_t i = 0; i < CREDENTIALS; i++) {
    if (strcmp(reply->event.credential, credentials[i].tag) == 0) return &credentials[i];
  }
  bool basic_used = reply->event.credential[0] == '\0' && reply->event.key_id[0] != '\0';
  return basic_used ? &by_password : NULL;
}

static bool covered(const subtoken_claims *parent, const st_entry *inner) {
  static st_entry outer;
  for (size_t i = 0; i < parent->url_count; i++) {
    HOLD(st_paths_read_entry(subtoken_claims_text(parent, parent->urls[i]), &outer) ==
         SUBTOKEN_FAULT_NONE);
    if (st_paths_match_covers(&outer, inner)) return true;
  }
  return parent->every_url;
}

/* A subtoken that was made is good, and allows no more than its parent. */
static void check_made(subtoken_text token, const subtoken_claims *parent) {
  static subtoken_claims child;
  static st_entry entry;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = &ring;
  verifier.without_revocations = true;
  verifier.any_audience = true; /* it may have been asked to be for one */
  subtoken_request request = {.size = sizeof request, .now = NOW, .target = {NULL, 0}};
  static const char *const paths[] = {"/v2/createsubtoken", "/v2/characters/x", "/elsewhere"};
  subtoken_result result = subtoken_verify(&verifier, token, &request, &child);
  if (result == SUBTOKEN_URL) { /* restricted: read its claims without a target */
    char header[SUBTOKEN_HEADER_MAX];
    result = subtoken_inspect(token, header, sizeof header, &child);
  }
  HOLD(result == SUBTOKEN_OK && token.len <= SUBTOKEN_ISSUED_MAX);
  HOLD(child.via_count <= 1); /* the subtokens here were made from keys */
  HOLD(child.iat == NOW && child.exp > NOW);
  HOLD(child.exp <= parent->exp && child.exp <= NOW + settings.max_life);
  HOLD(child.every_url ? parent->every_url : child.url_count > 0);
  for (size_t i = 0; i < child.permission_count; i++) {
    HOLD(st_claims_has_permission(parent, subtoken_claims_text(&child, child.permissions[i])));
  }
  for (size_t i = 0; i < child.url_count; i++) {
    HOLD(st_paths_read_entry(subtoken_claims_text(&child, child.urls[i]), &entry) ==
         SUBTOKEN_FAULT_NONE);
    HOLD(covered(parent, &entry));
  }
  HOLD(st_text_equal(subtoken_claims_text(&child, child.sub),
                     subtoken_claims_text(parent, parent->sub)));
  /* And at the edge: the signature too, with a target. */
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    request.target = st_text(paths[i]);
    request.method = ST_TEXT("GET");
    result = subtoken_verify(&verifier, token, &request, &child);
    HOLD(result == SUBTOKEN_OK || result == SUBTOKEN_URL);
    HOLD(result != SUBTOKEN_OK ||
         subtoken_url_match(parent, request.method, request.target) == SUBTOKEN_OK);
  }
}

/* A subtoken that is restricted by urls must list the endpoint. */
static void check_listed(const credential *by, subtoken_text method, const char *path) {
  HOLD(subtoken_url_match(&by->grant, method, st_text(path)) == SUBTOKEN_OK);
}

/* Five lines and perhaps the nonce: nobody else's name, and no line too many. */
static void check_told(const st_reply *reply) {
  static const char *const names[] = {"X-Subtoken-Sub: ", "X-Subtoken-Key: ", "X-Subtoken-Owner: ",
                                      "X-Subtoken-Permissions: ", "X-Subtoken-Expires: "};
  size_t lines = 0;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    HOLD(holds(reply->headers, reply->headers_len, names[i]));
  }
  for (size_t i = 0; i < reply->headers_len; i++) {
    HOLD(reply->headers[i] == '\r' || reply->headers[i] == '\n' || reply->headers[i] >= ' ');
    lines += reply->headers[i] == '\n';
  }
  HOLD(lines == 5 + (size_t)holds(reply->headers, reply->headers_len, "\r\nX-Subtoken-Nonce: "));
  /* The nonce is the asker's own, whatever he took for one; it is the last line. */
  const char *nonce = memmem(reply->headers, reply->headers_len, "X-Subtoken-Nonce: ", 18);
  size_t len = nonce != NULL ? (size_t)(nonce - reply->headers) : reply->headers_len;
  for (size_t i = 0; i < CREDENTIALS; i++) {
    HOLD(!holds(reply->headers, len, credentials[i].text));
  }
}

/* What the decision endpoint says: whoever is named is the one whose credential came. */
static void check_decided(const st_reply *reply, const st_request *request) {
  static const char path[] = "/v2/authorize";
  HOLD(held == 0 && holds(request->target.data, request->target.len, "authorize"));
  check_told(reply);
  if (holds(reply->headers, reply->headers_len, "X-Subtoken-Sub: \r\n")) return;
  HOLD(passed(reply) || holds(reply->headers, reply->headers_len, "X-Subtoken-Nonce: "));
  const credential *by = used(reply);
  HOLD(by != NULL && strcmp(reply->event.key_id, by->key_id) == 0);
  HOLD(holds(reply->headers, reply->headers_len, by->key_id));
  /* Told by the path: headers that tell of it, too, agree. */
  size_t front = sizeof path - 1;
  bool by_path = passed(reply) && request->target.len > front &&
                 memcmp(request->target.data, path, front) == 0 &&
                 request->target.data[front] == '/';
  subtoken_text original = {request->target.data + front, request->target.len - front};
  HOLD(!by_path || subtoken_url_match(&by->grant, request->method, original) == SUBTOKEN_OK);
}

/* The claims of an access token; a session's names it. */
static void check_access(subtoken_text token, const subtoken_claims *parent, const char *sid) {
  static subtoken_claims claims;
  char header[SUBTOKEN_HEADER_MAX];
  check_made(token, parent);
  HOLD(subtoken_inspect(token, header, sizeof header, &claims) == SUBTOKEN_OK);
  HOLD(claims.exp <= NOW + settings.access_life);
  HOLD(st_text_is(subtoken_claims_text(&claims, claims.sid), sid));
}

/* Of a session that began or went on, of an exchange, or of a key that says who it is as a client.
 */
static void check_pair(const st_reply *reply, subtoken_text token) {
  static subtoken_claims grant;
  bool exchanged = holds(reply->body, reply->body_len, "\"issued_token_type\":");
  if (!holds(reply->body, reply->body_len, "\"refresh_token\":")) {
    const credential *by = used(reply);
    HOLD(by != NULL && by != &by_password && by->text[0] != '\0' && session.id[0] == '\0');
    HOLD(exchanged || by == &credentials[0] || by == &credentials[1]);
    check_listed(by, ST_TEXT("POST"), "/oauth/token");
    check_access(token, &by->grant, "");
  } else {
    HOLD(session.id[0] != '\0' && st_key_grant(&session, &grant));
    check_access(token, &grant, session.id);
  }
}

/* What is managed is managed with nothing derived, and with the permission. */
static void check_managed(const st_reply *reply, const char *permission) {
  const credential *by = used(reply);
  HOLD(by != NULL && by != &credentials[2] && by != &credentials[3]);
  HOLD(st_claims_has_permission(&by->grant, st_text(permission)));
}

static void check_success(const st_reply *reply, subtoken_text method) {
  static st_json json;
  static char copy[ST_REPLY_BODY_MAX];
  subtoken_text name, value;
  memcpy(copy, reply->body, reply->body_len);
  st_json_start(&json, copy, reply->body_len);
  if (reply->body_len == 2) { /* something was revoked, or nothing */
    bool revoked = holds(reply->headers, reply->headers_len, "Subtoken-Seq: 9\r\n");
    const char *event = reply->event.name != NULL ? reply->event.name : "";
    HOLD(revoked == (strcmp(event, "token_revoked") == 0));
    return;
  }
  HOLD(st_json_object(&json) && st_json_member(&json, &name));
  if (st_text_is(name, "status")) return;                                 /* health */
  if (st_text_is(name, "issuer") || st_text_is(name, "resource")) return; /* metadata */
  if (st_text_is(name, "active")) {
    const credential *asker = used(reply);
    HOLD(asker != NULL && st_claims_has_permission(&asker->grant, ST_TEXT("introspect")));
    check_listed(asker, method, "/oauth/introspect");
    return;
  }
  if (st_text_is(name, "entries")) {
    check_managed(reply, "audit");
    return;
  }
  if (st_text_is(name, "secrets")) {
    check_managed(reply, "audit");
    return;
  }
  if (st_text_is(name, "users") || st_text_is(name, "login")) {
    check_managed(reply, "users");
    HOLD(!holds(reply->body, reply->body_len, "password"));
    return;
  }
  if (st_text_is(name, "keys")) {
    HOLD(used(reply) != NULL);
    return;
  }
  if (st_text_is(name, "version")) return;                  /* what the page has to know */
  if (st_text_is(name, "ok") || st_text_is(name, "auth")) { /* a preview, and who one is */
    const credential *asker = used(reply);
    HOLD(asker != NULL && session.id[0] == '\0');
    HOLD(!holds(reply->body, reply->body_len, "\"subtoken\":"));
    return;
  }
  HOLD(st_json_string(&json, &value));
  if (st_text_is(name, "access_token")) {
    check_pair(reply, value);
    return;
  }
  const credential *parent = used(reply);
  HOLD(parent != NULL && strcmp(reply->event.key_id, parent->key_id) == 0);
  if (st_text_is(name, "key")) { /* of a rotation; rotate_key holds it to the rest */
    HOLD(holds(reply->body, reply->body_len, "\"rotated_at\":\""));
    HOLD(parent != &credentials[KEYS] && parent != &credentials[KEYS + 1]);
  } else if (st_text_is(name, "hash")) {
    check_managed(reply, "keys");
  } else if (st_text_is(name, "RawToken")) {
    check_access(value, &parent->grant, "");
  } else if (st_text_is(name, "id") && !holds(reply->body, reply->body_len, "\"owner\":")) {
    HOLD(st_text_is(value, parent->key_id));
    check_listed(parent, method, "/v2/tokeninfo");
  } else if (!st_text_is(name, "id")) {
    HOLD(st_text_is(name, "subtoken"));
    check_listed(parent, method, "/v2/createsubtoken");
    check_made(value, &parent->grant);
    HOLD(!st_json_member(&json, &name) && st_json_end(&json));
  }
}

/* A file of the program is one of those that it has, and is sent from where it lies. */
static void check_file(const st_reply *reply) {
  const st_page_file *file = NULL;
  HOLD(holds(reply->headers, reply->headers_len, "ETag: \"") && reply->payload.release == NULL);
  if (reply->status == 304) return;
  for (size_t i = 0; (file = st_page_files_at(i)) != NULL && file->data != reply->payload.data;)
    i++;
  HOLD(reply->status == 200 && file != NULL && reply->content_type == file->type);
  HOLD(reply->payload.len == (size_t)(file->end - file->data));
}

/* The feed is for those who have the permission, and each payload is released once. */
static void check_fed(st_reply *reply, subtoken_text method) {
  if (reply->cache_control != NULL) {
    check_file(reply);
    return;
  }
  HOLD(held == (reply->payload.data != NULL ? 1 : 0));
  if (passed(reply)) return;
  bool fed = held == 1 || reply->status == 304;
  HOLD(holds(reply->headers, reply->headers_len, "ETag: \"") == fed);
  if (!fed) return;
  const credential *by = used(reply);
  HOLD(by != NULL && st_claims_has_permission(&by->grant, ST_TEXT("revocations")));
  HOLD(reply->status == 200 || reply->status == 304);
  check_listed(by, method, "/v2/revocations");
  if (held == 1) reply->payload.release(reply->payload.context);
}

/* What is to be held has nothing to send, and is answered when it comes again. */
static void answer(const st_request *request, st_reply *reply) {
  st_router_answer(&service, request, reply);
  if (reply->hold.seconds == 0) return;
  HOLD(reply->hold.seconds > 0 && reply->hold.seconds <= 30 && reply->hold.sequence == 8);
  HOLD(strlen(reply->hold.key_id) == ST_KEY_ID_LEN && held == 0);
  HOLD(reply->payload.data == NULL && reply->body_len == 0 && reply->headers_len == 0);
  st_request again = *request;
  again.held = true;
  st_router_answer(&service, &again, reply);
  HOLD(reply->hold.seconds == 0);
}

/* What else is read of a request: ids of a trace are hex digits of its own headers, and some format
 * is always chosen.
 */
static void check_headers(const st_request *request) {
  st_trace_context trace;
  (void)st_accept_open_metrics(request->headers, request->header_count);
  if (!st_trace_context_find(request, &trace)) return;
  HOLD(trace.trace_id.len == ST_TRACE_ID_LEN && trace.span_id.len == ST_SPAN_ID_LEN);
  for (size_t i = 0; i < ST_TRACE_ID_LEN; i++) HOLD(st_hex_value(trace.trace_id.data[i]) >= 0);
  for (size_t i = 0; i < ST_SPAN_ID_LEN; i++) HOLD(st_hex_value(trace.span_id.data[i]) >= 0);
}

static void check(const st_request *request) {
  static st_reply reply, again;
  memset(&reply, 0x5A, sizeof reply);
  memset(&session, 0, sizeof session);
  check_headers(request);
  answer(request, &reply);
  check_status(&reply);
  check_body(&reply);
  bool fed = reply.payload.data != NULL;
  check_fed(&reply, request->method);
  if (holds(reply.headers, reply.headers_len, "X-Subtoken-Sub: ")) {
    check_decided(&reply, request);
  } else if (reply.status == 200 && !fed) {
    HOLD(!passed(&reply));
    check_success(&reply, request->method);
  }
  HOLD(reply.head == st_text_is(request->method, "HEAD"));
  /* What is asked with GET and with HEAD of the decision endpoint are two questions. */
  bool decides = holds(request->target.data, request->target.len, "authorize");
  if (!st_text_is(request->method, "GET") || decides) return;
  st_request head = *request;
  head.method = ST_TEXT("HEAD");
  answer(&head, &again);
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
      st_write_literal(&writer, credentials[data[i] - 1].text);
    } else {
      st_write_char(&writer, (char)data[i]);
    }
  }
  return (subtoken_text){bytes, writer.len};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool made;
  static st_request_head head;
  static int64_t now_us = 1; /* each time long after the last: nobody is slowed, or remembered */
  st_problem fault;
  if (!made) make_all();
  made = true;
  subtoken_text bytes = expand(data, size);
  if (st_request_head_read(bytes, &head, &fault) == ST_HEAD_GOOD) {
    size_t rest = bytes.len - head.len;
    if (rest > ST_REQUEST_BODY_MAX) rest = ST_REQUEST_BODY_MAX;
    st_request request = {.method = head.method,
                          .target = head.target,
                          .headers = head.headers,
                          .header_count = head.header_count,
                          .body = {bytes.data + head.len, rest},
                          .remote = ST_TEXT("192.0.2.7"),
                          .now = NOW,
                          .now_us = now_us += INT64_C(1000000000)};
    check(&request);
  }
  free((void *)(uintptr_t)bytes.data);
  return 0;
}
