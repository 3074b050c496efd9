/* authorize - the decision endpoint for proxies. */
#ifndef ST_SERVICE_AUTHORIZE_H
#define ST_SERVICE_AUTHORIZE_H

#include "service/context.h"

/* The decision endpoint: authorize.c. */
void st_visit_authorize(st_visit *v);

#endif
