/* Requests with libcurl, which is loaded when it is needed: https or this machine, no redirects, a
 * body as long as it says and no longer. What the body means is for cmd_pull.c.
 */
#include "cli/fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "cli/input.h"
#include "os/clock.h"
#include "os/error.h"
#include "os/notify.h"
#include "subtoken/revocations.h"

#define POLL_MS 1000
#define REFUSAL_MAX 65536 /* a body that nobody reads to its end */
#define HEADER_MAX 16384

/* Loaded when it is needed, not linked: with the 30 libraries that it brings along every start of
 * the program, also of `verify` in a loop, took 4.9 ms instead of 1.0 ms (medians of 200). */
#define LIBRARY "libcurl.so.4"

// clang-format off
#define FUNCTIONS(each) \
  each(global_init) each(global_cleanup) each(free) each(url) each(url_cleanup) each(url_dup) \
  each(url_get) each(url_set) each(slist_append) each(slist_free_all) each(easy_init) \
  each(easy_cleanup) each(easy_reset) each(easy_setopt) each(easy_getinfo) each(easy_strerror) \
  each(multi_init) each(multi_cleanup) each(multi_add_handle) each(multi_remove_handle) \
  each(multi_perform) each(multi_poll) each(multi_info_read)
// clang-format on

static struct {
  void *library;
#define MEMBER(name) __typeof__(curl_##name) *(name);
  FUNCTIONS(MEMBER)
} curl;

typedef struct fetch_server {
  CURLU *url;
  bool local; /* it is on this machine */
} fetch_server;

struct st_fetch {
  st_fetch_settings settings;
  CURLM *multi;
  CURL *easy;
  fetch_server servers[ST_FETCH_URLS_MAX];
  char error[CURL_ERROR_SIZE];
};

/* The response of one request while it arrives. */
typedef struct fetch_transfer {
  st_fetch *fetch;
  st_fetch_response *response;
  size_t room, dropped;
  size_t length; /* what the body is to be, once its head was seen */
  bool too_long, no_memory;
  bool begun; /* something of the response has come */
} fetch_transfer;

static bool fetch_find_functions(char *error) {
#define NAME(name) "curl_" #name,
#define INTO(name) &curl.name,
  static const char *const names[] = {FUNCTIONS(NAME)};
  void *const into[] = {FUNCTIONS(INTO)};
  for (size_t i = 0; i < sizeof into / sizeof into[0]; i++) {
    void *found = dlsym(curl.library, names[i]);
    if (found == NULL) return st_error_set(error, "%s is too old: it has no %s", LIBRARY, names[i]);
    memcpy(into[i], &found, sizeof found);
  }
  return true;
}

static bool fetch_load_library(char *error) {
  if (curl.library != NULL) return true;
  curl.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (curl.library == NULL) {
    return st_error_set(error, "%s is needed and cannot be loaded (Debian: libcurl4): %.300s",
                        LIBRARY, dlerror());
  }
  if (fetch_find_functions(error)) {
    if (curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) return true;
    (void)st_error_set(error, "%s cannot be initialized", LIBRARY);
  }
  (void)dlclose(curl.library);
  curl.library = NULL;
  return false;
}

/* ---- the URL ---- */

