/* x86 - what processors with SHA instructions do faster. The plain versions stand
 * in hmac.c, and tests/unit/test_x86.c holds that they agree. To be called only
 * where hmac.c has found the instructions: its file is compiled with them.
 */
#ifndef ST_BASE_X86_H
#define ST_BASE_X86_H

#include "base/bytes.h"

/* Hash whole blocks of 64 bytes into a SHA-256 state. avx: the processor has AVX
 * registers, whose upper halves, when somebody left values there, make each of
 * these instructions a hundred times slower; they are cleared first.
 */
void st_x86_sha256(uint32_t state[8], const uint8_t *data, size_t blocks, bool avx);

#endif
