/* store_location - where a store on PostgreSQL lies: a URI of libpq, checked before it is used. */
#ifndef ST_DOMAIN_STORE_LOCATION_H
#define ST_DOMAIN_STORE_LOCATION_H

#include "subtoken/common.h"

/* Does it begin as a URI of libpq does? */
bool st_store_location_is_uri(subtoken_text text);

/* NULL when text is a URI of libpq without a password; else what it must be or have, which repeats
 * nothing of it. libpq reads it again, and knows which parameters it has.
 */
const char *st_store_location_check(subtoken_text text) __attribute__((warn_unused_result));

#endif
