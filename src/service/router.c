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

static void answer_subtoken(st_visit *v, const subtoken_issue_request *request,
                            const st_identity *identity) {
  char token[SUBTOKEN_ISSUED_MAX + 1];
  char why[ST_ISSUE_WHY_MAX];
  subtoken_narrow_report report;
  subtoken_result result =
      st_issue(v->service, &identity->grant, request, v->request->now, token, &report, why);
  if (result != SUBTOKEN_OK) {
    st_reply_error(v->reply, st_issuing_status(result), "issue_denied", why);
    return;
  }
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"subtoken\":\"");
  st_write_string(&writer, token);
  st_write_string(&writer, "\"}");
  v->reply->status = 200;
  v->reply->event.dropped = report.dropped;
  v->reply->event.clamped = report.clamped;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void create_subtoken(st_visit *v) {
  st_identity identity;
  st_params params;
  st_body_kind kind;
  if (!st_visit_identify(v, &identity)) return;
  if (!st_visit_within_rate(v, &identity)) return;
  if (!body_kind(v->request, &kind)) {
    st_reply_error(v->reply, 415, "issue_denied",
                   "Content-Type: must be application/json or application/x-www-form-urlencoded");
    return;
  }
  if (!st_params_read(&params, v->query, kind, v->request->body)) {
    st_reply_error(v->reply, 400, "issue_denied", params.why);
    return;
  }
  answer_subtoken(v, &params.request, &identity);
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
static const char *find_schema(st_visit *v, bool *with_type) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {v->query, v->query.len == 0};
  st_writer out = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  bool found = false, seen = false;
  *with_type = false;
  while (st_pair_next(&cutter, &out, &pair)) {
    if (!st_text_is(pair.name, "v")) continue;
    if (found) return "v: given more than once";
    found = true;
    if (!read_schema(pair.value, with_type)) return "v: must be latest, a date or a date and time";
  }
  for (size_t i = 0; !found && i < v->request->header_count; i++) {
    const st_header *header = &v->request->headers[i];
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
  st_write_string(writer, name);
  for (size_t i = 0; i < count; i++) {
    st_write_char(writer, i == 0 ? '[' : ',');
    st_json_write_string(writer, subtoken_claims_text(claims, list[i]));
  }
  st_write_string(writer, count == 0 ? "[]" : "]");
}

static void write_type(st_writer *writer, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  if (st_standing_whole(identity->standing)) {
    st_write_string(writer, ",\"type\":\"APIKey\"");
    return;
  }
  st_write_string(writer, ",\"type\":\"Subtoken\",\"expires_at\":\"");
  st_date_write(writer, grant->exp, true);
  st_write_string(writer, "\",\"issued_at\":\"");
  st_date_write(writer, grant->iat, true);
  st_write_char(writer, '"');
  if (!grant->every_url) write_list(writer, ",\"urls\":", grant, grant->urls, grant->url_count);
}

static void token_info(st_visit *v) {
  st_identity identity;
  bool with_type;
  if (!st_visit_identify(v, &identity)) return;
  const char *problem = find_schema(v, &with_type);
  if (problem != NULL) {
    st_reply_error(v->reply, 400, "bad_request", problem);
    return;
  }
  const subtoken_claims *grant = &identity.grant;
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"id\":");
  st_json_write_string(&writer, st_text(identity.key.id));
  st_write_string(&writer, ",\"name\":");
  st_json_write_string(&writer, st_text(identity.key.name));
  write_list(&writer, ",\"permissions\":", grant, grant->permissions, grant->permission_count);
  if (with_type) write_type(&writer, &identity);
  st_write_char(&writer, '}');
  v->reply->status = 200;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

/* ---- health ---- */

static void answer_status(st_reply *reply, const char *text) {
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_string(&writer, "{\"status\":\"");
  st_write_string(&writer, text);
  st_write_string(&writer, "\"}");
  reply->status = 200;
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

static void healthz(st_visit *v) {
  answer_status(v->reply, "ok");
}

static void readyz(st_visit *v) {
  if (v->service->ring->count > 0 && v->service->ready(v->service->keys.store)) {
    answer_status(v->reply, "ready");
    return;
  }
  st_reply_error(v->reply, 503, "store_error",
                 "cannot issue and verify: the store does not answer");
}

/* ---- routes ---- */

enum { GET = 1, POST = 2, ANY = 4, SLASH = 8 };

static const struct {
  const char *path; /* with a slash at its end: whatever begins with it */
  const char *allow;
  unsigned methods; /* ANY: the answer looks at the method itself; SLASH: one may end the path */
  void (*answer)(st_visit *v);
} routes[] = {
    {"/v2/createsubtoken", "GET, HEAD, POST, OPTIONS", GET | POST, create_subtoken},
    {"/v2/tokeninfo", "GET, HEAD, OPTIONS", GET, token_info},
    {"/v2/keys", NULL, ANY, st_manage_keys},
    {"/v2/keys/", NULL, ANY, st_manage_key},
    {"/v2/revocations", "GET, HEAD, OPTIONS", GET, st_feed_answer},
    {"/v2/authorize", NULL, ANY, st_visit_authorize},
    {"/v2/authorize/", NULL, ANY, st_visit_authorize},
    {"/v2/audit", "GET, HEAD, OPTIONS", GET, st_audit_answer},
    {"/v1/user", "POST, OPTIONS", POST, st_user_create},
    {"/v1/auth/login", "POST, OPTIONS", POST, st_login_begin},
    {"/v1/auth/token", "POST, OPTIONS", POST, st_login_service},
    {"/v1/auth/refresh", "POST, OPTIONS", POST, st_login_refresh},
    {"/v1/auth/logout", "POST, OPTIONS", POST, st_login_end},
    {"/oauth/token", "POST, OPTIONS", POST, st_exchange_oauth},
    {"/m42Services/api/ApiToken/GenerateAccessTokenFromApiToken", "POST, OPTIONS", POST | SLASH,
     st_exchange_vendor},
    {"/utils/hash/secure", "POST, OPTIONS", POST, st_hash_string},
    {"/healthz", "GET, HEAD, OPTIONS", GET, healthz},
    {"/readyz", "GET, HEAD, OPTIONS", GET, readyz},
};

static bool matches(const st_visit *v, size_t route) {
  subtoken_text path = st_text(routes[route].path), asked = {v->path, v->path_len};
  bool prefix = path.data[path.len - 1] == '/';
  if ((routes[route].methods & SLASH) != 0 && asked.len == path.len + 1) {
    asked.len -= asked.data[path.len] == '/';
  }
  if (!prefix) return !v->path_cut && st_text_equal(asked, path);
  if (asked.len > path.len) asked.len = path.len;
  return st_text_equal(asked, path);
}

/* Cut off the query, and collapse repeated slashes after the first segment. */
static void split_target(st_visit *v, subtoken_text target) {
  size_t i = 0;
  for (; i < target.len && target.data[i] != '?'; i++) {
    bool repeated = v->path_len > 1 && target.data[i] == '/' && v->path[v->path_len - 1] == '/';
    if (repeated) continue;
    v->path_cut = v->path_cut || v->path_len == sizeof v->path;
    if (!v->path_cut) v->path[v->path_len++] = target.data[i];
  }
  if (i < target.len) v->query = (subtoken_text){target.data + i + 1, target.len - i - 1};
}

static bool takes(unsigned methods, subtoken_text method) {
  if ((methods & ANY) != 0) return true;
  return ((methods & GET) != 0 && (st_text_is(method, "GET") || st_text_is(method, "HEAD"))) ||
         ((methods & POST) != 0 && st_text_is(method, "POST"));
}

static void answer_route(st_visit *v, size_t route) {
  subtoken_text method = v->request->method;
  bool any = (routes[route].methods & ANY) != 0;
  if (!any && st_text_is(method, "OPTIONS")) {
    v->reply->status = 204;
    v->reply->allow = routes[route].allow;
    v->reply->preflight = true;
  } else if (takes(routes[route].methods, method)) {
    routes[route].answer(v);
  } else {
    st_reply_error(v->reply, 405, "bad_method", "method not allowed");
    v->reply->allow = routes[route].allow;
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
static bool is_whole_server(const st_visit *v) {
  return v->path_len == 1 && (v->path[0] == '/' || v->path[0] == '*');
}

static void clear(st_reply *reply) {
  memset(reply, 0, offsetof(st_reply, headers));
  reply->headers[0] = reply->body[0] = '\0';
}

/* Its two buffers need no zeros. */
static void begin(st_visit *v, const st_service *service, const st_request *request,
                  st_reply *reply) {
  v->service = service;
  v->request = request;
  v->reply = reply;
  v->path_len = 0;
  v->path_cut = v->credential_in_query = v->credential_elsewhere = v->is_basic = false;
  v->query = v->credential = (subtoken_text){NULL, 0};
  v->method = request->method;
}

void st_service_answer(const st_service *service, const st_request *request, st_reply *reply) {
  st_visit v;
  begin(&v, service, request, reply);
  clear(reply);
  reply->head = st_text_is(request->method, "HEAD");
  if (request->target.len > SUBTOKEN_TARGET_MAX) {
    st_reply_error(reply, 414, "limit", "the request target is longer than 8192 bytes");
    return;
  }
  split_target(&v, request->target);
  v.target = (subtoken_text){v.path, v.path_len};
  for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
    if (matches(&v, i)) {
      answer_route(&v, i);
      return;
    }
  }
  if (st_text_is(request->method, "OPTIONS") && is_whole_server(&v)) {
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
