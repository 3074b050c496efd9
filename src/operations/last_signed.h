/* last_signed - the store knows of each secret of the ring when it last signed, so that one is not
 * retired while its tokens may be valid. What is not known counts as "it still signs". Functions
 * answer false, with a sentence in error (ST_ERROR_MAX bytes), when the store failed.
 */
#ifndef ST_OPERATIONS_LAST_SIGNED_H
#define ST_OPERATIONS_LAST_SIGNED_H

#include "domain/store.h"

/* when: 0 for never, ST_NEVER while it signs. kid: empty for the secret without a name. */
bool st_last_signed_set(st_store *store, subtoken_text kid, int64_t when, char *error)
    __attribute__((warn_unused_result));

/* A secret that is not the first of the ring any more: if it is said to sign, it did until now. */
bool st_last_signed_end(st_store *store, subtoken_text kid, int64_t now, char *error)
    __attribute__((warn_unused_result));

/* *until: when the last token that it signed expires; 0 for no token, ST_NEVER when that is not
 * known. */
bool st_last_signed_valid_until(st_store *store, subtoken_text kid, int64_t *until, char *error)
    __attribute__((warn_unused_result));

#endif
