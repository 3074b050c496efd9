/* The signing secrets: adds them to a ring, derives those for an audience, reads a ring from the
 * text of a secrets file, and says what is wrong with a line of it. Files are read elsewhere
 * (operations/keyring_file.c, edges).
 */
#include "core/ring.h"

#include "base/base64url.h"
#include "base/hmac.h"

const subtoken_secret *st_ring_find(const subtoken_ring *ring, subtoken_text kid) {
  for (size_t i = 0; i < ring->count && i < SUBTOKEN_RING_MAX; i++) {
    const subtoken_secret *secret = &ring->secrets[i];
    if (secret->header_len == 0) continue; /* never set: everybody could sign with it */
    if (st_text_equal(kid, (subtoken_text){secret->kid, secret->kid_len})) return secret;
  }
  return NULL;
}

void st_ring_split_kid(subtoken_text kid, subtoken_text *plain, subtoken_text *audience) {
  const char *dot = kid.len > 0 ? memchr(kid.data, '.', kid.len) : NULL;
  *plain = kid;
  *audience = (subtoken_text){NULL, 0};
  if (dot == NULL) return;
  plain->len = (size_t)(dot - kid.data);
  *audience = (subtoken_text){dot + 1, kid.len - plain->len - 1};
}

bool st_ring_kid_valid(subtoken_text kid) {
  subtoken_text plain, audience;
  if (kid.len < 1 || kid.len > SUBTOKEN_KID_MAX) return false;
  st_ring_split_kid(kid, &plain, &audience);
  return (st_text_class(plain) & ST_CHAR_NAME) != 0 &&
         (audience.data == NULL || subtoken_audience_valid(audience));
}

/* Secrets from documentation that is often copied: jwt.io, RFC 7515 appendix A.1, RFC 7520 section
 * 4.4. Shorter ones, such as "secret", are refused for their length. */
static const struct {
  uint8_t len;
  const char *bytes;
} published[] = {
    {38, "a-string-secret-at-least-256-bits-long"},
    {64,
     "\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f"
     "\x5a\xb3\x28\xe6\xf0\x54\xc9\x28\xa9\x0f\x84\xb2\xd2\x50\x2e\xbf"
     "\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22"
     "\x3d\x2e\x21\x72\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3"},
    {32,
     "\x84\x9b\x57\x21\x9d\xae\x48\xde\x64\x6d\x07\xdb\xb5\x33\x56\x6e"
     "\x97\x66\x86\x45\x7c\x14\x91\xbe\x3a\x76\xdc\xea\x6c\x42\x71\x88"},
};

bool st_ring_secret_weak(const void *secret, size_t len) {
  const uint8_t *bytes = secret;
  for (size_t period = 1; period <= len / 2; period++) {
    if (st_equal_secret(bytes, bytes + period, len - period)) return true;
  }
  for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
    if (len == published[i].len && st_equal_secret(secret, published[i].bytes, len)) return true;
  }
  return false;
}

/* Encodes the header of the tokens that the secret signs, once for all of them. */
static void set_header(subtoken_secret *secret) {
  char text[64 + SUBTOKEN_KID_MAX];
  st_writer json = st_writer_on(text, sizeof text);
  st_write_literal(&json, "{\"alg\":\"HS256\",\"typ\":\"JWT\"");
  if (secret->kid_len > 0) {
    st_write_literal(&json, ",\"kid\":\"");
    st_write(&json, secret->kid, secret->kid_len);
    st_write_char(&json, '"');
  }
  st_write_char(&json, '}');
  st_writer header = st_writer_on(secret->header, sizeof secret->header);
  st_base64url_write(&header, text, json.len);
  secret->header_len = (uint8_t)header.len;
}

_Static_assert(sizeof(((subtoken_secret *)0)->header) >= ST_BASE64URL_LEN(36 + SUBTOKEN_KID_MAX),
               "a header with the longest kid has to fit");

