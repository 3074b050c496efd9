/* Opening the store: judging the file, connecting, bringing its schema up to date. */
#include "store/db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/store.h"
#include "os/error.h"
#include "os/semaphore.h"

#define APPLICATION_ID 0x53756254  /* "SubT", at byte 68 of the file */
#define HEADER_LEN 100             /* https://www.sqlite.org/fileformat2.html section 1.3 */
#define QUICK_CHECK_MAX (64 << 20) /* bytes; checking takes time linear in the size */

/* Step N makes schema version N + 1. A step that was released is never edited. A
 * deleted key keeps its row: for the audit, and so that its digest and its sub
 * are recognised and can never be given again.
 */
static const char *const migrations[] = {
    "CREATE TABLE keys ("
    "  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),"
    "  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),"
    "  sub TEXT NOT NULL UNIQUE CHECK (length(sub) = 43),"
    "  name TEXT NOT NULL,"
    "  owner TEXT NOT NULL,"
    "  permissions TEXT NOT NULL," /* joined by commas */
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER," /* NULL: never */
    "  disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),"
    "  changed_at INTEGER NOT NULL,"
    "  deleted_at INTEGER" /* NULL: it lives */
    ") STRICT;"
    "CREATE UNIQUE INDEX keys_live ON keys (id) WHERE deleted_at IS NULL;"
    "CREATE TABLE revoked ("
    "  sub TEXT NOT NULL PRIMARY KEY CHECK (length(sub) = 43),"
    "  key_id TEXT NOT NULL REFERENCES keys (id),"
    "  revoked_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE facts ("
    "  name TEXT NOT NULL PRIMARY KEY,"
    "  value INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;",

    /* What the revocation data lists, and which hashes were touched at which sequence: complete
     * from changes_from on. Whether a hash that was touched is listed, `listed` knows.
     */
    "INSERT INTO facts (name, value) VALUES ('hash_key_0', random()), ('hash_key_1', random()),"
    "  ('sequence', 1), ('changes_from', 1);"
    "CREATE TABLE listed ("
    "  sub TEXT NOT NULL PRIMARY KEY CHECK (length(sub) = 43),"
    "  hash INTEGER NOT NULL,"
    "  revoked_at INTEGER" /* NULL: its key is disabled, and it stays while that is so */
    ") STRICT, WITHOUT ROWID;"
    "INSERT INTO listed SELECT sub, revocation_hash("
    "    (SELECT value FROM facts WHERE name = 'hash_key_0'),"
    "    (SELECT value FROM facts WHERE name = 'hash_key_1'), sub), revoked_at FROM revoked;"
    "INSERT OR IGNORE INTO listed SELECT sub, revocation_hash("
    "    (SELECT value FROM facts WHERE name = 'hash_key_0'),"
    "    (SELECT value FROM facts WHERE name = 'hash_key_1'), sub), NULL FROM keys"
    "  WHERE disabled = 1 AND deleted_at IS NULL;"
    "CREATE INDEX listed_hash ON listed (hash);"
    "CREATE INDEX listed_at ON listed (revoked_at) WHERE revoked_at IS NOT NULL;"
    "CREATE TABLE changes ("
    "  sequence INTEGER NOT NULL,"
    "  hash INTEGER NOT NULL,"
    "  PRIMARY KEY (sequence, hash)"
    ") STRICT, WITHOUT ROWID;",

    /* Persons and logins have rows among the keys: what they grant is asked for in the same way. A
     * login's row goes when no token of it can live, and what is known of it with it: hence the
     * index by which `revoked` finds its rows.
     */
    "ALTER TABLE keys ADD COLUMN kind INTEGER NOT NULL DEFAULT 0 CHECK (kind BETWEEN 0 AND 3);"
    "ALTER TABLE keys ADD COLUMN parent TEXT CHECK (length(parent) = 36);"
    "ALTER TABLE keys ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0"
    "  CHECK (suspended IN (0, 1));"
    "DROP INDEX keys_live;"
    "CREATE UNIQUE INDEX keys_kept ON keys (id) WHERE kind = 0 AND deleted_at IS NULL;"
    "CREATE UNIQUE INDEX keys_owned ON keys (owner, id) WHERE kind = 0 AND deleted_at IS NULL;"
    "CREATE INDEX keys_resting ON keys (parent) WHERE parent IS NOT NULL AND deleted_at IS NULL;"
    "CREATE INDEX keys_ended ON keys (coalesce(deleted_at, expires_at)) WHERE kind >= 2;"
    "CREATE INDEX revoked_of ON revoked (key_id);"
    "CREATE TABLE persons ("
    "  login TEXT NOT NULL PRIMARY KEY CHECK (login <> ''),"
    "  key_id TEXT NOT NULL UNIQUE REFERENCES keys (id),"
    "  password TEXT NOT NULL,"
    "  imported TEXT," /* NULL: no import has made it */
    "  locale TEXT NOT NULL,"
    "  source TEXT NOT NULL,"
    "  changed_at INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE logins ("
    "  key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id),"
    "  seed BLOB NOT NULL CHECK (length(seed) = 32)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE refresh ("
    "  hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),"
    "  key_id TEXT NOT NULL REFERENCES keys (id),"
    "  expires_at INTEGER NOT NULL,"
    "  used_at INTEGER" /* NULL: not yet */
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX refresh_of ON refresh (key_id);"
    "CREATE INDEX refresh_expiry ON refresh (expires_at);"
    "CREATE TABLE used ("
    "  key_id TEXT NOT NULL PRIMARY KEY,"
    "  used_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE audit ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  at INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  action TEXT NOT NULL,"
    "  target TEXT NOT NULL,"
    "  detail TEXT NOT NULL"
    ") STRICT;",

    /* Who made a key or user and who disabled it: the id of a row, NULL for the command line. Who
     * registered by himself, and whose password was set here after an import. For what was there
     * before, the audit log knows it. keys_users finds users who were deleted, too.
     */
    "ALTER TABLE keys ADD COLUMN made_by TEXT CHECK (length(made_by) = 36);"
    "ALTER TABLE keys ADD COLUMN disabled_by TEXT CHECK (length(disabled_by) = 36);"
    "ALTER TABLE persons ADD COLUMN registered INTEGER NOT NULL DEFAULT 0"
    "  CHECK (registered IN (0, 1));"
    "ALTER TABLE persons ADD COLUMN own_password INTEGER NOT NULL DEFAULT 0"
    "  CHECK (own_password IN (0, 1));"
    "CREATE INDEX keys_users ON keys (owner) WHERE kind = 1;"
    "UPDATE keys SET made_by = substr(a.who, 5) FROM audit AS a"
    "  WHERE a.action = 'key.create' AND a.who GLOB 'key *' AND length(a.who) = 40"
    "  AND keys.id = a.target;"
    "UPDATE keys SET made_by = (SELECT u.id FROM keys AS u WHERE u.kind = 1"
    "    AND u.owner = substr(a.who, 8) AND u.created_at <= a.at ORDER BY u.created_at DESC LIMIT "
    "1)"
    "  FROM audit AS a WHERE a.action = 'key.create' AND a.who GLOB 'person *'"
    "  AND keys.id = a.target;"
    "UPDATE keys SET made_by = iif(a.who GLOB 'key *', substr(a.who, 5), (SELECT u.id"
    "    FROM keys AS u WHERE u.kind = 1 AND u.owner = substr(a.who, 8)"
    "    AND u.created_at <= a.at ORDER BY u.created_at DESC LIMIT 1))"
    "  FROM audit AS a WHERE a.action = 'user.create' AND a.origin <> 'command line'"
    "  AND (a.who GLOB 'person *' OR (a.who GLOB 'key *' AND length(a.who) = 40))"
    "  AND keys.kind = 1 AND keys.owner = a.target AND keys.created_at = a.at;"
    "UPDATE keys SET disabled_by = p.key_id FROM persons AS p,"
    "    (SELECT target, who, max(id) FROM audit WHERE action = 'key.disable' GROUP BY target) AS a"
    "  WHERE keys.id = a.target AND keys.disabled = 1 AND a.who = 'person ' || p.login;"
    "UPDATE persons SET registered = 1 WHERE login IN (SELECT target FROM"
    "  (SELECT target, action, max(id) FROM audit WHERE action IN"
    "    ('user.create', 'user.register', 'user.import', 'user.delete') GROUP BY target)"
    "  WHERE action = 'user.register');"
    "UPDATE persons SET own_password = 1 WHERE imported IS NOT NULL"
    "  AND login IN (SELECT target FROM audit WHERE action = 'user.password');"
    "CREATE INDEX keys_made ON keys (made_by) WHERE made_by IS NOT NULL;",

    /* When what is listed may go: `lived` counts the seconds that a server has lived through, and
     * `lived_at` is what it was at the revocation. `given` are the sequences that this store gave,
     * complete from given_from on. What was signed before that could be remembered may live for as
     * long as without a configuration.
     */
    "ALTER TABLE listed ADD COLUMN lived_at INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE given (sequence INTEGER NOT NULL PRIMARY KEY) STRICT;"
    "INSERT INTO given SELECT value FROM facts WHERE name = 'sequence';"
    "INSERT INTO facts (name, value) SELECT 'given_from', value FROM facts"
    "  WHERE name = 'sequence';"
    "INSERT INTO facts (name, value) VALUES ('lived', 0);"
    "INSERT OR IGNORE INTO facts (name, value) SELECT 'max_life', 31536000"
    "  WHERE EXISTS (SELECT 1 FROM keys);"
    "DELETE FROM facts WHERE name = 'purge_time';",
};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

