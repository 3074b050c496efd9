/* May this request pass? Judged anew from the start whenever something that was waited for
 * has come, so that a body which took its time is held against what holds now. The verdict is
 * kept for the settings that it was made by, and only for a second.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_KEPT_MS 1000
#define NGX_HTTP_SUBTOKEN_BY_POLICY "the route policy does not allow this request"

/* All that one judgement looks at. */
typedef struct {
  ngx_http_request_t *r;
  const ngx_http_subtoken_loc_conf_t *conf;
  ngx_http_subtoken_ctx_t *ctx;
  const ngx_http_subtoken_identity_t *identity; /* NULL: nobody was asked */
  ngx_http_subtoken_origin_t *origin;
  bool may_wait; /* for a body */
  bool may_ask;  /* the decision endpoint */
  bool unasked;  /* it was not, because nginx lets the request in for another reason */
  bool as_page;
  ngx_http_subtoken_credential_t credential;
  subtoken_request request;
  subtoken_verifier verifier;
  subtoken_feed feed; /* with this location's settings; it points into the one in force */
  subtoken_feed_clock clock;
  bool granted; /* claims are those of a credential, not of a public route */
  subtoken_decision decision;
  subtoken_claims claims;
} judgement_t;

/* ---- verdicts ---- */

static void refuse(ngx_http_subtoken_verdict_t *verdict, ngx_uint_t status, const char *result,
                   const char *challenge, const char *text) {
  verdict->status = status;
  verdict->result = result;
  verdict->challenge = challenge;
  verdict->text = text;
  verdict->scope = (subtoken_text){NULL, 0};
  verdict->retry_after = 0;
}

void ngx_http_subtoken_refuse(ngx_http_subtoken_verdict_t *verdict, subtoken_result result) {
  const char *text = "Invalid access token";
  int status = subtoken_result_status(result);
  switch (status) {
    case 400: text = "the request target can be read in more than one way"; break;
    case 401: break;
    case 403: text = "this subtoken does not list this url"; break;
    default: status = 503; text = "this cannot be decided now; try again later";
  }
  refuse(verdict, (ngx_uint_t)status, subtoken_result_name(result),
         subtoken_result_challenge(result), text);
}

static subtoken_text need_of(const judgement_t *j, size_t i) {
  return i < j->decision.needs_count ? j->decision.needs[i]
                                     : j->request.needs[i - j->decision.needs_count];
}

static bool has(const subtoken_claims *claims, subtoken_text need) {
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text held = subtoken_claims_text(claims, claims->permissions[i]);
    if (held.len == need.len && ngx_memcmp(held.data, need.data, need.len) == 0) return true;
  }
  return false;
}

/* The first permission that is lacking; the policy's come before subtoken_require's. */
static subtoken_text lacking(const judgement_t *j, const subtoken_claims *claims) {
  for (size_t i = 0; i < j->decision.needs_count + j->request.needs_count; i++) {
    if (!has(claims, need_of(j, i))) return need_of(j, i);
  }
  return (subtoken_text){NULL, 0};
}

static void refuse_scope(ngx_http_subtoken_verdict_t *verdict, subtoken_text scope) {
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_PERM);
  verdict->text = "requires scope ";
  verdict->scope = scope;
}

/* ---- the target ---- */

/* Where nginx went by itself: nothing of the configuration has sent it elsewhere. */
static ngx_flag_t is_as_it_came(const ngx_http_request_t *r) {
  return r == r->main && !r->internal && r->valid_unparsed_uri;
}

