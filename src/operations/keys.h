/* keys - parent keys, for the service and for commands. */
#ifndef ST_OPERATIONS_KEYS_H
#define ST_OPERATIONS_KEYS_H

#include "domain/key.h"
#include "domain/store.h"

/* The tables of functions that the service calls: to manage keys, and to look up the key of each
 * request. Failures of the store go to the log.
 */
st_key_changes st_keys_changes_of(st_store *store);
st_keys st_keys_of(st_store *store);

/* Make a key with an id, key and sub that were never used; whole is the caller's to wipe. */
st_store_status st_keys_create(st_store *store, const st_audit_context *context,
                               const st_grantor *grantor, st_key *key, char whole[ST_KEY_LEN + 1],
                               char *error) __attribute__((warn_unused_result));

/* Register a string by its hash (st_key_string_hash) as a key. ST_STORE_EXISTS: it is registered,
 * or was.
 */
st_store_status st_keys_register(st_store *store, const st_audit_context *context, st_key *key,
                                 const uint8_t digest[32], char *error)
    __attribute__((warn_unused_result));

/* Give a key a sub that was never used; *sequence may be NULL. */
st_store_status st_keys_new_sub(st_store *store, const st_audit_context *context, const char *id,
                                int64_t *sequence, char *error) __attribute__((warn_unused_result));

/* Give a key another second half: whole is the caller's to wipe. The one before is good for so many
 * seconds; 0: no longer. *key: as it is afterwards. whole is empty unless ST_STORE_OK. */
st_store_status st_keys_rotate(st_store *store, const st_audit_context *context,
                               const st_grantor *grantor, const char *id, int64_t overlap,
                               st_key *key, char whole[ST_KEY_LEN + 1], char *error)
    __attribute__((warn_unused_result));

#endif
