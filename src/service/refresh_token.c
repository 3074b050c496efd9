/* The grant refresh_token (RFC 6749 section 6): a session goes on, by the rules of
 * /v1/auth/refresh. Whoever holds the refresh token may use it; no client authentication is looked
 * at, because a session belongs to no client.
 */
#include "service/oauth.h"
#include "service/sessions.h"

static st_oauth_error refresh_check(st_oauth *o) {
  st_oauth_error error =
      st_oauth_check_once(o, 1U << ST_OAUTH_REFRESH_TOKEN | 1U << ST_OAUTH_SCOPE);
  if (error.problem != NULL) return error;
  if (o->given[ST_OAUTH_REFRESH_TOKEN].len == 0) {
    return st_oauth_invalid(o, "refresh_token: is missing");
  }
  return st_oauth_ok;
}

static st_oauth_error refresh_problem(st_oauth *o, const st_problem *problem) {
  if (problem->status != 401) return st_oauth_error_of(problem, "invalid_request");
  return st_oauth_fail(o, 400, problem->event, "invalid_grant", "refresh_token: not accepted");
}

/* Looked at before the refresh token is used, so that asking for too much does not cost it. The
 * tokens of a session have its audience, or none.
 */
static st_oauth_error refresh_check_request(st_oauth *o) {
  subtoken_text audience = o->given[ST_OAUTH_AUDIENCE];
  if (o->given[ST_OAUTH_SCOPE].len == 0 && audience.len == 0) return st_oauth_ok;
  const st_problem *problem =
      st_sessions_of_refresh(o->context, o->given[ST_OAUTH_REFRESH_TOKEN], &o->identity.key);
  if (problem != NULL) return refresh_problem(o, problem);
  if (!st_key_grant(&o->identity.key, &o->identity.grant)) {
    return st_oauth_error_of(st_problem_change(ST_STORE_FAILED), NULL);
  }
  if (audience.len > 0 && !subtoken_claims_has_audience(&o->identity.grant, audience)) {
    return st_oauth_fail(o, 400, "aud", "invalid_target", "audience: must be that of the session");
  }
  return st_oauth_read_scope(o, &o->identity.grant, "scope: must not exceed that of the session");
}

static st_oauth_error refresh_continue(st_oauth *o) {
  st_context *c = o->context;
  const st_problem *problem =
      st_sessions_continue(c, o->given[ST_OAUTH_REFRESH_TOKEN], st_oauth_scope(o), o->scope_count,
                           &o->access, o->refresh);
  return problem == NULL ? st_oauth_ok : refresh_problem(o, problem);
}

static st_oauth_error refresh_reply(st_oauth *o) {
  st_writer writer = st_oauth_begin_token(o, "");
  st_write_literal(&writer, ",\"refresh_token\":\"");
  st_write_literal(&writer, o->refresh);
  st_write_char(&writer, '"');
  st_oauth_end(o, &writer);
  return st_oauth_ok;
}

st_oauth_error st_refresh_token_grant(st_oauth *o) {
  static st_oauth_step *const steps[] = {refresh_check,
                                         st_oauth_check_audience,
                                         st_oauth_check_resource,
                                         refresh_check_request,
                                         refresh_continue,
                                         refresh_reply,
                                         NULL};
  return st_oauth_take(o, steps);
}
