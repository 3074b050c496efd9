/* bytes: the writer never leaves its buffer, UTF-8 is that of RFC 3629, pieces of a text are the
 * text, comparing is comparing.
 */
#include "base/bytes.c"
#include "proof.h"

/* A writer as every call leaves it: N is what it has room for at most. */
static st_writer proof_writer(size_t size) {
  st_writer writer = {proof_block(size), size, nondet_size(), nondet_bool()};
  ASSUME(writer.len <= size);
  return writer;
}

/* One call, of any kind, with any argument. */
static void proof_write(st_writer *writer, const char *text, size_t len) {
  char word[3] = {(char)nondet_byte(), (char)nondet_byte(), '\0'};
  switch (nondet_byte() % 5) {
    case 0: st_write(writer, text, len); break;
    case 1: st_write_char(writer, (char)nondet_byte()); break;
    case 2: st_write_truncated(writer, word); break;
    case 3: st_write_view(writer, (subtoken_text){text, len}); break;
    default: st_write_literal(writer, "abc");
  }
}

/* proof: a_writer_stays_in_its_buffer
 * bound: N=5 (bytes of the buffer, from any state on; so of any sequence of calls), brief N=5
 * fault: src/base/bytes.c: len > writer->size - writer->len
 * with: len > writer->size - writer->len + 1
 * fault: src/base/bytes.h: writer->len >= writer->size) {
 * with: writer->len > writer->size) {
 */
void a_writer_stays_in_its_buffer(void) {
  size_t size = nondet_size(), len = nondet_size(), at = nondet_size();
  ASSUME(size <= N && len <= N + 1);
  st_writer writer = proof_writer(size), before = writer;
  ASSUME(at < before.len);
  char kept = before.out[at];
  proof_write(&writer, proof_block(len), len);
  HOLDS(writer.out == before.out && writer.size == size);
  HOLDS(writer.len <= size && writer.len >= before.len);
  HOLDS(!before.overflow || (writer.overflow && writer.len == before.len));
  HOLDS(writer.out[at] == kept);
}

/* proof: the_end_of_a_writer_is_a_nul
 * bound: N=5 (bytes of the buffer), brief N=5
 * fault: src/base/bytes.c: writer->len >= writer->size) {
 * with: writer->len > writer->size) {
 */
void the_end_of_a_writer_is_a_nul(void) {
  size_t size = nondet_size();
  ASSUME(size <= N);
  st_writer writer = proof_writer(size);
  bool fits = !writer.overflow && writer.len < size;
  HOLDS(st_writer_end(&writer) == fits);
  HOLDS(writer.overflow == !fits);
  if (size > 0) HOLDS(writer.out[fits ? writer.len : 0] == '\0');
}

/* proof: a_number_is_written_in_decimal
 * bound: N=10 (numbers of so many bits, and a sign), brief N=6
 * small: N=10
 * unwind: 21
 * fault: src/base/bytes.c: (char)('0' + pair / 10)
 * with: (char)('0' + pair % 9)
 */
void a_number_is_written_in_decimal(void) {
  int64_t value = nondet_i64(), sum = 0;
  ASSUME(value > -(INT64_C(1) << N) && value < INT64_C(1) << N);
  char text[20];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, value);
  HOLDS(!writer.overflow && writer.len > 0);
  size_t at = value < 0;
  HOLDS(at == 0 || text[0] == '-');
  HOLDS(writer.len > at && (text[at] != '0' || (value == 0 && writer.len == 1)));
  for (; at < writer.len; at++) {
    HOLDS(text[at] >= '0' && text[at] <= '9');
    sum = sum * 10 + (text[at] - '0');
  }
  HOLDS(sum == (value < 0 ? -value : value));
}

/* proof: the_largest_numbers_are_written
 * bound: none: the four at the ends of the type
 * unwind: 22
 * fault: src/base/bytes.c: char digits[20];
 * with: char digits[18];
 */
