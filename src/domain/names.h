/* names - what a username may look like. */
#ifndef ST_DOMAIN_NAMES_H
#define ST_DOMAIN_NAMES_H

#include "subtoken/common.h"

/* May it be somebody's login? 1 to ST_NAME_MAX bytes of UTF-8 without what a terminal obeys,
 * and without the colon (RFC 7617 section 2).
 */
bool st_names_username_valid(subtoken_text login);

/* Nothing in it that a terminal obeys: it is shown to people. */
bool st_names_is_plain(subtoken_text text);

#endif
