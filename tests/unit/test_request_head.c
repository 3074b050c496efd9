/* head: each rule of RFC 9112 that the reader holds, in one piece and in every two. */
#include "support.h"

#include <cJSON.h>

#include "service/chunked.h"
#include "service/request_head.h"

#define END "\r\n\r\n"
#define LINE "GET /v2/tokeninfo HTTP/1.1\r\n"
#define HOST "Host: api.test\r\n"

static st_request_head head;
static st_problem fault;

static st_request_head_state read_exact(subtoken_text bytes) {
  memset(&head, 0x5A, sizeof head);
  memset(&fault, 0, sizeof fault);
  return st_request_head_read(bytes, &head, &fault);
}

/* Views must not be looked at after the bytes are gone: check before. */
static st_request_head_state read_string(const char *text) {
  static subtoken_text last;
  release(last);
  last = exact_string(text);
  return read_exact(last);
}

static void must_be_good(const char *text) {
  CHECK(read_string(text) == ST_HEAD_GOOD, "%s: %d %s", text, fault.status, fault.text);
}

static void must_be_bad(const char *text, int status, const char *error) {
  st_request_head_state state = read_string(text);
  CHECK(state == ST_HEAD_BAD, "%s: taken (%d)", text, state);
  CHECK(fault.status == status, "%s: %d %s", text, fault.status, fault.text);
  CHECK(strstr(fault.text, error) != NULL, "%s: %s", text, fault.text);
  bool limit = status == 413 || status == 414 || status == 431;
  assert_string_equal(fault.event, limit ? "limit" : "bad_framing");
}

/* ---- good ones ---- */

/* D1. */
static void chunked_is_the_only_transfer_coding(void **state) {
  (void)state;
  must_be_good("POST / HTTP/1.1\r\n" HOST
               "transfer-encoding:\tChunked \r\nExpect: 100-continue" END);
  assert_true(head.chunked);
  assert_true(head.expect_continue);
  assert_int_equal(head.content_length, 0);
  must_be_good(LINE HOST "TE: chunked" END); /* another header: what the client takes */
  assert_false(head.chunked);
}

/* It has a form of target of its own; the service answers it with 405. */
static void connect_has_a_form_of_its_own(void **state) {
  (void)state;
  must_be_good("CONNECT a HTTP/1.1\r\nHost: api.test" END);
  must_be_good("CONNECT api.test:80 HTTP/1.1\r\nHost: api.test" END);
  assert_true(st_text_is(head.target, "api.test:80"));
}

static void a_whole_head_is_read(void **state) {
  (void)state;
  must_be_good(
      "POST /v2/createsubtoken?a=b HTTP/1.1\r\nhOST:\tapi.test:80 \t\r\n"
      "X-Empty:\r\nX-Spaces: a b\t\r\nX-Bytes: \xFF\x80\r\ncontent-LENGTH: 0012" END "body");
  assert_true(st_text_is(head.method, "POST"));
  assert_true(st_text_is(head.target, "/v2/createsubtoken?a=b"));
  assert_int_equal(head.header_count, 5);
  assert_true(st_text_is(head.headers[0].name, "hOST"));
  assert_true(st_text_is(head.headers[0].value, "api.test:80"));
  assert_true(st_text_is(head.headers[1].name, "X-Empty"));
  assert_int_equal(head.headers[1].value.len, 0);
  assert_true(st_text_is(head.headers[2].value, "a b"));
  assert_true(st_text_is(head.headers[3].value, "\xFF\x80"));
  assert_int_equal(head.content_length, 12);
  assert_true(head.keep_alive);
  assert_false(head.version_1_0);
  assert_false(head.expect_continue);
}

