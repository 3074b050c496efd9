/* key_list - parent keys listed over HTTP. */
#ifndef ST_SERVICE_KEY_LIST_H
#define ST_SERVICE_KEY_LIST_H

#include "service/key_manager.h"

/* GET /v2/keys, for who manages keys. */
const st_problem *st_key_list_answer(st_context *c, const st_key_manager *m)
    __attribute__((warn_unused_result));

#endif
