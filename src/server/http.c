/* Starts civetweb and answers its requests: takes the request from connection.c, asks the service,
 * and writes the reply. Shares the threads out among those who wait. civetweb is used here and in
 * connection.c alone. What an endpoint answers: service/router.c.
 */
#include "server/http.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "civetweb.h"
#include "domain/config.h"
#include "domain/key.h"
#include "domain/listen.h"
#include "domain/store.h"
#include "domain/user.h"
#include "operations/keys.h"
#include "operations/password.h"
#include "operations/users.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/log.h"
#include "os/random.h"
#include "server/access_log.h"
#include "server/basic_locks.h"
#include "server/connection.h"
#include "server/feed_edges.h"
#include "server/feed_shares.h"
#include "server/held_requests.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/request_counters.h"
#include "server/runtime_config.h"
#include "server/snapshot_cache.h"
#include "server/threads.h"
#include "server/token_cache.h"
#include "service/cors.h"
#include "service/rate_limit.h"
#include "service/remote.h"
#include "service/reply.h"
#include "service/request_head.h"
#include "service/router.h"
#include "service/service.h"
#include "service/throttle.h"

/* A preflight has no body, and tells no more than the header that asked. */
#define ANSWER_MAX (ST_REPLY_BODY_MAX + ST_REPLY_HEADERS_MAX + 2048)
_Static_assert(ANSWER_MAX >= ST_HEAD_MAX + 4096, "the longest preflight");
#define DRAIN_MS 4000
/* A request is answered within ten seconds. Half of them it may wait behind others, all its waits
 * together; the rest is for its own work and for sending.
 */
#define WAIT_US INT64_C(5000000)
#define LAST_WAIT_US INT64_C(2000000) /* and when the server ends */

static struct {
  struct mg_context *context;
  st_store *store;
  st_keys keys;
  st_key_changes changes;
  st_users users;
  st_rate_limit rate;
  st_throttle throttle;
  st_basic_auth basic;
  st_token_caches token_caches;
  _Atomic int64_t clock_offset; /* of the wall clock from the monotonic one, in seconds */
  char problem[256];            /* civetweb's last message while it started */
} http;

static const char *reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
  }
}

static void write_header(st_writer *writer, const char *name, const char *value) {
  st_write_literal(writer, name);
  st_write_literal(writer, ": ");
  st_write_literal(writer, value);
  st_write_literal(writer, "\r\n");
}

static void write_number_header(st_writer *writer, const char *name, int64_t value) {
  st_write_literal(writer, name);
  st_write_literal(writer, ": ");
  st_write_int(writer, value);
  st_write_literal(writer, "\r\n");
}

/* CORS: any origin, never with credentials (they would be the browser's own). */
static void write_cors_headers(st_writer *writer, const st_request *request,
                               const st_reply *reply) {
  write_header(writer, "Access-Control-Allow-Origin", "*");
  if (!reply->preflight) {
    write_header(writer, "Access-Control-Expose-Headers",
                 reply->headers_len == 0 ? "WWW-Authenticate, Retry-After"
                                         : "WWW-Authenticate, Retry-After, ETag, Subtoken-Seq, "
                                           "Subtoken-Heartbeat, Subtoken-Made");
    return;
  }
  write_header(writer, "Access-Control-Allow-Methods", reply->allow);
  st_write_literal(writer, "Access-Control-Allow-Headers: ");
  st_cors_write_headers(writer, request);
  st_write_literal(writer, "\r\n");
  write_header(writer, "Access-Control-Max-Age", "86400");
}

