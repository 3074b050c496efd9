/* Reads one JSON-RPC message of the Model Context Protocol: what it calls, and its id. Servers
 * differ in how they read a message, so one that a server could read differently is refused;
 * subtoken/policy.h lists the cases.
 */
#include "core/mcp_message.h"

#include "base/impossible.h"
#include "core/mcp_name.h"

#define MCP_ID_BYTES 64 /* of a string that is repeated */

/* What was read so far. "params" may come before "method". */
typedef struct mcp_draft {
  st_mcp_message *message;
  bool result;            /* it has a result or an error */
  bool params_misleading; /* a member of "params" that some server reads as one of these: */
  subtoken_text name, uri, task;
} mcp_draft;

static bool mcp_is_ascii(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    if ((uint8_t)text.data[i] >= 0x80) return false;
  }
  return true;
}

/* ---- params ---- */

static bool mcp_read_param(st_json *json, subtoken_text *into) {
  return st_json_peek(json) == '"' ? st_json_string(json, into) : st_json_skip(json);
}

/* Some readers do not care for case; U+017F folds to s, and U+0131 to i. */
static bool mcp_param_misleads(subtoken_text name) {
  return !mcp_is_ascii(name) || st_text_is_nocase(name, "name") || st_text_is_nocase(name, "uri") ||
         st_text_is_nocase(name, "taskId");
}

static bool mcp_read_params(st_json *json, mcp_draft *draft) {
  subtoken_text name;
  if (st_json_peek(json) != '{') return st_json_skip(json);
  if (st_impossible(!st_json_object(json), "its brace was seen, in the third level")) return false;
  while (st_json_member(json, &name)) {
    bool good;
    if (st_text_is(name, "name")) {
      good = mcp_read_param(json, &draft->name);
    } else if (st_text_is(name, "uri")) {
      good = mcp_read_param(json, &draft->uri);
    } else if (st_text_is(name, "taskId")) {
      good = mcp_read_param(json, &draft->task);
    } else {
      draft->params_misleading |= mcp_param_misleads(name);
      good = st_json_skip(json);
    }
    if (!good) return false;
  }
  return !json->failed;
}

/* ---- id ---- */

/* A number is repeated as it is written. */
static bool mcp_read_number(st_json *json, st_mcp_message *message) {
  size_t start = json->at;
  if (!st_json_skip(json)) return false;
  if (json->at - start > sizeof message->id - 1) return true;
  message->id_len = json->at - start;
  memcpy(message->id, json->text + start, message->id_len);
  return true;
}

static bool mcp_read_id(st_json *json, st_mcp_message *message) {
  subtoken_text text;
  char kind = st_json_peek(json);
  if (kind == '0') return mcp_read_number(json, message);
  if (kind != '"') return st_json_skip(json);
  if (!st_json_string(json, &text)) return false;
  st_writer writer = st_writer_on(message->id, sizeof message->id);
  if (text.len <= MCP_ID_BYTES) st_json_write_string(&writer, text);
  message->id_len = text.len <= MCP_ID_BYTES && st_writer_end(&writer) ? writer.len : 0;
  return true;
}

/* ---- the message ---- */

static bool mcp_member_misleads(subtoken_text name) {
  if (!mcp_is_ascii(name)) return true;
  bool known = st_text_is_nocase(name, "jsonrpc") || st_text_is_nocase(name, "id") ||
               st_text_is_nocase(name, "method") || st_text_is_nocase(name, "params") ||
               st_text_is_nocase(name, "result") || st_text_is_nocase(name, "error");
  if (!known) return false;
  for (size_t i = 0; i < name.len; i++) {
    if (name.data[i] <= 'Z') return true; /* of letters alone: in lower case, it is one */
  }
  return false;
}

static bool mcp_read_member(st_json *json, subtoken_text name, mcp_draft *draft) {
  if (st_text_is(name, "method")) {
    return st_json_peek(json) == '"' && st_json_string(json, &draft->message->method);
  }
  if (st_text_is(name, "params")) return mcp_read_params(json, draft);
  if (st_text_is(name, "id")) return mcp_read_id(json, draft->message);
  if (st_text_is(name, "result") || st_text_is(name, "error")) draft->result = true;
  return !mcp_member_misleads(name) && st_json_skip(json);
}

/* What the method says the name is. */
static bool mcp_take_name(const mcp_draft *draft) {
  st_mcp_message *message = draft->message;
  switch (st_mcp_source_of(message->method)) {
    case ST_MCP_NAME: message->name = draft->name; break;
    case ST_MCP_URI: message->name = draft->uri; break;
    case ST_MCP_TASK: message->task = draft->task; return true;
    default: return true;
  }
  if (message->name.data == NULL || draft->params_misleading) return false;
  return st_mcp_source_of(message->method) != ST_MCP_URI ||
         st_mcp_uri_problem(message->name) == NULL;
}

bool st_mcp_message_read(st_json *json, st_mcp_message *message) {
  mcp_draft draft = {.message = message};
  subtoken_text name;
  memset(message, 0, offsetof(st_mcp_message, id));
  if (!st_json_object(json)) return false;
  while (st_json_member(json, &name)) {
    if (!mcp_read_member(json, name, &draft)) return false;
  }
  if (json->failed) return false;
  if (message->method.data == NULL) return draft.result;
  return !draft.result && st_mcp_method_valid(message->method) && mcp_take_name(&draft);
}
