/* Sessions: begun with a password (/v1/auth/login) or with a parent key (/v1/auth/token), continued
 * with refresh tokens, ended. What a session may do is in its row in the store; its access token
 * says the same for a short while.
 */
#include "service/sessions.h"
#include "base/json.h"
#include "domain/names.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/issuing.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/throttle.h"

static const st_problem *sessions_unauthorized(st_context *c, const char *event) {
  static const st_problem unauthorized = {
      .status = 401, .text = "Invalid access token", .challenge = ST_CHALLENGE_INVALID_TOKEN};
  st_problem *problem = st_problem_copy(&c->problem, &unauthorized);
  problem->event = event;
  return problem;
}

/* ---- a pair of tokens ---- */

static void sessions_write_pair(st_context *c, const st_access_token *access, const char *refresh) {
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"access_token\":\"");
  st_write_literal(&writer, access->token);
  st_write_literal(&writer, "\",\"refresh_token\":");
  st_json_write_string(&writer, st_text(refresh));
  st_write_literal(&writer, ",\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, access->claims.exp - c->request->now);
  st_write_char(&writer, '}');
  st_reply_end(c->reply, 200, &writer);
}

/* Of a session that has just begun: without its tokens nobody could use or end it. */
static const st_problem *sessions_end_unused(st_context *c, const st_audit_context *audit,
                                             const st_key *row, const st_problem *problem) {
  const st_users *users = c->service->users;
  int64_t sequence;
  st_store_status changed = users->end_session(users->context, audit, row->id, &sequence);
  return changed == ST_STORE_OK ? problem : st_problem_change(changed);
}

static const st_problem *sessions_answer_pair(st_context *c, const st_audit_context *audit,
                                              const st_key *row, const char *refresh) {
  st_access_token access;
  const st_problem *problem =
      st_issuing_session_token(c->service, row, NULL, 0, c->request->now, &access);
  if (problem != NULL) return sessions_end_unused(c, audit, row, problem);
  sessions_write_pair(c, &access, refresh);
  subtoken_wipe(&access, sizeof access);
  return NULL;
}

/* ---- a session begins ---- */

/* identity: what the session rests on. */
static const st_problem *sessions_begin(st_context *c, const st_identity *identity) {
  const st_users *users = c->service->users;
  const st_settings *settings = c->service->settings;
  char refresh[ST_REFRESH_LEN + 1] = "";
  st_audit_buffers buffers;
  st_audit_context audit = st_access_audit_context(c, identity, &buffers);
  st_grantor grantor = st_grantor_of(identity);
  int64_t most =
      identity->method == ST_AUTH_KEY ? settings->sessions_per_key : ST_SESSIONS_PER_USER;
  st_key row = {.expires_at = c->request->now + settings->refresh_life};
  const st_problem *problem;
  memcpy(c->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  st_store_status changed =
      users->begin_session(users->context, &audit, &grantor, most, &row, refresh);
  switch (changed) {
    case ST_STORE_OK: problem = sessions_answer_pair(c, &audit, &row, refresh); break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_DENIED: /* it has ended since it was authenticated */
      problem = sessions_unauthorized(c, "key_revoked");
      break;
    default: problem = st_problem_change(changed);
  }
  subtoken_wipe(refresh, sizeof refresh);
  return problem;
}

/* A caller cannot tell users who are unknown, disabled or without a password apart: each costs the
 * same.
 */
static st_password_status sessions_check(st_context *c, subtoken_text login, subtoken_text password,
                                         st_user *user) {
  const st_users *users = c->service->users;
  st_store_status found = ST_STORE_NOT_FOUND;
  if (st_names_username_valid(login) && !st_text_is(login, ST_ANONYMOUS)) {
    found = users->find(users->context, login, user);
  }
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND) return ST_PASSWORD_FAILED;
  const st_key *key = &user->key;
  bool known = found == ST_STORE_OK && !key->disabled && !key->suspended &&
               key->expires_at > c->request->now;
  st_password_status status =
      users->check(users->context, known ? user : NULL, password, c->request->until_us);
  return known || status != ST_PASSWORD_OK ? status : ST_PASSWORD_WRONG;
}

