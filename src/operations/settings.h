/* settings - settings that the store keeps for all processes. */
#ifndef ST_OPERATIONS_SETTINGS_H
#define ST_OPERATIONS_SETTINGS_H

#include "domain/config.h"
#include "domain/store.h"

/* The leeway and lives that the server of this store runs with, over the defaults. It
 * remembers them in the store whenever it takes up a configuration.
 */
bool st_data_settings(st_store *store, st_settings *settings, char *why);
bool st_data_remember_settings(st_store *store, const st_settings *settings, char *why);

/* The life that a token may be given: before whoever gives it signs the first, so that a revoked
 * sub stays listed for as long as any of its tokens may live. It never falls.
 */
bool st_data_remember_life(st_store *store, const st_settings *settings, char *why)
    __attribute__((warn_unused_result));

#endif
