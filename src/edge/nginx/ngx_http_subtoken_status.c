/* The page of `subtoken_status`: what the workers count, as Prometheus and its like read it, in the
 * OpenMetrics text format 1.0 or in Prometheus' 0.0.4, as Accept asks. Any worker shows all of
 * them. A label is a number of a worker, a word of this module, or a path of the configuration;
 * never what a caller sent. What is counted is in ngx_http_subtoken_counters.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_STATUS_BUFFER ((size_t)16 * 1024)
#define NGX_HTTP_SUBTOKEN_STATUS_LINE 256 /* the longest line, without the path in it */

typedef struct {
  ngx_http_request_t *r;
  const ngx_http_subtoken_main_conf_t *main;
  ngx_uint_t workers;
  bool openmetrics;
  bool failed; /* no memory */
  ngx_chain_t *first, **last;
  ngx_buf_t *buffer;
  off_t len;
} ngx_http_subtoken_status_t;

/* ---- writing ---- */

/* A buffer in which there is room for so much. */
static ngx_buf_t *ngx_http_subtoken_status_room(ngx_http_subtoken_status_t *s, size_t room) {
  ngx_buf_t *buffer = s->buffer;
  if (s->failed) return NULL;
  if (buffer != NULL && (size_t)(buffer->end - buffer->last) >= room) return buffer;
  s->failed = true;
  buffer = ngx_create_temp_buf(s->r->pool, ngx_max(room, NGX_HTTP_SUBTOKEN_STATUS_BUFFER));
  ngx_chain_t *link = buffer == NULL ? NULL : ngx_alloc_chain_link(s->r->pool);
  if (link == NULL) return NULL;
  link->buf = s->buffer = buffer;
  link->next = NULL;
  *s->last = link;
  s->last = &link->next;
  s->failed = false;
  return buffer;
}

static void ngx_http_subtoken_status_write(ngx_http_subtoken_status_t *s, const char *format, ...) {
  ngx_buf_t *buffer = ngx_http_subtoken_status_room(s, NGX_HTTP_SUBTOKEN_STATUS_LINE);
  va_list arguments;
  if (buffer == NULL) return;
  va_start(arguments, format);
  u_char *end = ngx_vslprintf(buffer->last, buffer->end, format, arguments);
  va_end(arguments);
  s->len += end - buffer->last;
  buffer->last = end;
}

/* A label's value, with the escapes that both formats have. */
static void ngx_http_subtoken_status_write_path(ngx_http_subtoken_status_t *s,
                                                const ngx_str_t *path) {
  ngx_buf_t *buffer = ngx_http_subtoken_status_room(s, 2 * path->len);
  if (buffer == NULL) return;
  u_char *out = buffer->last;
  for (size_t i = 0; i < path->len; i++) {
    u_char c = path->data[i];
    if (c == '\\' || c == '"' || c == '\n') *out++ = '\\';
    *out++ = c == '\n' ? 'n' : c;
  }
  s->len += out - buffer->last;
  buffer->last = out;
}

/* name: without _total, which OpenMetrics leaves out here. */
static void ngx_http_subtoken_status_family(ngx_http_subtoken_status_t *s, const char *name,
                                            const char *type, const char *help) {
  bool total = !s->openmetrics && ngx_strcmp(type, "counter") == 0;
  ngx_http_subtoken_status_write(s, "# TYPE subtoken_nginx_%s%s %s\n", name, total ? "_total" : "",
                                 type);
  ngx_http_subtoken_status_write(s, "# HELP subtoken_nginx_%s%s %s\n", name, total ? "_total" : "",
                                 help);
}

/* ---- what the workers counted ---- */

static void ngx_http_subtoken_status_decisions(ngx_http_subtoken_status_t *s) {
  ngx_http_subtoken_status_family(s, "decisions", "counter",
                                  "Requests that were decided about, by what decided.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    for (ngx_uint_t i = 0; slot != NULL && i < NGX_HTTP_SUBTOKEN_REASONS; i++) {
      ngx_http_subtoken_status_write(
          s, "subtoken_nginx_decisions_total{worker=\"%ui\",reason=\"%s\"} %uA\n", w,
          ngx_http_subtoken_counters_reason(i), slot->decisions[i]);
    }
  }
}

