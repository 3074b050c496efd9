/* json: the reader stays in its text and its tables for every text, and takes nothing that the
 * grammar of RFC 8259 does not have; what it gives is UTF-8.
 */
#include "base/bytes.c"
#include "base/json.h"

/* What the changed text of json.c calls. */
static bool proof_string_rest(st_json *json, subtoken_text *value);

#include "base/json.c"
#include "proof.h"

/* What every call keeps. */
static bool proof_in_bounds(const st_json *json) {
  return json->at <= json->len && json->depth >= 0 && json->depth <= ST_JSON_DEPTH_MAX &&
         json->name_count <= ST_JSON_NAMES_MAX;
}

/* The character that four digits stand for, or 0 where there are none. */
static uint32_t proof_hex4(const char *text, size_t len) {
  uint32_t value = 0;
  if (len < 4) return 0;
  for (size_t i = 0; i < 4; i++) {
    char c = text[i];
    bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'F', lower = c >= 'a' && c <= 'f';
    if (!digit && !upper && !lower) return 0;
    value = value * 16 + (uint32_t)(c - (digit ? '0' : upper ? 'A' - 10 : 'a' - 10));
  }
  return value;
}

/* What stands behind a backslash: the character by RFC 8259 section 7, and its length; 0: none. */
static uint32_t proof_escape(const char *text, size_t len, size_t *taken) {
  *taken = 1;
  switch (len > 0 ? text[0] : '\0') {
    case '"':
    case '\\':
    case '/': return (uint8_t)text[0];
    case 'b': return 8;
    case 'f': return 12;
    case 'n': return 10;
    case 'r': return 13;
    case 't': return 9;
    case 'u': break;
    default: return 0;
  }
  uint32_t code = proof_hex4(text + 1, len - 1), low;
  *taken = 5;
  if (code < 0xD800 || code > 0xDFFF) return code;
  if (code > 0xDBFF || len < 7 || text[5] != '\\' || text[6] != 'u') return 0;
  low = proof_hex4(text + 7, len - 7);
  *taken = 11;
  return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00 : 0;
}

/* proof: an_escape_is_its_character
 * bound: none: an escape has at most N=11 characters behind its backslash; brief N=11
 * each: LEN=0..N
 * unwind: 14
 * fault: src/base/json.c: if (json->len - at < 4) return false
 * with: if (json->len - at < 3) return false
 * fault: src/base/json.c: json->len - json->at < 6
 * with: json->len - json->at < 1
 * fault: src/base/json.c: if (code == 0 ||
 * with: if (
 * fault: src/base/json.c: low < 0xDC00 ||
 * with: low < 0xDB00 ||
 * fault: src/base/json.c: out[1] = (char)(0x80 | (code >> 12 & 0x3F));
 * with: out[1] = (char)(0x80 | (code >> 12 & 0x1F));
 */
void an_escape_is_its_character(void) {
  static st_json json;
  const size_t len = LEN;
  char *text = proof_block(len + 1), *before = proof_copy(text, len + 1);
  size_t to = 0, taken;
  uint32_t code = proof_escape(before + 1, len, &taken), written;
  st_json_start(&json, text, len + 1);
  json.at = 1;
  bool good = json_unescape(&json, &to);
  HOLDS(good == (code > 0) && json.at <= json.len);
  if (!good) return;
  HOLDS(json.at == 1 + taken && to > 0 && to < json.at);
  HOLDS(st_utf8_next(text, to, &written) == to && written == code);
}

/* proof: a_string_stays_where_it_stands
 * bound: N=8 (characters behind the quote; escapes of one character)
 * each: LEN=0..N
 * small: N=3
 * unwind: LEN+2
 * loops: json_unescape.0:9 st_utf8_next.0:4
 * limit: src/base/json.c: if (c == 'u') return unescape_unicode(json, to);
 * with: if (c == 'u') return false;
 * fault: src/base/json.c: if (step == 0 || code < 0x20) return json_fail(json);
 * with: if (step == 0) return json_fail(json);
 * fault: src/base/json.c: to += step;
 * with: to += 1;
 */
void a_string_stays_where_it_stands(void) {
  static st_json json;
  const size_t len = LEN;
  char *text = proof_block(len), *before = proof_copy(text, len);
  subtoken_text value = {NULL, 0};
  st_json_start(&json, text, len);
  bool good = json_string_rest(&json, &value);
  HOLDS(proof_in_bounds(&json) && good == !json.failed);
  if (good) {
    HOLDS(value.data == text && value.len < json.at && before[json.at - 1] == '"');
    HOLDS(st_utf8_valid(value));
    size_t at = nondet_size(), behind = nondet_size();
    if (at < value.len) HOLDS(value.data[at] != '\0');
    if (at < value.len && memchr(before, '\\', len) == NULL) HOLDS((uint8_t)value.data[at] >= 0x20);
    if (behind >= json.at && behind < len) HOLDS(text[behind] == before[behind]);
  }
}

