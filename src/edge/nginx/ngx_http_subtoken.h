/* ngx_http_subtoken - the nginx module: verifies subtokens before the access phase ends.
 *
 * The files, each of which calls only those above it:
 *
 *   file        open one file, and see whether it has changed
 *   tokens      tokens that were authenticated before
 *   secrets     the keyring
 *   policy      route policies
 *   feed        revocation data
 *   query       access_token= in a query: find it, read it, remove it
 *   log         keep access_token= out of nginx's logs
 *   credential  what the headers and the query hold that is a credential
 *   headers     one walk over the headers: the credential, a preflight, X-Subtoken-*
 *   trace       the traceparent of a request
 *   request     the state of a request, and the original request that it was made as
 *   counters    what the workers count and have loaded, in memory that they share
 *   accept      in which of two formats it is asked for
 *   status      the page that shows it
 *   target      whether a request target has one reading; slashes; public redirects
 *   satisfy     what nginx's own allow, deny and auth_basic say of a request
 *   identity    the X-Subtoken-* headers for whatever upstream the request goes to
 *   reply       the response to a request that is rejected
 *   cache       identities that the decision endpoint told, for 5 seconds
 *   response    read a response of the decision endpoint
 *   fallback    ask the decision endpoint about a credential that is no subtoken
 *   body        JSON-RPC bodies: wait for them, read them, check what they need
 *   mcp         the headers and bodies of the Model Context Protocol
 *   metadata    where clients get a token (RFC 9728): the document, and the challenge that names it
 *   evaluate    may this request pass? All rules, once, from the start
 *   outcome     the result of that: kept for a location's settings, for a second
 *   rewrite     the handlers of SERVER_REWRITE and REWRITE
 *   access      the handlers of PREACCESS and ACCESS
 *   worker      load all files when a worker starts, and poll them all the time
 *   variables   $subtoken_sub and the others
 *   module      directives, configurations, the order of the handlers
 *
 * The phases:
 *
 *   POST_READ       log: remove access_token= from the request line and the Referer
 *   SERVER_REWRITE  rewrite: note what a subrequest or an internal redirect asks for
 *   REWRITE         rewrite: remove access_token= and foreign X-Subtoken-* headers before
 *                   `rewrite`, `set` and `if` of the location see them
 *   PREACCESS       access: evaluate. A body and the decision endpoint may be waited for. This
 *                   runs before limit_req and limit_conn, behind realip. Subrequests are
 *                   answered here, because nginx skips ACCESS for them
 *   ACCESS          access: answer. Evaluate again if a second has passed since
 *   LOG             variables: remove the query of a request that nginx refused before POST_READ,
 *                   count the request, and let the logs read what became of it
 *
 * When a request is evaluated: once for each set of settings. A variable that is read earlier,
 * in any phase, evaluates at once if nothing has to be waited for; otherwise PREACCESS does. A
 * request that nginx's own allow and deny refuse is not evaluated.
 *
 * What is evaluated: the target and method that the client, or the page that includes a
 * subrequest, asked for. What `rewrite` made of them decides nothing.
 *
 * What is kept, and for how long:
 *
 *   of a worker     keyring, policies and revocation data, each until a good file replaces it;
 *                   authenticated tokens, until the keyring changes (tokens);
 *                   identities of the decision endpoint, 5 seconds (cache)
 *   of a request    ngx_http_subtoken_ctx_t. It lies in the pool of the main request, which
 *                   outlives internal redirects and subrequests. The outcome in it owns copies
 *                   of its texts, because a policy may be replaced while a request waits; it
 *                   holds for a second, because limit_req may delay the request
 *   on the stack    ngx_http_subtoken_evaluation_t. It points into the worker's files, so it
 *                   never survives a wait: after each wait the evaluation starts anew
 *
 * A worker has one thread. Nothing here locks.
 *
 * The types are in ngx_http_subtoken_settings.h and ngx_http_subtoken_state.h. Below are the
 * functions, file by file in the order above; those of file, tokens, secrets, policy and feed are
 * in the former.
 */
