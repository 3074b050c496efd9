/* paths: what is read of a target is exactly what the grammar below has, so it has one reading: no
 * empty segment, none of dots, no control character, UTF-8. Its canonical text is read as the same
 * path, and the quick scan decides as the plain reader does. That the vector scan (x86.c, arm.c,
 * wasm.c) decides alike is tested (tests/unit/test_vector.c).
 */
#include "base/bytes.c"
#include "core/paths.h"

/* What the changed text of paths.c calls: in place of check_segments, and of what is left out of a
 * proof because another one shows it. */
static subtoken_fault proof_segments(const st_path *path);
#define LEFT_OUT ((subtoken_fault)99)

#include "core/paths.c"
#include "proof.h"

size_t st_vector_path(const char *text, size_t len) {
  (void)text, (void)len;
  return 0;
}

/* The classes that paths are read by, as rules (RFC 3986 sections 2.3 and 3.3). */
uint8_t proof_class(char c) {
  bool alphanumeric = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  bool mark = c == '-' || c == '.' || c == '_' || c == '~' || c == '!' || c == '$' || c == '&' ||
              c == '\'' || c == '(' || c == ')' || c == '+' || c == ',' || c == '=' || c == ':' ||
              c == '@';
  bool plain = alphanumeric || mark, printable = c >= 0x20 && c < 0x7F;
  bool escaped = printable && c != '/' && c != '\\' && c != '%' && c != '?' && c != '#' && c != ';';
  return (uint8_t)((plain ? ST_CHAR_SEGMENT : 0) | (plain || c == '/' ? ST_CHAR_PATH : 0) |
                   (printable && c != ' ' && c != '#' ? ST_CHAR_QUERY : 0) |
                   (escaped ? ST_CHAR_ESCAPED : 0));
}

/* proof: a_character_of_a_path_is_in_its_class
 * bound: none: all characters; brief too
 * fault: src/base/bytes.c: 0x21, 0x7B, 0x30, 0x03
 * with: 0x21, 0x7B, 0x30, 0x43
 */
void a_character_of_a_path_is_in_its_class(void) {
  uint8_t c = nondet_byte();
  uint8_t classes = ST_CHAR_SEGMENT | ST_CHAR_PATH | ST_CHAR_QUERY | ST_CHAR_ESCAPED;
  HOLDS((st_classes[c] & classes) == proof_class((char)c));
}

/* The first fault of the segments of a path, byte by byte: UTF-8 is that of RFC 3629 section 4. */
static subtoken_fault proof_segments(const st_path *path) {
  bool empty = true, dots = true, may_be_control = false;
  uint8_t left = 0, low = 0, high = 0;
  for (size_t i = 1; i < path->len; i++) {
    uint8_t c = (uint8_t)path->bytes[i];
    if (left > 0) {
      if (c < low || c > high) return SUBTOKEN_FAULT_BAD_UTF8;
      if (may_be_control && c <= 0x9F) return SUBTOKEN_FAULT_ENCODED_CONTROL;
      left--, low = 0x80, high = 0xBF;
    } else if (c == '/') {
      if (empty) return SUBTOKEN_FAULT_EMPTY_SEGMENT;
      if (dots) return SUBTOKEN_FAULT_DOT_SEGMENT;
      empty = dots = true;
    } else {
      if (c >= 0x80 && (c < 0xC2 || c > 0xF4)) return SUBTOKEN_FAULT_BAD_UTF8;
      left = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
      low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
      high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
      may_be_control = c == 0xC2;
      empty = false;
      dots = dots && (c == '.' || c == ' ');
    }
  }
  if (left > 0) return SUBTOKEN_FAULT_BAD_UTF8;
  return !empty && dots ? SUBTOKEN_FAULT_DOT_SEGMENT : SUBTOKEN_FAULT_NONE;
}

/* proof: segments_are_those_of_the_grammar
 * bound: N=7 (bytes of a path)
 * each: LEN=1..N
 * small: N=4
 * unwind: LEN+1
 * fault: src/core/paths.c: if (segment.len == 0 && !cutter.done)
 * with: if (segment.len == 0 && false)
 * fault: src/core/paths.c: code != '.' && code != ' '
 * with: code != ' '
 * fault: src/core/paths.c: code >= 0x80 && code <= 0x9F
 * with: code > 0x80 && code <= 0x9F
 */
void segments_are_those_of_the_grammar(void) {
  const size_t len = LEN;
  st_path path = {.len = len, .bytes = proof_block(len)};
  HOLDS(check_segments(&path) == proof_segments(&path));
}

static bool proof_is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* Decodes a path by its grammar; false when a byte of it is not allowed as it is written. */
static bool proof_decode(const char *text, size_t len, st_path *path) {
  if (len == 0 || text[0] != '/') return false;
  path->len = 0;
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '%') {
      if (len - i < 3 || !proof_is_hex(text[i + 1]) || !proof_is_hex(text[i + 2])) return false;
      c = (char)(st_hex_value(text[i + 1]) * 16 + st_hex_value(text[i + 2]));
      if (((uint8_t)c < 0x80 && (proof_class(c) & ST_CHAR_ESCAPED) == 0)) return false;
      i += 2;
    } else if (c != '*' && (proof_class(c) & ST_CHAR_PATH) == 0) {
      return false;
    }
    path->buffer[path->len++] = c;
  }
  path->bytes = path->buffer;
  return true;
}

