/* A user has a row among the keys, which says what the user may do, and a record under the
 * username. What is taken from a user is taken from what the user made. Shared by users.c and
 * user_import.c.
 */
#include "store/user_row.h"

#include <string.h>

#include "base/impossible.h"
#include "domain/permissions.h"
#include "store/derived.h"
#include "store/key_row.h"
#include "store/remaining_run.h"

/* ---- the record ---- */

bool st_user_row_take(const st_row *row, void *item) {
  st_user *user = item;
  memset(user, 0, sizeof *user);
  if (!st_key_row_take(row, &user->key) || user->key.kind != ST_KIND_USER) return false;
  user->registered = st_row_number(row, ST_COL_REGISTERED) != 0;
  user->own_password = st_row_number(row, ST_COL_OWN_PASSWORD) != 0;
  return st_row_text(row, ST_COL_PASSWORD, user->password, sizeof user->password) &&
         st_row_text(row, ST_COL_IMPORTED, user->imported, sizeof user->imported) &&
         st_row_text(row, ST_COL_LOCALE, user->locale, sizeof user->locale) &&
         st_row_text(row, ST_COL_SOURCE, user->source, sizeof user->source);
}

bool st_user_row_fits(const char *text, size_t size) {
  return strnlen(text, size) < size;
}

bool st_user_row_storable(const st_user *user) {
  const st_key *key = &user->key;
  return st_key_row_storable(key) && key->kind == ST_KIND_USER && key->parent[0] == '\0' &&
         key->owner[0] != '\0' && strcmp(key->owner, key->name) == 0 && !key->disabled &&
         !key->suspended && st_user_row_fits(user->password, sizeof user->password) &&
         st_user_row_fits(user->imported, sizeof user->imported) &&
         st_user_row_fits(user->locale, sizeof user->locale) &&
         st_user_row_fits(user->source, sizeof user->source);
}

st_store_status st_user_row_find(st_db *db, const char *username, st_user_before *before) {
  st_row row;
  st_store_status status = st_db_query(db, ST_SQL_USER_FIND, ST_VALUES(st_db_text(username)), &row);
  if (status == ST_STORE_OK && !st_user_row_take(&row, &before->user)) status = ST_STORE_FAILED;
  before->imported = status == ST_STORE_OK && st_row_number(&row, ST_COL_BY_IMPORT) != 0;
  st_row_finish(&row);
  return status;
}

st_store_status st_user_row_find_for(st_db *db, const st_change *change, st_user_before *before) {
  st_key by;
  st_store_status status =
      change->grantor != NULL ? st_key_row_grantor(db, change, &by) : ST_STORE_OK;
  return status == ST_STORE_OK ? st_user_row_find(db, change->id, before) : status;
}

/* ---- made ---- */

st_store_status st_user_row_insert(st_db *db, const st_change *change, const st_user *user,
                                   const uint8_t digest[32], const char *imported) {
  st_store_status status = st_key_row_insert(db, &user->key, digest, change->context->row);
  return status != ST_STORE_OK
             ? status
             : st_db_run_one(db, ST_SQL_USER_INSERT,
                             ST_VALUES(st_db_text(user->key.owner), st_db_text(user->key.id),
                                       st_db_text(user->password), st_db_text(imported),
                                       st_db_text(user->locale), st_db_text(user->source),
                                       st_db_number(change->now), st_db_number(user->registered)));
}

st_store_status st_user_row_audit(st_db *db, const st_change *change, const char *action,
                                  const st_user *user, int64_t owned) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  if (owned > 0) {
    st_audit_detail(&writer, "keys owned: ", "");
    st_write_int(&writer, owned);
  }
  st_audit_detail_permissions(&writer, user->key.permissions);
  st_audit_detail_expiry(&writer, user->key.expires_at);
  if (user->source[0] != '\0') st_audit_detail(&writer, "source ", user->source);
  return st_audit_write_detail(db, change, action, user->key.owner, &writer);
}

/* ---- other permissions, another password ---- */

/* The permissions of the one list that the other lacks, joined by commas. */
static bool find_lacking(const char *one, const char *other,
                         char lacking[ST_PERMISSIONS_TEXT_MAX + 1]) {
  st_cutter cutter = {st_text(one), one[0] == '\0'};
  st_writer writer = st_writer_on(lacking, ST_PERMISSIONS_TEXT_MAX + 1);
  subtoken_text held;
  while (st_cut(&cutter, ',', &held)) {
    if (st_permissions_contain(other, held)) continue;
    if (writer.len > 0) st_write_char(&writer, ',');
    st_write_view(&writer, held);
  }
  return st_writer_end(&writer);
}

/* Ends the keys that hold one of these and all sessions of the user. */
static st_store_status end_holding(st_db *db, const st_change *change, const st_key *row,
                                   const char *lost, const char *because, st_ended *ended) {
  st_cutter cutter = {st_text(lost), lost[0] == '\0'};
  subtoken_text each;
  st_store_status status = st_row_set_clear(db);
  while (status == ST_STORE_OK && st_cut(&cutter, ',', &each)) {
    status =
        st_db_run(db, ST_SQL_SET_ADD_HOLDING, ST_VALUES(st_db_text(row->owner), st_db_view(each)));
  }
  if (status == ST_STORE_OK) {
    status = st_db_run(db, ST_SQL_SET_ADD_SESSIONS, ST_VALUES(st_db_text(row->id)));
  }
  return status == ST_STORE_OK ? st_row_set_end(db, change, because, ended) : status;
}

