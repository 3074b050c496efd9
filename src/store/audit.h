/* audit - lines of the audit log, written within the change that they tell of. */
#ifndef ST_STORE_AUDIT_H
#define ST_STORE_AUDIT_H

#include "store/audit_detail.h"

/* detail is cut to fit. */
st_store_status st_audit_write(st_db *db, const st_change *change, const char *action,
                               const char *target, const char *detail)
    __attribute__((warn_unused_result));
/* The same with what was written to a detail; ST_STORE_FAILED when that overflowed. */
st_store_status st_audit_write_detail(st_db *db, const st_change *change, const char *action,
                                      const char *target, st_writer *detail)
    __attribute__((warn_unused_result));
/* One whose detail tells of a row, and before that how much has ended besides, and what was made
 * with the row; both may be NULL.
 */
st_store_status st_audit_write_row(st_db *db, const st_change *change, const char *action,
                                   const st_key *row, const st_ended *ended, const st_derived *made)
    __attribute__((warn_unused_result));

/* Within a change, when the uptime has grown: which lines there are by then. */
st_store_status st_audit_mark(st_db *db, int64_t before, int64_t uptime)
    __attribute__((warn_unused_result));

#endif
