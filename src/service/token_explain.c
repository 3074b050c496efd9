/* POST /v2/explain: what a token is worth here now and, for a method and a url, which rule decides,
 * as `subtoken verify` explains it. For who manages keys: of the caller's own keys and sessions, or
 * of all with the permission `introspect` or `keys`. To others a token of somebody else is as one
 * whose sub nobody has. What is wrong with the text of a token everybody can see.
 */
#include "base/json.h"
#include "core/claims.h"
#include "service/access.h"
#include "service/claims_json.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/request.h"

#define TOKEN_TEXT_MAX (SUBTOKEN_EXPLAIN_MAX + 128)

/* What is asked about a token, and what was found. */
typedef struct token_asked {
  const st_service *service;
  int64_t now;
  subtoken_text token, method, target;
  subtoken_claims claims; /* of a token that the ring has signed */
  subtoken_result read;   /* whether it has */
  st_store_status row;    /* of its sub */
  st_key key;
  bool store_error;
  const char *why;        /* it is revoked */
  subtoken_result result; /* of the request */
  bool lost;              /* the key has no longer what the request needs */
} token_asked;

static const st_problem token_store_error = {
    .status = 503,
    .event = "store_error",
    .text = "it is not known whether this token is in force; try again later",
    .retry_after = 5};

/* ---- what was asked ---- */

/* Also in an absolute URL: what follows the host. */
static bool token_read_target(subtoken_text url, subtoken_text *target) {
  static const char *const schemes[] = {"https://", "http://"};
  *target = url;
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    size_t at = strlen(schemes[i]);
    if (url.len < at || memcmp(url.data, schemes[i], at) != 0) continue;
    while (at < url.len && url.data[at] != '/') at++;
    *target = (subtoken_text){url.data + at, url.len - at};
  }
  return target->len > 0 && target->data[0] == '/';
}

static const st_problem *token_read_body(st_context *c, char *scratch, token_asked *t) {
  enum { TOKEN, METHOD, URL, FIELDS };
  st_field fields[FIELDS] = {[TOKEN] = {.name = "token", .type = ST_FIELD_TEXT},
                             [METHOD] = {.name = "method", .type = ST_FIELD_TEXT},
                             [URL] = {.name = "url", .type = ST_FIELD_TEXT}};
  const st_problem *problem = st_json_body_read(c, fields, FIELDS, scratch);
  if (problem != NULL) return problem;
  t->token = fields[TOKEN].text;
  if (t->token.len == 0) return st_problem_parameter(&c->problem, "token", "is missing");
  if (st_key_shaped(t->token)) {
    return st_problem_parameter(&c->problem, "token", "is a whole key; send a token");
  }
  if (fields[METHOD].text.len > 0) t->method = fields[METHOD].text;
  if (fields[URL].text.len == 0) return NULL;
  if (token_read_target(fields[URL].text, &t->target)) return NULL;
  return st_problem_parameter(&c->problem, "url", "must be a path such as /v2/account, or a URL");
}

/* ---- whose it is ---- */

static void token_find_row(token_asked *t) {
  const st_keys *keys = &t->service->keys;
  t->row = ST_STORE_NOT_FOUND;
  t->read = subtoken_authenticate(t->service->ring, NULL, t->token, &t->claims);
  if (t->read != SUBTOKEN_OK) return;
  t->row = keys->by_sub(keys->store, subtoken_claims_text(&t->claims, t->claims.sub), &t->key);
  t->store_error =
      t->row != ST_STORE_OK && t->row != ST_STORE_NOT_FOUND && t->row != ST_STORE_REVOKED;
  if (t->row != ST_STORE_OK || t->key.audience[0] == '\0') return;
  /* Nothing under a bound key's sub but what it made. */
  st_key_token token = st_key_token_of(&t->claims);
  if (!st_key_has_made(&t->key, &token)) t->row = ST_STORE_NOT_FOUND;
}

