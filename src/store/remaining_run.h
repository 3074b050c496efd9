/* remaining_run - makes changes of users and of what is theirs, and does what large ones have left
 * to do (remaining.h), in turns between which others write.
 */
#ifndef ST_STORE_REMAINING_RUN_H
#define ST_STORE_REMAINING_RUN_H

#include "store/remaining.h"

/* st_transaction_run; but when the change needs something before it can be made, that is done, and
 * the change made again, within its deadline. ST_STORE_BUSY when that is over before.
 */
st_store_status st_remaining_run(st_store *store, st_change_fn *make, const st_change *change,
                                 char *error) __attribute__((warn_unused_result));

/* Within a change: how many keys and sessions of the owner there are, or (permissions not NULL)
 * hold one of these. They are counted before the change takes its turn: ST_STORE_BUSY, as of
 * st_remaining_check, so it is asked before anything is changed.
 */
st_store_status st_remaining_count(st_db *db, const st_change *change, const char *owner,
                                   const char *permissions, st_ended *count)
    __attribute__((warn_unused_result));

#endif