static bool fetch_is_loopback(const char *host) {
  struct in_addr four;
  if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
  return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

static st_fetch_status fetch_no_memory(char *error) {
  snprintf(error, ST_ERROR_MAX, "out of memory");
  return ST_FETCH_FAILED;
}

static st_fetch_status fetch_refuse_url(char *error, const char *text) {
  snprintf(error, ST_ERROR_MAX, "%s", text);
  return ST_FETCH_BAD_URL;
}

/* A part of the URL, NULL where it has none; false: out of memory. */
static bool fetch_get_part(CURLU *url, CURLUPart part, char **text) {
  *text = NULL;
  return curl.url_get(url, part, text, 0) != CURLUE_OUT_OF_MEMORY;
}

static st_fetch_status fetch_check_scheme(const char *scheme, const char *host, bool local,
                                          char *error) {
  if (scheme == NULL || host == NULL ||
      (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)) {
    return fetch_refuse_url(
        error, "the URL must start with https://, or with http:// for a server on this machine");
  }
  if (strcmp(scheme, "http") == 0 && !local) {
    return fetch_refuse_url(error,
                            "http:// is for a server on this machine only, because it would send "
                            "the key unencrypted: use https://");
  }
  return ST_FETCH_DONE;
}

/* The same parser that connects, so that both see the same host. */
static st_fetch_status fetch_check_parts(CURLU *url, bool *local, char *error) {
  char *scheme = NULL, *host = NULL, *user = NULL, *password = NULL;
  st_fetch_status checked;
  bool got = fetch_get_part(url, CURLUPART_SCHEME, &scheme) &&
             fetch_get_part(url, CURLUPART_HOST, &host) &&
             fetch_get_part(url, CURLUPART_USER, &user) &&
             fetch_get_part(url, CURLUPART_PASSWORD, &password);
  *local = host != NULL && fetch_is_loopback(host);
  if (!got) {
    checked = fetch_no_memory(error);
  } else if (user != NULL || password != NULL) {
    checked = fetch_refuse_url(
        error, "the URL must not have a user or a password: every user of this machine can see it");
  } else {
    checked = fetch_check_scheme(scheme, host, *local, error);
  }
  curl.free(scheme);
  curl.free(host);
  curl.free(user);
  curl.free(password);
  return checked;
}

/* A URL without a path means the feed there. */
static st_fetch_status fetch_complete_path(CURLU *url, char *error) {
  char *path;
  if (!fetch_get_part(url, CURLUPART_PATH, &path)) return fetch_no_memory(error);
  bool named = path != NULL && path[0] != '\0' && strcmp(path, "/") != 0;
  curl.free(path);
  if (named || curl.url_set(url, CURLUPART_PATH, "/v2/revocations", 0) == CURLUE_OK) {
    return ST_FETCH_DONE;
  }
  return fetch_no_memory(error);
}

static st_fetch_status fetch_parse_url(CURLU *url, const char *text, bool *local, char *error) {
  CURLUcode code = curl.url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
  if (code == CURLUE_OUT_OF_MEMORY) return fetch_no_memory(error);
  if (code != CURLUE_OK) return fetch_refuse_url(error, "the URL is not valid");
  st_fetch_status checked = fetch_check_parts(url, local, error);
  return checked == ST_FETCH_DONE ? fetch_complete_path(url, error) : checked;
}

static st_fetch_status fetch_read_url(const char *text, fetch_server *server, char *error) {
  CURLU *url = curl.url();
  if (url == NULL) return fetch_no_memory(error);
  st_fetch_status status = fetch_parse_url(url, text, &server->local, error);
  if (status == ST_FETCH_DONE) server->url = url;
  if (status != ST_FETCH_DONE) curl.url_cleanup(url);
  return status;
}

/* ---- what arrives ---- */

/* A header's value when it has exactly so many characters, between quotes or not. */
static void fetch_keep_exact(subtoken_text value, char *out, size_t len) {
  if (value.len > 2 && memcmp(value.data, "W/", 2) == 0) { /* a proxy may weaken an ETag */
    value = (subtoken_text){value.data + 2, value.len - 2};
  }
  if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
    value = (subtoken_text){value.data + 1, value.len - 2};
  }
  out[0] = '\0';
  if (value.len != len || memchr(value.data, '\0', len) != NULL) return;
  memcpy(out, value.data, len);
  out[len] = '\0';
}

static void fetch_keep_type(subtoken_text value, char *out, size_t size) {
  size_t len = 0;
  while (len < value.len && len < size - 1 && strchr("; \t", value.data[len]) == NULL) len++;
  memcpy(out, value.data, len);
  out[len] = '\0';
}

/* Called with one line each time. What came before a status line was not the response. */
static size_t fetch_take_header(char *data, size_t size, size_t count, void *context) {
  fetch_transfer *to = context;
  st_fetch_response *response = to->response;
  size_t len = size * count;
  to->begun = true;
  if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
    response->etag[0] = response->heartbeat[0] = response->type[0] = '\0';
    return len;
  }
  const char *colon = memchr(data, ':', len);
  if (colon == NULL) return len;
  size_t name_len = (size_t)(colon - data);
  subtoken_text name = {data, name_len}, value = {colon + 1, len - name_len - 1};
  value = st_input_trim(value);
  if (st_text_is_nocase(name, "etag")) fetch_keep_exact(value, response->etag, ST_ETAG_LEN);
  if (st_text_is_nocase(name, "subtoken-heartbeat")) {
    fetch_keep_exact(value, response->heartbeat, SUBTOKEN_HEARTBEAT_TEXT_LEN);
  }
  if (st_text_is_nocase(name, "content-type")) {
    fetch_keep_type(value, response->type, sizeof response->type);
  }
  return len;
}

