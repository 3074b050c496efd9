/* Credentials that are no subtoken: the decision endpoint says whose they are, and its answer
 * is kept for a few seconds. What they may do is judged here, with every request. Of a request
 * that brought none it says what anybody may do.
 *
 * A question is a subrequest to the location that subtoken_fallback names. It carries the
 * credential, a nonce, the original method and target, and the address of the client: nothing
 * else that a caller sent. An answer counts only when it repeats the nonce, so that no cache can
 * have given it. It belongs to the endpoint and the credential that it was asked about, and is
 * found again by these two, for as long as the request lasts and in a memory of the worker.
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
  uint16_t len[4]; /* of sub, key, owner and permissions, which lie in text one after another */
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

/* An endpoint is a location of one server. In which form a credential came is part of it: some are
 * good in one form only.
 */
static bool tag_of(const ngx_http_subtoken_cache_t *cache, ngx_http_request_t *r,
                   const ngx_str_t *endpoint, const ngx_http_subtoken_credential_t *credential,
                   uint8_t tag[SUBTOKEN_MAC_LEN]) {
  subtoken_mac mac;
  const void *server = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
  if (cache == NULL || subtoken_mac_start(&mac, &cache->key) != SUBTOKEN_OK) return false;
  subtoken_mac_update(&mac, &server, sizeof server);
  subtoken_mac_update(&mac, &endpoint->len, sizeof endpoint->len);
  subtoken_mac_update(&mac, endpoint->data, endpoint->len);
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
  ngx_str_t *parts[] = {&identity->sub, &identity->key, &identity->owner, &identity->permissions};
  const u_char *from = slot->text;
  for (size_t i = 0; i < 4; i++) {
    parts[i]->data = text;
    parts[i]->len = slot->len[i];
    text = ngx_cpymem(text, from, slot->len[i]);
    from += slot->len[i];
  }
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
  const ngx_str_t *parts[] = {&identity->sub, &identity->key, &identity->owner,
                              &identity->permissions};
  size_t len = 0;
  for (size_t i = 0; i < 4; i++) len += parts[i]->len;
  if (len > SLOT_TEXT_MAX) return;
  u_char *text = slot->text;
  for (size_t i = 0; i < 4; i++) {
    slot->len[i] = (uint16_t)parts[i]->len;
    if (parts[i]->len > 0) text = ngx_cpymem(text, parts[i]->data, parts[i]->len);
  }
  ngx_memcpy(slot->tag, tag, SUBTOKEN_MAC_LEN);
  slot->until = ngx_current_msec + KEPT_MS;
  slot->expires = identity->expires;
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

#define NONCE_LEN 32 /* hex digits */

/* One question of a request or of its subrequests, and what came of it. */
struct ngx_http_subtoken_answer_s {
  ngx_http_subtoken_answer_t *next;
  ngx_http_request_t *asker;
  ngx_str_t endpoint; /* the location that was asked */
  subtoken_text credential;
  ngx_http_subtoken_cache_t *cache;
  ngx_http_subtoken_identity_t *identity; /* NULL: there is none */
  ngx_uint_t status;
  time_t retry_after; /* 0: not said */
  uint8_t forms;
  uint8_t tag[SUBTOKEN_MAC_LEN];
  u_char nonce[NONCE_LEN];
  unsigned tagged : 1;
  unsigned nobody : 1;  /* asks: no credential came */
  unsigned waiting : 1; /* the answer has not come */
  unsigned genuine : 1; /* it has, and has the nonce */
  unsigned logged : 1;
};

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

/* The five headers as the endpoint sends them. */
typedef struct {
  ngx_str_t sub, key, owner, permissions, expires;
} five_t;

static bool find_five(ngx_list_t *headers, five_t *five) {
  ngx_memzero(five, sizeof *five);
  return find_header(headers, "X-Subtoken-Sub", &five->sub) &&
         find_header(headers, "X-Subtoken-Key", &five->key) &&
         find_header(headers, "X-Subtoken-Owner", &five->owner) &&
         find_header(headers, "X-Subtoken-Permissions", &five->permissions) &&
         find_header(headers, "X-Subtoken-Expires", &five->expires);
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

/* NULL when it cannot be read: then nothing is granted. */
static ngx_http_subtoken_identity_t *read_identity(ngx_http_request_t *sr) {
  five_t five;
  subtoken_claims claims;
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(sr->pool, sizeof *identity);
  if (identity == NULL || !find_five(&sr->upstream->headers_in.headers, &five) ||
      !is_sub(five.sub)) {
    return NULL;
  }
  bool good = true;
  identity->sub = copy(sr->pool, five.sub, &good);
  identity->key = copy(sr->pool, five.key, &good);
  identity->owner = copy(sr->pool, five.owner, &good);
  identity->permissions = copy(sr->pool, five.permissions, &good);
  identity->expires = SUBTOKEN_TIME_MAX;
  if (five.expires.len > 0) {
    if (five.expires.len > 16) return NULL;
    identity->expires = ngx_atotm(five.expires.data, five.expires.len);
    if (identity->expires == NGX_ERROR) return NULL;
  }
  return good && ngx_http_subtoken_identity_claims(identity, &claims) ? identity : NULL;
}

/* Who has no permissions may do nothing. That is what an answer comes to that names somebody: it
 * is about a credential, and none was sent. NULL when it cannot be read.
 */
static ngx_http_subtoken_identity_t *read_anybody(ngx_http_request_t *sr) {
  five_t five;
  subtoken_claims claims;
  bool good = true;
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(sr->pool, sizeof *identity);
  if (identity == NULL || !find_five(&sr->upstream->headers_in.headers, &five)) return NULL;
  identity->expires = SUBTOKEN_TIME_MAX;
  if (five.sub.len > 0 || five.key.len > 0) return identity;
  identity->permissions = copy(sr->pool, five.permissions, &good);
  return good && ngx_http_subtoken_identity_claims(identity, &claims) ? identity : NULL;
}

/* Only who got the question knows what is in it. */
static bool has_nonce(ngx_http_request_t *sr, const ngx_http_subtoken_answer_t *answer) {
  ngx_str_t nonce = ngx_null_string;
  if (sr->upstream == NULL ||
      !find_header(&sr->upstream->headers_in.headers, "X-Subtoken-Nonce", &nonce)) {
    return false;
  }
  return nonce.len == NONCE_LEN && ngx_memcmp(nonce.data, answer->nonce, NONCE_LEN) == 0;
}

static time_t read_retry_after(ngx_http_request_t *sr) {
  ngx_str_t text = ngx_null_string;
  if (!find_header(&sr->upstream->headers_in.headers, "Retry-After", &text)) return 0;
  ngx_int_t seconds = text.len <= 6 ? ngx_atoi(text.data, text.len) : NGX_ERROR;
  return seconds > 0 ? (time_t)seconds : 0;
}

/* Whose the credential is stands in 200, and in what the endpoint's own policy refuses: that is
 * no part of the question.
 */
static void read_answer(ngx_http_request_t *sr, ngx_http_subtoken_answer_t *answer) {
  ngx_uint_t status = answer->status;
  answer->retry_after = read_retry_after(sr);
  if (answer->nobody) {
    if (status == NGX_HTTP_OK || status == NGX_HTTP_UNAUTHORIZED) {
      answer->identity = read_anybody(sr);
    }
  } else if (status == NGX_HTTP_OK || status == NGX_HTTP_FORBIDDEN ||
             status == NGX_HTTP_BAD_REQUEST) {
    answer->identity = read_identity(sr);
  }
  if (answer->identity != NULL && answer->tagged) {
    remember(answer->cache, answer->tag, answer->identity);
  }
}

/* Called again when nginx makes an error's page of its own. The first genuine answer counts: what
 * came once is not kept longer because nginx ends the subrequest later.
 */
static ngx_int_t answered(ngx_http_request_t *sr, void *data, ngx_int_t rc) {
  ngx_http_subtoken_answer_t *answer = data;
  if (answer->genuine) return rc;
  answer->waiting = 0;
  answer->status = rc >= NGX_HTTP_SPECIAL_RESPONSE ? (ngx_uint_t)rc : sr->headers_out.status;
  if (rc == NGX_ERROR) answer->status = 0;
  answer->genuine = has_nonce(sr, answer);
  if (answer->genuine) read_answer(sr, answer);
  /* nginx wakes who waits for a subrequest, but not for one in the background. */
  if (sr->background && ngx_http_post_request(answer->asker, NULL) != NGX_OK) return NGX_ERROR;
  return rc;
}

/* Once for each answer, however often it is looked at. */
static void log_unusable(ngx_http_subtoken_answer_t *answer, ngx_log_t *log) {
  if (answer->logged) return;
  answer->logged = 1;
  if (!answer->genuine && answer->status != 0 && answer->status < 500) {
    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "subtoken_fallback: the answer (status %ui) does not repeat X-Subtoken-Nonce: "
                  "it came from a cache, or not from /v2/authorize of a server as new as this",
                  answer->status);
  } else {
    ngx_log_error(NGX_LOG_ERR, log, 0, "subtoken_fallback gave no usable answer: status %ui",
                  answer->status);
  }
}

static ngx_int_t refuse_undecided(ngx_http_subtoken_verdict_t *verdict) {
  ngx_http_subtoken_refuse(verdict, SUBTOKEN_REVOCATION_UNKNOWN);
  verdict->result = "store_error";
  return NGX_DECLINED;
}

/* Where no credential was sent nothing can be wrong with it: what is no answer is a fault. */
static ngx_int_t conclude(ngx_http_subtoken_answer_t *answer, ngx_log_t *log,
                          ngx_http_subtoken_verdict_t *verdict) {
  if (answer->identity != NULL) return NGX_OK;
  ngx_uint_t status = answer->genuine && !answer->nobody ? answer->status : 0;
  if (status == NGX_HTTP_UNAUTHORIZED) {
    ngx_http_subtoken_refuse(verdict, SUBTOKEN_REVOKED);
    verdict->result = "key_unknown";
    return NGX_DECLINED;
  }
  if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
    ngx_http_subtoken_refuse(verdict, SUBTOKEN_REVOCATION_UNKNOWN);
    verdict->status = status;
    verdict->result = "login_throttled";
    verdict->text = "too many wrong passwords; try again later";
    verdict->retry_after = answer->retry_after;
    return NGX_DECLINED;
  }
  log_unusable(answer, log);
  return refuse_undecided(verdict);
}

