/* Takes over what another history of the revocation data listed: a snapshot that edges hold and
 * this store does not lead to, because it is a backup or a copy; and revokes the sub of a token
 * that this store has never made. The reasoning is in subtoken_revocation(7). Unless a key has the
 * hash, its sub or tid is not known here: it is listed under a name that is none.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/audit.h"
#include "store/remaining_run.h"
#include "store/settings.h"

/* ---- a snapshot ---- */

#define HASH_US 300 /* that a hash may take: many times what it does take */

typedef struct restoring {
  const st_revocation_snapshot *snapshot;
  st_restore_report *report;
} restoring;

static st_store_status fill_snapshot(st_db *db, const st_revocation_snapshot *snapshot) {
  st_store_status status = st_db_run(db, ST_SQL_SNAPSHOT_CLEAR, ST_NO_VALUES);
  for (uint32_t i = 0; i < snapshot->count && status == ST_STORE_OK; i++) {
    status =
        st_db_run(db, ST_SQL_SNAPSHOT_ADD, ST_VALUES(st_db_number((int64_t)snapshot->hashes[i])));
  }
  return status;
}

/* Hashes under two hash keys cannot be listed together. Those of this store are computed anew, if
 * it has a sub for each; otherwise ST_STORE_DENIED.
 */
static st_store_status take_hash_key(st_db *db, const st_revocation_snapshot *snapshot) {
  int64_t first = (int64_t)st_load64(snapshot->hash_key);
  int64_t second = (int64_t)st_load64(snapshot->hash_key + 8);
  st_store_status same =
      st_db_exists(db, ST_SQL_HASH_KEY_IS, ST_VALUES(st_db_number(first), st_db_number(second)));
  if (same != ST_STORE_NOT_FOUND) return same;
  st_store_status nameless = st_db_exists(db, ST_SQL_LISTED_WITHOUT_SUB, ST_NO_VALUES);
  if (nameless != ST_STORE_NOT_FOUND) return nameless == ST_STORE_OK ? ST_STORE_DENIED : nameless;
  bool ok = st_settings_write(db, ST_SETTING_HASH_KEY_0, first) == ST_STORE_OK &&
            st_settings_write(db, ST_SETTING_HASH_KEY_1, second) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_LISTED_HASH_ANEW, ST_NO_VALUES) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_LOG_CUT,
                      ST_VALUES(st_db_number(INT64_MAX), st_db_number(INT64_MAX))) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* Sessions that had ended there, and those of keys that had, end here too. */
static st_store_status end_sessions(st_db *db, const st_change *change, st_restore_report *report) {
  st_ended ended = {0};
  bool ok = st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_SNAPSHOT_SESSIONS, ST_NO_VALUES) == ST_STORE_OK &&
            st_row_set_end(db, change, NULL, &ended) == ST_STORE_OK;
  report->sessions = ended.rows;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

/* Keys and users that are in force here and were not there. Whether they were deleted, disabled or
 * given a new sub is not known, so they are disabled; an administrator can enable them.
 */
static st_store_status disable_keys(st_db *db, const st_change *change, st_restore_report *report) {
  bool ok = st_row_set_clear(db) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SET_ADD_SNAPSHOT_KEYS, ST_NO_VALUES) == ST_STORE_OK &&
            st_db_run_counted(db, ST_SQL_SET_DISABLE, ST_VALUES(st_db_number(change->now)),
                              &report->keys) == ST_STORE_OK;
  return ok ? st_row_set_relist(db, change) : ST_STORE_FAILED;
}