static int hex_digit(char c) {
  return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Is this canonical path, decoded, what nginx has found its location by? */
static bool same_path(const char *path, size_t len, const ngx_str_t *uri) {
  size_t at = 0;
  for (size_t i = 0; i < len; i++) {
    char c = path[i];
    if (c == '%') {
      c = (char)(hex_digit(path[i + 1]) << 4 | hex_digit(path[i + 2]));
      i += 2;
    }
    if (at == uri->len || uri->data[at] != (u_char)c) return false;
    at++;
  }
  return at == uri->len;
}

/* The policy reads the target too, and before all else, so what can be read in more than one
 * way is refused by it (see judge_credential). Where nginx goes by the same path byte for byte,
 * and no escape could stand for another, that reading is nginx's as well: one is enough.
 */
static bool is_read_by_policy(const judgement_t *j) {
  subtoken_text target = j->request.target;
  const ngx_str_t *uri = &j->r->uri;
  if (j->conf->policy == NULL) return false;
  if (!is_as_it_came(j->r)) return true;
  if (target.len < uri->len || (target.len > uri->len && target.data[uri->len] != '?')) {
    return false;
  }
  return ngx_memcmp(target.data, uri->data, uri->len) == 0 &&
         memchr(uri->data, '%', uri->len) == NULL && memchr(uri->data, '?', uri->len) == NULL;
}

/* A target with scheme and host, as a proxy is asked: it names the host twice. HTTP/2 sends them
 * apart from the path.
 */
static bool is_absolute(const ngx_http_request_t *r) {
  return r->http_version < NGX_HTTP_VERSION_20 && r->host_start != NULL;
}

/* What the upstream gets is what is judged: a target that can be read in more than one way is
 * refused, whatever the credential, and so is one of which nginx has another reading.
 */
static subtoken_result check_target(const judgement_t *j) {
  if (is_absolute(j->r->main)) return SUBTOKEN_BAD_TARGET;
  if (is_read_by_policy(j)) return SUBTOKEN_OK;
  char path[3 * SUBTOKEN_PATH_MAX + 1];
  size_t len;
  subtoken_result result = subtoken_target_path(j->request.target, path, sizeof path, &len, NULL);
  if (result != SUBTOKEN_OK || !is_as_it_came(j->r)) return result;
  return same_path(path, len, &j->r->uri) ? SUBTOKEN_OK : SUBTOKEN_BAD_TARGET;
}

/* The page that an internal redirect led to may be one for everybody: whoever was not let in to
 * what he asked for may still see it, as he may ask for it. It is judged by its own path.
 */
static bool is_public_page(const ngx_http_subtoken_loc_conf_t *conf,
                           const ngx_http_subtoken_origin_t *origin) {
  const ngx_http_subtoken_policy_t *policy = conf->policy;
  subtoken_decision decision;
  if (origin->page.len == 0 || policy == NULL || policy->policy == NULL) return false;
  decision.size = sizeof decision;
  return subtoken_policy_find(policy->policy, origin->page_method, origin->page, 0, &decision) ==
             SUBTOKEN_OK &&
         decision.access == SUBTOKEN_ACCESS_PUBLIC;
}

/* ---- who asks ---- */

/* A subtoken: two dots, and nothing but base64url between them. */
static bool is_subtoken(subtoken_text text) {
  size_t dots = 0;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == '.') dots++;
    if (!letter && c != '-' && c != '_' && c != '.') return false;
  }
  return dots == 2;
}

/* Visible ASCII alone, so that the endpoint reads the same bytes as we do: a blank in front of a
 * subtoken would make it no subtoken here and one there, and a line's end would be a header.
 */
static bool is_plain(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] <= ' ' || text.data[i] > '~') return false;
  }
  return true;
}

/* Claims without the needs, for the words of a refusal: which permission is lacking. */
static void refuse_lacking(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  subtoken_request bare = j->request;
  bare.needs = NULL;
  bare.needs_count = 0;
  subtoken_result result = subtoken_verify(&j->verifier, j->credential.text, &bare, &j->claims);
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_PERM);
  if (result == SUBTOKEN_OK) refuse_scope(verdict, lacking(j, &j->claims));
}

/* A preflight is told what it may ask for, and gets nothing else: where `error_page 405 =200 $uri`
 * or X-Accel-Redirect have made a GET of it, it is one no more.
 */
static bool is_preflight(const judgement_t *j) {
  return j->credential.preflight && j->r->method == NGX_HTTP_OPTIONS;
}

/* The policy's decision, with a token where there is one. */
static subtoken_result decide(judgement_t *j, subtoken_text token) {
  const ngx_http_subtoken_policy_t *policy = j->conf->policy;
  unsigned flags = j->r == j->r->main ? SUBTOKEN_POLICY_BODY : 0;
  if (is_preflight(j)) flags |= SUBTOKEN_POLICY_PREFLIGHT;
  if (policy != NULL) {
    return subtoken_policy_verify(&j->verifier, policy->policy, token, &j->request, flags,
                                  &j->claims, &j->decision);
  }
  j->decision.access = SUBTOKEN_ACCESS_TOKEN;
  if (token.len == 0) return SUBTOKEN_MALFORMED;
  return subtoken_verify(&j->verifier, token, &j->request, &j->claims);
}

static bool passes_without(const judgement_t *j) {
  return j->decision.access == SUBTOKEN_ACCESS_PUBLIC ||
         j->decision.access == SUBTOKEN_ACCESS_PREFLIGHT;
}

static subtoken_result check_sub(judgement_t *j) {
  if (j->verifier.without_revocations) return SUBTOKEN_OK;
  return subtoken_feed_revoked(&j->clock, subtoken_claims_text(&j->claims, j->claims.sub));
}

/* A policy that denies is no fault of the credential. */
static bool is_denied_by_policy(const judgement_t *j) {
  return j->conf->policy != NULL && j->decision.access == SUBTOKEN_ACCESS_DENIED;
}

