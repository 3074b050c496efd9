/* revocations_feed: heartbeats, which data is accepted, and until when it decides. */
#include "revocations_fixture.h"

static subtoken_feed_result read_alive(const uint8_t *bytes, size_t len) {
  static const subtoken_heartbeat none;
  subtoken_heartbeat heartbeat;
  subtoken_text copy = exact(bytes, len);
  memset(&heartbeat, 0x55, sizeof heartbeat);
  subtoken_feed_result got = subtoken_heartbeat_read(&ring, copy.data, len, &heartbeat);
  if (got != SUBTOKEN_FEED_OK) assert_memory_equal(&heartbeat, &none, sizeof none);
  release(copy);
  return got;
}

static subtoken_result feed_revoked(void *clock, subtoken_text name) {
  return subtoken_feed_revoked(clock, &name, 1);
}

static void a_heartbeat_is_read_as_written(void **state) {
  (void)state;
  subtoken_heartbeat in = {42, NOW, {1, 2, 3}}, out;
  uint8_t alive[SUBTOKEN_HEARTBEAT_LEN + 1] = {0}, changed_alive[SUBTOKEN_HEARTBEAT_LEN];
  assert_int_equal(subtoken_heartbeat_write(&ring, &in, alive), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_read(&ring, alive, 160, &out), SUBTOKEN_FEED_OK);
  assert_memory_equal(&in, &out, sizeof in);
  assert_int_equal(subtoken_heartbeat_read(&other, alive, 160, &out), SUBTOKEN_FEED_MAC);
  for (size_t len = 0; len <= 161; len++) {
    CHECK(read_alive(alive, len) == (len == 160 ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH), "%zu",
          len);
  }
  for (size_t bit = 0; bit < 8 * 160; bit++) {
    alive[bit / 8] ^= (uint8_t)(1U << bit % 8);
    CHECK(read_alive(alive, 160) != SUBTOKEN_FEED_OK, "bit %zu", bit);
    alive[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  static const change rows[] = {
      {0, 1, 'S', SUBTOKEN_FEED_OK},
      {0, 8, UINT64_C(0x434f5645522d5453), SUBTOKEN_FEED_MAGIC}, /* ST-REVOC */
      {8, 4, 0, SUBTOKEN_FEED_VERSION},
      {8, 4, 2, SUBTOKEN_FEED_VERSION},
      {12, 1, 1, SUBTOKEN_FEED_FORM},
      {13, 1, 0, SUBTOKEN_FEED_FORM},
      {13, 1, 65, SUBTOKEN_FEED_FORM},
      {14, 1, 1, SUBTOKEN_FEED_FORM},
      {15, 1, 1, SUBTOKEN_FEED_FORM},
      {16, 8, 0, SUBTOKEN_FEED_FORM},
      {16, 8, INT64_MAX, SUBTOKEN_FEED_OK},
      {16, 8, UINT64_C(1) << 63, SUBTOKEN_FEED_FORM},
      {24, 8, 0, SUBTOKEN_FEED_FORM},
      {24, 8, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OK},
      {24, 8, UINT64_C(1) << 53, SUBTOKEN_FEED_FORM},
      {64, 3, 'x', SUBTOKEN_FEED_FORM},
      {64, 1, 'T', SUBTOKEN_FEED_KID},
      {64, 3, 'o' | 'n' << 8 | 'e' << 16, SUBTOKEN_FEED_MAC},
      {127, 1, 1, SUBTOKEN_FEED_FORM},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    uint8_t value[8];
    memcpy(changed_alive, alive, 160);
    st_store64(value, rows[i].value);
    memcpy(changed_alive + rows[i].at, value, rows[i].len);
    sign(changed_alive, 160, &ring.secrets[0]);
    CHECK(read_alive(changed_alive, 160) == rows[i].want, "row %zu", i);
  }
  static const subtoken_ring empty;
  static const subtoken_heartbeat bad[] = {
      {0, 1, {0}}, {-1, 1, {0}}, {1, 0, {0}}, {1, -1, {0}}, {1, SUBTOKEN_TIME_MAX + 1, {0}}};
  for (size_t i = 0; i < COUNT(bad); i++) {
    CHECK(subtoken_heartbeat_write(&ring, &bad[i], alive) == SUBTOKEN_FEED_INVALID_ARGUMENT, "%zu",
          i);
  }
  assert_int_equal(subtoken_heartbeat_write(&empty, &in, alive), SUBTOKEN_FEED_NO_SECRET);
  subtoken_ring none = ring; /* what it does not count it does not have */
  none.count = 0;
  assert_int_equal(subtoken_heartbeat_write(&none, &in, alive), SUBTOKEN_FEED_NO_SECRET);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, 1, &in), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_heartbeat_read(&ring, NULL, 0, &in), SUBTOKEN_FEED_LENGTH);
  assert_int_equal(read_alive(alive, 160), SUBTOKEN_FEED_OK); /* untouched */
}

