/* Does what large changes have left to do, a step at a time, and counts what one is about before it
 * takes its turn. Between two steps everybody else who waits has a turn: threads of this process,
 * because turns are taken in the order in which they were asked for, and other processes, because
 * this one pauses for as long as the step has taken, and for longer than they wait between tries.
 */
#include "store/remaining_run.h"

#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "store/query.h"

#define PAGE 2000 /* rows that are counted at a time */
#define COUNTS 3  /* then it is counted within the turn */

/* ---- steps ---- */

typedef struct step {
  const char *owner; /* NULL: anybody */
  bool left;
} step;

static st_store_status make_step(st_db *db, const st_change *change) {
  step *s = change->data;
  return st_remaining_step(db, s->owner, &s->left);
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ST_STORE_OK, *left: the time is over. At least one step is done. */
static st_store_status run_steps(st_store *store, const char *owner, int64_t until_us, bool *left,
                                 char *error) {
  step s = {owner, true};
  st_change change = {.data = &s, .ordered = true};
  *left = true;
  for (;;) {
    int64_t now_us = st_clock_monotonic_us();
    change.until_us = earlier(until_us, now_us + ST_DB_WAIT_MS * INT64_C(1000));
    st_store_status status = st_transaction_run(store, make_step, &change, error);
    if (status != ST_STORE_OK) return status;
    *left = s.left;
    int64_t done_us = st_clock_monotonic_us();
    if (!s.left || done_us >= until_us) return ST_STORE_OK;
    st_transaction_pause(done_us - now_us);
  }
}

static bool take_nothing(const st_row *row, void *item) {
  (void)row, (void)item;
  return true;
}

st_store_status st_store_continue(st_store *store, int64_t until_us, bool *left, char *error) {
  char unused = 0;
  size_t count = 0;
  st_query_page page = {&unused, 0, 1, &count, take_nothing};
  st_store_status status =
      st_query_list(store, ST_SQL_REMAINING_NEXT, ST_VALUES(st_db_text("")), &page, error);
  if (status != ST_STORE_OK) return status;
  *left = count > 0;
  return *left ? run_steps(store, NULL, until_us, left, error) : ST_STORE_OK;
}

static st_store_status do_rest(st_store *store, const char *owner, int64_t until_us, char *error) {
  bool left = true;
  st_store_status status = run_steps(store, owner, until_us, &left, error);
  if (status == ST_STORE_OK && !left) return ST_STORE_OK;
  if (status == ST_STORE_FAILED) return status;
  (void)st_db_fail(error,
                   "%s: an earlier change of the same user is in force, but its keys are still "
                   "being gone through: try again later",
                   st_db_name(store));
  return ST_STORE_BUSY;
}

/* ---- counted ---- */

typedef struct page {
  int64_t looked, holding;
  char after[ST_KEY_ID_LEN + 1];
} page;

static st_store_status count_page(st_db *db, st_sql which, const char *owner,
                                  const char *permissions, page *p) {
  st_row row;
  char after[sizeof p->after];
  memcpy(after, p->after, sizeof after);
  st_store_status status = st_db_query(
      db, which,
      ST_VALUES(st_db_text(owner), st_db_text(after), st_db_number(PAGE), st_db_text(permissions)),
      &row);
  if (status == ST_STORE_OK) {
    p->looked = st_row_number(&row, 0);
    p->holding += st_row_number(&row, 2);
    if (!st_row_text(&row, 1, p->after, sizeof p->after)) status = ST_STORE_FAILED;
  }
  st_row_finish(&row);
  return status == ST_STORE_NOT_FOUND ? ST_STORE_FAILED : status;
}

/* Within the turn. */
static st_store_status count_now(st_db *db, st_sql which, const char *owner,
                                 const char *permissions, int64_t *count) {
  page p = {.looked = PAGE};
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK && p.looked == PAGE) {
    status = count_page(db, which, owner, permissions, &p);
  }
  *count = p.holding;
  return status;
}

