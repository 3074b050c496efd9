/* What the workers count and what they have loaded, in memory that all of them share, for
 * `subtoken_status`. Each worker has a slot of its own, in which it alone writes; its number is
 * that of the worker, so that a worker which takes the place of another counts on. A reload keeps
 * the slots: a worker of before that still ends its requests adds to the same ones. Without a
 * location with subtoken_status there is no such memory, and nothing is counted. How it is shown is
 * in ngx_http_subtoken_status.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_COUNTERS_USED 0x73756274 /* anything but what fresh memory holds */

/* ---- the reasons ---- */

/* Those that come most often come first. Other words than these are counted as the last. */
static const char *const ngx_http_subtoken_counters_reasons[NGX_HTTP_SUBTOKEN_REASONS] = {
    "ok",
    "public",
    "auth_missing",
    "expired",
    "revoked",
    "perm",
    "url",
    "key_unknown",
    "bad_target",
    "mac",
    "kid",
    "malformed",
    "too_large",
    "alg",
    "header",
    "claims",
    "exp_before_iat",
    "ttl",
    "iat_future",
    "not_yet",
    "iss",
    "aud",
    "auth_ambiguous",
    "bad_request",
    "mcp_mismatch",
    "limit",
    "feed_stale",
    "store_error",
    "login_throttled",
    "no_secret",
    "undecided",
    "other",
};

const char *ngx_http_subtoken_counters_reason(ngx_uint_t i) {
  return ngx_http_subtoken_counters_reasons[i];
}

static ngx_uint_t ngx_http_subtoken_counters_find_reason(const char *reason) {
  ngx_uint_t i = 0;
  while (i < NGX_HTTP_SUBTOKEN_REASONS - 1 &&
         ngx_strcmp(ngx_http_subtoken_counters_reasons[i], reason) != 0) {
    i++;
  }
  return i;
}

/* ---- the memory ---- */

/* Fresh memory is not cleared here: that would take memory for slots that are never used. */
static ngx_int_t ngx_http_subtoken_counters_init(ngx_shm_zone_t *zone, void *before) {
  ngx_http_subtoken_main_conf_t *main = zone->data;
  ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
  main->slots = before != NULL || zone->shm.exists
                    ? pool->data
                    : ngx_slab_alloc(pool, NGX_MAX_PROCESSES * sizeof(ngx_http_subtoken_slot_t));
  pool->data = main->slots;
  return main->slots == NULL ? NGX_ERROR : NGX_OK;
}

/* For as many workers as nginx may have: it is asked for before their number is known, and a reload
 * may change it. The pages of those that there are not are never touched.
 */
ngx_int_t ngx_http_subtoken_counters_add(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main) {
  size_t pages = NGX_MAX_PROCESSES * sizeof(ngx_http_subtoken_slot_t) / ngx_pagesize + 1;
  size_t size = (pages + 16) * (ngx_pagesize + 2 * sizeof(ngx_slab_page_t));
  ngx_str_t name = ngx_string("subtoken_status");
  if (main->zone != NULL) return NGX_OK;
  main->zone = ngx_shared_memory_add(cf, &name, size, &ngx_http_subtoken_module);
  if (main->zone == NULL) return NGX_ERROR;
  main->zone->init = ngx_http_subtoken_counters_init;
  main->zone->data = main;
  return NGX_OK;
}

const ngx_http_subtoken_slot_t *ngx_http_subtoken_counters_slot(
    const ngx_http_subtoken_main_conf_t *main, ngx_uint_t worker) {
  if (main->slots == NULL || worker >= NGX_MAX_PROCESSES) return NULL;
  const ngx_http_subtoken_slot_t *slot = &main->slots[worker];
  return slot->used == NGX_HTTP_SUBTOKEN_COUNTERS_USED ? slot : NULL;
}

void ngx_http_subtoken_counters_start(ngx_http_subtoken_main_conf_t *main) {
  if (main->slots == NULL || ngx_worker >= NGX_MAX_PROCESSES) return;
  ngx_http_subtoken_slot_t *slot = main->slot = &main->slots[ngx_worker];
  if (slot->used != NGX_HTTP_SUBTOKEN_COUNTERS_USED) ngx_memzero(slot, sizeof *slot);
  ngx_memzero((void *)slot->files, sizeof slot->files);
  slot->started = (ngx_atomic_uint_t)ngx_time();
  slot->used = NGX_HTTP_SUBTOKEN_COUNTERS_USED;
}

