/* The route /v2/audit: what was changed, by whom, newest first (interface section 11). */
#include "service/audit_log.h"

#include "base/bytes.h"
#include "base/date.h"
#include "base/json.h"
#include "domain/key.h"
#include "domain/user.h"
#include "service/access.h"
#include "service/context.h"
#include "service/identity.h"
#include "service/reply.h"
#include "service/request.h"
#include "service/service.h"

#define LINES 8 /* asked of the store at a time: they lie on the stack */
#define TAIL 64 /* bytes of a body that are kept for its end */

/* Escaped, a byte is six at most: one line always fits. */
_Static_assert(6 * sizeof(st_audit_line) + 256 < ST_REPLY_BODY_MAX - TAIL, "a line fits a body");

static void write_member(st_writer *writer, const char *name, const char *value) {
  st_write_literal(writer, ",\"");
  st_write_truncated(writer, name);
  st_write_literal(writer, "\":");
  st_json_write_string(writer, st_text(value));
}

static void write_line(st_writer *writer, const st_audit_line *line) {
  st_write_literal(writer, "{\"id\":");
  st_write_int(writer, line->id);
  st_write_literal(writer, ",\"at\":\"");
  st_date_write(writer, line->at, false);
  st_write_char(writer, '"');
  write_member(writer, "who", line->who);
  write_member(writer, "from", line->from);
  write_member(writer, "action", line->action);
  write_member(writer, "target", line->target);
  write_member(writer, "detail", line->detail);
  st_write_char(writer, '}');
}

/* A page as it grows. */
typedef struct audit_page {
  st_writer writer;
  int64_t before, left; /* the last id, and how many lines more are wanted */
  bool full;            /* the body is: the page ends early */
} audit_page;

/* The line whole, or not at all. */
static void add(audit_page *page, const st_audit_line *line) {
  size_t mark = page->writer.len;
  if (mark > 0 && page->writer.out[mark - 1] == '}') st_write_char(&page->writer, ',');
  write_line(&page->writer, line);
  page->full = page->writer.overflow;
  if (page->full) {
    page->writer.len = mark;
    page->writer.overflow = false;
    return;
  }
  page->before = line->id;
  page->left--;
}

/* *more: the page ends before the log does, as far as is known. */
static st_store_status fill(const st_users *people, audit_page *page, bool *more) {
  st_audit_line lines[LINES];
  size_t wanted, count;
  do {
    wanted = page->left < LINES ? (size_t)page->left : LINES;
    count = 0;
    st_store_status found = people->audit(people->context, page->before, wanted, lines, &count);
    if (found != ST_STORE_OK) return found;
    for (size_t i = 0; i < count && !page->full; i++) add(page, &lines[i]);
  } while (count == wanted && page->left > 0 && !page->full);
  *more = page->full || count == wanted;
  return ST_STORE_OK;
}

static void answer(st_context *c, int64_t limit, int64_t before) {
  st_reply *reply = c->reply;
  bool more = false;
  audit_page page = {.writer = st_writer_on(reply->body, sizeof reply->body - TAIL),
                     .before = before,
                     .left = limit};
  st_write_literal(&page.writer, "{\"entries\":[");
  if (fill(c->service->people, &page, &more) != ST_STORE_OK) {
    st_reply_unavailable(reply, "store_error", "the audit log cannot be read; try again later");
    return;
  }
  page.writer.size = sizeof reply->body;
  st_write_char(&page.writer, ']');
  if (more) {
    st_write_literal(&page.writer, ",\"next\":");
    st_write_int(&page.writer, page.before);
  }
  st_write_char(&page.writer, '}');
  reply->status = 200;
  reply->body_len = st_writer_end(&page.writer) ? page.writer.len : 0;
}

void st_audit_log_answer(st_context *c) {
  st_identity identity;
  int64_t limit = 50, before = 0;
  if (!st_access_manager(c, &identity) || !st_access_holds(c, &identity, "audit")) return;
  if (!st_request_query_number(c, "limit", 100, &limit) ||
      !st_request_query_number(c, "before", SUBTOKEN_TIME_MAX, &before)) {
    return;
  }
  answer(c, limit, before);
}
