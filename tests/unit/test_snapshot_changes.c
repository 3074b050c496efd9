/* feed_changes: from whatever sequence on, the changes lead to the snapshot, byte for byte; long
 * ones are made once and kept for as many as ask (C3).
 */
#include "support.h"

#include "server/snapshot_changes.h"
#include "subtoken/feed.h"

enum { HASHES = 6000, ROUNDS = 240, KEPT = 40 };

static subtoken_ring ring;
static uint64_t hashes[HASHES];
static bool listed[HASHES];
static int64_t sequence;

typedef struct snapshot {
  uint8_t *bytes;
  size_t len;
  int64_t sequence;
} snapshot;

static int setup(void **state) {
  (void)state;
  uint64_t random = 5;
  ring_with(&ring, "", TEST_SECRET);
  for (size_t i = 0; i < HASHES; i++) {
    hashes[i] = random_next(&random);
    listed[i] = i % 2 == 0;
  }
  /* Some share their first bits. */
  for (size_t i = 0; i < 200; i++) hashes[i] = hashes[200] + 1 + i;
  sequence = 1000;
  st_snapshot_changes_load(NULL, 0, sequence);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  st_snapshot_changes_stop();
  return 0;
}

static snapshot write_snapshot(void) {
  static uint64_t list[HASHES];
  uint32_t count = 0;
  subtoken_revocations_header header = {sequence, 1, {1}};
  for (size_t i = 0; i < HASHES; i++) {
    if (listed[i]) list[count++] = hashes[i];
  }
  count = subtoken_revocations_sort(list, count);
  snapshot made = {NULL, subtoken_revocations_size(count), sequence};
  made.bytes = malloc(made.len);
  assert_non_null(made.bytes);
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, list, count, made.bytes, made.len, NULL),
      SUBTOKEN_FEED_OK);
  return made;
}

/* As many hashes turn, each once, at sequences of their own. */
static size_t turn(uint64_t *random, size_t count, st_snapshot_step *steps) {
  static bool turned[HASHES];
  size_t made = 0;
  memset(turned, 0, sizeof turned);
  sequence++;
  for (size_t i = 0; i < count; i++) {
    size_t which = random_below(random, HASHES);
    if (turned[which]) continue;
    turned[which] = true;
    listed[which] = !listed[which];
    sequence += (int64_t)random_below(random, 3);
    steps[made++] = (st_snapshot_step){hashes[which], sequence, listed[which], false};
  }
  sequence++;
  return made;
}

static bool find(const snapshot *to, int64_t since, st_payload *payload) {
  st_snapshot_target target = {to->bytes, to->len, to->sequence};
  return st_snapshot_changes_find(&target, since, payload);
}

static void check_leads(const snapshot *from, const snapshot *to) {
  st_payload changes;
  size_t len = 0;
  if (!find(to, from->sequence, &changes)) {
    /* Never because it is not known: only because the whole is no longer. */
    assert_true(to->sequence - from->sequence > HASHES / 4);
    return;
  }
  assert_true(changes.len < to->len && !atomic_load(changes.retired));
  uint8_t *out = malloc(to->len);
  assert_int_equal(
      subtoken_changes_apply(from->bytes, from->len, changes.data, changes.len, out, to->len, &len),
      SUBTOKEN_FEED_OK);
  assert_int_equal(len, to->len);
  assert_memory_equal(out, to->bytes, len);
  free(out);
  changes.release(changes.context);
}

static void all_lead_to_the_last(void **state) {
  (void)state;
  static st_snapshot_step steps[HASHES];
  snapshot past[KEPT] = {{NULL, 0, 0}};
  uint64_t random = 3;
  size_t most = 0;
  for (size_t round = 0; round < ROUNDS; round++) {
    snapshot *at = &past[round % KEPT];
    size_t count = turn(&random, 1 + random_below(&random, round % 9 == 0 ? 3000 : 60), steps);
    if (count > most) most = count;
    st_snapshot_changes_append(steps, count);
    free(at->bytes);
    *at = write_snapshot();
    for (size_t i = 0; i < KEPT && i <= round; i++) check_leads(&past[i], at);
  }
  assert_true(most > 1024); /* some were long */
  for (size_t i = 0; i < KEPT; i++) free(past[i].bytes);
}

