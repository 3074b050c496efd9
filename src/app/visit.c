#include "app/visit.h"

#include "base/hmac.h"
#include "base/json.h"

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

/* RFC 6750 section 3: no error code when no credential came. */
static void refuse_credential(st_visit *v, const char *event) {
  st_reply_error(v->reply, 401, event, "Invalid access token");
  st_reply_challenge(v->reply, v->credential.len == 0
                                   ? SUBTOKEN_CHALLENGE
                                   : subtoken_result_challenge(SUBTOKEN_REVOKED));
}

/* ---- the credential ---- */

typedef enum found_credential {
  CREDENTIAL_READ, /* one or none */
  CREDENTIAL_AMBIGUOUS,
  CREDENTIAL_UNREADABLE,
} found_credential;

static bool take_credential(st_visit *v, subtoken_text text) {
  if (text.len == 0) return true;
  if (v->credential.len == 0) {
    v->credential = text;
    return true;
  }
  return st_text_equal(v->credential, text);
}

/* What stands behind `Bearer `, or nothing for another scheme. */
static subtoken_text bearer(subtoken_text value) {
  size_t i = 0;
  while (i < value.len && value.data[i] != ' ') i++;
  if (!st_text_is_nocase((subtoken_text){value.data, i}, "Bearer")) return (subtoken_text){NULL, 0};
  while (i < value.len && value.data[i] == ' ') i++;
  return (subtoken_text){value.data + i, value.len - i};
}

static found_credential take_from_query(st_visit *v) {
  st_cutter cutter = {v->query, v->query.len == 0};
  st_writer out = st_writer_on(v->query_credential, sizeof v->query_credential);
  st_pair pair;
  while (st_pair_next(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "access_token")) continue;
    if (pair.bad_escape) return CREDENTIAL_UNREADABLE;
    if (!take_credential(v, pair.value)) return CREDENTIAL_AMBIGUOUS;
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
      authorizations++;
      one = take_credential(v, bearer(header->value)) && one;
    } else if (st_text_is_nocase(header->name, "X-API-Key")) {
      one = take_credential(v, header->value) && one;
    }
  }
  if (!one || authorizations > 1) return CREDENTIAL_AMBIGUOUS;
  return take_from_query(v);
}

static void tag_credential(st_visit *v) {
  static const char hex[] = "0123456789abcdef";
  uint8_t digest[ST_HASH_LEN];
  if (v->credential.len == 0 || !st_sha256(v->credential.data, v->credential.len, digest)) return;
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
  switch (subtoken_result_status(result)) {
    case 400:
      st_reply_error(v->reply, 400, event, "the request target can be read in more than one way");
      return;
    case 403:
      st_reply_error(v->reply, 403, event, "this subtoken does not list this url");
      st_reply_challenge(v->reply, subtoken_result_challenge(result));
      return;
    case 503:
      st_reply_error(v->reply, 503, event, "the key store cannot be read; try again later");
      v->reply->retry_after = 5;
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

bool st_visit_identify(st_visit *v, st_identity *identity) {
  const char *event = NULL;
  found_credential found = find_credential(v);
  if (found != CREDENTIAL_READ) {
    bool ambiguous = found == CREDENTIAL_AMBIGUOUS;
    st_reply_error(v->reply, 400, ambiguous ? "auth_ambiguous" : "bad_request",
                   ambiguous ? "more than one credential"
                             : "access_token: a % needs two hex digits behind it");
    st_reply_challenge(v->reply, "Bearer error=\"invalid_request\"");
    return false;
  }
  if (v->credential.len == 0) {
    refuse_credential(v, "auth_missing");
    return false;
  }
  tag_credential(v);
  subtoken_result result = st_identify(v->service, v->credential, v->method, v->target,
                                       v->request->now, identity, &event);
  if (result != SUBTOKEN_OK) {
    refuse_identity(v, result, event);
    return false;
  }
  memcpy(v->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  if (!identity->is_key) note_clock_skew(v, &identity->grant);
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
