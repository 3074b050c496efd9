/* Users: made, found, disabled and deleted, with what that means for their keys and sessions.
 * user_row.c changes the record itself, user_import.c takes over many users.
 */
#include <string.h>

#include "domain/permissions.h"
#include "store/derived.h"
#include "store/key_row.h"
#include "store/remaining_run.h"
#include "store/user_row.h"

static st_store_status fail_user(const st_store *store, char *error) {
  return st_db_fail(error, "cannot write %s: incomplete user record", st_db_name(store));
}

/* ---- found and listed ---- */

st_store_status st_store_user_find(st_store *store, subtoken_text username, st_user *user,
                                   char *error) {
  return st_query_one(store, ST_SQL_USER_FIND, ST_VALUES(st_db_view(username)), user, sizeof *user,
                      st_user_row_take, error);
}

st_store_status st_store_user_list(st_store *store, const char *after, size_t limit, st_user *users,
                                   size_t *count, char *error) {
  st_query_page page = {users, sizeof *users, limit, count, st_user_row_take};
  return st_query_list(store, ST_SQL_USER_LIST,
                       ST_VALUES(st_db_text(after), st_db_number((int64_t)limit)), &page, error);
}

/* ---- made ---- */

typedef struct new_user {
  const st_user *user;
  bool registering;
  int64_t owned; /* keys that stand under the username already */
} new_user;

/* May the grantor of this user manage the keys of any owner? The operator may. */
static st_store_status manages_all(st_db *db, const st_change *change, bool registering,
                                   bool *all) {
  st_key grantor;
  *all = !registering;
  if (change->grantor == NULL) return ST_STORE_OK;
  st_store_status status = st_key_row_grantor(db, change, &grantor);
  *all = status == ST_STORE_OK && st_permissions_contain(grantor.permissions, ST_TEXT("keys"));
  return status;
}

/* ST_STORE_EXISTS: the username is taken. So it is when a key has it for an owner, unless the
 * grantor of the user could manage that key anyway: a user manages the keys under the username.
 */
