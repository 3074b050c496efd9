/* subtoken/policy.h - route policies: what a request needs, by its path and method.
 *
 *   {"default":"deny",
 *    "preflight":true,
 *    "routes":[
 *      {"path":"/v2/account/bank","methods":["GET"],"needs":["account","inventories"]},
 *      {"path":"/v2/characters/@/inventory","needs":["characters"]},
 *      {"path":"/rpc","methods":["POST"],"json_rpc":true},
 *      {"path":"/v2/items","public":true}]}
 *
 * default    must be there. What holds for a path that no route has: "deny", "token" (a
 *            good token, no permission) or "public". Only "deny" keeps closed what nobody
 *            thought of: `/v2/items/` is another path than `/v2/items`, and under no star.
 * preflight  true: CORS preflights pass, for every path. Absent: false.
 * routes     at least one, or absent. Of each:
 *   path      that of an entry of the URL allowlist (url.h), without a method in front; a
 *             star as its last segment stands for everything under it, one that is a whole
 *             segment before that (above it is written as @) for exactly one
 *   methods   1 to 64, upper-case letters; GET lets HEAD through. Absent: every method
 *   needs     1 to 64 permissions, all of which the token must have. Absent: a good token
 *   public    true: no token, and one that is there is not looked at. Not with needs
 *   json_rpc  true: also the APIs that the body names (subtoken_rpc_read). Not with public
 *
 * The most specific path decides alone, wherever it stands in the file: of two that fit, the
 * one that has a plain segment where they first differ; then one that ends before one that goes
 * on with a final star. So a path without stars comes before all others, and of final stars the
 * one with the most in front of it. A method that the path does not list is denied, and no other
 * path is asked. Several routes may have the same path when none of their methods
 * are the same (nor GET and HEAD): together they are that path.
 *
 * The file is strict JSON (RFC 8259). Another member than these, one that stands twice,
 * an empty list: all are errors.
 */
#ifndef SUBTOKEN_POLICY_H
#define SUBTOKEN_POLICY_H

#include "subtoken/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_POLICY_TEXT_MAX 16777216 /* bytes of a policy file */
#define SUBTOKEN_POLICY_METHODS_MAX 64    /* methods of one path, in all its routes, a count */
#define SUBTOKEN_POLICY_METHOD_MAX 32     /* letters of one method */
#define SUBTOKEN_POLICY_NEEDS_MAX 64      /* permissions that a route needs, a count */
#define SUBTOKEN_POLICY_PATTERNS_MAX 256  /* sets of places in which paths have stars within */
#define SUBTOKEN_POLICY_ERROR_MAX 320     /* bytes of subtoken_policy_error.text */

/* A policy that was read. It lies in the caller's memory and holds no address: that memory
 * may be copied or mapped elsewhere, aligned to 8 bytes, and nothing has to be released.
 * Nobody writes to it again; any number of threads may ask it. All zero, it denies.
 */
typedef struct subtoken_policy subtoken_policy;

/* What is wrong with a policy: `routes[2].needs[0]: "a b" is no permission`. Fit for a
 * terminal, and followed by a NUL. Lines and columns count from 1, columns in bytes; both
 * are 0 when it is of no place in the text.
 */
typedef struct subtoken_policy_error {
  size_t line;
  size_t column;
  char text[SUBTOKEN_POLICY_ERROR_MAX];
} subtoken_policy_error;

/* How much memory is enough for a policy of text_len bytes, about eight times as much and up
 * to 70 KiB. 0 when that is more than SUBTOKEN_POLICY_TEXT_MAX.
 */
SUBTOKEN_EXPORT size_t subtoken_policy_size(size_t text_len);

