/* key_changes - what the office may change in the store, with this machine's time and
 * randomness.
 */
#ifndef ST_OPERATIONS_KEYS_H
#define ST_OPERATIONS_KEYS_H

#include "domain/key.h"
#include "domain/store.h"

st_key_changes st_keys_changes_of(st_store *store);
/* The two questions of each request; a failure goes to the log, once, as it is met. */
st_keys st_keys_of(st_store *store);

/* Make a key with an id, key and sub that were never used; whole is to be wiped. */
st_store_status st_keys_create(st_store *store, const st_audit_context *act,
                               const st_grantor *maker, st_key *key, char whole[ST_KEY_LEN + 1],
                               char *error) __attribute__((warn_unused_result));

/* A key that is a string known by its hash (st_key_string_hash). ST_STORE_EXISTS: it is, or was,
 * registered.
 */
st_store_status st_keys_register(st_store *store, const st_audit_context *act, st_key *key,
                                 const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));
/* Give a key a sub that was never used; *sequence may be NULL. */
st_store_status st_keys_new_sub(st_store *store, const st_audit_context *act, const char *id,
                                int64_t *sequence, char *error) __attribute__((warn_unused_result));

#endif
