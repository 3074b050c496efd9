/* A preflight asks before the request itself is sent (WHATWG Fetch standard, CORS protocol), and
 * what it asks for is said again here only as far as it is tokens, so that nothing else gets into a
 * header.
 */
#include "service/cors.h"

#include "base/bytes.h"
#include "service/request_head.h"
#include "service/service.h"

#define OWN "Authorization, Content-Type, X-API-Key, X-Schema-Version"

static bool is_own(subtoken_text name) {
  static const char *const own[] = {"authorization", "content-type", "x-api-key",
                                    "x-schema-version"};
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    if (st_text_is_nocase(name, own[i])) return true;
  }
  return false;
}

void st_cors_write_headers(st_writer *out, const st_request *request) {
  size_t count = 0;
  st_write_literal(out, OWN);
  for (size_t i = 0; i < request->header_count; i++) {
    const st_header *header = &request->headers[i];
    if (!st_text_is_nocase(header->name, "Access-Control-Request-Headers")) continue;
    st_cutter cutter = {header->value, false};
    subtoken_text name;
    while (count < ST_CORS_HEADERS_MAX && st_cut_item(&cutter, &name)) {
      if (!st_request_head_is_token(name)) continue;
      count++;
      if (is_own(name)) continue;
      st_write_literal(out, ", ");
      st_write_view(out, name);
    }
  }
}
