/* Credentials that are no subtoken: the decision endpoint says for whom they stand, or what an
 * anonymous user may do. What the identity may do is evaluated here, with every request, in
 * ngx_http_subtoken_evaluate.c. The response is read in ngx_http_subtoken_response.c.
 *
 * The request to the endpoint is a subrequest to the location of subtoken_fallback. It holds the
 * credential, a nonce, the original method and target, and the client's address, and nothing else
 * that a caller sent. Its result belongs to the endpoint and the credential, and is found again by
 * these two while the request lasts, and in ngx_http_subtoken_cache.c.
 */
#include <sys/random.h>

#include "edge/nginx/ngx_http_subtoken.h"

/* ---- the result ---- */

/* As nginx's own modules have them, without a public name. */
#define NGX_HTTP_SUBTOKEN_FALLBACK_REQ_REJECTED 3
#define NGX_HTTP_SUBTOKEN_FALLBACK_CONN_REJECTED 2

/* A location of questions inherits limit_req and limit_conn. They count a request once, with its
 * first subrequest, so that what they refuse is the request.
 */
static bool ngx_http_subtoken_fallback_is_limited(const ngx_http_request_t *sr,
                                                  const ngx_http_subtoken_fallback_t *fallback,
                                                  ngx_int_t rc) {
  const ngx_http_request_t *main = sr->main;
  bool req = main->limit_req_status == NGX_HTTP_SUBTOKEN_FALLBACK_REQ_REJECTED &&
             fallback->req_status != NGX_HTTP_SUBTOKEN_FALLBACK_REQ_REJECTED;
  bool conn = main->limit_conn_status == NGX_HTTP_SUBTOKEN_FALLBACK_CONN_REJECTED &&
              fallback->conn_status != NGX_HTTP_SUBTOKEN_FALLBACK_CONN_REJECTED;
  return rc >= NGX_HTTP_SPECIAL_RESPONSE && sr->upstream == NULL && (req || conn);
}

/* nginx calls this again when it makes a page of its own for an error. The first genuine response
 * counts: a second would keep an identity in the cache for longer.
 */
static ngx_int_t ngx_http_subtoken_fallback_done(ngx_http_request_t *sr, void *data, ngx_int_t rc) {
  ngx_http_subtoken_fallback_t *fallback = data;
  if (fallback->genuine || fallback->limited) return rc;
  bool first = fallback->waiting;
  fallback->waiting = 0;
  fallback->status = rc >= NGX_HTTP_SPECIAL_RESPONSE ? (ngx_uint_t)rc : sr->headers_out.status;
  if (rc == NGX_ERROR) fallback->status = 0;
  fallback->limited = ngx_http_subtoken_fallback_is_limited(sr, fallback, rc);
  if (!fallback->limited) {
    ngx_http_subtoken_response_read(sr, fallback);
    if (first) ngx_http_subtoken_counters_question(fallback);
  }
  /* nginx wakes the request that waits for a subrequest, but not for one in the background. */
  if (sr->background && ngx_http_post_request(fallback->request, NULL) != NGX_OK) return NGX_ERROR;
  return rc;
}

/* Once for each response, however often it is used. */
static void ngx_http_subtoken_fallback_log_unusable(ngx_http_subtoken_fallback_t *fallback,
                                                    ngx_log_t *log) {
  if (fallback->logged) return;
  fallback->logged = 1;
  if (!fallback->genuine && fallback->status != 0 && fallback->status < 500) {
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "subtoken_fallback: the response (status %ui) does not repeat X-Subtoken-Nonce: "
                  "it came from a cache, or not from /v2/authorize of a server as new as this",
                  fallback->status);
  } else {
    ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_fallback: no usable response (status %ui)",
                  fallback->status);
  }
}

static ngx_int_t ngx_http_subtoken_fallback_reject_undecided(
    ngx_http_subtoken_rejection_t *rejection) {
  ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_REVOCATION_UNKNOWN);
  rejection->result = "store_error";
  return NGX_DECLINED;
}