/* More steps than are remembered: what is older is not known any more, what is newer is right. */
static void the_log_is_bounded(void **state) {
  (void)state;
  static st_snapshot_step steps[HASHES];
  uint64_t random = 9;
  snapshot first = write_snapshot(), last = {NULL, 0, 0};
  st_payload none;
  size_t taken = 0;
  while (taken < 300000) {
    size_t count = turn(&random, 4000, steps);
    st_snapshot_changes_append(steps, count);
    taken += count;
    free(last.bytes);
    last = write_snapshot();
    if (taken % 3 == 0) assert_false(find(&last, last.sequence + 1, &none));
    if (random_below(&random, 4) == 0 && find(&last, last.sequence - 1500, &none)) {
      none.release(none.context); /* so that the order of hashes goes on from somewhere */
    }
  }
  assert_false(find(&last, first.sequence, &none));
  for (int i = 0; i < 5; i++) {
    snapshot before = last;
    st_snapshot_changes_append(steps, turn(&random, 1500, steps));
    last = write_snapshot();
    check_leads(&before, &last);
    free(before.bytes);
  }
  free(first.bytes);
  free(last.bytes);
}

/* C3: the same bytes for all who ask; no more of them than there are slots for. */
static void long_ones_are_kept(void **state) {
  (void)state;
  enum { ASKED = 64, SLOTS = 8 };
  static st_snapshot_step steps[HASHES];
  uint64_t random = 4;
  st_payload taken[ASKED], other;
  for (size_t i = 0; i < HASHES; i++) listed[i] = true;
  snapshot first = write_snapshot();
  st_snapshot_changes_append(steps, turn(&random, 1800, steps));
  snapshot last = write_snapshot();
  for (size_t i = 0; i < ASKED; i++) {
    assert_true(find(&last, first.sequence, &taken[i]));
    assert_ptr_equal(taken[i].data, taken[0].data);
  }
  for (int i = 0; i < ASKED; i++) taken[i].release(taken[i].context);
  int found = 0;
  while (found < ASKED && find(&last, first.sequence + found, &taken[found])) found++;
  assert_int_equal(found, SLOTS);
  taken[3].release(taken[3].context);
  assert_true(find(&last, first.sequence + ASKED, &other)); /* in its place */
  assert_false(find(&last, first.sequence + ASKED + 1, &taken[3]));
  assert_false(atomic_load(other.retired));
  other.release(other.context);
  for (int i = 0; i < SLOTS; i++) {
    if (i != 3) taken[i].release(taken[i].context);
  }
  free(first.bytes);
  free(last.bytes);
}

/* What the store has told may have been listed before or not; the last word counts. */
static void what_was_told(void **state) {
  (void)state;
  st_snapshot_step told[] = {{hashes[500], 1010, false, true}, {hashes[501], 1005, true, true}};
  st_snapshot_step later[] = {{hashes[501], 1020, false, false}, {hashes[502], 1021, true, false}};
  st_snapshot_step again[] = {{hashes[502], 1030, false, false}};
  st_payload changes;
  sequence = 1010;
  st_snapshot_changes_load(told, 2, 1000);
  snapshot to = write_snapshot();
  assert_true(find(&to, 1000, &changes));
  assert_int_equal(changes.len, SUBTOKEN_CHANGES_LEN(1, 1));
  changes.release(changes.context);
  assert_false(find(&to, 999, &changes));
  assert_true(find(&to, 1005, &changes));
  assert_int_equal(changes.len, SUBTOKEN_CHANGES_LEN(1, 0));
  changes.release(changes.context);
  free(to.bytes);
  st_snapshot_changes_append(later, 2);
  st_snapshot_changes_append(again, 1);
  sequence = 1030;
  to = write_snapshot();
  assert_true(find(&to, 1000, &changes));
  assert_int_equal(changes.len, SUBTOKEN_CHANGES_LEN(2, 0)); /* 500 and 501; 502 came and went */
  changes.release(changes.context);
  assert_true(find(&to, 1030, &changes));
  assert_int_equal(changes.len, SUBTOKEN_CHANGES_LEN(0, 0));
  changes.release(changes.context);
  free(to.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(all_lead_to_the_last, setup, teardown),
      cmocka_unit_test_setup_teardown(the_log_is_bounded, setup, teardown),
      cmocka_unit_test_setup_teardown(long_ones_are_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(what_was_told, setup, teardown),
  };
  return cmocka_run_group_tests_name("feed_changes", tests, NULL, NULL);
}