/* Before it, on the connection for questions, which is given back after each page. */
static st_store_status count_before(st_store *store, st_sql which, const st_change_need *need,
                                    int64_t *count, char *error) {
  const char *permissions = need->permissions[0] != '\0' ? need->permissions : NULL;
  page p = {.looked = PAGE};
  st_store_status status = ST_STORE_OK;
  while (status == ST_STORE_OK && p.looked == PAGE) {
    st_db *db = store->driver->acquire_query_db(store, error);
    if (db == NULL) return ST_STORE_FAILED;
    status = count_page(db, which, need->owner, permissions, &p);
    if (status != ST_STORE_OK) status = db->ops->explain(db, "read", error);
    store->driver->release_query_db(db);
  }
  *count = p.holding;
  return status;
}

static st_store_status count_for(st_store *store, st_change_need *need, char *error) {
  st_store_status status =
      st_query_integer(store, ST_SQL_AUDIT_LAST, ST_NO_VALUES, &need->last_line, error);
  if (status == ST_STORE_OK) {
    status = count_before(store, ST_SQL_OWNED_HOLDING, need, &need->keys, error);
  }
  if (status == ST_STORE_OK) {
    status = count_before(store, ST_SQL_OWNED_HOLDING_SESSIONS, need, &need->sessions, error);
  }
  need->counts++;
  return status;
}

/* Is what was counted what there is now? Each change of it has a line in the audit log. */
static st_store_status still_holds(st_db *db, const st_change_need *need, const char *owner,
                                   const char *permissions, bool *holds) {
  *holds = false;
  if (need->counts == 0 || strcmp(need->owner, owner) != 0 ||
      strcmp(need->permissions, permissions != NULL ? permissions : "") != 0) {
    return ST_STORE_OK;
  }
  st_store_status changed = st_db_exists(
      db, ST_SQL_OWNED_CHANGED, ST_VALUES(st_db_text(owner), st_db_number(need->last_line)));
  *holds = changed == ST_STORE_NOT_FOUND;
  return changed == ST_STORE_FAILED ? changed : ST_STORE_OK;
}

static st_store_status count_within(st_db *db, const char *owner, const char *permissions,
                                    st_ended *count) {
  st_store_status status = count_now(db, ST_SQL_OWNED_HOLDING, owner, permissions, &count->keys);
  if (status == ST_STORE_OK) {
    status = count_now(db, ST_SQL_OWNED_HOLDING_SESSIONS, owner, permissions, &count->sessions);
  }
  count->rows = count->keys + count->sessions;
  return status;
}

st_store_status st_remaining_count(st_db *db, const st_change *change, const char *owner,
                                   const char *permissions, st_ended *count) {
  st_change_need *need = change->need;
  bool holds = false;
  if (need == NULL) return count_within(db, owner, permissions, count);
  st_store_status status = still_holds(db, need, owner, permissions, &holds);
  if (status != ST_STORE_OK) return status;
  if (holds) {
    *count = (st_ended){need->keys + need->sessions, need->keys, need->sessions};
    return ST_STORE_OK;
  }
  if (need->counts >= COUNTS) return count_within(db, owner, permissions, count);
  need->what = ST_NEED_COUNT;
  snprintf(need->owner, sizeof need->owner, "%s", owner);
  snprintf(need->permissions, sizeof need->permissions, "%s",
           permissions != NULL ? permissions : "");
  return ST_STORE_BUSY;
}

/* ---- a change ---- */

st_store_status st_remaining_run(st_store *store, st_change_fn *make, const st_change *change,
                                 char *error) {
  st_change_need need = {0};
  st_change one = *change;
  one.need = &need;
  if (one.until_us == 0) {
    one.until_us = st_clock_monotonic_us() + ST_DB_WAIT_MS * INT64_C(1000);
  }
  for (;;) {
    need.what = ST_NEED_NOTHING;
    st_store_status status = st_transaction_run(store, make, &one, error);
    if (need.what == ST_NEED_NOTHING) return status;
    status = need.what == ST_NEED_REST ? do_rest(store, need.owner, one.until_us, error)
                                       : count_for(store, &need, error);
    if (status != ST_STORE_OK) return status;
  }
}
