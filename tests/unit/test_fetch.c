/* fetch: what is asked of a server, and what is kept of its response; and libcurl, whose functions
 * fail one after the other. The server is a thread here that says what the test wants.
 */
#include "failing.h"
#include "support.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include "cli/fetch.h"
#include "os/error.h"

#define ETAG "0123456789012345678901234567890123456789abc"
#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"
#define TYPE "Content-Type: application/octet-stream\r\n"
#define KEY "a-credential"

static char error[ST_ERROR_MAX], url[100];
static char asked[4096];                         /* the last request */
static char said[200000] = HEAD "\r\n";          /* the answer to each; empty: none */
static size_t said_len = sizeof HEAD "\r\n" - 1; /* of it */
static int listening = -1, stop = -1;
static pthread_t thread;
static size_t length_is = 1000; /* what a body is said to be */

/* ---- the server ---- */

static void answer(int fd) {
  size_t len = 0;
  char byte;
  while (len < sizeof asked - 1 && __real_recv(fd, &byte, 1, 0) == 1) {
    asked[len++] = byte;
    if (len >= 4 && memcmp(asked + len - 4, "\r\n\r\n", 4) == 0) break;
  }
  asked[len] = '\0';
  for (size_t at = 0; at < said_len;) {
    ssize_t n = __real_send(fd, said + at, said_len - at, MSG_NOSIGNAL);
    if (n <= 0) break;
    at += (size_t)n;
  }
  while (said_len == 0 && __real_recv(fd, &byte, 1, 0) == 1) { /* until the client leaves */
  }
  close(fd);
}

static void *serve(void *unused) {
  (void)unused;
  for (int fd; (fd = __real_accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0;) answer(fd);
  return NULL;
}

static int set_up(void **state) {
  (void)state;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listening, (struct sockaddr *)&at, sizeof at) != 0 || listen(listening, 16) != 0 ||
      getsockname(listening, (struct sockaddr *)&at, &len) != 0) {
    return -1;
  }
  snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(at.sin_port));
  return pthread_create(&thread, NULL, serve, NULL);
}