/* ---- Opening: is the file ours, and in order? ---- */

/* Size of path with a suffix, 0 when it is not there. */
static int64_t size_beside(const char *path, const char *suffix) {
  char *name = NULL;
  struct stat status;
  int64_t size = 0;
  if (asprintf(&name, "%s%s", path, suffix) < 0) {
    return 0;
  }
  if (stat(name, &status) == 0) {
    size = status.st_size;
  }
  free(name);
  return size;
}

static bool group_trusted;

void st_store_trust_group(bool trust) {
  group_trusted = trust;
}

static st_stored check_owner(const char *path, int64_t *size, char *error) {
  struct stat status;
  if (stat(path, &status) != 0) {
    return st_sqlite_fail(error, "cannot open %s: %m", st_sqlite_shown(path));
  }
  if (!S_ISREG(status.st_mode)) {
    return st_sqlite_fail(error, "%s is not a regular file", st_sqlite_shown(path));
  }
  mode_t group = S_IRGRP | S_IWGRP;
  bool shared = group_trusted && (status.st_mode & group) == group;
  if (status.st_uid != geteuid() && status.st_uid != 0 && !shared) {
    return st_sqlite_fail(error, "%s belongs to user %u, and this runs as user %u",
                          st_sqlite_shown(path), status.st_uid, geteuid());
  }
  if ((status.st_mode & (group_trusted ? S_IRWXO : S_IRWXG | S_IRWXO)) != 0) {
    return st_sqlite_fail(error, "%s is open to others than its owner%s (mode %04o): chmod %s it",
                          st_sqlite_shown(path), group_trusted ? " and group" : "",
                          (unsigned)(status.st_mode & 07777), group_trusted ? "660" : "600");
  }
  *size = status.st_size;
  return ST_STORED;
}

