/* Writes the audit log, and shortens it. The line of a change is written in the transaction of the
 * change: there is no change without its line, and no line without its change. It is read in
 * audit_list.c.
 */
#include "store/audit.h"

#include <string.h>

/* As much of a text as a line has room for. No character is cut in two. */
static st_value cut(const char *text, size_t max) {
  size_t len = strnlen(text, max + 1);
  if (len > max) {
    len = max;
    while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80) len--;
  }
  return st_db_view((subtoken_text){text, len});
}

#define FITTING(text, member) cut(text, sizeof((st_audit_line *)0)->member - 1)

st_store_status st_audit_write(st_db *db, const st_change *change, const char *action,
                               const char *target, const char *detail) {
  return st_db_run_one(db, ST_SQL_AUDIT_INSERT,
                       ST_VALUES(st_db_number(change->now), FITTING(change->context->who, who),
                                 FITTING(change->context->from, from), FITTING(action, action),
                                 FITTING(target, target), FITTING(detail, detail)));
}

st_store_status st_audit_write_detail(st_db *db, const st_change *change, const char *action,
                                      const char *target, st_writer *detail) {
  return st_writer_end(detail) ? st_audit_write(db, change, action, target, detail->out)
                               : ST_STORE_FAILED;
}

/* Names come last: a name could be chosen to look like what follows. */
st_store_status st_audit_write_row(st_db *db, const st_change *change, const char *action,
                                   const st_key *row, const st_ended *ended,
                                   const st_derived *made) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  if (ended != NULL) st_audit_detail_ended(&writer, ended);
  if (made != NULL) st_audit_detail_made(&writer, made);
  st_audit_detail_permissions(&writer, row->permissions);
  st_audit_detail_expiry(&writer, row->expires_at);
  if (row->owner[0] != '\0') st_audit_detail(&writer, "owner ", row->owner);
  if (row->name[0] != '\0') st_audit_detail(&writer, "name ", row->name);
  return st_audit_write_detail(db, change, action, row->id, &writer);
}

/* ---- what happened elsewhere ---- */

typedef struct event {
  const char *action, *target, *detail;
} event;

static st_store_status make_line(st_db *db, const st_change *change) {
  const event *e = change->data;
  return st_audit_write(db, change, e->action, e->target, e->detail);
}

st_store_status st_store_audit_add(st_store *store, const st_audit_context *context,
                                   const char *action, const char *target, const char *detail,
                                   char *error) {
  st_change change = st_transaction_change(context, NULL, NULL);
  change.data = &(event){action, target, detail};
  change.ordered = true; /* of two lines at once the one with the lower id is there first */
  return st_transaction_run(store, make_line, &change, error);
}

/* ---- shortened ---- */

#define CUT_LINES 1000 /* so that nobody waits long */

typedef struct cut_lines {
  int64_t before, removed;
} cut_lines;

/* The last line stays, so that its id does not come again. */
static st_store_status make_cut(st_db *db, const st_change *change) {
  cut_lines *c = change->data;
  return st_db_run_counted(db, ST_SQL_AUDIT_CUT,
                           ST_VALUES(st_db_number(c->before), st_db_number(CUT_LINES)),
                           &c->removed);
}

st_store_status st_store_audit_cut(st_store *store, int64_t before, int64_t *removed, char *error) {
  cut_lines c = {.before = before};
  st_change change = {.data = &c, .ordered = true};
  st_store_status status = st_transaction_run(store, make_cut, &change, error);
  *removed = status == ST_STORE_OK ? c.removed : 0;
  return status;
}
