/* The request line and the header lines of HTTP/1, read strictly: what two readers could frame
 * differently is refused, never guessed. Bodies are read in chunked.c and by the server.
 */
#include "service/request_head.h"

#include <string.h>

#include "base/bytes.h"
#include "base/impossible.h"
#include "service/service.h"

static st_request_head_state head_refuse(st_problem *fault, int status, const char *text) {
  bool limit = status == 413 || status == 414 || status == 431;
  *fault = (st_problem){.status = status, .event = limit ? "limit" : "bad_framing", .text = text};
  return ST_HEAD_BAD;
}

/* What a byte may be part of. */
enum {
  HEAD_TOKEN = 1,  /* RFC 9110 section 5.6.2 */
  HEAD_TARGET = 2, /* visible ASCII but # */
  HEAD_LINE = 4,   /* no control but the tab */
  HEAD_HOST = 8,   /* a name, or an address with dots */
};
#define VISIBLE (HEAD_TARGET | HEAD_LINE)
#define PUNCTUATION (HEAD_TOKEN | VISIBLE)
#define NAME_CHAR (PUNCTUATION | HEAD_HOST)
static const uint8_t head_classes[256] = {
    ['\t'] = HEAD_LINE,
    [' '] = HEAD_LINE,
    ['!'] = PUNCTUATION,
    ['"'] = VISIBLE,
    ['#'] = HEAD_TOKEN | HEAD_LINE,
    ['$'] = PUNCTUATION,
    ['%'] = NAME_CHAR,
    ['&'] = PUNCTUATION,
    ['\''] = PUNCTUATION,
    ['('] = VISIBLE,
    [')'] = VISIBLE,
    ['*'] = PUNCTUATION,
    ['+'] = PUNCTUATION,
    [','] = VISIBLE,
    ['-'] = NAME_CHAR,
    ['.'] = NAME_CHAR,
    ['/'] = VISIBLE,
    ['0' ... '9'] = NAME_CHAR,
    [':'] = VISIBLE,
    [';' ... '@'] = VISIBLE,
    ['A' ... 'Z'] = NAME_CHAR,
    ['['] = VISIBLE,
    ['\\'] = VISIBLE,
    [']'] = VISIBLE,
    ['^'] = PUNCTUATION,
    ['_'] = NAME_CHAR,
    ['`'] = PUNCTUATION,
    ['a' ... 'z'] = NAME_CHAR,
    ['{'] = VISIBLE,
    ['|'] = PUNCTUATION,
    ['}'] = VISIBLE,
    ['~'] = NAME_CHAR,
    [0x80 ... 0xFF] = HEAD_LINE,
};

static uint8_t class_of(char c) {
  return head_classes[(uint8_t)c];
}

/* The number of bytes at the front that are in the class. */
static size_t span_of(const char *data, size_t len, uint8_t class) {
  size_t i = 0;
  for (; i + 4 <= len; i += 4) {
    uint8_t all =
        class_of(data[i]) & class_of(data[i + 1]) & class_of(data[i + 2]) & class_of(data[i + 3]);
    if ((all & class) == 0) break;
  }
  while (i < len && (class_of(data[i]) & class) != 0) i++;
  return i;
}

static bool is_all(subtoken_text text, uint8_t class) {
  return span_of(text.data, text.len, class) == text.len;
}

bool st_request_head_is_token(subtoken_text text) {
  return text.len > 0 && is_all(text, HEAD_TOKEN);
}

/* Finds the empty line, and on the way the bytes that no head holds, so that
 * garbage is refused without waiting for an end that may not come. A carriage
 * return must be followed by a line feed, and a line feed follows one. Bytes past
 * the limit are ignored, so that the result does not depend on how they arrive.
 */
static st_request_head_state find_end(subtoken_text bytes, size_t start, size_t *end,
                                      st_problem *fault) {
  size_t line = start, seen = bytes.len < ST_HEAD_MAX ? bytes.len : ST_HEAD_MAX;
  for (size_t i = start; i < seen; i++) {
    i += span_of(bytes.data + i, seen - i, HEAD_LINE);
    if (i == seen) break;
    uint8_t c = (uint8_t)bytes.data[i];
    if (c == '\r') {
      if (i + 1 == seen) break;
      if (bytes.data[i + 1] != '\n') return head_refuse(fault, 400, "a bare carriage return");
      i++;
      if (i - line == 1) {
        *end = i + 1;
        return ST_HEAD_GOOD;
      }
      line = i + 1;
    } else if (c == '\n') {
      return head_refuse(fault, 400, "a bare line feed");
    } else {
      return head_refuse(fault, 400, "a control character");
    }
  }
  if (bytes.len < ST_HEAD_MAX) return ST_HEAD_MORE;
  if (line == start) return head_refuse(fault, 414, "the request target is longer than 8192 bytes");
  return head_refuse(fault, 431, "the header is longer than 16384 bytes");
}

