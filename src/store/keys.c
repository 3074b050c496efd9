/* Parent keys: made, changed and ended, with what that means for their sessions, the revocation
 * data and the audit log; found and listed for the management; and when they were last used. A
 * request looks a key up by another way: st_driver.
 */
#include <string.h>

#include "base/date.h"
#include "store/audit.h"
#include "store/derived.h"
#include "store/key_row.h"
#include "store/query.h"
#include "store/remaining_run.h"

/* ---- made ---- */

/* Does the user make a key for himself, in a session or by HTTP Basic? One of the user's keys is
 * not the user: it may have been given to him by somebody who did not know who he is.
 */
static st_store_status made_by_owner(st_db *db, const st_change *change, const st_key *key,
                                     bool *is) {
  st_key grantor;
  *is = false;
  if (change->grantor == NULL) return ST_STORE_OK;
  st_store_status status = st_key_row_grantor(db, change, &grantor);
  *is = status == ST_STORE_OK &&
        (grantor.kind == ST_KIND_USER || grantor.kind == ST_KIND_SESSION) &&
        strcmp(grantor.owner, key->owner) == 0;
  return status;
}

/* The owner is a name. It may be that of a user who is disabled, or of one who chose it by
 * registering and would manage the key.
 */
static st_store_status check_owner(st_db *db, const st_change *change, st_key *key) {
  st_row row;
  bool by_owner = false;
  st_store_status found =
      st_db_query(db, ST_SQL_USER_FIND, ST_VALUES(st_db_text(key->owner)), &row);
  bool user = found == ST_STORE_OK;
  bool registered = user && st_row_number(&row, ST_COL_REGISTERED) != 0;
  key->suspended = user && st_row_number(&row, ST_COL_DISABLED) != 0;
  st_row_finish(&row);
  if (found == ST_STORE_FAILED || made_by_owner(db, change, key, &by_owner) != ST_STORE_OK) {
    return ST_STORE_FAILED;
  }
  if (registered && !key->owner_is_user && !by_owner) return ST_STORE_OWNER_REGISTERED;
  return key->owner_is_user && !user ? ST_STORE_OWNER_NOT_USER : ST_STORE_OK;
}

/* ST_STORE_EXISTS: the digest was that of a key before it was rotated. */
static st_store_status check_digest(st_db *db, const uint8_t digest[32]) {
  st_store_status found =
      st_db_exists(db, ST_SQL_DIGEST_IS_REPLACED, ST_VALUES(st_db_bytes(digest, 32)));
  return found == ST_STORE_NOT_FOUND ? ST_STORE_OK : found == ST_STORE_OK ? ST_STORE_EXISTS : found;
}

/* Those that a large change has ended count until their rows are reached. */
static st_store_status check_count(st_db *db, const st_change *change, const st_key *key) {
  int64_t most = change->context->most_keys, count = 0;
  bool owned = key->owner[0] != '\0';
  const char *whose = owned ? key->owner : change->context->row;
  if (most == 0 || whose == NULL) return ST_STORE_OK;
  st_store_status status =
      st_db_query_number(db, owned ? ST_SQL_KEY_COUNT_OWNED_TO : ST_SQL_KEY_COUNT_UNOWNED_TO,
                         ST_VALUES(st_db_text(whose), st_db_number(most)), &count);
  if (status != ST_STORE_OK) return ST_STORE_FAILED;
  return count < most ? ST_STORE_OK : ST_STORE_FULL;
}

static st_store_status make_key(st_db *db, const st_change *change) {
  st_key key = *change->key;
  st_store_status status = st_key_row_may_grant(db, change, &key);
  if (status == ST_STORE_OK) status = check_digest(db, change->digest);
  if (status == ST_STORE_OK) {
    status = st_remaining_check_key(db, change, key.owner, key.permissions);
  }
  if (status == ST_STORE_OK) status = check_owner(db, change, &key);
  if (status == ST_STORE_OK) status = check_count(db, change, &key);
  if (status == ST_STORE_OK) {
    status = st_key_row_insert(db, &key, change->digest, change->context->row);
  }
  *(bool *)change->data = key.suspended;
  if (status == ST_STORE_OK && (key.disabled || key.suspended)) {
    status = st_row_set_of(db, key.id);
    if (status == ST_STORE_OK) status = st_row_set_relist(db, change);
  }
  return status == ST_STORE_OK ? st_audit_write_row(db, change, "key.create", &key, NULL, NULL)
                               : status;
}