/* ---- derived secrets: HKDF-SHA-256 (RFC 5869) ---- */

/* Section 2.2: the key is HMAC under zeros over the secret, which begins it anew as a key of HMAC.
 * Its states stand in the secret. */
static void set_pseudorandom_key(subtoken_secret *secret, const void *bytes, size_t len) {
  static const uint8_t salt[ST_HASH_LEN];
  subtoken_secret key = {0};
  uint8_t pseudorandom[ST_HASH_LEN];
  st_hmac_key(&key, salt, sizeof salt);
  st_hmac(&key, bytes, len, pseudorandom);
  st_hmac_key(&key, pseudorandom, sizeof pseudorandom);
  memcpy(secret->derive_inner, key.inner, sizeof key.inner);
  memcpy(secret->derive_outer, key.outer, sizeof key.outer);
  subtoken_wipe(pseudorandom, sizeof pseudorandom);
  subtoken_wipe(&key, sizeof key);
}

/* Section 2.3, the first and only block. */
static void expand(const subtoken_secret *secret, subtoken_text audience,
                   uint8_t out[ST_HASH_LEN]) {
  static const char label[] = "subtoken aud 1:";
  subtoken_mac mac = {.cpu = secret->cpu};
  memcpy(mac.state, secret->derive_inner, sizeof mac.state);
  memcpy(mac.outer, secret->derive_outer, sizeof mac.outer);
  subtoken_mac_update(&mac, label, sizeof label - 1);
  subtoken_mac_update(&mac, audience.data, audience.len);
  subtoken_mac_update(&mac, "\1", 1);
  subtoken_mac_finish(&mac, out);
}

/* kid: a valid one, whose audience is given, too. */
static void set_kid(subtoken_secret *secret, subtoken_text kid, subtoken_text audience) {
  secret->kid_len = (uint8_t)kid.len;
  secret->audience_len = (uint8_t)audience.len;
  if (kid.len > 0) memcpy(secret->kid, kid.data, kid.len);
  set_header(secret);
}

void st_ring_fill_secret(subtoken_secret *secret, subtoken_text kid, const void *key, size_t len) {
  subtoken_text plain, audience;
  st_ring_split_kid(kid, &plain, &audience);
  memset(secret, 0, sizeof *secret);
  st_hmac_key(secret, key, len);
  if (audience.data == NULL) set_pseudorandom_key(secret, key, len);
  set_kid(secret, kid, audience);
}

bool st_ring_derive_secret(const subtoken_secret *secret, subtoken_text audience,
                           subtoken_secret *out) {
  char text[SUBTOKEN_KID_MAX];
  uint8_t key[ST_HASH_LEN];
  st_writer kid = st_writer_on(text, sizeof text);
  st_write(&kid, secret->kid, secret->kid_len);
  st_write_char(&kid, '.');
  st_write(&kid, audience.data, audience.len);
  if (kid.overflow) return false;
  expand(secret, audience, key);
  memset(out, 0, sizeof *out);
  st_hmac_key_by(secret->cpu, out, key, sizeof key);
  set_kid(out, (subtoken_text){text, kid.len}, audience);
  subtoken_wipe(key, sizeof key);
  return true;
}

