/* vouched - what an issuer keeps beside its ring of all that it has vouched for, so that a database
 * which is behind it is known for one (subtoken_revocation(7)). 160 bytes, numbers little-endian:
 *
 *     0      8  "ST-VOUCH"
 *     8      4  version: 1
 *    12      1  0
 *    13      1  length of the kid
 *    14      2  0
 *    16      8  the largest sequence that was ever vouched for
 *    24      8  0
 *    32      8  the longest life that a token may have been given, seconds
 *    40     24  0
 *    64     64  kid, zeros behind it
 *   128     32  HMAC-SHA-256 of all before it
 */
#ifndef ST_CORE_VOUCHED_H
#define ST_CORE_VOUCHED_H

#include "subtoken/revocations.h"

#define ST_VOUCHED_LEN 160

typedef struct st_vouched {
  int64_t sequence; /* 1 to 2^63-1 */
  int64_t life;     /* 0 to SUBTOKEN_TIME_MAX */
} st_vouched;

/* Under the first secret of the ring. */
subtoken_feed_result st_vouched_write(const subtoken_ring *ring, const st_vouched *vouched,
                                      uint8_t out[ST_VOUCHED_LEN])
    __attribute__((warn_unused_result));
/* *vouched is zeroed unless the result is SUBTOKEN_FEED_OK. */
subtoken_feed_result st_vouched_read(const subtoken_ring *ring, const void *bytes, size_t len,
                                     st_vouched *vouched) __attribute__((warn_unused_result));

#endif
