/* The server keeps some of its settings in the store, so that commands decide by the same ones.
 * Other settings are in the configuration alone (domain/config.h).
 */
#include "operations/settings.h"

#include "domain/config.h"
#include "domain/store.h"

/* What issuing and verifying must agree on, and the names in the store. */
static const struct {
  const char *name;
  size_t offset;
} settings_shared[] = {
    {"server:leeway", offsetof(st_settings, leeway)},
    {"server:default_life", offsetof(st_settings, default_life)},
    {"server:max_life", offsetof(st_settings, max_life)},
};

bool st_settings_get(st_store *store, st_settings *settings, char *error) {
  st_config_default(settings);
  for (size_t i = 0; i < sizeof settings_shared / sizeof settings_shared[0]; i++) {
    int64_t *value = (int64_t *)(void *)((char *)settings + settings_shared[i].offset);
    if (st_store_get_setting(store, settings_shared[i].name, value, error) == ST_STORE_FAILED) {
      return false;
    }
  }
  return true;
}

/* Writes only what is new: most starts change nothing. */
static bool settings_set_changed(st_store *store, const char *name, int64_t value, char *error) {
  int64_t known = -1;
  if (st_store_get_setting(store, name, &known, error) == ST_STORE_FAILED) return false;
  return known == value || st_store_set_setting(store, name, value, error) == ST_STORE_OK;
}

/* The longest life that a token can have had, for `secret retire` and for purging. */
bool st_settings_raise_to(st_store *store, const char *name, int64_t value, char *error) {
  int64_t largest = 0;
  if (st_store_get_setting(store, name, &largest, error) == ST_STORE_FAILED) return false;
  return largest >= value || st_store_raise_setting(store, name, value, error) == ST_STORE_OK;
}

bool st_settings_set_life(st_store *store, const st_settings *settings, char *error) {
  return st_settings_raise_to(store, "max_life", settings->max_life, error) &&
         st_settings_raise_to(store, "max_leeway", settings->leeway, error);
}

bool st_settings_set(st_store *store, const st_settings *settings, char *error) {
  for (size_t i = 0; i < sizeof settings_shared / sizeof settings_shared[0]; i++) {
    const char *value = (const char *)settings + settings_shared[i].offset;
    if (!settings_set_changed(store, settings_shared[i].name, *(const int64_t *)(const void *)value,
                              error)) {
      return false;
    }
  }
  return st_settings_set_life(store, settings, error);
}
