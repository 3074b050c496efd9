/* What every change of the store is made of: its transaction, its sequence, the row of something
 * new, and whether what it is made with is in force.
 */
#include <string.h>

#include "store/sqlite_internal.h"

change st_sqlite_change_at(const st_act *act, const char *id, int64_t *sequence) {
  if (sequence != NULL) {
    *sequence = 0;
  }
  return (change){.act = act,
                  .id = id,
                  .now = act->now_us / 1000000,
                  .now_us = act->now_us,
                  .sequence = sequence};
}

/* A commit that failed, and some failures before it, end the transaction by
 * themselves; the others leave it open, and must not.
 */
static void roll_back(st_store *store) {
  if (sqlite3_get_autocommit(store->writes) == 0) {
    (void)st_sqlite_run(store->write[ROLLBACK]);
  }
}

/* In its transaction, and committed. */
static st_stored make_whole(st_store *store, change_fn *make, const change *what,
                            int64_t *sequence) {
  st_stored stored = ST_STORE_FAILED;
  store->taken = 0;
  if (st_sqlite_run(store->write[BEGIN]) == SQLITE_OK) {
    stored = make(store, what);
  }
  if (stored == ST_STORED && what->sequence != NULL) {
    stored = st_sqlite_standing(store, sequence);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_do(store, COMMIT, NO_VALUES);
  }
  return stored;
}

/* Of SQLite's, or that a row made no sense to us. */
static void tell_failure(st_store *store, char *why) {
  int code = sqlite3_errcode(store->writes);
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) {
    (void)st_sqlite_fail_damaged(why, store->path, "a row is not as it was written");
  } else {
    (void)st_sqlite_fail_db(why, store->path, store->writes, "write");
  }
}

static const char *why_not(st_stored stored) {
  return stored == ST_STORE_EXISTS    ? "it is there already"
         : stored == ST_STORE_REFUSED ? "the credential used has ended or lost a permission"
         : stored == ST_STORE_OWNER_REGISTERED ? "the owner is a user who registered"
         : stored == ST_STORE_OWNER_NO_USER    ? "the owner is no user"
                                               : "it is not there";
}

st_stored st_sqlite_apply(st_store *store, change_fn *make, const change *what, char *why) {
  int64_t sequence = 0;
  (void)pthread_mutex_lock(&store->writing);
  st_stored stored = make_whole(store, make, what, &sequence);
  if (stored == ST_STORE_FAILED) {
    tell_failure(store, why);
  } else if (stored != ST_STORED) {
    (void)st_sqlite_fail(why, "%s: %s", st_sqlite_shown(store->path), why_not(stored));
  } else if (what->sequence != NULL) {
    *what->sequence = sequence;
  }
  roll_back(store);
  (void)pthread_mutex_unlock(&store->writing);
  return stored;
}

/* ---- The sequence ---- */

st_stored st_sqlite_standing(st_store *store, int64_t *sequence) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, SEQUENCE, NO_VALUES, &row);
  *sequence = stored == ST_STORED ? sqlite3_column_int64(row, 0) : 0;
  st_sqlite_finish(row);
  return *sequence > 0 ? ST_STORED : ST_STORE_FAILED;
}

st_stored st_sqlite_take_sequence(st_store *store, const change *what, int64_t *sequence) {
  if (store->taken == 0) {
    if (st_sqlite_do_one(store, NEXT_SEQUENCE, VALUES(st_sqlite_number(what->now_us))) !=
            ST_STORED ||
        st_sqlite_standing(store, &store->taken) != ST_STORED) {
      return ST_STORE_FAILED;
    }
  }
  *sequence = store->taken;
  return ST_STORED;
}

/* ---- Something new ---- */

st_stored st_sqlite_sub_is_new(st_store *store, const char *sub) {
  sqlite3_stmt *row = NULL;
  st_stored found = st_sqlite_ask(store, IS_REVOKED, VALUES(st_sqlite_text(sub)), &row);
  st_sqlite_finish(row);
  return found == ST_STORE_NONE ? ST_STORED : found == ST_STORED ? ST_STORE_EXISTS : found;
}

static bool is_time(int64_t time) {
  return time >= 0 && time <= SUBTOKEN_TIME_MAX;
}

bool st_sqlite_has_len(const char *text, size_t len) {
  return strnlen(text, len + 1) == len;
}

bool st_sqlite_is_storable(const st_key *key) {
  return st_sqlite_has_len(key->id, ST_KEY_ID_LEN) && st_sqlite_has_len(key->sub, ST_SUB_LEN) &&
         strnlen(key->name, sizeof key->name) < sizeof key->name &&
         strnlen(key->owner, sizeof key->owner) < sizeof key->owner &&
         strnlen(key->permissions, sizeof key->permissions) < sizeof key->permissions &&
         is_time(key->created_at) && is_time(key->expires_at);
}

static parameter expiry_of(const st_key *key) {
  return key->expires_at == ST_NEVER ? st_sqlite_text(NULL) : st_sqlite_number(key->expires_at);
}

st_stored st_sqlite_insert(st_store *store, const st_key *key, const uint8_t digest[32],
                           const char *made_by) {
  st_stored stored = st_sqlite_sub_is_new(store, key->sub);
  if (stored != ST_STORED) {
    return stored;
  }
  return st_sqlite_do_one(
      store, INSERT,
      VALUES(
          st_sqlite_text(key->id), st_sqlite_text(key->sub), st_sqlite_text(key->name),
          st_sqlite_text(key->owner), st_sqlite_text(key->permissions),
          st_sqlite_number(key->created_at), expiry_of(key), st_sqlite_number(key->disabled),
          st_sqlite_number(key->kind), st_sqlite_text(key->parent[0] != '\0' ? key->parent : NULL),
          st_sqlite_number(key->suspended), st_sqlite_bytes(digest, 32), st_sqlite_text(made_by)));
}

/* ---- What it is made with ---- */

bool st_sqlite_permits(const char *permissions, subtoken_text permission) {
  st_cutter cutter = {st_text(permissions), false};
  subtoken_text held;
  while (st_cut(&cutter, ',', &held)) {
    if (st_text_equal(held, permission)) {
      return true;
    }
  }
  return false;
}

static bool in_force(const st_key *row, const change *what) {
  return strcmp(row->sub, what->maker->sub) == 0 && !row->disabled && !row->suspended &&
         row->expires_at > what->now;
}

st_stored st_sqlite_maker(st_store *store, const change *what, st_key *row) {
  sqlite3_stmt *found = NULL;
  st_stored stored = st_sqlite_ask(store, ROW, VALUES(st_sqlite_text(what->maker->id)), &found);
  if (stored == ST_STORED && !st_sqlite_take_key(found, row)) {
    stored = ST_STORE_FAILED;
  } else if (stored == ST_STORE_NONE || (stored == ST_STORED && !in_force(row, what))) {
    stored = ST_STORE_REFUSED;
  }
  st_sqlite_finish(found);
  return stored;
}

st_stored st_sqlite_may_make(st_store *store, const change *what, const char *permissions) {
  st_key row;
  if (what->maker == NULL) {
    return ST_STORED;
  }
  st_stored stored = st_sqlite_maker(store, what, &row);
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text wanted;
  while (stored == ST_STORED && st_cut(&cutter, ',', &wanted)) {
    stored = st_sqlite_permits(row.permissions, wanted) ? ST_STORED : ST_STORE_REFUSED;
  }
  return stored;
}
