/* The reader of chunked bodies, against one that has all bytes at once and does it another way.
 * The first byte says how long the pieces are; a byte of 1 behind it stands for 2000 letters, so
 * that the limit is met. What is good is also decoded where it lies.
 */
#include "fuzz.h"
#include "service/chunked.h"

#define LETTERS 2000

static subtoken_text expand(const uint8_t *data, size_t size) {
  size_t marks = 0, len = 0;
  for (size_t i = 0; i < size && marks < 6; i++) marks += data[i] == 1;
  char *bytes = malloc(size + marks * LETTERS + 1);
  if (bytes == NULL) abort();
  for (size_t i = 0; i < size; i++) {
    size_t count = data[i] == 1 && marks > 0 ? LETTERS : 1;
    marks -= count > 1;
    memset(bytes + len, data[i] == 1 ? 'x' : data[i], count);
    len += count;
  }
  return (subtoken_text){bytes, len};
}

/* A line of hex digits with CRLF behind it. False: it is none, or not whole. */
static bool read_size(subtoken_text *rest, size_t *size) {
  const char *end = memchr(rest->data, '\r', rest->len);
  size_t len = end != NULL ? (size_t)(end - rest->data) : rest->len;
  if (len < 1 || len > 8 || strspn(rest->data, "0123456789abcdefABCDEF") != len) return false;
  if (len + 2 > rest->len || rest->data[len + 1] != '\n') return false;
  *size = strtoul(rest->data, NULL, 16);
  *rest = (subtoken_text){rest->data + len + 2, rest->len - len - 2};
  return true;
}

static bool read_newline(subtoken_text *rest) {
  if (rest->len < 2 || memcmp(rest->data, "\r\n", 2) != 0) return false;
  *rest = (subtoken_text){rest->data + 2, rest->len - 2};
  return true;
}

/* Is a whole good body at the front of bytes, which end in a NUL? */
static bool read_all(subtoken_text bytes, char *body, size_t *body_len, size_t *used) {
  subtoken_text rest = bytes;
  size_t size;
  *body_len = 0;
  while (read_size(&rest, &size)) {
    if (size == 0) {
      if (!read_newline(&rest)) return false;
      *used = bytes.len - rest.len;
      return true;
    }
    if (size > ST_REQUEST_BODY_MAX - *body_len || size > rest.len) return false;
    memcpy(body + *body_len, rest.data, size);
    *body_len += size;
    rest = (subtoken_text){rest.data + size, rest.len - size};
    if (!read_newline(&rest)) return false;
  }
  return false;
}

static size_t read_pieces(st_chunked *chunked, subtoken_text bytes, size_t most, char *body) {
  size_t used = 0;
  memset(chunked, 0, sizeof *chunked);
  while (used < bytes.len && chunked->state == ST_CHUNKED_MORE) {
    size_t len = bytes.len - used < most ? bytes.len - used : most;
    char *piece = fuzz_copy(bytes.data + used, len);
    size_t took = st_chunked_read(chunked, piece, len, body);
    HOLD(took == len || chunked->state != ST_CHUNKED_MORE);
    HOLD(took <= len && chunked->body_len <= ST_REQUEST_BODY_MAX);
    used += took;
    free(piece);
  }
  HOLD(used <= ST_CHUNKED_RAW_MAX);
  return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char body[ST_REQUEST_BODY_MAX], whole[ST_REQUEST_BODY_MAX], want[ST_REQUEST_BODY_MAX];
  st_chunked chunked, at_once;
  size_t want_len, want_used = 0;
  if (size < 1) return 0;
  subtoken_text bytes = expand(data + 1, size - 1);
  char *text = (char *)(uintptr_t)bytes.data;
  text[bytes.len] = '\0';
  size_t used = read_pieces(&chunked, bytes, data[0] + 1U, body);
  size_t used_at_once = read_pieces(&at_once, bytes, bytes.len + 1, whole);
  HOLD(chunked.state == at_once.state && used == used_at_once);
  HOLD(chunked.body_len == at_once.body_len && memcmp(body, whole, chunked.body_len) == 0);
  bool good = read_all(bytes, want, &want_len, &want_used);
  HOLD(good == (chunked.state == ST_CHUNKED_DONE));
  if (good) {
    HOLD(used == want_used && chunked.body_len == want_len && memcmp(body, want, want_len) == 0);
    memset(&chunked, 0, sizeof chunked);
    HOLD(st_chunked_read(&chunked, text, bytes.len, text) == want_used);
    HOLD(chunked.state == ST_CHUNKED_DONE && memcmp(text, want, want_len) == 0);
  }
  free(text);
  return 0;
}