static void refuse_result(const judgement_t *j, subtoken_result result,
                          ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_subtoken_refuse(verdict, result);
  if (result == SUBTOKEN_URL && is_denied_by_policy(j)) verdict->text = NGX_HTTP_SUBTOKEN_BY_POLICY;
}

/* Are the login and password those of nginx's own auth_basic, where that is enough? What it says
 * otherwise is taken back: it says so itself when its turn comes.
 */
static bool is_taken_by_auth_basic(const judgement_t *j) {
  ngx_http_request_t *r = j->r;
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  if (core->satisfy != NGX_HTTP_SATISFY_ANY || all->auth_basic == NULL || r != r->main ||
      j->credential.forms != NGX_HTTP_SUBTOKEN_IN_BASIC) {
    return false;
  }
  ngx_log_t *log = r->connection->log;
  ngx_uint_t level = log->log_level;
  log->log_level = NGX_LOG_STDERR;
  ngx_int_t rc = all->auth_basic(r);
  log->log_level = level;
  if (r->headers_out.www_authenticate != NULL) r->headers_out.www_authenticate->hash = 0;
  r->headers_out.www_authenticate = NULL;
  return rc == NGX_OK;
}

/* As of ngx_http_subtoken_ask. Who may not wait for an answer has none yet; whom nginx lets in
 * for another reason is not asked about. */
static ngx_int_t ask(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  if (j->ctx->blocked) return NGX_DECLINED;
  if (j->may_ask && !j->may_wait) return NGX_AGAIN;
  if (!j->may_ask || is_taken_by_auth_basic(j)) {
    j->unasked = true;
    return NGX_DECLINED;
  }
  return ngx_http_subtoken_ask(j->r, j->ctx, &j->credential, verdict, &j->identity);
}

/* A key, or a name and password: the endpoint says whose it is, all else is judged here. */
static ngx_int_t judge_identity(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_MALFORMED);
  if (j->conf->fallback.len == 0) return NGX_DECLINED;
  ngx_int_t known = ask(j, verdict);
  if (known != NGX_OK) return known;
  subtoken_result result = SUBTOKEN_REVOCATION_UNKNOWN;
  if (ngx_http_subtoken_identity_claims(j->identity, &j->claims)) result = check_sub(j);
  if (result == SUBTOKEN_OK && j->claims.exp <= j->request.now) result = SUBTOKEN_EXPIRED;
  if (result == SUBTOKEN_OK && j->decision.access != SUBTOKEN_ACCESS_TOKEN) result = SUBTOKEN_URL;
  if (result != SUBTOKEN_OK) {
    refuse_result(j, result, verdict);
    return NGX_DECLINED;
  }
  subtoken_text scope = lacking(j, &j->claims);
  if (scope.len > 0) refuse_scope(verdict, scope);
  return scope.len > 0 ? NGX_DECLINED : NGX_OK;
}

static void refuse_credential(const judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  switch (j->credential.found) {
    case NGX_HTTP_SUBTOKEN_AMBIGUOUS:
      refuse(verdict, 400, "auth_ambiguous", "Bearer error=\"invalid_request\"",
             "more than one credential");
      break;
    case NGX_HTTP_SUBTOKEN_UNREADABLE:
      refuse(verdict, 400, "bad_request", "Bearer error=\"invalid_request\"",
             "access_token: a % needs two hex digits behind it");
      break;
    default: refuse(verdict, 401, "auth_missing", SUBTOKEN_CHALLENGE, "Invalid access token");
  }
}

/* No credential came: what anybody may do passes all the same, when the endpoint tells of such.
 * A route that needs no permission needs a credential, whoever's: nobody is asked about it.
 */
static ngx_int_t judge_anybody(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  bool needs = j->decision.json_rpc || j->decision.needs_count + j->request.needs_count > 0;
  refuse_credential(j, verdict);
  if (j->conf->fallback.len == 0 || j->decision.access != SUBTOKEN_ACCESS_TOKEN || !needs) {
    return NGX_DECLINED;
  }
  ngx_int_t known = ask(j, verdict);
  if (known != NGX_OK) return known;
  j->granted = ngx_http_subtoken_identity_claims(j->identity, &j->claims) &&
               j->claims.permission_count > 0 && lacking(j, &j->claims).len == 0;
  return j->granted ? NGX_OK : NGX_DECLINED;
}

/* Public routes pass before anybody looks at what came along. Whether it is a subtoken at all
 * is only asked about one that was not good: nothing else can be.
 */