/* ---- what is counted ---- */

static void ngx_http_subtoken_counters_increment(ngx_atomic_t *counter) {
  (void)ngx_atomic_fetch_add(counter, 1);
}

/* The upper end of each bucket but the last, and in seconds as it is shown. */
static const struct {
  ngx_msec_t ms;
  const char *seconds;
} ngx_http_subtoken_counters_bounds[NGX_HTTP_SUBTOKEN_BUCKETS - 1] = {
    {1, "0.001"},  {2, "0.002"},  {5, "0.005"},    {10, "0.01"}, {25, "0.025"},
    {50, "0.05"},  {100, "0.1"},  {250, "0.25"},   {500, "0.5"}, {1000, "1.0"},
    {2500, "2.5"}, {5000, "5.0"}, {10000, "10.0"},
};

const char *ngx_http_subtoken_counters_bound(ngx_uint_t bucket) {
  return ngx_http_subtoken_counters_bounds[bucket].seconds;
}

static void ngx_http_subtoken_counters_observe(ngx_http_subtoken_times_t *times, ngx_msec_t ms) {
  ngx_uint_t i = 0;
  while (i < NGX_HTTP_SUBTOKEN_BUCKETS - 1 && ms > ngx_http_subtoken_counters_bounds[i].ms) i++;
  ngx_http_subtoken_counters_increment(&times->buckets[i]);
  (void)ngx_atomic_fetch_add(&times->sum, (ngx_atomic_int_t)ms);
}

static ngx_http_subtoken_slot_t *ngx_http_subtoken_counters_own(ngx_http_request_t *r) {
  ngx_http_subtoken_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module);
  return main->slot;
}

void ngx_http_subtoken_counters_decision(ngx_http_request_t *r, const char *reason) {
  ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_own(r);
  if (slot == NULL) return;
  ngx_http_subtoken_counters_increment(
      &slot->decisions[ngx_http_subtoken_counters_find_reason(reason)]);
}

/* The status is that of nginx's variable $status. The clock may have been set meanwhile. */
static void ngx_http_subtoken_counters_request(ngx_http_request_t *r,
                                               ngx_http_subtoken_slot_t *slot) {
  ngx_uint_t status = r->err_status != 0 ? r->err_status : r->headers_out.status;
  const ngx_time_t *now = ngx_timeofday();
  ngx_msec_int_t ms = (ngx_msec_int_t)((now->sec - r->start_sec) * 1000 + (time_t)now->msec -
                                       (time_t)r->start_msec);
  if (status >= 100 && status < 100 + NGX_HTTP_SUBTOKEN_STATUSES) {
    ngx_http_subtoken_counters_increment(&slot->statuses[status - 100]);
  }
  ngx_http_subtoken_counters_observe(&slot->requests, ms > 0 ? (ngx_msec_t)ms : 0);
}

void ngx_http_subtoken_counters_end(ngx_http_request_t *r) {
  const ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_request_find_ctx(r);
  ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_own(r);
  if (slot == NULL || ctx == NULL || !ctx->decided) return;
  ngx_http_subtoken_counters_decision(r, ctx->result != NULL ? ctx->result : "public");
  ngx_http_subtoken_counters_request(r, slot);
}

void ngx_http_subtoken_counters_question(const ngx_http_subtoken_fallback_t *fallback) {
  ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_own(fallback->request);
  ngx_uint_t result = NGX_HTTP_SUBTOKEN_QUESTION_FAILED;
  if (slot == NULL) return;
  if (fallback->identity != NULL) {
    result = NGX_HTTP_SUBTOKEN_QUESTION_OK;
  } else if (fallback->genuine && !fallback->anonymous) {
    if (fallback->status == NGX_HTTP_UNAUTHORIZED) result = NGX_HTTP_SUBTOKEN_QUESTION_UNKNOWN;
    if (fallback->status == NGX_HTTP_TOO_MANY_REQUESTS) {
      result = NGX_HTTP_SUBTOKEN_QUESTION_THROTTLED;
    }
  }
  ngx_http_subtoken_counters_increment(&slot->questions[result]);
  ngx_http_subtoken_counters_observe(&slot->questions_times, ngx_current_msec - fallback->asked);
}

