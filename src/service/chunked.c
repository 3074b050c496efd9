/* The chunked coding, one byte at a time but for the data itself. Each state is named after what
 * has to come next, so a byte is either that or the end of the connection.
 */
#include "service/chunked.h"

#include <string.h>

enum { SIZE = 0, SIZE_LF, DATA, DATA_CR, DATA_LF, END_CR, END_LF };

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* A size of 8 digits fits, and is compared once it is whole. */
static void read_size(st_chunked *c, char byte) {
  int value = hex_value(byte);
  if (value >= 0 && c->digits < ST_CHUNK_DIGITS_MAX) {
    c->left = c->left * 16 + (size_t)value;
    c->digits++;
  } else if (byte == '\r' && c->digits > 0) {
    c->next = SIZE_LF;
  } else {
    c->state = ST_CHUNKED_BAD;
  }
}

static void expect(st_chunked *c, char byte, char wanted, int next) {
  c->next = next;
  if (byte != wanted) c->state = ST_CHUNKED_BAD;
}

/* The size is known: it is refused before its data is waited for. */
static void begin_data(st_chunked *c, char byte) {
  expect(c, byte, '\n', c->left == 0 ? END_CR : DATA);
  c->digits = 0;
  if (c->state == ST_CHUNKED_MORE && c->left > ST_REQUEST_BODY_MAX - c->body_len) {
    c->state = ST_CHUNKED_TOO_LONG;
  }
}

static void read_byte(st_chunked *c, char byte) {
  switch (c->next) {
    case SIZE: read_size(c, byte); break;
    case SIZE_LF: begin_data(c, byte); break;
    case DATA_CR: expect(c, byte, '\r', DATA_LF); break;
    case DATA_LF: expect(c, byte, '\n', SIZE); break;
    case END_CR: expect(c, byte, '\r', END_LF); break; /* anything else begins a trailer */
    default:
      expect(c, byte, '\n', END_LF);
      if (c->state == ST_CHUNKED_MORE) c->state = ST_CHUNKED_DONE;
  }
}

static size_t copy_data(st_chunked *c, const char *in, size_t len, char *body) {
  size_t part = len < c->left ? len : c->left;
  memmove(body + c->body_len, in, part);
  c->body_len += part;
  c->left -= part;
  if (c->left == 0) c->next = DATA_CR;
  return part;
}

size_t st_chunked_read(st_chunked *chunked, const char *in, size_t len, char *body) {
  size_t used = 0;
  while (used < len && chunked->state == ST_CHUNKED_MORE) {
    if (chunked->next == DATA) {
      used += copy_data(chunked, in + used, len - used, body);
    } else {
      read_byte(chunked, in[used++]);
    }
  }
  return used;
}
