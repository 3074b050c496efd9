/* One request: what HAProxy's Lua gives of it, what the library decides (subtoken/edge.h), and what
 * HAProxy is told. Each call of Lua costs more than the decision, so that a request which passes
 * gets along with three fetches, the headers that are set, and one variable.
 *
 * The variable is txn.subtoken: `pass ok EXPIRES SUB TID PERMISSIONS`, `pass public`, `ask`, `body`
 * (wait for the body, and call this again), or `deny` and a reason. It has no value when this did
 * not run to its end: HAProxy goes on with its rules after an error in Lua, and the rule behind the
 * action, which wants `pass`, is what denies then.
 */
#include <stddef.h>
#include <string.h>

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_ACTION_VARIABLE "txn.subtoken"
#define ST_HAPROXY_ACTION_VERDICT_MAX \
  (SUBTOKEN_SUB_MAX + SUBTOKEN_TID_LEN + SUBTOKEN_EDGE_IDENTITY_MEMORY + 64)

#define ST_HAPROXY_ACTION_SURE_BYTES 512 /* of headers, for which there is room */

/* What a closure keeps: the edge and the functions that subtoken.lua gave, then functions of
 * HAProxy, which are found once.
 */
enum {
  ST_HAPROXY_UP_EDGE = 1,
  ST_HAPROXY_UP_LOG,
  ST_HAPROXY_UP_REFUSE,
  ST_HAPROXY_UP_RUN,
  ST_HAPROXY_UP_METHOD,
  ST_HAPROXY_UP_URL,
  ST_HAPROXY_UP_HEADERS,
  ST_HAPROXY_UP_ADD,
  ST_HAPROXY_UP_SET,
  ST_HAPROXY_UP_COUNT = ST_HAPROXY_UP_SET,
};

/* One request, and the places of what is needed on the stack of Lua. */
typedef struct st_haproxy_call {
  lua_State *L;
  st_haproxy_edge *edge;
  int txn, fetches, http;
  subtoken_text method, url, version, headers;
  subtoken_text target;
  st_haproxy_head head;
  subtoken_edge_request request;
  subtoken_claims claims;
  subtoken_edge_reply reply;
  subtoken_edge_header identity[SUBTOKEN_EDGE_IDENTITY_HEADERS];
  char memory[SUBTOKEN_EDGE_IDENTITY_MEMORY];
} st_haproxy_call;

/* ---- decide ---- */

static subtoken_text st_haproxy_action_text(lua_State *L, int at) {
  subtoken_text text;
  text.data = lua_tolstring(L, at, &text.len);
  if (text.data == NULL) text.len = 0;
  return text;
}

/* Of more values than are read, two that differ stand for the rest: 400, where a credential is read
 * at all.
 */
static size_t st_haproxy_action_count(subtoken_text values[ST_HAPROXY_VALUES_MAX], size_t count,
                                      subtoken_text one, subtoken_text other) {
  if (count <= ST_HAPROXY_VALUES_MAX) return count;
  values[0] = one;
  values[1] = other;
  return ST_HAPROXY_VALUES_MAX;
}

static size_t st_haproxy_action_count_mcp(size_t count) {
  return count < ST_HAPROXY_MCP_MAX ? count : ST_HAPROXY_MCP_MAX;
}

static void st_haproxy_action_fill(st_haproxy_call *c, const st_haproxy_log *log) {
  subtoken_edge_request *request = &c->request;
  *request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  request->now = st_haproxy_edge_now(c->edge, log);
  request->method = c->method;
  request->target = c->target;
  request->authorization = c->head.authorization;
  request->authorization_count = st_haproxy_action_count(
      c->head.authorization, c->head.authorization_count, (subtoken_text)SUBTOKEN_TEXT("Bearer 1"),
      (subtoken_text)SUBTOKEN_TEXT("Bearer 2"));
  request->x_api_key = c->head.x_api_key;
  request->x_api_key_count =
      st_haproxy_action_count(c->head.x_api_key, c->head.x_api_key_count,
                              (subtoken_text)SUBTOKEN_TEXT("1"), (subtoken_text)SUBTOKEN_TEXT("2"));
  request->origin = c->head.origin;
  request->request_method = c->head.request_method;
  request->body_encoded = c->head.encoded;
  request->content_length = c->head.content_length;
  request->has_body = c->head.chunked || c->head.content_length > 0;
  request->mcp_method = c->head.mcp_method;
  request->mcp_method_count = st_haproxy_action_count_mcp(c->head.mcp_method_count);
  request->mcp_name = c->head.mcp_name;
  request->mcp_name_count = st_haproxy_action_count_mcp(c->head.mcp_name_count);
  request->mcp_version = c->head.mcp_version;
  request->mcp_version_count = st_haproxy_action_count_mcp(c->head.mcp_version_count);
}