static bool fetch_make_room(fetch_transfer *to, size_t more) {
  st_fetch_response *response = to->response;
  if (to->room - response->len >= more) return true;
  size_t room = to->room > 0 ? to->room : HEADER_MAX;
  while (room - response->len < more) room *= 2;
  if (to->length > 0 && room > to->length) room = to->length;
  uint8_t *body = realloc(response->body, room);
  to->no_memory = body == NULL;
  if (body == NULL) return false;
  response->body = body;
  to->room = room;
  return true;
}

static size_t fetch_take_refusal(fetch_transfer *to, const char *data, size_t len) {
  size_t left = ST_FETCH_TEXT_MAX - to->response->len, kept = len < left ? len : left;
  if (!fetch_make_room(to, kept)) return 0;
  if (kept > 0) memcpy(to->response->body + to->response->len, data, kept);
  to->response->len += kept;
  to->dropped += len - kept;
  return to->dropped <= REFUSAL_MAX ? len : 0;
}

/* To return less than was given ends the request. */
static size_t fetch_take_body(char *data, size_t size, size_t count, void *context) {
  fetch_transfer *to = context;
  st_fetch_response *response = to->response;
  size_t len = size * count;
  long status = 0;
  (void)curl.easy_getinfo(to->fetch->easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return fetch_take_refusal(to, data, len);
  if (to->length > 0 && len > to->length - response->len) {
    to->too_long = true;
    return 0;
  }
  if (!fetch_make_room(to, len)) return 0;
  memcpy(response->body + response->len, data, len);
  response->len += len;
  if (to->length == 0 && response->len >= ST_FETCH_HEAD) {
    to->length =
        to->fetch->settings.length(to->fetch->settings.context, response->body, response->type);
    to->too_long = to->length < response->len;
  }
  return to->too_long ? 0 : len;
}

/* ---- the request ---- */

/* Every option that is not known to the library is an error: each of them is needed. */
static bool fetch_set_options(st_fetch *fetch, const st_fetch_request *request, CURLU *url,
                              struct curl_slist *headers, fetch_transfer *to) {
  curl.easy_reset(fetch->easy);
  unsigned failed = CURLE_OK;
#define SET(option, value) (failed |= (unsigned)curl.easy_setopt(fetch->easy, option, value))
  SET(CURLOPT_CURLU, url), SET(CURLOPT_HTTPHEADER, headers), SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_PROTOCOLS_STR, "http,https"), SET(CURLOPT_ERRORBUFFER, fetch->error);
  SET(CURLOPT_SSL_VERIFYPEER, 1L), SET(CURLOPT_SSL_VERIFYHOST, 2L), SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->patience * 1000);
  SET(CURLOPT_TIMEOUT_MS, (long)(fetch->settings.timeout + request->wait) * 1000);
  SET(CURLOPT_USERAGENT, "subtoken/" SUBTOKEN_VERSION), SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_HEADERFUNCTION, fetch_take_header), SET(CURLOPT_HEADERDATA, to);
  SET(CURLOPT_WRITEFUNCTION, fetch_take_body), SET(CURLOPT_WRITEDATA, to);
  if (fetch->settings.ca != NULL) SET(CURLOPT_CAINFO, fetch->settings.ca);
  if (fetch->servers[request->url].local) SET(CURLOPT_NOPROXY, "*");
  return failed == CURLE_OK;
}

static bool fetch_add_header(struct curl_slist **headers, const char *name, const char *value) {
  char line[HEADER_MAX];
  int len = snprintf(line, sizeof line, "%s%s", name, value);
  struct curl_slist *longer = len < (int)sizeof line ? curl.slist_append(*headers, line) : NULL;
  subtoken_wipe(line, sizeof line);
  if (longer != NULL) *headers = longer;
  return longer != NULL;
}

static bool fetch_add_headers(struct curl_slist **headers, const char *credential,
                              const char *etag) {
  char quoted[ST_ETAG_LEN + 3];
  if (!fetch_add_header(headers, "Authorization: Bearer ", credential) ||
      !fetch_add_header(headers,
                        "Accept: ", "application/octet-stream, application/vnd.subtoken.changes")) {
    return false;
  }
  if (etag[0] == '\0') return true;
  snprintf(quoted, sizeof quoted, "\"%.*s\"", ST_ETAG_LEN, etag);
  return fetch_add_header(headers, "If-None-Match: ", quoted);
}

