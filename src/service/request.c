/* What endpoints read out of a request by name: single parameters of the query, whether a header
 * came, and by Content-Type what a body is. Reading head and body off a connection is not done here
 * (request_head.c, chunked.c).
 */
#include "service/request.h"
#include "base/impossible.h"
#include "service/form.h"

static const st_problem *request_out_of_bounds(st_context *c, const char *name, const char *before,
                                               int64_t most, const char *behind) {
  char text[80];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, before);
  st_write_int(&writer, most);
  st_write_literal(&writer, behind);
  if (st_impossible(!st_writer_end(&writer), "a number fits")) text[0] = '\0';
  return st_problem_parameter(&c->problem, name, text);
}

const st_problem *st_request_query_text(st_context *c, const char *name, char *out, size_t size) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {c->query, false};
  st_writer writer = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  bool given = false;
  out[0] = '\0';
  while (st_form_next_named(&cutter, name, &writer, &pair)) {
    if (given) return st_problem_parameter(&c->problem, name, "given more than once");
    given = true;
    if (pair.bad_escape || memchr(pair.value.data, 0, pair.value.len) != NULL) {
      return st_problem_parameter(&c->problem, name, "has a bad percent-encoding, or a NUL");
    }
    if (pair.value.len >= size)
      return request_out_of_bounds(c, name, "must have at most ", (int64_t)size - 1, " bytes");
    memcpy(out, pair.value.data, pair.value.len);
    out[pair.value.len] = '\0';
  }
  return NULL;
}

const st_problem *st_request_query_number(st_context *c, const char *name, int64_t most,
                                          int64_t *value) {
  char text[24];
  int64_t number = 0;
  const st_problem *problem = st_request_query_text(c, name, text, sizeof text);
  if (problem != NULL || text[0] == '\0') return problem;
  for (size_t i = 0; text[i] != '\0'; i++) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    number = !digit ? 0 : number > most / 10 ? most + 1 : number * 10 + (text[i] - '0');
    if (!digit) break;
  }
  if (number < 1 || number > most)
    return request_out_of_bounds(c, name, "must be a number from 1 to ", most, "");
  *value = number;
  return NULL;
}

bool st_request_has_header(const st_request *request, const char *name) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (st_text_is_nocase(request->headers[i].name, name)) return true;
  }
  return false;
}

st_body_kind st_request_body_kind(const st_request *request) {
  st_body_kind kind = ST_BODY_NONE;
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "Content-Type")) continue;
    if (kind != ST_BODY_NONE) return ST_BODY_NONE;
    st_cutter cutter = {request->headers[i].value, false};
    subtoken_text type;
    (void)st_cut(&cutter, ';', &type);
    while (type.len > 0 && (type.data[type.len - 1] == ' ' || type.data[type.len - 1] == '\t')) {
      type.len--;
    }
    if (st_text_is_nocase(type, "application/json")) kind = ST_BODY_JSON;
    if (st_text_is_nocase(type, "application/x-www-form-urlencoded")) kind = ST_BODY_FORM;
    if (kind == ST_BODY_NONE) return ST_BODY_NONE;
  }
  return kind;
}

bool st_request_params_kind(const st_request *request, st_body_kind *kind) {
  *kind = ST_BODY_NONE;
  if (!st_text_is(request->method, "POST") || request->body.len == 0) return true;
  *kind = st_request_body_kind(request);
  return *kind != ST_BODY_NONE;
}
