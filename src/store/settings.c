/* Keeps numbers under names, for what must outlive a restart. The settings of a server are not
 * these: they are in its configuration (domain/config.h).
 */
#include "store/settings.h"

#include "store/query.h"
#include "store/transaction.h"

st_store_status st_settings_read(st_db *db, const char *name, int64_t otherwise, int64_t *value) {
  *value = otherwise;
  st_store_status found =
      st_db_query_number(db, ST_SQL_SETTING_GET, ST_VALUES(st_db_text(name)), value);
  return found == ST_STORE_NOT_FOUND ? ST_STORE_OK : found;
}

st_store_status st_settings_write(st_db *db, const char *name, int64_t value) {
  return st_db_run(db, ST_SQL_SETTING_SET, ST_VALUES(st_db_text(name), st_db_number(value)));
}

st_store_status st_settings_raise(st_db *db, const char *name, int64_t value) {
  return st_db_run(db, ST_SQL_SETTING_RAISE, ST_VALUES(st_db_text(name), st_db_number(value)));
}

static st_store_status make_setting(st_db *db, const st_change *change) {
  return st_settings_write(db, change->id, *(const int64_t *)change->data);
}

st_store_status st_store_set_setting(st_store *store, const char *name, int64_t value,
                                     char *error) {
  return st_transaction_run(store, make_setting, &(st_change){.id = name, .data = &value}, error);
}

static st_store_status make_raised(st_db *db, const st_change *change) {
  return st_settings_raise(db, change->id, *(const int64_t *)change->data);
}

st_store_status st_store_raise_setting(st_store *store, const char *name, int64_t value,
                                       char *error) {
  return st_transaction_run(store, make_raised, &(st_change){.id = name, .data = &value}, error);
}

st_store_status st_store_get_setting(st_store *store, const char *name, int64_t *value,
                                     char *error) {
  return st_query_integer(store, ST_SQL_SETTING_GET, ST_VALUES(st_db_text(name)), value, error);
}