static void write_answer(st_writer *writer, const st_request *request, const st_reply *reply,
                         bool version_1_0) {
  st_write_literal(writer, "HTTP/1.1 ");
  st_write_int(writer, reply->status);
  st_write_char(writer, ' ');
  st_write_literal(writer, reason_phrase(reply->status));
  st_write_literal(writer, "\r\nDate: ");
  st_date_write_http(writer, request->now);
  st_write_literal(writer, "\r\n");
  size_t body_len = reply->payload.data != NULL ? reply->payload.len : reply->body_len;
  const char *type = reply->content_type;
  if (body_len > 0) {
    write_header(writer, "Content-Type", type != NULL ? type : "application/json; charset=utf-8");
  }
  if (reply->status != 204 && reply->status != 304) {
    write_number_header(writer, "Content-Length", (int64_t)body_len);
  }
  write_header(writer, "Cache-Control",
               reply->cache_control != NULL ? reply->cache_control : "no-store");
  write_header(writer, "X-Content-Type-Options", "nosniff");
  write_cors_headers(writer, request, reply);
  if (reply->challenge != NULL) write_header(writer, "WWW-Authenticate", reply->challenge);
  if (reply->allow != NULL) write_header(writer, "Allow", reply->allow);
  if (reply->retry_after > 0) write_number_header(writer, "Retry-After", reply->retry_after);
  if (reply->close) {
    write_header(writer, "Connection", "close");
  } else if (version_1_0) {
    write_header(writer, "Connection", "keep-alive");
  }
  st_write(writer, reply->headers, reply->headers_len);
  /* A header of its own, the last: clients that know only Basic do not look behind a comma, and
   * those of MCP look at the first challenge alone, which may be among the headers. */
  if (reply->basic_challenge) {
    write_header(writer, "WWW-Authenticate", "Basic realm=\"subtoken\", charset=\"UTF-8\"");
  }
  st_write_literal(writer, "\r\n");
  if (!reply->head && reply->payload.data == NULL) st_write(writer, reply->body, reply->body_len);
}

static bool store_ready(void *store) {
  char error[ST_ERROR_MAX];
  bool ready = st_store_ready(store, error);
  if (!ready) st_log_event("store_error", error);
  return ready;
}

static void http_answer(const st_connection_request *asked, const st_runtime_config *config,
                        subtoken_text peer, st_request *request, st_reply *reply) {
  request->remote = peer;
  if (asked->fault.status != 0) {
    st_reply_clear(reply);
    st_reply_problem(reply, &asked->fault);
    reply->close = true;
    reply->head = st_text_is(asked->head->method, "HEAD");
    return;
  }
  request->method = asked->head->method;
  request->target = asked->head->target;
  request->headers = asked->head->headers;
  request->header_count = asked->head->header_count;
  request->body = asked->body;
  request->remote = st_remote_of(&config->settings, request, peer);
  st_service service = {.settings = &config->settings,
                        .ring = &config->ring,
                        .keys = http.keys,
                        .rate = &http.rate,
                        .ready = store_ready,
                        .changes = &http.changes,
                        .users = &http.users,
                        .throttle = &http.throttle,
                        .basic = &http.basic,
                        .feed = st_snapshot_cache_feed(),
                        .policy = st_runtime_config_policy(config),
                        .token_caches = &http.token_caches,
                        .secret_first_seen = st_metrics_secret_first_seen,
                        .note_edge = st_feed_edges_note,
                        .feed_status = st_feed_edges_status,
                        .metrics = config->settings.metrics ? st_metrics_payload : NULL};
  st_router_answer(&service, request, reply);
  reply->close = reply->close || !asked->head->keep_alive || st_connection_draining();
}

/* Logs that somebody set the wall clock: it moved otherwise than the monotonic one. Nothing else
 * follows, because every decision goes by the wall clock as it is now. now may be from some time
 * after monotonic_us: before anything is said, both are asked again.
 */
static void notice_clock_step(int64_t now, int64_t monotonic_us) {
  int64_t before = atomic_load_explicit(&http.clock_offset, memory_order_relaxed);
  int64_t offset = now - monotonic_us / 1000000;
  if (offset == before) return;
  offset = st_clock_now() - st_clock_monotonic_us() / 1000000;
  before = atomic_exchange(&http.clock_offset, offset);
  int64_t step = offset - before;
  if (before == 0 || (step >= -1 && step <= 1)) return;
  char detail[64];
  snprintf(detail, sizeof detail, "the clock was set by %lld s", (long long)step);
  st_log_event("clock_step", detail);
}

static bool send_patched(const st_payload *payload) {
  const st_payload_patch *patch = payload->patch;
  const char *data = payload->data;
  size_t from = patch->piece_at + patch->piece.len, to = payload->len - patch->end.len;
  const atomic_bool *retired = payload->retired;
  return st_connection_send_part(data, patch->piece_at, retired) &&
         st_connection_send_part(patch->piece.data, patch->piece.len, retired) &&
         st_connection_send_part(data + from, to - from, retired) &&
         st_connection_send(patch->end.data, patch->end.len, retired);
}

