/* decide - the rules of a good token, once its signature is known to be ours. For claims
 * that st_claims_read has read: their entries are not looked at twice.
 */
#ifndef ST_CORE_DECIDE_H
#define ST_CORE_DECIDE_H

#include "subtoken/verify.h"

subtoken_result st_decide(const subtoken_verifier *verifier, const subtoken_request *request,
                          const subtoken_claims *claims) __attribute__((warn_unused_result));

#endif