/* Read the start of a file through the VFS; what is missing is zeros. */
static int read_header(sqlite3_vfs *vfs, sqlite3_file *file, sqlite3_filename name,
                       uint8_t header[HEADER_LEN]) {
  int code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB, NULL);
  if (code == SQLITE_OK) {
    code = file->pMethods->xRead(file, header, HEADER_LEN, 0);
  }
  if (file->pMethods != NULL) {
    (void)file->pMethods->xClose(file);
  }
  return code == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : code;
}

static st_stored peek(const char *path, uint8_t header[HEADER_LEN], char *error) {
  sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
  sqlite3_filename name = sqlite3_create_filename(path, "", "", 0, NULL);
  sqlite3_file *file = vfs == NULL ? NULL : calloc(1, (size_t)vfs->szOsFile);
  int code = SQLITE_NOMEM;
  if (name != NULL && file != NULL) {
    code = read_header(vfs, file, name, header);
  }
  sqlite3_free_filename(name);
  free(file);
  return code == SQLITE_OK ? ST_STORED
                           : st_sqlite_fail(error, "cannot open %s: %s", st_sqlite_shown(path),
                                            sqlite3_errstr(code));
}

bool st_sqlite_is_ours(const uint8_t *header) {
  static const uint8_t id[4] = {APPLICATION_ID >> 24 & 0xff, APPLICATION_ID >> 16 & 0xff,
                                APPLICATION_ID >> 8 & 0xff, APPLICATION_ID & 0xff};
  return memcmp(header, "SQLite format 3", 16) == 0 && memcmp(header + 68, id, sizeof id) == 0;
}

