/* The first byte says what the rest is: 0 a snapshot and changes, as they are, with the
 * snapshot's length in front in two bytes; 1 two sets, a byte a hash; 2 a set and two lists
 * in any order, whose heads are made right.
 *
 * Nothing is read or written out of bounds; from one set to the other leads exactly to the
 * snapshot of the other; lists are taken just when they fit; what comes out is what the
 * description in the header says of a snapshot.
 */
#include "core/revocations_format.h"
#include "fuzz.h"
#include "subtoken/feed.h"

#define SECRET "fuzzing-needs-a-secret-of-its-own!"

static subtoken_ring ring;

typedef struct set {
  uint32_t count;
  uint64_t hashes[256];
} set;

typedef struct block {
  uint8_t *data;
  size_t len;
} block;

/* Few bytes, but hashes from one end of their range to the other. */
static uint64_t spread(uint8_t byte) {
  return (uint64_t)byte << 56 | (byte == 0xFF ? UINT64_MAX >> 8 : 0);
}

static block room(size_t len) {
  block b = {malloc(len > 0 ? len : 1), len};
  if (b.data == NULL) abort();
  return b;
}

static block snapshot_of(const set *of, int64_t sequence) {
  subtoken_revocations_header header = {sequence, 5, {3}};
  block b = room(subtoken_revocations_size(of->count));
  HOLD(subtoken_revocations_write(&ring, &header, of->hashes, of->count, b.data, b.len, NULL) ==
       SUBTOKEN_FEED_OK);
  return b;
}

/* Strictly ascending, with the index and the lengths that belong to them. */
static void is_as_described(const uint8_t *bytes, size_t len) {
  uint32_t count = st_load32(bytes + 40);
  unsigned bits = bytes[12];
  const uint8_t *index = bytes + 128, *hashes = index + 4 * (((size_t)1 << bits) + 2);
  HOLD(len == st_load64(bytes + 32));
  HOLD(len == (size_t)(hashes - bytes) + 8 * (size_t)count + SUBTOKEN_MAC_LEN);
  for (uint32_t i = 0, at = 0; i <= UINT32_C(1) << bits; i++) {
    while (at < count && st_load64(hashes + 8 * (size_t)at) >> (64 - bits) < i) at++;
    HOLD(st_load32(index + 4 * (size_t)i) == at);
  }
  for (uint32_t i = 1; i < count; i++) {
    HOLD(st_load64(hashes + 8 * (size_t)i) > st_load64(hashes + 8 * (size_t)(i - 1)));
  }
}

/* Into a block that ends where it is said to. */
static block applied(const block *from, const block *changes, subtoken_feed_result *result) {
  block out = room(subtoken_changes_size(changes->data, changes->len));
  size_t len;
  *result = subtoken_changes_apply(from->data, from->len, changes->data, changes->len, out.data,
                                   out.len, &len);
  HOLD(len == (*result == SUBTOKEN_FEED_OK ? out.len : 0));
  if (*result == SUBTOKEN_FEED_OK) {
    HOLD(memcmp(out.data, changes->data + 32, 128) == 0);
    HOLD(memcmp(out.data + len - 32, changes->data + changes->len - 32, 32) == 0);
    is_as_described(out.data, len);
  }
  return out;
}

static void as_they_are(const uint8_t *data, size_t size) {
  subtoken_feed_result result;
  if (size < 2) return;
  size_t from_len = data[0] | (size_t)data[1] << 8;
  if (from_len > size - 2) from_len = size - 2;
  block from = {(uint8_t *)fuzz_copy(data + 2, from_len), from_len};
  block changes = {(uint8_t *)fuzz_copy(data + 2 + from_len, size - 2 - from_len),
                   size - 2 - from_len};
  block out = applied(&from, &changes, &result);
  if (out.len == 0) HOLD(result != SUBTOKEN_FEED_OK);
  free(from.data);
  free(changes.data);
  free(out.data);
}

/* Up to the first byte that is 0, or 255 of them. */
static set cut_set(const uint8_t **data, size_t *size) {
  set s = {0};
  while (*size > 0 && **data != 0 && s.count < 255) {
    s.hashes[s.count++] = spread(**data);
    (*data)++;
    (*size)--;
  }
  if (*size > 0) {
    (*data)++;
    (*size)--;
  }
  return s;
}

static bool has(const set *in, uint64_t hash) {
  for (uint32_t i = 0; i < in->count; i++) {
    if (in->hashes[i] == hash) return true;
  }
  return false;
}

