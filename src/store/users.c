/* Persons: each has a row among the keys, which is what the person may do, and one of their own,
 * under the login. What is taken from a person is taken from what the person made.
 */
#include "store/db.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hmac.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/store.h"
#include "domain/user.h"
#include "os/semaphore.h"

/* ---- Rows ---- */

static bool take_flags(sqlite3_stmt *row, st_user *person) {
  person->registered = sqlite3_column_int64(row, REGISTERED) != 0;
  person->own_password = sqlite3_column_int64(row, OWN_PASSWORD) != 0;
  return true;
}

static bool take_person(sqlite3_stmt *row, void *item) {
  st_user *person = item;
  memset(person, 0, sizeof *person);
  return st_sqlite_take_listed(row, &person->key) && person->key.kind == ST_KIND_USER &&
         st_sqlite_take_text(row, PASSWORD, person->password, sizeof person->password) &&
         st_sqlite_take_text(row, IMPORTED, person->imported, sizeof person->imported) &&
         st_sqlite_take_text(row, LOCALE, person->locale, sizeof person->locale) &&
         st_sqlite_take_text(row, SOURCE, person->source, sizeof person->source) &&
         take_flags(row, person);
}

/* A person as they are before a change. */
typedef struct known {
  st_user person;
  bool imported; /* once, by an import */
} known;

static st_stored know(st_store *store, const char *login, known *before) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, PERSON_FIND, VALUES(st_sqlite_text(login)), &row);
  if (stored == ST_STORED && !take_person(row, &before->person)) {
    stored = ST_STORE_FAILED;
  }
  before->imported = stored == ST_STORED && sqlite3_column_int64(row, BY_IMPORT) != 0;
  st_sqlite_finish(row);
  return stored;
}

st_stored st_store_user_find(st_store *store, subtoken_text login, st_user *person, char *error) {
  return st_sqlite_one(store, PERSON_FIND, VALUES(st_sqlite_view(login)), person, sizeof *person,
                       take_person, error);
}

st_stored st_store_user_list(st_store *store, const char *after, size_t limit, st_user *persons,
                             size_t *count, char *error) {
  rows_into into = {persons, sizeof *persons, limit, count, take_person};
  return st_sqlite_page(store, PERSON_LIST,
                        VALUES(st_sqlite_text(after), st_sqlite_number((int64_t)limit)), &into,
                        error);
}

static bool fits(const char *text, size_t size) {
  return strnlen(text, size) < size;
}

static bool is_storable(const st_user *person) {
  const st_key *key = &person->key;
  return st_sqlite_is_storable(key) && key->kind == ST_KIND_USER && key->parent[0] == '\0' &&
         key->owner[0] != '\0' && strcmp(key->owner, key->name) == 0 && !key->disabled &&
         !key->suspended && fits(person->password, sizeof person->password) &&
         fits(person->imported, sizeof person->imported) &&
         fits(person->locale, sizeof person->locale) && fits(person->source, sizeof person->source);
}

static st_stored fail_person(const st_store *store, char *error) {
  return st_sqlite_fail(error, "cannot write %s: incomplete user record",
                        st_sqlite_shown(store->path));
}

/* ---- Someone new ---- */

/* imported: what an import brought, or NULL when none makes this person. */
static st_stored insert_person(st_store *store, const change *what, const st_user *person,
                               const uint8_t digest[32], const char *imported) {
  st_stored stored = st_sqlite_insert(store, &person->key, digest, what->act->row);
  return stored != ST_STORED
             ? stored
             : st_sqlite_do_one(
                   store, PERSON_INSERT,
                   VALUES(st_sqlite_text(person->key.owner), st_sqlite_text(person->key.id),
                          st_sqlite_text(person->password), st_sqlite_text(imported),
                          st_sqlite_text(person->locale), st_sqlite_text(person->source),
                          st_sqlite_number(what->now), st_sqlite_number(person->registered)));
}

