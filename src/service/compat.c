/* Two calls by which clients of other servers can stay as they are: an access token for an API
 * token, under a vendor's path, and the hash by which a string can be registered as an API key.
 */
#include "base/base64url.h"
#include "base/date.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/issuing.h"
#include "service/json_body.h"
#include "service/reply.h"

/* ---- an access token ---- */

static bool compat_is_blank(subtoken_text text) {
  for (size_t i = 0; i < text.len; i++) {
    char c = text.data[i];
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return false;
  }
  return true;
}

/* No body, or a JSON object, in which nothing is asked for. */
static const st_problem *compat_read_body(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  if (compat_is_blank(c->request->body)) return NULL;
  const st_problem *problem = st_json_body_read(c, NULL, 0, scratch);
  subtoken_wipe(scratch, sizeof scratch);
  return problem;
}

const st_problem *st_compat_exchange(st_context *c) {
  st_identity identity;
  st_access_token access;
  const st_problem *problem = st_authenticate(c, &identity);
  if (problem == NULL) problem = st_access_within_rate(c, &identity);
  if (problem == NULL) problem = compat_read_body(c);
  if (problem != NULL) return problem;
  problem = st_issuing_access_token(c->service, &identity.key, &identity.grant, NULL, 0,
                                    c->request->now, &access);
  if (problem != NULL) return problem;
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"RawToken\":\"");
  st_write_literal(&writer, access.token);
  st_write_literal(&writer, "\",\"LifeTime\":\"");
  st_date_write(&writer, access.claims.exp, false);
  st_write_literal(&writer, "\"}");
  st_reply_end(c->reply, 200, &writer);
  subtoken_wipe(&access, sizeof access);
  return NULL;
}

/* ---- the hash of a string ---- */

/* Why it cannot be registered. */
static const char *compat_string_error(subtoken_text string) {
  if (string.len < ST_API_STRING_MIN || string.len > ST_API_STRING_MAX) {
    return "must be 16 to 255 characters";
  }
  for (size_t i = 0; i < string.len; i++) {
    if (string.data[i] < 0x21 || string.data[i] > 0x7E) {
      return "must have visible ASCII characters only";
    }
  }
  return "must not look like a key or a token";
}

static const st_problem *compat_reply_hash(st_context *c, const st_field *given) {
  uint8_t digest[32];
  if (!st_key_string_hash(given->text, digest)) {
    return st_problem_parameter(&c->problem, given->name, compat_string_error(given->text));
  }
  st_writer writer = st_reply_begin(c->reply);
  st_write_literal(&writer, "{\"hash\":\"");
  st_base64url_write(&writer, digest, sizeof digest);
  st_write_literal(&writer, "\"}");
  st_reply_end(c->reply, 200, &writer);
  return NULL;
}

const st_problem *st_compat_hash(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  size_t given = 0, which = 0;
  st_field fields[] = {{.name = "text", .type = ST_FIELD_TEXT},
                       {.name = "string", .type = ST_FIELD_TEXT},
                       {.name = "value", .type = ST_FIELD_TEXT}};
  const st_problem *problem = st_access_manager(c, &identity);
  if (problem == NULL) problem = st_access_requires(c, &identity, "keys");
  if (problem != NULL) return problem;
  problem = st_json_body_read(c, fields, 3, scratch);
  for (size_t i = 0; i < 3; i++) {
    if (fields[i].given) which = i;
    given += fields[i].given;
  }
  if (problem == NULL) {
    problem = given == 1 ? compat_reply_hash(c, &fields[which])
                         : st_problem_parameter(&c->problem, "text", "must be given exactly once");
  }
  subtoken_wipe(scratch, sizeof scratch);
  return problem;
}
