/* The inner loops of base/vector.h with the SHA-2 and Advanced SIMD instructions of AArch64:
 * SHA-256, base64url, and classes of characters. The second are part of every AArch64; whether the
 * first are there, callers ask base/cpu.c. The steps are those of base/x86.c.
 */
#include "base/vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include "base/vector_tables.h"

/* There is nothing to clear. */
void st_vector_clean(uint8_t cpu) {
  (void)cpu;
}

/* ---- SHA-256 ---- */

/* Sixteen times four rounds; word[] is the window of the message schedule. A loop of a fixed count,
 * which the compiler unrolls, so that all stays in registers.
 */
static inline void sha256_block(uint32x4_t *abcd, uint32x4_t *efgh, const uint8_t *data) {
  uint32x4_t word[4], s0 = *abcd, s1 = *efgh;
  for (size_t i = 0; i < 4; i++) {
    word[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + 16 * i)));
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; i++) {
    uint32x4_t sum = vaddq_u32(word[i & 3], vld1q_u32(round_constants + 4 * i)), before = s0;
    if (i < 12) {
      word[i & 3] = vsha256su1q_u32(vsha256su0q_u32(word[i & 3], word[(i + 1) & 3]),
                                    word[(i + 2) & 3], word[(i + 3) & 3]);
    }
    s0 = vsha256hq_u32(s0, s1, sum);
    s1 = vsha256h2q_u32(s1, before, sum);
  }
  *abcd = vaddq_u32(*abcd, s0);
  *efgh = vaddq_u32(*efgh, s1);
}

void st_vector_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  (void)cpu;
  for (; blocks > 0; blocks--, data += 64) sha256_block(&abcd, &efgh, data);
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}

/* ---- base64url ---- */

/* 16 characters to 12 bytes. Two tables map the lower and the upper half of a character to the
 * groups (bits) that it can be in. A character is valid when both have a group in common.
 */
static inline uint8x16_t decode_step(const char *text, uint8_t *out) {
  /* 1: -   2: 0-9   4: A-O a-o   8: P-Z _   16: p-z */
  static const uint8_t by_lower[16] = {26, 30, 30, 30, 30, 30, 30, 30, 30, 30, 28, 4, 4, 5, 4, 12};
  static const uint8_t by_upper[16] = {0, 0, 1, 2, 4, 8, 4, 16};
  /* What to add to a character for its value, by its upper half; at 8 for the underscore. */
  static const int8_t shifts[16] = {0, 0, 17, 4, -65, -65, -71, -71, -32};
  static const uint8_t gather[16] = {2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 255, 255, 255, 255};
  uint8x16_t c = vld1q_u8((const uint8_t *)text);
  uint8x16_t upper = vshrq_n_u8(c, 4), lower = vandq_u8(c, vdupq_n_u8(0x0F));
  uint8x16_t line = vandq_u8(vceqq_u8(c, vdupq_n_u8('_')), vdupq_n_u8(3));
  uint8x16_t shift = vqtbl1q_u8(vreinterpretq_u8_s8(vld1q_s8(shifts)), vaddq_u8(upper, line));
  uint16x8_t six = vreinterpretq_u16_u8(vaddq_u8(c, shift));
  uint32x4_t twelve = vreinterpretq_u32_u16(
      vorrq_u16(vshlq_n_u16(vandq_u16(six, vdupq_n_u16(0x3F)), 6), vshrq_n_u16(six, 8)));
  uint32x4_t group =
      vorrq_u32(vshlq_n_u32(vandq_u32(twelve, vdupq_n_u32(0xFFF)), 12), vshrq_n_u32(twelve, 16));
  uint8x16_t bytes = vqtbl1q_u8(vreinterpretq_u8_u32(group), vld1q_u8(gather));
  vst1_u8(out, vget_low_u8(bytes));
  uint32_t last = vgetq_lane_u32(vreinterpretq_u32_u8(bytes), 2);
  memcpy(out + 8, &last, sizeof last);
  return vtstq_u8(vqtbl1q_u8(vld1q_u8(by_lower), lower), vqtbl1q_u8(vld1q_u8(by_upper), upper));
}

size_t st_vector_base64url_decode(const char *text, size_t len, uint8_t *out) {
  size_t whole = len / 4 * 4;
  if (whole < 16) return 0;
  const char *at = text, *last = text + whole - 16;
  uint8_t *to = out;
  uint8x16_t valid = vdupq_n_u8(255);
  for (; at < last; at += 16, to += 12) valid = vandq_u8(valid, decode_step(at, to));
  /* The last step may process some characters twice. */
  valid = vandq_u8(valid, decode_step(last, out + (whole - 16) / 4 * 3));
  return vminvq_u8(valid) == 255 ? whole : 0;
}