static const st_problem *sessions_verdict(st_context *c, st_password_status status,
                                          const st_user *user) {
  static const st_problem unchecked = {.status = 503,
                                       .event = "store_error",
                                       .text = "the password cannot be checked; try again later",
                                       .retry_after = 5};
  st_identity identity;
  switch (status) {
    case ST_PASSWORD_OK:
      identity.method = ST_AUTH_BASIC;
      identity.key = user->key;
      return sessions_begin(c, &identity);
    case ST_PASSWORD_WRONG: return sessions_unauthorized(c, "login_failed");
    case ST_PASSWORD_BUSY: return &st_problem_passwords_busy;
    default: return &unchecked;
  }
}

static const st_problem *sessions_try_password(st_context *c, subtoken_text login,
                                               subtoken_text password) {
  st_user user;
  const st_problem *problem = st_access_within_attempts(c, login);
  if (problem != NULL) return problem;
  st_password_status status = sessions_check(c, login, password, &user);
  /* Only a password that was wrong counts. */
  if (status == ST_PASSWORD_OK) {
    st_throttle_pass(c->service->throttle, login, c->request->remote);
  } else if (status != ST_PASSWORD_WRONG) {
    st_throttle_give_back(c->service->throttle, login, c->request->remote);
  }
  problem = sessions_verdict(c, status, &user);
  subtoken_wipe(&user, sizeof user);
  return problem;
}

const st_problem *st_sessions_log_in(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_field fields[] = {{.name = "login", .type = ST_FIELD_TEXT},
                       {.name = "password", .type = ST_FIELD_TEXT}};
  const st_problem *problem = st_json_body_read(c, fields, 2, scratch);
  for (size_t i = 0; i < 2 && problem == NULL; i++) {
    if (!fields[i].given) problem = st_problem_parameter(&c->problem, fields[i].name, "is missing");
  }
  if (problem == NULL) problem = sessions_try_password(c, fields[0].text, fields[1].text);
  subtoken_wipe(scratch, sizeof scratch);
  return problem;
}

const st_problem *st_sessions_service(st_context *c) {
  st_identity identity;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem != NULL) return problem;
  if (identity.method != ST_AUTH_KEY) {
    return st_problem_escalation(&c->problem,
                                 "this call needs a parent key; a derived token is not accepted");
  }
  problem = st_access_requires(c, &identity, "services");
  if (problem == NULL) problem = st_json_body_none(c);
  if (problem == NULL) problem = st_access_within_rate(c, &identity);
  return problem != NULL ? problem : sessions_begin(c, &identity);
}

/* ---- a session goes on, and ends ---- */

static bool sessions_refresh_shaped(subtoken_text token) {
  return token.len == ST_REFRESH_LEN && (st_text_class(token) & ST_CHAR_NAME) != 0;
}

const st_problem *st_sessions_of_refresh(st_context *c, subtoken_text token, st_key *session) {
  static const st_problem unread = {.status = 503,
                                    .event = "store_error",
                                    .text = "the session cannot be looked up; try again later",
                                    .retry_after = 5};
  const st_users *users = c->service->users;
  if (!sessions_refresh_shaped(token)) return sessions_unauthorized(c, "refresh_unknown");
  switch (users->find_refresh(users->context, token, c->request->now, session)) {
    case ST_STORE_OK: return NULL;
    case ST_STORE_NOT_FOUND: return sessions_unauthorized(c, "refresh_unknown");
    default: return &unread;
  }
}

