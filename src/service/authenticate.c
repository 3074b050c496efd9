#include "service/context.h"

#include "base/base64url.h"
#include "base/hmac.h"
#include "base/json.h"
#include "core/claims.h"

void st_reply_error(st_reply *reply, int status, const char *event, const char *text) {
  reply->status = status;
  reply->event.name = event;
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_string(&writer, "{\"text\":");
  st_json_write_string(&writer, st_text(text));
  st_write_char(&writer, '}');
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_reply_challenge(st_reply *reply, const char *text) {
  st_writer writer = st_writer_on(reply->challenge, sizeof reply->challenge);
  st_write_string(&writer, text);
  if (!st_writer_end(&writer)) reply->challenge[0] = '\0';
}

void st_reply_lacks(st_reply *reply, subtoken_text permission) {
  char text[64 + SUBTOKEN_PERMISSION_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_string(&writer, "requires scope ");
  st_write(&writer, permission.data, permission.len);
  st_reply_error(reply, 403, "perm", st_writer_end(&writer) ? text : "requires another scope");
  st_reply_challenge(reply, subtoken_result_challenge(SUBTOKEN_PERM));
}

void st_reply_header(st_reply *reply, const char *name, subtoken_text value) {
  static const char hex[] = "0123456789ABCDEF";
  st_writer writer =
      st_writer_on(reply->headers + reply->headers_len, sizeof reply->headers - reply->headers_len);
  st_write_string(&writer, name);
  st_write_string(&writer, ": ");
  for (size_t i = 0; i < value.len; i++) {
    uint8_t c = (uint8_t)value.data[i];
    if (c >= 0x21 && c <= 0x7E && c != '%') {
      st_write_char(&writer, (char)c);
    } else {
      st_write_char(&writer, '%');
      st_write_char(&writer, hex[c >> 4]);
      st_write_char(&writer, hex[c & 15]);
    }
  }
  st_write_string(&writer, "\r\n");
  if (st_writer_end(&writer)) reply->headers_len += writer.len;
}

void st_reply_unavailable(st_reply *reply, const char *event, const char *text) {
  st_reply_error(reply, 503, event, text);
  reply->retry_after = 5;
}

void st_reply_unchanged(st_reply *reply, st_changed changed) {
  if (changed == ST_CHANGE_BUSY) {
    st_reply_unavailable(reply, "store_busy",
                         "the store is being written to; nothing was changed; try again later");
  } else {
    st_reply_unavailable(reply, "store_error", "nothing was changed; try again later");
  }
}

void st_reply_wait(st_reply *reply, const char *event, const char *text, int64_t seconds) {
  st_reply_error(reply, 429, event, text);
  reply->retry_after = seconds;
}

void st_reply_no_method(st_reply *reply, const char *allow) {
  st_reply_error(reply, 405, "bad_method", "method not allowed");
  reply->allow = allow;
}

void st_reply_preflight(st_reply *reply, const char *allow) {
  reply->status = 204;
  reply->allow = allow;
  reply->preflight = true;
}

void st_reply_sequence(st_reply *reply, int64_t sequence) {
  char text[24];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, sequence);
  if (st_writer_end(&writer)) st_reply_header(reply, "Subtoken-Seq", st_text(text));
}

void st_reply_unauthorized(st_reply *reply, const char *event, const char *text) {
  st_reply_error(reply, 401, event, text);
  st_reply_challenge(reply, subtoken_result_challenge(SUBTOKEN_REVOKED));
}

/* RFC 6750 section 3: no error code when no credential came. */
static void refuse_credential(st_visit *v, const char *event) {
  st_reply_error(v->reply, 401, event, "Invalid access token");
  st_reply_challenge(v->reply, v->credential.len == 0
                                   ? SUBTOKEN_CHALLENGE
                                   : subtoken_result_challenge(SUBTOKEN_REVOKED));
  v->reply->basic_challenge = v->service->settings->basic_challenge;
}

/* ---- the credential ---- */

typedef enum found_credential {
  CREDENTIAL_READ, /* one or none */
  CREDENTIAL_AMBIGUOUS,
  CREDENTIAL_UNREADABLE,
} found_credential;

static bool take_credential(st_visit *v, subtoken_text text, bool basic) {
  if (text.len == 0) return true;
  if (v->credential.len == 0) {
    v->credential = text;
    v->is_basic = basic;
    return true;
  }
  return v->is_basic == basic && st_text_equal(v->credential, text);
}

/* login:password (RFC 7617 section 2). What cannot be read is a credential, too: one that nobody
 * has, for want of a colon.
 */
static subtoken_text decode_basic(st_visit *v, subtoken_text encoded) {
  size_t len;
  if (encoded.len == 0) return encoded;
  if (!st_base64_read(encoded, ST_PADDED, v->basic, sizeof v->basic, &len) || len == 0)
    return st_text("?");
  return (subtoken_text){v->basic, len};
}

static bool looked_at(const st_visit *v, unsigned form) {
  return (v->service->settings->credentials & form) != 0;
}

/* What stands behind the scheme, or nothing for one that is not ours. *count: of those that are not
 * as if they were not there.
 */
static bool take_authorization(st_visit *v, subtoken_text value, size_t *count) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  subtoken_text scheme = {value.data, i};
  while (i < value.len && value.data[i] == ' ') i++;
  subtoken_text text = {value.data + i, value.len - i};
  bool bearer = st_text_is_nocase(scheme, "Bearer"), basic = st_text_is_nocase(scheme, "Basic");
  if ((bearer && !looked_at(v, ST_FORM_BEARER)) || (basic && !looked_at(v, ST_FORM_BASIC))) {
    return true;
  }
  ++*count;
  if (bearer) {
    v->credential_elsewhere = v->credential_elsewhere || text.len > 0;
    return take_credential(v, text, false);
  }
  return !basic || take_credential(v, decode_basic(v, text), true);
}