#ifndef NGX_HTTP_SUBTOKEN_H
#define NGX_HTTP_SUBTOKEN_H

#include "edge/nginx/ngx_http_subtoken_settings.h"
#include "edge/nginx/ngx_http_subtoken_state.h"

extern ngx_module_t ngx_http_subtoken_module;

static inline subtoken_text ngx_http_subtoken_text(ngx_str_t string) {
  subtoken_text text = {(const char *)string.data, string.len};
  return text;
}

static inline ngx_str_t ngx_http_subtoken_string(subtoken_text text) {
  ngx_str_t string = {text.len, (u_char *)text.data};
  return string;
}

/* ---- query ---- */

/* Has the target, as nginx received it, no query at all? */
static inline bool ngx_http_subtoken_query_is_absent(const ngx_http_request_t *r) {
  return r->args_start == NULL && !r->complex_uri && !r->internal;
}

ngx_flag_t ngx_http_subtoken_query_has_token(ngx_str_t query);
ngx_flag_t ngx_http_subtoken_query_target_has_token(ngx_str_t target);

/* Copy a query without access_token= into memory of the same size. */
ngx_str_t ngx_http_subtoken_query_remove_token(ngx_str_t query, u_char *memory);

/* The target without access_token=: itself when it has none, else a copy. */
ngx_int_t ngx_http_subtoken_query_clean_target(ngx_pool_t *pool, ngx_str_t target, ngx_str_t *out);

/* Read access_token= of the main request into its new state. */
ngx_int_t ngx_http_subtoken_query_read_token(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx);

/* ---- log ---- */

/* The handler of POST_READ, and what is done in LOG. */
ngx_int_t ngx_http_subtoken_log_post_read_handler(ngx_http_request_t *r);
void ngx_http_subtoken_log_end(ngx_http_request_t *r);

/* ---- credential ---- */

/* Eight or four characters in lower case: the bit makes letters small, and leaves a hyphen alone.
 */
static inline uint64_t ngx_http_subtoken_credential_eight(const void *at) {
  uint64_t eight;
  ngx_memcpy(&eight, at, sizeof eight);
  return eight | 0x2020202020202020ULL;
}
static inline uint64_t ngx_http_subtoken_credential_four(const void *at) {
  uint32_t four;
  ngx_memcpy(&four, at, sizeof four);
  return four | 0x20202020U;
}

/* Compare with a word of at least four characters in lower case. Inline, so that the compiler knows
 * the length of a literal: the length alone tells most words apart. The last eight or four
 * characters may overlap with others.
 */
static inline bool ngx_http_subtoken_credential_is_word(ngx_str_t name, const char *word) {
  size_t len = ngx_strlen(word), i = 0;
  uint64_t differs = 0;
  if (name.len != len) return false;
  for (; len - i > 8; i += 8) {
    differs |= ngx_http_subtoken_credential_eight(name.data + i) ^
               ngx_http_subtoken_credential_eight(word + i);
  }
  if (len >= 8) {
    differs |= ngx_http_subtoken_credential_eight(name.data + len - 8) ^
               ngx_http_subtoken_credential_eight(word + len - 8);
    return differs == 0;
  }
  differs |= ngx_http_subtoken_credential_four(name.data) ^ ngx_http_subtoken_credential_four(word);
  differs |= ngx_http_subtoken_credential_four(name.data + len - 4) ^
             ngx_http_subtoken_credential_four(word + len - 4);
  return differs == 0;
}

/* Add what a header holds. forms: NGX_HTTP_SUBTOKEN_IN_*; the others are not read. */
void ngx_http_subtoken_credential_take_authorization(ngx_http_subtoken_credential_t *credential,
                                                     ngx_str_t raw, ngx_uint_t forms);
void ngx_http_subtoken_credential_take_key(ngx_http_subtoken_credential_t *credential,
                                           ngx_str_t raw);