static subtoken_feed_result decoded(const char *text, size_t len) {
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  static const uint8_t none[SUBTOKEN_HEARTBEAT_LEN];
  subtoken_text copy = exact(text, len);
  memset(bytes, 0x55, sizeof bytes);
  subtoken_feed_result got = subtoken_heartbeat_decode(copy, bytes);
  if (got != SUBTOKEN_FEED_OK) assert_memory_equal(bytes, none, sizeof bytes);
  release(copy);
  return got;
}

static void the_text_of_a_heartbeat_has_one_spelling(void **state) {
  (void)state;
  char text[SUBTOKEN_HEARTBEAT_TEXT_LEN + 3];
  uint8_t bytes[SUBTOKEN_HEARTBEAT_LEN];
  memcpy(text, golden_heartbeat, sizeof golden_heartbeat);
  memcpy(text + SUBTOKEN_HEARTBEAT_TEXT_LEN, "==", 3);
  assert_int_equal(decoded(text, 214), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_heartbeat_decode((subtoken_text){text, 214}, bytes), SUBTOKEN_FEED_OK);
  assert_int_equal(read_alive(bytes, sizeof bytes), SUBTOKEN_FEED_OK);
  for (size_t len = 0; len <= 216; len++) {
    CHECK(decoded(text, len) == (len == 214 ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_LENGTH), "%zu", len);
  }
  for (size_t i = 0; i < 214; i++) {
    static const char wrong[] = "+/= \n.\0\xFF";
    char right = text[i];
    for (size_t j = 0; j < sizeof wrong; j++) {
      text[i] = wrong[j];
      CHECK(decoded(text, 214) == SUBTOKEN_FEED_TEXT, "%zu %zu", i, j);
    }
    text[i] = right;
  }
  text[213]++; /* stray bits: g is 32, h is 33 */
  assert_int_equal(decoded(text, 214), SUBTOKEN_FEED_TEXT);
}

/* A view that was opened, as far as the feed can see. */
static subtoken_revocations snapshot_of(int64_t sequence, uint8_t name) {
  static const uint8_t nothing[16];
  subtoken_revocations view = {
      .index = nothing, .hashes = nothing, .sequence = sequence, .shift = 63};
  memset(view.digest, name, sizeof view.digest);
  return view;
}

static subtoken_heartbeat beat(int64_t sequence, uint8_t name, int64_t time) {
  subtoken_heartbeat heartbeat = {.sequence = sequence, .time = time};
  memset(heartbeat.digest, name, sizeof heartbeat.digest);
  return heartbeat;
}

static bool same(const subtoken_feed *a, const subtoken_feed *b) {
  const subtoken_revocations *x = &a->snapshot, *y = &b->snapshot;
  return a->leeway == b->leeway && a->max_age == b->max_age && a->allow_old == b->allow_old &&
         a->sequence == b->sequence && a->time == b->time && a->grew == b->grew &&
         x->index == y->index && x->hashes == y->hashes && x->sequence == y->sequence &&
         memcmp(x->digest, y->digest, sizeof x->digest) == 0;
}

static subtoken_feed with(int64_t sequence, uint8_t name, int64_t time, int64_t monotonic) {
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_revocations view = snapshot_of(sequence, name);
  subtoken_heartbeat heartbeat = beat(sequence, name, time);
  assert_int_equal(subtoken_feed_take(&feed, &view, &heartbeat, time, monotonic), SUBTOKEN_FEED_OK);
  return feed;
}

