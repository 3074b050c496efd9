/* The head that a snapshot of the revocation data and a file of changes begin with: where each
 * field lies, how it is written and read. What the bytes are worth is decided elsewhere
 * (core/revocations.c, core/revocations_changes.c).
 */
#include "core/revocations_format.h"

#include <string.h>

#include "base/bytes.h"
#include "core/ring.h"
#include "subtoken/mac.h"
#include "subtoken/revocations.h"

bool st_revocations_format_is_zero(const uint8_t *bytes, size_t len) {
  uint8_t any = 0;
  for (size_t i = 0; i < len; i++) any |= bytes[i];
  return any == 0;
}

subtoken_feed_result st_revocations_format_read_head(const subtoken_ring *ring, const char *magic,
                                                     const uint8_t *bytes, st_feed_head *head) {
  if (memcmp(bytes, magic, 8) != 0) return SUBTOKEN_FEED_MAGIC;
  if (st_load32(bytes + ST_FEED_VERSION) != 1) return SUBTOKEN_FEED_VERSION;
  uint64_t sequence = st_load64(bytes + ST_FEED_SEQUENCE), time = st_load64(bytes + ST_FEED_TIME);
  subtoken_text kid = {(const char *)bytes + ST_FEED_KID, bytes[ST_FEED_KID_LEN]};
  if (sequence == 0 || sequence > INT64_MAX || time > SUBTOKEN_TIME_MAX ||
      !st_revocations_format_is_zero(bytes + ST_FEED_ZERO, 2) ||
      (kid.len > 0 && !st_ring_kid_valid(kid)) ||
      !st_revocations_format_is_zero(bytes + ST_FEED_KID + kid.len, SUBTOKEN_KID_MAX - kid.len)) {
    return SUBTOKEN_FEED_FORM;
  }
  head->sequence = (int64_t)sequence;
  head->time = (int64_t)time;
  head->kid = kid;
  head->secret = st_ring_find(ring, kid);
  return head->secret == NULL ? SUBTOKEN_FEED_KID : SUBTOKEN_FEED_OK;
}

void st_revocations_format_write_head(const subtoken_secret *secret, const char *magic,
                                      int64_t sequence, int64_t time, uint8_t *bytes) {
  memset(bytes, 0, ST_FEED_HEAD_LEN);
  memcpy(bytes, magic, 8);
  st_store32(bytes + ST_FEED_VERSION, 1);
  bytes[ST_FEED_KID_LEN] = secret->kid_len;
  st_store64(bytes + ST_FEED_SEQUENCE, (uint64_t)sequence);
  st_store64(bytes + ST_FEED_TIME, (uint64_t)time);
  memcpy(bytes + ST_FEED_KID, secret->kid, secret->kid_len);
}

size_t subtoken_revocations_size(uint32_t count) {
  uint64_t numbers = st_snapshot_numbers(st_snapshot_bits(count));
  uint64_t size = ST_FEED_HEAD_LEN + 4 * numbers + UINT64_C(8) * count + SUBTOKEN_MAC_LEN;
#if SIZE_MAX < UINT64_MAX
  if (size > SIZE_MAX / 2) return 0; /* no object is larger than half of what has addresses */
#endif
  return (size_t)size;
}