/* ---- the question ---- */

/* Its hash is by what proxy_set_header finds it and takes its place. */
static ngx_int_t add_header(ngx_http_request_t *sr, const char *name, ngx_str_t value) {
  size_t len = ngx_strlen(name);
  ngx_table_elt_t *header = ngx_list_push(&sr->headers_in.headers);
  if (header == NULL) return NGX_ERROR;
  ngx_memzero(header, sizeof *header);
  header->key = (ngx_str_t){len, (u_char *)name};
  header->value = value;
  header->lowcase_key = ngx_pnalloc(sr->pool, len);
  if (header->lowcase_key == NULL) return NGX_ERROR;
  header->hash = ngx_hash_strlow(header->lowcase_key, header->key.data, len);
  return NGX_OK;
}

static ngx_str_t string_of(subtoken_text text) {
  ngx_str_t string = {text.len, (u_char *)text.data};
  return string;
}

/* In each form in which it came, because some are good in one form only. That of the query, which
 * is not passed on, is a header's as well.
 */
static ngx_int_t add_credential(ngx_http_request_t *sr,
                                const ngx_http_subtoken_credential_t *credential) {
  ngx_str_t text = string_of(credential->text), bearer;
  if (credential->forms & NGX_HTTP_SUBTOKEN_IN_BASIC) {
    return add_header(sr, "Authorization", text);
  }
  if ((credential->forms & NGX_HTTP_SUBTOKEN_IN_KEY_HEADER) &&
      add_header(sr, "X-API-Key", text) != NGX_OK) {
    return NGX_ERROR;
  }
  if (!(credential->forms & (NGX_HTTP_SUBTOKEN_IN_BEARER | NGX_HTTP_SUBTOKEN_IN_QUERY))) {
    return NGX_OK;
  }
  bearer.data = ngx_pnalloc(sr->pool, sizeof "Bearer " + text.len);
  if (bearer.data == NULL) return NGX_ERROR;
  bearer.len = (size_t)(ngx_sprintf(bearer.data, "Bearer %V", &text) - bearer.data);
  return add_header(sr, "Authorization", bearer);
}

