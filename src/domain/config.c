/* The text of the configuration file to settings, whole or not at all: one reader a setting, and
 * the place of what is wrong. cJSON is used nowhere else.
 */
#include "domain/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/impossible.h"
#include "base/json.h"
#include "cJSON.h"
#include "domain/listen.h"
#include "domain/names.h"
#include "domain/store_location.h"

#define DAY INT64_C(86400)
#define LIFE_MAX (INT64_C(36500) * DAY)

void st_config_default(st_settings *settings) {
  memset(settings, 0, sizeof *settings);
  settings->listen_count = st_listen_read(ST_TEXT("127.0.0.1:8080"), &settings->listen[0]);
  settings->threads = 512;
  settings->leeway = 60;
  settings->default_life = 30 * DAY;
  settings->max_life = 365 * DAY;
  settings->access_life = 900;
  settings->refresh_life = 30 * DAY;
  settings->refresh_retry = 30;
  settings->sessions_per_key = 100;
  settings->keys_per_owner = 1000;
  settings->idle_timeout = 75;
  settings->credentials = ST_FORMS_ALL;
  settings->page = true;
  settings->store_staleness = 1;
  settings->store_cache = 64;
  settings->metrics = true;
}

bool st_config_trusts(const st_settings *settings, subtoken_text address) {
  st_network one;
  if (settings->trusts_unix && st_text_is(address, ST_PEER_UNIX)) return true;
  if (settings->proxy_count == 0) return false;
  st_cutter zone = {address, false}; /* fe80::1%eth0: RFC 4007 section 11 */
  (void)st_cut(&zone, '%', &address);
  if (!st_network_read(address, &one)) return false;
  for (size_t i = 0; i < settings->proxy_count; i++) {
    if (st_network_holds(&settings->proxies[i], one.address)) return true;
  }
  return false;
}

/* One reader a kind of value; each answers what the value must be, or NULL. The settings that it
 * gets are the defaults but for what has been read, each name once.
 */

#define CONFIG_TIME "must be whole seconds, or a number with s, m, h or d: "
#define CONFIG_LIFE CONFIG_TIME "1 second to 36500 days"

/* error: CONFIG_TIME and the bounds. */
static const char *config_read_life(const cJSON *value, int64_t *seconds, int64_t least,
                                    int64_t most, const char *error) {
  int64_t value_read = -1;
  if (cJSON_IsString(value)) {
    if (!st_date_read_duration(st_text(value->valuestring), &value_read)) value_read = -1;
  } else if (cJSON_IsNumber(value) && value->valuedouble >= 0 &&
             value->valuedouble <= (double)LIFE_MAX &&
             value->valuedouble == (double)(int64_t)value->valuedouble) {
    value_read = (int64_t)value->valuedouble;
  }
  if (value_read < least || value_read > most) return error;
  *seconds = value_read;
  return NULL;
}

static const char *config_read_count(const cJSON *value, int64_t *count, int64_t most,
                                     const char *error) {
  if (!cJSON_IsNumber(value) || value->valuedouble < 1 || value->valuedouble > (double)most ||
      value->valuedouble != (double)(int64_t)value->valuedouble) {
    return error;
  }
  *count = (int64_t)value->valuedouble;
  return NULL;
}

static const char *config_read_string(const cJSON *value, char *out, size_t size) {
  if (!cJSON_IsString(value) || st_text(value->valuestring).len >= size ||
      value->valuestring[0] == '\0') {
    return "must be a string that is neither empty nor too long";
  }
  memcpy(out, value->valuestring, st_text(value->valuestring).len + 1);
  return NULL;
}

static const char *config_read_bool(const cJSON *value, bool *out) {
  if (!cJSON_IsBool(value)) return "must be true or false";
  *out = cJSON_IsTrue(value);
  return NULL;
}

static const char *config_read_listen(const cJSON *value, st_settings *settings) {
  static const char error[] =
      "must be ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080, or unix:/PATH (at most 100 "
      "bytes), "
      "or an array of 1 to 16 of them";
  const cJSON *item = cJSON_IsArray(value) ? value->child : value;
  settings->listen_count = 0;
  for (; item != NULL; item = cJSON_IsArray(value) ? item->next : NULL) {
    if (settings->listen_count == ST_LISTEN_MAX || !cJSON_IsString(item) ||
        !st_listen_read(st_text(item->valuestring), &settings->listen[settings->listen_count])) {
      return error;
    }
    settings->listen_count++;
  }
  return settings->listen_count > 0 ? NULL : error;
}