/* Read a policy into memory, aligned to 8 bytes as that of malloc is. On SUBTOKEN_OK
 * *policy is at its front, and the text is no longer needed. SUBTOKEN_MALFORMED when the
 * text is no policy; SUBTOKEN_TOO_LARGE, SUBTOKEN_BUFFER_TOO_SMALL. Then *policy is NULL
 * and *error (may be NULL) says what is wrong, and where. About 16 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_read(void *memory, size_t size, subtoken_text text, const subtoken_policy **policy,
                     subtoken_policy_error *error);

typedef enum subtoken_access {
  SUBTOKEN_ACCESS_DENIED = 0, /* 403 with every token; with none or a bad one 401 */
  SUBTOKEN_ACCESS_TOKEN,      /* for a good token that has the permissions in .needs */
  SUBTOKEN_ACCESS_PUBLIC,     /* for everybody: credentials are not looked at */
  SUBTOKEN_ACCESS_PREFLIGHT,  /* a CORS preflight, which passes */
} subtoken_access;

/* What a policy says of a request. .needs are views into the policy. */
typedef struct subtoken_decision {
  size_t size; /* of this structure (common.h, Sizes) */
  subtoken_access access;
  bool json_rpc;      /* the body names further needs */
  bool not_listed;    /* denied because the path's routes do not list the method */
  bool no_token;      /* subtoken_policy_verify: refused because no token came */
  uint32_t line;      /* of the route that decided; not_listed: of the path's first. 0: the
                         default, or the preflight */
  size_t needs_count; /* at most SUBTOKEN_POLICY_NEEDS_MAX; the rest of .needs is not set */
  subtoken_text needs[SUBTOKEN_POLICY_NEEDS_MAX];
} subtoken_decision;

// clang-format off
#define SUBTOKEN_DECISION_DEFAULT \
  { sizeof(subtoken_decision), SUBTOKEN_ACCESS_DENIED, false, false, false, 0, 0, {{NULL, 0}} }
// clang-format on

/* What the caller says of a request, and of itself. */
enum {
  SUBTOKEN_POLICY_PREFLIGHT = 1, /* it has Origin and Access-Control-Request-Method */
  SUBTOKEN_POLICY_BODY = 2,      /* I shall hold the body of a json_rpc route against
                                    subtoken_rpc_read before I let it through. Without
                                    this flag such a route is denied */
};

/* What does this method and target need? The target is read before all else:
 * SUBTOKEN_BAD_TARGET when it can be read in more than one way, an absent one too. Else
 * SUBTOKEN_OK, with a decision that may well be SUBTOKEN_ACCESS_DENIED. An absent method
 * (data NULL) is listed only by a route that lists none. flags: of those above.
 *
 * What it costs does not grow with the number of routes: one look-up by hash, in a table that
 * is at most half full, for the path and one for each set of places in which paths of the policy
 * have stars, as far as the target reaches; of these there are few in most policies. The hash is
 * not keyed, because whoever sends targets cannot put anything into the table: the worst target
 * costs what the table's longest run of full slots does. About 10 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_find(const subtoken_policy *policy, subtoken_text method, subtoken_text target,
                     unsigned flags, subtoken_decision *decision);

/* subtoken_policy_find and subtoken_verify in one, for an edge that asks once a request.
 * The first of these decides:
 *   the target can be read in more than one way        SUBTOKEN_BAD_TARGET  400
 *   it is public, or a preflight that passes           SUBTOKEN_OK, *claims zeroed
 *   there is no token (data NULL, or no length)        SUBTOKEN_MALFORMED   401
 *   the token is not good, or it cannot be known       as subtoken_verify   401, 503
 *   the policy denies                                  SUBTOKEN_URL         403
 *   the token's urls and permissions do not allow it   as subtoken_verify   403
 * The permissions are those that the policy needs, then those of the request.
 *
 * *decision (may be NULL) is written with SUBTOKEN_OK or not; it says nothing, and denies,
 * when the target could not be read. It has .no_token, by which to tell the two 401s of
 * RFC 6750 section 3 apart, and .json_rpc, which comes only with SUBTOKEN_POLICY_BODY (and
 * with a decision, or such a route is denied) and asks for more:
 *
 *   result = subtoken_policy_verify(&verifier, policy, token, &request,
 *                                   SUBTOKEN_POLICY_BODY, &claims, &decision);
 *   if (result == SUBTOKEN_OK && decision.json_rpc) {
 *     if (subtoken_rpc_read(body, scratch, sizeof scratch, &rpc) != SUBTOKEN_OK) return 400;
 *     result = subtoken_rpc_allowed(&rpc, &claims, NULL);
 *   }
 *   challenge = decision.no_token ? SUBTOKEN_CHALLENGE : subtoken_result_challenge(result);
 *
 * About 18 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_verify(const subtoken_verifier *verifier, const subtoken_policy *policy,
                       subtoken_text token, const subtoken_request *request, unsigned flags,
                       subtoken_claims *claims, subtoken_decision *decision);

/* What subtoken_explain is to subtoken_verify, with the same promises: which rule gave this
 * result, and which line of the policy: `PUT /v2/account/bank: line 4 of the policy does not
 * list this method`. The arguments are those that subtoken_policy_verify had; result may
 * also be what subtoken_rpc_allowed made of it. Returns 0 when a pointer is NULL; an absent
 * token may be. About 36 KiB of stack.
 */
