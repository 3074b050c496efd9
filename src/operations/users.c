#include "operations/users.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/service.h"
#include "base/base64url.h"
#include "cli/options.h"
#include "operations/keys.h"
#include "os/log.h"
#include "operations/password.h"

#define DRAWS 8                       /* what is taken is drawn again; twice never happens */
#define WRITE_EVERY_S 30              /* seconds between two writings of what was used */
#define PURGE_EVERY 120               /* of those: an hour */
#define USES_SLOTS ((size_t)65536)    /* a power of two */
#define USES_MAX (USES_SLOTS / 4 * 3) /* keys noted between two writings; the rest goes unnoted */

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

void st_people_draw(st_key *key, uint8_t digest[32]) {
  char whole[ST_KEY_LEN + 1];
  st_draw_key(whole, key, digest);
  st_world_random(digest, 32); /* no key opens this row */
  subtoken_wipe(whole, sizeof whole);
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

static struct {
  st_store *store;
  pthread_t thread;
  bool running;
  int end;              /* an eventfd that ends the thread */
  pthread_mutex_t lock; /* guards the two below */
  size_t count;
  st_use uses[USES_SLOTS]; /* by the hash of the id, then the next that is free */
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* FNV-1a; the ids are random, nobody chooses where they fall. */
static size_t slot_of(const char *id) {
  uint32_t hash = 2166136261U;
  for (size_t i = 0; id[i] != '\0'; i++) hash = (hash ^ (uint8_t)id[i]) * 16777619U;
  return hash & (USES_SLOTS - 1);
}

static void used(void *context, const char *id, int64_t now) {
  (void)context;
  if (id[0] == '\0') return;
  size_t at = slot_of(id);
  pthread_mutex_lock(&all.lock);
  while (all.uses[at].id[0] != '\0' && strcmp(all.uses[at].id, id) != 0) {
    at = (at + 1) & (USES_SLOTS - 1);
  }
  if (all.uses[at].id[0] != '\0') {
    if (now > all.uses[at].at) all.uses[at].at = now;
  } else if (all.count < USES_MAX) {
    memcpy(all.uses[at].id, id, ST_KEY_ID_LEN);
    all.uses[at].id[ST_KEY_ID_LEN] = '\0';
    all.uses[at].at = now;
    all.count++;
  }
  pthread_mutex_unlock(&all.lock);
}

/* Taken out under the lock, written without it: a request never waits for the disk here. */
static st_use *take_uses(size_t *count) {
  *count = 0;
  pthread_mutex_lock(&all.lock);
  st_use *taken = all.count > 0 ? calloc(all.count, sizeof *taken) : NULL;
  for (size_t i = 0; taken != NULL && i < USES_SLOTS; i++) {
    if (all.uses[i].id[0] == '\0') continue;
    taken[(*count)++] = all.uses[i];
    all.uses[i].id[0] = '\0';
  }
  if (taken != NULL) all.count = 0;
  pthread_mutex_unlock(&all.lock);
  return taken;
}

static void write_uses(void) {
  char why[ST_WHY_MAX];
  size_t count;
  st_use *uses = take_uses(&count);
  if (count > 0 && st_store_note_used(all.store, uses, count, why) != ST_STORED) {
    st_log_event("store_error", why);
    for (size_t i = 0; i < count; i++) used(NULL, uses[i].id, uses[i].at); /* for the next time */
  }
  free(uses);
}

static void purge(void) {
  char why[ST_WHY_MAX];
  if (st_store_purge(all.store, st_world_now_us(), st_world_monotonic_us(), why) != ST_STORED) {
    st_log_event("store_error", why);
  }
}

/* Until the next writing, or the end, which is told by a byte. */
static bool wait_for_next(void) {
  struct pollfd end = {.fd = all.end, .events = POLLIN};
  return poll(&end, 1, WRITE_EVERY_S * 1000) <= 0;
}

static void *upkeep(void *unused) {
  (void)unused;
  for (unsigned round = 1; wait_for_next(); round++) {
    write_uses();
    if (round % PURGE_EVERY == 0) purge();
  }
  write_uses();
  return NULL;
}

/* ---- start and end ---- */

bool st_people_start(st_store *store, char *why) {
  snprintf(why, ST_WHY_MAX, "libargon2 does not compute what it should");
  if (!st_password_start()) return false;
  all.store = store;
  all.end = eventfd(0, EFD_CLOEXEC);
  all.running = all.end >= 0 && pthread_create(&all.thread, NULL, upkeep, NULL) == 0;
  if (all.running) return true;
  snprintf(why, ST_WHY_MAX, "cannot start a thread: %m");
  if (all.end >= 0) close(all.end);
  return false;
}

void st_people_stop(void) {
  if (!all.running) return;
  all.running = false;
  (void)eventfd_write(all.end, 1);
  pthread_join(all.thread, NULL);
  close(all.end);
}

st_people st_people_of(st_store *store) {
  return (st_people){.context = store,
                     .find = find,
                     .check = check,
                     .create = create,
                     .log_in = log_in,
                     .refresh = refresh,
                     .log_out = log_out,
                     .audit = audit,
                     .used = used};
}
