/* names - what a username may look like. */
#ifndef ST_DOMAIN_NAMES_H
#define ST_DOMAIN_NAMES_H

#include "subtoken/common.h"

/* May it be a username? 1 to ST_NAME_MAX bytes of UTF-8 without control characters and without the
 * colon (RFC 7617 section 2).
 */
bool st_names_username_valid(subtoken_text name);

/* May a new user have it? Not "." and "..": in the path of a URL they mean another place, so that
 * nobody could manage such a user over HTTP. Those who have such a name keep it.
 */
bool st_names_new_username_valid(subtoken_text name);

/* UTF-8 without control characters, which a terminal would act on: it is shown to users. */
bool st_names_is_plain(subtoken_text text);

#endif
