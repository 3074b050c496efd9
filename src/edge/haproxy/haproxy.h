/* haproxy - the parts of subtoken.so, the C module that subtoken.lua loads into HAProxy. One edge
 * belongs to one Lua state: with lua-load-per-thread each thread has its own, with lua-load all
 * threads share one under HAProxy's lock. So nothing here is used by two threads at a time.
 *
 *   haproxy_module.c  what Lua sees
 *   haproxy_call.h    one request: in from HAProxy, out to it (haproxy_call.c, haproxy_body.c,
 *                     haproxy_action.c, haproxy_convert.c)
 *   haproxy_head.c    the text of a request's headers, read into a subtoken_edge_request
 *   haproxy_edge.c    secrets, policy and revocation data, loaded and kept fresh
 *   haproxy_file.c    one file, read whole when it has changed
 *   haproxy_memory.c  memory for Lua
 *
 * A Lua error is a longjmp: whatever may raise one holds no descriptor and no memory.
 */
#ifndef SUBTOKEN_EDGE_HAPROXY_H
#define SUBTOKEN_EDGE_HAPROXY_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "subtoken/edge.h"
#include "subtoken/feed.h"

#define ST_HAPROXY_ERROR_MAX 1536 /* bytes of a message, with a path in it */
#define ST_HAPROXY_PATH_MAX SUBTOKEN_FEED_PATH_MAX

/* ---- haproxy_file.c ---- */

/* A file as it was last found. HAProxy changes its root after the files were read first: named is
 * what the configuration calls it, and path what it is called now, empty if it cannot be reached.
 */
#define ST_HAPROXY_LEVELS_MAX 32 /* directories above a file that are known */

typedef struct st_haproxy_root {
  dev_t device;
  ino_t inode;
} st_haproxy_root;

typedef struct st_haproxy_file {
  const char *what; /* the argument that names it, for messages */
  char named[ST_HAPROXY_PATH_MAX + 1];
  char path[ST_HAPROXY_PATH_MAX + 1];
  bool secret;        /* must be closed to others */
  bool trusted_group; /* may be written by its group */
  bool tried;
  int error; /* errno of the last attempt to open it, or 0 */
  int64_t stamp[5];
  st_haproxy_root above[ST_HAPROXY_LEVELS_MAX]; /* from the root on, as they were at first */
} st_haproxy_file;

