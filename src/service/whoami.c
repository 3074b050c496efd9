/* GET /v2/whoami: what the caller is to this server and may do here, for a page that shows no more
 * than that allows. Of a derived token it says no more than its holder learns by token_info.c: it
 * was handed on, or made up by an edge of its audience, and whose the key is is not for them.
 */
#include "service/access.h"
#include "service/claims_json.h"
#include "service/endpoints.h"
#include "service/reply.h"

static const char *whoami_auth(st_auth_method method) {
  switch (method) {
    case ST_AUTH_KEY: return "key";
    case ST_AUTH_SESSION: return "login";
    case ST_AUTH_SERVICE_SESSION: return "service";
    case ST_AUTH_BASIC: return "basic";
    default: return "subtoken";
  }
}

/* The key that it rests on; of a user there is none. */
static const char *whoami_key(const st_key *key) {
  if (key->kind == ST_KIND_KEY) return key->id;
  return key->kind == ST_KIND_SERVICE ? key->parent : "";
}

static const char *whoami_login(const st_key *key) {
  return key->kind == ST_KIND_USER || key->kind == ST_KIND_SESSION ? key->owner : "";
}

static void whoami_write_whose(st_writer *writer, const st_identity *identity) {
  const st_key *key = &identity->key;
  bool derived = identity->method == ST_AUTH_DERIVED || st_identity_is_audience_token(identity);
  const char *its_key = derived && key->kind != ST_KIND_KEY ? "" : whoami_key(key);
  st_claims_json_text(writer, "login", st_text(derived ? "" : whoami_login(key)));
  st_claims_json_text(writer, "key", st_text(its_key));
  st_claims_json_text(writer, "name", st_text(key->name));
  st_claims_json_text(writer, "owner", st_text(derived ? "" : key->owner));
}

const st_problem *st_whoami_answer(st_context *c) {
  st_identity identity;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem != NULL) return problem;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"auth\":\"");
  st_write_literal(&writer, whoami_auth(identity.method));
  st_write_char(&writer, '"');
  whoami_write_whose(&writer, &identity);
  st_claims_json_permissions(&writer, &identity.grant);
  st_claims_json_urls(&writer, &identity.grant);
  st_claims_json_time(&writer, "expires_at", st_identity_ends(&identity));
  st_claims_json_audience(&writer, &identity.grant);
  st_write_char(&writer, '}');
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}
