/* Reads the URI of a store on PostgreSQL, as strictly as libpq or more so, to refuse a password in
 * it: a configuration file and the arguments of a process are read by more people than a password
 * may be. libpq itself is in store/postgres, which connects.
 *
 *   postgresql://[USER@][HOST[:PORT][,HOST[:PORT]…]][/DATABASE][?NAME=VALUE[&NAME=VALUE…]]
 */
#include "domain/store_location.h"

#include "base/bytes.h"

static const char location_malformed[] =
    "must be a URI of libpq, such as postgresql://subtoken@db1,db2/subtoken"
    "?target_session_attrs=read-write";
static const char location_password[] =
    "must not hold a password: use a passfile (passfile=FILE), peer authentication or a client "
    "certificate";
static const char location_parameter[] =
    "has a parameter that is not supported: see subtoken_postgresql(7)";

/* The parameters of libpq that hold no secret, and that say how to reach the database, or how to
 * make sure that it is the right one.
 */
static const char *const location_parameters[] = {
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "passfile",
    "service",
    "target_session_attrs",
    "load_balance_hosts",
    "connect_timeout",
    "application_name",
    "options",
    "fallback_application_name",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslnegotiation",
    "sslcert",
    "sslkey",
    "sslcertmode",
    "sslrootcert",
    "sslcrl",
    "sslcrldir",
    "sslsni",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "requirepeer",
    "require_auth",
    "channel_binding",
    "gssencmode",
    "gsslib",
    "gssdelegation",
    "krbsrvname",
};

/* Of these the value is a secret, in this libpq or in a later one. */
static const char *const location_secrets[] = {
    "password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret",
};

static bool location_is_one_of(subtoken_text name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(name, names[i])) return true;
  }
  return false;
}

#define LOCATION_IS_ONE_OF(name, names) \
  location_is_one_of(name, names, sizeof(names) / sizeof *(names))

/* Without its percent-encoding, into out, which is as long as text. False: it has a control
 * character, or a percent sign that is none of an encoding.
 */
static bool location_decode(subtoken_text text, char *out, size_t *len) {
  *len = 0;
  for (size_t i = 0; i < text.len; i++) {
    int c = (uint8_t)text.data[i];
    if (c == '%') {
      int high = i + 2 < text.len ? st_hex_value(text.data[i + 1]) : -1;
      int low = high >= 0 ? st_hex_value(text.data[i + 2]) : -1;
      if (low < 0) return false;
      c = high * 16 + low;
      i += 2;
    }
    if (c < 0x20 || c == 0x7f) return false;
    out[(*len)++] = (char)c;
  }
  return true;
}

/* ---- the parts ---- */

#define LOCATION_MAX 1023

/* Cuts what stands before the first of the separators, which stay in rest. */
static subtoken_text location_cut(subtoken_text *rest, const char *separators) {
  size_t len = 0;
  while (len < rest->len && strchr(separators, rest->data[len]) == NULL) len++;
  subtoken_text part = {rest->data, len};
  rest->data += len;
  rest->len -= len;
  return part;
}

/* Cuts a character, if it is there. */
static bool location_cut_char(subtoken_text *rest, char c) {
  if (rest->len == 0 || rest->data[0] != c) return false;
  rest->data++;
  rest->len--;
  return true;
}

/* libpq takes for the user what stands before the first `@`, unless a slash comes earlier. */
static const char *location_check_user(subtoken_text *rest) {
  char decoded[LOCATION_MAX];
  size_t len = 0;
  subtoken_text after = *rest;
  subtoken_text user = location_cut(&after, "@/");
  if (!location_cut_char(&after, '@')) return NULL;
  if (!location_decode(user, decoded, &len)) return location_malformed;
  if (memchr(decoded, ':', len) != NULL) return location_password;
  if (memchr(user.data, '?', user.len) != NULL || len == 0) return location_malformed;
  *rest = after;
  return NULL;
}

static bool location_port_valid(subtoken_text port) {
  int64_t value = 0;
  for (size_t i = 0; i < port.len; i++) {
    if (port.data[i] < '0' || port.data[i] > '9' || i == 5) return false;
    value = value * 10 + (port.data[i] - '0');
  }
  return port.len == 0 || (value >= 1 && value <= 65535);
}

/* One host: a name, an address, an IPv6 address in brackets, or a directory as %2Fvar%2Frun. */
static bool location_cut_host(subtoken_text *rest) {
  char decoded[LOCATION_MAX];
  size_t len;
  bool bracket = location_cut_char(rest, '[');
  subtoken_text host = location_cut(rest, bracket ? "]" : ":/?,");
  if (bracket && (!location_cut_char(rest, ']') || host.len == 0)) return false;
  if (!location_decode(host, decoded, &len)) return false;
  subtoken_text port = {rest->data, 0};
  if (location_cut_char(rest, ':')) port = location_cut(rest, "/?,");
  return location_port_valid(port) && (rest->len == 0 || strchr("/?,", rest->data[0]) != NULL);
}

/* NULL, or what is wrong with NAME=VALUE. */
static const char *location_check_parameter(subtoken_text pair) {
  char decoded[LOCATION_MAX];
  size_t len;
  subtoken_text value = pair;
  subtoken_text name = location_cut(&value, "=");
  if (!location_cut_char(&value, '=') || memchr(value.data, '=', value.len) != NULL ||
      !location_decode(name, decoded, &len) || len == 0) {
    return location_malformed;
  }
  subtoken_text key = {decoded, len};
  if (LOCATION_IS_ONE_OF(key, location_secrets)) return location_password;
  if (!LOCATION_IS_ONE_OF(key, location_parameters)) return location_parameter;
  bool user = st_text_is(key, "user");
  if (!location_decode(value, decoded, &len)) return location_malformed;
  return user && memchr(decoded, ':', len) != NULL ? location_password : NULL;
}

static const char *location_check_parameters(subtoken_text rest) {
  const char *problem = NULL;
  st_cutter pairs = {rest, false};
  subtoken_text pair;
  while (problem == NULL && st_cut(&pairs, '&', &pair)) problem = location_check_parameter(pair);
  return problem;
}

/* ---- the whole ---- */

static const char *const location_schemes[] = {"postgresql://", "postgres://"};

static size_t location_scheme_len(subtoken_text text) {
  for (size_t i = 0; i < sizeof location_schemes / sizeof *location_schemes; i++) {
    size_t len = strlen(location_schemes[i]);
    if (text.len >= len && memcmp(text.data, location_schemes[i], len) == 0) return len;
  }
  return 0;
}

bool st_store_location_is_uri(subtoken_text text) {
  return location_scheme_len(text) > 0;
}

const char *st_store_location_check(subtoken_text text) {
  char decoded[LOCATION_MAX];
  size_t len;
  size_t scheme = location_scheme_len(text);
  if (scheme == 0 || text.len > LOCATION_MAX) return location_malformed;
  for (size_t i = 0; i < text.len; i++) { /* RFC 3986: what is none of these is encoded */
    if (text.data[i] <= ' ' || text.data[i] > '~') return location_malformed;
  }
  subtoken_text rest = {text.data + scheme, text.len - scheme};
  const char *problem = location_check_user(&rest);
  if (problem != NULL) return problem;
  do {
    if (!location_cut_host(&rest)) return location_malformed;
  } while (location_cut_char(&rest, ','));
  if (location_cut_char(&rest, '/') && !location_decode(location_cut(&rest, "?"), decoded, &len)) {
    return location_malformed;
  }
  return location_cut_char(&rest, '?') ? location_check_parameters(rest) : NULL;
}
