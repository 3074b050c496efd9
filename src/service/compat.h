/* compat - the exchange that older clients use. */
#ifndef ST_SERVICE_COMPAT_H
#define ST_SERVICE_COMPAT_H

#include "service/context.h"

void st_compat_exchange(st_context *c); /* /m42Services/...: exchange.c */

void st_compat_hash_string(st_context *c); /* /utils/hash/secure: exchange.c */

#endif
