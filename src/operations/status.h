/* status - what came of a call of the store. */
#ifndef ST_OPERATIONS_STATUS_H
#define ST_OPERATIONS_STATUS_H

#include "domain/key.h"
#include "domain/store.h"

/* What came of a change, for the office; a failure goes to the log. */
st_changed st_status_of(st_stored stored, const char *error);

/* The same act, now. */
st_audit_context st_status_now(const st_audit_context *act);

#endif
