/* Named API tokens exchanged for short-lived ones, as older clients ask for it
 * (/v2/vendortoken), and the hash by which a string of theirs is registered.
 */
#include "service/compat.h"

#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/date.h"
#include "domain/key.h"
#include "service/access.h"
#include "service/authenticate.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/issuing.h"
#include "service/json_body.h"
#include "service/reply.h"

static bool is_blank(subtoken_text text) {
  while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
    text = (subtoken_text){text.data + 1, text.len - 1};
  }
  return text.len == 0;
}

/* Nothing, or a JSON object, in which nothing is asked for. */
static bool has_no_wishes(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  if (is_blank(c->request->body)) return true;
  bool good = st_json_body_read(c, NULL, 0, scratch);
  subtoken_wipe(scratch, sizeof scratch);
  return good;
}

static void answer_vendor(st_context *c, const st_access_token *access) {
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"RawToken\":\"");
  st_write_literal(&writer, access->token);
  st_write_literal(&writer, "\",\"LifeTime\":\"");
  st_date_write(&writer, access->claims.exp, false);
  st_write_literal(&writer, "\"}");
  c->reply->status = 200;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_compat_exchange(st_context *c) {
  st_identity identity;
  st_access_token access;
  int status;
  if (!st_authenticate(c, &identity) || !st_authenticate_within_rate(c, &identity) ||
      !has_no_wishes(c)) {
    return;
  }
  subtoken_result result =
      st_issuing_access_token(c->service, &identity.grant, NULL, 0, NULL, c->request->now, &access);
  if (result == SUBTOKEN_OK) {
    answer_vendor(c, &access);
  } else {
    const char *problem = st_issuing_access_problem(result, &status);
    st_reply_error(c->reply, status, "issue_denied", problem);
  }
  subtoken_wipe(&access, sizeof access);
}

/* Why it cannot be registered. */
static const char *fault_of(subtoken_text string) {
  if (string.len < ST_API_STRING_MIN || string.len > ST_API_STRING_MAX) {
    return "the string must be 16 to 255 characters";
  }
  for (size_t i = 0; i < string.len; i++) {
    if (string.data[i] < 0x21 || string.data[i] > 0x7E) {
      return "the string must have visible ASCII characters only";
    }
  }
  return "the string must not look like a key or a token";
}

static void answer_hash(st_context *c, subtoken_text string) {
  uint8_t digest[32];
  if (!st_key_string_hash(string, digest)) {
    st_reply_error(c->reply, 400, "bad_request", fault_of(string));
    return;
  }
  st_writer writer = st_writer_on(c->reply->body, sizeof c->reply->body);
  st_write_literal(&writer, "{\"hash\":\"");
  st_base64url_write(&writer, digest, sizeof digest);
  st_write_literal(&writer, "\"}");
  c->reply->status = 200;
  c->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_compat_hash_string(st_context *c) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  st_field fields[] = {{.name = "text", .type = ST_FIELD_TEXT},
                       {.name = "string", .type = ST_FIELD_TEXT},
                       {.name = "value", .type = ST_FIELD_TEXT}};
  if (!st_access_manager(c, &identity) || !st_access_holds(c, &identity, "keys")) return;
  scratch[0] = '\0';
  if (st_json_body_read(c, fields, 3, scratch)) {
    size_t given = 0, which = 0;
    for (size_t i = 0; i < 3; i++) {
      if (fields[i].given) which = i;
      given += fields[i].given;
    }
    if (given == 1) {
      answer_hash(c, fields[which].text);
    } else {
      st_reply_error(c->reply, 400, "bad_request", "text: must be given exactly once");
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}
