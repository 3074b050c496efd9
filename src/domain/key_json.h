/* key_json - a key as JSON. */
#ifndef ST_DOMAIN_KEY_JSON_H
#define ST_DOMAIN_KEY_JSON_H

#include "base/bytes.h"
#include "domain/key.h"

/* "active", "disabled", "suspended" (its owner is disabled), "expired". */
const char *st_key_json_state(const st_key *key, int64_t now);

/* An object; whole is the key itself, or NULL where it is not shown. Never more than
 * ST_KEY_JSON_MAX bytes.
 */
#define ST_KEY_JSON_MAX (1024 + 12 * ST_NAME_MAX + 2 * ST_PERMISSIONS_TEXT_MAX)

void st_key_json_write(st_writer *writer, const st_key *key, const char *whole, int64_t now);

/* {"keys":2,"users":1,"ended":false,"list":[{"key":"ID"},{"user":"LOGIN"}]}, and "more":true when
 * there may be more than was counted. Never more than ST_MADE_JSON_MAX bytes.
 */
#define ST_MADE_JSON_MAX (256 + ST_DERIVED_LISTED * (32 + 6 * ST_NAME_MAX))

void st_key_json_write_made(st_writer *writer, const st_derived *made);

#endif
