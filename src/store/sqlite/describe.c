/* Describes a store on SQLite for an operator: `subtoken store status`. Who else has the file open
 * SQLite does not tell. What a commit rests on is set in connect.c.
 */
#include <stdio.h>
#include <string.h>

#include "store/sqlite/sqlite.h"

#define SYNCHRONOUS_FULL 2 /* each commit is synced: https://www.sqlite.org/pragma.html */

static bool describe_file(sqlite3 *db, st_store_description *description) {
  int64_t synchronous = 0;
  if (!st_sqlite_ask_integer(db, "PRAGMA user_version", &description->schema) ||
      !st_sqlite_ask_integer(db, "PRAGMA synchronous", &synchronous) ||
      !st_sqlite_ask_integer(db, "SELECT value FROM facts WHERE name = 'sequence'",
                             &description->sequence)) {
    return false;
  }
  description->on_disk = synchronous >= SYNCHRONOUS_FULL;
  return true;
}

st_store_status st_sqlite_describe(st_store *store, st_store_description *description,
                                   char *error) {
  st_db *db = st_sqlite_acquire_query_db(store, error);
  if (db == NULL) return ST_STORE_FAILED;
  sqlite3 *connection = ((st_sqlite_db *)db)->connection;
  st_store_status status = ST_STORE_OK;
  if (!describe_file(connection, description)) {
    status = st_sqlite_fail_db(error, store->name, connection, "read");
  }
  st_sqlite_release_query_db(db);
  snprintf(description->kind, sizeof description->kind, "SQLite");
  snprintf(description->location, sizeof description->location, "%s", store->name);
  snprintf(description->version, sizeof description->version, "%s", sqlite3_libversion());
  return status;
}