void the_largest_numbers_are_written(void) {
  char text[21];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, INT64_MIN);
  HOLDS(writer.len == 20 && memcmp(text, "-9223372036854775808", 20) == 0);
  writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, INT64_MAX);
  HOLDS(writer.len == 19 && memcmp(text, "9223372036854775807", 19) == 0);
  writer = st_writer_on(text, 19);
  st_write_int(&writer, INT64_MIN);
  HOLDS(writer.overflow);
}

static bool proof_in(uint8_t byte, uint8_t low, uint8_t high) {
  return byte >= low && byte <= high;
}

/* The length of UTF8-char at the front, as the grammar of RFC 3629 section 4 has it; 0: none. */
static size_t proof_utf8(const uint8_t *b, size_t len) {
  if (len >= 1 && b[0] < 0x80) return 1;
  if (len >= 2 && proof_in(b[0], 0xC2, 0xDF) && proof_in(b[1], 0x80, 0xBF)) return 2;
  if (len < 3 || !proof_in(b[2], 0x80, 0xBF)) return 0;
  if (b[0] == 0xE0 && proof_in(b[1], 0xA0, 0xBF)) return 3;
  if (b[0] == 0xED && proof_in(b[1], 0x80, 0x9F)) return 3;
  if (proof_in(b[0], 0xE1, 0xEF) && b[0] != 0xED && proof_in(b[1], 0x80, 0xBF)) return 3;
  if (len < 4 || !proof_in(b[3], 0x80, 0xBF)) return 0;
  if (b[0] == 0xF0 && proof_in(b[1], 0x90, 0xBF)) return 4;
  if (proof_in(b[0], 0xF1, 0xF3) && proof_in(b[1], 0x80, 0xBF)) return 4;
  return b[0] == 0xF4 && proof_in(b[1], 0x80, 0x8F) ? 4 : 0;
}

/* proof: a_character_is_that_of_rfc_3629
 * bound: none: a character has at most four bytes, and N=5 are looked at; brief N=5
 * each: LEN=0..N
 * fault: src/base/bytes.c: first > 0xF4
 * with: first > 0xF8
 * fault: src/base/bytes.c: code > 0x10FFFF
 * with: code > 0x110FFF
 * fault: src/base/bytes.c: code >= 0xD800 &&
 * with: code > 0xD800 &&
 * fault: src/base/bytes.c: need > len) return 0
 * with: need > len + 1) return 0
 */
void a_character_is_that_of_rfc_3629(void) {
  const size_t len = LEN;
  uint8_t *text = proof_block(len);
  uint32_t code = 0;
  size_t got = st_utf8_next((const char *)text, len, &code), right = proof_utf8(text, len);
  HOLDS(got == right);
  if (right == 1) HOLDS(code == text[0]);
  if (right == 2) HOLDS(code == ((text[0] & 31U) << 6 | (text[1] & 63U)));
  if (right == 3) HOLDS(code == ((text[0] & 15U) << 12 | (text[1] & 63U) << 6 | (text[2] & 63U)));
  if (right == 4) {
    HOLDS(code ==
          ((text[0] & 7U) << 18 | (text[1] & 63U) << 12 | (text[2] & 63U) << 6 | (text[3] & 63U)));
  }
}

/* proof: what_is_shown_holds_no_control_character
 * bound: N=3 (bytes of the text)
 * each: LEN=0..N
 * small: N=2
 * unwind: 4*LEN+2
 * fault: src/base/bytes.c: step > 0 && !st_utf8_is_control(code)
 * with: step > 0
 */
void what_is_shown_holds_no_control_character(void) {
  const size_t len = LEN;
  char *text = proof_block(len), *out = proof_block(4 * len);
  st_writer writer = st_writer_on(out, 4 * len);
  st_write_escaped(&writer, (subtoken_text){text, len});
  HOLDS(!writer.overflow && writer.len >= len);
  size_t at = nondet_size();
  ASSUME(at < writer.len);
  HOLDS((uint8_t)out[at] >= 0x20 && out[at] != 0x7F);
  HOLDS(at + 1 >= writer.len || (uint8_t)out[at] != 0xC2 || (uint8_t)out[at + 1] >= 0xA0);
}

