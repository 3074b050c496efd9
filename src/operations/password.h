/* password - the only door to libargon2: passwords are kept as Argon2id (RFC 9106), in the
 * form `nfc:PHC`, PHC being `$argon2id$v=19$m=19456,t=2,p=1$salt$hash` of the password as an
 * opaque string (opaque_string.h), or, imported from an access file, as `sha256:SALT:PHC`: SALT in
 * base64, and in PHC the Argon2id of SHA-256(password SALT). A PHC alone was stored by an earlier
 * version: that, and an imported one, are of what was typed, and compared with what is typed. So
 * whoever got in does so still, each check computes once, and the first good login stores the form
 * of today, which takes the password in any spelling.
 *
 * At most half of the processors compute at one time, in the order in which they were asked;
 * 64 may wait, or fewer (st_password_share); more are ST_PASSWORD_BUSY at once, and so is who has
 * waited until its deadline. Any thread may call. Nothing of a password stays in memory.
 */
#ifndef ST_OPERATIONS_PASSWORD_H
#define ST_OPERATIONS_PASSWORD_H

#include "base/hmac.h"
#include "domain/password.h"
#include "os/semaphore.h"

#define ST_PASSWORD_WAITING_MAX 64

/* Counts the processors and sees whether libargon2 computes what it should; false if not.
 * Before it is called, one at a time computes.
 */
bool st_password_start(void) __attribute__((warn_unused_result));

/* Of a server's threads a quarter at most waits here: each holds a connection, and whoever asks
 * for nothing but a wrong password could hold them all.
 */
void st_password_share(size_t threads);
/* The server ends: who still waits at that time (st_clock_monotonic_us) is ST_PASSWORD_BUSY. */
void st_password_close(int64_t at_us);

/* The text to store, with today's parameters and a new salt; until_us bounds the wait for a turn,
 * not the computing. ST_PASSWORD_OK when it was
 * made, else phc is empty; ST_PASSWORD_FAILED also for a password that is empty or longer than
 * ST_PASSWORD_MAX.
 */
st_password_status st_password_hash(subtoken_text password, int64_t until_us,
                                    char phc[ST_PHC_MAX + 1]) __attribute__((warn_unused_result));

/* Is it the password? For nobody's (phc NULL or empty) the same work is done and the answer
 * is ST_PASSWORD_WRONG, so that a login costs the same whether there is such a person or not;
 * likewise for a password that is empty or too long.
 */
st_password_status st_password_verify(const char *phc, subtoken_text password, int64_t until_us)
    __attribute__((warn_unused_result));

/* Is it other than st_password_hash would make it today? Then, after a good login, it is
 * time to store a new one.
 */
bool st_password_outdated(const char *phc) __attribute__((warn_unused_result));

/* The text to store for the salted hash of an access file; salt_len is at most ST_SALT_MAX.
 * As st_password_hash.
 */
st_password_status st_password_wrap(const uint8_t hash[ST_HASH_LEN], const void *salt,
                                    size_t salt_len, char phc[ST_PHC_MAX + 1])
    __attribute__((warn_unused_result));

/* Was it wrapped from just these? ST_PASSWORD_WRONG, too, for one that was not wrapped. */
st_password_status st_password_is_wrap_of(const char *phc, const uint8_t hash[ST_HASH_LEN],
                                          const void *salt, size_t salt_len)
    __attribute__((warn_unused_result));

/* For tests: how often Argon2 was computed so far, and where those who ask stand in line. */
uint64_t st_password_computed(void);
st_semaphore *st_password_semaphore(void);

#endif
