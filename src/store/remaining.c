/* Writes down what a change of many rows leaves to later steps, and does these steps. Whose turn it
 * is to write, and who goes on with it when, is in remaining_run.c; that everybody sees the rows as
 * they will be is in the statements of each database (ENDED, SUSPENDED, NOT_REACHED).
 */
#include "store/remaining.h"

#include <stdio.h>
#include <string.h>

#define LOOKED_AT_MOST 4096 /* rows in a step, when few of them are changed */

/* ---- what is written down ---- */

typedef struct remaining_row {
  char owner[ST_NAME_MAX + 1];
  char what[16];
  int64_t sequence, at;
  char who[ST_NAME_MAX + 16], from[64];
  char because[ST_NAME_MAX + 64];
  bool has_lines; /* because is not NULL */
  bool keys_reached;
  char after[ST_KEY_ID_LEN + 1];
} remaining_row;

static bool take_row(const st_row *row, remaining_row *r) {
  memset(r, 0, sizeof *r);
  r->sequence = st_row_number(row, ST_COL_REMAINING_SEQUENCE);
  r->has_lines = !st_row_is_null(row, ST_COL_REMAINING_BECAUSE);
  r->keys_reached = st_row_number(row, ST_COL_REMAINING_KEYS_REACHED) != 0;
  return r->sequence > 0 && st_row_time(row, ST_COL_REMAINING_AT, &r->at) &&
         st_row_text(row, ST_COL_REMAINING_OWNER, r->owner, sizeof r->owner) &&
         st_row_text(row, ST_COL_REMAINING_WHAT, r->what, sizeof r->what) &&
         st_row_text(row, ST_COL_REMAINING_WHO, r->who, sizeof r->who) &&
         st_row_text(row, ST_COL_REMAINING_FROM, r->from, sizeof r->from) &&
         (!r->has_lines ||
          st_row_text(row, ST_COL_REMAINING_BECAUSE, r->because, sizeof r->because)) &&
         st_row_text(row, ST_COL_REMAINING_AFTER, r->after, sizeof r->after);
}

static st_store_status find_row(st_db *db, st_sql which, const char *key, remaining_row *r) {
  st_row row;
  st_store_status status = st_db_query(db, which, ST_VALUES(st_db_text(key)), &row);
  if (status == ST_STORE_OK && !take_row(&row, r)) status = ST_STORE_FAILED;
  st_row_finish(&row);
  return status;
}

st_store_status st_remaining_begin(st_db *db, const st_change *change, const st_remaining *what) {
  int64_t sequence = 0;
  char who[sizeof((remaining_row *)0)->who], from[sizeof((remaining_row *)0)->from];
  snprintf(who, sizeof who, "%s", change->context->who);
  snprintf(from, sizeof from, "%s", change->context->from);
  st_store_status status = st_transaction_take_sequence(db, change, &sequence);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(
        db, ST_SQL_REMAINING_INSERT,
        ST_VALUES(st_db_text(what->owner), st_db_text(what->what), st_db_text(what->permissions),
                  st_db_number(sequence), st_db_number(change->now), st_db_text(who),
                  st_db_text(from), st_db_text(what->because)));
  }
  return status;
}

/* ---- is there anything? ---- */

static st_store_status need_rest(const st_change *change, const char *owner) {
  if (change->need == NULL) return ST_STORE_FAILED;
  change->need->what = ST_NEED_REST;
  snprintf(change->need->owner, sizeof change->need->owner, "%s", owner);
  return ST_STORE_BUSY;
}

static st_store_status check(const st_change *change, st_store_status found, const char *owner) {
  return found == ST_STORE_OK          ? need_rest(change, owner)
         : found == ST_STORE_NOT_FOUND ? ST_STORE_OK
                                       : found;
}

st_store_status st_remaining_check(st_db *db, const st_change *change, const char *owner) {
  return check(change, st_db_exists(db, ST_SQL_REMAINING_FIND, ST_VALUES(st_db_text(owner))),
               owner);
}

st_store_status st_remaining_check_key(st_db *db, const st_change *change, const char *owner,
                                       const char *permissions) {
  return check(change,
               st_db_exists(db, ST_SQL_REMAINING_ENDS,
                            ST_VALUES(st_db_text(owner), st_db_text(permissions))),
               owner);
}

st_store_status st_remaining_check_all(st_db *db, const st_change *change) {
  remaining_row r;
  st_store_status found = find_row(db, ST_SQL_REMAINING_NEXT, "", &r);
  return check(change, found, found == ST_STORE_OK ? r.owner : "");
}

st_store_status st_remaining_is_large(st_db *db, const char *owner, bool *large) {
  int64_t most = db->store->large_change, count = 0;
  st_store_status status = st_db_query_number(
      db, ST_SQL_OWNED_AT_MOST, ST_VALUES(st_db_text(owner), st_db_number(most + 1)), &count);
  *large = status == ST_STORE_OK && count > most;
  return status;
}

/* ---- a step ---- */

/* Does to the rows of the set what the change has said, as if it were the change: at its sequence,
 * with its time and name. They are sessions, or keys.
 */
