#include "support.h"

#include "core/revocations_format.h"
#include "subtoken/feed.h"

#define SEQUENCE INT64_C(1700000000000001)
#define MOST 400

static subtoken_ring ring;

/* A set of hashes, sorted. */
typedef struct set {
  uint32_t count;
  uint64_t hashes[2 * MOST];
} set;

typedef struct bytes {
  uint8_t *data; /* of exactly len bytes: free it */
  size_t len;
} bytes;

static bool has(const set *in, uint64_t hash) {
  for (uint32_t i = 0; i < in->count; i++) {
    if (in->hashes[i] == hash) return true;
  }
  return false;
}

static bytes snapshot_of(const set *of, int64_t sequence) {
  subtoken_revocations_header header = {sequence, NOW, {7}};
  bytes s = {NULL, subtoken_revocations_size(of->count)};
  s.data = malloc(s.len);
  if (s.data == NULL) abort();
  assert_int_equal(
      subtoken_revocations_write(&ring, &header, of->hashes, of->count, s.data, s.len, NULL),
      SUBTOKEN_FEED_OK);
  return s;
}

/* The hashes of one that the other has not. */
static set without(const set *of, const set *other) {
  set left = {0};
  for (uint32_t i = 0; i < of->count; i++) {
    if (!has(other, of->hashes[i])) left.hashes[left.count++] = of->hashes[i];
  }
  return left;
}

static bytes changes_between(const bytes *to, const set *gone, const set *fresh, int64_t since) {
  size_t len = 77;
  bytes c = {NULL, SUBTOKEN_CHANGES_LEN(gone->count, fresh->count)};
  c.data = malloc(c.len);
  if (c.data == NULL) abort();
  assert_int_equal(subtoken_changes_write(to->data, to->len, since, gone->hashes, gone->count,
                                          fresh->hashes, fresh->count, c.data, c.len, &len),
                   SUBTOKEN_FEED_OK);
  assert_int_equal(len, c.len);
  return c;
}

/* Into a block of exactly the size that it is said to need. */
static subtoken_feed_result applied(const bytes *from, const bytes *changes, bytes *out) {
  size_t len = 77, size = subtoken_changes_size(changes->data, changes->len);
  out->data = malloc(size + 1);
  if (out->data == NULL) abort();
  out->data[size] = 0x5A;
  subtoken_feed_result result = subtoken_changes_apply(from->data, from->len, changes->data,
                                                       changes->len, out->data, size, &len);
  assert_int_equal(out->data[size], 0x5A);
  assert_int_equal(len, result == SUBTOKEN_FEED_OK ? size : 0);
  out->len = len;
  return result;
}

static set random_set(uint64_t *random, size_t most) {
  set s = {0};
  size_t count = random_below(random, most + 1);
  for (size_t i = 0; i < count; i++) s.hashes[i] = random_next(random);
  s.count = subtoken_revocations_sort(s.hashes, (uint32_t)count);
  return s;
}

/* What a set becomes when some go and some come. */
static set changed(uint64_t *random, const set *from, size_t one_in) {
  set to = {0};
  for (uint32_t i = 0; i < from->count; i++) {
    if (random_below(random, one_in) != 0) to.hashes[to.count++] = from->hashes[i];
  }
  size_t more = random_below(random, one_in == 1 ? MOST : 20);
  for (size_t i = 0; i < more; i++) to.hashes[to.count++] = random_next(random);
  if (more > 3) to.hashes[to.count++] = 0; /* the ends of the range, too */
  if (more > 7) to.hashes[to.count++] = UINT64_MAX;
  to.count = subtoken_revocations_sort(to.hashes, to.count);
  return to;
}

/* ---- what they lead to ---- */

static void changes_lead_to_the_new_snapshot(void **state) {
  (void)state;
  static set from, to, gone, fresh;
  uint64_t random = 11;
  for (int round = 0; round < 600; round++) {
    from = random_set(&random, round % 3 == 0 ? 5 : MOST);
    to = changed(&random, &from, 1 + random_below(&random, 30));
    gone = without(&from, &to);
    fresh = without(&to, &from);
    bytes old = snapshot_of(&from, SEQUENCE), want = snapshot_of(&to, SEQUENCE + 1 + round);
    bytes changes = changes_between(&want, &gone, &fresh, SEQUENCE), out;
    CHECK(applied(&old, &changes, &out) == SUBTOKEN_FEED_OK, "round %d", round);
    CHECK(out.len == want.len && memcmp(out.data, want.data, want.len) == 0, "round %d", round);
    free(old.data);
    free(want.data);
    free(changes.data);
    free(out.data);
  }
}