static st_store_status username_is_free(st_db *db, const st_change *change, new_user *new) {
  const st_value *username = ST_VALUES(st_db_text(new->user->key.owner));
  bool all = false;
  if (manages_all(db, change, new->registering, &all) != ST_STORE_OK) return ST_STORE_FAILED;
  st_store_status found = st_db_exists(db, ST_SQL_USER_FIND, username);
  if (found != ST_STORE_NOT_FOUND) return found == ST_STORE_OK ? ST_STORE_EXISTS : found;
  if (st_db_query_number(db, ST_SQL_KEY_COUNT_OWNED, username, &new->owned) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  return new->owned > 0 && !all ? ST_STORE_EXISTS : ST_STORE_OK;
}

static st_store_status make_user(st_db *db, const st_change *change) {
  new_user *new = change->data;
  const char *imported = new->user->imported[0] != '\0' ? new->user->imported : NULL;
  st_store_status status = st_key_row_may_grant(db, change, &new->user->key);
  if (status == ST_STORE_OK) status = st_remaining_check(db, change, new->user->key.owner);
  if (status == ST_STORE_OK) status = username_is_free(db, change, new);
  if (status == ST_STORE_OK) {
    status = st_user_row_insert(db, change, new->user, change->digest, imported);
  }
  const char *action = new->registering ? "user.register" : "user.create";
  return status == ST_STORE_OK ? st_user_row_audit(db, change, action, new->user, new->owned)
                               : status;
}

st_store_status st_store_user_create(st_store *store, const st_audit_context *context,
                                     const st_grantor *grantor, bool registering,
                                     const st_user *user, const uint8_t digest[32], char *error) {
  if (!st_user_row_storable(user)) return fail_user(store, error);
  st_change change = st_transaction_change(context, NULL, NULL);
  change.grantor = grantor;
  change.digest = digest;
  change.unauthenticated = registering;
  st_user made = *user;
  made.registered = registering;
  change.data = &(new_user){&made, registering, 0};
  st_store_status status = st_remaining_run(store, make_user, &change, error);
  subtoken_wipe(&made, sizeof made);
  return status;
}

/* ---- other permissions, another password ---- */

static st_store_status make_revised(st_db *db, const st_change *change) {
  st_user_before before;
  st_store_status status = st_user_row_find_for(db, change, &before);
  if (status == ST_STORE_OK) {
    status = st_user_row_revise(db, change, &before.user.key, change->data);
  }
  subtoken_wipe(&before, sizeof before);
  return status;
}

static st_store_status revise(st_store *store, const st_audit_context *context,
                              const char *username, st_user_revision *to, int64_t *sequence,
                              char *error) {
  if (!st_key_row_has_len(to->sub, ST_SUB_LEN) ||
      (to->password != NULL && !st_user_row_fits(to->password, ST_PHC_MAX + 1)) ||
      (to->permissions != NULL &&
       !st_user_row_fits(to->permissions, ST_PERMISSIONS_TEXT_MAX + 1))) {
    return fail_user(store, error);
  }
  st_change change = st_transaction_change(context, username, sequence);
  change.data = to;
  return st_remaining_run(store, make_revised, &change, error);
}

st_store_status st_store_user_set_permissions(st_store *store, const st_audit_context *context,
                                              const char *username, const char *permissions,
                                              const char *new_sub, int64_t *sequence, char *error) {
  st_user_revision to = {.permissions = permissions, .sub = new_sub, .action = "user.permissions"};
  return revise(store, context, username, &to, sequence, error);
}

st_store_status st_store_user_set_password(st_store *store, const st_audit_context *context,
                                           const char *username, const char *password,
                                           const char *new_sub, int64_t *sequence, char *error) {
  st_user_revision to = {.password = password, .sub = new_sub, .action = "user.password"};
  return revise(store, context, username, &to, sequence, error);
}

typedef struct hashes {
  const char *before, *after;
} hashes;

static st_store_status make_rehashed(st_db *db, const st_change *change) {
  const hashes *h = change->data;
  return st_db_run_one(
      db, ST_SQL_USER_REHASH,
      ST_VALUES(st_db_text(change->id), st_db_text(h->before), st_db_text(h->after)));
}

st_store_status st_store_user_rehash(st_store *store, const char *username, const char *before,
                                     const char *password, char *error) {
  if (!st_user_row_fits(password, ST_PHC_MAX + 1)) return fail_user(store, error);
  hashes h = {before, password};
  st_change change = {.id = username, .data = &h, .until_us = ST_WAIT_NOT};
  return st_transaction_run(store, make_rehashed, &change, error);
}

/* ---- disabled, deleted ---- */

/* Disables or enables the user's row. Leaves the row set with it. */
static st_store_status disable_row(st_db *db, const st_change *change, const st_key *row) {
  bool ok =
      st_db_run_one(
          db, ST_SQL_ROW_DISABLE,
          ST_VALUES(st_db_text(row->id), st_db_number(change->now), st_db_number(change->disabled),
                    st_db_text(change->context->row), st_db_number(0))) == ST_STORE_OK &&
      st_row_set_of(db, row->id) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* And suspends or resumes each of the user's keys. */
static st_store_status suspend(st_db *db, const st_change *change, const st_key *row) {
  st_value username = st_db_text(row->owner);
  bool ok = disable_row(db, change, row) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_OWNED, ST_VALUES(username)) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_SUSPEND,
                      ST_VALUES(st_db_number(change->disabled), st_db_number(change->now))) ==
                ST_STORE_OK &&
            st_row_set_relist(db, change) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* Sessions of the user, and those made with the user's keys. */
static st_store_status end_all_sessions(st_db *db, const st_change *change, const st_key *row,
                                        st_ended *ended) {
  bool ok = st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_SESSIONS, ST_VALUES(st_db_text(row->id))) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_SESSIONS_OF_OWNED, ST_VALUES(st_db_text(row->owner))) ==
                ST_STORE_OK;
  return ok ? st_row_set_end(db, change, NULL, ended) : ST_STORE_FAILED;
}

static st_store_status audit_ended(st_db *db, const st_change *change, const char *action,
                                   const st_ended *ended, const st_derived *made) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_audit_detail_ended(&writer, ended);
  st_audit_detail_made(&writer, made);
  return st_audit_write_detail(db, change, action, change->id, &writer);
}

static st_store_status disable_all(st_db *db, const st_change *change, const st_key *row,
                                   st_ended *ended) {
  st_store_status status = suspend(db, change, row);
  return status == ST_STORE_OK && change->disabled ? end_all_sessions(db, change, row, ended)
                                                   : status;
}

/* Is the change left to later steps, and how many keys and sessions are there then? It is asked
 * first: see st_remaining_count. */
static st_store_status find_size(st_db *db, const st_change *change, const st_key *row, bool *large,
                                 st_ended *count) {
  st_store_status status = st_remaining_check(db, change, row->owner);
  if (status == ST_STORE_OK) status = st_remaining_is_large(db, row->owner, large);
  return status == ST_STORE_OK && *large ? st_remaining_count(db, change, row->owner, NULL, count)
                                         : status;
}

