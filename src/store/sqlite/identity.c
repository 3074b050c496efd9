/* Checks that the open files are still those at the path. A database that is replaced, cut short or
 * overwritten while it is in use, or whose -wal or -shm is, goes on working for those who have it
 * open; what they change is lost when the last of them closes it, or is mixed into another file. So
 * each change looks before and after its commit, readers look at intervals, and until the files are
 * as they were every question fails.
 *
 * It does not notice a copy that is written over the file byte for byte, in WAL mode and as new as
 * the file is; `subtoken backup` makes no such copy.
 *
 * A look costs five system calls and no lock. The main file is read through SQLite's own handle:
 * see sqlite.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/sqlite/sqlite.h"

/* https://www.sqlite.org/fileformat2.html section 1.3 */
#define HEADER_PAGE_SIZE 16
#define HEADER_WRITE_VERSION 18 /* 2: WAL */
#define HEADER_READ_VERSION 19
#define HEADER_CHANGES 24 /* a counter */
#define HEADER_PAGES 28
#define HEADER_VALID_FOR 92 /* the same counter, written with the first */
#define TORN_MAX 10         /* times that a header is read while somebody writes it */
#define AGAIN_MAX 50        /* times that a file which seems wrong is looked at */
#define AGAIN_MS 10

static const char *const file_suffixes[ST_SQLITE_FILES] = {"", "-wal", "-shm"};

bool st_sqlite_name_files(st_sqlite *store) {
  bool ok = true;
  for (size_t i = 0; i < ST_SQLITE_FILES; i++) {
    char *name = NULL;
    bool made = asprintf(&name, "%s%s", store->base.name, file_suffixes[i]) >= 0;
    store->files[i].name = made ? name : NULL;
    ok = ok && made;
  }
  return ok;
}

void st_sqlite_drop_files(st_sqlite *store) {
  for (size_t i = 0; i < ST_SQLITE_FILES; i++) free(store->files[i].name);
}

bool st_sqlite_remember_files(st_sqlite *store) {
  bool ok = true;
  for (size_t i = 0; i < ST_SQLITE_FILES; i++) {
    ok = stat(store->files[i].name, &store->files[i].opened) == 0 && ok;
  }
  return ok;
}

/* errno: 0, or why it cannot be told; a file that is not there is another one. */
static bool is_same_file(const st_sqlite_file *file) {
  struct stat now;
  errno = 0;
  if (stat(file->name, &now) == 0) {
    return now.st_dev == file->opened.st_dev && now.st_ino == file->opened.st_ino;
  }
  if (errno == ENOENT || errno == ENOTDIR) errno = 0;
  return false;
}

static uint32_t number_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads the start of the open file; what is missing is zeros. A checkpoint may be writing it, so it
 * counts only when both counters in it agree.
 */
static bool read_start(sqlite3 *db, uint8_t header[ST_SQLITE_HEADER_LEN], sqlite3_int64 *size) {
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) return false;
  for (int i = 0; i < TORN_MAX; i++) {
    int code = file->pMethods->xRead(file, header, ST_SQLITE_HEADER_LEN, 0);
    if (code == SQLITE_IOERR_SHORT_READ) code = SQLITE_OK;
    if (code == SQLITE_OK) code = file->pMethods->xFileSize(file, size);
    if (code != SQLITE_OK) return false;
    if (memcmp(header + HEADER_CHANGES, header + HEADER_VALID_FOR, 4) == 0) return true;
    (void)sqlite3_sleep(1);
  }
  return false;
}

/* What one look finds in the file. */
typedef struct content {
  bool read; /* false: it cannot be */
  bool ours; /* a database of ours, in the mode in which it is used */
  uint32_t changes;
  int64_t size, expected; /* in bytes: as it is, and as it says */
} content;