/* Headers that are not whole were too long for HAProxy to hand them over. */
static subtoken_edge_step st_haproxy_action_decide(st_haproxy_call *c, const st_haproxy_log *log) {
  c->reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  if (!st_haproxy_head_read(c->headers, &c->head)) {
    return subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &c->reply);
  }
  if (!c->head.has_length && st_haproxy_head_is_open(c->method, c->version)) {
    c->head.chunked = true;
  }
  st_haproxy_action_fill(c, log);
  return subtoken_edge_decide(&c->edge->edge, &c->request, &c->claims, &c->reply);
}

/* A word, and the blank behind it. */
static char *st_haproxy_action_append(char *at, subtoken_text text) {
  if (text.len > 0) memcpy(at, text.data, text.len);
  at[text.len] = ' ';
  return at + text.len + 1;
}

/* `pass ok EXPIRES SUB TID PERMISSIONS`; what is public has no more than two words. */
static bool st_haproxy_action_verdict(st_haproxy_call *c, char *out, size_t *len) {
  subtoken_text name = {c->reply.name, strlen(c->reply.name)};
  if (subtoken_edge_identity_headers(&c->claims, NULL, c->memory, sizeof c->memory, c->identity) !=
      SUBTOKEN_OK) {
    return false;
  }
  char *at = st_haproxy_action_append(out, (subtoken_text)SUBTOKEN_TEXT("pass"));
  at = st_haproxy_action_append(at, name);
  if (c->identity[0].value.len > 0) {
    at = st_haproxy_action_append(at, c->identity[4].value);
    at = st_haproxy_action_append(at, c->identity[0].value);
    at = st_haproxy_action_append(at, subtoken_claims_text(&c->claims, c->claims.tid));
    at = st_haproxy_action_append(at, c->identity[3].value);
  }
  *len = (size_t)(at - out) - 1;
  return true;
}

/* ---- HAProxy's functions ---- */

/* Pushes a function of the object at a place; it is the same for each request. */
static void st_haproxy_action_function(lua_State *L, int object, int up, const char *name) {
  lua_pushvalue(L, lua_upvalueindex(up));
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_getfield(L, object, name);
  lua_pushvalue(L, -1);
  lua_replace(L, lua_upvalueindex(up));
}

static subtoken_text st_haproxy_action_fetch(st_haproxy_call *c, int up, const char *name) {
  st_haproxy_action_function(c->L, c->fetches, up, name);
  lua_pushvalue(c->L, c->fetches);
  lua_call(c->L, 1, 1);
  return st_haproxy_action_text(c->L, -1);
}

/* The target as on the request line. Only HTTP/2 has another, and HTTP/1 with scheme and host. */
static void st_haproxy_action_read(st_haproxy_call *c) {
  lua_State *L = c->L;
  lua_getfield(L, c->txn, "sf");
  c->fetches = lua_gettop(L);
  lua_getfield(L, c->txn, "http");
  c->http = lua_gettop(L);
  c->method = st_haproxy_action_fetch(c, ST_HAPROXY_UP_METHOD, "method");
  c->url = st_haproxy_action_fetch(c, ST_HAPROXY_UP_URL, "url");
  c->headers = st_haproxy_action_fetch(c, ST_HAPROXY_UP_HEADERS, "req_hdrs");
  c->target = c->url;
  if (c->url.len == 0 || c->url.data[0] == '/') return;
  lua_getfield(L, c->fetches, "req_ver");
  lua_pushvalue(L, c->fetches);
  lua_call(L, 1, 1);
  c->version = st_haproxy_action_text(L, -1);
  c->target = st_haproxy_head_target(c->url, c->version);
}

