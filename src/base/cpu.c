/* Asks the processor once, when a secret is set up, which instructions it has that base/x86.c or
 * base/arm.c can use. base/hmac.c and others choose by the answer. On AArch64 the system is asked,
 * because a program cannot; on other machines there is nothing to ask.
 */
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>

static bool system_keeps_avx(void) {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0)); /* XCR0: XMM and YMM */
  (void)high;
  return (low & 6) == 6;
}

uint8_t st_cpu_features_of(uint32_t leaf_1, uint32_t leaf_7, bool (*keeps_avx)(void)) {
  const unsigned sse = 1U << 9 | 1U << 19;  /* SSSE3, SSE4.1 */
  const unsigned avx = 1U << 27 | 1U << 28; /* OSXSAVE, AVX */
  const unsigned sha = 1U << 29;
  if ((leaf_1 & sse) != sse) return 0;
  uint8_t cpu = ST_CPU_VECTOR;
  if ((leaf_1 & avx) == avx && keeps_avx()) cpu |= ST_CPU_AVX;
  if ((leaf_7 & sha) != 0) cpu |= ST_CPU_SHA;
  return cpu;
}

/* A leaf that the processor does not have leaves its words as they are. */
uint8_t st_cpu_features(void) {
  unsigned a, b7 = 0, c1 = 0, other, d;
  (void)__get_cpuid(1, &a, &other, &c1, &d);
  (void)__get_cpuid_count(7, 0, &a, &b7, &other, &d);
  return st_cpu_features_of(c1, b7, system_keeps_avx);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1UL << 6)
#endif

/* Advanced SIMD is part of every AArch64. */
uint8_t st_cpu_features(void) {
  return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0 ? ST_CPU_VECTOR | ST_CPU_SHA : ST_CPU_VECTOR;
}
#elif defined(__wasm_simd128__)
/* An engine that lacks an instruction of a module does not load it. */
uint8_t st_cpu_features(void) {
  return ST_CPU_VECTOR | ST_CPU_SHA;
}
#else
uint8_t st_cpu_features(void) {
  return 0;
}
#endif
