/* access - what an authenticated request may do. */
#ifndef ST_SERVICE_ACCESS_H
#define ST_SERVICE_ACCESS_H

#include "domain/key.h"
#include "service/context.h"
#include "service/identity.h"

/* The same for calls that manage something: 403 for what is derived, whatever it holds. */
bool st_access_manager(st_context *c, st_identity *identity) __attribute__((warn_unused_result));

/* Has it the permission? 403 with a reply if not. */
bool st_access_holds(st_context *c, const st_identity *identity, const char *permission)
    __attribute__((warn_unused_result));

/* Does it hold each of a list joined by commas? Otherwise 403: more than it was made with. */
bool st_access_covers(st_context *c, const st_identity *identity, subtoken_text permissions)
    __attribute__((warn_unused_result));

/* How long what somebody makes may last: as long as the key or person at the root of it, which a
 * login is not, but its parent. NULL: nobody that is known, for ever. False when it cannot be told.
 */
bool st_access_find_end(st_context *c, const st_identity *maker, int64_t *end)
    __attribute__((warn_unused_result));

/* Who does this, for the audit log; identity NULL: nobody that is known. Texts live in who. */
typedef struct st_audit_buffers {
  char who[ST_NAME_MAX + 16];
  char from[64];
} st_audit_buffers;

st_audit_context st_access_audit_context(const st_context *c, const st_identity *identity,
                                         st_audit_buffers *actor);
static inline st_grantor st_grantor_of(const st_identity *identity) {
  return (st_grantor){identity->key.id, identity->key.sub};
}

/* May this address try, or does the login have to rest? */
bool st_access_within_attempts(st_context *c, subtoken_text login);

#endif
