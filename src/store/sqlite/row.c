/* Reads a row that holds a key, for requests and for the rules. A row that makes no sense is no
 * key: a database that was damaged or edited must not grant anything.
 */
#include <string.h>

#include "store/sqlite/sqlite.h"

bool st_sqlite_take_text(sqlite3_stmt *row, int column, char *out, size_t size) {
  const unsigned char *text = sqlite3_column_text(row, column);
  size_t len = (size_t)sqlite3_column_bytes(row, column);
  if (text == NULL || len >= size || memchr(text, 0, len) != NULL) return false;
  memcpy(out, text, len);
  out[len] = 0;
  return true;
}

static bool take_time(sqlite3_stmt *row, int column, int64_t *out) {
  *out = sqlite3_column_int64(row, column);
  return *out >= 0 && *out <= SUBTOKEN_TIME_MAX;
}

static bool take_parent(sqlite3_stmt *row, st_key *key) {
  return sqlite3_column_type(row, ST_COL_PARENT) == SQLITE_NULL ||
         (st_sqlite_take_text(row, ST_COL_PARENT, key->parent, sizeof key->parent) &&
          strlen(key->parent) == ST_KEY_ID_LEN);
}

bool st_sqlite_take_key(sqlite3_stmt *row, st_key *key) {
  int64_t disabled = sqlite3_column_int64(row, ST_COL_DISABLED);
  int64_t suspended = sqlite3_column_int64(row, ST_COL_SUSPENDED);
  int64_t kind = sqlite3_column_int64(row, ST_COL_KIND);
  bool never = sqlite3_column_type(row, ST_COL_EXPIRES_AT) == SQLITE_NULL;
  memset(key, 0, sizeof *key);
  key->kind = (st_key_kind)kind;
  key->disabled = disabled != 0;
  key->suspended = suspended != 0;
  key->expires_at = ST_NEVER;
  key->tokens_revoked = sqlite3_column_int64(row, ST_COL_TOKENS_REVOKED);
  return st_sqlite_take_text(row, ST_COL_ID, key->id, sizeof key->id) &&
         strlen(key->id) == ST_KEY_ID_LEN &&
         st_sqlite_take_text(row, ST_COL_SUB, key->sub, sizeof key->sub) &&
         strlen(key->sub) == ST_SUB_LEN &&
         st_sqlite_take_text(row, ST_COL_NAME, key->name, sizeof key->name) &&
         st_sqlite_take_text(row, ST_COL_OWNER, key->owner, sizeof key->owner) &&
         st_sqlite_take_text(row, ST_COL_PERMISSIONS, key->permissions, sizeof key->permissions) &&
         st_sqlite_take_text(row, ST_COL_AUDIENCE, key->audience, sizeof key->audience) &&
         take_time(row, ST_COL_OLD_UNTIL, &key->old_until) &&
         take_time(row, ST_COL_CREATED_AT, &key->created_at) &&
         (never || take_time(row, ST_COL_EXPIRES_AT, &key->expires_at)) &&
         (disabled == 0 || disabled == 1) && (suspended == 0 || suspended == 1) &&
         kind >= ST_KIND_KEY && kind <= ST_KIND_SERVICE && take_parent(row, key);
}