/* What can be wrong with a file of ours that SQLite would not complain of. A
 * plain file with a -wal is a backup put beside what is left of another file,
 * which SQLite would mix into it. A page that is cut off is read as zeros, and
 * is in order only where the -wal or journal has it whole.
 */
static st_stored check_ours(const char *path, const uint8_t header[HEADER_LEN], int64_t size,
                            int64_t changes, char *error) {
  int64_t page = header[16] << 8 | header[17];
  if (changes > 0 && header[18] == 1 && header[19] == 1) {
    return st_sqlite_fail(error,
                          "%s is a copy, but beside it is the -wal of another: move that away",
                          st_sqlite_shown(path));
  }
  if (changes == 0 && size_beside(path, "-journal") == 0 && page > 1 && size % page != 0) {
    return st_sqlite_fail_damaged(error, path, "it was cut short");
  }
  return ST_STORED;
}

/* Judge the bytes before SQLite may write any: what is not ours stays untouched. A
 * file is put in place complete, so one that is empty has lost what it held.
 */
static st_stored check_file(const char *path, int64_t *size, char *error) {
  int64_t changes = size_beside(path, "-wal");
  uint8_t header[HEADER_LEN] = {0};
  if (check_owner(path, size, error) != ST_STORED || peek(path, header, error) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (st_sqlite_is_ours(header)) {
    return check_ours(path, header, *size, changes, error);
  }
  return st_sqlite_fail(error, "%s is %s: restore a backup", st_sqlite_shown(path),
                        *size == 0 ? "empty" : "not a database of subtoken, or is damaged");
}

/* ---- Opening: connections and schema ---- */

/* The version of the schema; 0 and *empty for a file that has nothing in it. */
static st_stored ask_version(const char *path, sqlite3 *db, int64_t *version, bool *empty,
                             char *error) {
  int64_t id = 0, tables = 0;
  if (!st_sqlite_ask_integer(db, "PRAGMA application_id", &id) ||
      !st_sqlite_ask_integer(db, "PRAGMA user_version", version) ||
      !st_sqlite_ask_integer(db, "SELECT count(*) FROM sqlite_schema", &tables)) {
    return st_sqlite_fail_db(error, path, db, "open");
  }
  *empty = id == 0 && *version == 0 && tables == 0;
  if (id != APPLICATION_ID && !*empty) {
    return st_sqlite_fail(error, "%s is not a database of subtoken", st_sqlite_shown(path));
  }
  if (*version < 0 || *version > VERSION) {
    return st_sqlite_fail(error,
                          "%s has schema %lld, and this program knows up to %d: use a newer one",
                          st_sqlite_shown(path), (long long)*version, VERSION);
  }
  return ST_STORED;
}

static st_stored migrate(const char *path, sqlite3 *db, char *error) {
  int64_t version = 0;
  bool empty = false;
  char sql[96];
  if (ask_version(path, db, &version, &empty, error) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  for (int64_t step = version; step < VERSION; step++) {
    if (sqlite3_exec(db, migrations[step], NULL, NULL, NULL) != SQLITE_OK) {
      return st_sqlite_fail_db(error, path, db, "bring up to date");
    }
  }
  (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 APPLICATION_ID, VERSION);
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
             ? ST_STORED
             : st_sqlite_fail_db(error, path, db, "bring up to date");
}

/* Two questions, two moments: somebody may change the file between them, so that
 * only a yes counts here.
 */
static bool is_current(sqlite3 *db) {
  int64_t version = 0, id = 0;
  return st_sqlite_ask_integer(db, "PRAGMA user_version", &version) && version == VERSION &&
         st_sqlite_ask_integer(db, "PRAGMA application_id", &id) && id == APPLICATION_ID;
}

/* All steps that are missing and the version, or nothing: a new file goes from
 * empty to complete in one transaction, before it is switched to WAL. Judged in
 * that transaction, because another process may be at it, too.
 */
static st_stored update_schema(const char *path, sqlite3 *db, char *error) {
  if (is_current(db)) {
    return ST_STORED;
  }
  if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
    return st_sqlite_fail_db(error, path, db, "open");
  }
  st_stored stored = migrate(path, db, error);
  if (stored == ST_STORED && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
    stored = st_sqlite_fail_db(error, path, db, "write");
  }
  if (sqlite3_get_autocommit(db) == 0) {
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  }
  return stored;
}

/* A new database, complete and in WAL mode: the fill of st_sqlite_place. */
static st_stored build(void *unused, const char *path, char *error) {
  (void)unused;
  sqlite3 *db = NULL;
  st_stored stored = st_sqlite_connect(path, &db, error);
  if (stored == ST_STORED) {
    stored = update_schema(path, db, error);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_set_journal(path, db, "wal", error);
  }
  if (sqlite3_close(db) != SQLITE_OK && stored == ST_STORED) {
    stored = st_sqlite_fail(error, "cannot write %s: it cannot be closed", st_sqlite_shown(path));
  }
  return stored;
}

/* The absolute path, links resolved, of a file that is there now. Another process may
 * make it at the same time: whose is in place first is everybody's.
 */
static st_stored find_file(const char *path, bool create, char **found, char *error) {
  struct stat status;
  int64_t changes = size_beside(path, "-wal"); /* before we look for the file: it comes later */
  bool missing = stat(path, &status) != 0 && errno == ENOENT;
  if (missing && changes > 0) {
    return st_sqlite_fail(error, "%s is missing, but its -wal is there: restore a backup",
                          st_sqlite_shown(path));
  }
  if (missing && create && st_sqlite_place(path, build, NULL, error) == ST_STORE_FAILED) {
    return ST_STORE_FAILED;
  }
  *found = realpath(path, NULL);
  return *found != NULL ? ST_STORED
                        : st_sqlite_fail(error, "cannot open %s: %m", st_sqlite_shown(path));
}

static st_stored check_pages(const char *path, sqlite3 *db, char *error) {
  sqlite3_stmt *statement = NULL;
  st_stored stored = ST_STORE_FAILED;
  if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK ||
      sqlite3_step(statement) != SQLITE_ROW) {
    stored = st_sqlite_fail_db(error, path, db, "check");
  } else {
    const char *found = (const char *)sqlite3_column_text(statement, 0);
    bool ok = found != NULL && strcmp(found, "ok") == 0;
    stored = ok ? ST_STORED : st_sqlite_fail_damaged(error, path, found == NULL ? "?" : found);
  }
  (void)sqlite3_finalize(statement);
  return stored;
}