#define ADDRESSES_MAX 1024

/* One more header of addresses behind those that stand between start and end. Of a long list the
 * end is enough: it is read from there.
 */
static u_char *append_addresses(u_char *start, u_char *end, ngx_str_t value) {
  static const size_t most = ADDRESSES_MAX - 2; /* with a comma and a space */
  if (value.len > most - (size_t)(end - start)) end = start;
  size_t cut = value.len > most ? value.len - most : 0;
  while (cut > 0 && cut < value.len && value.data[cut - 1] != ',') cut++;
  end = ngx_cpymem(end, value.data + cut, value.len - cut);
  return ngx_cpymem(end, ", ", 2);
}

/* The addresses that came with the request and then the client's own, as the variable
 * $proxy_add_x_forwarded_for has them.
 */
static ngx_int_t add_addresses(ngx_http_request_t *r, ngx_http_request_t *sr) {
  static const char name[] = "X-Forwarded-For";
  ngx_str_t client = r->connection->addr_text, chain;
  u_char *end = chain.data = ngx_pnalloc(sr->pool, ADDRESSES_MAX + client.len);
  if (chain.data == NULL) return NGX_ERROR;
  for (ngx_list_part_t *part = &r->main->headers_in.headers.part; part != NULL; part = part->next) {
    const ngx_table_elt_t *each = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) {
      bool is_it = each[i].key.len == sizeof name - 1 &&
                   ngx_strncasecmp(each[i].key.data, (u_char *)name, sizeof name - 1) == 0;
      if (is_it) end = append_addresses(chain.data, end, each[i].value);
    }
  }
  end = ngx_cpymem(end, client.data, client.len);
  chain.len = (size_t)(end - chain.data);
  return add_header(sr, name, chain);
}

