/* The row that keys, users and sessions have in common. A user or a session is a key that grants
 * something to a sub of its own; what it has besides is in users.c and sessions.c.
 */
#include "store/key_row.h"

#include <string.h>

#include "domain/permissions.h"

static bool is_time(int64_t time) {
  return time >= 0 && time <= SUBTOKEN_TIME_MAX;
}

/* Or none. */
static bool is_audience(const char audience[ST_AUDIENCE_MAX + 1]) {
  size_t len = strnlen(audience, ST_AUDIENCE_MAX + 1);
  return len <= ST_AUDIENCE_MAX && strspn(audience, ST_KEY_ROW_NAME_CHARS) == len;
}

bool st_key_row_has_len(const char *text, size_t len) {
  return strnlen(text, len + 1) == len;
}

bool st_key_row_storable(const st_key *key) {
  return st_key_row_has_len(key->id, ST_KEY_ID_LEN) && st_key_row_has_len(key->sub, ST_SUB_LEN) &&
         strnlen(key->name, sizeof key->name) < sizeof key->name &&
         strnlen(key->owner, sizeof key->owner) < sizeof key->owner &&
         strnlen(key->permissions, sizeof key->permissions) < sizeof key->permissions &&
         is_audience(key->audience) && is_time(key->created_at) && is_time(key->expires_at);
}

st_store_status st_key_row_find(st_db *db, const char *id, st_key *key) {
  st_row row;
  st_store_status status = st_db_query(db, ST_SQL_ROW_FIND, ST_VALUES(st_db_text(id)), &row);
  if (status == ST_STORE_OK && !st_row_key(&row, key)) status = ST_STORE_FAILED;
  st_row_finish(&row);
  return status;
}

st_store_status st_key_row_sub_is_new(st_db *db, const char *sub) {
  st_store_status found = st_db_exists(db, ST_SQL_SUB_IS_REVOKED, ST_VALUES(st_db_text(sub)));
  return found == ST_STORE_NOT_FOUND ? ST_STORE_OK : found == ST_STORE_OK ? ST_STORE_EXISTS : found;
}

st_value st_key_row_expiry(int64_t expires_at) {
  return expires_at == ST_NEVER ? st_db_text(NULL) : st_db_number(expires_at);
}

st_store_status st_key_row_insert(st_db *db, const st_key *key, const uint8_t digest[32],
                                  const char *made_by) {
  st_store_status status = st_key_row_sub_is_new(db, key->sub);
  if (status != ST_STORE_OK) return status;
  return st_db_run_one(
      db, ST_SQL_KEY_INSERT,
      ST_VALUES(st_db_text(key->id), st_db_text(key->sub), st_db_text(key->name),
                st_db_text(key->owner), st_db_text(key->permissions), st_db_number(key->created_at),
                st_key_row_expiry(key->expires_at), st_db_number(key->disabled),
                st_db_number(key->kind), st_db_text(key->parent[0] != '\0' ? key->parent : NULL),
                st_db_number(key->suspended), st_db_bytes(digest, 32), st_db_text(made_by),
                st_db_text(key->audience)));
}

/* ---- what something new is made with ---- */

static bool in_force(const st_key *row, const st_change *change) {
  return strcmp(row->sub, change->grantor->sub) == 0 && !row->disabled && !row->suspended &&
         row->expires_at > change->now;
}

st_store_status st_key_row_grantor(st_db *db, const st_change *change, st_key *row) {
  st_store_status status = st_key_row_find(db, change->grantor->id, row);
  bool denied = status == ST_STORE_NOT_FOUND || (status == ST_STORE_OK && !in_force(row, change));
  return denied ? ST_STORE_DENIED : status;
}

/* What is made in a session may live as long as what the session rests on. */
static st_store_status find_end(st_db *db, const st_key *row, int64_t *end) {
  st_key parent;
  *end = row->expires_at;
  if (row->parent[0] == '\0') return ST_STORE_OK;
  st_store_status status = st_key_row_find(db, row->parent, &parent);
  if (status == ST_STORE_OK) *end = parent.expires_at;
  return status == ST_STORE_NOT_FOUND ? ST_STORE_DENIED : status;
}

/* What a row that is bound to an audience makes is bound to the same. */
static bool grants(const st_key *row, int64_t end, const st_key *key) {
  return st_permissions_within(key->permissions, row->permissions) && key->expires_at <= end &&
         (row->audience[0] == '\0' || strcmp(row->audience, key->audience) == 0);
}

st_store_status st_key_row_may_grant(st_db *db, const st_change *change, const st_key *key) {
  st_key row;
  int64_t end = 0;
  if (change->grantor == NULL) return ST_STORE_OK;
  st_store_status status = st_key_row_grantor(db, change, &row);
  if (status == ST_STORE_OK) status = find_end(db, &row, &end);
  return status == ST_STORE_OK && !grants(&row, end, key) ? ST_STORE_DENIED : status;
}

/* ---- read by the management ---- */

bool st_key_row_take(const st_row *row, void *item) {
  st_key *key = item;
  if (!st_row_key(row, key)) return false;
  key->disabled_by_owner = st_row_number(row, ST_COL_DISABLED_BY_OWNER) != 0;
  return st_row_time(row, ST_COL_USED_AT, &key->used_at) &&
         st_row_time(row, ST_COL_ROTATED_AT, &key->rotated_at) &&
         st_row_text(row, ST_COL_MADE_BY, key->made_by, sizeof key->made_by);
}
