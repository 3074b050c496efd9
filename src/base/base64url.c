/* base64url and base64, strict and without allocation. The functions ..._by are for tokens: they
 * read tables, and the fast versions of their inner loops are in base/vector.h. All others compute
 * each character, so that no branch and no address depends on what they read: it may be a secret.
 */
#include "base/base64url.h"

#include "base/vector.h"

#define X 0xFF /* not in the alphabet: it has bits above the low six */

static const uint8_t value_of[256] = {
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  62, X,  X,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X,  X,  X,  X,  X,  X,  X,  0,  1,  2,  3,  4,  5,  6,
    7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X,  X,  X,  X,  63,
    X,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
    X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
};

#undef X

/* The one, two or three characters after the last group of four. */
static bool decode_tail(const uint8_t *in, size_t left, uint8_t *out) {
  if (left == 0) return true;
  if (left == 1) return false;
  uint8_t a = value_of[in[0]], b = value_of[in[1]];
  uint8_t c = left == 3 ? value_of[in[2]] : 0;
  if ((a | b | c) & 0xC0) return false;
  if (left == 2 ? (b & 0x0F) != 0 : (c & 0x03) != 0) return false;
  out[0] = (uint8_t)(a << 2 | b >> 4);
  if (left == 3) out[1] = (uint8_t)(b << 4 | c >> 2);
  return true;
}

bool st_base64url_decode_by(uint8_t cpu, subtoken_text text, void *out, size_t out_size,
                            size_t *out_len) {
  if (ST_BASE64URL_BYTES(text.len) > out_size) return false;
  size_t done =
      (cpu & ST_CPU_VECTOR) != 0 ? st_vector_base64url_decode(text.data, text.len, out) : 0;
  const uint8_t *in = (const uint8_t *)text.data + done;
  uint8_t *to = (uint8_t *)out + done / 4 * 3;
  size_t left = text.len - done;
  for (; left >= 4; left -= 4, in += 4, to += 3) {
    uint8_t a = value_of[in[0]], b = value_of[in[1]], c = value_of[in[2]], d = value_of[in[3]];
    if ((a | b | c | d) & 0xC0) return false;
    to[0] = (uint8_t)(a << 2 | b >> 4);
    to[1] = (uint8_t)(b << 4 | c >> 2);
    to[2] = (uint8_t)(c << 6 | d);
  }
  if (!decode_tail(in, left, to)) return false;
  *out_len = ST_BASE64URL_BYTES(text.len);
  return true;
}

/* ---- without a trace ---- */

/* The value of a character, or one with bits above the low six. In each of the ranges, (c below its
 * least, as a number below 0) and (c above its most) have the bits that are shifted down. */
static inline uint8_t value_computed(uint8_t character) {
  uint32_t c = character, next = 0;
  next |= ((64 - c) & (c - 91)) >> 8 & (c - 64);
  next |= ((96 - c) & (c - 123)) >> 8 & (c - 70);
  next |= ((47 - c) & (c - 58)) >> 8 & (c + 5);
  next |= ((44 - c) & (c - 46)) >> 8 & 63;
  next |= ((94 - c) & (c - 96)) >> 8 & 64;
  return (uint8_t)(next - 1);
}

/* Decodes 2 to 4 characters. What is not 0 in the answer is wrong with them. */
static inline uint8_t group_computed(const uint8_t *in, size_t len, uint8_t *out) {
  uint8_t a = value_computed(in[0]), b = value_computed(in[1]);
  uint8_t c = len > 2 ? value_computed(in[2]) : 0, d = len > 3 ? value_computed(in[3]) : 0;
  uint8_t unused = len == 2 ? b & 0x0F : len == 3 ? c & 0x03 : 0;
  out[0] = (uint8_t)(a << 2 | b >> 4);
  if (len > 2) out[1] = (uint8_t)(b << 4 | c >> 2);
  if (len > 3) out[2] = (uint8_t)(c << 6 | d);
  return ((a | b | c | d) & 0xC0) | unused;
}

bool st_base64url_decode(subtoken_text text, void *out, size_t out_size, size_t *out_len) {
  if (ST_BASE64URL_BYTES(text.len) > out_size || text.len % 4 == 1) return false;
  uint8_t wrong = 0;
  for (size_t at = 0; at < text.len; at += 4) {
    size_t len = text.len - at < 4 ? text.len - at : 4;
    wrong |= group_computed((const uint8_t *)text.data + at, len, (uint8_t *)out + at / 4 * 3);
  }
  bool good = wrong == 0;
  ST_VERDICT(good);
  if (good) *out_len = ST_BASE64URL_BYTES(text.len);
  return good;
}

