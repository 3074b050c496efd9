/* The changes from one snapshot to a later one. The log is a ring of steps that ascend by sequence,
 * so that the changes since a sequence are a part of it. sum_up makes of them what is gone and what
 * is new. Long answers are kept in a few slots, for all who ask for the same: see
 * find_or_make_answer. Nothing here asks the store; snapshot.c fills the log.
 */
#include "server/snapshot_changes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "os/clock.h"
#include "service/service.h"
#include "subtoken/feed.h"
#include "subtoken/revocations.h"

enum {
  STEPS = 1 << 18, /* of the log; more than the store keeps of it */
  SLOTS = 8,       /* for answers */
  SHORT = 1024,    /* steps: an answer of no more is made anew each time */
  BITS_MAX = 16,   /* to sort by at once */
};

/* ---- the log ---- */

static struct {
  pthread_rwlock_t lock;
  int64_t since;  /* nothing is known of the time before; 0: of no time */
  uint64_t taken; /* steps that were ever taken; the last STEPS are here */
  st_snapshot_step at[STEPS];
  /* The same in the order of hashes, as far as long answers have asked for them. */
  st_snapshot_step sorted[STEPS];
  size_t sorted_count;
  uint64_t sorted_until; /* the number of the first step that is not among them */
} changes_log = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static int compare_sequences(const void *a, const void *b) {
  const st_snapshot_step *x = a, *y = b;
  return (x->sequence > y->sequence) - (x->sequence < y->sequence);
}

/* Under the lock. */
static void log_append(st_snapshot_step *steps, size_t count) {
  if (count > 1) qsort(steps, count, sizeof *steps, compare_sequences);
  for (size_t i = 0; i < count; i++) {
    st_snapshot_step *at = &changes_log.at[changes_log.taken % STEPS];
    if (changes_log.taken >= STEPS) changes_log.since = at->sequence;
    *at = steps[i];
    changes_log.taken++;
  }
}

void st_snapshot_changes_load(st_snapshot_step *steps, size_t count, int64_t since) {
  (void)pthread_rwlock_wrlock(&changes_log.lock);
  changes_log.taken = changes_log.sorted_until = 0;
  changes_log.sorted_count = 0;
  changes_log.since = since;
  log_append(steps, count);
  (void)pthread_rwlock_unlock(&changes_log.lock);
}

void st_snapshot_changes_append(st_snapshot_step *steps, size_t count) {
  (void)pthread_rwlock_wrlock(&changes_log.lock);
  log_append(steps, count);
  (void)pthread_rwlock_unlock(&changes_log.lock);
}

bool st_snapshot_changes_reach(int64_t sequence) {
  (void)pthread_rwlock_rdlock(&changes_log.lock);
  bool reach = changes_log.since <= sequence;
  (void)pthread_rwlock_unlock(&changes_log.lock);
  return reach;
}