/* What is offered to an edge that has sequence 100 called 'a' with T = NOW, at NOW + 5. */
static void only_newer_data_is_accepted(void **state) {
  (void)state;
  static const struct {
    int64_t sequence; /* of the snapshot; 0: none comes along */
    uint8_t name;
    int64_t named;
    uint8_t named_name;
    int64_t time;
    subtoken_feed_result want;
  } rows[] = {
      {0, 0, 100, 'a', NOW + 1, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW, SUBTOKEN_FEED_OK},
      {100, 'a', 100, 'a', NOW + 1, SUBTOKEN_FEED_OK},
      {101, 'b', 101, 'b', NOW + 1, SUBTOKEN_FEED_OK},
      {101, 'b', 101, 'b', NOW, SUBTOKEN_FEED_OK},
      {100, 'b', 100, 'b', NOW + 1, SUBTOKEN_FEED_OK}, /* the same under another secret */
      {INT64_MAX, 'b', INT64_MAX, 'b', NOW + 1, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW + 65, SUBTOKEN_FEED_OK},
      {0, 0, 100, 'a', NOW + 66, SUBTOKEN_FEED_FUTURE},
      {101, 'b', 101, 'b', NOW + 66, SUBTOKEN_FEED_FUTURE},
      {101, 'b', 101, 'b', SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_FUTURE},
      {0, 0, 100, 'a', NOW - 1, SUBTOKEN_FEED_REPLAY},
      {101, 'b', 101, 'b', NOW - 1, SUBTOKEN_FEED_REPLAY},
      {99, 'z', 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 99, 'z', NOW - 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 100, 'a', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {99, 'z', 101, 'b', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {101, 'b', 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {0, 0, 99, 'z', NOW + 1, SUBTOKEN_FEED_ROLLBACK},
      {0, 0, 101, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {0, 0, 100, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 100, 'a', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 102, 'b', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 101, 'a', NOW + 1, SUBTOKEN_FEED_PAIR},
      {101, 'b', 0, 'b', NOW + 1, SUBTOKEN_FEED_INVALID_ARGUMENT},
      {101, 'b', 101, 'b', 0, SUBTOKEN_FEED_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed before = with(100, 'a', NOW, 7), feed = before;
    subtoken_revocations view = snapshot_of(rows[i].sequence, rows[i].name);
    subtoken_heartbeat heartbeat = beat(rows[i].named, rows[i].named_name, rows[i].time);
    subtoken_feed_result got =
        subtoken_feed_take(&feed, rows[i].sequence == 0 ? NULL : &view, &heartbeat, NOW + 5, 12);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(got));
    if (got != SUBTOKEN_FEED_OK) {
      assert_true(same(&feed, &before));
    } else {
      CHECK(feed.sequence == rows[i].named && feed.time == rows[i].time, "row %zu", i);
      CHECK(feed.snapshot.digest[0] == rows[i].named_name, "row %zu", i);
      CHECK(feed.grew == (rows[i].time > NOW ? 12 : 7), "row %zu", i);
    }
  }
}

static void no_data_decides_nothing(void **state) {
  (void)state;
  static subtoken_feed zero;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_heartbeat heartbeat = beat(5, 'a', NOW);
  subtoken_revocations view = snapshot_of(5, 'a'), unopened;
  memset(&unopened, 0, sizeof unopened);
  subtoken_feed_clock clock = {&feed, NOW, 0}, none = {NULL, NOW, 0}, zeroed = {&zero, NOW, 0};
  assert_int_equal(subtoken_feed_take(&feed, NULL, &heartbeat, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_int_equal(subtoken_feed_take(&feed, &unopened, &heartbeat, NOW, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_take(&feed, &view, NULL, NOW, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_take(NULL, &view, &heartbeat, NOW, 0),
                   SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_check(&feed, NOW, 0), SUBTOKEN_FEED_ABSENT);
  assert_true(subtoken_feed_age(&feed, NOW, 0) == SUBTOKEN_TIME_MAX);
  assert_true(subtoken_feed_now(&feed, NOW) == NOW && subtoken_feed_now(NULL, NOW) == NOW);
  feed.allow_old = true; /* there is nothing old either */
  assert_int_equal(feed_revoked(&clock, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(feed_revoked(&none, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(feed_revoked(&zeroed, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(feed_revoked(NULL, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(NULL, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(&unopened, ST_TEXT("a")), SUBTOKEN_REVOCATION_UNKNOWN);
  assert_int_equal(subtoken_revocations_find(&view, (subtoken_text){NULL, 3}),
                   SUBTOKEN_REVOCATION_UNKNOWN);
}

/* A restart with old files: what was remembered still refuses them. */
static void a_restart_refuses_older_data(void **state) {
  (void)state;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&feed, 100, NOW, 3), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&feed, NOW, 3), SUBTOKEN_FEED_ABSENT);
  subtoken_revocations old = snapshot_of(99, 'z'), last = snapshot_of(100, 'a');
  subtoken_heartbeat old_beat = beat(99, 'z', NOW - 10), early = beat(100, 'a', NOW - 1),
                     same = beat(100, 'a', NOW);
  assert_int_equal(subtoken_feed_take(&feed, &old, &old_beat, NOW + 2, 5), SUBTOKEN_FEED_ROLLBACK);
  assert_int_equal(subtoken_feed_take(&feed, &last, &early, NOW + 2, 5), SUBTOKEN_FEED_REPLAY);
  assert_int_equal(subtoken_feed_take(&feed, &last, &same, NOW + 2, 5), SUBTOKEN_FEED_OK);
  assert_true(feed.grew == 3 && subtoken_feed_age(&feed, NOW + 2, 50) == 47);
  assert_int_equal(subtoken_feed_resume(&feed, 1, 1, 1), SUBTOKEN_FEED_INVALID_ARGUMENT);
  subtoken_feed fresh = SUBTOKEN_FEED_DEFAULT;
  assert_int_equal(subtoken_feed_resume(&fresh, -1, 0, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_resume(&fresh, 0, -1, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
  assert_int_equal(subtoken_feed_resume(&fresh, 0, 0, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_resume(NULL, 0, 0, 0), SUBTOKEN_FEED_INVALID_ARGUMENT);
}

/* T is NOW, and it came at monotonic time 1000. */
static void data_is_old_by_either_clock(void **state) {
  (void)state;
  static const struct {
    int64_t now, monotonic, age;
    subtoken_feed_result want;
  } rows[] = {
      {NOW, 1000, 0, SUBTOKEN_FEED_OK},
      {NOW + 300, 1000, 300, SUBTOKEN_FEED_OK},
      {NOW + 301, 1000, 301, SUBTOKEN_FEED_OLD},
      {NOW, 1300, 300, SUBTOKEN_FEED_OK}, /* a clock that stands */
      {NOW, 1301, 301, SUBTOKEN_FEED_OLD},
      {NOW - 60, 1301, 301, SUBTOKEN_FEED_OLD}, /* or went back */
      {NOW - 60, 1010, 10, SUBTOKEN_FEED_OK},
      {NOW - 61, 1010, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OLD}, /* too far: T is void (C12) */
      {NOW + 20, 1010, 20, SUBTOKEN_FEED_OK},
      {NOW + 10, 1020, 20, SUBTOKEN_FEED_OK},
      {NOW, 999, 0, SUBTOKEN_FEED_OK}, /* read by another thread, just before */
      {INT64_MIN, INT64_MIN, SUBTOKEN_TIME_MAX, SUBTOKEN_FEED_OLD},
      {INT64_MAX, 1000, SUBTOKEN_TIME_MAX - NOW, SUBTOKEN_FEED_OLD},
      {NOW, INT64_MAX, SUBTOKEN_TIME_MAX - 1000, SUBTOKEN_FEED_OLD},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_feed feed = with(100, 'a', NOW, 1000);
    subtoken_feed_clock clock = {&feed, rows[i].now, rows[i].monotonic};
    CHECK(subtoken_feed_age(&feed, rows[i].now, rows[i].monotonic) == rows[i].age, "row %zu", i);
    CHECK(subtoken_feed_check(&feed, rows[i].now, rows[i].monotonic) == rows[i].want, "row %zu", i);
    bool fine = rows[i].want == SUBTOKEN_FEED_OK;
    CHECK(feed_revoked(&clock, ST_TEXT("a")) == (fine ? SUBTOKEN_OK : SUBTOKEN_REVOCATION_UNKNOWN),
          "row %zu", i);
    int64_t at = subtoken_feed_now(&feed, rows[i].now);
    bool is_void = rows[i].now < NOW - feed.leeway;
    CHECK((at >= NOW || is_void) && (at == rows[i].now || at == NOW || at == SUBTOKEN_TIME_MAX ||
                                     (rows[i].now < 0 && at == 0)),
          "row %zu", i);
    feed.allow_old = true;
    CHECK(subtoken_feed_check(&feed, rows[i].now, rows[i].monotonic) ==
              (fine ? SUBTOKEN_FEED_OK : SUBTOKEN_FEED_OLD_ALLOWED),
          "row %zu", i);
    CHECK(feed_revoked(&clock, ST_TEXT("a")) == SUBTOKEN_OK, "row %zu", i);
  }
}

/* C12: the clock of an edge set back by far, or all clocks ahead for a while and then right: what
 * was taken is void, what is right after it is taken, and nothing of it is left.
 */
static void a_time_ahead_of_the_leeway_is_void(void **state) {
  (void)state;
  const int64_t hour = 3600;
  subtoken_feed feed = with(100, 'a', NOW, 0);
  subtoken_heartbeat ahead = beat(100, 'a', NOW + hour), right = beat(100, 'a', NOW + 10);
  /* as long as all are wrong alike */
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + hour, 7), SUBTOKEN_FEED_OK);
  assert_true(subtoken_feed_now(&feed, NOW + hour - 60) == NOW + hour);
  assert_int_equal(subtoken_feed_check(&feed, NOW + hour - 60, 7), SUBTOKEN_FEED_OK);
  /* right again: beyond the leeway it is void */
  assert_true(subtoken_feed_now(&feed, NOW + hour - 61) == NOW + hour - 61);
  assert_true(subtoken_feed_age(&feed, NOW + 10, 8) == SUBTOKEN_TIME_MAX);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 10, 8), SUBTOKEN_FEED_OLD);
  feed.max_age = SUBTOKEN_TIME_MAX; /* whatever age is allowed */
  assert_int_equal(subtoken_feed_check(&feed, NOW + 10, 8), SUBTOKEN_FEED_OLD);
  feed.max_age = 300;
  /* one more of the wrong clock is not taken, the right one is */
  ahead.time++;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 10, 8), SUBTOKEN_FEED_FUTURE);
  subtoken_feed patient = feed; /* whatever age is allowed, the leeway counts */
  patient.max_age = DAY;
  assert_int_equal(subtoken_feed_take(&patient, NULL, &right, NOW + 10, 8), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &right, NOW + 10, 8), SUBTOKEN_FEED_OK);
  assert_true(feed.time == NOW + 10 && feed.grew == 8 && feed.sequence == 100);
  assert_true(subtoken_feed_now(&feed, NOW + 11) == NOW + 11);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 310, 308), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_check(&feed, NOW + 311, 308), SUBTOKEN_FEED_OLD);
  /* the sequence is never void */
  subtoken_heartbeat lower = beat(99, 'a', NOW + 12);
  feed.time = NOW + DAY;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &lower, NOW + 12, 9), SUBTOKEN_FEED_ROLLBACK);
}

/* C12: a leeway that is longer than max_age leaves nothing behind, either; C13: it is an hour at
 * most, whatever the caller sets.
 */
static void a_leeway_counts_as_an_hour_at_most(void **state) {
  (void)state;
  subtoken_feed feed = with(100, 'a', NOW, 0);
  subtoken_heartbeat ahead = beat(100, 'a', NOW + 1800), right = beat(100, 'a', NOW + 1);
  feed.leeway = SUBTOKEN_TIME_MAX;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW, 0), SUBTOKEN_FEED_OK);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &right, NOW + 1, 1), SUBTOKEN_FEED_OK);
  ahead.time = NOW + 1 + SUBTOKEN_LEEWAY_MAX;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW, 1), SUBTOKEN_FEED_FUTURE);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 1, 1), SUBTOKEN_FEED_OK);
  feed.leeway = -5; /* is 0 */
  ahead.time = NOW + 3;
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 2, 9), SUBTOKEN_FEED_FUTURE);
  assert_int_equal(subtoken_feed_take(&feed, NULL, &ahead, NOW + 3, 9), SUBTOKEN_FEED_OK);
}

