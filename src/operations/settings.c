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

bool st_data_settings(st_store *store, st_settings *settings, char *why) {
  st_settings_default(settings);
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    int64_t *value = (int64_t *)(void *)((char *)settings + agreed[i].offset);
    if (st_store_recall(store, agreed[i].name, value, why) == ST_STORE_FAILED) return false;
  }
  return true;
}

/* Writes only what is new: most starts change nothing. */
static bool remember_new(st_store *store, const char *name, int64_t value, char *why) {
  int64_t known = -1;
  if (st_store_recall(store, name, &known, why) == ST_STORE_FAILED) return false;
  return known == value || st_store_remember(store, name, value, why) == ST_STORED;
}

/* How long a token can live that was ever made: `secret retire` asks for it, and purging. Only
 * what is new takes the writer: most starts change nothing.
 */
static bool remember_largest(st_store *store, const char *name, int64_t value, char *why) {
  int64_t largest = 0;
  if (st_store_recall(store, name, &largest, why) == ST_STORE_FAILED) return false;
  return largest >= value || st_store_remember_largest(store, name, value, why) == ST_STORED;
}

bool st_data_remember_life(st_store *store, const st_settings *settings, char *why) {
  return remember_largest(store, "max_life", settings->max_life, why) &&
         remember_largest(store, "max_leeway", settings->leeway, why);
}

bool st_data_remember_settings(st_store *store, const st_settings *settings, char *why) {
  for (size_t i = 0; i < sizeof agreed / sizeof agreed[0]; i++) {
    const char *value = (const char *)settings + agreed[i].offset;
    if (!remember_new(store, agreed[i].name, *(const int64_t *)(const void *)value, why)) {
      return false;
    }
  }
  return st_data_remember_life(store, settings, why);
}
