/* resource - a protected resource of RFC 9728: the form of its URL, and of its document. */
#ifndef ST_CORE_RESOURCE_H
#define ST_CORE_RESOURCE_H

#include "base/bytes.h"

/* What is wrong with the URL of a resource, or NULL. */
const char *st_resource_problem(subtoken_text url);

/* Do the metadata of two resources lie at the same path? Only the host may differ. */
bool st_resource_same_document(subtoken_text one, subtoken_text other);

#endif