static ngx_int_t judge_credential(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  bool one = j->credential.found == NGX_HTTP_SUBTOKEN_ONE;
  subtoken_text none = {NULL, 0};
  subtoken_result result = decide(j, one ? j->credential.text : none);
  if (result == SUBTOKEN_OK) {
    j->granted = !passes_without(j);
    return NGX_OK;
  }
  bool whole = one && (j->credential.forms == NGX_HTTP_SUBTOKEN_IN_BASIC ||
                       (is_plain(j->credential.text) && !is_subtoken(j->credential.text)));
  if (whole) result = decide(j, none);
  if (whole && result == SUBTOKEN_MALFORMED) {
    ngx_int_t known = judge_identity(j, verdict);
    j->granted = known == NGX_OK;
    return known;
  }
  if (j->credential.found == NGX_HTTP_SUBTOKEN_NONE && result == SUBTOKEN_MALFORMED) {
    return judge_anybody(j, verdict);
  }
  if (!one && result == SUBTOKEN_MALFORMED) {
    refuse_credential(j, verdict);
  } else if (result == SUBTOKEN_PERM) {
    refuse_lacking(j, verdict);
  } else {
    refuse_result(j, result, verdict);
  }
  return NGX_DECLINED;
}

/* ---- JSON-RPC bodies ---- */

static void body_came(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  if (ctx != NULL) ctx->body_read = 1;
  r->preserve_body = 1;
  r->write_event_handler = ngx_http_core_run_phases;
  ngx_http_core_run_phases(r);
}

/* NGX_DONE: it is waited for, or the request has ended. */
static ngx_int_t read_body(ngx_http_request_t *r) {
  ngx_int_t rc = ngx_http_read_client_request_body(r, body_came);
  if (rc >= NGX_HTTP_SPECIAL_RESPONSE) return rc;
  ngx_http_finalize_request(r, NGX_DONE);
  return NGX_DONE;
}

static void refuse_length(ngx_http_subtoken_verdict_t *verdict) {
  refuse(verdict, 413, "limit", NULL, "the body is longer than 262144 bytes");
}

static bool is_packed(const ngx_table_elt_t *header) {
  static const char name[] = "Content-Encoding";
  if (header->key.len != sizeof name - 1) return false;
  if (ngx_strncasecmp(header->key.data, (u_char *)name, sizeof name - 1) != 0) return false;
  return header->value.len != 8 ||
         ngx_strncasecmp(header->value.data, (u_char *)"identity", 8) != 0;
}

/* One whose length is known can be refused before it is read. */
static ngx_int_t check_body_headers(const judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_request_t *r = j->r;
  if (r->headers_in.content_length_n > SUBTOKEN_RPC_BODY_MAX) {
    refuse_length(verdict);
    return NGX_DECLINED;
  }
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *headers = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (!is_packed(&headers[i])) continue;
      refuse(verdict, 415, "bad_request", NULL, "Content-Encoding: the body must be sent as it is");
      return NGX_DECLINED;
    }
  }
  return NGX_OK;
}

/* The body in one piece: its pieces may lie in memory and in a temporary file. */
static ngx_int_t collect_body(ngx_http_request_t *r, subtoken_text *body) {
  off_t len = 0;
  ngx_chain_t *first = r->request_body == NULL ? NULL : r->request_body->bufs;
  *body = (subtoken_text){"", 0};
  for (ngx_chain_t *each = first; each != NULL; each = each->next) len += ngx_buf_size(each->buf);
  if (len > SUBTOKEN_RPC_BODY_MAX) return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
  if (len == 0) return NGX_OK;
  u_char *out = ngx_pnalloc(r->pool, (size_t)len), *end = out;
  if (out == NULL) return NGX_ERROR;
  for (ngx_chain_t *each = first; each != NULL; each = each->next) {
    ngx_buf_t *buf = each->buf;
    size_t size = (size_t)ngx_buf_size(buf);
    if (size == 0) continue; /* one that only says that it is the last */
    if (!ngx_buf_in_memory(buf)) {
      if (ngx_read_file(buf->file, end, size, buf->file_pos) != (ssize_t)size) return NGX_ERROR;
    } else {
      ngx_memcpy(end, buf->pos, size);
    }
    end += size;
  }
  *body = (subtoken_text){(const char *)out, (size_t)len};
  return NGX_OK;
}

static ngx_int_t judge_calls(judgement_t *j, subtoken_text body,
                             ngx_http_subtoken_verdict_t *verdict) {
  subtoken_rpc rpc;
  void *scratch = ngx_pnalloc(j->r->pool, body.len + 1);
  if (scratch == NULL) return NGX_ERROR;
  if (subtoken_rpc_read(body, scratch, body.len + 1, &rpc) != SUBTOKEN_OK) {
    refuse(verdict, 400, "bad_request", NULL,
           "the body is no JSON-RPC request that can be read in one way only");
    return NGX_DECLINED;
  }
  if (subtoken_rpc_allowed(&rpc, &j->claims, NULL) == SUBTOKEN_OK) return NGX_OK;
  for (size_t i = 0; i < rpc.count; i++) {
    subtoken_text need = subtoken_rpc_need(&rpc, i);
    if (has(&j->claims, need)) continue;
    char *kept = ngx_pnalloc(j->r->pool, need.len); /* rpc ends with this function */
    if (kept == NULL) return NGX_ERROR;
    ngx_memcpy(kept, need.data, need.len);
    refuse_scope(verdict, (subtoken_text){kept, need.len});
    return NGX_DECLINED;
  }
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_PERM);
  return NGX_DECLINED;
}

