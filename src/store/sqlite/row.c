/* Reads the columns of a row into the records of domain/key.h. */
#include "store/db.h"

#include <string.h>
#include <sys/statvfs.h>

#include "domain/key.h"

bool st_sqlite_take_text(sqlite3_stmt *row, int column, char *out, size_t size) {
  const unsigned char *text = sqlite3_column_text(row, column);
  size_t len = (size_t)sqlite3_column_bytes(row, column);
  if (text == NULL || len >= size || memchr(text, 0, len) != NULL) {
    return false;
  }
  memcpy(out, text, len);
  out[len] = 0;
  return true;
}

bool st_sqlite_take_time(sqlite3_stmt *row, int column, int64_t *out) {
  *out = sqlite3_column_int64(row, column);
  return *out >= 0 && *out <= SUBTOKEN_TIME_MAX;
}

static bool take_parent(sqlite3_stmt *row, st_key *key) {
  return sqlite3_column_type(row, PARENT) == SQLITE_NULL ||
         (st_sqlite_take_text(row, PARENT, key->parent, sizeof key->parent) &&
          strlen(key->parent) == ST_KEY_ID_LEN);
}

bool st_sqlite_take_key(sqlite3_stmt *row, st_key *key) {
  int64_t disabled = sqlite3_column_int64(row, DISABLED);
  int64_t suspended = sqlite3_column_int64(row, SUSPENDED);
  int64_t kind = sqlite3_column_int64(row, KIND);
  bool never = sqlite3_column_type(row, EXPIRES_AT) == SQLITE_NULL;
  memset(key, 0, sizeof *key);
  key->kind = (st_key_kind)kind;
  key->disabled = disabled != 0;
  key->suspended = suspended != 0;
  key->expires_at = ST_NEVER;
  return st_sqlite_take_text(row, ID, key->id, sizeof key->id) &&
         strlen(key->id) == ST_KEY_ID_LEN &&
         st_sqlite_take_text(row, SUB, key->sub, sizeof key->sub) &&
         strlen(key->sub) == ST_SUB_LEN &&
         st_sqlite_take_text(row, NAME, key->name, sizeof key->name) &&
         st_sqlite_take_text(row, OWNER, key->owner, sizeof key->owner) &&
         st_sqlite_take_text(row, PERMISSIONS, key->permissions, sizeof key->permissions) &&
         st_sqlite_take_time(row, CREATED_AT, &key->created_at) &&
         (never || st_sqlite_take_time(row, EXPIRES_AT, &key->expires_at)) &&
         (disabled == 0 || disabled == 1) && (suspended == 0 || suspended == 1) &&
         kind >= ST_KIND_KEY && kind <= ST_KIND_SERVICE && take_parent(row, key);
}
