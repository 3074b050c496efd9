#include "core/paths.h"

#include "subtoken/url.h"

/* RFC 3986 section 3.3: pchar without `;` and `%`, and the slash. */
static bool allowed(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  switch (c) {
    case '/':
    case '-':
    case '.':
    case '_':
    case '~':
    case '!':
    case '$':
    case '&':
    case '\'':
    case '(':
    case ')':
    case '*':
    case '+':
    case ',':
    case '=':
    case ':':
    case '@': return true;
    default: return false;
  }
}

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

static subtoken_fault unescape(subtoken_text raw, size_t at, char *out) {
  int high = raw.len - at >= 3 ? st_hex_value(raw.data[at + 1]) : -1;
  int low = raw.len - at >= 3 ? st_hex_value(raw.data[at + 2]) : -1;
  if (high < 0 || low < 0) return SUBTOKEN_FAULT_BAD_ESCAPE;
  *out = (char)(high << 4 | low);
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

static subtoken_fault path_read(subtoken_text raw, st_path *path) {
  if (raw.len == 0 || raw.data[0] != '/') return SUBTOKEN_FAULT_NOT_ORIGIN_FORM;
  if (raw.len > SUBTOKEN_PATH_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  /* All characters before any escape, so that the reason does not depend on where they stand. */
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c != '%' && !allowed(c))
      return c == '#' ? SUBTOKEN_FAULT_FRAGMENT : SUBTOKEN_FAULT_BAD_CHAR;
  }
  path->len = 0;
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c == '%') {
      subtoken_fault fault = unescape(raw, i, &c);
      if (fault != SUBTOKEN_FAULT_NONE) return fault;
      i += 2;
    }
    path->bytes[path->len++] = c;
  }
  return check_segments(path);
}

subtoken_fault st_target_read(subtoken_text target, st_path *path) {
  path->len = 0;
  if (target.len > SUBTOKEN_TARGET_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  size_t end = 0;
  while (end < target.len && target.data[end] != '?') end++;
  /* The query takes no part, but it stands on the same request line. */
  for (size_t i = end; i < target.len; i++) {
    uint8_t byte = (uint8_t)target.data[i];
    if (byte == '#') return SUBTOKEN_FAULT_FRAGMENT;
    if (byte <= ' ' || byte >= 0x7F) return SUBTOKEN_FAULT_BAD_CHAR;
  }
  return path_read((subtoken_text){target.data, end}, path);
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

/* A star may stand only as the final segment, which is cut off. */
static subtoken_fault star_read(subtoken_text *text, bool *wild) {
  *wild = text->len >= 2 && text->data[text->len - 1] == '*' && text->data[text->len - 2] == '/';
  if (*wild) text->len--;
  for (size_t i = 0; i < text->len; i++) {
    if (text->data[i] == '*') return SUBTOKEN_FAULT_STAR;
    if (text->data[i] == '?' || text->data[i] == '#') return SUBTOKEN_FAULT_QUERY_IN_ENTRY;
  }
  return SUBTOKEN_FAULT_NONE;
}

static size_t written_len(char c);

static size_t canonical_len(const st_entry *entry) {
  size_t len = entry->method.len > 0 ? entry->method.len + 1 : 0;
  for (size_t i = 0; i < entry->path.len; i++) len += written_len(entry->path.bytes[i]);
  return len + entry->wild;
}

subtoken_fault st_entry_read(subtoken_text text, st_entry *entry) {
  entry->path.len = 0;
  if (text.len > SUBTOKEN_URL_MAX) return SUBTOKEN_FAULT_TOO_LONG;
  subtoken_fault fault = star_read(&text, &entry->wild);
  if (fault == SUBTOKEN_FAULT_NONE) fault = method_read(&text, &entry->method);
  if (fault == SUBTOKEN_FAULT_NONE) fault = path_read(text, &entry->path);
  if (fault == SUBTOKEN_FAULT_NONE && canonical_len(entry) > SUBTOKEN_URL_MAX) {
    fault = SUBTOKEN_FAULT_TOO_LONG;
  }
  return fault;
}

static bool starts_with(const st_path *path, const st_path *prefix) {
  return path->len >= prefix->len && memcmp(path->bytes, prefix->bytes, prefix->len) == 0;
}

/* Is path one or more whole, non-empty segments under prefix, which ends with a
 * slash? Only the last segment of a path that was read can be empty.
 */
static bool under(const st_path *prefix, const st_path *path) {
  return path->len > prefix->len && starts_with(path, prefix) && path->bytes[path->len - 1] != '/';
}

static bool same(const st_path *a, const st_path *b) {
  return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool st_entry_matches(const st_entry *entry, subtoken_text method, const st_path *path) {
  if (entry->method.len > 0 && !st_text_equal(entry->method, method) &&
      !(st_text_is(entry->method, "GET") && st_text_is(method, "HEAD"))) {
    return false;
  }
  return entry->wild ? under(&entry->path, path) : same(&entry->path, path);
}

bool st_entry_covers(const st_entry *outer, const st_entry *inner) {
  if (outer->method.len > 0 && !st_text_equal(outer->method, inner->method)) return false;
  if (!outer->wild) return !inner->wild && same(&outer->path, &inner->path);
  return inner->wild ? starts_with(&inner->path, &outer->path) : under(&outer->path, &inner->path);
}

static size_t written_len(char c) {
  return allowed(c) && c != '*' ? 1 : 3;
}

void st_path_write(st_writer *writer, const st_path *path) {
  static const char hex[] = "0123456789ABCDEF";
  for (size_t i = 0; i < path->len; i++) {
    char c = path->bytes[i];
    if (written_len(c) == 1) {
      st_write_char(writer, c);
      continue;
    }
    char escape[3] = {'%', hex[(uint8_t)c >> 4], hex[(uint8_t)c & 15]};
    st_write(writer, escape, sizeof escape);
  }
}

void st_entry_write(st_writer *writer, const st_entry *entry) {
  if (entry->method.len > 0) {
    st_write_text(writer, entry->method);
    st_write_char(writer, ':');
  }
  st_path_write(writer, &entry->path);
  if (entry->wild) st_write_char(writer, '*');
}

subtoken_result subtoken_target_path(subtoken_text target, char *out, size_t out_size,
                                     size_t *out_len, subtoken_fault *fault) {
  st_path path;
  if (out == NULL || out_len == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *out_len = 0;
  if (out_size > 0) out[0] = '\0';
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
  if (out == NULL || out_len == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *out_len = 0;
  if (out_size > 0) out[0] = '\0';
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
