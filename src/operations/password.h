/* password - hashes of passwords, by libargon2, which nothing else calls. A password is stored as
 * Argon2id (RFC 9106) in one of three forms:
 *
 *     nfc:PHC           PHC is $argon2id$v=19$m=19456,t=2,p=1$salt$hash of the password as an
 * opaque string (opaque_string.h) sha256:SALT:PHC   imported from an access file: SALT in base64,
 * PHC of SHA-256(password SALT) PHC               by an earlier version, of the password as it was
 * typed
 *
 * The last two are compared with what is typed. The first good login stores the first form instead,
 * which accepts the password in any normalization. Every check computes one hash.
 *
 * At most half of the processors compute at a time, first come, first served; 64 calls may wait, or
 * fewer (st_password_share). The next one is ST_PASSWORD_BUSY at once, and so is one that has
 * waited until its deadline. Any thread may call. Nothing of a password stays in memory.
 */
#ifndef ST_OPERATIONS_PASSWORD_H
#define ST_OPERATIONS_PASSWORD_H

#include "base/hmac.h"
#include "domain/password.h"
#include "os/semaphore.h"

#define ST_PASSWORD_WAITING_MAX 64

/* Counts the processors and tests libargon2 with a known hash; false when that fails. Before it is
 * called, one hash is computed at a time.
 */
bool st_password_start(void) __attribute__((warn_unused_result));

/* At most a quarter of a server's threads waits here: each holds a connection, and wrong passwords
 * alone could hold all of them.
 */
void st_password_share(size_t threads);

/* The server ends: calls that still wait at this time (st_clock_monotonic_us) are ST_PASSWORD_BUSY.
 */
void st_password_close(int64_t at_us);

/* The text to store, with the current parameters and a new salt. until_us bounds the wait, not the
 * computing. phc is empty unless it is ST_PASSWORD_OK. ST_PASSWORD_FAILED, too, for a password that
 * is empty or longer than ST_PASSWORD_MAX.
 */
st_password_status st_password_hash(subtoken_text password, int64_t until_us,
                                    char phc[ST_PHC_MAX + 1]) __attribute__((warn_unused_result));

/* Is it the password? With phc NULL or empty the same work is done, and it is ST_PASSWORD_WRONG, so
 * that a login takes the same time whether there is such a user or not; likewise for a password
 * that is empty or too long.
 */
st_password_status st_password_verify(const char *phc, subtoken_text password, int64_t until_us)
    __attribute__((warn_unused_result));

/* Is it in another form, or of other parameters, than st_password_hash makes? Then a good login
 * stores a new one.
 */
bool st_password_outdated(const char *phc) __attribute__((warn_unused_result));

/* The text to store for a salted hash of an access file; salt_len is at most ST_SALT_MAX. The rest
 * is as for st_password_hash.
 */
st_password_status st_password_wrap(const uint8_t hash[ST_HASH_LEN], const void *salt,
                                    size_t salt_len, char phc[ST_PHC_MAX + 1])
    __attribute__((warn_unused_result));

/* Was it made by st_password_wrap of these? If not, it is ST_PASSWORD_WRONG. */
st_password_status st_password_is_wrap_of(const char *phc, const uint8_t hash[ST_HASH_LEN],
                                          const void *salt, size_t salt_len)
    __attribute__((warn_unused_result));

/* How many hashes were computed so far, and the queue: for metrics and tests. */
uint64_t st_password_computed(void);
st_semaphore *st_password_semaphore(void);

#endif
