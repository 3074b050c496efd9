/* access_log - a line for each request. */
#ifndef ST_SERVER_ACCESS_LOG_H
#define ST_SERVER_ACCESS_LOG_H

#include "service/service.h"

void st_access_log_write(const st_request *request, const st_reply *reply, subtoken_text remote,
                         int64_t microseconds);

#endif
