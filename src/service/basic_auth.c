/* HTTP Basic: the cache of good credentials, and the check of one that is not in it. Many requests
 * come with the same credential at once: one checks it, the others wait for that and find it
 * cached. How many wait, and how long, is bounded. The password itself is checked by the server
 * (domain/user.h).
 */
#include "service/basic_auth.h"

#include "base/bytes.h"
#include "domain/names.h"
#include "service/throttle.h"

bool st_basic_auth_start(st_basic_auth *basic, const uint8_t key[32], st_basic_locks locks) {
  memset(basic, 0, sizeof *basic);
  basic->waiting_max = ST_BASIC_WAITING;
  basic->locks = locks;
  return pthread_mutex_init(&basic->lock, NULL) == 0 &&
         subtoken_secret_set(&basic->key, (subtoken_text){NULL, 0}, key, 32) == SUBTOKEN_OK;
}

/* ---- the cache ---- */

/* Where a credential lies may show in the time: without the key it says nothing of it. */
static size_t basic_slot_of(const uint8_t tag[SUBTOKEN_MAC_LEN]) {
  size_t at = (size_t)(tag[0] | tag[1] << 8) % ST_BASIC_SLOTS;
  ST_VERDICT(at);
  return at;
}

/* The microseconds for which it is still good; 0 or less: there is none. */
static int64_t basic_cache_get(st_basic_auth *basic, const uint8_t tag[SUBTOKEN_MAC_LEN],
                               int64_t now_us, char sub[ST_SUB_LEN]) {
  size_t at = basic_slot_of(tag);
  int64_t left = 0;
  pthread_mutex_lock(&basic->lock);
  if (st_equal_secret(basic->slots[at].tag, tag, SUBTOKEN_MAC_LEN)) {
    left = basic->slots[at].until_us - now_us;
    memcpy(sub, basic->slots[at].sub, ST_SUB_LEN);
  }
  pthread_mutex_unlock(&basic->lock);
  return left;
}

static void basic_cache_put(st_basic_auth *basic, const uint8_t tag[SUBTOKEN_MAC_LEN],
                            int64_t now_us, const char *sub) {
  size_t at = basic_slot_of(tag);
  pthread_mutex_lock(&basic->lock);
  memcpy(basic->slots[at].tag, tag, SUBTOKEN_MAC_LEN);
  memcpy(basic->slots[at].sub, sub, ST_SUB_LEN);
  basic->slots[at].until_us = now_us + ST_BASIC_KEPT_US;
  pthread_mutex_unlock(&basic->lock);
}

/* ---- one credential ---- */

typedef struct basic_attempt {
  const st_service *service;
  const st_request *request;
  subtoken_text username, password;
  uint8_t tag[SUBTOKEN_MAC_LEN];
  st_identity *identity;
} basic_attempt;

static const st_auth_result basic_store_error = {.status = ST_AUTH_STATUS_STORE_ERROR};
static const st_auth_result basic_busy = {.status = ST_AUTH_STATUS_PASSWORDS_BUSY};

static st_auth_result basic_rejected(void) {
  return st_auth_rejected(SUBTOKEN_REVOKED, "login_failed");
}

/* At the first colon: a password may have one, a username not. */
static bool basic_split(basic_attempt *a, subtoken_text text) {
  st_cutter cutter = {text, false};
  (void)st_cut(&cutter, ':', &a->username); /* there is always a first piece */
  if (cutter.done) return false;
  a->password = cutter.rest;
  return !st_text_is(a->username, ST_ANONYMOUS);
}

/* What the user may do now. The sub is another as soon as the password is, or a permission has been
 * taken away.
 */