st_store_status st_store_key_create(st_store *store, const st_audit_context *context,
                                    const st_grantor *grantor, st_key *key,
                                    const uint8_t digest[32], char *error) {
  bool suspended = false;
  if (!st_key_row_storable(key) || key->kind != ST_KIND_KEY || key->parent[0] != '\0') {
    return st_db_fail(error, "cannot write %s: incomplete key record", st_db_name(store));
  }
  st_change change = st_transaction_change(context, NULL, NULL);
  change.grantor = grantor;
  change.key = key;
  change.digest = digest;
  change.data = &suspended;
  st_store_status status = st_remaining_run(store, make_key, &change, error);
  if (status == ST_STORE_OK) key->suspended = suspended;
  if (status == ST_STORE_FULL) {
    (void)st_db_fail(error, "%s: the owner has as many keys as one may have", st_db_name(store));
  }
  return status;
}

/* ---- changed and ended ---- */

static st_store_status find_key(st_db *db, const st_change *change, st_key *key) {
  st_row row;
  st_store_status status =
      st_db_query(db, ST_SQL_KEY_FIND, ST_VALUES(st_db_text(change->id)), &row);
  if (status == ST_STORE_OK && !st_key_row_take(&row, key)) status = ST_STORE_FAILED;
  st_row_finish(&row);
  return status;
}

/* The key as it is before the change. Who asks for it may have ended while it waited, or elsewhere:
 * then nothing is changed.
 */
static st_store_status key_before(st_db *db, const st_change *change, st_key *key) {
  st_key by;
  st_store_status status =
      change->grantor != NULL ? st_key_row_grantor(db, change, &by) : ST_STORE_OK;
  return status == ST_STORE_OK ? find_key(db, change, key) : status;
}

static st_store_status make_name(st_db *db, const st_change *change) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  st_key key;
  st_store_status status = key_before(db, change, &key);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(
        db, ST_SQL_KEY_RENAME,
        ST_VALUES(st_db_text(change->id), st_db_number(change->now), st_db_text(change->text)));
  }
  if (status != ST_STORE_OK) return status;
  st_audit_detail(&writer, "name ", change->text);
  st_audit_detail(&writer, "before ", key.name);
  return st_audit_write_detail(db, change, "key.rename", change->id, &writer);
}

st_store_status st_store_key_rename(st_store *store, const st_audit_context *context,
                                    const char *id, const char *name, char *error) {
  if (strnlen(name, ST_NAME_MAX + 1) > ST_NAME_MAX) {
    return st_db_fail(error, "cannot write %s: the name is too long", st_db_name(store));
  }
  st_change change = st_transaction_change(context, id, NULL);
  change.text = name;
  return st_transaction_run(store, make_name, &change, error);
}

/* What was made with the key for others does not end with it. */
static st_store_status settle_derived(st_db *db, const st_change *change, const st_key *key,
                                      st_derived *made) {
  bool ok = st_derived_find(db, change, key, NULL, made) == ST_STORE_OK &&
            st_derived_settle(db, change, "key", key->id, made) == ST_STORE_OK;
  return ok ? ST_STORE_OK : ST_STORE_FAILED;
}

static st_store_status make_key_disabled(st_db *db, const st_change *change) {
  st_key key;
  st_ended ended = {0};
  st_derived made = {0};
  bool as_owner = change->context->as_owner;
  st_store_status status = key_before(db, change, &key);
  if (status == ST_STORE_OK && as_owner && !change->disabled && key.disabled &&
      !key.disabled_by_owner) {
    status = ST_STORE_DISABLED_BY_OTHER;
  }
  if (status == ST_STORE_OK) status = st_remaining_settle(db, change->id);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(
        db, ST_SQL_ROW_DISABLE,
        ST_VALUES(st_db_text(change->id), st_db_number(change->now), st_db_number(change->disabled),
                  st_db_text(change->context->row), st_db_number(as_owner)));
  }
  if (status != ST_STORE_OK) return status;
  bool ok = st_row_set_of(db, change->id) == ST_STORE_OK &&
            st_row_set_relist(db, change) == ST_STORE_OK &&
            (!change->disabled ||
             (st_row_set_end_sessions(db, change, change->id, &ended) == ST_STORE_OK &&
              settle_derived(db, change, &key, &made) == ST_STORE_OK));
  const char *action = change->disabled ? "key.disable" : "key.enable";
  return ok ? st_audit_write_row(db, change, action, &key, &ended, &made) : ST_STORE_FAILED;
}

