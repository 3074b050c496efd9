/* POST /oauth/introspect (RFC 7662): what a token is, told to whoever may ask. A token is active
 * where this server takes it now, whatever its urls list; of all else nothing is told. Who is bound
 * to an audience is told of its tokens alone, as an edge for it takes no others.
 */
#include "base/json.h"
#include "core/claims.h"
#include "service/access.h"
#include "service/credential.h"
#include "service/endpoints.h"
#include "service/oauth.h"
#include "service/reply.h"

/* Who asks: any credential, or a client with client authentication (section 2.1). */
static st_oauth_error introspect_identify(st_oauth *o) {
  st_context *c = o->context;
  st_oauth_error error = st_oauth_check_once(
      o, 1U << ST_OAUTH_CLIENT_ID | 1U << ST_OAUTH_CLIENT_SECRET | 1U << ST_OAUTH_TOKEN);
  if (error.problem != NULL) return error;
  const st_problem *problem = st_credential_find(c);
  if (problem != NULL) return (st_oauth_error){NULL, problem};
  if (st_oauth_has_client(o)) {
    bool other = c->credential.text.len > 0 && (c->credential.forms & ST_FORM_BASIC) == 0;
    return other ? st_oauth_invalid(o, "client_secret: another credential came with it")
                 : st_oauth_authenticate_client(o, false);
  }
  return (st_oauth_error){NULL, st_authenticate_found(c, &o->identity)};
}

static st_oauth_error introspect_allowed(st_oauth *o) {
  const st_problem *problem = st_access_requires(o->context, &o->identity, "introspect");
  if (problem != NULL) return (st_oauth_error){NULL, problem};
  if (o->given[ST_OAUTH_TOKEN].len == 0) return st_oauth_invalid(o, "token: is missing");
  return st_oauth_ok;
}

/* Is one of the audiences that the asker is bound to, if any, one of the token's? */
static bool introspect_concerns(const subtoken_claims *asker, const subtoken_claims *asked) {
  size_t at = 0;
  subtoken_text mine = subtoken_claims_audience(asker, &at);
  if (mine.data == NULL) return true;
  for (; mine.data != NULL; mine = subtoken_claims_audience(asker, &at)) {
    size_t of = 0;
    subtoken_text its;
    while ((its = subtoken_claims_audience(asked, &of)).data != NULL) {
      if (st_text_equal(its, mine)) return true;
    }
  }
  return false;
}

/* The server's own clock made the token, or one that is held near it: once exp is over it is not
 * active, while verifiers allow for clocks that differ.
 */
static st_oauth_error introspect_find(st_oauth *o, st_identity *asked, bool *active) {
  static const st_problem unable = {
      .status = 503,
      .event = "store_error",
      .text = "it is not known whether this token is in force; try again later",
      .retry_after = 5};
  static const st_identity_use anywhere;
  int64_t now = o->context->request->now;
  st_auth_result result =
      st_identity_find(o->context->service, o->given[ST_OAUTH_TOKEN], &anywhere, now, asked);
  *active = result.status == ST_AUTH_STATUS_OK && asked->grant.exp > now &&
            introspect_concerns(&o->identity.grant, &asked->grant);
  bool known = result.status == ST_AUTH_STATUS_OK || result.status == ST_AUTH_STATUS_REJECTED;
  return known ? st_oauth_ok : st_oauth_error_of(&unable, NULL);
}

static void introspect_write_time(st_writer *writer, const char *name, int64_t value) {
  st_write_literal(writer, name);
  st_write_int(writer, value);
}

/* Of a session that a key began, the key. */
static const char *introspect_client(const st_key *key) {
  return key->kind == ST_KIND_SERVICE ? key->parent : key->id;
}

static void introspect_write_urls(st_writer *writer, const subtoken_claims *claims) {
  st_write_literal(writer, ",\"urls\":");
  for (size_t i = 0; i < claims->url_count; i++) {
    st_write_char(writer, i == 0 ? '[' : ',');
    st_json_write_string(writer, subtoken_claims_text(claims, claims->urls[i]));
  }
  st_write_char(writer, ']');
}

/* One is a string, several are an array (RFC 7519 section 4.1.3). */
static void introspect_write_audience(st_writer *writer, const subtoken_claims *claims) {
  size_t at = 0;
  subtoken_text first = subtoken_claims_audience(claims, &at);
  subtoken_text next = subtoken_claims_audience(claims, &at);
  if (first.data == NULL) return;
  bool several = next.data != NULL;
  st_write_literal(writer, several ? ",\"aud\":[" : ",\"aud\":");
  st_json_write_string(writer, first);
  for (; next.data != NULL; next = subtoken_claims_audience(claims, &at)) {
    st_write_char(writer, ',');
    st_json_write_string(writer, next);
  }
  if (several) st_write_char(writer, ']');
}

static void introspect_write(st_writer *writer, const st_identity *asked) {
  const subtoken_claims *claims = &asked->grant;
  const st_key *key = &asked->key;
  bool whole = st_identity_is_whole(asked);
  st_write_literal(writer, "{\"active\":true");
  st_oauth_write_scope(writer, claims);
  st_write_literal(writer, ",\"sub\":");
  st_json_write_string(writer, subtoken_claims_text(claims, claims->sub));
  introspect_write_time(writer, ",\"iat\":", whole ? key->created_at : claims->iat);
  int64_t ends = st_identity_ends(asked);
  if (ends != ST_NEVER) introspect_write_time(writer, ",\"exp\":", ends);
  st_write_literal(writer, ",\"token_type\":\"Bearer\",\"client_id\":");
  st_json_write_string(writer, st_text(introspect_client(key)));
  if (key->owner[0] != '\0') {
    st_write_literal(writer, ",\"username\":");
    st_json_write_string(writer, st_text(key->owner));
  }
  introspect_write_audience(writer, claims);
  if (!claims->every_url) introspect_write_urls(writer, claims);
}

static st_oauth_error introspect_reply(st_oauth *o) {
  st_identity asked;
  bool active;
  st_oauth_error error = introspect_find(o, &asked, &active);
  if (error.problem == NULL) {
    st_writer writer = st_reply_begin(o->context->reply);
    if (active) {
      introspect_write(&writer, &asked);
    } else {
      st_write_literal(&writer, "{\"active\":false");
    }
    st_oauth_end(o, &writer);
  }
  return error;
}

const st_problem *st_introspect_answer(st_context *c) {
  static st_oauth_step *const steps[] = {st_oauth_read_form, introspect_identify,
                                         introspect_allowed, introspect_reply, NULL};
  return st_oauth_answer(c, steps);
}