/* proof: a_path_is_read_by_its_grammar
 * bound: N=20 (characters; paths of at most N-1 in place of 4096: the end is met), brief N=5
 * each: LEN=0..N
 * unwind: LEN+2
 * limit: include/subtoken/common.h: SUBTOKEN_PATH_MAX 4096
 * with: SUBTOKEN_PATH_MAX (N - 1)
 * limit: src/base/bytes.h: return st_classes[(uint8_t)c];
 * with: uint8_t proof_class(char c); return proof_class(c);
 * limit: src/core/paths.c: return check_segments(path);
 * with: return SUBTOKEN_FAULT_NONE;
 * fault: src/core/paths.c: if (raw.len > SUBTOKEN_PATH_MAX)
 * with: if (raw.len > SUBTOKEN_PATH_MAX + 1)
 * fault: src/core/paths.c: byte < 0x20 || byte == 0x7F
 * with: byte < 0x20
 * fault: src/core/paths.c: case '\\': return SUBTOKEN_FAULT_ENCODED_SLASH;
 * with: return SUBTOKEN_FAULT_ENCODED_SLASH;
 * fault: src/core/paths.h: if (end - at < 3
 * with: if (end - at < 2
 */
void a_path_is_read_by_its_grammar(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  st_path path, right;
  subtoken_fault fault = path_decode((subtoken_text){text, len}, '*', &path);
  if (len > SUBTOKEN_PATH_MAX) {
    HOLDS(fault == (text[0] == '/' ? SUBTOKEN_FAULT_TOO_LONG : SUBTOKEN_FAULT_NOT_ORIGIN_FORM));
    return;
  }
  bool good = proof_decode(text, len, &right);
  HOLDS((fault == SUBTOKEN_FAULT_NONE) == good);
  if (!good) return;
  HOLDS(path.len == right.len && path.bytes == path.buffer);
  size_t at = nondet_size();
  ASSUME(at < path.len);
  HOLDS(path.bytes[at] == right.bytes[at]);
}

/* proof: an_escaped_character_is_one
 * bound: none: an escaped character has at most N=12 characters
 * each: LEN=1..N
 * unwind: 14
 * limit: src/base/bytes.h: return st_classes[(uint8_t)c];
 * with: uint8_t proof_class(char c); return proof_class(c);
 * fault: src/core/paths.c: escapes > 0 && code > 0x9F
 * with: escapes > 0 && code > 0x8F
 */
void an_escaped_character_is_one(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  ASSUME(text[0] == '%');
  scanned_character c = scan_escape(text, text + len);
  if (c.code == 0) return;
  HOLDS(c.escapes >= 1 && c.escapes <= 4 && 3 * c.escapes <= len);
  char first = (char)st_path_unescape(text, text + len);
  st_path path = {.len = c.escapes + 1, .bytes = path.buffer};
  path.buffer[0] = '/';
  for (size_t i = 0; i < c.escapes; i++) {
    HOLDS(text[3 * i] == '%' && proof_is_hex(text[3 * i + 1]) && proof_is_hex(text[3 * i + 2]));
    path.buffer[i + 1] = (char)st_path_unescape(text + 3 * i, text + len);
  }
  HOLDS(first < 0 || (c.escapes == 1 && (proof_class(first) & ST_CHAR_ESCAPED) != 0));
  HOLDS(first == '.' || first == ' ' || proof_segments(&path) == SUBTOKEN_FAULT_NONE);
}

/* proof: a_quick_reading_is_the_plain_one
 * bound: N=9 (characters of a target; paths of at most N-1)
 * each: LEN=0..N
 * small: N=4
 * unwind: LEN+2
 * loops: scan_escape_utf8.0:5 st_utf8_next.0:4
 * limit: include/subtoken/common.h: SUBTOKEN_PATH_MAX 4096
 * with: SUBTOKEN_PATH_MAX (N - 1)
 * limit: src/base/bytes.h: return st_classes[(uint8_t)c];
 * with: uint8_t proof_class(char c); return proof_class(c);
 * limit: src/core/paths.c: end > SUBTOKEN_PATH_MAX) return path_decode(raw, '*', path);
 * with: end > SUBTOKEN_PATH_MAX) return LEFT_OUT;
 * fault: src/core/paths.c: end > SUBTOKEN_PATH_MAX) return LEFT_OUT;
 * with: false) return LEFT_OUT;
 * fault: src/core/paths.c: return c != '/' && c != '.' &&
 * with: return c != '/' &&
 * fault: src/core/paths.c: return c != '/' && c != '.' &&
 * with: return c != '.' &&
 */
