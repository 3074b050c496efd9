/* Once a rotation was answered nothing takes what it ended, however much is asked meanwhile: by the
 * secret before, by the one before that, by the new one and by sub, each of which may remember the
 * key as it was. SUBTOKEN_ROTATIONS= is how many of them, instead of a few.
 */
#include "store_contract.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4 /* the last one asks another handle */
#define ASKED 4   /* secrets before the newest */

static int64_t seconds_now(void) {
  return st_clock_now_us() / US;
}

/* As digest_of, for many threads. */
static st_store_status found_in(st_store *of, unsigned digest, st_key *key) {
  uint8_t bytes[32];
  memset(bytes, 0xd1, sizeof bytes);
  memcpy(bytes, &digest, sizeof digest);
  return st_store_by_digest(of, bytes, key, error);
}

/* On a busy machine the database may not answer in time; then nothing was changed. */
static st_store_status rotate_to(unsigned digest, int64_t until) {
  st_store_status status = ST_STORE_BUSY;
  for (int tries = 0; status == ST_STORE_BUSY && tries < 10; tries++) {
    status =
        st_store_key_rotate(store, CONTEXT, NULL, id_of(1), digest_of(digest), until, NULL, error);
  }
  return status;
}

/* What was answered: digests below `ended` are worth nothing; `newest` was given last. */
static _Atomic unsigned ended, newest;
static atomic_bool finished;
static _Atomic unsigned long taken; /* answers that were a key */
static st_store *other;

typedef struct asker {
  pthread_t thread;
  st_store *store;
  bool at_once; /* what was answered is in force in this handle */
  unsigned long asked, unanswered;
  const char *wrong;
} asker;

static const char *ask_by_digest(asker *a, unsigned digest, unsigned least) {
  st_key key;
  st_store_status found = found_in(a->store, digest, &key);
  a->asked++;
  if (found == ST_STORE_OK) atomic_fetch_add(&taken, 1);
  if (found == ST_STORE_OK) return a->at_once && digest < least ? "a secret that has ended" : NULL;
  a->unanswered += found == ST_STORE_FAILED; /* by a busy database, in time */
  return NULL;
}

static const char *ask_by_sub(asker *a) {
  st_key key;
  char sub[ST_SUB_LEN + 1];
  snprintf(sub, sizeof sub, "%043u", 1U);
  st_store_status found = st_store_by_sub(a->store, (subtoken_text){sub, ST_SUB_LEN}, &key, error);
  a->unanswered += found == ST_STORE_FAILED;
  if (found != ST_STORE_OK) return found == ST_STORE_FAILED ? NULL : "a sub without a key";
  return key.by_old_digest ? "a sub is old" : NULL;
}

static void *ask(void *context) {
  asker *a = context;
  for (unsigned i = (unsigned)(uintptr_t)a; !atomic_load(&finished) && a->wrong == NULL; i++) {
    unsigned least = atomic_load(&ended), last = atomic_load(&newest);
    unsigned back = (i * 2654435761U >> 16) % (ASKED + 1);
    a->wrong = back == ASKED ? ask_by_sub(a) : ask_by_digest(a, last + 1 - back, least);
  }
  return NULL;
}

static unsigned rotations(void) {
  const char *given = getenv("SUBTOKEN_ROTATIONS");
  return given != NULL ? (unsigned)atoi(given) : 60;
}

static void begin(asker askers[THREADS]) {
  make_key(1, "", "a");
  assert_ok(rotate_to(99, 0));
  assert_ok(rotate_to(100, 0));
  atomic_store(&ended, 100);
  atomic_store(&newest, 100);
  atomic_store(&finished, false);
  atomic_store(&taken, 0);
  assert_ok(st_store_open(location, false, &other, error));
  for (size_t i = 0; i < THREADS; i++) {
    bool here = i + 1 < THREADS;
    askers[i] =
        (asker){.store = here ? store : other, .at_once = here || kind->make == make_folder};
    assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
  }
}

static void end(asker askers[THREADS], unsigned last) {
  unsigned long asked = 0, unanswered = 0;
  st_key key;
  /* On a busy machine nobody may have had a turn until now. */
  int64_t turn_us = st_clock_monotonic_us() + 60 * US;
  while (atomic_load(&taken) == 0 && st_clock_monotonic_us() < turn_us) usleep(2000);
  atomic_store(&finished, true);
  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
    if (askers[i].wrong != NULL) fail_msg("%s", askers[i].wrong);
    asked += askers[i].asked;
    unanswered += askers[i].unanswered;
  }
  assert_true(taken > 0);
  SEEN(found_in(other, last, &key) == ST_STORE_OK);
  for (unsigned n = 99; n < last; n++) {
    SEEN(found_in(other, n, &key) == ST_STORE_REVOKED);
    assert_int_equal(found_in(store, n, &key), ST_STORE_REVOKED);
  }
  if (getenv("SUBTOKEN_ROTATIONS") != NULL) {
    printf("# %u rotations; %lu asked meanwhile: %lu taken, %lu without an answer\n", last - 100,
           asked, atomic_load(&taken), unanswered);
  }
  st_store_close(other);
}

static void assert_refused(unsigned digest) {
  st_key key;
  st_store_status found = found_in(store, digest, &key);
  if (found != ST_STORE_REVOKED) fail_msg("%u after %u: %d", digest, atomic_load(&newest), found);
}

static void no_secret_outlives_a_rotation_without_an_overlap(void **state) {
  (void)state;
  asker askers[THREADS];
  unsigned last = 100 + rotations();
  begin(askers);
  for (unsigned n = 101; n <= last; n++) {
    assert_ok(rotate_to(n, 0));
    atomic_store(&ended, n);
    atomic_store(&newest, n);
    assert_refused(n - 1);
    assert_refused(n - 2);
  }
  end(askers, last);
}

/* None, a second, none, a day, a second after a day: the one before the last has ended in any case,
 * and the last one when its time is over, to the second. */
static void no_secret_outlives_two_rotations_or_its_overlap(void **state) {
  (void)state;
  static const int64_t overlaps[] = {0, 1, 0, DAY, 1};
  asker askers[THREADS];
  unsigned last = 100 + rotations() / 5 * 5 + 1;
  begin(askers);
  for (unsigned n = 101; n <= last; n++) {
    int64_t overlap = overlaps[(n - 101) % 5];
    int64_t until = overlap > 0 ? seconds_now() + overlap : 0;
    assert_ok(rotate_to(n, until));
    atomic_store(&ended, overlap > 0 ? n - 1 : n);
    atomic_store(&newest, n);
    if (overlap == 0) assert_refused(n - 1);
    if (until > 0 && seconds_now() >= until) assert_refused(n - 1);
    assert_refused(n - 2);
  }
  end(askers, last);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(no_secret_outlives_a_rotation_without_an_overlap),
      TEST(no_secret_outlives_two_rotations_or_its_overlap),
  };
  return RUN_ON_EVERY_STORE(tests);
}
