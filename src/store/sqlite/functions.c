/* The SQL functions that the statements call: the hash by which the revocation data lists a sub,
 * and whether one list of permissions is within another, or has one in common with it.
 */
#include "domain/permissions.h"
#include "store/sqlite/sqlite.h"

static void hash_sub(sqlite3_context *context, int count, sqlite3_value **values) {
  uint8_t key[SUBTOKEN_HASH_KEY_LEN];
  (void)count;
  st_store64(key, (uint64_t)sqlite3_value_int64(values[0]));
  st_store64(key + 8, (uint64_t)sqlite3_value_int64(values[1]));
  const char *sub = (const char *)sqlite3_value_text(values[2]);
  if (sub == NULL) {
    sqlite3_result_null(context);
    return;
  }
  subtoken_text text = {sub, (size_t)sqlite3_value_bytes(values[2])};
  sqlite3_result_int64(context, (int64_t)subtoken_revocations_hash(key, text));
}

static void is_within(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const char *inner = (const char *)sqlite3_value_text(values[0]);
  const char *outer = (const char *)sqlite3_value_text(values[1]);
  bool within = inner != NULL && outer != NULL && st_permissions_within(inner, outer);
  sqlite3_result_int(context, within);
}

static void do_meet(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const char *one = (const char *)sqlite3_value_text(values[0]);
  const char *other = (const char *)sqlite3_value_text(values[1]);
  bool meet = one != NULL && other != NULL && st_permissions_meet(one, other);
  sqlite3_result_int(context, meet);
}

bool st_sqlite_add_functions(sqlite3 *db) {
  int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
  return sqlite3_create_function_v2(db, "revocation_hash", 3, flags, NULL, hash_sub, NULL, NULL,
                                    NULL) == SQLITE_OK &&
         sqlite3_create_function_v2(db, "permissions_within", 2, flags, NULL, is_within, NULL, NULL,
                                    NULL) == SQLITE_OK &&
         sqlite3_create_function_v2(db, "permissions_meet", 2, flags, NULL, do_meet, NULL, NULL,
                                    NULL) == SQLITE_OK;
}
