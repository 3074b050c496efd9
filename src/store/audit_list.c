/* Reads the audit log in pages: all of it, or what is looked for. It is written in audit.c.
 *
 * What is looked for is read by the index that leads to the fewest lines, in the order of times
 * and, within a second, of ids; what that index does not know is compared here. A page looks at a
 * bounded number of lines and says which was the last.
 */
#include <string.h>

#include "base/bytes.h"
#include "domain/store_search.h"
#include "store/query.h"

static bool take_line(const st_row *row, void *item) {
  st_audit_line *line = item;
  memset(line, 0, sizeof *line);
  line->id = st_row_number(row, ST_COL_LINE_ID);
  return st_row_time(row, ST_COL_LINE_AT, &line->at) &&
         st_row_text(row, ST_COL_LINE_ACTION, line->action, sizeof line->action) &&
         st_row_text(row, ST_COL_LINE_WHO, line->who, sizeof line->who) &&
         st_row_text(row, ST_COL_LINE_FROM, line->from, sizeof line->from) &&
         st_row_text(row, ST_COL_LINE_TARGET, line->target, sizeof line->target) &&
         st_row_text(row, ST_COL_LINE_DETAIL, line->detail, sizeof line->detail);
}

st_store_status st_store_audit_list(st_store *store, int64_t before, size_t limit,
                                    st_audit_line *lines, size_t *count, char *error) {
  st_query_page page = {lines, sizeof *lines, limit, count, take_line};
  return st_query_list(
      store, ST_SQL_AUDIT_LIST,
      ST_VALUES(st_db_number(before == 0 ? INT64_MAX : before), st_db_number((int64_t)limit)),
      &page, error);
}

/* The last line, and which transactions may still be under way: none when both numbers are alike.
 */
typedef struct audit_bound {
  int64_t last, first_running, next;
} audit_bound;

static bool take_bound(const st_row *row, void *item) {
  audit_bound *bound = item;
  bound->last = st_row_number(row, 0);
  bound->first_running = st_row_number(row, 1);
  bound->next = st_row_number(row, 2);
  return true;
}

/* Whoever is under way when a line is seen may have taken a smaller id before it; whoever begins
 * later takes a larger one. */
static void settle(st_audit_place *place, const audit_bound *bound) {
  if (place->unsettled != 0 && bound->first_running >= place->unsettled) {
    place->settled = place->seen;
    place->unsettled = 0;
  }
  if (bound->first_running == bound->next) {
    place->settled = bound->last;
    place->unsettled = 0;
  } else if (place->unsettled == 0 && bound->last > place->settled) {
    place->seen = bound->last;
    place->unsettled = bound->next;
  }
}

st_store_status st_store_audit_follow(st_store *store, st_audit_place *place, size_t limit,
                                      st_audit_line *lines, size_t *count, char *error) {
  audit_bound bound;
  st_query_page page = {lines, sizeof *lines, limit, count, take_line};
  *count = 0;
  st_store_status status = st_query_one(store, ST_SQL_AUDIT_BOUND, ST_NO_VALUES, &bound,
                                        sizeof bound, take_bound, error);
  if (status != ST_STORE_OK) return status;
  settle(place, &bound);
  status = st_query_list(store, ST_SQL_AUDIT_AFTER,
                         ST_VALUES(st_db_number(place->last), st_db_number((int64_t)limit),
                                   st_db_number(place->settled)),
                         &page, error);
  if (status == ST_STORE_OK && *count > 0) place->last = lines[*count - 1].id;
  return status;
}

/* ---- what is looked for ---- */

/* Lines that a database is asked for at a time: more where there is little to find. */
#define SEARCH_STEP_FIRST 32
#define SEARCH_STEP_MAX 500

typedef struct audit_search {
  const st_audit_filter *filter;
  st_audit_line *lines;
  st_search_page *page;
  size_t looked_at, most; /* lines */
} audit_search;

static bool action_fits(const char *action, const char *wanted) {
  size_t len = strlen(wanted);
  bool beginning = len > 0 && wanted[len - 1] == '.';
  return beginning ? strncmp(action, wanted, len) == 0 : strcmp(action, wanted) == 0;
}

static bool line_fits(const st_audit_line *line, const st_audit_filter *filter) {
  return (filter->who == NULL || strcmp(line->who, filter->who) == 0) &&
         (filter->target == NULL || strcmp(line->target, filter->target) == 0) &&
         (filter->action == NULL || action_fits(line->action, filter->action));
}