static found_credential take_from_query(st_visit *v) {
  st_cutter cutter = {v->query, v->query.len == 0};
  st_writer out = st_writer_on(v->query_credential, sizeof v->query_credential);
  st_pair pair;
  while (st_pair_next(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "access_token")) continue;
    if (pair.bad_escape) return CREDENTIAL_UNREADABLE;
    v->credential_elsewhere = v->credential_elsewhere || pair.value.len > 0;
    if (!take_credential(v, pair.value, false)) return CREDENTIAL_AMBIGUOUS;
    v->credential_in_query = v->credential_in_query || v->credential.data == pair.value.data;
  }
  return CREDENTIAL_READ;
}

/* Two Authorization headers are ambiguous even when they agree. */
static found_credential find_credential(st_visit *v) {
  size_t authorizations = 0;
  bool one = true;
  for (size_t i = 0; i < v->request->header_count; i++) {
    const st_header *header = &v->request->headers[i];
    if (st_text_is_nocase(header->name, "Authorization")) {
      one = take_authorization(v, header->value, &authorizations) && one;
    } else if (looked_at(v, ST_FORM_API_KEY) && st_text_is_nocase(header->name, "X-API-Key")) {
      one = take_credential(v, header->value, false) && one;
    }
  }
  if (!one || authorizations > 1) return CREDENTIAL_AMBIGUOUS;
  return looked_at(v, ST_FORM_QUERY) ? take_from_query(v) : CREDENTIAL_READ;
}

