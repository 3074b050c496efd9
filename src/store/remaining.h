/* remaining - what a change of a user with many keys has left to do.
 *
 * Such a change writes one row of the table `remaining` instead of changing each key and session:
 * which of the owner's rows end, or are suspended or not, and at which sequence. From its commit
 * on, everybody who reads sees them so through that row: the statements of requests, of the
 * management and of the revocation data take it into account. Steps of bounded size then do to the
 * rows what the change has said, at its sequence and with its lines in the audit log. A step
 * changes nothing of what is seen, so it does not matter when it is done, by whom, or whether one
 * was killed.
 *
 * An owner has one such row at most: the next change of the same user first does the rest
 * (remaining_run.h). A change of a single key first does to it what is left (st_remaining_settle).
 */
#ifndef ST_STORE_REMAINING_H
#define ST_STORE_REMAINING_H

#include "store/row_set.h"

/* What happens to the owner's keys, or to those that hold a permission, and to their sessions: they
 * end; or the keys are suspended and the sessions end; or the keys are no longer suspended.
 */
#define ST_REMAINING_END "end"
#define ST_REMAINING_SUSPEND "suspend"
#define ST_REMAINING_RESUME "resume"

/* ---- within a change ---- */

/* ST_STORE_OK when nothing remains for the owner. Otherwise ST_STORE_BUSY: st_remaining_run does
 * the rest and makes the change again. */
st_store_status st_remaining_check(st_db *db, const st_change *change, const char *owner)
    __attribute__((warn_unused_result));
/* The same when a new key of the owner, with these permissions, would end. */
st_store_status st_remaining_check_key(st_db *db, const st_change *change, const char *owner,
                                       const char *permissions) __attribute__((warn_unused_result));
/* The same when something remains for anybody. */
st_store_status st_remaining_check_all(st_db *db, const st_change *change)
    __attribute__((warn_unused_result));

/* Has the owner so many keys and sessions that a change of all of them is left to steps? */
st_store_status st_remaining_is_large(st_db *db, const char *owner, bool *large)
    __attribute__((warn_unused_result));
typedef struct st_remaining {
  const char *owner;
  const char *what;        /* ST_REMAINING_... */
  const char *permissions; /* of END: of rows that hold one of these; NULL: of all */
  const char *because;     /* for the lines of keys in the audit log; NULL: no such lines */
} st_remaining;
/* From the commit on it is in force. Takes a sequence. */
st_store_status st_remaining_begin(st_db *db, const st_change *change, const st_remaining *what)
    __attribute__((warn_unused_result));

/* What remains of a key and its sessions is done now: they are as they seem. Uses the row set. */
st_store_status st_remaining_settle(st_db *db, const char *id) __attribute__((warn_unused_result));
/* The same of the derived rows. */
st_store_status st_remaining_settle_derived(st_db *db) __attribute__((warn_unused_result));

/* Does one step: for an owner, or (NULL) for anybody. *left: there may be more. */
st_store_status st_remaining_step(st_db *db, const char *owner, bool *left)
    __attribute__((warn_unused_result));

#endif
