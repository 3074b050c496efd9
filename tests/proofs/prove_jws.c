/* jws: a token is split at its first and its last dot, and the parts are the whole token, whether
 * its header is one that the ring writes or not.
 */
#include "base/bytes.c"
#include "core/jws.c"
#include "proof.h"

/* Where the signature would begin if it had its length, and that it has none. */
static size_t proof_find(const char *text, size_t len, bool last) {
  size_t found = len;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '.' && (last || found == len)) found = i;
  }
  return found;
}

static void proof_split(const char *text, size_t len, const subtoken_ring *ring) {
  st_jws jws;
  subtoken_result result = st_jws_split((subtoken_text){text, len}, ring, &jws);
  size_t first = proof_find(text, len, false), last = proof_find(text, len, true);
  bool good = first > 0 && first < len && last > first + 1;
  if (result != SUBTOKEN_OK) {
    HOLDS(!good && result == SUBTOKEN_MALFORMED);
    return;
  }
  HOLDS(first == jws.header.len && jws.header.data == text && jws.header.len > 0);
  HOLDS(jws.payload.data == text + first + 1 && jws.payload.len > 0);
  HOLDS(jws.payload.len < len - first - 1 && text[first + 1 + jws.payload.len] == '.');
  HOLDS(jws.mac.data == jws.payload.data + jws.payload.len + 1);
  HOLDS(jws.mac.data + jws.mac.len == text + len);
  HOLDS(jws.signed_part.data == text && jws.signed_part.len == first + 1 + jws.payload.len);
  /* The last dot, or, with a signature of its length behind it, one that base64url refuses. */
  HOLDS(first + 1 + jws.payload.len == last || jws.mac.len == MAC_CHARS);
}

/* proof: a_token_is_split_into_its_parts
 * bound: N=24 (characters), brief N=12
 * each: LEN=0..N
 * fault: src/core/jws.c: if (first == 0 || last <= first + 1)
 * with: if (first == 0)
 * fault: src/core/jws.c: token.len - last - 1};
 * with: token.len - last};
 */
void a_token_is_split_into_its_parts(void) {
  const size_t len = LEN;
  proof_split(proof_block(len), len, NULL);
}

/* proof: a_known_header_is_the_first_part
 * bound: N=8 (characters; headers of up to N, of a ring of two secrets), brief N=4
 * each: LEN=0..N
 * unwind: N+3
 * fault: src/core/jws.c: len < token.len && token.data[len] == '.' &&
 * with: token.data[len] == '.' &&
 */
void a_known_header_is_the_first_part(void) {
  static subtoken_ring ring;
  ring.count = 2;
  for (size_t i = 0; i < 2; i++) {
    subtoken_secret *secret = &ring.secrets[i];
    secret->header_len = nondet_byte();
    ASSUME(secret->header_len <= N);
    for (size_t at = 0; at < N; at++) {
      secret->header[at] = (char)nondet_byte();
      ASSUME(secret->header[at] != '.'); /* it is base64url */
    }
  }
  const size_t len = LEN;
  proof_split(proof_block(len), len, &ring);
}
