/* credential - the one credential of a request. */
#ifndef ST_SERVICE_CREDENTIAL_H
#define ST_SERVICE_CREDENTIAL_H

#include "service/context.h"

/* Find the credential; false after replying that there is more than one. With v->credential.len 0
 * there is none. The second step, which wants one, goes on from there.
 */
bool st_credential_find(st_context *c) __attribute__((warn_unused_result));

#endif
