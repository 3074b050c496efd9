/* What a worker holds: all files of the configuration, loaded when it starts, polled by a timer,
 * and freed with the pool of its cycle. Revocation data is polled more often than the others: a
 * deleted key is to stop working at once, and a poll that finds nothing costs three calls of
 * stat(). What is loaded, and how, is in ngx_http_subtoken_secrets.c, ngx_http_subtoken_policy.c
 * and ngx_http_subtoken_feed.c.
 */
#include "edge/nginx/ngx_http_subtoken.h"

#define NGX_HTTP_SUBTOKEN_WORKER_POLL_MS 50
#define NGX_HTTP_SUBTOKEN_WORKER_POLLS_OF_FILES 5 /* every 250 ms */

static void ngx_http_subtoken_worker_poll_files(ngx_http_subtoken_main_conf_t *main,
                                                ngx_log_t *log) {
  ngx_http_subtoken_secrets_t **secrets = main->secrets.elts;
  ngx_http_subtoken_policy_t **policies = main->policies.elts;
  for (ngx_uint_t i = 0; i < main->secrets.nelts; i++) {
    ngx_http_subtoken_secrets_poll(secrets[i], log);
  }
  for (ngx_uint_t i = 0; i < main->policies.nelts; i++) {
    ngx_http_subtoken_policy_poll(policies[i], log);
  }
}

/* One slice of the revocation data in a turn of the event loop, so that requests are served between
 * two of them.
 */
static void ngx_http_subtoken_worker_timer_handler(ngx_event_t *event) {
  ngx_http_subtoken_main_conf_t *main = ((ngx_connection_t *)event->data)->data;
  ngx_http_subtoken_feed_t **feeds = main->feeds.elts;
  ngx_flag_t more = 0;
  if (event->timedout) {
    event->timedout = 0;
    if (++main->polls % NGX_HTTP_SUBTOKEN_WORKER_POLLS_OF_FILES == 0) {
      ngx_http_subtoken_worker_poll_files(main, event->log);
    }
  }
  for (ngx_uint_t i = 0; i < main->feeds.nelts && !more; i++) {
    more = ngx_http_subtoken_feed_poll(feeds[i], event->log);
  }
  if (!more) ngx_http_subtoken_counters_publish(main);
  if (more) {
    ngx_post_event(event, &ngx_posted_next_events);
  } else {
    ngx_add_timer(event, NGX_HTTP_SUBTOKEN_WORKER_POLL_MS);
  }
}

static void ngx_http_subtoken_worker_cleanup(void *data) {
  ngx_http_subtoken_main_conf_t *main = data;
  ngx_http_subtoken_secrets_t **secrets = main->secrets.elts;
  ngx_http_subtoken_policy_t **policies = main->policies.elts;
  ngx_http_subtoken_feed_t **feeds = main->feeds.elts;
  if (main->timer.timer_set) ngx_del_timer(&main->timer);
  if (main->timer.posted) {
    ngx_delete_posted_event(&main->timer); /* a macro of two statements */
  }
  for (ngx_uint_t i = 0; i < main->feeds.nelts; i++) ngx_http_subtoken_feed_free(feeds[i]);
  for (ngx_uint_t i = 0; i < main->secrets.nelts; i++) ngx_http_subtoken_secrets_free(secrets[i]);
  for (ngx_uint_t i = 0; i < main->policies.nelts; i++) ngx_http_subtoken_policy_free(policies[i]);
}

static void ngx_http_subtoken_worker_start_timer(ngx_cycle_t *cycle,
                                                 ngx_http_subtoken_main_conf_t *main) {
  main->timer_connection.fd = (ngx_socket_t)-1;
  main->timer_connection.data = main;
  main->timer.data = &main->timer_connection;
  main->timer.handler = ngx_http_subtoken_worker_timer_handler;
  main->timer.log = cycle->log;
  main->timer.cancelable = 1; /* it must not keep a worker that is to end */
  ngx_add_timer(&main->timer, NGX_HTTP_SUBTOKEN_WORKER_POLL_MS);
}

ngx_int_t ngx_http_subtoken_worker_add(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *main) {
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
  if (cleanup == NULL) return NGX_ERROR;
  cleanup->handler = ngx_http_subtoken_worker_cleanup;
  cleanup->data = main;
  return NGX_OK;
}

void ngx_http_subtoken_worker_start(ngx_cycle_t *cycle, ngx_http_subtoken_main_conf_t *main) {
  ngx_http_subtoken_secrets_t **secrets = main->secrets.elts;
  ngx_http_subtoken_feed_t **feeds = main->feeds.elts;
  if (main->secrets.nelts + main->policies.nelts == 0) return;
  if (main->fallback) main->cache = ngx_http_subtoken_cache_create(cycle->pool);
  for (ngx_uint_t i = 0; i < main->secrets.nelts; i++) {
    ngx_http_subtoken_tokens_create(&secrets[i]->tokens, cycle->log);
  }
  ngx_http_subtoken_worker_poll_files(main, cycle->log);
  for (ngx_uint_t i = 0; i < main->feeds.nelts; i++) {
    ngx_http_subtoken_feed_start(feeds[i], cycle->log);
  }
  ngx_http_subtoken_counters_start(main);
  ngx_http_subtoken_counters_publish(main);
  ngx_http_subtoken_worker_start_timer(cycle, main);
}
