#include "operations/users.h"

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/password.h"
#include "domain/store.h"
#include "domain/user.h"
#include "operations/draw.h"
#include "operations/password.h"
#include "operations/status.h"
#include "operations/uses.h"
#include "os/error.h"
#include "os/log.h"
#include "os/random.h"
#include "os/semaphore.h"

#define DRAWS 8 /* what is taken is drawn again; twice never happens */
/* ---- persons ---- */

static st_store_status op_users_find(void *store, subtoken_text login, st_user *person) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_user_find(store, login, person, error), error);
}

/* Imported, or of yesterday's parameters: now that the password is here it is kept as it should
 * be. That this fails keeps nobody out, and nobody waits for it: there will be another time.
 */
static void op_users_rehash(st_store *store, const st_user *person, subtoken_text password) {
  char error[ST_ERROR_MAX], phc[ST_PHC_MAX + 1];
  if (st_password_hash(password, ST_WAIT_NOT, phc) == ST_PASSWORD_OK &&
      st_store_user_rehash(store, person->key.owner, person->password, phc, error) ==
          ST_STORE_FAILED) {
    st_log_event("store_error", error);
  }
  subtoken_wipe(phc, sizeof phc);
}

static st_password_status op_users_check(void *store, const st_user *person, subtoken_text password,
                                         int64_t until_us) {
  const char *phc = person != NULL ? person->password : NULL;
  st_password_status status = st_password_verify(phc, password, until_us);
  if (status == ST_PASSWORD_OK && st_password_outdated(phc))
    op_users_rehash(store, person, password);
  return status;
}

static st_password_status op_users_hash(void *store, subtoken_text password, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  (void)store;
  return st_password_hash(password, until_us, phc);
}

static st_store_status op_users_create(void *store, const st_audit_context *act,
                                       const st_grantor *maker, st_user *person) {
  char error[ST_ERROR_MAX];
  uint8_t digest[32];
  st_draw_user(&person->key, digest);
  st_audit_context now = st_status_now(act);
  person->key.created_at = now.now_us / 1000000;
  return st_status_log(
      st_store_user_create(store, &now, maker, maker == NULL, person, digest, error), error);
}

/* ---- logins ---- */

static st_store_status op_users_log_in(void *store, const st_audit_context *act,
                                       const st_grantor *maker, int64_t most, st_key *login,
                                       char refresh[ST_REFRESH_LEN + 1]) {
  char error[ST_ERROR_MAX];
  uint8_t digest[32], seed[32];
  st_audit_context now = st_status_now(act);
  st_draw_user(login, digest);
  st_draw_sub(refresh); /* 32 random bytes, as a sub is */
  st_random_fill(seed, sizeof seed);
  login->created_at = now.now_us / 1000000;
  st_store_status stored =
      st_store_session_begin(store, &now, maker, most, login, digest, seed, refresh, error);
  subtoken_wipe(seed, sizeof seed);
  return st_status_log(stored, error);
}

static st_store_status op_users_refresh(void *store, const st_audit_context *act,
                                        subtoken_text token, int64_t expires_at, int64_t retry,
                                        st_key *login, char successor[ST_REFRESH_LEN + 1]) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(act);
  return st_status_log(
      st_store_session_refresh(store, &now, token, expires_at, retry, login, successor, error),
      error);
}

static st_store_status op_users_log_out(void *store, const st_audit_context *act, const char *id,
                                        int64_t *sequence) {
  char error[ST_ERROR_MAX];
  st_audit_context now = st_status_now(act);
  return st_status_log(st_store_session_end(store, &now, id, sequence, error), error);
}

static st_store_status op_users_audit(void *store, int64_t before, size_t limit,
                                      st_audit_line *lines, size_t *count) {
  char error[ST_ERROR_MAX];
  return st_status_log(st_store_audit_list(store, before, limit, lines, count, error), error);
}

/* ---- what was used ---- */

/* ---- start and end ---- */

st_users st_users_of(st_store *store) {
  return (st_users){.context = store,
                    .find = op_users_find,
                    .check = op_users_check,
                    .hash = op_users_hash,
                    .create = op_users_create,
                    .begin_session = op_users_log_in,
                    .refresh_session = op_users_refresh,
                    .end_session = op_users_log_out,
                    .list_audit = op_users_audit,
                    .note_use = st_uses_note};
}
