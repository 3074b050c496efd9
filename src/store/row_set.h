/* row_set - the set of rows that a change is about, however many they are: filled with ST_SQL_SET_*
 * statements, then ended, listed or removed with one statement each. It belongs to the connection
 * and keeps what the last change left: clear it before it is filled.
 */
#ifndef ST_STORE_ROW_SET_H
#define ST_STORE_ROW_SET_H

#include "store/transaction.h"

/* How many rows ended. */
typedef struct st_ended {
  int64_t rows, keys, sessions;
} st_ended;

st_store_status st_row_set_clear(st_db *db) __attribute__((warn_unused_result));
/* This row alone. */
st_store_status st_row_set_of(st_db *db, const char *id) __attribute__((warn_unused_result));

/* End the rows of the set and the sessions that rest on them: their subs are revoked for ever, the
 * revocation data lists them. because: for the lines of keys in the audit log; NULL: no such lines.
 */
st_store_status st_row_set_end(st_db *db, const st_change *change, const char *because,
                               st_ended *ended) __attribute__((warn_unused_result));
/* The same of the rows in it alone. */
st_store_status st_row_set_end_these(st_db *db, const st_change *change, const char *because,
                                     st_ended *ended) __attribute__((warn_unused_result));
/* The revocation data lists the rows of the set while they are disabled or suspended, and else
 * does not. */
st_store_status st_row_set_relist(st_db *db, const st_change *change)
    __attribute__((warn_unused_result));
/* Remove sessions that ended before a time, at most so many: *removed tells how many it were. */
st_store_status st_row_set_sweep_sessions(st_db *db, int64_t before, int64_t limit,
                                          int64_t *removed) __attribute__((warn_unused_result));

/* The row gets a new sub; the old one is revoked. Leaves the set with this row. */
st_store_status st_row_set_new_sub(st_db *db, const st_change *change, const char *id,
                                   const char *sub) __attribute__((warn_unused_result));
/* End the sessions that were made with a row. */
st_store_status st_row_set_end_sessions(st_db *db, const st_change *change, const char *id,
                                        st_ended *ended) __attribute__((warn_unused_result));

#endif
