/* Opens a connection with the settings that durability rests on, and says how long one waits for
 * other processes.
 */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "store/sqlite/sqlite.h"

#define NAME_OPENED_MAX 511 /* SQLite's MAX_PATHNAME, less the NUL */

st_store_status st_sqlite_connect(const char *path, sqlite3 **db, char *error) {
  static const char connect_settings[] =
      "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
      "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY";
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  if (strlen(path) > NAME_OPENED_MAX) { /* it would say that there is no such file */
    return st_db_fail(error, "cannot open %s: SQLite opens no name of more than %d bytes",
                      st_error_path(path), NAME_OPENED_MAX);
  }
  if (sqlite3_open_v2(path, db, flags, NULL) != SQLITE_OK) {
    return st_sqlite_fail_db(error, path, *db, "open");
  }
  (void)sqlite3_extended_result_codes(*db, 1);
  if (sqlite3_busy_timeout(*db, ST_DB_WAIT_MS) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL) != SQLITE_OK ||
      sqlite3_db_config(*db, SQLITE_DBCONFIG_DQS_DML, 0, NULL) != SQLITE_OK ||
      sqlite3_exec(*db, connect_settings, NULL, NULL, NULL) != SQLITE_OK ||
      !st_sqlite_add_functions(*db)) {
    return st_sqlite_fail_db(error, path, *db, "open");
  }
  return ST_STORE_OK;
}

/* Switch the journal mode. Needs the file to itself for a moment, which SQLite
 * does not always wait for.
 */
st_store_status st_sqlite_set_journal(const char *path, sqlite3 *db, const char *mode,
                                      char *error) {
  char sql[64];
  (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", mode);
  int code = SQLITE_BUSY;
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited <= ST_DB_WAIT_MS;
       waited += ST_SQLITE_RETRY_MS) {
    sqlite3_stmt *statement = NULL;
    code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    const char *is = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : "";
    if (is == NULL) code = SQLITE_NOMEM;
    bool other = code == SQLITE_ROW && strcmp(is, mode) != 0;
    int ended = sqlite3_finalize(statement); /* only now the file says which journal it has */
    if (code == SQLITE_ROW && ended != SQLITE_OK) code = ended;
    if (other) {
      return st_db_fail(error, "cannot open %s: its journal cannot be %s there",
                        st_error_path(path), mode);
    }
    if ((code & 0xff) == SQLITE_BUSY) (void)sqlite3_sleep(ST_SQLITE_RETRY_MS);
  }
  return code == SQLITE_ROW ? ST_STORE_OK : st_sqlite_fail_db(error, path, db, "open");
}

/* ---- waiting for other processes ---- */

#define STEP_MS 10      /* between two tries */
#define WRITE_STEP_MS 2 /* of a change; who writes much pauses for longer (remaining_run.c) */
#define READ_WAIT_US 250000
#define READ_WAIT_ANEW_US 1000000 /* since the last wait */

/* SQLite calls these while another process holds the lock; 0 gives up. */
static int wait_to_write(void *context, int tries) {
  st_sqlite *store = context;
  int64_t close_us = atomic_load(&store->base.close_us), now = st_clock_monotonic_us();
  int64_t until = close_us != 0 && close_us < store->until_us ? close_us : store->until_us;
  if (now >= until) return 0;
  int64_t left_ms = (until - now) / 1000 + 1, step = tries < 10 ? 1 : WRITE_STEP_MS;
  (void)sqlite3_sleep((int)(left_ms < step ? left_ms : step));
  return 1;
}

static int wait_to_read(void *context, int tries) {
  st_sqlite_wait *wait = context;
  int64_t now = st_clock_monotonic_us();
  if (tries == 0 && now - wait->last_us > READ_WAIT_ANEW_US) wait->until_us = now + READ_WAIT_US;
  wait->last_us = now;
  if (now >= wait->until_us) return 0;
  (void)sqlite3_sleep(STEP_MS);
  return 1;
}

bool st_sqlite_set_write_wait(st_sqlite *store) {
  return sqlite3_busy_handler(store->changes.connection, wait_to_write, store) == SQLITE_OK;
}

bool st_sqlite_set_read_wait(sqlite3 *db, st_sqlite_wait *wait) {
  return sqlite3_busy_handler(db, wait_to_read, wait) == SQLITE_OK;
}

/* What is under way fails. */
void st_sqlite_interrupt(st_store *store) {
  st_sqlite *sqlite = (st_sqlite *)store;
  sqlite3_interrupt(sqlite->changes.connection);
  sqlite3_interrupt(sqlite->queries.connection);
}