/* The subrequest has a list of its own, and no body. Where there is no credential nothing goes
 * along that would differ from one caller to the next: the answer is kept for everybody. The server
 * would read an access_token= in the target, also where subtoken_credentials leaves it alone.
 */
static ngx_int_t set_headers(ngx_http_request_t *r, ngx_http_request_t *sr,
                             const ngx_http_subtoken_ctx_t *ctx,
                             const ngx_http_subtoken_credential_t *credential,
                             ngx_http_subtoken_answer_t *answer) {
  ngx_str_t nonce = {NONCE_LEN, answer->nonce}, target;
  if (ngx_list_init(&sr->headers_in.headers, sr->pool, 8, sizeof(ngx_table_elt_t)) != NGX_OK) {
    return NGX_ERROR;
  }
  sr->headers_in.content_length = NULL;
  sr->headers_in.content_length_n = -1;
  sr->headers_in.chunked = 0;
  sr->headers_in.authorization = NULL;
  sr->request_body = ngx_pcalloc(sr->pool, sizeof(ngx_http_request_body_t));
  if (sr->request_body == NULL || add_header(sr, "X-Subtoken-Nonce", nonce) != NGX_OK ||
      add_header(sr, "X-Original-Method", string_of(ctx->origin.method)) != NGX_OK ||
      ngx_http_subtoken_without_access_token(r, r->unparsed_uri, &target) != NGX_OK ||
      add_header(sr, "X-Original-URI", target) != NGX_OK) {
    return NGX_ERROR;
  }
  if (answer->nobody) return NGX_OK;
  return add_credential(sr, credential) == NGX_OK ? add_addresses(r, sr) : NGX_ERROR;
}

/* Subrequests write into their parent's variables. A question has other headers, and another path,
 * so what it reads of them, and what the server's own `set` makes of them once more, is for itself.
 */
static ngx_int_t set_variables(ngx_http_request_t *sr) {
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(sr, ngx_http_core_module);
  size_t size = core->variables.nelts * sizeof(ngx_http_variable_value_t);
  ngx_http_variable_value_t *own = ngx_palloc(sr->pool, size);
  if (own == NULL) return NGX_ERROR;
  ngx_memcpy(own, sr->variables, size);
  sr->variables = own;
  return NGX_OK;
}

/* HEAD, because the headers say it all, and because nginx keeps the connection only when no body
 * comes. A subrequest's own is one in the background: it is no part of the page that is put
 * together, and waits for no turn in it. One whose answer is kept in memory (SSI's `set`, njs) may
 * have none, but whoever made it may.
 */