static st_store_status disable_large(st_db *db, const st_change *change, const st_key *row) {
  st_remaining rest = {.owner = row->owner,
                       .what = change->disabled ? ST_REMAINING_SUSPEND : ST_REMAINING_RESUME};
  bool ok = disable_row(db, change, row) == ST_STORE_OK &&
            st_row_set_relist(db, change) == ST_STORE_OK &&
            st_remaining_begin(db, change, &rest) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status disable(st_db *db, const st_change *change, const st_key *row) {
  st_ended ended = {0};
  st_derived made = {0};
  bool large = false;
  st_store_status status = find_size(db, change, row, &large, &ended);
  if (status != ST_STORE_OK) return status;
  ended.keys = 0; /* they live on */
  if (!change->disabled) ended.sessions = 0;
  bool ok = (large ? disable_large(db, change, row) : disable_all(db, change, row, &ended)) ==
                ST_STORE_OK &&
            (!change->disabled ||
             (st_derived_find(db, change, row, NULL, &made) == ST_STORE_OK &&
              st_derived_settle(db, change, "user", row->owner, &made) == ST_STORE_OK));
  const char *action = change->disabled ? "user.disable" : "user.enable";
  return ok ? audit_ended(db, change, action, &ended, &made) : ST_STORE_FAILED;
}

/* Who enables a user gives back what the user has: that must be no more than the grantor has. */
static st_store_status may_enable(st_db *db, const st_change *change, const st_key *row) {
  return change->disabled || !row->disabled ? ST_STORE_OK : st_key_row_may_grant(db, change, row);
}

static st_store_status make_user_disabled(st_db *db, const st_change *change) {
  st_user_before before;
  st_store_status status = st_user_row_find_for(db, change, &before);
  if (status == ST_STORE_OK) status = may_enable(db, change, &before.user.key);
  if (status == ST_STORE_OK) status = disable(db, change, &before.user.key);
  subtoken_wipe(&before, sizeof before);
  return status;
}

st_store_status st_store_user_set_disabled(st_store *store, const st_audit_context *context,
                                           const char *username, bool disabled, int64_t *sequence,
                                           char *error) {
  st_change change = st_transaction_change(context, username, sequence);
  change.disabled = disabled;
  return st_remaining_run(store, make_user_disabled, &change, error);
}

static st_store_status end_all(st_db *db, const st_change *change, const st_key *row,
                               const char *because, st_ended *ended) {
  bool ok = st_row_set_of(db, row->id) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_OWNED, ST_VALUES(st_db_text(row->owner))) == ST_STORE_OK;
  return ok ? st_row_set_end(db, change, because, ended) : ST_STORE_FAILED;
}

static st_store_status end_large(st_db *db, const st_change *change, const st_key *row,
                                 const char *because) {
  st_ended user;
  st_remaining rest = {.owner = row->owner, .what = ST_REMAINING_END, .because = because};
  bool ok = st_row_set_of(db, row->id) == ST_STORE_OK &&
            st_row_set_end_these(db, change, because, &user) == ST_STORE_OK &&
            st_remaining_begin(db, change, &rest) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status delete_user(st_db *db, const st_change *change, const st_key *row) {
  char because[ST_NAME_MAX + 64];
  st_writer writer = st_writer_on(because, sizeof because);
  st_ended ended = {0};
  st_derived made = {0};
  bool large = false;
  st_store_status status = find_size(db, change, row, &large, &ended);
  if (status != ST_STORE_OK) return status;
  st_write_literal(&writer, "deleted with user ");
  st_write_truncated(&writer, row->owner);
  bool ok =
      st_writer_end(&writer) && st_derived_find(db, change, row, NULL, &made) == ST_STORE_OK &&
      (large ? end_large(db, change, row, because) : end_all(db, change, row, because, &ended)) ==
          ST_STORE_OK &&
      st_db_run_one(db, ST_SQL_USER_DELETE, ST_VALUES(st_db_text(change->id))) == ST_STORE_OK &&
      st_derived_settle(db, change, "user", row->owner, &made) == ST_STORE_OK;
  return ok ? audit_ended(db, change, "user.delete", &ended, &made) : ST_STORE_FAILED;
}

static st_store_status make_user_deleted(st_db *db, const st_change *change) {
  st_user_before before;
  st_store_status status = st_user_row_find_for(db, change, &before);
  if (status == ST_STORE_OK) status = delete_user(db, change, &before.user.key);
  subtoken_wipe(&before, sizeof before);
  return status;
}

st_store_status st_store_user_delete(st_store *store, const st_audit_context *context,
                                     const char *username, int64_t *sequence, char *error) {
  st_change change = st_transaction_change(context, username, sequence);
  return st_remaining_run(store, make_user_deleted, &change, error);
}
