#include "service/basic_auth.h"

#include <string.h>

#include "base/bytes.h"
#include "domain/key.h"
#include "domain/names.h"
#include "domain/password.h"
#include "domain/user.h"
#include "os/semaphore.h"
#include "service/identity.h"
#include "service/service.h"
#include "service/throttle.h"
#include "subtoken/mac.h"

bool st_basic_auth_start(st_basic_auth *basic, const uint8_t key[32]) {
  memset(basic, 0, sizeof *basic);
  basic->waiting_max = ST_BASIC_WAITING;
  bool good = pthread_mutex_init(&basic->lock, NULL) == 0;
  for (size_t i = 0; i < ST_BASIC_STRIPES; i++) {
    basic->checking[i] = (st_semaphore)ST_SEMAPHORE(1, ST_BASIC_WAITING);
  }
  return good && subtoken_secret_set(&basic->key, (subtoken_text){NULL, 0}, key, 32) == SUBTOKEN_OK;
}

void st_basic_auth_close(st_basic_auth *basic, int64_t at_us) {
  for (size_t i = 0; i < ST_BASIC_STRIPES; i++) st_semaphore_close(&basic->checking[i], at_us);
}

/* ---- what is remembered ---- */

static size_t slot_of(const uint8_t tag[SUBTOKEN_MAC_LEN]) {
  return (size_t)(tag[0] | tag[1] << 8) % ST_BASIC_SLOTS;
}

/* *left: microseconds for which it is still good; 0 when there is none. */
static void recall(st_basic_auth *basic, const uint8_t tag[SUBTOKEN_MAC_LEN], int64_t now_us,
                   char sub[ST_SUB_LEN + 1], int64_t *left) {
  size_t at = slot_of(tag);
  *left = 0;
  pthread_mutex_lock(&basic->lock);
  if (basic->slots[at].until_us > now_us &&
      st_equal_secret(basic->slots[at].tag, tag, SUBTOKEN_MAC_LEN)) {
    *left = basic->slots[at].until_us - now_us;
    memcpy(sub, basic->slots[at].sub, ST_SUB_LEN + 1);
  }
  pthread_mutex_unlock(&basic->lock);
}

static void remember(st_basic_auth *basic, const uint8_t tag[SUBTOKEN_MAC_LEN], int64_t now_us,
                     const char *sub) {
  size_t at = slot_of(tag);
  pthread_mutex_lock(&basic->lock);
  memcpy(basic->slots[at].tag, tag, SUBTOKEN_MAC_LEN);
  memcpy(basic->slots[at].sub, sub, ST_SUB_LEN + 1);
  basic->slots[at].until_us = now_us + ST_BASIC_KEPT_US;
  pthread_mutex_unlock(&basic->lock);
}

/* ---- one credential ---- */

typedef struct attempt {
  const st_service *service;
  const st_request *request;
  subtoken_text login, password;
  uint8_t tag[SUBTOKEN_MAC_LEN];
  st_identity *identity;
  const char *event;
  int64_t wait;
} attempt;

/* At the first colon: a password may have one, a login not. */
static bool split(attempt *a, subtoken_text text) {
  st_cutter cutter = {text, false};
  if (!st_cut(&cutter, ':', &a->login) || cutter.done) return false;
  a->password = cutter.rest;
  return !st_text_is(a->login, ST_ANONYMOUS);
}

/* What the person may do now. The sub is another as soon as the password is, or a permission has
 * been taken away.
 */
