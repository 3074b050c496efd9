/* Becoming a person, and a login's whole life: begun with a password or with a parent key, carried
 * on by refresh tokens, ended (interface section 11).
 */
#include "service/json_body.h"
#include "base/json.h"
#include "core/claims.h"

#define UNAUTHORIZED "Invalid access token"

static void refuse(st_visit *v, const char *text) {
  st_reply_error(v->reply, 400, "bad_request", text);
}

static void refuse_escalation(st_visit *v, const char *text) {
  st_reply_error(v->reply, 403, "escalation", text);
  st_reply_challenge(v->reply, subtoken_result_challenge(SUBTOKEN_PERM));
}

static void answer_busy(st_visit *v) {
  st_reply_unavailable(v->reply, "passwords_busy",
                       "too many passwords are being checked; try again later");
}

/* May this address try, or does the login have to rest? */
static bool take_turn(st_visit *v, subtoken_text login) {
  const st_request *request = v->request;
  int64_t wait = st_throttle_take(v->service->throttle, login, request->remote, request->now_us);
  if (wait > 0) {
    st_reply_wait(v->reply, "login_throttled", "too many attempts; try again later", wait);
  }
  return wait <= 0;
}

/* Registering has no login yet: a bucket of the address, of a name that no login has. */
static bool take_turn_of_address(st_visit *v) {
  char text[80];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, ':');
  st_write_text(&writer, v->request->remote);
  return take_turn(v, (subtoken_text){text, writer.len});
}

/* ---- a new person ---- */

enum { LOGIN, PASSWORD, LOCALE, SOURCE, PERMISSIONS, FIELDS };

/* Nothing in it that a terminal obeys: it is shown to people. */
static bool shows_plainly(subtoken_text text) {
  uint32_t code_point;
  while (text.len > 0) {
    size_t len = st_utf8_next(text.data, text.len, &code_point);
    if (len == 0 || st_utf8_obeyed(code_point)) return false;
    text = (subtoken_text){text.data + len, text.len - len};
  }
  return true;
}

bool st_login_valid(subtoken_text login) {
  return login.len > 0 && login.len <= ST_NAME_MAX && shows_plainly(login) &&
         memchr(login.data, ':', login.len) == NULL;
}

/* NULL, or what is wrong. */
static const char *fault_of(const st_field fields[FIELDS]) {
  subtoken_text login = fields[LOGIN].text, password = fields[PASSWORD].text;
  subtoken_text locale = fields[LOCALE].text, source = fields[SOURCE].text;
  if (!fields[LOGIN].given) return "login: is missing";
  if (!fields[PASSWORD].given) return "password: is missing";
  if (st_text_is(login, ST_ANYONE)) return "login: * means everyone and has no password";
  if (!st_login_valid(login)) {
    return "login: must be 1 to 256 bytes without a colon and without control characters";
  }
  if (password.len < ST_PASSWORD_MIN || password.len > ST_PASSWORD_MAX) {
    return "password: must be 8 to 1024 bytes";
  }
  if (locale.len > ST_LOCALE_MAX || (st_text_class(locale) & ST_CHAR_NAME) == 0) {
    return "locale: must be a language tag such as en-GB, of at most 35 characters";
  }
  if (source.len > ST_SOURCE_MAX || !shows_plainly(source)) {
    return "source: must be at most 64 bytes without control characters";
  }
  return NULL;
}

static void copy_text(char *out, subtoken_text text) {
  if (text.len > 0) memcpy(out, text.data, text.len);
  out[text.len] = '\0';
}

static void describe(const st_field fields[FIELDS], int64_t end, st_person *person) {
  memset(person, 0, sizeof *person);
  person->key.kind = ST_KIND_PERSON;
  person->key.expires_at = end;
  copy_text(person->key.name, fields[LOGIN].text);
  copy_text(person->key.owner, fields[LOGIN].text);
  copy_text(person->key.permissions, fields[PERMISSIONS].text);
  copy_text(person->locale, fields[LOCALE].text);
  copy_text(person->source, fields[SOURCE].text);
}

