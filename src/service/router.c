/* The table of routes, and what is decided before one of them is called: the form of the path, the
 * method, preflights. Each route is in a file of its own (endpoints.h) and answers with a problem
 * or with a whole reply; problems are written into the reply here.
 */
#include "service/router.h"
#include "service/credential.h"
#include "service/endpoints.h"
#include "service/reply.h"

enum { GET = 1, POST = 2, ANY = 4, SLASH = 8, ISSUES = 16, DECIDES = 32 };

static const struct {
  const char *path; /* with a slash at its end: whatever begins with it; but for / itself */
  const char *allow;
  /* ANY: the answer looks at the method itself; SLASH: one may end the path; ISSUES, DECIDES: as of
   * st_route_info. */
  unsigned methods;
  const st_problem *(*answer)(st_context *c);
} routes[] = {
    {"/v2/createsubtoken", "GET, HEAD, POST, OPTIONS", GET | POST | ISSUES,
     st_create_subtoken_answer},
    {"/v2/previewsubtoken", "POST, OPTIONS", POST, st_preview_answer},
    {"/v2/whoami", "GET, HEAD, OPTIONS", GET, st_whoami_answer},
    {"/v2/tokeninfo", "GET, HEAD, OPTIONS", GET, st_token_info_answer},
    {"/v2/keys", NULL, ANY, st_keys_answer},
    {"/v2/keys/", NULL, ANY, st_keys_answer_one},
    {"/v2/revocations", "GET, HEAD, OPTIONS", GET, st_revocations_answer},
    {"/v2/feed", "GET, HEAD, OPTIONS", GET, st_feed_status_answer},
    {"/v2/ring", "GET, HEAD, OPTIONS", GET, st_ring_status_answer},
    {"/v2/explain", "POST, OPTIONS", POST, st_token_explain_answer},
    {"/v2/authorize", NULL, ANY | DECIDES, st_authorize_answer},
    {"/v2/authorize/", NULL, ANY | DECIDES, st_authorize_answer},
    {"/v2/audit", "GET, HEAD, OPTIONS", GET, st_audit_log_answer},
    {"/v1/user", "GET, HEAD, POST, OPTIONS", GET | POST, st_users_answer},
    {"/v1/user/", NULL, ANY, st_user_one_answer},
    {"/v1/auth/login", "POST, OPTIONS", POST | ISSUES, st_sessions_log_in},
    {"/v1/auth/token", "POST, OPTIONS", POST | ISSUES, st_sessions_service},
    {"/v1/auth/refresh", "POST, OPTIONS", POST | ISSUES, st_sessions_refresh},
    {"/v1/auth/logout", "POST, OPTIONS", POST, st_sessions_log_out},
    {"/oauth/token", "POST, OPTIONS", POST | ISSUES, st_token_endpoint_answer},
    {"/oauth/revoke", "POST, OPTIONS", POST, st_revoke_answer},
    {"/oauth/introspect", "POST, OPTIONS", POST, st_introspect_answer},
    {"/oauth/authorize", "GET, HEAD, POST, OPTIONS", GET | POST, st_metadata_authorize},
    {"/.well-known/oauth-authorization-server", "GET, HEAD, OPTIONS", GET, st_metadata_issuer},
    {"/.well-known/oauth-authorization-server/", "GET, HEAD, OPTIONS", GET, st_metadata_issuer},
    {"/.well-known/oauth-protected-resource", "GET, HEAD, OPTIONS", GET, st_metadata_resource},
    {"/.well-known/oauth-protected-resource/", "GET, HEAD, OPTIONS", GET, st_metadata_resource},
    {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", "POST, OPTIONS",
     POST | SLASH | ISSUES, st_compat_exchange},
    {"/utils/hash/secure", "POST, OPTIONS", POST, st_compat_hash},
    {"/", "GET, HEAD, OPTIONS", GET, st_page_answer},
    {"/page/settings.json", "GET, HEAD, OPTIONS", GET, st_page_settings},
    {"/page/", "GET, HEAD, OPTIONS", GET, st_page_answer_part},
    {"/openapi.json", "GET, HEAD, OPTIONS", GET, st_openapi_answer},
    {"/healthz", "GET, HEAD, OPTIONS", GET, st_health_live},
    {"/readyz", "GET, HEAD, OPTIONS", GET, st_health_ready},
    {"/metrics", "GET, HEAD, OPTIONS", GET, st_metrics_answer},
};

size_t st_router_count(void) {
  return sizeof routes / sizeof routes[0];
}

st_route_info st_router_route(size_t place) {
  st_route_info info = {.path = "other"};
  if (place == 0 || place > st_router_count()) return info;
  unsigned methods = routes[place - 1].methods;
  info.path = routes[place - 1].path;
  if ((methods & ISSUES) != 0) info.counts |= ST_ROUTE_ISSUES;
  if ((methods & DECIDES) != 0) info.counts |= ST_ROUTE_DECIDES;
  return info;
}

