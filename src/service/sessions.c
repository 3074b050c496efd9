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
static void end_unused(st_visit *v, const st_act *act, const st_key *login) {
  const st_people *people = v->service->people;
  int64_t sequence;
  st_changed changed = people->log_out(people->context, act, login->id, &sequence);
  if (changed != ST_CHANGED) st_reply_unchanged(v->reply, changed);
}

static void write_pair(st_visit *v, const st_access *access, const char *refresh) {
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"access_token\":\"");
  st_write_string(&writer, access->token);
  st_write_string(&writer, "\",\"refresh_token\":");
  st_json_write_string(&writer, st_text(refresh));
  st_write_string(&writer, ",\"token_type\":\"Bearer\",\"expires_in\":");
  st_write_int(&writer, access->claims.exp - v->request->now);
  st_write_char(&writer, '}');
  v->reply->status = 200;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* The login's row is what its access token says, for a short while. */
static void answer_pair(st_visit *v, const st_act *act, const st_key *login, const char *refresh) {
  subtoken_claims grant;
  st_access access;
  int status;
  subtoken_result result = SUBTOKEN_TOO_LARGE;
  if (st_key_grant(login, &grant)) {
    result = st_issue_access(v->service, &grant, NULL, 0, login->id, v->request->now, &access);
  }
  if (result == SUBTOKEN_OK) {
    write_pair(v, &access, refresh);
  } else {
    const char *problem = st_access_problem(result, &status);
    st_reply_error(v->reply, status, "issue_denied", problem);
    end_unused(v, act, login);
  }
  subtoken_wipe(&access, sizeof access);
}

/* ---- a login begins ---- */

/* Of who comes with something good: what their login rests on. */
static void begin(st_visit *v, const st_identity *identity) {
  const st_people *people = v->service->people;
  char refresh[ST_REFRESH_LEN + 1] = "";
  st_actor actor;
  st_act act = st_visit_act(v, identity, &actor);
  st_maker maker = st_maker_of(identity);
  const st_settings *settings = v->service->settings;
  int64_t most =
      identity->standing == ST_WITH_KEY ? settings->sessions_per_key : ST_SESSIONS_PER_USER;
  st_key login = {.expires_at = v->request->now + settings->refresh_life};
  memcpy(v->reply->event.key_id, identity->key.id, sizeof identity->key.id);
  st_changed changed = people->log_in(people->context, &act, &maker, most, &login, refresh);
  switch (changed) {
    case ST_CHANGED: answer_pair(v, &act, &login, refresh); break;
    case ST_CHANGED_NONE:
    case ST_CHANGE_REFUSED: /* ended since it was looked at */
      st_reply_unauthorized(v->reply, "key_revoked", UNAUTHORIZED);
      break;
    default: st_reply_unchanged(v->reply, changed);
  }
  subtoken_wipe(refresh, sizeof refresh);
}

/* Nobody tells from outside who is unknown, disabled, or has no password: each costs the same. */
static st_verdict check(st_visit *v, subtoken_text login, subtoken_text password,
                        st_person *person) {
  const st_people *people = v->service->people;
  st_found found = ST_FOUND_NONE;
  if (st_login_valid(login) && !st_text_is(login, ST_ANYONE)) {
    found = people->find(people->context, login, person);
  }
  if (found == ST_FOUND_ERROR) return ST_VERDICT_NONE;
  const st_key *key = &person->key;
  bool known =
      found == ST_FOUND && !key->disabled && !key->suspended && key->expires_at > v->request->now;
  st_verdict verdict =
      people->check(people->context, known ? person : NULL, password, v->request->until_us);
  return known || verdict != ST_VERDICT_GOOD ? verdict : ST_VERDICT_WRONG;
}

