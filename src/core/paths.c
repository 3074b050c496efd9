#include "core/paths.h"

#include "base/x86.h"

#include "subtoken/url.h"

/* What an escaped byte may not stand for. */
static subtoken_fault fault_of_escaped(uint8_t byte) {
  switch (byte) {
    case '/':
    case '\\': return SUBTOKEN_FAULT_ENCODED_SLASH;
    case '%': return SUBTOKEN_FAULT_ENCODED_PERCENT;
    case '?':
    case '#':
    case ';': return SUBTOKEN_FAULT_ENCODED_DELIMITER;
    default:
      return byte < 0x20 || byte == 0x7F ? SUBTOKEN_FAULT_ENCODED_CONTROL : SUBTOKEN_FAULT_NONE;
  }
}

/* The byte that an escape stands for, or -1 when it is none. */
static inline int escaped(const char *at, const char *end) {
  if (end - at < 3 || *at != '%') return -1;
  int high = st_hex_value(at[1]), low = st_hex_value(at[2]);
  return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static subtoken_fault unescape(subtoken_text raw, size_t at, char *out) {
  int byte = escaped(raw.data + at, raw.data + raw.len);
  if (byte < 0) return SUBTOKEN_FAULT_BAD_ESCAPE;
  *out = (char)byte;
  return fault_of_escaped((uint8_t)*out);
}

/* A decoded segment: UTF-8 without C1 controls, and not only dots and spaces. */
static subtoken_fault check_segment(subtoken_text segment) {
  bool dots = segment.len > 0;
  for (size_t i = 0; i < segment.len;) {
    uint32_t code;
    size_t step = st_utf8_next(segment.data + i, segment.len - i, &code);
    if (step == 0) return SUBTOKEN_FAULT_BAD_UTF8;
    if (code >= 0x80 && code <= 0x9F) return SUBTOKEN_FAULT_ENCODED_CONTROL;
    if (code != '.' && code != ' ') dots = false;
    i += step;
  }
  return dots ? SUBTOKEN_FAULT_DOT_SEGMENT : SUBTOKEN_FAULT_NONE;
}

static subtoken_fault check_segments(const st_path *path) {
  st_cutter cutter = {{path->bytes + 1, path->len - 1}, false};
  subtoken_text segment;
  while (st_cut(&cutter, '/', &segment)) {
    if (segment.len == 0 && !cutter.done) return SUBTOKEN_FAULT_EMPTY_SEGMENT;
    subtoken_fault fault = check_segment(segment);
    if (fault != SUBTOKEN_FAULT_NONE) return fault;
  }
  return SUBTOKEN_FAULT_NONE;
}

/* star: what a plain star of the text becomes. */
static subtoken_fault path_decode(subtoken_text raw, char star, st_path *path) {
  if (raw.len == 0 || raw.data[0] != '/') return SUBTOKEN_FAULT_NOT_ORIGIN_FORM;
  if (raw.len > SUBTOKEN_PATH_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  /* All characters before any escape, so that the reason does not depend on where they stand. */
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if ((st_class_of(c) & ST_CHAR_PATH) == 0 && c != '*' && c != '%') {
      return c == '#' ? SUBTOKEN_FAULT_FRAGMENT : SUBTOKEN_FAULT_BAD_CHAR;
    }
  }
  path->len = 0;
  path->bytes = path->room;
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c == '%') {
      subtoken_fault fault = unescape(raw, i, &c);
      if (fault != SUBTOKEN_FAULT_NONE) return fault;
      i += 2;
    } else if (c == '*') {
      c = star;
    }
    path->room[path->len++] = c;
  }
  return check_segments(path);
}

/* What escapes stand for: a code point, 0 when it is none that is harmless. */
typedef struct character {
  uint32_t code;
  uint32_t escapes;
} character;

/* The character beyond ASCII that one to four escapes stand for: see harmless. Not
 * inline, so that the others need not guard its array. */
__attribute__((noinline)) static character harmless_utf8(const char *at, const char *end) {
  char bytes[4];
  size_t count = 0;
  uint32_t code = 0;
  for (; count < sizeof bytes; count++) {
    int byte = escaped(at + 3 * count, end);
    if (byte < 0) break;
    bytes[count] = (char)byte;
  }
  uint32_t escapes = (uint32_t)st_utf8_next(bytes, count, &code);
  return (character){escapes > 0 && code > 0x9F ? code : 0, escapes};
}

