/* stand-in until the branch with it is merged */
#ifndef ST_APP_THROTTLE_H
#define ST_APP_THROTTLE_H
#include "app/keys.h"
typedef struct st_throttle st_throttle;
int64_t st_throttle_take(st_throttle *throttle, subtoken_text login, subtoken_text address,
                         int64_t now_us);
void st_throttle_give_back(st_throttle *throttle, subtoken_text login, subtoken_text address,
                           int64_t now_us);
#endif
