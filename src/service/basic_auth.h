/* basic_auth - HTTP Basic (RFC 7617). A credential that was found good is cached for a minute, as
 * each check costs an Argon2. What is cached is an HMAC under a key of this process; what the user
 * may do is asked of the store each time.
 */
#ifndef ST_SERVICE_BASIC_AUTH_H
#define ST_SERVICE_BASIC_AUTH_H

#include <pthread.h>

#include "service/identity.h"
#include "subtoken/mac.h"

#define ST_BASIC_KEPT_US INT64_C(60000000)
#define ST_BASIC_RENEW_US INT64_C(10000000) /* in the last of these it is checked anew */
#define ST_BASIC_SLOTS 1024
#define ST_BASIC_LOCKS 16
#define ST_BASIC_WAITING 64 /* requests that are being checked, or wait for that, at most */

/* Locks by number, from 0 to ST_BASIC_LOCKS - 1. The server has them, because waiting takes a
 * clock. */
typedef struct st_basic_locks {
  /* False: until_us (monotonic) was over before the lock was free. 0: at once or not at all. */
  bool (*enter)(size_t lock, int64_t until_us);
  void (*leave)(size_t lock);
} st_basic_locks;

typedef struct st_basic_auth {
  subtoken_secret key;
  atomic_int waiting;
  int waiting_max; /* ST_BASIC_WAITING, or less where there are few threads */
  st_basic_locks locks;
  pthread_mutex_t lock; /* guards the slots */
  struct {
    uint8_t tag[SUBTOKEN_MAC_LEN];
    int64_t until_us;     /* monotonic; 0: empty */
    char sub[ST_SUB_LEN]; /* a user's, which changes with the password */
  } slots[ST_BASIC_SLOTS];
} st_basic_auth;

/* key: 32 random bytes. */
bool st_basic_auth_start(st_basic_auth *basic, const uint8_t key[32], st_basic_locks locks)
    __attribute__((warn_unused_result));

/* text: username:password, decoded. A result of THROTTLED says how long to wait. */
st_auth_result st_basic_auth_check(const st_service *service, subtoken_text text,
                                   const st_request *request, st_identity *identity)
    __attribute__((warn_unused_result));

#endif