/* Behind all headers: add what the query holds. */
void ngx_http_subtoken_credential_take_query(ngx_http_subtoken_credential_t *credential,
                                             const ngx_http_subtoken_ctx_t *ctx);

/* ---- headers ---- */

/* Walk over the headers of a request. forms: as above. */
void ngx_http_subtoken_headers_read(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                    ngx_uint_t forms, ngx_http_subtoken_headers_t *headers);
/* Would another walk find the same? */
static inline bool ngx_http_subtoken_headers_hold(const ngx_http_subtoken_headers_t *headers,
                                                  const ngx_http_request_t *r) {
  const ngx_list_part_t *part = &r->headers_in.headers.part;
  return headers->elts != NULL && headers->elts == part->elts && headers->nelts == part->nelts &&
         part->next == NULL && headers->last == headers->elts[headers->nelts - 1].key.data &&
         headers->value.data == headers->source->value.data &&
         headers->value.len == headers->source->value.len;
}
/* The credential of the main request: as REWRITE found it, or anew into *fresh. */
const ngx_http_subtoken_credential_t *ngx_http_subtoken_headers_credential(
    ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx, ngx_uint_t forms,
    ngx_http_subtoken_headers_t *fresh);
/* Is this an X-Subtoken-* header, in any spelling? Is there one in the list? */
bool ngx_http_subtoken_headers_is_identity(const ngx_str_t *name);
bool ngx_http_subtoken_headers_have_identity(const ngx_list_t *headers);

/* ---- trace ---- */

/* The traceparent of the main request; empty: none that is well-formed. */
ngx_str_t ngx_http_subtoken_trace_find(ngx_http_request_t *r);
/* The ids in it; of an empty one they are empty. */
ngx_str_t ngx_http_subtoken_trace_id(ngx_str_t traceparent);
ngx_str_t ngx_http_subtoken_trace_span(ngx_str_t traceparent);

/* ---- request ---- */

/* The state of a request, or NULL. */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_request_find_ctx(ngx_http_request_t *r);
/* The same; made when there is none. NULL: no memory. */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_request_make_ctx(ngx_http_request_t *r);
static inline ngx_http_subtoken_ctx_t *ngx_http_subtoken_request_get_ctx(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_subtoken_module);
  return ctx != NULL ? ctx : ngx_http_subtoken_request_make_ctx(r);
}

/* What this request or subrequest asks for; NULL: it was not noted. */
ngx_http_subtoken_original_t *ngx_http_subtoken_request_find_original(const ngx_http_request_t *r,
                                                                      ngx_http_subtoken_ctx_t *ctx);
/* The same; made from the path of the subrequest when it was not noted. NULL: no memory. */
ngx_http_subtoken_original_t *ngx_http_subtoken_request_get_original(ngx_http_request_t *r,
                                                                     ngx_http_subtoken_ctx_t *ctx);

/* Note the path and method that an internal redirect leads to. */
ngx_int_t ngx_http_subtoken_request_note_redirect(ngx_http_request_t *r,
                                                  ngx_http_subtoken_original_t *original);

/* From now on nginx's variables name the path of the redirect, not what the client asked for. */
ngx_int_t ngx_http_subtoken_request_become_redirect(ngx_http_request_t *r,
                                                    const ngx_http_subtoken_original_t *original);

/* Make nginx read these variables anew. */
void ngx_http_subtoken_request_reset_variables(ngx_http_request_t *r, const ngx_array_t *variables);

/* ---- counters ---- */

/* While the configuration is read: there is to be such memory. */
ngx_int_t ngx_http_subtoken_counters_add(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main);
/* In a worker, when it starts. Without memory nothing is counted, here and below. */
void ngx_http_subtoken_counters_start(ngx_http_subtoken_main_conf_t *main);
/* What it has loaded, each time it has looked. */
void ngx_http_subtoken_counters_publish(const ngx_http_subtoken_main_conf_t *main);
/* A subrequest was decided about. */
void ngx_http_subtoken_counters_decision(ngx_http_request_t *r, const char *reason);
/* The main request has ended. */
void ngx_http_subtoken_counters_end(ngx_http_request_t *r);
/* A question was answered, or failed; none was needed. */
void ngx_http_subtoken_counters_question(const ngx_http_subtoken_fallback_t *fallback);
void ngx_http_subtoken_counters_known(ngx_http_request_t *r);
/* For the page: the slot of a worker, NULL: it has none; the names of the numbers in it. */
const ngx_http_subtoken_slot_t *ngx_http_subtoken_counters_slot(
    const ngx_http_subtoken_main_conf_t *main, ngx_uint_t worker);
