/* Sets of rows that a change ends, lists or removes, however many they are: chosen into a table
 * of the writing connection, then changed with one statement each.
 */
#include "store/db.h"

#include "domain/store.h"

st_stored st_sqlite_choose_none(st_store *store) {
  return st_sqlite_do(store, CHOOSE_NONE, NO_VALUES);
}

st_stored st_sqlite_choose(st_store *store, const char *id) {
  st_stored stored = st_sqlite_choose_none(store);
  return stored == ST_STORED ? st_sqlite_do(store, CHOOSE_ROW, VALUES(st_sqlite_text(id))) : stored;
}

static st_stored count_chosen(st_store *store, counted *count) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, CHOSEN, NO_VALUES, &row);
  *count = (counted){0};
  if (stored == ST_STORED) {
    *count = (counted){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1),
                       sqlite3_column_int64(row, 2)};
  }
  st_sqlite_finish(row);
  return stored;
}

static st_stored touch_chosen(st_store *store, const change *what) {
  int64_t sequence = 0;
  st_stored stored = st_sqlite_take_sequence(store, what, &sequence);
  return stored == ST_STORED ? st_sqlite_do(store, TOUCH_CHOSEN, VALUES(st_sqlite_number(sequence)))
                             : stored;
}

/* The subs that they have now are refused for ever. */
static st_stored revoke_chosen(st_store *store, const change *what) {
  parameter now = st_sqlite_number(what->now);
  bool ok = st_sqlite_do(store, REVOKE_CHOSEN, VALUES(now)) == ST_STORED &&
            st_sqlite_do(store, LIST_CHOSEN, VALUES(now)) == ST_STORED &&
            touch_chosen(store, what) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored audit_chosen(st_store *store, const change *what, const char *because) {
  return st_sqlite_do(store, AUDIT_CHOSEN,
                      VALUES(st_sqlite_number(what->now), st_sqlite_text(what->act->who),
                             st_sqlite_text(what->act->from), st_sqlite_text(because)));
}

st_stored st_sqlite_end_chosen(st_store *store, const change *what, const char *because,
                               counted *ended) {
  if (st_sqlite_do(store, CHOOSE_RESTING, NO_VALUES) != ST_STORED ||
      count_chosen(store, ended) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (ended->rows == 0) {
    return ST_STORED;
  }
  bool ok = revoke_chosen(store, what) == ST_STORED &&
            (because == NULL || audit_chosen(store, what, because) == ST_STORED) &&
            st_sqlite_do(store, DELETE_CHOSEN, VALUES(st_sqlite_number(what->now))) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_sqlite_relist_chosen(st_store *store, const change *what) {
  counted differing;
  if (st_sqlite_do(store, DROP_AS_LISTED, NO_VALUES) != ST_STORED ||
      count_chosen(store, &differing) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (differing.rows == 0) {
    return ST_STORED;
  }
  bool ok = st_sqlite_do(store, LIST_REFUSED, NO_VALUES) == ST_STORED &&
            st_sqlite_do(store, UNLIST, NO_VALUES) == ST_STORED &&
            touch_chosen(store, what) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Asked after the old sub is revoked, st_sqlite_sub_is_new refuses it, too. */
st_stored st_sqlite_new_sub(st_store *store, const change *what, const char *id, const char *sub) {
  if (st_sqlite_choose(store, id) != ST_STORED || revoke_chosen(store, what) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  st_stored stored = st_sqlite_sub_is_new(store, sub);
  if (stored == ST_STORED) {
    stored = st_sqlite_do_one(
        store, REPLACE_SUB,
        VALUES(st_sqlite_text(id), st_sqlite_number(what->now), st_sqlite_text(sub)));
  }
  /* What is disabled is so with its new sub, too. */
  return stored == ST_STORED ? st_sqlite_relist_chosen(store, what) : stored;
}

st_stored st_sqlite_end_logins(st_store *store, const change *what, const char *id,
                               counted *ended) {
  bool ok = st_sqlite_choose_none(store) == ST_STORED &&
            st_sqlite_do(store, CHOOSE_LOGINS, VALUES(st_sqlite_text(id))) == ST_STORED;
  return ok ? st_sqlite_end_chosen(store, what, NULL, ended) : ST_STORE_FAILED;
}

st_stored st_sqlite_sweep_logins(st_store *store, int64_t before, int64_t limit, int64_t *removed) {
  static const int tables[] = {SWEEP_REVOKED, SWEEP_REFRESH, SWEEP_LOGINS, SWEEP_USED, SWEEP_KEYS};
  parameter horizon = st_sqlite_number(before), most = st_sqlite_number(limit);
  st_stored stored = st_sqlite_choose_none(store);
  if (stored == ST_STORED) {
    stored = st_sqlite_do(store, CHOOSE_ENDED, VALUES(horizon, most));
  }
  for (size_t i = 0; i < sizeof tables / sizeof *tables && stored == ST_STORED; i++) {
    stored = st_sqlite_do(store, tables[i], NO_VALUES);
  }
  *removed = stored == ST_STORED ? sqlite3_changes(store->writes) : 0;
  return stored;
}
