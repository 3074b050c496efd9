/* expiring_keys - a line a day in the log for keys that end soon. */
#ifndef ST_SERVER_EXPIRING_KEYS_H
#define ST_SERVER_EXPIRING_KEYS_H

#include "domain/store.h"

#define ST_EXPIRING_DAYS 30

/* Called at times, by one thread. Logs keys_expiring when there are such keys and no server of this
 * store has done so since the day began, in UTC.
 */
void st_expiring_keys_log(st_store *store, int64_t now);

#endif
