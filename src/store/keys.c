/* Parent keys as the management sees them: made, found, listed, changed, ended. */
#include "store/db.h"

#include <string.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/store.h"

/* ---- Changes ---- */

/* Does the user make a key for himself, in a login or by HTTP Basic? A key of the user's is not
 * the user: whoever gave it to him may not have known who that is.
 */
static st_stored made_by_owner(st_store *store, const change *what, const st_key *key, bool *is) {
  st_key maker;
  *is = false;
  if (what->maker == NULL) {
    return ST_STORED;
  }
  st_stored stored = st_sqlite_maker(store, what, &maker);
  *is = stored == ST_STORED && (maker.kind == ST_KIND_USER || maker.kind == ST_KIND_SESSION) &&
        strcmp(maker.owner, key->owner) == 0;
  return stored;
}

/* The owner is a name, which may be that of a user: one who is disabled, or one who chose it by
 * registering, and would manage the key.
 */
static st_stored check_owner(st_store *store, const change *what, st_key *key) {
  sqlite3_stmt *row = NULL;
  bool by_owner = false;
  st_stored found = st_sqlite_ask(store, PERSON_FIND, VALUES(st_sqlite_text(key->owner)), &row);
  bool user = found == ST_STORED;
  bool registered = user && sqlite3_column_int64(row, REGISTERED) != 0;
  key->suspended = user && sqlite3_column_int64(row, DISABLED) != 0;
  st_sqlite_finish(row);
  if (found == ST_STORE_FAILED || made_by_owner(store, what, key, &by_owner) != ST_STORED) {
    return ST_STORE_FAILED;
  }
  if (registered && !key->owner_is_user && !by_owner) {
    return ST_STORE_OWNER_REGISTERED;
  }
  return key->owner_is_user && !user ? ST_STORE_OWNER_NO_USER : ST_STORED;
}

static st_stored make_key(st_store *store, const change *what) {
  st_key key = *what->key;
  st_stored stored = st_sqlite_may_make(store, what, key.permissions);
  if (stored == ST_STORED) {
    stored = check_owner(store, what, &key);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_insert(store, &key, what->digest, what->act->row);
  }
  if (stored == ST_STORED && (key.disabled || key.suspended)) {
    stored = st_sqlite_choose(store, key.id);
    stored = stored == ST_STORED ? st_sqlite_relist_chosen(store, what) : stored;
  }
  return stored == ST_STORED ? st_sqlite_audit_row(store, what, "key.create", &key, NULL, NULL)
                             : stored;
}

st_stored st_store_create(st_store *store, const st_audit_context *act, const st_grantor *maker,
                          const st_key *key, const uint8_t digest[32], char *error) {
  if (!st_sqlite_is_storable(key) || key->kind != ST_KIND_KEY || key->parent[0] != '\0') {
    return st_sqlite_fail(error, "cannot write %s: incomplete key record",
                          st_sqlite_shown(store->path));
  }
  change what = st_sqlite_change_at(act, NULL, NULL);
  what.maker = maker;
  what.key = key;
  what.digest = digest;
  return st_sqlite_apply(store, make_key, &what, error);
}

/* The key that a change is about, as it is before. */
static st_stored key_before(st_store *store, const change *what, st_key *key) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, FIND, VALUES(st_sqlite_text(what->id)), &row);
  if (stored == ST_STORED && !st_sqlite_take_listed(row, key)) {
    stored = ST_STORE_FAILED;
  }
  st_sqlite_finish(row);
  return stored;
}

