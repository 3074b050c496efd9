/* The audit log, written in the transaction of what it tells of, and when a key was last used. */
#include "store/db.h"

#include <string.h>

#include "base/bytes.h"
#include "base/date.h"
#include "domain/key.h"
#include "domain/store.h"
#include "domain/user.h"

/* ---- Writing ---- */

/* As much of a text as fits where it is read back; no character is cut in two. */
static parameter cut(const char *text, size_t max) {
  size_t len = strnlen(text, max + 1);
  if (len > max) {
    len = max;
    while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80) {
      len--;
    }
  }
  return st_sqlite_view((subtoken_text){text, len});
}

#define FITTING(text, member) cut(text, sizeof((st_audit_line *)0)->member - 1)

st_stored st_sqlite_audit(st_store *store, const change *what, const char *action,
                          const char *target, const char *detail) {
  return st_sqlite_do_one(store, AUDIT_INSERT,
                          VALUES(st_sqlite_number(what->now), FITTING(what->act->who, who),
                                 FITTING(what->act->from, from), FITTING(action, action),
                                 FITTING(target, target), FITTING(detail, detail)));
}

void st_sqlite_detail(st_writer *writer, const char *label, const char *text) {
  if (writer->len > 0) {
    st_write_literal(writer, "; ");
  }
  st_write_truncated(writer, label);
  st_write_truncated(writer, text);
}

void st_sqlite_detail_permissions(st_writer *writer, const char *permissions) {
  bool none = permissions[0] == '\0';
  st_sqlite_detail(writer, none ? "no permissions" : "permissions ", permissions);
}

void st_sqlite_detail_expiry(st_writer *writer, int64_t expires_at) {
  if (expires_at == ST_NEVER) {
    st_sqlite_detail(writer, "expires never", "");
    return;
  }
  st_sqlite_detail(writer, "expires ", "");
  st_date_write(writer, expires_at, false);
}

static void detail_count(st_writer *writer, const char *label, int64_t count) {
  if (count > 0) {
    st_sqlite_detail(writer, label, "");
    st_write_int(writer, count);
  }
}

void st_sqlite_detail_ended(st_writer *writer, const counted *ended) {
  detail_count(writer, "keys ended: ", ended->keys);
  detail_count(writer, "sessions ended: ", ended->logins);
}

/* Names come last: whoever chose one could make it look like what follows. */
st_stored st_sqlite_audit_row(st_store *store, const change *what, const char *action,
                              const st_key *row, const counted *ended, const st_made *made) {
  char detail[DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  if (ended != NULL) {
    st_sqlite_detail_ended(&writer, ended);
  }
  if (made != NULL) {
    st_sqlite_detail_made(&writer, made);
  }
  st_sqlite_detail_permissions(&writer, row->permissions);
  st_sqlite_detail_expiry(&writer, row->expires_at);
  if (row->owner[0] != '\0') {
    st_sqlite_detail(&writer, "owner ", row->owner);
  }
  if (row->name[0] != '\0') {
    st_sqlite_detail(&writer, "name ", row->name);
  }
  return st_writer_end(&writer) ? st_sqlite_audit(store, what, action, row->id, detail)
                                : ST_STORE_FAILED;
}

/* What happened elsewhere. */
typedef struct event {
  const char *action, *target, *detail;
} event;

static st_stored make_line(st_store *store, const change *what) {
  const event *e = what->of;
  return st_sqlite_audit(store, what, e->action, e->target, e->detail);
}

st_stored st_store_audit_add(st_store *store, const st_audit_context *act, const char *action,
                             const char *target, const char *detail, char *error) {
  change what = st_sqlite_change_at(act, NULL, NULL);
  what.of = &(event){action, target, detail};
  return st_sqlite_apply(store, make_line, &what, error);
}

/* ---- Reading ---- */

/* ---- Last use ---- */

typedef struct uses {
  const st_use *uses;
  size_t count;
} uses;

static st_stored make_used(st_store *store, const change *what) {
  const uses *all = what->of;
  st_stored stored = ST_STORED;
  for (size_t i = 0; i < all->count && stored == ST_STORED; i++) {
    stored = st_sqlite_do(
        store, USE, VALUES(st_sqlite_text(all->uses[i].id), st_sqlite_number(all->uses[i].at)));
  }
  return stored;
}

st_stored st_store_note_used(st_store *store, const st_use *used, size_t count, char *error) {
  change what = {.of = &(uses){used, count}};
  return st_sqlite_apply(store, make_used, &what, error);
}