static subtoken_result grant(attempt *a, subtoken_text sub) {
  const st_keys *keys = &a->service->keys;
  st_key *key = &a->identity->key;
  a->event = "login_failed";
  switch (keys->by_sub(keys->store, sub, key)) {
    case ST_STORE_OK: break;
    case ST_STORE_NOT_FOUND:
    case ST_STORE_REVOKED: return SUBTOKEN_REVOKED;
    default: a->event = "store_error"; return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  bool over = key->expires_at <= a->request->now;
  if (key->kind != ST_KIND_USER || key->disabled || over) return SUBTOKEN_REVOKED;
  a->identity->method = ST_AUTH_BASIC;
  a->event = NULL;
  return st_key_grant(key, &a->identity->grant) ? SUBTOKEN_OK : SUBTOKEN_REVOCATION_UNKNOWN;
}

static subtoken_result from_memory(attempt *a, int64_t *left) {
  char sub[ST_SUB_LEN + 1];
  recall(a->service->basic, a->tag, a->request->now_us, sub, left);
  return *left > 0 ? grant(a, (subtoken_text){sub, ST_SUB_LEN}) : SUBTOKEN_REVOKED;
}

/* Nobody tells from outside who is unknown, disabled or over: each costs the same, and counts. */
static st_store_status find(const attempt *a, st_user *person) {
  const st_users *people = a->service->people;
  if (!st_names_username_valid(a->login)) return ST_STORE_NOT_FOUND;
  st_store_status found = people->find(people->context, a->login, person);
  bool over = found == ST_STORE_OK && person->key.expires_at <= a->request->now;
  return found == ST_STORE_OK && (person->key.disabled || over) ? ST_STORE_NOT_FOUND : found;
}

/* The password itself, which takes its time. */
static subtoken_result judge(attempt *a, st_store_status found, const st_user *person) {
  const st_users *people = a->service->people;
  if (found == ST_STORE_FAILED) {
    a->event = "store_error";
    return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  bool known = found == ST_STORE_OK;
  switch (
      people->check(people->context, known ? person : NULL, a->password, a->request->until_us)) {
    case ST_VERDICT_GOOD: break;
    case ST_VERDICT_WRONG: known = false; break;
    case ST_VERDICT_BUSY: a->event = "passwords_busy"; return SUBTOKEN_REVOCATION_UNKNOWN;
    default: a->event = "store_error"; return SUBTOKEN_REVOCATION_UNKNOWN;
  }
  bool utf8 = st_utf8_valid(a->login) && st_utf8_valid(a->password);
  a->event = utf8 ? "login_failed" : "login_not_utf8"; /* an old client's Latin-1 */
  if (!known) return SUBTOKEN_REVOKED;
  remember(a->service->basic, a->tag, a->request->now_us, person->key.sub);
  return grant(a, (subtoken_text){person->key.sub, ST_SUB_LEN});
}

/* Only a password that was wrong counts. */
static subtoken_result check(attempt *a) {
  st_user person;
  const st_request *request = a->request;
  st_throttle *throttle = a->service->throttle;
  a->wait = st_throttle_take(throttle, a->login, request->remote, request->now_us);
  if (a->wait > 0) {
    a->event = "login_throttled";
    return SUBTOKEN_REVOKED;
  }
  st_store_status found = find(a, &person);
  subtoken_result result = judge(a, found, &person);
  if (result != SUBTOKEN_REVOKED) {
    st_throttle_give_back(throttle, a->login, request->remote);
  }
  subtoken_wipe(&person, sizeof person);
  return result;
}

/* Many requests come with the same credential at once: the first checks it, the others wait and
 * find it remembered. How many wait is bounded, as they hold a connection each, and how long.
 */
static subtoken_result check_alone(attempt *a) {
  st_basic_auth *basic = a->service->basic;
  st_semaphore *checking = &basic->checking[a->tag[2] % ST_BASIC_STRIPES];
  subtoken_result result = SUBTOKEN_REVOCATION_UNKNOWN;
  a->event = "passwords_busy";
  if (atomic_fetch_add(&basic->waiting, 1) < basic->waiting_max &&
      st_semaphore_enter(checking, a->request->until_us)) {
    a->event = "login_failed"; /* as long as nothing better is known */
    int64_t left;
    result = from_memory(a, &left);
    if (result == SUBTOKEN_REVOKED) result = check(a);
    st_semaphore_leave(checking);
  }
  atomic_fetch_sub(&basic->waiting, 1);
  return result;
}

/* Shortly before it is forgotten one request checks it anew, while the others go by what is
 * remembered: nobody waits then. What comes of it is for the next ones.
 */
static void renew(const attempt *good) {
  st_basic_auth *basic = good->service->basic;
  st_semaphore *checking = &basic->checking[good->tag[2] % ST_BASIC_STRIPES];
  st_identity unused;
  int64_t left;
  if (!st_semaphore_enter(checking, ST_WAIT_NOT)) return;
  attempt a = *good;
  a.identity = &unused;
  if (from_memory(&a, &left) == SUBTOKEN_OK && left < ST_BASIC_RENEW_US) (void)check(&a);
  st_semaphore_leave(checking);
}

subtoken_result st_basic_auth_identify(const st_service *service, subtoken_text text,
                                       const st_request *request, st_identity *identity,
                                       const char **event, int64_t *wait) {
  attempt a = {.service = service, .request = request, .identity = identity};
  memset(identity, 0, offsetof(st_identity, grant));
  memset(&identity->grant, 0, offsetof(subtoken_claims, text));
  a.event = "login_failed";
  subtoken_result result = SUBTOKEN_REVOKED;
  if (split(&a, text)) {
    if (subtoken_mac_compute(&service->basic->key, text.data, text.len, a.tag) != SUBTOKEN_OK) {
      return SUBTOKEN_REVOCATION_UNKNOWN;
    }
    int64_t left;
    result = from_memory(&a, &left);
    if (result == SUBTOKEN_REVOKED) {
      result = check_alone(&a);
    } else if (result == SUBTOKEN_OK && left < ST_BASIC_RENEW_US) {
      renew(&a);
    }
  }
  *event = a.event;
  *wait = a.wait;
  return result;
}