/* The head and, behind it, a body that did not fit into the reply, which is released
 * whatever happens.
 */
static bool send_reply(const st_reply *reply, const char *bytes, size_t len) {
  const st_payload *payload = &reply->payload;
  bool sent = st_connection_send(bytes, len, NULL);
  if (sent && payload->data != NULL && !reply->head) {
    sent = payload->patch != NULL
               ? send_patched(payload)
               : st_connection_send(payload->data, payload->len, payload->retired);
  }
  if (payload->release != NULL) payload->release(payload->context);
  return sent;
}

/* An IPv4 address as it is, also where it came to an IPv6 socket; nothing came from a socket in the
 * file system.
 */
static subtoken_text peer_address(const struct mg_connection *connection) {
  static const char mapped[] = "::ffff:";
  const char *address = mg_get_request_info(connection)->remote_addr;
  if (address[0] == '\0') return st_text(ST_PEER_UNIX);
  bool four = strncmp(address, mapped, sizeof mapped - 1) == 0 && strchr(address, '.') != NULL;
  return st_text(address + (four ? sizeof mapped - 1 : 0));
}

/* Held back as its reply says, and then answered by the configuration that is in force by then: the
 * ring may be another one, and the key may have ended.
 */
static st_runtime_config *http_hold(st_runtime_config *config, const st_hold *hold,
                                    st_request *request) {
  st_runtime_config_release(config);
  st_held_requests_wait(hold->key_id, hold->sequence,
                        st_clock_monotonic_us() + hold->seconds * 1000000);
  request->held = true;
  request->now = st_clock_now();
  request->now_us = st_clock_monotonic_us();
  request->until_us = request->now_us + WAIT_US;
  return st_runtime_config_acquire();
}

/* False: the connection is to end. */
static bool answer_request(subtoken_text peer, int *status) {
  char bytes[ANSWER_MAX];
  st_reply reply;
  st_connection_request asked = st_connection_get_request();
  int64_t began = asked.read_us;
  st_request request = {.now = st_clock_now(), .now_us = began, .until_us = began + WAIT_US};
  notice_clock_step(request.now, began);
  st_runtime_config *config = st_runtime_config_acquire();
  http_answer(&asked, config, peer, &request, &reply);
  if (reply.hold.seconds > 0) {
    config = http_hold(config, &reply.hold, &request);
    http_answer(&asked, config, peer, &request, &reply);
  }
  st_writer writer = st_writer_on(bytes, sizeof bytes);
  bool version_1_0 = asked.fault.status == 0 && asked.head->version_1_0;
  write_answer(&writer, &request, &reply, version_1_0);
  /* After an answer that was cut short nothing may follow: it would be read as its rest. */
  if (!send_reply(&reply, bytes, writer.len)) reply.close = true;
  int64_t done = st_clock_monotonic_us();
  st_access_log_write(&request, &reply, request.remote, done - began);
  if (config->settings.metrics) st_request_counters_add(&request, &reply, done - request.now_us);
  subtoken_wipe(reply.body, reply.body_len); /* it may hold a token */
  subtoken_wipe(bytes, writer.len);
  st_connection_end_request(reply.close);
  st_runtime_config_release(config);
  *status = reply.status;
  return !reply.close;
}

/* All requests of the connection, one after the other; civetweb closes it then. */
static int begin_request(struct mg_connection *connection) {
  subtoken_text peer = peer_address(connection);
  int status;
  while (answer_request(peer, &status) && st_connection_next_request()) {
  }
  mg_disable_connection_keep_alive(connection);
  return status;
}

static int connection_opened(const struct mg_connection *connection, void **data) {
  (void)connection;
  (void)data;
  st_connection_open();
  return 0;
}

static void connection_ends(const struct mg_connection *connection) {
  (void)connection;
  st_connection_close();
}

/* Of a worker. */
static bool http_thread_begin(void) {
  if (!st_connection_thread_start()) return false;
  st_runtime_config_thread_start();
  return true;
}

static void http_thread_end(void) {
  st_request_counters_thread_end();
  st_connection_thread_end();
  st_runtime_config_thread_end();
}

/* Before the first request its message says why it could not start. Later it could hold bytes of
 * a request, which must not be printed.
 */
