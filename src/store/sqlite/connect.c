/* Opens a connection to the database with the settings that the store relies on. The store as a
 * whole is opened in store/sqlite/open.c.
 */
#include "store/db.h"

#include <stdio.h>
#include <string.h>

#include "domain/store.h"

st_stored st_sqlite_connect(const char *path, sqlite3 **db, char *error) {
  static const char settings[] =
      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY";
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  if (sqlite3_open_v2(path, db, flags, NULL) != SQLITE_OK) {
    return st_sqlite_fail_db(error, path, *db, "open");
  }
  (void)sqlite3_extended_result_codes(*db, 1);
  if (sqlite3_busy_timeout(*db, ST_SQLITE_BUSY_MS) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DML, 0, NULL) != SQLITE_OK ||
      sqlite3_exec(*db, settings, NULL, NULL, NULL) != SQLITE_OK || !st_sqlite_add_hash(*db) ||
      !st_sqlite_add_within(*db)) {
    return st_sqlite_fail_db(error, path, *db, "open");
  }
  return ST_STORED;
}

/* Switch the journal mode. Needs the file to itself for a moment, which SQLite
 * does not always wait for.
 */
st_stored st_sqlite_set_journal(const char *path, sqlite3 *db, const char *mode, char *error) {
  char sql[64];
  (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
  int code = SQLITE_BUSY;
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited <= ST_SQLITE_BUSY_MS;
       waited += ST_SQLITE_RETRY_MS) {
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
      code = sqlite3_step(statement);
    }
    if (code == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(statement, 0), mode) != 0) {
      (void)sqlite3_finalize(statement);
      return st_sqlite_fail(error, "cannot open %s: its journal cannot be %s there",
                            st_sqlite_shown(path), mode);
    }
    (void)sqlite3_finalize(statement);
    if ((code & 0xff) == SQLITE_BUSY) {
      (void)sqlite3_sleep(ST_SQLITE_RETRY_MS);
    }
  }
  return code == SQLITE_ROW ? ST_STORED : st_sqlite_fail_db(error, path, db, "open");
}
