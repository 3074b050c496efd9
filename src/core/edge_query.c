/* access_token= in the query of a target: its values, and the target without it. The name is found
 * however it is escaped, and is read as service/form.c reads it. Whether a value is the only
 * credential is for edge_credential.c.
 */
#include "core/edge_query.h"

#include "subtoken/edge.h"

#define EDGE_QUERY_NAME "access_token"
#define EDGE_QUERY_NAME_LEN (sizeof EDGE_QUERY_NAME - 1)

bool st_edge_query_decode(subtoken_text raw, char *out, size_t *out_len) {
  size_t len = 0;
  for (size_t i = 0; i < raw.len; i++) {
    char c = raw.data[i];
    if (c == '+') {
      c = ' ';
    } else if (c == '%') {
      int high = raw.len - i >= 3 ? st_hex_value(raw.data[i + 1]) : -1;
      int low = raw.len - i >= 3 ? st_hex_value(raw.data[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = (char)(high << 4 | low);
      i += 2;
    }
    out[len++] = c;
  }
  *out_len = len;
  return true;
}

/* Each character may be escaped by three; a longer name cannot be the one. */
static bool edge_query_has_name(subtoken_text parameter) {
  char decoded[3 * EDGE_QUERY_NAME_LEN];
  size_t len;
  subtoken_text name = {parameter.data, st_text_find(parameter, '=')};
  if (name.len > sizeof decoded || !st_edge_query_decode(name, decoded, &len)) return false;
  return st_text_is((subtoken_text){decoded, len}, EDGE_QUERY_NAME);
}

/* The first character tells most parameters apart. */
static bool edge_query_is_token(subtoken_text parameter) {
  return parameter.len >= EDGE_QUERY_NAME_LEN &&
         (*parameter.data == EDGE_QUERY_NAME[0] || *parameter.data == '%') &&
         edge_query_has_name(parameter);
}

/* The next parameter, without its &. False: there is none. */
static bool edge_query_cut(st_edge_query *query, subtoken_text *parameter) {
  if (query->rest.data == NULL) return false;
  subtoken_text rest = query->rest;
  size_t end = st_text_find(rest, '&');
  *parameter = (subtoken_text){rest.data, end};
  query->rest = end == rest.len ? (subtoken_text){NULL, 0}
                                : (subtoken_text){rest.data + end + 1, rest.len - end - 1};
  return true;
}

st_edge_query st_edge_query_of(subtoken_text target) {
  size_t mark = st_text_find(target, '?');
  st_edge_query query = {{NULL, 0}};
  if (mark < target.len) {
    query.rest = (subtoken_text){target.data + mark + 1, target.len - mark - 1};
  }
  return query;
}

bool st_edge_query_next(st_edge_query *query, subtoken_text *raw) {
  subtoken_text parameter;
  while (edge_query_cut(query, &parameter)) {
    if (!edge_query_is_token(parameter)) continue;
    size_t before = st_text_find(parameter, '=') + 1;
    if (before >= parameter.len) continue;
    *raw = (subtoken_text){parameter.data + before, parameter.len - before};
    return true;
  }
  return false;
}

static bool edge_query_has_token(subtoken_text target) {
  st_edge_query query = st_edge_query_of(target);
  subtoken_text parameter;
  while (edge_query_cut(&query, &parameter)) {
    if (edge_query_is_token(parameter)) return true;
  }
  return false;
}

/* Writes the ? with the first parameter that stays. */
static void edge_query_write_others(st_edge_query query, st_writer *writer) {
  subtoken_text parameter;
  bool first = true, any = false;
  size_t start = writer->len;
  while (edge_query_cut(&query, &parameter)) {
    if (edge_query_is_token(parameter)) continue;
    st_write_char(writer, first ? '?' : '&');
    st_write_view(writer, parameter);
    any = any || parameter.len > 0 || !first;
    first = false;
  }
  if (!any) writer->len = start; /* nothing, or one empty parameter */
}

subtoken_result subtoken_edge_strip_query(subtoken_text target, char *out, size_t out_size,
                                          subtoken_text *stripped) {
  if (stripped == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  *stripped = (subtoken_text){NULL, 0};
  if (target.data == NULL || (out == NULL && out_size > 0)) return SUBTOKEN_INVALID_ARGUMENT;
  if (!edge_query_has_token(target)) {
    *stripped = target;
    return SUBTOKEN_OK;
  }
  st_edge_query query = st_edge_query_of(target);
  st_writer writer = st_writer_on(out, out_size);
  st_write_view(&writer, (subtoken_text){target.data, (size_t)(query.rest.data - target.data) - 1});
  edge_query_write_others(query, &writer);
  if (!st_writer_end(&writer)) return SUBTOKEN_BUFFER_TOO_SMALL;
  *stripped = (subtoken_text){out, writer.len};
  return SUBTOKEN_OK;
}
