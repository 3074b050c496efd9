/* json - a strict reader (RFC 8259; RFC 7493 where it is stricter) over text that
 * it may overwrite: strings are unescaped where they stand. It refuses invalid
 * UTF-8, NUL in any spelling, unpaired surrogates, a name twice in one object
 * at any depth, and nesting deeper than 16.
 *
 * A pull reader: the caller says what must come next. The first failure sticks
 * and every later call fails too, so that checking st_json_end is enough to
 * know that the text was good; a call's own answer says whether to go on.
 */
#ifndef ST_BASE_JSON_H
#define ST_BASE_JSON_H

#include "base/bytes.h"

#define ST_JSON_DEPTH_MAX 16
/* Names in all objects that are open at one time. More are refused; the largest payload of a token
 * cannot have that many. */
#define ST_JSON_NAMES_MAX 1280

typedef struct st_json {
  char *text;
  size_t len;
  size_t at;       /* the offset of the next character; after a failure, of the error */
  bool failed;     /* not JSON, or JSON that is refused */
  bool wrong_type; /* JSON, but not of the type that the caller asked for */
  int depth;
  size_t name_count;
  struct {
    size_t first_name; /* of this object, in names */
    bool any;          /* a member or an element has been read */
  } level[ST_JSON_DEPTH_MAX];
  struct {
    uint32_t at, len;
  } names[ST_JSON_NAMES_MAX]; /* set up to name_count */
} st_json;

/* text is shorter than 4 GiB and stays where it is while it is read. */
void st_json_start(st_json *json, char *text, size_t len);

/* Objects: st_json_object, then st_json_member until it returns false, at the end of the object
 * too. Arrays: likewise. */
bool st_json_object(st_json *json);
bool st_json_member(st_json *json, subtoken_text *name);
bool st_json_array(st_json *json);
bool st_json_element(st_json *json);

bool st_json_string(st_json *json, subtoken_text *value);
/* An integer from 0 to 2^53-1, without sign, fraction or exponent. */
bool st_json_uint(st_json *json, int64_t *value);
bool st_json_bool(st_json *json, bool *value);
/* Checks a value of any type, and skips it. */
bool st_json_skip(st_json *json);
/* The type of the next value: one of { [ " 0 t f n, or 0 at the end or for anything else. */
char st_json_peek(st_json *json);

/* Nothing but white space is left, and nothing failed. */
bool st_json_end(st_json *json) __attribute__((warn_unused_result));

/* Is the text one JSON value that this reader accepts? Overwrites the text. */
bool st_json_valid(char *text, size_t len);

/* Line and column, from 1, of an offset in a text. */
void st_json_position(const char *text, size_t at, size_t *line, size_t *column);

/* Writes a string in quotes. It escapes what RFC 8259 section 7 requires, DEL, and C1; bytes that
 * are not UTF-8 become U+FFFD. */
void st_json_write_string(st_writer *writer, subtoken_text text);

#endif