/* The character that the escapes at `at` stand for, when it is printable and means nothing
 * to a path.
 */
static inline character harmless(const char *at, const char *end) {
  int byte = escaped(at, end);
  if (byte >= 0x80) return harmless_utf8(at, end);
  bool good = byte >= 0 && (st_class_of((char)byte) & ST_CHAR_ESCAPED) != 0;
  return (character){good ? (uint32_t)byte : 0, 1};
}

/* Behind a slash: neither another one nor what could be a segment of dots. */
static inline bool segment_starts(const char *at, const char *end) {
  if (at == end) return true;
  uint32_t c = *at == '%' ? harmless(at, end).code : (uint8_t)*at;
  return c != '/' && c != '.' && c != ' ' && c != 0;
}

typedef struct glimpse {
  size_t len;     /* how far it went */
  size_t escapes; /* on the way */
} glimpse;

/* Most paths are good at a glance: a slash in front, no segment that starts with a dot,
 * a space or nothing, no escape of anything special. Goes as far as that holds. What is
 * passed is what path_decode would accept; tests/unit/test_paths.c holds that.
 */
static glimpse glance(uint8_t cpu, subtoken_text raw) {
  size_t escapes = 0;
  if (raw.len == 0 || raw.data[0] != '/') return (glimpse){0, 0};
  const char *at = raw.data, *end = raw.data + raw.len;
  bool fast = (cpu & ST_CPU_SSE41) != 0;
  while (at < end) {
    if (fast && end - at >= 16) at += st_x86_path(at, (size_t)(end - at));
    if (at == end) break;
    if ((st_class_of(*at) & ST_CHAR_SEGMENT) != 0) {
      at++;
    } else if (*at == '/' && segment_starts(at + 1, end)) {
      /* What starts a segment needs no second look, but for an escape. */
      at += at + 1 < end && (st_class_of(at[1]) & ST_CHAR_SEGMENT) != 0 ? 2 : 1;
    } else if (*at == '%') {
      character c = harmless(at, end);
      if (c.code == 0) break;
      at += 3 * (size_t)c.escapes;
      escapes += c.escapes;
    } else {
      break;
    }
  }
  return (glimpse){(size_t)(at - raw.data), escapes};
}

/* Decode a path that is good at a glance from end to end. star: what stars become that stand plain,
 * as whole segments.
 */
static inline void copy_path(subtoken_text raw, char star, st_path *path) {
  size_t to = 0;
  for (size_t from = 0; from < raw.len; from++) {
    char c = raw.data[from];
    if (c == '%') {
      c = (char)escaped(raw.data + from, raw.data + raw.len);
      from += 2;
    } else if (c == '*') {
      c = star;
    }
    path->room[to++] = c;
  }
  path->len = to;
  path->bytes = path->room;
}

/* Without such stars it need not be copied, when there is nothing to decode. */
static inline void take_path(subtoken_text raw, size_t escapes, st_path *path) {
  if (escapes > 0) {
    copy_path(raw, '*', path);
  } else {
    path->len = raw.len;
    path->bytes = raw.data;
  }
}

/* The query takes no part, but it stands on the same request line. */
static subtoken_fault check_query(subtoken_text query) {
  for (size_t i = 0; i < query.len; i++) {
    if ((st_class_of(query.data[i]) & ST_CHAR_QUERY) != 0) continue;
    return query.data[i] == '#' ? SUBTOKEN_FAULT_FRAGMENT : SUBTOKEN_FAULT_BAD_CHAR;
  }
  return SUBTOKEN_FAULT_NONE;
}

subtoken_fault st_target_read(subtoken_text target, st_path *path) {
  return st_target_read_by(0, target, path);
}

