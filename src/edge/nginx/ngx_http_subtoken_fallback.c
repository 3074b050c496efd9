/* Credentials that are no subtoken: the decision endpoint says whose they are, and its answer
 * is kept for a few seconds. What they may do is judged here, with every request. Of a request
 * that brought none it says what anybody may do.
 */
#include <sys/random.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define KEPT_MS 5000
#define SLOTS 1024
#define SLOT_TEXT_MAX 1024 /* an identity with more to say is asked for each time */

/* One place for each hash: who comes later takes it. No credential is kept, only its MAC
 * under a key of this process.
 */
typedef struct {
  uint8_t tag[SUBTOKEN_MAC_LEN];
  ngx_msec_t until; /* 0: empty */
  int64_t expires;
  uint16_t sub_len;
  uint16_t permissions_len;
  u_char text[SLOT_TEXT_MAX];
} slot_t;

struct ngx_http_subtoken_cache_s {
  subtoken_secret key;
  slot_t *slots; /* SLOTS of them */
};

/* ---- what is kept ---- */

static void wipe_key(void *data) {
  ngx_http_subtoken_cache_t *cache = data;
  subtoken_wipe(&cache->key, sizeof cache->key);
}

/* Without memory or randomness nothing is kept, and each request asks. */
ngx_http_subtoken_cache_t *ngx_http_subtoken_cache_make(ngx_pool_t *pool) {
  uint8_t random[SUBTOKEN_MAC_LEN];
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(pool, sizeof(ngx_http_subtoken_cache_t));
  if (cleanup == NULL) return NULL;
  ngx_http_subtoken_cache_t *cache = cleanup->data;
  ngx_memzero(cache, sizeof *cache);
  cleanup->handler = wipe_key;
  cache->slots = ngx_pcalloc(pool, SLOTS * sizeof(slot_t));
  bool good = cache->slots != NULL &&
              getrandom(random, sizeof random, 0) == (ssize_t)sizeof random &&
              subtoken_secret_set(&cache->key, (subtoken_text){NULL, 0}, random, sizeof random) ==
                  SUBTOKEN_OK;
  subtoken_wipe(random, sizeof random);
  return good ? cache : NULL;
}

/* In which form a credential came is part of it: some are good in one form only. */
static bool tag_of(const ngx_http_subtoken_cache_t *cache, const ngx_str_t *asked,
                   const ngx_http_subtoken_credential_t *credential,
                   uint8_t tag[SUBTOKEN_MAC_LEN]) {
  subtoken_mac mac;
  const u_char *endpoint = asked->data; /* one text for each endpoint, wherever it is inherited */
  if (cache == NULL || subtoken_mac_start(&mac, &cache->key) != SUBTOKEN_OK) return false;
  subtoken_mac_update(&mac, &endpoint, sizeof endpoint);
  subtoken_mac_update(&mac, &credential->forms, sizeof credential->forms);
  subtoken_mac_update(&mac, credential->text.data, credential->text.len);
  subtoken_mac_finish(&mac, tag);
  return true;
}

static slot_t *slot_of(const ngx_http_subtoken_cache_t *cache,
                       const uint8_t tag[SUBTOKEN_MAC_LEN]) {
  return &cache->slots[(tag[0] | (size_t)tag[1] << 8) % SLOTS];
}

static ngx_http_subtoken_identity_t *copy_identity(ngx_pool_t *pool, const slot_t *slot) {
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(pool, sizeof *identity);
  u_char *text = ngx_pnalloc(pool, SLOT_TEXT_MAX);
  if (identity == NULL || text == NULL) return NULL;
  ngx_memcpy(text, slot->text, (size_t)slot->sub_len + slot->permissions_len);
  identity->sub.data = text;
  identity->sub.len = slot->sub_len;
  identity->permissions.data = text + slot->sub_len;
  identity->permissions.len = slot->permissions_len;
  identity->expires = slot->expires;
  return identity;
}

static ngx_http_subtoken_identity_t *recall(ngx_http_request_t *r,
                                            const ngx_http_subtoken_cache_t *cache,
                                            const uint8_t tag[SUBTOKEN_MAC_LEN]) {
  const slot_t *slot = slot_of(cache, tag);
  if (slot->until == 0 || ngx_memcmp(slot->tag, tag, SUBTOKEN_MAC_LEN) != 0) return NULL;
  if ((ngx_msec_int_t)(slot->until - ngx_current_msec) <= 0) return NULL;
  return copy_identity(r->pool, slot);
}