static st_stored make_name(st_store *store, const change *what) {
  char detail[DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_key key;
  st_stored stored = key_before(store, what, &key);
  if (stored == ST_STORED) {
    stored = st_sqlite_do_one(
        store, RENAME,
        VALUES(st_sqlite_text(what->id), st_sqlite_number(what->now), st_sqlite_text(what->text)));
  }
  if (stored != ST_STORED) {
    return stored;
  }
  st_sqlite_detail(&writer, "name ", what->text);
  st_sqlite_detail(&writer, "before ", key.name);
  return st_writer_end(&writer) ? st_sqlite_audit(store, what, "key.rename", what->id, detail)
                                : ST_STORE_FAILED;
}

st_stored st_store_rename(st_store *store, const st_audit_context *act, const char *id,
                          const char *name, char *error) {
  if (strnlen(name, ST_NAME_MAX + 1) > ST_NAME_MAX) {
    return st_sqlite_fail(error, "cannot write %s: the name is too long",
                          st_sqlite_shown(store->path));
  }
  change what = st_sqlite_change_at(act, id, NULL);
  what.text = name;
  return st_sqlite_apply(store, make_name, &what, error);
}

/* What was made with it for others does not end with a key. */
static st_stored settle_made(st_store *store, const change *what, const st_key *key,
                             st_made *made) {
  char by[ST_KEY_ID_LEN + 8];
  st_writer writer = st_writer_on(by, sizeof by);
  st_write_literal(&writer, "key ");
  st_write_truncated(&writer, key->id);
  bool ok = st_writer_end(&writer) &&
            st_sqlite_find_made(store, what, key, NULL, made) == ST_STORED &&
            st_sqlite_settle_made(store, what, by, made) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored make_disabled(st_store *store, const change *what) {
  st_key key;
  counted ended = {0};
  st_made made = {0};
  bool as_owner = what->act->as_owner;
  st_stored stored = key_before(store, what, &key);
  if (stored == ST_STORED && as_owner && !what->disabled && key.disabled &&
      !key.disabled_by_owner) {
    stored = ST_STORE_REFUSED;
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_do_one(store, DISABLE,
                              VALUES(st_sqlite_text(what->id), st_sqlite_number(what->now),
                                     st_sqlite_number(what->disabled),
                                     st_sqlite_text(what->act->row), st_sqlite_number(as_owner)));
  }
  if (stored != ST_STORED) {
    return stored;
  }
  bool ok = st_sqlite_choose(store, what->id) == ST_STORED &&
            st_sqlite_relist_chosen(store, what) == ST_STORED &&
            (!what->disabled || (st_sqlite_end_logins(store, what, what->id, &ended) == ST_STORED &&
                                 settle_made(store, what, &key, &made) == ST_STORED));
  const char *action = what->disabled ? "key.disable" : "key.enable";
  return ok ? st_sqlite_audit_row(store, what, action, &key, &ended, &made) : ST_STORE_FAILED;
}

st_stored st_store_set_disabled(st_store *store, const st_audit_context *act, const char *id,
                                bool disabled, int64_t *sequence, char *error) {
  change what = st_sqlite_change_at(act, id, sequence);
  what.disabled = disabled;
  return st_sqlite_apply(store, make_disabled, &what, error);
}

static st_stored make_deleted(st_store *store, const change *what) {
  st_key key;
  counted ended = {0};
  st_made made = {0};
  st_stored stored = key_before(store, what, &key);
  if (stored == ST_STORED) {
    stored = st_sqlite_choose(store, what->id);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_end_chosen(store, what, NULL, &ended);
  }
  if (stored == ST_STORED) {
    stored = settle_made(store, what, &key, &made);
  }
  ended.keys = 0; /* the one that this is about */
  return stored == ST_STORED ? st_sqlite_audit_row(store, what, "key.delete", &key, &ended, &made)
                             : stored;
}

st_stored st_store_delete(st_store *store, const st_audit_context *act, const char *id,
                          int64_t *sequence, char *error) {
  change what = st_sqlite_change_at(act, id, sequence);
  return st_sqlite_apply(store, make_deleted, &what, error);
}

static st_stored make_new_sub(st_store *store, const change *what) {
  st_key key;
  counted ended = {0};
  st_stored stored = key_before(store, what, &key);
  if (stored == ST_STORED) {
    stored = st_sqlite_new_sub(store, what, what->id, what->sub);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_end_logins(store, what, what->id, &ended);
  }
  return stored == ST_STORED
             ? st_sqlite_audit_row(store, what, "key.revoke_subtokens", &key, &ended, NULL)
             : stored;
}

st_stored st_store_replace_sub(st_store *store, const st_audit_context *act, const char *id,
                               const char *sub, int64_t *sequence, char *error) {
  if (!st_sqlite_has_len(sub, ST_SUB_LEN)) {
    return st_sqlite_fail(error, "cannot write %s: incomplete sub", st_sqlite_shown(store->path));
  }
  change what = st_sqlite_change_at(act, id, sequence);
  what.sub = sub;
  return st_sqlite_apply(store, make_new_sub, &what, error);
}

/* ---- Questions ---- */

bool st_sqlite_take_listed(sqlite3_stmt *row, void *item) {
  st_key *key = item;
  if (!st_sqlite_take_key(row, key)) {
    return false;
  }
  key->disabled_by_owner = sqlite3_column_int64(row, DISABLED_BY_OWNER) != 0;
  return st_sqlite_take_time(row, USED_AT, &key->used_at) &&
         st_sqlite_take_text(row, MADE_BY, key->made_by, sizeof key->made_by);
}

st_stored st_store_find(st_store *store, const char *id, st_key *key, char *error) {
  return st_sqlite_one(store, FIND, VALUES(st_sqlite_text(id)), key, sizeof *key,
                       st_sqlite_take_listed, error);
}

st_stored st_store_find_sub(st_store *store, subtoken_text sub, st_key *key, char *error) {
  return st_sqlite_one(store, FIND_SUB, VALUES(st_sqlite_view(sub)), key, sizeof *key,
                       st_sqlite_take_listed, error);
}

st_stored st_store_list(st_store *store, const char *owner, const char *after_id, size_t limit,
                        st_key *keys, size_t *count, char *error) {
  rows_into into = {keys, sizeof *keys, limit, count, st_sqlite_take_listed};
  parameter after = st_sqlite_text(after_id), most = st_sqlite_number((int64_t)limit);
  return owner == NULL ? st_sqlite_page(store, LIST, VALUES(after, most), &into, error)
                       : st_sqlite_page(store, LIST_OWNED,
                                        VALUES(after, most, st_sqlite_text(owner)), &into, error);
}