/* NGX_OK, NGX_DECLINED, NGX_DONE (as of read_body), or a status of nginx. */
static ngx_int_t judge_body(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  subtoken_text body;
  ngx_int_t rc = check_body_headers(j, verdict);
  if (rc != NGX_OK) return rc;
  if (!j->ctx->body_read) return j->may_wait ? read_body(j->r) : NGX_AGAIN;
  rc = collect_body(j->r, &body);
  if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
    refuse_length(verdict);
    return NGX_DECLINED;
  }
  return rc == NGX_OK ? judge_calls(j, body, verdict) : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- the whole ---- */

static void prepare_feed(judgement_t *j) {
  const ngx_http_subtoken_feed_t *feed = j->conf->feed;
  int64_t now = ngx_time();
  j->request.now = now;
  if (feed == NULL) {
    j->verifier.without_revocations = true;
    return;
  }
  j->verifier.revoked = subtoken_feed_revoked;
  j->verifier.revoked_context = &j->clock;
  if (feed->file != NULL) j->feed = feed->file->feed;
  j->feed.max_age = j->conf->max_age;
  j->feed.allow_old = j->conf->stale == NGX_HTTP_SUBTOKEN_STALE_ALLOW;
  j->clock.feed = &j->feed;
  j->clock.now = now;
  j->clock.monotonic = ngx_http_subtoken_monotonic();
  j->request.now = subtoken_feed_now(&j->feed, now);
}

/* Not the decision's needs, nor the claims: they are long, and nobody reads them before they
 * are written. */
static void prepare(judgement_t *j, ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf,
                    ngx_http_subtoken_ctx_t *ctx) {
  ngx_memzero(j, offsetof(judgement_t, decision.needs));
  j->request.size = sizeof j->request;
  j->verifier.size = sizeof j->verifier;
  j->decision.size = sizeof j->decision;
  j->r = r;
  j->conf = conf;
  j->ctx = ctx;
  if (conf->require != NULL) {
    j->request.needs = conf->require->elts;
    j->request.needs_count = conf->require->nelts;
  }
  j->verifier.ring = conf->secrets->ring;
  j->verifier.leeway = conf->leeway;
  j->verifier.max_life = conf->max_life;
  prepare_feed(j);
  ngx_http_subtoken_find_credential(r->main, ctx, conf->credentials, &j->credential);
}

/* By what whoever made the request wrote, wherever it is by now. */
static ngx_int_t prepare_target(judgement_t *j) {
  j->origin = j->r == j->r->main ? &j->ctx->origin : ngx_http_subtoken_origin(j->r, j->ctx);
  if (j->origin == NULL) return NGX_ERROR;
  j->request.method = j->origin->method;
  j->request.target = j->origin->target;
  if (!j->conf->merge_slashes || j->r != j->r->main) return NGX_OK;
  return ngx_http_subtoken_merge_slashes(j->r->pool, &j->request.target);
}

/* The texts of the variables live as long as the request does. */
static ngx_int_t keep_grant(judgement_t *j, ngx_http_subtoken_identity_t *who) {
  const subtoken_claims *claims = &j->claims;
  subtoken_text sub = subtoken_claims_text(claims, claims->sub);
  size_t len = sub.len;
  for (size_t i = 0; i < claims->permission_count; i++) len += claims->permissions[i].len + 1U;
  u_char *out = ngx_pnalloc(j->r->pool, len + 1);
  if (out == NULL) return NGX_ERROR;
  who->sub.data = out;
  who->sub.len = sub.len;
  out = ngx_cpymem(out, sub.data, sub.len);
  who->permissions.data = out;
  for (size_t i = 0; i < claims->permission_count; i++) {
    subtoken_text permission = subtoken_claims_text(claims, claims->permissions[i]);
    if (i > 0) *out++ = ',';
    out = ngx_cpymem(out, permission.data, permission.len);
  }
  who->permissions.len = (size_t)(out - who->permissions.data);
  who->expires = claims->exp;
  ngx_str_set(&who->key, "");
  ngx_str_set(&who->owner, "");
  if (j->identity != NULL) {
    who->key = j->identity->key;
    who->owner = j->identity->owner;
  }
  return NGX_OK;
}