st_store_status st_store_key_set_disabled(st_store *store, const st_audit_context *context,
                                          const char *id, bool disabled, int64_t *sequence,
                                          char *error) {
  st_change change = st_transaction_change(context, id, sequence);
  change.disabled = disabled;
  return st_transaction_run(store, make_key_disabled, &change, error);
}

static st_store_status make_key_deleted(st_db *db, const st_change *change) {
  st_key key;
  st_ended ended = {0};
  st_derived made = {0};
  st_store_status status = key_before(db, change, &key);
  if (status == ST_STORE_OK) status = st_remaining_settle(db, change->id);
  if (status == ST_STORE_OK) status = st_row_set_of(db, change->id);
  if (status == ST_STORE_OK) status = st_row_set_end(db, change, NULL, &ended);
  if (status == ST_STORE_OK) status = settle_derived(db, change, &key, &made);
  ended.keys = 0; /* the deleted key itself does not count */
  return status == ST_STORE_OK ? st_audit_write_row(db, change, "key.delete", &key, &ended, &made)
                               : status;
}

st_store_status st_store_key_delete(st_store *store, const st_audit_context *context,
                                    const char *id, int64_t *sequence, char *error) {
  st_change change = st_transaction_change(context, id, sequence);
  return st_transaction_run(store, make_key_deleted, &change, error);
}

static st_store_status make_new_sub(st_db *db, const st_change *change) {
  st_key key;
  st_ended ended = {0};
  st_store_status status = key_before(db, change, &key);
  if (status == ST_STORE_OK) status = st_remaining_settle(db, change->id);
  if (status == ST_STORE_OK) status = st_row_set_new_sub(db, change, change->id, change->sub);
  if (status == ST_STORE_OK) status = st_row_set_end_sessions(db, change, change->id, &ended);
  return status == ST_STORE_OK
             ? st_audit_write_row(db, change, "key.revoke_subtokens", &key, &ended, NULL)
             : status;
}

st_store_status st_store_key_replace_sub(st_store *store, const st_audit_context *context,
                                         const char *id, const char *sub, int64_t *sequence,
                                         char *error) {
  if (!st_key_row_has_len(sub, ST_SUB_LEN)) {
    return st_db_fail(error, "cannot write %s: incomplete sub", st_db_name(store));
  }
  st_change change = st_transaction_change(context, id, sequence);
  change.sub = sub;
  return st_transaction_run(store, make_new_sub, &change, error);
}

typedef struct rotation {
  int64_t until; /* the secret before is good; 0: no longer */
  st_key key;    /* afterwards */
} rotation;

/* Whoever rotates a key gets it whole, as if it were made new: a dead one would be of no use. */
static st_store_status may_rotate(st_db *db, const st_change *change, const st_key *key) {
  st_store_status status = st_key_row_may_grant(db, change, key);
  return status == ST_STORE_OK && key->expires_at <= change->now ? ST_STORE_EXPIRED : status;
}

/* The digest that goes is noted before another one is looked for: it cannot come again, either. */
static st_store_status replace_digest(st_db *db, const st_change *change, int64_t until) {
  st_value id = st_db_text(change->id);
  st_store_status status = st_db_run_one(db, ST_SQL_DIGEST_REPLACE, ST_VALUES(id));
  if (status == ST_STORE_OK) status = check_digest(db, change->digest);
  if (status == ST_STORE_OK) {
    status = st_db_run_one(db, ST_SQL_KEY_ROTATE,
                           ST_VALUES(id, st_db_number(change->now), st_db_bytes(change->digest, 32),
                                     until > 0 ? st_db_number(until) : st_db_text(NULL)));
  }
  return status;
}

