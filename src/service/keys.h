/* manage - parent keys over HTTP (interface section 11): one key as JSON, as all who show one do.
 */
#ifndef ST_SERVICE_KEYS_H
#define ST_SERVICE_KEYS_H

#include "service/context.h"

/* Routes, a file each or two. */
void st_keys_answer(st_context *c); /* /v2/keys: manage.c */

void st_keys_answer_key(st_context *c); /* /v2/keys/ID... */

#endif