static void a_head_ends_at_its_empty_line(void **state) {
  (void)state;
  static const char text[] = LINE "Host: a" END;
  must_be_good(text);
  assert_int_equal(head.len, sizeof text - 1);
  assert_int_equal(head.content_length, 0);
  must_be_good(LINE "Host: a" END "GET / HTTP/1.1" END); /* the next one is not its business */
  assert_int_equal(head.len, sizeof text - 1);
  /* RFC 9112 section 2.2: one empty line in front; not two. */
  must_be_good("\r\n" LINE "Host: a" END);
  assert_int_equal(head.len, sizeof text + 1);
  assert_true(st_text_is(head.method, "GET"));
  must_be_bad("\r\n\r\n" LINE "Host: a" END, 400, "an empty request");
}

static void any_token_is_a_method(void **state) {
  (void)state;
  must_be_good("M-SEARCH /x HTTP/1.1\r\n" HOST "\r\n"); /* known or not is the service's */
  must_be_good("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" HOST "\r\n");
  must_be_bad("G(T / HTTP/1.1\r\n" HOST "\r\n", 400, "the request line");
  must_be_bad("G\xC3\xABT / HTTP/1.1\r\n" HOST "\r\n", 400, "the request line");
  must_be_bad(" / HTTP/1.1\r\n" HOST "\r\n", 400, "the request line");
}

