/* The action: what HAProxy is told of what was decided. Each call of Lua costs more than the
 * decision, so that a request which passes gets along with the headers that are set, and one
 * variable.
 *
 * The variable is txn.subtoken: `pass ok EXPIRES SUB TID PERMISSIONS`, `pass public`, `ask`, `body`
 * (wait for the body, and call this again), or `deny` and a reason. It has no value when this did
 * not run to its end: HAProxy goes on with its rules after an error in Lua, and the rule behind the
 * action, which wants `pass`, is what denies then.
 */
#include <stddef.h>
#include <string.h>

#include "edge/haproxy/haproxy_call.h"

#define ST_HAPROXY_ACTION_SURE_BYTES 512 /* of headers, for which there is room */

/* ---- HAProxy's functions ---- */

static void st_haproxy_action_set_variable(st_haproxy_call *c, const char *value, size_t len) {
  lua_State *L = c->L;
  st_haproxy_call_function(L, c->txn, ST_HAPROXY_UP_SET, "set_var");
  lua_pushvalue(L, c->txn);
  lua_pushstring(L, ST_HAPROXY_VARIABLE);
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
  st_haproxy_call_function(L, c->http, ST_HAPROXY_UP_ADD, "req_add_header");
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
  subtoken_text headers = st_haproxy_call_fetch(c, ST_HAPROXY_UP_HEADERS, "req_hdrs");
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
  char verdict[ST_HAPROXY_VERDICT_MAX];
  size_t len;
  if (!st_haproxy_call_verdict(c, verdict, &len) || !st_haproxy_action_strip(c)) return false;
  st_haproxy_action_clean(c);
  if (!st_haproxy_action_add_identity(c)) {
    return luaL_error(c->L, "no room for the identity headers: raise tune.maxrewrite") != 0;
  }
  st_haproxy_action_set_variable(c, verdict, len);
  return true;
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

/* Nobody can say what follows a request whose end is not sure: the connection is over. */
static int st_haproxy_action_push_close(st_haproxy_call *c) {
  if (!c->head.odd) return 0;
  luaL_checkstack(c->L, 2, "the reply");
  lua_pushstring(c->L, "connection");
  lua_pushstring(c->L, "close");
  return 2;
}

static int st_haproxy_action_refuse(st_haproxy_call *c) {
  lua_pushfstring(c->L, "deny %s", c->reply.name);
  subtoken_text verdict = st_haproxy_call_text(c->L, -1);
  st_haproxy_action_set_variable(c, verdict.data, verdict.len);
  int count = st_haproxy_action_push_reply(c->L, &c->reply);
  return count + st_haproxy_action_push_close(c);
}

/* ---- the metadata that a 401 names (RFC 9728) ---- */

/* What to answer, as st_haproxy_action_push_reply; 0: it asks for something else. */
static int st_haproxy_action_metadata(st_haproxy_call *c) {
  static const char *const headers[] = {
      "content-type", "application/json; charset=utf-8", "cache-control",
      "no-store",     "access-control-allow-origin",     "*"};
  char document[SUBTOKEN_METADATA_MAX];
  lua_State *L = c->L;
  int count = sizeof headers / sizeof headers[0];
  if (!st_haproxy_call_may_be_metadata(c)) return 0;
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

/* One that may have a body is decided about as if it had one, which lets pass no more. So only what
 * that does not let pass costs the questions whether it has.
 */
static subtoken_edge_step st_haproxy_action_decide(st_haproxy_call *c, const st_haproxy_log *log) {
  subtoken_edge_step step = st_haproxy_call_decide(c, log);
  if ((step == SUBTOKEN_EDGE_BODY || step == SUBTOKEN_EDGE_REFUSE) && c->head.open &&
      st_haproxy_body_is_none(c)) {
    step = st_haproxy_call_decide_closed(c);
  }
  return step == SUBTOKEN_EDGE_BODY ? st_haproxy_body_decide(c) : step;
}

/* Returns nothing for a request that goes on, else what to answer. The claims and what follows them
 * are long, and nobody reads them before they are written.
 */
static int st_haproxy_action_run(lua_State *L) {
  st_haproxy_call c;
  memset(&c, 0, offsetof(st_haproxy_call, head));
  c.L = L;
  c.txn = 1;
  c.edge = st_haproxy_edge_check(L, lua_upvalueindex(ST_HAPROXY_UP_EDGE));
  st_haproxy_call_read(&c);
  int metadata = st_haproxy_action_metadata(&c);
  if (metadata > 0) return metadata;
  st_haproxy_log log = {L, lua_upvalueindex(ST_HAPROXY_UP_LOG)};
  subtoken_edge_step step = st_haproxy_action_decide(&c, &log);
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

/* edge:converter(log) */
int st_haproxy_action_make_converter(lua_State *L) {
  (void)st_haproxy_edge_check(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, st_haproxy_convert, ST_HAPROXY_UP_LOG);
  return 1;
}
