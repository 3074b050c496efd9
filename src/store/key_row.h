/* key_row - the row that a key, a user and a session have alike: made, and looked up for what
 * something new is made with.
 */
#ifndef ST_STORE_KEY_ROW_H
#define ST_STORE_KEY_ROW_H

#include "store/transaction.h"

/* Of a sub, a tid and the name of an audience. */
#define ST_KEY_ROW_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

/* What could not be read back must not be written. */
bool st_key_row_has_len(const char *text, size_t len) __attribute__((warn_unused_result));
bool st_key_row_storable(const st_key *key) __attribute__((warn_unused_result));

/* Within a change: the living row of an id; ST_STORE_NOT_FOUND. */
st_store_status st_key_row_find(st_db *db, const char *id, st_key *key)
    __attribute__((warn_unused_result));
/* ST_STORE_OK when the sub has never been revoked, nor falls on a hash that is listed. */
st_store_status st_key_row_sub_is_new(st_db *db, const char *sub)
    __attribute__((warn_unused_result));
/* made_by: the id of the row that it is made with, or NULL. */
st_store_status st_key_row_insert(st_db *db, const st_key *key, const uint8_t digest[32],
                                  const char *made_by) __attribute__((warn_unused_result));

/* The row of change->grantor: ST_STORE_DENIED when it is not in force. */
st_store_status st_key_row_grantor(st_db *db, const st_change *change, st_key *row)
    __attribute__((warn_unused_result));
/* It is in force, has all permissions of the key, is bound to the same audience or to none, and
 * does not end before the key; or there is no grantor. */
st_store_status st_key_row_may_grant(st_db *db, const st_change *change, const st_key *key)
    __attribute__((warn_unused_result));

/* When it expires, as the row has it. */
st_value st_key_row_expiry(int64_t expires_at);

/* Columns of a key that the management asks for: the row and used_at, made_by, disabled_by_owner,
 * rotated_at.
 * An st_query_take_fn. */
bool st_key_row_take(const st_row *row, void *key) __attribute__((warn_unused_result));

#endif