static int tear_down(void **state) {
  (void)state;
  shutdown(listening, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(listening);
  close(stop);
  return 0;
}

static void say(const char *text) {
  said_len = strlen(text);
  memcpy(said, text, said_len + 1);
}

/* A body of that many bytes behind. */
static void say_with(const char *head, size_t len) {
  say(head);
  assert_true(said_len + len < sizeof said);
  memset(said + said_len, 'b', len);
  said_len += len;
}

/* ---- the client ---- */

static size_t length_of(void *context, const uint8_t *head, const char *type) {
  (void)head, (void)type;
  return *(const size_t *)context;
}

static st_fetch_status start(const char *text, st_fetch **fetch) {
  const char *urls[] = {text};
  st_fetch_settings settings = {.urls = urls,
                                .url_count = 1,
                                .audience = "eu",
                                .timeout = 60,
                                .stop = stop,
                                .length = length_of,
                                .context = &length_is};
  error[0] = '\0';
  return st_fetch_start(&settings, fetch, error);
}

/* From the start to the end, with one request that has all there is. */
static st_fetch_status fetch_once(int64_t patience, st_fetch_response *response) {
  st_fetch *fetch;
  st_fetch_request request = {.credential = KEY,
                              .etag = ETAG,
                              .since = 1700000000000001,
                              .whole = true,
                              .wait = 0,
                              .patience = patience};
  memset(response, 0, sizeof *response);
  st_fetch_status status = start(url, &fetch);
  if (status != ST_FETCH_DONE) return status;
  status = st_fetch_send(fetch, &request, response, error);
  st_fetch_stop(fetch);
  return status;
}

/* What is kept of a response; what it is becomes `kept`. */
static st_fetch_response kept;
static st_fetch_status get(void) {
  st_fetch_response_free(&kept);
  return fetch_once(30, &kept);
}

/* ---- what is asked ---- */

static void a_url_is_https_or_of_this_machine(void **state) {
  (void)state;
  static const struct {
    const char *url, *error; /* NULL: it is good */
  } rows[] = {
      {"https://issuer.example", NULL},
      {"https://issuer.example/somewhere", NULL},
      {"http://localhost:1/", NULL},
      {"http://LocalHost", NULL},
      {"http://[::1]", NULL},
      {"http://127.255.1.2", NULL},
      {"http://128.0.0.1", "http:// is for a server on this machine only"},
      {"http://issuer.example", "http:// is for a server on this machine only"},
      {"ftp://127.0.0.1", "the URL must start with https://"},
      {"file:///etc/passwd", "the URL must start with https://"},
      {"127.0.0.1", "the URL"},
      {"https://", "the URL is not valid"},
      {"", "the URL is not valid"},
      {"https://user@issuer.example", "the URL must not have a user or a password"},
      {"https://:word@issuer.example", "the URL must not have a user or a password"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_fetch *fetch = NULL;
    st_fetch_status status = start(rows[i].url, &fetch);
    bool good = rows[i].error == NULL;
    CHECK(status == (good ? ST_FETCH_DONE : ST_FETCH_BAD_URL), "%s: %d %s", rows[i].url, status,
          error);
    CHECK(good || strstr(error, rows[i].error) != NULL, "%s: %s", rows[i].url, error);
    CHECK(good == (fetch != NULL), "%s", rows[i].url);
    st_fetch_stop(fetch);
  }
}

static void of_several_urls_the_error_says_which(void **state) {
  (void)state;
  const char *urls[] = {url, "http://issuer.example"};
  st_fetch_settings settings = {.urls = urls, .url_count = 2, .stop = stop};
  st_fetch *fetch;
  assert_int_equal(st_fetch_start(&settings, &fetch, error), ST_FETCH_BAD_URL);
  assert_null(fetch);
  assert_memory_equal(error, "number 2: http://", 17);
}

static void a_request_has_all_that_there_is(void **state) {
  (void)state;
  static const char *const lines[] = {
      "GET /v2/revocations?audience=eu&since=1700000000000001&whole=1 HTTP/1.1\r\n",
      "\r\nAuthorization: Bearer " KEY "\r\n",
      "\r\nIf-None-Match: \"" ETAG "\"\r\n",
      "\r\nAccept: application/octet-stream, application/vnd.subtoken.changes\r\n",
      "\r\nUser-Agent: subtoken/" SUBTOKEN_VERSION "\r\n",
  };
  say(HEAD "Content-Length: 0\r\n\r\n");
  assert_int_equal(get(), ST_FETCH_DONE);
  for (size_t i = 0; i < COUNT(lines); i++) {
    CHECK(strstr(asked, lines[i]) != NULL, "no %s in\n%s", lines[i], asked);
  }
}

/* It is sent to nobody, and no request is made of half of it. */
static void a_credential_that_is_too_long_is_not_sent(void **state) {
  (void)state;
  static char longest[20000];
  st_fetch *fetch;
  st_fetch_response response;
  memset(longest, 'a', sizeof longest - 1);
  st_fetch_request request = {.credential = longest, .etag = "", .patience = 30};
  asked[0] = '\0';
  assert_int_equal(start(url, &fetch), ST_FETCH_DONE);
  assert_int_equal(st_fetch_send(fetch, &request, &response, error), ST_FETCH_FAILED);
  assert_non_null(strstr(error, "cannot make the request"));
  assert_null(strstr(error, "aaa"));
  st_fetch_stop(fetch);
  assert_string_equal(asked, "");
}

/* ---- what is kept ---- */

static void headers_are_kept_that_are_what_they_should_be(void **state) {
  (void)state;
  static const struct {
    const char *lines, *etag, *type;
  } rows[] = {
      {"ETag: \"" ETAG "\"\r\n", ETAG, ""},
      {"eTaG:   W/\"" ETAG "\"  \r\n", ETAG, ""},
      {"ETag: " ETAG "\r\n", ETAG, ""},
      {"ETag: \"" ETAG "x\"\r\n", "", ""},
      {"ETag: \"\"\r\n", "", ""},
      {"ETag: \"\r\n", "", ""},
      {"ETag: W/\r\n", "", ""},
      {"ETag: W/\"\"\r\n", "", ""},
      {"ETag:\r\n", "", ""},
      {"Content-Type: text/plain; charset=utf-8\r\n", "", "text/plain"},
      {"Content-Type: text/plain\tx\r\n", "", "text/plain"},
      {"Content-Type: a123456789012345678901234567890123456789012345678901234567890123456789\r\n",
       "", "a12345678901234567890123456789012345678901234567890123456789012"},
      {"ETagg: \"" ETAG "\"\r\nX-ETag: \"" ETAG "\"\r\n", "", ""},
  };
  char head[400];
  for (size_t i = 0; i < COUNT(rows); i++) {
    snprintf(head, sizeof head, HEAD "%s\r\n", rows[i].lines);
    say(head);
    CHECK(get() == ST_FETCH_DONE, "row %zu: %s", i, error);
    CHECK(strcmp(kept.etag, rows[i].etag) == 0, "row %zu: %s", i, kept.etag);
    CHECK(strcmp(kept.type, rows[i].type) == 0, "row %zu: %s", i, kept.type);
  }
  /* Those of an answer before the answer are not its own. */
  say("HTTP/1.1 100 Continue\r\nETag: \"" ETAG "\"\r\n\r\n" HEAD "\r\n");
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_string_equal(kept.etag, "");
}

static void a_body_is_as_long_as_it_says(void **state) {
  (void)state;
  say_with(HEAD TYPE "\r\n", 1000);
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_true(kept.status == 200 && kept.len == 1000);
  say_with(HEAD TYPE "\r\n", ST_FETCH_HEAD - 1); /* nobody can say how long */
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_int_equal(kept.len, ST_FETCH_HEAD - 1);
  static const size_t too_long[] = {1001, 5000, 190000};
  for (size_t i = 0; i < COUNT(too_long); i++) {
    say_with(HEAD TYPE "\r\n", too_long[i]);
    CHECK(get() == ST_FETCH_UNFIT, "%zu: %s", too_long[i], error);
    CHECK(strstr(error, "--max-size") != NULL && kept.body == NULL, "%zu: %s", too_long[i], error);
  }
  length_is = 0; /* it is no snapshot */
  say_with(HEAD TYPE "\r\n", 1000);
  assert_int_equal(get(), ST_FETCH_UNFIT);
  length_is = 100000;
  say_with(HEAD TYPE "\r\n", 100000);
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_int_equal(kept.len, 100000);
  length_is = 1000;
}

/* The first bytes of why it was refused; of one without an end no more is read. */
static void of_a_refusal_the_first_bytes_are_kept(void **state) {
  (void)state;
  say("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n{\"text\":\"Invalid\"}");
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_true(kept.status == 401 && kept.len == 18);
  assert_memory_equal(kept.body, "{\"text\":\"Invalid\"}", 18);
  say_with("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", 20000);
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_true(kept.status == 503 && kept.len == ST_FETCH_TEXT_MAX);
  say_with("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", 190000);
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_true(kept.status == 503 && kept.len == ST_FETCH_TEXT_MAX);
  say("HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /elsewhere\r\nContent-Length: "
      "0\r\n\r\n");
  assert_int_equal(get(), ST_FETCH_DONE);
  assert_int_equal(kept.status, 302);
}

static void a_response_that_is_cut_is_none(void **state) {
  (void)state;
  say_with(HEAD TYPE "Content-Length: 1000\r\n\r\n", 500);
  assert_int_equal(get(), ST_FETCH_FAILED);
  assert_true(error[0] != '\0' && kept.body == NULL);
  say("\x15\x03\x01 not HTTP\r\n\r\n");
  assert_int_equal(get(), ST_FETCH_FAILED);
  assert_true(error[0] != '\0');
}

/* Who asks is not kept waiting, by a server or for the end. */
static void a_silent_server_is_given_up(void **state) {
  (void)state;
  st_fetch_response response;
  say("");
  assert_int_equal(fetch_once(0, &response), ST_FETCH_FAILED);
  assert_string_equal(error, "the server does not answer within 0 s");
  assert_int_equal(eventfd_write(stop, 1), 0);
  assert_int_equal(fetch_once(30, &response), ST_FETCH_STOPPED);
  eventfd_t count;
  assert_int_equal(eventfd_read(stop, &count), 0);
}

/* ---- libcurl fails ---- */

#define STAND_IN(type, name, parameters, arguments, failure)              \
  static __typeof__(curl_##name) *real_##name;                            \
  static type stand_in_##name parameters {                                \
    return failing_now(FAIL_LIBRARY) ? (failure) : real_##name arguments; \
  }
STAND_IN(CURLcode, global_init, (long flags), (flags), CURLE_FAILED_INIT)
STAND_IN(CURLU *, url, (void), (), NULL)
STAND_IN(CURLU *, url_dup, (CURLU * of), (of), NULL)
STAND_IN(CURLUcode, url_get, (CURLU * of, CURLUPart part, char **to, unsigned flags),
         (of, part, to, flags), CURLUE_OUT_OF_MEMORY)
STAND_IN(CURLUcode, url_set, (CURLU * of, CURLUPart part, const char *to, unsigned flags),
         (of, part, to, flags), CURLUE_OUT_OF_MEMORY)
STAND_IN(struct curl_slist *, slist_append, (struct curl_slist * to, const char *text), (to, text),
         NULL)
STAND_IN(CURL *, easy_init, (void), (), NULL)
STAND_IN(CURLM *, multi_init, (void), (), NULL)
STAND_IN(CURLMcode, multi_add_handle, (CURLM * to, CURL *which), (to, which), CURLM_OUT_OF_MEMORY)
STAND_IN(CURLMcode, multi_perform, (CURLM * of, int *running), (of, running), CURLM_OUT_OF_MEMORY)
STAND_IN(CURLMcode, multi_poll,
         (CURLM * of, struct curl_waitfd *more, unsigned count, int ms, int *ready),
         (of, more, count, ms, ready), CURLM_OUT_OF_MEMORY)
STAND_IN(CURLMsg *, multi_info_read, (CURLM * of, int *left), (of, left), NULL)

/* Each of ours is a long or a pointer. */
static CURLcode (*real_easy_setopt)(CURL *of, CURLoption option, ...);
static CURLcode stand_in_easy_setopt(CURL *of, CURLoption option, ...) {
  va_list list;
  if (failing_now(FAIL_LIBRARY)) return CURLE_UNKNOWN_OPTION;
  va_start(list, option);
  void *value = va_arg(list, void *);
  va_end(list);
  return real_easy_setopt(of, option, value);
}

#define ROW(name) \
  { "curl_" #name, &real_##name, sizeof real_##name, (void (*)(void))stand_in_##name }
static void *put_stand_in(const char *name, void *found) {
  const struct {
    const char *name;
    void *real;
    size_t size;
    void (*stand_in)(void);
  } rows[] = {ROW(global_init),      ROW(url),           ROW(url_dup),    ROW(url_get),
              ROW(url_set),          ROW(slist_append),  ROW(easy_init),  ROW(multi_init),
              ROW(multi_add_handle), ROW(multi_perform), ROW(multi_poll), ROW(multi_info_read),
              ROW(easy_setopt)};
  for (size_t i = 0; i < COUNT(rows); i++) {
    if (strcmp(rows[i].name, name) != 0) continue;
    memcpy(rows[i].real, &found, rows[i].size);
    memcpy(&found, &rows[i].stand_in, sizeof found);
    return found;
  }
  return found;
}

/* Nothing is left of it, nothing is believed of it, and the next one is good. */
static void what_fails_in_the_library_is_said(void **state) {
  (void)state;
  st_fetch_response response = {0};
  st_fetch_status status = ST_FETCH_FAILED;
  failing_symbol = put_stand_in;
  say_with(HEAD TYPE "\r\n", 1000);
  FAILING_EACH(FAIL_LIBRARY | FAIL_MEMORY, 1, status = fetch_once(30, &response), {
    CHECK(status == (failed ? ST_FETCH_FAILED : ST_FETCH_DONE), "call %ld: %d %s", nth, status,
          error);
    CHECK(!failed || error[0] != '\0', "call %ld", nth);
    CHECK(failed ? response.body == NULL : response.len == 1000, "call %ld", nth);
    CHECK(strstr(error, KEY) == NULL, "call %ld: %s", nth, error);
    st_fetch_response_free(&response);
    error[0] = '\0';
  });
  failing_symbol = NULL;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_url_is_https_or_of_this_machine),
      cmocka_unit_test(of_several_urls_the_error_says_which),
      cmocka_unit_test(a_request_has_all_that_there_is),
      cmocka_unit_test(a_credential_that_is_too_long_is_not_sent),
      cmocka_unit_test(headers_are_kept_that_are_what_they_should_be),
      cmocka_unit_test(a_body_is_as_long_as_it_says),
      cmocka_unit_test(of_a_refusal_the_first_bytes_are_kept),
      cmocka_unit_test(a_response_that_is_cut_is_none),
      cmocka_unit_test(a_silent_server_is_given_up),
      cmocka_unit_test(what_fails_in_the_library_is_said),
  };
  int failures = cmocka_run_group_tests_name("fetch", tests, set_up, tear_down);
  st_fetch_response_free(&kept);
  return failures;
}
