/* May this request pass? The library decides (subtoken/edge.h); this brings it the request, asks
 * the server where the library wants that, and answers what is refused. No body is read here:
 * routes with json_rpc are 403, those with mcp unless they are decided by headers.
 */
#include <apr_general.h>

#include "edge/apache/subtoken_apache.h"

#define DECIDE_VALUES 16 /* of one header; further ones are part of the last */
#define DECIDE_NONCE_LEN 32

/* One decision, on the stack of a request. */
typedef struct decide_call {
  request_rec *r;
  const mod_subtoken_server_conf *server;
  const mod_subtoken_dir_conf *conf;
  subtoken_text authorization[DECIDE_VALUES], x_api_key[DECIDE_VALUES];
  subtoken_text mcp_method[2], mcp_name[1], mcp_version[2]; /* two are as good as more: 400 */
  subtoken_edge_request request;
  subtoken_verifier verifier;
  subtoken_feed_clock clock;
  subtoken_edge edge;
  subtoken_claims claims;
  subtoken_edge_reply reply;
} decide_call;

/* ---- what is asked ---- */

/* A name may have a comma and a blank in it, so it is not taken apart: of one that came twice, what
 * httpd has made of it is the name, here and for the API.
 */
static void decide_read_mcp(decide_call *call) {
  request_rec *r = call->r;
  subtoken_edge_request *request = &call->request;
  const char *length = apr_table_get(r->headers_in, "Content-Length");
  request->has_body = apr_table_get(r->headers_in, "Transfer-Encoding") != NULL ||
                      (length != NULL && strcmp(length, "0") != 0);
  request->mcp_method = call->mcp_method;
  request->mcp_method_count = mod_subtoken_request_values(r, "Mcp-Method", call->mcp_method, 2);
  request->mcp_name = call->mcp_name;
  request->mcp_name_count = mod_subtoken_request_values(r, "Mcp-Name", call->mcp_name, 1);
  request->mcp_version = call->mcp_version;
  request->mcp_version_count =
      mod_subtoken_request_values(r, "MCP-Protocol-Version", call->mcp_version, 2);
}

static void decide_read_request(decide_call *call, const char *target) {
  request_rec *r = call->r;
  call->request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  call->request.method = mod_subtoken_text(r->method);
  call->request.target = mod_subtoken_text(target);
  call->request.authorization = call->authorization;
  call->request.authorization_count =
      mod_subtoken_request_values(r, "Authorization", call->authorization, DECIDE_VALUES);
  call->request.x_api_key = call->x_api_key;
  call->request.x_api_key_count =
      mod_subtoken_request_values(r, "X-API-Key", call->x_api_key, DECIDE_VALUES);
  call->request.origin = apr_table_get(r->headers_in, "Origin") != NULL;
  call->request.request_method =
      apr_table_get(r->headers_in, "Access-Control-Request-Method") != NULL;
  decide_read_mcp(call);
}

/* ---- by what it is decided ---- */

static bool decide_has_files(const decide_call *call) {
  const mod_subtoken_secrets *secrets = call->server->secrets;
  return secrets != NULL && secrets->ring != NULL && secrets->ring->count > 0 &&
         (call->conf->policy == NULL || call->conf->policy->policy != NULL);
}

/* Under the lock. */
static void decide_prepare(decide_call *call, subtoken_cache *cache) {
  const mod_subtoken_server_conf *server = call->server;
  mod_subtoken_feed *feed = server->feed;
  int64_t now = apr_time_sec(apr_time_now());
  call->verifier = (subtoken_verifier)SUBTOKEN_VERIFIER_DEFAULT;
  call->verifier.ring = server->secrets->ring;
  call->verifier.cache = cache;
  if (server->leeway >= 0) call->verifier.leeway = server->leeway;
  if (server->max_life >= 0) call->verifier.max_life = server->max_life;
  if (server->audience != NULL) call->verifier.aud = mod_subtoken_text(server->audience);
  call->request.now = now;
  if (feed == NULL) {
    call->verifier.without_revocations = server->revocations != NULL; /* off */
  } else {
    call->clock = (subtoken_feed_clock){&feed->file.feed, now, mod_subtoken_files_monotonic()};
    call->verifier.revoked = subtoken_feed_revoked;
    call->verifier.revoked_context = &call->clock;
    call->request.now = subtoken_feed_now(&feed->file.feed, now);
  }
  call->edge = (subtoken_edge)SUBTOKEN_EDGE_DEFAULT;
  call->edge.verifier = &call->verifier;
  call->edge.policy = call->conf->policy == NULL ? NULL : call->conf->policy->policy;
  if (call->conf->forms != 0) call->edge.forms = call->conf->forms;
  call->edge.may_ask = call->conf->fallback != NULL;
  if (server->issuer != NULL) call->edge.issuer = mod_subtoken_text(server->issuer);
  if (call->conf->needs != NULL) {
    call->edge.needs = (const subtoken_text *)(void *)call->conf->needs->elts;
    call->edge.needs_count = (size_t)call->conf->needs->nelts;
  }
}

