/* access - what somebody who has authenticated may do: permissions, managing, how long what they
 * make may last, how often; and who it was, for the audit log.
 */
#ifndef ST_SERVICE_ACCESS_H
#define ST_SERVICE_ACCESS_H

#include "service/authenticate.h"

/* Authenticate for a call that manages something: 403 for what is derived, whatever it holds. */
const st_problem *st_access_manager(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));
/* Has it the permission? */
const st_problem *st_access_requires(st_context *c, const st_identity *identity,
                                     const char *permission) __attribute__((warn_unused_result));
/* Does it hold each of a list joined by commas? Otherwise 403: a credential never exceeds its
 * parent. */
const st_problem *st_access_covers(st_context *c, const st_identity *identity,
                                   subtoken_text permissions) __attribute__((warn_unused_result));
/* May its key make one more token now? */
const st_problem *st_access_within_rate(st_context *c, const st_identity *identity)
    __attribute__((warn_unused_result));

/* May a password be tried for this username, from this address? */
const st_problem *st_access_within_attempts(st_context *c, subtoken_text username)
    __attribute__((warn_unused_result));

/* How long what somebody makes may last: as long as the key or user at the root of it, which a
 * session is not, but its parent. NULL: a user who registers, for ever.
 */
const st_problem *st_access_find_end(st_context *c, const st_identity *grantor, int64_t *end)
    __attribute__((warn_unused_result));

/* Who does this, for the audit log; identity NULL: nobody that is known. Texts live in who. */
typedef struct st_audit_buffers {
  char who[ST_NAME_MAX + 16];
  char from[64];
} st_audit_buffers;
st_audit_context st_access_audit_context(const st_context *c, const st_identity *identity,
                                         st_audit_buffers *buffers);
static inline st_grantor st_grantor_of(const st_identity *identity) {
  return (st_grantor){identity->key.id, identity->key.sub};
}

#endif