/* Each carriage return is the end of a line: find_end has seen to that. */
static bool next_line(subtoken_text *rest, subtoken_text *line) {
  const char *end = memchr(rest->data, '\r', rest->len), *after = rest->data + rest->len;
  if (st_impossible(end == NULL, "the last line is empty")) return false;
  if (st_impossible(after - end < 2, "the end of a line is whole")) return false;
  *line = (subtoken_text){rest->data, (size_t)(end - rest->data)};
  *rest = (subtoken_text){end + 2, rest->len - line->len - 2};
  return line->len > 0;
}

static st_request_head_state read_version(subtoken_text version, st_request_head *head,
                                          st_problem *fault) {
  if (st_text_is(version, "HTTP/1.1")) return ST_HEAD_GOOD;
  head->version_1_0 = st_text_is(version, "HTTP/1.0");
  if (head->version_1_0) return ST_HEAD_GOOD;
  bool other = version.len == 8 && memcmp(version.data, "HTTP/", 5) == 0 &&
               version.data[6] == '.' && version.data[5] >= '0' && version.data[5] <= '9' &&
               version.data[7] >= '0' && version.data[7] <= '9';
  return other ? head_refuse(fault, 505, "only HTTP/1.0 and HTTP/1.1 are supported")
               : head_refuse(fault, 400, "the request line is not `METHOD target HTTP/1.1`");
}

/* What the request line and the header lines say about framing, and where the request goes. */
typedef struct framing {
  size_t hosts, lengths;
  bool close, keep_alive;
  subtoken_text host;
  subtoken_text authority;  /* of an absolute target */
  const char *default_port; /* of its scheme */
} framing;

/* The length of `[address]` at the front, or 0. */
static size_t bracketed_len(subtoken_text text) {
  static const char in[] = "0123456789abcdefABCDEF:.";
  size_t len = 1;
  while (len < text.len && memchr(in, text.data[len], sizeof in - 1) != NULL) len++;
  return len > 1 && len < text.len && text.data[len] == ']' ? len + 1 : 0;
}

/* A name or an address, and digits behind a colon (RFC 9110 section 7.2); no user in front of it
 * (section 4.2.4).
 */
static bool is_host(subtoken_text text) {
  size_t len = span_of(text.data, text.len, HEAD_HOST);
  if (len == 0 && text.len > 0 && text.data[0] == '[') len = bracketed_len(text);
  if (len < text.len && text.data[len] == ':') {
    for (len++; len < text.len && text.data[len] >= '0' && text.data[len] <= '9';) len++;
  }
  return len == text.len;
}

/* The length of `http://` or `https://` at the front of the target, or 0. */
static size_t scheme_len(subtoken_text target) {
  static const char *const schemes[] = {"http://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    subtoken_text scheme = st_text(schemes[i]), front = target;
    if (front.len > scheme.len) front.len = scheme.len;
    if (st_text_is_nocase(front, schemes[i])) return scheme.len;
  }
  return 0;
}

/* The four forms of RFC 9112 section 3.2. Of an absolute one path and query count, and what it says
 * of the host must be what Host says, too. The target of CONNECT is host:port, whatever it is: the
 * service answers 405.
 */
