/* What our reader accepts, another one accepts too (cJSON forgives more); white space
 * around it changes nothing; a string comes back as it was written.
 */
#include <cJSON.h>

#include "base/json.h"
#include "fuzz.h"

static bool valid_wrapped(const char *text, size_t len, const char *before, const char *after) {
  size_t ahead = strlen(before), behind = strlen(after);
  char *copy = malloc(ahead + len + behind + 1);
  if (copy == NULL) abort();
  memcpy(copy, before, ahead);
  if (len > 0) memcpy(copy + ahead, text, len);
  memcpy(copy + ahead + len, after, behind);
  bool good = st_json_valid(copy, ahead + len + behind);
  free(copy);
  return good;
}

/* Strings, numbers, names: walk and keep count. Ends where st_json_skip does. */
static bool walk(st_json *json) {
  subtoken_text text;
  int64_t number;
  bool flag;
  switch (st_json_peek(json)) {
    case '{':
      if (!st_json_object(json)) return false;
      while (st_json_member(json, &text)) {
        HOLD(st_utf8_valid(text));
        HOLD(memchr(text.data, '\0', text.len) == NULL);
        if (!walk(json)) return false;
      }
      return !json->failed;
    case '[':
      if (!st_json_array(json)) return false;
      while (st_json_element(json)) {
        if (!walk(json)) return false;
      }
      return !json->failed;
    case '"':
      if (!st_json_string(json, &text)) return false;
      HOLD(st_utf8_valid(text));
      HOLD(memchr(text.data, '\0', text.len) == NULL);
      return true;
    case 't':
    case 'f': return st_json_bool(json, &flag);
    case '0': {
      /* Another number than an integer is of the wrong type here, and skipped. */
      st_json before = *json;
      if (st_json_uint(json, &number)) {
        HOLD(number >= 0 && number <= SUBTOKEN_TIME_MAX);
        return true;
      }
      if (!json->wrong_type) return false;
      *json = before;
      return st_json_skip(json);
    }
    default: return st_json_skip(json);
  }
}

static void string_comes_back(const char *text, size_t len) {
  size_t room = 6 * len + 3;
  char *out = malloc(room);
  if (out == NULL) abort();
  st_writer writer = st_writer_on(out, room);
  st_json_write_string(&writer, (subtoken_text){text, len});
  HOLD(!writer.overflow);
  st_json *json = malloc(sizeof *json);
  if (json == NULL) abort();
  subtoken_text back;
  st_json_start(json, out, writer.len);
  bool good = st_json_string(json, &back) && st_json_end(json);
  /* Whatever came in can be read back, and is the same when it was UTF-8; only NUL is
   * written so that no strict reader takes it. */
  bool utf8 = st_utf8_valid((subtoken_text){text, len});
  HOLD(good == (memchr(text, '\0', len) == NULL));
  if (good) HOLD(st_utf8_valid(back));
  if (good && utf8) HOLD(back.len == len && memcmp(back.data, text, len) == 0);
  free(json);
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = fuzz_copy(data, size);
  char *copy = fuzz_copy(data, size);
  bool good = st_json_valid(copy, size);
  free(copy);
  if (good) {
    cJSON *other = cJSON_ParseWithLength(text, size);
    HOLD(other != NULL);
    cJSON_Delete(other);
  }
  HOLD(valid_wrapped(text, size, " \t", "\r\n") == good);
  HOLD(!valid_wrapped(text, size, "", "\x01"));
  if (valid_wrapped(text, size, "[", "]") && !good) {
    /* Only more or fewer elements than one can be good inside and bad alone. */
    bool comma = memchr(text, ',', size) != NULL;
    bool blank = true;
    for (size_t i = 0; i < size; i++) blank = blank && strchr(" \t\r\n", text[i]) != NULL;
    HOLD(comma || blank);
  }
  copy = fuzz_copy(data, size);
  st_json *json = malloc(sizeof *json);
  if (json == NULL) abort();
  st_json_start(json, copy, size);
  bool walked = walk(json) && st_json_end(json);
  HOLD(walked == good);
  HOLD(json->at <= size);
  size_t line, column;
  st_json_position(copy, json->at, &line, &column);
  HOLD(line >= 1 && column >= 1 && line + column <= size + 2);
  free(json);
  free(copy);
  string_comes_back(text, size);
  free(text);
  return 0;
}
