/* The record that an issuer keeps of what it has vouched for. core/vouched.h describes its bytes,
 * and operations/vouched.c the file.
 */
#include "core/vouched.h"

#include "base/hmac.h"
#include "core/revocations_format.h"

#define MAGIC "ST-VOUCH"
#define SIGNED (ST_VOUCHED_LEN - SUBTOKEN_MAC_LEN)

enum { LIFE_AT = 32, ZERO_AT = 40 };

_Static_assert(SIGNED == ST_FEED_HEAD_LEN, "a record is a head and its MAC");

static bool vouched_in_bounds(const st_vouched *vouched) {
  return vouched->sequence >= 1 && vouched->life >= 0 && vouched->life <= SUBTOKEN_TIME_MAX;
}

subtoken_feed_result st_vouched_write(const subtoken_ring *ring, const st_vouched *vouched,
                                      uint8_t out[ST_VOUCHED_LEN]) {
  if (!vouched_in_bounds(vouched)) return SUBTOKEN_FEED_INVALID_ARGUMENT;
  if (ring->count == 0 || ring->secrets[0].header_len == 0) return SUBTOKEN_FEED_NO_SECRET;
  const subtoken_secret *secret = &ring->secrets[0];
  st_revocations_format_write_head(secret, MAGIC, vouched->sequence, 0, out);
  st_store64(out + LIFE_AT, (uint64_t)vouched->life);
  st_hmac(secret, out, SIGNED, out + SIGNED);
  return SUBTOKEN_FEED_OK;
}

subtoken_feed_result st_vouched_read(const subtoken_ring *ring, const void *bytes, size_t len,
                                     st_vouched *vouched) {
  const uint8_t *from = bytes;
  st_feed_head head;
  *vouched = (st_vouched){0, 0};
  if (len != ST_VOUCHED_LEN) return SUBTOKEN_FEED_LENGTH;
  subtoken_feed_result result = st_revocations_format_read_head(ring, MAGIC, from, &head);
  if (result != SUBTOKEN_FEED_OK) return result;
  uint64_t life = st_load64(from + LIFE_AT);
  if (from[ST_FEED_BITS] != 0 || head.time != 0 || life > SUBTOKEN_TIME_MAX ||
      !st_revocations_format_is_zero(from + ZERO_AT, ST_FEED_KID - ZERO_AT)) {
    return SUBTOKEN_FEED_FORM;
  }
  if (subtoken_mac_check(head.secret, from, SIGNED, from + SIGNED) != SUBTOKEN_OK) {
    return SUBTOKEN_FEED_MAC;
  }
  *vouched = (st_vouched){head.sequence, (int64_t)life};
  return SUBTOKEN_FEED_OK;
}
