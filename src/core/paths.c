/* Reads request targets and entries of the URL allowlist, and writes their canonical text. A path
 * that two programs could read differently is refused (RFC 3986 section 3.3, RFC 9112 section 3.2).
 * Most paths need no decoding: scan_prefix finds how far that is so, and path_decode reads all
 * others. paths_match.c compares what was read; url.c has the public functions.
 */
#include "core/paths.h"

#include "base/vector.h"

/* What is wrong with this byte when it is escaped. */
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

static subtoken_fault paths_unescape(subtoken_text raw, size_t at, char *out) {
  int byte = st_path_unescape(raw.data + at, raw.data + raw.len);
  if (byte < 0) return SUBTOKEN_FAULT_BAD_ESCAPE;
  *out = (char)byte;
  return fault_of_escaped((uint8_t)*out);
}

/* A decoded segment must be UTF-8 without C1 controls, and more than dots and spaces. */
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

/* Decodes a path of any kind. star: the byte to write for a star that is not escaped. */
static subtoken_fault path_decode(subtoken_text raw, char star, st_path *path) {
  if (raw.len == 0 || raw.data[0] != '/') return SUBTOKEN_FAULT_NOT_ORIGIN_FORM;
  if (raw.len > SUBTOKEN_PATH_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  /* Check all characters before any escape, so that the fault does not depend on their order. */
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if ((st_class_of(c) & ST_CHAR_PATH) == 0 && c != '*' && c != '%') {
      return c == '#' ? SUBTOKEN_FAULT_FRAGMENT : SUBTOKEN_FAULT_BAD_CHAR;
    }
  }
  path->len = 0;
  path->bytes = path->buffer;
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c == '%') {
      subtoken_fault fault = paths_unescape(raw, i, &c);
      if (fault != SUBTOKEN_FAULT_NONE) return fault;
      i += 2;
    } else if (c == '*') {
      c = star;
    }
    path->buffer[path->len++] = c;
  }
  return check_segments(path);
}

/* The character that escapes stand for: its code point, or 0 when it needs path_decode. */
typedef struct scanned_character {
  uint32_t code;
  uint32_t escapes;
} scanned_character;

/* The character beyond ASCII that one to four escapes stand for, as in scan_escape. Not inline, so
 * that its array does not cost the other callers a stack guard. */
__attribute__((noinline)) static scanned_character scan_escape_utf8(const char *at,
                                                                    const char *end) {
  char bytes[4];
  size_t count = 0;
  uint32_t code = 0;
  for (; count < sizeof bytes; count++) {
    int byte = st_path_unescape(at + 3 * count, end);
    if (byte < 0) break;
    bytes[count] = (char)byte;
  }
  uint32_t escapes = (uint32_t)st_utf8_next(bytes, count, &code);
  return (scanned_character){escapes > 0 && code > 0x9F ? code : 0, escapes};
}

/* The character that the escapes at `at` stand for, when it is printable and has no meaning in a
 * path. */
static inline scanned_character scan_escape(const char *at, const char *end) {
  int byte = st_path_unescape(at, end);
  if (byte >= 0x80) return scan_escape_utf8(at, end);
  bool good = byte >= 0 && (st_class_of((char)byte) & ST_CHAR_ESCAPED) != 0;
  return (scanned_character){good ? (uint32_t)byte : 0, 1};
}

/* Behind a slash: can the next character start a segment that needs no further check? It must not
 * be a slash, nor a dot or a space, which could start a segment of dots. */
static inline bool segment_starts(const char *at, const char *end) {
  if (at == end) return true;
  uint32_t c = *at == '%' ? scan_escape(at, end).code : (uint8_t)*at;
  return c != '/' && c != '.' && c != ' ' && c != 0;
}

typedef struct scan_result {
  size_t len;     /* of the prefix */
  size_t escapes; /* in it */
} scan_result;

/* The longest prefix of a path that is valid without a further check: it starts with a slash, no
 * segment is empty or starts with a dot or a space, and each escape stands for a character without
 * a meaning. path_decode would accept it, too; tests/unit/test_paths.c checks that. Nearly all
 * paths are such a prefix as a whole.
 */