static int keep_message(const struct mg_connection *connection, const char *message) {
  (void)connection;
  if (http.context == NULL) snprintf(http.problem, sizeof http.problem, "%s", message);
  return 1;
}

static void report_event(const char *event) {
  st_log_event(event, NULL);
}

/* Passwords, whoever sends them, leave half of the threads to everything else; so does the
 * revocation data. Writers to the store take a quarter at most.
 */
static void share_threads(int64_t threads) {
  int64_t quarter = threads / 4 > 0 ? threads / 4 : 1;
  if (quarter < http.basic.waiting_max) http.basic.waiting_max = (int)quarter;
  st_password_share((size_t)threads);
  st_feed_shares_limit(threads);
  st_held_requests_limit(threads);
  st_store_limit_waiting(http.store, threads);
}

static bool start_tables(void) {
  uint8_t random[32];
  st_random_fill(random, sizeof random);
  bool good = st_rate_limit_start(&http.rate) && st_throttle_start(&http.throttle, random);
  st_random_fill(random, sizeof random);
  good = good && st_basic_auth_start(&http.basic, random, st_basic_locks_get());
  subtoken_wipe(random, sizeof random);
  return good;
}

static bool start_listening(const st_settings *settings, char *error) {
  int sockets[ST_LISTEN_MAX];
  if (!st_listener_open(settings, error)) return false;
  for (size_t i = 0; i < st_listener_count(); i++) sockets[i] = st_listener_fd(i);
  st_connection_listen(sockets, st_listener_count());
  return true;
}

void st_http_apply(const st_settings *settings) {
  st_connection_set_idle(settings->idle_timeout);
}

bool st_http_start(const st_settings *settings, st_store *store, char *error) {
  char threads[16];
  snprintf(threads, sizeof threads, "%lld", (long long)settings->threads);
  const char *options[] = {"listening_ports",
                           "127.0.0.1:0", /* it does not: see st_connection_listen */
                           "num_threads",
                           threads,
                           "connection_queue",
                           "64",
                           "max_request_size", /* it is given a stand-in alone */
                           "1024",
                           "enable_keep_alive",
                           "yes",
                           "tcp_nodelay",
                           "1",
                           "decode_url",
                           "no",
                           "access_control_allow_methods",
                           "",
                           "enable_auth_domain_check",
                           "no",
                           "request_timeout_ms",
                           "10000",
                           "keep_alive_timeout_ms",
                           "60000",
                           NULL};
  struct mg_callbacks callbacks = {.begin_request = begin_request,
                                   .init_connection = connection_opened,
                                   .connection_close = connection_ends,
                                   .log_message = keep_message};
  http.store = store;
  http.keys = st_keys_of(store);
  http.changes = st_keys_changes_of(store);
  http.users = st_users_of(store);
  if (!start_tables()) {
    return st_error_set(error, "cannot initialize a mutex");
  }
  if (!st_token_cache_start()) {
    return st_error_set(error, "out of memory for the cache of tokens");
  }
  http.token_caches = st_token_cache_get();
  share_threads(settings->threads);
  st_connection_setup(settings->threads, report_event);
  st_http_apply(settings);
  if (start_listening(settings, error)) {
    if (st_threads_start((size_t)settings->threads, http_thread_begin, http_thread_end, error)) {
      mg_init_library(0);
      http.context = mg_start(&callbacks, NULL, options);
      if (http.context != NULL) return true;
      (void)st_error_set(error, "cannot start the HTTP server: %s", http.problem);
      st_threads_stop();
    }
    st_listener_close();
  }
  st_token_cache_stop();
  return false;
}

/* Requests that wait go on for a moment, and are then told that the server is busy. */
static void end_waits(void) {
  int64_t at_us = st_clock_monotonic_us() + LAST_WAIT_US;
  st_store_stop_waiting(http.store, at_us);
  st_password_close(at_us);
  st_basic_locks_close(at_us);
}

void st_http_stop(void) {
  end_waits();
  st_connection_begin_drain();
  st_held_requests_end();
  if (!st_connection_drain(DRAIN_MS)) {
    st_log_event("drain_timeout", NULL);
    st_store_interrupt(http.store);
  }
  mg_stop(http.context);
  mg_exit_library();
  st_threads_stop();
  st_listener_close();
  st_token_cache_stop();
}
