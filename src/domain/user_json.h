/* user_json - a user as JSON. */
#ifndef ST_DOMAIN_USER_JSON_H
#define ST_DOMAIN_USER_JSON_H

#include "base/bytes.h"
#include "domain/user.h"

/* An object without anything of the password. Never more than ST_USER_JSON_MAX bytes. */
#define ST_USER_JSON_MAX \
  (512 + 6 * (ST_NAME_MAX + ST_LOCALE_MAX + ST_SOURCE_MAX) + 2 * ST_PERMISSIONS_TEXT_MAX)

void st_user_json_write(st_writer *writer, const st_user *user, int64_t now);

#endif
