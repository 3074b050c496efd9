/* vector - what the instructions of a processor for SHA-256 and for 16 characters at a time do
 * faster: SHA and SSE4.1 on x86-64 (x86.c), SHA-2 and Advanced SIMD on AArch64 (arm.c), SIMD in
 * WebAssembly (wasm.c). The plain versions stand in hmac.c, base64url.c, core/claims_fast.c and
 * core/paths.c, which call these where the processor has the instructions (cpu.h), and
 * tests/unit/test_vector.c holds that they agree, in WebAssembly tests/wasm/library.mjs.
 */
#ifndef ST_BASE_VECTOR_H
#define ST_BASE_VECTOR_H

#include "base/bytes.h"
#include "base/cpu.h"

/* x86-64: clear the upper halves of the AVX registers. When another function left values in them,
 * the instructions below are slower, those for SHA a hundred times. Call it where the library
 * begins to work; the library leaves no values there. */
void st_vector_clean(uint8_t cpu);

/* Hash whole blocks of 64 bytes into a SHA-256 state (FIPS 180-4 section 6.2). It calls
 * st_vector_clean itself. */
void st_vector_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks);

/* Decode base64url, whole groups of four characters. Returns the number of characters that were
 * decoded: those of all such groups, or 0 when one of them is not in the alphabet (out is then
 * unspecified) or when there are fewer than 16. */
size_t st_vector_base64url_decode(const char *text, size_t len, uint8_t *out);

/* Encode. Returns the number of bytes that were encoded, a multiple of 12. It stops before the last
 * 16, because it reads up to 4 bytes more than it encodes. */
size_t st_vector_base64url_encode(const uint8_t *data, size_t len, char *out);

/* The number of characters at the front that are in a class of bytes.h. It reads steps of 16 and
 * leaves up to 15 characters at the end to the caller. */
size_t st_vector_span(const char *text, size_t len, uint8_t class);

/* The number of characters at the front that are in ST_CHAR_PATH, up to a slash before a slash, a
 * dot, a character outside of the class, or the end of a step of 16 characters or of the text. 0
 * when the text has fewer than 16. */
size_t st_vector_path(const char *text, size_t len);

#endif
