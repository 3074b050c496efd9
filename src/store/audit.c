/* Writes the audit log, and shortens it. The line of a change is written in the transaction of the
 * change: there is no change without its line, and no line without its change. It is read in
 * audit_list.c.
 */
#include "store/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "store/settings.h"

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

/* ---- shortened ----
 *
 * The clock that wrote a line, or the one that asks, may be wrong, and what is removed does not
 * come back. So a line has to be old by the uptime of servers, too, which never runs ahead
 * (purge.c). For that the last line is marked once in an hour of it, in a setting that is named
 * after the uptime: what a mark has is as old as the mark, or older.
 */

#define CUT_LINES 1000 /* so that nobody waits long */
#define MARK_EVERY 3600
#define MARK_ROOM 32
#define CUT_SO_FAR "audit_cut" /* lines removed for which there is no line in the log yet */

/* As long as any, so that marks are in order. */
static const char *name_mark(char name[MARK_ROOM], int64_t uptime) {
  snprintf(name, MARK_ROOM, "audit_mark:%015lld", (long long)uptime);
  return name;
}

st_store_status st_audit_mark(st_db *db, int64_t before, int64_t uptime) {
  char name[MARK_ROOM];
  if (before / MARK_EVERY == uptime / MARK_EVERY) return ST_STORE_OK;
  return st_db_run(db, ST_SQL_AUDIT_MARK, ST_VALUES(st_db_text(name_mark(name, uptime))));
}

/* Up to which line all are older than `keep` by uptime; marks that are no longer needed go. */
static st_store_status find_last_old(st_db *db, int64_t keep, int64_t *last) {
  char name[MARK_ROOM];
  int64_t uptime = 0;
  *last = 0;
  if (st_settings_read(db, ST_SETTING_UPTIME, 0, &uptime) != ST_STORE_OK) return ST_STORE_FAILED;
  if (uptime < keep) return ST_STORE_OK;
  st_value mark = st_db_text(name_mark(name, uptime - keep));
  bool ok = st_db_query_number(db, ST_SQL_AUDIT_MARKED, ST_VALUES(mark), last) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_AUDIT_UNMARK, ST_VALUES(mark, st_db_number(*last))) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status tell_cut(st_db *db, const st_change *change, const st_audit_cut *cut) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_audit_cut_write(&writer, cut);
  return st_audit_write_detail(db, change, "audit.cut", "", &writer);
}

/* The last line stays, so that its id does not come again. Lines that tell of cuts go with others,
 * and alone are no reason for a cut, which would make another one. The step that finds no more has
 * the line of the whole cut, also of steps before a stop.
 */
static st_store_status make_cut(st_db *db, const st_change *change) {
  st_audit_cut *cut = change->data;
  int64_t last = 0, before = 0;
  if (find_last_old(db, cut->keep, &last) != ST_STORE_OK ||
      st_settings_read(db, CUT_SO_FAR, 0, &before) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  cut->before = change->now - cut->keep;
  cut->removed = before;
  cut->more = false;
  st_value time = st_db_number(cut->before), id = st_db_number(last);
  st_store_status status =
      before > 0 ? ST_STORE_OK : st_db_exists(db, ST_SQL_AUDIT_IS_OLD, ST_VALUES(time, id));
  if (status != ST_STORE_OK) return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : status;
  int64_t step = 0;
  status =
      st_db_run_counted(db, ST_SQL_AUDIT_CUT, ST_VALUES(time, id, st_db_number(CUT_LINES)), &step);
  if (status != ST_STORE_OK) return status;
  cut->removed = before + step;
  cut->more = step == CUT_LINES;
  if (cut->more) return st_settings_write(db, CUT_SO_FAR, cut->removed);
  status = before > 0 ? st_settings_write(db, CUT_SO_FAR, 0) : ST_STORE_OK;
  return status == ST_STORE_OK ? tell_cut(db, change, cut) : status;
}

void st_audit_cut_write(st_writer *writer, const st_audit_cut *cut) {
  st_write_int(writer, cut->removed);
  st_write_literal(writer, " lines from before ");
  st_date_write(writer, cut->before, false);
}

st_store_status st_store_audit_cut(st_store *store, const st_audit_context *context,
                                   st_audit_cut *cut, char *error) {
  st_change change = st_transaction_change(context, NULL, NULL);
  change.data = cut;
  change.ordered = true;
  st_store_status status = st_transaction_run(store, make_cut, &change, error);
  if (status != ST_STORE_OK) {
    cut->removed = 0;
    cut->more = false;
  }
  return status;
}