/* What the issuer made so far: snapshot `sequence` was in force when it vouched at `time`. */
typedef struct vouched {
  int64_t sequence, time;
} vouched;

/* The rules once more, said otherwise. */
static bool model_takes(const subtoken_feed *feed, const subtoken_revocations *view,
                        const subtoken_heartbeat *heartbeat, int64_t now) {
  if (view == NULL && feed->snapshot.index == NULL) return false;
  const subtoken_revocations *which = view != NULL ? view : &feed->snapshot;
  int64_t binds = now + (feed->max_age < feed->leeway ? feed->max_age : feed->leeway);
  return which->sequence == heartbeat->sequence && which->digest[0] == heartbeat->digest[0] &&
         heartbeat->sequence >= feed->sequence &&
         (heartbeat->time >= feed->time || feed->time > binds) &&
         heartbeat->time - now <= feed->leeway;
}

/* An issuer vouches, somebody in between hands on anything that was ever made, in any
 * pairing and order, and the edge's clock jumps (or, honest, stays within the leeway).
 */
static void an_attacker_in_between_can_only_delay(void **state) {
  (void)state;
  static vouched made[6000];
  uint64_t random = 21;
  for (size_t run = 0; run < 40; run++) {
    bool honest_clock = run % 2 == 0;
    subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
    int64_t truth = NOW, offset = 0, sequence = 1, monotonic = 0, since = 0;
    size_t count = 0, taken = 0, refused = 0;
    for (size_t step = 0; step < 5000; step++) {
      int64_t pause = random_below(&random, 100) == 0 ? (int64_t)random_below(&random, 500)
                                                      : (int64_t)random_below(&random, 3);
      truth += pause;
      monotonic += pause;
      if (random_below(&random, 4) == 0) sequence += 1 + (int64_t)random_below(&random, 2);
      if (random_below(&random, 3) > 0) made[count++] = (vouched){sequence, truth};
      if (random_below(&random, 20) == 0) {
        offset = honest_clock ? (int64_t)random_below(&random, 121) - 60
                              : (int64_t)random_below(&random, 20001) - 10000;
      }
      if (count == 0) continue;
      size_t back = random_below(&random, 3) == 0 ? count : count < 5 ? count : 5;
      vouched a = made[count - 1 - random_below(&random, back)];
      vouched b = random_below(&random, 4) == 0 ? made[count - 1 - random_below(&random, back)] : a;
      subtoken_revocations view = snapshot_of(b.sequence, (uint8_t)b.sequence);
      subtoken_heartbeat heartbeat = beat(a.sequence, (uint8_t)a.sequence, a.time);
      subtoken_revocations *offered = random_below(&random, 5) == 0 ? NULL : &view;
      subtoken_feed before = feed;
      bool want = model_takes(&feed, offered, &heartbeat, truth + offset);
      subtoken_feed_result got =
          subtoken_feed_take(&feed, offered, &heartbeat, truth + offset, monotonic);
      CHECK((got == SUBTOKEN_FEED_OK) == want, "run %zu, step %zu: %s", run, step,
            subtoken_feed_result_name(got));
      if (got != SUBTOKEN_FEED_OK) assert_true(same(&feed, &before));
      if (feed.time != before.time) since = monotonic;
      taken += want;
      refused += !want;
      CHECK(feed.sequence >= before.sequence, "run %zu, step %zu", run, step);
      CHECK(!honest_clock || feed.time >= before.time, "run %zu, step %zu", run, step);
      if (feed.time == 0) continue;
      int64_t now = truth + offset, age = subtoken_feed_age(&feed, now, monotonic);
      int64_t by_clock = now - feed.time, by_growth = monotonic - since;
      int64_t older = by_clock > by_growth ? by_clock : by_growth;
      bool is_void = feed.time > now + feed.leeway;
      CHECK(age >= 0 && age == (is_void ? SUBTOKEN_TIME_MAX : older), "run %zu, step %zu", run,
            step);
      CHECK(feed.snapshot.sequence == feed.sequence, "run %zu, step %zu", run, step);
      CHECK(subtoken_feed_now(&feed, now) == (is_void || now > feed.time ? now : feed.time),
            "run %zu, step %zu", run, step);
      /* Nobody can delay a revocation by more. */
      if (honest_clock && subtoken_feed_check(&feed, now, monotonic) == SUBTOKEN_FEED_OK) {
        CHECK(truth - feed.time <= feed.max_age + feed.leeway, "run %zu, step %zu", run, step);
      }
    }
    CHECK(taken > 100 && refused > 100, "run %zu: %zu taken, %zu refused", run, taken, refused);
  }
}

