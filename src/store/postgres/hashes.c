/* Computes the hashes by which the revocation data lists subs: in this process, because the
 * database has no such function, under the hash key that the transaction itself has read. When that
 * changes, each hash is computed anew.
 */
#include <string.h>

#include "store/postgres/postgres.h"

/* It was asked for with the BEGIN, and may not be answered yet. */
bool st_postgres_hash_key(st_postgres_db *db) {
  if (db->hash_key_known) return true;
  if (db->hash_key_row == NULL && !st_postgres_sync(&db->connection, db->until_us)) return false;
  PGresult *row = db->hash_key_row;
  bool ok = row != NULL && PQntuples(row) == 1 && PQgetisnull(row, 0, 0) == 0;
  if (!ok) st_postgres_note_failure(&db->connection, "", "its settings hold no hash key");
  if (ok) {
    st_store64(db->hash_key, (uint64_t)st_postgres_number(row, 0, 0));
    st_store64(db->hash_key + 8, (uint64_t)st_postgres_number(row, 0, 1));
  }
  PQclear(row);
  db->hash_key_row = NULL;
  db->hash_key_known = ok;
  return ok;
}

int64_t st_postgres_hash(const st_postgres_db *db, const st_value *sub) {
  return (int64_t)subtoken_revocations_hash(db->hash_key, (subtoken_text){sub->data, sub->len});
}

/* ---- another hash key ---- */

/* Up to so many rows of a table: their names, the hashes of their subs, and the last name. Names
 * come in their order, from the last one on: else this could go on without end. */
typedef struct anew {
  st_postgres_list names, hashes;
  char last[ST_SUB_LEN + 1];
} anew;

static bool anew_take(st_postgres_db *db, anew *all, const PGresult *rows) {
  int count = PQntuples(rows);
  all->names.count = all->hashes.count = 0;
  for (int i = 0; i < count; i++) {
    char before[sizeof all->last];
    memcpy(before, all->last, sizeof before);
    st_value sub = st_db_bytes(PQgetvalue(rows, i, 1), (size_t)PQgetlength(rows, i, 1));
    if (!st_postgres_text(rows, i, 0, all->last, sizeof all->last) ||
        strlen(all->last) != all->names.len || strcmp(all->last, before) <= 0) {
      st_postgres_note_failure(&db->connection, "", "a row is not as it was written");
      return false;
    }
    if (!st_postgres_list_add(&all->names, all->last) ||
        !st_postgres_list_add_number(&all->hashes, st_postgres_hash(db, &sub))) {
      return st_postgres_no_memory(db);
    }
  }
  return true;
}

static bool anew_table(st_postgres_db *db, int read, int write, size_t len) {
  anew all = {.names.len = len, .hashes.len = ST_POSTGRES_NUMBER_LEN};
  bool ok = true, more = true;
  while (ok && more) {
    PGresult *rows =
        st_postgres_ask(&db->connection, read, ST_VALUES(st_db_text(all.last)), db->until_us);
    ok = rows != NULL && anew_take(db, &all, rows);
    more = all.names.count > 0;
    PQclear(rows);
    if (ok && more) {
      ok = st_postgres_do(
          &db->connection, write,
          ST_VALUES(st_postgres_list_array(&all.names), st_postgres_list_array(&all.hashes)),
          db->until_us);
    }
  }
  st_postgres_list_free(&all.names);
  st_postgres_list_free(&all.hashes);
  return ok;
}

bool st_postgres_hash_key_anew(st_postgres_db *db) {
  PQclear(db->hash_key_row); /* that of the BEGIN, which nothing needed */
  db->hash_key_known = false;
  return st_postgres_send(&db->connection, ST_POSTGRES_HASH_KEY, ST_NO_VALUES, &db->hash_key_row) &&
         st_postgres_hash_key(db);
}

bool st_postgres_hash_anew(st_postgres_db *db) {
  return st_postgres_hash_key_anew(db) &&
         anew_table(db, ST_POSTGRES_REHASH_READ_KEYS, ST_POSTGRES_REHASH_KEYS, ST_KEY_ID_LEN) &&
         anew_table(db, ST_POSTGRES_REHASH_READ_LISTED, ST_POSTGRES_REHASH_LISTED, ST_SUB_LEN);
}
