/* resource - a protected resource of RFC 9728: the form of its URL, and of its document. */
#ifndef ST_CORE_RESOURCE_H
#define ST_CORE_RESOURCE_H

#include "base/bytes.h"
#include "subtoken/policy.h"

/* What is wrong with the URL of a resource, or NULL. */
const char *st_resource_problem(subtoken_text url);

/* Do the metadata of two resources lie at the same path? Only the host may differ. */
bool st_resource_same_document(subtoken_text one, subtoken_text other);

/* Has a route of the policy this resource? One without a path is that of the slash (RFC 3986
 * section 6.2.3), which some clients add. */
bool st_resource_is_listed(const subtoken_policy *policy, subtoken_text url);

#endif
