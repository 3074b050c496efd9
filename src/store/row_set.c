/* What happens when rows end or are disabled: their subs are refused, the revocation data lists
 * their hashes at the sequence of the change, and each key has a line in the audit log. keys.c,
 * users.c, sessions.c, derived.c and restore.c say which rows these are.
 */
#include "store/row_set.h"

#include "store/key_row.h"

st_store_status st_row_set_clear(st_db *db) {
  return st_db_run(db, ST_SQL_SET_CLEAR, ST_NO_VALUES);
}

st_store_status st_row_set_of(st_db *db, const char *id) {
  st_store_status status = st_row_set_clear(db);
  return status == ST_STORE_OK ? st_db_run(db, ST_SQL_SET_ADD_ROW, ST_VALUES(st_db_text(id)))
                               : status;
}

static st_store_status count_rows(st_db *db, st_ended *count) {
  st_row row;
  st_store_status status = st_db_query(db, ST_SQL_SET_COUNT, ST_NO_VALUES, &row);
  *count = (st_ended){0};
  if (status == ST_STORE_OK) {
    *count = (st_ended){st_row_number(&row, 0), st_row_number(&row, 1), st_row_number(&row, 2)};
  }
  st_row_finish(&row);
  return status;
}

/* Edges are told of these hashes. */
static st_store_status log_rows(st_db *db, const st_change *change) {
  int64_t sequence = 0;
  st_store_status status = st_transaction_take_sequence(db, change, &sequence);
  return status == ST_STORE_OK ? st_db_run(db, ST_SQL_SET_LOG, ST_VALUES(st_db_number(sequence)))
                               : status;
}

/* Tokens that were revoked by themselves: their sub is listed, for longer than any of them. */
static st_store_status unlist_tokens(st_db *db, const st_change *change) {
  int64_t sequence = 0;
  bool ok =
      st_transaction_take_sequence(db, change, &sequence) == ST_STORE_OK &&
      st_db_run(db, ST_SQL_SET_LOG_TOKENS, ST_VALUES(st_db_number(sequence))) == ST_STORE_OK &&
      st_db_run(db, ST_SQL_SET_UNLIST_TOKENS, ST_NO_VALUES) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* The subs that the rows have now are refused for ever. */
static st_store_status revoke_rows(st_db *db, const st_change *change) {
  st_value now = st_db_number(change->now);
  bool ok = st_db_run(db, ST_SQL_SET_REVOKE, ST_VALUES(now)) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_LIST, ST_VALUES(now)) == ST_STORE_OK &&
            log_rows(db, change) == ST_STORE_OK && unlist_tokens(db, change) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status audit_keys(st_db *db, const st_change *change, const char *because) {
  return st_db_run(db, ST_SQL_SET_AUDIT_KEYS,
                   ST_VALUES(st_db_number(change->now), st_db_text(change->context->who),
                             st_db_text(change->context->from), st_db_text("key.delete"),
                             st_db_text(because), st_db_text("; name ")));
}

st_store_status st_row_set_end(st_db *db, const st_change *change, const char *because,
                               st_ended *ended) {
  st_store_status status = st_db_run(db, ST_SQL_SET_ADD_DEPENDENT, ST_NO_VALUES);
  return status == ST_STORE_OK ? st_row_set_end_these(db, change, because, ended) : status;
}

st_store_status st_row_set_end_these(st_db *db, const st_change *change, const char *because,
                                     st_ended *ended) {
  if (count_rows(db, ended) != ST_STORE_OK) return ST_STORE_FAILED;
  if (ended->rows == 0) return ST_STORE_OK;
  bool ok = revoke_rows(db, change) == ST_STORE_OK &&
            (because == NULL || audit_keys(db, change, because) == ST_STORE_OK) &&
            st_db_run(db, ST_SQL_SET_DELETE, ST_VALUES(st_db_number(change->now))) == ST_STORE_OK &&
            /* The digest of a user opens nothing and is known for `*`, who may come again. */
            st_db_run(db, ST_SQL_SET_DELETE_DIGESTS, ST_NO_VALUES) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_row_set_relist(st_db *db, const st_change *change) {
  st_ended differing;
  if (st_db_run(db, ST_SQL_SET_DROP_UNCHANGED, ST_NO_VALUES) != ST_STORE_OK ||
      count_rows(db, &differing) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  if (differing.rows == 0) return ST_STORE_OK;
  bool ok = st_db_run(db, ST_SQL_SET_LIST_DISABLED, ST_NO_VALUES) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_UNLIST_ENABLED, ST_NO_VALUES) == ST_STORE_OK &&
            log_rows(db, change) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_row_set_sweep_sessions(st_db *db, int64_t before, int64_t limit,
                                          int64_t *removed) {
  /* The rows themselves last, because the others refer to them. */
  static const st_sql sweep_order[] = {ST_SQL_SET_REMOVE_REVOKED, ST_SQL_SET_REMOVE_REFRESH,
                                       ST_SQL_SET_REMOVE_SESSIONS, ST_SQL_SET_REMOVE_USED,
                                       ST_SQL_SET_REMOVE_ROWS};
  int64_t rows = 0;
  st_store_status status = st_row_set_clear(db);
  if (status == ST_STORE_OK) {
    status =
        st_db_run(db, ST_SQL_SET_ADD_ENDED, ST_VALUES(st_db_number(before), st_db_number(limit)));
  }
  for (size_t i = 0; i < sizeof sweep_order / sizeof *sweep_order && status == ST_STORE_OK; i++) {
    status = st_db_run_counted(db, sweep_order[i], ST_NO_VALUES, &rows);
  }
  *removed = status == ST_STORE_OK ? rows : 0;
  return status;
}

/* Called after the old sub is revoked, st_key_row_sub_is_new refuses that one too. */
st_store_status st_row_set_new_sub(st_db *db, const st_change *change, const char *id,
                                   const char *sub) {
  if (st_row_set_of(db, id) != ST_STORE_OK || revoke_rows(db, change) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  st_store_status status = st_key_row_sub_is_new(db, sub);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(db, ST_SQL_ROW_REPLACE_SUB,
                           ST_VALUES(st_db_text(id), st_db_number(change->now), st_db_text(sub)));
  }
  /* A row that is disabled stays so with its new sub. */
  return status == ST_STORE_OK ? st_row_set_relist(db, change) : status;
}

st_store_status st_row_set_end_sessions(st_db *db, const st_change *change, const char *id,
                                        st_ended *ended) {
  bool ok = st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_SESSIONS, ST_VALUES(st_db_text(id))) == ST_STORE_OK;
  return ok ? st_row_set_end(db, change, NULL, ended) : ST_STORE_FAILED;
}
