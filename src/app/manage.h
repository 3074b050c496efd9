/* manage - /v2/keys/ID: DELETE, PATCH {"disabled"}, and POST …/revoke-subtokens. */
#ifndef ST_APP_MANAGE_H
#define ST_APP_MANAGE_H

#include "app/visit.h"

/* For every path below /v2/keys/, and every method. */
void st_manage_key(st_visit *v);

#endif