static st_query_go visit_line(const st_row *row, void *context) {
  audit_search *s = context;
  st_search_page *page = s->page;
  st_audit_line line;
  if (!take_line(row, &line)) return ST_QUERY_DAMAGED;
  bool fits = line_fits(&line, s->filter);
  if (fits && page->count == page->limit) { /* there is one more than the page has room for */
    page->more = true;
    return ST_QUERY_STOP;
  }
  s->looked_at++;
  page->last_line = line.id;
  if (fits) s->lines[page->count++] = line;
  return ST_QUERY_GO_ON;
}

/* The index that is read, and what it is read for. */
static st_sql find_index(const st_audit_filter *filter, const char **key) {
  size_t len = filter->action != NULL ? strlen(filter->action) : 0;
  bool exact = len > 0 && filter->action[len - 1] != '.';
  *key = filter->target != NULL ? filter->target : filter->who != NULL ? filter->who : NULL;
  if (filter->target != NULL) return ST_SQL_AUDIT_SCAN_TARGET;
  if (filter->who != NULL) return ST_SQL_AUDIT_SCAN_WHO;
  if (exact) *key = filter->action;
  return exact ? ST_SQL_AUDIT_SCAN_ACTION : ST_SQL_AUDIT_SCAN;
}

/* Does the index lead to what is looked for alone? */
static bool index_is_exact(const st_audit_filter *filter, st_sql which) {
  return (filter->target == NULL || which == ST_SQL_AUDIT_SCAN_TARGET) &&
         (filter->who == NULL || which == ST_SQL_AUDIT_SCAN_WHO) &&
         (filter->action == NULL || which == ST_SQL_AUDIT_SCAN_ACTION);
}

static st_query_go visit_time(const st_row *row, void *at) {
  *(int64_t *)at = st_row_number(row, 0);
  return ST_QUERY_STOP;
}

/* Lines before this time, or of it and with a lower id. Of a line that is no longer there the one
 * before it tells the time: only the oldest go. */
static st_store_status find_place(st_db *db, const st_audit_filter *filter, int64_t before,
                                  int64_t *at, int64_t *id, char *error) {
  int64_t until = filter->until > 0 ? filter->until : INT64_MAX;
  *at = until;
  *id = 0;
  if (before == 0) return ST_STORE_OK;
  int64_t time = -1;
  st_store_status status = st_query_visit(db, ST_SQL_AUDIT_PLACE, ST_VALUES(st_db_number(before)),
                                          visit_time, &time, error);
  if (time < until) {
    *at = time;
    *id = before;
  }
  return status;
}

static st_store_status search_lines(st_db *db, audit_search *s, int64_t before, char *error) {
  const char *key;
  int64_t at = 0, id = 0;
  st_sql which = find_index(s->filter, &key);
  if (s->page->step == 0) s->page->step = SEARCH_STEP_FIRST;
  s->most = s->page->rows < s->page->step ? s->page->rows : s->page->step;
  if (index_is_exact(s->filter, which) && s->page->limit < s->most) s->most = s->page->limit + 1;
  st_store_status status = find_place(db, s->filter, before, &at, &id, error);
  if (status != ST_STORE_OK) return status;
  const st_value values[] = {st_db_number(at),
                             st_db_number(id),
                             st_db_number(s->filter->since),
                             st_db_number((int64_t)s->most),
                             key != NULL ? st_db_text(key) : (st_value){0},
                             {0}};
  return st_query_visit(db, which, values, visit_line, s, error);
}

st_store_status st_store_audit_search(st_store *store, const st_audit_filter *filter,
                                      int64_t before, st_audit_line *lines, st_search_page *page,
                                      char *error) {
  audit_search s = {.filter = filter, .lines = lines, .page = page};
  page->count = 0;
  page->more = false;
  page->last_line = before;
  st_db *db = store->driver->acquire_query_db(store, error);
  if (db == NULL) return ST_STORE_FAILED;
  st_store_status status = search_lines(db, &s, before, error);
  store->driver->release_query_db(db);
  if (status != ST_STORE_OK) {
    page->count = 0;
    return status;
  }
  if (!page->more) page->step = page->step * 2 < SEARCH_STEP_MAX ? page->step * 2 : SEARCH_STEP_MAX;
  page->more = page->more || s.looked_at == s.most;
  page->rows -= s.looked_at;
  return ST_STORE_OK;
}
