/* base64url and base64, strict and without allocation. The fast versions of the inner loops are in
 * base/vector.h; this file has the plain ones and decides which to use.
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

bool st_base64url_decode(subtoken_text text, void *out, size_t out_size, size_t *out_len) {
  return st_base64url_decode_by(0, text, out, out_size, out_len);
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

void st_base64url_write(st_writer *writer, const void *data, size_t len) {
  st_base64url_write_by(0, writer, data, len);
}

void st_base64url_write_by(uint8_t cpu, st_writer *writer, const void *data, size_t len) {
  size_t need = ST_BASE64URL_LEN(len);
  if (writer->overflow || need > writer->size - writer->len) {
    writer->overflow = true;
    return;
  }
  const uint8_t *in = data;
  char *to = writer->out + writer->len;
  writer->len += need;
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
  if (len == 2) *to++ = alphabet[(in[1] & 15) << 2];
}

/* ---- the standard alphabet, by way of base64url ---- */

static char to_url(char c) {
  switch (c) {
    case '+': return '-';
    case '/': return '_';
    case '-':
    case '_': return '*'; /* not in the standard alphabet */
    default: return c;
  }
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
    *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
  }
  for (size_t i = len; padding == ST_PADDED && i % 3 != 0; i++) st_write_char(writer, '=');
}
