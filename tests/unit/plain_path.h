/* plain_path - the rules of subtoken/url.h written down once more, step by step and without any
 * haste: no table of classes, no scan of a prefix, paths compared segment by segment. It shares
 * no code with src/core/paths.c, on purpose: it is what that is held against, by the
 * unit tests and by fuzz/fuzz_paths.c.
 */
#ifndef TESTS_UNIT_PLAIN_PATH_H
#define TESTS_UNIT_PLAIN_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "subtoken/common.h"

typedef struct plain_path {
  size_t len;
  char bytes[SUBTOKEN_PATH_MAX]; /* decoded */
} plain_path;

typedef struct plain_entry {
  size_t method_len;
  char method[SUBTOKEN_URL_MAX];
  bool wild; /* a star behind the last slash, which is not in path */
  plain_path path;
  bool any[SUBTOKEN_URL_MAX]; /* of each segment: a star for one, and not one as data */
} plain_entry;

static inline bool plain_one_of(char c, const char *list) {
  return c != '\0' && strchr(list, c) != NULL;
}

/* RFC 3986 section 3.3 without the semicolon, the slash, and what is looked at later. */
static inline bool plain_path_char(char c) {
  return plain_one_of(c,
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                      "-._~!$&'()+,=:@/*%");
}

static inline int plain_hex(char c) {
  static const char digits[] = "0123456789ABCDEF0123456789abcdef";
  return plain_one_of(c, digits) ? (int)((strchr(digits, c) - digits) % 16) : -1;
}

static inline subtoken_fault plain_escape(const char *text, size_t len, size_t at, char *out) {
  if (at + 2 >= len) return SUBTOKEN_FAULT_BAD_ESCAPE;
  int high = plain_hex(text[at + 1]), low = plain_hex(text[at + 2]);
  if (high < 0 || low < 0) return SUBTOKEN_FAULT_BAD_ESCAPE;
  int byte = high * 16 + low;
  *out = (char)byte;
  if (byte == '/' || byte == '\\') return SUBTOKEN_FAULT_ENCODED_SLASH;
  if (byte == '%') return SUBTOKEN_FAULT_ENCODED_PERCENT;
  if (byte == '?' || byte == '#' || byte == ';') return SUBTOKEN_FAULT_ENCODED_DELIMITER;
  if (byte < 0x20 || byte == 0x7F) return SUBTOKEN_FAULT_ENCODED_CONTROL;
  return SUBTOKEN_FAULT_NONE;
}

/* RFC 3629 section 4, line by line; 0 for what is in none of them. */
static inline size_t plain_utf8(const char *text, size_t len) {
  static const struct {
    uint8_t first, last, second_from, second_to;
    size_t len;
  } lines[] = {
      {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
      {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
      {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    uint8_t first = (uint8_t)text[0];
    if (first < lines[i].first || first > lines[i].last) continue;
    if (lines[i].len > len) return 0;
    for (size_t j = 1; j < lines[i].len; j++) {
      uint8_t from = j == 1 ? lines[i].second_from : 0x80, to = j == 1 ? lines[i].second_to : 0xBF;
      if ((uint8_t)text[j] < from || (uint8_t)text[j] > to) return 0;
    }
    return lines[i].len;
  }
  return 0;
}

static inline subtoken_fault plain_segment(const char *text, size_t len, bool last) {
  if (len == 0) return last ? SUBTOKEN_FAULT_NONE : SUBTOKEN_FAULT_EMPTY_SEGMENT;
  bool dots = true;
  for (size_t i = 0; i < len;) {
    size_t step = plain_utf8(text + i, len - i);
    if (step == 0) return SUBTOKEN_FAULT_BAD_UTF8;
    if (step == 2 && text[i] == '\xC2' && (uint8_t)text[i + 1] < 0xA0) {
      return SUBTOKEN_FAULT_ENCODED_CONTROL;
    }
    if (text[i] != '.' && text[i] != ' ') dots = false;
    i += step;
  }
  return dots ? SUBTOKEN_FAULT_DOT_SEGMENT : SUBTOKEN_FAULT_NONE;
}

/* The length of the segment at `at`: up to the next slash or the end. */
static inline size_t plain_segment_len(const plain_path *path, size_t at) {
  size_t end = at;
  while (end < path->len && path->bytes[end] != '/') end++;
  return end - at;
}

static inline subtoken_fault plain_read(const char *text, size_t len, plain_path *path) {
  path->len = 0;
  if (len == 0 || text[0] != '/') return SUBTOKEN_FAULT_NOT_ORIGIN_FORM;
  if (len > SUBTOKEN_PATH_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '#') return SUBTOKEN_FAULT_FRAGMENT;
    if (!plain_path_char(text[i])) return SUBTOKEN_FAULT_BAD_CHAR;
  }
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c == '%') {
      subtoken_fault fault = plain_escape(text, len, i, &c);
      if (fault != SUBTOKEN_FAULT_NONE) return fault;
      i += 2;
    }
    path->bytes[path->len++] = c;
  }
  for (size_t at = 1; at <= path->len; at++) {
    size_t n = plain_segment_len(path, at);
    subtoken_fault fault = plain_segment(path->bytes + at, n, at + n == path->len);
    if (fault != SUBTOKEN_FAULT_NONE) return fault;
    at += n;
  }
  return SUBTOKEN_FAULT_NONE;
}

