/* Reads the audit log in pages. It is written in audit.c. */
#include <string.h>

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

st_store_status st_store_audit_list_after(st_store *store, int64_t after, size_t limit,
                                          st_audit_line *lines, size_t *count, char *error) {
  st_query_page page = {lines, sizeof *lines, limit, count, take_line};
  return st_query_list(store, ST_SQL_AUDIT_AFTER,
                       ST_VALUES(st_db_number(after), st_db_number((int64_t)limit)), &page, error);
}
