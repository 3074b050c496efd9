/* The grant client_credentials (RFC 6749 section 4.4): a key says who it is as a client does, and
 * gets a short-lived access token of its own, as an exchange would give it. There is no refresh
 * token (section 4.4.3).
 */
#include "service/access.h"
#include "service/credential.h"
#include "service/oauth.h"

/* Of the credentials in the request's head Basic alone counts: it says who the client is. */
static st_oauth_error client_identify(st_oauth *o) {
  st_oauth_error error = st_oauth_check_once(
      o, 1U << ST_OAUTH_CLIENT_ID | 1U << ST_OAUTH_CLIENT_SECRET | 1U << ST_OAUTH_SCOPE);
  if (error.problem != NULL) return error;
  const st_problem *problem = st_credential_find_basic(o->context);
  if (problem != NULL) {
    return st_oauth_fail(o, 400, problem->event, "invalid_request", problem->text);
  }
  error = st_oauth_authenticate_client(o, true);
  if (error.problem != NULL) return error;
  problem = st_access_within_rate(o->context, &o->identity);
  return problem == NULL ? st_oauth_ok : st_oauth_error_of(problem, NULL);
}

static st_oauth_error client_read_scope(st_oauth *o) {
  return st_oauth_read_scope(o, &o->identity.grant, "scope: must not exceed that of the key");
}

static st_oauth_error client_narrow_audience(st_oauth *o) {
  return st_oauth_narrow_audience(o, "audience: must be that of the key");
}

static st_oauth_error client_reply(st_oauth *o) {
  st_writer writer = st_oauth_begin_token(o, "");
  st_oauth_end(o, &writer);
  return st_oauth_ok;
}

st_oauth_error st_client_credentials_grant(st_oauth *o) {
  static st_oauth_step *const steps[] = {client_identify,
                                         st_oauth_check_audience,
                                         st_oauth_check_resource,
                                         client_read_scope,
                                         client_narrow_audience,
                                         st_oauth_issue,
                                         client_reply,
                                         NULL};
  return st_oauth_take(o, steps);
}
