/* The schemas that were released before, for the tests that bring such a database up. */
#ifndef ST_TESTS_OLD_SCHEMAS_H
#define ST_TESTS_OLD_SCHEMAS_H

/* What subtoken.db of schema 1 was made with, and what made one of schema 2 of it when it was
 * empty.
 */
static const char old_schema_1[] =
    "CREATE TABLE keys ("
    "  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),"
    "  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),"
    "  sub TEXT NOT NULL UNIQUE CHECK (length(sub) = 43),"
    "  name TEXT NOT NULL,"
    "  owner TEXT NOT NULL,"
    "  permissions TEXT NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  expires_at INTEGER,"
    "  disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),"
    "  changed_at INTEGER NOT NULL,"
    "  deleted_at INTEGER"
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
    ") STRICT, WITHOUT ROWID;";
static const char old_schema_2[] =
    "INSERT INTO facts (name, value) VALUES ('hash_key_0', random()), ('hash_key_1', random()),"
    "  ('sequence', 1), ('changes_from', 1);"
    "CREATE TABLE listed ("
    "  sub TEXT NOT NULL PRIMARY KEY CHECK (length(sub) = 43),"
    "  hash INTEGER NOT NULL,"
    "  revoked_at INTEGER"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX listed_hash ON listed (hash);"
    "CREATE INDEX listed_at ON listed (revoked_at) WHERE revoked_at IS NOT NULL;"
    "CREATE TABLE changes ("
    "  sequence INTEGER NOT NULL,"
    "  hash INTEGER NOT NULL,"
    "  PRIMARY KEY (sequence, hash)"
    ") STRICT, WITHOUT ROWID;";
/* And of schema 3 of that. */
static const char old_schema_3[] =
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
    "  imported TEXT,"
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
    "  used_at INTEGER"
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
    ") STRICT;";

/* What schema 9 has more than schema 8, taken off again. */
#define SCHEMA_9_UNDONE                                                         \
  "DROP INDEX audit_at; DROP INDEX audit_who; DROP INDEX audit_action;"         \
  "DROP INDEX audit_target; DROP INDEX keys_expiring; DROP INDEX keys_unowned;" \
  "PRAGMA user_version = 8;"

/* What schema 8 has more than schema 7, taken off again. */
static const char schema_8_undone[] = SCHEMA_9_UNDONE
    "DROP TRIGGER written_update_old; DROP INDEX listed_tokens; DROP INDEX listed_until;"
    "DROP INDEX listed_roots; ALTER TABLE listed DROP COLUMN token_root;"
    "ALTER TABLE listed DROP COLUMN token_derived; ALTER TABLE listed DROP COLUMN token_via;"
    "DROP INDEX listed_unknown; ALTER TABLE keys DROP COLUMN has_token;"
    "ALTER TABLE listed DROP COLUMN token_of; ALTER TABLE listed DROP COLUMN until;"
    "DROP TABLE replaced; ALTER TABLE keys DROP COLUMN audience;"
    "ALTER TABLE keys DROP COLUMN old_digest; ALTER TABLE keys DROP COLUMN old_until;"
    "ALTER TABLE keys DROP COLUMN rotated_at; PRAGMA user_version = 7;";

#define OLD_APPLICATION "PRAGMA application_id = 1400201812;"

#endif
