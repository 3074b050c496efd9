/* What is accepted is the one spelling of what it says; any bytes come back; and the
 * processor's instructions do the same as plain C.
 */
#include "base/base64url.h"
#include "base/hmac.h"
#include "base/vector.h"
#include "fuzz.h"

static uint8_t *room_of(size_t size) {
  uint8_t *room = malloc(size > 0 ? size : 1);
  if (room == NULL) abort();
  return room;
}

/* Into blocks of the exact size, by both kinds of processor. */
static void decodes_alike(uint8_t cpu, subtoken_text text) {
  size_t room = ST_BASE64URL_BYTES(text.len), plain_len = 0, fast_len = 0;
  uint8_t *plain = room_of(room), *fast = room_of(room);
  bool good = st_base64url_decode(text, plain, room, &plain_len);
  HOLD(st_base64url_decode_by(cpu, text, fast, room, &fast_len) == good);
  HOLD(st_base64url_valid(text) == good);
  HOLD(!good || (fast_len == plain_len && memcmp(plain, fast, plain_len) == 0));
  if ((cpu & ST_CPU_VECTOR) != 0) {
    size_t done = st_vector_base64url_decode(text.data, text.len, fast), whole = text.len / 4 * 4;
    HOLD(done == 0 || (done == whole && whole >= 16));
    HOLD(!good || whole < 16 || (done == whole && memcmp(plain, fast, whole / 4 * 3) == 0));
  }
  free(plain);
  free(fast);
}

static void encodes_alike(uint8_t cpu, subtoken_text data) {
  size_t room = ST_BASE64URL_LEN(data.len);
  uint8_t *plain = room_of(room), *fast = room_of(room);
  st_writer one = st_writer_on(plain, room), two = st_writer_on(fast, room);
  st_base64url_write(&one, data.data, data.len);
  st_base64url_write_by(cpu, &two, data.data, data.len);
  HOLD(!one.overflow && !two.overflow && one.len == room && two.len == room);
  HOLD(memcmp(plain, fast, room) == 0);
  free(plain);
  free(fast);
}

/* The standard alphabet: what is accepted is the one spelling, and says what the other
 * alphabet would; and any bytes come back.
 */
static void standard_alphabet(subtoken_text text, st_padding padding) {
  size_t room = ST_BASE64URL_BYTES(text.len), len = 0, other_len = 0;
  uint8_t *out = room_of(room), *other = room_of(room);
  if (st_base64_read(text, padding, out, room, &len)) {
    char *again = fuzz_copy(text.data, text.len);
    st_writer writer = st_writer_on(again, text.len);
    st_base64_write(&writer, padding, out, len);
    HOLD(!writer.overflow && writer.len == text.len);
    HOLD(text.len == 0 || memcmp(again, text.data, text.len) == 0);
    size_t bare = 0;
    for (; bare < text.len && again[bare] != '='; bare++) {
      if (again[bare] == '+') again[bare] = '-';
      if (again[bare] == '/') again[bare] = '_';
    }
    HOLD(st_base64url_decode((subtoken_text){again, bare}, other, room, &other_len));
    HOLD(other_len == len && memcmp(other, out, len) == 0);
    free(again);
  }
  size_t whole = padding == ST_PADDED ? ST_BASE64_LEN(text.len) : ST_BASE64URL_LEN(text.len);
  char *written = (char *)room_of(whole);
  uint8_t *back = room_of(text.len);
  st_writer writer = st_writer_on(written, whole);
  st_base64_write(&writer, padding, text.data, text.len);
  HOLD(!writer.overflow && writer.len == whole);
  HOLD(st_base64_read((subtoken_text){written, whole}, padding, back, text.len, &len));
  HOLD(len == text.len && (len == 0 || memcmp(back, text.data, len) == 0));
  free(back);
  free(written);
  free(other);
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t cpu, asked;
  if (asked == 0) cpu = st_cpu_features();
  asked = 1;
  char *text = fuzz_copy(data, size);
  decodes_alike(cpu, (subtoken_text){text, size});
  encodes_alike(cpu, (subtoken_text){text, size});
  standard_alphabet((subtoken_text){text, size}, ST_PADDED);
  standard_alphabet((subtoken_text){text, size}, ST_UNPADDED);
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