size_t st_vector_base64url_encode(const uint8_t *data, size_t len, char *out) {
  static const uint8_t spread[16] = {1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10};
  /* By how much to shift each half of a group of three bytes for its two values. */
  static const int16_t first[8] = {-10, -6, -10, -6, -10, -6, -10, -6};
  static const int16_t second[8] = {-4, 0, -4, 0, -4, 0, -4, 0};
  /* What to add to a value for its character, by group. */
  static const int8_t shifts[16] = {'a' - 26, -4, -4, -4,       -4,       -4,  -4, -4,
                                    -4,       -4, -4, '-' - 62, '_' - 63, 'A', 0,  0};
  const uint16x8_t six_bits = vdupq_n_u16(0x3F);
  size_t at = 0;
  for (; len - at >= 16; at += 12, out += 16) {
    uint16x8_t in = vreinterpretq_u16_u8(vqtbl1q_u8(vld1q_u8(data + at), vld1q_u8(spread)));
    uint16x8_t even = vandq_u16(vshlq_u16(in, vld1q_s16(first)), six_bits);
    uint16x8_t odd = vandq_u16(vshlq_u16(in, vld1q_s16(second)), six_bits);
    uint8x16_t six = vreinterpretq_u8_u16(vorrq_u16(even, vshlq_n_u16(odd, 8)));
    /* 0: a-z   1 to 10: 0-9   11: -   12: _   13: A-Z */
    uint8x16_t group = vorrq_u8(vqsubq_u8(six, vdupq_n_u8(51)),
                                vandq_u8(vcltq_u8(six, vdupq_n_u8(26)), vdupq_n_u8(13)));
    uint8x16_t shift = vqtbl1q_u8(vreinterpretq_u8_s8(vld1q_s8(shifts)), group);
    vst1q_u8((uint8_t *)out, vaddq_u8(six, shift));
  }
  return at;
}

/* ---- classes of characters ---- */

/* Four bits for each of 16 characters, the first lowest: 1111 where the lane is not 0. */
static inline uint64_t lane_bits(uint8x16_t lanes) {
  return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(lanes), 4)), 0);
}

/* 255 for each character that is of the class. */
static inline uint8x16_t in_class(uint8x16_t c, uint8_t class) {
  static const uint8_t bit_of_upper[16] = {1, 2, 4, 8, 16, 32, 64, 128};
  uint8x16_t row = vld1q_u8(class_of_lower[__builtin_ctz(class)]);
  return vtstq_u8(vqtbl1q_u8(row, vandq_u8(c, vdupq_n_u8(0x0F))),
                  vqtbl1q_u8(vld1q_u8(bit_of_upper), vshrq_n_u8(c, 4)));
}

/* The number of characters, up to 16, before the first whose bits are 0. */
static inline size_t leading_lanes(uint64_t bits) {
  return bits == UINT64_MAX ? 16 : (size_t)__builtin_ctzll(~bits) / 4;
}

size_t st_vector_span(const char *text, size_t len, uint8_t class) {
  size_t at = 0;
  for (; len - at >= 16; at += 16) {
    size_t n = leading_lanes(lane_bits(in_class(vld1q_u8((const uint8_t *)text + at), class)));
    if (n < 16) return at + n;
  }
  return at;
}

static inline uint64_t path_bits(const char *text) {
  uint8x16_t c = vld1q_u8((const uint8_t *)text);
  uint64_t good = lane_bits(in_class(c, ST_CHAR_PATH));
  uint64_t slash = lane_bits(vceqq_u8(c, vdupq_n_u8('/')));
  uint64_t dot = lane_bits(vceqq_u8(c, vdupq_n_u8('.')));
  return good & (~slash | (good & ~slash & ~dot) >> 4);
}

size_t st_vector_path(const char *text, size_t len) {
  size_t at = 0;
  for (; len - at >= 16; at += 16) {
    size_t n = leading_lanes(path_bits(text + at));
    if (n < 16) return at + n;
  }
  /* The last step processes some characters twice. */
  return at > 0 && at < len
             ? at + leading_lanes(path_bits(text + len - 16) >> 4 * (16 - (len - at)))
             : at;
}

#endif