static void ngx_http_subtoken_status_codes(ngx_http_subtoken_status_t *s) {
  ngx_http_subtoken_status_family(s, "http_requests", "counter",
                                  "Requests that were decided about, by the status of the answer.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    for (ngx_uint_t i = 0; slot != NULL && i < NGX_HTTP_SUBTOKEN_STATUSES; i++) {
      if (slot->statuses[i] == 0) continue;
      ngx_http_subtoken_status_write(
          s,
          "subtoken_nginx_http_requests_total{worker=\"%ui\",code=\"%ui\"} "
          "%uA\n",
          w, i + 100, slot->statuses[i]);
    }
  }
}

static void ngx_http_subtoken_status_questions(ngx_http_subtoken_status_t *s) {
  static const char *const results[NGX_HTTP_SUBTOKEN_QUESTION_RESULTS] = {
      [NGX_HTTP_SUBTOKEN_QUESTION_OK] = "ok",
      [NGX_HTTP_SUBTOKEN_QUESTION_UNKNOWN] = "unknown",
      [NGX_HTTP_SUBTOKEN_QUESTION_THROTTLED] = "throttled",
      [NGX_HTTP_SUBTOKEN_QUESTION_FAILED] = "failed",
  };
  ngx_http_subtoken_status_family(s, "fallback_requests", "counter",
                                  "Questions to the decision endpoint, by what came of them.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    for (ngx_uint_t i = 0; slot != NULL && i < NGX_HTTP_SUBTOKEN_QUESTION_RESULTS; i++) {
      ngx_http_subtoken_status_write(
          s, "subtoken_nginx_fallback_requests_total{worker=\"%ui\",result=\"%s\"} %uA\n", w,
          results[i], slot->questions[i]);
    }
  }
  ngx_http_subtoken_status_family(s, "fallback_cache_hits", "counter",
                                  "Questions that an answer of the last seconds spared.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    if (slot == NULL) continue;
    ngx_http_subtoken_status_write(
        s, "subtoken_nginx_fallback_cache_hits_total{worker=\"%ui\"} %uA\n", w, slot->known);
  }
}

/* The count is the sum of the buckets that were read, so that all lines agree. */
static void ngx_http_subtoken_status_histogram(ngx_http_subtoken_status_t *s, const char *name,
                                               ngx_uint_t worker,
                                               const ngx_http_subtoken_times_t *times) {
  ngx_atomic_uint_t count = 0, sum = times->sum;
  for (ngx_uint_t i = 0; i < NGX_HTTP_SUBTOKEN_BUCKETS; i++) {
    count += times->buckets[i];
    if (i == NGX_HTTP_SUBTOKEN_BUCKETS - 1) break;
    ngx_http_subtoken_status_write(s, "subtoken_nginx_%s_bucket{worker=\"%ui\",le=\"%s\"} %uA\n",
                                   name, worker, ngx_http_subtoken_counters_bound(i), count);
  }
  ngx_http_subtoken_status_write(s, "subtoken_nginx_%s_bucket{worker=\"%ui\",le=\"+Inf\"} %uA\n",
                                 name, worker, count);
  ngx_http_subtoken_status_write(s, "subtoken_nginx_%s_count{worker=\"%ui\"} %uA\n", name, worker,
                                 count);
  ngx_http_subtoken_status_write(s, "subtoken_nginx_%s_sum{worker=\"%ui\"} %uA.%03uA\n", name,
                                 worker, sum / 1000, sum % 1000);
}

