/* The parameters of createsubtoken, from the query and from a form or JSON body, to one request of
 * core/narrow.c. Strict: what is given twice, or in a way that shows a misunderstanding, is
 * refused.
 */
#include "service/params.h"

#include "base/bytes.h"
#include "base/date.h"
#include "base/impossible.h"
#include "base/json.h"
#include "service/form.h"
#include "subtoken/issue.h"

enum { EXPIRE = 1, PERMISSIONS = 2, URLS = 4, AUDIENCE = 8 };

static unsigned params_known(subtoken_text name) {
  if (st_text_is(name, "expire")) return EXPIRE;
  if (st_text_is(name, "permissions")) return PERMISSIONS;
  if (st_text_is(name, "audience")) return AUDIENCE;
  return st_text_is(name, "urls") ? URLS : 0;
}

/* `urls[]` and `urls[0]`, as PHP and others write lists: who sends that means the parameter, and
 * must not be given a token without the limits that it asked for. */
static unsigned params_known_as_array(subtoken_text name) {
  return params_known((subtoken_text){name.data, st_text_find(name, '[')});
}

static bool params_refuse(st_params *params, const char *name, const char *reason) {
  st_writer writer = st_writer_on(params->error, sizeof params->error);
  st_write_literal(&writer, name);
  st_write_literal(&writer, ": ");
  st_write_literal(&writer, reason);
  if (!st_writer_end(&writer)) params->error[0] = '\0';
  return false;
}

/* Of a value: true when it is noted, and the rest is to be read. Of each parameter one is. */
static bool params_refuse_value(st_params *params, const char *name, const char *reason) {
  if (!params->collects) return params_refuse(params, name, reason);
  for (size_t i = 0; i < params->problem_count; i++) {
    const st_params_problem *noted = &params->problems[i];
    if (strcmp(noted->parameter, name) == 0) return true;
  }
  if (st_impossible(params->problem_count == ST_PARAMS_PROBLEMS_MAX, "there are four")) return true;
  params->problems[params->problem_count++] = (st_params_problem){name, reason};
  return true;
}

static const char *params_name_of(unsigned parameter) {
  switch (parameter) {
    case EXPIRE: return "expire";
    case PERMISSIONS: return "permissions";
    case AUDIENCE: return "audience";
    default: return "urls";
  }
}

static bool params_read_expire(st_params *params, subtoken_text value) {
  params->request.has_expire = st_date_read(value, &params->request.expire);
  if (params->request.has_expire) return true;
  return params_refuse_value(
      params, "expire",
      "must be a date and time such as 2027-11-22T00:41:48Z, with Z, an offset like "
      "+02:00, or nothing for UTC");
}

/* An empty one is refused: it would be a token for everywhere. */
static bool params_read_audience(st_params *params, subtoken_text value) {
  if (!subtoken_audience_valid(value)) {
    return params_refuse_value(params, "audience", "must be 1 to 32 characters A-Za-z0-9_-");
  }
  params->request.audience = value;
  return true;
}

static bool params_add_permission(st_params *params, subtoken_text item) {
  if (params->request.permission_count == SUBTOKEN_PERMISSIONS_MAX) {
    return params_refuse_value(params, "permissions", "too many entries (maximum 64)");
  }
  params->permissions[params->request.permission_count++] = item;
  return true;
}

bool st_params_add_url(st_params *params, subtoken_text item) {
  static const char hex[] = "0123456789ABCDEF";
  if (params->request.url_count == SUBTOKEN_URLS_MAX) {
    return params_refuse_value(params, "urls", "too many entries (maximum 64)");
  }
  st_writer *out = &params->writer;
  size_t start = out->len;
  for (size_t i = 0; i < item.len; i++) {
    uint8_t byte = (uint8_t)item.data[i];
    if (byte != ' ' && byte < 0x80) {
      st_write_char(out, (char)byte);
      continue;
    }
    char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
    st_write(out, escape, sizeof escape);
  }
  if (out->overflow) return params_refuse(params, "urls", "too long");
  params->urls[params->request.url_count++] = (subtoken_text){out->out + start, out->len - start};
  return true;
}

static bool params_read_text(st_params *params, unsigned parameter, subtoken_text value) {
  return parameter == EXPIRE ? params_read_expire(params, value)
                             : params_read_audience(params, value);
}

/* The others are lists. */
static bool params_is_text(unsigned parameter) {
  return parameter == EXPIRE || parameter == AUDIENCE;
}

/* The two lists of a query or form: one text, cut at the commas and the blanks around them. */
static bool params_read_list(st_params *params, unsigned parameter, subtoken_text value) {
  if (parameter == URLS) params->request.has_urls = value.len > 0;
  st_cutter cutter = {value, value.len == 0};
  subtoken_text item;
  while (st_cut_item(&cutter, &item)) {
    if (parameter == URLS ? !st_params_add_url(params, item)
                          : !params_add_permission(params, item)) {
      return false;
    }
  }
  return true;
}

static bool params_first_time(st_params *params, unsigned parameter) {
  if (params->seen & parameter) {
    return params_refuse(params, params_name_of(parameter), "given more than once");
  }
  params->seen |= parameter;
  return true;
}

