/* The signing secrets: adds them to a ring, reads a ring from the text of a secrets file, and says
 * what is wrong with a line of it. Files are read elsewhere (operations/keyring_file.c, edges).
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

bool st_ring_kid_valid(subtoken_text kid) {
  return kid.len >= 1 && kid.len <= SUBTOKEN_KID_MAX && (st_text_class(kid) & ST_CHAR_NAME) != 0;
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
    if (memcmp(bytes, bytes + period, len - period) == 0) return true;
  }
  for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
    if (len == published[i].len && memcmp(secret, published[i].bytes, len) == 0) return true;
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

bool st_ring_fill_secret(subtoken_secret *secret, subtoken_text kid, const void *key, size_t len) {
  memset(secret, 0, sizeof *secret);
  if (!st_hmac_key(secret, key, len)) return false;
  secret->kid_len = (uint8_t)kid.len;
  if (kid.len > 0) memcpy(secret->kid, kid.data, kid.len);
  set_header(secret);
  return true;
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
  return st_ring_fill_secret(secret, kid, bytes, len) ? SUBTOKEN_OK : SUBTOKEN_BAD_SECRET;
}

subtoken_result subtoken_ring_add(subtoken_ring *ring, subtoken_text kid, const void *secret,
                                  size_t secret_len) {
  if (ring == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_secret added;
  subtoken_result result = subtoken_secret_set(&added, kid, secret, secret_len);
  if (result == SUBTOKEN_OK && st_ring_find(ring, kid) != NULL) result = SUBTOKEN_KID_TAKEN;
  if (result == SUBTOKEN_OK && ring->count >= SUBTOKEN_RING_MAX) result = SUBTOKEN_RING_FULL;
  if (result == SUBTOKEN_OK) ring->secrets[ring->count++] = added;
  subtoken_wipe(&added, sizeof added);
  return result;
}

static subtoken_result add_line(subtoken_ring *ring, subtoken_text line) {
  st_cutter cutter = {line, false};
  subtoken_text kid, encoded;
  uint8_t secret[SUBTOKEN_SECRET_MAX];
  size_t len;
  subtoken_result result = SUBTOKEN_MALFORMED;
  if (st_cut(&cutter, ':', &kid) && st_cut(&cutter, ':', &encoded) && cutter.done &&
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

static bool starts_with(subtoken_text line, const char *bytes, size_t len) {
  return line.len >= len && memcmp(line.data, bytes, len) == 0;
}

/* What an editor or another system has added to a line, or NULL. */
static const char *line_problem(subtoken_text line) {
  if (starts_with(line, "\xEF\xBB\xBF", 3)) {
    return "starts with a byte-order mark: save the file without one";
  }
  if (starts_with(line, "\xFF\xFE", 2) || starts_with(line, "\xFE\xFF", 2)) {
    return "starts with the byte-order mark of UTF-16: save the file as ASCII or UTF-8";
  }
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

const char *subtoken_ring_error(subtoken_text text, size_t line, subtoken_result result) {
  st_cutter cutter = {text, text.data == NULL || line == 0};
  subtoken_text piece = {NULL, 0};
  size_t number = 0;
  while (number < line && st_cut(&cutter, '\n', &piece)) number++;
  if (number < line) piece = (subtoken_text){NULL, 0};
  const char *problem = piece.data != NULL ? line_problem(piece) : NULL;
  if (problem != NULL) return problem;
  switch (result) {
    case SUBTOKEN_NO_SECRET: return "holds no secret";
    case SUBTOKEN_MALFORMED: return "is not `kid:base64url`";
    case SUBTOKEN_BAD_SECRET: return "is not 32 to 64 bytes, or is easy to guess";
    case SUBTOKEN_BAD_KID: return "has a kid that is not up to 64 characters A-Za-z0-9_-";
    case SUBTOKEN_KID_TAKEN: return "repeats the kid of an earlier one";
    case SUBTOKEN_RING_FULL: return "is one secret too many: at most 16";
    default: return "cannot be read";
  }
}