bool st_haproxy_file_name(st_haproxy_file *file, const char *what, const char *path, char *error);
bool st_haproxy_file_has_changed(const st_haproxy_file *file);
/* The text, in memory of malloc with a NUL behind it: wipe and free it. NULL: *error says why. */
char *st_haproxy_file_read(st_haproxy_file *file, size_t max, size_t *len, char *error);
bool st_haproxy_file_fail(char *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets .path to what .named is called below the root of now. False: it is outside of it. */
bool st_haproxy_file_rebase(st_haproxy_file *file);

/* ---- haproxy_edge.c ---- */

/* Says something to HAProxy's log. May raise a Lua error. */
typedef struct st_haproxy_log {
  lua_State *L;
  int function; /* its place on the stack: function(level, text), with syslog's levels */
} st_haproxy_log;

enum { ST_HAPROXY_ERROR = 3, ST_HAPROXY_WARNING = 4, ST_HAPROXY_NOTICE = 5 };

typedef struct st_haproxy_settings {
  const char *secrets;
  const char *revocations; /* NULL: revocation is not checked */
  const char *policy;      /* NULL: each good token may do what it lists */
  const char *require;     /* permissions, with commas between them; NULL: none */
  const char *audience;    /* NULL: none */
  const char *issuer;      /* of the metadata that a 401 names; NULL: none */
  bool trust_group;        /* the secrets may be written by their group */
  bool ask;                /* the configuration asks the server about what is no subtoken */
  bool bodies;             /* the configuration waits for the bodies that are to be read */
  bool allow_old;
  lua_Integer max_age, leeway, max_life; /* seconds */
  lua_Integer max_size;                  /* bytes of the revocation data */
  lua_Integer cache;                     /* bytes */
} st_haproxy_settings;

#define ST_HAPROXY_NEEDS_MAX SUBTOKEN_POLICY_NEEDS_MAX

typedef struct st_haproxy_edge {
  subtoken_edge edge; /* what requests are decided with; .verifier and .policy point into this */
  subtoken_verifier verifier;
  subtoken_feed_clock clock;
  subtoken_text needs[ST_HAPROXY_NEEDS_MAX];
  char *require, *audience, *issuer;

  subtoken_ring *ring; /* pages of its own */
  st_haproxy_file secrets_file;
  void *policy_memory;
  st_haproxy_file policy_file;
  subtoken_cache cache;
  void *cache_memory; /* pages of its own */
  size_t cache_size;
  subtoken_feed_file *feed; /* NULL: revocation is not checked */
  subtoken_feed_settings feed_settings;
  st_haproxy_file feed_name; /* its path alone */
  subtoken_feed_result feed_logged, age_logged;
  bool mount_logged;

  bool running;      /* it has been polled: HAProxy has its root and its user */
  int64_t polled_ms; /* of the monotonic clock */
} st_haproxy_edge;

/* The edge of Lua that is at a place of the stack, or an error of Lua. */
#define ST_HAPROXY_EDGE_TYPE "subtoken.edge"
st_haproxy_edge *st_haproxy_edge_check(lua_State *L, int at);

/* Read everything, as HAProxy reads its configuration. False: *error says what is wrong, and
 * st_haproxy_edge_close releases what there is. *warning: what time can make good, or "". */
bool st_haproxy_edge_open(st_haproxy_edge *edge, const st_haproxy_settings *settings, char *error,
                          char *warning);
/* Look for changes; true: there is more to do at once. */
bool st_haproxy_edge_poll(st_haproxy_edge *edge, const st_haproxy_log *log);
/* The time for a request; polls if nobody else has done so for a while. */
int64_t st_haproxy_edge_now(st_haproxy_edge *edge, const st_haproxy_log *log);
void st_haproxy_edge_close(st_haproxy_edge *edge);

/* ---- haproxy_head.c ---- */

#define ST_HAPROXY_VALUES_MAX 32 /* headers of one name that are read; with more, 400 */
#define ST_HAPROXY_MCP_MAX 2     /* two of one name are 400, whatever they say */

typedef struct st_haproxy_head {
  subtoken_text authorization[ST_HAPROXY_VALUES_MAX];
  subtoken_text x_api_key[ST_HAPROXY_VALUES_MAX];
  size_t authorization_count, x_api_key_count; /* may be larger than the arrays */
  subtoken_text mcp_method[ST_HAPROXY_MCP_MAX], mcp_name[ST_HAPROXY_MCP_MAX];
  subtoken_text mcp_version[ST_HAPROXY_MCP_MAX];
  size_t mcp_method_count, mcp_name_count, mcp_version_count; /* of all that came */
  uint64_t content_length;
  bool has_length, chunked, typed;
  bool coded;   /* it has Transfer-Encoding: read strictly in HTTP/1.1 alone, the caller's to say */
  bool odd;     /* another reader could take it for another request */
  bool open;    /* neither, and it may have a body all the same; the caller's to say */
  bool encoded; /* the body is not to be read as it is, in UTF-8 */
  bool origin, request_method;
  bool identity; /* it has names that subtoken_edge_is_identity_header knows */
  bool upgrade;  /* it asks for a protocol other than WebSocket */
  bool named;    /* Connection names such a header, so that the next hop would take it off */
} st_haproxy_head;

/* Read the headers as req.hdrs of HAProxy writes them: `name: value`, CR LF, and an empty line at
 * the end. False: the text is not whole. Views of the text. */
bool st_haproxy_head_read(subtoken_text text, st_haproxy_head *head);

/* The next name for which subtoken_edge_is_identity_header is true, from *at on; absent: none. */
subtoken_text st_haproxy_head_identity(subtoken_text text, size_t *at);

/* The target that HAProxy sends on, of its `url`: HTTP/2 has scheme and authority before it. One of
 * HTTP/1 stays as it is, and so does what has another scheme or no authority. */
subtoken_text st_haproxy_head_target(subtoken_text url, subtoken_text version);

/* May a request without Content-Length and Transfer-Encoding have a body all the same? In HTTP/2
 * and 3 it may, and so it may where nobody knows the version. */
bool st_haproxy_head_is_open(subtoken_text version);

/* ---- haproxy_action.c ---- */

/* edge:action(refuse, log), edge:converter(log): see subtoken.lua. */
int st_haproxy_action_make(lua_State *L);
int st_haproxy_action_make_converter(lua_State *L);

/* ---- haproxy_memory.c ---- */

/* Gives the state memory that is quicker than malloc for small blocks. False: it keeps its own. */
bool st_haproxy_memory_use(lua_State *L);

#endif