static ngx_int_t judge_target(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  if (check_target(j) != SUBTOKEN_OK) {
    ngx_http_subtoken_refuse(verdict, SUBTOKEN_BAD_TARGET);
    return NGX_DECLINED;
  }
  ngx_int_t rc = judge_credential(j, verdict);
  if (rc == NGX_OK && j->granted && j->decision.json_rpc) rc = judge_body(j, verdict);
  /* Who came without a credential may bring one. */
  if (rc == NGX_DECLINED && verdict->status == 403 &&
      j->credential.found == NGX_HTTP_SUBTOKEN_NONE) {
    refuse_credential(j, verdict);
  }
  return rc;
}

/* NGX_OK: it may pass. NGX_DECLINED: *verdict. NGX_AGAIN: something has to be waited for. Anything
 * else is for nginx. Who may have what he asked for keeps his name on a page for everybody; for
 * a request that was refused such a page needs no look at what it asked for.
 */
static ngx_int_t judge_prepared(judgement_t *j, ngx_http_subtoken_verdict_t *verdict) {
  const subtoken_ring *ring = j->verifier.ring;
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_UNDECIDED);
  if (ring == NULL || ring->count == 0) {
    ngx_http_subtoken_refuse(verdict, SUBTOKEN_NO_SECRET);
    return NGX_DECLINED;
  }
  if (j->conf->policy != NULL && j->conf->policy->policy == NULL) {
    ngx_http_subtoken_refuse(verdict, SUBTOKEN_REVOCATION_UNKNOWN);
    return NGX_DECLINED;
  }
  if (prepare_target(j) != NGX_OK) return NGX_ERROR;
  bool page = is_public_page(j->conf, j->origin);
  ngx_int_t rc = page && j->ctx->refused ? NGX_DECLINED : judge_target(j, verdict);
  if (rc != NGX_DECLINED || !page) return rc;
  j->granted = false;
  j->as_page = true;
  return NGX_OK;
}

/* One function for both who call it, with all of the above in it: that is 100 instructions less. */
static __attribute__((noinline)) ngx_int_t judge(judgement_t *j, ngx_http_request_t *r,
                                                 const ngx_http_subtoken_loc_conf_t *conf,
                                                 ngx_http_subtoken_ctx_t *ctx, bool may_wait,
                                                 bool may_ask,
                                                 ngx_http_subtoken_verdict_t *verdict) {
  prepare(j, r, conf, ctx);
  j->may_wait = may_wait;
  j->may_ask = may_ask;
  return judge_prepared(j, verdict);
}

/* ---- what nginx decides by itself ---- */

static ngx_int_t allow_deny(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  return all->allow_deny == NULL ? NGX_DECLINED : all->allow_deny(r);
}

static bool needs_all(ngx_http_request_t *r) {
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  return core->satisfy == NGX_HTTP_SATISFY_ALL;
}

/* By its address. nginx logs it. */
static bool is_blocked(ngx_http_request_t *r) {
  return needs_all(r) && allow_deny(r) == NGX_HTTP_FORBIDDEN;
}

static bool is_blocked_quietly(ngx_http_request_t *r) {
  ngx_log_t *log = r->connection->log;
  ngx_uint_t level = log->log_level;
  log->log_level = NGX_LOG_STDERR;
  bool blocked = is_blocked(r);
  log->log_level = level;
  return blocked;
}

static bool is_let_in_by_nginx(ngx_http_request_t *r) {
  return !needs_all(r) && allow_deny(r) == NGX_OK;
}

static ngx_int_t refuse_request(ngx_http_request_t *r, const ngx_http_subtoken_verdict_t *verdict) {
  ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "subtoken: refused: %s", verdict->result);
  return ngx_http_subtoken_reply(r, verdict);
}

/* ---- the verdict ---- */

static bool is_alike(const ngx_http_subtoken_loc_conf_t *a, const ngx_http_subtoken_loc_conf_t *b) {
  return a->enable == b->enable && a->merge_slashes == b->merge_slashes &&
         a->credentials == b->credentials && a->secrets == b->secrets && a->policy == b->policy &&
         a->feed == b->feed && a->require == b->require && a->fallback.data == b->fallback.data &&
         a->stale == b->stale && a->max_age == b->max_age && a->leeway == b->leeway &&
         a->max_life == b->max_life;
}

/* By which location nginx lets a request in, and whether it does. The address decides as well: that
 * of the client is another one once set_real_ip_from of the location has found it.
 */
static const void *place_of(ngx_http_request_t *r) {
  return ngx_http_get_module_loc_conf(r, ngx_http_core_module);
}

