/* The inner loops that SHA and SSE4.1 instructions do faster: SHA-256, base64url, and classes of
 * characters. base/vector.h says what each does; callers ask base/cpu.c first whether they may.
 */
#include "base/vector.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/vector_tables.h"

/* ---- SHA-256 ---- */

/* The instructions take the state in two registers, A B E F and C D G H. */
static inline void pack_state(const uint32_t state[8], __m128i *abef, __m128i *cdgh) {
  __m128i abcd = _mm_loadu_si128((const __m128i *)state);
  __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
  __m128i cdab = _mm_shuffle_epi32(abcd, 0xB1);
  __m128i hgfe = _mm_shuffle_epi32(efgh, 0x1B);
  *abef = _mm_alignr_epi8(cdab, hgfe, 8);
  *cdgh = _mm_blend_epi16(hgfe, cdab, 0xF0);
}

static inline void unpack_state(__m128i abef, __m128i cdgh, uint32_t state[8]) {
  __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Sixteen times four rounds; word[] is the window of the message schedule. Loops
 * of a fixed count, which the compiler unrolls, so that all stays in registers.
 */
static inline void sha256_block(__m128i *abef, __m128i *cdgh, const uint8_t *data) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i word[4];
  __m128i s0 = *abef, s1 = *cdgh;
  for (size_t i = 0; i < 4; i++) {
    word[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i++) {
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

/* Not inline, so that the compiler keeps no vector registers of a caller across it. */
__attribute__((noinline)) void st_vector_clean(uint8_t cpu) {
  if ((cpu & ST_CPU_AVX) != 0) __asm__ __volatile__("vzeroupper" : : : "memory");
}

void st_vector_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks) {
  __m128i abef, cdgh;
  st_vector_clean(cpu);
  pack_state(state, &abef, &cdgh);
  for (; blocks > 0; blocks--, data += 64) sha256_block(&abef, &cdgh, data);
  unpack_state(abef, cdgh, state);
}

/* ---- base64url ---- */

/* 16 characters to 12 bytes. Two tables map the lower and the upper half of a character to the
 * groups (bits) that it can be in. A character is valid when both have a group in common. */
static inline __m128i decode_step(const char *text, uint8_t *out) {
  /* 1: -   2: 0-9   4: A-O a-o   8: P-Z _   16: p-z */
  const __m128i by_lower =
      _mm_setr_epi8(26, 30, 30, 30, 30, 30, 30, 30, 30, 30, 28, 4, 4, 5, 4, 12);
  const __m128i by_upper = _mm_setr_epi8(0, 0, 1, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0);
  /* What to add to a character for its value, by its upper half; at 8 for the underscore. */
  const __m128i shifts = _mm_setr_epi8(0, 0, 17, 4, -65, -65, -71, -71, -32, 0, 0, 0, 0, 0, 0, 0);
  const __m128i gather = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
  __m128i c = _mm_loadu_si128((const __m128i *)text);
  __m128i upper = _mm_and_si128(_mm_srli_epi32(c, 4), _mm_set1_epi8(0x0F));
  __m128i line = _mm_and_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('_')), _mm_set1_epi8(3));
  __m128i six = _mm_add_epi8(c, _mm_shuffle_epi8(shifts, _mm_add_epi8(upper, line)));
  __m128i twelve = _mm_maddubs_epi16(six, _mm_set1_epi32(0x01400140));
  __m128i bytes = _mm_shuffle_epi8(_mm_madd_epi16(twelve, _mm_set1_epi32(0x00011000)), gather);
  _mm_storel_epi64((__m128i *)out, bytes);
  uint32_t last = (uint32_t)_mm_extract_epi32(bytes, 2);
  memcpy(out + 8, &last, sizeof last);
  return _mm_and_si128(_mm_shuffle_epi8(by_lower, c), _mm_shuffle_epi8(by_upper, upper));
}

