/* cpu - what this processor can do. */
#ifndef ST_BASE_CPU_H
#define ST_BASE_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* Features of a processor, as bits of subtoken_secret.cpu. */
enum {
  ST_CPU_VECTOR = 1, /* SSE4.1 (x86-64), Advanced SIMD (AArch64), SIMD (WebAssembly) */
  ST_CPU_SHA = 2,    /* SHA (x86-64), SHA-2 (AArch64) or base/wasm.c, and ST_CPU_VECTOR */
  ST_CPU_AVX = 4,    /* AVX, and the system saves its registers; x86-64 alone */
};

/* The features that the processor has and the system supports; 0 on other machines than
 * these. It takes tens of microseconds under a hypervisor: call it once a secret, not once a
 * token. */
uint8_t st_cpu_features(void);

#if defined(__x86_64__)
/* What follows from CPUID's ECX of leaf 1 and EBX of leaf 7, and from whether the system keeps AVX
 * registers, which may be asked only where leaf 1 has OSXSAVE. */
uint8_t st_cpu_features_of(uint32_t leaf_1, uint32_t leaf_7, bool (*keeps_avx)(void));
#endif

#endif
