/* virtual_clock - a clock and randomness that are the fuzzer's, so that an input does the same each
 * time. The linker puts the functions __wrap_* in the place of those of src/os (Makefile).
 */
#ifndef FUZZ_VIRTUAL_CLOCK_H
#define FUZZ_VIRTUAL_CLOCK_H

#include "fuzz.h"

static int64_t clock_us = INT64_C(1700000000000000);

int64_t __wrap_st_clock_now(void);
int64_t __wrap_st_clock_now(void) {
  return clock_us / 1000000;
}

int64_t __wrap_st_clock_now_us(void);
int64_t __wrap_st_clock_now_us(void) {
  return clock_us;
}

int64_t __wrap_st_clock_monotonic_us(void);
int64_t __wrap_st_clock_monotonic_us(void) {
  return clock_us;
}

/* splitmix64: never the same twice, and the same in each run. */
void __wrap_st_random_fill(void *out, size_t len);
void __wrap_st_random_fill(void *out, size_t len) {
  static uint64_t state;
  uint8_t *bytes = out;
  for (size_t i = 0; i < len; i++) {
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    bytes[i] = (uint8_t)(z >> 56);
  }
}

static inline int64_t now(void) {
  return clock_us / 1000000;
}

#endif
