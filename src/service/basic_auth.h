/* basic - HTTP Basic (RFC 7617) credentials that were found good, remembered for a minute: each
 * costs an Argon2 otherwise. What is remembered is an HMAC under a key of this process; what they
 * may do is asked of the store each time.
 */
#ifndef ST_SERVICE_BASIC_AUTH_H
#define ST_SERVICE_BASIC_AUTH_H

#include <pthread.h>
#include <stdatomic.h>

#include "domain/key.h"
#include "os/semaphore.h"
#include "service/identity.h"
#include "service/service.h"
#include "subtoken/mac.h"

#define ST_BASIC_KEPT_US INT64_C(60000000)
#define ST_BASIC_RENEW_US INT64_C(10000000) /* in the last of these it is checked anew */
#define ST_BASIC_SLOTS 1024
#define ST_BASIC_STRIPES 16
#define ST_BASIC_WAITING 64 /* requests that are being checked, or wait for that, at most */

typedef struct st_basic_auth {
  subtoken_secret key;
  atomic_int waiting;
  int waiting_max; /* ST_BASIC_WAITING, or less where there are few threads */
  st_semaphore checking[ST_BASIC_STRIPES];
  pthread_mutex_t lock; /* guards the slots */
  struct {
    uint8_t tag[SUBTOKEN_MAC_LEN];
    int64_t until_us;         /* monotonic; 0: empty */
    char sub[ST_SUB_LEN + 1]; /* a person's, which changes with the password */
  } slots[ST_BASIC_SLOTS];
} st_basic_auth;

/* key: 32 random bytes. */
bool st_basic_auth_start(st_basic_auth *basic, const uint8_t key[32])
    __attribute__((warn_unused_result));
/* The process ends: from a time on (st_semaphore_now_us) nobody waits. */
void st_basic_auth_close(st_basic_auth *basic, int64_t at_us);

/* The same for HTTP Basic (basic.c). text is login:password, decoded. *wait: not 0 when there were
 * too many wrong ones; then the result is no success and they are the seconds to wait.
 */
subtoken_result st_basic_auth_identify(const st_service *service, subtoken_text text,
                                       const st_request *request, st_identity *identity,
                                       const char **event, int64_t *wait)
    __attribute__((warn_unused_result));

#endif
