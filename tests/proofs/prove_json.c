/* json: the reader stays in its text and its tables for every text, and takes nothing that the
 * grammar of RFC 8259 does not have; what it gives is UTF-8.
 */
#include "base/bytes.c"
#include "base/json.c"
#include "proof.h"

/* What every call keeps. */
static bool proof_in_bounds(const st_json *json) {
  return json->at <= json->len && json->depth >= 0 && json->depth <= ST_JSON_DEPTH_MAX &&
         json->name_count <= ST_JSON_NAMES_MAX;
}

/* proof: a_string_stays_where_it_stands
 * bound: N=3 (characters behind the quote)
 * unwind: N+4
 * loops: json_unescape.0:9 st_utf8_next.0:4
 * fault: src/base/json.c: if (step == 0 || code < 0x20) return json_fail(json);
 * with: if (step == 0) return json_fail(json);
 */
void a_string_stays_where_it_stands(void) {
  static st_json json;
  FOR_EACH_LENGTH(len, 0, N) {
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
      if (at < value.len && memchr(before, '\\', len) == NULL)
        HOLDS((uint8_t)value.data[at] >= 0x20);
      if (behind >= json.at && behind < len) HOLDS(text[behind] == before[behind]);
    }
    return;
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
 * small: N=3
 * fault: src/base/json.c: return json->at > start;
 * with: return true;
 */
void a_number_is_that_of_rfc_8259(void) {
  static st_json json;
  FOR_EACH_LENGTH(len, 0, N) {
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
    return;
  }
}