static void st_haproxy_action_set_variable(st_haproxy_call *c, const char *value, size_t len) {
  lua_State *L = c->L;
  st_haproxy_action_function(L, c->txn, ST_HAPROXY_UP_SET, "set_var");
  lua_pushvalue(L, c->txn);
  lua_pushstring(L, ST_HAPROXY_ACTION_VARIABLE);
  lua_pushlstring(L, value, len);
  lua_call(L, 3, 0);
}

/* Calls http:FUNCTION(value). */
static void st_haproxy_action_http(st_haproxy_call *c, const char *function, subtoken_text value) {
  lua_State *L = c->L;
  lua_getfield(L, c->http, function);
  lua_pushvalue(L, c->http);
  lua_pushlstring(L, value.data, value.len);
  lua_call(L, 2, 1);
}

static void st_haproxy_action_add_header(st_haproxy_call *c, const subtoken_edge_header *header) {
  lua_State *L = c->L;
  st_haproxy_action_function(L, c->http, ST_HAPROXY_UP_ADD, "req_add_header");
  lua_pushvalue(L, c->http);
  lua_pushlstring(L, header->name.data, header->name.len);
  lua_pushlstring(L, header->value.data, header->value.len);
  lua_call(L, 3, 0);
}

/* ---- what goes on ---- */

/* Nobody decides about what follows a change of protocol. An API that accepts `Upgrade: h2c` would
 * read whole requests there, with any X-Subtoken-* that a caller writes.
 */
static void st_haproxy_action_clean(st_haproxy_call *c) {
  size_t at = 0;
  if (c->head.upgrade)
    st_haproxy_action_http(c, "req_del_header", (subtoken_text)SUBTOKEN_TEXT("upgrade"));
  if (c->head.named)
    st_haproxy_action_http(c, "req_del_header", (subtoken_text)SUBTOKEN_TEXT("connection"));
  if (!c->head.identity) return;
  for (;;) {
    subtoken_text name = st_haproxy_head_identity(c->headers, &at);
    if (name.data == NULL) return;
    st_haproxy_action_http(c, "req_del_header", name);
    lua_pop(c->L, 1);
  }
}

static bool st_haproxy_action_strip(st_haproxy_call *c) {
  char stripped[SUBTOKEN_TARGET_MAX];
  subtoken_text target;
  if (memchr(c->target.data, '?', c->target.len) == NULL) return true;
  if (subtoken_edge_strip_query(c->target, stripped, sizeof stripped, &target) != SUBTOKEN_OK) {
    return false;
  }
  if (target.data == c->target.data) return true;
  st_haproxy_action_http(c, "req_set_uri", target);
  return lua_toboolean(c->L, -1) != 0;
}

/* HAProxy drops a header for which its buffer has no room, and does not tell Lua. It keeps
 * tune.maxrewrite free for what is added, 1024 bytes where nobody has set it.
 */
static bool st_haproxy_action_has_identity(st_haproxy_call *c, size_t expected) {
  size_t at = 0, count = 0;
  subtoken_text headers = st_haproxy_action_fetch(c, ST_HAPROXY_UP_HEADERS, "req_hdrs");
  while (st_haproxy_head_identity(headers, &at).data != NULL) count++;
  return count == expected;
}

static bool st_haproxy_action_add_identity(st_haproxy_call *c) {
  size_t count = 0, bytes = 0;
  for (size_t i = 0; i < SUBTOKEN_EDGE_IDENTITY_HEADERS; i++) {
    if (c->identity[i].value.len == 0) continue;
    st_haproxy_action_add_header(c, &c->identity[i]);
    bytes += c->identity[i].name.len + c->identity[i].value.len;
    count++;
  }
  return bytes <= ST_HAPROXY_ACTION_SURE_BYTES || st_haproxy_action_has_identity(c, count);
}