static void answer_person(st_visit *v, const st_person *person) {
  subtoken_text permissions = st_text(person->key.permissions), each;
  st_cutter cutter = {permissions, permissions.len == 0};
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"login\":");
  st_json_write_string(&writer, st_text(person->key.owner));
  st_write_string(&writer, ",\"permissions\":[");
  for (bool first = true; st_cut(&cutter, ',', &each); first = false) {
    if (!first) st_write_char(&writer, ',');
    st_json_write_string(&writer, each);
  }
  st_write_string(&writer, "]}");
  v->reply->status = 201;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void create(st_visit *v, const st_identity *maker, const st_field fields[FIELDS],
                   st_person *person) {
  const st_people *people = v->service->people;
  st_actor actor;
  int64_t end;
  bool busy = false;
  st_act act = st_visit_act(v, maker, &actor);
  st_maker with = maker != NULL ? st_maker_of(maker) : (st_maker){NULL, NULL};
  if (!st_visit_find_end(v, maker, &end)) {
    st_reply_unchanged(v->reply, ST_CHANGE_FAILED);
    return;
  }
  describe(fields, end, person);
  st_changed changed = people->create(people->context, &act, maker != NULL ? &with : NULL, person,
                                      fields[PASSWORD].text, &busy);
  switch (changed) {
    case ST_CHANGED: answer_person(v, person); return;
    case ST_CHANGE_EXISTS:
      st_reply_error(v->reply, 409, "login_taken", "login: already taken");
      return;
    case ST_CHANGE_REFUSED:
      refuse_escalation(v,
                        "the credential you used has expired, been revoked or lost a permission");
      return;
    default: busy ? answer_busy(v) : st_reply_unchanged(v->reply, changed);
  }
}

/* A manager with the permission; where registration is open, NULL for somebody without a
 * credential.
 */
static bool find_maker(st_visit *v, st_identity *identity, const st_identity **maker) {
  *maker = NULL;
  if (!st_visit_find_credential(v)) return false;
  if (v->credential.len == 0 && v->service->settings->registration_open) return true;
  *maker = identity;
  return st_visit_manager(v, identity) && st_visit_holds(v, identity, "users");
}

static bool may_make(st_visit *v, const st_identity *maker, const st_field fields[FIELDS]) {
  subtoken_text permissions = fields[PERMISSIONS].text;
  const char *fault = fault_of(fields);
  if (fault != NULL) {
    refuse(v, fault);
    return false;
  }
  if (maker != NULL) return st_visit_covers(v, maker, permissions);
  if (permissions.len == 0) return take_turn_of_address(v);
  refuse_escalation(v, "permissions: not allowed for self-registration");
  return false;
}

void st_user_create(st_visit *v) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  const st_identity *maker;
  st_person person;
  st_field fields[FIELDS] = {[LOGIN] = {.name = "login", .type = ST_FIELD_TEXT},
                             [PASSWORD] = {.name = "password", .type = ST_FIELD_TEXT},
                             [LOCALE] = {.name = "locale", .type = ST_FIELD_TEXT},
                             [SOURCE] = {.name = "source", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS}};
  if (!find_maker(v, &identity, &maker)) return;
  scratch[0] = '\0';
  if (st_body_read(v, fields, FIELDS, scratch) && may_make(v, maker, fields)) {
    create(v, maker, fields, &person);
    subtoken_wipe(&person, sizeof person); /* its password, as it is stored */
  }
  subtoken_wipe(scratch, sizeof scratch);
}

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
  if (!take_turn(v, login)) return;
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
    case ST_VERDICT_BUSY: answer_busy(v); break;
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
      refuse(v, fields[0].given ? "password: is missing" : "login: is missing");
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
    refuse_escalation(v, "this call needs a parent key; a derived token is not accepted");
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
      refuse(v, "token: is missing");
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
    refuse_escalation(v, "log out with an access token of the session itself");
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