/* Where no credential was sent none can be wrong: every other response is a fault. */
static ngx_int_t ngx_http_subtoken_fallback_conclude(ngx_http_subtoken_fallback_t *fallback,
                                                     ngx_log_t *log,
                                                     ngx_http_subtoken_rejection_t *rejection) {
  if (fallback->identity != NULL) return NGX_OK;
  ngx_uint_t status = fallback->genuine && !fallback->anonymous ? fallback->status : 0;
  if (status == NGX_HTTP_UNAUTHORIZED) {
    ngx_http_subtoken_reply_reject_result(rejection, SUBTOKEN_REVOKED);
    rejection->result = "key_unknown";
    return NGX_DECLINED;
  }
  if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
    ngx_http_subtoken_reply_reject(rejection, status, "login_throttled", NULL,
                                   "too many wrong passwords; try again later");
    rejection->retry_after = fallback->retry_after;
    return NGX_DECLINED;
  }
  ngx_http_subtoken_fallback_log_unusable(fallback, log);
  return ngx_http_subtoken_fallback_reject_undecided(rejection);
}

/* ---- the headers of the request ---- */

/* proxy_set_header finds a header that it replaces by its hash. */
static ngx_int_t ngx_http_subtoken_fallback_add_header(ngx_list_t *headers, const char *name,
                                                       ngx_str_t value) {
  size_t len = ngx_strlen(name);
  ngx_table_elt_t *header = ngx_list_push(headers);
  if (header == NULL) return NGX_ERROR;
  ngx_memzero(header, sizeof *header);
  header->key = (ngx_str_t){len, (u_char *)name};
  header->value = value;
  header->lowcase_key = ngx_pnalloc(headers->pool, len);
  if (header->lowcase_key == NULL) return NGX_ERROR;
  header->hash = ngx_hash_strlow(header->lowcase_key, header->key.data, len);
  return NGX_OK;
}

/* In each form in which it came, because some are good in one form only. That of the query, which
 * is not passed on, becomes a header as well.
 */
static ngx_int_t ngx_http_subtoken_fallback_add_credential(
    ngx_list_t *headers, const ngx_http_subtoken_credential_t *credential) {
  ngx_str_t text = ngx_http_subtoken_string(credential->text), bearer;
  if (credential->forms & NGX_HTTP_SUBTOKEN_IN_BASIC) {
    return ngx_http_subtoken_fallback_add_header(headers, "Authorization", text);
  }
  if ((credential->forms & NGX_HTTP_SUBTOKEN_IN_KEY_HEADER) &&
      ngx_http_subtoken_fallback_add_header(headers, "X-API-Key", text) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!(credential->forms & (NGX_HTTP_SUBTOKEN_IN_BEARER | NGX_HTTP_SUBTOKEN_IN_QUERY))) {
    return NGX_OK;
  }
  bearer.data = ngx_pnalloc(headers->pool, sizeof "Bearer " + text.len);
  if (bearer.data == NULL) return NGX_ERROR;
  bearer.len = (size_t)(ngx_sprintf(bearer.data, "Bearer %V", &text) - bearer.data);
  return ngx_http_subtoken_fallback_add_header(headers, "Authorization", bearer);
}

#define NGX_HTTP_SUBTOKEN_FALLBACK_ADDRESSES_MAX 1024

/* Append a header's addresses to those between start and end. Of a list that is too long the end is
 * kept, because the server reads it from there.
 */
static u_char *ngx_http_subtoken_fallback_append_addresses(u_char *start, u_char *end,
                                                           ngx_str_t value) {
  static const size_t max = NGX_HTTP_SUBTOKEN_FALLBACK_ADDRESSES_MAX - 2; /* and ", " */
  if (value.len > max - (size_t)(end - start)) end = start;
  size_t cut = value.len > max ? value.len - max : 0;
  while (cut > 0 && cut < value.len && value.data[cut - 1] != ',') cut++;
  end = ngx_cpymem(end, value.data + cut, value.len - cut);
  return ngx_cpymem(end, ", ", 2);
}

/* The addresses that came with the request, and then the client's own, as the variable
 * $proxy_add_x_forwarded_for has them.
 */
