/* access - what an authenticated caller may do: which permissions it holds, whether it may manage
 * anything, how long what it makes may last, and how often; and who it is, for the audit log.
 */
#ifndef ST_SERVICE_ACCESS_H
#define ST_SERVICE_ACCESS_H

#include "service/authenticate.h"

/* Authenticate for a call that manages something. A derived token is 403, whatever permissions it
 * has, and so is every token for an audience. */
const st_problem *st_access_manager(st_context *c, st_identity *identity)
    __attribute__((warn_unused_result));
/* Does it hold the permission? Otherwise 403; also for a token for an audience, which an edge for
 * it could have made up. */
const st_problem *st_access_requires(st_context *c, const st_identity *identity,
                                     const char *permission) __attribute__((warn_unused_result));
/* The same for a call that gives a token for an audience no more than its edge has: it is taken. */
const st_problem *st_access_holds(st_context *c, const st_identity *identity,
                                  const char *permission) __attribute__((warn_unused_result));
/* Does it hold each permission of a list joined by commas? Otherwise 403: a credential never
 * exceeds its parent.
 */
const st_problem *st_access_covers(st_context *c, const st_identity *identity,
                                   subtoken_text permissions) __attribute__((warn_unused_result));
/* May its key make one more token now? Otherwise 429. */
const st_problem *st_access_within_rate(st_context *c, const st_identity *identity)
    __attribute__((warn_unused_result));

/* May a password be tried for this username, from this address? Otherwise 429. */
const st_problem *st_access_within_attempts(st_context *c, subtoken_text username)
    __attribute__((warn_unused_result));

/* *end: until when what the grantor makes may last, which is the expiry of its key or user; of a
 * session, that of its parent. grantor NULL is a self-registration: ST_NEVER.
 */
const st_problem *st_access_find_end(st_context *c, const st_identity *grantor, int64_t *end)
    __attribute__((warn_unused_result));

/* Who makes a change, for the audit log; identity NULL: unknown. The texts live in the buffers. */
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