static void keep_alive_follows_the_version(void **state) {
  (void)state;
  static const struct {
    const char *version, *headers;
    bool keep;
  } rows[] = {
      {"1.1", HOST, true},
      {"1.1", HOST "Connection: close\r\n", false},
      {"1.1", HOST "connection: CLOSE\r\n", false},
      {"1.1", HOST "Connection: x,close \r\n", false},
      {"1.1", HOST "Connection: keep-alive\r\nConnection: close\r\n", false},
      {"1.1", HOST "Connection: keep-alive, close\r\n", false},
      {"1.1", HOST "Connection: closed\r\n", true},
      {"1.1", HOST "X: close\r\n", true},
      {"1.0", "", false},
      {"1.0", HOST "Connection: Keep-Alive\r\n", true},
      {"1.0", "Connection: keep-alive, close\r\n", false},
      {"1.0", "Connection: upgrade\r\n", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[200];
    snprintf(text, sizeof text, "GET / HTTP/%s\r\n%s\r\n", rows[i].version, rows[i].headers);
    must_be_good(text);
    CHECK(head.keep_alive == rows[i].keep, "%s", text);
    assert_int_equal(head.version_1_0, strcmp(rows[i].version, "1.0") == 0);
  }
}

/* D16: path and query of an absolute target count. */
static void an_absolute_target_counts(void **state) {
  (void)state;
  static const struct {
    const char *target, *host, *want;
  } rows[] = {
      {"http://api.test/v2/tokeninfo?v=1", "api.test", "/v2/tokeninfo?v=1"},
      {"http://api.test/v2", "API.Test", "/v2"},
      {"HTTP://API.TEST/v2", "api.test", "/v2"},
      {"https://api.test/v2", "api.test", "/v2"},
      {"http://api.test:80/v2", "api.test", "/v2"},
      {"http://api.test/v2", "api.test:80", "/v2"},
      {"https://api.test:443/v2", "api.test", "/v2"},
      {"http://api.test:/v2", "api.test", "/v2"},
      {"http://api.test:8080/v2", "api.test:8080", "/v2"},
      {"http://[::1]:8080//v2/", "[::1]:8080", "//v2/"},
      {"http://[::ffff:127.0.0.1]/v2", "[::FFFF:127.0.0.1]:", "/v2"},
      {"http://127.0.0.1/http://other.test/", "127.0.0.1", "/http://other.test/"},
      {"http://api.test", "api.test", "/"},
      {"http://a", "a", "/"},
      {"http://a:9090/b", "a:9090", "/b"},
      {"http://[1]/b", "[1]", "/b"},
      {"http://api.test/?a", "api.test", "/?a"},
      {"/http://other.test/", "api.test", "/http://other.test/"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char text[300];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s" END, rows[i].target, rows[i].host);
    must_be_good(text);
    CHECK(st_text_is(head.target, rows[i].want), "%s: %.*s", text, (int)head.target.len,
          head.target.data);
  }
  must_be_good("GET http://api.test/v2 HTTP/1.0" END); /* no Host to agree with */
  assert_true(st_text_is(head.target, "/v2"));
  must_be_bad("GET http://other.test/v2 HTTP/1.0\r\n" HOST "\r\n", 400, "different hosts");
}

/* D10: what asks whether the server is alive need not name it. */
static void a_probe_needs_no_host(void **state) {
  (void)state;
  static const char *const good[] = {"OPTIONS /",     "OPTIONS *",   "GET /healthz",
                                     "HEAD /healthz", "GET /readyz", "HEAD /readyz"};
  static const char *const bad[] = {
      "GET /",          "OPTIONS /v2/tokeninfo", "OPTIONS /?a",      "POST /healthz",
      "GET /healthz?a", "GET /healthz/",         "GET /v2/tokeninfo"};
  char text[200];
  for (size_t i = 0; i < COUNT(good); i++) {
    snprintf(text, sizeof text, "%s HTTP/1.1" END, good[i]);
    must_be_good(text);
    snprintf(text, sizeof text, "%s HTTP/1.0" END, good[i]);
    must_be_good(text);
    snprintf(text, sizeof text, "%s HTTP/1.1\r\n" HOST HOST "\r\n", good[i]);
    must_be_bad(text, 400, "more than one Host");
  }
  for (size_t i = 0; i < COUNT(bad); i++) {
    snprintf(text, sizeof text, "%s HTTP/1.1" END, bad[i]);
    must_be_bad(text, 400, "Host is missing");
    snprintf(text, sizeof text, "%s HTTP/1.0" END, bad[i]);
    must_be_good(text);
  }
}

static void only_100_continue_is_expected(void **state) {
  (void)state;
  must_be_good(LINE HOST "Expect: 100-Continue" END);
  assert_true(head.expect_continue);
  must_be_bad(LINE HOST "Expect: 200-ok" END, 417, "Expect");
  must_be_bad(LINE HOST "Expect:" END, 417, "Expect");
  /* RFC 9110 section 10.1.1: ignored in HTTP/1.0, whose clients do not wait. */
  must_be_good("POST / HTTP/1.0\r\nExpect: 100-continue" END);
  assert_false(head.expect_continue);
}

/* ---- refused ---- */

typedef struct refusal {
  const char *text;
  int status;
  const char *error;
} refusal;

static const refusal refusals[] = {
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400, "request line"},
    {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET\t/\tHTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET /\r\n" HOST "\r\n", 400, "request line"},
    {"GET\r\n" HOST "\r\n", 400, "request line"},
    {" GET / HTTP/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/1.10\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/1,1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / http/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/a.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTPS/1.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP//.1\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/1.a\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTP/1./\r\n" HOST "\r\n", 400, "request line"},
    {"GET / HTTPX2.0\r\n" HOST "\r\n", 400, "request line"},
    {"CONNECT  HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"a\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "bare line feed"},
    {"GET / HTTP/9.9\r\n" HOST "\r\n", 505, "HTTP/1.0 and HTTP/1.1"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, "HTTP/1.0 and HTTP/1.1"},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", 505, "HTTP/1.0 and HTTP/1.1"},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", 505, "HTTP/1.0 and HTTP/1.1"},
    {"PRI * HTTP/2.0" END, 505, "HTTP/1.0 and HTTP/1.1"},
    {"GET v2 HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"OPTIONS ** HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    /* D16 */
    {"GET http://other.test/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "different hosts"},
    {"GET http://a/v2 HTTP/1.1\r\nHost: b\r\n\r\n", 400, "different hosts"},
    {"GET http://a/v2 HTTP/1.1\r\nHost: ab\r\n\r\n", 400, "different hosts"},
    {"GET http://ab/v2 HTTP/1.1\r\nHost: bb\r\n\r\n", 400, "different hosts"},
    {"GET http://ab/v2 HTTP/1.1\r\nHost: aa\r\n\r\n", 400, "different hosts"},
    {"GET http://api.test:81/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "different hosts"},
    {"GET http://api.test:443/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "different hosts"},
    {"GET https://api.test:80/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "different hosts"},
    {"GET http://api.test./v2 HTTP/1.1\r\n" HOST "\r\n", 400, "different hosts"},
    {"GET http://api[test/v2 HTTP/1.1\r\nHost: api{test\r\n\r\n", 400, "name and a port"},
    {"GET http://api@test/v2 HTTP/1.1\r\nHost: apiPtest\r\n\r\n", 400, "name and a port"},
    {"GET http://api.test/v2 HTTP/1.1\r\nHost:\r\n\r\n", 400, "different hosts"},
    {"GET http://api.test/v2 HTTP/1.1\r\n\r\n", 400, "Host is missing"},
    {"GET http://a@api.test/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "name and a port"},
    {"GET http://a:b@api.test/v2 HTTP/1.0\r\n\r\n", 400, "name and a port"},
    {"GET http:///v2 HTTP/1.1\r\n" HOST "\r\n", 400, "name and a port"},
    {"GET http://:80/v2 HTTP/1.1\r\nHost: :80\r\n\r\n", 400, "different hosts"},
    {"GET http:/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"GET ftp://api.test/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"GET http://api.test?x HTTP/1.1\r\n" HOST "\r\n", 400, "no path"},
    {"GET http://api.test\\v2 HTTP/1.1\r\n" HOST "\r\n", 400, "name and a port"},
    {"GET http://api.test#/v2 HTTP/1.1\r\n" HOST "\r\n", 400, "must be escaped"},
    {"GET  HTTP/1.1\r\n" HOST "\r\n", 400, "start with /"},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "must be escaped"},
    {"GET /\xC3\xAB HTTP/1.1\r\n" HOST "\r\n", 400, "must be escaped"},
    {"GET /\t HTTP/1.1\r\n" HOST "\r\n", 400, "must be escaped"},
    {"GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400, "control"},
    {"GET /\x7F HTTP/1.1\r\n" HOST "\r\n", 400, "control"},
    {LINE HOST "X: a\x1B" END, 400, "control"},
    {LINE HOST "X: a\nY: b" END, 400, "bare line feed"},
    {"GET / HTTP/1.1\nHost: a\n\n", 400, "bare line feed"},
    {"\n" LINE HOST "\r\n", 400, "bare line feed"},
    {LINE HOST "\rX: a" END, 400, "bare carriage return"},
    {LINE HOST "X: a\rb" END, 400, "bare carriage return"},
    {"\r\r\n" LINE HOST "\r\n", 400, "bare carriage return"},
    {LINE "\r\n", 400, "Host is missing"},
    {LINE "X: a" END, 400, "Host is missing"},
    {LINE HOST HOST "\r\n", 400, "more than one Host"},
    {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "more than one Host"},
    {LINE "Host: a, b" END, 400, "Host is not"},
    {LINE "Host: a/b" END, 400, "Host is not"},
    {LINE "Host: user@a" END, 400, "Host is not"},
    {LINE "Host: a\xC3\xAB" END, 400, "Host is not"},
    {LINE "Host: a:x" END, 400, "Host is not"},
    {LINE "Host: a:80:81" END, 400, "Host is not"},
    {LINE "Host: a:80x" END, 400, "Host is not"},
    {LINE "Host: [::1" END, 400, "Host is not"},
    {LINE "Host: [::1x" END, 400, "Host is not"},
    {LINE "Host: [x::1]" END, 400, "Host is not"},
    {LINE "Host: a:+1" END, 400, "Host is not"},
    {LINE "Host: ::1]" END, 400, "Host is not"},
    {LINE "Host: []" END, 400, "Host is not"},
    {LINE "Host: [" END, 400, "Host is not"},
    {LINE "Host: [a.test]" END, 400, "Host is not"},
    {LINE "Host: [::1]a" END, 400, "Host is not"},
    {LINE "Host: a[::1]" END, 400, "Host is not"},
    {"GET http://a:x/ HTTP/1.1\r\nHost: a:x\r\n\r\n", 400, "name and a port"},
    {LINE HOST "X : a" END, 400, "Name: value"},
    {LINE HOST ": a" END, 400, "Name: value"},
    {LINE HOST "X" END, 400, "Name: value"},
    {LINE HOST "X[]: a" END, 400, "Name: value"},
    {LINE HOST "X\xC3\xAB: a" END, 400, "Name: value"},
    {LINE HOST "X: 1\r\n 2" END, 400, "Name: value"},
    {LINE HOST "X: 1\r\n\t2" END, 400, "Name: value"},
    {LINE HOST "X: 1\r\n folded: 2" END, 400, "Name: value"},
    {LINE " Host: a" END, 400, "Name: value"},
    {LINE HOST "Content-Length:" END, 400, "Content-Length is empty"},
    {LINE HOST "Content-Length: +5" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: -5" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 0x5" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 5, 5" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 5 5" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 5.0" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 99999999999999999999a" END, 400, "Content-Length is not a number"},
    {LINE HOST "Content-Length: 5\r\nContent-Length: 5" END, 400, "more than one Content-Length"},
    {LINE HOST "Content-Length: 5\r\ncontent-length: 6" END, 400, "more than one Content-Length"},
    {LINE HOST "Content-Length: 8193" END, 413, "longer than 8192"},
    {LINE HOST "Content-Length: 81920" END, 413, "longer than 8192"},
    {LINE HOST "Content-Length: 18446744073709551616" END, 413, "longer than 8192"},
    {LINE HOST "Content-Length: 18446744073709551621" END, 413, "longer than 8192"},
    {LINE HOST "Content-Length: 340282366920938463463374607431768211456" END, 413, "longer"},
    {LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" END, 400,
     "more than one"},
    {LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 0" END, 400, "at once"},
    {LINE HOST "Content-Length: 0\r\nTransfer-Encoding: chunked" END, 400, "at once"},
    {LINE HOST "Transfer-Encoding: chunked, chunked" END, 400, "Transfer-Encoding"},
    {LINE HOST "Transfer-Encoding: gzip, chunked" END, 400, "Transfer-Encoding"},
    {LINE HOST "Transfer-Encoding: chunked;q=1" END, 400, "Transfer-Encoding"},
    {LINE HOST "Transfer-Encoding: chunked," END, 400, "Transfer-Encoding"},
    {LINE HOST "Transfer-Encoding: \"chunked\"" END, 400, "Transfer-Encoding"},
    {LINE HOST "transfer-encoding: identity" END, 400, "Transfer-Encoding"},
    {LINE HOST "Transfer-Encoding:" END, 400, "Transfer-Encoding"},
    {LINE HOST "Content-Length: 5\r\nTransfer-Encoding: xchunked" END, 400, "Transfer-Encoding"},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked" END, 400, "Transfer-Encoding"},
    {"\r\n\r\n", 400, "an empty request"},
};

static void refusals_have_status_and_error(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(refusals); i++) {
    must_be_bad(refusals[i].text, refusals[i].status, refusals[i].error);
  }
}

static void control_characters_are_refused(void **state) {
  (void)state;
  static const char shape[] = LINE "Host: a\r\nX: a?b" END;
  char *place = strchr(shape, '?');
  assert_non_null(place);
  for (int c = 0; c < 256; c++) {
    subtoken_text bytes = exact_string(shape);
    char *mutable = (char *)(uintptr_t)bytes.data;
    mutable[place - shape] = (char)c;
    bool wanted = c == '\t' || (c >= 0x20 && c != 0x7F);
    CHECK((read_exact(bytes) == ST_HEAD_GOOD) == wanted, "byte 0x%02x in a value", c);
    if (!wanted) assert_int_equal(fault.status, 400);
    release(bytes);
  }
}

/* ---- limits ---- */

/* count letters between two texts, read in one piece. */
static st_request_head_state read_padded(const char *before, size_t count, const char *after) {
  size_t len = strlen(before) + count + strlen(after);
  char *text = malloc(len + 1);
  memcpy(text, before, strlen(before));
  memset(text + strlen(before), 'x', count);
  memcpy(text + strlen(before) + count, after, strlen(after) + 1);
  st_request_head_state state = read_string(text);
  free(text);
  return state;
}

static void check_limit(st_request_head_state state, int status) {
  assert_int_equal(state, ST_HEAD_BAD);
  assert_int_equal(fault.status, status);
  assert_string_equal(fault.event, "limit");
}

static void a_target_has_8192_bytes_at_most(void **state) {
  (void)state;
  assert_int_equal(read_padded("GET /", SUBTOKEN_TARGET_MAX - 1, " HTTP/1.1\r\n" HOST "\r\n"),
                   ST_HEAD_GOOD);
  assert_int_equal(head.target.len, SUBTOKEN_TARGET_MAX);
  check_limit(read_padded("GET /", SUBTOKEN_TARGET_MAX, " HTTP/1.1\r\n" HOST "\r\n"), 414);
  check_limit(read_padded("GET /", ST_HEAD_MAX - 5, ""), 414);
  /* Longer than a head may be, and all of it there: still the target's fault. */
  check_limit(read_padded("GET /", ST_HEAD_MAX, " HTTP/1.1\r\n" HOST "\r\n"), 414);
}

static void a_head_has_16384_bytes_at_most(void **state) {
  (void)state;
  static const char before[] = LINE HOST "X: ";
  size_t most = ST_HEAD_MAX - (sizeof before - 1) - 4;
  assert_int_equal(read_padded(before, most, END), ST_HEAD_GOOD);
  assert_int_equal(head.len, ST_HEAD_MAX);
  assert_int_equal(read_padded(before, most, END "more"), ST_HEAD_GOOD);
  check_limit(read_padded(before, most + 1, END), 431);
  check_limit(read_padded(before, most + 4, ""), 431);
  assert_int_equal(read_padded(before, most + 3, ""), ST_HEAD_MORE);
  check_limit(read_padded(before, 3 * ST_HEAD_MAX, END), 431);
}

static void a_head_has_64_lines_at_most(void **state) {
  (void)state;
  char text[2048] = LINE HOST;
  for (int i = 1; i < ST_HEADERS_MAX; i++) strcat(text, "X: 1\r\n");
  char more[2100];
  snprintf(more, sizeof more, "%sX: 1\r\n\r\n", text);
  strcat(text, "\r\n");
  must_be_good(text);
  assert_int_equal(head.header_count, ST_HEADERS_MAX);
  must_be_bad(more, 431, "64");
}

static void a_body_has_8192_bytes_at_most(void **state) {
  (void)state;
  must_be_good(LINE HOST "Content-Length: 8192" END);
  assert_int_equal(head.content_length, ST_REQUEST_BODY_MAX);
  must_be_good(LINE HOST "Content-Length: 0000000000000000000000000000000000000000008192" END);
  assert_int_equal(head.content_length, ST_REQUEST_BODY_MAX);
}

/* ---- split at every byte ---- */

/* Each prefix wants more or says what the whole says; once it has said so, every
 * longer one does. */
static void check_every_prefix(subtoken_text bytes, const char *name) {
  st_request_head_state whole = read_exact(bytes), before = ST_HEAD_MORE;
  st_problem whole_fault = fault;
  size_t len = head.len, headers = head.header_count, body = head.content_length;
  for (size_t i = 0; i <= bytes.len; i++) {
    subtoken_text part = exact(bytes.data, i);
    st_request_head_state piece = read_exact(part);
    CHECK(piece == ST_HEAD_MORE || piece == whole, "%s at %zu: %d", name, i, piece);
    CHECK(before == ST_HEAD_MORE || piece == before, "%s at %zu: it was %d", name, i, before);
    if (piece == ST_HEAD_BAD) {
      CHECK(fault.status == whole_fault.status && strcmp(fault.text, whole_fault.text) == 0,
            "%s at %zu: %d %s", name, i, fault.status, fault.text);
    }
    if (piece == ST_HEAD_GOOD) {
      CHECK(i >= len && head.len == len && head.header_count == headers &&
                head.content_length == body,
            "%s at %zu", name, i);
    }
    before = piece;
    release(part);
  }
}

static void every_split_reads_alike(void **state) {
  (void)state;
  static const char *const good[] = {
      LINE HOST "\r\n",
      "\r\nPOST /v2/createsubtoken HTTP/1.1\r\n" HOST "Content-Length: 4" END "body",
      LINE HOST END LINE HOST END,
      "GET / HTTP/1.0" END,
      "GET / HTTP/1.1",
      LINE "Host: a\r\n\r",
      "\r\n",
      "",
  };
  for (size_t i = 0; i < COUNT(good) + COUNT(refusals); i++) {
    const char *text = i < COUNT(good) ? good[i] : refusals[i - COUNT(good)].text;
    subtoken_text bytes = exact_string(text);
    check_every_prefix(bytes, text);
    release(bytes);
  }
}

/* Around the limits, where what has come so far is itself a reason. */
static void splits_at_the_limits_read_alike(void **state) {
  (void)state;
  static const char *const fronts[] = {"GET /", LINE HOST "X: ", ""};
  static const char tail[] = " HTTP/1.1\r\n" HOST "\r\n";
  for (size_t i = 0; i < COUNT(fronts); i++) {
    subtoken_text bytes = repeated(fronts[i], 'x', 2 * ST_HEAD_MAX);
    char *mutable = (char *)(uintptr_t)bytes.data;
    memcpy(mutable + bytes.len - sizeof tail, tail, sizeof tail - 1);
    st_request_head_state whole = read_exact(bytes);
    int status = fault.status;
    assert_int_equal(whole, ST_HEAD_BAD);
    for (size_t len = ST_HEAD_MAX - 4; len <= ST_HEAD_MAX + 4; len++) {
      subtoken_text part = exact(bytes.data, len);
      st_request_head_state piece = read_exact(part);
      CHECK(piece == (len < ST_HEAD_MAX ? ST_HEAD_MORE : ST_HEAD_BAD), "front %zu at %zu", i, len);
      CHECK(piece == ST_HEAD_MORE || fault.status == status, "front %zu at %zu: %d, not %d", i, len,
            fault.status, status);
      release(part);
    }
    release(bytes);
  }
}

/* ---- the vectors ---- */

static cJSON *load_vectors(void) {
  const char *tests = getenv("SUBTOKEN_TESTS");
  char path[500];
  size_t room = 1 << 20;
  char *text = malloc(room);
  snprintf(path, sizeof path, "%s/vectors/http.json", tests != NULL ? tests : "tests");
  FILE *file = fopen(path, "rb");
  if (file == NULL) fail_msg("%s is missing", path);
  size_t len = fread(text, 1, room - 1, file);
  fclose(file);
  text[len] = '\0';
  cJSON *json = cJSON_Parse(text);
  free(text);
  return json;
}

static const char *string_of(const cJSON *object, const char *name) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* Standard base64 with padding, as the file has it: to base64url, which is ours. */
static subtoken_text decode(const char *base64) {
  size_t len = strcspn(base64, "="), out_len = 0;
  char *url = malloc(len + 1), *out = malloc(len + 1);
  for (size_t i = 0; i < len; i++) {
    url[i] = base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i];
  }
  assert_true(st_base64url_decode((subtoken_text){url, len}, out, len + 1, &out_len));
  subtoken_text bytes = exact(out, out_len);
  free(url);
  free(out);
  return bytes;
}

/* What the head alone must say to a case, or NULL when it is for others to judge. */
static const char *wanted(const cJSON *row) {
  const char *id = string_of(row, "id"), *verdict = string_of(row, "verdict");
  if (string_of(row, "first") != NULL) return "good"; /* the second request is the bad one */
  if (strcmp(id, "long-method") == 0) return NULL;    /* a token; the service knows no such */
  if (strcmp(id, "chunk-short") == 0) return "more";  /* refused with its time, not at once */
  if (strcmp(verdict, "serve") == 0) return "good";
  if (strcmp(verdict, "refuse") == 0) return "bad";
  if (strcmp(id, "body-short") == 0) return "good"; /* it is the body that is waited for */
  if (strcmp(verdict, "wait") == 0) return "more";
  return NULL;
}

/* The head, and behind it the chunks, if there are to be any. */
static st_request_head_state read_request(subtoken_text bytes) {
  static char body[ST_REQUEST_BODY_MAX];
  st_chunked chunked = {0};
  st_request_head_state is = read_exact(bytes);
  if (is != ST_HEAD_GOOD || !head.chunked) return is;
  size_t used = st_chunked_read(&chunked, bytes.data + head.len, bytes.len - head.len, body);
  assert_true(head.len + used <= bytes.len);
  if (chunked.state == ST_CHUNKED_MORE) return ST_HEAD_MORE;
  return chunked.state == ST_CHUNKED_DONE ? ST_HEAD_GOOD : ST_HEAD_BAD;
}

static void the_vectors_hold(void **state) {
  (void)state;
  cJSON *vectors = load_vectors();
  const cJSON *rows = cJSON_GetObjectItemCaseSensitive(vectors, "cases"), *row;
  static const char *const names[] = {"more", "good", "bad"};
  int judged = 0;
  cJSON_ArrayForEach(row, rows) {
    const char *id = string_of(row, "id");
    subtoken_text bytes = decode(string_of(row, "raw_b64"));
    const char *want = wanted(row);
    bool http = strcmp(string_of(row, "layer"), "http") == 0;
    if (http && want != NULL) {
      st_request_head_state is = read_request(bytes);
      CHECK(strcmp(names[is], want) == 0, "%s is %s, not %s: %s", id, names[is], want,
            fault.text != NULL ? fault.text : "");
      judged++;
    }
    if (bytes.len < 2000) check_every_prefix(bytes, id);
    release(bytes);
  }
  CHECK(judged >= 84, "%d judged", judged);
  cJSON_Delete(vectors);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_absolute_target_counts),
      cmocka_unit_test(a_probe_needs_no_host),
      cmocka_unit_test(chunked_is_the_only_transfer_coding),
      cmocka_unit_test(connect_has_a_form_of_its_own),
      cmocka_unit_test(a_whole_head_is_read),
      cmocka_unit_test(a_head_ends_at_its_empty_line),
      cmocka_unit_test(any_token_is_a_method),
      cmocka_unit_test(keep_alive_follows_the_version),
      cmocka_unit_test(only_100_continue_is_expected),
      cmocka_unit_test(refusals_have_status_and_error),
      cmocka_unit_test(control_characters_are_refused),
      cmocka_unit_test(a_target_has_8192_bytes_at_most),
      cmocka_unit_test(a_head_has_16384_bytes_at_most),
      cmocka_unit_test(a_head_has_64_lines_at_most),
      cmocka_unit_test(a_body_has_8192_bytes_at_most),
      cmocka_unit_test(every_split_reads_alike),
      cmocka_unit_test(splits_at_the_limits_read_alike),
      cmocka_unit_test(the_vectors_hold),
  };
  return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