static ngx_int_t ngx_http_subtoken_fallback_add_addresses(ngx_http_request_t *r,
                                                          ngx_list_t *headers) {
  static const char name[] = "X-Forwarded-For";
  ngx_str_t client = r->connection->addr_text, chain;
  u_char *end = chain.data =
      ngx_pnalloc(headers->pool, NGX_HTTP_SUBTOKEN_FALLBACK_ADDRESSES_MAX + client.len);
  if (chain.data == NULL) return NGX_ERROR;
  for (ngx_list_part_t *part = &r->main->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (each[i].key.len != sizeof name - 1 ||
          ngx_strncasecmp(each[i].key.data, (u_char *)name, sizeof name - 1) != 0) {
        continue;
      }
      end = ngx_http_subtoken_fallback_append_addresses(chain.data, end, each[i].value);
    }
  }
  end = ngx_cpymem(end, client.data, client.len);
  chain.len = (size_t)(end - chain.data);
  return ngx_http_subtoken_fallback_add_header(headers, name, chain);
}

/* Of the request's trace the server's log tells, and its answer does not depend on it. */
static ngx_int_t ngx_http_subtoken_fallback_add_trace(ngx_http_request_t *r, ngx_list_t *headers) {
  ngx_str_t trace = ngx_http_subtoken_trace_find(r);
  if (trace.len == 0) return NGX_OK;
  return ngx_http_subtoken_fallback_add_header(headers, "traceparent", trace);
}

/* The subrequest gets a list of headers of its own, and no body. Without a credential nothing is
 * sent that differs from one caller to the next and could change the response, because that is kept
 * for all of them. The target goes without access_token=, which the server would read even where
 * subtoken_credentials leaves it alone.
 */
static ngx_int_t ngx_http_subtoken_fallback_write_headers(
    ngx_http_request_t *r, ngx_list_t *headers, const ngx_http_subtoken_ctx_t *ctx,
    const ngx_http_subtoken_credential_t *credential, ngx_http_subtoken_fallback_t *fallback) {
  ngx_str_t nonce = {NGX_HTTP_SUBTOKEN_NONCE_LEN, fallback->nonce}, target;
  ngx_str_t method = ngx_http_subtoken_string(ctx->original.method);
  ngx_str_t audience = ngx_http_subtoken_string(fallback->audience);
  if (ngx_http_subtoken_fallback_add_header(headers, "X-Subtoken-Nonce", nonce) != NGX_OK ||
      ngx_http_subtoken_fallback_add_header(headers, "X-Original-Method", method) != NGX_OK ||
      ngx_http_subtoken_query_clean_target(r->pool, r->unparsed_uri, &target) != NGX_OK ||
      ngx_http_subtoken_fallback_add_header(headers, "X-Original-URI", target) != NGX_OK ||
      ngx_http_subtoken_fallback_add_header(headers, "X-Subtoken-Audience", audience) != NGX_OK ||
      ngx_http_subtoken_fallback_add_trace(r, headers) != NGX_OK) {
    return NGX_ERROR;
  }
  if (fallback->anonymous) return NGX_OK;
  if (ngx_http_subtoken_fallback_add_credential(headers, credential) != NGX_OK) return NGX_ERROR;
  return ngx_http_subtoken_fallback_add_addresses(r, headers);
}

/* ---- the subrequest ---- */

/* What a subrequest of ours has of its own, made before there is one: nginx runs a subrequest that
 * was begun, and one of which a part is missing would ask something else, in the caller's words.
 */
typedef struct {
  ngx_http_post_subrequest_t post;
  ngx_list_t headers;
  ngx_http_request_body_t body;
  ngx_http_variable_value_t *variables;
} ngx_http_subtoken_fallback_question_t;

/* nginx lets a subrequest share the variables of its parent. This one has other headers and another
 * path, so what it reads of them must not be seen by the parent.
 */
static ngx_http_subtoken_fallback_question_t *ngx_http_subtoken_fallback_prepare(
    ngx_http_request_t *r, const ngx_http_subtoken_ctx_t *ctx,
    const ngx_http_subtoken_credential_t *credential, ngx_http_subtoken_fallback_t *fallback) {
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(r, ngx_http_core_module);
  ngx_http_subtoken_fallback_question_t *question = ngx_pcalloc(r->pool, sizeof *question);
  uint8_t random[NGX_HTTP_SUBTOKEN_NONCE_LEN / 2];
  if (question == NULL || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    return NULL;
  }
  (void)ngx_hex_dump(fallback->nonce, random, sizeof random);
  question->post.handler = ngx_http_subtoken_fallback_done;
  question->post.data = fallback;
  question->variables =
      ngx_palloc(r->pool, core->variables.nelts * sizeof(ngx_http_variable_value_t));
  if (question->variables == NULL ||
      ngx_list_init(&question->headers, r->pool, 8, sizeof(ngx_table_elt_t)) != NGX_OK ||
      ngx_http_subtoken_fallback_write_headers(r, &question->headers, ctx, credential, fallback) !=
          NGX_OK) {
    return NULL;
  }
  return question;
}