size_t st_vector_base64url_decode(const char *text, size_t len, uint8_t *out) {
  size_t whole = len / 4 * 4;
  if (whole < 16) return 0;
  const char *at = text, *last = text + whole - 16;
  uint8_t *to = out;
  __m128i groups = _mm_set1_epi8(-1);
  for (; at < last; at += 16, to += 12) groups = _mm_min_epu8(groups, decode_step(at, to));
  /* The last step may process some characters twice. */
  groups = _mm_min_epu8(groups, decode_step(last, out + (whole - 16) / 4 * 3));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(groups, _mm_setzero_si128())) == 0 ? whole : 0;
}

size_t st_vector_base64url_encode(const uint8_t *data, size_t len, char *out) {
  const __m128i spread = _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10);
  /* What to add to a value for its character, by group. */
  const __m128i shifts = _mm_setr_epi8('a' - 26, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, '-' - 62,
                                       '_' - 63, 'A', 0, 0);
  size_t at = 0;
  for (; len - at >= 16; at += 12, out += 16) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(data + at));
    __m128i in = _mm_shuffle_epi8(bytes, spread);
    /* Multiplying moves each group of six bits to the foot of a byte of its own. */
    __m128i odd =
        _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0FC0FC00)), _mm_set1_epi32(0x04000040));
    __m128i even =
        _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003F03F0)), _mm_set1_epi32(0x01000010));
    __m128i six = _mm_or_si128(odd, even);
    /* 0: a-z   1 to 10: 0-9   11: -   12: _   13: A-Z */
    __m128i group =
        _mm_or_si128(_mm_subs_epu8(six, _mm_set1_epi8(51)),
                     _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), six), _mm_set1_epi8(13)));
    __m128i c = _mm_add_epi8(six, _mm_shuffle_epi8(shifts, group));
    _mm_storeu_si128((__m128i *)out, c);
  }
  return at;
}

/* ---- classes of characters ---- */

/* A bit for each of 16 characters: 1 when it is of the class. */
static inline unsigned in_class(__m128i c, uint8_t class) {
  const __m128i bit_of_upper = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  const uint8_t *row = class_of_lower[__builtin_ctz(class)];
  __m128i lower = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)row), c);
  __m128i upper =
      _mm_shuffle_epi8(bit_of_upper, _mm_and_si128(_mm_srli_epi32(c, 4), _mm_set1_epi8(0x0F)));
  __m128i out = _mm_cmpeq_epi8(_mm_and_si128(lower, upper), _mm_setzero_si128());
  return (unsigned)_mm_movemask_epi8(out) ^ 0xFFFFU;
}

/* The number of 1 bits below the lowest 0. */
static inline size_t leading_ones(unsigned bits) {
  return (size_t)__builtin_ctz(~bits);
}

size_t st_vector_span(const char *text, size_t len, uint8_t class) {
  size_t at = 0;
  for (; len - at >= 16; at += 16) {
    size_t n = leading_ones(in_class(_mm_loadu_si128((const __m128i *)(text + at)), class));
    if (n < 16) return at + n;
  }
  return at;
}

static inline unsigned path_bits(const char *text) {
  __m128i c = _mm_loadu_si128((const __m128i *)text);
  unsigned good = in_class(c, ST_CHAR_PATH);
  unsigned slash = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(c, _mm_set1_epi8('/')));
  unsigned dot = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(c, _mm_set1_epi8('.')));
  return good & (~slash | (good & ~slash & ~dot) >> 1);
}

size_t st_vector_path(const char *text, size_t len) {
  size_t at = 0;
  for (; len - at >= 16; at += 16) {
    size_t n = leading_ones(path_bits(text + at));
    if (n < 16) return at + n;
  }
  /* The last step processes some characters twice. */
  return at > 0 && at < len ? at + leading_ones(path_bits(text + len - 16) >> (16 - (len - at)))
                            : at;
}

#endif
