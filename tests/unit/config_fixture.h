/* config_fixture - a settings file as text, read into settings, or refused with an error.
 */
#ifndef TESTS_UNIT_CONFIG_FIXTURE_H
#define TESTS_UNIT_CONFIG_FIXTURE_H

#include "support.h"

#include "domain/config.h"

static st_settings settings;
static char error[ST_CONFIG_ERROR_MAX];

static inline bool read_config(const char *text) {
  subtoken_text exact_text = exact_string(text);
  st_config_default(&settings);
  memset(error, 'x', sizeof error);
  bool good = st_config_read(exact_text, &settings, error);
  release(exact_text);
  return good;
}

static inline void must_read(const char *text) {
  CHECK(read_config(text), "%s: %s", text, error);
}

/* Refused, with that text, and nothing of it taken. */
static inline void must_refuse(const char *text, const char *expected) {
  st_settings before;
  st_config_default(&before);
  CHECK(!read_config(text), "%s: taken", text);
  CHECK(strncmp(error, expected, strlen(expected)) == 0, "%s: %s", text, error);
  CHECK(memcmp(&settings, &before, sizeof settings) == 0, "%s: something was taken", text);
}

#endif
