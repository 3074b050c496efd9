/* What the calls of OAuth share. Their forms are read in one way, whatever the call; which
 * parameters count is for each. What goes wrong is told as RFC 6749 section 5.2 asks, beside the
 * text that all our errors have.
 */
#include "service/oauth.h"

#include "core/claims.h"
#include "core/policy.h"
#include "core/resource.h"
#include "service/authenticate.h"
#include "service/credential.h"
#include "service/form.h"
#include "service/reply.h"
#include "service/request.h"

const st_oauth_error st_oauth_ok = {NULL, NULL};

/* ---- steps, and what goes wrong ---- */

st_oauth_error st_oauth_take(st_oauth *o, st_oauth_step *const *steps) {
  st_oauth_error error = st_oauth_ok;
  for (; *steps != NULL && error.problem == NULL; steps++) error = (*steps)(o);
  return error;
}

const st_problem *st_oauth_answer(st_context *c, st_oauth_step *const *steps) {
  st_oauth o;
  memset(&o, 0, offsetof(st_oauth, identity));
  st_identity_clear(&o.identity);
  o.context = c;
  st_oauth_error error = st_oauth_take(&o, steps);
  st_credential_clear(&c->credential); /* it was a view of o, or of the next */
  subtoken_wipe(&o, sizeof o);
  if (error.code == NULL) return error.problem;
  st_reply_oauth_problem(c->reply, error.code, error.problem);
  return NULL;
}

st_oauth_error st_oauth_fail(st_oauth *o, int status, const char *event, const char *code,
                             const char *text) {
  return (st_oauth_error){code, st_problem_make(&o->context->problem, status, event, text)};
}

st_oauth_error st_oauth_invalid(st_oauth *o, const char *text) {
  return st_oauth_fail(o, 400, "bad_request", "invalid_request", text);
}

st_oauth_error st_oauth_error_of(const st_problem *problem, const char *code) {
  bool temporary = problem->status == 429 || problem->status == 503;
  return (st_oauth_error){temporary ? "temporarily_unavailable" : code, problem};
}

/* ---- the form ---- */

static size_t oauth_parameter(subtoken_text name) {
  static const char *const names[ST_OAUTH_PARAMETERS] = {"grant_type",
                                                         "scope",
                                                         "client_id",
                                                         "client_secret",
                                                         "refresh_token",
                                                         "subject_token",
                                                         "subject_token_type",
                                                         "requested_token_type",
                                                         "actor_token",
                                                         "actor_token_type",
                                                         "token",
                                                         "resource",
                                                         "audience"};
  size_t i = 0;
  while (i < ST_OAUTH_PARAMETERS && !st_text_is(name, names[i])) i++;
  return i;
}

/* What has no value is not there (RFC 6749 section 3.1). */
st_oauth_error st_oauth_read_form(st_oauth *o) {
  const st_request *request = o->context->request;
  st_cutter cutter = {request->body, false};
  st_writer out = st_writer_on(o->text, sizeof o->text);
  st_pair pair;
  if (request->body.len > sizeof o->text) return st_oauth_invalid(o, "the body is too long");
  if (request->body.len > 0 && st_request_body_kind(request) != ST_BODY_FORM) {
    return st_oauth_invalid(o, "Content-Type: must be application/x-www-form-urlencoded");
  }
  while (st_form_next_pair(&cutter, &out, &pair)) {
    size_t parameter = oauth_parameter(pair.name);
    if (pair.bad_escape) return st_oauth_invalid(o, "a % needs two hex digits behind it");
    if (parameter == ST_OAUTH_PARAMETERS || pair.value.len == 0) continue;
    if (o->given[parameter].len > 0) o->repeated |= 1U << parameter;
    o->given[parameter] = pair.value;
  }
  return st_oauth_ok;
}

st_oauth_error st_oauth_check_once(st_oauth *o, unsigned parameters) {
  if ((o->repeated & parameters) == 0) return st_oauth_ok;
  return st_oauth_invalid(o, "a parameter is given more than once");
}

/* ---- the client ---- */

/* What it says of itself. id empty: nothing. */
typedef struct oauth_client {
  subtoken_text id, secret;
  bool basic;
} oauth_client;