static void ngx_http_subtoken_status_times(ngx_http_subtoken_status_t *s) {
  ngx_http_subtoken_status_family(s, "http_request_duration_seconds", "histogram",
                                  "Time from a request's first byte to the end of its answer.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    if (slot == NULL) continue;
    ngx_http_subtoken_status_histogram(s, "http_request_duration_seconds", w, &slot->requests);
  }
  ngx_http_subtoken_status_family(s, "fallback_duration_seconds", "histogram",
                                  "Time that the decision endpoint took to answer a question.");
  for (ngx_uint_t w = 0; w < NGX_MAX_PROCESSES; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    if (slot == NULL) continue;
    ngx_http_subtoken_status_histogram(s, "fallback_duration_seconds", w, &slot->questions_times);
  }
}

/* ---- what they have loaded ---- */

typedef void (*ngx_http_subtoken_status_file_fn)(ngx_http_subtoken_status_t *s,
                                                 const ngx_http_subtoken_slot_file_t *file,
                                                 const void *of);

/* The value of each worker that has loaded this file. Of those that the configuration does not have
 * any more nothing is left to tell.
 */
static void ngx_http_subtoken_status_file(ngx_http_subtoken_status_t *s, const char *name,
                                          const char *kind, const ngx_str_t *path, ngx_uint_t place,
                                          ngx_http_subtoken_status_file_fn write, const void *of) {
  ngx_uint_t id = ngx_http_subtoken_counters_file_id(kind, path, place);
  for (ngx_uint_t w = 0; w < s->workers; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    for (ngx_uint_t i = 0; slot != NULL && i < NGX_HTTP_SUBTOKEN_SLOT_FILES; i++) {
      if (slot->files[i].id != id) continue;
      ngx_http_subtoken_status_write(s, "subtoken_nginx_%s{worker=\"%ui\",kind=\"%s\",file=\"",
                                     name, w, kind);
      ngx_http_subtoken_status_write_path(s, path);
      ngx_http_subtoken_status_write(s, "\"} ");
      write(s, &slot->files[i], of);
    }
  }
}

static void ngx_http_subtoken_status_write_ok(ngx_http_subtoken_status_t *s,
                                              const ngx_http_subtoken_slot_file_t *file,
                                              const void *of) {
  (void)of;
  ngx_http_subtoken_status_write(s, "%uA\n", file->ok);
}

static void ngx_http_subtoken_status_write_count(ngx_http_subtoken_status_t *s,
                                                 const ngx_http_subtoken_slot_file_t *file,
                                                 const void *of) {
  (void)of;
  ngx_http_subtoken_status_write(s, "%uA\n", file->count);
}

static void ngx_http_subtoken_status_write_sequence(ngx_http_subtoken_status_t *s,
                                                    const ngx_http_subtoken_slot_file_t *file,
                                                    const void *of) {
  (void)of;
  ngx_http_subtoken_status_write(s, "%L\n", file->sequence);
}

static void ngx_http_subtoken_status_write_max_age(ngx_http_subtoken_status_t *s,
                                                   const ngx_http_subtoken_slot_file_t *file,
                                                   const void *of) {
  const ngx_http_subtoken_feed_t *feed = of;
  (void)file;
  ngx_http_subtoken_status_write(s, "%T\n", feed->max_age);
}

/* As of now: it grows even if the worker hangs. */
static void ngx_http_subtoken_status_write_age(ngx_http_subtoken_status_t *s,
                                               const ngx_http_subtoken_slot_file_t *file,
                                               const void *of) {
  const ngx_http_subtoken_feed_t *feed = of;
  subtoken_feed at = {.leeway = feed->leeway, .time = file->time, .grew = file->grew};
  int64_t age = subtoken_feed_age(&at, ngx_time(), ngx_http_subtoken_feed_monotonic());
  if (age == SUBTOKEN_TIME_MAX) {
    ngx_http_subtoken_status_write(s, "+Inf\n");
  } else {
    ngx_http_subtoken_status_write(s, "%L\n", age);
  }
}

