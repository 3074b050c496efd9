#include "core/jws.h"

#include "base/json.h"
#include "core/ring.h"

subtoken_result st_jws_split(subtoken_text token, st_jws *jws) {
  if (token.len > SUBTOKEN_TOKEN_MAX) return SUBTOKEN_TOO_LARGE;
  subtoken_text part[3];
  size_t parts = 0;
  st_cutter cutter = {token, false};
  while (parts < 3 && st_cut(&cutter, '.', &part[parts])) parts++;
  if (parts != 3 || !cutter.done || part[0].len == 0 || part[1].len == 0) {
    return SUBTOKEN_MALFORMED;
  }
  /* Room for a MAC that is longer than ours, so that it is told apart from one
   * that is no base64url at all. */
  uint8_t mac[ST_BASE64URL_BYTES(SUBTOKEN_TOKEN_MAX)];
  size_t mac_len;
  if (!st_base64url_decode(part[2], mac, sizeof mac, &mac_len)) return SUBTOKEN_MALFORMED;
  jws->header = part[0];
  jws->payload = part[1];
  jws->signed_part = (subtoken_text){token.data, part[0].len + 1 + part[1].len};
  jws->mac_whole = mac_len == ST_HASH_LEN;
  if (jws->mac_whole) memcpy(jws->mac, mac, ST_HASH_LEN);
  return SUBTOKEN_OK;
}

typedef struct header_facts {
  bool alg_good, typ_good, forbidden, has_kid, kid_good;
  subtoken_text kid;
} header_facts;

/* Members that would change what the token means (RFC 7515 section 4.1, RFC 7516
 * section 4.1, RFC 7518 section 4.8, RFC 7797): none is understood here.
 */
static bool forbidden(subtoken_text name) {
  static const char *const names[] = {"crit", "b64", "zip", "enc", "cty",      "jwk", "jku",
                                      "x5u",  "x5c", "x5t", "p2s", "x5t#S256", "p2c"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (st_text_is(name, names[i])) return true;
  }
  return false;
}

/* A string, or an empty view for a value of another type, which is passed over. */
static bool string_or_skip(st_json *json, subtoken_text *value) {
  *value = (subtoken_text){NULL, 0};
  return st_json_peek(json) == '"' ? st_json_string(json, value) : st_json_skip(json);
}

static void read_member(st_json *json, subtoken_text name, header_facts *facts) {
  subtoken_text value;
  if (st_text_is(name, "alg")) {
    facts->alg_good = string_or_skip(json, &value) && st_text_is(value, "HS256");
  } else if (st_text_is(name, "typ")) {
    facts->typ_good = string_or_skip(json, &value) && st_text_is(value, "JWT");
  } else if (st_text_is(name, "kid")) {
    facts->has_kid = true;
    facts->kid_good = string_or_skip(json, &facts->kid) && st_kid_valid(facts->kid);
  } else {
    facts->forbidden = facts->forbidden || forbidden(name);
    (void)st_json_skip(json); /* a failure sticks in json */
  }
}

subtoken_result st_jws_secret(const st_jws *jws, const subtoken_ring *ring,
                              const subtoken_secret **secret) {
  char text[ST_BASE64URL_BYTES(SUBTOKEN_TOKEN_MAX)];
  size_t len;
  *secret = NULL;
  if (!st_base64url_decode(jws->header, text, sizeof text, &len)) return SUBTOKEN_MALFORMED;
  if (jws->header.len > SUBTOKEN_HEADER_MAX) return SUBTOKEN_HEADER;
  header_facts facts = {.typ_good = true};
  st_json json;
  subtoken_text name;
  st_json_start(&json, text, len);
  if (!st_json_object(&json)) return SUBTOKEN_MALFORMED;
  while (st_json_member(&json, &name)) read_member(&json, name, &facts);
  if (!st_json_end(&json)) return SUBTOKEN_MALFORMED;
  if (!facts.alg_good) return SUBTOKEN_ALG;
  if (!facts.typ_good || facts.forbidden) return SUBTOKEN_HEADER;
  if (facts.has_kid && !facts.kid_good) return SUBTOKEN_KID;
  *secret = st_ring_find(ring, facts.kid);
  return *secret != NULL ? SUBTOKEN_OK : SUBTOKEN_KID;
}

subtoken_result st_jws_check(const st_jws *jws, const subtoken_secret *secret) {
  uint8_t mac[ST_HASH_LEN];
  if (!jws->mac_whole) return SUBTOKEN_MAC;
  if (!st_hmac(secret, jws->signed_part.data, jws->signed_part.len, mac)) return SUBTOKEN_MAC;
  bool equal = st_equal_secret(mac, jws->mac, sizeof mac);
  subtoken_wipe(mac, sizeof mac); /* the right MAC of a wrong token is a good token */
  return equal ? SUBTOKEN_OK : SUBTOKEN_MAC;
}

static void write_header(st_writer *writer, const subtoken_secret *secret) {
  char text[64 + SUBTOKEN_KID_MAX];
  st_writer header = st_writer_on(text, sizeof text);
  st_write_string(&header, "{\"alg\":\"HS256\",\"typ\":\"JWT\"");
  if (secret->kid_len > 0) {
    st_write_string(&header, ",\"kid\":\"");
    st_write(&header, secret->kid, secret->kid_len);
    st_write_char(&header, '"');
  }
  st_write_char(&header, '}');
  st_base64url_write(writer, text, header.len);
}

subtoken_result st_jws_write(st_writer *writer, const subtoken_secret *secret,
                             subtoken_text payload) {
  uint8_t mac[ST_HASH_LEN];
  size_t start = writer->len;
  write_header(writer, secret);
  st_write_char(writer, '.');
  st_base64url_write(writer, payload.data, payload.len);
  if (writer->overflow) return SUBTOKEN_BUFFER_TOO_SMALL;
  if (!st_hmac(secret, writer->out + start, writer->len - start, mac)) return SUBTOKEN_MAC;
  st_write_char(writer, '.');
  st_base64url_write(writer, mac, sizeof mac);
  return writer->overflow ? SUBTOKEN_BUFFER_TOO_SMALL : SUBTOKEN_OK;
}