static bool st_haproxy_action_pass(st_haproxy_call *c) {
  char verdict[ST_HAPROXY_ACTION_VERDICT_MAX];
  size_t len;
  if (!st_haproxy_action_verdict(c, verdict, &len) || !st_haproxy_action_strip(c)) return false;
  st_haproxy_action_clean(c);
  if (!st_haproxy_action_add_identity(c)) {
    return luaL_error(c->L, "no room for the identity headers: raise tune.maxrewrite") != 0;
  }
  st_haproxy_action_set_variable(c, verdict, len);
  return true;
}

/* ---- the body ---- */

typedef enum st_haproxy_body {
  ST_HAPROXY_BODY_UNKNOWN, /* nobody can say here where it ends */
  ST_HAPROXY_BODY_PART,    /* more is to come, or it is longer than HAProxy's buffer */
  ST_HAPROXY_BODY_WHOLE,
} st_haproxy_body;

/* What HAProxy has of the body; a view of what it has pushed. Lua is not told where a chunked body
 * ends, and a part of one could be JSON too. A body of which nothing is there is no JSON.
 */
static st_haproxy_body st_haproxy_action_read_body(st_haproxy_call *c, subtoken_text *body) {
  const st_haproxy_head *head = &c->head;
  if (head->chunked) return ST_HAPROXY_BODY_UNKNOWN;
  lua_getfield(c->L, c->fetches, "req_body");
  lua_pushvalue(c->L, c->fetches);
  lua_call(c->L, 1, 1);
  *body = st_haproxy_action_text(c->L, -1);
  if (!head->has_length) {
    return body->len == 0 ? ST_HAPROXY_BODY_WHOLE : ST_HAPROXY_BODY_UNKNOWN;
  }
  return body->len == head->content_length ? ST_HAPROXY_BODY_WHOLE : ST_HAPROXY_BODY_PART;
}

static bool st_haproxy_action_has_waited(st_haproxy_call *c) {
  lua_State *L = c->L;
  lua_getfield(L, c->txn, "get_var");
  lua_pushvalue(L, c->txn);
  lua_pushstring(L, ST_HAPROXY_ACTION_VARIABLE);
  lua_call(L, 2, 1);
  const char *value = lua_tostring(L, -1);
  bool waited = value != NULL && strcmp(value, "body") == 0;
  lua_pop(L, 1);
  return waited;
}

/* 411; the reply that is there is a 400. */
static subtoken_edge_step st_haproxy_action_refuse_unknown(st_haproxy_call *c) {
  static const char text[] =
      "{\"text\":\"Content-Length: must be given, because the body is read\"}";
  c->reply.status = 411;
  c->reply.body_len = sizeof text - 1;
  memcpy(c->reply.body, text, sizeof text);
  return SUBTOKEN_EDGE_REFUSE;
}

/* 413, as the library says it. */
static subtoken_edge_step st_haproxy_action_refuse_long(st_haproxy_call *c) {
  c->request.content_length = UINT64_MAX;
  return subtoken_edge_decide(&c->edge->edge, &c->request, &c->claims, &c->reply);
}

/* SUBTOKEN_EDGE_BODY again: the configuration is to wait for it. So it does for one that is refused
 * afterwards, because a stream of HTTP/2 that is answered before its end gets no answer.
 */
static subtoken_edge_step st_haproxy_action_decide_body(st_haproxy_call *c) {
  subtoken_text body;
  st_haproxy_body read = st_haproxy_action_read_body(c, &body);
  if (read != ST_HAPROXY_BODY_WHOLE && !st_haproxy_action_has_waited(c)) return SUBTOKEN_EDGE_BODY;
  if (read == ST_HAPROXY_BODY_UNKNOWN) return st_haproxy_action_refuse_unknown(c);
  if (read == ST_HAPROXY_BODY_PART) return st_haproxy_action_refuse_long(c);
  void *scratch = lua_newuserdata(c->L, body.len + 1);
  return subtoken_edge_decide_body(&c->edge->edge, &c->request, &c->claims, body, scratch, body.len,
                                   &c->reply);
}

/* ---- what does not ---- */

