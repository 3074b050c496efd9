/* compat - the exchange that older clients use. */
#ifndef ST_SERVICE_COMPAT_H
#define ST_SERVICE_COMPAT_H

#include "service/context.h"

void st_exchange_vendor(st_visit *v); /* /m42Services/...: exchange.c */

void st_hash_string(st_visit *v); /* /utils/hash/secure: exchange.c */

#endif