static const st_problem *sessions_continue(st_context *c, const st_audit_context *audit,
                                           subtoken_text token, st_key *row,
                                           char successor[ST_REFRESH_LEN + 1]) {
  const st_users *users = c->service->users;
  const st_settings *settings = c->service->settings;
  int64_t until = c->request->now + settings->refresh_life;
  st_store_status changed = ST_STORE_NOT_FOUND;
  if (sessions_refresh_shaped(token)) {
    changed = users->refresh_session(users->context, audit, token, until, settings->refresh_retry,
                                     row, successor);
  }
  switch (changed) {
    case ST_STORE_OK: memcpy(c->reply->event.key_id, row->id, sizeof row->id); return NULL;
    case ST_STORE_NOT_FOUND: return sessions_unauthorized(c, "refresh_unknown");
    case ST_STORE_DENIED: return sessions_unauthorized(c, "refresh_reused");
    default: return st_problem_change(changed);
  }
}

/* Before anything is written: where the access token cannot be made, as after a change of the ring
 * that leaves no room for an audience, the refresh token is good until that is mended. Nothing is
 * said of a session that is not found: what using its token does is for the store.
 */
static const st_problem *sessions_check_issue(st_context *c, subtoken_text token,
                                              const subtoken_text *scope, size_t scope_count,
                                              st_access_token *access) {
  st_key session;
  const st_problem *problem = st_sessions_of_refresh(c, token, &session);
  if (problem != NULL) return problem->status == 401 ? NULL : problem;
  return st_issuing_session_token(c->service, &session, scope, scope_count, c->request->now,
                                  access);
}

const st_problem *st_sessions_continue(st_context *c, subtoken_text token,
                                       const subtoken_text *scope, size_t scope_count,
                                       st_access_token *access,
                                       char successor[ST_REFRESH_LEN + 1]) {
  st_key row;
  st_audit_buffers buffers;
  st_audit_context audit = st_access_audit_context(c, NULL, &buffers);
  const st_problem *problem = sessions_check_issue(c, token, scope, scope_count, access);
  if (problem == NULL) problem = sessions_continue(c, &audit, token, &row, successor);
  if (problem != NULL) return problem;
  /* If the row has changed since: the refresh token still ends the session (/oauth/revoke). */
  return st_issuing_session_token(c->service, &row, scope, scope_count, c->request->now, access);
}

static const st_problem *sessions_refresh_with(st_context *c, subtoken_text token) {
  char successor[ST_REFRESH_LEN + 1] = "";
  st_access_token access;
  const st_problem *problem = st_sessions_continue(c, token, NULL, 0, &access, successor);
  if (problem == NULL) sessions_write_pair(c, &access, successor);
  subtoken_wipe(&access, sizeof access);
  subtoken_wipe(successor, sizeof successor);
  return problem;
}

const st_problem *st_sessions_refresh(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_field field = {.name = "token", .type = ST_FIELD_TEXT};
  const st_problem *problem = st_json_body_read(c, &field, 1, scratch);
  if (problem == NULL) {
    problem = field.given ? sessions_refresh_with(c, field.text)
                          : st_problem_parameter(&c->problem, field.name, "is missing");
  }
  subtoken_wipe(scratch, sizeof scratch);
  return problem;
}

const st_problem *st_sessions_log_out(st_context *c) {
  const st_users *users = c->service->users;
  st_identity identity;
  st_audit_buffers buffers;
  int64_t sequence = 0;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem != NULL) return problem;
  if (identity.method != ST_AUTH_SESSION && identity.method != ST_AUTH_SERVICE_SESSION) {
    return st_problem_escalation(&c->problem, "log out with an access token of the session itself");
  }
  problem = st_json_body_none(c);
  if (problem != NULL) return problem;
  st_audit_context audit = st_access_audit_context(c, &identity, &buffers);
  st_store_status changed = users->end_session(users->context, &audit, identity.key.id, &sequence);
  switch (changed) {
    case ST_STORE_OK:
      c->reply->status = 204;
      st_reply_sequence(c->reply, sequence);
      return NULL;
    case ST_STORE_NOT_FOUND: return sessions_unauthorized(c, "revoked"); /* by another request */
    default: return st_problem_change(changed);
  }
}