static bool matches(const st_context *c, size_t route) {
  subtoken_text path = st_text(routes[route].path), asked = {c->path, c->path_len};
  bool prefix = path.len > 1 && path.data[path.len - 1] == '/';
  if ((routes[route].methods & SLASH) != 0 && asked.len == path.len + 1) {
    asked.len -= asked.data[path.len] == '/';
  }
  if (!prefix) return !c->path_truncated && st_text_equal(asked, path);
  if (asked.len > path.len) asked.len = path.len;
  return st_text_equal(asked, path);
}

/* Cut off the query, and collapse repeated slashes after the first segment. */
static void split_target(st_context *c, subtoken_text target) {
  size_t i = 0;
  for (; i < target.len && target.data[i] != '?'; i++) {
    bool repeated = c->path_len > 1 && target.data[i] == '/' && c->path[c->path_len - 1] == '/';
    if (repeated) continue;
    c->path_truncated = c->path_truncated || c->path_len == sizeof c->path;
    if (!c->path_truncated) c->path[c->path_len++] = target.data[i];
  }
  if (i < target.len) c->query = (subtoken_text){target.data + i + 1, target.len - i - 1};
}

static bool takes(unsigned methods, subtoken_text method) {
  if ((methods & ANY) != 0) return true;
  return ((methods & GET) != 0 && (st_text_is(method, "GET") || st_text_is(method, "HEAD"))) ||
         ((methods & POST) != 0 && st_text_is(method, "POST"));
}

static const st_problem *router_call(st_context *c, size_t route) {
  subtoken_text method = c->request->method;
  bool any = (routes[route].methods & ANY) != 0;
  if (!any && st_text_is(method, "OPTIONS")) {
    st_reply_preflight(c->reply, routes[route].allow);
    return NULL;
  }
  if (takes(routes[route].methods, method)) return routes[route].answer(c);
  return st_problem_method(&c->problem, routes[route].allow);
}

/* Methods that an unknown endpoint could have; TRACE, CONNECT and inventions have none. */
static bool known_method(subtoken_text method) {
  static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (st_text_is(method, known[i])) return true;
  }
  return false;
}

/* `OPTIONS *` is about no resource (RFC 9110 section 9.3.7), and `OPTIONS /` is how HAProxy asks
 * whether a server is alive.
 */
static bool is_whole_server(const st_context *c) {
  return c->path_len == 1 && (c->path[0] == '/' || c->path[0] == '*');
}

/* What was found is the path of a route, or nothing of ours. */
static const st_problem *router_answer(st_context *c) {
  static const st_problem too_long = {
      .status = 414, .event = "limit", .text = "the request target is longer than 8192 bytes"};
  static const st_problem unknown_method = {.status = 405,
                                            .event = "bad_method",
                                            .text = "unknown method",
                                            .allow = "GET, HEAD, POST, OPTIONS"};
  static const st_problem not_found = {
      .status = 404, .event = "not_found", .text = "there is no such endpoint"};
  if (c->request->target.len > SUBTOKEN_TARGET_MAX) return &too_long;
  split_target(c, c->request->target);
  c->target = (subtoken_text){c->path, c->path_len};
  if (st_text_is(c->request->method, "OPTIONS") && is_whole_server(c)) {
    st_reply_preflight(c->reply, "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    return NULL;
  }
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (!matches(c, i)) continue;
    c->reply->route = i + 1;
    return router_call(c, i);
  }
  return known_method(c->request->method) ? &not_found : &unknown_method;
}

/* The buffers of the context need no zeros. */
static void router_begin(st_context *c, const st_service *service, const st_request *request,
                         st_reply *reply) {
  c->service = service;
  c->request = request;
  c->reply = reply;
  c->path_len = 0;
  c->path_truncated = false;
  c->query = (subtoken_text){NULL, 0};
  c->method = request->method;
  c->edge_audience = NULL;
  c->credential.query_len = 0;
  st_credential_clear(&c->credential);
}

/* A password, or a key that was in the query, whether or not it was authenticated. */
static void router_end(st_context *c) {
  subtoken_wipe(c->credential.basic, sizeof c->credential.basic);
  subtoken_wipe(c->credential.query, c->credential.query_len);
}

void st_router_answer(const st_service *service, const st_request *request, st_reply *reply) {
  st_context c;
  router_begin(&c, service, request, reply);
  st_reply_clear(reply);
  reply->head = st_text_is(request->method, "HEAD");
  const st_problem *problem = router_answer(&c);
  if (problem != NULL) st_reply_problem(reply, problem);
  router_end(&c);
}