static st_store_status make_rotated(st_db *db, const st_change *change) {
  char detail[ST_AUDIT_DETAIL_ROOM];
  st_writer writer = st_writer_on(detail, sizeof detail);
  rotation *r = change->data;
  st_key key;
  st_store_status status = key_before(db, change, &key);
  if (status == ST_STORE_OK) status = may_rotate(db, change, &key);
  if (status == ST_STORE_OK) status = replace_digest(db, change, r->until);
  if (status == ST_STORE_OK) status = find_key(db, change, &r->key);
  if (status != ST_STORE_OK) return status;
  if (r->until > 0) {
    st_audit_detail(&writer, "the secret before is valid until ", "");
    st_date_write(&writer, r->until, false);
  } else {
    st_audit_detail(&writer, "the secret before is no longer valid", "");
  }
  if (key.owner[0] != '\0') st_audit_detail(&writer, "owner ", key.owner);
  if (key.name[0] != '\0') st_audit_detail(&writer, "name ", key.name);
  return st_audit_write_detail(db, change, "key.rotate", change->id, &writer);
}

st_store_status st_store_key_rotate(st_store *store, const st_audit_context *context,
                                    const st_grantor *grantor, const char *id,
                                    const uint8_t digest[32], int64_t overlap_until, st_key *key,
                                    char *error) {
  if (overlap_until < 0 || overlap_until > SUBTOKEN_TIME_MAX) {
    return st_db_fail(error, "cannot write %s: the overlap is out of range", st_db_name(store));
  }
  st_change change = st_transaction_change(context, id, NULL);
  rotation r = {.until = overlap_until};
  change.grantor = grantor;
  change.digest = digest;
  change.data = &r;
  st_store_status status = st_transaction_run(store, make_rotated, &change, error);
  if (status == ST_STORE_OK && key != NULL) *key = r.key;
  return status;
}

/* ---- found and listed ---- */

st_store_status st_store_key_find(st_store *store, const char *id, st_key *key, char *error) {
  return st_query_one(store, ST_SQL_KEY_FIND, ST_VALUES(st_db_text(id)), key, sizeof *key,
                      st_key_row_take, error);
}

st_store_status st_store_key_find_sub(st_store *store, subtoken_text sub, st_key *key,
                                      char *error) {
  return st_query_one(store, ST_SQL_KEY_FIND_SUB, ST_VALUES(st_db_view(sub)), key, sizeof *key,
                      st_key_row_take, error);
}

st_store_status st_store_key_list(st_store *store, const char *owner, const char *after_id,
                                  size_t limit, st_key *keys, size_t *count, char *error) {
  st_query_page page = {keys, sizeof *keys, limit, count, st_key_row_take};
  st_value after = st_db_text(after_id), most = st_db_number((int64_t)limit);
  return owner == NULL ? st_query_list(store, ST_SQL_KEY_LIST, ST_VALUES(after, most), &page, error)
                       : st_query_list(store, ST_SQL_KEY_LIST_OWNED,
                                       ST_VALUES(after, most, st_db_text(owner)), &page, error);
}

st_store_status st_store_key_list_expiring(st_store *store, int64_t after, const char *after_id,
                                           int64_t until, size_t limit, st_key *keys, size_t *count,
                                           char *error) {
  st_query_page page = {keys, sizeof *keys, limit, count, st_key_row_take};
  return st_query_list(store, ST_SQL_KEY_LIST_EXPIRING,
                       ST_VALUES(st_db_number(after), st_db_number(until), st_db_text(after_id),
                                 st_db_number((int64_t)limit)),
                       &page, error);
}

/* ---- used ---- */

typedef struct uses {
  const st_key_use *uses;
  size_t count;
} uses;

static st_store_status make_used(st_db *db, const st_change *change) {
  const uses *all = change->data;
  st_store_status status = ST_STORE_OK;
  for (size_t i = 0; i < all->count && status == ST_STORE_OK; i++) {
    status = st_db_run(db, ST_SQL_KEY_USED,
                       ST_VALUES(st_db_text(all->uses[i].id), st_db_number(all->uses[i].at)));
  }
  return status;
}

st_store_status st_store_key_mark_used(st_store *store, const st_key_use *used, size_t count,
                                       char *error) {
  return st_transaction_run(store, make_used,
                            &(st_change){.data = &(uses){used, count}, .ordered = true}, error);
}
