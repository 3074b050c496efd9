/* revocations - /v2/revocations: the revocation data for edges. */
#ifndef ST_SERVICE_REVOCATIONS_H
#define ST_SERVICE_REVOCATIONS_H

#include "service/context.h"

/* The route /v2/revocations (feed.c). */
void st_revocations_answer(st_context *c);

#endif