static bool token_is_own(const st_identity *caller, const st_key *row) {
  bool user = caller->method == ST_AUTH_SESSION || caller->method == ST_AUTH_BASIC;
  if (user) return row->owner[0] != '\0' && strcmp(row->owner, caller->key.owner) == 0;
  return strcmp(st_key_root(row), st_key_root(&caller->key)) == 0;
}

/* May the caller know of it? */
static bool token_is_visible(const st_identity *caller, const token_asked *t) {
  bool all = st_claims_has_permission(&caller->grant, ST_TEXT("introspect")) ||
             st_claims_has_permission(&caller->grant, ST_TEXT("keys"));
  if (st_identity_is_bound(caller)) {
    all = all && subtoken_claims_has_audience(&t->claims, st_text(caller->key.audience));
  }
  return all || (t->row == ST_STORE_OK && token_is_own(caller, &t->key));
}

/* ---- the verdict ---- */

static subtoken_result token_ended(token_asked *t, const char *why) {
  t->why = why;
  return SUBTOKEN_REVOKED;
}

/* As identity.c asks, and why. */
static subtoken_result token_revoked(void *context, const subtoken_text *names, size_t count) {
  token_asked *t = context;
  const st_keys *keys = &t->service->keys;
  const st_key *key = &t->key;
  bool revoked = true;
  if (t->row == ST_STORE_NOT_FOUND) return token_ended(t, "no key, user or session has this sub");
  if (t->row != ST_STORE_OK) {
    return token_ended(t, "its key, user or session has ended, or has another sub by now");
  }
  if (key->disabled) return token_ended(t, "its key or user is disabled");
  if (key->suspended) return token_ended(t, "the owner of its key is disabled");
  if (key->expires_at <= t->now) return token_ended(t, "its key, user or session has expired");
  if (count < 2 || key->tokens_revoked == 0) return SUBTOKEN_OK;
  if (keys->tokens_revoked(keys->store, names + 1, count - 1, &revoked) != ST_STORE_OK) {
    t->store_error = true;
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  return revoked ? token_ended(t, "it was revoked, or one that it was made from") : SUBTOKEN_OK;
}

/* The policy of the decision endpoint has its say where a url is asked about. */
static void token_decide(token_asked *t, const subtoken_verifier *verifier,
                         const subtoken_request *request, char *text) {
  const subtoken_policy *policy = t->target.data != NULL ? t->service->policy : NULL;
  subtoken_decision decision = SUBTOKEN_DECISION_DEFAULT;
  subtoken_claims claims;
  if (policy == NULL) {
    t->result = subtoken_verify(verifier, t->token, request, &claims);
    (void)subtoken_explain(verifier, t->token, request, t->result, text, SUBTOKEN_EXPLAIN_MAX);
    return;
  }
  t->result = subtoken_policy_verify(verifier, policy, t->token, request, 0, &claims, &decision);
  (void)subtoken_policy_explain(verifier, policy, t->token, request, 0, t->result, text,
                                SUBTOKEN_EXPLAIN_MAX);
  if (t->result != SUBTOKEN_OK || decision.access != SUBTOKEN_ACCESS_TOKEN) return;
  t->lost = st_claims_find_lacking(&t->claims, decision.needs, decision.needs_count) != NULL;
  if (t->lost) t->result = SUBTOKEN_PERM;
}

static void token_evaluate(token_asked *t, char text[TOKEN_TEXT_MAX]) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_request request = SUBTOKEN_REQUEST_DEFAULT;
  verifier.ring = t->service->ring;
  verifier.leeway = t->service->settings->leeway;
  verifier.max_life = t->service->settings->max_life;
  verifier.revoked = token_revoked;
  verifier.revoked_context = t;
  verifier.any_audience = true;
  request.now = t->now;
  request.method = t->method;
  request.target = t->target;
  token_decide(t, &verifier, &request, text);
  const char *more = t->result == SUBTOKEN_REVOKED ? t->why
                     : t->lost                     ? "its key no longer has what this request needs"
                                                   : NULL;
  if (more == NULL) return;
  st_writer writer = st_writer_on(text, TOKEN_TEXT_MAX - 1);
  writer.len = strlen(text);
  st_write_literal(&writer, ": ");
  st_write_literal(&writer, more);
  text[writer.len] = '\0';
}