/* Two of one path, with other rings or leeways, would be one series: the first is shown. */
static bool ngx_http_subtoken_status_is_shown(const ngx_array_t *feeds, ngx_uint_t place) {
  ngx_http_subtoken_feed_t *const *each = feeds->elts;
  for (ngx_uint_t i = 0; i < place; i++) {
    if (each[i]->path.len == each[place]->path.len &&
        ngx_memcmp(each[i]->path.data, each[place]->path.data, each[i]->path.len) == 0) {
      return false;
    }
  }
  return true;
}

static void ngx_http_subtoken_status_feeds(ngx_http_subtoken_status_t *s, const char *name,
                                           ngx_http_subtoken_status_file_fn write) {
  ngx_http_subtoken_feed_t *const *feeds = s->main->feeds.elts;
  for (ngx_uint_t i = 0; i < s->main->feeds.nelts; i++) {
    if (!ngx_http_subtoken_status_is_shown(&s->main->feeds, i)) continue;
    ngx_http_subtoken_status_file(s, name, "revocations", &feeds[i]->path, i, write, feeds[i]);
  }
}

static void ngx_http_subtoken_status_secrets(ngx_http_subtoken_status_t *s, const char *name,
                                             ngx_http_subtoken_status_file_fn write) {
  ngx_http_subtoken_secrets_t *const *secrets = s->main->secrets.elts;
  for (ngx_uint_t i = 0; i < s->main->secrets.nelts; i++) {
    ngx_http_subtoken_status_file(s, name, "secrets", &secrets[i]->file.path, i, write, NULL);
  }
}

static void ngx_http_subtoken_status_files(ngx_http_subtoken_status_t *s) {
  ngx_http_subtoken_policy_t *const *policies = s->main->policies.elts;
  ngx_http_subtoken_status_family(s, "file_ok", "gauge",
                                  "Whether a worker uses the file as it is on disk now.");
  ngx_http_subtoken_status_feeds(s, "file_ok", ngx_http_subtoken_status_write_ok);
  ngx_http_subtoken_status_secrets(s, "file_ok", ngx_http_subtoken_status_write_ok);
  for (ngx_uint_t i = 0; i < s->main->policies.nelts; i++) {
    ngx_http_subtoken_status_file(s, "file_ok", "policy", &policies[i]->file.path, i,
                                  ngx_http_subtoken_status_write_ok, NULL);
  }
  ngx_http_subtoken_status_family(s, "feed_age_seconds", "gauge",
                                  "Age of the revocation data in use.");
  ngx_http_subtoken_status_feeds(s, "feed_age_seconds", ngx_http_subtoken_status_write_age);
  ngx_http_subtoken_status_family(s, "feed_max_age_seconds", "gauge",
                                  "Age past which requests are refused or, if told so, decided all "
                                  "the same.");
  ngx_http_subtoken_status_feeds(s, "feed_max_age_seconds", ngx_http_subtoken_status_write_max_age);
  ngx_http_subtoken_status_family(s, "feed_sequence", "gauge",
                                  "Sequence of the revocation data in use.");
  ngx_http_subtoken_status_feeds(s, "feed_sequence", ngx_http_subtoken_status_write_sequence);
  ngx_http_subtoken_status_family(s, "feed_entries", "gauge",
                                  "How many subs and tokens the revocation data lists.");
  ngx_http_subtoken_status_feeds(s, "feed_entries", ngx_http_subtoken_status_write_count);
  ngx_http_subtoken_status_family(s, "ring_secrets", "gauge", "Secrets of the ring in use.");
  ngx_http_subtoken_status_secrets(s, "ring_secrets", ngx_http_subtoken_status_write_count);
}

