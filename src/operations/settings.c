/* What the server runs with is kept in the store, so that commands decide by the same settings. */
#include "operations/settings.h"

#include "domain/config.h"
#include "domain/store.h"

/* The settings that both sides of a token have to agree on, and their names there. */
static const struct {
  const char *name;
  size_t offset;
} agreed[] = {
    {"server:leeway", offsetof(st_settings, leeway)},
    {"server:default_life", offsetof(st_settings, default_life)},
    {"server:max_life", offsetof(st_settings, max_life)},
};

bool st_settings_get(st_store *store, st_settings *settings, char *error) {
  st_config_default(settings);
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    int64_t *value = (int64_t *)(void *)((char *)settings + agreed[i].offset);
    if (st_store_get_setting(store, agreed[i].name, value, error) == ST_STORE_FAILED) return false;
  }
  return true;
}

/* Writes only what is new: most starts change nothing. */
static bool settings_set_changed(st_store *store, const char *name, int64_t value, char *error) {
  int64_t known = -1;
  if (st_store_get_setting(store, name, &known, error) == ST_STORE_FAILED) return false;
  return known == value || st_store_set_setting(store, name, value, error) == ST_STORE_OK;
}

/* How long a token can live that was ever made: `secret retire` asks for it, and purging. Only
 * what is new takes the writer: most starts change nothing.
 */
static bool settings_raise(st_store *store, const char *name, int64_t value, char *error) {
  int64_t largest = 0;
  if (st_store_get_setting(store, name, &largest, error) == ST_STORE_FAILED) return false;
  return largest >= value || st_store_raise_setting(store, name, value, error) == ST_STORE_OK;
}

bool st_settings_set_life(st_store *store, const st_settings *settings, char *error) {
  return settings_raise(store, "max_life", settings->max_life, error) &&
         settings_raise(store, "max_leeway", settings->leeway, error);
}

bool st_settings_set(st_store *store, const st_settings *settings, char *error) {
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    const char *value = (const char *)settings + agreed[i].offset;
    if (!settings_set_changed(store, agreed[i].name, *(const int64_t *)(const void *)value,
                              error)) {
      return false;
    }
  }
  return st_settings_set_life(store, settings, error);
}