/* The file that SQLite has open is the one at path that was judged. */
static st_stored check_same(const char *path, sqlite3 *db, char *error) {
  int moved = 1;
  if (sqlite3_db_readonly(db, "main") != 0) {
    return st_sqlite_fail(error, "cannot write %s: it is read-only", st_sqlite_shown(path));
  }
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved != 0) {
    return st_sqlite_fail(error, "%s was replaced while it was being opened",
                          st_sqlite_shown(path));
  }
  int64_t size = 0;
  return check_owner(path, &size, error);
}

/* Those of the changes that only read, on the connection of those who only read. */
static bool prepare_queries(st_store *store) {
  static const int which[] = {FIND,           FIND_SUB,   LIST,         LIST_OWNED,
                              COUNT,          RECALL,     PERSON_FIND,  PERSON_LIST,
                              PERSON_DELETED, AUDIT_LIST, REFRESH_KNOWN};
  bool ok = true;
  for (size_t i = 0; ok && i < sizeof which / sizeof *which; i++) {
    ok = st_sqlite_prepare(store->queries, &st_sqlite_write_sql[which[i]], &store->query[which[i]],
                           1);
  }
  return ok;
}

/* Preparing the statements finds out that every table and column is there. */
static st_stored prepare_all(st_store *store, char *error) {
  /* The rows that a change is about, those that were made with it, and hashes: of this connection
   * alone, in memory.
   */
  static const char chosen[] =
      "CREATE TEMP TABLE chosen (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;"
      "CREATE TEMP TABLE made (id TEXT NOT NULL PRIMARY KEY, base INTEGER NOT NULL)"
      " STRICT, WITHOUT ROWID;"
      "CREATE TEMP TABLE taken (hash INTEGER NOT NULL PRIMARY KEY) STRICT";
  sqlite3 *db = store->writes;
  bool ok = sqlite3_exec(db, chosen, NULL, NULL, NULL) == SQLITE_OK &&
            st_sqlite_prepare(db, st_sqlite_write_sql, store->write, WRITE_STATEMENTS);
  if (ok) {
    db = store->queries;
    ok = prepare_queries(store);
  }
  for (size_t i = 0; ok && i < ST_SQLITE_READERS; i++) {
    db = store->readers[i].db;
    ok = st_sqlite_prepare(db, st_sqlite_read_sql, store->readers[i].read, READ_STATEMENTS);
  }
  if (ok) {
    return ST_STORED;
  }
  return sqlite3_errcode(db) == SQLITE_ERROR
             ? st_sqlite_fail_damaged(error, store->path, sqlite3_errmsg(db))
             : st_sqlite_fail_db(error, store->path, db, "open");
}

