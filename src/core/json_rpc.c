/* Which APIs a JSON-RPC body calls. Nodes of Graphene, Steem and Hive differ in how they read a
 * body, so a body that one of them could read differently is refused; subtoken/policy.h lists the
 * cases.
 */
#include "base/impossible.h"
#include "base/json.h"
#include "core/claims.h"
#include "subtoken/policy.h"

/* What the first parameter of a request is. */
typedef enum first_param {
  PARAM_OTHER = 0, /* another value; or there is none, or params is not an array */
  PARAM_ZERO,
  PARAM_NAME,
} first_param;

typedef struct rpc_request {
  subtoken_text method; /* data NULL when there is none */
  first_param first;
  subtoken_text api;    /* of PARAM_NAME */
  subtoken_text second; /* of the parameters, when it is a string */
} rpc_request;

static bool has_need(const subtoken_rpc *rpc, subtoken_text need) {
  for (size_t i = 0; i < rpc->count; i++) {
    if (st_text_equal(subtoken_rpc_need(rpc, i), need)) return true;
  }
  return false;
}

/* The name of an API is not a number, not even in quotes, and has no dot. */
static bool is_api_name(subtoken_text api) {
  bool number = true;
  for (size_t i = 0; i < api.len; i++) {
    if (api.data[i] == '.') return false;
    if (api.data[i] < '0' || api.data[i] > '9') number = false;
  }
  return !number; /* and not empty */
}

static bool ends_in_api(subtoken_text name) {
  return name.len >= 4 && memcmp(name.data + name.len - 4, "_api", 4) == 0;
}

/* The permission of an API: its name, which ends in _api or is given that end. */
static bool add_need(subtoken_rpc *rpc, subtoken_text api) {
  char buffer[SUBTOKEN_PERMISSION_MAX];
  st_writer writer = st_writer_on(buffer, sizeof buffer);
  st_write_view(&writer, api);
  if (!ends_in_api(api)) st_write_literal(&writer, "_api");
  subtoken_text need = {buffer, writer.len};
  if (!is_api_name(api) || writer.overflow || !subtoken_permission_valid(need)) return false;
  if (has_need(rpc, need)) return true;
  if (rpc->count == SUBTOKEN_RPC_NEEDS_MAX) return false;
  size_t at = rpc->count * SUBTOKEN_PERMISSION_MAX;
  memcpy(rpc->text + at, need.data, need.len);
  rpc->needs[rpc->count++] = (subtoken_slice){(uint16_t)at, (uint16_t)need.len};
  return true;
}

static bool read_first_param(st_json *json, rpc_request *into) {
  int64_t number;
  char kind = st_json_peek(json);
  if (kind == '"') {
    into->first = PARAM_NAME;
    return st_json_string(json, &into->api);
  }
  if (kind != '0' || json->text[json->at] != '0') return st_json_skip(json);
  into->first = PARAM_ZERO;
  return st_json_uint(json, &number); /* and not 00, 0.0, 0e1 */
}

/* Keeps the first two parameters, because params may come before method. */
static bool read_params(st_json *json, rpc_request *into) {
  if (st_json_peek(json) != '[') return st_json_skip(json);
  bool good = st_json_array(json);
  for (size_t i = 0; good && st_json_element(json); i++) {
    if (i == 0) {
      good = read_first_param(json, into);
    } else if (i == 1 && st_json_peek(json) == '"') {
      good = st_json_string(json, &into->second);
    } else {
      good = st_json_skip(json);
    }
  }
  return good && !json->failed;
}

/* Could a node read this name as method or params? */
static bool is_misleading(subtoken_text name) {
  for (size_t i = 0; i < name.len; i++) {
    if ((uint8_t)name.data[i] >= 0x80) return true; /* U+017F folds to s */
  }
  return st_text_is_nocase(name, "method") || st_text_is_nocase(name, "params");
}

static bool read_request(st_json *json, rpc_request *into) {
  subtoken_text name;
  if (!st_json_object(json)) return false;
  while (st_json_member(json, &name)) {
    bool good;
    if (st_text_is(name, "method")) {
      good = st_json_string(json, &into->method);
    } else if (st_text_is(name, "params")) {
      good = read_params(json, into);
    } else {
      good = !is_misleading(name) && st_json_skip(json);
    }
    if (!good) return false;
  }
  return !json->failed && into->method.data != NULL;
}