/* What has no row here. */
static st_store_status list_unknown(st_db *db, const st_revocation_snapshot *snapshot, int64_t now,
                                    int64_t sequence, st_restore_report *report) {
  bool ok =
      st_db_run(db, ST_SQL_SNAPSHOT_DROP_KNOWN, ST_VALUES(st_db_number(snapshot->sequence))) ==
          ST_STORE_OK &&
      st_db_run(db, ST_SQL_SNAPSHOT_LOG, ST_VALUES(st_db_number(sequence))) == ST_STORE_OK &&
      st_db_run_counted(db, ST_SQL_SNAPSHOT_LIST, ST_VALUES(st_db_number(now)), &report->listed) ==
          ST_STORE_OK &&
      /* Some may be tids of tokens of any row: each look-up of a row says so from now on. */
      (report->listed == 0 || st_db_run(db, ST_SQL_ANY_ROW_WRITTEN, ST_NO_VALUES) == ST_STORE_OK);
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status audit_restored(st_db *db, const st_change *change,
                                      const st_restore_report *report) {
  char target[24], detail[160];
  snprintf(target, sizeof target, "%" PRId64,
           ((const restoring *)change->data)->snapshot->sequence);
  snprintf(detail, sizeof detail,
           "the database was at %" PRId64 "; listed again %" PRId64
           "; keys and users disabled %" PRId64 "; sessions ended %" PRId64,
           report->before, report->listed, report->keys, report->sessions);
  return st_audit_write(db, change, "revocations.restore", target, detail);
}

/* What this store has changed later than the snapshot is known better here. What the snapshot does
 * not list and this store does has no change that tells of it, so no changes lead on from what was
 * before: the log begins here, for this store and each of its edges.
 */
static st_store_status make_restored(st_db *db, const st_change *change) {
  const restoring *r = change->data;
  int64_t sequence = 0;
  st_value last = st_db_number(r->snapshot->sequence);
  st_store_status status = st_remaining_check_all(db, change);
  if (status == ST_STORE_OK) status = st_transaction_sequence(db, &r->report->before);
  if (status == ST_STORE_OK) status = st_transaction_take_sequence(db, change, &sequence);
  if (status == ST_STORE_OK) status = take_hash_key(db, r->snapshot);
  if (status != ST_STORE_OK) return status;
  bool ok = fill_snapshot(db, r->snapshot) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SNAPSHOT_DROP_KNOWN, ST_VALUES(last)) == ST_STORE_OK &&
            end_sessions(db, change, r->report) == ST_STORE_OK &&
            disable_keys(db, change, r->report) == ST_STORE_OK &&
            list_unknown(db, r->snapshot, change->now, sequence, r->report) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SEQUENCE_FROM, ST_VALUES(last)) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_LOG_FROM, ST_VALUES(st_db_number(sequence))) == ST_STORE_OK &&
            st_settings_raise(db, ST_SETTING_MAX_LIFE, r->snapshot->life) == ST_STORE_OK &&
            audit_restored(db, change, r->report) == ST_STORE_OK &&
            st_db_run(db, ST_SQL_SNAPSHOT_CLEAR, ST_NO_VALUES) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_store_restore_revocations(st_store *store, const st_audit_context *context,
                                             const st_revocation_snapshot *snapshot,
                                             st_restore_report *report, char *error) {
  if (snapshot->sequence < 1 || snapshot->sequence > ST_RESTORE_SEQUENCE_MAX) {
    return st_db_fail(error, "the sequence %" PRId64 " leaves no room for another",
                      snapshot->sequence);
  }
  st_restore_report made = {0};
  st_change change = st_transaction_change(context, NULL, &made.sequence);
  change.data = &(restoring){snapshot, &made};
  if (change.now_us <= snapshot->sequence) change.now_us = snapshot->sequence + 1;
  bool left = false;
  st_store_status status = st_store_continue(store, INT64_MAX, &left, error);
  if (status != ST_STORE_OK) return status;
  st_transaction_allow(&change, snapshot->count, HASH_US);
  status = st_remaining_run(store, make_restored, &change, error);
  if (status == ST_STORE_OK) *report = made;
  if (status == ST_STORE_DENIED) {
    (void)st_db_fail(error, "%s lists hashes under another hash key, which cannot be computed anew",
                     st_db_name(store));
  }
  return status;
}

/* ---- a sub ---- */

typedef struct unknown_sub {
  subtoken_text sub;
  int64_t iat, life;
  char *id; /* of the key that has it */
} unknown_sub;

static st_store_status find_row(st_db *db, const unknown_sub *u) {
  st_row row;
  st_store_status found = st_db_query(db, ST_SQL_ROW_FIND_SUB, ST_VALUES(st_db_view(u->sub)), &row);
  if (found == ST_STORE_OK && !st_row_text(&row, 0, u->id, ST_KEY_ID_LEN + 1)) {
    found = ST_STORE_FAILED;
  }
  st_row_finish(&row);
  return found;
}

static st_store_status make_revoked(st_db *db, const st_change *change) {
  const unknown_sub *u = change->data;
  int64_t sequence = 0, now = change->now > u->iat ? change->now : u->iat;
  char target[SUBTOKEN_SUB_MAX + 1];
  st_store_status found = find_row(db, u);
  if (found != ST_STORE_NOT_FOUND) return found == ST_STORE_OK ? ST_STORE_EXISTS : found;
  found = st_db_exists(db, ST_SQL_SUB_IS_REVOKED, ST_VALUES(st_db_view(u->sub)));
  if (found != ST_STORE_NOT_FOUND) return found == ST_STORE_OK ? ST_STORE_DENIED : found;
  snprintf(target, sizeof target, "%.*s", (int)u->sub.len, u->sub.data);
  bool ok = st_transaction_take_sequence(db, change, &sequence) == ST_STORE_OK &&
            st_db_run_one(db, ST_SQL_SUB_LIST, ST_VALUES(st_db_view(u->sub), st_db_number(now))) ==
                ST_STORE_OK &&
            st_db_run(db, ST_SQL_SUB_LOG, ST_VALUES(st_db_number(sequence), st_db_view(u->sub))) ==
                ST_STORE_OK &&
            st_settings_raise(db, ST_SETTING_MAX_LIFE, u->life) == ST_STORE_OK &&
            st_audit_write(db, change, "sub.revoke", target, "no key of this database has it") ==
                ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

st_store_status st_store_revoke_sub(st_store *store, const st_audit_context *context,
                                    subtoken_text sub, int64_t iat, int64_t life,
                                    char id[ST_KEY_ID_LEN + 1], int64_t *sequence, char *error) {
  id[0] = '\0';
  if (sub.len == 0 || sub.len > SUBTOKEN_SUB_MAX) {
    return st_db_fail(error, "a sub has 1 to %d characters", SUBTOKEN_SUB_MAX);
  }
  st_change change = st_transaction_change(context, NULL, sequence);
  change.data = &(unknown_sub){sub, iat, life, id};
  return st_transaction_run(store, make_revoked, &change, error);
}
