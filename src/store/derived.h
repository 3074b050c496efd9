/* derived - what was made with a key or by a user, for others: it does not end with them. */
#ifndef ST_STORE_DERIVED_H
#define ST_STORE_DERIVED_H

#include "store/transaction.h"

/* Before a change of the row, find it. held: the permissions that the row keeps; only what was made
 * with others is found. NULL: all of it.
 */
st_store_status st_derived_find(st_db *db, const st_change *change, const st_key *row,
                                const char *held, st_derived *made)
    __attribute__((warn_unused_result));
/* After the change: count what is still valid, end it when the caller of the store asked for that,
 * and tell the caller. kind, name: "key" and an id, "user" and a username; for the audit lines of
 * what ends. Uses the row set.
 */
st_store_status st_derived_settle(st_db *db, const st_change *change, const char *kind,
                                  const char *name, st_derived *made)
    __attribute__((warn_unused_result));

#endif
