/* opaque_string - a password as it is hashed and compared: the OpaqueString profile of RFC 8265
 * section 4.2. One keyboard sends `é` as one character, another as an `e` and an accent: both are
 * the same password. Spaces of every kind are the same, too.
 */
#ifndef ST_OPERATIONS_OPAQUE_STRING_H
#define ST_OPERATIONS_OPAQUE_STRING_H

#include "domain/password.h"
#include "subtoken/common.h"

/* No text becomes longer than three times its length (Unicode Standard Annex 15). */
#define ST_OPAQUE_STRING_MAX ((size_t)3 * ST_PASSWORD_MAX)

/* Normalization form C of what was typed, spaces of every kind as U+0020: in out, or what was typed
 * itself where that is the same. What is not UTF-8, or longer than ST_PASSWORD_MAX, stays as it is.
 * Wipe out afterwards.
 */
subtoken_text st_opaque_string_enforce(subtoken_text typed, char out[ST_OPAQUE_STRING_MAX]);

#endif