static bool oauth_is_basic(const st_oauth *o) {
  return (o->context->credential.forms & ST_FORM_BASIC) != 0;
}

bool st_oauth_has_client(const st_oauth *o) {
  return oauth_is_basic(o) || o->given[ST_OAUTH_CLIENT_SECRET].len > 0;
}

/* Both halves are form-encoded before they are joined by a colon (RFC 6749 section 2.3.1). What
 * cannot be decoded is nobody's.
 */
static void oauth_read_basic(st_oauth *o, oauth_client *client) {
  st_writer out = st_writer_on(o->client, sizeof o->client);
  st_cutter cutter = {o->context->credential.text, false};
  subtoken_text id;
  (void)st_cut(&cutter, ':', &id); /* there is always a first piece */
  bool good = !cutter.done && st_form_decode(id, &out, &client->id) &&
              st_form_decode(cutter.rest, &out, &client->secret);
  if (!good) client->id = client->secret = (subtoken_text){NULL, 0};
}

/* 401 where it came as Basic, so that the client knows which scheme was refused (section 5.2), and
 * everywhere but at the token endpoint (RFC 7662 section 2.3).
 */
static st_oauth_error oauth_reject_client(st_oauth *o, bool unauthorized, const char *event) {
  static const st_problem rejected = {
      .status = 400,
      .text =
          "client authentication: client_id must be the public id of a key that is in force, "
          "and client_secret the whole key"};
  st_problem *problem = st_problem_copy(&o->context->problem, &rejected);
  problem->event = event;
  if (unauthorized) problem->status = 401;
  problem->basic_challenge = unauthorized;
  return (st_oauth_error){"invalid_client", problem};
}

static st_oauth_error oauth_read_client(st_oauth *o, oauth_client *client) {
  subtoken_text id = o->given[ST_OAUTH_CLIENT_ID], secret = o->given[ST_OAUTH_CLIENT_SECRET];
  *client = (oauth_client){.basic = oauth_is_basic(o)};
  if (!client->basic) {
    client->id = id;
    client->secret = secret;
    if (secret.len > 0 && id.len == 0) return st_oauth_invalid(o, "client_id: is missing");
    return st_oauth_ok;
  }
  oauth_read_basic(o, client);
  if (secret.len > 0) {
    return st_oauth_invalid(o, "client_secret: the client has authenticated by Basic, too");
  }
  if (id.len > 0 && !st_text_equal(id, client->id)) {
    return st_oauth_invalid(o, "client_id: is not the client that has authenticated by Basic");
  }
  return st_oauth_ok;
}

st_oauth_error st_oauth_authenticate_client(st_oauth *o, bool token_endpoint) {
  st_context *c = o->context;
  oauth_client client;
  st_oauth_error error = oauth_read_client(o, &client);
  if (error.problem != NULL) return error;
  if (!client.basic && client.secret.len == 0) {
    return st_oauth_fail(o, 400, "auth_missing", "invalid_client",
                         "client authentication: is missing; client_id and client_secret come in "
                         "the body or as Basic");
  }
  bool key = st_key_shaped(client.secret) && client.id.len == ST_KEY_ID_LEN &&
             memcmp(client.id.data, client.secret.data, ST_KEY_ID_LEN) == 0;
  bool unauthorized = client.basic || !token_endpoint;
  if (!key) return oauth_reject_client(o, unauthorized, "key_unknown");
  c->credential.text = client.secret;
  c->credential.forms = ST_FORM_BEARER;
  const st_problem *problem = st_authenticate_found(c, &o->identity);
  if (problem == NULL) return st_oauth_ok;
  if (problem->status >= 429) return st_oauth_error_of(problem, NULL);
  return oauth_reject_client(o, unauthorized, problem->event);
}

/* ---- the scope ---- */

