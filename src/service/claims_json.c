/* What a credential may do, as JSON: the members that whoami.c, preview.c and token_explain.c have
 * in common.
 */
#include "service/claims_json.h"

#include "base/date.h"
#include "base/json.h"
#include "core/claims.h"
#include "domain/key.h"

static void claims_json_name(st_writer *writer, const char *name) {
  st_write_literal(writer, ",\"");
  st_write_literal(writer, name);
  st_write_literal(writer, "\":");
}

static void claims_json_list(st_writer *writer, const char *name, const subtoken_claims *claims,
                             const subtoken_slice *list, size_t count) {
  claims_json_name(writer, name);
  st_write_char(writer, '[');
  for (size_t i = 0; i < count; i++) {
    if (i > 0) st_write_char(writer, ',');
    st_json_write_string(writer, subtoken_claims_text(claims, list[i]));
  }
  st_write_char(writer, ']');
}

void st_claims_json_permissions(st_writer *writer, const subtoken_claims *claims) {
  claims_json_list(writer, "permissions", claims, claims->permissions, claims->permission_count);
}

void st_claims_json_urls(st_writer *writer, const subtoken_claims *claims) {
  if (claims->every_url) return;
  claims_json_list(writer, "urls", claims, claims->urls, claims->url_count);
}

void st_claims_json_audience(st_writer *writer, const subtoken_claims *claims) {
  size_t at = 0;
  st_claims_json_text(writer, "audience", subtoken_claims_audience(claims, &at));
}

void st_claims_json_time(st_writer *writer, const char *name, int64_t at) {
  claims_json_name(writer, name);
  if (at >= ST_NEVER) {
    st_write_literal(writer, "null");
    return;
  }
  st_write_char(writer, '"');
  st_date_write(writer, at, false);
  st_write_char(writer, '"');
}

void st_claims_json_text(st_writer *writer, const char *name, subtoken_text text) {
  claims_json_name(writer, name);
  if (text.len == 0) {
    st_write_literal(writer, "null");
  } else {
    st_json_write_string(writer, text);
  }
}
