/* What was made with a key or by a user, for others, does not end with them. A change that takes a
 * permission away, disables or deletes therefore reports what of it is still valid, or ends it too.
 *
 * It is found before the change, by made_by and over any number of steps. What is still valid after
 * the change is counted and listed, or ended (row_set.c).
 */
#include "store/derived.h"

#include <string.h>

#include "store/remaining.h"

/* Unless the caller asked to end it, at most so many rows are looked at. */
#define LOOKED_AT_MOST 10000

static bool ends(const st_change *change) {
  return change->context->made != NULL && change->context->made->end;
}

st_store_status st_derived_find(st_db *db, const st_change *change, const st_key *row,
                                const char *held, st_derived *made) {
  const char *username = row->kind == ST_KIND_USER ? row->owner : NULL;
  *made = (st_derived){.end = ends(change)};
  st_value most = st_db_number(made->end ? INT64_MAX : LOOKED_AT_MOST);
  st_value owner = st_db_text(username), kept = st_db_text(held);
  bool ok = st_db_run(db, ST_SQL_DERIVED_CLEAR, ST_NO_VALUES) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_DERIVED_ADD_BASE, ST_VALUES(st_db_text(row->id), owner, most)) ==
                ST_STORE_OK &&
            (username == NULL ? st_db_run(db, ST_SQL_DERIVED_ADD_DIRECT, ST_VALUES(kept, most))
                              : st_db_run(db, ST_SQL_DERIVED_ADD_DIRECT_OF_USER,
                                          ST_VALUES(kept, most, owner))) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_DERIVED_ADD_REST, ST_VALUES(most, owner)) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status count_made(st_db *db, const st_change *change, st_derived *made) {
  st_row row;
  st_store_status status =
      st_db_query(db, ST_SQL_DERIVED_COUNT, ST_VALUES(st_db_number(change->now)), &row);
  if (status == ST_STORE_OK) {
    made->keys = st_row_number(&row, 0);
    made->users = st_row_number(&row, 1);
    made->more = !made->end && st_row_number(&row, 2) >= LOOKED_AT_MOST;
  }
  st_row_finish(&row);
  return status;
}

/* The first ones; the others are only counted. */
static st_store_status list_made(st_db *db, const st_change *change, st_derived *made) {
  st_row row;
  st_store_status status =
      st_db_query(db, ST_SQL_DERIVED_LIST,
                  ST_VALUES(st_db_number(change->now), st_db_number(ST_DERIVED_LISTED)), &row);
  while (status == ST_STORE_OK) {
    st_derived_item *item = &made->items[made->count++];
    item->user = st_row_number(&row, 0) == ST_KIND_USER;
    if (!st_row_text(&row, 1, item->name, sizeof item->name)) {
      status = ST_STORE_FAILED;
    } else {
      status = made->count < ST_DERIVED_LISTED ? st_row_next(&row) : ST_STORE_NOT_FOUND;
    }
  }
  st_row_finish(&row);
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : status;
}

/* Users end with their keys, which were found too, and with their sessions. */
static st_store_status end_made(st_db *db, const st_change *change, const char *because) {
  st_ended ended;
  bool ok = st_remaining_settle_derived(db) == ST_STORE_OK && st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_DERIVED, ST_NO_VALUES) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_AUDIT_USERS,
                      ST_VALUES(st_db_number(change->now), st_db_text(change->context->who),
                                st_db_text(change->context->from), st_db_text("user.delete"),
                                st_db_text(because))) == ST_STORE_OK &&
            st_row_set_end(db, change, because, &ended) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_DELETE_USERS, ST_NO_VALUES) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_derived_settle(st_db *db, const st_change *change, const char *kind,
                                  const char *name, st_derived *made) {
  char because[ST_NAME_MAX + 64];
  st_writer writer = st_writer_on(because, sizeof because);
  st_write_literal(&writer, "made with ");
  st_write_truncated(&writer, kind);
  st_write_char(&writer, ' ');
  st_write_truncated(&writer, name);
  bool ok = st_writer_end(&writer) && count_made(db, change, made) == ST_STORE_OK &&
            list_made(db, change, made) == ST_STORE_OK &&
            (!made->end || end_made(db, change, because) == ST_STORE_OK);
  if (ok && change->context->made != NULL) *change->context->made = *made;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}
