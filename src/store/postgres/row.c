/* Reads columns of results in binary, and rows that hold a key. A row that makes no sense is no
 * key: a database that was damaged or edited must not grant anything.
 */
#include <string.h>

#include "store/postgres/postgres.h"

/* Integers of any size, and booleans, in network order. */
int64_t st_postgres_number(const PGresult *result, int row, int column) {
  int len = PQgetlength(result, row, column);
  const uint8_t *bytes = (const uint8_t *)PQgetvalue(result, row, column);
  uint64_t number = 0;
  if (PQgetisnull(result, row, column) == 1 || len < 1 || len > 8) return 0;
  if ((bytes[0] & 0x80) != 0) number = UINT64_MAX;
  for (int i = 0; i < len; i++) number = number << 8 | bytes[i];
  return (int64_t)number;
}

bool st_postgres_text(const PGresult *result, int row, int column, char *out, size_t size) {
  const char *text = PQgetvalue(result, row, column);
  size_t len = (size_t)PQgetlength(result, row, column);
  if (PQgetisnull(result, row, column) == 1 || len >= size || memchr(text, 0, len) != NULL) {
    return false;
  }
  memcpy(out, text, len);
  out[len] = 0;
  return true;
}

bool st_postgres_bytes(const PGresult *result, int row, int column, void *out, size_t len) {
  if (PQgetisnull(result, row, column) == 1 || (size_t)PQgetlength(result, row, column) != len) {
    return false;
  }
  memcpy(out, PQgetvalue(result, row, column), len);
  return true;
}

static bool take_time(const PGresult *result, int row, int column, int64_t *out) {
  *out = st_postgres_number(result, row, column);
  return *out >= 0 && *out <= SUBTOKEN_TIME_MAX;
}

static bool take_parent(const PGresult *result, int row, st_key *key) {
  return PQgetisnull(result, row, ST_COL_PARENT) == 1 ||
         (st_postgres_text(result, row, ST_COL_PARENT, key->parent, sizeof key->parent) &&
          strlen(key->parent) == ST_KEY_ID_LEN);
}

bool st_postgres_take_key(const PGresult *result, int row, st_key *key) {
  int64_t disabled = st_postgres_number(result, row, ST_COL_DISABLED);
  int64_t suspended = st_postgres_number(result, row, ST_COL_SUSPENDED);
  int64_t kind = st_postgres_number(result, row, ST_COL_KIND);
  bool never = PQgetisnull(result, row, ST_COL_EXPIRES_AT) == 1;
  memset(key, 0, sizeof *key);
  key->kind = (st_key_kind)kind;
  key->disabled = disabled != 0;
  key->suspended = suspended != 0;
  key->expires_at = ST_NEVER;
  key->tokens_revoked = st_postgres_number(result, row, ST_COL_TOKENS_REVOKED);
  return st_postgres_text(result, row, ST_COL_ID, key->id, sizeof key->id) &&
         strlen(key->id) == ST_KEY_ID_LEN &&
         st_postgres_text(result, row, ST_COL_SUB, key->sub, sizeof key->sub) &&
         strlen(key->sub) == ST_SUB_LEN &&
         st_postgres_text(result, row, ST_COL_NAME, key->name, sizeof key->name) &&
         st_postgres_text(result, row, ST_COL_OWNER, key->owner, sizeof key->owner) &&
         st_postgres_text(result, row, ST_COL_PERMISSIONS, key->permissions,
                          sizeof key->permissions) &&
         st_postgres_text(result, row, ST_COL_AUDIENCE, key->audience, sizeof key->audience) &&
         take_time(result, row, ST_COL_OLD_UNTIL, &key->old_until) &&
         take_time(result, row, ST_COL_CREATED_AT, &key->created_at) &&
         (never || take_time(result, row, ST_COL_EXPIRES_AT, &key->expires_at)) &&
         (disabled == 0 || disabled == 1) && (suspended == 0 || suspended == 1) &&
         kind >= ST_KIND_KEY && kind <= ST_KIND_SERVICE && take_parent(result, row, key);
}
