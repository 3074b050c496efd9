/* proof.h - what a proof is written with (tests/README.md, "Write a proof"). CBMC runs the function
 * with every value of every nondet_… at once; what HOLDS is shown for all of them, and with it that
 * no access is out of bounds, no pointer is wrong, nothing overflows and no shift is undefined.
 */
#ifndef PROOF_H
#define PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "subtoken/common.h"

#define ASSUME(condition) __CPROVER_assume(condition)
#define HOLDS(condition) __CPROVER_assert(condition, #condition)

/* Any value: CBMC knows functions of such names. */
bool nondet_bool(void);
uint8_t nondet_byte(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);
int32_t nondet_i32(void);
int64_t nondet_i64(void);
size_t nondet_size(void);

/* A block of exactly this size, of any content: one byte more or less that is read is a fault. */
static inline void *proof_block(size_t len) {
  void *block = malloc(len);
  ASSUME(block != NULL);
  return block;
}

/* A copy of it. */
static inline void *proof_copy(const void *from, size_t len) {
  void *block = proof_block(len);
  if (len > 0) memcpy(block, from, len);
  return block;
}

/* CBMC has no body of its own for it. */
void *memchr(const void *memory, int c, size_t len) {
  const unsigned char *at = memory;
  for (size_t i = 0; i < len; i++) {
    if (at[i] == (unsigned char)c) return (void *)(at + i);
  }
  return NULL;
}

/* A text of any length up to `most` that ends where its block ends: one byte read behind it is a
 * fault. For what goes through a text by steps that depend on it. */
static inline subtoken_text proof_text(size_t most) {
  char *block = proof_block(most);
  size_t len = nondet_size();
  ASSUME(len <= most);
  return (subtoken_text){block + (most - len), len};
}

/* What a proof that says `each` is run with; others do not look at them. A length is then a
 * constant, and so is each index that depends on it alone. */
#ifndef LEN
#define LEN 0
#endif
#ifndef CALL
#define CALL 0
#endif

#endif