/* The same, left to later steps: the sessions of the user hold what the user holds. */
static st_store_status end_holding_large(st_db *db, const st_change *change, const st_key *row,
                                         const char *lost, const char *because, st_ended *ended) {
  st_remaining rest = {row->owner, ST_REMAINING_END, lost, because};
  st_store_status status = st_remaining_count(db, change, row->owner, lost, ended);
  return status == ST_STORE_OK ? st_remaining_begin(db, change, &rest) : status;
}

static st_store_status end_losses(st_db *db, const st_change *change, const st_key *row,
                                  const char *lost, const st_user_revision *to, st_ended *ended) {
  char because[ST_NAME_MAX + 64];
  bool large = false;
  st_writer writer = st_writer_on(because, sizeof because);
  st_write_literal(&writer, "taken from user ");
  st_write_truncated(&writer, row->owner);
  if (st_impossible(!st_writer_end(&writer), "a name and a sentence fit")) return ST_STORE_FAILED;
  st_store_status status =
      lost[0] != '\0' ? st_remaining_is_large(db, row->owner, &large) : ST_STORE_OK;
  if (status == ST_STORE_OK) {
    status = large ? end_holding_large(db, change, row, lost, because, ended)
                   : end_holding(db, change, row, lost, because, ended);
  }
  return status == ST_STORE_OK ? st_row_set_new_sub(db, change, row->id, to->sub) : status;
}

/* Living sessions have a permission that is added at once. When one is lost none is in force, but
 * those that are left to later steps are told by what they hold.
 */
static st_store_status grant(st_db *db, const st_change *change, const st_key *row,
                             const char *permissions, bool loses) {
  const st_value *values =
      ST_VALUES(st_db_text(row->id), st_db_number(change->now), st_db_text(permissions));
  st_store_status status = st_db_run_one(db, ST_SQL_ROW_GRANT, values);
  return status == ST_STORE_OK && !loses ? st_db_run(db, ST_SQL_SESSION_GRANT, values) : status;
}

static st_store_status audit_revision(st_db *db, const st_change *change, const st_key *row,
                                      const st_user_revision *to, const st_ended *ended,
                                      const st_derived *made) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_audit_detail_ended(&writer, ended);
  st_audit_detail_made(&writer, made);
  if (to->password != NULL) st_audit_detail(&writer, "another password", "");
  if (to->permissions != NULL) {
    st_audit_detail_permissions(&writer, to->permissions);
    st_audit_detail(&writer, row->permissions[0] != '\0' ? "before " : "before none",
                    row->permissions);
  }
  return st_audit_write_detail(db, change, to->action, row->owner, &writer);
}

/* What is added must be the grantor's, as for a new user. */
static st_store_status may_add(st_db *db, const st_change *change, const st_key *row,
                               const char *permissions) {
  st_key added = {.kind = ST_KIND_USER, .expires_at = row->expires_at};
  if (change->grantor == NULL) return ST_STORE_OK;
  if (st_impossible(!find_lacking(permissions, row->permissions, added.permissions),
                    "a part fits where the list does")) {
    return ST_STORE_FAILED;
  }
  return added.permissions[0] != '\0' ? st_key_row_may_grant(db, change, &added) : ST_STORE_OK;
}

st_store_status st_user_row_revise(st_db *db, const st_change *change, const st_key *row,
                                   const st_user_revision *to) {
  st_ended ended = {0};
  st_derived made = {0};
  char lost[ST_PERMISSIONS_TEXT_MAX + 1];
  const char *permissions = to->permissions != NULL ? to->permissions : row->permissions;
  st_store_status status = st_remaining_check(db, change, row->owner);
  if (status != ST_STORE_OK) return status;
  if (st_impossible(!find_lacking(row->permissions, permissions, lost),
                    "a part fits where the list does")) {
    return ST_STORE_FAILED;
  }
  bool loses = lost[0] != '\0';
  status = may_add(db, change, row, permissions);
  if (status != ST_STORE_OK) return status;
  bool tells = to->permissions != NULL &&
               (loses || (change->context->made != NULL && change->context->made->end));
  if (status == ST_STORE_OK && tells) status = st_derived_find(db, change, row, permissions, &made);
  if (status == ST_STORE_OK && (loses || to->password != NULL)) {
    status = end_losses(db, change, row, lost, to, &ended);
  }
  if (status == ST_STORE_OK && to->permissions != NULL) {
    status = grant(db, change, row, to->permissions, loses);
  }
  if (status == ST_STORE_OK) {
    status = st_db_run_one(db, ST_SQL_USER_UPDATE,
                           ST_VALUES(st_db_text(row->owner), st_db_number(change->now),
                                     st_db_text(to->password), st_db_text(to->imported)));
  }
  if (status == ST_STORE_OK && tells) {
    status = st_derived_settle(db, change, "user", row->owner, &made);
  }
  return status == ST_STORE_OK ? audit_revision(db, change, row, to, &ended, &made) : status;
}
