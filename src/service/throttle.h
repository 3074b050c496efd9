/* throttle - slows those who guess passwords: a token bucket a username, and one an address, in
 * tables of fixed size. One is taken from both before a password is checked, and given back
 * when it was right: what stays taken are failures. Any thread may ask.
 *
 * Whatever order threads come in, no more passwords fail, or are being checked, in any time
 * than the bucket holds and what flows into it meanwhile. Two usernames that fall on one bucket
 * share it, which errs on the side of refusing.
 *
 * Whoever knows a username can keep its bucket empty. So an address from which the right password
 * came has a bucket of its own for that username, and the owner who comes from there again is not
 * held up by what others try elsewhere.
 */
#ifndef ST_SERVICE_THROTTLE_H
#define ST_SERVICE_THROTTLE_H

#include <pthread.h>

#include "subtoken/common.h"

#define ST_THROTTLE_KEY_LEN 16
#define ST_THROTTLE_SLOTS 16384
#define ST_THROTTLE_PAIRS 16384 /* of a username and an address: the latest are remembered */

/* Per username, and per pair 10 at once, then one each 10 s; per address 50 at once, then one each
 * second. */
#define ST_THROTTLE_USERNAME_BURST 10
#define ST_THROTTLE_USERNAME_US INT64_C(10000000)
#define ST_THROTTLE_ADDRESS_BURST 50
#define ST_THROTTLE_ADDRESS_US INT64_C(1000000)

typedef struct st_throttle_pair {
  uint64_t tag; /* of a username and an address; 0: there is none */
  int64_t full_at_us;
} st_throttle_pair;

typedef struct st_throttle {
  pthread_mutex_t lock;
  subtoken_secret key; /* so that nobody can choose which bucket a text falls on */
  int64_t username_full_at_us[ST_THROTTLE_SLOTS]; /* when the bucket will be full again */
  int64_t address_full_at_us[ST_THROTTLE_SLOTS];
  st_throttle_pair pairs[ST_THROTTLE_PAIRS];
} st_throttle;

/* key: random. */
bool st_throttle_start(st_throttle *throttle, const uint8_t key[ST_THROTTLE_KEY_LEN])
    __attribute__((warn_unused_result));

/* Take one from both: 0. Otherwise none is taken, and the answer is the whole seconds, at
 * least 1, until there is one in both. The username is taken as it is, whether there is such a
 * user or not. An IPv4 address counts by itself, however it is written, an IPv6 one by its
 * /64; what is no address counts by its text.
 */
int64_t st_throttle_take(st_throttle *throttle, subtoken_text username, subtoken_text address,
                         int64_t now_us) __attribute__((warn_unused_result));

/* What was taken for the same two, because the password was right or could not be checked.
 * Once for each that was taken, however long ago.
 */
void st_throttle_give_back(st_throttle *throttle, subtoken_text username, subtoken_text address);

/* The password was right: it is given back, and the two have a bucket of their own from now on. */
void st_throttle_pass(st_throttle *throttle, subtoken_text username, subtoken_text address);

#endif
