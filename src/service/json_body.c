#include "service/json_body.h"

#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "service/context.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/request.h"

/* What is wrong with a field, and where the next scratch is. */
typedef struct body_reader {
  st_json json;
  st_writer joined; /* behind the body's copy */
  const char *problem;
} body_reader;

static bool wrong(body_reader *reader, const char *problem) {
  if (reader->problem == NULL) reader->problem = problem;
  return false;
}

/* Is it in the list that has been joined so far? */
static bool is_in(subtoken_text list, subtoken_text item) {
  st_cutter cutter = {list, list.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_text_equal(each, item)) return true;
  }
  return false;
}

static bool read_permissions(body_reader *reader, st_field *field) {
  st_writer *out = &reader->joined;
  char *start = out->out + out->len;
  size_t before = out->len, count = 0;
  subtoken_text item;
  if (!st_json_array(&reader->json)) return false;
  while (st_json_element(&reader->json)) {
    if (!st_json_string(&reader->json, &item)) return false;
    if (!subtoken_permission_valid(item)) {
      return wrong(reader, "each is 1 to 64 characters without space, quote, comma or backslash");
    }
    if (is_in((subtoken_text){start, out->len - before}, item)) continue;
    if (++count > SUBTOKEN_PERMISSIONS_MAX) return wrong(reader, "at most 64");
    if (out->len > before) st_write_char(out, ',');
    st_write_view(out, item);
  }
  field->text = (subtoken_text){start, out->len - before};
  if (out->overflow) return wrong(reader, "too long");
  return !reader->json.failed;
}

static bool read_value(body_reader *reader, st_field *field) {
  bool good = false;
  if (st_json_peek(&reader->json) == 'n') return st_json_skip(&reader->json); /* null: missing */
  switch (field->type) {
    case ST_FIELD_TEXT: good = st_json_string(&reader->json, &field->text); break;
    case ST_FIELD_BOOL: good = st_json_bool(&reader->json, &field->flag); break;
    case ST_FIELD_PERMISSIONS: good = read_permissions(reader, field); break;
  }
  field->given = good;
  if (!good && reader->json.wrong_type) {
    return wrong(reader, field->type == ST_FIELD_TEXT   ? "must be a string"
                         : field->type == ST_FIELD_BOOL ? "must be true or false"
                                                        : "must be an array of strings");
  }
  return good;
}

static st_field *field_of(st_field *fields, size_t count, subtoken_text name) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(name, fields[i].name)) return &fields[i];
  }
  return NULL;
}

static void refuse(st_context *c, const char *name, const char *problem) {
  char text[160];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, name);
  st_write_literal(&writer, ": ");
  st_write_literal(&writer, problem);
  st_reply_error(c->reply, 400, "bad_request", st_writer_end(&writer) ? text : problem);
}

static bool read_object(st_context *c, body_reader *reader, st_field *fields, size_t count) {
  subtoken_text name;
  bool good = st_json_object(&reader->json);
  while (good && st_json_member(&reader->json, &name)) {
    st_field *field = field_of(fields, count, name);
    good = field != NULL ? read_value(reader, field) : st_json_skip(&reader->json);
    if (!good && field != NULL && reader->problem != NULL) {
      refuse(c, field->name, reader->problem);
      return false;
    }
  }
  if (good && st_json_end(&reader->json)) return true;
  refuse(c, "body", "must be one JSON object without duplicate names");
  return false;
}

bool st_json_body_read(st_context *c, st_field *fields, size_t count, char *scratch) {
  body_reader reader;
  subtoken_text body = c->request->body;
  for (size_t i = 0; i < count; i++) {
    fields[i].given = fields[i].flag = false;
    fields[i].text = (subtoken_text){NULL, 0};
  }
  if (st_request_body_kind(c->request) != ST_BODY_JSON) {
    st_reply_error(c->reply, 415, "bad_request", "Content-Type: must be application/json");
    return false;
  }
  if (body.len > ST_BODY_IN_MAX) {
    refuse(c, "body", "too long");
    return false;
  }
  if (body.len > 0) memcpy(scratch, body.data, body.len);
  st_json_start(&reader.json, scratch, body.len);
  reader.joined = st_writer_on(scratch + ST_BODY_IN_MAX, ST_BODY_SCRATCH - ST_BODY_IN_MAX);
  reader.problem = NULL;
  return read_object(c, &reader, fields, count);
}

/* `{}`, with JSON's white space. */
static bool is_empty_object(subtoken_text body) {
  char brackets[2];
  size_t count = 0;
  for (size_t i = 0; i < body.len; i++) {
    char c = body.data[i];
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    if (count == sizeof brackets) return false;
    brackets[count++] = c;
  }
  return count == sizeof brackets && memcmp(brackets, "{}", sizeof brackets) == 0;
}

bool st_json_body_none(st_context *c) {
  subtoken_text body = c->request->body;
  bool empty = is_empty_object(body) && st_request_body_kind(c->request) == ST_BODY_JSON;
  if (body.len > 0 && !empty) {
    st_reply_error(c->reply, 400, "bad_request",
                   "this call takes no body, or {} with Content-Type: application/json");
    return false;
  }
  if (c->credential_in_query) {
    st_reply_error(c->reply, 400, "bad_request", "access_token: must be in a header for this call");
    return false;
  }
  return true;
}
