/* The bare cost of a token: what no verifier of these bytes gets around. Our own HMAC,
 * a plain base64url decode of payload and signature, one scan over the claims that
 * keeps where each string and number lies, and no rule at all. FROZEN: goals are
 * multiples of this, so it is not to be made faster or slower together with the library.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <string.h>

#include "subtoken/mac.h"

static uint8_t bare_value[256];

static void bare_setup(void) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  memset(bare_value, 0xFF, sizeof bare_value);
  for (size_t i = 0; i < 64; i++) bare_value[(uint8_t)alphabet[i]] = (uint8_t)i;
}

static bool bare_decode(const char *text, size_t len, uint8_t *out) {
  const uint8_t *in = (const uint8_t *)text;
  uint8_t bad = 0;
  for (; len >= 4; len -= 4, in += 4, out += 3) {
    uint8_t a = bare_value[in[0]], b = bare_value[in[1]];
    uint8_t c = bare_value[in[2]], d = bare_value[in[3]];
    bad |= (uint8_t)(a | b | c | d);
    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    out[2] = (uint8_t)(c << 6 | d);
  }
  if (len >= 2) {
    uint8_t a = bare_value[in[0]], b = bare_value[in[1]], c = len == 3 ? bare_value[in[2]] : 0;
    bad |= (uint8_t)(a | b | c);
    out[0] = (uint8_t)(a << 2 | b >> 4);
    if (len == 3) out[1] = (uint8_t)(b << 4 | c >> 2);
  }
  return (bad & 0xC0) == 0;
}

typedef struct bare_claims {
  size_t strings, numbers;
  subtoken_text string[160];
  int64_t number[16];
} bare_claims;

static void bare_scan(const char *text, size_t len, bare_claims *claims) {
  claims->strings = claims->numbers = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '"') {
      size_t start = ++i;
      while (i < len && text[i] != '"') i++;
      if (claims->strings < 160) {
        claims->string[claims->strings++] = (subtoken_text){text + start, i - start};
      }
    } else if (c >= '0' && c <= '9') {
      int64_t value = 0;
      for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) value = value * 10 + (text[i] - '0');
      if (claims->numbers < 16) claims->number[claims->numbers++] = value;
      i--;
    }
  }
}

static bool bare_token(const subtoken_secret *secret, subtoken_text token, bare_claims *claims) {
  static const size_t header = 36, mac_chars = 43; /* {"alg":"HS256","typ":"JWT"} */
  static char payload[SUBTOKEN_TOKEN_MAX];
  uint8_t mac[SUBTOKEN_MAC_LEN], ours[SUBTOKEN_MAC_LEN];
  size_t chars = token.len - header - mac_chars - 2;
  if (!bare_decode(token.data + header + 1, chars, (uint8_t *)payload) ||
      !bare_decode(token.data + token.len - mac_chars, mac_chars, mac) ||
      subtoken_mac_compute(secret, token.data, header + 1 + chars, ours) != SUBTOKEN_OK) {
    return false;
  }
  bare_scan(payload, chars / 4 * 3 + chars % 4 * 3 / 4, claims);
  uint8_t differ = 0;
  for (size_t i = 0; i < sizeof mac; i++) differ |= (uint8_t)(mac[i] ^ ours[i]);
  return differ == 0;
}

#endif
