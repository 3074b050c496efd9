/* permissions - a list of permissions as text. */
#ifndef ST_DOMAIN_PERMISSIONS_H
#define ST_DOMAIN_PERMISSIONS_H

#include "base/bytes.h"
#include "domain/key.h"

/* A list with commas, for --permissions: valid, none twice, at most 64. out gets it as it is
 * kept, without the spaces and tabs around its items. */
bool st_permissions_read(const char *list, char out[ST_PERMISSIONS_TEXT_MAX + 1])
    __attribute__((warn_unused_result));

/* Of lists as they are kept: joined by commas, empty for none. Does one hold a permission, and does
 * outer hold each of inner?
 */
bool st_permissions_contain(const char *list, subtoken_text permission);
bool st_permissions_within(const char *inner, const char *outer);
/* Is one permission in both? */
bool st_permissions_meet(const char *one, const char *other);

/* Such a list as a JSON array of strings, of at most ST_PERMISSIONS_JSON_MAX bytes: a permission
 * needs no escapes.
 */
#define ST_PERMISSIONS_JSON_MAX (2 + SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 3))
void st_permissions_write_json(st_writer *writer, const char *permissions);

#define ST_PERMISSIONS_FORM                                                                        \
  "permissions: must be a comma-separated list of at most 64 names without duplicates, each of 1 " \
  "to 64 printable ASCII characters without space, quote, comma or backslash"

#endif