/* All of it together, with a token. */
static void a_verifier_asks_the_feed(void **state) {
  (void)state;
  subtoken_feed feed = SUBTOKEN_FEED_DEFAULT;
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_feed_clock clock = {&feed, NOW, 50};
  subtoken_request request = {.size = sizeof request, .now = NOW};
  subtoken_claims claims;
  subtoken_ring signing;
  uint8_t *in_use = NULL;
  ring_with(&signing, "", TEST_SECRET);
  verifier.ring = &signing;
  verifier.revoked = subtoken_feed_revoked;
  verifier.revoked_context = &clock;
  subtoken_text token = good_token(GOOD_PAYLOAD);
  assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                   SUBTOKEN_REVOCATION_UNKNOWN);
  for (int listed = 0; listed < 2; listed++) {
    uint64_t hash = subtoken_revocations_hash(key, ST_TEXT("parent"));
    subtoken_revocations_header its = header;
    subtoken_revocations view;
    its.sequence += listed;
    size_t size = subtoken_revocations_size((uint32_t)listed);
    subtoken_heartbeat heartbeat = {.sequence = its.sequence, .time = NOW};
    uint8_t *bytes = malloc(size);
    assert_int_equal(subtoken_revocations_write(&ring, &its, &hash, (uint32_t)listed, bytes, size,
                                                heartbeat.digest),
                     SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_revocations_open(&ring, bytes, size, &view), SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_feed_take(&feed, &view, &heartbeat, NOW, 50), SUBTOKEN_FEED_OK);
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                     listed ? SUBTOKEN_REVOKED : SUBTOKEN_OK);
    clock.monotonic = 351;
    assert_int_equal(subtoken_verify(&verifier, token, &request, &claims),
                     SUBTOKEN_REVOCATION_UNKNOWN);
    clock.monotonic = 50;
    free(in_use);
    in_use = bytes;
  }
  free(in_use);
  release(token);
}

