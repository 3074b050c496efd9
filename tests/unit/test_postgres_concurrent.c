/* Changes of two issuers beside each other, several threads each: what one has looked at still
 * holds when it commits, sequences are taken once and seen in their order, and a change that was
 * made again has left one line.
 */
#include "store_contract.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS 3 /* of each handle */
#define ROUNDS 8

static st_store *handles[2];
static st_key keys[200];
static atomic_int next_row;

typedef struct worker {
  pthread_t thread;
  st_store *store;
  int64_t sequences[ROUNDS];
  int made;
  bool failed;
  char error[ST_ERROR_MAX];
} worker;

/* "Busy" is an answer, too: nothing was changed. */
static bool made(worker *w, st_store_status status) {
  if (status == ST_STORE_OK) w->made++;
  if (status != ST_STORE_OK && status != ST_STORE_BUSY) w->failed = true;
  return status == ST_STORE_OK;
}

static int run_all(void *(*work)(void *), worker *workers) {
  int all = 0;
  assert_ok(st_store_open(location, false, &handles[1], error));
  handles[0] = store;
  for (size_t i = 0; i < 2 * THREADS; i++) {
    workers[i] = (worker){.store = handles[i % 2]};
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (size_t i = 0; i < 2 * THREADS; i++) {
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    if (workers[i].failed) fail_msg("%s", workers[i].error);
    all += workers[i].made;
  }
  st_store_close(handles[1]);
  return all;
}

/* ---- sessions: at most three of a user live ---- */

#define MOST 3

static void *begin_sessions(void *context) {
  worker *w = context;
  for (int i = 0; i < ROUNDS; i++) {
    unsigned n = (unsigned)atomic_fetch_add(&next_row, 1);
    st_key session = {.expires_at = NOW + 1000};
    uint8_t digest[32] = {0}, seed[32] = {7};
    char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1], refresh[ST_REFRESH_LEN + 1];
    memcpy(digest, &n, sizeof n);
    snprintf(session.id, sizeof session.id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
    snprintf(session.sub, sizeof session.sub, "%043u", n);
    snprintf(refresh, sizeof refresh, "R%042u", n);
    snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", 1U, 1U);
    snprintf(sub, sizeof sub, "%043u", 1U);
    (void)made(w, st_store_session_begin(w->store, CONTEXT, &(st_grantor){id, sub}, MOST, &session,
                                         digest, seed, refresh, w->error));
  }
  return NULL;
}

static void a_user_has_no_more_sessions_than_allowed(void **state) {
  (void)state;
  worker workers[2 * THREADS];
  make_user(1, "ann", "a");
  atomic_store(&next_row, 10);
  int all = run_all(begin_sessions, workers);
  int living = 0;
  for (unsigned n = 10; n < (unsigned)atomic_load(&next_row); n++) living += alive(n);
  assert_int_equal(living, MOST);
  assert_int_equal(count_lines("login.begin", ""), all);
  assert_int_equal(count_lines("login.end", ""), all - MOST);
}

/* ---- sequences ---- */

static void *bump(void *context) {
  worker *w = context;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t sequence = 0;
    if (made(w, st_store_bump_sequence(w->store, NOW * US, 0, &sequence, w->error))) {
      w->sequences[w->made - 1] = sequence;
    }
  }
  return NULL;
}

static int by_size(const void *a, const void *b) {
  int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;
  return first < second ? -1 : first > second;
}

static void a_sequence_is_taken_once(void **state) {
  (void)state;
  worker workers[2 * THREADS];
  int64_t all[2 * THREADS * ROUNDS];
  size_t count = 0;
  (void)run_all(bump, workers);
  for (size_t i = 0; i < 2 * THREADS; i++) {
    for (int j = 0; j < workers[i].made; j++) {
      assert_true(j == 0 || workers[i].sequences[j] > workers[i].sequences[j - 1]);
      all[count++] = workers[i].sequences[j];
    }
  }
  qsort(all, count, sizeof *all, by_size);
  for (size_t i = 1; i < count; i++) assert_true(all[i] > all[i - 1]);
  for (size_t i = 0; i < count; i++) {
    assert_ok(st_store_issued_sequence(store, all[i], error));
  }
  assert_true(sequence_now() == all[count - 1]);
}

/* ---- a grantor that goes ---- */

static atomic_bool gone;

/* One deletes the key 1, the others make keys with it: none is made after it went. */
static void *make_or_delete(void *context) {
  worker *w = context;
  char id[ST_KEY_ID_LEN + 1], sub[ST_SUB_LEN + 1];
  snprintf(id, sizeof id, "%08X-ABCD-ABCD-ABCD-%012X", 1U, 1U);
  snprintf(sub, sizeof sub, "%043u", 1U);
  for (int i = 0; i < ROUNDS; i++) {
    unsigned n = (unsigned)atomic_fetch_add(&next_row, 1);
    if (n == 20) {
      if (made(w, st_store_key_delete(w->store, CONTEXT, id, NULL, w->error))) {
        atomic_store(&gone, true);
      }
      continue;
    }
    st_key key = {.created_at = NOW, .expires_at = ST_NEVER, .permissions = "a"};
    uint8_t digest[32] = {0};
    bool was_gone = atomic_load(&gone);
    memcpy(digest, &n, sizeof n);
    snprintf(key.id, sizeof key.id, "%08X-ABCD-ABCD-ABCD-%012X", n, n);
    snprintf(key.sub, sizeof key.sub, "%043u", n);
    st_store_status status =
        st_store_key_create(w->store, CONTEXT, &(st_grantor){id, sub}, &key, digest, w->error);
    if (status != ST_STORE_DENIED && made(w, status) && was_gone) w->failed = true;
  }
  return NULL;
}

static void nothing_is_made_with_what_is_gone(void **state) {
  (void)state;
  worker workers[2 * THREADS];
  size_t count = 0;
  make_key(1, "", "a,keys");
  atomic_store(&next_row, 10);
  atomic_store(&gone, false);
  (void)run_all(make_or_delete, workers);
  assert_ok(st_store_key_list(store, NULL, "", 200, keys, &count, error));
  assert_int_equal(count_lines("key.create", ""), (int64_t)count + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_user_has_no_more_sessions_than_allowed),
      TEST(a_sequence_is_taken_once),
      TEST(nothing_is_made_with_what_is_gone),
  };
  return RUN_ON_POSTGRES(tests);
}
