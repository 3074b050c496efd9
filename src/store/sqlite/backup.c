/* Files put in place whole or not at all, and the copy of a store that is in use. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* As of one moment: the read transaction of the source goes on meanwhile, which in WAL blocks
 * nobody.
 */
static bool copy_pages(const copy *c, sqlite3 *from, sqlite3 *to) {
  int64_t unused = 0;
  if (sqlite3_exec(from, "BEGIN", NULL, NULL, NULL) != SQLITE_OK ||
      !st_sqlite_ask_integer(from, "SELECT count(*) FROM sqlite_schema", &unused)) {
    return false;
  }
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
  int code = backup == NULL ? SQLITE_ERROR : SQLITE_OK;
  while (code == SQLITE_OK && !is_stopped(c)) {
    code = sqlite3_backup_step(backup, PAGES_AT_A_TIME);
  }
  bool copied = backup != NULL && sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE;
  return sqlite3_exec(from, "COMMIT", NULL, NULL, NULL) == SQLITE_OK && copied;
}

/* From a connection of its own, so that nobody waits for it here either. The
 * copy is switched from WAL, so that it is one file and needs none beside it.
 */
static st_store_status copy_into(void *context, const char *path, char *error) {
  const copy *c = context;
  sqlite3 *from = NULL, *to = NULL;
  st_store_status stored = ST_STORE_FAILED;
  if (st_sqlite_connect(c->store->base.name, &from, error) != ST_STORE_OK ||
      st_sqlite_connect(path, &to, error) != ST_STORE_OK) {
    goto out;
  }
  if (!st_sqlite_in_place(c->store, from, error)) {
    goto out;
  }
  if (!copy_pages(c, from, to)) {
    bool source = sqlite3_errcode(to) == SQLITE_OK && sqlite3_errcode(from) != SQLITE_OK;
    (void)st_sqlite_fail_db(error, source ? c->store->base.name : path, source ? from : to,
                            source ? "read" : "write");
    goto out;
  }
  stored = st_sqlite_set_journal(path, to, "delete", error);
out:
  if (sqlite3_close(to) != SQLITE_OK && stored == ST_STORE_OK) {
    stored = st_db_fail(error, "cannot write %s: it cannot be closed", st_error_path(path));
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

/* What lies between a file's name and six characters, while it is made. */
#define TEMPORARY ".subtoken-"
static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
#define SUFFIXES (sizeof suffixes / sizeof *suffixes)

static void remove_temporary(const char *temporary) {
  for (size_t i = 0; i < SUFFIXES; i++) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", temporary, suffixes[i]) >= 0) {
      (void)unlink(name);
      free(name);
    }
  }
}

/* ---- what killed runs have left ---- */

static bool is_leftover(const char *name, const char *base) {
  size_t len = strlen(base), fixed = len + sizeof TEMPORARY - 1 + 6;
  if (strncmp(name, base, len) != 0 || strncmp(name + len, TEMPORARY, sizeof TEMPORARY - 1) != 0 ||
      strlen(name) < fixed) {
    return false;
  }
  for (size_t i = 0; i < SUFFIXES; i++) {
    if (strcmp(name + fixed, suffixes[i]) == 0) {
      return true;
    }
  }
  return false;
}

static void remove_leftovers(int directory, const char *base) {
  int again = dup(directory);
  DIR *listing = again < 0 ? NULL : fdopendir(again);
  struct dirent *entry;
  while (listing != NULL && (entry = readdir(listing)) != NULL) {
    if (is_leftover(entry->d_name, base)) {
      (void)unlinkat(directory, entry->d_name, 0);
    }
  }
  if (listing != NULL) {
    (void)closedir(listing);
  } else if (again >= 0) {
    (void)close(again);
  }
}

#define SHARE_MS 2000 /* more than removing takes: then something else has the lock */

/* Once nobody removes anything any more. */
static void share_lock(int directory) {
  for (int waited = 0;
       flock(directory, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK && waited < SHARE_MS;
       waited += ST_SQLITE_RETRY_MS) {
    (void)sqlite3_sleep(ST_SQLITE_RETRY_MS);
  }
}

/* Whoever makes a file shares a lock on its directory meanwhile; whoever has that alone knows that
 * what is left there belongs to nobody. Where there are no such locks it stays. -1: no directory.
 */
static int enter_directory(const char *path) {
  char *directory = strdup(path);
  char *slash = directory != NULL ? strrchr(directory, '/') : NULL;
  if (slash == NULL) { /* st_sqlite_place has seen to that */
    free(directory);
    return -1;
  }
  slash[slash == directory ? 1 : 0] = 0;
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
    remove_leftovers(fd, strrchr(path, '/') + 1);
  }
  if (fd >= 0) {
    share_lock(fd);
  }
  free(directory);
  return fd;
}

/* ---- put in place ---- */

static st_store_status place(const char *temporary, const char *path, st_sqlite_fill *fill,
                             void *context, char *error) {
  if (fill(context, temporary, error) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  if (!sync_path(temporary, 0) || !put_in_place(temporary, path)) {
    st_store_status stored = errno == EEXIST ? ST_STORE_EXISTS : ST_STORE_FAILED;
    (void)st_db_fail(error, "cannot write %s: %m", st_error_path(path));
    return stored;
  }
  if (!sync_directory_of(path)) {
    (void)st_db_fail(error, "cannot write %s: %m", st_error_path(path));
    (void)unlink(path);
    return ST_STORE_FAILED;
  }
  return ST_STORE_OK;
}

/* path has a slash in it. */
static st_store_status place_new(const char *path, st_sqlite_fill *fill, void *context,
                                 char *error) {
  char *temporary = NULL;
  if (asprintf(&temporary, "%s" TEMPORARY "XXXXXX", path) < 0) {
    return st_db_fail(error, "cannot write %s: out of memory", st_error_path(path));
  }
  int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
  if (fd < 0) {
    (void)st_db_fail(error, "cannot create %s: %m", st_error_path(temporary));
    free(temporary);
    return ST_STORE_FAILED;
  }
  (void)close(fd);
  st_store_status stored = place(temporary, path, fill, context, error);
  if (stored != ST_STORE_OK) {
    remove_temporary(temporary);
  }
  free(temporary);
  return stored;
}

/* Never a name that SQLite reads as something else, ":memory:" or "file:". */
st_store_status st_sqlite_place(const char *path, st_sqlite_fill *fill, void *context,
                                char *error) {
  char *whole = NULL;
  if (asprintf(&whole, "%s%s", path[0] == '/' ? "" : "./", path) < 0) {
    return st_db_fail(error, "cannot write %s: out of memory", st_error_path(path));
  }
  int directory = enter_directory(whole);
  st_store_status stored = place_new(whole, fill, context, error);
  if (directory >= 0) {
    (void)close(directory);
  }
  free(whole);
  return stored;
}

st_store_status st_sqlite_backup(st_store *store, const char *path, const volatile int *stop,
                                 char *error) {
  struct stat status;
  copy c = {(st_sqlite *)store, stop};
  if (lstat(path, &status) == 0) {
    return st_db_fail(error, "%s already exists", st_error_path(path));
  }
  st_store_status stored = st_sqlite_place(path, copy_into, &c, error);
  if (stored != ST_STORE_OK && is_stopped(&c)) {
    (void)st_db_fail(error, "%s was not written: interrupted", st_error_path(path));
  }
  return stored == ST_STORE_OK ? ST_STORE_OK : ST_STORE_FAILED;
}
