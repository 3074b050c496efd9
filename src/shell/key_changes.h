/* key_changes - what the office may change in the store, with this machine's time and
 * randomness.
 */
#ifndef ST_SHELL_KEY_CHANGES_H
#define ST_SHELL_KEY_CHANGES_H

#include "app/service.h"
#include "store/sqlite.h"

st_key_changes st_key_changes_of(st_store *store);

/* Give a key a sub that was never used; *sequence may be NULL. */
st_stored st_key_new_sub(st_store *store, const char *id, int64_t *sequence, char *why)
    __attribute__((warn_unused_result));

#endif