static inline bool is_judged(ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
                             const ngx_http_subtoken_loc_conf_t *conf) {
  const ngx_http_subtoken_judged_t *judged = &ctx->judged;
  if (judged->conf == NULL || (judged->conf != conf && !is_alike(judged->conf, conf))) return false;
  if (judged->address != r->connection->sockaddr) return false;
  return judged->unasked_in == NULL || judged->unasked_in == place_of(r);
}

static bool is_fresh(const ngx_http_subtoken_ctx_t *ctx) {
  return ngx_current_msec - ctx->judged.time <= NGX_HTTP_SUBTOKEN_KEPT_MS;
}

/* The scope that lacks lies in a policy, which may have gone when the verdict is told. */
static ngx_int_t keep_verdict(ngx_http_request_t *r, ngx_http_subtoken_verdict_t *into,
                              const ngx_http_subtoken_verdict_t *verdict) {
  *into = *verdict;
  if (verdict->scope.len == 0) return NGX_OK;
  u_char *kept = ngx_pnalloc(r->pool, verdict->scope.len);
  if (kept == NULL) return NGX_ERROR;
  ngx_memcpy(kept, verdict->scope.data, verdict->scope.len);
  into->scope.data = (const char *)kept;
  return NGX_OK;
}

/* What is known of the request from now on. A public route leaves the word for why another
 * location refused it. */
static ngx_int_t keep_judgement(judgement_t *j, ngx_int_t rc,
                                const ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_subtoken_ctx_t *ctx = j->ctx;
  ngx_http_subtoken_judged_t *judged = &ctx->judged;
  bool granted = rc == NGX_OK && j->granted;
  if (!granted) {
    if (ctx->granted) ctx->result = NULL;
    ngx_memzero(&ctx->who, sizeof ctx->who);
  } else if (keep_grant(j, &ctx->who) != NGX_OK) {
    return NGX_ERROR;
  }
  if (rc != NGX_OK) {
    if (keep_verdict(j->r, &judged->verdict, verdict) != NGX_OK) return NGX_ERROR;
    ctx->result = verdict->result;
  }
  if (granted) ctx->result = subtoken_result_name(SUBTOKEN_OK);
  ctx->granted = granted;
  judged->conf = j->conf;
  judged->time = ngx_current_msec;
  judged->passes = rc == NGX_OK;
  judged->let_in = !j->may_ask;
  judged->as_page = j->as_page;
  judged->early = 0;
  judged->unasked_in = j->unasked ? place_of(j->r) : NULL;
  judged->address = j->r->connection->sockaddr;
  return NGX_OK;
}

/* Judge the request by these settings, and keep what comes of it. NGX_OK: it is kept, be it let in
 * or refused. NGX_AGAIN, or another: it is waited for, or has ended, and its memory with it.
 */
static ngx_int_t judge_request(ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf,
                               ngx_http_subtoken_ctx_t *ctx, bool may_wait) {
  judgement_t j;
  ngx_http_subtoken_verdict_t verdict;
  ngx_int_t rc = judge(&j, r, conf, ctx, may_wait, !is_let_in_by_nginx(r), &verdict);
  return rc == NGX_OK || rc == NGX_DECLINED ? keep_judgement(&j, rc, &verdict) : rc;
}

/* ---- the phases ---- */

static ngx_int_t set_identity(ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf,
                              const ngx_http_subtoken_ctx_t *ctx) {
  bool known = ctx != NULL && ctx->granted;
  return conf->identity ? ngx_http_subtoken_set_identity(r, known ? &ctx->who : NULL) : NGX_OK;
}

/* Judge it unless that is done, and write it into the headers, if it will come to an upstream.
 * NGX_OK, or as judge_request. */
static ngx_int_t settle(ngx_http_request_t *r, const ngx_http_subtoken_loc_conf_t *conf,
                        ngx_http_subtoken_ctx_t *ctx) {
  if (!is_judged(r, ctx, conf) || !is_fresh(ctx)) {
    ngx_int_t rc = judge_request(r, conf, ctx, true);
    if (rc != NGX_OK) return rc;
  }
  ctx->judged.early = 0;
  if (!ctx->judged.passes && needs_all(r)) return NGX_OK;
  if (ctx->judged.as_page && ngx_http_subtoken_become_page(r, &ctx->origin) != NGX_OK) {
    return NGX_ERROR;
  }
  return set_identity(r, conf, ctx);
}

/* By what can be known without a wait; what would need one is not for this page, unless a location
 * has let the request in. */
