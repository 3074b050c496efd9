/* Sessions, and the refresh tokens that keep them alive. The tokens of a session are a chain: each
 * follows from the one before and the session's seed, so that only hashes are kept. A token that is
 * used twice ends its session (RFC 9700 section 4.14.2), unless it is a retry.
 */
#include <string.h>

#include "base/base64url.h"
#include "base/hmac.h"
#include "store/audit.h"
#include "store/key_row.h"
#include "store/query.h"

static int64_t earlier(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static st_store_status fail_session(const st_store *store, char *error) {
  return st_db_fail(error, "cannot write %s: incomplete session record", st_db_name(store));
}

static st_store_status insert_token(st_db *db, const char *token, const st_key *session) {
  uint8_t hash[ST_HASH_LEN];
  st_sha256(token, strlen(token), hash);
  return st_db_run_one(db, ST_SQL_REFRESH_INSERT,
                       ST_VALUES(st_db_bytes(hash, sizeof hash), st_db_text(session->id),
                                 st_db_number(session->expires_at)));
}

/* ---- begun ---- */

typedef struct new_session {
  st_key session; /* as it is made */
  const uint8_t *seed;
  const char *refresh;
  int64_t most;       /* sessions of the grantor, with this one */
  int64_t expires_at; /* that was asked for */
} new_session;

/* A session grants what its grantor does, and no longer. */
static bool derive(const st_key *grantor, const st_change *change, st_key *session) {
  if (grantor->kind != ST_KIND_KEY && grantor->kind != ST_KIND_USER) return false;
  session->kind = grantor->kind == ST_KIND_KEY ? ST_KIND_SERVICE : ST_KIND_SESSION;
  memcpy(session->parent, grantor->id, sizeof session->parent);
  memcpy(session->name, grantor->name, sizeof session->name);
  memcpy(session->owner, grantor->owner, sizeof session->owner);
  memcpy(session->permissions, grantor->permissions, sizeof session->permissions);
  memcpy(session->audience, grantor->audience, sizeof session->audience);
  session->created_at = change->now;
  session->expires_at = earlier(session->expires_at, grantor->expires_at);
  session->used_at = 0;
  session->disabled = false;
  session->suspended = false;
  return true;
}

/* Make room for one more. Expired sessions do not count and are not ended: nothing of them is
 * valid.
 */
static st_store_status end_oldest(st_db *db, const st_change *change, const st_key *grantor,
                                  int64_t most) {
  static const char detail[] = "the oldest: the key or user has reached its number of sessions";
  st_ended ended;
  bool ok = st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_OLDEST,
                      ST_VALUES(st_db_text(grantor->id), st_db_number(change->now),
                                st_db_number(most - 1))) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_AUDIT_SESSIONS,
                      ST_VALUES(st_db_number(change->now), st_db_text(change->context->who),
                                st_db_text(change->context->from), st_db_text("login.end"),
                                st_db_text(detail))) == ST_STORE_OK &&
            st_row_set_end(db, change, NULL, &ended) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status make_session(st_db *db, const st_change *change) {
  new_session *new = change->data;
  st_key grantor;
  st_store_status status = st_key_row_grantor(db, change, &grantor);
  new->session.expires_at = new->expires_at;
  if (status == ST_STORE_OK && !derive(&grantor, change, &new->session)) status = ST_STORE_DENIED;
  if (status == ST_STORE_OK) status = end_oldest(db, change, &grantor, new->most);
  if (status == ST_STORE_OK) status = st_key_row_insert(db, &new->session, change->digest, NULL);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(db, ST_SQL_SESSION_INSERT,
                           ST_VALUES(st_db_text(new->session.id), st_db_bytes(new->seed, 32)));
  }
  if (status == ST_STORE_OK) status = insert_token(db, new->refresh, &new->session);
  return status == ST_STORE_OK
             ? st_audit_write_row(db, change, "login.begin", &new->session, NULL, NULL)
             : status;
}

st_store_status st_store_session_begin(st_store *store, const st_audit_context *context,
                                       const st_grantor *grantor, int64_t most, st_key *session,
                                       const uint8_t digest[32], const uint8_t seed[32],
                                       const char *refresh, char *error) {
  st_change change = st_transaction_change(context, NULL, NULL);
  new_session new = {.session = *session,
                     .seed = seed,
                     .refresh = refresh,
                     .most = most,
                     .expires_at = session->expires_at};
  new.session.created_at = change.now;
  new.session.name[0] = new.session.owner[0] = new.session.permissions[0] = '\0';
  if (!st_key_row_storable(&new.session) || !st_key_row_has_len(refresh, ST_REFRESH_LEN) ||
      most < 1) {
    return fail_session(store, error);
  }
  change.grantor = grantor;
  change.digest = digest;
  change.data = &new;
  st_store_status status = st_transaction_run(store, make_session, &change, error);
  if (status == ST_STORE_OK) *session = new.session;
  return status;
}

