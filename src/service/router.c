#include "service/router.h"

#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "service/audit_log.h"
#include "service/authenticate.h"
#include "service/authorize.h"
#include "service/compat.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/issuing.h"
#include "service/keys.h"
#include "service/params.h"
#include "service/reply.h"
#include "service/request.h"
#include "service/revocations.h"
#include "service/service.h"
#include "service/sessions.h"
#include "service/token_exchange.h"
#include "service/users.h"
#include "subtoken/issue.h"

/* 2019-05-22T00:00:00Z: from this schema on tokeninfo tells the type. */
#define SCHEMA_WITH_TYPE INT64_C(1558483200)

/* ---- createsubtoken ---- */

static bool body_kind(const st_request *request, st_body_kind *kind) {
  *kind = ST_BODY_NONE;
  if (!st_text_is(request->method, "POST") || request->body.len == 0) return true;
  *kind = st_request_body_kind(request);
  return *kind != ST_BODY_NONE;
}

static void answer_subtoken(st_context *c, const subtoken_issue_request *request,
                            const st_identity *identity) {
  char token[SUBTOKEN_ISSUED_MAX + 1];
  char error[ST_ISSUING_ERROR_MAX];
  subtoken_narrow_report report = SUBTOKEN_NARROW_REPORT_DEFAULT;
  subtoken_result result = st_issuing_subtoken(c->service, &identity->grant, request,
                                               c->request->now, token, &report, error);
  if (result != SUBTOKEN_OK) {
    st_reply_error(c->reply, st_issuing_status(result), "issue_denied", error);
    return;
  }
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"subtoken\":\"");
  st_write_literal(&writer, token);
  st_write_literal(&writer, "\"}");
  c->reply->status = 200;
  c->reply->event.dropped = report.dropped;
  c->reply->event.clamped = report.clamped;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void create_subtoken(st_context *c) {
  st_identity identity;
  st_params params;
  st_body_kind kind;
  if (!st_authenticate(c, &identity)) return;
  if (!st_authenticate_within_rate(c, &identity)) return;
  if (!body_kind(c->request, &kind)) {
    st_reply_error(c->reply, 415, "issue_denied",
                   "Content-Type: must be application/json or application/x-www-form-urlencoded");
    return;
  }
  if (!st_params_read(&params, c->query, kind, c->request->body)) {
    st_reply_error(c->reply, 400, "issue_denied", params.error);
    return;
  }
  answer_subtoken(c, &params.request, &identity);
}

/* ---- tokeninfo ---- */

static bool read_schema(subtoken_text text, bool *with_type) {
  int64_t at;
  if (st_text_is(text, "latest")) {
    *with_type = true;
    return true;
  }
  if (!st_date_read_day(text, &at)) return false;
  *with_type = at >= SCHEMA_WITH_TYPE;
  return true;
}

/* v= in the query goes before X-Schema-Version. NULL, or what is wrong. */
static const char *find_schema(st_context *c, bool *with_type) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {c->query, c->query.len == 0};
  st_writer out = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  bool found = false, seen = false;
  *with_type = false;
  while (st_params_next_pair(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "v")) continue;
    if (found) return "v: given more than once";
    found = true;
    if (!read_schema(pair.value, with_type)) return "v: must be latest, a date or a date and time";
  }
  for (size_t i = 0; !found && i < c->request->header_count; i++) {
    const st_header *header = &c->request->headers[i];
    if (!st_text_is_nocase(header->name, "X-Schema-Version")) continue;
    if (seen) return "X-Schema-Version: given more than once";
    seen = true;
    if (!read_schema(header->value, with_type)) {
      return "X-Schema-Version: must be latest, a date or a date and time";
    }
  }
  return NULL;
}

