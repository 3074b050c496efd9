/* metadata - what OAuth clients find out by themselves (RFC 8414, RFC 9728), and what follows from
 * it for what they ask for.
 */
#ifndef ST_SERVICE_METADATA_H
#define ST_SERVICE_METADATA_H

#include "service/service.h"

/* Has the route policy a route with this "resource", or none with any? */
bool st_metadata_allows_resource(const st_service *service, subtoken_text resource);

#endif