/* ---- refreshed ---- */

/* A refresh token, as it is kept. */
typedef struct kept_token {
  char session[ST_KEY_ID_LEN + 1];
  int64_t expires_at;
  bool used;
  int64_t used_at;
} kept_token;

typedef struct refreshing {
  subtoken_text token;
  uint8_t hash[ST_HASH_LEN];
  int64_t expires_at;
  int64_t retry; /* seconds */
  st_key session;
  char successor[ST_REFRESH_LEN + 1];
  bool reused; /* it has ended the session */
} refreshing;

static st_store_status find_token(st_db *db, const uint8_t hash[ST_HASH_LEN], kept_token *found) {
  st_row row;
  st_store_status status =
      st_db_query(db, ST_SQL_REFRESH_FIND, ST_VALUES(st_db_bytes(hash, ST_HASH_LEN)), &row);
  if (status == ST_STORE_OK) {
    found->expires_at = st_row_number(&row, ST_COL_REFRESH_EXPIRES_AT);
    found->used = !st_row_is_null(&row, ST_COL_REFRESH_USED_AT);
    found->used_at = st_row_number(&row, ST_COL_REFRESH_USED_AT);
    if (!st_row_text(&row, ST_COL_REFRESH_SESSION, found->session, sizeof found->session)) {
      status = ST_STORE_FAILED;
    }
  }
  st_row_finish(&row);
  return status;
}

/* A row that is in force: ST_STORE_NOT_FOUND when it has ended, is suspended or has expired. */
static st_store_status find_alive(st_db *db, const st_change *change, const char *id, st_key *key) {
  st_store_status status = st_key_row_find(db, id, key);
  bool over =
      status == ST_STORE_OK && (key->disabled || key->suspended || key->expires_at <= change->now);
  return over ? ST_STORE_NOT_FOUND : status;
}

/* base64url(HMAC-SHA-256(seed, token)). */
static bool write_successor(const uint8_t seed[32], subtoken_text token, char *out) {
  uint8_t mac[ST_HASH_LEN] = {0};
  subtoken_secret secret;
  st_writer writer = st_writer_on(out, ST_REFRESH_LEN + 1);
  st_hmac_key(&secret, seed, 32);
  st_hmac(&secret, token.data, token.len, mac);
  st_base64url_write(&writer, mac, sizeof mac);
  bool ok = st_writer_end(&writer);
  subtoken_wipe(mac, sizeof mac);
  subtoken_wipe(&secret, sizeof secret);
  return ok;
}

