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

#define OLD_APPLICATION "PRAGMA application_id = 1400201812;"

#endif
