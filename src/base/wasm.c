/* The inner loops of base/vector.h with the 128-bit SIMD instructions of WebAssembly: the message
 * schedule of SHA-256, of which there are no instructions; base64url; and classes of characters.
 * The steps of the last two are those of base/arm.c. A file that is compiled without -msimd128 uses
 * the plain versions (vector.c).
 */
#include "base/vector.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

#include "base/vector_tables.h"

/* There is nothing to clear. */
void st_vector_clean(uint8_t cpu) {
  (void)cpu;
}

/* ---- SHA-256 (FIPS 180-4 section 6.2.2) ---- */

static inline uint32_t rotate(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

static inline v128_t schedule_sigma1(v128_t w) {
  v128_t rotated17 = wasm_v128_xor(wasm_u32x4_shr(w, 17), wasm_i32x4_shl(w, 15));
  v128_t rotated19 = wasm_v128_xor(wasm_u32x4_shr(w, 19), wasm_i32x4_shl(w, 13));
  return wasm_v128_xor(wasm_v128_xor(rotated17, rotated19), wasm_u32x4_shr(w, 10));
}

static inline v128_t schedule_sigma0(v128_t w) {
  v128_t rotated7 = wasm_v128_xor(wasm_u32x4_shr(w, 7), wasm_i32x4_shl(w, 25));
  v128_t rotated18 = wasm_v128_xor(wasm_u32x4_shr(w, 18), wasm_i32x4_shl(w, 14));
  return wasm_v128_xor(wasm_v128_xor(rotated7, rotated18), wasm_u32x4_shr(w, 3));
}

/* The next four words of the message schedule after sixteen. The last two of them need the first
 * two. */
static inline v128_t schedule_next(const v128_t w[4], size_t first) {
  const v128_t zero = wasm_i32x4_splat(0);
  v128_t w0 = w[first], w1 = w[(first + 1) % 4], w2 = w[(first + 2) % 4], w3 = w[(first + 3) % 4];
  v128_t sum = wasm_i32x4_add(w0, wasm_i32x4_shuffle(w2, w3, 1, 2, 3, 4));
  sum = wasm_i32x4_add(sum, schedule_sigma0(wasm_i32x4_shuffle(w0, w1, 1, 2, 3, 4)));
  sum = wasm_i32x4_add(sum, schedule_sigma1(wasm_i32x4_shuffle(w3, zero, 2, 3, 4, 4)));
  return wasm_i32x4_add(sum, schedule_sigma1(wasm_i32x4_shuffle(sum, zero, 4, 4, 0, 1)));
}

/* The words of the schedule are made four at a time, 16 rounds ahead, and go through memory to the
 * rounds. These are a loop of a fixed count, which the compiler unrolls, so that the state stays in
 * variables and no value moves: round i calls `a` what stands at -i, modulo 8. */
static inline void sha256_block(uint32_t state[8], const uint8_t *data, uint32_t words[64]) {
  uint32_t s[8];
  v128_t w[4];
  for (size_t i = 0; i < 8; i++) s[i] = state[i];
#pragma clang loop unroll(full)
  for (size_t i = 0; i < 4; i++) {
    v128_t v = wasm_v128_load(data + 16 * i);
    w[i] = wasm_i8x16_shuffle(v, v, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    wasm_v128_store(words + 4 * i, wasm_i32x4_add(w[i], wasm_v128_load(round_constants + 4 * i)));
  }
#pragma clang loop unroll(full)
  for (size_t i = 0; i < 64; i++) {
    if (i % 4 == 0 && i < 48) {
      v128_t *next = &w[i / 4 % 4];
      *next = schedule_next(w, i / 4 % 4);
      wasm_v128_store(words + i + 16,
                      wasm_i32x4_add(*next, wasm_v128_load(round_constants + i + 16)));
    }
    uint32_t a = s[(64 - i) % 8], b = s[(65 - i) % 8], c = s[(66 - i) % 8];
    uint32_t e = s[(68 - i) % 8], f = s[(69 - i) % 8], g = s[(70 - i) % 8];
    uint32_t t = s[(71 - i) % 8] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
                 (((f ^ g) & e) ^ g) + words[i];
    s[(67 - i) % 8] += t;
    /* The majority of a, b and c; a ^ b is b ^ c of the next round. */
    s[(71 - i) % 8] =
        t + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (((a ^ b) & (b ^ c)) ^ b);
  }
  for (size_t i = 0; i < 8; i++) state[i] += s[i];
}

void st_vector_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks) {
  uint32_t words[64];
  (void)cpu;
  for (; blocks > 0; blocks--, data += 64) sha256_block(state, data, words);
  subtoken_wipe(words, sizeof words); /* they may be those of a secret */
}

/* ---- base64url ---- */

/* 16 characters to 12 bytes. Two tables map the lower and the upper half of a character to the
 * groups (bits) that it can be in. A character is valid when both have a group in common.
 */
static inline v128_t decode_step(const char *text, uint8_t *out) {
  /* 1: -   2: 0-9   4: A-O a-o   8: P-Z _   16: p-z */
  const v128_t by_lower =
      wasm_u8x16_const(26, 30, 30, 30, 30, 30, 30, 30, 30, 30, 28, 4, 4, 5, 4, 12);
  const v128_t by_upper = wasm_u8x16_const(0, 0, 1, 2, 4, 8, 4, 16, 0, 0, 0, 0, 0, 0, 0, 0);
  /* What to add to a character for its value, by its upper half; at 8 for the underscore. */
  const v128_t shifts = wasm_i8x16_const(0, 0, 17, 4, -65, -65, -71, -71, -32, 0, 0, 0, 0, 0, 0, 0);
  v128_t c = wasm_v128_load(text);
  v128_t upper = wasm_u8x16_shr(c, 4), lower = wasm_v128_and(c, wasm_i8x16_splat(0x0F));
  v128_t line = wasm_v128_and(wasm_i8x16_eq(c, wasm_i8x16_splat('_')), wasm_i8x16_splat(3));
  v128_t six = wasm_i8x16_add(c, wasm_i8x16_swizzle(shifts, wasm_i8x16_add(upper, line)));
  v128_t twelve = wasm_v128_or(wasm_i16x8_shl(wasm_v128_and(six, wasm_i16x8_splat(0x3F)), 6),
                               wasm_u16x8_shr(six, 8));
  v128_t group = wasm_v128_or(wasm_i32x4_shl(wasm_v128_and(twelve, wasm_i32x4_splat(0xFFF)), 12),
                              wasm_u32x4_shr(twelve, 16));
  v128_t bytes =
      wasm_i8x16_shuffle(group, group, 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 0, 0, 0, 0);
  wasm_v128_store64_lane(out, bytes, 0);
  wasm_v128_store32_lane(out + 8, bytes, 2);
  return wasm_i8x16_ne(
      wasm_v128_and(wasm_i8x16_swizzle(by_lower, lower), wasm_i8x16_swizzle(by_upper, upper)),
      wasm_i8x16_splat(0));
}

size_t st_vector_base64url_decode(const char *text, size_t len, uint8_t *out) {
  size_t whole = len / 4 * 4;
  if (whole < 16) return 0;
  const char *at = text, *last = text + whole - 16;
  uint8_t *to = out;
  v128_t valid = wasm_i8x16_splat(-1);
  for (; at < last; at += 16, to += 12) valid = wasm_v128_and(valid, decode_step(at, to));
  /* The last step may process some characters twice. */
  valid = wasm_v128_and(valid, decode_step(last, out + (whole - 16) / 4 * 3));
  return wasm_i8x16_all_true(valid) ? whole : 0;
}

/* ---- classes of characters ---- */

/* A bit for each of 16 characters, the first lowest: is it of the class? */
static inline uint32_t in_class(v128_t c, uint8_t class) {
  const v128_t bit_of_upper =
      wasm_i8x16_const(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  v128_t row = wasm_v128_load(class_of_lower[__builtin_ctz(class)]);
  v128_t common = wasm_v128_and(wasm_i8x16_swizzle(row, wasm_v128_and(c, wasm_i8x16_splat(0x0F))),
                                wasm_i8x16_swizzle(bit_of_upper, wasm_u8x16_shr(c, 4)));
  return wasm_i8x16_bitmask(wasm_i8x16_ne(common, wasm_i8x16_splat(0)));
}

/* The number of characters, up to 16, before the first whose bit is 0. */
static inline size_t leading_ones(uint32_t bits) {
  return (size_t)__builtin_ctz(~bits);
}

size_t st_vector_span(const char *text, size_t len, uint8_t class) {
  size_t at = 0;
  for (; len - at >= 16; at += 16) {
    size_t n = leading_ones(in_class(wasm_v128_load(text + at), class));
    if (n < 16) return at + n;
  }
  return at;
}

static inline uint32_t path_bits(const char *text) {
  v128_t c = wasm_v128_load(text);
  uint32_t good = in_class(c, ST_CHAR_PATH);
  uint32_t slash = wasm_i8x16_bitmask(wasm_i8x16_eq(c, wasm_i8x16_splat('/')));
  uint32_t dot = wasm_i8x16_bitmask(wasm_i8x16_eq(c, wasm_i8x16_splat('.')));
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

/* Tokens are issued elsewhere: the plain version is enough. */
size_t st_vector_base64url_encode(const uint8_t *data, size_t len, char *out) {
  (void)data, (void)len, (void)out;
  return 0;
}

#endif
