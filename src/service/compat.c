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
static bool has_no_wishes(st_visit *v) {
  char scratch[ST_BODY_SCRATCH];
  if (is_blank(v->request->body)) return true;
  bool good = st_body_read(v, NULL, 0, scratch);
  subtoken_wipe(scratch, sizeof scratch);
  return good;
}

static void answer_vendor(st_visit *v, const st_access *access) {
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"RawToken\":\"");
  st_write_string(&writer, access->token);
  st_write_string(&writer, "\",\"LifeTime\":\"");
  st_date_write(&writer, access->claims.exp, false);
  st_write_string(&writer, "\"}");
  v->reply->status = 200;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_exchange_vendor(st_visit *v) {
  st_identity identity;
  st_access access;
  int status;
  if (!st_visit_identify(v, &identity) || !st_visit_within_rate(v, &identity) ||
      !has_no_wishes(v)) {
    return;
  }
  subtoken_result result =
      st_issue_access(v->service, &identity.grant, NULL, 0, NULL, v->request->now, &access);
  if (result == SUBTOKEN_OK) {
    answer_vendor(v, &access);
  } else {
    const char *problem = st_access_problem(result, &status);
    st_reply_error(v->reply, status, "issue_denied", problem);
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

static void answer_hash(st_visit *v, subtoken_text string) {
  uint8_t digest[32];
  if (!st_api_string_hash(string, digest)) {
    st_reply_error(v->reply, 400, "bad_request", fault_of(string));
    return;
  }
  st_writer writer = st_writer_on(v->reply->body, sizeof v->reply->body);
  st_write_string(&writer, "{\"hash\":\"");
  st_base64url_write(&writer, digest, sizeof digest);
  st_write_string(&writer, "\"}");
  v->reply->status = 200;
  v->reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_hash_string(st_visit *v) {
  char scratch[ST_BODY_SCRATCH];
  st_identity identity;
  st_field fields[] = {{.name = "text", .type = ST_FIELD_TEXT},
                       {.name = "string", .type = ST_FIELD_TEXT},
                       {.name = "value", .type = ST_FIELD_TEXT}};
  if (!st_visit_manager(v, &identity) || !st_visit_holds(v, &identity, "keys")) return;
  scratch[0] = '\0';
  if (st_body_read(v, fields, 3, scratch)) {
    size_t given = 0, which = 0;
    for (size_t i = 0; i < 3; i++) {
      if (fields[i].given) which = i;
      given += fields[i].given;
    }
    if (given == 1) {
      answer_hash(v, fields[which].text);
    } else {
      st_reply_error(v->reply, 400, "bad_request", "text: must be given exactly once");
    }
  }
  subtoken_wipe(scratch, sizeof scratch);
}
