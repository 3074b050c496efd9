/* Parent keys: made with random ids, keys and subs that were never used, for the service and for
 * commands; and what the service may do with keys, with the time and the log that it does not have.
 */
#include "operations/keys.h"

#include <stdio.h>
#include <string.h>

#include "domain/key.h"
#include "domain/store.h"
#include "domain/store_search.h"
#include "operations/draw.h"
#include "operations/status.h"
#include "os/error.h"
#include "os/log.h"

#define DRAWS 8 /* an id that is taken is drawn again; twice never happens */

/* That every id was taken is a failure to who asked for a new one; the store has no text for it. */
static st_store_status op_keys_after_draws(st_store_status status, char *error) {
  if (status != ST_STORE_EXISTS) return status;
  snprintf(error, ST_ERROR_MAX, "could not generate a unique id");
  return ST_STORE_FAILED;
}

st_store_status st_keys_create(st_store *store, const st_audit_context *context,
                               const st_grantor *grantor, st_key *key, char whole[ST_KEY_LEN + 1],
                               char *error) {
  uint8_t digest[32];
  st_store_status status = ST_STORE_EXISTS;
  for (int i = 0; i < DRAWS && status == ST_STORE_EXISTS; i++) {
    st_draw_key(whole, key, digest);
    status = st_store_key_create(store, context, grantor, key, digest, error);
  }
  return op_keys_after_draws(status, error);
}

/* No second draw: ST_STORE_EXISTS means that the hash is taken, as far as can be told. */
st_store_status st_keys_register(st_store *store, const st_audit_context *context, st_key *key,
                                 const uint8_t digest[32], char *error) {
  char whole[ST_KEY_LEN + 1];
  uint8_t unused[32];
  st_draw_key(whole, key, unused);
  subtoken_wipe(whole, sizeof whole);
  return st_store_key_create(store, context, NULL, key, digest, error);
}

st_store_status st_keys_new_sub(st_store *store, const st_audit_context *context, const char *id,
                                int64_t *sequence, char *error) {
  char sub[ST_SUB_LEN + 1];
  st_store_status status = ST_STORE_EXISTS;
  for (int i = 0; i < DRAWS && status == ST_STORE_EXISTS; i++) {
    st_draw_sub(sub);
    status = st_store_key_replace_sub(store, context, id, sub, sequence, error);
  }
  return op_keys_after_draws(status, error);
}

/* An id of another length is nobody's, and is not copied. */
st_store_status st_keys_rotate(st_store *store, const st_audit_context *context,
                               const st_grantor *grantor, const char *id, int64_t overlap,
                               st_key *key, char whole[ST_KEY_LEN + 1], char *error) {
  uint8_t digest[32];
  int64_t until = overlap > 0 ? context->now_us / 1000000 + overlap : 0;
  st_store_status status = ST_STORE_EXISTS;
  whole[0] = '\0';
  if (strnlen(id, ST_KEY_ID_LEN + 1) != ST_KEY_ID_LEN) {
    snprintf(error, ST_ERROR_MAX, "no such key");
    return ST_STORE_NOT_FOUND;
  }
  for (int i = 0; i < DRAWS && status == ST_STORE_EXISTS; i++) {
    st_draw_second_half(id, whole, digest);
    status = st_store_key_rotate(store, context, grantor, id, digest, until, key, error);
  }
  if (status != ST_STORE_OK) subtoken_wipe(whole, ST_KEY_LEN + 1);
  return op_keys_after_draws(status, error);
}

/* ---- the look-ups of each request ---- */

static st_store_status op_keys_by_digest(void *store, const uint8_t digest[32], st_key *key) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_by_digest(store, digest, key, error), error);
}

static st_store_status op_keys_by_sub(void *store, subtoken_text sub, st_key *key) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_by_sub(store, sub, key, error), error);
}

static st_store_status op_keys_tokens_revoked(void *store, const subtoken_text *tids, size_t count,
                                              bool *revoked) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_tokens_revoked(store, tids, count, revoked, error), error);
}

st_keys st_keys_of(st_store *store) {
  return (st_keys){.store = store,
                   .by_digest = op_keys_by_digest,
                   .by_sub = op_keys_by_sub,
                   .tokens_revoked = op_keys_tokens_revoked};
}

/* ---- for the service ---- */

static st_store_status op_keys_create(void *store, const st_audit_context *context,
                                      const st_grantor *grantor, st_key *key, char *whole) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  key->created_at = now.now_us / 1000000;
  st_store_status changed =
      st_status_log(st_keys_create(store, &now, grantor, key, whole, error), error);
  if (changed != ST_STORE_OK) subtoken_wipe(whole, ST_KEY_LEN + 1);
  return changed;
}

static st_store_status op_keys_find(void *store, const char *id, st_key *key) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_key_find(store, id, key, error), error);
}

static st_store_status op_keys_find_sub(void *store, subtoken_text sub, st_key *key) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_key_find_sub(store, sub, key, error), error);
}

static st_store_status op_keys_list(void *store, const char *owner, const char *after, size_t limit,
                                    st_key *keys, size_t *count) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_key_list(store, owner, after, limit, keys, count, error), error);
}

static st_store_status op_keys_search(void *store, const st_key_filter *filter, const char *after,
                                      st_key *keys, st_search_page *page) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_key_search(store, filter, after, keys, page, error), error);
}

static st_store_status op_keys_rename(void *store, const st_audit_context *context, const char *id,
                                      const char *name) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_key_rename(store, &now, id, name, error), error);
}

static st_store_status op_keys_remove(void *store, const st_audit_context *context, const char *id,
                                      int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_key_delete(store, &now, id, sequence, error), error);
}

static st_store_status op_keys_set_disabled(void *store, const st_audit_context *context,
                                            const char *id, bool disabled, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_key_set_disabled(store, &now, id, disabled, sequence, error),
                       error);
}

static st_store_status op_keys_revoke_subtokens(void *store, const st_audit_context *context,
                                                const char *id, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_keys_new_sub(store, &now, id, sequence, error), error);
}

static st_store_status op_keys_rotate(void *store, const st_audit_context *context,
                                      const st_grantor *grantor, const char *id, int64_t overlap,
                                      st_key *key, char *whole) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_keys_rotate(store, &now, grantor, id, overlap, key, whole, error), error);
}

static st_store_status op_keys_revoke_token(void *store, const st_audit_context *context,
                                            const st_key_token *token, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(
      st_store_token_revoke(store, &now, token, ST_TOKENS_REVOKED_MAX, sequence, error), error);
}

static st_store_status op_keys_last_sequence(void *store, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_revocation_state state = {0};
  st_store_status status = st_status_log(st_store_revocation_state(store, &state, error), error);
  if (status == ST_STORE_OK) *sequence = state.sequence;
  return status;
}

st_key_changes st_keys_changes_of(st_store *store) {
  return (st_key_changes){.context = store,
                          .create = op_keys_create,
                          .find = op_keys_find,
                          .find_sub = op_keys_find_sub,
                          .list = op_keys_list,
                          .search = op_keys_search,
                          .rename = op_keys_rename,
                          .remove = op_keys_remove,
                          .set_disabled = op_keys_set_disabled,
                          .revoke_subtokens = op_keys_revoke_subtokens,
                          .rotate = op_keys_rotate,
                          .revoke_token = op_keys_revoke_token,
                          .last_sequence = op_keys_last_sequence};
}