static st_auth_result basic_grant(const basic_attempt *a, const char *sub) {
  const st_keys *keys = &a->service->keys;
  st_key *key = &a->identity->key;
  switch (keys->by_sub(keys->store, (subtoken_text){sub, ST_SUB_LEN}, key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_REVOKED: return basic_rejected();
    default: return basic_store_error;
  }
  bool expired = key->expires_at <= a->request->now;
  if (key->kind != ST_KIND_USER || key->disabled || expired) return basic_rejected();
  if (!st_key_grant(key, &a->identity->grant)) return basic_store_error;
  a->identity->method = ST_AUTH_BASIC;
  return (st_auth_result){.status = ST_AUTH_STATUS_OK};
}

/* Rejected, too, when it is not in the cache. */
static st_auth_result basic_check_cache(const basic_attempt *a, int64_t *left) {
  char sub[ST_SUB_LEN];
  *left = basic_cache_get(a->service->basic, a->tag, a->request->now_us, sub);
  return *left > 0 ? basic_grant(a, sub) : basic_rejected();
}

/* A caller cannot tell unknown, disabled and expired users apart: each costs the same, and counts.
 */
static st_store_status basic_find_user(const basic_attempt *a, st_user *user) {
  const st_users *users = a->service->users;
  if (!st_names_username_valid(a->username)) return ST_STORE_NOT_FOUND;
  st_store_status found = users->find(users->context, a->username, user);
  if (found != ST_STORE_OK) return found;
  bool ended = user->key.disabled || user->key.expires_at <= a->request->now;
  return ended ? ST_STORE_NOT_FOUND : ST_STORE_OK;
}

/* The password itself, which takes its time. */
static st_auth_result basic_check_password(const basic_attempt *a, st_store_status found,
                                           const st_user *user) {
  const st_users *users = a->service->users;
  if (found != ST_STORE_OK && found != ST_STORE_NOT_FOUND) return basic_store_error;
  bool known = found == ST_STORE_OK;
  switch (users->check(users->context, known ? user : NULL, a->password, a->request->until_us)) {
    case ST_PASSWORD_OK: break;
    case ST_PASSWORD_WRONG: known = false; break;
    case ST_PASSWORD_BUSY: return basic_busy;
    default: return basic_store_error;
  }
  if (known) {
    basic_cache_put(a->service->basic, a->tag, a->request->now_us, user->key.sub);
    return basic_grant(a, user->key.sub);
  }
  /* In the log, an old client's Latin-1 has an event of its own. */
  bool utf8 = st_utf8_valid(a->username) && st_utf8_valid(a->password);
  return st_auth_rejected(SUBTOKEN_REVOKED, utf8 ? "login_failed" : "login_not_utf8");
}

/* Only a password that was wrong counts. */
static st_auth_result basic_check(const basic_attempt *a) {
  st_user user;
  const st_request *request = a->request;
  st_throttle *throttle = a->service->throttle;
  int64_t wait = st_throttle_take(throttle, a->username, request->remote, request->now_us);
  if (wait > 0) {
    return (st_auth_result){.status = ST_AUTH_STATUS_THROTTLED, .retry_after = wait};
  }
  st_store_status found = basic_find_user(a, &user);
  st_auth_result result = basic_check_password(a, found, &user);
  if (result.status == ST_AUTH_STATUS_OK) {
    st_throttle_pass(throttle, a->username, request->remote);
  } else if (result.status != ST_AUTH_STATUS_REJECTED) {
    st_throttle_give_back(throttle, a->username, request->remote);
  }
  subtoken_wipe(&user, sizeof user);
  return result;
}

/* The first of those who come with a credential checks it; the others wait and find it cached. Each
 * holds a connection meanwhile.
 */
static st_auth_result basic_check_alone(const basic_attempt *a) {
  st_basic_auth *basic = a->service->basic;
  size_t lock = a->tag[2] % ST_BASIC_LOCKS;
  st_auth_result result = basic_busy;
  if (atomic_fetch_add(&basic->waiting, 1) < basic->waiting_max &&
      basic->locks.enter(lock, a->request->until_us)) {
    int64_t left;
    result = basic_check_cache(a, &left);
    if (result.status == ST_AUTH_STATUS_REJECTED) result = basic_check(a);
    basic->locks.leave(lock);
  }
  atomic_fetch_sub(&basic->waiting, 1);
  return result;
}

/* Shortly before it leaves the cache one request checks it anew, while the others go by what is
 * cached, so that none of them waits. The result is for the next requests.
 */
static void basic_renew(const basic_attempt *good) {
  st_basic_auth *basic = good->service->basic;
  size_t lock = good->tag[2] % ST_BASIC_LOCKS;
  st_identity unused;
  int64_t left;
  if (!basic->locks.enter(lock, 0)) return;
  basic_attempt a = *good;
  a.identity = &unused;
  if (basic_check_cache(&a, &left).status == ST_AUTH_STATUS_OK && left < ST_BASIC_RENEW_US) {
    (void)basic_check(&a);
  }
  basic->locks.leave(lock);
}

st_auth_result st_basic_auth_check(const st_service *service, subtoken_text text,
                                   const st_request *request, st_identity *identity) {
  basic_attempt a = {.service = service, .request = request, .identity = identity};
  int64_t left;
  st_identity_clear(identity);
  if (!basic_split(&a, text)) return basic_rejected();
  if (subtoken_mac_compute(&service->basic->key, text.data, text.len, a.tag) != SUBTOKEN_OK) {
    return basic_store_error;
  }
  st_auth_result result = basic_check_cache(&a, &left);
  if (result.status == ST_AUTH_STATUS_REJECTED) return basic_check_alone(&a);
  if (result.status == ST_AUTH_STATUS_OK && left < ST_BASIC_RENEW_US) basic_renew(&a);
  return result;
}
