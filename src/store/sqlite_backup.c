/* Files put in place whole or not at all, and the copy of a store that is in use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/sqlite_internal.h"

/* In one step, which sees one state of the source and, in WAL, blocks nobody. */
static bool copy_pages(sqlite3 *from, sqlite3 *to) {
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
  int code = backup == NULL ? SQLITE_ERROR : SQLITE_BUSY;
  for (int waited = 0; (code & 0xff) == SQLITE_BUSY && waited <= ST_SQLITE_BUSY_MS;
       waited += ST_SQLITE_RETRY_MS) {
    code = sqlite3_backup_step(backup, -1);
    if ((code & 0xff) == SQLITE_BUSY) {
      (void)sqlite3_sleep(ST_SQLITE_RETRY_MS);
    }
  }
  return backup != NULL && sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE;
}

/* From a connection of its own, so that nobody waits for it here either. The
 * copy is switched from WAL, so that it is one file and needs none beside it.
 */
static st_stored copy_into(void *context, const char *path, char *why) {
  st_store *store = context;
  sqlite3 *from = NULL, *to = NULL;
  st_stored stored = ST_STORE_FAILED;
  if (st_sqlite_connect(store->path, &from, why) != ST_STORED ||
      st_sqlite_connect(path, &to, why) != ST_STORED) {
    goto out;
  }
  if (!copy_pages(from, to)) {
    (void)st_sqlite_fail_db(why, path, to, "write");
    goto out;
  }
  stored = st_sqlite_set_journal(path, to, "delete", why);
out:
  if (sqlite3_close(to) != SQLITE_OK && stored == ST_STORED) {
    stored = st_sqlite_fail(why, "cannot write %s: it cannot be closed", st_sqlite_shown(path));
  }
  (void)sqlite3_close(from);
  return stored;
}

static bool sync_path(const char *path, int flags) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) {
    return false;
  }
  bool ok = fsync(fd) == 0;
  int failure = errno;
  (void)close(fd);
  errno = failure;
  return ok;
}

static bool sync_directory_of(const char *path) {
  char *directory = strdup(path);
  if (directory == NULL) {
    return false;
  }
  char *slash = strrchr(directory, '/');
  if (slash != NULL) {
    slash[slash == directory ? 1 : 0] = 0;
  }
  bool ok = sync_path(slash != NULL ? directory : ".", O_DIRECTORY);
  free(directory);
  return ok;
}

/* Atomic, and never over a file that is there. Not every file system can do the
 * first, and not every one the second.
 */
static bool put_in_place(const char *temporary, const char *path) {
  if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS) {
    return false;
  }
  return link(temporary, path) == 0 && unlink(temporary) == 0;
}

static void remove_temporary(const char *temporary) {
  static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
  for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", temporary, suffixes[i]) >= 0) {
      (void)unlink(name);
      free(name);
    }
  }
}

static st_stored place(const char *temporary, const char *path, st_sqlite_fill *fill, void *context,
                       char *why) {
  if (fill(context, temporary, why) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (!sync_path(temporary, 0) || !put_in_place(temporary, path)) {
    st_stored stored = errno == EEXIST ? ST_STORE_EXISTS : ST_STORE_FAILED;
    (void)st_sqlite_fail(why, "cannot write %s: %m", st_sqlite_shown(path));
    return stored;
  }
  if (!sync_directory_of(path)) {
    (void)st_sqlite_fail(why, "cannot write %s: %m", st_sqlite_shown(path));
    (void)unlink(path);
    return ST_STORE_FAILED;
  }
  return ST_STORED;
}

st_stored st_sqlite_place(const char *path, st_sqlite_fill *fill, void *context, char *why) {
  char *temporary = NULL;
  /* Never a name that SQLite reads as something else, ":memory:" or "file:". */
  if (asprintf(&temporary, "%s%s.XXXXXX", path[0] == '/' ? "" : "./", path) < 0) {
    return st_sqlite_fail(why, "cannot write %s: no memory", st_sqlite_shown(path));
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0) {
    (void)st_sqlite_fail(why, "cannot create %s: %m", st_sqlite_shown(path));
    free(temporary);
    return ST_STORE_FAILED;
  }
  (void)close(fd);
  st_stored stored = place(temporary, path, fill, context, why);
  if (stored != ST_STORED) {
    remove_temporary(temporary);
  }
  free(temporary);
  return stored;
}

st_stored st_store_backup(st_store *store, const char *path, char *why) {
  struct stat status;
  if (lstat(path, &status) == 0) {
    return st_sqlite_fail(why, "%s is there already", st_sqlite_shown(path));
  }
  return st_sqlite_place(path, copy_into, store, why) == ST_STORED ? ST_STORED : ST_STORE_FAILED;
}