bool st_base64url_valid(subtoken_text text) {
  uint8_t unused[2];
  size_t left = text.len % 4;
  uint8_t any = 0;
  for (size_t i = 0; i < text.len; i++) any |= value_of[(uint8_t)text.data[i]];
  return (any & 0xC0) == 0 &&
         decode_tail((const uint8_t *)text.data + text.len - left, left, unused);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Where so many characters go; NULL when they do not fit. */
static char *base64url_room(st_writer *writer, size_t len) {
  size_t need = ST_BASE64URL_LEN(len);
  if (writer->overflow || need > writer->size - writer->len) {
    writer->overflow = true;
    return NULL;
  }
  char *to = writer->out + writer->len;
  writer->len += need;
  return to;
}

void st_base64url_write_by(uint8_t cpu, st_writer *writer, const void *data, size_t len) {
  char *to = base64url_room(writer, len);
  const uint8_t *in = data;
  if (to == NULL) return;
  if ((cpu & ST_CPU_VECTOR) != 0) {
    size_t done = st_vector_base64url_encode(in, len, to);
    in += done;
    to += done / 3 * 4;
    len -= done;
  }
  for (; len >= 3; len -= 3, in += 3) {
    *to++ = alphabet[in[0] >> 2];
    *to++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
    *to++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
    *to++ = alphabet[in[2] & 63];
  }
  if (len == 0) return;
  *to++ = alphabet[in[0] >> 2];
  *to++ = alphabet[(in[0] & 3) << 4 | (len == 2 ? in[1] >> 4 : 0)];
  if (len == 2) *to = alphabet[(in[1] & 15) << 2];
}

/* The character of the low six bits: a step up or down at the end of each range. */
static inline char character_computed(uint32_t bits) {
  uint32_t value = bits & 63, c = value + 'A';
  c += (25 - value) >> 8 & ('a' - 'Z' - 1);
  c -= (51 - value) >> 8 & ('z' + 1 - '0');
  c -= (61 - value) >> 8 & ('9' + 1 - '-');
  c += (62 - value) >> 8 & ('_' - '-' - 1);
  return (char)c;
}

void st_base64url_write(st_writer *writer, const void *data, size_t len) {
  char *to = base64url_room(writer, len);
  const uint8_t *in = data;
  if (to == NULL) return;
  for (size_t at = 0; at < len; at += 3) {
    size_t left = len - at;
    uint32_t bits = (uint32_t)in[at] << 16;
    if (left > 1) bits |= (uint32_t)in[at + 1] << 8;
    if (left > 2) bits |= in[at + 2];
    *to++ = character_computed(bits >> 18);
    *to++ = character_computed(bits >> 12);
    if (left > 1) *to++ = character_computed(bits >> 6);
    if (left > 2) *to++ = character_computed(bits);
  }
}

/* ---- the standard alphabet, by way of base64url ---- */

/* All bits, or none: is c this character? */
static inline uint8_t is_character(char c, char wanted) {
  return (uint8_t)(((uint32_t)(uint8_t)(c ^ wanted) - 1) >> 24);
}

/* c, or what stands for it in the other alphabet. */
static inline char exchange(char c, char from, char to) {
  return (char)(c ^ (is_character(c, from) & (from ^ to)));
}

/* What is not in the standard alphabet becomes a star, which is in neither. */
static char to_url(char c) {
  c = exchange(exchange(c, '-', '*'), '_', '*');
  return exchange(exchange(c, '+', '-'), '/', '_');
}

static size_t padding_of(subtoken_text text) {
  size_t count = 0;
  while (count < 2 && count < text.len && text.data[text.len - 1 - count] == '=') count++;
  return count;
}

bool st_base64_read(subtoken_text text, st_padding padding, void *out, size_t out_size,
                    size_t *out_len) {
  if (padding == ST_PADDED) {
    if (text.len % 4 != 0) return false;
    text.len -= padding_of(text);
  }
  if (ST_BASE64URL_BYTES(text.len) > out_size) return false;
  uint8_t *to = out;
  bool good = true;
  for (size_t at = 0; good && at < text.len; at += 4) {
    char group[4] = {0};
    size_t len = text.len - at < 4 ? text.len - at : 4, got = 0;
    for (size_t i = 0; i < len; i++) group[i] = to_url(text.data[at + i]);
    good = st_base64url_decode((subtoken_text){group, len}, to, ST_BASE64URL_BYTES(len), &got);
    subtoken_wipe(group, sizeof group);
    to += got;
  }
  size_t len = ST_BASE64URL_BYTES(text.len);
  if (good) {
    *out_len = len;
  } else if (len > 0) {
    memset(out, 0, len);
  }
  return good;
}

void st_base64_write(st_writer *writer, st_padding padding, const void *data, size_t len) {
  size_t start = writer->len;
  st_base64url_write(writer, data, len);
  for (size_t i = start; i < writer->len; i++) {
    char *c = &writer->out[i];
    *c = exchange(exchange(*c, '-', '+'), '_', '/');
  }
  for (size_t i = len; padding == ST_PADDED && i % 3 != 0; i++) st_write_char(writer, '=');
}
