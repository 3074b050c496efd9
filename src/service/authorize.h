/* authorize - the decision endpoint for proxies. */
#ifndef ST_SERVICE_AUTHORIZE_H
#define ST_SERVICE_AUTHORIZE_H

#include "service/context.h"

/* The decision endpoint: authorize.c. */
void st_authorize_answer(st_context *c);

#endif
