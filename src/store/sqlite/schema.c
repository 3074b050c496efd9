/* Makes the tables, and brings a database of an older version up to date. The statements that use
 * them are in statements.c.
 */
#include <stdio.h>

#include "store/sqlite/sqlite.h"

/* Step N makes version N + 1 of the schema. A released step is never edited. A deleted key keeps
 * its row: for the audit log, and so that its digest and sub are recognised and never given again.
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

    /* What the revocation data lists, and which hashes changed at which sequence: complete from
     * changes_from on. `listed` knows whether a changed hash is listed.
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

    /* Users and sessions have rows among the keys: what they grant is looked up in the same way.
     * The row of a session goes when no token of it can live, with all that is kept of it: hence
     * the index by which `revoked` finds its rows.
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

    /* Who made a key or user and who disabled it: the id of a row, NULL for the command line. Which
     * users registered themselves, and whose password was set here after an import. The audit log
     * knows it for older rows. keys_users finds users who were deleted, too.
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

    /* When what is listed may be purged: `lived` is the uptime of servers in seconds, and
     * `lived_at` what it was at the revocation. `given` are the sequences that this store issued,
     * complete from given_from on. What was signed before a longest life was kept may live as long
     * as without a configuration.
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

    /* What a change of a user with many keys has left to do (store/remaining.h). made_by_owner is
     * set for what was made for others, by the owner of the row that made it: a user's report need
     * not look at each of the user's keys.
     */
    "CREATE TABLE remaining ("
    "  owner TEXT NOT NULL PRIMARY KEY CHECK (owner <> ''),"
    "  what TEXT NOT NULL CHECK (what IN ('end', 'suspend', 'resume')),"
    "  permissions TEXT," /* what ends holds one of these; NULL: all that is the user's */
    "  sequence INTEGER NOT NULL,"
    "  at INTEGER NOT NULL,"
    "  who TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  because TEXT," /* in the lines of keys; NULL: they have none */
    "  keys_reached INTEGER NOT NULL DEFAULT 0 CHECK (keys_reached IN (0, 1)),"
    "  after TEXT NOT NULL DEFAULT ''" /* the last session, then the last key that was looked at */
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX keys_sessions ON keys (owner, id) WHERE kind >= 2 AND deleted_at IS NULL;"
    "ALTER TABLE keys ADD COLUMN made_by_owner TEXT;"
    "UPDATE keys SET made_by_owner = m.owner FROM keys AS m WHERE m.id = keys.made_by"
    "  AND m.owner <> '' AND NOT (keys.kind = 0 AND keys.owner = m.owner);"
    "CREATE INDEX keys_made_for_others ON keys (made_by_owner, made_by)"
    "  WHERE made_by_owner IS NOT NULL;",

    /* Whose answers to requests are other ones now: those of the keys whose digests begin so; NULL:
     * of any. Readers remember keys, and learn from it which ones to read again (read_path.c). A
     * new key changes no answer that was remembered; neither do the steps of a large change, once
     * it has begun. The numbers have no gaps, so that a reader notices when what it has not seen
     * was cut.
     */
    "CREATE TABLE written ("
    "  n INTEGER NOT NULL PRIMARY KEY,"
    "  digest8 BLOB CHECK (length(digest8) = 8)"
    ") STRICT;"
    "INSERT INTO written (digest8) VALUES (NULL);"
    "CREATE TRIGGER written_update AFTER UPDATE ON keys BEGIN"
    "  INSERT INTO written (digest8) VALUES (substr(OLD.digest, 1, 8)); END;"
    "CREATE TRIGGER written_delete AFTER DELETE ON keys BEGIN"
    "  INSERT INTO written (digest8) VALUES (substr(OLD.digest, 1, 8)); END;"
    "CREATE TRIGGER written_revoke AFTER INSERT ON revoked BEGIN"
    "  INSERT INTO written (digest8) SELECT substr(digest, 1, 8) FROM keys WHERE sub = NEW.sub;"
    "  END;"
    "CREATE TRIGGER written_remaining AFTER INSERT ON remaining BEGIN"
    "  INSERT INTO written (digest8) VALUES (NULL); END;"
    "CREATE TRIGGER written_cut AFTER INSERT ON written WHEN NEW.n % 1000 = 0 BEGIN"
    "  DELETE FROM written WHERE n <= NEW.n - 10000; END;",

    /* An audience that a key is bound to. A key whose secret was replaced: old_digest is that of
     * the one before, and good until old_until; `replaced` has all that were replaced, because none
     * is given again. A token that is revoked by itself is listed by its tid, filled up with dots
     * as no sub is: token_of is the sub of its key, and it stays until a time. token_root: the
     * row that such tokens are counted for, that of the sub or what that rests on, and those under
     * derived secrets apart. token_via: the tids of what it was made from, joined by commas.
     * has_token: there were such of this row. The last index is that of hashes which a snapshot
     * listed, and which may be of any token: it is nearly always empty.
     */
    "ALTER TABLE keys ADD COLUMN audience TEXT NOT NULL DEFAULT ''"
    "  CHECK (length(audience) <= 32);"
    "ALTER TABLE keys ADD COLUMN old_digest BLOB CHECK (length(old_digest) = 32);"
    "ALTER TABLE keys ADD COLUMN old_until INTEGER;"
    "ALTER TABLE keys ADD COLUMN rotated_at INTEGER;" /* NULL: never */
    "ALTER TABLE keys ADD COLUMN has_token INTEGER NOT NULL DEFAULT 0 CHECK (has_token IN (0, 1));"
    "CREATE TABLE replaced ("
    "  digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),"
    "  key_id TEXT NOT NULL REFERENCES keys (id)"
    ") STRICT, WITHOUT ROWID;"
    "ALTER TABLE listed ADD COLUMN token_of TEXT CHECK (length(token_of) = 43);"
    "ALTER TABLE listed ADD COLUMN until INTEGER;"
    "ALTER TABLE listed ADD COLUMN token_root TEXT CHECK (length(token_root) = 36);"
    "ALTER TABLE listed ADD COLUMN token_derived INTEGER NOT NULL DEFAULT 0"
    "  CHECK (token_derived IN (0, 1));"
    "ALTER TABLE listed ADD COLUMN token_via TEXT;"
    "CREATE INDEX listed_tokens ON listed (token_of) WHERE token_of IS NOT NULL;"
    "CREATE INDEX listed_roots ON listed (token_root) WHERE token_root IS NOT NULL;"
    "CREATE INDEX listed_until ON listed (until) WHERE until IS NOT NULL;"
    "CREATE INDEX listed_unknown ON listed (sub) WHERE sub >= '==' AND sub < '=>';"
    "CREATE TRIGGER written_update_old AFTER UPDATE ON keys WHEN OLD.old_digest IS NOT NULL BEGIN"
    "  INSERT INTO written (digest8) VALUES (substr(OLD.old_digest, 1, 8)); END;",

    /* The audit log by time, and by time of one who, what or whom; the keys that end, in the order
     * in which they do, with all that counting them asks for; and those without an owner, by what
     * made them.
     */
    "CREATE INDEX audit_at ON audit (at);"
    "CREATE INDEX audit_who ON audit (who, at);"
    "CREATE INDEX audit_action ON audit (action, at);"
    "CREATE INDEX audit_target ON audit (target, at);"
    "CREATE INDEX keys_expiring ON keys (expires_at, id, kind, deleted_at)"
    "  WHERE kind = 0 AND deleted_at IS NULL AND expires_at IS NOT NULL;"
    "CREATE INDEX keys_unowned ON keys (made_by)"
    "  WHERE made_by IS NOT NULL AND owner = '' AND kind = 0 AND deleted_at IS NULL;",
};
#define VERSION ((int)(sizeof migrations / sizeof *migrations))

