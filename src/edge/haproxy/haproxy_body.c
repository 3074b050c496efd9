/* The body of a request, of which HAProxy shows what it has in its buffer. */
#include <string.h>

#include "edge/haproxy/haproxy_call.h"

typedef enum st_haproxy_body {
  ST_HAPROXY_BODY_UNKNOWN, /* nobody can say here where it ends */
  ST_HAPROXY_BODY_PART,    /* more is to come, or it is longer than HAProxy's buffer */
  ST_HAPROXY_BODY_WHOLE,
} st_haproxy_body;

/* Has HAProxy seen the end of it? One that cannot tell is taken not to have. */
static bool st_haproxy_body_has_end(st_haproxy_call *c) {
  lua_State *L = c->L;
  bool end = false;
  lua_getfield(L, c->fetches, "internal_htx_has_eom");
  if (!lua_isnil(L, -1)) {
    lua_pushvalue(L, c->fetches);
    lua_call(L, 1, 1);
    end = lua_isboolean(L, -1) ? lua_toboolean(L, -1) != 0 : lua_tointeger(L, -1) == 1;
  }
  lua_pop(L, 1);
  return end;
}

/* HTTP/1 says by its headers whether there is a body, HTTP/2 and 3 by the end of the stream. */
bool st_haproxy_body_is_none(st_haproxy_call *c) {
  if (c->version.len == 0) c->version = st_haproxy_call_fetch_seldom(c, "req_ver");
  if (!st_haproxy_head_is_open(c->version)) return true;
  if (!st_haproxy_body_has_end(c)) return false;
  size_t len = st_haproxy_call_fetch_seldom(c, "req_body").len;
  lua_pop(c->L, 1);
  return len == 0;
}

/* What HAProxy has of the body; a view of what it has pushed. Lua is not told where a chunked body
 * ends, and a part of one could be JSON too. A body of which nothing is there is no JSON.
 */
static st_haproxy_body st_haproxy_body_read(st_haproxy_call *c, subtoken_text *body) {
  const st_haproxy_head *head = &c->head;
  if (head->chunked || head->open) return ST_HAPROXY_BODY_UNKNOWN;
  *body = st_haproxy_call_fetch_seldom(c, "req_body");
  if (!head->has_length) {
    return body->len == 0 ? ST_HAPROXY_BODY_WHOLE : ST_HAPROXY_BODY_UNKNOWN;
  }
  return body->len == head->content_length ? ST_HAPROXY_BODY_WHOLE : ST_HAPROXY_BODY_PART;
}

static bool st_haproxy_body_has_waited(st_haproxy_call *c) {
  lua_State *L = c->L;
  lua_getfield(L, c->txn, "get_var");
  lua_pushvalue(L, c->txn);
  lua_pushstring(L, ST_HAPROXY_VARIABLE);
  lua_call(L, 2, 1);
  const char *value = lua_tostring(L, -1);
  bool waited = value != NULL && strcmp(value, "body") == 0;
  lua_pop(L, 1);
  return waited;
}

static subtoken_edge_step st_haproxy_body_refuse(st_haproxy_call *c, int status, const char *text) {
  c->reply.status = status;
  c->reply.body_len = (uint32_t)strlen(text);
  memcpy(c->reply.body, text, c->reply.body_len + 1);
  return SUBTOKEN_EDGE_REFUSE;
}

/* The reply that is there is a 400. */
static subtoken_edge_step st_haproxy_body_refuse_unknown(st_haproxy_call *c) {
  return st_haproxy_body_refuse(
      c, 411, "{\"text\":\"Content-Length: must be given, because the body is read\"}");
}

/* The library's 413 says how much it reads, which is more than what HAProxy has room for. */
static subtoken_edge_step st_haproxy_body_refuse_long(st_haproxy_call *c) {
  c->request.content_length = UINT64_MAX;
  subtoken_edge_step step =
      subtoken_edge_decide(&c->edge->edge, &c->request, &c->claims, &c->reply);
  if (step != SUBTOKEN_EDGE_REFUSE || c->reply.status != 413) return step;
  return st_haproxy_body_refuse(
      c, 413, "{\"text\":\"the body and the headers are longer than the proxy's buffer\"}");
}

/* SUBTOKEN_EDGE_BODY again: the configuration is to wait for it. So it does for one that is refused
 * afterwards, because a stream of HTTP/2 that is answered before its end gets no answer.
 */
subtoken_edge_step st_haproxy_body_decide(st_haproxy_call *c) {
  subtoken_text body;
  st_haproxy_body read = st_haproxy_body_read(c, &body);
  if (read != ST_HAPROXY_BODY_WHOLE && !st_haproxy_body_has_waited(c)) return SUBTOKEN_EDGE_BODY;
  if (read == ST_HAPROXY_BODY_UNKNOWN) return st_haproxy_body_refuse_unknown(c);
  if (read == ST_HAPROXY_BODY_PART) return st_haproxy_body_refuse_long(c);
  void *scratch = lua_newuserdata(c->L, body.len + 1);
  return subtoken_edge_decide_body(&c->edge->edge, &c->request, &c->claims, body, scratch, body.len,
                                   &c->reply);
}
