/* Writes statuses, headers, challenges and error texts into a reply. What goes wrong is decided
 * by who calls.
 */
#include "service/reply.h"

#include "base/bytes.h"
#include "base/json.h"
#include "domain/key.h"
#include "service/service.h"

void st_reply_error(st_reply *reply, int status, const char *event, const char *text) {
  reply->status = status;
  reply->event.name = event;
  st_writer writer = st_writer_on(reply->body, sizeof reply->body);
  st_write_literal(&writer, "{\"text\":");
  st_json_write_string(&writer, st_text(text));
  st_write_char(&writer, '}');
  reply->body_len = st_writer_end(&writer) ? writer.len : 0;
}

void st_reply_challenge(st_reply *reply, const char *text) {
  st_writer writer = st_writer_on(reply->challenge, sizeof reply->challenge);
  st_write_literal(&writer, text);
  if (!st_writer_end(&writer)) reply->challenge[0] = '\0';
}

void st_reply_lacks(st_reply *reply, subtoken_text permission) {
  char text[64 + SUBTOKEN_PERMISSION_MAX];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, "requires scope ");
  st_write(&writer, permission.data, permission.len);
  st_reply_error(reply, 403, "perm", st_writer_end(&writer) ? text : "requires another scope");
  st_reply_challenge(reply, subtoken_result_challenge(SUBTOKEN_PERM));
}

void st_reply_header(st_reply *reply, const char *name, subtoken_text value) {
  static const char hex[] = "0123456789ABCDEF";
  st_writer writer =
      st_writer_on(reply->headers + reply->headers_len, sizeof reply->headers - reply->headers_len);
  st_write_literal(&writer, name);
  st_write_literal(&writer, ": ");
  for (size_t i = 0; i < value.len; i++) {
    uint8_t c = (uint8_t)value.data[i];
    if (c >= 0x21 && c <= 0x7E && c != '%') {
      st_write_char(&writer, (char)c);
    } else {
      st_write_char(&writer, '%');
      st_write_char(&writer, hex[c >> 4]);
      st_write_char(&writer, hex[c & 15]);
    }
  }
  st_write_literal(&writer, "\r\n");
  if (st_writer_end(&writer)) reply->headers_len += writer.len;
}

void st_reply_unavailable(st_reply *reply, const char *event, const char *text) {
  st_reply_error(reply, 503, event, text);
  reply->retry_after = 5;
}

void st_reply_unchanged(st_reply *reply, st_store_status changed) {
  if (changed == ST_STORE_BUSY) {
    st_reply_unavailable(reply, "store_busy",
                         "the store is being written to; nothing was changed; try again later");
  } else {
    st_reply_unavailable(reply, "store_error", "nothing was changed; try again later");
  }
}

void st_reply_wait(st_reply *reply, const char *event, const char *text, int64_t seconds) {
  st_reply_error(reply, 429, event, text);
  reply->retry_after = seconds;
}

void st_reply_no_method(st_reply *reply, const char *allow) {
  st_reply_error(reply, 405, "bad_method", "method not allowed");
  reply->allow = allow;
}

void st_reply_preflight(st_reply *reply, const char *allow) {
  reply->status = 204;
  reply->allow = allow;
  reply->preflight = true;
}

void st_reply_sequence(st_reply *reply, int64_t sequence) {
  char text[24];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, sequence);
  if (st_writer_end(&writer)) st_reply_header(reply, "Subtoken-Seq", st_text(text));
}

void st_reply_unauthorized(st_reply *reply, const char *event, const char *text) {
  st_reply_error(reply, 401, event, text);
  st_reply_challenge(reply, subtoken_result_challenge(SUBTOKEN_REVOKED));
}

void st_reply_bad_request(st_reply *reply, const char *text) {
  st_reply_error(reply, 400, "bad_request", text);
}

void st_reply_escalation(st_reply *reply, const char *text) {
  st_reply_error(reply, 403, "escalation", text);
  st_reply_challenge(reply, subtoken_result_challenge(SUBTOKEN_PERM));
}

void st_reply_passwords_busy(st_reply *reply) {
  st_reply_unavailable(reply, "passwords_busy",
                       "too many passwords are being checked; try again later");
}
