/* What was made with a key or by a user, for others: it does not end with them, so a change that
 * takes a permission away, disables or deletes says what of it is still valid, or ends it too.
 *
 * It is found before the change, by made_by and over any number of steps, into temp.made; what is
 * still valid after the change is counted and listed, or chosen and ended (sqlite_rows.c).
 */
#include "store/db.h"

#include "base/bytes.h"
#include "base/json.h"
#include "domain/key.h"
#include "domain/store.h"

/* Without an end that is asked for, what is found is only told: so many rows are looked at. */
#define LOOKED_AT_MOST 10000

/* The SQL function permissions_within(inner, outer): is each of the first in the second? */
static void is_within(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const char *inner = (const char *)sqlite3_value_text(values[0]);
  const char *outer = (const char *)sqlite3_value_text(values[1]);
  bool within = inner != NULL && outer != NULL;
  if (within) {
    st_cutter cutter = {st_text(inner), inner[0] == '\0'};
    subtoken_text each;
    while (within && st_cut(&cutter, ',', &each)) {
      within = st_sqlite_permits(outer, each);
    }
  }
  sqlite3_result_int(context, within);
}

bool st_sqlite_add_within(sqlite3 *db) {
  return sqlite3_create_function_v2(db, "permissions_within", 2,
                                    SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                    is_within, NULL, NULL, NULL) == SQLITE_OK;
}

static bool ends(const change *what) {
  return what->act->made != NULL && what->act->made->end;
}

st_stored st_sqlite_find_made(st_store *store, const change *what, const st_key *row,
                              const char *held, st_made *made) {
  const char *login = row->kind == ST_KIND_USER ? row->owner : NULL;
  *made = (st_made){.end = ends(what)};
  parameter most = st_sqlite_number(made->end ? -1 : LOOKED_AT_MOST);
  bool ok = st_sqlite_do(store, MADE_NONE, NO_VALUES) == ST_STORED &&
            st_sqlite_do(store, MADE_BASE,
                         VALUES(st_sqlite_text(row->id), st_sqlite_text(login))) == ST_STORED &&
            st_sqlite_do(store, MADE_DIRECT, VALUES(st_sqlite_text(held), most)) == ST_STORED &&
            st_sqlite_do(store, MADE_REST, VALUES(most)) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored count_made(st_store *store, const change *what, st_made *made) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, MADE_COUNT, VALUES(st_sqlite_number(what->now)), &row);
  if (stored == ST_STORED) {
    made->keys = sqlite3_column_int64(row, 0);
    made->users = sqlite3_column_int64(row, 1);
    made->more = !made->end && sqlite3_column_int64(row, 2) >= LOOKED_AT_MOST;
  }
  st_sqlite_finish(row);
  return stored;
}

/* The first of them; the others are only counted. */
static st_stored list_made(st_store *store, const change *what, st_made *made) {
  sqlite3_stmt *rows = NULL;
  st_stored stored =
      st_sqlite_ask(store, MADE_LIST,
                    VALUES(st_sqlite_number(what->now), st_sqlite_number(ST_MADE_LISTED)), &rows);
  while (stored == ST_STORED) {
    st_made_item *item = &made->items[made->count++];
    item->user = sqlite3_column_int64(rows, 0) == ST_KIND_USER;
    if (!st_sqlite_take_text(rows, 1, item->name, sizeof item->name)) {
      stored = ST_STORE_FAILED;
      break;
    }
    int code = made->count < ST_MADE_LISTED ? sqlite3_step(rows) : SQLITE_DONE;
    stored = code == SQLITE_ROW ? ST_STORED : code == SQLITE_DONE ? ST_STORE_NONE : ST_STORE_FAILED;
  }
  st_sqlite_finish(rows);
  return stored == ST_STORE_FAILED ? ST_STORE_FAILED : ST_STORED;
}

/* Users end with their keys, which have been found, too, and their logins. */
static st_stored end_made(st_store *store, const change *what, const char *because) {
  counted ended;
  parameter now = st_sqlite_number(what->now);
  bool ok =
      st_sqlite_choose_none(store) == ST_STORED &&
      st_sqlite_do(store, CHOOSE_MADE, NO_VALUES) == ST_STORED &&
      st_sqlite_do(store, AUDIT_USERS,
                   VALUES(now, st_sqlite_text(what->act->who), st_sqlite_text(what->act->from),
                          st_sqlite_text(because))) == ST_STORED &&
      st_sqlite_end_chosen(store, what, because, &ended) == ST_STORED &&
      st_sqlite_do(store, DELETE_USERS, NO_VALUES) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_sqlite_settle_made(st_store *store, const change *what, const char *by,
                                st_made *made) {
  char because[ST_NAME_MAX + 64];
  st_writer writer = st_writer_on(because, sizeof because);
  st_write_literal(&writer, "made with ");
  st_write_truncated(&writer, by);
  bool ok = st_writer_end(&writer) && count_made(store, what, made) == ST_STORED &&
            list_made(store, what, made) == ST_STORED &&
            (!made->end || end_made(store, what, because) == ST_STORED);
  if (ok && what->act->made != NULL) {
    *what->act->made = *made;
  }
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static void write_count(st_writer *writer, int64_t count, const char *one, const char *many) {
  st_write_int(writer, count);
  st_write_truncated(writer, count == 1 ? one : many);
}

/* Logins are quoted: who chose one could make it look like what follows. */
void st_sqlite_detail_made(st_writer *writer, const st_made *made) {
  if (made->keys + made->users == 0) {
    return;
  }
  st_sqlite_detail(writer,
                   made->end ? "made with it, ended too: " : "made with it, still valid: ", "");
  write_count(writer, made->keys, " key, ", " keys, ");
  write_count(writer, made->users, " user:", " users:");
  for (size_t i = 0; i < made->count; i++) {
    st_write_literal(writer, i > 0 ? ", " : " ");
    if (made->items[i].user) {
      st_json_write_string(writer, st_text(made->items[i].name));
    } else {
      st_write_truncated(writer, made->items[i].name);
    }
  }
  if (made->more || (int64_t)made->count < made->keys + made->users) {
    st_write_literal(writer, ", ...");
  }
}