subtoken_fault st_target_read_by(uint8_t cpu, subtoken_text target, st_path *path) {
  path->len = 0;
  if (target.len > SUBTOKEN_TARGET_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  glimpse seen = glance(cpu, target);
  size_t end = seen.len;
  while (end < target.len && target.data[end] != '?') end++;
  subtoken_fault fault = check_query((subtoken_text){target.data + end, target.len - end});
  if (fault != SUBTOKEN_FAULT_NONE) return fault;
  subtoken_text raw = {target.data, end};
  if (seen.len < end || end == 0 || end > SUBTOKEN_PATH_MAX) return path_decode(raw, '*', path);
  take_path(raw, seen.escapes, path);
  return SUBTOKEN_FAULT_NONE;
}

/* Cuts `METHOD:` off the front of *text, when it is there. */
static subtoken_fault method_read(subtoken_text *text, subtoken_text *method) {
  *method = (subtoken_text){NULL, 0};
  size_t colon = 0;
  while (colon < text->len && text->data[colon] != ':' && text->data[colon] != '/') colon++;
  if (colon == text->len || text->data[colon] == '/') return SUBTOKEN_FAULT_NONE;
  subtoken_text rest = {text->data + colon + 1, text->len - colon - 1};
  if (rest.len == 0 || rest.data[0] != '/' || (rest.len > 1 && rest.data[1] == '/')) {
    return SUBTOKEN_FAULT_NOT_ORIGIN_FORM; /* https://…, host:port */
  }
  for (size_t i = 0; i < colon; i++) {
    if (text->data[i] < 'A' || text->data[i] > 'Z') return SUBTOKEN_FAULT_METHOD;
  }
  if (colon == 0) return SUBTOKEN_FAULT_METHOD;
  *method = (subtoken_text){text->data, colon};
  *text = rest;
  return SUBTOKEN_FAULT_NONE;
}

/* A star may stand only as a whole segment. The final one is cut off. */
static subtoken_fault stars_read(subtoken_text *text, st_entry *entry) {
  const char *at = text->data;
  entry->pattern = false;
  entry->wild = text->len >= 2 && at[text->len - 1] == '*' && at[text->len - 2] == '/';
  if (entry->wild) text->len--;
  for (size_t i = 0; i < text->len; i++) {
    if (at[i] == '?' || at[i] == '#') return SUBTOKEN_FAULT_QUERY_IN_ENTRY;
    if (at[i] != '*') continue;
    if (i == 0 || at[i - 1] != '/' || i + 1 == text->len || at[i + 1] != '/') {
      return SUBTOKEN_FAULT_STAR;
    }
    entry->pattern = true;
  }
  return SUBTOKEN_FAULT_NONE;
}

static size_t written_len(char c);

static size_t canonical_len(const st_entry *entry) {
  size_t len = entry->method.len > 0 ? entry->method.len + 1 : 0;
  for (size_t i = 0; i < entry->path.len; i++) len += written_len(entry->path.bytes[i]);
  return len + entry->wild;
}

static subtoken_fault entry_decode(subtoken_text text, st_entry *entry) {
  subtoken_fault fault = stars_read(&text, entry);
  if (fault == SUBTOKEN_FAULT_NONE) fault = method_read(&text, &entry->method);
  if (fault == SUBTOKEN_FAULT_NONE) fault = path_decode(text, ST_PATH_ANY, &entry->path);
  if (fault == SUBTOKEN_FAULT_NONE && canonical_len(entry) > SUBTOKEN_URL_MAX) {
    fault = SUBTOKEN_FAULT_TOO_LONG;
  }
  return fault;
}

/* On from a star, when that is a whole segment. Not inline: few entries have one. */
static __attribute__((noinline)) glimpse glance_star(uint8_t cpu, subtoken_text text,
                                                     glimpse seen) {
  while (seen.len < text.len && text.data[seen.len] == '*' && text.data[seen.len - 1] == '/') {
    seen.len++; /* and what follows is a slash, or no part of it */
    glimpse more = glance(cpu, (subtoken_text){text.data + seen.len, text.len - seen.len});
    seen.len += more.len;
    seen.escapes += more.escapes;
  }
  return seen;
}

/* How much of the text is an entry that is good at a glance: a path, in which stars may be
 * whole segments, and `start` characters of a method and a colon in front. Its canonical
 * text is no longer than itself. *star: where its first star is, or its end. */
static inline glimpse glance_entry(uint8_t cpu, subtoken_text text, size_t start, size_t *star) {
  glimpse seen = glance(cpu, (subtoken_text){text.data + start, text.len - start});
  *star = seen.len + start;
  if (seen.len == 0) return seen;
  seen.len += start;
  bool is_star = seen.len < text.len && text.data[seen.len] == '*';
  return is_star ? glance_star(cpu, text, seen) : seen;
}

/* How many characters a method and its colon are in front of an entry. */
static inline size_t method_len(subtoken_text text) {
  size_t at = 0;
  while (at < text.len && text.data[at] >= 'A' && text.data[at] <= 'Z') at++;
  return at > 0 && at < text.len && text.data[at] == ':' ? at + 1 : 0;
}

size_t st_entry_glance(uint8_t cpu, subtoken_text text) {
  size_t star;
  return glance_entry(cpu, text, method_len(text), &star).len;
}

subtoken_fault st_entry_check(subtoken_text text) {
  st_entry entry;
  return st_entry_read(text, &entry);
}

subtoken_fault st_entry_read(subtoken_text text, st_entry *entry) {
  entry->path.len = 0;
  if (text.len > SUBTOKEN_URL_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  size_t start = method_len(text), star;
  glimpse seen = glance_entry(0, text, start, &star);
  if (text.len == 0 || seen.len < text.len) return entry_decode(text, entry);
  entry->method = (subtoken_text){text.data, start > 0 ? start - 1 : 0};
  entry->wild = text.data[text.len - 1] == '*';
  subtoken_text path = {text.data + start, text.len - start - entry->wild};
  entry->pattern = star + 1 < text.len; /* a final one is cut off */
  if (entry->pattern) {
    copy_path(path, ST_PATH_ANY, &entry->path);
  } else {
    take_path(path, seen.escapes, &entry->path);
  }
  return SUBTOKEN_FAULT_NONE;
}

/* Where the segment that starts at `at` ends. */
static inline size_t segment_end(const st_path *path, size_t at) {
  while (at < path->len && path->bytes[at] != '/') at++;
  return at;
}

size_t st_path_fit(subtoken_text pattern, const st_path *path) {
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

/* How many bytes of the path from its front on are those of an entry's, or path->len + 1. */
static size_t fit(const st_entry *entry, const st_path *path) {
  const st_path *front = &entry->path;
  if (entry->pattern) return st_path_fit((subtoken_text){front->bytes, front->len}, path);
  bool same = path->len >= front->len && memcmp(path->bytes, front->bytes, front->len) == 0;
  return same ? front->len : path->len + 1;
}

/* Does the path of an entry stand for this one? With a final star for one or more whole,
 * non-empty segments: only the last one of a path that was read can be empty.
 */
static bool stands_for(const st_entry *entry, const st_path *path) {
  size_t len = fit(entry, path);
  return entry->wild ? len < path->len && path->bytes[path->len - 1] != '/' : len == path->len;
}

static bool method_matches(subtoken_text wanted, subtoken_text method) {
  return wanted.len == 0 || st_text_equal(wanted, method) ||
         (st_text_is(wanted, "GET") && st_text_is(method, "HEAD"));
}

bool st_entry_matches(const st_entry *entry, subtoken_text method, const st_path *path) {
  if (!method_matches(entry->method, method)) return false;
  return stands_for(entry, path);
}

/* How many bytes are the same from the front on. */
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

/* The rest of follow, when the first `to` bytes are the same. */
static __attribute__((noinline)) size_t follow_on(subtoken_text text, const st_path *path,
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
      c = (char)escaped(text.data + from, text.data + text.len);
      from += 2;
    }
    if (to == path->len || c != path->bytes[to++]) return path->len + 1;
  }
  return to;
}

/* st_path_fit from the text of a checked path, as it stands in a token: escaped, and a star
 * that stands plain is a segment. Nothing that is decoded holds a %. */
static inline size_t follow(subtoken_text text, const st_path *path) {
  size_t to = shared_len(text, path);
  if (to == text.len) return to;
  if (to > 0 && text.data[to - 1] == '*') to--; /* the path's segment only starts with one */
  if (text.data[to] != '*' && text.data[to] != '%') return path->len + 1;
  return follow_on(text, path, to);
}

bool st_entry_text_matches(subtoken_text text, subtoken_text method, const st_path *path) {
  size_t colon = 0;
  if (text.data[0] != '/') {
    while (text.data[colon] != ':') colon++;
    if (!method_matches((subtoken_text){text.data, colon}, method)) return false;
    text = (subtoken_text){text.data + colon + 1, text.len - colon - 1};
  }
  const char *last = text.data + text.len - 1;
  if (*last == '*') {
    text.len--;
    return follow(text, path) < path->len && path->bytes[path->len - 1] != '/';
  }
  /* Two shortcuts: a final byte that stands for itself must be the same; and where all are, a
   * star stands for a star. */
  if (*last != path->bytes[path->len - 1] && (text.len < 3 || last[-2] != '%')) return false;
  if (text.len == path->len && memcmp(text.data, path->bytes, text.len) == 0) return true;
  return follow(text, path) == path->len;
}

bool st_entry_covers(const st_entry *outer, const st_entry *inner) {
  if (outer->method.len > 0 && !st_text_equal(outer->method, inner->method)) return false;
  /* A star of inner is a segment like any other, which only a star of outer stands for. */
  if (!inner->wild) return stands_for(outer, &inner->path);
  return outer->wild && fit(outer, &inner->path) <= inner->path.len;
}

static size_t written_len(char c) {
  return (st_class_of(c) & ST_CHAR_PATH) != 0 || c == ST_PATH_ANY ? 1 : 3;
}

void st_path_write(st_writer *writer, const st_path *path) {
  static const char hex[] = "0123456789ABCDEF";
  subtoken_text rest = {path->bytes, path->len};
  while (rest.len > 0) {
    size_t plain = st_text_span(rest, ST_CHAR_PATH);
    st_write(writer, rest.data, plain);
    rest = (subtoken_text){rest.data + plain, rest.len - plain};
    if (rest.len == 0) break;
    uint8_t byte = (uint8_t)rest.data[0];
    char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
    if (byte == ST_PATH_ANY) {
      st_write_char(writer, '*');
    } else {
      st_write(writer, escape, sizeof escape);
    }
    rest = (subtoken_text){rest.data + 1, rest.len - 1};
  }
}

void st_entry_write(st_writer *writer, const st_entry *entry) {
  if (entry->method.len > 0) {
    st_write_view(writer, entry->method);
    st_write_char(writer, ':');
  }
  st_path_write(writer, &entry->path);
  if (entry->wild) st_write_char(writer, '*');
}

subtoken_result subtoken_target_path(subtoken_text target, char *out, size_t out_size,
                                     size_t *out_len, subtoken_fault *fault) {
  st_path path;
  if (fault != NULL) *fault = SUBTOKEN_FAULT_NONE;
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_fault found = st_target_read(target, &path);
  if (fault != NULL) *fault = found;
  if (found != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  st_writer writer = st_writer_on(out, out_size);
  st_path_write(&writer, &path);
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  *out_len = writer.len;
  return SUBTOKEN_OK;
}

subtoken_result subtoken_url_canonical(subtoken_text text, char *out, size_t out_size,
                                       size_t *out_len, subtoken_fault *fault) {
  st_entry entry;
  if (fault != NULL) *fault = SUBTOKEN_FAULT_NONE;
  if (!st_empty_out(out, out_size, out_len)) return SUBTOKEN_INVALID_ARGUMENT;
  subtoken_fault found = st_entry_read(text, &entry);
  if (fault != NULL) *fault = found;
  if (found != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_URL;
  st_writer writer = st_writer_on(out, out_size);
  st_entry_write(&writer, &entry);
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  *out_len = writer.len;
  return SUBTOKEN_OK;
}

subtoken_result subtoken_url_allows(subtoken_text text, subtoken_text method,
                                    subtoken_text target) {
  st_path path;
  st_entry entry;
  if (st_entry_read(text, &entry) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_URL;
  if (st_target_read(target, &path) != SUBTOKEN_FAULT_NONE) return SUBTOKEN_BAD_TARGET;
  return st_entry_matches(&entry, method, &path) ? SUBTOKEN_OK : SUBTOKEN_URL;
}

subtoken_result subtoken_url_covers(subtoken_text outer, subtoken_text inner) {
  st_entry a, b;
  if (st_entry_read(outer, &a) != SUBTOKEN_FAULT_NONE ||
      st_entry_read(inner, &b) != SUBTOKEN_FAULT_NONE) {
    return SUBTOKEN_BAD_URL;
  }
  return st_entry_covers(&a, &b) ? SUBTOKEN_OK : SUBTOKEN_URL_WIDER;
}
