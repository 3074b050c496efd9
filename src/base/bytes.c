/* Views of text, classes of characters, a writer into a fixed buffer, UTF-8, comparing and wiping:
 * what all other files of the library are written with. It knows nothing of tokens.
 */
#include "base/bytes.h"

/* 16 characters a row; bytes from 0x80 are in no class. tests/unit/test_vector.c checks it. */
const uint8_t st_classes[256] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x21, 0x7B, 0x30, 0x03, 0x7B, 0x13, 0x7B, 0x7B, 0x7B, 0x7B, 0x33, 0x7B, 0x79, 0x7F, 0x7B, 0x53,
    0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7B, 0x13, 0x33, 0x7B, 0x33, 0x13,
    0x7B, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F,
    0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x33, 0x10, 0x33, 0x33, 0x7F,
    0x33, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F,
    0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x33, 0x33, 0x33, 0x7B, 0x00,
};

uint8_t st_text_class(subtoken_text text) {
  uint8_t classes = 0xFF;
  for (size_t i = 0; i < text.len; i++) classes &= st_class_of(text.data[i]);
  return classes;
}

size_t st_text_span(subtoken_text text, uint8_t class) {
  const char *at = text.data;
  size_t left = text.len;
  for (; left >= 4; left -= 4, at += 4) {
    uint8_t all = st_class_of(at[0]) & st_class_of(at[1]) & st_class_of(at[2]) & st_class_of(at[3]);
    if ((all & class) == 0) break;
  }
  for (; left > 0 && (st_class_of(*at) & class) != 0; left--) at++;
  return text.len - left;
}

static char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool st_text_is_nocase(subtoken_text text, const char *string) {
  size_t i = 0;
  for (; i < text.len && string[i] != '\0'; i++) {
    if (lower_case(text.data[i]) != lower_case(string[i])) return false;
  }
  return i == text.len && string[i] == '\0';
}

static bool text_starts(subtoken_text text, const char *bytes, size_t len) {
  return text.len >= len && memcmp(text.data, bytes, len) == 0;
}

const char *st_text_mark_error(subtoken_text text) {
  if (text_starts(text, "\xEF\xBB\xBF", 3)) {
    return "starts with a byte-order mark: save the file without one";
  }
  if (text_starts(text, "\xFF\xFE", 2) || text_starts(text, "\xFE\xFF", 2)) {
    return "starts with the byte-order mark of UTF-16: save the file as ASCII or UTF-8";
  }
  return NULL;
}

bool st_cut(st_cutter *cutter, char separator, subtoken_text *piece) {
  if (cutter->done) return false;
  subtoken_text rest = cutter->rest;
  const char *found = rest.len > 0 ? memchr(rest.data, separator, rest.len) : NULL;
  size_t i = found != NULL ? (size_t)(found - rest.data) : rest.len;
  *piece = (subtoken_text){rest.data, i};
  cutter->done = i == rest.len;
  if (!cutter->done) cutter->rest = (subtoken_text){rest.data + i + 1, rest.len - i - 1};
  return true;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

subtoken_text st_text_trim(subtoken_text text) {
  while (text.len > 0 && is_blank(text.data[text.len - 1])) text.len--;
  while (text.len > 0 && is_blank(text.data[0])) {
    text = (subtoken_text){text.data + 1, text.len - 1};
  }
  return text;
}

bool st_cut_item(st_cutter *cutter, subtoken_text *item) {
  if (!st_cut(cutter, ',', item)) return false;
  *item = st_text_trim(*item);
  return true;
}

st_writer st_writer_on(void *out, size_t size) {
  return (st_writer){out, size, 0, false};
}

void st_write(st_writer *writer, const void *data, size_t len) {
  if (writer->overflow || len > writer->size - writer->len) {
    writer->overflow = true;
    return;
  }
  if (len == 0) return;
  memcpy(writer->out + writer->len, data, len);
  writer->len += len;
}

void st_write_view(st_writer *writer, subtoken_text text) {
  st_write(writer, text.data, text.len);
}

void st_write_truncated(st_writer *writer, const char *words) {
  while (*words != '\0') st_write_char(writer, *words++);
}

void st_write_int(st_writer *writer, int64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  /* The magnitude of INT64_MIN does not fit an int64_t. */
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  for (; rest >= 100; rest /= 100) { /* two at a time, because dividing is slow */
    uint64_t pair = rest % 100;
    digits[--at] = (char)('0' + pair % 10);
    digits[--at] = (char)('0' + pair / 10);
  }
  do {
    digits[--at] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) st_write_char(writer, '-');
  st_write(writer, digits + at, sizeof digits - at);
}

bool st_writer_end(st_writer *writer) {
  if (writer->overflow || writer->len >= writer->size) {
    writer->overflow = true;
    if (writer->size > 0) writer->out[0] = '\0';
    return false;
  }
  writer->out[writer->len] = '\0';
  return true;
}

bool st_equal_secret(const void *a, const void *b, size_t len) {
  const uint8_t *x = a, *y = b;
  uint64_t differ = 0;
  for (; len >= 8; len -= 8, x += 8, y += 8) {
    uint64_t p, q;
    memcpy(&p, x, 8);
    memcpy(&q, y, 8);
    differ |= p ^ q;
    /* Hides the value from the compiler, which could otherwise stop at the first difference. */
    __asm__ __volatile__("" : "+r"(differ));
  }
  for (; len > 0; len--, x++, y++) {
    differ |= (uint64_t)(*x ^ *y);
    __asm__ __volatile__("" : "+r"(differ));
  }
  bool equal = differ == 0;
  ST_VERDICT(equal);
  return equal;
}

void subtoken_wipe(void *memory, size_t len) {
  if (len == 0) return;
  memset(memory, 0, len);
  /* Makes the compiler keep the zeros: it has to assume that they are read. */
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

size_t st_utf8_next(const char *data, size_t len, uint32_t *code_point) {
  if (len == 0) return 0;
  uint8_t first = (uint8_t)data[0];
  if (first < 0x80) {
    *code_point = first;
    return 1;
  }
  size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || need > len) return 0;
  uint32_t code = first & (0xFFU >> (need + 1));
  for (size_t i = 1; i < need; i++) {
    uint8_t next = (uint8_t)data[i];
    if ((next & 0xC0) != 0x80) return 0;
    code = code << 6 | (next & 0x3FU);
  }
  static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[need] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
  *code_point = code;
  return need;
}

bool st_utf8_valid(subtoken_text text) {
  uint32_t code_point;
  for (size_t i = 0; i < text.len;) {
    size_t step = st_utf8_next(text.data + i, text.len - i, &code_point);
    if (step == 0) return false;
    i += step;
  }
  return true;
}

/* C0, DEL, C1 (which some terminals act on even in UTF-8), and the marks that change the direction
 * of text (UAX #9 section 2). */
bool st_utf8_is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x61C || code == 0x200E ||
         code == 0x200F || (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

void st_write_escaped(st_writer *writer, subtoken_text text) {
  static const char hex[] = "0123456789abcdef";
  for (size_t i = 0; i < text.len;) {
    uint32_t code = 0;
    size_t step = st_utf8_next(text.data + i, text.len - i, &code);
    uint8_t byte = (uint8_t)text.data[i];
    char escape[4] = {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    bool plain = step > 0 && !st_utf8_is_control(code);
    st_write(writer, plain ? text.data + i : escape, plain ? step : sizeof escape);
    i += plain ? step : 1;
  }
}
