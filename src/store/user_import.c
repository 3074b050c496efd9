/* Imports the users of an access file, all or none: only as the caller saw them, and only over
 * those that an import made. domain/access_file reads such a file.
 */
#include <string.h>

#include "base/impossible.h"
#include "store/key_row.h"
#include "store/remaining_run.h"
#include "store/user_row.h"

/* ---- what the caller looks at before ---- */

static bool take_nothing(const st_row *row, void *item) {
  (void)row, (void)item;
  return true;
}

st_store_status st_store_user_was_deleted(st_store *store, subtoken_text username, bool *deleted,
                                          char *error) {
  char unused = 0;
  size_t count = 0;
  st_query_page page = {&unused, 0, 1, &count, take_nothing};
  st_store_status status =
      st_query_list(store, ST_SQL_USER_WAS_DELETED, ST_VALUES(st_db_view(username)), &page, error);
  if (status == ST_STORE_OK) *deleted = count > 0;
  return status;
}

/* The sub changes whenever something is taken from the user. */
bool st_store_user_fingerprint(const st_user *user, uint8_t fingerprint[ST_HASH_LEN]) {
  char text[ST_SUB_LEN + 1 + ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, user->key.sub);
  st_write_char(&writer, ' ');
  st_write_literal(&writer, user->key.permissions);
  if (st_impossible(!st_writer_end(&writer), "a sub and permissions fit")) return false;
  st_sha256(text, writer.len, fingerprint);
  return true;
}

/* ---- the change ---- */

#define USER_US 20000 /* that a user may take: many times what one does take */

typedef struct batch {
  const st_user_import *users;
  size_t count;
  size_t at; /* the user at which it stands */
  const char *problem;
} batch;

static st_store_status refuse_import(batch *all, const char *problem) {
  all->problem = problem;
  return ST_STORE_DENIED;
}

static st_store_status import_new(st_db *db, const st_change *change, batch *all,
                                  const st_user_import *entry) {
  const st_user *user = &entry->user;
  const st_value *username = ST_VALUES(st_db_text(user->key.owner));
  int64_t owned = 0;
  st_store_status remains = st_remaining_check(db, change, user->key.owner);
  if (remains != ST_STORE_OK) return remains;
  st_store_status found = st_db_exists(db, ST_SQL_USER_WAS_DELETED, username);
  if (found == ST_STORE_OK && entry->mode == ST_IMPORT_CREATE) {
    return refuse_import(all, "was deleted here");
  }
  if (found == ST_STORE_FAILED ||
      st_db_query_number(db, ST_SQL_KEY_COUNT_OWNED, username, &owned) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  st_store_status status = st_user_row_insert(db, change, user, entry->digest, user->imported);
  return status == ST_STORE_OK ? st_user_row_audit(db, change, "user.import", user, owned) : status;
}

static st_store_status import_known(st_db *db, const st_change *change, batch *all,
                                    const st_user_import *entry, const st_user_before *before) {
  uint8_t seal[ST_HASH_LEN];
  const st_user *user = &entry->user;
  if (!before->imported) return refuse_import(all, "was not imported");
  if (!st_store_user_fingerprint(&before->user, seal)) return ST_STORE_FAILED;
  if (entry->mode != ST_IMPORT_UPDATE || memcmp(seal, entry->seen, sizeof seal) != 0) {
    return refuse_import(all, "has changed meanwhile");
  }
  bool changed = user->password[0] != '\0';
  st_user_revision to = {.permissions = user->key.permissions,
                         .password = changed ? user->password : NULL,
                         .imported = changed ? user->imported : NULL,
                         .sub = user->key.sub,
                         .action = "user.import"};
  return st_user_row_revise(db, change, &before->user.key, &to);
}

static st_store_status import_one(st_db *db, const st_change *change, batch *all,
                                  const st_user_import *entry) {
  st_user_before before;
  st_store_status status = st_user_row_find(db, entry->user.key.owner, &before);
  if (status == ST_STORE_OK) {
    status = import_known(db, change, all, entry, &before);
  } else if (status == ST_STORE_NOT_FOUND) {
    status = entry->mode != ST_IMPORT_UPDATE ? import_new(db, change, all, entry)
                                             : refuse_import(all, "has changed meanwhile");
  }
  subtoken_wipe(&before, sizeof before);
  return status;
}

static st_store_status make_imported(st_db *db, const st_change *change) {
  batch *all = change->data;
  st_store_status status = ST_STORE_OK;
  for (all->at = 0; all->at < all->count; all->at++) {
    status = import_one(db, change, all, &all->users[all->at]);
    if (status != ST_STORE_OK) break;
  }
  return status;
}

st_store_status st_store_user_import(st_store *store, const st_audit_context *context,
                                     const st_user_import *users, size_t count, int64_t *sequence,
                                     char *error) {
  for (size_t i = 0; i < count; i++) {
    if (!st_user_row_storable(&users[i].user)) {
      return st_db_fail(error, "cannot write %s: incomplete user record", st_db_name(store));
    }
  }
  batch all = {.users = users, .count = count};
  st_change change = st_transaction_change(context, NULL, sequence);
  change.data = &all;
  st_transaction_allow(&change, count, USER_US);
  st_store_status status = st_remaining_run(store, make_imported, &change, error);
  if (status == ST_STORE_DENIED) {
    (void)st_db_fail(error, "%s: the user %s %s; nothing was changed", st_db_name(store),
                     users[all.at].user.key.owner, all.problem);
  }
  return status;
}
