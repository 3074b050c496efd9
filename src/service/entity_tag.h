/* entity_tag - If-None-Match (RFC 9110 section 13.1.2). */
#ifndef ST_SERVICE_ENTITY_TAG_H
#define ST_SERVICE_ENTITY_TAG_H

#include "service/service.h"

/* Is it one of those that came, or came `*`? tag is without quotes. */
bool st_entity_tag_is_known(const st_request *request, const char *tag);

#endif