void ngx_http_subtoken_counters_known(ngx_http_request_t *r) {
  ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_own(r);
  if (slot != NULL) ngx_http_subtoken_counters_increment(&slot->known);
}

/* ---- what is loaded ---- */

/* Which file an entry is about, whatever the configuration is in which it was written. Two feeds of
 * one path differ in their ring or their leeway.
 */
ngx_uint_t ngx_http_subtoken_counters_file_id(const char *kind, const ngx_str_t *path,
                                              ngx_uint_t place) {
  uint32_t id;
  ngx_crc32_init(id);
  ngx_crc32_update(&id, (u_char *)kind, ngx_strlen(kind));
  ngx_crc32_update(&id, path->data, path->len);
  ngx_crc32_update(&id, (u_char *)&place, sizeof place);
  ngx_crc32_final(id);
  return id | 1; /* 0: no entry */
}

typedef struct {
  ngx_http_subtoken_slot_t *slot;
  ngx_uint_t n;
} ngx_http_subtoken_counters_cursor_t;

/* The next entry, or NULL when all are taken. */
static ngx_http_subtoken_slot_file_t *ngx_http_subtoken_counters_next(
    ngx_http_subtoken_counters_cursor_t *cursor, const char *kind, const ngx_str_t *path,
    ngx_uint_t place) {
  if (cursor->n == NGX_HTTP_SUBTOKEN_SLOT_FILES) return NULL;
  ngx_http_subtoken_slot_file_t *file = &cursor->slot->files[cursor->n++];
  if (file->id == 0) file->id = ngx_http_subtoken_counters_file_id(kind, path, place);
  return file;
}

static void ngx_http_subtoken_counters_publish_feed(ngx_http_subtoken_slot_file_t *file,
                                                    const ngx_http_subtoken_feed_t *feed) {
  if (feed->file == NULL) return;
  const subtoken_feed *data = &feed->file->feed;
  file->ok = feed->file->last == SUBTOKEN_FEED_OK && data->time > 0;
  file->time = data->time;
  file->grew = data->grew;
  file->sequence = data->snapshot.sequence;
  file->count = data->snapshot.count;
}

/* A worker that is to end leaves its slot to the one that takes its place. */
void ngx_http_subtoken_counters_publish(const ngx_http_subtoken_main_conf_t *main) {
  ngx_http_subtoken_secrets_t **secrets = main->secrets.elts;
  ngx_http_subtoken_policy_t **policies = main->policies.elts;
  ngx_http_subtoken_feed_t **feeds = main->feeds.elts;
  ngx_http_subtoken_counters_cursor_t cursor = {main->slot, 0};
  ngx_http_subtoken_slot_file_t *file;
  if (main->slot == NULL || ngx_exiting) return;
  for (ngx_uint_t i = 0; i < main->feeds.nelts; i++) {
    file = ngx_http_subtoken_counters_next(&cursor, "revocations", &feeds[i]->path, i);
    if (file != NULL) ngx_http_subtoken_counters_publish_feed(file, feeds[i]);
  }
  for (ngx_uint_t i = 0; i < main->secrets.nelts; i++) {
    file = ngx_http_subtoken_counters_next(&cursor, "secrets", &secrets[i]->file.path, i);
    if (file == NULL) return;
    file->ok = !secrets[i]->file.bad && secrets[i]->ring != NULL;
    file->count = secrets[i]->ring == NULL ? 0 : secrets[i]->ring->count;
  }
  for (ngx_uint_t i = 0; i < main->policies.nelts; i++) {
    file = ngx_http_subtoken_counters_next(&cursor, "policy", &policies[i]->file.path, i);
    if (file == NULL) return;
    file->ok = !policies[i]->file.bad && policies[i]->policy != NULL;
  }
}
