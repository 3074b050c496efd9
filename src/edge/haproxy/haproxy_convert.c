/* The converter: what passes as it came is decided for half of what an action costs in Lua. */
#include <stddef.h>
#include <string.h>

#include "edge/haproxy/haproxy_call.h"

/* METHOD URL VERSION, a line feed, and the headers. */
static bool st_haproxy_convert_split(st_haproxy_call *c, subtoken_text text) {
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
int st_haproxy_convert(lua_State *L) {
  char verdict[ST_HAPROXY_VERDICT_MAX];
  size_t len;
  st_haproxy_call c;
  memset(&c, 0, offsetof(st_haproxy_call, head));
  c.L = L;
  c.edge = st_haproxy_edge_check(L, lua_upvalueindex(ST_HAPROXY_UP_EDGE));
  st_haproxy_log log = {L, lua_upvalueindex(ST_HAPROXY_UP_LOG)};
  if (!st_haproxy_convert_split(&c, st_haproxy_call_text(L, 1)) ||
      st_haproxy_call_may_be_metadata(&c) ||
      st_haproxy_call_decide(&c, &log) != SUBTOKEN_EDGE_ALLOW || c.head.identity ||
      c.head.upgrade || c.head.named || memchr(c.target.data, '?', c.target.len) != NULL ||
      !st_haproxy_call_verdict(&c, verdict, &len)) {
    return 0;
  }
  lua_pushlstring(L, verdict, len);
  return 1;
}
