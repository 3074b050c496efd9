/* Replies: the one place where a problem becomes a status, a body, an event and headers, and the
 * small pieces that endpoints write by. Sending them is the server's.
 */
#include "service/reply.h"

#include "base/impossible.h"
#include "base/json.h"

void st_reply_clear(st_reply *reply) {
  memset(reply, 0, offsetof(st_reply, headers));
  reply->headers[0] = reply->body[0] = '\0';
}

st_writer st_reply_begin(st_reply *reply) {
  return st_writer_on(reply->body, sizeof reply->body);
}

void st_reply_end(st_reply *reply, int status, st_writer *writer) {
  reply->status = status;
  reply->body_len = st_writer_end(writer) ? writer->len : 0;
}

static const char *reply_challenge(st_challenge challenge) {
  switch (challenge) {
    case ST_CHALLENGE_BEARER: return SUBTOKEN_CHALLENGE;
    case ST_CHALLENGE_INVALID_REQUEST: return "Bearer error=\"invalid_request\"";
    case ST_CHALLENGE_INVALID_TOKEN: return subtoken_result_challenge(SUBTOKEN_REVOKED);
    case ST_CHALLENGE_INSUFFICIENT_SCOPE: return subtoken_result_challenge(SUBTOKEN_PERM);
    default: return NULL;
  }
}

/* All but the body. */
static void reply_problem_end(st_reply *reply, const st_problem *problem, st_writer *writer) {
  st_reply_end(reply, problem->status, writer);
  reply->event.name = problem->event;
  reply->challenge = reply_challenge(problem->challenge);
  reply->basic_challenge = problem->basic_challenge;
  reply->retry_after = problem->retry_after;
  reply->allow = problem->allow;
  reply->close = problem->close;
}

void st_reply_problem(st_reply *reply, const st_problem *problem) {
  st_writer writer = st_reply_begin(reply);
  if (problem->json) {
    st_write_literal(&writer, problem->text);
  } else {
    st_write_literal(&writer, "{\"text\":");
    st_json_write_string(&writer, st_text(problem->text));
    st_write_char(&writer, '}');
  }
  reply_problem_end(reply, problem, &writer);
}

void st_reply_oauth_problem(st_reply *reply, const char *code, const st_problem *problem) {
  subtoken_text text = st_text(problem->text);
  st_writer writer = st_reply_begin(reply);
  st_write_literal(&writer, "{\"error\":");
  st_json_write_string(&writer, st_text(code));
  st_write_literal(&writer, ",\"error_description\":");
  st_json_write_string(&writer, text);
  st_write_literal(&writer, ",\"text\":");
  st_json_write_string(&writer, text);
  st_write_char(&writer, '}');
  reply_problem_end(reply, problem, &writer);
}

static void reply_header_escaped(st_reply *reply, const char *name, subtoken_text value,
                                 char escape) {
  static const char hex[] = "0123456789ABCDEF";
  st_writer writer =
      st_writer_on(reply->headers + reply->headers_len, sizeof reply->headers - reply->headers_len);
  st_write_literal(&writer, name);
  st_write_literal(&writer, ": ");
  for (size_t i = 0; i < value.len; i++) {
    uint8_t c = (uint8_t)value.data[i];
    if (c >= 0x21 && c <= 0x7E && c != (uint8_t)escape) {
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

void st_reply_header(st_reply *reply, const char *name, subtoken_text value) {
  reply_header_escaped(reply, name, value, '%');
}

void st_reply_header_visible(st_reply *reply, const char *name, subtoken_text value) {
  reply_header_escaped(reply, name, value, '\0');
}

bool st_reply_header_text(st_reply *reply, const char *name, subtoken_text value) {
  st_writer writer =
      st_writer_on(reply->headers + reply->headers_len, sizeof reply->headers - reply->headers_len);
  for (size_t i = 0; i < value.len; i++) {
    if (value.data[i] < ' ' || value.data[i] > '~') return false;
  }
  st_write_literal(&writer, name);
  st_write_literal(&writer, ": ");
  st_write_view(&writer, value);
  st_write_literal(&writer, "\r\n");
  if (!st_writer_end(&writer)) return false;
  reply->headers_len += writer.len;
  return true;
}

void st_reply_sequence(st_reply *reply, int64_t sequence) {
  char text[24];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_int(&writer, sequence);
  if (st_impossible(!st_writer_end(&writer), "a number fits")) return;
  st_reply_header(reply, "Subtoken-Seq", st_text(text));
}

void st_reply_preflight(st_reply *reply, const char *allow) {
  reply->status = 204;
  reply->allow = allow;
  reply->preflight = true;
}