/* One space between two (RFC 6749 section 3.3). What is not held is refused, not left out. */
st_oauth_error st_oauth_read_scope(st_oauth *o, const subtoken_claims *held, const char *text) {
  subtoken_text scope = o->given[ST_OAUTH_SCOPE], each;
  st_cutter cutter = {scope, scope.len == 0};
  while (st_cut(&cutter, ' ', &each)) {
    if (!st_claims_has_permission(held, each)) {
      return st_oauth_fail(o, 400, "perm", "invalid_scope", text);
    }
    if (o->scope_count == SUBTOKEN_PERMISSIONS_MAX) {
      return st_oauth_fail(o, 400, "bad_request", "invalid_scope",
                           "scope: too many entries (maximum 64)");
    }
    o->scope[o->scope_count++] = each;
  }
  return st_oauth_ok;
}

/* ---- the audience ---- */

/* One is all that a token can be for. */
st_oauth_error st_oauth_check_audience(st_oauth *o) {
  subtoken_text audience = o->given[ST_OAUTH_AUDIENCE];
  if ((o->repeated & 1U << ST_OAUTH_AUDIENCE) != 0) {
    return st_oauth_fail(o, 400, "bad_request", "invalid_target",
                         "audience: a token is for one audience; ask for one token each");
  }
  if (audience.len == 0 || subtoken_audience_valid(audience)) return st_oauth_ok;
  return st_oauth_fail(o, 400, "bad_request", "invalid_target",
                       "audience: must be 1 to 32 characters A-Za-z0-9_-");
}

/* Of a credential that has an audience, only the same. */
st_oauth_error st_oauth_narrow_audience(st_oauth *o, const char *text) {
  subtoken_text audience = o->given[ST_OAUTH_AUDIENCE];
  if (audience.len == 0 || !st_identity_is_bound(&o->identity) ||
      subtoken_claims_has_audience(&o->identity.grant, audience)) {
    return st_oauth_ok;
  }
  return st_oauth_fail(o, 400, "aud", "invalid_target", text);
}

/* A resource (RFC 8707) does not narrow the token, which is good wherever the key is. Clients of
 * MCP name the one that they call; where the policy has resources, another could be one that
 * collects tokens (section 3).
 */
st_oauth_error st_oauth_check_resource(st_oauth *o) {
  const subtoken_policy *policy = o->context->service->policy;
  subtoken_text resource = o->given[ST_OAUTH_RESOURCE];
  bool several = (o->repeated & 1U << ST_OAUTH_RESOURCE) != 0;
  bool any = policy == NULL || policy->resource_count == 0;
  if (resource.len == 0) return st_oauth_ok;
  if (!several && (any || st_resource_is_listed(policy, resource))) return st_oauth_ok;
  return st_oauth_fail(o, 400, "bad_request", "invalid_target",
                       "resource: must be one of the route policy of this server");
}

/* ---- answers ---- */

st_oauth_error st_oauth_issue(st_oauth *o) {
  st_context *c = o->context;
  st_access_request asked = {.scope = st_oauth_scope(o),
                             .scope_count = o->scope_count,
                             .audience = o->given[ST_OAUTH_AUDIENCE]};
  const st_problem *problem = st_issuing_requested_token(
      c->service, &o->identity.key, &o->identity.grant, &asked, c->request->now, &o->access);
  return problem == NULL ? st_oauth_ok : st_oauth_error_of(problem, "invalid_request");
}

void st_oauth_write_scope(st_writer *writer, const subtoken_claims *claims) {
  st_write_literal(writer, ",\"scope\":\"");
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (i > 0) st_write_char(writer, ' ');
    st_write_view(writer, subtoken_claims_text(claims, claims->permissions[i]));
  }
  st_write_char(writer, '"');
}

st_writer st_oauth_begin_token(st_oauth *o, const char *extra) {
  st_writer writer = st_reply_begin(o->context->reply);
  st_write_literal(&writer, "{\"access_token\":\"");
  st_write_literal(&writer, o->access.token);
  st_write_literal(&writer, "\",");
  st_write_literal(&writer, extra);
  st_write_literal(&writer, "\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, o->access.claims.exp - o->context->request->now);
  st_oauth_write_scope(&writer, &o->access.claims);
  return writer;
}

void st_oauth_end(st_oauth *o, st_writer *writer) {
  st_write_char(writer, '}');
  st_reply_header(o->context->reply, "Pragma", ST_TEXT("no-cache")); /* RFC 6749 section 5.1 */
  st_reply_end(o->context->reply, 200, writer);
}
