/* Becoming a person, and a login's whole life: begun with a password or with a parent key, carried
 * on by refresh tokens, ended (interface section 11).
 */
#include "service/sessions.h"

#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/names.h"
#include "domain/password.h"
#include "domain/user.h"
#include "service/access.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/issuing.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/service.h"
#include "service/throttle.h"

#define UNAUTHORIZED "Invalid access token"

/* ---- a new person ---- */

/* ---- the answer of a login ---- */

/* A login without a token is one that nobody can end. */
static void end_unused(st_context *c, const st_audit_context *act, const st_key *login) {
  const st_users *people = c->service->people;
  int64_t sequence;
  st_store_status changed = people->log_out(people->context, act, login->id, &sequence);
  if (changed != ST_STORE_OK) st_reply_unchanged(c->reply, changed);
}

static void write_pair(st_context *c, const st_access_token *access, const char *refresh) {
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"access_token\":\"");
  st_write_literal(&writer, access->token);
  st_write_literal(&writer, "\",\"refresh_token\":");
  st_json_write_string(&writer, st_text(refresh));
  st_write_literal(&writer, ",\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, access->claims.exp - c->request->now);
  st_write_char(&writer, '}');
  c->reply->status = 200;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* The login's row is what its access token says, for a short while. */
static void answer_pair(st_context *c, const st_audit_context *act, const st_key *login,
                        const char *refresh) {
  subtoken_claims grant;
  st_access_token access;
  int status;
  subtoken_result result = SUBTOKEN_TOO_LARGE;
  if (st_key_grant(login, &grant)) {
    result =
        st_issuing_access_token(c->service, &grant, NULL, 0, login->id, c->request->now, &access);
  }
  if (result == SUBTOKEN_OK) {
    write_pair(c, &access, refresh);
  } else {
    const char *problem = st_issuing_access_problem(result, &status);
    st_reply_error(c->reply, status, "issue_denied", problem);
    end_unused(c, act, login);
  }
  subtoken_wipe(&access, sizeof access);
}

/* ---- a login begins ---- */

/* Of who comes with something good: what their login rests on. */
static void begin(st_context *c, const st_identity *identity) {
  const st_users *people = c->service->people;
  char refresh[ST_REFRESH_LEN + 1] = "";
  st_audit_buffers actor;
  st_audit_context act = st_access_audit_context(c, identity, &actor);
  st_grantor maker = st_grantor_of(identity);
  const st_settings *settings = c->service->settings;
  int64_t most =
      identity->method == ST_AUTH_KEY ? settings->sessions_per_key : ST_SESSIONS_PER_USER;
  st_key login = {.expires_at = c->request->now + settings->refresh_life};
  memcpy(c->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  st_store_status changed = people->log_in(people->context, &act, &maker, most, &login, refresh);
  switch (changed) {
    case ST_STORE_OK: answer_pair(c, &act, &login, refresh); break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_DENIED: /* ended since it was looked at */
      st_reply_unauthorized(c->reply, "key_revoked", UNAUTHORIZED);
      break;
    default: st_reply_unchanged(c->reply, changed);
  }
  subtoken_wipe(refresh, sizeof refresh);
}

/* Nobody tells from outside who is unknown, disabled, or has no password: each costs the same. */
static st_verdict check(st_context *c, subtoken_text login, subtoken_text password,
                        st_user *person) {
  const st_users *people = c->service->people;
  st_store_status found = ST_STORE_NOT_FOUND;
  if (st_names_username_valid(login) && !st_text_is(login, ST_ANONYMOUS)) {
    found = people->find(people->context, login, person);
  }
  if (found == ST_STORE_FAILED) return ST_VERDICT_NONE;
  const st_key *key = &person->key;
  bool known = found == ST_STORE_OK && !key->disabled && !key->suspended &&
               key->expires_at > c->request->now;
  st_verdict verdict =
      people->check(people->context, known ? person : NULL, password, c->request->until_us);
  return known || verdict != ST_VERDICT_GOOD ? verdict : ST_VERDICT_WRONG;
}

static void log_in(st_context *c, subtoken_text login, subtoken_text password,
                   st_identity *identity) {
  const st_request *request = c->request;
  st_user person;
  if (!st_access_within_attempts(c, login)) return;
  st_verdict verdict = check(c, login, password, &person);
  /* Only a password that was wrong counts. */
  if (verdict != ST_VERDICT_WRONG) {
    st_throttle_give_back(c->service->throttle, login, request->remote);
  }
  switch (verdict) {
    case ST_VERDICT_GOOD:
      identity->method = ST_AUTH_BASIC;
      identity->key = person.key;
      begin(c, identity);
      break;
    case ST_VERDICT_WRONG: st_reply_unauthorized(c->reply, "login_failed", UNAUTHORIZED); break;
    case ST_VERDICT_BUSY: st_reply_passwords_busy(c->reply); break;
    default:
      st_reply_unavailable(c->reply, "store_error",
                           "the password cannot be checked; try again later");
  }
  subtoken_wipe(&person, sizeof person);
}

void st_sessions_login(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  st_field fields[] = {{.name = "login", .type = ST_FIELD_TEXT},
                       {.name = "password", .type = ST_FIELD_TEXT}};
  scratch[0] = '\0';
  if (st_json_body_read(c, fields, 2, scratch)) {
    if (!fields[0].given || !fields[1].given) {
      st_reply_bad_request(c->reply,
                           fields[0].given ? "password: is missing" : "login: is missing");
    } else {
      log_in(c, fields[0].text, fields[1].text, &identity);
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}

void st_sessions_login_service(st_context *c) {
  st_identity identity;
  if (!st_authenticate(c, &identity)) return;
  if (identity.method != ST_AUTH_KEY) {
    st_reply_escalation(c->reply, "this call needs a parent key; a derived token is not accepted");
  } else if (st_access_holds(c, &identity, "services") && st_json_body_none(c) &&
             st_authenticate_within_rate(c, &identity)) {
    begin(c, &identity);
  }
}

/* ---- a login goes on, and ends ---- */

static void refresh_with(st_context *c, subtoken_text token) {
  const st_users *people = c->service->people;
  char successor[ST_REFRESH_LEN + 1] = "";
  st_key login;
  st_audit_buffers actor;
  st_audit_context act = st_access_audit_context(c, NULL, &actor);
  int64_t until = c->request->now + c->service->settings->refresh_life;
  st_store_status changed = ST_STORE_NOT_FOUND;
  if (token.len == ST_REFRESH_LEN && (st_text_class(token) & ST_CHAR_NAME) != 0) {
    changed = people->refresh(people->context, &act, token, until,
                              c->service->settings->refresh_retry, &login, successor);
  }
  switch (changed) {
    case ST_STORE_OK:
      memcpy(c->reply->event.key_id, login.id, sizeof login.id);
      answer_pair(c, &act, &login, successor);
      break;
    case ST_STORE_NOT_FOUND:
      st_reply_unauthorized(c->reply, "refresh_unknown", UNAUTHORIZED);
      break;
    case ST_STORE_DENIED: st_reply_unauthorized(c->reply, "refresh_reused", UNAUTHORIZED); break;
    default: st_reply_unchanged(c->reply, changed);
  }
  subtoken_wipe(successor, sizeof successor);
}

void st_sessions_refresh(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_field field = {.name = "token", .type = ST_FIELD_TEXT};
  scratch[0] = '\0';
  if (st_json_body_read(c, &field, 1, scratch)) {
    if (field.given) {
      refresh_with(c, field.text);
    } else {
      st_reply_bad_request(c->reply, "token: is missing");
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}

void st_sessions_logout(st_context *c) {
  const st_users *people = c->service->people;
  st_identity identity;
  st_audit_buffers actor;
  int64_t sequence = 0;
  if (!st_authenticate(c, &identity)) return;
  if (identity.method != ST_AUTH_SESSION && identity.method != ST_AUTH_SERVICE_SESSION) {
    st_reply_escalation(c->reply, "log out with an access token of the session itself");
    return;
  }
  if (!st_json_body_none(c)) return;
  st_audit_context act = st_access_audit_context(c, &identity, &actor);
  st_store_status changed = people->log_out(people->context, &act, identity.key.id, &sequence);
  switch (changed) {
    case ST_STORE_OK:
      c->reply->status = 204;
      st_reply_sequence(c->reply, sequence);
      break;
    case ST_STORE_NOT_FOUND: /* somebody else was quicker */
      st_reply_unauthorized(c->reply, "revoked", UNAUTHORIZED);
      break;
    default: st_reply_unchanged(c->reply, changed);
  }
}