/* status, body, and the names and values of headers, for `refuse` of subtoken.lua. */
static int st_haproxy_action_push_reply(lua_State *L, const subtoken_edge_reply *reply) {
  subtoken_edge_header headers[SUBTOKEN_EDGE_REPLY_HEADERS];
  size_t count = subtoken_edge_reply_headers(reply, headers);
  luaL_checkstack(L, 2 + 2 * SUBTOKEN_EDGE_REPLY_HEADERS, "the reply");
  lua_pushinteger(L, reply->status);
  lua_pushlstring(L, reply->body, reply->body_len);
  for (size_t i = 0; i < count; i++) {
    lua_pushlstring(L, headers[i].name.data, headers[i].name.len);
    lua_pushlstring(L, headers[i].value.data, headers[i].value.len);
  }
  return (int)(2 + 2 * count);
}

static int st_haproxy_action_refuse(st_haproxy_call *c) {
  lua_pushfstring(c->L, "deny %s", c->reply.name);
  subtoken_text verdict = st_haproxy_action_text(c->L, -1);
  st_haproxy_action_set_variable(c, verdict.data, verdict.len);
  return st_haproxy_action_push_reply(c->L, &c->reply);
}

/* ---- the metadata that a 401 names (RFC 9728) ---- */

static bool st_haproxy_action_may_be_metadata(const st_haproxy_call *c) {
  static const char front[] = "/.well-known/";
  return c->edge->edge.issuer.len > 0 && c->target.len > sizeof front &&
         memcmp(c->target.data, front, sizeof front - 1) == 0 &&
         ((c->method.len == 3 && memcmp(c->method.data, "GET", 3) == 0) ||
          (c->method.len == 4 && memcmp(c->method.data, "HEAD", 4) == 0));
}

/* What to answer, as st_haproxy_action_push_reply; 0: it asks for something else. */
static int st_haproxy_action_metadata(st_haproxy_call *c) {
  static const char *const headers[] = {
      "content-type", "application/json; charset=utf-8", "cache-control",
      "no-store",     "access-control-allow-origin",     "*"};
  char document[SUBTOKEN_METADATA_MAX];
  lua_State *L = c->L;
  int count = sizeof headers / sizeof headers[0];
  if (!st_haproxy_action_may_be_metadata(c)) return 0;
  size_t len = subtoken_edge_metadata(&c->edge->edge, c->target, document, sizeof document);
  if (len == 0) return 0;
  st_haproxy_action_set_variable(c, "answer metadata", sizeof "answer metadata" - 1);
  luaL_checkstack(L, 2 + count, "the metadata");
  lua_pushinteger(L, 200);
  lua_pushlstring(L, document, len);
  for (int i = 0; i < count; i++) lua_pushstring(L, headers[i]);
  return 2 + count;
}

/* ---- the action ---- */

/* Returns nothing for a request that goes on, else what to answer. The claims and what follows them
 * are long, and nobody reads them before they are written.
 */
static int st_haproxy_action_run(lua_State *L) {
  st_haproxy_call c;
  memset(&c, 0, offsetof(st_haproxy_call, head));
  c.L = L;
  c.txn = 1;
  c.edge = st_haproxy_edge_check(L, lua_upvalueindex(ST_HAPROXY_UP_EDGE));
  st_haproxy_action_read(&c);
  int metadata = st_haproxy_action_metadata(&c);
  if (metadata > 0) return metadata;
  st_haproxy_log log = {L, lua_upvalueindex(ST_HAPROXY_UP_LOG)};
  subtoken_edge_step step = st_haproxy_action_decide(&c, &log);
  if (step == SUBTOKEN_EDGE_BODY) step = st_haproxy_action_decide_body(&c);
  if (step == SUBTOKEN_EDGE_ALLOW) {
    if (st_haproxy_action_pass(&c)) return 0;
    (void)subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &c.reply);
  } else if (step == SUBTOKEN_EDGE_BODY) {
    st_haproxy_action_set_variable(&c, "body", 4);
    return 0;
  } else if (step == SUBTOKEN_EDGE_ASK) {
    st_haproxy_action_clean(&c);
    st_haproxy_action_set_variable(&c, "ask", 3);
    return 0;
  }
  return st_haproxy_action_refuse(&c);
}