/* Of a password nothing is told: 8 digits of its hash would do to try guesses. */
static void tag_credential(st_visit *v) {
  static const char hex[] = "0123456789abcdef";
  uint8_t digest[ST_HASH_LEN];
  if (v->is_basic || v->credential.len == 0 ||
      !st_sha256(v->credential.data, v->credential.len, digest))
    return;
  for (size_t i = 0; i < ST_CREDENTIAL_TAG_LEN; i++) {
    v->reply->event.credential[i] = hex[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  }
}

/* How far apart two clocks would have to be; for the log alone. */
static int64_t clock_delta(const st_visit *v, subtoken_result result) {
  char header[SUBTOKEN_HEADER_MAX];
  subtoken_claims claims;
  if (subtoken_inspect(v->credential, header, sizeof header, &claims) != SUBTOKEN_OK) return 0;
  return result == SUBTOKEN_EXPIRED ? claims.exp - v->request->now : claims.iat - v->request->now;
}

static void refuse_identity(st_visit *v, subtoken_result result, const char *event) {
  if (result == SUBTOKEN_EXPIRED || result == SUBTOKEN_IAT_FUTURE) {
    v->reply->event.delta = clock_delta(v, result);
  }
  bool busy = event != NULL && strcmp(event, "passwords_busy") == 0;
  switch (subtoken_result_status(result)) {
    case 400:
      st_reply_error(v->reply, 400, event, "the request target can be read in more than one way");
      return;
    case 403:
      st_reply_error(v->reply, 403, event, "this subtoken does not list this url");
      st_reply_challenge(v->reply, subtoken_result_challenge(result));
      return;
    case 503:
      st_reply_unavailable(v->reply, event,
                           busy ? "too many passwords are being checked; try again later"
                                : "the key store cannot be read; try again later");
      return;
    default: refuse_credential(v, event);
  }
}

/* A token that is good by its leeway alone: the clocks differ. */
static void note_clock_skew(st_visit *v, const subtoken_claims *grant) {
  int64_t now = v->request->now;
  if (grant->iat <= now && grant->exp > now) return;
  v->reply->event.name = "clock_skew";
  v->reply->event.delta = (grant->iat > now ? grant->iat : grant->exp) - now;
}

bool st_visit_find_credential(st_visit *v) {
  found_credential found = find_credential(v);
  if (found == CREDENTIAL_READ) return true;
  subtoken_wipe(v->basic, sizeof v->basic); /* one of them may have been a password */
  bool ambiguous = found == CREDENTIAL_AMBIGUOUS;
  st_reply_error(
      v->reply, 400, ambiguous ? "auth_ambiguous" : "bad_request",
      ambiguous ? "more than one credential" : "access_token: a % needs two hex digits behind it");
  st_reply_challenge(v->reply, "Bearer error=\"invalid_request\"");
  return false;
}

static subtoken_result identify_any(st_visit *v, st_identity *identity, const char **event,
                                    int64_t *wait) {
  const st_request *request = v->request;
  if (v->is_basic) {
    return st_identify_basic(v->service, v->credential, request, identity, event, wait);
  }
  if (!v->credential_elsewhere && !st_key_shaped(v->credential) &&
      !st_token_shaped(v->credential)) {
    return st_identify_registered(v->service, v->credential, request->now, identity, event);
  }
  return st_identify(v->service, v->credential, v->method, v->target, request->now, identity,
                     event);
}

/* Of a service's login: the key that it was made with. */
static void note_use(const st_visit *v, const st_identity *identity) {
  const st_people *people = v->service->people;
  bool key = identity->key.kind == ST_KIND_KEY;
  if (!key && identity->key.kind != ST_KIND_SERVICE) return;
  people->used(people->context, key ? identity->key.id : identity->key.parent, v->request->now);
}

void st_visit_refuse_missing(st_visit *v) {
  refuse_credential(v, "auth_missing");
}

bool st_visit_identify_found(st_visit *v, st_identity *identity) {
  const char *event = NULL;
  int64_t wait = 0;
  if (v->credential.len == 0) {
    st_visit_refuse_missing(v);
    return false;
  }
  tag_credential(v);
  subtoken_result result = identify_any(v, identity, &event, &wait);
  if (v->is_basic) subtoken_wipe(v->basic, sizeof v->basic); /* also what was decoded in vain */
  if (wait > 0) {
    st_reply_wait(v->reply, event, "too many wrong passwords; try again later", wait);
    return false;
  }
  if (result != SUBTOKEN_OK) {
    refuse_identity(v, result, event);
    return false;
  }
  memcpy(v->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  if (!st_standing_whole(identity->standing)) note_clock_skew(v, &identity->grant);
  note_use(v, identity);
  return true;
}

bool st_visit_identify(st_visit *v, st_identity *identity) {
  return st_visit_find_credential(v) && st_visit_identify_found(v, identity);
}

/* The id of the row at the root of it: of a session, the key or user that began it. */
static const char *row_of(const st_identity *identity) {
  if (identity == NULL) return NULL;
  return identity->key.parent[0] != '\0' ? identity->key.parent : identity->key.id;
}

bool st_visit_within_rate(st_visit *v, const st_identity *identity) {
  const st_service *service = v->service;
  int64_t wait =
      st_rate_take(service->rate, service->settings, row_of(identity), v->request->now_us);
  if (wait > 0) {
    st_reply_wait(v->reply, "rate", "too many tokens from this key; try again later", wait);
  }
  return wait <= 0;
}

/* ---- managing ---- */

static void refuse_escalation(st_visit *v, const char *text) {
  st_reply_error(v->reply, 403, "escalation", text);
  st_reply_challenge(v->reply, subtoken_result_challenge(SUBTOKEN_PERM));
}

bool st_visit_manager(st_visit *v, st_identity *identity) {
  if (!st_visit_identify(v, identity)) return false;
  if (identity->standing != ST_DERIVED) return true;
  refuse_escalation(
      v, "this call needs a parent key, a session or HTTP Basic; a derived token is not accepted");
  return false;
}

bool st_visit_holds(st_visit *v, const st_identity *identity, const char *permission) {
  if (st_claims_has_permission(&identity->grant, st_text(permission))) return true;
  st_reply_lacks(v->reply, st_text(permission));
  return false;
}

bool st_visit_covers(st_visit *v, const st_identity *identity, subtoken_text permissions) {
  st_cutter cutter = {permissions, permissions.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_claims_has_permission(&identity->grant, each)) continue;
    refuse_escalation(v, "permissions: must not exceed those of the credential");
    return false;
  }
  return true;
}

bool st_visit_find_end(st_visit *v, const st_identity *maker, int64_t *end) {
  const st_people *people = v->service->people;
  const st_key_changes *changes = v->service->changes;
  st_key key;
  st_person person;
  *end = ST_NEVER;
  if (maker == NULL) return true;
  *end = maker->key.expires_at;
  if (maker->standing == ST_WITH_LOGIN) {
    st_found found = people->find(people->context, st_text(maker->key.owner), &person);
    if (found == ST_FOUND) *end = person.key.expires_at;
    subtoken_wipe(&person, sizeof person);
    return found == ST_FOUND;
  }
  if (maker->standing != ST_WITH_SERVICE) return true;
  if (changes->find(changes->context, maker->key.parent, &key) != ST_CHANGED) return false;
  *end = key.expires_at;
  return true;
}

st_act st_visit_act(const st_visit *v, const st_identity *identity, st_actor *actor) {
  st_writer who = st_writer_on(actor->who, sizeof actor->who);
  st_writer from = st_writer_on(actor->from, sizeof actor->from);
  if (identity == NULL) {
    st_write_string(&who, "nobody");
  } else if (identity->standing == ST_WITH_LOGIN || identity->standing == ST_WITH_BASIC) {
    st_write_string(&who, "person ");
    st_write_string(&who, identity->key.owner);
  } else {
    st_write_string(&who, "key ");
    st_write_string(
        &who, identity->standing == ST_WITH_SERVICE ? identity->key.parent : identity->key.id);
  }
  st_write_text(&from, v->request->remote);
  if (!st_writer_end(&who)) actor->who[0] = '\0';
  if (!st_writer_end(&from)) actor->from[0] = '\0';
  return (st_act){.until_us = v->request->until_us,
                  .who = actor->who,
                  .from = actor->from,
                  .row = row_of(identity)};
}

/* ---- parameters of a query ---- */

static bool refuse_parameter(st_visit *v, const char *name, const char *problem) {
  char text[96];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_string(&writer, name);
  st_write_string(&writer, problem);
  st_reply_error(v->reply, 400, "bad_request", st_writer_end(&writer) ? text : name);
  return false;
}

bool st_query_text(st_visit *v, const char *name, char *out, size_t size) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {v->query, v->query.len == 0};
  st_writer room = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  bool given = false;
  out[0] = '\0';
  while (st_pair_next(&cutter, &room, &pair)) {
    if (!st_text_is(pair.name, name)) continue;
    if (given) return refuse_parameter(v, name, ": given more than once");
    given = true;
    bool fits = pair.value.len < size && !pair.bad_escape;
    if (!fits || memchr(pair.value.data, 0, pair.value.len) != NULL) {
      return refuse_parameter(v, name, ": cannot be read");
    }
    memcpy(out, pair.value.data, pair.value.len);
    out[pair.value.len] = '\0';
  }
  return true;
}

