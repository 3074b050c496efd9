/* The reader of a snapshot, for files of any content, also such as were signed: the MAC is taken to
 * hold. Opening and looking up stay within the file, a file that is opened lists its hashes in
 * order, and a hash is found exactly when the file lists it.
 */
#include "base/bytes.c"
#include "core/revocations.c"
#include "core/revocations_format.c"
#include "proof.h"

/* In place of core/ring.c and base/hmac.c: a ring of one secret, and a MAC that is what it is. */
static subtoken_secret proof_secret;
static const uint8_t *proof_mac;
const subtoken_secret *st_ring_find(const subtoken_ring *ring, subtoken_text kid) {
  (void)ring, (void)kid;
  return nondet_bool() ? &proof_secret : NULL;
}
bool st_ring_kid_valid(subtoken_text kid) {
  return kid.len <= SUBTOKEN_KID_MAX && nondet_bool();
}
subtoken_result subtoken_mac_start(subtoken_mac *state, const subtoken_secret *secret) {
  (void)state, (void)secret;
  return nondet_bool() ? SUBTOKEN_OK : SUBTOKEN_NO_SECRET;
}
void subtoken_mac_update(subtoken_mac *state, const void *data, size_t len) {
  (void)state;
  if (len > 0) HOLDS(__CPROVER_r_ok(data, len));
}
void subtoken_mac_finish(subtoken_mac *state, uint8_t mac[SUBTOKEN_MAC_LEN]) {
  (void)state;
  memcpy(mac, proof_mac, SUBTOKEN_MAC_LEN);
}

/* A file of any bytes but those of its count. With another count, its length refuses it (below). */
static uint8_t *proof_file(uint32_t count, size_t *len) {
  *len = subtoken_revocations_size(count);
  uint8_t *bytes = proof_block(*len);
  st_store32(bytes + ST_SNAPSHOT_COUNT, count);
  proof_mac = bytes + *len - SUBTOKEN_MAC_LEN;
  return bytes;
}

/* proof: a_file_of_another_length_is_refused
 * bound: N=176 (bytes: a file of no hash, that says it has any other number of them)
 * unwind: 32
 * loops: st_revocations_format_is_zero.0:66
 * fault: src/core/revocations.c: subtoken_revocations_size(view->count) != len
 * with: false
 */
void a_file_of_another_length_is_refused(void) {
  static subtoken_ring ring;
  subtoken_revocations_opening opening;
  uint8_t *bytes = proof_block(N);
  size_t len = nondet_size();
  ASSUME(len <= N);
  subtoken_feed_result result = subtoken_revocations_start(&opening, &ring, bytes, len);
  if (result != SUBTOKEN_FEED_MORE) return;
  HOLDS(len == N && opening.view.count == 0 && opening.view.shift == 63);
  HOLDS(opening.view.sequence > 0 && opening.view.kid.len <= SUBTOKEN_KID_MAX);
}

/* proof: any_snapshot_is_opened_within_its_bounds
 * bound: N=2 (hashes, in two steps of any size)
 * small: N=1
 * unwind: N+6
 * loops: st_revocations_format_is_zero.0:66 memcmp.0:9 st_equal_secret.0:5
 * fault: src/core/revocations.c: if (slice > left) slice = left;
 * with: ;
 */
void any_snapshot_is_opened_within_its_bounds(void) {
  static subtoken_ring ring;
  size_t len;
  uint8_t *bytes = proof_file(N, &len);
  subtoken_revocations view;
  subtoken_revocations_opening opening;
  if (subtoken_revocations_start(&opening, &ring, bytes, len) != SUBTOKEN_FEED_MORE) return;
  subtoken_feed_result result = subtoken_revocations_step(&opening, nondet_size(), &view);
  if (result == SUBTOKEN_FEED_MORE) {
    HOLDS(view.index == NULL);
    result = subtoken_revocations_step(&opening, SIZE_MAX, &view);
  }
  HOLDS(result != SUBTOKEN_FEED_MORE);
  if (result != SUBTOKEN_FEED_OK) HOLDS(view.index == NULL && view.count == 0);
}

/* What opening finds of a file before a hash is looked up in it: the index rises from 0 to the
 * count, hashes ascend, and each lies where the index says. */
static bool proof_in_order(const subtoken_revocations *view) {
  uint32_t numbers = st_snapshot_numbers((uint8_t)(64 - view->shift));
  bool good = st_load32(view->index) == 0;
  for (uint32_t i = 0; i + 2 < numbers; i++) {
    good = good && st_load32(view->index + 4 * i) <= st_load32(view->index + 4 * i + 4);
  }
  good = good && st_load32(view->index + 4 * (numbers - 2)) == view->count;
  for (uint32_t i = 0; i < view->count; i++) {
    uint64_t hash = st_load64(view->hashes + 8 * i);
    const uint8_t *bucket = view->index + 4 * (hash >> view->shift);
    good = good && i >= st_load32(bucket) && i < st_load32(bucket + 4);
    good = good && (i == 0 || st_load64(view->hashes + 8 * (i - 1)) < hash);
  }
  return good;
}

/* proof: a_file_that_is_opened_is_in_order
 * bound: N=1 (hashes)
 * unwind: N+6
 * loops: st_revocations_format_is_zero.0:66 memcmp.0:9 st_equal_secret.0:5
 * fault: src/core/revocations.c: falls |= next < last;
 * with: falls |= false;
 */
void a_file_that_is_opened_is_in_order(void) {
  static subtoken_ring ring;
  size_t len;
  uint8_t *bytes = proof_file(N, &len);
  subtoken_revocations view;
  if (subtoken_revocations_open(&ring, bytes, len, &view) != SUBTOKEN_FEED_OK) return;
  HOLDS(view.count == N && view.hashes + 8 * (size_t)N + SUBTOKEN_MAC_LEN == bytes + len);
  HOLDS(view.index == bytes + ST_FEED_HEAD_LEN && proof_in_order(&view));
}

/* proof: a_hash_is_found_when_it_is_listed
 * bound: N=8 (hashes of a file that is in order; the binary search begins above 2 in place of 32)
 * unwind: N+6
 * limit: src/core/revocations.c: while (high - low > 256) {
 * with: while (high - low > 16) {
 * fault: src/core/revocations.c: if (st_load64(middle) <= hash) {
 * with: if (st_load64(middle) < hash) {
 * fault: src/core/revocations.c: if (listed >= hash) return
 * with: if (listed > hash) return
 * fault: src/core/revocations.c: + 8 * (size_t)st_load32(bucket + 4);
 * with: + 8 * (size_t)st_load32(bucket);
 */
void a_hash_is_found_when_it_is_listed(void) {
  uint8_t bits = st_snapshot_bits(N);
  subtoken_revocations view = {.count = N, .shift = (uint8_t)(64 - bits)};
  view.index = proof_block(4 * (size_t)st_snapshot_numbers(bits));
  view.hashes = proof_block(8 * (size_t)N);
  ASSUME(proof_in_order(&view));
  uint64_t hash = nondet_u64();
  bool listed = false;
  for (size_t i = 0; i < N; i++) listed = listed || st_load64(view.hashes + 8 * i) == hash;
  HOLDS(is_listed(&view, hash) == listed);
}
