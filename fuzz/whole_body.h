/* whole_body - a reader of chunked bodies that has all bytes at once, and does it another way than
 * service/chunked.c: what fuzz_chunked.c and fuzz_connection.c compare with.
 */
#ifndef FUZZ_WHOLE_BODY_H
#define FUZZ_WHOLE_BODY_H

#include "fuzz.h"
#include "service/chunked.h"

#define WHOLE_LETTERS 2000

/* A byte of 1 stands for so many letters, at most six times. With a NUL behind them; free them. */
static inline subtoken_text whole_expand(const uint8_t *data, size_t size) {
  size_t marks = 0, len = 0;
  for (size_t i = 0; i < size && marks < 6; i++) marks += data[i] == 1;
  char *bytes = malloc(size + marks * WHOLE_LETTERS + 1);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < size; i++) {
    size_t count = data[i] == 1 && marks > 0 ? WHOLE_LETTERS : 1;
    marks -= count > 1;
    memset(bytes + len, data[i] == 1 ? 'x' : data[i], count);
    len += count;
  }
  bytes[len] = '\0';
  return (subtoken_text){bytes, len};
}

/* A line of hex digits with CRLF behind it. False: it is none, or not whole. */
static inline bool whole_read_size(subtoken_text *rest, size_t *size) {
  const char *end = memchr(rest->data, '\r', rest->len);
  size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
  if (len < 1 || len > 8 || strspn(rest->data, "0123456789abcdefABCDEF") != len) return false;
  if (len + 2 > rest->len || rest->data[len + 1] != '\n') return false;
  *size = strtoul(rest->data, NULL, 16);
  *rest = (subtoken_text){rest->data + len + 2, rest->len - len - 2};
  return true;
}

static inline bool whole_read_newline(subtoken_text *rest) {
  if (rest->len < 2 || memcmp(rest->data, "\r\n", 2) != 0) return false;
  *rest = (subtoken_text){rest->data + 2, rest->len - 2};
  return true;
}

/* Is a whole good body at the front of bytes, which end in a NUL? */
static inline bool whole_read_chunked(subtoken_text bytes, char *body, size_t *body_len,
                                      size_t *used) {
  subtoken_text rest = bytes;
  size_t size;
  *body_len = 0;
  while (whole_read_size(&rest, &size)) {
    if (size == 0) {
      if (!whole_read_newline(&rest)) return false;
      *used = bytes.len - rest.len;
      return true;
    }
    if (size > ST_REQUEST_BODY_MAX - *body_len || size > rest.len) return false;
    memcpy(body + *body_len, rest.data, size);
    *body_len += size;
    rest = (subtoken_text){rest.data + size, rest.len - size};
    if (!whole_read_newline(&rest)) return false;
  }
  return false;
}

#endif