static inline subtoken_fault plain_target(const char *text, size_t len, plain_path *path) {
  path->len = 0;
  if (len > SUBTOKEN_TARGET_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  const char *question = len > 0 ? memchr(text, '?', len) : NULL;
  size_t end = question != NULL ? (size_t)(question - text) : len;
  for (size_t i = end; i < len; i++) {
    if (text[i] == '#') return SUBTOKEN_FAULT_FRAGMENT;
    if (text[i] <= 0x20 || text[i] > 0x7E) return SUBTOKEN_FAULT_BAD_CHAR;
  }
  return plain_read(text, end, path);
}

/* Is the star at `at` a whole segment, with another one behind it? */
static inline bool plain_star_alone(const char *text, size_t len, size_t at) {
  return at > 0 && text[at - 1] == '/' && at + 1 < len && text[at + 1] == '/';
}

static inline subtoken_fault plain_entry_read(const char *text, size_t len, plain_entry *entry) {
  entry->method_len = 0;
  entry->wild = false;
  memset(entry->any, 0, sizeof entry->any);
  if (len > SUBTOKEN_URL_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  if (len >= 2 && text[len - 2] == '/' && text[len - 1] == '*') {
    entry->wild = true;
    len--;
  }
  for (size_t i = 0, slashes = 0; i < len; i++) {
    if (text[i] == '*' && !plain_star_alone(text, len, i)) return SUBTOKEN_FAULT_STAR;
    if (text[i] == '?' || text[i] == '#') return SUBTOKEN_FAULT_QUERY_IN_ENTRY;
    if (text[i] == '/') slashes++;
    if (text[i] == '*') entry->any[slashes - 1] = true;
  }
  const char *slash = len > 0 ? memchr(text, '/', len) : NULL;
  const char *colon = len > 0 ? memchr(text, ':', len) : NULL;
  if (colon != NULL && (slash == NULL || colon < slash)) {
    size_t method = (size_t)(colon - text);
    if (slash != colon + 1 || (len > method + 2 && text[method + 2] == '/')) {
      return SUBTOKEN_FAULT_NOT_ORIGIN_FORM;
    }
    for (size_t i = 0; i < method; i++) {
      if (text[i] < 'A' || text[i] > 'Z') return SUBTOKEN_FAULT_METHOD;
    }
    if (method == 0) return SUBTOKEN_FAULT_METHOD;
    memcpy(entry->method, text, method);
    entry->method_len = method;
    text += method + 1;
    len -= method + 1;
  }
  return plain_read(text, len, &entry->path);
}

/* Does the method of a request, or another entry's, do for this entry's? */
static inline bool plain_method(const plain_entry *entry, const char *method, size_t len,
                                bool head_too) {
  if (entry->method_len == 0) return true;
  if (entry->method_len == len && memcmp(entry->method, method, len) == 0) return true;
  return head_too && len == 4 && memcmp(method, "HEAD", 4) == 0 && entry->method_len == 3 &&
         memcmp(entry->method, "GET", 3) == 0;
}

/* Each slash starts a segment; behind one that is last it is empty. */
static inline size_t plain_segments(const plain_path *path) {
  size_t count = 0;
  for (size_t i = 0; i < path->len; i++) count += path->bytes[i] == '/';
  return count;
}

static inline void plain_nth(const plain_path *path, size_t n, const char **at, size_t *len) {
  size_t i = 1;
  while (n-- > 0) i += plain_segment_len(path, i) + 1;
  *at = path->bytes + i;
  *len = plain_segment_len(path, i);
}

/* Do the first `count` segments of the entry stand for those of the path, of which `any` says
 * (NULL: none) which are a star for one? */
static inline bool plain_fits(const plain_entry *entry, const plain_path *path, const bool *any,
                              size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *x, *y;
    size_t n, m;
    plain_nth(&entry->path, i, &x, &n);
    plain_nth(path, i, &y, &m);
    if (entry->any[i] && m > 0) continue;
    if (entry->any[i] || (any != NULL && any[i])) return false;
    if (n != m || memcmp(x, y, n) != 0) return false;
  }
  return true;
}

/* All segments the same; or with a final star one or more whole, non-empty segments more than
 * are in front of it. */
static inline bool plain_stands_for(const plain_entry *entry, const plain_path *path,
                                    const bool *any) {
  size_t mine = plain_segments(&entry->path), count = plain_segments(path);
  if (!entry->wild) return mine == count && plain_fits(entry, path, any, count);
  size_t shared = mine - 1; /* but the empty one */
  if (count <= shared || !plain_fits(entry, path, any, shared)) return false;
  for (size_t i = shared; i < count; i++) {
    const char *at;
    size_t len;
    plain_nth(path, i, &at, &len);
    if (len == 0) return false;
  }
  return true;
}

static inline bool plain_matches(const plain_entry *entry, const char *method, size_t method_len,
                                 const plain_path *path) {
  return plain_method(entry, method, method_len, true) && plain_stands_for(entry, path, NULL);
}

static inline bool plain_covers(const plain_entry *outer, const plain_entry *inner) {
  if (!plain_method(outer, inner->method, inner->method_len, false)) return false;
  if (!inner->wild) return plain_stands_for(outer, &inner->path, inner->any);
  size_t shared = plain_segments(&outer->path) - 1;
  return outer->wild && plain_segments(&inner->path) - 1 >= shared &&
         plain_fits(outer, &inner->path, inner->any, shared);
}

/* Are these the bytes of the entry's path, with `star` for a star that is a segment? */
static inline bool plain_is(const plain_entry *entry, const char *bytes, size_t len, char star) {
  size_t slashes = 0;
  if (len != entry->path.len) return false;
  for (size_t i = 0; i < len; i++) {
    slashes += entry->path.bytes[i] == '/';
    bool any = entry->path.bytes[i] == '*' && entry->any[slashes - 1];
    if (bytes[i] != (any ? star : entry->path.bytes[i])) return false;
  }
  return true;
}

/* Canonical, without method and final star: `*` as data and all that a path cannot hold plain
 * as %XX. */
static inline size_t plain_write(const plain_entry *entry, char *out) {
  static const char hex[] = "0123456789ABCDEF";
  const plain_path *path = &entry->path;
  size_t len = 0, slashes = 0;
  for (size_t i = 0; i < path->len; i++) {
    char c = path->bytes[i];
    slashes += c == '/';
    if ((c == '*' && entry->any[slashes - 1]) || (c != '*' && c != '%' && plain_path_char(c))) {
      out[len++] = c;
    } else {
      out[len++] = '%';
      out[len++] = hex[(uint8_t)c / 16];
      out[len++] = hex[(uint8_t)c % 16];
    }
  }
  return len;
}

#endif