/* The version of the schema; 0 and *empty for a file that has nothing in it. */
static st_store_status ask_version(const char *path, sqlite3 *db, int64_t *version, bool *empty,
                                   char *error) {
  int64_t id = 0, tables = 0;
  if (!st_sqlite_ask_integer(db, "PRAGMA application_id", &id) ||
      !st_sqlite_ask_integer(db, "PRAGMA user_version", version) ||
      !st_sqlite_ask_integer(db, "SELECT count(*) FROM sqlite_schema", &tables)) {
    return st_sqlite_fail_db(error, path, db, "open");
  }
  *empty = id == 0 && *version == 0 && tables == 0;
  if (id != ST_SQLITE_APPLICATION_ID && !*empty) {
    return st_db_fail(error, "%s is not a database of subtoken", st_error_path(path));
  }
  if (*version < 0 || *version > VERSION) {
    return st_db_fail(error, "%s has schema %lld, and this program knows up to %d: use a newer one",
                      st_error_path(path), (long long)*version, VERSION);
  }
  return ST_STORE_OK;
}

static st_store_status migrate(const char *path, sqlite3 *db, char *error) {
  int64_t version = 0;
  bool empty = false;
  char sql[96];
  if (ask_version(path, db, &version, &empty, error) != ST_STORE_OK) return ST_STORE_FAILED;
  for (int64_t step = version; step < VERSION; step++) {
    if (sqlite3_exec(db, migrations[step], NULL, NULL, NULL) != SQLITE_OK) {
      return st_sqlite_fail_db(error, path, db, "bring up to date");
    }
  }
  (void)snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 ST_SQLITE_APPLICATION_ID, VERSION);
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
             ? ST_STORE_OK
             : st_sqlite_fail_db(error, path, db, "bring up to date");
}

/* The two reads are of two moments, and the file may change between them: only a yes counts. */
static bool is_current(sqlite3 *db) {
  int64_t version = 0, id = 0;
  return st_sqlite_ask_integer(db, "PRAGMA user_version", &version) && version == VERSION &&
         st_sqlite_ask_integer(db, "PRAGMA application_id", &id) && id == ST_SQLITE_APPLICATION_ID;
}

/* Takes all missing steps and sets the version, or nothing: a new file goes from empty to complete
 * in one transaction, before it is switched to WAL. The version is read in that transaction,
 * because another process may do the same.
 */
st_store_status st_sqlite_update_schema(const char *path, sqlite3 *db, char *error) {
  if (is_current(db)) return ST_STORE_OK;
  if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
    return st_sqlite_fail_db(error, path, db, "open");
  }
  st_store_status status = migrate(path, db, error);
  if (status == ST_STORE_OK && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
    status = st_sqlite_fail_db(error, path, db, "write");
  }
  if (sqlite3_get_autocommit(db) == 0) (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return status;
}

st_store_status st_sqlite_build(const char *path, char *error) {
  sqlite3 *db = NULL;
  st_store_status status = st_sqlite_connect(path, &db, error);
  if (status == ST_STORE_OK) status = st_sqlite_update_schema(path, db, error);
  if (status == ST_STORE_OK) status = st_sqlite_set_journal(path, db, "wal", error);
  if (sqlite3_close(db) != SQLITE_OK && status == ST_STORE_OK) {
    status = st_db_fail(error, "cannot write %s: it cannot be closed", st_error_path(path));
  }
  return status;
}
