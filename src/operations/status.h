/* status - what came of a call of the store. */
#ifndef ST_OPERATIONS_STATUS_H
#define ST_OPERATIONS_STATUS_H

#include "domain/key.h"
#include "domain/store.h"

/* What came of a change, for the office; a failure goes to the log. */
st_changed st_key_changes_told(st_stored stored, const char *why);

/* The same act, now. */
st_act st_key_changes_now(const st_act *act);

#endif
