/* subtoken/policy.h - route policies: which permissions a request needs, by path and method.
 *
 *   {"default":"deny",
 *    "preflight":true,
 *    "routes":[
 *      {"path":"/v2/account/bank","methods":["GET"],"needs":["account","inventories"]},
 *      {"path":"/v2/characters/@/inventory","needs":["characters"]},
 *      {"path":"/rpc","methods":["POST"],"json_rpc":true},
 *      {"path":"/mcp","needs":["mcp"],"mcp":{"tools/call search":["docs"]},
 *       "resource":"https://api.example.com/mcp"},
 *      {"path":"/v2/items","public":true}]}
 *
 * default    required. What a path needs that no route has: "deny", "token" (a good token, no
 *            permission) or "public". Only "deny" is safe for paths that were forgotten:
 *            `/v2/items/` is another path than `/v2/items`, and no star covers it.
 * preflight  true: CORS preflights pass, for every path. Absent: false.
 * routes     at least one, or absent. Of each:
 *   path      as in an entry of the URL allowlist (url.h), without a method; a star as the last
 *             segment stands for every path below, a star that is a whole segment before the last
 *             (written as @ above) for exactly one segment
 *   methods   1 to 64 methods in upper-case letters; GET allows HEAD too. Absent: every method
 *   needs     1 to 64 permissions; the token must have all of them. Absent: a good token
 *   public    true: no token is needed, and none is read. A public route must not have needs
 *   json_rpc  true: the APIs that the body names are needed, too (subtoken_rpc_read). Not with
 *             public
 *   mcp       an object: what calls of the Model Context Protocol need besides (see MCP below). Not
 *             with public or json_rpc
 *   mcp_headers  "2026-07-28": calls of that revision may be decided by their headers where no body
 *             is read. Only with mcp, and only for upstreams that refuse other revisions
 *   resource  the https URL under which clients know this route, without query and fragment. A 401
 *             then names the document that tells them where to get a token (RFC 9728). Not with
 *             public
 *
 * Only the most specific path that matches decides, wherever it is in the file. Of two paths that
 * match, it is the one with a plain segment where they first differ; after that, the one without a
 * final star. A path without stars is therefore before all others, and of the paths with a final
 * star the longest is first. A method that the path does not list is denied; no other path is
 * tried. Several routes may have one path when they have no method in common (GET and HEAD count as
 * one).
 *
 * The file is strict JSON (RFC 8259). Unknown members, duplicate members and empty lists are
 * errors.
 */
#ifndef SUBTOKEN_POLICY_H
#define SUBTOKEN_POLICY_H

#include "subtoken/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SUBTOKEN_POLICY_TEXT_MAX 16777216  /* bytes of a policy file */
#define SUBTOKEN_POLICY_METHODS_MAX 64     /* methods of one path, in all its routes, a count */
#define SUBTOKEN_POLICY_METHOD_MAX 32      /* letters of one method */
#define SUBTOKEN_POLICY_NEEDS_MAX 64       /* permissions that a route needs, a count */
#define SUBTOKEN_POLICY_PATTERNS_MAX 256   /* different positions of stars in paths, a count */
#define SUBTOKEN_POLICY_MCP_MAX 1024       /* members of "mcp" of one route, a count */
#define SUBTOKEN_POLICY_MCP_METHOD_MAX 128 /* bytes of a method in "mcp" */
#define SUBTOKEN_POLICY_MCP_NAME_MAX 2048  /* bytes of a name in "mcp" */
#define SUBTOKEN_POLICY_RESOURCE_MAX 512   /* bytes of "resource" */
#define SUBTOKEN_POLICY_ERROR_MAX 320      /* bytes of subtoken_policy_error.text */

/* A policy in memory. It lies in memory of the caller and has no pointers: the memory may be copied
 * or mapped at another address that is aligned to 8 bytes, and needs no release. Nothing changes
 * it, and any number of threads may use it. A zeroed policy denies.
 */
