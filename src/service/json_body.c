/* JSON bodies of the calls that change something: named fields of four types. Which fields a call
 * takes, and which of them it needs, it says itself.
 */
#include "service/json_body.h"

#include "base/date.h"
#include "base/json.h"
#include "core/claims.h"
#include "service/request.h"

/* What is wrong with a field, and where the next scratch is. */
typedef struct json_body_reader {
  st_json json;
  st_writer joined; /* behind the body's copy */
  const char *problem;
} json_body_reader;

static bool json_body_wrong(json_body_reader *reader, const char *problem) {
  if (reader->problem == NULL) reader->problem = problem;
  return false;
}

/* Is it in the list that has been joined so far? */
static bool json_body_lists(subtoken_text list, subtoken_text item) {
  st_cutter cutter = {list, list.len == 0};
  subtoken_text each;
  while (st_cut(&cutter, ',', &each)) {
    if (st_text_equal(each, item)) return true;
  }
  return false;
}

/* What a value of another type is told. */
static const char *json_body_type(const st_field *field) {
  switch (field->type) {
    case ST_FIELD_TEXT: return "must be a string";
    case ST_FIELD_BOOL: return "must be true or false";
    case ST_FIELD_DURATION:
      return "must be a number of seconds, or a string of a number with s, m, h or d such as "
             "\"24h\"";
    default: return "must be an array of strings";
  }
}

static bool json_body_read_permissions(json_body_reader *reader, st_field *field) {
  st_writer *out = &reader->joined;
  char *start = out->out + out->len;
  size_t before = out->len, count = 0;
  subtoken_text item;
  if (!st_json_array(&reader->json)) return false;
  while (st_json_element(&reader->json)) {
    if (!st_json_string(&reader->json, &item)) return false;
    if (!subtoken_permission_valid(item)) {
      return json_body_wrong(
          reader, "each must be 1 to 64 characters without space, quote, comma or backslash");
    }
    if (json_body_lists((subtoken_text){start, out->len - before}, item)) continue;
    if (++count > SUBTOKEN_PERMISSIONS_MAX)
      return json_body_wrong(reader, "too many entries (maximum 64)");
    if (out->len > before) st_write_char(out, ',');
    st_write_view(out, item);
  }
  field->text = (subtoken_text){start, out->len - before};
  if (out->overflow) return json_body_wrong(reader, "too long");
  return !reader->json.failed;
}

static bool json_body_read_duration(json_body_reader *reader, st_field *field) {
  subtoken_text text;
  if (st_json_peek(&reader->json) != '"') return st_json_uint(&reader->json, &field->number);
  if (!st_json_string(&reader->json, &text)) return false;
  return st_date_read_duration(text, &field->number) ||
         json_body_wrong(reader, json_body_type(field));
}

static bool json_body_read_value(json_body_reader *reader, st_field *field) {
  bool good = false;
  if (st_json_peek(&reader->json) == 'n') return st_json_skip(&reader->json); /* null: missing */
  switch (field->type) {
    case ST_FIELD_TEXT: good = st_json_string(&reader->json, &field->text); break;
    case ST_FIELD_BOOL: good = st_json_bool(&reader->json, &field->flag); break;
    case ST_FIELD_PERMISSIONS: good = json_body_read_permissions(reader, field); break;
    case ST_FIELD_DURATION: good = json_body_read_duration(reader, field); break;
  }
  field->given = good;
  if (!good && reader->json.wrong_type) return json_body_wrong(reader, json_body_type(field));
  return good;
}

static st_field *json_body_field(st_field *fields, size_t count, subtoken_text name) {
  for (size_t i = 0; i < count; i++) {
    if (st_text_is(name, fields[i].name)) return &fields[i];
  }
  return NULL;
}

static const st_problem *json_body_read_object(st_context *c, json_body_reader *reader,
                                               st_field *fields, size_t count) {
  subtoken_text name;
  bool good = st_json_object(&reader->json);
  while (good && st_json_member(&reader->json, &name)) {
    st_field *field = json_body_field(fields, count, name);
    good = field != NULL ? json_body_read_value(reader, field) : st_json_skip(&reader->json);
    if (!good && field != NULL && reader->problem != NULL) {
      return st_problem_parameter(&c->problem, field->name, reader->problem);
    }
  }
  if (good && st_json_end(&reader->json)) return NULL;
  return st_problem_parameter(&c->problem, "body",
                              "must be one JSON object without duplicate names");
}

const st_problem *st_json_body_read(st_context *c, st_field *fields, size_t count, char *scratch) {
  static const st_problem other_type = {
      .status = 415, .event = "bad_request", .text = "Content-Type: must be application/json"};
  json_body_reader reader;
  subtoken_text body = c->request->body;
  for (size_t i = 0; i < count; i++) {
    fields[i].given = fields[i].flag = false;
    fields[i].number = 0;
    fields[i].text = (subtoken_text){NULL, 0};
  }
  if (st_request_body_kind(c->request) != ST_BODY_JSON) return &other_type;
  if (body.len > ST_REQUEST_BODY_MAX) return st_problem_parameter(&c->problem, "body", "too long");
  if (body.len > 0) memcpy(scratch, body.data, body.len);
  st_json_start(&reader.json, scratch, body.len);
  reader.joined =
      st_writer_on(scratch + ST_REQUEST_BODY_MAX, ST_BODY_SCRATCH - ST_REQUEST_BODY_MAX);
  reader.problem = NULL;
  return json_body_read_object(c, &reader, fields, count);
}

/* `{}`, with JSON's white space. */
static bool json_body_is_empty(subtoken_text body) {
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

/* A browser that knows a password sends it along for a page of any origin, with a form that has no
 * fields, too. It names the origin whenever it sends a POST (Fetch standard, Origin header).
 */
static bool json_body_may_be_forged(const st_context *c) {
  const st_request *request = c->request;
  bool basic = (c->credential.forms & ST_FORM_BASIC) != 0;
  return basic && request->body.len == 0 && st_request_has_header(request, "Origin");
}

const st_problem *st_json_body_none(st_context *c) {
  subtoken_text body = c->request->body;
  bool empty = json_body_is_empty(body) && st_request_body_kind(c->request) == ST_BODY_JSON;
  if (body.len > 0 && !empty) {
    return st_problem_make(&c->problem, 400, "bad_request",
                           "this call takes no body, or {} with Content-Type: application/json");
  }
  if (c->credential.forms == ST_FORM_QUERY) {
    return st_problem_parameter(&c->problem, "access_token", "must be in a header for this call");
  }
  if (json_body_may_be_forged(c)) {
    return st_problem_parameter(
        &c->problem, "body",
        "must be {} with Content-Type: application/json where a web page sends HTTP Basic");
  }
  return NULL;
}
