/* Logins, and the refresh tokens that keep them alive: a chain for each login, of which every link
 * follows from the one before and the login's seed, so that hashes are all that is kept.
 */
#include "store/db.h"

#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "domain/key.h"
#include "domain/store.h"
#include "domain/user.h"

static bool hash_token(subtoken_text token, uint8_t hash[ST_HASH_LEN]) {
  return st_sha256(token.data, token.len, hash);
}

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static st_stored insert_refresh(st_store *store, const char *token, const st_key *login) {
  uint8_t hash[ST_HASH_LEN];
  return hash_token(st_text(token), hash)
             ? st_sqlite_do_one(
                   store, REFRESH_INSERT,
                   VALUES(st_sqlite_bytes(hash, sizeof hash), st_sqlite_text(login->id),
                          st_sqlite_number(login->expires_at)))
             : ST_STORE_FAILED;
}

/* ---- Beginning ---- */

typedef struct beginning {
  st_key login; /* as it is made */
  const uint8_t *seed;
  const char *refresh;
  int64_t most; /* sessions of the maker, with this one */
} beginning;

/* It grants what its maker does, and no longer. */
static bool derive(const st_key *maker, const change *what, st_key *login) {
  if (maker->kind != ST_KIND_KEY && maker->kind != ST_KIND_USER) {
    return false;
  }
  login->kind = maker->kind == ST_KIND_KEY ? ST_KIND_SERVICE : ST_KIND_SESSION;
  memcpy(login->parent, maker->id, sizeof login->parent);
  memcpy(login->name, maker->name, sizeof login->name);
  memcpy(login->owner, maker->owner, sizeof login->owner);
  memcpy(login->permissions, maker->permissions, sizeof login->permissions);
  login->created_at = what->now;
  login->expires_at = earlier(login->expires_at, maker->expires_at);
  login->used_at = 0;
  login->disabled = false;
  login->suspended = false;
  return true;
}

/* Make room for one more. Those whose time is over do not count, and are not ended: nothing of them
 * is good.
 */
static st_stored end_oldest(st_store *store, const change *what, const st_key *maker,
                            int64_t most) {
  static const char detail[] = "the oldest: the key or user has reached its number of sessions";
  counted ended;
  bool ok =
      st_sqlite_choose_none(store) == ST_STORED &&
      st_sqlite_do(store, CHOOSE_OLDEST,
                   VALUES(st_sqlite_text(maker->id), st_sqlite_number(what->now),
                          st_sqlite_number(most - 1))) == ST_STORED &&
      st_sqlite_do(store, AUDIT_SESSIONS,
                   VALUES(st_sqlite_number(what->now), st_sqlite_text(what->act->who),
                          st_sqlite_text(what->act->from), st_sqlite_text(detail))) == ST_STORED &&
      st_sqlite_end_chosen(store, what, NULL, &ended) == ST_STORED;
  return ok ? ST_STORED : ST_STORE_FAILED;
}

static st_stored make_login(st_store *store, const change *what) {
  beginning *b = what->of;
  st_key maker;
  st_stored stored = st_sqlite_maker(store, what, &maker);
  if (stored == ST_STORED && !derive(&maker, what, &b->login)) {
    stored = ST_STORE_REFUSED;
  }
  if (stored == ST_STORED) {
    stored = end_oldest(store, what, &maker, b->most);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_insert(store, &b->login, what->digest, NULL);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_do_one(store, LOGIN_INSERT,
                              VALUES(st_sqlite_text(b->login.id), st_sqlite_bytes(b->seed, 32)));
  }
  if (stored == ST_STORED) {
    stored = insert_refresh(store, b->refresh, &b->login);
  }
  return stored == ST_STORED
             ? st_sqlite_audit_row(store, what, "login.begin", &b->login, NULL, NULL)
             : stored;
}

st_stored st_store_session_begin(st_store *store, const st_audit_context *act,
                                 const st_grantor *maker, int64_t most, st_key *login,
                                 const uint8_t digest[32], const uint8_t seed[32],
                                 const char *refresh, char *error) {
  change what = st_sqlite_change_at(act, NULL, NULL);
  beginning b = {.login = *login, .seed = seed, .refresh = refresh, .most = most};
  b.login.created_at = what.now;
  b.login.name[0] = b.login.owner[0] = b.login.permissions[0] = '\0'; /* its maker's */
  if (!st_sqlite_is_storable(&b.login) || !st_sqlite_has_len(refresh, ST_REFRESH_LEN) || most < 1) {
    return st_sqlite_fail(error, "cannot write %s: incomplete session record",
                          st_sqlite_shown(store->path));
  }
  what.maker = maker;
  what.digest = digest;
  what.of = &b;
  st_stored stored = st_sqlite_apply(store, make_login, &what, error);
  if (stored == ST_STORED) {
    *login = b.login;
  }
  return stored;
}

