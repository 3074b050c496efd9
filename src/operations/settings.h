/* settings - settings that the store keeps for all processes. */
#ifndef ST_OPERATIONS_SETTINGS_H
#define ST_OPERATIONS_SETTINGS_H

#include "domain/config.h"
#include "domain/store.h"

/* The leeway and lives that the server of this store runs with, over the defaults. It sets them
 * whenever it activates a configuration.
 */
bool st_settings_get(st_store *store, st_settings *settings, char *error);
bool st_settings_set(st_store *store, const st_settings *settings, char *error);

/* Before a token with such a life is signed, so that a revoked sub stays listed for as long as any
 * of its tokens may live. The life in the store never falls. raise: of one number; nothing is
 * written when the store has as much.
 */
bool st_settings_raise_to(st_store *store, const char *name, int64_t value, char *error)
    __attribute__((warn_unused_result));
bool st_settings_set_life(st_store *store, const st_settings *settings, char *error)
    __attribute__((warn_unused_result));

#endif
