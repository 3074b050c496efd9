/* Compares decoded paths with entries of the URL allowlist, and entries with each other. The text
 * of an entry in a token is compared as it is, without decoding it first. Reading is in paths.c.
 */
#include "core/paths.h"

#include "base/impossible.h"

/* The end of the segment that starts at `at`. */
static inline size_t segment_end(const st_path *path, size_t at) {
  while (at < path->len && path->bytes[at] != '/') at++;
  return at;
}

size_t st_paths_match_front(subtoken_text pattern, const st_path *path) {
  size_t to = 0;
  for (size_t from = 0; from < pattern.len; from++) {
    if (pattern.data[from] == ST_PATH_ANY) {
      size_t end = segment_end(path, to);
      if (end == to) return path->len + 1;
      to = end;
    } else if (to == path->len || pattern.data[from] != path->bytes[to++]) {
      return path->len + 1;
    }
  }
  return to;
}

/* The length of the front of the path that the path of an entry matches, or path->len + 1. */
static size_t match_front(const st_entry *entry, const st_path *path) {
  const st_path *front = &entry->path;
  if (entry->pattern) return st_paths_match_front((subtoken_text){front->bytes, front->len}, path);
  bool same = path->len >= front->len && memcmp(path->bytes, front->bytes, front->len) == 0;
  return same ? front->len : path->len + 1;
}

/* Does the path of an entry match this path? A final star matches one or more segments that are not
 * empty; only the last segment of a path that was read can be empty. */
static bool entry_matches_path(const st_entry *entry, const st_path *path) {
  size_t len = match_front(entry, path);
  return entry->wild ? len < path->len && path->bytes[path->len - 1] != '/' : len == path->len;
}

static bool method_matches(subtoken_text wanted, subtoken_text method) {
  return wanted.len == 0 || st_text_equal(wanted, method) ||
         (st_text_is(wanted, "GET") && st_text_is(method, "HEAD"));
}

bool st_paths_match_entry(const st_entry *entry, subtoken_text method, const st_path *path) {
  if (!method_matches(entry->method, method)) return false;
  return entry_matches_path(entry, path);
}

/* The number of bytes at the front that are equal. */
static inline size_t shared_len(subtoken_text text, const st_path *path) {
  size_t at = 0, len = text.len < path->len ? text.len : path->len;
  for (; len - at >= 8; at += 8) {
    uint64_t other = st_load64((const uint8_t *)path->bytes + at);
    other ^= st_load64((const uint8_t *)text.data + at);
    if (other != 0) return at + (size_t)__builtin_ctzll(other) / 8;
  }
  while (at < len && text.data[at] == path->bytes[at]) at++;
  return at;
}

/* The rest of match_text, behind `to` bytes that are equal. */
static __attribute__((noinline)) size_t match_text_rest(subtoken_text text, const st_path *path,
                                                        size_t to) {
  for (size_t from = to; from < text.len; from++) {
    char c = text.data[from];
    if (c == '*') {
      size_t end = segment_end(path, to);
      if (end == to) return path->len + 1;
      to = end;
      continue;
    }
    if (c == '%') {
      c = (char)st_path_unescape(text.data + from, text.data + text.len);
      from += 2;
    }
    if (to == path->len || c != path->bytes[to++]) return path->len + 1;
  }
  return to;
}

/* st_paths_match_front for the text of a checked path as it is in a token: escaped, and with a star
 * for a whole segment. A decoded path never has a %. */
static inline size_t match_text(subtoken_text text, const st_path *path) {
  size_t to = shared_len(text, path);
  if (to == text.len) return to;
  if (st_impossible(to == 0, "both begin with a slash")) return path->len + 1;
  if (text.data[to - 1] == '*') to--; /* the segment of the path only starts with a star */
  if (text.data[to] != '*' && text.data[to] != '%') return path->len + 1;
  return match_text_rest(text, path, to);
}

bool st_paths_match_text(subtoken_text text, subtoken_text method, const st_path *path) {
  size_t colon = 0;
  if (text.data[0] != '/') {
    while (text.data[colon] != ':') colon++;
    if (!method_matches((subtoken_text){text.data, colon}, method)) return false;
    text = (subtoken_text){text.data + colon + 1, text.len - colon - 1};
  }
  const char *last = text.data + text.len - 1;
  if (*last == '*') {
    text.len--;
    return match_text(text, path) < path->len && path->bytes[path->len - 1] != '/';
  }
  /* Two shortcuts. A last byte that is not escaped must be equal. And when all bytes are equal, a
   * star matches the star of the path. */
  if (*last != path->bytes[path->len - 1] && (text.len < 3 || last[-2] != '%')) return false;
  if (text.len == path->len && memcmp(text.data, path->bytes, text.len) == 0) return true;
  return match_text(text, path) == path->len;
}

bool st_paths_match_covers(const st_entry *outer, const st_entry *inner) {
  if (outer->method.len > 0 && !st_text_equal(outer->method, inner->method)) return false;
  /* A star of inner is a segment that only a star of outer matches. */
  if (!inner->wild) return entry_matches_path(outer, &inner->path);
  return outer->wild && match_front(outer, &inner->path) <= inner->path.len;
}
