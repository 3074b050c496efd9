#include "base/x86.h"

#if defined(__x86_64__)
#include <immintrin.h>

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The instructions want the state as two registers, A B E F and C D G H. */
static inline void pack(const uint32_t state[8], __m128i *abef, __m128i *cdgh) {
  __m128i abcd = _mm_loadu_si128((const __m128i *)state);
  __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
  __m128i cdab = _mm_shuffle_epi32(abcd, 0xB1);
  __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1B);
  *abef = _mm_alignr_epi8(cdab, hgfe, 8);
  *cdgh = _mm_blend_epi16(hgfe, cdab, 0xF0);
}

static inline void unpack(__m128i abef, __m128i cdgh, uint32_t state[8]) {
  __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Sixteen times four rounds; word[] is the window of the message schedule. Loops
 * of a fixed count, which the compiler unrolls, so that all stays in registers.
 */
static inline void block(__m128i *abef, __m128i *cdgh, const uint8_t *data) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i word[4];
  __m128i s0 = *abef, s1 = *cdgh;
  for (int i = 0; i < 4; i++) {
    word[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) {
    __m128i *now = &word[i & 3], *next = &word[(i + 1) & 3], *last = &word[(i + 3) & 3];
    __m128i k = _mm_loadu_si128((const __m128i *)(round_constants + 4 * i));
    __m128i sum = _mm_add_epi32(*now, k);
    s1 = _mm_sha256rnds2_epu32(s1, s0, sum);
    if (i >= 3 && i < 15) {
      *next = _mm_add_epi32(*next, _mm_alignr_epi8(*now, *last, 4));
      *next = _mm_sha256msg2_epu32(*next, *now);
    }
    s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(sum, 0x0E));
    if (i >= 1 && i < 13) *last = _mm_sha256msg1_epu32(*last, *now);
  }
  *abef = _mm_add_epi32(*abef, s0);
  *cdgh = _mm_add_epi32(*cdgh, s1);
}

void st_x86_sha256(uint32_t state[8], const uint8_t *data, size_t blocks, bool avx) {
  __m128i abef, cdgh;
  if (avx) __asm__ __volatile__("vzeroupper" : : : "memory");
  pack(state, &abef, &cdgh);
  for (; blocks > 0; blocks--, data += 64) block(&abef, &cdgh, data);
  unpack(abef, cdgh, state);
}

#else

/* Never called: hmac.c finds no instructions. */
void st_x86_sha256(uint32_t state[8], const uint8_t *data, size_t blocks, bool avx) {
  (void)state, (void)data, (void)blocks, (void)avx;
}

#endif