static void remember(const ngx_http_subtoken_cache_t *cache, const uint8_t tag[SUBTOKEN_MAC_LEN],
                     const ngx_http_subtoken_identity_t *identity) {
  slot_t *slot = slot_of(cache, tag);
  if (identity->sub.len + identity->permissions.len > SLOT_TEXT_MAX) return;
  ngx_memcpy(slot->tag, tag, SUBTOKEN_MAC_LEN);
  slot->until = ngx_current_msec + KEPT_MS;
  slot->expires = identity->expires;
  slot->sub_len = (uint16_t)identity->sub.len;
  slot->permissions_len = (uint16_t)identity->permissions.len;
  ngx_memcpy(slot->text, identity->sub.data, identity->sub.len);
  ngx_memcpy(slot->text + identity->sub.len, identity->permissions.data, identity->permissions.len);
}

/* ---- what an identity may do ---- */

static bool add_text(subtoken_claims *claims, const u_char *data, size_t len,
                     subtoken_slice *slice) {
  if (len > sizeof claims->text - claims->text_len) return false;
  if (len > 0) ngx_memcpy(claims->text + claims->text_len, data, len);
  slice->at = claims->text_len;
  slice->len = (uint16_t)len;
  claims->text_len = (uint16_t)(claims->text_len + len);
  return true;
}

bool ngx_http_subtoken_identity_claims(const ngx_http_subtoken_identity_t *identity,
                                       subtoken_claims *claims) {
  ngx_str_t rest = identity->permissions;
  ngx_memzero(claims, offsetof(subtoken_claims, text));
  claims->every_url = true;
  claims->exp = identity->expires;
  if (!add_text(claims, identity->sub.data, identity->sub.len, &claims->sub)) return false;
  while (rest.len > 0) {
    const u_char *comma = ngx_strlchr(rest.data, rest.data + rest.len, ',');
    size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.data);
    size_t cut = comma == NULL ? len : len + 1;
    if (len == 0 || len > SUBTOKEN_PERMISSION_MAX || cut == rest.len + (comma == NULL))
      return false;
    if (claims->permission_count == SUBTOKEN_PERMISSIONS_MAX) return false;
    if (!add_text(claims, rest.data, len, &claims->permissions[claims->permission_count++])) {
      return false;
    }
    rest.data += cut;
    rest.len -= cut;
  }
  return true;
}

/* ---- the endpoint's answer ---- */

typedef struct {
  ngx_http_subtoken_ctx_t *ctx;
  ngx_http_subtoken_cache_t *cache;
  uint8_t tag[SUBTOKEN_MAC_LEN];
  bool tagged;
  bool nobody; /* asks: no credential came */
} question_t;

/* False when it comes twice. An absent one leaves *value as it is. */
static bool find_header(ngx_list_t *headers, const char *name, ngx_str_t *value) {
  size_t len = ngx_strlen(name);
  ngx_uint_t seen = 0;
  for (ngx_list_part_t *part = &headers->part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (each[i].hash == 0 || each[i].key.len != len ||
          ngx_strncasecmp(each[i].key.data, (u_char *)name, len) != 0) {
        continue;
      }
      seen++;
      *value = each[i].value;
    }
  }
  return seen <= 1;
}

static ngx_str_t copy(ngx_pool_t *pool, ngx_str_t text, bool *good) {
  ngx_str_t made = {text.len, ngx_pnalloc(pool, text.len + 1)};
  *good = *good && made.data != NULL;
  if (made.data != NULL && text.len > 0) ngx_memcpy(made.data, text.data, text.len);
  return made;
}

static bool is_sub(ngx_str_t text) {
  for (size_t i = 0; i < text.len; i++) {
    u_char c = text.data[i], lower = c | 0x20;
    if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
      return false;
  }
  return text.len > 0 && text.len <= SUBTOKEN_SUB_MAX;
}

/* NULL when it cannot be read: then nothing is granted. An answer without a sub is one for
 * everybody, on a route that the endpoint holds for public: it has looked at no credential.
 */
static ngx_http_subtoken_identity_t *read_identity(ngx_http_request_t *sr) {
  ngx_list_t *headers = &sr->upstream->headers_in.headers;
  ngx_str_t sub = ngx_null_string, permissions = ngx_null_string, expires = ngx_null_string;
  subtoken_claims claims;
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(sr->pool, sizeof *identity);
  if (identity == NULL || !find_header(headers, "X-Subtoken-Sub", &sub) ||
      !find_header(headers, "X-Subtoken-Permissions", &permissions) ||
      !find_header(headers, "X-Subtoken-Expires", &expires) || !is_sub(sub)) {
    return NULL;
  }
  bool good = true;
  identity->sub = copy(sr->pool, sub, &good);
  identity->permissions = copy(sr->pool, permissions, &good);
  identity->expires = SUBTOKEN_TIME_MAX;
  if (expires.len > 0) {
    if (expires.len > 16) return NULL;
    identity->expires = ngx_atotm(expires.data, expires.len);
    if (identity->expires == NGX_ERROR) return NULL;
  }
  return good && ngx_http_subtoken_identity_claims(identity, &claims) ? identity : NULL;
}

