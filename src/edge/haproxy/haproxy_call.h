/* haproxy_call - one request in the module for HAProxy, and what is asked of HAProxy about it.
 *
 *   haproxy_call.c     what HAProxy's Lua gives of it, and what the library decides
 *   haproxy_body.c     its body
 *   haproxy_action.c   the action, which tells HAProxy
 *   haproxy_convert.c  the converter, for what passes as it came
 */
#ifndef SUBTOKEN_EDGE_HAPROXY_CALL_H
#define SUBTOKEN_EDGE_HAPROXY_CALL_H

#include "edge/haproxy/haproxy.h"

#define ST_HAPROXY_VARIABLE "txn.subtoken"
#define ST_HAPROXY_VERDICT_MAX \
  (SUBTOKEN_SUB_MAX + SUBTOKEN_TID_LEN + SUBTOKEN_EDGE_IDENTITY_MEMORY + 64)

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

/* ---- haproxy_call.c ---- */

subtoken_text st_haproxy_call_text(lua_State *L, int at);

/* Pushes a function of the object at a place; it is the same for each request. */
void st_haproxy_call_function(lua_State *L, int object, int up, const char *name);
/* What a fetch of HAProxy has; the second, of one that is seldom needed. */
subtoken_text st_haproxy_call_fetch(st_haproxy_call *c, int up, const char *name);
subtoken_text st_haproxy_call_fetch_seldom(st_haproxy_call *c, const char *name);
/* What a decision needs, of HAProxy. .version is absent where nobody had to ask for it. */
void st_haproxy_call_read(st_haproxy_call *c);

/* Decide. Where .head.open is set afterwards, it was about a request with a body. */
subtoken_edge_step st_haproxy_call_decide(st_haproxy_call *c, const st_haproxy_log *log);
/* The same once more, about one that is known to have no body. */
subtoken_edge_step st_haproxy_call_decide_closed(st_haproxy_call *c);

/* `pass ok EXPIRES SUB TID PERMISSIONS`; what is public has no more than two words. */
bool st_haproxy_call_verdict(st_haproxy_call *c, char *out, size_t *len);
/* Is it a request that the document of RFC 9728 may be the answer to? */
bool st_haproxy_call_may_be_metadata(const st_haproxy_call *c);

/* ---- haproxy_body.c ---- */

/* Of one that is open: has all of it come, and no body? */
bool st_haproxy_body_is_none(st_haproxy_call *c);
/* After SUBTOKEN_EDGE_BODY. That again: the configuration is to wait for it. */
subtoken_edge_step st_haproxy_body_decide(st_haproxy_call *c);

/* ---- haproxy_convert.c ---- */

/* The converter: METHOD URL VERSION, a line feed, and the headers, to a verdict or nothing. */
int st_haproxy_convert(lua_State *L);

#endif