static set without(const set *of, const set *other) {
  set left = {0};
  for (uint32_t i = 0; i < of->count; i++) {
    if (!has(other, of->hashes[i])) left.hashes[left.count++] = of->hashes[i];
  }
  return left;
}

static void sort(set *of) {
  of->count = subtoken_revocations_sort(of->hashes, of->count);
}

static block written(const block *to, const set *gone, const set *fresh) {
  block changes = room(SUBTOKEN_CHANGES_LEN(gone->count, fresh->count));
  size_t len;
  HOLD(subtoken_changes_write(to->data, to->len, 1, gone->hashes, gone->count, fresh->hashes,
                              fresh->count, changes.data, changes.len, &len) == SUBTOKEN_FEED_OK);
  HOLD(len == changes.len);
  return changes;
}

static void from_set_to_set(const uint8_t *data, size_t size) {
  subtoken_feed_result result;
  set a = cut_set(&data, &size), b = cut_set(&data, &size);
  sort(&a);
  sort(&b);
  set gone = without(&a, &b), fresh = without(&b, &a);
  block from = snapshot_of(&a, 1), to = snapshot_of(&b, 2);
  block changes = written(&to, &gone, &fresh), out = applied(&from, &changes, &result);
  HOLD(result == SUBTOKEN_FEED_OK);
  HOLD(out.len == to.len && memcmp(out.data, to.data, to.len) == 0);
  free(from.data);
  free(to.data);
  free(changes.data);
  free(out.data);
}

static bool ascends(const set *s) {
  for (uint32_t i = 1; i < s->count; i++) {
    if (s->hashes[i] <= s->hashes[i - 1]) return false;
  }
  return true;
}

static bool fits(const set *from, const set *gone, const set *fresh) {
  if (!ascends(gone) || !ascends(fresh)) return false;
  for (uint32_t i = 0; i < gone->count; i++) {
    if (!has(from, gone->hashes[i]) || has(fresh, gone->hashes[i])) return false;
  }
  for (uint32_t i = 0; i < fresh->count; i++) {
    if (has(from, fresh->hashes[i])) return false;
  }
  return true;
}

/* The head says as many as there would be if the lists did fit. */
static void any_lists(const uint8_t *data, size_t size) {
  static const set none = {0};
  subtoken_feed_result result;
  set from = cut_set(&data, &size), gone = cut_set(&data, &size), fresh = cut_set(&data, &size);
  sort(&from);
  if (from.count + fresh.count < gone.count) return;
  set head = {.count = from.count + fresh.count - gone.count};
  if (head.count > 255) return;
  for (uint32_t i = 0; i < head.count; i++) head.hashes[i] = i;
  block old = snapshot_of(&from, 1), to = snapshot_of(&head, 2);
  block empty = written(&to, &none, &none);
  block changes = room(SUBTOKEN_CHANGES_LEN(gone.count, fresh.count));
  memcpy(changes.data, empty.data, SUBTOKEN_CHANGES_HEAD_LEN);
  memset(changes.data + changes.len - SUBTOKEN_MAC_LEN, 9, SUBTOKEN_MAC_LEN);
  st_store32(changes.data + 24, gone.count);
  st_store32(changes.data + 28, fresh.count);
  uint8_t *at = changes.data + SUBTOKEN_CHANGES_HEAD_LEN;
  for (uint32_t i = 0; i < gone.count; i++, at += 8) st_store64(at, gone.hashes[i]);
  for (uint32_t i = 0; i < fresh.count; i++, at += 8) st_store64(at, fresh.hashes[i]);
  block out = applied(&old, &changes, &result);
  HOLD((result == SUBTOKEN_FEED_OK) == fits(&from, &gone, &fresh));
  HOLD(result == SUBTOKEN_FEED_OK || result == SUBTOKEN_FEED_ORDER || result == SUBTOKEN_FEED_PAIR);
  free(old.data);
  free(to.data);
  free(empty.data);
  free(changes.data);
  free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  if (ring.count == 0) {
    HOLD(subtoken_ring_add(&ring, ST_TEXT(""), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  }
  switch (data[0] % 3) {
    case 0: as_they_are(data + 1, size - 1); break;
    case 1: from_set_to_set(data + 1, size - 1); break;
    default: any_lists(data + 1, size - 1); break;
  }
  return 0;
}
