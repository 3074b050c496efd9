/* What who is authenticated may do: hold a permission, cover a list, manage; and who it is for the
 * audit log.
 */
#include "service/access.h"

#include "base/bytes.h"
#include "core/claims.h"
#include "domain/key.h"
#include "domain/user.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/reply.h"
#include "service/service.h"
#include "service/throttle.h"

bool st_access_manager(st_context *c, st_identity *identity) {
  if (!st_authenticate(c, identity)) return false;
  if (identity->method != ST_AUTH_DERIVED) return true;
  st_reply_escalation(
      c->reply,
      "this call needs a parent key, a session or HTTP Basic; a derived token is not accepted");
  return false;
}

bool st_access_holds(st_context *c, const st_identity *identity, const char *permission) {
  if (st_claims_has_permission(&identity->grant, st_text(permission))) return true;
  st_reply_lacks(c->reply, st_text(permission));
  return false;
}

bool st_access_covers(st_context *c, const st_identity *identity, subtoken_text permissions) {
  st_cutter cutter = {permissions, permissions.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_claims_has_permission(&identity->grant, each)) continue;
    st_reply_escalation(c->reply, "permissions: must not exceed those of the credential");
    return false;
  }
  return true;
}

bool st_access_find_end(st_context *c, const st_identity *maker, int64_t *end) {
  const st_users *people = c->service->people;
  const st_key_changes *changes = c->service->changes;
  st_key key;
  st_user person;
  *end = ST_NEVER;
  if (maker == NULL) return true;
  *end = maker->key.expires_at;
  if (maker->method == ST_AUTH_SESSION) {
    st_store_status found = people->find(people->context, st_text(maker->key.owner), &person);
    if (found == ST_STORE_OK) *end = person.key.expires_at;
    subtoken_wipe(&person, sizeof person);
    return found == ST_STORE_OK;
  }
  if (maker->method != ST_AUTH_SERVICE_SESSION) return true;
  if (changes->find(changes->context, maker->key.parent, &key) != ST_STORE_OK) return false;
  *end = key.expires_at;
  return true;
}

st_audit_context st_access_audit_context(const st_context *c, const st_identity *identity,
                                         st_audit_buffers *actor) {
  st_writer who = st_writer_on(actor->who, sizeof actor->who);
  st_writer from = st_writer_on(actor->from, sizeof actor->from);
  if (identity == NULL) {
    st_write_literal(&who, "nobody");
  } else if (identity->method == ST_AUTH_SESSION || identity->method == ST_AUTH_BASIC) {
    st_write_literal(&who, "person ");
    st_write_literal(&who, identity->key.owner);
  } else {
    st_write_literal(&who, "key ");
    st_write_literal(&who, identity->method == ST_AUTH_SERVICE_SESSION ? identity->key.parent
                                                                       : identity->key.id);
  }
  st_write_view(&from, c->request->remote);
  if (!st_writer_end(&who)) actor->who[0] = '\0';
  if (!st_writer_end(&from)) actor->from[0] = '\0';
  return (st_audit_context){.until_us = c->request->until_us,
                            .who = actor->who,
                            .from = actor->from,
                            .row = st_identity_row(identity)};
}

/* May this address try, or does the login have to rest? */
bool st_access_within_attempts(st_context *c, subtoken_text login) {
  const st_request *request = c->request;
  int64_t wait = st_throttle_take(c->service->throttle, login, request->remote, request->now_us);
  if (wait > 0) {
    st_reply_wait(c->reply, "login_throttled", "too many attempts; try again later", wait);
  }
  return wait <= 0;
}