/* Who has no permissions may do nothing. That is what a 401 says, and what an answer comes to
 * that names somebody: it is about a credential, and none was sent. NULL when it cannot be read.
 */
static ngx_http_subtoken_identity_t *read_anybody(ngx_http_request_t *sr, ngx_uint_t status) {
  ngx_str_t sub = ngx_null_string, key = ngx_null_string, permissions = ngx_null_string;
  subtoken_claims claims;
  bool good = status == NGX_HTTP_UNAUTHORIZED || (status == NGX_HTTP_OK && sr->upstream != NULL);
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(sr->pool, sizeof *identity);
  if (identity == NULL || !good) return NULL;
  ngx_str_set(&identity->sub, "");
  ngx_str_set(&identity->permissions, "");
  identity->expires = SUBTOKEN_TIME_MAX;
  if (sr->upstream == NULL) return identity;
  ngx_list_t *headers = &sr->upstream->headers_in.headers;
  if (!find_header(headers, "X-Subtoken-Sub", &sub) ||
      !find_header(headers, "X-Subtoken-Key", &key) ||
      !find_header(headers, "X-Subtoken-Permissions", &permissions)) {
    return NULL;
  }
  if (sub.data != NULL || key.data != NULL) return identity;
  identity->permissions = copy(sr->pool, permissions, &good);
  return good && ngx_http_subtoken_identity_claims(identity, &claims) ? identity : NULL;
}

/* Called again when nginx makes an error's page of its own: the last call counts. */
static ngx_int_t answered(ngx_http_request_t *sr, void *data, ngx_int_t rc) {
  question_t *question = data;
  ngx_http_subtoken_ctx_t *ctx = question->ctx;
  ctx->asking = 0;
  ctx->asked = 1;
  ctx->identity = NULL;
  ctx->asked_status = rc >= NGX_HTTP_SPECIAL_RESPONSE ? (ngx_uint_t)rc : sr->headers_out.status;
  if (rc == NGX_ERROR) ctx->asked_status = 0;
  if (question->nobody) {
    ctx->identity = read_anybody(sr, ctx->asked_status);
  } else if (ctx->asked_status == NGX_HTTP_OK && sr->upstream != NULL) {
    ctx->identity = read_identity(sr);
  }
  if (ctx->identity != NULL && question->tagged) {
    remember(question->cache, question->tag, ctx->identity);
  }
  return rc;
}

/* Where no credential was sent nothing can be wrong with it: what is no answer is a fault. */
static ngx_int_t conclude(const ngx_http_subtoken_ctx_t *ctx, bool nobody, ngx_log_t *log,
                          ngx_http_subtoken_verdict_t *verdict) {
  if (ctx->identity != NULL) return NGX_OK;
  switch (nobody ? NGX_HTTP_SERVICE_UNAVAILABLE : ctx->asked_status) {
    case NGX_HTTP_UNAUTHORIZED:
      ngx_http_subtoken_refuse(verdict, SUBTOKEN_REVOKED);
      verdict->result = "key_unknown";
      break;
    case NGX_HTTP_FORBIDDEN: ngx_http_subtoken_refuse(verdict, SUBTOKEN_URL); break;
    case NGX_HTTP_BAD_REQUEST: ngx_http_subtoken_refuse(verdict, SUBTOKEN_BAD_TARGET); break;
    default:
      ngx_http_subtoken_refuse(verdict, SUBTOKEN_FEED_STALE);
      verdict->result = "store_error";
      ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_fallback gave no usable answer: status %ui",
                    ctx->asked_status);
  }
  return NGX_DECLINED;
}

/* ---- the question ---- */

static bool is_nobody(const ngx_http_subtoken_credential_t *credential) {
  return credential->found == NGX_HTTP_SUBTOKEN_NONE;
}

static bool starts_with(ngx_str_t name, const char *prefix) {
  size_t len = ngx_strlen(prefix);
  return name.len >= len && ngx_strncasecmp(name.data, (u_char *)prefix, len) == 0;
}

/* What belongs to the body, makes the answer depend on more, or would speak in our place. */
static bool is_left_out(ngx_str_t name, bool without_credentials) {
  static const char *const prefixes[] = {"Content-",
                                         "Transfer-Encoding",
                                         "Expect",
                                         "If-",
                                         "Range",
                                         "X-Subtoken-",
                                         "X-Original-",
                                         "X-Forwarded-Uri",
                                         "X-Forwarded-Method"};
  for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
    if (starts_with(name, prefixes[i])) return true;
  }
  return without_credentials &&
         (starts_with(name, "Authorization") || starts_with(name, "X-API-Key"));
}