const char *ngx_http_subtoken_counters_reason(ngx_uint_t i);
const char *ngx_http_subtoken_counters_bound(ngx_uint_t bucket);
ngx_uint_t ngx_http_subtoken_counters_file_id(const char *kind, const ngx_str_t *path,
                                              ngx_uint_t place);

/* ---- accept ---- */

/* OpenMetrics, or Prometheus' own format? */
bool ngx_http_subtoken_accept_openmetrics(ngx_http_request_t *r);

/* ---- status ---- */

/* The directive: the location is the page, and something is counted. */
char *ngx_http_subtoken_status_set(ngx_conf_t *cf, ngx_command_t *command, void *conf);

/* ---- target ---- */

/* SUBTOKEN_OK, or SUBTOKEN_BAD_TARGET and the like when the target can be read in more than one
 * way, or nginx reads it in another.
 */
subtoken_result ngx_http_subtoken_target_check(const ngx_http_request_t *r,
                                               const ngx_http_subtoken_loc_conf_t *conf,
                                               subtoken_text target);

/* Does the policy call the path of the internal redirect public? */
bool ngx_http_subtoken_target_is_public_redirect(const ngx_http_subtoken_loc_conf_t *conf,
                                                 const ngx_http_subtoken_original_t *original);

/* Merge the slashes of a target's path: the same target when there is nothing to do. */
ngx_int_t ngx_http_subtoken_target_merge_slashes(ngx_pool_t *pool, subtoken_text *target);

/* ---- satisfy ---- */

/* `satisfy all`, which is the default. */
bool ngx_http_subtoken_satisfy_all(ngx_http_request_t *r);
/* Do allow and deny refuse the request? nginx logs it; quietly: not. */
bool ngx_http_subtoken_satisfy_is_blocked(ngx_http_request_t *r);
bool ngx_http_subtoken_satisfy_is_blocked_quietly(ngx_http_request_t *r);
/* With `satisfy any`: do allow and deny let it in, does auth_basic take its password? */
bool ngx_http_subtoken_satisfy_allows(ngx_http_request_t *r);
bool ngx_http_subtoken_satisfy_auth_basic(ngx_http_request_t *r);

/* ---- identity ---- */

/* Remove the X-Subtoken-* headers, if some came, and set those of this identity (NULL: none). */
ngx_int_t ngx_http_subtoken_identity_set(ngx_http_request_t *r, bool came,
                                         const ngx_http_subtoken_identity_t *identity);
/* When the configuration is read: hash the names of the headers. */
void ngx_http_subtoken_identity_init(void);

/* ---- reply ---- */

#define NGX_HTTP_SUBTOKEN_REPLY_UNDECIDED "this cannot be decided now; try again later"

void ngx_http_subtoken_reply_reject(ngx_http_subtoken_rejection_t *rejection, ngx_uint_t status,
                                    const char *result, const char *challenge, const char *text);
/* As the server answers this result. */
void ngx_http_subtoken_reply_reject_result(ngx_http_subtoken_rejection_t *rejection,
                                           subtoken_result result);
/* 403: this permission is missing. The text of scope must live as long as *rejection. */
void ngx_http_subtoken_reply_reject_scope(ngx_http_subtoken_rejection_t *rejection,
                                          subtoken_text scope);
/* A text for a rejection, with a NUL behind it; NULL: no memory. */
const char *ngx_http_subtoken_reply_copy(ngx_pool_t *pool, subtoken_text text);