static scan_result scan_prefix(uint8_t cpu, subtoken_text raw) {
  size_t escapes = 0;
  if (raw.len == 0 || raw.data[0] != '/') return (scan_result){0, 0};
  const char *at = raw.data, *end = raw.data + raw.len;
  bool fast = (cpu & ST_CPU_VECTOR) != 0;
  while (at < end) {
    if (fast && end - at >= 16) at += st_vector_path(at, (size_t)(end - at));
    if (at == end) break;
    if ((st_class_of(*at) & ST_CHAR_SEGMENT) != 0) {
      at++;
    } else if (*at == '/' && segment_starts(at + 1, end)) {
      /* The first character of a segment was checked, unless it is an escape. */
      at += at + 1 < end && (st_class_of(at[1]) & ST_CHAR_SEGMENT) != 0 ? 2 : 1;
    } else if (*at == '%') {
      scanned_character c = scan_escape(at, end);
      if (c.code == 0) break;
      at += 3 * (size_t)c.escapes;
      escapes += c.escapes;
    } else {
      break;
    }
  }
  return (scan_result){(size_t)(at - raw.data), escapes};
}

/* Decodes a path that scan_prefix accepts as a whole. star: the byte to write for a star that is
 * not escaped, a whole segment. */
static inline void copy_path(subtoken_text raw, char star, st_path *path) {
  size_t to = 0;
  for (size_t from = 0; from < raw.len; from++) {
    char c = raw.data[from];
    if (c == '%') {
      c = (char)st_path_unescape(raw.data + from, raw.data + raw.len);
      from += 2;
    } else if (c == '*') {
      c = star;
    }
    path->buffer[to++] = c;
  }
  path->len = to;
  path->bytes = path->buffer;
}

/* The same without stars: a path without escapes is not copied. */
static inline void take_path(subtoken_text raw, size_t escapes, st_path *path) {
  if (escapes > 0) {
    copy_path(raw, '*', path);
  } else {
    path->len = raw.len;
    path->bytes = raw.data;
  }
}

/* The query is not matched, but it must be valid on a request line. */
static subtoken_fault check_query(subtoken_text query) {
  for (size_t i = 0; i < query.len; i++) {
    if ((st_class_of(query.data[i]) & ST_CHAR_QUERY) != 0) continue;
    return query.data[i] == '#' ? SUBTOKEN_FAULT_FRAGMENT : SUBTOKEN_FAULT_BAD_CHAR;
  }
  return SUBTOKEN_FAULT_NONE;
}

subtoken_fault st_paths_read_target(subtoken_text target, st_path *path) {
  return st_paths_read_target_by(0, target, path);
}

