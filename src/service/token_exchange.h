/* token_exchange - /oauth/token: a key exchanged for an access token. */
#ifndef ST_SERVICE_TOKEN_EXCHANGE_H
#define ST_SERVICE_TOKEN_EXCHANGE_H

#include "service/context.h"

void st_token_exchange_answer(st_context *c); /* /oauth/token: exchange.c */

#endif
