/* edge_answer - what the server said of a credential. */
#ifndef ST_CORE_EDGE_ANSWER_H
#define ST_CORE_EDGE_ANSWER_H

#include "base/bytes.h"
#include "subtoken/edge.h"

/* The claims of the identity that it tells, or, anonymous, of the user `*`. False: it tells none,
 * and the claims are zeroed. */
bool st_edge_answer_claims(const subtoken_edge_answer *answer, subtoken_text nonce, bool anonymous,
                           subtoken_claims *claims) __attribute__((warn_unused_result));
/* Why it tells none. */
void st_edge_answer_refuse(const subtoken_edge_answer *answer, subtoken_text nonce, bool anonymous,
                           subtoken_edge_reply *reply);

#endif