static st_store_status find_successor(st_db *db, refreshing *r) {
  st_row row;
  uint8_t seed[32];
  st_store_status status =
      st_db_query(db, ST_SQL_SESSION_SEED, ST_VALUES(st_db_text(r->session.id)), &row);
  bool ok = status == ST_STORE_OK && st_row_bytes(&row, 0, seed, sizeof seed) &&
            write_successor(seed, r->token, r->successor);
  st_row_finish(&row);
  subtoken_wipe(seed, sizeof seed);
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* Used within `retry` seconds, and its successor is unused. */
static st_store_status is_retry(st_db *db, const st_change *change, const kept_token *presented,
                                const refreshing *r, bool *retry) {
  kept_token next;
  uint8_t hash[ST_HASH_LEN];
  int64_t ago = change->now - presented->used_at;
  *retry = false;
  if (r->retry == 0 || ago < -r->retry || ago > r->retry) return ST_STORE_OK;
  st_sha256(r->successor, strlen(r->successor), hash);
  st_store_status found = find_token(db, hash, &next);
  *retry = found == ST_STORE_OK && !next.used;
  return found == ST_STORE_FAILED ? ST_STORE_FAILED : ST_STORE_OK;
}

static st_store_status end_reused(st_db *db, const st_change *change, refreshing *r) {
  st_ended ended;
  r->reused = true;
  bool ok = st_row_set_of(db, r->session.id) == ST_STORE_OK &&
            st_row_set_end(db, change, NULL, &ended) == ST_STORE_OK;
  return ok ? st_audit_write_row(db, change, "login.reuse", &r->session, NULL, NULL)
            : ST_STORE_FAILED;
}

static st_store_status extend(st_db *db, const st_change *change, refreshing *r, int64_t bound) {
  r->session.expires_at = earlier(r->expires_at, bound);
  bool ok = st_db_run_one(db, ST_SQL_REFRESH_USE,
                          ST_VALUES(st_db_bytes(r->hash, sizeof r->hash),
                                    st_db_number(change->now))) == ST_STORE_OK &&
            st_db_run_one(db, ST_SQL_ROW_EXTEND,
                          ST_VALUES(st_db_text(r->session.id), st_db_number(change->now),
                                    st_key_row_expiry(r->session.expires_at))) == ST_STORE_OK;
  return ok ? insert_token(db, r->successor, &r->session) : ST_STORE_FAILED;
}

static st_store_status make_refreshed(st_db *db, const st_change *change) {
  refreshing *r = change->data;
  r->reused = false;
  kept_token presented;
  st_key grantor;
  bool retry = false;
  st_store_status status = find_token(db, r->hash, &presented);
  if (status == ST_STORE_OK && presented.expires_at <= change->now) status = ST_STORE_NOT_FOUND;
  if (status == ST_STORE_OK) status = find_alive(db, change, presented.session, &r->session);
  if (status == ST_STORE_OK) status = find_alive(db, change, r->session.parent, &grantor);
  if (status == ST_STORE_OK) status = find_successor(db, r);
  if (status != ST_STORE_OK) return status;
  if (!presented.used) return extend(db, change, r, grantor.expires_at);
  status = is_retry(db, change, &presented, r, &retry);
  return status != ST_STORE_OK || retry ? status : end_reused(db, change, r);
}

static st_store_status find_session(st_store *store, const uint8_t hash[ST_HASH_LEN], int64_t now,
                                    st_key *session, char *error) {
  return st_query_one(store, ST_SQL_REFRESH_SESSION,
                      ST_VALUES(st_db_bytes(hash, ST_HASH_LEN), st_db_number(now)), session,
                      sizeof *session, st_key_row_take, error);
}

st_store_status st_store_session_of_refresh(st_store *store, subtoken_text token, int64_t now,
                                            st_key *session, char *error) {
  uint8_t hash[ST_HASH_LEN];
  if (token.len != ST_REFRESH_LEN) {
    (void)st_db_fail(error, "not a refresh token");
    return ST_STORE_NOT_FOUND;
  }
  st_sha256(token.data, token.len, hash);
  return find_session(store, hash, now, session, error);
}

/* Anybody can send 43 characters, so whether a session has the token is found by reading, before
 * this waits for its turn to write.
 */
st_store_status st_store_session_refresh(st_store *store, const st_audit_context *context,
                                         subtoken_text token, int64_t expires_at, int64_t retry,
                                         st_key *session, char successor[ST_REFRESH_LEN + 1],
                                         char *error) {
  refreshing r = {.token = token, .expires_at = expires_at, .retry = retry};
  st_change change = st_transaction_change(context, NULL, NULL);
  change.data = &r;
  successor[0] = '\0';
  if (token.len != ST_REFRESH_LEN) {
    (void)st_db_fail(error, "not a refresh token");
    return ST_STORE_NOT_FOUND;
  }
  if (expires_at < 0 || expires_at > ST_NEVER) return fail_session(store, error);
  st_sha256(token.data, token.len, r.hash);
  st_store_status status = find_session(store, r.hash, change.now, &r.session, error);
  if (status == ST_STORE_OK) status = st_transaction_run(store, make_refreshed, &change, error);
  if (status == ST_STORE_OK && r.reused) {
    (void)st_db_fail(error, "%s: a refresh token was used before", st_db_name(store));
    status = ST_STORE_DENIED;
  }
  if (status == ST_STORE_OK) {
    *session = r.session;
    memcpy(successor, r.successor, sizeof r.successor);
  }
  subtoken_wipe(&r, sizeof r);
  return status;
}

/* ---- ended ---- */

static st_store_status make_ended(st_db *db, const st_change *change) {
  st_key session;
  st_ended ended;
  st_store_status status = st_key_row_find(db, change->id, &session);
  if (status == ST_STORE_OK && session.kind != ST_KIND_SESSION && session.kind != ST_KIND_SERVICE) {
    status = ST_STORE_NOT_FOUND;
  }
  if (status == ST_STORE_OK) status = st_row_set_of(db, change->id);
  if (status == ST_STORE_OK) status = st_row_set_end(db, change, NULL, &ended);
  return status == ST_STORE_OK ? st_audit_write_row(db, change, "login.end", &session, NULL, NULL)
                               : status;
}

st_store_status st_store_session_end(st_store *store, const st_audit_context *context,
                                     const char *id, int64_t *sequence, char *error) {
  st_change change = st_transaction_change(context, id, sequence);
  return st_transaction_run(store, make_ended, &change, error);
}
