/* The strict JSON reader and the writer of JSON strings that base/json.h describes. It does not
 * allocate: it unescapes strings in place, and keeps the names of open objects to find duplicates.
 */
#include "base/json.h"

void st_json_start(st_json *json, char *text, size_t len) {
  json->text = text;
  json->len = len;
  json->at = 0;
  json->failed = len > UINT32_MAX;
  json->wrong_type = false;
  json->depth = 0;
  json->name_count = 0;
}

static bool json_fail(st_json *json) {
  json->failed = true;
  return false;
}

/* The next value is not of the type that the caller asked for, or there is none. */
static bool json_fail_type(st_json *json) {
  json->wrong_type = st_json_peek(json) != '\0';
  return json_fail(json);
}

static void skip_space(st_json *json) {
  while (json->at < json->len) {
    char c = json->text[json->at];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
    json->at++;
  }
}

/* The next character behind white space, or NUL, which no JSON text has. */
static char json_next_char(st_json *json) {
  if (json->at < json->len && json->text[json->at] > ' ') return json->text[json->at];
  skip_space(json);
  return json->at < json->len ? json->text[json->at] : '\0';
}

char st_json_peek(st_json *json) {
  if (json->failed) return '\0';
  char c = json_next_char(json);
  if (c == '-' || (c >= '0' && c <= '9')) return '0';
  return c == '{' || c == '[' || c == '"' || c == 't' || c == 'f' || c == 'n' ? c : '\0';
}

static bool json_take(st_json *json, char wanted) {
  if (json_next_char(json) != wanted) return json_fail(json);
  json->at++;
  return true;
}

static bool hex4(const st_json *json, size_t at, uint32_t *value) {
  if (json->len - at < 4) return false;
  *value = 0;
  for (size_t i = 0; i < 4; i++) {
    int digit = st_hex_value(json->text[at + i]);
    if (digit < 0) return false;
    *value = *value << 4 | (uint32_t)digit;
  }
  return true;
}

static size_t put_utf8(char *out, uint32_t code) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xC0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3F));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 0x3F));
  out[2] = (char)(0x80 | (code >> 6 & 0x3F));
  out[3] = (char)(0x80 | (code & 0x3F));
  return 4;
}

