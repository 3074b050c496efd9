/* The pairs of a query or of a form body (WHATWG URL standard, application/x-www-form-urlencoded
 * parsing). What a pair means, and which may stand there twice, is for the caller.
 */
#include "service/form.h"

/* Decodes + and %XX. The decoded text is never longer than the raw one. */
static bool form_decode(subtoken_text raw, st_writer *out, subtoken_text *decoded) {
  size_t start = out->len;
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      int high = raw.len - i >= 3 ? st_hex_value(raw.data[i + 1]) : -1;
      int low = raw.len - i >= 3 ? st_hex_value(raw.data[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = (char)(high << 4 | low);
      i += 2;
    }
    st_write_char(out, c);
  }
  *decoded = (subtoken_text){out->out + start, out->len - start};
  return !out->overflow;
}

bool st_form_next_pair(st_cutter *cutter, st_writer *out, st_pair *pair) {
  subtoken_text piece;
  do {
    if (!st_cut(cutter, '&', &piece)) return false;
  } while (piece.len == 0);
  st_cutter inner = {piece, false};
  (void)st_cut(&inner, '=', &pair->name);
  pair->value = inner.done ? (subtoken_text){piece.data + piece.len, 0} : inner.rest;
  bool good = form_decode(pair->name, out, &pair->name);
  pair->bad_escape = !form_decode(pair->value, out, &pair->value) || !good;
  return true;
}
