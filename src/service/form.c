/* The pairs of a query or of a form body (WHATWG URL standard, application/x-www-form-urlencoded
 * parsing). What a pair means, and which may stand there twice, is for the caller.
 */
#include "service/form.h"

/* Of two hex digits; -1: they are none. */
static int form_hex_pair(const char *at) {
  int high = st_hex_value(at[0]), low = st_hex_value(at[1]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* The decoded text is never longer than the raw one. plus: what + stands for. */
static bool form_decode(subtoken_text raw, char plus, st_writer *out, subtoken_text *decoded) {
  char *start = out->out + out->len, *to = start;
  const char *end = out->out + out->size;
  size_t i = 0;
  for (; i < raw.len && to < end; i++) {
    char c = raw.data[i];
    if (c == '+') {
      c = plus;
    } else if (c == '%') {
      int byte = raw.len - i >= 3 ? form_hex_pair(raw.data + i + 1) : -1;
      if (byte < 0) {
        subtoken_wipe(start, (size_t)(to - start)); /* the writer does not know of it */
        return false;
      }
      c = (char)byte;
      i += 2;
    }
    *to++ = c;
  }
  *decoded = (subtoken_text){start, (size_t)(to - start)};
  out->len += decoded->len;
  return i >= raw.len;
}

bool st_form_decode(subtoken_text raw, st_writer *out, subtoken_text *decoded) {
  return form_decode(raw, ' ', out, decoded);
}

bool st_form_decode_path(subtoken_text raw, st_writer *out, subtoken_text *decoded) {
  return form_decode(raw, '+', out, decoded);
}

static bool form_next_piece(st_cutter *cutter, subtoken_text *piece) {
  do {
    if (!st_cut(cutter, '&', piece)) return false;
  } while (piece->len == 0);
  return true;
}

static void form_read_pair(subtoken_text piece, st_writer *out, st_pair *pair) {
  st_cutter inner = {piece, false};
  (void)st_cut(&inner, '=', &pair->name);
  pair->value = inner.done ? (subtoken_text){NULL, 0} : inner.rest;
  bool good = st_form_decode(pair->name, out, &pair->name);
  pair->bad_escape = !st_form_decode(pair->value, out, &pair->value) || !good;
}

bool st_form_next_pair(st_cutter *cutter, st_writer *out, st_pair *pair) {
  subtoken_text piece;
  if (!form_next_piece(cutter, &piece)) return false;
  form_read_pair(piece, out, pair);
  return true;
}

/* Is it certain, without decoding it, that the piece has another name? */
static bool form_has_other_name(subtoken_text piece, subtoken_text name) {
  size_t len = st_text_span(piece, ST_CHAR_NAME);
  bool plain = len == piece.len || piece.data[len] == '=';
  return plain && !st_text_equal((subtoken_text){piece.data, len}, name);
}

bool st_form_next_named(st_cutter *cutter, const char *name, st_writer *out, st_pair *pair) {
  subtoken_text piece, wanted = st_text(name);
  while (form_next_piece(cutter, &piece)) {
    size_t before = out->len;
    if (form_has_other_name(piece, wanted)) continue;
    form_read_pair(piece, out, pair);
    if (st_text_equal(pair->name, wanted)) return true;
    subtoken_wipe(out->out + before, out->len - before); /* it may be the credential */
    out->len = before;
  }
  return false;
}
