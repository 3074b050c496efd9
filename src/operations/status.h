/* status - what came of a call of the store. */
#ifndef ST_OPERATIONS_STATUS_H
#define ST_OPERATIONS_STATUS_H

#include "domain/key.h"
#include "domain/store.h"

/* The same status; the log gets the error of a store that failed, or of a change in doubt. BUSY is
 * told by the request. */
st_store_status st_status_log(st_store_status status, const char *error);

/* The same context, with the time of now. */
st_audit_context st_status_now(const st_audit_context *context);

#endif