ngx_int_t ngx_http_subtoken_settle_page(ngx_http_request_t *r,
                                        const ngx_http_subtoken_loc_conf_t *conf,
                                        ngx_http_subtoken_ctx_t *ctx) {
  if (!is_public_page(conf, &ctx->origin)) return NGX_OK;
  if (!ctx->refused) {
    ngx_int_t rc = judge_request(r, conf, ctx, false);
    bool wait = rc == NGX_AGAIN && ctx->granted;
    bool whole = rc == NGX_OK && ctx->judged.passes && !ctx->judged.as_page;
    if (rc != NGX_OK && rc != NGX_AGAIN) return NGX_ERROR;
    if (wait || whole) return NGX_OK;
    ctx->refused = 1;
  }
  return ngx_http_subtoken_become_page(r, &ctx->origin);
}

/* What is only for the configuration's own use needs no judge: nobody can ask for it from
 * outside. Everything else that a subrequest reaches is judged like a request for it. The
 * variables tell of the request, not of its subrequests.
 */
static ngx_int_t preaccess_subrequest(ngx_http_request_t *r,
                                      const ngx_http_subtoken_loc_conf_t *conf) {
  judgement_t j;
  ngx_http_subtoken_verdict_t verdict;
  ngx_http_subtoken_identity_t who;
  ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
  if (ngx_http_subtoken_is_question(r)) return NGX_DECLINED;
  if (core->internal || !conf->enable) {
    return set_identity(r, conf, ngx_http_subtoken_ctx_if_any(r)) == NGX_OK ? NGX_DECLINED
                                                                            : NGX_ERROR;
  }
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  ngx_int_t rc = judge(&j, r, conf, ctx, true, true, &verdict);
  if (rc == NGX_DECLINED) return refuse_request(r, &verdict);
  if (rc != NGX_OK || (j.granted && keep_grant(&j, &who) != NGX_OK)) return rc;
  if (j.as_page && ngx_http_subtoken_become_page(r, j.origin) != NGX_OK) return NGX_ERROR;
  if (conf->identity && ngx_http_subtoken_set_identity(r, j.granted ? &who : NULL) != NGX_OK) {
    return NGX_ERROR;
  }
  return NGX_DECLINED;
}

/* A request that is refused goes on to the access phase: limit_req and limit_conn count it, and
 * others may let it in.
 */
static ngx_int_t preaccess_request(ngx_http_request_t *r,
                                   const ngx_http_subtoken_loc_conf_t *conf) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (is_blocked(r)) {
    ctx->refused = ctx->blocked = 1;
    return NGX_HTTP_FORBIDDEN;
  }
  ngx_int_t rc = settle(r, conf, ctx);
  return rc == NGX_OK ? NGX_DECLINED : rc;
}

ngx_int_t ngx_http_subtoken_preaccess(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (r != r->main) return preaccess_subrequest(r, conf);
  if (conf->enable) return preaccess_request(r, conf);
  ngx_int_t rc = set_identity(r, conf, ngx_http_subtoken_ctx_if_any(r));
  return rc == NGX_OK ? NGX_DECLINED : rc;
}

ngx_int_t ngx_http_subtoken_access(ngx_http_request_t *r) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (!conf->enable) return NGX_DECLINED;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx(r);
  if (ctx == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (!is_judged(r, ctx, conf) || !is_fresh(ctx)) {
    ngx_int_t rc = settle(r, conf, ctx);
    if (rc != NGX_OK) return rc;
  }
  /* Nobody was asked, for nginx lets the request in: it need not be found out once more. */
  if (ctx->judged.passes || ctx->judged.unasked_in != NULL) return NGX_OK;
  return refuse_request(r, &ctx->judged.verdict);
}

void ngx_http_subtoken_leave_server(ngx_http_request_t *r) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  if (ctx != NULL && ctx->judged.early) ctx->judged.conf = NULL;
}

/* A variable is read: by `if`, `set`, limit_req, or another module. Not by the log alone, which
 * comes too late, nor for a request whose answer has begun.
 */
ngx_http_subtoken_ctx_t *ngx_http_subtoken_look(ngx_http_request_t *r) {
  ngx_http_request_t *whole = r->main;
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(r, ngx_http_core_module);
  ngx_http_subtoken_loc_conf_t *conf =
      ngx_http_get_module_loc_conf(whole, ngx_http_subtoken_module);
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  if (!conf->enable || (ctx != NULL && is_judged(whole, ctx, conf))) return ctx;
  bool running = whole->phase_handler >= (ngx_int_t)core->phase_engine.server_rewrite_index;
  if (!running || whole->header_sent || whole->err_status != 0) return ctx;
  if (is_blocked_quietly(whole)) return NULL;
  if (ctx == NULL) ctx = ngx_http_subtoken_ctx(r);
  if (ctx == NULL || judge_request(whole, conf, ctx, false) != NGX_OK) return NULL;
  ctx->judged.early = whole->phase_handler < (ngx_int_t)core->phase_engine.location_rewrite_index;
  return ctx;
}
