/* router - a request to the endpoint that answers it. */
#ifndef ST_SERVICE_ROUTER_H
#define ST_SERVICE_ROUTER_H

#include "service/service.h"

/* What a route is for, besides its path, to those who count. */
enum { ST_ROUTE_ISSUES = 1, ST_ROUTE_DECIDES = 2 };
typedef struct st_route_info {
  const char *path; /* with a slash at its end: whatever begins with it */
  unsigned counts;  /* ISSUES: a 200 of it has a token; DECIDES: it is the decision endpoint */
} st_route_info;

#define ST_ROUTE_PATH_MAX 96 /* no path of the table is longer */

/* The table: place 0 is none of its routes, as in st_reply. */
size_t st_router_count(void);
st_route_info st_router_route(size_t place);

void st_router_answer(const st_service *service, const st_request *request, st_reply *reply);

#endif
