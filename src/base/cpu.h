/* cpu - what this processor can do. */
#ifndef ST_BASE_CPU_H
#define ST_BASE_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* What a processor has, as bits: subtoken_secret.cpu. */
enum {
  ST_CPU_SSE41 = 1,
  ST_CPU_SHA = 2, /* SHA and SSE4.1 */
  ST_CPU_AVX = 4, /* AVX registers, which the system keeps */
};

/* The instructions that the processor has and the system allows; 0 on other machines than x86-64.
 * Asking costs tens of microseconds under a hypervisor: once a secret, never once a token.
 */
uint8_t st_cpu_features(void);

#endif
