/* Reads the audit log, newest first, page by page. It is written in store/audit.c. */
#include "store/db.h"

#include <string.h>

#include "domain/store.h"
#include "domain/user.h"

enum { LINE_ID, LINE_AT, LINE_ACTION, LINE_WHO, LINE_FROM, LINE_TARGET, LINE_DETAIL };

static bool take_line(sqlite3_stmt *row, void *item) {
  st_audit_line *line = item;
  memset(line, 0, sizeof *line);
  line->id = sqlite3_column_int64(row, LINE_ID);
  return st_sqlite_take_time(row, LINE_AT, &line->at) &&
         st_sqlite_take_text(row, LINE_ACTION, line->action, sizeof line->action) &&
         st_sqlite_take_text(row, LINE_WHO, line->who, sizeof line->who) &&
         st_sqlite_take_text(row, LINE_FROM, line->from, sizeof line->from) &&
         st_sqlite_take_text(row, LINE_TARGET, line->target, sizeof line->target) &&
         st_sqlite_take_text(row, LINE_DETAIL, line->detail, sizeof line->detail);
}

st_stored st_store_audit_list(st_store *store, int64_t before, size_t limit, st_audit_line *lines,
                              size_t *count, char *error) {
  rows_into into = {lines, sizeof *lines, limit, count, take_line};
  parameter from = st_sqlite_number(before == 0 ? INT64_MAX : before);
  return st_sqlite_page(store, AUDIT_LIST, VALUES(from, st_sqlite_number((int64_t)limit)), &into,
                        error);
}
