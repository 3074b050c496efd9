/* x86 - what SHA and SSE4.1 instructions do faster. The plain versions stand in hmac.c,
 * base64url.c, core/claims_fast.c and core/paths.c, which call these where the processor has the
 * instructions, and tests/unit/test_x86.c holds that they agree. The file is compiled with -msha
 * -msse4.1.
 */
#ifndef ST_BASE_X86_H
#define ST_BASE_X86_H

#include "base/bytes.h"
#include "base/cpu.h"

/* Clear the upper halves of AVX registers. Where somebody left values in them, each
 * instruction below costs more, those for SHA a hundred times as much. To be called where
 * our work begins; nothing that it calls leaves values there.
 */
void st_x86_clean(uint8_t cpu);

/* Hash whole blocks of 64 bytes into a SHA-256 state (FIPS 180-4 section 6.2). Cleans by
 * itself. */
void st_x86_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks);

/* base64url, whole groups of four characters. Returns how many characters were decoded:
 * those of all such groups, or 0 when one of them is none of the alphabet (out is then
 * in disorder) or when there are fewer than 16.
 */
size_t st_x86_base64url_decode(const char *text, size_t len, uint8_t *out);

/* The other way: returns how many bytes were encoded, a multiple of 12. It stops before
 * the last 16, because it reads up to 4 bytes more than it encodes.
 */
size_t st_x86_base64url_encode(const uint8_t *data, size_t len, char *out);

/* How many of the first characters are of one class of bytes.h; looks at whole steps of
 * 16, so that up to 15 more may be where it stops for the end. */
size_t st_x86_span(const char *text, size_t len, uint8_t class);

/* How many of the first characters are of ST_CHAR_PATH and no slash that is followed by
 * a slash, a dot, a character of no path, or the end of 16 characters or of the text; 0
 * when the text has fewer than 16.
 */
size_t st_x86_path(const char *text, size_t len);

#endif