static void fetch_free_headers(struct curl_slist *headers) {
  for (struct curl_slist *at = headers; at != NULL; at = at->next) {
    subtoken_wipe(at->data, strlen(at->data));
  }
  curl.slist_free_all(headers);
}

/* Nothing when the number is 0. */
static bool fetch_add_query(CURLU *url, const char *name, int64_t number) {
  char text[48];
  snprintf(text, sizeof text, "%s=%lld", name, (long long)number);
  return number == 0 || curl.url_set(url, CURLUPART_QUERY, text, CURLU_APPENDQUERY) == CURLUE_OK;
}

static bool fetch_add_audience(CURLU *url, const char *audience) {
  char text[64];
  if (audience == NULL) return true;
  snprintf(text, sizeof text, "audience=%s", audience);
  return curl.url_set(url, CURLUPART_QUERY, text, CURLU_APPENDQUERY) == CURLUE_OK;
}

static CURLU *fetch_url_of(const st_fetch *fetch, const st_fetch_request *request) {
  CURLU *url = curl.url_dup(fetch->servers[request->url].url);
  bool whole = request->whole && request->since != 0;
  if (url != NULL && fetch_add_audience(url, fetch->settings.audience) &&
      fetch_add_query(url, "since", request->since) && fetch_add_query(url, "whole", whole) &&
      fetch_add_query(url, "wait", request->wait)) {
    return url;
  }
  curl.url_cleanup(url);
  return NULL;
}

/* libcurl says "after 12 ms", which would make each of the same errors another one. */
static void fetch_write_curl_error(const st_fetch *fetch, CURLcode code, char *error) {
  const char *text = fetch->error[0] != '\0' ? fetch->error : curl.easy_strerror(code);
  const char *after = strstr(text, " after "), *rest = after;
  if (after != NULL) rest = after + 7 + strspn(after + 7, "0123456789");
  bool timed = after != NULL && strncmp(rest, " ms", 3) == 0;
  st_writer writer = st_writer_on(error, ST_ERROR_MAX);
  size_t len = timed ? (size_t)(after - text) : strnlen(text, CURL_ERROR_SIZE - 1);
  st_write_escaped(&writer, (subtoken_text){text, len});
  if (timed) st_write_escaped(&writer, st_text(rest + 3));
  if (!st_writer_end(&writer)) error[ST_ERROR_MAX - 1] = '\0';
}

static st_fetch_status fetch_status_of(st_fetch *fetch, const fetch_transfer *to, char *error) {
  int left;
  CURLMsg *message = curl.multi_info_read(fetch->multi, &left);
  CURLcode code =
      message != NULL && message->msg == CURLMSG_DONE ? message->data.result : CURLE_FAILED_INIT;
  bool cut = code == CURLE_WRITE_ERROR && to->dropped > REFUSAL_MAX; /* by fetch_take_refusal */
  if (code == CURLE_OK || cut) {
    (void)curl.easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &to->response->status);
    return ST_FETCH_DONE;
  }
  if (to->too_long) {
    snprintf(
        error, ST_ERROR_MAX,
        "the response is not a snapshot, is longer than it says, or is larger than --max-size");
    return ST_FETCH_UNFIT;
  }
  if (to->no_memory) return fetch_no_memory(error);
  if (code == CURLE_OPERATION_TIMEDOUT) {
    snprintf(error, ST_ERROR_MAX,
             "the server cannot be reached, or did not send the whole response, in time");
  } else {
    fetch_write_curl_error(fetch, code, error);
  }
  return ST_FETCH_FAILED;
}

/* How long to wait for the next byte, in milliseconds; 0: the response should have begun. */
static int fetch_left_ms(const fetch_transfer *to, int64_t begin_us) {
  int64_t left = (begin_us - st_clock_monotonic_us() + 999) / 1000;
  if (to->begun || left > POLL_MS) return POLL_MS;
  return left > 0 ? (int)left : 0;
}

/* A server that is silent for longer than it was told to wait is given up: the whole time is for
 * one that sends.
 */
