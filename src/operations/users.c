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

static st_found find(void *store, subtoken_text login, st_person *person) {
  char why[ST_WHY_MAX];
  switch (st_store_person_find(store, login, person, why)) {
    case ST_STORED: return ST_FOUND;
    case ST_STORE_NONE: return ST_FOUND_NONE;
    default: st_log_event("store_error", why); return ST_FOUND_ERROR;
  }
}

/* Imported, or of yesterday's parameters: now that the password is here it is kept as it should
 * be. That this fails keeps nobody out, and nobody waits for it: there will be another time.
 */
static void rehash(st_store *store, const st_person *person, subtoken_text password) {
  char why[ST_WHY_MAX], phc[ST_PHC_MAX + 1];
  if (st_password_hash(password, ST_WAIT_NOT, phc) == ST_VERDICT_GOOD &&
      st_store_person_rehash(store, person->key.owner, person->password, phc, why) ==
          ST_STORE_FAILED) {
    st_log_event("store_error", why);
  }
  subtoken_wipe(phc, sizeof phc);
}

static st_verdict check(void *store, const st_person *person, subtoken_text password,
                        int64_t until_us) {
  const char *phc = person != NULL ? person->password : NULL;
  st_verdict verdict = st_password_verify(phc, password, until_us);
  if (verdict == ST_VERDICT_GOOD && st_password_outdated(phc)) rehash(store, person, password);
  return verdict;
}

/* Who asks for a login that is taken costs no hash and no turn to write. */
static st_stored find_login(st_store *store, const char *login, char *why) {
  st_person person;
  st_stored stored = st_store_person_find(store, st_text(login), &person, why);
  subtoken_wipe(&person, sizeof person); /* a password, as it is stored */
  return stored;
}

static st_changed create(void *store, const st_act *act, const st_maker *maker, st_person *person,
                         subtoken_text password, bool *busy) {
  char why[ST_WHY_MAX];
  uint8_t digest[32];
  *busy = false;
  st_stored known = find_login(store, person->key.owner, why);
  if (known == ST_STORED) return ST_CHANGE_EXISTS;
  if (known != ST_STORE_NONE) return st_key_changes_told(known, why);
  st_verdict verdict = st_password_hash(password, act->until_us, person->password);
  *busy = verdict == ST_VERDICT_BUSY;
  if (verdict != ST_VERDICT_GOOD) return ST_CHANGE_FAILED;
  st_people_draw(&person->key, digest);
  st_act now = st_key_changes_now(act);
  person->key.created_at = now.now_us / 1000000;
  return st_key_changes_told(
      st_store_person_create(store, &now, maker, maker == NULL, person, digest, why), why);
}

/* ---- logins ---- */

static st_changed log_in(void *store, const st_act *act, const st_maker *maker, int64_t most,
                         st_key *login, char refresh[ST_REFRESH_LEN + 1]) {
  char why[ST_WHY_MAX];
  uint8_t digest[32], seed[32];
  st_act now = st_key_changes_now(act);
  st_people_draw(login, digest);
  st_draw_sub(refresh); /* 32 random bytes, as a sub is */
  st_world_random(seed, sizeof seed);
  login->created_at = now.now_us / 1000000;
  st_stored stored =
      st_store_login_begin(store, &now, maker, most, login, digest, seed, refresh, why);
  subtoken_wipe(seed, sizeof seed);
  return st_key_changes_told(stored, why);
}

static st_changed refresh(void *store, const st_act *act, subtoken_text token, int64_t expires_at,
                          int64_t retry, st_key *login, char successor[ST_REFRESH_LEN + 1]) {
  char why[ST_WHY_MAX];
  st_act now = st_key_changes_now(act);
  return st_key_changes_told(
      st_store_refresh(store, &now, token, expires_at, retry, login, successor, why), why);
}

static st_changed log_out(void *store, const st_act *act, const char *id, int64_t *sequence) {
  char why[ST_WHY_MAX];
  st_act now = st_key_changes_now(act);
  return st_key_changes_told(st_store_login_end(store, &now, id, sequence, why), why);
}

static st_changed audit(void *store, int64_t before, size_t limit, st_audit_line *lines,
                        size_t *count) {
  char why[ST_WHY_MAX];
  return st_key_changes_told(st_store_audit_list(store, before, limit, lines, count, why), why);
}

/* ---- what was used ---- */

/* ---- start and end ---- */

st_people st_people_of(st_store *store) {
  return (st_people){.context = store,
                     .find = find,
                     .check = check,
                     .create = create,
                     .log_in = log_in,
                     .refresh = refresh,
                     .log_out = log_out,
                     .audit = audit,
                     .used = st_uses_note};
}