static ngx_table_elt_t *add_empty(ngx_http_request_t *sr) {
  ngx_table_elt_t *header = ngx_list_push(&sr->headers_in.headers);
  if (header == NULL) return NULL;
  ngx_memzero(header, sizeof *header);
  header->hash = 1;
  return header;
}

static ngx_int_t add_bearer(ngx_http_request_t *sr, subtoken_text text) {
  ngx_table_elt_t *header = add_empty(sr);
  if (header == NULL) return NGX_ERROR;
  header->value.data = ngx_pnalloc(sr->pool, sizeof "Bearer " + text.len);
  if (header->value.data == NULL) return NGX_ERROR;
  header->value.len = (size_t)(ngx_sprintf(header->value.data, "Bearer %*s", text.len, text.data) -
                               header->value.data);
  ngx_str_set(&header->key, "Authorization");
  header->lowcase_key = (u_char *)"authorization";
  sr->headers_in.authorization = header;
  return NGX_OK;
}

static ngx_int_t copy_headers(ngx_http_request_t *r, ngx_http_request_t *sr, bool of_query) {
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
    ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      if (is_left_out(each[i].key, of_query)) continue;
      ngx_table_elt_t *copied = ngx_list_push(&sr->headers_in.headers);
      if (copied == NULL) return NGX_ERROR;
      *copied = each[i];
    }
  }
  return NGX_OK;
}

/* The subrequest has its own list, and no body. A credential of the query, which is not passed
 * on, goes along as a header. Where there is none nothing goes along: the answer is kept for
 * everybody, so nothing that one of them sent may have a part in it.
 */
static ngx_int_t set_headers(ngx_http_request_t *r, ngx_http_request_t *sr,
                             const ngx_http_subtoken_credential_t *credential) {
  bool of_query = credential->forms == NGX_HTTP_SUBTOKEN_IN_QUERY;
  if (ngx_list_init(&sr->headers_in.headers, sr->pool, 16, sizeof(ngx_table_elt_t)) != NGX_OK) {
    return NGX_ERROR;
  }
  sr->headers_in.content_length = NULL;
  sr->headers_in.content_length_n = -1;
  sr->headers_in.chunked = 0;
  sr->header_only = 1;
  sr->request_body = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
  if (sr->request_body == NULL) return NGX_ERROR;
  if (is_nobody(credential)) {
    sr->headers_in.authorization = NULL;
    return NGX_OK;
  }
  if (copy_headers(r, sr, of_query) != NGX_OK) return NGX_ERROR;
  return of_query ? add_bearer(sr, credential->text) : NGX_OK;
}

static ngx_int_t start_question(ngx_http_request_t *r, ngx_str_t *endpoint,
                                const ngx_http_subtoken_credential_t *credential,
                                question_t *question) {
  ngx_http_request_t *sr;
  ngx_http_post_subrequest_t *after = ngx_palloc(r->pool, sizeof *after);
  if (after == NULL) return NGX_ERROR;
  after->handler = answered;
  after->data = question;
  if (ngx_http_subrequest(r, endpoint, NULL, &sr, after, NGX_HTTP_SUBREQUEST_WAITED) != NGX_OK) {
    return NGX_ERROR;
  }
  if (set_headers(r, sr, credential) != NGX_OK) return NGX_ERROR;
  question->ctx->asking = 1;
  return NGX_AGAIN;
}

ngx_flag_t ngx_http_subtoken_is_question(ngx_http_request_t *r) {
  for (; r != r->main; r = r->parent) {
    if (r->post_subrequest != NULL && r->post_subrequest->handler == answered) return 1;
  }
  return 0;
}

/* A subrequest asks nobody: what its request has found out will do, and else it is refused. */
ngx_int_t ngx_http_subtoken_ask(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                const ngx_http_subtoken_credential_t *credential,
                                ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (ctx->asked && ctx->asked_of == conf->fallback.data) {
    return conclude(ctx, is_nobody(credential), r->connection->log, verdict);
  }
  question_t *question = ngx_pcalloc(r->pool, sizeof *question);
  if (question == NULL) return NGX_ERROR;
  question->ctx = ctx;
  question->cache = all->cache;
  question->nobody = is_nobody(credential);
  question->tagged = tag_of(all->cache, &conf->fallback, credential, question->tag);
  ctx->identity = question->tagged ? recall(r, all->cache, question->tag) : NULL;
  if (ctx->identity != NULL) return NGX_OK;
  if (r != r->main) {
    if (!question->nobody) ngx_http_subtoken_refuse(verdict, SUBTOKEN_FEED_STALE);
    return NGX_DECLINED;
  }
  ctx->asked_of = conf->fallback.data;
  return start_question(r, &conf->fallback, credential, question);
}