typedef struct subtoken_policy subtoken_policy;

/* What is wrong with the text of a policy, `routes[2].needs[0]: ...`, and where. The text is
 * escaped for a terminal and ends with a NUL. Lines and columns are counted from 1, columns in
 * bytes; both are 0 when the error has no place in the text.
 */
typedef struct subtoken_policy_error {
  size_t line;
  size_t column;
  char text[SUBTOKEN_POLICY_ERROR_MAX];
} subtoken_policy_error;

/* The bytes of memory that are enough for a policy whose text has text_len bytes: about 13 times
 * that, and up to 70 KiB more. 0 when text_len is more than SUBTOKEN_POLICY_TEXT_MAX.
 */
SUBTOKEN_EXPORT size_t subtoken_policy_size(size_t text_len);

/* Read the text of a policy into memory, which must be aligned to 8 bytes, as that of malloc is. On
 * SUBTOKEN_OK *policy is the start of the memory, and the text is no longer needed.
 * SUBTOKEN_MALFORMED when the text is not a policy; SUBTOKEN_TOO_LARGE; SUBTOKEN_BUFFER_TOO_SMALL;
 * SUBTOKEN_INVALID_ARGUMENT. On failure *policy is NULL, and *error (may be NULL) says what is
 * wrong and where. About 24 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_read(void *memory, size_t size, subtoken_text text, const subtoken_policy **policy,
                     subtoken_policy_error *error);

typedef enum subtoken_access {
  SUBTOKEN_ACCESS_DENIED = 0, /* 403 with a good token, 401 with none or another */
  SUBTOKEN_ACCESS_TOKEN,      /* needs a good token with the permissions in .needs */
  SUBTOKEN_ACCESS_PUBLIC,     /* needs nothing: credentials are not read */
  SUBTOKEN_ACCESS_PREFLIGHT,  /* a CORS preflight, which is allowed */
} subtoken_access;

/* What a policy decides for a request. .needs are views into the policy. */
typedef struct subtoken_decision {
  size_t size; /* of this structure (common.h, Sizes) */
  subtoken_access access;
  bool json_rpc;      /* the body names further needs */
  bool not_listed;    /* denied because the routes of the path do not list the method */
  bool no_token;      /* from subtoken_policy_verify: refused because there was no token */
  uint32_t line;      /* of the route that decided; with not_listed, of the first route of the path;
                         0 for the default and for a preflight */
  size_t needs_count; /* at most SUBTOKEN_POLICY_NEEDS_MAX; the rest of .needs is unspecified */
  subtoken_text needs[SUBTOKEN_POLICY_NEEDS_MAX];
  bool mcp;               /* the route has mcp: the call names further needs (subtoken_mcp_check) */
  uint32_t route;         /* the library's: 1 + the number of the route that decided, or 0 */
  subtoken_text resource; /* of the route; absent when it has none */
} subtoken_decision;

// clang-format off
#define SUBTOKEN_DECISION_DEFAULT \
  { sizeof(subtoken_decision), SUBTOKEN_ACCESS_DENIED, false, false, false, 0, 0, {{NULL, 0}}, \
    false, 0, {NULL, 0} }
// clang-format on

/* Flags: what the caller knows of the request, and what it will do. */
enum {
  SUBTOKEN_POLICY_PREFLIGHT = 1, /* it has Origin and Access-Control-Request-Method */
  SUBTOKEN_POLICY_BODY = 2,      /* the caller checks the body of a json_rpc route with
                                    subtoken_rpc_read before it allows the request. Without
                                    this flag such a route is denied */
  SUBTOKEN_POLICY_MCP = 4,       /* the caller calls subtoken_mcp_check where decision.mcp is true,
                                    before it allows the request. Without this flag a route with
                                    mcp is denied, but for GET, HEAD and DELETE */
};