static st_request_head_state read_target(st_request_head *head, framing *seen, st_problem *fault) {
  subtoken_text target = head->target;
  size_t start = scheme_len(target), end = start;
  if (target.len > 0 && target.data[0] == '/') return ST_HEAD_GOOD;
  if (st_text_is(head->method, "CONNECT") && target.len > 0) return ST_HEAD_GOOD;
  if (st_text_is(head->method, "OPTIONS") && st_text_is(target, "*")) return ST_HEAD_GOOD;
  if (start == 0) return head_refuse(fault, 400, "the request target must start with /");
  while (end < target.len && target.data[end] != '/' && target.data[end] != '?') end++;
  seen->authority = (subtoken_text){target.data + start, end - start};
  seen->default_port = start == sizeof "http://" - 1 ? ":80" : ":443";
  if (seen->authority.len == 0 || !is_host(seen->authority)) {
    return head_refuse(fault, 400, "the host of the request target is not a name and a port");
  }
  if (end < target.len && target.data[end] == '?') {
    return head_refuse(fault, 400, "the request target has no path in front of its ?");
  }
  /* Without a path it is `/`: the last one of the scheme. */
  head->target = end < target.len ? (subtoken_text){target.data + end, target.len - end}
                                  : (subtoken_text){target.data + start - 1, 1};
  return ST_HEAD_GOOD;
}

static st_request_head_state read_request_line(subtoken_text line, st_request_head *head,
                                               framing *seen, st_problem *fault) {
  static const char shape[] = "the request line is not `METHOD target HTTP/1.1`";
  st_cutter cutter = {line, false};
  subtoken_text version;
  (void)st_cut(&cutter, ' ', &head->method); /* there is always a first piece */
  if (!st_cut(&cutter, ' ', &head->target) || !st_cut(&cutter, ' ', &version) || !cutter.done ||
      !st_request_head_is_token(head->method)) {
    return head_refuse(fault, 400, shape);
  }
  st_request_head_state state = read_version(version, head, fault);
  if (state != ST_HEAD_GOOD) return state;
  if (head->target.len > SUBTOKEN_TARGET_MAX) {
    return head_refuse(fault, 414, "the request target is longer than 8192 bytes");
  }
  if (!is_all(head->target, HEAD_TARGET)) {
    return head_refuse(fault, 400, "the request target has a character that must be escaped");
  }
  return read_target(head, seen, fault);
}

/* Digits only (RFC 9110 section 8.6); what is too long for a body is all the same. */
static st_request_head_state read_length(subtoken_text value, st_request_head *head,
                                         st_problem *fault) {
  size_t length = 0;
  if (value.len == 0) return head_refuse(fault, 400, "Content-Length is empty");
  for (size_t i = 0; i < value.len; i++) {
    if (value.data[i] < '0' || value.data[i] > '9') {
      return head_refuse(fault, 400, "Content-Length is not a number");
    }
    if (length <= ST_REQUEST_BODY_MAX) length = length * 10 + (size_t)(value.data[i] - '0');
  }
  if (length > ST_REQUEST_BODY_MAX)
    return head_refuse(fault, 413, "the body is longer than 8192 bytes");
  head->content_length = length;
  return ST_HEAD_GOOD;
}

static void read_connection(subtoken_text value, framing *seen) {
  st_cutter cutter = {value, false};
  subtoken_text option;
  while (st_cut(&cutter, ',', &option)) {
    option = st_text_trim(option);
    if (st_text_is_nocase(option, "close")) seen->close = true;
    if (st_text_is_nocase(option, "keep-alive")) seen->keep_alive = true;
  }
}

/* Chunked, once, and nothing beside it (RFC 9112 section 6.1): a chain of codings, or the word in
 * another dress, is read by some and not by others.
 */
static st_request_head_state read_coding(subtoken_text value, st_request_head *head,
                                         st_problem *fault) {
  if (head->version_1_0) return head_refuse(fault, 400, "Transfer-Encoding needs HTTP/1.1");
  if (head->chunked) return head_refuse(fault, 400, "more than one Transfer-Encoding");
  head->chunked = st_text_is_nocase(value, "chunked");
  return head->chunked ? ST_HEAD_GOOD
                       : head_refuse(fault, 400, "Transfer-Encoding can only be chunked");
}

static st_request_head_state read_framing(const st_header *header, st_request_head *head,
                                          framing *seen, st_problem *fault) {
  if (st_text_is_nocase(header->name, "Transfer-Encoding")) {
    return read_coding(header->value, head, fault);
  }
  if (st_text_is_nocase(header->name, "Content-Length")) {
    if (seen->lengths++ > 0) return head_refuse(fault, 400, "more than one Content-Length");
    return read_length(header->value, head, fault);
  }
  if (st_text_is_nocase(header->name, "Host")) {
    if (seen->hosts++ > 0) return head_refuse(fault, 400, "more than one Host");
    seen->host = header->value;
    return is_host(header->value) ? ST_HEAD_GOOD
                                  : head_refuse(fault, 400, "Host is not a name and a port");
  }
  /* A client of HTTP/1.0 does not wait (RFC 9110 section 10.1.1). */
  if (st_text_is_nocase(header->name, "Expect") && !head->version_1_0) {
    if (!st_text_is_nocase(header->value, "100-continue")) {
      return head_refuse(fault, 417, "Expect can only be 100-continue");
    }
    head->expect_continue = true;
  }
  if (st_text_is_nocase(header->name, "Connection")) read_connection(header->value, seen);
  return ST_HEAD_GOOD;
}