/* Whom it stands for is copied into the pool of r before the lock is given back, because the text
 * of a decision lies on the stack.
 */
static bool decide_set_identity(decide_call *call, const subtoken_edge_answer *answer) {
  request_rec *r = call->r;
  char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
  subtoken_edge_header headers[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  subtoken_result result =
      subtoken_edge_identity_headers(&call->claims, answer, memory, sizeof memory, headers);
  if (result != SUBTOKEN_OK) return false;
  for (size_t i = 0; i < SUBTOKEN_EDGE_IDENTITY_HEADERS; i++) {
    const char *name = apr_pstrmemdup(r->pool, headers[i].name.data, headers[i].name.len);
    apr_table_unset(r->headers_in, name);
    if (headers[i].value.len == 0) continue;
    char *value = apr_pstrmemdup(r->pool, headers[i].value.data, headers[i].value.len);
    apr_table_setn(r->headers_in, name, value);
    if (i == 0) apr_table_setn(r->subprocess_env, "SUBTOKEN_SUB", value);
  }
  subtoken_text tid = subtoken_claims_text(&call->claims, call->claims.tid);
  if (tid.len > 0) {
    apr_table_setn(r->subprocess_env, "SUBTOKEN_TID", apr_pstrmemdup(r->pool, tid.data, tid.len));
  }
  return true;
}

/* ---- deciding ---- */

/* answer: what the server said of nonce, or NULL. */
static subtoken_edge_step decide_step(decide_call *call, subtoken_text nonce,
                                      const subtoken_edge_answer *answer) {
  subtoken_cache *cache = answer == NULL ? mod_subtoken_caches_take() : NULL;
  subtoken_edge_step step;
  call->reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  mod_subtoken_files_lock();
  if (!decide_has_files(call)) {
    step = subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &call->reply);
  } else {
    decide_prepare(call, cache);
    step = answer == NULL
               ? subtoken_edge_decide(&call->edge, &call->request, &call->claims, &call->reply)
               : subtoken_edge_decide_answer(&call->edge, &call->request, nonce, answer,
                                             &call->claims, &call->reply);
  }
  mod_subtoken_files_unlock();
  mod_subtoken_caches_give(cache);
  if (step == SUBTOKEN_EDGE_ALLOW && !decide_set_identity(call, answer)) {
    step = subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &call->reply);
  }
  return step;
}

static bool decide_draw_nonce(char nonce[DECIDE_NONCE_LEN]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char random[DECIDE_NONCE_LEN / 2];
  if (apr_generate_random_bytes(random, sizeof random) != APR_SUCCESS) return false;
  for (size_t i = 0; i < sizeof random; i++) {
    nonce[2 * i] = digits[random[i] >> 4];
    nonce[2 * i + 1] = digits[random[i] & 15];
  }
  return true;
}

/* It names the audience of the ring, which another thread may replace. Returns how many headers. */
static size_t decide_question(const decide_call *call, subtoken_text nonce,
                              char memory[SUBTOKEN_EDGE_QUESTION_MEMORY],
                              subtoken_edge_header question[SUBTOKEN_EDGE_QUESTION_HEADERS]) {
  mod_subtoken_files_lock();
  size_t count = subtoken_edge_question(&call->edge, &call->request, nonce, memory,
                                        SUBTOKEN_EDGE_QUESTION_MEMORY, question);
  mod_subtoken_files_unlock();
  return count;
}

/* The server is asked without the lock. */
static subtoken_edge_step decide_by_server(decide_call *call, mod_subtoken_ctx *ctx) {
  char drawn[DECIDE_NONCE_LEN], memory[SUBTOKEN_EDGE_QUESTION_MEMORY];
  subtoken_text nonce = {drawn, sizeof drawn};
  subtoken_edge_header question[SUBTOKEN_EDGE_QUESTION_HEADERS];
  subtoken_edge_answer answer = SUBTOKEN_EDGE_ANSWER_DEFAULT;
  if (!decide_draw_nonce(drawn)) return SUBTOKEN_EDGE_REFUSE; /* with the reply that is there */
  size_t count = decide_question(call, nonce, memory, question);
  if (count > 0) {
    mod_subtoken_fallback_ask(call->r, ctx, call->conf->fallback, question, count, &answer);
  }
  subtoken_wipe(memory, sizeof memory);
  return decide_step(call, nonce, &answer);
}