subtoken_fault st_paths_read_target_by(uint8_t cpu, subtoken_text target, st_path *path) {
  path->len = 0;
  if (target.len > SUBTOKEN_TARGET_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  scan_result seen = scan_prefix(cpu, target);
  size_t end = seen.len;
  while (end < target.len && target.data[end] != '?') end++;
  subtoken_fault fault = check_query((subtoken_text){target.data + end, target.len - end});
  if (fault != SUBTOKEN_FAULT_NONE) return fault;
  subtoken_text raw = {target.data, end};
  if (seen.len < end || end == 0 || end > SUBTOKEN_PATH_MAX) return path_decode(raw, '*', path);
  take_path(raw, seen.escapes, path);
  return SUBTOKEN_FAULT_NONE;
}

/* Cuts `METHOD:` off the front of *text, if there is one. */
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

/* Checks that each star is a whole segment, and cuts the final one off. */
static subtoken_fault stars_read(subtoken_text *text, st_entry *entry) {
  const char *at = text->data;
  entry->pattern = false;
  entry->wild = text->len >= 2 && at[text->len - 1] == '*' && at[text->len - 2] == '/';
  if (entry->wild) text->len--;
  for (size_t i = 0; i < text->len; i++) {
    if (at[i] == '?' || at[i] == '#') return SUBTOKEN_FAULT_QUERY_IN_ENTRY;
    if (at[i] != '*') continue;
    /* Behind a slash it is not the last character: as that, it was cut off. */
    if (i == 0 || at[i - 1] != '/' || at[i + 1] != '/') return SUBTOKEN_FAULT_STAR;
    entry->pattern = true;
  }
  return SUBTOKEN_FAULT_NONE;
}

/* What is written of the entry is not longer than its text: each escape stands for itself or less.
 */
static subtoken_fault entry_decode(subtoken_text text, st_entry *entry) {
  subtoken_fault fault = stars_read(&text, entry);
  if (fault == SUBTOKEN_FAULT_NONE) fault = method_read(&text, &entry->method);
  return fault == SUBTOKEN_FAULT_NONE ? path_decode(text, ST_PATH_ANY, &entry->path) : fault;
}

/* Scans on from a star that is a whole segment. Not inline, because few entries have one. */
static __attribute__((noinline)) scan_result scan_star(uint8_t cpu, subtoken_text text,
                                                       scan_result seen) {
  while (seen.len < text.len && text.data[seen.len] == '*' && text.data[seen.len - 1] == '/') {
    seen.len++; /* the next scan accepts only a slash, or nothing */
    scan_result more = scan_prefix(cpu, (subtoken_text){text.data + seen.len, text.len - seen.len});
    seen.len += more.len;
    seen.escapes += more.escapes;
  }
  return seen;
}

/* scan_prefix for an entry: `start` characters of a method and a colon, then a path in which stars
 * may be whole segments. The canonical text of such an entry is not longer than its text. *star:
 * the offset of the first star, or of the end. */
static inline scan_result scan_entry(uint8_t cpu, subtoken_text text, size_t start, size_t *star) {
  scan_result seen = scan_prefix(cpu, (subtoken_text){text.data + start, text.len - start});
  *star = seen.len + start;
  if (seen.len == 0) return seen;
  seen.len += start;
  bool is_star = seen.len < text.len && text.data[seen.len] == '*';
  return is_star ? scan_star(cpu, text, seen) : seen;
}

/* The length of the method and the colon at the front of an entry, or 0. */
static inline size_t method_len(subtoken_text text) {
  size_t at = 0;
  while (at < text.len && text.data[at] >= 'A' && text.data[at] <= 'Z') at++;
  return at > 0 && at < text.len && text.data[at] == ':' ? at + 1 : 0;
}

size_t st_paths_scan_entry(uint8_t cpu, subtoken_text text) {
  size_t star;
  return scan_entry(cpu, text, method_len(text), &star).len;
}

subtoken_fault st_paths_check_entry(subtoken_text text) {
  st_entry entry;
  return st_paths_read_entry(text, &entry);
}

subtoken_fault st_paths_read_entry(subtoken_text text, st_entry *entry) {
  entry->path.len = 0;
  if (text.len > SUBTOKEN_URL_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  size_t start = method_len(text), star;
  scan_result seen = scan_entry(0, text, start, &star);
  if (text.len == 0 || seen.len < text.len) return entry_decode(text, entry);
  entry->method = (subtoken_text){text.data, start > 0 ? start - 1 : 0};
  entry->wild = text.data[text.len - 1] == '*';
  subtoken_text path = {text.data + start, text.len - start - entry->wild};
  entry->pattern = star + 1 < text.len; /* the final star does not count */
  if (entry->pattern) {
    copy_path(path, ST_PATH_ANY, &entry->path);
  } else {
    take_path(path, seen.escapes, &entry->path);
  }
  return SUBTOKEN_FAULT_NONE;
}

void st_paths_write_path(st_writer *writer, const st_path *path) {
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

void st_paths_write_entry(st_writer *writer, const st_entry *entry) {
  if (entry->method.len > 0) {
    st_write_view(writer, entry->method);
    st_write_char(writer, ':');
  }
  st_paths_write_path(writer, &entry->path);
  if (entry->wild) st_write_char(writer, '*');
}
