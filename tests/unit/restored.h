/* restored - what another history of the revocation data listed, taken over by the store of a test.
 */
#ifndef TESTS_UNIT_RESTORED_H
#define TESTS_UNIT_RESTORED_H

#include "store_answers.h"

#define LATER (NOW * US + 5000)

static inline st_revocation_state listing_now(void) {
  st_revocation_state current;
  assert_ok(st_store_revocation_state(store, &current, error));
  return current;
}

/* A snapshot of these rows, and of one that nobody here has. */
static inline st_store_status take_over(const unsigned *rows, size_t count, int64_t sequence,
                                        const uint8_t key[SUBTOKEN_HASH_KEY_LEN],
                                        st_restore_report *report) {
  uint64_t hashes[8];
  st_revocation_snapshot from = {.sequence = sequence, .hashes = hashes, .life = 400 * 86400};
  memcpy(from.hash_key, key, sizeof from.hash_key);
  for (size_t i = 0; i < count; i++) {
    hashes[i] = subtoken_revocations_hash(key, (subtoken_text){sub_of(rows[i]), ST_SUB_LEN});
  }
  hashes[count] = 4711;
  from.count = (uint32_t)subtoken_revocations_sort(hashes, (uint32_t)count + 1);
  return st_store_restore_revocations(store, CONTEXT, &from, report, error);
}

static inline bool lists(uint64_t wanted) {
  uint32_t count = 0;
  return lists_hash(wanted, &count);
}

#endif
