/* JWS in compact form with HS256 (RFC 7515, RFC 7518 section 3.2): splits a token, finds its
 * secret, checks the MAC, and signs. It does not read the payload; claims.c does.
 */
#include "core/jws.h"

#include "base/impossible.h"
#include "base/json.h"
#include "base/vector.h"
#include "core/ring.h"
#include "subtoken/mac.h"

/* The secret whose own header the token has, byte for byte. Nearly all tokens have such a header,
 * which needs no parsing. */
static const subtoken_secret *known_header(const subtoken_ring *ring, subtoken_text token) {
  for (size_t i = 0; i < ring->count && i < SUBTOKEN_RING_MAX; i++) {
    const subtoken_secret *secret = &ring->secrets[i];
    size_t len = secret->header_len;
    if (len > 0 && len <= sizeof secret->header && len < token.len && token.data[len] == '.' &&
        memcmp(token.data, secret->header, len) == 0) {
      return secret;
    }
  }
  return NULL;
}

#define MAC_CHARS ST_BASE64URL_LEN(ST_HASH_LEN)

/* The offset of the last dot. That there is none between it and the first is left to decoding the
 * payload, in which a dot is not base64url. */
static size_t last_dot(subtoken_text token, size_t first) {
  size_t at = token.len;
  if (at > first + MAC_CHARS + 1 && token.data[at - MAC_CHARS - 1] == '.') {
    return at - MAC_CHARS - 1;
  }
  while (at > 0 && token.data[at - 1] != '.') at--;
  return at > 0 ? at - 1 : 0;
}

static size_t first_dot(subtoken_text token) {
  size_t at = 0;
  while (at < token.len && token.data[at] != '.') at++;
  return at;
}

subtoken_result st_jws_split(subtoken_text token, const subtoken_ring *ring, st_jws *jws) {
  if (token.len > SUBTOKEN_TOKEN_MAX) return SUBTOKEN_TOO_LARGE;
  jws->secret = ring != NULL ? known_header(ring, token) : NULL;
  size_t first = jws->secret != NULL ? jws->secret->header_len : first_dot(token);
  size_t last = last_dot(token, first);
  if (first == 0 || last <= first + 1) return SUBTOKEN_MALFORMED;
  jws->header = (subtoken_text){token.data, first};
  jws->payload = (subtoken_text){token.data + first + 1, last - first - 1};
  jws->mac = (subtoken_text){token.data + last + 1, token.len - last - 1};
  jws->signed_part = (subtoken_text){token.data, last};
  return SUBTOKEN_OK;
}

typedef struct header_members {
  bool alg_good, typ_good, forbidden, has_kid, kid_good;
  subtoken_text kid;
} header_members;

/* Members that change the meaning of a token (RFC 7515 section 4.1, RFC 7516 section 4.1, RFC 7518
 * section 4.8, RFC 7797). None is supported. */
bool st_jws_forbidden(subtoken_text name) {
  static const subtoken_text names[] = {
      {"crit", 4}, {"b64", 3}, {"zip", 3}, {"enc", 3}, {"cty", 3}, {"jwk", 3},      {"jku", 3},
      {"x5u", 3},  {"x5c", 3}, {"x5t", 3}, {"p2s", 3}, {"p2c", 3}, {"x5t#S256", 8},
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (st_text_equal(name, names[i])) return true;
  }
  return false;
}

/* A string, or an empty view for a value of another type. json keeps a failure. */
static subtoken_text string_or_skip(st_json *json) {
  subtoken_text value = {NULL, 0};
  if (st_json_peek(json) == '"') {
    (void)st_json_string(json, &value);
  } else {
    (void)st_json_skip(json);
  }
  return value;
}

static void read_member(st_json *json, subtoken_text name, header_members *members) {
  if (st_text_is(name, "alg")) {
    members->alg_good = st_text_is(string_or_skip(json), "HS256");
  } else if (st_text_is(name, "typ")) {
    members->typ_good = st_text_is(string_or_skip(json), "JWT");
  } else if (st_text_is(name, "kid")) {
    members->has_kid = true;
    members->kid = string_or_skip(json);
    members->kid_good = st_ring_kid_valid(members->kid);
  } else {
    members->forbidden = members->forbidden || st_jws_forbidden(name);
    (void)st_json_skip(json); /* json keeps a failure */
  }
}

