/* permissive - the most permissive backend imaginable: decodes
 * again and again, takes a backslash for a slash, throws path parameters away, ends
 * at a NUL, collapses slashes and resolves dots. Case it keeps. It shares no code
 * with src/core/paths.c, on purpose: it is what that is held against.
 */
#ifndef TESTS_UNIT_PERMISSIVE_H
#define TESTS_UNIT_PERMISSIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static inline int permissive_hex(char c) {
  const char *digits = "0123456789abcdef0123456789ABCDEF";
  const char *at = c == '\0' ? NULL : strchr(digits, c);
  return at == NULL ? -1 : (int)((at - digits) % 16);
}

/* One round over text, in place: %XX, %u00XX, backslashes. True if anything changed. */
static inline bool permissive_round(char *text, size_t *len) {
  size_t to = 0;
  bool changed = false;
  for (size_t i = 0; i < *len; i++) {
    char c = text[i];
    if (c == '%' && i + 2 < *len && permissive_hex(text[i + 1]) >= 0 &&
        permissive_hex(text[i + 2]) >= 0) {
      c = (char)(permissive_hex(text[i + 1]) << 4 | permissive_hex(text[i + 2]));
      i += 2;
      changed = true;
    } else if (c == '%' && i + 5 < *len && (text[i + 1] == 'u' || text[i + 1] == 'U') &&
               text[i + 2] == '0' && text[i + 3] == '0' && permissive_hex(text[i + 4]) >= 0 &&
               permissive_hex(text[i + 5]) >= 0) {
      c = (char)(permissive_hex(text[i + 4]) << 4 | permissive_hex(text[i + 5]));
      i += 5;
      changed = true;
    } else if (c == '\\') {
      c = '/';
      changed = true;
    }
    text[to++] = c;
  }
  *len = to;
  return changed;
}

/* Is this segment "." or ".." to somebody who trims spaces? 1, 2, or 0. */
static inline int permissive_dots(const char *segment, size_t len) {
  while (len > 0 && segment[len - 1] == ' ') len--;
  while (len > 0 && segment[0] == ' ') segment++, len--;
  if (len == 1 && segment[0] == '.') return 1;
  return len == 2 && segment[0] == '.' && segment[1] == '.' ? 2 : 0;
}

/* Where such a backend ends up: text of *len bytes becomes an absolute path. text has
 * room for one byte more. */
static inline void permissive_path(char *text, size_t *len) {
  const char *query = memchr(text, '?', *len);
  if (query != NULL) *len = (size_t)(query - text);
  while (permissive_round(text, len)) {
  }
  const char *nul = memchr(text, '\0', *len);
  if (nul != NULL) *len = (size_t)(nul - text);
  size_t to = 0, i = 0;
  bool directory = true;
  while (i < *len) {
    while (i < *len && text[i] == '/') i++;
    size_t start = i;
    while (i < *len && text[i] != '/') i++;
    size_t end = start;
    while (end < i && text[end] != ';' && text[end] != '?' && text[end] != '#') end++;
    int dots = permissive_dots(text + start, end - start);
    directory = i < *len || end == start || dots != 0;
    if (dots == 2) {
      while (to > 0 && text[--to] != '/') {
      }
    } else if (dots == 0 && end > start) {
      /* to <= start - 1: behind at least the slash that was passed over, or at the
       * front of a text without one. */
      if (to >= start) memmove(text + start + 1, text + start, end - start), start++, end++;
      text[to++] = '/';
      memmove(text + to, text + start, end - start);
      to += end - start;
    }
  }
  if (directory || to == 0) text[to++] = '/';
  *len = to;
}

/* Does the backend's path stand under the entry? That is read plainly: without its method, each
 * segment decoded once; a star that is one for any of the backend's segments, a final one for
 * the rest. */
static inline bool permissive_under(const char *path, size_t len, const char *entry,
                                    size_t entry_len) {
  char text[1100];
  const char *slash = memchr(entry, '/', entry_len), *end = entry + entry_len;
  const char *at = path, *path_end = path + len;
  if (slash == NULL || entry_len > sizeof text) return false;
  for (entry = slash; entry < end;) {
    if (at == path_end || *at++ != '/') return false;
    const char *start = ++entry, *from = at;
    while (entry < end && *entry != '/') entry++;
    while (at < path_end && *at != '/') at++;
    size_t segment = (size_t)(entry - start);
    if (segment == 1 && *start == '*') {
      if (entry == end) return from < path_end; /* it stands for the rest */
      if (at == from) return false;
      continue;
    }
    memcpy(text, start, segment);
    (void)permissive_round(text, &segment);
    if (segment != (size_t)(at - from) || memcmp(text, from, segment) != 0) return false;
  }
  return at == path_end;
}

#endif
