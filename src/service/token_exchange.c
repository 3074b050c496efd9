/* Token exchange (RFC 8693): a key or subtoken for a short-lived access token. What comes as
 * client authentication is neither asked for nor looked at: who holds the subject_token may
 * exchange it.
 */
#include "service/access.h"
#include "service/oauth.h"

#define TYPE "urn:ietf:params:oauth:token-type:"
/* Those that may be there once alone; a bit each. */
#define ONCE                                                                                 \
  (1U << ST_OAUTH_SUBJECT_TOKEN | 1U << ST_OAUTH_SUBJECT_TOKEN_TYPE |                        \
   1U << ST_OAUTH_REQUESTED_TOKEN_TYPE | 1U << ST_OAUTH_SCOPE | 1U << ST_OAUTH_ACTOR_TOKEN | \
   1U << ST_OAUTH_ACTOR_TOKEN_TYPE)

/* The token types of RFC 8693 section 3 that we know. */
static bool exchange_is_type(subtoken_text type, const char *name) {
  subtoken_text front = ST_TEXT(TYPE);
  if (type.len < front.len || memcmp(type.data, front.data, front.len) != 0) return false;
  return st_text_is((subtoken_text){type.data + front.len, type.len - front.len}, name);
}

static bool exchange_known_type(subtoken_text type) {
  return exchange_is_type(type, "access_token") || exchange_is_type(type, "jwt");
}

static st_oauth_error exchange_check(st_oauth *o) {
  const subtoken_text *given = o->given;
  st_oauth_error error = st_oauth_check_once(o, ONCE);
  if (error.problem != NULL) return error;
  if (given[ST_OAUTH_RESOURCE].len > 0) {
    return st_oauth_fail(o, 400, "bad_request", "invalid_target", "resource: not supported");
  }
  error = st_oauth_check_audience(o);
  if (error.problem != NULL) return error;
  if (given[ST_OAUTH_ACTOR_TOKEN].len > 0 || given[ST_OAUTH_ACTOR_TOKEN_TYPE].len > 0) {
    return st_oauth_invalid(o, "actor_token: delegation is not supported");
  }
  if (given[ST_OAUTH_SUBJECT_TOKEN].len == 0) {
    return st_oauth_invalid(o, "subject_token: is missing");
  }
  if (!exchange_known_type(given[ST_OAUTH_SUBJECT_TOKEN_TYPE])) {
    return st_oauth_invalid(o, "subject_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  if (given[ST_OAUTH_REQUESTED_TOKEN_TYPE].len > 0 &&
      !exchange_known_type(given[ST_OAUTH_REQUESTED_TOKEN_TYPE])) {
    return st_oauth_invalid(o, "requested_token_type: must be " TYPE "access_token or " TYPE "jwt");
  }
  return st_oauth_ok;
}

/* Without a reason (RFC 8693 section 2.2.2); the log has it. */
static st_oauth_error exchange_reject_subject(st_oauth *o, const char *event) {
  return st_oauth_fail(o, 400, event, "invalid_request", "subject_token: not accepted");
}

/* As any credential, and for this path, but none of the headers'. */
static st_oauth_error exchange_identify(st_oauth *o) {
  st_context *c = o->context;
  bool jwt = exchange_is_type(o->given[ST_OAUTH_SUBJECT_TOKEN_TYPE], "jwt");
  if (jwt && st_key_shaped(o->given[ST_OAUTH_SUBJECT_TOKEN])) {
    return exchange_reject_subject(o, "malformed");
  }
  c->credential.text = o->given[ST_OAUTH_SUBJECT_TOKEN];
  c->credential.forms = ST_FORM_BEARER;
  const st_problem *problem = st_authenticate_found(c, &o->identity);
  if (problem == NULL) problem = st_access_within_rate(c, &o->identity);
  if (problem == NULL) return st_oauth_ok;
  if (problem->status >= 429) return st_oauth_error_of(problem, NULL);
  return exchange_reject_subject(o, problem->event);
}

static st_oauth_error exchange_read_scope(st_oauth *o) {
  return st_oauth_read_scope(o, &o->identity.grant,
                             "scope: must not exceed that of the subject_token");
}

static st_oauth_error exchange_narrow_audience(st_oauth *o) {
  return st_oauth_narrow_audience(o, "audience: must be that of the subject_token");
}

static st_oauth_error exchange_reply(st_oauth *o) {
  bool jwt = exchange_is_type(o->given[ST_OAUTH_REQUESTED_TOKEN_TYPE], "jwt");
  st_writer writer =
      st_oauth_begin_token(o, jwt ? "\"issued_token_type\":\"" TYPE "jwt\","
                                  : "\"issued_token_type\":\"" TYPE "access_token\",");
  st_oauth_end(o, &writer);
  return st_oauth_ok;
}

st_oauth_error st_token_exchange_grant(st_oauth *o) {
  static st_oauth_step *const steps[] = {exchange_check,
                                         exchange_identify,
                                         exchange_read_scope,
                                         exchange_narrow_audience,
                                         st_oauth_issue,
                                         exchange_reply,
                                         NULL};
  return st_oauth_take(o, steps);
}