/* Checks the header, and copies its kid. Not inline, so that what comes after it does not stand on
 * the stack of the reader of JSON. */
static __attribute__((noinline)) subtoken_result read_header(const st_jws *jws,
                                                             char kid[SUBTOKEN_KID_MAX],
                                                             size_t *kid_len) {
  char text[ST_BASE64URL_BYTES(SUBTOKEN_HEADER_MAX)];
  size_t len;
  if (!st_base64url_valid(jws->header)) return SUBTOKEN_MALFORMED;
  if (!st_base64url_decode_by(0, jws->header, text, sizeof text, &len)) return SUBTOKEN_HEADER;
  header_members members = {.typ_good = true};
  st_json json;
  subtoken_text name;
  st_json_start(&json, text, len);
  if (!st_json_object(&json)) return SUBTOKEN_MALFORMED;
  while (st_json_member(&json, &name)) read_member(&json, name, &members);
  if (!st_json_end(&json)) return SUBTOKEN_MALFORMED;
  if (!members.alg_good) return SUBTOKEN_ALG;
  if (!members.typ_good || members.forbidden) return SUBTOKEN_HEADER;
  if (members.has_kid && !members.kid_good) return SUBTOKEN_KID;
  *kid_len = members.kid.len;
  if (members.kid.len > 0) memcpy(kid, members.kid.data, members.kid.len);
  return SUBTOKEN_OK;
}

/* Finds the secret that a kid names, or derives it into *derived. */
static const subtoken_secret *secret_of_kid(const subtoken_ring *ring, subtoken_text kid,
                                            subtoken_secret *derived) {
  subtoken_text plain, audience;
  const subtoken_secret *found = st_ring_find(ring, kid);
  st_ring_split_kid(kid, &plain, &audience);
  if (found != NULL || audience.data == NULL || derived == NULL) return found;
  found = st_ring_find(ring, plain);
  if (found == NULL) return NULL;
  bool made = st_ring_derive_secret(found, audience, derived);
  return st_impossible(!made, "the kid that it gets was read") ? NULL : derived;
}

/* The payload is decoded before the MAC is checked, because text that is not canonical base64url is
 * malformed whatever its MAC is. It is parsed only after. mac gets the signature, and *whole says
 * whether it has the right length. */
static subtoken_result decode_parts(const st_jws *jws, void *out, size_t out_size, size_t *out_len,
                                    uint8_t mac[ST_HASH_LEN], bool *whole) {
  size_t len;
  uint8_t cpu = jws->secret != NULL ? jws->secret->cpu : 0;
  st_vector_clean(cpu);
  *whole = jws->mac.len == MAC_CHARS;
  if (*whole ? !st_base64url_decode_by(cpu, jws->mac, mac, ST_HASH_LEN, &len)
             : !st_base64url_valid(jws->mac)) {
    return SUBTOKEN_MALFORMED;
  }
  if (ST_BASE64URL_BYTES(jws->payload.len) > out_size) {
    return st_base64url_valid(jws->payload) ? SUBTOKEN_BUFFER_TOO_SMALL : SUBTOKEN_MALFORMED;
  }
  return st_base64url_decode_by(cpu, jws->payload, out, out_size, out_len) ? SUBTOKEN_OK
                                                                           : SUBTOKEN_MALFORMED;
}

static subtoken_result check_mac(const st_jws *jws, const subtoken_secret *secret, bool whole,
                                 const uint8_t mac[ST_HASH_LEN]) {
  if (!whole) return SUBTOKEN_MAC;
  return subtoken_mac_check(secret, jws->signed_part.data, jws->signed_part.len, mac);
}

static inline void tell_audience(const subtoken_secret *secret, st_jws_audience *audience) {
  if (audience == NULL) return;
  subtoken_text text = st_ring_secret_audience(secret);
  audience->len = (uint8_t)text.len;
  if (text.len > 0) memcpy(audience->text, text.data, text.len);
}

