/* One request: what HAProxy's Lua gives of it, and what the library decides (subtoken/edge.h). Each
 * call of Lua costs more than the decision, so that a request which passes gets along with three
 * fetches.
 */
#include <string.h>

#include "edge/haproxy/haproxy_call.h"

/* ---- HAProxy's functions ---- */

subtoken_text st_haproxy_call_text(lua_State *L, int at) {
  subtoken_text text;
  text.data = lua_tolstring(L, at, &text.len);
  if (text.data == NULL) text.len = 0;
  return text;
}

void st_haproxy_call_function(lua_State *L, int object, int up, const char *name) {
  lua_pushvalue(L, lua_upvalueindex(up));
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_getfield(L, object, name);
  lua_pushvalue(L, -1);
  lua_replace(L, lua_upvalueindex(up));
}

subtoken_text st_haproxy_call_fetch(st_haproxy_call *c, int up, const char *name) {
  st_haproxy_call_function(c->L, c->fetches, up, name);
  lua_pushvalue(c->L, c->fetches);
  lua_call(c->L, 1, 1);
  return st_haproxy_call_text(c->L, -1);
}

subtoken_text st_haproxy_call_fetch_seldom(st_haproxy_call *c, const char *name) {
  lua_getfield(c->L, c->fetches, name);
  lua_pushvalue(c->L, c->fetches);
  lua_call(c->L, 1, 1);
  return st_haproxy_call_text(c->L, -1);
}

/* The target as on the request line. Only HTTP/2 has another, and HTTP/1 with scheme and host. */
void st_haproxy_call_read(st_haproxy_call *c) {
  lua_State *L = c->L;
  lua_getfield(L, c->txn, "sf");
  c->fetches = lua_gettop(L);
  lua_getfield(L, c->txn, "http");
  c->http = lua_gettop(L);
  c->method = st_haproxy_call_fetch(c, ST_HAPROXY_UP_METHOD, "method");
  c->url = st_haproxy_call_fetch(c, ST_HAPROXY_UP_URL, "url");
  c->headers = st_haproxy_call_fetch(c, ST_HAPROXY_UP_HEADERS, "req_hdrs");
  c->target = c->url;
  if (c->url.len == 0 || c->url.data[0] == '/') return;
  c->version = st_haproxy_call_fetch_seldom(c, "req_ver");
  c->target = st_haproxy_head_target(c->url, c->version);
}

/* ---- decide ---- */

/* Of more values than are read, two that differ stand for the rest: 400, where a credential is read
 * at all.
 */
static size_t st_haproxy_call_count(subtoken_text values[ST_HAPROXY_VALUES_MAX], size_t count,
                                    subtoken_text one, subtoken_text other) {
  if (count <= ST_HAPROXY_VALUES_MAX) return count;
  values[0] = one;
  values[1] = other;
  return ST_HAPROXY_VALUES_MAX;
}

static size_t st_haproxy_call_count_mcp(size_t count) {
  return count < ST_HAPROXY_MCP_MAX ? count : ST_HAPROXY_MCP_MAX;
}

static void st_haproxy_call_fill(st_haproxy_call *c, const st_haproxy_log *log) {
  subtoken_edge_request *request = &c->request;
  *request = (subtoken_edge_request)SUBTOKEN_EDGE_REQUEST_DEFAULT;
  request->now = st_haproxy_edge_now(c->edge, log);
  request->method = c->method;
  request->target = c->target;
  request->authorization = c->head.authorization;
  request->authorization_count = st_haproxy_call_count(
      c->head.authorization, c->head.authorization_count, (subtoken_text)SUBTOKEN_TEXT("Bearer 1"),
      (subtoken_text)SUBTOKEN_TEXT("Bearer 2"));
  request->x_api_key = c->head.x_api_key;
  request->x_api_key_count =
      st_haproxy_call_count(c->head.x_api_key, c->head.x_api_key_count,
                            (subtoken_text)SUBTOKEN_TEXT("1"), (subtoken_text)SUBTOKEN_TEXT("2"));
  request->origin = c->head.origin;
  request->request_method = c->head.request_method;
  request->body_encoded = c->head.encoded;
  request->content_length = c->head.content_length;
  request->has_body = c->head.chunked || c->head.open || c->head.content_length > 0;
  request->mcp_method = c->head.mcp_method;
  request->mcp_method_count = st_haproxy_call_count_mcp(c->head.mcp_method_count);
  request->mcp_name = c->head.mcp_name;
  request->mcp_name_count = st_haproxy_call_count_mcp(c->head.mcp_name_count);
  request->mcp_version = c->head.mcp_version;
  request->mcp_version_count = st_haproxy_call_count_mcp(c->head.mcp_version_count);
}

