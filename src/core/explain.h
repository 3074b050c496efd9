/* explain - what the explanations of a token and of a policy share. */
#ifndef ST_CORE_EXPLAIN_H
#define ST_CORE_EXPLAIN_H

#include "base/bytes.h"
#include "subtoken/policy.h"

/* `GET /v2/account`: the request without its query, which may have a credential in it. */
void st_explain_asked(st_writer *w, subtoken_text method, subtoken_text target);

/* `target /a/.. is refused: ...` */
void st_explain_fault(st_writer *w, subtoken_text target);

/* The sentence of subtoken_explain. decision: NULL, or the decision of a policy, whose needs come
 * before those of the request. */
void st_explain_token(st_writer *w, const subtoken_verifier *verifier, subtoken_text token,
                      const subtoken_request *request, const subtoken_decision *decision,
                      subtoken_result result);

#endif
