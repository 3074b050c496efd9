/* The copy of a store that is in use, and how a new file of SQLite is put in place (os/replace.h):
 * SQLite writes it itself, under the temporary name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/sqlite/sqlite.h"

#define PAGES_AT_A_TIME 256

/* What a backup copies, and what ends it early. */
typedef struct copy {
  st_sqlite *store;
  const volatile int *stop; /* or NULL */
} copy;

static bool is_stopped(const copy *c) {
  return c->stop != NULL && *c->stop != 0;
}

/* The copy is of one moment: the read transaction of the source goes on meanwhile, which in WAL
 * mode blocks nobody.
 */
static bool copy_pages(const copy *c, sqlite3 *from, sqlite3 *to) {
  int64_t unused = 0;
  if (sqlite3_exec(from, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
      !st_sqlite_ask_integer(from, "SELECT count(*) FROM sqlite_schema", &unused)) {
    return false;
  }
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
  int code = backup == NULL ? SQLITE_ERROR : SQLITE_OK;
  while (code == SQLITE_OK && !is_stopped(c)) code = sqlite3_backup_step(backup, PAGES_AT_A_TIME);
  bool copied = backup != NULL && sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE;
  return sqlite3_exec(from, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && copied;
}

/* On a connection of its own, so that nobody waits for it. The copy is switched from WAL mode, so
 * that it is one file.
 */
static bool copy_into(void *context, const char *path, char *error) {
  const copy *c = context;
  sqlite3 *from = NULL, *to = NULL;
  st_store_status status = ST_STORE_FAILED;
  if (st_sqlite_connect(c->store->base.name, &from, error) != ST_STORE_OK ||
      st_sqlite_connect(path, &to, error) != ST_STORE_OK) {
    goto out;
  }
  if (!st_sqlite_in_place(c->store, from, error)) goto out;
  if (!copy_pages(c, from, to)) {
    bool source = sqlite3_errcode(to) == SQLITE_OK && sqlite3_errcode(from) != SQLITE_OK;
    (void)st_sqlite_fail_db(error, source ? c->store->base.name : path, source ? from : to,
                            source ? "read" : "write");
    goto out;
  }
  status = st_sqlite_set_journal(path, to, "delete", error);
out:
  if (sqlite3_close(to) != SQLITE_OK && status == ST_STORE_OK) {
    status = st_db_fail(error, "cannot write %s: it cannot be closed", st_error_path(path));
  }
  (void)sqlite3_close(from);
  return status == ST_STORE_OK;
}

/* What SQLite leaves beside a file whose name goes on with these. */
static const char *const backup_suffixes[] = {"-journal", "-wal", "-shm", NULL};

/* Never a name that SQLite reads as something else, ":memory:" or "file:". */
st_store_status st_sqlite_place(const char *path, st_replace_fill *fill, void *context,
                                char *error) {
  char *whole = NULL;
  bool exists;
  if (asprintf(&whole, "%s%s", path[0] == '/' ? "" : "./", path) < 0) {
    return st_db_fail(error, "cannot write %s: out of memory", st_error_path(path));
  }
  bool made = st_replace_fill_new(whole, backup_suffixes, fill, context, &exists, error);
  free(whole);
  return made ? ST_STORE_OK : exists ? ST_STORE_EXISTS : ST_STORE_FAILED;
}

st_store_status st_sqlite_backup(st_store *store, const char *path, const volatile int *stop,
                                 char *error) {
  struct stat there;
  copy c = {(st_sqlite *)store, stop};
  if (lstat(path, &there) == 0) return st_db_fail(error, "%s already exists", st_error_path(path));
  st_store_status status = st_sqlite_place(path, copy_into, &c, error);
  if (status != ST_STORE_OK && is_stopped(&c)) {
    (void)st_db_fail(error, "%s was not written: interrupted", st_error_path(path));
  }
  return status == ST_STORE_OK ? ST_STORE_OK : ST_STORE_FAILED;
}