/* Answer, and end the request. A 401 or 403 is left to nginx where it has to ask other modules
 * (`satisfy any`), or has an error_page for it. Returns what a phase handler returns.
 */
ngx_int_t ngx_http_subtoken_reply_send(ngx_http_request_t *r,
                                       const ngx_http_subtoken_rejection_t *rejection);

/* ---- cache ---- */

/* NULL: nothing is kept, for want of memory or randomness. Then each request asks. */
ngx_http_subtoken_cache_t *ngx_http_subtoken_cache_create(ngx_pool_t *pool);
/* False: there is no cache. */
bool ngx_http_subtoken_cache_key(const ngx_http_subtoken_cache_t *cache, ngx_http_request_t *r,
                                 const ngx_str_t *endpoint, subtoken_text audience,
                                 const ngx_http_subtoken_credential_t *credential,
                                 uint8_t key[SUBTOKEN_MAC_LEN]);
/* A copy in the request's pool, or NULL. */
ngx_http_subtoken_identity_t *ngx_http_subtoken_cache_get(const ngx_http_subtoken_cache_t *cache,
                                                          ngx_http_request_t *r,
                                                          const uint8_t key[SUBTOKEN_MAC_LEN]);
void ngx_http_subtoken_cache_put(const ngx_http_subtoken_cache_t *cache,
                                 const uint8_t key[SUBTOKEN_MAC_LEN],
                                 const ngx_http_subtoken_identity_t *identity);

/* ---- response ---- */

/* Read the response of this subrequest into *fallback. */
void ngx_http_subtoken_response_read(ngx_http_request_t *sr,
                                     ngx_http_subtoken_fallback_t *fallback);
/* What a token with the same rights would claim. False: it does not fit. */
bool ngx_http_subtoken_response_claims(const ngx_http_subtoken_identity_t *identity,
                                       subtoken_claims *claims);

/* ---- fallback ---- */

/* Whom does this credential stand for; or, without one, what may an anonymous user do? NGX_OK
 * (*identity), NGX_DECLINED (*rejection), NGX_AGAIN, NGX_ERROR.
 */
ngx_int_t ngx_http_subtoken_fallback_ask(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                         const ngx_http_subtoken_credential_t *credential,
                                         ngx_http_subtoken_rejection_t *rejection,
                                         const ngx_http_subtoken_identity_t **identity);
/* Is it a request to the decision endpoint, or part of one? */
ngx_flag_t ngx_http_subtoken_fallback_is_subrequest(ngx_http_request_t *r);

/* ---- body ---- */

/* Read the whole body into one text. NGX_OK; NGX_DECLINED (*rejection): it is too long, or packed;
 * NGX_AGAIN: it must be waited for, and may_wait is false; NGX_DONE: it is waited for, or the
 * request has ended; a status for nginx.
 */
ngx_int_t ngx_http_subtoken_body_read(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                      bool may_wait, subtoken_text *body,
                                      ngx_http_subtoken_rejection_t *rejection);
/* Read it, and check the JSON-RPC calls in it against the claims. Returns the same. */
ngx_int_t ngx_http_subtoken_body_check(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                       const subtoken_claims *claims, bool may_wait,
                                       ngx_http_subtoken_rejection_t *rejection);

/* ---- mcp ---- */

/* Check an MCP request, for a decision with .mcp, after its credential was found good. NGX_OK;
 * NGX_DECLINED (*rejection); or as ngx_http_subtoken_body_read.
 */
ngx_int_t ngx_http_subtoken_mcp_check(ngx_http_subtoken_evaluation_t *e,
                                      ngx_http_subtoken_rejection_t *rejection);

/* ---- metadata ---- */

/* Does this request ask for a document of RFC 9728 that is to be had here? */
bool ngx_http_subtoken_metadata_is_asked(ngx_http_request_t *r,
                                         const ngx_http_subtoken_loc_conf_t *conf,
                                         const ngx_http_subtoken_ctx_t *ctx);