static void each_result_has_its_words(void **state) {
  (void)state;
  for (int i = SUBTOKEN_FEED_UNDECIDED; i <= SUBTOKEN_FEED_NO_SECRET; i++) {
    const char *name = subtoken_feed_result_name((subtoken_feed_result)i);
    const char *event = subtoken_feed_result_event((subtoken_feed_result)i);
    CHECK(name[0] != '\0' && subtoken_feed_result_text((subtoken_feed_result)i)[0] != '\0', "%d",
          i);
    CHECK((event != NULL) == (i >= SUBTOKEN_FEED_LENGTH && i <= SUBTOKEN_FEED_OLD_ALLOWED), "%d",
          i);
    for (int j = 0; j < i; j++) {
      CHECK(strcmp(name, subtoken_feed_result_name((subtoken_feed_result)j)) != 0, "%d %d", i, j);
    }
  }
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_MAC), "feed_bad");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_FUTURE), "feed_bad");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_IO), "feed_bad");
  assert_string_equal(subtoken_feed_result_name(SUBTOKEN_FEED_IO), "io");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_REPLAY), "feed_rollback");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_ROLLBACK), "feed_rollback");
  assert_string_equal(subtoken_feed_result_event(SUBTOKEN_FEED_OLD), "feed_stale");
  assert_string_not_equal(subtoken_feed_result_text(SUBTOKEN_FEED_MAC), "unknown");
  for (int i = SUBTOKEN_FEED_NO_SECRET + 1; i < SUBTOKEN_FEED_NO_SECRET + 30; i++) {
    assert_non_null(subtoken_feed_result_name((subtoken_feed_result)i));
    assert_non_null(subtoken_feed_result_text((subtoken_feed_result)i));
    (void)subtoken_feed_result_event((subtoken_feed_result)i);
  }
  assert_string_equal(subtoken_feed_result_name((subtoken_feed_result)1000), "unknown");
  assert_string_equal(subtoken_feed_result_text((subtoken_feed_result)1000), "unknown");
  assert_null(subtoken_feed_result_event((subtoken_feed_result)1000));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_heartbeat_is_read_as_written),
      cmocka_unit_test(the_text_of_a_heartbeat_has_one_spelling),
      cmocka_unit_test(only_newer_data_is_accepted),
      cmocka_unit_test(no_data_decides_nothing),
      cmocka_unit_test(a_restart_refuses_older_data),
      cmocka_unit_test(data_is_old_by_either_clock),
      cmocka_unit_test(a_time_ahead_of_the_leeway_is_void),
      cmocka_unit_test(a_leeway_counts_as_an_hour_at_most),
      cmocka_unit_test(an_attacker_in_between_can_only_delay),
      cmocka_unit_test(a_verifier_asks_the_feed),
      cmocka_unit_test(each_result_has_its_words),
  };
  return cmocka_run_group_tests_name("revocations_feed", tests, setup, NULL);
}
