/* settings - numbers that the store keeps under names, read within a change. */
#ifndef ST_STORE_SETTINGS_H
#define ST_STORE_SETTINGS_H

#include "store/db.h"

/* The names that the rules of this folder use. */
#define ST_SETTING_MAX_LIFE "max_life"     /* the longest life of a token that was ever given */
#define ST_SETTING_UPTIME "lived"          /* seconds that servers of this store have run */
#define ST_SETTING_SWEEP_TIME "sweep_time" /* the time by which sessions are removed */
#define ST_SETTING_HASH_KEY_0 "hash_key_0"
#define ST_SETTING_HASH_KEY_1 "hash_key_1"

st_store_status st_settings_read(st_db *db, const char *name, int64_t otherwise, int64_t *value)
    __attribute__((warn_unused_result));
st_store_status st_settings_write(st_db *db, const char *name, int64_t value)
    __attribute__((warn_unused_result));
/* Unless the one that is there is as large. */
st_store_status st_settings_raise(st_db *db, const char *name, int64_t value)
    __attribute__((warn_unused_result));

#endif