/* Answer with it. As ngx_http_subtoken_reply_send. */
ngx_int_t ngx_http_subtoken_metadata_send(ngx_http_request_t *r,
                                          const ngx_http_subtoken_loc_conf_t *conf,
                                          const ngx_http_subtoken_ctx_t *ctx);
/* Name the document in the challenge of a 401, where the route has one. */
ngx_int_t ngx_http_subtoken_metadata_name(const ngx_http_subtoken_evaluation_t *e,
                                          ngx_http_subtoken_rejection_t *rejection);

/* ---- evaluate ---- */

/* Evaluate a request or subrequest. NGX_OK: it may pass. NGX_DECLINED: *rejection. NGX_AGAIN:
 * something has to be waited for. Anything else is for nginx.
 */
ngx_int_t ngx_http_subtoken_evaluate(ngx_http_subtoken_evaluation_t *e, ngx_http_request_t *r,
                                     const ngx_http_subtoken_loc_conf_t *conf,
                                     ngx_http_subtoken_ctx_t *ctx, bool may_wait, bool may_ask,
                                     ngx_http_subtoken_rejection_t *rejection);
/* Whom a request that was refused stands for, as far as that is certain: of a subtoken what it
 * says, if its signature is good, of a key what the endpoint told. NULL: nothing is.
 */
ngx_http_subtoken_identity_t *ngx_http_subtoken_evaluate_denied(ngx_http_request_t *r,
                                                                ngx_http_subtoken_ctx_t *ctx);
/* Copy the identity that was granted into the request's pool. */
ngx_int_t ngx_http_subtoken_evaluate_copy_identity(const ngx_http_subtoken_evaluation_t *e,
                                                   ngx_http_subtoken_identity_t *identity);

/* ---- outcome ---- */

/* Does the state hold a result for these settings that is less than a second old? Where there is
 * none, nobody needs a call to learn it.
 */
bool ngx_http_subtoken_outcome_holds(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                                     const ngx_http_subtoken_loc_conf_t *conf);
static inline bool ngx_http_subtoken_outcome_is_valid(ngx_http_request_t *r,
                                                      const ngx_http_subtoken_ctx_t *ctx,
                                                      const ngx_http_subtoken_loc_conf_t *conf) {
  return ctx->outcome.conf != NULL && ngx_http_subtoken_outcome_holds(r, ctx, conf);
}
/* Evaluate the main request and keep the result. NGX_OK: it is kept, whether the request passes or
 * not. NGX_AGAIN or another: it is waited for, or it has ended and its memory is gone.
 */
ngx_int_t ngx_http_subtoken_outcome_update(ngx_http_request_t *r,
                                           const ngx_http_subtoken_loc_conf_t *conf,
                                           ngx_http_subtoken_ctx_t *ctx, bool may_wait);
/* For a variable: the state of the main request, evaluated if that needs no wait. NULL: nothing is
 * known of it.
 */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_outcome_find(ngx_http_request_t *r);

/* ---- rewrite, access ---- */

/* Phase handlers. */
ngx_int_t ngx_http_subtoken_server_rewrite_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_subtoken_rewrite_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_subtoken_preaccess_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_subtoken_access_handler(ngx_http_request_t *r);

/* ---- worker ---- */

/* While the configuration is read: what a worker loads is freed with the pool of its cycle. */
ngx_int_t ngx_http_subtoken_worker_add(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main);
/* Load everything, and poll for changes from now on: what cannot be loaded yet, too. It does not
 * fail, because nginx never starts a worker again that could not begin.
 */
void ngx_http_subtoken_worker_start(ngx_cycle_t *cycle, ngx_http_subtoken_main_conf_t *main);

/* ---- variables ---- */

/* Register the variables of the module. */
ngx_int_t ngx_http_subtoken_variables_add(ngx_conf_t *cf);
/* The handler of LOG. */
ngx_int_t ngx_http_subtoken_variables_log_handler(ngx_http_request_t *r);
/* Find nginx's own that show the target, or the identity headers of a caller. */
ngx_int_t ngx_http_subtoken_variables_find(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main);

#endif
