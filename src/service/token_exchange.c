/* POST /oauth/token (RFC 8693): a key or subtoken is exchanged for a short-lived access token.
 * Whatever is wrong is said as RFC 6749 section 5.2 asks, beside the text that all our errors have.
 */
#include "core/claims.h"
#include "service/access.h"
#include "service/credential.h"
#include "service/endpoints.h"
#include "service/form.h"
#include "service/issuing.h"
#include "service/reply.h"
#include "service/request.h"

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
  st_context *context;
  subtoken_text given[PARAMETERS];
  subtoken_text scope[SUBTOKEN_PERMISSIONS_MAX];
  size_t scope_count;
  st_identity identity;
  st_access_token access;
  char text[ST_REQUEST_BODY_MAX];
} exchange;

/* A problem and its code in RFC 6749 section 5.2 or RFC 8693 section 2.2.2. code NULL: none. */
typedef struct exchange_error {
  const char *code;
  const st_problem *problem;
} exchange_error;

static exchange_error exchange_fail(exchange *e, int status, const char *event, const char *code,
                                    const char *text) {
  return (exchange_error){code, st_problem_make(&e->context->problem, status, event, text)};
}

static exchange_error exchange_invalid(exchange *e, const char *text) {
  return exchange_fail(e, 400, "bad_request", "invalid_request", text);
}

static const exchange_error exchange_ok = {NULL, NULL};

static size_t exchange_parameter(subtoken_text name) {
  static const char *const names[PARAMETERS] = {
      "grant_type",           "subject_token", "subject_token_type",
      "requested_token_type", "scope",         "actor_token",
      "actor_token_type",     "resource",      "audience"};
  size_t i = 0;
  while (i < PARAMETERS && !st_text_is(name, names[i])) i++;
  return i;
}

/* What has no value is not there (RFC 6749 section 3.1). */
static exchange_error exchange_read_form(exchange *e) {
  const st_request *request = e->context->request;
  st_cutter cutter = {request->body, request->body.len == 0};
  st_writer out = st_writer_on(e->text, sizeof e->text);
  st_pair pair;
  if (request->body.len > sizeof e->text) return exchange_invalid(e, "the body is too long");
  if (request->body.len > 0 && st_request_body_kind(request) != ST_BODY_FORM) {
    return exchange_invalid(e, "Content-Type: must be application/x-www-form-urlencoded");
  }
  while (st_form_next_pair(&cutter, &out, &pair)) {
    size_t parameter = exchange_parameter(pair.name);
    if (pair.bad_escape) return exchange_invalid(e, "a % needs two hex digits behind it");
    if (parameter == PARAMETERS || pair.value.len == 0) continue;
    if (parameter < RESOURCE && e->given[parameter].len > 0) {
      return exchange_invalid(e, "a parameter is given more than once");
    }
    e->given[parameter] = pair.value;
  }
  return exchange_ok;
}

/* The token types of RFC 8693 section 3 that we know. */
static bool exchange_is_type(subtoken_text type, const char *name) {
  subtoken_text front = ST_TEXT(TYPE);
  if (type.len < front.len || memcmp(type.data, front.data, front.len) != 0) return false;
  return st_text_is((subtoken_text){type.data + front.len, type.len - front.len}, name);
}

static bool exchange_known_type(subtoken_text type) {
  return exchange_is_type(type, "access_token") || exchange_is_type(type, "jwt");
}

