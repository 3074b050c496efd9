/* base64url: decoding and encoding are each other's inverse, and nothing is accepted that encoding
 * does not write. The plain loops are proved; that those of x86.c, arm.c and wasm.c do the same is
 * tested (tests/unit/test_vector.c).
 */
#include "base/base64url.c"
#include "base/bytes.c"
#include "proof.h"

/* RFC 4648 section 5, as a rule for one character: its value, or 64. */
static unsigned proof_value(uint8_t c) {
  return c >= 'A' && c <= 'Z'   ? c - 'A'
         : c >= 'a' && c <= 'z' ? c - 'a' + 26U
         : c >= '0' && c <= '9' ? c - '0' + 52U
         : c == '-'             ? 62U
         : c == '_'             ? 63U
                                : 64U;
}

/* Canonical: only characters of the alphabet, a length that some bytes have, unused bits zero. */
static bool proof_canonical(const uint8_t *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (proof_value(text[i]) > 63) return false;
  }
  if (len % 4 == 1) return false;
  if (len % 4 == 2) return proof_value(text[len - 1]) % 16 == 0;
  return len % 4 != 3 || proof_value(text[len - 1]) % 4 == 0;
}

/* proof: decoding_accepts_canonical_text_alone
 * bound: N=8 (characters), brief N=5
 * each: LEN=0..N
 * fault: src/base/base64url.c: (b & 0x0F) != 0
 * with: (b & 0x07) != 0
 * fault: src/base/base64url.c: next |= ((44 - c) & (c - 46))
 * with: next |= ((43 - c) & (c - 46))
 * fault: src/base/base64url.c: (61 - value) >> 8
 * with: (60 - value) >> 8
 * fault: src/base/base64url.c: text.len % 4 == 1) return false
 * with: text.len % 4 > 4) return false
 * fault: src/base/base64url.c: for (; left >= 4; left -= 4, in += 4, to += 3)
 * with: for (; left >= 3; left -= 4, in += 4, to += 3)
 */
void decoding_accepts_canonical_text_alone(void) {
  const size_t len = LEN;
  uint8_t *text = proof_block(len);
  size_t size = len / 4 * 3 + (len % 4 > 0 ? len % 4 - 1 : 0), got = nondet_size(), before = got;
  uint8_t *out = proof_block(size);
  subtoken_text view = {(const char *)text, len};
  bool good = st_base64url_decode(view, out, size, &got);
  HOLDS(good == proof_canonical(text, len));
  HOLDS(good == st_base64url_valid(view));
  uint8_t *by_table = proof_block(size);
  size_t len_by_table = before;
  HOLDS(st_base64url_decode_by(0, view, by_table, size, &len_by_table) == good);
  HOLDS(len_by_table == got && (!good || size == 0 || memcmp(out, by_table, size) == 0));
  HOLDS(got == (good ? size : before));
  if (size > 0) HOLDS(!st_base64url_decode(view, out, size - 1, &got));
  if (!good) return;
  char *again = proof_block(len);
  st_writer writer = st_writer_on(again, len);
  st_base64url_write(&writer, out, size);
  HOLDS(!writer.overflow && writer.len == len);
  HOLDS(len == 0 || memcmp(again, text, len) == 0);
  writer = st_writer_on(again, len);
  st_base64url_write_by(0, &writer, out, size);
  HOLDS(!writer.overflow && (len == 0 || memcmp(again, text, len) == 0));
}
