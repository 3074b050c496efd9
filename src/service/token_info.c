/* /v2/tokeninfo: what a key or a subtoken is, for whoever holds it, in two schemas: the older one
 * has id, name and permissions alone.
 */
#include "base/date.h"
#include "base/json.h"
#include "service/authenticate.h"
#include "service/endpoints.h"
#include "service/form.h"
#include "service/reply.h"

/* 2019-05-22T00:00:00Z: from this schema on the type is included. */
#define SCHEMA_WITH_TYPE INT64_C(1558483200)

static bool token_info_read_schema(subtoken_text text, bool *with_type) {
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
static const char *token_info_find_schema(st_context *c, bool *with_type) {
  char decoded[SUBTOKEN_TARGET_MAX];
  st_cutter cutter = {c->query, false};
  st_writer out = st_writer_on(decoded, sizeof decoded);
  st_pair pair;
  bool found = false, seen = false;
  while (st_form_next_named(&cutter, "v", &out, &pair)) {
    if (found) return "v: given more than once";
    found = true;
    if (!token_info_read_schema(pair.value, with_type))
      return "v: must be latest, a date or a date and time";
  }
  for (size_t i = 0; !found && i < c->request->header_count; i++) {
    const st_header *header = &c->request->headers[i];
    if (!st_text_is_nocase(header->name, "X-Schema-Version")) continue;
    if (seen) return "X-Schema-Version: given more than once";
    seen = true;
    if (!token_info_read_schema(header->value, with_type)) {
      return "X-Schema-Version: must be latest, a date or a date and time";
    }
  }
  return NULL;
}

static void token_info_write_list(st_writer *writer, const char *name,
                                  const subtoken_claims *claims, const subtoken_slice *list,
                                  size_t count) {
  st_write_literal(writer, name);
  for (size_t i = 0; i < count; i++) {
    st_write_char(writer, i == 0 ? '[' : ',');
    st_json_write_string(writer, subtoken_claims_text(claims, list[i]));
  }
  st_write_literal(writer, count == 0 ? "[]" : "]");
}

static void token_info_write_type(st_writer *writer, const st_identity *identity) {
  const subtoken_claims *grant = &identity->grant;
  if (st_identity_is_whole(identity)) {
    st_write_literal(writer, ",\"type\":\"APIKey\"");
    return;
  }
  st_write_literal(writer, ",\"type\":\"Subtoken\",\"expires_at\":\"");
  st_date_write(writer, grant->exp, true);
  st_write_literal(writer, "\",\"issued_at\":\"");
  st_date_write(writer, grant->iat, true);
  st_write_char(writer, '"');
  if (!grant->every_url)
    token_info_write_list(writer, ",\"urls\":", grant, grant->urls, grant->url_count);
}

const st_problem *st_token_info_answer(st_context *c) {
  st_identity identity;
  bool with_type = false;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem != NULL) return problem;
  const char *error = token_info_find_schema(c, &with_type);
  if (error != NULL) return st_problem_make(&c->problem, 400, "bad_request", error);
  const subtoken_claims *grant = &identity.grant;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"id\":");
  st_json_write_string(&writer, st_text(identity.key.id));
  st_write_literal(&writer, ",\"name\":");
  st_json_write_string(&writer, st_text(identity.key.name));
  token_info_write_list(&writer, ",\"permissions\":", grant, grant->permissions,
                        grant->permission_count);
  if (with_type) token_info_write_type(&writer, &identity);
  st_write_char(&writer, '}');
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}
