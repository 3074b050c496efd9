/* The reader of chunked bodies, against one that has all bytes at once and does it another way.
 * The first byte says how long the pieces are; a byte of 1 behind it stands for 2000 letters, so
 * that the limit is met. What is good is also decoded where it lies.
 */
#include "whole_body.h"

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
  subtoken_text bytes = whole_expand(data + 1, size - 1);
  char *text = (char *)(uintptr_t)bytes.data;
  size_t used = read_pieces(&chunked, bytes, data[0] + 1U, body);
  size_t used_at_once = read_pieces(&at_once, bytes, bytes.len + 1, whole);
  HOLD(chunked.state == at_once.state && used == used_at_once);
  HOLD(chunked.body_len == at_once.body_len && memcmp(body, whole, chunked.body_len) == 0);
  bool good = whole_read_chunked(bytes, want, &want_len, &want_used);
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
