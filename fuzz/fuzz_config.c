/* The configuration file: whole or not at all, and a reason that names a place. */
#include "base/bytes.h"
#include "domain/config.h"
#include "fuzz.h"

#define LIFE_MAX (INT64_C(36500) * 86400)

static bool within(int64_t value, int64_t least, int64_t most) {
  return value >= least && value <= most;
}

static void check_settings(const st_settings *settings) {
  HOLD(within((int64_t)settings->listen_count, 1, ST_LISTEN_MAX));
  for (size_t i = 0; i < settings->listen_count; i++) {
    const st_listen *listen = &settings->listen[i];
    st_listen again;
    HOLD(strnlen(listen->text, sizeof listen->text) < sizeof listen->text);
    HOLD(listen->kind != ST_LISTEN_NONE && st_listen_read(st_text(listen->text), &again));
    HOLD(memcmp(listen, &again, sizeof again) == 0);
  }
  HOLD(strnlen(settings->log, sizeof settings->log) < sizeof settings->log);
  HOLD(within(settings->threads, 1, 16384));
  HOLD(within(settings->leeway, 0, 3600));
  HOLD(within(settings->max_life, 1, LIFE_MAX));
  HOLD(within(settings->default_life, 1, settings->max_life));
  HOLD(within(settings->access_life, 1, LIFE_MAX));
  HOLD(within(settings->refresh_life, 1, LIFE_MAX));
  HOLD(within(settings->rate_per_second, 0, 1000000));
  HOLD(settings->rate_per_second == 0 || within(settings->rate_burst, 1, 1000000));
  HOLD(settings->proxy_count <= ST_PROXIES_MAX);
  for (size_t i = 0; i < settings->proxy_count; i++) {
    HOLD(settings->proxies[i].bits <= 128);
    HOLD(st_network_holds(&settings->proxies[i], settings->proxies[i].address));
  }
  (void)st_config_trusts(settings, ST_TEXT("192.0.2.1"));
  (void)st_config_trusts(settings, ST_TEXT("2001:db8::1"));
}

static void check_why(const char *error) {
  HOLD(memchr(error, '\0', ST_CONFIG_ERROR_MAX) != NULL);
  HOLD(strncmp(error, "line ", 5) == 0);
  HOLD(strstr(error, ", column ") != NULL);
  for (; *error != '\0'; error++) HOLD((uint8_t)*error >= 0x20 && *error != 0x7F);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_settings settings, before;
  char error[ST_CONFIG_ERROR_MAX];
  if (size > ST_CONFIG_MAX) return 0;
  char *copy = fuzz_copy(data, size);
  memset(&settings, 0x5A, sizeof settings);
  before = settings;
  memset(error, 'x', sizeof error);
  bool good = st_config_read((subtoken_text){copy, size}, &settings, error);
  HOLD(size == 0 || memcmp(copy, data, size) == 0);
  if (good) {
    check_settings(&settings);
  } else {
    HOLD(memcmp(&settings, &before, sizeof settings) == 0);
    check_why(error);
  }
  free(copy);
  return 0;
}