static const char *config_read_behind_tls(const cJSON *value, st_settings *settings) {
  return config_read_bool(value, &settings->behind_tls);
}

static const char *config_read_threads(const cJSON *value, st_settings *settings) {
  return config_read_count(value, &settings->threads, 16384,
                           "must be a whole number from 1 to 16384");
}

static const char *config_read_leeway(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->leeway, 0, 3600, CONFIG_TIME "0 to 1 hour");
}

static const char *config_read_default_life(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->default_life, 1, LIFE_MAX, CONFIG_LIFE);
}

static const char *config_read_max_life(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->max_life, 1, LIFE_MAX, CONFIG_LIFE);
}

static const char *config_read_access_life(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->access_life, 1, LIFE_MAX, CONFIG_LIFE);
}

static const char *config_read_refresh_life(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->refresh_life, 1, LIFE_MAX, CONFIG_LIFE);
}

static const char *config_read_idle_timeout(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->idle_timeout, 1, 3600,
                          CONFIG_TIME "1 second to 1 hour");
}

static const char *config_read_refresh_retry(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->refresh_retry, 0, 60, CONFIG_TIME "0 to 60 seconds");
}

static const char *config_read_sessions_per_key(const cJSON *value, st_settings *settings) {
  return config_read_count(value, &settings->sessions_per_key, 100000,
                           "must be a whole number from 1 to 100000");
}

static const char *config_read_keys_per_owner(const cJSON *value, st_settings *settings) {
  return config_read_count(value, &settings->keys_per_owner, 1000000,
                           "must be a whole number from 1 to 1000000");
}

static const char *config_read_audit_keep(const cJSON *value, st_settings *settings) {
  if (cJSON_IsString(value) && strcmp(value->valuestring, "never") == 0) return NULL;
  return config_read_life(
      value, &settings->audit_keep, DAY, LIFE_MAX,
      "must be \"never\" (remove nothing), or a time of 1 to 36500 days, such as \"90d\"");
}

static const char *config_read_log(const cJSON *value, st_settings *settings) {
  const char *error = config_read_string(value, settings->log, sizeof settings->log);
  if (st_text_is(st_text(settings->log), "stderr")) settings->log[0] = '\0';
  return error;
}

static const char *config_read_policy(const cJSON *value, st_settings *settings) {
  return config_read_string(value, settings->policy, sizeof settings->policy);
}

/* What is left after a host, as far as a URL has one (RFC 3986 section 3.2.2); false: it has none.
 * There is at least one character. */
static bool config_cut_host(subtoken_text *rest) {
  bool address = rest->data[0] == '[';
  size_t len = address ? 1 : 0;
  for (; len < rest->len; len++) {
    char c = rest->data[len];
    bool letter = (st_class_of(c) & ST_CHAR_NAME) != 0 && c != '_';
    if (!letter && c != (address ? ':' : '.')) break;
  }
  if (address) {
    if (len < 4 || len == rest->len || rest->data[len] != ']') return false;
    len++;
  }
  *rest = (subtoken_text){rest->data + len, rest->len - len};
  return len > 0;
}

static bool config_cut_port(subtoken_text *rest) {
  size_t len = 1;
  if (rest->len == 0 || rest->data[0] != ':') return true;
  while (len < rest->len && rest->data[len] >= '0' && rest->data[len] <= '9') len++;
  if (len == 1 || len > 6) return false;
  *rest = (subtoken_text){rest->data + len, rest->len - len};
  return true;
}