static st_fetch_status fetch_perform(st_fetch *fetch, const st_fetch_request *request,
                                     const fetch_transfer *to, char *error) {
  int running = 1, left_ms;
  int64_t seconds = request->wait + request->patience;
  int64_t begin_us = st_clock_monotonic_us() + seconds * 1000000;
  while (curl.multi_perform(fetch->multi, &running) == CURLM_OK && running > 0) {
    struct curl_waitfd stop = {fetch->settings.stop, CURL_WAIT_POLLIN, 0};
    left_ms = fetch_left_ms(to, begin_us);
    st_notify_alive();
    if (left_ms == 0) {
      snprintf(error, ST_ERROR_MAX, "the server does not answer within %lld s", (long long)seconds);
      return ST_FETCH_FAILED;
    }
    if (curl.multi_poll(fetch->multi, &stop, 1, left_ms, NULL) != CURLM_OK) break;
    if (stop.revents != 0) return ST_FETCH_STOPPED;
  }
  return fetch_status_of(fetch, to, error);
}

st_fetch_status st_fetch_send(st_fetch *fetch, const st_fetch_request *request,
                              st_fetch_response *response, char *error) {
  struct curl_slist *headers = NULL;
  fetch_transfer to = {.fetch = fetch, .response = response};
  st_fetch_status fetched = ST_FETCH_FAILED;
  memset(response, 0, sizeof *response);
  fetch->error[0] = '\0';
  CURLU *url = fetch_url_of(fetch, request);
  if (url == NULL || !fetch_add_headers(&headers, request->credential, request->etag) ||
      !fetch_set_options(fetch, request, url, headers, &to) ||
      curl.multi_add_handle(fetch->multi, fetch->easy) != CURLM_OK) {
    snprintf(error, ST_ERROR_MAX, "cannot make the request: out of memory, or %s is too old",
             LIBRARY);
  } else {
    fetched = fetch_perform(fetch, request, &to, error);
    (void)curl.multi_remove_handle(fetch->multi, fetch->easy);
  }
  curl.easy_reset(fetch->easy); /* it points to what is freed now */
  fetch_free_headers(headers);
  curl.url_cleanup(url);
  if (fetched != ST_FETCH_DONE) st_fetch_response_free(response);
  return fetched;
}

void st_fetch_response_free(st_fetch_response *response) {
  free(response->body);
  memset(response, 0, sizeof *response);
}

/* With several, the error says which one. */
static st_fetch_status fetch_read_urls(st_fetch *fetch, char *error) {
  for (size_t i = 0; i < fetch->settings.url_count; i++) {
    char wrong[ST_ERROR_MAX - 32]; /* beside the number */
    st_fetch_status status = fetch_read_url(fetch->settings.urls[i], &fetch->servers[i], error);
    if (status == ST_FETCH_DONE) continue;
    if (fetch->settings.url_count > 1) {
      snprintf(wrong, sizeof wrong, "%s", error);
      snprintf(error, ST_ERROR_MAX, "number %zu: %s", i + 1, wrong);
    }
    return status;
  }
  return ST_FETCH_DONE;
}

st_fetch_status st_fetch_start(const st_fetch_settings *settings, st_fetch **fetch, char *error) {
  *fetch = NULL;
  if (!fetch_load_library(error)) return ST_FETCH_FAILED;
  st_fetch *made = calloc(1, sizeof *made);
  if (made == NULL) return fetch_no_memory(error);
  made->settings = *settings;
  st_fetch_status read = fetch_read_urls(made, error);
  if (read != ST_FETCH_DONE) {
    st_fetch_stop(made);
    return read;
  }
  made->multi = curl.multi_init();
  made->easy = curl.easy_init();
  if (made->multi == NULL || made->easy == NULL) {
    st_fetch_stop(made);
    return fetch_no_memory(error);
  }
  *fetch = made;
  return ST_FETCH_DONE;
}

void st_fetch_stop(st_fetch *fetch) {
  if (fetch == NULL) return;
  if (fetch->easy != NULL) curl.easy_cleanup(fetch->easy);
  if (fetch->multi != NULL) (void)curl.multi_cleanup(fetch->multi);
  for (size_t i = 0; i < ST_FETCH_URLS_MAX; i++) curl.url_cleanup(fetch->servers[i].url);
  free(fetch);
  curl.global_cleanup();
  (void)dlclose(curl.library);
  memset(&curl, 0, sizeof curl);
}
