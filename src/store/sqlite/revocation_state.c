/* Reads what the revocation data lists and what changed in it, on a connection of its own and
 * within one moment of the database, so that ten million rows hold nobody up. src/store/row_set.c
 * and purge.c say what is listed and why.
 */
#include <stdlib.h>
#include <string.h>

#include "store/sqlite/sqlite.h"

static st_store_status state_failed(st_sqlite *store, char *error) {
  return st_sqlite_fail_db(error, store->base.name, store->state, "read");
}

/* Under the lock. */
static st_store_status open_state(st_sqlite *store, char *error) {
  if (store->state == NULL &&
      (st_sqlite_connect(store->base.name, &store->state, error) != ST_STORE_OK ||
       !st_sqlite_set_read_wait(store->state, &store->state_wait) ||
       !st_sqlite_prepare(store->state, st_sqlite_state_sql, store->state_statements,
                          ST_SQLITE_STATE_COUNT))) {
    (void)state_failed(store, error);
    for (size_t i = 0; i < ST_SQLITE_STATE_COUNT; i++) {
      (void)sqlite3_finalize(store->state_statements[i]);
      store->state_statements[i] = NULL;
    }
    (void)sqlite3_close(store->state);
    store->state = NULL;
    return ST_STORE_FAILED;
  }
  return st_sqlite_in_place(store, store->state, error) ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status read_state(st_sqlite *store, st_revocation_state *state, int64_t *from,
                                  char *error) {
  sqlite3_stmt *row = store->state_statements[ST_SQLITE_STATE_READ];
  bool ok = sqlite3_step(row) == SQLITE_ROW;
  if (ok) {
    state->sequence = sqlite3_column_int64(row, 0);
    st_store64(state->hash_key, (uint64_t)sqlite3_column_int64(row, 1));
    st_store64(state->hash_key + 8, (uint64_t)sqlite3_column_int64(row, 2));
    *from = sqlite3_column_int64(row, 3);
  }
  st_store_status status = ok ? ST_STORE_OK : state_failed(store, error);
  st_sqlite_finish(row);
  if (ok && (state->sequence < 1 || *from < 1)) {
    return st_sqlite_fail_damaged(error, store->base.name, "it has no sequence");
  }
  return status;
}

typedef st_store_status state_fn(st_sqlite *store, void *context, st_revocation_state *state,
                                 int64_t from, char *error);

/* Reads within one moment of the database. */
static st_store_status ask(st_sqlite *store, st_revocation_state *state, state_fn *read,
                           void *context, char *error) {
  int64_t from = 0;
  memset(state, 0, sizeof *state);
  (void)pthread_mutex_lock(&store->reading_state);
  st_store_status status = open_state(store, error);
  if (status == ST_STORE_OK &&
      (!st_sqlite_end_transaction(store->state_statements[ST_SQLITE_STATE_END]) ||
       st_sqlite_run(store->state_statements[ST_SQLITE_STATE_BEGIN]) != SQLITE_OK)) {
    status = state_failed(store, error);
  }
  if (status == ST_STORE_OK) {
    status = read_state(store, state, &from, error);
    if (status == ST_STORE_OK && read != NULL) status = read(store, context, state, from, error);
    /* Nothing was written. */
    (void)st_sqlite_end_transaction(store->state_statements[ST_SQLITE_STATE_END]);
  }
  (void)pthread_mutex_unlock(&store->reading_state);
  return status;
}

st_store_status st_sqlite_revocation_state(st_store *store, st_revocation_state *state,
                                           char *error) {
  return ask((st_sqlite *)store, state, NULL, NULL, error);
}

/* Rows of a statement into memory that grows. */
typedef struct rows {
  sqlite3_stmt *statement;
  void *items;
  size_t size; /* of an item */
  size_t count, room;
  int64_t since;
} rows;

static void *next_item(rows *all) {
  if (all->count == all->room) {
    size_t room = all->room * 2 + 1024;
    void *grown = reallocarray(all->items, room, all->size);
    if (grown == NULL) return NULL;
    all->items = grown;
    all->room = room;
  }
  return (char *)all->items + all->count++ * all->size;
}

static void take_hash(sqlite3_stmt *row, void *item) {
  uint64_t hash = (uint64_t)sqlite3_column_int64(row, 0);
  memcpy(item, &hash, sizeof hash);
}

static void take_change(sqlite3_stmt *row, void *item) {
  st_revocation_change taken = {.hash = (uint64_t)sqlite3_column_int64(row, 0),
                                .sequence = sqlite3_column_int64(row, 2),
                                .listed = sqlite3_column_int64(row, 1) != 0};
  memcpy(item, &taken, sizeof taken);
}

static st_store_status read_rows(st_sqlite *store, rows *all, void (*take)(sqlite3_stmt *, void *),
                                 char *error) {
  st_store_status status = ST_STORE_OK;
  int code = SQLITE_ROW;
  while (status == ST_STORE_OK && (code = sqlite3_step(all->statement)) == SQLITE_ROW) {
    void *item = all->count < UINT32_MAX ? next_item(all) : NULL;
    if (item == NULL) {
      status =
          st_db_fail(error, "no memory for the revocations of %s", st_error_path(store->base.name));
    } else {
      take(all->statement, item);
    }
  }
  if (status == ST_STORE_OK && code != SQLITE_DONE) status = state_failed(store, error);
  st_sqlite_finish(all->statement);
  return status;
}

/* What a change of many rows has left to do is listed all the same. *last: the sequence of the last
 * such change, 0 when there is none; *resumes: one of them takes hashes off.
 */
static st_store_status find_remaining(st_sqlite *store, int64_t *last, bool *resumes, char *error) {
  sqlite3_stmt *row = store->state_statements[ST_SQLITE_STATE_REMAINING];
  bool ok = sqlite3_step(row) == SQLITE_ROW;
  *last = ok ? sqlite3_column_int64(row, 0) : 0;
  *resumes = ok && sqlite3_column_int64(row, 1) != 0;
  st_store_status status = ok ? ST_STORE_OK : state_failed(store, error);
  st_sqlite_finish(row);
  return status;
}

static st_store_status read_hashes(st_sqlite *store, rows *all, int which, char *error) {
  all->statement = store->state_statements[which];
  if (which != ST_SQLITE_STATE_HASHES && sqlite3_bind_int64(all->statement, 1, 0) != SQLITE_OK) {
    return state_failed(store, error);
  }
  return read_rows(store, all, take_hash, error);
}

static st_store_status read_listed(st_sqlite *store, void *context, st_revocation_state *state,
                                   int64_t from, char *error) {
  rows *all = context;
  (void)state;
  (void)from;
  int64_t last = 0;
  bool resumes = false;
  all->items = malloc(sizeof(uint64_t)); /* never NULL on success */
  all->room = all->items != NULL ? 1 : 0;
  if (all->items == NULL) return st_db_fail(error, "no memory for the revocations");
  st_store_status status = find_remaining(store, &last, &resumes, error);
  if (status == ST_STORE_OK) {
    int which = resumes ? ST_SQLITE_STATE_HASHES_STAYING : ST_SQLITE_STATE_HASHES;
    status = read_hashes(store, all, which, error);
  }
  if (status == ST_STORE_OK && last > 0) {
    status = read_hashes(store, all, ST_SQLITE_STATE_HASHES_ADDED, error);
  }
  return status;
}

static st_store_status read_changes(st_sqlite *store, void *context, st_revocation_state *state,
                                    int64_t from, char *error) {
  rows *all = context;
  if (all->since < from || all->since > state->sequence) return ST_STORE_NOT_FOUND;
  int64_t last = 0;
  bool resumes = false;
  if (find_remaining(store, &last, &resumes, error) != ST_STORE_OK) return ST_STORE_FAILED;
  all->statement = store->state_statements[last > all->since ? ST_SQLITE_STATE_CHANGES_REMAINING
                                                             : ST_SQLITE_STATE_CHANGES];
  if (sqlite3_bind_int64(all->statement, 1, all->since) != SQLITE_OK)
    return state_failed(store, error);
  return read_rows(store, all, take_change, error);
}

static st_store_status hand_over(st_store_status status, rows *all, uint32_t *count) {
  *count = status == ST_STORE_OK ? (uint32_t)all->count : 0;
  if (status != ST_STORE_OK) {
    free(all->items);
    all->items = NULL;
  }
  return status;
}

typedef struct both {
  rows hashes, changes;
} both;

static st_store_status read_both(st_sqlite *store, void *context, st_revocation_state *state,
                                 int64_t from, char *error) {
  both *all = context;
  all->changes.since = from;
  st_store_status status = read_listed(store, &all->hashes, state, from, error);
  if (status != ST_STORE_OK) return status;
  status = read_changes(store, &all->changes, state, from, error);
  return status == ST_STORE_NOT_FOUND ? ST_STORE_OK
                                      : status; /* a log that begins later has nothing yet */
}

st_store_status st_sqlite_revocation_data(st_store *store, st_revocation_data *data, char *error) {
  both all = {.hashes = {.size = sizeof *data->hashes}, .changes = {.size = sizeof *data->changes}};
  st_store_status status = ask((st_sqlite *)store, &data->state, read_both, &all, error);
  status = hand_over(status, &all.hashes, &data->count);
  status = hand_over(status, &all.changes, &data->change_count);
  data->hashes = all.hashes.items;
  data->changes = all.changes.items;
  data->since = all.changes.since;
  return status;
}

st_store_status st_sqlite_revocation_changes(st_store *store, int64_t since,
                                             st_revocation_state *state,
                                             st_revocation_change **changes, uint32_t *count,
                                             char *error) {
  rows all = {.size = sizeof **changes, .since = since};
  st_store_status status =
      hand_over(ask((st_sqlite *)store, state, read_changes, &all, error), &all, count);
  *changes = all.items;
  return status;
}
