/* The route /v2/audit: what was changed, by whom, newest first, for who has the permission `audit`.
 * The lines themselves are written by the store, in the transaction of the change.
 */
#include "base/date.h"
#include "base/json.h"
#include "service/access.h"
#include "service/endpoints.h"
#include "service/reply.h"
#include "service/request.h"

#define LINES 8 /* asked of the store at a time: they lie on the stack */
#define TAIL 64 /* bytes of a body that are kept for its end */

/* Escaped, a byte is six at most: one line always fits. */
_Static_assert(6 * sizeof(st_audit_line) + 256 < ST_REPLY_BODY_MAX - TAIL, "a line fits a body");

static void audit_write_member(st_writer *writer, const char *name, const char *value) {
  st_write_literal(writer, ",\"");
  st_write_truncated(writer, name);
  st_write_literal(writer, "\":");
  st_json_write_string(writer, st_text(value));
}

static void audit_write_line(st_writer *writer, const st_audit_line *line) {
  st_write_literal(writer, "{\"id\":");
  st_write_int(writer, line->id);
  st_write_literal(writer, ",\"at\":\"");
  st_date_write(writer, line->at, false);
  st_write_char(writer, '"');
  audit_write_member(writer, "who", line->who);
  audit_write_member(writer, "from", line->from);
  audit_write_member(writer, "action", line->action);
  audit_write_member(writer, "target", line->target);
  audit_write_member(writer, "detail", line->detail);
  st_write_char(writer, '}');
}

/* A page as it grows. */
typedef struct audit_page {
  st_writer writer;
  int64_t before, left; /* the last id, and how many lines more are wanted */
  bool full;            /* the body is: the page ends early */
} audit_page;

/* The line whole, or not at all. */
static void audit_add(audit_page *page, const st_audit_line *line) {
  size_t mark = page->writer.len;
  if (mark > 0 && page->writer.out[mark - 1] == '}') st_write_char(&page->writer, ',');
  audit_write_line(&page->writer, line);
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
static st_store_status audit_fill(const st_users *users, audit_page *page, bool *more) {
  st_audit_line lines[LINES];
  size_t wanted, count;
  do {
    wanted = page->left < LINES ? (size_t)page->left : LINES;
    count = 0;
    st_store_status found = users->list_audit(users->context, page->before, wanted, lines, &count);
    if (found != ST_STORE_OK) return found;
    for (size_t i = 0; i < count && !page->full; i++) audit_add(page, &lines[i]);
  } while (count == wanted && page->left > 0 && !page->full);
  *more = page->full || count == wanted;
  return ST_STORE_OK;
}

static const st_problem *audit_reply(st_context *c, int64_t limit, int64_t before) {
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "the audit log cannot be read; try again later",
                                    .retry_after = 5};
  st_reply *reply = c->reply;
  bool more = false;
  audit_page page = {.writer = st_writer_on(reply->body, sizeof reply->body - TAIL),
                     .before = before,
                     .left = limit};
  st_write_literal(&page.writer, "{\"entries\":[");
  if (audit_fill(c->service->users, &page, &more) != ST_STORE_OK) return &failed;
  page.writer.size = sizeof reply->body;
  st_write_char(&page.writer, ']');
  if (more) {
    st_write_literal(&page.writer, ",\"next\":");
    st_write_int(&page.writer, page.before);
  }
  st_write_char(&page.writer, '}');
  st_reply_end(reply, 200, &page.writer);
  return NULL;
}

const st_problem *st_audit_log_answer(st_context *c) {
  st_identity identity;
  int64_t limit = 50, before = 0;
  const st_problem *problem = st_access_manager(c, &identity);
  if (problem == NULL) problem = st_access_requires(c, &identity, "audit");
  if (problem == NULL) problem = st_request_query_number(c, "limit", 100, &limit);
  if (problem == NULL) problem = st_request_query_number(c, "before", SUBTOKEN_TIME_MAX, &before);
  return problem != NULL ? problem : audit_reply(c, limit, before);
}