/* A number by the grammar of RFC 8259 section 6: its length, or 0. */
static size_t proof_number(const char *text, size_t len) {
  size_t at = len > 0 && text[0] == '-', start = at;
  while (at < len && text[at] >= '0' && text[at] <= '9') at++;
  if (at == start || (text[start] == '0' && at > start + 1)) return 0;
  if (at < len && text[at] == '.') {
    start = ++at;
    while (at < len && text[at] >= '0' && text[at] <= '9') at++;
    if (at == start) return 0;
  }
  if (at < len && (text[at] == 'e' || text[at] == 'E')) {
    at++;
    if (at < len && (text[at] == '+' || text[at] == '-')) at++;
    start = at;
    while (at < len && text[at] >= '0' && text[at] <= '9') at++;
    if (at == start) return 0;
  }
  return at;
}

static bool proof_whole(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return true;
}

/* proof: a_number_is_that_of_rfc_8259
 * bound: N=7 (characters)
 * each: LEN=0..N
 * small: N=3
 * fault: src/base/json.c: return json->at > start;
 * with: return true;
 */
void a_number_is_that_of_rfc_8259(void) {
  static st_json json;
  const size_t len = LEN;
  char *text = proof_block(len);
  st_json_start(&json, text, len);
  bool integer, good = json_number(&json, &integer);
  size_t right = proof_number(text, len);
  HOLDS(good == (right > 0) && (!good || json.at == right));
  if (good) HOLDS(integer == proof_whole(text, right));
  int64_t value = -1;
  st_json_start(&json, text, len);
  if (len > 0) ASSUME(text[0] != ' ' && text[0] != '\t' && text[0] != '\n' && text[0] != '\r');
  if (st_json_uint(&json, &value)) {
    HOLDS(good && integer && json.at == right && value >= 0 && value <= SUBTOKEN_TIME_MAX);
  } else {
    HOLDS(value == -1);
  }
}

/* What every call keeps of the tables: names lie in the text, and those of a level behind those of
 * the level around it. */
static bool proof_tables_hold(const st_json *json) {
  bool good = proof_in_bounds(json);
  for (int i = 0; i < ST_JSON_DEPTH_MAX && i < json->depth; i++) {
    size_t above = i + 1 < json->depth ? json->level[i + 1].first_name : json->name_count;
    good = good && json->level[i].first_name <= above;
  }
  for (size_t i = 0; i < ST_JSON_NAMES_MAX && i < json->name_count; i++) {
    good = good && json->names[i].at <= json->len &&
           json->names[i].len <= json->len - json->names[i].at;
  }
  return good;
}

/* A reader as any calls leave it, whoever makes them. */
static void proof_reader(st_json *json, subtoken_text text) {
  json->text = (char *)text.data;
  json->len = text.len;
  ASSUME(proof_tables_hold(json));
}

/* In place of json_string_rest: all that a_string_stays_where_it_stands lets it do to a reader. Of
 * the text it says nothing, which may be any before and after. */
static bool proof_string_rest(st_json *json, subtoken_text *value) {
  size_t start = json->at, end = nondet_size(), len = nondet_size();
  ASSUME(end >= start && end <= json->len);
  json->at = end;
  if (start == end || nondet_bool()) return json_fail(json);
  ASSUME(len < end - start);
  *value = (subtoken_text){json->text + start, len};
  return true;
}

/* proof: any_call_keeps_the_reader_within_its_bounds
 * bound: N=4 (characters; one call from any state on, so any sequence of calls; 2 levels and 2
 *   names in place of 16 and 1280, so that both ends are met)
 * each: CALL=0..7
 * small: N=3
 * unwind: N+2
 * limit: src/base/json.h: ST_JSON_DEPTH_MAX 16
 * with: ST_JSON_DEPTH_MAX 2
 * limit: src/base/json.h: ST_JSON_NAMES_MAX 1280
 * with: ST_JSON_NAMES_MAX 2
 * limit: src/base/json.c: size_t start = json->at, to = json->at;
 * with: if (true) return proof_string_rest(json, value); size_t start = 0, to = 0;
 * fault: src/base/json.c: if (json->depth == ST_JSON_DEPTH_MAX) return json_fail(json);
 * with: ;
 * fault: src/base/json.c: if (json->name_count == ST_JSON_NAMES_MAX) return false;
 * with: ;
 * fault: src/base/json.c: if (json->failed || json->depth == 0) return json_fail(json);
 * with: if (json->failed) return json_fail(json);
 */
void any_call_keeps_the_reader_within_its_bounds(void) {
  st_json json;
  subtoken_text text = proof_text(N), value = {NULL, 0};
  int64_t number;
  bool truth, good;
  proof_reader(&json, text);
  bool failed = json.failed;
  size_t at = json.at;
  switch (CALL) {
    case 0: good = st_json_object(&json); break;
    case 1: good = st_json_member(&json, &value); break;
    case 2: good = st_json_array(&json); break;
    case 3: good = st_json_element(&json); break;
    case 4: good = st_json_string(&json, &value); break;
    case 5: good = st_json_uint(&json, &number); break;
    case 6: good = st_json_bool(&json, &truth); break;
    default: good = skip_one(&json);
  }
  HOLDS(proof_tables_hold(&json));
  HOLDS(!good || (!failed && !json.failed && json.at >= at));
  HOLDS(!failed || json.failed);
  if (good && value.data != NULL) {
    HOLDS(value.data >= text.data && value.len <= (size_t)(text.data + text.len - value.data));
  }
}