static __attribute__((noinline)) subtoken_result check_under_kid(const st_jws *jws,
                                                                 const subtoken_ring *ring,
                                                                 subtoken_text kid, bool whole,
                                                                 const uint8_t mac[ST_HASH_LEN],
                                                                 st_jws_audience *audience) {
  subtoken_secret derived;
  const subtoken_secret *secret = secret_of_kid(ring, kid, audience != NULL ? &derived : NULL);
  if (secret == NULL) return SUBTOKEN_KID;
  subtoken_result result = check_mac(jws, secret, whole, mac);
  tell_audience(secret, audience);
  if (secret == &derived) subtoken_wipe(&derived, sizeof derived);
  return result;
}

/* For a token whose header is another one than that of each secret. Not inline: the others need
 * none of its stack. */
static __attribute__((noinline)) subtoken_result check_by_kid(const st_jws *jws,
                                                              const subtoken_ring *ring, bool whole,
                                                              const uint8_t mac[ST_HASH_LEN],
                                                              st_jws_audience *audience) {
  char text[SUBTOKEN_KID_MAX];
  subtoken_text kid = {text, 0};
  subtoken_result result = read_header(jws, text, &kid.len);
  if (result != SUBTOKEN_OK) return result;
  return check_under_kid(jws, ring, kid, whole, mac, audience);
}

subtoken_result st_jws_open(const subtoken_ring *ring, subtoken_text token, void *out,
                            size_t out_size, size_t *out_len, st_jws_audience *audience) {
  st_jws jws;
  uint8_t mac[ST_HASH_LEN];
  bool whole;
  subtoken_result result = st_jws_split(token, ring, &jws);
  if (result == SUBTOKEN_OK) result = decode_parts(&jws, out, out_size, out_len, mac, &whole);
  if (result != SUBTOKEN_OK) return result;
  if (jws.secret == NULL) return check_by_kid(&jws, ring, whole, mac, audience);
  tell_audience(jws.secret, audience);
  return check_mac(&jws, jws.secret, whole, mac);
}

subtoken_result subtoken_jws_open(const subtoken_ring *ring, subtoken_text token, void *out,
                                  size_t out_size, size_t *out_len) {
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  size_t len = 0;
  subtoken_result result = ring != NULL && token.data != NULL
                               ? st_jws_open(ring, token, out, out_size, &len, NULL)
                               : SUBTOKEN_INVALID_ARGUMENT;
  if (result == SUBTOKEN_OK) {
    *out_len = len;
  } else {
    memset(out, 0, out_size < SUBTOKEN_TOKEN_MAX ? out_size : SUBTOKEN_TOKEN_MAX);
  }
  return result;
}

subtoken_result st_jws_seal(const subtoken_secret *secret, subtoken_text payload, size_t most,
                            char *out, size_t out_size, size_t *out_len) {
  uint8_t mac[ST_HASH_LEN];
  size_t signed_len = secret->header_len + 1 + ST_BASE64URL_LEN(payload.len);
  if (signed_len + 1 + MAC_CHARS > most) return SUBTOKEN_TOO_LARGE;
  if (signed_len + 1 + MAC_CHARS >= out_size) return SUBTOKEN_BUFFER_TOO_SMALL;
  st_writer writer = st_writer_on(out, out_size);
  st_write(&writer, secret->header, secret->header_len);
  st_write_char(&writer, '.');
  st_base64url_write_by(secret->cpu, &writer, payload.data, payload.len);
  st_hmac(secret, out, signed_len, mac);
  ST_VERDICT(mac); /* the token is for whoever has asked for it */
  st_write_char(&writer, '.');
  st_base64url_write_by(secret->cpu, &writer, mac, sizeof mac);
  if (st_impossible(!st_writer_end(&writer), "it was counted above")) {
    return SUBTOKEN_BUFFER_TOO_SMALL;
  }
  *out_len = writer.len;
  return SUBTOKEN_OK;
}

subtoken_result subtoken_jws_seal(const subtoken_ring *ring, const void *payload, size_t len,
                                  char *out, size_t out_size, size_t *out_len) {
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  if (ring == NULL || payload == NULL || len == 0) return SUBTOKEN_INVALID_ARGUMENT;
  if (ring->count == 0 || ring->secrets[0].header_len == 0) return SUBTOKEN_NO_SECRET;
  if (len > SUBTOKEN_TOKEN_MAX) return SUBTOKEN_TOO_LARGE;
  return st_jws_seal(&ring->secrets[0], (subtoken_text){payload, len}, SUBTOKEN_TOKEN_MAX, out,
                     out_size, out_len);
}