static st_store_status reach_rows(st_db *db, const remaining_row *r, bool sessions) {
  const st_audit_context context = {.now_us = r->at * 1000000, .who = r->who, .from = r->from};
  const st_change as = {.context = &context, .now = r->at, .now_us = context.now_us};
  int64_t own_sequence = db->sequence;
  st_store_status status;
  st_ended ended;
  db->sequence = r->sequence;
  if (sessions || strcmp(r->what, ST_REMAINING_END) == 0) {
    status = st_row_set_end(db, &as, r->has_lines ? r->because : NULL, &ended);
  } else {
    st_value yes = st_db_number(strcmp(r->what, ST_REMAINING_SUSPEND) == 0);
    status = st_db_run(db, ST_SQL_SET_SUSPEND, ST_VALUES(yes, st_db_number(r->at)));
    if (status == ST_STORE_OK) status = st_row_set_relist(db, &as);
  }
  db->sequence = own_sequence;
  return status;
}

/* The next rows in the order of their ids, from where the last step has stopped: those to which
 * there is something to do come into the set. *more: there are others behind them.
 */
static st_store_status find_next_rows(st_db *db, remaining_row *r, bool *more) {
  st_row row;
  int64_t looked = 0, found = 0, step = db->store->change_step;
  st_sql which = r->keys_reached ? ST_SQL_REMAINING_KEYS : ST_SQL_REMAINING_SESSIONS;
  char after[sizeof r->after];
  memcpy(after, r->after, sizeof after);
  st_store_status status = st_row_set_clear(db);
  if (status != ST_STORE_OK) return status;
  status = st_db_query(
      db, which, ST_VALUES(st_db_text(r->owner), st_db_text(after), st_db_number(LOOKED_AT_MOST)),
      &row);
  while (status == ST_STORE_OK && found < step) {
    looked++;
    bool changes = st_row_number(&row, 1) != 0;
    if (!st_row_text(&row, 0, r->after, sizeof r->after)) {
      status = ST_STORE_FAILED;
    } else if (changes) {
      found++;
      status = st_db_run(db, ST_SQL_SET_ADD_ROW, ST_VALUES(st_db_text(r->after)));
    }
    if (status == ST_STORE_OK) status = st_row_next(&row);
  }
  st_row_finish(&row);
  *more = found == step || looked == LOOKED_AT_MOST;
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : status;
}

/* Sessions first: then no key that ends has any, and a step ends no more rows than it counts. */
static st_store_status move_on(st_db *db, const remaining_row *r, bool more) {
  if (!more && r->keys_reached) {
    return st_db_run_one(db, ST_SQL_REMAINING_DELETE, ST_VALUES(st_db_text(r->owner)));
  }
  return st_db_run_one(db, ST_SQL_REMAINING_MOVE,
                       ST_VALUES(st_db_text(r->owner), st_db_number(r->keys_reached || !more),
                                 st_db_text(more ? r->after : "")));
}

st_store_status st_remaining_step(st_db *db, const char *owner, bool *left) {
  remaining_row r;
  bool more = false;
  *left = false;
  st_store_status status = owner != NULL ? find_row(db, ST_SQL_REMAINING_FIND, owner, &r)
                                         : find_row(db, ST_SQL_REMAINING_NEXT, "", &r);
  if (status == ST_STORE_NOT_FOUND) return ST_STORE_OK;
  if (status == ST_STORE_OK) status = find_next_rows(db, &r, &more);
  if (status == ST_STORE_OK) status = reach_rows(db, &r, !r.keys_reached);
  if (status == ST_STORE_OK) status = move_on(db, &r, more);
  *left = status == ST_STORE_OK;
  return status;
}

/* ---- single rows ---- */

/* Sessions and keys one after the other: of a key that is suspended the sessions end. */
static st_store_status settle_rows(st_db *db, const remaining_row *r, st_sql which,
                                   const char *key) {
  st_store_status status = ST_STORE_OK;
  for (int sessions = 1; sessions >= 0 && status == ST_STORE_OK; sessions--) {
    status = st_row_set_clear(db);
    if (status == ST_STORE_OK) {
      status = st_db_run(db, which, ST_VALUES(st_db_text(key), st_db_number(sessions)));
    }
    if (status == ST_STORE_OK) status = reach_rows(db, r, sessions != 0);
  }
  return status;
}

st_store_status st_remaining_settle(st_db *db, const char *id) {
  remaining_row r;
  st_store_status status = find_row(db, ST_SQL_REMAINING_OF_ROW, id, &r);
  if (status == ST_STORE_NOT_FOUND) return ST_STORE_OK;
  return status == ST_STORE_OK ? settle_rows(db, &r, ST_SQL_SET_ADD_NOT_REACHED, id) : status;
}

st_store_status st_remaining_settle_derived(st_db *db) {
  remaining_row r = {.owner = ""};
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK) {
    char before[sizeof r.owner];
    memcpy(before, r.owner, sizeof before);
    status = find_row(db, ST_SQL_REMAINING_NEXT, before, &r);
    if (status == ST_STORE_OK) {
      status = settle_rows(db, &r, ST_SQL_SET_ADD_DERIVED_NOT_REACHED, r.owner);
    }
  }
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK : status;
}