static void log_in(st_visit *v, subtoken_text login, subtoken_text password,
                   st_identity *identity) {
  const st_request *request = v->request;
  st_person person;
  if (!st_visit_take_turn(v, login)) return;
  st_verdict verdict = check(v, login, password, &person);
  /* Only a password that was wrong counts. */
  if (verdict != ST_VERDICT_WRONG) {
    st_throttle_give_back(v->service->throttle, login, request->remote);
  }
  switch (verdict) {
    case ST_VERDICT_GOOD:
      identity->standing = ST_WITH_BASIC;
      identity->key = person.key;
      begin(v, identity);
      break;
    case ST_VERDICT_WRONG: st_reply_unauthorized(v->reply, "login_failed", UNAUTHORIZED); break;
    case ST_VERDICT_BUSY: st_reply_passwords_busy(v->reply); break;
    default:
      st_reply_unavailable(v->reply, "store_error",
                           "the password cannot be checked; try again later");
  }
  subtoken_wipe(&person, sizeof person);
}

void st_login_begin(st_visit *v) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  st_field fields[] = {{.name = "login", .type = ST_FIELD_TEXT},
                       {.name = "password", .type = ST_FIELD_TEXT}};
  scratch[0] = '\0';
  if (st_body_read(v, fields, 2, scratch)) {
    if (!fields[0].given || !fields[1].given) {
      st_reply_bad_request(v->reply,
                           fields[0].given ? "password: is missing" : "login: is missing");
    } else {
      log_in(v, fields[0].text, fields[1].text, &identity);
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}

void st_login_service(st_visit *v) {
  st_identity identity;
  if (!st_visit_identify(v, &identity)) return;
  if (identity.standing != ST_WITH_KEY) {
    st_reply_escalation(v->reply, "this call needs a parent key; a derived token is not accepted");
  } else if (st_visit_holds(v, &identity, "services") && st_body_none(v) &&
             st_visit_within_rate(v, &identity)) {
    begin(v, &identity);
  }
}

/* ---- a login goes on, and ends ---- */

static void refresh_with(st_visit *v, subtoken_text token) {
  const st_people *people = v->service->people;
  char successor[ST_REFRESH_LEN + 1] = "";
  st_key login;
  st_actor actor;
  st_act act = st_visit_act(v, NULL, &actor);
  int64_t until = v->request->now + v->service->settings->refresh_life;
  st_changed changed = ST_CHANGED_NONE;
  if (token.len == ST_REFRESH_LEN && (st_text_class(token) & ST_CHAR_NAME) != 0) {
    changed = people->refresh(people->context, &act, token, until,
                              v->service->settings->refresh_retry, &login, successor);
  }
  switch (changed) {
    case ST_CHANGED:
      memcpy(v->reply->event.key_id, login.id, sizeof login.id);
      answer_pair(v, &act, &login, successor);
      break;
    case ST_CHANGED_NONE: st_reply_unauthorized(v->reply, "refresh_unknown", UNAUTHORIZED); break;
    case ST_CHANGE_REFUSED: st_reply_unauthorized(v->reply, "refresh_reused", UNAUTHORIZED); break;
    default: st_reply_unchanged(v->reply, changed);
  }
  subtoken_wipe(successor, sizeof successor);
}

void st_login_refresh(st_visit *v) {
  char scratch[ST_BODY_SCRATCH];
  st_field field = {.name = "token", .type = ST_FIELD_TEXT};
  scratch[0] = '\0';
  if (st_body_read(v, &field, 1, scratch)) {
    if (field.given) {
      refresh_with(v, field.text);
    } else {
      st_reply_bad_request(v->reply, "token: is missing");
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}

void st_login_end(st_visit *v) {
  const st_people *people = v->service->people;
  st_identity identity;
  st_actor actor;
  int64_t sequence = 0;
  if (!st_visit_identify(v, &identity)) return;
  if (identity.standing != ST_WITH_LOGIN && identity.standing != ST_WITH_SERVICE) {
    st_reply_escalation(v->reply, "log out with an access token of the session itself");
    return;
  }
  if (!st_body_none(v)) return;
  st_act act = st_visit_act(v, &identity, &actor);
  st_changed changed = people->log_out(people->context, &act, identity.key.id, &sequence);
  switch (changed) {
    case ST_CHANGED:
      v->reply->status = 204;
      st_reply_sequence(v->reply, sequence);
      break;
    case ST_CHANGED_NONE: /* somebody else was quicker */
      st_reply_unauthorized(v->reply, "revoked", UNAUTHORIZED);
      break;
    default: st_reply_unchanged(v->reply, changed);
  }
}