static ngx_int_t start_question(ngx_http_request_t *r, ngx_str_t *endpoint,
                                const ngx_http_subtoken_ctx_t *ctx,
                                const ngx_http_subtoken_credential_t *credential,
                                ngx_http_subtoken_answer_t *answer) {
  ngx_http_request_t *sr, *parent = r;
  ngx_uint_t how = r == r->main ? NGX_HTTP_SUBREQUEST_WAITED : NGX_HTTP_SUBREQUEST_BACKGROUND;
  uint8_t random[NONCE_LEN / 2];
  ngx_http_post_subrequest_t *after = ngx_palloc(r->pool, sizeof *after);
  if (after == NULL || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
    return NGX_ERROR;
  }
  (void)ngx_hex_dump(answer->nonce, random, sizeof random);
  after->handler = answered;
  after->data = answer;
  while (parent->subrequest_in_memory) parent = parent->parent;
  if (ngx_http_subrequest(parent, endpoint, NULL, &sr, after, how) != NGX_OK) return NGX_ERROR;
  sr->method = NGX_HTTP_HEAD;
  ngx_str_set(&sr->method_name, "HEAD");
  sr->header_only = 1;
  if (set_variables(sr) != NGX_OK || set_headers(r, sr, ctx, credential, answer) != NGX_OK) {
    return NGX_ERROR;
  }
  answer->waiting = 1;
  return NGX_OK;
}

ngx_flag_t ngx_http_subtoken_is_question(ngx_http_request_t *r) {
  for (; r != r->main; r = r->parent) {
    if (r->post_subrequest != NULL && r->post_subrequest->handler == answered) return 1;
  }
  return 0;
}

static bool is_same_text(subtoken_text a, subtoken_text b) {
  return a.len == b.len && (a.len == 0 || ngx_memcmp(a.data, b.data, a.len) == 0);
}

/* One that another part of the request still waits for is not ours: nginx would not wake us. */
static ngx_http_subtoken_answer_t *find_answer(const ngx_http_subtoken_ctx_t *ctx,
                                               const ngx_http_request_t *r,
                                               const ngx_str_t *endpoint,
                                               const ngx_http_subtoken_credential_t *credential) {
  for (ngx_http_subtoken_answer_t *each = ctx->answers; each != NULL; each = each->next) {
    if (each->forms == credential->forms && (!each->waiting || each->asker == r) &&
        is_same_text(ngx_http_subtoken_text(each->endpoint), ngx_http_subtoken_text(*endpoint)) &&
        is_same_text(each->credential, credential->text)) {
      return each;
    }
  }
  return NULL;
}

static ngx_http_subtoken_answer_t *add_answer(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                              const ngx_str_t *endpoint,
                                              const ngx_http_subtoken_credential_t *credential) {
  ngx_http_subtoken_main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  ngx_http_subtoken_answer_t *answer = ngx_pcalloc(r->pool, sizeof *answer);
  if (answer == NULL) return NULL;
  answer->asker = r;
  answer->endpoint = *endpoint;
  answer->credential = credential->text;
  answer->forms = credential->forms;
  answer->nobody = credential->found == NGX_HTTP_SUBTOKEN_NONE;
  answer->cache = all->cache;
  answer->tagged = tag_of(all->cache, r, endpoint, credential, answer->tag);
  answer->identity = answer->tagged ? recall(r, all->cache, answer->tag) : NULL;
  answer->next = ctx->answers;
  ctx->answers = answer;
  return answer;
}

ngx_int_t ngx_http_subtoken_ask(ngx_http_request_t *r, ngx_http_subtoken_ctx_t *ctx,
                                const ngx_http_subtoken_credential_t *credential,
                                ngx_http_subtoken_verdict_t *verdict,
                                const ngx_http_subtoken_identity_t **identity) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  ngx_http_subtoken_answer_t *answer = find_answer(ctx, r, &conf->fallback, credential);
  if (answer == NULL) {
    answer = add_answer(r, ctx, &conf->fallback, credential);
    if (answer == NULL) return NGX_ERROR;
    if (answer->identity == NULL &&
        start_question(r, &conf->fallback, ctx, credential, answer) != NGX_OK) {
      ctx->answers = answer->next; /* it is none: others ask by themselves */
      return refuse_undecided(verdict);
    }
  }
  if (answer->waiting) return NGX_AGAIN;
  *identity = answer->identity;
  return conclude(answer, r->connection->log, verdict);
}