/* What does this method and target need? SUBTOKEN_BAD_TARGET when the target can be read in more
 * than one way, or is absent. Else SUBTOKEN_OK; the decision may be SUBTOKEN_ACCESS_DENIED. A route
 * that lists methods does not list an absent one (data NULL). flags are those above.
 * SUBTOKEN_INVALID_ARGUMENT when policy or decision is NULL, or the decision has a size of no
 * version.
 *
 * The time does not depend on the number of routes. There is one look-up in a hash table that is at
 * most half full for the path, and one for each different position of stars in the paths of the
 * policy, of which most policies have few. The hash has no key, because who sends targets cannot
 * add to the table: the worst target costs what the longest run of full slots does. About 10 KiB of
 * stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_find(const subtoken_policy *policy, subtoken_text method, subtoken_text target,
                     unsigned flags, subtoken_decision *decision);

/* subtoken_policy_find and subtoken_verify in one call, one for each request. The first of these
 * that is true decides:
 *   the target can be read in more than one way        SUBTOKEN_BAD_TARGET  400
 *   it is public, or an allowed preflight              SUBTOKEN_OK, *claims zeroed
 *   there is no token (data NULL, or len 0)            SUBTOKEN_MALFORMED   401
 *   the token is not good, or that is not known        as subtoken_verify   401, 503
 *   the policy denies                                  SUBTOKEN_URL         403
 *   the token's urls and permissions do not allow it   as subtoken_verify   403
 * The permissions are those of the policy, then those of the request. Where the decision has .mcp
 * and flags have SUBTOKEN_POLICY_MCP, none is looked at here: subtoken_mcp_check does that, so that
 * a refusal names all that the call lacks.
 *
 * *decision (decision may be NULL) is written with every result; it denies when the target could
 * not be read. Its .no_token tells the two kinds of 401 of RFC 6750 section 3 apart. Its .json_rpc
 * is true only with SUBTOKEN_POLICY_BODY, and then the caller must check the body; without a
 * decision such a route is denied:
 *
 *   result = subtoken_policy_verify(&verifier, policy, token, &request,
 *                                   SUBTOKEN_POLICY_BODY, &claims, &decision);
 *   if (result == SUBTOKEN_OK && decision.json_rpc) {
 *     if (subtoken_rpc_read(body, scratch, sizeof scratch, &rpc) != SUBTOKEN_OK) return 400;
 *     result = subtoken_rpc_allowed(&rpc, &claims, NULL);
 *   }
 *   challenge = decision.no_token ? SUBTOKEN_CHALLENGE : subtoken_result_challenge(result);
 *
 * About 21 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_policy_verify(const subtoken_verifier *verifier, const subtoken_policy *policy,
                       subtoken_text token, const subtoken_request *request, unsigned flags,
                       subtoken_claims *claims, subtoken_decision *decision);

/* Write a sentence that says which rule and which line of the policy gave this result: `PUT
 * /v2/account/bank: line 4 of the policy does not list this method`. It is as subtoken_explain
 * says. Pass the arguments of subtoken_policy_verify and its result, or the result of
 * subtoken_rpc_allowed. The token may be absent. Returns 0 when a pointer is NULL. About 41 KiB of
 * stack.
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

/* Read which APIs a JSON-RPC body calls, as the nodes of Graphene, Steem and Hive read it:
 *   "method":"call","params":["history",...]         history_api
 *   "method":"call","params":["condenser_api",...]   condenser_api, which ends in _api already
 *   "method":"call","params":[0,...]                 database_api
 *   "method":"condenser_api.get_accounts"            condenser_api
 *   "method":"get_objects", or any other name        database_api
 * A batch needs the APIs of all its calls.
 *
 * SUBTOKEN_MALFORMED, which is answered with 400, for a body that a node could read differently:
 *   - it is not strict JSON: a duplicate name in any object, more than 16 levels
 *   - it is not a request object or a batch of them; the batch is empty
 *   - "method" is empty, has a character that a permission cannot have, has two dots or nothing on
 *     one side of a dot, or is `call` in another case or behind a dot
 *   - the first parameter of a `call` is neither the number 0, written so, nor the name of an API
 * (at most 64 characters of a permission with its _api, no dot, not only digits); or its second
 *     parameter is `call`
 *   - "method" or "params" is written in another case; the name of a member is not ASCII
 *   - there are more than SUBTOKEN_RPC_NEEDS_MAX different APIs
 * SUBTOKEN_TOO_LARGE for more than SUBTOKEN_RPC_BODY_MAX bytes. scratch must have the length of the
 * body (SUBTOKEN_BUFFER_TOO_SMALL) and is overwritten; the body is not. Read a body only when the
 * token is good: each name of an object is compared with all others, which takes 0.2 ms a KiB for
 * an object of a thousand members. About 11 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_read(subtoken_text body,
                                                                    void *scratch,
                                                                    size_t scratch_size,
                                                                    subtoken_rpc *rpc);

/* Do these claims have all the permissions that a body needs? SUBTOKEN_OK; SUBTOKEN_PERM when they
 * do not, and then *lacking (may be NULL) is the first that is lacking, a view into *rpc;
 * SUBTOKEN_INVALID_ARGUMENT when rpc or claims is NULL, out of range or zeroed.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result subtoken_rpc_allowed(
    const subtoken_rpc *rpc, const subtoken_claims *claims, subtoken_text *lacking);

/* ---- MCP (the Model Context Protocol, revisions 2024-11-05 to 2026-07-28) ----
 *
 * "mcp" of a route is an object. Each member is a call, and the list of permissions that it needs
 * besides `needs`, 1 to 64:
 *
 *   {"tools/call search":["docs"], "tools/call *":["admin"], "tools/list":["docs"], "*":["admin"]}
 *
 * A member is a method; or a method, a space and a name; or `*` alone, for every method that no
 * other member has. The name is params.name of tools/call and prompts/get, and params.uri of
 * resources/read, resources/subscribe and resources/unsubscribe; the name `*` stands for every
 * name; other methods have none. The most specific member decides alone: method and name, then
 * method and `*`, then the method, then `*`. A call that no member has needs `needs` alone. Methods
 * and names are compared byte for byte. A member that would guard nothing is an error: a method of
 * the protocol in another case, a name with a star in it, with white space at an end, a control
 * character or U+FEFF, a URI that is refused in a call. What a server takes for the same name in
 * another spelling, as some do with URIs, is another name here: give the weaker permission to the
 * names, and the stronger one to `*`.
 *
 * By the body. A body is read as strict JSON (RFC 8259): one message, or a batch of at most
 * SUBTOKEN_MCP_BATCH_MAX, and a batch needs what all of its messages need. A message is an object
 * with a method, which is a request or a notification, or with a result or an error, which is a
 * response: responses need `needs` alone. SUBTOKEN_MALFORMED, which is answered with 400, for a
 * body that a server could read in another way:
 *   - it is not strict JSON: a duplicate name in any object, more than 16 levels
 *   - it is no message and no batch of them; the batch is empty or too long
 *   - a message has a method and a result or an error; or none of the three
 *   - "method" is not a string of 1 to SUBTOKEN_POLICY_MCP_METHOD_MAX visible characters of ASCII,
 *     or differs from a method with names or from one in "mcp" in upper and lower case alone
 *   - a method with names has none: "params" is not an object, or the name is not a string
 *   - the URI has a byte up to 0x20 or 0x7F, or a scheme that is not in lower case: parsers of URIs
 *     change that
 *   - a member of the message, or the name or the URI in "params", is written in another case; the
 *     name of a member of the message or of "params" is not ASCII
 *
 * By the headers. Where a body is read, Mcp-Method and Mcp-Name must agree with each message of
 * it if they came: else SUBTOKEN_MCP_MISMATCH, which is answered with 400, as is a header that
 * came twice. Mcp-Name may be written as `=?base64?...?=`: canonical base64 with padding (RFC 4648
 * section 4), of UTF-8 that does not start with U+FEFF, which decoders take off. Of tasks/get,
 * tasks/update and tasks/cancel it is params.taskId. With other methods and with responses there is
 * nothing that it could agree with.
 *
 * Without a body. GET, HEAD and DELETE need `needs` alone (the stream and the end of a session).
 * Every other request is denied, SUBTOKEN_URL, unless the route has mcp_headers and
 * MCP-Protocol-Version came once and is the value of it. Such a request is decided by Mcp-Method
 * and Mcp-Name, each of which must have come once where the method needs it. SUBTOKEN_MCP_MISMATCH
 * where a server could read another name: it is empty; it has a control character, a separator of
 * lines or U+FEFF, or white space at an end; it starts with `=?` and is not in the form above; it
 * is a URI that would be refused in a body.
 */