static void write_list(st_writer *writer, const char *name, const subtoken_claims *claims,
                       const subtoken_slice *list, size_t count) {
  st_write_literal(writer, name);
  for (size_t i = 0; i < count; i++) {
    st_write_char(writer, i == 0 ? '[' : ',');
    st_json_write_string(writer, subtoken_claims_text(claims, list[i]));
  }
  st_write_literal(writer, count == 0 ? "[]" : "]");
}

static void write_type(st_writer *writer, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  if (st_auth_method_is_whole(identity->method)) {
    st_write_literal(writer, ",\"type\":\"APIKey\"");
    return;
  }
  st_write_literal(writer, ",\"type\":\"Subtoken\",\"expires_at\":\"");
  st_date_write(writer, grant->exp, true);
  st_write_literal(writer, "\",\"issued_at\":\"");
  st_date_write(writer, grant->iat, true);
  st_write_char(writer, '"');
  if (!grant->every_url) write_list(writer, ",\"urls\":", grant, grant->urls, grant->url_count);
}

static void token_info(st_context *c) {
  st_identity identity;
  bool with_type;
  if (!st_authenticate(c, &identity)) return;
  const char *problem = find_schema(c, &with_type);
  if (problem != NULL) {
    st_reply_error(c->reply, 400, "bad_request", problem);
    return;
  }
  const subtoken_claims *grant = &identity.grant;
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"id\":");
  st_json_write_string(&writer, st_text(identity.key.id));
  st_write_literal(&writer, ",\"name\":");
  st_json_write_string(&writer, st_text(identity.key.name));
  write_list(&writer, ",\"permissions\":", grant, grant->permissions, grant->permission_count);
  if (with_type) write_type(&writer, &identity);
  st_write_char(&writer, '}');
  c->reply->status = 200;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* ---- health ---- */