/* A folded line starts with white space and so is no name (RFC 9112 section 5.2). */
static st_request_head_state head_read_header(subtoken_text line, st_request_head *head,
                                              framing *seen, st_problem *fault) {
  st_cutter cutter = {line, false};
  st_header header;
  (void)st_cut(&cutter, ':', &header.name);
  if (cutter.done || !st_request_head_is_token(header.name)) {
    return head_refuse(fault, 400, "a header line is not `Name: value`");
  }
  header.value = st_text_trim(cutter.rest);
  if (head->header_count == ST_HEADERS_MAX) {
    return head_refuse(fault, 431, "more than 64 header lines");
  }
  head->headers[head->header_count++] = header;
  return read_framing(&header, head, seen, fault);
}

/* Without the port that goes without saying. */
static subtoken_text bare_host(subtoken_text host, const char *default_port) {
  subtoken_text port = st_text(default_port);
  if (host.len > 0 && host.data[host.len - 1] == ':') host.len--;
  if (host.len < port.len) return host;
  subtoken_text tail = {host.data + host.len - port.len, port.len};
  if (st_text_equal(tail, port)) host.len -= port.len;
  return host;
}

/* In any case: of what is_host takes, letters alone differ in that bit. */
static bool same_host(const framing *seen) {
  subtoken_text one = bare_host(seen->authority, seen->default_port);
  subtoken_text other = bare_host(seen->host, seen->default_port);
  if (one.len != other.len) return false;
  for (size_t i = 0; i < one.len; i++) {
    if ((one.data[i] | 0x20) != (other.data[i] | 0x20)) return false;
  }
  return one.len > 0;
}

/* Load balancers ask in HTTP/1.1 and leave out Host, against RFC 9112 section 3.2. Where there is
 * nothing to be mistaken about they get the answer that the server is alive.
 */
static bool is_probe(const st_request_head *head) {
  if (st_text_is(head->method, "OPTIONS")) {
    return st_text_is(head->target, "/") || st_text_is(head->target, "*");
  }
  return (st_text_is(head->method, "GET") || st_text_is(head->method, "HEAD")) &&
         (st_text_is(head->target, "/healthz") || st_text_is(head->target, "/readyz"));
}

st_request_head_state st_request_head_read(subtoken_text bytes, st_request_head *head,
                                           st_problem *fault) {
  /* RFC 9112 section 2.2: one empty line before a request is let pass. */
  size_t start = bytes.len >= 2 && bytes.data[0] == '\r' && bytes.data[1] == '\n' ? 2 : 0;
  size_t end = 0;
  memset(head, 0, offsetof(st_request_head, headers));
  st_request_head_state state = find_end(bytes, start, &end, fault);
  if (state != ST_HEAD_GOOD) return state;
  head->len = end;
  subtoken_text rest = {bytes.data + start, end - start}, line;
  framing seen = {0};
  if (!next_line(&rest, &line)) return head_refuse(fault, 400, "an empty request");
  state = read_request_line(line, head, &seen, fault);
  while (state == ST_HEAD_GOOD && next_line(&rest, &line)) {
    state = head_read_header(line, head, &seen, fault);
  }
  if (state != ST_HEAD_GOOD) return state;
  if (head->chunked && seen.lengths > 0) {
    return head_refuse(fault, 400, "Content-Length and Transfer-Encoding at once");
  }
  if (seen.hosts == 0 && !head->version_1_0 && !is_probe(head)) {
    return head_refuse(fault, 400, "Host is missing");
  }
  if (seen.hosts > 0 && seen.authority.len > 0 && !same_host(&seen)) {
    return head_refuse(fault, 400, "the request target and Host name different hosts");
  }
  head->keep_alive = !seen.close && (!head->version_1_0 || seen.keep_alive);
  return ST_HEAD_GOOD;
}
