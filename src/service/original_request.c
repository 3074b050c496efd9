/* Which request a proxy holds back and asks about. Whoever sent that request may have written some
 * of what tells of it, so this is strict: two answers to the question which request it is are none.
 */
#include "service/original_request.h"

#define ORIGINAL_ROUTE "/v2/authorize"

static void original_note_header(st_original_headers *sent, const st_header *header) {
  static const char *const names[ST_ORIGINAL_HEADERS] = {
      [ST_ORIGINAL_URI] = "X-Original-URI",
      [ST_ORIGINAL_URL] = "X-Original-URL",
      [ST_ORIGINAL_METHOD] = "X-Original-Method",
      [ST_ORIGINAL_FORWARDED_URI] = "X-Forwarded-Uri",
      [ST_ORIGINAL_FORWARDED_METHOD] = "X-Forwarded-Method",
      [ST_ORIGINAL_NONCE] = "X-Subtoken-Nonce",
      [ST_ORIGINAL_AUDIENCE] = "X-Subtoken-Audience",
      [ST_ORIGINAL_PARTIAL_BODY] = "X-Envoy-Auth-Partial-Body"};
  for (size_t i = 0; i < ST_ORIGINAL_HEADERS; i++) {
    if (!st_text_is_nocase(header->name, names[i])) continue;
    sent->repeated[i] = sent->value[i].data != NULL;
    sent->value[i] = header->value;
    return;
  }
}

/* In one pass: most headers are none of these by their first characters. */
void st_original_request_headers(const st_request *request, st_original_headers *sent) {
  memset(sent, 0, sizeof *sent);
  for (size_t i = 0; i < request->header_count; i++) {
    const st_header *header = &request->headers[i];
    if (header->name.len > 2 && (header->name.data[0] | 0x20) == 'x' &&
        header->name.data[1] == '-') {
      original_note_header(sent, header);
    }
  }
}

/* One more source. Byte by byte: what two of them spell differently, two programs may read
 * differently. */
static const char *original_agree(st_context *c, subtoken_text method, subtoken_text target) {
  if (method.len == 0 || target.len == 0) {
    return "the original request needs a target and a method";
  }
  if (target.len > SUBTOKEN_TARGET_MAX) return "the original target is longer than 8192 bytes";
  if (c->target.len > 0 &&
      (!st_text_equal(c->method, method) || !st_text_equal(c->target, target))) {
    return "the headers name two different original requests";
  }
  c->method = method;
  c->target = target;
  return NULL;
}

static const char *original_from_forwarded(st_context *c, const st_original_headers *sent) {
  subtoken_text target = sent->value[ST_ORIGINAL_FORWARDED_URI];
  subtoken_text method = sent->value[ST_ORIGINAL_FORWARDED_METHOD];
  if (target.data == NULL && method.data == NULL) return NULL;
  return original_agree(c, method, target);
}

/* A host with or without a port. Of what a URL can have there nothing else is understood: no
 * userinfo, no escapes, no backslash. nginx writes the caller's own Host into it.
 */
static bool original_is_authority_char(char c) {
  char lower = (char)(c | 0x20);
  return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '[' || c == ']';
}

/* The target in an absolute URL: scheme, authority, and from the first slash on the target. */
static bool original_target_of_url(subtoken_text url, subtoken_text *target) {
  static const char *const schemes[] = {"http://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    subtoken_text scheme = st_text(schemes[i]);
    size_t at = scheme.len;
    if (url.len <= at || !st_text_equal((subtoken_text){url.data, at}, scheme)) continue;
    while (at < url.len && original_is_authority_char(url.data[at])) at++;
    if (at == scheme.len || at == url.len || url.data[at] != '/') return false;
    *target = (subtoken_text){url.data + at, url.len - at};
    return memchr(target->data, '#', target->len) == NULL;
  }
  return false;
}

/* X-Original-URI and X-Original-URL share their method. */
static const char *original_from_uri(st_context *c, const st_original_headers *sent) {
  subtoken_text target = sent->value[ST_ORIGINAL_URI], url = sent->value[ST_ORIGINAL_URL];
  subtoken_text method = sent->value[ST_ORIGINAL_METHOD];
  const char *error = NULL;
  if (target.data != NULL || (method.data != NULL && url.data == NULL)) {
    error = original_agree(c, method, target);
  }
  if (error != NULL || url.data == NULL) return error;
  if (!original_target_of_url(url, &target)) {
    return "X-Original-URL: must be http:// or https://, a host, and a path";
  }
  return original_agree(c, method, target);
}

/* As it stands on the request line: no slash is collapsed here, because the API that gets the
 * original request may not do so. */
static const char *original_from_path(st_context *c) {
  static const char route[] = ORIGINAL_ROUTE "/";
  size_t front = sizeof ORIGINAL_ROUTE - 1;
  subtoken_text asked = c->request->target, start = asked;
  if (start.len > sizeof route - 1) start.len = sizeof route - 1;
  if (st_text_is(start, route)) {
    return original_agree(c, c->request->method,
                          (subtoken_text){asked.data + front, asked.len - front});
  }
  /* It came here by slashes that were collapsed: where the original begins is a guess. */
  return c->path_len > front ? "the original target must directly follow " ORIGINAL_ROUTE : NULL;
}

static const char *original_find(st_context *c, const st_original_headers *sent) {
  for (size_t i = 0; i <= ST_ORIGINAL_FORWARDED_METHOD; i++) {
    if (sent->repeated[i]) return "a header with the original request is given more than once";
  }
  const char *error = original_from_uri(c, sent);
  if (error == NULL) error = original_from_forwarded(c, sent);
  if (error == NULL) error = original_from_path(c);
  if (error == NULL && c->target.len == 0) {
    error = "no original request: send X-Original-URI and X-Original-Method";
  }
  return error;
}

const st_problem *st_original_request_find(st_context *c, const st_original_headers *sent) {
  c->method = c->target = c->query = (subtoken_text){NULL, 0};
  const char *error = original_find(c, sent);
  if (error != NULL) return st_problem_make(&c->problem, 400, "bad_request", error);
  st_cutter cutter = {c->target, false};
  subtoken_text path;
  (void)st_cut(&cutter, '?', &path); /* there is always a first piece */
  c->query = cutter.rest;
  return NULL;
}