static void st_haproxy_action_say(lua_State *L, const char *text) {
  lua_pushvalue(L, lua_upvalueindex(ST_HAPROXY_UP_LOG));
  lua_pushinteger(L, ST_HAPROXY_ERROR);
  lua_pushstring(L, text == NULL ? "an error in Lua" : text);
  lua_call(L, 2, 0);
}

/* Whatever goes wrong in Lua is answered with 503. That is said outside of lua_pcall, because
 * txn:done leaves the action by an error of its own.
 */
static int st_haproxy_action_call(lua_State *L) {
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(ST_HAPROXY_UP_REFUSE));
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(ST_HAPROXY_UP_RUN));
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK) {
    subtoken_edge_reply reply = SUBTOKEN_EDGE_REPLY_DEFAULT;
    st_haproxy_action_say(L, lua_tostring(L, -1));
    lua_settop(L, 2);
    (void)subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &reply);
    (void)st_haproxy_action_push_reply(L, &reply);
  }
  if (lua_gettop(L) == 2) return 0;
  lua_call(L, lua_gettop(L) - 1, 0); /* refuse(txn, status, body, name, value...) */
  return 0;
}

/* edge:action(refuse, log) */
int st_haproxy_action_make(lua_State *L) {
  (void)st_haproxy_edge_check(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  for (int up = ST_HAPROXY_UP_REFUSE; up <= ST_HAPROXY_UP_COUNT; up++) lua_pushnil(L);
  lua_pushcclosure(L, st_haproxy_action_run, ST_HAPROXY_UP_COUNT);
  int run = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 3);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, run);
  lua_pushcclosure(L, st_haproxy_action_call, ST_HAPROXY_UP_RUN);
  return 1;
}

/* ---- the converter ---- */

/* METHOD URL VERSION, a line feed, and the headers. */
static bool st_haproxy_action_split(st_haproxy_call *c, subtoken_text text) {
  const char *end = memchr(text.data, '\n', text.len);
  if (end == NULL) return false;
  const char *method = memchr(text.data, ' ', (size_t)(end - text.data));
  if (method == NULL) return false;
  const char *version = memrchr(method, ' ', (size_t)(end - method));
  if (version == NULL || version == method) return false;
  c->method = (subtoken_text){text.data, (size_t)(method - text.data)};
  c->url = (subtoken_text){method + 1, (size_t)(version - method - 1)};
  c->version = (subtoken_text){version + 1, (size_t)(end - version - 1)};
  c->target = st_haproxy_head_target(c->url, c->version);
  c->headers = (subtoken_text){end + 1, text.len - (size_t)(end + 1 - text.data)};
  return true;
}

/* The verdict, if the request passes as it is. All else has no value, and is the action's. */
static int st_haproxy_action_convert(lua_State *L) {
  char verdict[ST_HAPROXY_ACTION_VERDICT_MAX];
  size_t len;
  st_haproxy_call c;
  memset(&c, 0, offsetof(st_haproxy_call, head));
  c.L = L;
  c.edge = st_haproxy_edge_check(L, lua_upvalueindex(ST_HAPROXY_UP_EDGE));
  st_haproxy_log log = {L, lua_upvalueindex(ST_HAPROXY_UP_LOG)};
  if (!st_haproxy_action_split(&c, st_haproxy_action_text(L, 1)) ||
      st_haproxy_action_may_be_metadata(&c) ||
      st_haproxy_action_decide(&c, &log) != SUBTOKEN_EDGE_ALLOW || c.head.identity ||
      c.head.upgrade || c.head.named || memchr(c.target.data, '?', c.target.len) != NULL ||
      !st_haproxy_action_verdict(&c, verdict, &len)) {
    return 0;
  }
  lua_pushlstring(L, verdict, len);
  return 1;
}

/* edge:converter(log) */
int st_haproxy_action_make_converter(lua_State *L) {
  (void)st_haproxy_edge_check(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, st_haproxy_action_convert, ST_HAPROXY_UP_LOG);
  return 1;
}
