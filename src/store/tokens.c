/* Tokens that are revoked by themselves, by whoever holds one: listed by their tids, with what was
 * made from them, until they could no longer live. purge.c takes them off then, row_set.c when
 * their sub is listed for good. A request's own look-up is not here: the implementation answers it
 * itself (st_driver).
 */
#include <string.h>

#include "store/audit.h"
#include "store/key_row.h"

#define VIA_TEXT_ROOM ((size_t)SUBTOKEN_VIA_MAX * (ST_TID_LEN + 1))

typedef struct revoked_token {
  const st_key_token *token;
  int64_t most;
  int64_t until;           /* it is listed */
  char via[VIA_TEXT_ROOM]; /* joined by commas */
} revoked_token;

/* At an edge whose clock is a leeway behind a token is accepted for a leeway longer. */
#define LEEWAYS (INT64_C(2) * SUBTOKEN_LEEWAY_MAX)

/* The living row that the token was made with: not one under whose sub somebody made it up. */
static st_store_status find_row(st_db *db, const revoked_token *t, st_key *key) {
  char id[ST_KEY_ID_LEN + 1];
  st_row row;
  st_store_status found =
      st_db_query(db, ST_SQL_ROW_FIND_SUB, ST_VALUES(st_db_view(t->token->sub)), &row);
  if (found == ST_STORE_OK && !st_row_text(&row, 0, id, sizeof id)) found = ST_STORE_FAILED;
  st_row_finish(&row);
  if (found == ST_STORE_OK) found = st_key_row_find(db, id, key);
  if (found == ST_STORE_OK && !st_key_has_made(key, t->token)) return ST_STORE_NOT_FOUND;
  return found;
}

static st_store_status tid_is_listed(st_db *db, subtoken_text tid) {
  return st_db_exists(db, ST_SQL_TOKEN_IS_LISTED, ST_VALUES(st_db_view(tid)));
}

/* By itself, or with what it was made from. ST_STORE_NOT_FOUND: it is not. */
static st_store_status is_listed(st_db *db, const st_key_token *token) {
  st_store_status status = tid_is_listed(db, token->tid);
  for (size_t i = 0; i < token->via_count && status == ST_STORE_NOT_FOUND; i++) {
    status = tid_is_listed(db, token->via[i]);
  }
  return status;
}

static st_store_status list_token(st_db *db, const st_change *change, const revoked_token *t,
                                  const st_key *key) {
  int64_t others = 0, sequence = 0;
  st_value tid = st_db_view(t->token->tid), sub = st_db_view(t->token->sub);
  st_value until = st_db_number(t->until), derived = st_db_number(t->token->derived_for.len > 0);
  st_value root = st_db_text(st_key_root(key));
  if (st_db_query_number(db, ST_SQL_TOKEN_COUNT_OTHERS, ST_VALUES(tid, sub, until, root, derived),
                         &others) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  if (others >= t->most) return ST_STORE_FULL;
  bool ok =
      st_transaction_take_sequence(db, change, &sequence) == ST_STORE_OK &&
      st_db_run(db, ST_SQL_TOKEN_LOG_MADE, ST_VALUES(tid, sub, until, st_db_number(sequence))) ==
          ST_STORE_OK &&
      st_db_run(db, ST_SQL_TOKEN_UNLIST_MADE, ST_VALUES(tid, sub, until)) == ST_STORE_OK &&
      st_db_run_one(db, ST_SQL_TOKEN_LIST,
                    ST_VALUES(tid, sub, until, root, derived, st_db_text(t->via))) == ST_STORE_OK &&
      st_db_run(db, ST_SQL_SUB_LOG, ST_VALUES(st_db_number(sequence), tid)) == ST_STORE_OK &&
      st_db_run_one(db, ST_SQL_ROW_HAS_TOKEN,
                    ST_VALUES(st_db_text(key->id), st_db_number(change->now))) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status audit_token(st_db *db, const st_change *change, const revoked_token *t,
                                   const st_key *key) {
  static const char *const kinds[] = {"key ", "user ", "login ", "login "};
  char detail[ST_AUDIT_DETAIL_ROOM], target[ST_TID_LEN + 1];
  st_writer writer = st_writer_on(detail, sizeof detail);
  memcpy(target, t->token->tid.data, ST_TID_LEN);
  target[ST_TID_LEN] = '\0';
  st_audit_detail_expiry(&writer, t->token->exp);
  st_audit_detail(&writer, kinds[key->kind], key->kind == ST_KIND_USER ? key->owner : key->id);
  return st_audit_write_detail(db, change, "token.revoke", target, &writer);
}

/* One that is listed already is carried by the last sequence, too. */
static st_store_status make_revoked(st_db *db, const st_change *change) {
  const revoked_token *t = change->data;
  st_key key;
  st_store_status status = find_row(db, t, &key);
  if (status != ST_STORE_OK) return status;
  status = is_listed(db, t->token);
  if (status != ST_STORE_NOT_FOUND) return status;
  status = list_token(db, change, t, &key);
  return status == ST_STORE_OK ? audit_token(db, change, t, &key) : status;
}

static bool is_tid(subtoken_text tid) {
  bool ok = tid.data != NULL && tid.len == ST_TID_LEN;
  for (size_t i = 0; ok && i < ST_TID_LEN; i++) {
    ok = tid.data[i] != '\0' && strchr(ST_KEY_ROW_NAME_CHARS, tid.data[i]) != NULL;
  }
  return ok;
}

static bool is_whole(const st_key_token *token, char *via) {
  st_writer writer = st_writer_on(via, VIA_TEXT_ROOM);
  bool ok = is_tid(token->tid) && token->exp >= 0 && token->exp <= SUBTOKEN_TIME_MAX - LEEWAYS &&
            token->via_count <= SUBTOKEN_VIA_MAX;
  for (size_t i = 0; ok && i < token->via_count; i++) {
    ok = is_tid(token->via[i]);
    if (i > 0) st_write_char(&writer, ',');
    if (ok) st_write_view(&writer, token->via[i]);
  }
  return ok && st_writer_end(&writer);
}

st_store_status st_store_token_revoke(st_store *store, const st_audit_context *context,
                                      const st_key_token *token, int64_t most, int64_t *sequence,
                                      char *error) {
  st_change change = st_transaction_change(context, NULL, sequence);
  revoked_token t = {.token = token, .most = most};
  if (!is_whole(token, t.via)) {
    return st_db_fail(error, "cannot write %s: incomplete record of a token", st_db_name(store));
  }
  t.until = token->exp + LEEWAYS;
  change.data = &t;
  return st_transaction_run(store, make_revoked, &change, error);
}