SUBTOKEN_EXPORT size_t subtoken_policy_explain(const subtoken_verifier *verifier,
                                               const subtoken_policy *policy, subtoken_text token,
                                               const subtoken_request *request, unsigned flags,
                                               subtoken_result result, char *out, size_t out_size);

#define SUBTOKEN_RPC_BODY_MAX 262144 /* bytes of a JSON-RPC body */
#define SUBTOKEN_RPC_NEEDS_MAX 64    /* different APIs in one body; no token has more permissions */

/* The permissions that a JSON-RPC body needs, each once, in the order of the body. */
typedef struct subtoken_rpc {
  size_t count;
  subtoken_slice needs[SUBTOKEN_RPC_NEEDS_MAX];
  char text[SUBTOKEN_RPC_NEEDS_MAX * SUBTOKEN_PERMISSION_MAX];
} subtoken_rpc;

/* A view of one of them; valid as long as *rpc is. */
static inline subtoken_text subtoken_rpc_need(const subtoken_rpc *rpc, size_t i) {
  subtoken_text text = {rpc->text + rpc->needs[i].at, rpc->needs[i].len};
  return text;
}

/* Read which APIs a JSON-RPC body calls, as Graphene, Steem and Hive nodes understand it:
 *   "method":"call","params":["history",...]         history_api
 *   "method":"call","params":["condenser_api",...]   condenser_api: it ends so already
 *   "method":"call","params":[0,...]                 database_api
 *   "method":"condenser_api.get_accounts"            condenser_api
 *   "method":"get_objects", or any other name        database_api
 * A batch needs those of all its calls.
 *
 * SUBTOKEN_MALFORMED, to be answered with 400, for all that could be understood otherwise:
 * what is not strict JSON (a name twice in any object, at any depth; more than 16 levels),
 * no request object, an empty batch or a batch in a batch; a method that is empty or has a
 * character that no permission has, that has two dots or nothing on a side of one, or that is
 * `call` in another case or behind a dot; a `call` whose first parameter is neither the number
 * 0, written so, nor the name of an API (at most 64 characters of a permission with its _api,
 * no dot, not only digits), or whose second is `call`; `method` or `params` in another case, a
 * name of a member that is not ASCII, more different APIs than SUBTOKEN_RPC_NEEDS_MAX.
 * SUBTOKEN_TOO_LARGE for more than SUBTOKEN_RPC_BODY_MAX bytes. The body is left as it is; scratch
 * of its length is overwritten (SUBTOKEN_BUFFER_TOO_SMALL). About 12 KiB of stack. Read bodies only
 * of those whose token is good: objects of a thousand members, in which each name is held against
 * all others, take 0.2 ms a KiB.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_read(subtoken_text body,
                                                                    void *scratch,
                                                                    size_t scratch_size,
                                                                    subtoken_rpc *rpc);

/* Do these claims have all the permissions that a body needs? SUBTOKEN_OK or SUBTOKEN_PERM, and
 * then *lacking (may be NULL) is the first that they do not have, a view into *rpc;
 * SUBTOKEN_INVALID_ARGUMENT for what no reader made. No needs at all are refused.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_allowed(
    const subtoken_rpc *rpc, const subtoken_claims *claims, subtoken_text *lacking);

#ifdef __cplusplus
}
#endif

#endif