/* ---- the answer ---- */

static void token_write_via(st_writer *writer, const subtoken_claims *claims) {
  st_write_literal(writer, ",\"via\":[");
  for (size_t i = 0; i < claims->via_count; i++) {
    if (i > 0) st_write_char(writer, ',');
    st_json_write_string(writer, subtoken_claims_text(claims, claims->via[i]));
  }
  st_write_char(writer, ']');
}

/* What it is worth now, of one that the ring has signed. */
static void token_write_worth(st_writer *writer, const token_asked *t) {
  const subtoken_claims *claims = &t->claims;
  bool living = t->row == ST_STORE_OK;
  st_claims_json_text(writer, "key", st_text(living ? st_key_root(&t->key) : ""));
  st_claims_json_text(writer, "name", st_text(living ? t->key.name : ""));
  st_claims_json_text(writer, "owner", st_text(living ? t->key.owner : ""));
  st_claims_json_text(writer, "sub", subtoken_claims_text(claims, claims->sub));
  st_claims_json_permissions(writer, claims);
  st_claims_json_urls(writer, claims);
  st_claims_json_time(writer, "issued_at", claims->iat);
  st_claims_json_time(writer, "expires_at", claims->exp);
  st_claims_json_audience(writer, claims);
  st_claims_json_text(writer, "tid", subtoken_claims_text(claims, claims->tid));
  token_write_via(writer, claims);
}

static void token_write(st_context *c, const token_asked *t, const char *text, bool worth) {
  bool good = t->result == SUBTOKEN_OK;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, good ? "{\"ok\":true,\"status\":200,\"reason\":null" : "{\"ok\":false");
  if (!good) {
    st_write_literal(&writer, ",\"status\":");
    st_write_int(&writer, subtoken_result_status(t->result));
    st_write_literal(&writer, ",\"reason\":");
    st_json_write_string(&writer, st_text(subtoken_result_name(t->result)));
  }
  st_write_literal(&writer, ",\"text\":");
  st_json_write_string(&writer, st_text(text));
  if (worth) token_write_worth(&writer, t);
  st_write_char(&writer, '}');
  st_reply_end(c->reply, 200, &writer);
}

static const st_problem *token_answer(st_context *c, const st_identity *caller, token_asked *t) {
  char text[TOKEN_TEXT_MAX];
  token_find_row(t);
  if (t->store_error) return &token_store_error;
  if (t->read == SUBTOKEN_OK && !token_is_visible(caller, t)) {
    t->result = SUBTOKEN_REVOKED;
    token_write(
        c, t,
        "no key or session of yours has the sub of this token: it is somebody else's, or its "
        "key or session has ended or its subtokens were revoked",
        false);
    return NULL;
  }
  bool found = t->read == SUBTOKEN_OK && t->row == ST_STORE_OK;
  if (found && !st_key_limit(&t->key, &t->claims)) return &token_store_error;
  token_evaluate(t, text);
  if (t->store_error) return &token_store_error;
  token_write(c, t, text, t->read == SUBTOKEN_OK);
  return NULL;
}

const st_problem *st_token_explain_answer(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity caller;
  token_asked t;
  const st_problem *problem = st_access_manager(c, &caller);
  if (problem != NULL) return problem;
  memset(&t, 0, sizeof t);
  t.service = c->service;
  t.now = c->request->now;
  problem = token_read_body(c, scratch, &t);
  if (problem == NULL) problem = token_answer(c, &caller, &t);
  subtoken_wipe(scratch, sizeof scratch);
  subtoken_wipe(&t, sizeof t);
  return problem;
}
