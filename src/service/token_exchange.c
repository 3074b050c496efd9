/* What is exchanged for a short-lived access token, by the rules of RFC 8693 and by those of a
 * vendor's API; and the hash of a string (interface section 11).
 */
#include "service/token_exchange.h"

#include <string.h>

#include "base/bytes.h"
#include "core/claims.h"
#include "domain/key.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/issuing.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/request.h"
#include "service/service.h"

/* ---- RFC 8693 ---- */

#define TYPE "urn:ietf:params:oauth:token-type:"
#define GRANT_TYPE_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"

enum {
  GRANT_TYPE,
  SUBJECT_TOKEN,
  SUBJECT_TOKEN_TYPE,
  REQUESTED_TOKEN_TYPE,
  SCOPE,
  ACTOR_TOKEN,
  ACTOR_TOKEN_TYPE,
  RESOURCE, /* this one and the next may be there several times (section 2.1) */
  AUDIENCE,
  PARAMETERS
};

/* One exchange; the views point into text. */
typedef struct exchange {
  st_context *visit;
  subtoken_text given[PARAMETERS];
  subtoken_text scope[SUBTOKEN_PERMISSIONS_MAX];
  size_t scope_count;
  st_identity identity;
  st_access_token access;
  char text[ST_BODY_IN_MAX];
} exchange;

/* RFC 6749 section 5.2; and the text that all our errors have. */
static bool fail(exchange *e, int status, const char *event, const char *error, const char *text) {
  st_reply *reply = e->visit->reply;
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_literal(&writer, "{\"error\":\"");
  st_write_truncated(&writer, error);
  st_write_literal(&writer, "\",\"error_description\":\"");
  st_write_truncated(&writer, text);
  st_write_literal(&writer, "\",\"text\":\"");
  st_write_truncated(&writer, text);
  st_write_literal(&writer, "\"}");
  reply->status = status;
  reply->event.name = event;
  reply->challenge[0] = '\0';
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
  return false;
}

static bool invalid_request(exchange *e, const char *text) {
  return fail(e, 400, "bad_request", "invalid_request", text);
}

static size_t parameter_of(subtoken_text name) {
  static const char *const names[PARAMETERS] = {
      "grant_type",           "subject_token", "subject_token_type",
      "requested_token_type", "scope",         "actor_token",
      "actor_token_type",     "resource",      "audience"};
  size_t i = 0;
  while (i < PARAMETERS && !st_text_is(name, names[i])) i++;
  return i;
}

/* What has no value is not there (RFC 6749 section 3.1). */
static bool read_form(exchange *e) {
  const st_request *request = e->visit->request;
  st_cutter cutter = {request->body, request->body.len == 0};
  st_writer out = st_writer_on(e->text, sizeof e->text);
  st_pair pair;
  if (request->body.len > sizeof e->text) return invalid_request(e, "the body is too long");
  if (request->body.len > 0 && st_request_body_kind(request) != ST_BODY_FORM) {
    return invalid_request(e, "Content-Type: must be application/x-www-form-urlencoded");
  }
  while (st_params_next_pair(&cutter, &out, &pair)) {
    size_t parameter = parameter_of(pair.name);
    if (pair.bad_escape) return invalid_request(e, "a % needs two hex digits behind it");
    if (parameter == PARAMETERS || pair.value.len == 0) continue;
    if (parameter < RESOURCE && e->given[parameter].len > 0) {
      return invalid_request(e, "a parameter is given more than once");
    }
    e->given[parameter] = pair.value;
  }
  return true;
}

/* The token types of RFC 8693 section 3 that we know. */
static bool is_type(subtoken_text type, const char *name) {
  subtoken_text front = ST_TEXT(TYPE);
  if (type.len < front.len || memcmp(type.data, front.data, front.len) != 0) return false;
  return st_text_is((subtoken_text){type.data + front.len, type.len - front.len}, name);
}

static bool known_type(subtoken_text type) {
  return is_type(type, "access_token") || is_type(type, "jwt");
}

