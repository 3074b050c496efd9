/* The route /v2/audit: what was changed, by whom, newest first, for who has the permission `audit`;
 * all of it, or what is looked for by who, what, whom and when. One page looks at a bounded number
 * of lines and says where to go on. The lines are written by the store, in the transaction of the
 * change.
 */
#include "base/date.h"
#include "base/json.h"
#include "domain/store_search.h"
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
  int64_t looked_at;    /* the last line that was looked at, of a search */
  bool full;            /* the body is: the page ends early */
} audit_page;

/* The line whole, or not at all. */
static void audit_add(audit_page *page, const st_audit_line *line) {
  size_t mark = page->writer.len;
  if (page->writer.out[mark - 1] == '}') st_write_char(&page->writer, ',');
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

/* What is asked for. */
typedef struct audit_wanted {
  int64_t limit, before;
  char who[sizeof((st_audit_line *)0)->who], target[ST_NAME_MAX + 1];
  char action[sizeof((st_audit_line *)0)->action];
  st_audit_filter filter;
  bool filtered;
} audit_wanted;

/* The lines after the last one; found->more: the log may go on behind them. */
static st_store_status audit_ask(const st_users *users, const audit_wanted *wanted,
                                 audit_page *page, st_search_page *found, st_audit_line *lines) {
  found->limit = page->left < LINES ? (size_t)page->left : LINES;
  if (wanted->filtered) {
    st_store_status status =
        users->search_audit(users->context, &wanted->filter, page->before, lines, found);
    page->looked_at = found->last_line;
    return status;
  }
  st_store_status status =
      users->list_audit(users->context, page->before, found->limit, lines, &found->count);
  found->more = found->count == found->limit;
  return status;
}

/* *more: the page ends before the log does, as far as is known. */
static st_store_status audit_fill(const st_users *users, const audit_wanted *wanted,
                                  audit_page *page, bool *more) {
  st_audit_line lines[LINES];
  /* A line is longer than what is looked at of a key. */
  st_search_page found = {.rows = ST_SEARCH_ROWS / 2};
  do {
    st_store_status status = audit_ask(users, wanted, page, &found, lines);
    if (status != ST_STORE_OK) return status;
    for (size_t i = 0; i < found.count && !page->full; i++) audit_add(page, &lines[i]);
    if (!page->full && page->looked_at > 0) page->before = page->looked_at;
  } while (found.more && found.rows > 0 && page->left > 0 && !page->full);
  *more = found.more || page->full;
  return ST_STORE_OK;
}

static const st_problem *audit_reply(st_context *c, const audit_wanted *wanted) {
  static const st_problem failed = {.status = 503,
                                    .event = "store_error",
                                    .text = "the audit log cannot be read; try again later",
                                    .retry_after = 5};
  st_reply *reply = c->reply;
  bool more = false;
  audit_page page = {.writer = st_writer_on(reply->body, sizeof reply->body - TAIL),
                     .before = wanted->before,
                     .left = wanted->limit};
  st_write_literal(&page.writer, "{\"entries\":[");
  if (audit_fill(c->service->users, wanted, &page, &more) != ST_STORE_OK) return &failed;
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

/* A date or time, or so long ago: 24h. What was before 1970 is earlier than any line: it becomes
 * earliest. */
static const st_problem *audit_read_time(st_context *c, const char *name, int64_t earliest,
                                         int64_t *at) {
  char text[48];
  int64_t span = 0;
  const st_problem *problem = st_request_query_text(c, name, text, sizeof text);
  size_t len = problem == NULL ? strlen(text) : 0;
  if (len == 0) return problem;
  bool unit = strchr("smhd", text[len - 1]) != NULL;
  if (unit && st_date_read_duration(st_text(text), &span)) {
    *at = c->request->now - span;
  } else if (!st_date_read_day(st_text(text), at)) {
    return st_problem_parameter(
        &c->problem, name,
        "must be a date, a date and time such as 2027-11-22T00:41:48Z, or a span until now such "
        "as 24h");
  }
  if (*at < earliest) *at = earliest;
  return NULL;
}

static const st_problem *audit_read_wanted(st_context *c, audit_wanted *w) {
  st_audit_filter *filter = &w->filter;
  w->limit = 50;
  w->before = 0;
  w->filter = (st_audit_filter){.since = 0};
  const st_problem *problem = st_request_query_number(c, "limit", 100, &w->limit);
  if (problem == NULL) {
    problem = st_request_query_number(c, "before", SUBTOKEN_TIME_MAX, &w->before);
  }
  if (problem == NULL) problem = st_request_query_text(c, "who", w->who, sizeof w->who);
  if (problem == NULL) problem = st_request_query_text(c, "action", w->action, sizeof w->action);
  if (problem == NULL) problem = st_request_query_text(c, "target", w->target, sizeof w->target);
  if (problem == NULL) problem = audit_read_time(c, "since", 0, &filter->since); /* any */
  if (problem == NULL) problem = audit_read_time(c, "until", 1, &filter->until); /* none */
  if (problem != NULL) return problem;
  if (w->who[0] != '\0') filter->who = w->who;
  if (w->action[0] != '\0') filter->action = w->action;
  if (w->target[0] != '\0') filter->target = w->target;
  w->filtered = filter->who != NULL || filter->action != NULL || filter->target != NULL ||
                filter->since > 0 || filter->until > 0;
  return NULL;
}

const st_problem *st_audit_log_answer(st_context *c) {
  st_identity identity;
  audit_wanted wanted;
  const st_problem *problem = st_access_manager(c, &identity);
  if (problem == NULL) problem = st_access_requires(c, &identity, "audit");
  if (problem == NULL) problem = audit_read_wanted(c, &wanted);
  return problem != NULL ? problem : audit_reply(c, &wanted);
}