/* The number of the first step after a sequence. Under the lock. */
static uint64_t first_after(int64_t sequence) {
  uint64_t low = changes_log.taken > STEPS ? changes_log.taken - STEPS : 0,
           high = changes_log.taken;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (changes_log.at[middle % STEPS].sequence <= sequence) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

typedef struct steps {
  st_snapshot_step *list; /* to be freed */
  size_t count;
} steps;

/* How many steps lead from one sequence to another; false when that is not known. */
static bool count_steps(int64_t since, int64_t until, size_t *count) {
  (void)pthread_rwlock_rdlock(&changes_log.lock);
  bool known = changes_log.since > 0 && since >= changes_log.since && since <= until;
  if (known) *count = (size_t)(first_after(until) - first_after(since));
  (void)pthread_rwlock_unlock(&changes_log.lock);
  return known;
}

/* Under the lock. */
static bool copy_steps(uint64_t from, uint64_t to, steps *out) {
  out->count = (size_t)(to - from);
  out->list = malloc((out->count + 1) * sizeof *out->list);
  for (size_t i = 0; out->list != NULL && i < out->count; i++) {
    out->list[i] = changes_log.at[(from + i) % STEPS];
  }
  return out->list != NULL;
}

/* ---- what steps come to ---- */

static int compare_steps(const void *a, const void *b) {
  const st_snapshot_step *x = a, *y = b;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return compare_sequences(a, b);
}

/* Of a few, as a rule. */
static void sort_bucket(st_snapshot_step *list, size_t count) {
  if (count > 32) {
    qsort(list, count, sizeof *list, compare_steps);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    st_snapshot_step step = list[i];
    size_t at = i;
    for (; at > 0 && compare_steps(&step, &list[at - 1]) < 0; at--) list[at] = list[at - 1];
    list[at] = step;
  }
}

/* Hashes are random, so their first bits spread them over buckets of a few each. qsort alone takes
 * five times as long.
 */
static bool sort_by_hash(steps *all) {
  unsigned bits = 1;
  while (bits < BITS_MAX && (size_t)2 << bits < all->count) bits++;
  unsigned shift = 64 - bits;
  size_t buckets = (size_t)1 << bits;
  if (all->count < 2) return true;
  uint32_t *ends = calloc(buckets + 1, sizeof *ends);
  st_snapshot_step *sorted = calloc(all->count + 1, sizeof *sorted);
  if (ends == NULL || sorted == NULL) {
    free(ends);
    free(sorted);
    return false;
  }
  for (size_t i = 0; i < all->count; i++) ends[(all->list[i].hash >> shift) + 1]++;
  for (size_t b = 0; b < buckets; b++) ends[b + 1] += ends[b];
  for (size_t i = 0; i < all->count; i++) {
    sorted[ends[all->list[i].hash >> shift]++] = all->list[i];
  }
  for (size_t b = 0, from = 0; b < buckets; from = ends[b++]) {
    sort_bucket(sorted + from, ends[b] - from);
  }
  free(ends);
  free(all->list);
  all->list = sorted;
  return true;
}

/* Steps that no answer needs any more make room for those that are added. Under the lock. */
static void merge_sorted(const steps *added) {
  size_t kept = 0;
  for (size_t i = 0; i < changes_log.sorted_count; i++) {
    if (changes_log.sorted[i].sequence > changes_log.since)
      changes_log.sorted[kept++] = changes_log.sorted[i];
  }
  changes_log.sorted_count = kept + added->count;
  for (size_t new = added->count, at = changes_log.sorted_count; new > 0;) {
    bool old_last =
        kept > 0 && compare_steps(&changes_log.sorted[kept - 1], &added->list[new - 1]) > 0;
    changes_log.sorted[--at] = old_last ? changes_log.sorted[--kept] : added->list[--new];
  }
}

/* Under the lock. */
static bool sort_log(void) {
  uint64_t from = changes_log.taken > STEPS ? changes_log.taken - STEPS : 0;
  steps added;
  if (changes_log.sorted_until == changes_log.taken) return true;
  if (changes_log.sorted_until > from) from = changes_log.sorted_until;
  if (!copy_steps(from, changes_log.taken, &added)) return false;
  bool done = sort_by_hash(&added);
  if (done) {
    merge_sorted(&added);
    changes_log.sorted_until = changes_log.taken;
  }
  free(added.list);
  return done;
}

typedef struct sums {
  int64_t since, until;
  uint64_t *gone, *fresh; /* of these steps; fresh lies in what gone is */
  uint32_t gone_count, fresh_count;
} sums;

static bool is_between(const st_snapshot_step *step, const sums *of) {
  return step->sequence > of->since && step->sequence <= of->until;
}

/* The steps of one hash alternate, so the first says whether it was listed before. For a step that
 * the store has told this is not known: it counts as changed, and an edge that cannot apply the
 * change asks for the whole snapshot.
 */
static void add_hash(const st_snapshot_step *first, const st_snapshot_step *last, bool told,
                     sums *out) {
  if (!told && first->listed != last->listed) return;
  if (last->listed) {
    out->fresh[out->fresh_count++] = last->hash;
  } else {
    out->gone[out->gone_count++] = last->hash;
  }
}

static void sum_up(const st_snapshot_step *list, size_t count, sums *out) {
  const st_snapshot_step *first = NULL, *last = NULL;
  bool told = false;
  for (size_t i = 0; i < count; i++) {
    if (!is_between(&list[i], out)) continue;
    if (first != NULL && first->hash != list[i].hash) {
      add_hash(first, last, told, out);
      first = NULL;
    }
    told = list[i].told || (first != NULL && told);
    last = &list[i];
    if (first == NULL) first = last;
  }
  if (first != NULL) add_hash(first, last, told, out);
}

static bool make_sums(sums *out, size_t most) {
  out->gone = malloc(16 * (most + 1));
  if (out->gone == NULL) return false;
  out->fresh = out->gone + most;
  return true;
}

/* ---- the sums of a part of the log; a short part is sorted by itself ---- */

static bool log_reaches(const sums *of) {
  return changes_log.since > 0 && of->since >= changes_log.since && of->since <= of->until;
}

static bool sum_short(sums *of) {
  steps some = {.list = NULL};
  (void)pthread_rwlock_rdlock(&changes_log.lock);
  bool copied =
      log_reaches(of) && copy_steps(first_after(of->since), first_after(of->until), &some);
  (void)pthread_rwlock_unlock(&changes_log.lock);
  bool done = copied && sort_by_hash(&some) && make_sums(of, some.count);
  if (done) sum_up(some.list, some.count, of);
  free(some.list);
  return done;
}

static bool sum_long(sums *of) {
  (void)pthread_rwlock_wrlock(&changes_log.lock);
  bool sorted = sort_log();
  (void)pthread_rwlock_unlock(&changes_log.lock);
  (void)pthread_rwlock_rdlock(&changes_log.lock);
  bool done = sorted && log_reaches(of) &&
              make_sums(of, (size_t)(first_after(of->until) - first_after(of->since)));
  if (done) sum_up(changes_log.sorted, changes_log.sorted_count, of);
  (void)pthread_rwlock_unlock(&changes_log.lock);
  return done;
}

/* ---- an answer ---- */

typedef struct answer {
  atomic_int references;
  atomic_bool retired; /* who still sends it is to stop */
  bool making;
  int64_t since, until;
  int64_t made_us;
  void *bytes; /* NULL: the whole is shorter, or: */
  bool failed; /* there was no memory for it */
  size_t len;
} answer;

static void release_answer(void *context) {
  answer *a = context;
  if (atomic_fetch_sub(&a->references, 1) != 1) return;
  free(a->bytes);
  free(a);
}

static void write_sums(answer *a, const st_snapshot_target *to, const sums *of) {
  size_t size = SUBTOKEN_CHANGES_LEN(of->gone_count, of->fresh_count);
  if (size >= to->len) return;
  a->bytes = malloc(size);
  a->failed = a->bytes == NULL;
  if (a->failed) return;
  if (subtoken_changes_write(to->bytes, to->len, a->since, of->gone, of->gone_count, of->fresh,
                             of->fresh_count, a->bytes, size, &a->len) == SUBTOKEN_FEED_OK) {
    return;
  }
  free(a->bytes);
  a->bytes = NULL;
}

static void make_answer(answer *a, const st_snapshot_target *to, bool is_long) {
  sums of = {.since = a->since, .until = a->until};
  a->failed = !(is_long ? sum_long(&of) : sum_short(&of));
  if (!a->failed) write_sums(a, to, &of);
  free(of.gone);
}

static answer *new_answer(int64_t since, int64_t until) {
  answer *a = calloc(1, sizeof *a);
  if (a == NULL) return NULL;
  atomic_init(&a->references, 1);
  atomic_init(&a->retired, false);
  a->since = since;
  a->until = until;
  return a;
}

/* ---- those that are kept ---- */

static struct {
  pthread_mutex_t lock;
  pthread_cond_t made;
  answer *slots[SLOTS];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER, .made = PTHREAD_COND_INITIALIZER};

/* Nobody is being sent it, or whoever is has had enough time. */
static bool is_dispensable(const answer *a, int64_t now_us) {
  if (a->making) return false;
  return atomic_load(&a->references) == 1 || now_us - a->made_us > st_snapshot_patience_us(a->len);
}

/* The slot to use next: one that is empty, else that of the oldest dispensable answer. */
static answer **free_slot(int64_t now_us) {
  answer **oldest = NULL;
  for (size_t i = 0; i < SLOTS; i++) {
    answer **slot = &kept.slots[i];
    if (*slot == NULL) return slot;
    if (is_dispensable(*slot, now_us) &&
        (oldest == NULL || (*slot)->made_us < (*oldest)->made_us)) {
      oldest = slot;
    }
  }
  return oldest;
}

static void empty_slot(answer **slot) {
  if (*slot == NULL) return;
  atomic_store(&(*slot)->retired, true);
  release_answer(*slot);
  *slot = NULL;
}

/* One that failed is as if it were not there: the next one tries again. */
static answer *find_kept(int64_t since, int64_t until) {
  for (size_t i = 0; i < SLOTS; i++) {
    answer *a = kept.slots[i];
    if (a == NULL || a->since != since || a->until != until) continue;
    if (a->making || !a->failed) return a;
  }
  return NULL;
}

/* The answer from a slot. Whoever asks for it first makes it; the others wait for that, which takes
 * milliseconds. NULL when there is no slot for it.
 */
static answer *find_or_make_answer(const st_snapshot_target *to, int64_t since) {
  int64_t now_us = st_clock_monotonic_us();
  (void)pthread_mutex_lock(&kept.lock);
  answer *a = find_kept(since, to->sequence);
  if (a != NULL) {
    atomic_fetch_add(&a->references, 1);
    while (a->making) (void)pthread_cond_wait(&kept.made, &kept.lock);
    (void)pthread_mutex_unlock(&kept.lock);
    return a;
  }
  answer **slot = free_slot(now_us);
  a = slot != NULL ? new_answer(since, to->sequence) : NULL;
  if (a != NULL) {
    empty_slot(slot);
    a->making = true;
    a->made_us = now_us;
    atomic_fetch_add(&a->references, 1);
    *slot = a;
    (void)pthread_mutex_unlock(&kept.lock);
    make_answer(a, to, true);
    (void)pthread_mutex_lock(&kept.lock);
    a->making = false;
    (void)pthread_cond_broadcast(&kept.made);
  }
  (void)pthread_mutex_unlock(&kept.lock);
  return a;
}

bool st_snapshot_changes_find(const st_snapshot_target *to, int64_t since, st_payload *payload) {
  size_t count = 0;
  answer *a = NULL;
  if (!count_steps(since, to->sequence, &count)) return false;
  if (count > SHORT) {
    a = find_or_make_answer(to, since);
  } else {
    a = new_answer(since, to->sequence);
    if (a != NULL) make_answer(a, to, false);
  }
  if (a == NULL) return false;
  if (a->bytes == NULL) {
    release_answer(a);
    return false;
  }
  *payload = (st_payload){.data = a->bytes,
                          .len = a->len,
                          .release = release_answer,
                          .context = a,
                          .retired = &a->retired};
  return true;
}

void st_snapshot_changes_stop(void) {
  (void)pthread_mutex_lock(&kept.lock);
  for (size_t i = 0; i < SLOTS; i++) empty_slot(&kept.slots[i]);
  (void)pthread_mutex_unlock(&kept.lock);
  st_snapshot_changes_load(NULL, 0, 0);
}
