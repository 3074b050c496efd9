/* What Lua sees of subtoken.so: a table with `open`, which makes an edge, and the edge's methods.
 * subtoken.lua reads the arguments and registers with HAProxy what comes of this.
 */
#include "edge/haproxy/haproxy.h"

/* ---- settings ---- */

static const char *st_haproxy_module_text(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const char *text = luaL_optstring(L, -1, NULL);
  lua_pop(L, 1); /* the table keeps it */
  return text;
}

static lua_Integer st_haproxy_module_number(lua_State *L, const char *name, lua_Integer otherwise) {
  lua_getfield(L, 1, name);
  lua_Integer number = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  return number;
}

static bool st_haproxy_module_flag(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool flag = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return flag;
}

static st_haproxy_settings st_haproxy_module_settings(lua_State *L) {
  const subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  const subtoken_feed_settings feed = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  st_haproxy_settings settings = {
      .secrets = st_haproxy_module_text(L, "secrets"),
      .revocations = st_haproxy_module_text(L, "revocations"),
      .policy = st_haproxy_module_text(L, "policy"),
      .require = st_haproxy_module_text(L, "require"),
      .audience = st_haproxy_module_text(L, "audience"),
      .issuer = st_haproxy_module_text(L, "issuer"),
      .trust_group = st_haproxy_module_flag(L, "trust_group"),
      .ask = st_haproxy_module_flag(L, "ask"),
      .bodies = st_haproxy_module_flag(L, "bodies"),
      .allow_old = st_haproxy_module_flag(L, "allow_old"),
      .max_age = st_haproxy_module_number(L, "max_age", feed.max_age),
      .leeway = st_haproxy_module_number(L, "leeway", verifier.leeway),
      .max_life = st_haproxy_module_number(L, "max_life", verifier.max_life),
      .max_size = st_haproxy_module_number(L, "revocations_max", (lua_Integer)feed.max_size),
      .cache = st_haproxy_module_number(L, "cache", 1 << 20),
  };
  return settings;
}

/* ---- functions ---- */

/* open(settings): the edge, and a warning or nil. Raises what is wrong. */
static int st_haproxy_module_open(lua_State *L) {
  char error[ST_HAPROXY_ERROR_MAX], warning[ST_HAPROXY_ERROR_MAX];
  luaL_checktype(L, 1, LUA_TTABLE);
  st_haproxy_settings settings = st_haproxy_module_settings(L);
  st_haproxy_edge *edge = lua_newuserdata(L, sizeof *edge);
  bool opened = st_haproxy_edge_open(edge, &settings, error, warning);
  if (!opened) st_haproxy_edge_close(edge);
  luaL_setmetatable(L, ST_HAPROXY_EDGE_TYPE);
  if (!opened) {
    lua_pushstring(L, error);
    return lua_error(L);
  }
  if (warning[0] == '\0') return 1;
  lua_pushstring(L, warning);
  return 2;
}

/* edge:poll(log): is there more to do at once? */
static int st_haproxy_module_poll(lua_State *L) {
  st_haproxy_edge *edge = st_haproxy_edge_check(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  st_haproxy_log log = {L, 2};
  lua_pushboolean(L, st_haproxy_edge_poll(edge, &log));
  return 1;
}

/* edge:audience(): what the server is told; "" for none. */
static int st_haproxy_module_audience(lua_State *L) {
  const st_haproxy_edge *edge = st_haproxy_edge_check(L, 1);
  subtoken_text audience = edge->verifier.aud;
  if (audience.data == NULL) audience = subtoken_ring_audience(edge->ring);
  lua_pushlstring(L, audience.data == NULL ? "" : audience.data, audience.len);
  return 1;
}

static int st_haproxy_module_close(lua_State *L) {
  st_haproxy_edge_close(st_haproxy_edge_check(L, 1));
  return 0;
}

/* quick_memory(): see haproxy_memory.c. */
static int st_haproxy_module_quick_memory(lua_State *L) {
  lua_pushboolean(L, st_haproxy_memory_use(L));
  return 1;
}

int luaopen_subtoken(lua_State *L);

__attribute__((visibility("default"))) int luaopen_subtoken(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"poll", st_haproxy_module_poll},   {"audience", st_haproxy_module_audience},
      {"action", st_haproxy_action_make}, {"converter", st_haproxy_action_make_converter},
      {"__gc", st_haproxy_module_close},  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", st_haproxy_module_open},
                                       {"quick_memory", st_haproxy_module_quick_memory},
                                       {NULL, NULL}};
  luaL_newmetatable(L, ST_HAPROXY_EDGE_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
