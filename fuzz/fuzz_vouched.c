/* The record of what was vouched for: the input as it is, and once more with its MAC made right.
 * Only what the ring signed is read, what is read is written again byte for byte (under the secret
 * that it names), and what is refused leaves nothing behind.
 */
#include "base/hmac.h"
#include "core/revocations_format.h"
#include "core/vouched.h"
#include "fuzz.h"

#define SECRET "fuzzing-needs-a-secret-of-its-own!"
#define SIGNED (ST_VOUCHED_LEN - SUBTOKEN_MAC_LEN)

static subtoken_ring unnamed, named;

static void prepare(void) {
  if (unnamed.count > 0) return;
  HOLD(subtoken_ring_add(&unnamed, ST_TEXT(""), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
  HOLD(subtoken_ring_add(&named, ST_TEXT("k1"), SECRET, sizeof SECRET - 1) == SUBTOKEN_OK);
}

static void look(const subtoken_ring *ring, const uint8_t *bytes, size_t len) {
  uint8_t again[ST_VOUCHED_LEN], mac[SUBTOKEN_MAC_LEN];
  st_vouched record = {7, 7};
  subtoken_feed_result result = st_vouched_read(ring, bytes, len, &record);
  if (result != SUBTOKEN_FEED_OK) {
    HOLD(record.sequence == 0 && record.life == 0 && result != SUBTOKEN_FEED_UNDECIDED);
    return;
  }
  HOLD(len == ST_VOUCHED_LEN);
  st_hmac(&ring->secrets[0], bytes, SIGNED, mac);
  HOLD(memcmp(mac, bytes + SIGNED, sizeof mac) == 0);
  HOLD(st_vouched_write(ring, &record, again) == SUBTOKEN_FEED_OK);
  HOLD(memcmp(again, bytes, sizeof again) == 0);
}

static void look_at_both(const uint8_t *bytes, size_t len) {
  look(&unnamed, bytes, len);
  look(&named, bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  uint8_t *copy = (uint8_t *)fuzz_copy(data, size);
  look_at_both(copy, size);
  if (size >= SUBTOKEN_MAC_LEN) {
    st_hmac(&unnamed.secrets[0], copy, size - SUBTOKEN_MAC_LEN, copy + size - SUBTOKEN_MAC_LEN);
    look_at_both(copy, size);
  }
  free(copy);
  return 0;
}
