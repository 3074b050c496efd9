/* The endpoint that makes a user, by an administrator or by self-registration. What a user may do
 * once logged in is in service/sessions.c and service/keys.c.
 */
#include "service/users.h"

#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "domain/key.h"
#include "domain/names.h"
#include "domain/password.h"
#include "domain/user.h"
#include "service/access.h"
#include "service/context.h"
#include "service/credential.h"
#include "service/identity.h"
#include "service/json_body.h"
#include "service/reply.h"

/* Registering has no login yet: a bucket of the address, of a name that no login has. */
static bool take_turn_of_address(st_context *c) {
  char text[80];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, ':');
  st_write_view(&writer, c->request->remote);
  return st_access_within_attempts(c, (subtoken_text){text, writer.len});
}

enum { LOGIN, PASSWORD, LOCALE, SOURCE, PERMISSIONS, FIELDS };

/* NULL, or what is wrong. */
static const char *fault_of(const st_field fields[FIELDS]) {
  subtoken_text login = fields[LOGIN].text, password = fields[PASSWORD].text;
  subtoken_text locale = fields[LOCALE].text, source = fields[SOURCE].text;
  if (!fields[LOGIN].given) return "login: is missing";
  if (!fields[PASSWORD].given) return "password: is missing";
  if (st_text_is(login, ST_ANONYMOUS)) return "login: * means everyone and has no password";
  if (!st_names_username_valid(login)) {
    return "login: must be 1 to 256 bytes without a colon and without control characters";
  }
  if (password.len < ST_PASSWORD_MIN || password.len > ST_PASSWORD_MAX) {
    return "password: must be 8 to 1024 bytes";
  }
  if (locale.len > ST_LOCALE_MAX || (st_text_class(locale) & ST_CHAR_NAME) == 0) {
    return "locale: must be a language tag such as en-GB, of at most 35 characters";
  }
  if (source.len > ST_SOURCE_MAX || !st_names_is_plain(source)) {
    return "source: must be at most 64 bytes without control characters";
  }
  return NULL;
}

static void copy_text(char *out, subtoken_text text) {
  if (text.len > 0) memcpy(out, text.data, text.len);
  out[text.len] = '\0';
}

static void describe(const st_field fields[FIELDS], int64_t end, st_user *person) {
  memset(person, 0, sizeof *person);
  person->key.kind = ST_KIND_USER;
  person->key.expires_at = end;
  copy_text(person->key.name, fields[LOGIN].text);
  copy_text(person->key.owner, fields[LOGIN].text);
  copy_text(person->key.permissions, fields[PERMISSIONS].text);
  copy_text(person->locale, fields[LOCALE].text);
  copy_text(person->source, fields[SOURCE].text);
}

static void answer_person(st_context *c, const st_user *person) {
  subtoken_text permissions = st_text(person->key.permissions), each;
  st_cutter cutter = {permissions, permissions.len == 0};
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"login\":");
  st_json_write_string(&writer, st_text(person->key.owner));
  st_write_literal(&writer, ",\"permissions\":[");
  for (bool first = true; st_cut(&cutter, ',', &each); first = false) {
    if (!first) st_write_char(&writer, ',');
    st_json_write_string(&writer, each);
  }
  st_write_literal(&writer, "]}");
  c->reply->status = 201;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void create(st_context *c, const st_identity *maker, const st_field fields[FIELDS],
                   st_user *person) {
  const st_users *people = c->service->people;
  st_audit_buffers actor;
  int64_t end;
  bool busy = false;
  st_audit_context act = st_access_audit_context(c, maker, &actor);
  st_grantor with = maker != NULL ? st_grantor_of(maker) : (st_grantor){NULL, NULL};
  if (!st_access_find_end(c, maker, &end)) {
    st_reply_unchanged(c->reply, ST_STORE_FAILED);
    return;
  }
  describe(fields, end, person);
  st_store_status changed = people->create(people->context, &act, maker != NULL ? &with : NULL,
                                           person, fields[PASSWORD].text, &busy);
  switch (changed) {
    case ST_STORE_OK: answer_person(c, person); return;
    case ST_STORE_EXISTS:
      st_reply_error(c->reply, 409, "login_taken", "login: already taken");
      return;
    case ST_STORE_DENIED:
      st_reply_escalation(c->reply,
                          "the credential you used has expired, been revoked or lost a permission");
      return;
    default: busy ? st_reply_passwords_busy(c->reply) : st_reply_unchanged(c->reply, changed);
  }
}

/* A manager with the permission; where registration is open, NULL for somebody without a
 * credential.
 */
static bool find_maker(st_context *c, st_identity *identity, const st_identity **maker) {
  *maker = NULL;
  if (!st_credential_find(c)) return false;
  if (c->credential.len == 0 && c->service->settings->registration_open) return true;
  *maker = identity;
  return st_access_manager(c, identity) && st_access_holds(c, identity, "users");
}

static bool may_make(st_context *c, const st_identity *maker, const st_field fields[FIELDS]) {
  subtoken_text permissions = fields[PERMISSIONS].text;
  const char *fault = fault_of(fields);
  if (fault != NULL) {
    st_reply_bad_request(c->reply, fault);
    return false;
  }
  if (maker != NULL) return st_access_covers(c, maker, permissions);
  if (permissions.len == 0) return take_turn_of_address(c);
  st_reply_escalation(c->reply, "permissions: not allowed for self-registration");
  return false;
}

void st_users_create(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  const st_identity *maker;
  st_user person;
  st_field fields[FIELDS] = {[LOGIN] = {.name = "login", .type = ST_FIELD_TEXT},
                             [PASSWORD] = {.name = "password", .type = ST_FIELD_TEXT},
                             [LOCALE] = {.name = "locale", .type = ST_FIELD_TEXT},
                             [SOURCE] = {.name = "source", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS}};
  if (!find_maker(c, &identity, &maker)) return;
  scratch[0] = '\0';
  if (st_json_body_read(c, fields, FIELDS, scratch) && may_make(c, maker, fields)) {
    create(c, maker, fields, &person);
    subtoken_wipe(&person, sizeof person); /* its password, as it is stored */
  }
  subtoken_wipe(scratch, sizeof scratch);
}
