/* Writes error texts about the file of a store and what SQLite says of it. */
#include <errno.h>

#include "os/error.h"
#include "store/sqlite/sqlite.h"

st_store_status st_sqlite_fail_damaged(char *error, const char *path, const char *what) {
  return st_db_fail(error,
                    "%s is damaged (%s): move it and its -wal and -shm away and restore a backup",
                    st_error_path(path), what);
}

/* A column that is there and has no text: its memory is missing, and not the row damaged. */
bool st_sqlite_is_without_memory(sqlite3 *db) {
  return (sqlite3_errcode(db) & 0xff) == SQLITE_NOMEM;
}

/* What SQLite last complained of, before another call on db makes it forget. */
st_store_status st_sqlite_fail_db(char *error, const char *path, sqlite3 *db, const char *verb) {
  int code = db == NULL ? SQLITE_NOMEM : sqlite3_errcode(db) & 0xff;
  const char *text = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    return st_sqlite_fail_damaged(error, path, text);
  }
  if (code == SQLITE_BUSY) {
    return st_db_fail(error, "cannot %s %s: something else has kept it locked for too long", verb,
                      st_error_path(path));
  }
  if (code == SQLITE_IOERR || code == SQLITE_CANTOPEN) {
    errno = sqlite3_system_errno(db);
    return st_db_fail(error, "cannot %s %s: %s (%m)", verb, st_error_path(path), text);
  }
  return st_db_fail(error, "cannot %s %s: %s", verb, st_error_path(path), text);
}
