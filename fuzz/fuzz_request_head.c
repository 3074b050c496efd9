/* The head reader. The first two bytes say where the input is cut in two: what a
 * client sends in pieces is judged as if it had come at once. The third says, in
 * units of 128, how many letters a byte of 1 stands for, so that limits are met.
 */
#include "fuzz.h"
#include "service/params.h"
#include "service/request_head.h"

static void check_clean(subtoken_text text, subtoken_text within) {
  HOLD(text.data >= within.data && text.data + text.len <= within.data + within.len);
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = (uint8_t)text.data[i];
    HOLD(c == '\t' || (c >= 0x20 && c != 0x7F));
  }
}

static size_t count_lines(subtoken_text bytes, size_t len) {
  size_t lines = 0;
  for (size_t i = 0; i < len; i++) lines += bytes.data[i] == '\n';
  return lines;
}

static void check_good(subtoken_text bytes, const st_request_head *head) {
  size_t leading = bytes.data[0] == '\r' ? 1 : 0;
  HOLD(head->len <= bytes.len && head->len <= ST_HEAD_MAX);
  HOLD(memcmp(bytes.data + head->len - 4, "\r\n\r\n", 4) == 0);
  HOLD(head->content_length <= ST_REQUEST_BODY_MAX);
  HOLD(head->header_count <= ST_HEADERS_MAX);
  /* Each line was taken for one header, none lost, none made of two. */
  HOLD(count_lines(bytes, head->len) == head->header_count + 2 + leading);
  HOLD(head->method.len > 0 && head->target.len > 0);
  HOLD(head->target.data[0] == '/' || st_text_is(head->method, "CONNECT") ||
       (st_text_is(head->method, "OPTIONS") && st_text_is(head->target, "*")));
  HOLD(head->target.len <= SUBTOKEN_TARGET_MAX);
  check_clean(head->method, bytes);
  check_clean(head->target, bytes);
  for (size_t i = 0; i < head->header_count; i++) {
    const st_header *header = &head->headers[i];
    HOLD(header->name.len > 0);
    if (st_text_is_nocase(header->name, "Transfer-Encoding")) {
      HOLD(head->chunked && st_text_is_nocase(header->value, "chunked") && !head->version_1_0);
    }
    HOLD(!head->chunked || !st_text_is_nocase(header->name, "Content-Length"));
    check_clean(header->name, bytes);
    check_clean(header->value, bytes);
  }
}

static void check_bad(const st_problem *fault) {
  static const int statuses[] = {400, 413, 414, 417, 431, 505};
  bool known = false;
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
    known = known || fault->status == statuses[i];
  }
  HOLD(known && fault->text != NULL && fault->text[0] != '\0');
  HOLD(strcmp(fault->event, "limit") == 0 || strcmp(fault->event, "bad_framing") == 0);
}

static subtoken_text expand(const uint8_t *data, size_t size, size_t letters) {
  size_t marks = 0;
  for (size_t i = 0; i < size; i++) marks += data[i] == 1;
  if (marks > 4) return (subtoken_text){fuzz_copy(data, size), size};
  char *bytes = malloc(size + marks * letters + 1);
  if (bytes == NULL) abort();
  size_t len = 0;
  for (size_t i = 0; i < size; i++) {
    size_t count = data[i] == 1 ? letters : 1;
    memset(bytes + len, data[i] == 1 ? 'x' : data[i], count);
    len += count;
  }
  subtoken_text whole = {fuzz_copy(bytes, len), len};
  free(bytes);
  return whole;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  st_request_head head, part_head;
  st_problem fault = {0}, part_fault = {0};
  if (size < 3) return 0;
  subtoken_text bytes = expand(data + 3, size - 3, (size_t)data[2] * 128);
  size_t cut = (size_t)(data[0] << 8 | data[1]) % (bytes.len + 1);
  subtoken_text part = {fuzz_copy(bytes.data, cut), cut};
  st_request_head_state whole = st_request_head_read(bytes, &head, &fault);
  st_request_head_state piece = st_request_head_read(part, &part_head, &part_fault);
  if (whole == ST_HEAD_GOOD) check_good(bytes, &head);
  if (whole == ST_HEAD_BAD) check_bad(&fault);
  if (whole == ST_HEAD_MORE) HOLD(piece == ST_HEAD_MORE && bytes.len < ST_HEAD_MAX);
  if (piece != ST_HEAD_MORE) HOLD(piece == whole);
  if (piece == ST_HEAD_GOOD) {
    HOLD(part_head.len == head.len && part_head.header_count == head.header_count);
    HOLD(part_head.content_length == head.content_length);
    HOLD(part_head.keep_alive == head.keep_alive && part_head.chunked == head.chunked);
  }
  if (piece == ST_HEAD_BAD) {
    HOLD(part_fault.status == fault.status && strcmp(part_fault.text, fault.text) == 0);
  }
  free((void *)(uintptr_t)bytes.data);
  free((void *)(uintptr_t)part.data);
  return 0;
}