/* ---- the refusal ---- */

/* Where `Satisfy any` may let the request in all the same, and in a subrequest, httpd answers. */
static bool decide_may_answer(request_rec *r) {
  return r->main == NULL && ap_satisfies(r) != SATISFY_ANY;
}

/* Who waits for `100 Continue` gets none. He may send the body all the same, so the connection is
 * of no use for another request.
 */
static int decide_answer(request_rec *r, const subtoken_edge_reply *reply) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
  size_t count = subtoken_edge_reply_headers(reply, headers);
  if (r->expecting_100) {
    r->expecting_100 = 0;
    r->connection->keepalive = AP_CONN_CLOSE;
  } else {
    int discarded = ap_discard_request_body(r);
    if (discarded != OK) return discarded;
  }
  r->status = reply->status;
  for (size_t i = 0; i < count; i++) {
    const char *name = apr_pstrmemdup(r->pool, headers[i].name.data, headers[i].name.len);
    const char *value = apr_pstrmemdup(r->pool, headers[i].value.data, headers[i].value.len);
    if (ap_cstr_casecmp(name, "Content-Type") == 0) {
      ap_set_content_type(r, value);
    } else {
      apr_table_setn(r->headers_out, name, value);
    }
  }
  ap_set_content_length(r, (apr_off_t)reply->body_len);
  (void)ap_rwrite(reply->body, (int)reply->body_len, r);
  return DONE;
}

static int decide_refuse(const decide_call *call) {
  request_rec *r = call->r;
  if (decide_may_answer(r)) return decide_answer(r, &call->reply);
  if (call->reply.challenge_len > 0) {
    apr_table_setn(r->err_headers_out, "WWW-Authenticate",
                   apr_pstrdup(r->pool, call->reply.challenge));
  }
  return call->reply.status;
}

/* The metadata that a 401 names, which need no credential. Length 0: it asks for something else. */
static size_t decide_metadata(decide_call *call, char document[SUBTOKEN_METADATA_MAX]) {
  size_t len = 0;
  const char *method = call->r->method;
  static const char front[] = "/.well-known/";
  if (call->server->issuer == NULL || call->r->main != NULL || call->request.target.data == NULL ||
      strncmp(call->request.target.data, front, sizeof front - 1) != 0 ||
      (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)) {
    return 0;
  }
  mod_subtoken_files_lock();
  if (decide_has_files(call)) {
    decide_prepare(call, NULL);
    len =
        subtoken_edge_metadata(&call->edge, call->request.target, document, SUBTOKEN_METADATA_MAX);
  }
  mod_subtoken_files_unlock();
  return len;
}

static int decide_answer_metadata(request_rec *r, const char *document, size_t len) {
  int discarded = ap_discard_request_body(r);
  if (discarded != OK) return discarded;
  ap_set_content_type(r, "application/json; charset=utf-8");
  apr_table_setn(r->headers_out, "Cache-Control", "no-store");
  apr_table_setn(r->headers_out, "Access-Control-Allow-Origin", "*");
  apr_table_setn(r->subprocess_env, "SUBTOKEN_RESULT", "metadata");
  ap_set_content_length(r, (apr_off_t)len);
  (void)ap_rwrite(document, (int)len, r);
  return DONE;
}

/* A request is decided about by what its client asked for, a subrequest by what the including page
 * asks for.
 */
int mod_subtoken_decide(request_rec *r, mod_subtoken_ctx *ctx,
                        const mod_subtoken_server_conf *server, const mod_subtoken_dir_conf *conf) {
  decide_call call;
  call.r = r;
  call.server = server;
  call.conf = conf;
  char document[SUBTOKEN_METADATA_MAX];
  decide_read_request(&call, r->main == NULL ? ctx->target : r->unparsed_uri);
  size_t len = decide_metadata(&call, document);
  if (len > 0) return decide_answer_metadata(r, document, len);
  subtoken_edge_step step = decide_step(&call, (subtoken_text){NULL, 0}, NULL);
  if (step == SUBTOKEN_EDGE_ASK) step = decide_by_server(&call, ctx);
  apr_table_setn(r->subprocess_env, "SUBTOKEN_RESULT", call.reply.name);
  if (step == SUBTOKEN_EDGE_ALLOW) return OK;
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "subtoken: refused with %d: %s", call.reply.status,
                call.reply.name);
  return decide_refuse(&call);
}