/* https://HOST[:PORT][/PATH], which goes into JSON and in front of other paths as it is. */
static bool config_issuer_valid(subtoken_text text) {
  subtoken_text scheme = ST_TEXT("https://"), segment;
  if (text.len <= scheme.len || memcmp(text.data, scheme.data, scheme.len) != 0) return false;
  subtoken_text rest = {text.data + scheme.len, text.len - scheme.len};
  if (!config_cut_host(&rest) || !config_cut_port(&rest)) return false;
  if (rest.len == 0) return true;
  if (rest.data[0] != '/' || (st_text_class(rest) & ST_CHAR_PATH) == 0) return false;
  st_cutter cutter = {{rest.data + 1, rest.len - 1}, false};
  while (st_cut(&cutter, '/', &segment)) {
    if (segment.len == 0 || st_text_is(segment, ".") || st_text_is(segment, "..")) return false;
  }
  return true;
}

static const char *config_read_issuer(const cJSON *value, st_settings *settings) {
  static const char error[] =
      "must be a URL such as https://auth.example.com: https, a host, perhaps a port and a path; "
      "without a query, a fragment or a slash at its end; at most 255 bytes";
  if (config_read_string(value, settings->issuer, sizeof settings->issuer) != NULL) return error;
  return config_issuer_valid(st_text(settings->issuer)) ? NULL : error;
}

static const char *config_read_proxies(const cJSON *value, st_settings *settings) {
  static const char error[] = "must be an array of at most 32 addresses, networks or \"unix:\"";
  if (!cJSON_IsArray(value)) return error;
  for (const cJSON *item = value->child; item != NULL; item = item->next) {
    if (cJSON_IsString(item) && strcmp(item->valuestring, ST_PEER_UNIX) == 0) {
      settings->trusts_unix = true;
      continue;
    }
    if (settings->proxy_count == ST_PROXIES_MAX || !cJSON_IsString(item) ||
        !st_network_read(st_text(item->valuestring), &settings->proxies[settings->proxy_count])) {
      return error;
    }
    settings->proxy_count++;
  }
  return NULL;
}

static const char *config_read_rate(const cJSON *value, st_settings *settings) {
  static const char error[] =
      "must be \"off\" or {\"per_second\":N,\"burst\":N}, each a whole number from 1 to 1000000";
  if (cJSON_IsString(value) && st_text_is(st_text(value->valuestring), "off")) return NULL;
  const cJSON *per_second = cJSON_GetObjectItemCaseSensitive(value, "per_second");
  const cJSON *burst = cJSON_GetObjectItemCaseSensitive(value, "burst");
  if (!cJSON_IsObject(value) || cJSON_GetArraySize(value) != 2 ||
      config_read_count(per_second, &settings->rate_per_second, 1000000, error) != NULL ||
      config_read_count(burst, &settings->rate_burst, 1000000, error) != NULL) {
    return error;
  }
  return NULL;
}

static unsigned config_form_of(const cJSON *item) {
  static const struct {
    const char *name;
    unsigned form;
  } forms[] = {{"bearer", ST_FORM_BEARER},
               {"x-api-key", ST_FORM_API_KEY},
               {"query", ST_FORM_QUERY},
               {"basic", ST_FORM_BASIC}};
  for (size_t i = 0; cJSON_IsString(item) && i < sizeof forms / sizeof forms[0]; i++) {
    if (strcmp(item->valuestring, forms[i].name) == 0) return forms[i].form;
  }
  return 0;
}

static const char *config_read_credentials(const cJSON *value, st_settings *settings) {
  static const char error[] =
      "must be an array of at least one of \"bearer\", \"x-api-key\", \"query\" and \"basic\", "
      "each "
      "once";
  settings->credentials = 0;
  if (!cJSON_IsArray(value)) return error;
  for (const cJSON *item = value->child; item != NULL; item = item->next) {
    unsigned form = config_form_of(item);
    if (form == 0 || (settings->credentials & form) != 0) return error;
    settings->credentials |= form;
  }
  return settings->credentials != 0 ? NULL : error;
}

static const char *config_read_basic_challenge(const cJSON *value, st_settings *settings) {
  return config_read_bool(value, &settings->basic_challenge);
}

static const char *config_read_page(const cJSON *value, st_settings *settings) {
  return config_read_bool(value, &settings->page);
}