/* A connection for those who only read. */
static st_stored open_to_read(st_store *store, sqlite3 **db, st_sqlite_busy_wait *wait,
                              char *error) {
  if (st_sqlite_connect(store->path, db, error) != ST_STORED ||
      check_same(store->path, *db, error) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  return st_sqlite_set_read_wait(*db, wait) ? ST_STORED
                                            : st_sqlite_fail_db(error, store->path, *db, "open");
}

/* From here on it is looked whether the files are these. */
static st_stored settle(st_store *store, char *error) {
  if (!st_sqlite_set_write_wait(store)) {
    return st_sqlite_fail_db(error, store->path, store->writes, "open");
  }
  if (!st_sqlite_name_files(store) || !st_sqlite_remember_files(store)) {
    return st_sqlite_fail(error, "cannot open %s: %m", st_sqlite_shown(store->path));
  }
  return st_sqlite_in_place(store, store->writes, error) ? ST_STORED : ST_STORE_FAILED;
}

static st_stored open_parts(st_store *store, const char *path, bool create, char *error) {
  int64_t size = 0;
  if (find_file(path, create, &store->path, error) != ST_STORED ||
      check_file(store->path, &size, error) != ST_STORED ||
      st_sqlite_connect(store->path, &store->writes, error) != ST_STORED ||
      check_same(store->path, store->writes, error) != ST_STORED ||
      update_schema(store->path, store->writes, error) != ST_STORED ||
      st_sqlite_set_journal(store->path, store->writes, "wal", error) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (size <= QUICK_CHECK_MAX && check_pages(store->path, store->writes, error) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  st_stored stored = open_to_read(store, &store->queries, &store->query_wait, error);
  for (size_t i = 0; stored == ST_STORED && i < ST_SQLITE_READERS; i++) {
    stored = open_to_read(store, &store->readers[i].db, &store->readers[i].wait, error);
  }
  if (stored == ST_STORED) {
    stored = prepare_all(store, error);
  }
  return stored == ST_STORED ? settle(store, error) : stored;
}

/* Without a connection yet; NULL: no memory. */
static st_store *make(void) {
  st_store *made = calloc(1, sizeof *made);
  slot *slots = calloc(ST_SQLITE_READERS, ST_SQLITE_SLOTS * sizeof *slots);
  if (made == NULL || slots == NULL) {
    free(slots);
    free(made);
    return NULL;
  }
  /* Held for microseconds by every request: to spin a little beats going to sleep. */
  pthread_mutexattr_t spin;
  (void)pthread_mutexattr_init(&spin); /* these cannot fail here */
  (void)pthread_mutexattr_settype(&spin, PTHREAD_MUTEX_ADAPTIVE_NP);
  made->writing = (st_semaphore)ST_SEMAPHORE(1, ST_SQLITE_WRITERS_MAX);
  made->unauthenticated = (st_semaphore)ST_SEMAPHORE(ST_SQLITE_WRITERS_MAX / 8, 0);
  (void)pthread_mutex_init(&made->asking, NULL);
  (void)pthread_mutex_init(&made->feeding, NULL);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    reader *r = &made->readers[i];
    *r = (reader){.store = made, .slots = slots + i * ST_SQLITE_SLOTS, .generation = 1};
    (void)pthread_mutex_init(&r->lock, &spin);
  }
  (void)pthread_mutexattr_destroy(&spin);
  return made;
}

st_stored st_store_open(const char *path, bool create, st_store **store, char *error) {
  *store = NULL;
  if (sqlite3_threadsafe() == 0) {
    return st_sqlite_fail(error, "cannot open %s: SQLite was built without threads",
                          st_sqlite_shown(path));
  }
  st_store *made = make();
  if (made == NULL) {
    return st_sqlite_fail(error, "cannot open %s: no memory", st_sqlite_shown(path));
  }
  if (open_parts(made, path, create, error) != ST_STORED) {
    st_store_close(made);
    return ST_STORE_FAILED;
  }
  *store = made;
  return ST_STORED;
}

static void close_reader(reader *r) {
  for (size_t i = 0; i < READ_STATEMENTS; i++) {
    (void)sqlite3_finalize(r->read[i]);
  }
  (void)sqlite3_close(r->db);
  (void)pthread_mutex_destroy(&r->lock);
}

/* Whoever closes last writes the -wal into the database: not into bytes that it does not belong to.
 */
static void leave_overwritten(st_store *store) {
  char error[ST_ERROR_MAX];
  if (store->files[0].name == NULL || !atomic_load(&store->displaced) ||
      st_sqlite_look(store, store->writes, error) != ST_SQLITE_OVERWRITTEN) {
    return;
  }
  sqlite3 *others[3] = {store->writes, store->queries, store->feeds};
  for (size_t i = 0; i < 3; i++) {
    if (others[i] != NULL) {
      (void)sqlite3_db_config(others[i], SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
  }
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    (void)sqlite3_db_config(store->readers[i].db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  }
}

void st_store_close(st_store *store) {
  if (store == NULL) {
    return;
  }
  leave_overwritten(store);
  for (size_t i = 0; i < ST_SQLITE_READERS; i++) {
    close_reader(&store->readers[i]);
  }
  for (size_t i = 0; i < WRITE_STATEMENTS; i++) {
    (void)sqlite3_finalize(store->write[i]);
    (void)sqlite3_finalize(store->query[i]);
  }
  for (size_t i = 0; i < FEED_STATEMENTS; i++) {
    (void)sqlite3_finalize(store->feed[i]);
  }
  (void)sqlite3_close(store->feeds);
  (void)sqlite3_close(store->queries);
  (void)sqlite3_close(store->writes);
  (void)pthread_mutex_destroy(&store->feeding);
  (void)pthread_mutex_destroy(&store->asking);
  st_sqlite_drop_files(store);
  free(store->readers[0].slots); /* and those of the others */
  free(store->path);
  free(store);
}
