/* Identities that the decision endpoint told, kept by each worker for 5 seconds, so that it is
 * not asked for each request. A table of 1024 entries, one for each hash: a new entry replaces
 * the old one. It holds no credential, only a MAC of it under a key that this process drew. It
 * is asked by ngx_http_subtoken_fallback.c.
 */
#include <sys/random.h>

#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_CACHE_MS 5000
#define NGX_HTTP_SUBTOKEN_CACHE_ENTRIES 1024
#define NGX_HTTP_SUBTOKEN_CACHE_TEXT_MAX 1024 /* a longer identity is not kept */

typedef struct {
  uint8_t key[SUBTOKEN_MAC_LEN];
  ngx_msec_t until; /* 0: empty */
  int64_t expires;
  uint16_t len[4]; /* of sub, key, owner and permissions, which lie in text one after another */
  u_char text[NGX_HTTP_SUBTOKEN_CACHE_TEXT_MAX];
} ngx_http_subtoken_cache_entry_t;

struct ngx_http_subtoken_cache_s {
  subtoken_secret secret;
  ngx_http_subtoken_cache_entry_t *entries;
};

static void ngx_http_subtoken_cache_cleanup(void *data) {
  ngx_http_subtoken_cache_t *cache = data;
  subtoken_wipe(&cache->secret, sizeof cache->secret);
}

static bool ngx_http_subtoken_cache_draw_secret(subtoken_secret *secret) {
  uint8_t random[SUBTOKEN_MAC_LEN];
  bool good =
      getrandom(random, sizeof random, 0) == (ssize_t)sizeof random &&
      subtoken_secret_set(secret, (subtoken_text){NULL, 0}, random, sizeof random) == SUBTOKEN_OK;
  subtoken_wipe(random, sizeof random);
  return good;
}

ngx_http_subtoken_cache_t *ngx_http_subtoken_cache_create(ngx_pool_t *pool) {
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(pool, sizeof(ngx_http_subtoken_cache_t));
  if (cleanup == NULL) return NULL;
  ngx_http_subtoken_cache_t *cache = cleanup->data;
  ngx_memzero(cache, sizeof *cache);
  cleanup->handler = ngx_http_subtoken_cache_cleanup;
  cache->entries =
      ngx_pcalloc(pool, NGX_HTTP_SUBTOKEN_CACHE_ENTRIES * sizeof(ngx_http_subtoken_cache_entry_t));
  if (cache->entries == NULL) return NULL;
  return ngx_http_subtoken_cache_draw_secret(&cache->secret) ? cache : NULL;
}

/* An endpoint is a location of one server. The form in which a credential came is part of the
 * key, because some credentials are good in one form only; so is the audience, because some are
 * good for one only.
 */
bool ngx_http_subtoken_cache_key(const ngx_http_subtoken_cache_t *cache, ngx_http_request_t *r,
                                 const ngx_str_t *endpoint, subtoken_text audience,
                                 const ngx_http_subtoken_credential_t *credential,
                                 uint8_t key[SUBTOKEN_MAC_LEN]) {
  subtoken_mac mac;
  const void *server = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
  if (cache == NULL || subtoken_mac_start(&mac, &cache->secret) != SUBTOKEN_OK) return false;
  subtoken_mac_update(&mac, &server, sizeof server);
  subtoken_mac_update(&mac, &endpoint->len, sizeof endpoint->len);
  subtoken_mac_update(&mac, endpoint->data, endpoint->len);
  subtoken_mac_update(&mac, &audience.len, sizeof audience.len);
  subtoken_mac_update(&mac, audience.data, audience.len);
  subtoken_mac_update(&mac, &credential->forms, sizeof credential->forms);
  subtoken_mac_update(&mac, credential->text.data, credential->text.len);
  subtoken_mac_finish(&mac, key);
  return true;
}

static ngx_http_subtoken_cache_entry_t *ngx_http_subtoken_cache_entry(
    const ngx_http_subtoken_cache_t *cache, const uint8_t key[SUBTOKEN_MAC_LEN]) {
  return &cache->entries[(key[0] | (size_t)key[1] << 8) % NGX_HTTP_SUBTOKEN_CACHE_ENTRIES];
}

static ngx_http_subtoken_identity_t *ngx_http_subtoken_cache_copy(
    ngx_pool_t *pool, const ngx_http_subtoken_cache_entry_t *entry) {
  ngx_http_subtoken_identity_t *identity = ngx_pcalloc(pool, sizeof *identity);
  u_char *text = ngx_pnalloc(pool, NGX_HTTP_SUBTOKEN_CACHE_TEXT_MAX);
  if (identity == NULL || text == NULL) return NULL;
  ngx_str_t *parts[] = {&identity->sub, &identity->key, &identity->owner, &identity->permissions};
  const u_char *from = entry->text;
  for (size_t i = 0; i < 4; i++) {
    parts[i]->data = text;
    parts[i]->len = entry->len[i];
    text = ngx_cpymem(text, from, entry->len[i]);
    from += entry->len[i];
  }
  identity->expires = entry->expires;
  return identity;
}

ngx_http_subtoken_identity_t *ngx_http_subtoken_cache_get(const ngx_http_subtoken_cache_t *cache,
                                                          ngx_http_request_t *r,
                                                          const uint8_t key[SUBTOKEN_MAC_LEN]) {
  const ngx_http_subtoken_cache_entry_t *entry = ngx_http_subtoken_cache_entry(cache, key);
  if (entry->until == 0 || ngx_memcmp(entry->key, key, SUBTOKEN_MAC_LEN) != 0) return NULL;
  if ((ngx_msec_int_t)(entry->until - ngx_current_msec) <= 0) return NULL;
  return ngx_http_subtoken_cache_copy(r->pool, entry);
}

void ngx_http_subtoken_cache_put(const ngx_http_subtoken_cache_t *cache,
                                 const uint8_t key[SUBTOKEN_MAC_LEN],
                                 const ngx_http_subtoken_identity_t *identity) {
  ngx_http_subtoken_cache_entry_t *entry = ngx_http_subtoken_cache_entry(cache, key);
  const ngx_str_t *parts[] = {&identity->sub, &identity->key, &identity->owner,
                              &identity->permissions};
  size_t len = 0;
  for (size_t i = 0; i < 4; i++) len += parts[i]->len;
  if (len > NGX_HTTP_SUBTOKEN_CACHE_TEXT_MAX) return;
  u_char *text = entry->text;
  for (size_t i = 0; i < 4; i++) {
    entry->len[i] = (uint16_t)parts[i]->len;
    if (parts[i]->len > 0) text = ngx_cpymem(text, parts[i]->data, parts[i]->len);
  }
  ngx_memcpy(entry->key, key, SUBTOKEN_MAC_LEN);
  entry->until = ngx_current_msec + NGX_HTTP_SUBTOKEN_CACHE_MS;
  entry->expires = identity->expires;
}