static bool check_parameters(exchange *e) {
  const subtoken_text *given = e->given;
  if (given[GRANT_TYPE].len == 0) return invalid_request(e, "grant_type: is missing");
  if (!st_text_is(given[GRANT_TYPE], GRANT_TYPE_EXCHANGE)) {
    return fail(e, 400, "bad_request", "unsupported_grant_type",
                "grant_type: must be " GRANT_TYPE_EXCHANGE);
  }
  if (given[RESOURCE].len > 0 || given[AUDIENCE].len > 0) {
    return fail(e, 400, "bad_request", "invalid_target", "resource, audience: not supported");
  }
  if (given[ACTOR_TOKEN].len > 0 || given[ACTOR_TOKEN_TYPE].len > 0) {
    return invalid_request(e, "actor_token: delegation is not supported");
  }
  if (given[SUBJECT_TOKEN].len == 0) return invalid_request(e, "subject_token: is missing");
  if (!known_type(given[SUBJECT_TOKEN_TYPE])) {
    return invalid_request(e, "subject_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  if (given[REQUESTED_TOKEN_TYPE].len > 0 && !known_type(given[REQUESTED_TOKEN_TYPE])) {
    return invalid_request(e, "requested_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  return true;
}

static bool refuse_subject(exchange *e, const char *event) {
  return fail(e, 400, event, "invalid_request", "subject_token: not accepted");
}

/* As any credential, and for this path, but none of the headers' and of no reason told
 * (section 2.2.2).
 */
static bool identify(exchange *e) {
  st_context *c = e->visit;
  st_reply *reply = c->reply;
  bool jwt = is_type(e->given[SUBJECT_TOKEN_TYPE], "jwt");
  if (jwt && st_key_shaped(e->given[SUBJECT_TOKEN])) return refuse_subject(e, "malformed");
  c->credential = e->given[SUBJECT_TOKEN];
  c->credential_elsewhere = true; /* than in X-API-Key */
  if (st_authenticate_found(c, &e->identity) && st_authenticate_within_rate(c, &e->identity))
    return true;
  const char *event = reply->event.name;
  if (reply->status == 429) {
    return fail(e, 429, event, "temporarily_unavailable", "too many tokens from this key");
  }
  if (reply->status != 503) return refuse_subject(e, event);
  return fail(e, 503, event, "temporarily_unavailable",
              "the key store cannot be read; try again later");
}

/* One space between two (RFC 6749 section 3.3). What is not held is refused, not left out. */
static bool read_scope(exchange *e) {
  subtoken_text scope = e->given[SCOPE], each;
  st_cutter cutter = {scope, scope.len == 0};
  while (st_cut(&cutter, ' ', &each)) {
    if (!subtoken_permission_valid(each) || !st_claims_has_permission(&e->identity.grant, each)) {
      return fail(e, 400, "perm", "invalid_scope",
                  "scope: must not exceed that of the subject_token");
    }
    if (e->scope_count == SUBTOKEN_PERMISSIONS_MAX) {
      return fail(e, 400, "bad_request", "invalid_scope", "scope: too many entries (maximum 64)");
    }
    e->scope[e->scope_count++] = each;
  }
  return true;
}

static bool make(exchange *e) {
  st_context *c = e->visit;
  int status;
  subtoken_result result =
      st_issuing_access_token(c->service, &e->identity.grant, e->scope_count > 0 ? e->scope : NULL,
                              e->scope_count, NULL, c->request->now, &e->access);
  if (result == SUBTOKEN_OK) return true;
  const char *problem = st_issuing_access_problem(result, &status);
  return fail(e, status, "issue_denied",
              status == 503 ? "temporarily_unavailable" : "invalid_request", problem);
}

static void answer_exchange(exchange *e) {
  st_reply *reply = e->visit->reply;
  const subtoken_claims *claims = &e->access.claims;
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_literal(&writer, "{\"access_token\":\"");
  st_write_literal(&writer, e->access.token);
  st_write_literal(&writer, "\",\"issued_token_type\":\"" TYPE);
  st_write_truncated(&writer,
                     is_type(e->given[REQUESTED_TOKEN_TYPE], "jwt") ? "jwt" : "access_token");
  st_write_literal(&writer, "\",\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, claims->exp - e->visit->request->now);
  st_write_literal(&writer, ",\"scope\":\"");
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ' ');
    st_write_view(&writer, subtoken_claims_text(claims, claims->permissions[i]));
  }
  st_write_literal(&writer, "\"}");
  reply->status = 200;
  st_reply_header(reply, "Pragma", ST_TEXT("no-cache")); /* RFC 6749 section 5.1 */
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_token_exchange_answer(st_context *c) {
  exchange e;
  memset(&e, 0, offsetof(exchange, identity));
  e.visit = c;
  if (read_form(&e) && check_parameters(&e) && identify(&e) && read_scope(&e) && make(&e)) {
    answer_exchange(&e);
  }
  c->credential = (subtoken_text){NULL, 0}; /* it was a view of e */
  subtoken_wipe(&e, sizeof e);
}

/* ---- a vendor's API ---- */

/* ---- the hash of a string ---- */