#define SUBTOKEN_MCP_BATCH_MAX 256 /* messages of a batch, a count */
#define SUBTOKEN_MCP_ID_MAX 130    /* bytes of the JSON text of an id that is repeated */

/* What a request brought for MCP. Values of headers come as they were sent, one for each line;
 * blanks and tabs around them do not count.
 */
typedef struct subtoken_mcp_call {
  size_t size;                     /* of this structure (common.h, Sizes) */
  const subtoken_text *mcp_method; /* Mcp-Method */
  size_t mcp_method_count;
  const subtoken_text *mcp_name; /* Mcp-Name */
  size_t mcp_name_count;
  const subtoken_text *mcp_version; /* MCP-Protocol-Version */
  size_t mcp_version_count;
  bool has_body;      /* it has a body, whether or not that was read: a Content-Length that is not
                         0, or Transfer-Encoding */
  subtoken_text body; /* absent when it was not read; at most SUBTOKEN_RPC_BODY_MAX bytes */
  void *scratch;      /* memory of the body's length, which is overwritten; the body is not */
  size_t scratch_size;
} subtoken_mcp_call;

// clang-format off
#define SUBTOKEN_MCP_CALL_DEFAULT \
  { sizeof(subtoken_mcp_call), NULL, 0, NULL, 0, NULL, 0, false, {NULL, 0}, NULL, 0 }
