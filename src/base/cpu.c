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

uint8_t st_cpu_features(void) {
  unsigned a, b, c, d;
  const unsigned sse = 1U << 9 | 1U << 19;  /* SSSE3, SSE4.1 */
  const unsigned avx = 1U << 27 | 1U << 28; /* OSXSAVE, AVX */
  const unsigned sha = 1U << 29;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & sse) != sse) return 0;
  uint8_t cpu = ST_CPU_VECTOR;
  if ((c & avx) == avx && system_keeps_avx()) cpu |= ST_CPU_AVX;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & sha) != 0) cpu |= ST_CPU_SHA;
  return cpu;
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
