/* POST /oauth/revoke (RFC 7009): whoever holds a token may end it, and needs no other credential
 * for that; none is looked at. A token that belongs to a session ends the session. What is unknown,
 * over or revoked already is answered like what has been revoked (section 2.2); only a token that
 * verifies is listed, so that nobody fills the revocation data with inventions.
 */
#include "service/access.h"
#include "service/authenticate.h"
#include "service/endpoints.h"
#include "service/oauth.h"
#include "service/reply.h"
#include "service/sessions.h"

static st_oauth_error revoke_check(st_oauth *o) {
  st_oauth_error error = st_oauth_check_once(o, 1U << ST_OAUTH_TOKEN);
  if (error.problem != NULL) return error;
  if (o->given[ST_OAUTH_TOKEN].len == 0) return st_oauth_invalid(o, "token: is missing");
  if (!st_key_shaped(o->given[ST_OAUTH_TOKEN])) return st_oauth_ok;
  return st_oauth_fail(o, 400, "bad_request", "unsupported_token_type",
                       "token: a whole key is not revoked but deleted: DELETE /v2/keys/ID");
}

static st_audit_context revoke_audit(const st_oauth *o, st_audit_buffers *buffers) {
  st_audit_context audit = st_access_audit_context(o->context, NULL, buffers);
  audit.who = "holder of the token";
  return audit;
}

/* What came of a change. Not found: it has ended meanwhile. */
static st_oauth_error revoke_changed(st_oauth *o, st_store_status changed, int64_t sequence) {
  switch (changed) {
    case ST_STORE_OK:
      o->context->reply->event.name = "token_revoked";
      st_reply_sequence(o->context->reply, sequence);
      return st_oauth_ok;
    case ST_STORE_NOT_FOUND: return st_oauth_ok;
    case ST_STORE_FULL:
      return st_oauth_fail(o, 429, "revoke_limit", "temporarily_unavailable",
                           "1000 tokens of this key are revoked, and no more can be at a time; "
                           "revoke-subtokens (POST /v2/keys/ID/revoke-subtokens) ends all of them");
    default: return st_oauth_error_of(st_problem_change(changed), NULL);
  }
}

static st_oauth_error revoke_session(st_oauth *o, const char *id) {
  const st_users *users = o->context->service->users;
  st_audit_buffers buffers;
  st_audit_context audit = revoke_audit(o, &buffers);
  int64_t sequence = 0;
  st_store_status changed = users->end_session(users->context, &audit, id, &sequence);
  return revoke_changed(o, changed, sequence);
}

static st_oauth_error revoke_listed(st_oauth *o) {
  const st_key_changes *changes = o->context->service->changes;
  st_key_token token = st_key_token_of(&o->identity.grant);
  st_audit_buffers buffers;
  st_audit_context audit = revoke_audit(o, &buffers);
  int64_t sequence = 0;
  st_store_status changed = changes->revoke_token(changes->context, &audit, &token, &sequence);
  return revoke_changed(o, changed, sequence);
}

/* Is it a good token, whatever has become of its key? One that is disabled may be enabled again,
 * and what was revoked meanwhile does not come back with it.
 */
static bool revoke_verifies(st_oauth *o) {
  const st_service *service = o->context->service;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  verifier.ring = service->ring;
  verifier.leeway = service->settings->leeway;
  verifier.max_life = service->settings->max_life;
  verifier.without_revocations = true;
  verifier.any_audience = true;
  subtoken_request request = {.size = sizeof request, .now = o->context->request->now};
  subtoken_claims *claims = &o->identity.grant;
  subtoken_result result =
      subtoken_authenticate(service->ring, NULL, o->given[ST_OAUTH_TOKEN], claims);
  if (result == SUBTOKEN_OK) result = subtoken_decide(&verifier, &request, claims);
  if (result != SUBTOKEN_OK && result != SUBTOKEN_URL) return false; /* no target is named */
  return true;
}

/* By itself, or with what it was made from. Found by reading, so that nobody waits for a turn to
 * write because of one that is listed.
 */
static bool revoke_is_listed(const st_oauth *o) {
  const st_keys *keys = &o->context->service->keys;
  st_key_token token = st_key_token_of(&o->identity.grant);
  subtoken_text names[SUBTOKEN_VIA_MAX + 1] = {token.tid};
  bool listed = false;
  memcpy(names + 1, token.via, token.via_count * sizeof *names);
  return keys->tokens_revoked(keys->store, names, token.via_count + 1, &listed) == ST_STORE_OK &&
         listed;
}

/* Whoever asks again, because an answer was lost, has to know what to wait for, too. Read as well.
 */
static st_oauth_error revoke_tell_sequence(st_oauth *o) {
  const st_key_changes *changes = o->context->service->changes;
  int64_t sequence = 0;
  st_store_status found = changes->last_sequence(changes->context, &sequence);
  if (found != ST_STORE_OK) return st_oauth_error_of(st_problem_change(found), NULL);
  st_reply_sequence(o->context->reply, sequence);
  return st_oauth_ok;
}

/* A token that is not accepted. One of a session is listed with it. */
static st_oauth_error revoke_rejected(st_oauth *o) {
  if (!revoke_verifies(o)) return st_oauth_ok;
  bool listed = o->identity.grant.sid.len > 0 || revoke_is_listed(o);
  return listed ? revoke_tell_sequence(o) : revoke_listed(o);
}

/* Whatever its urls list, and for every audience. */
static st_oauth_error revoke_token(st_oauth *o) {
  st_context *c = o->context;
  c->method = c->target = (subtoken_text){NULL, 0};
  c->credential.text = o->given[ST_OAUTH_TOKEN];
  c->credential.forms = ST_FORM_BEARER;
  const st_problem *problem = st_authenticate_found(c, &o->identity);
  if (problem != NULL && problem->status == 503) return st_oauth_error_of(problem, NULL);
  if (problem != NULL) return revoke_rejected(o);
  bool session =
      o->identity.method == ST_AUTH_SESSION || o->identity.method == ST_AUTH_SERVICE_SESSION;
  return session ? revoke_session(o, o->identity.key.id) : revoke_listed(o);
}

/* A refresh token has no dots; whether it has been used does not matter. */
static st_oauth_error revoke_any(st_oauth *o) {
  if (st_key_token_shaped(o->given[ST_OAUTH_TOKEN])) return revoke_token(o);
  const st_problem *problem =
      st_sessions_of_refresh(o->context, o->given[ST_OAUTH_TOKEN], &o->identity.key);
  if (problem == NULL) {
    memcpy(o->context->reply->event.key_id, o->identity.key.id, sizeof o->identity.key.id);
    return revoke_session(o, o->identity.key.id);
  }
  return problem->status == 503 ? st_oauth_error_of(problem, NULL) : st_oauth_ok;
}

static st_oauth_error revoke_reply(st_oauth *o) {
  st_writer writer = st_reply_begin(o->context->reply);
  st_write_char(&writer, '{');
  st_oauth_end(o, &writer);
  return st_oauth_ok;
}

const st_problem *st_revoke_answer(st_context *c) {
  static st_oauth_step *const steps[] = {st_oauth_read_form, revoke_check, revoke_any, revoke_reply,
                                         NULL};
  return st_oauth_answer(c, steps);
}
