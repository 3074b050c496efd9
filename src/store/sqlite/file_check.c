/* Decides whether a file may be opened: it must be ours, private and whole, and no backup beside
 * the -wal of another file. It is looked at before SQLite may write to it, so what is not ours
 * stays untouched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/sqlite/sqlite.h"

/* Size of path with a suffix, 0 when it is not there. */
int64_t st_sqlite_size_beside(const char *path, const char *suffix) {
  char *name = NULL;
  struct stat status;
  int64_t size = 0;
  if (asprintf(&name, "%s%s", path, suffix) < 0) return 0;
  if (stat(name, &status) == 0) size = status.st_size;
  free(name);
  return size;
}

st_store_status st_sqlite_check_owner(const char *path, bool trust_group, int64_t *size,
                                      char *error) {
  struct stat status;
  if (stat(path, &status) != 0) return st_db_fail(error, "cannot open %s: %m", st_error_path(path));
  if (!S_ISREG(status.st_mode)) {
    return st_db_fail(error, "%s is not a regular file", st_error_path(path));
  }
  mode_t group = S_IRGRP | S_IWGRP;
  bool shared = trust_group && (status.st_mode & group) == group;
  if (status.st_uid != geteuid() && status.st_uid != 0 && !shared) {
    return st_db_fail(error,
                      "%s belongs to user %u, but this process runs as user %u: run it as that "
                      "user, or chown it",
                      st_error_path(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (trust_group ? S_IRWXO : S_IRWXG | S_IRWXO)) != 0) {
    return st_db_fail(error, "%s is open to others than its owner%s (mode %04o): chmod %s it",
                      st_error_path(path), trust_group ? " and group" : "",
                      (unsigned)(status.st_mode & 07777), trust_group ? "660" : "600");
  }
  *size = status.st_size;
  return ST_STORE_OK;
}

/* Read the start of a file through the VFS; what is missing is zeros. */
static int read_header(sqlite3_vfs *vfs, sqlite3_file *file, sqlite3_filename name,
                       uint8_t header[ST_SQLITE_HEADER_LEN]) {
  int code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, NULL);
  if (code == SQLITE_OK) code = file->pMethods->xRead(file, header, ST_SQLITE_HEADER_LEN, 0);
  if (file->pMethods != NULL) (void)file->pMethods->xClose(file);
  return code == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : code;
}

static st_store_status peek(const char *path, uint8_t header[ST_SQLITE_HEADER_LEN], char *error) {
  sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
  sqlite3_filename name = sqlite3_create_filename(path, "", "", 0, NULL);
  sqlite3_file *file = vfs == NULL ? NULL : calloc(1, (size_t)vfs->szOsFile);
  int code = SQLITE_NOMEM;
  if (name != NULL && file != NULL) code = read_header(vfs, file, name, header);
  sqlite3_free_filename(name);
  free(file);
  return code == SQLITE_OK
             ? ST_STORE_OK
             : st_db_fail(error, "cannot open %s: %s", st_error_path(path), sqlite3_errstr(code));
}

bool st_sqlite_is_ours(const uint8_t *header) {
  static const uint8_t id[4] = {
      ST_SQLITE_APPLICATION_ID >> 24 & 0xff, ST_SQLITE_APPLICATION_ID >> 16 & 0xff,
      ST_SQLITE_APPLICATION_ID >> 8 & 0xff, ST_SQLITE_APPLICATION_ID & 0xff};
  return memcmp(header, "SQLite format 3", 16) == 0 && memcmp(header + 68, id, sizeof id) == 0;
}

/* What SQLite would not complain of. A file that is not in WAL mode and has a -wal is a backup put
 * beside the rest of another database, which SQLite would mix into it. A page that is cut off is
 * read as zeros, and is right only if the -wal or journal has all of it.
 */
static st_store_status check_ours(const char *path, const uint8_t header[ST_SQLITE_HEADER_LEN],
                                  int64_t size, int64_t changes, char *error) {
  int64_t page = header[16] << 8 | header[17];
  if (changes > 0 && header[18] == 1 && header[19] == 1) {
    return st_db_fail(error, "%s is a copy, but beside it is the -wal of another: move that away",
                      st_error_path(path));
  }
  if (changes == 0 && st_sqlite_size_beside(path, "-journal") == 0 && page > 1 &&
      size % page != 0) {
    return st_sqlite_fail_damaged(error, path, "it was cut short");
  }
  return ST_STORE_OK;
}

/* Before SQLite may write. A new file is put in place complete, so an empty one has lost what it
 * held.
 */
st_store_status st_sqlite_check_file(const char *path, bool trust_group, int64_t *size,
                                     char *error) {
  int64_t changes = st_sqlite_size_beside(path, "-wal");
  uint8_t header[ST_SQLITE_HEADER_LEN] = {0};
  if (st_sqlite_check_owner(path, trust_group, size, error) != ST_STORE_OK ||
      peek(path, header, error) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  if (st_sqlite_is_ours(header)) return check_ours(path, header, *size, changes, error);
  return st_db_fail(error, "%s is %s: restore a backup", st_error_path(path),
                    *size == 0 ? "empty" : "not a database of subtoken, or is damaged");
}

st_store_status st_sqlite_check_pages(const char *path, sqlite3 *db, char *error) {
  sqlite3_stmt *statement = NULL;
  st_store_status status = ST_STORE_FAILED;
  if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW) {
    status = st_sqlite_fail_db(error, path, db, "check");
  } else {
    const char *found = (const char *)sqlite3_column_text(statement, 0);
    status = found == NULL              ? st_sqlite_fail_db(error, path, db, "check")
             : strcmp(found, "ok") == 0 ? ST_STORE_OK
                                        : st_sqlite_fail_damaged(error, path, found);
  }
  (void)sqlite3_finalize(statement);
  return status;
}
