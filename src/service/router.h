/* router - a request to the endpoint that answers it. */
#ifndef ST_SERVICE_ROUTER_H
#define ST_SERVICE_ROUTER_H

#include "service/service.h"

void st_router_answer(const st_service *service, const st_request *request, st_reply *reply);

#endif