static void ngx_http_subtoken_status_workers(ngx_http_subtoken_status_t *s) {
  ngx_http_subtoken_status_family(s, "worker_start_time_seconds", "gauge",
                                  "When the worker started, in seconds since 1970.");
  for (ngx_uint_t w = 0; w < s->workers; w++) {
    const ngx_http_subtoken_slot_t *slot = ngx_http_subtoken_counters_slot(s->main, w);
    if (slot == NULL) continue;
    ngx_http_subtoken_status_write(
        s, "subtoken_nginx_worker_start_time_seconds{worker=\"%ui\"} %uA\n", w, slot->started);
  }
  ngx_http_subtoken_status_family(s, s->openmetrics ? "build" : "build_info",
                                  s->openmetrics ? "info" : "gauge", "The version of the module.");
  ngx_http_subtoken_status_write(s, "subtoken_nginx_build_info{version=\"%s\"} 1\n",
                                 subtoken_version());
  if (s->openmetrics) ngx_http_subtoken_status_write(s, "# EOF\n");
}

/* ---- the answer ---- */

static ngx_int_t ngx_http_subtoken_status_add_header(ngx_http_request_t *r, ngx_str_t name,
                                                     ngx_str_t value) {
  ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
  if (header == NULL) return NGX_ERROR;
  ngx_memzero(header, sizeof *header);
  header->hash = 1;
  header->key = name;
  header->value = value;
  return NGX_OK;
}

static ngx_int_t ngx_http_subtoken_status_send(ngx_http_subtoken_status_t *s) {
  ngx_http_request_t *r = s->r;
  r->headers_out.status = NGX_HTTP_OK;
  r->headers_out.content_length_n = s->len;
  if (s->openmetrics) {
    ngx_str_set(&r->headers_out.content_type,
                "application/openmetrics-text; version=1.0.0; charset=utf-8");
  } else {
    ngx_str_set(&r->headers_out.content_type, "text/plain; version=0.0.4; charset=utf-8");
  }
  r->headers_out.content_type_len = r->headers_out.content_type.len;
  r->headers_out.content_type_lowcase = NULL;
  if (ngx_http_subtoken_status_add_header(r, (ngx_str_t)ngx_string("Cache-Control"),
                                          (ngx_str_t)ngx_string("no-store")) != NGX_OK ||
      ngx_http_subtoken_status_add_header(r, (ngx_str_t)ngx_string("Vary"),
                                          (ngx_str_t)ngx_string("Accept")) != NGX_OK) {
    return NGX_HTTP_INTERNAL_SERVER_ERROR;
  }
  ngx_int_t rc = ngx_http_send_header(r);
  if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) return rc;
  s->buffer->last_buf = r == r->main;
  s->buffer->last_in_chain = 1;
  return ngx_http_output_filter(r, s->first);
}

static ngx_int_t ngx_http_subtoken_status_handler(ngx_http_request_t *r) {
  const ngx_core_conf_t *core =
      (ngx_core_conf_t *)ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module);
  ngx_http_subtoken_status_t s = {
      .r = r, .main = ngx_http_get_module_main_conf(r, ngx_http_subtoken_module)};
  if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) return NGX_HTTP_NOT_ALLOWED;
  ngx_int_t rc = ngx_http_discard_request_body(r);
  if (rc != NGX_OK) return rc;
  s.last = &s.first;
  s.workers = core->worker_processes > 0 ? (ngx_uint_t)core->worker_processes : 1;
  s.openmetrics = ngx_http_subtoken_accept_openmetrics(r);
  ngx_http_subtoken_status_decisions(&s);
  ngx_http_subtoken_status_codes(&s);
  ngx_http_subtoken_status_times(&s);
  ngx_http_subtoken_status_questions(&s);
  ngx_http_subtoken_status_files(&s);
  ngx_http_subtoken_status_workers(&s);
  return s.failed ? NGX_HTTP_INTERNAL_SERVER_ERROR : ngx_http_subtoken_status_send(&s);
}

/* ---- the directive ---- */

char *ngx_http_subtoken_status_set(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
  (void)command;
  (void)conf;
  if (core->handler == ngx_http_subtoken_status_handler) return "is duplicate";
  core->handler = ngx_http_subtoken_status_handler;
  ngx_int_t rc = ngx_http_subtoken_counters_add(
      cf, ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module));
  return rc == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}