// clang-format on

/* What was found. Views are of the policy and of the request. */
typedef struct subtoken_mcp {
  size_t size;          /* of this structure (common.h, Sizes) */
  uint32_t line;        /* of the member that decided: of the first message that lacks a permission,
                           else of the last one. 0: no member of "mcp" */
  subtoken_text member; /* as it is written in the policy; absent with line 0 */
  int code;             /* the JSON-RPC error with status 400: -32700, -32600 or -32020; else 0 */
  size_t lacking_count; /* with SUBTOKEN_PERM: all that is lacking, each once; no more than 64 */
  subtoken_text lacking[SUBTOKEN_POLICY_NEEDS_MAX];
  size_t id_len;
  char id[SUBTOKEN_MCP_ID_MAX]; /* JSON text: the id of a single request when it is a number or a
                                   string of at most 64 bytes, else `null` */
} subtoken_mcp;

// clang-format off
#define SUBTOKEN_MCP_DEFAULT \
  { sizeof(subtoken_mcp), 0, {NULL, 0}, 0, 0, {{NULL, 0}}, 0, {0} }
// clang-format on

/* May these claims make this call? For a decision with .mcp and SUBTOKEN_ACCESS_TOKEN, whatever the
 * method of the request. It checks all needs: of the route, of the request, and of the call.
 * Read the body first when there is one (.has_body) and it can be read.
 *   SUBTOKEN_OK
 *   SUBTOKEN_MALFORMED         400, the body can be read in more than one way
 *   SUBTOKEN_TOO_LARGE         413
 *   SUBTOKEN_MCP_MISMATCH      400, the headers do not agree with the body or with each other
 *   SUBTOKEN_URL               403, there is no body to decide by
 *   SUBTOKEN_PERM              403, permissions are lacking
 *   SUBTOKEN_BUFFER_TOO_SMALL  scratch
 *   SUBTOKEN_INVALID_ARGUMENT  a NULL, claims out of range, or another decision than these
 * The first of the list that is true decides, with the header's rule before the permissions'. *mcp
 * is written with every result. Call it only with claims of a good token: see subtoken_rpc_read.
 * About 20 KiB of stack.
 */
