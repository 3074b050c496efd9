/* One user over HTTP, /v1/user/LOGIN: shown, disabled, deleted, given other permissions, by who has
 * the permission `users`. What is added must be the caller's own, and so must what an enabled user
 * has, here and once more in the store's transaction. New users are made in users.c, listed in
 * user_list.c.
 */
#include "domain/names.h"
#include "domain/permissions.h"
#include "domain/user_json.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/form.h"
#include "service/json_body.h"
#include "service/made.h"
#include "service/reply.h"
#include "service/user_manager.h"

#define USER_ONE_PREFIX_LEN (sizeof "/v1/user/" - 1)

static const st_problem user_one_not_found = {
    .status = 404, .event = "not_found", .text = "there is no such user"};

/* The name in the path, decoded: a slash in it is an escape there. */
static bool user_one_read_path(const st_context *c, char login[ST_NAME_MAX + 1]) {
  subtoken_text raw = {c->path + USER_ONE_PREFIX_LEN, c->path_len - USER_ONE_PREFIX_LEN};
  subtoken_text decoded = {NULL, 0};
  char text[ST_ROUTE_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  if (c->path_truncated || memchr(raw.data, '/', raw.len) != NULL ||
      !st_form_decode_path(raw, &writer, &decoded) || !st_names_username_valid(decoded)) {
    return false;
  }
  memcpy(login, decoded.data, decoded.len);
  login[decoded.len] = '\0';
  return true;
}

static const st_problem *user_one_problem(st_store_status changed) {
  if (changed == ST_STORE_OK) return NULL;
  if (changed == ST_STORE_NOT_FOUND) return &user_one_not_found;
  return changed == ST_STORE_DENIED ? &st_problem_credential_ended : st_problem_change(changed);
}

/* Who asks, from whom on what ends is told. */
typedef struct user_one_change {
  st_audit_buffers buffers;
  st_grantor grantor;
  st_derived made;
  st_audit_context audit;
  int64_t sequence;
} user_one_change;

static void user_one_begin(const st_context *c, const st_identity *identity,
                           user_one_change *change) {
  change->sequence = 0;
  change->grantor = st_grantor_of(identity);
  memset(&change->made, 0, sizeof change->made);
  change->audit = st_access_audit_context(c, identity, &change->buffers);
  change->audit.by = &change->grantor;
  change->audit.made = &change->made;
}

static void user_one_reply(st_context *c, const st_user *user, const user_one_change *change) {
  st_writer writer = st_reply_begin(c->reply);
  st_user_json_write(&writer, user, c->request->now);
  if (change != NULL) {
    st_made_write(&writer, &change->made);
    st_reply_sequence(c->reply, change->sequence);
  }
  st_reply_end(c->reply, 200, &writer);
}

/* Those of the new list that the user does not have yet, and then when they end. */
static const st_problem *user_one_may_grant(st_context *c, const st_identity *identity,
                                            const st_user *user, subtoken_text permissions) {
  st_cutter cutter = {permissions, permissions.len == 0};
  subtoken_text each;
  int64_t most = 0;
  bool adds = false;
  while (st_cut(&cutter, ',', &each)) {
    if (st_permissions_contain(user->key.permissions, each)) continue;
    adds = true;
    const st_problem *problem = st_access_covers(c, identity, each);
    if (problem != NULL) return problem;
  }
  if (!adds) return NULL;
  const st_problem *problem = st_access_find_end(c, identity, &most);
  if (problem != NULL || user->key.expires_at <= most) return problem;
  return st_problem_escalation(
      &c->problem, "permissions: the user would have them longer than the credential you use");
}

static const st_problem *user_one_set_permissions(st_context *c, const st_identity *identity,
                                                  const st_field *field, st_user *user) {
  const st_users *users = c->service->users;
  user_one_change change;
  const st_problem *problem = user_one_may_grant(c, identity, user, field->text);
  if (problem != NULL) return problem;
  memcpy(user->key.permissions, field->text.data, field->text.len);
  user->key.permissions[field->text.len] = '\0';
  user_one_begin(c, identity, &change);
  problem = user_one_problem(users->set_permissions(users->context, &change.audit, user->key.owner,
                                                    user->key.permissions, &change.sequence));
  if (problem != NULL) return problem;
  user_one_reply(c, user, &change);
  return NULL;
}

/* An administrator who has more may have disabled the user because of that. */
static const st_problem *user_one_may_enable(st_context *c, const st_identity *identity,
                                             const st_user *user) {
  int64_t most = 0;
  if (st_access_covers(c, identity, st_text(user->key.permissions)) != NULL) {
    return st_problem_escalation(
        &c->problem, "disabled: the user has permissions that the credential you use lacks");
  }
  const st_problem *problem = st_access_find_end(c, identity, &most);
  if (problem != NULL || user->key.expires_at <= most) return problem;
  return st_problem_escalation(&c->problem,
                               "disabled: the user expires later than the credential you use");
}

static const st_problem *user_one_set_disabled(st_context *c, const st_identity *identity,
                                               bool disabled, st_user *user) {
  const st_users *users = c->service->users;
  user_one_change change;
  bool enables = !disabled && user->key.disabled;
  const st_problem *problem = enables ? user_one_may_enable(c, identity, user) : NULL;
  if (problem != NULL) return problem;
  user_one_begin(c, identity, &change);
  problem = user_one_problem(users->set_disabled(users->context, &change.audit, user->key.owner,
                                                 disabled, &change.sequence));
  if (problem != NULL) return problem;
  user->key.disabled = disabled;
  user_one_reply(c, user, &change);
  return NULL;
}

static const st_problem *user_one_patch(st_context *c, const st_identity *identity, st_user *user) {
  enum { DISABLED, PERMISSIONS, PATCHED };
  char scratch[ST_BODY_SCRATCH];
  st_field fields[PATCHED] = {
      [DISABLED] = {.name = "disabled", .type = ST_FIELD_BOOL},
      [PERMISSIONS] = {.name = "permissions", .type = ST_FIELD_PERMISSIONS}};
  const st_problem *problem = st_json_body_read(c, fields, PATCHED, scratch);
  if (problem != NULL) return problem;
  if (fields[DISABLED].given && fields[PERMISSIONS].given) {
    return st_problem_parameter(&c->problem, "disabled, permissions", "send one of them, not both");
  }
  if (fields[PERMISSIONS].given) {
    return user_one_set_permissions(c, identity, &fields[PERMISSIONS], user);
  }
  if (fields[DISABLED].given) {
    return user_one_set_disabled(c, identity, fields[DISABLED].flag, user);
  }
  return st_problem_parameter(&c->problem, "disabled or permissions", "one of them is required");
}

static const st_problem *user_one_remove(st_context *c, const st_identity *identity,
                                         const st_user *user) {
  const st_users *users = c->service->users;
  user_one_change change;
  user_one_begin(c, identity, &change);
  const st_problem *problem = user_one_problem(
      users->remove(users->context, &change.audit, user->key.owner, &change.sequence));
  if (problem != NULL) return problem;
  st_reply_sequence(c->reply, change.sequence);
  st_made_header(c->reply, &change.made);
  c->reply->status = 204;
  return NULL;
}

static const st_problem *user_one_manage(st_context *c, const char *login, st_user *user) {
  const st_users *users = c->service->users;
  subtoken_text method = c->request->method;
  st_identity identity;
  const st_problem *problem = st_user_manager_find(c, &identity);
  if (problem != NULL) return problem;
  problem = user_one_problem(users->find(users->context, st_text(login), user));
  if (problem != NULL) return problem;
  if (st_text_is(method, "DELETE")) return user_one_remove(c, &identity, user);
  if (st_text_is(method, "PATCH")) return user_one_patch(c, &identity, user);
  user_one_reply(c, user, NULL);
  return NULL;
}

const st_problem *st_user_one_answer(st_context *c) {
  static const char allow[] = "GET, HEAD, DELETE, PATCH, OPTIONS";
  static const char *const known[] = {"GET", "HEAD", "DELETE", "PATCH"};
  char login[ST_NAME_MAX + 1];
  st_user user;
  if (!user_one_read_path(c, login)) return &user_one_not_found;
  /* The name was read in one way alone: what it holds makes the target no ambiguous one. */
  c->target = ST_TEXT("/v1/user");
  if (st_text_is(c->request->method, "OPTIONS")) {
    st_reply_preflight(c->reply, allow);
    return NULL;
  }
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (!st_text_is(c->request->method, known[i])) continue;
    const st_problem *problem = user_one_manage(c, login, &user);
    subtoken_wipe(&user, sizeof user); /* the password, as it is stored */
    return problem;
  }
  return st_problem_method(&c->problem, allow);
}
