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

bool st_visit_manager(st_visit *v, st_identity *identity) {
  if (!st_visit_identify(v, identity)) return false;
  if (identity->standing != ST_DERIVED) return true;
  st_reply_escalation(
      v->reply,
      "this call needs a parent key, a session or HTTP Basic; a derived token is not accepted");
  return false;
}

bool st_visit_holds(st_visit *v, const st_identity *identity, const char *permission) {
  if (st_claims_has_permission(&identity->grant, st_text(permission))) return true;
  st_reply_lacks(v->reply, st_text(permission));
  return false;
}

bool st_visit_covers(st_visit *v, const st_identity *identity, subtoken_text permissions) {
  st_cutter cutter = {permissions, permissions.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_claims_has_permission(&identity->grant, each)) continue;
    st_reply_escalation(v->reply, "permissions: must not exceed those of the credential");
    return false;
  }
  return true;
}

bool st_visit_find_end(st_visit *v, const st_identity *maker, int64_t *end) {
  const st_people *people = v->service->people;
  const st_key_changes *changes = v->service->changes;
  st_key key;
  st_person person;
  *end = ST_NEVER;
  if (maker == NULL) return true;
  *end = maker->key.expires_at;
  if (maker->standing == ST_WITH_LOGIN) {
    st_found found = people->find(people->context, st_text(maker->key.owner), &person);
    if (found == ST_FOUND) *end = person.key.expires_at;
    subtoken_wipe(&person, sizeof person);
    return found == ST_FOUND;
  }
  if (maker->standing != ST_WITH_SERVICE) return true;
  if (changes->find(changes->context, maker->key.parent, &key) != ST_CHANGED) return false;
  *end = key.expires_at;
  return true;
}

st_act st_visit_act(const st_visit *v, const st_identity *identity, st_actor *actor) {
  st_writer who = st_writer_on(actor->who, sizeof actor->who);
  st_writer from = st_writer_on(actor->from, sizeof actor->from);
  if (identity == NULL) {
    st_write_string(&who, "nobody");
  } else if (identity->standing == ST_WITH_LOGIN || identity->standing == ST_WITH_BASIC) {
    st_write_string(&who, "person ");
    st_write_string(&who, identity->key.owner);
  } else {
    st_write_string(&who, "key ");
    st_write_string(
        &who, identity->standing == ST_WITH_SERVICE ? identity->key.parent : identity->key.id);
  }
  st_write_text(&from, v->request->remote);
  if (!st_writer_end(&who)) actor->who[0] = '\0';
  if (!st_writer_end(&from)) actor->from[0] = '\0';
  return (st_act){.until_us = v->request->until_us,
                  .who = actor->who,
                  .from = actor->from,
                  .row = st_identity_row(identity)};
}

/* May this address try, or does the login have to rest? */
bool st_visit_take_turn(st_visit *v, subtoken_text login) {
  const st_request *request = v->request;
  int64_t wait = st_throttle_take(v->service->throttle, login, request->remote, request->now_us);
  if (wait > 0) {
    st_reply_wait(v->reply, "login_throttled", "too many attempts; try again later", wait);
  }
  return wait <= 0;
}