static void answer_status(st_reply *reply, const char *text) {
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_literal(&writer, "{\"status\":\"");
  st_write_literal(&writer, text);
  st_write_literal(&writer, "\"}");
  reply->status = 200;
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void healthz(st_context *c) {
  answer_status(c->reply, "ok");
}

static void readyz(st_context *c) {
  if (c->service->ring->count > 0 && c->service->ready(c->service->keys.store)) {
    answer_status(c->reply, "ready");
    return;
  }
  st_reply_error(c->reply, 503, "store_error",
                 "cannot issue and verify: the store does not answer");
}

/* ---- routes ---- */

enum { GET = 1, POST = 2, ANY = 4, SLASH = 8 };

static const struct {
  const char *path; /* with a slash at its end: whatever begins with it */
  const char *allow;
  unsigned methods; /* ANY: the answer looks at the method itself; SLASH: one may end the path */
  void (*answer)(st_context *c);
} routes[] = {
    {"/v2/createsubtoken", "GET, HEAD, POST, OPTIONS", GET | POST, create_subtoken},
    {"/v2/tokeninfo", "GET, HEAD, OPTIONS", GET, token_info},
    {"/v2/keys", NULL, ANY, st_keys_answer},
    {"/v2/keys/", NULL, ANY, st_keys_answer_key},
    {"/v2/revocations", "GET, HEAD, OPTIONS", GET, st_revocations_answer},
    {"/v2/authorize", NULL, ANY, st_authorize_answer},
    {"/v2/authorize/", NULL, ANY, st_authorize_answer},
    {"/v2/audit", "GET, HEAD, OPTIONS", GET, st_audit_log_answer},
    {"/v1/user", "POST, OPTIONS", POST, st_users_create},
    {"/v1/auth/login", "POST, OPTIONS", POST, st_sessions_login},
    {"/v1/auth/token", "POST, OPTIONS", POST, st_sessions_login_service},
    {"/v1/auth/refresh", "POST, OPTIONS", POST, st_sessions_refresh},
    {"/v1/auth/logout", "POST, OPTIONS", POST, st_sessions_logout},
    {"/oauth/token", "POST, OPTIONS", POST, st_token_exchange_answer},
    {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", "POST, OPTIONS", POST | SLASH,
     st_compat_exchange},
    {"/utils/hash/secure", "POST, OPTIONS", POST, st_compat_hash_string},
    {"/healthz", "GET, HEAD, OPTIONS", GET, healthz},
    {"/readyz", "GET, HEAD, OPTIONS", GET, readyz},
};

static bool matches(const st_context *c, size_t route) {
  subtoken_text path = st_text(routes[route].path), asked = {c->path, c->path_len};
  bool prefix = path.data[path.len - 1] == '/';
  if ((routes[route].methods & SLASH) != 0 && asked.len == path.len + 1) {
    asked.len -= asked.data[path.len] == '/';
  }
  if (!prefix) return !c->path_cut && st_text_equal(asked, path);
  if (asked.len > path.len) asked.len = path.len;
  return st_text_equal(asked, path);
}

/* Cut off the query, and collapse repeated slashes after the first segment. */
static void split_target(st_context *c, subtoken_text target) {
  size_t i = 0;
  for (; i < target.len && target.data[i] != '?'; i++) {
    bool repeated = c->path_len > 1 && target.data[i] == '/' && c->path[c->path_len - 1] == '/';
    if (repeated) continue;
    c->path_cut = c->path_cut || c->path_len == sizeof c->path;
    if (!c->path_cut) c->path[c->path_len++] = target.data[i];
  }
  if (i < target.len) c->query = (subtoken_text){target.data + i + 1, target.len - i - 1};
}

static bool takes(unsigned methods, subtoken_text method) {
  if ((methods & ANY) != 0) return true;
  return ((methods & GET) != 0 && (st_text_is(method, "GET") || st_text_is(method, "HEAD"))) ||
         ((methods & POST) != 0 && st_text_is(method, "POST"));
}

static void answer_route(st_context *c, size_t route) {
  subtoken_text method = c->request->method;
  bool any = (routes[route].methods & ANY) != 0;
  if (!any && st_text_is(method, "OPTIONS")) {
    c->reply->status = 204;
    c->reply->allow = routes[route].allow;
    c->reply->preflight = true;
  } else if (takes(routes[route].methods, method)) {
    routes[route].answer(c);
  } else {
    st_reply_error(c->reply, 405, "bad_method", "method not allowed");
    c->reply->allow = routes[route].allow;
  }
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

static void clear(st_reply *reply) {
  memset(reply, 0, offsetof(st_reply, headers));
  reply->headers[0] = reply->body[0] = '\0';
}

/* Its two buffers need no zeros. */
static void begin(st_context *c, const st_service *service, const st_request *request,
                  st_reply *reply) {
  c->service = service;
  c->request = request;
  c->reply = reply;
  c->path_len = 0;
  c->path_cut = c->credential_in_query = c->credential_elsewhere = c->is_basic = false;
  c->query = c->credential = (subtoken_text){NULL, 0};
  c->method = request->method;
}

void st_router_answer(const st_service *service, const st_request *request, st_reply *reply) {
  st_context c;
  begin(&c, service, request, reply);
  clear(reply);
  reply->head = st_text_is(request->method, "HEAD");
  if (request->target.len > SUBTOKEN_TARGET_MAX) {
    st_reply_error(reply, 414, "limit", "the request target is longer than 8192 bytes");
    return;
  }
  split_target(&c, request->target);
  c.target = (subtoken_text){c.path, c.path_len};
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (matches(&c, i)) {
      answer_route(&c, i);
      return;
    }
  }
  if (st_text_is(request->method, "OPTIONS") && is_whole_server(&c)) {
    st_reply_preflight(reply, "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    return;
  }
  if (!known_method(request->method)) {
    st_reply_error(reply, 405, "bad_method", "this server does not know this method");
    reply->allow = "GET, HEAD, POST, OPTIONS";
    return;
  }
  st_reply_error(reply, 404, "not_found", "there is no such endpoint");
}
