/* Users of an access file, taken over all or none: only as the caller saw them, and only those that
 * an import made. Reading such a file is domain/access_file.
 */
#include <string.h>

#include "store/key_row.h"
#include "store/user_row.h"

/* ---- what the caller looks at before ---- */

static bool take_nothing(const st_row *row, void *item) {
  (void)row, (void)item;
  return true;
}

st_store_status st_store_user_was_deleted(st_store *store, subtoken_text login, bool *deleted,
                                          char *error) {
  char unused = 0;
  size_t count = 0;
  st_query_page page = {&unused, 0, 1, &count, take_nothing};
  st_store_status stored =
      st_query_list(store, ST_SQL_USER_WAS_DELETED, ST_VALUES(st_db_view(login)), &page, error);
  *deleted = count > 0;
  return stored;
}

/* The sub is another after each change that takes something away. */
bool st_store_user_fingerprint(const st_user *person, uint8_t seal[ST_HASH_LEN]) {
  char text[ST_SUB_LEN + 1 + ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, person->key.sub);
  st_write_char(&writer, ' ');
  st_write_literal(&writer, person->key.permissions);
  return st_writer_end(&writer) && st_sha256(text, writer.len, seal);
}

/* ---- the change ---- */

typedef struct batch {
  const st_user_import *users;
  size_t count;
  size_t at; /* the one that it has come to */
  const char *problem;
} batch;

static st_store_status refuse_import(batch *all, const char *problem) {
  all->problem = problem;
  return ST_STORE_DENIED;
}

static st_store_status import_new(st_db *db, const st_change *change, batch *all,
                                  const st_user_import *user) {
  const st_user *person = &user->person;
  const st_value *username = ST_VALUES(st_db_text(person->key.owner));
  int64_t owned = 0;
  st_store_status found = st_db_exists(db, ST_SQL_USER_WAS_DELETED, username);
  if (found == ST_STORE_OK && user->mode == ST_IMPORT_CREATE) {
    return refuse_import(all, "was deleted here");
  }
  if (found == ST_STORE_FAILED ||
      st_db_query_number(db, ST_SQL_KEY_COUNT_OWNED, username, &owned) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  st_store_status stored = st_user_row_insert(db, change, person, user->digest, person->imported);
  return stored == ST_STORE_OK ? st_user_row_audit(db, change, "user.import", person, owned)
                               : stored;
}

static st_store_status import_known(st_db *db, const st_change *change, batch *all,
                                    const st_user_import *user, const st_user_before *before) {
  uint8_t seal[ST_HASH_LEN];
  const st_user *person = &user->person;
  if (!before->imported) return refuse_import(all, "was not imported");
  if (!st_store_user_fingerprint(&before->person, seal)) return ST_STORE_FAILED;
  if (user->mode != ST_IMPORT_UPDATE || memcmp(seal, user->seen, sizeof seal) != 0) {
    return refuse_import(all, "has changed meanwhile");
  }
  bool changed = person->password[0] != '\0';
  st_user_revision to = {.permissions = person->key.permissions,
                         .password = changed ? person->password : NULL,
                         .imported = changed ? person->imported : NULL,
                         .sub = person->key.sub,
                         .action = "user.import"};
  return st_user_row_revise(db, change, &before->person.key, &to);
}

static st_store_status import_one(st_db *db, const st_change *change, batch *all,
                                  const st_user_import *user) {
  st_user_before before;
  st_store_status stored = st_user_row_find(db, user->person.key.owner, &before);
  if (stored == ST_STORE_OK) {
    stored = import_known(db, change, all, user, &before);
  } else if (stored == ST_STORE_NOT_FOUND) {
    stored = user->mode != ST_IMPORT_UPDATE ? import_new(db, change, all, user)
                                            : refuse_import(all, "has changed meanwhile");
  }
  subtoken_wipe(&before, sizeof before);
  return stored;
}

static st_store_status make_imported(st_db *db, const st_change *change) {
  batch *all = change->of;
  st_store_status stored = ST_STORE_OK;
  for (all->at = 0; all->at < all->count; all->at++) {
    stored = import_one(db, change, all, &all->users[all->at]);
    if (stored != ST_STORE_OK) break;
  }
  return stored;
}

st_store_status st_store_user_import(st_store *store, const st_audit_context *act,
                                     const st_user_import *users, size_t count, int64_t *sequence,
                                     char *error) {
  for (size_t i = 0; i < count; i++) {
    if (!st_user_row_storable(&users[i].person)) {
      return st_db_fail(error, "cannot write %s: incomplete user record", st_db_name(store));
    }
  }
  batch all = {.users = users, .count = count};
  st_change change = st_transaction_change(act, NULL, sequence);
  change.of = &all;
  st_store_status stored = st_transaction_run(store, make_imported, &change, error);
  if (stored == ST_STORE_DENIED) {
    (void)st_db_fail(error, "%s: the user %s %s; nothing was changed", st_db_name(store),
                     users[all.at].person.key.owner, all.problem);
  }
  return stored;
}
