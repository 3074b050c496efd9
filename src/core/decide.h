/* decide - the rules of a good token, once its signature is known to be ours. For claims
 * that st_claims_read has read: their entries are not looked at twice.
 */
#ifndef ST_CORE_DECIDE_H
#define ST_CORE_DECIDE_H

#include "core/paths.h"
#include "subtoken/verify.h"

/* path: the target of the request as st_paths_read_target has read it, or NULL when it was not read
 * yet.
 */
subtoken_result st_decide(const subtoken_verifier *verifier, const subtoken_request *request,
                          const st_path *path, const subtoken_claims *claims)
    __attribute__((warn_unused_result));

/* The same for claims of any bytes, whose counts, slices and times are in range: their entries are
 * checked first, and one that is none is SUBTOKEN_CLAIMS. */
subtoken_result st_decide_any(const subtoken_verifier *verifier, const subtoken_request *request,
                              const subtoken_claims *claims) __attribute__((warn_unused_result));

/* subtoken_verify with such a path, for structures of this version. */
subtoken_result st_verify(const subtoken_verifier *verifier, subtoken_text token,
                          const subtoken_request *request, const st_path *path,
                          subtoken_claims *claims) __attribute__((warn_unused_result));

#endif
