/* POST /oauth/token: an access token for what the kind of grant says. Each kind is in a file of its
 * own: token_exchange.c, client_credentials.c, refresh_token.c.
 */
#include "service/endpoints.h"
#include "service/oauth.h"

static const struct {
  const char *name;
  st_oauth_step *grant;
} token_grants[] = {
    {"urn:ietf:params:oauth:grant-type:token-exchange", st_token_exchange_grant},
    {"client_credentials", st_client_credentials_grant},
    {"refresh_token", st_refresh_token_grant},
};

static st_oauth_error token_grant(st_oauth *o) {
  subtoken_text type = o->given[ST_OAUTH_GRANT_TYPE];
  st_oauth_error error = st_oauth_check_once(o, 1U << ST_OAUTH_GRANT_TYPE);
  if (error.problem != NULL) return error;
  if (type.len == 0) return st_oauth_invalid(o, "grant_type: is missing");
  for (size_t i = 0; i < sizeof token_grants / sizeof token_grants[0]; i++) {
    if (st_text_is(type, token_grants[i].name)) return token_grants[i].grant(o);
  }
  return st_oauth_fail(o, 400, "bad_request", "unsupported_grant_type",
                       "grant_type: must be urn:ietf:params:oauth:grant-type:token-exchange, "
                       "client_credentials or refresh_token");
}

const st_problem *st_token_endpoint_answer(st_context *c) {
  static st_oauth_step *const steps[] = {st_oauth_read_form, token_grant, NULL};
  return st_oauth_answer(c, steps);
}