/* owned: keys that were there before, for an owner of that name. */
static st_stored audit_person(st_store *store, const change *what, const char *action,
                              const st_user *person, int64_t owned) {
  char detail[DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  if (owned > 0) {
    st_sqlite_detail(&writer, "keys owned: ", "");
    st_write_int(&writer, owned);
  }
  st_sqlite_detail_permissions(&writer, person->key.permissions);
  st_sqlite_detail_expiry(&writer, person->key.expires_at);
  if (person->source[0] != '\0') {
    st_sqlite_detail(&writer, "source ", person->source);
  }
  return st_writer_end(&writer) ? st_sqlite_audit(store, what, action, person->key.owner, detail)
                                : ST_STORE_FAILED;
}

typedef struct newcomer {
  const st_user *person;
  bool registering;
  int64_t owned; /* keys that stand under the login already */
} newcomer;

/* May who makes this person manage the keys of any owner? The operator may. */
static st_stored manages_all(st_store *store, const change *what, bool registering, bool *all) {
  st_key maker;
  *all = !registering;
  if (what->maker == NULL) {
    return ST_STORED;
  }
  st_stored stored = st_sqlite_maker(store, what, &maker);
  *all = stored == ST_STORED && st_sqlite_permits(maker.permissions, ST_TEXT("keys"));
  return stored;
}

/* ST_STORE_EXISTS when the login is taken; by the owner of a key, too, unless who makes the person
 * could manage that key anyway: a person manages what stands under the login.
 */
static st_stored login_is_free(st_store *store, const change *what, newcomer *n) {
  const char *login = n->person->key.owner;
  sqlite3_stmt *row = NULL;
  bool all = false;
  if (manages_all(store, what, n->registering, &all) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  st_stored found = st_sqlite_ask(store, PERSON_FIND, VALUES(st_sqlite_text(login)), &row);
  st_sqlite_finish(row);
  if (found != ST_STORE_NONE) {
    return found == ST_STORED ? ST_STORE_EXISTS : found;
  }
  if (st_sqlite_ask(store, COUNT_OWNED, VALUES(st_sqlite_text(login)), &row) != ST_STORED) {
    st_sqlite_finish(row);
    return ST_STORE_FAILED;
  }
  n->owned = sqlite3_column_int64(row, 0);
  st_sqlite_finish(row);
  return n->owned > 0 && !all ? ST_STORE_EXISTS : ST_STORED;
}

static st_stored make_person(st_store *store, const change *what) {
  newcomer *n = what->of;
  const char *imported = n->person->imported[0] != '\0' ? n->person->imported : NULL;
  st_stored stored = st_sqlite_may_make(store, what, n->person->key.permissions);
  if (stored == ST_STORED) {
    stored = login_is_free(store, what, n);
  }
  if (stored == ST_STORED) {
    stored = insert_person(store, what, n->person, what->digest, imported);
  }
  const char *action = n->registering ? "user.register" : "user.create";
  return stored == ST_STORED ? audit_person(store, what, action, n->person, n->owned) : stored;
}

st_stored st_store_user_create(st_store *store, const st_audit_context *act,
                               const st_grantor *maker, bool registering, const st_user *person,
                               const uint8_t digest[32], char *error) {
  if (!is_storable(person)) {
    return fail_person(store, error);
  }
  change what = st_sqlite_change_at(act, NULL, NULL);
  what.maker = maker;
  what.digest = digest;
  what.unauthenticated = registering;
  st_user made = *person;
  made.registered = registering;
  what.of = &(newcomer){&made, registering, 0};
  st_stored stored = st_sqlite_apply(store, make_person, &what, error);
  subtoken_wipe(&made, sizeof made);
  return stored;
}

/* ---- Other permissions, another password ---- */

/* What becomes of a person; NULL: it stays as it is. */
typedef struct revision {
  const char *permissions;
  const char *password;
  const char *imported;
  const char *sub; /* when what was made until now ends */
  const char *action;
} revision;

/* Choose the keys that hold what the person loses; *loses: there is such a thing. */
static st_stored choose_losses(st_store *store, const st_key *row, const char *permissions,
                               bool *loses) {
  st_cutter cutter = {st_text(row->permissions), row->permissions[0] == '\0'};
  subtoken_text held;
  st_stored stored = st_sqlite_choose_none(store);
  while (stored == ST_STORED && st_cut(&cutter, ',', &held)) {
    if (!st_sqlite_permits(permissions, held)) {
      *loses = true;
      stored = st_sqlite_do(store, CHOOSE_HOLDING,
                            VALUES(st_sqlite_text(row->owner), st_sqlite_view(held)));
    }
  }
  return stored;
}

/* What the user made for others does not end with what he loses. */
static st_stored settle_made(st_store *store, const change *what, const st_key *row,
                             st_made *made) {
  char by[ST_NAME_MAX + 8];
  st_writer writer = st_writer_on(by, sizeof by);
  st_write_literal(&writer, "user ");
  st_write_truncated(&writer, row->owner);
  return st_writer_end(&writer) ? st_sqlite_settle_made(store, what, by, made) : ST_STORE_FAILED;
}

/* The keys that hold what is lost, and all logins. */
static st_stored end_what_was_made(st_store *store, const change *what, const st_key *row,
                                   const revision *to, counted *ended) {
  char because[ST_NAME_MAX + 64];
  st_writer writer = st_writer_on(because, sizeof because);
  st_write_literal(&writer, "taken from user ");
  st_write_truncated(&writer, row->owner);
  bool ok = st_writer_end(&writer) &&
            st_sqlite_do(store, CHOOSE_LOGINS, VALUES(st_sqlite_text(row->id))) == ST_STORED &&
            st_sqlite_end_chosen(store, what, because, ended) == ST_STORED;
  return ok ? st_sqlite_new_sub(store, what, row->id, to->sub) : ST_STORE_FAILED;
}

/* What is only added is there in the logins that live. */
static st_stored grant(st_store *store, const change *what, const st_key *row,
                       const char *permissions) {
  parameter now = st_sqlite_number(what->now), granted = st_sqlite_text(permissions);
  st_stored stored = st_sqlite_do_one(store, GRANT, VALUES(st_sqlite_text(row->id), now, granted));
  return stored == ST_STORED
             ? st_sqlite_do(store, GRANT_LOGINS, VALUES(st_sqlite_text(row->id), now, granted))
             : stored;
}

static st_stored audit_revision(st_store *store, const change *what, const st_key *row,
                                const revision *to, const counted *ended, const st_made *made) {
  char detail[DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_sqlite_detail_ended(&writer, ended);
  st_sqlite_detail_made(&writer, made);
  if (to->password != NULL) {
    st_sqlite_detail(&writer, "another password", "");
  }
  if (to->permissions != NULL) {
    st_sqlite_detail_permissions(&writer, to->permissions);
    st_sqlite_detail(&writer, row->permissions[0] != '\0' ? "before " : "before none",
                     row->permissions);
  }
  return st_writer_end(&writer) ? st_sqlite_audit(store, what, to->action, row->owner, detail)
                                : ST_STORE_FAILED;
}

static st_stored revise(st_store *store, const change *what, const st_key *row,
                        const revision *to) {
  counted ended = {0};
  st_made made = {0};
  bool loses = false;
  const char *permissions = to->permissions != NULL ? to->permissions : row->permissions;
  st_stored stored = choose_losses(store, row, permissions, &loses);
  bool tells =
      to->permissions != NULL && (loses || (what->act->made != NULL && what->act->made->end));
  if (stored == ST_STORED && tells) {
    stored = st_sqlite_find_made(store, what, row, permissions, &made);
  }
  if (stored == ST_STORED && (loses || to->password != NULL)) {
    stored = end_what_was_made(store, what, row, to, &ended);
  }
  if (stored == ST_STORED && to->permissions != NULL) {
    stored = grant(store, what, row, to->permissions);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_do_one(store, PERSON_UPDATE,
                              VALUES(st_sqlite_text(row->owner), st_sqlite_number(what->now),
                                     st_sqlite_text(to->password), st_sqlite_text(to->imported)));
  }
  if (stored == ST_STORED && tells) {
    stored = settle_made(store, what, row, &made);
  }
  return stored == ST_STORED ? audit_revision(store, what, row, to, &ended, &made) : stored;
}

static st_stored make_revised(st_store *store, const change *what) {
  known before;
  st_stored stored = know(store, what->id, &before);
  return stored == ST_STORED ? revise(store, what, &before.person.key, what->of) : stored;
}

static st_stored apply_revision(st_store *store, const st_audit_context *act, const char *login,
                                const revision *to, int64_t *sequence, char *error) {
  if (!st_sqlite_has_len(to->sub, ST_SUB_LEN) ||
      (to->password != NULL && !fits(to->password, ST_PHC_MAX + 1)) ||
      (to->permissions != NULL && !fits(to->permissions, ST_PERMISSIONS_TEXT_MAX + 1))) {
    return fail_person(store, error);
  }
  change what = st_sqlite_change_at(act, login, sequence);
  revision copy = *to;
  what.of = &copy;
  return st_sqlite_apply(store, make_revised, &what, error);
}

st_stored st_store_user_set_permissions(st_store *store, const st_audit_context *act,
                                        const char *login, const char *permissions,
                                        const char *new_sub, int64_t *sequence, char *error) {
  revision to = {.permissions = permissions, .sub = new_sub, .action = "user.permissions"};
  return apply_revision(store, act, login, &to, sequence, error);
}

st_stored st_store_user_set_password(st_store *store, const st_audit_context *act,
                                     const char *login, const char *password, const char *new_sub,
                                     int64_t *sequence, char *error) {
  revision to = {.password = password, .sub = new_sub, .action = "user.password"};
  return apply_revision(store, act, login, &to, sequence, error);
}

typedef struct hashes {
  const char *before, *after;
} hashes;

static st_stored make_rehashed(st_store *store, const change *what) {
  const hashes *h = what->of;
  return st_sqlite_do_one(
      store, PERSON_REHASH,
      VALUES(st_sqlite_text(what->id), st_sqlite_text(h->before), st_sqlite_text(h->after)));
}

st_stored st_store_user_rehash(st_store *store, const char *login, const char *before,
                               const char *password, char *error) {
  if (!fits(password, ST_PHC_MAX + 1)) {
    return fail_person(store, error);
  }
  hashes h = {before, password};
  change what = {.id = login, .of = &h, .until_us = ST_WAIT_NOT};
  return st_sqlite_apply(store, make_rehashed, &what, error);
}

/* ---- Disabled, deleted ---- */

/* The person's row as it shall be, and with it that of each key. */
static st_stored suspend(st_store *store, const change *what, const st_key *row) {
  parameter login = st_sqlite_text(row->owner), now = st_sqlite_number(what->now),
            yes = st_sqlite_number(what->disabled);
  bool ok =
      st_sqlite_do_one(store, DISABLE,
                       VALUES(st_sqlite_text(row->id), now, yes, st_sqlite_text(what->act->row),
                              st_sqlite_number(0))) == ST_STORED &&
      st_sqlite_do(store, SUSPEND, VALUES(login, now, yes)) == ST_STORED &&
      st_sqlite_choose(store, row->id) == ST_STORED &&
      st_sqlite_do(store, CHOOSE_OWNED, VALUES(login)) == ST_STORED &&
      st_sqlite_relist_chosen(store, what) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Those of the person, and those made with the person's keys. */
static st_stored end_all_logins(st_store *store, const change *what, const st_key *row,
                                counted *ended) {
  bool ok =
      st_sqlite_choose_none(store) == ST_STORED &&
      st_sqlite_do(store, CHOOSE_LOGINS, VALUES(st_sqlite_text(row->id))) == ST_STORED &&
      st_sqlite_do(store, CHOOSE_LOGINS_OF_OWNED, VALUES(st_sqlite_text(row->owner))) == ST_STORED;
  return ok ? st_sqlite_end_chosen(store, what, NULL, ended) : ST_STORE_FAILED;
}

static st_stored audit_ended(st_store *store, const change *what, const char *action,
                             const counted *ended, const st_made *made) {
  char detail[DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_sqlite_detail_ended(&writer, ended);
  st_sqlite_detail_made(&writer, made);
  return st_writer_end(&writer) ? st_sqlite_audit(store, what, action, what->id, detail)
                                : ST_STORE_FAILED;
}

static st_stored make_disabled(st_store *store, const change *what) {
  known before;
  counted ended = {0};
  st_made made = {0};
  const st_key *row = &before.person.key;
  st_stored stored = know(store, what->id, &before);
  if (stored == ST_STORED) {
    stored = suspend(store, what, row);
  }
  if (stored == ST_STORED && what->disabled) {
    bool ok = end_all_logins(store, what, row, &ended) == ST_STORED &&
              st_sqlite_find_made(store, what, row, NULL, &made) == ST_STORED &&
              settle_made(store, what, row, &made) == ST_STORED;
    stored = ok ? ST_STORED : ST_STORE_FAILED;
  }
  const char *action = what->disabled ? "user.disable" : "user.enable";
  return stored == ST_STORED ? audit_ended(store, what, action, &ended, &made) : stored;
}

st_stored st_store_user_set_disabled(st_store *store, const st_audit_context *act,
                                     const char *login, bool disabled, int64_t *sequence,
                                     char *error) {
  change what = st_sqlite_change_at(act, login, sequence);
  what.disabled = disabled;
  return st_sqlite_apply(store, make_disabled, &what, error);
}

static st_stored make_deleted(st_store *store, const change *what) {
  char because[ST_NAME_MAX + 64];
  st_writer writer = st_writer_on(because, sizeof because);
  known before;
  counted ended = {0};
  st_made made = {0};
  const st_key *row = &before.person.key;
  st_stored stored = know(store, what->id, &before);
  if (stored != ST_STORED) {
    return stored;
  }
  st_write_literal(&writer, "deleted with user ");
  st_write_truncated(&writer, row->owner);
  bool ok = st_writer_end(&writer) &&
            st_sqlite_find_made(store, what, row, NULL, &made) == ST_STORED &&
            st_sqlite_choose(store, row->id) == ST_STORED &&
            st_sqlite_do(store, CHOOSE_OWNED, VALUES(st_sqlite_text(what->id))) == ST_STORED &&
            st_sqlite_end_chosen(store, what, because, &ended) == ST_STORED &&
            st_sqlite_do_one(store, PERSON_DELETE, VALUES(st_sqlite_text(what->id))) == ST_STORED &&
            settle_made(store, what, row, &made) == ST_STORED;
  return ok ? audit_ended(store, what, "user.delete", &ended, &made) : ST_STORE_FAILED;
}

st_stored st_store_user_delete(st_store *store, const st_audit_context *act, const char *login,
                               int64_t *sequence, char *error) {
  change what = st_sqlite_change_at(act, login, sequence);
  return st_sqlite_apply(store, make_deleted, &what, error);
}

/* ---- Import ---- */

static bool take_nothing(sqlite3_stmt *row, void *item) {
  (void)row, (void)item;
  return true;
}

st_stored st_store_user_was_deleted(st_store *store, subtoken_text login, bool *deleted,
                                    char *error) {
  char unused = 0;
  size_t count = 0;
  rows_into into = {&unused, 0, 1, &count, take_nothing};
  st_stored stored =
      st_sqlite_page(store, PERSON_DELETED, VALUES(st_sqlite_view(login)), &into, error);
  *deleted = count > 0;
  return stored;
}

/* The sub is another after each change that takes something away. */
bool st_store_user_seal(const st_user *person, uint8_t seal[ST_HASH_LEN]) {
  char text[ST_SUB_LEN + 1 + ST_PERMISSIONS_TEXT_MAX + 1];
  st_writer writer = st_writer_on(text, sizeof text);
  st_write_literal(&writer, person->key.sub);
  st_write_char(&writer, ' ');
  st_write_literal(&writer, person->key.permissions);
  return st_writer_end(&writer) && st_sha256(text, writer.len, seal);
}

typedef struct batch {
  const st_import *users;
  size_t count;
  size_t at; /* the one that it has come to */
  const char *problem;
} batch;

static st_stored refuse_import(batch *all, const char *problem) {
  all->problem = problem;
  return ST_STORE_REFUSED;
}

static st_stored import_new(st_store *store, const change *what, batch *all,
                            const st_import *user) {
  const st_user *person = &user->person;
  sqlite3_stmt *row = NULL;
  st_stored found =
      st_sqlite_ask(store, PERSON_DELETED, VALUES(st_sqlite_text(person->key.owner)), &row);
  st_sqlite_finish(row);
  if (found == ST_STORED && user->mode == ST_IMPORT_CREATE) {
    return refuse_import(all, "was deleted here");
  }
  if (found == ST_STORE_FAILED ||
      st_sqlite_ask(store, COUNT_OWNED, VALUES(st_sqlite_text(person->key.owner)), &row) !=
          ST_STORED) {
    st_sqlite_finish(row);
    return ST_STORE_FAILED;
  }
  int64_t owned = sqlite3_column_int64(row, 0);
  st_sqlite_finish(row);
  st_stored stored = insert_person(store, what, person, user->digest, person->imported);
  return stored == ST_STORED ? audit_person(store, what, "user.import", person, owned) : stored;
}

static st_stored import_known(st_store *store, const change *what, batch *all,
                              const st_import *user, const known *before) {
  uint8_t seal[ST_HASH_LEN];
  const st_user *person = &user->person;
  if (!before->imported) {
    return refuse_import(all, "was not imported");
  }
  if (!st_store_user_seal(&before->person, seal)) {
    return ST_STORE_FAILED;
  }
  if (user->mode != ST_IMPORT_UPDATE || memcmp(seal, user->seen, sizeof seal) != 0) {
    return refuse_import(all, "has changed meanwhile");
  }
  bool changed = person->password[0] != '\0';
  revision to = {.permissions = person->key.permissions,
                 .password = changed ? person->password : NULL,
                 .imported = changed ? person->imported : NULL,
                 .sub = person->key.sub,
                 .action = "user.import"};
  return revise(store, what, &before->person.key, &to);
}

static st_stored import_one(st_store *store, const change *what, batch *all,
                            const st_import *user) {
  known before;
  st_stored stored = know(store, user->person.key.owner, &before);
  if (stored == ST_STORED) {
    stored = import_known(store, what, all, user, &before);
  } else if (stored == ST_STORE_NONE) {
    stored = user->mode != ST_IMPORT_UPDATE ? import_new(store, what, all, user)
                                            : refuse_import(all, "has changed meanwhile");
  }
  subtoken_wipe(&before, sizeof before);
  return stored;
}

static st_stored make_imported(st_store *store, const change *what) {
  batch *all = what->of;
  st_stored stored = ST_STORED;
  for (all->at = 0; all->at < all->count; all->at++) {
    stored = import_one(store, what, all, &all->users[all->at]);
    if (stored != ST_STORED) {
      break;
    }
  }
  return stored;
}

st_stored st_store_import(st_store *store, const st_audit_context *act, const st_import *users,
                          size_t count, int64_t *sequence, char *error) {
  for (size_t i = 0; i < count; i++) {
    if (!is_storable(&users[i].person)) {
      return fail_person(store, error);
    }
  }
  batch all = {.users = users, .count = count};
  change what = st_sqlite_change_at(act, NULL, sequence);
  what.of = &all;
  st_stored stored = st_sqlite_apply(store, make_imported, &what, error);
  if (stored == ST_STORE_REFUSED) {
    (void)st_sqlite_fail(error, "%s: the user %s %s; nothing was changed",
                         st_sqlite_shown(store->path), users[all.at].person.key.owner, all.problem);
    return ST_STORE_REFUSED;
  }
  return stored;
}