/* Kept as JSON: the page gets it as it is. */
static const char *config_read_permission_texts(const cJSON *value, st_settings *settings) {
  static const char error[] =
      "must be an object of sentences by permission, such as {\"docs\":\"Read documents\"}: each "
      "of "
      "1 to 300 bytes without control characters, together at most 8 KiB";
  st_writer writer = st_writer_on(settings->permission_texts, sizeof settings->permission_texts);
  if (!cJSON_IsObject(value)) return error;
  st_write_char(&writer, '{');
  for (const cJSON *item = value->child; item != NULL; item = item->next) {
    subtoken_text name = st_text(item->string);
    subtoken_text text = st_text(cJSON_IsString(item) ? item->valuestring : "");
    bool valid = subtoken_permission_valid(name) && text.len > 0 && text.len <= 300;
    if (!valid || !st_names_is_plain(text)) return error;
    if (writer.len > 1) st_write_char(&writer, ',');
    st_json_write_string(&writer, name);
    st_write_char(&writer, ':');
    st_json_write_string(&writer, text);
  }
  st_write_char(&writer, '}');
  return st_writer_end(&writer) ? NULL : error;
}

static const char *config_read_data_group(const cJSON *value, st_settings *settings) {
  return config_read_bool(value, &settings->data_group);
}

/* What is wrong is said without a word of it: it may hold a password. */
static const char *config_read_store(const cJSON *value, st_settings *settings) {
  const char *problem = config_read_string(value, settings->store, sizeof settings->store);
  return problem != NULL ? problem : st_store_location_check(st_text(settings->store));
}

static const char *config_read_store_staleness(const cJSON *value, st_settings *settings) {
  return config_read_life(value, &settings->store_staleness, 1, 60, CONFIG_TIME "1 to 60 seconds");
}

static const char *config_read_store_cache(const cJSON *value, st_settings *settings) {
  return config_read_count(value, &settings->store_cache, 65536,
                           "must be a whole number from 1 to 65536");
}

static const char *config_read_metrics(const cJSON *value, st_settings *settings) {
  if (!cJSON_IsBool(value)) return "must be true or false";
  settings->metrics = cJSON_IsTrue(value);
  return NULL;
}

static const char *config_read_metrics_listen(const cJSON *value, st_settings *settings) {
  bool read = cJSON_IsString(value) &&
              st_listen_read(st_text(value->valuestring), &settings->metrics_listen);
  return read ? NULL
              : "must be ADDRESS:PORT, such as 127.0.0.1:9464 or [::1]:9464, or unix:/PATH (at "
                "most 100 bytes)";
}

static const char *config_read_registration(const cJSON *value, st_settings *settings) {
  subtoken_text text = cJSON_IsString(value) ? st_text(value->valuestring) : st_text("");
  settings->registration_open = st_text_is(text, "open");
  return settings->registration_open || st_text_is(text, "closed")
             ? NULL
             : "must be \"closed\" or \"open\"";
}

static const struct {
  const char *name;
  const char *(*read)(const cJSON *value, st_settings *settings);
} readers[] = {
    {"listen", config_read_listen},
    {"behind_tls", config_read_behind_tls},
    {"threads", config_read_threads},
    {"leeway", config_read_leeway},
    {"default_life", config_read_default_life},
    {"max_life", config_read_max_life},
    {"trusted_proxies", config_read_proxies},
    {"rate", config_read_rate},
    {"credentials", config_read_credentials},
    {"basic_challenge", config_read_basic_challenge},
    {"page", config_read_page},
    {"permission_texts", config_read_permission_texts},
    {"data_group", config_read_data_group},
    {"store", config_read_store},
    {"store_staleness", config_read_store_staleness},
    {"store_cache", config_read_store_cache},
    {"registration", config_read_registration},
    {"access_life", config_read_access_life},
    {"refresh_life", config_read_refresh_life},
    {"refresh_retry", config_read_refresh_retry},
    {"sessions_per_key", config_read_sessions_per_key},
    {"keys_per_owner", config_read_keys_per_owner},
    {"audit_keep", config_read_audit_keep},
    {"idle_timeout", config_read_idle_timeout},
    {"log", config_read_log},
    {"policy", config_read_policy},
    {"issuer", config_read_issuer},
    {"metrics", config_read_metrics},
    {"metrics_listen", config_read_metrics_listen},
};

