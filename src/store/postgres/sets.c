/* What is kept in this process of the change under way: the ids of the rows that it is about and of
 * those that were made with a row, hashes of a snapshot, and which rows it has changed. The
 * database gets them as parameters. Temporary tables would grow dead rows, and the planner knows
 * nothing of them.
 */
#include <stdlib.h>

#include "store/key_cache.h"
#include "store/postgres/postgres.h"

/* Of a change that writes more rows than this, all that is cached is forgotten. */
#define WRITTEN_MAX 65536

/* ---- rows of a statement ---- */

/* without (may be NULL): a settled list of those that are not added. */
static bool take_items(st_postgres_db *db, st_postgres_list *list, const st_postgres_list *without,
                       const PGresult *result) {
  int rows = PQntuples(result);
  for (int i = 0; i < rows; i++) {
    const char *item = PQgetvalue(result, i, 0);
    if ((size_t)PQgetlength(result, i, 0) != list->len) return false;
    if (without != NULL && st_postgres_list_holds(without, item)) continue;
    if (!st_postgres_list_add(list, item)) return st_postgres_no_memory(db);
  }
  st_postgres_list_settle(list);
  return true;
}

static bool grow_written(st_postgres_db *db) {
  size_t room = db->written_room * 2 + 16;
  uint64_t *grown = realloc(db->written, room * sizeof *grown);
  if (grown == NULL) return st_postgres_no_memory(db);
  db->written = grown;
  db->written_room = room;
  return true;
}

static bool add_written(st_postgres_db *db, const PGresult *result, int row, int column) {
  if (PQgetlength(result, row, column) != 32) return false;
  if (db->written_count == db->written_room && !grow_written(db)) return false;
  db->written[db->written_count++] =
      st_key_cache_digest8((const uint8_t *)PQgetvalue(result, row, column));
  return true;
}

/* In the second column: that of before a rotation, if it is good. */
static bool take_written(st_postgres_db *db, const PGresult *result) {
  int rows = PQntuples(result);
  for (int i = 0; i < rows && db->written_count <= WRITTEN_MAX; i++) {
    if (PQgetisnull(result, i, 0) == 1) { /* any row may be another one now */
      db->written_count = WRITTEN_MAX + 1;
      return true;
    }
    bool has_old = PQnfields(result) > 1 && PQgetisnull(result, i, 1) == 0;
    if (!add_written(db, result, i, 0) || (has_old && !add_written(db, result, i, 1))) return false;
  }
  return true;
}

/* NULL: into none of them. */
static st_postgres_list *list_of(st_postgres_db *db, uint32_t flags) {
  switch (flags & (ST_POSTGRES_INTO_SET | ST_POSTGRES_INTO_BASE | ST_POSTGRES_INTO_DERIVED |
                   ST_POSTGRES_INTO_SNAPSHOT)) {
    case ST_POSTGRES_INTO_SET: return &db->set;
    case ST_POSTGRES_INTO_BASE: return &db->base_rows;
    case ST_POSTGRES_INTO_DERIVED: return &db->derived;
    case ST_POSTGRES_INTO_SNAPSHOT: return &db->snapshot;
    default: return NULL;
  }
}

bool st_postgres_sets_take(st_postgres_db *db, uint32_t flags, const PGresult *result) {
  if ((flags & ST_POSTGRES_INTO_WRITTEN) != 0) return take_written(db, result);
  st_postgres_list *into = list_of(db, flags);
  if (into == NULL) return true;
  if ((flags & ST_POSTGRES_REPLACES) != 0) into->count = 0;
  return take_items(db, into, into == &db->derived ? &db->base_rows : NULL, result);
}

void st_postgres_sets_forget(st_postgres_db *db) {
  bool many = db->written_count > WRITTEN_MAX;
  if (db->written_count > 0) {
    st_postgres_forget(db->connection.store, many ? NULL : db->written,
                       many ? 0 : db->written_count);
  }
}

/* ---- statements that are done here ---- */

static bool add_row(st_postgres_db *db, const st_value *id) {
  if (id->len != db->set.len) {
    st_postgres_note_failure(&db->connection, "", "an id has another length");
    return false;
  }
  if (!st_postgres_list_add(&db->set, id->data)) return st_postgres_no_memory(db);
  st_postgres_list_settle(&db->set);
  return true;
}

bool st_postgres_sets_here(st_postgres_db *db, int which, const st_value *values) {
  switch (which) {
    case ST_SQL_SET_CLEAR: db->set.count = 0; return true;
    case ST_SQL_SET_ADD_ROW: return add_row(db, values);
    case ST_SQL_DERIVED_CLEAR: db->base_rows.count = db->derived.count = 0; return true;
    case ST_SQL_SNAPSHOT_CLEAR: db->snapshot.count = 0; return true;
    case ST_SQL_SNAPSHOT_ADD:
      if (st_postgres_list_add_number(&db->snapshot, values->number)) return true;
      return st_postgres_no_memory(db);
    case ST_SQL_COPY_HASH_KEY: return st_postgres_hash_key_anew(db);
    case ST_SQL_LISTED_HASH_ANEW: return st_postgres_hash_anew(db);
    default: return false;
  }
}

/* ---- begin, end ---- */

void st_postgres_sets_clear(st_postgres_db *db) {
  db->set.len = db->base_rows.len = db->derived.len = ST_KEY_ID_LEN;
  db->snapshot.len = ST_POSTGRES_NUMBER_LEN;
  db->set.count = db->base_rows.count = db->derived.count = db->snapshot.count = 0;
  db->written_count = 0;
}

void st_postgres_sets_free(st_postgres_db *db) {
  st_postgres_list_free(&db->set);
  st_postgres_list_free(&db->base_rows);
  st_postgres_list_free(&db->derived);
  st_postgres_list_free(&db->snapshot);
  free(db->written);
  db->written = NULL;
  db->written_count = db->written_room = 0;
}