/* The method `call` has its API as the first parameter. The second must not be `call` again. */
static bool read_named(const rpc_request *asked, subtoken_rpc *rpc) {
  if (st_text_is_nocase(asked->second, "call")) return false;
  if (asked->first == PARAM_ZERO) return add_need(rpc, ST_TEXT("database"));
  return asked->first == PARAM_NAME && add_need(rpc, asked->api);
}

/* `api.name`: one dot, and the name is not `call` in any case. */
static bool read_dotted(subtoken_text api, subtoken_text name, subtoken_rpc *rpc) {
  for (size_t i = 0; i < name.len; i++) {
    if (name.data[i] == '.') return false;
  }
  return name.len > 0 && !st_text_is_nocase(name, "call") && add_need(rpc, api);
}

static bool read_call(st_json *json, subtoken_rpc *rpc) {
  rpc_request asked = {.first = PARAM_OTHER};
  if (!read_request(json, &asked)) return false;
  subtoken_text method = asked.method;
  if (method.len == 0 || (st_text_class(method) & ST_CHAR_SCOPE) == 0) return false;
  st_cutter cutter = {method, false};
  subtoken_text api;
  (void)st_cut(&cutter, '.', &api);
  if (!cutter.done) return read_dotted(api, cutter.rest, rpc);
  if (st_text_is(method, "call")) return read_named(&asked, rpc);
  return !st_text_is_nocase(method, "call") && add_need(rpc, ST_TEXT("database"));
}

static bool read_body(st_json *json, subtoken_rpc *rpc) {
  if (st_json_peek(json) != '[') return read_call(json, rpc) && st_json_end(json);
  if (st_impossible(!st_json_array(json), "its bracket was seen, first of all")) return false;
  while (st_json_element(json)) {
    if (!read_call(json, rpc)) return false;
  }
  return st_json_end(json) && rpc->count > 0;
}

static subtoken_result read_rpc(subtoken_text body, void *scratch, size_t scratch_size,
                                subtoken_rpc *rpc) {
  st_json json;
  if (body.data == NULL || body.len == 0) return SUBTOKEN_MALFORMED;
  if (body.len > SUBTOKEN_RPC_BODY_MAX) return SUBTOKEN_TOO_LARGE;
  if (scratch == NULL || scratch_size < body.len) return SUBTOKEN_BUFFER_TOO_SMALL;
  memcpy(scratch, body.data, body.len);
  st_json_start(&json, scratch, body.len);
  return read_body(&json, rpc) ? SUBTOKEN_OK : SUBTOKEN_MALFORMED;
}

subtoken_result subtoken_rpc_read(subtoken_text body, void *scratch, size_t scratch_size,
                                  subtoken_rpc *rpc) {
  if (rpc == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(rpc, 0, offsetof(subtoken_rpc, text));
  subtoken_result result = read_rpc(body, scratch, scratch_size, rpc);
  if (result != SUBTOKEN_OK) memset(rpc, 0, sizeof *rpc);
  return result;
}

static bool rpc_in_bounds(const subtoken_rpc *rpc) {
  if (rpc->count == 0 || rpc->count > SUBTOKEN_RPC_NEEDS_MAX) return false;
  for (size_t i = 0; i < rpc->count; i++) {
    if ((size_t)rpc->needs[i].at + rpc->needs[i].len > sizeof rpc->text) return false;
  }
  return true;
}

subtoken_result subtoken_rpc_allowed(const subtoken_rpc *rpc, const subtoken_claims *claims,
                                     subtoken_text *lacking) {
  if (lacking != NULL) *lacking = (subtoken_text){NULL, 0};
  if (rpc == NULL || !rpc_in_bounds(rpc) || !st_claims_in_bounds(claims))
    return SUBTOKEN_INVALID_ARGUMENT;
  for (size_t i = 0; i < rpc->count; i++) {
    if (st_claims_has_permission(claims, subtoken_rpc_need(rpc, i))) continue;
    if (lacking != NULL) *lacking = subtoken_rpc_need(rpc, i);
    return SUBTOKEN_PERM;
  }
  return SUBTOKEN_OK;
}