static bool params_starts_json(subtoken_text name) {
  size_t i = 0;
  while (i < name.len && (name.data[i] == ' ' || name.data[i] == '\r' || name.data[i] == '\n')) i++;
  return i < name.len && (name.data[i] == '{' || name.data[i] == '[');
}

/* A name that is none of the parameters is ignored, unless it shows that something was asked
 * for in a way that is not understood. where: "query" or "body". */
static bool params_read_unknown(st_params *params, const char *where, subtoken_text name) {
  unsigned parameter = params_known_as_array(name);
  if (parameter != 0) {
    return params_refuse(
        params, params_name_of(parameter),
        "must not have [] after its name: send a comma-separated list, or JSON with "
        "Content-Type: application/json");
  }
  if (!params_starts_json(name)) return true;
  return params_refuse(params, where,
                       "is JSON, not name=value: send it as the body with "
                       "Content-Type: application/json");
}

static bool params_read_pairs(st_params *params, const char *where, subtoken_text text) {
  st_cutter cutter = {text, false};
  st_pair pair;
  while (st_form_next_pair(&cutter, &params->writer, &pair)) {
    unsigned parameter = params_known(pair.name);
    if (parameter == 0) {
      if (!params_read_unknown(params, where, pair.name)) return false;
      continue;
    }
    if (!params_first_time(params, parameter)) return false;
    if (pair.bad_escape) {
      if (params_refuse_value(params, params_name_of(parameter),
                              "a % needs two hex digits behind it")) {
        continue;
      }
      return false;
    }
    if (params_is_text(parameter) ? !params_read_text(params, parameter, pair.value)
                                  : !params_read_list(params, parameter, pair.value)) {
      return false;
    }
  }
  return true;
}

/* A form in which nothing is known is something else under that content type. */
static bool params_read_form(st_params *params, subtoken_text body) {
  unsigned before = params->seen;
  if (!params_read_pairs(params, "body", body)) return false;
  if (body.len == 0 || params->seen != before) return true;
  return params_refuse(
      params, "body",
      "has none of the parameters expire, permissions, urls and audience; JSON needs "
      "Content-Type: application/json");
}

static bool params_read_json_list(st_params *params, unsigned parameter, st_json *json) {
  subtoken_text item;
  if (parameter == URLS) params->request.has_urls = true;
  if (!st_json_array(json)) return false;
  while (st_json_element(json)) {
    if (!st_json_string(json, &item)) return false;
    if (parameter == URLS ? !st_params_add_url(params, item)
                          : !params_add_permission(params, item)) {
      return false;
    }
  }
  if (!json->failed && parameter == URLS && params->request.url_count == 0) {
    params->request.has_urls = false;
    return params_refuse_value(params, "urls",
                               "must not be empty; leave it out for no restriction");
  }
  return !json->failed;
}

static bool params_read_json_member(st_params *params, subtoken_text name, st_json *json) {
  subtoken_text text;
  unsigned parameter = params_known(name);
  bool null = st_json_peek(json) == 'n'; /* as if it were missing */
  if (parameter == 0 || null) return st_json_skip(json);
  if (!params_first_time(params, parameter)) return false;
  bool single = params_is_text(parameter);
  bool good = single ? st_json_string(json, &text) && params_read_text(params, parameter, text)
                     : params_read_json_list(params, parameter, json);
  if (!good && json->wrong_type) {
    return params_refuse(params, params_name_of(parameter),
                         single ? "must be a string" : "must be an array of strings");
  }
  return good;
}

static bool params_read_json(st_params *params, subtoken_text body) {
  st_json json;
  subtoken_text name;
  /* The reader unescapes in place, so it gets a copy, which the views outlive. */
  char *copy = params->writer.out + params->writer.len;
  st_write_view(&params->writer, body);
  if (params->writer.overflow) return params_refuse(params, "body", "too long");
  st_json_start(&json, copy, body.len);
  bool good = st_json_object(&json);
  while (good && st_json_member(&json, &name)) good = params_read_json_member(params, name, &json);
  if (good && st_json_end(&json)) return true;
  if (params->error[0] != '\0') return false;
  return params_refuse(params, "body", "must be one JSON object without duplicate names");
}

static bool params_read(st_params *params, subtoken_text query, st_body_kind kind,
                        subtoken_text body) {
  params->request = (subtoken_issue_request){.size = sizeof(subtoken_issue_request),
                                             .permissions = params->permissions,
                                             .urls = params->urls};
  params->seen = 0;
  params->writer = st_writer_on(params->text, sizeof params->text);
  params->error[0] = '\0';
  params->problem_count = 0;
  if (!params_read_pairs(params, "query", query)) return false;
  if (kind == ST_BODY_FORM) return params_read_form(params, body);
  return kind == ST_BODY_NONE || params_read_json(params, body);
}

bool st_params_read(st_params *params, subtoken_text query, st_body_kind kind, subtoken_text body) {
  params->collects = false;
  return params_read(params, query, kind, body);
}

bool st_params_read_all(st_params *params, subtoken_text query, st_body_kind kind,
                        subtoken_text body) {
  params->collects = true;
  return params_read(params, query, kind, body);
}