/* Each field stands where the header says. */
static void changes_are_as_the_header_says(void **state) {
  (void)state;
  static const set two = {2, {5, 9}}, gone = {1, {3}}, fresh = {1, {9}};
  bytes to = snapshot_of(&two, SEQUENCE + 1);
  bytes c = changes_between(&to, &gone, &fresh, SEQUENCE);
  assert_int_equal(c.len, 160 + 16 + 32);
  assert_memory_equal(c.data, "ST-DELTA\1\0\0\0\0\0\0\0", 16);
  assert_true(st_load64(c.data + 16) == SEQUENCE);
  assert_int_equal(st_load32(c.data + 24), 1);
  assert_int_equal(st_load32(c.data + 28), 1);
  assert_memory_equal(c.data + 32, to.data, 128);
  assert_true(st_load64(c.data + 160) == 3 && st_load64(c.data + 168) == 9);
  assert_memory_equal(c.data + 176, to.data + to.len - 32, 32);
  assert_int_equal(subtoken_changes_size(c.data, c.len), to.len);
  free(to.data);
  free(c.data);
}

/* ---- refused ---- */

static void bad_arguments_are_not_written(void **state) {
  (void)state;
  static const set three = {3, {2, 5, 9}};
  bytes to = snapshot_of(&three, SEQUENCE);
  uint8_t out[SUBTOKEN_CHANGES_LEN(3, 3)];
  size_t len;
  static const struct {
    uint64_t gone[3];
    uint64_t fresh[3];
    uint32_t gone_count, fresh_count;
    subtoken_feed_result want;
  } rows[] = {
      {{1, 3, 4}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_OK},
      {{1, 1, 4}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{1, 4, 3}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{10, 11, 11}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{1, 3, 4}, {2, 5, 5}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{1, 3, 4}, {5, 2, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{1, 3, 9}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{2, 3, 4}, {2, 5, 9}, 3, 3, SUBTOKEN_FEED_ORDER},
      {{0}, {9, 8}, 0, 2, SUBTOKEN_FEED_ORDER},
      {{9, 8}, {0}, 2, 0, SUBTOKEN_FEED_ORDER},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    /* In blocks of their size, so that nothing behind the last is read. */
    uint64_t *first = malloc(rows[i].gone_count * 8 + 1),
             *second = malloc(rows[i].fresh_count * 8 + 1);
    memcpy(first, rows[i].gone, rows[i].gone_count * 8);
    memcpy(second, rows[i].fresh, rows[i].fresh_count * 8);
    subtoken_feed_result result =
        subtoken_changes_write(to.data, to.len, 1, first, rows[i].gone_count, second,
                               rows[i].fresh_count, out, sizeof out, &len);
    free(first);
    free(second);
    CHECK(result == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(result));
    CHECK(len == (result == SUBTOKEN_FEED_OK ? sizeof out : 0), "row %zu", i);
  }
  const uint64_t *hash = three.hashes;
#define WRITE(to_, to_len_, since_, gone_, gone_count_, fresh_, fresh_count_, out_, size_, len_) \
  subtoken_changes_write(to_, to_len_, since_, gone_, gone_count_, fresh_, fresh_count_, out_,   \
                         size_, len_)
  const subtoken_feed_result invalid = SUBTOKEN_FEED_INVALID_ARGUMENT;
  assert_int_equal(WRITE(NULL, to.len, 1, hash, 1, NULL, 0, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, 1, NULL, 1, NULL, 0, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, 1, hash, 1, NULL, 1, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, 1, hash, 1, NULL, 0, NULL, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, 1, hash, 1, NULL, 0, out, sizeof out, NULL), invalid);
  assert_int_equal(WRITE(to.data, to.len, 0, hash, 1, NULL, 0, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, -1, hash, 1, NULL, 0, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len, SEQUENCE + 1, hash, 1, NULL, 0, out, sizeof out, &len),
                   invalid);
  assert_int_equal(WRITE(to.data, to.len, SEQUENCE, hash, 1, NULL, 0, out, 199, &len),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(WRITE(to.data, to.len, SEQUENCE, hash, 1, NULL, 0, out, 200, &len),
                   SUBTOKEN_FEED_OK);
  /* More that are new than there are. */
  static const uint64_t four[] = {1, 2, 5, 9};
  assert_int_equal(WRITE(to.data, to.len, 1, NULL, 0, four, 4, out, sizeof out, &len), invalid);
  assert_int_equal(WRITE(to.data, to.len - 1, 1, NULL, 0, NULL, 0, out, sizeof out, &len),
                   SUBTOKEN_FEED_LENGTH);
  assert_int_equal(WRITE(to.data, 100, 1, NULL, 0, NULL, 0, out, sizeof out, &len),
                   SUBTOKEN_FEED_LENGTH);
  to.data[0] ^= 1;
  assert_int_equal(WRITE(to.data, to.len, 1, NULL, 0, NULL, 0, out, sizeof out, &len),
                   SUBTOKEN_FEED_MAGIC);
  assert_int_equal(len, 0);
  free(to.data);
}

/* A pair that is good, with one number changed. */
static void heads_that_are_refused(void **state) {
  (void)state;
  static const set from = {3, {2, 5, 9}}, to = {4, {2, 6, 7, 9}}, gone = {1, {5}},
                   fresh = {2, {6, 7}};
  static const struct {
    bool snapshot; /* else of the changes */
    size_t at;
    uint8_t value;
    subtoken_feed_result want;
  } rows[] = {
      {true, 0, 0, SUBTOKEN_FEED_MAGIC},
      {true, 7, 0, SUBTOKEN_FEED_MAGIC},
      {true, 8, 2, SUBTOKEN_FEED_VERSION},
      {true, 12, 2, SUBTOKEN_FEED_FORM}, /* bits that the count has not */
      {true, 14, 1, SUBTOKEN_FEED_FORM}, /* what is to be zero */
      {true, 44, 1, SUBTOKEN_FEED_FORM},
      {true, 23, 128, SUBTOKEN_FEED_FORM}, /* a sequence without its sign */
      {true, 32, 0, SUBTOKEN_FEED_LENGTH},
      {true, 40, 4, SUBTOKEN_FEED_LENGTH},
      {true, 16, 0, SUBTOKEN_FEED_PAIR}, /* another sequence */
      {false, 7, 0, SUBTOKEN_FEED_MAGIC},
      {false, 8, 0, SUBTOKEN_FEED_VERSION},
      {false, 11, 1, SUBTOKEN_FEED_VERSION},
      {false, 12, 1, SUBTOKEN_FEED_FORM},
      {false, 15, 1, SUBTOKEN_FEED_FORM},
      {false, 23, 1, SUBTOKEN_FEED_FORM}, /* since after the new one */
      {false, 16, 2, SUBTOKEN_FEED_PAIR},
      {false, 24, 2, SUBTOKEN_FEED_LENGTH},
      {false, 27, 1, SUBTOKEN_FEED_LENGTH},
      {false, 28, 3, SUBTOKEN_FEED_LENGTH},
      {false, 32, 0, SUBTOKEN_FEED_MAGIC},
      {false, 32 + 8, 2, SUBTOKEN_FEED_VERSION},
      {false, 32 + 12, 0, SUBTOKEN_FEED_FORM},
      {false, 32 + 15, 9, SUBTOKEN_FEED_FORM},
      {false, 32 + 47, 9, SUBTOKEN_FEED_FORM},
      {false, 32 + 39, 1, SUBTOKEN_FEED_LENGTH},
      {false, 32 + 40, 5, SUBTOKEN_FEED_LENGTH},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    bytes old = snapshot_of(&from, SEQUENCE), want = snapshot_of(&to, SEQUENCE + 1);
    bytes changes = changes_between(&want, &gone, &fresh, SEQUENCE), out;
    bytes *changed_one = rows[i].snapshot ? &old : &changes;
    CHECK(changed_one->data[rows[i].at] != rows[i].value, "row %zu changes nothing", i);
    changed_one->data[rows[i].at] = rows[i].value;
    subtoken_feed_result result = applied(&old, &changes, &out);
    CHECK(result == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(result));
    if (!rows[i].snapshot && rows[i].want != SUBTOKEN_FEED_PAIR) {
      assert_int_equal(subtoken_changes_size(changes.data, changes.len), 0);
    }
    free(old.data);
    free(want.data);
    free(changes.data);
    free(out.data);
  }
  /* The largest sequence is good, and none is not. */
  bytes other = snapshot_of(&to, 2);
  uint8_t made[SUBTOKEN_CHANGES_LEN(0, 0)];
  size_t len;
  st_store64(other.data + ST_FEED_SEQUENCE, INT64_MAX);
  assert_int_equal(subtoken_changes_write(other.data, other.len, INT64_MAX, NULL, 0, NULL, 0, made,
                                          sizeof made, &len),
                   SUBTOKEN_FEED_OK);
  st_store64(other.data + ST_FEED_SEQUENCE, 0);
  assert_int_equal(
      subtoken_changes_write(other.data, other.len, 1, NULL, 0, NULL, 0, made, sizeof made, &len),
      SUBTOKEN_FEED_FORM);
  free(other.data);
  /* A sequence of 0 on both sides. */
  bytes old = snapshot_of(&from, 1), want = snapshot_of(&to, 2), out;
  bytes changes = changes_between(&want, &gone, &fresh, 1);
  old.data[16] = changes.data[16] = 0;
  assert_int_equal(applied(&old, &changes, &out), SUBTOKEN_FEED_FORM);
  old.data[16] = 1;
  free(out.data);
  assert_int_equal(applied(&old, &changes, &out), SUBTOKEN_FEED_FORM);
  free(old.data);
  free(want.data);
  free(changes.data);
  free(out.data);
}

/* Lists that do not fit what they are applied to. The head is that of four. */
static void lists_that_are_refused(void **state) {
  (void)state;
  static const struct {
    set from;
    uint64_t gone[2], fresh[3];
    uint32_t gone_count, fresh_count;
    subtoken_feed_result want;
  } rows[] = {
      {{3, {2, 5, 9}}, {5}, {6, 7}, 1, 2, SUBTOKEN_FEED_OK},
      {{3, {2, 5, 9}}, {4}, {6, 7}, 1, 2, SUBTOKEN_FEED_PAIR},  /* was not listed */
      {{3, {2, 5, 9}}, {99}, {6, 7}, 1, 2, SUBTOKEN_FEED_PAIR}, /* nor behind all others */
      {{3, {2, 5, 9}}, {5}, {6, 9}, 1, 2, SUBTOKEN_FEED_PAIR},  /* was listed */
      {{3, {2, 5, 9}}, {5}, {5, 7}, 1, 2, SUBTOKEN_FEED_ORDER}, /* both gone and new */
      {{3, {2, 5, 9}}, {5}, {7, 6}, 1, 2, SUBTOKEN_FEED_ORDER},
      {{3, {2, 5, 9}}, {5}, {7, 7}, 1, 2, SUBTOKEN_FEED_ORDER},
      {{4, {2, 5, 8, 9}}, {8, 5}, {6, 7}, 2, 2, SUBTOKEN_FEED_ORDER},
      {{4, {2, 5, 8, 9}}, {5, 5}, {6, 7}, 2, 2, SUBTOKEN_FEED_ORDER},
      {{4, {2, 5, 8, 9}}, {5, 8}, {6, 7}, 2, 2, SUBTOKEN_FEED_OK},
      {{3, {2, 5, 9}}, {0}, {6, 7}, 0, 2, SUBTOKEN_FEED_PAIR}, /* more than the head says */
      {{3, {2, 5, 9}}, {5}, {6}, 1, 1, SUBTOKEN_FEED_PAIR},    /* fewer */
      {{2, {2, 9}}, {4}, {6, 7}, 1, 2, SUBTOKEN_FEED_PAIR},    /* as many as the head says */
      {{0}, {5}, {6, 7, 9}, 1, 3, SUBTOKEN_FEED_PAIR},
      {{0}, {0}, {6, 7, 9}, 0, 3, SUBTOKEN_FEED_PAIR},
      {{1, {2}}, {0}, {6, 7, 9}, 0, 3, SUBTOKEN_FEED_OK},
      {{2, {2, 3}}, {0}, {6, 7, 9}, 0, 3, SUBTOKEN_FEED_PAIR}, /* the last is one too many */
      {{2, {2, 9}}, {6}, {6, 7}, 1, 2, SUBTOKEN_FEED_PAIR},    /* gone, though only new */
      {{3, {0, 2, 9}}, {0}, {0, 7}, 0, 2, SUBTOKEN_FEED_PAIR}, /* a hash of 0 is one of all */
  };
  static const set four = {4, {2, 6, 7, 9}};
  bytes to = snapshot_of(&four, SEQUENCE + 1);
  for (size_t i = 0; i < COUNT(rows); i++) {
    static const set two_and_three[] = {{0}, {1, {3}}, {2, {3, 4}}},
                     fresh[] = {{0}, {1, {6}}, {2, {6, 7}}, {3, {6, 7, 9}}};
    bytes old = snapshot_of(&rows[i].from, SEQUENCE), out;
    bytes changes = changes_between(&to, &two_and_three[rows[i].gone_count],
                                    &fresh[rows[i].fresh_count], SEQUENCE);
    uint8_t *at = changes.data + SUBTOKEN_CHANGES_HEAD_LEN;
    for (uint32_t n = 0; n < rows[i].gone_count; n++, at += 8) st_store64(at, rows[i].gone[n]);
    for (uint32_t n = 0; n < rows[i].fresh_count; n++, at += 8) st_store64(at, rows[i].fresh[n]);
    subtoken_feed_result result = applied(&old, &changes, &out);
    CHECK(result == rows[i].want, "row %zu: %s", i, subtoken_feed_result_name(result));
    if (result == SUBTOKEN_FEED_OK) assert_memory_equal(out.data, to.data, to.len);
    free(old.data);
    free(changes.data);
    free(out.data);
  }
  free(to.data);
}

/* However many there are, no more is written than the head says. */
static void a_small_buffer_is_refused(void **state) {
  (void)state;
  static set many = {MOST, {0}};
  static const set four = {4, {2, 6, 7, 9}}, none = {0};
  for (uint32_t i = 0; i < MOST; i++) many.hashes[i] = UINT64_C(3) * i;
  bytes old = snapshot_of(&many, SEQUENCE), to = snapshot_of(&four, SEQUENCE + 1), out;
  bytes changes = changes_between(&to, &none, &none, SEQUENCE);
  assert_int_equal(applied(&old, &changes, &out), SUBTOKEN_FEED_PAIR);
  free(old.data);
  free(to.data);
  free(changes.data);
  free(out.data);
}

/* A snapshot whose hashes fall, though its head is good. */
static void a_snapshot_out_of_order_is_refused(void **state) {
  (void)state;
  static const set from = {3, {2, 5, 9}}, to = {2, {5, 9}}, gone = {1, {2}}, none = {0};
  bytes old = snapshot_of(&from, SEQUENCE), want = snapshot_of(&to, SEQUENCE + 1), out;
  bytes changes = changes_between(&want, &gone, &none, SEQUENCE);
  uint8_t *hashes = old.data + st_snapshot_hashes_at(old.data[ST_FEED_BITS]);
  st_store64(hashes + 16, 5);
  assert_int_equal(applied(&old, &changes, &out), SUBTOKEN_FEED_ORDER);
  free(out.data);
  st_store64(hashes + 16, 1);
  assert_int_equal(applied(&old, &changes, &out), SUBTOKEN_FEED_ORDER);
  free(old.data);
  free(want.data);
  free(changes.data);
  free(out.data);
}

static void every_cut_is_refused(void **state) {
  (void)state;
  static set from, to, gone, fresh;
  uint64_t random = 5;
  from = random_set(&random, 30);
  to = changed(&random, &from, 4);
  gone = without(&from, &to);
  fresh = without(&to, &from);
  bytes old = snapshot_of(&from, SEQUENCE), want = snapshot_of(&to, SEQUENCE + 1);
  bytes changes = changes_between(&want, &gone, &fresh, SEQUENCE), out;
  for (size_t len = 0; len < old.len; len++) {
    subtoken_text cut = exact(old.data, len);
    CHECK(applied(&(bytes){(uint8_t *)(uintptr_t)cut.data, len}, &changes, &out) ==
              SUBTOKEN_FEED_LENGTH,
          "%zu bytes of the snapshot", len);
    free(out.data);
    release(cut);
  }
  for (size_t len = 0; len < changes.len; len++) {
    subtoken_text cut = exact(changes.data, len);
    CHECK(
        applied(&old, &(bytes){(uint8_t *)(uintptr_t)cut.data, len}, &out) == SUBTOKEN_FEED_LENGTH,
        "%zu bytes of the changes", len);
    assert_int_equal(subtoken_changes_size(cut.data, len), 0);
    free(out.data);
    release(cut);
  }
  /* Less than a head and a MAC: nothing of it is read. */
  memset(old.data, 'x', 8);
  memset(changes.data, 'x', 8);
  for (size_t len = 0; len <= 170; len++) {
    subtoken_text cut = exact(old.data, len);
    uint8_t into[200];
    size_t got_len;
    subtoken_feed_result got =
        subtoken_changes_write(cut.data, len, 1, NULL, 0, NULL, 0, into, sizeof into, &got_len);
    CHECK(got == (len < 160 ? SUBTOKEN_FEED_LENGTH : SUBTOKEN_FEED_MAGIC), "%zu bytes", len);
    release(cut);
  }
  memcpy(old.data, ST_SNAPSHOT_MAGIC, 8);
  for (size_t len = 0; len < changes.len; len++) {
    subtoken_text cut = exact(changes.data, len);
    CHECK(applied(&old, &(bytes){(uint8_t *)(uintptr_t)cut.data, len}, &out) ==
              (len < 192 ? SUBTOKEN_FEED_LENGTH : SUBTOKEN_FEED_MAGIC),
          "%zu bytes of the changes", len);
    free(out.data);
    release(cut);
  }
  memcpy(changes.data, "ST-DELTA", 8);
  subtoken_text longer = exact(changes.data, changes.len);
  longer.data = realloc((void *)(uintptr_t)longer.data, changes.len + 8);
  if (longer.data == NULL) abort();
  memset((void *)(uintptr_t)(longer.data + changes.len), 0, 8);
  for (size_t more = 1; more <= 8; more++) {
    assert_int_equal(
        applied(&old, &(bytes){(uint8_t *)(uintptr_t)longer.data, changes.len + more}, &out),
        SUBTOKEN_FEED_LENGTH);
    free(out.data);
  }
  release(longer);
  free(old.data);
  free(want.data);
  free(changes.data);
}

static void bad_arguments_are_not_applied(void **state) {
  (void)state;
  static const set from = {1, {2}}, none = {0};
  bytes old = snapshot_of(&from, SEQUENCE), want = snapshot_of(&none, SEQUENCE);
  bytes changes = changes_between(&want, &from, &none, SEQUENCE);
  uint8_t out[200];
  size_t len = 1;
  const subtoken_feed_result invalid = SUBTOKEN_FEED_INVALID_ARGUMENT;
#define APPLY(from_, changes_, out_, size_, len_) \
  subtoken_changes_apply(from_, old.len, changes_, changes.len, out_, size_, len_)
  assert_int_equal(APPLY(NULL, changes.data, out, sizeof out, &len), invalid);
  assert_int_equal(len, 0);
  assert_int_equal(APPLY(old.data, NULL, out, sizeof out, &len), invalid);
  assert_int_equal(APPLY(old.data, changes.data, NULL, sizeof out, &len), invalid);
  assert_int_equal(APPLY(old.data, changes.data, out, sizeof out, NULL), invalid);
  assert_int_equal(APPLY(old.data, changes.data, out, want.len - 1, &len),
                   SUBTOKEN_FEED_BUFFER_TOO_SMALL);
  assert_int_equal(APPLY(old.data, changes.data, out, want.len, &len), SUBTOKEN_FEED_OK);
  assert_memory_equal(out, want.data, want.len);
  assert_int_equal(subtoken_changes_size(NULL, 200), 0);
  free(old.data);
  free(want.data);
  free(changes.data);
}

static int make_ring(void **state) {
  (void)state;
  ring_with(&ring, "two", TEST_SECRET);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(changes_lead_to_the_new_snapshot),
      cmocka_unit_test(changes_are_as_the_header_says),
      cmocka_unit_test(bad_arguments_are_not_written),
      cmocka_unit_test(heads_that_are_refused),
      cmocka_unit_test(lists_that_are_refused),
      cmocka_unit_test(a_snapshot_out_of_order_is_refused),
      cmocka_unit_test(every_cut_is_refused),
      cmocka_unit_test(bad_arguments_are_not_applied),
      cmocka_unit_test(a_small_buffer_is_refused),
  };
  return cmocka_run_group_tests_name("revocations_changes", tests, make_ring, NULL);
}