/* json->at is behind `\u`. A pair of surrogates is one character. */
static bool unescape_unicode(st_json *json, size_t *to) {
  uint32_t code, low;
  if (!hex4(json, json->at, &code)) return false;
  json->at += 4;
  if (code == 0 || (code >= 0xDC00 && code <= 0xDFFF)) return false;
  if (code >= 0xD800 && code <= 0xDBFF) {
    if (json->len - json->at < 6 || json->text[json->at] != '\\' ||
        json->text[json->at + 1] != 'u' || !hex4(json, json->at + 2, &low) || low < 0xDC00 ||
        low > 0xDFFF) {
      return false;
    }
    json->at += 6;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  *to += put_utf8(json->text + *to, code);
  return true;
}

/* json->at is behind a backslash; writes the character at *to. */
static bool json_unescape(st_json *json, size_t *to) {
  static const char from[] = "\"\\/bfnrt";
  static const char into[] = "\"\\/\b\f\n\r\t";
  if (json->at >= json->len) return false;
  char c = json->text[json->at++];
  if (c == 'u') return unescape_unicode(json, to);
  for (size_t i = 0; i < sizeof from - 1; i++) {
    if (c != from[i]) continue;
    json->text[(*to)++] = into[i];
    return true;
  }
  return false;
}

/* json->at is behind the opening quote. Writing never overtakes reading, because no escape is
 * shorter than its character. */
static bool json_string_rest(st_json *json, subtoken_text *value) {
  size_t start = json->at, to = json->at;
  while (json->at < json->len) {
    char c = json->text[json->at];
    if (c == '"') {
      *value = (subtoken_text){json->text + start, to - start};
      json->at++;
      return true;
    }
    if (c == '\\') {
      json->at++;
      if (!json_unescape(json, &to)) return json_fail(json);
      continue;
    }
    uint32_t code;
    size_t step = st_utf8_next(json->text + json->at, json->len - json->at, &code);
    if (step == 0 || code < 0x20) return json_fail(json);
    if (to != json->at) memmove(json->text + to, json->text + json->at, step);
    json->at += step;
    to += step;
  }
  return json_fail(json);
}

bool st_json_string(st_json *json, subtoken_text *value) {
  if (json->failed) return false;
  if (json_next_char(json) != '"') return json_fail_type(json);
  json->at++;
  return json_string_rest(json, value);
}

static bool json_enter(st_json *json, char bracket) {
  if (json->failed) return false;
  if (json_next_char(json) != bracket) return json_fail_type(json);
  if (json->depth == ST_JSON_DEPTH_MAX) return json_fail(json);
  json->at++;
  json->level[json->depth].first_name = json->name_count;
  json->level[json->depth].any = false;
  json->depth++;
  return true;
}

bool st_json_object(st_json *json) {
  return json_enter(json, '{');
}

bool st_json_array(st_json *json) {
  return json_enter(json, '[');
}

/* Reads the closing bracket, or the comma before the next item. */
static bool json_another(st_json *json, char closing) {
  if (json->failed || json->depth == 0) return json_fail(json);
  bool *any = &json->level[json->depth - 1].any;
  if (json_next_char(json) == closing) {
    json->at++;
    json->depth--;
    json->name_count = json->level[json->depth].first_name;
    return false;
  }
  if (*any && !json_take(json, ',')) return false;
  *any = true;
  return true;
}

bool st_json_element(st_json *json) {
  return json_another(json, ']');
}

/* Keeps the name. False when this object has it already. */
static bool new_name(st_json *json, subtoken_text name) {
  size_t first = json->level[json->depth - 1].first_name;
  for (size_t i = first; i < json->name_count; i++) {
    subtoken_text known = {json->text + json->names[i].at, json->names[i].len};
    if (st_text_equal(known, name)) return false;
  }
  if (json->name_count == ST_JSON_NAMES_MAX) return false;
  json->names[json->name_count].at = (uint32_t)(name.data - json->text);
  json->names[json->name_count].len = (uint32_t)name.len;
  json->name_count++;
  return true;
}

bool st_json_member(st_json *json, subtoken_text *name) {
  if (!json_another(json, '}')) return false;
  if (json_next_char(json) != '"') return json_fail(json);
  size_t quote = json->at++;
  if (!json_string_rest(json, name)) return false;
  if (!new_name(json, *name)) {
    json->at = quote;
    return json_fail(json);
  }
  return json_take(json, ':');
}

/* Digits, at least one. */
static bool json_digits(st_json *json) {
  size_t start = json->at;
  while (json->at < json->len && json->text[json->at] >= '0' && json->text[json->at] <= '9') {
    json->at++;
  }
  return json->at > start;
}

static bool next_is(const st_json *json, char c) {
  return json->at < json->len && json->text[json->at] == c;
}

/* A number (RFC 8259 section 6). */
static bool json_number(st_json *json, bool *integer) {
  *integer = true;
  if (next_is(json, '-')) {
    *integer = false;
    json->at++;
  }
  if (next_is(json, '0')) {
    json->at++;
  } else if (!json_digits(json)) {
    return json_fail(json);
  }
  if (next_is(json, '.')) {
    *integer = false;
    json->at++;
    if (!json_digits(json)) return json_fail(json);
  }
  if (next_is(json, 'e') || next_is(json, 'E')) {
    *integer = false;
    json->at++;
    if (next_is(json, '+') || next_is(json, '-')) json->at++;
    if (!json_digits(json)) return json_fail(json);
  }
  /* `01`: no digit may follow a number. */
  if (json->at < json->len && json->text[json->at] >= '0' && json->text[json->at] <= '9') {
    return json_fail(json);
  }
  return true;
}

bool st_json_uint(st_json *json, int64_t *value) {
  if (json->failed) return false;
  if (st_json_peek(json) != '0') return json_fail_type(json);
  size_t start = json->at;
  bool integer;
  if (!json_number(json, &integer)) return false;
  int64_t sum = 0;
  for (size_t i = start; integer && i < json->at; i++) {
    sum = sum * 10 + (json->text[i] - '0');
    if (sum > SUBTOKEN_TIME_MAX) integer = false;
  }
  if (!integer) {
    json->at = start;
    return json_fail_type(json);
  }
  *value = sum;
  return true;
}

static bool json_literal(st_json *json, subtoken_text word) {
  if (json->len - json->at < word.len || memcmp(json->text + json->at, word.data, word.len) != 0) {
    return json_fail(json);
  }
  json->at += word.len;
  return true;
}

bool st_json_bool(st_json *json, bool *value) {
  char c = st_json_peek(json);
  if (json->failed) return false;
  if (c != 't' && c != 'f') return json_fail_type(json);
  *value = c == 't';
  return json_literal(json, *value ? ST_TEXT("true") : ST_TEXT("false"));
}

/* Skips one value, or the opening bracket of an object or an array. */
static bool skip_one(st_json *json) {
  subtoken_text text;
  bool integer;
  switch (st_json_peek(json)) {
    case '{': return st_json_object(json);
    case '[': return st_json_array(json);
    case '"': return st_json_string(json, &text);
    case '0': return json_number(json, &integer);
    case 't': return json_literal(json, ST_TEXT("true"));
    case 'f': return json_literal(json, ST_TEXT("false"));
    case 'n': return json_literal(json, ST_TEXT("null"));
    default: return json_fail(json);
  }
}

bool st_json_skip(st_json *json) {
  uint32_t objects = 0; /* bit n: the bracket opened at depth n was a brace */
  int floor = json->depth;
  do {
    bool brace = st_json_peek(json) == '{';
    int depth = json->depth;
    if (!skip_one(json)) return false;
    if (json->depth > depth) objects = (objects & ~(1U << depth)) | (brace ? 1U << depth : 0);
    subtoken_text name;
    while (json->depth > floor) {
      bool more =
          objects >> (json->depth - 1) & 1U ? st_json_member(json, &name) : st_json_element(json);
      if (json->failed) return false;
      if (more) break;
    }
  } while (json->depth > floor);
  return true;
}

bool st_json_end(st_json *json) {
  if (json->failed || json->depth != 0) return false;
  skip_space(json);
  return json->at == json->len;
}

bool st_json_valid(char *text, size_t len) {
  st_json json;
  st_json_start(&json, text, len);
  return st_json_skip(&json) && st_json_end(&json);
}

void st_json_position(const char *text, size_t at, size_t *line, size_t *column) {
  *line = 1;
  *column = 1;
  for (size_t i = 0; i < at; i++) {
    *column = text[i] == '\n' ? 1 : *column + 1;
    if (text[i] == '\n') (*line)++;
  }
}

/* The length of the character at `at`, or 0 when there is none. */
static size_t character_len(subtoken_text text, size_t at) {
  uint32_t code;
  return st_utf8_next(text.data + at, text.len - at, &code);
}

void st_json_write_string(st_writer *writer, subtoken_text text) {
  static const char hex[] = "0123456789abcdef";
  st_write_char(writer, '"');
  for (size_t i = 0; i < text.len; i++) {
    subtoken_text rest = {text.data + i, text.len - i};
    size_t plain = st_text_span(rest, ST_CHAR_STRING);
    st_write(writer, rest.data, plain);
    i += plain;
    if (i == text.len) break;
    char c = text.data[i];
    size_t len = character_len(text, i);
    if (len == 0) {
      st_write_literal(writer, "\xEF\xBF\xBD"); /* U+FFFD for bytes that are not UTF-8 */
    } else if (len == 2 && c == '\xC2' && (uint8_t)text.data[i + 1] < 0xA0) {
      i++; /* U+0080 to U+009F, which some terminals act on */
      st_write_literal(writer, "\\u00");
      st_write_char(writer, hex[(uint8_t)text.data[i] >> 4]);
      st_write_char(writer, hex[text.data[i] & 15]);
    } else if (len > 1) {
      st_write(writer, text.data + i, len);
      i += len - 1;
    } else if (c == '"' || c == '\\') {
      st_write_char(writer, '\\');
      st_write_char(writer, c);
    } else { /* controls and DEL */
      st_write_literal(writer, "\\u00");
      st_write_char(writer, hex[(unsigned char)c >> 4]);
      st_write_char(writer, hex[c & 15]);
    }
  }
  st_write_char(writer, '"');
}