/* nginx counts a subrequest, and lets it alone send to the client, before it may fail for want of
 * memory, and then waits for what does not run: NGX_ERROR, which ends the request with all that
 * belongs to it. NGX_DECLINED: none was begun.
 *
 * HEAD, because the headers say it all, and because nginx keeps the connection only when no body
 * comes. For another subrequest it runs in the background: it is no part of the page that is put
 * together, and does not wait for its turn there. A subrequest whose response is kept in memory
 * (SSI's `set`, njs) may not have subrequests, but its parent may.
 */
static ngx_int_t ngx_http_subtoken_fallback_start(ngx_http_request_t *r, ngx_str_t *endpoint,
                                                  const ngx_http_subtoken_ctx_t *ctx,
                                                  const ngx_http_subtoken_credential_t *credential,
                                                  ngx_http_subtoken_fallback_t *fallback) {
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(r, ngx_http_core_module);
  ngx_http_request_t *sr, *parent = r;
  ngx_uint_t flags = r == r->main ? NGX_HTTP_SUBREQUEST_WAITED : NGX_HTTP_SUBREQUEST_BACKGROUND;
  ngx_http_subtoken_fallback_question_t *question =
      ngx_http_subtoken_fallback_prepare(r, ctx, credential, fallback);
  if (question == NULL) return NGX_DECLINED;
  while (parent->subrequest_in_memory) parent = parent->parent;
  ngx_uint_t count = r->main->count;
  void *active = r->connection->data;
  if (ngx_http_subrequest(parent, endpoint, NULL, &sr, &question->post, flags) != NGX_OK) {
    bool begun = r->main->count != count || r->connection->data != active;
    return begun ? NGX_ERROR : NGX_DECLINED;
  }
  sr->method = NGX_HTTP_HEAD;
  ngx_str_set(&sr->method_name, "HEAD");
  sr->header_only = 1;
  ngx_memcpy(question->variables, sr->variables,
             core->variables.nelts * sizeof(ngx_http_variable_value_t));
  sr->variables = question->variables;
  sr->headers_in.headers = question->headers;
  if (question->headers.last == &question->headers.part) {
    sr->headers_in.headers.last = &sr->headers_in.headers.part;
  }
  sr->headers_in.content_length = NULL;
  sr->headers_in.content_length_n = -1;
  sr->headers_in.chunked = 0;
  sr->headers_in.authorization = NULL;
  sr->request_body = &question->body;
  fallback->asked = ngx_current_msec;
  fallback->req_status = r->main->limit_req_status;
  fallback->conn_status = r->main->limit_conn_status;
  fallback->waiting = 1;
  return NGX_OK;
}

ngx_flag_t ngx_http_subtoken_fallback_is_subrequest(ngx_http_request_t *r) {
  for (; r != r->main; r = r->parent) {
    if (r->post_subrequest != NULL &&
        r->post_subrequest->handler == ngx_http_subtoken_fallback_done) {
      return 1;
    }
  }
  return 0;
}

/* ---- what a request has asked already ---- */

static bool ngx_http_subtoken_fallback_is_same(subtoken_text a, subtoken_text b) {
  return a.len == b.len && (a.len == 0 || ngx_memcmp(a.data, b.data, a.len) == 0);
}

/* One that another part of the request still waits for is left out: nginx would not wake us. */
static ngx_http_subtoken_fallback_t *ngx_http_subtoken_fallback_find(
    const ngx_http_subtoken_ctx_t *ctx, const ngx_http_request_t *r, const ngx_str_t *endpoint,
    subtoken_text audience, const ngx_http_subtoken_credential_t *credential) {
  for (ngx_http_subtoken_fallback_t *each = ctx->fallbacks; each != NULL; each = each->next) {
    if (each->forms == credential->forms && (!each->waiting || each->request == r) &&
        ngx_http_subtoken_fallback_is_same(ngx_http_subtoken_text(each->endpoint),
                                           ngx_http_subtoken_text(*endpoint)) &&
        ngx_http_subtoken_fallback_is_same(each->audience, audience) &&
        ngx_http_subtoken_fallback_is_same(each->credential, credential->text)) {
      return each;
    }
  }
  return NULL;
}

