/* Managing parent keys over HTTP. Who has the permission `keys` manages the keys of all owners; a
 * user in a session or with HTTP Basic their own; a key that is bound to an audience, keys of that.
 * This is what keys.c and key_one.c share: who the caller is, which keys that shows, and how a key
 * is answered.
 */
#include "service/key_manager.h"

#include "base/json.h"
#include "core/claims.h"
#include "domain/key_json.h"
#include "service/made.h"
#include "service/reply.h"

const st_problem st_key_manager_not_found = {
    .status = 404, .event = "not_found", .text = "there is no such key"};

bool st_key_manager_is_user(const st_identity *identity) {
  return identity->method == ST_AUTH_SESSION || identity->method == ST_AUTH_BASIC;
}

const st_problem *st_key_manager_find(st_context *c, st_key_manager *m) {
  const st_problem *problem = st_access_manager(c, &m->identity);
  if (problem != NULL) return problem;
  m->owner = NULL;
  m->grantor = st_grantor_of(&m->identity);
  if (st_claims_has_permission(&m->identity.grant, st_text(ST_KEY_MANAGER_PERMISSION))) return NULL;
  m->owner = m->identity.key.owner;
  return st_key_manager_is_user(&m->identity)
             ? NULL
             : st_problem_permission(&c->problem, st_text(ST_KEY_MANAGER_PERMISSION));
}

st_audit_context st_key_manager_audit(const st_context *c, const st_key_manager *m,
                                      st_audit_buffers *buffers) {
  st_audit_context audit = st_access_audit_context(c, &m->identity, buffers);
  audit.as_owner = m->owner != NULL;
  audit.by = &m->grantor;
  return audit;
}

const st_problem *st_key_manager_problem(st_store_status changed) {
  static const st_problem registered = {
      .status = 409,
      .event = "owner_registered",
      .text =
          "owner: is a user who registered and would manage this key; send "
          "\"owner_is_user\":true if you mean this user"};
  static const st_problem no_user = {.status = 409,
                                     .event = "owner_no_user",
                                     .text = "owner: is not a user, and \"owner_is_user\" is true"};
  static const st_problem expired = {
      .status = 400, .event = "bad_request", .text = "the key has expired: make a new one"};
  switch (changed) {
    case ST_STORE_OK: return NULL;
    case ST_STORE_EXPIRED: return &expired;
    case ST_STORE_NOT_FOUND: return &st_key_manager_not_found;
    case ST_STORE_DENIED: return &st_problem_credential_ended;
    case ST_STORE_OWNER_REGISTERED: return &registered;
    case ST_STORE_OWNER_NOT_USER: return &no_user;
    default: return st_problem_change(changed);
  }
}

bool st_key_manager_knows(const st_key_manager *m, const st_key *key) {
  const char *audience = m->identity.key.audience;
  return (m->owner == NULL || strcmp(m->owner, key->owner) == 0) &&
         (audience[0] == '\0' || strcmp(audience, key->audience) == 0);
}

const st_problem *st_key_manager_key(st_context *c, const st_key_manager *m, const char *id,
                                     st_key *key) {
  const st_key_changes *changes = c->service->changes;
  const st_problem *problem = st_key_manager_problem(changes->find(changes->context, id, key));
  if (problem != NULL) return problem;
  return st_key_manager_knows(m, key) ? NULL : &st_key_manager_not_found;
}

void st_key_manager_reply(st_context *c, int status, const st_key *key, const char *whole,
                          const st_derived *made) {
  st_writer writer = st_reply_begin(c->reply);
  st_key_json_write(&writer, key, whole, c->request->now);
  if (made != NULL) st_made_write(&writer, made);
  st_reply_end(c->reply, status, &writer);
}

const st_problem *st_key_manager_text(st_context *c, const st_field *field,
                                      char out[ST_NAME_MAX + 1]) {
  if (field->text.len > ST_NAME_MAX) {
    return st_problem_parameter(&c->problem, field->name, "is longer than 256 bytes");
  }
  memcpy(out, field->text.data, field->text.len);
  out[field->text.len] = '\0';
  return NULL;
}