static content read_content(sqlite3 *db) {
  uint8_t header[ST_SQLITE_HEADER_LEN] = {0};
  sqlite3_int64 size = 0;
  content c = {.read = read_start(db, header, &size)};
  c.ours = c.read && st_sqlite_is_ours(header) && header[HEADER_WRITE_VERSION] == 2 &&
           header[HEADER_READ_VERSION] == 2;
  int64_t page = header[HEADER_PAGE_SIZE] << 8 | header[HEADER_PAGE_SIZE + 1];
  c.changes = number_at(header + HEADER_CHANGES);
  c.size = size;
  c.expected = page > 1 ? page * (int64_t)number_at(header + HEADER_PAGES) : 0;
  return c;
}

static void keep_seen(st_sqlite *store, const content *c, uint32_t seen) {
  while ((int32_t)(c->changes - seen) > 0 &&
         !atomic_compare_exchange_weak(&store->changes_seen, &seen, c->changes)) {
  }
  atomic_store(&store->size_seen, c->size);
}

/* In WAL mode the counter in the file never goes back, and the file gets shorter only by a VACUUM,
 * which writes the new length into it first. A copy made by `subtoken backup` is not in WAL mode.
 * What was seen before is loaded before the file is read, because other threads look too.
 */
static bool seems_same(st_sqlite *store, sqlite3 *db) {
  uint32_t seen = atomic_load(&store->changes_seen);
  int64_t size_seen = atomic_load(&store->size_seen);
  content c = read_content(db);
  bool shorter = c.size < size_seen && c.size < c.expected;
  if (!c.ours || (int32_t)(c.changes - seen) < 0 || shorter) return false;
  keep_seen(store, &c, seen);
  return true;
}

/* The file may be being written back, or have been between two reads above; what is really wrong
 * stays wrong. Once known to be wrong it is not waited for again.
 */
static bool is_same_content(st_sqlite *store, sqlite3 *db) {
  bool same = seems_same(store, db);
  for (int i = 0; !same && i < AGAIN_MAX && !atomic_load(&store->displaced); i++) {
    (void)sqlite3_sleep(AGAIN_MS);
    same = seems_same(store, db);
  }
  return same;
}

/* What is wrong, or NULL. errno: 0, or why it cannot be told. */
static const char *fault_of(st_sqlite *store, sqlite3 *db, st_sqlite_file_state *state) {
  int moved = 0;
  *state = ST_SQLITE_REPLACED;
  bool same = is_same_file(&store->files[0]);
  bool known = same ? sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK
                    : errno == 0;
  if (!known) return "cannot be looked at";
  if (!same || moved != 0) {
    errno = 0; /* SQLite has looked as well */
    return "was replaced while it was in use: restart";
  }
  *state = ST_SQLITE_OVERWRITTEN;
  if (!is_same_content(store, db)) {
    bool read = read_content(db).read;
    errno = 0;
    if (!read) return "cannot be read";
    return "was overwritten or cut short while it was in use: stop this, then restore a backup";
  }
  *state = ST_SQLITE_REPLACED;
  for (size_t i = 1; i < ST_SQLITE_FILES; i++) {
    if (!is_same_file(&store->files[i])) {
      if (errno != 0) return "cannot be looked at";
      return "has lost its -wal or -shm while it was in use: stop this, which saves what they "
             "held, and start again";
    }
  }
  *state = ST_SQLITE_IN_PLACE;
  return NULL;
}

st_sqlite_file_state st_sqlite_look(st_sqlite *store, sqlite3 *db, char *error) {
  st_sqlite_file_state state;
  const char *fault = fault_of(store, db, &state);
  atomic_store(&store->displaced, fault != NULL);
  if (fault != NULL) {
    const char *path = st_error_path(store->base.name);
    (void)(errno != 0 ? st_db_fail(error, "%s %s: %m", path, fault)
                      : st_db_fail(error, "%s %s", path, fault));
  }
  return state;
}

bool st_sqlite_in_place(st_sqlite *store, sqlite3 *db, char *error) {
  return st_sqlite_look(store, db, error) == ST_SQLITE_IN_PLACE;
}
