/* What is accepted is the one spelling of what it says; any bytes come back. */
#include "base/base64url.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = fuzz_copy(data, size);
  size_t room = ST_BASE64URL_BYTES(size), len = 0;
  char *out = malloc(room + 1);
  char *again = malloc(ST_BASE64URL_LEN(size) + 1);
  if (out == NULL || again == NULL) abort();
  if (st_base64url_decode((subtoken_text){text, size}, out, room, &len)) {
    HOLD(len == room);
    st_writer writer = st_writer_on(again, size + 1);
    st_base64url_write(&writer, out, len);
    HOLD(!writer.overflow && writer.len == size && memcmp(again, text, size) == 0);
  }
  if (room > 0) HOLD(!st_base64url_decode((subtoken_text){text, size}, out, room - 1, &len));
  /* The input as bytes. */
  st_writer writer = st_writer_on(again, ST_BASE64URL_LEN(size));
  st_base64url_write(&writer, text, size);
  HOLD(!writer.overflow && writer.len == ST_BASE64URL_LEN(size));
  char *back = malloc(size + 1);
  if (back == NULL) abort();
  HOLD(st_base64url_decode((subtoken_text){again, writer.len}, back, size, &len));
  HOLD(len == size && memcmp(back, text, size) == 0);
  free(back);
  free(again);
  free(out);
  free(text);
  return 0;
}
