/* key_manager - who manages parent keys over HTTP, and whose. */
#ifndef ST_SERVICE_KEY_MANAGER_H
#define ST_SERVICE_KEY_MANAGER_H

#include "service/access.h"
#include "service/json_body.h"

#define ST_KEY_MANAGER_PERMISSION "keys"

typedef struct st_key_manager {
  st_identity identity;
  const char *owner;  /* whose keys alone, or NULL: any */
  st_grantor grantor; /* the caller, for the store */
} st_key_manager;

extern const st_problem st_key_manager_not_found;

/* Authenticate a caller who manages keys: any with the permission, else a user's own. */
const st_problem *st_key_manager_find(st_context *c, st_key_manager *m)
    __attribute__((warn_unused_result));
/* A user in a session, or with HTTP Basic? */
bool st_key_manager_is_user(const st_identity *identity);

/* Of a change, for the audit log. */
st_audit_context st_key_manager_audit(const st_context *c, const st_key_manager *m,
                                      st_audit_buffers *buffers);
/* What the store answered a change. NULL: it was done. */
const st_problem *st_key_manager_problem(st_store_status changed)
    __attribute__((warn_unused_result));

/* Of this owner, and for a manager that is bound to an audience, of that? */
bool st_key_manager_knows(const st_key_manager *m, const st_key *key);
/* The key of this id, if this manager may know of it. */
const st_problem *st_key_manager_key(st_context *c, const st_key_manager *m, const char *id,
                                     st_key *key) __attribute__((warn_unused_result));

/* A name or owner out of a body. */
const st_problem *st_key_manager_text(st_context *c, const st_field *field,
                                      char out[ST_NAME_MAX + 1])
    __attribute__((warn_unused_result));

/* Answer with the key. whole: the key itself, or NULL. made: what was made with the key, for
 * others, and is still valid: one more member; NULL: none. What does not fit is left out: the audit
 * log has it.
 */
void st_key_manager_reply(st_context *c, int status, const st_key *key, const char *whole,
                          const st_derived *made);

#endif
