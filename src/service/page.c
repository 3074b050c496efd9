/* The web page: `/` for browsers, and its parts under /page/. It is files alone (src/page), which
 * call the other routes as every client does; no cookie comes with it, so another site has nothing
 * to ride on. The headers below allow it nothing but its own files and this server.
 */
#include "service/endpoints.h"
#include "service/reply.h"
#include "service/static_file.h"

/* No inline script or style, no string that becomes markup (Trusted Types), no frame around it. */
#define POLICY                                                                        \
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "         \
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " \
  "require-trusted-types-for 'script'; trusted-types 'none'"

static const st_problem page_none = {
    .status = 404, .event = "not_found", .text = "there is no such endpoint"};

static void page_header(st_reply *reply, const char *name, const char *value) {
  (void)st_reply_header_text(reply, name, st_text(value));
}

static const st_problem *page_answer_file(st_context *c, subtoken_text name) {
  const st_page_file *file = st_page_files_find(name);
  st_reply *reply = c->reply;
  if (file == NULL) return &page_none;
  st_static_file_answer(c, file);
  page_header(reply, "Content-Security-Policy", POLICY);
  page_header(reply, "Referrer-Policy", "no-referrer");
  page_header(reply, "X-Frame-Options", "DENY");
  page_header(reply, "Cross-Origin-Opener-Policy", "same-origin");
  return NULL;
}

/* q=0, q=0.0 and so on. */
static bool page_weighs_nothing(subtoken_text parameter) {
  if (parameter.len < 3 || (parameter.data[0] | 0x20) != 'q' || parameter.data[1] != '=')
    return false;
  for (size_t i = 2; i < parameter.len; i++) {
    if (parameter.data[i] != '0' && parameter.data[i] != '.') return false;
  }
  return true;
}

/* Does one of the Accept headers name text/html, with another weight than 0 (RFC 9110 section
 * 12.5.1)? `*` in it asks for no page: programs send that. */
static bool page_is_wanted(const st_request *request) {
  for (size_t i = 0; i < request->header_count; i++) {
    if (!st_text_is_nocase(request->headers[i].name, "Accept")) continue;
    st_cutter list = {request->headers[i].value, false};
    subtoken_text range, part;
    while (st_cut_item(&list, &range)) {
      st_cutter parts = {range, false};
      (void)st_cut(&parts, ';', &part); /* there is always a first piece */
      bool wanted = st_text_is_nocase(st_text_trim(part), "text/html");
      while (wanted && st_cut(&parts, ';', &part)) {
        wanted = !page_weighs_nothing(st_text_trim(part));
      }
      if (wanted) return true;
    }
  }
  return false;
}

const st_problem *st_page_answer(st_context *c) {
  if (!c->service->settings->page || !page_is_wanted(c->request)) return &page_none;
  page_header(c->reply, "Vary", "Accept");
  return page_answer_file(c, ST_TEXT("index.html"));
}

const st_problem *st_page_answer_part(st_context *c) {
  size_t front = sizeof "/page/" - 1;
  if (!c->service->settings->page || c->path_truncated) return &page_none;
  if (c->path_len > front) {
    return page_answer_file(c, (subtoken_text){c->path + front, c->path_len - front});
  }
  page_header(c->reply, "Location", "../");
  c->reply->status = 308;
  return NULL;
}