static void ngx_http_subtoken_fallback_remove(ngx_http_subtoken_ctx_t *ctx,
                                              const ngx_http_subtoken_fallback_t *fallback) {
  ngx_http_subtoken_fallback_t **each = &ctx->fallbacks;
  while (*each != NULL && *each != fallback) each = &(*each)->next;
  if (*each != NULL) *each = fallback->next;
}

static ngx_http_subtoken_fallback_t *ngx_http_subtoken_fallback_add(
    ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx, const ngx_str_t *endpoint,
    subtoken_text audience, const ngx_http_subtoken_credential_t *credential) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  ngx_http_subtoken_fallback_t *fallback = ngx_pcalloc(r->pool, sizeof *fallback);
  if (fallback == NULL) return NULL;
  fallback->request = r;
  fallback->endpoint = *endpoint;
  fallback->audience = audience;
  fallback->credential = credential->text;
  fallback->forms = credential->forms;
  fallback->anonymous = credential->state == NGX_HTTP_SUBTOKEN_CREDENTIAL_NONE;
  fallback->cache = main->cache;
  fallback->has_cache_key = ngx_http_subtoken_cache_key(main->cache, r, endpoint, audience,
                                                        credential, fallback->cache_key);
  if (fallback->has_cache_key) {
    fallback->identity = ngx_http_subtoken_cache_get(main->cache, r, fallback->cache_key);
    if (fallback->identity != NULL) ngx_http_subtoken_counters_known(r);
  }
  fallback->next = ctx->fallbacks;
  ctx->fallbacks = fallback;
  return fallback;
}

/* That of the location, or the one for which its keyring is derived. It is in the question, because
 * a credential that is bound to one is good there alone. The text is copied: the keyring may be
 * replaced while the question waits.
 */
static ngx_int_t ngx_http_subtoken_fallback_audience(ngx_http_request_t *r,
                                                     const ngx_http_subtoken_loc_conf_t *conf,
                                                     subtoken_text *audience) {
  *audience = ngx_http_subtoken_text(conf->audience);
  if (audience->len > 0 || conf->secrets->ring == NULL) return NGX_OK;
  subtoken_text derived = subtoken_ring_audience(conf->secrets->ring);
  if (derived.len == 0) return NGX_OK;
  char *copy = ngx_pnalloc(r->pool, derived.len);
  if (copy == NULL) return NGX_ERROR;
  ngx_memcpy(copy, derived.data, derived.len);
  *audience = (subtoken_text){copy, derived.len};
  return NGX_OK;
}

ngx_int_t ngx_http_subtoken_fallback_ask(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                         const ngx_http_subtoken_credential_t *credential,
                                         ngx_http_subtoken_rejection_t *rejection,
                                         const ngx_http_subtoken_identity_t **identity) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  ngx_str_t *endpoint = &conf->fallback;
  subtoken_text audience;
  if (ngx_http_subtoken_fallback_audience(r, conf, &audience) != NGX_OK) return NGX_ERROR;
  ngx_http_subtoken_fallback_t *fallback =
      ngx_http_subtoken_fallback_find(ctx, r, endpoint, audience, credential);
  if (fallback == NULL) {
    fallback = ngx_http_subtoken_fallback_add(r, ctx, endpoint, audience, credential);
    if (fallback == NULL) return NGX_ERROR;
    ngx_int_t rc = NGX_OK;
    if (fallback->identity == NULL) {
      rc = ngx_http_subtoken_fallback_start(r, endpoint, ctx, credential, fallback);
    }
    if (rc != NGX_OK) ctx->fallbacks = fallback->next; /* not asked: others must not wait for it */
    if (rc == NGX_ERROR) return NGX_ERROR;
    if (rc != NGX_OK) return ngx_http_subtoken_fallback_reject_undecided(rejection);
  }
  if (fallback->waiting) return NGX_AGAIN;
  if (fallback->limited) { /* an error page may ask anew */
    ngx_http_subtoken_fallback_remove(ctx, fallback);
    return (ngx_int_t)fallback->status;
  }
  *identity = fallback->identity;
  return ngx_http_subtoken_fallback_conclude(fallback, r->connection->log, rejection);
}
