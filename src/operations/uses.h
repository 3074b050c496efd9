/* uses - which keys were used lately. */
#ifndef ST_OPERATIONS_USES_H
#define ST_OPERATIONS_USES_H

#include "domain/store.h"

/* Notes that the key with this id was used. */
void st_uses_note(void *context, const char *id, int64_t now);

/* What was noted since the last call, for the caller to free; NULL when there is nothing. */
st_key_use *st_uses_take(size_t *count);

#endif