subtoken_result subtoken_secret_derive(const void *secret, size_t len, subtoken_text audience,
                                       uint8_t out[SUBTOKEN_MAC_LEN]) {
  subtoken_secret plain;
  if (out == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(out, 0, SUBTOKEN_MAC_LEN);
  if (secret == NULL || audience.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!subtoken_audience_valid(audience)) return SUBTOKEN_BAD_AUD;
  subtoken_result result = subtoken_secret_set(&plain, (subtoken_text){NULL, 0}, secret, len);
  if (result == SUBTOKEN_OK) expand(&plain, audience, out);
  subtoken_wipe(&plain, sizeof plain);
  return result;
}

subtoken_result subtoken_ring_derive(const subtoken_ring *ring, subtoken_text audience,
                                     subtoken_ring *out) {
  if (out == NULL || out == ring) return SUBTOKEN_INVALID_ARGUMENT;
  memset(out, 0, sizeof *out);
  if (ring == NULL || audience.data == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!subtoken_audience_valid(audience)) return SUBTOKEN_BAD_AUD;
  if (ring->count == 0 || ring->count > SUBTOKEN_RING_MAX) return SUBTOKEN_NO_SECRET;
  if (subtoken_ring_audience(ring).data != NULL) return SUBTOKEN_RING_DERIVED;
  subtoken_result result = SUBTOKEN_OK;
  for (size_t i = 0; i < ring->count && result == SUBTOKEN_OK; i++) {
    if (ring->secrets[i].header_len == 0) {
      result = SUBTOKEN_NO_SECRET;
    } else if (!st_ring_derive_secret(&ring->secrets[i], audience, &out->secrets[i])) {
      result = SUBTOKEN_BAD_KID;
    }
  }
  if (result == SUBTOKEN_OK) {
    out->count = ring->count;
  } else {
    subtoken_wipe(out, sizeof *out);
  }
  return result;
}

subtoken_text subtoken_ring_audience(const subtoken_ring *ring) {
  if (ring == NULL || ring->count == 0) return (subtoken_text){NULL, 0};
  return st_ring_secret_audience(&ring->secrets[0]);
}

/* ---- adding ---- */

/* Is a secret of this kid for the same audience as the ring, or as plain? */
static bool is_same_kind(const subtoken_ring *ring, subtoken_text kid) {
  subtoken_text plain, audience, of_ring = subtoken_ring_audience(ring);
  st_ring_split_kid(kid, &plain, &audience);
  return ring->count == 0 ||
         (of_ring.data == NULL ? audience.data == NULL
                               : audience.data != NULL && st_text_equal(of_ring, audience));
}

subtoken_result subtoken_secret_set(subtoken_secret *secret, subtoken_text kid, const void *bytes,
                                    size_t len) {
  if (secret == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(secret, 0, sizeof *secret);
  if (bytes == NULL || (kid.data == NULL && kid.len > 0)) return SUBTOKEN_INVALID_ARGUMENT;
  if (len < SUBTOKEN_SECRET_MIN || len > SUBTOKEN_SECRET_MAX || st_ring_secret_weak(bytes, len)) {
    return SUBTOKEN_BAD_SECRET;
  }
  if (kid.len > 0 && !st_ring_kid_valid(kid)) return SUBTOKEN_BAD_KID;
  subtoken_text plain, audience;
  st_ring_split_kid(kid, &plain, &audience);
  if (audience.data != NULL && len != ST_HASH_LEN) return SUBTOKEN_BAD_SECRET;
  st_ring_fill_secret(secret, kid, bytes, len);
  return SUBTOKEN_OK;
}

subtoken_result subtoken_ring_add(subtoken_ring *ring, subtoken_text kid, const void *secret,
                                  size_t secret_len) {
  if (ring == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_secret added;
  subtoken_result result = subtoken_secret_set(&added, kid, secret, secret_len);
  if (result == SUBTOKEN_OK && st_ring_find(ring, kid) != NULL) result = SUBTOKEN_KID_TAKEN;
  if (result == SUBTOKEN_OK && !is_same_kind(ring, kid)) result = SUBTOKEN_RING_MIXED;
  if (result == SUBTOKEN_OK && ring->count >= SUBTOKEN_RING_MAX) result = SUBTOKEN_RING_FULL;
  if (result == SUBTOKEN_OK) ring->secrets[ring->count++] = added;
  subtoken_wipe(&added, sizeof added);
  return result;
}

static subtoken_result add_line(subtoken_ring *ring, subtoken_text line) {
  st_cutter cutter = {line, false};
  subtoken_text kid, encoded = {NULL, 0};
  uint8_t secret[SUBTOKEN_SECRET_MAX];
  size_t len;
  subtoken_result result = SUBTOKEN_MALFORMED;
  (void)st_cut(&cutter, ':', &kid); /* of a line that was cut off there is always a piece */
  if (st_cut(&cutter, ':', &encoded) && cutter.done &&
      st_base64url_decode(encoded, secret, sizeof secret, &len)) {
    result = subtoken_ring_add(ring, kid, secret, len);
  }
  subtoken_wipe(secret, sizeof secret);
  return result;
}

subtoken_result subtoken_ring_read(subtoken_ring *ring, subtoken_text text, size_t *line) {
  if (line != NULL) *line = 0;
  if (ring == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(ring, 0, sizeof *ring);
  if (text.data == NULL && text.len > 0) return SUBTOKEN_INVALID_ARGUMENT;
  if (text.len > 0 && text.data[text.len - 1] == '\n') text.len--;
  size_t number = 0;
  subtoken_result result = SUBTOKEN_NO_SECRET;
  st_cutter cutter = {text, text.len == 0};
  subtoken_text piece;
  while (st_cut(&cutter, '\n', &piece)) {
    number++;
    result = add_line(ring, piece);
    if (result != SUBTOKEN_OK) break;
  }
  if (result != SUBTOKEN_OK) subtoken_wipe(ring, sizeof *ring);
  if (line != NULL) *line = result == SUBTOKEN_OK ? 0 : number;
  return result;
}

/* What an editor or another system has added to a line, or NULL. */
static const char *line_problem(subtoken_text line) {
  const char *mark = st_text_mark_error(line);
  if (mark != NULL) return mark;
  if (line.len == 0) return "is empty: remove it";
  if (line.data[line.len - 1] == '\r') {
    return "ends with a carriage return (CRLF): lines end with a line feed alone";
  }
  if (line.data[0] == '#') return "is a comment: the file has none";
  for (size_t i = 0; i < line.len; i++) {
    if (line.data[i] == ' ' || line.data[i] == '\t') return "has white space: the file has none";
  }
  return NULL;
}

/* Does the line begin with the kid of a derived secret? */
static bool line_is_derived(subtoken_text line) {
  if (line.data == NULL) return false;
  size_t dot = st_text_find(line, '.');
  return dot < line.len && dot < st_text_find(line, ':');
}

static const char *bad_secret(subtoken_text line) {
  return line_is_derived(line) ? "is not 32 bytes as a derived secret is, or is easy to guess"
                               : "is not 32 to 64 bytes, or is easy to guess";
}

static const char *bad_kid(subtoken_text line) {
  return line_is_derived(line)
             ? "has a kid that is not up to 64 characters A-Za-z0-9_- with one dot before an "
               "audience of 1 to 32 characters"
             : "has a kid that is not up to 64 characters A-Za-z0-9_-";
}

const char *subtoken_ring_error(subtoken_text text, size_t line, subtoken_result result) {
  st_cutter cutter = {text, text.data == NULL};
  subtoken_text piece = {NULL, 0};
  size_t number = 0;
  while (number < line && st_cut(&cutter, '\n', &piece)) number++;
  if (number < line) piece = (subtoken_text){NULL, 0};
  const char *problem = piece.data != NULL ? line_problem(piece) : NULL;
  if (problem != NULL) return problem;
  switch (result) {
    case SUBTOKEN_NO_SECRET: return "holds no secret";
    case SUBTOKEN_MALFORMED: return "is not `kid:base64url`";
    case SUBTOKEN_BAD_SECRET: return bad_secret(piece);
    case SUBTOKEN_BAD_KID: return bad_kid(piece);
    case SUBTOKEN_RING_MIXED:
      return "is for another audience than the first: a ring is plain, or all its secrets are "
             "derived for one audience";
    case SUBTOKEN_KID_TAKEN: return "repeats the kid of an earlier one";
    case SUBTOKEN_RING_FULL: return "is one secret too many: at most 16";
    default: return "cannot be read";
  }
}
