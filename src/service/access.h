/* access - what an authenticated request may do. */
#ifndef ST_SERVICE_ACCESS_H
#define ST_SERVICE_ACCESS_H

#include "domain/key.h"
#include "service/context.h"
#include "service/identity.h"

/* The same for calls that manage something: 403 for what is derived, whatever it holds. */
bool st_visit_manager(st_visit *v, st_identity *identity) __attribute__((warn_unused_result));

/* Has it the permission? 403 with a reply if not. */
bool st_visit_holds(st_visit *v, const st_identity *identity, const char *permission)
    __attribute__((warn_unused_result));

/* Does it hold each of a list joined by commas? Otherwise 403: more than it was made with. */
bool st_visit_covers(st_visit *v, const st_identity *identity, subtoken_text permissions)
    __attribute__((warn_unused_result));

/* How long what somebody makes may last: as long as the key or person at the root of it, which a
 * login is not, but its parent. NULL: nobody that is known, for ever. False when it cannot be told.
 */
bool st_visit_find_end(st_visit *v, const st_identity *maker, int64_t *end)
    __attribute__((warn_unused_result));

/* Who does this, for the audit log; identity NULL: nobody that is known. Texts live in who. */
typedef struct st_actor {
  char who[ST_NAME_MAX + 16];
  char from[64];
} st_actor;

st_act st_visit_act(const st_visit *v, const st_identity *identity, st_actor *actor);
static inline st_maker st_maker_of(const st_identity *identity) {
  return (st_maker){identity->key.id, identity->key.sub};
}

/* May this address try, or does the login have to rest? */
bool st_visit_take_turn(st_visit *v, subtoken_text login);

#endif
