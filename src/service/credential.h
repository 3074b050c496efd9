/* credential - the one credential of a request, wherever it stands: in Authorization, in X-API-Key,
 * in the query. Whose it is, is for authenticate.h.
 */
#ifndef ST_SERVICE_CREDENTIAL_H
#define ST_SERVICE_CREDENTIAL_H

#include "service/context.h"

/* Its two buffers need no zeros. */
static inline void st_credential_clear(st_credential *credential) {
  credential->text = (subtoken_text){NULL, 0};
  credential->forms = 0;
}

/* Find it, or none. A problem: there is more than one, or it cannot be read. */
const st_problem *st_credential_find(st_context *c) __attribute__((warn_unused_result));
/* The same of Basic alone, where that says who an OAuth client is: all else is ignored, but for a
 * second Authorization header.
 */
const st_problem *st_credential_find_basic(st_context *c) __attribute__((warn_unused_result));

#endif