SUBTOKEN_EXPORT SUBTOKEN_MUST_USE subtoken_result
subtoken_mcp_check(const subtoken_policy *policy, const subtoken_decision *decision,
                   const subtoken_request *request, const subtoken_claims *claims,
                   const subtoken_mcp_call *call, subtoken_mcp *mcp);

#define SUBTOKEN_MCP_REPLY_MAX 640
#define SUBTOKEN_CHALLENGE_MAX 4864 /* bytes of a challenge with 64 permissions or a resource */

/* Write the body of the answer to what subtoken_mcp_check refused, with a NUL: for 400 a JSON-RPC
 * error with the id of the request, because clients of MCP read those from a 400; else an object
 * with one sentence, `{"text":"requires scope docs"}`. Returns its length, 0 when out is too small.
 */
SUBTOKEN_EXPORT size_t subtoken_mcp_reply(subtoken_result result, const subtoken_mcp *mcp,
                                          char *out, size_t out_size);

/* Write the challenge for SUBTOKEN_PERM, with a NUL:
 * `Bearer error="insufficient_scope", scope="docs admin"` (RFC 6750 section 3). For other results
 * nothing is written, and 0 is returned. SUBTOKEN_CHALLENGE_MAX bytes are enough.
 */
SUBTOKEN_EXPORT size_t subtoken_mcp_challenge(subtoken_result result, const subtoken_mcp *mcp,
                                              char *out, size_t out_size);

/* Write a sentence that says which member of "mcp" decided: `line 4 of the policy, member
 * "tools/call *", needs [admin]`. As subtoken_explain.
 */
SUBTOKEN_EXPORT size_t subtoken_mcp_explain(const subtoken_policy *policy,
                                            const subtoken_decision *decision,
                                            subtoken_result result, const subtoken_mcp *mcp,
                                            char *out, size_t out_size);

/* ---- protected resources (RFC 9728) ---- */

/* Write the challenge of a 401, with a NUL: the one given, `Bearer` or
 * `Bearer error="invalid_token"`, and resource_metadata with the URL of the document (section 5.1
 * of the RFC) when neither the resource nor the issuer is absent or empty. Returns its length, 0
 * when out is too small. resource is that of the decision. About 5 KiB of stack.
 */
SUBTOKEN_EXPORT size_t subtoken_resource_challenge(subtoken_text challenge, subtoken_text resource,
                                                   subtoken_text issuer, char *out,
                                                   size_t out_size);

#define SUBTOKEN_METADATA_MAX 8192 /* bytes that are enough for the document */
#define SUBTOKEN_ISSUER_MAX 512    /* bytes of an issuer */

/* The metadata of the protected resource that this target asks for: the well-known path
 * `/.well-known/oauth-protected-resource`, and the path of a "resource" of the policy behind it
 * (section 3.1 of the RFC). The target may have a query. Returns the length of the document, which
 * is JSON and ends with a NUL: the resource, the issuer as its authorization server, and `needs` of
 * the first route that has it as the scopes to begin with. 0 when there is no such resource, or the
 * issuer is absent or not an https URL, or out is too small. It needs no credential (GET and HEAD):
 * ask here before the policy is asked. About 9 KiB of stack.
 */
SUBTOKEN_EXPORT size_t subtoken_policy_metadata(const subtoken_policy *policy, subtoken_text target,
                                                subtoken_text issuer, char *out, size_t out_size);

#ifdef __cplusplus
}
#endif

#endif
