/* claims_fast - claims in the one shape in which st_claims_write writes: the issuer's order, no
 * white space, no escaped characters.
 */
#ifndef ST_CORE_CLAIMS_FAST_H
#define ST_CORE_CLAIMS_FAST_H

#include "base/bytes.h"

/* Reads claims->text into the other members. False when the text is of another form; then the
 * lists, the sid and the aud are empty, and st_claims_read_any reads the text. Both read what this
 * accepts alike.
 */
bool st_claims_fast_read(uint8_t cpu, subtoken_claims *claims) __attribute__((warn_unused_result));

#endif
