/* What the service may do with users, their sessions, the audit log and last uses: the store, with
 * the time, the randomness and the password hashes that it does not have. The service calls it
 * through st_users (domain/user.h); commands call the store themselves.
 */
#include "operations/users.h"

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/store.h"
#include "domain/store_search.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "operations/status.h"
#include "operations/uses.h"
#include "os/error.h"
#include "os/log.h"
#include "os/random.h"
#include "os/semaphore.h"

/* ---- users ---- */

static st_store_status op_users_find(void *store, subtoken_text login, st_user *user) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_user_find(store, login, user, error), error);
}

/* The stored hash was imported, or made with older parameters: now that the password is known it is
 * replaced. A failure keeps nobody out, and nobody waits for it: the next login tries again.
 */
static void op_users_rehash(st_store *store, const st_user *user, subtoken_text password) {
  char error[ST_ERROR_MAX], phc[ST_PHC_MAX + 1];
  if (st_password_hash(password, ST_WAIT_NOT, phc) == ST_PASSWORD_OK &&
      st_store_user_rehash(store, user->key.owner, user->password, phc, error) == ST_STORE_FAILED) {
    st_log_event("store_error", error);
  }
  subtoken_wipe(phc, sizeof phc);
}

static st_password_status op_users_check(void *store, const st_user *user, subtoken_text password,
                                         int64_t until_us) {
  const char *phc = user != NULL ? user->password : NULL;
  st_password_status status = st_password_verify(phc, password, until_us);
  if (status == ST_PASSWORD_OK && st_password_outdated(phc)) op_users_rehash(store, user, password);
  return status;
}

static st_password_status op_users_hash(void *store, subtoken_text password, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  (void)store;
  return st_password_hash(password, until_us, phc);
}

static st_store_status op_users_create(void *store, const st_audit_context *context,
                                       const st_grantor *grantor, st_user *user) {
  char error[ST_ERROR_MAX];
  uint8_t digest[32];
  st_draw_user(&user->key, digest);
  st_audit_context now = st_status_now(context);
  user->key.created_at = now.now_us / 1000000;
  return st_status_log(
      st_store_user_create(store, &now, grantor, grantor == NULL, user, digest, error), error);
}

static st_store_status op_users_search(void *store, subtoken_text text, const char *after,
                                       st_user *users, st_search_page *page) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_user_search(store, text, after, users, page, error), error);
}

/* Another sub for the user's row, which it gets when something is taken away. */
static st_store_status op_users_set_permissions(void *store, const st_audit_context *context,
                                                const char *username, const char *permissions,
                                                int64_t *sequence) {
  char error[ST_ERROR_MAX], sub[ST_SUB_LEN + 1];
  st_audit_context now = st_status_now(context);
  st_draw_sub(sub);
  return st_status_log(
      st_store_user_set_permissions(store, &now, username, permissions, sub, sequence, error),
      error);
}

static st_store_status op_users_set_disabled(void *store, const st_audit_context *context,
                                             const char *username, bool disabled,
                                             int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_user_set_disabled(store, &now, username, disabled, sequence, error),
                       error);
}

static st_store_status op_users_remove(void *store, const st_audit_context *context,
                                       const char *username, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_user_delete(store, &now, username, sequence, error), error);
}

/* ---- sessions ---- */

static st_store_status op_users_begin_session(void *store, const st_audit_context *context,
                                              const st_grantor *grantor, int64_t most,
                                              st_key *session, char refresh[ST_REFRESH_LEN + 1]) {
  char error[ST_ERROR_MAX];
  uint8_t digest[32], seed[32];
  st_audit_context now = st_status_now(context);
  st_draw_user(session, digest);
  st_draw_sub(refresh); /* 32 random bytes, as a sub is */
  st_random_fill(seed, sizeof seed);
  session->created_at = now.now_us / 1000000;
  st_store_status stored =
      st_store_session_begin(store, &now, grantor, most, session, digest, seed, refresh, error);
  subtoken_wipe(seed, sizeof seed);
  return st_status_log(stored, error);
}

static st_store_status op_users_refresh_session(void *store, const st_audit_context *context,
                                                subtoken_text token, int64_t expires_at,
                                                int64_t retry, st_key *session,
                                                char successor[ST_REFRESH_LEN + 1]) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(
      st_store_session_refresh(store, &now, token, expires_at, retry, session, successor, error),
      error);
}

static st_store_status op_users_find_refresh(void *store, subtoken_text token, int64_t now,
                                             st_key *session) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_session_of_refresh(store, token, now, session, error), error);
}

static st_store_status op_users_end_session(void *store, const st_audit_context *context,
                                            const char *id, int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(context);
  return st_status_log(st_store_session_end(store, &now, id, sequence, error), error);
}

static st_store_status op_users_list_audit(void *store, int64_t before, size_t limit,
                                           st_audit_line *lines, size_t *count) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_audit_list(store, before, limit, lines, count, error), error);
}

static st_store_status op_users_search_audit(void *store, const st_audit_filter *filter,
                                             int64_t before, st_audit_line *lines,
                                             st_search_page *page) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_audit_search(store, filter, before, lines, page, error), error);
}

/* ---- the table ---- */

st_users st_users_of(st_store *store) {
  return (st_users){.context = store,
                    .find = op_users_find,
                    .check = op_users_check,
                    .hash = op_users_hash,
                    .create = op_users_create,
                    .search = op_users_search,
                    .set_permissions = op_users_set_permissions,
                    .set_disabled = op_users_set_disabled,
                    .remove = op_users_remove,
                    .begin_session = op_users_begin_session,
                    .refresh_session = op_users_refresh_session,
                    .find_refresh = op_users_find_refresh,
                    .end_session = op_users_end_session,
                    .list_audit = op_users_list_audit,
                    .search_audit = op_users_search_audit,
                    .note_use = st_uses_note};
}