/* ---- Going on ---- */

/* A refresh token, as it is kept. */
typedef struct link {
  char login[ST_KEY_ID_LEN + 1];
  int64_t expires_at;
  bool used;
  int64_t used_at;
} link;

enum { LINK_LOGIN, LINK_EXPIRES_AT, LINK_USED_AT };

typedef struct refreshing {
  subtoken_text token;
  uint8_t hash[ST_HASH_LEN];
  int64_t expires_at;
  int64_t retry; /* seconds */
  st_key login;
  char successor[ST_REFRESH_LEN + 1];
  bool reused; /* it has ended the login */
} refreshing;

static st_stored find_link(st_store *store, const uint8_t hash[ST_HASH_LEN], link *found) {
  sqlite3_stmt *row = NULL;
  st_stored stored =
      st_sqlite_ask(store, REFRESH_FIND, VALUES(st_sqlite_bytes(hash, ST_HASH_LEN)), &row);
  if (stored == ST_STORED) {
    found->expires_at = sqlite3_column_int64(row, LINK_EXPIRES_AT);
    found->used = sqlite3_column_type(row, LINK_USED_AT) != SQLITE_NULL;
    found->used_at = sqlite3_column_int64(row, LINK_USED_AT);
    if (!st_sqlite_take_text(row, LINK_LOGIN, found->login, sizeof found->login)) {
      stored = ST_STORE_FAILED;
    }
  }
  st_sqlite_finish(row);
  return stored;
}

/* A row that is in force: ST_STORE_NONE when it has ended, is suspended or has expired. */
static st_stored find_alive(st_store *store, const change *what, const char *id, st_key *key) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, ROW, VALUES(st_sqlite_text(id)), &row);
  if (stored == ST_STORED && !st_sqlite_take_key(row, key)) {
    stored = ST_STORE_FAILED;
  } else if (stored == ST_STORED &&
             (key->disabled || key->suspended || key->expires_at <= what->now)) {
    stored = ST_STORE_NONE;
  }
  st_sqlite_finish(row);
  return stored;
}

/* base64url(HMAC-SHA-256(seed, token)). */
static bool write_successor(const uint8_t seed[32], subtoken_text token, char *out) {
  uint8_t mac[ST_HASH_LEN] = {0};
  subtoken_secret secret;
  st_writer writer = st_writer_on(out, ST_REFRESH_LEN + 1);
  bool ok = st_hmac_key(&secret, seed, 32);
  if (ok) {
    st_hmac(&secret, token.data, token.len, mac);
    st_base64url_write(&writer, mac, sizeof mac);
    ok = st_writer_end(&writer);
  }
  subtoken_wipe(mac, sizeof mac);
  subtoken_wipe(&secret, sizeof secret);
  return ok;
}

static st_stored find_successor(st_store *store, refreshing *r) {
  sqlite3_stmt *row = NULL;
  st_stored stored = st_sqlite_ask(store, LOGIN_SEED, VALUES(st_sqlite_text(r->login.id)), &row);
  const void *seed = stored == ST_STORED ? sqlite3_column_blob(row, 0) : NULL;
  bool ok = seed != NULL && sqlite3_column_bytes(row, 0) == 32 &&
            write_successor(seed, r->token, r->successor);
  st_sqlite_finish(row);
  return ok ? ST_STORED : ST_STORE_FAILED;
}

/* Used just now, and nobody has used what it gave. */
static st_stored is_retry(st_store *store, const change *what, const link *presented,
                          const refreshing *r, bool *retry) {
  link next;
  uint8_t hash[ST_HASH_LEN];
  int64_t ago = what->now - presented->used_at;
  *retry = false;
  if (r->retry == 0 || ago < -r->retry || ago > r->retry) {
    return ST_STORED;
  }
  if (!hash_token(st_text(r->successor), hash)) {
    return ST_STORE_FAILED;
  }
  st_stored found = find_link(store, hash, &next);
  *retry = found == ST_STORED && !next.used;
  return found == ST_STORE_FAILED ? ST_STORE_FAILED : ST_STORED;
}

static st_stored end_family(st_store *store, const change *what, refreshing *r) {
  counted ended;
  r->reused = true;
  bool ok = st_sqlite_choose(store, r->login.id) == ST_STORED &&
            st_sqlite_end_chosen(store, what, NULL, &ended) == ST_STORED;
  return ok ? st_sqlite_audit_row(store, what, "login.reuse", &r->login, NULL, NULL)
            : ST_STORE_FAILED;
}