bool st_query_number(st_visit *v, const char *name, int64_t most, int64_t *value) {
  char text[24];
  int64_t number = 0;
  if (!st_query_text(v, name, text, sizeof text)) return false;
  if (text[0] == '\0') return true;
  for (size_t i = 0; text[i] != '\0'; i++) {
    if (text[i] < '0' || text[i] > '9') return refuse_parameter(v, name, ": must be a number");
    number = number > most / 10 ? most + 1 : number * 10 + (text[i] - '0');
  }
  if (number < 1 || number > most) return refuse_parameter(v, name, ": is out of range");
  *value = number;
  return true;
}

st_body_kind st_request_body_kind(const st_request *request) {
  st_body_kind kind = ST_BODY_NONE;
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "Content-Type")) continue;
    if (kind != ST_BODY_NONE) return ST_BODY_NONE;
    st_cutter cutter = {request->headers[i].value, false};
    subtoken_text type;
    (void)st_cut(&cutter, ';', &type);
    while (type.len > 0 && (type.data[type.len - 1] == ' ' || type.data[type.len - 1] == '\t')) {
      type.len--;
    }
    if (st_text_is_nocase(type, "application/json")) kind = ST_BODY_JSON;
    if (st_text_is_nocase(type, "application/x-www-form-urlencoded")) kind = ST_BODY_FORM;
    if (kind == ST_BODY_NONE) return ST_BODY_NONE;
  }
  return kind;
}
