/* token_exchange - /oauth/token: a key exchanged for an access token. */
#ifndef ST_SERVICE_TOKEN_EXCHANGE_H
#define ST_SERVICE_TOKEN_EXCHANGE_H

#include "service/context.h"

void st_exchange_oauth(st_visit *v); /* /oauth/token: exchange.c */

#endif