static exchange_error exchange_check(exchange *e) {
  const subtoken_text *given = e->given;
  if (given[GRANT_TYPE].len == 0) return exchange_invalid(e, "grant_type: is missing");
  if (!st_text_is(given[GRANT_TYPE], GRANT_TYPE_EXCHANGE)) {
    return exchange_fail(e, 400, "bad_request", "unsupported_grant_type",
                         "grant_type: must be " GRANT_TYPE_EXCHANGE);
  }
  if (given[RESOURCE].len > 0 || given[AUDIENCE].len > 0) {
    return exchange_fail(e, 400, "bad_request", "invalid_target",
                         "resource, audience: not supported");
  }
  if (given[ACTOR_TOKEN].len > 0 || given[ACTOR_TOKEN_TYPE].len > 0) {
    return exchange_invalid(e, "actor_token: delegation is not supported");
  }
  if (given[SUBJECT_TOKEN].len == 0) return exchange_invalid(e, "subject_token: is missing");
  if (!exchange_known_type(given[SUBJECT_TOKEN_TYPE])) {
    return exchange_invalid(e, "subject_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  if (given[REQUESTED_TOKEN_TYPE].len > 0 && !exchange_known_type(given[REQUESTED_TOKEN_TYPE])) {
    return exchange_invalid(e, "requested_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  return exchange_ok;
}

/* Without a reason (RFC 8693 section 2.2.2); the log has it. */
static exchange_error exchange_reject_subject(exchange *e, const char *event) {
  return exchange_fail(e, 400, event, "invalid_request", "subject_token: not accepted");
}

/* As any credential, and for this path, but none of the headers'. */
static exchange_error exchange_identify(exchange *e) {
  st_context *c = e->context;
  bool jwt = exchange_is_type(e->given[SUBJECT_TOKEN_TYPE], "jwt");
  if (jwt && st_key_shaped(e->given[SUBJECT_TOKEN])) return exchange_reject_subject(e, "malformed");
  c->credential.text = e->given[SUBJECT_TOKEN];
  c->credential.forms = ST_FORM_BEARER;
  const st_problem *problem = st_authenticate_found(c, &e->identity);
  if (problem == NULL) problem = st_access_within_rate(c, &e->identity);
  if (problem == NULL) return exchange_ok;
  bool temporary = problem->status == 429 || problem->status == 503;
  if (!temporary) return exchange_reject_subject(e, problem->event);
  return (exchange_error){"temporarily_unavailable", problem};
}

/* One space between two (RFC 6749 section 3.3). What is not held is refused, not left out. */
static exchange_error exchange_read_scope(exchange *e) {
  subtoken_text scope = e->given[SCOPE], each;
  st_cutter cutter = {scope, scope.len == 0};
  while (st_cut(&cutter, ' ', &each)) {
    if (!subtoken_permission_valid(each) || !st_claims_has_permission(&e->identity.grant, each)) {
      return exchange_fail(e, 400, "perm", "invalid_scope",
                           "scope: must not exceed that of the subject_token");
    }
    if (e->scope_count == SUBTOKEN_PERMISSIONS_MAX) {
      return exchange_fail(e, 400, "bad_request", "invalid_scope",
                           "scope: too many entries (maximum 64)");
    }
    e->scope[e->scope_count++] = each;
  }
  return exchange_ok;
}

static exchange_error exchange_issue(exchange *e) {
  st_context *c = e->context;
  const st_problem *problem =
      st_issuing_access_token(c->service, &e->identity.grant, e->scope_count > 0 ? e->scope : NULL,
                              e->scope_count, c->request->now, &e->access);
  if (problem == NULL) return exchange_ok;
  return (exchange_error){problem->status == 503 ? "temporarily_unavailable" : "invalid_request",
                          problem};
}

static void exchange_reply(exchange *e) {
  st_reply *reply = e->context->reply;
  const subtoken_claims *claims = &e->access.claims;
  bool jwt = exchange_is_type(e->given[REQUESTED_TOKEN_TYPE], "jwt");
  st_writer writer = st_reply_begin(reply);
  st_write_literal(&writer, "{\"access_token\":\"");
  st_write_literal(&writer, e->access.token);
  st_write_literal(&writer, "\",\"issued_token_type\":\"" TYPE);
  st_write_truncated(&writer, jwt ? "jwt" : "access_token");
  st_write_literal(&writer, "\",\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, claims->exp - e->context->request->now);
  st_write_literal(&writer, ",\"scope\":\"");
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ' ');
    st_write_view(&writer, subtoken_claims_text(claims, claims->permissions[i]));
  }
  st_write_literal(&writer, "\"}");
  st_reply_header(reply, "Pragma", ST_TEXT("no-cache")); /* RFC 6749 section 5.1 */
  st_reply_end(reply, 200, &writer);
}

const st_problem *st_token_exchange_answer(st_context *c) {
  static exchange_error (*const steps[])(exchange *) = {
      exchange_read_form, exchange_check, exchange_identify, exchange_read_scope, exchange_issue};
  exchange e;
  exchange_error error = exchange_ok;
  memset(&e, 0, offsetof(exchange, identity));
  e.context = c;
  for (size_t i = 0; i < sizeof steps / sizeof steps[0] && error.problem == NULL; i++) {
    error = steps[i](&e);
  }
  if (error.problem != NULL) {
    st_reply_oauth_problem(c->reply, error.code, error.problem);
  } else {
    exchange_reply(&e);
  }
  st_credential_clear(&c->credential); /* it was a view of e */
  subtoken_wipe(&e, sizeof e);
  return NULL;
}