#define NAME_SHOWN 32 /* bytes of a name: escaped, it is six times as long and fits */

static bool config_refuse(char *error, size_t line, size_t column, subtoken_text name,
                          const char *text) {
  st_writer writer = st_writer_on(error, ST_CONFIG_ERROR_MAX);
  st_write_literal(&writer, "line ");
  st_write_int(&writer, (int64_t)line);
  st_write_literal(&writer, ", column ");
  st_write_int(&writer, (int64_t)column);
  st_write_literal(&writer, ": ");
  if (name.len > 0 && name.len <= NAME_SHOWN) {
    st_json_write_string(&writer, name);
    st_write_char(&writer, ' ');
  }
  st_write_literal(&writer, text);
  bool cut = !st_writer_end(&writer);
  if (st_impossible(cut, "the longest error fits")) error[0] = '\0';
  return false;
}

static bool config_apply(const cJSON *root, subtoken_text name, st_settings *settings,
                         const char **problem) {
  for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
    if (!st_text_is(name, readers[i].name)) continue;
    *problem = readers[i].read(cJSON_GetObjectItemCaseSensitive(root, readers[i].name), settings);
    return *problem == NULL;
  }
  *problem = "is not a setting";
  return false;
}

/* What no setting tells by itself, or NULL. */
static const char *config_check_together(const st_settings *settings) {
  if (settings->default_life > settings->max_life) return "default_life is longer than max_life";
  if (settings->basic_challenge && (settings->credentials & ST_FORM_BASIC) == 0) {
    return "basic_challenge needs \"basic\" in credentials";
  }
  if (settings->metrics_listen.kind != ST_LISTEN_NONE && !settings->metrics) {
    return "metrics_listen needs metrics to be true";
  }
  return NULL;
}

/* The strict reader walks over the members and knows where they stand; cJSON,
 * which has seen the same text, gives the values.
 */
static bool config_walk(char *copy, subtoken_text text, const cJSON *root, st_settings *settings,
                        char *error) {
  st_json json;
  subtoken_text name = {NULL, 0};
  size_t line, column;
  const char *problem = "must be an object";
  st_json_start(&json, copy, text.len);
  bool good = st_json_object(&json);
  while (good && st_json_member(&json, &name)) {
    size_t at = (size_t)(name.data - copy);
    if (!config_apply(root, name, settings, &problem)) {
      st_json_position(text.data, at, &line, &column);
      return config_refuse(error, line, column - 1, name, problem);
    }
    good = st_json_skip(&json);
  }
  if (good && !st_impossible(!st_json_end(&json), "all of it was read before")) {
    problem = config_check_together(settings);
    if (problem == NULL) return true;
  }
  st_json_position(text.data, json.at < text.len ? json.at : text.len, &line, &column);
  return config_refuse(error, line, column, (subtoken_text){NULL, 0}, problem);
}

bool st_config_read(subtoken_text text, st_settings *settings, char *error) {
  st_settings fresh;
  st_config_default(&fresh);
  size_t line, column;
  char *copy = malloc(text.len + 1);
  if (copy == NULL) return config_refuse(error, 1, 1, (subtoken_text){NULL, 0}, "out of memory");
  memcpy(copy, text.data, text.len);
  st_json check;
  st_json_start(&check, copy, text.len);
  bool good = st_json_skip(&check) && st_json_end(&check);
  errno = 0;
  cJSON *root = good ? cJSON_ParseWithLength(text.data, text.len) : NULL;
  if (root != NULL) {
    memcpy(copy, text.data, text.len);
    good = config_walk(copy, text, root, &fresh, error);
  } else {
    good = false;
    st_json_position(text.data, check.at < text.len ? check.at : text.len, &line, &column);
    const char *problem = errno == ENOMEM ? "out of memory" : st_text_mark_error(text);
    if (problem == NULL && check.at >= text.len) problem = "unexpected end of the text";
    if (problem == NULL) problem = "not valid JSON, or a duplicate name in an object";
    (void)config_refuse(error, line, column, (subtoken_text){NULL, 0}, problem);
  }
  cJSON_Delete(root);
  free(copy);
  if (good) *settings = fresh;
  return good;
}