/* proof: pieces_are_the_whole_text
 * bound: N=5 (characters), brief N=3
 * each: LEN=0..N
 * fault: src/base/bytes.c: rest.data + i + 1, rest.len - i - 1
 * with: rest.data + i + 1, rest.len - i
 * fault: src/base/bytes.c: cutter->done = i == rest.len
 * with: cutter->done = i + 1 >= rest.len
 */
void pieces_are_the_whole_text(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  st_cutter cutter = {{text, len}, false};
  subtoken_text piece;
  size_t at = 0, separators = 0, count = 0;
  for (size_t i = 0; i < len; i++) separators += text[i] == ',';
  while (st_cut(&cutter, ',', &piece)) {
    count++;
    HOLDS(piece.data == text + at && piece.len <= len - at);
    HOLDS(at + piece.len == len || text[at + piece.len] == ',');
    for (size_t i = 0; i < piece.len; i++) HOLDS(piece.data[i] != ',');
    at += piece.len + 1;
  }
  HOLDS(count == separators + 1 && at == len + 1);
}

/* proof: trimming_takes_blanks_alone
 * bound: N=6 (characters), brief N=4
 * each: LEN=0..N
 * fault: src/base/bytes.c: text.len > 0 && is_blank(text.data[0])
 * with: is_blank(text.data[0])
 */
void trimming_takes_blanks_alone(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  subtoken_text left = st_text_trim((subtoken_text){text, len});
  size_t front = (size_t)(left.data - text), at = nondet_size();
  HOLDS(front <= len && left.len <= len - front);
  if (left.len > 0) HOLDS(!is_blank(left.data[0]) && !is_blank(left.data[left.len - 1]));
  ASSUME(at < len);
  HOLDS((at >= front && at < front + left.len) || is_blank(text[at]));
}

/* proof: a_span_is_as_long_as_it_can_be
 * bound: N=6 (characters, all classes), brief N=4
 * each: LEN=0..N
 * fault: src/base/bytes.c: if ((all & class) == 0) break;
 * with: if (all == 0) break;
 */
void a_span_is_as_long_as_it_can_be(void) {
  const size_t len = LEN;
  const char *text = proof_block(len);
  uint8_t class = nondet_byte();
  ASSUME(class != 0 && (class & (class - 1)) == 0);
  size_t span = st_text_span((subtoken_text){text, len}, class), at = nondet_size();
  HOLDS(span <= len);
  HOLDS(span == len || (st_class_of(text[span]) & class) == 0);
  ASSUME(at < span);
  HOLDS((st_class_of(text[at]) & class) != 0);
}

/* proof: secrets_are_equal_when_all_bytes_are
 * bound: N=20 (bytes), brief N=9
 * each: LEN=0..N
 * small: N=17
 * fault: src/base/bytes.c: differ |= p ^ q
 * with: differ = p ^ q
 * fault: src/base/bytes.c: for (; len > 0; len--, x++, y++)
 * with: for (; len > 1; len--, x++, y++)
 */
void secrets_are_equal_when_all_bytes_are(void) {
  const size_t len = LEN;
  const uint8_t *a = proof_block(len), *b = proof_block(len);
  bool equal = true;
  for (size_t i = 0; i < len; i++) equal = equal && a[i] == b[i];
  HOLDS(st_equal_secret(a, b, len) == equal);
}

/* proof: hexadecimal_digits_have_their_values
 * bound: none: all characters
 * fault: src/base/bytes.h: c - 'a' + 10 : -1
 * with: c - 'a' + 9 : -1
 */
void hexadecimal_digits_have_their_values(void) {
  static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
  char c = (char)nondet_byte();
  int value = st_hex_value(c);
  HOLDS(value >= -1 && value < 16);
  if (value >= 0) HOLDS(lower[value] == c || upper[value] == c);
  unsigned digit = nondet_byte() % 16;
  HOLDS(st_hex_value(lower[digit]) == (int)digit && st_hex_value(upper[digit]) == (int)digit);
}