static st_stored go_on(st_store *store, const change *what, refreshing *r, int64_t bound) {
  r->login.expires_at = earlier(r->expires_at, bound);
  parameter expires = r->login.expires_at == ST_NEVER ? st_sqlite_text(NULL)
                                                      : st_sqlite_number(r->login.expires_at);
  bool ok = st_sqlite_do_one(store, REFRESH_USE,
                             VALUES(st_sqlite_bytes(r->hash, sizeof r->hash),
                                    st_sqlite_number(what->now))) == ST_STORED &&
            st_sqlite_do_one(store, EXTEND,
                             VALUES(st_sqlite_text(r->login.id), st_sqlite_number(what->now),
                                    expires)) == ST_STORED;
  return ok ? insert_refresh(store, r->successor, &r->login) : ST_STORE_FAILED;
}

static st_stored make_refreshed(st_store *store, const change *what) {
  refreshing *r = what->of;
  link presented;
  st_key maker;
  bool retry = false;
  st_stored stored = find_link(store, r->hash, &presented);
  if (stored == ST_STORED && presented.expires_at <= what->now) {
    stored = ST_STORE_NONE;
  }
  if (stored == ST_STORED) {
    stored = find_alive(store, what, presented.login, &r->login);
  }
  if (stored == ST_STORED) {
    stored = find_alive(store, what, r->login.parent, &maker);
  }
  if (stored == ST_STORED) {
    stored = find_successor(store, r);
  }
  if (stored != ST_STORED || !presented.used) {
    return stored == ST_STORED ? go_on(store, what, r, maker.expires_at) : stored;
  }
  stored = is_retry(store, what, &presented, r, &retry);
  return stored != ST_STORED || retry ? stored : end_family(store, what, r);
}

static bool take_known(sqlite3_stmt *row, void *known) {
  *(bool *)known = sqlite3_column_int64(row, 0) == 1;
  return true;
}

/* Anybody can send 43 characters: whose token they are is found by reading, before a turn to write
 * is taken.
 */
st_stored st_store_session_refresh(st_store *store, const st_audit_context *act,
                                   subtoken_text token, int64_t expires_at, int64_t retry,
                                   st_key *login, char successor[ST_REFRESH_LEN + 1], char *error) {
  refreshing r = {.token = token, .expires_at = expires_at, .retry = retry};
  change what = st_sqlite_change_at(act, NULL, NULL);
  what.of = &r;
  bool known = false;
  successor[0] = '\0';
  st_stored stored = ST_STORE_FAILED;
  if (token.len != ST_REFRESH_LEN) {
    (void)st_sqlite_fail(error, "not a refresh token");
    return ST_STORE_NONE;
  }
  if (expires_at < 0 || expires_at > ST_NEVER || !hash_token(token, r.hash)) {
    return st_sqlite_fail(error, "cannot write %s: incomplete session record",
                          st_sqlite_shown(store->path));
  }
  stored = st_sqlite_one(store, REFRESH_KNOWN,
                         VALUES(st_sqlite_bytes(r.hash, sizeof r.hash), st_sqlite_number(what.now)),
                         &known, sizeof known, take_known, error);
  if (stored == ST_STORED) {
    stored = st_sqlite_apply(store, make_refreshed, &what, error);
  }
  if (stored == ST_STORED && r.reused) {
    (void)st_sqlite_fail(error, "%s: a refresh token was used before",
                         st_sqlite_shown(store->path));
    stored = ST_STORE_REFUSED;
  }
  if (stored == ST_STORED) {
    *login = r.login;
    memcpy(successor, r.successor, sizeof r.successor);
  }
  subtoken_wipe(&r, sizeof r);
  return stored;
}

/* ---- Ending ---- */

static st_stored make_ended(st_store *store, const change *what) {
  sqlite3_stmt *row = NULL;
  st_key login;
  counted ended;
  st_stored stored = st_sqlite_ask(store, ROW, VALUES(st_sqlite_text(what->id)), &row);
  if (stored == ST_STORED && !st_sqlite_take_key(row, &login)) {
    stored = ST_STORE_FAILED;
  }
  st_sqlite_finish(row);
  if (stored == ST_STORED && login.kind != ST_KIND_SESSION && login.kind != ST_KIND_SERVICE) {
    stored = ST_STORE_NONE;
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_choose(store, what->id);
  }
  if (stored == ST_STORED) {
    stored = st_sqlite_end_chosen(store, what, NULL, &ended);
  }
  return stored == ST_STORED ? st_sqlite_audit_row(store, what, "login.end", &login, NULL, NULL)
                             : stored;
}

st_stored st_store_session_end(st_store *store, const st_audit_context *act, const char *id,
                               int64_t *sequence, char *error) {
  change what = st_sqlite_change_at(act, id, sequence);
  return st_sqlite_apply(store, make_ended, &what, error);
}