void a_quick_reading_is_the_plain_one(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  st_path path, right;
  subtoken_fault fault = st_paths_read_target((subtoken_text){text, len}, &path);
  if (fault != SUBTOKEN_FAULT_NONE) return;
  size_t end = 0;
  while (end < len && text[end] != '?') end++;
  HOLDS(end <= SUBTOKEN_PATH_MAX && proof_decode(text, end, &right));
  HOLDS(path.len == right.len && proof_segments(&right) == SUBTOKEN_FAULT_NONE);
  size_t at = nondet_size();
  if (at < path.len) HOLDS(path.bytes[at] == right.bytes[at]);
  if (at > end && at < len) HOLDS((proof_class(text[at]) & ST_CHAR_QUERY) != 0);
}

/* proof: the_canonical_text_is_read_as_the_same_path
 * bound: N=2 (bytes of a path)
 * each: LEN=1..N
 * unwind: 3*LEN+1
 * limit: include/subtoken/common.h: SUBTOKEN_PATH_MAX 4096
 * with: SUBTOKEN_PATH_MAX (3 * N)
 * limit: src/base/bytes.h: return st_classes[(uint8_t)c];
 * with: uint8_t proof_class(char c); return proof_class(c);
 * limit: src/core/paths.c: return check_segments(path);
 * with: return SUBTOKEN_FAULT_NONE;
 * fault: src/core/paths.c: char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
 * with: char escape[3] = {'%', hex[byte >> 4], hex[byte & 7]};
 */
void the_canonical_text_is_read_as_the_same_path(void) {
  const size_t len = LEN;
  char out[3 * N];
  st_path path = {.len = len, .bytes = proof_block(len)}, again;
  /* Any path that could have been read: its segments are not asked about, for they are its bytes.
   */
  for (size_t i = 0; i < len; i++) {
    char c = path.bytes[i];
    ASSUME(i == 0 ? c == '/' : c == '/' || c < 0 || (proof_class(c) & ST_CHAR_ESCAPED) != 0);
  }
  st_writer writer = st_writer_on(out, sizeof out);
  st_paths_write_path(&writer, &path);
  HOLDS(!writer.overflow);
  subtoken_fault fault = path_decode((subtoken_text){out, writer.len}, ST_PATH_ANY, &again);
  HOLDS(fault == SUBTOKEN_FAULT_NONE && again.len == len);
  size_t at = nondet_size();
  ASSUME(at < len);
  HOLDS(again.bytes[at] == path.bytes[at]);
}

/* proof: an_entry_is_read_quickly_as_it_is_plainly
 * bound: N=5 (characters: less than an escaped character beyond ASCII takes; entries of at most N-1
 *   in place of 1024)
 * each: LEN=0..N
 * small: N=4
 * unwind: LEN+2
 * limit: src/core/paths.c: if (byte >= 0x80) return scan_escape_utf8(at, end);
 * with: if (byte >= 0x80) return (scanned_character){0, 1};
 * limit: include/subtoken/common.h: SUBTOKEN_PATH_MAX 4096
 * with: SUBTOKEN_PATH_MAX N
 * limit: include/subtoken/common.h: SUBTOKEN_URL_MAX 1024
 * with: SUBTOKEN_URL_MAX (N - 1)
 * limit: src/base/bytes.h: return st_classes[(uint8_t)c];
 * with: uint8_t proof_class(char c); return proof_class(c);
 * limit: src/core/paths.c: return check_segments(path);
 * with: return proof_segments(path);
 * limit: src/core/paths.c: seen.len < text.len) return entry_decode(text, entry);
 * with: seen.len < text.len) return LEFT_OUT;
 * fault: src/core/paths.c: text.data[seen.len - 1] == '/') {
 * with: text.data[seen.len - 1] != '*') {
 * fault: src/core/paths.c: entry->pattern = star + 1 < text.len;
 * with: entry->pattern = star < text.len;
 * fault: src/core/paths.c: entry->wild = text->len >= 2 &&
 * with: entry->wild = text->len > 2 &&
 * fault: src/core/paths.c: {text.data, start > 0 ? start - 1 : 0};
 * with: {text.data, start};
 */
void an_entry_is_read_quickly_as_it_is_plainly(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  st_entry entry, plain;
  subtoken_text view = {text, len};
  subtoken_fault fault = st_paths_read_entry(view, &entry);
  if (fault == SUBTOKEN_FAULT_TOO_LONG) HOLDS(len > SUBTOKEN_URL_MAX);
  if (fault != SUBTOKEN_FAULT_NONE) return;
  HOLDS(len <= SUBTOKEN_URL_MAX && entry_decode(view, &plain) == SUBTOKEN_FAULT_NONE);
  HOLDS(entry.wild == plain.wild && entry.pattern == plain.pattern);
  HOLDS(entry.method.len == plain.method.len && entry.path.len == plain.path.len);
  size_t at = nondet_size();
  ASSUME(at < entry.path.len);
  HOLDS(entry.path.bytes[at] == plain.path.bytes[at]);
}
