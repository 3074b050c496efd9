/* POST /v1/user: a new user. It is made by a caller with the permission `users`, and never exceeds
 * that caller's permissions; or, where registration is open, by a self-registration, without
 * permissions.
 */
#include "base/json.h"
#include "domain/names.h"
#include "domain/permissions.h"
#include "service/access.h"
#include "service/credential.h"
#include "service/endpoints.h"
#include "service/json_body.h"
#include "service/reply.h"
#include "service/user_manager.h"

enum { LOGIN, PASSWORD, LOCALE, SOURCE, PERMISSIONS, FIELDS };

static const st_problem *users_check_fields(st_context *c, const st_field fields[FIELDS]) {
  subtoken_text login = fields[LOGIN].text, password = fields[PASSWORD].text;
  subtoken_text locale = fields[LOCALE].text, source = fields[SOURCE].text;
  if (!fields[LOGIN].given) return st_problem_parameter(&c->problem, "login", "is missing");
  if (!fields[PASSWORD].given) return st_problem_parameter(&c->problem, "password", "is missing");
  if (st_text_is(login, ST_ANONYMOUS)) {
    return st_problem_parameter(&c->problem, "login", "* means everyone and has no password");
  }
  if (!st_names_new_username_valid(login)) {
    return st_problem_parameter(
        &c->problem, "login",
        "must be 1 to 256 bytes without a colon and without control characters, not . or ..");
  }
  if (password.len < ST_PASSWORD_MIN || password.len > ST_PASSWORD_MAX) {
    return st_problem_parameter(&c->problem, "password", "must be 8 to 1024 bytes");
  }
  if (locale.len > ST_LOCALE_MAX || (st_text_class(locale) & ST_CHAR_NAME) == 0) {
    return st_problem_parameter(&c->problem, "locale",
                                "must be a language tag such as en-GB, of at most 35 characters");
  }
  if (source.len > ST_SOURCE_MAX || !st_names_is_plain(source)) {
    return st_problem_parameter(&c->problem, "source",
                                "must be at most 64 bytes without control characters");
  }
  return NULL;
}

static void users_copy_text(char *out, subtoken_text text) {
  if (text.len > 0) memcpy(out, text.data, text.len);
  out[text.len] = '\0';
}

static void users_fill(const st_field fields[FIELDS], int64_t end, st_user *user) {
  memset(user, 0, sizeof *user);
  user->key.kind = ST_KIND_USER;
  user->key.expires_at = end;
  users_copy_text(user->key.name, fields[LOGIN].text);
  users_copy_text(user->key.owner, fields[LOGIN].text);
  users_copy_text(user->key.permissions, fields[PERMISSIONS].text);
  users_copy_text(user->locale, fields[LOCALE].text);
  users_copy_text(user->source, fields[SOURCE].text);
}

static void users_reply(st_reply *reply, const st_user *user) {
  st_writer writer = st_reply_begin(reply);
  st_write_literal(&writer, "{\"login\":");
  st_json_write_string(&writer, st_text(user->key.owner));
  st_write_literal(&writer, ",\"permissions\":");
  st_permissions_write_json(&writer, user->key.permissions);
  st_write_char(&writer, '}');
  st_reply_end(reply, 201, &writer);
}

static const st_problem users_taken = {
    .status = 409, .event = "login_taken", .text = "login: already taken"};

/* A username that is taken costs neither a hash nor a turn to write. */
static const st_problem *users_check_free(st_context *c, subtoken_text username, st_user *user) {
  const st_users *users = c->service->users;
  st_store_status found = users->find(users->context, username, user);
  if (found == ST_STORE_OK) return &users_taken;
  return found == ST_STORE_NOT_FOUND ? NULL : st_problem_change(found);
}

static const st_problem *users_hash(st_context *c, subtoken_text password, st_user *user) {
  const st_users *users = c->service->users;
  switch (users->hash(users->context, password, c->request->until_us, user->password)) {
    case ST_PASSWORD_OK: return NULL;
    case ST_PASSWORD_BUSY: return &st_problem_passwords_busy;
    default: return st_problem_change(ST_STORE_FAILED);
  }
}

static const st_problem *users_store(st_context *c, const st_identity *grantor, st_user *user) {
  const st_users *users = c->service->users;
  st_audit_buffers buffers;
  st_audit_context audit = st_access_audit_context(c, grantor, &buffers);
  st_grantor row;
  if (grantor != NULL) row = st_grantor_of(grantor);
  st_store_status status =
      users->create(users->context, &audit, grantor != NULL ? &row : NULL, user);
  switch (status) {
    case ST_STORE_OK: users_reply(c->reply, user); return NULL;
    case ST_STORE_EXISTS: return &users_taken;
    case ST_STORE_DENIED: return &st_problem_credential_ended;
    default: return st_problem_change(status);
  }
}

static const st_problem *users_create(st_context *c, const st_identity *grantor,
                                      const st_field fields[FIELDS], st_user *user) {
  int64_t end;
  const st_problem *problem = st_access_find_end(c, grantor, &end);
  if (problem == NULL) problem = users_check_free(c, fields[LOGIN].text, user);
  if (problem != NULL) return problem;
  users_fill(fields, end, user);
  problem = users_hash(c, fields[PASSWORD].text, user);
  return problem != NULL ? problem : users_store(c, grantor, user);
}

/* Before the user exists: a bucket of the address, under a name that no user can have. */
static const st_problem *users_throttle(st_context *c) {
  char text[80];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_char(&writer, ':');
  st_write_view(&writer, c->request->remote);
  return st_access_within_attempts(c, (subtoken_text){text, writer.len});
}

/* The caller, who needs the permission; NULL without a credential where registration is open. */
static const st_problem *users_find_grantor(st_context *c, st_identity *identity,
                                            const st_identity **grantor) {
  *grantor = NULL;
  const st_problem *problem = st_credential_find(c);
  if (problem != NULL) return problem;
  if (c->credential.text.len == 0 && c->service->settings->registration_open) return NULL;
  *grantor = identity;
  return st_user_manager_find(c, identity);
}

static const st_problem *users_allowed(st_context *c, const st_identity *grantor,
                                       const st_field fields[FIELDS]) {
  subtoken_text permissions = fields[PERMISSIONS].text;
  const st_problem *problem = users_check_fields(c, fields);
  if (problem != NULL) return problem;
  if (grantor != NULL) return st_access_covers(c, grantor, permissions);
  if (permissions.len == 0) return users_throttle(c);
  return st_problem_escalation(&c->problem, "permissions: not allowed for self-registration");
}

const st_problem *st_users_create(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  const st_identity *grantor;
  st_user user;
  st_field fields[FIELDS] = {[LOGIN] = {.name = "login", .type = ST_FIELD_TEXT},
                             [PASSWORD] = {.name = "password", .type = ST_FIELD_TEXT},
                             [LOCALE] = {.name = "locale", .type = ST_FIELD_TEXT},
                             [SOURCE] = {.name = "source", .type = ST_FIELD_TEXT},
                             [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS}};
  const st_problem *problem = users_find_grantor(c, &identity, &grantor);
  if (problem != NULL) return problem;
  problem = st_json_body_read(c, fields, FIELDS, scratch);
  if (problem == NULL) problem = users_allowed(c, grantor, fields);
  if (problem == NULL) {
    problem = users_create(c, grantor, fields, &user);
    subtoken_wipe(&user, sizeof user); /* its password, as it is stored */
  }
  subtoken_wipe(scratch, sizeof scratch);
  return problem;
}