/* Where the body ends must be the same to whoever gets the request: a coding is chunked, once, and
 * of HTTP/1.1 (RFC 9112 section 6.1). The action asks for the version where it matters.
 */
static bool st_haproxy_call_note_odd(st_haproxy_call *c) {
  if (c->head.coded && c->version.len == 0 && c->txn != 0) {
    c->version = st_haproxy_call_fetch_seldom(c, "req_ver");
  }
  if (c->head.coded && !(c->version.len == 3 && memcmp(c->version.data, "1.1", 3) == 0)) {
    c->head.odd = true;
  }
  return c->head.odd;
}

static subtoken_edge_step st_haproxy_call_refuse_odd(st_haproxy_call *c) {
  static const char text[] = "{\"text\":\"the request can be read in more than one way\"}";
  c->reply.status = 400;
  c->reply.result = SUBTOKEN_MALFORMED;
  c->reply.name = "bad_request";
  c->reply.body_len = sizeof text - 1;
  memcpy(c->reply.body, text, sizeof text);
  return SUBTOKEN_EDGE_REFUSE;
}

/* Headers that are not whole were too long for HAProxy to hand them over. */
subtoken_edge_step st_haproxy_call_decide(st_haproxy_call *c, const st_haproxy_log *log) {
  c->reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  if (!st_haproxy_head_read(c->headers, &c->head)) {
    return subtoken_edge_refuse(SUBTOKEN_REVOCATION_UNKNOWN, &c->reply);
  }
  if (st_haproxy_call_note_odd(c)) return st_haproxy_call_refuse_odd(c);
  c->head.open = !c->head.has_length && !c->head.chunked && st_haproxy_head_is_open(c->version);
  st_haproxy_call_fill(c, log);
  return subtoken_edge_decide(&c->edge->edge, &c->request, &c->claims, &c->reply);
}

subtoken_edge_step st_haproxy_call_decide_closed(st_haproxy_call *c) {
  c->head.open = false;
  c->request.has_body = false;
  c->reply = (subtoken_edge_reply)SUBTOKEN_EDGE_REPLY_DEFAULT;
  return subtoken_edge_decide(&c->edge->edge, &c->request, &c->claims, &c->reply);
}

/* A word, and the blank behind it. */
static char *st_haproxy_call_append(char *at, subtoken_text text) {
  if (text.len > 0) memcpy(at, text.data, text.len);
  at[text.len] = ' ';
  return at + text.len + 1;
}

bool st_haproxy_call_verdict(st_haproxy_call *c, char *out, size_t *len) {
  subtoken_text name = {c->reply.name, strlen(c->reply.name)};
  if (subtoken_edge_identity_headers(&c->claims, NULL, c->memory, sizeof c->memory, c->identity) !=
      SUBTOKEN_OK) {
    return false;
  }
  char *at = st_haproxy_call_append(out, (subtoken_text)SUBTOKEN_TEXT("pass"));
  at = st_haproxy_call_append(at, name);
  if (c->identity[0].value.len > 0) {
    at = st_haproxy_call_append(at, c->identity[4].value);
    at = st_haproxy_call_append(at, c->identity[0].value);
    at = st_haproxy_call_append(at, subtoken_claims_text(&c->claims, c->claims.tid));
    at = st_haproxy_call_append(at, c->identity[3].value);
  }
  *len = (size_t)(at - out) - 1;
  return true;
}

bool st_haproxy_call_may_be_metadata(const st_haproxy_call *c) {
  static const char front[] = "/.well-known/";
  return c->edge->edge.issuer.len > 0 && c->target.len > sizeof front &&
         memcmp(c->target.data, front, sizeof front - 1) == 0 &&
         ((c->method.len == 3 && memcmp(c->method.data, "GET", 3) == 0) ||
          (c->method.len == 4 && memcmp(c->method.data, "HEAD", 4) == 0));
}
