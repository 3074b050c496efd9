/* claims_fast - claims in the one shape in which st_claims_write writes: the issuer's order, no
 * white space, no escaped characters.
 */
#ifndef ST_CORE_CLAIMS_FAST_H
#define ST_CORE_CLAIMS_FAST_H

#include "base/bytes.h"

/* Reads claims->text into the other members. False: the text is not in that shape; the lists and
 * sid are empty again, and st_claims_read_any writes the rest. What this reads, that reads alike.
 */
bool st_claims_fast_read(uint8_t cpu, subtoken_claims *claims) __attribute__((warn_unused_result));

#endif
