/* bytes - views, a writer that remembers overflow, comparing and wiping. */
#ifndef ST_BASE_BYTES_H
#define ST_BASE_BYTES_H

#include <string.h>

#include "subtoken/common.h"

#define ST_TEXT(literal) ((subtoken_text){"" literal, sizeof(literal) - 1})

/* A view of a string that ends with a NUL. */
static inline subtoken_text st_text(const char *string) {
  return (subtoken_text){string, strlen(string)};
}
static inline bool st_text_equal(subtoken_text a, subtoken_text b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
/* string is a literal: its length is known when this is compiled. */
static inline bool st_text_is(subtoken_text text, const char *string) {
  return st_text_equal(text, st_text(string));
}
/* Where the character first is; text.len when it is nowhere. */
static inline size_t st_text_find(subtoken_text text, char c) {
  size_t at = 0;
  while (at < text.len && text.data[at] != c) at++;
  return at;
}
/* Are they equal but for the case of ASCII letters, as names of headers are (RFC 9110 section 5.1)?
 */
bool st_text_is_nocase(subtoken_text text, const char *string);
/* Without the spaces and tabs around it. */
subtoken_text st_text_trim(subtoken_text text);

/* The byte-order mark with which an editor begins a file that may have none, as an error; NULL
 * without one. */
const char *st_text_mark_error(subtoken_text text);

/* Cuts the text up to the next separator off the front. False when nothing is left; an empty text
 * that was never cut gives one empty piece. */
typedef struct st_cutter {
  subtoken_text rest;
  bool done;
} st_cutter;
bool st_cut(st_cutter *cutter, char separator, subtoken_text *piece);
/* The next item of a list with commas, without the spaces and tabs around it. */
bool st_cut_item(st_cutter *cutter, subtoken_text *item);

/* Classes of characters, by what they may be part of. */
enum {
  ST_CHAR_STRING =
      1, /* a JSON string without escapes: printable ASCII without quote and backslash */
  ST_CHAR_SCOPE = 2,    /* scope-token (RFC 6749 section 3.3) without the comma */
  ST_CHAR_NAME = 4,     /* A-Za-z0-9_- */
  ST_CHAR_SEGMENT = 8,  /* a path between slashes: pchar (RFC 3986 section 3.3) without ; % * */
  ST_CHAR_QUERY = 16,   /* what follows a path on a request line, without # */
  ST_CHAR_ESCAPED = 32, /* a path in escaped form: printable ASCII without / \\ % ? # ; */
  ST_CHAR_PATH = 64,    /* ST_CHAR_SEGMENT and the slash */
};
extern const uint8_t st_classes[256] __attribute__((visibility("hidden")));
static inline uint8_t st_class_of(char c) {
  return st_classes[(uint8_t)c];
}
/* The classes that all characters of the text are in; all classes for an empty text. */
uint8_t st_text_class(subtoken_text text);
/* The number of characters at the front that are in a class. */
size_t st_text_span(subtoken_text text, uint8_t class);

/* Appends to a buffer of fixed size. After an overflow it writes nothing more, and st_writer_end
 * returns false: check once, at the end. */
typedef struct st_writer {
  char *out;
  size_t size;
  size_t len;
  bool overflow;
} st_writer;

st_writer st_writer_on(void *out, size_t size);
void st_write(st_writer *writer, const void *data, size_t len);
void st_write_view(st_writer *writer, subtoken_text text);
/* Inline, so that the length of a literal is known when it is compiled. */
static inline void st_write_literal(st_writer *writer, const char *string) {
  st_write(writer, string, strlen(string));
}
static inline void st_write_char(st_writer *writer, char c) {
  if (writer->overflow || writer->len >= writer->size) {
    writer->overflow = true;
  } else {
    writer->out[writer->len++] = c;
  }
}
/* Writes a string character by character, so that one that does not fit is truncated. */
void st_write_truncated(st_writer *writer, const char *words);
void st_write_int(st_writer *writer, int64_t value);
/* Adds a NUL, which len does not count. False when something did not fit. */
bool st_writer_end(st_writer *writer) __attribute__((warn_unused_result));

/* Empties the output of a public function; false when either is NULL. */
static inline bool st_empty_out(char *out, size_t out_size, size_t *out_len) {
  if (out_len != NULL) *out_len = 0;
  if (out != NULL && out_size > 0) out[0] = '\0';
  return out != NULL && out_len != NULL;
}

/* Little-endian, at any address, on any machine; compilers make one load or store of each. */
static inline uint32_t st_load32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t st_load64(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}
static inline void st_store32(uint8_t *p, uint32_t value) {
  p[0] = (uint8_t)value;
  p[1] = (uint8_t)(value >> 8);
  p[2] = (uint8_t)(value >> 16);
  p[3] = (uint8_t)(value >> 24);
}
static inline void st_store64(uint8_t *p, uint64_t value) {
  st_store32(p, (uint32_t)value);
  st_store32(p + 4, (uint32_t)(value >> 32));
}

/* What secrets were found to be, as far as everybody may know it and a branch may depend on it. In
 * the build of tests/constant_time valgrind takes secrets for undefined, and only this makes
 * defined what came of them; in all others it is nothing. */
#ifdef ST_CONSTANT_TIME
#include <valgrind/memcheck.h>
#define ST_VERDICT(value) ((void)VALGRIND_MAKE_MEM_DEFINED(&(value), sizeof(value)))
#else
#define ST_VERDICT(value) ((void)0)
#endif

/* Are the bytes equal? The time does not depend on where they differ. */
bool st_equal_secret(const void *a, const void *b, size_t len) __attribute__((warn_unused_result));

/* 0 to 15, or -1. */
static inline int st_hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the UTF-8 sequence at the front of data (RFC 3629: shortest
 * form, no surrogates, at most U+10FFFF) and its code point, or 0.
 */
size_t st_utf8_next(const char *data, size_t len, uint32_t *code_point);
bool st_utf8_valid(subtoken_text text);

/* Is this a control character (C0, DEL, C1), or one that changes the direction of text? */
bool st_utf8_is_control(uint32_t code_point);

/* Writes untrusted text for display: control characters and bytes that are not UTF-8 as \xNN. */
void st_write_escaped(st_writer *writer, subtoken_text text);

#endif
