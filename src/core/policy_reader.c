/* What the parsers of a policy share: errors that name their place, and lists of strings. Strings
 * stay in the copy of the text that the policy keeps. policy_parse.c has the grammar.
 */
#include "core/policy_reader.h"

#include "base/impossible.h"
#include "core/claims.h"

#define VALUE_MAX 48 /* bytes of a value that an error repeats */
#define CALL_MAX 20  /* of the member of "mcp" that it is in, and then of the value */

/* ---- errors ---- */

/* The first `most` bytes of a long text, cut behind a whole character, in quotes. */
static void write_quoted(st_writer *writer, subtoken_text text, size_t most) {
  size_t len = text.len < most ? text.len : most;
  while (len > 0 && len < text.len && ((uint8_t)text.data[len] & 0xC0) == 0x80) len--;
  st_write_char(writer, '"');
  st_write_escaped(writer, (subtoken_text){text.data, len});
  if (len < text.len) st_write_literal(writer, "...");
  st_write_char(writer, '"');
}

static void write_place(st_writer *writer, const st_policy_reader *r) {
  if (r->route != ST_POLICY_NONE) {
    st_write_literal(writer, "routes[");
    st_write_int(writer, (int64_t)r->route);
    st_write_char(writer, ']');
    if (r->member.data != NULL) st_write_char(writer, '.');
  }
  if (r->member.data != NULL) st_write_view(writer, r->member);
  if (r->call.data != NULL) {
    st_write_char(writer, '.');
    write_quoted(writer, r->call, CALL_MAX);
  }
  if (r->item != ST_POLICY_NONE) {
    st_write_char(writer, '[');
    st_write_int(writer, (int64_t)r->item);
    st_write_char(writer, ']');
  }
  if (writer->len > 0) st_write_literal(writer, ": ");
}

/* Writes the value (data NULL: none), the problem, and a line > 0 behind it. */
bool st_policy_reader_refuse_value(st_policy_reader *r, size_t at, subtoken_text value,
                                   const char *problem, size_t line) {
  subtoken_policy_error *error = r->error;
  st_json_position(r->text.data, at < r->text.len ? at : r->text.len, &error->line, &error->column);
  st_writer writer = st_writer_on(error->text, sizeof error->text);
  write_place(&writer, r);
  if (value.data != NULL) {
    write_quoted(&writer, value, r->call.data != NULL ? CALL_MAX : VALUE_MAX);
    st_write_char(&writer, ' ');
  }
  st_write_truncated(&writer, problem);
  if (line > 0) st_write_int(&writer, (int64_t)line);
  bool cut = !st_writer_end(&writer);
  if (st_impossible(cut, "the longest error fits")) error->text[0] = '\0';
  return false;
}

bool st_policy_reader_refuse(st_policy_reader *r, size_t at, const char *problem, size_t line) {
  return st_policy_reader_refuse_value(r, at, (subtoken_text){NULL, 0}, problem, line);
}

bool st_policy_reader_refuse_syntax(st_policy_reader *r, const char *wanted) {
  bool ended = r->json.at >= r->text.len;
  const char *problem = ended ? "unexpected end of the text" : "not strict JSON";
  const char *mark = st_text_mark_error(r->text);
  if (mark != NULL) problem = mark;
  return st_policy_reader_refuse(r, r->json.at, r->json.wrong_type ? wanted : problem, 0);
}

size_t st_policy_reader_value_offset(st_policy_reader *r) {
  (void)st_json_peek(&r->json);
  return r->json.at;
}

size_t st_policy_reader_string_offset(const st_policy_reader *r, subtoken_text string) {
  return (size_t)(string.data - r->json.text) - 1;
}

size_t st_policy_reader_line(st_policy_reader *r, size_t at) {
  for (; r->lines_at < at; r->lines_at++) r->line += r->text.data[r->lines_at] == '\n';
  return r->line;
}

/* ---- lists ---- */

static bool is_listed(const st_policy_reader *r, uint32_t first, subtoken_text item) {
  for (size_t i = first; i < r->slice_count; i++) {
    if (st_text_equal((subtoken_text){r->json.text + r->slices[i].at, r->slices[i].len}, item)) {
      return true;
    }
  }
  return false;
}

static bool parse_item(st_policy_reader *r, const char *(*problem_of)(subtoken_text item),
                       uint32_t first, size_t most) {
  subtoken_text item;
  size_t at = st_policy_reader_value_offset(r);
  if (!st_json_string(&r->json, &item))
    return st_policy_reader_refuse_syntax(r, "must be a string");
  const char *problem = problem_of(item);
  if (problem == NULL && is_listed(r, first, item)) problem = "is a duplicate";
  if (problem != NULL) return st_policy_reader_refuse_value(r, at, item, problem, 0);
  if (r->slice_count - first == most)
    return st_policy_reader_refuse(r, at, "too many entries (maximum 64)", 0);
  if (st_impossible(r->slice_count == r->slice_capacity, "each takes two quotes")) {
    return st_policy_reader_refuse(r, at, "too many entries", 0);
  }
  r->slices[r->slice_count++] =
      (st_policy_slice){(uint32_t)(item.data - r->json.text), (uint32_t)item.len};
  return true;
}

bool st_policy_reader_list(st_policy_reader *r, const char *(*problem_of)(subtoken_text item),
                           size_t most, uint32_t *first, uint8_t *count) {
  size_t at = st_policy_reader_value_offset(r);
  *first = (uint32_t)r->slice_count;
  if (!st_json_array(&r->json))
    return st_policy_reader_refuse_syntax(r, "must be an array of strings");
  for (r->item = 0; st_json_element(&r->json); r->item++) {
    if (!parse_item(r, problem_of, *first, most)) return false;
  }
  if (r->json.failed) return st_policy_reader_refuse_syntax(r, "not strict JSON");
  r->item = ST_POLICY_NONE;
  *count = (uint8_t)(r->slice_count - *first);
  if (*count > 0) return true;
  return st_policy_reader_refuse(r, at, "must not be empty: remove it or add an entry", 0);
}

static const char *need_problem(subtoken_text need) {
  if (need.len > SUBTOKEN_PERMISSION_MAX) return "must not be longer than 64 characters";
  return subtoken_permission_valid(need) ? NULL : "is not a permission";
}

bool st_policy_reader_needs(st_policy_reader *r, uint32_t *first, uint8_t *count) {
  return st_policy_reader_list(r, need_problem, SUBTOKEN_POLICY_NEEDS_MAX, first, count);
}
